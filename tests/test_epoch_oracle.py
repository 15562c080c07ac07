"""Epochs of minibatch training against the plain oracle that draws the same batches."""

from dataclasses import replace
from functools import partial

import naive
import numpy as np
import pytest
from engine_cases import MIXED, Case, one_hot, run_epoch
from scipy.sparse import csr_array

from skmtl.engine import data as engine_data
from skmtl.engine import layers, lazy, tables
from skmtl.engine.batches import draw_batch, shuffle_rows
from skmtl.engine.data import EVERY
from skmtl.engine.pointers import domain_at, ints
from skmtl.engine.records import Records
from skmtl.plugins.base import Optimizer
from skmtl.plugins.feature_maps import Affine, Linear
from skmtl.plugins.optimizers import SGD, Adam, AdamW, NAdam

pytestmark = pytest.mark.nojit

# Unequal numbers of batches: 4, 3 and 3, or 8, 3 and 1.
CASES = {
    "one": Case(kind="one", batch_size=4),
    "one, all rows": Case(kind="one"),
    "one, csr": Case(kind="one", batch_size=4, sparse=True),
    "one, labels as floats": Case(kind="one", batch_size=4, label_dtype="float64"),
    "one, labels in words": Case(kind="one", batch_size=4, label_dtype="int64", equal_weights=True),
    "many, labels as floats": Case(kind="many", batch_size=4, n_rows=(29,), label_dtype="float64"),
    "one, equal weights": Case(kind="one", batch_size=4, equal_weights=True),
    "no layers": Case(kind="many", batch_size=4, hidden=()),
    "no layers, own experts": Case(kind="many", batch_size=4, hidden=(), gate_mask=one_hot(3)),
    "many": Case(kind="many", batch_size=4, n_rows=(29,)),
    "many, csr": Case(kind="many", batch_size=4, n_rows=(29,), sparse=True),
    "many, hidden heads": Case(kind="many", batch_size=4, head_hidden=(4, 3)),
    "many, equal weights": Case(kind="many", batch_size=4, equal_weights=True),
    "many, shared head": Case(kind="many", batch_size=4, share_head=True),
    "complete": Case(kind="complete", batch_size=4),
    "complete, csr": Case(kind="complete", batch_size=4, sparse=True),
    "complete, equal weights": Case(kind="complete", batch_size=4, equal_weights=True),
    "complete, no layers": Case(kind="complete", batch_size=4, hidden=()),
    "complete, own experts": Case(kind="complete", batch_size=4, gate_mask=one_hot(6)),
    "complete, through blas": Case(
        kind="complete", batch_size=30, hidden=(64, 32), widths=(40,), n_rows=(60,)
    ),
    "crowd": Case(kind="crowd", batch_size=4, n_rows=(29,)),
    "crowd, csr": Case(kind="crowd", batch_size=4, n_rows=(29,), sparse=True),
    "crowd, no layers": Case(kind="crowd", batch_size=4, n_rows=(29,), hidden=()),
    "crowd, own experts": Case(kind="crowd", batch_size=4, n_rows=(29,), gate_mask=one_hot(12)),
    "transfer": Case(kind="transfer", batch_size=4),
    "transfer, unequal": Case(kind="transfer", batch_size=4, n_rows=(29, 11, 3)),
    "transfer, the target is largest": Case(kind="transfer", batch_size=4, n_rows=(3, 7, 21)),
    "transfer, linear": Case(kind="transfer", batch_size=4, map=Linear()),
    "transfer, rectangular": Case(
        kind="transfer", batch_size=4, map=Affine(), widths=(7, 2, 4), n_rows=(29, 11, 3)
    ),
    "transfer, csr": Case(
        kind="transfer", batch_size=4, map=Affine(), widths=(7, 2, 4), sparse=True
    ),
    "own experts": Case(kind="many", batch_size=4, gate_mask=one_hot(3)),
    "constant gates": Case(kind="many", batch_size=4, gate="constant", gate_mask=MIXED),
    "linear gates": Case(
        kind="transfer", batch_size=4, gate="linear", gate_mask=MIXED, map=Affine()
    ),
    "linear gates, csr": Case(
        kind="many", batch_size=4, gate="linear", gate_mask=MIXED, sparse=True
    ),
    "frozen": Case(kind="transfer", batch_size=4, hidden=(4, 3), n_frozen_layers=1, map=Affine()),
    "l1": Case(kind="many", batch_size=4, penalty="l1"),
    "linear last": Case(kind="complete", batch_size=4, hidden=(5, 2), linear_last=True),
    "linear last, csr": Case(
        kind="many", batch_size=4, hidden=(2,), linear_last=True, sparse=True, gate_mask=one_hot(3)
    ),
}
OPTIMIZERS = {
    "adam": (Adam(), naive.Adam),
    "adam, other numbers": (Adam(0.5, 0.9, 1e-3), partial(naive.Adam, 0.5, 0.9, 1e-3)),
    "adamw": (AdamW(weight_decay=0.1), partial(naive.Adam, weight_decay=0.1)),
    "sgd": (SGD(0.0, nesterov=False), partial(naive.SGD, 0.0, nesterov=False)),
    "momentum": (SGD(0.8, nesterov=False), partial(naive.SGD, 0.8, nesterov=False)),
    "nesterov": (SGD(0.8), partial(naive.SGD, 0.8)),
}


