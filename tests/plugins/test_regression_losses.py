"""Losses on numbers against scikit-learn's, at their minimum, and in fits of linear models."""

import numpy as np
import pytest
from loss_cases import fit, linear_problem, value_and_grad
from scipy.optimize import minimize, minimize_scalar
from scipy.special import huber
from sklearn._loss.loss import HalfPoissonLoss, HalfSquaredError, HuberLoss, PinballLoss
from sklearn.linear_model import LinearRegression, PoissonRegressor, QuantileRegressor, Ridge
from sklearn.metrics import mean_pinball_loss, mean_poisson_deviance, mean_squared_error

from skmtl.plugins.base import RegressionLoss
from skmtl.plugins.losses import Huber, Pinball, Poisson, SquaredError

pytestmark = pytest.mark.nojit

ORACLES = [
    (SquaredError(), HalfSquaredError()),
    (Huber(), HuberLoss(delta=1.0)),
    (Huber(0.3), HuberLoss(delta=0.3)),
    (Poisson(), HalfPoissonLoss()),
    (Pinball(), PinballLoss(quantile=0.5)),
    (Pinball(0.8), PinballLoss(quantile=0.8)),
]


def rows(n=50, seed=0):
    """Outputs, counts and weights; no output is equal to its target."""
    rng = np.random.default_rng(seed)
    out, y = rng.normal(0.5, 1.0, (n, 1)), rng.poisson(2.0, (n, 1)).astype(float)
    return out, y, rng.uniform(0.1, 3, n)


@pytest.mark.parametrize(
    "loss, oracle", ORACLES, ids=lambda x: repr(x) if isinstance(x, RegressionLoss) else ""
)
def test_losses_are_those_of_scikit_learn(loss, oracle):
    out, y, weight = rows()
    value, grad = value_and_grad(loss, out, y, weight)
    values, grads = oracle.loss_gradient(y[:, 0], out[:, 0], weight)
    assert value == pytest.approx(values.sum() / weight.sum(), rel=1e-13)
    np.testing.assert_allclose(grad[:, 0], grads / weight.sum(), rtol=1e-13)


def test_losses_are_metrics_of_scikit_learn():
    """The half squared error, the half deviance up to the same constant, and the pinball loss."""
    out, y, weight = rows()
    value = value_and_grad(SquaredError(), out, y, weight)[0]
    assert value == pytest.approx(mean_squared_error(y, out, sample_weight=weight) / 2)
    value = value_and_grad(Pinball(0.8), out, y, weight)[0]
    assert value == pytest.approx(mean_pinball_loss(y, out, sample_weight=weight, alpha=0.8))

    differences = []
    for z in (out, out - 1):
        deviance = mean_poisson_deviance(y, Poisson().predict(z), sample_weight=weight)
        differences.append(deviance / 2 - value_and_grad(Poisson(), z, y, weight)[0])
    assert differences[0] == pytest.approx(differences[1], rel=1e-12)


def test_huber_is_half_the_squared_error_within_delta():
    out, y, weight = rows()
    largest = np.abs(out - y).max()
    within, beyond = Huber(largest), Huber(1e-6)
    value, grad = value_and_grad(within, out, y, weight)
    expected, expected_grad = value_and_grad(SquaredError(), out, y, weight)
    assert value == expected
    np.testing.assert_array_equal(grad, expected_grad)
    value, grad = value_and_grad(beyond, out, y, weight)
    half_absolute, signs = value_and_grad(Pinball(), out, y, weight)
    assert value / 1e-6 == pytest.approx(2 * half_absolute, rel=1e-5)
    np.testing.assert_allclose(grad / 1e-6, 2 * signs, rtol=1e-12)


def test_pinball_does_not_push_what_is_right():
    out, one = np.full((1, 1), 3.0), np.ones(1)
    assert value_and_grad(Pinball(0.9), out, out, one) == (0, [[0]])


def constant(loss, y, weight):
    """The output that is best for all rows."""

    def value(z):
        return value_and_grad(loss, np.full_like(y, z), y, weight)[0]

    return minimize_scalar(value, bounds=(-5, 10), method="bounded", options={"xatol": 1e-10}).x


