"""Regressors: scikit-learn's checks, equivalences, units of targets, missing numbers."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import PoissonRegressor, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    check_param_validation,
)
from tables import QUICK, digest, theta_of

from skmtl import (
    MultiTaskClassifier,
    MultiTaskRegressor,
    TransferRegressor,
    as_source,
    make_transfer_pipeline,
    stack_tasks,
)
from skmtl._compat import CallbackMixin
from skmtl.metrics import make_task_scorer, mean_task_r2, task_scores
from skmtl.model_selection import MultiTaskKFold
from skmtl.plugins.losses import Huber, LogLoss, Pinball

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LINEAR = {"hidden_layer_sizes": (), "solver": "lbfgs", "max_iter": 2000, "tol": 1e-9}
LINEAR["random_state"] = 0


def numbers(n=60, n_tasks=2, missing=0.0, seed=0, shift=0.0, dtype=np.float64):
    """Rows, and numbers of very different sizes that depend on them, with holes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4)) + shift
    w = np.random.default_rng(99).standard_normal((4, n_tasks))
    y = np.tanh(X @ w) + X @ w + 0.1 * rng.standard_normal((n, n_tasks))
    y = y * 10.0 ** (3 - 5 * np.arange(n_tasks)) + 5000.0 * (np.arange(n_tasks) == 0)
    y[rng.random(y.shape) < missing] = np.nan
    return X.astype(dtype), y


def source(n=80, seed=5, shift=0.3):
    X, y = numbers(n, seed=seed, shift=shift)
    return as_source(X, 1.1 * y[:, 0])


def assert_near(got, want, tolerance=1e-3):
    """As near as L-BFGS comes to the minimum, in standard deviations."""
    assert np.abs(got - want).max() < tolerance * np.std(want)


def target(n=30):
    X, y = numbers(n)
    return X, y[:, 0]


def fit_args(estimator):
    if isinstance(estimator, MultiTaskRegressor):
        return (*numbers(missing=0.2), {})
    return (*target(), source())


BOTH = pytest.mark.parametrize("kind", [MultiTaskRegressor, TransferRegressor])

# --- scikit-learn's own checks -------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        MultiTaskRegressor(),
        MultiTaskRegressor((), solver="lbfgs", sharing="none"),
        MultiTaskRegressor(sharing="pooled", scale_targets=False),
        TransferRegressor(),
        TransferRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0.01),
        TransferRegressor(strategy="finetune", share_head=False, standardize="per_domain"),
    ],
    ids=repr,
)
def test_check_estimator(estimator):
    results = check_estimator(estimator, on_skip=None)
    statuses = [result["status"] for result in results]
    assert set(statuses) <= {"passed", "skipped"}  # no failure, expected or not
    assert statuses.count("passed") > 50


@BOTH
def test_checks_that_scikit_learn_keeps_to_itself(kind):
    check_param_validation(kind.__name__, kind())
    check_dataframe_column_names_consistency(kind.__name__, kind())


@BOTH
def test_clone_pickle_and_untouched_arguments(kind):
    estimator = kind(**QUICK)
    X, y, keywords = fit_args(estimator)
    before = digest([X, y, keywords, estimator.get_params()])
    estimator.fit(X, y, **keywords)
    assert digest([X, y, keywords, estimator.get_params()]) == before
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.predict(X), estimator.predict(X))
    again = clone(estimator).fit(X, y, **keywords)
    np.testing.assert_array_equal(theta_of(again), theta_of(estimator))


@BOTH
def test_sparse_rows_are_dense_rows(kind):
    estimator = kind(**QUICK, batch_size=9)
    X, y, keywords = fit_args(estimator)
    X = np.where(np.abs(X) < 0.7, 0, X)
    dense, sparse = (
        clone(estimator).fit(X, y, **keywords),
        estimator.fit(csr_array(X), y, **keywords),
    )
    np.testing.assert_allclose(sparse.predict(csr_array(X)), dense.predict(X), rtol=1e-9)


