"""What penalties must do."""

import numpy as np

from skmtl.testing.calls import DTYPES, compiled, run
from skmtl.testing.cases import penalty_calls, within
from skmtl.testing.derivatives import require_gradient
from skmtl.testing.fits import fit_tasks, fit_transfer, require_falling
from skmtl.testing.report import Broken, check, in_short, require


@check
def check_penalty_gradient(penalty):
    """What it adds to grad is the gradient of the value, by central differences."""
    function = compiled(penalty, "value_grad")

    def points():
        for seed in range(2):
            for name, case in penalty_calls(penalty, seed=seed).items():
                yield (
                    lambda theta, case=case: run(function, case.but(theta=theta))[0],
                    case.arguments["theta"],
                    run(function, case)[1]["grad"],
                    f"value_grad for {name}",
                )

    require_gradient(
        points(),
        "theta",
        "value_grad",
        "Add strength times the derivative of R at each parameter, at its own offset in theta.",
    )


@check
def check_penalty_strength(penalty):
    """Value and gradient are in proportion to strength."""
    function = compiled(penalty, "value_grad")
    for name, case in penalty_calls(penalty).items():
        value, results = run(function, case)
        strength = case.arguments["strength"]
        for factor in (2.0, 0.0):
            other, others = run(function, case.but(strength=factor * strength))
            require(
                np.isclose(other, factor * value, rtol=1e-9)
                and np.allclose(others["grad"], factor * results["grad"], rtol=1e-9),
                f"For {name}, {factor:g} times the strength does not give {factor:g} times the "
                f"value and gradient: {value:.6g} becomes {other:.6g}.",
                "Multiply both the value and what is added to grad by strength, once.",
            )


@check
def check_penalty_place(penalty):
    """It acts on the matrices of its layout and their biases alone."""
    remedy = "Go over the rows of layout: matrix b begins at layout[b, OFFSET], its bias at "
    remedy += "layout[b, BIAS] unless that is -1."
    for function in ("value_grad", "prox") if type(penalty).prox is not None else ("value_grad",):
        for name, case in penalty_calls(penalty, function).items():
            inside = within(case.arguments["layout"], case.arguments["theta"].size)
            value, results = run(compiled(penalty, function), case)
            change = results.get("grad", results.get("theta"))
            if function == "prox":
                change = change - case.arguments["theta"]
            require(
                not change[~inside].any(),
                f"{function} for {name} touches parameters outside of its matrices.",
                remedy,
            )
            theta = np.where(inside, case.arguments["theta"], 1e3)
            moved, _ = run(compiled(penalty, function), case.but(theta=theta))
            require(
                value is None or np.isclose(value, moved, rtol=1e-9),
                f"The value for {name} depends on parameters outside of its matrices.",
                remedy,
            )


@check
def check_penalty_prox(penalty):
    """``prox`` gives the argmin of ||z - theta||^2 / 2 + step R(z)."""
    remedy = "Give the exact minimiser, for the same R as value_grad and for step times R."
    prox, function = compiled(penalty, "prox"), compiled(penalty, "value_grad")
    rng = np.random.default_rng(0)
    proximal = penalty_calls(penalty, "prox")
    for name, valued in penalty_calls(penalty).items():
        case = proximal[name]
        theta = case.arguments["theta"]
        still = run(prox, case.but(step=0.0))[1]["theta"]
        require(
            np.allclose(still, theta, rtol=1e-12, atol=1e-12),
            f"For {name}, a step of 0 changes theta by up to {np.abs(still - theta).max():.3g}.",
            "A step of 0 has the argmin theta itself.",
        )
        inside = within(case.arguments["layout"], theta.size)
        for step in (0.05, 0.7, 5.0):
            z = run(prox, case.but(step=step))[1]["theta"]

            def objective(z, valued=valued, theta=theta, step=step):
                value = run(function, valued.but(theta=z, strength=step))[0]
                return 0.5 * np.sum((z - theta) ** 2) + value

            best = objective(z)
            require(np.isfinite(best), f"prox for {name} and step {step} is not finite.", remedy)
            others = [z + t * (theta - z) for t in (-0.1, 1e-3, 0.1, 0.5, 1.0)]
            others += [z * (1 + t * inside) for t in (-1.0, -0.1, -1e-3, 1e-3, 0.1)]
            for size in (1e-4, 1e-2, 1.0):
                others += [z + size * inside * rng.standard_normal(theta.size) for _ in range(20)]
            lowest = min(map(objective, others))
            require(
                best <= lowest + 1e-10 * (1 + abs(lowest)),
                f"prox for {name} and step {step} is not the argmin: its objective is {best:.9g}, "
                f"and {lowest:.9g} nearby.",
                remedy,
            )


@check
def check_penalty_finite(penalty):
    """Zero weights and a NaN: a finite gradient at the one, a visible one of the other."""
    for dtype in DTYPES:
        function = compiled(penalty, "value_grad", dtype)
        for name, case in penalty_calls(penalty, dtype=dtype).items():
            zero = np.zeros_like(case.arguments["theta"])
            value, results = run(function, case.but(theta=zero))
            require(
                np.isfinite(value) and np.isfinite(results["grad"]).all(),
                f"For {name}, zero weights give the value {value} or a gradient that is not "
                "finite.",
                "Give a subgradient where there is no gradient, 0 at 0; guard divisions by norms.",
            )
            theta = case.arguments["theta"].copy()
            slope = np.abs(run(function, case)[1]["grad"])
            if slope.max() < 1e-10:
                continue  # flat here: nothing says which weights it reads
            theta[slope.argmax()] = np.nan
            value, _ = run(function, case.but(theta=theta))
            require(
                not np.isfinite(value),
                f"For {name}, the value is {value} where a weight is NaN.",
                "Let NaN through, so that a diverging fit is noticed.",
            )


@check
def check_penalty_fit(penalty):
    """A small network learns with it, of a kind that it does not refuse."""
    ways = {
        "MultiTaskClassifier(penalty=)": lambda: fit_tasks(penalty=penalty, lam=1e-2),
        "the same for tasks of as many classes": lambda: fit_tasks(
            alike=True, penalty=penalty, lam=1e-2
        ),
        "TransferClassifier(map_penalty=)": lambda: fit_transfer(
            feature_map="affine", map_penalty=penalty
        ),
        "TransferClassifier(penalty=, strategy='finetune')": lambda: fit_transfer(
            penalty=penalty, alpha=1e-2, strategy="finetune"
        ),
    }
    refusals = []
    for name, fit in ways.items():
        try:
            losses = fit().loss_curve_
        except ValueError as error:
            refusals.append(f"{name}: {in_short(error, 150)}")
            continue
        require_falling(losses)
    if len(refusals) == len(ways):
        raise Broken(
            f"No small fit runs with it ({'; '.join(refusals)}).",
            "Let constants raise ValueError only where the penalty has no meaning.",
        )


def checks_of(penalty):
    """The checks of a penalty, with or without ``prox``."""
    return (
        check_penalty_gradient,
        check_penalty_strength,
        check_penalty_place,
        check_penalty_finite,
        *((check_penalty_prox,) if type(penalty).prox is not None else ()),
        check_penalty_fit,
    )
