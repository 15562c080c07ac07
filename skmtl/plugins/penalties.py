"""Penalties R(theta) on weights and R(g) on feature maps. Biases are free unless stated."""

from skmtl.plugins.base import Penalty


class L2(Penalty):
    r"""Half the squared length of the weights, :math:`\frac12 \sum_j \theta_j^2`.

    Examples
    --------
    >>> from skmtl.plugins.penalties import L2
    >>> L2()
    L2()
    """

    @staticmethod
    def value_grad(theta, layout, strength, hp, grad):
        """strength / 2 sum theta_j^2; adds strength theta_j."""
        total = 0.0
        for b in range(layout.shape[0]):
            start = layout[b, 0]
            for j in range(start, start + layout[b, 1] * layout[b, 2]):
                total += theta[j] * theta[j]
                grad[j] += strength * theta[j]
        return 0.5 * strength * total


class L1(Penalty):
    r"""Sum of the absolute weights, :math:`\sum_j |\theta_j|`, by its subgradient (0 at 0).

    Examples
    --------
    >>> from skmtl.plugins.penalties import L1
    >>> L1()
    L1()
    """

    @staticmethod
    def value_grad(theta, layout, strength, hp, grad):
        """strength sum |theta_j|; adds strength sign(theta_j)."""
        total = 0.0
        for b in range(layout.shape[0]):
            start = layout[b, 0]
            for j in range(start, start + layout[b, 1] * layout[b, 2]):
                total += abs(theta[j])
                if theta[j] > 0:
                    grad[j] += strength
                elif theta[j] < 0:
                    grad[j] -= strength
        return strength * total


class ElasticNet(Penalty):
    r"""A mixture of L1 and L2, :math:`\rho \|\theta\|_1 + \frac{1-\rho}{2} \|\theta\|_2^2`.

    Parameters
    ----------
    l1_ratio : float, default=0.5
        The share :math:`\rho` of the L1 part, from 0 to 1.

    References
    ----------
    .. [1] Zou and Hastie (2005). Regularization and variable selection via the elastic net.
       JRSS B 67(2), equation 4.

    Examples
    --------
    >>> from skmtl.plugins.penalties import ElasticNet
    >>> ElasticNet(l1_ratio=0.2).hyper()
    [0.2]
    """

    def __init__(self, l1_ratio=0.5):
        self.l1_ratio = l1_ratio

    def hyper(self):
        """Give [l1_ratio]."""
        self._check_positive("l1_ratio")
        if self.l1_ratio > 1:
            raise ValueError(
                "The 'l1_ratio' parameter of ElasticNet must be a number in [0, 1]. "
                f"Got {self.l1_ratio!r} instead."
            )
        return [float(self.l1_ratio)]

    @staticmethod
    def value_grad(theta, layout, strength, hp, grad):
        """The two parts of L1 and L2; adds their gradients."""
        l1_strength = strength * hp[0]
        l1 = l1_value_grad(theta, layout, l1_strength, hp, grad)
        return l1 + l2_value_grad(theta, layout, strength - l1_strength, hp, grad)


l1_value_grad = L1.value_grad
l2_value_grad = L2.value_grad


class IdentityAnchor(Penalty):
    r"""Keep a feature map near the identity, or, between unlike spaces, near an isometry.

    A square map A with offset b has :math:`\|A - I\|_F^2 + \|b\|^2`. A rectangular map has no
    identity to be near; there the penalty is :math:`\frac14 \|G - I\|_F^2 + \|b\|^2`, with G the
    Gram matrix of A on its smaller side: zero exactly where A is semi-orthogonal, near there the
    squared distance to these matrices, and smooth everywhere, which that distance is not.

    Examples
    --------
    >>> from skmtl.plugins.penalties import IdentityAnchor
    >>> IdentityAnchor()
    IdentityAnchor()
    """

    @staticmethod
    def value_grad(theta, layout, strength, hp, grad):
        """The distance of each block; adds its gradient."""
        value = 0.0
        for b in range(layout.shape[0]):
            start, n_in, n_out = layout[b, 0], layout[b, 1], layout[b, 2]
            bias = layout[b, 3]
            n_bias = n_in if layout[b, 4] == 2 else n_out
            if n_in == n_out:
                value += _identity_distance(theta, start, n_in, strength, grad)
            else:
                value += _isometry_distance(theta, start, n_in, n_out, strength, grad)
            if bias >= 0:
                for j in range(bias, bias + n_bias):
                    value += strength * theta[j] * theta[j]
                    grad[j] += 2 * strength * theta[j]
        return value


def _identity_distance(theta, start, n, strength, grad):
    """strength ||A - I||^2; adds 2 strength (A - I)."""
    total = 0.0
    for i in range(n):
        for j in range(n):
            k = start + i * n + j
            gap = theta[k] - 1 if i == j else theta[k]
            total += gap * gap
            grad[k] += 2 * strength * gap
    return strength * total


def _isometry_distance(theta, start, n_in, n_out, strength, grad):
    """strength / 4 ||A^T A - I||^2, A with its longer side first; adds strength A (A^T A - I)."""
    n_short, n_long = min(n_in, n_out), max(n_in, n_out)
    short_step, long_step = (1, n_out) if n_in > n_out else (n_out, 1)
    total = 0.0
    for p in range(n_short):
        for q in range(n_short):
            gap = 0.0 if p != q else -1.0
            for r in range(n_long):
                k = start + r * long_step
                gap += theta[k + p * short_step] * theta[k + q * short_step]
            total += gap * gap
            for r in range(n_long):
                k = start + r * long_step
                grad[k + q * short_step] += strength * gap * theta[k + p * short_step]
    return 0.25 * strength * total
