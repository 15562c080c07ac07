"""``python -m skmtl.warmup``: compile ahead all that fits need, for images and clusters.

Nothing needs it: a fit compiles what it uses, once, and keeps it. This compiles the engine and the
functions of every installed plugin, to where numba keeps machine code: NUMBA_CACHE_DIR, or else
``__pycache__`` beside the sources.
"""

import argparse
import sys
import time
from functools import partial
from itertools import product

from skmtl.engine import activations
from skmtl.plugins import available, resolve
from skmtl.plugins.registry import KINDS
from skmtl.testing.calls import CONTRACTS, DTYPES, compiled, contracts_of


def _engine_functions(dtype):
    """Generate what the engine compiles for a dtype."""
    from skmtl.engine import (
        align,
        batches,
        flat_heads,
        gates,
        heads,
        layers,
        lazy,
        maps,
        network,
        pace,
        passes,
        sparse,
        train,
    )
    from skmtl.engine import compile as compiler  # imports numba

    for function in (train.gradient, train.gradient_by_task):
        yield compiler.compiled(function, "gradient", dtype)
    for name, dropout in product(activations.ACTIVATIONS, (False, True)):
        forth, back, _ = activations.of_net(name, dropout)
        yield compiler.compiled(forth, "activate", dtype)
        yield compiler.compiled(back, "backward_activation", dtype)
    for function in (
        train.epochs,
        train.objective,
        train.squared_gradients,
        batches.sort_labels,
        batches.deal_labels,
        batches.transpose_labels,
        passes.forward_domain,
        passes.forward_tasks,
        passes.backward_tasks,
        passes.backward_domain,
        layers.multiply,
        layers.drop_out,
        maps.map_rows,
        maps.backward_map,
        network.assign_rows,
        sparse.read_csr,
        sparse.backward_csr_layer,
        sparse.head_on_csr,
        sparse.backward_head_on_csr,
        heads.forward_head,
        heads.backward_head,
        heads.forward_hidden,
        heads.backward_hidden,
        flat_heads.forward_abreast,
        flat_heads.backward_abreast,
        flat_heads.forward_few,
        flat_heads.backward_few,
        gates.mix_experts,
        gates.backward_mixture,
        align.align,
        lazy.catch_up_rows,
        pace.pace_layers,
    ):
        yield compiler.compiled(function, function.__name__, dtype)


def _plugin_functions(kind, name, dtype):
    """Generate what an installed plugin compiles for a dtype."""
    plugin = resolve(kind, name, "name")
    for function in contracts_of(plugin):
        yield compiled(plugin, function, dtype)


def _cache_folder(function):
    """Where numba keeps a compiled function."""
    stats = getattr(function, "stats", None)  # NUMBA_DISABLE_JIT leaves functions plain
    if stats is None or stats.cache_path is None:
        raise RuntimeError(
            "there is nowhere to keep compiled code: set NUMBA_CACHE_DIR to a writable folder, "
            "and do not set NUMBA_DISABLE_JIT"
        )
    return stats.cache_path


def _warm_up(group, parts, dtypes):
    """Compile functions by part of a group, and print a line; gives a message for each failure."""
    start, folders, failures = time.perf_counter(), set(), []
    for name, functions in parts:
        try:
            folders.update(_cache_folder(f) for dtype in dtypes for f in functions(dtype))
        except Exception as error:  # whatever a plugin's author did: the other plugins go on
            failures.append(f"{group}, {name}: {error}")
    seconds = time.perf_counter() - start
    print(f"{group:13} {seconds:6.1f} s  {', '.join(sorted(folders))}", flush=True)
    return failures


def main(arguments=None):
    """Compile all and print a line for each group: its seconds, and where numba keeps it.

    Parameters
    ----------
    arguments : list of str, default=None
        Those of the command line.

    Returns
    -------
    int
        1 if something cannot be compiled or kept, else 0.
    """
    parser = argparse.ArgumentParser("python -m skmtl.warmup", description=__doc__)
    parser.add_argument("--dtype", choices=[*DTYPES, "both"], default="both", help="of X")
    dtype = parser.parse_args(arguments).dtype
    dtypes = DTYPES if dtype == "both" else (dtype,)

    failures = _warm_up("engine", [("kernels", _engine_functions)], dtypes)
    compiled_kinds = [kind for kind in available() if CONTRACTS[KINDS[kind]]]
    for kind in () if failures else compiled_kinds:
        parts = [(name, partial(_plugin_functions, kind, name)) for name in available(kind)]
        failures += _warm_up(kind, parts, dtypes)
    for failure in failures:
        print(failure, file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    raise SystemExit(main())
