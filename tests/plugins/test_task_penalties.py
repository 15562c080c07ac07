"""Penalties that tie tasks together, against their formulas and other people's optima."""

import pickle
import warnings

import numpy as np
import pytest
from penalty_cases import (
    Direct,
    descend,
    linear_problem,
    linear_tasks,
    minimise,
    stacked,
    weights,
    with_own,
)
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import MultiTaskLasso

from skmtl import MultiTaskClassifier
from skmtl.engine.layout import Architecture, Layout
from skmtl.plugins.base import MAP
from skmtl.plugins.optimizers import SGD
from skmtl.plugins.penalties import (
    L1,
    L2,
    ClusteredTasks,
    GroupLasso,
    MeanAnchored,
    SparseLowRank,
    TaskGraph,
    TraceNorm,
)

T, P = 5, 4
GRAPH = np.array(
    [[0, 1, 0, 0, 2], [1, 0, 3, 0, 0], [0, 3, 0, 0.5, 0], [0, 0, 0.5, 0, 0], [2, 0, 0, 0, 0]]
)


def mean_anchored(W, mean_strength):
    mean = W.mean(axis=0)
    return ((W - mean) ** 2).sum() / 2 + mean_strength * len(W) / 2 * (mean**2).sum()


def task_graph(W, graph):
    laplacian = np.diag(graph.sum(axis=1)) - graph
    return np.trace(W.T @ laplacian @ W) / 2


def clustered(W, n_clusters):
    s = np.linalg.svd(W - W.mean(axis=0), compute_uv=False)
    return (s[n_clusters - 1 :] ** 2).sum() / 2


FORMULAS = [
    (GroupLasso(), lambda W: np.linalg.norm(W, axis=0).sum()),
    (TraceNorm(), lambda W: np.linalg.norm(W, "nuc")),
    (MeanAnchored(), lambda W: mean_anchored(W, 0)),
    (MeanAnchored(0.3), lambda W: mean_anchored(W, 0.3)),
    (TaskGraph(GRAPH), lambda W: task_graph(W, GRAPH)),
    (ClusteredTasks(2), lambda W: clustered(W, 2)),
    (ClusteredTasks(3), lambda W: clustered(W, 3)),
]


