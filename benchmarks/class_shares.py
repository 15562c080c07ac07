"""What ``SelfTraining`` makes of shares of classes that are known, guessed from labels, or wrong.

``python -m benchmarks.class_shares``. Two data sets, each with a linear transfer alone and under
``SelfTraining``, on rows of the target that nothing has seen:

- Dim digits, drawn at random, some labelled and the others of 300 not; the source has bright ones.
  Shares: a tenth for each; those of the labels within a standard error, the default; those of the
  labels exactly; whatever the model predicts.
- Newsgroups (``benchmarks.newsgroups``), of which the second class is thinned out to a quarter
  of the rows without labels, while as many labels are drawn from either class. Shares: said to be
  alike; the true ones, with ``class_weight="balanced"`` in the transfer since labels have others.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks import report, texts
from benchmarks.data_file import parse_with_data
from benchmarks.newsgroups import DATA, PAIRS, load
from benchmarks.transfer_ladder import draw
from skmtl import SelfTraining, TransferClassifier, as_source

LINEAR = {"hidden_layer_sizes": (), "solver": "lbfgs", "max_iter": 200}
DIGITS = {**LINEAR, "lam": 3, "alpha": 1e-3, "share_head": True}
POSTS = {**texts.COMMON, "lam": 10, "alpha": 3e-3}
ALONE, KNOWN, WITHIN, EXACTLY, ANY = (
    "without the other rows",
    "shares known",
    "as labels within an error",
    "exactly as labels",
    "any",
)
ALIKE, TRUE = "said to be alike", "true shares, balanced"
RARE = 0.25


def on_digits(n_labels, seed):
    """Accuracy by what is said of the shares."""
    X, y = load_digits(return_X_y=True)
    bright, dim = X[:600] / 16, 0.3 + 0.4 * X / 16
    target, test = np.arange(1000, 1300), np.arange(1300, len(y))
    labelled = np.random.default_rng(seed).permutation(target)[:n_labels]
    y_few = np.where(np.isin(target, labelled), y[target], np.nan)
    transfer = TransferClassifier(**DIGITS, random_state=seed)
    shares = {
        KNOWN: np.full(10, 0.1),
        WITHIN: "labelled",
        EXACTLY: np.bincount(y[labelled], minlength=10) / n_labels,
        ANY: None,
    }
    models = {ALONE: transfer} | {
        said: SelfTraining(transfer, class_shares=of_classes) for said, of_classes in shares.items()
    }
    source = as_source(bright, y[:600])
    return {
        said: model.fit(dim[target], y_few, **source).score(dim[test], y[test])
        for said, model in models.items()
    }


def on_posts(data, k, seed):
    """The same with posts, of which one class is rare."""
    X_source, y_source, X, y = data
    train, rest = draw(y, k, seed)
    rng = np.random.default_rng(seed)
    common, rare = (rng.permutation(rest[y[rest] == c]) for c in np.unique(y))
    rest = rng.permutation(np.append(common, rare[: round(len(common) * RARE / (1 - RARE))]))
    unlabelled, test = np.array_split(rest, 2)
    transfer = TransferClassifier(**POSTS, random_state=seed)
    balanced = TransferClassifier(**POSTS, random_state=seed, class_weight="balanced")
    rows, source = (X[train], y[train]), as_source(X_source, y_source)
    models = {
        ALIKE: SelfTraining(transfer, class_shares=(0.5, 0.5)),
        TRUE: SelfTraining(balanced, class_shares=(1 - RARE, RARE)),
    }
    scores = {ALONE: transfer.fit(*rows, **source).score(X[test], y[test])}
    for said, model in models.items():
        model.fit(*rows, X_unlabeled=X[unlabelled], **source)
        scores[said] = model.score(X[test], y[test])
    return scores


def table_of(runs_by_size, unit):
    """Mean and spread of the scores, a row for each way and a column for each number of labels."""
    header = ["accuracy", *(f"{n} {unit}" for n in runs_by_size)]
    names = next(iter(runs_by_size.values()))[0]
    rows = [
        [name, *(report.spread([run[name] for run in runs]) for runs in runs_by_size.values())]
        for name in names
    ]
    return report.table(header, rows)


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds")
    args = parse_with_data(parser, DATA)
    seeds = range(2 if args.quick else 10)
    warnings.simplefilter("ignore", ConvergenceWarning)  # as in benchmarks.newsgroups
    start, records = time.perf_counter(), {}
    with threadpool_limits(1):
        found = {n: [on_digits(n, seed) for seed in seeds] for n in (20, 40, 100)}
        records["digits"] = found
        print(f"Dim digits\nMean ± sd over {len(seeds)} seeds\n\n{table_of(found, 'labels')}\n")
        for names in PAIRS:
            pair, data = " to ".join(names), load(args.data, names)
            found = {k: [on_posts(data, k, seed) for seed in seeds] for k in (20, 100)}
            records[pair] = found
            print(f"{pair}, the second class rare\n\n{table_of(found, 'labels a class')}\n")
    seconds = time.perf_counter() - start
    path = report.write(
        "class_shares_quick" if args.quick else "class_shares",
        {"digits": DIGITS, "posts": POSTS, "rare": RARE, "n_seeds": len(seeds)},
        records,
        seconds,
    )
    print(f"{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
