"""What all plugins must do as estimators: parameters, copies, numbers."""

import pickle

import numpy as np
from sklearn.base import clone

from skmtl.testing.calls import hp_of
from skmtl.testing.report import Broken, check, in_short, require


@check
def check_constructor(plugin):
    """The constructor stores its arguments as they are, and nothing else."""
    store = "Let __init__ do nothing but self.name = name for each of its parameters; validate "
    store += "and convert in hyper."
    values = {name: object() for name in plugin.get_params(deep=False)}
    try:
        other = type(plugin)(**values)
    except Exception as error:
        raise Broken(
            f"Its constructor raises {type(error).__name__} for a value that it should only store: "
            f"{in_short(error)}.",
            store,
        ) from error
    for name, value in values.items():
        require(
            getattr(other, name, None) is value,
            f"Its constructor does not store the parameter {name!r} as it is.",
            store,
        )
    extra = sorted(set(vars(other)) - set(values))
    require(not extra, f"Its constructor also sets {', '.join(extra)}.", store)


@check
def check_parameters(plugin):
    """clone, get_params and set_params give the plugin back."""
    remedy = "Store each parameter of __init__ in an attribute of its name, and give each a "
    remedy += "default so that the plugin can be used by name."
    try:
        default = type(plugin)()
    except TypeError as error:
        raise Broken(f"It cannot be made without arguments: {error}.", remedy) from error
    copies = {
        "clone": clone(plugin),
        "set_params": default.set_params(**plugin.get_params(deep=False)),
    }
    for how, other in copies.items():
        require(
            type(other) is type(plugin)
            and repr(other) == repr(plugin)
            and _same_numbers(other, plugin),
            f"{how} gives {other!r} for {plugin!r}.",
            remedy,
        )


@check
def check_pickle(plugin):
    """It comes back from pickle, as n_jobs and joblib need."""
    remedy = "Define the class at the top level of a module that can be imported, and keep what "
    remedy += "its instances hold to numbers, strings and arrays."
    try:
        other = pickle.loads(pickle.dumps(plugin))
    except Exception as error:
        raise Broken(f"It cannot be pickled: {in_short(error)}.", remedy) from error
    require(
        type(other) is type(plugin) and _same_numbers(other, plugin),
        f"Pickle gives {other!r} for {plugin!r}.",
        remedy,
    )


def _same_numbers(one, other):
    return np.array_equal(hp_of(one), hp_of(other))


@check
def check_hyper(plugin):
    """``hyper`` gives finite floats, the same each time."""
    remedy = "Let hyper return a flat list of finite floats; encode options as numbers there."
    numbers = plugin.hyper()
    require(
        isinstance(numbers, (list, tuple, np.ndarray)) and np.ndim(numbers) == 1,
        f"hyper gives {numbers!r}, which is no flat list of numbers.",
        remedy,
    )
    for number in numbers:
        require(
            isinstance(number, (float, np.floating)),
            f"hyper gives {number!r}, a {type(number).__name__}.",
            remedy,
        )
        require(np.isfinite(number), f"hyper gives {number!r}.", remedy)
    require(
        list(plugin.hyper()) == list(numbers),
        f"hyper gives {list(numbers)} and then {list(plugin.hyper())}.",
        "Compute its numbers from the constructor's parameters alone.",
    )


CHECKS = (check_constructor, check_hyper, check_parameters, check_pickle)
