"""How much memory fits take for each row of X, and where what a step reads starts."""

import tracemalloc

import numpy as np
import pytest

from skmtl import MultiTaskClassifier, MultiTaskRegressor, TransferClassifier, as_source
from skmtl.engine import data, memory
from skmtl.engine.problem import Problem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [1, 7, (3, 5)])
def test_arrays_start_at_cache_lines(shape, dtype):
    zeros = [memory.zeros(shape, dtype) for _ in range(20)]
    copies = [memory.copy(np.ones(shape), dtype) for _ in range(20)]
    for expected, arrays in ((0, zeros), (1, copies)):
        for array in arrays:
            assert array.ctypes.data % memory.LINE == 0
            assert array.flags.c_contiguous
            assert array.flags.writeable
            np.testing.assert_array_equal(array, np.full(shape, expected, dtype), strict=True)


# --- bytes a row ---------------------------------------------------------------------------------

NET = {"hidden_layer_sizes": (4,), "max_iter": 1, "batch_size": 1000, "random_state": 0}


def rows(n):
    """X, labels and weights."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3), dtype=np.float32)
    return X, rng.integers(5, size=n), rng.random(n)


def one_task(n):
    X, y, _ = rows(n)
    return lambda: MultiTaskClassifier(**NET).fit(X, y)


def one_task_from_1(n):
    X, y, _ = rows(n)
    y += 1
    return lambda: MultiTaskClassifier(**NET).fit(X, y)


def strings(n):
    X, y, _ = rows(n)
    y = np.array(list("abcde"))[y]
    return lambda: MultiTaskClassifier(**NET).fit(X, y)


def weighed(n):
    X, y, weight = rows(n)
    return lambda: MultiTaskClassifier(**NET, class_weight="balanced").fit(X, y, weight)


def three_tasks(n):
    X, y, _ = rows(n)
    Y = np.column_stack([y, y > 1, y == 0])
    return lambda: MultiTaskClassifier(**NET).fit(X, Y)


def holes(n):
    """Three tasks, and two labels a row in the mean."""
    X, y, _ = rows(n)
    Y = np.column_stack([y, y > 1, y == 0]).astype(np.float32)
    Y[np.random.default_rng(1).random(Y.shape) < 1 / 3] = np.nan
    return lambda: MultiTaskClassifier(**NET).fit(X, Y)


def of_many_tasks(n):
    """A label a row, of one of 50 tasks."""
    X, y, _ = rows(n)
    task = np.arange(n) % 50
    return lambda: MultiTaskClassifier(**NET).fit(X, y, task=task)


def numbers_of_many_tasks(n):
    X, _, y = rows(n)
    task = np.arange(n) % 50
    return lambda: MultiTaskRegressor(**NET).fit(X, y, task=task)


def numbers(n):
    X, _, y = rows(n)
    return lambda: MultiTaskRegressor(**NET).fit(X, y)


def source(n):
    X, y, _ = rows(n)
    given = as_source(X, y)
    return lambda: TransferClassifier(**NET).fit(X[:100].copy(), y[:100], **given)


def unlabelled_target(n):
    X, y, _ = rows(n)
    given, y = as_source(X[:100].copy(), y[:100]), np.where(np.arange(n) < 100, y, np.nan)
    return lambda: TransferClassifier(**NET).fit(X, y, **given)


def bytes_of(fit, monkeypatch):
    """Most bytes of a fit's arrays while epochs run, and at all; NumPy tells tracemalloc."""
    held, run_epochs = [], Problem.epochs

    def epochs(problem, rates):
        curves = run_epochs(problem, rates)
        held.append(tracemalloc.get_traced_memory()[0])
        return curves

    with monkeypatch.context() as patch:
        patch.setattr(Problem, "epochs", epochs)
        tracemalloc.start()
        fit()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return np.array([max(held), peak])


# In float32 1 for each class or 4 for each number, and where weights differ 4 for each of these;
# nothing where y is an array of the classes 0 to K - 1, which is read as it is.
# With holes 4 say which rows have a label at all, 4 are for the row's place in the order, 8 say
# where its labels are, and 4 which task each is of. The weights of a source's rows are an
# attribute. The peak is what it takes to get there.
@pytest.mark.parametrize(
    "fits, held, peak",
    [
        (one_task, 0, 0),
        (one_task_from_1, 1, 1),
        (strings, 1, 6.5),
        (weighed, 1 + 4, 24),
        (three_tasks, 3 * 1, 5),
        (holes, 4 + 4 + 8 + 2 * 5, 47),
        (of_many_tasks, 4 + 8 + 4 + 1, 29),
        (numbers_of_many_tasks, 4 + 8 + 4 + 4, 36),
        (numbers, 4, 33),
        (source, 8, 33),
        (unlabelled_target, 0, 13),
    ],
)
def test_bytes_a_row(fits, held, peak, monkeypatch):
    """As X has more rows, above what is looked at in blocks, and above what has a stored order."""
    monkeypatch.setattr(data, "STORED", 1000)
    few, many = 100_000, 200_000
    fits(1000)()  # loads the kernels
    less, more = (bytes_of(fits(n), monkeypatch) for n in (few, many))
    growth = (more - less) / (many - few)
    assert growth[0] < held + 0.5
    assert growth[1] < peak + 0.5


def test_a_stream_of_chunks_takes_no_more_memory_late_than_early():
    """But for the curves: of an epoch three numbers, twice while they are copied."""
    X, y, _ = rows(100)

    def peak_of_next_chunk(n_epochs):
        model = MultiTaskClassifier(**NET).partial_fit(X, y, classes=range(5))
        model.loss_curve_ = [1.0] * n_epochs
        model.task_loss_curves_ = model.task_weights_path_ = np.ones((n_epochs, 1))
        tracemalloc.start()
        model.partial_fit(X, y)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert model.task_loss_curves_.shape == (n_epochs + 1, 1)
        return peak

    peak_of_next_chunk(1)
    assert (peak_of_next_chunk(50_000) - peak_of_next_chunk(1)) / 50_000 < 50
