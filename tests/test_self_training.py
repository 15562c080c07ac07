"""SelfTraining: rounds by hand, shares of classes, what it is good for, scikit-learn's checks."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    check_param_validation,
)
from tables import QUICK, blobs, digest, source_of, theta_of

from skmtl import SelfTraining, TransferClassifier, as_source
from skmtl.self_training import label_by_share

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LINEAR = TransferClassifier((), solver="lbfgs", alpha=0.01, max_iter=200, random_state=0)


def two_groups(n=300, seed=0, share=0.5, n_features=60):
    """Rows around two centres that are near in each of many columns."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)
    return rng.standard_normal((n, n_features)) + np.where(y, 0.3, -0.3)[:, None], y


# --- shares ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_labels_by_share_solve_the_transport_problem(n_classes):
    rng = np.random.default_rng(n_classes)
    proba = rng.dirichlet(np.full(n_classes, 0.7), 120)
    counts = rng.multinomial(120, rng.dirichlet(np.full(n_classes, 3.0)))
    codes = label_by_share(proba, counts / 120)
    assert np.abs(np.bincount(codes, minlength=n_classes) - counts).max() <= 3
    columns = np.repeat(np.arange(n_classes), np.bincount(codes, minlength=n_classes))
    rows, places = linear_sum_assignment(np.log(proba)[:, columns], maximize=True)
    best = np.log(proba)[rows, columns[places]].sum()
    np.testing.assert_allclose(np.log(proba)[np.arange(120), codes].sum(), best, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0])
def test_labels_by_share_of_models_that_are_hardly_or_all_too_sure(scale):
    z = scale * (np.random.default_rng(0).standard_normal(200) + 2)
    proba = expit(np.column_stack([-z, z]))
    codes = label_by_share(proba, np.array([0.25, 0.75]))
    assert abs(codes.sum() - 150) <= 2
    if scale < 300:  # beyond that probabilities round to 1
        assert z[codes == 1].min() > z[codes == 0].max()


def test_labels_are_as_predicted_where_shares_are_within_their_slack():
    proba = np.random.default_rng(0).dirichlet([3, 2, 1], 300)
    predicted = np.bincount(proba.argmax(1)) / 300
    off = np.array([0.04, -0.03, -0.01])
    inside = label_by_share(proba, predicted + off, np.full(3, 0.05))
    np.testing.assert_array_equal(inside, proba.argmax(1))
    beyond = label_by_share(proba, predicted + 4 * off, np.full(3, 0.05))
    distance = np.abs(np.bincount(beyond) / 300 - predicted - 4 * off)
    assert distance.max() < 0.05 + 2 / 300
    assert distance[0] > 0.05 - 2 / 300  # no nearer than it must


def test_labels_by_share_give_no_row_to_a_class_of_share_0():
    proba = np.random.default_rng(0).dirichlet(np.ones(3), 50)
    assert set(label_by_share(proba, np.array([0.5, 0.0, 0.5]))) == {0, 2}


# --- rounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("class_shares", ["labelled", [0.3, 0.7], None])
def test_rounds_by_hand(sparse, class_shares):
    X, y = two_groups(80)
    source = as_source(*two_groups(60, seed=1))
    rows = csr_array(X) if sparse else X
    weight = np.random.default_rng(0).uniform(0.5, 2, 30)
    est = SelfTraining(LINEAR, max_rounds=2, unlabeled_weight=0.5, class_shares=class_shares)
    est.fit(rows[:30], y[:30], weight, X_unlabeled=rows[30:], **source)

    model = clone(LINEAR).fit(X[:30], y[:30], weight, **source)
    shares, slack = np.array([0.3, 0.7]), np.zeros(2)
    if class_shares == "labelled":
        shares = np.bincount(y[:30], weight) / weight.sum()
        slack = np.sqrt(shares * (1 - shares) * (weight**2).sum()) / weight.sum()
    for _ in range(est.n_rounds_):
        p = model.predict_proba(X[30:])
        codes = p.argmax(1) if class_shares is None else label_by_share(p, shares, slack)
        weights = np.append(weight, np.full(50, 0.5 * weight.sum() / 50))
        model.fit(X, np.append(y[:30], codes), weights, **source)
    assert 1 <= est.n_rounds_ <= 2
    np.testing.assert_array_equal(est.transduction_, np.append(y[:30], codes))
    np.testing.assert_allclose(est.predict_proba(rows), model.predict_proba(X), rtol=1e-4)


