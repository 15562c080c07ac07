"""Wine quality, white to red, with 10, 30 and 100 red wines: every way to use the white ones.

``python -m benchmarks.wine --data wine_quality.csv.gz``. For each seed, k red wines are the target;
R2 is on all other reds. Columns are scaled by the whites. All models but "joint, a net" are linear,
and each chooses its settings by 5-fold cross-validation of the squared error on the k reds alone.
"search" is ``TransferRegressorCV`` with folds of its own of the k reds, over all linear ways and
all ``alphas``; "by score" is what it would refit with ``refit="best"``.

The file joins the two tables of Cortez et al. (2009), doi 10.24432/C56S3T (CC BY 4.0): 11
measurements, ``quality`` and ``color``. By default it is looked for in ``shared/data`` beside the
project.
"""

import argparse
import csv
import gzip
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold
from threadpoolctl import threadpool_limits

from benchmarks import report
from benchmarks.data_file import parse_with_data
from skmtl import TransferRegressor, TransferRegressorCV, as_source

DATA = Path(__file__).parents[2] / "shared" / "data" / "wine_quality.csv.gz"
N_FOLDS = 5
COMMON = {"hidden_layer_sizes": (), "solver": "lbfgs"}
ALPHAS, LAMS = [1e-2, 1e-1, 1.0, 10.0], [0.01, 0.03, 0.1, 0.3, 1, 3, 10]
MODELS = {
    "source_only": ({"strategy": "source_only", "alpha": 1e-2}, {}),
    "target_only": ({"strategy": "target_only"}, {"alpha": ALPHAS}),
    "pooled": ({"strategy": "pooled"}, {"alpha": [1e-4, 1e-3, 1e-2, 1e-1]}),
    "finetune": ({"strategy": "finetune", "penalty": "l2_sp"}, {"alpha": ALPHAS}),
    "joint": ({"alpha": 1e-2}, {"lam": LAMS}),
    "joint, a net": ({"hidden_layer_sizes": (16,), "alpha": 1e-1}, {"lam": LAMS[1::2]}),
}
SEARCH = {"lams": LAMS, "alphas": ALPHAS, "warm_path": True}
SEARCHED = "search", "by score"
VERDICTS = "helps", "no difference", "hurts"
RIDGE = {"alpha": np.logspace(-1, 3, 9)}
# DESIGN 7, measured with scikit-learn's models by k.
FLOORS = {
    "source only": {10: -0.565, 30: -0.565, 100: -0.565},
    "target only": {10: -0.01, 30: 0.215, 100: 0.285},
    "source + residual": {10: 0.148, 30: 0.262, 100: 0.304},
}


def load(path):
    """(X, y) of the white wines and of the red ones, columns scaled by the whites."""
    with gzip.open(path, "rt", newline="") as file:
        _, *lines = csv.reader(file)
    table = np.array([line[:-1] for line in lines], float)
    is_red = np.array([line[-1] == "red" for line in lines])
    X, y = table[:, :-1], table[:, -1]
    X = (X - X[~is_red].mean(axis=0)) / X[~is_red].std(axis=0)
    return (X[~is_red], y[~is_red]), (X[is_red], y[is_red])


def draw(n_rows, k, seed):
    """Rows of the target, and all others."""
    train = np.random.default_rng(seed).choice(n_rows, k, replace=False)
    return train, np.setdiff1d(np.arange(n_rows), train)


def tuned(model, grid, X, y, seed, **source):
    """The model with the settings of the grid that predict held-out rows best."""
    cv = KFold(N_FOLDS, shuffle=True, random_state=seed)
    chosen = GridSearchCV(model, grid, cv=cv, scoring="neg_mean_squared_error")
    return chosen.fit(X, y, **source)


