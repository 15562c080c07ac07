"""MultiTaskEstimator: classified and regressed tasks together."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    check_param_validation,
)
from tables import QUICK, digest, theta_of, wide

from skmtl import (
    MultiTaskClassifier,
    MultiTaskEstimator,
    MultiTaskRegressor,
    TransferClassifier,
    TransferRegressor,
)
from skmtl.engine.problem import Problem
from skmtl.metrics import (
    make_task_scorer,
    mean_task_accuracy,
    mean_task_r2,
    mean_task_score,
    task_scores,
)
from skmtl.model_selection import MultiTaskKFold
from skmtl.plugins.losses import Huber, LogLoss, MulticlassHinge, Pinball, SquaredError

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:y holds whole numbers"
)

C, R = "classification", "regression"
TYPES = [C, R, C, R]


def mixed(n=60, missing=0.3, seed=0):
    """X, and y with tasks of 3 classes, a number, 2 classes and a number, with holes."""
    X, classes = wide(n, seed=seed, missing=missing)
    rng = np.random.default_rng(seed)
    numbers = X @ np.random.default_rng(98).standard_normal((4, 2)) * [300, 0.01] + [5000, 0]
    numbers += 0.1 * numbers.std(axis=0) * rng.standard_normal(numbers.shape)
    numbers[rng.random(numbers.shape) < missing] = np.nan
    return X, np.column_stack([classes[:, 0], numbers[:, 0], classes[:, 1], numbers[:, 1]])


def quick(**parameters):
    return MultiTaskEstimator(**{**QUICK, "task_types": TYPES, **parameters})


def learned(**parameters):
    options = {"hidden_layer_sizes": (16,), "solver": "lbfgs", "lam": 1e-3, "max_iter": 300}
    return quick(**{**options, **parameters})


# --- scikit-learn's own checks -------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        MultiTaskEstimator(),
        MultiTaskEstimator((), task_types=R, solver="lbfgs", sharing="none"),
        MultiTaskEstimator(task_types=C, sharing="pooled"),
    ],
    ids=repr,
)
def test_check_estimator(estimator):
    results = check_estimator(estimator, on_skip=None)
    statuses = [result["status"] for result in results]
    assert set(statuses) <= {"passed", "skipped"}  # no failure, expected or not
    assert statuses.count("passed") > 40
    check_param_validation("MultiTaskEstimator", estimator)
    check_dataframe_column_names_consistency("MultiTaskEstimator", estimator)


def test_clone_pickle_and_untouched_arguments():
    X, y = mixed()
    losses = ["auto", Huber(), MulticlassHinge(), "auto"]
    estimator = quick(loss=losses, class_weight=["balanced", None, None, None])
    before = digest([X, y, estimator.get_params()])
    estimator.fit(X, y)
    assert digest([X, y, estimator.get_params()]) == before
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.predict(X), estimator.predict(X))
    again = clone(estimator).fit(X, y)
    np.testing.assert_array_equal(theta_of(again), theta_of(estimator))
    for task_types, kinds in [(TYPES, (0, 0)), ("auto", (0, 0)), (C, (1, 0)), (R, (0, 1))]:
        estimator.set_params(task_types=task_types)
        assert (is_classifier(estimator), is_regressor(estimator)) == kinds


def test_in_pipelines_and_searches():
    X, y = mixed()
    pipeline = make_pipeline(StandardScaler(), learned())
    grid = {"multitaskestimator__lam": [1e-3, 100.0], "multitaskestimator__loss": ["auto", "huber"]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_params_["multitaskestimator__lam"] == 1e-3
    assert search.score(X, y) > 0.9
    assert cross_val_score(pipeline, X, y, cv=3).min() > 0.6


# --- equivalences --------------------------------------------------------------------------------

SAME = {
    "adam": {"batch_size": 9},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"early_stopping": True, "max_iter": 40},
    "gram": {"weighting": "pcgrad"},
    "pooled": {"sharing": "pooled"},
    "none": {"sharing": "none"},
}


@pytest.mark.parametrize("options", SAME.values(), ids=SAME)
@pytest.mark.parametrize("n_tasks", [1, 3])
def test_of_classes_alone_it_is_the_classifier(options, n_tasks):
    X, y = wide()
    y = y if n_tasks > 1 else y[:, 0]
    keep = slice(None) if n_tasks > 1 else ~np.isnan(y)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    options = {**QUICK, **options, "class_weight": "balanced"}
    if n_tasks == 1 and options.get("sharing") == "pooled":
        options["sharing"] = "hard"
    one = MultiTaskClassifier(**options).fit(X, y, weight)
    other = MultiTaskEstimator(**options, task_types=C).fit(X, y, weight)
    np.testing.assert_array_equal(theta_of(other), theta_of(one))
    np.testing.assert_array_equal(other.predict(X), one.predict(X))
    assert other.predict(X).dtype == one.predict(X).dtype
    for name in ("predict_proba", "classes_"):
        got, want = (getattr(e, name) for e in (other, one))
        pair = (got(X), want(X)) if callable(got) else (got, want)
        np.testing.assert_array_equal(*map(np.hstack, pair))
    assert other.validation_scores_ == one.validation_scores_
    assert other.score(X[keep], y[keep]) == one.score(X[keep], y[keep])


@pytest.mark.parametrize("options", SAME.values(), ids=SAME)
@pytest.mark.parametrize("n_tasks", [1, 2])
def test_of_numbers_alone_it_is_the_regressor(options, n_tasks):
    X, y = mixed()
    y = y[:, [1, 3]] if n_tasks > 1 else y[:, 1]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    options = {**QUICK, **options, "loss": "huber"}
    one = MultiTaskRegressor(**options).fit(X, y, weight)
    other = MultiTaskEstimator(**options).fit(X, y, weight)  # by its dtype
    np.testing.assert_array_equal(theta_of(other), theta_of(one))
    np.testing.assert_array_equal(other.predict(X), one.predict(X))
    np.testing.assert_array_equal(other.y_scale_, one.y_scale_)
    assert other.validation_scores_ == one.validation_scores_
    assert other.score(X, y, weight) == one.score(X, y, weight)
    assert not hasattr(other, "predict_proba")


def test_of_a_linear_model_each_task_is_its_own():
    """Tasks of a linear model have nothing in common: those beside it do not matter."""
    X, y = mixed()
    linear = {"hidden_layer_sizes": (), "solver": "lbfgs", "lam": 0.05, "tol": 1e-9}
    linear |= {"max_iter": 2000, "random_state": 0}
    together = quick(**linear).fit(X, y)
    for t, kind in enumerate([MultiTaskClassifier, MultiTaskRegressor] * 2):
        there = ~np.isnan(y[:, t])
        alone = kind(**linear).fit(X[there], y[there, t])
        view = together.task(t)
        if kind is MultiTaskRegressor:
            gap = view.predict(X) - alone.predict(X)
            assert np.abs(gap).max() < 1e-3 * np.nanstd(y[:, t])
        else:
            np.testing.assert_allclose(view.predict_proba(X), alone.predict_proba(X), atol=1e-3)


def test_gradients_of_a_mixed_problem(monkeypatch):
    """Against central differences, with every loss in its own units, in float64."""
    problems = []
    build = Problem.__init__

    def kept(self, *args, **kwargs):
        build(self, *args, **kwargs)
        problems.append(self)

    monkeypatch.setattr(Problem, "__init__", kept)
    X, y = mixed()
    quick(loss=["focal", "huber", "auto", "auto"], activation="tanh", max_iter=1).fit(X, y)
    (problem,) = problems
    value, grad, losses = problem.objective()
    assert [type(task.loss).__name__ for task in problem.tasks] == [
        "FocalLoss",
        "Huber",
        "LogLoss",
        "SquaredError",
    ]
    assert (losses > 0).all()
    rng = np.random.default_rng(0)
    for _ in range(20):
        direction, step = rng.standard_normal(grad.size), 1e-6
        ends = [problem.objective(problem.theta + s * step * direction)[0] for s in (-1, 1)]
        slope = (ends[1] - ends[0]) / (2 * step)
        assert slope == pytest.approx(grad @ direction, rel=1e-6, abs=1e-8)


# --- what comes out ------------------------------------------------------------------------------


def test_predictions_hang_together():
    X, y = mixed(n=120)
    est = learned().fit(X, y)
    predicted, proba = est.predict(X), est.predict_proba(X)
    assert predicted.dtype == np.float64
    assert proba[1] is proba[3] is est.classes_[1] is est.classes_[3] is None
    scores = []
    for t, type_ in enumerate(TYPES):
        view, there = est.task(t), ~np.isnan(y[:, t])
        np.testing.assert_array_equal(view.predict(X), predicted[:, t])
        if type_ == C:
            assert is_classifier(view)
            np.testing.assert_array_equal(view.predict_proba(X), proba[t])
            np.testing.assert_array_equal(est.classes_[t][proba[t].argmax(axis=1)], predicted[:, t])
            scores.append(accuracy_score(y[there, t], predicted[there, t]))
        else:
            assert is_regressor(view)
            assert clone(view) is view.fit() is view
            scores.append(r2_score(y[there, t], predicted[there, t]))
        assert view.score(X[there], y[there, t]) == pytest.approx(scores[-1])
    assert min(scores) > 0.9
    assert est.score(X, y) == pytest.approx(np.mean(scores))
    np.testing.assert_allclose(est.y_offset_[[0, 2]], 0)
    np.testing.assert_allclose(est.y_scale_, [1, np.nanstd(y[:, 1]), 1, np.nanstd(y[:, 3])])
    assert est.task_types_ == TYPES
    # In their units losses are of one order at the start.
    start = est.set_params(solver="adam", max_iter=1, learning_rate_init=1e-300).fit(X, y)
    assert (np.abs(np.log(start.task_loss_curves_)) < 2).all()


def test_labels_that_are_no_numbers_keep_what_they_are():
    X, y = mixed()
    Y = y.astype(object)
    for t, names in ((0, ["a", "b", "c"]), (2, [False, True])):
        Y[:, t] = [None if np.isnan(v) else names[int(v)] for v in y[:, t]]
    est = quick(task_types="auto").fit(X, Y)
    assert est.task_types_ == TYPES
    np.testing.assert_array_equal(theta_of(est), theta_of(quick().fit(X, y)))
    predicted = est.predict(X)
    assert predicted.dtype == object
    assert [type(v) for v in predicted[0]] == [str, float, bool, float]
    assert est.score(X, Y) == quick().fit(X, y).score(X, y)


def test_a_task_of_classes_or_numbers_alone():
    X, y = mixed(missing=0)
    classes = quick(task_types=C).fit(X, y[:, 0])
    assert classes.predict(X).shape == (60,)
    assert classes.predict_proba(X).shape == (60, 3)
    numbers = classes.set_params(task_types=[R]).fit(X, y[:, 1])
    assert numbers.predict(X).shape == (60,)
    assert numbers.classes_ is None
    assert not hasattr(numbers, "predict_proba")


def test_a_class_of_no_use_is_wrong_and_text_is_no_number():
    X, y = mixed()
    est = quick().fit(X, y)
    other = y.copy()
    there = ~np.isnan(y[:, 0])
    other[there, 0] = 7
    right = np.mean(est.predict(X)[there, 0] == y[there, 0])
    assert est.score(X, other) == pytest.approx(est.score(X, y) - right / 4)
    text = y.astype(object)
    text[there, 0] = "a"
    with pytest.raises(TypeError, match="some labels are strings, and others are not"):
        est.score(X, text)
    with pytest.raises(ValueError, match="y has 2 columns, but there are 4 tasks"):
        est.score(X, y[:, :2])


@pytest.mark.parametrize("weighting", ["uncertainty", "geometric_mean", "pcgrad", "nash_mtl"])
def test_weightings(weighting):
    X, y = mixed(n=120)
    est = quick(weighting=weighting, max_iter=60, learning_rate_init=0.03).fit(X, y)
    assert est.score(X, y) > 0.8
    assert est.task_weights_path_.shape == (est.n_iter_, 4)


@pytest.mark.parametrize("sharing", ["none", "grouped", "cgc"])
def test_sharing_and_sparse_rows(sharing):
    X, y = mixed()
    X = np.where(np.abs(X) < 0.7, 0, X)
    est = quick(sharing=sharing)
    dense, sparse = clone(est).fit(X, y), est.fit(csr_array(X), y)
    gap = sparse.predict(csr_array(X)) - dense.predict(X)
    assert np.abs(gap / np.nanstd(y, axis=0)).max() < 1e-8


def test_float32():
    X, y = mixed()
    single, double = quick().fit(X.astype(np.float32), y), quick().fit(X, y)
    assert theta_of(single).dtype == np.float32
    gap = single.predict(X.astype(np.float32)) - double.predict(X)
    assert np.abs(gap / np.nanstd(y, axis=0))[:, [1, 3]].max() < 1e-3


# --- types and losses ----------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_types_by_dtype_of_a_table(library):
    frames = pytest.importorskip(library)
    X, _ = mixed(n=12)
    columns = {
        "int": [0, 1, 2] * 4,
        "float": np.linspace(0, 1, 12),
        "text": ["a", "b"] * 6,
        "bool": [True, False] * 6,
        "holes": [None, 0, 1] * 4,
    }
    y = frames.DataFrame(columns)
    if library == "pandas":
        y["holes"] = y["holes"].astype("Int64")
        y["category"] = frames.Categorical([1.0, 2.0] * 6)
        y["Float"] = frames.array([0.5, None] * 6, dtype="Float32")
    else:
        y = y.with_columns(
            frames.Series("category", ["x", "y"] * 6, frames.Categorical),
            frames.Series("Float", [0.5, None] * 6, frames.Float32),
        )
    est = quick(task_types="auto").fit(X, y)
    assert dict(zip(est.task_names_, est.task_types_)) == {
        "int": C,
        "float": R,
        "text": C,
        "bool": C,
        "holes": C,
        "category": C,
        "Float": R,
    }
    est.set_params(task_types={"int": R}).fit(X, y)
    assert est.task_types_ == [R, R, C, C, C, C, R]
    assert is_regressor(est.task("int"))
    assert len(est.task("text").classes_) == 2
    assert np.isfinite(est.score(X, y))


def test_types_of_lists_and_arrays():
    X, _ = mixed(n=6)
    rows = [[0, 0.5, "a", 1], [1, 2, "b", None], [0, None, "a", 0]] * 2
    assert quick(task_types="auto").fit(X, rows).task_types_ == [C, R, C, C]
    masked = np.ma.MaskedArray([[0.5, 1.5], [2.5, 0.5]] * 3, [[True, False]] + 5 * [[0, 0]])
    assert quick(task_types="auto").fit(X, masked).task_types_ == [R, R]
    ints = np.array([[0, 1], [1, 0]] * 3)
    assert quick(task_types="auto").fit(X, ints).task_types_ == [C, C]
    marked = [[0, 0.5], [-1, -1.0], [1, 2.5]] * 2
    assert quick(task_types="auto", missing_label=-1).fit(X, marked).task_types_ == [C, R]


def test_classes_in_floats_are_pointed_out():
    X, y = wide()
    with pytest.warns(UserWarning, match="whole numbers in floats.*task_types. In task 0"):
        quick(task_types="auto").fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(task_types=R, tol=1.0).fit(X, y)
        quick(task_types="auto", tol=1.0).fit(X, y + 0.5)


def test_losses_of_tasks():
    X, y = mixed()
    kinds = {
        "auto": [LogLoss, SquaredError, LogLoss, SquaredError],
        "huber": [LogLoss, Huber, LogLoss, Huber],
        MulticlassHinge(): [MulticlassHinge, SquaredError, MulticlassHinge, SquaredError],
    }
    for loss, want in kinds.items():
        assert [type(one) for one in quick(loss=loss).fit(X, y).loss_] == want
    low, high = Pinball(0.1), Pinball(0.9)
    est = quick(loss=["auto", low, "hinge", high]).fit(X, y)
    assert est.loss_[1] is low
    assert est.loss_[3] is high
    assert type(est.loss_[2]) is MulticlassHinge
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(y, columns=list("abcd"))
    named = quick(task_types={"a": C, "c": C}, loss={"c": "hinge", "d": high, "b": low}).fit(
        X, frame
    )
    np.testing.assert_array_equal(theta_of(named), theta_of(est))


def test_counts_beside_classes():
    X, y = mixed(missing=0)
    y[:, 1] = np.random.default_rng(0).poisson(np.exp(2 + X[:, 0]))
    est = learned(loss="poisson", max_iter=500).fit(X, y[:, [0, 1, 2, 1]])
    assert (est.predict(X)[:, 1] > 0).all()
    assert est.y_offset_[1] == 0
    assert est.y_scale_[1] == y[:, 1].mean()
    assert est.task(1).score(X, y[:, 1]) > 0.9


def test_rows_that_name_their_task():
    X, y = mixed(missing=0)
    task = np.where(np.arange(60) % 3 == 0, "size", "kind")
    long = np.where(task == "size", y[:, 1], y[:, 0])
    Y = np.where(task[:, None] == ["kind", "size"], y[:, :2], np.nan)
    wanted = quick(task_types=[C, R]).fit(X, Y)
    got = quick(task_types={"kind": C, "size": R}).fit(X, long, task=task)
    np.testing.assert_array_equal(theta_of(got), theta_of(wanted))
    assert got.task_names_.tolist() == ["kind", "size"]
    entries = [["a", "b", "c"][int(v)] if k == "kind" else v for v, k in zip(long, task)]
    by_entries = quick(task_types="auto").fit(X, entries, task=task)
    np.testing.assert_array_equal(theta_of(by_entries), theta_of(wanted))
    assert by_entries.classes_[0].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("holes", ["nan", "marker", "object", "masked"])
def test_holes(holes):
    X, y = mixed()
    want, there = theta_of(quick().fit(X, y)), ~np.isnan(y)
    missing_label, Y = np.nan, y
    if holes == "marker":
        missing_label, Y = -1e9, np.where(there, y, -1e9)
    elif holes == "object":
        Y = np.where(there, y.astype(object), None)
    elif holes == "masked":
        Y = np.ma.MaskedArray(np.where(there, y, 1.0), ~there)
    est = quick(missing_label=missing_label).fit(X, Y)
    np.testing.assert_array_equal(theta_of(est), want)
    assert est.score(X, Y) == quick().fit(X, y).score(X, y)
    weight = np.random.default_rng(3).random(y.shape) < 0.7
    one = quick(class_weight="balanced").fit(X, y, label_weight=weight.astype(float))
    other = quick(class_weight="balanced").fit(X, np.where(weight, y, np.nan))
    np.testing.assert_array_equal(theta_of(one), theta_of(other))


@pytest.mark.parametrize(
    "class_weight", [{0: 2.0}, [{0: 2.0}, None, {0: 2.0}, None], {"a": {0: 2.0}, "c": {0: 2.0}}]
)
def test_class_weights(class_weight):
    pandas = pytest.importorskip("pandas")
    X, y = mixed()
    weight = np.where(y[:, [0, 0, 2, 2]] == 0, [2, 1, 2, 1], 1.0)
    frame = pandas.DataFrame(y, columns=list("abcd"))
    got = quick(class_weight=class_weight).fit(X, frame)
    np.testing.assert_allclose(
        theta_of(got), theta_of(quick().fit(X, y, label_weight=weight)), rtol=1e-10
    )


# --- training on ---------------------------------------------------------------------------------


def test_early_stopping_watches_accuracy_and_r2():
    X, y = mixed(n=120)
    X_val, y_val = mixed(n=60, seed=7)
    est = quick(early_stopping=True, max_iter=30).fit(X, y, X_val=X_val, y_val=y_val)
    assert est.best_validation_score_ == pytest.approx(est.score(X_val, y_val), rel=1e-12)


def test_warm_start_and_partial_fit():
    X, y = mixed()
    cold = quick(warm_start=True, max_iter=3).fit(X, y)
    units, start = cold.y_scale_.copy(), theta_of(cold)
    cold.fit(X[:40], y[:40])
    assert not np.array_equal(theta_of(cold), start)
    np.testing.assert_array_equal(cold.y_scale_, units)

    chunks = quick(batch_size=60)
    for _ in range(15):
        chunks.partial_fit(X, y)
    whole = quick(batch_size=60).fit(X, y)
    np.testing.assert_array_equal(theta_of(chunks), theta_of(whole))
    # A task without a label, and classes that come later.
    first = np.where(y[:, [0]] == 2, np.nan, y)
    first[:, 2] = np.nan
    classes = [[0, 1, 2], None, [0, 1], None]
    late = quick(task_types="auto").partial_fit(X, first, classes)
    assert late.task_types_ == TYPES
    late.partial_fit(X, y).partial_fit(X, y, classes)
    assert late.n_iter_ == 3
    with pytest.raises(ValueError, match="no label in the first call.*classes=.*task 2"):
        quick().partial_fit(X, first)
    with pytest.raises(ValueError, match="differs from those of the first call"):
        late.partial_fit(X, y, [[0, 1], None, [0, 1], None])
    with pytest.raises(ValueError, match=r"classes\[1\] is \[0, 1\], and task_types asks"):
        quick().partial_fit(X, y, [[0, 1, 2], [0, 1], [0, 1], None])
    with pytest.raises(ValueError, match="classes has 2 entries, but y has 4 columns"):
        quick().partial_fit(X, y, [[0, 1, 2], None])


@pytest.mark.parametrize("type_", [C, R])
def test_as_a_source_model(type_):
    """Its head goes along where it is the only one; of several the trunk alone does."""
    X, y = mixed(missing=0)
    kinds = {
        C: (MultiTaskClassifier, TransferClassifier),
        R: (MultiTaskRegressor, TransferRegressor),
    }
    single, transfer = kinds[type_]
    y_t = y[:, TYPES.index(type_)]
    options = {**QUICK, "max_iter": 3}
    still = {**QUICK, "strategy": "finetune", "max_iter": 1, "learning_rate_init": 1e-300}
    predictions = []
    for model in (single(**options), quick(**options, task_types=type_)):
        tuned = transfer(**still, source_model=FrozenEstimator(model.fit(X, y_t))).fit(X, y_t)
        predictions.append(tuned.predict(X))
    np.testing.assert_array_equal(*predictions)
    several = quick().fit(X, y)
    tuned = transfer(**still, source_model=FrozenEstimator(several)).fit(X, y_t)
    np.testing.assert_array_equal(tuned.coefs_[0], several.coefs_[0])


def test_pictures_of_its_training():
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    from skmtl.report import LossCurveDisplay, TaskAffinityDisplay

    X, y = mixed()
    est = quick(record_affinity=True).fit(X, y)
    assert LossCurveDisplay.from_estimator(est).loss_name == "loss"
    assert TaskAffinityDisplay.from_estimator(est).affinity.shape == (4, 4)
    est.set_params(task_types=C).fit(X, y[:, [0, 2]])
    assert LossCurveDisplay.from_estimator(est).loss_name == "log loss (nats)"
    pyplot.close("all")


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"task_types": [C, R]}, "task_types has 2 entries, but y has 4 columns"),
        ({"task_types": [C, R, C, "number"]}, "task_types must hold.*'number'.*task 3"),
        ({"task_types": {"size": R}}, r"task_types has an entry for the task 'size'.*\[\]"),
        ({"task_types": "numbers"}, "'task_types' parameter of MultiTaskEstimator"),
        ({"task_types": [C] * 4}, "continuous.*task 1"),
        ({"task_types": R, "loss": "log_loss"}, "'loss'.*loss on classes, 'log_loss'.*no task"),
        ({"loss": ["auto", "hinge", "auto", "auto"]}, "loss on numbers.*'hinge'.*task 1"),
        ({"loss": ["auto"]}, "loss has 1 entries, but y has 4 columns"),
        ({"loss": "hubr"}, "unknown name 'hubr'; installed"),
        ({"loss": "poisson"}, "Poisson needs targets from 0"),
        ({"sharing": "pooled"}, "sharing='pooled' gives all tasks one head.*'hard'"),
        ({"class_weight": [None, {0: 2.0}, None, None]}, "class_weight.*regressed.*task 1"),
        ({"class_weight": {7: 2.0}}, "class_weight={7: 2.0} has none of the labels"),
    ],
)
def test_bad_parameters_are_named_and_leave_nothing(parameters, message):
    X, y = mixed()
    y[:, 3] -= 1
    estimator = quick(**parameters)
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y)
    assert vars(estimator) == vars(quick(**parameters))
    fitted = quick().fit(X, y)
    before = digest(fitted)
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**parameters).fit(X, y)
    assert digest(fitted.set_params(**quick().get_params())) == before


def test_bad_y():
    X, y = mixed()
    with pytest.raises(ValueError, match="contains infinity.*task 1"):
        quick().fit(X, np.where(y > 5000, np.inf, y))
    with pytest.raises(ValueError, match="must hold numbers.*'a'.*task 1"):
        quick().fit(X, [[0, "a", 1, 0.5]] * 60)
    with pytest.raises(ValueError, match="No label with positive weight in task 2"):
        quick().fit(X, np.where(np.arange(4) == 2, np.nan, y))
    with pytest.raises(ValueError, match=r"y must be 1-D with task=, got shape \(60, 4\)"):
        quick().fit(X, y, task=np.arange(60) % 2)
    with pytest.raises(NotFittedError):
        quick().predict_proba(X)
    with pytest.raises(ValueError, match="no task 4.*numbered from 0"):
        quick().fit(X, y).task(4)


def test_mean_task_score_is_that_of_its_parts():
    rng = np.random.default_rng(0)
    y, p = rng.integers(3, size=(2, 30, 2)).astype(float)
    z, q = rng.standard_normal((2, 30, 2))
    y[::4, 0] = z[::3, 1] = np.nan
    w = rng.random(30)
    both = np.column_stack([y[:, 0], z, y[:, 1]]), np.column_stack([p[:, 0], q, p[:, 1]])
    is_class = np.array([True, False, False, True])
    parts = mean_task_accuracy(y, p, w), mean_task_r2(z, q, w)
    assert mean_task_score(*both, is_class, w) == pytest.approx(np.mean(parts))


# --- scorers and folds ---------------------------------------------------------------------------

BOTH = {C: "accuracy", R: "r2"}


@pytest.mark.parametrize("frame", ["plain", "pipeline", "search"])
def test_scorers_go_by_the_type_of_a_task(frame):
    X, y = mixed()
    est = learned().fit(X, y)
    if frame != "plain":
        est = make_pipeline(StandardScaler(), learned()).fit(X, y)
    if frame == "search":
        est = GridSearchCV(est, {"multitaskestimator__lam": [1e-3]}, cv=2).fit(X, y)
    scores = task_scores(est, X, y, scoring=BOTH)
    assert np.mean(scores) == pytest.approx(est.score(X, y))
    for t, type_ in enumerate(TYPES):
        scorer = make_task_scorer(BOTH[type_], average=t)
        assert scorer(est, X, y) == pytest.approx(scores[t])
    assert make_task_scorer(BOTH, average="worst")(est, X, y) == scores.min()
    log_loss = task_scores(est, X, y, scoring={C: "neg_log_loss", R: "neg_mean_squared_error"})
    assert (log_loss < 0).all()
    with pytest.raises(ValueError, match="score_func='accuracy' is one metric.*give a dict"):
        task_scores(est, X, y)
    with pytest.raises(ValueError, match="has no metric for 'regression'"):
        task_scores(est, X, y, scoring={C: "accuracy"})
    with pytest.raises(ValueError, match="y has 2 columns, but there are 4 tasks"):
        task_scores(est, X, y[:, :2], scoring=BOTH)


def test_scorers_of_one_type_and_what_they_refuse():
    X, y = mixed()
    classes, numbers = (MultiTaskClassifier(**QUICK), y[:, [0, 2]]), (quick(), y[:, 1])
    for (est, Y), name in ((classes, "accuracy"), (numbers, "r2")):
        fitted = est.set_params(**({"task_types": "auto"} if est is numbers[0] else {})).fit(X, Y)
        np.testing.assert_array_equal(
            task_scores(fitted, X, Y, scoring=BOTH), task_scores(fitted, X, Y, scoring=name)
        )
    with pytest.raises(ValueError, match="score_func as a dict has metrics for"):
        make_task_scorer({"classes": "accuracy"})
    with pytest.raises(ValueError, match="not a valid scoring"):
        make_task_scorer({C: "accurate"})


def test_folds_spread_classes_and_numbers():
    X, y = mixed(missing=0.6)
    Y = y.astype(object)
    Y[:, 0] = [None if np.isnan(v) else "abc"[int(v)] for v in y[:, 0]]
    there = ~np.isnan(y)
    for _, test in MultiTaskKFold(3, random_state=0).split(X, Y):
        gap = there[test].sum(axis=0) - there.sum(axis=0) / 3
        assert np.abs(gap).max() <= 1
        for label in range(3):
            assert abs((y[test, 0] == label).sum() - (y[:, 0] == label).sum() / 3) <= 1
    options = {"scoring": make_task_scorer(BOTH), "cv": MultiTaskKFold(3, random_state=0)}
    assert cross_val_score(learned(), X, y, **options).mean() > 0.5
