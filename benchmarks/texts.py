"""Ways to learn from few texts with the help of many others, tuned alike; two benchmarks use it.

Each way has a grid, and takes the point with the best balanced accuracy in 3-fold cross-validation,
repeated where that is cheap, on the labels of the target alone. ``TransferClassifierCV`` searches
over all ways on the same folds by ``tempered_log_score``, and refits what is best by it; beside
that stands what it would have refitted by its verdict.
"""

import time
from typing import NamedTuple

import numpy as np
import scipy.linalg  # loads the BLAS that is limited below  # noqa: F401
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.utils.parallel import Parallel, delayed  # with the filters of warnings
from threadpoolctl import threadpool_limits

from benchmarks import report
from benchmarks.transfer_ladder import draw
from skmtl import TransferClassifier, TransferClassifierCV, as_source
from skmtl.plugins.penalties import L2SP
from skmtl.search import tempered_log_score

N_FOLDS = 3
SCORE = "balanced_accuracy"
# Linear: hidden layers were worse on each rung. The source's classes weigh what the target's do.
COMMON = {
    "hidden_layer_sizes": (),
    "solver": "lbfgs",
    "max_iter": 40,
    "source_sample_weighting": "balanced",
}
LOGISTIC, SEARCH, VERDICT = "LogisticRegression", "TransferClassifierCV", "by its verdict"


class Grids(NamedTuple):
    """Over what all models of a benchmark are tuned, and how often in other folds."""

    alphas: tuple
    lams: tuple
    source_alphas: tuple
    n_repeats: int = 1

    def models(self):
        """By name the parameters of each model, and its grid."""
        alpha = {"alpha": self.alphas}
        return {
            "source_only": (
                {"strategy": "source_only", "source_sample_weighting": "uniform"},
                alpha,
            ),
            "target_only": ({"strategy": "target_only"}, alpha),
            "pooled": ({"strategy": "pooled"}, alpha),
            "finetune": (
                {"strategy": "finetune", "penalty": L2SP()},
                {"penalty__source_alpha": self.source_alphas, "alpha": [1e-4, 1e-3]},
            ),
            "joint": ({}, {"lam": self.lams, "alpha": [1e-4, 1e-3]}),
            SEARCH: (
                {"penalty": L2SP(source_alpha=1e-3)},
                {
                    "lams": self.lams,
                    "alphas": self.alphas,
                    "scoring": tempered_log_score,
                    "refit": "best",
                },
            ),
            LOGISTIC: ({"max_iter": 300}, {"C": [1, 10, 100, 1000]}),  # on the target alone
        }


def folds(y, seed, n_repeats):
    """The same folds of the target for every model."""
    splitters = [
        StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed + 1000 * repeat)
        for repeat in range(n_repeats)
    ]
    return [split for splitter in splitters for split in splitter.split(y, y)]


def fitted(name, grids, X, y, source, seed, **settings):
    """A model with the settings it chose on these rows of the target; and what it chose."""
    parameters, grid = grids.models()[name]
    cv, options = folds(y, seed, grids.n_repeats), {"scoring": SCORE}
    if name == LOGISTIC:
        search = GridSearchCV(LogisticRegression(**parameters), grid, cv=cv, **options).fit(X, y)
        return search, search.best_params_
    model = TransferClassifier(**{**COMMON, **settings, **parameters}, random_state=seed)
    if name == SEARCH:
        search = TransferClassifierCV(model, cv=cv, random_state=seed, **grid).fit(X, y, **source)
        return search, {**search.best_params_, "verdict": search.verdict_}
    if parameters.get("strategy") == "source_only":  # sees none of these rows: all test one fit
        cv = [(np.arange(len(y)), np.arange(len(y)))]
    search = GridSearchCV(model, grid, cv=cv, **options).fit(X, y, **source)
    return search, search.best_params_


def by_verdict(search, X, y, source):
    """What a search would have refitted with ``refit="verdict"``."""
    params = search.best_sharing_params_
    if search.verdict_ != "helps":
        results = search.cv_results_
        best = np.where(results["shares"], -np.inf, results["mean_test_score"]).argmax()
        params = results["params"][best]
    return clone(search.estimator).set_params(**params).fit(X, y, **source)


