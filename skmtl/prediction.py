"""Prediction from a fitted network, without a compiler."""

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skmtl.engine.forward import expert_outputs, gate_weights, in_blocks
from skmtl.engine.layout import Architecture, layout_of
from skmtl.rows import is_plain, validate_rows


class NetworkPredictor(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Predicts from what a fit stored.

    ``_architecture`` is a dict of builtins, ``_theta`` one array. What comes out of the heads is
    for ``skmtl.classification`` or ``skmtl.regression`` to read.
    """

    def _validate_X(self, X, *, reset=False):
        """What ``validate_data`` gives, and leaves in the estimator."""
        if reset and is_plain(X):
            self.n_features_in_ = X.shape[1]
            self.__dict__.pop("feature_names_in_", None)
            return X
        return validate_rows(self, X, reset=reset)

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

    @property
    def task_gates_(self):
        """The part of each expert in what each task reads; None where it depends on x."""
        check_is_fitted(self)
        return gate_weights(self._layout, self._theta)

    def _of_rows(self, X, function):
        """What a function of (layout, theta, inputs of the trunk) gives for rows; see in_blocks."""
        X, layout, theta = self._rows(X), self._layout, self._theta
        return in_blocks(
            lambda rows: function(layout, theta, self._inputs_of_validated(rows)), layout, X
        )

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
