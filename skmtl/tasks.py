"""Label columns: `y` as people have it to class codes, and one data set per task to a wide `y`."""

import sys
from numbers import Number
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skmtl.columns import (
    check_finite,
    in_task,
    is_missing,
    label_columns,
    read_columns,
    read_number_column,
)

__all__ = ["TaskLabels", "encode_labels", "spread_tasks", "stack_tasks"]

EXACT = 2**53  # float64 holds every integer up to here
BLOCK = 2**16  # rows


class NotClasses(ValueError):
    """Labels that are continuous numbers."""


class TaskLabels(NamedTuple):
    """The encoded labels of all tasks, see :func:`encode_labels`.

    Attributes
    ----------
    codes : ndarray of shape (n_samples, n_tasks), int8 or int32
        Index into ``classes[t]``, -1 where the label is missing; a byte each unless some task has
        more than 127 classes. Where `y` was an array of int64 with the classes 0 to K - 1, and none
        missing, it is that array itself, to be read only.
    classes : list of n_tasks ndarrays
        The sorted labels of each task.
    names : ndarray of shape (n_tasks,), object, or None
        The column names of `y`. None if it has none, if some are not strings, or if `y` is 1-D.
    is_1d : bool
        Whether `y` was 1-D or a column vector.
    """

    codes: np.ndarray
    classes: list
    names: np.ndarray | None
    is_1d: bool


def encode_labels(y, *, missing_label=np.nan, classes=None, estimator=None):
    """Encode each column of `y` on its own as class codes, -1 where the label is missing.

    NaN, None, ``pd.NA``, NaT, polars' null and masked entries are always missing. `y` is never
    written to.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Integers, integral floats, booleans or strings, in an array, a list, or a pandas or polars
        Series or DataFrame. The columns may differ in dtype.
    missing_label : scalar, default=np.nan
        One more value that means missing, such as -1 or "?".
    classes : list of n_tasks array-likes, default=None
        The labels each task may have; if there is one task, also just its labels. By default
        those observed in `y`.
    estimator : str or estimator, default=None
        Named in the errors about the shape of `y`.

    Returns
    -------
    TaskLabels
        Named tuple ``(codes, classes, names, is_1d)``. ``classes[t]`` has the dtype of its column:
        integers with NaN holes in a float array give float classes, as in scikit-learn; those in a
        nullable column, or with None in a list or object array, give integer classes. A task
        without any label has an empty one.

    Raises
    ------
    ValueError
        If `y` is None, empty, ragged or not 1-D or 2-D; if it holds infinity, continuous values or
        other things that are not labels; if a label is not among `classes`.
    TypeError
        If `y` is sparse, or if a column mixes strings and numbers.

    Examples
    --------
    >>> from skmtl.tasks import encode_labels
    >>> labels = encode_labels([["cat", 1], ["dog", None], [None, 0]])
    >>> labels.codes
    array([[ 0,  1],
           [ 1, -1],
           [-1,  0]], dtype=int8)
    >>> labels.classes
    [array(['cat', 'dog'], dtype=object), array([0, 1])]
    """
    if np.ndim(missing_label) != 0:
        raise TypeError(f"missing_label must be a scalar such as -1 or '?', got {missing_label!r}")
    columns, names, n_rows, is_1d = read_columns(y, estimator)
    if classes is None and is_1d and _is_coded(columns[0], y, missing_label):
        codes = columns[0].view()
        codes.flags.writeable = False
        return TaskLabels(codes[:, np.newaxis], [np.arange(codes.max() + 1)], names, is_1d)
    known = None if classes is None else _known_classes(classes, len(columns), missing_label)

    n_copied = 0 if is_1d else len(columns)
    codes = np.empty((n_rows, n_copied), code_dtype(0), order="F")  # read column by column
    found = []
    for t, column in enumerate(columns):
        where = "" if is_1d else in_task(t, names)
        known_t = None if known is None else known[t]
        codes_t, classes_t = encode_column(column, missing_label, where, known_t)
        if is_1d:
            codes = codes_t[:, np.newaxis]
        else:
            codes = as_long_as(codes_t, codes)
            codes[:, t] = codes_t
        found.append(classes_t)
    return TaskLabels(codes, found, names, is_1d)


def _is_coded(column, y, missing_label):
    """Whether a column is the caller's array and holds codes as they would be made of it."""
    is_whole = type(column) is np.ndarray and column.dtype == np.int64 and column.flags.c_contiguous
    if not is_whole or not isinstance(y, np.ndarray) or not np.may_share_memory(column, y):
        return False
    low, high = int(column.min()), int(column.max())
    if low != 0 or high > len(column) or missing_label in range(high + 1):
        return False
    return bool(_seen(column, low, high).all())


