"""What comes into the fit of a transfer: target, sources, unlabelled rows, checked and scaled."""

import warnings
from functools import partial

from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_consistent_length

from skmtl.base import Network
from skmtl.once import Once
from skmtl.plugins.base import Alignment
from skmtl.plugins.feature_maps import Identity
from skmtl.plugins.registry import resolve
from skmtl.rows import stacked
from skmtl.source import Labelled, validate_sources
from skmtl.tasks import observed
from skmtl.weights import row_weights


class TransferData(Network):
    """The arguments of a transfer's ``fit`` on their way in."""

    def _validate_fit(
        self,
        X,
        y,
        sample_weight,
        X_source,
        y_source,
        X_unlabeled,
        *,
        reset,
        known=None,
        in_chunks=False,
        source_classes=None,
        scaled=None,
    ):
        """Check the data; sets the attributes that describe them.

        Returns the target, its row weights, the sources, and all rows of the target, the unlabelled
        ones last; all scaled.
        """
        self._resolve_plugins()
        self.feature_map_ = resolve("feature_maps", self.feature_map, "feature_map")
        self.map_penalty_ = resolve(("penalties", "alignments"), self.map_penalty, "map_penalty")
        self.source_sample_weighting_ = resolve(
            "source_weightings", self.source_sample_weighting, "source_sample_weighting"
        )
        self.sharing_ = resolve("sharings", self.sharing, "sharing")
        self._check_alignment()
        X = self._validate_X(X, reset=reset)
        labels = self._read_labels(y, known=known, estimator=self)
        if not labels.is_1d:
            name = type(self).__name__
            raise ValueError(
                f"{name} learns one target task: y must be 1-D, but has {labels.codes.shape[1]} "
                f"columns. {name.replace('Transfer', 'MultiTask')} takes several."
            )
        check_consistent_length(X, labels.codes)
        target = Labelled(X, labels.codes[:, 0], labels.classes[0])
        sources = validate_sources(
            X_source,
            y_source,
            n_target_rows=X.shape[0],
            target_names=getattr(self, "feature_names_in_", None),
            same_columns=isinstance(self.feature_map_, Identity),
            dtype=X.dtype.type,
            read=self._read_labels,
            classes=source_classes,
        )
        self._target_classes = target.classes
        self._source_classes = [source.classes for source in sources]
        self._n_source_columns = [source.X.shape[1] for source in sources]
        if self.strategy == "source_only" and not sources:
            raise ValueError("strategy='source_only' needs X_source and y_source.")
        if X_unlabeled is not None:
            X_unlabeled = self._validate_X(X_unlabeled)
            if self.standardize is None and not self._reads_unlabelled:
                warnings.warn(
                    "X_unlabeled has no effect: standardize='per_domain' counts it, and so do an "
                    "alignment as map_penalty, a feature_map that starts from the rows and a "
                    "source_sample_weighting that reads them. Got "
                    f"standardize={self.standardize!r}, map_penalty={self.map_penalty!r}, "
                    f"feature_map={self.feature_map!r} and "
                    f"source_sample_weighting={self.source_sample_weighting!r}.",
                    stacklevel=6,
                )
        row_weight = row_weights(sample_weight, X)
        learns_target = not in_chunks and self.strategy != "source_only"
        if learns_target and not row_weight[observed(target.codes)].any():
            raise ValueError(
                "y has no label with positive weight; strategy='source_only' does without."
            )
        target, sources = self._scale(target, row_weight, sources, X_unlabeled, scaled or Once())
        target_rows = target.X
        if X_unlabeled is not None and self._reads_unlabelled:
            target_rows = stacked([target.X, self._inputs_of_validated(X_unlabeled)])
        return target, row_weight, sources, target_rows

    @property
    def _aligns(self):
        return isinstance(self.map_penalty_, Alignment)

    @property
    def _reads_unlabelled(self):
        return (
            self._aligns
            or self.feature_map_.starts_from_rows
            or self.source_sample_weighting_.reads_rows
        )

    def _check_alignment(self):
        """Whether an alignment as R(g) suits the other parameters."""
        if not self._aligns:
            return
        self.map_penalty_._check_option("where", ("shared", "input"))
        reads_input = self.map_penalty_.where == "input" or not self._widths("hidden_layer_sizes")
        if reads_input and isinstance(self.feature_map_, Identity):
            raise ValueError(
                f"map_penalty={self.map_penalty!r} aligns rows that nothing maps or transforms: "
                "choose a feature_map other than 'identity', or where='shared' with hidden layers."
            )
        if self._uses_lbfgs and self.map_penalty_.needs_minibatches:
            raise ValueError(
                f"map_penalty={self.map_penalty!r} needs minibatches: use solver='adam', 'adamw' "
                "or 'sgd', not 'lbfgs'."
            )

    def _scale(self, target, row_weight, sources, X_unlabeled, scaled):
        """Standardise each domain by itself, if that is asked for; ``scaled`` keeps the sources."""
        self.target_scaler_, self.source_scalers_ = None, [None] * len(sources)
        if self.standardize is None:
            return target, sources
        self.target_scaler_ = _fit_scaler(target.X, row_weight)
        if X_unlabeled is not None:
            self.target_scaler_.partial_fit(X_unlabeled)
        of_sources = [scaled.get(s, partial(_scaled, source.X)) for s, source in enumerate(sources)]
        self.source_scalers_ = [scaler for scaler, _ in of_sources]
        return target._replace(X=self.target_scaler_.transform(target.X)), [
            source._replace(X=rows) for source, (_, rows) in zip(sources, of_sources)
        ]

    def _inputs_of_validated(self, X):
        return X if self.target_scaler_ is None else self.target_scaler_.transform(X)


def _fit_scaler(X, row_weight=None):
    return StandardScaler(with_mean=not issparse(X)).fit(X, sample_weight=row_weight)


def _scaled(X):
    """The scaler of a source, and its rows scaled."""
    scaler = _fit_scaler(X)
    return scaler, scaler.transform(X)
