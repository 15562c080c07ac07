"""Small problems of every kind, for the engine and for the oracle of ``naive``."""

from dataclasses import dataclass, field

import naive
import numpy as np
from scipy.sparse import csr_array

from skmtl.engine.blocks import ROLE, TRUNK, map_block_table
from skmtl.engine.data import Domain, Task
from skmtl.engine.layout import Architecture, Layout
from skmtl.engine.problem import PenaltyTerm, Problem, Training
from skmtl.plugins.losses import LogLoss
from skmtl.plugins.optimizers import Adam
from skmtl.plugins.penalties import L1, L2, ElasticNet, IdentityAnchor
from skmtl.plugins.weightings import Uniform

PENALTIES = {"l1": L1(), "l2": L2(), 0.3: ElasticNet(0.3), "identity": IdentityAnchor()}


@dataclass
class Case:
    """What to build; the defaults are one task on one dense table.

    ``kind`` is "one" (a task), "many" (three tasks of 3, 2 and 5 classes with missing labels),
    "complete" (six tasks, most of two classes, with a label on every row), "crowd" (twelve tasks,
    one label a row) or "transfer" (two sources with ``map`` and a target without,
    ``J = (L_s + lam L_t + mu R) / (1 + lam)``). ``widths`` are the columns of the three domains;
    the last is the target's. With ``linear_last`` the last layer of ``hidden`` has neither bias nor
    activation.
    """

    kind: str = "one"
    sparse: bool = False
    hidden: tuple = (5,)
    linear_last: bool = False
    activation: str = "tanh"
    head_hidden: tuple = ()
    share_head: bool = False
    gate: str = "fixed"
    gate_mask: tuple = None
    map: object = None
    widths: tuple = (4, 4, 4)
    penalty: object = "l2"
    alpha: float = 0.1
    map_penalty: object = "identity"
    lam: float = 1.0
    mu: float = 1.0
    n_frozen_layers: int = 0
    layer_rates: tuple = None
    n_rows: tuple = (13, 11, 9)
    batch_size: int = 100
    dropout: float = 0.0
    optimizer: object = field(default_factory=Adam)
    weighting: object = field(default_factory=Uniform)
    record_affinity: bool = False
    clip_norm: float = np.inf
    alignments: tuple = ()
    equal_weights: bool = False
    label_dtype: str = "int8"
    dtype: str = "float64"
    seed: int = 0

    def build(self):
        """The engine's problem and the oracle's model of it."""
        rng = np.random.default_rng(self.seed)
        domains, tasks, n_outputs = getattr(self, f"_{self.kind}")(rng)
        width = self.widths[-1] if self.kind == "transfer" else self.widths[0]
        maps = [d.map for d in domains]
        n_in = [d.X.shape[1] for d in domains]
        architecture = Architecture(
            n_inputs=width,
            hidden=self.hidden,
            linear_last=self.linear_last,
            activation=self.activation,
            head_hidden=self.head_hidden,
            n_outputs=n_outputs,
            task_heads=tuple(task.head for task in tasks),
            gate_mask=self.gate_mask or ((True,),) * len(tasks),
            gate=self.gate,
            map_sizes=tuple(m.n_params(n, width) if m else 0 for m, n in zip(maps, n_in)),
            alignment_sizes=tuple(term.alignment.n_params(width) for term in self.alignments),
        )
        layout = Layout(architecture)
        theta = layout.initial(rng, self.dtype)
        for gate in naive.Cut(theta, architecture).gates:
            for parameters in gate:
                if parameters is not None:
                    parameters[...] = rng.standard_normal(parameters.shape)
        penalties, named = [], []
        if self.penalty is not None:
            roles = layout.blocks[:, ROLE]
            for part, chosen in (("trunk", roles == TRUNK), ("heads", roles != TRUNK)):
                named.append((self.penalty, self.alpha, part))
                penalties.append((self.penalty, self.alpha, layout.blocks[chosen]))
        for d, m in enumerate(maps):
            if m is None or not m.n_params(n_in[d], width):
                continue
            start, end = layout.map_offsets[d : d + 2]
            near = m.init(domains[d].X, domains[-1].X, rng)
            theta[start:end] = near + 0.3 * rng.standard_normal(near.size)
            strength = self.mu / (1 + self.lam)
            named.append((self.map_penalty, strength, d))
            blocks = map_block_table(m, n_in[d], width, start)
            penalties.append((self.map_penalty, strength, blocks))
        training = Training(
            optimizer=self.optimizer,
            weighting=self.weighting,
            rng=np.random.default_rng(self.seed),
            batch_size=self.batch_size,
            dropout=self.dropout,
            n_frozen_layers=self.n_frozen_layers,
            layer_rates=self.layer_rates,
            clip_norm=self.clip_norm,
            record_affinity=self.record_affinity,
        )
        terms = [PenaltyTerm(PENALTIES.get(name, name), s, blocks) for name, s, blocks in penalties]
        problem = Problem(layout, theta, domains, tasks, terms, training, self.alignments)
        model = naive.Model(architecture, domains, tasks, named, self.n_frozen_layers)
        return problem, model

    def _one(self, rng):
        X = self._rows(rng, self.n_rows[0], self.widths[0])
        return [Domain(X, self.map)], [self._task(rng, 0, 0, X, 3, np.arange(X.shape[0]))], (3,)

    def _many(self, rng):
        n = self.n_rows[0]
        X = self._rows(rng, n, self.widths[0])
        # The last row carries no label, the second to last only the rare task's.
        rows = np.arange(0, n - 2, 2), np.array([1, n // 2, n - 2]), np.arange(1, n - 2)
        tasks = [
            self._task(rng, 0, 0 if self.share_head else t, X, c, r, 1 + t)
            for t, (c, r) in enumerate(zip((5, 5, 5) if self.share_head else (3, 2, 5), rows))
        ]
        return [Domain(X, self.map)], tasks, (5,) if self.share_head else (3, 1, 5)

    def _complete(self, rng):
        X = self._rows(rng, self.n_rows[0], self.widths[0])
        n_classes, rows = (2, 2, 3, 2, 2, 2), np.arange(X.shape[0])
        tasks = [self._task(rng, 0, t, X, c, rows, 1 + t) for t, c in enumerate(n_classes)]
        return [Domain(X, self.map)], tasks, (1, 1, 3, 1, 1, 1)

    def _crowd(self, rng):
        X = self._rows(rng, self.n_rows[0], self.widths[0])
        n_classes = (2, 2, 2, 3, *8 * (2,))
        tasks = [
            self._task(rng, 0, t, X, c, np.arange(t, X.shape[0], 12))
            for t, c in enumerate(n_classes)
        ]
        return [Domain(X, self.map)], tasks, tuple(1 if c == 2 else c for c in n_classes)

    def _transfer(self, rng):
        scale = 1 / (1 + self.lam)
        weights = 0.7 * scale, 0.3 * scale, self.lam * scale
        domains, tasks = [], []
        for d, n in enumerate(self.n_rows):
            X = self._rows(rng, n, self.widths[d])
            also = np.arange(n) if self.alignments else ()
            domains.append(Domain(X, self.map if d < 2 else None, also))
            labelled = np.arange(n) if d < 2 else np.arange(1, n)
            n_classes = (3, 2, 4)[d] if not self.share_head else 4
            head = 0 if self.share_head else d
            tasks.append(self._task(rng, d, head, X, n_classes, labelled, weights[d]))
        return domains, tasks, (4,) if self.share_head else (3, 1, 4)

    def _rows(self, rng, n, width):
        X = rng.standard_normal((n, width))
        if not self.sparse:
            return X.astype(self.dtype)
        X[rng.random(X.shape) < 0.5] = 0
        X[n // 2] = 0  # an empty row
        return csr_array(X.astype(self.dtype))

    def _task(self, rng, d, head, X, n_classes, rows, coefficient=1.0):
        y, weight = rng.integers(n_classes, size=rows.size), rng.uniform(0.2, 3, rows.size)
        if self.equal_weights:
            weight = np.ones(rows.size, bool)
        y = y.astype(self.label_dtype)
        return Task(d, head, LogLoss(), rows, y, weight, coefficient)


def one_hot(n_tasks):
    """Gate mask that gives every task its own expert."""
    return tuple(tuple(e == t for e in range(n_tasks)) for t in range(n_tasks))


#: Three experts; the first task may not read the last of them.
MIXED = ((True, True, False), (True, True, True), (False, True, True))


def run_epoch(problem, lr):
    """One epoch: the mean of J, that of each task's loss, and whether they stayed finite."""
    curves = problem.epochs([lr])
    if not curves.losses.size:
        return np.nan, np.full(problem.n_tasks, np.nan), False
    return curves.losses[0], curves.task_losses[0], True
