"""Arguments to call the plugins of each kind with."""

import numpy as np
from scipy.sparse import csr_array

from skmtl.engine.blocks import BIAS, COLUMNS, MAP, OFFSET, OUTPUT, OWN, ROLE, ROWS, TRUNK
from skmtl.plugins import base
from skmtl.testing.calls import call, hp_of, kind_of, plain
from skmtl.testing.report import Broken, require

CLASSES = (2, 3, 7)
MAP_SIZES = ((4, 4), (5, 3), (3, 5))
N_TASKS = 3


def calls_of(plugin, dtype="float64"):
    """Calls of all functions of a plugin, of several shapes."""
    return CALLS[kind_of(plugin)](plugin, dtype)


# --- losses --------------------------------------------------------------------------------------


def class_counts(loss):
    """Numbers of classes to try; None for numbers as targets."""
    return CLASSES if isinstance(loss, base.ClassificationLoss) else (None,)


def loss_call(loss, n_classes, n_rows=6, dtype="float64", seed=0):
    """A call with random outputs, labels and weights."""
    rng = np.random.default_rng(seed)
    if n_classes is None:
        n_outputs, y = 1, targets(loss, rng, n_rows)
    else:
        n_outputs = loss.n_outputs(list(range(n_classes)))
        y = rng.permutation(np.arange(n_rows) % n_classes)
    out = rng.standard_normal((n_rows, n_outputs)).astype(dtype)
    return call(
        loss,
        "value_grad",
        out=out,
        y=y.reshape(-1, 1).astype(dtype),
        weight=rng.uniform(0.1, 2, n_rows).astype(dtype),
        hp=hp_of(loss, dtype),
        grad=np.zeros_like(out),
    )


def targets(loss, rng, n_rows):
    """Numbers that the loss is defined for: any, above zero, counts, or from 0 to 1."""
    numbers = rng.standard_normal(n_rows)
    candidates = numbers, np.abs(numbers) + 0.1, rng.poisson(2.0, n_rows), rng.random(n_rows)
    for y in candidates:
        try:
            loss.check_targets(np.array(y, np.float64))
        except ValueError:
            continue
        return np.array(y, np.float64)
    raise Broken(
        "check_targets refuses real numbers, numbers above zero, counts and shares alike.",
        "Let it raise ValueError for those targets alone that the loss is not defined for.",
    )


def _loss_calls(loss, dtype):
    for n_classes in class_counts(loss):
        for n_rows in (7, 1):
            yield loss_call(loss, n_classes, n_rows, dtype)


# --- penalties -----------------------------------------------------------------------------------

N_PARAMETERS = 90  # of the network
LAYOUTS = {
    "layers": [[2, 3, 4, 14, TRUNK, 0], [18, 4, 2, 26, TRUNK, 1]],
    "experts": [[0, 3, 4, 40, TRUNK, 0], [12, 3, 4, 44, TRUNK, 0]],
    "heads of 3 and 2 outputs": [[30, 3, 5, 57, OUTPUT, 1], [45, 2, 5, 60, OUTPUT, 1]],
    "heads of 1 output": [[30 + 4 * t, 1, 4, 50 + t, OUTPUT, 1] for t in range(N_TASKS)],
    "a trunk and heads": [
        [0, 4, 3, 12, TRUNK, 0],
        [20, 2, 3, 40, OUTPUT, 1],
        [26, 2, 3, 42, OUTPUT, 1],
    ],
    "square map": [[0, 5, 5, 25, MAP, 0]],
    "tall map": [[3, 5, 4, 23, MAP, 0]],
    "wide map": [[3, 4, 5, -1, MAP, 0]],
    "two maps": [[0, 3, 3, 9, MAP, 0], [12, 3, 4, 24, MAP, 0]],
}


def penalty_calls(penalty, function="value_grad", dtype="float64", strength=0.7, seed=0):
    """A call for each layout that the penalty accepts, by the layout's name."""
    found, refusals = {}, []
    for name, rows in LAYOUTS.items():
        layout = np.array(rows, np.int64)
        size = N_PARAMETERS
        for shape in penalty.own_matrices(layout.copy()):
            layout = np.vstack([layout, [size, *shape, -1, OWN, 0]])
            size += int(np.prod(shape))
        rng = np.random.default_rng(seed)
        theta = rng.standard_normal(size).astype(dtype)
        start = rng.standard_normal(size)
        fisher = rng.uniform(0.1, 1, size)
        learned = np.ones(size, bool)
        try:
            constants = penalty.constants(
                base.Start(start.astype(dtype), learned, lambda f=fisher: f.copy(), layout.copy())
            )
        except ValueError as error:
            refusals.append(f"{name}: {error}")
            continue
        found[name] = call(
            penalty,
            function,
            theta=theta,
            layout=layout,
            strength=np.dtype(dtype).type(strength),
            step=np.dtype(dtype).type(strength),
            hp=hp_of(penalty, dtype),
            constants=np.array(constants, dtype).ravel(),
            work=np.zeros(penalty.n_work(layout)),
            grad=np.zeros(size, dtype),
        )
    require(
        found,
        f"constants refuses every layout ({'; '.join(refusals)}).",
        "Let it raise ValueError only where the penalty has no meaning; trunk layers, heads and "
        "maps of all shapes are tried, with a pretrained start and Fisher information at hand.",
    )
    return found


