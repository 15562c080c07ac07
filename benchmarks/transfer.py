"""A search over lam x mu: how long does it take on one core, on two, and in torch?

``python -m benchmarks.transfer``. MNIST is the source; 10 digits of each class are the target, and
all others test. ``GridSearchCV`` with 5 folds tries 5 x 5 points (lam, mu) of the joint objective
with an affine map of the source, anchored at the identity, and fits once more on all 100 rows.

- Two cores: the same search with threads and with processes (loky) against one core. The workers
  of loky are started, and their kernels loaded, before the clock runs. The refit has one core, so
  that no more than 1.98x (``--quick``: 1.91x) can be reached.
- torch: 126 fits take long, so some of them are timed, in turns with the same fits in skmtl, and
  scaled to the search: the mean over points of the first fold, times the number of fits, plus the
  refit. The scaled time of skmtl stands beside that of its whole search.
- scikit-learn's MLPClassifier, on the rows of source and target pooled, as a check on reality: it
  has neither lam nor mu nor a map, and its time is scaled likewise.

All have the same rows, widths, start (uniform, the same bounds), Adam, batches per epoch, number of
epochs and float32; each timed point has a seed of its own. torch is used as fast as we could write
it: the rows of an epoch are gathered once, source and target go through the net as one batch, and
the penalties are weight decay of the fused Adam, which is their exact gradient (of the map's: on
its difference to the identity). One function gives the objective on the training rows, and the test
accuracy, of all that was trained. The two batch sizes are that of the net of the budgets (32), and
what ``batch_size="auto"`` gives. ``--quick``: 2 x 2 points, half of the epochs, and two of the six
points that are timed one by one.
"""

import argparse
import time
import warnings
from itertools import chain, product
from typing import NamedTuple

import numpy as np
from joblib import parallel_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from benchmarks import nets, report, timing
from benchmarks.transfer_ladder import draw
from skmtl import TransferClassifier, as_source
from skmtl.datasets import load_mnist_digits_pair

try:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    from benchmarks import torch_nets
except ImportError:
    torch = None

LAMS, MUS = [0.1, 0.3, 1.0, 3.0, 10.0], [0.01, 0.03, 0.1, 0.3, 1.0]
POINTS = list(product((0.1, 1.0, 10.0), (0.01, 1.0)))  # those that are timed one by one
MIDDLE = (1.0, 0.1)  # stands for the best point, in the refit
N_PER_CLASS, N_FOLDS, BATCH_SIZES = 10, 5, (32, 200)
WIDTHS, ALPHA, RATE, SEED = (64, 32), 1e-4, 1e-3, 0
THREADS_BUDGET, TORCH_BUDGET = 1.8, 15


class Rows(NamedTuple):
    """Inputs and labels."""

    X: np.ndarray
    y: np.ndarray


class Job(NamedTuple):
    """One fit of the search: the rows and the point."""

    source: Rows
    train: Rows
    held_out: Rows
    lam: float
    mu: float
    seed: int


class Net(NamedTuple):
    """What a fit gives: g(x) = x A + b, and the (weight, bias) of the layers."""

    A: np.ndarray
    b: np.ndarray
    layers: list


def load():
    """Source, the target's training rows, and its test rows, in float32."""
    pair = load_mnist_digits_pair()
    train, test = draw(pair.y, N_PER_CLASS, SEED)
    X = pair.X.astype(np.float32)
    source = Rows(pair.X_source.astype(np.float32), pair.y_source)
    return source, Rows(X[train], pair.y[train]), Rows(X[test], pair.y[test])


def objective(net, job):
    """(L_s + lam L_t + mu R(g)) / (1 + lam) + alpha R(theta), on all training rows."""
    source = nets.mean_log_loss(net.layers, job.source.X @ net.A + net.b, job.source.y)
    target = nets.mean_log_loss(net.layers, *job.train)
    of_map = np.sum((net.A - np.eye(len(net.A))) ** 2) + np.sum(net.b**2)
    joint = (source + job.lam * target + job.mu * of_map) / (1 + job.lam)
    return joint + ALPHA * nets.half_squares(net.layers)


def accuracy(net, rows):
    """Fraction of the rows that are recognised."""
    return np.mean(nets.outputs(net.layers, rows.X).argmax(axis=1) == rows.y)


def classifier(batch_size, n_epochs):
    """The estimator of the search; it trains for all its epochs."""
    return TransferClassifier(
        feature_map="affine",
        map_penalty="identity",
        alpha=ALPHA,
        random_state=SEED,
        **nets.settings(WIDTHS, RATE, batch_size, n_epochs),
    )


# Each of the next three gives a function that fits and scores, and gives the Net.


def with_skmtl(job, batch_size, n_epochs):
    """One fit as the search does it."""
    model = classifier(batch_size, n_epochs).set_params(
        lam=job.lam, mu=job.mu, random_state=job.seed
    )
    source, n = as_source(*job.source), job.source.X.shape[1]

    def way():
        model.fit(*job.train, **source).score(*job.held_out)
        A, b = np.split(model.map_params_[0], [n * n])
        weights = [*model.coefs_, *model.head_coefs_[0]]
        biases = [*model.intercepts_, *model.head_intercepts_[0]]
        return Net(A.reshape(n, n), b, list(zip(weights, biases, strict=True)))

    return way


