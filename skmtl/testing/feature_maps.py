"""What feature maps must do."""

import numpy as np
from scipy.sparse import csr_array

from skmtl.testing.calls import DTYPES, compiled, run
from skmtl.testing.cases import MAP_SIZES, map_calls, map_sizes, map_start
from skmtl.testing.derivatives import require_gradient
from skmtl.testing.fits import fit_transfer, require_falling
from skmtl.testing.report import check, require


@check
def check_map_start(feature_map):
    """``init`` gives n_params finite numbers, for sizes that it does not refuse by ValueError."""
    for sizes in MAP_SIZES:
        if sizes not in map_sizes(feature_map):
            continue
        for csr in (False, True)[: 1 + feature_map.accepts_csr]:
            theta = map_start(feature_map, *sizes, csr=csr)[2]
            n_params = feature_map.n_params(*sizes)
            require(
                theta.shape == (n_params,) and np.isfinite(theta).all(),
                f"init gives an array of shape {theta.shape} between spaces of sizes {sizes}, "
                f"where n_params says {n_params}, or it is not finite.",
                "Give a flat array of n_params finite numbers.",
            )
            again = map_start(feature_map, *sizes, csr=csr)[2]
            require(
                np.array_equal(theta, again),
                "init gives other numbers for the same data and generator.",
                "Draw from the argument rng alone.",
            )
        without = feature_map.init(
            *map_start(feature_map, *sizes)[:2], np.random.default_rng(0), None, None
        )
        require(
            np.shape(without) == (n_params,),
            "init without class codes gives an array of another shape.",
            "y_source and y_target may be None: do without them.",
        )


@check
def check_map_blocks(feature_map):
    """``blocks`` gives matrices within the parameters, that do not overlap."""
    remedy = "Give tuples (offset, rows, columns, offset of the bias or -1), and MAP_RESIDUAL as a "
    remedy += "fifth number where it is so, with offsets from the map's first parameter."
    for sizes in map_sizes(feature_map):
        n_params = feature_map.n_params(*sizes)
        used = np.zeros(n_params, int)
        for block in feature_map.blocks(*sizes):
            require(len(block) in (4, 5), f"blocks gives {block!r}.", remedy)
            offset, rows, columns, bias, *_ = block
            spans = [(offset, rows * columns)] + ([(bias, columns)] if bias != -1 else [])
            for start, size in spans:
                require(
                    size > 0 and 0 <= start <= n_params - size,
                    f"The block {tuple(block)} for sizes {sizes} reaches beyond the {n_params} "
                    "parameters.",
                    remedy,
                )
                used[start : start + size] += 1
        require((used <= 1).all(), f"blocks overlap for sizes {sizes}.", remedy)


@check
def check_map_transform(feature_map):
    """``transform`` gives what ``forward`` gives, and leaves its input alone."""
    for sizes in map_sizes(feature_map):
        for dtype in DTYPES:
            case, _ = map_calls(feature_map, *sizes, dtype)
            theta, X = case.arguments["theta"], case.arguments["x"]
            expected = run(compiled(feature_map, "forward", dtype), case)[1]["out"]
            rows = {"dense": X, "CSR": csr_array(X)}
            for form in ("dense", "CSR")[: 1 + feature_map.accepts_csr]:
                before = X.copy()
                found = feature_map.transform(theta.copy(), rows[form], sizes[1])
                found = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
                require(
                    found.shape == expected.shape,
                    f"transform of {form} rows {X.shape} gives shape {found.shape}.",
                    f"Give an array of shape (n_rows, n_out), here {expected.shape}.",
                )
                require(
                    found.dtype == dtype,
                    f"transform of {form} rows in {dtype} gives {found.dtype}.",
                    "Keep the dtype of theta and X.",
                )
                tolerance = {"float32": 1e-4, "float64": 1e-9}[dtype]
                require(
                    np.allclose(found, expected, rtol=tolerance, atol=tolerance),
                    f"transform of {form} rows differs from forward by up to "
                    f"{np.abs(found - expected).max():.3g}.",
                    "Let both compute the same g(x): predict uses the one, fit the other.",
                )
                require(np.array_equal(X, before), "transform changes X.", "Leave X as it is.")


