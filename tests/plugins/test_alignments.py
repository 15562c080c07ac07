"""Alignments against published formulas in NumPy and SciPy, and their gradients."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import wasserstein_distance

from skmtl.engine import compile as compiler
from skmtl.plugins.alignments import CORAL, DANN, MMD, ConditionalMMD, SlicedWasserstein
from skmtl.plugins.alignments.sliced_wasserstein import _sort, _transport

pytestmark = pytest.mark.nojit

STRENGTH = 0.7
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
PLUGINS = [
    MMD(),
    MMD(bandwidths=[3.0, 0.7]),
    MMD(kernel="linear"),
    ConditionalMMD(),
    ConditionalMMD(kernel="linear"),
    CORAL(),
    SlicedWasserstein(n_projections=7),
    DANN(5),
    DANN((5,), activation="tanh"),
]
SIZES = [(6, 9, 3), (9, 6, 1), (1, 5, 4), (5, 1, 4), (1, 1, 2), (70, 130, 3)]


class Batch:
    """A batch of source and target, and what an alignment does with it."""

    def __init__(self, plugin, n, m, d, seed=0, dtype="float64", function=None):
        rng = np.random.default_rng(seed)
        self.hs = rng.standard_normal((n, d)).astype(dtype)
        self.ht = (0.5 + 1.5 * rng.standard_normal((m, d))).astype(dtype)
        self.ys, self.yt = rng.integers(-1, 3, n), rng.integers(-1, 4, m)
        self.ys[0], self.yt[0] = 2, 2
        self.theta = plugin.init(d, rng)
        self.theta = (self.theta + 0.1 * rng.standard_normal(self.theta.size)).astype(dtype)
        self.plugin, self.function = plugin, function or type(plugin).value_grad

    def __call__(self, strength=STRENGTH):
        hs, ht, theta = self.hs, self.ht, self.theta
        gradients = np.zeros_like(hs), np.zeros_like(ht), np.zeros_like(theta)
        work = np.full(self.plugin.n_work(len(hs), len(ht), hs.shape[1]), np.nan)
        value = self.function(
            theta, hs, ht, self.ys, self.yt, hs.dtype.type(strength),
            np.array(self.plugin.hyper(), hs.dtype), work, np.random.default_rng(1), *gradients,
        )  # fmt: skip
        return value, gradients


def central_differences(function, x, step=1e-6):
    """Gradient of function() by an array that it reads."""
    gradient = np.empty_like(x)
    for k in np.ndindex(x.shape):
        kept = x[k]
        x[k] = kept + step
        above = function()
        x[k] = kept - step
        gradient[k] = (above - function()) / (2 * step)
        x[k] = kept
    return gradient


def assert_close(actual, expected, rtol):
    """Relative to the size of the whole."""
    assert np.linalg.norm(actual - expected) <= rtol * max(np.linalg.norm(expected), 1e-2)


@pytest.mark.parametrize("sizes", SIZES[:5], ids=str)
@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_gradient_by_rows(plugin, sizes):
    batch = Batch(plugin, *sizes)
    _, (dhs, dht, _) = batch()
    assert_close(dhs, central_differences(lambda: batch()[0], batch.hs), 1e-6)
    assert_close(dht, central_differences(lambda: batch()[0], batch.ht), 1e-6)


@pytest.mark.parametrize("plugin", PLUGINS[-2:], ids=str)
def test_discriminator_descends_what_the_features_ascend(plugin):
    batch = Batch(plugin, 6, 9, 3)
    value, (_, _, grad) = batch()
    assert_close(grad, central_differences(lambda: -batch()[0] / STRENGTH, batch.theta), 1e-6)
    weaker, (_, _, same) = batch(strength=0.01)
    assert weaker == pytest.approx(value * 0.01 / STRENGTH)
    np.testing.assert_array_equal(same, grad)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_compiled_equals_plain(plugin, dtype):
    compiled = compiler.compiled(type(plugin).value_grad, "alignment", dtype)
    rtol = {"float32": 2e-5, "float64": 1e-11}[dtype]
    for sizes in SIZES:
        value, gradients = Batch(plugin, *sizes, dtype=dtype)()
        other, other_gradients = Batch(plugin, *sizes, dtype=dtype, function=compiled)()
        np.testing.assert_allclose(other, value, rtol=rtol, atol=rtol / 10)
        for gradient, expected in zip(other_gradients, gradients):
            np.testing.assert_allclose(gradient, expected, rtol=10 * rtol, atol=rtol)


def gaussian_mmd(s, t, bandwidths):
    """The biased estimate with whole kernel matrices."""
    z = np.concatenate([s, t])
    distance = ((z[:, None] - z) ** 2).sum(axis=2)
    k = np.mean([np.exp(-distance / (b * distance.mean())) for b in bandwidths], axis=0)
    n = len(s)
    return k[:n, :n].mean() + k[n:, n:].mean() - 2 * k[:n, n:].mean()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_mmd_formula(sizes):
    for bandwidths in (BANDWIDTHS, [1.0], (3.0, 0.7)):
        batch = Batch(MMD(bandwidths=bandwidths), *sizes)
        expected = STRENGTH * gaussian_mmd(batch.hs, batch.ht, bandwidths)
        np.testing.assert_allclose(batch()[0], expected, rtol=1e-12)
        batch.hs, batch.ht = 1e3 * batch.hs, 1e3 * batch.ht
        np.testing.assert_allclose(batch()[0], expected, rtol=1e-12)  # whatever the scale
    batch = Batch(MMD(kernel="linear"), *sizes)
    expected = STRENGTH * ((batch.hs.mean(axis=0) - batch.ht.mean(axis=0)) ** 2).sum()
    np.testing.assert_allclose(batch()[0], expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_conditional_mmd_is_the_mean_over_common_classes(sizes, kernel):
    batch = Batch(ConditionalMMD(kernel=kernel), *sizes)
    expected = []
    for c in set(batch.ys.tolist()).intersection(batch.yt.tolist()) - {-1}:
        of_class = Batch(MMD(kernel=kernel), *sizes)
        source, target = batch.ys == c, batch.yt == c
        of_class.hs, of_class.ht = batch.hs[source], batch.ht[target]
        of_class.ys, of_class.yt = batch.ys[source], batch.yt[target]
        expected.append(of_class()[0])
    value, (dhs, dht, _) = batch()
    np.testing.assert_allclose(value, np.mean(expected), rtol=1e-12)
    assert (dhs[batch.ys == -1] == 0).all()
    assert (dht[batch.yt == 3] == 0).all()


def test_conditional_mmd_without_common_class_is_zero():
    batch = Batch(ConditionalMMD(), 6, 9, 3)
    for ys, yt in ((0, 1), (-1, -1), (2, -1)):
        batch.ys[:], batch.yt[:] = ys, yt
        value, (dhs, dht, _) = batch()
        assert value == 0
        assert not dhs.any()
        assert not dht.any()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_coral_formula(sizes):
    batch, d = Batch(CORAL(), *sizes), sizes[2]
    covariances = [
        np.cov(h.T).reshape(d, d) if len(h) > 1 else np.zeros((d, d)) for h in (batch.hs, batch.ht)
    ]
    expected = STRENGTH * np.sum((covariances[0] - covariances[1]) ** 2) / (4 * d**2)
    np.testing.assert_allclose(batch()[0], expected, rtol=1e-12, atol=1e-15)


def squared_wasserstein(p, q):
    """By brute force: quantile functions on a grid that both sample sizes divide."""
    n = len(p) * len(q)
    return np.mean((np.repeat(np.sort(p), n // len(p)) - np.repeat(np.sort(q), n // len(q))) ** 2)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sliced_wasserstein_formula(sizes):
    batch = Batch(SlicedWasserstein(n_projections=7), *sizes)
    directions = np.random.default_rng(1).standard_normal((7, sizes[2]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    each = [squared_wasserstein(batch.hs @ u, batch.ht @ u) for u in directions]
    np.testing.assert_allclose(batch()[0], STRENGTH * np.mean(each), rtol=1e-12)


def test_sliced_wasserstein_of_a_shift_and_of_scipy():
    """Moved by c, the squared distance is |c|^2 / d on average over directions."""
    batch = Batch(SlicedWasserstein(n_projections=20_000), 4, 4, 3)
    shift = np.array([1.0, -2.0, 3.0])
    batch.ht = batch.hs + shift
    assert batch(strength=1.0)[0] == pytest.approx(shift @ shift / 3, rel=0.02)

    # In one dimension W2 is at least SciPy's W1, and equal to it after a shift.
    rng = np.random.default_rng(0)
    for n, m in ((5, 5), (5, 8), (1, 7), (12, 9)):
        p, q = np.sort(rng.standard_normal(n)), np.sort(rng.standard_normal(m) + 0.3)
        arguments = np.arange(n * 1.0), q, np.arange(m * 1.0), np.ones(1), 1.0
        square = _transport(p, *arguments, np.zeros((n, 1)), np.zeros((m, 1)))
        assert square >= wasserstein_distance(p, q) ** 2 - 1e-12
        assert square == pytest.approx(squared_wasserstein(p, q))
        arguments = np.arange(n * 1.0), p + 2, np.arange(n * 1.0), np.ones(1), 1.0
        square = _transport(p, *arguments, np.zeros((n, 1)), np.zeros((n, 1)))
        assert square == pytest.approx(wasserstein_distance(p, p + 2) ** 2)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 257])
def test_sort(n):
    for key in (np.random.default_rng(n).integers(0, n, n) * 1.0, np.arange(n) * -1.0, np.ones(n)):
        moved, index = key.copy(), np.arange(n) * 1.0
        _sort(moved, index)
        np.testing.assert_array_equal(moved, np.sort(key))
        np.testing.assert_array_equal(key[index.astype(int)], moved)
        assert set(index) == set(range(n))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_dann_formula(activation):
    batch = Batch(DANN(5, activation), 6, 9, 3)
    w1, b1, w2, b2 = np.split(batch.theta, [15, 20, 25])

    def probability_of_source(h):
        hidden = h @ w1.reshape(3, 5) + b1
        hidden = np.tanh(hidden) if activation == "tanh" else np.maximum(hidden, 0)
        return expit(hidden @ w2 + b2)

    loss = -np.log(probability_of_source(batch.hs)).mean() / 2
    loss -= np.log(1 - probability_of_source(batch.ht)).mean() / 2
    np.testing.assert_allclose(batch()[0], -STRENGTH * loss, rtol=1e-12)


def test_dann_starts_near_chance_and_does_not_overflow():
    plugin = DANN(16)
    theta = plugin.init(4, np.random.default_rng(0))
    assert theta.shape == (plugin.n_params(4),)
    assert np.abs(theta[: 4 * 16]).max() <= np.sqrt(6 / 20)
    batch = Batch(plugin, 6, 9, 4)
    batch.theta, batch.hs, batch.ht = theta, 0 * batch.hs, 0 * batch.ht
    assert batch(strength=1.0)[0] == pytest.approx(-np.log(2))
    batch.hs, batch.ht = batch.hs + 1e4, batch.ht - 1e4
    value, gradients = batch()
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize(
    "plugin", [p for p in PLUGINS if not isinstance(p, (DANN, ConditionalMMD))], ids=str
)
def test_equal_batches_are_at_distance_zero(plugin):
    batch = Batch(plugin, 8, 8, 3)
    batch.ht = batch.hs[::-1].copy()
    value, (dhs, dht, _) = batch()
    assert value == pytest.approx(0, abs=1e-14)
    assert max(np.abs(dhs).max(), np.abs(dht).max()) < 1e-14


@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_dead_features_and_nan(plugin):
    batch = Batch(plugin, 4, 6, 3)
    kept = batch.hs, batch.ht
    batch.hs, batch.ht = 0 * batch.hs, 0 * batch.ht
    value, gradients = batch()
    assert all(np.isfinite(g).all() for g in (value, *gradients))
    batch.hs, batch.ht = kept
    batch.hs[0, 0] = np.nan
    assert np.isnan(batch()[0])
    batch.hs, batch.ht = np.full_like(kept[0], 0.1), np.full_like(kept[1], 0.1)
    value, (dhs, dht, _) = batch()
    if not isinstance(plugin, DANN):
        assert max(abs(value), np.abs(dhs).max(), np.abs(dht).max()) < 1e-14


def test_gradient_steps_bring_the_domains_together():
    """Moving target rows down the gradient meets the source's mean, scale, or both."""
    for plugin, rate, moments in (
        (MMD(), 20.0, "both"),
        (MMD(kernel="linear"), 5.0, "mean"),
        (CORAL(), 20.0, "covariance"),
        (SlicedWasserstein(20), 5.0, "both"),
    ):
        batch = Batch(plugin, 30, 20, 2, 0)

        def gaps(batch=batch):
            mean = np.linalg.norm(batch.hs.mean(axis=0) - batch.ht.mean(axis=0))
            return mean, np.linalg.norm(np.cov(batch.hs.T) - np.cov(batch.ht.T))

        before = gaps()
        for _ in range(300):
            batch.ht = batch.ht - rate * batch(strength=1.0)[1][1]
        after = gaps()
        if moments != "covariance":
            assert after[0] < 0.2 * before[0]
        if moments != "mean":
            assert after[1] < 0.3 * before[1]