def check_epochs(case, step_rule, n_epochs=3, has_order=True):
    problem, model = case.build()
    trainer = naive.Trainer(
        model,
        problem.theta,
        step_rule,
        case.batch_size,
        np.random.default_rng(case.seed),
        case.layer_rates,
        has_order,
    )
    for lr in np.linspace(0.03, 0.01, n_epochs):
        value, losses, finished = run_epoch(problem, lr)
        expected, expected_losses = trainer.epoch(lr)
        assert finished
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        np.testing.assert_allclose(losses, expected_losses, rtol=1e-10)
        np.testing.assert_allclose(problem.theta, trainer.theta, rtol=1e-10, atol=1e-10)
    assert problem.n_steps == n_epochs * problem.steps_per_epoch


@pytest.mark.parametrize("case", CASES)
def test_every_case_with_adam(case):
    check_epochs(CASES[case], naive.Adam())


@pytest.mark.parametrize("case", ["one", "many", "transfer, rectangular", "frozen"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(case, optimizer):
    plugin, step_rule = OPTIMIZERS[optimizer]
    check_epochs(replace(CASES[case], optimizer=plugin), step_rule())


PACED = {
    "one": Case(batch_size=4, hidden=(5, 4), layer_rates=(0.25, 0.5)),
    "no layers": Case(batch_size=4, hidden=(), layer_rates=()),
    "half frozen": Case(
        kind="transfer",
        batch_size=4,
        hidden=(4, 3, 3),
        n_frozen_layers=1,
        layer_rates=(0.1, 0.0, 2.0),
        map=Affine(),
    ),
    "own experts": Case(
        kind="many", batch_size=4, hidden=(4, 3), gate_mask=one_hot(3), layer_rates=(0.3, 1.0)
    ),
    "csr": Case(batch_size=4, sparse=True, hidden=(5, 4), layer_rates=(0.3, 0.6)),
}


@pytest.mark.parametrize("case", PACED)
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "momentum", "nesterov"])
def test_layers_with_learning_rates_of_their_own(case, optimizer):
    plugin, step_rule = OPTIMIZERS[optimizer]
    check_epochs(replace(PACED[case], optimizer=plugin), step_rule())


def test_the_rates_of_layers_may_change_between_epochs(monkeypatch):
    """A layer of rate 0 stays as it is, to the bit; its rows of CSR are not put off."""
    monkeypatch.setattr(lazy, "pays_off", lambda *_: True)
    case = Case(batch_size=4, sparse=True, hidden=(5, 4), layer_rates=(0.0, 1.0))
    problem, _ = case.build()
    assert problem.n_lazy == 0
    start, first = problem.theta.copy(), slice(0, problem.layout.depth_offsets[1])
    run_epoch(problem, 0.03)
    assert np.array_equal(problem.theta[first], start[first])
    assert (problem.theta[first.stop :] != start[first.stop :]).all()
    problem.layer_rates[:] = 1.0, 0.0
    then = problem.theta.copy()
    run_epoch(problem, 0.03)
    moved = problem.theta != then
    assert moved[first].any()
    assert not moved[first.stop : problem.layout.depth_offsets[2]].any()


def test_rates_of_one_are_no_rates():
    plain, paced = (Case(batch_size=4, layer_rates=rates).build()[0] for rates in (None, (1.0,)))
    for problem in (plain, paced):
        run_epoch(problem, 0.03)
    np.testing.assert_allclose(paced.theta, plain.theta, rtol=1e-14)


