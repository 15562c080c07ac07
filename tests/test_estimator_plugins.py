"""The estimators with plugins of every kind: what the parameters lead to."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from tables import blobs, source_of, wide
from test_balance import FromGram, FromLosses

from skmtl import MultiTaskClassifier, TransferClassifier, as_source
from skmtl.plugins.alignments import DANN
from skmtl.plugins.base import Alignment, Penalty, RegressionLoss
from skmtl.plugins.feature_maps import Affine
from skmtl.plugins.penalties import EWC, L2, L2SP
from skmtl.plugins.source_weightings import Balanced

QUICK = {"hidden_layer_sizes": (8,), "max_iter": 12, "n_iter_no_change": 12, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# --- weights and affinity -------------------------------------------------------------------------


@pytest.mark.parametrize("weighting", [FromGram(), FromLosses()], ids=str)
def test_weights_and_affinity_of_tasks(weighting):
    clf = MultiTaskClassifier(**QUICK, weighting=weighting).fit(*wide())
    assert clf.task_weights_path_.shape == (12, 3)
    assert np.ptp(clf.task_weights_path_, axis=0).min() > 0
    if not weighting.needs_gram:
        assert clf.task_affinity_ is None
        return
    np.testing.assert_allclose(np.diag(clf.task_affinity_), 1)
    np.testing.assert_allclose(clf.task_affinity_, clf.task_affinity_.T)
    assert np.abs(clf.task_affinity_).max() <= 1 + 1e-12


def test_recording_the_affinity_changes_nothing_else():
    plain = MultiTaskClassifier(**QUICK).fit(*wide())
    assert plain.task_affinity_ is None
    assert (plain.task_weights_path_ == 1).all()
    recorded = MultiTaskClassifier(**QUICK, record_affinity=True).fit(*wide())
    np.testing.assert_allclose(recorded._theta, plain._theta, rtol=1e-8, atol=1e-10)
    assert recorded.task_affinity_.shape == (3, 3)
    # Column 1 says whether column 0 is 0, column 2 whether it is over 1.
    copies = MultiTaskClassifier(**QUICK, record_affinity=True).fit(
        wide(missing=0)[0], wide(missing=0)[1][:, [1, 1, 0]]
    )
    assert copies.task_affinity_[0, 1] > copies.task_affinity_[0, 2]


def test_affinity_of_source_and_target():
    X, y = blobs()
    X_source, y_source = blobs(80, seed=5)
    same, other = (
        TransferClassifier(**QUICK, record_affinity=True).fit(X, y, **as_source(X_source, labels))
        for labels in (y_source, (y_source + 1) % 3)
    )
    assert same.task_affinity_.shape == (2, 2)
    assert same.task_affinity_[0, 1] > 0.5
    assert other.task_affinity_[0, 1] < 0


def test_partial_fit_goes_on_with_the_weighting():
    X, Y = wide()
    classes = [np.unique(c[np.isfinite(c)]) for c in Y.T]
    clf = MultiTaskClassifier(**QUICK, weighting=FromGram(), batch_size=60)
    for _ in range(3):
        clf.partial_fit(X, Y, classes)
    assert clf._resume["weighting_state"].tolist() == [3.0]
    assert clf.task_weights_path_.shape == (3, 3)


# --- clipping -------------------------------------------------------------------------------------


def test_clipping_bounds_a_step():
    X, Y = wide()
    settings = {**QUICK, "solver": "sgd", "max_iter": 1, "batch_size": 60}
    start = MultiTaskClassifier(**settings, learning_rate_init=1e-300).fit(X, Y)
    for clip_norm in (0.01, 0.1):
        clf = MultiTaskClassifier(**settings, learning_rate_init=1.0, clip_norm=clip_norm)
        # Nesterov's first step is 1 + momentum times the gradient.
        length = np.linalg.norm(clf.fit(X, Y)._theta - start._theta)
        assert length == pytest.approx(1.9 * clip_norm, rel=1e-6)


# --- alignments -----------------------------------------------------------------------------------


class Gap(Alignment):
    """Half the squared distance between the means of the rows."""

    def __init__(self, where="shared"):
        self.where = where

    def hyper(self):
        """No numbers."""
        return []

    @staticmethod
    def value_grad(theta, hs, ht, ys, yt, strength, hp, work, rng, dhs, dht, grad):
        """strength / 2 |mean_i hs_i - mean_i ht_i|^2."""
        value = 0.0
        for j in range(hs.shape[1]):
            gap = 0.0
            for i in range(hs.shape[0]):
                gap += hs[i, j] / hs.shape[0]
            for i in range(ht.shape[0]):
                gap -= ht[i, j] / ht.shape[0]
            value += 0.5 * strength * gap * gap
            for i in range(hs.shape[0]):
                dhs[i, j] += strength * gap / hs.shape[0]
            for i in range(ht.shape[0]):
                dht[i, j] -= strength * gap / ht.shape[0]
        return value


@pytest.mark.parametrize("strategy", ["joint", "pooled", "source_only", "finetune"])
@pytest.mark.parametrize("feature_map, where", [("identity", "shared"), (Affine(), "input")])
def test_an_alignment_as_map_penalty(strategy, feature_map, where):
    """It draws the means of source and target together, also without labels of the target."""
    X, y = blobs()
    settings = {**QUICK, "strategy": strategy, "feature_map": feature_map, "max_iter": 60}
    settings |= {"n_iter_no_change": 60, "learning_rate_init": 0.01}
    source = source_of(shift=3.0)
    gaps = []
    for mu in (0.0, 30.0):
        clf = TransferClassifier(**settings, map_penalty=Gap(where), mu=mu)
        clf.fit(X, y, **source)
        (X_source,) = source["X_source"]
        Z = clf.map_source(X_source) if where == "input" else clf.transform(X_source)
        H = X if where == "input" else clf.transform(X)
        gaps.append(np.linalg.norm(Z.mean(axis=0) - H.mean(axis=0)))
    if strategy != "finetune" or where == "input":  # the second stage knows the target alone
        assert gaps[1] < gaps[0]
    if where == "input":
        assert gaps[1] < 0.7 * gaps[0]


def test_an_alignment_sees_unlabelled_rows():
    X, y = blobs()
    clf = TransferClassifier(**QUICK, map_penalty=Gap(), mu=1.0)
    plain = clf.fit(X, y, **source_of())._theta
    more = clf.fit(X, y, X_unlabeled=blobs(30, seed=7)[0], **source_of())._theta
    assert not np.allclose(plain, more)
    y = y.astype(float)
    y[::2] = np.nan
    fewer_labels = clf.fit(X, y, **source_of())._theta
    assert not np.allclose(plain, fewer_labels)


@pytest.mark.parametrize("strategy", ["joint", "finetune"])
def test_parameters_of_map_alignment_and_penalty_lie_side_by_side(strategy):
    """Each is trained, and a warm start goes on with all of them."""
    X, y = blobs()
    clf = TransferClassifier(
        **{**QUICK, "strategy": strategy},
        feature_map="affine",
        map_penalty=DANN(),
        mu=0.1,
        penalty="sparse_low_rank",
        alpha=0.01,
        warm_start=True,
    ).fit(X, y, **source_of())
    before = clf._theta
    assert len(clf.penalty_coefs_) == 1
    assert clf.penalty_coefs_[0].any()
    assert clf.penalty_coefs_[0].shape == clf.head_coefs_[0][-1].T.shape
    after = clf.fit(X, y, **source_of())._theta
    assert before.size == after.size
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(before, after, atol=0.5)


def test_lam_zero_is_source_only_with_an_alignment_too():
    X, y = blobs()
    parameters = {**QUICK, "map_penalty": Gap(), "mu": 2.0}
    joint = TransferClassifier(**parameters, lam=0.0).fit(X, y, **source_of())
    alone = TransferClassifier(**parameters, strategy="source_only").fit(X, y, **source_of())
    assert np.array_equal(joint._theta, alone._theta)
    without = TransferClassifier(**{**parameters, "mu": 0.0}, lam=0.0).fit(X, y, **source_of())
    assert not np.allclose(joint._theta, without._theta)


class WithMatrix(L2):
    def own_matrices(self, layout):
        return [(1, 2)]


class Saddle(Gap):
    needs_minibatches = True


class ReadsLabels(Gap):
    needs_labels = True


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"map_penalty": Gap("input")}, "nothing maps .*other than 'identity'"),
        ({"map_penalty": Gap(), "hidden_layer_sizes": ()}, "nothing maps .* with hidden layers"),
        ({"map_penalty": ReadsLabels(), "lam": 0.0}, "reads the target's labels: .*lam=0.0"),
        (
            {"map_penalty": ReadsLabels(), "strategy": "finetune"},
            "reads the target's labels: .*'joint' .*'finetune'",
        ),
        ({"map_penalty": Gap("middle")}, "'where' parameter of Gap .* 'shared', 'input'.*'middle'"),
        (
            {"map_penalty": ReadsLabels(), "share_head": False},
            "compares classes: .*share_head=True",
        ),
        (
            {"map_penalty": WithMatrix(), "feature_map": "affine"},
            "WithMatrix learns matrices of its own: use it as penalty=",
        ),
        ({"map_penalty": Saddle(), "solver": "lbfgs"}, "Saddle.* needs minibatches"),
        ({"map_penalty": "hubr"}, "'map_penalty' parameter: unknown name 'hubr'; installed: .*l2"),
        ({"weighting": FromLosses(), "solver": "lbfgs"}, "weighting=FromLosses.* minibatches"),
        ({"clip_norm": 1.0, "solver": "lbfgs"}, "clip_norm=1.0 needs minibatches"),
        ({"record_affinity": True, "solver": "lbfgs"}, "record_affinity=True needs minibatches"),
    ],
)
def test_what_does_not_go_together(parameters, message):
    with pytest.raises(ValueError, match=message):
        TransferClassifier(**{**QUICK, **parameters}).fit(*blobs(), **source_of())


def test_an_alignment_does_not_read_validation_rows():
    X, y = blobs()
    parameters = {**QUICK, "map_penalty": Gap(), "mu": 1.0, "early_stopping": True}
    clf = TransferClassifier(**parameters)
    trained = []

    def recorded(part, *args):
        rows, validate_on = TransferClassifier._validation_rows_of(clf, part, *args)
        trained.append(rows)
        return rows, validate_on

    clf._validation_rows_of = recorded
    clf.fit(X, y, **source_of())
    held_out = np.setdiff1d(np.arange(60), trained[0])
    assert held_out.size == 6
    X[held_out] += 100.0
    other = TransferClassifier(**parameters).fit(X, y, **source_of())
    np.testing.assert_array_equal(other.loss_curve_[0], clf.loss_curve_[0])


class FromRows(Affine):
    """Starts with the mean of the target's rows as its offset."""

    starts_from_rows = True

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """The start of ``Affine``, with the mean."""
        theta = super().init(X_source, X_target, rng)
        theta[-X_target.shape[1] :] = X_target.mean(axis=0)
        return theta


