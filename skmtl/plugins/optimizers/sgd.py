"""Stochastic gradient descent."""

import numpy as np

from skmtl.engine.prefetch import prefetch_row
from skmtl.plugins.base import Optimizer


class SGD(Optimizer):
    r"""Stochastic gradient descent with momentum, as in scikit-learn's MLP.

    .. math:: v \leftarrow m v - \eta g, \quad \theta \leftarrow \theta + v

    and with Nesterov's momentum :math:`\theta \leftarrow \theta + m v - \eta g` for the new v.

    Parameters
    ----------
    momentum : float, default=0.9
        From 0 to 1, 1 excluded.
    nesterov : bool, default=True
        Whether to look ahead along the velocity.

    References
    ----------
    .. [1] Sutskever et al. (2013). On the importance of initialization and momentum in deep
       learning. ICML, equations 1 to 4.

    Examples
    --------
    >>> from skmtl.plugins.optimizers import SGD
    >>> SGD(momentum=0.5).hyper()
    [0.5, 1.0]
    """

    n_slots = 1

    def __init__(self, momentum=0.9, nesterov=True):
        self.momentum = momentum
        self.nesterov = nesterov

    def hyper(self):
        """Give [momentum, nesterov]."""
        self._check_number("momentum", high=1)
        return [float(self.momentum), float(self.nesterov)]

    def step_length(self):
        """Give 1 / (1 - momentum)."""
        return 1 / (1 - self.momentum)

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """One step; state[0] is the velocity."""
        momentum, nesterov = hp[0], hp[1] > 0
        for j in range(theta.size):
            velocity = momentum * state[0, j] - lr * grad[j]
            state[0, j] = velocity
            theta[j] += momentum * velocity - lr * grad[j] if nesterov else velocity

    @staticmethod
    def catch_up(theta, grad, state, rows, since, width, first, step, decay, lr, hp, work):
        """Steps one by one: a row of the velocity is near, where all of it would not be."""
        squares = 0.0
        for i in range(rows.size):
            prefetch_row(theta, grad, state, rows, i, width)
            start, end = rows[i] * width, (rows[i] + 1) * width
            w, dw, velocity = theta[start:end], grad[start:end], state[0, start:end]
            for _ in range(step - since[i]):
                squares += _sgd_row(w, dw, velocity, decay, lr, hp[0], hp[1] > 0)
        return squares


def _sgd_row(theta, grad, velocity, decay, lr, momentum, nesterov):
    """One step of a row, whose gradient is then zero; gives sum_j theta_j^2 before it."""
    squares = theta.dtype.type(0)
    for j in range(theta.size):
        w = theta[j]
        squares += w * w
        g = lr * (grad[j] + decay * w)
        v = momentum * velocity[j] - g
        velocity[j] = v
        theta[j] = w + (momentum * v - g if nesterov else v)
        grad[j] = 0
    return np.float64(squares)