def test_in_pipelines_and_searches():
    X, y = numbers(missing=0.2)
    pipeline = make_pipeline(StandardScaler(), MultiTaskRegressor(**LINEAR))
    search = GridSearchCV(pipeline, {"multitaskregressor__lam": [1e-3, 100.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"multitaskregressor__lam": 1e-3}
    assert search.score(X, y) > 0.8
    folds = MultiTaskKFold(3, random_state=0)
    scorer = make_task_scorer("r2")
    scores = cross_val_score(pipeline, X, y, cv=folds, scoring=scorer)
    np.testing.assert_allclose(scores, cross_val_score(pipeline, X, y, cv=folds))


def test_transfer_in_a_pipeline():
    import sklearn

    X, y = target()
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_transfer_pipeline(StandardScaler(), TransferRegressor(**LINEAR))
        search = GridSearchCV(pipeline, {"transferregressor__lam": [0.1, 1.0]}, cv=3)
        search.fit(X, y, **source())
    assert search.score(X, y) > 0.8


# --- equivalences --------------------------------------------------------------------------------


class StartingFrom(MLPRegressor):
    """An MLPRegressor with given initial weights."""

    def _init_coef(self, fan_in, fan_out, dtype):
        weight, bias = next(START)
        assert weight.shape == (fan_in, fan_out)
        return weight.astype(dtype), bias.astype(dtype)


START = iter([])


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_same_steps_as_scikit_learn(activation, solver):
    global START
    X, y = target(60)
    y = (y - y.mean()) / y.std()
    options = {"max_iter": 40, "tol": 0.0, "activation": activation, "solver": solver}
    reg = MultiTaskRegressor((6, 5), lam=0.6 / 60, random_state=0, **options)
    still = {"max_iter": 1, "learning_rate_init": 1e-300, "solver": "sgd"}
    start = clone(reg).set_params(**still).fit(X, y)
    layers = zip(start.coefs_, start.intercepts_), zip(*start.head_coefs_, *start.head_intercepts_)
    START = iter([pair for part in layers for pair in part])
    mlp = StartingFrom(hidden_layer_sizes=(6, 5), alpha=0.6, **options).fit(X, y)
    # Standardized numbers are learned as they are; so are others, in their units.
    for factor, offset in [(1.0, 0.0), (300.0, 5000.0)]:
        reg.fit(X, factor * y + offset)
        assert reg.n_iter_ == mlp.n_iter_
        got = (reg.predict(X) - offset) / factor
        np.testing.assert_allclose(got, mlp.predict(X), rtol=1e-5, atol=1e-6)
    if solver != "lbfgs":
        np.testing.assert_allclose(reg.loss_curve_, mlp.loss_curve_, rtol=1e-8)


@pytest.mark.parametrize("scale_targets", [True, False])
def test_a_linear_model_with_l2_is_ridge(scale_targets):
    X, y = numbers(missing=0.2)
    y[:, 0] -= 5000  # the start is at 0
    weight = np.random.default_rng(0).uniform(0.5, 2, 60)
    for t in range(2):
        there = ~np.isnan(y[:, t])
        y_t = y[there, t] / (1.0 if scale_targets else np.std(y[there, t]))
        reg = MultiTaskRegressor(lam=0.1, scale_targets=scale_targets, **LINEAR)
        reg.fit(X[there], y_t, sample_weight=weight[there])
        ridge = Ridge(alpha=0.1 * weight[there].sum()).fit(X[there], y_t, weight[there])
        assert_near(reg.predict(X), ridge.predict(X))


def test_poisson_is_scikit_learns():
    X, _ = numbers(200)
    y = np.random.default_rng(0).poisson(np.exp(3 + X @ [0.5, 0.2, 0.0, -0.3]))
    ours = MultiTaskRegressor(loss="poisson", lam=1e-9, **LINEAR).fit(X, y)
    theirs = PoissonRegressor(alpha=0, tol=1e-9, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-3)
    assert ours.y_offset_ == 0
    assert ours.y_scale_ == y.mean()


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_pinball_covers_its_quantile(quantile):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 1))
    y = 1000 + 300 * X[:, 0] + 50 * rng.standard_normal(2000)
    options = {"learning_rate_init": 0.02, "max_iter": 60, "random_state": 0}
    reg = MultiTaskRegressor((), loss=Pinball(quantile), lam=0.0, **options).fit(X, y)
    assert abs(np.mean(y < reg.predict(X)) - quantile) < 0.02


