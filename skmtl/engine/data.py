"""Lay out the rows and labels of a fit for the kernels: cost follows the observed labels."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse


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
    table : list of dict
        For each domain the fields of tables.DOMAIN, without the maps and the places in the buffers.
    keep : list
        What the table holds by address.
    """
    table, parts, keep, first_row, first_group = [], [], [], 0, 0
    for d, domain in enumerate(domains):
        matrix, *kept = _matrix(domain.X, dtype)
        rows, n_labels, labels = _by_row(d, domain, tasks, dtype)
        labels_a_row = _labels_a_row(n_labels, labels[0])
        if labels_a_row:
            order, group_sizes = np.arange(rows.size, dtype=np.int32), np.array([rows.size])
        else:
            order, group_sizes = _spread(n_labels, labels[0], len(tasks))
        place = {
            "first_row": first_row,
            "n_rows": rows.size,
            "first_group": first_group,
            "n_groups": group_sizes.size,
            "labels_a_row": labels_a_row,
            "n_batches": max(1, -(-rows.size // batch_size)),
        }
        table.append(matrix | place)
        keep.append(kept)
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


def _labels_a_row(n_labels, task):
    """How many labels each row carries, if all carry the same tasks; else 0."""
    n = int(n_labels[0]) if n_labels.size else 0
    same = n > 0 and (n_labels == n).all() and (task.reshape(-1, n) == task[:n]).all()
    return n if same else 0


def _bounds(sizes):
    """Cumulated sizes, from 0."""
    bounds = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    return bounds


def _matrix(X, dtype):
    """Fields of a domain that say what matrix it has; and what to keep alive."""
    is_ready = X.format == "csr" if issparse(X) else X.flags.c_contiguous
    if X.shape[0] > np.iinfo(np.int32).max:
        raise ValueError(
            f"X has {X.shape[0]} rows, and fit takes 2 ** 31 - 1 at most: give them to partial_fit "
            "in chunks."
        )
    if X.dtype != dtype or not is_ready:
        raise TypeError(f"X must be C-contiguous or CSR, and {dtype}; got {X.dtype}: {type(X)}")
    n_x_rows, n_columns = X.shape
    fields = {"n_x_rows": n_x_rows, "n_columns": n_columns}
    if not issparse(X):
        return fields | {"is_csr": 0, "values": X.ctypes.data, "indices": 0, "indptr": 0}, X
    indices = X.indices.astype(np.int32, copy=False)
    indptr = X.indptr.astype(np.int64, copy=False)
    addresses = {
        "values": X.data.ctypes.data,
        "indices": indices.ctypes.data,
        "indptr": indptr.ctypes.data,
    }
    return fields | {"is_csr": 1} | addresses, X, indices, indptr


def _by_row(d, domain, tasks, dtype):
    """Domain d's rows in use, their numbers of labels, and (task, y, weight) row by row."""
    mine = [t for t, task in enumerate(tasks) if task.domain == d]
    row = _joined((tasks[t].rows for t in mine), np.int32)
    task = np.repeat(np.array(mine, np.int32), [tasks[t].rows.size for t in mine])
    y = _joined((tasks[t].y for t in mine), dtype)
    weight = _joined((tasks[t].weight for t in mine), dtype)
    in_order = not (row[1:] < row[:-1]).any()
    if len(mine) == 1 and in_order and not len(domain.also_rows):
        return row, np.ones(row.size, np.int32), (task, y, weight)
    n_labels = np.bincount(row, minlength=domain.X.shape[0]).astype(np.int32)
    rows = np.flatnonzero(n_labels)
    if len(domain.also_rows):
        rows = np.union1d(rows, domain.also_rows)
    if not in_order:
        by_row = np.argsort(row, kind="stable")
        task, y, weight = task[by_row], y[by_row], weight[by_row]
    return rows.astype(np.int32), n_labels[rows], (task, y, weight)


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
    sizes = np.bincount(rarest)
    return order, sizes[sizes > 0]
