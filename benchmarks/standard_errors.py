"""How right are standard errors of a difference over folds?

``python -m benchmarks.standard_errors``. Two classifiers on nine digits of each class, compared
over four times five folds, as a search compares a source with the target alone; for 200 draws of
the digits. The standard deviation of the mean difference over draws is what a standard error
should be. Beside it, as multiples of that, the root of the mean square of each: Nadeau and
Bengio's, by which the verdict is "helps", and that in which each row counts once, by which it is
"hurts".
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

from benchmarks import report
from benchmarks.transfer_ladder import draw
from skmtl.search.verdict import describe_folds, error_over_rows, paired

PAIRS = {
    "logistic regression, C=.1 and 10": (LogisticRegression(C=0.1), LogisticRegression(C=10)),
    "neighbours, logistic regression": (
        KNeighborsClassifier(weights="distance"),
        LogisticRegression(),
    ),
    "naive Bayes, linear discriminants": (
        GaussianNB(var_smoothing=1e-2),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3),
    ),
}
SCORES = ("accuracy", "neg_brier_score")
K, N_FOLDS, N_REPEATS = 9, 5, 4


def run(pair, seed):
    """The mean difference of a draw and its two errors, by score."""
    X, y = load_digits(return_X_y=True)
    rows, _ = draw(y, K, seed)
    X, y = X[rows] / 16, y[rows]
    folds = RepeatedStratifiedKFold(n_splits=N_FOLDS, n_repeats=N_REPEATS, random_state=seed)
    splits = list(folds.split(X, y))
    described = describe_folds(splits, len(y))
    found = {name: [] for name in SCORES}
    for train, test in splits:
        models = [model.fit(X[train], y[train]) for model in pair]
        for name, of_folds in found.items():
            first, second = (get_scorer(name)(model, X[test], y[test]) for model in models)
            of_folds.append(first - second)
    return {
        name: (gain.mean, gain.std_error, error_over_rows(gain.by_fold, described))
        for name, of_folds in found.items()
        for gain in [paired(np.array(of_folds), described)]
    }


def main():
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 draws")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parser.parse_args()
    n_draws = 40 if args.quick else 200
    start, results, rows = time.perf_counter(), [], []
    with threadpool_limits(1), Parallel(args.jobs) as parallel:
        for pair_name, pair in PAIRS.items():
            runs = parallel(delayed(run)(pair, seed) for seed in range(n_draws))
            for score in SCORES:
                means, *errors = np.array([found[score] for found in runs]).T
                spread = means.std(ddof=1)
                ratios = [np.sqrt(np.mean(np.square(error))) / spread for error in errors]
                results.append(
                    {"pair": pair_name, "score": score, "spread": spread, "ratios": ratios}
                )
                numbers = [f"{means.mean():+.3f}", f"{spread:.3f}", *(f"{r:.2f}" for r in ratios)]
                rows.append([pair_name, score, *numbers])
    seconds = time.perf_counter() - start
    header = ["classifiers", "score", "difference", "spread", "Nadeau and Bengio", "over rows"]
    print(f"{n_draws} draws; errors as multiples of the spread over draws\n")
    print(report.table(header, rows))
    path = report.write(
        "standard_errors_quick" if args.quick else "standard_errors",
        {"n_draws": n_draws, "k": K, "n_folds": N_FOLDS, "n_repeats": N_REPEATS},
        results,
        seconds,
    )
    print(f"\n{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
