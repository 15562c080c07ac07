"""The engine's front door: theta, the objective over it, and epochs of training."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

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
    passes,
    sparse,
    tables,
    train,
)
from skmtl.engine import compile as compiler
from skmtl.engine.blocks import OFFSET, block_table
from skmtl.engine.data import labels_of, lay_out_rows
from skmtl.engine.layout import FIXED


class PenaltyTerm(NamedTuple):
    """``strength * R`` on some weight matrices, see ``engine.blocks``.

    ``constants`` gives the numbers that the penalty wants fixed during the fit, from the blocks
    that are trained; None if it wants none.
    """

    penalty: Any
    strength: float
    blocks: np.ndarray
    constants: Any = None


class AlignmentTerm(NamedTuple):
    """``strength`` times the distance between a source's rows and the target's, two domains."""

    alignment: Any
    strength: float
    source: int
    target: int


class Record(NamedTuple):
    """A record of ``engine.tables``, and where it lies."""

    fields: Any
    address: int


@dataclass
class Training:
    """How to go about it: what is not part of the objective's terms."""

    optimizer: Any
    weighting: Any
    rng: np.random.Generator
    batch_size: int = 200
    dropout: float = 0.0
    n_frozen_layers: int = 0
    clip_norm: float = np.inf
    record_affinity: bool = False


