"""Is it what a source says that helps, or would any source? The same one, its labels shuffled."""

from skmtl._compat import n_samples, safe_indexing

#: Folds, the first ones, on which a source that seems to help is compared with a placebo; and by
#: how many standard errors it must be better. With a whole one, MNIST was told to help three, five
#: and ten digits a class in 22 draws of 30, and without a placebo in 25.
FOLDS, BAR = 10, 0.5


def shuffled(y_source, rng):
    """Labels of a source, or of several, each in another order.

    Parameters
    ----------
    y_source : array-like or tuple of array-like
        The labels.
    rng : RandomState
        Says in which.

    Returns
    -------
    array-like or tuple of array-like
    """
    if isinstance(y_source, tuple):
        return tuple(shuffled(y, rng) for y in y_source)
    return safe_indexing(y_source, rng.permutation(n_samples(y_source)))


def is_beaten(gain):
    """Whether a candidate is enough better than with the placebo.

    Parameters
    ----------
    gain : Gain
        Its scores beyond those with the placebo.

    Returns
    -------
    bool
    """
    return bool(gain.mean > BAR * gain.std_error)
