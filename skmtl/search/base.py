"""The search over how much to share: candidates race on folds, and one is refitted."""

from itertools import compress
from numbers import Integral, Real

import numpy as np
from scipy.stats import rankdata
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
)
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmtl._compat import HasMethods, Interval, StrOptions, safe_indexing
from skmtl.rows import validate_rows
from skmtl.search.race import Race, Split
from skmtl.search.verdict import (
    describe_folds,
    gain_of_sharing,
    judge_ways,
    verdict,
    within_one_standard_error,
)

#: Where the race begins if ``min_epochs="auto"``: after max_iter / 27, but not before this. With 5
#: searches of thirty to a hundred digits took 1.15 times as long; eight of nine chose the same.
FEW_EPOCHS = 4


def best_has(name):
    """Condition of ``available_if``: the estimator that is, or would be, refitted has a method.

    Parameters
    ----------
    name : str
        Name of the method.

    Returns
    -------
    callable
    """

    def check(search):
        fitted = getattr(search, "best_estimator_", None)
        getattr(search._estimator() if fitted is None else fitted, name)
        return True

    return check


class SharingSearch(
    MetaEstimatorMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of the estimators with CV in their name.

    A subclass names its candidates and its folds, and passes them to ``_search``. What a search
    must know of labels comes from ``ClassificationSearch`` or ``RegressionSearch``, which goes
    after this: how to read them (``_read_labels``), and what candidates are scored by unless
    ``scoring`` says (``_default_scorer``, ``_score_name``).
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "lams": ["array-like"],
        "cv": ["cv_object"],
        "scoring": [str, callable, None],
        "selection": [StrOptions({"best", "one_standard_error"})],
        "refit": [StrOptions({"verdict", "best"})],
        "factor": [Interval(Real, 1, None, closed="neither")],
        "min_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "warm_path": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _estimator(self):
        """What is searched over."""
        return self._default_estimator() if self.estimator is None else self.estimator

    def _checked_estimator(self):
        """What is searched over, if it is of the right kind."""
        estimator, kind = self._estimator(), type(self._default_estimator())
        if not isinstance(estimator, kind):
            raise TypeError(
                f"The 'estimator' parameter of {type(self).__name__} must be a {kind.__name__}. "
                f"Got {estimator!r} instead."
            )
        return estimator

    def _scorer(self, estimator, y):
        if self.scoring is None:
            return self._default_scorer(estimator, y)
        return check_scoring(estimator, self.scoring)

    def _name_of_scores(self):
        if self.scoring is None:
            return self._score_name
        scoring = self.scoring
        return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", repr(scoring))

    def _check(self, X, y):
        """X as rows of floats, y as an array; checked as the estimator would.

        Lets go of what an earlier fit left: not every fit has a surface or a verdict.
        """
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        X = self._as_rows(X, reset=True, ensure_min_samples=2)
        if y is None:
            name = type(self).__name__
            raise ValueError(f"{name} requires y to be passed, but the target y is None")
        return X, y if hasattr(y, "shape") else np.asarray(y)

    def _as_rows(self, X, *, reset=False, **checks):
        """Rows of floats, of which a fit takes no copy: in a race all candidates hold theirs."""
        return validate_rows(self, X, reset=reset, **checks)

    def _positive_numbers(self, name):
        values = np.asarray(getattr(self, name), float)
        fine = np.isfinite(values) & (values > 0)
        if values.ndim != 1 or not values.size or not fine.all():
            raise ValueError(
                f"{name} must hold finite numbers > 0. Got {getattr(self, name)!r} instead."
            )
        return np.unique(values)

    def _search(self, estimator, X, y, fit_params, candidates, rows_to_split, splits):
        """Race the candidates; sets the attributes that tell of it, gives the one to refit.

        ``rows_to_split`` are those with labels, of which the splits speak; all other rows are
        fitted on in every fold.
        """
        more_rows = {
            name: self._as_rows(fit_params[name])
            for name in ("X_unlabeled", "X_val")
            if fit_params.get(name) is not None
        }
        fit_params = {**fit_params, **more_rows}
        scorer = self._scorer(estimator, y)
        folds = describe_folds(splits, len(rows_to_split))
        rng = check_random_state(self.random_state)
        seeds = rng.randint(np.iinfo(np.int32).max, size=folds.repeats[-1] + 1)
        race = Race(
            estimator,
            candidates,
            [
                self._split(X, y, fit_params, rows_to_split, *split, seeds[repeat])
                for split, repeat in zip(splits, folds.repeats)
            ],
            scorer,
            milestones=self._milestones(estimator),
            factor=self.factor,
            n_finalists=3,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        scores, n_epochs, finished = race.run()
        self.n_splits_, self.scorer_name_ = len(splits), self._name_of_scores()
        self.cv_results_ = _results(candidates, scores, n_epochs, finished)
        shares = np.array([candidate.shares for candidate in candidates])
        reference, sharing = (
            self._choose(scores, among, candidates, folds)
            for among in (finished & ~shares, finished & shares)
        )
        compared = scores[finished & shares], scores[finished & ~shares]
        self.transfer_gain_ = gain_of_sharing(*compared, folds)
        self.verdict_ = verdict(*compared, folds)
        ways = list(compress((candidate.way for candidate in candidates), finished))
        self.gains_, self.verdicts_ = judge_ways(scores[finished], ways, shares[finished], folds)
        self._confirm(race, sharing, scores[sharing], folds, estimator, fit_params)
        means = self.cv_results_["mean_test_score"]
        if self.refit == "verdict":
            takes_sharing = self.verdict_ == "helps"
        else:
            takes_sharing = means[sharing] > means[reference]
        chosen = int(sharing if takes_sharing else reference)
        self.best_score_ = means[chosen]
        self.best_sharing_params_ = candidates[sharing].params
        self.reason_ = (
            f"{self._what_is_shared} {_SAID[self.verdict_]}: {self._gain_in_words()}. "
            f"Refitted: {candidates[chosen].params}."
        )
        if self.verbose:
            print(self.reason_)
        return chosen

    def _confirm(self, race, sharing, scores, folds, estimator, fit_params):
        """A subclass may take "helps" back; ``scores`` are those of the best that shares."""

    def _gain_in_words(self):
        return f"gain {self.transfer_gain_}, over {self.n_splits_} folds"

    def _keep_no_verdict(self, reason):
        """What a search tells that had nothing to compare."""
        self.transfer_gain_ = self.verdict_ = self.cv_results_ = None
        self.gains_, self.verdicts_ = {}, {}
        self.reason_ = reason

    def _choose(self, scores, among, candidates, folds):
        """Number of the best of some candidates, or of the least sharing one that is as good.

        Candidates come with the least sharing last.
        """
        numbers = np.flatnonzero(among)
        if self.selection == "best":
            numbers = self._worth_choosing(numbers, scores, candidates, folds)
            return numbers[np.nan_to_num(scores[numbers].mean(axis=1), nan=-np.inf).argmax()]
        return numbers[np.flatnonzero(within_one_standard_error(scores[numbers]))[-1]]

    def _worth_choosing(self, numbers, scores, candidates, folds):
        """Numbers of candidates of which the best is chosen; all, unless a subclass is wary."""
        return numbers

    def _milestones(self, estimator):
        """When the candidates are compared, as parts of their epochs."""
        n_epochs = self.min_epochs
        if n_epochs == "auto":
            n_epochs = max(FEW_EPOCHS, round(estimator.max_iter / 27))
        milestones = []
        while n_epochs < estimator.max_iter:
            milestones.append(n_epochs / estimator.max_iter)
            n_epochs *= self.factor
        return milestones

    def _split(self, X, y, fit_params, rows_to_split, train, test, seed):
        """A fold as the race wants it."""
        n_rows = len(y)
        train, test = rows_to_split[train], rows_to_split[test]
        unlabelled = np.setdiff1d(np.arange(n_rows), rows_to_split)
        rows = np.sort(np.concatenate([train, unlabelled])) if unlabelled.size else train
        of_rows = {name: fit_params[name] for name in self._by_row if fit_params[name] is not None}
        of_rows = {name: safe_indexing(value, rows) for name, value in of_rows.items()}
        return Split(
            safe_indexing(X, rows),
            safe_indexing(y, rows),
            {**fit_params, **of_rows},
            safe_indexing(X, test),
            safe_indexing(y, test),
            int(seed),
        )

    def _refit(self, estimator, candidates, chosen, X, y, fit_params):
        """Fit the chosen candidate on all rows."""
        self.best_index_ = int(chosen)
        self.best_params_ = candidates[chosen].params
        self.best_estimator_ = clone(estimator).set_params(**self.best_params_)
        self.best_estimator_.fit(X, y, **fit_params)
        for name in ("n_features_in_", "feature_names_in_", "classes_"):
            if hasattr(self.best_estimator_, name):
                setattr(self, name, getattr(self.best_estimator_, name))

    @property
    def _n_features_out(self):
        return self.best_estimator_._n_features_out

    # --- what the refitted estimator does -------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = self._estimator().__sklearn_tags__()
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        return tags

    def predict(self, X):
        """Predict with the refitted estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            The labels, or numbers for regression.
        """
        check_is_fitted(self)
        return self.best_estimator_.predict(X)

    @available_if(best_has("transform"))
    def transform(self, X):
        """The shared representation of the refitted estimator.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_shared)
            The representation.
        """
        check_is_fitted(self)
        return self.best_estimator_.transform(X)

    def score(self, X, y, sample_weight=None):
        """Score the refitted estimator with ``scoring``, or as it scores itself.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their labels, or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The score.
        """
        check_is_fitted(self)
        scorer = check_scoring(self.best_estimator_, self.scoring)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return scorer(self.best_estimator_, X, y, **weights)


_SAID = {"helps": "helps", "hurts": "hurts", "no difference": "makes no difference"}


def _results(candidates, scores, n_epochs, finished):
    """``cv_results_`` in scikit-learn's form, with ``n_epochs`` and ``finished`` besides."""
    means = scores.mean(axis=1)
    comparable = np.where(finished & np.isfinite(means), means, -np.inf)
    results = {
        "params": [candidate.params for candidate in candidates],
        "shares": np.array([candidate.shares for candidate in candidates]),
        "mean_test_score": means,
        "std_test_score": scores.std(axis=1),
        "rank_test_score": rankdata(-comparable, method="min").astype(np.int32),
        "mean_n_epochs": n_epochs.mean(axis=1),
        "finished": finished,
    }
    for name in dict.fromkeys(name for candidate in candidates for name in candidate.params):
        values = [candidate.params.get(name) for candidate in candidates]
        absent = [name not in candidate.params for candidate in candidates]
        results[f"param_{name}"] = np.ma.array(values, mask=absent, dtype=object)
    for k in range(scores.shape[1]):
        results[f"split{k}_test_score"] = scores[:, k]
    return results
