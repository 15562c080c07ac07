"""Weightings that solve a system of equations in the Gram matrix, to treat tasks alike."""

import math

import numpy as np

from skmtl.plugins.base import Weighting
from skmtl.plugins.linalg import eigh
from skmtl.plugins.weightings._shared import gather, normalize, scatter, usable
from skmtl.plugins.weightings._solvers import append_row, quadratic, solve_factored


class IMTLG(Weighting):
    r"""Gradient balance of impartial multi-task learning: equal projections on all gradients.

    .. math:: \Big\langle \sum_s w_s g_s, \frac{g_t}{\|g_t\|} \Big\rangle \text{ equal for all }
        t, \quad \sum_t w_t = 1

    For linearly dependent gradients by the pseudoinverse of the matrix of their cosines. Weights
    may be negative, and even the projections. Where a sum of 1 takes weights above 1e6 all weigh
    1 / T. Steps are about T times smaller than those of uniform weights.

    References
    ----------
    .. [1] Liu, Li, Kuang, Xue, Chen, Yang, Liao and Zhang (2021). Towards impartial multi-task
       learning. ICLR: IMTL-G.
    .. [2] Quinton and Rey (2024). Jacobian descent for multi-objective optimization.
       arXiv:2406.16232, for dependent gradients.

    Examples
    --------
    >>> from skmtl.plugins.weightings import IMTLG
    >>> IMTLG()
    IMTLG()
    """

    needs_gram = True

    def n_state(self, n_tasks):
        """Scratch."""
        return 3 * n_tasks * n_tasks + 3 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = x / |g| with cosines x = 1, scaled to a sum of 1."""
        if not usable(gram, n_labels, weights):
            return
        size, cut = weights.size, 3 * weights.size
        n = gather(gram, n_labels, state[:size], state[cut:])
        norms, w, values = state[:n], state[size : size + n], state[2 * size : 2 * size + n]
        g = state[cut : cut + n * n].reshape((n, n))
        a = state[cut + n * n : cut + 2 * n * n].reshape((n, n))
        vectors = state[cut + 2 * n * n : cut + 3 * n * n].reshape((n, n))
        normalize(g, norms, a)
        eigh(a, values, vectors)
        least = _rank_tolerance(values, float(np.finfo(hp.dtype).eps))
        for i in range(n):
            w[i] = 0.0
        for k in range(n):
            if values[k] > least:
                part = 0.0
                for i in range(n):
                    part += vectors[i, k] if norms[i] > 0 else 0.0
                for i in range(n):
                    w[i] += vectors[i, k] * part / values[k]
        total, size_of_w = 0.0, 0.0
        for i in range(n):
            w[i] = w[i] / norms[i] if norms[i] > 0 else 0.0
            total += w[i]
            size_of_w += abs(w[i])
        if abs(total) > 1e-6 * size_of_w:
            for i in range(n):
                w[i] /= total
            scatter(w, n_labels, weights)


class AlignedMTL(Weighting):
    r"""Aligned gradients: replace them by orthogonal ones of equal length, as near as can be.

    .. math:: w = \sqrt{\lambda_{\min}}\, V \Lambda^{-1/2} V^\top \tfrac1T 1, \quad
        G = V \Lambda V^\top

    over the eigenvalues above 0. As in TorchJD the step has the scale of a mean of gradients, the
    smallest singular value's, so it is T times smaller, or less, than that of uniform weights.

    References
    ----------
    .. [1] Senushkin, Patakin, Kuznetsov and Konushin (2023). Independent component alignment for
       multi-task learning. CVPR, algorithm 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import AlignedMTL
    >>> AlignedMTL()
    AlignedMTL()
    """

    needs_gram = True

    def n_state(self, n_tasks):
        """Scratch."""
        return 2 * n_tasks * n_tasks + 3 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = sqrt(lambda_min) G^{-1/2} 1 / T."""
        if not usable(gram, n_labels, weights):
            return
        size, cut = weights.size, 3 * weights.size
        n = gather(gram, n_labels, state[:size], state[cut:])
        w, values = state[size : size + n], state[2 * size : 2 * size + n]
        g = state[cut : cut + n * n].reshape((n, n))
        vectors = state[cut + n * n : cut + 2 * n * n].reshape((n, n))
        largest = 0.0
        for i in range(n):
            largest = max(largest, g[i, i])
        for i in range(n):
            w[i] = 0.0
            for j in range(n):
                g[i, j] /= largest
        eigh(g, values, vectors)
        least, smallest = _rank_tolerance(values, float(np.finfo(hp.dtype).eps)), np.inf
        for k in range(n):
            if values[k] > least:
                smallest = min(smallest, values[k])
        for k in range(n):
            if values[k] > least:
                part = 0.0
                for i in range(n):
                    part += vectors[i, k] / n
                for i in range(n):
                    w[i] += vectors[i, k] * part * math.sqrt(smallest / values[k])
        scatter(w, n_labels, weights)