def code_dtype(n_classes):
    """Of the codes of so many classes, and of -1.

    Parameters
    ----------
    n_classes : int
        How many.

    Returns
    -------
    dtype
        The smallest that is used.
    """
    return np.dtype(np.int8 if n_classes <= np.iinfo(np.int8).max else np.int32)


def as_long_as(column, codes):
    """Codes of all tasks, of a dtype that holds those of one more.

    Parameters
    ----------
    column : ndarray of shape (n_samples,)
        Codes of a task.
    codes : ndarray of shape (n_samples, n_tasks)
        What they go into.

    Returns
    -------
    ndarray of the same shape
        The same array where it is long enough.
    """
    return codes.astype(np.promote_types(codes.dtype, column.dtype), copy=False)


def encode_column(column, missing_label, where, known=None):
    """Encode one column as class codes, -1 where the label is missing.

    Parameters
    ----------
    column : 1-D container
        Of :func:`skmtl.columns.read_columns`.
    missing_label : scalar
        One more value that means missing.
    where : str
        Goes to the end of error messages.
    known : ndarray, default=None
        The sorted labels that it may have; by default those observed.

    Returns
    -------
    codes : ndarray of shape (n_samples,), of ``code_dtype``
    classes : ndarray

    Raises
    ------
    ValueError, TypeError
        As :func:`encode_labels`.
    """
    classes, codes = _encode_column(column, missing_label, where)
    if known is None:
        return codes, classes
    return _translation(classes, known, where)[codes], known


def stack_tasks(datasets, *, align="rows"):
    """Turn one data set per task into one `X` and one wide `Y` with holes.

    Parameters
    ----------
    datasets : list of (X, y) tuples
        One data set per task: `X` of shape (n_samples, n_features) and its 1-D `y`, labels or
        numbers.
    align : {"rows", "blocks"}, default="rows"
        "rows" if all data sets have the same columns: `X` is stacked. "blocks" if each has its
        own: `X` is block diagonal.

    Returns
    -------
    X : ndarray, CSR array or matrix, or DataFrame
        The rows of all data sets, in order. "rows" gives a DataFrame from DataFrames, CSR if any
        data set is sparse, else an ndarray; "blocks" gives CSR. CSR is a matrix if all that is
        sparse already are matrices, else an array.
    Y : ndarray of shape (n_samples, n_tasks)
        Column `t` holds the labels of data set `t`, and holes elsewhere: float64 with NaN if all
        labels are numbers that it holds exactly, else object with None.

    Raises
    ------
    ValueError
        If there is no data set, or if one does not fit the others; the message names its index.
    TypeError
        If `datasets` is not a list of pairs, or if containers or dtypes cannot be stacked.

    Examples
    --------
    >>> from skmtl.tasks import stack_tasks
    >>> X, Y = stack_tasks([([[0.5, 1.0]], [3]), ([[2.0, 0.0], [1.0, 1.0]], [0, 1])])
    >>> X.shape
    (3, 2)
    >>> Y
    array([[ 3., nan],
           [nan,  0.],
           [nan,  1.]])
    """
    if align not in ("rows", "blocks"):
        raise ValueError(f"align must be 'rows' or 'blocks', got {align!r}")
    if not isinstance(datasets, list) or any(
        not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in datasets
    ):
        raise TypeError("datasets must be a list of (X, y) tuples, one per task")
    if not datasets:
        raise ValueError("datasets must hold at least one (X, y) tuple, got []")

    blocks, labels = [], []
    for d, (X, y) in enumerate(datasets):
        X = X if hasattr(X, "shape") else np.asarray(X)
        if len(X.shape) != 2:
            raise ValueError(f"X of data set {d} must be 2-D, got shape {X.shape}")
        classes, codes = _encode_1d(y, f"y of data set {d}", may_be_continuous=True)
        if len(codes) != X.shape[0]:
            raise ValueError(f"data set {d} has {X.shape[0]} rows in X, but {len(codes)} in y")
        blocks.append(X)
        labels.append((classes, codes))
    X = _stack_rows(blocks) if align == "rows" else _stack_blocks(blocks)

    hole = _hole(*(classes for classes, _ in labels))
    Y = np.full((X.shape[0], len(labels)), hole)
    stop = 0
    for t, (classes, codes) in enumerate(labels):
        start, stop = stop, stop + len(codes)
        Y[start:stop, t] = np.append(classes.astype(Y.dtype), hole)[codes]
    return X, Y


