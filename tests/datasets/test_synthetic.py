"""Made tasks: every knob does what it says."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, r2_score

from skmtl import stack_tasks
from skmtl.datasets import make_related_tasks, make_transfer_pair

# --- make_related_tasks ------------------------------------------------------------------------


def cosines(coef):
    np.testing.assert_allclose(np.linalg.norm(coef, axis=0), 1)
    return coef.T @ coef


@pytest.mark.parametrize("relatedness", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("n_groups", [1, 2, 3, 6])
def test_cosines_are_the_relatedness(relatedness, n_groups):
    tasks = make_related_tasks(
        5, 15, 6, n_informative=12, relatedness=relatedness, n_groups=n_groups, random_state=0
    )
    assert tasks.groups.tolist() == [t % n_groups for t in range(6)]
    same = tasks.groups[:, None] == tasks.groups
    expected = np.where(np.eye(6), 1, relatedness * same)
    np.testing.assert_allclose(cosines(tasks.coef), expected, atol=1e-12)
    assert not tasks.coef[12:].any()
    assert tasks.coef[:12].all()


@pytest.mark.parametrize("relatedness", [0.0, 0.5, 0.9])
def test_cosines_of_many_tasks_hold_on_average(relatedness):
    tasks = make_related_tasks(1, 50, 200, relatedness=relatedness, n_groups=4, random_state=0)
    pairs = np.triu_indices(200, k=1)
    cosine = cosines(tasks.coef)[pairs]
    same = (tasks.groups[:, None] == tasks.groups)[pairs]
    assert cosine[same].mean() == pytest.approx(relatedness, abs=0.06)
    assert cosine[~same].mean() == pytest.approx(0, abs=0.12 * relatedness + 0.01)
    assert cosine[same].std() < 50**-0.5 * 1.1


def test_directions_are_random():
    """Over seeds weights and means point nowhere in particular."""
    made = [make_related_tasks(1, 3, 2, shift=1.0, random_state=seed) for seed in range(400)]
    for directions in ([m.coef[:, 0] for m in made], [m.means[0] for m in made]):
        np.testing.assert_allclose(np.mean(directions, axis=0), 0, atol=0.1)
        np.testing.assert_allclose(np.cov(np.transpose(directions)), np.eye(3) / 3, atol=0.06)


def test_rows_belong_to_one_task_each():
    """The table is what `stack_tasks` gives."""
    tasks = make_related_tasks([30, 10, 20], n_tasks=3, random_state=0)
    observed = ~np.isnan(tasks.target)
    assert observed.sum(axis=0).tolist() == [30, 10, 20]
    assert (observed.sum(axis=1) == 1).all()
    X, Y = stack_tasks(
        [(tasks.data[rows], tasks.target[rows, t]) for t, rows in enumerate(observed.T)]
    )
    np.testing.assert_array_equal(X, tasks.data)
    np.testing.assert_array_equal(Y, tasks.target)
    assert len(tasks.task_names) == 3


def test_the_same_rows_for_all_tasks():
    tasks = make_related_tasks(40, n_tasks=3, same_rows=True, random_state=0)
    assert tasks.data.shape == (40, 20)
    np.testing.assert_array_equal(tasks.target, tasks.data @ tasks.coef > 0)
    assert not tasks.means.any()


@pytest.mark.parametrize("same_rows", [False, True])
def test_labels_without_noise(same_rows):
    """They are exactly the linear function, or its sign; the rest is the same for both."""
    one = make_related_tasks(50, same_rows=same_rows, random_state=1)
    other = make_related_tasks(50, same_rows=same_rows, random_state=1, kind="regression")
    np.testing.assert_array_equal(one.data, other.data)
    observed = ~np.isnan(one.target)
    np.testing.assert_allclose(other.target[observed], (one.data @ one.coef)[observed])
    np.testing.assert_array_equal(one.target[observed], (one.data @ one.coef > 0)[observed])


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3, 0.5])
def test_noise_is_the_error_of_the_best_classifier(noise):
    tasks = make_related_tasks(10_000, 5, 2, noise=noise, same_rows=True, random_state=0)
    wrong = tasks.target != (tasks.data @ tasks.coef > 0)
    np.testing.assert_allclose(wrong.mean(axis=0), noise, atol=0.015)
    # A model fitted to as much data finds no better one, and noise strikes both classes alike.
    for y, w in zip(tasks.target.T, tasks.coef.T):
        fitted = LogisticRegression().fit(tasks.data[:5000], y[:5000])
        assert 1 - fitted.score(tasks.data[5000:], y[5000:]) >= noise - 0.02
        z = tasks.data @ w > 0
        assert (y[z] == 0).mean() == pytest.approx((y[~z] == 1).mean(), abs=0.03)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_noise_of_regression(noise):
    tasks = make_related_tasks(20_000, 5, 1, noise=noise, kind="regression", random_state=0)
    z, y = tasks.data @ tasks.coef[:, 0], tasks.target[:, 0]
    assert z.std() == pytest.approx(1, abs=0.02)
    assert (y - z).std() == pytest.approx(noise, abs=0.03)
    assert r2_score(y, z) == pytest.approx(1 / (1 + noise**2), abs=0.02)


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_shift_is_the_distance_of_the_means(shift):
    tasks = make_related_tasks(5000, 4, 3, shift=shift, random_state=0)
    np.testing.assert_allclose(np.linalg.norm(tasks.means, axis=1), shift)
    for t, observed in enumerate(~np.isnan(tasks.target.T)):
        X = tasks.data[observed]
        np.testing.assert_allclose(X.mean(axis=0), tasks.means[t], atol=0.06)
        np.testing.assert_allclose(X.std(axis=0), 1, atol=0.05)
        np.testing.assert_array_equal(tasks.target[observed, t], X @ tasks.coef[:, t] > 0)


@pytest.mark.parametrize("same_rows", [False, True])
def test_missing_labels(same_rows):
    options = {"n_tasks": 3, "same_rows": same_rows, "random_state": 0}
    full = make_related_tasks(90, **options)
    holes = make_related_tasks(90, missing=1 / 3, **options)
    observed = ~np.isnan(holes.target)
    assert observed.sum(axis=0).tolist() == [60, 60, 60]
    np.testing.assert_array_equal(holes.data, full.data)
    np.testing.assert_array_equal(holes.target[observed], full.target[observed])


def test_X_y_and_seeds_of_related_tasks():
    options = {"shift": 1.0, "noise": 0.1, "missing": 0.2}
    first = make_related_tasks(random_state=3, **options)
    again = make_related_tasks(random_state=np.random.RandomState(3), return_X_y=True, **options)
    np.testing.assert_array_equal(first.data, again[0])
    np.testing.assert_array_equal(first.target, again[1])
    other = make_related_tasks(random_state=4, **options)
    for name in ("data", "target", "coef", "means"):
        assert not np.array_equal(first[name], other[name], equal_nan=True)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_samples": 0}, "n_samples must be an integer, 1 or more, got 0"),
        ({"n_samples": 2.5}, "n_samples must be an integer, 1 or more, got 2.5"),
        ({"n_samples": [5, 0, 5, 5, 5]}, "n_samples must be an integer, 1 or more, got 0"),
        ({"n_samples": [5, 5]}, r"one for each of the 5 tasks, got \[5, 5\]"),
        ({"n_features": 0}, "n_features must be an integer, 1 or more, got 0"),
        ({"n_tasks": 0}, "n_tasks must be an integer, 1 or more, got 0"),
        ({"n_informative": 21}, "n_informative must be an integer, 1 to n_features=20, got 21"),
        ({"n_informative": 1}, "n_informative=1 leaves no room .* relatedness=1 in place of 0.8"),
        ({"n_groups": 6}, "n_groups must be an integer, 1 to n_tasks=5, got 6"),
        ({"relatedness": -0.1}, r"relatedness must be a cosine in \[0, 1\], got -0.1"),
        ({"relatedness": np.nan}, r"relatedness must be a cosine in \[0, 1\], got nan"),
        ({"shift": -1}, "shift must be a distance, 0 or more, got -1"),
        ({"noise": 0.6}, r"noise must be a probability in \[0, 0.5\] of a label, got 0.6"),
        ({"noise": -1, "kind": "regression"}, "noise must be a standard deviation, 0 or more"),
        ({"missing": 1}, r"missing must be a fraction in \[0, 1\), got 1"),
        ({"kind": "ranking"}, "kind must be 'classification' or 'regression', got 'ranking'"),
        ({"same_rows": True, "shift": 1.0}, "shift 0; got n_samples=100, shift=1.0"),
        ({"same_rows": True, "n_samples": [9] * 5}, r"one number and .* n_samples=\[9, 9"),
    ],
)
def test_related_tasks_refuse(options, message):
    with pytest.raises(ValueError, match=message):
        make_related_tasks(**options)


def test_one_feature():
    """Both signs occur among the directions of a line."""
    tasks = make_related_tasks(3, 1, 40, relatedness=1, n_groups=40, random_state=0)
    assert set(tasks.coef.ravel()) == {-1.0, 1.0}


# --- make_transfer_pair ------------------------------------------------------------------------


def test_shapes_of_a_pair():
    pair = make_transfer_pair(30, 7, n_source_samples=50, n_test_samples=40, random_state=0)
    shapes = {name: array.shape for name, array in pair.items()}
    assert shapes == {
        "X": (30, 7),
        "y": (30,),
        "X_source": (50, 7),
        "y_source": (50,),
        "X_test": (40, 7),
        "y_test": (40,),
        "coef": (7,),
        "coef_source": (7,),
        "mean": (7,),
    }


@pytest.mark.parametrize("relatedness", [0.0, 0.4, 1.0])
def test_relatedness_of_a_pair(relatedness):
    """The angle of the weights is the cosine's, and the part of labels that agree follows it."""
    pair = make_transfer_pair(
        5, 10, n_test_samples=20_000, n_informative=4, relatedness=relatedness, random_state=0
    )
    gram = cosines(np.column_stack([pair.coef_source, pair.coef]))
    np.testing.assert_allclose(gram, [[1, relatedness], [relatedness, 1]], atol=1e-12)
    assert not pair.coef[4:].any()
    assert not pair.coef_source[4:].any()
    by_source = pair.X_test @ pair.coef_source > 0
    agree = 1 - np.arccos(relatedness) / np.pi  # 1/2 when unrelated, 1 when the same
    assert accuracy_score(pair.y_test, by_source) == pytest.approx(agree, abs=0.01)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_labels_of_a_pair(kind):
    pair = make_transfer_pair(200, shift=1.0, kind=kind, random_state=0)
    for X, y, w in [
        (pair.X_source, pair.y_source, pair.coef_source),
        (pair.X, pair.y, pair.coef),
        (pair.X_test, pair.y_test, pair.coef),
    ]:
        np.testing.assert_array_equal(y, X @ w > 0 if kind == "classification" else X @ w)
        assert y.dtype == (np.int64 if kind == "classification" else np.float64)


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_shift_of_a_pair(shift):
    n = 20_000
    pair = make_transfer_pair(
        n, 4, n_source_samples=n, n_test_samples=n, shift=shift, random_state=0
    )
    assert np.linalg.norm(pair.mean) == pytest.approx(shift)
    np.testing.assert_allclose(pair.X_source.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(pair.X.mean(axis=0), pair.mean, atol=0.03)
    np.testing.assert_allclose(pair.X_test.mean(axis=0), pair.mean, atol=0.03)


@pytest.mark.parametrize("kind, noise", [("classification", 0.2), ("regression", 0.5)])
def test_noise_of_a_pair(kind, noise):
    options = {"n_source_samples": 10_000, "n_test_samples": 10_000, "kind": kind}
    pair = make_transfer_pair(10_000, 4, noise=noise, random_state=0, **options)
    for X, y, w in [
        (pair.X_source, pair.y_source, pair.coef_source),
        (pair.X, pair.y, pair.coef),
        (pair.X_test, pair.y_test, pair.coef),
    ]:
        z = X @ w
        measured = (y != (z > 0)).mean() if kind == "classification" else (y - z).std()
        assert measured == pytest.approx(noise, abs=0.015)


def test_seeds_of_a_pair():
    first, again, other = (
        make_transfer_pair(shift=1.0, noise=0.1, random_state=seed) for seed in (5, 5, 6)
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert not np.array_equal(array, other[name])


@pytest.mark.parametrize("name", ["n_samples", "n_source_samples", "n_test_samples"])
def test_a_pair_refuses_empty_sets(name):
    with pytest.raises(ValueError, match=f"{name} must be an integer, 1 or more, got 0"):
        make_transfer_pair(**{name: 0})


def test_a_pair_checks_what_it_shares_with_tasks():
    with pytest.raises(ValueError, match="relatedness must be a cosine"):
        make_transfer_pair(relatedness=2)
