"""Penalties R(g) on the parameters of feature maps."""

from skmtl.plugins.base import (
    BIAS,
    COLUMNS,
    MAP_RESIDUAL,
    OFFSET,
    OUTPUT,
    ROLE,
    ROWS,
    Penalty,
)


class IdentityAnchor(Penalty):
    r"""Keep a feature map near the identity, or, between unlike spaces, near an isometry.

    A square map A with offset b has :math:`\|A - I\|_F^2 + \|b\|^2`. A rectangular map has no
    identity to be near; there the penalty is :math:`\frac14 \|G - I\|_F^2 + \|b\|^2`, with G the
    Gram matrix of A on its smaller side: zero exactly where A is semi-orthogonal, near there the
    squared distance to these matrices, and smooth everywhere, which that distance is not. Parts
    of a map that are zero where it is the identity, or that have no identity to be near, have
    :math:`\|A\|_F^2 + \|b\|^2`.

    Examples
    --------
    >>> from skmtl.plugins.penalties import IdentityAnchor
    >>> IdentityAnchor()
    IdentityAnchor()
    """

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """The distance of each block; adds its gradient."""
        value = 0.0
        for b in range(layout.shape[0]):
            start, n_in, n_out = layout[b, OFFSET], layout[b, ROWS], layout[b, COLUMNS]
            bias = layout[b, BIAS]
            n_bias = n_in if layout[b, ROLE] == OUTPUT else n_out
            if layout[b, ROLE] == MAP_RESIDUAL:
                value += _squared_length(theta, start, n_in * n_out, strength, grad)
            elif n_in == n_out:
                value += _identity_distance(theta, start, n_in, strength, grad)
            else:
                value += _isometry_distance(theta, start, n_in, n_out, strength, grad)
            if bias >= 0:
                value += _squared_length(theta, bias, n_bias, strength, grad)
        return value


class Orthogonality(Penalty):
    r"""Keep a map's directions orthonormal, without choosing which: near a rotation or isometry.

    .. math:: \frac14 \|G - I\|_F^2

    G is the Gram matrix of A on its smaller side, which is zero where A is semi-orthogonal: such a
    map keeps lengths, or forgets some directions and keeps the others' lengths. Offsets are free,
    and so are parts of a map that are best near zero.
    Unlike :class:`IdentityAnchor` it lets a square map rotate.

    References
    ----------
    .. [1] Brock, Lim, Ritchie and Weston (2017). Neural photo editing with introspective
       adversarial networks. ICLR, equation 2, here squared and so smooth.
    .. [2] Bansal, Chen and Wang (2018). Can we gain more from orthogonality regularizations in
       training deep networks? NeurIPS, section 3.1.

    Examples
    --------
    >>> from skmtl.plugins.penalties import Orthogonality
    >>> Orthogonality()
    Orthogonality()
    """

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength / 4 ||G - I||^2 of each block; adds its gradient."""
        value = 0.0
        for b in range(layout.shape[0]):
            start, n_in, n_out = layout[b, OFFSET], layout[b, ROWS], layout[b, COLUMNS]
            if layout[b, ROLE] != MAP_RESIDUAL:
                value += _isometry_distance(theta, start, n_in, n_out, strength, grad)
        return value


def _squared_length(theta, start, n, strength, grad):
    """strength sum_j theta_j^2 over a slice; adds 2 strength theta_j."""
    w, dw, total = theta[start : start + n], grad[start : start + n], 0.0
    for j in range(n):
        total += w[j] * w[j]
        dw[j] += 2 * strength * w[j]
    return strength * total


def _identity_distance(theta, start, n, strength, grad):
    """strength ||A - I||^2; adds 2 strength (A - I). n others lie between diagonal elements."""
    value = 0.0
    for i in range(n):
        k = start + i * (n + 1)
        gap = theta[k] - 1
        value += strength * gap * gap
        grad[k] += 2 * strength * gap
        if i + 1 < n:
            value += _squared_length(theta, k + 1, n, strength, grad)
    return value


def _isometry_distance(theta, start, n_in, n_out, strength, grad):
    """strength / 4 ||A^T A - I||^2, A with its longer side first; adds strength A (A^T A - I)."""
    n_short, n_long = min(n_in, n_out), max(n_in, n_out)
    short_step, long_step = (1, n_out) if n_in > n_out else (n_out, 1)
    total = 0.0
    for p in range(n_short):
        for q in range(n_short):
            gap = 0.0 if p != q else -1.0
            for r in range(n_long):
                k = start + r * long_step
                gap += theta[k + p * short_step] * theta[k + q * short_step]
            total += gap * gap
            for r in range(n_long):
                k = start + r * long_step
                grad[k + q * short_step] += strength * gap * theta[k + p * short_step]
    return 0.25 * strength * total
