"""Weightings of gradients by TorchJD and by skmtl: the same step, and how long does it take?

``python -m benchmarks.weightings_torchjd``, with ``pip install "torchjd[full]"``. Both get the same
random Jacobians with conflicting rows, in double precision; both combine the rows, and the
difference is ``|ours - theirs| / |theirs|``. *tight*: with TorchJD's stopping rules and
regularisation tightened, where it has such options. Where both solve the same problem by iteration,
the *defect* says how far each is from its solution:

- MGDA: ``1 - min_t <g_t, d> / |d|^2``
- CAGrad: the gap between dual and primal value over ``|g_0|^2``
- Nash-MTL: ``max_t |w_t <g_t, d> / mean - 1|``

The time is that of one set of weights from the Gram matrix (Nash-MTL of TorchJD: from the Jacobian)
with default settings, called from Python, in microseconds, without compilation.
"""

import argparse
import time
from importlib.metadata import version
from unittest import mock

import numpy as np
import torch
from torchjd import aggregation as theirs
from torchjd.linalg import QuadprogProjector

from benchmarks import report
from skmtl.engine.compile import compiled
from skmtl.plugins import weightings as ours

SIZES, N_COLUMNS = (2, 5, 10), 30
# ours, theirs by default and, where there are options to tighten, tight; as functions of n_tasks
METHODS = {
    "PCGrad": (ours.PCGrad(), lambda n: theirs.PCGrad(), None),
    "GradVac": (ours.GradVac(0.5), lambda n: theirs.GradVac(0.5), None),
    "MGDA": (
        ours.MGDA(),
        lambda n: theirs.MGDA(),
        lambda n: theirs.MGDA(epsilon=1e-9, max_iters=10_000),
    ),
    "CAGrad": (
        ours.CAGrad(0.5),
        lambda n: theirs.CAGrad(0.5),
        lambda n: theirs.CAGrad(0.5, norm_eps=1e-9),
    ),
    "IMTL-G": (ours.IMTLG(), lambda n: theirs.IMTLG(), None),
    "Nash-MTL": (ours.NashMTL(), lambda n: theirs.NashMTL(n), None),
    "Aligned-MTL": (ours.AlignedMTL(), lambda n: theirs.AlignedMTL(), None),
    "UPGrad": (
        ours.UPGrad(),
        lambda n: theirs.UPGrad(),
        lambda n: theirs.UPGrad(projector=QuadprogProjector(norm_eps=0.0, reg_eps=1e-11)),
    ),
}


def jacobian(n_tasks, seed):
    """One gradient a row; they point away from each other, and differ in length."""
    rng = np.random.default_rng([n_tasks, seed])
    rows = rng.standard_normal((n_tasks, N_COLUMNS))
    rows -= 0.5 * rows.mean(axis=0)
    return rows * rng.uniform(0.5, 2.0, (n_tasks, 1))


class SameOrder:
    """In place of torch.randperm: the order in which our rules visit the tasks other than i."""

    def __init__(self, n_tasks, seed):
        self.n_tasks, self.i, self.rng = n_tasks, 0, np.random.default_rng(seed)

    def __call__(self, n):
        order = list(range(self.n_tasks - 1))  # places among the others
        for p in range(self.n_tasks - 2, 0, -1):
            k = int(self.rng.random() * (p + 1))
            order[p], order[k] = order[k], order[p]
        if n == self.n_tasks:  # numbers of tasks are wanted
            order = [k + (k >= self.i) for k in order]
        self.i = (self.i + 1) % self.n_tasks
        return torch.tensor(order)


def our_update(plugin, n_tasks, seed):
    """Our compiled rule as a function from Gram matrix to weights, with a state of its own."""
    update = compiled(type(plugin).update, "weighting", "float64")
    losses, n_labels, weights = np.ones(n_tasks), np.ones(n_tasks, np.int64), np.zeros(n_tasks)
    hp, state = np.array(plugin.hyper()), np.zeros(plugin.n_state(n_tasks))
    rng = np.random.default_rng(seed)

    def weigh(gram):
        update(losses, n_labels, gram, 0, 1, hp, state, rng, weights)
        return weights

    return weigh


def defect(plugin, rows, weights):
    """How far the weights are from the solution of the problem that defines the rule."""
    d = weights @ rows
    products = rows @ d
    if isinstance(plugin, ours.MGDA):
        return 1 - products.min() / (d @ d)
    if isinstance(plugin, ours.CAGrad):
        mean, w = rows.mean(axis=0), weights - 1 / len(rows)
        point = w @ rows / w.sum()
        dual = point @ mean + plugin.c * np.linalg.norm(mean) * np.linalg.norm(point)
        return (dual - products.min()) / (mean @ mean)
    if isinstance(plugin, ours.NashMTL):
        return np.abs(weights * products / np.mean(weights * products) - 1).max()
    return 0.0