def test_huber_is_not_led_by_outliers():
    X, y = target(60)
    y_spoilt = y.copy()
    y_spoilt[:3] += 1e5
    fits = {
        loss: MultiTaskRegressor(loss=plugin, **LINEAR).fit(X, y_spoilt).predict(X)
        for loss, plugin in [("huber", Huber(0.1)), ("squares", "squared_error")]
    }
    assert r2_score(y[3:], fits["huber"][3:]) > 0.8
    assert r2_score(y[3:], fits["squares"][3:]) < 0.5


@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_missing_numbers_are_absent_rows(sharing):
    """Of a linear model, whose tasks have nothing in common."""
    X, y = numbers(missing=0.3)
    reg = MultiTaskRegressor(sharing=sharing, lam=0.05, **LINEAR)
    together = clone(reg).fit(X, y).predict(X)
    for t in range(2):
        there = ~np.isnan(y[:, t])
        alone = clone(reg).fit(X[there], y[there, t]).predict(X)
        assert_near(together[:, t], alone)


@BOTH
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_zero_weight_is_a_removed_row(kind, solver):
    estimator = kind(**QUICK, solver=solver, batch_size=7)
    X, y, keywords = fit_args(estimator)
    keep = np.random.default_rng(1).random(len(X)) < 0.8
    weight = np.random.default_rng(2).uniform(0.5, 2, len(X))
    one = theta_of(clone(estimator).fit(X, y, weight * keep, **keywords))
    other = theta_of(clone(estimator).fit(X[keep], y[keep], weight[keep], **keywords))
    np.testing.assert_array_equal(one, other)


def test_label_weights_of_zero_are_missing_numbers():
    X, y = numbers()
    weight = (np.random.default_rng(3).random(y.shape) < 0.7).astype(float)
    reg = MultiTaskRegressor(**QUICK)
    one = clone(reg).fit(X, y, label_weight=weight)
    other = clone(reg).fit(X, np.where(weight > 0, y, np.nan))
    np.testing.assert_array_equal(theta_of(one), theta_of(other))
    np.testing.assert_array_equal(one.y_scale_, other.y_scale_)


# --- y, its holes and units ----------------------------------------------------------------------


def test_each_task_is_learned_in_its_own_units():
    X, y = numbers(300, missing=0.2)
    reg = MultiTaskRegressor(learning_rate_init=0.01, random_state=0).fit(X, y)
    np.testing.assert_allclose(reg.y_offset_, np.nanmean(y, axis=0))
    np.testing.assert_allclose(reg.y_scale_, np.nanstd(y, axis=0))
    assert min(task_scores(reg, X, y, scoring="r2")) > 0.95
    as_is = clone(reg).set_params(scale_targets=False).fit(X, y)
    assert min(task_scores(as_is, X, y, scoring="r2")) < 0  # the large task swamps the small one
    np.testing.assert_array_equal([as_is.y_offset_, as_is.y_scale_], [[0, 0], [1, 1]])


@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_task_views(sharing):
    X, y = numbers(missing=0.2)
    reg = MultiTaskRegressor(**QUICK, sharing=sharing).fit(X, y)
    for t in range(2):
        view, there = reg.task(t), ~np.isnan(y[:, t])
        assert is_regressor(view)
        assert clone(view) is view
        np.testing.assert_array_equal(view.predict(X), reg.predict(X)[:, t])
        want = r2_score(y[there, t], reg.predict(X)[there, t])
        assert view.score(X[there], y[there, t]) == want
        assert task_scores(view, X, y[:, t], scoring="r2") == [want]
    with pytest.raises(ValueError, match="There is no task 2: there are 2, numbered from 0"):
        reg.task(2)


def test_pooled_tasks_have_one_head_and_one_unit():
    X, y = numbers()
    y[:, 1] = y[:, 0] + 100
    y[::2, 0] = y[1::2, 1] = np.nan
    reg = MultiTaskRegressor(**QUICK, sharing="pooled").fit(X, y)
    predicted = reg.predict(X)
    np.testing.assert_array_equal(predicted[:, 0], predicted[:, 1])
    np.testing.assert_allclose(reg.y_offset_, [np.nanmean(y)] * 2)


@pytest.mark.parametrize("y", [np.full(20, 7.5), np.full(20, 1e6 / 3), np.zeros(20)])
def test_a_constant_is_learned(y):
    X, _ = numbers(20)
    reg = MultiTaskRegressor(**LINEAR).fit(X, y)
    np.testing.assert_allclose(reg.predict(X), y, atol=1e-3)
    assert reg.y_scale_ == 1


