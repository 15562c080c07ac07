"""Focal loss."""

import math

import numpy as np
from scipy.special import log_softmax, softmax

from skmtl.plugins.base import ClassificationLoss
from skmtl.plugins.losses._shared import total_weight


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
        total, n_out, gamma = total_weight(weight), out.shape[1], np.float64(hp[0])
        value = 0.0
        for i in range(out.shape[0]):
            w = weight[i] / total
            if n_out == 1:
                sign = 2.0 * y[i, 0] - 1.0
                z = sign * out[i, 0]
                e = math.exp(-abs(z))
                larger, smaller = 1.0 / (1.0 + e), e / (1.0 + e)
                p, q = (larger, smaller) if z >= 0 else (smaller, larger)
                loss = math.log1p(e) + max(-z, 0.0)
                value += w * q**gamma * loss
                grad[i, 0] = -sign * w * q * _phi(p, q, loss, gamma)
            else:
                code = int(y[i, 0])
                top = out[i, 0]
                for j in range(1, n_out):
                    top = max(top, out[i, j])
                others = 0.0
                for j in range(n_out):
                    e = np.exp(out[i, j] - top)
                    grad[i, j] = e
                    if j != code:
                        others += e
                own = np.float64(grad[i, code])
                s = others + own
                # log(s) would lose what little the others have beside a winner's 1.
                log_s = math.log1p(others) if out[i, code] == top else math.log(s)
                loss, q = log_s - (out[i, code] - top), others / s
                value += w * q**gamma * loss
                scale = w * _phi(own / s, q, loss, gamma)
                for j in range(n_out):
                    grad[i, j] *= scale / s
                grad[i, code] = -scale * q
        return value

    def proba(self, out):
        """Class probabilities (n, n_classes)."""
        if out.shape[1] == 1:
            out = np.hstack([np.zeros_like(out), out])
        log_p = log_softmax(out.astype(np.float64), axis=1)
        q = np.maximum(-np.expm1(log_p), np.finfo(np.float64).tiny)  # its logarithm is finite
        log_phi = self.gamma * np.log(q) + np.log1p(-self.gamma * np.exp(log_p) * log_p / q)
        return softmax(log_p - log_phi, axis=1).astype(out.dtype)


def _phi(p, q, loss, gamma):
    """-p d/dp (q^gamma loss) for q = 1 - p, loss = -log p; loss / q is 1 in the limit q = 0."""
    ratio = loss / q if q > 0.0 else 1.0
    return q**gamma * (1.0 + gamma * p * ratio)
