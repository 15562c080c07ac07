"""Scale and shift per feature."""

import numpy as np
from scipy.sparse import issparse

from skmtl.plugins.base import FeatureMap
from skmtl.plugins.feature_maps.products import add_offset, add_offset_gradient


class Diagonal(FeatureMap):
    r"""Scale and shift of each feature, :math:`g(x)_j = a_j x_j + b_j`, between equal spaces.

    For columns that mean the same in other units or with another instrument. It has two numbers
    per column, so it suits wide and sparse tables, where a matrix would not fit; note that the
    shift makes mapped rows dense, and a batch of them is all that ever is. It starts at the
    identity.

    To a penalty it is n matrices of shape (1, 1), each with an offset: "identity" is
    :math:`\|a - 1\|^2 + \|b\|^2`.

    References
    ----------
    .. [1] Li, Wang, Shi, Liu and Hou (2017). Revisiting batch normalization for practical domain
       adaptation. ICLR workshop. There scale and shift are those of each domain's activations.

    Examples
    --------
    >>> from skmtl.plugins.feature_maps import Diagonal
    >>> Diagonal().n_params(4, 4)
    8
    """

    accepts_csr = True

    def n_params(self, n_in, n_out):
        """Give 2 * n_in."""
        return 2 * n_in

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give ones, then zeros; raise ValueError unless the spaces have the same size."""
        n_in, n_out = X_source.shape[1], X_target.shape[1]
        if n_in != n_out:
            raise ValueError(
                f"feature_map='diagonal' scales columns and needs a source with the target's "
                f"{n_out}, but X_source has {n_in}. Use feature_map='linear' or 'affine' to map "
                "between them."
            )
        return np.concatenate([np.ones(n_in), np.zeros(n_in)])

    def blocks(self, n_in, n_out):
        """Give each scale, with its shift as bias."""
        return [(j, 1, 1, n_in + j) for j in range(n_in)]

    @staticmethod
    def forward(theta, x, hp, work, out):
        """out_ij = a_j x_ij + b_j."""
        n = out.shape[1]
        for i in range(out.shape[0]):
            for j in range(n):
                out[i, j] = theta[j] * x[i, j] + theta[n + j]

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """grad_a += column sums of x * dout, grad_b += column sums of dout."""
        n = dout.shape[1]
        for i in range(dout.shape[0]):
            for j in range(n):
                grad[j] += x[i, j] * dout[i, j]
        add_offset_gradient(grad, n, dout)

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """out_i = a x_i + b, dense, over the rows of a CSR matrix."""
        out[:, :] = 0
        for i in range(rows.size):
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                out[i, indices[k]] += theta[indices[k]] * values[k]
        add_offset(theta, out.shape[1], out)

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """The gradient of ``backward``, over the rows of a CSR matrix."""
        for i in range(rows.size):
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                grad[indices[k]] += values[k] * dout[i, indices[k]]
        add_offset_gradient(grad, dout.shape[1], dout)

    def transform(self, theta, X, n_out):
        """Give a X + b."""
        scale, shift = theta[:n_out], theta[n_out:]
        scaled = X.multiply(scale[None, :]).toarray() if issparse(X) else X * scale
        return scaled + shift
