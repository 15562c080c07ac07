"""Prediction in blocks of rows, for all tasks at once, and of rows that need no validation."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix

from skmtl import MultiTaskClassifier, TransferClassifier
from skmtl.engine import forward

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4))
Y = RNG.integers(0, [2, 3, 2, 1], (50, 4)).astype(float)
WAYS = {
    "hard": {},
    "head_layers": {"head_layer_sizes": (5,)},
    "none": {"sharing": "none"},
    "pooled": {"sharing": "pooled"},
    "grouped": {"sharing": "grouped"},
    "cgc": {"sharing": "cgc"},
    "linear": {"hidden_layer_sizes": ()},
}


def fitted(**parameters):
    parameters = {"hidden_layer_sizes": (6, 3), "max_iter": 2, "random_state": 0, **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MultiTaskClassifier(**parameters).fit(X, Y)


@pytest.fixture
def small_blocks(monkeypatch):
    """A function that makes blocks of seven rows."""

    def use():
        monkeypatch.setattr(forward, "BLOCK", 1)
        monkeypatch.setattr(forward, "FEWEST_ROWS", 7)

    return use


@pytest.mark.parametrize("container", [np.asarray, csr_matrix])
@pytest.mark.parametrize("way", WAYS)
def test_blocks_of_rows_give_what_all_rows_give(way, container, small_blocks):
    clf, rows = fitted(**WAYS[way]), container(X)
    proba, labels, shared = clf.predict_proba(rows), clf.predict(rows), clf.transform(rows)
    small_blocks()
    for whole, in_blocks in zip(proba, clf.predict_proba(rows), strict=True):
        assert_allclose(in_blocks, whole, rtol=1e-12)
    assert np.array_equal(clf.predict(rows), labels)
    in_blocks = clf.transform(rows)
    if way == "linear":
        assert in_blocks is rows
    else:
        assert_allclose(in_blocks, shared, rtol=1e-12)


def test_blocks_are_scaled_as_all_rows_are(small_blocks):
    clf = TransferClassifier((3,), standardize="per_domain", max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(X, Y[:, 0], X_source=2 * X, y_source=Y[:, 1])
    outputs = clf.decision_function(X)
    small_blocks()
    assert_allclose(clf.decision_function(X), outputs, rtol=1e-12)


@pytest.mark.parametrize(("way", "n_runs"), [("hard", 1), ("head_layers", 1), ("none", 3)])
def test_an_expert_runs_once_for_all_tasks(way, n_runs, monkeypatch):
    clf, chains = fitted(**WAYS[way]), []
    run = forward._run_chain

    def counted(layout, theta, chain, H):
        if len(chain) == len(clf.hidden_layer_sizes):
            chains.append(chain)
        return run(layout, theta, chain, H)

    monkeypatch.setattr(forward, "_run_chain", counted)
    clf.predict_proba(X)  # three tasks have something to tell
    assert len(chains) == n_runs


def test_a_task_has_the_same_bits_alone_and_among_others():
    for way in WAYS:
        clf = fitted(**WAYS[way])
        for t, proba in enumerate(clf.predict_proba(X)):
            assert np.array_equal(clf.task(t).predict_proba(X), proba), way


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_whose_squares_overflow_are_finite(dtype):
    clf, huge = fitted(), np.full((2, 4), np.finfo(dtype).max / 1e3, dtype)
    assert not clf._is_valid(huge)
    assert clf._rows(huge) is huge


def test_only_what_passes_as_it_is_goes_without_validation():
    clf = fitted()
    assert clf._is_valid(X)
    assert clf._is_valid(X.astype(np.float32))
    for other in (
        X.tolist(),
        X[0],
        X[:0],
        X[:, :3],
        X[:, ::-1],
        np.asfortranarray(X),
        X.astype(">f8"),
        X.astype(np.float16),
        X.astype(complex),
        np.where(X > 1, np.nan, X),
        np.where(X > 1, -np.inf, X),
        csr_matrix(X),
        np.ma.masked_array(X),
    ):
        assert not clf._is_valid(other)
    clf.feature_names_in_ = np.array(list("abcd"), object)  # of these, validation tells X has none
    assert not clf._is_valid(X)


def test_a_fit_on_an_array_forgets_the_names_of_a_frame():
    pandas = pytest.importorskip("pandas")
    clf = fitted()
    theta = clf._theta
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(pandas.DataFrame(X, columns=list("abcd")), Y)
        assert clf.feature_names_in_.tolist() == list("abcd")
        clf.fit(X, Y)
    assert not hasattr(clf, "feature_names_in_")
    assert clf.n_features_in_ == 4
    assert np.array_equal(clf._theta, theta)
