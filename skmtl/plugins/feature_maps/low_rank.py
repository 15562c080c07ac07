"""The identity plus a matrix of low rank."""

from numbers import Integral

import numpy as np

from skmtl.plugins.base import MAP_RESIDUAL, FeatureMap
from skmtl.plugins.feature_maps.products import (
    add_gradient,
    add_gradient_csr,
    multiply,
    multiply_csr,
    scatter_csr,
)


class LowRank(FeatureMap):
    r"""The identity plus a matrix of low rank, :math:`g(x) = x J + x U V`.

    U has shape (n_in, rank), V (rank, n_out). J is the identity, and between unlike spaces what
    fits of it: columns beyond the target's are dropped, missing ones are zero; it is not trained.
    U starts at random, with rows of length 1 on average, and V at zero, so that g starts at J.
    With far fewer parameters than a matrix it suits wide tables and little data.

    ``map_penalty="l2"`` draws g to J: the least :math:`\frac12(\|U\|_F^2 + \|V\|_F^2)` of all
    factorisations of a matrix is its nuclear norm [2]_. "identity" is twice that.

    Parameters
    ----------
    rank : int, default=8
        The rank, at least 1.

    References
    ----------
    .. [1] Hu et al. (2022). LoRA: low-rank adaptation of large language models. ICLR, section 4.1.
    .. [2] Srebro, Rennie and Jaakkola (2005). Maximum-margin matrix factorization. NIPS 17,
       lemma 1.

    Examples
    --------
    >>> from skmtl.plugins.feature_maps import LowRank
    >>> LowRank(rank=2).n_params(100, 100)
    400
    """

    accepts_csr = True

    def __init__(self, rank=8):
        self.rank = rank

    def hyper(self):
        """Give [rank]."""
        self._check_number("rank", low=1)
        if not isinstance(self.rank, Integral):
            raise ValueError(
                f"The 'rank' parameter of LowRank must be an int. Got {self.rank!r} instead."
            )
        return [float(self.rank)]

    def n_params(self, n_in, n_out):
        """Give rank * (n_in + n_out)."""
        return self.rank * (n_in + n_out)

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give a random U, then a V of zeros."""
        self.hyper()
        n_in, n_out = X_source.shape[1], X_target.shape[1]
        u = rng.standard_normal(n_in * self.rank) / np.sqrt(self.rank)
        return np.concatenate([u, np.zeros(self.rank * n_out)])

    def blocks(self, n_in, n_out):
        """Give U and V."""
        u = 0, n_in, self.rank, -1, MAP_RESIDUAL
        return [u, (n_in * self.rank, self.rank, n_out, -1, MAP_RESIDUAL)]

    def n_work(self, n_rows, n_in, n_out):
        """Room for x U, its gradient, and a product of either shape."""
        return 2 * n_rows * self.rank + self.rank * max(n_in, n_out)

    @staticmethod
    def forward(theta, x, hp, work, out):
        """out = x U V + x J; leaves x U in work."""
        h = _view(work, 0, out.shape[0], int(hp[0]))
        multiply(theta, 0, x, h)
        multiply(theta, x.shape[1] * h.shape[1], h, out)
        for i in range(out.shape[0]):
            for j in range(min(x.shape[1], out.shape[1])):
                out[i, j] += x[i, j]

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """grad += x^T (dout V^T) for U, (x U)^T dout for V."""
        dh = _backward_factors(theta, hp, work, dout, grad)
        add_gradient(grad, 0, x, dh, work[2 * dh.size :])

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """out_i = x_i U V + x_i J, dense, over the rows of a CSR matrix; leaves x U in work."""
        rank, n_out = int(hp[0]), out.shape[1]
        h = _view(work, 0, out.shape[0], rank)
        scatter_csr(values, indices, indptr, rows, out)
        multiply_csr(theta, 0, values, indices, indptr, rows, h)
        start = theta.size - rank * n_out
        for i in range(rows.size):
            for k in range(rank):
                for j in range(n_out):
                    out[i, j] += h[i, k] * theta[start + k * n_out + j]

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """The gradient of ``backward``, over the rows of a CSR matrix."""
        dh = _backward_factors(theta, hp, work, dout, grad)
        add_gradient_csr(grad, 0, values, indices, indptr, rows, dh)

    def transform(self, theta, X, n_out):
        """Give X J + X U V."""
        n_in = X.shape[1]
        u = theta[: n_in * self.rank].reshape(n_in, self.rank)
        v = theta[n_in * self.rank :].reshape(self.rank, n_out)
        out = np.asarray(X @ u) @ v
        kept = X[:, : min(n_in, n_out)]
        out[:, : kept.shape[1]] += kept if isinstance(kept, np.ndarray) else kept.toarray()
        return out


def _backward_factors(theta, hp, work, dout, grad):
    """Add the gradient of V; gives that of x U, which lies in work behind x U."""
    n_rows, n_out, rank = dout.shape[0], dout.shape[1], int(hp[0])
    h, dh = _view(work, 0, n_rows, rank), _view(work, n_rows * rank, n_rows, rank)
    start = theta.size - rank * n_out
    add_gradient(grad, start, h, dout, work[2 * h.size :])
    np.dot(dout, theta[start:].reshape(rank, n_out).T, dh)
    return dh


def _view(work, start, n_rows, n_columns):
    """A matrix within work."""
    return work[start : start + n_rows * n_columns].reshape(n_rows, n_columns)
