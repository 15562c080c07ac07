"""The tables of a network and of its training, from what a fit describes: NET and what it names."""

from numbers import Real

import numpy as np
from scipy.sparse import issparse

from skmtl.engine import (
    activations,
    align,
    batches,
    flat_heads,
    gates,
    heads,
    layers,
    lazy,
    maps,
    network,
    pace,
    passes,
    sparse,
    tables,
)
from skmtl.engine import compile as compiler
from skmtl.engine.blocks import OFFSET, block_table
from skmtl.engine.layout import FIXED
from skmtl.engine.records import table_of


class NetBuilder:
    """Builds the record NET.

    Parameters
    ----------
    layout, domains, tasks, penalties, alignments, training
        As ``Problem`` gets them.
    dtype : dtype
        Of the fit.
    rows, table : list of Rows, list of dict
        What ``lay_out_rows`` made of domains and tasks; ``build`` adds the maps to the table.
    records : Records

    Attributes
    ----------
    n_frozen : int
        ``theta[:n_frozen]`` is not trained.
    n_lazy : int
        ``theta[:n_lazy]`` takes its steps late, see ``engine.lazy``.
    by_task : bool
        Whether the tasks' gradients are taken one by one.
    layer_rates : ndarray of shape (n_trunk,)
        The part of each step that each trunk layer goes; empty where all go all of it.
    task_table : ndarray of tables.TASK
        A record for each task; known after ``build``.
    has_prox : bool
        Whether a penalty is followed by proximal steps; known after ``build``.
    """

    def __init__(
        self, layout, dtype, domains, tasks, penalties, alignments, training, rows, table, records
    ):
        self.layout, self.dtype, self.training = layout, dtype, training
        self._dtype_name = dtype.name  # which NumPy puts together every time
        self.domains, self.tasks = domains, tasks
        self.penalties, self.alignments = penalties, alignments
        self.rows, self.table, self.records = rows, table, records
        self.steps_per_epoch = max(domain["n_batches"] for domain in table)
        self.n_frozen = int(layout.depth_offsets[training.n_frozen_layers])
        self.by_task = bool(training.weighting.needs_gram or training.record_affinity)
        self.is_paced = training.layer_rates is not None
        self.layer_rates = np.array(training.layer_rates if self.is_paced else (), dtype)
        self.n_lazy = self._count_lazy()
        self._hp = []

    def build(self):
        """NET, with the addresses of the functions of the plugins and of the engine."""
        a, training, dtype = self.layout.architecture, self.training, self.dtype
        self._add_maps()
        self.task_table = tasks = self._build_tasks()
        penalty_table, blocks = self._build_penalties()
        alignment_table = self._build_alignments()
        weighting_hp, weighting_n_hp = self._pack(training.weighting)
        optimizer_hp, optimizer_n_hp = self._pack(training.optimizer)
        mask = np.array(a.gate_mask, dtype)
        if a.gate == "fixed":
            mask /= mask.sum(axis=1, keepdims=True)
        return self.records.make(
            tables.NET,
            n_domains=len(self.domains),
            n_tasks=len(self.tasks),
            n_inputs=a.n_inputs,
            n_shared=a.n_shared,
            n_experts=a.n_experts,
            n_trunk=len(a.hidden),
            n_heads=len(a.n_outputs),
            n_head_hidden=len(a.head_hidden),
            n_penalties=len(penalty_table),
            n_alignments=len(alignment_table),
            max_outputs=max(a.n_outputs),
            first_layer=training.n_frozen_layers,
            n_frozen=self.n_frozen,
            trunk_size=self.layout.depth_offsets[-1],
            trunk_once=int(not self.by_task and self._has_one_dense_domain()),
            n_lazy=self.n_lazy,
            lazy_decay=self._lazy_decay,
            maps_train=int(any(a.map_sizes)),
            dropout=training.dropout,
            step_length=training.optimizer.step_length() or 0.0,
            clip_norm=training.clip_norm,
            n_common=self._n_common() if self.by_task else 0,
            heads_in_common=int(len(self.layout.outputs) == 1),
            needs_gram=int(training.weighting.needs_gram),
            steps_per_epoch=self.steps_per_epoch,
            layers=self.layout.layers,
            tasks=tasks,
            penalties=penalty_table,
            alignments=alignment_table,
            blocks=blocks,
            gate_mask=mask,
            trunk_width=_cumulated(a.hidden),
            head_width=_cumulated(a.head_hidden),
            hp=np.array(self._hp, dtype),
            weighting=self._address(training.weighting, "update", "weighting"),
            weighting_hp=weighting_hp,
            weighting_n_hp=weighting_n_hp,
            optimizer=self._address(training.optimizer, "step", "optimizer"),
            optimizer_hp=optimizer_hp,
            optimizer_n_hp=optimizer_n_hp,
            is_paced=int(self.is_paced),
            layer_rates=self.layer_rates,
            before_step=np.empty(self.layout.depth_offsets[-1] * self.is_paced, dtype),
            catch_up=self._address(training.optimizer, "catch_up") if self.n_lazy else 0,
            gemm=compiler.gemm_address(self._dtype_name),
            **self._kernels(tasks, len(alignment_table)),
        )

    def _n_common(self):
        """How much of theta the tasks share: up to the maps, or to the heads if these differ."""
        n_heads = len(self.layout.outputs)
        n_common = self.layout.map_offsets[0] if n_heads == 1 else self.layout.depth_offsets[-1]
        if n_common <= self.n_frozen:
            raise ValueError(
                f"{type(self.training.weighting).__name__} weighs, and record_affinity=True "
                "compares, the tasks' gradients at trained parameters that they share, and there "
                "are none: give the network hidden layers that are not frozen."
            )
        return int(n_common)

    def _build_tasks(self):
        a, rows = self.layout.architecture, []
        gates = self.layout.gates.tolist()
        for task, mask, (gate, gate_at) in zip(self.tasks, a.gate_mask, gates, strict=True):
            hp, n_hp = self._pack(task.loss)
            rows.append(
                {
                    "domain": task.domain,
                    "head": task.head,
                    "loss": self._address(task.loss, "value_grad", "loss"),
                    "hp": hp,
                    "n_hp": n_hp,
                    "n_out": a.n_outputs[task.head],
                    "only_expert": mask.index(True) if gate == FIXED and sum(mask) == 1 else -1,
                    "gate": gate,
                    "gate_at": gate_at,
                    "coefficient": task.coefficient,
                    "total_weight": task.weight.sum(),
                }
            )
        return table_of(tables.TASK, rows)

    def _build_penalties(self):
        """The table of penalties with their blocks, without what is frozen or of no strength."""
        dtype = self.dtype
        strong = [term for term in self.penalties if term.strength > 0]
        terms = [(term, self._trained_blocks(term.blocks)) for term in strong]
        terms = [(term, blocks) for term, blocks in terms if len(blocks)]
        self.has_prox = any(self._takes_prox(term) for term, _ in terms)
        self._lazy_decay = 0.0
        rows, first_block = [], 0
        for term, blocks in terms:
            hp, n_hp = self._pack(term.penalty)
            constants = () if term.constants is None else term.constants(blocks)
            constants, n_constants = self.records.own(np.array(constants, dtype))
            work, n_work = self.records.own(np.zeros(term.penalty.n_work(blocks)))
            n_lazy = np.count_nonzero(blocks[:, OFFSET] < self.n_lazy)
            self._lazy_decay += term.strength * (n_lazy > 0)
            rows.append(
                {
                    "function": self._address(term.penalty, "value_grad", "penalty"),
                    "prox": self._address(term.penalty, "prox") if self._takes_prox(term) else 0,
                    "first_block": first_block,
                    "n_blocks": len(blocks),
                    "n_lazy": n_lazy,
                    "hp": hp,
                    "n_hp": n_hp,
                    "constants": constants,
                    "n_constants": n_constants,
                    "work": work,
                    "n_work": n_work,
                    "strength": term.strength,
                }
            )
            first_block += len(blocks)
        blocks = np.concatenate([block_table(()), *(blocks for _, blocks in terms)])
        return table_of(tables.PENALTY, rows), blocks

    def _trained_blocks(self, blocks):
        """Those that are not frozen, lazy ones first."""
        trained = blocks[blocks[:, OFFSET] >= self.n_frozen]
        return trained[np.argsort(trained[:, OFFSET] >= self.n_lazy, kind="stable")]

    def _takes_prox(self, term):
        """Whether a penalty is followed by proximal steps: no one length fits a rescaled step."""
        has_length = self.training.optimizer.step_length() is not None
        return has_length and term.penalty.prox is not None

    def _count_lazy(self):
        """How much of theta takes its steps late: the first layer's weights, or nothing."""
        a, training = self.layout.architecture, self.training
        if (
            not a.hidden
            or self.n_frozen
            or self.by_task
            or self.is_paced
            or np.isfinite(training.clip_norm)  # looks at the whole gradient
            or not training.optimizer.catches_up()
            or not all(issparse(d.X) and d.map is None for d in self.domains)
            or not lazy.pays_off(
                [d.X for d in self.domains], training.batch_size, self.steps_per_epoch
            )
        ):
            return 0
        n_lazy = a.n_experts * a.n_inputs * a.hidden[0]
        for term in self.penalties:
            reaches = term.strength > 0 and (term.blocks[:, OFFSET] < n_lazy).any()
            if reaches and (not term.penalty.is_weight_decay or self._takes_prox(term)):
                return 0
        return n_lazy

    def _build_alignments(self):
        offsets, rows = self.layout.alignment_offsets.tolist(), []
        for term, start, stop in zip(self.alignments, offsets, offsets[1:]):
            self._check_aligned_rows(term)
            alignment = term.alignment
            hp, n_hp = self._pack(alignment)
            rows.append(
                {
                    "function": self._address(alignment, "value_grad", "alignment"),
                    "source": term.source,
                    "target": term.target,
                    "on_shared": int(alignment.where == "shared"),
                    "needs_labels": int(alignment.needs_labels),
                    "theta_start": start,
                    "theta_size": stop - start,
                    "hp": hp,
                    "n_hp": n_hp,
                    "strength": term.strength,
                }
            )
        return table_of(tables.ALIGNMENT, rows)

    def _check_aligned_rows(self, term):
        """An alignment reads dense rows: those of a layer, of a map, or of a dense X."""
        reads_input = term.alignment.where == "input" or not self.layout.architecture.hidden
        domains = self.domains[term.source], self.domains[term.target]
        if reads_input and any(issparse(d.X) and d.map is None for d in domains):
            raise ValueError(
                f"{type(term.alignment).__name__} reads dense rows of source and target, and "
                "X is sparse: use hidden layers and where='shared', or dense X."
            )

    def _has_one_dense_domain(self):
        """Whether the trunk reads rows of one domain, which are dense or mapped."""
        return len(self.domains) == 1 and not (
            issparse(self.domains[0].X) and self.domains[0].map is None
        )

    def _add_maps(self):
        """Write the feature maps into the table of domains."""
        offsets = self.layout.map_offsets.tolist()
        for row, domain, start, stop in zip(self.table, self.domains, offsets, offsets[1:]):
            suffix = "_csr" if row["is_csr"] else ""
            forward = backward = hp = n_hp = 0
            if domain.map is not None:
                forward = self._address(domain.map, "forward" + suffix)
                backward = self._address(domain.map, "backward" + suffix)
                hp, n_hp = self._pack(domain.map)
            row |= {
                "map_forward": forward,
                "map_backward": backward,
                "map_start": start,
                "map_size": stop - start,
                "map_hp": hp,
                "map_n_hp": n_hp,
            }

    def _pack(self, plugin):
        """Append a plugin's numbers to hp; gives where they start and how many there are."""
        numbers = list(plugin.hyper())
        if not all(isinstance(n, Real) and np.isfinite(n) for n in numbers):
            raise ValueError(
                f"{type(plugin).__name__}.hyper() must give a flat list of finite floats, with "
                f"options encoded as numbers. Got {numbers!r} instead."
            )
        self._hp.extend(numbers)
        return len(self._hp) - len(numbers), len(numbers)

    def _address(self, plugin, function, kind=None):
        function_of_type = getattr(type(plugin), function)
        return compiler.address_of(function_of_type, kind or function, self._dtype_name)

    def _kernel(self, function, kind):
        """Address of a part of the engine."""
        return compiler.address_of(function, kind, self._dtype_name)

    def _kernels(self, tasks, n_alignments):
        """Addresses of the engine's parts by name; 0 for those that this fit does not call.

        A task of one output goes abreast with others wherever it has a label on every row of a
        batch, and else by few rows; one of more outputs by few rows where these are few.
        """
        a, domain = self.layout.architecture, tasks["domain"]
        maps_some = any(row["map_forward"] for row in self.table)
        labels_a_row = np.array([row["labels_a_row"] for row in self.table])
        on_csr = np.array([row["is_csr"] and not row["map_forward"] for row in self.table], bool)
        mixes = tasks["only_expert"] < 0
        flat = ~mixes & (not a.head_hidden) & ~(on_csr[domain] & (not a.hidden))
        single, on_every_row = tasks["n_out"] == 1, labels_a_row[domain] > 0
        few = np.where(single, ~on_every_row, self._products_of_heads(tasks) <= flat_heads.FEW)
        used = [
            (True, [batches.sort_labels, passes.forward_domain, passes.forward_tasks]),
            (True, [passes.backward_tasks, passes.backward_domain, layers.multiply]),
            ((labels_a_row == 0).any(), [batches.deal_labels]),
            ((labels_a_row > 0).any(), [batches.transpose_labels]),
            (maps_some, [maps.map_rows]),
            (any(a.map_sizes), [maps.backward_map]),
            (a.n_experts > 1 and a.hidden, [network.assign_rows]),
            (on_csr.any() and a.hidden, [sparse.read_csr, sparse.backward_csr_layer]),
            (on_csr.any() and not a.hidden, [sparse.head_on_csr, sparse.backward_head_on_csr]),
            (self.training.dropout > 0, [layers.drop_out]),
            ((flat & single).any(), [flat_heads.forward_abreast, flat_heads.backward_abreast]),
            ((flat & few).any(), [flat_heads.forward_few, flat_heads.backward_few]),
            (not (flat & single).all(), [heads.forward_head, heads.backward_head]),
            (a.head_hidden, [heads.forward_hidden, heads.backward_hidden]),
            (mixes.any(), [gates.mix_experts, gates.backward_mixture]),
            (n_alignments > 0, [align.align]),
            (self.n_lazy > 0, [lazy.catch_up_rows]),
            (self.is_paced, [pace.pace_layers]),
        ]
        addresses = {
            part.__name__: self._kernel(part, part.__name__) if calls else 0
            for calls, parts in used
            for part in parts
        }
        activate, backward, _ = activations.of_net(a.activation, self.training.dropout)
        addresses["activate"] = self._kernel(activate, "activate")
        addresses["backward_activation"] = self._kernel(backward, "backward_activation")
        return addresses

    def _products_of_heads(self, tasks):
        """Multiplications in the last layer of each task's head, in a batch with its usual rows."""
        n_labels = np.array([task.y.size for task in self.tasks])
        n_batches = np.array([row["n_batches"] for row in self.table])
        n_rows = n_labels / n_batches[tasks["domain"]]
        return n_rows * tasks["n_out"] * self.layout.architecture.n_shared


def _cumulated(widths):
    return np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
