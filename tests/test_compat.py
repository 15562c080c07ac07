"""The compatibility module, used by a toy estimator as our estimators use it."""

import ast
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl import _compat
from skmtl._compat import (
    CallbackMixin,
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    begin_fit,
    check_sample_weight,
    fit_context,
    get_feature_names,
    n_samples,
)

has_callbacks = hasattr(CallbackMixin, "set_callbacks")
needs_callbacks = pytest.mark.skipif(not has_callbacks, reason="scikit-learn < 1.9")


class Toy(CallbackMixin, ClassifierMixin, BaseEstimator):
    """Perceptron-like: steps of logistic regression by gradient descent on labels 0 and 1."""

    _parameter_constraints = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "step": [Interval(Real, 0, None, closed="neither")],
        "solver": [StrOptions({"gd", "staged", "lbfgs"})],
        "inner": [HasMethods("fit"), None],
    }

    def __init__(self, max_iter=5, *, step=0.5, solver="gd", inner=None, fail_at=None):
        self.max_iter = max_iter
        self.step = step
        self.solver = solver
        self.inner = inner
        self.fail_at = fail_at

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y)
        self.classes_ = np.unique(y)
        self.n_iter_ = 0
        theta = np.zeros(X.shape[1])
        if self.solver == "staged":
            task = begin_fit(self, 2, X=X, y=y, sample_weight=sample_weight)
            for name in ["source", "target"]:
                stage = task.stage(name, self.max_iter)
                self._descend(stage, X, y, theta)
                if stage.end(lambda: {"coef_": theta.copy()}):
                    break
        else:
            task = begin_fit(self, self.max_iter, X=X, y=y, sample_weight=sample_weight)
            if self.solver == "lbfgs":
                theta = self._minimize(task, X, y, theta)
            else:
                self._descend(task, X, y, theta)
        self.coef_ = theta
        task.end()
        return self

    def _gradient(self, X, y, theta):
        return X.T @ (1 / (1 + np.exp(-X @ theta)) - y) / len(y) + theta

    def _descend(self, task, X, y, theta):
        for epoch in range(self.max_iter):
            task.epoch_begin()
            if epoch == self.fail_at:
                raise FloatingPointError("diverged")
            np.subtract(theta, self.step * self._gradient(X, y, theta), out=theta)
            self.n_iter_ += 1
            if task.epoch_end(lambda: {"coef_": theta.copy()}):
                break

    def _minimize(self, task, X, y, theta):
        def objective(theta):
            z = X @ theta
            value = np.mean(np.logaddexp(0, z) - y * z) + theta @ theta / 2
            return value, self._gradient(X, y, theta)

        def on_iteration(theta):
            self.n_iter_ += 1
            if task.epoch_end(lambda: {"coef_": theta.copy()}):
                raise StopIteration

        return minimize(
            objective,
            theta,
            jac=True,
            method="L-BFGS-B",
            callback=on_iteration,
            options={"maxiter": self.max_iter},
        ).x

    def predict(self, X):
        check_is_fitted(self, "coef_")
        return self.classes_[(X @ self.coef_ > 0).astype(int)]


class Recorder:
    """Keeps what it is told; asks to stop after epoch ``stop_at`` of a fit or stage."""

    def __init__(self, stop_at=None, stop_stage=None):
        self.calls = []
        self.shown = []
        self.stop_at = stop_at
        self.stop_stage = stop_stage

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name, context.task_id))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.calls.append(("end", context.task_name, context.task_id))
        self.shown.append((context.task_name, X, y, metadata, fitted_estimator))
        if context.task_name == "epoch":
            return context.task_id == self.stop_at
        return context.task_name == self.stop_stage

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name, context.task_id))


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    return X, (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)


# --- parameters and arrays ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value",
    [("max_iter", 0), ("max_iter", 1.5), ("step", 0.0), ("solver", "newton"), ("inner", 3)],
)
def test_parameter_constraints_name_parameter_and_value(data, name, value):
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of Toy.*{value!r}"):
        Toy(**{name: value}).fit(*data)


def test_sample_weight():
    X = np.zeros((4, 2), dtype=np.float32)
    np.testing.assert_array_equal(check_sample_weight(None, X), np.ones(4))
    assert check_sample_weight([1, 0, 2, 1], X, dtype=np.float32).dtype == np.float32
    for wrong in [[1, 1], [1, -1, 1, 1], [1, np.nan, 1, 1], [0, 0, 0, 0]]:
        with pytest.raises(ValueError, match=r"sample_weight|Sample weights|sample weights"):
            check_sample_weight(wrong, X)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_rows_and_names_of_data_frames(library):
    library = pytest.importorskip(library)
    frame = library.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert n_samples(frame) == 2
    if hasattr(frame, "__dataframe__") or has_callbacks:
        assert list(get_feature_names(frame)) == ["a", "b"]
    else:  # scikit-learn < 1.9 knows polars < 2 by its interchange protocol
        assert get_feature_names(frame) is None


def test_arrays_have_no_names():
    assert get_feature_names(np.zeros((2, 2))) is None


