"""Rounds of a source weighting: when they are held, what they get, what TrAdaBoost does."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from tables import QUICK, blobs, source_of, theta_of

from skmtl import TransferClassifier, TransferRegressor, as_source
from skmtl.plugins.base import SourceWeighting
from skmtl.plugins.optimizers import SGD
from skmtl.plugins.source_weightings import TrAdaBoost

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Keeper(SourceWeighting):
    """Keeps what it gets; gives the same weights again, or those of a function of the round."""

    reads_rows = False

    def __init__(self, n_rounds=2, every=3, new=None, kept=None):
        self.n_rounds, self.every, self.new, self.kept = n_rounds, every, new, kept

    def hyper(self):
        return []

    def weigh(self, X_source, y_source, X_target, y_target, rng):
        return np.ones(X_source.shape[0])

    def reweigh(self, weights, y_source, predicted, round):
        if self.kept is not None:
            self.kept.append((weights, y_source, predicted, round))
        return weights if self.new is None else self.new(weights, round)


def quick(**parameters):
    return TransferClassifier(**{**QUICK, **parameters})


# --- the formula ---------------------------------------------------------------------------------


def test_tradaboost_is_weighted_majority():
    """The source's side of figure 1 of Dai et al. (2007), with more than two classes."""
    rng = np.random.default_rng(0)
    y, weights = rng.integers(0, 3, 50), np.ones(50)
    beta = 1 / (1 + np.sqrt(2 * np.log(50) / 4))
    n_wrong = np.zeros(50)
    for k in range(4):
        proba = rng.dirichlet(np.ones(3), 50)
        n_wrong += proba.argmax(axis=1) != y
        weights = TrAdaBoost(n_rounds=4).reweigh(weights, y, proba, k)
        np.testing.assert_allclose(weights, beta**n_wrong, rtol=1e-12)


def test_tradaboost_of_numbers():
    """Algorithm 3 of Pardoe and Stone (2010), with the linear loss."""
    y, predicted = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.5, 1.0, 4.0])
    beta = 1 / (1 + np.sqrt(2 * np.log(4) / 10))
    expected = 0.5 * beta ** np.array([0, 0.25, 1, 0])
    np.testing.assert_allclose(TrAdaBoost().reweigh(np.full(4, 0.5), y, predicted, 0), expected)
    assert np.array_equal(TrAdaBoost().reweigh(np.ones(4), y, y, 0), np.ones(4))


# --- when, and with what -------------------------------------------------------------------------


def test_a_round_gets_the_model_of_its_epoch():
    X, y = blobs()
    (X_s,), (y_s,) = source_of().values()
    holes = np.where(np.arange(80) % 4 == 0, np.nan, y_s)
    seen, kept = ~np.isnan(holes), []
    quick(source_sample_weighting=Keeper(kept=kept)).fit(X, y, **as_source(X_s, holes))
    assert [number for *_, number in kept] == [0, 1]
    for weights, codes, predicted, number in kept:
        assert np.array_equal(weights, np.ones(60))
        assert np.array_equal(codes, y_s[seen])
        then = quick(max_iter=3 * (number + 1)).fit(X, y, **as_source(X_s, holes))
        np.testing.assert_allclose(predicted, then.predict_proba(X_s[seen]), rtol=1e-9)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("feature_map", ["identity", "affine"])
def test_rounds_see_mapped_rows(feature_map, sparse):
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5, shift=0.3)
    X_s = csr_array(X_s) if sparse and feature_map != "identity" else X_s
    kept = []
    rounds = Keeper(1, 14, kept=kept)
    options = {"feature_map": feature_map, "share_head": True, "learning_rate_init": 0.05}
    quick(source_sample_weighting=rounds, **options).fit(X, y, **as_source(X_s, y_s))
    then = quick(max_iter=14, **options).fit(X, y, **as_source(X_s, y_s))
    mapped = then.map_source(X_s)
    np.testing.assert_allclose(kept[0][2], then.predict_proba(mapped), rtol=1e-6)