def compare(plugin, make, n_tasks, n_jacobians):
    """Median and largest relative difference of the combined gradients, our defect, theirs.

    Rules with memory take the Jacobians in turn; but Nash-MTL of TorchJD starts from its last
    solution, which is no part of the rule: a new one each.
    """
    weigh, aggregate, found = our_update(plugin, n_tasks, 0), make(n_tasks), []
    with mock.patch("torch.randperm", SameOrder(n_tasks, 0)):
        for seed in range(n_jacobians):
            rows = jacobian(n_tasks, seed)
            if isinstance(plugin, ours.NashMTL):
                aggregate = make(n_tasks)
            rule = getattr(aggregate, "gramian_weighting", None)
            if rule is None:
                expected = aggregate.weighting(torch.tensor(rows)).numpy()
            else:
                expected = rule(torch.tensor(rows @ rows.T)).numpy()
            weights = weigh(rows @ rows.T)
            gap = np.linalg.norm((weights - expected) @ rows) / np.linalg.norm(expected @ rows)
            defects = defect(plugin, rows, weights), defect(plugin, rows, expected)
            found.append([gap, *defects])
    return np.column_stack([np.median(found, axis=0), np.max(found, axis=0)]).tolist()


def microseconds(call, inputs, repeats):
    """Time of one call; the median over the repeats of the mean over the inputs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for x in inputs:
            call(x)
        times.append((time.perf_counter() - start) / len(inputs) * 1e6)
    return float(np.median(times))


def speed(plugin, make, n_tasks, quick):
    """Microseconds of our rule and of theirs."""
    rows = [jacobian(n_tasks, seed) for seed in range(10)]
    grams = [j @ j.T for j in rows]
    aggregate = make(n_tasks)
    weigh, inputs = getattr(aggregate, "gramian_weighting", None), grams
    if weigh is None:
        weigh, inputs = aggregate.weighting, rows
    inputs = [torch.tensor(x) for x in inputs]
    ours = microseconds(our_update(plugin, n_tasks, 0), grams, 20 if quick else 200)
    return ours, microseconds(weigh, inputs, 1 if quick else 7)


def two(numbers):
    """Median and largest, as text."""
    return " ".join(f"{max(number, 0):.0e}" for number in numbers)


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 Jacobians of each size")
    args = parser.parse_args()
    n_jacobians = 5 if args.quick else 30
    torch.set_num_threads(1)

    start, results, gaps, defects, times = time.perf_counter(), [], [], [], []
    for name, (plugin, make, tight) in METHODS.items():
        clock = [speed(plugin, make, n, args.quick) for n in SIZES]
        times.append([name, *(f"{a:.1f} / {b:.0f} ({b / a:.0f}x)" for a, b in clock)])
        for rule, kind in ((make, "default"), (tight, "tight")):
            if rule is not None:
                found = [compare(plugin, rule, n, n_jacobians) for n in SIZES]
                gaps.append([name, kind, *(two(gap) for gap, _, _ in found)])
                if isinstance(plugin, (ours.MGDA, ours.CAGrad, ours.NashMTL)):
                    defects.append([name, kind, *(f"{two(a)}; {two(b)}" for _, a, b in found)])
                results.append({"method": name, "settings": kind, "difference and defects": found})
        results.append({"method": name, "microseconds": clock})
    seconds = time.perf_counter() - start
    header = [f"T = {n}" for n in SIZES]
    print(f"Relative difference, median and largest of {n_jacobians} Jacobians\n")
    print(report.table(["method", "TorchJD", *header], gaps))
    print("\nDefect, median and largest: skmtl; TorchJD\n")
    print(report.table(["method", "TorchJD", *header], defects))
    print(f"\nMicroseconds, skmtl / TorchJD\n\n{report.table(['method', *header], times)}\n")
    packages = ("torchjd", "torch", "cvxpy", "clarabel", "ecos", "quadprog")
    settings = {
        "n_jacobians": n_jacobians,
        "n_columns": N_COLUMNS,
        "n_tasks": SIZES,
        "versions": {package: version(package) for package in packages},
    }
    name = "weightings_torchjd_quick" if args.quick else "weightings_torchjd"
    print(f"{seconds:.0f} s; {report.write(name, settings, results, seconds)}")


if __name__ == "__main__":
    main()
