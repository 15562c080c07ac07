"""Feature maps g from the source's columns to the target's."""

import numpy as np

from skmtl.plugins.base import FeatureMap


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
        for i in range(rows.size):
            out[i, :] = 0
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                out[i, indices[k]] += values[k]

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
        np.dot(x, theta[: x.shape[1] * out.shape[1]].reshape(x.shape[1], out.shape[1]), out)

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """grad += x^T dout."""
        n_in, n_out = x.shape[1], dout.shape[1]
        da = grad[: n_in * n_out].reshape(n_in, n_out)
        product = work[: n_in * n_out].reshape(n_in, n_out)
        np.dot(x.T, dout, product)
        for i in range(n_in):
            for j in range(n_out):
                da[i, j] += product[i, j]

    def n_work(self, n_rows, n_in, n_out):
        """Room for the product in ``backward``."""
        return n_in * n_out

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """out_i = x_i A over the rows of a CSR matrix."""
        n_out = out.shape[1]
        for i in range(rows.size):
            out[i, :] = 0
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                start = indices[k] * n_out
                for j in range(n_out):
                    out[i, j] += values[k] * theta[start + j]

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """grad += X^T dout over the rows of a CSR matrix."""
        n_out = dout.shape[1]
        for i in range(rows.size):
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                start = indices[k] * n_out
                for j in range(n_out):
                    grad[start + j] += values[k] * dout[i, j]

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
        linear_forward(theta, x, hp, work, out)
        _add_offset(theta, out)

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """grad += x^T dout for A, column sums for b."""
        linear_backward(theta, x, hp, work, dout, grad)
        _add_offset_gradient(dout, grad)

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """out_i = x_i A + b over the rows of a CSR matrix."""
        linear_forward_csr(theta, values, indices, indptr, rows, hp, work, out)
        _add_offset(theta, out)

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """grad += X^T dout for A, column sums for b."""
        linear_backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad)
        _add_offset_gradient(dout, grad)

    def transform(self, theta, X, n_out):
        """Give X A + b."""
        return super().transform(theta, X, n_out) + theta[-n_out:]


linear_forward, linear_backward = Linear.forward, Linear.backward
linear_forward_csr, linear_backward_csr = Linear.forward_csr, Linear.backward_csr


def _add_offset(theta, out):
    """Add b, the end of theta, to every row."""
    start = theta.size - out.shape[1]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] += theta[start + j]


def _add_offset_gradient(dout, grad):
    """Add the column sums of dout to the gradient of b, the end of grad."""
    start = grad.size - dout.shape[1]
    for i in range(dout.shape[0]):
        for j in range(dout.shape[1]):
            grad[start + j] += dout[i, j]
