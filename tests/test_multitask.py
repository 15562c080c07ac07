"""MultiTaskClassifier: what it gives, how it shares, how it trains, and what it refuses."""

import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import expit, softmax
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score
from tables import QUICK, blobs, digest, theta_of, wide

from skmtl import MultiTaskClassifier
from skmtl.engine.data import EVERY
from skmtl.engine.problem import Problem
from skmtl.plugins.optimizers import SGD
from skmtl.plugins.penalties import ElasticNet
from skmtl.plugins.sharings import CGC, CrossStitch, LearnedGroups, MMoE
from skmtl.task_columns import TaskColumn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHARING = ["hard", "none", "pooled"]


def quick(**parameters):
    return MultiTaskClassifier(**{**QUICK, **parameters})


def trunk_of(clf, X, t):
    """The representation that task t reads, from the fitted attributes alone."""
    H = X
    for weight, bias in zip(clf.coefs_, clf.intercepts_):
        if weight.ndim == 3:
            weight, bias = weight[t], bias[t]
        H = np.maximum(H @ weight + bias, 0)
    return H


def proba_of(clf, X, t):
    """Class probabilities of task t, from the fitted attributes alone."""
    H, head = trunk_of(clf, X, t), t if len(clf.head_coefs_) > 1 else 0
    *hidden, (weight, bias) = zip(clf.head_coefs_[head], clf.head_intercepts_[head])
    for w, b in hidden:
        H = np.maximum(H @ w + b, 0)
    out = H @ weight + bias
    return softmax(out, axis=1) if out.shape[1] > 1 else np.hstack([expit(-out), expit(out)])


# --- what a fit leaves ---------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)], ids=str)
@pytest.mark.parametrize("head_hidden", [(), (5,)], ids=str)
def test_attributes_are_the_network(sharing, hidden, head_hidden):
    X, Y = wide()
    clf = quick(sharing=sharing, hidden_layer_sizes=hidden, head_layer_sizes=head_hidden).fit(X, Y)
    stack = (3,) if sharing == "none" else ()
    widths = [4, *hidden]
    assert [w.shape for w in clf.coefs_] == [(*stack, *s) for s in zip(widths[:-1], widths[1:])]
    assert [b.shape for b in clf.intercepts_] == [(*stack, width) for width in hidden]
    n_heads = 1 if sharing == "pooled" else 3
    assert len(clf.head_coefs_) == len(clf.head_intercepts_) == n_heads
    assert all(len(head) == 1 + len(head_hidden) for head in clf.head_coefs_)
    for t, proba in enumerate(clf.predict_proba(X)):
        np.testing.assert_allclose(proba, proba_of(clf, X, t), rtol=1e-10)
    n_classes = [3, 3, 3] if sharing == "pooled" else [3, 2, 2]
    assert [len(classes) for classes in clf.classes_] == n_classes
    assert clf.n_tasks_ == 3
    assert clf.n_features_in_ == 4
    assert clf.task_names_ is None
    assert clf.n_iter_ == len(clf.loss_curve_) == 15
    assert clf.task_loss_curves_.shape == (15, 3)
    assert clf.validation_scores_ is clf.best_validation_score_ is None


def test_widths_may_be_numbers():
    X, Y = wide()
    one = quick(hidden_layer_sizes=8, head_layer_sizes=5).fit(X, Y)
    other = quick(hidden_layer_sizes=[8], head_layer_sizes=np.array([5])).fit(X, Y)
    assert np.array_equal(theta_of(one), theta_of(other))


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic", "gelu", "silu"])
def test_activations_learn(activation):
    X, Y = wide(missing=0)
    clf = quick(activation=activation, max_iter=60, learning_rate_init=0.05).fit(X, Y)
    assert clf.score(X, Y) > 0.95


def test_predictions_hang_together():
    X, Y = wide()
    clf = quick().fit(X, Y)
    labels, proba, logs = clf.predict(X), clf.predict_proba(X), clf.predict_log_proba(X)
    assert labels.shape == (60, 3)
    for t in range(3):
        np.testing.assert_allclose(proba[t].sum(axis=1), 1)
        np.testing.assert_array_equal(labels[:, t], clf.classes_[t][proba[t].argmax(axis=1)])
        np.testing.assert_allclose(np.exp(logs[t]), proba[t])
    assert not hasattr(clf, "decision_function")
    with pytest.raises(AttributeError, match="decision_function"):
        clf.decision_function(X)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_decision_function_of_one_task(n_classes):
    X, y = blobs(n_classes=n_classes)
    clf = quick()
    assert hasattr(clf, "decision_function")
    out = clf.fit(X, y).decision_function(X)
    proba = np.column_stack([expit(-out), expit(out)]) if n_classes == 2 else softmax(out, axis=1)
    np.testing.assert_allclose(clf.predict_proba(X), proba)
    assert np.array_equal(clf.predict(X), (out > 0) if n_classes == 2 else out.argmax(axis=1))


