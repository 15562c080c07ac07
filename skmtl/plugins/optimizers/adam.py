"""Adam and its relatives."""

import numpy as np

from skmtl.plugins.base import Optimizer
from skmtl.plugins.optimizers._shared import root
from skmtl.plugins.optimizers.catching_up import adam_catch_up, adamw_catch_up, n_work


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

    def n_catch_up_work(self, n_steps):
        """Give room for tables of the epoch's steps."""
        return n_work(n_steps)

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """One step; state holds the two running means."""
        _adam_step(theta, grad, state, lr, step, hp, hp.dtype.type(1))

    catch_up = staticmethod(adam_catch_up)


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
        """One step; state holds the two running means."""
        _adam_step(theta, grad, state, lr, step, hp, hp.dtype.type(1) - lr * hp[3])

    catch_up = staticmethod(adamw_catch_up)


class NAdam(Adam):
    r"""Adam with Nesterov's momentum: a step already counts the momentum of the next.

    .. math:: \theta \leftarrow \theta - \frac{\eta}{\sqrt{\hat v} + \epsilon} \left(
       \frac{\mu_{t+1} m}{1 - \prod_{i \le t+1} \mu_i}
       + \frac{(1 - \mu_t) g}{1 - \prod_{i \le t} \mu_i} \right), \quad
       \mu_t = \beta_1 \left(1 - \tfrac12 0.96^{\psi t}\right)

    for the running means m and v of Adam, :math:`\hat v = v / (1 - \beta_2^t)`, t from 1. These are
    the formulas of PyTorch, where m decays by :math:`\beta_1`; in [1]_ it decays by :math:`\mu_t`.

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay of the two running means, from 0 to 1, 1 excluded.
    epsilon : float, default=1e-8
        Keeps the division stable.
    momentum_decay : float, default=4e-3
        The rate :math:`\psi` at which the momentum grows from half of beta_1 to beta_1, from 0. By
        default half of the way is done after 4200 steps.

    References
    ----------
    .. [1] Dozat (2016). Incorporating Nesterov momentum into Adam. ICLR workshop, algorithm 2.

    Examples
    --------
    >>> from skmtl.plugins.optimizers import NAdam
    >>> NAdam().hyper()
    [0.9, 0.999, 1e-08, 0.004]
    """

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, momentum_decay=4e-3):
        super().__init__(beta_1, beta_2, epsilon)
        self.momentum_decay = momentum_decay

    def hyper(self):
        """Give [beta_1, beta_2, epsilon, momentum_decay]."""
        self._check_number("momentum_decay")
        return [*super().hyper(), float(self.momentum_decay)]

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """One step; state holds the two running means."""
        one, tiny = hp.dtype.type(1), hp.dtype.type(np.finfo(hp.dtype).tiny)
        beta_1, beta_2, epsilon = hp[0], hp[1], hp[2]
        now, soon, product = _momenta(np.float64(beta_1), 0.96 ** np.float64(hp[3]), step + 1)
        # sqrt(v) / correction is the root of v without its bias; numerator and epsilon carry it.
        correction = np.sqrt(1.0 - np.float64(beta_2) ** (step + 1.0))
        rate_m = hp.dtype.type(correction * lr * soon / (1.0 - product * soon))
        rate_g = hp.dtype.type(correction * lr * (1.0 - now) / (1.0 - product))
        small = hp.dtype.type(correction * epsilon)
        mean, square = state[0], state[1]
        for j in range(theta.size):
            g = grad[j]
            m = beta_1 * mean[j] + (one - beta_1) * g
            v = beta_2 * square[j] + (one - beta_2) * g * g
            mean[j] = m
            square[j] = v
            theta[j] -= (rate_m * m + rate_g * g) / (root(v, one, tiny) + small)


def _adam_step(theta, grad, state, lr, step, hp, keep):
    """Adam on parameters that first shrink to theta * keep."""
    one, tiny = hp.dtype.type(1), hp.dtype.type(np.finfo(hp.dtype).tiny)
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
        theta[j] = keep * theta[j] - rate * m / (root(v, one, tiny) + epsilon)


def _momenta(beta, decay, t):
    """mu_t, mu_{t+1} and mu_1 ... mu_t, for mu_i = beta (1 - decay^i / 2).

    The product ends early where it no longer counts beside 1, after some fifty factors mostly.
    """
    product, power = 1.0, 1.0
    for _ in range(t):
        power *= decay
        product *= beta * (1.0 - 0.5 * power)
        if product < 1e-17:
            break
    now, soon = decay**t, decay ** (t + 1)
    return beta * (1.0 - 0.5 * now), beta * (1.0 - 0.5 * soon), product
