"""A search over how strongly to hold tasks together, whatever their labels are."""

from numbers import Integral

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from skmtl._compat import fit_context
from skmtl.atomic import all_or_nothing
from skmtl.model_selection import MultiTaskKFold
from skmtl.search.base import SharingSearch
from skmtl.search.race import Candidate
from skmtl.tasks import spread_tasks


class MultiTaskSearch(SharingSearch):
    """Base of ``MultiTaskClassifierCV`` and ``MultiTaskRegressorCV``.

    A subclass says whether one head can serve all tasks (``_poolable``).
    """

    __metadata_request__fit = {"task": True, "label_weight": True, "X_val": True, "y_val": True}

    _by_row = ("sample_weight", "label_weight")
    _what_is_shared = "Sharing"

    def __init__(
        self,
        estimator=None,
        *,
        lams=(1e-4, 1e-3, 1e-2, 1e-1),
        cv=None,
        scoring=None,
        selection="best",
        refit="verdict",
        factor=3,
        min_epochs="auto",
        warm_path=False,
        n_jobs=None,
        random_state=None,
        verbose=False,
    ):
        self.estimator = estimator
        self.lams = lams
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.refit = refit
        self.factor = factor
        self.min_epochs = min_epochs
        self.warm_path = warm_path
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X, y, sample_weight=None, *, task=None, label_weight=None, X_val=None, y_val=None
    ):
        """Search, judge, and refit.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            A column of labels, or of numbers for regression, per task, with holes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows in training.
        task : array-like of shape (n_samples,), default=None
            With 1-D y: the task that each of them belongs to. Folds and scores are those of the
            columns that ``skmtl.tasks.spread_tasks`` makes of them.
        label_weight : array-like of shape (n_samples, n_tasks), default=None
            Weights of single labels in training.
        X_val, y_val : array-like, default=None
            As in ``fit`` of the estimator.

        Returns
        -------
        search
            Itself, fitted.

        Raises
        ------
        ValueError
            If a parameter does not fit the data, or a candidate cannot be fitted.
        """
        fit_params = {
            "sample_weight": sample_weight,
            "label_weight": label_weight,
            "X_val": X_val,
            "y_val": y_val,
        }
        with all_or_nothing(self):
            estimator = self._checked_estimator()
            checked, columns = self._check(X, y)
            if task is not None:
                columns, _ = spread_tasks(columns, task)
            labels = self._read_labels(columns, estimator)
            candidates, chosen = self._candidates(estimator, labels.classes), 0
            if len(candidates) > 1:
                rows = np.arange(len(labels.codes))
                splits = list(self._folds(columns).split(np.zeros((len(rows), 1)), columns))
                chosen = self._search(
                    estimator, checked, columns, fit_params, candidates, rows, splits
                )
                self._keep_paths()
            else:
                self._keep_no_verdict("There is one task.")
            given = {**fit_params, "task": task}
            self._refit(estimator, candidates, chosen, X, y, given)
        return self

    def _candidates(self, estimator, classes):
        """All ways to share over lam, with those that share least last."""
        self.lams_ = self._positive_numbers("lams")
        if len(classes) == 1:
            return [Candidate({}, False, "none")]
        own = estimator.sharing
        ways = ["hard" if isinstance(own, str) and own in ("none", "pooled") else own]
        if self._poolable(classes):
            ways.insert(0, "pooled")
        return [
            Candidate(
                {"sharing": way, "lam": float(lam)},
                shares,
                str(way),
                path=str(way) if self.warm_path else None,
            )
            for way, shares in [*((way, True) for way in ways), ("none", False)]
            for lam in self.lams_
        ]

    def _folds(self, y):
        if self.cv is None or isinstance(self.cv, Integral):
            seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
            return MultiTaskKFold(5 if self.cv is None else self.cv, random_state=seed)
        return check_cv(self.cv, y, classifier=False)

    def _keep_paths(self):
        """The mean scores over lam, by way to share."""
        means = self.cv_results_["mean_test_score"]
        ways = np.array([str(way) for way in self.cv_results_["param_sharing"]])
        self.path_scores_ = {way: means[ways == way] for way in dict.fromkeys(ways.tolist())}
