"""Prediction from a fitted network, without a compiler."""

import functools

import numpy as np
from sklearn.base import ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl.engine.forward import expert_outputs, in_blocks, task_outputs
from skmtl.engine.layout import Architecture, layout_of
from skmtl.metrics import make_task_scorer
from skmtl.rows import FLOATS, is_plain


def _has_one_output(estimator):
    """Before fit anything may come; after it, y must have been 1-D."""
    return getattr(estimator, "_is_1d", True)


class NetworkPredictor(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin):
    """Predicts from what a fit stored.

    ``_architecture`` is a dict of builtins, ``_theta`` one array, ``_task_classes`` a list with
    the labels of each task, ``_is_1d`` says whether there is just one task, with 1-D labels.
    """

    def _validate_X(self, X, *, reset=False):
        """What ``validate_data`` gives, and leaves in the estimator."""
        if reset and is_plain(X):
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
            return X
        return validate_data(self, X, accept_sparse="csr", dtype=FLOATS, order="C", reset=reset)

    def _rows(self, X):
        """X as ``validate_data`` gives it, of a fitted estimator."""
        if self._is_valid(X):
            return X
        check_is_fitted(self)
        return self._validate_X(X)

    def _is_valid(self, X):
        """Whether X is what ``validate_data`` certainly hands back as it is."""
        return (
            is_plain(X)
            and X.shape[1] == getattr(self, "n_features_in_", None)
            and not hasattr(self, "feature_names_in_")
        )

    def _inputs_of_validated(self, X):
        """Rows as the trunk reads them."""
        return X

    @property
    def _layout(self):
        return layout_of(Architecture(**self._architecture))

    def _proba_of_inputs(self, layout, theta, Z, tasks=None):
        """Class probabilities of some tasks, or of all, from the trunk's inputs."""
        tasks = range(len(self._task_classes)) if tasks is None else tasks
        trained = [task for task in tasks if len(self._task_classes[task]) > 1]
        outputs = dict(zip(trained, task_outputs(layout, theta, Z, trained), strict=True))
        return [
            self.loss_.proba(outputs[task])
            if task in outputs
            else np.ones((Z.shape[0], 1), Z.dtype)
            for task in tasks
        ]

    def _of_rows(self, X, function):
        """What a function of (layout, theta, inputs of the trunk) gives for rows; see in_blocks."""
        X, layout, theta = self._rows(X), self._layout, self._theta
        return in_blocks(
            lambda rows: function(layout, theta, self._inputs_of_validated(rows)), layout, X
        )

    def _task_proba(self, X, task):
        return self._of_rows(X, functools.partial(self._proba_of_inputs, tasks=[task]))[0]

    def _all_proba(self, X):
        return self._of_rows(X, self._proba_of_inputs)

    def _most_probable(self, layout, theta, Z):
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
        codes = self._of_rows(X, self._most_probable)
        columns = [c[codes_t] for c, codes_t in zip(self._task_classes, codes)]
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

    def transform(self, X):
        """Give the shared representation, the output of the trunk.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_shared)
            X itself where the trunk is empty; what the experts give side by side where there are
            several, which with ``sharing="none"`` are the tasks' nets.
        """
        check_is_fitted(self)
        architecture = self._layout.architecture
        if not architecture.hidden:
            return self._inputs_of_validated(self._rows(X))
        outputs = self._of_rows(X, expert_outputs)
        return outputs[0] if len(outputs) == 1 else np.hstack(outputs)

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
