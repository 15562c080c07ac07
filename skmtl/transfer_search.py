"""A search over how much of a source to use, whatever the labels are."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from skmtl._compat import fit_context, n_samples, safe_indexing
from skmtl.atomic import all_or_nothing
from skmtl.once import Once
from skmtl.plugins.feature_maps import Identity
from skmtl.plugins.registry import resolve
from skmtl.search import placebo
from skmtl.search.base import SharingSearch
from skmtl.search.race import Candidate
from skmtl.search.surface import (
    as_many_steps,
    as_patient,
    maps_or_aligns,
    plain_choice,
    ways_to_share,
    without_pretraining,
)
from skmtl.search.verdict import paired
from skmtl.source import validate_source_rows
from skmtl.tasks import observed

STRATEGIES = ("joint", "finetune")

#: Folds, in repeats of five, of a target that has fewer labels than many.
FOLDS = 20
MANY_LABELS = 1000


class TransferSearch(SharingSearch):
    """Base of ``TransferClassifierCV`` and ``TransferRegressorCV``.

    A subclass says which ends of the surface the labels allow (``_possible_ends``), why none of the
    labels can be held out, if so (``_too_few``), how many folds they allow (``_most_folds``), and
    how these are drawn (``_folds``).
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
            Their labels, or numbers for regression; rows without take part in every training fold.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the target's rows in training.
        X_source, y_source : array-like or tuple of array-like, default=None
            Rows of the source, or of several, and their labels. Use :func:`as_source`.
        X_unlabeled, X_val, y_val : array-like, default=None
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
            "X_source": X_source,
            "y_source": y_source,
            "X_unlabeled": X_unlabeled,
            "X_val": X_val,
            "y_val": y_val,
        }
        with all_or_nothing(self):
            estimator = self._checked_estimator()
            checked, y = self._check(X, y)
            labels = self._read_labels(y, estimator)
            there = observed(labels.codes)
            if not there.any():
                raise ValueError(
                    "y has no label, and candidates are compared on those of the target: use "
                    f"{type(estimator).__name__}(strategy='source_only')."
                )
            labelled = np.flatnonzero(there.all(axis=1))
            candidates = self._candidates(estimator, labels.classes[0], len(labelled), y_source)
            codes, chosen = labels.codes[labelled, 0], 0
            if len(candidates) == 1:
                self._keep_no_verdict("There is no source.")
            elif self.cv is None and (too_few := self._too_few(codes)):
                candidates = [plain_choice(estimator, candidates)]
                self._keep_no_verdict(
                    f"{too_few}, so that none can be held out, and nothing tells "
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

    def _candidates(self, estimator, classes, n_labelled, y_source):
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
        target_only.update(as_patient(estimator, n_epochs))
        ways = [
            *self._possible_ends(estimator, classes, sources),
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

    def _confirm(self, race, sharing, scores, folds, estimator, fit_params):
        """Take "helps" back where the source does no better than a placebo."""
        self.placebo_gain_ = None
        if self.verdict_ != "helps" or estimator.source_model is not None:
            return  # what a source_model knows cannot be shuffled
        n_folds = min(len(scores), placebo.FOLDS)
        with_placebo = race.again(sharing, n_folds, self._placebo(fit_params))
        self.placebo_gain_ = paired(scores[:n_folds] - with_placebo, folds)
        if not placebo.is_beaten(self.placebo_gain_):
            self.verdict_ = "no difference"
            for way, said in self.verdicts_.items():
                self.verdicts_[way] = "no difference" if said == "helps" else said

    def _placebo(self, fit_params):
        """What a fit gets in place of the source."""
        rng = check_random_state(self.random_state)
        return {"y_source": placebo.shuffled(fit_params["y_source"], rng)}

    def _gain_in_words(self):
        gain = super()._gain_in_words()
        if self.placebo_gain_ is not None:
            gain += f", and {self.placebo_gain_} over shuffled labels of the source"
        return gain

    def _keep_no_verdict(self, reason):
        super()._keep_no_verdict(reason)
        self.placebo_gain_ = None

    def _path_of(self, params):
        """What the candidates over ``lams`` have in common, if they start from one another."""
        if not self.warm_path or params["strategy"] != "joint":
            return None
        return params["mu"], params.get("alpha")

    def _splits(self, y, codes):
        """Folds of the labelled rows."""
        if self.cv is not None:
            cv = check_cv(self.cv, y, classifier=is_classifier(self))
            return list(cv.split(np.zeros(len(codes)), y))
        n_splits = min(5, self._most_folds(codes))
        n_repeats = -(-FOLDS // n_splits) if len(codes) < MANY_LABELS else 1
        rng = check_random_state(self.random_state)
        seeds = rng.randint(np.iinfo(np.int32).max, size=n_repeats)
        folds = (self._folds(n_splits, seed) for seed in seeds)
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
