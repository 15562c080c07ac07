"""Compiler policy, all of it: options, signatures, cache key. The only file that calls ``njit``.

A kernel or plugin function is plain Python. To compile one, ``compiled`` makes a copy that

- calls compiled versions of the plain functions that it names,
- carries a digest of all that its machine code depends on in its cache key, because numba's disk
  cache does not see edits in other files,
- has one explicit signature per dtype, so that it is compiled once and found in the disk cache by
  the next process, whatever the sizes, depths, tasks and plugins of a fit.

Plugins enter the compiled loop by address (``address_of``). To pass numba's own first-class
functions takes 60 to 130 microseconds each, more than a whole step of a small network.
"""

import functools
import gc
import hashlib
import types as python_types
import warnings
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np
from numba import types
from numba.core.errors import NumbaError
from numba.extending import get_cython_function_address, overload

from skmtl.engine import elementary, pointers, tables, train
from skmtl.engine.contracts import ARGUMENTS
from skmtl.engine.intrinsics import View, intrinsics, table
from skmtl.engine.lowering import Compiler, EntryCompiler

# What shapes machine code without being reached from a kernel. Read at import, so that it tells of
# the engine that runs, whatever an upgrade then does to its files.
POLICY = b"".join(
    Path(__file__).with_name(name).read_bytes()
    for name in ("compile.py", "intrinsics.py", "lowering.py", "tables.py")
)

OPTIONS = {
    "nogil": True,
    "pipeline_class": Compiler,
    "error_model": "numpy",
    # All of LLVM's liberties but "nnan" and "ninf": those delete the checks for divergence.
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}
# ``engine.elementary`` relies on rounding: operations there keep their order, but may fuse. What is
# not inlined is no vector.
EXACT = {**OPTIONS, "fastmath": {"contract"}, "forceinline": True}
# Kinds whose callees are put into their own code, see ``_link``.
INLINED = (
    "sort_labels",
    "deal_labels",
    "transpose_labels",
    "forward_domain",
    "forward_tasks",
    "backward_tasks",
    "backward_domain",
    "forward_head",
    "backward_head",
    "forward_hidden",
    "backward_hidden",
)
# Kinds that only compiled code calls: they need none of the wrappers that Python would.
INTERNAL = (
    *INLINED,
    "multiply",
    "activate",
    "backward_activation",
    "drop_out",
    "map_rows",
    "backward_map",
    "assign_rows",
    "read_csr",
    "backward_csr_layer",
    "head_on_csr",
    "backward_head_on_csr",
    "forward_abreast",
    "backward_abreast",
    "forward_few",
    "backward_few",
    "mix_experts",
    "backward_mixture",
    "align",
    "catch_up_rows",
    "pace_layers",
    "gradient",
)


@functools.cache
def signatures(f):
    """Signature of each kind of compiled function, for floats of numba type f."""
    i, none = types.int64, types.void
    v, m, rv, rm = (View(f, n, "C", readonly=ro) for ro in (False, True) for n in (1, 2))
    iv, im = (View(i, n, "C", readonly=True) for n in (1, 2))
    jv = View(types.int32, 1, "C", readonly=True)
    d1 = View(types.float64, 1, "C")
    rd1, rd2 = (View(types.float64, n, "C", readonly=True) for n in (1, 2))
    records = [table(record) for record in (tables.NET, tables.DATA, tables.WORK)]
    layer = table(tables.LAYER)
    rng = numba.typeof(np.random.default_rng(0))
    return {
        "loss": types.float64(rm, rm, rv, rv, m),
        "penalty": types.float64(rv, im, f, rv, rv, d1, v),
        "prox": none(v, im, f, rv, rv, d1),
        "alignment": types.float64(rv, rm, rm, iv, iv, f, rv, d1, rng, m, m, v),
        "weighting": none(rd1, iv, rd2, i, i, rv, d1, rng, d1),
        "optimizer": none(v, rv, m, f, i, rv),
        "catch_up": types.float64(v, v, m, iv, iv, i, i, i, f, f, rv, d1),
        "forward": none(rv, rm, rv, v, m),
        "backward": none(rv, rm, rv, v, rm, v),
        "forward_csr": none(rv, rv, jv, iv, iv, rv, v, m),
        "backward_csr": none(rv, rv, jv, iv, iv, rv, v, rm, v),
        "forward_domain": none(*records, v, i, i, rng),
        "forward_tasks": types.float64(*records, v, i, rng),
        "backward_tasks": none(*records, v, v, v, iv),
        "backward_domain": none(*records, v, v, v, i),
        "sort_labels": none(*records, v),
        "deal_labels": none(*records, v, i, i),
        "transpose_labels": none(*records, v, i, i),
        "multiply": none(i, i, i, m, m, i, m),
        "activate": none(m, rv, m),
        "backward_activation": none(m, rm, v),
        "drop_out": none(m, m, types.float64, rng),
        "map_rows": none(*records, v, i),
        "backward_map": none(*records, v, v, i),
        "assign_rows": none(*records, v, i),
        "read_csr": none(*records, v, i, i),
        "backward_csr_layer": none(*records, v, v, i, i, m),
        "head_on_csr": none(*records, v, i, layer, m),
        "backward_head_on_csr": none(*records, v, v, i, layer, m),
        "forward_head": none(*records, v, i, types.float64, rng),
        "backward_head": none(*records, v, v, v, i),
        "forward_hidden": none(*records, v, i, types.float64, rng),
        "backward_hidden": none(*records, v, v, i),
        "forward_abreast": none(*records, v, i, i),
        "backward_abreast": none(*records, v, v, i, i),
        "forward_few": none(*records, v, i),
        "backward_few": none(*records, v, v, i),
        "mix_experts": none(*records, v, i),
        "backward_mixture": none(*records, v, v, i, m),
        "align": types.float64(*records, v, v, rng),
        "catch_up_rows": types.float64(*records, v, v, m, f, i, i, i),
        "pace_layers": none(records[0], v, i),
        "gradient": types.float64(*records, v, v, i, i, rng),
        "epochs": i(i, i, i, i, v, v, m, m, v, rv, i, d1, rng),
        "objective": types.float64(i, i, i, i, v, v, rng),
        "squared_gradients": none(i, i, i, i, v, v, v, rng),
    }


