"""Sums of a Gaussian kernel over pairs of rows, tile by tile: distances are matrix products."""

import math

import numpy as np

EVERY = -2  # in place of a class code: all rows
TILE = 64  # rows of a tile


def tile_size(n_features):
    """Length of the scratch array of ``pairs``."""
    return TILE * (2 * n_features + 4 + TILE + max(TILE, n_features))


def pairs(a, b, ya, yb, c, weight, same, centre, spread, hp, work, da, db):
    """Weight times the sum of k over all pairs of a row of a and one of b, of class c.

    With ``same``, a and b are the same rows. Adds the gradient at fixed D (spread) to da and db;
    gives the sum, and its derivative by D.
    """
    d, total, slope = a.shape[1], 0.0, 0.0
    n_tile = TILE * (d + 2)
    of_a, of_b, scratch = work[:n_tile], work[n_tile : 2 * n_tile], work[2 * n_tile :]
    start_a = 0
    while start_a < a.shape[0]:
        n, next_a = _gather(a, ya, c, centre, start_a, of_a)
        start_b = start_a if same else 0
        while start_b < b.shape[0]:
            m, next_b = _gather(b, yb, c, centre, start_b, of_b)
            if n > 0 and m > 0:
                twice = 2 * weight if same and start_b > start_a else weight
                value, derivative = _tile(n, m, d, twice, spread, hp, of_a, of_b, scratch, da, db)
                total += value
                slope += derivative
            start_b = next_b
        start_a = next_a
    return total, slope


def _gather(h, y, c, centre, start, tile):
    """Copy the next rows of class c less the centre, from a row on; with length and row number.

    Gives how many, and where to go on.
    """
    d, n, i = h.shape[1], 0, start
    square, row = tile[TILE * d : TILE * (d + 1)], tile[TILE * (d + 1) :]
    while i < h.shape[0] and n < TILE:
        if c == EVERY or y[i] == c:
            square[n], row[n] = 0.0, i
            for k in range(d):
                gap = h[i, k] - centre[k]
                tile[n * d + k] = gap
                square[n] += gap * gap
            n += 1
        i += 1
    return n, i


def _tile(n, m, d, weight, spread, hp, of_a, of_b, scratch, da, db):
    """The terms of ``pairs`` for the n and m rows of two tiles."""
    square_a, square_b = of_a[TILE * d :], of_b[TILE * d :]
    a, b = of_a[: n * d].reshape(n, d), of_b[: m * d].reshape(m, d)
    factor = scratch[: n * m].reshape(n, m)
    total, slope, scale = 0.0, 0.0, 1 / spread
    np.dot(a, b.T, factor)
    for i in range(n):
        for j in range(m):
            distance = (square_a[i] + square_b[j] - 2 * factor[i, j]) * scale
            if distance < 0:  # by rounding
                distance = 0.0
            value, derivative = _kernel(distance, hp)
            total += weight * value
            slope -= weight * derivative * distance * scale
            factor[i, j] = 2 * weight * derivative * scale
    # With f_ij the factors: da_i = sum_j f_ij (a_i - b_j), db_j the other way round.
    product = scratch[TILE * TILE :]
    back_a, back_b = product[: n * d].reshape(n, d), product[: m * d].reshape(m, d)
    np.dot(factor, b, back_a)
    for i in range(n):
        total_factor, row = 0.0, int(square_a[TILE + i])
        for j in range(m):
            total_factor += factor[i, j]
        for k in range(d):
            da[row, k] += total_factor * a[i, k] - back_a[i, k]
    np.dot(factor.T, a, back_b)
    for j in range(m):
        total_factor, row = 0.0, int(square_b[TILE + j])
        for i in range(n):
            total_factor += factor[i, j]
        for k in range(d):
            db[row, k] += total_factor * b[j, k] - back_b[j, k]
    return total, slope


def _kernel(distance, hp):
    """The mean of exp(-distance r) over the rates r in hp[1:], and its derivative by the distance.

    The rates rise.
    """
    value, derivative, power = 0.0, 0.0, 1.0
    for r in range(1, hp.size):
        if r > 1 and hp[r] == 2 * hp[r - 1]:
            power *= power
        else:
            power = math.exp(-distance * hp[r])
        value += power
        derivative -= power * hp[r]
    return value / (hp.size - 1), derivative / (hp.size - 1)