def test_losses_are_least_where_they_should():
    _, y, weight = rows()
    mean = np.average(y[:, 0], weights=weight)
    assert constant(SquaredError(), y, weight) == pytest.approx(mean, abs=1e-6)
    assert constant(Poisson(), y, weight) == pytest.approx(np.log(mean), abs=1e-6)
    assert Poisson().predict(np.log([[mean]])) == pytest.approx(mean)
    assert constant(Huber(1e3), y, weight) == pytest.approx(mean, abs=1e-6)
    expected = minimize_scalar(lambda z: weight @ huber(0.7, y[:, 0] - z)).x
    assert constant(Huber(0.7), y, weight) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.83])
def test_pinball_is_least_at_the_quantile(quantile):
    y, weight = np.random.default_rng(1).normal(size=(41, 1)), rows(41)[2]
    order = np.argsort(y[:, 0])
    reached = np.cumsum(weight[order]) >= quantile * weight.sum()
    expected = y[order[reached.argmax()], 0]
    assert constant(Pinball(quantile), y, weight) == pytest.approx(expected, abs=1e-6)
    at = [value_and_grad(Pinball(quantile), np.full_like(y, z), y, weight)[0] for z in y[:, 0]]
    assert y[np.argmin(at), 0] == expected


def test_poisson_refuses_negative_targets():
    Poisson().check_targets(np.array([[0.0, 2.5], [np.nan, 3.0]]))
    with pytest.raises(ValueError, match=r"Poisson needs targets from 0 on\. Got -0\.5\."):
        Poisson().check_targets(np.array([[1.0], [-0.5], [np.nan]]))
    for loss in (SquaredError(), Huber(), Pinball()):
        loss.check_targets(np.array([[-1.0]]))
        np.testing.assert_array_equal(loss.predict(np.array([[-1.0]])), [[-1.0]])


# --- linear models, through the engine -----------------------------------------------------------


def linear_data(n=80, n_columns=3):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, n_columns))
    y = X @ [0.5, -0.3, 0.2] + 0.4 + 0.5 * rng.standard_t(3, n)
    return X, y, rng.uniform(0.2, 3, n)


def theta_of(model):
    return np.append(model.coef_, model.intercept_)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_squared_error_is_least_squares(alpha):
    X, y, weight = linear_data()
    peer = Ridge(alpha * weight.sum()) if alpha else LinearRegression()
    peer.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(
        fit(SquaredError(), X, y, weight, alpha)[0], theta_of(peer), rtol=1e-6
    )


def test_poisson_is_that_of_scikit_learn():
    X, y, weight = linear_data()
    y = np.random.default_rng(1).poisson(np.exp(y.clip(-3, 3))).astype(float)
    peer = PoissonRegressor(alpha=0.1, tol=1e-10, max_iter=1000).fit(X, y, sample_weight=weight)
    theta = fit(Poisson(), X, y, weight, 0.1)[0]
    np.testing.assert_allclose(theta, theta_of(peer), rtol=1e-5)
    predicted = Poisson().predict(X @ theta[:-1] + theta[-1])
    np.testing.assert_allclose(predicted, peer.predict(X), rtol=1e-5)


def test_huber_is_its_minimum():
    X, y, weight = linear_data()

    def objective(theta):
        return weight @ huber(0.4, y - X @ theta[:-1] - theta[-1]) / weight.sum()

    expected = minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    theta, value = fit(Huber(0.4), X, y, weight)
    assert value == pytest.approx(expected.fun, rel=1e-12)
    np.testing.assert_allclose(theta, expected.x, rtol=1e-5)


@pytest.mark.parametrize("quantile", [0.2, 0.5])
def test_pinball_is_quantile_regression(quantile):
    """Its minimum is a kink in every direction: nothing lies below it, and L-BFGS comes near."""
    X, y, weight = linear_data()
    peer = QuantileRegressor(quantile=quantile, alpha=0.0).fit(X, y, sample_weight=weight)
    problem = linear_problem(Pinball(quantile), X, y, weight)
    best = problem.objective(theta_of(peer))[0]
    for direction in np.random.default_rng(0).normal(size=(50, 4)):
        for size in (1e-8, 1e-3, 1.0):
            assert problem.objective(theta_of(peer) + size * direction)[0] > best
    value = fit(Pinball(quantile), X, y, weight)[1]
    assert best <= value <= 1.01 * best
