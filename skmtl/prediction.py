"""Prediction from a fitted network, without a compiler."""

import functools

import numpy as np
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl.engine.forward import head_output, shared_representation
from skmtl.engine.layout import Architecture, Layout
from skmtl.metrics import make_task_scorer

FLOATS = (np.float64, np.float32)


def _has_one_output(estimator):
    """Before fit anything may come; after it, y must have been 1-D."""
    return getattr(estimator, "_is_1d", True)


class NetworkPredictor(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin):
    """Predicts from what a fit stored.

    ``_architecture`` is a dict of builtins, ``_theta`` one array, ``_task_classes`` a list with
    the labels of each task, ``_is_1d`` says whether there is just one task, with 1-D labels.
    """

    def _validate_X(self, X, *, reset=False):
        return validate_data(self, X, accept_sparse="csr", dtype=FLOATS, order="C", reset=reset)

    def _inputs(self, X):
        """Rows as the trunk reads them."""
        check_is_fitted(self)
        return self._inputs_of_validated(self._validate_X(X))

    def _inputs_of_validated(self, X):
        return X

    @property
    def _layout(self):
        return _layout_of(Architecture(**self._architecture))

    def _proba_of_inputs(self, layout, theta, Z, task):
        """Class probabilities of a task from the trunk's inputs."""
        n_classes = len(self._task_classes[task])
        if n_classes == 1:
            return np.ones((Z.shape[0], 1), Z.dtype)
        H = shared_representation(layout, theta, Z, task)
        return self.loss_.proba(head_output(layout, theta, H, task))

    def _task_proba(self, X, task):
        return self._proba_of_inputs(self._layout, self._theta, self._inputs(X), task)

    def _all_proba(self, X):
        Z, layout = self._inputs(X), self._layout
        n_tasks = len(self._task_classes)
        return [self._proba_of_inputs(layout, self._theta, Z, t) for t in range(n_tasks)]

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
        proba = self._all_proba(X)
        columns = [c[p.argmax(axis=1)] for c, p in zip(self._task_classes, proba)]
        if self._is_1d:
            return columns[0]
        out = np.empty((len(columns[0]), len(columns)), _common_dtype(columns))
        for t, column in enumerate(columns):
            out[:, t] = column
        return out

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
        Z, layout = self._inputs(X), self._layout
        H = shared_representation(layout, self._theta, Z)
        out = head_output(layout, self._theta, H)
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

    def transform(self, X):
        """Give the shared representation, the output of the trunk.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_shared)
            X itself where the trunk is empty; the nets' outputs side by side with
            ``sharing="none"``.
        """
        Z, layout = self._inputs(X), self._layout
        n_experts = layout.architecture.n_experts
        outputs = [shared_representation(layout, self._theta, Z, e) for e in range(n_experts)]
        return outputs[0] if n_experts == 1 else np.hstack(outputs)

    @property
    def _n_features_out(self):
        architecture = self._layout.architecture
        return architecture.n_shared * architecture.n_experts


def _common_dtype(columns):
    """The dtype that holds the labels of all columns as they are."""
    dtypes = {column.dtype for column in columns}
    if len(dtypes) == 1:
        return dtypes.pop()
    if all(dtype.kind in "iuf" for dtype in dtypes):
        return np.result_type(*dtypes)
    return np.dtype(object)


@functools.lru_cache(maxsize=64)
def _layout_of(architecture):
    return Layout(architecture)
