"""The built-in plugins against their formulas, one table for what all of a kind must do."""

import pickle
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from types import FunctionType, SimpleNamespace

import naive
import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

import skmtl.plugins
from skmtl.engine import compile as compiler
from skmtl.engine.layout import MAP_BLOCK, OUTPUT_BLOCK, TRUNK_BLOCK
from skmtl.plugins import base, registry
from skmtl.plugins.feature_maps import Affine, Identity, Linear
from skmtl.plugins.losses import LogLoss
from skmtl.plugins.optimizers import SGD, Adam, AdamW
from skmtl.plugins.penalties import L1, L2, ElasticNet, IdentityAnchor
from skmtl.plugins.registry import available, resolve
from skmtl.plugins.weightings import Uniform

pytestmark = pytest.mark.nojit

PLUGINS = [
    LogLoss(),
    L2(),
    L1(),
    ElasticNet(0.3),
    IdentityAnchor(),
    Identity(),
    Linear(),
    Affine(),
    Uniform(),
    SGD(),
    SGD(0.5, nesterov=False),
    SGD(0.0),
    Adam(),
    AdamW(weight_decay=0.2),
]
DTYPES = ["float32", "float64"]


def of_kind(kind):
    return pytest.mark.parametrize(
        "plugin", [p for p in PLUGINS if isinstance(p, registry.KINDS[kind])], ids=str
    )


# --- the functions' contract ---------------------------------------------------------------------


@dataclass
class Call:
    """One call of a plugin's function: its arguments, and which of them it overwrites, adds to,
    or updates. ``scratch`` may come with anything in it and leave with anything else."""

    function: str
    kind: str
    arguments: tuple
    overwrites: tuple = ()
    adds: tuple = ()
    updates: tuple = ()
    scratch: tuple = ()
    hyper: np.ndarray = field(default=None, repr=False)


