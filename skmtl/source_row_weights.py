"""Weights of a source's rows, as a source weighting gives them: before the fit, and in rounds."""

import numpy as np

#: The least weight of a row in rounds, beside a mean of 1: of no account, and no batch is without.
LEAST = 1e-12


def weigh_source_rows(weighting, number, X, y, target_rows, y_target, rng):
    """Weights of the labelled rows of a source, with mean 1.

    Parameters
    ----------
    weighting : SourceWeighting
        The rule.
    number : int
        Of the source, for messages.
    X : {ndarray, CSR} of shape (n_rows, n_features)
        The rows.
    y : ndarray of shape (n_rows,) or None
        Their class codes.
    target_rows : {ndarray, CSR} of shape (n_target_rows, n_features)
        All rows of the target.
    y_target : ndarray of shape (n_target_rows,) or None
        Their class codes, -1 where missing.
    rng : numpy.random.Generator
        For rules that draw.

    Returns
    -------
    ndarray of shape (n_rows,)

    Raises
    ------
    ValueError
        If the weighting compares rows of different columns, or gives what is no weight.
    """
    if weighting.reads_rows and X.shape[1] != target_rows.shape[1]:
        raise ValueError(
            f"source_sample_weighting={weighting!r} compares rows of source and target, which need "
            f"the same columns: X has {target_rows.shape[1]}, X_source[{number}] has {X.shape[1]}. "
            "Use 'uniform', 'balanced' or 'tradaboost'."
        )
    given = weighting.weigh(X, y, target_rows, y_target, rng)
    return _mean_one(weighting, "weigh", number, given, X.shape[0])


def reweigh_rows(weighting, number, weights, y, predicted, round):
    """Weights of the labelled rows of a source after a round, with mean 1.

    Parameters
    ----------
    weighting : SourceWeighting
        The rule.
    number : int
        Of the source, for messages.
    weights : ndarray of shape (n_rows,)
        Those of now.
    y : ndarray of shape (n_rows,)
        Class codes, or numbers.
    predicted : ndarray of shape (n_rows, n_classes) or (n_rows,)
        What the model makes of the rows.
    round : int
        From 0 on.

    Returns
    -------
    ndarray of shape (n_rows,)
        At least LEAST.

    Raises
    ------
    ValueError
        If the weighting gives what is no weight.
    """
    given = weighting.reweigh(weights, y, predicted, round)
    return np.maximum(_mean_one(weighting, "reweigh", number, given, weights.size), LEAST)


def _mean_one(weighting, method, number, given, n_rows):
    """What a source weighting gave, checked, and scaled to a mean of 1."""
    weights, name = np.asarray(given, np.float64), type(weighting).__name__
    if weights.shape != (n_rows,):
        raise ValueError(
            f"{name}.{method} must give a weight for each of the {n_rows} labelled rows of "
            f"X_source[{number}]. It gave an array of shape {weights.shape}."
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(
            f"{name}.{method} must give finite weights >= 0, not all 0, for X_source[{number}]. It "
            f"gave weights from {weights.min()} to {weights.max()}: scale the columns (standardize="
            "'per_domain'), or use another source_sample_weighting."
        )
    return weights / weights.mean()
