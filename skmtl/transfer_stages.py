"""The stages of a transfer as problems of the engine: domains, tasks, penalties, alignments."""

import warnings

import numpy as np

from skmtl.engine.blocks import map_block_table
from skmtl.engine.data import EVERY, Domain, Task
from skmtl.engine.layout import Architecture
from skmtl.experts import experts_of, start_gates
from skmtl.first_stage import FirstStage, start_of
from skmtl.pace import Pace
from skmtl.plugins.sharings import Hard
from skmtl.plugins.weightings import Uniform
from skmtl.source import as_pretrained, read_source_model, take_weights
from skmtl.source_row_weights import weigh_source_rows
from skmtl.steps import run_to_the_end
from skmtl.task_columns import TaskColumn
from skmtl.tasks import kept, observed
from skmtl.transfer_data import TransferData
from skmtl.transfer_plan import Part, coefficients, source_shares
from skmtl.weights import label_weights


class TransferStages(TransferData):
    """From the data of a transfer to what the engine trains, one stage at a time."""

    @property
    def _n_pretrain_epochs(self):
        return self.max_iter if self.pretrain_max_iter is None else self.pretrain_max_iter

    def _read_source_model(self):
        return None if self.source_model is None else read_source_model(self.source_model)

    def _weigh_sources(self, target, row_weight, sources, target_rows, rng):
        """Leave the weights of the sources' rows in ``source_sample_weights_``."""
        self.source_sample_weights_ = []
        heads = self._heads_of(target, sources)
        without_sources = np.isinf(self.lam) and self.strategy == "joint"
        for s, source in enumerate(sources):
            if without_sources or self.strategy == "target_only":
                self.source_sample_weights_.append(None)
                continue
            y_target, has_classes = None, source.classes is not None
            if heads.sources[s] == heads.target and has_classes:
                codes = kept(target.codes, row_weight > 0)
                y_target = np.full(target_rows.shape[0], -1)
                y_target[: codes.size] = heads.codes_in_head(codes, target.classes, heads.target)
            labelled = observed(source.codes)
            rows, codes, y_source = source.X, source.codes, None
            if not labelled.all():
                rows, codes = rows[labelled], codes[labelled]
            if has_classes:
                y_source = heads.codes_in_head(codes, source.classes, heads.sources[s])
                y_source = y_source.astype(np.intp)  # plugins may count beyond a byte
            weights = np.zeros(source.codes.size)
            weights[labelled] = weigh_source_rows(
                self.source_sample_weighting_, s, rows, y_source, target_rows, y_target, rng
            )
            self.source_sample_weights_.append(weights)

    def _pretrain(self, target, row_weight, sources, target_rows, rng, pretrained, watch, stages):
        """Train on the sources alone; gives the weights to go on from, and if the fit is to end.

        ``stages``, if there are any, keep what a stage that starts alike has come to.
        """
        parts = self._plan("source_only", target, row_weight, sources)
        problem = self._describe(parts, target_rows, rng, pretrained)
        classes = self._task_classes[0]

        def train():
            run = self._run(problem, watch, max_iter=self._n_pretrain_epochs)
            history = run_to_the_end(run)
            self._keep_of_sources(parts, len(sources), problem, history)
            stopped = watch.end(self._fitted_as_of(problem))
            numbers = self._numbers(parts[0].head)
            return FirstStage(
                as_pretrained(problem, classes, numbers),
                history.losses,
                self.map_params_,
                self.source_weights_,
                rng.bit_generator.state,
                history.interrupted or stopped,
            )

        stage = train() if stages is None else stages.get(start_of(problem, classes), train)
        rng.bit_generator.state = stage.rng_state
        self.pretrain_loss_curve_, self.map_params_ = list(stage.losses), list(stage.map_params)
        self.source_weights_ = stage.source_weights.copy()
        return stage.pretrained, stage.ended

    def _plan(self, strategy, target, row_weight, sources):
        """The parts of a stage: the target and the sources that weigh something.

        The first one is what ``predict`` speaks for: the target, or, where it takes no part, the
        first source. Sets the attributes that describe the labels of its head.
        """
        heads = self._heads_of(target, sources)
        weights = [1.0 if w is None else w for w in self.source_sample_weights_]
        domains = [(target, row_weight), *zip(sources, weights)]
        wanted = self._class_weights([data.classes for data, _ in domains])
        weights = [
            label_weights(data.codes, data.classes, row_weight, class_weight)
            for (data, row_weight), class_weight in zip(domains, wanted)
        ]
        totals = np.array([weight.sum() for weight in weights])
        n_labels = [np.count_nonzero(weight) for weight in weights[1:]]
        shares = source_shares(self.source_weighting, n_labels)
        c = coefficients(strategy, self.lam, self.mu, shares, (totals[0], totals[1:]))
        candidates = [
            (None, target, heads.target, c.target, 0.0),
            *zip(range(len(sources)), sources, heads.sources, c.sources, c.maps),
        ]
        parts = [
            Part(source, data.X, codes, weight, head, coefficient, map_strength)
            for (source, data, head, coefficient, map_strength), weight in zip(candidates, weights)
            if coefficient > 0
            for codes in [heads.codes_in_head(data.codes, data.classes, head)]
        ]
        speaks_for_all = len({part.head for part in parts}) == 1
        if parts[0].source is not None and self.strategy != "finetune" and not speaks_for_all:
            raise ValueError(
                "Without the target's labels, several sources must have the same labels, or "
                "share_head=True."
            )
        self._task_classes, self._is_1d = [heads.classes[parts[0].head]], True
        self._set_classes()
        self._head_classes = heads.classes
        return parts

    def _heads_of(self, target, sources):
        one_head = self.strategy == "pooled" or self.sharing_.shares_heads
        share = True if one_head else self.share_head
        return self._assign_heads(target, sources, share)

    def _validation_rows_of(self, part, X_val, y_val, rng):
        """Rows of the target to train on, and those to validate on; a source has none."""
        if part.source is not None:
            if self.early_stopping:
                warnings.warn(
                    "early_stopping=True has no effect where the source alone is trained "
                    f"(strategy={self.strategy!r}, lam={self.lam!r}): it watches the target.",
                    stacklevel=6,
                )
            return EVERY, None
        column = TaskColumn(EVERY, part.codes, part.weight)
        return self._validation_rows(part.X, [column], X_val, y_val, rng)

    def _describe(self, parts, target_rows, rng, pretrained, freeze=0, *, resume=False, pace=None):
        """The problem of a stage: a domain and a task for each part.

        Without the target among the parts, an alignment adds its rows as a domain without task.
        """
        from skmtl.engine.problem import AlignmentTerm  # imports numba

        self._check_freeze(freeze, pretrained is not None or resume)
        n_inputs, dtype = target_rows.shape[1], target_rows.dtype
        aligned = self._aligned_parts(parts)
        map_starts = [self._map_start(part, parts[0], target_rows, rng) for part in parts]
        heads = list(dict.fromkeys(part.head for part in parts))
        sharing = self._sharing_of(parts)
        head_classes = [self._head_classes[head] for head in heads]
        hidden = self._widths("hidden_layer_sizes")
        n_features = hidden[-1] if hidden and self._aligns_shared else n_inputs
        alignment_starts = [self.map_penalty_.init(n_features, rng) for _ in aligned]
        domains = [
            Domain(part.X, self.feature_map_ if map_start.size else None)
            for part, map_start in zip(parts, map_starts)
        ]
        target_domain = 0
        if aligned:
            all_target_rows = Domain(target_rows, also_rows=_unlabelled(parts[0], target_rows))
            if parts[0].source is None:
                domains[0] = all_target_rows
            else:
                target_domain = len(domains)
                domains.append(all_target_rows)
                map_starts.append(np.zeros(0))
        layout = self._layout_of(
            Architecture(
                n_inputs=n_inputs,
                hidden=hidden,
                activation=self.activation,
                head_hidden=self._widths("head_layer_sizes"),
                n_outputs=tuple(self._n_outputs(classes, self.loss_) for classes in head_classes),
                task_heads=tuple(heads.index(part.head) for part in parts),
                map_sizes=tuple(map_start.size for map_start in map_starts),
                alignment_sizes=tuple(start.size for start in alignment_starts),
                **experts_of(sharing, len(parts), hidden),
            )
        )
        if layout.architecture.n_experts > 1:
            self._check_experts(pretrained, aligned)
        theta = self._first_theta(layout, rng, dtype, resume)
        if not resume:
            ours = slice(layout.map_offsets[0], layout.alignment_offsets[-1])
            theta[ours] = np.concatenate([*map_starts, *alignment_starts])
            start_gates(sharing, layout, theta, rng)
        penalties = self._penalties(layout, theta, parts, map_starts, pretrained, resume)
        if not resume:
            self._set_units(layout, parts, pretrained)
        return self._problem(
            layout,
            theta,
            domains,
            [self._task_of(d, part, layout) for d, part in enumerate(parts)],
            penalties,
            rng,
            weighting=self._weighting_of(parts),
            n_frozen_layers=freeze,
            layer_rates=None if pace is None else pace.rates(0),
            alignments=[
                AlignmentTerm(self.map_penalty_, parts[d].map_strength, d, target_domain)
                for d in aligned
            ],
        )

    def _weighting_of(self, parts):
        """That of the estimator; but sources alone have no main task, and weigh what they do."""
        lacks_main = self.weighting_.has_main_task and parts[0].source is not None
        return Uniform() if lacks_main else self.weighting_

    def _sharing_of(self, parts):
        """That of the estimator where target and sources meet; else there is one trunk."""
        meet = parts[0].source is None and len(parts) > 1
        return self.sharing_ if meet else Hard()

    def _check_experts(self, pretrained, aligned):
        """Whether several experts suit the other parameters."""
        if pretrained is not None:
            raise ValueError(
                f"sharing={self.sharing!r} has several trunks, and a source_model is the start of "
                "one: use sharing='hard' or 'pooled'."
            )
        if aligned and self._aligns_shared:
            raise ValueError(
                f"map_penalty={self.map_penalty!r} aligns what one trunk gives, and sharing="
                f"{self.sharing!r} has several: use where='input', or sharing='hard' or 'pooled'."
            )

    def _set_units(self, layout, parts, pretrained):
        """Set the units in which the heads learn, where labels are numbers."""

    def _numbers(self, head):
        """What a head's outputs mean, where labels are numbers."""
        return None

    def _as_learned(self, y, head):
        """Encoded y as the network learns it."""
        return y

    def _read_outputs(self, out, head):
        """What the outputs of a head say: class probabilities."""
        return self.loss_.proba(out)

    @property
    def _aligns_shared(self):
        return self._aligns and self.map_penalty_.where == "shared"

    def _aligned_parts(self, parts):
        """Numbers of the parts whose rows are drawn to those of the target."""
        if not self._aligns:
            return []
        aligned = [d for d, part in enumerate(parts) if part.map_strength > 0]
        if aligned and self.map_penalty_.needs_labels:
            if self._task_classes[0] is None:
                raise ValueError(
                    f"map_penalty={self.map_penalty!r} compares classes, and {type(self).__name__} "
                    "has none: use an alignment that reads no labels, such as 'coral' or 'mmd'."
                )
            if len({part.head for part in parts}) > 1:
                raise ValueError(
                    f"map_penalty={self.map_penalty!r} compares classes: source and target must "
                    "have the same labels, or share_head=True."
                )
            if parts[0].source is not None:
                raise ValueError(
                    f"map_penalty={self.map_penalty!r} reads the target's labels: use "
                    "strategy='joint' with lam > 0, or 'pooled'. Got "
                    f"strategy={self.strategy!r} and lam={self.lam!r}."
                )
        return aligned

    def _map_start(self, part, first, target_rows, rng):
        """Parameters that a part's feature map starts from; none for the target."""
        if part.source is None:
            return np.zeros(0)
        if self._head_classes[part.head] is None:  # a map may start from classes, not from numbers
            return self.feature_map_.init(part.X, target_rows, rng)
        y_target = None
        if first.source is None and first.head == part.head:
            y_target = np.full(target_rows.shape[0], -1)
            y_target[: first.codes.size] = kept(first.codes, first.weight > 0)
        y_source = part.codes.astype(np.intp)  # plugins may count beyond a byte
        return self.feature_map_.init(part.X, target_rows, rng, y_source, y_target)

    def _task_of(self, d, part, layout):
        column = TaskColumn(EVERY, part.codes, part.weight).to_train_on()
        if self._learns_nothing(self._head_classes[part.head]):
            column = column.emptied()
        return Task(
            domain=d,
            head=layout.architecture.task_heads[d],
            loss=self.loss_,
            rows=column.rows,
            y=self._as_learned(column.y, part.head),
            weight=column.weight,
            coefficient=part.coefficient,
        )

    def _penalties(self, layout, theta, parts, map_starts, pretrained, resume):
        """R(theta), and R(g) of each map; writes the pretrained weights into theta."""
        written, fisher = None, None
        if pretrained is not None and not resume:
            with_head = self._takes_head(layout, pretrained)
            written = take_weights(layout, theta, pretrained, with_head)
            if pretrained.fisher is not None:

                def fisher():
                    diagonal = np.zeros_like(theta)
                    take_weights(layout, diagonal, pretrained.fisher(), with_head)
                    return diagonal

        penalties = []
        wanted = self.penalty_, self.alpha
        # Of the two stages of "finetune" the first learns what such a penalty anchors at.
        learns_anchor = self.strategy == "finetune" and parts[0].source is not None
        if self.penalty_.needs_pretrained and learns_anchor:
            wanted = self.penalty_.for_source()
        if wanted is not None:
            penalties.append(self._penalty_term(*wanted, layout.blocks, theta, written, fisher))
        for d, (part, map_start) in enumerate(zip(parts, map_starts)):
            if map_start.size and not self._aligns:
                blocks = map_block_table(
                    self.feature_map_,
                    part.X.shape[1],
                    layout.architecture.n_inputs,
                    layout.map_offsets[d],
                )
                penalties.append(
                    self._penalty_term(self.map_penalty_, part.map_strength, blocks, theta)
                )
        return penalties

    def _keep_of_sources(self, parts, n_sources, problem, history):
        """Leave the trained feature maps in ``map_params_``, the weights in ``source_weights_``."""
        self.map_params_, self.source_weights_ = [None] * n_sources, np.zeros(n_sources)
        offsets = problem.layout.map_offsets
        total = sum(part.coefficient for part in parts if part.source is not None)
        for d, part in enumerate(parts):
            if part.source is not None:
                self.map_params_[part.source] = problem.theta[offsets[d] : offsets[d + 1]].copy()
                factor = history.task_weights[-1][-1, d] if history.task_weights else 1.0
                self.source_weights_[part.source] = part.coefficient / total * factor

    def _pace(self, has_weights):
        """How fast the layers that came from a source are trained; None: all alike."""
        if self.unfreeze_every is None and self.layer_decay == 1:
            return None
        given = f"unfreeze_every={self.unfreeze_every!r} with layer_decay={self.layer_decay!r}"
        if self.strategy != "finetune" or not has_weights:
            raise ValueError(
                f"{given} trains layers that came from a source: use strategy='finetune' with "
                f"X_source or source_model. Got strategy={self.strategy!r}."
            )
        if self._uses_lbfgs:
            raise ValueError(
                f"{given} needs learning rates: use solver='adam', 'adamw' or 'sgd', not 'lbfgs'."
            )
        n_layers = len(self._widths("hidden_layer_sizes"))
        pace = Pace(n_layers, min(self.freeze, n_layers), self.layer_decay, self.unfreeze_every)
        if pace.n_epochs >= self.max_iter:
            raise ValueError(
                f"unfreeze_every={self.unfreeze_every} trains all {n_layers - self.freeze} layers "
                f"from epoch {pace.n_epochs + 1} on, but max_iter={self.max_iter}: lower one or "
                "raise the other."
            )
        return pace

    def _check_freeze(self, freeze, has_weights):
        n_layers = len(self._widths("hidden_layer_sizes"))
        if self.freeze > n_layers:
            raise ValueError(
                f"freeze={self.freeze}, but hidden_layer_sizes={self.hidden_layer_sizes!r} has "
                f"{n_layers} layers."
            )
        if freeze and not has_weights:
            raise ValueError(
                f"freeze={freeze} keeps layers that came from a source: use strategy='finetune' "
                "with X_source, or source_model."
            )


def _unlabelled(first, target_rows):
    """Rows of the target that an alignment reads without label; not those that are held out."""
    unlabelled = np.ones(target_rows.shape[0], bool)
    if first.source is None:
        unlabelled[: first.codes.size] = ~observed(first.codes)
    return np.flatnonzero(unlabelled)
