"""How many threads BLAS uses while a fit runs.

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

_lock = threading.Lock()
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


@functools.cache
def _controller():
    """Of the BLAS libraries; a fit has loaded the engine's by now."""
    from threadpoolctl import ThreadpoolController  # scikit-learn needs it too

    return ThreadpoolController()
