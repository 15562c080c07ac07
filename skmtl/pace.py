"""Which layers of a pretrained trunk are trained when, and how fast."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pace:
    """Learning rates of a trunk's layers in each epoch, as parts of the schedule's.

    Layer-wise learning rates and gradual unfreezing [1]_: the layer d below the heads learns at
    ``layer_decay**d``, from epoch ``d * unfreeze_every`` on. Epochs count from 0.

    Parameters
    ----------
    n_layers, n_frozen : int
        Layers of the trunk; how many of them, from the input, are never trained.
    layer_decay : float
    unfreeze_every : int or None
        None: all are trained from the start.

    References
    ----------
    .. [1] Howard and Ruder (2018). Universal language model fine-tuning for text classification.
       ACL, sections 3.2 and 3.3.
    """

    n_layers: int
    n_frozen: int
    layer_decay: float
    unfreeze_every: int | None

    @property
    def n_epochs(self):
        """The epoch from which on all layers are trained that ever are."""
        return (self.unfreeze_every or 0) * (self.n_layers - self.n_frozen)

    def rates(self, epoch):
        """Of each layer in an epoch, from the input up."""
        depth = np.arange(self.n_layers, 0, -1)
        rates = float(self.layer_decay) ** depth
        if epoch < self.n_epochs:
            rates[depth * self.unfreeze_every > epoch] = 0
        return rates

    def prepare(self, problem, epoch):
        """Set the rates of an epoch."""
        problem.layer_rates[:] = self.rates(epoch)

    def n_alike(self, epoch):
        """How many epochs have the same rates, from this one on."""
        if epoch >= self.n_epochs:
            return np.inf
        return self.unfreeze_every - epoch % self.unfreeze_every
