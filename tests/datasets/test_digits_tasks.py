"""Digits with several tasks: their labels, their holes."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skmtl.datasets import load_digits_tasks


def test_digits_tasks():
    digits = load_digits_tasks()
    expected = load_digits()
    np.testing.assert_array_equal(digits.data * 16, expected.data)
    np.testing.assert_array_equal(digits.images * 16, expected.images)
    np.testing.assert_array_equal(digits.target[:, 0], expected.target)
    of_digit = np.array([digits.target[expected.target == d][0] for d in range(10)])
    assert of_digit[:, 1].tolist() == [0, 1] * 5
    assert np.flatnonzero(of_digit[:, 2]).tolist() == [0, 6, 8, 9]
    np.testing.assert_array_equal(digits.target, of_digit[expected.target])
    assert len(digits.task_names) == digits.target.shape[1]


@pytest.mark.parametrize("missing", [0.0, 1 / 3, 0.99])
def test_missing_labels(missing):
    full = load_digits_tasks().target
    X, y = load_digits_tasks(missing=missing, random_state=3, return_X_y=True)
    hidden = np.isnan(y)
    assert X.shape == (1797, 64)
    assert hidden.sum(axis=0).tolist() == [round(missing * 1797)] * 3
    np.testing.assert_array_equal(y[~hidden], full[~hidden])


def test_labels_are_hidden_for_each_task_by_itself():
    hidden = np.isnan(load_digits_tasks(missing=0.5, random_state=0).target)
    assert np.bincount(hidden.sum(axis=1)) / 1797 == pytest.approx(
        [1, 3, 3, 1] / np.array(8), abs=0.04
    )


def test_random_state_of_the_holes():
    y, again, other = (
        load_digits_tasks(missing=0.2, random_state=seed).target for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(y, again)
    assert not np.array_equal(np.isnan(y), np.isnan(other))


@pytest.mark.parametrize("missing", [-0.1, 1, np.nan])
def test_fraction_out_of_range(missing):
    with pytest.raises(ValueError, match=r"missing must be a fraction in \[0, 1\)"):
        load_digits_tasks(missing=missing)