def test_a_map_that_starts_from_rows_reads_unlabelled_ones():
    X, y = blobs()
    more = blobs(30, seed=7, shift=5.0)[0]
    settings = {**QUICK, "max_iter": 1, "learning_rate_init": 1e-300, "feature_map": FromRows()}
    clf = TransferClassifier(**settings).fit(X, y, X_unlabeled=more, **source_of())
    np.testing.assert_allclose(clf.map_params_[0][-4:], np.vstack([X, more]).mean(axis=0))


# --- losses and penalties -------------------------------------------------------------------------


@pytest.mark.parametrize("target, unlabelled", [(csr_array, csr_array), (np.array, csr_array)])
def test_unlabelled_rows_may_come_in_a_container_of_their_own(target, unlabelled):
    (X, y), more = blobs(), blobs(30, seed=7)[0]
    clf = TransferClassifier(**QUICK, feature_map="affine", map_penalty=Gap())
    dense = clf.fit(X, y, X_unlabeled=more, **source_of()).loss_curve_
    clf.fit(target(X), y, X_unlabeled=unlabelled(more), **source_of())
    np.testing.assert_allclose(clf.loss_curve_, dense, rtol=1e-10)


class NotesClasses(Affine):
    """Keeps the types of the class codes that it starts from."""

    seen = []

    def init(self, X_source, X_target, rng, y_source=None, y_target=None):
        """Give the start of ``Affine``."""
        self.seen.append((y_source.dtype, y_target.dtype))
        return super().init(X_source, X_target, rng)