def test_holes_in_y_are_unlabelled_rows():
    X, y = two_groups(80)
    holes = y.astype(float)
    holes[30:] = np.nan
    one = SelfTraining(LINEAR).fit(X[:30], y[:30], X_unlabeled=X[30:])
    other = SelfTraining(LINEAR).fit(X, holes)
    np.testing.assert_array_equal(theta_of(one.estimator_), theta_of(other.estimator_))
    both = SelfTraining(LINEAR).fit(X[:60], holes[:60], X_unlabeled=X[60:])
    np.testing.assert_array_equal(theta_of(one.estimator_), theta_of(both.estimator_))
    marked = SelfTraining(clone(LINEAR).set_params(missing_label=-1))
    marked.fit(X, np.where(np.arange(80) < 30, y, -1))
    np.testing.assert_array_equal(marked.classes_, [0, 1])
    np.testing.assert_array_equal(theta_of(one.estimator_), theta_of(marked.estimator_))


def test_it_ends_when_labels_stay_and_does_nothing_without_unlabelled_rows():
    X, y = two_groups(200)
    settled = SelfTraining(LINEAR, max_rounds=100).fit(X[:50], y[:50], X_unlabeled=X[50:])
    assert settled.n_rounds_ < 30
    model = settled.estimator_
    shares = np.bincount(y[:50]) / 50
    slack = np.sqrt(shares * (1 - shares) / 50)
    codes = label_by_share(model.predict_proba(X[50:]), shares, slack)
    np.testing.assert_array_equal(settled.transduction_[50:], codes)
    plain = SelfTraining(LINEAR).fit(X[:50], y[:50])
    assert plain.n_rounds_ == 0
    np.testing.assert_array_equal(plain.transduction_, y[:50])
    np.testing.assert_array_equal(
        theta_of(plain.estimator_), theta_of(clone(LINEAR).fit(X[:50], y[:50]))
    )


@pytest.mark.parametrize("strategy", ["joint", "finetune", "pooled", "target_only"])
def test_labels_of_any_kind_with_any_strategy(strategy):
    X, y = blobs(120)
    names = np.array(["ant", "bee", "cat"])
    X_source, y_source = source_of().values()
    wasps = np.arange(80) < 10
    source = as_source(
        X_source[0] + 10 * wasps[:, None], np.where(wasps, "wasp", names[y_source[0]])
    )
    model = TransferClassifier(**QUICK, strategy=strategy, share_head=True)
    model.set_params(learning_rate_init=0.1)
    frame = pd.DataFrame(X, columns=list("abcd"))
    est = SelfTraining(model).fit(frame[:20], names[y[:20]], X_unlabeled=frame[20:80], **source)
    assert set(est.transduction_) == set(names)  # "wasp" is not a class of the target
    assert set(est.classes_) >= set(names)
    assert est.predict_proba(frame[80:]).shape == (40, est.classes_.size)
    assert est.score(frame[80:], names[y[80:]]) > 0.8
    np.testing.assert_array_equal(est.feature_names_in_, list("abcd"))


# --- what it is good for --------------------------------------------------------------------------


def test_unlabelled_rows_help_where_they_fall_into_groups():
    gains = []
    for seed in range(5):
        X, y = two_groups(500, seed)
        X_source, y_source = two_groups(60, 100 + seed)
        X_source[:, ::2] *= -1  # half of the columns mislead
        few = [*np.flatnonzero(y == 0)[:4], *np.flatnonzero(y == 1)[:4]]
        source, rest = as_source(X_source, y_source), np.setdiff1d(np.arange(300), few)
        alone = clone(LINEAR).set_params(alpha=0.1)
        both = SelfTraining(alone, class_shares=[0.5, 0.5]).fit(
            X[few], y[few], X_unlabeled=X[rest], **source
        )
        alone.fit(X[few], y[few], **source)
        gains.append(both.score(X[300:], y[300:]) - alone.score(X[300:], y[300:]))
    assert np.mean(gains) > 0.05
    assert min(gains) > 0


