"""What alignments must do."""

import numpy as np

from skmtl.testing.calls import DTYPES, compiled, draws_from_rng, run
from skmtl.testing.cases import ALIGNMENT_SIZES, alignment_call
from skmtl.testing.derivatives import RTOL, require_gradient, slopes
from skmtl.testing.fits import fit_transfer, require_falling
from skmtl.testing.report import check, require


def has_player(alignment):
    """Whether its own parameters may ascend the value, against the rest of the network."""
    return alignment.needs_minibatches and alignment.n_params(3) > 0


@check
def check_alignment_gradient(alignment):
    """dhs, dht and grad are the gradients of the value, by central differences.

    Parameters that ascend the value have its gradient up to sign and scale.
    """
    function = compiled(alignment, "value_grad")
    own = ("theta",) if not has_player(alignment) else ()
    for x, result in (("hs", "dhs"), ("ht", "dht"), *((name, "grad") for name in own)):

        def points(x=x, result=result):
            for sizes in ALIGNMENT_SIZES:
                for seed in range(2):
                    case = alignment_call(alignment, *sizes, seed=seed)
                    yield (
                        lambda at, case=case: run(function, case.but(**{x: at}))[0],
                        case.arguments[x],
                        run(function, case)[1][result],
                        case.sizes,
                    )

        require_gradient(
            points(),
            x,
            "value_grad",
            f"Add strength times the derivative of the distance by {x} to {result}.",
        )
    if has_player(alignment):
        _check_player(alignment, function)


def _check_player(alignment, function):
    """The gradient by theta is in proportion to that of the value."""
    case = alignment_call(alignment, 6, 5)
    grad = run(function, case)[1]["grad"]

    def value(theta):
        return run(function, case.but(theta=theta))[0]

    rng = np.random.default_rng(0)
    pairs = np.array(
        [(slope, np.sum(grad * v)) for v, slope in slopes(value, case.arguments["theta"], rng, 12)]
    )
    found, given = pairs.T
    ratio = found @ given / (found @ found)
    require(
        ratio != 0 and np.abs(given - ratio * found).max() <= 100 * RTOL * np.abs(given).max(),
        "grad, what theta descends, is not in proportion to the gradient of the value by theta.",
        "Add the gradient by theta of the value, of either sign and any scale, to grad.",
    )


@check
def check_alignment_distance(alignment):
    """Identical samples give a smaller value than samples far apart."""
    near, far = _near_and_far(alignment)
    values = [_value_when_trained(alignment, case) for case in (near, far)]
    require(
        np.isfinite(values).all() and values[0] < values[1],
        f"Identical samples give the value {values[0]:.6g}, samples far apart {values[1]:.6g}.",
        "The value is a distance, which the network descends: it falls as the samples meet.",
    )


def _near_and_far(alignment):
    """Calls with identical samples, and with one shifted, scaled and turned."""
    case = alignment_call(alignment, 8, 8)
    hs, ys = case.arguments["hs"], case.arguments["ys"]
    near = case.but(ht=hs.copy(), yt=ys.copy())
    return near, near.but(ht=np.ascontiguousarray(4 + 3 * hs[:, ::-1]))


def _value_when_trained(alignment, case, n_steps=300):
    """The value, after the alignment's own parameters had time to learn."""
    function = compiled(alignment, "value_grad")
    if not has_player(alignment):
        return run(function, case)[0]
    theta = case.arguments["theta"].copy()
    for step in range(n_steps):
        case = case.but(theta=theta, rng=np.random.default_rng(step))
        grad = run(function, case)[1]["grad"]
        theta = theta - 0.05 * grad / (np.sqrt(np.mean(grad**2)) + 1e-12)
    return np.mean(
        [run(function, case.but(theta=theta, rng=np.random.default_rng(k)))[0] for k in range(5)]
    )


@check
def check_alignment_order(alignment):
    """The order of the rows does not matter, nor the length of a scratch array that is too long."""
    function = compiled(alignment, "value_grad")
    case = alignment_call(alignment, 7, 5)
    value, results = run(function, case)
    longer = case.but(work=np.zeros(case.arguments["work"].size + 50))
    require(
        run(function, longer, np.nan)[0] == value,
        "The value depends on the length of work.",
        "n_work is for the largest batch: read the sizes from hs and ht.",
    )
    if draws_from_rng(function, case):
        return  # which numbers a row gets depends on its place
    for x, y, dx in (("hs", "ys", "dhs"), ("ht", "yt", "dht")):
        order = np.random.default_rng(1).permutation(len(case.arguments[x]))
        moved = {x: case.arguments[x][order], y: case.arguments[y][order]}
        other, others = run(function, case.but(**moved))
        require(
            np.isclose(other, value, rtol=1e-8) and np.allclose(others[dx], results[dx][order]),
            f"The value or {dx} changes when the rows of {x} change their order: {value:.9g} "
            f"becomes {other:.9g}.",
            "Treat the rows as a sample, without pairing or order.",
        )


@check
def check_alignment_strength(alignment):
    """The value, dhs and dht are in proportion to strength."""
    function = compiled(alignment, "value_grad")
    case = alignment_call(alignment, 6, 5)
    value, results = run(function, case)
    other, others = run(function, case.but(strength=2 * case.arguments["strength"]))
    require(
        np.isclose(other, 2 * value, rtol=1e-9)
        and all(np.allclose(others[d], 2 * results[d], rtol=1e-9) for d in ("dhs", "dht")),
        f"Twice the strength does not give twice the value and gradient: {value:.6g} becomes "
        f"{other:.6g}.",
        "Multiply the value, dhs and dht by strength, once.",
    )


@check
def check_alignment_sizes(alignment):
    """One row against many, identical rows, and no label at all give finite numbers."""
    for dtype in DTYPES:
        function = compiled(alignment, "value_grad", dtype)
        cases = {str(s): alignment_call(alignment, *s, dtype) for s in (*ALIGNMENT_SIZES, (1, 1))}
        case = cases[str(ALIGNMENT_SIZES[0])]
        flat = {name: np.ones_like(case.arguments[name]) for name in ("hs", "ht")}
        none = {name: np.full_like(case.arguments[name], -1) for name in ("ys", "yt")}
        cases |= {"constant rows": case.but(**flat), "no labels": case.but(**none)}
        for name, case in cases.items():
            value, results = run(function, case)
            require(
                np.isfinite(value) and all(np.isfinite(a).all() for a in results.values()),
                f"For {name} in {dtype} the value is {value} or a gradient is not finite.",
                "Guard divisions by the number of rows or labels, by n - 1, and by norms and "
                "variances that may be 0.",
            )


@check
def check_alignment_where(alignment):
    """It has the parameter ``where``, "shared" or "input"."""
    require(
        alignment.get_params(deep=False).get("where") in ("shared", "input"),
        "It has no parameter where of value 'shared' or 'input'.",
        "Give its constructor where='shared', for users to say what is aligned.",
    )


@check
def check_alignment_fit(alignment):
    """A transfer that aligns learns."""
    feature_map = "affine" if alignment.where == "input" else "identity"
    fitted = fit_transfer(feature_map=feature_map, map_penalty=alignment, mu=0.01)
    require_falling(fitted.task_loss_curves_.sum(axis=1))


def checks_of(alignment):
    """The checks of an alignment."""
    return (
        check_alignment_where,
        check_alignment_gradient,
        check_alignment_strength,
        check_alignment_order,
        check_alignment_sizes,
        check_alignment_distance,
        check_alignment_fit,
    )