class NotesClassesToo(Balanced):
    """The same, of rows' weights."""

    seen = []

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        """Give the weights of ``Balanced``."""
        self.seen.append((y_source.dtype, y_target.dtype))
        return super().weigh(X_source, y_source, X_target, y_target, rng)


@pytest.mark.parametrize(
    "parameter, plugin",
    [("feature_map", NotesClasses), ("source_sample_weighting", NotesClassesToo)],
)
def test_plugins_get_codes_that_they_can_reckon_with(parameter, plugin):
    """In a fit they are kept in a byte, in which sums and products would run over."""
    plugin.seen.clear()
    X, y = blobs()
    TransferClassifier(**QUICK, **{parameter: plugin()}).fit(X, y, **source_of())
    assert plugin.seen
    assert {dtype for of_both in plugin.seen for dtype in of_both} == {np.dtype(np.intp)}


class OnNumbers(RegressionLoss):
    @staticmethod
    def value_grad(out, y, weight, hp, grad):
        """Zero."""
        return 0.0


def test_a_classifier_refuses_a_loss_on_numbers():
    with pytest.raises(ValueError, match="'loss' parameter of MultiTaskClassifier .* on classes"):
        MultiTaskClassifier(loss=OnNumbers()).fit(*wide())


class Anchored(Penalty):
    """Half the squared distance to the pretrained weights."""

    needs_pretrained = True

    def constants(self, start):
        """Anchors, and how much each counts."""
        if start.pretrained is None:
            raise ValueError("nothing to anchor at")
        counts = start.pretrained + start.fisher()
        return np.concatenate([np.where(start.pretrained, start.theta, 0), counts])

    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """strength / 2 sum_j (1 + F_j) (theta_j - anchor_j)^2."""
        total = 0.0
        for j in range(theta.size):
            gap = theta[j] - constants[j]
            total += constants[theta.size + j] * gap * gap
            grad[j] += strength * constants[theta.size + j] * gap
        return 0.5 * strength * total