@pytest.mark.parametrize("package", ["pandas", "polars", "list", "masked", "marker", "object"])
def test_holes_in_any_container(package):
    X, y = numbers(missing=0.2)
    want = MultiTaskRegressor(**QUICK).fit(X, y)
    holes, missing_label = np.isnan(y), np.nan
    rows = [[None if h else v for v, h in zip(*both)] for both in zip(y.tolist(), holes)]
    if package == "pandas":
        pd = pytest.importorskip("pandas")
        Y = pd.DataFrame(rows, columns=["large", "small"]).astype({"large": "Float64"})
    elif package == "polars":
        Y = pytest.importorskip("polars").DataFrame(rows, schema=["large", "small"], orient="row")
    elif package == "list":
        Y = rows
    elif package == "object":
        Y = np.array(rows, object)
    elif package == "masked":
        Y = np.ma.MaskedArray(np.where(holes, 3.0, y), holes)
    else:
        Y, missing_label = np.where(holes, -1e9, y), -1e9
    got = MultiTaskRegressor(**QUICK, missing_label=missing_label).fit(X, Y)
    np.testing.assert_array_equal(theta_of(got), theta_of(want))
    named = package in ("pandas", "polars")
    assert got.task_names_ is None or got.task_names_.tolist() == ["large", "small"]
    assert (got.task_names_ is not None) == named
    assert got.score(X, Y) == want.score(X, y)


def test_rows_that_name_their_task():
    X, y = numbers()
    task = np.where(np.arange(60) % 3 == 0, "b", "a")
    wide = np.where(task[:, None] == ["a", "b"], y[:, :1], np.nan)
    long = MultiTaskRegressor(**QUICK).fit(X, y[:, 0], task=task)
    np.testing.assert_array_equal(
        theta_of(long), theta_of(MultiTaskRegressor(**QUICK).fit(X, wide))
    )
    assert long.task_names_.tolist() == ["a", "b"]
    assert long.predict(X).shape == (60, 2)


def test_bad_input_is_named():
    X, y = numbers()
    for estimator, args, message in [
        (
            MultiTaskRegressor(loss="log_loss"),
            (X, y),
            "'loss' parameter of MultiTaskRegressor.*num",
        ),
        (
            TransferRegressor(loss=LogLoss()),
            target(),
            "'loss' parameter of TransferRegressor.*numb",
        ),
        (MultiTaskClassifier(loss="huber"), (X, y > 0), "must be a loss on classes.*on numbers"),
        (MultiTaskRegressor(loss="poisson"), (X, -np.abs(y)), "Poisson needs targets from 0"),
        (MultiTaskRegressor(), (X, [["a", 1.0]] * 60), "must hold numbers.*'a'.*task 0"),
        (MultiTaskRegressor(), (X, np.where(y > 0, np.inf, y)), "contains infinity.*task 0"),
        (MultiTaskRegressor(), (X, np.column_stack([y, y * np.nan])), "No label.*task 2"),
        (TransferRegressor(), (X, y), "must be 1-D.*2 columns. MultiTaskRegressor"),
        (MultiTaskRegressor(scale_targets="yes"), (X, y), "'scale_targets' parameter"),
    ]:
        with pytest.raises(ValueError, match=message):
            estimator.fit(*args)
        assert not hasattr(estimator, "n_iter_")
    with pytest.raises(ValueError, match=r"y must be 1-D with task=, got shape \(60, 2\)"):
        MultiTaskRegressor(**QUICK).fit(X, y, task=np.arange(60) % 2)
    with pytest.raises(ValueError, match="task must be known"):
        MultiTaskRegressor(**QUICK).fit(X, y[:, 0], task=[None, *range(59)])
    with pytest.raises(ValueError, match="compares classes"):
        TransferRegressor(**QUICK, map_penalty="conditional_mmd").fit(*target(), **source())
    reg = MultiTaskRegressor(**QUICK).fit(X, y)
    with pytest.raises(ValueError, match="y has 1 columns; this MultiTaskRegressor predicts 2"):
        reg.score(X, y[:, 0])


