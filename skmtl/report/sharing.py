"""Multi-task report: every kind of sharing on the same splits, task by task."""

from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skmtl._compat import n_samples, safe_indexing
from skmtl.metrics import make_task_scorer, task_scores
from skmtl.model_selection import MultiTaskKFold
from skmtl.multitask import MultiTaskNetwork
from skmtl.report.base import score_name
from skmtl.report.paired import size_ratio
from skmtl.report.sharing_report import BASELINE, MultiTaskReport
from skmtl.report.steps import check_final_step, final_step, fit_with
from skmtl.task_types import CLASSIFIED, REGRESSED

#: What is scored where the caller does not say.
BY_TYPE = {CLASSIFIED: "accuracy", REGRESSED: "r2"}


def multitask_report(estimator, X, Y, *, cv=5, scoring=None, n_jobs=None, random_state=None):
    """Compare sharing between tasks with a net per task and with one head for all, task by task.

    Parameters
    ----------
    estimator : MultiTaskClassifier, MultiTaskRegressor, MultiTaskEstimator or Pipeline
        The estimator, or a pipeline that ends in one. Its ``sharing`` is what is compared with
        "none", and "pooled" beside it where all tasks have the same labels, or all are numbers.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows.
    Y : array-like of shape (n_samples, n_tasks)
        A column of labels or numbers per task, with holes.
    cv : int, splitter or iterable of (train, test), default=5
        An int: so many folds of :class:`skmtl.model_selection.MultiTaskKFold`.
    scoring : str, callable or None, default=None
        As :func:`skmtl.metrics.task_scores` takes it; None is the accuracy of a classified task,
        and the R2 of a regressed one.
    n_jobs : int, default=None
        Fits side by side, as joblib has it.
    random_state : int, RandomState instance or None, default=None
        Determines the folds. Weights and batches have the estimator's own.

    Returns
    -------
    MultiTaskReport
        Scores and gains per task, and how the tasks' gradients agree.

    Raises
    ------
    TypeError
        If the estimator has no ``sharing``.
    ValueError
        If Y has less than two tasks, or if cv gives less than two splits.

    See Also
    --------
    skmtl.report.TaskAffinityDisplay : The affinities as a picture.

    Notes
    -----
    Standard errors and what is clear are as in :func:`skmtl.report.transfer_report`, over the
    splits in which a task has a score. The affinities are those of a fit on all rows.

    Examples
    --------
    >>> from skmtl import MultiTaskClassifier
    >>> from skmtl.datasets import load_digits_tasks
    >>> from skmtl.report import multitask_report
    >>> X, Y = load_digits_tasks(missing=0.3, random_state=0, return_X_y=True)
    >>> clf = MultiTaskClassifier((8,), solver="lbfgs", max_iter=1000, random_state=0)
    >>> report = multitask_report(clf, X[:150], Y[:150], cv=2, random_state=0)
    >>> report.sharings, report.task_names, len(report.rows)
    (['none', 'hard'], [0, 1, 2], 8)
    """
    check_final_step(estimator, MultiTaskNetwork, "MultiTaskClassifier")
    last = final_step(estimator)
    labels, losses = _read(last, Y)
    n_tasks = len(labels.columns)
    if n_tasks < 2:
        raise ValueError("Y must have a column for each of at least 2 tasks, got 1")
    if n_samples(X) != labels.n_rows:
        raise ValueError(f"X has {n_samples(X)} rows, but Y has {labels.n_rows}")
    scorer = scoring
    if not hasattr(scoring, "task_scores"):
        scorer = make_task_scorer(scoring or BY_TYPE, missing_label=last.missing_label)
    if scoring is None:
        types = {CLASSIFIED if classes is not None else REGRESSED for classes in labels.classes}
        scoring = " or ".join(BY_TYPE[type_] for type_ in sorted(types))
    sharings, notes = _sharings(last.sharing, labels.classes, losses)

    if isinstance(cv, Integral):
        seed = check_random_state(random_state).randint(2**31 - 1)
        cv = MultiTaskKFold(int(cv), random_state=seed)
    splits = list(check_cv(cv).split(X, Y))
    if len(splits) < 2:
        raise ValueError("cv must give at least 2 splits: a standard error needs them; it gave 1")
    jobs = [(s, sharing) for s in range(len(splits)) for sharing in sharings]
    found = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_score)(
            estimator,
            {"sharing": sharing},
            *(safe_indexing(table, rows) for rows in splits[s] for table in (X, Y)),
            scorer,
        )
        for s, sharing in jobs
    )
    scores = {sharing: np.empty((n_tasks, len(splits))) for sharing in sharings}
    for (s, sharing), of_tasks in zip(jobs, found):
        scores[sharing][:, s] = of_tasks

    affinity = None
    if last.solver == "lbfgs":
        notes.append("no affinity: solver='lbfgs' takes the gradient of all tasks together")
    elif last.sharing == BASELINE:
        notes.append("no affinity: with sharing='none' the tasks share no parameters")
    else:
        affinity = final_step(fit_with(estimator, {"record_affinity": True}, X, Y)).task_affinity_
    return MultiTaskReport(
        scores,
        task_names=list(range(n_tasks)) if labels.names is None else labels.names.tolist(),
        n_labels=np.array([np.count_nonzero(column.weight) for column in labels.columns]),
        test_to_train=size_ratio(splits),
        score_name=score_name(scoring),
        task_affinity=affinity,
        notes=notes,
    )


def _read(estimator, Y):
    """``LabelColumns`` as a fit of the estimator reads them, and the names of the losses."""
    reader = clone(estimator)
    reader._resolve_plugins()
    labels = reader._read_tasks(Y, None, None)
    return labels, {type(reader._loss_of(t)).__name__ for t in range(len(labels.classes))}


def _sharings(own, classes, losses):
    """What to compare, and notes on what is left out."""
    different = {
        None if labels is None else tuple(labels.tolist())
        for labels in classes
        if labels is None or len(labels) > 1
    }
    for what, kinds in (("labels", different), ("losses", losses)):
        if len(kinds) > 1 and own != "pooled":
            note = f"no pooled fit: the tasks' {what} differ"
            return list(dict.fromkeys((BASELINE, own))), [note]
    return list(dict.fromkeys((BASELINE, "pooled", own))), []


def _fit_and_score(estimator, parameters, X, Y, X_test, Y_test, scorer):
    model = fit_with(estimator, parameters, X, Y)
    return task_scores(model, X_test, Y_test, scoring=scorer)