def test_a_penalty_that_anchors_at_the_source():
    X, y = blobs()
    settings = {**QUICK, "strategy": "finetune", "solver": "lbfgs", "tol": 1e-10, "max_iter": 300}
    source = source_of()
    pretrained = TransferClassifier(**{**settings, "strategy": "source_only"}, alpha=0.0)
    pretrained.fit(X, y, **source)
    free = TransferClassifier(**settings, alpha=0.0).fit(X, y, **source)
    none = TransferClassifier(**settings, penalty=Anchored(), alpha=0.0).fit(X, y, **source)
    firm = TransferClassifier(**settings, penalty=Anchored(), alpha=1e8).fit(X, y, **source)
    np.testing.assert_allclose(none._theta, free._theta)
    assert np.linalg.norm(free._theta - pretrained._theta) > 0.1
    difference = firm.predict_proba(X) - pretrained.predict_proba(X)
    assert np.abs(difference).max() < 1e-3
    with pytest.raises(ValueError, match="nothing to anchor at"):
        TransferClassifier(**QUICK, penalty=Anchored()).fit(X, y, **source)


@pytest.mark.parametrize("penalty", [L2SP(source_alpha=0.0), EWC(source_alpha=0.0)], ids=str)
def test_anchors_of_the_catalogue(penalty):
    """Strength 0 is plain fine-tuning; without end it keeps the source's network."""
    X, y = blobs()
    X_source, y_source = blobs(80, seed=5, shift=1.5)
    source = as_source(X_source, y_source)
    settings = {**QUICK, "strategy": "finetune", "max_iter": 60, "solver": "sgd"}
    settings["learning_rate_init"] = 0.05
    first = TransferClassifier(**{**settings, "strategy": "source_only"}, alpha=0.0)
    first.fit(X, y, **source)
    plain = TransferClassifier(**settings, alpha=0.0).fit(X, y, **source)
    fits = [
        TransferClassifier(**settings, penalty=penalty, alpha=alpha).fit(X, y, **source)
        for alpha in (0.0, 1.0, 1e9)
    ]
    np.testing.assert_array_equal(fits[0]._theta, plain._theta)
    distance = [np.linalg.norm(clf._theta - first._theta) for clf in fits]
    assert distance[0] > distance[1] > distance[2]
    kept = np.abs(fits[2].predict_proba(X_source) - first.predict_proba(X_source))
    assert kept.max() < 1e-2


