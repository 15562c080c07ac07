"""Penalties that hold a network near the one that a source left."""

import numpy as np

from skmtl.plugins.base import BIAS, COLUMNS, OFFSET, OUTPUT, ROLE, ROWS, Penalty
from skmtl.plugins.penalties.norms import L2


class SourceAnchor(Penalty):
    r"""Half a weighted squared distance to the source's network.

    A subclass gives the weights :math:`c_j` of :math:`\frac12 \sum_j c_j (\theta_j -
    \theta^0_j)^2`, biases included, and has a parameter ``source_alpha``.
    """

    #: Whether the penalty makes sense only from weights that a source left.
    needs_pretrained = True

    def for_source(self):
        """Give L2 at strength ``source_alpha``."""
        self._check_number("source_alpha")
        return (L2(), float(self.source_alpha)) if self.source_alpha else None

    def constants(self, start):
        """Give the anchors of all parameters, then their weights."""
        name = type(self).__name__
        if start.pretrained is None or not start.pretrained.any():
            raise ValueError(
                f"{name} holds the network near the weights that a source left, and there are "
                "none: use a transfer's strategy='finetune' with X_source and y_source, or "
                "with source_model."
            )
        weight = self._weights(start, *penalised(start))
        anchor = np.where(start.pretrained, start.theta, 0)
        return np.concatenate([np.asarray(anchor, np.float64), weight])

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength / 2 sum_j c_j (theta_j - anchor_j)^2; adds its gradient."""
        total = 0.0
        for j in range(theta.size):
            weight = constants[theta.size + j]
            if weight > 0:
                gap = theta[j] - constants[j]
                total += weight * gap * gap
                grad[j] += strength * weight * gap
        return 0.5 * strength * total

    @staticmethod
    def prox(theta, layout, step, hp, constants, work):
        """theta_j = anchor_j + (theta_j - anchor_j) / (1 + step c_j): stable at any strength."""
        one = theta.dtype.type(1)
        for j in range(theta.size):
            weight = constants[theta.size + j]
            if weight > 0:
                gap = theta[j] - constants[j]
                theta[j] = constants[j] + gap / (one + step * weight)


class L2SP(SourceAnchor):
    r"""Stay near the source's weights: L2 with the starting point as reference.

    .. math:: \frac12 \sum_{j \in S} (\theta_j - \theta^0_j)^2
              + \frac{r}{2} \sum_{j \notin S} \theta_j^2

    S are the weights and biases that came from the source, :math:`\theta^0`, and r is
    ``new_ratio``; the second sum is over new weights, not over new biases. Infinite strength keeps
    the source's network, strength 0 is plain fine-tuning. Solvers other than "lbfgs" take it as a
    proximal step, which no strength makes unstable.

    Parameters
    ----------
    new_ratio : float, default=1.0
        Strength at weights that have no value from the source, as those of a head for new labels,
        relative to the strength at the others. In [1]_ it is :math:`\beta / \alpha`.
    source_alpha : float, default=1e-4
        Strength of the plain L2 penalty with which ``strategy="finetune"`` learns the source
        before. Weights that grew large on the source for want of it hold the target at its errors.

    References
    ----------
    .. [1] Li, Grandvalet and Davoine (2018). Explicit inductive bias for transfer learning with
       convolutional networks. ICML, equation 3.

    Examples
    --------
    >>> from skmtl.plugins.penalties import L2SP
    >>> L2SP(new_ratio=0.1).hyper()
    [0.1]
    """

    def __init__(self, new_ratio=1.0, source_alpha=1e-4):
        self.new_ratio = new_ratio
        self.source_alpha = source_alpha

    def hyper(self):
        """Give [new_ratio]."""
        self._check_number("new_ratio", "source_alpha")
        return [float(self.new_ratio)]

    def _weights(self, start, weights, biases):
        """1 at what is pretrained, new_ratio at new weights, 0 elsewhere."""
        old = start.pretrained & (weights | biases)
        return np.where(old, 1.0, np.where(weights, self.new_ratio, 0.0))


class EWC(SourceAnchor):
    r"""Stay near the source's weights where the source needs them: elastic weight consolidation.

    .. math:: \frac12 \sum_j \frac{F_j}{\bar F} (\theta_j - \theta^0_j)^2

    :math:`\theta^0` are the weights and biases that came from the source, and F is the diagonal of
    its Fisher information there: the mean over its rows of the squared gradient of
    :math:`\log p(y | x)` at the label that the row has. The mean :math:`\bar F` over these
    parameters makes strengths comparable with those of :class:`L2SP`, which has all
    :math:`F_j / \bar F = 1`. What is new is free. Solvers other than "lbfgs" take it as a proximal
    step, which no strength makes unstable.

    Parameters
    ----------
    source_alpha : float, default=1e-4
        Strength of the plain L2 penalty with which ``strategy="finetune"`` learns the source
        before.

    References
    ----------
    .. [1] Kirkpatrick et al. (2017). Overcoming catastrophic forgetting in neural networks. PNAS
       114(13), equation 3.

    Examples
    --------
    >>> from skmtl.plugins.penalties import EWC
    >>> EWC()
    EWC()
    """

    def __init__(self, source_alpha=1e-4):
        self.source_alpha = source_alpha

    def hyper(self):
        """Check source_alpha."""
        self._check_number("source_alpha")
        return []

    def _weights(self, start, weights, biases):
        """The Fisher information over its mean; ValueError where there is none."""
        if start.fisher is None:
            raise ValueError(
                "EWC weighs the source's weights by their Fisher information, which needs the "
                "source's rows: use a transfer's strategy='finetune' with X_source and "
                "y_source, or penalty='l2_sp'."
            )
        old = start.pretrained & (weights | biases)
        fisher = np.where(old, start.fisher(), 0.0).astype(np.float64)
        if not fisher.any():
            raise ValueError(
                "EWC: the source's Fisher information is zero everywhere, so that no weight "
                "matters to it; use penalty='l2_sp'."
            )
        return fisher / fisher[old].mean()


def penalised(start):
    """Which parameters are weights of the blocks, and which their biases."""
    weights, biases = np.zeros((2, start.theta.size), bool)
    for block in start.blocks:
        at, n_rows, n_columns, bias = block[[OFFSET, ROWS, COLUMNS, BIAS]]
        weights[at : at + n_rows * n_columns] = True
        if bias >= 0:
            biases[bias : bias + (n_rows if block[ROLE] == OUTPUT else n_columns)] = True
    return weights, biases
