"""The objective against its formula, its gradient against central differences, in float64."""

import os
from dataclasses import replace
from itertools import product

import naive
import numpy as np
import pytest
from engine_cases import MIXED, Case, one_hot, run_epoch
from scipy.sparse import csr_array

from skmtl.engine.data import Domain
from skmtl.engine.forward import head_output, shared_representation
from skmtl.engine.problem import Problem
from skmtl.plugins.feature_maps import Affine, Identity, Linear

pytestmark = pytest.mark.nojit

KINDS = {
    "one": Case(kind="one"),
    "many": Case(kind="many"),
    "transfer": Case(kind="transfer", map=Affine(), widths=(6, 3, 4)),
}
SPARSE = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "csr"])


def check(case, step=1e-5):
    """The oracle's value and gradient, and central differences along every coordinate.

    In every part of theta the relative error is below 1e-6.
    """
    problem, model = case.build()
    value, grad, losses = problem.objective()
    expected, expected_grad, expected_losses = model(problem.theta)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-12)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-10, atol=1e-12 * np.abs(grad).max())
    if os.environ.get("NUMBA_DISABLE_JIT"):  # differences of the plain kernels take minutes
        return problem, grad
    if case.activation == "relu":
        assert model.margin > 100 * step  # no kink nearby

    numeric = np.zeros_like(grad)
    for j in range(problem.n_frozen, grad.size):
        ends = []
        for sign in (-1, 1):
            theta = problem.theta.copy()
            theta[j] += sign * step
            ends.append(problem.objective(theta)[0])
        numeric[j] = (ends[1] - ends[0]) / (2 * step)
    rounding = 1e-15 * max(1.0, abs(value)) / step
    for name, part in parts(problem.layout):
        gap = np.linalg.norm(grad[part] - numeric[part])
        allowed = 1e-6 * np.linalg.norm(numeric[part]) + rounding * np.sqrt(numeric[part].size)
        assert gap <= allowed, (name, gap, allowed)
    return problem, grad


def parts(layout):
    """Slices of theta by name: each trunk layer of each expert, the gates and heads, each map."""
    a = layout.architecture
    for k, (start, end) in enumerate(zip(layout.depth_offsets[:-1], layout.depth_offsets[1:])):
        n = (end - start) // a.n_experts
        for e in range(a.n_experts):
            yield f"trunk {k}, expert {e}", slice(start + e * n, start + (e + 1) * n)
    start, end = layout.depth_offsets[-1], layout.map_offsets[0]
    yield "gates and heads", slice(start, end)
    for d, size in enumerate(a.map_sizes):
        yield f"map {d}", slice(layout.map_offsets[d], layout.map_offsets[d] + size)


@SPARSE
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "hidden, activation",
    [((), "identity"), *product([(5,), (4, 3), (3, 4, 2)], naive.ACTIVATIONS)],
    ids=str,
)
def test_layers_and_activations(kind, sparse, hidden, activation):
    case = replace(KINDS[kind], sparse=sparse, activation=activation, hidden=hidden)
    check(case, step=1e-6 if activation == "relu" else 1e-5)


@SPARSE
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [(), (5,)], ids=str)
@pytest.mark.parametrize("head_hidden", [(4,), (3, 4)], ids=str)
@pytest.mark.parametrize("share_head", [False, True])
def test_hidden_layers_of_heads(kind, sparse, hidden, head_hidden, share_head):
    case = replace(KINDS[kind], sparse=sparse, hidden=hidden, head_hidden=head_hidden)
    check(replace(case, share_head=share_head))


@SPARSE
@pytest.mark.parametrize("share_head", [False, True])
@pytest.mark.parametrize("feature_map", [None, Identity()], ids=str)
def test_sources_with_the_columns_of_the_target(sparse, share_head, feature_map):
    check(Case(kind="transfer", map=feature_map, sparse=sparse, share_head=share_head))


