"""Gradients against central differences."""

import numpy as np

from skmtl.testing.report import require

STEP = 1e-4
RTOL = 1e-6


def slope(function, x, direction):
    """Derivative of a function along a direction, and whether it is smooth there.

    Central differences of two steps, extrapolated: the error is of order STEP^4. At a kink the two
    of them, or the two one-sided differences, do not agree.
    """
    steps = (STEP, STEP / 2)
    ahead, behind = ([function(x + s * h * direction) for h in steps] for s in (1, -1))
    wide, narrow = ((a - b) / (2 * h) for a, b, h in zip(ahead, behind, steps))
    centre = function(x)
    gaps = [(a - 2 * centre + b) / h for a, b, h in zip(ahead, behind, steps)]
    # Second differences over h: halved with h where smooth, constant at a kink.
    scale = 1 + abs(wide) + abs(narrow)
    smooth = abs(wide - narrow) < 1e-5 * scale and abs(gaps[1] - gaps[0] / 2) < 1e-5 * scale
    return (4 * narrow - wide) / 3, smooth


def slopes(function, x, rng, n_directions=5):
    """Slopes along random directions of unit length: (direction, slope), where smooth."""
    for _ in range(n_directions):
        direction = rng.standard_normal(x.shape)
        direction /= np.linalg.norm(direction)
        value, smooth = slope(function, x, direction)
        if smooth:
            yield direction, value


def require_gradient(points, by, owner, remedy):
    """Raise Broken unless a gradient agrees with central differences.

    Parameters
    ----------
    points : iterable of (function, ndarray, ndarray, label)
        A function of an array, where, its gradient there, and what the call was.
    by : str
        What the gradient is by.
    owner : str
        The function that gives it.
    remedy : str
    """
    n_tried = n_smooth = 0
    rng = np.random.default_rng(0)
    for function, x, gradient, label in points:
        if x.size == 0:
            continue
        n_tried += 1
        require(
            np.isfinite(gradient).all(),
            f"The gradient by {by} that {label} gives is not finite.",
            "Guard divisions, logarithms and roots against the values that ordinary inputs reach.",
        )
        found = list(slopes(function, x, rng))
        n_smooth += bool(found)
        length = np.linalg.norm(gradient)
        for direction, expected in found:
            given = float(np.sum(gradient * direction))
            scale = max(length, abs(expected), 1e-3)
            require(
                abs(given - expected) <= RTOL * scale,
                f"The gradient by {by} that {label} gives differs from central differences of the "
                f"value: along a random direction it is {given:.9g}, and the value's slope "
                f"{expected:.9g}.",
                remedy,
            )
    require(
        n_tried == 0 or n_smooth > 0,
        f"The value of {owner} is nowhere smooth: its one-sided slopes differ at all of "
        f"{n_tried} random points.",
        "Return the same value for the same arguments, continuous in them.",
    )
