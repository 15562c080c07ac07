"""Weights of source rows that follow the training: rounds of a source weighting."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: The least weight of a row in rounds, beside a mean of 1: of no account, and no batch is without.
LEAST = 1e-12


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


def reweigh_rows(weighting, number, weights, y, predicted, round):
    """Weights of the labelled rows of a source after a round, with mean 1.

    Parameters
    ----------
    weighting : SourceWeighting
    number : int
        Of the source, for messages.
    weights, y, predicted, round
        As ``reweigh`` gets them.

    Returns
    -------
    ndarray of shape (n_rows,)
        At least LEAST.

    Raises
    ------
    ValueError
        If the weighting gives what is no weight.
    """
    given = weighting.reweigh(weights, y, predicted, round)
    return np.maximum(mean_one(weighting, "reweigh", number, given, weights.size), LEAST)


def mean_one(weighting, method, number, given, n_rows):
    """What a source weighting gave, checked, and scaled to a mean of 1."""
    weights, name = np.asarray(given, np.float64), type(weighting).__name__
    if weights.shape != (n_rows,):
        raise ValueError(
            f"{name}.{method} must give a weight for each of the {n_rows} labelled rows of "
            f"X_source[{number}]. It gave an array of shape {weights.shape}."
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(
            f"{name}.{method} must give finite weights >= 0, not all 0, for X_source[{number}]. It "
            f"gave weights from {weights.min()} to {weights.max()}: scale the columns (standardize="
            "'per_domain'), or use another source_sample_weighting."
        )
    return weights / weights.mean()
