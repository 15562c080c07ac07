"""What all losses must do, by one table."""

import numpy as np
import pytest
from loss_cases import CASES, DTYPES, ON_CLASSES, loss_arguments, one_row, value_and_grad

from skmtl.engine import compile as compiler
from skmtl.plugins.base import ClassificationLoss
from skmtl.plugins.losses import (
    FocalLoss,
    Huber,
    LogLoss,
    MulticlassHinge,
    Pinball,
    Poisson,
    SquaredError,
)

pytestmark = pytest.mark.nojit


@pytest.mark.parametrize("plugin, n_classes", CASES, ids=str)
def test_loss_gradient(plugin, n_classes):
    out, *others = loss_arguments(plugin, n_classes)
    grad = value_and_grad(plugin, out, *others)[1]
    for direction in np.random.default_rng(1).standard_normal((20, *out.shape)):
        ends = [value_and_grad(plugin, out + s * 1e-6 * direction, *others)[0] for s in (-1, 1)]
        slope, close = (ends[1] - ends[0]) / 2e-6, 1e-6 * np.linalg.norm(grad)
        assert (grad * direction).sum() == pytest.approx(slope, rel=1e-6, abs=close)


@pytest.mark.parametrize("plugin, n_classes", CASES, ids=str)
def test_loss_is_a_weighted_mean(plugin, n_classes):
    out, y, weight, hp = loss_arguments(plugin, n_classes)
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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("plugin, n_classes", CASES, ids=str)
def test_compiled_loss_is_the_plain_one(plugin, n_classes, dtype):
    arguments = loss_arguments(plugin, n_classes, dtype=dtype)
    function = compiler.compiled(type(plugin).value_grad, "loss", dtype)
    value, grad = value_and_grad(plugin, *arguments, function=function)
    expected, expected_grad = value_and_grad(plugin, *arguments)
    rtol = {"float32": 1e-5, "float64": 1e-13}[dtype]
    assert value == pytest.approx(float(expected), rel=rtol)
    np.testing.assert_allclose(grad, expected_grad, rtol=10 * rtol, atol=rtol / 10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("plugin, n_classes", CASES, ids=str)
def test_losses_show_what_is_not_finite(plugin, n_classes, dtype):
    """NaN anywhere, and infinities but those that are right about the class."""
    function = compiler.compiled(type(plugin).value_grad, "loss", dtype)
    out, y, weight, hp = loss_arguments(plugin, n_classes, dtype=dtype)
    label = y[3, 0] = 1.0
    for j in range(out.shape[1]):
        if n_classes is None:
            wrong = [np.inf, -np.inf]
        else:
            wrong = [-np.inf if out.shape[1] == 1 or j == label else np.inf]
        for bad in (np.nan, *wrong):
            row = out.copy()
            row[3, j] = bad
            with np.errstate(all="ignore"):
                value = value_and_grad(plugin, row, y, weight, hp, function)[0]
            assert not np.isfinite(value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e3, 1e30])
def test_losses_of_extreme_outputs(size, dtype):
    """Finite, and what they should be, when the right class or number is missed by a distance."""
    size = float(np.dtype(dtype).type(size))
    expected = [
        (LogLoss(), [size], 0, size),
        (LogLoss(), [-size, size, 0], 0, 2 * size),
        (LogLoss(0.2), [size], 0, 0.9 * size),
        (LogLoss(0.2), [size], 1, 0.1 * size),
        (LogLoss(0.2), [-size, size, 0], 0, (0.8 * 2 + 0.2 / 3 * 3) * size),
        (LogLoss(0.2), [-size, size, 0], 1, 0.2 / 3 * 3 * size),
        (FocalLoss(), [size], 0, size),
        (FocalLoss(), [-size, size, 0], 0, 2 * size),
        (FocalLoss(), [-size], 0, 0),
        (FocalLoss(0.5), [-size, size, 0], 1, 0),
        (FocalLoss(0.0), [-size, size, 0], 1, 0),
        (MulticlassHinge(), [size], 0, 1 + size),
        (MulticlassHinge(), [-size], 0, 0),
        (MulticlassHinge(), [-size, size, 0], 0, 1 + 2 * size),
        (MulticlassHinge(squared=True), [-size, size, 0], 0, (1 + 2 * size) ** 2),
        (SquaredError(), [size], 0, size**2 / 2),
        (Huber(2.0), [-size], 0, 2 * (size - 1)),
        (Pinball(0.25), [-size], 0, size / 4),
        (Pinball(0.25), [size], 0, 3 * size / 4),
        (Poisson(), [-size], 3, 3 * size),
        (Poisson(), [700.0], 3, np.exp(700.0)),
    ]
    for plugin, out, label, value in expected:
        function = compiler.compiled(type(plugin).value_grad, "loss", dtype)
        with np.errstate(over="ignore"):
            actual, grad = one_row(plugin, out, label, dtype, function)
        np.testing.assert_allclose(actual, value, rtol=1e-6)
        if not (isinstance(plugin, Poisson) and out[0] > 0):  # its gradient is not a float32
            assert np.isfinite(grad).all()
        if isinstance(plugin, ClassificationLoss):
            proba = plugin.proba(np.array([out], dtype))
            assert proba.dtype == dtype
            np.testing.assert_allclose(proba.sum(), 1)
            assert proba.max() == 1


@pytest.mark.parametrize("plugin", ON_CLASSES, ids=str)
@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_probabilities_rank_classes_by_output(plugin, n_classes):
    out = loss_arguments(plugin, n_classes, n_rows=100, scale=3.0)[0]
    proba = plugin.proba(out)
    assert proba.shape == (100, n_classes)
    assert (proba > 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-14)
    out = np.hstack([np.zeros((100, 1)), out]) if n_classes == 2 else out
    np.testing.assert_array_equal(np.argsort(proba, axis=1), np.argsort(out, axis=1))


@pytest.mark.parametrize(
    "plugin",
    [
        LogLoss(-0.1),
        LogLoss(1.0),
        LogLoss("a"),
        FocalLoss(-1.0),
        FocalLoss(np.inf),
        MulticlassHinge("yes"),
        MulticlassHinge(None),
        Huber(0.0),
        Huber(np.nan),
        Pinball(0.0),
        Pinball(1.0),
    ],
    ids=str,
)
def test_bad_parameters_of_losses_are_named(plugin):
    ((name, value),) = plugin.get_params().items()
    error = f"'{name}' parameter of {type(plugin).__name__} must be .* Got {value!r}"
    with pytest.raises(ValueError, match=error):
        plugin.hyper()
