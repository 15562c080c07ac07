"""How long does a new process take to be ready: import, first fit, first prediction?

``python -m benchmarks.start_up``. Each figure is the median over new processes on one core, which
time themselves, so that starting Python does not count.

- Import: ``import skmtl`` after scikit-learn's MLP, which a user of either imports anyway, and
  after a bare ``import sklearn``; with the byte code (.pyc) that an earlier import leaves, and
  without that of any module that comes now.
- First fit: one epoch of the digits net (64-64-32-10, batch 32). Ever: numba's cache is empty, all
  is compiled. Warm: the cache is that of the process before. "own" leaves out ``import numba``,
  which comes first and is timed by itself.
- First prediction: a fitted model is unpickled, which imports its package, and predicts one row;
  here and in scikit-learn, whose MLP is imported before the clock runs.

``--quick``: fewer processes, float32 alone, no bare ``import sklearn``.
"""

import argparse
import pickle
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks import report, timing
from skmtl import MultiTaskClassifier

NET = {"hidden_layer_sizes": (64, 32), "batch_size": 32, "max_iter": 1, "random_state": 0}
MILLISECONDS = 1e3
# What makes the imports that follow find byte code, or not: a folder for it that stays empty.
BYTE_CODE = {
    True: "",
    False: "sys.dont_write_bytecode, sys.pycache_prefix = True, '/no/byte/code'",
}

IMPORT = """
import sys, time
import {before}
{byte_code}
n_modules, start = len(sys.modules), time.perf_counter()
import skmtl
seconds, n_modules = time.perf_counter() - start, len(sys.modules) - n_modules
import json
print(json.dumps([seconds, n_modules, "numba" in sys.modules]))
"""
FIT = """
import json, time, warnings
import numpy as np
from sklearn.datasets import load_digits
from skmtl import MultiTaskClassifier
warnings.simplefilter("ignore")
X, y = load_digits(return_X_y=True)
X = (X / 16).astype("{dtype}")
model = MultiTaskClassifier(**{net})
start = time.perf_counter()
import numba
imported = time.perf_counter()
model.fit(X, y)
fitted = time.perf_counter()
model.fit(X, y)
print(json.dumps([imported - start, fitted - imported, time.perf_counter() - fitted]))
"""
PREDICT = """
import json, pickle, sys, time
import numpy as np
import sklearn.neural_network  # whichever model it is, both have what they share
row = np.zeros((1, 64), np.float32)
with open("{path}", "rb") as file:
    pickled = file.read()
{byte_code}
start = time.perf_counter()
pickle.loads(pickled).predict_proba(row)
print(json.dumps([time.perf_counter() - start, "numba" in sys.modules]))
"""


def imports(already, repeats):
    """Measured by what is imported already, and with or without byte code."""
    ways = {
        (before, pyc): IMPORT.format(before=before, byte_code=BYTE_CODE[pyc])
        for before in already
        for pyc in (True, False)
    }
    measured = _in_turns(ways, repeats)
    return {
        key: {
            "seconds": [run[0] for run in runs],
            "modules": runs[0][1],
            "numba imported": any(run[2] for run in runs),
        }
        for key, runs in measured.items()
    }


