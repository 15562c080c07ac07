"""Cross-entropy with smoothed labels."""

import math

import numpy as np
from scipy.special import expit, softmax

from skmtl.plugins.base import ClassificationLoss


class SmoothedLogLoss(ClassificationLoss):
    """Cross-entropy against (1 - smoothing) of the label and smoothing of the even spread."""

    def __init__(self, smoothing=0.1):
        self.smoothing = smoothing

    def hyper(self):
        self._check_number("smoothing", high=1)
        return [float(self.smoothing)]

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        total = 0.0
        for i in range(weight.size):
            total += weight[i]
        value, n_out = 0.0, out.shape[1]
        for i in range(out.shape[0]):
            w = weight[i] / total
            if n_out == 1:
                z = out[i, 0]
                q = (1 - hp[0]) * y[i, 0] + hp[0] / 2
                e = math.exp(-abs(z))
                p = 1.0 / (1.0 + e) if z >= 0 else e / (1.0 + e)
                value += w * (max(z, 0.0) - z * q + math.log1p(e))
                grad[i, 0] = w * (p - q)
            else:
                code, even = int(y[i, 0]), hp[0] / n_out
                top = out[i, 0]
                for j in range(1, n_out):
                    top = max(top, out[i, j])
                s = mean = 0.0
                for j in range(n_out):
                    e = np.exp(out[i, j] - top)
                    grad[i, j] = e
                    s += e
                    mean += even * (out[i, j] - top)
                value += w * (math.log(s) - (1 - hp[0]) * (out[i, code] - top) - mean)
                for j in range(n_out):
                    grad[i, j] = w * (grad[i, j] / s - even)
                grad[i, code] -= w * (1 - hp[0])
        return value

    def proba(self, out):
        if out.shape[1] == 1:
            p = expit(out)
            return np.hstack([1 - p, p])
        return softmax(out, axis=1)
