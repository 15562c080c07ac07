"""Norms of the weights. Biases are free."""

from skmtl.plugins.base import COLUMNS, OFFSET, ROWS, Penalty


class L2(Penalty):
    r"""Half the squared length of the weights, :math:`\frac12 \sum_j \theta_j^2`.

    Examples
    --------
    >>> from skmtl.plugins.penalties import L2
    >>> L2()
    L2()
    """

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength / 2 sum theta_j^2; adds strength theta_j."""
        total = 0.0
        for b in range(layout.shape[0]):
            start = layout[b, OFFSET]
            for j in range(start, start + layout[b, ROWS] * layout[b, COLUMNS]):
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
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength sum |theta_j|; adds strength sign(theta_j)."""
        total = 0.0
        for b in range(layout.shape[0]):
            start = layout[b, OFFSET]
            for j in range(start, start + layout[b, ROWS] * layout[b, COLUMNS]):
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
        self._check_number("l1_ratio", high=1, closed="both")
        return [float(self.l1_ratio)]

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """The two parts of L1 and L2; adds their gradients."""
        l1_strength = strength * hp[0]
        l2_strength = strength - l1_strength
        l1 = l1_value_grad(theta, layout, l1_strength, hp, constants, work, grad)
        return l1 + l2_value_grad(theta, layout, l2_strength, hp, constants, work, grad)


l1_value_grad = L1.value_grad
l2_value_grad = L2.value_grad
