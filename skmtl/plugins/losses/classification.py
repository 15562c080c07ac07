"""Losses of the tasks."""

import math

import numpy as np
from scipy.special import expit, softmax

from skmtl.plugins.base import ClassificationLoss


class LogLoss(ClassificationLoss):
    r"""Cross-entropy of the classes: logistic for two of them, softmax for more.

    .. math:: -\frac{1}{\sum_i w_i} \sum_i w_i \log p_{i, y_i}

    Two classes have one output z, and :math:`p_{i,1} = 1 / (1 + e^{-z_i})`.

    References
    ----------
    .. [1] Bishop (2006). Pattern Recognition and Machine Learning, equations 4.90 and 4.108.

    Examples
    --------
    >>> from skmtl.plugins.losses import LogLoss
    >>> LogLoss().n_outputs(["no", "yes"]), LogLoss().n_outputs(["a", "b", "c"])
    (1, 3)
    """

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean; overwrites grad with w_i (p_i - e_{y_i}) / sum(w)."""
        total = 0.0
        for i in range(weight.size):
            total += weight[i]
        value = 0.0
        n_out = out.shape[1]
        for i in range(out.shape[0]):
            w = weight[i] / total
            if n_out == 1:
                z = out[i, 0]
                e = math.exp(-abs(z))
                p = 1.0 / (1.0 + e) if z >= 0 else e / (1.0 + e)
                value += w * (max(z, 0.0) - z * y[i, 0] + math.log1p(e))
                grad[i, 0] = w * (p - y[i, 0])
            else:
                code = int(y[i, 0])
                top = out[i, 0]
                for j in range(1, n_out):
                    top = max(top, out[i, j])
                s = 0.0
                for j in range(n_out):
                    e = np.exp(out[i, j] - top)
                    grad[i, j] = e
                    s += e
                value += w * (math.log(s) - (out[i, code] - top))
                for j in range(n_out):
                    grad[i, j] *= w / s
                grad[i, code] -= w
        return value

    def proba(self, out):
        """Class probabilities (n, n_classes)."""
        if out.shape[1] == 1:
            p = expit(out)
            return np.hstack([1 - p, p])
        return softmax(out, axis=1)
