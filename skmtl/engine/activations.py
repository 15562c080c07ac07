"""Activations, forth and back.

Each makes z = f(z + bias), in place, and leaves in ``slope`` what the way back needs: the slopes
f'(z + bias). Relu without dropout leaves nothing: there ``slope`` is the place of z, whose signs
tell, and a wide net need not write and read as many numbers again. Entered by address: a fit
compiles those that it has.
"""

from skmtl.engine.elementary import logistic, normal_cdf, normal_density, tanh


def activate_identity(z, bias, slope):
    """f(v) = v."""
    one = slope.dtype.type(1)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] += bias[j]
            slope[i, j] = one


def activate_relu(z, bias, slope):
    """f(v) = max(v, 0), without slopes."""
    zero = z.dtype.type(0)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            v = z[i, j] + bias[j]
            z[i, j] = zero if v <= zero else v  # not "v if v > 0": a NaN must stay visible


def activate_relu_with_slopes(z, bias, slope):
    """f(v) = max(v, 0)."""
    one, zero = slope.dtype.type(1), slope.dtype.type(0)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            v = z[i, j] + bias[j]
            dead = v <= zero
            z[i, j] = zero if dead else v
            slope[i, j] = zero if dead else one


def activate_tanh(z, bias, slope):
    """f(v) = tanh(v)."""
    one = slope.dtype.type(1)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            v = tanh(z[i, j] + bias[j])
            z[i, j] = v
            slope[i, j] = one - v * v


def activate_logistic(z, bias, slope):
    """f(v) = 1 / (1 + e^-v)."""
    one = slope.dtype.type(1)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            v = logistic(z[i, j] + bias[j])
            z[i, j] = v
            slope[i, j] = v * (one - v)


def activate_silu(z, bias, slope):
    """f(v) = v / (1 + e^-v)."""
    one = slope.dtype.type(1)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            v = z[i, j] + bias[j]
            s = logistic(v)
            z[i, j] = v * s
            slope[i, j] = s * (one + v * (one - s))


def activate_gelu(z, bias, slope):
    """f(v) = v times the standard normal distribution function at v."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            v = z[i, j] + bias[j]
            cdf = normal_cdf(v)
            z[i, j] = v * cdf
            slope[i, j] = cdf + v * normal_density(v)


def backward_by_slope(delta, slope, dbias):
    """delta_ij *= slope_ij, and dbias_j += sum_i delta_ij of the new delta."""
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            scaled = delta[i, j] * slope[i, j]
            delta[i, j] = scaled
            dbias[j] += scaled


def backward_by_sign(delta, h, dbias):
    """delta_ij = 0 where h_ij = 0, and dbias_j += sum_i delta_ij of the new delta."""
    zero = delta.dtype.type(0)
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            kept = zero if h[i, j] == zero else delta[i, j]
            delta[i, j] = kept
            dbias[j] += kept


ACTIVATIONS = {
    "identity": activate_identity,
    "relu": activate_relu_with_slopes,
    "tanh": activate_tanh,
    "logistic": activate_logistic,
    "gelu": activate_gelu,
    "silu": activate_silu,
}


def of_net(activation, dropout):
    """Functions of an activation, forth and back; whether it leaves slopes."""
    if activation == "relu" and not dropout:
        return activate_relu, backward_by_sign, False
    return ACTIVATIONS[activation], backward_by_slope, True
