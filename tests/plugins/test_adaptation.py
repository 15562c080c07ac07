"""Feature maps and alignments do what they are for: on planted shifts the target's accuracy rises.

The gains that are asked for are about half of those measured.
"""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import ortho_group

from skmtl import TransferClassifier, as_source
from skmtl.plugins.alignments import CORAL, DANN, MMD, ConditionalMMD, SlicedWasserstein
from skmtl.plugins.feature_maps import (
    Affine,
    Diagonal,
    Linear,
    LowRank,
    MLPMap,
    Orthogonal,
    ResidualMLP,
)

# Training for a fixed number of epochs is what all fits here do.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SEEDS = range(4)
FIT = {"hidden_layer_sizes": (16,), "learning_rate_init": 1e-2, "tol": 0.0}

# --- a source in other coordinates, and three labels a class in the target ---------------------


def in_other_coordinates(change, seed):
    rng = np.random.default_rng(seed)
    centres = 1.6 * rng.standard_normal((8, 6))

    def draw(n):
        y = rng.permutation(np.arange(n) % 8)
        return centres[y] + rng.exponential(size=(n, 6)) * np.linspace(0.5, 2, 6), y

    (source, y_source), target, test = draw(800), draw(24), draw(1000)
    if change == "rotation":
        source = source @ ortho_group.rvs(6, random_state=seed) + 1
    elif change == "permutation":
        source = source[:, rng.permutation(6)]
    else:
        source = source * np.exp(rng.uniform(-1.5, 1.5, 6))
    return source, y_source, target, test


def with_map(feature_map, change, seed, container=np.asarray):
    source, y_source, (X, y), (X_test, y_test) = in_other_coordinates(change, seed)
    model = TransferClassifier(
        feature_map=feature_map, map_penalty="l2", mu=1e-3, lam=0.3, max_iter=100,
        random_state=seed, **FIT,
    )  # fmt: skip
    model.fit(container(X), y, **as_source(container(source), y_source))
    return model.score(X_test, y_test)


@pytest.fixture(scope="module")
def without_map():
    return {
        change: [with_map("identity", change, seed) for seed in SEEDS]
        for change in ("rotation", "permutation", "rescaling")
    }


@pytest.mark.parametrize(
    "feature_map, change, gain",
    [
        (Linear(), "rotation", 0.08),
        (Affine(), "rotation", 0.08),
        (LowRank(4), "rotation", 0.05),
        (LowRank(4), "permutation", 0.05),
        (MLPMap(), "rotation", 0.04),
        (MLPMap(), "permutation", 0.05),
        (ResidualMLP(), "rotation", 0.06),
        (ResidualMLP(), "permutation", 0.05),
        (Orthogonal(), "rotation", 0.12),
        (Orthogonal(), "permutation", 0.1),
        (Diagonal(), "rescaling", 0.01),
    ],
    ids=str,
)
def test_a_map_beats_none(feature_map, change, gain, without_map):
    scores = [with_map(feature_map, change, seed) for seed in SEEDS]
    assert np.mean(scores) > np.mean(without_map[change]) + gain


@pytest.mark.parametrize("feature_map", [Diagonal(), LowRank(4), ResidualMLP(), Orthogonal()])
def test_sparse_rows_train_the_same_map(feature_map):
    dense = with_map(feature_map, "rescaling", 0)
    assert with_map(feature_map, "rescaling", 0, csr_array) == pytest.approx(dense, abs=0.02)


# --- two classes, and a target without labels ---------------------------------------------------


def shifted(change, seed):
    """Source; unlabelled target rows; labelled target rows to test on."""
    rng = np.random.default_rng(seed)
    across = rng.standard_normal(6)
    across /= np.linalg.norm(across)

    def draw(n):
        y = rng.permutation(np.arange(n) % 2)
        return 1.5 * (2 * y[:, None] - 1) * across + rng.standard_normal((n, 6)), y

    if change == "mixed":
        matrix, move = np.eye(6) + 0.6 * rng.standard_normal((6, 6)), np.zeros(6)
    else:
        matrix = np.diag(np.exp(rng.uniform(-1, 1, 6)))
        move = 2.5 * across + 0.5 * rng.standard_normal(6)
    (source, y_source), (X, _), (X_test, y_test) = draw(400), draw(400), draw(1000)
    return (source, y_source), X @ matrix + move, (X_test @ matrix + move, y_test)


def aligned(alignment, feature_map, mu, change, seed, dtype=np.float64):
    (source, y_source), X, test = shifted(change, seed)
    model = TransferClassifier(
        strategy="source_only", feature_map=feature_map, map_penalty=alignment, mu=mu,
        batch_size=100, max_iter=60, random_state=seed, **FIT,
    )  # fmt: skip
    unlabelled = np.full(len(X), np.nan)
    model.fit(X.astype(dtype), unlabelled, **as_source(source.astype(dtype), y_source))
    return model.score(*test)


@pytest.fixture(scope="module")
def not_aligned():
    return {
        change: [aligned(MMD(), "identity", 0.0, change, seed) for seed in SEEDS]
        for change in ("moved", "mixed")
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "alignment, feature_map, mu, change, gain",
    [
        (MMD(where="input"), "affine", 3.0, "moved", 0.1),
        (MMD(), "identity", 10.0, "moved", 0.04),
        (MMD("linear", where="input"), "affine", 0.1, "moved", 0.06),
        (SlicedWasserstein(30, where="input"), "affine", 1.0, "moved", 0.08),
        (SlicedWasserstein(30), "identity", 10.0, "moved", 0.03),
        (DANN(16, where="input"), "affine", 1.0, "moved", 0.08),
        (DANN(16), "identity", 3.0, "moved", 0.02),
        (CORAL(where="input"), "affine", 10.0, "mixed", 0.02),
    ],
    ids=str,
)
def test_an_alignment_beats_none(alignment, feature_map, mu, change, gain, dtype, not_aligned):
    scores = [aligned(alignment, feature_map, mu, change, seed, dtype) for seed in SEEDS]
    assert np.mean(scores) > np.mean(not_aligned[change]) + gain


def test_classes_are_aligned_where_the_marginals_mislead():
    """Each class of the source lies where the target has the other; five labels a class tell."""
    scores = {}
    for alignment, mu in (
        (MMD(), 0.0),
        (MMD(where="input"), 3.0),
        (ConditionalMMD("linear", where="input"), 1.0),
    ):
        scores[type(alignment), mu] = of_alignment = []
        for seed in SEEDS:
            (source, y_source), _, (X, y) = shifted("moved", seed)
            labelled = np.concatenate([np.flatnonzero(y[:200] == c)[:5] for c in (0, 1)])
            few = np.full(200, np.nan)
            few[labelled] = y[labelled]
            model = TransferClassifier(
                feature_map="affine", map_penalty=alignment, mu=mu, lam=0.1, batch_size=100,
                max_iter=100, random_state=seed, **FIT,
            )  # fmt: skip
            model.fit(X[:200], few, **as_source(-source, y_source))
            of_alignment.append(model.score(X[200:], y[200:]))
    none, marginal, conditional = (np.mean(s) for s in scores.values())
    assert conditional > none + 0.06
    assert marginal < none - 0.1
