"""Fits with pauses are fits: the same bits, and ready to predict at each pause."""

import numpy as np
import pytest
from sklearn.base import clone
from tables import QUICK, blobs, fit_args, one_of_each, source_of, theta_of

from skmtl import MultiTaskClassifier, TransferClassifier, as_source
from skmtl.steps import PausableFit

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def estimator(request):
    return clone(request.param)


SETTINGS = [{}, {"early_stopping": True}, {"learning_rate": "adaptive"}, {"tol": 10.0}]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("pauses", [[1, 2, 7], [15], [4, 100], []])
@one_of_each()
def test_pauses_change_nothing(estimator, settings, pauses):
    X, y, keywords = fit_args(estimator)
    estimator.set_params(**settings)
    whole = clone(estimator).fit(X, y, **keywords)
    fit = PausableFit(estimator, X, y, keywords)
    for n_epochs in pauses:
        fitted = fit.advance(n_epochs)
        assert fitted.n_iter_ <= n_epochs
        assert fitted.predict(X).shape == np.shape(y)
    assert fit.advance(np.inf) is estimator
    assert fit.finished
    assert np.array_equal(theta_of(estimator), theta_of(whole))
    assert estimator.loss_curve_ == whole.loss_curve_
    assert estimator.n_iter_ == whole.n_iter_


@one_of_each()
def test_a_pause_leaves_what_a_short_fit_would(estimator):
    X, y, keywords = fit_args(estimator)
    short = clone(estimator).set_params(max_iter=4).fit(X, y, **keywords)
    fitted = PausableFit(estimator, X, y, keywords).advance(4)
    assert np.array_equal(fitted.predict(X), short.predict(X))
    assert fitted.loss_curve_ == short.loss_curve_
    assert fitted.n_iter_ == 4
    assert not hasattr(estimator, "n_iter_")


@pytest.mark.parametrize("strategy", ["finetune", "source_only", "target_only", "pooled"])
def test_pauses_of_every_strategy(strategy):
    X, y = blobs()
    clf, whole = (TransferClassifier(**QUICK, strategy=strategy) for _ in range(2))
    fit = PausableFit(clf, X, y, source_of())
    for n_epochs in (1, 3, np.inf):
        fit.advance(n_epochs)
    assert np.array_equal(theta_of(clf), theta_of(whole.fit(X, y, **source_of())))


def test_a_fit_that_waits_has_no_buffers(monkeypatch):
    made, problem = [], MultiTaskClassifier._problem
    monkeypatch.setattr(
        MultiTaskClassifier, "_problem", lambda *args: made.append(problem(*args)) or made[0]
    )
    fit = PausableFit(MultiTaskClassifier(**QUICK), *blobs(), {})
    fit.advance(2)
    assert not made[0]._buffers
    assert fit.advance(4).n_iter_ == 4


def test_lbfgs_has_no_pauses():
    X, y = blobs()
    fit = PausableFit(MultiTaskClassifier(**QUICK, solver="lbfgs"), X, y, {})
    assert fit.advance(1).n_iter_ > 1
    assert fit.finished


def test_a_fit_that_is_given_up_leaves_the_estimator_as_it_was():
    X, y = blobs()
    clf = TransferClassifier(**QUICK)
    before = dict(vars(clf))
    fit = PausableFit(clf, X, y, as_source(*blobs(80, seed=5)))
    fit.advance(2)
    fit.close()
    assert vars(clf) == before


def test_errors_come_through():
    X, y = blobs()
    fit = PausableFit(TransferClassifier(**QUICK), X, y[:-1], {})
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fit.advance(1)