@SPARSE
@pytest.mark.parametrize("widths", [(4, 4, 4), (7, 2, 4)], ids=["square", "rectangular"])
@pytest.mark.parametrize("feature_map", [Linear(), Affine()], ids=str)
@pytest.mark.parametrize("map_penalty", ["identity", "l2", "l1", 0.3])
@pytest.mark.parametrize("share_head", [False, True])
def test_maps_and_their_penalties(sparse, widths, feature_map, map_penalty, share_head):
    case = Case(kind="transfer", map=feature_map, widths=widths, map_penalty=map_penalty)
    check(replace(case, sparse=sparse, share_head=share_head))


@SPARSE
@pytest.mark.parametrize("feature_map", [Identity(), Linear(), Affine()], ids=str)
@pytest.mark.parametrize("hidden", [(), (5,)], ids=str)
def test_several_tasks_behind_one_map(sparse, feature_map, hidden):
    check(Case(kind="many", map=feature_map, sparse=sparse, hidden=hidden))


class Remembering(Linear):
    """Reads in ``backward`` what ``forward`` left in its scratch."""

    accepts_csr = False

    def n_work(self, n_rows, n_in, n_out):
        return n_rows * n_in

    @staticmethod
    def forward(theta, x, hp, work, out):
        for i in range(x.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] = 0
            for k in range(x.shape[1]):
                work[i * x.shape[1] + k] = x[i, k]
                for j in range(out.shape[1]):
                    out[i, j] += x[i, k] * theta[k * out.shape[1] + j]

    @staticmethod
    def backward(theta, x, hp, work, dout, grad):
        for i in range(x.shape[0]):
            for k in range(x.shape[1]):
                for j in range(dout.shape[1]):
                    grad[k * dout.shape[1] + j] += work[i * x.shape[1] + k] * dout[i, j]


def test_each_map_has_its_own_scratch():
    case = Case(kind="transfer", map=Linear(), widths=(7, 2, 4))
    grad = case.build()[0].objective()[1]
    remembering = replace(case, map=Remembering()).build()[0].objective()[1]
    np.testing.assert_allclose(remembering, grad, rtol=1e-12, atol=1e-15)


@SPARSE
@pytest.mark.parametrize("lam", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("mu", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("widths", [(4, 4, 4), (7, 2, 4)], ids=["square", "rectangular"])
def test_coefficients(sparse, lam, mu, widths):
    check(Case(kind="transfer", map=Affine(), widths=widths, lam=lam, mu=mu, sparse=sparse))


@SPARSE
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("penalty", [None, "l1", "l2", 0.3])
@pytest.mark.parametrize("alpha", [1.0, 1e4])
def test_penalties_on_weights(kind, sparse, penalty, alpha):
    case = replace(KINDS[kind], sparse=sparse, penalty=penalty, alpha=alpha)
    check(replace(case, hidden=(4, 3), head_hidden=(3,)))


EXPERTS = {
    "own expert": {"gate": "fixed", "gate_mask": one_hot(3)},
    "fixed mean": {"gate": "fixed", "gate_mask": ((True, True),) * 3},
    "fixed mean with mask": {"gate": "fixed", "gate_mask": MIXED},
    "constant": {"gate": "constant", "gate_mask": ((True, True),) * 3},
    "constant with mask": {"gate": "constant", "gate_mask": MIXED},
    "linear": {"gate": "linear", "gate_mask": ((True, True),) * 3},
    "linear with mask": {"gate": "linear", "gate_mask": MIXED},
    "learned, one expert each": {"gate": "linear", "gate_mask": one_hot(3)},
}


@SPARSE
@pytest.mark.parametrize("kind", ["many", "transfer"])
@pytest.mark.parametrize("experts", EXPERTS)
@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)], ids=str)
@pytest.mark.parametrize("head_hidden", [(), (3,)], ids=str)
def test_experts_and_gates(kind, sparse, experts, hidden, head_hidden):
    case = replace(KINDS[kind], sparse=sparse, hidden=hidden, head_hidden=head_hidden)
    check(replace(case, **EXPERTS[experts]))


#: Kinds with one expert, and those of three tasks with several.
WITH_EXPERTS = pytest.mark.parametrize(
    "kind, experts",
    [
        *product(KINDS, [None]),
        *product(["many", "transfer"], ["fixed mean with mask", "linear with mask"]),
    ],
)


