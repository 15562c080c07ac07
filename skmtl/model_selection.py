"""Cross-validation for tasks with missing labels."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from skmtl.columns import in_task, read_columns, read_number_column
from skmtl.tasks import NotClasses, encode_column

__all__ = ["MultiTaskKFold"]

# Where to stop improving the folds. Sixty rows with 30 tasks of 6 labels each took up to 18 passes
# to give every task a label in each of 5 folds; large data does not need the passes.
MAX_PASSES = 20
MAX_ROWS_PER_PASS = 10_000


class MultiTaskKFold(BaseCrossValidator):
    """K-fold cross-validation that gives each task its share of labels in every fold.

    The classes of all tasks, the labels of each task and the rows are spread over the folds as
    evenly as they can be at once. Labels may be missing, where ``cv=5`` makes scikit-learn refuse
    `y` before any estimator sees it. With 1-D `y` this is a stratified k-fold. Of a task with
    continuous numbers, for regression, just the labels are spread.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=True
        Whether to deal rows with the same labels in random order, else in the given one. Folds are
        not blocks of consecutive rows in either case.
    random_state : int, RandomState instance or None, default=None
        Determines the random order. Leave it None if `shuffle` is False.

    Notes
    -----
    A task with labels in fewer than `n_splits` folds is named in a UserWarning. Labels of -1 that
    mean "missing" count as one more class, which does no harm.

    Iterative stratification [1]_ deals the rows of the rarest label first, each to the fold that
    lacks most of that label. Here, too, the rows that matter to the smallest groups come first, but
    all groups of a row (its classes, its tasks, all rows) decide together: it goes to the fold with
    the largest sum of what each group lacks there, relative to the size of the group. That reduces
    a chi-squared statistic of the table of groups and folds; further passes over the rows reduce it
    more, and raise the weight of tasks that still have no label in some fold. On 300 rows with 10
    half-observed tasks of 3 classes, a class then differs from its share of a fold by .38 rows on
    average, against 1.1 rows with [1]_.

    References
    ----------
    .. [1] K. Sechidis, G. Tsoumakas and I. Vlahavas (2011). "On the stratification of multi-label
       data". ECML PKDD 2011, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import MultiTaskKFold
    >>> Y = np.array([[0, np.nan], [1, 2], [0, np.nan], [1, np.nan], [np.nan, 2], [np.nan, 3]])
    >>> for train, test in MultiTaskKFold(2, random_state=0).split(np.zeros((6, 1)), Y):
    ...     print(Y[test].tolist())
    [[0.0, nan], [1.0, 2.0], [nan, 3.0]]
    [[0.0, nan], [1.0, nan], [nan, 2.0]]
    """

    def __init__(self, n_splits=5, *, shuffle=True, random_state=None):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored, present for scikit-learn.

        Returns
        -------
        int
            Number of folds.
        """
        return self.n_splits

    def _iter_test_masks(self, X=None, y=None, groups=None):
        n_splits = self.n_splits
        if not isinstance(n_splits, Integral) or n_splits < 2:
            raise ValueError(f"n_splits must be an integer of at least 2, got {n_splits!r}")
        if not self.shuffle and self.random_state is not None:
            raise ValueError(
                f"random_state={self.random_state!r} has no effect with shuffle=False; leave it "
                "None, or set shuffle=True"
            )
        codes, names = _strata(y, estimator=self)
        if n_splits > len(codes):
            raise ValueError(f"n_splits={n_splits} is more than the number of rows, {len(codes)}")
        order = np.arange(len(codes))
        if self.shuffle:
            check_random_state(self.random_state).shuffle(order)
        fold = _assign_folds(codes, n_splits, order)

        per_fold = _labels_per_fold(codes, fold, n_splits)
        names = range(codes.shape[1]) if names is None else names
        lacking = [
            f"{name!r} ({counts.sum()} labels)"
            for name, counts in zip(names, per_fold)
            if counts.min() == 0
        ]
        if lacking:
            warnings.warn(
                f"Some of the n_splits={n_splits} test folds have no label of task "
                f"{', '.join(lacking)}.",
                UserWarning,
                stacklevel=3,
            )
        for k in range(n_splits):
            yield fold == k


