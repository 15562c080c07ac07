"""Weightings of gradients against the problems that define them, solved in gradient space."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

from skmtl.engine.compile import compiled
from skmtl.plugins.weightings import (
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    GradNorm,
    GradVac,
    NashMTL,
    PCGrad,
    UPGrad,
)

pytestmark = pytest.mark.nojit

SIZES = [2, 3, 5, 8]
KINDS = ["random", "conflicting", "duplicated", "dependent", "scaled"]
GRAM = [
    PCGrad(),
    GradVac(),
    MGDA(),
    CAGrad(),
    IMTLG(),
    NashMTL(),
    AlignedMTL(),
    UPGrad(),
    GradNorm(),
]


def jacobian(kind, n, seed):
    """One gradient a row."""
    rng = np.random.default_rng([seed, n, KINDS.index(kind)])
    j = rng.standard_normal((n, n + 6))
    if kind == "conflicting":
        j -= 0.9 * j.mean(axis=0)
    if kind == "duplicated":
        j[-1] = j[0]
    if kind == "dependent":  # in a halfspace, so that the tasks can agree
        rank = (n + 1) // 2
        j = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, n + 6))
        j += np.abs(j @ np.ones(n + 6)).max() / (n + 6) * np.ones(n + 6)
    if kind == "scaled":
        j *= 10.0 ** rng.uniform(-2, 2, (n, 1))
    return j


def weigh(plugin, j, n_labels=None, seed=0, state=None, losses=None, dtype="float64"):
    n = len(j)
    state = np.zeros(plugin.n_state(n)) if state is None else state
    n_labels = np.ones(n, np.int64) if n_labels is None else np.asarray(n_labels)
    losses = np.ones(n) if losses is None else losses
    hp, weights = np.array(plugin.hyper(), dtype), np.full(n, np.nan)
    rng = np.random.default_rng(seed)
    plugin.update(losses, n_labels, j @ j.T, 0, 1, hp, state, rng, weights)
    return weights


def shortest_in_hull(j):
    """The nearest point to 0 by trying every face."""
    best = None
    for k in range(1, len(j) + 1):
        for face in map(list, combinations(range(len(j)), k)):
            rest = j[face[1:]] - j[face[0]]
            w = np.linalg.lstsq(rest.T, -j[face[0]], rcond=None)[0] if k > 1 else np.zeros(0)
            w = np.append(1 - w.sum(), w)
            point = w @ j[face]
            if w.min() > -1e-9 and (best is None or point @ point < best @ best):
                best = point
    return best


def projected(j, g):
    """The point nearest to g with no negative product with a row of j."""
    return g + j.T @ nnls(j.T, -g, maxiter=1000)[0]


cases = pytest.mark.parametrize(
    "kind, n, seed", [(kind, n, seed) for kind in KINDS for n in SIZES for seed in range(3)]
)


@cases
def test_mgda_is_the_shortest_convex_combination(kind, n, seed):
    j = jacobian(kind, n, seed)
    w, expected = weigh(MGDA(), j), shortest_in_hull(j)
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(w @ j, expected, atol=1e-9 * np.abs(j).max())
    squares = j @ expected
    assert squares.min() >= expected @ expected - 1e-9 * np.abs(squares).max()


@cases
def test_upgrad_is_the_mean_of_projections(kind, n, seed):
    j = jacobian(kind, n, seed)
    direction = weigh(UPGrad(), j) @ j
    expected = np.mean([projected(j, g) for g in j], axis=0)
    np.testing.assert_allclose(direction, expected, atol=1e-9 * np.abs(j).max())
    cosines = j @ direction / np.linalg.norm(j, axis=1)
    assert cosines.min() >= -1e-9 * np.linalg.norm(direction)


@pytest.mark.parametrize("c", [0.1, 0.5, 0.9, 3.0])
@pytest.mark.parametrize("kind", ["random", "conflicting", "duplicated", "dependent"])
@pytest.mark.parametrize("n, seed", [(2, 0), (3, 1), (5, 2), (8, 3)])
def test_cagrad_helps_the_worst_off_task_most(kind, n, seed, c):
    j = jacobian(kind, n, seed)
    w = weigh(CAGrad(c), j)
    d, mean = w @ j, j.mean(axis=0)
    radius = c * np.linalg.norm(mean)

    q = np.linalg.qr(j.T)[0]  # the solution lies in the span of the gradients
    rows, centre = j @ q, mean @ q
    start = np.append(centre, (rows @ centre).min())
    solution = minimize(
        lambda x: -x[-1],
        start,
        jac=lambda x: np.append(np.zeros(len(x) - 1), -1.0),
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda x: rows @ x[:-1] - x[-1],
             "jac": lambda x: np.column_stack([rows, -np.ones(n)])},
            {"type": "ineq", "fun": lambda x: radius**2 - ((x[:-1] - centre) ** 2).sum(),
             "jac": lambda x: np.append(-2 * (x[:-1] - centre), 0.0)},
        ],
        options={"ftol": 1e-15, "maxiter": 1000},
    )  # fmt: skip
    scale = np.linalg.norm(j, axis=1).max()
    assert np.linalg.norm(d - mean) <= radius * (1 + 1e-9)
    assert (j @ d).min() == pytest.approx(-solution.fun, abs=1e-6 * scale**2)
    np.testing.assert_allclose(d, q @ solution.x[:-1], atol=1e-5 * scale)


def test_cagrad_at_its_ends():
    j = jacobian("conflicting", 4, 0)
    np.testing.assert_array_equal(weigh(CAGrad(0), j), np.full(4, 0.25))
    d, shortest = weigh(CAGrad(1e4), j) @ j, shortest_in_hull(j)
    cosine = d @ shortest / np.linalg.norm(d) / np.linalg.norm(shortest)
    assert cosine == pytest.approx(1, abs=1e-6)


def test_cagrad_hurts_nobody_where_two_tasks_are_opposite():
    j = np.array([[1.0, 0.0, 0.1], [-1.0, 0.0, -0.1], [0.2, 1.0, 0.0]])
    d = weigh(CAGrad(0.5), j) @ j
    np.testing.assert_allclose(j[:2] @ d, 0, atol=1e-9)
    np.testing.assert_allclose(d, projected(j, j.mean(axis=0)), atol=1e-9)


@cases
def test_nash_solves_its_equation(kind, n, seed):
    j = jacobian(kind, n, seed)
    gram = j @ j.T / np.linalg.norm(j @ j.T)
    alpha = weigh(NashMTL(max_norm=np.inf), j)
    assert alpha.min() > 0
    np.testing.assert_allclose(alpha * (gram @ alpha), 1, rtol=1e-6)
    cut = weigh(NashMTL(max_norm=0.3), j)
    np.testing.assert_allclose(cut / cut.sum(), alpha / alpha.sum(), rtol=1e-9)
    assert np.linalg.norm(cut @ j) == pytest.approx(min(0.3, np.linalg.norm(alpha @ j)))


def test_nash_keeps_its_weights_between_solutions():
    plugin, state = NashMTL(update_every=3, max_norm=np.inf), np.zeros(NashMTL().n_state(4))
    seen = [weigh(plugin, jacobian("random", 4, k), state=state) for k in range(7)]
    fresh = [weigh(plugin, jacobian("random", 4, k)) for k in range(7)]
    for k in range(7):
        np.testing.assert_allclose(seen[k], fresh[3 * (k // 3)], rtol=1e-12)


@cases
def test_imtlg_projects_equally(kind, n, seed):
    j = jacobian(kind, n, seed)
    w, norms = weigh(IMTLG(), j), np.linalg.norm(j, axis=1)
    assert w.sum() == pytest.approx(1)
    x = np.linalg.pinv(j / norms[:, None] @ (j / norms[:, None]).T, 1e-10, True) @ np.ones(n)
    x /= norms
    scale = np.abs(x / x.sum()).max()
    np.testing.assert_allclose(w, x / x.sum(), atol=1e-7 * scale)
    if kind != "dependent":  # linearly independent, or copies
        projections = j / norms[:, None] @ (w @ j)
        np.testing.assert_allclose(projections, projections[0], atol=1e-7 * scale * norms.max())


def test_imtlg_where_no_weights_sum_to_one():
    j = np.array([[1.0, 2.0], [-3.0, -6.0]])
    np.testing.assert_array_equal(weigh(IMTLG(), j), [0.5, 0.5])


@cases
def test_aligned_is_the_mean_of_the_nearest_orthogonal_gradients(kind, n, seed):
    j = jacobian(kind, n, seed)
    u, values, vt = np.linalg.svd(j, full_matrices=False)
    rank = np.linalg.matrix_rank(j, 1e-7 * values[0])
    expected = values[rank - 1] * (u[:, :rank] @ vt[:rank]).mean(axis=0)
    np.testing.assert_allclose(weigh(AlignedMTL(), j) @ j, expected, atol=1e-7 * values[0])


def orders(n, i, rng):
    """The other tasks as the rules shuffle them."""
    order = [t for t in range(n) if t != i]
    for p in range(n - 2, 0, -1):
        other = int(rng.random() * (p + 1))
        order[p], order[other] = order[other], order[p]
    return order


@cases
def test_pcgrad_as_in_gradient_space(kind, n, seed):
    j, rng = jacobian(kind, n, seed), np.random.default_rng(seed)
    changed = j.copy()
    for i in range(n):
        for k in orders(n, i, rng):
            product = changed[i] @ j[k]
            if product < 0:
                changed[i] -= product / (j[k] @ j[k]) * j[k]
    direction = weigh(PCGrad(), j, seed=seed) @ j
    np.testing.assert_allclose(direction, changed.sum(axis=0), atol=1e-9 * np.abs(j).max())


@pytest.mark.parametrize("beta", [0.01, 0.5])
@pytest.mark.parametrize("kind", ["random", "conflicting", "scaled"])
@pytest.mark.parametrize("n", SIZES)
def test_gradvac_as_in_gradient_space(kind, n, beta):
    target, state = np.zeros((n, n)), np.zeros(GradVac().n_state(n))
    for step in range(6):
        j, rng = jacobian(kind, n, step), np.random.default_rng(step)
        changed = j.copy()
        for i in range(n):
            for k in orders(n, i, rng):
                length, other = np.linalg.norm(changed[i]), np.linalg.norm(j[k])
                phi, wanted = changed[i] @ j[k] / length / other, target[i, k]
                if phi < wanted:
                    sine = np.sqrt(1 - wanted**2)
                    turn = length * (wanted * np.sqrt(1 - phi**2) - phi * sine)
                    changed[i] += turn / (other * sine) * j[k]
                    cosine = changed[i] @ j[k] / np.linalg.norm(changed[i]) / other
                    assert cosine == pytest.approx(wanted, abs=1e-9)
                target[i, k] = (1 - beta) * wanted + beta * phi
        direction = weigh(GradVac(beta), j, seed=step, state=state) @ j
        expected = changed.sum(axis=0)
        np.testing.assert_allclose(direction, expected, rtol=1e-7, atol=1e-8 * np.abs(j).max())


def test_gradvac_without_memory_is_pcgrad():
    j = jacobian("conflicting", 5, 0)
    np.testing.assert_allclose(weigh(GradVac(0.0), j), weigh(PCGrad(), j), rtol=1e-12)


def test_no_conflict_leaves_gradients_alone():
    j = np.abs(jacobian("random", 5, 0))
    for plugin, scale in [(PCGrad(), 1), (UPGrad(), 5), (GradVac(0.0), 1)]:
        np.testing.assert_array_equal(weigh(plugin, j) * scale, np.ones(5))


def test_copies_of_a_task_weigh_alike():
    j = jacobian("conflicting", 4, 0)
    copied = np.vstack([j[3], j, j[3], 2 * j[0]])
    for plugin in (MGDA(), CAGrad(), UPGrad(), IMTLG(), NashMTL(), AlignedMTL()):
        w = weigh(plugin, copied)
        np.testing.assert_allclose(w[[0, 4, 5]], w[0], rtol=1e-6, atol=1e-12)
        same = weigh(plugin, np.tile(j[0], (4, 1)))
        np.testing.assert_allclose(same, same[0], rtol=1e-9)


def test_orthogonal_gradients_of_one_length_weigh_alike():
    j = 3.0 * np.linalg.qr(jacobian("random", 4, 0).T)[0].T
    for plugin in GRAM:
        np.testing.assert_allclose(weigh(plugin, j), weigh(plugin, j)[0], rtol=1e-9)


def twice(plugin, j, **given):
    """The weights of the second step: GradNorm gives 1 in the first."""
    state = np.zeros(plugin.n_state(len(j)))
    weigh(plugin, j, state=state, **given)
    return weigh(plugin, j, state=state, **given)


@pytest.mark.parametrize("plugin", GRAM, ids=str)
@pytest.mark.parametrize("n", SIZES)
def test_order_of_tasks_does_not_matter(plugin, n):
    j, order = jacobian("random", n, 0), np.random.default_rng(n).permutation(n)
    if isinstance(plugin, (PCGrad, GradVac)) and n > 2:
        j = np.abs(j)  # the rule follows a random order where gradients conflict
    losses = np.arange(1.0, n + 1)
    expected = twice(plugin, j, losses=losses)[order]
    np.testing.assert_allclose(twice(plugin, j[order], losses=losses[order]), expected, rtol=1e-7)


@pytest.mark.parametrize("plugin", GRAM, ids=str)
def test_absent_tasks_do_not_matter(plugin):
    j, n_labels = jacobian("conflicting", 6, 1), np.array([1, 0, 2, 3, 0, 1])
    there = n_labels > 0
    all_of_them = np.where(there[:, None], j, 0)
    losses = np.where(there, np.arange(1.0, 7), 0)
    weights = twice(plugin, all_of_them, n_labels=n_labels, losses=losses)
    expected = twice(plugin, j[there], n_labels=n_labels[there], losses=losses[there])
    np.testing.assert_allclose(weights[there], expected, rtol=1e-9)
    np.testing.assert_array_equal(weights[~there], 0)
    nobody = twice(plugin, 0 * j, n_labels=np.zeros(6, np.int64), losses=np.zeros(6))
    np.testing.assert_array_equal(nobody, 0)


@pytest.mark.parametrize("plugin", GRAM, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_are_finite_whatever_the_gradients(plugin, dtype):
    rng = np.random.default_rng(0)
    base = rng.standard_normal((5, 12))
    hard = {
        "zero": 0 * base,
        "one zero": base * [[1], [0], [1], [1], [1]],
        "all but one zero": base * [[0], [0], [1], [0], [0]],
        "copies": np.tile(base[0], (5, 1)),
        "opposite": np.vstack([base[:2], -base[:2], base[0]]),
        "sum to zero": base - base.mean(axis=0),
        "rank 1": np.outer(rng.standard_normal(5), base[0]),
        "nearly copies": base[0] + 1e-7 * base,
        "tiny": 1e-8 * base,
        "huge": 1e8 * base,
        "mixed": base * 10.0 ** np.array([[-8], [8], [0], [-4], [4]]),
        "mixed opposite": np.vstack([base[:2], -1e8 * base[:2], 1e-8 * base[0]]),
    }
    for name, j in hard.items():
        for noise in (0.0, 1e-7):  # a Gram matrix of single precision is not semidefinite
            j32 = j + noise * np.abs(j).max(axis=1, keepdims=True) * rng.standard_normal(j.shape)
            weights = twice(plugin, j32, dtype=dtype)
            assert np.isfinite(weights).all(), (name, noise, weights)
            # equal projections can take weights of any size
            limit = (1e7 if isinstance(plugin, IMTLG) else 10) * np.linalg.norm(j32, axis=1).max()
            assert np.linalg.norm(weights @ j32) <= limit, (name, noise, weights)


@pytest.mark.parametrize("plugin", GRAM, ids=str)
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_a_common_scale_leaves_the_direction(plugin, scale):
    j = jacobian("conflicting", 4, 2)
    a, b = twice(plugin, j), twice(plugin, scale * j)
    np.testing.assert_allclose(b / np.abs(b).sum(), a / np.abs(a).sum(), rtol=1e-6)


@pytest.mark.parametrize("plugin", GRAM, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_is_plain(plugin, dtype):
    for kind in KINDS:
        j = jacobian(kind, 5, 0)
        rng, update = np.random.default_rng(3), compiled(type(plugin).update, "weighting", dtype)
        state, weights = np.zeros(plugin.n_state(5)), np.full(5, np.nan)
        hp, losses = np.array(plugin.hyper(), dtype), np.ones(5)
        for _ in range(2):
            update(losses, np.ones(5, np.int64), j @ j.T, 0, 1, hp, state, rng, weights)
        rng, plain = np.random.default_rng(3), np.full(5, np.nan)
        state = np.zeros(plugin.n_state(5))
        for _ in range(2):
            plugin.update(losses, np.ones(5, np.int64), j @ j.T, 0, 1, hp, state, rng, plain)
        atol = 1e-7 * np.abs(plain).max()
        np.testing.assert_allclose(weights, plain, rtol=1e-7, atol=atol)


@pytest.mark.parametrize("n, n_columns", [(40, 25), (60, 90)])
def test_many_tasks(n, n_columns):
    j = np.random.default_rng(0).standard_normal((n, n_columns))
    j += 0.3 * j[0]

    def solve(plugin):
        state, weights = np.zeros(plugin.n_state(n)), np.full(n, np.nan)
        update, hp = compiled(type(plugin).update, "weighting", "float64"), plugin.hyper()
        rng, labels = np.random.default_rng(0), np.ones(n, np.int64)
        update(np.ones(n), labels, j @ j.T, 0, 1, np.array(hp), state, rng, weights)
        return weights

    d = solve(UPGrad()) @ j
    np.testing.assert_allclose(d, np.mean([projected(j, g) for g in j], axis=0), atol=1e-9)

    d = solve(MGDA()) @ j
    assert (j @ d).min() == pytest.approx(d @ d, abs=1e-9)  # what makes d the shortest

    weights, mean = solve(CAGrad(0.4)), j.mean(axis=0)
    w, d = weights - 1 / n, weights @ j
    point, radius = w @ j / w.sum(), 0.4 * np.linalg.norm(mean)
    dual = point @ mean + radius * np.linalg.norm(point)
    assert np.linalg.norm(d - mean) <= radius * (1 + 1e-9)
    assert (j @ d).min() == pytest.approx(dual, abs=1e-9)

    weights = solve(NashMTL(max_norm=np.inf))
    gram = j @ j.T / np.linalg.norm(j @ j.T)
    if n_columns > n:  # otherwise some combination of gradients is 0, and there is no solution
        np.testing.assert_allclose(weights * (gram @ weights), 1, rtol=1e-7)


@pytest.mark.parametrize("plugin", GRAM, ids=str)
def test_one_task_follows_its_gradient(plugin):
    j = np.array([[3.0, 4.0]])
    weight = 1.0
    if isinstance(plugin, NashMTL):
        weight = 0.2  # a step of length 1
    if isinstance(plugin, CAGrad):
        weight = 1.5  # the end of the ball
    assert twice(plugin, j) == pytest.approx(weight)