def spread_tasks(y, task):
    """Spread 1-D labels, or numbers, over one column per task, with holes elsewhere.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        The labels or numbers, all tasks together; they may be missing.
    task : array-like of shape (n_samples,)
        The task of each label: integers or strings, none missing.

    Returns
    -------
    Y : ndarray of shape (n_samples, n_tasks)
        Row `i` holds ``y[i]`` in the column of ``task[i]``: float64 with NaN elsewhere if all
        labels are numbers that it holds exactly, else object with None.
    task_ids : ndarray of shape (n_tasks,)
        The sorted ids of the columns.

    Raises
    ------
    ValueError
        If `y` or `task` is not 1-D, if their lengths differ, or if an id is missing.
    TypeError
        If `y` or `task` mixes strings and numbers.

    Examples
    --------
    >>> from skmtl.tasks import spread_tasks
    >>> Y, task_ids = spread_tasks(["spam", "ham", "spam"], [7, 3, 3])
    >>> Y
    array([[None, 'spam'],
           ['ham', None],
           ['spam', None]], dtype=object)
    >>> task_ids
    array([3, 7])
    """
    classes, codes = _encode_1d(y, "y", may_be_continuous=True)
    task_ids, columns = columns_of_tasks(task, len(codes))
    hole = _hole(classes)
    Y = np.full((len(codes), len(task_ids)), hole)
    Y[np.arange(len(Y)), columns] = np.append(classes.astype(Y.dtype), hole)[codes]
    return Y, task_ids


def columns_of_tasks(task, n_rows):
    """Ids of the tasks, sorted, and the column of each row's task.

    Parameters
    ----------
    task : array-like of shape (n_rows,)
        Integers or strings, none missing.
    n_rows : int
        Rows of y.

    Returns
    -------
    task_ids : ndarray of shape (n_tasks,)
    columns : ndarray of shape (n_rows,)
        Codes, as of :func:`encode_labels`.
    """
    task_ids, columns = _encode_1d(task, "task")
    if n_rows != len(columns):
        raise ValueError(f"y has {n_rows} rows, but task has {len(columns)}")
    if columns.min() < 0:
        raise ValueError(f"task must be known in every row, but row {columns.argmin()} has none")
    return task_ids, columns


def union_of_labels(label_sets):
    """Sorted labels of several tasks together.

    Parameters
    ----------
    label_sets : list of ndarray
        The labels of each task; some may be empty.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If some are strings and others are not.
    """
    label_sets = [labels for labels in label_sets if labels.size]
    if len({labels.dtype.kind in "OUT" for labels in label_sets}) > 1:  # NumPy would make strings
        raise TypeError("some labels are strings, and others are not")
    return np.unique(np.concatenate(label_sets))


def codes_in_union(codes, classes, union):
    """Codes of a task among labels of several.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Of the task, -1 where the label is missing.
    classes : ndarray
        Its labels.
    union : ndarray
        As of :func:`union_of_labels`.

    Returns
    -------
    ndarray of shape (n_samples,), of ``code_dtype``
    """
    table = np.append(np.searchsorted(union, classes), -1)
    return table.astype(code_dtype(len(union)))[codes]


def observed(y):
    """Where labels are there: class codes are -1 where they are missing, numbers NaN.

    Parameters
    ----------
    y : ndarray
        Encoded labels: integer codes, or numbers in floats.

    Returns
    -------
    ndarray of bool
    """
    return y >= 0 if y.dtype.kind == "i" else ~np.isnan(y)


def kept(y, keep):
    """Encoded labels, missing where they are not to be kept.

    Parameters
    ----------
    y : ndarray
        Encoded labels, as in :func:`observed`.
    keep : ndarray of bool
        Which ones to keep.

    Returns
    -------
    ndarray
    """
    return np.where(keep, y, -1 if y.dtype.kind == "i" else np.nan)


def _encode_column(column, missing_label, where):
    """Return the sorted observed labels of a column, and its codes."""
    if hasattr(column, "dropna"):
        missing, observed = np.asarray(column.isna()), column.dropna().to_numpy()
    elif hasattr(column, "drop_nulls"):
        missing, observed = column.is_null().to_numpy(), column.drop_nulls().to_numpy()
    elif isinstance(column, np.ma.MaskedArray):
        missing, observed = np.ma.getmaskarray(column), column.compressed()
    else:
        return _encode_array(column, missing_label, where)
    classes, codes = _encode_array(observed, missing_label, where)
    return classes, _scatter(codes, ~missing)


def _scatter(codes, observed):
    """Codes of all rows from those of the observed ones."""
    out = np.full(len(observed), -1, dtype=codes.dtype)
    out[observed] = codes
    return out


