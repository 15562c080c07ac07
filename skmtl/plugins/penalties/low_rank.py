"""Penalties on the singular values of the task matrix: the output layers of all heads."""

import math

import numpy as np

from skmtl.plugins.base import COLUMNS, OFFSET, OUTPUT, OWN, ROLE, ROWS, Penalty
from skmtl.plugins.linalg import scale_spectrum, spectral_size, spectral_views, spectrum

# Below this, relative to the largest, a squared singular value is taken for rounding noise.
NOISE = 1e-14


def task_matrix(layout):
    """Where the stacked output layers lie, and their shape: a row for each output."""
    start, n_rows, n_columns = 0, 0, 0
    for b in range(layout.shape[0]):
        if layout[b, ROLE] == OUTPUT:
            if n_rows == 0:
                start, n_columns = layout[b, OFFSET], layout[b, COLUMNS]
            n_rows += layout[b, ROWS]
    return start, n_rows, n_columns


def check_outputs(penalty, blocks):
    """Raise ValueError if there is no output layer to penalise."""
    if not (blocks[:, ROLE] == OUTPUT).any():
        raise ValueError(
            f"{type(penalty).__name__} acts on the output layers of the tasks, and there is none: "
            "use it as penalty= of the network, not as map_penalty=."
        )


def polar_factor(work, n_rows, n_columns):
    """Give the sum of the singular values of a, and write U V^T.

    The flat buffer ``work``, see ``spectral_views``, begins with a, and then has the result.
    """
    a, out, gram, scaled, vectors, values = spectral_views(work, n_rows, n_columns)
    spectrum(a, gram, values, vectors)
    largest, total = 0.0, 0.0
    for k in range(values.size):
        largest = max(largest, values[k])
    for k in range(values.size):
        sigma = math.sqrt(values[k])
        total += sigma
        values[k] = 0.0 if values[k] <= NOISE * largest else 1.0 / sigma
    scale_spectrum(a, values, vectors, scaled, gram, out)
    return total


def clip_spectrum(work, n_rows, n_columns, most):
    """Write a with no singular value above ``most``; ``work`` as in ``polar_factor``."""
    a, out, gram, scaled, vectors, values = spectral_views(work, n_rows, n_columns)
    spectrum(a, gram, values, vectors)
    for k in range(values.size):
        sigma = math.sqrt(values[k])
        values[k] = min(1.0, most / sigma) if sigma > 0 else 0.0
    scale_spectrum(a, values, vectors, scaled, gram, out)


