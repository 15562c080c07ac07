"""Books to movies: the genre of a film from its plot, with 5, 10 and 20 labels a genre, on CSR.

``python -m benchmarks.books_movies``. The source are titles and subjects of 1,733 books in 12
categories, the target plots of 1,586 films in 9; they have 7 in common, and drama and musical are
the target's alone. For each seed, k films of each category (half of it at most) are the target;
balanced accuracy is on all others. Rows are TF-IDF weights of the words of both. What is compared
and how it is tuned: ``benchmarks.texts``.

The data come as ``books.csv.gz`` (title, subjects, category) and ``movies.csv.gz`` (text,
category), in ``../shared/data`` beside the project, or where ``--data`` says.
"""

import argparse
import csv
import gzip
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks import report, texts

DATA = Path(__file__).parents[2] / "shared" / "data"
GRIDS = texts.Grids(alphas=(1e-5, 1e-4, 1e-3, 1e-2), lams=(3, 10), source_alphas=(1e-4, 1e-3))
FILES = "books.csv.gz", "movies.csv.gz"
# DESIGN 7, measured with scikit-learn's models by k.
FLOORS = {
    "target only": {5: 0.307, 10: 0.367, 20: 0.423},
    "pooled, or source's features": {5: 0.344, 10: 0.402, 20: 0.446},
}


def load(folder):
    """(X_source, y_source, X, y): TF-IDF weights as CSR, float32, and categories."""
    books, movies = (_table(folder / name) for name in FILES)
    of_books = [f"{book['title']} {book['subjects']}" for book in books]
    of_movies = [movie["text"] for movie in movies]
    words = TfidfVectorizer(
        min_df=3, max_df=0.5, sublinear_tf=True, stop_words="english", max_features=5000
    ).fit(of_books + of_movies)
    X_source, X = (words.transform(rows).astype(np.float32) for rows in (of_books, of_movies))
    y_source, y = (np.array([row["category"] for row in rows]) for rows in (books, movies))
    return X_source, y_source, X, y


def missing_file(folder):
    """What to tell if one of the files is not there, else None."""
    missing = [path for name in FILES if not (path := folder / name).exists()]
    return f"there is no {missing[0]}: --data says which folder has it" if missing else None


def _table(path):
    """Rows of a CSV file, as dicts."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, k = 5 and 10")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the two files")
    args = parser.parse_args()
    if missing_file(args.data):
        parser.error(missing_file(args.data))
    ks, n_seeds = ([5, 10], 2) if args.quick else ([5, 10, 20], 10)
    # lbfgs ends where the objective hardly falls, or after 40 iterations: both are near enough.
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
    data, start = load(args.data), time.perf_counter()
    runs = texts.run_all(data, ks, n_seeds, args.jobs, GRIDS, share_head=True)
    common = np.isin(np.unique(data[3]), data[1])
    of_common = [[np.mean(r["recall"], where=common) for r in runs["source_only", k]] for k in ks]
    floors = [
        [f"floor: {name}", *(f"{floor[k]:.3f}" for k in ks)] for name, floor in FLOORS.items()
    ]
    texts.show(
        runs,
        ks,
        [["source_only, on the 7 in common", *map(report.spread, of_common)], *floors],
    )
    seconds = time.perf_counter() - start
    path = report.write(
        "books_movies_quick" if args.quick else "books_movies",
        texts.settings_of(ks, n_seeds, args.jobs, GRIDS, share_head=True),
        texts.as_records(runs),
        seconds,
    )
    print(f"{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