@SPARSE
@WITH_EXPERTS
@pytest.mark.parametrize("hidden", [(3,), (5, 2)], ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_linear_layer_at_the_end_of_the_trunk(kind, sparse, experts, hidden, activation):
    case = replace(KINDS[kind], sparse=sparse, hidden=hidden, activation=activation)
    case = replace(case, linear_last=True, **EXPERTS.get(experts, {}))
    check(case, step=1e-6 if activation == "relu" else 1e-5)


def test_a_linear_layer_and_the_heads_are_heads_of_their_product():
    """The same objective and losses, and gradients by the chain rule."""
    case = Case(kind="complete", hidden=(5, 2), linear_last=True, penalty=None)
    low, _ = case.build()
    full, _ = replace(case, hidden=(5,), linear_last=False).build()
    (_, last), start = low.layout.trunk[0], low.layout.depth_offsets[1]
    factor, _ = low.layout.weight_bias(low.theta, last)
    weight, bias = low.layout.all_outputs(low.theta)
    full.theta[:start] = low.theta[:start]
    for part, value in zip(full.layout.all_outputs(full.theta), (factor @ weight, bias)):
        part[...] = value
    (value, grad, losses), (expected, full_grad, full_losses) = low.objective(), full.objective()
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(losses, full_losses, rtol=1e-12)
    np.testing.assert_allclose(grad[:start], full_grad[:start], rtol=1e-11, atol=1e-15)
    full_weight, full_bias = full.layout.all_outputs(full_grad)
    for part, chained in [
        (low.layout.weight_bias(grad, last)[0], full_weight @ weight.T),
        (low.layout.all_outputs(grad)[0], factor.T @ full_weight),
        (low.layout.all_outputs(grad)[1], full_bias),
    ]:
        np.testing.assert_allclose(part, chained, rtol=1e-11, atol=1e-15)


@SPARSE
@WITH_EXPERTS
@pytest.mark.parametrize("n_frozen_layers", [1, 2])
def test_frozen_layers(kind, sparse, n_frozen_layers, experts):
    case = replace(KINDS[kind], sparse=sparse, hidden=(4, 3), n_frozen_layers=n_frozen_layers)
    problem, grad = check(replace(case, **EXPERTS.get(experts, {})))
    free, model = replace(case, n_frozen_layers=0, **EXPERTS.get(experts, {})).build()
    expected = free.objective()[1]
    n = problem.n_frozen
    assert n == naive.Cut(problem.theta, model.a).depth[n_frozen_layers]
    assert not grad[:n].any()
    assert expected[:n].all()
    np.testing.assert_allclose(grad[n:], expected[n:], rtol=1e-12, atol=1e-14)


@SPARSE
@pytest.mark.parametrize("kind", ["complete", "crowd"])
@pytest.mark.parametrize("feature_map", [None, Affine()], ids=str)
@pytest.mark.parametrize("hidden", [(), (5,)], ids=str)
@pytest.mark.parametrize("head_hidden", [(), (3,)], ids=str)
def test_many_tasks(kind, sparse, feature_map, hidden, head_hidden):
    case = Case(kind=kind, sparse=sparse, map=feature_map, hidden=hidden, n_rows=(25,))
    check(replace(case, head_hidden=head_hidden))


@WITH_EXPERTS
@pytest.mark.parametrize("hidden", [(), (64, 32)], ids=str)
@pytest.mark.parametrize("head_hidden", [(), (48,)], ids=str)
def test_sizes_that_go_through_blas(kind, experts, hidden, head_hidden):
    case = replace(KINDS[kind], hidden=hidden, head_hidden=head_hidden, widths=(40, 40, 40))
    case = replace(case, n_rows=(60, 50, 40), **EXPERTS.get(experts, {}))
    problem, model = case.build()
    value, grad, _ = problem.objective()
    expected, expected_grad, _ = model(problem.theta)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-10, atol=1e-12)


@SPARSE
@WITH_EXPERTS
def test_float32_agrees_with_float64(kind, sparse, experts):
    case = replace(KINDS[kind], sparse=sparse, head_hidden=(3,), **EXPERTS.get(experts, {}))
    single, _ = replace(case, dtype="float32").build()
    _, model = case.build()
    value, grad, _ = single.objective()
    assert grad.dtype == np.float32
    expected, expected_grad, _ = model(single.theta.astype(np.float64))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-3, atol=1e-5)