def test_r2_of_tasks_with_holes():
    y, predicted = numbers(missing=0.3)[1], numbers(seed=3)[1]
    weight = np.random.default_rng(0).random(60)
    want = [
        r2_score(y[there, t], predicted[there, t], sample_weight=weight[there])
        for t, there in enumerate(~np.isnan(y).T)
    ]
    np.testing.assert_allclose(mean_task_r2(y, predicted, weight), np.mean(want))
    y[1:, 1] = np.nan  # one number has no R2
    np.testing.assert_allclose(mean_task_r2(y, predicted, weight), want[0])
    assert mean_task_r2(np.ones((3, 1)), np.ones((3, 1))) == 1
    assert mean_task_r2(np.ones((3, 1)), np.zeros((3, 1))) == 0


# --- training ------------------------------------------------------------------------------------


@BOTH
def test_early_stopping_watches_r2(kind):
    estimator = kind(**{**QUICK, "max_iter": 60}, early_stopping=True, learning_rate_init=0.02)
    X, y, keywords = fit_args(estimator)
    X_val, y_val = numbers(40, seed=7)
    y_val = y_val if y.ndim == 2 else y_val[:, 0]
    estimator.fit(X, y, **keywords, X_val=X_val, y_val=y_val)
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    np.testing.assert_allclose(estimator.score(X_val, y_val), estimator.best_validation_score_)
    assert len(clone(estimator).fit(X, y, **keywords).validation_scores_) > 1


@BOTH
def test_partial_fit_and_warm_start_keep_the_units(kind):
    estimator = kind(**QUICK)
    X, y, keywords = fit_args(estimator)
    fitted = clone(estimator).set_params(warm_start=True).fit(X, y, **keywords)
    units = fitted.y_offset_, fitted.y_scale_
    estimator.partial_fit(X, y, **keywords)
    np.testing.assert_array_equal(units, (estimator.y_offset_, estimator.y_scale_))
    for go_on in (fitted.fit, estimator.partial_fit):
        go_on(X, 2 * y, **keywords)
    np.testing.assert_array_equal(units, (fitted.y_offset_, fitted.y_scale_))
    np.testing.assert_array_equal(units, (estimator.y_offset_, estimator.y_scale_))
    copy = pickle.loads(pickle.dumps(estimator))
    one, other = (theta_of(e.partial_fit(X, y, **keywords)) for e in (copy, estimator))
    np.testing.assert_array_equal(one, other)


class Scores:
    """A callback that keeps the score after each epoch."""

    def __init__(self):
        self.scores = []

    def setup(self, estimator, context):
        pass

    teardown = setup

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.scores.append(fitted_estimator.score(X, y))


@pytest.mark.skipif(
    not hasattr(CallbackMixin, "set_callbacks"), reason="scikit-learn < 1.9 has no callbacks"
)
@BOTH
def test_callbacks_see_models_in_the_units_of_y(kind):
    estimator, callback = kind(**{**QUICK, "max_iter": 3}), Scores()
    X, y, keywords = fit_args(estimator)
    estimator.set_callbacks(callback).fit(X, y, **keywords)
    quiet = clone(estimator).set_callbacks()
    want = [clone(quiet).set_params(max_iter=k).fit(X, y, **keywords) for k in (1, 2, 3, 3)]
    assert callback.scores == [model.score(X, y) for model in want]


def test_float32_rows_give_exact_units():
    X, y = numbers(dtype=np.float32)
    reg = MultiTaskRegressor(**QUICK).fit(X, y[:, 0] + 1e9)
    assert reg.predict(X).dtype == np.float64
    assert theta_of(reg).dtype == np.float32
    near = MultiTaskRegressor(**QUICK).fit(X, y[:, 0])
    np.testing.assert_allclose(reg.predict(X) - 1e9, near.predict(X), rtol=1e-4)


# --- transfer ------------------------------------------------------------------------------------


def test_one_head_has_one_unit():
    X, y = target()
    (X_s,), (y_s,) = source().values()
    joint = TransferRegressor(**QUICK).fit(X, y, **as_source(X_s, y_s))
    np.testing.assert_allclose(joint.y_offset_, np.mean([*y, *y_s]))
    np.testing.assert_allclose(joint.y_scale_, np.std([*y, *y_s]))
    for strategy, want in [("source_only", y_s), ("target_only", y), ("finetune", y_s)]:
        reg = TransferRegressor(**QUICK, strategy=strategy).fit(X, y, **as_source(X_s, y_s))
        np.testing.assert_allclose(reg.y_offset_, np.mean(want))
    apart = TransferRegressor(**QUICK, share_head=False).fit(X, y, **as_source(X_s, y_s))
    np.testing.assert_allclose(apart.y_offset_, np.mean(y))
    assert len(apart.head_coefs_) == 2