def run(data, name, k, seed, grids, **settings):
    """Balanced accuracy of one model, share of each class that it found, and what it chose."""
    X_source, y_source, X, y = data
    train, test = draw(y, k, seed)
    if name == "source_only":  # it can predict the labels in common alone
        common = np.isin(y_source, y)
        X_source, y_source = X_source[common], y_source[common]
    rows = X[train], y[train], as_source(X_source, y_source)
    model, chosen = fitted(name, grids, *rows, seed, **settings)
    recall = recalls(model, X[test], y[test])
    result = {"score": np.mean(recall), "recall": recall, "chosen": chosen}
    if name == SEARCH:
        result[VERDICT] = np.mean(recalls(by_verdict(model, *rows), X[test], y[test]))
    return result


def recalls(model, X, y):
    """The share of each class that a model finds."""
    right = model.predict(X) == y
    return [right[y == label].mean() for label in np.unique(y)]


def run_all(data, ks, n_seeds, n_jobs, grids, label="", **settings):
    """All models with each k, in processes: ``{(name, k): [one result for each seed]}``.

    ``settings`` are more parameters that all transfers have in common.
    """
    start, runs = time.perf_counter(), {}
    with threadpool_limits(1), Parallel(n_jobs) as parallel:
        for k in ks:
            for name in grids.models():
                runs[name, k] = parallel(
                    delayed(run)(data, name, k, seed, grids, **settings) for seed in range(n_seeds)
                )
                print(
                    f"{label}k={k:<4} {name:20} {report.spread(scores_of(runs, name, k))}"
                    f"   {time.perf_counter() - start:5.0f} s",
                    flush=True,
                )
    return runs


def scores_of(runs, name, k):
    """Test scores by seed."""
    if name == VERDICT:
        return [r[VERDICT] for r in runs[SEARCH, k]]
    return [r["score"] for r in runs[name, k]]


OURS, OTHERS = (
    ("finetune", "joint", SEARCH, VERDICT),
    ("target_only", LOGISTIC, "source_only", "pooled"),
)


def show(runs, ks, more_rows=()):
    """Print the scores, with more rows below, and how ours differ from the others."""
    header = ["balanced accuracy", *(f"k={k}" for k in ks)]
    names = [*dict.fromkeys(name for name, _ in runs), VERDICT]
    rows = [[name, *(report.spread(scores_of(runs, name, k)) for k in ks)] for name in names]
    helps = [[r["chosen"]["verdict"] == "helps" for r in runs[SEARCH, k]] for k in ks]
    rows.append(["says that it helps, share", *(f"{np.mean(h):.1f}" for h in helps)])
    rows += more_rows
    gaps = [
        [
            f"{name} - {other}",
            *(report.paired(scores_of(runs, name, k), scores_of(runs, other, k)) for k in ks),
        ]
        for name in OURS
        for other in OTHERS
    ]
    rungs = ["finetune", "joint", "pooled", "source_only", "target_only"]
    best = [max(rungs, key=lambda rung: np.mean(scores_of(runs, rung, k))) for k in ks]
    gaps += [
        [
            f"{name} - the best rung",
            *(
                f"{report.paired(scores_of(runs, name, k), scores_of(runs, rung, k))} ({rung})"
                for k, rung in zip(ks, best)
            ),
        ]
        for name in (SEARCH, VERDICT)
    ]
    n_seeds = len(runs[SEARCH, ks[0]])
    print(f"\nMean ± sd over {n_seeds} seeds\n\n{report.table(header, rows)}")
    header[0] = "difference"
    print(f"\nPaired, mean ± standard error\n\n{report.table(header, gaps)}\n")


def as_records(runs, **of_all):
    """What the JSON holds of the runs."""
    return [
        {**of_all, "model": name, "k": k, **{key: [r[key] for r in of] for key in of[0]}}
        for (name, k), of in runs.items()
    ]


def settings_of(ks, n_seeds, n_jobs, grids, **more):
    """What the JSON holds of how they ran."""
    return {
        "common": COMMON,
        "models": {name: str(model) for name, model in grids.models().items()},
        "n_folds": N_FOLDS,
        "n_repeats": grids.n_repeats,
        "k": ks,
        "n_seeds": n_seeds,
        "dtype": "float32",
        "processes": n_jobs,
        **more,
    }
