"""Weightings that learn their weights by gradient steps of their own, with Adam."""

import math

from skmtl.plugins.base import Weighting
from skmtl.plugins.weightings._shared import (
    add_to_epoch,
    count_present,
    descend,
    positive,
    softmax_present,
)

LIMIT = 30.0  # of the learned logarithms


class Uncertainty(Weighting):
    r"""Homoscedastic uncertainty: learned variances :math:`\sigma_t^2 = e^{s_t}` of the tasks.

    .. math:: \min_{s} \sum_t e^{-s_t} L_t + \tfrac12 s_t, \quad w_t = e^{-s_t}

    Weights start at 1 and go towards :math:`1 / (2 L_t)`. A task without labels in a batch keeps
    its :math:`s_t`.

    Parameters
    ----------
    lr : float, default=0.025
        Learning rate of Adam on s, above 0.

    References
    ----------
    .. [1] Kendall, Gal and Cipolla (2018). Multi-task learning using uncertainty to weigh losses
       for scene geometry and semantics. CVPR, equation 10.

    Examples
    --------
    >>> from skmtl.plugins.weightings import Uncertainty
    >>> Uncertainty(lr=0.01).hyper()
    [0.01]
    """

    def __init__(self, lr=0.025):
        self.lr = lr

    def hyper(self):
        """Give [lr]."""
        self._check_number("lr", closed="neither")
        return [float(self.lr)]

    def n_state(self, n_tasks):
        """A counter, s, its gradient and Adam's moments."""
        return 1 + 4 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = exp(-s), then a step on s."""
        _descend_scale(losses, n_labels, float(hp[0]), -1.0, 0.5, state, weights)


class IMTLL(Weighting):
    r"""Loss balance of impartial multi-task learning: learned scales that make losses equal.

    .. math:: \min_{s} \sum_t e^{s_t} L_t - s_t, \quad w_t = e^{s_t}

    Weights start at 1 and go towards :math:`1 / L_t`. A task without labels in a batch keeps its
    :math:`s_t`.

    Parameters
    ----------
    lr : float, default=0.025
        Learning rate of Adam on s, above 0.

    References
    ----------
    .. [1] Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang (2021). Towards impartial multi-task
       learning. ICLR: IMTL-L.

    Examples
    --------
    >>> from skmtl.plugins.weightings import IMTLL
    >>> IMTLL(lr=0.01).hyper()
    [0.01]
    """

    def __init__(self, lr=0.025):
        self.lr = lr

    def hyper(self):
        """Give [lr]."""
        self._check_number("lr", closed="neither")
        return [float(self.lr)]

    def n_state(self, n_tasks):
        """A counter, s, its gradient and Adam's moments."""
        return 1 + 4 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = exp(s), then a step on s."""
        _descend_scale(losses, n_labels, float(hp[0]), 1.0, -1.0, state, weights)


def _descend_scale(losses, n_labels, lr, sign, slope, state, weights):
    """w = exp(sign s), then a step of Adam on sum_t exp(sign s_t) L_t + slope s_t."""
    n = weights.size
    s, grad, moments = state[1 : 1 + n], state[1 + n : 1 + 2 * n], state[1 + 2 * n : 1 + 4 * n]
    for t in range(n):
        weights[t] = math.exp(sign * s[t]) if n_labels[t] > 0 else 0.0
        grad[t] = sign * weights[t] * losses[t] + slope if n_labels[t] > 0 else 0.0
    descend(s, grad, moments, lr, state[0])
    for t in range(n):
        s[t] = min(max(s[t], -LIMIT), LIMIT)
    state[0] += 1


class FAMO(Weighting):
    r"""Fast adaptive multitask optimization: learned weights that make all losses fall alike.

    .. math:: w_t = \frac{z_t / L_t}{\sum_s z_s / L_s}, \quad z = \mathrm{softmax}(\xi), \quad
        \xi \leftarrow \xi - \eta \big( J_z^\top (\log L - \log L^+) + \gamma \xi \big)

    by Adam, with :math:`J_z` the Jacobian of the softmax. :math:`L^+` are the losses after the
    step; the next batch's losses stand for them, so that no batch is computed twice. 1e-8 is added
    to each loss. The weights sum to 1, so that steps are T times smaller than those of uniform
    weights.

    Parameters
    ----------
    gamma : float, default=1e-3
        Pulls the weights together, 0 or above.
    lr : float, default=0.025
        Learning rate :math:`\eta > 0` of Adam on :math:`\xi`.

    References
    ----------
    .. [1] Liu, Feng, Stone and Liu (2023). FAMO: fast adaptive multitask optimization. NeurIPS,
       algorithm 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import FAMO
    >>> FAMO(gamma=0.01).hyper()
    [0.01, 0.025]
    """

    def __init__(self, gamma=1e-3, lr=0.025):
        self.gamma = gamma
        self.lr = lr

    def hyper(self):
        """Give [gamma, lr]."""
        self._check_number("gamma")
        self._check_number("lr", closed="neither")
        return [float(self.gamma), float(self.lr)]

    def n_state(self, n_tasks):
        """A counter, xi, its gradient, Adam's moments, last losses and whether there are any."""
        return 1 + 6 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """A step on xi by what the last step changed, then w from xi."""
        n, gamma, lr = weights.size, float(hp[0]), float(hp[1])
        xi, grad, moments = state[1 : 1 + n], state[1 + n : 1 + 2 * n], state[1 + 2 * n : 1 + 4 * n]
        last, seen = state[1 + 4 * n : 1 + 5 * n], state[1 + 5 * n : 1 + 6 * n]
        softmax_present(xi, n_labels, weights)
        mean, mass = 0.0, 0.0
        for t in range(n):
            if n_labels[t] > 0 and seen[t] > 0:
                mean += weights[t] * math.log(last[t] / positive(losses[t]))
                mass += weights[t]
        for t in range(n):
            grad[t] = 0.0
            if n_labels[t] > 0 and seen[t] > 0:
                change = math.log(last[t] / positive(losses[t]))
                grad[t] = weights[t] / mass * (change - mean / mass) + gamma * xi[t]
        if mass > 0:
            descend(xi, grad, moments, lr, state[0])
            state[0] += 1
        softmax_present(xi, n_labels, weights)
        total = 0.0
        for t in range(n):
            if n_labels[t] > 0:
                last[t], seen[t] = positive(losses[t]), 1.0
                weights[t] /= last[t]
                total += weights[t]
        for t in range(n):
            if n_labels[t] > 0:
                weights[t] /= total