@pytest.mark.nojit
@pytest.mark.parametrize("plugin, formula", FORMULAS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("shape", [(T, P), (T, 8)], ids=str)
def test_value_and_gradient_on_stacked_heads(plugin, formula, shape):
    theta = np.random.default_rng(0).standard_normal(shape)
    direct = Direct(plugin, stacked(*shape))
    assert direct.value(theta.ravel(), 1.7) == pytest.approx(1.7 * formula(theta), rel=1e-12)
    direct.check_gradient(theta.ravel())


@pytest.mark.nojit
@pytest.mark.parametrize("plugin, tol", [(GroupLasso(), 1e-12), (TraceNorm(), 5e-8)], ids=str)
@pytest.mark.parametrize("shape", [(T, P), (T, 8)], ids=str)
@pytest.mark.parametrize("step", [1e-3, 0.5, 2.0, 100.0])
def test_prox_has_the_pull_of_a_subgradient(plugin, tol, shape, step):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(shape[0] * shape[1])
    Direct(plugin, stacked(*shape)).check_prox(theta, step, rng, tol)


@pytest.mark.nojit
@pytest.mark.parametrize("shape", [(T, P), (T, 8)], ids=str)
def test_trace_norm_thresholds_singular_values(shape):
    W = np.random.default_rng(0).standard_normal(shape)
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    step = s[2]
    expected = (u * np.maximum(s - step, 0)) @ vt
    z = Direct(TraceNorm(), stacked(*shape)).prox(W.ravel(), step * (1 + 1e-12))
    np.testing.assert_allclose(z.reshape(shape), expected, atol=1e-11)
    assert np.linalg.matrix_rank(z.reshape(shape), tol=1e-9) == 2


@pytest.mark.nojit
@pytest.mark.parametrize("n_columns", [4, 8])
def test_trace_norm_of_low_rank_is_good_to_1e_8(n_columns):
    rng = np.random.default_rng(0)
    W = rng.standard_normal((5, 2)) @ rng.standard_normal((2, n_columns))
    direct, theta = Direct(TraceNorm(), stacked(5, n_columns)), W.ravel()
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    assert direct.value(theta) == pytest.approx(s.sum(), abs=5e-8 * s[0])
    np.testing.assert_allclose(direct.value_grad(theta)[1], (u[:, :2] @ vt[:2]).ravel(), atol=1e-7)
    np.testing.assert_allclose(direct.prox(theta, 1e-12), theta, atol=2e-8 * s[0])
    # At zero: value and subgradient 0, and nothing to shrink.
    zero = np.zeros_like(theta)
    assert direct.value(zero) == 0
    assert not direct.value_grad(zero)[1].any()
    assert not direct.prox(zero, 0.1).any()


@pytest.mark.nojit
@pytest.mark.parametrize("weight", [0.3, None])
@pytest.mark.parametrize("shape", [(T, P), (T, 8)], ids=str)
def test_sparse_low_rank_on_both_of_its_matrices(weight, shape):
    rng = np.random.default_rng(0)
    W, Q = rng.standard_normal((2, *shape))
    direct = Direct(SparseLowRank(weight), with_own(stacked(*shape), *shape))
    theta = np.concatenate([W.ravel(), Q.ravel()])
    rho = weight or 1 / np.sqrt(max(shape))
    expected = np.linalg.norm(W - Q, "nuc") + rho * np.abs(Q).sum()
    assert direct.value(theta, 1.7) == pytest.approx(1.7 * expected, rel=1e-12)
    direct.check_gradient(theta)
    for step in (1e-3, 0.5, 2.0, 100.0):
        direct.check_prox(theta, step, rng, 5e-8)
    assert (direct.prox(theta, 0.5)[W.size :] == 0).any()


def layout_of(hidden=(), head_hidden=(), n_outputs=(2, 2, 2), n_experts=1):
    return Layout(
        Architecture(
            n_inputs=3,
            hidden=hidden,
            activation="tanh",
            head_hidden=head_hidden,
            n_outputs=n_outputs,
            task_heads=tuple(range(len(n_outputs))),
            gate_mask=((True,) * n_experts,) * len(n_outputs),
        )
    )


@pytest.mark.nojit
@pytest.mark.parametrize("case", ["linear", "trunk", "experts", "heads"])
def test_group_lasso_groups_all_that_reads_an_input(case):
    layout = {
        "linear": layout_of(),
        "trunk": layout_of(hidden=(4, 5)),
        "experts": layout_of(hidden=(4,), n_experts=2),
        "heads": layout_of(head_hidden=(4,)),
    }[case]
    theta = np.random.default_rng(0).standard_normal(layout.size)
    if case == "linear":
        parts = [layout.output_weight_bias(theta, h)[0] for h in range(3)]
    elif case == "heads":
        parts = [layout.weight_bias(theta, layout.heads[h, 0])[0] for h in range(3)]
    else:
        parts = [layout.weight_bias(theta, chain[0])[0] for chain in layout.trunk]
    joined = np.hstack(parts)
    direct = Direct(GroupLasso(), layout.blocks)
    norms = np.linalg.norm(joined, axis=1)
    assert direct.value(theta) == pytest.approx(norms.sum(), rel=1e-14)
    direct.check_gradient(theta)
    before, step = joined.copy(), np.sort(norms)[1] * 0.99
    z = direct.prox(theta, step)
    theta[:] = z  # the parts are views
    after = np.hstack([np.array(part) for part in parts])
    kept = np.maximum(1 - step / norms, 0)[:, None]
    np.testing.assert_allclose(after, kept * before, atol=1e-15)
    assert (np.abs(after).sum(axis=1) == 0).sum() == 1


@pytest.mark.nojit
def test_one_group_per_weight_is_l1():
    theta = np.random.default_rng(0).standard_normal(6)
    alone, l1 = Direct(GroupLasso(), stacked(1, 6)), Direct(L1(), stacked(1, 6))
    assert alone.value(theta) == pytest.approx(l1.value(theta), rel=1e-14)
    np.testing.assert_allclose(alone.prox(theta, 0.5), l1.prox(theta, 0.5), rtol=1e-13)


@pytest.mark.nojit
@pytest.mark.parametrize("same", ["mean 1 is l2", "no graph", "one cluster", "complete graph"])
def test_equivalences(same):
    plugin, other, factor = {
        "mean 1 is l2": (MeanAnchored(1.0), L2(), 1),
        "no graph": (TaskGraph(), MeanAnchored(), 1),
        "one cluster": (ClusteredTasks(1), MeanAnchored(), 1),
        "complete graph": (TaskGraph(np.ones((T, T))), MeanAnchored(), T),
    }[same]
    theta = np.random.default_rng(0).standard_normal(T * P)
    value, grad = Direct(plugin, stacked(T, P)).value_grad(theta, 0.7)
    expected, expected_grad = Direct(other, stacked(T, P)).value_grad(theta, 0.7 * factor)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-11)


