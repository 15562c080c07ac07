"""What several losses need."""

import numpy as np
from scipy.special import expit, softmax


def total_weight(weight):
    """sum_i weight_i, in double precision."""
    total = 0.0
    for i in range(weight.size):
        total += np.float64(weight[i])
    return total


def class_probabilities(out):
    """Softmax of outputs (n, n_classes), or (1 - p, p) with the logistic p of one output."""
    if out.shape[1] == 1:
        p = expit(out)
        return np.hstack([1 - p, p])
    return softmax(out, axis=1)
