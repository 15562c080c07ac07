"""Maximum mean discrepancy between source and target, of all rows or class by class."""

from numbers import Real

import numpy as np

from skmtl.plugins.alignments.pairs import EVERY, pairs, tile_size
from skmtl.plugins.base import Alignment

KERNELS = ("linear", "gaussian")
LINEAR = 0


class MMD(Alignment):
    r"""Squared maximum mean discrepancy between source and target.

    .. math::

        \frac1{n^2} \sum_{ij} k(s_i, s_j) + \frac1{m^2} \sum_{ij} k(t_i, t_j)
        - \frac2{nm} \sum_{ij} k(s_i, t_j),

    the biased estimate [1]_ (equation 5), which is never negative. The Gaussian kernel is a mean
    over bandwidths [2]_,

    .. math::

        k(x, z) = \frac1B \sum_b \exp\left(-\frac{\|x - z\|^2}{b D}\right),

    with D the mean squared distance between two rows of the batch, source and target pooled. The
    gradient counts D too: the value does not change when all features are multiplied by a number,
    so the trunk cannot make it small by shrinking them. The linear kernel gives
    :math:`\|\bar s - \bar t\|^2`, which is fast, and compares means alone.

    The Gaussian costs time by the number of pairs of rows, and no memory for them.

    Parameters
    ----------
    kernel : {"gaussian", "linear"}, default="gaussian"
        The kernel k.
    bandwidths : sequence of float, default=(0.25, 0.5, 1.0, 2.0, 4.0)
        The bandwidths b, above 0. Such that are twice one another are the fastest.
    where : {"shared", "input"}, default="shared"
        Whether to align what comes out of the trunk or of the feature map.

    References
    ----------
    .. [1] Gretton, Borgwardt, Rasch, Schoelkopf and Smola (2012). A kernel two-sample test.
       JMLR 13.
    .. [2] Long, Cao, Wang and Jordan (2015). Learning transferable features with deep adaptation
       networks. ICML, equation 2.

    Examples
    --------
    >>> from skmtl.plugins.alignments import MMD
    >>> MMD(kernel="linear").hyper()
    [0.0]
    """

    def __init__(self, kernel="gaussian", bandwidths=(0.25, 0.5, 1.0, 2.0, 4.0), where="shared"):
        self.kernel = kernel
        self.bandwidths = bandwidths
        self.where = where

    def hyper(self):
        """Give [number of the kernel, 1 / bandwidths from the least]."""
        self._check_option("where", ("shared", "input"))
        self._check_option("kernel", KERNELS)
        if self.kernel == "linear":
            return [0.0]
        try:
            bandwidths = list(self.bandwidths)
        except TypeError:
            bandwidths = []
        if not bandwidths or not all(isinstance(b, Real) and 0 < b < np.inf for b in bandwidths):
            raise ValueError(
                f"The 'bandwidths' parameter of {type(self).__name__} must be a sequence of "
                f"numbers above 0. Got {self.bandwidths!r} instead."
            )
        return [1.0, *sorted(1 / float(b) for b in bandwidths)]

    def n_work(self, n_source, n_target, n_features):
        """Room for two means, and for a tile of pairs."""
        return 2 * n_features + tile_size(n_features)

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        """Strength times the squared MMD of all rows; adds its gradient to dhs and dht."""
        return _squared_mmd(hs, ht, ys, yt, EVERY, strength, hp, work, dhs, dht)


class ConditionalMMD(MMD):
    r"""Mean over classes of the squared MMD between their rows in source and target.

    It draws each class of the source to the same class of the target, which ``MMD`` may mix up.
    It reads labelled rows alone: of a batch, the classes that are in its source and in its target
    rows. Where there is none, it is 0. With the linear kernel this is the term for classes of [1]_,
    with true labels in place of guessed ones. The mean squared distance D that scales the Gaussian
    bandwidths is that of the class.

    Parameters
    ----------
    kernel : {"gaussian", "linear"}, default="gaussian"
        The kernel, see ``MMD``.
    bandwidths : sequence of float, default=(0.25, 0.5, 1.0, 2.0, 4.0)
        The bandwidths, see ``MMD``.
    where : {"shared", "input"}, default="shared"
        Whether to align what comes out of the trunk or of the feature map.

    References
    ----------
    .. [1] Long, Wang, Ding, Sun and Yu (2013). Transfer feature learning with joint distribution
       adaptation. ICCV, equation 7.
    .. [2] Zhu et al. (2021). Deep subdomain adaptation network for image classification. IEEE TNNLS
       32(4), for the Gaussian kernel.

    Examples
    --------
    >>> from skmtl.plugins.alignments import ConditionalMMD
    >>> ConditionalMMD().needs_labels
    True
    """

    needs_labels = True

    def __init__(self, kernel="gaussian", bandwidths=(0.25, 0.5, 1.0, 2.0, 4.0), where="shared"):
        super().__init__(kernel, bandwidths, where)

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        """Strength times the mean over common classes; adds its gradient to dhs and dht."""
        n_codes = 0
        for i in range(ys.size):
            n_codes = max(n_codes, ys[i] + 1)
        n_common = 0
        for c in range(n_codes):
            n_common += _count(ys, c) > 0 and _count(yt, c) > 0
        value = 0.0
        for c in range(n_codes):
            if _count(ys, c) > 0 and _count(yt, c) > 0:
                value += _squared_mmd(hs, ht, ys, yt, c, strength / n_common, hp, work, dhs, dht)
        return value


