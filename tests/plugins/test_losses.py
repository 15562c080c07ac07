"""Losses against their formulas."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from skmtl.engine import compile as compiler
from skmtl.plugins.losses import LogLoss

pytestmark = pytest.mark.nojit

LOSSES = [LogLoss()]
DTYPES = ["float32", "float64"]


def loss_arguments(n_classes, n_rows=8, scale=2.0, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    out = rng.normal(scale=scale, size=(n_rows, LogLoss().n_outputs(range(n_classes))))
    y = rng.integers(n_classes, size=(n_rows, 1))
    weight = rng.uniform(0.1, 3, n_rows)
    return tuple(a.astype(dtype) for a in (out, y, weight, np.zeros(0)))


def value_and_grad(loss, out, y, weight, hp):
    grad = np.full_like(out, np.nan)
    return loss.value_grad(out, y, weight, hp, grad), grad


@pytest.mark.parametrize("plugin", LOSSES, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_loss_gradient(plugin, n_classes):
    out, *others = loss_arguments(n_classes)
    grad = value_and_grad(plugin, out, *others)[1]
    for direction in np.random.default_rng(1).standard_normal((20, *out.shape)):
        ends = [value_and_grad(plugin, out + s * 1e-6 * direction, *others)[0] for s in (-1, 1)]
        assert (grad * direction).sum() == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("plugin", LOSSES, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_loss_is_a_weighted_mean(plugin, n_classes):
    out, y, weight, hp = loss_arguments(n_classes)
    value, grad = value_and_grad(plugin, out, y, weight, hp)
    rows = [value_and_grad(plugin, *(a[i : i + 1] for a in (out, y, weight)), hp) for i in range(8)]
    np.testing.assert_allclose(value, np.average([v for v, _ in rows], weights=weight), rtol=1e-13)
    shares = (weight / weight.sum())[:, None]
    np.testing.assert_allclose(grad, shares * np.vstack([g for _, g in rows]), rtol=1e-12)

    again, same = value_and_grad(plugin, out, y, 1000 * weight, hp)
    assert again == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(same, grad, rtol=1e-12)

    counts = np.arange(1.0, 9)
    repeated = (np.repeat(a, counts.astype(int), axis=0) for a in (out, y, np.ones(8)))
    assert value_and_grad(plugin, *repeated, hp)[0] == pytest.approx(
        value_and_grad(plugin, out, y, counts, hp)[0], rel=1e-13
    )


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_log_loss_is_that_of_scikit_learn(n_classes):
    out, y, weight, hp = loss_arguments(n_classes)
    proba = LogLoss().proba(out)
    assert proba.shape == (8, n_classes)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    expected = log_loss(y, proba, sample_weight=weight, labels=range(n_classes))
    assert value_and_grad(LogLoss(), out, y, weight, hp)[0] == pytest.approx(expected, rel=1e-12)


def test_log_loss_known_values():
    hp, one = np.zeros(0), np.ones(1)
    value, grad = value_and_grad(LogLoss(), np.zeros((1, 1)), np.ones((1, 1)), one, hp)
    assert value == pytest.approx(np.log(2))
    assert grad[0, 0] == pytest.approx(-0.5)
    value, grad = value_and_grad(LogLoss(), np.zeros((1, 4)), np.zeros((1, 1)), one, hp)
    assert value == pytest.approx(np.log(4))
    np.testing.assert_allclose(grad, [[-0.75, 0.25, 0.25, 0.25]])


def test_log_loss_is_least_at_the_class_frequencies():
    y, weight = np.array([0.0, 0, 0, 1, 2, 2])[:, None], np.array([1.0, 1, 1, 4, 1, 2])
    for out, codes in (
        (np.log(np.array([[3, 4, 3]]) / 10), y),
        (np.log([[7 / 3]]), np.minimum(y, 1)),
    ):
        grad = value_and_grad(LogLoss(), np.tile(out, (6, 1)), codes, weight, np.zeros(0))[1]
        np.testing.assert_allclose(grad.sum(axis=0), 0, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e3, 1e30])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_log_loss_of_extreme_outputs(dtype, size, n_outputs):
    size = np.dtype(dtype).type(size)
    out = np.full((4, n_outputs), -size)
    out[:2, -1] = size
    y = np.array([[0.0], [n_outputs - 1 or 1], [0], [n_outputs - 1 or 1]], dtype)
    hp, function = np.zeros(0, dtype), compiler.compiled(LogLoss.value_grad, "loss", dtype)
    for i in range(4):
        row, grad = slice(i, i + 1), np.full((1, n_outputs), np.nan, dtype)
        value = function(out[row], y[row], np.ones(1, dtype), hp, grad)
        assert np.isfinite(value)
        assert np.isfinite(grad).all()
        if n_outputs == 1 or i < 2:  # the right class wins or loses by a distance
            gap = (1.0 if n_outputs == 1 else 2.0) * float(size)
            is_right = i in (1, 2)
            np.testing.assert_allclose(value, 0 if is_right else gap, rtol=1e-6)
            np.testing.assert_allclose(np.abs(grad).max(), 0 if is_right else 1)
    proba = LogLoss().proba(out)
    assert proba.dtype == dtype
    assert np.isfinite(proba).all()


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_log_loss_shows_what_is_not_finite(n_outputs):
    function = compiler.compiled(LogLoss.value_grad, "loss", "float64")
    for bad in (np.nan, np.inf, -np.inf):
        out = np.zeros((2, n_outputs))
        out[1] = bad
        y, grad = np.array([[1.0], [0.0]]), np.zeros_like(out)
        with np.errstate(all="ignore"):
            value = function(out, y, np.ones(2), np.zeros(0), grad)
        if n_outputs > 1 or bad != -np.inf:  # minus infinity is right about class 0
            assert not np.isfinite(value)
