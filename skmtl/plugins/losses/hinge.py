"""Hinge loss."""

import math

import numpy as np

from skmtl.plugins.base import ClassificationLoss
from skmtl.plugins.losses._shared import class_probabilities, total_weight


class MulticlassHinge(ClassificationLoss):
    r"""Hinge loss: the right class has to win by a margin of one.

    .. math:: \frac{1}{\sum_i w_i} \sum_i w_i \max(0, 1 - m_i), \quad
       m_i = z_{i, y_i} - \max_{k \ne y_i} z_{ik}

    Two classes have one output, and :math:`m_i = z_i` or :math:`-z_i`. Rows beyond the margin do
    not count. Where the loss has a kink, its gradient is the one of least length, or that of the
    first of several rivals.

    Predicted probabilities are the softmax of the outputs. They rank the classes and the most
    probable class is that of the largest output, but they do not estimate frequencies: the hinge
    loss tells which class is more frequent, not by how much.

    Parameters
    ----------
    squared : bool, default=False
        Whether to take the square of :math:`\max(0, 1 - m_i)`, which is smooth for two classes.

    References
    ----------
    .. [1] Crammer and Singer (2001). On the algorithmic implementation of multiclass kernel-based
       vector machines. JMLR 2, pages 265-292.

    Examples
    --------
    >>> from skmtl.plugins.losses import MulticlassHinge
    >>> MulticlassHinge(squared=True).hyper()
    [1.0]
    """

    def __init__(self, squared=False):
        self.squared = squared

    def hyper(self):
        """Give [squared]."""
        self._check_option("squared", (False, True))
        return [float(self.squared)]

    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Weighted mean; overwrites grad, of which a row has at most two numbers but zero."""
        total, n_out, squared = total_weight(weight), out.shape[1], hp[0] > 0
        value = 0.0
        for i in range(out.shape[0]):
            w = weight[i] / total
            code, rival = int(y[i, 0]), -1
            if n_out == 1:
                lack = 1.0 - (2.0 * code - 1.0) * out[i, 0]
            else:
                for j in range(n_out):
                    grad[i, j] = 0
                    if j != code and (
                        rival < 0 or out[i, j] > out[i, rival] or math.isnan(out[i, j])
                    ):
                        rival = j
                lack = 1.0 - (np.float64(out[i, code]) - out[i, rival])
            if lack < 0.0:  # and not max(), which may swallow NaN
                lack = 0.0
            slope = w
            if squared:
                slope = 2.0 * w * lack
            elif lack == 0.0:
                slope = 0.0
            value += w * (lack * lack if squared else lack)
            if n_out == 1:
                grad[i, 0] = slope * (1.0 - 2.0 * code)
            else:
                grad[i, rival] = slope
                grad[i, code] = -slope
        return value

    def proba(self, out):
        """Softmax of the outputs, (n, n_classes); not calibrated."""
        return class_probabilities(out)
