"""Alignments, proximal steps, clipping and Fisher information in the engine."""

from dataclasses import replace

import naive
import numpy as np
import pytest
from engine_cases import Case, run_epoch

from skmtl.engine.data import EVERY
from skmtl.engine.forward import shared_representation
from skmtl.engine.problem import AlignmentTerm
from skmtl.plugins.base import Alignment, Penalty
from skmtl.plugins.feature_maps import Affine
from skmtl.plugins.optimizers import SGD

pytestmark = pytest.mark.nojit


# --- alignments ----------------------------------------------------------------------------------


class Gap(Alignment):
    """Half the squared distance between weighted sums of the rows, by class where there is one.

    Its parameters are the weights of the features.
    """

    needs_labels = True

    def __init__(self, where="shared"):
        self.where = where

    def hyper(self):
        """No numbers."""
        return []

    def n_params(self, n_features):
        """One for each feature."""
        return n_features

    def n_work(self, n_source, n_target, n_features):
        """The gap."""
        return n_features

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        """strength / 2 |theta * (sum_i (2 + ys_i) hs_i / n_s - sum_i (2 + yt_i) ht_i / n_t)|^2."""
        value = 0.0
        for j in range(hs.shape[1]):
            work[j] = 0.0
            for i in range(hs.shape[0]):
                work[j] += (2 + ys[i]) * hs[i, j] / hs.shape[0]
            for i in range(ht.shape[0]):
                work[j] -= (2 + yt[i]) * ht[i, j] / ht.shape[0]
            gap = theta[j] * work[j]
            value += 0.5 * strength * gap * gap
            grad[j] += strength * gap * work[j]
            for i in range(hs.shape[0]):
                dhs[i, j] += strength * gap * theta[j] * (2 + ys[i]) / hs.shape[0]
            for i in range(ht.shape[0]):
                dht[i, j] -= strength * gap * theta[j] * (2 + yt[i]) / ht.shape[0]
        return value


ALIGNED = {
    "shared": (Gap(), {}),
    "shared, csr": (Gap(), {"sparse": True}),
    "shared, map": (Gap(), {"map": Affine(), "widths": (7, 2, 4)}),
    "input": (Gap("input"), {"map": Affine(), "widths": (7, 2, 4)}),
    "linear, map": (Gap(), {"map": Affine(), "hidden": ()}),
    "frozen": (Gap(), {"hidden": (6, 4), "n_frozen_layers": 1}),
}


def aligned(name, **parameters):
    """A problem with alignments of both sources, and its oracle without them."""
    gap, others = ALIGNED[name]
    terms = AlignmentTerm(gap, 0.7, 0, 2), AlignmentTerm(gap, 0.2, 1, 2)
    case = {"kind": "transfer", "share_head": True, "hidden": (4,), **others, **parameters}
    problem, model = Case(alignments=terms, **case).build()
    start = problem.layout.alignment_offsets[0]
    problem.theta[start:] = np.random.default_rng(3).uniform(0.5, 2, problem.theta.size - start)
    return problem, model, terms


@pytest.mark.parametrize("name", ALIGNED)
def test_alignment_value(name):
    problem, model, terms = aligned(name)
    value, _, losses = problem.objective()
    expected, _, expected_losses = model(problem.theta)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-12)
    for term in terms:
        k = terms.index(term)
        own = naive.Cut(problem.theta, problem.layout.architecture).alignments[k]
        features = [features_of(problem, d, term.alignment.where) for d in (k, 2)]
        codes = [codes_of(problem, d) for d in (k, 2)]
        gap = own * (
            np.mean((2 + codes[0])[:, None] * features[0], axis=0)
            - np.mean((2 + codes[1])[:, None] * features[1], axis=0)
        )
        expected += term.strength / 2 * (gap**2).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def features_of(problem, d, where):
    """What an alignment sees of all rows of a domain, by the path of prediction."""
    domain, layout, theta = problem.domains[d], problem.layout, problem.theta
    Z = domain.X
    if domain.map is not None:
        start, end = layout.map_offsets[d : d + 2]
        Z = domain.map.transform(theta[start:end], Z, layout.architecture.n_inputs)
    H = shared_representation(layout, theta, Z) if where == "shared" else Z
    return H.toarray() if hasattr(H, "toarray") else H


def codes_of(problem, d):
    codes = np.full(problem.domains[d].X.shape[0], -1)
    codes[problem.tasks[d].rows] = problem.tasks[d].y
    return codes


@pytest.mark.parametrize("name", ALIGNED)
def test_alignment_gradient(name):
    problem, _, _ = aligned(name)
    theta = problem.theta.copy()
    grad = problem.objective()[1]
    rng = np.random.default_rng(0)
    for _ in range(20):
        direction = rng.standard_normal(theta.size)
        direction[: problem.n_frozen] = 0
        ends = [problem.objective(theta + s * 1e-6 * direction)[0] for s in (-1, 1)]
        assert grad @ direction == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("record_affinity", [False, True])
