"""What optimizers must do."""

from itertools import product

import numpy as np

from skmtl.testing.calls import compiled, plain, run
from skmtl.testing.cases import catch_up_call, optimizer_call
from skmtl.testing.fits import fit_tasks, require_falling
from skmtl.testing.report import check, require

RATES = (1.0, 0.1, 0.01, 1e-3, 1e-4)


def _parabola(x):
    """1/2 sum_j a_j x_j^2, and its gradient."""
    a = np.geomspace(1, 10, x.size)
    return 0.5 * np.sum(a * x**2), a * x


def _rosenbrock(x):
    """The banana-shaped valley, and its gradient."""
    head, tail = x[:-1], x[1:]
    grad = np.zeros_like(x)
    grad[:-1] = -400 * head * (tail - head**2) - 2 * (1 - head)
    grad[1:] += 200 * (tail - head**2)
    return np.sum(100 * (tail - head**2) ** 2 + (1 - head) ** 2), grad


PROBLEMS = {
    "a parabola": (_parabola, np.linspace(-1, 1, 6) + 0.1, 0.5),
    "Rosenbrock's valley": (_rosenbrock, np.array([-1.2, 1.0]), 0.7),
}


class _Run:
    """Steps of an optimizer, from zero state."""

    def __init__(self, optimizer, theta, lr, dtype="float64", function=None):
        case = optimizer_call(optimizer, dtype=dtype, size=theta.size)
        self.arguments = case.arguments
        self.arguments["theta"] = theta.astype(dtype)
        self.arguments["lr"] = np.dtype(dtype).type(lr)
        self.function = function or compiled(optimizer, "step", dtype)

    def step(self, grad):
        """Take one step."""
        self.arguments["grad"] = grad.astype(self.theta.dtype)
        self.function(*self.arguments.values())
        self.arguments["step"] += 1

    @property
    def theta(self):
        return self.arguments["theta"]


@check
def check_optimizer_descent(optimizer):
    """It gets lower on a parabola and on Rosenbrock's valley, with a suitable learning rate."""
    for name, (objective, start, factor) in PROBLEMS.items():
        before, reached = objective(start)[0], {}
        for lr in RATES:
            run = _Run(optimizer, start, lr)
            for _ in range(500):
                run.step(objective(run.theta)[1])
            reached[lr] = objective(run.theta)[0]
        lowest = min((v for v in reached.values() if np.isfinite(v)), default=np.inf)
        require(
            lowest < factor * before,
            f"On {name} it gets from {before:.4g} to {lowest:.4g} at the lowest, in 500 steps with "
            f"learning rates of {', '.join(f'{lr:g}' for lr in RATES)}.",
            "Move theta against the gradient: theta -= lr * something that points along grad.",
        )


@check
def check_optimizer_rest(optimizer):
    """A zero gradient from zero state leaves theta, or shrinks it by weight decay."""
    theta = np.linspace(-2, 2, 6)
    run = _Run(optimizer, theta, 0.01)
    run.step(np.zeros(6))
    shrunk = (np.abs(run.theta) <= np.abs(theta)) & (run.theta * theta > 0)
    require(
        (shrunk | (run.theta == theta)).all(),
        f"A zero gradient from zero state moves theta by {run.theta - theta}.",
        "Without gradient and momentum it may at most multiply theta by a number from 0 to 1; "
        "guard the division of 0 by 0 with an epsilon.",
    )


@check
def check_optimizer_resume(optimizer):
    """Two runs of which the second goes on from the first's state are one run."""
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(6), rng.standard_normal((8, 6))
    # As plain Python: compiled code has no memory of its own.
    one, two = (_Run(optimizer, start, 0.01, function=plain(optimizer, "step")) for _ in range(2))
    for grad in gradients:
        one.step(grad)
    for k, grad in enumerate(gradients):
        if k == 4:
            two.arguments = {**two.arguments, "state": two.arguments["state"].copy()}
        two.step(grad)
    require(
        np.array_equal(one.theta, two.theta),
        "A run that goes on from a copy of the state ends elsewhere than one run.",
        "Keep all that it remembers in state, of n_slots arrays.",
    )