def run(white, red, name, k, seed):
    """Test R2 of one model, and the settings that it chose."""
    (X, y), (train, test) = red, draw(len(red[1]), k, seed)
    base, chosen = np.zeros(len(y)), {}
    if name in MODELS:
        parameters, grid = MODELS[name]
        model = TransferRegressor(**{**COMMON, **parameters}, random_state=seed)
        if grid:
            model = tuned(model, grid, X[train], y[train], seed, **as_source(*white))
            chosen = model.best_params_
        else:
            model.fit(X[train], y[train], **as_source(*white))
    elif name == "search":
        return run_search(white, red, train, test, seed)
    else:
        if name == "ridge: source + residual":
            base = Ridge(1.0).fit(*white).predict(X)
        model = tuned(Ridge(), RIDGE, X[train], y[train] - base[train], seed)
        chosen = model.best_params_
    return {"r2": r2_score(y[test], base[test] + model.predict(X[test])), "chosen": chosen}


def run_search(white, red, train, test, seed):
    """Test R2 of what a search refits by its verdict and by its score, and what it says."""
    (X, y), source = red, as_source(*white)
    model = TransferRegressor(**COMMON, penalty="l2_sp", random_state=seed)
    found = TransferRegressorCV(model, **SEARCH, random_state=seed)
    found.fit(X[train], y[train], **source)
    means, by_score = found.cv_results_["mean_test_score"], found
    if means[found.cv_results_["params"].index(found.best_sharing_params_)] > found.best_score_:
        by_score = clone(model).set_params(**found.best_sharing_params_)
        by_score.fit(X[train], y[train], **source)
    return {
        "r2": found.score(X[test], y[test]),
        "by score": by_score.score(X[test], y[test]),
        "chosen": {"verdict": found.verdict_, **found.best_params_},
    }


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, k = 10 and 30")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    args = parse_with_data(parser, DATA)
    ks, n_seeds = ([10, 30], 2) if args.quick else ([10, 30, 100], 10)
    # lbfgs ends where the objective hardly falls, or after 200 iterations: both are near enough.
    warnings.simplefilter("ignore", ConvergenceWarning)
    white, red = load(args.data)
    names = [*MODELS, "search", "ridge: target only", "ridge: source + residual"]
    start, r2, chosen = time.perf_counter(), {}, {}
    with threadpool_limits(1), Parallel(args.jobs, "threading") as parallel:
        for k in ks:
            for name in names:
                runs = parallel(delayed(run)(white, red, name, k, seed) for seed in range(n_seeds))
                r2[name, k] = [r["r2"] for r in runs]
                chosen[name, k] = [r["chosen"] for r in runs]
                if name == "search":
                    r2["by score", k] = [r["by score"] for r in runs]
    seconds = time.perf_counter() - start

    header = ["R2", *(f"k={k}" for k in ks)]
    names = list(dict.fromkeys(name for name, _ in r2))
    rows = [[name, *(report.spread(r2[name, k]) for k in ks)] for name in names]
    rows += [[f"floor: {s}", *(f"{floor[k]:.3f}" for k in ks)] for s, floor in FLOORS.items()]
    gaps = [
        [f"{ours} - {other}", *(report.paired(r2[ours, k], r2[other, k]) for k in ks)]
        for ours in ("joint", "finetune", *SEARCHED)
        for other in ("target_only", "pooled", "joint", "ridge: source + residual")
        if other != ours
    ]
    said = {k: [c["verdict"] for c in chosen["search", k]] for k in ks}
    shares = [[v, *(f"{said[k].count(v) / n_seeds:.1f}" for k in ks)] for v in VERDICTS]
    print(f"Mean ± sd over {n_seeds} seeds\n\n{report.table(header, rows)}")
    header[0] = "difference"
    print(f"\nPaired, mean ± standard error\n\n{report.table(header, gaps)}")
    header[0] = "verdict"
    print(f"\nShares of the verdicts\n\n{report.table(header, shares)}\n")
    path = report.write(
        "wine_quick" if args.quick else "wine",
        {"common": COMMON, "models": MODELS, "search": SEARCH, "ridge": RIDGE,
         "n_folds": N_FOLDS, "k": ks, "n_seeds": n_seeds, "threads": args.jobs},
        [{"model": m, "k": k, "r2": r2[m, k], "chosen": chosen.get((m, k))} for m, k in r2],
        seconds,
    )  # fmt: skip
    print(f"{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
