"""Many tasks: what do they cost against one, and against other ways to learn them?

``python -m benchmarks.many_tasks``. Binary tasks on 64 columns with planted labels; a trunk of
64-32 units (relu), a head of one logistic unit for each task, Adam, float32, one core.

1. One label a row: the same rows shared out among 1 to 1,000 tasks, in equal parts, and among 139
   tasks of very unequal sizes.
2. 159 labels on every row: in skmtl against one of these tasks; in torch and scikit-learn as one
   net with 159 outputs. In torch it starts like 159 heads of one output each. scikit-learn draws
   the outputs' weights from a narrower range, as for one layer of 159, so that its loss starts, and
   after few epochs ends, lower.
3. 10 labels on every row, by weighting, against uniform weights.
4. The same 10 tasks in torch, written like LibMTL: an encoder, a ModuleDict of heads, and either
   one walk back from the sum of the losses, or one from each loss, and the shortest convex
   combination of their gradients (MGDA) by Frank and Wolfe's method.

In each part all have the same rows, start (uniform, the same bounds), batch size, number of epochs,
and objective: the sum over tasks of the mean of -log p, plus ``lam / 2 ||W||^2``, which is
scikit-learn's with ``alpha`` equal to ``lam`` times the batch size, and weight decay in torch. One
function gives it on the training rows for the weights that each ends with. Each turn has a seed of
its own; the first, with which Numba compiles, is not timed. The time of an epoch is that of the
training loop; ``fit`` also encodes y (n_samples x n_tasks), checks X and draws the start.
``--quick``: fewer rows, epochs and repeats.
"""

import argparse
import time
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from benchmarks import nets, report, timing
from skmtl import MultiTaskClassifier

try:
    import torch
    from torch import nn

    from benchmarks import torch_nets
except ImportError:
    torch = None

N_COLUMNS, WIDTHS, RATE, LAM, SEED = 64, (64, 32), 1e-3, 1e-4, 0
N_TASKS, N_LABELS, N_FEW = (1, 10, 139, 1000), 159, 10
BATCH_OF_ONE_LABEL, BATCH_SIZES = 200, (200, 32)
GRAM = ("pcgrad", "mgda", "cagrad", "nash_mtl", "aligned_mtl", "upgrad")
OF_LOSSES = ("uncertainty", "dwa", "famo", "gradnorm")
BUDGETS = {139: 1.5, 1000: 3.0}
GRAM_BUDGET = 8.0
FRANK_WOLFE_STEPS, FRANK_WOLFE_TOL = 250, 1e-5
MILLISECONDS = 1e3


class Size(NamedTuple):
    """How much is trained on."""

    n_rows: int
    n_epochs: int
    repeats: int


# --- data -----------------------------------------------------------------------------------------


def inputs(n_rows, rng):
    """Rows, and 16 hidden quantities of which the tasks are made."""
    X = rng.standard_normal((n_rows, N_COLUMNS)).astype(np.float32)
    return X, np.tanh(X @ rng.standard_normal((N_COLUMNS, 16)) / np.sqrt(N_COLUMNS))


def one_label(n_rows, sizes):
    """X, y and the task of each row, for tasks of some sizes; all lean to one rule."""
    rng = np.random.default_rng(SEED)
    X, hidden = inputs(n_rows, rng)
    task = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    weights = 2 * rng.standard_normal(16) + rng.standard_normal((len(sizes), 16))
    y = np.sum(hidden * weights[task], axis=1) + rng.standard_normal(n_rows) > 0
    n_true, first = np.bincount(task, y), np.unique(task, return_index=True)[1]
    y[first[(n_true == 0) | (n_true == sizes)]] ^= True  # every task has both classes
    return X, y.astype(np.int64), task


def all_labels(n_rows, n_tasks):
    """X and y of shape (n_rows, n_tasks)."""
    rng = np.random.default_rng(SEED)
    X, hidden = inputs(n_rows, rng)
    logits = 2 * hidden @ rng.standard_normal((16, n_tasks))
    return X, (logits + rng.standard_normal(logits.shape) > 0).astype(np.int64)


