"""Scores of several tasks with missing labels."""

import functools
import warnings
from inspect import signature
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, get_scorer
from sklearn.utils.metadata_routing import UNUSED

from skmtl._compat import check_sample_weight
from skmtl.columns import read_columns
from skmtl.task_types import CLASSIFIED, REGRESSED, TYPES, decoded, read_typed
from skmtl.tasks import observed

__all__ = [
    "make_task_scorer",
    "mean_task_accuracy",
    "mean_task_r2",
    "mean_task_score",
    "task_scores",
]


def make_task_scorer(
    score_func="accuracy",
    *,
    average="macro",
    response_method="predict",
    greater_is_better=True,
    missing_label=np.nan,
    **kwargs,
):
    """Make a scorer that scores each task on its observed labels and averages over tasks.

    The scorer is called as ``scorer(estimator, X, y, sample_weight=None)``, by hand or by
    ``cross_val_score`` and ``GridSearchCV(scoring=...)``, alone or as one of several in a dict.

    Parameters
    ----------
    score_func : str, scorer, callable or dict, default="accuracy"
        A name such as "balanced_accuracy", "roc_auc" or "neg_log_loss" (see
        :func:`sklearn.metrics.get_scorer_names`), a scorer of :func:`sklearn.metrics.make_scorer`,
        or a metric ``score_func(y_true, y_pred, **kwargs)``. A dict with one of these for
        "classification" and one for "regression" has them for tasks of that type; it is what a
        ``MultiTaskEstimator`` with both needs.
    average : {"macro", "weighted", "worst"}, int or str, default="macro"
        Mean over tasks; mean weighted by the number (or the `sample_weight`) of observed labels;
        lowest; or the score of one task, by its index or its name. Names are those of the columns
        of `y`, else the estimator's ``task_names_``.
    response_method : str or tuple of str, default="predict"
        What a callable takes as `y_pred`: "predict", "predict_proba", "decision_function", or
        several of which the first that the estimator has is used. As in scikit-learn, a binary
        task hands over the scores of the positive class alone: `pos_label` or the metric's default
        for it, or, where that is not a class of the task, the greater label.
    greater_is_better : bool, default=True
        Whether a callable is a score, else it is a loss and its sign is changed.
    missing_label : scalar, default=np.nan
        One more value that means missing in `y`, see :func:`skmtl.tasks.encode_labels`.
    **kwargs : dict
        Passed to the metric. A metric with an argument `average` of its own needs
        :func:`functools.partial`.

    Returns
    -------
    callable
        The scorer. Higher is better.

    Raises
    ------
    ValueError
        If `score_func` is an unknown name, or if it is a name or scorer and `response_method` or
        `greater_is_better` is given, since it brings its own.
    TypeError
        If `average` is neither an int nor a str.

    Notes
    -----
    A task is left out where its metric is undefined: if no label of it is observed, if the metric
    is NaN (ROC AUC of a single class), if the estimator does not predict it, or, for metrics of
    probabilities, if it knows less than two of its classes or not all that are observed. If no task
    is left the score is NaN, with an ``UndefinedMetricWarning``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skmtl.metrics import make_task_scorer
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> knn = KNeighborsClassifier(1).fit(X, np.array([[0, 5], [0, 5], [1, 6], [1, 7]]))
    >>> Y = np.array([[0, 5], [1, np.nan], [1, np.nan], [np.nan, 7]])
    >>> make_task_scorer("accuracy", average="worst")(knn, X, Y)
    0.6666666666666666
    """
    if not isinstance(average, (str, Integral)):
        raise TypeError(
            "average must be 'macro', 'weighted', 'worst', or the index or name of a task, got "
            f"{average!r}"
        )
    scorer = _TaskScorer(
        score_func, average, response_method, greater_is_better, missing_label, kwargs
    )
    if isinstance(score_func, dict) and not set(score_func) <= set(TYPES):
        raise ValueError(f"score_func as a dict has metrics for {TYPES}, got {score_func!r}")
    for type_ in score_func if isinstance(score_func, dict) else [CLASSIFIED]:
        scorer._metric(type_)  # complains about score_func, if need be
    return scorer