def first_fits(dtype, n_cold, n_warm):
    """Seconds of ``import numba``, of the first fit and of the second; cold and warm."""
    found = {"cold": [], "warm": []}
    code = FIT.format(dtype=dtype, net=NET)
    for _ in range(n_cold):
        with tempfile.TemporaryDirectory() as cache:
            found["cold"].append(timing.fresh_process(code, NUMBA_CACHE_DIR=cache))
            for _ in range(-(-n_warm // n_cold)):
                found["warm"].append(timing.fresh_process(code, NUMBA_CACHE_DIR=cache))
    return {name: np.array(runs).T.tolist() for name, runs in found.items()}


def first_predictions(repeats, folder):
    """Seconds to unpickle and predict one row, by package and with or without byte code."""
    X, y = load_digits(return_X_y=True)
    X, ways = (X / 16).astype(np.float32), {}
    models = {"skmtl": MultiTaskClassifier(**NET), "scikit-learn": MLPClassifier(**NET)}
    for name, model in models.items():
        path = Path(folder, f"{name}.pickle")
        path.write_bytes(pickle.dumps(model.fit(X, y)))
        for pyc in (True, False):
            ways[name, pyc] = PREDICT.format(path=path.as_posix(), byte_code=BYTE_CODE[pyc])
    measured = _in_turns(ways, repeats)
    return {
        key: {"seconds": [run[0] for run in runs], "numba imported": any(run[1] for run in runs)}
        for key, runs in measured.items()
    }


def _in_turns(ways, repeats):
    """What processes print, by way. This process has left the byte code of all that they import."""
    found = {key: [] for key in ways}
    for _ in range(repeats):
        for key, code in ways.items():
            found[key].append(timing.fresh_process(code))
    return found


def import_table(measured):
    """A row for each way to import."""
    rows = [
        [
            before,
            "yes" if pyc else "no",
            timing.quartiles(found["seconds"], MILLISECONDS),
            str(found["modules"]),
            "yes" if found["numba imported"] else "no",
        ]
        for (before, pyc), found in measured.items()
    ]
    header = ["import skmtl, after", ".pyc", "ms (quartiles)", "modules more", "numba imported"]
    return report.table(header, rows)


def fit_table(measured):
    """A row for each dtype and state of the cache."""
    rows = []
    for dtype, by_cache in measured.items():
        for name, (numba, first, second) in by_cache.items():
            rows.append(
                [
                    dtype,
                    {"cold": "empty", "warm": "warm"}[name],
                    str(len(first)),
                    timing.quartiles(first),
                    timing.quartiles(np.add(numba, first)),
                    timing.quartiles(second, MILLISECONDS),
                ]
            )
    header = ["first fit", "cache", "processes", "own s", "with import numba s", "second fit ms"]
    return report.table(header, rows)


def prediction_table(measured):
    """A row for each package."""
    rows = [
        [
            name,
            "yes" if pyc else "no",
            timing.quartiles(found["seconds"], MILLISECONDS),
            "yes" if found["numba imported"] else "no",
        ]
        for (name, pyc), found in measured.items()
    ]
    header = ["unpickle and predict a row", ".pyc", "ms (quartiles)", "numba imported"]
    return report.table(header, rows)


def budget_table(of_import, of_fits, of_predictions):
    """The budgets, and whether they are met."""
    own = of_import["sklearn.neural_network", True]
    imported = np.multiply(own["seconds"], MILLISECONDS)
    rows = [timing.at_most("import skmtl beyond scikit-learn, ms", imported, 50)]
    for dtype, by_cache in of_fits.items():
        warm, cold = by_cache["warm"][1], np.add(*by_cache["cold"][:2])
        rows.append(timing.at_most(f"first fit, warm cache, own, {dtype}, s", warm, 0.6))
        rows.append(timing.at_most(f"first fit ever, with import numba, {dtype}, s", cold, 12))
    needs_numba = own["numba imported"] or of_predictions["skmtl", True]["numba imported"]
    found, met = ("yes", "no") if needs_numba else ("no", "yes")
    rows.append(["numba imported by import skmtl, or by predict", found, "no", met])
    return timing.promises(rows)


def _by_text(measured):
    """For JSON, whose keys are text."""
    return {f"{name}, {'' if pyc else 'no '}.pyc": v for (name, pyc), v in measured.items()}


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer processes")
    quick = parser.parse_args().quick
    n_cold, n_warm, repeats = (1, 3, 3) if quick else (3, 9, 11)
    already = ["sklearn.neural_network"] if quick else ["sklearn.neural_network", "sklearn"]
    dtypes = ["float32"] if quick else ["float32", "float64"]
    warnings.simplefilter("ignore", ConvergenceWarning)

    start = time.perf_counter()
    with timing.one_core(), tempfile.TemporaryDirectory() as folder:
        of_import = imports(already, repeats)
        of_predictions = first_predictions(repeats, folder)
        of_fits = {dtype: first_fits(dtype, n_cold, n_warm) for dtype in dtypes}
    seconds = time.perf_counter() - start
    print(f"Medians over {repeats} new processes on one core\n")
    print(f"{import_table(of_import)}\n\n{fit_table(of_fits)}\n")
    print(f"{prediction_table(of_predictions)}\n")
    print(f"{budget_table(of_import, of_fits, of_predictions)}\n")
    results = {
        "import": _by_text(of_import),
        "first fit": {
            dtype: {
                cache: dict(zip(("import numba", "first fit, own", "second fit"), runs))
                for cache, runs in by_cache.items()
            }
            for dtype, by_cache in of_fits.items()
        },
        "first prediction": _by_text(of_predictions),
    }
    settings = {"net": NET, "n_cold": n_cold, "n_warm": n_warm, "repeats": repeats}
    name = "start_up_quick" if quick else "start_up"
    print(f"{seconds:.0f} s; {report.write(name, settings, results, seconds)}")


if __name__ == "__main__":
    main()