class TraceNorm(Penalty):
    r"""Few directions that all tasks share: the trace norm, :math:`\sum_k \sigma_k(W)`.

    W holds the output layers of all heads, a row for each output, and :math:`\sigma_k` are its
    singular values. The convex stand-in for the rank of W: the tasks' weights end in a space of few
    dimensions. Hidden layers and biases are free.

    Singular values and vectors come from an eigendecomposition, in double precision, of the Gram
    matrix of the smaller side, n. It costs of the order of :math:`10 n^3` operations a step, and
    singular values below about 1e-8 of the largest are not told from zero; the value and the
    proximal step are good to 1e-8 of the largest.

    References
    ----------
    .. [1] Ji and Ye (2009). An accelerated gradient method for trace norm minimization. ICML,
       theorem 3.1: the proximal step.
    .. [2] Cai, Candes and Shen (2010). A singular value thresholding algorithm for matrix
       completion. SIAM Journal on Optimization 20(4), theorem 2.1.
    .. [3] Argyriou, Evgeniou and Pontil (2008). Convex multi-task feature learning. Machine
       Learning 73(3), section 3.

    Examples
    --------
    >>> from skmtl.plugins.penalties import TraceNorm
    >>> TraceNorm()
    TraceNorm()
    """

    def n_work(self, layout):
        """Give room for W, its Gram matrix and its singular vectors."""
        _, n_rows, n_columns = task_matrix(layout)
        return spectral_size(n_rows, n_columns)

    def constants(self, start):
        """Give none; raise ValueError if there is no output layer."""
        check_outputs(self, start.blocks)
        return super().constants(start)

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength sum_k sigma_k; adds strength U V^T of the singular vectors."""
        start, n_rows, n_columns = task_matrix(layout)
        size = n_rows * n_columns
        for j in range(size):
            work[j] = theta[start + j]
        total = polar_factor(work, n_rows, n_columns)
        for j in range(size):
            grad[start + j] += strength * work[size + j]
        return strength * total

    @staticmethod
    def prox(theta, layout, step, hp, constants, work):
        """Every singular value goes toward zero by step, and ends there."""
        start, n_rows, n_columns = task_matrix(layout)
        size = n_rows * n_columns
        for j in range(size):
            work[j] = theta[start + j]
        clip_spectrum(work, n_rows, n_columns, step)
        for j in range(size):
            theta[start + j] -= work[size + j]


class SparseLowRank(Penalty):
    r"""Tasks that share few directions, but for some weights: a low-rank part and a sparse part.

    .. math:: R(W) = \min_Q \|W - Q\|_* + \rho \|Q\|_1

    W holds the output layers of all heads, a row for each output. ``TraceNorm`` pulls an odd task
    into the directions of the others; here what does not fit there goes to Q, at its price
    :math:`\rho`. From :math:`\rho = 1` on Q is zero and R the trace norm.

    Q is learned along with the network and starts at zero; the fitted estimator has it in
    ``penalty_coefs_``. Singular values are as good as in ``TraceNorm``. The proximal
    step, of W and Q together, has no closed form: it alternates between thresholding the singular
    values of W - Q and the entries of Q, which halves the distance to the solution every time, and
    ends below 1e-10 of the largest weight.

    Parameters
    ----------
    sparsity_weight : float > 0 or None, default=None
        Price :math:`\rho` of a weight in the sparse part. None for
        ``1 / sqrt(max(n_outputs, n_features))``, the price of [2]_.

    References
    ----------
    .. [1] Chen, Liu and Ye (2012). Learning incoherent sparse and low-rank patterns from multiple
       tasks. ACM Transactions on Knowledge Discovery from Data 5(4), equation 2.
    .. [2] Candes, Li, Ma and Wright (2011). Robust principal component analysis? Journal of the
       ACM 58(3), theorem 1.1.

    Examples
    --------
    >>> from skmtl.plugins.penalties import SparseLowRank
    >>> SparseLowRank(sparsity_weight=0.3)
    SparseLowRank(sparsity_weight=0.3)
    """

    def __init__(self, sparsity_weight=None):
        self.sparsity_weight = sparsity_weight

    def hyper(self):
        """Give the price, 0 for None."""
        if self.sparsity_weight is None:
            return [0.0]
        self._check_number("sparsity_weight", closed="neither")
        return [float(self.sparsity_weight)]

    def own_matrices(self, layout):
        """Give the shape of Q, that of the task matrix."""
        _, n_rows, n_columns = task_matrix(layout)
        return [(n_rows, n_columns)] if n_rows else []

    def n_work(self, layout):
        """Give room for singular values and vectors, and for Q as it was and as it becomes."""
        _, n_rows, n_columns = task_matrix(layout)
        return spectral_size(n_rows, n_columns) + n_rows * n_columns

    def constants(self, start):
        """Give none; raise ValueError if there is no output layer."""
        check_outputs(self, start.blocks)
        return super().constants(start)

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength (||W - Q||_* + rho ||Q||_1), and its subgradient by W and Q."""
        start, n_rows, n_columns = task_matrix(layout)
        size, own = n_rows * n_columns, own_matrix(layout)
        price = sparse_price(hp, n_rows, n_columns)
        for j in range(size):
            work[j] = theta[start + j] - theta[own + j]
        total = polar_factor(work, n_rows, n_columns)
        for j in range(size):
            grad[start + j] += strength * work[size + j]
            q = theta[own + j]
            total += price * abs(q)
            grad[own + j] += strength * (price * np.sign(q) - work[size + j])
        return strength * total

    @staticmethod
    def prox(theta, layout, step, hp, constants, work):
        """D = W - Q with singular values less step, Q = soft((W0 - D + Q0) / 2, step rho / 2)."""
        start, n_rows, n_columns = task_matrix(layout)
        size, own = n_rows * n_columns, own_matrix(layout)
        threshold = 0.5 * step * sparse_price(hp, n_rows, n_columns)
        q = work[spectral_size(n_rows, n_columns) :]
        largest = 0.0
        for j in range(size):
            q[j] = theta[own + j]
            largest = max(largest, abs(theta[start + j]), abs(q[j]))
        for _ in range(60):
            for j in range(size):
                work[j] = theta[start + j] - q[j]
            clip_spectrum(work, n_rows, n_columns, step)
            change = 0.0
            for j in range(size):
                # work[size + j] is W0 - Q - D.
                free = 0.5 * (work[size + j] + q[j] + theta[own + j])
                kept = np.sign(free) * max(abs(free) - threshold, 0.0)
                change = max(change, abs(kept - q[j]))
                q[j] = kept
            if not change > 1e-10 * largest:
                break
        for j in range(size):
            work[j] = theta[start + j] - q[j]
        clip_spectrum(work, n_rows, n_columns, step)
        for j in range(size):
            theta[start + j] -= work[size + j]
            theta[own + j] = q[j]


def own_matrix(layout):
    """Where the penalty's own matrix lies."""
    for b in range(layout.shape[0]):
        if layout[b, ROLE] == OWN:
            return layout[b, OFFSET]
    return -1


def sparse_price(hp, n_rows, n_columns):
    """rho, which is 1 / sqrt of the longer side by default."""
    return hp[0] if hp[0] > 0 else 1.0 / math.sqrt(max(n_rows, n_columns))