@pytest.mark.parametrize("name", ALIGNED)
def test_a_step_of_all_rows_follows_the_gradient(name, record_affinity):
    """The walk by task adds the alignments last, and once."""
    parameters = {"record_affinity": record_affinity, "optimizer": SGD(0.0, nesterov=False)}
    problem, _, _ = aligned(name, **parameters)
    theta, (value, grad, _) = problem.theta.copy(), problem.objective()
    assert problem.steps_per_epoch == 1
    assert run_epoch(problem, 0.1)[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(problem.theta, theta - 0.1 * grad, rtol=1e-10, atol=1e-12)


def test_batches_hold_unlabelled_rows():
    """The first row of the target has no label; an epoch deals every row out."""
    problem, _, _ = aligned("shared", batch_size=3)
    assert codes_of(problem, 2)[0] == -1
    rows = problem._rows[2]
    assert rows.rows is EVERY
    assert np.sort(rows.order).tolist() == list(range(9))
    assert run_epoch(problem, 0.01)[2]


@pytest.mark.parametrize("name, hidden", [("input", (4,)), ("shared", ())])
def test_sparse_rows_that_nothing_maps_cannot_be_aligned(name, hidden):
    with pytest.raises(ValueError, match="Gap.* dense rows .* hidden layers and where='shared'"):
        aligned(name, hidden=hidden, sparse=True)


# --- proximal steps and clipping ------------------------------------------------------------------


class SoftThreshold(Penalty):
    """The l1 norm, with its proximal step; its gradient is wrong, and not to be used."""

    def hyper(self):
        """No numbers."""
        return []

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength sum |theta_j|."""
        total = 0.0
        for b in range(layout.shape[0]):
            for j in range(layout[b, 0], layout[b, 0] + layout[b, 1] * layout[b, 2]):
                total += abs(theta[j])
                grad[j] += 1e6
        return strength * total

    @staticmethod
    def prox(theta, layout, step, hp, constants, work):
        """Shrink by step."""
        for b in range(layout.shape[0]):
            for j in range(layout[b, 0], layout[b, 0] + layout[b, 1] * layout[b, 2]):
                shrunk = max(abs(theta[j]) - step, 0.0)
                theta[j] = shrunk if theta[j] > 0 else -shrunk


@pytest.mark.parametrize("kind", ["many", "transfer"])
def test_proximal_steps(kind):
    """Gradient step without the penalty, then the penalty's; its value counts in J."""
    case = Case(kind=kind, batch_size=4, optimizer=SGD(0.0, nesterov=False))
    problem, _ = replace(case, penalty=SoftThreshold()).build()
    _, model = replace(case, penalty=None).build()
    blocks = problem.layout.blocks
    weights = np.zeros(problem.theta.size, bool)
    for offset, rows, columns in blocks[:, :3]:
        weights[offset : offset + rows * columns] = True

    def step(theta, grad, lr):
        theta = theta - lr * grad
        shrunk = np.sign(theta) * np.maximum(np.abs(theta) - lr * case.alpha, 0)
        return np.where(weights, shrunk, theta)

    class Penalised:
        def __getattr__(self, name):
            return getattr(model, name)

        def __call__(self, theta, *batch):
            value, grad, losses = model(theta, *batch)
            return value + case.alpha * np.abs(theta[weights]).sum(), grad, losses

    rng = np.random.default_rng(case.seed)
    trainer = naive.Trainer(Penalised(), problem.theta, step, case.batch_size, rng)
    for _ in range(3):
        value, _, _ = run_epoch(problem, 0.1)
        assert value == pytest.approx(trainer.epoch(0.1)[0], rel=1e-10)
        np.testing.assert_allclose(problem.theta, trainer.theta, rtol=1e-10, atol=1e-12)
    assert (problem.theta[weights] == 0).any()


@pytest.mark.parametrize("clip_norm", [1e-3, 0.5, 1e3])
def test_clipping(clip_norm):
    case = Case(kind="many", batch_size=4, clip_norm=clip_norm, optimizer=SGD(0.0, nesterov=False))
    problem, model = case.build()

    def step(theta, grad, lr):
        return theta - lr * grad * min(1, clip_norm / np.linalg.norm(grad))

    rng = np.random.default_rng(case.seed)
    trainer = naive.Trainer(model, problem.theta, step, case.batch_size, rng)
    for _ in range(3):
        run_epoch(problem, 0.1)
        trainer.epoch(0.1)
        np.testing.assert_allclose(problem.theta, trainer.theta, rtol=1e-10, atol=1e-12)


# --- Fisher information ---------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_fisher_is_the_mean_of_squared_gradients(sparse):
    case = Case(kind="transfer", map=Affine(), widths=(7, 2, 4), sparse=sparse, penalty="l2")
    problem, model = case.build()
    expected = np.zeros(problem.theta.size)
    for t, task in enumerate(problem.tasks):
        for i, row in enumerate(task.rows):
            alone = [
                other._replace(coefficient=0.0)
                if s != t
                else task._replace(rows=np.array([row]), y=task.y[[i]], weight=np.ones(1))
                for s, other in enumerate(problem.tasks)
            ]
            one_row = naive.Model(model.a, problem.domains, alone)
            grad = one_row(problem.theta)[1] / task.coefficient
            expected += task.coefficient * task.weight[i] / task.weight.sum() * grad**2
    np.testing.assert_allclose(problem.fisher(), expected, rtol=1e-9, atol=1e-14)