@pytest.mark.parametrize("penalty", [L2SP, EWC])
def test_an_anchor_comes_from_a_source_learned_under_l2(penalty):
    """Infinite strength leaves the source's network, which has its own strength of L2."""
    X, y = blobs()
    source = source_of()
    settings = {**QUICK, "solver": "lbfgs", "max_iter": 100}
    by_hand = TransferClassifier(**settings, strategy="source_only", alpha=0.3).fit(X, y, **source)
    settings |= {"strategy": "finetune", "alpha": 1e9}
    held = TransferClassifier(**settings, penalty=penalty(source_alpha=0.3)).fit(X, y, **source)
    np.testing.assert_array_equal(held.pretrain_loss_curve_, by_hand.loss_curve_)
    gap = held.predict_proba(X) - by_hand.predict_proba(X)
    assert np.abs(gap).max() < 1e-2
    with pytest.raises(ValueError, match=r"'source_alpha' parameter of .* must be a number in \[0"):
        TransferClassifier(**settings, penalty=penalty(source_alpha=-1)).fit(X, y, **source)


@pytest.mark.parametrize("penalty", ["l1", "group_lasso"])
def test_sparsity_by_solver(penalty):
    """All solvers head for one minimum; sgd, with proximal steps, for exact zeros."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 10))
    w = np.zeros((10, 2))
    w[:3] = 2 * rng.standard_normal((3, 2))
    Y = (rng.random((400, 2)) < 1 / (1 + np.exp(-X @ w))).astype(int)
    settings = {"hidden_layer_sizes": (), "lam": 0.1, "penalty": penalty, "random_state": 0}
    settings |= {"max_iter": 400, "tol": 0.0, "n_iter_no_change": 400, "batch_size": 400}
    weights = {}
    # A momentum from longer steps carries weights past zero: no falling rate for sgd.
    for solver, lr, schedule in (("sgd", 0.1, "constant"), ("adam", 0.05, "cosine")):
        clf = MultiTaskClassifier(
            **settings, solver=solver, learning_rate_init=lr, learning_rate=schedule
        ).fit(X, Y)
        weights[solver] = np.hstack([head[-1] for head in clf.head_coefs_])
    assert (weights["sgd"][3:] == 0).sum() >= 10
    assert (weights["adam"] != 0).all()
    np.testing.assert_allclose(weights["adam"], weights["sgd"], atol=0.02)


# --- an author's mistakes; more of them in test_testing.py ----------------------------------------


class NaNWeights(FromLosses):
    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """No numbers."""
        weights[:] = np.nan


@pytest.mark.parametrize("fit", ["fit", "partial_fit"])
def test_weights_that_are_not_finite_name_the_weighting(fit):
    X, Y = wide()
    clf = MultiTaskClassifier(**QUICK, weighting=NaNWeights())
    classes = [np.unique(c[np.isfinite(c)]) for c in Y.T]
    arguments = (X, Y) if fit == "fit" else (X, Y, classes)
    with pytest.raises(ValueError, match="epoch 1 .*look at NaNWeights with skmtl.testing"):
        getattr(clf, fit)(*arguments)
    assert not hasattr(clf, "classes_")
