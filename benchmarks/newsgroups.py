"""Newsgroups with few labels, with the help of others on neighbouring subjects, on CSR rows.

``python -m benchmarks.newsgroups``. Computers or science, and recreation or talk: the source has
some groups of each, the target has others, and both have the same 2,000 words. For each seed, k
posts of each of the two classes are the target; balanced accuracy is on all its other posts. Rows
are TF-IDF weights of both together. What is compared and how it is tuned: ``benchmarks.texts``.

The data come as ``newsgroups.npz`` with the parts of a CSR matrix and labels, ``NAME_data``,
``NAME_indices``, ``NAME_indptr``, ``NAME_shape`` and ``NAME_y``, for the NAMEs of ``PAIRS``, in
``../shared/data`` beside the project, or where ``--data`` says: they have no licence to come along.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer

from benchmarks import report, texts
from benchmarks.data_file import parse_with_data

DATA = Path(__file__).parents[2] / "shared" / "data" / "newsgroups.npz"
# With 100 labels a class the target alone wants a strong penalty, and little of the source.
GRIDS = texts.Grids(
    alphas=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1), lams=(3, 10, 30), source_alphas=(1e-3, 1e-2), n_repeats=3
)
PAIRS = [("comp_sci_1", "comp_sci_2"), ("rec_talk_1", "rec_talk_2")]


def load(path, names):
    """(X_source, y_source, X, y) of a pair."""
    with np.load(path) as file:
        counts = [
            csr_matrix(
                tuple(file[f"{name}_{part}"] for part in ("data", "indices", "indptr")),
                shape=tuple(file[f"{name}_shape"]),
            )
            for name in names
        ]
        y_source, y = (file[f"{name}_y"].ravel() for name in names)
    words = TfidfTransformer(sublinear_tf=True).fit(vstack(counts))
    X_source, X = (words.transform(rows).astype(np.float32) for rows in counts)
    return X_source, y_source, X, y


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, k = 5 and 20")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parse_with_data(parser, DATA)
    ks, n_seeds = ([5, 20], 2) if args.quick else ([5, 20, 100], 10)
    # lbfgs ends where the objective hardly falls, or after 40 iterations: both are near enough.
    warnings.simplefilter("ignore", ConvergenceWarning)
    start, records = time.perf_counter(), []
    for names in PAIRS:
        pair = " to ".join(names)
        data = load(args.data, names)
        runs = texts.run_all(data, ks, n_seeds, args.jobs, GRIDS, f"{pair} ")
        print(f"\n{pair}")
        texts.show(runs, ks)
        records += texts.as_records(runs, pair=pair)
    seconds = time.perf_counter() - start
    path = report.write(
        "newsgroups_quick" if args.quick else "newsgroups",
        texts.settings_of(ks, n_seeds, args.jobs, GRIDS),
        records,
        seconds,
    )
    print(f"{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
