"""Heads of low rank: what they compute, what they are equal to, and where they help."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.estimator_checks import check_estimator
from tables import QUICK, theta_of, wide

from skmtl import (
    MultiTaskClassifier,
    MultiTaskEstimator,
    MultiTaskRegressor,
    TransferClassifier,
    TransferRegressor,
)
from skmtl.plugins.sharings import CGC

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LINEAR = {"hidden_layer_sizes": (), "solver": "lbfgs", "max_iter": 3000, "tol": 1e-9}
LINEAR["random_state"] = 0


def quick(**parameters):
    return MultiTaskClassifier(**{**QUICK, "head_rank": 2, **parameters})


def columns(n=60, n_tasks=6, seed=0):
    """X, and numbers of several tasks that depend on it linearly."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 5))
    weight = np.random.default_rng(98).standard_normal((5, n_tasks))
    return X, X @ weight + 0.3 * rng.standard_normal((n, n_tasks))


# --- what it computes ----------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", ["hard", "pooled", "none"])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)], ids=str)
@pytest.mark.parametrize("head_hidden", [(), (5,)], ids=str)
def test_predictions_are_those_of_the_fitted_attributes(sharing, hidden, head_hidden):
    X, Y = wide()
    clf = quick(sharing=sharing, hidden_layer_sizes=hidden, head_layer_sizes=head_hidden).fit(X, Y)
    n_shared = [4, *hidden][-1]
    stack = (3,) if sharing == "none" else ()
    assert clf.head_factor_.shape == (*stack, n_shared, 2)
    assert [w.shape[-1] for w in clf.coefs_] == [b.shape[-1] for b in clf.intercepts_] == [*hidden]
    shared = []
    for t, proba in enumerate(clf.predict_proba(X)):
        H, of_task = X, (t,) if sharing == "none" else ()
        for weight, bias in zip(clf.coefs_, clf.intercepts_):
            H = np.maximum(H @ weight[of_task] + bias[of_task], 0)
        H = H @ clf.head_factor_[of_task]
        shared.append(H)
        head = t if sharing != "pooled" else 0
        *below, (weight, bias) = zip(clf.head_coefs_[head], clf.head_intercepts_[head])
        for w, b in below:
            H = np.maximum(H @ w + b, 0)
        out = H @ weight + bias
        if out.shape[1] == 1:
            want = np.hstack([expit(-out), expit(out)])
        else:
            want = softmax(out, axis=1)
        np.testing.assert_allclose(proba, want, rtol=1e-10)
    shared = shared if sharing == "none" else shared[:1]
    np.testing.assert_allclose(clf.transform(X), np.hstack(shared), rtol=1e-10, atol=1e-14)
    assert len(clf.get_feature_names_out()) == 2 * len(shared)


def test_without_it_there_is_no_factor():
    X, Y = wide()
    assert quick(head_rank=None).fit(X, Y).head_factor_ is None


@pytest.mark.parametrize("sharing", ["grouped", "mmoe", CGC()], ids=str)
def test_experts_have_a_factor_each(sharing):
    X, Y = wide()
    clf = quick(sharing=sharing, hidden_layer_sizes=(8,)).fit(X, Y)
    n_experts = len(clf.head_factor_)
    assert n_experts > 1
    assert clf.head_factor_.shape == (n_experts, 8, 2)
    assert clf.loss_curve_[-1] < clf.loss_curve_[0]


@pytest.mark.parametrize("hidden", [(), (8,)], ids=str)
def test_sparse_rows_are_dense_rows(hidden):
    X, Y = wide()
    X = np.where(np.abs(X) < 0.7, 0, X)
    clf = quick(hidden_layer_sizes=hidden, batch_size=7)
    dense, sparse = clone(clf).fit(X, Y), clf.fit(csr_array(X), Y)
    np.testing.assert_allclose(theta_of(sparse), theta_of(dense), rtol=1e-8, atol=1e-11)


def test_its_layer_is_not_dropped_out():
    X, Y = wide()
    clf = quick(hidden_layer_sizes=())
    dropped = clone(clf).set_params(dropout=0.5).fit(X, Y)
    np.testing.assert_array_equal(theta_of(dropped), theta_of(clf.fit(X, Y)))


def test_training_goes_on():
    X, Y = wide()
    whole = quick(batch_size=60).fit(X, Y)
    chunks = quick(batch_size=60)
    for _ in range(15):
        chunks.partial_fit(X, Y, [[0, 1, 2], [0, 1], [0, 1]])
    np.testing.assert_array_equal(theta_of(chunks), theta_of(whole))
    with pytest.raises(ValueError, match="need the layers, tasks and columns of the last fit"):
        whole.set_params(warm_start=True, head_rank=3).fit(X, Y)
    for head_rank in (0, -1, 1.5, "2"):
        with pytest.raises(ValueError, match="'head_rank' parameter of MultiTaskClassifier"):
            quick(head_rank=head_rank).fit(X, Y)


def test_check_estimator():
    results = check_estimator(MultiTaskClassifier(head_rank=2), on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}


# --- what it is equal to -------------------------------------------------------------------------


def test_of_full_rank_and_without_penalty_it_is_the_linear_model():
    X, y = columns()
    full = MultiTaskRegressor(**LINEAR, lam=0.0).fit(X, y)
    factored = MultiTaskRegressor(**LINEAR, lam=0.0, head_rank=5).fit(X, y)
    np.testing.assert_allclose(factored.predict(X), full.predict(X), atol=1e-3)