def test_numbers_come_in_their_units():
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5, shift=0.3)
    kept = []
    TransferRegressor(**QUICK, source_sample_weighting=Keeper(kept=kept)).fit(
        X, 100.0 * y + 7, **as_source(X_s, 100.0 * y_s + 7)
    )
    then = TransferRegressor(**{**QUICK, "max_iter": 6}).fit(
        X, 100.0 * y + 7, **as_source(X_s, 100.0 * y_s + 7)
    )
    assert np.array_equal(kept[1][1], 100.0 * y_s + 7)
    np.testing.assert_allclose(kept[1][2], then.predict(X_s), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounds_that_change_nothing_change_nothing(dtype):
    X, y = blobs(dtype=dtype)
    source = source_of(dtype=dtype)
    options = {"class_weight": {0: 3.0}, "batch_size": 16}
    one = quick(**options).fit(X, y, **source)
    other = quick(source_sample_weighting=Keeper(4, 2), **options).fit(X, y, **source)
    assert np.array_equal(theta_of(one), theta_of(other))
    assert one.loss_curve_ == other.loss_curve_


def test_weights_of_a_round_are_weights_of_rows():
    """One step of gradient descent after a round, by hand from the two fits that surround it."""
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5, shift=0.3)
    last = np.linspace(0.1, 3, 80)
    last /= last.mean()
    options = {"solver": SGD(momentum=0), "batch_size": 200, "class_weight": {0: 2.0}}
    rounds = Keeper(1, 4, lambda weights, number: 5 * last)
    clf = quick(source_sample_weighting=rounds, max_iter=5, **options)
    clf.fit(X, y, **as_source(X_s, y_s))
    np.testing.assert_allclose(clf.source_sample_weights_[0], last)

    before = quick(max_iter=4, warm_start=True, **options).fit(X, y, **as_source(X_s, y_s))

    class Last(Keeper):
        def weigh(self, *arguments):
            return last

    before.set_params(max_iter=1, source_sample_weighting=Last(n_rounds=0))
    before.fit(X, y, **as_source(X_s, y_s))
    np.testing.assert_allclose(theta_of(clf), theta_of(before), rtol=1e-9, atol=1e-12)


def test_zero_weights_leave_no_trace():
    X, y = blobs()
    X_s, y_s = blobs(80, seed=5, shift=0.3)
    rounds = Keeper(1, 1, lambda weights, number: (y_s > 0).astype(float))
    clf = quick(source_sample_weighting=rounds, batch_size=8).fit(X, y, **as_source(X_s, y_s))
    assert np.isfinite(theta_of(clf)).all()
    weights = clf.source_sample_weights_[0]
    assert weights[y_s == 0].max() < 1e-11
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("strategy", ["source_only", "target_only", "finetune"])
def test_rounds_are_held_beside_the_target_alone(strategy):
    X, y = blobs()
    kept = []
    clf = quick(strategy=strategy, source_sample_weighting=Keeper(kept=kept))
    clf.fit(X, y, **source_of())
    assert kept == []
    plain = quick(strategy=strategy).fit(X, y, **source_of())
    assert np.array_equal(theta_of(clf), theta_of(plain))


def test_each_source_has_its_rounds():
    X, y = blobs()
    kept = []
    X_2, y_2 = blobs(40, seed=6, n_classes=2)
    constant = blobs(10, seed=7)[0], np.full(10, "one")
    sources = as_source(*blobs(80, seed=5), X_2, y_2, *constant)
    clf = quick(strategy="joint", source_sample_weighting=Keeper(1, kept=kept))
    clf.fit(X, y, **sources)
    assert [(weights.size, predicted.shape[1]) for weights, _, predicted, _ in kept] == [
        (80, 3),
        (40, 2),
    ]
    assert [w.size for w in clf.source_sample_weights_] == [80, 40, 10]


