"""The estimators against things that must be equal: an oracle, scikit-learn, and each other."""

import naive
import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array, csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from tables import QUICK, blobs, one_of_each, source_of, theta_of, wide

from skmtl import MultiTaskClassifier, TransferClassifier, as_source
from skmtl.engine.data import Domain, Task
from skmtl.engine.layout import Architecture, Layout
from skmtl.plugins.optimizers import SGD, Adam, AdamW

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

STILL = {"learning_rate_init": 1e-300, "max_iter": 1}  # a fit that stays where it starts


@pytest.fixture
def estimator(request):
    return clone(request.param)


# --- the plain oracle ----------------------------------------------------------------------------

OPTIMIZERS = {
    "adam": (Adam(), naive.Adam()),
    "adamw": (AdamW(weight_decay=0.1), naive.Adam(weight_decay=0.1)),
    "sgd": (SGD(), naive.SGD()),
    "plain sgd": (SGD(0.0, nesterov=False), naive.SGD(0.0, nesterov=False)),
}


def oracle(clf, X, tasks, *, n_outputs, penalties, batch_size, step_rule, n_epochs, maps=(0,)):
    """Train the naive model from the estimator's seed; gives it with its loss curve.

    ``X`` are the rows of each domain, ``maps`` the sizes of their feature maps.
    """
    widths = {"n_inputs": X[0].shape[1], "hidden": tuple(clf.hidden_layer_sizes)}
    architecture = Architecture(
        **widths,
        activation=clf.activation,
        head_hidden=tuple(clf.head_layer_sizes),
        n_outputs=n_outputs,
        task_heads=tuple(task.head for task in tasks),
        gate_mask=((True,),) * len(tasks),
        map_sizes=maps,
    )
    rng = clf._generator()
    layout = Layout(architecture)
    theta = layout.initial(rng, np.float64)
    domains = [Domain(rows) for rows in X]
    if any(maps):
        domains[1] = Domain(X[1], clf.feature_map_)
        theta[layout.map_offsets[1] :] = np.eye(X[0].shape[1]).ravel()
    model = naive.Model(architecture, domains, tasks, penalties)
    trainer = naive.Trainer(model, theta, step_rule, batch_size, rng)
    losses = [trainer.epoch(clf.learning_rate_init)[0] for _ in range(n_epochs)]
    return trainer.theta, losses


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [7, 60])
def test_one_task_is_a_plain_net(optimizer, batch_size):
    X, y = blobs()
    plugin, step_rule = OPTIMIZERS[optimizer]
    clf = MultiTaskClassifier(
        (6, 5),
        solver=plugin,
        lam=0.1,
        learning_rate_init=0.02,
        max_iter=4,
        tol=0,
        batch_size=batch_size,
        random_state=3,
        activation="tanh",
    ).fit(X, y)
    task = Task(0, 0, clf.loss_, np.arange(60), y, np.ones(60))
    step_rule.t, step_rule.m, step_rule.v = 0, 0.0, 0.0
    theta, losses = oracle(
        clf,
        [X],
        [task],
        n_outputs=(3,),
        penalties=[("l2", 0.1, "trunk"), ("l2", 0.1, "heads")],
        batch_size=batch_size,
        step_rule=step_rule,
        n_epochs=4,
    )
    np.testing.assert_allclose(theta_of(clf), theta, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(clf.loss_curve_, losses, rtol=1e-10)


@pytest.mark.parametrize("batch_size", [7, 60])
def test_several_tasks_with_holes_and_weights(batch_size):
    X, Y = wide()
    weight = np.random.default_rng(0).uniform(0.5, 2, 60)
    clf = MultiTaskClassifier(
        (6,),
        head_layer_sizes=(4,),
        lam=0.1,
        penalty="l2",
        learning_rate_init=0.02,
        max_iter=4,
        tol=0,
        batch_size=batch_size,
        random_state=3,
        activation="silu",
    ).fit(X, Y, weight)
    tasks = []
    for t in range(3):
        rows = np.flatnonzero(~np.isnan(Y[:, t]))
        tasks.append(Task(0, t, clf.loss_, rows, Y[rows, t].astype(int), weight[rows]))
    theta, losses = oracle(
        clf,
        [X],
        tasks,
        n_outputs=(3, 1, 1),
        penalties=[("l2", 0.1, "trunk"), ("l2", 0.1, "heads")],
        batch_size=batch_size,
        step_rule=naive.Adam(),
        n_epochs=4,
    )
    np.testing.assert_allclose(theta_of(clf), theta, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(clf.loss_curve_, losses, rtol=1e-10)


@pytest.mark.parametrize("batch_size", [9, 80])
@pytest.mark.parametrize("lam, mu", [(0.5, 0.3), (4.0, 0.0)])
def test_a_source_through_a_map(lam, mu, batch_size):
    X, y = blobs()
    (X_s,), (y_s,) = source_of().values()
    clf = TransferClassifier(
        (6,),
        lam=lam,
        mu=mu,
        alpha=0.05,
        feature_map="linear",
        share_head=False,
        learning_rate_init=0.02,
        max_iter=4,
        tol=0,
        batch_size=batch_size,
        random_state=3,
        activation="gelu",
    ).fit(X, y, **as_source(X_s, y_s))
    tasks = [
        Task(0, 0, clf.loss_, np.arange(60), y, np.ones(60), lam / (1 + lam)),
        Task(1, 1, clf.loss_, np.arange(80), y_s, np.ones(80), 1 / (1 + lam)),
    ]
    theta, losses = oracle(
        clf,
        [X, X_s],
        tasks,
        n_outputs=(3, 3),
        penalties=[
            ("l2", 0.05, "trunk"),
            ("l2", 0.05, "heads"),
            ("identity", mu / (1 + lam), 1),
        ],
        batch_size=batch_size,
        step_rule=naive.Adam(),
        n_epochs=4,
        maps=(0, 16),
    )
    np.testing.assert_allclose(theta_of(clf), theta, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(clf.loss_curve_, losses, rtol=1e-10)


# --- scikit-learn's network, step by step --------------------------------------------------------


class StartingFrom(MLPClassifier):
    """An MLPClassifier with given initial weights."""

    def _init_coef(self, fan_in, fan_out, dtype):
        weight, bias = next(START)
        assert weight.shape == (fan_in, fan_out)
        return weight.astype(dtype), bias.astype(dtype)


START = iter([])

STEPS = [
    {"solver": "adam"},
    {"solver": "sgd", "learning_rate_init": 0.05},
    {"solver": "sgd", "learning_rate_init": 0.05, "learning_rate": "adaptive", "tol": 0.02},
    {"solver": "lbfgs"},
]


@pytest.mark.parametrize("steps", STEPS, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
def test_the_same_steps_as_scikit_learn(activation, n_classes, steps):
    global START
    X, y = blobs(n_classes=n_classes)
    options = {"max_iter": 40, "tol": 0.0, "n_iter_no_change": 3, "activation": activation, **steps}
    clf = MultiTaskClassifier((6, 5), lam=0.6 / 60, random_state=0, **options)
    start = clone(clf).set_params(**{**STILL, "solver": "sgd"}).fit(X, y)
    layers = zip(start.coefs_, start.intercepts_), zip(*start.head_coefs_, *start.head_intercepts_)
    START = iter([pair for part in layers for pair in part])
    mlp = StartingFrom((6, 5), alpha=0.6, **options).fit(X, y)
    clf.fit(X, y)
    assert clf.n_iter_ == mlp.n_iter_
    if steps["solver"] != "lbfgs":
        np.testing.assert_allclose(clf.loss_curve_, mlp.loss_curve_, rtol=1e-10)
    tolerance = {"rtol": 1e-6, "atol": 1e-8}
    for mine, theirs in zip([*clf.coefs_, clf.head_coefs_[0][0]], mlp.coefs_):
        np.testing.assert_allclose(mine, theirs, **tolerance)
    for mine, theirs in zip([*clf.intercepts_, clf.head_intercepts_[0][0]], mlp.intercepts_):
        np.testing.assert_allclose(mine, theirs, **tolerance)
    np.testing.assert_allclose(clf.predict_proba(X), mlp.predict_proba(X), **tolerance)
    np.testing.assert_array_equal(clf.predict(X), mlp.predict(X))


@pytest.mark.parametrize("load", [load_digits, load_breast_cancer, load_wine])
@pytest.mark.parametrize("kind", [MultiTaskClassifier, TransferClassifier])
def test_as_accurate_as_scikit_learn(load, kind):
    """The same net, optimizer and epochs, each with its own draws."""
    X, y = load(return_X_y=True)
    options = {"hidden_layer_sizes": (20,), "max_iter": 30, "learning_rate_init": 0.01}
    scores = []
    for seed in range(3):
        X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=seed)
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
        alpha = 0.1
        batch = min(200, len(y_train))  # scikit-learn divides alpha by the rows of each batch
        strength = {"lam" if kind is MultiTaskClassifier else "alpha": alpha / batch}
        ours = kind(random_state=seed, **strength, **options)
        theirs = MLPClassifier(random_state=seed, alpha=alpha, **options)
        scores.append([m.fit(X_train, y_train).score(X_test, y_test) for m in (ours, theirs)])
    ours, theirs = np.transpose(scores)
    assert abs(ours.mean() - theirs.mean()) <= max(theirs.std(ddof=1), 0.015)


# --- tasks among themselves ----------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("batch_size", [7, 60])
@pytest.mark.parametrize("n_copies", [2, 5])
def test_copies_of_a_task_are_that_task(n_copies, batch_size, momentum):
    """T copies have T times the loss: the same minimum with T lam, the same steps with lr / T."""
    X, y = blobs()
    options = {"solver": SGD(momentum), "batch_size": batch_size, "random_state": 0, "tol": 0}
    one = MultiTaskClassifier((8,), lam=0.1, learning_rate_init=0.04, max_iter=10, **options)
    many = MultiTaskClassifier(
        (8,),
        lam=0.1 * n_copies,
        learning_rate_init=0.04 / n_copies,
        max_iter=10,
        sharing="pooled",
        **options,
    )
    one.fit(X, y), many.fit(X, np.column_stack([y] * n_copies))
    np.testing.assert_allclose(theta_of(many), theta_of(one), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(np.array(many.loss_curve_) / n_copies, one.loss_curve_, rtol=1e-10)
    for proba in many.predict_proba(X):
        np.testing.assert_allclose(proba, one.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("hidden", [(8,), (8, 6), ()], ids=str)
@pytest.mark.parametrize("head_hidden", [(), (5,)], ids=str)
def test_without_sharing_it_is_separate_fits(head_hidden, hidden, solver):
    X, Y = wide()
    options = {
        "hidden_layer_sizes": hidden,
        "head_layer_sizes": head_hidden,
        "lam": 0.05,
        "tol": 0,
        "solver": solver,
        "warm_start": True,
        "random_state": 0,
        "learning_rate_init": 0.03,
    }
    start = {**STILL, "solver": "sgd"}
    together = MultiTaskClassifier(sharing="none", **options).set_params(**start).fit(X, Y)
    alone = [MultiTaskClassifier(**options).set_params(**start).fit(X, Y[:, t]) for t in range(3)]
    for t, clf in enumerate(alone):
        for mine, theirs in [
            *zip(clf.coefs_, [weight[t] for weight in together.coefs_] if hidden else []),
            *zip(clf.intercepts_, [bias[t] for bias in together.intercepts_] if hidden else []),
            *zip(clf.head_coefs_[0], together.head_coefs_[t]),
            *zip(clf.head_intercepts_[0], together.head_intercepts_[t]),
        ]:
            mine[...] = theirs  # a view of all its weights
    go_on = {"max_iter": 400 if solver == "lbfgs" else 15, "learning_rate_init": 0.03}
    go_on["solver"] = solver
    together.set_params(**go_on).fit(X, Y)
    # lbfgs takes one path for all: compare near the minimum, which is one if there is one layer.
    if solver == "lbfgs" and (hidden or head_hidden):
        return
    tolerance = {"atol": 1e-3} if solver == "lbfgs" else {"atol": 1e-8}
    for t, clf in enumerate(alone):
        clf.set_params(**go_on).fit(X, Y[:, t])
        proba = together.predict_proba(X)[t]
        np.testing.assert_allclose(proba, clf.predict_proba(X), **tolerance)
        if solver != "lbfgs":
            curve = together.task_loss_curves_[:, t]
            np.testing.assert_allclose(curve, clf.task_loss_curves_[:, 0], rtol=1e-8)


def test_hard_sharing_of_one_task_is_any_sharing():
    X, y = blobs()
    fits = [theta_of(MultiTaskClassifier(**QUICK, sharing=s).fit(X, y)) for s in ("hard", "none")]
    pooled = theta_of(MultiTaskClassifier(**QUICK, sharing="pooled").fit(X, y))
    assert np.array_equal(fits[0], fits[1])
    assert np.array_equal(fits[0], pooled)


def test_the_order_of_the_tasks_does_not_matter():
    """Up to the start of the heads: without trunk and at the minimum, nothing is left of it."""
    X, Y = wide()
    clf = MultiTaskClassifier((), lam=0.1, solver="lbfgs", max_iter=300, tol=1e-7, random_state=0)
    one, other = clone(clf).fit(X, Y), clone(clf).fit(X, Y[:, ::-1])
    for a, b in zip(one.predict_proba(X), reversed(other.predict_proba(X))):
        np.testing.assert_allclose(a, b, atol=1e-4)


# --- rows ----------------------------------------------------------------------------------------

SOLVERS = ["adam", "adamw", "sgd", "lbfgs"]


@pytest.mark.parametrize("batch_size", [7, 100])
@pytest.mark.parametrize("solver", SOLVERS)
@one_of_each()
def test_zero_weight_is_a_removed_row(estimator, solver, batch_size):
    estimator.set_params(solver=solver, batch_size=batch_size)
    keywords = source_of() if isinstance(estimator, TransferClassifier) else {}
    X, Y = wide()
    y = Y if not keywords else Y[:, 0]
    keep = np.random.default_rng(1).random(60) < 0.8
    weight = np.random.default_rng(2).uniform(0.5, 2, 60)
    one = theta_of(clone(estimator).fit(X, y, weight * keep, **keywords))
    other = theta_of(clone(estimator).fit(X[keep], y[keep], weight[keep], **keywords))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@one_of_each()
def test_weight_two_is_two_rows(estimator, solver):
    estimator.set_params(solver=solver)
    keywords = source_of() if isinstance(estimator, TransferClassifier) else {}
    X, Y = wide(40)
    y = Y if not keywords else Y[:, 0]
    weight = 1 + np.arange(40) % 3
    rows = np.repeat(np.arange(40), weight)
    one = theta_of(clone(estimator).fit(X, y, weight, **keywords))
    other = theta_of(clone(estimator).fit(X[rows], y[rows], **keywords))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def thinned(X):
    return np.where(np.abs(X) < 0.7, 0, X)


@pytest.mark.parametrize("make", [csr_array, csr_matrix, csc_array])
@pytest.mark.parametrize("batch_size", [9, 100])
@pytest.mark.parametrize("solver", SOLVERS)
def test_sparse_rows_are_dense_rows(solver, batch_size, make):
    X, Y = wide()
    X = thinned(X)
    X[5] = 0
    for sharing in ("hard", "none"):
        clf = MultiTaskClassifier(**QUICK, solver=solver, batch_size=batch_size, sharing=sharing)
        dense, sparse = clone(clf).fit(X, Y), clone(clf).fit(make(X), Y)
        tolerance = {"rtol": 1e-6, "atol": 1e-7} if solver == "lbfgs" else {"rtol": 1e-10}
        np.testing.assert_allclose(theta_of(sparse), theta_of(dense), **tolerance)
        proba = sparse.predict_proba(make(X))
        for t in range(3):
            np.testing.assert_allclose(proba[t], sparse.predict_proba(X)[t], rtol=1e-10)


@pytest.mark.parametrize("feature_map", ["identity", "linear", "affine"])
@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)], ids=str)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_sources_and_targets(solver, which, feature_map):
    X, y = blobs()
    (X_s,), (y_s,) = source_of().values()
    X, X_s = thinned(X), thinned(X_s)
    clf = TransferClassifier(
        **QUICK, solver=solver, batch_size=9, feature_map=feature_map, alpha=0.1
    )
    dense = clone(clf).fit(X, y, **as_source(X_s, y_s))
    sparse = clone(clf).fit(
        csr_array(X) if which[0] else X, y, **as_source(csr_array(X_s) if which[1] else X_s, y_s)
    )
    tolerance = {"rtol": 1e-6, "atol": 1e-7} if solver == "lbfgs" else {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(theta_of(sparse), theta_of(dense), **tolerance)
    np.testing.assert_allclose(
        sparse.map_source(csr_array(X_s)) if feature_map != "identity" else X_s,
        dense.map_source(X_s),
        rtol=1e-6,
        atol=1e-8,
    )


@pytest.mark.parametrize("lam", [0.0, 1e-2])
@pytest.mark.parametrize("sharing", ["hard", "none"])
def test_text_in_csr_is_text_in_dense_rows(sharing, lam):
    """Few of its columns occur in a batch, so their weights take their steps late."""
    rng = np.random.default_rng(0)
    X = np.zeros((300, 2000))
    for row in X:
        row[rng.choice(2000, 6, replace=False)] = rng.uniform(0.5, 2, 6)
    Y = np.stack([X @ rng.standard_normal(2000) > 0, X @ rng.standard_normal(2000) > 0], axis=1)
    clf = MultiTaskClassifier(
        **QUICK, learning_rate_init=0.01, lam=lam, batch_size=10, sharing=sharing
    )
    dense, sparse = clone(clf).fit(X, Y), clone(clf).fit(csr_array(X), Y)
    np.testing.assert_allclose(sparse.loss_curve_, dense.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(theta_of(sparse), theta_of(dense), rtol=1e-8, atol=1e-10)
    for chunk in np.split(np.arange(300), 3):
        dense.partial_fit(X[chunk], Y[chunk])
        sparse.partial_fit(csr_array(X[chunk]), Y[chunk])
    np.testing.assert_allclose(theta_of(sparse), theta_of(dense), rtol=1e-8, atol=1e-10)


def test_duplicate_entries_of_a_sparse_row_add_up():
    X = csr_array(
        (np.array([1.0, 2, 3, 4]), np.array([2, 0, 2, 1]), np.array([0, 3, 4])), shape=(2, 3)
    )
    y = np.array([0, 1])
    one, other = (MultiTaskClassifier(**QUICK).fit(rows, y) for rows in (X, X.toarray()))
    np.testing.assert_allclose(theta_of(one), theta_of(other), rtol=1e-12)


# --- several domains -----------------------------------------------------------------------------


def test_a_source_that_is_the_target_is_the_target_alone():
    """With one head and no map, L_s = L_t: J is the same for every lambda."""
    X, y = blobs()
    plain = TransferClassifier(**QUICK, solver=SGD()).fit(X, y)
    for lam in (0.0, 0.3, 5.0, np.inf):
        clf = TransferClassifier(**QUICK, solver=SGD(), lam=lam)
        clf.fit(X, y, **as_source(X.copy(), y.copy()))
        np.testing.assert_allclose(theta_of(clf), theta_of(plain), rtol=1e-10)


def test_two_domains_are_a_table_of_two_tasks():
    """Joint training with lam = 1 and separate heads is two tasks on stacked rows, J / 2."""
    X, y = blobs()
    (X_s,), (y_s,) = source_of().values()
    table = np.full((140, 2), np.nan)
    table[:60, 0], table[60:, 1] = y, y_s
    options = {**QUICK, "solver": SGD()}
    transfer = TransferClassifier(**options, alpha=0.1, learning_rate_init=0.04, share_head=False)
    tasks = MultiTaskClassifier(**options, lam=0.2, learning_rate_init=0.02)
    transfer.fit(X, y, **as_source(X_s, y_s))
    tasks.fit(np.vstack([X, X_s]), table)
    np.testing.assert_allclose(theta_of(transfer), theta_of(tasks), rtol=1e-10)
    np.testing.assert_allclose(transfer.task_loss_curves_, tasks.task_loss_curves_, rtol=1e-10)