class Problem:
    """One objective over one flat parameter vector.

    Parameters
    ----------
    layout : Layout
    theta : ndarray of shape (layout.size,), float32 or float64
        Where to start; updated in place.
    domains : list of Domain
    tasks : list of Task
        Their labels are copied row by row, and not kept.
    penalties : list of PenaltyTerm
    training : Training
    alignments : list of AlignmentTerm, default=()

    Attributes
    ----------
    theta : ndarray
    n_frozen : int
        ``theta[:n_frozen]`` is not trained.
    n_lazy : int
        ``theta[:n_lazy]`` takes its steps late, see ``engine.lazy``.
    weighting_state : ndarray
        The weighting's state.
    n_rows : int
        Rows in use of the domain that has the most: what an epoch passes over.
    steps_per_epoch : int
        Batches of the domain that has the most.
    n_steps : int
        Optimizer steps taken.
    mean_weights : ndarray of shape (n_tasks,)
        What the weighting gave each task in the last epoch, on average over its steps.
    """

    def __init__(self, layout, theta, domains, tasks, penalties, training, alignments=()):
        self.layout, self.theta, self.training = layout, theta, training
        self.domains, self._tasks = domains, tasks
        self._terms, self._alignments = penalties, alignments
        n_tasks = len(tasks)
        self.n_frozen = int(layout.depth_offsets[training.n_frozen_layers])
        self.n_steps = 0
        self.weighting_state = np.zeros(training.weighting.n_state(n_tasks))
        self.mean_weights = np.ones(n_tasks)
        self._cosine, self._n_cosines = np.zeros((2, n_tasks, n_tasks))
        self._grad = np.zeros_like(theta)
        self._keep = []  # what the records hold by address
        self._hp = []
        self._rows, self._domain_table, keep = lay_out_rows(
            domains, tasks, training.batch_size, theta.dtype
        )
        self._keep.append(keep)
        self.n_rows = int(self._domain_table.n_rows.max())
        self.steps_per_epoch = int(self._domain_table.n_batches.max())
        self._by_task = bool(training.weighting.needs_gram or training.record_affinity)
        self.n_lazy = self._count_lazy()
        n_eager = layout.size - max(self.n_frozen, self.n_lazy)
        n_slots = training.optimizer.n_slots
        self._lazy_state = np.zeros((n_slots, self.n_lazy), theta.dtype)
        self._state = np.zeros((n_slots, n_eager), theta.dtype)
        self._add_maps()
        self._net = self._build_net(penalties, alignments)
        self._buffers = {}
        none = np.zeros(0, theta.dtype)
        self._tasks = [task._replace(rows=none, y=none, weight=none) for task in tasks]

    @property
    def tasks(self):
        """The tasks anew, from the labels row by row."""
        return [
            task._replace(**dict(zip(("rows", "y", "weight"), labels_of(self._rows, t))))
            for t, task in enumerate(self._tasks)
        ]

    @property
    def n_labels(self):
        """How many labels are observed, of all tasks."""
        return self._rows.label_y.size

    @property
    def state(self):
        """The optimizer's state, ndarray of shape (n_slots, layout.size - n_frozen)."""
        return np.hstack([self._lazy_state, self._state])

    @state.setter
    def state(self, state):
        self._lazy_state[...], self._state[...] = np.split(state, [self.n_lazy], axis=1)

    def largest_product(self, full):
        """Multiplications of a step's largest dense product, on a batch or on all rows."""
        a = self.layout.architecture
        widths = (a.n_inputs, *a.hidden), (a.n_shared, *a.head_hidden, sum(a.n_outputs))
        sizes = [n * m for chain in widths for n, m in zip(chain[:-1], chain[1:])]
        if a.hidden and all(issparse(d.X) and d.map is None for d in self.domains):
            del sizes[0]
        return max(sizes) * (self.n_rows if full else min(self.n_rows, self.training.batch_size))

    def epoch(self, lr):
        """Run one epoch at a learning rate.

        Returns
        -------
        value : float
            Mean over the batches of J.
        losses : ndarray of shape (n_tasks,)
            The same of each task's loss.
        finished : bool
            False if the objective or a parameter stopped being finite.
        """
        means = np.zeros(len(self._tasks) + 1)
        data, work, _ = self._batch_buffers(full=False)
        dtype = self.theta.dtype
        status = compiler.entry(train.epoch, "epoch", dtype.name, self._by_task)(
            self._net.address,
            data.address,
            work.address,
            self.theta,
            self._grad,
            self._state,
            self._lazy_state,
            dtype.type(lr),
            self.n_steps,
            means,
            self.training.rng,
        )
        self.n_steps += self.steps_per_epoch
        finished = status == train.FINISHED and bool(np.isfinite(self.theta).all())
        return means[-1], means[:-1], finished

    def objective(self, theta=None):
        """J over all rows, and its gradient.

        Parameters
        ----------
        theta : ndarray of shape (layout.size,), default=None
            Where; by default at ``self.theta``.

        Returns
        -------
        value : float
        grad : ndarray of shape (layout.size,)
            Zero at frozen parameters.
        losses : ndarray of shape (n_tasks,)
            Each task's loss.
        """
        theta = self.theta if theta is None else np.require(theta, self.theta.dtype, "CW")
        data, work, losses = self._batch_buffers(full=True)
        grad = np.zeros_like(theta)
        value = compiler.entry(train.objective, "objective", theta.dtype.name)(
            self._net.address, data.address, work.address, theta, grad, self.training.rng
        )
        grad[: self.n_frozen] = 0
        return value, grad, losses.copy()

    def suspects(self, theta):
        """Names of the plugins of which one gives what is not finite, where an epoch began.

        Returns
        -------
        list of str
            Empty if all that they give at theta is finite.
        """
        if not np.isfinite(self.mean_weights).all():
            return [type(self.training.weighting).__name__]
        bare = self._bare(theta)
        if not _all_finite(bare.objective(theta)):
            found = [task.loss for task in self._tasks]
            found += [domain.map for domain in self.domains if domain.map is not None]
        elif not _all_finite(self.objective(theta)):
            found = [term.penalty for term in self._terms]
            found += [term.alignment for term in self._alignments]
        else:
            found = []
        return sorted({type(plugin).__name__ for plugin in found})

    def affinity(self):
        """Mean cosine between the tasks' gradients at what they share, over all steps so far.

        Returns
        -------
        ndarray of shape (n_tasks, n_tasks)
            NaN for tasks that never met in a batch.

        Raises
        ------
        ValueError
            If the gradients were not taken one by one.
        """
        if not self._by_task:
            raise ValueError("needs record_affinity=True, or a weighting that needs_gram")
        with np.errstate(invalid="ignore"):
            return self._cosine / self._n_cosines

    def fisher(self):
        """Diagonal of the empirical Fisher information, the mean of squared gradients of log p.

        For domains of one task each; their coefficients weigh them.

        Returns
        -------
        ndarray of shape (layout.size,)
        """
        bare = self._bare(self.theta)
        data, work, _ = bare._batch_buffers(full=True)
        total, grad = np.zeros_like(self.theta), np.zeros_like(self.theta)
        compiler.entry(train.squared_gradients, "squared_gradients", self.theta.dtype.name)(
            bare._net.address,
            data.address,
            work.address,
            self.theta,
            grad,
            total,
            self.training.rng,
        )
        return total

    def _bare(self, theta):
        """The same problem without penalties and alignments, at theta."""
        return Problem(self.layout, theta, self.domains, self.tasks, (), self.training)

    # --- records --------------------------------------------------------------------------------

    def _record(self, dtype, **fields):
        """A record; arrays among the fields enter by address and are kept alive."""
        table = np.zeros(1, dtype).view(np.recarray)
        record = table[0]
        if missing := set(dtype.names).difference(fields):
            raise TypeError(f"missing fields {missing}")
        for name, value in fields.items():
            is_array = isinstance(value, np.ndarray)
            setattr(record, name, value.ctypes.data if is_array else value)
        self._keep.append((record, fields))
        return Record(record, table.ctypes.data)

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
        return compiler.address_of(function_of_type, kind or function, self.theta.dtype.name)

    def _kernel(self, function, kind):
        """Address of a part of the engine."""
        return compiler.address_of(function, kind, self.theta.dtype.name)

    def _kernels(self, tasks, n_alignments):
        """Addresses of the engine's parts by name; 0 for those that this fit does not call.

        A task of one output goes abreast with others wherever it has a label on every row of a
        batch, and else by few rows; one of more outputs by few rows where these are few.
        """
        a, domains = self.layout.architecture, self._domain_table
        on_csr = (domains.is_csr == 1) & (domains.map_forward == 0)
        mixes = tasks.only_expert < 0
        flat = ~mixes & (not a.head_hidden) & ~(on_csr[tasks.domain] & (not a.hidden))
        single, on_every_row = tasks.n_out == 1, domains.labels_a_row[tasks.domain] > 0
        few = np.where(single, ~on_every_row, self._products_of_heads(tasks) <= flat_heads.FEW)
        used = [
            (True, [batches.sort_labels, passes.forward_domain, passes.forward_tasks]),
            (True, [passes.backward_tasks, passes.backward_domain]),
            ((domains.labels_a_row == 0).any(), [batches.deal_labels]),
            ((domains.labels_a_row > 0).any(), [batches.transpose_labels]),
            (domains.map_forward.any(), [maps.map_rows]),
            (any(a.map_sizes), [maps.backward_map]),
            (a.n_experts > 1 and a.hidden, [network.assign_rows]),
            (on_csr.any() and a.hidden, [sparse.read_csr, sparse.backward_csr_layer]),
            (on_csr.any() and not a.hidden, [sparse.head_on_csr, sparse.backward_head_on_csr]),
            (self.training.dropout > 0, [layers.drop_out]),
            ((flat & single).any(), [flat_heads.forward_abreast, flat_heads.backward_abreast]),
            ((flat & few).any(), [flat_heads.forward_few, flat_heads.backward_few]),
            (not (flat & single).all(), [heads.forward_head, heads.backward_head]),
            (mixes.any(), [gates.mix_experts, gates.backward_mixture]),
            (n_alignments > 0, [align.align]),
            (self.n_lazy > 0, [lazy.catch_up_rows]),
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
        n_labels = np.bincount(self._rows.label_task, minlength=len(tasks))
        n_rows = n_labels / self._domain_table.n_batches[tasks.domain]
        return n_rows * tasks.n_out * self.layout.architecture.n_shared

    def _add_maps(self):
        """Write the feature maps into the table of domains."""
        offsets = self.layout.map_offsets
        for d, domain in enumerate(self.domains):
            if domain.map is None:
                continue
            row = self._domain_table[d]
            suffix = "_csr" if row.is_csr else ""
            row.map_forward = self._address(domain.map, "forward" + suffix)
            row.map_backward = self._address(domain.map, "backward" + suffix)
            row.map_start, row.map_size = offsets[d], offsets[d + 1] - offsets[d]
            row.map_hp, row.map_n_hp = self._pack(domain.map)

    def _count_lazy(self):
        """How much of theta takes its steps late: the first layer's weights, or nothing."""
        a, training = self.layout.architecture, self.training
        if (
            not a.hidden
            or self.n_frozen
            or self._by_task
            or np.isfinite(training.clip_norm)  # looks at the whole gradient
            or not training.optimizer.catches_up()
            or not all(issparse(d.X) and d.map is None for d in self.domains)
            or not lazy.pays_off(
                [d.X for d in self.domains], training.batch_size, self.steps_per_epoch
            )
        ):
            return 0
        n_lazy = a.n_experts * a.n_inputs * a.hidden[0]
        for term in self._terms:
            reaches = term.strength > 0 and (term.blocks[:, OFFSET] < n_lazy).any()
            if reaches and (not term.penalty.is_weight_decay or self._takes_prox(term)):
                return 0
        return n_lazy

    def _has_one_dense_domain(self):
        """Whether the trunk reads rows of one domain, which are dense or mapped."""
        return len(self.domains) == 1 and not (
            issparse(self.domains[0].X) and self.domains[0].map is None
        )

    def _build_tasks(self):
        a = self.layout.architecture
        table = np.zeros(len(self._tasks), tables.TASK).view(np.recarray)
        for t, task in enumerate(self._tasks):
            row, experts = table[t], np.flatnonzero(a.gate_mask[t])
            row.domain, row.head, row.coefficient = task.domain, task.head, task.coefficient
            row.loss = self._address(task.loss, "value_grad", "loss")
            row.hp, row.n_hp = self._pack(task.loss)
            row.n_out = a.n_outputs[task.head]
            row.gate, row.gate_at = self.layout.gates[t]
            row.only_expert = experts[0] if row.gate == FIXED and experts.size == 1 else -1
            row.total_weight = task.weight.sum()
        return table

    def _build_penalties(self, penalties):
        """The table of penalties with their blocks, without what is frozen or of no strength."""
        dtype = self.theta.dtype
        terms = [
            (term, self._trained_blocks(term.blocks)) for term in penalties if term.strength > 0
        ]
        terms = [(term, blocks) for term, blocks in terms if len(blocks)]
        table = np.zeros(len(terms), tables.PENALTY).view(np.recarray)
        self._has_prox = any(self._takes_prox(term) for term, _ in terms)
        self._lazy_decay = 0.0
        first_block = 0
        for r, (term, blocks) in enumerate(terms):
            row = table[r]
            row.function = self._address(term.penalty, "value_grad", "penalty")
            if self._takes_prox(term):
                row.prox = self._address(term.penalty, "prox")
            row.hp, row.n_hp = self._pack(term.penalty)
            constants = () if term.constants is None else term.constants(blocks)
            row.constants, row.n_constants = self._own(np.array(constants, dtype))
            row.work, row.n_work = self._own(np.zeros(term.penalty.n_work(blocks)))
            row.first_block, row.n_blocks = first_block, len(blocks)
            row.n_lazy = np.count_nonzero(blocks[:, OFFSET] < self.n_lazy)
            self._lazy_decay += term.strength * (row.n_lazy > 0)
            row.strength = term.strength
            first_block += len(blocks)
        return table, np.concatenate([block_table(()), *(blocks for _, blocks in terms)])

    def _trained_blocks(self, blocks):
        """Those that are not frozen, lazy ones first."""
        trained = blocks[blocks[:, OFFSET] >= self.n_frozen]
        return trained[np.argsort(trained[:, OFFSET] >= self.n_lazy, kind="stable")]

    def _takes_prox(self, term):
        """Whether a penalty is followed by proximal steps: no one length fits a rescaled step."""
        has_length = self.training.optimizer.step_length() is not None
        return has_length and term.penalty.prox is not None

    def _own(self, array):
        """Keep an array alive; gives its address and size."""
        self._keep.append((array,))
        return array.ctypes.data, array.size

    def _build_alignments(self, terms):
        table = np.zeros(len(terms), tables.ALIGNMENT).view(np.recarray)
        offsets = self.layout.alignment_offsets
        for k, term in enumerate(terms):
            row, alignment = table[k], term.alignment
            self._check_aligned_rows(term)
            row.function = self._address(alignment, "value_grad", "alignment")
            row.source, row.target = term.source, term.target
            row.on_shared = int(alignment.where == "shared")
            row.needs_labels = int(alignment.needs_labels)
            row.theta_start, row.theta_size = offsets[k], offsets[k + 1] - offsets[k]
            row.hp, row.n_hp = self._pack(alignment)
            row.strength = term.strength
        return table

    def _check_aligned_rows(self, term):
        """An alignment reads dense rows: those of a layer, of a map, or of a dense X."""
        reads_input = term.alignment.where == "input" or not self.layout.architecture.hidden
        domains = self.domains[term.source], self.domains[term.target]
        if reads_input and any(issparse(d.X) and d.map is None for d in domains):
            raise ValueError(
                f"{type(term.alignment).__name__} reads dense rows of source and target, and "
                "X is sparse: use hidden layers and where='shared', or dense X."
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

    def _build_net(self, penalties, alignments):
        a, training, dtype = self.layout.architecture, self.training, self.theta.dtype
        tasks = self._build_tasks()
        penalty_table, blocks = self._build_penalties(penalties)
        alignment_table = self._build_alignments(alignments)
        weighting_hp, weighting_n_hp = self._pack(training.weighting)
        optimizer_hp, optimizer_n_hp = self._pack(training.optimizer)
        mask = np.array(a.gate_mask, dtype)
        if a.gate == "fixed":
            mask /= mask.sum(axis=1, keepdims=True)
        return self._record(
            tables.NET,
            n_domains=len(self.domains),
            n_tasks=len(self._tasks),
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
            trunk_once=int(not self._by_task and self._has_one_dense_domain()),
            n_lazy=self.n_lazy,
            lazy_decay=self._lazy_decay,
            maps_train=int(any(a.map_sizes)),
            dropout=training.dropout,
            step_length=training.optimizer.step_length() or 0.0,
            clip_norm=training.clip_norm,
            n_common=self._n_common() if self._by_task else 0,
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
            catch_up=self._address(training.optimizer, "catch_up") if self.n_lazy else 0,
            gemm=compiler.gemm_address(dtype.name),
            **self._kernels(tasks, len(alignment_table)),
        )

    def _batch_buffers(self, full):
        """DATA, WORK and the losses in it, for batches or for all rows at once."""
        if full not in self._buffers:
            self._buffers[full] = self._allocate(full)
        return self._buffers[full]

    def _allocate(self, full):
        net, a, dtype = self._net.fields, self.layout.architecture, self.theta.dtype
        table = self._domain_table.copy()
        n_labels = np.diff(self._rows.label_ptr)
        n_rows = n_entries = n_x = n_z = map_work = 0
        for row, domain in zip(table, self.domains, strict=True):
            row.max_rows = row.n_rows if full else -(-row.n_rows // row.n_batches)
            row.row_at, row.x_at, row.z_at = n_rows, n_x, n_z
            most = np.sort(n_labels[row.first_row : row.first_row + row.n_rows])[-row.max_rows :]
            n_rows += int(row.max_rows)
            n_entries += int(most.sum())
            n_x += 0 if row.is_csr else int(row.max_rows * row.n_columns)
            if domain.map is not None:
                n_z += int(row.max_rows) * a.n_inputs
                sizes = int(row.max_rows), int(row.n_columns), a.n_inputs
                row.map_work_at, row.map_work_size = map_work, domain.map.n_work(*sizes)
                map_work += int(row.map_work_size)

        n_domains, n_tasks, n_experts = len(self.domains), len(self._tasks), a.n_experts
        n_expert_rows = n_rows * n_experts
        every_row = [np.arange(n) for n in np.repeat(table.max_rows, n_experts)]
        several = n_experts > 1
        delta_size = max(n_rows, n_entries) * max(a.n_inputs, *a.hidden, *a.head_hidden, 1)
        n_lazy_rows = a.n_inputs * n_experts if self.n_lazy else 0
        catch_up_work = (
            self.training.optimizer.n_catch_up_work(self.steps_per_epoch) if self.n_lazy else 0
        )
        losses = np.zeros(n_tasks)
        n_common, align = int(net.n_common), int(net.n_alignments > 0)
        n_features = max(a.n_inputs, a.n_shared)
        alignment_work = max(
            (
                term.alignment.n_work(
                    int(table[term.source].max_rows),
                    int(table[term.target].max_rows),
                    a.n_shared if term.alignment.where == "shared" else a.n_inputs,
                )
                for term in self._alignments
            ),
            default=0,
        )

        def ints(n):
            return np.zeros(n, np.int64)

        def floats(n):
            return np.zeros(n, dtype)

        activation = floats(n_expert_rows * sum(a.hidden))
        head_activation = floats(n_entries * sum(a.head_hidden))
        *_, has_slopes = activations.of_net(a.activation, self.training.dropout)
        work = self._record(
            tables.WORK,
            n_rows=ints(n_domains),
            rotation=ints(n_domains),
            batch=ints(n_rows),
            batch_row=ints(n_rows),
            csr_row=ints(n_rows),
            task_start=ints(n_tasks),
            task_count=ints(n_tasks),
            out_start=ints(n_tasks),
            n_present=ints(1),
            present=ints(n_tasks),
            entry_position=ints(n_entries),
            entry_row=ints(n_entries),
            entry_y=floats(n_entries),
            entry_weight=floats(n_entries),
            x=floats(n_x),
            z=floats(n_z),
            dz=floats(n_z),
            expert_n_rows=ints(n_domains * n_experts),
            expert_position=np.concatenate(every_row),
            expert_slot=np.concatenate(every_row),
            expert_x=floats(n_expert_rows * a.n_inputs if several else 0),
            activation=activation,
            slope=np.zeros_like(activation) if has_slopes else activation,
            dshared=floats(n_expert_rows * a.n_shared if a.hidden else 0),
            mixture=floats(n_entries * a.n_shared),
            gate=floats(n_entries * n_experts),
            dgate=floats(n_entries * n_experts),
            head_activation=head_activation,
            head_slope=np.zeros_like(head_activation) if has_slopes else head_activation,
            out=floats(n_entries * int(net.max_outputs)),
            dout=floats(n_entries * int(net.max_outputs)),
            delta=floats(2 * delta_size),
            delta_size=delta_size,
            since=ints(n_lazy_rows),
            lazy_row=ints(n_lazy_rows),
            lazy_since=ints(n_lazy_rows),
            catch_up_work=np.zeros(catch_up_work),
            catch_up_work_size=catch_up_work,
            map_work=floats(map_work),
            unused_grad=floats(self.theta.size if self._has_prox else 0),
            source_code=ints(n_rows * align),
            target_code=ints(n_rows * align),
            unused_dsource=floats(n_rows * n_features * align),
            unused_dtarget=floats(n_rows * n_features * align),
            alignment_work=np.zeros(alignment_work),
            alignment_work_size=alignment_work,
            losses=losses,
            terms=np.zeros(n_tasks),
            scale=np.zeros(n_tasks),
            weights=np.ones(n_tasks),
            gram=np.zeros((n_tasks, n_tasks)),
            float_gram=floats(n_tasks * n_tasks),
            task_grad=floats(n_tasks * n_common),
            combined=floats(n_common),
            weighting_state=self.weighting_state,
            weighting_state_size=self.weighting_state.size,
            mean_weights=self.mean_weights,
            cosine=self._cosine,
            n_cosines=self._n_cosines,
        )
        data = self._record(tables.DATA, domains=table, **self._rows._asdict())
        return data, work, losses


def _cumulated(widths):
    return np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)


def _all_finite(parts):
    return all(np.isfinite(part).all() for part in parts)