def equal_sizes(n_rows, n_tasks):
    """Rows of each task, as equal as can be."""
    return np.full(n_tasks, n_rows // n_tasks) + (np.arange(n_tasks) < n_rows % n_tasks)


def unequal_sizes(n_rows, n_tasks):
    """Log-normal ones, of 10 rows at least; the last task gets what rounding leaves."""
    shares = np.exp(np.random.default_rng(SEED).standard_normal(n_tasks))
    sizes = 10 + np.floor((n_rows - 10 * n_tasks) * shares / shares.sum()).astype(int)
    sizes[-1] += n_rows - sizes.sum()
    return sizes


# --- the ways: each takes a seed, and gives its layers and the seconds of its loop ----------------


def with_skmtl(X, y, batch_size, n_epochs, weighting="uniform", task=None):
    """Our estimator."""
    common = nets.settings(WIDTHS, RATE, batch_size, n_epochs)
    model = MultiTaskClassifier(lam=LAM, weighting=weighting, **common)
    return nets.with_skmtl(model, X, y, task=task)


def with_sklearn(X, y, batch_size, n_epochs):
    """MLPClassifier on an indicator matrix; its penalty is divided by the rows of a batch."""
    common = nets.settings(WIDTHS, RATE, batch_size, n_epochs)
    return nets.with_sklearn(MLPClassifier(alpha=LAM * batch_size, **common), X, y)


def with_torch(X, y, batch_size, n_epochs, make):
    """A net of torch; make gives its heads, and a function that fills the gradients on a batch."""
    X, y = torch.from_numpy(X), torch.from_numpy(y).float()

    def fit(seed):
        torch.manual_seed(seed)
        encoder = torch_nets.trunk(N_COLUMNS, WIDTHS)
        heads, backward = make(encoder, y.shape[1])
        parameters = [*encoder.parameters(), *(p for head in heads for p in head.parameters())]
        optimizer = torch_nets.adam(parameters, RATE, LAM)
        start = time.perf_counter()
        for _ in range(n_epochs):
            for X_batch, y_batch in torch_nets.one_pass(batch_size, X, y):
                optimizer.zero_grad()
                backward(X_batch, y_batch)
                optimizer.step()
        seconds = time.perf_counter() - start
        pairs = [torch_nets.arrays(head) for head in heads]
        head = np.hstack([w for w, _ in pairs]), np.hstack([b for _, b in pairs])
        return [*map(torch_nets.arrays, encoder[::2]), head], seconds

    return fit


def pooled(encoder, n_tasks):
    """One head with an output for each task, which starts like a head of its own."""
    head = torch_nets.linear(WIDTHS[-1], n_tasks)
    torch_nets.start(WIDTHS[-1], 1, head.weight, head.bias)

    def backward(X, y):
        loss = nn.functional.binary_cross_entropy_with_logits(head(encoder(X)), y, reduction="sum")
        (loss / len(X)).backward()

    return [head], backward


def losses_of_heads(n_tasks):
    """A ModuleDict of heads, and a function that gives the loss of each."""
    heads = nn.ModuleDict({f"{t}": torch_nets.linear(WIDTHS[-1], 1) for t in range(n_tasks)})

    def losses(shared, y):
        return [
            nn.functional.binary_cross_entropy_with_logits(head(shared)[:, 0], y[:, t])
            for t, head in enumerate(heads.values())
        ]

    return heads, losses


def equal_weights(encoder, n_tasks):
    """LibMTL's equal weighting: one walk back from the sum of the losses."""
    heads, losses = losses_of_heads(n_tasks)

    def backward(X, y):
        torch.stack(losses(encoder(X), y)).sum().backward()

    return list(heads.values()), backward


def min_norm(encoder, n_tasks):
    """LibMTL's way to MGDA: a walk back from each loss, to gradients of the shared parameters."""
    heads, losses = losses_of_heads(n_tasks)
    shared = list(encoder.parameters())
    sizes = [p.numel() for p in shared]

    def backward(X, y):
        rows = []
        of_task = losses(encoder(X), y)
        for t, loss in enumerate(of_task):
            loss.backward(retain_graph=t + 1 < n_tasks)
            rows.append(torch.cat([p.grad.flatten() for p in shared]))
            for p in shared:
                p.grad = None
        rows = torch.stack(rows)
        weights = torch.from_numpy(frank_wolfe((rows @ rows.T).numpy())).float()
        for p, part in zip(shared, (weights @ rows).split(sizes)):
            p.grad = part.view_as(p)

    return list(heads.values()), backward


def frank_wolfe(gram):
    """Weights on the simplex that minimise w'Gw (Sener and Koltun 2018, algorithm 2)."""
    gram = gram.astype(np.float64)
    weights = np.full(len(gram), 1 / len(gram))
    for _ in range(FRANK_WOLFE_STEPS):
        products = gram @ weights
        t, square = products.argmin(), weights @ products
        along = square - 2 * products[t] + gram[t, t]
        step = np.clip((square - products[t]) / along, 0, 1) if along > 0 else 0.0
        weights *= 1 - step
        weights[t] += step
        if step < FRANK_WOLFE_TOL:
            break
    return weights


# --- measurements ---------------------------------------------------------------------------------


def objective(layers, X, y, task=None):
    """Sum over tasks of the mean of -log p, plus LAM / 2 ||W||^2, in float64.

    With ``task``, y has one label a row.
    """
    H, (weight, bias) = nets.hidden(layers, X)
    if task is not None:
        logits = np.einsum("ij,ij->i", H, weight.T[task]) + bias[task]
        terms = np.logaddexp(0, (1 - 2 * y) * logits)
        loss = np.sum(np.bincount(task, terms) / np.bincount(task))
    else:
        loss = np.sum(np.mean(np.logaddexp(0, (1 - 2 * y) * (H @ weight + bias)), axis=0))
    return float(loss + LAM * nets.half_squares(layers))


def timed(part, batch_size, size, ways, score):
    """Seconds of an epoch and of a fit over epochs, and objectives of each way."""
    fits = timing.measure(ways, size.repeats)
    return {
        "part": part,
        "batch_size": batch_size,
        "n_rows": size.n_rows,
        "n_epochs": size.n_epochs,
        "epoch": {name: seconds / size.n_epochs for name, seconds in fits.loops.items()},
        "fit": {name: seconds / size.n_epochs for name, seconds in fits.whole.items()},
        "objective": {
            name: [score(name, layers) for layers in of_way]
            for name, of_way in fits.learned.items()
        },
    }


def run_one_label(size):
    """Part 1; the objective is the mean over tasks."""
    sizes = {f"T = {n}": equal_sizes(size.n_rows, n) for n in N_TASKS}
    sizes["T = 139, unequal"] = unequal_sizes(size.n_rows, 139)
    data = {name: one_label(size.n_rows, of_tasks) for name, of_tasks in sizes.items()}
    ways = {}
    for name, (X, y, task) in data.items():
        task = None if len(sizes[name]) == 1 else task
        ways[name] = with_skmtl(X, y, BATCH_OF_ONE_LABEL, size.n_epochs, task=task)

    def score(name, net):
        return objective(net, *data[name]) / len(sizes[name])

    return timed("one label a row", BATCH_OF_ONE_LABEL, size, ways, score)


def run_multi_label(batch_size, size):
    """Part 2."""
    X, y = all_labels(size.n_rows, N_LABELS)
    arguments = batch_size, size.n_epochs
    ways = {
        "skmtl, T = 1": with_skmtl(X, y[:, 0], *arguments),
        f"skmtl, T = {N_LABELS}": with_skmtl(X, y, *arguments),
        f"scikit-learn, {N_LABELS} outputs": with_sklearn(X, y, *arguments),
    }
    if torch is not None:
        ways[f"torch, {N_LABELS} outputs"] = with_torch(X, y, *arguments, pooled)

    def score(name, net):
        return objective(net, X, y[:, :1] if name == "skmtl, T = 1" else y)

    return timed(f"{N_LABELS} labels a row", batch_size, size, ways, score)


def run_weightings(batch_size, size):
    """Parts 3 and 4."""
    X, y = all_labels(size.n_rows, N_FEW)
    arguments = batch_size, size.n_epochs
    ways = {
        name: with_skmtl(X, y, *arguments, weighting=name)
        for name in ("uniform", *GRAM, *OF_LOSSES)
    }
    if torch is not None:
        ways["torch, equal weights"] = with_torch(X, y, *arguments, equal_weights)
        ways["torch, MGDA"] = with_torch(X, y, *arguments, min_norm)
    part = f"{N_FEW} labels a row"
    return timed(part, batch_size, size, ways, lambda name, net: objective(net, X, y))


# --- tables ---------------------------------------------------------------------------------------


def table(result, reference):
    """A row for each way."""
    rows = [
        [
            name,
            timing.quartiles(epoch, MILLISECONDS),
            timing.quartiles(timing.ratio(epoch, result["epoch"][reference])),
            f"{np.median(result['fit'][name]) * MILLISECONDS:.3g}",
            report.spread(result["objective"][name]),
        ]
        for name, epoch in result["epoch"].items()
    ]
    header = [
        f"{result['part']}, batch {result['batch_size']}",
        "epoch, ms (quartiles)",
        f"times as long as {reference}",
        "fit / epochs, ms",
        "objective at the end, ± sd",
    ]
    return report.table(header, rows)


def budget_lines(results):
    """The issue's budgets."""
    lines = []
    for result in results:
        epoch = result["epoch"]
        for name in epoch:
            if name.startswith("T = ") and (n := int(name.split()[2].rstrip(","))) in BUDGETS:
                ratios = timing.ratio(epoch[name], epoch["T = 1"])
                lines.append(timing.at_most(f"one label a row: {name} / T = 1", ratios, BUDGETS[n]))
            if name in GRAM:
                what = f"T = {N_FEW}, batch {result['batch_size']}: {name} / uniform"
                lines.append(
                    timing.at_most(what, timing.ratio(epoch[name], epoch["uniform"]), GRAM_BUDGET)
                )
    return lines


def peer_lines(results):
    """How many times as long others take."""
    pairs = (
        (f"scikit-learn, {N_LABELS} outputs", f"skmtl, T = {N_LABELS}"),
        (f"torch, {N_LABELS} outputs", f"skmtl, T = {N_LABELS}"),
        ("torch, equal weights", "uniform"),
        ("torch, MGDA", "mgda"),
    )
    rows = []
    for result in results:
        for theirs, ours in pairs:
            if theirs in result["epoch"]:
                ratios = (
                    timing.ratio(result[kind][theirs], result[kind][ours])
                    for kind in ("epoch", "fit")
                )
                batch = str(result["batch_size"])
                rows.append([f"{theirs} / {ours}", batch, *map(timing.quartiles, ratios)])
    return report.table(["times as long", "batch", "epoch (quartiles)", "whole fit"], rows)


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows, epochs and repeats")
    quick = parser.parse_args().quick
    sparse, dense = Size(20_000, 20, 7), Size(4_000, 10, 5)
    if quick:
        sparse, dense = Size(10_000, 10, 3), Size(1_600, 3, 3)
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
    if torch is None:
        print("torch is not installed, and left out\n")
    else:
        torch.set_num_threads(1)

    start = time.perf_counter()
    with threadpool_limits(1), timing.one_core():
        results = [run_one_label(sparse)]
        results += [run_multi_label(batch_size, dense) for batch_size in BATCH_SIZES]
        results += [run_weightings(batch_size, dense) for batch_size in BATCH_SIZES]
    seconds = time.perf_counter() - start
    references = ["T = 1", *2 * ["skmtl, T = 1"], *2 * ["uniform"]]
    print(
        f"{sparse.n_rows:,} rows with one label, {dense.n_rows:,} with several; float32, one core"
    )
    print("The objective of tasks with one label a row is the mean over tasks, else their sum.\n")
    for result, reference in zip(results, references, strict=True):
        print(f"{table(result, reference)}\n")
    print(f"{peer_lines(results)}\n")
    print(f"{timing.promises(budget_lines(results))}\n")
    settings = {
        "widths": WIDTHS,
        "n_columns": N_COLUMNS,
        "learning_rate_init": RATE,
        "lam": LAM,
        "dtype": "float32",
        "one label": sparse._asdict(),
        "several labels": dense._asdict(),
        "torch": None if torch is None else torch.__version__,
    }
    name = "many_tasks_quick" if quick else "many_tasks"
    path = report.write(name, settings, results, seconds)
    print(f"{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
