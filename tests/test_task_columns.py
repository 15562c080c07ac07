"""Labels task by task, against the table of rows by tasks that they stand for."""

import numpy as np
import pytest

from skmtl import MultiTaskClassifier, MultiTaskEstimator, MultiTaskRegressor
from skmtl.columns import read_columns
from skmtl.engine.data import EVERY
from skmtl.task_columns import TaskColumn, as_table, by_task
from skmtl.task_types import spread_columns
from skmtl.tasks import encode_labels, observed

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
N_ROWS = 40
MISSING = {"i": -1, "f": np.nan}


def column(seed, *, short, kind="i", holes=True):
    """A TaskColumn, and its labels and weights in all rows."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=N_ROWS).astype(np.int8 if kind == "i" else float)
    weight = rng.uniform(0.5, 2, size=N_ROWS)
    there = rng.random(N_ROWS) < 0.5 if short else np.ones(N_ROWS, bool)
    rows = np.flatnonzero(there).astype(np.int32) if short else EVERY
    if holes:
        missing = rng.random(N_ROWS) < 0.3
        y[missing], weight[missing] = MISSING[kind], 0
        weight[rng.random(N_ROWS) < 0.2] = 0
    whole_y = np.where(there & (weight > 0), y, MISSING[kind])
    return TaskColumn(rows, y[rows], weight[rows]), whole_y, np.where(there, weight, 0)


@pytest.mark.parametrize("kind", ["i", "f"])
@pytest.mark.parametrize("holes", [True, False])
@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_labels_to_train_on(seed, short, holes, kind):
    """Those that weigh something, of all rows or of some."""
    given, y, weight = column(seed, short=short, holes=holes, kind=kind)
    some = np.sort(np.random.default_rng(seed).permutation(N_ROWS)[:25])
    for rows in (EVERY, some):
        taken = given.to_train_on(rows)
        of_x, wanted = np.arange(N_ROWS)[taken.rows], np.arange(N_ROWS)[rows]
        np.testing.assert_array_equal(of_x, wanted[weight[wanted] > 0])
        np.testing.assert_array_equal(taken.y, y[of_x])
        np.testing.assert_array_equal(taken.weight, weight[of_x])
        assert taken.y.dtype == given.y.dtype
    assert np.shares_memory(given.to_train_on().y, given.y) == (not holes)


@pytest.mark.parametrize("kinds", ["ii", "if", "ff"])
def test_a_table_of_some_rows(kinds):
    made = [column(t, short=t == 0, kind=kind) for t, kind in enumerate(kinds)]
    rows = np.random.default_rng(0).permutation(N_ROWS)[:17]
    table = as_table([given for given, _, _ in made], rows, N_ROWS)
    wanted = np.column_stack([np.where(observed(y), y, np.nan) for _, y, _ in made])[rows]
    assert table.dtype == (np.int8 if kinds == "ii" else np.float64)
    np.testing.assert_array_equal(np.where(observed(table), table, np.nan), wanted)


def test_columns_of_a_table_are_views_that_make_it_up():
    labels = encode_labels([[0, "a"], [1, None], [None, "b"]])
    columns = by_task(labels)
    assert all(np.shares_memory(column.y, labels.codes) for column in columns.columns)
    again = columns.table()
    np.testing.assert_array_equal(again.codes, labels.codes, strict=True)
    assert again[1:] == labels[1:]


@pytest.mark.parametrize("ids", [["b", "a", "b", "c", "a"], [3, 1, 3, 9, 1]])
def test_columns_of_one_task_a_row(ids):
    columns, rows = spread_columns(read_columns(np.arange(5)), ids)
    np.testing.assert_array_equal(columns.names, sorted(set(ids)))
    assert [c.tolist() for c in columns.columns] == [[1, 4], [0, 2], [3]]
    assert [r.tolist() for r in rows] == [[1, 4], [0, 2], [3]]
    assert all(r.dtype == np.int32 for r in rows)


def long_table(n_rows=60, n_tasks=4):
    """Rows of one task each, labels, numbers, and weights."""
    rng = np.random.default_rng(0)
    task = rng.permutation(np.arange(n_rows) % n_tasks)
    return rng.standard_normal((n_rows, 3)), rng.integers(3, size=n_rows), rng.random(n_rows), task


@pytest.mark.parametrize("sharing", ["hard", "pooled", "grouped"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weights", ["none", "rows", "labels"])
@pytest.mark.parametrize("kind", [MultiTaskClassifier, MultiTaskRegressor, MultiTaskEstimator])
def test_a_task_for_each_row_is_a_table_with_holes(kind, weights, early_stopping, sharing):
    """The same fit, to the last bit."""
    X, y, numbers, task = long_table()
    y = numbers if kind is MultiTaskRegressor else y
    table = np.full((60, 4), None)
    table[np.arange(60), task] = y
    given = {
        "none": {},
        "rows": {"sample_weight": numbers + 0.5},
        "labels": {"label_weight": np.random.default_rng(1).random((60, 4))},
    }[weights]
    estimator = kind((5,), sharing=sharing, early_stopping=early_stopping, random_state=0)
    estimator.set_params(max_iter=4, batch_size=8)
    long, wide = (
        kind(**estimator.get_params()).fit(X, *labels, **given, **more)
        for labels, more in (([y], {"task": task}), ([table], {}))
    )
    np.testing.assert_array_equal(long._theta, wide._theta)
    assert long.validation_scores_ == wide.validation_scores_
