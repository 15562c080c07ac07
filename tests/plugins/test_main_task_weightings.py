"""Weightings with a main task: the formula, its minimum, and what a transfer makes of them."""

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, minimize
from scipy.special import softmax
from tables import QUICK, blobs, source_of, theta_of

from skmtl import MultiTaskClassifier, TransferClassifier, TransferRegressor, as_source
from skmtl.engine.compile import compiled
from skmtl.plugins.weightings import ARML

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
nojit = pytest.mark.nojit


def run(plugin, grams, n_labels=None, dtype="float64", update=ARML.update):
    """The weights at each step, given the Gram matrix at each step."""
    n = len(grams[0])
    n_labels = np.ones((len(grams), n), np.int64) if n_labels is None else n_labels
    state, hp = np.zeros(plugin.n_state(n)), np.array(plugin.hyper(), dtype)
    rng, path = np.random.default_rng(0), np.full((len(grams), n), np.nan)
    for k, gram in enumerate(grams):
        update(np.ones(n), n_labels[k], gram, k, 1, hp, state, rng, path[k])
    return path


def gradients(n, seed=0, n_steps=30):
    """Gradients of the tasks, one a row, at each step."""
    return np.random.default_rng(seed).standard_normal((n_steps, n, n + 3)) + 0.5


@nojit
@pytest.mark.parametrize("n_sources", [1, 2, 4])
def test_arml_step_by_step(n_sources):
    """Adam (Kingma and Ba 2015, algorithm 1) by the derivative of the distance, from gradients."""
    steps = gradients(1 + n_sources)
    path = run(ARML(lr=0.05), [g @ g.T for g in steps])
    v = m = s = np.zeros(n_sources)
    for k, g in enumerate(steps, 1):
        w = softmax(v)
        jacobian = n_sources * (np.diag(w) - np.outer(w, w))
        residual = g[0] - n_sources * w @ g[1:]
        slope = -jacobian @ g[1:] @ residual / n_sources / (g**2).sum(axis=1).max()
        m, s = 0.9 * m + 0.1 * slope, 0.999 * s + 0.001 * slope**2
        step = m / (1 - 0.9**k) / (np.sqrt(s / (1 - 0.999**k)) + 1e-8)
        v = v - 0.05 * step
        np.testing.assert_allclose(path[k - 1, 1:], n_sources * softmax(v), rtol=1e-6)
    assert (path[:, 0] == 1).all()
    np.testing.assert_allclose(path[:, 1:].sum(axis=1), n_sources, rtol=1e-12)


