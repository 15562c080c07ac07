"""Folds of tasks with missing labels: what every task is given in every fold."""

import time
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from skmtl.model_selection import MultiTaskKFold
from skmtl.tasks import encode_labels


def holey_labels(seed, n_samples, n_tasks, n_classes, observed):
    rng = np.random.default_rng(seed)
    Y = rng.integers(0, n_classes, size=(n_samples, n_tasks)).astype(float)
    Y[rng.random(Y.shape) >= observed] = np.nan
    return Y


def folds_of(cv, y):
    """Fold of each row, from the test sets, which must be a partition."""
    n_samples = len(y)
    fold = np.full(n_samples, -1)
    for k, (train, test) in enumerate(cv.split(np.zeros((n_samples, 1)), y)):
        assert (fold[test] == -1).all()
        fold[test] = k
        np.testing.assert_array_equal(np.sort(np.append(train, test)), np.arange(n_samples))
    assert k + 1 == cv.get_n_splits()
    assert (fold >= 0).all()
    return fold


def counts(fold, mask, n_splits):
    return np.bincount(fold[mask], minlength=n_splits)


def imbalance(fold, Y, n_splits):
    """Mean distance of a class from its share of a fold, in rows."""
    per_class = [
        counts(fold, column == label, n_splits)
        for column in Y.T
        for label in np.unique(column[~np.isnan(column)])
    ]
    return np.mean([np.abs(c - c.mean()).mean() for c in per_class])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n_splits", [2, 3, 5])
