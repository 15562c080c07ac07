"""Training on dense rows: how long is a step, and how much of it are the matrix products?

``python -m benchmarks.fit_dense``. scikit-learn's digits, standardised: 1,792 of the 1,797 rows,
so that all batches are full in every package. Two nets, 64-64-32-10 with batches of 32 and
64-512-512-10 with batches of 256, both relu, Adam and no penalty, in float32 and float64, on one
core. All have the same rows, start (uniform, the same bounds), batch size and number of epochs:

- skmtl, and scikit-learn's MLPClassifier;
- torch with fused Adam, and with a step's gradient and Adam in one function that ``torch.compile``
  compiles (left out where there is no C++ compiler, which is said);
- JAX, a whole epoch as one compiled function: shuffle, gather, and a scan over the batches;
- Keras on JAX, ``Model.fit``;
- the matrix products of skmtl's step alone (``benchmarks.products``), from a compiled loop: the
  least that a step can take. Their share of our step is what the budgets call products.

The time of a step is that of the training loop over its number of steps; ``fit`` also checks the
input and draws the start. Each turn has a seed of its own. Compiling is what the first fit takes
beyond the median of the later, without what is on disk from before. What serves both dtypes, or
both nets, counts where it comes first. One function gives the mean log loss on the training rows,
of the weights that each ends with: it varies with the start.

Then: what an epoch of skmtl costs in Python, beyond its steps, and two fits in two threads against
the same two one after the other, on both cores. A fit starts under the interpreter's lock, which a
short one feels: the first net is also trained as long as ``max_iter`` is by default.
``--quick``: float32 alone, fewer epochs (but in two threads) and repeats; torch compiles the first
net alone; what is compiled on disk already is used.
"""

import argparse
import os
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks import nets, products, report, timing
from skmtl import MultiTaskClassifier

try:
    from benchmarks import jax_nets
except ImportError:
    jax_nets = None
try:
    import torch

    from benchmarks import torch_nets
except ImportError:
    torch = None

RATE, N_ROWS, N_CLASSES = 1e-3, 1792, 10
PRODUCTS = "matrix products alone"
THREADS_BUDGET = 1.8
LONG = 200  # epochs, the default of max_iter
MICROSECONDS = 1e6


class Net(NamedTuple):
    """A net, how it is trained, and what was promised of it in float32.

    ``budgets`` has the times that others' steps take as long as ours, and the share of products.
    """

    widths: tuple
    batch_size: int
    n_epochs: int
    budgets: dict

    @property
    def n_steps(self):
        """Of a fit."""
        return self.n_epochs * (N_ROWS // self.batch_size)

    def __str__(self):
        return "-".join(map(str, self.widths))


NETS = (
    Net(
        (64, 64, 32, N_CLASSES),
        32,
        30,
        {"scikit-learn": 15, "torch": 20, "JAX": 3, PRODUCTS: 0.6},
    ),
    Net(
        (64, 512, 512, N_CLASSES),
        256,
        10,
        {"scikit-learn": 2, "torch": 1.2, "JAX": 1.2, PRODUCTS: 0.85},
    ),
)


def digits(dtype):
    """Rows and classes."""
    X, y = load_digits(return_X_y=True)
    return StandardScaler().fit_transform(X)[:N_ROWS].astype(dtype), y[:N_ROWS]


def settings_of(net):
    """Parameters that scikit-learn and skmtl share."""
    return nets.settings(net.widths[1:-1], RATE, net.batch_size, net.n_epochs)


def ways(net, X, y, compiles):
    """The fits to compare, by name; compiles says whether torch's are compiled too."""
    arguments = X, y, net.widths, RATE, net.batch_size, net.n_epochs
    found = {
        "skmtl": nets.with_skmtl(MultiTaskClassifier(lam=0.0, **settings_of(net)), X, y),
        PRODUCTS: products.alone(net.widths, net.batch_size, X.dtype.name, net.n_steps),
        "scikit-learn": nets.with_sklearn(MLPClassifier(alpha=0.0, **settings_of(net)), X, y),
    }
    if torch is not None:
        found["torch"] = torch_nets.with_torch(*arguments)
        if compiles and torch_nets.can_compile():
            found["torch.compile"] = torch_nets.with_compiled_torch(*arguments)
    if jax_nets is not None:
        found["JAX"] = jax_nets.with_jax(*arguments)
        if jax_nets.keras is not None:
            found["Keras"] = jax_nets.with_keras(*arguments)
    return found


def run(net, dtype, compiles, repeats):
    """Times and losses of all ways."""
    X, y = digits(dtype)
    fits = timing.measure(ways(net, X, y, compiles), repeats)
    return {
        "net": str(net),
        "batch_size": net.batch_size,
        "dtype": dtype,
        "step": {name: seconds / net.n_steps for name, seconds in fits.loops.items()},
        "fit": {name: seconds / net.n_steps for name, seconds in fits.whole.items()},
        "compiling": fits.compiling(),
        "objective": {
            name: [nets.mean_log_loss(layers, X, y) for layers in of_way]
            for name, of_way in fits.learned.items()
            if name != PRODUCTS
        },
    }


def python_of_an_epoch(repeats, batch_size=4, n_epochs=2000):
    """Seconds of an epoch of one step on four rows, less those of a step, by turn.

    A step takes what an epoch of 101 of them takes longer, over 100.
    """
    rng = np.random.default_rng(0)

    def fit(n_steps):
        X = rng.standard_normal((n_steps * batch_size, 1)).astype(np.float32)
        y = np.arange(len(X)) % 2
        common = nets.settings((1,), RATE, batch_size, n_epochs)
        return nets.with_skmtl(MultiTaskClassifier(lam=0.0, **common), X, y)

    loops = timing.measure({n_steps: fit(n_steps) for n_steps in (1, 101)}, repeats).loops
    step = (loops[101] - loops[1]) / 100
    return (loops[1] - step) / n_epochs


def two_threads(net, repeats):
    """Seconds of two fits one after the other, and of the same two in two threads."""
    X, y = digits("float32")
    seeds = 0, 1

    def fit(seed):
        model = MultiTaskClassifier(lam=0.0, random_state=seed, **settings_of(net))
        return model.fit(X, y)

    def in_threads():
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(fit, seeds))

    one_by_one = {"one by one": lambda: list(map(fit, seeds)), "in two threads": in_threads}
    return timing.interleaved(one_by_one, repeats)