@pytest.mark.parametrize("weighted", [False, True])
def test_score_is_the_mean_over_tasks(weighted):
    X, Y = wide(missing=0.5)
    weight = np.random.default_rng(0).random(60) if weighted else None
    clf = quick().fit(X, Y)
    predicted, by_task = clf.predict(X), []
    for t in range(3):
        seen = ~np.isnan(Y[:, t])
        w = None if weight is None else weight[seen]
        by_task.append(accuracy_score(Y[seen, t], predicted[seen, t], sample_weight=w))
    assert clf.score(X, Y, sample_weight=weight) == pytest.approx(np.mean(by_task), rel=1e-12)


def test_score_where_a_task_has_no_label():
    X, Y = wide()
    clf = quick().fit(X, Y)
    other = Y.copy()
    other[:, 0] = np.nan
    seen = ~np.isnan(Y)
    right = clf.predict(X) == Y
    assert clf.score(X, other) == pytest.approx(
        np.mean([right[seen[:, t], t].mean() for t in (1, 2)])
    )


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sharing", SHARING)
def test_transform_is_what_the_heads_read(sharing, sparse):
    X, Y = wide()
    clf = quick(sharing=sharing, hidden_layer_sizes=(8, 6)).fit(X, Y)
    H = clf.transform(csr_array(X) if sparse else X)
    chains = [trunk_of(clf, X, t) for t in range(3 if sharing == "none" else 1)]
    np.testing.assert_allclose(H, np.hstack(chains), rtol=1e-10, atol=1e-14)
    names = clf.get_feature_names_out()
    assert names.tolist() == [f"multitaskclassifier{j}" for j in range(H.shape[1])]


@pytest.mark.parametrize("sharing", SHARING)
def test_transform_of_a_linear_model_is_x(sharing):
    X, Y = wide()
    clf = quick(sharing=sharing, hidden_layer_sizes=()).fit(X, Y)
    np.testing.assert_array_equal(clf.transform(X), X)
    assert len(clf.get_feature_names_out()) == 4


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(library):
    pytest.importorskip(library)
    X, Y = wide()
    clf = quick().set_output(transform=library)
    H = clf.fit(X, Y).transform(X)
    assert type(H).__module__.startswith(library)
    assert list(H.columns) == list(clf.get_feature_names_out())
    assert type(clf.fit_transform(X, Y)) is type(H)


def test_feature_names():
    pandas = pytest.importorskip("pandas")
    X, Y = wide()
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    clf = quick().fit(frame, Y)
    assert clf.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[["b", "a", "c", "d"]])
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame.iloc[:, :3])
    with pytest.raises(ValueError, match="5 features, but MultiTaskClassifier is expecting 4"):
        quick().fit(X, Y).predict(np.zeros((2, 5)))


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "decision_function", "transform", "task"]
)
def test_before_fit(method):
    with pytest.raises(NotFittedError):
        getattr(quick(), method)(blobs()[0] if method != "task" else 0)


def test_float32_in_float32_out():
    X, Y = wide(dtype=np.float32)
    clf = quick().fit(X, Y)
    assert {a.dtype for a in [*clf.coefs_, *clf.intercepts_]} == {np.dtype("float32")}
    assert clf.predict_proba(X)[0].dtype == clf.transform(X).dtype == np.float32
    double = quick().fit(X.astype(float), Y)
    np.testing.assert_allclose(clf.predict_proba(X)[0], double.predict_proba(X)[0], atol=1e-4)
    assert clf.predict_proba(X.astype(float))[0].shape == (60, 3)


# --- one task of several -------------------------------------------------------------------------


