"""What is about numbers, for estimators whose tasks are regressed."""

import functools

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_consistent_length

from skmtl.engine.forward import task_outputs
from skmtl.metrics import mean_task_r2
from skmtl.plugins.base import RegressionLoss
from skmtl.targets import offset_and_scale, read_numbers
from skmtl.tasks import observed


class Regression(RegressorMixin):
    """Goes before ``Network``: numbers in, numbers out.

    Networks learn ``(y - offset) / scale``. ``y_offset_`` and ``y_scale_`` are arrays with an entry
    for each task, ``_is_1d`` says whether there is just one, with 1-D y. Where classifiers have a
    list of the labels of each task, there is a list of None.
    """

    _parameter_constraints = {"scale_targets": ["boolean"]}
    _loss_kind = RegressionLoss, "on numbers"
    _mean_score = staticmethod(mean_task_r2)

    # --- fit ------------------------------------------------------------------------------------

    def _read_labels(self, y, *, known=None, estimator=None):
        """``TaskLabels`` of y; there is nothing to know of numbers beforehand."""
        labels = read_numbers(y, missing_label=self.missing_label, estimator=estimator)
        self.loss_.check_targets(labels.codes[observed(labels.codes)])
        return labels

    def _class_weights(self, task_classes, task_names=None):
        return [None] * len(task_classes)

    def _set_classes(self):
        """Numbers have none."""

    @staticmethod
    def _learns_nothing(classes):
        return False

    @staticmethod
    def _n_outputs(classes, loss):
        return 1

    def _units_of(self, y, weight, loss):
        """Offset and scale for numbers with these weights."""
        if not self.scale_targets:
            return 0.0, 1.0
        return offset_and_scale(y, weight, loss.centring)

    # --- predict --------------------------------------------------------------------------------

    def _task_numbers(self, X, task):
        return self._of_rows(X, functools.partial(self._encoded_predictions, tasks=[task]))[0]

    def _encoded_predictions(self, layout, theta, Z, tasks=None):
        """Numbers that some tasks predict, or all, from the trunk's inputs."""
        tasks = range(len(self.y_scale_)) if tasks is None else tasks
        outputs = task_outputs(layout, theta, Z, tasks)
        return [
            numbers_of(self.loss_, out, self.y_offset_[task], self.y_scale_[task])
            for out, task in zip(outputs, tasks)
        ]

    def predict(self, X):
        """Give the number that each task predicts, in the units of y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Means, or what else the loss is least at, such as a quantile.
        """
        columns = self._of_rows(X, self._encoded_predictions)
        return columns[0] if self._is_1d else np.column_stack(columns)

    def score(self, X, y, sample_weight=None):
        """Give the mean over tasks of the R2 on observed numbers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their numbers, with holes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.

        Returns
        -------
        float
            1 at best, 0 for a prediction of the mean; a task with less than two numbers does not
            count, and if there is none that does, it is NaN.

        Raises
        ------
        ValueError
            If y has another number of rows or tasks.
        """
        y = read_numbers(y, missing_label=self.missing_label).codes
        predicted = self.predict(X)
        predicted = predicted[:, np.newaxis] if self._is_1d else predicted
        check_consistent_length(predicted, y)
        if y.shape[1] != predicted.shape[1]:
            raise ValueError(
                f"y has {y.shape[1]} columns; this {type(self).__name__} predicts "
                f"{predicted.shape[1]}."
            )
        return mean_task_r2(y, predicted, sample_weight)


class UnitsByTask:
    """Goes before ``Regression``: tasks with a head each are learned in units of their own."""

    def _as_learned(self, columns, resume):
        """The columns to train on, in the units of each task; sets these if this is the start."""
        if not resume:
            self.y_offset_, self.y_scale_ = self._units(columns)
        units = zip(columns, self.y_offset_, self.y_scale_)
        return [
            column if column.y.dtype.kind == "i" else column._replace(y=(column.y - offset) / scale)
            for column, offset, scale in units
        ]

    def _units(self, columns):
        """Offsets and scales of all tasks, for these numbers."""
        numbers = [(column.y, column.weight) for column in columns]
        if self.sharing_.shares_heads:
            together = map(np.concatenate, zip(*numbers))
            units = [self._units_of(*together, self._loss_of(0))] * len(columns)
        else:
            units = [self._units_of(*pair, self._loss_of(t)) for t, pair in enumerate(numbers)]
        return np.array(units).T.copy()


def numbers_of(loss, out, offset, scale):
    """Numbers in the units of y, from a head's outputs.

    Parameters
    ----------
    loss : RegressionLoss
        The task's.
    out : ndarray of shape (n_samples, 1)
        The output of its head.
    offset, scale : float
        The units in which the head has learned.

    Returns
    -------
    ndarray of shape (n_samples,), float64
    """
    return loss.predict(out)[:, 0].astype(np.float64) * scale + offset
