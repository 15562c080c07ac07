"""Ways of sharing: what they come to, which groups they find, what they refuse."""

from dataclasses import replace

import naive
import numpy as np
import pytest
from engine_cases import Case, one_hot
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from tables import QUICK, blobs, theta_of, wide

from skmtl import MultiTaskClassifier
from skmtl.datasets import make_related_tasks
from skmtl.engine.layout import layout_of
from skmtl.experts import experts_of, start_gates
from skmtl.plugins.base import Sharing
from skmtl.plugins.sharings import CGC, CrossStitch, Hard, LearnedGroups, MMoE, Pooled, Separate

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LEARNED = {
    "grouped": LearnedGroups(3),
    "one head": LearnedGroups(2, share_heads=True),
    "cross_stitch": CrossStitch(),
    "mmoe": MMoE(3),
    "cgc": CGC(n_shared=2, n_own=1),
}
every_learned = pytest.mark.parametrize("sharing", LEARNED.values(), ids=LEARNED)


def quick(**parameters):
    return MultiTaskClassifier(**{**QUICK, **parameters})


def mixture_of(clf, Z, t):
    """What the head of task t reads, from the fitted attributes: the sum over its experts."""
    H = [Z] * len(clf.coefs_[0])
    for weights, biases in zip(clf.coefs_, clf.intercepts_):
        H = [np.maximum(h @ w + b, 0) for h, w, b in zip(H, weights, biases)]
    mask = clf.sharing_.experts(clf.n_tasks_)
    offset, weight = naive.Cut(clf._theta, clf._layout.architecture).gates[t]
    logits = offset + (Z @ weight if weight is not None else np.zeros((len(Z), 1)))
    gate = softmax(np.where(mask[t], logits, -np.inf), axis=1)
    return sum(gate[:, [e]] * h for e, h in enumerate(H))


def gates_of(clf):
    """The parameters of all gates, copied."""
    gates = naive.Cut(clf._theta, clf._layout.architecture).gates
    return np.concatenate([part.ravel() for gate in gates for part in gate if part is not None])


# --- in fits -------------------------------------------------------------------------------------


@every_learned
@pytest.mark.parametrize("make", [np.asarray, csr_array])
def test_a_fit_learns_and_predicts_the_mixture(sharing, make):
    X, Y = wide()
    clf = quick(sharing=sharing, learning_rate_init=0.02, max_iter=40).fit(make(X), Y)
    assert clf.loss_curve_[-1] < 0.5 * clf.loss_curve_[0]
    assert clf.score(make(X), Y) > 0.75
    for t, proba in enumerate(clf.predict_proba(make(X))):
        H, head = mixture_of(clf, X, t), 0 if sharing.shares_heads else t
        out = H @ clf.head_coefs_[head][0] + clf.head_intercepts_[head][0]
        expected = softmax(out, axis=1) if out.shape[1] > 1 else softmax(np.c_[0 * out, out], 1)
        assert_allclose(proba, expected, rtol=1e-9)


@every_learned
def test_transform_gives_the_experts_side_by_side(sharing):
    X, Y = wide()
    clf = quick(sharing=sharing).fit(X, Y)
    expected = np.maximum(X @ clf.coefs_[0] + clf.intercepts_[0][:, np.newaxis], 0)
    assert_allclose(clf.transform(X), np.hstack(list(expected)), rtol=1e-12)
    assert len(clf.get_feature_names_out()) == clf.transform(X).shape[1]


@every_learned
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_by_epochs_is_fit(solver, sharing):
    X, Y = wide()
    clf = quick(solver=solver, sharing=sharing, max_iter=4)
    steps = clone(clf)
    for _ in range(4):
        steps.partial_fit(X, Y, classes=[[0, 1, 2], [0, 1], [0, 1]])
    assert_array_equal(theta_of(steps), theta_of(clf.fit(X, Y)))


