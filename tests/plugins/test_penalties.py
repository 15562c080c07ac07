"""Penalties against their formulas."""

import numpy as np
import pytest
from penalty_cases import Direct, stacked

from skmtl.engine.blocks import map_block_table
from skmtl.plugins.base import MAP, OUTPUT, TRUNK
from skmtl.plugins.feature_maps import Affine, Linear
from skmtl.plugins.penalties import L1, L2, ElasticNet, IdentityAnchor, Orthogonality

pytestmark = pytest.mark.nojit

PENALTIES = [L2(), L1(), ElasticNet(0.3), IdentityAnchor(), Orthogonality()]
LAYOUTS = {
    "layers": np.array([[2, 3, 4, 14, TRUNK, 0], [18, 2, 3, 24, TRUNK, 0]]),
    "outputs": np.array([[30, 3, 5, 57, OUTPUT, 1], [45, 2, 5, 55, OUTPUT, 1]]),
    "square map": np.array([[0, 5, 5, 25, MAP, 0]]),
    "tall map": np.array([[3, 5, 4, 23, MAP, 0]]),
    "wide map": np.array([[3, 4, 5, -1, MAP, 0]]),
    "two maps": np.array([[0, 3, 3, 9, MAP, 0], [12, 3, 4, 24, MAP, 0]]),
}
FORMULAS = {
    "L2": lambda a: (a**2).sum() / 2,
    "L1": lambda a: np.abs(a).sum(),
    "ElasticNet": lambda a: 0.3 * np.abs(a).sum() + 0.7 * (a**2).sum() / 2,
    "IdentityAnchor": lambda a: anchor(a),
    "Orthogonality": lambda a: isometry(a),
}


def anchor(a):
    if a.shape[0] == a.shape[1]:
        return np.linalg.norm(a - np.eye(len(a))) ** 2
    return isometry(a)


def isometry(a):
    tall = a if a.shape[0] > a.shape[1] else a.T
    return np.linalg.norm(tall.T @ tall - np.eye(tall.shape[1])) ** 2 / 4


@pytest.mark.parametrize("plugin", PENALTIES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_penalty_against_its_formula(plugin, layout):
    theta, hp = np.random.default_rng(0).standard_normal(60), np.array(plugin.hyper())
    blocks = LAYOUTS[layout]

    def value(theta):
        return plugin.value_grad(theta, blocks, 1.7, hp, hp[:0], hp[:0], np.zeros(60))

    expected, penalised = 0.0, np.zeros(60, bool)
    for start, rows, cols, bias, role, _ in blocks:
        expected += FORMULAS[type(plugin).__name__](
            theta[start : start + rows * cols].reshape(rows, cols)
        )
        penalised[start : start + rows * cols] = True
        if isinstance(plugin, IdentityAnchor) and bias >= 0:
            end = bias + (rows if role == OUTPUT else cols)
            expected += (theta[bias:end] ** 2).sum()
            penalised[bias:end] = True
    assert value(theta) == pytest.approx(1.7 * expected, rel=1e-13)
    grad = np.zeros(60)
    plugin.value_grad(theta, blocks, 1.7, hp, hp[:0], hp[:0], grad)
    numeric = np.zeros(60)
    for j in range(60):
        step = 1e-6 * (np.arange(60) == j)
        numeric[j] = (value(theta + step) - value(theta - step)) / 2e-6
    np.testing.assert_allclose(grad, numeric, rtol=1e-6, atol=1e-7)
    assert not grad[~penalised].any()


@pytest.mark.parametrize("n_in, n_out", [(4, 4), (5, 3), (3, 5)])
def test_maps_start_where_the_anchor_is_zero(n_in, n_out):
    rng = np.random.default_rng(0)
    for plugin in (Linear(), Affine()):
        theta = plugin.init(np.zeros((2, n_in)), np.zeros((2, n_out)), rng)
        blocks, none = map_block_table(plugin, n_in, n_out, 0), np.zeros(0)
        grad = np.zeros(theta.size)
        value = IdentityAnchor.value_grad(theta, blocks, 1.0, none, none, none, grad)
        assert value == pytest.approx(0, abs=1e-28)
        np.testing.assert_allclose(grad, 0, atol=1e-14)


def test_anchor_of_a_rectangle_is_the_squared_distance_nearby():
    rng = np.random.default_rng(0)
    q = Linear().init(np.zeros((2, 6)), np.zeros((2, 3)), rng)
    direction = rng.standard_normal(18)
    for size in (1e-2, 1e-3):
        near = (q + size * direction).reshape(6, 3)
        u, _, vt = np.linalg.svd(near, full_matrices=False)
        distance = np.linalg.norm(near - u @ vt) ** 2
        value = IdentityAnchor.value_grad(
            near.ravel(), np.array([[0, 6, 3, -1, MAP, 0]]), 1.0, *[np.zeros(0)] * 3, np.zeros(18)
        )
        assert value == pytest.approx(distance, rel=10 * size)


def test_orthogonality_lets_a_square_map_rotate():
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    blocks = np.array([[0, 4, 4, -1, MAP, 0]])
    value, grad = Direct(Orthogonality(), blocks).value_grad(q.ravel())
    assert value == pytest.approx(0, abs=1e-28)
    np.testing.assert_allclose(grad, 0, atol=1e-14)
    assert Direct(IdentityAnchor(), blocks).value(q.ravel()) > 1


@pytest.mark.parametrize("plugin", [L1(), ElasticNet(0.3), ElasticNet(0.0)], ids=str)
@pytest.mark.parametrize("step", [1e-3, 0.5, 10.0])
def test_prox_has_the_pull_of_a_subgradient(plugin, step):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(12)
    Direct(plugin, stacked(3, 4)).check_prox(theta, step, rng, 1e-13)


def test_prox_keeps_what_is_not_finite():
    theta = np.array([np.nan, np.inf, -np.inf, 0.1])
    expected = [np.nan, np.inf, -np.inf, 0]
    for plugin in (L1(), ElasticNet()):
        np.testing.assert_array_equal(Direct(plugin, stacked(1, 4)).prox(theta, 0.5), expected)
