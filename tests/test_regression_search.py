"""TransferRegressorCV and MultiTaskRegressorCV: what differs where labels are numbers."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from tables import QUICK, theta_of

from skmtl import (
    MultiTaskRegressor,
    MultiTaskRegressorCV,
    TransferClassifier,
    TransferRegressor,
    TransferRegressorCV,
    as_source,
    make_transfer_pipeline,
)
from skmtl.datasets import make_related_tasks, make_transfer_pair
from skmtl.metrics import make_task_scorer
from skmtl.report import LambdaMuDisplay
from skmtl.search.scores import HeldOutR2
from skmtl.search.verdict import describe_folds, gain_of_sharing, not_clearly_worse

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LINEAR = {"hidden_layer_sizes": (), "solver": "lbfgs", "random_state": 0}
ALPHAS = (0.01, 0.1, 1.0)


def pair_of(n=30, n_features=10, relatedness=0.95, seed=0):
    """X, y and the keywords of a source, with targets far from 0 and of a size of their own."""
    pair = make_transfer_pair(
        n, n_features, n_source_samples=200, relatedness=relatedness, noise=0.3, kind="regression",
        random_state=seed,
    )  # fmt: skip
    source = as_source(pair.X_source, 50 + 20 * pair.y_source)
    return pair.X, 50 + 20 * pair.y, source


def tasks_of(n=25, relatedness=0.95, missing=0.2, seed=0, sizes=(0.1, 1, 10, 100)):
    """X, and y with four tasks of very different sizes, and holes."""
    X, Y = make_related_tasks(
        n, 10, 4, relatedness=relatedness, noise=0.3, kind="regression", same_rows=True,
        missing=missing, random_state=seed, return_X_y=True,
    )  # fmt: skip
    return X, Y * sizes


def transfer_search(**parameters):
    estimator = parameters.pop("estimator", TransferRegressor(**QUICK))
    parameters = {"lams": (0.1, 1.0, 10.0), "cv": 3, "random_state": 0, **parameters}
    return TransferRegressorCV(estimator, **parameters)


def task_search(**parameters):
    estimator = parameters.pop("estimator", MultiTaskRegressor(**QUICK))
    parameters = {"lams": (1e-3, 1e-2, 1e-1), "cv": 3, "random_state": 0, **parameters}
    return MultiTaskRegressorCV(estimator, **parameters)


both = pytest.mark.parametrize(
    "search, data",
    [(transfer_search, pair_of), (task_search, lambda: (*tasks_of(), {}))],
    ids=["transfer", "tasks"],
)


@parametrize_with_checks([TransferRegressorCV(), MultiTaskRegressorCV(cv=2)])
def test_sklearn_contract(estimator, check):
    inner = estimator._default_estimator().set_params(max_iter=20, random_state=0)
    check(estimator.set_params(estimator=inner.set_params(solver="lbfgs")))


@pytest.mark.parametrize("search", [TransferRegressorCV(), MultiTaskRegressorCV()], ids=repr)
def test_they_are_regressors(search):
    assert is_regressor(search)
    assert not is_classifier(search)
    for name in ("predict_proba", "decision_function", "classes_"):
        assert not hasattr(search, name)


@both
def test_finished_candidates_score_as_fits_of_their_own(search, data):
    X, y, keywords = data()
    cv = list(KFold(3).split(X))
    search = search(cv=cv).fit(X, y, **keywords)
    results, n_checked = search.cv_results_, 0
    spread = np.nanvar(y, axis=0)
    inner = clone(search.estimator).set_params(
        random_state=np.random.RandomState(0).randint(np.iinfo(np.int32).max)
    )
    for c in np.flatnonzero(results["finished"]):
        for k, (train, test) in enumerate(cv):
            fitted = clone(inner).set_params(**results["params"][c])
            fitted.fit(X[train], y[train], **keywords)
            errors = np.nanmean((fitted.predict(X[test]) - y[test]) ** 2, axis=0) / spread
            assert results[f"split{k}_test_score"][c] == pytest.approx(1 - errors.mean())
            n_checked += 1
    assert n_checked >= 9
    assert search.scorer_name_ == "held-out R2"


@both
def test_the_refit_is_a_fit_of_the_chosen_candidate(search, data):
    X, y, keywords = data()
    search = search(n_jobs=2).fit(X, y, **keywords)
    again = clone(search.estimator).set_params(**search.best_params_).fit(X, y, **keywords)
    assert np.array_equal(theta_of(search.best_estimator_), theta_of(again))
    assert np.array_equal(search.predict(X), again.predict(X))
    assert search.score(X, y) == again.score(X, y)
    assert search.best_score_ == search.cv_results_["mean_test_score"][search.best_index_]


@both
def test_the_unit_of_the_numbers_is_of_no_account(search, data):
    X, y, keywords = data()
    one = search().fit(X, y, **keywords)
    if keywords:
        keywords["y_source"] = (2.0**10 * keywords["y_source"][0],)
    other = search().fit(X, 2.0**10 * y, **keywords)
    np.testing.assert_allclose(
        other.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"], rtol=1e-6
    )
    assert other.verdict_ == one.verdict_


# --- does it help? --------------------------------------------------------------------------------


def linear_search(**parameters):
    estimator = TransferRegressor(**LINEAR)
    return transfer_search(estimator=estimator, alphas=ALPHAS, cv=None, **parameters)


def linear_tasks():
    linear = {**LINEAR, "hidden_layer_sizes": (2,), "activation": "identity"}
    return task_search(estimator=MultiTaskRegressor(**linear))


def test_a_related_source_helps():
    X, y, source = pair_of(30, 20)
    search = linear_search().fit(X, y, **source)
    assert search.verdict_ == "helps"
    assert search.best_params_ == search.best_sharing_params_


@pytest.mark.parametrize("seed", range(3))
def test_an_unrelated_source_does_not(seed):
    X, y, source = pair_of(relatedness=0.0, seed=seed)
    search = linear_search().fit(X, y, **source)
    assert search.verdict_ in ("hurts", "no difference")
    assert search.best_params_["strategy"] == "target_only"


@pytest.mark.parametrize("seed", [1, 5])
def test_what_helps_as_much_with_shuffled_labels_makes_no_difference(seed):
    """With next to no penalty, R2 of the target alone is far below that beside any source."""
    X, y, source = pair_of(20, 20, seed=seed)
    source["y_source"] = (np.random.default_rng(seed).permutation(source["y_source"][0]),)
    linear = TransferRegressor(**LINEAR, alpha=1e-6)
    search = transfer_search(estimator=linear, lams=(0.1, 1, 10), cv=None).fit(X, y, **source)
    assert search.transfer_gain_.mean > 0.5
    assert search.transfer_gain_.is_beyond_error
    assert not search.placebo_gain_.is_beyond_error
    assert search.verdict_ == "no difference"


def test_related_tasks_help():
    search = linear_tasks().fit(*tasks_of(15, sizes=1))
    assert search.verdict_ == "helps"
    assert search.best_params_ == search.best_sharing_params_
    assert search.best_params_["sharing"] == "pooled"


def test_unrelated_tasks_do_not():
    search = linear_tasks().fit(*tasks_of(15, relatedness=0.0))
    assert search.verdict_ == "hurts"
    assert search.best_params_["sharing"] == "none"


def test_the_gain_counts_all_that_were_fitted_to_the_end():
    """The luck of the best of many is out of it if those that it beat are in it."""
    X, y, source = pair_of(12, relatedness=0.0)
    search = linear_search(lams=np.logspace(-1, 1, 9)).fit(X, y, **source)
    results = search.cv_results_
    assert results["finished"].all()
    assert set(search.gains_) == {"source_only", "pooled", "finetune", "joint"}
    scores = np.array([results[f"split{k}_test_score"] for k in range(20)]).T
    shares, folds = results["shares"], describe_folds(search._splits(y, y), 12)
    of_all = gain_of_sharing(scores[shares], scores[~shares], folds)
    assert search.transfer_gain_.mean == of_all.mean
    three = np.argsort(-scores[shares].mean(axis=1))[:3]
    assert of_all.mean < gain_of_sharing(scores[shares][three], scores[~shares], folds).mean


def test_of_penalties_that_are_as_good_the_largest_is_chosen():
    X, y, source = pair_of(9, relatedness=0.0)
    search = linear_search().fit(X, y, **source)
    assert search.best_params_["strategy"] == "target_only"
    results, folds = search.cv_results_, describe_folds(search._splits(y, y), 9)
    scores = np.array([results[f"split{k}_test_score"] for k in range(20)]).T
    alphas = np.array([params["alpha"] for params in results["params"]])
    chosen = search.best_params_, search.best_sharing_params_
    for shares, params in zip((~results["shares"], results["shares"]), chosen):
        near = not_clearly_worse(scores[shares], folds)
        assert near.sum() > 1
        assert params["alpha"] == alphas[shares][near].max()
        equal = near & (alphas[shares] == params["alpha"])
        best = results["mean_test_score"][shares][equal].max()
        assert results["mean_test_score"][results["params"].index(params)] == best


# --- folds and holes ------------------------------------------------------------------------------


@pytest.mark.parametrize("n, sizes", [(2, 20 * [1]), (3, 21 * [1]), (12, None), (1000, 5 * [200])])
def test_folds_are_not_stratified(n, sizes):
    codes = np.arange(n, dtype=float)
    splits = TransferRegressorCV(random_state=0)._splits(codes, codes)
    tested = [test for _, test in splits]
    assert [len(test) for test in tested] == (sizes or 4 * [3, 3, 2, 2, 2])
    n_folds = min(5, n)
    for first in range(0, len(splits), n_folds):
        repeat = np.concatenate(tested[first : first + n_folds])
        assert np.array_equal(np.sort(repeat), np.arange(n))
    again = TransferRegressorCV(random_state=0)._splits(codes, codes)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(splits, again))


@pytest.mark.parametrize("missing", [np.nan, -1.0])
def test_rows_without_number_are_in_every_training_fold(missing, monkeypatch):
    X, y, source = pair_of(24)
    y[::4] = missing
    estimator = TransferRegressor(**QUICK, missing_label=missing)
    trained, fitting = [], TransferRegressor._fitting

    def noted(self, X, y, *args, **kwargs):
        trained.append((len(y), np.count_nonzero(np.isnan(y) | (y == missing))))
        return fitting(self, X, y, *args, **kwargs)

    monkeypatch.setattr(TransferRegressor, "_fitting", noted)
    search = transfer_search(estimator=estimator, strategies=("joint",)).fit(X, y, **source)
    assert set(trained) == {(18, 6), (24, 6)}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_one_number_leaves_one_way_to_use_the_source():
    X, y, source = pair_of()
    y[1:] = np.nan
    search = transfer_search(cv=None).fit(X, y, **source)
    assert search.verdict_ is None
    assert search.cv_results_ is None
    assert "There is one number" in search.reason_
    assert search.best_params_["strategy"] == "finetune"


def test_one_task_shares_nothing():
    X, y, _ = pair_of()
    search = task_search().fit(X, y)
    assert search.verdict_ is None
    assert search.predict(X).shape == y.shape


def test_numbers_of_any_tasks_can_be_pooled():
    search = task_search().fit(*tasks_of())
    assert set(search.path_scores_) == {"pooled", "hard", "none"}
    assert search.predict(tasks_of()[0]).shape == (25, 4)


# --- the surface ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "n_sources, share_head, has_source_only",
    [(1, "auto", True), (1, False, True), (2, "auto", True), (2, False, False)],
)
def test_the_surface_has_its_ends(n_sources, share_head, has_source_only):
    X, y, source = pair_of()
    source = {name: n_sources * value for name, value in source.items()}
    estimator = TransferRegressor(**LINEAR, share_head=share_head)
    search = transfer_search(estimator=estimator).fit(X, y, **source)
    ends = {"target_only", "pooled", "finetune"} | ({"source_only"} if has_source_only else set())
    assert set(search.end_scores_) == ends
    assert search.path_scores_.shape == (3, 1)
    assert np.isfinite(search.path_scores_).all()


def test_without_source_there_is_nothing_to_search():
    X, y, _ = pair_of()
    search = transfer_search().fit(X, y)
    assert search.verdict_ is None
    assert "no source" in search.reason_


def test_the_picture():
    pytest.importorskip("matplotlib").use("agg")
    X, y, source = pair_of()
    search = transfer_search(estimator=TransferRegressor(**LINEAR)).fit(X, y, **source)
    display = LambdaMuDisplay.from_estimator(search)
    values = [*search.path_scores_.ravel()]
    values += [search.end_scores_[end] for end in ("source_only", "target_only")]
    assert np.array_equal(display.cells_.get_array(), values)
    assert display.colorbar_.ax.get_ylabel() == "held-out R2"


def test_nested_in_cross_validation_and_a_pipeline():
    X, y, source = pair_of()
    pipeline = make_transfer_pipeline(transfer_search(estimator=TransferRegressor(**LINEAR)))
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(pipeline, X, y, cv=3, params=source)
    assert scores.min() > 0.5


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters, spoil, match",
    [
        ({"lams": [0.0, 1.0]}, {}, r"lams must hold finite numbers > 0. Got \[0.0, 1.0\]"),
        ({"strategies": ("pooled",)}, {}, "strategies must hold some of"),
        ({"cv": 40}, {}, "n_splits=40"),
        ({}, {"y": np.full(30, np.nan)}, "y has no label.*TransferRegressor.*source_only"),
        ({}, {"y": np.array(30 * ["a"])}, "y must hold numbers to be regressed on. Got 'a'"),
        ({}, {"y": np.full(30, np.inf)}, "y contains infinity"),
        ({}, {"y": np.ones((30, 2))}, "TransferRegressor learns one target task: y must be 1-D"),
        (
            {},
            {"y_source": (np.array(200 * ["a"]),)},
            "y must hold numbers to be regressed on. Got 'a'",
        ),
        ({"estimator": TransferRegressor(loss="log_loss")}, {}, "must be a loss on numbers"),
        ({"estimator": TransferRegressor(loss="poisson")}, {"y": -np.ones(30)}, "from 0 on"),
    ],
    ids=lambda value: None,
)
def test_bad_input_is_named(parameters, spoil, match):
    X, y, source = pair_of()
    arguments = {"y": y, **source, **spoil}
    with pytest.raises(ValueError, match=match):
        transfer_search(**parameters).fit(X, **arguments)


@pytest.mark.parametrize(
    "search",
    [
        transfer_search(estimator=TransferClassifier()),
        transfer_search(estimator=LinearRegression()),
        task_search(estimator=TransferRegressor()),
    ],
)
def test_an_estimator_of_another_kind_is_refused(search):
    kind = type(search._default_estimator()).__name__
    with pytest.raises(
        TypeError, match=f"must be a {kind}. Got .*{type(search.estimator).__name__}"
    ):
        search.fit(*pair_of()[:2])


# --- the score ------------------------------------------------------------------------------------


def test_the_mean_over_folds_is_the_r2_of_all_held_out_predictions():
    X, y, _ = pair_of()
    estimator = TransferRegressor(**LINEAR)
    scores = cross_val_score(estimator, X, y, cv=5, scoring=HeldOutR2(y[:, np.newaxis]))
    assert scores.mean() == pytest.approx(r2_score(y, cross_val_predict(estimator, X, y, cv=5)))


def test_tasks_without_number_do_not_count():
    X, Y = tasks_of(missing=0.0)
    reg, Y_test = MultiTaskRegressor(**LINEAR).fit(X, Y), Y.copy()
    Y_test[:, 0], Y_test[::2, 1] = np.nan, np.nan
    errors = np.nanmean((reg.predict(X) - Y_test)[:, 1:] ** 2, axis=0) / Y.var(axis=0)[1:]
    assert HeldOutR2(Y)(reg, X, Y_test) == pytest.approx(1 - errors.mean())
    assert np.isnan(HeldOutR2(Y)(reg, X, np.full_like(Y, np.nan)))


def test_numbers_that_are_all_the_same_have_no_variance():
    X, y, _ = pair_of()
    reg = TransferRegressor(**LINEAR).fit(X, np.full(30, 5.0))
    score = HeldOutR2(np.full((30, 1), 5.0))
    assert score(reg, X, np.full(30, 5.0)) == pytest.approx(1, abs=1e-4)
    assert score(reg, X, np.full(30, 7.0)) == pytest.approx(-3, abs=1e-4)


def test_other_scores():
    X, y, source = pair_of()
    search = transfer_search(scoring="neg_mean_absolute_error").fit(X, y, **source)
    assert search.scorer_name_ == "neg_mean_absolute_error"
    assert search.score(X, y) == -np.abs(search.predict(X) - y).mean()
    X, Y = tasks_of()
    search = task_search(scoring=make_task_scorer("neg_median_absolute_error")).fit(X, Y)
    assert search.best_score_ < 0
