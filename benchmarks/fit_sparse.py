"""Training on CSR text: how long is a step, and is it the same step as on dense rows?

``python -m benchmarks.fit_sparse``. 20,000 columns, 80 nonzeros in every row, 64 hidden units
(relu), 20 classes. A third of a row's words are moved to the nearest word of its class. Words are
drawn uniformly, or by Zipf's law as in text: the word of rank r with a probability proportional to
1/r, and ranks are scattered over the columns. Values are positive, and rows have length 1. The
table says how many columns occur in a batch.

All have the same rows, start (uniform, the same bounds), Adam, batch size, number of epochs and
float32, on one core. The penalty ``lam / 2 ||W||^2`` is scikit-learn's with ``alpha`` equal to
``lam`` times the batch size, and weight decay in torch. With it every weight moves in every step by
a formula of its own. So there is AdamW too, whose decay is the same for all and can be put off.
scikit-learn has no AdamW: it takes Adam's steps there, with a ``lam`` as large as the decay, which
is **another algorithm**.

Torch is used in three ways:

- EmbeddingBag with weights for the words, and fused Adam or AdamW on all parameters: the same
  algorithm.
- CSR: a product of a CSR matrix of each batch, likewise. All rows having equally many nonzeros,
  its row pointers and the matrix of EmbeddingBag's words are the same for every batch, which is the
  best case of both.
- EmbeddingBag with sparse gradients and SparseAdam on the first layer: **another algorithm**. It
  skips the columns that do not occur in a batch, which Adam moves on by their running means, and
  has no penalty; so its loss ends elsewhere.

The time of a step is that of the training loop over its number of steps; ``fit`` also checks the
input and draws the start. The first fit of each, with which Numba compiles, is not timed. Each
turn has a seed of its own. One function gives the objective on the training rows, of the weights
that each ends with; it varies with the start by some hundredths.

At the end, the loss curves of skmtl on CSR and on the same rows dense, in float64.
``--quick``: batches of 32 rows alone, fewer repeats.
"""

import argparse
import time
import warnings
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from benchmarks import nets, report, timing
from skmtl import MultiTaskClassifier
from skmtl.plugins.optimizers import AdamW

try:
    import torch
    from torch import nn

    from benchmarks import torch_nets
except ImportError:
    torch = None

N_COLUMNS, N_WORDS, N_HIDDEN, N_CLASSES = 20_000, 80, 64, 20
OF_CLASS = 1 / 3  # the share of a row's words that belong to its class
DISTRIBUTIONS, BATCH_SIZES = ("uniform", "Zipf"), (32, 200)
PENALTIES = (1e-4, 0.0), (0.0, 0.0), (0.0, 1e-2)  # lam of Adam's, decay of AdamW
RATE, N_EPOCHS, STEPS_PER_EPOCH, SEED = 1e-3, 2, 50, 0
SMALL_ROWS, SMALL_EPOCHS = 800, 5
SKLEARN_BUDGET, CURVE_BUDGET = 30, 1e-6
MILLISECONDS = 1e3


class Case(NamedTuple):
    """What is trained on."""

    X: csr_array
    y: np.ndarray
    batch_size: int
    lam: float
    decay: float

    @property
    def penalty(self):
        """Its name."""
        return f"AdamW, {self.decay:g}" if self.decay else f"lam={self.lam:g}"


