"""Growth: time and memory of a fit, as functions of rows, columns and nonzeros.

``python -m benchmarks.scale``. A net of one hidden layer of 64, 10 classes, Adam, batches of 200,
float32, no penalty, in skmtl and in scikit-learn's MLPClassifier; each size in a new process, on
one core.

- Seconds an epoch: those of a fit of some epochs, less those of a fit of one, over the difference.
  Set-up is what the fit of one epoch takes beyond an epoch. The loss is the log loss of both after
  all epochs on the first 2,000 rows, by one function.
- Memory beyond X: the peak of a fit's own arrays as NumPy tells tracemalloc of them, so without
  machine code and the buffers of BLAS; "resident" is by how much the process grew at most (Linux).
- What grows with the rows is listed by the line that allocates it, while the epochs run.
- Chunks from disk: ``partial_fit`` over chunks of 10,000 rows of an ``np.memmap``.

The exponents are slopes of log time on log size over the upper sizes, all but the least.
``--quick``: sizes ten times smaller.
"""

import argparse
import gc
import json
import linecache
import tempfile
import time
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from benchmarks import report, timing
from skmtl import MultiTaskClassifier

N_CLASSES, CHUNK, N_SCORED = 10, 10_000, 2000
FIXED = 2_000_000  # bytes beyond X, however many rows: an order of some, weights, buffers
NET = {"hidden_layer_sizes": (64,), "batch_size": 200, "tol": 0.0, "random_state": 0}
CHILD = """
import json
from benchmarks import scale
print(json.dumps(scale.{call}))
"""


class Size(NamedTuple):
    """A table's rows and columns, and the nonzeros of each row; None if it is dense."""

    n_rows: int
    n_columns: int
    n_nonzeros: int | None = None


def table_of(size, seed=0):
    """X and labels that depend on it."""
    rng = np.random.default_rng(seed)
    if size.n_nonzeros is None:
        X = rng.standard_normal((size.n_rows, size.n_columns), dtype=np.float32)
    else:  # one in each of as many equal stretches of columns
        stretch = size.n_columns // size.n_nonzeros
        place = rng.integers(stretch, size=(size.n_rows, size.n_nonzeros), dtype=np.int32)
        place += np.arange(size.n_nonzeros, dtype=np.int32) * stretch
        values = rng.standard_normal(place.size, dtype=np.float32)
        indptr = np.arange(size.n_rows + 1, dtype=np.int32) * size.n_nonzeros
        X = csr_array((values, place.ravel(), indptr), (size.n_rows, size.n_columns))
    return X, (X @ rng.standard_normal((size.n_columns, N_CLASSES), dtype=np.float32)).argmax(1)


def model(name, n_epochs):
    """The same net; both train for all epochs."""
    common = {**NET, "max_iter": n_epochs, "n_iter_no_change": n_epochs}
    if name == "skmtl":
        return MultiTaskClassifier(**common, lam=0.0)
    return MLPClassifier(**common, alpha=0.0)


# --- in a process of its own ---------------------------------------------------------------------


def measure(size, n_epochs, repeats):
    """Seconds and bytes of fits on a table of some size, by package."""
    warnings.simplefilter("ignore")
    size = Size(*size)
    model("skmtl", 1).fit(*table_of(size._replace(n_rows=50)))  # loads the kernels
    X, y = table_of(size)
    grown = resident_growth(lambda: model("skmtl", 1).fit(X, y))
    memory = {"skmtl": traced_memory(X, y), "scikit-learn": traced_peak("scikit-learn", X, y)}
    fitted, ways = {}, {}
    for name in ("skmtl", "scikit-learn"):
        for n in (1, 1 + n_epochs):

            def way(name=name, n=n):
                fitted[name] = model(name, n).fit(X, y)

            ways[name, n] = way
    seconds = timing.interleaved(ways, repeats)
    found = {}
    for name in ("skmtl", "scikit-learn"):
        one, more = seconds[name, 1], seconds[name, 1 + n_epochs]
        epoch = (more - one) / n_epochs
        proba = fitted[name].predict_proba(X[:N_SCORED])
        found[name] = {
            "epoch": epoch.tolist(),
            "set-up": (one - epoch).tolist(),
            "loss": log_loss(y[:N_SCORED], proba, labels=range(N_CLASSES)),
            **memory[name],
        }
    found["skmtl"]["resident"] = grown
    return found


def traced_peak(name, X, y):
    """Most bytes that the arrays of a fit have at once."""
    estimator = model(name, 1)
    tracemalloc.start(8)  # frames: those of skmtl among them
    estimator.fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"peak": peak}


