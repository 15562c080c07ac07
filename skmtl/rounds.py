"""When the rows of sources are weighed anew during training: the rounds of a source weighting."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rounds:
    """After each of some epochs source rows are weighed anew.

    Parameters
    ----------
    every, n_rounds : int
        Epochs before each round, and rounds in all.
    weigh : callable
        Holds a round, of a number from 0.
    """

    every: int
    n_rounds: int
    weigh: Callable

    @property
    def n_epochs(self):
        """The epoch from which on the weights stay."""
        return self.every * self.n_rounds

    def prepare(self, problem, epoch):
        """Hold a round, if one is due before this epoch."""
        if 0 < epoch <= self.n_epochs and epoch % self.every == 0:
            self.weigh(problem, epoch // self.every - 1)

    def n_alike(self, epoch):
        """How many epochs there are up to the next round."""
        return np.inf if epoch >= self.n_epochs else self.every - epoch % self.every