@SPARSE
@pytest.mark.parametrize("kind", ["many", "transfer"])
@pytest.mark.parametrize("experts", [None, *EXPERTS])
@pytest.mark.parametrize("hidden", [(), (5, 4)], ids=str)
@pytest.mark.parametrize("activation", naive.ACTIVATIONS)
def test_prediction_runs_the_same_network(kind, sparse, experts, hidden, activation):
    """``engine.forward``, which predicts without a compiler, gives the losses of the kernels."""
    feature_map = Linear() if kind == "transfer" else None
    case = Case(kind=kind, map=feature_map, sparse=sparse, hidden=hidden, activation=activation)
    problem, model = replace(case, head_hidden=(3,), **EXPERTS.get(experts, {})).build()
    losses = problem.objective()[2]
    p = naive.Cut(problem.theta, model.a)
    for t, task in enumerate(problem.tasks):
        X = problem.domains[task.domain].X[task.rows]
        if problem.domains[task.domain].map is not None:
            X = feature_map.transform(p.maps[task.domain], X, model.a.n_inputs)
        out = head_output(
            problem.layout,
            problem.theta,
            shared_representation(problem.layout, problem.theta, X, t),
            t,
        )
        proba = task.loss.proba(out)[np.arange(task.rows.size), task.y.astype(int)]
        np.testing.assert_allclose(
            -np.average(np.log(proba), weights=task.weight), losses[t], rtol=1e-10
        )


def with_tasks(problem, tasks):
    return Problem(problem.layout, problem.theta, problem.domains, tasks, [], problem.training)


def without_labels(task):
    return task._replace(rows=task.rows[:0], y=task.y[:0], weight=task.weight[:0])


@SPARSE
@pytest.mark.parametrize("kind", ["many", "transfer"])
@pytest.mark.parametrize("hidden", [(), (5,)], ids=str)
@pytest.mark.parametrize("experts", [None, "own expert", "linear with mask"])
def test_a_task_without_labels_counts_nothing(kind, sparse, hidden, experts):
    """In a "transfer" it is the only one of its domain."""
    case = replace(KINDS[kind], sparse=sparse, hidden=hidden, **EXPERTS.get(experts, {}))
    problem, _ = case.build()
    first, *others = problem.tasks
    expected = with_tasks(problem, [first._replace(coefficient=0.0), *others]).objective()
    without = with_tasks(problem, [without_labels(first), *others])
    value, grad, losses = without.objective()
    assert losses[0] == 0
    assert value == pytest.approx(expected[0], rel=1e-14)
    np.testing.assert_allclose(grad, expected[1], rtol=1e-12, atol=1e-15)
    _, losses, finished = run_epoch(without, 0.01)
    assert finished
    assert losses[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_labels_at_all(kind):
    problem, _ = KINDS[kind].build()
    problem = with_tasks(problem, [without_labels(task) for task in problem.tasks])
    value, grad, losses = problem.objective()
    assert value == 0
    assert not grad.any()
    assert not losses.any()
    assert run_epoch(problem, 0.01)[2]


@pytest.mark.parametrize(
    "spoil",
    [lambda X: X.astype(np.float32), np.asfortranarray, lambda X: csr_array(X).tocsc()],
    ids=["float32", "F order", "csc"],
)
def test_a_matrix_that_kernels_would_misread_is_refused(spoil):
    problem, _ = Case().build()
    domains = [Domain(spoil(problem.domains[0].X))]
    with pytest.raises(TypeError, match="X must be C-contiguous or CSR, and float64"):
        Problem(problem.layout, problem.theta, domains, problem.tasks, [], problem.training)


def test_objective_leaves_theta_and_takes_read_only_ones():
    problem, _ = KINDS["many"].build()
    before = problem.theta.copy()
    theta = np.full_like(before, 0.1)
    theta.flags.writeable = False
    value = problem.objective(theta)[0]
    assert np.array_equal(problem.theta, before)
    problem.theta[:] = theta
    assert problem.objective()[0] == value
