"""Maps with a hidden layer."""

import numpy as np

from skmtl.plugins.base import MAP, MAP_RESIDUAL, FeatureMap
from skmtl.plugins.feature_maps.hidden import (
    ACTIVATIONS,
    add_second,
    backward_second,
    hidden_layer,
    one_width,
)
from skmtl.plugins.feature_maps.linear import Linear
from skmtl.plugins.feature_maps.products import (
    add_gradient,
    add_gradient_csr,
    multiply,
    multiply_csr,
)


class MLPMap(FeatureMap):
    r"""A network with one hidden layer, :math:`g(x) = \phi(x W_1 + b_1) W_2 + b_2`.

    For spaces that no matrix connects. The weights start at random (Glorot uniform), so that it
    has to be learned from nothing; ``ResidualMLP`` starts from a linear map.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of one int, default=(32,)
        Width of the hidden layer.
    activation : {"tanh", "relu"}, default="tanh"
        The function :math:`\phi`.

    References
    ----------
    .. [1] Glorot and Bengio (2010). Understanding the difficulty of training deep feedforward
       neural networks. AISTATS, equation 16.

    Examples
    --------
    >>> from skmtl.plugins.feature_maps import MLPMap
    >>> MLPMap(hidden_layer_sizes=10).n_params(5, 3)
    93
    """

    accepts_csr = True

    def __init__(self, hidden_layer_sizes=(32,), activation="tanh"):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation

    def hyper(self):
        """Give [width of the hidden layer, number of the activation]."""
        self._check_option("activation", ACTIVATIONS)
        return [float(one_width(self)), float(ACTIVATIONS.index(self.activation))]

    def n_params(self, n_in, n_out):
        """Give the size of W1, b1, W2 and b2."""
        width = one_width(self)
        return (n_in + 1) * width + (width + 1) * n_out

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give W1, b1, W2, b2, with offsets of zero."""
        self.hyper()
        n_in, n_out, width = X_source.shape[1], X_target.shape[1], one_width(self)
        w1, w2 = _glorot(n_in, width, rng), _glorot(width, n_out, rng)
        return np.concatenate([w1, np.zeros(width), w2, np.zeros(n_out)])

    def blocks(self, n_in, n_out):
        """Give W1 and W2 with their offsets."""
        width, (b1, w2, b2) = one_width(self), self._ends(n_in, n_out)
        return [(0, n_in, width, b1, MAP_RESIDUAL), (w2, width, n_out, b2, MAP_RESIDUAL)]

    def _ends(self, n_in, n_out):
        """Where b1, W2 and b2 begin, the last parameters."""
        width, size = one_width(self), self.n_params(n_in, n_out)
        return size - (width + 1) * n_out - width, size - (width + 1) * n_out, size - n_out

    def n_work(self, n_rows, n_in, n_out):
        """Room for the hidden layer, its gradient, and a product."""
        width = one_width(self)
        return 2 * n_rows * width + max(width * max(n_in, n_out), n_rows * n_out)

    @staticmethod
    def forward(theta, x, hp, work, out):
        """out = phi(x W1 + b1) W2 + b2; leaves the hidden layer in work."""
        multiply(theta, 0, x, hidden_layer(hp, work, out))
        out[:, :] = 0
        add_second(theta, hp, work, out)

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """Backpropagation through both layers."""
        dhidden = backward_second(theta, hp, work, dout, grad)
        add_gradient(grad, 0, x, dhidden, work[2 * dhidden.size :])

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """As ``forward``, over the rows of a CSR matrix."""
        hidden = hidden_layer(hp, work, out)
        multiply_csr(theta, 0, values, indices, indptr, rows, hidden)
        out[:, :] = 0
        add_second(theta, hp, work, out)

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """As ``backward``, over the rows of a CSR matrix."""
        dhidden = backward_second(theta, hp, work, dout, grad)
        add_gradient_csr(grad, 0, values, indices, indptr, rows, dhidden)

    def transform(self, theta, X, n_out):
        """Give phi(X W1 + b1) W2 + b2."""
        n_in, width = X.shape[1], one_width(self)
        b1, w2, b2 = self._ends(n_in, n_out)
        hidden = np.asarray(X @ theta[: n_in * width].reshape(n_in, width)) + theta[b1:w2]
        hidden = np.tanh(hidden) if self.activation == "tanh" else np.maximum(hidden, 0)
        return hidden @ theta[w2:b2].reshape(width, n_out) + theta[b2:]


class ResidualMLP(MLPMap):
    r"""A matrix plus a network, :math:`g(x) = x A + \phi(x W_1 + b_1) W_2 + b_2`.

    A starts as in ``Linear``, the last layer of the network at zero [1]_, [2]_, so that g starts at
    the identity between spaces of one size, and bends from there.

    ``map_penalty="identity"`` draws A to the identity and the network to zero; "l2" draws all to
    zero.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of one int, default=(32,)
        Width of the hidden layer.
    activation : {"tanh", "relu"}, default="tanh"
        The function :math:`\phi`.

    References
    ----------
    .. [1] He, Zhang, Ren and Sun (2016). Identity mappings in deep residual networks. ECCV.
    .. [2] Zhang, Dauphin and Ma (2019). Fixup initialization: residual learning without
       normalization. ICLR, section 3.

    Examples
    --------
    >>> from skmtl.plugins.feature_maps import ResidualMLP
    >>> ResidualMLP(hidden_layer_sizes=10).n_params(5, 3)
    108
    """

    def __init__(self, hidden_layer_sizes=(32,), activation="tanh"):
        super().__init__(hidden_layer_sizes, activation)

    def n_params(self, n_in, n_out):
        """Give the size of W1, A, b1, W2 and b2."""
        return super().n_params(n_in, n_out) + n_in * n_out

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give a random W1, the start of ``Linear``, and zeros."""
        n_in, n_out, width = X_source.shape[1], X_target.shape[1], one_width(self)
        rest = np.zeros(width + (width + 1) * n_out)
        base = Linear().init(X_source, X_target, rng)
        return np.concatenate([_glorot(n_in, width, rng), base, rest])

    def blocks(self, n_in, n_out):
        """Give A with the offset b2, W1 with b1, and W2."""
        width, (b1, w2, b2) = one_width(self), self._ends(n_in, n_out)
        return [
            (n_in * width, n_in, n_out, b2, MAP),
            (0, n_in, width, b1, MAP_RESIDUAL),
            (w2, width, n_out, -1, MAP_RESIDUAL),
        ]

    def n_work(self, n_rows, n_in, n_out):
        """Room for the hidden layer, its gradient, and a product of any shape."""
        return super().n_work(n_rows, n_in, n_out) + n_in * n_out

    @staticmethod
    def forward(theta, x, hp, work, out):
        """out = x A + phi(x W1 + b1) W2 + b2; leaves the hidden layer in work."""
        multiply(theta, 0, x, hidden_layer(hp, work, out))
        multiply(theta, _base_start(theta, hp, out), x, out)
        add_second(theta, hp, work, out)

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        """Backpropagation through both layers, and x^T dout for A."""
        dhidden = backward_second(theta, hp, work, dout, grad)
        scratch = work[2 * dhidden.size :]
        add_gradient(grad, 0, x, dhidden, scratch)
        add_gradient(grad, _base_start(theta, hp, dout), x, dout, scratch)

    @staticmethod
    def forward_csr(theta, values, indices, indptr, rows, hp, work, out):
        """As ``forward``, over the rows of a CSR matrix."""
        hidden, start = hidden_layer(hp, work, out), _base_start(theta, hp, out)
        multiply_csr(theta, 0, values, indices, indptr, rows, hidden)
        multiply_csr(theta, start, values, indices, indptr, rows, out)
        add_second(theta, hp, work, out)

    @staticmethod
    def backward_csr(theta, values, indices, indptr, rows, hp, work, dout, grad):
        """As ``backward``, over the rows of a CSR matrix."""
        dhidden = backward_second(theta, hp, work, dout, grad)
        add_gradient_csr(grad, 0, values, indices, indptr, rows, dhidden)
        start = _base_start(theta, hp, dout)
        add_gradient_csr(grad, start, values, indices, indptr, rows, dout)

    def transform(self, theta, X, n_out):
        """Give X A + phi(X W1 + b1) W2 + b2."""
        n_in, start = X.shape[1], X.shape[1] * one_width(self)
        base = np.asarray(X @ theta[start : start + n_in * n_out].reshape(n_in, n_out))
        return base + super().transform(theta, X, n_out)


def _base_start(theta, hp, out):
    """Where A begins: behind W1, whose number of rows the size of theta tells."""
    width, n_out = int(hp[0]), out.shape[1]
    n_in = (theta.size - width - (width + 1) * n_out) // (width + n_out)
    return n_in * width


def _glorot(n_in, n_out, rng):
    """A matrix of uniform numbers with the variance 2 / (n_in + n_out), flattened."""
    bound = np.sqrt(6 / (n_in + n_out))
    return rng.uniform(-bound, bound, n_in * n_out)