@every_learned
def test_warm_start_goes_on_from_the_gates_too(sharing):
    X, Y = wide()
    clf = quick(sharing=sharing, solver="lbfgs", warm_start=True, lam=0.1, max_iter=30).fit(X, Y)
    before, loss = gates_of(clf), clf.loss_curve_[-1]
    clf.set_params(max_iter=1).fit(X, Y)
    assert clf.loss_curve_[-1] <= loss
    fresh = gates_of(clone(clf).fit(X, Y))
    assert np.abs(gates_of(clf) - before).max() < 0.2 * np.abs(fresh - before).max()


@every_learned
def test_gates_are_proportions(sharing):
    X, Y = wide()
    clf = quick(sharing=sharing, learning_rate_init=0.05).fit(X, Y)
    if sharing.gate == "linear":
        assert clf.task_gates_ is None
        assert clf.task_groups_ is None
        return
    gates = clf.task_gates_
    assert gates.shape == sharing.experts(3).shape
    assert_allclose(gates.sum(axis=1), 1)
    assert_allclose(gates, softmax(gates_of(clf).reshape(gates.shape), axis=1))
    assert_array_equal(clf.task_groups_, gates.argmax(axis=1))


@pytest.mark.parametrize("sharing, gates", [("hard", np.ones((3, 1))), ("none", np.eye(3))])
def test_fixed_gates_are_told_too(sharing, gates):
    clf = quick(sharing=sharing).fit(*wide())
    assert_array_equal(clf.task_gates_, gates)
    assert_array_equal(clf.task_groups_, gates.argmax(axis=1))


def test_there_are_no_gates_before_a_fit():
    clf = MultiTaskClassifier(sharing="grouped")
    assert not hasattr(clf, "task_gates_")
    assert not hasattr(clf, "task_groups_")


@every_learned
def test_one_task(sharing):
    X, y = blobs()
    clf = quick(sharing=sharing, max_iter=60, learning_rate_init=0.02).fit(X, y)
    assert clf.score(X, y) > 0.9
    assert clf.decision_function(X).shape == (60, 3)


def test_tasks_that_share_a_head_need_labels_of_one_kind():
    X, Y = wide(missing=0)
    mixed = np.column_stack([Y[:, 0].astype(int).astype(object), np.where(Y[:, 1] > 0, "a", "b")])
    with pytest.raises(ValueError, match=r"sharing=LearnedGroups\(.*needs labels of one kind"):
        quick(sharing=LearnedGroups(share_heads=True)).fit(X, mixed)
    assert quick(sharing="grouped").fit(X, mixed).task_gates_.shape == (2, 2)


# --- without hidden layers -----------------------------------------------------------------------


@every_learned
def test_linear_models_have_no_experts_to_mix(sharing):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=\(k,\) and activation='identity'"):
        quick(sharing=sharing, hidden_layer_sizes=()).fit(*wide())


@pytest.mark.parametrize("sharing", [Separate(), LearnedGroups(1), MMoE(1), CGC(0, 1)], ids=str)
def test_without_experts_to_mix_they_are_linear_models(sharing):
    fits = [quick(sharing=s, hidden_layer_sizes=()).fit(*wide()) for s in ("hard", sharing)]
    assert_array_equal(theta_of(fits[0]), theta_of(fits[1]))


def test_a_mixture_of_linear_experts_is_linear():
    """One unit with the identity as activation, and one head: a weighted mean of linear models."""
    X, Y = wide()
    sharing = LearnedGroups(2, share_heads=True)
    clf = quick(sharing=sharing, hidden_layer_sizes=(1,), activation="identity")
    clf.fit(X, Y[:, 1:])
    (slope,), (bias,) = clf.head_coefs_[0][0], clf.head_intercepts_[0][0]
    for t, proba in enumerate(clf.predict_proba(X)):
        weights = np.tensordot(clf.task_gates_[t], clf.coefs_[0][..., 0], 1) * slope
        offset = clf.task_gates_[t] @ clf.intercepts_[0][..., 0] * slope + bias
        assert_allclose(np.log(proba[:, 1] / proba[:, 0]), X @ weights + offset, atol=1e-9)


