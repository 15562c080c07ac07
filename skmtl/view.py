"""One task of a fitted estimator, as a classifier or a regressor of its own."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class TaskView(BaseEstimator):
    """Base of the views of one task.

    For what expects one column of labels: scikit-learn's Displays, calibration, thresholds. A view
    is frozen: ``fit`` and ``clone`` leave it as it is.

    Parameters
    ----------
    estimator : MultiTaskClassifier, MultiTaskRegressor or MultiTaskEstimator
        Fitted.
    task : int
        Column of the task.
    """

    def __init__(self, estimator, task):
        self.estimator = estimator
        self.task = task

    def __sklearn_clone__(self):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def n_features_in_(self):
        """Columns of X."""
        return self.estimator.n_features_in_

    def fit(self, X=None, y=None):
        """Do nothing: the task is fitted with the others.

        Parameters
        ----------
        X, y : object
            Ignored.

        Returns
        -------
        TaskView
            Itself.
        """
        return self


class ClassifiedTask(ClassifierMixin, TaskView):
    """A fitted single-task classifier that reads one task of a fitted estimator.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels of the task.
    """

    @property
    def classes_(self):
        """The labels of the task."""
        return self.estimator._task_classes[self.task]

    def predict_proba(self, X):
        """Give class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return self.estimator._task_proba(X, self.task)

    def predict(self, X):
        """Give the most probable label.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]


class RegressedTask(RegressorMixin, TaskView):
    """A fitted single-task regressor that reads one task of a fitted estimator."""

    def predict(self, X):
        """Give the task's number, in the units of y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Numbers.
        """
        return self.estimator._task_numbers(X, self.task)
