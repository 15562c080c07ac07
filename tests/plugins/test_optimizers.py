"""Optimizers against those of scikit-learn and their definitions."""

from types import FunctionType

import naive
import numpy as np
import pytest
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from skmtl.engine import compile as compiler
from skmtl.plugins.optimizers import SGD, Adam, AdamW

pytestmark = pytest.mark.nojit

RULES = [
    (Adam(), lambda theta: AdamOptimizer([theta], 0.01)),
    (Adam(0.5, 0.9, 1e-4), lambda theta: AdamOptimizer([theta], 0.01, 0.5, 0.9, 1e-4)),
    (SGD(), lambda theta: SGDOptimizer([theta], 0.01, momentum=0.9, nesterov=True)),
    (SGD(0.7, nesterov=False), lambda theta: SGDOptimizer([theta], 0.01, "constant", 0.7, False)),
    (SGD(0.0), lambda theta: SGDOptimizer([theta], 0.01, momentum=0.0)),
]


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize(
    "plugin, rule", RULES, ids=lambda x: None if isinstance(x, FunctionType) else str(x)
)
def test_optimizers_step_as_those_of_scikit_learn(plugin, rule, dtype, rtol):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(9)
    other, params = rule(theta), [theta.copy()]
    trained, state = theta.astype(dtype), np.zeros((plugin.n_slots, 9), dtype)
    step = compiler.compiled(type(plugin).step, "optimizer", dtype)
    for k in range(40):
        grad = rng.standard_normal(9) * 10.0 ** rng.integers(-3, 3)
        params[0] += other._get_updates([grad])[0]
        lr = np.dtype(dtype).type(0.01)
        step(trained, grad.astype(dtype), state, lr, k, np.array(plugin.hyper(), dtype))
    np.testing.assert_allclose(trained, params[0], rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-4)])
def test_adamw_decays_apart_from_adam(dtype, rtol):
    rng = np.random.default_rng(0)
    plugin, rule = AdamW(weight_decay=0.3), naive.Adam(weight_decay=0.3)
    theta = rng.standard_normal(9)
    trained, state = theta.astype(dtype), np.zeros((2, 9), dtype)
    for k in range(40):
        grad = rng.standard_normal(9)
        theta = rule(theta, grad, 0.01)
        lr, hp = np.dtype(dtype).type(0.01), np.array(plugin.hyper(), dtype)
        plugin.step(trained, grad.astype(dtype), state, lr, k, hp)
    np.testing.assert_allclose(trained, theta, rtol=rtol, atol=rtol)