def _rank_tolerance(values, eps):
    """The size up to which eigenvalues count as 0."""
    largest = 0.0
    for k in range(values.size):
        largest = max(largest, values[k])
    return 10.0 * values.size * eps * largest


class NashMTL(Weighting):
    r"""Nash bargaining: the step on which the tasks agree as bargaining players.

    .. math:: G w = 1 / w, \quad w > 0

    for :math:`G / \|G\|_F`, by Newton's method on the convex :math:`\frac12 w^\top G w - \sum_t
    \log w_t`. As in the authors' code a combined gradient longer than ``max_norm`` is cut to it.

    Parameters
    ----------
    update_every : int, default=1
        Steps between two solutions; those between use the last one.
    max_norm : float, default=1.0
        Greatest length of the combined gradient, above 0; infinite for no limit.

    References
    ----------
    .. [1] Navon, Shamsian, Achituve, Maron, Kawaguchi, Chechik and Fetaya (2022). Multi-task
       learning as a bargaining game. ICML, algorithm 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import NashMTL
    >>> NashMTL(update_every=10).hyper()
    [10.0, 1.0]
    """

    needs_gram = True

    def __init__(self, update_every=1, max_norm=1.0):
        self.update_every = update_every
        self.max_norm = max_norm

    def hyper(self):
        """Give [update_every, max_norm]."""
        self._check_number("update_every", low=1)
        self._check_number("max_norm", closed="right")
        return [float(self.update_every), float(self.max_norm)]

    def n_state(self, n_tasks):
        """The last solution, the steps since; scratch."""
        return 1 + 3 * n_tasks * n_tasks + 6 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w from G w = 1 / w, or the last one, cut to |sum_t w_t g_t| <= max_norm."""
        size = weights.size
        last, cut = state[1 : 1 + size], 1 + 3 * size
        if not usable(gram, n_labels, weights):
            return
        due = state[0] <= 0
        for t in range(size):
            if n_labels[t] > 0 and gram[t, t] > 0 and last[t] == 0:
                due = True
        if due:
            state[0] = float(hp[0])
            n = gather(gram, n_labels, state[1 + size : 1 + 2 * size], state[cut:])
            norms, x = state[1 + size : 1 + size + n], state[1 + 2 * size : 1 + 2 * size + n]
            g = state[cut : cut + n * n].reshape((n, n))
            cosines = state[cut + n * n : cut + 2 * n * n].reshape((n, n))
            _bargain(g, norms, float(np.finfo(hp.dtype).eps), x, cosines, state[cut + 2 * n * n :])
            scatter(x, n_labels, weights)
            for t in range(size):
                if n_labels[t] > 0:
                    last[t] = weights[t]
        state[0] -= 1
        for t in range(size):
            weights[t] = last[t] if n_labels[t] > 0 and gram[t, t] > 0 else 0.0
        length = math.sqrt(quadratic(gram, weights))
        if length > hp[1]:
            for t in range(size):
                weights[t] *= float(hp[1]) / length


def _bargain(g, norms, eps, w, cosines, work):
    """w = argmin w'Gw / 2 - sum log w for G / |G|_F, by damped Newton steps on x = w |g|.

    Without a minimum, where a combination of gradients is 0, that of the cosines plus a multiple
    of the identity the size of their rounding. Steps are relative, x (1 + r), which keeps the
    Hessian X C X + I well conditioned; it takes the place of G.
    """
    n, square, total = w.size, 0.0, 0.0
    chol, rest = work[: n * n].reshape((n, n)), work[n * n : n * n + n]
    order, move = work[n * n + n : n * n + 2 * n], work[n * n + 2 * n : n * n + 3 * n]
    normalize(g, norms, cosines)
    for i in range(n):
        cosines[i, i] = 1.0 + 10.0 * n * eps
        order[i] = i
        for j in range(n):
            square += g[i, j] * g[i, j]
            total += cosines[i, j]
    for i in range(n):
        w[i] = math.sqrt(n / max(total, 10.0 * n * eps))
    for _ in range(500):
        for i in range(n):
            rest[i] = 1.0
            for j in range(n):
                g[i, j] = w[i] * cosines[i, j] * w[j]
                rest[i] -= g[i, j]
            g[i, i] += 1.0
        for i in range(n):
            append_row(g, chol, order, i, i, 0.0)
        solve_factored(chol, rest, order, n, move)
        square_step = 0.0
        for i in range(n):
            square_step += rest[i] * move[i]
        decrement = math.sqrt(max(square_step, 0.0))
        fraction = 1.0 if decrement < 0.25 else 1.0 / (1.0 + decrement)
        for i in range(n):
            w[i] *= 1.0 + fraction * move[i]
        if decrement < 1e-9:
            break
    for i in range(n):
        w[i] = w[i] * square**0.25 / norms[i] if norms[i] > 0 else 0.0
