"""The hidden layer of a map: from x W1 to the outputs, and back."""

from numbers import Integral

import numpy as np

from skmtl.plugins.feature_maps.products import (
    add_gradient,
    add_offset,
    add_offset_gradient,
    multiply,
)

ACTIVATIONS = ("tanh", "relu")
RELU = 1


def one_width(plugin):
    """The only number of a plugin's ``hidden_layer_sizes``."""
    sizes = np.atleast_1d(np.asarray(plugin.hidden_layer_sizes, object))
    if sizes.shape != (1,) or not isinstance(sizes[0], Integral) or sizes[0] < 1:
        raise ValueError(
            f"The 'hidden_layer_sizes' parameter of {type(plugin).__name__} must be one int >= 1 "
            f"or a sequence of one. Got {plugin.hidden_layer_sizes!r} instead."
        )
    return int(sizes[0])


def hidden_layer(hp, work, out):
    """The hidden layer's rows, at the start of work."""
    n_rows, width = out.shape[0], int(hp[0])
    return work[: n_rows * width].reshape(n_rows, width)


def add_second(theta, hp, work, out):
    """Make x W1 in work the hidden layer phi(x W1 + b1); out += phi(.) W2 + b2."""
    hidden = hidden_layer(hp, work, out)
    n_rows, width, n_out = out.shape[0], hidden.shape[1], out.shape[1]
    w2 = theta.size - (width + 1) * n_out
    for i in range(n_rows):
        for k in range(width):
            z = hidden[i, k] + theta[w2 - width + k]
            hidden[i, k] = relu(z) if hp[1] == RELU else np.tanh(z)
    product = work[2 * hidden.size : 2 * hidden.size + out.size].reshape(n_rows, n_out)
    multiply(theta, w2, hidden, product)
    for i in range(n_rows):
        for j in range(n_out):
            out[i, j] += product[i, j]
    add_offset(theta, theta.size - n_out, out)


def relu(z):
    """The larger of z and 0, and NaN where z is."""
    return z * 0 if z < 0 else z


def backward_second(theta, hp, work, dout, grad):
    """Add the gradients of b1, W2 and b2; gives that of x W1, in work behind the hidden layer."""
    hidden = hidden_layer(hp, work, dout)
    n_rows, width, n_out = dout.shape[0], hidden.shape[1], dout.shape[1]
    w2 = theta.size - (width + 1) * n_out
    add_gradient(grad, w2, hidden, dout, work[2 * hidden.size :])
    add_offset_gradient(grad, theta.size - n_out, dout)
    dhidden = work[hidden.size : 2 * hidden.size].reshape(n_rows, width)
    np.dot(dout, theta[w2 : w2 + width * n_out].reshape(width, n_out).T, dhidden)
    for i in range(n_rows):
        for k in range(width):
            h = hidden[i, k]
            if hp[1] != RELU:
                dhidden[i, k] *= 1 - h * h
            elif h <= 0:
                dhidden[i, k] = 0
    add_offset_gradient(grad, w2 - width, dhidden)
    return dhidden
