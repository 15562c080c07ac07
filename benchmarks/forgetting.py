"""What fine-tuning forgets: MNIST to scikit-learn's digits, anchored by L2-SP and by EWC.

``python -m benchmarks.forgetting``. For each seed a net learns 3,000 digits of MNIST and is then
fine-tuned on 200 of scikit-learn's, with the anchor at rising strength. Accuracy is on 2,000 other
digits of MNIST (what is kept) and on all other digits of scikit-learn (what is won).
"""

import argparse
import time
import warnings

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks import report
from skmtl import TransferClassifier, as_source
from skmtl.datasets import load_mnist_digits_pair

SETTINGS = {
    "hidden_layer_sizes": (128,),
    "strategy": "finetune",
    "max_iter": 60,
    "tol": 0.0,
    "n_iter_no_change": 60,
}
STRENGTHS = [0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e9]
PENALTIES = ["l2_sp", "ewc"]


def run(pair, penalty, strength, seed):
    """Accuracy on source and target after fine-tuning."""
    rng = np.random.default_rng(seed)
    source, target = rng.permutation(len(pair.y_source)), rng.permutation(len(pair.y))
    learned, held_out = source[:3000], source[3000:]
    train, test = target[:200], target[200:]
    clf = TransferClassifier(**SETTINGS, penalty=penalty, alpha=strength, random_state=seed)
    clf.fit(
        pair.X[train], pair.y[train], **as_source(pair.X_source[learned], pair.y_source[learned])
    )
    return {
        "source": clf.score(pair.X_source[held_out], pair.y_source[held_out]),
        "target": clf.score(pair.X[test], pair.y[test]),
    }


def main():
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    args = parser.parse_args()
    n_seeds = 2 if args.quick else 10
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is given
    pair = load_mnist_digits_pair()
    pair.X, pair.X_source = pair.X.astype(np.float32), pair.X_source.astype(np.float32)
    start, results = time.perf_counter(), []
    with threadpool_limits(1), Parallel(args.jobs, "threading") as parallel:
        for penalty in PENALTIES:
            for strength in STRENGTHS:
                runs = parallel(
                    delayed(run)(pair, penalty, strength, seed) for seed in range(n_seeds)
                )
                by_domain = {k: [r[k] for r in runs] for k in ("source", "target")}
                results.append({"penalty": penalty, "strength": strength, **by_domain})
    seconds = time.perf_counter() - start
    rows = [
        [r["penalty"], f"{r['strength']:g}", report.spread(r["source"]), report.spread(r["target"])]
        for r in results
    ]
    print(f"Accuracy, mean ± sd over {n_seeds} seeds\n")
    print(report.table(["penalty", "strength", "source, kept", "target, won"], rows))
    path = report.write(
        "forgetting_quick" if args.quick else "forgetting",
        {**SETTINGS, "strengths": STRENGTHS, "n_seeds": n_seeds, "dtype": "float32"},
        results,
        seconds,
    )
    print(f"\n{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
