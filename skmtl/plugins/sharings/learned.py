"""Sharing by gates that are numbers, learned for each task."""

import numpy as np

from skmtl.plugins.base import Sharing

# Of the numbers that gates start from, so that no two tasks pull at the trunks alike. Two groups of
# linear tasks with heads of their own were found in 9 of 12 draws by lbfgs and 7 by Adam; from 0 in
# 9 and 4, from 2 in 4 and 4. With one head they were found in all draws from any start.
SPREAD = 0.5


class LearnedGroups(Sharing):
    r"""A few trunks, one for each group of tasks; who belongs where is learned.

    Task t reads :math:`H_t = \sum_g a_{tg} H_g`, with :math:`a_t` the softmax of numbers that are
    learned along with the network. This relaxes the assignment of tasks to groups [1]_ [2]_, which
    is otherwise searched for, or alternates with the fit. After the fit ``task_gates_`` has
    the :math:`a_{tg}`, and ``task_groups_`` the group in which each task has the largest part.

    Groups are trunks. In a linear model they are layers with the identity as activation: with
    ``share_heads=True``, ``hidden_layer_sizes=(1,)`` and ``activation="identity"`` each group is a
    linear model of tasks with two classes.

    Parameters
    ----------
    n_groups : int, default=2
        Trunks, at least 1.
    share_heads : bool, default=False
        Whether one head serves all tasks, which then must have labels of one kind. The groups are
        then tasks that label rows alike. With heads of their own tasks of a group read the same
        features, to which each may give any weight and sign: wide trunks serve many tasks at once,
        and the groups mean less.

    References
    ----------
    .. [1] Kang, Grauman and Sha (2011). Learning with whom to share in multi-task feature learning.
       ICML, section 3.
    .. [2] Standley et al. (2020). Which tasks should be learned together in multi-task learning?
       ICML, section 4.

    Examples
    --------
    >>> from skmtl import MultiTaskClassifier
    >>> from skmtl.datasets import make_related_tasks
    >>> from skmtl.plugins.sharings import LearnedGroups
    >>> X, y = make_related_tasks(
    ...     n_tasks=6, n_groups=2, relatedness=1, return_X_y=True, random_state=0
    ... )
    >>> clf = MultiTaskClassifier(
    ...     (1,),
    ...     activation="identity",
    ...     sharing=LearnedGroups(share_heads=True),
    ...     solver="lbfgs",
    ...     lam=0.01,
    ...     random_state=0,
    ... )
    >>> clf.fit(X, y).task_groups_  # tasks 0, 2, 4 are alike, and so are 1, 3, 5
    array([1, 0, 1, 0, 1, 0])
    """

    gate = "constant"

    def __init__(self, n_groups=2, share_heads=False):
        self.n_groups = n_groups
        self.share_heads = share_heads

    def hyper(self):
        """Give [n_groups, share_heads]."""
        self._check_count("n_groups", low=1)
        self._check_option("share_heads", (False, True))
        return [float(self.n_groups), float(self.share_heads)]

    @property
    def shares_heads(self):
        """Whether one head serves all tasks."""
        return self.share_heads

    def experts(self, n_tasks):
        """Let all tasks read all groups."""
        return np.ones((n_tasks, self.n_groups), bool)

    def init(self, n_tasks, rng):
        """Start apart, at random."""
        return SPREAD * rng.standard_normal((n_tasks, self.n_groups))


class CrossStitch(Sharing):
    r"""A trunk for each task, and what a task reads is a learned mixture of all of them [1]_.

    The mixture is a softmax of numbers, one for each pair of tasks: ``task_gates_`` after the fit.
    It is taken after the last hidden layer; the original has one after each.

    Parameters
    ----------
    own : float, default=0.9
        The part in each mixture that a task's own trunk starts with, in (0, 1); the others have
        equal parts of the rest.

    References
    ----------
    .. [1] Misra et al. (2016). Cross-stitch networks for multi-task learning. CVPR, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.special import softmax
    >>> from skmtl.plugins.sharings import CrossStitch
    >>> softmax(CrossStitch(own=0.8).init(3, np.random.default_rng(0)), axis=1).round(2)
    array([[0.8, 0.1, 0.1],
           [0.1, 0.8, 0.1],
           [0.1, 0.1, 0.8]])
    """

    gate = "constant"

    def __init__(self, own=0.9):
        self.own = own

    def hyper(self):
        """Give [own]."""
        self._check_number("own", high=1, closed="neither")
        return [float(self.own)]

    def experts(self, n_tasks):
        """Let all tasks read the trunks of all."""
        return np.ones((n_tasks, n_tasks), bool)

    def init(self, n_tasks, rng):
        """Start near the identity."""
        if n_tasks == 1:
            return np.zeros((1, 1))
        return np.log(self.own * (n_tasks - 1) / (1 - self.own)) * np.eye(n_tasks)
