"""Weightings by losses against their formulas; every weighting in a fit."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning

import skmtl.plugins.weightings as catalogue
from skmtl import MultiTaskClassifier
from skmtl.engine.compile import compiled
from skmtl.plugins.weightings import (
    DWA,
    FAMO,
    IMTLL,
    RLW,
    GeometricMean,
    GradNorm,
    SmoothTchebycheff,
    Uncertainty,
    Uniform,
)

ALL = [getattr(catalogue, name)() for name in catalogue.__all__]
nojit = pytest.mark.nojit


def run(plugin, losses, n_labels=None, gram=None, per_epoch=1, dtype="float64", seed=0):
    """The weights at each step, given the losses at each step."""
    losses = np.asarray(losses, float)
    n = losses.shape[1]
    n_labels = np.ones(losses.shape, np.int64) if n_labels is None else np.asarray(n_labels)
    gram = np.zeros((n, n)) if gram is None else gram
    state, hp = np.zeros(plugin.n_state(n)), np.array(plugin.hyper(), dtype)
    rng, path = np.random.default_rng(seed), np.full(losses.shape, np.nan)
    for k, row in enumerate(losses):
        plugin.update(row, n_labels[k], gram, k, per_epoch, hp, state, rng, path[k])
    return path


def falling(n_steps, n, seed=0):
    rng = np.random.default_rng(seed)
    return np.exp(
        rng.normal(0, 0.1, (n_steps, n)) - np.outer(np.arange(n_steps), rng.random(n)) / 9
    )


class Adam:
    """Kingma and Ba (2015), algorithm 1 in the form that ends section 2."""

    def __init__(self, lr):
        self.lr, self.m, self.v, self.k = lr, 0, 0, 0

    def __call__(self, x, grad):
        self.k += 1
        self.m = 0.9 * self.m + 0.1 * grad
        self.v = 0.999 * self.v + 0.001 * grad**2
        rate = self.lr * np.sqrt(1 - 0.999**self.k) / (1 - 0.9**self.k)
        return x - rate * self.m / (np.sqrt(self.v) + 1e-8)


@nojit
def test_uniform_weights():
    assert (run(Uniform(), np.ones((2, 3))) == 1).all()


@nojit
def test_rlw_weighs_at_random():
    path, rng = run(RLW(), np.ones((2000, 3))), np.random.default_rng(0)
    expected = [softmax([rng.standard_normal() for _ in range(3)]) for _ in range(2000)]
    np.testing.assert_allclose(path, expected, rtol=1e-12)
    np.testing.assert_allclose(path.mean(axis=0), 1 / 3, atol=0.02)


@nojit
def test_geometric_mean_descends_the_geometric_mean():
    losses, h = np.array([0.3, 2.0, 7.0, 0.01]), 1e-6
    expected = [
        (np.prod(losses + h * e) ** 0.25 - np.prod(losses - h * e) ** 0.25) / (2 * h)
        for e in np.eye(4)
    ]
    np.testing.assert_allclose(run(GeometricMean(), [losses])[0], expected, rtol=1e-5)
    np.testing.assert_allclose(run(GeometricMean(), [np.ones(4)])[0], 0.25)


@nojit
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_dwa_compares_two_epochs(temperature):
    losses = falling(20, 3)
    path = run(DWA(temperature), losses, per_epoch=4)
    np.testing.assert_array_equal(path[:8], 1)
    means = losses.reshape(5, 4, 3).mean(axis=1)
    for epoch in (2, 3, 4):
        expected = 3 * softmax(means[epoch - 1] / means[epoch - 2] / temperature)
        np.testing.assert_allclose(path[4 * epoch : 4 * epoch + 4], [expected] * 4, rtol=1e-12)


@nojit
@pytest.mark.parametrize("mu", [0.2, 1.0])
def test_smooth_tchebycheff_by_its_gradient(mu):
    losses, h = falling(16, 3), 1e-6
    path = run(SmoothTchebycheff(mu, warmup=2), losses, per_epoch=4)
    np.testing.assert_allclose(path[:12], 1 / losses[:12], rtol=1e-6)
    nadir = losses[8:12].mean(axis=0)

    def value(x):
        return 3 * mu * np.log(np.sum(np.exp(np.log(x / nadir) / mu)))

    for k in range(12, 16):
        x = losses[k]
        expected = [(value(x + h * e) - value(x - h * e)) / (2 * h) for e in np.eye(3)]
        np.testing.assert_allclose(path[k], expected, rtol=1e-6)


@nojit
@pytest.mark.parametrize(
    "plugin, weight, slope",
    [
        (Uncertainty(lr=0.1), lambda s: np.exp(-s), lambda s, x: 0.5 - np.exp(-s) * x),
        (IMTLL(lr=0.1), np.exp, lambda s, x: np.exp(s) * x - 1),
    ],
    ids=["Uncertainty", "IMTLL"],
)
def test_learned_scales_step_by_step(plugin, weight, slope):
    losses, adam, s = falling(30, 3), Adam(0.1), np.zeros(3)
    for row, weights in zip(losses, run(plugin, losses)):
        np.testing.assert_allclose(weights, weight(s), rtol=1e-10)
        s = adam(s, slope(s, row))


@nojit
@pytest.mark.parametrize("plugin, factor", [(Uncertainty(), 0.5), (IMTLL(), 1.0)], ids=str)
def test_learned_scales_find_their_optimum(plugin, factor):
    losses = np.array([0.02, 0.7, 30.0])
    path = run(plugin, np.tile(losses, (3000, 1)))
    np.testing.assert_allclose(path[-1], factor / losses, rtol=1e-4)


@nojit
def test_famo_step_by_step():
    losses, adam, xi = falling(40, 3), Adam(0.05), np.zeros(3)
    path = run(FAMO(gamma=0.01, lr=0.05), losses)
    for k in range(40):
        if k > 0:
            change = np.log(losses[k - 1] / losses[k])
            z = softmax(xi)
            jacobian = np.diag(z) - np.outer(z, z)
            xi = adam(xi, jacobian @ change + 0.01 * xi)
        expected = softmax(xi) / losses[k]
        np.testing.assert_allclose(path[k], expected / expected.sum(), rtol=1e-6)


@nojit
def test_famo_turns_to_the_task_that_falls_least():
    losses = np.exp(-np.outer(np.arange(300), [0.01, 0.002, 0.006]))
    path = run(FAMO(gamma=0.0), losses) * losses
    assert (path[-100:].argmax(axis=1) == 1).all()


@nojit
def test_gradnorm_step_by_step():
    losses, adam, v = falling(40, 3), Adam(0.05), np.zeros(3)
    j = np.random.default_rng(0).standard_normal((3, 9)) * [[1], [5], [0.2]]
    norms = np.linalg.norm(j, axis=1)
    path = run(GradNorm(alpha=0.7, lr=0.05), losses, gram=j @ j.T, per_epoch=4)
    first = losses[:4].mean(axis=0)
    np.testing.assert_array_equal(path[:4], 1)
    for k in range(4, 40):
        w = 3 * softmax(v)
        np.testing.assert_allclose(path[k], w, rtol=1e-6)
        rate = losses[k] / first / np.mean(losses[k] / first)
        target = np.mean(w * norms) * rate**0.7
        # the gradient of sum |w norms - target|, in units of the mean length: Adam does not mind
        by_w = np.sign(w * norms - target) * norms / np.mean(w * norms)
        v = adam(v, (np.diag(w) - np.outer(w, w) / 3) @ by_w)


@nojit
def test_gradnorm_makes_gradients_equally_long():
    norms = np.array([0.1, 1.0, 4.0])
    path = run(GradNorm(alpha=0.0, lr=0.005), np.ones((3000, 3)), gram=np.diag(norms**2))
    expected = 3 / norms / np.sum(1 / norms)
    np.testing.assert_allclose(path[-100:].mean(axis=0), expected, rtol=0.02)


@nojit
def test_gradnorm_leaves_equal_tasks_alone():
    path = run(GradNorm(), np.full((50, 3), 0.7), gram=np.full((3, 3), 0.3))
    np.testing.assert_allclose(path, 1, rtol=1e-12)


@nojit
@pytest.mark.parametrize("plugin", [SmoothTchebycheff(warmup=0), GradNorm()], ids=str)
def test_a_task_that_comes_late_starts_from_its_first_loss(plugin):
    losses, n_labels = np.tile([3.0, 3.0], (12, 1)), np.ones((12, 2), np.int64)
    losses[:8, 1] = n_labels[:8, 1] = 0
    path = run(plugin, losses, n_labels, np.eye(2), per_epoch=4)
    assert path[8, 0] == pytest.approx(path[8, 1], rel=1e-6)  # neither has changed since


STEPS = [
    RLW(), DWA(), GeometricMean(), SmoothTchebycheff(), Uncertainty(), IMTLL(), FAMO(), GradNorm(),
]  # fmt: skip


@nojit
@pytest.mark.parametrize("plugin", STEPS[1:], ids=str)
def test_order_of_tasks_does_not_matter(plugin):
    losses, order, norms = falling(30, 4), [2, 0, 3, 1], np.diag([1.0, 2, 3, 4])
    path = run(plugin, losses, gram=norms, per_epoch=3)
    moved = run(plugin, losses[:, order], gram=norms[order][:, order], per_epoch=3)
    np.testing.assert_allclose(moved, path[:, order], rtol=1e-9)


@nojit
@pytest.mark.parametrize("plugin", STEPS, ids=str)
def test_a_task_that_is_never_there_does_not_matter(plugin):
    losses, there, norms = falling(30, 5), [0, 2, 3], np.diag([1.0, 2, 3, 4, 5])
    n_labels = np.zeros((30, 5), np.int64)
    n_labels[:, there] = 2
    path = run(plugin, losses * (n_labels > 0), n_labels, norms, per_epoch=3)
    alone = run(plugin, losses[:, there], gram=norms[there][:, there], per_epoch=3)
    np.testing.assert_allclose(path[:, there], alone, rtol=1e-9)
    assert np.isfinite(path).all()


@nojit
@pytest.mark.parametrize("plugin", STEPS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_are_finite_whatever_the_losses(plugin, dtype):
    rng = np.random.default_rng(0)
    for scale in (0.0, 1e-300, 1e-8, 1e8, 1e100):
        losses = scale * rng.random((200, 4))
        losses[:, 1] = 1.0
        n_labels = rng.integers(0, 3, (200, 4))
        n_labels[7] = 0  # a batch without any label
        losses[n_labels == 0] = 0
        gram = np.diag([scale, 1.0, 1e-16, 0.0])
        path = run(plugin, losses, n_labels, gram, per_epoch=10, dtype=dtype)
        assert np.isfinite(path).all()
        assert (path >= 0).all()


@nojit
@pytest.mark.parametrize("plugin", STEPS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_is_plain(plugin, dtype):
    losses, gram, labels = falling(30, 4), np.diag([1.0, 2, 3, 4]), np.ones(4, np.int64)
    update = compiled(type(plugin).update, "weighting", dtype)
    hp, state = np.array(plugin.hyper(), dtype), np.zeros(plugin.n_state(4))
    rng, weights = np.random.default_rng(0), np.full(4, np.nan)
    plain = run(plugin, losses, gram=gram, per_epoch=3, dtype=dtype)
    for k, row in enumerate(losses):
        update(row, labels, gram, k, 3, hp, state, rng, weights)
        np.testing.assert_allclose(weights, plain[k], rtol=1e-9)


@nojit
@pytest.mark.parametrize(
    "plugin, name",
    [
        (Uncertainty(lr=0), "lr"),
        (IMTLL(lr=-1), "lr"),
        (DWA(temperature=0), "temperature"),
        (FAMO(gamma=-1), "gamma"),
        (FAMO(lr=0), "lr"),
        (GradNorm(alpha=-1), "alpha"),
        (SmoothTchebycheff(mu=0), "mu"),
        (SmoothTchebycheff(warmup=-1), "warmup"),
        (catalogue.CAGrad(c=-1), "c"),
        (catalogue.GradVac(beta=1.1), "beta"),
        (catalogue.NashMTL(update_every=0), "update_every"),
        (catalogue.NashMTL(max_norm=0), "max_norm"),
    ],
)
def test_numbers_out_of_range(plugin, name):
    with pytest.raises(ValueError, match=f"{name!r} parameter of {type(plugin).__name__}"):
        plugin.hyper()


def tables(dtype="float64"):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 5)).astype(dtype)
    y = (X @ rng.standard_normal((5, 3)) + rng.standard_normal((120, 3)) > 0).astype(float)
    y[rng.random(y.shape) < 0.3] = np.nan
    y[30:, 2] = np.nan  # fewer labels than batches: absent from some
    return X, y


@pytest.mark.parametrize("plugin", ALL, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_a_fit(plugin, dtype):
    X, y = tables(dtype)
    model = MultiTaskClassifier(
        (6,), weighting=plugin, max_iter=12, tol=0.0, n_iter_no_change=12, batch_size=6,
        learning_rate_init=0.01, random_state=0,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    assert np.isfinite(model.loss_curve_).all()
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.task_weights_path_.shape == (12, 3)
    assert np.isfinite(model.task_weights_path_).all()
    if plugin.needs_gram:
        assert model.task_affinity_.shape == (3, 3)
        np.testing.assert_allclose(np.diag(model.task_affinity_), 1, rtol=1e-6)
        np.testing.assert_allclose(model.task_affinity_, model.task_affinity_.T, atol=1e-6)
    else:
        assert model.task_affinity_ is None
