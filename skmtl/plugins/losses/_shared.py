"""What several losses need."""

import numpy as np
from scipy.special import expit

from skmtl.engine.elementary import exp


def total_weight(weight):
    """sum_i weight_i, in double precision."""
    total = 0.0
    for i in range(weight.size):
        total += np.float64(weight[i])
    return total


def largest(x, i):
    """max_j x_ij, unless a number of the row is NaN."""
    top = x[i, 0]
    for j in range(1, x.shape[1]):
        top = x[i, j] if x[i, j] > top else top
    return top


def subtract_largest(x, out):
    """out_ij = x_ij - max_k x_ik."""
    for i in range(x.shape[0]):
        top = largest(x, i)
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] - top


def exponentiate(x):
    """x_ij = exp(x_ij), in one loop over all numbers: rows are too short for vectors."""
    flat = x.flat
    for k in range(x.size):
        flat[k] = exp(flat[k])


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