def test_of_low_rank_it_is_reduced_rank_regression():
    """Izenman (1975): least squares, projected on the leading singular vectors of its fit."""
    X, y = columns()
    reg = MultiTaskRegressor(**LINEAR, lam=0.0, head_rank=2).fit(X, y)
    Z = (y - y.mean(axis=0)) / y.std(axis=0)  # the units in which networks learn
    A = np.column_stack([X, np.ones(len(X))])
    centred = X - X.mean(axis=0)
    fit = centred @ np.linalg.lstsq(centred, Z, rcond=None)[0]
    leading = np.linalg.svd(fit, full_matrices=False)[2][:2]
    want = y.mean(axis=0) + y.std(axis=0) * (fit @ leading.T @ leading)
    np.testing.assert_allclose(reg.predict(X), want, atol=1e-3)
    weight = reg.head_factor_ @ np.hstack([w for head in reg.head_coefs_ for w in head])
    assert np.linalg.matrix_rank(weight) == 2
    assert np.linalg.matrix_rank(np.linalg.lstsq(A, reg.predict(X), rcond=None)[0][:-1]) == 2


def test_with_l2_on_both_factors_it_is_the_trace_norm():
    """At the minimum (|U|^2 + |V|^2) / 2 is the sum of the singular values of U V."""
    X, y = columns()
    reg = MultiTaskRegressor(**LINEAR, lam=0.5, head_rank=5).fit(X, y)
    V = np.hstack([w for head in reg.head_coefs_ for w in head])
    U = reg.head_factor_
    singular = np.linalg.svd(U @ V, compute_uv=False)
    assert ((U**2).sum() + (V**2).sum()) / 2 == pytest.approx(singular.sum(), rel=1e-4)
    assert singular[-1] < 1e-2 * singular[0]  # it selects a rank, too
    trace = MultiTaskRegressor(**{**LINEAR, "solver": "sgd"}, lam=0.5, penalty="trace_norm")
    trace.set_params(learning_rate_init=0.02, tol=0.0, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(reg.predict(X), trace.predict(X), atol=0.01)
    assert reg.loss_curve_[-1] == pytest.approx(trace.loss_curve_[-1], rel=1e-3)


@pytest.mark.parametrize("head_layer_sizes", [(), (5,)], ids=str)
def test_as_a_source_model_its_head_is_the_product(head_layer_sizes):
    X, Y = wide(missing=0)
    still = {**QUICK, "strategy": "finetune", "max_iter": 1, "learning_rate_init": 1e-300}
    still |= {"head_layer_sizes": head_layer_sizes}
    source = quick(head_layer_sizes=head_layer_sizes).fit(X, Y[:, 0])
    tuned = TransferClassifier(**still, source_model=FrozenEstimator(source)).fit(X, Y[:, 0])
    np.testing.assert_allclose(tuned.predict_proba(X), source.predict_proba(X), rtol=1e-10)
    # As many columns as the layer before has units: the shapes alone would fit without U too.
    source = MultiTaskRegressor(**QUICK, head_rank=8).fit(X, X[:, 0])
    still["head_layer_sizes"] = ()
    tuned = TransferRegressor(**still, source_model=FrozenEstimator(source)).fit(X, X[:, 0])
    np.testing.assert_allclose(tuned.predict(X), source.predict(X), rtol=1e-8, atol=1e-10)
    several = quick().fit(X, Y)
    tuned = TransferClassifier(**still, source_model=FrozenEstimator(several)).fit(X, Y[:, 0])
    np.testing.assert_array_equal(tuned.coefs_[0], several.coefs_[0])


# --- where it helps ------------------------------------------------------------------------------


def many_tasks(seed, n_tasks=60, rank=3, n=120, labels=15):
    """Rows, numbers of tasks in a space of few dimensions, few of each; rows and means to test."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + 500, 6))
    H = np.tanh(1.5 * X @ rng.standard_normal((6, 16)) / np.sqrt(6))
    means = H @ rng.standard_normal((16, rank)) @ rng.standard_normal((rank, n_tasks))
    means /= means.std(axis=0)
    y = np.full((n, n_tasks), np.nan)
    for t in range(n_tasks):
        rows = rng.choice(n, labels, replace=False)
        y[rows, t] = means[rows, t] + 0.2 * rng.standard_normal(labels)
    return X[:n], y, X[n:], means[n:]


def test_many_tasks_in_few_dimensions_need_fewer_labels():
    """Each with its best strength of the penalty, on the mean over two draws."""
    draws, scores = [many_tasks(seed) for seed in range(2)], {}
    for head_rank in (None, 3):
        options = {"activation": "tanh", "solver": "lbfgs", "max_iter": 300, "random_state": 0}
        reg = MultiTaskRegressor((32,), head_rank=head_rank, **options)
        by_lam = [
            np.mean([reg.set_params(lam=lam).fit(X, y).score(*test) for X, y, *test in draws])
            for lam in (0.01, 0.03, 0.1, 0.3)
        ]
        scores[head_rank] = max(by_lam)
    assert scores[3] > 0.9
    assert scores[3] > scores[None] + 0.05  # .92 against .80


def test_classes_and_numbers_in_few_dimensions():
    X, _, X_test, means = many_tasks(0, n_tasks=8)
    y = means.copy()
    y[:, ::2] = means[:, ::2] > 0
    types = ["classification", "regression"] * 4
    est = MultiTaskEstimator((32,), task_types=types, head_rank=3, solver="lbfgs", lam=1e-3)
    est.set_params(activation="tanh", max_iter=500, random_state=0).fit(X_test[:300], y[:300])
    assert est.score(X_test[300:], y[300:]) > 0.9
    assert est.head_factor_.shape == (32, 3)