@pytest.mark.nojit
@pytest.mark.parametrize(
    "plugin", [MeanAnchored(0.2), TaskGraph(GRAPH[:3, :3]), ClusteredTasks(2)], ids=str
)
@pytest.mark.parametrize("head_hidden", [(), (4,), (4, 3)], ids=str)
def test_hidden_layers_belong_to_their_head(plugin, head_hidden):
    """A head with hidden layers is one vector: its matrices one after the other."""
    layout = layout_of(hidden=(3,), head_hidden=head_hidden)
    theta = np.random.default_rng(0).standard_normal(layout.size)
    W = np.array(
        [
            np.concatenate(
                [layout.weight_bias(theta, layer)[0].ravel() for layer in layout.heads[h]]
                + [layout.output_weight_bias(theta, h)[0].T.ravel()]
            )
            for h in range(3)
        ]
    )
    direct = Direct(plugin, layout.blocks)
    flat = Direct(plugin, stacked(*W.shape))
    assert direct.value(theta) == pytest.approx(flat.value(W.ravel()), rel=1e-12)
    direct.check_gradient(theta)


@pytest.mark.nojit
def test_clusters_cost_nothing_and_bound_the_scatter_within():
    rng = np.random.default_rng(0)
    centres, member = rng.standard_normal((3, P)), np.array([0, 1, 2, 0, 1, 2, 0])
    tight, blocks = centres[member], stacked(7, P)
    assert Direct(ClusteredTasks(3), blocks).value(tight.ravel()) == pytest.approx(0, abs=1e-12)
    loose = tight + rng.standard_normal(tight.shape)
    scatter = sum(
        ((loose[member == c] - loose[member == c].mean(axis=0)) ** 2).sum() / 2 for c in range(3)
    )
    assert 0 < Direct(ClusteredTasks(3), blocks).value(loose.ravel()) < scatter
    assert Direct(ClusteredTasks(7), blocks).value(loose.ravel()) == 0


@pytest.mark.nojit
@pytest.mark.parametrize("plugin", [MeanAnchored(), TaskGraph(), ClusteredTasks(2)], ids=str)
def test_heads_must_be_alike(plugin):
    name = type(plugin).__name__
    with pytest.raises(ValueError, match=f"{name} compares .* 2, 3 outputs.* 'trace_norm'"):
        Direct(plugin, layout_of(n_outputs=(2, 3)).blocks)
    with pytest.raises(ValueError, match=f"{name} compares .* not as map_penalty"):
        Direct(plugin, np.array([[0, 3, 3, 9, MAP, 0]]))