def test_training_does_not_end_before_the_last_round():
    X, y = blobs()
    rounds = Keeper(3, 8)
    clf = quick(tol=1.0, n_iter_no_change=1, max_iter=60, source_sample_weighting=rounds)
    assert clf.fit(X, y, **source_of()).n_iter_ > 24
    clf.set_params(early_stopping=True)
    assert clf.fit(X, y, **source_of()).n_iter_ > 24


@pytest.mark.parametrize(
    "options, match",
    [
        ({"solver": "lbfgs"}, "between epochs: use solver='adam'"),
        ({"max_iter": 6}, "2 rounds in 6 epochs, but max_iter=6: lower n_rounds or every"),
        (
            {"source_sample_weighting": Keeper(new=lambda w, k: w[:3])},
            r"Keeper.reweigh must give a weight for each of the 80 labelled rows of X_source\[0\]",
        ),
        (
            {"source_sample_weighting": Keeper(new=lambda w, k: 0 * w)},
            "Keeper.reweigh must give finite weights >= 0, not all 0",
        ),
    ],
)
def test_what_cannot_be(options, match):
    clf = quick(**{"source_sample_weighting": Keeper(), **options})
    with pytest.raises(ValueError, match=match):
        clf.fit(*blobs(), **source_of())
    assert not hasattr(clf, "coefs_")


@pytest.mark.parametrize("name", ["n_rounds", "every"])
def test_wrong_parameters(name):
    clf = quick(source_sample_weighting=TrAdaBoost(**{name: 0}))
    with pytest.raises(ValueError, match=f"'{name}' parameter of TrAdaBoost must be an int >= 1"):
        clf.fit(*blobs(), **source_of())


# --- what it is for ------------------------------------------------------------------------------


def with_wrong_labels(seed, n_target=40, n_source=400):
    """A target, a source with four wrong labels in ten, which these are, and rows to score on."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((4, 8))

    def draw(n):
        y = rng.permutation(np.arange(n) % 4)
        return centres[y] + rng.standard_normal((n, 8)), y

    target, (X_s, y_s), test = draw(n_target), draw(n_source), draw(2000)
    wrong = rng.random(n_source) < 0.4
    return target, (X_s, np.where(wrong, (y_s + 1) % 4, y_s)), wrong, test


def test_wrong_labels_of_a_source_fade():
    gains = []
    for seed in range(5):
        target, source, wrong, test = with_wrong_labels(seed)
        scores = []
        for weighting in ("uniform", TrAdaBoost()):
            clf = TransferClassifier(
                (32,),
                source_sample_weighting=weighting,
                learning_rate_init=5e-3,
                max_iter=100,
                random_state=0,
            ).fit(*target, **as_source(*source))
            scores.append(clf.score(*test))
        weights = clf.source_sample_weights_[0]
        assert weights[wrong].mean() < 0.2 * weights[~wrong].mean()
        assert weights.mean() == pytest.approx(1)
        gains.append(scores[1] - scores[0])
    assert min(gains) > 0.05


def test_wrong_numbers_of_a_source_fade():
    gains = []
    for seed in range(5):
        (X, _), (X_s, _), wrong, (X_test, _) = with_wrong_labels(seed)
        rule = np.random.default_rng(seed).standard_normal(8)
        scores = []
        for weighting in ("uniform", TrAdaBoost()):
            reg = TransferRegressor(
                (32,),
                source_sample_weighting=weighting,
                learning_rate_init=5e-3,
                max_iter=100,
                random_state=0,
            ).fit(X, X @ rule, **as_source(X_s, np.where(wrong, -1, 1) * (X_s @ rule)))
            scores.append(reg.score(X_test, X_test @ rule))
        weights = reg.source_sample_weights_[0]
        assert weights[wrong].mean() < 0.6 * weights[~wrong].mean()
        gains.append(scores[1] - scores[0])
    assert min(gains) > 0