def task_scores(estimator, X, y, *, scoring="accuracy", sample_weight=None):
    """Score each task on its observed labels.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier or regressor of one or several tasks; for the latter name a `scoring`
        such as "r2".
    X : array-like of shape (n_samples, n_features)
        Inputs.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels, some of which may be missing.
    scoring : str, callable or scorer of :func:`make_task_scorer`, default="accuracy"
        What to score; all but the last as for :func:`make_task_scorer`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    ndarray of shape (n_tasks,)
        Higher is better; NaN where the metric is undefined.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skmtl.metrics import task_scores
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> knn = KNeighborsClassifier(1).fit(X, np.array([[0, 5], [0, 5], [1, 6], [1, 7]]))
    >>> task_scores(knn, X, [[0, None], [1, None], [1, None], [1, None]])
    array([0.75,  nan])
    """
    scorer = scoring if isinstance(scoring, _TaskScorer) else make_task_scorer(scoring)
    return scorer.task_scores(estimator, X, y, sample_weight)[0]


def mean_task_accuracy(y_true, y_pred, sample_weight=None):
    """Mean over tasks of the accuracy on observed labels, from class codes.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_samples, n_tasks)
        Class codes, -1 where the label is missing. A task with missing predictions is left out.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float
        Mean over the tasks that have an observed label (of positive weight); NaN, with an
        ``UndefinedMetricWarning``, if there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.metrics import mean_task_accuracy
    >>> mean_task_accuracy(np.array([[0, -1], [1, 2]]), np.array([[0, 1], [0, 2]]))
    0.75
    """
    weight = check_sample_weight(sample_weight, y_true)
    return _average(*_accuracies(y_true, y_pred, weight), "macro")


def mean_task_r2(y_true, y_pred, sample_weight=None):
    """Mean over tasks of the R2 on observed numbers.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_samples, n_tasks)
        Numbers, NaN in ``y_true`` where missing.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float
        Mean over the tasks with at least two observed numbers (of positive weight); NaN, with an
        ``UndefinedMetricWarning``, if there are none. Where all numbers of a task are the same its
        R2 is 1 if they are met, else 0, as in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.metrics import mean_task_r2
    >>> y = np.array([[1.0, 5.0], [3.0, np.nan], [5.0, 9.0]])
    >>> mean_task_r2(y, np.array([[1.0, 7.0], [3.0, 7.0], [5.0, 7.0]]))
    0.5
    """
    weight = check_sample_weight(sample_weight, y_true)
    return _average(*_r2s(y_true, y_pred, weight), "macro")


def mean_task_score(y_true, y_pred, is_class, sample_weight=None):
    """Mean over tasks of the accuracy of those that are classified, and the R2 of the others.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_samples, n_tasks)
        Class codes or numbers, by column; in ``y_true`` NaN where missing, or -1 for a code.
    is_class : ndarray of shape (n_tasks,), bool
        Which columns are class codes.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float
        Mean over the tasks that count in :func:`mean_task_accuracy` or :func:`mean_task_r2`; NaN,
        with an ``UndefinedMetricWarning``, if there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.metrics import mean_task_score
    >>> y = np.array([[1, 0.5], [0, 1.5], [np.nan, 2.5]])
    >>> mean_task_score(y, np.array([[1, 0.5], [1, 1.5], [1, 2.5]]), np.array([True, False]))
    0.75
    """
    weight = check_sample_weight(sample_weight, y_true)
    scores, totals = np.empty((2, y_true.shape[1]))
    for columns, score in ((is_class, _accuracies), (~is_class, _r2s)):
        scores[columns], totals[columns] = score(y_true[:, columns], y_pred[:, columns], weight)
    return _average(scores, totals, "macro")


def _accuracies(y_true, y_pred, weight):
    """Accuracy, and weight of the observed labels, of each task."""
    observed = y_true >= 0
    total = weight @ observed
    with np.errstate(invalid="ignore"):
        accuracy = weight @ (observed & (y_pred == y_true)) / total
    accuracy[(y_pred < 0).any(axis=0)] = np.nan
    return accuracy, total


def _r2s(y_true, y_pred, weight):
    """R2, and weight of the observed numbers, of each task."""
    n_tasks = y_true.shape[1]
    scores, totals = np.full(n_tasks, np.nan), np.zeros(n_tasks)
    for t in range(n_tasks):
        rows = np.flatnonzero((weight > 0) & ~np.isnan(y_true[:, t]))
        if rows.size < 2:
            continue
        true, w, totals[t] = y_true[rows, t], weight[rows], weight[rows].sum()
        error = w @ (true - y_pred[rows, t]) ** 2
        spread = w @ (true - np.average(true, weights=w)) ** 2
        scores[t] = 1 - error / spread if spread > 0 else float(error == 0)
    return scores, totals


