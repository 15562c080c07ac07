"""TransferRegressor: numbers of one target task, with the help of a source."""

import numpy as np
from sklearn.utils.metaestimators import available_if

from skmtl._compat import fit_context
from skmtl.base import has_partial_fit
from skmtl.regression import Regression, numbers_of
from skmtl.source import Numbers, head_fits
from skmtl.transfer import TransferNetwork
from skmtl.transfer_plan import assign_number_heads


class TransferRegressor(Regression, TransferNetwork):
    r"""Numbers of a target learned with the help of one source or several.

    .. math::

        J(\theta, g) = \frac{L_s(f_s(g(x_s), \theta), y_s) + \lambda L_t(f_t(x_t, \theta), y_t)
        + \mu R(g)}{1 + \lambda} + \alpha R(\theta)

    ``fit(X, y, X_source=, y_source=)``: X and y are the target, so that cross-validation splits
    and scores the target alone. A feature map g takes the source's columns to the target's.
    ``lam=0`` is the source alone, ``lam=inf`` the target alone. Without a source it is an ordinary
    regressor.

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
    unfreeze_every : int or None, default=None
        Gradual unfreezing [2]_ with ``strategy="finetune"``: at first the head alone learns from
        the target, and after each so many epochs one more trunk layer, from the head down. Until
        all do, ``tol`` ends nothing. None: all learn from the start.
    layer_decay : float, default=1.0
        Layer-wise learning rates [2]_ with ``strategy="finetune"``: from the target the trunk
        layer d below the head learns at ``layer_decay**d`` times the learning rate. Below 1 a
        penalty's proximal steps are scaled likewise, and leave no exact zeros there.
    source_model : estimator or None, default=None
        A fitted MLPRegressor of scikit-learn or estimator of skmtl to start from, best in a
        :class:`sklearn.frozen.FrozenEstimator`, which ``clone`` keeps fitted. The head comes with
        it if it predicts numbers of one task, by the same link function.
    sharing : str or Sharing, default="hard"
        How target and sources, where they are trained together, share the trunk: "hard", one for
        all; "cgc", one for all beside one of its own for each; or another installed plugin. The
        target is the first task.
    share_head : bool or "auto", default="auto"
        Whether source and target share a head; "auto": they do. False suits sources of which the
        numbers mean something else.
    source_weighting : {"uniform", "n_samples"} or array-like, default="uniform"
        Weights of several sources in :math:`L_s`, scaled to sum to 1. ``weighting="arml"`` learns
        them from there.
    source_sample_weighting : str or SourceWeighting, default="uniform"
        Weights of the rows of each source in its loss, from how these compare with the target's
        rows: "uniform", "discriminator_ratio", "kliep", "kmm", or an installed
        plugin. It sees rows as they come, or scaled by ``standardize``, before any feature map.
        "tradaboost" weighs them in rounds, by how far the model is off.
    standardize : {"per_domain"} or None, default=None
        "per_domain" scales the columns of each domain by its own mean and standard deviation
        (sparse ones without centring).
    loss : str or Loss, default="squared_error"
        :math:`L_s` and :math:`L_t`: "squared_error", "huber", "pinball" for a quantile, "poisson"
        for counts, or another loss on numbers.
    scale_targets : bool, default=True
        Whether heads learn numbers less their mean, by their standard deviation ("poisson": by the
        mean). See the notes.
    weighting : str or Weighting, default="uniform"
        Weights of the tasks on top of the coefficients, anew at each step. "arml" learns a weight
        for each source, so that those that do not help the target fade; see ``source_weights_``.
    solver : str or Optimizer, default="adam"
        The optimizer, or "lbfgs" for SciPy's L-BFGS-B on all rows at once.
    learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default="constant"
        Schedule of the learning rate over epochs.
    learning_rate_init : float, default=1e-3
        The first learning rate.
    batch_size : int or "auto", default="auto"
        Rows of a batch of each domain; "auto" is ``min(200, rows of the largest)``.
    max_iter : int, default=200
        Epochs (iterations of lbfgs), at most. An epoch is a pass over the larger domain.
    pretrain_max_iter : int or None, default=None
        Those of the first stage of ``strategy="finetune"``, which passes over the source; None:
        ``max_iter``.
    tol : float, default=1e-4
        Training ends when the loss, or the validation score, has not improved by this much for
        ``n_iter_no_change`` epochs.
    early_stopping : bool, default=False
        Whether to stop by the score on target rows set aside, or on ``X_val``.
    validation_fraction : float, default=0.1
        Fraction of the target rows to set aside.
    n_iter_no_change : int, default=10
        Epochs to wait; in the first stage of ``strategy="finetune"`` the same part of its epochs.
    dropout : float, default=0.0
        Probability with which a hidden unit is dropped in training.
    clip_norm : float or None, default=None
        The longest gradient that a step may have; a longer one is scaled down to it.
    record_affinity : bool, default=False
        Whether to take each task's gradient by itself, for ``task_affinity_``.
    missing_label : scalar, default=np.nan
        A value that means "no number". NaN, None, ``pd.NA`` always do.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last one.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and validation rows.
    verbose : bool, default=False
        Whether to print the loss of each epoch.

    Attributes
    ----------
    y_offset_, y_scale_ : ndarray of shape (1,)
        The head that ``predict`` speaks for learns ``(y - y_offset_) / y_scale_``.
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
    source_weights_ : ndarray of shape (n_sources,)
        What each source weighs in :math:`L_s`: its ``source_weighting`` times the mean over the
        last epoch of what ``weighting`` gave it; 0 if it took no part.
    source_sample_weights_ : list of ndarray or None
        Weights of the rows of each source, with mean 1 over those that have a label, 0 for the
        others, after the last round if there are rounds; None if the source took no part.
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
    penalty_coefs_ : list of ndarray
        Matrices that the penalty learned of its own, such as the sparse part of
        ``SparseLowRank``; empty for most.
    task_gates_ : ndarray of shape (n_tasks, n_experts) or None
        The part of each expert in what each task reads; None where it depends on x.
    task_affinity_ : ndarray of shape (n_tasks, n_tasks) or None
        Mean cosine between the tasks' gradients at the parameters that they share, with
        ``record_affinity=True`` or a weighting that works on these gradients; above 0 the tasks
        pull the same way, below they are in conflict. NaN: the two never met in a batch.
    validation_scores_ : list of float or None
        R2 on the target's validation rows by epoch.
    best_validation_score_ : float or None
        The best of them; the weights are those of its epoch.
    loss_, penalty_, weighting_, optimizer_, feature_map_, map_penalty_, \
            source_sample_weighting_, sharing_ : plugins
        What the parameters of these names stand for.

    See Also
    --------
    TransferClassifier : The same for classes.
    MultiTaskRegressor : Several tasks on one table.
    as_source : Packs the source so that cross-validation leaves it whole.
    make_transfer_pipeline : A pipeline that transforms the source too.

    Notes
    -----
    A head that source and target share is one function of the features, so its units are the same
    for both: mean and standard deviation of the numbers of all domains that it learns from, every
    row weighing its sample weight. Units for each domain would take a shift between source and
    target out of the data, unasked, and estimate it from a few target rows. Where the numbers of
    the source mean something else, ``share_head=False`` gives each domain a head with units of its
    own. Weights that come from a source bring their units along: in the second stage of
    ``strategy="finetune"``, from a ``source_model`` (those of an MLPRegressor are 0 and 1), and
    where ``warm_start`` or ``partial_fit`` goes on.

    References
    ----------
    .. [1] Pan and Yang (2010). A survey on transfer learning. IEEE TKDE 22(10).
    .. [2] Howard and Ruder (2018). Universal language model fine-tuning for text classification.
       ACL, sections 3.2 and 3.3.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from skmtl import TransferRegressor, as_source
    >>> X, y = make_regression(220, n_features=10, random_state=0)
    >>> source, target = slice(0, 200), slice(200, 220)
    >>> reg = TransferRegressor(hidden_layer_sizes=(), solver="lbfgs", random_state=0)
    >>> reg = reg.fit(X[target], y[target], **as_source(X[source], y[source]))
    >>> round(reg.score(X, y), 2)
    1.0
    """

    _parameter_constraints = {
        **TransferNetwork._parameter_constraints,
        **Regression._parameter_constraints,
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
        unfreeze_every=None,
        layer_decay=1.0,
        source_model=None,
        sharing="hard",
        share_head="auto",
        source_weighting="uniform",
        source_sample_weighting="uniform",
        standardize=None,
        loss="squared_error",
        scale_targets=True,
        weighting="uniform",
        solver="adam",
        learning_rate="constant",
        learning_rate_init=1e-3,
        batch_size="auto",
        max_iter=200,
        pretrain_max_iter=None,
        tol=1e-4,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        dropout=0.0,
        clip_norm=None,
        record_affinity=False,
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
        self.unfreeze_every = unfreeze_every
        self.layer_decay = layer_decay
        self.source_model = source_model
        self.sharing = sharing
        self.share_head = share_head
        self.source_weighting = source_weighting
        self.source_sample_weighting = source_sample_weighting
        self.standardize = standardize
        self.loss = loss
        self.scale_targets = scale_targets
        self.weighting = weighting
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.pretrain_max_iter = pretrain_max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.dropout = dropout
        self.clip_norm = clip_norm
        self.record_affinity = record_affinity
        self.missing_label = missing_label
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @available_if(has_partial_fit)
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X, y, sample_weight=None, *, X_source=None, y_source=None):
        """Train one epoch on some rows of target and source, going on from the last call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows of the target.
        y : array-like of shape (n_samples,)
            Their numbers. The first call, and its sources, set the units of
            ``scale_targets=True``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the target's rows.
        X_source, y_source : array-like or tuple of array-like, default=None
            Rows of the source, or of several, and their numbers; as many sources in each call.

        Returns
        -------
        TransferRegressor
            Itself.

        Raises
        ------
        ValueError
            If source and target do not fit together, or if training diverges.
        AttributeError
            With lbfgs, with ``strategy="finetune"`` or with ``standardize="per_domain"``.
        """
        return self._partial_fit(X, y, sample_weight, X_source, y_source, None)

    def _assign_heads(self, target, sources, share):
        return assign_number_heads(len(sources), share is not False)

    def _takes_head(self, layout, pretrained):
        numbers = pretrained.numbers
        same_link = numbers is not None and numbers.link is type(self.loss_).predict
        return same_link and self.share_head is not False and head_fits(layout, pretrained)

    # --- units: a row (offset, scale) for each head ----------------------------------------------

    def _set_units(self, layout, parts, pretrained):
        self._units = np.tile([0.0, 1.0], (len(self._head_classes), 1))
        for head in {part.head for part in parts}:
            mine = [part for part in parts if part.head == head]
            y, weight = map(np.concatenate, zip(*((part.codes, part.weight) for part in mine)))
            self._units[head] = self._units_of(y, weight, self.loss_)
        first = parts[0].head
        if pretrained is not None and self._takes_head(layout, pretrained):
            self._units[first] = pretrained.numbers[:2]
        self.y_offset_, self.y_scale_ = self._units[[first]].T.copy()

    def _numbers(self, head):
        return Numbers(*self._units[head].tolist(), type(self.loss_).predict)

    def _read_outputs(self, out, head):
        return numbers_of(self.loss_, out, *self._units[head])

    def _as_learned(self, y, head):
        offset, scale = self._units[head]
        return (y - offset) / scale