def with_sklearn(job, batch_size, n_epochs):
    """One fit of scikit-learn's net on the pooled rows."""
    X, y = (np.concatenate(parts) for parts in zip(job.source, job.train, strict=True))
    n = X.shape[1]
    model = MLPClassifier(
        alpha=ALPHA * batch_size,  # it divides by the rows of a batch
        random_state=job.seed,
        **nets.settings(WIDTHS, RATE, batch_size, n_epochs),
    )

    def way():
        model.fit(X, y).score(*job.held_out)
        layers = list(zip(model.coefs_, model.intercepts_, strict=True))
        return Net(np.eye(n), np.zeros(n), layers)

    return way


def with_torch(job, batch_size, n_epochs):
    """One fit in torch; the map is x + x D + b."""
    source, train, held_out = (
        [torch.from_numpy(X), torch.from_numpy(y).long()]
        for X, y in (job.source, job.train, job.held_out)
    )
    n = job.source.X.shape[1]

    def way():
        torch.manual_seed(job.seed)
        net, change = torch_start(n)
        train_torch(net, change, source, train, job, batch_size, n_epochs)
        with torch.no_grad():
            (net(held_out[0]).argmax(dim=1) == held_out[1]).float().mean().item()
            A, b = torch_nets.arrays(change)
            layers = list(map(torch_nets.arrays, net[::2]))
            return Net(np.eye(n) + A, b, layers)

    return way


def torch_start(n):
    """The net with the start of skmtl and scikit-learn, and a map that changes nothing."""
    change = nn.Linear(n, n)
    nn.init.zeros_(change.weight)
    nn.init.zeros_(change.bias)
    return torch_nets.perceptron((n, *WIDTHS, 10)), change