def _signature(kind, dtype):
    return signatures(numba.from_dtype(np.dtype(dtype)))[kind]


@functools.cache
def compiled(fn, kind, dtype):
    """The compiled version of a plain function.

    Parameters
    ----------
    fn : function
        A module-level function without closure.
    kind : str
        Which of ``signatures`` it has.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    callable
        ``fn`` itself where ``NUMBA_DISABLE_JIT`` is set.

    Raises
    ------
    TypeError
        If it, or a function that it calls, is no plain function, has other arguments than its
        kind, or does what cannot be compiled.
    """
    _check_plain(fn)
    _check_arguments(fn, kind)
    if numba.config.DISABLE_JIT:
        return fn
    signature = _signature(kind, dtype)
    try:
        with _collector_paused():
            linked = _link(fn, _digest(fn), inline=kind in INLINED)
            return _jit(linked, signature, no_cpython_wrapper=kind in INTERNAL)
    except NumbaError as error:
        raise TypeError(
            f"{_name(fn)} cannot be compiled for {dtype}: {_in_short(error)}. Use numbers, loops, "
            "NumPy, math and plain functions of the module alone, allocate nothing, and leave "
            "read-only arguments as they are; skmtl.testing.check_plugin tells more."
        ) from error


@functools.cache
def address_of(fn, kind, dtype):
    """Address of the compiled version of a function, for kernels to call."""
    function = compiled(fn, kind, dtype)
    if numba.config.DISABLE_JIT:
        pointers.plain_functions.append(function)
        return pointers.plain_functions.index(function)
    result = function.get_compile_result(_signature(kind, dtype))
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


@functools.cache
def entry(fn, kind, dtype, by_task=False):
    """A compiled function of ``train`` that calls ``train.gradient``, or that task by task."""
    gradient = train.gradient_by_task if by_task else train.gradient
    return functools.partial(compiled(fn, kind, dtype), address_of(gradient, "gradient", dtype))


def gemm_address(dtype):
    """Address of BLAS's matrix product, as scipy exports it."""
    if numba.config.DISABLE_JIT:
        return 0
    name = {"float32": "sgemm", "float64": "dgemm"}[dtype]
    return get_cython_function_address("scipy.linalg.cython_blas", name)


@contextmanager
def _collector_paused():
    """Python's garbage collector takes a sixth of the time of compiling, for little to collect."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _jit(fn, signature, **options):
    """Compile with the disk cache, or without where there is nowhere to write it."""
    options = {"no_cfunc_wrapper": True, **options, **OPTIONS, "pipeline_class": EntryCompiler}
    try:
        return numba.njit(signature, cache=True, **options)(fn)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        if Path(fn.__code__.co_filename).exists():  # not typed at a prompt
            _warn_no_cache()
        return numba.njit(signature, **options)(fn)


@functools.cache
def _warn_no_cache():
    warnings.warn(
        "skmtl found no writable folder for compiled code, so every process compiles anew "
        "(some seconds). Set the environment variable NUMBA_CACHE_DIR to a writable folder.",
        RuntimeWarning,
        stacklevel=2,
    )


def _name(fn):
    return f"{getattr(fn, '__module__', None)}.{getattr(fn, '__qualname__', fn)}"


def _check_plain(fn):
    if not isinstance(fn, python_types.FunctionType) or fn.__closure__:
        raise TypeError(
            f"{_name(fn)} must be a plain function without closure: put the numbers that it needs "
            "into its hyperparameters, and leave the compilation to skmtl"
        )


def _check_arguments(fn, kind):
    """Raise TypeError if a plugin's function has not the arguments of its kind, by name."""
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount]
    if kind in ARGUMENTS and " ".join(names) != ARGUMENTS[kind]:
        raise TypeError(
            f"{_name(fn)} takes ({', '.join(names)}), but its kind takes "
            f"({ARGUMENTS[kind].replace(' ', ', ')}): give it these arguments, by these names, in "
            "this order, and @staticmethod in place of self"
        )


