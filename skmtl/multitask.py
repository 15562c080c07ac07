"""MultiTaskClassifier: several tasks on one table, with shared parameters."""

import warnings
from numbers import Real

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skmtl._compat import HasMethods, Interval, begin_fit, fit_context
from skmtl.base import NetworkClassifier, has_partial_fit, known_classes
from skmtl.engine.data import Domain, Task
from skmtl.engine.forward import gate_weights
from skmtl.engine.layout import Architecture
from skmtl.experts import experts_of, start_gates
from skmtl.plugins.registry import resolve
from skmtl.tasks import encode_labels, spread_tasks, union_of_labels
from skmtl.view import TaskView
from skmtl.weights import check_label_weight, class_weight_by_task, label_weights, row_weights


class MultiTaskClassifier(NetworkClassifier):
    r"""Several classification tasks on one table, learned together.

    .. math:: J(\theta) = \sum_i w_i L_i(f_i(x, \theta), y_i) + \lambda R(\theta)

    Each task is a column of y with classes of its own, and may lack labels: :math:`L_i` is the
    mean over its observed ones. Tasks share the layers of a network (the trunk), and each has a
    head; ``sharing`` has other ways. With 1-D y it is an ordinary classifier.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(64,)
        Widths of the trunk's layers; empty for a linear model.
    activation : {"relu", "identity", "tanh", "logistic", "gelu", "silu"}, default="relu"
        Activation of the hidden layers.
    head_layer_sizes : int or array-like of int, default=()
        Widths of the hidden layers of each head.
    lam : float, default=1e-4
        :math:`\lambda`, the strength of the penalty.
    penalty : str or Penalty, default="l2"
        :math:`R(\theta)`, on the weights of trunk and heads; see
        ``skmtl.plugins.available("penalties")``.
    loss : str or Loss, default="log_loss"
        :math:`L_i`.
    weighting : str or Weighting, default="uniform"
        :math:`w_i`.
    sharing : str or Sharing, default="hard"
        "hard": one trunk, a head per task. "none": a net per task, nothing shared. "pooled": one
        trunk and one head for all tasks, which then must have labels of one kind. "grouped",
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
    class_weight : dict, "balanced", list or None, default=None
        Weights of classes: for all tasks, or a list with an entry for each, or a dict with an
        entry for some of the task names.
    missing_label : scalar, default=np.nan
        A value that means "no label" in y, such as -1. NaN, None, ``pd.NA`` always do.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last one.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches, dropout and validation rows.
    verbose : bool, default=False
        Whether to print the loss of each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of n_tasks such arrays
        The labels, of each task if y was 2-D.
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
    n_iter_ : int
        Epochs run.
    loss_curve_ : list of float
        The objective by epoch.
    task_loss_curves_ : ndarray of shape (n_iter_, n_tasks)
        Each task's loss by epoch.
    task_weights_path_ : ndarray of shape (n_iter_, n_tasks)
        Mean over the steps of each epoch of what ``weighting`` gave.
    task_gates_ : ndarray of shape (n_tasks, n_experts) or None
        The part that each expert has in what a task's head reads; rows sum to 1. None where it
        depends on x, as with "mmoe" and "cgc".
    task_groups_ : ndarray of shape (n_tasks,) or None
        The expert that has the largest part for each task: with ``sharing="grouped"`` its group.
    penalty_coefs_ : list of ndarray
        Matrices that the penalty learned of its own, such as the sparse part of
        ``SparseLowRank``; empty for most.
    task_affinity_ : ndarray of shape (n_tasks, n_tasks) or None
        Mean cosine between the tasks' gradients at the parameters that they share, with
        ``record_affinity=True`` or a weighting that works on these gradients; above 0 the tasks
        pull the same way, below they are in conflict. NaN: the two never met in a batch.
    validation_scores_ : list of float or None
        Mean accuracy of the tasks on the validation rows by epoch.
    best_validation_score_ : float or None
        The best of them; the weights are those of its epoch.
    loss_, penalty_, weighting_, sharing_, optimizer_ : plugins
        What the parameters of these names stand for.

    See Also
    --------
    TransferClassifier : One target task with the help of a source.

    References
    ----------
    .. [1] Caruana (1997). Multitask learning. Machine Learning 28.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skmtl import MultiTaskClassifier
    >>> X, digit = load_digits(return_X_y=True)
    >>> y = np.column_stack([digit, digit % 2]).astype(float)
    >>> y[::3, 1] = np.nan
    >>> clf = MultiTaskClassifier(early_stopping=True, random_state=0)
    >>> clf = clf.fit(X / 16, y)
    >>> clf.predict(X[:2] / 16).shape
    (2, 2)
    >>> [c.size for c in clf.classes_]
    [10, 2]
    """

    _parameter_constraints = {
        **NetworkClassifier._parameter_constraints,
        "lam": [Interval(Real, 0, None, closed="left")],
        "sharing": [str, HasMethods(["experts"])],
    }

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        *,
        activation="relu",
        head_layer_sizes=(),
        lam=1e-4,
        penalty="l2",
        loss="log_loss",
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
        self.penalty = penalty
        self.loss = loss
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
        self.class_weight = class_weight
        self.missing_label = missing_label
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X, y, sample_weight=None, *, task=None, label_weight=None, X_val=None, y_val=None
    ):
        """Learn all tasks.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows. float32 is computed in float32, all else in float64.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            A column of labels per task, with holes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.
        task : array-like of shape (n_samples,), default=None
            With 1-D y: the task that each label belongs to. Every task then predicts every row.
        label_weight : array-like of shape (n_samples, n_tasks), default=None
            Weights of single labels.
        X_val, y_val : array-like, default=None
            Rows to validate on with ``early_stopping=True``, in place of some of X.

        Returns
        -------
        MultiTaskClassifier
            Itself, fitted.

        Raises
        ------
        ValueError
            If a task has no label, if arguments do not fit together, or if training diverges in
            its first epoch.
        """
        with self._all_or_nothing():
            problem, validate_on, X = self._set_up(
                X, y, sample_weight, task, label_weight, X_val, y_val
            )
            watch = begin_fit(self, self.max_iter, X=X, y=y, sample_weight=sample_weight)
            validate = validate_on and self._scorer_of(problem, *validate_on)
            history = self._run(problem, watch, validate)
            self._store(problem, history)
            watch.end()
        return self

    @available_if(has_partial_fit)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None, *, label_weight=None):
        """Train one epoch on some rows, going on from the last call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their labels, with holes; a task may have none among these rows.
        classes : array-like, or list of n_tasks array-likes, default=None
            All labels (of each task). Needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.
        label_weight : array-like of shape (n_samples, n_tasks), default=None
            Weights of single labels.

        Returns
        -------
        MultiTaskClassifier
            Itself.

        Raises
        ------
        ValueError
            If ``classes`` is missing in the first call or differs later.
        AttributeError
            With lbfgs.
        """
        self._check_first_classes(classes)
        with self._all_or_nothing():
            first = not hasattr(self, "_theta")
            X, codes, weight = self._validate_fit(
                X,
                y,
                sample_weight,
                label_weight,
                classes=classes if first else known_classes(classes, self._label_classes),
                reset=first,
            )
            resume = self._where_to_resume()
            rows = np.arange(len(codes))
            problem = self._describe(X, codes, weight, rows, resume["rng"], resume=not first)
            self._train_chunk(problem, resume)
        return self

    # --- from arguments to the engine's description ----------------------------------------------

    def _resolve_plugins(self):
        super()._resolve_plugins()
        self.sharing_ = resolve("sharings", self.sharing, "sharing")

    def _validate_fit(self, X, y, sample_weight, label_weight, *, task=None, classes=None, reset):
        """X, class codes (n, T) and label weights (n, T); sets the attributes that describe y."""
        self._resolve_plugins()
        X = self._validate_X(X, reset=reset)
        ids, options = None, {"missing_label": self.missing_label, "estimator": self}
        if task is not None:
            dtype = encode_labels(y, **options).classes[0].dtype  # that of y spread out has holes
            y, ids = spread_tasks(y, task)
            y = y if len(ids) > 1 else y[:, 0]
        labels = encode_labels(y, classes=classes, **options)
        if task is not None:
            labels = labels._replace(classes=[known.astype(dtype) for known in labels.classes])
        codes = labels.codes
        check_consistent_length(X, codes)
        self._is_1d = labels.is_1d
        self.n_tasks_ = codes.shape[1]
        self.task_names_ = labels.names if ids is None else np.asarray(ids)
        self._label_classes = self._task_classes = labels.classes
        if self.sharing_.shares_heads:
            codes = self._pool(codes)
        self.classes_ = self._task_classes[0] if self._is_1d else self._task_classes
        weight = np.tile(row_weights(sample_weight, X)[:, np.newaxis], self.n_tasks_)
        if label_weight is not None:
            weight *= check_label_weight(label_weight, codes.shape)
        wanted = class_weight_by_task(self.class_weight, self._task_classes, self.task_names_)
        for t, classes_t in enumerate(self._task_classes):
            weight[:, t] = label_weights(codes[:, t], classes_t, weight[:, t], wanted[t])
        if classes is None:
            self._check_every_task_has_labels(weight)
        return X, codes, weight

    def _name(self, t):
        return None if self.task_names_ is None else self.task_names_[t]

    def _check_every_task_has_labels(self, weight):
        described = [
            f"{t}" if self._name(t) is None else f"{self._name(t)!r} (column {t})"
            for t in np.flatnonzero(weight.sum(axis=0) == 0)
        ]
        if described:
            raise ValueError(
                f"No label with positive weight in task {', '.join(described)}: leave its column "
                "out of y, or, in cross-validation, split with "
                "skmtl.model_selection.MultiTaskKFold."
            )
        constant = [t for t, classes in enumerate(self._task_classes) if len(classes) == 1]
        if constant and not self._is_1d:
            names = ", ".join(str(t if self._name(t) is None else self._name(t)) for t in constant)
            warnings.warn(
                f"Only one class in task {names}: it is predicted for every row.", stacklevel=5
            )

    def _pool(self, codes):
        """Give all tasks the union of their classes; returns the codes in it."""
        try:
            union = union_of_labels(self._task_classes)
            pooled = codes.copy()
            for t, classes in enumerate(self._task_classes):
                seen = codes[:, t] >= 0
                pooled[seen, t] = np.searchsorted(union, classes)[codes[seen, t]]
        except TypeError as error:
            raise ValueError(
                f"sharing={self.sharing!r} needs labels of one kind in all tasks, because they "
                "share a head; use sharing='hard'."
            ) from error
        self._task_classes = [union] * codes.shape[1]
        return pooled

    def _set_up(self, X, y, sample_weight, task, label_weight, X_val, y_val):
        """The problem, what to validate on, and X as validated; all else by row is let go."""
        warm = self.warm_start and hasattr(self, "_theta")
        X, codes, weight = self._validate_fit(
            X,
            y,
            sample_weight,
            label_weight,
            task=task,
            classes=self._label_classes if warm else None,
            reset=not warm,
        )
        rng = self._generator()
        rows, validate_on = self._validation_rows(X, codes, weight, X_val, y_val, rng)
        return self._describe(X, codes, weight, rows, rng, resume=warm), validate_on, X

    def _describe(self, X, codes, weight, rows, rng, *, resume):
        """The problem: one domain, a task per column, the penalty on all weights."""
        hidden = self._widths("hidden_layer_sizes")
        n_tasks = codes.shape[1]
        n_outputs = [self._n_outputs(classes) for classes in self._task_classes]
        one_head = self.sharing_.shares_heads
        architecture = Architecture(
            n_inputs=X.shape[1],
            hidden=hidden,
            activation=self.activation,
            head_hidden=self._widths("head_layer_sizes"),
            n_outputs=tuple(n_outputs[:1] if one_head else n_outputs),
            task_heads=(0,) * n_tasks if one_head else tuple(range(n_tasks)),
            **experts_of(self.sharing_, n_tasks, hidden),
        )
        layout = self._layout_of(architecture)
        theta = self._first_theta(layout, rng, X.dtype, resume)
        if not resume:
            start_gates(self.sharing_, layout, theta, rng)
        tasks = []
        for t in range(n_tasks):
            trained = rows[weight[rows, t] > 0]
            if len(self._task_classes[t]) == 1:
                trained = trained[:0]  # nothing to learn
            tasks.append(
                Task(
                    domain=0,
                    head=architecture.task_heads[t],
                    loss=self.loss_,
                    rows=trained,
                    y=codes[trained, t],
                    weight=weight[trained, t],
                )
            )
        penalties = [self._penalty_term(self.penalty_, self.lam, layout.blocks, theta)]
        return self._problem(layout, theta, [Domain(X)], tasks, penalties, rng)

    @property
    def task_gates_(self):
        """The part of each expert in what each task reads; None where it depends on x."""
        check_is_fitted(self)
        return gate_weights(self._layout, self._theta)

    @property
    def task_groups_(self):
        """The expert with the largest part for each task; None where it depends on x."""
        gates = self.task_gates_
        return None if gates is None else gates.argmax(axis=1)

    def task(self, task):
        """Give one task as a fitted classifier, for Displays, calibration and the like.

        Parameters
        ----------
        task : int or str
            Its column in y, or its name.

        Returns
        -------
        TaskView
            A classifier with 1-D labels that shares this one's network.
        """
        check_is_fitted(self)
        names = [] if self.task_names_ is None else list(self.task_names_)
        if task in names:
            return TaskView(self, names.index(task))
        if isinstance(task, (int, np.integer)) and -self.n_tasks_ <= task < self.n_tasks_:
            return TaskView(self, int(task) % self.n_tasks_)
        raise ValueError(
            f"There is no task {task!r}: there are {self.n_tasks_}, numbered from 0"
            + (f" and named {names}." if names else ".")
        )
