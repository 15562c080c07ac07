"""TransferClassifier: one target task with the help of a source."""

import warnings
from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse, vstack
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from skmtl._compat import HasMethods, Interval, StrOptions, begin_fit, fit_context
from skmtl.base import NetworkClassifier, has_partial_fit, known_classes
from skmtl.engine.blocks import map_block_table
from skmtl.engine.data import Domain, Task
from skmtl.engine.layout import Architecture, Layout
from skmtl.fitting import History
from skmtl.plugins.base import Alignment
from skmtl.plugins.feature_maps import Identity
from skmtl.plugins.registry import resolve
from skmtl.prediction import FLOATS
from skmtl.source import Labelled, as_pretrained, read_source_model, take_weights, validate_sources
from skmtl.tasks import encode_labels
from skmtl.transfer_plan import Part, assign_heads, coefficients, source_shares
from skmtl.weights import class_weight_by_task, label_weights, row_weights

STRATEGIES = ("joint", "finetune", "source_only", "target_only", "pooled")


class TransferClassifier(NetworkClassifier):
    r"""A target task learned with the help of one source or several.

    .. math::

        J(\theta, g) = \frac{L_s(f_s(g(x_s), \theta), y_s) + \lambda L_t(f_t(x_t, \theta), y_t)
        + \mu R(g)}{1 + \lambda} + \alpha R(\theta)

    ``fit(X, y, X_source=, y_source=)``: X and y are the target, so that cross-validation splits
    and scores the target alone. A feature map g takes the source's columns to the target's.
    ``lam=0`` is the source alone, ``lam=inf`` the target alone. Without a source it is an ordinary
    classifier.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(64,)
        Widths of the shared layers; empty for a linear model.
    activation : {"relu", "identity", "tanh", "logistic", "gelu", "silu"}, default="relu"
        Activation of the hidden layers.
    head_layer_sizes : int or array-like of int, default=()
        Widths of the hidden layers of each head.
    lam : float, default=1.0
        :math:`\lambda`, the weight of the target's loss against the source's, from 0 to infinity.
    mu : float, default=0.1
        :math:`\mu`, the strength of the penalty on the feature map.
    feature_map : str or FeatureMap, default="identity"
        The map g, one for each source: "identity", "linear", "affine", or an installed plugin.
    map_penalty : str, Penalty or Alignment, default="identity"
        :math:`R(g)`: a penalty on the parameters of g, or an alignment of the distributions of
        source and target, which also reads target rows without label.
    alpha : float, default=1e-4
        :math:`\alpha`, the strength of the penalty on the weights of trunk and heads.
    penalty : str or Penalty, default="l2"
        :math:`R(\theta)`.
    strategy : {"joint", "finetune", "source_only", "target_only", "pooled"}, default="joint"
        "joint": the objective above. "finetune": first the source alone, then the target alone
        from there, with ``freeze``. "source_only" and "target_only": the two ends. "pooled": the
        joint objective in which every row of source and target weighs the same.
    freeze : int, default=0
        Trunk layers, from the input, that keep the weights that came from the source.
    source_model : estimator or None, default=None
        A fitted MLPClassifier of scikit-learn or estimator of skmtl to start from, best in a
        :class:`sklearn.frozen.FrozenEstimator`, which ``clone`` keeps fitted.
    share_head : bool or "auto", default="auto"
        Whether source and target share a head; "auto": if they have the same labels.
    source_weighting : {"uniform", "n_samples"} or array-like, default="uniform"
        Weights of several sources in :math:`L_s`, scaled to sum to 1.
    standardize : {"per_domain"} or None, default=None
        "per_domain" scales the columns of each domain by its own mean and standard deviation
        (sparse ones without centring).
    loss : str or Loss, default="log_loss"
        :math:`L_s` and :math:`L_t`.
    weighting : str or Weighting, default="uniform"
        Weights of the tasks on top of the coefficients, anew at each step.
    solver : str or Optimizer, default="adam"
        The optimizer, or "lbfgs" for SciPy's L-BFGS-B on all rows at once.
    learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default="constant"
        Schedule of the learning rate over epochs.
    learning_rate_init : float, default=1e-3
        The first learning rate.
    batch_size : int or "auto", default="auto"
        Rows of a batch of each domain; "auto" is ``min(200, rows of the largest)``.
    max_iter : int, default=200
        Epochs (iterations of lbfgs), at most; of each stage with ``strategy="finetune"``. An epoch
        is a pass over the larger domain.
    tol : float, default=1e-4
        Training ends when the loss, or the validation score, has not improved by this much for
        ``n_iter_no_change`` epochs.
    early_stopping : bool, default=False
        Whether to stop by the score on target rows set aside, or on ``X_val``.
    validation_fraction : float, default=0.1
        Fraction of the target rows to set aside.
    n_iter_no_change : int, default=10
        Epochs to wait.
    dropout : float, default=0.0
        Probability with which a hidden unit is dropped in training.
    clip_norm : float or None, default=None
        The longest gradient that a step may have; a longer one is scaled down to it.
    record_affinity : bool, default=False
        Whether to take each task's gradient by itself, for ``task_affinity_``.
    class_weight : dict, "balanced" or None, default=None
        Weights of classes, in all domains.
    missing_label : scalar, default=np.nan
        A value that means "no label". NaN, None, ``pd.NA`` always do.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last one.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and validation rows.
    verbose : bool, default=False
        Whether to print the loss of each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels that ``predict`` may give: the target's; with a shared head also the source's;
        with ``strategy="source_only"`` the source's.
    n_features_in_ : int
        Columns of the target's X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, if it had names that are strings.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases of the trunk's layers.
    head_coefs_, head_intercepts_ : list of list of ndarray
        Those of each head.
    map_params_ : list of ndarray or None
        Parameters of each source's feature map; None if the source took no part.
    n_iter_ : int
        Epochs run, of the last stage.
    loss_curve_ : list of float
        The objective by epoch.
    task_loss_curves_ : ndarray of shape (n_iter_, n_tasks)
        By epoch the loss of the target and of each source that takes part.
    pretrain_loss_curve_ : list of float or None
        The objective of the first stage of ``strategy="finetune"``.
    task_weights_path_ : ndarray of shape (n_iter_, n_tasks)
        Mean over the steps of each epoch of what ``weighting`` gave.
    task_affinity_ : ndarray of shape (n_tasks, n_tasks) or None
        Mean cosine between the tasks' gradients at the parameters that they share, with
        ``record_affinity=True`` or a weighting that works on these gradients; above 0 the tasks
        pull the same way, below they are in conflict. NaN: the two never met in a batch.
    validation_scores_ : list of float or None
        Accuracy on the target's validation rows by epoch.
    best_validation_score_ : float or None
        The best of them; the weights are those of its epoch.
    loss_, penalty_, weighting_, optimizer_, feature_map_, map_penalty_ : plugins
        What the parameters of these names stand for.

    See Also
    --------
    MultiTaskClassifier : Several tasks on one table.
    as_source : Packs the source so that cross-validation leaves it whole.
    make_transfer_pipeline : A pipeline that transforms the source too.

    References
    ----------
    .. [1] Pan and Yang (2010). A survey on transfer learning. IEEE TKDE 22(10).

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from skmtl import TransferClassifier, as_source
    >>> X, y = make_classification(220, random_state=0)
    >>> source, target = slice(0, 200), slice(200, 220)
    >>> clf = TransferClassifier(solver="lbfgs", random_state=0)
    >>> clf = clf.fit(X[target], y[target], **as_source(X[source], y[source]))
    >>> clf.predict(X[:3]).shape
    (3,)
    """

    __metadata_request__fit = {
        "X_source": True,
        "y_source": True,
        "X_unlabeled": True,
        "X_val": True,
        "y_val": True,
    }
    __metadata_request__partial_fit = {"X_source": True, "y_source": True}

    _parameter_constraints = {
        **NetworkClassifier._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "lam": [Interval(Real, 0, None, closed="both")],
        "mu": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "feature_map": [str, HasMethods(["forward"])],
        "map_penalty": [str, HasMethods(["value_grad"])],
        "strategy": [StrOptions(set(STRATEGIES))],
        "freeze": [Interval(Integral, 0, None, closed="left")],
        "source_model": [HasMethods(["predict"]), None],
        "share_head": [StrOptions({"auto"}), "boolean"],
        "source_weighting": [StrOptions({"uniform", "n_samples"}), "array-like"],
        "standardize": [StrOptions({"per_domain"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        *,
        activation="relu",
        head_layer_sizes=(),
        lam=1.0,
        mu=0.1,
        feature_map="identity",
        map_penalty="identity",
        alpha=1e-4,
        penalty="l2",
        strategy="joint",
        freeze=0,
        source_model=None,
        share_head="auto",
        source_weighting="uniform",
        standardize=None,
        loss="log_loss",
        weighting="uniform",
        solver="adam",
        learning_rate="constant",
        learning_rate_init=1e-3,
        batch_size="auto",
        max_iter=200,
        tol=1e-4,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        dropout=0.0,
        clip_norm=None,
        record_affinity=False,
        class_weight=None,
        missing_label=np.nan,
        warm_start=False,
        random_state=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.head_layer_sizes = head_layer_sizes
        self.lam = lam
        self.mu = mu
        self.feature_map = feature_map
        self.map_penalty = map_penalty
        self.alpha = alpha
        self.penalty = penalty
        self.strategy = strategy
        self.freeze = freeze
        self.source_model = source_model
        self.share_head = share_head
        self.source_weighting = source_weighting
        self.standardize = standardize
        self.loss = loss
        self.weighting = weighting
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.dropout = dropout
        self.clip_norm = clip_norm
        self.record_affinity = record_affinity
        self.class_weight = class_weight
        self.missing_label = missing_label
        self.warm_start = warm_start
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
        """Learn the target task.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of the target. float32 is computed in float32, all else in float64.
        y : array-like of shape (n_samples,)
            Their labels; rows without label do not count in the target's loss.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the target's rows.
        X_source : array-like or tuple of array-like, default=None
            Rows of the source, or of several. Use :func:`as_source`.
        y_source : array-like or tuple of array-like, default=None
            Their labels.
        X_unlabeled : array-like of shape (n_rows, n_features), default=None
            More rows of the target, which never enter a test fold; they count in
            ``standardize="per_domain"``, and in an alignment as ``map_penalty``.
        X_val, y_val : array-like, default=None
            Rows of the target to validate on with ``early_stopping=True``, in place of some of X.

        Returns
        -------
        TransferClassifier
            Itself, fitted.

        Raises
        ------
        ValueError
            If source and target do not fit together, or if training diverges in its first epoch.
        """
        with self._all_or_nothing():
            warm = self.warm_start and hasattr(self, "_theta")
            target, row_weight, sources, target_rows = self._validate_fit(
                X,
                y,
                sample_weight,
                X_source,
                y_source,
                X_unlabeled,
                reset=not warm,
                classes=[self._target_classes] if warm else None,
                source_classes=self._source_classes if warm else None,
            )
            rng = self._generator()
            pretrained = self._read_source_model()
            two_stages = self.strategy == "finetune" and bool(sources) and not warm
            n_subtasks = 2 if two_stages else self.max_iter
            watch = stage = begin_fit(self, n_subtasks, X=X, y=y, sample_weight=sample_weight)
            self.pretrain_loss_curve_, ended = None, False
            if two_stages:
                stage = watch.stage("source", self.max_iter)
                pretrained, ended = self._pretrain(
                    target, row_weight, sources, target_rows, rng, pretrained, stage
                )
                stage = watch.stage("target", self.max_iter)
            strategy = "target_only" if self.strategy == "finetune" else self.strategy
            parts = self._plan(strategy, target, row_weight, sources)
            rows, validate_on = self._validation_rows_of(parts[0], X_val, y_val, rng)
            parts[0] = parts[0].only(rows)
            problem = self._describe(parts, target_rows, rng, pretrained, self.freeze, resume=warm)
            validate = validate_on and self._scorer_of(problem, *validate_on)
            history = History() if ended else self._run(problem, stage, validate)
            self._store(problem, history)
            if two_stages:
                stage.end({})
            else:
                self._keep_maps(parts, len(sources), problem)
            watch.end()
        return self

    @available_if(has_partial_fit)
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y, classes=None, sample_weight=None, *, X_source=None, y_source=None):
        """Train one epoch on some rows of target and source, going on from the last call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of the target.
        y : array-like of shape (n_samples,)
            Their labels.
        classes : array-like, default=None
            All labels of the target. Needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the target's rows.
        X_source, y_source : array-like or tuple of array-like, default=None
            Rows of the source, or of several, and their labels; as many sources in each call, with
            labels that the first call held.

        Returns
        -------
        TransferClassifier
            Itself.

        Raises
        ------
        ValueError
            If ``classes`` is missing in the first call or differs later.
        AttributeError
            With lbfgs, with ``strategy="finetune"`` or with ``standardize="per_domain"``.
        """
        self._check_first_classes(classes)
        with self._all_or_nothing():
            first = not hasattr(self, "_theta")
            target, row_weight, sources, target_rows = self._validate_fit(
                X,
                y,
                sample_weight,
                X_source,
                y_source,
                None,
                reset=first,
                classes=classes if first else known_classes(classes, [self._target_classes]),
                source_classes=None if first else self._source_classes,
            )
            resume = self._where_to_resume()
            parts = self._plan(self.strategy, target, row_weight, sources)
            pretrained = self._read_source_model() if first else None
            problem = self._describe(
                parts, target_rows, resume["rng"], pretrained, self.freeze, resume=not first
            )
            self._train_chunk(problem, resume)
            self._keep_maps(parts, len(sources), problem)
        return self

    # --- from arguments to the engine's description ----------------------------------------------

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
        return super()._obstacle_to_partial_fit()

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
        classes=None,
        source_classes=None,
    ):
        """Check the data; sets the attributes that describe them.

        Returns the target, its row weights, the sources, and all rows of the target, the unlabelled
        ones last; all scaled.
        """
        self._resolve_plugins()
        self.feature_map_ = resolve("feature_maps", self.feature_map, "feature_map")
        self.map_penalty_ = resolve(("penalties", "alignments"), self.map_penalty, "map_penalty")
        self._check_alignment()
        X = self._validate_X(X, reset=reset)
        labels = encode_labels(y, missing_label=self.missing_label, classes=classes, estimator=self)
        if not labels.is_1d:
            raise ValueError(
                f"TransferClassifier learns one target task: y must be 1-D, but has "
                f"{labels.codes.shape[1]} columns. MultiTaskClassifier takes several."
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
            missing_label=self.missing_label,
            classes=source_classes,
        )
        self._target_classes = target.classes
        self._source_classes = [source.classes for source in sources]
        self._n_source_columns = [source.X.shape[1] for source in sources]
        if self.strategy == "source_only" and not sources:
            raise ValueError("strategy='source_only' needs X_source and y_source.")
        if X_unlabeled is not None:
            X_unlabeled = self._validate_X(X_unlabeled)
            if self.standardize is None and not self._aligns:
                warnings.warn(
                    "X_unlabeled has no effect: standardize='per_domain' counts it, and so does an "
                    f"alignment as map_penalty. Got standardize={self.standardize!r} and "
                    f"map_penalty={self.map_penalty!r}.",
                    stacklevel=4,
                )
        row_weight = row_weights(sample_weight, X)
        learns_target = classes is None and self.strategy != "source_only"
        if learns_target and not row_weight[target.codes >= 0].any():
            raise ValueError(
                "y has no label with positive weight; strategy='source_only' does without."
            )
        target, sources = self._scale(target, row_weight, sources, X_unlabeled)
        target_rows = target.X
        if X_unlabeled is not None and self._aligns:
            stack = vstack if issparse(target.X) else np.vstack
            target_rows = stack([target.X, self._inputs_of_validated(X_unlabeled)])
            target_rows = target_rows.tocsr() if issparse(target_rows) else target_rows
        return target, row_weight, sources, target_rows

    @property
    def _aligns(self):
        return isinstance(self.map_penalty_, Alignment)

    def _check_alignment(self):
        """Whether an alignment as R(g) suits the other parameters."""
        if not self._aligns:
            return
        self.map_penalty_._check_option("where", ("shared", "input"))
        if self.map_penalty_.where == "input" and isinstance(self.feature_map_, Identity):
            raise ValueError(
                f"map_penalty={self.map_penalty!r} with where='input' aligns mapped rows, and "
                "feature_map='identity' maps nothing: choose another map, or where='shared'."
            )
        if self._uses_lbfgs and self.map_penalty_.needs_minibatches:
            raise ValueError(
                f"map_penalty={self.map_penalty!r} needs minibatches: use solver='adam', 'adamw' "
                "or 'sgd', not 'lbfgs'."
            )

    def _scale(self, target, row_weight, sources, X_unlabeled):
        """Standardise each domain by itself, if that is asked for."""
        self.target_scaler_, self.source_scalers_ = None, [None] * len(sources)
        if self.standardize is None:
            return target, sources
        self.target_scaler_ = _fit_scaler(target.X, row_weight)
        if X_unlabeled is not None:
            self.target_scaler_.partial_fit(X_unlabeled)
        self.source_scalers_ = [_fit_scaler(source.X) for source in sources]
        return target._replace(X=self.target_scaler_.transform(target.X)), [
            source._replace(X=scaler.transform(source.X))
            for source, scaler in zip(sources, self.source_scalers_)
        ]

    def _read_source_model(self):
        return None if self.source_model is None else read_source_model(self.source_model)

    def _pretrain(self, target, row_weight, sources, target_rows, rng, pretrained, watch):
        """Train on the sources alone; gives the weights to go on from, and if the fit is to end."""
        parts = self._plan("source_only", target, row_weight, sources)
        problem = self._describe(parts, target_rows, rng, pretrained)
        history = self._run(problem, watch)
        self.pretrain_loss_curve_ = history.losses
        self._keep_maps(parts, len(sources), problem)
        stopped = watch.end(self._fitted_as_of(problem))
        pretrained = as_pretrained(problem, self.classes_)
        return pretrained, history.interrupted or stopped

    def _plan(self, strategy, target, row_weight, sources):
        """The parts of a stage: the target and the sources that weigh something.

        The first one is what ``predict`` speaks for: the target, or, where it takes no part, the
        first source. Sets ``classes_`` to the labels of its head.
        """
        share = True if self.strategy == "pooled" else self.share_head
        heads = assign_heads(target.classes, [source.classes for source in sources], share)
        domains = [(target, row_weight), *((source, 1.0) for source in sources)]
        wanted = class_weight_by_task(self.class_weight, [data.classes for data, _ in domains])
        weights = [
            label_weights(data.codes, data.classes, row_weight, class_weight)
            for (data, row_weight), class_weight in zip(domains, wanted)
        ]
        totals = np.array([weight.sum() for weight in weights])
        n_labels = [np.count_nonzero(weight) for weight in weights[1:]]
        shares = source_shares(self.source_weighting, n_labels)
        c = coefficients(strategy, self.lam, self.mu, shares, (totals[0], totals[1:]))
        candidates = [
            (None, target, heads.target, c.target, 0.0),
            *zip(range(len(sources)), sources, heads.sources, c.sources, c.maps),
        ]
        parts = [
            Part(source, data.X, codes, weight, head, coefficient, map_strength)
            for (source, data, head, coefficient, map_strength), weight in zip(candidates, weights)
            if coefficient > 0
            for codes in [heads.codes_in_head(data.codes, data.classes, head)]
        ]
        speaks_for_all = len({part.head for part in parts}) == 1
        if parts[0].source is not None and self.strategy != "finetune" and not speaks_for_all:
            raise ValueError(
                "Without the target's labels, several sources must have the same labels, or "
                "share_head=True."
            )
        self.classes_ = heads.classes[parts[0].head]
        self._task_classes, self._is_1d = [self.classes_], True
        self._head_classes = heads.classes
        return parts

    def _validation_rows_of(self, part, X_val, y_val, rng):
        """Rows of the target to train on, and those to validate on; a source has none."""
        if part.source is not None:
            if self.early_stopping:
                warnings.warn(
                    "early_stopping=True has no effect where the source alone is trained "
                    f"(strategy={self.strategy!r}, lam={self.lam!r}): it watches the target.",
                    stacklevel=4,
                )
            return np.arange(len(part.codes)), None
        codes, weight = part.codes[:, None], part.weight[:, None]
        return self._validation_rows(part.X, codes, weight, X_val, y_val, rng)

    def _describe(self, parts, target_rows, rng, pretrained, freeze=0, *, resume=False):
        """The problem of a stage: a domain and a task for each part.

        Without the target among the parts, an alignment adds its rows as a domain without task.
        """
        from skmtl.engine.problem import AlignmentTerm  # imports numba

        self._check_freeze(freeze, pretrained is not None or resume)
        n_inputs, dtype = target_rows.shape[1], target_rows.dtype
        aligned = self._aligned_parts(parts)
        map_starts = [self._map_start(part, parts[0], target_rows, rng) for part in parts]
        heads = list(dict.fromkeys(part.head for part in parts))
        hidden = self._widths("hidden_layer_sizes")
        n_features = hidden[-1] if hidden and self._aligns_shared else n_inputs
        alignment_starts = [self.map_penalty_.init(n_features, rng) for _ in aligned]
        domains = [
            Domain(part.X, self.feature_map_ if map_start.size else None)
            for part, map_start in zip(parts, map_starts)
        ]
        target_domain = 0
        if aligned:
            all_target_rows = Domain(target_rows, keeps_unlabelled=True)
            if parts[0].source is None:
                domains[0] = all_target_rows
            else:
                target_domain = len(domains)
                domains.append(all_target_rows)
                map_starts.append(np.zeros(0))
        layout = Layout(
            Architecture(
                n_inputs=n_inputs,
                hidden=hidden,
                activation=self.activation,
                head_hidden=self._widths("head_layer_sizes"),
                n_outputs=tuple(self._n_outputs(self._head_classes[head]) for head in heads),
                task_heads=tuple(heads.index(part.head) for part in parts),
                gate_mask=((True,),) * len(parts),
                map_sizes=tuple(map_start.size for map_start in map_starts),
                alignment_sizes=tuple(start.size for start in alignment_starts),
            )
        )
        theta = self._first_theta(layout, rng, dtype, resume)
        if not resume:
            theta[layout.map_offsets[0] :] = np.concatenate([*map_starts, *alignment_starts])
        penalties = self._penalties(layout, theta, parts, map_starts, pretrained, resume)
        return self._problem(
            layout,
            theta,
            domains,
            [self._task_of(d, part, layout) for d, part in enumerate(parts)],
            penalties,
            rng,
            n_frozen_layers=freeze,
            alignments=[
                AlignmentTerm(self.map_penalty_, parts[d].map_strength, d, target_domain)
                for d in aligned
            ],
        )

    @property
    def _aligns_shared(self):
        return self._aligns and self.map_penalty_.where == "shared"

    def _aligned_parts(self, parts):
        """Numbers of the parts whose rows are drawn to those of the target."""
        if not self._aligns:
            return []
        aligned = [d for d, part in enumerate(parts) if part.map_strength > 0]
        if self.map_penalty_.needs_labels and len({part.head for part in parts}) > 1:
            raise ValueError(
                f"map_penalty={self.map_penalty!r} compares classes: source and target must have "
                "the same labels, or share_head=True."
            )
        return aligned

    def _map_start(self, part, first, target_rows, rng):
        """Parameters that a part's feature map starts from; none for the target."""
        if part.source is None:
            return np.zeros(0)
        y_target = None
        if first.source is None and first.head == part.head:
            y_target = np.full(target_rows.shape[0], -1)
            y_target[: first.codes.size] = np.where(first.weight > 0, first.codes, -1)
        return self.feature_map_.init(part.X, target_rows, rng, part.codes, y_target)

    def _task_of(self, d, part, layout):
        rows = np.flatnonzero(part.weight)
        if len(self._head_classes[part.head]) == 1:
            rows = rows[:0]  # nothing to learn
        return Task(
            domain=d,
            head=layout.architecture.task_heads[d],
            loss=self.loss_,
            rows=rows,
            y=part.codes[rows],
            weight=part.weight[rows],
            coefficient=part.coefficient,
        )

    def _penalties(self, layout, theta, parts, map_starts, pretrained, resume):
        """R(theta), and R(g) of each map; writes the pretrained weights into theta."""
        written, fisher = None, None
        if pretrained is not None and not resume:
            same_labels = np.array_equal(pretrained.classes, self.classes_)
            with_head = same_labels and self.share_head is not False
            written = take_weights(layout, theta, pretrained, with_head)
            if pretrained.fisher is not None:

                def fisher():
                    diagonal = np.zeros_like(theta)
                    take_weights(layout, diagonal, pretrained.fisher(), with_head)
                    return diagonal

        penalties = [
            self._penalty_term(self.penalty_, self.alpha, layout.blocks, theta, written, fisher)
        ]
        for d, (part, map_start) in enumerate(zip(parts, map_starts)):
            if map_start.size and not self._aligns:
                blocks = map_block_table(
                    self.feature_map_,
                    part.X.shape[1],
                    layout.architecture.n_inputs,
                    layout.map_offsets[d],
                )
                penalties.append(
                    self._penalty_term(self.map_penalty_, part.map_strength, blocks, theta)
                )
        return penalties

    def _keep_maps(self, parts, n_sources, problem):
        """Leave the parameters of the trained feature maps in ``map_params_``."""
        self.map_params_ = [None] * n_sources
        offsets = problem.layout.map_offsets
        for d, part in enumerate(parts):
            if part.source is not None:
                self.map_params_[part.source] = problem.theta[offsets[d] : offsets[d + 1]].copy()

    def _check_freeze(self, freeze, has_weights):
        n_layers = len(self._widths("hidden_layer_sizes"))
        if self.freeze > n_layers:
            raise ValueError(
                f"freeze={self.freeze}, but hidden_layer_sizes={self.hidden_layer_sizes!r} has "
                f"{n_layers} layers."
            )
        if freeze and not has_weights:
            raise ValueError(
                f"freeze={freeze} keeps layers that came from a source: use strategy='finetune' "
                "with X_source, or source_model."
            )

    # --- predict ----------------------------------------------------------------------------------

    def _inputs_of_validated(self, X):
        return X if self.target_scaler_ is None else self.target_scaler_.transform(X)

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


def _fit_scaler(X, row_weight=None):
    return StandardScaler(with_mean=not issparse(X)).fit(X, sample_weight=row_weight)
