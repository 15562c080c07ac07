"""What losses must do."""

import numpy as np

from skmtl.plugins import base
from skmtl.testing.calls import DTYPES, compiled, run
from skmtl.testing.cases import class_counts, loss_call, targets
from skmtl.testing.derivatives import require_gradient
from skmtl.testing.fits import fit_regression, fit_tasks, require_falling
from skmtl.testing.report import check, require


@check
def check_loss_gradient(loss):
    """The gradient is that of the value, by central differences."""
    function = compiled(loss, "value_grad")

    def points():
        for n_classes in class_counts(loss):
            for seed in range(3):
                case = loss_call(loss, n_classes, seed=seed)
                yield (
                    lambda out, case=case: run(function, case.but(out=out))[0],
                    case.arguments["out"],
                    run(function, case)[1]["grad"],
                    case.sizes,
                )

    require_gradient(
        points(),
        "out",
        "value_grad",
        "Write the derivative of the returned value, the weighted mean, to grad: each row's "
        "derivative times weight[i] / sum(weight).",
    )


@check
def check_loss_mean(loss):
    """The value is the weighted mean over rows, and grad the gradient of that."""
    function = compiled(loss, "value_grad")
    remedy = "Divide by the sum of weight: the value is sum_i weight[i] l_i / sum_i weight[i], "
    remedy += "where l_i depends on row i alone."
    for n_classes in class_counts(loss):
        case = loss_call(loss, n_classes)
        weight = case.arguments["weight"]
        value, grad = _value_grad(function, case)
        share = weight / weight.sum()
        rows = [_value_grad(function, _rows(case, [i])) for i in range(weight.size)]
        require(
            np.isclose(value, sum(s * v for s, (v, _) in zip(share, rows)), rtol=1e-9),
            f"{case.sizes} gives {value:.9g}, which is not the weighted mean of what it gives for "
            "the rows one by one.",
            remedy,
        )
        require(
            np.allclose(grad, share[:, None] * np.vstack([g for _, g in rows]), atol=1e-11),
            f"The rows of grad that {case.sizes} gives are not those for the rows one by one times "
            "their shares of the weight.",
            remedy,
        )
        for other, how in (
            (case.but(weight=4 * weight), "all weights are multiplied by 4"),
            (
                _rows(case, np.repeat(np.arange(weight.size), [1, 2, 3, 1, 2, 1])).but(
                    weight=np.ones(10)
                ),
                "rows are repeated in place of integer weights",
            ),
        ):
            start = value
            if "repeated" in how:
                whole = np.array([1.0, 2, 3, 1, 2, 1])
                start = _value_grad(function, case.but(weight=whole))[0]
            require(
                np.isclose(_value_grad(function, other)[0], start, rtol=1e-9),
                f"The value changes when {how}.",
                remedy,
            )


def _value_grad(function, case):
    value, results = run(function, case)
    return value, results["grad"]


def _rows(case, rows):
    """The call for some of its rows."""
    chosen = {name: case.arguments[name][rows] for name in ("out", "y", "weight", "grad")}
    return case.but(**chosen)


@check
def check_loss_extremes(loss):
    """Large outputs give finite numbers, wherever these fit into the dtype."""
    for n_classes in class_counts(loss):
        cases = {dtype: loss_call(loss, n_classes, dtype=dtype) for dtype in DTYPES}
        shape = cases["float64"].arguments["out"].shape
        for direction in np.random.default_rng(1).choice([-1.0, 1.0], (4, *shape)):
            growing = 0.0
            for size in (1e2, 1e3, 1e30):
                out = size * direction
                value, grad = _require_finite(loss, cases["float64"], out, growing < 1e30, 0)
                _require_finite(loss, cases["float32"], out, abs(value) < 1e37, grad)
                growing = abs(value)


