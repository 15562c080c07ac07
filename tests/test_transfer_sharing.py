"""Source and target on experts and gates."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from tables import QUICK, blobs, source_of, theta_of

from skmtl import MultiTaskClassifier, TransferClassifier, TransferRegressor, as_source, stack_tasks
from skmtl.plugins.alignments import MMD
from skmtl.plugins.optimizers import SGD
from skmtl.plugins.sharings import (
    CGC,
    CrossStitch,
    Hard,
    LearnedGroups,
    MMoE,
    Pooled,
    Separate,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SHARINGS = [CGC(), CrossStitch(), LearnedGroups(), MMoE(2), Separate()]


def quick(**parameters):
    return TransferClassifier(**{**QUICK, **parameters})


@pytest.mark.parametrize("sharing", [CGC(), CrossStitch(), Separate()], ids=str)
def test_a_transfer_is_two_tasks(sharing):
    """With a head each and no map: half the objective of the stacked rows, at twice the rate."""
    X, y = blobs()
    (X_s,), (y_s,) = source_of().values()
    options = {"sharing": sharing, "solver": SGD(momentum=0), "batch_size": 200}
    transfer = quick(share_head=False, alpha=0.05, learning_rate_init=0.2, **options)
    transfer.fit(X, y, **as_source(X_s, y_s))
    tasks = MultiTaskClassifier(**QUICK, lam=0.1, learning_rate_init=0.1, **options)
    tasks.fit(*stack_tasks([(X, y), (X_s, y_s)]))
    np.testing.assert_allclose(theta_of(transfer), theta_of(tasks), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(2 * np.array(transfer.loss_curve_), tasks.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("feature_map", ["identity", "affine"])
@pytest.mark.parametrize("share_head", [True, False])
@pytest.mark.parametrize("sharing", [CGC(), CrossStitch()], ids=str)
def test_gradients(sharing, share_head, feature_map):
    kept = []

    class Kept(TransferClassifier):
        def _store(self, problem, history):
            kept.append(problem)
            super()._store(problem, history)

    clf = Kept(**{**QUICK, "max_iter": 2}, activation="tanh", feature_map=feature_map)
    clf.set_params(sharing=sharing, share_head=share_head).fit(*blobs(), **source_of())
    (problem,) = kept
    rng, theta, h = np.random.default_rng(0), problem.theta.copy(), 1e-6
    _, grad, _ = problem.objective(theta)
    for _ in range(5):
        along = rng.standard_normal(theta.size)
        up, down = (problem.objective(theta + s * h * along)[0] for s in (1, -1))
        assert grad @ along == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("estimator", [TransferClassifier, TransferRegressor])
@pytest.mark.parametrize("sharing", SHARINGS, ids=str)
def test_fits_on_experts(sharing, estimator):
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5, shift=0.3)
    for rows, source in [(X, X_s), (csr_array(X), csr_array(X_s))]:
        model = estimator(**{**QUICK, "max_iter": 100, "learning_rate_init": 0.02}, sharing=sharing)
        model.fit(rows, y, **as_source(source, y_s))
        n_experts = sharing.experts(2).shape[1]
        assert model.coefs_[0].shape == (n_experts, 4, 8)
        assert model.score(X, y) > 0.7
        assert model.transform(X).shape == (60, 8 * n_experts)
        if sharing.gate != "linear":
            np.testing.assert_allclose(model.task_gates_.sum(axis=1), 1)


def test_hard_is_the_default_and_pooled_has_one_head():
    X, y = blobs()
    plain = theta_of(quick().fit(X, y, **source_of()))
    assert np.array_equal(theta_of(quick(sharing=Hard()).fit(X, y, **source_of())), plain)
    options = {"share_head": False}
    one = quick(share_head=True).fit(X, y, **source_of())
    pooled = quick(sharing=Pooled(), **options).fit(X, y, **source_of())
    assert np.array_equal(theta_of(pooled), theta_of(one))


def test_experts_of_ones_own_do_not_meet():
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5, shift=0.3)
    options = {"sharing": Separate(), "share_head": False, "batch_size": 100}
    one, other = (
        quick(**options).fit(X, y, **as_source(X_s, labels)) for labels in (y_s, y_s[::-1])
    )
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize("strategy", ["source_only", "target_only", "finetune"])
def test_where_they_do_not_meet_there_is_one_trunk(strategy):
    X, y = blobs()
    plain = quick(strategy=strategy).fit(X, y, **source_of())
    clf = quick(strategy=strategy, sharing=CGC()).fit(X, y, **source_of())
    assert np.array_equal(theta_of(clf), theta_of(plain))
    assert quick(sharing=CGC()).fit(X, y).coefs_[0].ndim == 2


def test_experts_go_on():
    X, y = blobs()
    clf = quick(sharing=CGC(), warm_start=True).fit(X, y, **source_of())
    before = clf.loss_curve_[-1]
    assert clf.fit(X, y, **source_of()).loss_curve_[0] < before + 0.02
    chunks = quick(sharing=CGC())
    for _ in range(3):
        chunks.partial_fit(X, y, classes=[0, 1, 2], **source_of())
    assert chunks.loss_curve_[-1] < chunks.loss_curve_[0]


@pytest.mark.parametrize(
    "options, match",
    [
        ({"hidden_layer_sizes": ()}, "CGC mixes experts, which are hidden layers"),
        ({"map_penalty": MMD()}, r"aligns what one trunk gives, and sharing=CGC\(\) has several"),
        ({"source_model": True}, "has several trunks, and a source_model is the start of one"),
        ({"sharing": "cgz"}, "The 'sharing' parameter: unknown name 'cgz'"),
    ],
)
def test_what_cannot_be(options, match):
    if "source_model" in options:
        options = {"source_model": quick().fit(*blobs())}
    with pytest.raises(ValueError, match=match):
        quick(**{"sharing": CGC(), **options}).fit(*blobs(), **source_of())


def test_rows_may_be_aligned_before_the_experts():
    X, y = blobs()
    options = {"map_penalty": MMD(where="input"), "feature_map": "affine"}
    clf = quick(sharing=CGC(), **options).fit(X, y, **source_of())
    assert clf.loss_curve_[-1] < clf.loss_curve_[0]
