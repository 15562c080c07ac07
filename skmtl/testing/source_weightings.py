"""What weightings of a source's rows must do."""

import numpy as np
from scipy.sparse import csr_array

from skmtl.testing.fits import fit_transfer, require_falling
from skmtl.testing.report import Broken, check, require

SIZES = ((40, 30), (40, 1), (1, 30))


def sample(n_source=40, n_target=30, shift=1.0, seed=0):
    """Read-only rows of three columns, and codes: a source, and a target that is shifted."""
    rng = np.random.default_rng(seed)
    arrays = (
        rng.standard_normal((n_source, 3)),
        rng.permutation(np.arange(n_source) % 3),
        rng.standard_normal((n_target, 3)) + shift,
        np.arange(n_target) % 4 - 1,
    )
    for array in arrays:
        array.flags.writeable = False
    return arrays


def weights_of(weighting, X_source, y_source, X_target, y_target):
    """What ``weigh`` gives, with a generator that starts the same each time."""
    rng = np.random.default_rng(3)
    try:
        return np.asarray(weighting.weigh(X_source, y_source, X_target, y_target, rng))
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise Broken(
            "weigh writes to its inputs.", "Copy an array before you change it."
        ) from error


def _forms(case):
    """The rows as they may come: dense, CSR, in float32, without classes of the target."""
    X_source, y_source, X_target, y_target = case
    yield "dense rows", case
    yield "no classes in common", (X_source, y_source, X_target, None)
    yield "no labels of the target", (X_source, y_source, X_target, np.full_like(y_target, -1))
    yield "float32", (X_source.astype("f4"), y_source, X_target.astype("f4"), y_target)
    yield "CSR rows", (csr_array(X_source), y_source, csr_array(X_target), y_target)


@check
def check_source_weights(weighting):
    """``weigh`` gives a finite number >= 0 for each row, not all 0, whatever the rows' form."""
    for sizes in SIZES:
        for form, case in _forms(sample(*sizes)):
            weights = weights_of(weighting, *case)
            given = f"weigh gives {{}} for {sizes[0]} rows of a source and {sizes[1]} of a target"
            require(
                weights.shape == sizes[:1],
                f"{given.format(f'an array of shape {weights.shape}')} ({form}).",
                "Give a flat array with a weight for each row of the source.",
            )
            ok = np.isfinite(weights).all() and (weights >= 0).all() and weights.any()
            require(
                ok,
                f"{given.format(f'weights from {weights.min()} to {weights.max()}')} ({form}).",
                "Give finite numbers >= 0, not all 0: bound ratios, and guard against sums that "
                "vanish.",
            )


@check
def check_source_weights_repeatable(weighting):
    """The same arguments give the same weights, with the same state of the generator."""
    case = sample()
    require(
        np.array_equal(weights_of(weighting, *case), weights_of(weighting, *case)),
        "weigh gives other weights for the same arguments.",
        "Keep nothing between calls, and draw from the argument rng alone.",
    )


@check
def check_source_weights_order(weighting):
    """The rows of the source weigh the same in another order."""
    X_source, y_source, X_target, y_target = sample()
    order = np.random.default_rng(1).permutation(len(y_source))
    weights = weights_of(weighting, X_source, y_source, X_target, y_target)
    others = weights_of(weighting, X_source[order], y_source[order], X_target, y_target)
    require(
        np.allclose(others, weights[order], rtol=0.05, atol=0.05 * weights.mean()),
        "The rows of the source weigh something else in another order.",
        "Treat all rows alike, whatever their place.",
    )


@check
def check_source_weights_rows(weighting):
    """With ``reads_rows`` rows near the target weigh more; without, no row is read."""
    X_source, y_source, X_target, y_target = sample(200, 200)
    weights = weights_of(weighting, X_source, y_source, X_target, y_target)
    if not weighting.reads_rows:
        others = weights_of(weighting, X_source[:, :2] + 1, y_source, X_target * 2, y_target)
        require(
            np.array_equal(weights, others),
            "Other rows give other weights, but reads_rows is False.",
            "Set reads_rows = True in the class, or do not read X_source and X_target.",
        )
        return
    gaps = [
        np.linalg.norm(np.average(X_source, axis=0, weights=w) - X_target.mean(axis=0))
        for w in (np.ones(len(y_source)), weights)
    ]
    require(
        gaps[1] < gaps[0],
        f"The mean of the source is {gaps[0]:.3g} from that of a shifted target, and "
        f"{gaps[1]:.3g} with the weights.",
        "Is the ratio upside down? Give more weight to rows where the target is denser.",
    )


@check
def check_source_weights_fit(weighting):
    """A small transfer learns with it."""
    fitted = fit_transfer(source_sample_weighting=weighting)
    require_falling(fitted.task_loss_curves_.sum(axis=1))


def checks_of(weighting):
    """The checks of a weighting of a source's rows."""
    return (
        check_source_weights,
        check_source_weights_repeatable,
        check_source_weights_order,
        check_source_weights_rows,
        check_source_weights_fit,
    )