def test_task_views():
    pandas = pytest.importorskip("pandas")
    X, Y = wide()
    frame = pandas.DataFrame(Y, columns=["digit", "odd", "loop"])
    clf = quick().fit(X, frame)
    for t, name in enumerate(frame.columns):
        for view in (clf.task(t), clf.task(t - 3), clf.task(name), clf.task(np.int64(t))):
            assert is_classifier(view)
            assert np.array_equal(view.classes_, clf.classes_[t])
            assert np.array_equal(view.predict(X), clf.predict(X)[:, t])
            assert np.array_equal(view.predict_proba(X), clf.predict_proba(X)[t])
            seen = ~np.isnan(Y[:, t])
            assert view.score(X[seen], Y[seen, t]) == np.mean(view.predict(X)[seen] == Y[seen, t])
            assert view.n_features_in_ == 4
    for wrong in (3, -4, "even", None, 0.5):
        with pytest.raises(ValueError, match=f"no task {wrong!r}.*3.*'digit', 'odd', 'loop'"):
            clf.task(wrong)


def test_a_view_is_frozen():
    X, Y = wide()
    clf = quick().fit(X, Y)
    view, before = clf.task(1), digest(clf)
    assert clone(view) is view
    assert view.fit(X[:5], Y[:5, 0]) is view
    assert digest(clf) == before


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration_of_a_task(ensemble):
    X, Y = wide(missing=0)
    clf = quick().fit(X, Y)
    for t in range(3):
        view = FrozenEstimator(clf.task(t))
        calibrated = CalibratedClassifierCV(view, cv=3, ensemble=ensemble).fit(X, Y[:, t])
        assert calibrated.predict_proba(X).shape == clf.predict_proba(X)[t].shape
        np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # old matplotlib, new pyparsing
def test_displays_of_a_task():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot
    from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay, roc_auc_score

    X, Y = wide(missing=0)
    clf = quick().fit(X, Y)
    display = RocCurveDisplay.from_estimator(clf.task(1), X, Y[:, 1])
    auc = display.roc_auc if np.isscalar(display.roc_auc) else np.ravel(display.roc_auc)[0]
    assert auc == pytest.approx(roc_auc_score(Y[:, 1], clf.predict_proba(X)[1][:, 1]))
    display = ConfusionMatrixDisplay.from_estimator(clf.task(0), X, Y[:, 0])
    assert display.confusion_matrix.trace() == np.sum(clf.predict(X)[:, 0] == Y[:, 0])
    pyplot.close("all")


# --- sharing -------------------------------------------------------------------------------------


def test_without_sharing_a_task_does_not_see_the_others():
    X, Y = wide()
    other = Y.copy()
    other[:, 0] = np.where(np.isnan(Y[:, 0]), np.nan, Y[::-1, 0])
    other[:, 0] = np.where(np.isnan(Y[:, 0]) | ~np.isnan(other[:, 0]), other[:, 0], 0)
    for sharing, blind in [("none", True), ("hard", False)]:
        fits = [quick(sharing=sharing).fit(X, labels).predict_proba(X) for labels in (Y, other)]
        for t in (1, 2):
            assert np.array_equal(fits[0][t], fits[1][t]) == blind


def test_pooled_tasks_share_head_and_classes():
    X, Y = wide()
    clf = quick(sharing="pooled").fit(X, Y)
    assert all(np.array_equal(classes, [0, 1, 2]) for classes in clf.classes_)
    proba = clf.predict_proba(X)
    assert np.array_equal(proba[0], proba[1])
    assert np.array_equal(proba[0], proba[2])


def test_pooled_tasks_need_labels_of_one_kind():
    X, Y = wide(missing=0)
    mixed = np.column_stack([Y[:, 0].astype(int).astype(object), np.where(Y[:, 1] > 0, "a", "b")])
    with pytest.raises(ValueError, match="sharing='pooled' needs labels of one kind"):
        quick(sharing="pooled").fit(X, mixed)


def test_sharing_helps_where_labels_are_few():
    X, digit = load_digits(return_X_y=True)
    X, tasks = X / 16, np.column_stack([digit >= 5, digit % 2, np.isin(digit, [0, 6, 8, 9])])
    Y = np.column_stack([digit, tasks]).astype(float)
    Y[:1200][np.random.default_rng(0).random((1200, 4)) < 0.9] = np.nan
    scores = {}
    for sharing in ("hard", "none"):
        clf = MultiTaskClassifier(
            sharing=sharing, max_iter=60, learning_rate_init=0.01, random_state=0
        )
        scores[sharing] = clf.fit(X[:1200], Y[:1200]).score(X[1200:], Y[1200:])
    assert scores["hard"] > scores["none"] > 0.8


