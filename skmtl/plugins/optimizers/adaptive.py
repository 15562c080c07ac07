"""Steps scaled by the size of past gradients, parameter by parameter."""

import numpy as np

from skmtl.plugins.base import Optimizer
from skmtl.plugins.optimizers._shared import root


class Adagrad(Optimizer):
    r"""Adagrad: steps shrink with the sum of all squared gradients of a parameter so far.

    .. math:: s \leftarrow s + g^2, \quad \theta \leftarrow \theta - \eta g / (\sqrt s + \epsilon)

    So parameters that rarely get a gradient, those of rare words say, take longer steps. The first
    step is of length :math:`\eta`, the t-th of about :math:`\eta / \sqrt t`: the learning rate
    wants to be larger than Adam's, 0.01 or more.

    Parameters
    ----------
    epsilon : float, default=1e-10
        Keeps the division stable; the default is PyTorch's.

    References
    ----------
    .. [1] Duchi, Hazan and Singer (2011). Adaptive subgradient methods for online learning and
       stochastic optimization. JMLR 12, figure 1 with diagonal matrices.

    Examples
    --------
    >>> from skmtl.plugins.optimizers import Adagrad
    >>> Adagrad().hyper()
    [1e-10]
    """

    n_slots = 1

    def __init__(self, epsilon=1e-10):
        self.epsilon = epsilon

    def hyper(self):
        """Give [epsilon]."""
        self._check_number("epsilon", closed="neither")
        return [float(self.epsilon)]

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """One step; state[0] is the sum of squares."""
        one, tiny = hp.dtype.type(1), hp.dtype.type(np.finfo(hp.dtype).tiny)
        epsilon, total = hp[0], state[0]
        for j in range(theta.size):
            g = grad[j]
            s = total[j] + g * g
            total[j] = s
            theta[j] -= lr * g / (root(s, one, tiny) + epsilon)

    @staticmethod
    def catch_up(theta, grad, state, rows, since, width, first, step, decay, lr, hp, work):
        """Without gradient nothing moves; with weight decay the steps come one by one."""
        squares = 0.0
        for i in range(rows.size):
            start, end = rows[i] * width, (rows[i] + 1) * width
            w, dw, total = theta[start:end], grad[start:end], state[0, start:end]
            for _ in range(step - since[i] if decay > 0 else 1):
                squares += _adagrad_row(w, dw, total, decay, lr, hp[0])
        return squares


class RMSprop(Optimizer):
    r"""RMSprop: steps scaled by a running mean of squared gradients.

    .. math:: v \leftarrow \rho v + (1 - \rho) g^2, \quad
       b \leftarrow m b + g / (\sqrt v + \epsilon), \quad \theta \leftarrow \theta - \eta b

    These are the formulas and defaults of PyTorch; the momentum m gathers scaled gradients.

    Parameters
    ----------
    decay : float, default=0.99
        Decay :math:`\rho` of the running mean, from 0 to 1, 1 excluded.
    momentum : float, default=0.0
        From 0 to 1, 1 excluded.
    epsilon : float, default=1e-8
        Keeps the division stable.

    References
    ----------
    .. [1] Tieleman and Hinton (2012). Lecture 6.5: rmsprop. Coursera, Neural networks for machine
       learning.

    Examples
    --------
    >>> from skmtl.plugins.optimizers import RMSprop
    >>> RMSprop(momentum=0.9).hyper()
    [0.99, 0.9, 1e-08]
    """

    n_slots = 2

    def __init__(self, decay=0.99, momentum=0.0, epsilon=1e-8):
        self.decay = decay
        self.momentum = momentum
        self.epsilon = epsilon

    def hyper(self):
        """Give [decay, momentum, epsilon]."""
        self._check_number("decay", "momentum", high=1)
        self._check_number("epsilon", closed="neither")
        return [float(self.decay), float(self.momentum), float(self.epsilon)]

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """One step; state holds the running mean and the velocity."""
        one, tiny = hp.dtype.type(1), hp.dtype.type(np.finfo(hp.dtype).tiny)
        decay, momentum, epsilon = hp[0], hp[1], hp[2]
        square, velocity = state[0], state[1]
        for j in range(theta.size):
            g = grad[j]
            v = decay * square[j] + (one - decay) * g * g
            b = momentum * velocity[j] + g / (root(v, one, tiny) + epsilon)
            square[j] = v
            velocity[j] = b
            theta[j] -= lr * b


def _adagrad_row(theta, grad, total, decay, lr, epsilon):
    """One step of a row, whose gradient is then zero; gives sum_j theta_j^2 before it."""
    squares = theta.dtype.type(0)
    for j in range(theta.size):
        w = theta[j]
        squares += w * w
        g = grad[j] + decay * w
        s = total[j] + g * g
        total[j] = s
        theta[j] = w - lr * g / (np.sqrt(s) + epsilon)
        grad[j] = 0
    return np.float64(squares)
