"""Weightings that look for a point in the convex hull of the tasks' gradients."""

import math

import numpy as np

from skmtl.plugins.base import Weighting
from skmtl.plugins.weightings._shared import gather, normalize, scatter, usable
from skmtl.plugins.weightings._solvers import MIN_NORM_WORK, min_norm, nnls, quadratic


def _min_norm_work(n):
    """Length of the scratch array of ``min_norm``."""
    return MIN_NORM_WORK[0] * n * n + MIN_NORM_WORK[1] * n


class MGDA(Weighting):
    r"""Multiple gradient descent: the shortest convex combination of the tasks' gradients.

    .. math:: \min_w \Big\| \sum_t w_t g_t \Big\|^2, \quad w \ge 0, \quad \sum_t w_t = 1

    A step along it reduces every task's loss, or there is no such direction. The weights sum to 1
    and favour the shortest gradients, so that steps are at most as long as the shortest of them.

    References
    ----------
    .. [1] Désidéri (2012). Multiple-gradient descent algorithm (MGDA) for multiobjective
       optimization. Comptes Rendus Mathématique 350.
    .. [2] Sener and Koltun (2018). Multi-task learning as multi-objective optimization. NeurIPS,
       equation 3.

    Examples
    --------
    >>> from skmtl.plugins.weightings import MGDA
    >>> MGDA()
    MGDA()
    """

    needs_gram = True

    def n_state(self, n_tasks):
        """Scratch."""
        return n_tasks * n_tasks + 2 * n_tasks + _min_norm_work(n_tasks)

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = argmin w'Gw over the simplex."""
        if not usable(gram, n_labels, weights):
            return
        size, cut = weights.size, 2 * weights.size
        n = gather(gram, n_labels, state[:size], state[cut:])
        w, g = state[size : size + n], state[cut : cut + n * n].reshape((n, n))
        min_norm(g, float(np.finfo(hp.dtype).eps), w, state[cut + n * n :])
        scatter(w, n_labels, weights)


class CAGrad(Weighting):
    r"""Conflict-averse gradient descent: help the worst-off task, near the mean gradient.

    .. math:: \max_d \min_t \langle g_t, d \rangle \quad \text{subject to} \quad
        \|d - g_0\| \le c \|g_0\|, \quad g_0 = \frac1T \sum_t g_t

    by its dual: :math:`d = g_0 + c \|g_0\| g_w / \|g_w\|` where w on the simplex minimises
    :math:`\langle g_w, g_0\rangle + c \|g_0\| \|g_w\|`, :math:`g_w = \sum_t w_t g_t`. Where
    :math:`g_w = 0` there, d is the direction nearest to :math:`g_0` that hurts no task. As in the
    paper the step has the scale of the mean, not of the sum, of the gradients: T times smaller
    than with uniform weights. T counts the tasks with labels in the batch.

    Parameters
    ----------
    c : float, default=0.5
        Radius, from 0 to 1e6; 0 is the mean gradient, with large c the direction is MGDA's.

    References
    ----------
    .. [1] Liu, Liu, Jin, Stone and Liu (2021). Conflict-averse gradient descent for multi-task
       learning. NeurIPS, equations 3 and 4, algorithm 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import CAGrad
    >>> CAGrad(c=0.2).hyper()
    [0.2]
    """

    needs_gram = True

    def __init__(self, c=0.5):
        self.c = c

    def hyper(self):
        """Give [c]."""
        self._check_number("c", closed="both", high=1e6)
        return [float(self.c)]

    def n_state(self, n_tasks):
        """Scratch."""
        return 2 * n_tasks * n_tasks + 3 * n_tasks + _min_norm_work(n_tasks)

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """weights = 1 / T + c |g0| / |gw| w."""
        c, eps = float(hp[0]), float(np.finfo(hp.dtype).eps)
        if not usable(gram, n_labels, weights) or c == 0:
            return
        size, cut = weights.size, 3 * weights.size
        n = gather(gram, n_labels, state[:size], state[cut:])
        norms, w, toward = state[:n], state[size : size + n], state[2 * size : 2 * size + n]
        g = state[cut : cut + n * n].reshape((n, n))
        shifted = state[cut + n * n : cut + 2 * n * n].reshape((n, n))
        work = state[cut + 2 * n * n :]
        length = _mean_direction(g, norms, toward)
        if length * length <= 10.0 * n * eps:
            return
        tau = _balance(g, toward, c, eps, w, shifted, work)
        if tau > 0:
            for i in range(n):
                w[i] = 1.0 / n + c * length / tau * w[i]
        else:
            _project_mean(g, norms, toward, length, c, eps, w, shifted, work)
        scatter(w, n_labels, weights)