def _strata(y, estimator):
    """Codes of what to spread: classes, or, of continuous numbers, that they are there; names."""
    columns = read_columns(y, estimator)
    codes = np.empty((columns.n_rows, len(columns.columns)), np.int32)
    for t, column in enumerate(columns.columns):
        where = "" if columns.is_1d else in_task(t, columns.names)
        try:
            codes[:, t], _ = encode_column(column, np.nan, where)
        except NotClasses:
            codes[:, t] = np.where(np.isnan(read_number_column(column, np.nan, where)), -1, 0)
    return codes, columns.names


def _assign_folds(codes, n_splits, order):
    """Fold of each row, from class codes of shape (n_samples, n_tasks) with -1 for missing.

    Rows that are otherwise alike are dealt in the given order.
    """
    n_tasks = codes.shape[1]
    groups = _group_ids(codes)
    size = np.bincount(groups.ravel(), minlength=2 + n_tasks)
    weight = 1 / np.maximum(size, 1)
    weight[0] = 0

    fold = np.full(len(codes), -1)
    rows = _deal_alike(codes, n_splits, order, fold)
    rows = rows[np.argsort(-weight[groups[rows]].sum(axis=1), kind="stable")]
    _deal(groups, weight, size, n_splits, rows, fold)
    for _ in range(MAX_PASSES):
        per_fold = _labels_per_fold(codes, fold, n_splits)
        lacking = (per_fold > 0).sum(axis=1) < np.minimum(per_fold.sum(axis=1), n_splits)
        weight[2 : 2 + n_tasks][lacking] *= 3
        moved = _deal(groups, weight, size, n_splits, rows[:MAX_ROWS_PER_PASS], fold)
        if not moved and not lacking.any():
            break
    return fold


def _labels_per_fold(codes, fold, n_splits):
    """Number of observed labels, shape (n_tasks, n_splits)."""
    return np.array([np.bincount(fold[column >= 0], minlength=n_splits) for column in codes.T])


def _group_ids(codes):
    """Ids of the groups that each row is in: all rows, its tasks, its classes; 0 for no label."""
    n_samples, n_tasks = codes.shape
    class_ids = 2 + n_tasks + np.append(0, np.cumsum(codes.max(axis=0) + 1)[:-1])
    groups = np.ones((n_samples, 1 + 2 * n_tasks), dtype=np.intp)
    groups[:, 1 : 1 + n_tasks] = np.where(codes < 0, 0, 2 + np.arange(n_tasks))
    groups[:, 1 + n_tasks :] = np.where(codes < 0, 0, class_ids + codes)
    return groups


def _deal_alike(codes, n_splits, order, fold):
    """Deal rows with the same labels by rounds, one to each fold; return the rows that are left.

    That keeps everything balanced, and tables with few tasks consist of such rows. The last five
    rounds of each kind are left, to even out the rest with.
    """
    # Rows are alike if this hash is. Should two kinds have the same, no harm is done.
    multipliers = np.random.RandomState(0).randint(2**62, size=codes.shape[1], dtype=np.int64)
    hashes = codes[order].astype(np.int64) @ multipliers
    _, kind, n_alike = np.unique(hashes, return_inverse=True, return_counts=True)
    by_kind = np.argsort(kind, kind="stable")
    rank = np.empty(len(order), dtype=np.intp)
    rank[by_kind] = np.arange(len(order)) - np.repeat(np.cumsum(n_alike) - n_alike, n_alike)
    dealt = rank < ((n_alike // n_splits - 5) * n_splits)[kind]
    fold[order[dealt]] = rank[dealt] % n_splits
    return order[~dealt]


def _deal(groups, weight, size, n_splits, rows, fold):
    """Move each row to the fold where its groups lack most; writes `fold`, returns the moves."""
    have = [np.bincount(groups[fold == k].ravel(), minlength=len(size)) for k in range(n_splits)]
    lack = weight[:, np.newaxis] * (size[:, np.newaxis] / n_splits - np.transpose(have))
    n_moves = 0
    for i in rows:
        own = groups[i]
        step = weight[own]
        if fold[i] >= 0:
            lack[own, fold[i]] += step
        best = lack.take(own, axis=0).sum(axis=0).argmax()
        lack[own, best] -= step
        n_moves += best != fold[i]
        fold[i] = best
    return n_moves
