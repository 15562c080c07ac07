"""Lay out the rows and labels of a fit for the kernels: cost follows the observed labels."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from skmtl.engine.shuffle import side_of

#: The most rows whose order is stored: 1 MB, which the processor has at hand. That of more is
#: worked out, see ``engine.shuffle``: an epoch of 100,000 rows of 20 columns would take 1.07 times
#: as long, one of a million takes .98.
STORED = 2**18
#: All rows of X, in order, and none; as an index of what has an entry for each row.
EVERY, NO_ROWS = slice(None), np.zeros(0, np.int32)


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

    ``rows`` are distinct rows of the domain's X, an array or a slice. ``y`` holds encoded labels;
    codes below 128 take a byte each. ``weight`` is what they weigh: numbers above zero, or True for
    1. Of the only task of a domain ``y`` is not copied, if it is an array as the kernels read it.
    """

    domain: int
    head: int
    loss: Any
    rows: np.ndarray | slice
    y: np.ndarray
    weight: np.ndarray
    coefficient: float = 1.0


class Rows(NamedTuple):
    """The rows of a domain in use and their labels; ``tables.DOMAIN`` has the arrays by address.

    What is the same for all rows is stored once. ``rows`` may be EVERY. ``order`` is None where it
    is worked out. ``label_ptr`` is None where all rows carry the same tasks; ``label_task`` then
    names those of one row. ``label_weight`` has one entry where all labels weigh the same.
    """

    rows: np.ndarray | slice
    order: np.ndarray | None
    group_ptr: np.ndarray
    label_ptr: np.ndarray | None
    label_task: np.ndarray
    label_y: np.ndarray
    label_weight: np.ndarray

    @property
    def n_rows(self):
        """Rows in use."""
        return int(self.group_ptr[-1])

    def fields(self):
        """What ``tables.DOMAIN`` says of them."""
        addresses = {
            name: array.ctypes.data if isinstance(array, np.ndarray) else 0
            for name, array in zip(self._fields, self)
        }
        return addresses | {
            "n_rows": self.n_rows,
            "side": side_of(self.n_rows) if self.order is None else 0,
            "n_groups": self.group_ptr.size - 1,
            "labels_a_row": self.label_task.size if self.label_ptr is None else 0,
            "n_labels": self.label_y.size,
            "label_bytes": self.label_y.itemsize if self.label_y.dtype.kind == "i" else 0,
            "n_weights": self.label_weight.size,
        }

    def labels_of(self, t):
        """Rows, y and weight of task t, as ``Task`` has them."""
        places = self.places_of(t)
        if self.label_ptr is None:
            row = places // self.label_task.size
        else:
            row = np.searchsorted(self.label_ptr, places, side="right") - 1
        if self.rows is not EVERY:
            row = self.rows[row]
        weight = np.broadcast_to(self.label_weight, self.label_y.shape)
        return row, self.label_y[places], weight[places]

    def places_of(self, t):
        """Where the labels of task t are among those of all tasks."""
        places = np.flatnonzero(self.label_task == t)
        if self.label_ptr is not None:
            return places
        starts = np.arange(0, self.label_y.size, self.label_task.size)
        return (starts[:, np.newaxis] + places).ravel()

    def weighed_one_by_one(self):
        """The same with a weight for each label."""
        weight = np.broadcast_to(self.label_weight, self.label_y.shape)
        return self._replace(label_weight=weight.copy())


