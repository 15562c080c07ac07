"""Elementary functions against NumPy and SciPy, as plain Python and compiled."""

import numpy as np
import pytest
from scipy.special import ndtr

from skmtl.engine import compile as compiler
from skmtl.engine.elementary import (
    exp,
    log,
    log1p,
    logistic,
    normal_cdf,
    normal_density,
    tanh,
)

pytestmark = pytest.mark.nojit

DTYPES = ["float32", "float64"]
# The range of normal numbers, by logarithm.
LEAST, MOST = {"float32": -86.9, "float64": -707.5}, {"float32": 88.7, "float64": 709.7}


def evaluate(theta, x, hp, work, out):
    """A column for each function; what a feature map's ``forward`` may do."""
    for i in range(x.shape[0]):
        out[i, 0] = exp(x[i, 0])
        out[i, 1] = log(x[i, 1])
        out[i, 2] = log1p(x[i, 2])
        out[i, 3] = tanh(x[i, 3])
        out[i, 4] = logistic(x[i, 4])
        out[i, 5] = normal_density(x[i, 5])
        out[i, 6] = normal_cdf(x[i, 6])


NAMES = ["exp", "log", "log1p", "tanh", "logistic", "normal_density", "normal_cdf"]


def of(name, x, dtype):
    """A function of each number of x."""
    rows = np.full((len(x), len(NAMES)), 0.5, dtype)
    rows[:, NAMES.index(name)] = x
    out, none = np.full_like(rows, np.nan), np.zeros(0, dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # for the plain functions
        compiler.compiled(evaluate, "forward", dtype)(none, rows, none, none, out)
    return out[:, NAMES.index(name)]


def arguments(name, dtype, rng, n=3000):
    """Numbers over all of a function's range, and more where it bends."""
    least, most = LEAST[dtype], MOST[dtype]
    small = rng.choice([-1, 1], n) * np.exp(rng.uniform(least, 0, n))
    return {
        "exp": [rng.uniform(least + 0.1, most, n), rng.uniform(-2, 2, n), small],
        "log": [np.exp(rng.uniform(least, most, n)), rng.uniform(0.5, 2, n)],
        "log1p": [rng.uniform(0, 1, n), np.abs(small), [0.0, 1.0]],
        "tanh": [rng.uniform(-40, 40, n), rng.uniform(-2, 2, n), small, [0.0]],
        "logistic": [rng.uniform(least + 0.1, -least, n), rng.uniform(-2, 2, n), small],
        "normal_density": [rng.uniform(-6, 6, n), rng.uniform(-1, 1, n), small],
        "normal_cdf": [rng.uniform(-6, 6, n), rng.uniform(-1, 1, n), small],
    }[name]


def numpy_logistic(x):
    return 1 / (1 + np.exp(-x))


def numpy_density(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name, reference, units",
    [
        ("exp", np.exp, 1.5),
        ("log", np.log, 1.5),
        ("log1p", np.log1p, 2),
        ("tanh", np.tanh, 3),
        ("logistic", numpy_logistic, 3),
        ("normal_density", numpy_density, 20),
    ],
)
def test_units_in_the_last_place(name, reference, units, dtype):
    for x in arguments(name, dtype, np.random.default_rng(0)):
        x = np.asarray(x, dtype)
        expected = reference(x.astype(np.longdouble))
        error = np.abs(of(name, x, dtype) - expected)
        assert (error <= units * np.spacing(np.abs(expected).astype(dtype))).all()


@pytest.mark.parametrize("dtype, rtol", [("float32", 4e-6), ("float64", 2e-14)])
def test_normal_cdf(dtype, rtol):
    for x in arguments("normal_cdf", dtype, np.random.default_rng(0)):
        x = np.asarray(x, dtype)
        np.testing.assert_allclose(of("normal_cdf", x, dtype), ndtr(x.astype(float)), rtol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name, x, expected",
    [
        ("exp", [0, np.inf, 1e30, -np.inf, -1e30], [1, np.inf, np.inf, 0, 0]),
        ("log", [1, np.inf], [0, np.inf]),
        ("log1p", [0], [0]),
        ("tanh", [0, np.inf, 1e30, -np.inf, -1e30], [0, 1, 1, -1, -1]),
        ("logistic", [0, np.inf, 1e30, -np.inf, -1e30], [0.5, 1, 1, 0, 0]),
        ("normal_density", [np.inf, 1e30, -np.inf, -1e30], [0, 0, 0, 0]),
        ("normal_cdf", [np.inf, 1e30, -np.inf, -1e30], [1, 1, 0, 0]),
    ],
)
def test_ends(name, x, expected, dtype):
    np.testing.assert_array_equal(of(name, x, dtype), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_nan_stays(name, dtype):
    assert np.isnan(of(name, [np.nan, -np.nan], dtype)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_from_one_end_to_the_other(dtype):
    """It rises to inf where NumPy's does, and is zero below the normal numbers."""
    at_most = np.log(np.finfo(dtype).max)
    x = np.linspace(at_most - 0.1, at_most + 0.1, 500).astype(dtype)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(of("exp", x, dtype), np.exp(x), rtol=4 * np.finfo(dtype).eps)
    x = np.linspace(LEAST[dtype] - 30, LEAST[dtype] + 1, 500).astype(dtype)
    values = of("exp", x, dtype)
    assert (np.diff(values) >= 0).all()
    assert ((values == 0) | (values >= np.finfo(dtype).tiny)).all()
    assert 0 < (values > 0).mean() < 0.05


@pytest.mark.parametrize("function", [exp, log, log1p, tanh, logistic, normal_density, normal_cdf])
def test_plain_functions_keep_single_precision(function):
    assert type(function(np.float32(0.25))) is np.float32
    assert isinstance(function(0.25), float)