def _require_finite(loss, case, out, fits, reference):
    """Value and gradient for large outputs; where the gradient in double is large it may be inf.

    The value may be inf where it does not fit: where it is large for smaller outputs already.
    """
    dtype = case.arguments["out"].dtype
    out = out.astype(dtype)
    value, results = run(compiled(loss, "value_grad", dtype.name), case.but(out=out))
    where = f"for outputs of +-{abs(out[0, 0]):g} in {dtype}"
    remedy = "Rewrite the formula so that nothing overflows on the way: subtract the largest "
    remedy += "output before exp, use log1p, and exp of negative numbers only."
    require(not np.isnan(value), f"The value is NaN {where}.", remedy)
    require(not fits or np.isfinite(value), f"The value is {value} {where}.", remedy)
    fine = np.isfinite(results["grad"]) | ~(np.abs(reference) < 1e37)
    require(not fits or fine.all(), f"The gradient is not finite {where}.", remedy)
    return value, results["grad"]


@check
def check_loss_nan(loss):
    """A NaN among the outputs shows in the value."""
    for n_classes in class_counts(loss):
        for dtype in DTYPES:
            case = loss_call(loss, n_classes, dtype=dtype)
            for j in range(case.arguments["out"].shape[1]):
                out = case.arguments["out"].copy()
                out[2, j] = np.nan
                value, _ = run(compiled(loss, "value_grad", dtype), case.but(out=out))
                require(
                    not np.isfinite(value),
                    f"The value is {value} where out[2, {j}] is NaN.",
                    "Let NaN through, so that a diverging fit is noticed: comparisons with NaN are "
                    "False, and max(0, NaN) is 0.",
                )


@check
def check_loss_proba(loss):
    """``proba`` gives a row of probabilities for each row of outputs."""
    for n_classes in class_counts(loss):
        case = loss_call(loss, n_classes)
        for size in (1.0, 100.0):
            for dtype in DTYPES:
                out = (size * case.arguments["out"]).astype(dtype)
                proba = loss.proba(out.copy())
                where = f"proba of {n_classes} classes, for out {out.shape} {dtype},"
                require(
                    isinstance(proba, np.ndarray) and proba.shape == (len(out), n_classes),
                    f"{where} has shape {np.shape(proba)}.",
                    f"Give an array of shape (n_rows, n_classes), here {(len(out), n_classes)}; "
                    "two classes have two columns even where the head has one output.",
                )
                require(
                    proba.dtype == dtype,
                    f"{where} is {proba.dtype}.",
                    "Keep the dtype of out: avoid NumPy scalars and arrays of another dtype.",
                )
                require(
                    ((proba >= 0) & (proba <= 1)).all(),
                    f"{where} is not from 0 to 1.",
                    "Give probabilities: finite, from 0 to 1.",
                )
                require(
                    np.allclose(proba.sum(axis=1), 1, atol=1e-5),
                    f"The rows of {where} sum to {proba.sum(axis=1).round(4)}.",
                    "Normalise each row to sum to 1.",
                )


@check
def check_loss_predict(loss):
    """``predict`` keeps shape and dtype; ``check_targets`` takes the numbers it is defined for."""
    y = targets(loss, np.random.default_rng(0), 6)
    before = y.copy()
    for shape in ((6,), (6, 1)):
        require(
            loss.check_targets(y.reshape(shape)) is None,
            "check_targets returns something.",
            "Let it raise ValueError or return nothing.",
        )
    require(np.array_equal(y, before), "check_targets changes y.", "Leave y as it is.")
    for dtype in DTYPES:
        out = loss_call(loss, None, dtype=dtype).arguments["out"]
        predicted = loss.predict(out.copy())
        require(
            isinstance(predicted, np.ndarray)
            and predicted.shape == out.shape
            and predicted.dtype == dtype
            and np.isfinite(predicted).all(),
            f"predict gives {type(predicted).__name__} {np.shape(predicted)} "
            f"{getattr(predicted, 'dtype', '')} for out {out.shape} {dtype}.",
            "Give finite predictions of the shape and dtype of out.",
        )


@check
def check_loss_fit(loss):
    """A small network learns with it: the loss falls."""
    if isinstance(loss, base.ClassificationLoss):
        require_falling(fit_tasks(loss=loss).loss_curve_)
    else:
        y = targets(loss, np.random.default_rng(0), 40)
        require_falling(fit_regression(loss, y))


def checks_of(loss):
    """The checks of a loss on classes, or on numbers."""
    on_classes = isinstance(loss, base.ClassificationLoss)
    return (
        check_loss_gradient,
        check_loss_mean,
        check_loss_extremes,
        check_loss_nan,
        check_loss_proba if on_classes else check_loss_predict,
        check_loss_fit,
    )
