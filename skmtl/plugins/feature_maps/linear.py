"""Maps that are one matrix: the identity, a free one, and one with an offset."""

import numpy as np

from skmtl.plugins.base import FeatureMap
from skmtl.plugins.feature_maps.products import (
    add_gradient,
    add_gradient_csr,
    add_offset,
    add_offset_gradient,
    multiply,
    multiply_csr,
    scatter_csr,
)


class Identity(FeatureMap):
    """No map: the source has the target's columns.

    Examples
    --------
    >>> from skmtl.plugins.feature_maps import Identity
    >>> Identity().n_params(3, 3)
    0
    """

    accepts_csr = True

    def n_params(self, n_in, n_out):
        """Give 0."""
        return 0

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give no parameters; raise ValueError unless the spaces have the same size."""
        n_in, n_out = X_source.shape[1], X_target.shape[1]
        if n_in != n_out:
            raise ValueError(
                f"feature_map='identity' needs a source with the target's {n_out} columns, but "
                f"X_source has {n_in}. Use feature_map='linear' or 'affine' to map between them."
            )
        return np.zeros(0)

    def blocks(self, n_in, n_out):
        """Give none."""
        return []

    @staticmethod
    def forward(theta, x, hp, work, out):
        """out = x."""
        out[:, :] = x

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """Nothing to add."""

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """out_i = x_i, dense, over the rows of a CSR matrix."""
        scatter_csr(values, indices, indptr, rows, out)

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """Nothing to add."""

    def transform(self, theta, X, n_out):
        """Give X itself."""
        return X


class Linear(FeatureMap):
    r"""A matrix, :math:`g(x) = x A`, square or rectangular.

    It starts at the identity between spaces of one size, and otherwise at a random semi-orthogonal
    matrix, which keeps lengths or projects them.

    Examples
    --------
    >>> from skmtl.plugins.feature_maps import Linear
    >>> Linear().n_params(5, 3)
    15
    """

    accepts_csr = True

    def n_params(self, n_in, n_out):
        """Give n_in * n_out."""
        return n_in * n_out

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give the identity, or a random semi-orthogonal matrix, flattened."""
        n_in, n_out = X_source.shape[1], X_target.shape[1]
        if n_in == n_out:
            return np.eye(n_in).ravel()
        tall = rng.standard_normal((max(n_in, n_out), min(n_in, n_out)))
        q, _ = np.linalg.qr(tall)
        return np.ascontiguousarray(q if n_in > n_out else q.T).ravel()

    def blocks(self, n_in, n_out):
        """Give A."""
        return [(0, n_in, n_out, -1)]

    @staticmethod
    def forward(theta, x, hp, work, out):
        """out = x A."""
        multiply(theta, 0, x, out)

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """grad += x^T dout."""
        add_gradient(grad, 0, x, dout, work)

    def n_work(self, n_rows, n_in, n_out):
        """Room for the product in ``backward``."""
        return n_in * n_out

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """out_i = x_i A over the rows of a CSR matrix."""
        multiply_csr(theta, 0, values, indices, indptr, rows, out)

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """grad += X^T dout over the rows of a CSR matrix."""
        add_gradient_csr(grad, 0, values, indices, indptr, rows, dout)

    def transform(self, theta, X, n_out):
        """Give X A."""
        return np.asarray(X @ theta[: X.shape[1] * n_out].reshape(X.shape[1], n_out))


class Affine(Linear):
    r"""A matrix and an offset, :math:`g(x) = x A + b`, square or rectangular.

    It starts as ``Linear``, with a zero offset.

    Examples
    --------
    >>> from skmtl.plugins.feature_maps import Affine
    >>> Affine().n_params(5, 3)
    18
    """

    def n_params(self, n_in, n_out):
        """Give (n_in + 1) * n_out."""
        return (n_in + 1) * n_out

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give the start of ``Linear``, then zeros."""
        return np.concatenate([super().init(X_source, X_target, rng), np.zeros(X_target.shape[1])])

    def blocks(self, n_in, n_out):
        """Give A with b as its bias."""
        return [(0, n_in, n_out, n_in * n_out)]

    @staticmethod
    def forward(theta, x, hp, work, out):
        """out = x A + b."""
        multiply(theta, 0, x, out)
        add_offset(theta, theta.size - out.shape[1], out)

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """grad += x^T dout for A, column sums for b."""
        add_gradient(grad, 0, x, dout, work)
        add_offset_gradient(grad, grad.size - dout.shape[1], dout)

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """out_i = x_i A + b over the rows of a CSR matrix."""
        multiply_csr(theta, 0, values, indices, indptr, rows, out)
        add_offset(theta, theta.size - out.shape[1], out)

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """grad += X^T dout for A, column sums for b."""
        add_gradient_csr(grad, 0, values, indices, indptr, rows, dout)
        add_offset_gradient(grad, grad.size - dout.shape[1], dout)

    def transform(self, theta, X, n_out):
        """Give X A + b."""
        return super().transform(theta, X, n_out) + theta[-n_out:]