def lay_out_rows(domains, tasks, batch_size, dtype):
    """Line up the rows of each domain.

    Parameters
    ----------
    domains : list of Domain
    tasks : list of Task
    batch_size : int
        Rows per batch, at most; the batches of a pass differ by one row at most.
    dtype : dtype

    Returns
    -------
    rows : list of Rows
        One for each domain.
    table : list of dict
        For each domain the fields of tables.DOMAIN, without the maps and the places in the buffers.
    keep : list
        What else the table holds by address.
    """
    lines, table, keep = [], [], []
    for d, domain in enumerate(domains):
        matrix, *kept = _matrix(domain.X, dtype)
        mine = {t: task for t, task in enumerate(tasks) if task.domain == d and task.y.size}
        rows = _lay_out(domain, mine, dtype)
        n_batches = max(1, -(-rows.n_rows // batch_size))
        lines.append(rows)
        table.append(matrix | rows.fields() | {"n_batches": n_batches})
        keep.append(kept)
    return lines, table, keep


def _lay_out(domain, tasks, dtype):
    """The Rows of a domain; ``tasks`` are those with labels of its rows, by number."""
    n_x_rows = domain.X.shape[0]
    rows = _in_use([task.rows for task in tasks.values()], domain.also_rows, n_x_rows)
    n_rows = n_x_rows if rows is EVERY else rows.size
    if tasks and all(task.y.size == n_rows for task in tasks.values()):
        order = np.arange(n_rows, dtype=np.int32) if n_rows <= STORED else None
        return Rows(rows, order, np.array([0, n_rows]), *_side_by_side(tasks, n_rows, dtype))
    return Rows(rows, *_spread(tasks, rows, n_x_rows), *_by_row(tasks, rows, n_x_rows, dtype))


def _in_use(row_lists, also_rows, n_x_rows):
    """The rows in the lists, in order."""
    if any(isinstance(rows, slice) and rows == slice(n_x_rows) for rows in row_lists):
        return EVERY
    used = np.zeros(n_x_rows, bool)
    for rows in (*row_lists, np.asarray(also_rows, np.intp)):
        used[rows] = True
    return EVERY if used.all() else np.flatnonzero(used).astype(np.int32)


def _side_by_side(tasks, n_rows, dtype):
    """Bounds, tasks, y and weights of the labels where every row has one of each task."""
    numbers, one_weight = np.array(list(tasks), np.int32), _one_weight(tasks, dtype)
    orders = [_order_of(task.rows) for task in tasks.values()]
    first = next(iter(tasks.values()))
    as_it_is = len(tasks) == 1 and orders[0] is EVERY and _is_ready(first.y, dtype)
    if as_it_is and one_weight is not None:
        return None, numbers, first.y, one_weight
    y = np.empty((n_rows, len(tasks)), _label_dtype(tasks, dtype))
    weight = np.empty(y.shape, dtype) if one_weight is None else one_weight
    for j, (task, in_order) in enumerate(zip(tasks.values(), orders)):
        y[:, j] = task.y[in_order]
        if one_weight is None:
            weight[:, j] = task.weight[in_order]
    return None, numbers, y.ravel(), weight.ravel()


def _order_of(rows):
    """What puts rows in order; EVERY if they are."""
    is_array = isinstance(rows, np.ndarray)
    return np.argsort(rows) if is_array and (rows[1:] < rows[:-1]).any() else EVERY


def _is_ready(y, dtype):
    """Whether kernels can read it."""
    return y.flags.c_contiguous and y.dtype in (np.int8, np.int64, dtype)


def _by_row(tasks, rows, n_x_rows, dtype):
    """Bounds, tasks, y and weights of the labels, row by row: a counting sort."""
    n_labels = np.zeros(n_x_rows, np.int32)
    for task in tasks.values():
        n_labels[task.rows] += 1
    bounds = _bounds(n_labels[rows])
    del n_labels
    place = np.zeros(n_x_rows, np.min_scalar_type(bounds[-1]))
    place[rows] = bounds[:-1]
    one_weight = _one_weight(tasks, dtype)
    of_task, y = np.empty(bounds[-1], np.int32), np.empty(bounds[-1], _label_dtype(tasks, dtype))
    weight = np.empty(y.shape, dtype) if one_weight is None else one_weight
    for t, task in tasks.items():
        here = place[task.rows]
        of_task[here], y[here] = t, task.y
        if one_weight is None:
            weight[here] = task.weight
        place[task.rows] += 1
    return bounds, of_task, y, weight


def _label_dtype(tasks, dtype):
    """That of the labels as they are copied."""
    of_tasks = [task.y for task in tasks.values()]
    is_short = all(y.dtype.kind == "i" and y.max() <= np.iinfo(np.int8).max for y in of_tasks)
    return np.dtype(np.int8) if of_tasks and is_short else dtype


def _one_weight(tasks, dtype):
    """What all labels weigh, an array of one; None if they differ."""
    weights = [task.weight for task in tasks.values()]
    first = weights[0][0] if weights else 1
    same = all(not any(weight.strides) or (weight == first).all() for weight in weights)
    return np.array([first], dtype) if same else None


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


def _spread(tasks, rows, n_x_rows):
    """An order of the rows in which those of each task lie together, and the bounds of the runs.

    A row belongs to the rarest of its tasks, those without label come last. Batches take every
    n-th row of the order, so that rare tasks do not arrive in spikes.
    """
    by_rarity = sorted(tasks.values(), key=lambda task: task.y.size)
    rarest = np.full(n_x_rows, len(tasks), np.min_scalar_type(len(tasks)))
    for rank in reversed(range(len(tasks))):
        rarest[by_rarity[rank].rows] = rank
    rarest = rarest[rows]
    sizes = np.bincount(rarest)
    order = np.argsort(rarest, kind="stable").astype(np.int32)
    return order, _bounds(sizes[sizes > 0])
