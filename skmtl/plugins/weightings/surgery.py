"""Weightings that change each task's gradient pair by pair, in coefficients of the gradients.

A changed gradient is ``sum_j c_j g_j``; ``inner_j`` is its inner product with g_j.
"""

import math

from skmtl.plugins.base import Weighting

NEARLY_PARALLEL = 1.0 - 1e-6  # cosines beyond are rounded off, or the step has no bound


class PCGrad(Weighting):
    r"""Gradient surgery: take from each gradient what conflicts with the others.

    For each task i, for the other tasks j in random order: if :math:`\langle g_i', g_j\rangle < 0`,

    .. math:: g_i' \leftarrow g_i' - \frac{\langle g_i', g_j\rangle}{\|g_j\|^2} g_j

    The step is :math:`\sum_i g_i'`; without conflicts all weigh 1.

    References
    ----------
    .. [1] Yu, Kumar, Gupta, Levine, Hausman and Finn (2020). Gradient surgery for multi-task
       learning. NeurIPS, algorithm 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import PCGrad
    >>> PCGrad()
    PCGrad()
    """

    needs_gram = True

    def n_state(self, n_tasks):
        """The order of the tasks, c and the inner products."""
        return 3 * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = sum over tasks i of the coefficients of g_i'."""
        n = weights.size
        order, c, inner = state[:n], state[n : 2 * n], state[2 * n : 3 * n]
        weights[:] = 0.0
        for i in range(n):
            if n_labels[i] > 0:
                _start(gram, i, c, inner)
                for p in range(_shuffle_others(n_labels, i, order, rng)):
                    j = int(order[p])
                    if inner[j] < 0 and gram[j, j] > 0:
                        _add(gram, j, -inner[j] / gram[j, j], c, inner)
                _add_coefficients(c, weights)


class GradVac(Weighting):
    r"""Gradient vaccine: turn gradients towards each other up to the cosine that they had so far.

    For each task i, for the other tasks j in random order: with :math:`\phi` the cosine of
    :math:`g_i'` and :math:`g_j`, and its moving average :math:`\hat\phi_{ij}`, which starts at 0,
    if :math:`\phi < \hat\phi_{ij}`

    .. math:: g_i' \leftarrow g_i' + \frac{\|g_i'\| \big(\hat\phi_{ij} \sqrt{1 - \phi^2} -
        \phi \sqrt{1 - \hat\phi_{ij}^2}\big)}{\|g_j\| \sqrt{1 - \hat\phi_{ij}^2}} \, g_j, \quad
        \hat\phi_{ij} \leftarrow (1 - \beta) \hat\phi_{ij} + \beta \phi

    which makes their cosine :math:`\hat\phi_{ij}`. Cosines are held within 1e-6 of ±1. The step is
    :math:`\sum_i g_i'`; where nothing is changed all weigh 1.

    Parameters
    ----------
    beta : float, default=0.01
        Weight of a new cosine in the moving average, from 0 to 1. With 0 the rule is PCGrad.

    References
    ----------
    .. [1] Wang, Tsvetkov, Firat and Cao (2021). Gradient vaccine: investigating and improving
       multi-task optimization in massively multilingual models. ICLR.

    Examples
    --------
    >>> from skmtl.plugins.weightings import GradVac
    >>> GradVac(beta=0.5).hyper()
    [0.5]
    """

    needs_gram = True

    def __init__(self, beta=0.01):
        self.beta = beta

    def hyper(self):
        """Give [beta]."""
        self._check_number("beta", high=1, closed="both")
        return [float(self.beta)]

    def n_state(self, n_tasks):
        """The moving averages; the order of the tasks, c and the inner products."""
        return n_tasks * (n_tasks + 3)

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = sum over tasks i of the coefficients of g_i'."""
        n, beta = weights.size, float(hp[0])
        target, order = state[: n * n].reshape((n, n)), state[n * n : n * n + n]
        c, inner = state[n * n + n : n * n + 2 * n], state[n * n + 2 * n : n * n + 3 * n]
        weights[:] = 0.0
        for i in range(n):
            if n_labels[i] > 0:
                _start(gram, i, c, inner)
                for p in range(_shuffle_others(n_labels, i, order, rng)):
                    j = int(order[p])
                    square = 0.0
                    for s in range(n):
                        square += c[s] * inner[s]
                    if square > 0 and gram[j, j] > 0:
                        length, other = math.sqrt(square), math.sqrt(gram[j, j])
                        phi, wanted = _bounded(inner[j] / length / other), target[i, j]
                        if phi < wanted:
                            sine = math.sqrt(1.0 - wanted * wanted)
                            turn = wanted * math.sqrt(1.0 - phi * phi) - phi * sine
                            _add(gram, j, length / other * turn / sine, c, inner)
                        target[i, j] += beta * (phi - wanted)
                _add_coefficients(c, weights)


def _bounded(cosine):
    """The cosine, not nearer to ±1 than NEARLY_PARALLEL."""
    return min(max(cosine, -NEARLY_PARALLEL), NEARLY_PARALLEL)


def _start(gram, i, c, inner):
    """c = e_i."""
    for j in range(c.size):
        c[j], inner[j] = 0.0, gram[i, j]
    c[i] = 1.0


def _add(gram, j, amount, c, inner):
    """c_j += amount."""
    c[j] += amount
    for s in range(c.size):
        inner[s] += amount * gram[j, s]


def _add_coefficients(c, weights):
    """w += c."""
    for j in range(c.size):
        weights[j] += c[j]


def _shuffle_others(n_labels, i, order, rng):
    """The present tasks but i, in random order (Fisher and Yates), in order[:n]; gives n."""
    n = 0
    for t in range(n_labels.size):
        if t != i and n_labels[t] > 0:
            order[n] = t
            n += 1
    for p in range(n - 1, 0, -1):
        other = int(rng.random() * (p + 1))
        order[p], order[other] = order[other], order[p]
    return n
