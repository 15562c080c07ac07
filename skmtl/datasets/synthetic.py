"""Tasks made to order: how related they are, how far apart, and how noisy."""

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skmtl.datasets.holes import check_missing, hide_labels

__all__ = ["make_related_tasks", "make_transfer_pair"]


def make_related_tasks(
    n_samples=100,
    n_features=20,
    n_tasks=5,
    *,
    n_informative=None,
    relatedness=0.8,
    n_groups=1,
    shift=0.0,
    noise=0.0,
    missing=0.0,
    kind="classification",
    same_rows=False,
    random_state=None,
    return_X_y=False,
):
    r"""Make linear tasks whose relatedness is known.

    The inputs are Gaussian with unit variance. Task `t` has the unit weight vector

    .. math:: w_t = \sqrt r\, c_{g(t)} + \sqrt{1 - r}\, u_t,

    with `r` the relatedness and `c` and `u` orthonormal random directions, one `c` for each
    group of tasks and one `u` for each task. So the cosine between two tasks of one group is `r`,
    and between tasks of different groups 0. A label is the sign of :math:`w_t^\top x` as 0 or 1,
    or that value itself.

    Parameters
    ----------
    n_samples : int or list of n_tasks ints, default=100
        Rows of each task.
    n_features : int, default=20
        Columns of the data.
    n_tasks : int, default=5
        Number of tasks.
    n_informative : int, default=None
        The labels depend on this many columns, the first ones; by default on all. At least 2,
        unless `relatedness` is 1. Where they are fewer than n_groups + n_tasks, directions cannot
        all be orthogonal and are independent instead: then the cosines hold on average, and have
        a standard deviation of up to ``n_informative ** -0.5``.
    relatedness : float, default=0.8
        Cosine between the weights of two tasks of a group, in [0, 1]: at 0 tasks have nothing in
        common, at 1 they are the same.
    n_groups : int, default=1
        Task `t` is in group ``t % n_groups``.
    shift : float, default=0.0
        Each task's inputs have their mean this many standard deviations from the origin, in a
        random direction of its own. Labels depend on the inputs as before, so that classes are
        no longer equally common.
    noise : float, default=0.0
        In classification the probability that a label is turned to the other class, in [0, 0.5],
        which is the error of the best classifier. In regression the standard deviation of what is
        added, where the labels without it have standard deviation 1.
    missing : float, default=0.0
        Fraction of the labels of each task to hide, in [0, 1).
    kind : {"classification", "regression"}, default="classification"
        Whether the labels are 0 and 1, or numbers.
    same_rows : bool, default=False
        False gives each task rows of its own, with the labels of the other tasks missing, as
        :func:`skmtl.stack_tasks` does. True gives all tasks the same rows.
    random_state : int, RandomState instance or None, default=None
        Determines the data.
    return_X_y : bool, default=False
        Whether to return (data, target) only.

    Returns
    -------
    data : Bunch
        With the attributes

        data : ndarray of shape (n_rows, n_features)
            The inputs; n_rows is the sum of `n_samples` over the tasks, or `n_samples` if they
            have the same rows.
        target : ndarray of shape (n_rows, n_tasks)
            The labels, float, NaN where missing.
        task_names : list of str
            The columns of target.
        coef : ndarray of shape (n_features, n_tasks)
            The weights of the tasks.
        groups : ndarray of shape (n_tasks,), int64
            The group of each task.
        means : ndarray of shape (n_tasks, n_features)
            The means of each task's inputs.
    (data, target) : tuple if ``return_X_y=True``

    Raises
    ------
    ValueError
        If a parameter is out of its range, or if tasks with the same rows should differ in
        `n_samples` or have a `shift`.

    Examples
    --------
    >>> from skmtl.datasets import make_related_tasks
    >>> tasks = make_related_tasks(50, n_tasks=4, relatedness=0.5, n_groups=2, random_state=0)
    >>> tasks.data.shape, tasks.target.shape
    ((200, 20), (200, 4))
    >>> abs(tasks.coef.T @ tasks.coef).round(2)
    array([[1. , 0. , 0.5, 0. ],
           [0. , 1. , 0. , 0.5],
           [0.5, 0. , 1. , 0. ],
           [0. , 0.5, 0. , 1. ]])
    """
    n_informative = _check_common(n_features, n_informative, relatedness, shift, noise, kind)
    check_missing(missing)
    _check_count("n_tasks", n_tasks)
    _check_count("n_groups", n_groups, at_most=n_tasks, why="n_tasks")
    sizes = _sizes(n_samples, n_tasks)
    if same_rows and (np.ndim(n_samples) or shift):
        raise ValueError(
            "same_rows=True gives all tasks the same rows, so that n_samples must be one number "
            f"and shift 0; got n_samples={n_samples!r}, shift={shift!r}"
        )
    rng = check_random_state(random_state)
    groups = np.arange(n_tasks) % n_groups
    coef = _weights(groups, n_features, n_informative, relatedness, rng)
    means = shift * _directions(n_tasks, n_features, rng)
    if same_rows:
        X = rng.standard_normal((sizes[0], n_features))
        Y = np.column_stack([_labels(X @ w, noise, kind, rng) for w in coef.T]).astype(np.float64)
    else:
        task = np.repeat(np.arange(n_tasks), sizes)
        X = means[task] + rng.standard_normal((len(task), n_features))
        Y = np.full((len(task), n_tasks), np.nan)
        z = np.einsum("ij,ji->i", X, coef[:, task])
        Y[np.arange(len(task)), task] = _labels(z, noise, kind, rng)
    hide_labels(Y, missing, rng)
    if return_X_y:
        return X, Y
    return Bunch(
        data=X,
        target=Y,
        task_names=[f"task {t}" for t in range(n_tasks)],
        coef=coef,
        groups=groups,
        means=means,
    )