# --- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty, half_norm", [("l2", True), ("l1", False)])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_loss_curve_is_the_objective(solver, penalty, half_norm):
    X, Y = wide()
    lam = 0.3
    clf = quick(lam=lam, penalty=penalty, solver=solver, max_iter=1).fit(X, Y)
    # One full batch: the first loss is that of the start (adam), or after a step (lbfgs).
    if solver == "adam":
        clf = quick(lam=lam, penalty=penalty, max_iter=1, learning_rate_init=1e-300).fit(X, Y)
    losses = []
    for t in range(3):
        seen = ~np.isnan(Y[:, t])
        p = clf.predict_proba(X)[t][seen, Y[seen, t].astype(int)]
        losses.append(-np.log(p).mean())
    np.testing.assert_allclose(clf.task_loss_curves_[0], losses, rtol=1e-10)
    weights = [*clf.coefs_, *(w for head in clf.head_coefs_ for w in head)]
    norm = sum((w**2).sum() / 2 if half_norm else np.abs(w).sum() for w in weights)
    assert clf.loss_curve_[0] == pytest.approx(sum(losses) + lam * norm, rel=1e-10)


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "lbfgs"])
@pytest.mark.parametrize("sharing", SHARING)
def test_solvers_bring_the_loss_down(solver, sharing):
    X, Y = wide()
    rate = {"sgd": 0.1}.get(solver, 0.01)
    clf = quick(solver=solver, sharing=sharing, learning_rate_init=rate, batch_size=20).fit(X, Y)
    assert clf.loss_curve_[-1] < 0.8 * clf.loss_curve_[0]


def test_plugins_may_be_instances():
    X, Y = wide()
    for one, other in [
        ({"solver": "sgd"}, {"solver": SGD()}),
        ({"penalty": "elastic_net"}, {"penalty": ElasticNet(0.5)}),
        ({"penalty": "l1"}, {"penalty": ElasticNet(1.0)}),
        ({"penalty": "l2"}, {"penalty": ElasticNet(0.0)}),
    ]:
        a, b = quick(lam=0.1, **one).fit(X, Y), quick(lam=0.1, **other).fit(X, Y)
        np.testing.assert_allclose(theta_of(a), theta_of(b), rtol=1e-12)


def rates_of(clf, X, Y, monkeypatch):
    """The learning rates that the epochs of a fit are given."""
    epochs, rates = Problem.epochs, []

    def recorded(self, of_epochs):
        rates.extend(of_epochs)
        return epochs(self, of_epochs)

    with monkeypatch.context() as patch:
        patch.setattr(Problem, "epochs", recorded)
        clf.fit(X, Y)
    return np.array(rates)


@pytest.mark.parametrize(
    "schedule, formula",
    [
        ("constant", lambda k: 0.2 + 0 * k),
        ("invscaling", lambda k: 0.2 / np.sqrt(59 * k + 1)),  # 59 of the rows have labels
        ("cosine", lambda k: 0.1 * (1 + np.cos(np.pi * k / 15))),
    ],
)
def test_learning_rate_schedules(schedule, formula, monkeypatch):
    clf = quick(learning_rate=schedule, learning_rate_init=0.2, solver="sgd")
    rates = rates_of(clf, *wide(), monkeypatch)
    np.testing.assert_allclose(rates, formula(np.arange(15.0)))


def test_adaptive_learning_rate(monkeypatch):
    """Divided by five after n_iter_no_change + 1 epochs in vain, down to 1e-6, as scikit-learn."""
    clf = quick(learning_rate="adaptive", solver="sgd", max_iter=200, tol=10, n_iter_no_change=2)
    rates = rates_of(clf, *wide(), monkeypatch)
    # The first epoch always improves on infinity.
    expected = [1e-3, *np.repeat(1e-3 / 5.0 ** np.arange(6), 3)]
    np.testing.assert_allclose(rates, expected)
    assert clf.n_iter_ == len(expected) < 200


