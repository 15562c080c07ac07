"""What a search over sharing is, where labels are numbers."""

from sklearn.base import BaseEstimator, RegressorMixin

from skmtl.search.scores import HeldOutR2
from skmtl.targets import read_numbers


class RegressionSearch(RegressorMixin, BaseEstimator):
    """Goes after ``SharingSearch``: labels are numbers, scores are R2 in units of all of them."""

    _score_name = "held-out R2"

    def _read_labels(self, y, estimator):
        return read_numbers(y, missing_label=estimator.missing_label, estimator=self)

    def _default_scorer(self, estimator, y):
        return HeldOutR2(self._read_labels(y, estimator).codes)
