"""Gaussian kernels between rows, dense or sparse."""

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances

#: Rows of each sample that the median distance is taken from.
N_FOR_MEDIAN = 500


def squared_distances(X, Z):
    """||x_i - z_j||^2 in double, ndarray of shape (n_x, n_z)."""
    return euclidean_distances(X, Z, squared=True).astype(np.float64, copy=False)


def some_rows(X, n, rng):
    """At most n rows of X, drawn without replacement, in their order; their numbers."""
    n_rows = X.shape[0]
    if n_rows <= n:
        return np.arange(n_rows)
    return np.sort(rng.choice(n_rows, n, replace=False))


def median_distance(X, Z, rng):
    """Median distance between rows of X and rows of Z that differ; 1 where all are equal."""
    X, Z = (rows[some_rows(rows, N_FOR_MEDIAN, rng)] for rows in (X, Z))
    d2 = squared_distances(X, Z)
    apart = d2[d2 > 1e-12 * max(d2.max(), np.finfo(float).tiny)]
    return float(np.sqrt(np.median(apart))) if apart.size else 1.0