@pytest.mark.parametrize(
    "plugin, message",
    [
        (MMD(where="trunk"), "'where' parameter of MMD must be one of 'shared', 'input'"),
        (MMD(kernel="rbf"), "'kernel' parameter of MMD must be one of 'linear', 'gaussian'"),
        (MMD(bandwidths=()), "'bandwidths' parameter of MMD"),
        (MMD(bandwidths=(1.0, 0.0)), "'bandwidths' parameter of MMD"),
        (MMD(bandwidths=1.0), "'bandwidths' parameter of MMD"),
        (ConditionalMMD(bandwidths=(np.nan,)), "'bandwidths' parameter of ConditionalMMD"),
        (CORAL(where=None), "'where' parameter of CORAL"),
        (SlicedWasserstein(0), "'n_projections' parameter of SlicedWasserstein"),
        (SlicedWasserstein(2.5), "'n_projections' parameter of SlicedWasserstein must be an int"),
        (SlicedWasserstein(where="head"), "'where' parameter of SlicedWasserstein"),
        (DANN(0), "'hidden_layer_sizes' parameter of DANN must be one int"),
        (DANN((4, 4)), "'hidden_layer_sizes' parameter of DANN must be one int"),
        (DANN(activation="gelu"), "'activation' parameter of DANN"),
        (DANN(where="head"), "'where' parameter of DANN"),
    ],
    ids=str,
)
def test_invalid_parameters(plugin, message):
    with pytest.raises(ValueError, match=message):
        plugin.hyper()


def test_what_alignments_need():
    assert [p.needs_minibatches for p in (MMD(), CORAL(), SlicedWasserstein(), DANN())] == [
        False, False, True, True,
    ]  # fmt: skip
    assert [p.needs_labels for p in (MMD(), ConditionalMMD())] == [False, True]
