"""How often TransferClassifierCV is right about a source: unrelated ones, and one that is the same.

``python -m benchmarks.verdict``. The target is six digits a class, with as many draws as runs. The
sources: MNIST with its labels permuted; noise with labels of digits; other rows of the target's own
kind. Shares of the verdicts, and accuracy, on all other digits, of what was refitted against the
target alone.
"""

import argparse
import time
import warnings

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks import report
from benchmarks.transfer_ladder import draw
from skmtl import TransferClassifier, TransferClassifierCV, as_source
from skmtl.datasets import load_mnist_digits_pair

K, N_SOURCE = 6, 1000
COMMON = {"hidden_layer_sizes": (64,), "max_iter": 60}
VERDICTS = "helps", "no difference", "hurts"


def permuted(pair, rest, rng):
    """MNIST, whose labels say nothing."""
    rows = rng.permutation(len(pair.y_source))[:N_SOURCE]
    return as_source(pair.X_source[rows], rng.permutation(pair.y_source[rows])), rest


def noise(pair, rest, rng):
    """Labels of digits beside numbers that have nothing to do with them."""
    X = rng.random((N_SOURCE, pair.X.shape[1]), dtype=pair.X.dtype)
    return as_source(X, rng.choice(pair.y_source, N_SOURCE)), rest


def same(pair, rest, rng):
    """More rows of the target's kind, which are not tested on."""
    rows = rng.permutation(rest)
    return as_source(pair.X[rows[:N_SOURCE]], pair.y[rows[:N_SOURCE]]), rows[N_SOURCE:]


SOURCES = {"permuted": permuted, "noise": noise, "same": same}


def run(pair, kind, seed):
    """The verdict, and the accuracy of the refit less that of the target alone."""
    train, rest = draw(pair.y, K, seed)
    source, test = SOURCES[kind](pair, rest, np.random.default_rng(seed))
    X, y = pair.X[train], pair.y[train]
    model = TransferClassifier(random_state=seed, **COMMON)
    search = TransferClassifierCV(model, random_state=seed).fit(X, y, **source)
    target_only = clone(model).set_params(**search.cv_results_["params"][-1]).fit(X, y, **source)
    alone, refitted = (
        fitted.score(pair.X[test], pair.y[test]) for fitted in (target_only, search.best_estimator_)
    )
    gain = search.transfer_gain_
    return {
        "verdict": search.verdict_,
        "gain": gain.mean,
        "error": gain.std_error,
        "alone": alone,
        "refitted": refitted,
    }


def main():
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 runs of each")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    args = parser.parse_args()
    n_runs = 5 if args.quick else 100
    warnings.simplefilter("ignore", ConvergenceWarning)  # the numbers of epochs are given

    pair = load_mnist_digits_pair()
    pair.X, pair.X_source = pair.X.astype(np.float32), pair.X_source.astype(np.float32)
    start, results, rows = time.perf_counter(), [], []
    with threadpool_limits(1), Parallel(args.jobs, "threading") as parallel:
        for kind in SOURCES:
            runs = parallel(delayed(run)(pair, kind, seed) for seed in range(n_runs))
            found = {name: [r[name] for r in runs] for name in runs[0]}
            results.append({"source": kind, **found})
            shares = [np.mean([v == said for v in found["verdict"]]) for said in VERDICTS]
            rows.append(
                [
                    kind,
                    *(f"{share:.2f}" for share in shares),
                    report.spread(found["alone"]),
                    report.paired(found["refitted"], found["alone"]),
                ]
            )
            print(" ".join(rows[-1]), flush=True)
    seconds = time.perf_counter() - start
    header = ["source", *VERDICTS, "target alone", "refitted - alone"]
    print(f"\n{n_runs} runs; mean ± sd, paired difference ± standard error\n")
    print(report.table(header, rows))
    path = report.write(
        "verdict_quick" if args.quick else "verdict",
        {"common": COMMON, "k": K, "n_source": N_SOURCE, "n_runs": n_runs},
        results,
        seconds,
    )
    print(f"\n{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
