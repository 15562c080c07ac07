"""Optimizers against those of scikit-learn, their published formulas, and each other."""

import naive
import numpy as np
import pytest
from engine_cases import run_epoch
from loss_cases import linear_problem
from sklearn.linear_model import LinearRegression
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from skmtl.engine import compile as compiler
from skmtl.plugins.losses import SquaredError
from skmtl.plugins.optimizers import SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop
from skmtl.plugins.optimizers.adam import _momenta

pytestmark = pytest.mark.nojit

N = 9
DTYPES = ["float32", "float64"]


class OfScikitLearn:
    """A rule of scikit-learn's MLP."""

    def __init__(self, optimizer, *args):
        self.rule = optimizer([np.zeros(N)], 0.01, *args)

    def __call__(self, theta, grad, lr):
        return theta + self.rule._get_updates([grad])[0]


class NaiveAdagrad:
    """Duchi et al. (2011), as in the documentation of torch.optim.Adagrad."""

    def __init__(self, epsilon=1e-10):
        self.epsilon, self.total = epsilon, 0.0

    def __call__(self, theta, grad, lr):
        self.total = self.total + grad**2
        return theta - lr * grad / (np.sqrt(self.total) + self.epsilon)


class NaiveRMSprop:
    """As in the documentation of torch.optim.RMSprop, with its two branches."""

    def __init__(self, alpha=0.99, momentum=0.0, epsilon=1e-8):
        self.alpha, self.momentum, self.epsilon = alpha, momentum, epsilon
        self.v, self.buffer = 0.0, 0.0

    def __call__(self, theta, grad, lr):
        self.v = self.alpha * self.v + (1 - self.alpha) * grad**2
        scaled = grad / (np.sqrt(self.v) + self.epsilon)
        if self.momentum == 0:
            return theta - lr * scaled
        self.buffer = self.momentum * self.buffer + scaled
        return theta - lr * self.buffer


class NaiveNAdam:
    """As in the documentation of torch.optim.NAdam, with all factors of its products."""

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, psi=4e-3):
        self.beta_1, self.beta_2, self.epsilon, self.psi = beta_1, beta_2, epsilon, psi
        self.t, self.m, self.v = 0, 0.0, 0.0

    def __call__(self, theta, grad, lr):
        self.t += 1
        mu = self.beta_1 * (1 - 0.5 * 0.96 ** (np.arange(1, self.t + 2) * self.psi))
        self.m = self.beta_1 * self.m + (1 - self.beta_1) * grad
        self.v = self.beta_2 * self.v + (1 - self.beta_2) * grad**2
        m_hat = mu[-1] * self.m / (1 - mu.prod()) + (1 - mu[-2]) * grad / (1 - mu[:-1].prod())
        v_hat = self.v / (1 - self.beta_2**self.t)
        return theta - lr * m_hat / (np.sqrt(v_hat) + self.epsilon)


class NaiveLion:
    """Chen et al. (2023), program 1."""

    def __init__(self, beta_1=0.9, beta_2=0.99, weight_decay=0.0):
        self.beta_1, self.beta_2, self.weight_decay, self.m = beta_1, beta_2, weight_decay, 0.0

    def __call__(self, theta, grad, lr):
        update = np.sign(self.beta_1 * self.m + (1 - self.beta_1) * grad)
        self.m = self.beta_2 * self.m + (1 - self.beta_2) * grad
        return theta - lr * (update + self.weight_decay * theta)


# A plugin, its rule, and that rule's arguments.
RULES = [
    (Adam(), OfScikitLearn, (AdamOptimizer,)),
    (Adam(0.5, 0.9, 1e-4), OfScikitLearn, (AdamOptimizer, 0.5, 0.9, 1e-4)),
    (SGD(), OfScikitLearn, (SGDOptimizer, "constant", 0.9, True)),
    (SGD(0.7, nesterov=False), OfScikitLearn, (SGDOptimizer, "constant", 0.7, False)),
    (SGD(0.0), OfScikitLearn, (SGDOptimizer, "constant", 0.0)),
    (AdamW(weight_decay=0.3), naive.Adam, (0.9, 0.999, 1e-8, 0.3)),
    (AdamW(0.5, 0.9, 1e-4, 0.1), naive.Adam, (0.5, 0.9, 1e-4, 0.1)),
    (NAdam(), NaiveNAdam, ()),
    (NAdam(0.5, 0.9, 1e-4, 0.1), NaiveNAdam, (0.5, 0.9, 1e-4, 0.1)),
    (NAdam(momentum_decay=0.0), NaiveNAdam, (0.9, 0.999, 1e-8, 0.0)),
    (Adagrad(), NaiveAdagrad, ()),
    (Adagrad(0.1), NaiveAdagrad, (0.1,)),
    (RMSprop(), NaiveRMSprop, ()),
    (RMSprop(0.9, 0.5, 1e-3), NaiveRMSprop, (0.9, 0.5, 1e-3)),
    (Lion(), NaiveLion, ()),
    (Lion(0.5, 0.8, 0.3), NaiveLion, (0.5, 0.8, 0.3)),
]
PLUGINS = [plugin for plugin, *_ in RULES]


