"""Columns of numbers to predict: reading them, and the units in which networks learn them."""

import numpy as np

from skmtl.columns import check_finite, in_task, read_columns, read_number_column
from skmtl.tasks import TaskLabels


def read_numbers(y, *, missing_label=np.nan, estimator=None):
    """Read each column of `y` as float64, NaN where the number is missing.

    NaN, None, ``pd.NA``, polars' null and masked entries are always missing. `y` is never written
    to.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Numbers, in an array, a list, or a pandas or polars Series or DataFrame.
    missing_label : scalar, default=np.nan
        One more value that means missing, such as -1.
    estimator : str or estimator, default=None
        Named in the errors about the shape of `y`.

    Returns
    -------
    TaskLabels
        As of :func:`skmtl.tasks.encode_labels`, with numbers for codes and None for classes.

    Raises
    ------
    ValueError
        If `y` is None, empty, ragged or not 1-D or 2-D; if it holds infinity or what is no number.
    TypeError
        If `y` is sparse.

    Examples
    --------
    >>> from skmtl.targets import read_numbers
    >>> read_numbers([[0.5, 10], [None, 20]]).codes
    array([[ 0.5, 10. ],
           [ nan, 20. ]])
    """
    columns, names, n_rows, is_1d = read_columns(y, estimator)
    values = np.empty((n_rows, len(columns)), order="F")  # read column by column
    for t, column in enumerate(columns):
        where = "" if is_1d else in_task(t, names)
        values[:, t] = read_number_column(column, missing_label, where)
        check_finite(values[:, t], where)
    return TaskLabels(values, [None] * len(columns), names, is_1d)


def offset_and_scale(y, weight, centring):
    """Units in which targets are of order one.

    Parameters
    ----------
    y, weight : ndarray of the same shape
        Numbers, and their weights; those of weight 0 do not count, and may be NaN.
    centring : bool
        Whether the origin may move: to the mean, with the standard deviation for unit. Else it
        stays, and the mean of the sizes is the unit.

    Returns
    -------
    offset : float
        0 where there is no number.
    scale : float
        1 where there is no number, or where all are the same, but for rounding.
    """
    y, weight = y[weight > 0], weight[weight > 0]
    if y.size == 0:
        return 0.0, 1.0
    if not centring:
        size = np.average(np.abs(y), weights=weight)
        return 0.0, float(size) if size > 0 else 1.0
    offset = np.average(y, weights=weight)
    scale = np.sqrt(np.average((y - offset) ** 2, weights=weight))
    is_constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(y).max()
    return float(offset), 1.0 if is_constant else float(scale)
