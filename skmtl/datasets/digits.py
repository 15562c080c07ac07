"""The digits of scikit-learn as a table of several tasks."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch, check_random_state

from skmtl.datasets.holes import check_missing, hide_labels

__all__ = ["load_digits_tasks"]

WITH_LOOP = (0, 6, 8, 9)


def load_digits_tasks(*, missing=0.0, random_state=None, return_X_y=False):
    """Load scikit-learn's digits with three tasks on each image.

    ========  ======  ======================================================
    column    labels  what
    ========  ======  ======================================================
    digit     0 to 9  the digit
    odd       0, 1    whether it is odd
    loop      0, 1    whether its shape has a closed loop: 0, 6, 8 and 9 do
    ========  ======  ======================================================

    A 4 counts as open: here most are written with an open top.

    Parameters
    ----------
    missing : float, default=0.0
        Fraction of the labels of each task to hide, in [0, 1). Which ones is drawn for each task
        by itself, so that rows keep any number of labels from none to all.
    random_state : int, RandomState instance or None, default=None
        Determines which labels are hidden.
    return_X_y : bool, default=False
        Whether to return (data, target) only.

    Returns
    -------
    data : Bunch
        With the attributes

        data : ndarray of shape (1797, 64)
            Pixels, row by row, from 0 (paper) to 1 (ink).
        target : ndarray of shape (1797, 3)
            The labels, float, NaN where hidden.
        task_names : list of str
            The columns of target.
        images : ndarray of shape (1797, 8, 8)
            The data as images.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    ValueError
        If `missing` is not in [0, 1).

    Examples
    --------
    >>> from skmtl.datasets import load_digits_tasks
    >>> digits = load_digits_tasks(missing=1 / 3, random_state=0)
    >>> digits.task_names
    ['digit', 'odd', 'loop']
    >>> digits.target[:3]
    array([[ 0.,  0.,  1.],
           [nan, nan,  0.],
           [nan,  0.,  0.]])
    """
    check_missing(missing)
    digits = load_digits()
    digit = digits.target
    target = np.column_stack([digit, digit % 2, np.isin(digit, WITH_LOOP)]).astype(np.float64)
    hide_labels(target, missing, check_random_state(random_state))
    data = digits.data / 16
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        task_names=["digit", "odd", "loop"],
        images=data.reshape(-1, 8, 8),
    )
