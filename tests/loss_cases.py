"""Losses, what to call them with, and linear models to fit with them."""

import numpy as np
from scipy.optimize import minimize

from skmtl.engine.data import Domain, Task
from skmtl.engine.layout import Architecture, Layout
from skmtl.engine.problem import PenaltyTerm, Problem, Training
from skmtl.plugins.losses import (
    FocalLoss,
    Huber,
    LogLoss,
    MulticlassHinge,
    Pinball,
    Poisson,
    SquaredError,
)
from skmtl.plugins.optimizers import Adam
from skmtl.plugins.penalties import L2
from skmtl.plugins.weightings import Uniform

ON_CLASSES = [
    LogLoss(),
    LogLoss(0.2),
    FocalLoss(),
    FocalLoss(0.0),
    FocalLoss(0.5),
    MulticlassHinge(),
    MulticlassHinge(squared=True),
]
ON_NUMBERS = [SquaredError(), Huber(), Huber(0.4), Poisson(), Pinball(), Pinball(0.9)]
CASES = [(loss, k) for loss in ON_CLASSES for k in (2, 3, 6)] + [(x, None) for x in ON_NUMBERS]
DTYPES = ["float32", "float64"]


def loss_arguments(loss, n_classes=None, n_rows=8, scale=2.0, dtype="float64"):
    """Outputs, labels, weights and hp; numbers for labels where there are no classes."""
    rng = np.random.default_rng(0)
    n_outputs = 1 if n_classes is None else loss.n_outputs(range(n_classes))
    out = rng.normal(scale=scale, size=(n_rows, n_outputs))
    y = rng.integers(n_classes or 5, size=(n_rows, 1))
    if n_classes is None and not isinstance(loss, Poisson):
        y = y + rng.normal(size=y.shape)
    weight = rng.uniform(0.1, 3, n_rows)
    return tuple(np.asarray(a, dtype) for a in (out, y, weight, loss.hyper()))


def value_and_grad(loss, out, y, weight, hp=None, function=None):
    grad = np.full_like(out, np.nan)
    hp = np.array(loss.hyper(), out.dtype) if hp is None else hp
    return (function or loss.value_grad)(out, y, weight, hp, grad), grad


def one_row(loss, out, label, dtype="float64", function=None):
    """Value and gradient of one row of weight 1."""
    out, y = np.array([out], dtype), np.array([[label]], dtype)
    value, grad = value_and_grad(loss, out, y, np.ones(1, dtype), function=function)
    return value, grad[0]


def linear_problem(loss, X, y, weight, alpha=0.0, n_outputs=1, optimizer=None):
    """J = weighted mean loss of X coef + intercept, plus alpha / 2 |coef|^2."""
    layout = Layout(
        Architecture(
            n_inputs=X.shape[1],
            hidden=(),
            activation="relu",
            head_hidden=(),
            n_outputs=(n_outputs,),
            task_heads=(0,),
            gate_mask=((True,),),
        )
    )
    task = Task(0, 0, loss, np.arange(len(X)), y, weight)
    training = Training(optimizer or Adam(), Uniform(), np.random.default_rng(0))
    terms = [PenaltyTerm(L2(), alpha, layout.blocks)]
    return Problem(layout, np.zeros(layout.size), [Domain(X)], [task], terms, training)


def fit(loss, X, y, weight, alpha=0.0):
    """Coefficients and then the intercept, by L-BFGS; and the objective there."""
    problem = linear_problem(loss, X, y, weight, alpha)
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000}
    found = minimize(
        lambda theta: problem.objective(theta)[:2],
        problem.theta,
        jac=True,
        method="L-BFGS-B",
        options=options,
    )
    return found.x, found.fun