@check
def check_optimizer_numbering(optimizer):
    """The first step has the number 0, and late ones are finite."""
    rng = np.random.default_rng(0)
    for first in (0, 1, 10**7):
        run = _Run(optimizer, rng.standard_normal(6), 0.01)
        run.arguments["step"] = first
        for _ in range(3):
            run.step(rng.standard_normal(6))
        require(
            np.isfinite(run.theta).all(),
            f"Steps from number {first} on make theta {run.theta}.",
            "Count from 0: a bias correction takes beta ** (step + 1).",
        )


@check
def check_optimizer_float32(optimizer):
    """In float32 it goes where it goes in float64."""
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(6), rng.standard_normal((5, 6))
    ends = {}
    for dtype in ("float32", "float64"):
        run = _Run(optimizer, start, 0.01, dtype)
        for grad in gradients:
            run.step(grad)
        ends[dtype] = run.theta
    require(
        ends["float32"].dtype == np.float32
        and np.allclose(ends["float32"], ends["float64"], rtol=1e-3, atol=1e-4),
        f"Five steps end at {ends['float32']} in float32 and at {ends['float64']} in float64.",
        "Avoid differences of nearly equal numbers, and constants below 1e-38.",
    )


@check
def check_optimizer_nan(optimizer):
    """A NaN in the gradient shows in theta."""
    run = _Run(optimizer, np.ones(6), 0.01)
    run.step(np.array([1.0, np.nan, 1, 1, 1, 1]))
    require(
        not np.isfinite(run.theta).all(),
        "A gradient with a NaN leaves theta finite.",
        "Let NaN through, so that a diverging fit is noticed.",
    )


@check
def check_optimizer_catch_up(optimizer):
    """Steps put off come to the steps one by one, if it has ``catch_up``."""
    for gap, decay in product((1, 2, 7, 1000) if optimizer.catches_up() else (), (0.0, 0.1)):
        case = catch_up_call(optimizer, gap, decay)
        value, found = run(compiled(optimizer, "catch_up"), case)
        expected, squares = _one_by_one(optimizer, case.arguments)
        for name, array in expected.items():
            require(
                np.allclose(found[name], array, rtol=1e-8, atol=1e-12),
                f"catch_up of {gap} steps with a decay of {decay} leaves {name} at {found[name]}, "
                f"and step, one by one, at {array}.",
                "Take the steps since[i] to step - 1 for the parameters of row rows[i], and leave "
                "their gradients at zero.",
            )
        require(
            decay == 0 or np.isclose(value, squares, rtol=1e-8),
            f"catch_up of {gap} steps with a decay of {decay} gives {value}, not {squares}.",
            "Give the sum of theta_j ** 2 before each step, over its rows and their steps.",
        )


def _one_by_one(optimizer, a):
    """What ``step`` makes of the arguments of ``catch_up``, and the sum of squares."""
    step = compiled(optimizer, "step")
    theta, grad, state = (a[name].copy() for name in ("theta", "grad", "state"))
    squares = 0.0
    for row, since in zip(a["rows"], a["since"]):
        own = slice(row * a["width"], (row + 1) * a["width"])
        w, slots = theta[own], np.ascontiguousarray(state[:, own])
        for t in range(since, a["step"]):
            squares += np.sum(w**2)
            step(w, grad[own] + a["decay"] * w, slots, a["lr"], t, a["hp"])
            grad[own] = 0
        state[:, own] = slots
    return {"theta": theta, "grad": grad, "state": state}, squares


@check
def check_optimizer_fit(optimizer):
    """A small network learns with it, with some learning rate."""
    curves = []
    for lr in (0.01, 0.1, 1.0):
        try:
            curves.append(fit_tasks(solver=optimizer, learning_rate_init=lr).loss_curve_)
        except ValueError:  # diverges in the first epoch
            continue
    best = min(curves, key=lambda curve: curve[-1] - curve[0], default=[np.nan])
    require_falling(best)


def checks_of(optimizer):
    """The checks of an optimizer."""
    return (
        check_optimizer_descent,
        check_optimizer_rest,
        check_optimizer_resume,
        check_optimizer_numbering,
        check_optimizer_float32,
        check_optimizer_nan,
        check_optimizer_catch_up,
        check_optimizer_fit,
    )
