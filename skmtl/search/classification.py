"""What a search over sharing is, where labels are classes."""

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmtl.search.base import best_has
from skmtl.search.scores import log_score
from skmtl.tasks import encode_labels


class ClassificationSearch(ClassifierMixin, BaseEstimator):
    """Goes after ``SharingSearch``: labels are classes, scores are their log-probabilities."""

    _score_name = "log score"

    def _read_labels(self, y, estimator):
        return encode_labels(y, missing_label=estimator.missing_label, estimator=self)

    def _default_scorer(self, estimator, y):
        return log_score

    @available_if(best_has("predict_proba"))
    def predict_proba(self, X):
        """Probabilities of classes, of the refitted estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a list of them
            The probabilities, in the order of ``classes_``.
        """
        check_is_fitted(self)
        return self.best_estimator_.predict_proba(X)

    @available_if(best_has("decision_function"))
    def decision_function(self, X):
        """Decision values of the refitted estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            The values.
        """
        check_is_fitted(self)
        return self.best_estimator_.decision_function(X)