@pytest.mark.nojit
def test_what_the_parameters_may_be():
    blocks = stacked(3, P)
    with pytest.raises(ValueError, match="TraceNorm acts on the output layers"):
        Direct(TraceNorm(), np.array([[0, 3, 3, 9, MAP, 0]]))
    with pytest.raises(ValueError, match="SparseLowRank acts on the output layers"):
        Direct(SparseLowRank(), np.array([[0, 3, 3, 9, MAP, 0]]))
    with pytest.raises(ValueError, match=r"'sparsity_weight' .* in \(0, inf\)"):
        SparseLowRank(0.0).hyper()
    with pytest.raises(ValueError, match="GroupLasso has a group .* 3 and 4 of them"):
        Direct(GroupLasso(), np.array([[0, 3, 4, -1, MAP, 0], [12, 4, 3, -1, MAP, 0]]))
    with pytest.raises(ValueError, match=r"'graph' .* shape \(3, 3\).* Got shape \(5, 5\)"):
        Direct(TaskGraph(GRAPH), blocks)
    for wrong in ([[0, 1, 0]] * 3, -np.ones((3, 3)), np.full((3, 3), np.inf)):
        with pytest.raises(ValueError, match="'graph' .* symmetric, of finite weights >= 0"):
            Direct(TaskGraph(wrong), blocks)
    with pytest.raises(ValueError, match="'n_clusters' .* at most 3"):
        Direct(ClusteredTasks(4), blocks)
    with pytest.raises(ValueError, match="'n_clusters' .* whole number"):
        ClusteredTasks(1.5).hyper()
    with pytest.raises(ValueError, match="'n_clusters' .* in \\[1, inf"):
        ClusteredTasks(0).hyper()
    with pytest.raises(ValueError, match="'mean_strength' .* in \\[0, 1\\]"):
        MeanAnchored(2).hyper()


@pytest.mark.nojit
def test_graphs_may_be_sparse_and_are_cloned():
    sparse = TaskGraph(csr_array(GRAPH))
    np.testing.assert_array_equal(Direct(sparse, stacked(T, P)).constants, GRAPH.ravel())
    copy = clone(TaskGraph(GRAPH))
    assert copy.graph is not GRAPH
    np.testing.assert_array_equal(copy.graph, GRAPH)


# --- optima of linear tasks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "solver, lr",
    [(SGD(0.0), 0.5), (SGD(0.9, nesterov=False), 0.05), (SGD(0.9), 0.05)],
    ids=["plain", "momentum", "nesterov"],
)
def test_group_lasso_is_multi_task_lasso(solver, lr):
    X, Y = linear_tasks()
    expected = MultiTaskLasso(alpha=0.2, tol=1e-12, max_iter=100000).fit(X, Y).coef_
    assert (abs(expected).sum(axis=0) == 0).sum() == 3
    problem = linear_problem(X, Y, GroupLasso(), 0.2, solver=solver)
    descend(problem, lr)
    np.testing.assert_allclose(weights(problem, 4), expected, atol=1e-6)
    np.testing.assert_array_equal(weights(problem, 4) == 0, expected == 0)


def fista(X, Y, alpha, n_steps=5000):
    """Accelerated proximal gradient for the trace norm: Beck and Teboulle (2009)."""
    n, L = len(X), np.linalg.norm(X, 2) ** 2 / len(X)
    W = V = np.zeros((Y.shape[1], X.shape[1]))
    k = 1.0
    for _ in range(n_steps):
        step = V - (V @ X.T - Y.T) @ X / (n * L)
        u, s, vt = np.linalg.svd(step, full_matrices=False)
        new = (u * np.maximum(s - alpha / L, 0)) @ vt
        k_new = (1 + np.sqrt(1 + 4 * k * k)) / 2
        V, W, k = new + (k - 1) / k_new * (new - W), new, k_new
    return W


@pytest.mark.parametrize("n_tasks", [4, 9])
def test_trace_norm_reaches_the_optimum_of_fista(n_tasks):
    X, Y = linear_tasks(n_tasks=n_tasks)
    expected = fista(X, Y, 0.3)
    problem = linear_problem(X, Y, TraceNorm(), 0.3)
    descend(problem, 0.5)
    np.testing.assert_allclose(weights(problem, n_tasks), expected, atol=1e-6)
    rank = np.linalg.matrix_rank(expected, tol=1e-6)
    assert np.linalg.matrix_rank(weights(problem, n_tasks), tol=1e-6) == rank < 4


