"""What weightings of a source's rows must do."""

from numbers import Integral

import numpy as np
from scipy.sparse import csr_array

from skmtl.plugins.base import SourceWeighting
from skmtl.testing.fits import QUICK, fit_transfer, require_falling
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
    return _called(weighting, "weigh", X_source, y_source, X_target, y_target, rng)


def _called(weighting, method, *arguments):
    try:
        return np.asarray(getattr(weighting, method)(*arguments))
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise Broken(
            f"{method} writes to its inputs.", "Copy an array before you change it."
        ) from error


def round_cases(weighting, n_rows=40):
    """Arguments of ``reweigh`` for classes and for numbers, those that it does not refuse.

    Of every three rows the model is sure and right about one, unsure of one, and wrong about one.
    """
    rng = np.random.default_rng(2)
    hit = np.arange(n_rows) % 3
    codes = rng.integers(0, 3, n_rows)
    proba = np.full((n_rows, 3), 0.05)
    proba[np.arange(n_rows), (codes + (hit == 2)) % 3] = 0.9
    proba[hit == 1] = 0.3
    proba[hit == 1, codes[hit == 1]] = 0.4
    numbers = rng.standard_normal(n_rows)
    weights = rng.uniform(0.5, 1.5, n_rows)
    cases = {
        "classes": (weights / weights.mean(), codes, proba),
        "numbers": (weights / weights.mean(), numbers, numbers + hit),
    }
    accepted, refusals = {}, []
    for kind, case in cases.items():
        for array in case:
            array.flags.writeable = False
        try:
            _called(weighting, "reweigh", *case, 0)
            accepted[kind] = case
        except ValueError as refusal:
            refusals.append(str(refusal))
    require(
        accepted,
        f"reweigh takes neither classes nor numbers: {'; '.join(refusals)}",
        "Give weights for one of them.",
    )
    return accepted, hit


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


def _has_rounds(weighting):
    overrides = type(weighting).reweigh is not SourceWeighting.reweigh
    n_rounds, every = weighting.n_rounds, weighting.every
    require(
        overrides or not n_rounds,
        f"It has n_rounds={n_rounds!r}, and no reweigh.",
        "Define reweigh, or leave n_rounds at 0.",
    )
    counts = all(isinstance(n, Integral) and n >= 1 for n in (n_rounds, every))
    require(
        counts or not overrides,
        f"It has a reweigh, and n_rounds={n_rounds!r} and every={every!r}.",
        "Make both parameters of the constructor, ints of at least 1.",
    )
    return overrides


@check
def check_source_weights_rounds(weighting):
    """``reweigh`` gives finite numbers >= 0, the same each time, whatever the rows' order."""
    if not _has_rounds(weighting):
        return
    for n_rows in (1, 40):
        for kind, case in round_cases(weighting, n_rows)[0].items():
            for number in range(weighting.n_rounds):
                weights = _called(weighting, "reweigh", *case, number)
                ok = weights.shape == (n_rows,) and np.isfinite(weights).all()
                require(
                    ok and (weights >= 0).all() and weights.any(),
                    f"In round {number} reweigh gives {weights!r} for {n_rows} rows ({kind}).",
                    "Give a flat array of finite numbers >= 0, not all 0.",
                )
                require(
                    np.array_equal(weights, _called(weighting, "reweigh", *case, number)),
                    "reweigh gives other weights for the same arguments.",
                    "Keep nothing between calls: a fit hands over the weights and the round.",
                )
                order = np.random.default_rng(1).permutation(n_rows)
                moved = _called(weighting, "reweigh", *(a[order] for a in case), number)
                require(
                    np.allclose(moved, weights[order], rtol=1e-6),
                    "The rows weigh something else in another order.",
                    "Treat all rows alike, whatever their place.",
                )


@check
def check_source_weights_wrong_rows(weighting):
    """Rows that the model gets wrong do not gain on those that it gets right."""
    if not _has_rounds(weighting):
        return
    cases, hit = round_cases(weighting)
    for kind, case in cases.items():
        gain = _called(weighting, "reweigh", *case, 0) / case[0]
        require(
            gain[hit == 2].max() <= gain[hit == 0].min() * (1 + 1e-9),
            f"Rows that the model gets wrong gain on those that it gets right ({kind}).",
            "Is the sign of an exponent wrong? A source is to lose what does not suit the target.",
        )


@check
def check_source_weights_fit(weighting):
    """A small transfer learns with it."""
    n_epochs = max(QUICK["max_iter"], weighting.n_rounds * weighting.every + 5)
    fitted = fit_transfer(source_sample_weighting=weighting, max_iter=n_epochs)
    require_falling(fitted.task_loss_curves_.sum(axis=1))


def checks_of(weighting):
    """The checks of a weighting of a source's rows."""
    return (
        check_source_weights,
        check_source_weights_repeatable,
        check_source_weights_order,
        check_source_weights_rows,
        check_source_weights_rounds,
        check_source_weights_wrong_rows,
        check_source_weights_fit,
    )
