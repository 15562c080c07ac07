"""One target task with the help of a source, whatever their labels are."""

from numbers import Integral, Real

from sklearn.utils.validation import check_array, check_is_fitted

from skmtl._compat import HasMethods, Interval, StrOptions, begin_fit, fit_context
from skmtl.atomic import all_or_nothing
from skmtl.fitting import History
from skmtl.plugins.source_weightings import Uniform
from skmtl.rows import FLOATS
from skmtl.steps import run_to_the_end
from skmtl.transfer_rounds import TransferRounds

STRATEGIES = ("joint", "finetune", "source_only", "target_only", "pooled")


class TransferNetwork(TransferRounds):
    """Base of ``TransferClassifier`` and ``TransferRegressor``."""

    __metadata_request__fit = {
        "X_source": True,
        "y_source": True,
        "X_unlabeled": True,
        "X_val": True,
        "y_val": True,
    }
    __metadata_request__partial_fit = {"X_source": True, "y_source": True}

    _parameter_constraints = {
        **TransferRounds._parameter_constraints,
        "lam": [Interval(Real, 0, None, closed="both")],
        "mu": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "feature_map": [str, HasMethods(["forward"])],
        "map_penalty": [str, HasMethods(["value_grad"])],
        "strategy": [StrOptions(set(STRATEGIES))],
        "freeze": [Interval(Integral, 0, None, closed="left")],
        "unfreeze_every": [Interval(Integral, 1, None, closed="left"), None],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
        "source_model": [HasMethods(["predict"]), None],
        "sharing": [str, HasMethods(["experts"])],
        "pretrain_max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "share_head": [StrOptions({"auto"}), "boolean"],
        "source_weighting": [StrOptions({"uniform", "n_samples"}), "array-like"],
        "source_sample_weighting": [str, HasMethods(["weigh"])],
        "standardize": [StrOptions({"per_domain"}), None],
    }

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
        """Learn the target task.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of the target. float32 is computed in float32, all else in float64.
        y : array-like of shape (n_samples,)
            Their labels, or numbers for regression; rows without do not count in the target's
            loss.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the target's rows.
        X_source : array-like or tuple of array-like, default=None
            Rows of the source, or of several. Use :func:`as_source`.
        y_source : array-like or tuple of array-like, default=None
            Their labels.
        X_unlabeled : array-like of shape (n_rows, n_features), default=None
            More rows of the target, which never enter a test fold; they count in
            ``standardize="per_domain"``, in an alignment as ``map_penalty``, where a feature map
            starts from the rows, and where ``source_sample_weighting`` reads them.
        X_val, y_val : array-like, default=None
            Rows of the target to validate on with ``early_stopping=True``, in place of some of X.

        Returns
        -------
        estimator
            Itself, fitted.

        Raises
        ------
        ValueError
            If source and target do not fit together, or if training diverges in its first epoch.
        """
        run_to_the_end(
            self._fitting(X, y, sample_weight, X_source, y_source, X_unlabeled, X_val, y_val)
        )
        return self

    def _fitting(
        self,
        X,
        y,
        sample_weight=None,
        X_source=None,
        y_source=None,
        X_unlabeled=None,
        X_val=None,
        y_val=None,
        stages=None,
        scaled=None,
    ):
        """The fit, with pauses as of ``skmtl.steps`` in its last stage.

        Each a ``Once`` that it has in common with other fits: ``stages`` are the first stages of
        fits with the same parameters, ``scaled`` are the sources' scalers and scaled rows.
        """
        with all_or_nothing(self):
            warm = self.warm_start and hasattr(self, "_theta")
            target, row_weight, sources, target_rows = self._validate_fit(
                X,
                y,
                sample_weight,
                X_source,
                y_source,
                X_unlabeled,
                reset=not warm,
                known=[self._target_classes] if warm else None,
                in_chunks=warm,
                source_classes=self._source_classes if warm else None,
                scaled=scaled,
            )
            rng = self._generator()
            self._weigh_sources(target, row_weight, sources, target_rows, rng)
            pretrained = self._read_source_model()
            two_stages = self.strategy == "finetune" and bool(sources) and not warm
            n_subtasks = 2 if two_stages else self.max_iter
            watch = stage = begin_fit(self, n_subtasks, X=X, y=y, sample_weight=sample_weight)
            self.pretrain_loss_curve_, ended = None, False
            pace = self._pace(two_stages or warm or pretrained is not None)
            phases = [] if pace is None else [pace]
            if two_stages:
                stage = watch.stage("source", self._n_pretrain_epochs)
                pretrained, ended = self._pretrain(
                    target, row_weight, sources, target_rows, rng, pretrained, stage, stages
                )
                stage = watch.stage("target", self.max_iter)
            strategy = "target_only" if self.strategy == "finetune" else self.strategy
            parts = self._plan(strategy, target, row_weight, sources)
            rows, validate_on = self._validation_rows_of(parts[0], X_val, y_val, rng)
            parts[0] = parts[0].only(rows)
            problem = self._describe(
                parts, target_rows, rng, pretrained, self.freeze, resume=warm, pace=pace
            )
            validate = validate_on and self._scorer_of(problem, *validate_on)
            phases += self._rounds(parts)
            n_sources, parts = len(sources), [part.without_rows() for part in parts]
            del target, row_weight, sources  # by row, and not needed while epochs run
            history = History()
            if not ended:
                history = yield from self._run(problem, stage, validate, phases)
            self._store(problem, history)
            if two_stages:
                stage.end({})
            else:
                self._keep_of_sources(parts, n_sources, problem, history)
            watch.end()

    def _partial_fit(self, X, y, sample_weight, X_source, y_source, known):
        """One epoch; ``known`` are the classes of the target."""
        with all_or_nothing(self):
            first = not hasattr(self, "_theta")
            target, row_weight, sources, target_rows = self._validate_fit(
                X,
                y,
                sample_weight,
                X_source,
                y_source,
                None,
                reset=first,
                known=known,
                in_chunks=True,
                source_classes=None if first else self._source_classes,
            )
            resume = self._where_to_resume()
            self._pace(has_weights=False)
            self._weigh_sources(target, row_weight, sources, target_rows, resume["rng"])
            parts = self._plan(self.strategy, target, row_weight, sources)
            pretrained = self._read_source_model() if first else None
            problem = self._describe(
                parts, target_rows, resume["rng"], pretrained, self.freeze, resume=not first
            )
            history = self._train_chunk(problem, resume)
            self._keep_of_sources(parts, len(sources), problem, history)
        return self

    def _obstacle_to_partial_fit(self):
        if self.strategy == "finetune":
            return (
                "partial_fit has one stage: for strategy='finetune' fit the source first and pass "
                "it as source_model, with strategy='target_only'."
            )
        if self.standardize is not None:
            return (
                "standardize='per_domain' needs all rows at once: scale the rows before "
                "partial_fit, and set standardize=None."
            )
        if self.source_sample_weighting != "uniform" and not isinstance(
            self.source_sample_weighting, Uniform
        ):
            return (
                "source_sample_weighting compares all rows at once, and partial_fit sees some: "
                f"set it to 'uniform'. Got {self.source_sample_weighting!r}."
            )
        return super()._obstacle_to_partial_fit()

    def map_source(self, X_source, source=0):
        """Take rows of a source to the target's space: g(x).

        Parameters
        ----------
        X_source : {array-like, sparse matrix} of shape (n_rows, n_source_features)
            Rows of the source.
        source : int, default=0
            Which source.

        Returns
        -------
        ndarray of shape (n_rows, n_features_in_)
            The rows as the trunk reads them.

        Raises
        ------
        ValueError
            If no map was trained for that source.
        """
        check_is_fitted(self)
        n_sources = len(self.map_params_)
        if not -n_sources <= source < n_sources or self.map_params_[source] is None:
            raise ValueError(
                f"There is no map of source {source!r}: {n_sources} sources were given, and "
                f"strategy={self.strategy!r} with lam={self.lam!r} trains the maps of "
                f"{sum(p is not None for p in self.map_params_)} of them."
            )
        X = check_array(X_source, accept_sparse="csr", dtype=FLOATS, input_name="X_source")
        n_columns = self._n_source_columns[source]
        if X.shape[1] != n_columns:
            raise ValueError(f"X_source has {X.shape[1]} columns; source {source} had {n_columns}.")
        if self.source_scalers_[source] is not None:
            X = self.source_scalers_[source].transform(X)
        return self.feature_map_.transform(self.map_params_[source], X, self.n_features_in_)
