"""Lay out the rows and labels of a fit for the kernels: cost follows the observed labels."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from skmtl.engine.tables import DOMAIN


class Domain(NamedTuple):
    """A space of inputs: rows, and the map that takes them to the trunk's inputs.

    ``X`` is a C-contiguous array or a CSR matrix of the dtype of the fit, and is not copied.
    ``map`` is a feature map, or None for the identity. Rows with a label are read; ``also_rows``
    are others, for alignments.
    """

    X: Any
    map: Any = None
    also_rows: Any = ()


class Task(NamedTuple):
    """The observed labels of a task.

    ``rows`` are distinct rows of the domain's X, ``y`` encoded labels, ``weight`` above zero.
    """

    domain: int
    head: int
    loss: Any
    rows: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    coefficient: float = 1.0


class Rows(NamedTuple):
    """The rows in use and their labels, as arrays that ``tables.DATA`` holds by address."""

    rows: np.ndarray
    order: np.ndarray
    group_ptr: np.ndarray
    label_ptr: np.ndarray
    label_task: np.ndarray
    label_y: np.ndarray
    label_weight: np.ndarray


def lay_out_rows(domains, tasks, batch_size, dtype):
    """Line up the rows of all domains.

    Parameters
    ----------
    domains : list of Domain
    tasks : list of Task
    batch_size : int
        Rows per batch, at most; the batches of a pass differ by one row at most.
    dtype : dtype

    Returns
    -------
    rows : Rows
    table : recarray of tables.DOMAIN
        Without the maps and the places in the buffers.
    keep : list
        What the table holds by address.
    """
    table = np.zeros(len(domains), DOMAIN).view(np.recarray)
    parts, keep, first_row, first_group = [], [], 0, 0
    for d, domain in enumerate(domains):
        keep.append(_set_addresses(table[d], domain.X, dtype))
        rows, n_labels, labels = _by_row(d, domain, tasks, dtype)
        order, group_sizes = _spread(n_labels, labels[0], len(tasks))
        table[d].first_row, table[d].n_rows = first_row, rows.size
        table[d].first_group, table[d].n_groups = first_group, group_sizes.size
        if rows.size and (n_labels == n_labels[0]).all() and _repeats(labels[0], n_labels[0]):
            table[d].labels_a_row = n_labels[0]
        table[d].n_batches = max(1, -(-rows.size // batch_size))
        # Bounds of the groups are counted from the domain's first row; one more ends the last.
        parts.append((rows, order, _bounds(group_sizes), n_labels, *labels))
        first_row += rows.size
        first_group += group_sizes.size + 1
    rows, order, group_ptr, n_labels, *labels = map(np.concatenate, zip(*parts, strict=True))
    return Rows(rows, order, group_ptr, _bounds(n_labels), *labels), table, keep


def labels_of(rows, t):
    """Rows, y and weight of task t, as ``Task`` has them."""
    mine = rows.label_task == t
    row = np.repeat(rows.rows, np.diff(rows.label_ptr))[mine]
    return row, rows.label_y[mine], rows.label_weight[mine]


def _repeats(task, n):
    """Whether the same n tasks come again and again."""
    return n > 0 and (task.reshape(-1, n) == task[:n]).all()


def _bounds(sizes):
    """Cumulated sizes, from 0."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _set_addresses(row, X, dtype):
    """Write the addresses of a matrix into its domain's row; gives what to keep alive."""
    is_ready = X.format == "csr" if issparse(X) else X.flags.c_contiguous
    if X.shape[0] > np.iinfo(np.int32).max:
        raise ValueError(
            f"X has {X.shape[0]} rows, and fit takes 2 ** 31 - 1 at most: give them to partial_fit "
            "in chunks."
        )
    if X.dtype != dtype or not is_ready:
        raise TypeError(f"X must be C-contiguous or CSR, and {dtype}; got {X.dtype}: {type(X)}")
    row.n_x_rows, row.n_columns = X.shape
    if not issparse(X):
        row.values = X.ctypes.data
        return X
    indices = X.indices.astype(np.int32, copy=False)
    indptr = X.indptr.astype(np.int64, copy=False)
    row.is_csr = 1
    row.values, row.indices = X.data.ctypes.data, indices.ctypes.data
    row.indptr = indptr.ctypes.data
    return X, indices, indptr


def _by_row(d, domain, tasks, dtype):
    """Domain d's rows in use, their numbers of labels, and (task, y, weight) row by row."""
    mine = [t for t, task in enumerate(tasks) if task.domain == d]
    row = _joined((tasks[t].rows for t in mine), np.int32)
    task = np.repeat(np.array(mine, np.int32), [tasks[t].rows.size for t in mine])
    y = _joined((tasks[t].y for t in mine), dtype)
    weight = _joined((tasks[t].weight for t in mine), dtype)
    n_labels = np.bincount(row, minlength=domain.X.shape[0]).astype(np.int32)
    rows = np.union1d(np.flatnonzero(n_labels), domain.also_rows).astype(np.int32)
    if (row[1:] < row[:-1]).any():
        by_row = np.argsort(row, kind="stable")
        task, y, weight = task[by_row], y[by_row], weight[by_row]
    return rows, n_labels[rows], (task, y, weight)


def _joined(arrays, dtype):
    """One array of several, or of none."""
    return np.concatenate([np.zeros(0, dtype), *arrays], dtype=dtype, casting="unsafe")


def _spread(n_labels, task, n_tasks):
    """An order of the rows in which those of each task lie together, and the sizes of the runs.

    A row belongs to the rarest of its tasks, those without label come last. Batches take every
    n-th row of the order, so that rare tasks do not arrive in spikes.
    """
    rarity = np.empty(n_tasks, np.int64)
    rarity[np.argsort(np.bincount(task, minlength=n_tasks), kind="stable")] = np.arange(n_tasks)
    rarest = np.full(n_labels.size, n_tasks, np.int32)
    labelled = np.flatnonzero(n_labels)
    if labelled.size:
        rarest[labelled] = np.minimum.reduceat(rarity[task], _bounds(n_labels[labelled])[:-1])
    order = np.argsort(rarest, kind="stable").astype(np.int32)
    return order, np.unique(rarest, return_counts=True)[1]