class _TaskScorer(BaseEstimator):
    """What :func:`make_task_scorer` returns; BaseEstimator brings clone and metadata routing."""

    # The routing of a scorer is that of a method `score`; its estimator is no metadata.
    __metadata_request__score = {"estimator": UNUSED}

    def __init__(
        self, score_func, average, response_method, greater_is_better, missing_label, kwargs
    ):
        self.score_func = score_func
        self.average = average
        self.response_method = response_method
        self.greater_is_better = greater_is_better
        self.missing_label = missing_label
        self.kwargs = kwargs

    def __repr__(self):
        func = self.score_func
        shown = [func.__name__ if hasattr(func, "__name__") else repr(func)]
        for name, parameter in signature(make_task_scorer).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                value = getattr(self, name)
                if repr(value) != repr(parameter.default):
                    shown.append(f"{name}={value!r}")
        shown += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"make_task_scorer({', '.join(shown)})"

    def __call__(self, estimator, X, y, sample_weight=None):
        """Score of all tasks together."""
        one = None if self.average in ("macro", "weighted", "worst") else self.average
        scores, weights = self.task_scores(estimator, X, y, sample_weight, only=one)
        return _average(scores, weights, self.average if one is None else "macro")

    score = __call__

    def _accept_sample_weight(self):
        """Whether scikit-learn may pass weights to the metric when routing is off."""
        types = self.score_func if isinstance(self.score_func, dict) else [CLASSIFIED]
        functions = [self._metric(type_)[0] for type_ in types]
        return all("sample_weight" in signature(function).parameters for function in functions)

    def _metric(self, type_):
        """Metric function, response methods, sign and arguments for tasks of a type."""
        func, methods = self.score_func, self.response_method
        if isinstance(func, dict):
            if type_ not in func:
                raise ValueError(f"score_func={func!r} has no metric for {type_!r}")
            func = func[type_]
        sign, kwargs = (1 if self.greater_is_better else -1), self.kwargs
        scorer = _scorer_of_name(func) if isinstance(func, str) else func
        if not callable(scorer):
            raise TypeError(
                f"score_func must be a name, a scorer or a metric function, got {func!r}"
            )
        if hasattr(scorer, "_score_func"):
            if methods != "predict" or sign != 1:
                raise ValueError(
                    f"score_func={func!r} brings its own response_method and greater_is_better; "
                    "give them with a metric function only"
                )
            func, methods, sign = scorer._score_func, scorer._response_method, scorer._sign
            kwargs = {**scorer._kwargs, **kwargs}
        return func, [methods] if isinstance(methods, str) else list(methods), sign, kwargs

    def task_scores(self, estimator, X, y, sample_weight=None, only=None):
        """Score and weight (or number of labels) per task; `only` names the one to be scored."""
        columns = read_columns(y)
        n_tasks = len(columns.columns)
        types = _types_of_tasks(estimator, n_tasks)
        codes, label_sets, names, is_1d = read_typed(columns, types, self.missing_label).table()
        there = observed(codes)
        tasks = range(n_tasks)
        if only is not None:
            tasks = [_index_of(only, names, n_tasks, estimator)]
        wanted = {types[t] for t in tasks}
        if len(wanted) > 1 and not isinstance(self.score_func, dict):
            raise ValueError(
                f"score_func={self.score_func!r} is one metric, and some tasks are classified, "
                "others regressed: give a dict such as "
                "{'classification': 'accuracy', 'regression': 'r2'}"
            )
        metrics = {type_: self._metric(type_) for type_ in wanted}
        methods = {type_: self._method(estimator, metrics[type_][1]) for type_ in wanted}
        responses = {
            method: _responses(estimator, method, X, types) for method in set(methods.values())
        }
        known = [None] * n_tasks
        if set(methods.values()) - {"predict"}:
            known = [estimator.classes_] if is_1d else estimator.classes_
            if not isinstance(known, list) or len(known) != n_tasks:
                raise ValueError(
                    f"y has {n_tasks} tasks, so that estimator.classes_ must be a list of "
                    f"{n_tasks} arrays, got {known!r}"
                )
        weight = check_sample_weight(sample_weight, codes)
        scores = np.full(n_tasks, np.nan)
        weights = weight @ there
        for t in tasks:
            (func, _, sign, kwargs), method = metrics[types[t]], methods[types[t]]
            labels, classes, response = label_sets[t], known[t], responses[method][t]
            if weights[t] == 0 or response is None:
                continue
            rows, arguments = np.flatnonzero(there[:, t]), kwargs
            y_true, y_pred = decoded(codes[rows, t], labels), response[rows]
            if method != "predict":
                if len(classes) < 2 or not np.isin(labels, classes).all():
                    continue
                arguments = {**_label_arguments(func, classes), **kwargs}
                if len(classes) == 2:
                    y_pred = _of_class(y_pred, classes, arguments.get("pos_label"))
            if sample_weight is not None:
                arguments = {**arguments, "sample_weight": weight[rows]}
            plain = func is accuracy_score and method == "predict" and not kwargs
            metric = _accuracy if plain else func
            scores[t] = sign * metric(y_true, y_pred, **arguments)
        return scores, weights

    def _method(self, estimator, methods):
        """The first of some methods that the estimator has."""
        method = next((method for method in methods if hasattr(estimator, method)), None)
        if method is None:
            raise AttributeError(
                f"{type(estimator).__name__} has none of the methods {methods} that {self!r} needs"
            )
        return method


