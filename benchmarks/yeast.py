"""Yeast, 14 yes-or-no labels a gene: what sharing brings, by how many genes have labels.

``python -m benchmarks.yeast``. For each seed the genes are shuffled: the last 917 test, the first
100, 300 or 1500 train. Columns are scaled by the training rows. Every method chooses among some
settings by the mean of macro and micro F1 of out-of-fold predictions on the training rows alone:
the nets, all with one hidden layer, among 3, the linear ones among 8 strengths of their penalty. A
label is predicted where its probability is at least a threshold, for all methods alike: once 0.5,
and once a number for all labels that is chosen along with the settings, on the same predictions.

"one net a label" is the same net with ``sharing="none"``. Solver and dropout are those at which
"hard" was best on other draws than these. Yeast comes with the package river.
"""

import argparse
import time
import warnings

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import ParameterGrid
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks import report
from skmtl import MultiTaskClassifier
from skmtl.datasets import load_yeast_tasks
from skmtl.model_selection import MultiTaskKFold
from skmtl.plugins.sharings import LearnedGroups

N_FOLDS, N_TEST = 3, 917
FIRST_SEED = 100  # solver and dropout were chosen with those below
THRESHOLDS = np.array([0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6])
FIXED = 8  # the number of 0.5 among them
WAYS = ("0.5", "tuned")
FIGURES = [(way, kind) for way in WAYS for kind in ("macro", "micro")]
COMMON = {
    "hidden_layer_sizes": (32,),
    "learning_rate_init": 5e-3,
    "batch_size": 100,
    "max_iter": 50,
    "tol": 0,
    "dropout": 0.3,
}
NETS = {"lam": [1e-2, 5e-2, 0.2]}
STRENGTHS = {"estimator__C": np.logspace(-3, 0.5, 8)}
SHARINGS = {
    "one net a label": "none",
    "hard": "hard",
    "grouped": LearnedGroups(3),
    "cross_stitch": "cross_stitch",
    "mmoe": "mmoe",
    "cgc": "cgc",
}


class Logistic(LogisticRegression):
    """Logistic regression that takes rows of one class, as folds of rare labels are."""

    def fit(self, X, y):
        """Fit; the class that is there is sure where it is the only one."""
        if np.ptp(y):
            return super().fit(X, y)
        self.classes_, self.coef_ = np.array([0, 1]), np.zeros((1, X.shape[1]))
        self.intercept_, self.n_features_in_ = np.array([40.0 if y[0] else -40.0]), X.shape[1]
        return self


def methods(seed):
    """Models and grids by name."""
    nets = {
        name: (MultiTaskClassifier(**COMMON, sharing=sharing, random_state=seed), NETS)
        for name, sharing in SHARINGS.items()
    }
    linear = {
        "MultiOutputClassifier": MultiOutputClassifier(Logistic()),
        "ClassifierChain": ClassifierChain(Logistic(), order="random", random_state=seed),
    }
    return {**nets, **{name: (model, STRENGTHS) for name, model in linear.items()}}


def probabilities(model, X):
    """P(y = 1), ndarray of shape (n_rows, 14), whatever form the model gives it in."""
    proba = model.predict_proba(X)
    if not isinstance(proba, list):
        return proba
    columns = zip(proba, model[-1].classes_)
    return np.column_stack([p[:, 1] if len(c) == 2 else np.full(len(p), c[0]) for p, c in columns])


def both_f1(Y, proba, threshold):
    """Macro and micro F1."""
    said = (proba >= threshold).astype(int)
    return np.array([f1_score(Y, said, average=a, zero_division=0) for a in ("macro", "micro")])


