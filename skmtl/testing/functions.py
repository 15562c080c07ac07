"""What the functions of all plugins must do, whatever their kind."""

import inspect
import json
import os
import pickle
import subprocess
import sys
import types

import numpy as np

from skmtl.testing.calls import DTYPES, compile_all, compiled, contracts_of, plain, run
from skmtl.testing.cases import calls_of
from skmtl.testing.report import Broken, check, in_short, require

TOLERANCE = {"float32": 2e-4, "float64": 1e-9}


@check
def check_functions(plugin):
    """The functions are static, plain, without closure, with the contract's argument names."""
    for name, contract in contracts_of(plugin).items():
        found = inspect.getattr_static(type(plugin), name, None)
        require(found is not None, f"It has no function {name}.", "Write it as the contract says.")
        require(
            isinstance(found, staticmethod),
            f"{name} is no static method.",
            "Put @staticmethod above it and take self out: numbers come in by hp, from hyper.",
        )
        function = found.__func__
        require(
            isinstance(function, types.FunctionType),
            f"{name} is a {type(function).__name__} and no plain function.",
            "Write it as a plain Python function and leave the compilation to skmtl.",
        )
        require(
            not function.__closure__,
            f"{name} is a closure over {', '.join(function.__code__.co_freevars)}.",
            "Define it in the class, and give the numbers that it needs by hyper, so that they "
            "come in by hp.",
        )
        parameters = inspect.signature(function).parameters
        wanted = contract.names.split()
        require(
            list(parameters) == wanted
            and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters.values()),
            f"{name} takes ({', '.join(map(str, parameters.values()))}) where its contract says "
            f"({', '.join(wanted)}).",
            "Give it these arguments, by these names, in this order.",
        )


@check
def check_read_only(plugin):
    """Inputs may be read-only, and are not written to."""
    for case in calls_of(plugin):
        try:
            run(plain(plugin, case.function), case)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            names = ", ".join(case.contract.owned) or "no argument"
            raise Broken(
                f"{case.sizes} writes to an input, which is read-only.",
                f"{case.function} may write to {names} alone.",
            ) from error


@check
def check_bounds(plugin):
    """It reads and writes within its arrays, of which it asked for the right sizes."""
    for case in calls_of(plugin):
        try:
            run(plain(plugin, case.function), case)
        except IndexError as error:
            raise Broken(
                f"{case.sizes} reads or writes out of bounds: {in_short(error)}. Compiled code "
                "does not notice that and corrupts memory.",
                "Keep indices within the arrays' shapes, and ask for room by n_work, n_state, "
                "n_slots, n_params or n_outputs.",
            ) from error
        run(compiled(plugin, case.function), case)


@check
def check_buffers(plugin):
    """It overwrites what it owns, adds to what others share, and expects nothing of scratch."""
    for case in calls_of(plugin):
        _check_poisoned(compiled(plugin, case.function), case)
        _check_added(compiled(plugin, case.function), case)


def _check_poisoned(function, case):
    """Overwritten and scratch arrays may come with anything in them."""
    value, results = run(function, case)
    for fill in (np.nan, 1e6):
        other, others = run(function, case, fill)
        for name in case.contract.results:
            require(
                np.array_equal(results[name], others[name], equal_nan=True),
                f"{case.sizes}: {name} depends on what the overwritten or scratch arrays hold "
                "before the call.",
                f"{_how(case, name)} Set scratch before you read it.",
            )
        require(
            value is None or np.array_equal(value, other, equal_nan=True),
            f"{case.sizes}: its value depends on what its arrays hold before the call.",
            "Set scratch before you read it.",
        )


def _how(case, name):
    """The rule for an array of results."""
    if name in case.contract.overwrites:
        return f"{name} is overwritten: assign every entry with =, do not add."
    if name in case.contract.adds:
        return f"{name} is added to: use += on it."
    return f"{name} is updated in place."


