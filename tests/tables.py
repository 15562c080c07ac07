"""Small tables to learn from, and what the estimator tests ask about them."""

import hashlib

import numpy as np
import pytest
from scipy.sparse import issparse

from skmtl import MultiTaskClassifier, TransferClassifier, as_source

#: What both estimators share; enough to learn something in no time.
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 15, "tol": 0.0, "random_state": 0}


def blobs(n=60, n_features=4, n_classes=3, seed=0, shift=0.0, dtype=np.float64):
    """Rows around one centre per class; the centres are the same for every seed."""
    centres = 2 * np.random.default_rng(99).standard_normal((n_classes, n_features))
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    X = centres[y] + shift + 0.7 * rng.standard_normal((n, n_features))
    return X.astype(dtype), y


def wide(n=60, seed=0, missing=0.3, **options):
    """X, and y with three tasks of 3, 2 and 2 classes, with holes."""
    X, y = blobs(n, seed=seed, **options)
    Y = np.column_stack([y, y == 0, y > 1]).astype(float)
    holes = np.random.default_rng(seed + 1).random(Y.shape) < missing
    holes[:12] = False
    Y[holes] = np.nan
    return X, Y


def source_of(n=80, seed=5, shift=0.3, **options):
    """Keywords with a source that is like ``blobs``, shifted."""
    return as_source(*blobs(n, seed=seed, shift=shift, **options))


def fit_args(estimator):
    """X, y and keywords that exercise all of an estimator."""
    if isinstance(estimator, MultiTaskClassifier):
        return (*wide(), {})
    return (*blobs(), source_of())


def both(**parameters):
    """One of each, quick, with the parameters they share."""
    parameters = {**QUICK, **parameters}
    return [MultiTaskClassifier(**parameters), TransferClassifier(**parameters)]


def one_of_each(**parameters):
    """Parametrize a test over both; takes a fixture ``estimator`` that clones ``request.param``."""
    return pytest.mark.parametrize(
        "estimator",
        both(**parameters),
        ids=lambda e: type(e).__name__.removesuffix("Classifier"),
        indirect=True,
    )


def digest(value):
    """A hash of all that is in nested containers, arrays, data frames, estimators."""
    h = hashlib.sha256()

    def update(value):
        h.update(type(value).__name__.encode())
        if isinstance(value, dict):
            value = sorted(value.items())
        if hasattr(value, "to_pydict") or hasattr(value, "get_columns"):
            update([(c.name, str(c.dtype), c.to_list()) for c in value.get_columns()])
        elif hasattr(value, "iloc") and hasattr(value, "columns"):
            update([(name, value[name]) for name in value.columns])
            update(list(value.index))
        elif hasattr(value, "to_list") and hasattr(value, "dtype"):  # a Series of either
            h.update(repr((str(value.dtype), value.to_list())).encode())
        elif issparse(value):
            for part in (value.data, value.indices, value.indptr, np.array(value.shape)):
                update(part)
        elif isinstance(value, np.ndarray) and value.dtype != object:
            h.update(f"{value.dtype}{value.shape}{value.flags.writeable}".encode())
            h.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, (list, tuple, np.ndarray)):
            for item in value:
                update(item)
        elif isinstance(value, np.random.Generator):
            update(value.bit_generator.state)
        elif hasattr(value, "get_params"):
            update(value.__getstate__())
        else:
            h.update(repr(value).encode())

    update(value)
    return h.hexdigest()


def theta_of(estimator):
    """All weights of a fitted estimator."""
    return estimator._theta.copy()
