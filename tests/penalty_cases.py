"""Penalties called directly, and on linear tasks whose optimum somebody else can find."""

from dataclasses import replace

import numpy as np
from engine_cases import run_epoch
from scipy.optimize import minimize

from skmtl.engine.data import Domain, Task
from skmtl.engine.layout import Architecture, Layout
from skmtl.engine.problem import PenaltyTerm, Problem, Training
from skmtl.plugins.base import OUTPUT, OWN, Start
from skmtl.plugins.losses import SquaredError
from skmtl.plugins.optimizers import SGD
from skmtl.plugins.weightings import Uniform


def stacked(n_tasks, n_columns, n_outputs=1):
    """A table of output layers alone, without biases; theta is the task matrix, row by row."""
    size = n_outputs * n_columns
    return np.array([[t * size, n_outputs, n_columns, -1, OUTPUT, 0] for t in range(n_tasks)])


def with_own(blocks, n_rows, n_columns):
    """The same with a matrix of the penalty's own, after all parameters of the outputs."""
    end = blocks[-1, 0] + blocks[-1, 1] * blocks[-1, 2]
    return np.vstack([blocks, [end, n_rows, n_columns, -1, OWN, 0]])


class Direct:
    """The functions of a penalty on one table of blocks."""

    def __init__(self, penalty, blocks, start=None):
        self.penalty, self.blocks = penalty, blocks
        start = np.zeros(0) if start is None else start
        if not isinstance(start, Start):
            start = Start(start, None, None, blocks)
        self.constants = penalty.constants(start)
        self.hp = np.array(penalty.hyper(), float)

    def _work(self):
        return np.full(self.penalty.n_work(self.blocks), np.nan)

    def value_grad(self, theta, strength=1.0):
        """Value and gradient."""
        grad = np.zeros_like(theta)
        value = self.penalty.value_grad(
            theta, self.blocks, strength, self.hp, self.constants, self._work(), grad
        )
        return value, grad

    def value(self, theta, strength=1.0):
        """The value alone."""
        return self.value_grad(theta, strength)[0]

    def prox(self, theta, step):
        """The proximal point."""
        theta = theta.copy()
        self.penalty.prox(theta, self.blocks, step, self.hp, self.constants, self._work())
        return theta

    def check_gradient(self, theta, rtol=1e-6):
        """Compare the gradient with central differences."""
        grad, numeric = self.value_grad(theta, 1.7)[1], np.zeros_like(theta)
        for j in range(theta.size):
            step = 1e-6 * (np.arange(theta.size) == j)
            change = self.value(theta + step, 1.7) - self.value(theta - step, 1.7)
            numeric[j] = change / 2e-6
        np.testing.assert_allclose(grad, numeric, rtol=rtol, atol=rtol * abs(grad).max())

    def check_prox(self, theta, step, rng, tol):
        """Check that (theta - z) / step is a subgradient at z, which only the proximal point has.

        R(y) >= R(z) + <theta - z, y - z> / step for every y, near and far.
        """
        z = self.prox(theta, step)
        pull, at_z = (theta - z) / step, self.value(z)
        others = [theta, 0 * z, 2 * z]
        for size in (1e-3, 0.1, 1.0, 10.0):
            others += list(z + size * rng.standard_normal((10, z.size)))
        scale = abs(pull @ z) + at_z + 1
        for y in others:
            assert self.value(y) >= at_z + pull @ (y - z) - tol * (scale + abs(pull @ y))


def linear_tasks(n=60, n_columns=6, n_tasks=4, noise=0.1, seed=0):
    """Centred regression tasks on the same rows, of rank 2 and three columns that matter."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((n_tasks, 2)) @ rng.standard_normal((2, n_columns))
    W[:, 3:] = 0
    X = rng.standard_normal((n, n_columns))
    X -= X.mean(axis=0)
    Y = X @ W.T + noise * rng.standard_normal((n, n_tasks))
    return X, Y - Y.mean(axis=0)


def linear_problem(X, Y, penalty, strength, solver=None, start=None):
    """The engine's problem of linear heads: sum_t mean_i (x_i w_t + b_t - y_it)^2 / 2 + strength R.

    NaN in Y is a missing label.
    """
    n_tasks = Y.shape[1]
    architecture = Architecture(
        n_inputs=X.shape[1],
        hidden=(),
        activation="identity",
        head_hidden=(),
        n_outputs=(1,) * n_tasks,
        task_heads=tuple(range(n_tasks)),
        gate_mask=((True,),) * n_tasks,
    )
    own = penalty.own_matrices(Layout(architecture).blocks)
    layout = Layout(replace(architecture, own_shapes=tuple(own)))
    theta = np.zeros(layout.size) if start is None else start.copy()
    tasks = []
    for t in range(n_tasks):
        rows = np.flatnonzero(np.isfinite(Y[:, t]))
        tasks.append(Task(0, t, SquaredError(), rows, Y[rows, t], np.ones(rows.size)))
    training = Training(
        solver or SGD(momentum=0.0, nesterov=False),
        Uniform(),
        np.random.default_rng(0),
        batch_size=len(X),
    )

    def constants(blocks):
        return penalty.constants(Start(theta.copy(), None, None, blocks))

    term = PenaltyTerm(penalty, strength, layout.blocks, constants)
    return Problem(layout, theta, [Domain(np.ascontiguousarray(X))], tasks, [term], training)


def weights(problem, n_tasks):
    """The task matrix, a row for each task."""
    size = n_tasks * problem.layout.architecture.n_inputs
    return problem.theta[:size].reshape(n_tasks, -1)


def descend(problem, lr, tol=1e-10, most=20000):
    """Full-batch steps until theta moves no more."""
    for _ in range(most):
        before = problem.theta.copy()
        _, _, finished = run_epoch(problem, lr)
        assert finished
        if abs(problem.theta - before).max() < tol * lr:
            return
    raise AssertionError(f"no convergence in {most} steps")


def minimise(problem):
    """L-BFGS on the full objective, for penalties with a gradient."""
    result = minimize(
        lambda theta: problem.objective(theta)[:2],
        problem.theta,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-9},
    )
    problem.theta[:] = result.x
