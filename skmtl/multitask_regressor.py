"""MultiTaskRegressor: several regression tasks on one table."""

import numpy as np
from sklearn.utils.metaestimators import available_if

from skmtl._compat import fit_context
from skmtl.base import has_partial_fit
from skmtl.columns import read_columns
from skmtl.multitask import MultiTaskNetwork
from skmtl.regression import Regression, UnitsByTask
from skmtl.task_columns import by_task
from skmtl.task_types import REGRESSED, read_typed, spread_columns
from skmtl.view import RegressedTask


class MultiTaskRegressor(UnitsByTask, Regression, MultiTaskNetwork):
    r"""Several regression tasks on one table, learned together.

    .. math:: J(\theta) = \sum_i w_i L_i(f_i(x, \theta), y_i) + \lambda R(\theta)

    Each task is a column of numbers in y, and may lack some: :math:`L_i` is the mean over its
    observed ones. All tasks share the layers of a network (the trunk), and each has a head. With
    1-D y it is an ordinary regressor.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(64,)
        Widths of the trunk's layers; empty for a linear model.
    activation : {"relu", "identity", "tanh", "logistic", "gelu", "silu"}, default="relu"
        Activation of the hidden layers.
    head_layer_sizes : int or array-like of int, default=()
        Widths of the hidden layers of each head.
    head_rank : int or None, default=None
        The rank of all heads together, for many tasks with few labels each. Heads read the trunk's
        output through a matrix U of so many columns, which they share: no bias, no activation. The
        weights of all tasks are then ``U V``, with a column of V for each output [2]_, and
        ``penalty="l2"`` on both is the trace norm of ``U V`` [3]_.
    lam : float, default=1e-4
        :math:`\lambda`, the strength of the penalty.
    penalty : str or Penalty, default="l2"
        :math:`R(\theta)`, on the weights of trunk and heads; see
        ``skmtl.plugins.available("penalties")``.
    loss : str or Loss, default="squared_error"
        :math:`L_i`: "squared_error", "huber", "pinball" for a quantile, "poisson" for counts, or
        another loss on numbers.
    scale_targets : bool, default=True
        Whether networks learn each task in units of its own: less the mean of its observed numbers,
        by their standard deviation, all weighted; for "poisson" by the mean. Then tasks of any size
        count the same, one learning rate suits all, and lengths in a loss, such as the delta of
        ``Huber``, are in these units. Predictions are in the units of y. With ``sharing="pooled"``
        all tasks have the same units.
    weighting : str or Weighting, default="uniform"
        :math:`w_i`.
    sharing : str or Sharing, default="hard"
        "hard": one trunk, a head per task. "none": a net per task, nothing shared. "pooled": one
        trunk and one head for all tasks. "grouped",
        "cross_stitch", "mmoe", "cgc": several trunks, the experts, each of the widths of
        ``hidden_layer_sizes``, which each task mixes in its own way; see
        ``skmtl.plugins.sharings``.
    solver : str or Optimizer, default="adam"
        The optimizer, or "lbfgs" for SciPy's L-BFGS-B on all rows at once.
    learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default="constant"
        Schedule of the learning rate over epochs.
    learning_rate_init : float, default=1e-3
        The first learning rate.
    batch_size : int or "auto", default="auto"
        Rows of a batch; "auto" is ``min(200, n_samples)``.
    max_iter : int, default=200
        Epochs (iterations of lbfgs), at most.
    tol : float, default=1e-4
        Training ends when the loss, or the validation score, has not improved by this much for
        ``n_iter_no_change`` epochs.
    early_stopping : bool, default=False
        Whether to stop by the score on rows set aside, or on ``X_val``.
    validation_fraction : float, default=0.1
        Fraction of the rows to set aside.
    n_iter_no_change : int, default=10
        Epochs to wait.
    dropout : float, default=0.0
        Probability with which a hidden unit is dropped in training.
    clip_norm : float or None, default=None
        The longest gradient that a step may have; a longer one is scaled down to it.
    record_affinity : bool, default=False
        Whether to take each task's gradient by itself, for ``task_affinity_``.
    missing_label : scalar, default=np.nan
        A value that means "no number" in y, such as -1. NaN, None, ``pd.NA`` always do.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last one.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and validation rows.
    verbose : bool, default=False
        Whether to print the loss of each epoch.

    Attributes
    ----------
    y_offset_, y_scale_ : ndarray of shape (n_tasks,)
        Networks learn ``(y - y_offset_) / y_scale_``; those of the first fit or ``partial_fit``
        stay where training goes on from it.
    n_tasks_ : int
        Columns of y.
    task_names_ : ndarray of shape (n_tasks,) or None
        Names of the columns of y, if it had any.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, if it had names that are strings.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases of the trunk's layers; stacked over experts where there
        are several, which with ``sharing="none"`` are those of the tasks.
    head_coefs_, head_intercepts_ : list of list of ndarray
        Those of each head.
    head_factor_ : ndarray of shape (n_hidden, head_rank) or None
        U of ``head_rank``; stacked over experts where there are several.
    n_iter_ : int
        Epochs run.
    loss_curve_ : list of float
        The objective by epoch.
    task_loss_curves_ : ndarray of shape (n_iter_, n_tasks)
        Each task's loss by epoch.
    task_weights_path_ : ndarray of shape (n_iter_, n_tasks)
        Mean over the steps of each epoch of what ``weighting`` gave.
    penalty_coefs_ : list of ndarray
        Matrices that the penalty learned of its own, such as the sparse part of
        ``SparseLowRank``; empty for most.
    task_affinity_ : ndarray of shape (n_tasks, n_tasks) or None
        Mean cosine between the tasks' gradients at the parameters that they share, with
        ``record_affinity=True`` or a weighting that works on these gradients; above 0 the tasks
        pull the same way, below they are in conflict. NaN: the two never met in a batch.
    validation_scores_ : list of float or None
        Mean R2 of the tasks on the validation rows by epoch.
    best_validation_score_ : float or None
        The best of them; the weights are those of its epoch.
    task_gates_ : ndarray of shape (n_tasks, n_experts) or None
        The part that each expert has in what a task's head reads; rows sum to 1. None where it
        depends on x, as with "mmoe" and "cgc".
    task_groups_ : ndarray of shape (n_tasks,) or None
        The expert that has the largest part for each task: with ``sharing="grouped"`` its group.
    loss_, penalty_, weighting_, sharing_, optimizer_ : plugins
        What the parameters of these names stand for.

    See Also
    --------
    MultiTaskClassifier : The same for classes.
    MultiTaskEstimator : The same for both together.
    TransferRegressor : One target task with the help of a source.

    References
    ----------
    .. [1] Caruana (1997). Multitask learning. Machine Learning 28.
    .. [2] Izenman (1975). Reduced-rank regression for the multivariate linear model. Journal of
       Multivariate Analysis 5(2).
    .. [3] Srebro, Rennie and Jaakkola (2004). Maximum-margin matrix factorization. NIPS 17.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_linnerud
    >>> from skmtl import MultiTaskRegressor
    >>> X, y = load_linnerud(return_X_y=True)  # exercises; weight, waist and pulse
    >>> y[::3, 1] = np.nan
    >>> reg = MultiTaskRegressor(hidden_layer_sizes=(), solver="lbfgs", lam=0.1)
    >>> reg = reg.fit((X - X.mean(axis=0)) / X.std(axis=0), y)
    >>> reg.predict(np.zeros((1, 3))).round()
    array([[179.,  35.,  56.]])
    """

    _parameter_constraints = {
        **MultiTaskNetwork._parameter_constraints,
        **Regression._parameter_constraints,
    }

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        *,
        activation="relu",
        head_layer_sizes=(),
        head_rank=None,
        lam=1e-4,
        penalty="l2",
        loss="squared_error",
        scale_targets=True,
        weighting="uniform",
        sharing="hard",
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
        missing_label=np.nan,
        warm_start=False,
        random_state=None,
        verbose=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.head_layer_sizes = head_layer_sizes
        self.head_rank = head_rank
        self.lam = lam
        self.penalty = penalty
        self.loss = loss
        self.scale_targets = scale_targets
        self.weighting = weighting
        self.sharing = sharing
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
        self.missing_label = missing_label
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @available_if(has_partial_fit)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, *, label_weight=None):
        """Train one epoch on some rows, going on from the last call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their numbers, with holes; a task may have none among these rows. The first call sets
            the units of ``scale_targets=True``: give it numbers of every task, and of all sizes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.
        label_weight : array-like of shape (n_samples, n_tasks), default=None
            Weights of single numbers.

        Returns
        -------
        MultiTaskRegressor
            Itself.

        Raises
        ------
        ValueError
            If arguments do not fit together, or if training diverges.
        AttributeError
            With lbfgs.
        """
        return self._partial_fit(X, y, sample_weight, label_weight, None)

    def _read_tasks(self, y, task, known):
        if task is None:
            return by_task(self._read_labels(y, estimator=self))
        columns, rows = spread_columns(read_columns(y, self), task)
        labels = read_typed(columns, [REGRESSED] * len(rows), self.missing_label, rows=rows)
        for column in labels.columns:
            self.loss_.check_targets(column.used_y)
        return labels

    def _pool(self, columns):
        """Numbers are of one kind in all tasks."""
        return columns

    def _view(self, t):
        return RegressedTask(self, t)