def run(data, name, n, seed):
    """Test F1 of one method by way of choosing the threshold, and what was chosen."""
    X, Y = data
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = order[:n], order[-N_TEST:]
    model, grid = methods(seed)[name]
    candidates = [
        make_pipeline(StandardScaler(), clone(model).set_params(**settings))
        for settings in ParameterGrid(grid)
    ]
    folds = list(MultiTaskKFold(N_FOLDS, random_state=seed).split(X[train], Y[train]))
    scores = np.empty((len(candidates), len(THRESHOLDS)))
    for c, candidate in enumerate(candidates):
        proba = np.empty((n, Y.shape[1]))
        for rest, held_out in folds:
            fitted = clone(candidate).fit(X[train][rest], Y[train][rest])
            proba[held_out] = probabilities(fitted, X[train][held_out])
        scores[c] = [both_f1(Y[train], proba, t).mean() for t in THRESHOLDS]
    found, tested = {}, {}
    for way, columns in zip(WAYS, ([FIXED], np.arange(len(THRESHOLDS)))):
        c, best = np.unravel_index(scores[:, columns].argmax(), (len(candidates), len(columns)))
        if c not in tested:
            tested[c] = probabilities(candidates[c].fit(X[train], Y[train]), X[test])
        threshold = float(THRESHOLDS[columns[best]])
        macro, micro = both_f1(Y[test], tested[c], threshold)
        chosen = {**ParameterGrid(grid)[c], "threshold": threshold}
        found[way] = {"macro": macro, "micro": micro, "chosen": chosen}
    return found


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, 100 genes")
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    args = parser.parse_args()
    sizes, n_seeds = ([100], 2) if args.quick else ([100, 300, 1500], 10)
    warnings.simplefilter("ignore", ConvergenceWarning)  # the numbers of epochs are given
    # Of the rarest labels 100 genes have one or none.
    warnings.filterwarnings("ignore", message="Some of the n_splits|Only one class in task")

    seeds = range(FIRST_SEED, FIRST_SEED + n_seeds)
    X, Y = load_yeast_tasks(return_X_y=True)
    data, names = (X.astype(np.float32), Y), list(methods(0))
    start, runs = time.perf_counter(), {}
    with threadpool_limits(1), Parallel(args.jobs, "threading") as parallel:
        for n in sizes:
            for name in names:
                found = parallel(delayed(run)(data, name, n, seed) for seed in seeds)
                for way, kind in FIGURES:
                    runs[name, n, way, kind] = [r[way][kind] for r in found]
                runs[name, n, "chosen"] = [{way: r[way]["chosen"] for way in WAYS} for r in found]
                shown = " ".join(report.spread(runs[name, n, *figure]) for figure in FIGURES)
                print(f"n={n:<5}{name:22}{shown}  {time.perf_counter() - start:5.0f} s", flush=True)
    seconds = time.perf_counter() - start

    header = [f"n={n}" for n in sizes]
    for way, kind in FIGURES:
        rows = [[m, *(report.spread(runs[m, n, way, kind]) for n in sizes)] for m in names]
        gaps = [
            [
                f"{ours} - {other}",
                *(
                    report.paired(runs[ours, n, way, kind], runs[other, n, way, kind])
                    for n in sizes
                ),
            ]
            for ours in list(SHARINGS)[1:]
            for other in ("one net a label", "MultiOutputClassifier", "ClassifierChain")
        ]
        print(f"\n{kind} F1, threshold {way}: mean ± sd over {n_seeds} seeds\n")
        print(report.table([f"{kind} F1", *header], rows))
        print("\nPaired, mean ± standard error\n")
        print(report.table(["difference", *header], gaps))
    path = report.write(
        "yeast_quick" if args.quick else "yeast",
        {"common": COMMON, "nets": NETS, "strengths": STRENGTHS,
         "sharings": {name: str(sharing) for name, sharing in SHARINGS.items()},
         "n_folds": N_FOLDS, "thresholds": THRESHOLDS, "sizes": sizes, "n_seeds": n_seeds,
         "dtype": "float32", "threads": args.jobs},
        [
            {"method": m, "rows": n, "chosen": runs[m, n, "chosen"],
             **{f"{kind} F1, {way}": runs[m, n, way, kind] for way, kind in FIGURES}}
            for n in sizes for m in names
        ],
        seconds,
    )  # fmt: skip
    print(f"\n{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
