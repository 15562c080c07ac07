"""What is about class labels, for estimators whose tasks are classified."""

import functools

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from skmtl._compat import StrOptions
from skmtl.engine.forward import task_outputs
from skmtl.metrics import make_task_scorer, mean_task_accuracy
from skmtl.plugins.base import ClassificationLoss
from skmtl.tasks import codes_in_union, encode_labels, union_of_labels
from skmtl.weights import class_weight_by_task


def _has_one_output(estimator):
    """Before fit anything may come; after it, y must have been 1-D."""
    return getattr(estimator, "_is_1d", True)


class Classification(ClassifierMixin):
    """Goes before ``Network``: labels in, class probabilities and labels out.

    ``_task_classes`` is a list with the labels of each task, ``_is_1d`` says whether there is just
    one task, with 1-D labels.
    """

    _parameter_constraints = {
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }
    _loss_kind = ClassificationLoss, "on classes"
    _mean_score = staticmethod(mean_task_accuracy)

    # --- fit ------------------------------------------------------------------------------------

    def _read_labels(self, y, *, known=None, estimator=None):
        """``TaskLabels`` of y; ``known`` are the classes of each task, if they are known."""
        return encode_labels(
            y, missing_label=self.missing_label, classes=known, estimator=estimator
        )

    def _class_weights(self, task_classes, task_names=None):
        """One entry for each task."""
        return class_weight_by_task(self.class_weight, task_classes, task_names)

    def _check_first_classes(self, classes):
        if classes is None and not hasattr(self, "_theta"):
            raise ValueError("classes must be passed on the first call to partial_fit.")

    @staticmethod
    def _learns_nothing(classes):
        """Whether there is just one class to predict."""
        return len(classes) == 1

    @staticmethod
    def _n_outputs(classes, loss):
        """Outputs of a head; a constant needs none, but has one."""
        return 1 if len(classes) == 1 else loss.n_outputs(classes)

    def _pool(self, columns):
        """Give all tasks the union of their classes; returns the columns with codes in it."""
        columns, self._task_classes = pooled_classes(columns, self._task_classes, self.sharing)
        return columns

    # --- predict --------------------------------------------------------------------------------

    def _proba_of_inputs(self, layout, theta, Z, tasks=None):
        """Class probabilities of some tasks, or of all, from the trunk's inputs."""
        tasks = range(len(self._task_classes)) if tasks is None else tasks
        outputs = learned_outputs(layout, theta, Z, tasks, self._task_classes)
        return [proba_of(self.loss_, out) for out in outputs]

    def _task_proba(self, X, task):
        return self._of_rows(X, functools.partial(self._proba_of_inputs, tasks=[task]))[0]

    def _all_proba(self, X):
        return self._of_rows(X, self._proba_of_inputs)

    def _encoded_predictions(self, layout, theta, Z):
        """Codes of the most probable class of each task, from the trunk's inputs."""
        return [p.argmax(axis=1) for p in self._proba_of_inputs(layout, theta, Z)]

    def predict(self, X):
        """Give the most probable label of each task.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels; of dtype object where the tasks' labels have no common dtype.
        """
        codes = self._of_rows(X, self._encoded_predictions)
        columns = [c[codes_t] for c, codes_t in zip(self._task_classes, codes)]
        return columns[0] if self._is_1d else side_by_side(columns)

    def predict_proba(self, X):
        """Give class probabilities of each task.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or list of n_tasks such arrays
            Columns in the order of ``classes_``.
        """
        proba = self._all_proba(X)
        return proba[0] if self._is_1d else proba

    def predict_log_proba(self, X):
        """Give the logarithm of ``predict_proba``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or list of n_tasks such arrays
            Columns in the order of ``classes_``.
        """
        proba = self._all_proba(X)
        with np.errstate(divide="ignore"):
            logs = [np.log(p) for p in proba]
        return logs[0] if self._is_1d else logs

    @available_if(_has_one_output)
    def decision_function(self, X):
        """Give the outputs of the network. Only for 1-D y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the logit of the second.
        """
        (out,) = self._of_rows(X, functools.partial(task_outputs, tasks=[0]))
        return out[:, 0] if out.shape[1] == 1 else out

    def score(self, X, y, sample_weight=None):
        """Give the mean over tasks of the accuracy on observed labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their labels, with holes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.

        Returns
        -------
        float
            From 0 to 1; NaN if no label is observed.
        """
        scorer = make_task_scorer("accuracy", missing_label=self.missing_label)
        return scorer(self, X, y, sample_weight=sample_weight)