class GradNorm(Weighting):
    r"""Gradient normalization: learned weights that make the tasks train at similar rates.

    .. math:: \min_w \sum_t \big| G_t - \bar G r_t^\alpha \big|, \quad G_t = w_t \|g_t\|, \quad
        r_t = \frac{L_t / L_t^{(0)}}{\frac1T \sum_s L_s / L_s^{(0)}}

    by Adam, with :math:`\bar G r_t^\alpha` held fixed, over :math:`w = T\, \mathrm{softmax}(v)`:
    the weights sum to T, those with labels in the batch. :math:`L_t^{(0)}` is the mean loss of the
    first epoch, in which all weigh 1. The weights combine the gradients by the shared parameters.

    Parameters
    ----------
    alpha : float, default=1.5
        How strongly tasks that lag are pulled ahead; 0 makes all gradients equally long.
    lr : float, default=0.025
        Learning rate of Adam on v, above 0.

    References
    ----------
    .. [1] Chen, Badrinarayanan, Lee and Rabinovich (2018). GradNorm: gradient normalization for
       adaptive loss balancing in deep multitask networks. ICML, equation 2 and algorithm 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import GradNorm
    >>> GradNorm(alpha=0.5).hyper()
    [0.5, 0.025]
    """

    needs_gram = True

    def __init__(self, alpha=1.5, lr=0.025):
        self.alpha = alpha
        self.lr = lr

    def hyper(self):
        """Give [alpha, lr]."""
        self._check_number("alpha")
        self._check_number("lr", closed="neither")
        return [float(self.alpha), float(self.lr)]

    def n_state(self, n_tasks):
        """Three counters, the sums of this epoch, L(0), v, its gradient and Adam's moments."""
        return 3 + 6 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = T softmax(v), then a step on v."""
        n, alpha, lr = weights.size, float(hp[0]), float(hp[1])
        counters, sums, first = state[:2], state[3 : 3 + n], state[3 + n : 3 + 2 * n]
        v, grad = state[3 + 2 * n : 3 + 3 * n], state[3 + 3 * n : 3 + 4 * n]
        moments = state[3 + 4 * n : 3 + 6 * n]
        if counters[1] == 0:
            for t in range(n):
                weights[t] = 1.0 if n_labels[t] > 0 else 0.0
            if add_to_epoch(losses, steps_per_epoch, counters, sums):
                for t in range(n):
                    first[t] = positive(sums[t]) if sums[t] > 0 else 0.0
            return
        softmax_present(v, n_labels, weights)
        n_present, length, rate = count_present(n_labels), 0.0, 0.0
        for t in range(n):
            if n_labels[t] > 0:
                if first[t] == 0:  # no label until now
                    first[t] = positive(losses[t])
                weights[t] *= n_present
                length += weights[t] * math.sqrt(max(gram[t, t], 0.0)) / n_present
                rate += positive(losses[t]) / first[t] / n_present
        if not 0 < length < math.inf:
            return
        total = 0.0
        for t in range(n):
            grad[t] = 0.0
            if n_labels[t] > 0:
                norm = math.sqrt(max(gram[t, t], 0.0)) / length
                gap = weights[t] * norm - (positive(losses[t]) / first[t] / rate) ** alpha
                if abs(gap) > 1e-6:  # below, rounding would choose the sign
                    grad[t] = weights[t] * (norm if gap > 0 else -norm)
                total += grad[t]
        for t in range(n):
            if n_labels[t] > 0:
                grad[t] -= weights[t] / n_present * total
        descend(v, grad, moments, lr, state[2])
        state[2] += 1
