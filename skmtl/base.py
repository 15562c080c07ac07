"""What all estimators share on the way to a fitted network: check, lay out, train, store."""

import functools
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from skmtl._compat import (
    CallbackMixin,
    HasMethods,
    Interval,
    QuickParameters,
    StrOptions,
)
from skmtl.engine import memory
from skmtl.engine.activations import ACTIVATIONS
from skmtl.engine.blocks import OWN, ROLE
from skmtl.engine.data import EVERY
from skmtl.engine.forward import in_blocks
from skmtl.engine.layout import layout_of
from skmtl.fitting import EpochTraining, History, Schedule, divergence_message, run_lbfgs
from skmtl.plugins.base import Start
from skmtl.plugins.registry import resolve
from skmtl.plugins.weightings import Uniform
from skmtl.prediction import NetworkPredictor
from skmtl.task_columns import as_table
from skmtl.tasks import observed
from skmtl.threads import blas_threads


class Network(NetworkPredictor, QuickParameters, CallbackMixin, BaseEstimator):
    """Base of the estimators: their common parameters and the way to a fitted network.

    A subclass describes its domains, tasks and coefficients, and trains what ``_problem`` makes of
    them with ``_run``; ``_store`` leaves what prediction needs. ``Classification`` or
    ``Regression``, which goes before this, says what labels are.
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
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "record_affinity": ["boolean"],
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
        self._resolve_loss()
        self.penalty_ = resolve("penalties", self.penalty, "penalty")
        self.weighting_ = resolve("weightings", self.weighting, "weighting")
        if self._uses_lbfgs:
            unusable = {
                "early_stopping": self.early_stopping,
                "dropout": self.dropout,
                "clip_norm": self.clip_norm,
                "record_affinity": self.record_affinity,
            }
            if not isinstance(self.weighting_, Uniform):
                unusable["weighting"] = self.weighting
            for name, value in unusable.items():
                if value:
                    raise ValueError(
                        f"{name}={value!r} needs minibatches: use solver='adam', 'adamw' or "
                        "'sgd', not 'lbfgs'."
                    )
        solver = "sgd" if self._uses_lbfgs else self.solver  # lbfgs takes no steps
        self.optimizer_ = resolve("optimizers", solver, "solver", also=("lbfgs",))

    def _resolve_loss(self):
        """Look up the loss of all tasks."""
        self.loss_ = resolve("losses", self.loss, "loss")
        kind, on_what = self._loss_kind
        if not isinstance(self.loss_, kind):
            other = "on numbers" if on_what == "on classes" else "on classes"
            raise ValueError(
                f"The 'loss' parameter of {type(self).__name__} must be a loss {on_what}. Got "
                f"{self.loss!r}, a loss {other}, instead."
            )

    def _loss_of(self, t):
        """The loss of a task."""
        return self.loss_

    @property
    def _uses_lbfgs(self):
        return isinstance(self.solver, str) and self.solver == "lbfgs"

    def _validation_rows(self, X, columns, X_val, y_val, rng):
        """Rows to train on, maybe EVERY, and (X, encoded labels) to validate on or None."""
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together.")
        if X_val is not None and not self.early_stopping:
            raise ValueError("X_val and y_val are used with early_stopping=True only.")
        if not self.early_stopping:
            return EVERY, None
        if X_val is None:
            train, held_out = self._split_off_validation(columns, X.shape[0], rng)
            return train, (X[held_out], as_table(columns, held_out, X.shape[0]))
        labels = self._read_labels(y_val, known=self._task_classes, estimator=self)
        Z = self._inputs_of_validated(self._validate_X(X_val))
        check_consistent_length(X_val, labels.codes)
        if not observed(labels.codes).any():
            raise ValueError("y_val has no label: there is nothing to validate on.")
        return EVERY, (Z, labels.codes)

    def _split_off_validation(self, columns, n_rows, rng):
        """Labelled rows to train on and to validate on, stratified where one task has classes."""
        there, is_train = np.zeros((2, n_rows), bool)
        by_task = [column.used_rows for column in columns]
        for of_task in by_task:
            there[of_task] = True
        rows = np.flatnonzero(there)
        stratified = len(columns) == 1 and columns[0].y.dtype.kind == "i"
        try:
            train, held_out = train_test_split(
                rows,
                test_size=self.validation_fraction,
                random_state=int(rng.integers(np.iinfo(np.int32).max)),
                stratify=columns[0].used_y if stratified else None,
            )
            is_train[train] = True
            train = np.flatnonzero(is_train)
            lost = [t for t, r in enumerate(by_task) if r.size and not is_train[r].any()]
            if lost:
                raise ValueError(f"no label of task {lost[0]} is left")
        except ValueError as error:
            raise ValueError(
                f"early_stopping=True cannot set aside validation_fraction="
                f"{self.validation_fraction} of {len(rows)} rows ({error}). Pass X_val and y_val, "
                "or set early_stopping=False."
            ) from error
        return train, held_out

    def _scorer_of(self, problem, Z, y):
        """Function that scores the problem's theta, as it then is, on validation rows."""

        def score():
            layout = problem.layout
            predict = functools.partial(self._encoded_predictions, layout, problem.theta)
            return self._mean_score(y, np.column_stack(in_blocks(predict, layout, Z)))

        return score

    # --- train and store ------------------------------------------------------------------------

    def _generator(self):
        """The fit's own generator, seeded from ``random_state``."""
        if isinstance(self.random_state, Integral):
            return np.random.default_rng(_seeds_of_int(int(self.random_state)))
        return np.random.default_rng(_seeds(self.random_state))

    def _penalty_term(self, penalty, strength, blocks, theta, pretrained=None, fisher=None):
        """A penalty on weight matrices; ``pretrained`` and ``fisher`` are those of ``Start``."""
        from skmtl.engine.problem import PenaltyTerm  # imports numba

        n_own = np.count_nonzero(blocks[:, ROLE] == OWN)
        if len(penalty.own_matrices(blocks)) != n_own:
            raise ValueError(
                f"{type(penalty).__name__} learns matrices of its own: use it as penalty=, not as "
                "map_penalty=."
            )

        def constants(trained_blocks):
            return penalty.constants(Start(theta, pretrained, fisher, trained_blocks))

        return PenaltyTerm(penalty, float(strength), blocks, constants)

    def _layout_of(self, architecture):
        """The layout of a network, with the matrices that its penalty learns."""
        shapes = self.penalty_.own_matrices(layout_of(architecture).blocks)
        return layout_of(replace(architecture, own_shapes=tuple(shapes)))

    def _problem(
        self,
        layout,
        theta,
        domains,
        tasks,
        penalties,
        rng,
        *,
        weighting=None,
        n_frozen_layers=0,
        layer_rates=None,
        alignments=(),
    ):
        """The engine's view of a fit; ``weighting`` may stand in for the estimator's."""
        from skmtl.engine.problem import Problem, Training  # imports numba

        n_rows = max(domain.X.shape[0] for domain in domains)
        training = Training(
            optimizer=self.optimizer_,
            weighting=weighting or self.weighting_,
            rng=rng,
            batch_size=self._rows_of_a_batch(n_rows),
            dropout=float(self.dropout),
            n_frozen_layers=n_frozen_layers,
            layer_rates=layer_rates,
            clip_norm=np.inf if self.clip_norm is None else float(self.clip_norm),
            record_affinity=self.record_affinity,
        )
        return Problem(layout, theta, domains, tasks, penalties, training, alignments)

    def _rows_of_a_batch(self, n_rows):
        """What ``batch_size`` means where the largest domain has so many rows."""
        return int(min(200 if self.batch_size == "auto" else self.batch_size, n_rows))

    def _schedule(self, max_iter):
        """That of a stage, which waits for progress in proportion to its epochs."""
        n_iter_no_change = -(-self.n_iter_no_change * max_iter // self.max_iter)
        return Schedule(
            kind=self.learning_rate,
            lr=self.learning_rate_init,
            max_iter=max_iter,
            tol=self.tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=self.early_stopping,
            verbose=bool(self.verbose),
        )

    def _fitted_as_of(self, problem):
        """The attributes of an estimator fitted with the problem's theta, for callbacks."""
        stored = {**self.__dict__, **_stored(problem.layout, problem.theta.copy())}
        return {name: value for name, value in stored.items() if _is_fitted_name(name)}

    def _run(self, problem, watch, validate=None, phases=(), max_iter=None):
        """Train, with pauses as of ``skmtl.steps``; gives the history."""
        schedule = self._schedule(max_iter or self.max_iter)

        def snapshot():
            return self._fitted_as_of(problem)

        if problem.n_labels == 0:
            return History()
        largest_product = problem.largest_product(full=self._uses_lbfgs)
        if self._uses_lbfgs:  # SciPy's cannot be paused
            yield snapshot
            with blas_threads(largest_product):
                return run_lbfgs(problem, schedule, watch, snapshot)
        training = EpochTraining(problem, schedule, watch, snapshot, validate, phases)

        def so_far():
            history = training.history
            return {**snapshot(), "n_iter_": history.n_iter, "loss_curve_": [*history.losses]}

        while not training.ended:
            n_epochs = yield so_far
            with blas_threads(largest_product):
                training.advance(n_epochs)
            problem.drop_buffers()
        return training.history

    def _obstacle_to_partial_fit(self):
        """Why there is no ``partial_fit`` with these parameters; None if there is."""
        if self._uses_lbfgs:
            return "partial_fit needs a stochastic solver, not solver='lbfgs'."

    def _where_to_resume(self):
        """The generator, and after the first ``partial_fit`` the optimizer's state and steps."""
        if not hasattr(self, "_resume"):
            return {"rng": self._generator()}
        rng = np.random.default_rng(0)
        rng.bit_generator.state = self._resume["rng"]
        return {**self._resume, "rng": rng}

    def _train_chunk(self, problem, resume):
        """Train one epoch from where the last call left the optimizer, and store the result.

        Gives the history of all calls.
        """
        history = History()
        if hasattr(self, "loss_curve_"):
            history = History(
                [*self.loss_curve_], [self.task_loss_curves_], [self.task_weights_path_]
            )
        if "state" in resume and resume["state"].shape == problem.state.shape:
            problem.state, problem.n_steps = resume["state"], resume["n_steps"]
            problem.weighting_state[...] = resume["weighting_state"]
        if problem.n_labels > 0:
            with blas_threads(problem.largest_product(full=False)):
                curves = problem.epochs([self.learning_rate_init])
            if not curves.losses.size:
                suspects = problem.suspects()
                raise ValueError(
                    divergence_message(history.n_iter + 1, self.learning_rate_init, suspects)
                )
            history.extend(*curves)
        self._store(problem, history)
        self._resume = {
            "rng": resume["rng"].bit_generator.state,
            "state": problem.state,
            "weighting_state": problem.weighting_state,
            "n_steps": problem.n_steps,
        }
        return history

    def _first_theta(self, layout, rng, dtype, resume):
        """Random weights, or those of the last fit, if they are of the same network."""
        if not resume:
            return layout.initial(rng, dtype)
        if vars(layout.architecture) != self._architecture:
            raise ValueError(
                "warm_start=True and partial_fit need the layers, tasks and columns of the last "
                "fit; set warm_start=False to begin anew."
            )
        return memory.copy(self._theta, dtype)

    def _store(self, problem, history):
        """Leave the fitted network and the curves of its training."""
        self.__dict__.pop("_resume", None)
        self.__dict__.update(_stored(problem.layout, problem.theta))
        self.n_iter_ = max(history.n_iter, 1)
        self.loss_curve_ = history.losses
        none = np.zeros((0, problem.n_tasks))
        self.task_loss_curves_ = np.concatenate([none, *history.task_losses])
        self.task_weights_path_ = np.concatenate([none, *history.task_weights])
        by_task = self.record_affinity or problem.training.weighting.needs_gram
        self.task_affinity_ = problem.affinity() if by_task else None
        self.validation_scores_ = history.validation_scores or None
        self.best_validation_score_ = max(history.validation_scores, default=None)


def _seeds(random_state):
    """Seeds of a fit's generator."""
    return check_random_state(random_state).randint(np.iinfo(np.int32).max, size=4)


# In a search all fits have one random_state, and to make a RandomState of it takes 0.1 ms.
_seeds_of_int = functools.lru_cache(maxsize=64)(_seeds)


def _stored(layout, theta):
    """The fitted attributes of a network."""
    architecture = layout.architecture
    trunk = [[layout.weight_bias(theta, layer) for layer in c] for c in layout.trunk.tolist()]
    if len(trunk) == 1:
        trunk = [[pair] for pair in trunk[0]]
    else:
        trunk = list(zip(*trunk)) if architecture.hidden else []
    if architecture.linear_last:
        trunk.pop()  # what ``head_factor_`` gives
    outputs = [layout.output_weight_bias(theta, head) for head in range(len(layout.outputs))]
    hidden = [[layout.weight_bias(theta, layer) for layer in c] for c in layout.heads.tolist()]
    heads = [[*h, out] for h, out in zip(hidden, outputs)]
    several = architecture.n_experts > 1
    return {
        "_architecture": {name: getattr(architecture, name) for name in architecture.__dict__},
        "_theta": theta,
        "penalty_coefs_": [layout.matrix(theta, b) for b in layout.blocks if b[ROLE] == OWN],
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


def has_partial_fit(estimator):
    """For ``available_if``: hides ``partial_fit`` where it cannot work, and says why."""
    obstacle = estimator._obstacle_to_partial_fit()
    if obstacle is not None:
        raise AttributeError(obstacle)
    return True
