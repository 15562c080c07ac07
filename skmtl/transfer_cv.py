"""TransferClassifierCV: how much of the source to use, and whether to use it at all."""

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from skmtl._compat import fit_context, n_samples, safe_indexing
from skmtl.atomic import all_or_nothing
from skmtl.model_selection import MultiTaskKFold
from skmtl.once import Once
from skmtl.plugins.feature_maps import Identity
from skmtl.plugins.registry import resolve
from skmtl.search.base import SharingSearch
from skmtl.search.race import Candidate
from skmtl.search.surface import (
    as_many_steps,
    maps_or_aligns,
    plain_choice,
    possible_ends,
    ways_to_share,
    without_pretraining,
)
from skmtl.source import validate_source_rows
from skmtl.tasks import encode_labels
from skmtl.transfer_classifier import TransferClassifier

STRATEGIES = ("joint", "finetune")

#: Folds, in repeats of five, of a target that has fewer labels than many.
FOLDS = 20
MANY_LABELS = 1000


class TransferClassifierCV(SharingSearch):
    r"""Transfer with the amount of sharing chosen by cross-validation on the target.

    The surface over :math:`\lambda` and :math:`\mu` always holds its ends, the source alone and the
    target alone, and the two pooled. All candidates race: after some epochs those with the best
    scores go on from where they are, the others stop. Then the best candidate that uses the source
    is compared with the target alone, fold by fold. If it is not better beyond the error of that
    difference, the target alone is refitted, unless ``refit`` says otherwise: a source can hurt.

    Parameters
    ----------
    estimator : TransferClassifier or None, default=None
        What is searched over, with all its parameters; None is a ``TransferClassifier()``.
    lams : array-like of float, default=(0.1, 0.3, 1, 3, 10)
        Weights of the target's loss against the source's, each > 0 and finite.
    mus : array-like of float, default=(0.01, 0.1, 1)
        Strengths of the penalty on the feature map, each > 0; of effect if there is a map or an
        alignment, and else left alone.
    alphas : array-like of float or None, default=None
        Strengths of the penalty on the weights, each > 0, for every candidate, the target alone
        too; None: the estimator's. A target alone that is penalised too much looks as if the source
        helped.
    strategies : tuple of {"joint", "finetune"}, default=("joint", "finetune")
        Ways to use the source, besides the ends of the surface.
    cv : int, cross-validation generator, iterable or None, default=None
        Folds of the target's labelled rows. None: five, stratified, repeated to twenty in all if
        there are fewer than 1,000 labels; but with a ``scoring`` of one's own, which may need all
        classes in every fold, not more than the rarest class has rows. Where a class has one row,
        nothing can be held out: there is no verdict, and what is fitted is "finetune", or "joint"
        with the lam that is nearest to 1, with the mu that is nearest to the estimator's.
    scoring : str, callable or None, default=None
        How to score on the folds. None is the mean log-probability of the true labels: of the few
        labels that a target may have, it tells more than accuracy does.
    selection : {"best", "one_standard_error"}, default="best"
        "one_standard_error" takes, of those within one standard error of the best candidate, the
        one that leans on the source least: with the largest lam and then the largest mu.
    refit : {"verdict", "best"}, default="verdict"
        What is fitted on all rows in the end. "verdict": the best candidate that uses the source,
        if the verdict is "helps", else the target alone. "best": the better of the two by mean
        score, whatever the verdict; for where a source that is left out costs as much as one that
        is used in vain.
    factor : float, default=3
        One in so many candidates goes on at each comparison, with so many times the epochs.
    min_epochs : int or "auto", default="auto"
        Epochs before the first comparison; "auto" is ``max_iter / 27``, at least 5. Candidates with
        a ``max_iter`` of their own run the same part of it.
    warm_path : bool, default=False
        Whether the fits of "joint" over ``lams`` start from one another's weights, the smallest
        first, on each fold. With ``solver="lbfgs"`` and no hidden layers that saves iterations and
        changes next to nothing; nets come out otherwise trained than by the refit.
    n_jobs : int or None, default=None
        Threads: the epochs run without the interpreter's lock.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds, and of the candidates on them: the same for all candidates, another for
        each repeat of the folds. The refit uses the estimator's own.
    verbose : bool, default=False
        Whether to tell how the race goes.

    Attributes
    ----------
    best_estimator_ : TransferClassifier
        Refitted on all rows.
    best_params_ : dict
        What was set for it: ``strategy="target_only"`` and what goes with that, unless the verdict
        is "helps" or ``refit`` is "best".
    best_sharing_params_ : dict
        Those of the best candidate that uses the source.
    best_score_ : float
        Mean score of the refitted candidate over the folds.
    best_index_ : int
        Its place in ``cv_results_``.
    transfer_gain_ : Gain or None
        ``mean`` and ``std_error`` of the score that the source adds to the target alone. In each
        fold the candidate was chosen by the other folds, so that the luck of the best of many does
        not count. None without a source.
    verdict_ : {"helps", "hurts", "no difference"} or None
        "helps": the gain is beyond its error. "hurts": every candidate that uses the source, and
        finished, is below the target alone beyond the error of that difference. None without a
        source, and where a class has one label.
    gains_ : dict of str to Gain
        The same of each way to use the source by itself, by its strategy: of those of which a
        candidate finished.
    verdicts_ : dict of str to {"helps", "hurts", "no difference"}
        Likewise: a source that helps may hurt where it is used in another way.
    reason_ : str
        The verdict in words, and what was refitted.
    cv_results_ : dict
        Scores of all candidates by fold, as in scikit-learn; of those that did not finish, the last
        ones. ``mean_n_epochs`` tells how far they came.
    lams_, mus_ : ndarray
        The inner axes of the surface.
    path_scores_ : ndarray of shape (n_lams, n_mus)
        Mean scores of "joint" over them, the best over ``alphas``: of candidates that stopped
        early, where they stood.
    end_scores_ : dict
        Mean scores of the other candidates by strategy, the best over ``mus`` and ``alphas``.
    scorer_name_ : str
        What the scores are.
    n_splits_ : int
        Number of folds.
    classes_ : ndarray of shape (n_classes,)
        Labels that ``predict`` may give.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if they are strings.

    See Also
    --------
    TransferClassifier : One candidate.
    MultiTaskClassifierCV : The same question for several tasks.

    References
    ----------
    .. [1] Jamieson and Talwalkar (2016). Non-stochastic best arm identification and hyperparameter
       optimization. AISTATS.
    .. [2] Nadeau and Bengio (2003). Inference for the generalization error. Machine Learning 52.

    Examples
    --------
    >>> from skmtl import TransferClassifier, TransferClassifierCV, as_source
    >>> from skmtl.datasets import make_transfer_pair
    >>> pair = make_transfer_pair(60, relatedness=0.95, random_state=0)
    >>> search = TransferClassifierCV(TransferClassifier(tol=1e-2), random_state=0)
    >>> search = search.fit(pair.X, pair.y, **as_source(pair.X_source, pair.y_source))
    >>> search.verdict_
    'helps'
    """

    __metadata_request__fit = {
        "X_source": True,
        "y_source": True,
        "X_unlabeled": True,
        "X_val": True,
        "y_val": True,
    }

    _parameter_constraints = {
        **SharingSearch._parameter_constraints,
        "mus": ["array-like"],
        "alphas": ["array-like", None],
        "strategies": ["array-like"],
    }
    _by_row = ("sample_weight",)
    _what_is_shared = "The source"

    def __init__(
        self,
        estimator=None,
        *,
        lams=(0.1, 0.3, 1.0, 3.0, 10.0),
        mus=(0.01, 0.1, 1.0),
        alphas=None,
        strategies=STRATEGIES,
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
        self.mus = mus
        self.alphas = alphas
        self.strategies = strategies
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
        return TransferClassifier()

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_source=None,
        y_source=None,
        X_unlabeled=None,
        X_val=None,
        y_val=None,
    ):
        """Search, judge, and refit.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of the target.
        y : array-like of shape (n_samples,)
            Their labels; rows without label take part in every training fold.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the target's rows in training.
        X_source, y_source : array-like or tuple of array-like, default=None
            Rows of the source, or of several, and their labels. Use :func:`as_source`.
        X_unlabeled, X_val, y_val : array-like, default=None
            As in ``TransferClassifier.fit``.

        Returns
        -------
        TransferClassifierCV
            Itself, fitted.

        Raises
        ------
        ValueError
            If a parameter does not fit the data, or a candidate cannot be fitted.
        """
        fit_params = {
            "sample_weight": sample_weight,
            "X_source": X_source,
            "y_source": y_source,
            "X_unlabeled": X_unlabeled,
            "X_val": X_val,
            "y_val": y_val,
        }
        with all_or_nothing(self):
            estimator = self._estimator()
            checked, y = self._check(X, y)
            options = {"missing_label": estimator.missing_label, "estimator": self}
            labels = encode_labels(y, **options)
            labelled = np.flatnonzero((labels.codes >= 0).all(axis=1))
            candidates = self._candidates(
                estimator, labels.classes[0], len(labelled), y_source, options
            )
            codes, chosen = labels.codes[labelled, 0], 0
            if len(candidates) == 1:
                self._keep_no_verdict("There is no source.")
            elif self.cv is None and _rarest(codes) < 2:
                candidates = [plain_choice(estimator, candidates)]
                self._keep_no_verdict(
                    "A class has one label, so that none can be held out, and nothing tells "
                    f"whether the source helps. Fitted: {candidates[0].params}."
                )
            else:
                splits = self._splits(safe_indexing(y, labelled), codes)
                X_source = self._sources(estimator, X_source, checked.dtype)
                in_folds = {**fit_params, "X_source": X_source}
                chosen = self._search(estimator, checked, y, in_folds, candidates, labelled, splits)
                self._keep_surface(candidates)
            self._refit(estimator, candidates, chosen, X, y, fit_params)
        return self

    def _sources(self, estimator, X_source, dtype):
        """Their rows as the fits take them, without a copy for each."""
        if X_source is None:
            return None  # fit says what is missing
        feature_map = resolve("feature_maps", estimator.feature_map, "feature_map")
        checks = {
            "target_names": getattr(self, "feature_names_in_", None),
            "same_columns": isinstance(feature_map, Identity),
            "dtype": dtype.type,
        }
        if not isinstance(X_source, tuple):
            return validate_source_rows(X_source, 0, **checks)
        return tuple(validate_source_rows(X, s, **checks) for s, X in enumerate(X_source))

    def _candidates(self, estimator, classes, n_labelled, y_source, options):
        """The surface, with those that lean on the source least last."""
        self.lams_ = self._positive_numbers("lams")
        self.mus_ = self._positive_numbers("mus")
        unknown = set(self.strategies).difference(STRATEGIES)
        if unknown or not len(self.strategies):
            raise ValueError(
                f"strategies must hold some of {STRATEGIES}. Got {self.strategies!r} instead."
            )
        if not maps_or_aligns(estimator):
            self.mus_ = np.array([float(estimator.mu)])
        target_only = {"strategy": "target_only", **without_pretraining(estimator)}
        if self.alphas is None:
            alphas = [{}]
        else:
            alphas = [{"alpha": float(alpha)} for alpha in self._positive_numbers("alphas")]
        if y_source is None:
            return [Candidate(target_only, False, "target_only")]
        sources = y_source if isinstance(y_source, tuple) else (y_source,)
        n_largest = max(n_samples(s) for s in sources)
        n_epochs = as_many_steps(estimator, n_labelled, n_largest)
        target_only["max_iter"] = n_epochs
        source_classes = [encode_labels(s, **options).classes[0] for s in sources]
        ways = [
            *possible_ends(classes, source_classes, estimator.share_head),
            *(way for way in ("finetune", "joint") if way in self.strategies),
        ]
        grid = [
            {**params, **alpha}
            for params in ways_to_share(estimator, ways, self.lams_, self.mus_, n_epochs)
            for alpha in alphas
        ]
        scaled = {"scaled": Once()}
        return [
            *(
                Candidate(
                    params,
                    True,
                    params["strategy"],
                    {"stages": Once(), **scaled},
                    self._path_of(params),
                )
                for params in grid
            ),
            *(
                Candidate({**target_only, **alpha}, False, "target_only", scaled)
                for alpha in alphas
            ),
        ]

    def _path_of(self, params):
        """What the candidates over ``lams`` have in common, if they start from one another."""
        if not self.warm_path or params["strategy"] != "joint":
            return None
        return params["mu"], params.get("alpha")

    def _splits(self, y, codes):
        """Folds of the labelled rows."""
        if self.cv is not None:
            return list(check_cv(self.cv, y, classifier=True).split(np.zeros(len(codes)), y))
        n_splits = min(5, len(codes) if self.scoring is None else _rarest(codes))
        n_repeats = -(-FOLDS // n_splits) if len(codes) < MANY_LABELS else 1
        rng = check_random_state(self.random_state)
        seeds = rng.randint(np.iinfo(np.int32).max, size=n_repeats)
        folds = (MultiTaskKFold(n_splits, random_state=seed) for seed in seeds)
        return [split for fold in folds for split in fold.split(codes[:, None], codes)]

    def _keep_surface(self, candidates):
        """The mean scores, as the displays draw them."""
        means = self.cv_results_["mean_test_score"]
        self.path_scores_ = np.full((len(self.lams_), len(self.mus_)), np.nan)
        self.end_scores_ = {}
        for candidate, mean in zip(candidates, means, strict=True):
            params = candidate.params
            if params["strategy"] == "joint":
                row, column = self.lams_ == params["lam"], self.mus_ == params["mu"]
                self.path_scores_[row, column] = np.fmax(self.path_scores_[row, column], mean)
            else:
                known = self.end_scores_.get(params["strategy"], np.nan)
                self.end_scores_[params["strategy"]] = np.fmax(known, mean)


def _rarest(codes):
    """Rows of the class that has the fewest."""
    counts = np.bincount(codes)
    return counts[counts > 0].min()