def train_torch(net, change, source, target, job, batch_size, n_epochs):
    """Adam on the joint objective; an epoch is a pass over the source."""
    weight_source, weight_target = 1 / (1 + job.lam), job.lam / (1 + job.lam)
    optimizer = torch_nets.adam(net.parameters(), RATE, ALPHA)
    decay_of_map = 2 * job.mu * weight_source
    optimizer.add_param_group({"params": [*change.parameters()], "weight_decay": decay_of_map})
    target_batches = cycle_batches(*target, batch_size)
    for (x_source, y_source), (x_target, y_target) in zip(
        chain.from_iterable(torch_nets.one_pass(batch_size, *source) for _ in range(n_epochs)),
        target_batches,
    ):
        out = net(torch.cat((x_source + change(x_source), x_target)))
        n = len(x_source)
        loss = weight_source * cross_entropy(out[:n], y_source)
        loss = loss + weight_target * cross_entropy(out[n:], y_target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def cycle_batches(X, y, batch_size):
    """One pass after the other, without end."""
    while True:
        yield from torch_nets.one_pass(batch_size, X, y)


def search_times(data, grid, batch_size, n_epochs, repeats):
    """Seconds of the whole search in skmtl by where it runs, and whether all found the same."""
    source, train, _ = data
    source, scores = as_source(*source), {}

    def search(where):
        found = GridSearchCV(classifier(batch_size, n_epochs), grid, cv=N_FOLDS)
        scores[where] = found.fit(*train, **source).cv_results_["mean_test_score"]

    def on_one_core():
        with timing.one_core():
            search("one core")

    def on_two(backend):
        with parallel_config(backend, n_jobs=2):
            search(backend)

    ways = {
        "one core": on_one_core,
        "two cores, threading": lambda: on_two("threading"),
        "two cores, loky": lambda: on_two("loky"),
    }
    seconds = timing.interleaved(ways, repeats)
    first, *others = scores.values()
    return seconds, all(np.array_equal(first, other) for other in others)


def time_job(job, peers, batch_size, n_epochs, repeats):
    """Seconds of one fit by peer, and their nets."""
    nets = {}

    def keeping(name, fit):
        def way():
            nets[name] = fit()

        return way

    ways = {name: keeping(name, make(job, batch_size, n_epochs)) for name, make in peers.items()}
    with timing.one_core():
        return timing.interleaved(ways, repeats), nets


def compare(data, points, n_fits, batch_size, n_epochs, repeats):
    """By peer the scaled seconds of a search; and objective and test accuracy by point."""
    source, train, test = data
    peers = {"skmtl": with_skmtl, "torch": with_torch, "scikit-learn, pooled": with_sklearn}
    if torch is None:
        del peers["torch"]
    rows, held_out = next(StratifiedKFold(N_FOLDS).split(*train))
    fold, left_out = (Rows(train.X[part], train.y[part]) for part in (rows, held_out))
    jobs = [Job(source, fold, left_out, lam, mu, seed) for seed, (lam, mu) in enumerate(points)]
    timed = [time_job(job, peers, batch_size, n_epochs, repeats) for job in jobs]
    # Scored like the others, which takes a thousandth of the time.
    refit, _ = time_job(
        Job(source, train, left_out, *MIDDLE, SEED), peers, batch_size, n_epochs, repeats
    )
    return {
        name: {
            "seconds": n_fits * np.mean([s[name] for s, _ in timed], axis=0) + refit[name],
            "objective": [objective(nets[name], job) for job, (_, nets) in zip(jobs, timed)],
            "accuracy": [accuracy(nets[name], test) for _, nets in timed],
        }
        for name in peers
    }


def run(data, lams, mus, points, batch_size, n_epochs, repeats):
    """All measurements with one batch size."""
    n_fits = len(lams) * len(mus) * N_FOLDS
    grid = {"lam": lams, "mu": mus}
    searches, same = search_times(data, grid, batch_size, n_epochs, repeats)
    peers = compare(data, points, n_fits, batch_size, n_epochs, repeats)
    return {"batch_size": batch_size, "searches": searches, "same": same, "peers": peers}


def times_table(result):
    """How long the search takes, by where and with what."""
    searches, peers = result["searches"], result["peers"]
    rows = [
        [f"skmtl, {where}", timing.quartiles(seconds),
         timing.quartiles(timing.ratio(seconds, searches["one core"]))]
        for where, seconds in searches.items()
    ]  # fmt: skip
    rows += [
        [f"{name}, one core, scaled", timing.quartiles(peer["seconds"]),
         timing.quartiles(timing.ratio(peer["seconds"], peers["skmtl"]["seconds"]))]
        for name, peer in peers.items()
    ]  # fmt: skip
    return report.table(["search", "seconds (quartiles)", "times as long as skmtl, one core"], rows)


def work_table(result, points):
    """Objective and test accuracy of the fits that were timed, by point."""
    rows = []
    for name, peer in result["peers"].items():
        pooled = name == "scikit-learn, pooled"  # another objective
        values = ["-"] * len(points) if pooled else [f"{j:.4f}" for j in peer["objective"]]
        rows.append([f"{name}: J", *values, "-" if pooled else f"{np.mean(peer['objective']):.4f}"])
    for name, peer in result["peers"].items():
        values = [f"{a:.3f}" for a in peer["accuracy"]]
        rows.append([f"{name}: accuracy", *values, f"{np.mean(peer['accuracy']):.3f}"])
    header = ["after the last epoch", *(f"{lam:g}, {mu:g}" for lam, mu in points), "mean"]
    return report.table(header, rows)


def budgets(result):
    """What was promised, and what is so."""
    searches, peers, batch = result["searches"], result["peers"], result["batch_size"]

    threads = timing.ratio(searches["one core"], searches["two cores, threading"])
    what = f"two threads against one core, batch {batch}"
    lines = [timing.at_least(what, threads, THREADS_BUDGET)]
    if "torch" in peers:
        against = timing.ratio(peers["torch"]["seconds"], peers["skmtl"]["seconds"])
        what = f"torch against skmtl, one core, batch {batch}"
        lines.append(timing.at_least(what, against, TORCH_BUDGET))
    return lines


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 x 2 points, half of the epochs")
    args = parser.parse_args()
    lams, mus, points, n_epochs, repeats = LAMS, MUS, POINTS, 10, 3
    if args.quick:
        lams, mus, points, n_epochs, repeats = LAMS[1::2], MUS[1::2], POINTS[::3], 5, 2
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
    if torch is None:
        print("torch is not installed: it is left out")
    else:
        torch.set_num_threads(1)

    start, data = time.perf_counter(), load()
    with threadpool_limits(1):
        results = [
            run(data, lams, mus, points, batch_size, n_epochs, repeats)
            for batch_size in BATCH_SIZES
        ]
    seconds = time.perf_counter() - start
    n_points, n_fits = len(lams) * len(mus), len(lams) * len(mus) * N_FOLDS
    print(
        f"{n_points} points, {N_FOLDS} folds, {n_epochs} epochs: {n_fits} fits and the refit. "
        f"Scaled: from {len(points)} points x 1 fold and the refit."
    )
    for result in results:
        same = "the same" if result["same"] else "NOT the same"
        print(f"\nBatches of {result['batch_size']} rows\n\n{times_table(result)}\n")
        print(f"Scores on one core, with threads and with loky: {same}.\n")
        print(f"By lam, mu; J on the training rows\n\n{work_table(result, points)}")
    lines = [line for result in results for line in budgets(result)]
    print(f"\n{timing.promises(lines)}\n")
    path = report.write(
        "transfer_quick" if args.quick else "transfer",
        {"lam": lams, "mu": mus, "points": points, "n_folds": N_FOLDS, "widths": WIDTHS,
         "alpha": ALPHA, "learning_rate_init": RATE, "n_epochs": n_epochs, "repeats": repeats,
         "n_per_class": N_PER_CLASS, "dtype": "float32", "feature_map": "affine",
         "torch": None if torch is None else torch.__version__},
        results,
        seconds,
    )  # fmt: skip
    print(f"{seconds:.0f} s; {path}")


if __name__ == "__main__":
    main()