def split_fista(X, Y, alpha, rho, n_steps=20000):
    """The same for W = P + Q, ||P||_* + rho ||Q||_1: both parts, as two unknowns."""
    n, L = len(X), 2 * np.linalg.norm(X, 2) ** 2 / len(X)
    now = at = np.zeros((2, Y.shape[1], X.shape[1]))
    k = 1.0
    for _ in range(n_steps):
        P, Q = at - (at.sum(axis=0) @ X.T - Y.T) @ X / (n * L)
        u, s, vt = np.linalg.svd(P, full_matrices=False)
        P = (u * np.maximum(s - alpha / L, 0)) @ vt
        Q = np.sign(Q) * np.maximum(np.abs(Q) - alpha * rho / L, 0)
        k_new = (1 + np.sqrt(1 + 4 * k * k)) / 2
        at, now, k = np.array([P, Q]) + (k - 1) / k_new * ([P, Q] - now), np.array([P, Q]), k_new
    return now


def odd_task(n_tasks=5):
    """Linear tasks of rank 2, but for one weight of one task."""
    X, Y = linear_tasks(n_tasks=n_tasks)
    Y[:, 1] += 3 * X[:, 4]
    return X, Y


def test_sparse_low_rank_reaches_the_optimum_of_two_unknowns():
    X, Y = odd_task()
    P, Q = split_fista(X, Y, 0.3, 0.6)
    problem = linear_problem(X, Y, SparseLowRank(0.6), 0.3)
    descend(problem, 0.2)
    np.testing.assert_allclose(weights(problem, 5), P + Q, atol=1e-6)
    found = problem.layout.matrix(problem.theta, problem.layout.blocks[-1])
    np.testing.assert_allclose(found, Q, atol=1e-6)
    np.testing.assert_array_equal(found == 0, Q == 0)
    assert (found == 0).mean() > 0.8
    assert np.unravel_index(np.abs(found).argmax(), found.shape) == (1, 4)
    assert np.linalg.matrix_rank(P, tol=1e-6) == 2