def _count(y, c):
    """How many rows are of class c."""
    if c == EVERY:
        return y.size
    n = 0
    for i in range(y.size):
        n += y[i] == c
    return n


def _squared_mmd(hs, ht, ys, yt, c, strength, hp, work, dhs, dht):
    """Strength times the squared MMD between the rows of class c; adds its gradient."""
    n_features = hs.shape[1]
    n, m = _count(ys, c), _count(yt, c)
    mean_s, mean_t = work[:n_features], work[n_features : 2 * n_features]
    _mean_of(hs, ys, c, n, mean_s)
    _mean_of(ht, yt, c, m, mean_t)
    value = 0.0
    if hp[0] == LINEAR:
        for j in range(n_features):
            gap = mean_s[j] - mean_t[j]
            value += strength * gap * gap
            mean_s[j] = 2 * strength * gap
        _add_rows(ys, c, mean_s, 1 / n, dhs)
        _add_rows(yt, c, mean_s, -1 / m, dht)
        return value

    centre = mean_s
    for j in range(n_features):
        centre[j] = (n * mean_s[j] + m * mean_t[j]) / (n + m)
    spread = 2 * (_scatter(hs, ys, c, centre) + _scatter(ht, yt, c, centre)) / (n + m)
    if spread <= 1e-24 * (centre @ centre):  # all rows are the same, but for rounding
        return 0.0
    tiles = work[2 * n_features :]
    total_s, slope_s = pairs(
        hs, hs, ys, ys, c, strength / n / n, True, centre, spread, hp, tiles, dhs, dhs
    )
    total_t, slope_t = pairs(
        ht, ht, yt, yt, c, strength / m / m, True, centre, spread, hp, tiles, dht, dht
    )
    total, slope = pairs(
        hs, ht, ys, yt, c, -2 * strength / n / m, False, centre, spread, hp, tiles, dhs, dht
    )
    # From here the gradient by way of D: dD/dx = 4 (x - centre) / (n + m).
    step = 4 * (slope_s + slope_t + slope) / (n + m)
    _add_deviations(hs, ys, c, centre, step, dhs)
    _add_deviations(ht, yt, c, centre, step, dht)
    return total_s + total_t + total


def _mean_of(h, y, c, n, mean):
    """Mean of the n rows of class c; overwrites mean."""
    for j in range(h.shape[1]):
        mean[j] = 0.0
    for i in range(h.shape[0]):
        if c == EVERY or y[i] == c:
            for j in range(h.shape[1]):
                mean[j] += float(h[i, j]) / n


def _scatter(h, y, c, centre):
    """Sum of the squared distances of the rows of class c from a centre."""
    total = 0.0
    for i in range(h.shape[0]):
        if c == EVERY or y[i] == c:
            for j in range(h.shape[1]):
                gap = h[i, j] - centre[j]
                total += gap * gap
    return total


def _add_rows(y, c, row, factor, dh):
    """Add factor times a row to each row of class c."""
    for i in range(dh.shape[0]):
        if c == EVERY or y[i] == c:
            for j in range(dh.shape[1]):
                dh[i, j] += factor * row[j]


def _add_deviations(h, y, c, centre, factor, dh):
    """Add factor (h_i - centre) to each row of class c."""
    for i in range(h.shape[0]):
        if c == EVERY or y[i] == c:
            for j in range(h.shape[1]):
                dh[i, j] += factor * (h[i, j] - centre[j])
