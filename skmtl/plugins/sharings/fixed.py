"""Sharing without gates: everything but the heads, nothing, or everything."""

import numpy as np

from skmtl.plugins.base import Sharing


class Hard(Sharing):
    """Hard parameter sharing [1]_: one trunk for all tasks, and a head for each.

    References
    ----------
    .. [1] Caruana (1997). Multitask learning. Machine Learning 28, section 2.

    Examples
    --------
    >>> from skmtl.plugins.sharings import Hard
    >>> Hard().experts(3).astype(int)
    array([[1],
           [1],
           [1]])
    """

    def experts(self, n_tasks):
        """Let all tasks read the only expert."""
        return np.ones((n_tasks, 1), bool)


class Pooled(Hard):
    """One trunk and one head for all tasks, as if their rows were those of one task.

    Examples
    --------
    >>> from skmtl.plugins.sharings import Pooled
    >>> Pooled().shares_heads
    True
    """

    shares_heads = True


class Separate(Sharing):
    """No sharing: a trunk and a head for each task.

    Examples
    --------
    >>> from skmtl.plugins.sharings import Separate
    >>> Separate().experts(3).astype(int)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """

    def experts(self, n_tasks):
        """Let each task read an expert of its own."""
        return np.eye(n_tasks, dtype=bool)
