"""Optimizers."""

import numpy as np

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

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """One step; state[0] is the velocity."""
        momentum, nesterov = hp[0], hp[1] > 0
        for j in range(theta.size):
            velocity = momentum * state[0, j] - lr * grad[j]
            state[0, j] = velocity
            theta[j] += momentum * velocity - lr * grad[j] if nesterov else velocity


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the two running means, from 0 to 1, 1 excluded.
    epsilon : float, default=1e-8
        Keeps the division stable.

    References
    ----------
    .. [1] Kingma and Ba (2015). Adam: a method for stochastic optimization. ICLR, algorithm 1 in
       the form that ends section 2.

    Examples
    --------
    >>> from skmtl.plugins.optimizers import Adam
    >>> Adam(beta_1=0.8).hyper()
    [0.8, 0.999, 1e-08]
    """

    n_slots = 2

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def hyper(self):
        """Give [beta_1, beta_2, epsilon]."""
        self._check_number("beta_1", "beta_2", high=1)
        self._check_number("epsilon", closed="neither")
        return [float(self.beta_1), float(self.beta_2), float(self.epsilon)]

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """One step; state holds the two running means."""
        one = hp.dtype.type(1)
        beta_1, beta_2, epsilon = hp[0], hp[1], hp[2]
        unbias = np.sqrt(1.0 - beta_2 ** (step + 1.0)) / (1.0 - beta_1 ** (step + 1.0))
        rate = hp.dtype.type(lr * unbias)
        mean, square = state[0], state[1]
        for j in range(theta.size):
            g = grad[j]
            m = beta_1 * mean[j] + (one - beta_1) * g
            v = beta_2 * square[j] + (one - beta_2) * g * g
            mean[j] = m
            square[j] = v
            theta[j] -= rate * m / (np.sqrt(v) + epsilon)


class AdamW(Adam):
    """Adam with decoupled weight decay: every step also shrinks all parameters.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the two running means, from 0 to 1, 1 excluded.
    epsilon : float, default=1e-8
        Keeps the division stable.
    weight_decay : float, default=1e-2
        A step multiplies the parameters, biases included, by ``1 - lr * weight_decay``.

    References
    ----------
    .. [1] Loshchilov and Hutter (2019). Decoupled weight decay regularization. ICLR,
       algorithm 2.

    Examples
    --------
    >>> from skmtl.plugins.optimizers import AdamW
    >>> AdamW(weight_decay=0.1).hyper()
    [0.9, 0.999, 1e-08, 0.1]
    """

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=1e-2):
        super().__init__(beta_1, beta_2, epsilon)
        self.weight_decay = weight_decay

    def hyper(self):
        """Give [beta_1, beta_2, epsilon, weight_decay]."""
        self._check_number("weight_decay")
        return [*super().hyper(), float(self.weight_decay)]

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """Decay, then Adam."""
        keep = hp.dtype.type(1) - lr * hp[3]
        for j in range(theta.size):
            theta[j] *= keep
        adam_step(theta, grad, state, lr, step, hp)


adam_step = Adam.step
