"""The statistics of a search: each against its definition."""

import numpy as np
import pytest

from skmtl.search.verdict import (
    Folds,
    describe_folds,
    error_over_rows,
    gain_of_sharing,
    judge_ways,
    not_clearly_worse,
    paired,
    select_by_others,
    verdict,
    within_one_standard_error,
)


def k_fold(n_rows, n_folds):
    rows = np.arange(n_rows)
    return [(np.setdiff1d(rows, test), test) for test in np.array_split(rows, n_folds)]


FIVE = describe_folds(k_fold(100, 5), 100)


def test_folds_of_k_fold():
    assert FIVE.test_share == pytest.approx(0.25)
    assert np.array_equal(FIVE.apart, ~np.eye(5, dtype=bool))


def test_folds_of_repeats_know_which_test_rows_they_share():
    rows = np.arange(6)
    tests = [rows[:3], rows[3:], rows[::2], rows[1::2], rows[2:]]
    apart = describe_folds([(np.setdiff1d(rows, t), t) for t in tests], 6).apart
    expected = [
        [i != j and not set(a) & set(b) for j, b in enumerate(tests)] for i, a in enumerate(tests)
    ]
    expected[4] = [True, True, True, True, False]  # shares rows with all others
    assert np.array_equal(apart, expected)


def test_standard_error_is_that_of_nadeau_and_bengio():
    d = np.array([0.1, 0.3, -0.2, 0.0, 0.4])
    gain = paired(d, FIVE)
    assert gain.mean == pytest.approx(0.12)
    assert gain.std_error == pytest.approx(np.sqrt((1 / 5 + 20 / 80) * d.var(ddof=1)))
    assert "+0.1200" in str(gain)


def test_error_over_rows_is_that_of_a_mean_over_rows():
    """K folds of equal size, and rows alike: the mean of all rows; repeats add nothing to it."""
    rng = np.random.default_rng(0)
    once, twice = k_fold(100, 5), [*k_fold(100, 5), *k_fold(100, 5)]
    assert FIVE.part == pytest.approx(1 / 5)
    assert describe_folds(twice, 100).part == pytest.approx(1 / 5)
    assert describe_folds([(np.arange(60), np.arange(60, 80)), once[0]], 100).part == 0.5
    found = [
        error_over_rows(np.array([rows[test].mean() for _, test in once]), FIVE)
        for rows in rng.standard_normal((2000, 100))
    ]
    assert np.mean(np.square(found)) == pytest.approx(1 / 100, rel=0.05)


def test_a_loss_beyond_the_error_over_rows_hurts():
    """Though it is within the error of a gain."""
    reference, ten = np.full((1, 10), 0.5), describe_folds(k_fold(100, 5) * 2, 100)
    loss = np.array([0.1, 0.3, -0.1, 0.0, 0.4, 0.1, 0.3, -0.1, 0.0, 0.4])
    for shift, said in ((0.04, "hurts"), (0.06, "no difference")):
        sharing = reference - loss + shift
        gain = gain_of_sharing(sharing, reference, ten)
        assert -gain.std_error < gain.mean < 0
        assert verdict(sharing, reference, ten) == said


def test_one_fold_tells_no_error():
    one = Folds(0.25, 1.0, np.zeros((1, 1), bool), [0])
    assert paired(np.array([0.5]), one).std_error == np.inf
    assert error_over_rows(np.array([0.5]), one) == np.inf
    assert verdict(np.array([[0.9]]), np.array([[0.1]]), one) == "no difference"


def test_each_fold_is_chosen_for_by_the_others():
    scores = np.random.default_rng(0).random((7, 5))
    expected = [scores[np.delete(scores, k, axis=1).mean(axis=1).argmax(), k] for k in range(5)]
    assert np.array_equal(select_by_others(scores, FIVE), expected)


def test_the_luck_of_the_best_does_not_count():
    """Candidates that differ by noise alone: the best one gains, the one chosen by others not."""
    rng = np.random.default_rng(0)
    reference = np.zeros((1, 5))
    best, honest = [], []
    for _ in range(500):
        scores = rng.normal(0, 0.1, (20, 5))
        best.append(scores.mean(axis=1).max())
        honest.append(gain_of_sharing(scores, reference, FIVE).mean)
    assert np.mean(best) > 0.07
    assert abs(np.mean(honest)) < 3 * np.std(honest) / np.sqrt(500)


NOISE = 0.01 * np.array([1.0, -1.0, 0.5, -0.5, 0.0])


@pytest.mark.parametrize(
    "sharing, said",
    [
        ([[0.8], [0.6]], "helps"),
        ([[0.4], [0.3]], "hurts"),
        ([[0.4], [0.5]], "no difference"),
        ([[0.5], [0.5]], "no difference"),
    ],
)
def test_verdicts(sharing, said):
    scores = np.array(sharing) + NOISE
    assert verdict(scores, np.full((1, 5), 0.5), FIVE) == said


def test_each_way_is_judged_by_itself():
    scores = np.array([0.8, 0.3, 0.4, 0.5])[:, None] + NOISE
    shares = np.array([True, True, True, False])
    gains, verdicts = judge_ways(scores, ["joint", "finetune", "joint", "alone"], shares, FIVE)
    assert verdicts == {"joint": "helps", "finetune": "hurts"}
    assert gains["joint"].mean == pytest.approx(0.3)
    assert gains["finetune"].mean == pytest.approx(-0.2)


def test_what_is_not_clearly_worse_than_the_best():
    scores = np.array([0.8, 0.9, 0.897])[:, None] + NOISE * np.array([[1], [1], [2]])
    assert not_clearly_worse(scores, FIVE).tolist() == [False, True, True]
    assert not_clearly_worse(np.full((2, 5), np.nan), FIVE).tolist() == [True, False]


def test_one_standard_error():
    scores = np.array([0.9, 0.895, 0.8])[:, None] + NOISE
    assert within_one_standard_error(scores).tolist() == [True, False, False]
    assert within_one_standard_error(scores + 9 * NOISE).tolist() == [True, True, False]
    assert within_one_standard_error(scores[:, :1]).tolist() == [True, False, False]