def within(layout, size):
    """Which of ``size`` parameters belong to the blocks of a layout, biases included."""
    inside = np.zeros(size, bool)
    for block in layout:
        inside[block[OFFSET] : block[OFFSET] + block[ROWS] * block[COLUMNS]] = True
        if block[BIAS] >= 0:
            n_bias = block[ROWS] if block[ROLE] == OUTPUT else block[COLUMNS]
            inside[block[BIAS] : block[BIAS] + n_bias] = True
    return inside


def _penalty_calls(penalty, dtype):
    yield from penalty_calls(penalty, "value_grad", dtype).values()
    if type(penalty).prox is not None:
        yield from penalty_calls(penalty, "prox", dtype).values()


# --- feature maps --------------------------------------------------------------------------------


def map_start(feature_map, n_in, n_out, seed=0, csr=False):
    """Rows of source and target with labels, and ``init`` for them."""
    rng = np.random.default_rng(seed)
    X_source, X_target = rng.standard_normal((12, n_in)), rng.standard_normal((9, n_out))
    if csr:
        X_source, X_target = csr_array(np.maximum(X_source, 0)), csr_array(np.maximum(X_target, 0))
    y_source, y_target = np.arange(12) % 3, np.arange(9) % 3
    y_target[0] = -1
    theta = feature_map.init(X_source, X_target, rng, y_source, y_target)
    return X_source, X_target, np.asarray(theta, np.float64)


def map_sizes(feature_map):
    """Sizes (n_in, n_out) between which the map exists."""
    found, refusals = [], []
    for sizes in MAP_SIZES:
        try:
            map_start(feature_map, *sizes)
        except ValueError as error:
            refusals.append(f"{sizes}: {error}")
            continue
        found.append(sizes)
    require(
        found,
        f"init refuses all of these sizes ({'; '.join(refusals)}).",
        "Let it raise ValueError only for spaces between which there is no such map.",
    )
    return found


def map_calls(feature_map, n_in, n_out, dtype="float64", suffix="", seed=0):
    """Calls of forward and backward, dense or ("_csr") of the same rows of a CSR matrix."""
    rng = np.random.default_rng(seed)
    theta = map_start(feature_map, n_in, n_out)[2]
    theta = theta + 0.3 * rng.standard_normal(theta.size)
    X = np.maximum(rng.standard_normal((6, n_in)), 0).astype(dtype)
    X[3] = 0
    rows = np.array([4, 0, 3, 0, 5, 2, 1])
    if suffix:
        sparse = csr_array(X)
        inputs = {
            "values": sparse.data,
            "indices": sparse.indices.astype(np.int32),
            "indptr": sparse.indptr.astype(np.int64),
            "rows": rows,
        }
    else:
        inputs = {"x": np.ascontiguousarray(X[rows])}
    n_work = feature_map.n_work(rows.size, n_in, n_out)
    common = {
        "theta": theta.astype(dtype),
        **inputs,
        "hp": hp_of(feature_map, dtype),
        "work": np.zeros(n_work, dtype),
    }
    dout = rng.standard_normal((rows.size, n_out)).astype(dtype)
    forward = call(feature_map, "forward" + suffix, **common, out=np.zeros_like(dout))
    backward = call(
        feature_map, "backward" + suffix, **common, dout=dout, grad=np.zeros(theta.size, dtype)
    )
    return forward, backward


def after(feature_map, forward, backward):
    """The call of backward with the scratch array as forward leaves it."""
    work = forward.arguments["work"].copy()
    arguments = {**forward.arguments, "work": work, "out": forward.arguments["out"].copy()}
    plain(feature_map, forward.function)(*arguments.values())
    return backward.but(work=work)


def _map_calls(feature_map, dtype):
    for sizes in map_sizes(feature_map):
        for suffix in ("", "_csr") if feature_map.accepts_csr else ("",):
            forward, backward = map_calls(feature_map, *sizes, dtype, suffix)
            yield forward
            yield after(feature_map, forward, backward)


# --- alignments ----------------------------------------------------------------------------------