def test_pooled_is_a_fit_of_all_rows():
    X, y = target()
    (X_s,), (y_s,) = source().values()
    pooled = TransferRegressor(strategy="pooled", alpha=0.05, **LINEAR)
    pooled.fit(X, y, **as_source(X_s, y_s))
    one = MultiTaskRegressor(lam=0.05, **LINEAR).fit(np.vstack([X, X_s]), np.append(y, y_s))
    assert_near(pooled.predict(X), one.predict(X))


def test_two_domains_are_a_table_of_two_tasks():
    """Joint training with lam = 1 and separate heads is two tasks on stacked rows, J / 2."""
    X, y = target()
    (X_s,), (y_s,) = source().values()
    transfer = TransferRegressor(alpha=0.1, share_head=False, **LINEAR)
    transfer.fit(X, y, **as_source(X_s, y_s))
    rows, table = np.vstack([X, X_s]), np.full((110, 2), np.nan)
    table[:30, 0], table[30:, 1] = y, y_s
    tasks = MultiTaskRegressor(lam=0.2, **LINEAR).fit(rows, table)
    assert_near(transfer.predict(X), tasks.predict(X)[:, 0])


def test_lam_from_the_source_to_the_target():
    X, y = target()
    fits = {
        key: TransferRegressor(**QUICK, **parameters).fit(X, y, **source())
        for key, parameters in {
            "inf": {"lam": np.inf},
            "target": {"strategy": "target_only"},
            "0": {"lam": 0.0},
            "source": {"strategy": "source_only"},
        }.items()
    }
    np.testing.assert_array_equal(theta_of(fits["inf"]), theta_of(fits["target"]))
    np.testing.assert_array_equal(theta_of(fits["0"]), theta_of(fits["source"]))


@pytest.mark.parametrize("model", ["skmtl", "sklearn"])
def test_a_source_model_brings_its_head_and_units(model):
    X, y = target()
    (X_s,), (y_s,) = source().values()
    if model == "skmtl":
        first = MultiTaskRegressor(**QUICK).fit(X_s, y_s)
    else:
        first = MLPRegressor(hidden_layer_sizes=(8,), max_iter=15, random_state=0).fit(
            X_s, y_s / 1000
        )
        y = y / 1000
    reg = TransferRegressor(**QUICK, source_model=FrozenEstimator(first))
    still = clone(reg).set_params(max_iter=1, solver="sgd", learning_rate_init=1e-300).fit(X, y)
    np.testing.assert_allclose(still.predict(X), first.predict(X), rtol=1e-10)
    assert clone(reg).fit(X, y).score(X, y) > first.score(X, y)
    other_link = clone(reg).set_params(loss="poisson").fit(X, np.abs(y))
    np.testing.assert_allclose(other_link.y_scale_, np.mean(np.abs(y)))  # the trunk alone


def test_finetuning_is_two_fits():
    X, y = target()
    (X_s,), (y_s,) = source().values()
    options = {**QUICK, "solver": "lbfgs"}
    both = TransferRegressor(**options, strategy="finetune").fit(X, y, **as_source(X_s, y_s))
    first = TransferRegressor(**options, strategy="source_only").fit(X, y, **as_source(X_s, y_s))
    second = TransferRegressor(**options, source_model=first).fit(X, y)
    np.testing.assert_allclose(both.predict(X), second.predict(X), rtol=1e-9)


@pytest.mark.parametrize("feature_map", ["linear", "affine", "orthogonal"])
def test_feature_maps(feature_map):
    X, y = target()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reg = TransferRegressor(**QUICK, feature_map=feature_map).fit(X, y, **source())
    assert reg.map_source(source()["X_source"][0]).shape == (80, 4)


def test_stacked_data_sets_are_tasks():
    (X, y), ((X_s,), (y_s,)) = target(), source().values()
    X_both, Y = stack_tasks([(X, y), (X_s, y_s)])
    np.testing.assert_array_equal(Y[:30, 0], y)
    np.testing.assert_array_equal(Y[30:, 1], y_s)
    assert np.isnan(Y[30:, 0]).all()
    assert MultiTaskRegressor(**QUICK).fit(X_both, Y).predict(X).shape == (30, 2)
