"""Activations: each makes z = f(z + bias) and slope = f'(z + bias), both in place.

Entered by address: a fit compiles the one that its layers have.
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
    """f(v) = max(v, 0)."""
    one, zero = slope.dtype.type(1), slope.dtype.type(0)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            v = z[i, j] + bias[j]
            dead = v <= zero  # not "alive = v > 0": a NaN must stay visible
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


ACTIVATIONS = {
    "identity": activate_identity,
    "relu": activate_relu,
    "tanh": activate_tanh,
    "logistic": activate_logistic,
    "gelu": activate_gelu,
    "silu": activate_silu,
}
