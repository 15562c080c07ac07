"""What all plugins of a kind must do, in one table."""

import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone

from skmtl.engine import compile as compiler
from skmtl.plugins import base
from skmtl.plugins.base import MAP, OUTPUT, TRUNK
from skmtl.plugins.feature_maps import Affine, Identity, Linear
from skmtl.plugins.losses import LogLoss
from skmtl.plugins.optimizers import SGD, Adam, AdamW
from skmtl.plugins.penalties import L1, L2, ElasticNet, IdentityAnchor
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
            strength, work = np.dtype(dtype).type(0.7), np.zeros(plugin.n_work(layout))
            arguments = normal(60), layout, strength, hp, hp[:0], work, np.zeros(60, dtype)
            yield Call("value_grad", "penalty", arguments, adds=(6,), scratch=(5,))
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
            rng.uniform(0, 1, 3), np.array([3, 1, 2]), gram @ gram.T, 5, 7, hp,
            np.zeros(plugin.n_state(3)), rng, np.zeros(3),
        )  # fmt: skip
        yield Call("update", "weighting", arguments, overwrites=(8,), updates=(6,))
    else:
        for step in (0, 1, 1000):
            state = np.abs(normal(plugin.n_slots, 7)) * min(step, 1)
            arguments = normal(7), normal(7), state, np.dtype(dtype).type(0.01), step, hp
            yield Call("step", "optimizer", arguments, updates=(0, 2))


LAYOUTS = {
    "layers": np.array([[2, 3, 4, 14, TRUNK, 0], [18, 2, 3, 24, TRUNK, 0]]),
    "outputs": np.array([[30, 3, 5, 57, OUTPUT, 1], [45, 2, 5, 55, OUTPUT, 1]]),
    "square map": np.array([[0, 5, 5, 25, MAP, 0]]),
    "tall map": np.array([[3, 5, 4, 23, MAP, 0]]),
    "wide map": np.array([[3, 4, 5, -1, MAP, 0]]),
    "two maps": np.array([[0, 3, 3, 9, MAP, 0], [12, 3, 4, 24, MAP, 0]]),
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
