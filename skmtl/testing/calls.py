"""Calls of a plugin's functions by contract, over arrays with margins."""

import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skmtl.engine.contracts import ARGUMENTS
from skmtl.plugins import base
from skmtl.testing.report import Broken, require

DTYPES = ("float32", "float64")
MARGIN = 8
FENCE = 77


class Contract(NamedTuple):
    """What a function does to the arrays among its arguments.

    ``signature`` is its kind in ``engine.contracts``. ``overwrites``, ``adds``, ``updates`` and
    ``scratch`` are as in ``plugins.base``; ``leftover`` is scratch that another function left.
    """

    signature: str
    overwrites: tuple = ()
    adds: tuple = ()
    updates: tuple = ()
    scratch: tuple = ()
    leftover: tuple = ()

    @property
    def names(self):
        """The arguments in order."""
        return ARGUMENTS[self.signature]

    @property
    def results(self):
        """Names of the arrays that hold results."""
        return self.overwrites + self.adds + self.updates

    @property
    def owned(self):
        """Names of the arrays that may be written."""
        return self.results + self.scratch + self.leftover


CONTRACTS = {
    base.Loss: {"value_grad": Contract("loss", overwrites=("grad",))},
    base.Penalty: {
        "value_grad": Contract("penalty", adds=("grad",), scratch=("work",)),
        "prox": Contract("prox", updates=("theta",), scratch=("work",)),
    },
    base.FeatureMap: {
        "forward": Contract("forward", overwrites=("out",), scratch=("work",)),
        "backward": Contract("backward", adds=("grad",), leftover=("work",)),
        "forward_csr": Contract("forward_csr", overwrites=("out",), scratch=("work",)),
        "backward_csr": Contract("backward_csr", adds=("grad",), leftover=("work",)),
    },
    base.Alignment: {
        "value_grad": Contract("alignment", adds=("dhs", "dht", "grad"), scratch=("work",)),
    },
    base.Weighting: {
        "update": Contract("weighting", overwrites=("weights",), updates=("state",)),
    },
    base.SourceWeighting: {},  # nothing of it is compiled
    base.Sharing: {},  # likewise
    base.Optimizer: {
        "step": Contract("optimizer", updates=("theta", "state")),
        "catch_up": Contract("catch_up", updates=("theta", "grad", "state", "work")),
    },
}


def kind_of(plugin):
    """The contract class that a plugin derives from."""
    for kind in CONTRACTS:
        if isinstance(plugin, kind):
            return kind
    names = ", ".join(kind.__name__ for kind in CONTRACTS)
    hint = " Pass an instance, not the class." if isinstance(plugin, type) else ""
    raise TypeError(
        f"{plugin!r} is no plugin: derive its class from one of {names} of skmtl.plugins.base."
        f"{hint}"
    )


def contracts_of(plugin):
    """Contracts by the names of the compiled functions that a plugin has."""
    contracts = dict(CONTRACTS[kind_of(plugin)])
    if isinstance(plugin, base.Penalty) and type(plugin).prox is None:
        del contracts["prox"]
    if isinstance(plugin, base.Optimizer) and not plugin.catches_up():
        del contracts["catch_up"]
    if isinstance(plugin, base.FeatureMap) and not plugin.accepts_csr:
        del contracts["forward_csr"], contracts["backward_csr"]
    return contracts


@dataclass(frozen=True)
class Call:
    """Arguments by name of one call of a plugin's function."""

    function: str
    contract: Contract
    arguments: dict

    def but(self, **arguments):
        """The call with other values of some arguments."""
        return Call(self.function, self.contract, {**self.arguments, **arguments})

    @property
    def sizes(self):
        """The shapes of its arrays, for a message."""
        shapes = (
            f"{name} {value.shape}"
            for name, value in self.arguments.items()
            if isinstance(value, np.ndarray) and name not in ("hp", "work", "constants")
        )
        return f"{self.function}({', '.join(shapes)})"


def call(plugin, function, **arguments):
    """A call of a plugin's function; its arguments are given by name."""
    contract = CONTRACTS[kind_of(plugin)][function]
    return Call(function, contract, {name: arguments[name] for name in contract.names.split()})


def plain(plugin, function):
    """A plugin's function as its author wrote it."""
    return getattr(type(plugin), function)


def compiled(plugin, function, dtype="float64"):
    """A plugin's function as the engine runs it."""
    from skmtl.engine import compile as compiler  # imports numba

    contract = CONTRACTS[kind_of(plugin)][function]
    try:
        return compiler.compiled(plain(plugin, function), contract.signature, dtype)
    except Exception as error:
        raise cannot_compile(function, dtype, error) from error


def cannot_compile(function, dtype, error):
    """What to say where numba refuses a function."""
    from skmtl.testing.report import in_short

    return Broken(
        f"{function} does not compile for {dtype}: {in_short(error)}.",
        "Use numbers, loops, NumPy, math and plain functions of your module alone: no Python "
        "objects (strings, lists, dicts), no allocation, no writing to read-only arguments, no "
        "keyword arguments.",
    )


def compile_all(plugin):
    """Compile all functions of a plugin, for both dtypes."""
    for function in contracts_of(plugin):
        for dtype in DTYPES:
            compiled(plugin, function, dtype)


def run(function, case, fill=None):
    """Run a call; gives its value and its results by name, the call's own arrays stay.

    Every array lies within a margin that must stay as it is, and what is not owned is read-only.
    With ``fill`` the overwritten and scratch arrays come with that in them. A generator starts
    from the same state each time.
    """
    arguments, wholes = {}, {}
    contract = case.contract
    for name, argument in case.arguments.items():
        if isinstance(argument, np.ndarray):
            whole = np.full(argument.size + 2 * MARGIN, FENCE, argument.dtype)
            wholes[name] = whole
            copied = whole[MARGIN : MARGIN + argument.size].reshape(argument.shape)
            copied[...] = argument
            if fill is not None and name in contract.overwrites + contract.scratch:
                copied[...] = fill
            copied.flags.writeable = name in contract.owned
            arguments[name] = copied
        else:
            arguments[name] = copy.deepcopy(argument)
    value = function(*arguments.values())
    for name, whole in wholes.items():
        require(
            (whole[:MARGIN] == FENCE).all() and (whole[-MARGIN:] == FENCE).all(),
            f"{case.sizes} writes outside of {name}.",
            f"Keep the indices of {name} within its shape{SIZE_OF.get(name, '')}.",
        )
        if name not in contract.owned:
            require(
                np.array_equal(arguments[name], case.arguments[name], equal_nan=True),
                f"{case.sizes} writes to {name}, which is an input.",
                "Write to the arguments that its contract says are overwritten, added to, updated "
                "or scratch alone.",
            )
    return value, {name: arguments[name] for name in contract.results + contract.leftover}


SIZE_OF = {
    "work": "; ask for scratch by n_work",
    "state": "; ask for room by n_state or n_slots",
    "constants": "; constants() gives its length",
    "hp": "; hyper() gives its length",
}


def draws_from_rng(function, case):
    """Whether a call draws from its generator."""
    arguments = {name: copy.deepcopy(argument) for name, argument in case.arguments.items()}
    before = copy.deepcopy(arguments["rng"].bit_generator.state)
    function(*arguments.values())
    return arguments["rng"].bit_generator.state != before


def hp_of(plugin, dtype="float64"):
    """The plugin's numbers as its functions get them."""
    return np.array(plugin.hyper(), dtype).ravel()
