"""Threads of BLAS during a fit, and fits that take turns."""

import threading
import time
import warnings

import numpy as np
import pytest
from tables import QUICK, blobs
from threadpoolctl import threadpool_info, threadpool_limits

from skmtl import MultiTaskClassifier, threads
from skmtl.engine.problem import Problem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
LARGE, SMALL = threads.LARGE, threads.LARGE - 1


def n_threads():
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        if n_threads() != {2}:
            pytest.fail("BLAS does not take two threads")
        yield
        assert n_threads() == {2}


def test_a_small_fit_has_one_and_a_large_fit_has_all():
    with threads.blas_threads(SMALL):
        assert n_threads() == {1}
    assert n_threads() == {2}
    with threads.blas_threads(LARGE):
        assert n_threads() == {2}


@pytest.mark.parametrize("sizes", [(LARGE, LARGE), (SMALL, LARGE), (LARGE, SMALL), (SMALL, SMALL)])
def test_fits_side_by_side_have_one(sizes):
    with threads.blas_threads(sizes[0]):
        with threads.blas_threads(sizes[1]):
            assert n_threads() == {1}
        assert n_threads() == {1}  # another may come at any time
    assert n_threads() == {2}


def test_a_fit_that_fails_gives_them_back():
    with pytest.raises(ArithmeticError), threads.blas_threads(SMALL):
        raise ArithmeticError
    assert n_threads() == {2}


def seen_during(monkeypatch, fit):
    """Threads of BLAS when an epoch, or an evaluation on all rows, runs."""
    seen = []

    def look_and(run):
        def method(self, *arguments):
            seen.append(n_threads())
            return run(self, *arguments)

        return method

    for name in ("epochs", "objective"):
        monkeypatch.setattr(Problem, name, look_and(getattr(Problem, name)))
    fit()
    return {n for one in seen for n in one}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fits_ask_by_their_size(monkeypatch, solver):
    X, y = blobs()
    clf = MultiTaskClassifier(**QUICK, solver=solver)
    assert seen_during(monkeypatch, lambda: clf.fit(X, y)) == {1}
    monkeypatch.setattr(threads, "LARGE", 1)
    assert seen_during(monkeypatch, lambda: clf.fit(X, y)) == {2}


def test_partial_fit_asks_too(monkeypatch):
    X, y = blobs()
    clf = MultiTaskClassifier(**QUICK)
    assert seen_during(monkeypatch, lambda: clf.partial_fit(X, y, classes=np.unique(y))) == {1}


def test_many_threads_of_fits_leave_them_as_they_were():
    X, y = blobs()

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MultiTaskClassifier(**QUICK).fit(X, y)

    workers = [threading.Thread(target=fit) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert n_threads() == {2}


def in_threads(*functions):
    workers = [threading.Thread(target=function) for function in functions]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
        assert not worker.is_alive()


def test_fits_are_set_up_one_after_the_other(monkeypatch):
    monkeypatch.setattr(threads, "PATIENCE", 60)
    begun, running, most = threading.Barrier(3), [], []

    def set_up():
        begun.wait()
        with threads.in_turn():
            running.append(1)
            most.append(len(running))
            time.sleep(0.01)
            running.pop()

    in_threads(set_up, set_up, set_up)
    assert most == [1, 1, 1]


def test_who_is_set_up_for_long_does_not_hold_up_the_others():
    with threads.in_turn():
        entered = []

        def set_up():
            with threads.in_turn():
                entered.append(1)

        in_threads(set_up, set_up)
        assert entered == [1, 1]
        assert threads._set_up.locked()  # they have left the turn to whom it belongs
    assert not threads._set_up.locked()


def test_a_fit_within_another_one_gets_on():
    with threads.in_turn():
        MultiTaskClassifier(**QUICK).fit(*blobs())


def test_a_set_up_that_fails_ends_its_turn():
    with pytest.raises(ValueError, match="NaN"):
        MultiTaskClassifier(**QUICK).fit(np.full((6, 2), np.nan), [0, 1] * 3)
    assert not threads._set_up.locked()
