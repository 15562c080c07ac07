"""What both estimators share on the way to a fitted network: check, lay out, train, store."""

from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_consistent_length

from skmtl._compat import CallbackMixin, HasMethods, Interval, StrOptions, check_sample_weight
from skmtl.engine.layers import ACTIVATIONS
from skmtl.fitting import DIVERGED, History, Schedule, run_epochs, run_lbfgs
from skmtl.metrics import mean_task_accuracy
from skmtl.plugins.registry import resolve
from skmtl.prediction import NetworkPredictor
from skmtl.tasks import encode_labels


class NetworkClassifier(NetworkPredictor, CallbackMixin, BaseEstimator):
    """Base of the estimators: their common parameters and the way to a fitted network.

    A subclass describes its domains, tasks and coefficients, and trains what ``_problem`` makes of
    them with ``_run``; ``_store`` leaves what prediction needs.
    """

    _parameter_constraints = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "head_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "penalty": [str, HasMethods(["value_grad"])],
        "loss": [str, HasMethods(["value_grad"])],
        "weighting": [str, HasMethods(["update"])],
        "solver": [str, HasMethods(["step"])],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive", "cosine"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "missing_label": "no_validation",
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # --- validate -------------------------------------------------------------------------------

    def _widths(self, name):
        """A parameter that holds layer widths, as a tuple of int."""
        value = getattr(self, name)
        widths = (value,) if isinstance(value, Integral) else tuple(value)
        for width in widths:
            if not isinstance(width, Integral) or width < 1:
                raise ValueError(
                    f"The {name!r} parameter of {type(self).__name__} must hold integers >= 1. "
                    f"Got {value!r} instead."
                )
        return tuple(int(width) for width in widths)

    def _resolve_plugins(self):
        """Look up the plugins; leaves them in ``loss_``, ``penalty_`` and so on."""
        self.loss_ = resolve("losses", self.loss, "loss")
        self.penalty_ = resolve("penalties", self.penalty, "penalty")
        self.weighting_ = resolve("weightings", self.weighting, "weighting")
        if self._uses_lbfgs:
            unusable = {"early_stopping": self.early_stopping, "dropout": self.dropout}
            for name, value in unusable.items():
                if value:
                    raise ValueError(
                        f"{name}={value!r} needs minibatches: use solver='adam', 'adamw' or "
                        "'sgd', not 'lbfgs'."
                    )
        self.optimizer_ = resolve(
            "optimizers", "sgd" if self._uses_lbfgs else self.solver, "solver"
        )

    @property
    def _uses_lbfgs(self):
        return isinstance(self.solver, str) and self.solver == "lbfgs"

    def _validation_rows(self, X, codes, X_val, y_val, rng):
        """Rows to train on, and (X, codes) to validate on or None."""
        everything = np.arange(codes.shape[0])
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together.")
        if X_val is not None and not self.early_stopping:
            raise ValueError("X_val and y_val are used with early_stopping=True only.")
        if not self.early_stopping:
            return everything, None
        if X_val is None:
            train, held_out = self._split_off_validation(codes, rng)
            return train, (X[held_out], codes[held_out])
        labels = encode_labels(
            y_val, missing_label=self.missing_label, classes=self._task_classes, estimator=self
        )
        Z = self._inputs_of_validated(self._validate_X(X_val))
        check_consistent_length(X_val, labels.codes)
        return everything, (Z, labels.codes)

    def _split_off_validation(self, codes, rng):
        """Rows to train on and rows to validate on, stratified where there is one task."""
        rows, one_task = np.arange(codes.shape[0]), codes.shape[1] == 1
        try:
            return train_test_split(
                rows,
                test_size=self.validation_fraction,
                random_state=int(rng.integers(np.iinfo(np.int32).max)),
                stratify=codes[:, 0] if one_task else None,
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping=True cannot set aside validation_fraction="
                f"{self.validation_fraction} of {len(rows)} rows ({error}). Pass X_val and y_val, "
                "or set early_stopping=False."
            ) from error

    def _scorer_of(self, problem, Z, codes):
        """Function that scores the problem's theta, as it then is, on validation rows."""

        def score():
            proba = (
                self._proba_of_inputs(problem.layout, problem.theta, Z, t)
                for t in range(codes.shape[1])
            )
            return mean_task_accuracy(codes, np.column_stack([p.argmax(axis=1) for p in proba]))

        return score

    # --- train and store ------------------------------------------------------------------------

    @contextmanager
    def _all_or_nothing(self):
        """Leave the estimator as it was if the fit fails."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _generator(self):
        """The fit's own generator, seeded from ``random_state``."""
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=4)
        return np.random.default_rng(seed)

    def _problem(self, layout, theta, domains, tasks, penalties, rng, *, n_frozen_layers=0):
        """The engine's view of a fit."""
        from skmtl.engine.problem import Problem, Training  # imports numba

        n_rows = max(domain.X.shape[0] for domain in domains)
        batch_size = min(200, n_rows) if self.batch_size == "auto" else self.batch_size
        training = Training(
            optimizer=self.optimizer_,
            weighting=self.weighting_,
            rng=rng,
            batch_size=int(min(batch_size, n_rows)),
            dropout=float(self.dropout),
            n_frozen_layers=n_frozen_layers,
        )
        return Problem(layout, theta, domains, tasks, penalties, training)

    def _schedule(self):
        return Schedule(
            kind=self.learning_rate,
            lr=self.learning_rate_init,
            max_iter=self.max_iter,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            early_stopping=self.early_stopping,
            verbose=bool(self.verbose),
        )

    def _run(self, problem, watch, validate=None):
        """Train; gives the history."""

        def snapshot():
            stored = {**self.__dict__, **_stored(problem.layout, problem.theta.copy())}
            return {name: value for name, value in stored.items() if _is_fitted_name(name)}

        if not any(task.rows.size for task in problem.tasks):
            return History()
        if self._uses_lbfgs:
            return run_lbfgs(problem, self._schedule(), watch, snapshot)
        return run_epochs(problem, self._schedule(), watch, snapshot, validate)

    def _check_partial_fit(self):
        if self._uses_lbfgs:
            raise ValueError("partial_fit needs a stochastic solver, not solver='lbfgs'.")

    def _classes_to_encode(self, classes, first):
        """The classes for ``partial_fit``: those of its first call, which it must give."""
        if first:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return classes
        known = self._task_classes
        given = known if classes is None else [classes] if self._is_1d else classes
        if len(given) != len(known) or not all(map(np.array_equal, map(np.unique, given), known)):
            raise ValueError(
                f"classes={classes!r} differs from those of the first call to partial_fit: "
                f"{self.classes_!r}."
            )
        return known

    def _train_chunk(self, problem, resume):
        """Train one epoch from where the last call left the optimizer, and store the result."""
        history = History(
            list(getattr(self, "loss_curve_", [])), list(getattr(self, "task_loss_curves_", []))
        )
        if "state" in resume:
            problem.state[...], problem.n_steps = resume["state"], resume["n_steps"]
        if any(task.rows.size for task in problem.tasks):
            before = problem.theta.copy()
            loss, task_losses, finished = problem.epoch(self.learning_rate_init)
            if not finished:
                problem.theta[:] = before
                epoch, lr = history.n_iter + 1, self.learning_rate_init
                raise ValueError(DIVERGED.format(epoch=epoch, lr=lr) + ".")
            history.losses.append(float(loss))
            history.task_losses.append(task_losses)
        self._store(problem.layout, problem.theta, history)
        steps = {"state": problem.state, "n_steps": problem.n_steps}
        self._resume = {"rng": resume["rng"], **steps}

    @staticmethod
    def _checked_start(start, theta):
        """The weights to go on from, if they fit the network."""
        if start.shape != theta.shape:
            raise ValueError(
                "warm_start=True and partial_fit need the layers, tasks and columns of the last "
                "fit; set warm_start=False to begin anew."
            )
        return start.astype(theta.dtype)

    def _n_outputs(self, classes):
        """Outputs of a head; a constant needs none, but has one."""
        return 1 if len(classes) == 1 else self.loss_.n_outputs(classes)

    def _store(self, layout, theta, history):
        """Leave the fitted network and the curves of its training."""
        self.__dict__.update(_stored(layout, theta))
        self.n_iter_ = max(history.n_iter, 1)
        self.loss_curve_ = history.losses
        self.task_loss_curves_ = np.array(history.task_losses).reshape(
            history.n_iter, len(layout.architecture.task_heads)
        )
        self.validation_scores_ = history.validation_scores or None
        self.best_validation_score_ = max(history.validation_scores, default=None)