@pytest.mark.parametrize("n_iter_no_change", [1, 4])
def test_training_ends_when_nothing_improves(n_iter_no_change):
    clf = quick(tol=1e3, n_iter_no_change=n_iter_no_change, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.fit(*wide())
    assert clf.n_iter_ == n_iter_no_change + 2  # as MLPClassifier counts


def test_dropout_is_for_training_only():
    X, Y = wide()
    plain, dropped = quick().fit(X, Y), quick(dropout=0.5).fit(X, Y)
    assert not np.allclose(theta_of(plain), theta_of(dropped))
    assert np.array_equal(theta_of(dropped), theta_of(clone(dropped).fit(X, Y)))
    assert np.array_equal(dropped.predict_proba(X)[0], dropped.predict_proba(X)[0])
    for t in range(3):
        np.testing.assert_allclose(dropped.predict_proba(X)[t], proba_of(dropped, X, t))


def test_batches_are_drawn_from_the_seed():
    X, Y = wide()
    one = quick(batch_size=7).fit(X, Y)
    assert np.array_equal(theta_of(one), theta_of(quick(batch_size=7).fit(X, Y)))
    other = quick(batch_size=7, random_state=1).fit(X, Y)
    assert not np.array_equal(theta_of(one), theta_of(other))
    # More rows than there are is one batch.
    full = theta_of(quick(batch_size=60).fit(X, Y))
    assert np.array_equal(full, theta_of(quick(batch_size=1000).fit(X, Y)))
    assert np.array_equal(full, theta_of(quick().fit(X, Y)))


# --- early stopping ------------------------------------------------------------------------------


def test_early_stopping_keeps_the_best_weights():
    X, Y = wide(120)
    X_val, y_val = wide(80, seed=7)
    clf = quick(early_stopping=True, max_iter=200, learning_rate_init=0.05, n_iter_no_change=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.fit(X, Y, X_val=X_val, y_val=y_val)
    scores = clf.validation_scores_
    assert clf.best_validation_score_ == max(scores) == clf.score(X_val, y_val)
    assert len(scores) == clf.n_iter_ == len(clf.loss_curve_) < 200
    # It is the first of the best epochs, and the weights are those of that epoch.
    best = int(np.argmax(scores)) + 1
    short = quick(max_iter=best, learning_rate_init=0.05).fit(X, Y)
    assert np.array_equal(theta_of(short), theta_of(clf))


def test_early_stopping_counts_like_scikit_learn():
    """tol is on the score, and patience runs out after n_iter_no_change + 1 epochs in vain."""
    X, Y = wide()
    clf = quick(early_stopping=True, tol=2.0, n_iter_no_change=3, max_iter=50).fit(X, Y)
    assert clf.n_iter_ == 5


@pytest.mark.parametrize("one_task", [True, False])
def test_rows_set_aside_are_not_trained_on(one_task, monkeypatch):
    X, Y = wide(missing=0 if one_task else 0.3)
    Y = Y[:, 0] if one_task else Y
    train, held_out = np.arange(0, 60, 2), np.arange(1, 60, 2)
    monkeypatch.setattr(MultiTaskClassifier, "_split_off_validation", lambda *_: (train, held_out))
    clf = quick(early_stopping=True, batch_size=8).fit(X, Y)
    monkeypatch.undo()
    want = quick(early_stopping=True, batch_size=8)
    want.fit(X[train], Y[train], X_val=X[held_out], y_val=Y[held_out])
    assert np.array_equal(theta_of(clf), theta_of(want))
    assert clf.validation_scores_ == want.validation_scores_


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_validation_rows_are_labelled_and_stratified(fraction):
    X, y = blobs(120)
    y = np.where(np.arange(120) % 2, np.nan, y)
    y[0] = 0
    clf = quick(validation_fraction=fraction)
    codes = np.where(np.isnan(y), -1, y).astype(int)
    column = TaskColumn(EVERY, codes, codes >= 0)
    train, held_out = clf._split_off_validation([column], 120, np.random.default_rng(0))
    assert len(held_out) == round(60 * fraction)
    assert (codes[held_out] >= 0).all()
    counts = np.bincount(codes[held_out])
    assert counts.max() - counts.min() <= 2
    assert np.intersect1d(train, held_out).size == 0
    assert np.array_equal(np.union1d(train, held_out), np.flatnonzero(codes >= 0))


def test_early_stopping_does_not_see_rows_without_weight():
    X, Y = wide()
    keep = np.arange(60) % 4 > 0
    clf = quick(early_stopping=True)
    weighted = clone(clf).fit(X, Y, keep)
    assert np.array_equal(theta_of(weighted), theta_of(clone(clf).fit(X[keep], Y[keep])))


def test_early_stopping_may_not_take_all_labels_of_a_task():
    X, Y = wide(missing=0)
    Y[2:, 2] = np.nan
    Y[:2, 2] = 0, 1
    clf = quick(early_stopping=True, validation_fraction=0.6)
    outcomes = []
    for seed in range(8):  # where the two rows with a label go is chance
        try:
            outcomes.append(clone(clf).set_params(random_state=seed).fit(X, Y).n_iter_)
        except ValueError as error:
            assert "no label of task 2 is left" in str(error)  # noqa: PT017
            assert "Pass X_val and y_val" in str(error)  # noqa: PT017
            outcomes.append("refused")
    assert set(outcomes) == {15, "refused"}


@pytest.mark.parametrize(
    "keywords, match",
    [
        ({"X_val": blobs()[0]}, "X_val and y_val must be given together"),
        ({"y_val": blobs()[1]}, "X_val and y_val must be given together"),
        ({"X_val": np.zeros((9, 5)), "y_val": np.zeros(9)}, "5 features"),
        ({"X_val": np.zeros((9, 4)), "y_val": np.zeros(8)}, "inconsistent numbers of samples"),
        ({"X_val": np.zeros((9, 4)), "y_val": np.full(9, np.nan)}, "y_val has no label"),
        ({"X_val": np.zeros((9, 4)), "y_val": np.zeros((9, 2))}, "1 tasks, but y has 2"),
    ],
)
def test_wrong_validation_rows(keywords, match):
    with pytest.raises(ValueError, match=match):
        quick(early_stopping=True).fit(*blobs(), **keywords)


def test_validation_rows_need_early_stopping():
    X, y = blobs()
    with pytest.raises(ValueError, match="early_stopping=True"):
        quick().fit(X, y, X_val=X, y_val=y)


def test_too_few_rows_to_set_aside():
    X, y = blobs()
    y[:] = 0
    y[0] = 1
    with pytest.raises(ValueError, match=r"validation_fraction=0.1 of 60 rows.*Pass X_val"):
        quick(early_stopping=True).fit(X, y)


# --- going on: partial_fit and warm_start --------------------------------------------------------

CLASSES = [[0, 1, 2], [0, 1], [0, 1]]


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd"])
def test_partial_fit_by_epochs_is_fit(solver, sharing):
    X, Y = wide()
    clf = quick(solver=solver, sharing=sharing, max_iter=5, dropout=0.1)
    steps = clone(clf)
    for _ in range(5):
        assert steps.partial_fit(X, Y, classes=CLASSES) is steps
    clf.fit(X, Y)
    assert np.array_equal(theta_of(steps), theta_of(clf))
    assert steps.loss_curve_ == clf.loss_curve_
    assert np.array_equal(steps.task_loss_curves_, clf.task_loss_curves_)
    assert steps.n_iter_ == 5


def test_partial_fit_on_chunks():
    X, Y = wide(120)
    clf = quick(learning_rate_init=0.02)
    for _ in range(20):
        for chunk in np.split(np.arange(120), 6):
            clf.partial_fit(X[chunk], Y[chunk], classes=CLASSES)
    assert clf.score(X, Y) > 0.9
    assert [c.tolist() for c in clf.classes_] == CLASSES


def test_a_task_may_have_no_label_in_a_chunk():
    X, Y = wide()
    clf = quick().partial_fit(X, Y, CLASSES)
    before = [weight.copy() for weight in clf.head_coefs_[1]]
    hole = Y.copy()
    hole[:, 1] = np.nan
    clf.set_params(lam=0.0, solver=SGD(momentum=0.0)).partial_fit(X, hole)
    assert np.array_equal(clf.head_coefs_[1], before)
    clf.partial_fit(X, np.full_like(Y, np.nan))
    assert np.isfinite(theta_of(clf)).all()
    first = quick().partial_fit(X, hole, CLASSES)
    assert first.predict(X).shape == (60, 3)


@pytest.mark.parametrize("y, classes", [(blobs()[1], [0, 1, 2]), (wide()[1], CLASSES)])
def test_partial_fit_needs_classes_once(y, classes):
    X = blobs()[0]
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        quick().partial_fit(X, y)
    clf = quick().partial_fit(X, y, classes)
    clf.partial_fit(X, y).partial_fit(X, y, classes)
    if np.ndim(y) == 1:
        pandas = pytest.importorskip("pandas")
        series = pandas.Series([2, 1, 0], index=[5, 6, 7])
        same = quick().partial_fit(X, y, series).partial_fit(X, y, series).partial_fit(X, y)
        assert np.array_equal(theta_of(same), theta_of(clf))
    for wrong in ([0, 1], [[0, 1, 2], [0, 1]], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match="differs from those of the first call"):
            clf.partial_fit(X, y, wrong)
    with pytest.raises(ValueError, match=r"label 7\D.*not among the known classes"):
        clf.partial_fit(X, np.full_like(y, 7))


def test_partial_fit_takes_weights():
    X, Y = wide()
    weight = (np.random.default_rng(0).random(Y.shape) < 0.5).astype(float)
    rows = np.arange(60) % 2
    one = quick().partial_fit(X, Y, CLASSES, rows, label_weight=weight)
    keep = (weight * rows[:, None]) > 0
    other = quick().partial_fit(X, np.where(keep, Y, np.nan), CLASSES)
    assert np.array_equal(theta_of(one), theta_of(other))


def test_fit_begins_anew_after_partial_fit():
    X, Y = wide()
    for before in (X[:, :3], X):
        used = quick().partial_fit(before, Y, CLASSES).fit(X, Y)
        fresh = quick().fit(X, Y)
        assert np.array_equal(theta_of(used), theta_of(fresh))
        assert np.array_equal(
            theta_of(used.partial_fit(X, Y, CLASSES)), theta_of(fresh.partial_fit(X, Y))
        )


def test_partial_fit_after_a_change_of_solver():
    X, Y = wide()
    clf = quick(solver="adam").partial_fit(X, Y, CLASSES)
    clf.set_params(solver="sgd").partial_fit(X, Y)
    assert np.isfinite(theta_of(clf)).all()


def test_no_partial_fit_with_lbfgs():
    clf = quick(solver="lbfgs")
    assert not hasattr(clf, "partial_fit")
    with pytest.raises(AttributeError) as error:
        clf.partial_fit(*blobs(), classes=[0, 1, 2])
    assert "stochastic solver" in str(error.value.__cause__)


@pytest.mark.parametrize("sharing", SHARING)
def test_warm_start_goes_on(sharing):
    X, Y = wide()
    plain = SGD(momentum=0.0)  # no state but the weights
    clf = quick(sharing=sharing, solver=plain, learning_rate_init=0.1, warm_start=True, max_iter=6)
    clf.fit(X, Y).set_params(max_iter=9).fit(X, Y)
    assert clf.n_iter_ == 9
    full = quick(sharing=sharing, solver=plain, learning_rate_init=0.1, max_iter=15).fit(X, Y)
    np.testing.assert_allclose(theta_of(clf), theta_of(full), rtol=1e-12)


def test_warm_start_of_lbfgs_stays_at_the_minimum():
    X, Y = wide()
    clf = quick(solver="lbfgs", warm_start=True, max_iter=500, lam=0.1, tol=1e-6).fit(X, Y)
    loss, n_iter = clf.loss_curve_[-1], clf.n_iter_
    assert n_iter > 20
    assert clf.fit(X, Y).n_iter_ < n_iter / 3
    assert all(loss * (1 - 1e-6) < later <= loss for later in clf.loss_curve_)


def test_warm_start_with_fewer_classes_keeps_all():
    X, Y = wide()
    clf = quick(warm_start=True).fit(X, Y)
    few = np.where(Y == 2, np.nan, Y)
    clf.fit(X, few)
    assert clf.classes_[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "change, match",
    [
        ({"hidden_layer_sizes": (9,)}, "warm_start=True and partial_fit need the layers"),
        ({"hidden_layer_sizes": (4, 4)}, "warm_start=True and partial_fit need the layers"),
        ({"activation": "tanh"}, "warm_start=True and partial_fit need the layers"),
        ({"sharing": "none"}, "warm_start=True and partial_fit need the layers"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_warm_start_needs_the_same_network(change, match, method):
    X, Y = wide()
    clf = quick(warm_start=True).fit(X, Y).set_params(**change)
    with pytest.raises(ValueError, match=match):
        getattr(clf, method)(X, Y)


def test_warm_start_needs_the_same_tasks_and_columns():
    X, Y = wide()
    clf = quick(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="labels of 3 tasks, but y has 2"):
        clf.fit(X, Y[:, :2])
    with pytest.raises(ValueError, match="5 features"):
        clf.fit(np.zeros((60, 5)), Y)
    with pytest.raises(ValueError, match="not among the known classes"):
        clf.fit(X, Y + 1)


# --- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value, error, match",
    [
        ("hidden_layer_sizes", (8, 0), ValueError, r"hold integers >= 1. Got \(8, 0\)"),
        ("hidden_layer_sizes", (8.5,), ValueError, r"hold integers >= 1. Got \(8.5,\)"),
        ("hidden_layer_sizes", -1, ValueError, "Got -1"),
        ("head_layer_sizes", (8, "a"), ValueError, r"hold integers >= 1. Got \(8, 'a'\)"),
        ("activation", "step", ValueError, "relu.*Got 'step'"),
        ("lam", -1.0, ValueError, r"\[0.0, inf\).*Got -1.0"),
        ("lam", "1", ValueError, "Got '1'"),
        ("sharing", "soft", ValueError, "unknown name 'soft'; installed: cgc, .*pooled"),
        ("sharing", 3, ValueError, "'sharing' parameter.*Got 3"),
        ("sharing", LearnedGroups, TypeError, "instance, not the class"),
        ("sharing", LearnedGroups(0), ValueError, "'n_groups' .* int >= 1. Got 0"),
        ("sharing", MMoE(2.0), ValueError, "'n_experts' .* int >= 1. Got 2.0"),
        ("sharing", CGC(0, 0), ValueError, "'n_shared' and 'n_own' .* not both be 0"),
        ("sharing", CrossStitch(1.0), ValueError, r"'own' .*\(0, 1\). Got 1.0"),
        ("penalty", "l3", ValueError, "unknown name 'l3'; installed: .*l1, l2"),
        ("penalty", 3, ValueError, "Got 3"),
        ("penalty", SGD(), ValueError, "value_grad.*Got SGD"),
        ("penalty", ElasticNet, TypeError, "instance, not the class"),
        ("penalty", ElasticNet(2.0), ValueError, "'l1_ratio' .*Got 2.0"),
        ("loss", "hinge_loss", ValueError, "unknown name 'hinge_loss'; installed: .*log_loss"),
        ("weighting", "equal", ValueError, "unknown name 'equal'; installed: .*uniform"),
        ("solver", "newton", ValueError, "unknown name 'newton'; installed: .*adam, .*lbfgs"),
        ("solver", SGD(momentum=1.5), ValueError, "'momentum' .*Got 1.5"),
        ("learning_rate", "linear", ValueError, "cosine.*Got 'linear'"),
        ("learning_rate_init", 0.0, ValueError, "Got 0.0"),
        ("batch_size", 0, ValueError, "Got 0"),
        ("max_iter", 0, ValueError, "Got 0"),
        ("tol", -1.0, ValueError, "Got -1.0"),
        ("early_stopping", 3, ValueError, "Got 3"),
        ("validation_fraction", 1.0, ValueError, "Got 1.0"),
        ("n_iter_no_change", 0, ValueError, "Got 0"),
        ("dropout", 1.0, ValueError, "Got 1.0"),
        ("dropout", np.nan, ValueError, "Got nan"),
        ("missing_label", [1, 2], TypeError, r"missing_label must be a scalar.*\[1, 2\]"),
        ("warm_start", "yes", ValueError, "Got 'yes'"),
        ("random_state", -1, ValueError, "Got -1"),
    ],
)
def test_wrong_parameters(name, value, error, match):
    with pytest.raises(error, match=f"{name}.*{match}|{match}") as caught:
        MultiTaskClassifier(**{name: value}).fit(*wide())
    assert name in str(caught.value) or "parameter" in str(caught.value)


@pytest.mark.parametrize("name, value", [("early_stopping", True), ("dropout", 0.5)])
def test_lbfgs_has_no_minibatches(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}.*'adam', 'adamw' or 'sgd'"):
        quick(solver="lbfgs", **{name: value}).fit(*wide())


def test_convergence_of_lbfgs_is_told():
    with pytest.warns(ConvergenceWarning, match="lbfgs: max_iter=2"):
        quick(solver="lbfgs", max_iter=2).fit(*wide())


def test_failure_of_lbfgs_is_told(monkeypatch):
    """A gradient that points uphill makes its line search fail."""
    objective = Problem.objective

    def uphill(self, theta=None):
        value, grad, losses = objective(self, theta)
        return value, -grad, losses

    monkeypatch.setattr(Problem, "objective", uphill)
    with pytest.warns(ConvergenceWarning, match="lbfgs ended after .* without convergence"):
        quick(solver="lbfgs").fit(*wide())