def steps(plugin, theta, grads, lrs, dtype="float64"):
    """Parameters after each of some steps."""
    theta, path = theta.astype(dtype), []
    state, hp = np.zeros((plugin.n_slots, theta.size), dtype), np.array(plugin.hyper(), dtype)
    function = compiler.compiled(type(plugin).step, "optimizer", dtype)
    for k, (grad, lr) in enumerate(zip(grads, np.broadcast_to(lrs, len(grads)))):
        function(theta, grad.astype(dtype), state, np.dtype(dtype).type(lr), k, hp)
        path.append(theta.copy())
    return np.array(path)


def random_path(n_steps=60):
    """Where to start, and gradients of many sizes."""
    rng = np.random.default_rng(0)
    grads = rng.standard_normal((n_steps, N)) * 10.0 ** rng.integers(-3, 3, (n_steps, 1))
    return rng.standard_normal(N), grads


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("plugin, rule, args", RULES, ids=str)
def test_steps_are_those_of_the_rule(plugin, rule, args, dtype, rtol):
    theta, grads = random_path()
    path, rule = steps(plugin, theta, grads, 0.01, dtype), rule(*args)
    for k, grad in enumerate(grads):
        theta = rule(theta, grad, 0.01)
        np.testing.assert_allclose(path[k], theta, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_minimum_of_a_quadratic(plugin, dtype):
    """With a decreasing learning rate all come to it, whatever its curvatures."""
    best, curvature = np.linspace(-1, 1, N), np.geomspace(0.2, 5, N)
    theta, state = np.zeros(N, dtype), np.zeros((plugin.n_slots, N), dtype)
    parameters = plugin.get_params()
    if "weight_decay" in parameters:
        plugin = type(plugin)(**{**parameters, "weight_decay": 0.0})
    function = compiler.compiled(type(plugin).step, "optimizer", dtype)
    hp = np.array(plugin.hyper(), dtype)
    for k in range(2000):
        lr = np.dtype(dtype).type(0.1 * (1 - k / 2000))
        function(theta, (curvature * (theta - best)).astype(dtype), state, lr, k, hp)
    np.testing.assert_allclose(theta, best, atol=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_parameters_without_gradient_stay_but_for_decay(plugin, dtype):
    theta, grads = random_path(5)
    grads[:, ::2] = 0
    path = steps(plugin, theta, grads, 0.01, dtype)
    keep = (1 - 0.01 * plugin.get_params().get("weight_decay", 0.0)) ** 5
    rtol = {"float32": 1e-6, "float64": 1e-14}[dtype] * (keep < 1)
    np.testing.assert_allclose(path[-1, ::2], keep * theta[::2].astype(dtype), rtol=rtol)
    assert (path[-1, 1::2] != theta[1::2].astype(dtype)).all()


@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_nan_shows(plugin):
    theta, grads = random_path(3)
    grads[1, 2] = np.nan
    path = steps(plugin, theta, grads, 0.01)
    assert np.isnan(path[1:, 2]).all()
    assert np.isfinite(np.delete(path, 2, axis=1)).all()


@pytest.mark.parametrize(
    "plugin, lr",
    [
        (SGD(), 0.1),
        (Adam(), 0.1),
        (AdamW(weight_decay=0.0), 0.1),
        (NAdam(), 0.1),
        (Adagrad(), 0.3),
        (RMSprop(), 0.05),
        (Lion(), 0.03),
    ],
    ids=str,
)
def test_epochs_approach_least_squares(plugin, lr):
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(30, 3)), rng.uniform(0.2, 3, 30)
    y = X @ [0.5, -0.3, 0.2] + 0.4 + 0.5 * rng.normal(size=30)
    problem = linear_problem(SquaredError(), X, y, weight, optimizer=plugin)
    assert problem.steps_per_epoch == 1  # Lion follows the median of smaller batches
    for epoch_lr in np.linspace(lr, 0, 300, endpoint=False):
        assert run_epoch(problem, epoch_lr)[2]
    peer = LinearRegression().fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(problem.theta, [*peer.coef_, peer.intercept_], atol=1e-3)


# --- equivalences --------------------------------------------------------------------------------


def test_adam_without_momentum_is_rmsprop_with_its_correction():
    theta, grads = random_path()
    corrected = 0.01 * np.sqrt(1 - 0.9 ** np.arange(1, len(grads) + 1))
    np.testing.assert_allclose(
        steps(RMSprop(0.9, 0.0, 1e-6), theta, grads, corrected),
        steps(Adam(0.0, 0.9, 1e-6), theta, grads, 0.01),
        rtol=1e-12,
    )


def test_nadam_without_momentum_is_adam():
    theta, grads = random_path()
    without = (0.0, 0.9, 1e-300)  # where they add epsilon differs
    np.testing.assert_allclose(
        steps(NAdam(*without), theta, grads, 0.01),
        steps(Adam(*without), theta, grads, 0.01),
        rtol=1e-12,
    )


def test_adamw_without_decay_is_adam():
    theta, grads = random_path()
    without = steps(AdamW(weight_decay=0.0), theta, grads, 0.01)
    np.testing.assert_array_equal(without, steps(Adam(), theta, grads, 0.01))


def test_adagrad_steps_shrink_with_the_root_of_their_number():
    grads = np.tile(np.geomspace(0.01, 100, N), (50, 1))
    lengths = -np.diff(steps(Adagrad(), np.zeros(N), grads, 0.1), axis=0, prepend=0)
    expected = 0.1 / np.sqrt(np.arange(1, 51))
    np.testing.assert_allclose(lengths, np.tile(expected, (N, 1)).T, rtol=1e-6)


def test_lion_sees_signs_alone():
    theta, grads = random_path()
    path = steps(Lion(), theta, grads, 0.01)
    np.testing.assert_array_equal(steps(Lion(), theta, 1024 * grads, 0.01), path)
    np.testing.assert_allclose(np.abs(np.diff(path, axis=0)), 0.01, rtol=1e-12)
    signs = np.cumsum(np.sign(grads), axis=0)
    path = steps(Lion(0.0, 0.0), theta, grads, 0.01)
    np.testing.assert_allclose(path, theta - 0.01 * signs, rtol=1e-12)


@pytest.mark.parametrize("beta, psi", [(0.9, 4e-3), (0.9, 0.0), (0.999, 1.0), (0.0, 4e-3)])
def test_the_product_of_nadams_momenta_ends_where_it_no_longer_counts(beta, psi):
    for t in (1, 2, 10, 50, 60, 3000):
        mu = beta * (1 - 0.5 * 0.96 ** (np.arange(1, t + 2) * psi))
        now, soon, product = _momenta(beta, 0.96**psi, t)
        np.testing.assert_allclose([now, soon], mu[-2:], rtol=1e-12)
        np.testing.assert_allclose(product, mu[:-1].prod(), rtol=1e-11, atol=1e-17)


@pytest.mark.parametrize(
    "plugin",
    [
        Adagrad(0.0),
        Adagrad(epsilon=np.inf),
        RMSprop(decay=1.0),
        RMSprop(momentum=-0.1),
        RMSprop(epsilon=0.0),
        NAdam(beta_1=1.0),
        NAdam(momentum_decay=-1.0),
        NAdam(momentum_decay="slow"),
        Lion(beta_1=1.0),
        Lion(beta_2=np.nan),
        Lion(weight_decay=-1.0),
    ],
    ids=str,
)
def test_bad_parameters_of_optimizers_are_named(plugin):
    default = type(plugin)().get_params()
    ((name, value),) = (x for x in plugin.get_params().items() if x[1] != default[x[0]])
    error = f"'{name}' parameter of {type(plugin).__name__} must be .* Got {value!r}"
    with pytest.raises(ValueError, match=error):
        plugin.hyper()