def traced_memory(X, y):
    """The same of ours; also what is held when the first epoch begins, and by which lines."""
    from skmtl.engine.problem import Problem

    found, run_epochs = {}, Problem.epochs

    def epochs(problem, rates):
        curves = run_epochs(problem, rates)
        held, _ = tracemalloc.get_traced_memory()
        lines = Counter()
        for part in tracemalloc.take_snapshot().statistics("traceback"):
            lines[_where(part.traceback)] += part.size
        found.update(held=held, lines=[(*where, n) for where, n in lines.most_common(20)])
        return curves

    Problem.epochs = epochs
    try:
        return {**traced_peak("skmtl", X, y), **found}
    finally:
        Problem.epochs = run_epochs


def _where(traceback):
    """File and text of the innermost line of skmtl."""
    ours = [frame for frame in traceback if "skmtl" in Path(frame.filename).parts]
    frame = (ours or traceback)[-1]
    parts = Path(frame.filename).parts
    return "/".join(parts[-2:]), linecache.getline(frame.filename, frame.lineno).strip()


def resident_growth(function):
    """By how many bytes the process grows at most during a call; None where that is not told."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    gc.collect()
    reset.write_text("5")  # the high-water mark starts anew

    def kilobytes(name):
        return int(status.read_text().partition(f"{name}:")[2].split()[0])

    before = kilobytes("VmRSS")
    function()
    return 1024 * (kilobytes("VmHWM") - before)


def stream(folder, n_rows, n_columns):
    """Seconds and peak bytes of one pass of ``partial_fit`` over the first rows on disk."""
    warnings.simplefilter("ignore")
    X = np.memmap(Path(folder, "X"), np.float32, "r", shape=(n_rows, n_columns))
    y = np.memmap(Path(folder, "y"), np.int64, "r", shape=(n_rows,))

    def one_pass():
        estimator = model("skmtl", 1)
        for start in range(0, n_rows, CHUNK):
            chunk = slice(start, start + CHUNK)
            estimator.partial_fit(X[chunk], y[chunk], classes=range(N_CLASSES))
        return estimator

    model("skmtl", 1).partial_fit(X[:50], y[:50], classes=range(N_CLASSES))  # loads the kernels
    start = time.perf_counter()
    estimator = one_pass()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    one_pass()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    loss = log_loss(y[:N_SCORED], estimator.predict_proba(X[:N_SCORED]), labels=range(N_CLASSES))
    return {"seconds": seconds, "peak": peak, "loss": loss}


# --- from the outside ----------------------------------------------------------------------------


def in_new_process(function, *arguments):
    """What a function of this module gives."""
    call = f"{function.__name__}(*json.loads({json.dumps(json.dumps(arguments))}))"
    return timing.fresh_process(CHILD.format(call=call))


def measure_all(sizes, repeats):
    """Measured by size; fewer epochs where they are long."""
    found = {}
    for size in sizes:
        n_numbers = size.n_rows * (size.n_nonzeros or size.n_columns)
        n_epochs = int(np.clip(2e6 / n_numbers, 2, 20))
        found[size] = in_new_process(measure, size, n_epochs, repeats)
    return found


def stream_all(n_rows):
    """Measured by number of rows, a tenth of them and all."""
    size = Size(n_rows, 20)
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder, "X"), "wb") as to_X, open(Path(folder, "y"), "wb") as to_y:
            weight = np.random.default_rng(0).standard_normal((20, N_CLASSES), dtype=np.float32)
            for seed in range(0, n_rows, CHUNK):
                X, _ = table_of(size._replace(n_rows=CHUNK), seed)
                X.tofile(to_X)
                (X @ weight).argmax(axis=1).astype(np.int64).tofile(to_y)
        return {
            n: in_new_process(stream, folder, n, size.n_columns) for n in (n_rows // 10, n_rows)
        }


def exponents(sizes, found):
    """Slope of log seconds an epoch on log size, over all sizes but the least; of each repeat."""
    seconds = [by_package["skmtl"]["epoch"] for by_package in found.values()]
    return np.polyfit(np.log(sizes[1:]), np.log(seconds[1:]), 1)[0]


def bytes_of_x(size):
    """Of a table: values, and if sparse their columns and the bounds of rows."""
    if size.n_nonzeros is None:
        return 4 * size.n_rows * size.n_columns
    return 4 * (2 * size.n_rows * size.n_nonzeros + size.n_rows + 1)


def growth_table(what, sizes, found):
    """A row for each size and package."""
    rows = []
    for at, (size, by_package) in zip(sizes, found.items()):
        for name, m in by_package.items():
            grown = m.get("resident")
            rows.append(
                [
                    f"{at:,}",
                    name,
                    timing.quartiles(m["epoch"], 1e3),
                    timing.quartiles(m["set-up"], 1e3),
                    f"{m['loss']:.3f}",
                    f"{bytes_of_x(size) / 1e6:.3g}",
                    f"{m['peak'] / 1e6:.3g}",
                    "" if grown is None else f"{grown / 1e6:.3g}",
                ]
            )
    header = [what, "", "ms an epoch (quartiles)", "set-up ms", "loss", "X, MB", "beyond X, MB"]
    return report.table([*header, "resident"], rows)


def lines_table(found):
    """Which lines hold bytes for each row while the epochs run, at the greatest size."""
    size = list(found)[-1]
    per_row = [(file, text, n / size.n_rows) for file, text, n in found[size]["skmtl"]["lines"]]
    rows = [[f"{n:.1f}", file, f"`{text}`"] for file, text, n in per_row if n > 0.5]
    return report.table(["bytes a row", "file", "line"], rows or [["0", "", ""]])


def stream_table(found):
    """A row for each number of rows on disk."""
    rows = [
        [
            f"{n_rows:,}",
            f"{4 * n_rows * 20 / 1e6:.3g}",
            f"{n_rows / m['seconds'] / 1e6:.2f}",
            f"{m['peak'] / 1e6:.3g}",
            f"{m['loss']:.3f}",
        ]
        for n_rows, m in found.items()
    ]
    header = ["partial_fit, rows on disk", "X, MB", "million rows/s", "memory, MB", "loss"]
    return report.table(header, rows)


def budget_table(of_rows, of_columns, of_nonzeros, of_chunks):
    """The budgets, and whether they are met."""
    rows = [
        timing.at_most("exponent of time in rows", exponents(*of_rows), 1.1),
        timing.at_most("exponent of time in nonzeros", exponents(*of_nonzeros), 1.1),
        ["exponent of time in columns", timing.quartiles(exponents(*of_columns)), "", ""],
    ]
    size, most = list(of_rows[1].items())[-1]
    for key, when in (("held", "while epochs run"), ("peak", "at the peak")):
        what = f"{size.n_rows:,} rows: MB beyond X ({bytes_of_x(size) / 1e6:.0f}), {when}"
        rows.append(timing.at_most(what, most["skmtl"][key] / 1e6, FIXED / 1e6))
    rows.append(
        ["of scikit-learn, at the peak", f"{most['scikit-learn']['peak'] / 1e6:.3g}", "", ""]
    )
    (few, less), (many, more) = ((n_rows, m["peak"]) for n_rows, m in of_chunks.items())
    extra = (more - less) / (many - few)
    rows.append(timing.at_most("rows on disk, bytes a row beyond X (80), at the peak", extra, 1))
    return timing.promises(rows)


def main():
    """Run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="sizes ten times smaller")
    quick = parser.parse_args().quick
    smaller, repeats = (10, 3) if quick else (1, 5)
    n_rows = [1000, 10_000, 100_000] if quick else [1000, 10_000, 100_000, 1_000_000]
    n_columns = [10, 100, 1000] if quick else [10, 100, 1000, 10_000]
    n_nonzeros = [5, 20, 80] if quick else [20, 80, 320, 1280]

    start = time.perf_counter()
    with timing.one_core():
        of_rows = n_rows, measure_all([Size(n, 20) for n in n_rows], repeats)
        of_columns = n_columns, measure_all([Size(2000, n) for n in n_columns], repeats)
        sparse = [Size(2000, 20_000 // smaller, n) for n in n_nonzeros]
        of_nonzeros = [2000 * n for n in n_nonzeros], measure_all(sparse, repeats)
        of_chunks = stream_all(n_rows[-1])
    seconds = time.perf_counter() - start
    print(f"{growth_table('rows (20 columns)', *of_rows)}\n")
    print(f"{growth_table('columns (2,000 rows)', *of_columns)}\n")
    what = f"nonzeros (2,000 rows of {sparse[0].n_columns:,} columns)"
    print(f"{growth_table(what, *of_nonzeros)}\n")
    print(f"{lines_table(of_rows[1])}\n\n{stream_table(of_chunks)}\n")
    print(f"{budget_table(of_rows, of_columns, of_nonzeros, of_chunks)}\n")
    everything = {**of_rows[1], **of_columns[1], **of_nonzeros[1]}
    results = {
        "fits": [{"size": size._asdict(), **found} for size, found in everything.items()],
        "chunks": of_chunks,
    }
    settings = {"net": NET, "chunk": CHUNK, "repeats": repeats}
    name = "scale_quick" if quick else "scale"
    print(f"{seconds:.0f} s; {report.write(name, settings, results, seconds)}")


if __name__ == "__main__":
    main()
