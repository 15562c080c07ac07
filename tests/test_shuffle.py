"""Orders that are worked out: permutations, each as likely as the others."""

import numpy as np
import pytest
from scipy.stats import chi2

from skmtl.engine.shuffle import draw_moves, n_moves, place, side_of

pytestmark = pytest.mark.nojit


def order_of(n_rows, rng):
    """An order of some rows."""
    side = side_of(n_rows)
    moves = np.zeros(n_moves(side), np.int32)
    draw_moves(moves, side, rng)
    return np.array([place(moves, side, n_rows, i) for i in range(n_rows)])


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 24, 25, 26, 1000])
def test_every_row_has_one_place(n_rows):
    order = order_of(n_rows, np.random.default_rng(n_rows))
    np.testing.assert_array_equal(np.sort(order), np.arange(n_rows))


def test_without_moves_rows_stay():
    moves = np.zeros(n_moves(3), np.int32)
    assert [place(moves, 3, 8, i) for i in range(8)] == list(range(8))


@pytest.mark.parametrize("gap", [0, 1, 10])
def test_places_and_pairs_are_uniform(gap):
    """Which row comes to a place, and which rows come a gap apart: one a place, or neighbours."""
    n_rows, n_orders, rng = 60, 1500, np.random.default_rng(0)
    hits = np.zeros((n_rows, n_rows))
    for _ in range(n_orders):
        order = order_of(n_rows, rng)
        first, second = (np.arange(n_rows), order) if gap == 0 else (order[:-gap], order[gap:])
        np.add.at(hits, (first, second), 1)
    possible = hits if gap == 0 else hits[~np.eye(n_rows, dtype=bool)]
    expected = hits.sum() / possible.size
    statistic = ((possible - expected) ** 2).sum() / expected
    n_free = (n_rows - 1) ** 2 if gap == 0 else possible.size - 1
    assert 1e-3 < chi2.sf(statistic, n_free) < 1 - 1e-3
