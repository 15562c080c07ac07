"""The estimators with plugins of every kind: what the parameters lead to."""

import numpy as np
import pytest
from tables import blobs, source_of, wide
from test_balance import FromGram, FromLosses

from skmtl import MultiTaskClassifier, TransferClassifier, as_source
from skmtl.plugins.base import Alignment, Penalty, RegressionLoss
from skmtl.plugins.feature_maps import Affine
from skmtl.plugins.penalties import L2

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

    needs_labels = True

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


def test_lam_zero_is_source_only_with_an_alignment_too():
    X, y = blobs()
    parameters = {**QUICK, "map_penalty": Gap(), "mu": 2.0}
    joint = TransferClassifier(**parameters, lam=0.0).fit(X, y, **source_of())
    alone = TransferClassifier(**parameters, strategy="source_only").fit(X, y, **source_of())
    assert np.array_equal(joint._theta, alone._theta)
    without = TransferClassifier(**{**parameters, "mu": 0.0}, lam=0.0).fit(X, y, **source_of())
    assert not np.allclose(joint._theta, without._theta)


class Saddle(Gap):
    needs_minibatches = True


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"map_penalty": Gap("input")}, "feature_map='identity' maps nothing"),
        ({"map_penalty": Gap("middle")}, "'where' parameter of Gap .* 'shared', 'input'.*'middle'"),
        ({"map_penalty": Gap(), "share_head": False}, "compares classes: .*share_head=True"),
        ({"map_penalty": Saddle(), "solver": "lbfgs"}, "Saddle.* needs minibatches"),
        ({"map_penalty": "hubr"}, "'map_penalty' parameter: unknown name 'hubr'; installed: .*l2"),
        ({"weighting": FromLosses(), "solver": "lbfgs"}, "weighting=FromLosses.* minibatches"),
        ({"clip_norm": 1.0, "solver": "lbfgs"}, "clip_norm=1.0 needs minibatches"),
        ({"record_affinity": True, "solver": "lbfgs"}, "record_affinity=True needs minibatches"),
    ],
)
def test_what_does_not_go_together(parameters, message):
    with pytest.raises(ValueError, match=message):
        TransferClassifier(**QUICK, **parameters).fit(*blobs(), **source_of())


# --- losses and penalties -------------------------------------------------------------------------


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


# --- an author's mistakes -------------------------------------------------------------------------


class AsksPython(Penalty):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """Calls what numba does not know."""
        return sum(map(str, theta))


class TellsAString(L2):
    def __init__(self, norm="l2"):
        self.norm = norm

    def hyper(self):
        """A string."""
        return [self.norm]


class NaNGradient(L2):
    @staticmethod
    def value_grad(theta, layout, strength, hp, constants, work, grad):
        """A finite value, and a gradient that is none."""
        grad[layout[0, 0]] += np.nan
        return 0.0


class NaNWeights(FromLosses):
    @staticmethod
    def update(losses, n_labels, gram, step, steps_per_epoch, hp, state, rng, weights):
        """No numbers."""
        weights[:] = np.nan


class FourArgumentPenalty(Penalty):
    @staticmethod
    def value_grad(theta, layout, strength, grad):
        """Forgets some."""
        return 0.0


@pytest.mark.parametrize(
    "parameters, error, message",
    [
        (
            {"penalty": FourArgumentPenalty()},
            TypeError,
            "FourArgumentPenalty.value_grad takes 4 arguments, .*the contract of a penalty .* 7",
        ),
        (
            {"penalty": AsksPython()},
            TypeError,
            "AsksPython.value_grad, used as penalty, does not compile: .*check_plugin",
        ),
        (
            {"penalty": TellsAString()},
            ValueError,
            r"TellsAString.hyper\(\) must give finite numbers. Got \['l2'\]",
        ),
        (
            {"penalty": NaNGradient()},
            ValueError,
            "epoch 1 .*the gradient, at a finite objective, of one of LogLoss, NaNGradient",
        ),
        (
            {"weighting": NaNWeights()},
            ValueError,
            "epoch 1 .*the weights of NaNWeights.*check_plugin",
        ),
    ],
)
def test_an_authors_mistake_names_the_plugin(parameters, error, message):
    clf = MultiTaskClassifier(**QUICK, **parameters)
    with pytest.raises(error, match=r"(?s)" + message):
        clf.fit(*wide())
    assert not hasattr(clf, "classes_")