def _stored(layout, theta):
    """The fitted attributes of a network."""
    architecture = layout.architecture
    trunk = [[layout.weight_bias(theta, layer) for layer in chain] for chain in layout.trunk]
    if len(trunk) == 1:
        trunk = [[pair] for pair in trunk[0]]
    else:
        trunk = list(zip(*trunk)) if architecture.hidden else []
    outputs = [layout.output_weight_bias(theta, head) for head in range(len(layout.outputs))]
    hidden = [[layout.weight_bias(theta, layer) for layer in chain] for chain in layout.heads]
    heads = [[*h, out] for h, out in zip(hidden, outputs)]
    several = architecture.n_experts > 1
    return {
        "_architecture": {name: getattr(architecture, name) for name in architecture.__dict__},
        "_theta": theta,
        "coefs_": [np.stack([w for w, _ in depth]) if several else depth[0][0] for depth in trunk],
        "intercepts_": [
            np.stack([b for _, b in depth]) if several else depth[0][1] for depth in trunk
        ],
        "head_coefs_": [[w for w, _ in head] for head in heads],
        "head_intercepts_": [[b for _, b in head] for head in heads],
    }


def _is_fitted_name(name):
    """Whether an attribute belongs to a fitted estimator, rather than its parameters."""
    return name.endswith("_") or name in ("_architecture", "_theta")


def label_weights(codes, classes, row_weight, class_weight):
    """Weight of each label of a task: of its row times of its class, 0 where it is missing.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Class codes, -1 where missing.
    classes : ndarray
    row_weight : ndarray of shape (n_samples,)
    class_weight : dict, "balanced" or None

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    weight = np.where(codes >= 0, row_weight, 0.0)
    if class_weight is None:
        return weight
    if class_weight == "balanced":
        present = np.unique(codes[codes >= 0])
        by_class = np.ones(len(classes))
        observed = codes[codes >= 0]
        by_class[present] = compute_class_weight("balanced", classes=present, y=observed)
    else:
        by_class = np.array([class_weight.get(label, 1.0) for label in classes.tolist()])
    return weight * by_class[codes]


def as_row_weights(sample_weight, X):
    """One weight per row, float64."""
    return check_sample_weight(sample_weight, X, dtype=np.float64)