def test_known_shares_help_where_labels_were_drawn_alike_from_each_class():
    X, y = two_groups(600, share=0.2)
    few = [*np.flatnonzero(y == 0)[:5], *np.flatnonzero(y == 1)[:5]]
    rest = np.setdiff1d(np.arange(300), few)
    model = clone(LINEAR).set_params(class_weight="balanced")
    scores = [
        SelfTraining(model, class_shares=shares)
        .fit(X[few], y[few], X_unlabeled=X[rest])
        .score(X[300:], y[300:])
        for shares in ([0.5, 0.5], [0.8, 0.2])
    ]
    assert scores[1] > scores[0] + 0.05
    assert scores[1] > model.fit(X[few], y[few]).score(X[300:], y[300:])


# --- in scikit-learn's hands ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", [TransferClassifier(random_state=0), LINEAR], ids=["net", "linear"]
)
def test_check_estimator(model):
    estimator = SelfTraining(model)
    results = check_estimator(estimator, on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    check_param_validation("SelfTraining", estimator)
    check_dataframe_column_names_consistency("SelfTraining", estimator)


@pytest.mark.parametrize("routing", [False, True])
def test_grid_search(routing):
    X, y = two_groups(200)
    source = as_source(*two_groups(60, seed=1))
    grid = {"unlabeled_weight": [0.1, 1.0], "estimator__lam": [1.0, 10.0]}
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(SelfTraining(LINEAR), grid, cv=3)
        search.fit(X[:30], y[:30], X_unlabeled=X[30:], **source)
    best = search.best_estimator_
    assert best.transduction_.size == 200
    assert best.n_rounds_ >= 1
    again = clone(best).fit(X[:30], y[:30], X_unlabeled=X[30:], **source)
    np.testing.assert_array_equal(theta_of(best.estimator_), theta_of(again.estimator_))


def test_pickle_and_untouched_arguments():
    X, y = two_groups(80)
    holes = np.where(np.arange(80) < 30, y, np.nan)
    est, weight = SelfTraining(LINEAR, class_shares=[0.5, 0.5]), np.ones(80)
    before = digest([X, holes, weight, est.get_params()])
    est.fit(X, holes, weight)
    assert digest([X, holes, weight, est.get_params()]) == before
    copy = pickle.loads(pickle.dumps(est))
    np.testing.assert_array_equal(copy.predict(X), est.predict(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"class_shares": [0.5, 0.6]}, r"class_shares must be 2 numbers .* sum to 1"),
        ({"class_shares": [0.2, 0.3, 0.5]}, r"classes \[0, 1\]. Got \[0.2, 0.3, 0.5\]"),
        ({"class_shares": [1.5, -0.5]}, "numbers >= 0"),
        ({"class_shares": "even"}, "'class_shares' parameter of SelfTraining"),
        ({"unlabeled_weight": 0}, "'unlabeled_weight' parameter of SelfTraining"),
        ({"estimator__strategy": "source_only"}, "strategy='source_only' learns nothing"),
    ],
)
def test_parameters_that_cannot_be(parameters, message):
    X, y = two_groups(40)
    est = SelfTraining(clone(LINEAR)).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        est.fit(X[:20], y[:20], X_unlabeled=X[20:], **as_source(X, y))


def test_data_that_cannot_be():
    X, y = two_groups(40)
    with pytest.raises(ValueError, match="X has 7 features, but SelfTraining"):
        SelfTraining(LINEAR).fit(X, y, X_unlabeled=X[:, :7])
    with pytest.raises(ValueError, match="y has no label"):
        SelfTraining(LINEAR).fit(X, np.full(40, np.nan))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SelfTraining(LINEAR).fit(X, y[:20], X_unlabeled=X)
    with pytest.raises(ValueError, match="one target task"):
        SelfTraining(LINEAR).fit(X, np.column_stack([y, y]), X_unlabeled=X)
