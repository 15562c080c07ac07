"""Several tasks on one table, with shared parameters, whatever their labels are."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skmtl._compat import HasMethods, Interval, begin_fit, fit_context
from skmtl.atomic import all_or_nothing
from skmtl.base import Network
from skmtl.engine.data import EVERY, Domain, Task
from skmtl.engine.forward import head_factor
from skmtl.engine.layout import Architecture
from skmtl.experts import experts_of, start_gates
from skmtl.plugins.registry import resolve
from skmtl.steps import run_to_the_end
from skmtl.weights import check_label_weight, label_weights, row_weights


class MultiTaskNetwork(Network):
    """Base of ``MultiTaskClassifier``, ``MultiTaskRegressor`` and ``MultiTaskEstimator``."""

    _parameter_constraints = {
        **Network._parameter_constraints,
        "lam": [Interval(Real, 0, None, closed="left")],
        "sharing": [str, HasMethods(["experts"])],
        "head_rank": [Interval(Integral, 1, None, closed="left"), None],
    }

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
            A column of labels, or of numbers for regression, per task, with holes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows.
        task : array-like of shape (n_samples,), default=None
            With 1-D y: the task that each of them belongs to. Every task then predicts every row.
        label_weight : array-like of shape (n_samples, n_tasks), default=None
            Weights of single labels.
        X_val, y_val : array-like, default=None
            Rows to validate on with ``early_stopping=True``, in place of some of X.

        Returns
        -------
        estimator
            Itself, fitted.

        Raises
        ------
        ValueError
            If a task has no label, if arguments do not fit together, or if training diverges in
            its first epoch.
        """
        run_to_the_end(self._fitting(X, y, sample_weight, task, label_weight, X_val, y_val))
        return self

    def _fitting(
        self, X, y, sample_weight=None, task=None, label_weight=None, X_val=None, y_val=None
    ):
        """The fit, with pauses as of ``skmtl.steps``."""
        with all_or_nothing(self):
            problem, validate_on, X = self._set_up(
                X, y, sample_weight, task, label_weight, X_val, y_val
            )
            watch = begin_fit(self, self.max_iter, X=X, y=y, sample_weight=sample_weight)
            validate = validate_on and self._scorer_of(problem, *validate_on)
            history = yield from self._run(problem, watch, validate)
            self._store(problem, history)
            watch.end()

    def _partial_fit(self, X, y, sample_weight, label_weight, known):
        """One epoch; ``known`` are the classes of the tasks."""
        with all_or_nothing(self):
            first = not hasattr(self, "_theta")
            X, columns = self._validate_fit(
                X, y, sample_weight, label_weight, known=known, in_chunks=True, reset=first
            )
            resume = self._where_to_resume()
            columns = self._to_train_on(columns, EVERY, resume=not first)
            problem = self._describe(X, columns, resume["rng"], resume=not first)
            self._train_chunk(problem, resume)
        return self

    def task(self, task):
        """Give one task as a fitted estimator of its own, for Displays, calibration and the like.

        Parameters
        ----------
        task : int or str
            Its column in y, or its name.

        Returns
        -------
        ClassifiedTask or RegressedTask
            A classifier or regressor with 1-D y that shares this one's network.
        """
        check_is_fitted(self)
        names = [] if self.task_names_ is None else list(self.task_names_)
        if task in names:
            return self._view(names.index(task))
        if isinstance(task, (int, np.integer)) and -self.n_tasks_ <= task < self.n_tasks_:
            return self._view(int(task) % self.n_tasks_)
        raise ValueError(
            f"There is no task {task!r}: there are {self.n_tasks_}, numbered from 0"
            + (f" and named {names}." if names else ".")
        )

    @property
    def head_factor_(self):
        """U of ``head_rank``, stacked over experts where there are several; None without."""
        check_is_fitted(self)
        return head_factor(self._layout, self._theta)

    @property
    def task_groups_(self):
        """The expert with the largest part for each task; None where it depends on x."""
        gates = self.task_gates_
        return None if gates is None else gates.argmax(axis=1)

    def _resolve_plugins(self):
        super()._resolve_plugins()
        self.sharing_ = resolve("sharings", self.sharing, "sharing")

    # --- from arguments to the engine's description ----------------------------------------------

    def _validate_fit(
        self,
        X,
        y,
        sample_weight,
        label_weight,
        *,
        task=None,
        known=None,
        in_chunks=False,
        reset,
    ):
        """X and a ``TaskColumn`` for each task; sets the attributes that describe y."""
        self._resolve_plugins()
        X = self._validate_X(X, reset=reset)
        labels = self._read_tasks(y, task, known)
        columns = labels.columns
        check_consistent_length(X, range(labels.n_rows))
        self._is_1d = labels.is_1d
        self.n_tasks_ = len(columns)
        self.task_names_ = labels.names
        self._label_classes = self._task_classes = labels.classes
        if self.sharing_.shares_heads:
            columns = self._pool(columns)
        self._set_classes()
        columns = self._weighed(columns, labels.n_rows, sample_weight, label_weight, X)
        if known is None and not in_chunks:
            self._check_every_task_has_labels(columns)
        return X, columns

    def _weighed(self, columns, n_rows, sample_weight, label_weight, X):
        """The columns with what their labels weigh."""
        wanted = self._class_weights(self._task_classes, self.task_names_)
        if sample_weight is not None:
            sample_weight = row_weights(sample_weight, X)
        if label_weight is not None:
            label_weight = check_label_weight(label_weight, (n_rows, len(columns)))
        weighed = []
        for t, column in enumerate(columns):
            weight = column.weight
            if sample_weight is not None:
                weight = weight * sample_weight[column.rows]
            if label_weight is not None:
                weight = weight * label_weight[column.rows, t]
            if wanted[t] is not None:
                weight = label_weights(column.y, self._task_classes[t], weight, wanted[t])
            weighed.append(column._replace(weight=weight))
        return weighed

    def _name(self, t):
        return None if self.task_names_ is None else self.task_names_[t]

    def _check_every_task_has_labels(self, columns):
        described = [
            f"{t}" if self._name(t) is None else f"{self._name(t)!r} (column {t})"
            for t, column in enumerate(columns)
            if not column.weight.any()
        ]
        if described:
            raise ValueError(
                f"No label with positive weight in task {', '.join(described)}: leave its column "
                "out of y, or, in cross-validation, split with "
                "skmtl.model_selection.MultiTaskKFold."
            )
        constant = [t for t, known in enumerate(self._task_classes) if self._learns_nothing(known)]
        if constant and not self._is_1d:
            names = ", ".join(str(t if self._name(t) is None else self._name(t)) for t in constant)
            warnings.warn(
                f"Only one class in task {names}: it is predicted for every row.", stacklevel=7
            )

    def _to_train_on(self, columns, rows, *, resume):
        """The labels of some rows that weigh something, as the network learns them."""
        return self._as_learned([column.to_train_on(rows) for column in columns], resume)

    def _as_learned(self, columns, resume):
        """The columns to train on as the network learns them."""
        return columns

    def _set_up(self, X, y, sample_weight, task, label_weight, X_val, y_val):
        """The problem, what to validate on, and X as validated; all else by row is let go."""
        warm = self.warm_start and hasattr(self, "_theta")
        X, columns = self._validate_fit(
            X,
            y,
            sample_weight,
            label_weight,
            task=task,
            known=self._label_classes if warm else None,
            reset=not warm,
        )
        rng = self._generator()
        rows, validate_on = self._validation_rows(X, columns, X_val, y_val, rng)
        columns = self._to_train_on(columns, rows, resume=warm)  # lets go of those that came in
        return self._describe(X, columns, rng, resume=warm), validate_on, X

    def _describe(self, X, columns, rng, *, resume):
        """The problem: one domain, a task per column to train on, the penalty on all weights."""
        hidden = self._widths("hidden_layer_sizes")
        if self.head_rank is not None:
            hidden += (int(self.head_rank),)
        n_tasks = len(columns)
        losses = [self._loss_of(t) for t in range(n_tasks)]
        n_outputs = [self._n_outputs(*pair) for pair in zip(self._task_classes, losses)]
        one_head = self.sharing_.shares_heads
        architecture = Architecture(
            n_inputs=X.shape[1],
            hidden=hidden,
            activation=self.activation,
            head_hidden=self._widths("head_layer_sizes"),
            n_outputs=tuple(n_outputs[:1] if one_head else n_outputs),
            task_heads=(0,) * n_tasks if one_head else tuple(range(n_tasks)),
            linear_last=self.head_rank is not None,
            **experts_of(self.sharing_, n_tasks, hidden),
        )
        layout = self._layout_of(architecture)
        theta = self._first_theta(layout, rng, X.dtype, resume)
        if not resume:
            start_gates(self.sharing_, layout, theta, rng)
        tasks = []
        for t, column in enumerate(columns):
            if self._learns_nothing(self._task_classes[t]):
                column = column.emptied()
            tasks.append(
                Task(
                    domain=0,
                    head=architecture.task_heads[t],
                    loss=losses[t],
                    rows=column.rows,
                    y=column.y,
                    weight=column.weight,
                )
            )
        penalties = [self._penalty_term(self.penalty_, self.lam, layout.blocks, theta)]
        return self._problem(layout, theta, [Domain(X)], tasks, penalties, rng)
