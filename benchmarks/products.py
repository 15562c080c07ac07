"""The matrix products of a training step, and nothing else: the least that a step can take.

The shapes, transposes, dtype and BLAS of the engine, called from a compiled loop: forward
``out = a W``; backward ``dW += a^T d`` and, but for the lowest layer, ``d_below = d W^T``. The
output layer's weights are stored transposed, as in the engine, which takes plain loops where a
product has no more than ``SMALL_PRODUCT`` multiplications.
"""

import ctypes
import functools
import time

import numba
import numpy as np
from numba.extending import get_cython_function_address

from skmtl.engine.layers import SMALL_PRODUCT

FUNCTIONS = {"float32": "sgemm", "float64": "dgemm"}


@functools.cache
def _loop(dtype):
    """A compiled function that calls BLAS n_steps times for every row of a table of addresses."""
    address = get_cython_function_address("scipy.linalg.cython_blas", FUNCTIONS[dtype])
    gemm = ctypes.CFUNCTYPE(None, *13 * [ctypes.c_size_t])(address)

    @numba.njit
    def loop(table, n_steps):
        for _ in range(n_steps):
            for t in table:
                # fmt: off
                gemm(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9], t[10], t[11],
                     t[12])
                # fmt: on

    return loop


def _product(transpose_a, transpose_b, a, b, accumulate, out):
    """BLAS's arguments for out = op(a) op(b), all by reference.

    BLAS is column-major: it computes out^T = op(b)^T op(a)^T on the same memory.
    """
    n_between = a.shape[0] if transpose_a else a.shape[1]
    n_multiplications = out.size * n_between
    if n_multiplications <= SMALL_PRODUCT:
        raise ValueError(f"the engine does not call BLAS for {n_multiplications} multiplications")
    letters = [np.array(b"T" if flag else b"N") for flag in (transpose_b, transpose_a)]
    m, n, k, columns_a, columns_b = (
        np.array(number, np.int32) for number in (*out.shape, n_between, a.shape[1], b.shape[1])
    )
    one, beta = np.array(1, out.dtype), np.array(accumulate, out.dtype)
    return [*letters, n, m, k, one, b, columns_b, a, columns_a, beta, out, n]


def products_of(widths, batch_size, dtype):
    """The products of a step, as BLAS's arguments; widths are those of input to output."""
    rng = np.random.default_rng(0)

    def matrix(*shape):
        return rng.standard_normal(shape).astype(dtype)

    a = [matrix(batch_size, width) for width in widths]
    d = [matrix(batch_size, width) for width in widths]
    weights = [matrix(*shape) for shape in zip(widths[:-2], widths[1:-1])]
    dweights = [np.zeros_like(weight) for weight in weights]
    head = matrix(widths[-1], widths[-2])
    dhead = np.zeros_like(head)
    products = [_product(0, 0, a[k], w, 0, a[k + 1]) for k, w in enumerate(weights)]
    products.append(_product(0, 1, a[-2], head, 0, a[-1]))
    products.append(_product(1, 0, d[-1], a[-2], 1, dhead))
    products.append(_product(0, 0, d[-1], head, 0, d[-2]))
    for k in reversed(range(len(weights))):
        products.append(_product(1, 0, a[k], d[k + 1], 1, dweights[k]))
        if k > 0:
            products.append(_product(0, 1, d[k + 1], weights[k], 0, d[k]))
    return products


def alone(widths, batch_size, dtype, n_steps):
    """The products of n_steps steps, as ``timing.measure`` wants it; nothing is learned."""
    products = products_of(widths, batch_size, dtype)  # the closure keeps the arrays alive
    table = np.array([[x.ctypes.data for x in arguments] for arguments in products], np.uintp)
    loop = _loop(dtype)

    def run(_):
        start = time.perf_counter()
        loop(table, n_steps)
        return len(products), time.perf_counter() - start

    return run
