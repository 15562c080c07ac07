"""Differences between models on the same splits, with a standard error that is not too small."""

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


def corrected_se(values, test_to_train):
    """Standard error of the mean over splits, sd sqrt(1 / K + n_test / n_train).

    Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52,
    section 3.2: training sets overlap, so that K splits tell less than K independent ones.

    Parameters
    ----------
    values : ndarray of shape (..., n_splits)
        A value of each split; NaN where there is none.
    test_to_train : float
        ``n_test / n_train``.

    Returns
    -------
    ndarray of shape (...)
        NaN with fewer than 2 values.
    """
    n = np.sum(~np.isnan(values), axis=-1)
    return sd(values) * np.sqrt(1 / np.maximum(n, 1) + test_to_train)


def mean(values):
    """Mean over the splits that have a value; NaN if none has, without a warning."""
    n = np.sum(~np.isnan(values), axis=-1)
    return np.nansum(values, axis=-1) / np.where(n > 0, n, np.nan)


def sd(values):
    """Standard deviation over the splits that have a value; NaN with fewer than 2."""
    n = np.sum(~np.isnan(values), axis=-1)
    squares = np.nansum((values - mean(values)[..., np.newaxis]) ** 2, axis=-1)
    return np.sqrt(squares / np.where(n > 1, n - 1, np.nan))


def is_clear(difference, se, n_splits):
    """Whether 0 is outside the 95 % interval of a difference (Student, n_splits - 1 degrees)."""
    quantile = stdtrit(np.maximum(n_splits - 1, 1), (1 + CONFIDENCE) / 2)
    return np.abs(difference) > quantile * se


def size_ratio(splits):
    """``n_test / n_train`` of splits, pairs of arrays of row numbers."""
    n_train, n_test = np.mean([(len(train), len(test)) for train, test in splits], axis=0)
    return float(n_test / n_train)