# --- equivalences --------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    "one, other",
    [
        (LearnedGroups(1), Hard()),
        (LearnedGroups(1, share_heads=True), Pooled()),
        (MMoE(1), Hard()),
        (CGC(n_shared=1, n_own=0), Hard()),
        (CGC(n_shared=3, n_own=0), MMoE(3)),
        (CGC(n_shared=0, n_own=1), Separate()),
    ],
    ids=str,
)
def test_special_cases_are_each_other(one, other, solver):
    """To the bit, start and batches included."""
    X, Y = wide()
    fits = [quick(sharing=s, solver=solver, batch_size=20).fit(X, Y) for s in (one, other)]
    assert_array_equal(theta_of(fits[0]), theta_of(fits[1]))
    assert fits[0].loss_curve_ == fits[1].loss_curve_


def with_gates(case, theta, architecture, fixed):
    """The theta of an architecture with gates, all else taken from one without."""
    cut, from_fixed = naive.Cut(theta, architecture), naive.Cut(*fixed)
    theta[: cut.depth[-1]] = from_fixed.theta[: cut.depth[-1]]
    rest = sum(part.size for gate in cut.gates for part in gate if part is not None)
    theta[cut.depth[-1] + rest :] = from_fixed.theta[cut.depth[-1] :]
    return cut


@pytest.mark.parametrize(
    "gated, gates, fixed",
    [
        # A softmax of 0 and -1000 is one-hot, to the bit.
        (CrossStitch(), 1000 * (np.eye(3) - 1), one_hot(3)),
        (LearnedGroups(2), np.zeros((3, 2)), ((True, True),) * 3),
        (MMoE(2), np.zeros((3, 2)), ((True, True),) * 3),
        (CGC(1, 1), np.zeros((3, 4)), tuple((True, *row) for row in one_hot(3))),
    ],
    ids=["cross_stitch at own is none", "groups at equal parts", "mmoe", "cgc"],
)
def test_gates_held_fixed_are_fixed_gates(gated, gates, fixed):
    """The same loss and gradient, by the engine and by the oracle."""
    case = Case(kind="many", hidden=(4, 3), head_hidden=(3,))
    plain, plain_model = replace(case, gate_mask=fixed).build()
    fields = experts_of(gated, 3, case.hidden)
    problem, model = replace(case, **fields).build()
    theta = problem.theta.copy()
    cut = with_gates(case, theta, model.a, (plain.theta, plain_model.a))
    for (offset, weight), start in zip(cut.gates, gates):
        offset[...] = start
        if weight is not None:
            weight[...] = 0
    n_gates = theta.size - plain.theta.size
    shared = np.r_[0 : cut.depth[-1], cut.depth[-1] + n_gates : theta.size]
    expected = plain_model(plain.theta)
    for value, grad, losses in (problem.objective(theta), model(theta)):
        assert_allclose(value, expected[0], rtol=1e-12)
        assert_allclose(losses, expected[2], rtol=1e-12)
        assert_allclose(grad[shared], expected[1], rtol=1e-9, atol=1e-13)


@every_learned
def test_gradients_where_gates_start(sharing):
    """By the oracle everywhere, and by central differences in random directions."""
    case = Case(kind="many", hidden=(4,), share_head=sharing.shares_heads)
    problem, model = replace(case, **experts_of(sharing, 3, case.hidden)).build()
    theta, rng = problem.theta.copy(), np.random.default_rng(0)
    for _, weight in naive.Cut(theta, model.a).gates:
        if weight is not None:
            weight[...] = 0
    start_gates(sharing, layout_of(model.a), theta, rng)
    expected = sharing.init(3, np.random.default_rng(0))
    assert_array_equal([offset for offset, _ in naive.Cut(theta, model.a).gates], expected)
    value, grad, _ = problem.objective(theta)
    oracle, oracle_grad, _ = model(theta)
    assert_allclose(value, oracle, rtol=1e-12)
    assert_allclose(grad, oracle_grad, rtol=1e-9, atol=1e-12)
    for _ in range(3):
        step = 1e-6 * rng.standard_normal(theta.size)
        slope = problem.objective(theta + step)[0] - problem.objective(theta - step)[0]
        assert_allclose(slope / 2, grad @ step, rtol=1e-6)
    for offset, _ in naive.Cut(grad, model.a).gates:
        assert np.abs(offset).max() > 1e-6  # no start is a place where gates rest


