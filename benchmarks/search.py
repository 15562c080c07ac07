"""TransferClassifierCV against GridSearchCV over the same candidates, MNIST to digits.

``python -m benchmarks.search``. For each seed, k digits a class are the target. Both search the
same candidates on the same folds, with the same score and as many threads; accuracy is on all other
digits, and so is that of each rung of the ladder with its defaults. The rungs tuned by
cross-validation on the same draws are those of ``benchmarks.transfer_ladder``, from its results.
"By score" is what the same search refits with ``refit="best"``.
"""

import argparse
import json
import time
import warnings

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from benchmarks import report
from benchmarks.transfer_ladder import DEFAULTS, draw
from skmtl import TransferClassifier, TransferClassifierCV, as_source
from skmtl.datasets import load_mnist_digits_pair
from skmtl.search.scores import log_score

# The rung "finetune" runs 100 epochs on the source; the search's candidate as many.
COMMON = {
    "hidden_layer_sizes": (128,),
    "feature_map": "linear",
    "max_iter": 40,
    "pretrain_max_iter": 100,
}
# GridSearchCV takes minutes a seed.
N_GRIDS = 2
BY_SCORE = "by score"


def timed(search, X, y, source):
    """Fit; gives the seconds."""
    start = time.perf_counter()
    search.fit(X, y, **source)
    return time.perf_counter() - start


def by_score(search, X, y, source):
    """What the search would have refitted with ``refit="best"``."""
    if search.cv_results_ is None:
        return search.best_estimator_
    best = search.cv_results_["rank_test_score"].argmin()
    params = search.cv_results_["params"][best]
    return clone(search.estimator).set_params(**params).fit(X, y, **source)


def run(pair, source, k, seed, n_jobs, with_grid):
    """Accuracies by way, verdict, and seconds of the searches."""
    train, test = draw(pair.y, k, seed)
    X, y = pair.X[train], pair.y[train]
    model = TransferClassifier(random_state=seed, **COMMON)
    search = TransferClassifierCV(model, n_jobs=n_jobs, random_state=seed)
    found = {"search seconds": timed(search, X, y, source), "verdict": search.verdict_}
    fitted = {"search": search.best_estimator_, BY_SCORE: by_score(search, X, y, source)}
    if with_grid:
        cv = search._splits(y, y)
        grid = [{n: [v] for n, v in p.items()} for p in search.cv_results_["params"]]
        grid = GridSearchCV(model, grid, cv=cv, scoring=log_score, n_jobs=n_jobs)
        with parallel_config("threading"):
            found["grid seconds"] = timed(grid, X, y, source)
        fitted["grid"] = grid.best_estimator_
    for strategy, settings in DEFAULTS.items():
        rung = clone(model).set_params(strategy=strategy, **settings)
        fitted[strategy] = rung.fit(X, y, **source)
    accuracy = {way: f.score(pair.X[test], pair.y[test]) for way, f in fitted.items()}
    return {**found, **accuracy}


def tuned_rungs(k, n_seeds):
    """Accuracies of the tuned rungs by seed."""
    results = json.loads((report.RESULTS / "transfer_ladder.json").read_text())["results"]
    return {r["strategy"]: r["accuracy"][:n_seeds] for r in results if r["k"] == k}


def less_the_best(searched, rungs):
    """A search against the best of some rungs, paired."""
    best = max(rungs, key=lambda rung: np.mean(rungs[rung]))
    return f"{best} {report.paired(searched, rungs[best])}"


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, k = 3")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    args = parser.parse_args()
    ks, n_seeds = ([3], 2) if args.quick else ([1, 3, 5, 10], 10)
    grid_at = 3 if args.quick else 5
    warnings.simplefilter("ignore", ConvergenceWarning)  # the numbers of epochs are given

    pair = load_mnist_digits_pair()
    pair.X, pair.X_source = pair.X.astype(np.float32), pair.X_source.astype(np.float32)
    source = as_source(pair.X_source, pair.y_source)
    start, results, rows = time.perf_counter(), [], []
    with threadpool_limits(1):
        for k in ks:
            runs = [
                run(pair, source, k, seed, args.jobs, k == grid_at and seed < N_GRIDS)
                for seed in range(n_seeds)
            ]
            found = {name: [r[name] for r in runs if name in r] for name in runs[0]}
            results.append({"k": k, **found})
            helps = np.mean([v == "helps" for v in found["verdict"]])
            rows.append(
                [
                    f"{k}",
                    report.spread(found["search"]),
                    f"{helps:.1f}",
                    report.spread(found[BY_SCORE]),
                    *(report.spread(found[rung]) for rung in DEFAULTS),
                    less_the_best(found["search"], {rung: found[rung] for rung in DEFAULTS}),
                    less_the_best(found["search"], tuned_rungs(k, n_seeds)),
                    less_the_best(found[BY_SCORE], tuned_rungs(k, n_seeds)),
                    report.paired(found["search"], found["target_only"]),
                ]
            )
            print(" ".join(rows[-1]), flush=True)
            if "grid" in found:
                n = len(found["grid"])
                seconds = found["search seconds"][:n], found["grid seconds"]
                against = (
                    f"k={k}, {n} seeds: {np.median(seconds[0]):.1f} s against "
                    f"{np.median(seconds[1]):.1f} s of GridSearchCV, ratio "
                    f"{np.median(np.divide(*seconds)):.2f}; accuracy "
                    f"{report.paired(found['search'][:n], found['grid'])}"
                )
                print(against, flush=True)
    seconds = time.perf_counter() - start
    header = [
        "k",
        "search",
        "helps",
        BY_SCORE,
        *DEFAULTS,
        "less the best rung",
        "less the best tuned",
        f"{BY_SCORE}, less the best tuned",
        "less target_only",
    ]
    print(f"\nMean ± sd over {n_seeds} seeds; paired differences ± standard error\n")
    print(report.table(header, rows))
    print(f"\n{against}")
    path = report.write(
        "search_quick" if args.quick else "search",
        {"common": COMMON, "defaults": DEFAULTS, "n_seeds": n_seeds, "threads": args.jobs},
        results,
        seconds,
    )
    print(f"{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
