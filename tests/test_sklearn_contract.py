"""The estimators in scikit-learn's hands: its checks, failed fits, untouched arguments, stops."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    check_param_validation,
)
from tables import QUICK, blobs, digest, fit_args, one_of_each, source_of, theta_of

from skmtl import MultiTaskClassifier, TransferClassifier, fitting
from skmtl._compat import CallbackMixin
from skmtl.engine.problem import Curves, Problem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

needs_callbacks = pytest.mark.skipif(
    not hasattr(CallbackMixin, "set_callbacks"), reason="scikit-learn < 1.9 has no callbacks"
)


@pytest.fixture
def estimator(request):
    return clone(request.param)


# --- scikit-learn's own checks -------------------------------------------------------------------

# Minibatches, dropout and validation rows are drawn at random, so that scikit-learn's check that
# weight 2 is the same as two rows rightly fails with them.
CONFIGURATIONS = [
    MultiTaskClassifier(),
    MultiTaskClassifier(solver="lbfgs", sharing="none"),
    MultiTaskClassifier(solver="sgd", learning_rate_init=0.1, sharing="pooled"),
    MultiTaskClassifier(sharing="grouped"),
    MultiTaskClassifier(solver="lbfgs", sharing="cgc"),
    TransferClassifier(),
    TransferClassifier(hidden_layer_sizes=(), solver="lbfgs", alpha=0.01),
    TransferClassifier(strategy="finetune", share_head=False, standardize="per_domain"),
    TransferClassifier(strategy="pooled", feature_map="linear", head_layer_sizes=(8,)),
]


@pytest.mark.parametrize("estimator", CONFIGURATIONS, ids=repr)
def test_check_estimator(estimator):
    results = check_estimator(estimator, on_skip=None)
    statuses = [result["status"] for result in results]
    assert set(statuses) <= {"passed", "skipped"}  # no failure, expected or not
    assert statuses.count("passed") > 50


@one_of_each()
@pytest.mark.parametrize("routing", [False, True])
def test_checks_that_scikit_learn_keeps_to_itself(estimator, routing):
    name, default = type(estimator).__name__, type(estimator)()
    with config_context(enable_metadata_routing=routing):
        if routing:
            check_estimator(default, on_skip=None)
        check_param_validation(name, default)
        check_dataframe_column_names_consistency(name, default)


# --- parameters and fitted state -----------------------------------------------------------------


@one_of_each(penalty="elastic_net", solver="sgd")
def test_fit_returns_self_and_leaves_parameters(estimator):
    before = {name: repr(value) for name, value in estimator.get_params().items()}
    X, y, keywords = fit_args(estimator)
    assert estimator.fit(X, y, **keywords) is estimator
    assert {name: repr(value) for name, value in estimator.get_params().items()} == before


@one_of_each()
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clone_and_pickle(estimator, dtype):
    X, y, keywords = fit_args(estimator)
    X = X.astype(dtype)
    estimator.fit(X, y, **keywords)
    assert estimator._theta.dtype == dtype
    copy = pickle.loads(pickle.dumps(estimator))
    assert np.array_equal(copy.predict(X), estimator.predict(X))
    assert digest(copy.__getstate__()) == digest(estimator.__getstate__())
    fresh = clone(estimator)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    assert np.array_equal(theta_of(fresh.fit(X, y, **keywords)), theta_of(estimator))


@one_of_each()
def test_partial_fit_goes_on_after_pickle(estimator):
    X, y = blobs()
    straight, broken = clone(estimator), clone(estimator)
    for _ in range(4):
        straight.partial_fit(X, y, classes=[0, 1, 2])
        broken.partial_fit(X, y, classes=[0, 1, 2])
        broken = pickle.loads(pickle.dumps(broken))
    assert np.array_equal(theta_of(broken), theta_of(straight))


@one_of_each()
@pytest.mark.parametrize("seed", [np.random.RandomState(3), None])
def test_random_state_may_be_an_instance_or_none(estimator, seed):
    X, y, keywords = fit_args(estimator)
    first = theta_of(estimator.set_params(random_state=seed).fit(X, y, **keywords))
    assert not np.array_equal(first, theta_of(estimator.fit(X, y, **keywords)))


# --- a fit that fails ----------------------------------------------------------------------------


def without(problem):
    """Arguments of a fit that cannot work, from those that do."""

    def spoil(X, y, keywords):
        if problem == "nan in X":
            X = X.copy()
            X[3, 1] = np.nan
        elif problem == "lengths":
            y = y[:-1]
        elif problem == "no labels":
            y = np.full(len(y), np.nan)
        elif problem == "weights":
            keywords = {**keywords, "sample_weight": -np.ones(len(X))}
        elif problem == "validation":
            keywords = {**keywords, "X_val": X, "y_val": y[:-1]}
        return X, y, keywords

    return spoil


def no_epochs(problem, rates):
    """In place of ``Problem.epochs``: the first is not finite."""
    return Curves(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    "problem", ["nan in X", "lengths", "no labels", "weights", "validation", "diverges", "callback"]
)
@one_of_each()
def test_a_failed_fit_changes_nothing(estimator, problem, fitted, monkeypatch):
    X, y, keywords = fit_args(estimator)
    estimator.set_params(early_stopping=problem == "validation")
    if fitted:
        estimator.fit(X, y, **keywords)
    before = digest(estimator.__getstate__())
    if problem == "diverges":
        monkeypatch.setattr(Problem, "epochs", no_epochs)
    if problem == "callback":

        def epochs(self, rates):
            raise RuntimeError("from within")

        monkeypatch.setattr(Problem, "epochs", epochs)
    X, y, keywords = without(problem)(X, y, keywords)
    # New columns, so that what validation leaves behind would show.
    X = np.hstack([X, X])
    if "X_source" in keywords:
        keywords["X_source"] = tuple(np.hstack([A, A]) for A in keywords["X_source"])
    with pytest.raises((ValueError, RuntimeError)):
        estimator.fit(X, y, **keywords)
    assert digest(estimator.__getstate__()) == before


@pytest.mark.parametrize("first", [True, False])
@one_of_each()
def test_a_failed_partial_fit_changes_nothing(estimator, first, monkeypatch):
    X, y = blobs()
    if not first:
        estimator.partial_fit(X, y, classes=[0, 1, 2])
    before = digest(estimator.__getstate__())

    def epochs(self, rates):
        self.theta[:] = np.nan
        self.state[:] = 7
        self.training.rng.integers(9)
        return no_epochs(self, rates)

    with monkeypatch.context() as patch:
        patch.setattr(Problem, "epochs", epochs)
        with pytest.raises(ValueError, match="learning_rate_init"):
            estimator.partial_fit(X, y, classes=[0, 1, 2])
    assert digest(estimator.__getstate__()) == before
    again = clone(estimator).partial_fit(X, y, classes=[0, 1, 2])
    if not first:
        again.partial_fit(X, y)
    assert np.array_equal(theta_of(estimator.partial_fit(X, y, [0, 1, 2])), theta_of(again))


# --- the caller's arrays -------------------------------------------------------------------------


def as_kind(kind, X):
    """X in a container."""
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame(X, columns=[f"x{j}" for j in range(4)])
    if kind == "polars":
        return pytest.importorskip("polars").DataFrame(X, schema=[f"x{j}" for j in range(4)])
    sparse = np.where(np.abs(X) < 0.5, 0, X)
    return {
        "array": lambda: X,
        "fortran": lambda: np.asfortranarray(X),
        "float32": lambda: X.astype(np.float32),
        "strided": lambda: np.repeat(X, 2, axis=0)[::2],
        "int": lambda: (10 * X).astype(int),
        "list": lambda: X.tolist(),
        "csr_array": lambda: csr_array(sparse),
        "csr_matrix": lambda: csr_matrix(sparse),
        "csc": lambda: csr_array(sparse).tocsc(),
        "unsorted": lambda: unsorted(csr_array(sparse)),
    }[kind]()


def unsorted(X):
    """A CSR matrix with the entries of each row backwards, and one entry in two parts."""
    for start, stop in zip(X.indptr[:-1], X.indptr[1:]):
        X.indices[start:stop] = X.indices[start:stop][::-1].copy()
        X.data[start:stop] = X.data[start:stop][::-1].copy()
    indices = np.append(X.indices, X.indices[-1])
    data = np.append(X.data, 0.25)
    indptr = X.indptr.copy()
    indptr[-1] += 1
    X = csr_array((data, indices, indptr), shape=X.shape)
    X.has_sorted_indices, X.has_canonical_format = False, False
    return X


KINDS = ["array", "fortran", "float32", "strided", "int", "list", "csr_array", "csr_matrix", "csc"]
KINDS += ["unsorted", "pandas", "polars"]


@pytest.mark.parametrize("kind", KINDS)
@one_of_each(early_stopping=True, class_weight={0: 2.0})
def test_arguments_stay_as_they_are(estimator, kind):
    X, y, keywords = fit_args(estimator)
    if "X_source" in keywords:
        keywords["X_source"] = tuple(as_kind(kind, A) for A in keywords["X_source"])
        keywords["X_unlabeled"] = as_kind(kind, X)
        estimator.set_params(standardize="per_domain", feature_map="linear", strategy="finetune")
    else:
        keywords["label_weight"] = np.random.default_rng(0).random(y.shape)
    weight = np.random.default_rng(0).random(len(X))
    keywords.update(sample_weight=weight, X_val=as_kind(kind, X), y_val=y)
    X = as_kind(kind, X)
    before = digest([X, y, keywords])
    estimator.fit(X, y, **keywords)
    estimator.predict(X)
    estimator.transform(X)
    estimator.score(X, y, sample_weight=weight)
    assert digest([X, y, keywords]) == before


@pytest.mark.parametrize("kind", KINDS)
@one_of_each()
def test_containers_agree_with_a_plain_array(estimator, kind):
    X, y, keywords = fit_args(estimator)
    keywords.pop("X_source", None), keywords.pop("y_source", None)
    X = as_kind(kind, X)
    plain = X.toarray() if hasattr(X, "toarray") else np.asarray(X, dtype=float)
    estimator.fit(X, y, **keywords)
    got = estimator.predict_proba(X)
    if estimator._theta.dtype == np.float32:
        plain = plain.astype(np.float32)
    want = clone(estimator).fit(plain, y, **keywords).predict_proba(plain)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-10 if plain.dtype == float else 1e-4)


@pytest.mark.parametrize("kind", ["array", "float32", "fortran", "csr_array"])
@one_of_each()
def test_read_only_memmaps(estimator, kind, tmp_path):
    X, y, keywords = fit_args(estimator)
    want = theta_of(clone(estimator).fit(as_kind(kind, X), y, **keywords))

    def mapped(array):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        order = "F" if array.flags.f_contiguous and array.ndim == 2 else "C"
        path.write_bytes(array.tobytes(order))
        memmap = np.memmap(path, array.dtype, "r", shape=array.shape, order=order)
        assert not memmap.flags.writeable
        return memmap

    def lock(X):
        if kind != "csr_array":
            return mapped(np.asarray(X))
        X.data, X.indices, X.indptr = mapped(X.data), mapped(X.indices), mapped(X.indptr)
        return X

    if keywords:
        keywords = {
            "X_source": tuple(lock(as_kind(kind, A)) for A in keywords["X_source"]),
            "y_source": tuple(mapped(b) for b in keywords["y_source"]),
        }
        if kind == "csr_array":  # as_kind thins it out
            full = clone(estimator).fit(as_kind(kind, X), y, **keywords)
            want = theta_of(full)
    X = lock(as_kind(kind, X))
    estimator.fit(X, mapped(np.ascontiguousarray(y)), **keywords)
    assert np.array_equal(theta_of(estimator), want)
    estimator.predict_proba(X)


# --- stops: callbacks, Ctrl-C, divergence --------------------------------------------------------


class Recorder:
    """Keeps what it is told, with the score of the model so far; may ask to stop."""

    def __init__(self, stop_after=None, stop_stage=None):
        self.stop_after, self.stop_stage = stop_after, stop_stage
        self.events, self.scores = [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        self.scores.append(fitted_estimator.score(X, y))
        if context.task_name == "epoch":
            return context.task_id + 1 == self.stop_after
        return context.task_name == self.stop_stage


def epochs(n):
    return ["begin epoch", "end epoch"] * n


@needs_callbacks
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@one_of_each()
def test_callbacks_see_epochs_and_models(estimator, solver):
    X, y, keywords = fit_args(estimator)
    estimator.set_params(max_iter=4, solver=solver)
    recorder = Recorder()
    estimator.set_callbacks(recorder).fit(X, y, **keywords)
    assert recorder.events == ["setup", "begin fit", *epochs(4), "end fit", "teardown"]
    quiet = clone(estimator).set_callbacks()
    want = [clone(quiet).set_params(max_iter=k).fit(X, y, **keywords) for k in (1, 2, 3, 4, 4)]
    assert recorder.scores == [model.score(X, y) for model in want]


@needs_callbacks
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@one_of_each()
def test_a_callback_stops_the_fit(estimator, solver):
    X, y, keywords = fit_args(estimator)
    estimator.set_params(solver=solver)
    recorder = Recorder(stop_after=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # asked to stop is not a failure to converge
        estimator.set_callbacks(recorder).fit(X, y, **keywords)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 3
    assert recorder.events[-2:] == ["end fit", "teardown"]
    short = clone(estimator).set_params(max_iter=3).set_callbacks().fit(X, y, **keywords)
    assert np.array_equal(theta_of(estimator), theta_of(short))


@needs_callbacks
def test_callbacks_see_the_stages_of_finetuning():
    recorder = Recorder(stop_after=2)
    clf = TransferClassifier(**QUICK, strategy="finetune").set_callbacks(recorder)
    clf.fit(*blobs(), **source_of())
    source = ["begin source", *epochs(2), "end source"]
    target = ["begin target", *epochs(2), "end target"]
    assert recorder.events == ["setup", "begin fit", *source, *target, "end fit", "teardown"]
    assert len(clf.pretrain_loss_curve_) == len(clf.loss_curve_) == 2


@needs_callbacks
def test_a_callback_ends_finetuning_after_the_source():
    clf = TransferClassifier(**QUICK, strategy="finetune")
    X, y = blobs()
    clf.set_callbacks(Recorder(stop_stage="source")).fit(X, y, **source_of())
    assert clf.loss_curve_ == []
    want = TransferClassifier(**QUICK, strategy="source_only").fit(X, y, **source_of())
    np.testing.assert_array_equal(clf.coefs_[0], want.coefs_[0])


@needs_callbacks
@one_of_each()
def test_callbacks_are_torn_down_when_a_fit_fails(estimator, monkeypatch):
    recorder = Recorder()
    estimator.set_callbacks(recorder)
    before = set(vars(estimator))
    X, y, keywords = fit_args(estimator)
    monkeypatch.setattr(Problem, "epochs", no_epochs)
    with pytest.raises(ValueError, match="stopped being finite"):
        estimator.fit(X, y, **keywords)
    assert recorder.events == ["setup", "begin fit", "begin epoch", "teardown"]
    assert set(vars(estimator)) == before


@needs_callbacks
@pytest.mark.parametrize("parameters", [{}, {"solver": "lbfgs"}, {"tol": 10.0}])
@one_of_each()
def test_progress_bar(estimator, parameters, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    X, y, keywords = fit_args(estimator)
    estimator.set_params(**parameters).set_callbacks(ProgressBar()).fit(X, y, **keywords)
    assert type(estimator).__name__ in capsys.readouterr().out


@needs_callbacks
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_and_early_stop_inside_a_grid_search(n_jobs, capsys):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    clf = TransferClassifier(**QUICK).set_callbacks(Recorder(stop_after=2))
    search = GridSearchCV(clf, {"lam": [0.1, 1]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(*blobs(), **source_of())
    assert search.best_estimator_.n_iter_ == 2
    assert "TransferClassifier" in capsys.readouterr().out


def interrupt(monkeypatch, name, after):
    """Make a method of Problem raise KeyboardInterrupt in its last part of call ``after``."""
    method, calls = getattr(Problem, name), []

    def interrupted(self, *args):
        calls.append(None)
        result = method(self, *args)
        if len(calls) == after:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Problem, name, interrupted)
    monkeypatch.setattr(fitting, "AT_ONCE", 0)


@pytest.mark.parametrize("after", [1, 3])
@one_of_each()
def test_ctrl_c_keeps_the_weights(estimator, after, monkeypatch):
    X, y, keywords = fit_args(estimator)
    full = clone(estimator).set_params(max_iter=after).fit(X, y, **keywords)
    interrupt(monkeypatch, "epochs", after)
    with pytest.warns(UserWarning, match=f"interrupted.*epoch {after}.*kept") as record:
        estimator.fit(X, y, **keywords)
    assert len(record) == 1
    assert np.array_equal(theta_of(estimator), theta_of(full))
    assert estimator.predict(X).shape == np.shape(y)
    assert len(estimator.loss_curve_) == after - 1


@pytest.mark.parametrize("after", [3, 20])
def test_ctrl_c_in_either_stage_of_finetuning(after, monkeypatch):
    clf = TransferClassifier(**QUICK, strategy="finetune")
    interrupt(monkeypatch, "epochs", after)
    with pytest.warns(UserWarning, match="interrupted") as record:
        clf.fit(*blobs(), **source_of())
    assert sum("interrupted" in str(warning.message) for warning in record) == 1
    done = len(clf.pretrain_loss_curve_), len(clf.loss_curve_)
    assert done == ((2, 0) if after == 3 else (15, 4))
    assert clf.predict(blobs()[0]).shape == (60,)
    assert clf.map_source(blobs()[0]).shape == (60, 4)


@pytest.mark.parametrize("after", [1, 4])
@one_of_each(solver="lbfgs")
def test_ctrl_c_in_lbfgs(estimator, after, monkeypatch):
    X, y, keywords = fit_args(estimator)
    interrupt(monkeypatch, "objective", after)
    with pytest.warns(UserWarning, match=r"interrupted.*kept"):
        estimator.fit(X, y, **keywords)
    n_done = len(estimator.loss_curve_)
    assert n_done < after
    assert estimator.predict(X).shape == np.shape(y)
    monkeypatch.undo()
    if n_done:
        short = clone(estimator).set_params(max_iter=n_done).fit(X, y, **keywords)
        assert np.array_equal(theta_of(estimator), theta_of(short))


@needs_callbacks
@one_of_each()
def test_ctrl_c_ends_the_callbacks_well(estimator, monkeypatch):
    recorder = Recorder()
    X, y, keywords = fit_args(estimator)
    interrupt(monkeypatch, "epochs", 2)
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.set_callbacks(recorder).fit(X, y, **keywords)
    assert recorder.events[-2:] == ["end fit", "teardown"]


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
@one_of_each(solver="sgd", learning_rate_init=1e9, batch_size=10)
def test_divergence_keeps_the_last_finite_weights(estimator):
    X, y, keywords = fit_args(estimator)
    estimator.set_params(**{"lam" if "sharing" in estimator.get_params() else "alpha": 1.0})
    message = (
        r"epoch \d+ .*learning_rate_init=1000000000.0.*StandardScaler.*lower learning_rate_init"
    )
    with pytest.warns(ConvergenceWarning, match=message + ".*kept"):
        estimator.fit(X, y, **keywords)
    n_finite = len(estimator.loss_curve_)
    assert 0 < n_finite < estimator.max_iter
    assert np.isfinite(theta_of(estimator)).all()
    with np.errstate(all="ignore"):  # finite, but huge
        assert estimator.predict(X).shape == np.shape(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        short = clone(estimator).set_params(max_iter=n_finite).fit(X, y, **keywords)
    assert np.array_equal(theta_of(estimator), theta_of(short))


@one_of_each(solver="sgd", learning_rate_init=1e300, batch_size=10)
def test_divergence_in_the_first_epoch_is_an_error(estimator):
    X, y, keywords = fit_args(estimator)
    with pytest.raises(ValueError, match=r"epoch 1 \(learning_rate_init=1e\+300\).*StandardScaler"):
        estimator.fit(X, y, **keywords)
    assert not hasattr(estimator, "classes_")


@one_of_each(solver="lbfgs")
def test_divergence_of_lbfgs(estimator, monkeypatch):
    X, y, keywords = fit_args(estimator)
    objective, calls = Problem.objective, []

    def overflowing(self, theta=None):
        calls.append(None)
        value, grad, losses = objective(self, theta)
        return (np.inf if len(calls) >= stop else value), grad, losses

    monkeypatch.setattr(Problem, "objective", overflowing)
    stop = 1
    with pytest.raises(ValueError, match="stopped being finite"):
        estimator.fit(X, y, **keywords)
    assert not hasattr(estimator, "classes_")
    calls.clear()
    stop = 8
    with pytest.warns(ConvergenceWarning, match=r"stopped being finite.*kept"):
        estimator.fit(X, y, **keywords)
    assert 0 < len(estimator.loss_curve_) < 8
    assert np.isfinite(theta_of(estimator)).all()


# --- output --------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@one_of_each(max_iter=3)
def test_verbose_prints_the_loss(estimator, solver, capsys):
    X, y, keywords = fit_args(estimator)
    estimator.set_params(solver=solver).fit(X, y, **keywords)
    assert capsys.readouterr().out == ""
    estimator.set_params(verbose=True).fit(X, y, **keywords)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"Iteration {k}, loss = {loss:.8f}" for k, loss in enumerate(estimator.loss_curve_, start=1)
    ]
    if solver == "adam":
        estimator.set_params(early_stopping=True).fit(X, y, **keywords)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3
        assert f"validation score = {estimator.validation_scores_[-1]:.6f}" in lines[-1]


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@one_of_each()
def test_not_converged_is_told(estimator, solver):
    X, y, keywords = fit_args(estimator)
    with pytest.warns(ConvergenceWarning, match="max_iter=15"):
        estimator.set_params(solver=solver).fit(X, y, **keywords)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.set_params(tol=1.0).fit(X, y, **keywords)
    assert estimator.n_iter_ < 15


@one_of_each()
def test_repr_shows_what_was_set(estimator):
    assert "hidden_layer_sizes=(8,)" in repr(estimator)
    assert estimator._repr_html_()
