"""The columns of `y` in whatever container they come, before anything is known of the labels."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

ROWS_AT_ONCE, COLUMNS_AT_ONCE = 256, 64


class Columns(NamedTuple):
    """``y`` column by column, see :func:`read_columns`.

    Attributes
    ----------
    columns : sequence of n_tasks 1-D containers
    names : ndarray of shape (n_tasks,), object, or None
        As in :class:`TaskLabels`.
    n_rows : int
    is_1d : bool
        Whether `y` was 1-D or a column vector.
    """

    columns: list
    names: np.ndarray | None
    n_rows: int
    is_1d: bool


def read_columns(y, estimator=None):
    """Take `y` apart, each column in its own container.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels of any kind.
    estimator : str or estimator, default=None
        Named in the errors.

    Returns
    -------
    Columns

    Raises
    ------
    ValueError
        If `y` is None, empty, ragged or not 1-D or 2-D.
    TypeError
        If `y` is sparse.
    """
    columns, names, shape = label_columns(y, estimator)
    if 0 in shape:
        what = "sample" if shape[0] == 0 else "feature"
        raise ValueError(
            f"Found array with 0 {what}(s) (shape={shape}) while a minimum of 1 is required for y"
            f"{_by(estimator)}."
        )
    is_1d = len(columns) == 1
    if is_1d and len(shape) == 2:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of "
            "y to (n_samples, ), for example using ravel().",
            DataConversionWarning,
            stacklevel=3,
        )
    if is_1d or not all(isinstance(name, str) for name in names):
        names = None
    names = None if names is None else np.array(names, dtype=object)
    return Columns(columns, names, shape[0], is_1d)


def in_task(t, names):
    """Which task an error is about.

    Parameters
    ----------
    t : int
        Its column.
    names : ndarray or None
        Names of all tasks.

    Returns
    -------
    str
    """
    return f" In task {t if names is None else repr(names[t])}."


def entries_by_task(parameter, value, n_tasks, names, default, entry):
    """One entry for each task, of a parameter that is a list, or a dict by the tasks' names.

    Parameters
    ----------
    parameter : str
        Its name, for the errors.
    value : list or dict
        What it is set to.
    n_tasks : int
        Columns of y.
    names : ndarray or None
        Names of all tasks.
    default : object
        The entry of tasks that a dict leaves out.
    entry : str
        What an entry may be, for the errors.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        If it does not fit the tasks.
    """
    if isinstance(value, list):
        if len(value) != n_tasks:
            raise ValueError(
                f"{parameter} has {len(value)} entries, but y has {n_tasks} columns: give each one "
                f"entry ({entry})."
            )
        return value
    names = [] if names is None else list(names)
    unknown = [name for name in value if name not in names]
    if unknown:
        raise ValueError(
            f"{parameter} has an entry for the task {unknown[0]!r}; the names of the tasks "
            f"(columns of y) are {names}."
        )
    return [value.get(name, default) for name in names]


def label_columns(y, estimator=None):
    """Columns of `y` in their own containers, their names (None if it has none), shape of `y`.

    Parameters
    ----------
    y : array-like
        Of one or two dimensions.
    estimator : str or estimator, default=None
        Named in the errors.

    Returns
    -------
    columns : sequence
    names : list
    shape : tuple of int
    """
    if y is None:
        raise ValueError(
            f"{_by(estimator)[4:] or 'estimator'} requires y to be passed, but the target y is None"
        )
    if sparse.issparse(y):
        raise TypeError(
            "Sparse data was passed for y, but dense data is required. Use '.toarray()' to convert "
            "to a dense numpy array."
        )
    if hasattr(y, "get_columns"):  # a polars DataFrame
        return y.get_columns(), list(y.columns), y.shape
    if hasattr(y, "columns") and hasattr(y, "iloc"):  # a pandas DataFrame
        return [y.iloc[:, t] for t in range(y.shape[1])], list(y.columns), y.shape
    if hasattr(y, "dropna") or hasattr(y, "drop_nulls"):  # a Series of either
        return [y], [None], y.shape

    is_list = isinstance(y, Sequence) and not isinstance(y, (str, bytes))
    if is_list:
        y = np.array(y, dtype=object)
    elif not hasattr(y, "__array__"):
        raise ValueError(f"Expected array-like (array or non-string sequence), got {y!r}")
    elif not isinstance(y, np.ma.MaskedArray):
        y = np.asarray(y)
    if y.ndim not in (1, 2):
        raise ValueError(
            f"Found array with dim {y.ndim}, while y of shape (n_samples,) or (n_samples, n_tasks) "
            f"is required{_by(estimator)}."
        )
    if is_list and y.ndim == 1 and any(isinstance(row, (list, tuple, np.ndarray)) for row in y):
        raise ValueError("y is a list of rows of different lengths, but each row needs every task")
    if y.ndim == 1:
        columns = [y]
    else:
        columns = _ArrayColumns(y) if type(y) is np.ndarray else list(y.T)
    if is_list:
        columns = [_natural(column) for column in columns]
    return columns, [None] * len(columns), y.shape


class _ArrayColumns(Sequence):
    """The columns of an array, which in turn are taken out of it some at a time.

    In a wide array each column is spread over as many cache lines as there are rows. To read labels
    of 20,000 rows and 1,000 tasks like that took four fifths of a fit.
    """

    def __init__(self, array):
        self._array = array

    def __len__(self):
        return self._array.shape[1]

    def __getitem__(self, t):
        return self._array[:, t]

    def __iter__(self):
        n = min(len(self) // 8, COLUMNS_AT_ONCE)  # so that copies are an eighth of it at most
        if n < 4:
            yield from self._array.T
            return
        for start in range(0, len(self), n):
            yield from _transposed(self._array[:, start : start + n])


def _transposed(array):
    """A copy of ``array.T``, made of tiles that the processor's nearest memory holds."""
    n_rows, n_columns = array.shape
    out = np.empty((n_columns, n_rows), array.dtype)
    for start in range(0, n_rows, ROWS_AT_ONCE):
        tile = slice(start, start + ROWS_AT_ONCE)
        out[:, tile] = array[tile].T
    return out


