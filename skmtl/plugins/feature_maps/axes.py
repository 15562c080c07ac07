"""Axes of two samples turned onto each other, by the energy distance of the rows along them."""

import numpy as np

#: What ``match_axes`` compares: rows of each, and leading axes.
N_ROWS, N_AXES = 400, 16
#: The turns that it tries of two axes, and of one.
_ANGLES = np.arange(16) * np.pi / 8
PLANE_TURNS = [
    np.array([[np.cos(a), np.sin(a)], [-sign * np.sin(a), sign * np.cos(a)]])
    for sign in (1, -1)
    for a in _ANGLES
]
LINE_TURNS = [np.array([[-1.0]])]


def match_axes(source, target, first_choice=None):
    """Turn the source's axes so that its rows come nearest to the target's.

    By the energy distance between the two samples, each scaled to a mean square of 1, of which a
    turn changes the mean distance of a source row and a target row alone. Two neighbouring axes at
    a time are turned by multiples of 22.5 degrees, and reflected, until none gains more than the
    energy distance between samples of one distribution is on average.

    Parameters
    ----------
    source, target : ndarray of shape (n_rows, n_axes)
        Centred rows along the axes, of which the variance falls.
    first_choice : ndarray of shape (n_axes, n_axes), default=None
        A Q that is taken where no other one gains as much over it.

    Returns
    -------
    ndarray of shape (n_axes, n_axes)
        Q, orthogonal: ``source @ Q`` lies nearest to ``target``.
    """
    turn_of_all, k = np.eye(source.shape[1]), min(source.shape[1], N_AXES)
    s, t = (_some_rows_on_one_scale(rows) for rows in (source, target))
    square = (s**2).sum(axis=1)[:, None] + (t**2).sum(axis=1)
    inner = s @ t.T

    def distance(inner):
        return np.sqrt(np.maximum(square - 2 * inner, 0)).mean()

    enough = 1 - (1 / len(s) + 1 / len(t)) / 2
    at_first = np.inf if first_choice is None else distance(s @ first_choice @ t.T)
    nearest, searching = distance(inner), k > 0
    while searching:
        searching = False
        for j in range(max(k - 1, 1)):
            pair = slice(j, min(j + 2, k))
            turns = PLANE_TURNS if k > 1 else LINE_TURNS
            others = inner - s[:, pair] @ t[:, pair].T
            found = [distance(others + s[:, pair] @ turn @ t[:, pair].T) for turn in turns]
            if min(found) < enough * nearest:
                nearest, turn, searching = min(found), turns[int(np.argmin(found))], True
                s[:, pair], turn_of_all[:, pair] = s[:, pair] @ turn, turn_of_all[:, pair] @ turn
                inner = others + s[:, pair] @ t[:, pair].T
    return first_choice if enough * at_first <= nearest else turn_of_all


def _some_rows_on_one_scale(rows):
    """At most N_ROWS of the rows, over the root of their mean square."""
    rows = rows[:: -(-len(rows) // N_ROWS)]
    return rows / max(np.sqrt((rows**2).sum(axis=1).mean()), np.finfo(float).tiny)
