"""Predicting: one row fast, and many rows a second?

``python -m benchmarks.predict``. ``predict_proba`` of one network (digits' 64 columns, 10 classes,
hidden layers 64-32 and 512-512) in skmtl, scikit-learn and onnxruntime. It is
trained by scikit-learn for a moment; its weights are written into ours, and converted by skl2onnx,
so that all three give the same probabilities, which the table shows. float32, one core.

- One row: time of each call, in turns of 50 calls: median and 99th percentile.
- 1,000 rows and a million: rows a second. The rows are there beforehand, as C-ordered float32.

onnxruntime gets what it takes as it is; the other two also check that X is finite, of the right
number of columns and of a good dtype, as estimators do.
``--quick``: fewer turns, and 100,000 rows in place of a million.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks import report, timing
from skmtl import MultiTaskClassifier

try:
    import onnxruntime
    from skl2onnx import to_onnx
except ImportError:
    onnxruntime = None

NETS = ((64, 32), (512, 512))
N_CALLS = 50  # in each turn
MICROSECONDS = 1e6


def of_scikit_learn(hidden, X, y):
    """The network that all share, trained for two epochs."""
    return MLPClassifier(hidden, max_iter=2, random_state=0).fit(X, y)


def of_skmtl(theirs, X, y):
    """Our estimator with the weights of scikit-learn's."""
    ours = MultiTaskClassifier(theirs.hidden_layer_sizes, max_iter=1, random_state=0).fit(X, y)
    weights = [*ours.coefs_, *ours.head_coefs_[0], *ours.intercepts_, *ours.head_intercepts_[0]]
    for mine, of_theirs in zip(weights, [*theirs.coefs_, *theirs.intercepts_], strict=True):
        mine[...] = of_theirs  # views of what predicts
    return ours


def of_onnxruntime(theirs, X):
    """A function that gives the probabilities, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = to_onnx(theirs, X[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda rows: session.run(["probabilities"], {name: rows})[0]


def functions(hidden, X, y):
    """``predict_proba`` by package."""
    theirs = of_scikit_learn(hidden, X, y)
    found = {
        "skmtl": of_skmtl(theirs, X, y).predict_proba,
        "scikit-learn": theirs.predict_proba,
    }
    if onnxruntime is not None:
        found["onnxruntime"] = of_onnxruntime(theirs, X)
    return found


def latencies(predictors, row, n_turns):
    """Seconds of each call on one row, by package, run in turns."""
    seconds = {name: [] for name in predictors}
    for turn in range(n_turns + 1):
        for name, predict in predictors.items():
            for _ in range(N_CALLS):
                start = time.perf_counter()
                predict(row)
                if turn > 0:
                    seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def run(hidden, sizes, n_turns, repeats):
    """Seconds by number of rows and package, and the greatest difference of probabilities."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    predictors = functions(hidden, X, y)
    probabilities = {name: predict(X) for name, predict in predictors.items()}
    gaps = {name: np.abs(p - probabilities["skmtl"]).max() for name, p in probabilities.items()}
    found = {1: latencies(predictors, X[:1], n_turns)}
    for n_rows in sizes:
        rows = np.resize(X, (n_rows, X.shape[1]))
        ways = {name: lambda p=predict, r=rows: p(r) for name, predict in predictors.items()}
        found[n_rows] = timing.interleaved(ways, repeats[n_rows])
    return found, gaps


def rows_of_table(hidden, found, gaps):
    """A row for each package."""
    net = "-".join(map(str, (64, *hidden, 10)))
    rows = []
    for name in found[1]:
        calls = found[1][name]
        rows.append(
            [
                net,
                name,
                timing.quartiles(calls, MICROSECONDS),
                f"{np.percentile(calls, 99) * MICROSECONDS:.3g}",
                *(
                    timing.quartiles(n_rows / seconds[name], 1e-6)
                    for n_rows, seconds in found.items()
                    if n_rows > 1
                ),
                f"{gaps[name]:.0e}",
            ]
        )
    return rows


def budget_rows(hidden, found):
    """How many times as long scikit-learn takes."""
    rows = []
    for n_rows in (1, max(found)):
        ratios = timing.ratio(found[n_rows]["scikit-learn"], found[n_rows]["skmtl"])
        what = f"{'-'.join(map(str, hidden))}, {n_rows:,} row{'s' * (n_rows > 1)}"
        rows.append(timing.at_least(f"{what}: scikit-learn / skmtl", ratios, 1))
    return rows


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer turns and rows")
    quick = parser.parse_args().quick
    many = 100_000 if quick else 1_000_000
    n_turns, repeats = (10, {1000: 21, many: 3}) if quick else (100, {1000: 201, many: 5})
    warnings.simplefilter("ignore", ConvergenceWarning)
    if onnxruntime is None:
        print("onnxruntime or skl2onnx is not installed, and left out\n")

    start, rows, budgets, results = time.perf_counter(), [], [], []
    with timing.one_core():
        for hidden in NETS:
            found, gaps = run(hidden, (1000, many), n_turns, repeats)
            rows += rows_of_table(hidden, found, gaps)
            budgets += budget_rows(hidden, found)
            seconds = {
                n_rows: {
                    name: dict(zip(("25", "50", "75", "99"), np.percentile(s, [25, 50, 75, 99])))
                    for name, s in of_rows.items()
                }
                for n_rows, of_rows in found.items()
            }
            gaps = {name: float(gap) for name, gap in gaps.items()}
            results.append({"hidden": hidden, "percentiles of seconds": seconds, "gaps": gaps})
    seconds = time.perf_counter() - start
    header = [
        "net",
        "predict_proba of",
        "1 row, us (quartiles)",
        "99 %",
        "1,000 rows, million rows/s",
        f"{many:,} rows, million rows/s",
        "differs by",
    ]
    print(f"float32, one core\n\n{report.table(header, rows)}\n")
    print(f"{timing.promises(budgets)}\n")
    settings = {"many": many, "n_turns": n_turns, "n_calls": N_CALLS, "repeats": repeats}
    name = "predict_quick" if quick else "predict"
    print(f"{seconds:.0f} s; {report.write(name, settings, results, seconds)}")


if __name__ == "__main__":
    main()
