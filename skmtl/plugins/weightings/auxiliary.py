"""Weightings for a main task and others that are there to help it."""

import math

from skmtl.plugins.base import Weighting
from skmtl.plugins.weightings._shared import count_present, descend, softmax_present


class ARML(Weighting):
    r"""Auxiliary task reweighting: tasks count as far as their gradients make up the main task's.

    .. math:: \min_w \Big\| g_0 - \sum_{s=1}^S w_s g_s \Big\|^2 \quad \text{subject to} \quad
        w_s \ge 0, \quad \sum_s w_s = S

    by Adam, one step a batch, over :math:`w = S\, \mathrm{softmax}(v)`, which starts at 1. The
    main task weighs 1: in a transfer the target, with the sources as the others; of several tasks
    the first. S counts the other tasks with labels in the batch. What pulls the shared parameters
    elsewhere than the main task does loses its weight; of tasks that are all alike each keeps some.
    A head in common says best what pulls elsewhere. At a trunk alone the lengths of the gradients
    matter more: there a task that has nothing to say may win weight by its small ones.

    The paper adds noise to the parameters (Langevin dynamics); here minibatches are the noise.

    Parameters
    ----------
    lr : float, default=0.025
        Learning rate of Adam on v, above 0.

    References
    ----------
    .. [1] Shi, Hoffman, Saenko, Darrell and Xu (2020). Auxiliary task reweighting for minimum-data
       learning. NeurIPS, section 3 and algorithm 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import ARML
    >>> ARML(lr=0.01).hyper()
    [0.01]
    """

    needs_gram = True
    has_main_task = True

    def __init__(self, lr=0.025):
        self.lr = lr

    def hyper(self):
        """Give [lr]."""
        self._check_number("lr", closed="neither")
        return [float(self.lr)]

    def n_state(self, n_tasks):
        """A counter, v, its gradient, Adam's moments and the softmax."""
        return 1 + 5 * (n_tasks - 1)

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """A step on v, then w = S softmax(v)."""
        n, lr = weights.size - 1, float(hp[0])
        v, grad, moments = state[1 : 1 + n], state[1 + n : 1 + 2 * n], state[1 + 2 * n : 1 + 4 * n]
        w, others = state[1 + 4 * n : 1 + 5 * n], n_labels[1:]
        n_present, largest = count_present(others), 0.0
        weights[0] = 1.0
        if n_present == 0:
            weights[1:] = 0.0
            return
        for t in range(n + 1):
            largest = max(largest, gram[t, t])
        if n_labels[0] > 0 and 0 < largest < math.inf:
            softmax_present(v, others, w)
            _slope(gram, n_present, largest, w, grad)
            descend(v, grad, moments, lr, state[0])
            state[0] += 1
        softmax_present(v, others, w)
        for s in range(n):
            weights[1 + s] = n_present * w[s]


def _slope(gram, n_present, largest, w, grad):
    """grad = the derivative of |g_0 - S sum_s w_s g_s|^2 / 2 by v, in units of S largest."""
    mean = 0.0
    for s in range(w.size):
        grad[s] = -gram[1 + s, 0] / largest
        for r in range(w.size):
            grad[s] += n_present * w[r] * (gram[1 + s, 1 + r] / largest)
        mean += w[s] * grad[s]
    for s in range(w.size):
        grad[s] = w[s] * (grad[s] - mean)