def make_transfer_pair(
    n_samples=100,
    n_features=20,
    *,
    n_source_samples=1000,
    n_test_samples=1000,
    n_informative=None,
    relatedness=0.8,
    shift=0.0,
    noise=0.0,
    kind="classification",
    random_state=None,
):
    """Make a source and a target whose relatedness is known.

    Inputs and labels are those of two tasks of :func:`make_related_tasks`, but the source's inputs
    have mean zero, and only those of the target are shifted.

    Parameters
    ----------
    n_samples : int, default=100
        Rows of the target.
    n_features : int, default=20
        Columns of the data.
    n_source_samples : int, default=1000
        Rows of the source.
    n_test_samples : int, default=1000
        Rows to test on, drawn as the target is.
    n_informative : int, default=None
        The labels depend on this many columns, the first ones; by default on all. At least 2,
        unless `relatedness` is 1.
    relatedness : float, default=0.8
        Cosine between the weights of source and target, in [0, 1]: at 0 the source says nothing
        about the target's labels, at 1 both have the same weights.
    shift : float, default=0.0
        Distance between the means of source and target, in standard deviations of the inputs, in
        a random direction.
    noise : float, default=0.0
        In classification the probability that a label is turned to the other class, in [0, 0.5],
        which is the error of the best classifier. In regression the standard deviation of what is
        added, where the labels without it have standard deviation 1.
    kind : {"classification", "regression"}, default="classification"
        Whether the labels are 0 and 1, or numbers.
    random_state : int, RandomState instance or None, default=None
        Determines the data.

    Returns
    -------
    Bunch
        With the attributes

        X : ndarray of shape (n_samples, n_features)
            Inputs of the target.
        y : ndarray of shape (n_samples,)
            Its labels, int64 or float64.
        X_source : ndarray of shape (n_source_samples, n_features)
            Inputs of the source.
        y_source : ndarray of shape (n_source_samples,)
            Its labels.
        X_test : ndarray of shape (n_test_samples, n_features)
            Inputs of the target to test on.
        y_test : ndarray of shape (n_test_samples,)
            Their labels, with the same noise.
        coef : ndarray of shape (n_features,)
            The weights of the target.
        coef_source : ndarray of shape (n_features,)
            The weights of the source.
        mean : ndarray of shape (n_features,)
            The mean of the target's inputs.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from skmtl import as_source
    >>> from skmtl.datasets import make_transfer_pair
    >>> pair = make_transfer_pair(n_samples=30, relatedness=0.9, random_state=0)
    >>> pair.X.shape, pair.X_source.shape
    ((30, 20), (1000, 20))
    >>> round(float(pair.coef @ pair.coef_source), 6)
    0.9
    >>> fit_params = as_source(pair.X_source, pair.y_source)
    """
    n_informative = _check_common(n_features, n_informative, relatedness, shift, noise, kind)
    _check_count("n_samples", n_samples)
    _check_count("n_source_samples", n_source_samples)
    _check_count("n_test_samples", n_test_samples)
    rng = check_random_state(random_state)
    first, other = _directions(2, n_informative, rng)
    coef_source, coef = np.zeros((2, n_features))
    coef_source[:n_informative] = first
    coef[:n_informative] = relatedness * first + np.sqrt(1 - relatedness**2) * other
    mean = shift * _directions(1, n_features, rng)[0]

    def draw(n, mean, w):
        X = mean + rng.standard_normal((n, n_features))
        return X, _labels(X @ w, noise, kind, rng)

    X_source, y_source = draw(n_source_samples, 0, coef_source)
    X, y = draw(n_samples, mean, coef)
    X_test, y_test = draw(n_test_samples, mean, coef)
    return Bunch(
        X=X,
        y=y,
        X_source=X_source,
        y_source=y_source,
        X_test=X_test,
        y_test=y_test,
        coef=coef,
        coef_source=coef_source,
        mean=mean,
    )


