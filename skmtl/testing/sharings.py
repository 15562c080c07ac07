"""What sharings must do."""

import numpy as np

from skmtl.experts import GATES
from skmtl.testing.fits import fit_tasks, require_falling
from skmtl.testing.report import check, require

N_TASKS = (1, 2, 3, 7)


@check
def check_sharing_experts(sharing):
    """Every task has an expert to read, every expert a task that reads it."""
    for n_tasks in N_TASKS:
        mask = sharing.experts(n_tasks)
        ok = isinstance(mask, np.ndarray) and mask.dtype == bool and mask.ndim == 2
        require(
            ok and len(mask) == n_tasks,
            f"experts({n_tasks}) gives {mask!r}.",
            "Give a NumPy array of bool with a row for each task and a column for each expert.",
        )
        idle = np.flatnonzero(~mask.any(axis=1))
        require(
            idle.size == 0,
            f"With {n_tasks} tasks, task {idle[:1]} reads no expert.",
            "Let each task read at least one.",
        )
        unread = np.flatnonzero(~mask.any(axis=0))
        require(
            unread.size == 0,
            f"With {n_tasks} tasks, nobody reads expert {unread[:1]}.",
            "Leave out experts that no task reads: they cost time in every step.",
        )
        require(
            np.array_equal(mask, sharing.experts(n_tasks)),
            f"experts({n_tasks}) gives another mask each time.",
            "Compute it from n_tasks and the constructor's parameters alone: partial_fit and "
            "warm_start ask again.",
        )


@check
def check_sharing_gate(sharing):
    """Its gate is of a kind that there is, and its head one for all tasks or not."""
    require(
        sharing.gate in GATES,
        f"gate is {sharing.gate!r}.",
        f"Let it be one of {', '.join(map(repr, GATES))}.",
    )
    require(
        sharing.shares_heads in (True, False),
        f"shares_heads is {sharing.shares_heads!r}.",
        "Let it be True or False.",
    )


@check
def check_sharing_init(sharing):
    """Gates start from finite numbers, which depend on the generator alone."""
    for n_tasks in N_TASKS:
        start, again = (sharing.init(n_tasks, np.random.default_rng(3)) for _ in range(2))
        shape = sharing.experts(n_tasks).shape
        require(
            np.shape(start) == shape and np.isfinite(start).all(),
            f"init({n_tasks}, rng) gives {start!r}.",
            f"Give finite numbers of the shape of experts({n_tasks}), {shape}.",
        )
        require(
            np.array_equal(start, again),
            f"init({n_tasks}, rng) gives other numbers for a generator with the same seed.",
            "Draw from rng alone, so that random_state decides.",
        )


@check
def check_sharing_fit(sharing):
    """A small network learns with it, and every expert takes part."""
    options = {"alike": True, "sharing": sharing, "lam": 0.0}  # nothing else moves an expert
    fitted = fit_tasks(**options)
    start = fit_tasks(**options, max_iter=1, learning_rate_init=1e-12)
    require_falling(fitted.loss_curve_)
    moved = np.abs(fitted.coefs_[0] - start.coefs_[0])
    still = np.flatnonzero(moved.max(axis=(-2, -1)) < 1e-6)
    require(
        still.size == 0,
        f"Expert {still[:1]} does not move in a small fit.",
        "Let gates start from numbers that leave a part to every expert that a task may read.",
    )


def checks_of(sharing):
    """The checks of a sharing."""
    return (check_sharing_experts, check_sharing_gate, check_sharing_init, check_sharing_fit)