@functools.cache
def _scorer_of_name(name):
    """A scorer of scikit-learn, not to be changed; ``get_scorer`` makes a deep copy every time."""
    return get_scorer(name)


def _accuracy(y_true, y_pred, sample_weight=None):
    """The accuracy of labels as ``encode_labels`` gives them, at which scikit-learn looks anew.

    That takes it 0.4 ms, as long as a fit of some epochs on a few rows.
    """
    if (y_true.dtype.kind in "biuf") != (y_pred.dtype.kind in "biuf"):
        raise ValueError(  # as scikit-learn says it from 1.7 on; before, such labels are wrong ones
            f"Mix of label input types (string and number): y holds {y_true[:3]}, and "
            f"{y_pred[:3]} is predicted."
        )
    return float(np.average(y_true == y_pred, weights=sample_weight))


def _index_of(task, names, n_tasks, estimator):
    """Index of a task given by index, or by a name in `names` or else the estimator's."""
    known = list(range(n_tasks))
    if isinstance(task, str):
        names = getattr(estimator, "task_names_", None) if names is None else names
        known = [] if names is None else list(names)
    if task not in known:
        raise ValueError(f"average={task!r} is no task of the {n_tasks}, which are {known}")
    return known.index(task)


def _types_of_tasks(estimator, n_tasks):
    """The type of each task, of any estimator; those without a sign of numbers are classifiers."""
    if hasattr(estimator, "__sklearn_tags__") and is_regressor(estimator):
        return [REGRESSED] * n_tasks
    classes = getattr(estimator, "classes_", ())
    if classes is None:
        return [REGRESSED] * n_tasks
    if isinstance(classes, list) and any(of_task is None for of_task in classes):
        if len(classes) != n_tasks:
            raise ValueError(f"y has {n_tasks} columns, but there are {len(classes)} tasks")
        return [REGRESSED if of_task is None else CLASSIFIED for of_task in classes]
    return [CLASSIFIED] * n_tasks


def _responses(estimator, method, X, types):
    """What the estimator says about each task; None where it predicts that the label is missing."""
    response, n_tasks = getattr(estimator, method)(X), len(types)
    if method == "predict":
        columns = read_columns(response)
        if len(columns.columns) == n_tasks:
            read = read_typed(columns, types, np.nan)
            pairs = zip(read.columns, read.classes)
            return [
                decoded(column.y, classes) if column.weight.all() else None
                for column, classes in pairs
            ]
        response = columns.columns
    elif n_tasks == 1 and not isinstance(response, list):
        response = [response]
    elif not isinstance(response, list):
        raise ValueError(f"{method} must return a list of arrays, one per task, got {response!r}")
    if len(response) != n_tasks:
        raise ValueError(f"{method} must answer for {n_tasks} tasks, got {len(response)}")
    return response


def _label_arguments(func, classes):
    """Classes for metrics of scores, which would infer them from the few labels of a fold."""
    parameters = signature(func).parameters
    arguments = {"labels": classes} if "labels" in parameters else {}
    if "pos_label" in parameters and len(classes) == 2:
        default = parameters["pos_label"].default
        arguments["pos_label"] = default if default in classes.tolist() else classes[1]
    return arguments


def _of_class(scores, classes, label):
    """Scores of one class of a binary task, by default the second."""
    j = 1 if label is None else classes.tolist().index(label)
    if scores.ndim == 2:
        return scores[:, j]
    return scores if j == 1 else -scores


def _average(scores, weights, average):
    """Average over the tasks with a score."""
    defined = ~np.isnan(scores)
    if not defined.any():
        warnings.warn("No task has a defined score.", UndefinedMetricWarning, stacklevel=3)
        return np.nan
    scores, weights = scores[defined], weights[defined]
    if average == "worst":
        return float(scores.min())
    return float(np.average(scores, weights=weights if average == "weighted" else None))