def test_1d_is_stratified(seed, n_splits):
    rng = np.random.default_rng(seed)
    y = rng.choice(4, size=rng.integers(20, 300), p=[0.6, 0.25, 0.1, 0.05])
    fold = folds_of(MultiTaskKFold(n_splits, random_state=seed), y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = folds_of(StratifiedKFold(n_splits), y)
    for label in np.unique(y):
        ours = counts(fold, y == label, n_splits)
        assert np.ptp(ours) <= 1
        assert sorted(ours) == sorted(counts(theirs, y == label, n_splits))
    assert np.ptp(counts(fold, slice(None), n_splits)) <= 1


SHAPES = {
    # rows, tasks, classes, share of observed labels; allowed imbalance in rows of a class
    "dense": (300, 5, 3, 1.0, 0.55),
    "half": (300, 10, 3, 0.5, 0.5),
    "sparse": (200, 20, 3, 0.1, 0.42),
    "rare": (100, 20, 2, 0.07, 0.45),
    "rare and few": (60, 30, 2, 0.1, 0.5),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", SHAPES)
def test_every_task_has_its_share_in_every_fold(shape, seed):
    *size, allowed = SHAPES[shape]
    Y = holey_labels(seed, *size)
    n_labels = (~np.isnan(Y)).sum(axis=0)
    few = [f"{t} ({n} labels)" for t, n in enumerate(n_labels) if n < 5]
    cv = MultiTaskKFold(5, random_state=seed)
    if few:
        with pytest.warns(UserWarning, match="n_splits") as caught:
            fold = folds_of(cv, Y)
        assert [str(warning.message) for warning in caught] == [
            f"Some of the n_splits=5 test folds have no label of task {', '.join(few)}."
        ]
    else:
        fold = folds_of(cv, Y)
    for t, column in enumerate(Y.T):
        per_fold = counts(fold, ~np.isnan(column), 5)
        assert (per_fold > 0).sum() == min(n_labels[t], 5)
    random = np.mean([imbalance(f, Y, 5) for f in random_folds(len(Y), 5)])
    assert imbalance(fold, Y, 5) < min(allowed, 0.8 * random)
    assert np.ptp(counts(fold, slice(None), 5)) <= 4


def random_folds(n_samples, n_splits):
    for seed in range(5):
        yield folds_of(KFold(n_splits, shuffle=True, random_state=seed), np.zeros(n_samples))


@pytest.mark.parametrize("n_rare", [2, 3, 4])
def test_rare_tasks_have_labels_on_both_sides(n_rare):
    Y = np.zeros((50, 2))
    Y[1::2, 0] = 1
    Y[:, 1] = np.nan
    Y[[3, 30, 40, 41][:n_rare], 1] = [0, 1, 1, 0][:n_rare]
    cv = MultiTaskKFold(5, random_state=0)
    with pytest.warns(UserWarning, match=rf"no label of task 1 \({n_rare} labels\)\.$") as caught:
        splits = list(cv.split(np.zeros((50, 1)), Y))
    assert caught[0].filename == __file__
    tested = 0
    for train, test in splits:
        assert (~np.isnan(Y[train, 1])).any()
        tested += (~np.isnan(Y[test, 1])).any()
    assert tested == n_rare


def test_warning_gives_column_names():
    pd = pytest.importorskip("pandas")
    y = pd.DataFrame({"often": [0, 1] * 5, "seldom": [0, 1] + [None] * 8, "never": [None] * 10})
    message = r"task 'seldom' \(2 labels\), 'never' \(0 labels\)\."
    with pytest.warns(UserWarning, match=message):
        list(MultiTaskKFold(5, random_state=0).split(y, y))


def test_classes_too_rare_to_reach_all_folds_are_spread():
    y = np.array([0] * 40 + [1] * 3)
    fold = folds_of(MultiTaskKFold(5, random_state=0), y)
    assert sorted(counts(fold, y == 1, 5)) == [0, 0, 1, 1, 1]
    assert np.ptp(counts(fold, slice(None), 5)) <= 1


@pytest.mark.parametrize("n_labelled", [0, 7, 20])
def test_rows_without_labels_are_spread_evenly(n_labelled):
    Y = np.full((103, 2), np.nan)
    Y[:n_labelled] = np.arange(n_labelled)[:, np.newaxis] % 2
    cv = MultiTaskKFold(4, random_state=0)
    if n_labelled:
        fold = folds_of(cv, Y)
    else:
        with pytest.warns(UserWarning, match="no label of task 0"):
            fold = folds_of(cv, Y)
    assert np.ptp(counts(fold, slice(None), 4)) <= 1
    assert np.ptp(counts(fold, slice(n_labelled), 4)) <= 1


def test_many_rows_alike_are_spread_evenly():
    """They are dealt in rounds, before the others."""
    Y = np.tile([[0, 0], [0, 1], [1, np.nan], [np.nan, np.nan]], (200, 1))
    Y[:3, 1] = 2
    fold = folds_of(MultiTaskKFold(3, random_state=0), Y)
    for column in Y.T:
        for label in np.unique(column[~np.isnan(column)]):
            assert np.ptp(counts(fold, column == label, 3)) <= 1
    assert np.ptp(counts(fold, slice(None), 3)) <= 1


@pytest.mark.parametrize("n_splits", [2, 5])
def test_as_many_folds_as_rows(n_splits):
    fold = folds_of(MultiTaskKFold(n_splits, random_state=0), np.arange(n_splits) % 2)
    assert sorted(fold) == list(range(n_splits))


# --- random state ------------------------------------------------------------------------------


def test_random_state():
    Y = holey_labels(0, 100, 3, 3, 0.6)
    folds = [folds_of(MultiTaskKFold(5, random_state=seed), Y) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(folds[0], folds[1])
    assert (folds[0] != folds[2]).any()
    state = np.random.RandomState(0)
    cv = MultiTaskKFold(5, random_state=state)
    np.testing.assert_array_equal(folds_of(cv, Y), folds[0])
    assert (folds_of(cv, Y) != folds[0]).any()
    assert (folds_of(MultiTaskKFold(5), Y) != folds_of(MultiTaskKFold(5), Y)).any()


def test_without_shuffling_the_order_of_rows_decides():
    y = np.array([0, 1] * 10)
    cv = MultiTaskKFold(2, shuffle=False)
    np.testing.assert_array_equal(folds_of(cv, y), folds_of(cv, y))
    np.testing.assert_array_equal(folds_of(cv, y), [0, 1, 1, 0] * 5)


# --- containers and errors ---------------------------------------------------------------------


def pandas_frame(Y):
    return pytest.importorskip("pandas").DataFrame(Y, columns=list("abc"), index=[0] * len(Y))


def polars_frame(Y):
    frame = pytest.importorskip("polars").DataFrame(Y, schema=list("abc"))
    return frame.fill_nan(None)


@pytest.mark.parametrize(
    "container", [np.asfortranarray, np.ndarray.tolist, pandas_frame, polars_frame]
)
def test_containers_give_the_same_folds(container):
    Y = holey_labels(0, 60, 3, 2, 0.7)
    cv = MultiTaskKFold(3, random_state=0)
    expected = folds_of(cv, Y)
    before = Y.copy()
    Y.flags.writeable = False
    np.testing.assert_array_equal(folds_of(cv, container(Y)), expected)
    np.testing.assert_array_equal(Y, before)
    names = np.where(np.isnan(Y), None, np.array(["x", "y"])[np.nan_to_num(Y).astype(int)])
    np.testing.assert_array_equal(folds_of(cv, names), expected)


def test_x_may_be_anything_with_rows():
    y = np.array([0, 1] * 10)
    cv = MultiTaskKFold(2, random_state=0)
    expected = [test.tolist() for _, test in cv.split(np.zeros((20, 2)), y)]
    for X in (sparse.csr_array((20, 2)), [["text"]] * 20, y):
        assert [test.tolist() for _, test in cv.split(X, y)] == expected


def test_column_vector():
    y = np.array([0, 1] * 10)
    cv = MultiTaskKFold(2, random_state=0)
    with pytest.warns(DataConversionWarning):
        np.testing.assert_array_equal(folds_of(cv, y[:, np.newaxis]), folds_of(cv, y))


@pytest.mark.parametrize(
    "parameters, y, message",
    [
        ({"n_splits": 1}, [0, 1], "n_splits must be an integer of at least 2, got 1"),
        ({"n_splits": 2.0}, [0, 1], "n_splits must be an integer of at least 2, got 2.0"),
        ({"n_splits": 3}, [0, 1], "n_splits=3 is more than the number of rows, 2"),
        ({"n_splits": 2, "shuffle": False, "random_state": 0}, [0, 1], "random_state=0 has no"),
        ({"n_splits": 2}, None, "MultiTaskKFold requires y to be passed"),
        ({"n_splits": 2}, [0.5j, 1.5], "Unknown label type: unknown"),
        ({"n_splits": 2}, [0, 1, 1], "inconsistent numbers of samples"),
    ],
)
def test_what_is_refused(parameters, y, message):
    with pytest.raises(ValueError, match=message):
        list(MultiTaskKFold(**parameters).split(np.zeros((2, 1)), y))


def test_repr():
    assert repr(MultiTaskKFold(3)) == "MultiTaskKFold(n_splits=3, random_state=None, shuffle=True)"


# --- inside scikit-learn -----------------------------------------------------------------------


class ObservedOnly(ClassifierMixin, BaseEstimator):
    """Nearest neighbours per task, of the rows where it is observed."""

    def __init__(self, n_neighbors=1):
        self.n_neighbors = n_neighbors

    def fit(self, X, y):
        codes, self.classes_, _, _ = encode_labels(y)
        self.models_ = [
            KNeighborsClassifier(self.n_neighbors).fit(X[column >= 0], column[column >= 0])
            for column in codes.T
        ]
        return self

    def score(self, X, y):
        codes = encode_labels(y, classes=self.classes_).codes
        predicted = np.stack([model.predict(X) for model in self.models_], axis=1)
        return (predicted == codes)[codes >= 0].mean()


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_grid_search_and_cross_val_score_accept_holes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    Y = (X > 0).astype(float)
    Y[rng.random(Y.shape) < 0.5] = np.nan
    cv = MultiTaskKFold(3, random_state=0)
    scores = cross_val_score(ObservedOnly(), X, Y, cv=cv, error_score="raise")
    expected = [
        ObservedOnly().fit(X[train], Y[train]).score(X[test], Y[test])
        for train, test in cv.split(X, Y)
    ]
    np.testing.assert_array_equal(scores, expected)
    search = GridSearchCV(ObservedOnly(), {"n_neighbors": [1, 25]}, cv=cv, error_score="raise")
    search.fit(X, Y)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"][0], np.mean(expected))
    with pytest.raises(ValueError, match="NaN"):  # why this class exists
        GridSearchCV(ObservedOnly(), {"n_neighbors": [1, 5]}, cv=3).fit(X, Y)


@pytest.mark.parametrize("n_tasks, observed", [(20, 1.0), (20, 0.3), (1, 1.0)])
def test_a_hundred_thousand_rows(n_tasks, observed):
    Y = holey_labels(0, 100_000, n_tasks, 5, observed)
    Y = Y if n_tasks > 1 else Y[:, 0]
    start = time.perf_counter()
    fold = folds_of(MultiTaskKFold(5, random_state=0), Y)
    assert time.perf_counter() - start < 15  # 2 s on two idle cores
    assert np.ptp(counts(fold, slice(None), 5)) <= 10
    assert imbalance(fold, Y.reshape(100_000, -1), 5) < 2
