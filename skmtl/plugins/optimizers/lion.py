"""Lion."""

from skmtl.plugins.base import Optimizer


class Lion(Optimizer):
    r"""Lion: every parameter moves by the learning rate, in the direction of a sign.

    .. math:: \theta \leftarrow \theta - \eta \left(
       \operatorname{sign}(\beta_1 m + (1 - \beta_1) g) + \lambda \theta \right), \quad
       m \leftarrow \beta_2 m + (1 - \beta_2) g

    As no step is short, it wants a learning rate three to ten times smaller than Adam's and one
    that decreases in the end, and a weight decay as much larger. A parameter without gradient so
    far stays, but for the decay.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9, 0.99
        The share of the running mean in the direction, and its decay; from 0 to 1, 1 excluded.
    weight_decay : float, default=0.0
        A step multiplies the parameters, biases included, by ``1 - lr * weight_decay``.

    References
    ----------
    .. [1] Chen et al. (2023). Symbolic discovery of optimization algorithms. NeurIPS, program 1
       and section 5.

    Examples
    --------
    >>> from skmtl.plugins.optimizers import Lion
    >>> Lion(weight_decay=0.1).hyper()
    [0.9, 0.99, 0.1]
    """

    n_slots = 1

    def __init__(self, beta_1=0.9, beta_2=0.99, weight_decay=0.0):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.weight_decay = weight_decay

    def hyper(self):
        """Give [beta_1, beta_2, weight_decay]."""
        self._check_number("beta_1", "beta_2", high=1)
        self._check_number("weight_decay")
        return [float(self.beta_1), float(self.beta_2), float(self.weight_decay)]

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """One step; state[0] is the running mean."""
        one, zero = hp.dtype.type(1), hp.dtype.type(0)
        beta_1, beta_2, keep = hp[0], hp[1], one - lr * hp[2]
        mean = state[0]
        for j in range(theta.size):
            g = grad[j]
            c = beta_1 * mean[j] + (one - beta_1) * g
            mean[j] = beta_2 * mean[j] + (one - beta_2) * g
            move = lr if c > zero else (-lr if c < zero else c)  # c is zero, or NaN
            theta[j] = keep * theta[j] - move
