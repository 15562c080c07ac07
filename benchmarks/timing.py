"""Timing of several ways to do the same, side by side."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

import numpy as np

from benchmarks import report


@contextmanager
def one_core():
    """Keep this process, and the thread pools that it starts within, on one core."""
    if not hasattr(os, "sched_setaffinity"):  # macOS, Windows
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def interleaved(ways, repeats):
    """Seconds that each of several ways takes, run in turns so that noise hits all alike.

    Parameters
    ----------
    ways : dict of str to callable
        Each is called once before: it compiles and fills caches then.
    repeats : int

    Returns
    -------
    dict of str to ndarray of shape (repeats,)
    """
    return {name: seconds[1:] for name, seconds in _turns(ways, 1 + repeats).items()}


def _turns(ways, n_turns):
    """Seconds of each turn of each way."""
    seconds = {name: [] for name in ways}
    for _ in range(n_turns):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


@contextmanager
def clock(owner, name):
    """Gives a list to which every call of ``owner.name`` appends its seconds."""
    seconds, timed = [], getattr(owner, name)

    def call(*args, **kwargs):
        start = time.perf_counter()
        result = timed(*args, **kwargs)
        seconds.append(time.perf_counter() - start)
        return result

    with mock.patch.object(owner, name, call):
        yield seconds


class Fits(NamedTuple):
    """What ``measure`` found out about each way to fit; the first turn counts for itself.

    Attributes
    ----------
    first : dict of str to float
        Seconds of the first fit, in which it compiles.
    whole, loops : dict of str to ndarray of shape (repeats,)
        Seconds of the later fits, and of their training loops.
    learned : dict of str to list
        What was learned in each of these.
    """

    first: dict
    whole: dict
    loops: dict
    learned: dict

    def compiling(self):
        """Seconds that the first fit of each way took beyond the median of the others."""
        return {name: self.first[name] - np.median(self.whole[name]) for name in self.whole}


def measure(fits, repeats):
    """Time several ways to fit in turns, of which each has a seed of its own.

    Parameters
    ----------
    fits : dict of str to callable
        Each takes a seed, and gives what it learned and the seconds of its training loop.
    repeats : int

    Returns
    -------
    Fits
    """
    found = {name: [] for name in fits}

    def way(name, fit):
        return lambda: found[name].append(fit(len(found[name])))

    whole = _turns({name: way(name, fit) for name, fit in fits.items()}, 1 + repeats)
    return Fits(
        {name: float(seconds[0]) for name, seconds in whole.items()},
        {name: seconds[1:] for name, seconds in whole.items()},
        {name: np.array([seconds for _, seconds in turns[1:]]) for name, turns in found.items()},
        {name: [net for net, _ in turns[1:]] for name, turns in found.items()},
    )


def quartiles(values, scale=1.0, digits=3):
    """The median and, in brackets, the quartiles, as text."""
    low, median, high = np.percentile(np.asarray(values) * scale, [25, 50, 75])
    return f"{median:.{digits}g} ({low:.{digits}g} - {high:.{digits}g})"


def ratio(theirs, ours):
    """How many times as long theirs takes: of each turn of ``interleaved``."""
    return np.asarray(theirs) / np.asarray(ours)


def at_least(what, values, limit):
    """A row of ``promises``: the median of some values must reach a limit."""
    return _promise(what, values, ">=", limit, np.median(values) >= limit)


def at_most(what, values, limit):
    """A row of ``promises``: the median of some values must not exceed a limit."""
    return _promise(what, values, "<=", limit, np.median(values) <= limit)


def _promise(what, values, sign, limit, met):
    return [what, quartiles(values), f"{sign} {limit:g}", "yes" if met else "no"]


def promises(rows):
    """The table of budgets: what was promised, and what is so."""
    return report.table(["what", "measured (quartiles)", "budget", "met"], rows)


def fresh_process(code, **environment):
    """Run code in a new interpreter; it prints one line of JSON, which is given back.

    Parameters
    ----------
    code : str
    **environment : str
        Variables to set; byte code is written, as it is for users.
    """
    env = {**os.environ, **environment}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    result = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(f"a fresh process failed: {result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])
