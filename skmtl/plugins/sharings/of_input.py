"""Sharing by gates that depend on the row."""

import numpy as np

from skmtl.plugins.base import Sharing


class MMoE(Sharing):
    r"""Multi-gate mixture of experts [1]_: trunks for all tasks, mixed by each task for each row.

    The gate of task t is :math:`\mathrm{softmax}(W_t^T x + b_t)`. It starts with equal parts.

    Parameters
    ----------
    n_experts : int, default=4
        Trunks, at least 1.

    References
    ----------
    .. [1] Ma et al. (2018). Modeling task relationships in multi-task learning with multi-gate
       mixture-of-experts. KDD, section 4.2.

    Examples
    --------
    >>> from skmtl.plugins.sharings import MMoE
    >>> MMoE(n_experts=3).experts(2).shape
    (2, 3)
    """

    gate = "linear"

    def __init__(self, n_experts=4):
        self.n_experts = n_experts

    def hyper(self):
        """Give [n_experts]."""
        self._check_count("n_experts", low=1)
        return [float(self.n_experts)]

    def experts(self, n_tasks):
        """Let all tasks read all experts."""
        return np.ones((n_tasks, self.n_experts), bool)


class CGC(Sharing):
    r"""Customized gate control [1]_: trunks for all tasks, and others for one task alone.

    A task mixes the shared ones and its own, by a gate as that of ``MMoE``. What would disturb the
    others can go to the latter. This is progressive layered extraction (PLE) with one level.

    Parameters
    ----------
    n_shared : int, default=1
        Trunks that all tasks read.
    n_own : int, default=1
        Trunks of each task that it reads alone.

    References
    ----------
    .. [1] Tang et al. (2020). Progressive layered extraction (PLE): a novel multi-task learning
       model for personalized recommendations. RecSys, section 4.1.

    Examples
    --------
    >>> from skmtl.plugins.sharings import CGC
    >>> CGC(n_shared=1, n_own=2).experts(2).astype(int)
    array([[1, 1, 1, 0, 0],
           [1, 0, 0, 1, 1]])
    """

    gate = "linear"

    def __init__(self, n_shared=1, n_own=1):
        self.n_shared = n_shared
        self.n_own = n_own

    def hyper(self):
        """Give [n_own, n_shared]."""
        self._check_count("n_shared", low=0)
        self._check_count("n_own", low=0)
        if self.n_shared + self.n_own == 0:
            raise ValueError(
                "The 'n_shared' and 'n_own' parameters of CGC must not both be 0: a task needs an "
                "expert to read."
            )
        return [float(self.n_own), float(self.n_shared)]

    def experts(self, n_tasks):
        """Let a task read the shared experts, which come first, and its own."""
        own = np.repeat(np.eye(n_tasks, dtype=bool), self.n_own, axis=1)
        return np.hstack([np.ones((n_tasks, self.n_shared), bool), own])
