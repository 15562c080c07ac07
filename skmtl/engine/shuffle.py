"""An order of many rows that is worked out where it is asked for, and not stored.

Row i stands at (i // side, i % side) in a square. In each of some rounds every column is turned by
a number of places, drawn for this column, and then every line by one of its own, so that all places
stay taken once: a Feistel network [1]_. Where a row ends is its place in the order; if that is none
of the rows, as the square may be larger, it goes on from there.

A pass draws ``n_moves`` numbers, 24 KB for a million rows, and an order of them would take 4 MB.

References
----------
.. [1] Black and Rogaway (2002). Ciphers with arbitrary finite domains. CT-RSA, methods 2 and 3.
"""

import math

# Of a column and of a line each. With two, pairs of 97 rows are still found in the wrong numbers.
N_ROUNDS = 3


def side_of(n_rows):
    """Lines and columns of the square for some rows."""
    return math.isqrt(n_rows - 1) + 1


def n_moves(side):
    """Numbers that a pass draws; none for no square."""
    return 2 * N_ROUNDS * side


def draw_moves(moves, side, rng):
    """Start a pass: draw by how much each line and column is turned in each round."""
    for k in range(moves.size):
        moves[k] = int(rng.random() * side)


def place(moves, side, n_rows, i):
    """Which of the rows is the i-th in the order."""
    while True:
        line, column = i // side, i % side
        for start in range(0, moves.size, 2 * side):
            line = turned(line + moves[start + column], side)
            column = turned(column + moves[start + side + line], side)
        i = line * side + column
        if i < n_rows:
            return i


def turned(k, side):
    """A sum of two numbers below side, modulo side."""
    return k - side if k >= side else k