LAZY = {
    "one": Case(batch_size=4, sparse=True),
    "no penalty": Case(batch_size=4, sparse=True, penalty=None),
    "two layers": Case(batch_size=4, sparse=True, hidden=(5, 4), n_rows=(40,), widths=(20,) * 3),
    "no penalty, wide": Case(
        batch_size=4, sparse=True, penalty=None, n_rows=(40,), widths=(20,) * 3
    ),
    "long gaps": Case(
        batch_size=1,
        sparse=True,
        penalty=None,
        n_rows=(60,),
        widths=(200,) * 3,
        optimizer=Adam(0.6),
    ),
    "many": Case(kind="many", batch_size=4, sparse=True, n_rows=(29,)),
    "own experts": Case(kind="many", batch_size=4, sparse=True, gate_mask=one_hot(3)),
    "transfer": Case(kind="transfer", batch_size=4, sparse=True),
    "transfer, no penalty": Case(kind="transfer", batch_size=4, sparse=True, penalty=None),
    "momentum": Case(batch_size=4, sparse=True, optimizer=SGD(0.8, nesterov=False)),
    "nesterov, no penalty": Case(batch_size=4, sparse=True, penalty=None, optimizer=SGD(0.8)),
    "no series": Case(batch_size=4, sparse=True, penalty=None, optimizer=Adam(0.5, 0.9)),
    "adamw": Case(batch_size=4, sparse=True, penalty=None, optimizer=AdamW(weight_decay=0.3)),
    "adamw, penalty": Case(batch_size=4, sparse=True, optimizer=AdamW(weight_decay=0.3)),
    "adamw, no series": Case(
        batch_size=4, sparse=True, penalty=None, optimizer=AdamW(weight_decay=5.0)
    ),
}


@pytest.mark.parametrize("case", LAZY)
def test_rows_that_take_their_steps_late(case, monkeypatch):
    case = LAZY[case]
    monkeypatch.setattr(lazy, "pays_off", lambda *_: True)
    assert case.build()[0].n_lazy > 0
    numbers = case.optimizer.get_params()
    step_rule = naive.Adam(**numbers) if "beta_1" in numbers else naive.SGD(**numbers)
    check_epochs(case, step_rule)


EAGER = {
    "dense": Case(batch_size=4),
    "no layers": Case(batch_size=4, sparse=True, hidden=()),
    "another penalty": Case(batch_size=4, sparse=True, penalty="l1"),
    "another optimizer": Case(batch_size=4, sparse=True, optimizer=NAdam()),
    "frozen": Case(batch_size=4, sparse=True, hidden=(4, 3), n_frozen_layers=1),
    "clipped": Case(batch_size=4, sparse=True, clip_norm=1.0),
    "by task": Case(kind="many", batch_size=4, sparse=True, record_affinity=True),
    "map": Case(kind="transfer", batch_size=4, sparse=True, map=Affine()),
}


@pytest.mark.parametrize("case", EAGER)
def test_rows_that_cannot_take_their_steps_late(case, monkeypatch):
    monkeypatch.setattr(lazy, "pays_off", lambda *_: True)
    assert EAGER[case].build()[0].n_lazy == 0


def test_steps_are_put_off_where_batches_read_few_columns():
    X = csr_array(np.eye(100))
    assert lazy.pays_off([X], 10, 10)
    assert lazy.pays_off([X, X], 10, 10)
    assert not lazy.pays_off([X], 45, 100)
    assert not lazy.pays_off([X], 10, 2)


@pytest.mark.parametrize("seed", range(1, 4))
def test_other_seeds(seed):
    check_epochs(replace(CASES["transfer, rectangular"], seed=seed), naive.Adam(), n_epochs=6)


def test_frozen_layers_stay():
    problem, _ = CASES["frozen"].build()
    before = problem.theta.copy()
    run_epoch(problem, 0.1)
    n = problem.n_frozen
    assert n > 0
    assert np.array_equal(problem.theta[:n], before[:n])
    assert not np.any(problem.theta[n:] == before[n:])


# --- batches -------------------------------------------------------------------------------------


class Summed(Optimizer):
    """Sums the gradients and stays where it is."""

    n_slots = 1

    @staticmethod
    def step(theta, grad, state, lr, step, hp):
        """state += grad."""
        for j in range(theta.size):
            state[0, j] += grad[j]


