"""What maps that start from data read from it: means, covariances, principal axes."""

import numpy as np
from scipy.sparse import issparse


def mean_and_covariance(X):
    """Mean and covariance (divided by n) of the rows of X in double; CSR is not made dense."""
    mean = column_means(X)
    if not issparse(X):
        centred = np.asarray(X, np.float64) - mean
        return mean, centred.T @ centred / X.shape[0]
    X = X.astype(np.float64)
    return mean, (X.T @ X).toarray() / X.shape[0] - np.outer(mean, mean)


def column_means(X, weight=None):
    """Mean of the rows of X, or mean with weights, in double."""
    weight = np.ones(X.shape[0]) if weight is None else weight
    return np.asarray(X.T @ weight, np.float64).ravel() / weight.sum()


def principal_axes(covariance):
    """Variances in falling order, at least 0, and the axes as columns."""
    values, axes = np.linalg.eigh(covariance)
    return np.maximum(values[::-1], 0), axes[:, ::-1]


def skewed_forwards(X, mean, axes):
    """The axes with such signs that the rows' third moment along each is not negative.

    Moments along an axis do not depend on the coordinates, so neither do these signs.
    """
    scores = np.asarray(X @ axes) - mean @ axes
    return axes * np.where((scores**3).sum(axis=0) < 0, -1, 1)
