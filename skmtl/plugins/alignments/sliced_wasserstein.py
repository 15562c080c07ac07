"""Optimal transport between source and target along random lines."""

import math
from numbers import Integral

from skmtl.plugins.base import Alignment


class SlicedWasserstein(Alignment):
    r"""Sliced squared 2-Wasserstein distance between source and target.

    .. math::

        \frac1R \sum_{r=1}^R \int_0^1 \left( Q_{s u_r}(q) - Q_{t u_r}(q) \right)^2 dq,

    with :math:`u_r` directions drawn anew from the unit sphere at each step, and Q the quantile
    function of the rows projected on them. The integral is exact for batches of any two sizes: both
    quantile functions are steps, which are gone through together. It sees means, scales and shapes,
    and unlike ``MMD`` has a gradient that does not fade when the domains lie far apart.

    Parameters
    ----------
    n_projections : int, default=50
        Directions R, at least 1.
    where : {"shared", "input"}, default="shared"
        Whether to align what comes out of the trunk or of the feature map.

    References
    ----------
    .. [1] Rabin, Peyre, Delon and Bernot (2011). Wasserstein barycenter and its application to
       texture mixing. SSVM, section 2.
    .. [2] Lee, Batra, Baig and Ulbricht (2019). Sliced Wasserstein discrepancy for unsupervised
       domain adaptation. CVPR.

    Examples
    --------
    >>> from skmtl.plugins.alignments import SlicedWasserstein
    >>> SlicedWasserstein(n_projections=20).hyper()
    [20.0]
    """

    needs_minibatches = True

    def __init__(self, n_projections=50, where="shared"):
        self.n_projections = n_projections
        self.where = where

    def hyper(self):
        """Give [n_projections]."""
        self._check_option("where", ("shared", "input"))
        self._check_number("n_projections", low=1, closed="left")
        if not isinstance(self.n_projections, Integral):
            raise ValueError(
                "The 'n_projections' parameter of SlicedWasserstein must be an int. "
                f"Got {self.n_projections!r} instead."
            )
        return [float(self.n_projections)]

    def n_work(self, n_source, n_target, n_features):
        """Room for a direction, and for projections with their row numbers."""
        return n_features + 2 * (n_source + n_target)

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        """Strength times the mean over directions; adds its gradient to dhs and dht."""
        d, n, m = hs.shape[1], hs.shape[0], ht.shape[0]
        direction = work[:d]
        ps, row_s = work[d : d + n], work[d + n : d + 2 * n]
        pt, row_t = work[d + 2 * n : d + 2 * n + m], work[d + 2 * n + m : d + 2 * n + 2 * m]
        n_projections = int(hp[0])
        value = 0.0
        for _ in range(n_projections):
            _draw_direction(rng, direction)
            _project(hs, direction, ps, row_s)
            _project(ht, direction, pt, row_t)
            _sort(ps, row_s)
            _sort(pt, row_t)
            weight = strength / n_projections
            value += _transport(ps, row_s, pt, row_t, direction, weight, dhs, dht)
        return value


def _draw_direction(rng, direction):
    """A random unit vector; overwrites direction."""
    square = 0.0
    for j in range(direction.size):
        direction[j] = rng.standard_normal()
        square += direction[j] * direction[j]
    for j in range(direction.size):
        direction[j] /= math.sqrt(square)


def _project(h, direction, p, row):
    """p_i = h_i . direction, row_i = i."""
    for i in range(h.shape[0]):
        total = 0.0
        for j in range(h.shape[1]):
            total += h[i, j] * direction[j]
        p[i] = total
        row[i] = i


def _sort(key, value):
    """Sort keys, and values along with them, in place: heap sort."""
    n = key.size
    for root in range(n // 2 - 1, -1, -1):
        _sift(key, value, root, n)
    for end in range(n - 1, 0, -1):
        key[0], key[end] = key[end], key[0]
        value[0], value[end] = value[end], value[0]
        _sift(key, value, 0, end)


def _sift(key, value, root, end):
    """Let a key sink until both its children in the heap are no larger."""
    while 2 * root + 1 < end:
        child = 2 * root + 1
        if child + 1 < end and key[child + 1] > key[child]:
            child += 1
        if not key[child] > key[root]:
            return
        key[root], key[child] = key[child], key[root]
        value[root], value[child] = value[child], value[root]
        root = child


def _transport(ps, row_s, pt, row_t, direction, weight, dhs, dht):
    """Weight times the integral of the squared gap of two sorted samples' quantile functions.

    Adds its gradient by the rows that were projected.
    """
    n, m = ps.size, pt.size
    i, j, at, value = 0, 0, 0, 0.0
    slope_s, slope_t = 0.0, 0.0
    while i < n and j < m:  # up to quantile at / (n m)
        end = min((i + 1) * m, (j + 1) * n)
        mass = weight * (end - at) / (n * m)
        gap = ps[i] - pt[j]
        value += mass * gap * gap
        slope_s += 2 * mass * gap
        slope_t -= 2 * mass * gap
        at = end
        if end == (i + 1) * m:
            _add_multiple(dhs, int(row_s[i]), slope_s, direction)
            slope_s = 0.0
            i += 1
        if end == (j + 1) * n:
            _add_multiple(dht, int(row_t[j]), slope_t, direction)
            slope_t = 0.0
            j += 1
    return value


def _add_multiple(dh, i, factor, direction):
    """Add a multiple of the direction to a row."""
    for k in range(direction.size):
        dh[i, k] += factor * direction[k]