@pytest.mark.parametrize(
    "case",
    [
        CASES["many"],
        CASES["own experts"],
        CASES["linear gates, csr"],
        replace(CASES["transfer"], n_rows=(24, 12, 6)),
        replace(CASES["transfer, rectangular"], n_rows=(24, 12, 3)),
    ],
    ids=lambda case: f"{case.kind}-{case.gate}",
)
def test_the_mean_over_a_pass_is_the_whole(case):
    """The numbers of batches divide one another, so that every domain has full passes."""
    problem, _ = replace(case, optimizer=Summed()).build()
    value, grad, losses = problem.objective()
    mean_value, mean_losses, _ = run_epoch(problem, 0.0)
    assert problem.steps_per_epoch > 2
    np.testing.assert_allclose(mean_value, value, rtol=1e-12)
    np.testing.assert_allclose(mean_losses, losses, rtol=1e-12)
    np.testing.assert_allclose(
        problem.state[0] / problem.steps_per_epoch, grad, rtol=1e-10, atol=1e-13
    )


def test_batches_of_unfinished_passes_are_unbiased():
    """Eight steps hold two and two thirds of a pass over the second domain."""
    problem, _ = replace(CASES["transfer, unequal"], optimizer=Summed()).build()
    losses = problem.objective()[2]
    seen = np.array([run_epoch(problem, 0.0)[1] for _ in range(50)])
    error = seen.std(axis=0) / np.sqrt(len(seen))
    assert error[1] > 1e-3  # else there was nothing to test
    assert (np.abs(seen.mean(axis=0) - losses) <= 4 * error + 1e-12).all()


def rows_of_batches(problem, d):
    """The rows of the domain's X in each batch of a new pass."""
    data, work = (buffer.fields for buffer in problem._batch_buffers(full=False)[:2])
    n_batches, row_at = (domain_at(data.domains, d)[name] for name in ("n_batches", "row_at"))
    shuffle_rows(data, work, d, problem.training.rng)
    for b in range(n_batches):
        draw_batch(data, work, d, b)
        yield ints(work.batch_row, row_at, ints(work.n_rows, d, 1)[0]).copy()


@pytest.mark.parametrize("case", ["one", "one, all rows", "complete, csr", "transfer, unequal"])
def test_epochs_with_an_order_that_is_worked_out(case, monkeypatch):
    monkeypatch.setattr(engine_data, "STORED", 0)
    assert CASES[case].build()[0]._rows[0].order is None
    check_epochs(CASES[case], naive.Adam(), has_order=False)


def test_a_pass_with_an_order_that_is_worked_out_deals_every_row_once(monkeypatch):
    monkeypatch.setattr(engine_data, "STORED", 0)
    problem, _ = Case(n_rows=(101,), batch_size=9).build()
    passes = [list(rows_of_batches(problem, 0)) for _ in range(5)]
    for batches in passes:
        assert {rows.size for rows in batches} == {8, 9}
        assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(101))
    assert not np.array_equal(passes[0][0], passes[1][0])


def test_a_pass_deals_every_row_once_and_every_task_evenly():
    problem, _ = Case(kind="many", n_rows=(101,), batch_size=9).build()
    rare = np.argmin([task.rows.size for task in problem.tasks])
    labelled = np.unique(np.concatenate([task.rows for task in problem.tasks]))
    passes = [list(rows_of_batches(problem, 0)) for _ in range(5)]
    for batches in passes:
        sizes = [rows.size for rows in batches]
        assert max(sizes) <= 9
        assert max(sizes) - min(sizes) <= 1
        assert np.array_equal(np.sort(np.concatenate(batches)), labelled)
        for t, task in enumerate(problem.tasks):
            counts = [np.isin(rows, task.rows).sum() for rows in batches]
            # The rows of a task lie in its own group and in those of rarer tasks.
            n_groups = 1 if t == rare else 3
            assert max(counts) - min(counts) <= n_groups
    assert not np.array_equal(passes[0][0], passes[1][0])


class Shuffled(Case):
    """The same labels, those of each task in an order of their own."""

    def _task(self, *args):
        task = super()._task(*args)
        order = np.random.default_rng(task.head).permutation(task.y.size)
        return task._replace(
            rows=task.rows[order], y=task.y[order], weight=np.asarray(task.weight)[order]
        )


class Whole(Case):
    """The same labels, where every row has one of every task."""

    def _task(self, *args):
        return super()._task(*args)._replace(rows=EVERY)


