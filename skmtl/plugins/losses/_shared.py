"""What several losses need."""

import numpy as np
from scipy.special import expit


def total_weight(weight):
    """sum_i weight_i, in double precision."""
    total = 0.0
    for i in range(weight.size):
        total += np.float64(weight[i])
    return total


def class_probabilities(out):
    """Softmax of outputs (n, n_classes), or (1 - p, p) with the logistic p of one output."""
    if out.shape[1] == 1:
        p = np.empty((len(out), 2), out.dtype)
        expit(out[:, 0], out=p[:, 1])
        np.subtract(1, p[:, 1], out=p[:, 0])
        return p
    # A row of classes at a time: NumPy reduces a few columns of many rows four times as slowly.
    p = out.T.copy()
    p -= p.max(axis=0)
    np.exp(p, out=p)
    p /= p.sum(axis=0)
    return np.ascontiguousarray(p.T)