def rows_of_table(result):
    """A row for each way."""
    ours = result["step"]["skmtl"]
    rows = []
    for name, step in result["step"].items():
        trains = name != PRODUCTS
        rows.append(
            [
                f"{result['net']}, batch {result['batch_size']}, {result['dtype']}",
                name,
                timing.quartiles(step, MICROSECONDS),
                f"{np.median(result['fit'][name]) * MICROSECONDS:.3g}" if trains else "",
                timing.quartiles(timing.ratio(step, ours)),
                f"{max(result['compiling'][name], 0):.1f}" if trains else "",
                report.spread(result["objective"][name], 4) if trains else "",
            ]
        )
    return rows


def budget_rows(net, result):
    """What was promised of a net in float32."""
    rows, ours = [], result["step"]["skmtl"]
    for name, limit in net.budgets.items():
        if name in result["step"]:
            ratios = timing.ratio(result["step"][name], ours)
            rows.append(timing.at_least(f"{net}, float32: {name} / skmtl", ratios, limit))
    return rows


def threads_row(net, seconds):
    """How many times as long two fits take one after the other."""
    ratios = timing.ratio(seconds["one by one"], seconds["in two threads"])
    what = f"{net}, float32, {net.n_epochs} epochs: two fits one by one / in two threads"
    return timing.at_least(what, ratios, THREADS_BUDGET)


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="float32, fewer epochs and repeats")
    quick = parser.parse_args().quick
    networks, dtypes, repeats = NETS, ("float32", "float64"), 9
    if quick:
        networks = [net._replace(n_epochs=net.n_epochs // 3) for net in NETS]
        dtypes, repeats = dtypes[:1], 3
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
    if torch is None:
        print("torch is not installed, and left out\n")
    else:
        torch.set_num_threads(1)
        if not torch_nets.can_compile():
            print("torch.compile needs a C++ compiler, and is left out\n")
    if jax_nets is None or jax_nets.keras is None:
        print("JAX or Keras is not installed, and left out\n")

    start, results = time.perf_counter(), []
    with threadpool_limits(1), tempfile.TemporaryDirectory() as empty:
        if not quick:
            numba.config.CACHE_DIR = os.environ["TORCHINDUCTOR_CACHE_DIR"] = empty
        with timing.one_core():
            for net in networks:
                for dtype in dtypes:
                    compiles = not quick or net is networks[0]
                    results.append(run(net, dtype, compiles, repeats))
            python = python_of_an_epoch(repeats)
        threaded = [*NETS, NETS[0]._replace(n_epochs=LONG)]
        threads = [two_threads(net, repeats) for net in threaded]
    seconds = time.perf_counter() - start
    header = [
        "net",
        "way",
        "step, us (quartiles)",
        "fit / steps, us",
        "times as long as skmtl (quartiles)",
        "compiling, s",
        "mean log loss at the end, ± sd",
    ]
    rows = [row for result in results for row in rows_of_table(result)]
    print(f"{N_ROWS:,} rows of digits, one core\n\n{report.table(header, rows)}\n")
    of_net = {str(net): net for net in networks}
    lines = [
        line
        for result in results
        if result["dtype"] == "float32"
        for line in budget_rows(of_net[result["net"]], result)
    ]
    lines += map(threads_row, threaded, threads)
    lines.append(["Python of an epoch, us", timing.quartiles(python, MICROSECONDS), "", ""])
    print(f"{timing.promises(lines)}\n")
    record = {"steps": results, "python of an epoch": python, "two fits": threads}
    settings = {
        "n_rows": N_ROWS,
        "learning_rate_init": RATE,
        "nets": [net._asdict() for net in networks],
        "repeats": repeats,
        "torch": None if torch is None else torch.__version__,
        "jax": None if jax_nets is None else jax_nets.jax.__version__,
    }
    name = "fit_dense_quick" if quick else "fit_dense"
    print(f"{seconds:.0f} s; {report.write(name, settings, record, seconds)}")


if __name__ == "__main__":
    main()
