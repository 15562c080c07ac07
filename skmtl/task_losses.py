"""The loss of each task, where some are classified and others regressed."""

from skmtl.columns import entries_by_task, in_task
from skmtl.plugins.base import ClassificationLoss, RegressionLoss
from skmtl.plugins.registry import resolve
from skmtl.task_types import CLASSIFIED, REGRESSED, TYPES

_LOSSES = {
    CLASSIFIED: (ClassificationLoss, "log_loss", "a loss on classes"),
    REGRESSED: (RegressionLoss, "squared_error", "a loss on numbers"),
}


def losses_of(loss, types, names):
    """The loss of each task.

    Parameters
    ----------
    loss : "auto", str, Loss, list or dict
        As in ``MultiTaskEstimator``.
    types : list of {"classification", "regression"}
        Of each task.
    names : ndarray or None
        Names of the tasks.

    Returns
    -------
    list of Loss

    Raises
    ------
    ValueError
        If it does not fit the tasks.
    """
    if not isinstance(loss, (list, dict)):
        return _losses_of_types(loss, types)
    entry = "'auto', a name or a Loss"
    wanted = entries_by_task("loss", loss, len(types), names, "auto", entry)
    losses = []
    for t, (one, type_) in enumerate(zip(wanted, types)):
        kind, default, what = _LOSSES[type_]
        losses.append(resolve("losses", default if _is_auto(one) else one, "loss"))
        if not isinstance(losses[t], kind):
            raise ValueError(
                f"The 'loss' parameter must have {what} for a task of the type {type_!r}. Got "
                f"{one!r} instead.{in_task(t, names)}"
            )
    return losses


def _is_auto(loss):
    return isinstance(loss, str) and loss == "auto"


def _losses_of_types(loss, types):
    """One loss for all tasks that it suits, and the defaults of their types for the others."""
    by_type = {type_: resolve("losses", _LOSSES[type_][1], "loss") for type_ in TYPES}
    if not _is_auto(loss):
        given = resolve("losses", loss, "loss")
        type_ = CLASSIFIED if isinstance(given, ClassificationLoss) else REGRESSED
        if type_ not in types:
            raise ValueError(
                f"The 'loss' parameter is {_LOSSES[type_][2]}, {loss!r}, but y has no task of the "
                f"type {type_!r}."
            )
        by_type[type_] = given
    return [by_type[type_] for type_ in types]
