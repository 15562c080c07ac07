"""Cross-entropy."""

from math import log

import numpy as np

from skmtl.engine.elementary import exp, log1p
from skmtl.plugins.base import ClassificationLoss
from skmtl.plugins.losses._shared import (
    class_probabilities,
    exponentiate,
    subtract_largest,
    total_weight,
)


class LogLoss(ClassificationLoss):
    r"""Cross-entropy of the classes: logistic for two of them, softmax for more.

    .. math:: -\frac{1}{\sum_i w_i} \sum_i w_i \sum_k q_{ik} \log p_{ik}, \quad
       q_{ik} = (1 - s) [k = y_i] + s / K

    Two classes have one output z, and :math:`p_{i,1} = 1 / (1 + e^{-z_i})`.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        The part s of each label that is spread evenly over all K classes, from 0 to 1, 1 excluded.
        It keeps a network from growing its outputs without end, and some trust from labels that
        may be wrong. Predicted probabilities are then drawn towards 1 / K as well.

    References
    ----------
    .. [1] Bishop (2006). Pattern Recognition and Machine Learning, equations 4.90 and 4.108.
    .. [2] Szegedy et al. (2016). Rethinking the inception architecture for computer vision. CVPR,
       section 7.

    Examples
    --------
    >>> from skmtl.plugins.losses import LogLoss
    >>> LogLoss().n_outputs(["no", "yes"]), LogLoss().n_outputs(["a", "b", "c"])
    (1, 3)
    """

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def hyper(self):
        """Give [label_smoothing]."""
        self._check_number("label_smoothing", high=1)
        return [float(self.label_smoothing)]

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean; overwrites grad with w_i (p_i - q_i) / sum(w)."""
        total, smoothing = total_weight(weight), np.float64(hp[0])
        if out.shape[1] == 1:
            return _logistic(out, y, weight, total, smoothing, grad)
        return _softmax(out, y, weight, total, smoothing, grad)

    def proba(self, out):
        """Class probabilities (n, n_classes)."""
        return class_probabilities(out)


def _logistic(out, y, weight, total, smoothing, grad):
    """sum_i w_i (log(1 + exp(-m_i)) + s m_i / 2) / sum(w), for m = z or -z; overwrites grad."""
    one, zero, scale = out.dtype.type(1), out.dtype.type(0), out.dtype.type(1.0 / total)
    value, spread = 0.0, out.dtype.type(0.5 * smoothing)
    for i in range(out.shape[0]):
        w, sign = scale * weight[i], y[i, 0] + y[i, 0] - one
        margin = sign * out[i, 0]
        e = exp(-abs(margin))
        value += w * (spread * margin + (-margin if margin < zero else zero) + log1p(e))
        grad[i, 0] = w * sign * (spread - (one if margin < zero else e) / (one + e))
    return value


def _softmax(out, y, weight, total, smoothing, grad):
    """sum_i w_i (log sum_k exp(z_ik) - sum_k q_ik z_ik) / sum(w); overwrites grad."""
    value, n_out, scale = 0.0, out.shape[1], 1.0 / total
    kept, spread = 1.0 - smoothing, smoothing / n_out
    subtract_largest(out, grad)
    for i in range(out.shape[0]):
        w = scale * weight[i]
        value -= w * kept * grad[i, np.int64(y[i, 0])]
        if spread > 0:
            for j in range(n_out):
                value -= w * spread * grad[i, j]
    exponentiate(grad)
    for i in range(out.shape[0]):
        w, s = scale * weight[i], 0.0
        for j in range(n_out):
            s += grad[i, j]
        value += w * log(s)
        share, even = grad.dtype.type(w / s), grad.dtype.type(w * spread)
        for j in range(n_out):
            grad[i, j] = share * grad[i, j] - even
        grad[i, np.int64(y[i, 0])] -= w * kept
    return value
