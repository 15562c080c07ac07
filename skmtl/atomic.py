"""Fits that fail leave nothing behind."""

from contextlib import contextmanager

from skmtl._compat import callback_state


@contextmanager
def all_or_nothing(estimator):
    """Leave an estimator as it was if what runs within fails.

    Parameters
    ----------
    estimator : estimator
        What is fitted within.
    """
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        to_tear_down = callback_state(estimator)
        estimator.__dict__.clear()
        estimator.__dict__.update({**before, **to_tear_down})
        raise