def _check_added(function, case):
    """What is added to keeps what was there."""
    value, results = run(function, case)
    for name in case.contract.adds:
        start = np.random.default_rng(1).standard_normal(case.arguments[name].shape)
        other, others = run(function, case.but(**{name: start}))
        require(
            np.allclose(others[name], start + results[name], rtol=1e-9, atol=1e-11),
            f"{case.sizes} overwrites {name}, or what it adds depends on what is there.",
            f"{name} is shared with other terms of the objective: add to it with += alone.",
        )
        require(
            value is None or value == other,
            f"{case.sizes}: its value depends on what {name} holds before the call.",
            f"Do not read {name}.",
        )


@check
def check_compiled(plugin):
    """The compiled functions give what the plain ones give, in float32 and float64."""
    for dtype in DTYPES:
        rtol = TOLERANCE[dtype]
        for case in calls_of(plugin, dtype):
            expected, arrays = run(plain(plugin, case.function), case)
            value, others = run(compiled(plugin, case.function, dtype), case)
            pairs = [("value", value, expected)] if expected is not None else []
            pairs += [(name, others[name], arrays[name]) for name in case.contract.results]
            for name, found, wanted in pairs:
                require(
                    np.allclose(found, wanted, rtol=rtol, atol=rtol, equal_nan=True),
                    f"{case.sizes} gives another {name} compiled, for {dtype}, than as plain "
                    "Python.",
                    "Avoid what differs between them: integer division and overflow, globals that "
                    "change, int() of NaN, and single precision where sums need double.",
                )


@check
def check_repeatable(plugin):
    """The same arguments give the same result, with the same state of the generator."""
    for case in calls_of(plugin):
        function = plain(plugin, case.function)
        (value, arrays), (other, others) = run(function, case), run(function, case)
        same = value is None or np.array_equal(value, other, equal_nan=True)
        same = same and all(
            np.array_equal(arrays[name], others[name], equal_nan=True)
            for name in case.contract.results
        )
        require(
            same,
            f"{case.sizes} gives another result for the same arguments.",
            "Keep nothing between calls but in the array that the contract has for it, and draw "
            "from the argument rng alone.",
        )


# What the second process runs: it compiles pickled plugins and prints what numba compiled.
CHILD = """
import json, pickle, sys
from numba.core.event import install_recorder
plugins = pickle.load(sys.stdin.buffer)
from skmtl.testing.calls import compile_all
with install_recorder("numba:compile") as recorder:
    for plugin in plugins:
        compile_all(plugin)
names = {event.data["dispatcher"].py_func.__qualname__ for _, event in recorder.buffer}
print(json.dumps(sorted(names)))
"""
IMPORTABLE = "Move the class to a module that other processes can import."


@check
def check_cached(plugin):
    """A second process finds the compiled functions in numba's disk cache."""
    where = type(plugin).__module__
    require(
        where != "__main__" and "<locals>" not in type(plugin).__qualname__,
        f"Its class lives in {where} ({type(plugin).__qualname__}), where no other process finds "
        "it, so nothing of it can be cached.",
        IMPORTABLE,
    )
    again = compiled_by_another([plugin])
    require(
        not again,
        f"A second process compiles anew: {', '.join(again)}.",
        "Let its functions read no globals that differ between processes, and make numba's cache "
        "folder writable (NUMBA_CACHE_DIR).",
    )


def compiled_by_another(plugins):
    """Names of the functions that another process has to compile for plugins, compiled here."""
    for plugin in plugins:
        compile_all(plugin)
    # Processes that compile at the same time may lose each other's entries, but not twice.
    return _compiled_by_child(plugins) and _compiled_by_child(plugins)


def _compiled_by_child(plugins):
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    child = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=pickle.dumps(plugins),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=False,
    )
    error = child.stderr.decode().strip().splitlines() or [child.returncode]
    require(
        child.returncode == 0,
        f"A second process cannot use {', '.join(map(str, plugins))}: {error[-1]}.",
        IMPORTABLE,
    )
    return json.loads(child.stdout.decode().splitlines()[-1])


CHECKS = (
    check_functions,
    check_read_only,
    check_bounds,
    check_buffers,
    check_compiled,
    check_repeatable,
    check_cached,
)