def private_sklearn_imports(path):
    """Names that a source file imports from scikit-learn and that start with an underscore."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sklearn":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "sklearn"]
        else:
            continue
        yield from (name for name in names if "._" in name)


def test_private_names_of_sklearn_stay_in_compat():
    package = Path(_compat.__file__).parent
    private = {
        str(path.relative_to(package)): names
        for path in sorted(package.rglob("*.py"))
        if (names := sorted(private_sklearn_imports(path)))
    }
    assert list(private) == ["_compat.py"], private


# --- callbacks ------------------------------------------------------------------------------------


def test_without_callbacks_nothing_happens(data):
    toy = Toy().fit(*data)
    assert toy.n_iter_ == 5
    assert begin_fit(toy, 5) is begin_fit(Toy(), 5)
    assert begin_fit(toy, 5).stage("source", 3).epoch_end() is False
    assert begin_fit(toy, 5).end() is False
    assert set(vars(toy)) == {*toy.get_params(), "classes_", "coef_", "n_iter_", "n_features_in_"}
    assert Toy(solver="staged").fit(*data).n_iter_ == 10


@pytest.mark.skipif(has_callbacks, reason="scikit-learn >= 1.9")
def test_before_callbacks_existed_there_is_no_method_to_set_them():
    assert not hasattr(Toy(), "set_callbacks")


@needs_callbacks
def test_callbacks_see_the_fit_and_its_epochs(data):
    X, y = data
    recorder = Recorder()
    toy = Toy(max_iter=3).set_callbacks(recorder).fit(X, y, sample_weight=np.ones(60))
    assert recorder.calls == [
        ("setup", "fit", 0),
        ("begin", "fit", 0),
        *[(event, "epoch", i) for i in range(3) for event in ("begin", "end")],
        ("end", "fit", 0),
        ("teardown", "fit", 0),
    ]
    for epoch, (name, X_shown, y_shown, metadata, fitted) in enumerate(recorder.shown, start=1):
        assert X_shown.shape == X.shape
        assert y_shown.shape == y.shape
        assert list(metadata) == ["sample_weight"]
        expected = Toy(max_iter=min(epoch, 3)).fit(X, y)
        np.testing.assert_array_equal(fitted.coef_, expected.coef_)
        np.testing.assert_array_equal(fitted.predict(X), expected.predict(X))
        assert name == ("epoch" if epoch <= 3 else "fit")
    assert not hasattr(toy, "_callback_fit_ctx")


@needs_callbacks
@pytest.mark.parametrize("solver", ["gd", "lbfgs"])
def test_callbacks_can_stop_the_fit(data, solver):
    recorder = Recorder(stop_at=1)
    toy = Toy(max_iter=8, solver=solver).set_callbacks(recorder).fit(*data)
    assert toy.n_iter_ == 2
    assert recorder.calls[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]
    np.testing.assert_array_equal(toy.coef_, Toy(max_iter=2, solver=solver).fit(*data).coef_)


@needs_callbacks
def test_callbacks_see_stages_and_stop_one_or_all(data):
    recorder = Recorder()
    assert Toy(max_iter=2, solver="staged").set_callbacks(recorder).fit(*data).n_iter_ == 4
    epochs = [(event, "epoch", i) for i in range(2) for event in ("begin", "end")]
    assert recorder.calls[2:-2] == [
        ("begin", "source", 0),
        *epochs,
        ("end", "source", 0),
        ("begin", "target", 1),
        *epochs,
        ("end", "target", 1),
    ]
    one_epoch_each = Toy(solver="staged").set_callbacks(Recorder(stop_at=0)).fit(*data)
    assert one_epoch_each.n_iter_ == 2
    first_stage_only = Toy(solver="staged").set_callbacks(Recorder(stop_stage="source")).fit(*data)
    assert first_stage_only.n_iter_ == 5


@needs_callbacks
def test_callbacks_are_torn_down_when_a_fit_fails(data):
    recorder = Recorder()
    toy = Toy(fail_at=1).set_callbacks(recorder)
    with pytest.raises(FloatingPointError):
        toy.fit(*data)
    assert recorder.calls[-2:] == [("begin", "epoch", 1), ("teardown", "fit", 0)]
    assert not hasattr(toy, "_callback_fit_ctx")


@needs_callbacks
def test_scoring_monitor(data):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    Toy(max_iter=4).set_callbacks(monitor).fit(*data, sample_weight=np.ones(60))
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert [row["accuracy"] for row in rows] == [
        Toy(max_iter=epoch).fit(*data).score(*data) for epoch in range(1, 5)
    ]


@needs_callbacks
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_bar_and_early_stopping_inside_a_grid_search(data, n_jobs, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    toy = Toy(max_iter=50).set_callbacks(Recorder(stop_at=2))
    pipeline = make_pipeline(StandardScaler(), clone(toy))
    search = GridSearchCV(pipeline, {"toy__step": [0.1, 0.5]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(*data)
    assert search.best_estimator_[-1].n_iter_ == 3
    out = capsys.readouterr().out
    assert "GridSearchCV" in out
    assert "Toy" in out


@needs_callbacks
def test_progress_bar_on_the_estimator_itself(data, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    for solver in ["gd", "staged", "lbfgs"]:
        Toy(solver=solver).set_callbacks(ProgressBar()).fit(*data)
        assert "100%" in capsys.readouterr().out