def _mean_direction(g, norms, toward):
    """Scale gradients to a greatest norm of 1; toward_i = <g_i, g0> / |g0|; gives |g0|."""
    n, largest, square = norms.size, 0.0, 0.0
    for i in range(n):
        largest = max(largest, norms[i])
    for i in range(n):
        toward[i] = 0.0
        norms[i] /= largest
        for j in range(n):
            g[i, j] = g[i, j] / largest / largest
            toward[i] += g[i, j] / n
        square += toward[i] / n
    length = math.sqrt(max(square, 0.0))
    for i in range(n):
        toward[i] = toward[i] / length if length > 0 else 0.0
    return length


def _hull_norm(g, toward, shift, eps, w, shifted, work):
    """|gw| at the w of the hull's point nearest to -shift g0 / |g0|."""
    for i in range(w.size):
        for j in range(w.size):
            shifted[i, j] = g[i, j] + shift * (toward[i] + toward[j]) + shift * shift
    min_norm(shifted, eps, w, work)
    return math.sqrt(quadratic(g, w))


def _balance(g, toward, c, eps, w, shifted, work):
    """The w of the dual; gives |gw|, or 0 where gw = 0.

    |gw| = min_tau (|gw|^2 / tau + tau) / 2. With tau held, w is the hull's point nearest to
    -(tau / c) g0 / |g0|, and |gw| / tau falls with tau: the root of |gw| = tau is sought in
    log(tau) by regula falsi (Illinois).
    """
    low, high = math.log(100.0 * eps) / 2.0, 0.0
    at_low = _hull_norm(g, toward, math.exp(low) / c, eps, w, shifted, work) / math.exp(low) - 1.0
    if at_low <= 0:
        return 0.0
    at_high = _hull_norm(g, toward, 1.0 / c, eps, w, shifted, work) - 1.0
    at_low, tau, side = min(at_low, 1.0), 1.0, 0
    for _ in range(100):
        if at_high >= 0 or high - low < 1e-15:
            break
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        tau = math.exp(middle)
        gap = _hull_norm(g, toward, tau / c, eps, w, shifted, work) / tau - 1.0
        if abs(gap) < 1e-13:
            break
        if gap > 0:
            low, at_low = middle, min(gap, 1.0)
            at_high *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            high, at_high = middle, gap
            at_low *= 0.5 if side == -1 else 1.0
            side = -1
    return tau


def _project_mean(g, norms, toward, length, c, eps, w, cosines, work):
    """Weights of the direction nearest to g0 with <g_t, d> >= 0 for all t, within c |g0| of it."""
    n = w.size
    pull, move = work[:n], work[n : 2 * n]
    normalize(g, norms, cosines)
    for i in range(n):
        pull[i] = -toward[i] * length / norms[i] if norms[i] > 0 else 0.0
    nnls(cosines, pull, eps, move, work[2 * n :])
    for i in range(n):
        move[i] = move[i] / norms[i] if norms[i] > 0 else 0.0
    distance = math.sqrt(quadratic(g, move))
    shrink = min(1.0, c * length / distance) if distance > 0 else 1.0
    for i in range(n):
        w[i] = 1.0 / n + shrink * move[i]
