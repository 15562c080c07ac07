"""Task weightings."""

from skmtl.plugins.base import Weighting


class Uniform(Weighting):
    """Every task weighs 1.

    Examples
    --------
    >>> from skmtl.plugins.weightings import Uniform
    >>> Uniform()
    Uniform()
    """

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w_t = 1."""
        weights[:] = 1.0
