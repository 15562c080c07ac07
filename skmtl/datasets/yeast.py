"""The yeast data, 14 tasks on each gene."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_yeast_tasks"]

N_TASKS = 14


def load_yeast_tasks(*, return_X_y=False):
    """Load the yeast genes with their 14 functional classes, a yes or no for each [1]_.

    A gene belongs to 4.2 classes on average, and the classes are far from equally common: from 34
    to 1,816 of the 2,417 genes. Needs the package ``river``, version 0.26 or newer, which brings
    the file along; it is read, not imported.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return (data, target) only.

    Returns
    -------
    data : Bunch
        With the attributes

        data : ndarray of shape (2417, 103)
            Micro-array expressions and phylogenetic profile of each gene; each row has
            unit length.
        target : ndarray of shape (2417, 14), int64
            1 where the gene belongs to the class, else 0.
        task_names : list of str
            The columns of target.
        feature_names : list of str
            The columns of data.
        filename : str
            Where the data lies.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    ImportError
        If ``river`` is not installed, or is a version without the file.

    References
    ----------
    .. [1] Elisseeff and Weston (2001). A kernel method for multi-labelled classification. Advances
       in Neural Information Processing Systems 14.

    Examples
    --------
    >>> from skmtl.datasets import load_yeast_tasks
    >>> yeast = load_yeast_tasks()  # doctest: +SKIP
    >>> yeast.data.shape, yeast.target.shape  # doctest: +SKIP
    ((2417, 103), (2417, 14))
    """
    path = _find_file()
    with gzip.open(path, "rt") as lines:
        names = next(lines).strip().split(",")
        table = np.loadtxt(lines, delimiter=",")
    data, target = table[:, :-N_TASKS].copy(), table[:, -N_TASKS:].astype(np.int64)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        task_names=names[-N_TASKS:],
        feature_names=names[:-N_TASKS],
        filename=str(path),
    )


def _find_file():
    """Return the file of the installed river; `find_spec` does not run the package's code."""
    river = find_spec("river")
    if river is None:
        raise ImportError(
            "load_yeast_tasks takes its file from the package river: pip install skmtl[data]"
        )
    path = Path(river.submodule_search_locations[0], "datasets", "yeast.csv.gz")
    if not path.is_file():
        raise ImportError(
            f"load_yeast_tasks takes its file from the package river 0.26 or newer, and the one "
            f"installed has no {path}: pip install skmtl[data]"
        )
    return path