@check
def check_map_gradient(feature_map):
    """``backward`` adds the gradient of <dout, g(x)>, by central differences."""
    suffixes = ("", "_csr")[: 1 + feature_map.accepts_csr]

    def points():
        for sizes in map_sizes(feature_map):
            for seed in range(2):
                for suffix in suffixes:
                    forward, backward = map_calls(feature_map, *sizes, suffix=suffix, seed=seed)
                    go = compiled(feature_map, forward.function)
                    dout = backward.arguments["dout"]
                    yield (
                        lambda theta, go=go, forward=forward, dout=dout: float(
                            np.sum(dout * run(go, forward.but(theta=theta))[1]["out"])
                        ),
                        forward.arguments["theta"],
                        _backward(feature_map, forward, backward),
                        backward.sizes,
                    )

    require_gradient(
        points(),
        "theta",
        "forward",
        "Add, for each parameter, the sum over rows and outputs of dout times the derivative of "
        "g(x) by it.",
    )


def _backward(feature_map, forward, backward, fill=np.nan):
    """The gradient of a step, with scratch that comes with anything."""
    _, left = _forward(feature_map, forward, fill)
    return run(compiled(feature_map, backward.function), backward.but(work=left))[1]["grad"]


def _forward(feature_map, forward, fill=np.nan):
    """Output and scratch after forward."""
    contract = forward.contract._replace(updates=("work",), scratch=())
    work = np.full_like(forward.arguments["work"], fill)
    case = type(forward)(forward.function, contract, {**forward.arguments, "work": work})
    results = run(compiled(feature_map, forward.function), case)[1]
    return results["out"], results["work"]


@check
def check_map_scratch(feature_map):
    """Scratch of n_work numbers is enough, and more does no harm."""
    for sizes in map_sizes(feature_map):
        n_work = [feature_map.n_work(n, *sizes) for n in (1, 7, 50)]
        require(
            all(isinstance(n, (int, np.integer)) and n >= 0 for n in n_work)
            and n_work == sorted(n_work),
            f"n_work gives {n_work} for 1, 7 and 50 rows.",
            "Give an integer that does not fall with the number of rows: batches may be smaller.",
        )
        for suffix in ("", "_csr")[: 1 + feature_map.accepts_csr]:
            forward, backward = map_calls(feature_map, *sizes, suffix=suffix)
            expected = _backward(feature_map, forward, backward)
            for fill, n_more in ((1e6, 0), (np.nan, 50)):
                longer = np.zeros(forward.arguments["work"].size + n_more)
                found = _backward(
                    feature_map, forward.but(work=longer), backward.but(work=longer), fill
                )
                require(
                    np.allclose(found, expected, rtol=1e-12, atol=1e-12),
                    f"{backward.function} depends on the length of work or what it held before.",
                    "Set scratch in forward before backward reads it, and read the sizes from x, "
                    "out and dout.",
                )


@check
def check_map_csr(feature_map):
    """The CSR twins give what the dense functions give."""
    for sizes in map_sizes(feature_map):
        dense, sparse = (map_calls(feature_map, *sizes, suffix=suffix) for suffix in ("", "_csr"))
        for one, other, name in (
            (_forward(feature_map, dense[0])[0], _forward(feature_map, sparse[0])[0], "forward"),
            (_backward(feature_map, *dense), _backward(feature_map, *sparse), "backward"),
        ):
            require(
                np.allclose(one, other, rtol=1e-9, atol=1e-9),
                f"{name}_csr differs from {name} on the same rows by up to "
                f"{np.abs(one - other).max(initial=0):.3g}.",
                "Row i of the batch is row rows[i] of the matrix: its entries are those from "
                "indptr[rows[i]] to indptr[rows[i] + 1], all others are 0, and rows may repeat.",
            )


@check
def check_map_fit(feature_map):
    """A transfer through the map learns, from dense rows."""
    n_in, n_out = map_sizes(feature_map)[0]
    fitted = fit_transfer(n_in, n_out, feature_map=feature_map, mu=0.01)
    require_falling(fitted.loss_curve_)


def checks_of(feature_map):
    """The checks of a feature map, with or without CSR twins."""
    return (
        check_map_start,
        check_map_blocks,
        check_map_transform,
        check_map_scratch,
        check_map_gradient,
        *((check_map_csr,) if feature_map.accepts_csr else ()),
        check_map_fit,
    )
