"""Weights of a source's rows by their distance from the target."""

import numpy as np
from sklearn.metrics import pairwise_distances_argmin_min

from skmtl.plugins.base import SourceWeighting


class Nearest(SourceWeighting):
    """w_i = 1 / (offset + d_i), with d_i the distance to the nearest row of the target."""

    def __init__(self, offset=0.5):
        self.offset = offset

    def hyper(self):
        self._check_number("offset", closed="neither")
        return [float(self.offset)]

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        self.hyper()
        _, distance = pairwise_distances_argmin_min(X_source, X_target)
        return 1 / (self.offset + np.asarray(distance, np.float64))