@pytest.mark.parametrize(
    "kind, other", [("one", Whole), ("complete", Whole), ("complete", Shuffled), ("many", Shuffled)]
)
@pytest.mark.parametrize("equal_weights", [False, True])
def test_labels_are_laid_out_alike_however_they_are_listed(kind, other, equal_weights):
    """But for the last bit of the sum of their weights."""
    options = {"kind": kind, "batch_size": 4, "equal_weights": equal_weights}
    given, listed = Case(**options).build()[0], other(**options).build()[0]
    for mine, theirs in zip(given.tasks, listed.tasks, strict=True):
        for name in ("rows", "y", "weight"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    for problem in (given, listed):
        run_epoch(problem, 0.03)
    np.testing.assert_allclose(given.theta, listed.theta, rtol=1e-12)


@pytest.mark.parametrize("kind", ["one", "complete", "many"])
def test_labels_can_be_weighed_anew(kind):
    """Those that weigh the same to begin with too, after epochs as before them."""
    start = Case(kind=kind, batch_size=4, equal_weights=True)
    problem, other = start.build()[0], replace(start, equal_weights=False).build()[0]
    theta, n = problem.theta.copy(), problem.n_labels
    assert [rows.label_weight.size for rows in problem._rows] == [1]
    assert [rows.label_weight.size for rows in other._rows] == [n]
    run_epoch(problem, 0.03)
    problem.theta[:], problem.state = theta, np.zeros_like(problem.state)
    problem.n_steps = 0
    problem.training.rng.bit_generator.state = other.training.rng.bit_generator.state
    for t, task in enumerate(other.tasks):
        problem.set_label_weights(t, task.weight)
    problem._rows[0].order[:] = other._rows[0].order
    for p in (problem, other):
        run_epoch(p, 0.03)
    np.testing.assert_allclose(problem.theta, other.theta, rtol=1e-12)


@pytest.mark.parametrize("kind, has_order", [("many", True), ("one", True), ("one", False)])
def test_every_row_is_as_likely_in_every_batch(kind, has_order, monkeypatch):
    if not has_order:
        monkeypatch.setattr(engine_data, "STORED", 0)
    problem, _ = Case(kind=kind, n_rows=(29,), batch_size=4).build()
    assert (problem._rows[0].order is not None) == has_order
    n_passes, hits = 800, np.zeros((29, problem.steps_per_epoch))
    for _ in range(n_passes):
        for b, rows in enumerate(rows_of_batches(problem, 0)):
            hits[rows, b] += 1
    hits = hits[hits.any(axis=1)]
    expected = n_passes / problem.steps_per_epoch
    assert np.abs(hits - expected).max() < 5 * np.sqrt(expected)


# --- the rest of an epoch ------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["one", "many, hidden heads", "linear gates", "own experts"])
def test_gradient_with_dropout(case):
    """With the generator reset, the dropped units are the same in every evaluation."""
    problem, _ = replace(
        CASES[case], batch_size=100, dropout=0.4, hidden=(5, 4), optimizer=Summed()
    ).build()
    free, _ = replace(CASES[case], hidden=(5, 4)).build()
    assert problem.objective()[0] == free.objective()[0]
    rng = problem.training.rng
    start = rng.bit_generator.state

    def evaluate(theta):
        rng.bit_generator.state = start
        problem.theta[:], problem.state = theta, np.zeros_like(problem.state)
        return run_epoch(problem, 0.0)[0], problem.state[0].copy()

    theta = problem.theta.copy()
    value, grad = evaluate(theta)
    assert value == evaluate(theta)[0]
    assert value != problem.objective()[0]
    directions = np.random.default_rng(1).standard_normal((10, theta.size))
    for direction in directions:
        ends = [evaluate(theta + sign * 1e-5 * direction)[0] for sign in (-1, 1)]
        assert grad @ direction == pytest.approx((ends[1] - ends[0]) / 2e-5, rel=1e-6, abs=1e-9)


def dropped_units(rate, rng, n_calls=1, shape=(64, 50)):
    """Whether each unit is dropped, a row for each call."""
    scale = 1 / (1 - rate)
    dropped = []
    for _ in range(n_calls):
        h, slope = np.ones(shape), np.full(shape, 2.0)
        layers.drop_out(h, slope, rate, rng)
        np.testing.assert_allclose(h[h > 0], scale)
        np.testing.assert_array_equal(slope, 2 * h)
        dropped.append(h.ravel() == 0)
    return np.array(dropped)


def test_drop_out_is_that_of_the_formula():
    """Bit for bit: two draws give the keys of ``naive.dropped``."""
    for rate in (0.1, 0.5, 0.97):
        rng, same = np.random.default_rng(3), np.random.default_rng(3)
        for shape in ((1, 1), (7, 13), (33, 64)):
            found = dropped_units(rate, rng, shape=shape)
            np.testing.assert_array_equal(found[0], naive.dropped(shape, rate, same).ravel())


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_drop_out_has_the_moments_of_independent_draws(rate):
    """Means over all, over each unit and each call; correlations of neighbours and of calls."""
    rng = np.random.default_rng(0)
    draws = np.array([naive.dropped((64, 64), rate, rng).ravel() for _ in range(1000)])
    variance = rate * (1 - rate)
    z = (draws - rate) / np.sqrt(variance)
    assert draws.mean() == pytest.approx(rate, abs=4 * np.sqrt(variance / draws.size))
    for axis in (0, 1):
        sums = z.sum(axis=axis) / np.sqrt(z.shape[axis])  # of mean 0 and variance 1
        assert np.abs(sums).max() < 5
        assert np.mean(sums**2) == pytest.approx(1, abs=5 * np.sqrt(2 / sums.size))
    for lag in (1, 2, 3, 32, 63, 64, 65, 128):
        pairs = z[:, lag:] * z[:, :-lag]
        assert abs(pairs.mean()) < 4.5 / np.sqrt(pairs.size)
        pairs = z[lag:] * z[:-lag]
        assert abs(pairs.mean()) < 4.5 / np.sqrt(pairs.size)
    triples = z[:, 2:] * z[:, 1:-1] * z[:, :-2]
    assert abs(triples.mean()) < 4.5 * np.sqrt((z**2).mean() ** 3 / triples.size)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_divergence_is_noticed_before_the_step(bad):
    problem, _ = Case(kind="many", batch_size=4).build()
    problem.theta[-1] = bad
    before = problem.theta.copy()
    with np.errstate(all="ignore"):  # for the plain kernels
        assert not run_epoch(problem, 0.01)[2]
    assert np.array_equal(problem.theta, before, equal_nan=True)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("case", [*CASES.values(), LAZY["two layers"]], ids=[*CASES, "lazy"])
def test_kernels_write_within_their_buffers(case, full, monkeypatch):
    """Every buffer gets margins, which an epoch and an objective leave alone."""
    if case is LAZY["two layers"]:
        monkeypatch.setattr(lazy, "pays_off", lambda *_: True)
    margin, padded = 64, {}

    def zeros_with_margins(records, n_bytes):
        for name, n in n_bytes.items():
            padded[name] = np.full(n + 2 * margin, 99, np.uint8)
            padded[name][margin:-margin] = 0
        return {name: padded[name].ctypes.data + margin for name in n_bytes}

    monkeypatch.setattr(Records, "zeros", zeros_with_margins)
    problem, _ = case.build()
    record = problem._batch_buffers(full)[1]
    records, _ = problem._buffers[full]
    _, fields = next(kept for kept in records.kept if kept[0] is record)
    work = record.fields
    for name, array in fields.items():
        if not isinstance(array, np.ndarray):
            continue
        padded[name] = np.full(array.size + 2 * margin, 99, array.dtype)
        padded[name][margin:-margin] = array.ravel()
        setattr(work, name, padded[name].ctypes.data + margin * array.itemsize)
    assert len(padded) == len(tables.WORK.names) - 4  # all but the sizes
    for _ in range(2):
        assert problem.objective()[0] if full else run_epoch(problem, 0.01)[2]
    for name, array in padded.items():
        assert (array[:margin] == 99).all(), name
        assert (array[-margin:] == 99).all(), name


def test_epochs_at_once_are_epochs_one_by_one():
    rates = [0.1, 0.05, 0.01]
    at_once, one_by_one = (Case(kind="many", batch_size=4).build()[0] for _ in range(2))
    curves = at_once.epochs(rates)
    each = [one_by_one.epochs([rate]) for rate in rates]
    for together, apart in zip(curves, zip(*each), strict=True):
        assert np.array_equal(together, np.concatenate(apart))
    assert np.array_equal(at_once.theta, one_by_one.theta)
    assert np.array_equal(at_once.state, one_by_one.state)
    assert at_once.n_steps == one_by_one.n_steps


def test_epochs_end_before_the_first_that_is_not_finite():
    long, short = (Case(kind="many", batch_size=4).build()[0] for _ in range(2))
    with np.errstate(all="ignore"):  # for the plain kernels
        curves = long.epochs([0.1, 0.1, np.inf, 0.1])
    assert curves.losses.size == len(curves.task_losses) == len(curves.task_weights) == 2
    short.epochs([0.1, 0.1])
    assert np.array_equal(long.theta, short.theta)
    assert long.n_steps == short.n_steps
