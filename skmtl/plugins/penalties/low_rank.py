"""Penalties on the singular values of the task matrix: the output layers of all heads."""

import math

from skmtl.plugins.base import COLUMNS, OFFSET, OUTPUT, ROLE, ROWS, Penalty
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
        a, out, gram, scaled, vectors, values = spectral_views(work, n_rows, n_columns)
        for j in range(n_rows * n_columns):
            work[j] = theta[start + j]
        spectrum(a, gram, values, vectors)
        largest, total = 0.0, 0.0
        for k in range(values.size):
            largest = max(largest, values[k])
        for k in range(values.size):
            sigma = math.sqrt(values[k])
            total += sigma
            values[k] = 0.0 if values[k] <= NOISE * largest else strength / sigma
        scale_spectrum(a, values, vectors, scaled, gram, out)
        for i in range(n_rows):
            for j in range(n_columns):
                grad[start + i * n_columns + j] += out[i, j]
        return strength * total

    @staticmethod
    def prox(theta, layout, step, hp, constants, work):
        """Every singular value goes toward zero by step, and ends there."""
        start, n_rows, n_columns = task_matrix(layout)
        a, out, gram, scaled, vectors, values = spectral_views(work, n_rows, n_columns)
        for j in range(n_rows * n_columns):
            work[j] = theta[start + j]
        spectrum(a, gram, values, vectors)
        for k in range(values.size):
            sigma = math.sqrt(values[k])
            values[k] = min(1.0, step / sigma) if sigma > 0 else 0.0
        scale_spectrum(a, values, vectors, scaled, gram, out)
        for i in range(n_rows):
            for j in range(n_columns):
                theta[start + i * n_columns + j] -= out[i, j]