def _encode_array(values, missing_label, where):
    if values.dtype.kind in "biuf":
        return _encode_numbers(values, missing_label, where)
    if values.dtype.kind in "OUT":
        return _encode_objects(values, missing_label, where)
    if values.dtype.kind in "mM" and np.isnat(values).all():
        return values[:0], np.full(len(values), -1, dtype=code_dtype(0))
    raise _unknown_type(values.dtype, where)


def _unknown_type(what, where):
    return ValueError(
        f"Unknown label type: {what}. Labels must be integers, integral floats, booleans or "
        f"strings.{where}"
    )


def _encode_numbers(values, missing_label, where):
    """Encode an array of numbers or booleans, with no Python object per row."""
    missing = np.isnan(values) if values.dtype.kind == "f" else np.False_
    if isinstance(missing_label, Number) and missing_label == missing_label:
        missing = missing | (values == missing_label)
    if missing.any():
        classes, codes = _encode_numbers(values[~missing], np.nan, where)
        return classes, _scatter(codes, ~missing)
    if len(values) == 0:
        return values, np.empty(0, dtype=code_dtype(0))
    blocks = blocks_of(len(values))
    if values.dtype.kind == "f":
        check_finite(values, where)
        if any((values[block] != np.trunc(values[block])).any() for block in blocks):
            raise NotClasses(
                f"Unknown label type: continuous{'-multioutput' if where else ''}. Maybe you are "
                "trying to fit a classifier, which expects discrete classes on a regression target "
                f"with continuous values.{where}"
            )
    low, high = int(values.min()), int(values.max())
    if high - low > 4 * len(values) + 1024 or max(-low, high) > EXACT:
        classes, codes = np.unique(values, return_inverse=True)
        return classes, codes.astype(code_dtype(len(classes)))
    # A table over the range of the labels, since np.unique sorts all rows.
    seen = _seen(values, low, high)
    dtype = code_dtype(np.count_nonzero(seen))
    table, codes = (np.cumsum(seen) - 1).astype(dtype), np.empty(len(values), dtype)
    for block in blocks:
        codes[block] = table[values[block].astype(np.intp) - low]
    return (np.flatnonzero(seen) + low).astype(values.dtype), codes


def _seen(values, low, high):
    """Which of the whole numbers from low to high are among the values."""
    seen = np.zeros(high - low + 1, dtype=bool)
    for block in blocks_of(len(values)):
        seen[values[block].astype(np.intp, copy=False) - low] = True
    return seen


def blocks_of(n_rows):
    """Slices of rows that are looked at together, in temporaries that stay small.

    Parameters
    ----------
    n_rows : int
        How many there are.

    Returns
    -------
    list of slice
    """
    return [slice(start, start + BLOCK) for start in range(0, n_rows, BLOCK)]


def _encode_objects(values, missing_label, where):
    """Encode Python objects through a dict; only its few keys are then looked at one by one."""
    keys = {}
    try:
        in_blocks = (values[block].tolist() for block in blocks_of(len(values)))
        slots = (keys.setdefault(value, len(keys)) for block in in_blocks for value in block)
        slots = np.fromiter(slots, dtype=np.int32, count=len(values))
    except TypeError:  # unhashable
        raise _unknown_type("unknown", where) from None
    labels = [key for key in keys if not is_missing(key, missing_label)]
    strings = sorted(label for label in labels if isinstance(label, str))
    others = [label for label in labels if not isinstance(label, str)]
    if strings and others:
        raise TypeError(
            f"y mixes strings such as {strings[0]!r} and other labels such as {others[0]!r}; make "
            f"them all strings, or all numbers.{where}"
        )
    if others:
        numbers = np.array(others)
        if numbers.ndim != 1 or numbers.dtype.kind not in "biuf":
            raise _unknown_type("unknown", where)
        classes, codes = _encode_numbers(numbers, np.nan, where)
    else:
        classes, codes = np.array(strings, dtype=values.dtype), np.arange(len(strings))
    code_of = dict(zip(others or strings, codes.tolist()))
    dtype = code_dtype(len(classes))
    return classes, np.array([code_of.get(key, -1) for key in keys], dtype)[slots]


def _known_classes(classes, n_tasks, missing_label):
    """Sorted labels of each task, from what the caller says they are."""
    if n_tasks == 1 and (len(classes) == 0 or np.ndim(next(iter(classes))) == 0):
        classes = [classes]
    if len(classes) != n_tasks:
        raise ValueError(f"classes lists the labels of {len(classes)} tasks, but y has {n_tasks}")
    return [sorted_labels(labels, t, missing_label) for t, labels in enumerate(classes)]


