"""The same network trained by scikit-learn and by skmtl: is the accuracy the same?

``python -m benchmarks.sklearn_parity``. The same rows, widths, optimizer, batch size, number of
epochs and penalty. scikit-learn adds ``alpha / 2 ||W||^2`` over the rows *of the batch*
(MLPClassifier._compute_loss_grad), so its alpha is our ``lam`` times the batch size.
"""

import argparse
import time
import warnings

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from joblib import Parallel, delayed
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks import report
from skmtl import MultiTaskClassifier

DATA = {"digits": load_digits, "breast_cancer": load_breast_cancer, "wine": load_wine}
ALPHA, BATCH_SIZE = 1e-2, 32
COMMON = {
    "hidden_layer_sizes": (64, 32),
    "activation": "relu",
    "solver": "adam",
    "batch_size": BATCH_SIZE,
    "learning_rate_init": 1e-3,
    "max_iter": 60,
    "tol": 0.0,
    "n_iter_no_change": 60,  # both train for all their epochs
}


def run(name, seed):
    """Test accuracy of scikit-learn and of skmtl on one split."""
    X, y = DATA[name](return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.4, stratify=y, random_state=seed
    )
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    models = (
        MLPClassifier(alpha=ALPHA, random_state=seed, **COMMON),
        MultiTaskClassifier(lam=ALPHA / BATCH_SIZE, random_state=seed, **COMMON),
    )
    return [model.fit(X_train, y_train).score(X_test, y_test) for model in models]


def main():
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 seeds")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    args = parser.parse_args()
    n_seeds = 3 if args.quick else 10
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed

    start, rows, results = time.perf_counter(), [], []
    with threadpool_limits(1), Parallel(args.jobs, "threading") as parallel:
        for name in DATA:
            theirs, ours = np.transpose(
                parallel(delayed(run)(name, seed) for seed in range(n_seeds))
            ).tolist()
            within = abs(np.mean(ours) - np.mean(theirs)) <= np.std(theirs, ddof=1)
            rows.append(
                [
                    name,
                    report.spread(theirs, 4),
                    report.spread(ours, 4),
                    report.paired(ours, theirs, 4),
                    "yes" if within else "no",
                ]
            )
            results.append({"data": name, "scikit-learn": theirs, "skmtl": ours})
    seconds = time.perf_counter() - start
    header = ["test accuracy", "scikit-learn", "skmtl", "difference ± se", "within one sd"]
    print(f"Mean ± sd over {n_seeds} seeds\n\n{report.table(header, rows)}\n")
    settings = {**COMMON, "alpha": ALPHA, "lam": ALPHA / BATCH_SIZE, "n_seeds": n_seeds}
    name = "sklearn_parity_quick" if args.quick else "sklearn_parity"
    print(f"{seconds:.0f} s; {report.write(name, settings, results, seconds)}")


if __name__ == "__main__":
    main()
