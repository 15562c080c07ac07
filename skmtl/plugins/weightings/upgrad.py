"""Weighting by projections onto the dual cone of the tasks' gradients."""

import numpy as np

from skmtl.plugins.base import Weighting
from skmtl.plugins.weightings._shared import gather, normalize, scatter, usable
from skmtl.plugins.weightings._solvers import NNLS_WORK, nnls


class UPGrad(Weighting):
    r"""Unconflicting projections: the mean of the gradients, each changed to hurt no other task.

    .. math:: \frac1T \sum_t \pi(g_t), \quad \pi(g) = \operatorname{argmin}_d \|d - g\|
        \quad \text{subject to} \quad \langle g_s, d \rangle \ge 0 \text{ for all } s

    Projection is exact: the coefficients of :math:`\pi(g_t)` are :math:`e_t + v` with v the
    solution of a non-negative least-squares problem in the Gram matrix. As in the paper the step
    has the scale of the mean, not of the sum, of the gradients: T times smaller than with uniform
    weights. T counts the tasks with labels in the batch. The time grows as :math:`T^4` or less.

    References
    ----------
    .. [1] Quinton and Rey (2024). Jacobian descent for multi-objective optimization.
       arXiv:2406.16232, equation 3 and proposition 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import UPGrad
    >>> UPGrad()
    UPGrad()
    """

    needs_gram = True

    def n_state(self, n_tasks):
        """Scratch."""
        quadratic, linear = NNLS_WORK
        return (2 + quadratic) * n_tasks * n_tasks + (4 + linear) * n_tasks

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w = 1 / T sum_t (e_t + v_t)."""
        if not usable(gram, n_labels, weights):
            return
        size, cut, eps = weights.size, 4 * weights.size, float(np.finfo(hp.dtype).eps)
        n = gather(gram, n_labels, state[:size], state[cut:])
        norms, w = state[:n], state[size : size + n]
        pull, v = state[2 * size : 2 * size + n], state[3 * size : 3 * size + n]
        g = state[cut : cut + n * n].reshape((n, n))
        cosines = state[cut + n * n : cut + 2 * n * n].reshape((n, n))
        normalize(g, norms, cosines)
        for t in range(n):
            w[t] = 1.0 / n
        for t in range(n):
            for s in range(n):
                pull[s] = -cosines[s, t]
            nnls(cosines, pull, eps, v, state[cut + 2 * n * n :])
            for s in range(n):
                if v[s] > 0:
                    w[s] += v[s] * norms[t] / norms[s] / n
        scatter(w, n_labels, weights)
