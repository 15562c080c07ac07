"""Task weights and the tasks' gradients one by one, against a plain oracle."""

from dataclasses import replace

import naive
import numpy as np
import pytest
from engine_cases import MIXED, Case, one_hot, run_epoch

from skmtl.plugins.base import Weighting
from skmtl.plugins.feature_maps import Affine
from skmtl.plugins.optimizers import SGD

pytestmark = pytest.mark.nojit


class FromGram(Weighting):
    """Weights that every entry of the Gram matrix changes; counts its steps."""

    needs_gram = True

    def n_state(self, n_tasks):
        """One number."""
        return 1

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w_t = 1 / (1 + |g_t|) + 0.1 sum_s (s + 1) g_s'g_t + 0.01 steps."""
        for t in range(weights.size):
            weights[t] = 1 / (1 + np.sqrt(gram[t, t])) + 0.01 * state[0]
            for s in range(weights.size):
                weights[t] += 0.1 * (s + 1) * gram[s, t]
        state[0] += 1


class FromLosses(Weighting):
    """Weights that depend on the tasks' terms."""

    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """w_t = 1 / (1 + losses_t)."""
        for t in range(weights.size):
            weights[t] = 1 / (1 + losses[t])


class Weighted:
    """The oracle's model with weights: calls like ``naive.Model``, one model for each task."""

    def __init__(self, model, domains, rule):
        self.a, self.tasks, self.X = model.a, model.tasks, model.X
        self.rule, self.n_frozen_layers = rule, model.n_frozen_layers

        def model_of(coefficients, penalties):
            tasks = [t._replace(coefficient=c) for t, c in zip(self.tasks, coefficients)]
            return naive.Model(self.a, domains, tasks, penalties, model.n_frozen_layers)

        of_task = np.diag([task.coefficient for task in self.tasks])
        self.alone = [model_of(coefficients, ()) for coefficients in of_task]
        self.penalty = model_of(np.zeros(len(self.tasks)), model.penalties)
        self.weights, self.cosines = [], []

    def __call__(self, theta, batches, scales):
        """J, the weighted gradient, and each task's loss."""
        value, grad, losses = self.penalty(theta, batches, scales)
        each = [model(theta, batches, scales) for model in self.alone]
        terms = np.array([v for v, _, _ in each])
        rows = np.array([g for _, g, _ in each])
        common = self._common(theta)
        gram = rows[:, common] @ rows[:, common].T
        with np.errstate(invalid="ignore"):
            length = np.sqrt(np.diag(gram))
            self.cosines.append(gram / length / length[:, None])
        weights = np.empty(len(terms))
        n_labels = np.array([np.isin(t.rows, batches[t.domain]).sum() for t in self.tasks])
        state = np.array([float(len(self.weights))])
        self.rule.update(terms, n_labels, gram, 0, 1, None, state, None, weights)
        self.weights.append(weights)
        everywhere = np.ones(theta.size, bool)
        weighed = common if self.rule.needs_gram else everywhere
        grad += np.where(weighed, weights @ rows, rows.sum(axis=0))
        return value + terms.sum(), grad, losses

    def _common(self, theta):
        """Which parameters the tasks share: the trunk, and a head that they all read."""
        common = np.zeros(theta.size, bool)
        cut = naive.Cut(common, self.a)
        common[: cut.depth[-1]] = True
        if len(self.a.n_outputs) == 1:
            for weight, bias in (*cut.heads[0], cut.outputs[0]):
                weight[...] = bias[...] = True
        return common


CASES = {
    "one": Case(kind="one", batch_size=4),
    "complete": Case(kind="complete", batch_size=4),
    "crowd": Case(kind="crowd", batch_size=4, n_rows=(29,)),
    "many": Case(kind="many", batch_size=4, n_rows=(29,)),
    "many, csr, hidden heads": Case(kind="many", batch_size=4, sparse=True, head_hidden=(4,)),
    "many, shared head": Case(kind="many", batch_size=4, share_head=True, head_hidden=(3,)),
    "linear, shared head": Case(kind="many", batch_size=4, share_head=True, hidden=()),
    "own experts": Case(kind="many", batch_size=4, gate_mask=one_hot(3)),
    "linear gates": Case(kind="many", batch_size=4, gate="linear", gate_mask=MIXED),
    "transfer": Case(kind="transfer", batch_size=4, map=Affine(), widths=(7, 2, 4)),
    "transfer, shared head": Case(kind="transfer", batch_size=4, map=Affine(), share_head=True),
    "frozen": Case(kind="many", batch_size=4, hidden=(4, 3), n_frozen_layers=1),
}


