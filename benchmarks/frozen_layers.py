"""A hidden layer that a source left and that is frozen does harm: does the search say so?

``python -m benchmarks.frozen_layers``. The rows of ``benchmarks.books_movies``, and a net with one
hidden layer. ``TransferClassifierCV`` may fine-tune it on films with the layer as the books left
it, take books and films for the same, or learn from the films alone with all layers. For each seed:
the verdict on the frozen layer and on the source as a whole, and the balanced accuracy of the
frozen net and of the films alone, on all other films.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.parallel import Parallel, delayed  # with the filters of warnings
from threadpoolctl import threadpool_limits

from benchmarks import report
from benchmarks.books_movies import DATA, load, missing_file
from benchmarks.transfer_ladder import draw
from skmtl import TransferClassifier, TransferClassifierCV, as_source

NET = {"hidden_layer_sizes": (64,), "freeze": 1, "learning_rate_init": 1e-2, "max_iter": 60}
VERDICTS, JUDGED = ("helps", "no difference", "hurts"), ("frozen layer", "source")


def run(data, k, seed):
    """The verdict, and the accuracy of what was compared."""
    X_source, y_source, X, y = data
    train, test = draw(y, k, seed)
    target, source = (X[train], y[train]), as_source(X_source, y_source)
    net = TransferClassifier(**NET, random_state=seed)
    search = TransferClassifierCV(net, strategies=("finetune",), random_state=seed)
    search.fit(*target, **source)
    by_strategy = {params["strategy"]: params for params in search.cv_results_["params"]}
    accuracy = {}
    for strategy in ("target_only", "finetune"):
        fitted = clone(net).set_params(**by_strategy[strategy]).fit(*target, **source)
        accuracy[strategy] = balanced_accuracy_score(y[test], fitted.predict(X[test]))
    gain = search.gains_["finetune"]
    verdicts = {"frozen layer": search.verdicts_["finetune"], "source": search.verdict_}
    return {"verdicts": verdicts, "gain": gain.mean, "error": gain.std_error, **accuracy}


def shares(verdicts, judged):
    """How often each verdict was given."""
    given = [v[judged] for v in verdicts]
    return " / ".join(f"{np.mean([v == said for v in given]):.1f}" for said in VERDICTS)


def main():
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, k = 10")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the two files")
    args = parser.parse_args()
    if missing_file(args.data):
        parser.error(missing_file(args.data))
    ks, n_seeds = ([10], 2) if args.quick else ([5, 10, 20], 10)
    warnings.simplefilter("ignore", ConvergenceWarning)  # the numbers of epochs are given
    warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
    data, start, rows, results = load(args.data), time.perf_counter(), [], []
    with threadpool_limits(1), Parallel(args.jobs) as parallel:
        for k in ks:
            runs = parallel(delayed(run)(data, k, seed) for seed in range(n_seeds))
            found = {name: [r[name] for r in runs] for name in runs[0]}
            results.append({"k": k, **found})
            rows.append(
                [
                    f"{k}",
                    report.spread(found["target_only"]),
                    report.spread(found["finetune"]),
                    report.paired(found["finetune"], found["target_only"]),
                    *(shares(found["verdicts"], judged) for judged in JUDGED),
                ]
            )
            print(" ".join(rows[-1]), flush=True)
    seconds = time.perf_counter() - start
    verdicts = [f"the {judged}: {' / '.join(VERDICTS)}" for judged in JUDGED]
    header = ["k", "films alone", "frozen layer", "difference", *verdicts]
    print(f"\n{n_seeds} seeds; mean ± sd, paired difference ± standard error\n")
    print(report.table(header, rows))
    path = report.write(
        "frozen_layers_quick" if args.quick else "frozen_layers",
        {"net": NET, "k": ks, "n_seeds": n_seeds, "dtype": "float32", "processes": args.jobs},
        results,
        seconds,
    )
    print(f"\n{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
