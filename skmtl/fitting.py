"""From a start to a fitted theta: epochs with schedules and early stopping, or L-BFGS."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

#: Multiplications of the epochs that run without a look at them; a core needs some 0.1 s for that
#: many, or less, after which Ctrl-C is heard.
AT_ONCE = 2**31


class _Diverged(ArithmeticError):
    """The objective is not finite."""


@dataclass
class Schedule:
    """When to stop, and the learning rate of each epoch, like scikit-learn's MLP.

    "invscaling" divides the first rate by the square root of the number of rows read so far,
    "adaptive" by five whenever the loss has not improved for ``n_iter_no_change`` epochs, "cosine"
    follows half a wave down to zero at ``max_iter``.
    """

    kind: str
    lr: float
    max_iter: int
    tol: float
    n_iter_no_change: int
    early_stopping: bool
    verbose: bool = False

    def rate(self, epoch, n_rows, n_reductions):
        """Learning rate of an epoch, counted from 0, of passes over ``n_rows`` rows."""
        if self.kind == "invscaling":
            return self.lr / np.sqrt(epoch * n_rows + 1.0)
        if self.kind == "adaptive":
            return self.lr / 5.0**n_reductions
        if self.kind == "cosine":
            return self.lr * 0.5 * (1 + np.cos(np.pi * epoch / self.max_iter))
        return self.lr


@dataclass
class History:
    """What a fit leaves besides theta.

    Attributes
    ----------
    losses : list of float
        The objective, by epoch.
    task_losses, task_weights : list of ndarray of shape (n_epochs, n_tasks)
        Of some epochs each: a list of single epochs would take a stream of chunks a copy of each
        at every chunk.
    validation_scores : list of float
    interrupted : bool
        Whether the user ended it.
    """

    losses: list = field(default_factory=list)
    task_losses: list = field(default_factory=list)
    task_weights: list = field(default_factory=list)
    validation_scores: list = field(default_factory=list)
    interrupted: bool = False

    @property
    def n_iter(self):
        """Epochs run."""
        return len(self.losses)

    def extend(self, losses, task_losses, task_weights):
        """Note some epochs."""
        self.losses += map(float, losses)
        if len(losses):
            self.task_losses.append(task_losses)
            self.task_weights.append(task_weights)


@dataclass
class _Patience:
    """Counts the epochs since a figure last improved by more than tol."""

    tol: float
    n_iter_no_change: int
    best: float = np.inf
    n_waited: int = 0

    @property
    def n_left(self):
        """The fewest epochs in which it can run out."""
        return self.n_iter_no_change - self.n_waited + 1

    def has_run_out(self, value):
        self.n_waited = self.n_waited + 1 if value > self.best - self.tol else 0
        self.best = min(self.best, value)
        return self.n_waited > self.n_iter_no_change


class EpochTraining:
    """Training by epochs until the schedule, a callback or the user ends it; can be paused.

    Parameters
    ----------
    problem : Problem
        Its theta is trained in place.
    schedule : Schedule
    watch : FitTask
        Told of every epoch; may ask to stop.
    snapshot : callable
        Gives the attributes of a fitted estimator, for whoever watches.
    validate : callable, default=None
        Gives the validation score; with it, theta ends as it was when this was best.
    phases : sequence of Pace or Rounds, default=()
        Each is told of every ``n_alike`` epochs, by ``prepare``, before these; before its
        ``n_epochs`` are over training does not end by ``tol``.

    Attributes
    ----------
    history : History
    ended : bool
    """

    def __init__(self, problem, schedule, watch, snapshot, validate=None, phases=()):
        self.history, self.ended = History(), False
        self._problem, self._schedule = problem, schedule
        self._watch, self._snapshot, self._validate = watch, snapshot, validate
        self._phases = phases
        self._patience = _Patience(schedule.tol, schedule.n_iter_no_change)
        self._best_theta, self._best_score, self._n_reductions = None, -np.inf, 0
        one_by_one = watch.listens or validate is not None or schedule.verbose
        self._at_once = 1 if one_by_one else max(AT_ONCE // problem.epoch_size(), 1)

    def advance(self, n_epochs=np.inf):
        """Train until there have been ``n_epochs`` epochs, or training ends.

        Whoever asks for no more than ``max_iter`` epochs is not told that these are over.

        Raises
        ------
        ValueError
            If the objective is not finite in the first epoch.
        """
        max_iter = self._schedule.max_iter
        while not self.ended and self.history.n_iter < min(n_epochs, max_iter):
            self.ended = self._some_epochs(int(min(n_epochs, max_iter)))
        is_over = self.ended or self.history.n_iter == max_iter
        if not self.ended and is_over and n_epochs > max_iter:
            self.ended = True
            warnings.warn(
                f"Stochastic optimizer: max_iter={max_iter} epochs are over and the optimization "
                "has not converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        if is_over and self._best_theta is not None:
            self._problem.theta[:] = self._best_theta

    def _some_epochs(self, n_epochs):
        """Epochs up to the next look, ``n_epochs`` in all at most; gives if training ends."""
        problem, schedule, history = self._problem, self._schedule, self.history
        epoch = history.n_iter
        n = min(self._at_once, self._patience.n_left, n_epochs - epoch)
        for phase in self._phases:
            n = min(n, phase.n_alike(epoch))
            phase.prepare(problem, epoch)
        rates = [
            schedule.rate(k, problem.n_rows, self._n_reductions) for k in range(epoch, epoch + n)
        ]
        self._watch.epoch_begin()
        try:
            curves = problem.epochs(rates)
            history.extend(*curves)
            if curves.losses.size < n:
                _tell_divergence(history.n_iter + 1, schedule.lr, problem.suspects())
                return True
            figures = [-self._score()] if self._validate else problem.watched(curves)
            if schedule.verbose:
                _print_epoch(epoch, history.losses[-1], history.validation_scores)
        except KeyboardInterrupt:
            warnings.warn(
                f"Training interrupted by user in epoch {epoch + 1}: the weights so far are kept.",
                stacklevel=3,
            )
            history.interrupted = True
            return True
        if self._watch.epoch_end(self._snapshot):
            return True
        if any(epoch < phase.n_epochs for phase in self._phases):
            return False
        if [self._patience.has_run_out(figure) for figure in figures][-1]:
            if schedule.kind != "adaptive" or rates[-1] <= 1e-6:
                return True
            self._n_reductions += 1
            self._patience.n_waited = 0
        return False

    def _score(self):
        """The validation score; keeps theta where it is the best so far."""
        score = self._validate()
        self.history.validation_scores.append(score)
        if score > self._best_score:
            self._best_score, self._best_theta = score, self._problem.theta.copy()
        return score


def run_lbfgs(problem, schedule, watch, snapshot):
    """Minimise the full-batch objective with SciPy's L-BFGS-B.

    Parameters
    ----------
    problem : Problem
        Its theta ends at the minimum.
    schedule : Schedule
        ``max_iter`` and ``tol`` (on the largest component of the gradient) are used; it also ends
        where the objective falls by less than SciPy's default ``ftol``, as in scikit-learn.
    watch : FitTask
        Told of every iteration; may ask to stop.
    snapshot : callable
        Gives the attributes of a fitted estimator, for whoever watches.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If the objective is not finite at the start.
    """
    history, free = History(), slice(problem.n_frozen, None)
    theta = problem.theta.copy()
    latest = {"stopped": False}

    def value_grad(x):
        theta[free] = x
        value, grad, losses = problem.objective(theta)
        if not np.isfinite(value):
            raise _Diverged
        latest.update(value=value, losses=losses)
        return value, grad[free].astype(np.float64)

    def after_iteration(x):
        problem.theta[free] = x
        history.extend([latest["value"]], latest["losses"][None], np.ones((1, problem.n_tasks)))
        if schedule.verbose:
            _print_epoch(history.n_iter - 1, latest["value"], [])
        if watch.epoch_end(snapshot):
            latest["stopped"] = True
            raise StopIteration

    try:
        result = minimize(
            value_grad,
            problem.theta[free].astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=after_iteration,
            options={"maxiter": schedule.max_iter, "maxfun": 15000, "gtol": schedule.tol},
        )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user: the weights so far are kept.", stacklevel=2)
        history.interrupted = True
        return history
    except _Diverged:
        _tell_divergence(history.n_iter + 1, suspects=problem.suspects())
        return history
    problem.theta[free] = result.x
    if result.status == 1:
        warnings.warn(
            f"lbfgs: max_iter={schedule.max_iter} iterations are over and the optimization has "
            "not converged yet.",
            ConvergenceWarning,
            stacklevel=2,
        )
    elif not (result.success or latest["stopped"]):
        warnings.warn(
            f"lbfgs ended after {history.n_iter} iterations without convergence "
            f"({result.message}): scale the columns of X (StandardScaler), compute in float64, or "
            "use solver='adam'.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return history


def divergence_message(epoch, lr=None, suspects=()):
    """What to say, and to do, when the objective is not finite; lr is that of ``fit``, if any.

    ``suspects`` are plugins of which one gives what is not finite.
    """
    where, what = f"epoch {epoch}", "scale the columns of X (StandardScaler)"
    if lr is not None:
        where, what = f"{where} (learning_rate_init={lr})", f"{what}, lower learning_rate_init"
    message = f"The objective stopped being finite in {where}: {what}, or raise the penalty."
    if suspects:
        message += (
            f" It is not finite where the epoch starts: if X is scaled, look at "
            f"{', '.join(suspects)} with skmtl.testing.check_plugin."
        )
    return message


def _tell_divergence(epoch, lr=None, suspects=()):
    message = divergence_message(epoch, lr, suspects)
    if epoch == 1:
        raise ValueError(message) from None
    warnings.warn(
        f"{message} The weights of epoch {epoch - 1} are kept.", ConvergenceWarning, stacklevel=4
    )


def _print_epoch(epoch, loss, validation_scores):
    score = f", validation score = {validation_scores[-1]:.6f}" if validation_scores else ""
    print(f"Iteration {epoch + 1}, loss = {loss:.8f}{score}")
