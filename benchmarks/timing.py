"""Timing of several ways to do the same, side by side."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np


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
        Each is called once before, untimed: it compiles and fills caches then.
    repeats : int

    Returns
    -------
    dict of str to ndarray of shape (repeats,)
    """
    for way in ways.values():
        way()
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def quartiles(values, scale=1.0, digits=3):
    """The median and, in brackets, the quartiles, as text."""
    low, median, high = np.percentile(np.asarray(values) * scale, [25, 50, 75])
    return f"{median:.{digits}g} ({low:.{digits}g} - {high:.{digits}g})"


def ratio(theirs, ours):
    """How many times as long theirs takes: of each turn of ``interleaved``."""
    return np.asarray(theirs) / np.asarray(ours)


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
