"""Encoded labels task by task: where rows have one task each, rows by tasks would be mostly holes.

A column is as long as its task has rows. So what a fit holds grows with the labels, and not with
the number of tasks times that of rows.
"""

from typing import NamedTuple

import numpy as np

from skmtl.engine.data import EVERY, NO_ROWS
from skmtl.tasks import TaskLabels, blocks_of, observed


class TaskColumn(NamedTuple):
    """The labels of a task.

    Attributes
    ----------
    rows : ndarray of shape (n_labels,), int32, or EVERY
        Rows of X that the labels are those of, in ascending order.
    y : ndarray of shape (n_labels,)
        Encoded, as in :func:`skmtl.tasks.observed`; some may be missing.
    weight : ndarray of shape (n_labels,)
        What they weigh; nothing where they are missing. Of bool where all that is there weighs 1.
    """

    rows: np.ndarray | slice
    y: np.ndarray
    weight: np.ndarray

    @property
    def used_rows(self):
        """Rows of X whose label weighs something.

        Returns
        -------
        ndarray of int
        """
        here = np.flatnonzero(self.weight)
        return here if self.rows is EVERY else self.rows[here]

    @property
    def used_y(self):
        """The labels of ``used_rows``.

        Returns
        -------
        ndarray
        """
        return self.y[np.flatnonzero(self.weight)]

    def to_train_on(self, rows=EVERY):
        """The labels that weigh something, of some rows of X.

        Parameters
        ----------
        rows : ndarray of int or EVERY
            Which rows to look at, in ascending order.

        Returns
        -------
        TaskColumn
            Whose rows are a slice where these are all of X.
        """
        if rows is EVERY:
            here = slice(self.weight.size) if self.weight.all() else np.flatnonzero(self.weight)
        elif self.rows is EVERY:
            here = rows[self.weight[rows] > 0]
        else:
            here = np.flatnonzero(np.isin(self.rows, rows) & (self.weight > 0))
        if self.rows is not EVERY:
            of_x = self.rows[here]
        else:
            of_x = here if isinstance(here, slice) else here.astype(np.int32, copy=False)
        return TaskColumn(of_x, self.y[here], self.weight[here])

    def emptied(self):
        """No label, of the same kind: for a task in which there is nothing to learn.

        Returns
        -------
        TaskColumn
        """
        return TaskColumn(NO_ROWS, self.y[:0], self.weight[:0])


def unweighted(rows, y):
    """A column of which all that is there weighs 1.

    Parameters
    ----------
    rows : ndarray of int32 or EVERY
        Rows of X.
    y : ndarray of shape (n_labels,)
        Their labels.

    Returns
    -------
    TaskColumn
        Whose weights are one number, as often as it takes, where no label is missing.
    """
    if all(observed(y[block]).all() for block in blocks_of(len(y))):
        return TaskColumn(rows, y, np.broadcast_to(True, y.shape))
    return TaskColumn(rows, y, observed(y))


class LabelColumns(NamedTuple):
    """The encoded labels of all tasks.

    Attributes
    ----------
    columns : list of TaskColumn
        Where all that is there weighs 1.
    n_rows : int
        Rows of X.
    classes, names, is_1d
        As in :class:`skmtl.tasks.TaskLabels`; the classes of a regressed task are None.
    """

    columns: list
    n_rows: int
    classes: list
    names: np.ndarray | None
    is_1d: bool

    def table(self):
        """The same rows by tasks.

        Returns
        -------
        TaskLabels
            Of float64 if a task is regressed, with codes of classes beside numbers.
        """
        codes = as_table(self.columns, np.arange(self.n_rows), self.n_rows)
        return TaskLabels(codes, self.classes, self.names, self.is_1d)


def by_task(labels):
    """Columns of a table.

    Parameters
    ----------
    labels : TaskLabels
        As of ``encode_labels``.

    Returns
    -------
    LabelColumns
        Views of its codes.
    """
    columns = [unweighted(EVERY, y) for y in labels.codes.T]
    return LabelColumns(columns, len(labels.codes), labels.classes, labels.names, labels.is_1d)


def as_table(columns, rows, n_rows):
    """Encoded labels of some rows, rows by tasks.

    Parameters
    ----------
    columns : list of TaskColumn
        Of all tasks.
    rows : ndarray of int
        Rows of X.
    n_rows : int
        How many X has.

    Returns
    -------
    ndarray of shape (len(rows), n_tasks)
        Integers if all tasks are classified, else float64; a label is missing where it is, and
        where it weighs nothing.
    """
    dtype = np.result_type(*(column.y.dtype for column in columns))
    shape = len(rows), len(columns)
    if dtype.kind == "i":
        table = np.full(shape, -1, dtype, order="F")
    else:
        table = np.full(shape, np.nan, order="F")
    place = np.full(n_rows, -1, np.int32)
    place[rows] = np.arange(len(rows))
    for t, column in enumerate(columns):
        to = place[column.used_rows]
        table[to[to >= 0], t] = column.used_y[to >= 0]
    return table
