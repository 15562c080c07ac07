"""Transferability scores against their definitions, written out slowly."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from sklearn.covariance import LedoitWolf

from skmtl.report import h_score, leep, log_me, proxy_a_distance


def features_and_labels(n=40, d=5, n_classes=3, seed=0, rank=None):
    """Rows that lean towards a centre of their class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, size=n)
    F = rng.normal(size=(n, d)) + rng.normal(size=(n_classes, d))[y]
    if rank is not None:
        F = F[:, :rank] @ rng.normal(size=(rank, d))
    return F, y


# --- log_me --------------------------------------------------------------------------------------


def log_evidence(alpha, beta, F, y):
    """Density of y with the weights integrated out: N(0, I / beta + F F' / alpha)."""
    covariance = np.eye(len(y)) / beta + F @ F.T / alpha
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    return -0.5 * (log_det + y @ np.linalg.solve(covariance, y)) / len(y)


def largest_log_evidence(F, y):
    """By a simplex from several starts; up to about its tolerance of 1e-7."""
    found = [
        minimize(
            lambda logs: -log_evidence(*np.exp(logs), F, y),
            start,
            method="Nelder-Mead",
            bounds=[(-15, 25)] * 2,
            options={"xatol": 1e-5, "fatol": 1e-10, "maxiter": 2000},
        ).fun
        for start in [(0, 0), (4, 0), (-3, 3)]
    ]
    return -min(found)


@pytest.mark.parametrize(
    "n, d, rank", [(40, 5, None), (60, 2, None), (30, 12, 4), (12, 20, None), (12, 12, None)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_log_me_is_the_largest_evidence(n, d, rank, seed):
    F, y = features_and_labels(n, d, rank=rank, seed=seed)
    expected = [largest_log_evidence(F, (y == c).astype(float)) for c in range(3)]
    assert log_me(F, y) == pytest.approx(np.mean(expected), abs=1e-6)
    numbers = F[:, 0] + np.random.default_rng(seed + 9).normal(size=n)
    assert log_me(F, numbers) == pytest.approx(largest_log_evidence(F, numbers), abs=1e-6)


def test_log_me_of_integers_as_numbers():
    F, y = features_and_labels()
    expected = largest_log_evidence(F, y.astype(float))
    assert log_me(F, y, regression=True) == pytest.approx(expected, abs=1e-6)
    assert log_me(F, y) == log_me(F, y, regression=False) == log_me(F, y.astype(str))


def test_log_me_does_not_see_rotation_scale_or_empty_columns():
    F, y = features_and_labels()
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))[0]
    for same in (F @ rotation, 100 * F, np.column_stack([F, np.zeros((40, 2))]), F[:, ::-1]):
        assert log_me(same, y) == pytest.approx(log_me(F, y), abs=1e-8)
    order = np.random.default_rng(0).permutation(40)
    assert log_me(F[order], y[order]) == pytest.approx(log_me(F, y), abs=1e-8)
    numbers = F[:, 0] + F[:, 1] ** 2
    assert log_me(F, 10 * numbers) == pytest.approx(log_me(F, numbers) - np.log(10), abs=1e-8)


def test_log_me_of_features_that_say_nothing_or_everything():
    y = np.tile([0.5, -0.5], 10)
    F = np.repeat(np.random.default_rng(0).normal(size=(10, 3)), 2, axis=0)  # orthogonal to y
    noise = -0.5 * (np.log(2 * np.pi * np.mean(y**2)) + 1)
    assert log_me(F, y) == pytest.approx(noise, abs=1e-8)
    assert log_me(np.zeros((20, 2)), y) == pytest.approx(noise)
    assert log_me(np.column_stack([F, y]), y) == np.inf
    assert log_me(F, np.zeros(20), regression=True) == np.inf
    assert log_me(F + y[:, np.newaxis], y) > noise


# --- leep ----------------------------------------------------------------------------------------


def naive_leep(theta, y):
    """The definition, sum by sum."""
    n, n_z = theta.shape
    joint = {(label, z): 0.0 for label in set(y) for z in range(n_z)}
    for i in range(n):
        for z in range(n_z):
            joint[y[i], z] += theta[i, z] / n
    total = 0.0
    for i in range(n):
        p = 0.0
        for z in range(n_z):
            p += joint[y[i], z] / sum(joint[label, z] for label in set(y)) * theta[i, z]
        total += np.log(p)
    return total / n


@pytest.mark.parametrize("n_source_classes", [2, 7])
def test_leep_is_its_definition(n_source_classes):
    rng = np.random.default_rng(0)
    theta = rng.dirichlet(np.full(n_source_classes, 0.5), size=50)
    y = list(np.array(["a", "b", "c"])[rng.integers(0, 3, size=50)])
    assert leep(theta, y) == pytest.approx(naive_leep(theta, y))
    assert leep(theta[:, ::-1], y) == pytest.approx(leep(theta, y))
    unused = np.column_stack([theta, np.zeros(50)])  # a class that the source never expects
    assert leep(unused, y) == pytest.approx(leep(theta, y))


def test_leep_lies_between_knowing_the_classes_and_knowing_their_shares():
    y = np.repeat([0, 1, 2], [5, 10, 15])
    assert leep(np.eye(3)[y], y) == 0
    shares = np.array([5, 10, 15]) / 30
    assert leep(np.full((30, 4), 0.25), y) == pytest.approx(shares @ np.log(shares))