def text(n_rows, n_columns, distribution, dtype, seed):
    """Rows of N_WORDS different words each, and their classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(N_CLASSES, size=n_rows)
    frequency = 1 / np.arange(1, n_columns + 1) if distribution == "Zipf" else np.ones(n_columns)
    column_of_rank, cumulated = rng.permutation(n_columns), np.cumsum(frequency / frequency.sum())
    indices = np.empty((n_rows, N_WORDS), np.int32)
    for i in range(n_rows):
        drawn = rng.random(6 * N_WORDS)
        ranks = np.searchsorted(cumulated, drawn).clip(max=n_columns - 1)
        moved = rng.random(ranks.size) < OF_CLASS
        ranks[moved] += y[i] - ranks[moved] % N_CLASSES
        first = np.sort(np.unique(ranks, return_index=True)[1])[:N_WORDS]
        indices[i] = np.sort(column_of_rank[ranks[first]])
    values = rng.uniform(0.5, 2.0, indices.shape)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    indptr = np.arange(n_rows + 1, dtype=np.int32) * N_WORDS
    shape = n_rows, n_columns
    return csr_array((values.ravel().astype(dtype), indices.ravel(), indptr), shape), y


def settings_of(case, n_epochs):
    """Parameters that scikit-learn and skmtl share."""
    return nets.settings((N_HIDDEN,), RATE, case.batch_size, n_epochs)


def columns_in_a_batch(X, batch_size):
    """How many columns a batch of rows has data in, on average."""
    parts = X.indices.reshape(-1, batch_size * N_WORDS)
    return float(np.mean([np.unique(part).size for part in parts]))


def with_torch(case, product, sparse_gradients=False):
    """A fit with torch; product gives rows times the first weight, plus the bias."""
    n_rows = len(case.y)
    words = torch.from_numpy(case.X.indices.reshape(n_rows, -1)).to(torch.int64)
    values = torch.from_numpy(case.X.data.reshape(n_rows, -1))
    y = torch.from_numpy(case.y)

    def fit(seed):
        torch.manual_seed(seed)
        weight = nn.Parameter(torch.empty(N_COLUMNS, N_HIDDEN))
        bias = nn.Parameter(torch.empty(N_HIDDEN))
        torch_nets.start(N_COLUMNS, N_HIDDEN, weight, bias)
        head = torch_nets.linear(N_HIDDEN, N_CLASSES)
        dense = [bias, *head.parameters()]
        if sparse_gradients:
            optimizers = [
                torch.optim.SparseAdam([weight], lr=RATE),
                torch_nets.adam(dense, RATE, case.lam),
            ]
        elif case.decay:
            optimizers = [torch_nets.adamw([weight, *dense], RATE, case.decay)]
        else:
            optimizers = [torch_nets.adam([weight, *dense], RATE, case.lam)]
        start = time.perf_counter()
        for _ in range(N_EPOCHS):
            for batch in torch_nets.one_pass(case.batch_size, words, values, y):
                out = head(torch.relu(product(batch[0], batch[1], weight, bias)))
                loss = nn.functional.cross_entropy(out, batch[2])
                for optimizer in optimizers:
                    optimizer.zero_grad()
                loss.backward()
                for optimizer in optimizers:
                    optimizer.step()
        seconds = time.perf_counter() - start
        first = weight.detach().numpy(), bias.detach().numpy()
        return [first, torch_nets.arrays(head)], seconds

    return fit


def embedding_bag(words, values, weight, bias, sparse=False):
    """The sum of the rows of weight that belong to words, times values."""
    summed = nn.functional.embedding_bag(
        words, weight, per_sample_weights=values, mode="sum", sparse=sparse
    )
    return summed + bias


def sparse_embedding_bag(words, values, weight, bias):
    """The same with a gradient that holds the rows of these words alone."""
    return embedding_bag(words, values, weight, bias, sparse=True)


def csr_product(batch_size):
    """The product with a CSR matrix; all rows have as many words."""
    pointers = torch.arange(batch_size + 1, dtype=torch.int64) * N_WORDS

    def product(words, values, weight, bias):
        X = torch.sparse_csr_tensor(
            pointers, words.ravel(), values.ravel(), (len(words), N_COLUMNS), check_invariants=False
        )
        return torch.addmm(bias, X, weight)

    return product


def solver(case):
    """Adam or AdamW."""
    return AdamW(weight_decay=case.decay) if case.decay else "adam"


def ways(case):
    """The fits to compare, by name; scikit-learn divides its penalty by the rows of a batch."""
    common = settings_of(case, N_EPOCHS)
    ours = MultiTaskClassifier(lam=case.lam, solver=solver(case), **common)
    theirs = MLPClassifier(alpha=(case.lam or case.decay) * case.batch_size, **common)
    found = {
        "skmtl": nets.with_skmtl(ours, case.X, case.y),
        "scikit-learn": nets.with_sklearn(theirs, case.X, case.y),
    }
    if torch is not None:
        found["torch, EmbeddingBag"] = with_torch(case, embedding_bag)
        found["torch, CSR"] = with_torch(case, csr_product(case.batch_size))
        if case.lam == case.decay == 0:
            found["torch, EmbeddingBag, SparseAdam (another algorithm)"] = with_torch(
                case, sparse_embedding_bag, sparse_gradients=True
            )
    return found


def objective(layers, case):
    """Mean of -log p plus lam / 2 ||W||^2, on all rows, in float64."""
    loss = nets.mean_log_loss(layers, case.X.astype(np.float64), case.y)
    return loss + case.lam * nets.half_squares(layers)


def run(distribution, batch_size, repeats):
    """Times and losses of all ways, with and without penalty, on one data set."""
    n_rows = STEPS_PER_EPOCH * batch_size
    X, y = text(n_rows, N_COLUMNS, distribution, np.float32, SEED)
    results, occurring = [], columns_in_a_batch(X, batch_size)
    for penalty in PENALTIES:
        case = Case(X, y, batch_size, *penalty)
        fits = timing.measure(ways(case), repeats)
        n_steps = N_EPOCHS * STEPS_PER_EPOCH
        results.append(
            {
                "columns": distribution,
                "occurring": occurring,
                "batch_size": batch_size,
                "penalty": case.penalty,
                "step": {name: seconds / n_steps for name, seconds in fits.loops.items()},
                "fit": {name: seconds / n_steps for name, seconds in fits.whole.items()},
                "objective": {
                    name: [objective(layers, case) for layers in of_way]
                    for name, of_way in fits.learned.items()
                },
            }
        )
    return results


def rows_of_table(result):
    """A row for each way."""
    rows = []
    for name, step in result["step"].items():
        rows.append(
            [
                result["columns"],
                f"{result['occurring']:,.0f}",
                str(result["batch_size"]),
                result["penalty"],
                name,
                timing.quartiles(step, MILLISECONDS),
                f"{np.median(result['fit'][name]) * MILLISECONDS:.3g}",
                timing.quartiles(timing.ratio(result["step"]["scikit-learn"], step)),
                report.spread(result["objective"][name]),
            ]
        )
    return rows


def budget_row(result):
    """How many times as long a step of scikit-learn takes."""
    ratios = timing.ratio(result["step"]["scikit-learn"], result["step"]["skmtl"])
    what = f"{result['columns']}, batch {result['batch_size']}, {result['penalty']}"
    return timing.at_least(f"{what}: scikit-learn / skmtl", ratios, SKLEARN_BUDGET)


def curves(distribution, batch_size, lam, decay):
    """Loss by epoch on CSR and on the same rows dense, in float64."""
    X, y = text(SMALL_ROWS, N_COLUMNS, distribution, np.float64, SEED)
    case = Case(X, y, batch_size, lam, decay)
    settings = settings_of(case, SMALL_EPOCHS)
    model = MultiTaskClassifier(lam=lam, solver=solver(case), random_state=SEED, **settings)
    on_csr, on_dense = (list(model.fit(rows, y).loss_curve_) for rows in (X, X.toarray()))
    gap = np.max(np.abs(np.subtract(on_csr, on_dense)) / np.abs(on_dense))
    return {
        "columns": distribution,
        "batch_size": batch_size,
        "penalty": case.penalty,
        "csr": on_csr,
        "dense": on_dense,
        "gap": float(gap),
    }


def print_curves(found):
    """The block on CSR against dense rows."""
    header = [
        "columns",
        "batch",
        "penalty",
        "first epoch",
        "last epoch, CSR",
        "dense",
        "differs by",
    ]
    rows = [
        [
            curve["columns"],
            str(curve["batch_size"]),
            curve["penalty"],
            f"{curve['csr'][0]:.6f}",
            f"{curve['csr'][-1]:.9f}",
            f"{curve['dense'][-1]:.9f}",
            f"{curve['gap']:.0e}",
        ]
        for curve in found
    ]
    print(
        f"Loss curve of skmtl on CSR and on the same rows dense: {SMALL_ROWS} rows, "
        f"{N_COLUMNS:,} columns, {SMALL_EPOCHS} epochs, float64; largest relative difference "
        f"of an epoch\n\n{report.table(header, rows)}\n"
    )


def curve_budget(found):
    """The differences of all, against their budget."""
    gaps = [curve["gap"] for curve in found]
    what = "loss curve on CSR and dense, greatest relative difference"
    return timing.at_most(what, max(gaps), CURVE_BUDGET)


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="batches of 32 alone, fewer repeats")
    quick = parser.parse_args().quick
    batch_sizes, repeats = (BATCH_SIZES[:1], 2) if quick else (BATCH_SIZES, 3)
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is fixed
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
    if torch is None:
        print("torch is not installed, and left out\n")
    else:
        torch.set_num_threads(1)

    start, results = time.perf_counter(), []
    combinations = [(columns, size) for columns in DISTRIBUTIONS for size in batch_sizes]
    with threadpool_limits(1), timing.one_core():
        for distribution, batch_size in combinations:
            results += run(distribution, batch_size, repeats)
        found = [curves(*data, *penalty) for data in combinations for penalty in PENALTIES]
    seconds = time.perf_counter() - start
    header = [
        "columns",
        "in a batch",
        "batch",
        "penalty",
        "way",
        "step, ms (quartiles)",
        "fit / steps, ms",
        "scikit-learn / it (quartiles)",
        "objective at the end, ± sd",
    ]
    rows = [row for result in results for row in rows_of_table(result)]
    print(
        f"{N_COLUMNS:,} columns, {N_WORDS} nonzeros a row, {N_EPOCHS} epochs of {STEPS_PER_EPOCH} "
        f"steps, float32, one core\n\n{report.table(header, rows)}\n"
    )
    print_curves(found)
    lines = [*map(budget_row, results), curve_budget(found)]
    print(f"{timing.promises(lines)}\n")
    settings = {
        "n_columns": N_COLUMNS,
        "n_words": N_WORDS,
        "n_hidden": N_HIDDEN,
        "n_classes": N_CLASSES,
        "learning_rate_init": RATE,
        "n_epochs": N_EPOCHS,
        "steps_per_epoch": STEPS_PER_EPOCH,
        "repeats": repeats,
        "dtype": "float32",
        "curves": [SMALL_ROWS, N_COLUMNS, SMALL_EPOCHS],
        "torch": None if torch is None else torch.__version__,
    }
    record = {"steps": results, "curves": found}
    name = "fit_sparse_quick" if quick else "fit_sparse"
    print(f"{seconds:.0f} s; {report.write(name, settings, record, seconds)}")


if __name__ == "__main__":
    main()