def _natural(column):
    """NumPy's own dtype for a column of a list, if all its entries are of one type."""
    entries = column.tolist()
    if len(set(map(type, entries))) != 1:
        return column
    typed = np.array(entries)
    return typed if typed.shape == column.shape else column


def check_finite(values, where):
    """Complain of infinity as scikit-learn does.

    Parameters
    ----------
    values : ndarray
        Floats.
    where : str
        Goes to the end of the message.
    """
    if np.isinf(values).any():
        raise ValueError(
            f"Input y contains infinity or a value too large for {values.dtype!r}.{where}"
        )


def is_missing(value, missing_label):
    """Whether an object means missing; NaN and NaT are those that differ from themselves.

    Parameters
    ----------
    value : object
        An entry of y.
    missing_label : scalar
        One more value that means missing.

    Returns
    -------
    bool
    """
    if value is None or type(value).__name__ == "NAType" or value != value:
        return True
    return not is_missing(missing_label, None) and value == missing_label


def read_number_column(column, missing_label, where):
    """One column as float64, NaN where the number is missing.

    Parameters
    ----------
    column : 1-D container
        Of :func:`read_columns`.
    missing_label : scalar
        One more value that means missing.
    where : str
        Goes to the end of error messages.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If an entry is no number.
    """
    if hasattr(column, "dropna"):
        column = column.astype(object).to_numpy()
    elif hasattr(column, "drop_nulls"):
        column = np.array(column.to_list(), object)
    elif isinstance(column, np.ma.MaskedArray):
        column = np.array(column.tolist(), object)  # None where masked
    if column.dtype.kind in "biuf":
        values = column.astype(np.float64)
        return values if is_missing(missing_label, None) else _drop(values, missing_label)
    try:
        numbers = [np.nan if is_missing(v, missing_label) else _number(v) for v in column.tolist()]
    except TypeError as error:
        raise ValueError(
            f"y must hold numbers to be regressed on. Got {error} instead.{where}"
        ) from None
    return np.array(numbers, dtype=np.float64)


def _drop(values, missing_label):
    return np.where(values == missing_label, np.nan, values)


def _number(value):
    """A number as float; TypeError with what is none."""
    if isinstance(value, (str, bytes, complex)) or not hasattr(value, "__float__"):
        raise TypeError(repr(value))
    return float(value)


def _by(estimator):
    """Who complains: " by Name", or nothing."""
    if estimator is None:
        return ""
    return f" by {estimator if isinstance(estimator, str) else type(estimator).__name__}"
