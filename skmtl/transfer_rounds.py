"""Rounds of a transfer: its sources' rows are weighed anew while it is trained."""

from functools import partial

import numpy as np

from skmtl.engine.forward import in_blocks, task_outputs
from skmtl.rounds import Rounds
from skmtl.source_row_weights import reweigh_rows
from skmtl.transfer_stages import TransferStages


class TransferRounds(TransferStages):
    """What ``n_rounds`` of a source weighting ask of a transfer."""

    def _rounds(self, parts):
        """When the rows of the sources are weighed anew, beside the target."""
        weighting = self.source_sample_weighting_
        together = parts[0].source is None and len(parts) > 1
        if not (weighting.n_rounds and together):
            return []
        weigh = partial(self._hold_round, parts, self.source_sample_weights_)
        rounds = Rounds(weighting.every, weighting.n_rounds, weigh)
        given = f"source_sample_weighting={self.source_sample_weighting!r}"
        if self._uses_lbfgs:
            raise ValueError(
                f"{given} weighs rows between epochs: use solver='adam', 'adamw' or 'sgd', not "
                "'lbfgs'."
            )
        if rounds.n_epochs >= self.max_iter:
            raise ValueError(
                f"{given} has its {rounds.n_rounds} rounds in {rounds.n_epochs} epochs, but "
                f"max_iter={self.max_iter}: lower n_rounds or every, or raise max_iter."
            )
        return [rounds]

    def _hold_round(self, parts, first, problem, number):
        """Weigh the rows of each source anew; ``first`` are the weights that they started with."""
        by_source = [*self.source_sample_weights_]
        for d, part in enumerate(parts):
            s = part.source
            if s is None or self._learns_nothing(self._head_classes[part.head]):
                continue
            rows, trained = np.flatnonzero(first[s]), np.flatnonzero(part.weight)
            weights = np.zeros_like(first[s])
            weights[rows] = reweigh_rows(
                self.source_sample_weighting_,
                s,
                by_source[s][rows],
                part.codes[rows],
                self._predicted(problem, d, part, rows),
                number,
            )
            by_source[s] = weights
            label_weight = part.weight[trained] * (weights[trained] / first[s][trained])
            problem.set_label_weights(d, label_weight)
        self.source_sample_weights_ = by_source

    def _predicted(self, problem, d, part, rows):
        """What the network, as it is, makes of rows of a source: probabilities, or numbers."""
        layout, theta = problem.layout, problem.theta
        start, stop = layout.map_offsets[d : d + 2]

        def outputs(X):
            if stop > start:
                n_inputs = layout.architecture.n_inputs
                X = self.feature_map_.transform(theta[start:stop], X, n_inputs)
            return task_outputs(layout, theta, X, [d])

        (out,) = in_blocks(outputs, layout, part.X)  # part.X[rows] would be a second copy of X
        return self._read_outputs(out[rows], part.head)
