"""What is about tasks some of which are classified, and others regressed."""

import functools

import numpy as np
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skmtl._compat import HasMethods, StrOptions
from skmtl.classification import (
    Classification,
    known_classes,
    learned_outputs,
    pooled_classes,
    proba_of,
    side_by_side,
)
from skmtl.columns import in_task, read_columns
from skmtl.metrics import mean_task_score
from skmtl.plugins.base import ClassificationLoss
from skmtl.regression import Regression, UnitsByTask, numbers_of
from skmtl.targets import offset_and_scale
from skmtl.task_losses import losses_of
from skmtl.task_types import (
    CLASSIFIED,
    REGRESSED,
    TYPES,
    asked_types,
    decoded,
    known_labels,
    read_typed,
    spread_columns,
    types_of,
    warn_of_whole_numbers,
)
from skmtl.tasks import observed, union_of_labels
from skmtl.view import ClassifiedTask, RegressedTask
from skmtl.weights import class_weight_by_task

#: What scikit-learn takes an estimator for all of whose tasks are to be of one type.
_KINDS = {CLASSIFIED: "classifier", REGRESSED: "regressor"}


def _classifies(estimator):
    """Before fit anything may come that is not ruled out; after it, one task must be classified."""
    ruled_out = estimator.task_types == REGRESSED
    return not ruled_out and CLASSIFIED in getattr(estimator, "task_types_", TYPES)


