"""The engine's front door: theta, the objective over it, and epochs of training."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from skmtl.engine import compile as compiler
from skmtl.engine import memory, train
from skmtl.engine.buffers import allocate
from skmtl.engine.data import lay_out_rows
from skmtl.engine.net import NetBuilder
from skmtl.engine.records import Records


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


class Curves(NamedTuple):
    """Means over the batches of each of some epochs.

    ``losses`` are J, ``task_losses`` and ``task_weights`` have a column for each task.
    """

    losses: np.ndarray
    task_losses: np.ndarray
    task_weights: np.ndarray


@dataclass
class Training:
    """How to go about it: what is not part of the objective's terms."""

    optimizer: Any
    weighting: Any
    rng: np.random.Generator
    batch_size: int = 200
    dropout: float = 0.0
    n_frozen_layers: int = 0
    layer_rates: Any = None  # the part of each step that each trunk layer goes; None for all of it
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
    layer_rates : ndarray of shape (n_trunk,)
        The part of each step that each trunk layer goes, to be set between epochs; empty unless
        ``training`` has some.
    weighting_state : ndarray
        The weighting's state.
    n_tasks : int
    n_rows : int
        Rows in use of the domain that has the most: what an epoch passes over.
    steps_per_epoch : int
        Batches of the domain that has the most.
    n_steps : int
        Optimizer steps taken.
    """

    def __init__(self, layout, theta, domains, tasks, penalties, training, alignments=()):
        self.layout, self.theta, self.training = layout, theta, training
        self.domains, self._terms, self._alignments = domains, penalties, alignments
        self._records = Records()
        self._rows, table, keep = lay_out_rows(domains, tasks, training.batch_size, theta.dtype)
        self._builder = builder = NetBuilder(
            layout,
            theta.dtype,
            domains,
            tasks,
            penalties,
            alignments,
            training,
            self._rows,
            table,
            self._records,
        )
        self._net, self._buffers = builder.build(), {}
        self._keep = keep
        self.n_frozen, self.n_lazy = builder.n_frozen, builder.n_lazy
        self.layer_rates = builder.layer_rates
        self._by_task, self._task_table = builder.by_task, builder.task_table
        self.n_rows = max(domain["n_rows"] for domain in table)
        self.steps_per_epoch = builder.steps_per_epoch
        none = np.zeros(0, theta.dtype)
        self._tasks = builder.tasks = [
            task._replace(rows=none, y=none, weight=none) for task in tasks
        ]

        self.n_steps, self._weights_seen = 0, np.zeros(0)
        self._grad, self._before = memory.zeros(theta.shape, theta.dtype), np.empty_like(theta)
        self.n_tasks = n_tasks = len(tasks)
        n_slots = training.optimizer.n_slots
        n_eager = layout.size - max(self.n_frozen, self.n_lazy)
        self._lazy_state = memory.zeros((n_slots, self.n_lazy), theta.dtype)
        self._state = memory.zeros((n_slots, n_eager), theta.dtype)
        self.weighting_state = np.zeros(training.weighting.n_state(n_tasks))
        n_compared = n_tasks if self._by_task else 0
        self._cosine, self._n_cosines = np.zeros((2, n_compared, n_compared))

    @property
    def tasks(self):
        """The tasks anew, from the labels row by row."""
        return [
            task._replace(**dict(zip(("rows", "y", "weight"), rows.labels_of(t))))
            for t, task in enumerate(self._tasks)
            for rows in [self._rows[task.domain]]
        ]

    @property
    def n_labels(self):
        """How many labels are observed, of all tasks."""
        return sum(rows.label_y.size for rows in self._rows)

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

    def epochs(self, rates):
        """Run epochs at these learning rates, up to the first that does not stay finite.

        The caller's interpreter lock is free all the while, and a hundred short epochs cost as much
        Python as one.

        Returns
        -------
        Curves
            Of the epochs that stayed finite; theta is as the last of them left it.
        """
        n_tasks = self.n_tasks
        curves = np.zeros((len(rates), 2 * n_tasks + 1))
        data, work, _ = self._batch_buffers(full=False)
        dtype = self.theta.dtype
        n_finished = compiler.entry(train.epochs, "epochs", dtype.name, self._by_task)(
            self._net.address,
            data.address,
            work.address,
            self.theta,
            self._grad,
            self._state,
            self._lazy_state,
            self._before,
            np.asarray(rates, dtype),
            self.n_steps,
            curves.ravel(),
            self.training.rng,
        )
        self.n_steps += n_finished * self.steps_per_epoch
        self._weights_seen = curves[: n_finished + 1, n_tasks:-1]
        curves = curves[:n_finished]
        return Curves(curves[:, -1], curves[:, :n_tasks], curves[:, n_tasks:-1])

    def set_label_weights(self, t, weight):
        """Weigh the labels of a task anew.

        Parameters
        ----------
        t : int
        weight : ndarray of shape (n_labels,)
            Above 0, in the order of the task's rows, which must ascend.
        """
        d = self._tasks[t].domain
        rows = self._rows[d]
        if rows.label_weight.size < rows.label_y.size:
            self._rows[d] = rows = rows.weighed_one_by_one()
            self._builder.table[d] |= rows.fields()
            self.drop_buffers()  # the buffers have the old address
        rows.label_weight[rows.places_of(t)] = weight
        self._task_table[t]["total_weight"] = np.sum(weight)

    def watched(self, curves):
        """What tells, epoch by epoch, whether training gets on.

        J, which is not weighted; but where the weighting has a main task the others' terms count
        as much as they weigh, or a task that fades would seem to be what is unlearned.

        Parameters
        ----------
        curves : Curves

        Returns
        -------
        ndarray of shape (n_epochs,)
        """
        if not self.training.weighting.has_main_task:
            return curves.losses
        coefficients = np.array([task.coefficient for task in self._tasks])
        return curves.losses + (curves.task_weights - 1) * curves.task_losses @ coefficients

    def epoch_size(self):
        """Multiplications of an epoch, about."""
        return 3 * self.n_rows * self.layout.size

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

    def suspects(self):
        """Names of the plugins of which one gave what is not finite, after an epoch that failed.

        Returns
        -------
        list of str
            Empty if all that they give at theta is finite.
        """
        if not np.isfinite(self._weights_seen).all():
            return [type(self.training.weighting).__name__]
        bare = self._bare(self.theta)
        if not _all_finite(bare.objective()):
            found = [task.loss for task in self._tasks]
            found += [domain.map for domain in self.domains if domain.map is not None]
        elif not _all_finite(self.objective()):
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

    def drop_buffers(self):
        """Let go of the buffers of a step, which come anew with the next: a fit may wait long."""
        self._buffers.clear()

    def _bare(self, theta):
        """The same problem without penalties and alignments, at theta."""
        return Problem(self.layout, theta, self.domains, self.tasks, (), self.training)

    def _batch_buffers(self, full):
        """DATA, WORK and the losses in it, for batches or for all rows at once."""
        if full not in self._buffers:
            records = Records()
            made = allocate(
                records,
                self._builder,
                self._net.fields,
                full,
                weighting_state=self.weighting_state,
                weighting_state_size=self.weighting_state.size,
                cosine=self._cosine,
                n_cosines=self._n_cosines,
            )
            self._buffers[full] = records, made
        return self._buffers[full][1]


def _all_finite(parts):
    return all(np.isfinite(part).all() for part in parts)
