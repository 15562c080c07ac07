"""Newsgroups with few labels and many rows without: what these bring, and what the source does.

``python -m benchmarks.newsgroups_unlabelled``. The pairs of ``benchmarks.newsgroups``: k posts of
each of the two classes have labels. Half of the target's other posts are known without labels,
balanced accuracy is on the other half. The target alone and "joint" are tuned as there;
``SelfTraining`` of both, with ``lam=10``, by 3-fold cross-validation on the same labels.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

from benchmarks import report, texts
from benchmarks.data_file import parse_with_data
from benchmarks.newsgroups import DATA, GRIDS, PAIRS, load
from benchmarks.transfer_ladder import draw
from skmtl import SelfTraining, TransferClassifier, as_source

ALONE, JOINT = "target_only", "joint"
#: About what the posts have: labels drawn alike from both classes do not tell.
SHARES = (0.5, 0.5)
GRID = {"estimator__alpha": [1e-3, 3e-3, 1e-2]}
#: Parameters of the estimator under ``SelfTraining``.
SELF_TRAINED = {
    f"{ALONE} + unlabelled": {"strategy": ALONE},
    f"{JOINT} + unlabelled": {"lam": 10},
}
NAMES = [ALONE, JOINT, *SELF_TRAINED]


def run(data, k, seed):
    """Balanced accuracy and chosen settings by name of model."""
    X_source, y_source, X, y = data
    train, rest = draw(y, k, seed)
    unlabelled, test = np.array_split(np.random.default_rng(seed).permutation(rest), 2)
    rows, source, results = (X[train], y[train]), as_source(X_source, y_source), {}
    for name in NAMES:
        if name in SELF_TRAINED:
            model = TransferClassifier(**texts.COMMON, **SELF_TRAINED[name], random_state=seed)
            cv = texts.folds(y[train], seed, 1)
            search = GridSearchCV(
                SelfTraining(model, class_shares=SHARES), GRID, cv=cv, scoring=texts.SCORE
            )
            search.fit(*rows, X_unlabeled=X[unlabelled], **source)
            chosen = search.best_params_
        else:
            search, chosen = texts.fitted(name, GRIDS, *rows, source, seed)
        score = np.mean(texts.recalls(search, X[test], y[test]))
        results[name] = {"score": score, "chosen": chosen}
    return results


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, k = 5 and 20")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parse_with_data(parser, DATA)
    ks, n_seeds = ([5, 20], 2) if args.quick else ([5, 20, 100], 10)
    warnings.simplefilter("ignore", ConvergenceWarning)  # as in benchmarks.newsgroups
    start, records = time.perf_counter(), []
    for names in PAIRS:
        pair, data, scores = " to ".join(names), load(args.data, names), {}
        with threadpool_limits(1), Parallel(args.jobs) as parallel:
            for k in ks:
                runs = parallel(delayed(run)(data, k, seed) for seed in range(n_seeds))
                for name in NAMES:
                    scores[name, k] = [r[name]["score"] for r in runs]
                    chosen = [r[name]["chosen"] for r in runs]
                    records.append(
                        {"pair": pair, "model": name, "k": k, "score": scores[name, k]}
                        | {"chosen": chosen}
                    )
        header = ["balanced accuracy", *(f"k={k}" for k in ks)]
        rows = [[name, *(report.spread(scores[name, k]) for k in ks)] for name in NAMES]
        print(f"\n{pair}\nMean ± sd over {n_seeds} seeds\n\n{report.table(header, rows)}")
        header[0] = "difference"
        alone, joint = SELF_TRAINED
        gaps = [(JOINT, ALONE), (alone, ALONE), (joint, ALONE), (joint, JOINT), (joint, alone)]
        rows = [
            [f"{a} - {b}", *(report.paired(scores[a, k], scores[b, k]) for k in ks)]
            for a, b in gaps
        ]
        print(f"\nPaired, mean ± standard error\n\n{report.table(header, rows)}", flush=True)
    seconds = time.perf_counter() - start
    path = report.write(
        "newsgroups_unlabelled_quick" if args.quick else "newsgroups_unlabelled",
        {
            "common": texts.COMMON,
            "models": SELF_TRAINED,
            "grid": GRID,
            "class_shares": SHARES,
            "k": ks,
            "n_seeds": n_seeds,
            "dtype": "float32",
            "processes": args.jobs,
        },
        records,
        seconds,
    )
    print(f"\n{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
