"""Focal loss."""

import numpy as np
from scipy.special import log_softmax, softmax

from skmtl.engine.elementary import exp, log, log1p
from skmtl.plugins.base import ClassificationLoss
from skmtl.plugins.losses._shared import exponentiate, largest, subtract_largest, total_weight


class FocalLoss(ClassificationLoss):
    r"""Cross-entropy that passes over rows which are already classified well.

    .. math:: -\frac{1}{\sum_i w_i} \sum_i w_i (1 - p_{i, y_i})^\gamma \log p_{i, y_i}

    with p the softmax of the outputs, or the logistic function of the one output of two classes.

    Minimising it does not make p the frequencies :math:`\eta` of the classes, but
    :math:`\eta_k \propto p_k / \varphi(p_k)` with
    :math:`\varphi(p) = (1 - p)^\gamma - \gamma (1 - p)^{\gamma - 1} p \log p`. Predicted
    probabilities are these :math:`\eta` [2]_; the most probable class is the same.

    Parameters
    ----------
    gamma : float, default=2.0
        How strongly, from 0, which is the log loss.

    References
    ----------
    .. [1] Lin et al. (2017). Focal loss for dense object detection. ICCV, equation 4. Its factor
       alpha is what class weights are for.
    .. [2] Charoenphakdee et al. (2021). On focal loss for class-posterior probability estimation:
       a theoretical perspective. CVPR, the transformation Psi.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.plugins.losses import FocalLoss
    >>> FocalLoss(gamma=0.0).proba(np.log([[9.0, 1.0, 2.0]])).round(2)
    array([[0.75, 0.08, 0.17]])
    >>> FocalLoss(gamma=2.0).proba(np.log([[9.0, 1.0, 2.0]])).round(2)
    array([[0.95, 0.01, 0.03]])
    """

    def __init__(self, gamma=2.0):
        self.gamma = gamma

    def hyper(self):
        """Give [gamma]."""
        self._check_number("gamma")
        return [float(self.gamma)]

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean; overwrites grad with w_i phi(p_iy) (p_i - e_{y_i}) / sum(w)."""
        total, gamma = total_weight(weight), hp[0]
        if out.shape[1] == 1:
            return _logistic(out, y, weight, total, gamma, grad)
        return _softmax(out, y, weight, total, gamma, grad)

    def proba(self, out):
        """Class probabilities (n, n_classes)."""
        if out.shape[1] == 1:
            out = np.hstack([np.zeros_like(out), out])
        log_p = log_softmax(out.astype(np.float64), axis=1)
        q = np.maximum(-np.expm1(log_p), np.finfo(np.float64).tiny)  # its logarithm is finite
        log_phi = self.gamma * np.log(q) + np.log1p(-self.gamma * np.exp(log_p) * log_p / q)
        return softmax(log_p - log_phi, axis=1).astype(out.dtype)


def _logistic(out, y, weight, total, gamma, grad):
    """For p the logistic function of z or -z; overwrites grad."""
    one, zero, scale = out.dtype.type(1), out.dtype.type(0), out.dtype.type(1.0 / total)
    value = 0.0
    for i in range(out.shape[0]):
        w, sign = scale * weight[i], y[i, 0] + y[i, 0] - one
        margin = sign * out[i, 0]
        e = exp(-abs(margin))
        larger = one / (one + e)
        smaller = e * larger
        p, q = (smaller, larger) if margin < zero else (larger, smaller)
        loss = log1p(e) + (-margin if margin < zero else zero)
        power = exp(gamma * log(q))
        value += w * (power * loss)
        grad[i, 0] = -sign * w * q * _phi(power, p, q, loss, gamma)
    return value


def _softmax(out, y, weight, total, gamma, grad):
    """For p the softmax of the outputs; overwrites grad."""
    subtract_largest(out, grad)
    exponentiate(grad)
    value, n_out, scale = 0.0, out.shape[1], 1.0 / total
    for i in range(out.shape[0]):
        w, code, others = scale * weight[i], int(y[i, 0]), 0.0
        own = np.float64(grad[i, code])
        for j in range(n_out):
            others += 0.0 if j == code else grad[i, j]
        s = others + own
        # log(s) would lose what little the others have beside a winner's 1.
        log_s = log1p(others) if own == 1.0 and others < 1.0 else log(s)
        loss, q = log_s - (out[i, code] - largest(out, i)), others / s
        power = exp(gamma * log(q))
        value += w * power * loss
        slope = w * _phi(power, own / s, q, loss, gamma)
        share = grad.dtype.type(slope / s)
        for j in range(n_out):
            grad[i, j] *= share
        grad[i, code] = -slope * q
    return value


def _phi(power, p, q, loss, gamma):
    """-p d/dp (q^gamma loss) for power = q^gamma, q = 1 - p, loss = -log p.

    Where q is 0, loss / q is 1, its limit.
    """
    none = q == 0
    return power + power * gamma * p * ((p if none else loss) / (p if none else q))