@pytest.mark.parametrize("record_affinity", [False, True])
@pytest.mark.parametrize("rule", [FromGram(), FromLosses()], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_weighted_epochs_against_the_oracle(case, rule, record_affinity):
    case = replace(
        CASES[case],
        weighting=rule,
        record_affinity=record_affinity,
        optimizer=SGD(0.0, nesterov=False),
    )
    problem, model = case.build()
    model = Weighted(model, problem.domains, rule)
    rng = np.random.default_rng(case.seed)
    rule_of_step = naive.SGD(0.0, nesterov=False)
    trainer = naive.Trainer(model, problem.theta, rule_of_step, case.batch_size, rng)
    for _ in range(2):
        start = len(model.weights)
        (value,), (losses,), (mean_weights,) = problem.epochs([0.1])
        expected, expected_losses = trainer.epoch(0.1)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        np.testing.assert_allclose(losses, expected_losses, rtol=1e-10)
        np.testing.assert_allclose(problem.theta, trainer.theta, rtol=1e-9, atol=1e-10)
        expected_weights = np.mean(model.weights[start:], axis=0)
        np.testing.assert_allclose(mean_weights, expected_weights, rtol=1e-9)
    if rule.needs_gram or record_affinity:
        with np.errstate(invalid="ignore"):
            n_met = np.isfinite(model.cosines).sum(axis=0)
            expected = np.nansum(model.cosines, axis=0) / n_met
        np.testing.assert_allclose(problem.affinity(), expected, rtol=1e-8, atol=1e-10)


def test_the_objective_does_not_weigh():
    """On all rows J is the plain sum, whatever the weighting: L-BFGS needs value and gradient."""
    case = CASES["many"]
    value, grad, _ = replace(case, weighting=FromGram()).build()[0].objective()
    expected, expected_grad, _ = case.build()[0].objective()
    assert value == expected
    assert np.array_equal(grad, expected_grad)


def test_affinity_of_equal_and_opposite_tasks():
    problem, _ = replace(CASES["one"], record_affinity=True).build()
    task = problem.tasks[0]._replace(y=problem.tasks[0].y % 2)
    mirrored = task._replace(y=1 - task.y)
    tasks = [task, task, mirrored]
    heads = replace_heads(problem.layout.architecture, (0, 0, 0), (1,))
    problem = rebuild(problem, heads, tasks)
    output = problem.layout.output_weight_bias(problem.theta, 0)
    output[1][...] = 0
    for _ in range(3):
        run_epoch(problem, 0.0)
    affinity = problem.affinity()
    assert affinity[0, 1] == pytest.approx(1)
    assert affinity[0, 2] < -0.5


def test_tasks_that_never_meet_have_no_affinity():
    problem, _ = replace(CASES["many"], record_affinity=True, n_rows=(8,), batch_size=1).build()
    rows = [np.arange(0, 4), np.arange(4, 8)]
    tasks = [
        task._replace(rows=r, y=task.y[:1].repeat(4), weight=np.ones(4))
        for task, r in zip(problem.tasks, rows)
    ]
    a = problem.layout.architecture
    problem = rebuild(problem, replace_heads(a, (0, 1), a.n_outputs[:2]), tasks)
    run_epoch(problem, 0.1)
    affinity = problem.affinity()
    np.testing.assert_allclose(np.diag(affinity), 1)
    assert np.isnan(affinity[0, 1])


def replace_heads(architecture, task_heads, n_outputs):
    """The same network for other tasks."""
    mask = ((True,),) * len(task_heads)
    return replace(architecture, task_heads=task_heads, n_outputs=n_outputs, gate_mask=mask)


def rebuild(problem, architecture, tasks):
    """The problem with other tasks, without penalties."""
    from skmtl.engine.layout import Layout

    layout = Layout(architecture)
    theta = layout.initial(np.random.default_rng(0), np.float64)
    return type(problem)(layout, theta, problem.domains, tasks, [], problem.training)


def test_affinity_has_to_be_asked_for():
    with pytest.raises(ValueError, match="record_affinity=True"):
        CASES["many"].build()[0].affinity()


@pytest.mark.parametrize("parameters", [{"hidden": ()}, {"n_frozen_layers": 1}])
def test_nothing_shared_is_an_error(parameters):
    with pytest.raises(
        ValueError, match="FromGram weighs.*there are none: give the network hidden"
    ):
        replace(CASES["many"], weighting=FromGram(), **parameters).build()
