"""A shift of the source's columns."""

import numpy as np

from skmtl.plugins.base import FeatureMap


class Shift(FeatureMap):
    """g(x) = x + b, between spaces of the same size; starts at the difference of the means."""

    def n_params(self, n_in, n_out):
        return n_out

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        if X_source.shape[1] != X_target.shape[1]:
            raise ValueError(
                f"Shift needs a source with the target's {X_target.shape[1]} columns, but "
                f"X_source has {X_source.shape[1]}."
            )
        return np.asarray(X_target.mean(axis=0) - X_source.mean(axis=0)).ravel()

    def blocks(self, n_in, n_out):
        return []  # b is free

    @staticmethod
    def forward(theta, x, hp, work, out):
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = x[i, j] + theta[j]

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        for i in range(dout.shape[0]):
            for j in range(dout.shape[1]):
                grad[j] += dout[i, j]

    def transform(self, theta, X, n_out):
        return X + theta