def calls(plugin, dtype):
    """Calls of every function of a plugin, of several shapes."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    hp = np.array(plugin.hyper(), dtype)
    if isinstance(plugin, base.Loss):
        for n_rows, n_classes in ((6, 2), (6, 3), (1, 7), (1, 2)):
            out = normal(n_rows, plugin.n_outputs(range(n_classes)))
            y = rng.integers(n_classes, size=(n_rows, 1)).astype(dtype)
            weight = rng.uniform(0.1, 2, n_rows).astype(dtype)
            arguments = out, y, weight, hp, np.zeros_like(out)
            yield Call("value_grad", "loss", arguments, overwrites=(4,))
    elif isinstance(plugin, base.Penalty):
        for layout in LAYOUTS.values():
            arguments = normal(60), layout, np.dtype(dtype).type(0.7), hp, np.zeros(60, dtype)
            yield Call("value_grad", "penalty", arguments, adds=(4,))
    elif isinstance(plugin, base.FeatureMap):
        for n_in, n_out in ((4, 4), (5, 3), (3, 5)):
            if isinstance(plugin, Identity) and n_in != n_out:
                continue
            theta, n_work = normal(plugin.n_params(n_in, n_out)), plugin.n_work(6, n_in, n_out)
            x, work, dout = normal(6, n_in), np.zeros(n_work, dtype), normal(6, n_out)
            x[x < 0] = 0
            out, grad = np.zeros_like(dout), np.zeros_like(theta)
            sparse, rows = csr_array(x), np.array([4, 0, 0, 5, 2, 1])
            csr = sparse.data, sparse.indices.astype(np.int32), sparse.indptr.astype(np.int64), rows
            for name, inputs in (("", (x,)), ("_csr", csr)):
                k = 2 + len(inputs)
                arguments = theta, *inputs, hp, work, out
                yield Call(
                    "forward" + name, "forward" + name, arguments, overwrites=(k + 1,), scratch=(k,)
                )
                arguments = theta, *inputs, hp, work, dout, grad
                yield Call(
                    "backward" + name, "backward" + name, arguments, adds=(k + 2,), scratch=(k,)
                )
    elif isinstance(plugin, base.Weighting):
        gram = rng.standard_normal((3, 3))
        arguments = (
            rng.uniform(0, 1, 3), gram @ gram.T, 5, hp, np.zeros(plugin.n_state(3)), np.zeros(3)
        )  # fmt: skip
        yield Call("update", "weighting", arguments, overwrites=(5,), updates=(4,))
    else:
        for step in (0, 1, 1000):
            state = np.abs(normal(plugin.n_slots, 7)) * min(step, 1)
            arguments = normal(7), normal(7), state, np.dtype(dtype).type(0.01), step, hp
            yield Call("step", "optimizer", arguments, updates=(0, 2))


LAYOUTS = {
    "layers": np.array([[2, 3, 4, 14, TRUNK_BLOCK], [18, 2, 3, 24, TRUNK_BLOCK]]),
    "outputs": np.array([[40, 3, 5, 57, OUTPUT_BLOCK]]),
    "square map": np.array([[0, 5, 5, 25, MAP_BLOCK]]),
    "tall map": np.array([[3, 5, 4, 23, MAP_BLOCK]]),
    "wide map": np.array([[3, 4, 5, -1, MAP_BLOCK]]),
    "two maps": np.array([[0, 3, 3, 9, MAP_BLOCK], [12, 3, 4, 24, MAP_BLOCK]]),
}
MARGIN = 8


def run(function, call, fill=0.0):
    """Result and owned arrays of a call; others are read-only, and margins stay as they were."""
    arguments, padded = [], []
    for k, argument in enumerate(call.arguments):
        if not isinstance(argument, np.ndarray):
            arguments.append(argument)
            continue
        owned = k in (*call.overwrites, *call.adds, *call.updates, *call.scratch)
        whole = np.full(argument.size + 2 * MARGIN, 77, argument.dtype)
        middle = whole[MARGIN : MARGIN + argument.size].reshape(argument.shape)
        middle[...] = argument
        if k in (*call.overwrites, *call.scratch):
            middle[...] = fill
        middle.flags.writeable = owned
        arguments.append(middle)
        padded.append(whole)
    before = [np.copy(a) for a in arguments]
    value = function(*arguments)
    for whole in padded:
        assert (whole[:MARGIN] == 77).all()
        assert (whole[-MARGIN:] == 77).all()
    for k, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray) and not argument.flags.writeable:
            assert np.array_equal(argument, before[k])
    return value, [arguments[k].copy() for k in (*call.overwrites, *call.adds, *call.updates)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_compiled_equals_plain(plugin, dtype):
    rtol = {"float32": 2e-5, "float64": 1e-12}[dtype]
    for call in calls(plugin, dtype):
        function = getattr(type(plugin), call.function)
        compiled = compiler.compiled(function, call.kind, dtype)
        expected, expected_arrays = run(function, call)
        value, arrays = run(compiled, call)
        if expected is not None:
            np.testing.assert_allclose(value, expected, rtol=rtol)
        for array, expected in zip(arrays, expected_arrays, strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_allclose(array, expected, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("compile", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_outputs_are_overwritten_or_added_to(plugin, compile):
    for call in calls(plugin, "float64"):
        function = getattr(type(plugin), call.function)
        if compile:
            function = compiler.compiled(function, call.kind, "float64")
        value, arrays = run(function, call)
        poisoned, poisoned_arrays = run(function, call, fill=np.nan)
        assert value == poisoned
        for array, other in zip(arrays, poisoned_arrays, strict=True):
            assert np.isfinite(array).all()
            assert np.array_equal(array, other)
        for k in call.adds:
            start = np.random.default_rng(1).standard_normal(call.arguments[k].shape)
            call.arguments = (*call.arguments[:k], start, *call.arguments[k + 1 :])
            assert run(function, call)[0] == value
            np.testing.assert_allclose(run(function, call)[1][0], start + arrays[0], rtol=1e-12)


@pytest.mark.parametrize("plugin", PLUGINS, ids=str)
def test_plugins_are_estimators(plugin):
    for other in (clone(plugin), pickle.loads(pickle.dumps(plugin))):
        assert type(other) is type(plugin)
        assert other.get_params() == plugin.get_params()
        assert other.hyper() == plugin.hyper()
    assert all(isinstance(number, float) for number in plugin.hyper())


@pytest.mark.parametrize(
    "plugin",
    [
        ElasticNet(1.5),
        ElasticNet(-0.1),
        ElasticNet("a"),
        ElasticNet(np.nan),
        SGD(1.0),
        SGD(-0.1),
        Adam(beta_1=1.0),
        Adam(beta_2=-1.0),
        Adam(epsilon=0.0),
        Adam(epsilon=np.inf),
        AdamW(weight_decay=-1.0),
        AdamW(weight_decay=None),
        AdamW(beta_1=2.0),
    ],
    ids=str,
)
def test_bad_numbers_are_named(plugin):
    (name, value) = next(
        (n, v) for n, v in plugin.get_params().items() if v != type(plugin)().get_params()[n]
    )
    with pytest.raises(ValueError, match=f"'{name}' parameter of .* Got {value!r}"):
        plugin.hyper()


def test_hyper_is_alphabetical_by_default():
    class Two(L2):
        def __init__(self, b=1, a=2):
            self.b, self.a = b, a

    assert Two().hyper() == [2.0, 1.0]


# --- losses --------------------------------------------------------------------------------------


def loss_arguments(n_classes, n_rows=8, scale=2.0, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    out = rng.normal(scale=scale, size=(n_rows, LogLoss().n_outputs(range(n_classes))))
    y = rng.integers(n_classes, size=(n_rows, 1))
    weight = rng.uniform(0.1, 3, n_rows)
    return tuple(a.astype(dtype) for a in (out, y, weight, np.zeros(0)))


def value_and_grad(loss, out, y, weight, hp):
    grad = np.full_like(out, np.nan)
    return loss.value_grad(out, y, weight, hp, grad), grad


@of_kind("losses")
@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_loss_gradient(plugin, n_classes):
    out, *others = loss_arguments(n_classes)
    grad = value_and_grad(plugin, out, *others)[1]
    for direction in np.random.default_rng(1).standard_normal((20, *out.shape)):
        ends = [value_and_grad(plugin, out + s * 1e-6 * direction, *others)[0] for s in (-1, 1)]
        assert (grad * direction).sum() == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-6)


@of_kind("losses")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_loss_is_a_weighted_mean(plugin, n_classes):
    out, y, weight, hp = loss_arguments(n_classes)
    value, grad = value_and_grad(plugin, out, y, weight, hp)
    rows = [value_and_grad(plugin, *(a[i : i + 1] for a in (out, y, weight)), hp) for i in range(8)]
    np.testing.assert_allclose(value, np.average([v for v, _ in rows], weights=weight), rtol=1e-13)
    shares = (weight / weight.sum())[:, None]
    np.testing.assert_allclose(grad, shares * np.vstack([g for _, g in rows]), rtol=1e-12)

    again, same = value_and_grad(plugin, out, y, 1000 * weight, hp)
    assert again == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(same, grad, rtol=1e-12)

    counts = np.arange(1.0, 9)
    repeated = (np.repeat(a, counts.astype(int), axis=0) for a in (out, y, np.ones(8)))
    assert value_and_grad(plugin, *repeated, hp)[0] == pytest.approx(
        value_and_grad(plugin, out, y, counts, hp)[0], rel=1e-13
    )


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_log_loss_is_that_of_scikit_learn(n_classes):
    out, y, weight, hp = loss_arguments(n_classes)
    proba = LogLoss().proba(out)
    assert proba.shape == (8, n_classes)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    expected = log_loss(y, proba, sample_weight=weight, labels=range(n_classes))
    assert value_and_grad(LogLoss(), out, y, weight, hp)[0] == pytest.approx(expected, rel=1e-12)


def test_log_loss_known_values():
    hp, one = np.zeros(0), np.ones(1)
    value, grad = value_and_grad(LogLoss(), np.zeros((1, 1)), np.ones((1, 1)), one, hp)
    assert value == pytest.approx(np.log(2))
    assert grad[0, 0] == pytest.approx(-0.5)
    value, grad = value_and_grad(LogLoss(), np.zeros((1, 4)), np.zeros((1, 1)), one, hp)
    assert value == pytest.approx(np.log(4))
    np.testing.assert_allclose(grad, [[-0.75, 0.25, 0.25, 0.25]])


def test_log_loss_is_least_at_the_class_frequencies():
    y, weight = np.array([0.0, 0, 0, 1, 2, 2])[:, None], np.array([1.0, 1, 1, 4, 1, 2])
    for out, codes in (
        (np.log(np.array([[3, 4, 3]]) / 10), y),
        (np.log([[7 / 3]]), np.minimum(y, 1)),
    ):
        grad = value_and_grad(LogLoss(), np.tile(out, (6, 1)), codes, weight, np.zeros(0))[1]
        np.testing.assert_allclose(grad.sum(axis=0), 0, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e3, 1e30])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_log_loss_of_extreme_outputs(dtype, size, n_outputs):
    size = np.dtype(dtype).type(size)
    out = np.full((4, n_outputs), -size)
    out[:2, -1] = size
    y = np.array([[0.0], [n_outputs - 1 or 1], [0], [n_outputs - 1 or 1]], dtype)
    hp, function = np.zeros(0, dtype), compiler.compiled(LogLoss.value_grad, "loss", dtype)
    for i in range(4):
        row, grad = slice(i, i + 1), np.full((1, n_outputs), np.nan, dtype)
        value = function(out[row], y[row], np.ones(1, dtype), hp, grad)
        assert np.isfinite(value)
        assert np.isfinite(grad).all()
        if n_outputs == 1 or i < 2:  # the right class wins or loses by a distance
            gap = (1.0 if n_outputs == 1 else 2.0) * float(size)
            is_right = i in (1, 2)
            np.testing.assert_allclose(value, 0 if is_right else gap, rtol=1e-6)
            np.testing.assert_allclose(np.abs(grad).max(), 0 if is_right else 1)
    proba = LogLoss().proba(out)
    assert proba.dtype == dtype
    assert np.isfinite(proba).all()


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_log_loss_shows_what_is_not_finite(n_outputs):
    function = compiler.compiled(LogLoss.value_grad, "loss", "float64")
    for bad in (np.nan, np.inf, -np.inf):
        out = np.zeros((2, n_outputs))
        out[1] = bad
        y, grad = np.array([[1.0], [0.0]]), np.zeros_like(out)
        with np.errstate(all="ignore"):
            value = function(out, y, np.ones(2), np.zeros(0), grad)
        if n_outputs > 1 or bad != -np.inf:  # minus infinity is right about class 0
            assert not np.isfinite(value)


# --- penalties -----------------------------------------------------------------------------------

FORMULAS = {
    "L2": lambda a: (a**2).sum() / 2,
    "L1": lambda a: np.abs(a).sum(),
    "ElasticNet": lambda a: 0.3 * np.abs(a).sum() + 0.7 * (a**2).sum() / 2,
    "IdentityAnchor": lambda a: anchor(a),
}


def anchor(a):
    if a.shape[0] == a.shape[1]:
        return np.linalg.norm(a - np.eye(len(a))) ** 2
    tall = a if a.shape[0] > a.shape[1] else a.T
    return np.linalg.norm(tall.T @ tall - np.eye(tall.shape[1])) ** 2 / 4


@of_kind("penalties")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_penalty_against_its_formula(plugin, layout):
    theta, hp = np.random.default_rng(0).standard_normal(60), np.array(plugin.hyper())
    blocks = LAYOUTS[layout]

    def value(theta):
        return plugin.value_grad(theta, blocks, 1.7, hp, np.zeros(60))

    expected, penalised = 0.0, np.zeros(60, bool)
    for start, rows, cols, bias, role in blocks:
        expected += FORMULAS[type(plugin).__name__](
            theta[start : start + rows * cols].reshape(rows, cols)
        )
        penalised[start : start + rows * cols] = True
        if isinstance(plugin, IdentityAnchor) and bias >= 0:
            end = bias + (rows if role == OUTPUT_BLOCK else cols)
            expected += (theta[bias:end] ** 2).sum()
            penalised[bias:end] = True
    assert value(theta) == pytest.approx(1.7 * expected, rel=1e-13)
    grad = np.zeros(60)
    plugin.value_grad(theta, blocks, 1.7, hp, grad)
    numeric = np.zeros(60)
    for j in range(60):
        step = 1e-6 * (np.arange(60) == j)
        numeric[j] = (value(theta + step) - value(theta - step)) / 2e-6
    np.testing.assert_allclose(grad, numeric, rtol=1e-6, atol=1e-7)
    assert not grad[~penalised].any()


@pytest.mark.parametrize("n_in, n_out", [(4, 4), (5, 3), (3, 5)])
def test_maps_start_where_the_anchor_is_zero(n_in, n_out):
    rng = np.random.default_rng(0)
    for plugin in (Linear(), Affine()):
        theta = plugin.init(n_in, n_out, rng)
        blocks = np.array([(*block, MAP_BLOCK) for block in plugin.blocks(n_in, n_out)])
        grad = np.zeros(theta.size)
        value = IdentityAnchor.value_grad(theta, blocks, 1.0, np.zeros(0), grad)
        assert value == pytest.approx(0, abs=1e-28)
        np.testing.assert_allclose(grad, 0, atol=1e-14)


def test_anchor_of_a_rectangle_is_the_squared_distance_nearby():
    rng = np.random.default_rng(0)
    q = Linear().init(6, 3, rng)
    direction = rng.standard_normal(18)
    for size in (1e-2, 1e-3):
        near = (q + size * direction).reshape(6, 3)
        u, _, vt = np.linalg.svd(near, full_matrices=False)
        distance = np.linalg.norm(near - u @ vt) ** 2
        value = IdentityAnchor.value_grad(
            near.ravel(), np.array([[0, 6, 3, -1, 3]]), 1.0, np.zeros(0), np.zeros(18)
        )
        assert value == pytest.approx(distance, rel=10 * size)


# --- feature maps --------------------------------------------------------------------------------


@of_kind("feature_maps")
@pytest.mark.parametrize("n_in, n_out", [(4, 4), (5, 3), (3, 5)])
def test_map_forward_transform_and_gradient(plugin, n_in, n_out):
    rng = np.random.default_rng(0)
    if isinstance(plugin, Identity) and n_in != n_out:
        with pytest.raises(ValueError, match=f"{n_out} columns, but X_source has {n_in}"):
            plugin.init(n_in, n_out, rng)
        return
    theta, hp = plugin.init(n_in, n_out, rng), np.array(plugin.hyper())
    assert theta.shape == (plugin.n_params(n_in, n_out),)
    theta = rng.standard_normal(theta.size)
    X = rng.standard_normal((6, n_in)) * rng.integers(0, 2, (6, n_in))
    dout, work = rng.standard_normal((6, n_out)), np.zeros(plugin.n_work(6, n_in, n_out))
    expected = X
    if theta.size:
        expected = X @ theta[: n_in * n_out].reshape(n_in, n_out)
        expected = expected + (theta[n_in * n_out :] if isinstance(plugin, Affine) else 0)
    for container in (np.asarray, csr_array, csr_matrix):
        mapped = plugin.transform(theta, container(X), n_out)
        if theta.size:
            assert type(mapped) is np.ndarray
        mapped = mapped if isinstance(mapped, np.ndarray) else mapped.toarray()
        np.testing.assert_allclose(mapped, expected, rtol=1e-13)

    def projected(theta):
        out = np.empty((6, n_out))
        plugin.forward(theta, X, hp, work, out)
        np.testing.assert_allclose(out, plugin.transform(theta, X, n_out), rtol=1e-13)
        return (dout * out).sum()

    sparse, rows = csr_array(X), np.arange(6)
    csr = sparse.data, sparse.indices.astype(np.int32), sparse.indptr.astype(np.int64), rows
    out, grad, grad_csr = np.empty((6, n_out)), np.zeros(theta.size), np.zeros(theta.size)
    projected(theta)
    plugin.backward(theta, X, hp, work, dout, grad)
    plugin.forward_csr(theta, *csr, hp, work, out)
    plugin.backward_csr(theta, *csr, hp, work, dout, grad_csr)
    np.testing.assert_allclose(out, expected, rtol=1e-13)
    np.testing.assert_allclose(grad_csr, grad, rtol=1e-12, atol=1e-14)
    if theta.size:  # linear in theta
        np.testing.assert_allclose(
            grad, approx_fprime(theta, projected, 1e-2), rtol=1e-9, atol=1e-11
        )


@pytest.mark.parametrize("plugin", [Linear(), Affine()], ids=str)
def test_where_maps_start(plugin):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 4))
    np.testing.assert_allclose(plugin.transform(plugin.init(4, 4, rng), X, 4), X)
    wide = plugin.transform(plugin.init(4, 7, rng), X, 7)
    np.testing.assert_allclose(wide @ wide.T, X @ X.T, rtol=1e-12)
    assert plugin.init(7, 4, rng).shape == (plugin.n_params(7, 4),)


# --- weightings and optimizers -------------------------------------------------------------------


def test_uniform_weights():
    weights = np.full(3, np.nan)
    Uniform.update(np.ones(3), np.zeros((3, 3)), 0, np.zeros(0), np.zeros(0), weights)
    assert weights.tolist() == [1, 1, 1]


RULES = [
    (Adam(), lambda theta: AdamOptimizer([theta], 0.01)),
    (Adam(0.5, 0.9, 1e-4), lambda theta: AdamOptimizer([theta], 0.01, 0.5, 0.9, 1e-4)),
    (SGD(), lambda theta: SGDOptimizer([theta], 0.01, momentum=0.9, nesterov=True)),
    (SGD(0.7, nesterov=False), lambda theta: SGDOptimizer([theta], 0.01, "constant", 0.7, False)),
    (SGD(0.0), lambda theta: SGDOptimizer([theta], 0.01, momentum=0.0)),
]


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize(
    "plugin, rule", RULES, ids=lambda x: None if isinstance(x, FunctionType) else str(x)
)
def test_optimizers_step_as_those_of_scikit_learn(plugin, rule, dtype, rtol):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(9)
    other, params = rule(theta), [theta.copy()]
    trained, state = theta.astype(dtype), np.zeros((plugin.n_slots, 9), dtype)
    step = compiler.compiled(type(plugin).step, "optimizer", dtype)
    for k in range(40):
        grad = rng.standard_normal(9) * 10.0 ** rng.integers(-3, 3)
        params[0] += other._get_updates([grad])[0]
        lr = np.dtype(dtype).type(0.01)
        step(trained, grad.astype(dtype), state, lr, k, np.array(plugin.hyper(), dtype))
    np.testing.assert_allclose(trained, params[0], rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype, rtol", [("float64", 1e-12), ("float32", 1e-4)])
def test_adamw_decays_apart_from_adam(dtype, rtol):
    rng = np.random.default_rng(0)
    plugin, rule = AdamW(weight_decay=0.3), naive.Adam(weight_decay=0.3)
    theta = rng.standard_normal(9)
    trained, state = theta.astype(dtype), np.zeros((2, 9), dtype)
    for k in range(40):
        grad = rng.standard_normal(9)
        theta = rule(theta, grad, 0.01)
        lr, hp = np.dtype(dtype).type(0.01), np.array(plugin.hyper(), dtype)
        plugin.step(trained, grad.astype(dtype), state, lr, k, hp)
    np.testing.assert_allclose(trained, theta, rtol=rtol, atol=rtol)


# --- the registry --------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    """Function that makes entry points the only installed ones: (distribution, name, value)."""

    def install(*points, kind="losses"):
        made = []
        for distribution, name, value in points:
            point = EntryPoint(name, value, registry.KINDS[kind].group)
            made.append(point._for(SimpleNamespace(name=distribution)))
        monkeypatch.setattr(
            registry, "entry_points", lambda group: [p for p in made if p.group == group]
        )

    registry._installed.cache_clear()
    yield install
    registry._installed.cache_clear()


BUILT_IN = {
    "losses": {"log_loss": LogLoss},
    "penalties": {"l1": L1, "l2": L2, "elastic_net": ElasticNet, "identity": IdentityAnchor},
    "feature_maps": {"identity": Identity, "linear": Linear, "affine": Affine},
    "weightings": {"uniform": Uniform},
    "optimizers": {"adam": Adam, "adamw": AdamW, "sgd": SGD},
}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_built_in_plugins_come_in_by_entry_points(kind):
    names = available(kind)
    assert names == sorted(names)
    assert set(names) >= set(BUILT_IN[kind])
    assert skmtl.plugins.available()[kind] == names
    for name, plugin in BUILT_IN[kind].items():
        assert type(resolve(kind, name, "p")) is plugin
        assert resolve(kind, name, "p") is not resolve(kind, name, "p")


def test_an_instance_is_taken_as_it_is():
    loss = LogLoss()
    assert resolve("losses", loss, "loss") is loss


def test_unknown_kind():
    with pytest.raises(ValueError, match="unknown plugin kind 'los'.*losses"):
        available("los")


def test_an_unknown_name_lists_the_installed_ones(installed):
    installed(("b", "huber", "m:Huber"), ("skmtl", "log_loss", "skmtl.plugins.losses:LogLoss"))
    with pytest.raises(ValueError, match="'loss' parameter: .*'hubr'; installed: huber, log_loss$"):
        resolve("losses", "hubr", "loss")


@pytest.mark.parametrize("value", [None, 3, L2()])
def test_neither_name_nor_instance(value):
    with pytest.raises(
        TypeError, match="'loss' parameter .* skmtl.plugins.base.Loss.*Got"
    ) as error:
        resolve("losses", value, "loss")
    assert "not the class" not in str(error.value)


def test_a_class_gets_a_hint():
    with pytest.raises(TypeError, match="Pass an instance, not the class"):
        resolve("losses", LogLoss, "loss")


def test_a_name_of_two_distributions_is_refused(installed):
    installed(
        ("alpha", "log_loss", "alpha.losses:LogLoss"),
        ("skmtl", "log_loss", "skmtl.plugins.losses:LogLoss"),
        ("skmtl", "log_loss", "skmtl.plugins.losses:LogLoss"),  # found twice on sys.path
    )
    assert available("losses") == ["log_loss"]
    owners = r"alpha \(alpha.losses:LogLoss\), skmtl \(skmtl.plugins.losses:LogLoss\)"
    with pytest.raises(ValueError, match=owners):
        resolve("losses", "log_loss", "loss")
    assert resolve("losses", LogLoss(), "loss").hyper() == []


def test_one_distribution_found_twice_is_one(installed):
    point = "skmtl", "log_loss", "skmtl.plugins.losses:LogLoss"
    installed(point, point)
    assert isinstance(resolve("losses", "log_loss", "loss"), LogLoss)


def test_an_entry_point_of_the_wrong_kind_names_its_distribution(installed):
    installed(("alpha", "mine", "skmtl.plugins.penalties:L2"))
    with pytest.raises(TypeError, match="'mine' of alpha .* is no skmtl.plugins.base.Loss"):
        resolve("losses", "mine", "loss")
