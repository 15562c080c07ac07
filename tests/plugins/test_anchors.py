"""L2SP and EWC: their formulas, their limits, and what a network forgets."""

import numpy as np
import pytest
from engine_cases import run_epoch
from penalty_cases import Direct

from skmtl.datasets import load_mnist_digits_pair
from skmtl.engine.data import Domain, Task
from skmtl.engine.layout import Architecture, Layout
from skmtl.engine.problem import PenaltyTerm, Problem, Training
from skmtl.plugins.base import Start
from skmtl.plugins.losses import LogLoss
from skmtl.plugins.optimizers import Adam
from skmtl.plugins.penalties import EWC, L2SP
from skmtl.plugins.weightings import Uniform

LAYOUT = Layout(Architecture(3, (4,), "tanh", (), (3,), (0,), ((True,),)))


def start_of(fisher=True):
    """A start whose trunk is pretrained, and its head new."""
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(LAYOUT.size)
    old = np.arange(theta.size) < LAYOUT.depth_offsets[-1]
    diagonal = np.where(old, rng.random(theta.size), 0)
    return Start(theta, old, (lambda: diagonal) if fisher else None, LAYOUT.blocks)


@pytest.mark.nojit
def test_values_gradients_and_proximal_points():
    start = start_of()
    theta = np.random.default_rng(1).standard_normal(LAYOUT.size)
    old, fisher = start.pretrained, start.fisher()
    new_weight = np.zeros(LAYOUT.size, bool)
    new_weight[LAYOUT.blocks[-1, 0] :][:12] = True
    anchor = np.where(old, start.theta, 0)
    for plugin, c in (
        (L2SP(0.3), np.where(old, 1, 0.3 * new_weight)),
        (EWC(), fisher / fisher[old].mean()),
    ):
        direct = Direct(plugin, LAYOUT.blocks, start)
        expected = (c * (theta - anchor) ** 2).sum() / 2
        assert direct.value(theta) == pytest.approx(expected, rel=1e-13)
        direct.check_gradient(theta)
        z = direct.prox(theta, 0.7)
        np.testing.assert_allclose((theta - z) / 0.7, c * (z - anchor), atol=1e-13)
        np.testing.assert_array_equal(direct.prox(theta, 1e300)[old], start.theta[old])


@pytest.mark.nojit
def test_what_the_anchors_need():
    start = start_of(fisher=False)
    for plugin in (L2SP(), EWC()):
        assert plugin.needs_pretrained
        with pytest.raises(ValueError, match="strategy='finetune'.*source_model"):
            plugin.constants(start._replace(pretrained=None))
    with pytest.raises(ValueError, match="EWC .* needs the source's rows"):
        EWC().constants(start)
    with pytest.raises(ValueError, match="zero everywhere"):
        EWC().constants(start._replace(fisher=lambda: np.zeros(LAYOUT.size)))


def network(X, y, theta=None, penalty=None, strength=0.0, start=None, hidden=(16,)):
    layout = Layout(Architecture(X.shape[1], hidden, "tanh", (), (10,), (0,), ((True,),)))
    rng = np.random.default_rng(0)
    theta = layout.initial(rng, "float64") if theta is None else theta.copy()
    terms = []
    if penalty is not None:
        terms = [PenaltyTerm(penalty, strength, layout.blocks, lambda _: penalty.constants(start))]
    task = Task(0, 0, LogLoss(), np.arange(len(y)), y, np.ones(len(y)))
    training = Training(Adam(), Uniform(), rng, batch_size=50)
    return Problem(layout, theta, [Domain(np.ascontiguousarray(X))], [task], terms, training)


def accuracy(problem, X, y):
    (w, b), (v, c) = problem.layout.dense_layers(problem.theta)
    return ((np.tanh(X @ w + b) @ v + c).argmax(axis=1) == y).mean()


def train(problem, n_epochs):
    for _ in range(n_epochs):
        run_epoch(problem, 5e-3)
    return problem


def test_fisher_is_the_mean_of_squared_gradients_row_by_row():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 5)), rng.integers(10, size=12)
    problem = network(X, y, hidden=(4,))
    expected = np.mean(
        [
            network(X[[i]], y[[i]], problem.theta, hidden=(4,)).objective()[1] ** 2
            for i in range(12)
        ],
        axis=0,
    )
    np.testing.assert_allclose(problem.fisher(), expected, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("plugin", [L2SP(), EWC()], ids=str)
def test_stronger_anchors_forget_less(plugin):
    pair = load_mnist_digits_pair()
    rng = np.random.default_rng(0)
    rows = rng.permutation(5000)
    Xs, ys = pair.X_source[rows], pair.y_source[rows]
    source = train(network(Xs[:1000], ys[:1000]), 30)
    old = np.ones(source.theta.size, bool)
    start = Start(source.theta.copy(), old, source.fisher, source.layout.blocks)
    kept, theta = [], []
    for strength in (0.0, 0.01, 0.1, 1.0, 1e9):
        adapted = network(pair.X[:200], pair.y[:200], start.theta, plugin, strength, start)
        train(adapted, 50)
        kept.append(accuracy(adapted, Xs[1000:], ys[1000:]))
        theta.append(adapted.theta)
    plain = train(network(pair.X[:200], pair.y[:200], start.theta), 50)
    np.testing.assert_array_equal(theta[0], plain.theta)
    moved = start.fisher() > 1e-12 if isinstance(plugin, EWC) else old
    np.testing.assert_allclose(theta[-1][moved], start.theta[moved], atol=1e-5)
    assert (np.diff(kept) > -0.005).all()
    assert kept[-1] > kept[0] + 0.03