def _in_short(error):
    """Of numba's many lines, the first that says what is wrong."""
    lines = (line.strip() for line in str(error).splitlines())
    told = [line for line in lines if line and not line.startswith("Failed in nopython mode")]
    return " ".join(told).partition(" There are ")[0][:300]


def _link(fn, digest=None, inline=False):
    """A copy of fn that calls compiled functions; with a digest, which it has as captured value.

    ``inline`` puts those into its own code before any is compiled. LLVM would inline them too, but
    after it has optimized each by itself: for the steps of a pass, which are as long as the pass
    and have no other caller, that is all the work done twice. In ``train.gradient`` it would make
    the step slower, by a third on digits.
    """
    namespace = dict(fn.__globals__)
    for name in fn.__code__.co_names:
        value = namespace.get(name)
        if isinstance(value, python_types.FunctionType):
            namespace[name] = _callee(value, inline)
    code, cells = fn.__code__, ()
    if digest is not None:
        code, cells = code.replace(co_freevars=("_digest",)), (python_types.CellType(digest),)
    copy = python_types.FunctionType(code, namespace, fn.__name__, fn.__defaults__, cells)
    copy.__qualname__, copy.__module__ = fn.__qualname__, fn.__module__
    return copy


@functools.cache
def _callee(fn, inline=False):
    """What compiled code calls in place of a plain function."""
    _check_plain(fn)
    intrinsic = intrinsics(signatures).get(fn)
    if intrinsic is not None:
        return intrinsic
    if fn in elementary.PRECISIONS:
        return _by_precision(*elementary.PRECISIONS[fn])
    options = EXACT if fn.__module__ == elementary.__name__ else OPTIONS
    # Compiled when its caller is, and kept in the caller's cache.
    options = {**options, "inline": "always" if inline else "never"}
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(_link(fn))


def _by_precision(single, double):
    """A function of one float that is ``single`` for float32, and else ``double``."""

    def function(x):
        raise NotImplementedError  # a name for numba to overload

    @overload(function, jit_options=EXACT, strict=False)
    def choose(x):
        return _link(single if x == types.float32 else double)

    return function


def _digest(fn):
    """Hash of all that the machine code of fn depends on beside its own signature."""
    digest = hashlib.sha256(POLICY)
    for part in sorted(_dependencies(fn)):
        digest.update(part.encode())
    return digest.hexdigest()


def _dependencies(fn):
    """The code of every function that fn reaches, and the constants that these read.

    As loaded, not as in the files: those may have been edited since.
    """
    parts, seen, todo = set(), set(), [fn]
    while todo:
        f = todo.pop()
        if f in seen:
            continue
        seen.add(f)
        parts.add(repr((f.__module__, f.__qualname__, f.__defaults__, _content(f.__code__))))
        for name, value in _reads(f):
            value = getattr(value, "py_func", value)  # a function that its author compiled
            if isinstance(value, python_types.FunctionType):
                todo.append(value)
            elif isinstance(value, np.ndarray):
                parts.add(f"{f.__module__}.{name} = {value.dtype} {value.shape} {value.tobytes()}")
            elif isinstance(value, (bool, int, float, complex, str, bytes, tuple, np.generic)):
                parts.add(f"{f.__module__}.{name} = {value!r}")
    return parts


def _reads(fn):
    """Names and values of the globals that fn reads, and of the constants of modules among them."""
    names = _names(fn.__code__)
    for name in names:
        value = fn.__globals__.get(name)
        yield name, value
        if isinstance(value, python_types.ModuleType):
            for attribute in names:
                of_module = vars(value).get(attribute)
                if not isinstance(of_module, python_types.FunctionType):
                    yield f"{name}.{attribute}", of_module


def _names(code):
    """Names that a code object, or one within it, looks up."""
    return set(code.co_names).union(*(_names(inner) for inner in _inner(code)))


def _content(code):
    """What a code object does, without where it is from."""
    constants = [c for c in code.co_consts if not isinstance(c, python_types.CodeType)]
    return code.co_code, constants, code.co_names, [_content(inner) for inner in _inner(code)]


def _inner(code):
    return [c for c in code.co_consts if isinstance(c, python_types.CodeType)]
