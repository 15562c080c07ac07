"""Products of matrices: loops, BLAS, and BLAS on a transposed copy, against NumPy."""

import functools

import numba
import numpy as np
import pytest

from skmtl.engine import compile as compiler
from skmtl.engine import layers
from skmtl.engine.pointers import SCRATCH

pytestmark = pytest.mark.nojit

# (rows, inner, columns): small enough for loops, few rows, many rows, at and over the scratch.
SHAPES = [(3, 4, 5), (5, 40, 30), (32, 32, 64), (40, 64, SCRATCH // 64), (40, 65, SCRATCH // 64)]


@functools.cache
def multiply_of(dtype):
    """The kernel, which only compiled code calls, with a way in for Python."""
    if numba.config.DISABLE_JIT:
        return layers.multiply
    signature = compiler.signatures(numba.from_dtype(np.dtype(dtype)))["multiply"]
    return numba.njit(signature, **compiler.OPTIONS)(compiler._link(layers.multiply))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("transpose_a, transpose_b", [(0, 0), (1, 0), (0, 1)])
@pytest.mark.parametrize("accumulate", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(shape, transpose_a, transpose_b, accumulate, dtype):
    n_rows, n_inner, n_columns = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((n_rows, n_inner)).astype(dtype)
    b = rng.standard_normal((n_inner, n_columns)).astype(dtype)
    out = rng.standard_normal((n_rows, n_columns)).astype(dtype)
    expected = a.astype("float64") @ b + accumulate * out
    a, b = (np.ascontiguousarray(x.T if t else x) for x, t in ((a, transpose_a), (b, transpose_b)))
    before = a.copy(), b.copy()
    gemm_at = compiler.gemm_address(dtype)
    multiply_of(dtype)(gemm_at, transpose_a, transpose_b, a, b, accumulate, out)
    rtol = {"float32": 1e-4, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(out, expected, rtol=rtol, atol=rtol)
    assert np.array_equal(a, before[0])
    assert np.array_equal(b, before[1])