@nojit
@pytest.mark.parametrize("seed", range(4))
def test_arml_finds_the_nearest_mixture(seed):
    """SciPy's SLSQP on the weights, as the paper states the problem."""
    g = gradients(4, seed)[0]
    path = run(ARML(lr=0.01), [g @ g.T] * 5000)
    best = minimize(
        lambda w: ((g[0] - w @ g[1:]) ** 2).sum(),
        np.ones(3),
        method="SLSQP",
        bounds=[(0, None)] * 3,
        constraints=LinearConstraint(np.ones(3), 3, 3),
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(path[-1, 1:], best.x, atol=0.02)


@nojit
def test_units_of_the_losses_make_no_difference():
    grams = [g @ g.T for g in gradients(3)]
    path = run(ARML(), grams)
    for unit in (1e-30, 1e30):
        np.testing.assert_allclose(run(ARML(), [unit * g for g in grams]), path, rtol=1e-9)


@nojit
def test_a_batch_without_the_main_task_tells_nothing():
    grams, n_labels = [g @ g.T for g in gradients(3)], np.ones((30, 3), np.int64)
    n_labels[10:20, 0] = 0
    path = run(ARML(), grams, n_labels)
    np.testing.assert_array_equal(path[10:20], np.tile(path[9], (10, 1)))
    assert not np.allclose(path[20], path[9])
    without = run(ARML(), grams[:10] + grams[20:])
    np.testing.assert_array_equal(path[20:], without[10:])
    n_labels[:] = [1, 0, 0]
    np.testing.assert_array_equal(run(ARML(), grams, n_labels), np.tile([1.0, 0, 0], (30, 1)))


@nojit
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_is_plain(dtype):
    grams = [g @ g.T for g in gradients(4)]
    path = run(ARML(), grams, dtype=dtype)
    fast = run(ARML(), grams, dtype=dtype, update=compiled(ARML.update, "weighting", dtype))
    np.testing.assert_allclose(fast, path, rtol=1e-9)


# --- in a transfer -------------------------------------------------------------------------------


def help_and_harm(seed, n_target=30, n_source=300):
    """A target, a source that is like it, one with shuffled labels, and rows to score on."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((4, 8))

    def draw(n):
        y = rng.permutation(np.arange(n) % 4)
        return centres[y] + rng.standard_normal((n, 8)), y

    target, helpful, other, test = draw(n_target), draw(n_source), draw(n_source), draw(2000)
    return target, [*helpful, other[0], rng.permutation(other[1])], test


def test_a_source_that_harms_fades():
    """In each of 5 draws, and the target gains."""
    scores = {"uniform": [], "arml": []}
    for seed in range(5):
        target, sources, test = help_and_harm(seed)
        for weighting in scores:
            clf = TransferClassifier(
                (16,),
                weighting=weighting if weighting == "uniform" else ARML(),
                learning_rate_init=5e-3,
                max_iter=100,
                random_state=0,
            ).fit(*target, **as_source(*sources))
            scores[weighting].append(clf.score(*test))
        assert clf.source_weights_[1] < 0.2 * clf.source_weights_[0]
        assert clf.source_weights_.sum() == pytest.approx(1, abs=1e-9)
    gains = np.subtract(scores["arml"], scores["uniform"])
    assert gains.mean() > 0.03
    assert gains.min() > 0


def test_a_source_that_harms_fades_from_a_regression():
    gains = []
    for seed in range(5):
        (X, y), (X_1, y_1, X_2, y_2), (X_test, y_test) = help_and_harm(seed)
        numbers = np.random.default_rng(seed).standard_normal(8)
        fits = [
            TransferRegressor(
                (16,), weighting=weighting, learning_rate_init=5e-3, max_iter=100, random_state=0
            ).fit(
                X,
                np.tanh(X @ numbers),
                **as_source(
                    X_1,
                    np.tanh(X_1 @ numbers),
                    X_2,
                    np.random.default_rng(seed).permutation(np.tanh(X_2 @ numbers)),
                ),
            )
            for weighting in ("uniform", ARML())
        ]
        helpful, harmful = fits[1].source_weights_
        assert harmful < 0.5 * helpful
        one, other = (reg.score(X_test, np.tanh(X_test @ numbers)) for reg in fits)
        gains.append(other - one)
    assert min(gains) > 0


def test_equal_sources_weigh_the_same():
    X, y = blobs()
    source = source_of()
    twice = {name: 2 * value for name, value in source.items()}
    clf = TransferClassifier(**QUICK, weighting=ARML()).fit(X, y, **twice)
    np.testing.assert_allclose(clf.source_weights_, 0.5, atol=1e-9)
    np.testing.assert_allclose(clf.task_weights_path_, 1, atol=1e-9)


def test_weights_are_those_of_the_last_epoch_and_repeatable():
    target, sources, _ = help_and_harm(0)
    clf = TransferClassifier(**QUICK, weighting=ARML(), source_weighting=[1, 3])
    weights = clf.fit(*target, **as_source(*sources)).source_weights_
    np.testing.assert_allclose(weights, clf.task_weights_path_[-1, 1:] * [0.25, 0.75])
    theta = theta_of(clf)
    again = clf.fit(*target, **as_source(*sources))
    assert np.array_equal(again.source_weights_, weights)
    assert np.array_equal(theta_of(again), theta)


def test_source_weights_of_every_strategy():
    target, sources, _ = help_and_harm(0)
    for strategy, expected in [
        ("joint", [0.25, 0.75]),
        ("finetune", [0.25, 0.75]),
        ("source_only", [0.25, 0.75]),
        ("target_only", [0, 0]),
        ("pooled", [0.5, 0.5]),
    ]:
        clf = TransferClassifier(**QUICK, strategy=strategy, source_weighting=[1, 3])
        clf.fit(*target, **as_source(*sources))
        np.testing.assert_allclose(clf.source_weights_, expected)
    assert TransferClassifier(**QUICK).fit(*target).source_weights_.shape == (0,)


@pytest.mark.parametrize("strategy", ["source_only", "finetune"])
def test_without_the_target_sources_are_not_weighed(strategy):
    target, sources, _ = help_and_harm(0)
    plain, weighed = (
        TransferClassifier(**QUICK, strategy=strategy, weighting=weighting)
        for weighting in ("uniform", ARML())
    )
    for clf in (plain, weighed):
        clf.fit(*target, **as_source(*sources))
    np.testing.assert_array_equal(weighed.source_weights_, [0.5, 0.5])
    np.testing.assert_allclose(theta_of(weighed), theta_of(plain), rtol=1e-9)


def test_training_goes_on_while_a_source_fades():
    """The loss of a source that fades rises; that is no reason to stop."""
    target, sources, _ = help_and_harm(0)
    clf = TransferClassifier(
        (16,), weighting=ARML(0.1), share_head=True, learning_rate_init=5e-3, random_state=0
    )
    clf.fit(*target, **as_source(*sources))
    assert clf.task_loss_curves_[-1, 2] > clf.task_loss_curves_[:, 2].min() + 0.1
    weighted = (clf.task_loss_curves_ * clf.task_weights_path_) @ [0.5, 0.25, 0.25]
    assert weighted.argmin() >= clf.n_iter_ - 12


def test_the_first_of_several_tasks_is_the_main_one():
    X, y = blobs(120)
    Y = np.column_stack([y == 0, y == 1, y > 0])
    one, other = (MultiTaskClassifier(**QUICK, weighting=ARML()) for _ in range(2))
    for clf, order in ((one, [0, 1, 2]), (other, [1, 0, 2])):
        path = clf.fit(X, Y[:, order]).task_weights_path_
        assert (path[:, 0] == 1).all()
        np.testing.assert_allclose(path[:, 1:].sum(axis=1), 2)
    assert not np.allclose(one.task_weights_path_, other.task_weights_path_, atol=1e-3)