def sorted_labels(labels, t, missing_label):
    """Labels of task t as the caller lists them, sorted.

    Parameters
    ----------
    labels : array-like
        What the entry t of ``classes`` is.
    t : int
        For the errors.
    missing_label : scalar
        One more value that means missing.

    Returns
    -------
    ndarray
    """
    columns, _, shape = label_columns(labels)
    if len(shape) != 1:
        raise ValueError(f"classes[{t}] must be 1-D, the labels of one task, got {labels!r}")
    return _encode_column(columns[0], missing_label, f" In classes[{t}].")[0]


def _translation(observed, known, where):
    """Table from the codes of the observed labels to those of the known ones; -1 stays -1."""
    code_of = {label: code for code, label in enumerate(known.tolist())}
    unknown = [label for label in observed.tolist() if label not in code_of]
    if unknown:
        raise ValueError(
            f"y has the label {unknown[0]!r}, which is not among the known classes "
            f"{known.tolist()}.{where}"
        )
    dtype = code_dtype(len(known))
    return np.array([code_of[label] for label in observed.tolist()] + [-1], dtype)


def _encode_continuous(y):
    """As if the numbers of the first column were classes."""
    columns = read_columns(y)
    values = read_number_column(columns.columns[0], np.nan, "")
    there = ~np.isnan(values)
    classes, codes = np.unique(values[there], return_inverse=True)
    return _scatter(codes, there)[:, np.newaxis], [classes], columns.is_1d


def _encode_1d(y, name, *, may_be_continuous=False):
    """Labels and codes of the only column of `y`; the errors name it."""
    try:
        try:
            codes, classes, _, is_1d = encode_labels(y)
        except NotClasses:
            if not may_be_continuous:
                raise
            codes, classes, is_1d = _encode_continuous(y)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
    if not is_1d:
        raise ValueError(f"{name} must be 1-D, got shape {codes.shape}")
    return classes[0], codes[:, 0]


def _hole(*classes):
    """NaN if float64 holds all labels exactly, else None: object keeps what each label is."""
    for labels in classes:
        kind = labels.dtype.kind
        exact = kind == "f" or (kind in "iu" and max(-int(labels[0]), int(labels[-1])) <= EXACT)
        if labels.size and not exact:
            return None
    return np.nan


def _stack_rows(blocks):
    """Stack data sets that have the same columns."""
    first = blocks[0]
    is_frame = any(hasattr(X, "columns") for X in blocks)
    for d, X in enumerate(blocks[1:], start=1):
        if is_frame and type(X) is not type(first):
            raise TypeError(
                f"data set {d} is a {type(X).__name__}, but data set 0 a {type(first).__name__}; "
                "convert both to the same container"
            )
        if is_frame and list(X.columns) != list(first.columns):
            raise ValueError(
                f"data set {d} has the columns {list(X.columns)}, but data set 0 "
                f"{list(first.columns)}; align='blocks' allows that"
            )
        if X.shape[1] != first.shape[1]:
            raise ValueError(
                f"data set {d} has {X.shape[1]} columns, but data set 0 has {first.shape[1]}; "
                "align='blocks' allows that"
            )
    if is_frame:  # by the package that made them, so that we import neither pandas nor polars
        package = sys.modules[type(first).__module__.partition(".")[0]]
        if not hasattr(package, "concat"):
            raise TypeError(f"X must be arrays, CSR, pandas or polars, got {type(first).__name__}")
        return package.concat(blocks)
    if any(sparse.issparse(X) for X in blocks):
        blocks = _as_csr(blocks)
        return type(blocks[0])(sparse.vstack(blocks, "csr"))  # SciPy 1.12 makes it a matrix
    return np.vstack(blocks)


def _stack_blocks(blocks):
    """Put data sets that have different columns on a diagonal."""
    blocks = _as_csr(blocks)
    return type(blocks[0])(sparse.block_diag(blocks, "csr"))


def _as_csr(blocks):
    """Convert to CSR, matrices if all that is sparse already are matrices, else arrays."""
    is_matrix = [isinstance(X, sparse.spmatrix) for X in blocks if sparse.issparse(X)]
    csr = sparse.csr_matrix if is_matrix and all(is_matrix) else sparse.csr_array
    converted = []
    for d, X in enumerate(blocks):
        X = X if sparse.issparse(X) else np.asarray(X)
        if X.dtype.kind not in "biuf":
            raise TypeError(f"X of data set {d} must be numeric to become CSR, got {X.dtype}")
        converted.append(csr(X))
    return converted
