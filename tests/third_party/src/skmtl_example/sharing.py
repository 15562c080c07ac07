"""Trunks for tasks that stand side by side."""

import numpy as np

from skmtl.plugins.base import Sharing


class Neighbours(Sharing):
    """A trunk for each run of consecutive tasks, of some length."""

    def __init__(self, length=2):
        self.length = length

    def hyper(self):
        self._check_count("length", low=1)
        return [float(self.length)]

    def experts(self, n_tasks):
        trunk = np.arange(n_tasks) // self.length
        return trunk[:, np.newaxis] == np.arange(trunk[-1] + 1)
