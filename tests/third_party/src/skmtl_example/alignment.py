"""Alignment of means."""

from skmtl.plugins.base import Alignment


class MeanGap(Alignment):
    """Squared distance between the means of source and target."""

    def __init__(self, where="shared"):
        self.where = where

    def hyper(self):
        self._check_option("where", ("shared", "input"))
        return []

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        value, n_s, n_t = 0.0, hs.shape[0], ht.shape[0]
        for j in range(hs.shape[1]):
            gap = 0.0
            for i in range(n_s):
                gap += hs[i, j] / n_s
            for i in range(n_t):
                gap -= ht[i, j] / n_t
            value += gap * gap
            for i in range(n_s):
                dhs[i, j] += 2 * strength * gap / n_s
            for i in range(n_t):
                dht[i, j] -= 2 * strength * gap / n_t
        return strength * value