# --- groups --------------------------------------------------------------------------------------

GROUPED = {
    "hidden_layer_sizes": (1,),
    "activation": "identity",
    "sharing": LearnedGroups(2, share_heads=True),
    "lam": 0.01,
}
SOLVERS = {
    "lbfgs": {"solver": "lbfgs", "max_iter": 200},
    "adam": {"max_iter": 150, "learning_rate_init": 0.02},
}


def opposite_tasks(seed, n_rows=60, n_tasks=6):
    """Tasks with rows of their own and labels by the side of one plane: odd tasks' are swapped."""
    rng = np.random.default_rng(seed)
    w, task = rng.standard_normal(8), np.repeat(np.arange(n_tasks), n_rows)
    X = rng.standard_normal((task.size, 8))
    Y = np.full((task.size, n_tasks), np.nan)
    label = X @ w + rng.logistic(size=task.size) / 2 > 0
    Y[np.arange(task.size), task] = label ^ (task % 2 == 1)
    return X, Y


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("seed", range(5))
def test_opposite_tasks_are_told_apart(seed, solver):
    X, Y = opposite_tasks(seed)
    clf = MultiTaskClassifier(**GROUPED, **SOLVERS[solver], random_state=seed).fit(X, Y)
    assert adjusted_rand_score(np.arange(6) % 2, clf.task_groups_) == 1
    pooled = clone(clf).set_params(sharing="pooled").fit(X, Y)
    assert clf.score(X, Y) > 0.8 > 0.65 > pooled.score(X, Y)


@pytest.mark.parametrize("n_groups", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_related_tasks_are_grouped(seed, n_groups):
    """And unseen rows profit, where each task has few labels of its own."""
    options = {"n_tasks": 9, "n_features": 20, "n_groups": n_groups, "relatedness": 0.95}
    data = make_related_tasks([40] * 9, **options, random_state=seed)
    test = make_related_tasks([400] * 9, **options, random_state=seed)
    assert_array_equal(data.coef, test.coef)
    clf = MultiTaskClassifier(**GROUPED, **SOLVERS["lbfgs"], random_state=seed)
    clf.set_params(sharing=LearnedGroups(n_groups, share_heads=True)).fit(data.data, data.target)
    assert adjusted_rand_score(data.groups, clf.task_groups_) == 1
    scores = {
        sharing: clone(clf)
        .set_params(sharing=sharing)
        .fit(data.data, data.target)
        .score(test.data, test.target)
        for sharing in ("none", "pooled")
    }
    assert clf.score(test.data, test.target) > max(scores.values()) + 0.02


# --- what is refused -----------------------------------------------------------------------------


class Odd(Sharing):
    """Gives what it is told to."""

    gate = "constant"

    def __init__(self, mask=None, start=None):
        self.mask = mask
        self.start = start

    def hyper(self):
        return []

    def experts(self, n_tasks):
        return self.mask

    def init(self, n_tasks, rng):
        return self.start


TWO = np.ones((3, 2), bool)


@pytest.mark.parametrize(
    "sharing, match",
    [
        (Odd(np.ones((2, 2), bool)), r"Odd.experts\(3\) must give a bool array with a row for"),
        (Odd(np.ones((3, 2))), r"Odd.experts\(3\) must give a bool array"),
        (Odd(TWO & [[True], [False], [True]]), "an expert to read in each. Got array"),
        (Odd(TWO, np.zeros(3)), r"Odd.init\(3, rng\) must give finite numbers of shape \(3, 2\)"),
        (Odd(TWO, np.full((3, 2), np.nan)), r"finite numbers of shape \(3, 2\). Got array"),
    ],
)
def test_what_does_not_keep_the_contract_is_refused(sharing, match):
    with pytest.raises(ValueError, match=match):
        quick(sharing=sharing).fit(*wide())


def test_an_unknown_gate_is_refused():
    sharing = Odd(TWO, np.zeros((3, 2)))
    sharing.gate = "softmax"
    with pytest.raises(
        ValueError, match="Odd.gate must be one of fixed, constant, linear. Got 'so"
    ):
        quick(sharing=sharing).fit(*wide())