def learned_outputs(layout, theta, Z, tasks, task_classes):
    """The outputs of the heads of some tasks.

    Parameters
    ----------
    layout : Layout
        Of the network.
    theta : ndarray of shape (layout.size,)
        Its parameters.
    Z : {ndarray, CSR} of shape (n_samples, n_inputs)
        Rows in the trunk's input space.
    tasks : iterable of int
        Which ones.
    task_classes : list of ndarray or None
        The labels of all tasks, None for numbers.

    Returns
    -------
    list of ndarray of shape (n_samples, n_outputs)
        With no output for a task of one class, whose head has learned nothing.
    """
    trained = [t for t in tasks if task_classes[t] is None or len(task_classes[t]) > 1]
    outputs = dict(zip(trained, task_outputs(layout, theta, Z, trained), strict=True))
    nothing = np.empty((Z.shape[0], 0), Z.dtype)
    return [outputs.get(task, nothing) for task in tasks]


def proba_of(loss, out):
    """Class probabilities, from what :func:`learned_outputs` gives for a task.

    Parameters
    ----------
    loss : ClassificationLoss
        The task's.
    out : ndarray of shape (n_samples, n_outputs)
        The outputs of its head.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
    """
    return loss.proba(out) if out.shape[1] else np.ones((len(out), 1), out.dtype)


def pooled_classes(columns, task_classes, sharing):
    """Give tasks that share a head the union of their classes.

    Parameters
    ----------
    columns : list of TaskColumn
        Of all tasks.
    task_classes : list of ndarray
        The labels of each task.
    sharing : str or Sharing
        Named in the error.

    Returns
    -------
    columns : list of TaskColumn
    task_classes : list of ndarray
        All the same.

    Raises
    ------
    ValueError
        If some labels are strings and others are not.
    """
    try:
        union = union_of_labels(task_classes)
    except TypeError as error:
        raise ValueError(
            f"sharing={sharing!r} needs labels of one kind in all tasks, because they share a "
            "head; use sharing='hard'."
        ) from error
    pooled = [
        column._replace(y=codes_in_union(column.y, classes, union))
        for column, classes in zip(columns, task_classes, strict=True)
    ]
    return pooled, [union] * len(pooled)


def side_by_side(columns):
    """Columns as one array, of the dtype that holds the labels of all as they are.

    Parameters
    ----------
    columns : list of ndarray of shape (n_samples,)
        Of any dtypes.

    Returns
    -------
    ndarray of shape (n_samples, n_columns)
    """
    out = np.empty((len(columns[0]), len(columns)), _common_dtype(columns))
    for t, column in enumerate(columns):
        out[:, t] = column
    return out


def _common_dtype(columns):
    dtypes = {column.dtype for column in columns}
    if len(dtypes) == 1:
        return dtypes.pop()
    if all(dtype.kind in "iuf" for dtype in dtypes):
        return np.result_type(*dtypes)
    return np.dtype(object)


def known_classes(classes, known):
    """The classes of the first call to ``partial_fit``, which a later one must not contradict.

    Parameters
    ----------
    classes : array-like, list of array-like, or None
        As given to the later call.
    known : list of ndarray
        Those of each task.

    Returns
    -------
    list of ndarray
    """
    if classes is not None:
        given = [classes] if len(known) == 1 and np.ndim(next(iter(classes))) == 0 else classes
        same = len(given) == len(known)
        if not same or not all(map(np.array_equal, map(np.unique, given), known)):
            raise ValueError(
                f"classes={classes!r} differs from those of the first call to partial_fit: "
                f"{known!r}."
            )
    return known
