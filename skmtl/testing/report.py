"""What a check says to the author of a plugin."""

import functools
import inspect
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning


class Broken(Exception):
    """A breach of the contract: what went wrong, and what the author should do."""

    def __init__(self, what, remedy):
        super().__init__(f"{what} {remedy}")


def require(ok, what, remedy):
    """Raise Broken unless ok. Both texts are sentences."""
    if not ok:
        raise Broken(what, remedy)


def check(function):
    """Make a check of a function that raises Broken: its AssertionError names plugin and check.

    Whatever else the plugin raises is told the same way.
    """

    @functools.wraps(function)
    def checked(plugin):
        owner = plugin.__name__ if inspect.isclass(plugin) else type(plugin).__name__
        where = f"{owner} fails {function.__name__}"
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                function(plugin)
        except Broken as broken:
            raise AssertionError(f"{where}: {broken}") from broken.__cause__
        except Exception as error:
            raise AssertionError(
                f"{where}: it raised {type(error).__name__}: {in_short(error)}. Read the "
                "traceback above, and make the plugin work for the arguments of its contract in "
                "skmtl.plugins.base."
            ) from error

    return checked


def in_short(error, length=300):
    """The message of an error on one line; of numba's, the part that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(NUMBA_FRAME)] or lines
    return " ".join(telling).partition(" There are ")[0][:length].rstrip(".")


NUMBA_FRAME = (
    "Failed in nopython mode pipeline",
    "During: ",
    "File ",
    "<source",
    "This error may have been caused",
    "No conversion from",
)
