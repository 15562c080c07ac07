"""Fits side by side: how many threads BLAS uses meanwhile, and who is set up first.

The products of small networks are over before a second thread has begun, so their fits hold BLAS to
one thread; so do fits of large ones that run side by side, in threads of joblib say, which fill the
cores by themselves. A single fit of a large network leaves BLAS its threads.
"""

import functools
import threading
from contextlib import contextmanager

#: Multiplications of the largest product, from which on a fit leaves BLAS its threads. That many
#: take 0.1 ms on one core, in float32.
LARGE = 2**23

#: Seconds that a fit waits at most for others to be set up.
PATIENCE = 0.005

_lock, _set_up = threading.Lock(), threading.Lock()
_running = []  # for each fit, whether its products are large
_limits = []  # what limits BLAS now, if anything


@contextmanager
def blas_threads(largest_product):
    """Hold BLAS to one thread during a fit, if it is small or not the only one.

    Parameters
    ----------
    largest_product : int
        Multiplications of the largest matrix product in a step.
    """
    is_large = largest_product >= LARGE
    with _lock:
        _running.append(is_large)
        _adapt()
    try:
        yield
    finally:
        with _lock:
            _running.remove(is_large)
            _adapt()


def _adapt():
    """Set or lift the limit, as the fits that run want it."""
    alone = len(_running) == 1 and _running[0]
    if _running and not alone and not _limits:
        _limits.append(_controller().limit(limits=1, user_api="blas"))
    elif not _running and _limits:
        _limits.pop().restore_original_limits()


@contextmanager
def in_turn():
    """Set up one fit after the other, as far as that takes no longer than PATIENCE.

    What comes before training is Python. Two threads that do it at once pass the interpreter's lock
    to and fro, are ready together after twice the time, and, if their fits are of a kind, meet
    again at the next. In turn the second begins later, and they seldom meet again: in a search with
    fits of 35 ms two threads were 1.80 times as fast as one (quartiles 1.77 and 1.89), and in turn
    1.88 times (1.80, 1.92).
    """
    has_turn = _set_up.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if has_turn:
            _set_up.release()


@functools.cache
def _controller():
    """Of the BLAS libraries; a fit has loaded the engine's by now."""
    from threadpoolctl import ThreadpoolController  # scikit-learn needs it too

    return ThreadpoolController()