def _directions(n, n_features, rng):
    """Random unit vectors (n, n_features): orthogonal if there is room, else independent."""
    rows = rng.standard_normal((n, n_features))
    if n > n_features:
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
    q, r = np.linalg.qr(rows.T)
    return (q * np.sign(np.diag(r))).T  # with these signs every direction is equally likely


def _weights(groups, n_features, n_informative, relatedness, rng):
    """Weights (n_features, n_tasks) of unit length, with cosine `relatedness` within a group."""
    n_groups = groups.max() + 1
    directions = _directions(n_groups + len(groups), n_informative, rng)
    centres, own = directions[:n_groups], directions[n_groups:]
    w = np.sqrt(relatedness) * centres[groups] + np.sqrt(1 - relatedness) * own
    coef = np.zeros((n_features, len(groups)))
    coef[:n_informative] = (w / np.linalg.norm(w, axis=1, keepdims=True)).T
    return coef


def _labels(z, noise, kind, rng):
    """Labels of linear scores `z`, with noise."""
    if kind == "regression":
        return z + noise * rng.standard_normal(len(z))
    return ((z > 0) ^ (rng.random_sample(len(z)) < noise)).astype(np.int64)


def _sizes(n_samples, n_tasks):
    """Rows of each task."""
    sizes = [n_samples] * n_tasks if np.ndim(n_samples) == 0 else list(n_samples)
    if len(sizes) != n_tasks:
        raise ValueError(
            f"n_samples must be one number or one for each of the {n_tasks} tasks, got "
            f"{n_samples!r}"
        )
    for size in sizes:
        _check_count("n_samples", size)
    return sizes


def _check_common(n_features, n_informative, relatedness, shift, noise, kind):
    """Check what both have; return n_informative."""
    _check_count("n_features", n_features)
    if n_informative is None:
        n_informative = n_features
    _check_count("n_informative", n_informative, at_most=n_features, why="n_features")
    if kind not in ("classification", "regression"):
        raise ValueError(f"kind must be 'classification' or 'regression', got {kind!r}")
    if not 0 <= relatedness <= 1:
        raise ValueError(f"relatedness must be a cosine in [0, 1], got {relatedness!r}")
    if n_informative == 1 and relatedness < 1:
        raise ValueError(
            "n_informative=1 leaves no room for two different tasks: raise it, or pass "
            f"relatedness=1 in place of {relatedness!r}"
        )
    if not 0 <= shift < np.inf:
        raise ValueError(f"shift must be a distance, 0 or more, got {shift!r}")
    if kind == "classification" and not 0 <= noise <= 0.5:
        raise ValueError(f"noise must be a probability in [0, 0.5] of a label, got {noise!r}")
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise must be a standard deviation, 0 or more, got {noise!r}")
    return n_informative


def _check_count(name, value, at_most=np.inf, why=""):
    """Refuse what is not an integer from 1 to `at_most`."""
    if not isinstance(value, Integral) or not 1 <= value <= at_most:
        top = f" to {why}={at_most}" if why else " or more"
        raise ValueError(f"{name} must be an integer, 1{top}, got {value!r}")
