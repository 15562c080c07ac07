"""What weightings must do."""

import numpy as np

from skmtl.testing.calls import compiled, draws_from_rng, plain
from skmtl.testing.cases import N_TASKS, weighting_call
from skmtl.testing.fits import fit_tasks, require_falling
from skmtl.testing.report import check, require

N_STEPS = 8


def _weights(weighting, calls, state=None):
    """Weights after each of some calls that hand on the state and the generator."""
    function = compiled(weighting, "update")
    rng, found = np.random.default_rng(3), []
    for step, case in enumerate(calls):
        state = case.arguments["state"] if state is None else state
        arguments = {**case.but(state=state, step=step).arguments, "rng": rng}
        arguments["weights"] = np.full(arguments["losses"].size, np.nan)
        arguments["state"] = state = state.copy()
        function(*arguments.values())
        found.append(arguments["weights"])
    return np.array(found)


def _calls(weighting, n_tasks=N_TASKS):
    """Calls of some steps, with losses and gradients that change."""
    return [weighting_call(weighting, n_tasks, seed=seed) for seed in range(N_STEPS)]


def _is_random(weighting):
    function = compiled(weighting, "update")
    return any(draws_from_rng(function, case) for case in _calls(weighting))


def _permuted(case, order):
    a = case.arguments
    return case.but(
        losses=a["losses"][order],
        n_labels=a["n_labels"][order],
        gram=np.ascontiguousarray(a["gram"][np.ix_(order, order)]),
    )


@check
def check_weighting_finite(weighting):
    """The weights are finite, for losses that are huge, tiny or zero too."""
    for n_tasks in (1, 2, N_TASKS, 12):
        for size in (1.0, 1e30, 1e-30, 0.0):
            calls = [
                case.but(
                    losses=size * case.arguments["losses"], gram=size**2 * case.arguments["gram"]
                )
                for case in _calls(weighting, n_tasks)
            ]
            weights = _weights(weighting, calls)
            broken = np.flatnonzero(~np.isfinite(weights).all(axis=1))
            require(
                broken.size == 0,
                f"The weights are {weights[broken[:1]].tolist()} for {n_tasks} tasks with losses "
                f"of size {size:g}.",
                "Write every weight, and guard divisions, logarithms and exponentials: a task's "
                "loss may be 0, and losses of any size come.",
            )


@check
def check_weighting_order(weighting):
    """The order of the tasks, but a main one, does not matter, unless it draws from rng."""
    if _is_random(weighting):
        return  # which number a task draws depends on its place
    order = np.array([0, 2, 1] if weighting.has_main_task else [2, 0, 1])
    calls = _calls(weighting)
    weights = _weights(weighting, calls)
    moved = _weights(weighting, [_permuted(case, order) for case in calls])
    require(
        np.allclose(moved, weights[:, order], rtol=1e-6, atol=1e-9),
        f"With the tasks in another order the weights are {moved[-1]} where {weights[-1][order]} "
        "would be the same ones in that order.",
        "Treat all tasks alike, whatever their place; if the first is another matter, say so by "
        "has_main_task.",
    )


@check
def check_weighting_absent(weighting):
    """A task without labels does not change the weights of the others."""
    calls, without = [], []
    for case in _calls(weighting):
        a = {name: case.arguments[name].copy() for name in ("losses", "n_labels", "gram")}
        a["losses"][-1] = a["n_labels"][-1] = a["gram"][-1] = a["gram"][:, -1] = 0
        calls.append(case.but(**a))
        n = N_TASKS - 1
        smaller = weighting_call(weighting, n)
        gram = np.ascontiguousarray(a["gram"][:n, :n])
        without.append(smaller.but(losses=a["losses"][:n], n_labels=a["n_labels"][:n], gram=gram))
    weights = _weights(weighting, calls)
    remedy = "Leave tasks with n_labels[t] == 0 out of sums, means, norms and counts of tasks."
    require(np.isfinite(weights).all(), "A task without labels makes weights not finite.", remedy)
    if _is_random(weighting):
        return
    expected = _weights(weighting, without)
    require(
        np.allclose(weights[:, :-1], expected, rtol=1e-6, atol=1e-9),
        f"With a task that has no labels the others weigh {weights[-1][:-1]}, without it "
        f"{expected[-1]}.",
        remedy,
    )


@check
def check_weighting_resume(weighting):
    """Two runs of which the second goes on from the first's state are one run."""
    function = plain(weighting, "update")  # compiled code has no memory of its own
    one, two = [], []
    for found, restart in ((one, N_STEPS), (two, N_STEPS // 2)):
        state, rng = np.zeros(weighting.n_state(N_TASKS)), np.random.default_rng(3)
        for step, case in enumerate(_calls(weighting)):
            if step == restart:
                state, saved = state.copy(), rng.bit_generator.state
                rng = np.random.default_rng(0)
                rng.bit_generator.state = saved
            arguments = {**case.arguments, "step": step, "state": state, "rng": rng}
            arguments["weights"] = np.full(N_TASKS, np.nan)
            function(*arguments.values())
            found.append(arguments["weights"])
    require(
        np.array_equal(one, two, equal_nan=True),
        "A run that goes on from a copy of the state gives other weights than one run.",
        "Keep all that it remembers in state, whose length n_state gives.",
    )


@check
def check_weighting_equal(weighting):
    """Identical tasks, but a main one, get equal weights, unless it draws from rng."""
    if _is_random(weighting):
        return
    first = int(weighting.has_main_task)
    for n_tasks in (2, N_TASKS):
        calls = []
        for case in _calls(weighting, n_tasks):
            a = case.arguments
            calls.append(
                case.but(
                    losses=np.full_like(a["losses"], a["losses"][0]),
                    n_labels=np.full_like(a["n_labels"], a["n_labels"][0]),
                    gram=np.full_like(a["gram"], a["gram"][0, 0]),
                )
            )
        weights = _weights(weighting, calls)[:, first:]
        require(
            np.isfinite(weights).all() and np.allclose(weights, weights[:, :1], rtol=1e-6),
            f"Tasks with equal losses and gradients weigh {weights[-1]}.",
            "Give identical tasks equal weights: with several solutions, take the symmetric one. "
            "Guard against a Gram matrix that has no inverse.",
        )


@check
def check_weighting_fit(weighting):
    """A small network learns with it: the sum of the tasks' losses falls."""
    fitted = fit_tasks(weighting=weighting)
    require(
        np.isfinite(fitted.task_weights_path_).all(),
        "The weights of a small fit are not finite.",
        "See check_weighting_finite.",
    )
    require_falling(fitted.task_loss_curves_.sum(axis=1))


def checks_of(weighting):
    """The checks of a weighting."""
    return (
        check_weighting_finite,
        check_weighting_order,
        check_weighting_absent,
        check_weighting_resume,
        check_weighting_equal,
        check_weighting_fit,
    )