class Mixed(UnitsByTask):
    """Goes before ``MultiTaskNetwork``: labels and numbers in, labels and numbers out.

    ``_task_classes`` is a list with the labels of each task, None for one that is regressed.
    ``loss_`` is a list too. In a table of encoded labels codes of classes are floats, beside
    numbers; where all tasks are classified they are integers.
    """

    _parameter_constraints = {
        **Classification._parameter_constraints,
        **Regression._parameter_constraints,
        "task_types": [StrOptions({"auto", *TYPES}), list, dict],
        "loss": [str, HasMethods(["value_grad"]), list, dict],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.estimator_type = _KINDS.get(str(self.task_types))
        tags.classifier_tags, tags.regressor_tags = ClassifierTags(), RegressorTags()
        return tags

    # --- fit ------------------------------------------------------------------------------------

    def _resolve_loss(self):
        """Nothing yet: losses go by the types of the tasks, which y may decide."""

    def _loss_of(self, t):
        return self.loss_[t]

    def _read_tasks(self, y, task, known):
        columns, rows = read_columns(y, self), None
        if task is not None:
            columns, rows = spread_columns(columns, task)
        if known is None:
            asked = asked_types(self.task_types, columns)
            types = types_of(asked, columns, self.missing_label)
        else:
            types = asked = [REGRESSED if labels is None else CLASSIFIED for labels in known]
        labels = read_typed(columns, types, self.missing_label, known=known, rows=rows)
        warn_of_whole_numbers(asked, labels)
        self.task_types_ = types
        self.loss_ = losses_of(self.loss, types, labels.names)
        self._check_targets(labels)
        return labels

    def _first_known(self, y, classes):
        """Labels of each task, None for numbers, at the first call to ``partial_fit``."""
        columns = read_columns(y, self)
        asked = asked_types(self.task_types, columns)
        if classes is not None:
            return known_labels(classes, asked, self.missing_label)
        types = types_of(asked, columns, self.missing_label)
        labels = read_typed(columns, types, self.missing_label)
        for t, found in enumerate(labels.classes):
            if found is not None and not len(found):
                raise ValueError(
                    "y has no label in the first call to partial_fit: say with classes= which ones "
                    f"there are.{in_task(t, labels.names)}"
                )
        return labels.classes

    def _known_later(self, classes):
        """The same at a later call, which must not contradict the first."""
        if classes is not None:
            given = known_labels(classes, self.task_types_, self.missing_label)
            lists = given, self._label_classes
            known_classes(*([c for c in labels if c is not None] for labels in lists))
        return self._label_classes

    def _read_labels(self, y, *, known=None, estimator=None):
        """``TaskLabels`` of y of the types of the fit; ``known`` are the classes of each task."""
        columns = read_columns(y, estimator)
        labels = read_typed(columns, self.task_types_, self.missing_label, known=known)
        self._check_targets(labels)
        return labels.table()

    def _check_targets(self, labels):
        for t in self._tasks_of(REGRESSED):
            self.loss_[t].check_targets(labels.columns[t].used_y)

    def _tasks_of(self, type_):
        return [t for t, of_task in enumerate(self.task_types_) if of_task == type_]

    def _class_weights(self, task_classes, task_names=None):
        return class_weight_by_task(self.class_weight, task_classes, task_names)

    def _set_classes(self):
        self.classes_ = self._task_classes[0] if self._is_1d else self._task_classes

    @staticmethod
    def _learns_nothing(classes):
        return classes is not None and Classification._learns_nothing(classes)

    @staticmethod
    def _n_outputs(classes, loss):
        kind = Regression if classes is None else Classification
        return kind._n_outputs(classes, loss)

    def _units_of(self, y, weight, loss):
        if isinstance(loss, ClassificationLoss) or not self.scale_targets:
            return 0.0, 1.0
        return offset_and_scale(y, weight, loss.centring)

    def _pool(self, columns):
        """Give all tasks what their one head needs them to have in common; returns columns."""
        if len(set(self.task_types_)) > 1 or len(set(map(type, self.loss_))) > 1:
            raise ValueError(
                f"sharing={self.sharing!r} gives all tasks one head, and needs tasks of one type "
                "and one loss: use sharing='hard'."
            )
        if self.task_types_[0] == CLASSIFIED:
            columns, self._task_classes = pooled_classes(columns, self._task_classes, self.sharing)
        return columns

    @property
    def _is_class(self):
        return np.array([type_ == CLASSIFIED for type_ in self.task_types_])

    def _mean_score(self, y, predicted):
        return mean_task_score(y, predicted, self._is_class)

    def _view(self, t):
        return (RegressedTask if self._task_classes[t] is None else ClassifiedTask)(self, t)

    # --- predict --------------------------------------------------------------------------------

    def _outcomes(self, layout, theta, Z, tasks=None):
        """Class probabilities or numbers of some tasks, or of all, from the trunk's inputs."""
        tasks = range(self.n_tasks_) if tasks is None else tasks
        outputs = learned_outputs(layout, theta, Z, tasks, self._task_classes)
        return [
            numbers_of(self.loss_[t], out, self.y_offset_[t], self.y_scale_[t])
            if self._task_classes[t] is None
            else proba_of(self.loss_[t], out)
            for t, out in zip(tasks, outputs)
        ]

    def _encoded_predictions(self, layout, theta, Z):
        """Codes of the most probable class, or numbers, of each task, from the trunk's inputs."""
        outcomes = self._outcomes(layout, theta, Z)
        return [out if out.ndim == 1 else out.argmax(axis=1) for out in outcomes]

    def _task_outcome(self, X, task):
        return self._of_rows(X, functools.partial(self._outcomes, tasks=[task]))[0]

    _task_proba = _task_numbers = _task_outcome

    def predict(self, X):
        """Give the most probable label, or the number, of each task.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels and numbers, these in the units of y. float64 if all labels are numbers, else of
            dtype object.
        """
        encoded = self._of_rows(X, self._encoded_predictions)
        columns = list(map(decoded, encoded, self._task_classes))
        return columns[0] if self._is_1d else side_by_side(columns)

    @available_if(_classifies)
    def predict_proba(self, X):
        """Give class probabilities of each classified task. Only if there is one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or list of n_tasks such arrays or None
            Columns in the order of ``classes_``; None for a regressed task.
        """
        check_is_fitted(self)
        classified = self._tasks_of(CLASSIFIED)
        proba = self._of_rows(X, functools.partial(self._outcomes, tasks=classified))
        if self._is_1d:
            return proba[0]
        by_task = dict(zip(classified, proba))
        return [by_task.get(t) for t in range(self.n_tasks_)]

    def score(self, X, y, sample_weight=None):
        """Give the mean over tasks of the accuracy, or R2, on what is observed.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their labels and numbers, with holes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.

        Returns
        -------
        float
            1 at best; a task without label, or with less than two numbers, does not count, and if
            there is none that does, it is NaN.

        Raises
        ------
        ValueError
            If y has another number of rows or tasks.
        """
        predicted = np.column_stack(self._of_rows(X, self._encoded_predictions))
        labels = read_typed(read_columns(y), self.task_types_, self.missing_label).table()
        check_consistent_length(predicted, labels.codes)
        true = labels.codes.copy()
        for t in self._tasks_of(CLASSIFIED):
            true[:, t] = _codes_among(self._task_classes[t], true[:, t], labels.classes[t])
        return mean_task_score(true, predicted, self._is_class, sample_weight)


def _codes_among(known, codes, classes):
    """Codes in ``classes`` as codes in ``known``, where others have one that is never predicted."""
    union_of_labels([known, classes])  # complains of strings beside numbers
    code_of = {label: code for code, label in enumerate(known.tolist())}
    table = np.array([code_of.get(label, len(known)) for label in classes.tolist()], codes.dtype)
    out, there = codes.copy(), observed(codes)
    out[there] = table[codes[there].astype(np.intp)]
    return out
