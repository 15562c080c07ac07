"""Searches on threads and on a cluster, and data in chunks: the same bits as plain fits."""

import os
import tracemalloc
import warnings

import numpy as np
import pytest
from joblib import parallel_config
from scipy.sparse import csr_array
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from tables import QUICK, blobs, source_of, theta_of

from skmtl import MultiTaskClassifier, TransferClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# --- a grid over lambda and mu -------------------------------------------------------------------


def search(backend, n_jobs):
    """The fitted search of docs/scaling.md, on small data."""
    clf = TransferClassifier(**QUICK, feature_map="affine", batch_size=16, dropout=0.2)
    grid = {"lam": [0.1, 1.0, 10.0], "mu": [0.01, 1.0]}
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    with parallel_config(backend, n_jobs=n_jobs):
        return GridSearchCV(clf, grid, cv=folds).fit(*blobs(), **source_of())


@pytest.fixture(scope="module")
def one_by_one():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return search("loky", 1)


def assert_same_search(found, expected):
    names = [name for name in expected.cv_results_ if name.endswith("_test_score")]
    assert len(names) == 3 + 3  # folds; mean, deviation, rank
    for name in names:
        assert found.cv_results_[name].tolist() == expected.cv_results_[name].tolist()
    assert found.best_params_ == expected.best_params_
    assert theta_of(found.best_estimator_).tobytes() == theta_of(expected.best_estimator_).tobytes()


def test_a_grid_in_threads(one_by_one):
    assert_same_search(search("threading", 2), one_by_one)


def test_a_grid_on_a_cluster(one_by_one, monkeypatch):
    distributed = pytest.importorskip("dask.distributed")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # workers have no pytest to filter theirs
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        warnings.simplefilter("ignore")
        found = search("dask", 4)
        processes = set(client.run(os.getpid).values())
    assert_same_search(found, one_by_one)
    assert len(processes - {os.getpid()}) == 2


# --- chunks --------------------------------------------------------------------------------------

N_ROWS, N_COLUMNS, CHUNK = 8000, 100, 500


@pytest.fixture(scope="module")
def rows():
    return blobs(N_ROWS, N_COLUMNS, dtype=np.float32)


def learn(chunks, X, y):
    """Two passes of partial_fit over the chunks of X."""
    clf = MultiTaskClassifier(**QUICK, batch_size=50, dropout=0.1)
    for _ in range(2):
        start = 0
        for chunk in chunks(X):
            stop = start + chunk.shape[0]
            clf.partial_fit(chunk, y[start:stop], classes=[0, 1, 2])
            start = stop
    return clf


def in_chunks(X):
    for start in range(0, N_ROWS, CHUNK):
        yield X[start : start + CHUNK]


def mapped(X, folder):
    X.tofile(folder / "rows")
    return np.memmap(folder / "rows", X.dtype, mode="r", shape=X.shape)


def blocks_of_dask(X):
    array = pytest.importorskip("dask.array").from_array(X, chunks=(CHUNK, -1))
    for block in array.blocks:
        yield block.compute()


def test_chunks_from_disk_are_those_in_memory(rows, tmp_path):
    X, y = rows
    expected = theta_of(learn(in_chunks, X, y))
    on_disk = mapped(X, tmp_path)
    for chunks in (in_chunks, blocks_of_dask):
        assert theta_of(learn(chunks, on_disk, y)).tobytes() == expected.tobytes()


def test_sparse_chunks_are_like_the_dense(rows):
    X, y = rows
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.1, X, 0).astype(X.dtype)
    dense, sparse = learn(in_chunks, X, y), learn(in_chunks, csr_array(X), y)
    np.testing.assert_allclose(theta_of(sparse), theta_of(dense), atol=1e-4)


def test_memory_is_that_of_a_chunk(rows, tmp_path):
    """NumPy tells tracemalloc of its arrays; a map of a file is none of them."""
    X, y = rows
    on_disk = mapped(X, tmp_path)
    learn(in_chunks, X, y)  # compiles
    tracemalloc.start()
    learn(in_chunks, on_disk, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < on_disk.nbytes / 4