def alignment_call(alignment, n_source, n_target, dtype="float64", seed=0, n_features=3):
    """A call with random rows of source and target."""
    rng = np.random.default_rng(seed)
    hs = rng.standard_normal((n_source, n_features)).astype(dtype)
    ht = (0.5 + 1.2 * rng.standard_normal((n_target, n_features))).astype(dtype)
    labels = [np.full(n, -1) for n in (n_source, n_target)]
    if alignment.needs_labels:
        labels = [np.arange(n) % 3 for n in (n_source, n_target)]
        labels[1][1::4] = -1
    theta = np.asarray(alignment.init(n_features, rng), np.float64)
    theta = theta + 0.3 * rng.standard_normal(theta.size)
    return call(
        alignment,
        "value_grad",
        theta=theta.astype(dtype),
        hs=hs,
        ht=ht,
        ys=labels[0].astype(np.int64),
        yt=labels[1].astype(np.int64),
        strength=np.dtype(dtype).type(0.7),
        hp=hp_of(alignment, dtype),
        work=np.zeros(alignment.n_work(n_source, n_target, n_features)),
        rng=np.random.default_rng(3),
        dhs=np.zeros_like(hs),
        dht=np.zeros_like(ht),
        grad=np.zeros(theta.size, dtype),
    )


ALIGNMENT_SIZES = ((6, 5), (1, 7), (7, 1))


def _alignment_calls(alignment, dtype):
    for sizes in ALIGNMENT_SIZES:
        yield alignment_call(alignment, *sizes, dtype)


# --- weightings ----------------------------------------------------------------------------------


def weighting_call(weighting, n_tasks=N_TASKS, seed=0, step=0, dtype="float64"):
    """A call with random losses and gradients; without gradients unless they are asked for."""
    rng = np.random.default_rng(seed)
    gradients = rng.standard_normal((n_tasks, 5))
    return call(
        weighting,
        "update",
        losses=rng.uniform(0.2, 2, n_tasks),
        n_labels=rng.integers(1, 9, n_tasks),
        gram=gradients @ gradients.T * bool(weighting.needs_gram),
        step=step,
        steps_per_epoch=3,
        hp=hp_of(weighting, dtype),
        state=np.zeros(weighting.n_state(n_tasks)),
        rng=np.random.default_rng(3),
        weights=np.zeros(n_tasks),
    )


def _weighting_calls(weighting, dtype):
    for n_tasks in (N_TASKS, 1, 2):
        yield weighting_call(weighting, n_tasks, dtype=dtype)


# --- optimizers ----------------------------------------------------------------------------------


def optimizer_call(optimizer, step=0, dtype="float64", size=7, seed=0):
    """A call from zero state with random parameters and gradient."""
    rng = np.random.default_rng(seed)
    return call(
        optimizer,
        "step",
        theta=rng.standard_normal(size).astype(dtype),
        grad=rng.standard_normal(size).astype(dtype),
        state=np.zeros((optimizer.n_slots, size), dtype),
        lr=np.dtype(dtype).type(0.01),
        step=step,
        hp=hp_of(optimizer, dtype),
    )


def catch_up_call(optimizer, gap=5, decay=0.1, dtype="float64"):
    """A call for three of four rows, of which one is ``gap`` steps behind, from random state."""
    rng = np.random.default_rng(0)
    width, first = 3, 2
    start = optimizer_call(optimizer, dtype=dtype, size=4 * width).arguments
    for step in range(first):
        plain(optimizer, "step")(*{**start, "step": step}.values())
    return call(
        optimizer,
        "catch_up",
        theta=start["theta"],
        grad=rng.standard_normal(4 * width).astype(dtype),
        state=start["state"],
        rows=np.array([3, 0, 2]),
        since=np.array([first + gap - 1, first, first + gap // 2]),
        width=width,
        first=first,
        step=first + gap,
        decay=np.dtype(dtype).type(decay),
        lr=start["lr"],
        hp=start["hp"],
        work=np.zeros(optimizer.n_catch_up_work(gap + 1)),
    )


def _optimizer_calls(optimizer, dtype):
    first = optimizer_call(optimizer, dtype=dtype)
    yield first
    later = {**first.arguments, "state": first.arguments["state"].copy()}
    later["theta"] = later["theta"].copy()
    for step in range(3):
        plain(optimizer, "step")(*{**later, "step": step}.values())
    yield first.but(state=later["state"], theta=later["theta"], step=3)
    if optimizer.catches_up():
        yield catch_up_call(optimizer, dtype=dtype)
        yield catch_up_call(optimizer, decay=0.0, dtype=dtype)


CALLS = {
    base.Loss: _loss_calls,
    base.Penalty: _penalty_calls,
    base.FeatureMap: _map_calls,
    base.Alignment: _alignment_calls,
    base.Weighting: _weighting_calls,
    base.Optimizer: _optimizer_calls,
}