@pytest.mark.parametrize("bad, message", [(-0.5, "least is -0.5"), (0.7, "row 1 sums to 1.2")])
def test_leep_wants_probabilities(bad, message):
    with pytest.raises(ValueError, match=f"source_proba must hold probabilities.*{message}"):
        leep([[0.5, 0.5], [0.5, bad]], [0, 1])


# --- h_score -------------------------------------------------------------------------------------


def covariance_of_means(F, y):
    means = np.stack([F[y == label].mean(axis=0) for label in y])
    return np.cov(means.T, ddof=0)


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("seed", range(3))
def test_h_score_is_the_trace(seed, rank):
    F, y = features_and_labels(seed=seed, rank=rank)
    expected = np.trace(np.linalg.pinv(np.cov(F.T, ddof=0)) @ covariance_of_means(F, y))
    assert h_score(F, y) == pytest.approx(expected)
    ledoit_wolf = LedoitWolf().fit(F)
    shrunk = np.linalg.inv(ledoit_wolf.covariance_) * (1 - ledoit_wolf.shrinkage_)
    expected = np.trace(shrunk @ covariance_of_means(F, y))
    assert h_score(F, y, shrinkage=True) == pytest.approx(expected)


def test_h_score_does_not_see_maps_that_keep_the_information():
    F, y = features_and_labels()
    rng = np.random.default_rng(1)
    A = rng.normal(size=(5, 5))
    rotation = np.linalg.qr(A)[0]
    assert h_score(F @ A + 7, y) == pytest.approx(h_score(F, y))
    assert h_score(3 * F @ rotation + 7, y, shrinkage=True) == pytest.approx(
        h_score(F, y, shrinkage=True)
    )
    assert h_score(F, np.array(["c", "a", "b"])[y]) == pytest.approx(h_score(F, y))


def test_h_score_has_its_bounds():
    y = np.repeat([0, 1, 2], 10)
    assert h_score(np.eye(3)[y], y) == pytest.approx(2)  # classes less one
    wide = np.random.default_rng(0).normal(size=(30, 50))
    assert h_score(wide, y) == pytest.approx(2)  # noise with more columns than rows
    assert h_score(wide, y, shrinkage=True) < 0.5
    for shrinkage in (False, True):
        assert h_score(np.ones((30, 2)), y, shrinkage=shrinkage) == 0


# --- proxy_a_distance ----------------------------------------------------------------------------


def test_proxy_a_distance_from_alike_to_apart():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    near, far = rng.normal(size=(300, 3)), rng.normal(size=(300, 3)) + [20, 0, 0]
    middle = rng.normal(size=(300, 3)) + [1, 0, 0]
    distances = [proxy_a_distance(other, X, random_state=0) for other in (near, middle, far)]
    assert distances[0] < 0.2
    # The best linear rule between N(0, 1) and N(1, 1) errs in Phi(-1/2) = 30.9 % of the rows.
    assert distances[1] == pytest.approx(2 * (1 - 2 * 0.309), abs=0.15)
    assert distances[2] == 2
    assert proxy_a_distance(X, middle, random_state=0) == pytest.approx(distances[1], abs=0.05)


def test_sizes_do_not_make_a_distance():
    """Of 2,000 and 40 rows that are alike, always saying "source" errs in 2 % of the rows."""
    X = np.random.default_rng(1).normal(size=(2040, 2))
    assert proxy_a_distance(X[40:], X[:40], random_state=0) < 0.4


def test_proxy_a_distance_of_sparse_rows():
    rng = np.random.default_rng(2)
    X, X_source = rng.random((50, 6)), rng.random((60, 6))
    X_source[:, 0] += 0.3
    X[X < 0.5] = 0
    dense = proxy_a_distance(X_source, X, random_state=0)
    for pair in [
        (sparse.csr_array(X_source), sparse.csr_array(X)),
        (X_source, sparse.csc_array(X)),
    ]:
        assert proxy_a_distance(*pair, random_state=0) == pytest.approx(dense, abs=0.05)


# --- complaints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [log_me, h_score, lambda F, y: leep(np.full((4, 2), 0.5), y)])
@pytest.mark.parametrize(
    "y, message",
    [
        ([0, 1, np.nan, np.nan], "no label in 2 rows"),
        ([0, 1, 1], "inconsistent numbers of samples"),
        (np.zeros((4, 2)), "must be 1-D, got 2 columns|1d array"),
    ],
)
def test_labels_that_do_not_suit(score, y, message):
    with pytest.raises(ValueError, match=message):
        score(np.arange(8.0).reshape(4, 2), y)


def test_other_complaints():
    X = np.ones((4, 2))
    with pytest.raises(ValueError, match="regression must be True, False or 'auto', got 'yes'"):
        log_me(X, [0, 1, 0, 1], regression="yes")
    with pytest.raises(ValueError, match="X_source has 3 columns and X has 2"):
        proxy_a_distance(np.ones((4, 3)), X)
    with pytest.raises(
        ValueError, match="cv=5 must be an integer from 2 to .* 9 rows of the source and 4"
    ):
        proxy_a_distance(np.ones((9, 2)), X)
