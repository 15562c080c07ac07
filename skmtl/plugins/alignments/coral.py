"""Alignment of covariances."""

import numpy as np

from skmtl.plugins.base import Alignment

CHUNK = 64  # rows centred at a time


class CORAL(Alignment):
    r"""Distance of the covariances of source and target.

    .. math:: \frac1{4 d^2} \|C_s - C_t\|_F^2

    with d features and covariances divided by n - 1, as in Deep CORAL. A batch with one row has the
    covariance 0. Means are not compared: the bias of a layer can shift them, but nothing here asks
    for it; use ``MMD`` where the domains are shifted. The division by :math:`4 d^2` makes the value
    small, so that mu has to be large: 10 to 1000 is common.

    Parameters
    ----------
    where : {"shared", "input"}, default="shared"
        Whether to align what comes out of the trunk or of the feature map.

    References
    ----------
    .. [1] Sun and Saenko (2016). Deep CORAL: correlation alignment for deep domain adaptation.
       ECCV workshops, equations 1 to 5.

    Examples
    --------
    >>> from skmtl.plugins.alignments import CORAL
    >>> CORAL(where="input")
    CORAL(where='input')
    """

    def __init__(self, where="shared"):
        self.where = where

    def hyper(self):
        """Give nothing."""
        self._check_option("where", ("shared", "input"))
        return []

    def n_work(self, n_source, n_target, n_features):
        """Room for two means, the two covariances, a product, and two chunks of rows."""
        return 2 * n_features + 3 * n_features**2 + 2 * CHUNK * n_features

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        """Strength times the distance; adds its gradient to dhs and dht."""
        d = hs.shape[1]
        mean_s, mean_t = work[:d], work[d : 2 * d]
        gap = work[2 * d : 2 * d + d * d].reshape(d, d)
        other = work[2 * d + d * d : 2 * d + 2 * d * d].reshape(d, d)
        scratch = work[2 * d + 2 * d * d :]
        _covariance(hs, mean_s, gap, scratch)
        _covariance(ht, mean_t, other, scratch)
        value = 0.0
        for i in range(d):
            for j in range(d):
                gap[i, j] -= other[i, j]
                value += gap[i, j] * gap[i, j]
        _add_centred_product(
            hs, mean_s, gap, strength / (d * d * max(hs.shape[0] - 1, 1)), scratch, dhs
        )
        _add_centred_product(
            ht, mean_t, gap, -strength / (d * d * max(ht.shape[0] - 1, 1)), scratch, dht
        )
        return strength * value / (4 * d * d)


def _covariance(h, mean, c, scratch):
    """The covariance of the rows, divided by n - 1; overwrites mean and c."""
    n, d = h.shape
    for j in range(d):
        mean[j] = 0.0
    for i in range(n):
        for j in range(d):
            mean[j] += float(h[i, j]) / n
    product = scratch[: d * d].reshape(d, d)
    for i in range(d):
        for j in range(d):
            c[i, j] = 0.0
    for first in range(0, n, CHUNK):
        rows = _centred(h, mean, first, scratch[d * d :])
        np.dot(rows.T, rows, product)
        for i in range(d):
            for j in range(d):
                c[i, j] += product[i, j] / max(n - 1, 1)


def _centred(h, mean, first, scratch):
    """A chunk of the rows less their mean, in scratch."""
    n, d = min(CHUNK, h.shape[0] - first), h.shape[1]
    rows = scratch[: n * d].reshape(n, d)
    for i in range(n):
        for j in range(d):
            rows[i, j] = h[first + i, j] - mean[j]
    return rows


def _add_centred_product(h, mean, gap, factor, scratch, dh):
    """dh += factor (h - mean) gap."""
    n, d = h.shape
    for first in range(0, n, CHUNK):
        rows = _centred(h, mean, first, scratch)
        product = scratch[CHUNK * d : (CHUNK + rows.shape[0]) * d].reshape(rows.shape[0], d)
        np.dot(rows, gap, product)
        for i in range(rows.shape[0]):
            for j in range(d):
                dh[first + i, j] += factor * product[i, j]