@pytest.mark.parametrize("weight, alone", [(1.0, TraceNorm()), (0.1, L1())], ids=str)
def test_sparse_low_rank_with_a_dear_or_cheap_sparse_part_is_one_norm_alone(weight, alone):
    """From 1 on the trace norm; 0.1 is so cheap, below 1 / sqrt(30), that Q takes all."""
    X, Y = odd_task()
    both, one = (
        linear_problem(X, Y, plugin, strength)
        for plugin, strength in ((SparseLowRank(weight), 0.3), (alone, 0.3 * min(weight, 1)))
    )
    descend(both, 0.2)
    descend(one, 0.2)
    np.testing.assert_allclose(weights(both, 5), weights(one, 5), atol=1e-6)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_estimators_leave_the_sparse_part(solver):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6))
    Y = (X @ np.outer([1, -1, 0, 0, 1, 0], np.ones(5)) > 0).astype(int)
    Y[:, 2] = X[:, 3] > 0
    clf = MultiTaskClassifier(
        (),
        penalty="sparse_low_rank",
        lam=0.05,
        solver=solver,
        learning_rate_init=0.05,
        max_iter=200,
        tol=1e-5,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        sparse = clf.fit(X, Y).penalty_coefs_[0]
    assert sparse.shape == (5, 6)
    assert np.unravel_index(np.abs(sparse).argmax(), sparse.shape) == (2, 3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict(X), clf.predict(X))


def quadratic_optimum(X, Y, K, strength):
    """Optimum with R = tr(W^T K W) / 2: (K strength) W + W X^T X / n = Y^T X / n."""
    n, (n_tasks, n_columns) = len(X), (Y.shape[1], X.shape[1])
    system = np.kron(strength * K, np.eye(n_columns)) + np.kron(np.eye(n_tasks), X.T @ X / n)
    return np.linalg.solve(system, (Y.T @ X / n).ravel()).reshape(n_tasks, n_columns)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("name", ["mean", "mean and its length", "graph"])
def test_quadratic_penalties_reach_the_solution_of_the_linear_system(solver, name):
    X, Y = linear_tasks(n_tasks=T)
    centring = np.eye(T) - 1 / T
    plugin, K = {
        "mean": (MeanAnchored(), centring),
        "mean and its length": (MeanAnchored(0.3), centring + 0.3 / T),
        "graph": (TaskGraph(GRAPH), np.diag(GRAPH.sum(axis=1)) - GRAPH),
    }[name]
    problem = linear_problem(X, Y, plugin, 0.4)
    descend(problem, 0.2) if solver == "sgd" else minimise(problem)
    expected = quadratic_optimum(X, Y, K, 0.4)
    np.testing.assert_allclose(weights(problem, T), expected, atol=1e-6)


def test_mean_strength_is_that_of_evgeniou_and_pontil():
    """Equation 5 there: w_t = w_0 + v_t at the cost l1 / T sum_t ||v_t||^2 + l2 ||w_0||^2."""
    X, Y = linear_tasks(n_tasks=T)
    n, p, l1, l2 = len(X), X.shape[1], 0.6, 0.2
    # Unknowns (w_0, v_1, ..., v_T); each loss is mean_i (...)^2 / 2.
    design = np.hstack([np.ones((T, 1)), np.eye(T)])
    cost = np.diag([2 * l2] + [2 * l1 / T] * T)
    system = np.kron(design.T @ design, X.T @ X / n) + np.kron(cost, np.eye(p))
    parts = np.linalg.solve(system, (design.T @ (Y.T @ X / n)).ravel()).reshape(T + 1, p)
    problem = linear_problem(X, Y, MeanAnchored(l2 / (l1 + l2)), 2 * l1 / T)
    minimise(problem)
    np.testing.assert_allclose(weights(problem, T), parts[0] + parts[1:], atol=1e-6)


def planted(seed, n_labels=8, n_tasks=12, n_columns=20):
    """Tasks of two groups, each with few labelled rows of its own, and fresh rows to test on."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((2, n_columns))
    member = np.arange(n_tasks) % 2
    W = centres[member] + 0.1 * rng.standard_normal((n_tasks, n_columns))
    X = rng.standard_normal((n_labels * n_tasks, n_columns))
    Y = np.full((len(X), n_tasks), np.nan)
    for t in range(n_tasks):
        rows = slice(t * n_labels, (t + 1) * n_labels)
        Y[rows, t] = X[rows] @ W[t] + 0.1 * rng.standard_normal(n_labels)
    return X, Y, W, member


def best_error(plugin, seed, strengths=(1e-3, 1e-2, 0.1, 1.0, 10.0)):
    """The least mean squared error on new rows, over strengths, and the weights there."""
    X, Y, W, _ = planted(seed)
    results = []
    for strength in strengths:
        # From the independent tasks: at zero the clusters are not told apart.
        first = linear_problem(X, Y, L2(), 1e-2)
        minimise(first)
        problem = linear_problem(X, Y, plugin, strength, start=first.theta)
        minimise(problem)
        found = weights(problem, len(W)).copy()
        results.append((((found - W) ** 2).sum(axis=1).mean(), found))
    return min(results, key=lambda result: result[0])


@pytest.mark.parametrize("seed", range(4))
def test_planted_clusters_are_found(seed):
    error, found = best_error(ClusteredTasks(2), seed)
    assert error < 0.5 * best_error(MeanAnchored(), seed)[0]
    assert error < 0.5 * best_error(L2(), seed)[0]
    side = np.linalg.svd(found - found.mean(axis=0))[0][:, 0] > 0
    member = planted(seed)[3]
    assert (side == side[0]).tolist() == (member == member[0]).tolist()
