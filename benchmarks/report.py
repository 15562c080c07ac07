"""What every benchmark says about itself, and how it writes its results."""

import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("skmtl", "scikit-learn", "numba", "numpy", "scipy")


def machine():
    """Cores, processor and versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def write(name, settings, results, seconds):
    """Write benchmarks/results/name.json, arrays as lists; gives its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {
        "date": date.today().isoformat(),
        "seconds": round(seconds),
        "machine": machine(),
        "settings": settings,
        "results": results,
    }
    path.write_text(json.dumps(record, indent=1, default=lambda array: array.tolist()) + "\n")
    return path


def table(header, rows):
    """A markdown table with columns of even width."""
    cells = [header, *rows]
    widths = [max(len(row[j]) for row in cells) for j in range(len(header))]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |" for row in cells
    )


def spread(values, digits=3):
    """Mean ± standard deviation over seeds."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def paired(a, b, digits=3):
    """Mean of a - b over seeds ± its standard error."""
    gap = np.subtract(a, b)
    return f"{gap.mean():+.{digits}f} ± {gap.std(ddof=1) / np.sqrt(len(gap)):.{digits}f}"
