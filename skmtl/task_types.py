"""Which tasks are classified and which regressed, and columns read accordingly."""

import warnings
from decimal import Decimal
from numbers import Integral, Real

import numpy as np

from skmtl._compat import safe_indexing
from skmtl.columns import (
    check_finite,
    entries_by_task,
    in_task,
    is_missing,
    read_number_column,
)
from skmtl.engine.data import EVERY
from skmtl.task_columns import LabelColumns, unweighted
from skmtl.tasks import columns_of_tasks, encode_column, sorted_labels

CLASSIFIED, REGRESSED = TYPES = "classification", "regression"


def asked_types(task_types, columns):
    """What the parameter ``task_types`` says of each task.

    Parameters
    ----------
    task_types : {"auto", "classification", "regression"}, list or dict
        As in ``MultiTaskEstimator``.
    columns : Columns
        Those of y.

    Returns
    -------
    list of {"auto", "classification", "regression"}

    Raises
    ------
    ValueError
        If it does not fit the tasks, or has an entry that is no type.
    """
    n_tasks, names = len(columns.columns), columns.names
    asked = [task_types] * n_tasks if isinstance(task_types, str) else task_types
    allowed = "'auto', 'classification' or 'regression'"
    asked = entries_by_task("task_types", asked, n_tasks, names, "auto", allowed)
    for t, entry in enumerate(asked):
        if not isinstance(entry, str) or entry not in ("auto", *TYPES):
            raise ValueError(
                f"task_types must hold {allowed}. Got {entry!r} instead.{in_task(t, names)}"
            )
    return asked


def types_of(asked, columns, missing_label):
    """The type of each task: as asked, or as the dtype of its column suggests.

    Parameters
    ----------
    asked : list of {"auto", "classification", "regression"}
        As of :func:`asked_types`.
    columns : Columns
        Those of y.
    missing_label : scalar
        One more value that means missing.

    Returns
    -------
    list of {"classification", "regression"}
    """
    return [
        _type_of(column, missing_label) if entry == "auto" else entry
        for entry, column in zip(asked, columns.columns)
    ]


def warn_of_whole_numbers(asked, labels):
    """Tell of floats that are regressed by their dtype alone, and may be classes with holes.

    Parameters
    ----------
    asked : list of {"auto", "classification", "regression"}
        As of :func:`asked_types`.
    labels : LabelColumns
        As of :func:`read_typed`.
    """
    for t, (entry, classes) in enumerate(zip(asked, labels.classes)):
        if entry != "auto" or classes is not None:
            continue
        numbers = labels.columns[t].used_y
        if numbers.size and (numbers == np.trunc(numbers)).all():
            warnings.warn(
                "y holds whole numbers in floats, which are regressed: if they are classes, or to "
                f"silence this, say so with task_types.{in_task(t, labels.names)}",
                stacklevel=9,
            )


def _type_of(column, missing_label):
    """The type that the dtype of a column suggests; of objects, that of its entries."""
    dtype = column.dtype
    if hasattr(column, "drop_nulls"):  # polars
        return REGRESSED if dtype.is_float() or dtype.is_decimal() else CLASSIFIED
    if str(dtype) == "category" or dtype.kind != "O":
        return REGRESSED if dtype.kind == "f" else CLASSIFIED
    entries = column.compressed() if isinstance(column, np.ma.MaskedArray) else column
    has_fractions = any(
        isinstance(entry, (Real, Decimal)) and not isinstance(entry, Integral)
        for entry in entries.tolist()
        if not is_missing(entry, missing_label)
    )
    return REGRESSED if has_fractions else CLASSIFIED


