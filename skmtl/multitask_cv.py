"""MultiTaskClassifierCV: how strongly to hold tasks together, and whether to share at all."""

from numbers import Integral

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from skmtl._compat import fit_context
from skmtl.atomic import all_or_nothing
from skmtl.model_selection import MultiTaskKFold
from skmtl.multitask_classifier import MultiTaskClassifier
from skmtl.search.base import SharingSearch
from skmtl.search.race import Candidate
from skmtl.tasks import encode_labels, union_of_labels


class MultiTaskClassifierCV(SharingSearch):
    r"""Several tasks, with the way and the strength of sharing chosen by cross-validation.

    Candidates are the estimator's own way to share, all tasks pooled, and one net per task, each
    over :math:`\lambda`. They race: after some epochs those with the best scores go on from where
    they are, the others stop. Then the best candidate that shares is compared with the best net per
    task, fold by fold. If it is not better beyond the error of that difference, one net per task is
    refitted: sharing can hurt.

    Parameters
    ----------
    estimator : MultiTaskClassifier or None, default=None
        What is searched over, with all its parameters; None is a ``MultiTaskClassifier()``.
    lams : array-like of float, default=(1e-4, 1e-3, 1e-2, 1e-1)
        Strengths of the penalty, each > 0.
    cv : int, cross-validation generator, iterable or None, default=None
        Folds; a number is that of a shuffled ``MultiTaskKFold``, None is 5.
    scoring : str, callable or None, default=None
        How to score on the folds. None is the mean over tasks of the mean log-probability of the
        true labels; :func:`skmtl.metrics.make_task_scorer` makes others.
    selection : {"best", "one_standard_error"}, default="best"
        "one_standard_error" takes, of those within one standard error of the best candidate, the
        one that shares least: its own way before pooling, and then the largest lam.
    refit : {"verdict", "best"}, default="verdict"
        What is fitted on all rows in the end. "verdict": the best candidate that shares, if the
        verdict is "helps", else the best that does not. "best": the better of the two by mean
        score, whatever the verdict; for where sharing that is missed costs as much as sharing
        that is in vain.
    factor : float, default=3
        One in so many candidates goes on at each comparison, with so many times the epochs.
    min_epochs : int or "auto", default="auto"
        Epochs before the first comparison; "auto" is ``max_iter / 27``, at least 5.
    warm_path : bool, default=False
        Whether the fits over ``lams`` start from one another's weights, the smallest first, on each
        fold. With ``solver="lbfgs"`` and no hidden layers that saves iterations and changes next to
        nothing; nets come out otherwise trained than by the refit.
    n_jobs : int or None, default=None
        Threads: the epochs run without the interpreter's lock.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, and of the candidates on them, the same for each. The refit uses the
        estimator's own.
    verbose : bool, default=False
        Whether to tell how the race goes.

    Attributes
    ----------
    best_estimator_ : MultiTaskClassifier
        Refitted on all rows.
    best_params_ : dict
        What was set for it: with ``sharing="none"`` unless the verdict is "helps".
    best_sharing_params_ : dict
        Those of the best candidate that shares.
    best_score_ : float
        Mean score of the refitted candidate over the folds.
    best_index_ : int
        Its place in ``cv_results_``.
    transfer_gain_ : Gain or None
        ``mean`` and ``std_error`` of the score that sharing adds to one net per task. In each fold
        both candidates were chosen by the other folds. None with one task.
    verdict_ : {"helps", "hurts", "no difference"} or None
        "helps": the gain is beyond its error. "hurts": every candidate that shares, and
        finished, is below the best net per task beyond the error of that difference.
    gains_ : dict of str to Gain
        The same of each way to share by itself, by its name: of those of which a candidate
        finished.
    verdicts_ : dict of str to {"helps", "hurts", "no difference"}
        Likewise.
    reason_ : str
        The verdict in words, and what was refitted.
    cv_results_ : dict
        Scores of all candidates by fold, as in scikit-learn; of those that did not finish, the last
        ones. ``mean_n_epochs`` tells how far they came.
    lams_ : ndarray
        The strengths, in order.
    path_scores_ : dict of ndarray of shape (n_lams,)
        Mean scores over them for each way to share: of candidates that stopped early, where they
        stood.
    scorer_name_ : str
        What the scores are.
    n_splits_ : int
        Number of folds.
    classes_ : ndarray of shape (n_classes,), or a list of them
        Labels of each task.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they are strings.

    See Also
    --------
    MultiTaskClassifier : One candidate.
    TransferClassifierCV : The same question for a source and a target.

    Examples
    --------
    >>> from skmtl import MultiTaskClassifier, MultiTaskClassifierCV
    >>> from skmtl.datasets import make_related_tasks
    >>> X, y = make_related_tasks(60, n_tasks=6, relatedness=0.95, random_state=0, return_X_y=True)
    >>> search = MultiTaskClassifierCV(
    ...     MultiTaskClassifier((16,), tol=1e-2), lams=(1e-3, 1e-1), random_state=0
    ... )
    >>> search.fit(X, y).verdict_
    'helps'
    """

    __metadata_request__fit = {"label_weight": True, "X_val": True, "y_val": True}

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

    @staticmethod
    def _default_estimator():
        return MultiTaskClassifier()

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, *, label_weight=None, X_val=None, y_val=None):
        """Search, judge, and refit.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            A column of labels per task, with holes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows in training.
        label_weight : array-like of shape (n_samples, n_tasks), default=None
            Weights of single labels in training.
        X_val, y_val : array-like, default=None
            As in ``MultiTaskClassifier.fit``.

        Returns
        -------
        MultiTaskClassifierCV
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
            estimator = self._estimator()
            checked, y = self._check(X, y)
            labels = encode_labels(y, missing_label=estimator.missing_label, estimator=self)
            candidates, chosen = self._candidates(estimator, labels), 0
            if len(candidates) > 1:
                rows = np.arange(len(labels.codes))
                splits = list(self._folds(y).split(np.zeros((len(rows), 1)), y))
                chosen = self._search(estimator, checked, y, fit_params, candidates, rows, splits)
                self._keep_paths()
            else:
                self._keep_no_verdict("There is one task.")
            self._refit(estimator, candidates, chosen, X, y, fit_params)
        return self

    def _candidates(self, estimator, labels):
        """All ways to share over lam, with those that share least last."""
        self.lams_ = self._positive_numbers("lams")
        if len(labels.classes) == 1:
            return [Candidate({}, False, "none")]
        own = estimator.sharing
        ways = ["hard" if isinstance(own, str) and own in ("none", "pooled") else own]
        if _poolable(labels.classes):
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


def _poolable(classes):
    """Whether all tasks have the same labels, so that one head can give them."""
    try:
        union = union_of_labels(classes)
    except TypeError:
        return False
    return all(np.array_equal(known, union) for known in classes)
