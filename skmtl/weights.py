"""What each label weighs: the weight of its row, times its own, times that of its class."""

from numbers import Real

import numpy as np
from sklearn.utils.validation import check_array

from skmtl._compat import check_sample_weight, n_samples
from skmtl.columns import entries_by_task, in_task
from skmtl.tasks import observed


def row_weights(sample_weight, X):
    """One weight per row, float64; all True, a byte each, where there is no sample_weight."""
    if sample_weight is None:
        return np.ones(n_samples(X), bool)
    return check_sample_weight(sample_weight, X, dtype=np.float64)


def check_label_weight(label_weight, shape):
    """One weight >= 0 per label.

    Parameters
    ----------
    label_weight : array-like
        Of that shape; 1-D will do for one task.
    shape : tuple (n_samples, n_tasks)

    Returns
    -------
    ndarray of that shape, float64
    """
    weight = check_array(label_weight, dtype=np.float64, input_name="label_weight", ensure_2d=False)
    if shape[1] == 1 and weight.ndim == 1:
        weight = weight[:, np.newaxis]
    if weight.shape != shape:
        raise ValueError(f"label_weight has shape {weight.shape}; it needs that of y, {shape}.")
    if (weight < 0).any():
        raise ValueError("label_weight must not be negative; 0 leaves a label out.")
    return weight


def class_weight_by_task(class_weight, task_classes, task_names=None):
    """Take the parameter ``class_weight`` apart.

    Parameters
    ----------
    class_weight : dict, "balanced", list or None
    task_classes : list of ndarray or None
        The labels of each task; None for numbers.
    task_names : ndarray or None
        Names of the tasks.

    Returns
    -------
    list of (dict, "balanced" or None), one for each task

    Raises
    ------
    ValueError
        If it does not fit the tasks, or holds what is no weight.
    """
    n_tasks = len(task_classes)
    by_name = isinstance(class_weight, dict) and any(map(_is_class_weight, class_weight.values()))
    if not (by_name or isinstance(class_weight, list)):
        _check_one(class_weight, [classes for classes in task_classes if classes is not None])
        return [class_weight if classes is not None else None for classes in task_classes]
    entry = "a dict, 'balanced' or None"
    by_task = entries_by_task("class_weight", class_weight, n_tasks, task_names, None, entry)
    for t, (wanted, classes) in enumerate(zip(by_task, task_classes)):
        if classes is None and wanted is not None:
            raise ValueError(
                f"class_weight has {wanted!r} for a task that is regressed, and has no classes."
                f"{in_task(t, task_names)}"
            )
        _check_one(wanted, [classes])
    return by_task


def _is_class_weight(value):
    """Whether a value is the class weights of a task, rather than the weight of a class."""
    return value is None or isinstance(value, dict) or value == "balanced"


def _check_one(class_weight, task_classes):
    """Check the class weights of some tasks. Cross-validation may leave out some of the labels."""
    if class_weight is None or class_weight == "balanced":
        return
    if not isinstance(class_weight, dict):
        raise ValueError(
            "class_weight must be None, 'balanced', or a dict from labels to weights, for all "
            f"tasks or for each. Got {class_weight!r} instead."
        )
    for label, weight in class_weight.items():
        if not (isinstance(weight, Real) and np.isfinite(weight) and weight >= 0):
            raise ValueError(
                f"class_weight must hold finite numbers >= 0. Got {weight!r} for {label!r} instead."
            )
    labels = {label for classes in task_classes for label in classes.tolist()}
    if class_weight and not labels.intersection(class_weight):
        raise ValueError(
            f"class_weight={class_weight!r} has none of the labels, which are "
            f"{sorted(labels)[:10]}."
        )


def label_weights(codes, classes, weight, class_weight):
    """Weight of each label of a task, 0 where it is missing.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Encoded labels, as in :func:`skmtl.tasks.observed`.
    classes : ndarray or None
        None for numbers, whose ``class_weight`` is None as well.
    weight : ndarray of shape (n_samples,)
        Weights before those of the classes, or True for 1.
    class_weight : dict, "balanced" or None
        "balanced" gives all classes that have a label the same total weight.

    Returns
    -------
    ndarray of shape (n_samples,)
        Of bool if all that is observed weighs 1 by its dtype, else float64.
    """
    weight = weight * observed(codes)
    if class_weight is None:
        return weight
    if class_weight == "balanced":
        total = np.bincount(np.maximum(codes, 0), weight, minlength=len(classes))
        present = total > 0
        by_class = np.ones(len(classes))
        by_class[present] = total.sum() / (present.sum() * total[present])
    else:
        by_class = np.array([class_weight.get(label, 1.0) for label in classes.tolist()], float)
    return weight * by_class[codes]