def read_typed(columns, types, missing_label, *, known=None, rows=None):
    """Encode classes and read numbers, column by column.

    Parameters
    ----------
    columns : Columns
        Those of y.
    types : list of {"classification", "regression"}
        Of each task.
    missing_label : scalar
        One more value that means missing.
    known : list of ndarray or None, default=None
        The labels that each task may have, None for numbers; by default those observed.
    rows : list of ndarray of int32, default=None
        Which rows those of each column are, as of :func:`spread_columns`; by default all.

    Returns
    -------
    LabelColumns
        With numbers in those of regressed tasks, whose classes are None.

    Raises
    ------
    ValueError, TypeError
        If y has other columns than there are types, or what they hold is of another type.
    """
    n_tasks = len(types)
    if len(columns.columns) != n_tasks:
        raise ValueError(f"y has {len(columns.columns)} columns, but there are {n_tasks} tasks")
    encoded, classes = [], [None] * n_tasks
    for t, (column, type_) in enumerate(zip(columns.columns, types)):
        where = "" if columns.is_1d else in_task(t, columns.names)
        if type_ == REGRESSED:
            read = read_number_column(column, missing_label, where)
            check_finite(read, where)
        else:
            known_t = None if known is None else known[t]
            read, classes[t] = encode_column(column, missing_label, where, known_t)
        encoded.append(unweighted(EVERY if rows is None else rows[t], read))
    n_rows = columns.n_rows
    return LabelColumns(encoded, n_rows, classes, columns.names, columns.is_1d)


def decoded(codes, classes):
    """Labels or numbers of a task, none missing, from what :func:`read_typed` makes of them.

    Parameters
    ----------
    codes : ndarray
        Codes of classes, or numbers.
    classes : ndarray or None
        None for numbers.

    Returns
    -------
    ndarray of the same shape
    """
    return codes if classes is None else classes[codes.astype(np.intp, copy=False)]


def spread_columns(columns, task):
    """Spread the only column of y over one for each task; each is as short as it has rows.

    Parameters
    ----------
    columns : Columns
        Those of 1-D y.
    task : array-like of shape (n_samples,)
        The task of each row.

    Returns
    -------
    columns : Columns
        Named by the ids of the tasks, sorted.
    rows : list of ndarray of int32
        Which rows of y those of each column are.

    Raises
    ------
    ValueError
        If y is not 1-D, if lengths differ, or if an id is missing.
    """
    if not columns.is_1d:
        shape = columns.n_rows, len(columns.columns)
        raise ValueError(f"y must be 1-D with task=, got shape {shape}")
    ids, of_row = columns_of_tasks(task, columns.n_rows)
    by_task = np.argsort(of_row, kind="stable").astype(np.int32)
    rows = np.split(by_task, np.cumsum(np.bincount(of_row))[:-1])
    column = columns.columns[0]
    is_array = isinstance(column, np.ndarray)  # what else it may be takes 0.1 ms to find out
    parts = [column[r] if is_array else safe_indexing(column, r) for r in rows]
    return columns._replace(columns=parts, names=np.asarray(ids), is_1d=len(ids) == 1), rows


def known_labels(classes, asked, missing_label):
    """Sorted labels of each task, from what the caller says they are; None for numbers.

    Parameters
    ----------
    classes : array-like, or list of n_tasks (array-like or None)
        As given to ``partial_fit``.
    asked : list of {"auto", "classification", "regression"}
        As of :func:`asked_types`.
    missing_label : scalar
        One more value that means missing.

    Returns
    -------
    list of ndarray or None

    Raises
    ------
    ValueError
        If it does not fit what is asked.
    """
    is_one_list = len(classes) == 0 or (classes[0] is not None and np.ndim(classes[0]) == 0)
    if len(asked) == 1 and is_one_list:
        classes = [classes]
    if len(classes) != len(asked):
        raise ValueError(f"classes has {len(classes)} entries, but y has {len(asked)} columns")
    for t, (labels, entry) in enumerate(zip(classes, asked)):
        if entry == (CLASSIFIED if labels is None else REGRESSED):
            raise ValueError(
                f"classes[{t}] is {labels!r}, and task_types asks for {entry!r}: give labels for a "
                "classified task, and None for a regressed one."
            )
    return [
        None if labels is None else sorted_labels(labels, t, missing_label)
        for t, labels in enumerate(classes)
    ]
