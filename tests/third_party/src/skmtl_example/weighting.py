"""Weights that even out the tasks' losses."""

from skmtl.plugins.base import Weighting


class InverseLoss(Weighting):
    """w_t in proportion to 1 / (loss_t + offset), with mean 1 over the tasks that have labels."""

    def __init__(self, offset=0.1):
        self.offset = offset

    def hyper(self):
        self._check_number("offset", closed="neither")
        return [float(self.offset)]

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        total, n = 0.0, 0
        for t in range(losses.size):
            weights[t] = 1.0 / (losses[t] + hp[0])
            if n_labels[t] > 0:
                total += weights[t]
                n += 1
        for t in range(losses.size):
            weights[t] = weights[t] * n / total if n_labels[t] > 0 else 1.0
