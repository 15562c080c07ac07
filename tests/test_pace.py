"""Fine-tuning by layers: gradual unfreezing and layer-wise learning rates."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from tables import QUICK, blobs, source_of, theta_of

from skmtl import TransferClassifier
from skmtl.pace import Pace
from skmtl.steps import PausableFit

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

WIDTHS = (8, 7, 6)


def quick(**parameters):
    options = {**QUICK, "hidden_layer_sizes": WIDTHS, "strategy": "finetune", "batch_size": 20}
    return TransferClassifier(**{**options, **parameters})


def pretrained(**parameters):
    model = quick(strategy="source_only", **parameters).fit(*blobs(), **source_of())
    return FrozenEstimator(model)


def moves(clf, model):
    """For each trunk layer, how far it is from where it came from."""
    return [np.abs(mine - theirs).max() for mine, theirs in zip(clf.coefs_, model.estimator.coefs_)]


# --- the plan ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pace, epochs",
    [
        (Pace(3, 0, 0.5, None), [[0.125, 0.25, 0.5]] * 5),
        (Pace(2, 0, 1.0, 2), [[0, 0], [0, 0], [0, 1], [0, 1], [1, 1], [1, 1]]),
        (Pace(3, 1, 0.5, 1), [[0, 0, 0], [0, 0, 0.5], [0.125, 0.25, 0.5]]),  # the first is frozen
        (Pace(0, 0, 0.5, 3), [[], []]),
    ],
)
def test_rates_by_epoch(pace, epochs):
    for epoch, rates in enumerate(epochs):
        assert pace.rates(epoch).tolist() == rates
        alike = pace.n_alike(epoch)
        assert alike >= 1
        later = np.arange(epoch, min(epoch + alike, len(epochs))).astype(int)
        assert all(epochs[k] == rates for k in later)
    trained = [pace.rates(k)[pace.n_frozen :].all() for k in range(len(epochs))]
    assert trained == [k >= pace.n_epochs for k in range(len(epochs))]


# --- what is trained when ------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("freeze", [0, 1])
def test_layers_thaw_from_the_head_down(freeze, solver):
    model = pretrained()
    clf = quick(
        source_model=model, unfreeze_every=2, freeze=freeze, solver=solver, max_iter=12, alpha=0.1
    )
    fit = PausableFit(clf, *blobs(), {})
    for n_epochs in range(1, 10):
        fitted = fit.advance(n_epochs)
        n_trained = min((n_epochs - 1) // 2, 3 - freeze)
        still = [move == 0 for move in moves(fitted, model)]
        assert still == [l < 3 - n_trained for l in range(3)]
        head, start = fitted.head_coefs_[0][0], model.estimator.head_coefs_[0][0]
        assert not np.array_equal(head, start)


def test_until_all_layers_are_trained_it_is_that_many_fits():
    """The head alone, first; then the state of the optimizer goes on."""
    X, y = blobs()
    model = pretrained()
    options = {"source_model": model, "solver": "sgd", "tol": 0.0, "batch_size": 60}
    thawing = quick(**options, unfreeze_every=5, max_iter=16)
    fit = PausableFit(thawing, X, y, {})
    head = quick(**options, freeze=3, max_iter=5).fit(X, y)
    np.testing.assert_allclose(theta_of(fit.advance(5)), theta_of(head), rtol=1e-12)
    fit.close()


def test_pauses_change_nothing():
    X, y = blobs()
    clf = quick(source_model=pretrained(), unfreeze_every=3, layer_decay=0.5, dropout=0.1)
    whole = clone(clf).fit(X, y)
    fit = PausableFit(clf, X, y, {})
    for n_epochs in (1, 4, 5, 9, np.inf):
        fit.advance(n_epochs)
    assert fit.finished
    assert np.array_equal(theta_of(clf), theta_of(whole))
    assert clf.loss_curve_ == whole.loss_curve_


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_layer_decay_is_a_learning_rate(solver):
    """One step of all rows: each layer goes decay^d of the way that it would go."""
    X, y = blobs()
    model = pretrained()
    options = {"source_model": model, "max_iter": 1, "batch_size": 60, "solver": solver}
    full = quick(**options).fit(X, y)
    decayed = quick(**options, layer_decay=0.5).fit(X, y)
    for l, part in enumerate((0.125, 0.25, 0.5)):
        for name in ("coefs_", "intercepts_"):
            a, b, c = (getattr(m, name)[l] for m in (model.estimator, full, decayed))
            np.testing.assert_allclose(c - a, part * (b - a), rtol=1e-8, atol=1e-15)
    assert np.array_equal(decayed.head_coefs_[0][0], full.head_coefs_[0][0])


def test_a_small_decay_is_a_frozen_trunk():
    X, y = blobs()
    model = pretrained()
    frozen = quick(source_model=model, freeze=3).fit(X, y)
    decayed = quick(source_model=model, layer_decay=1e-12).fit(X, y)
    np.testing.assert_allclose(decayed.predict_proba(X), frozen.predict_proba(X), rtol=1e-6)
    assert max(moves(decayed, model)) < 1e-10


def test_the_first_stage_is_as_ever():
    X, y = blobs()
    plain = quick().fit(X, y, **source_of())
    paced = quick(unfreeze_every=2, layer_decay=0.5).fit(X, y, **source_of())
    assert paced.pretrain_loss_curve_ == plain.pretrain_loss_curve_
    assert not np.array_equal(theta_of(paced), theta_of(plain))
    same = quick(unfreeze_every=None, layer_decay=1.0).fit(X, y, **source_of())
    assert np.array_equal(theta_of(same), theta_of(plain))


def test_tol_ends_nothing_before_all_are_trained():
    X, y = blobs()
    model = pretrained()
    options = {"source_model": model, "tol": 1e9, "n_iter_no_change": 2, "max_iter": 60}
    assert quick(**options).fit(X, y).n_iter_ == 4
    for every in (1, 7):
        assert quick(**options, unfreeze_every=every).fit(X, y).n_iter_ == 3 * every + 4
    # With the score of validation rows too, and the best weights are kept.
    clf = quick(**options, unfreeze_every=3, early_stopping=True).fit(X, y)
    assert clf.n_iter_ == 9 + 4
    assert clf.best_validation_score_ == max(clf.validation_scores_)


def test_going_on_with_a_warm_start():
    X, y = blobs()
    clf = quick(warm_start=True, unfreeze_every=2, layer_decay=0.5).fit(X, y, **source_of())
    before = [w.copy() for w in clf.coefs_]
    clf.fit(X, y, **source_of())
    assert all(not np.array_equal(w, b) for w, b in zip(clf.coefs_, before))


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"unfreeze_every": 1}, {"layer_decay": 0.5}])
def test_they_need_a_source_and_its_strategy(options):
    X, y = blobs()
    name, value = next(iter(options.items()))
    for strategy in ("joint", "source_only", "target_only", "pooled"):
        clf = quick(strategy=strategy, **options)
        with pytest.raises(ValueError, match=f"{name}={value}.*Got strategy='{strategy}'"):
            clf.fit(X, y, **source_of())
    with pytest.raises(ValueError, match="with X_source or source_model"):
        quick(**options).fit(X, y)
    with pytest.raises(ValueError, match="not 'lbfgs'"):
        quick(solver="lbfgs", **options).fit(X, y, **source_of())
    with pytest.raises(ValueError, match=f"{name}={value}"):
        quick(strategy="joint", **options).partial_fit(X, y, [0, 1, 2], **source_of())


def test_too_few_epochs_to_thaw():
    with pytest.raises(ValueError, match="all 3 layers from epoch 16 on, but max_iter=15"):
        quick(unfreeze_every=5).fit(*blobs(), **source_of())
    quick(unfreeze_every=5, freeze=1).fit(*blobs(), **source_of())


@pytest.mark.parametrize(
    "name, value",
    [
        ("unfreeze_every", 0),
        ("unfreeze_every", 1.5),
        ("layer_decay", 0.0),
        ("layer_decay", 1.1),
        ("layer_decay", None),
    ],
)
def test_wrong_values(name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter.*Got {value}"):
        quick(**{name: value}).fit(*blobs(), **source_of())
