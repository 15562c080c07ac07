"""Kernels of one layer: dense and CSR products, dropout.

Every function is plain Python over arrays; ``engine.compile`` compiles it. A weight has shape
(n_in, n_out), but for output layers, whose weights are stored (n_out, n_in) so that all heads
together are the rows of one matrix.
"""

from skmtl.engine.pointers import SCRATCH, call_multiply, gemm, matrix, scratch

LOW_32 = 2**32 - 1  # a mask

# Below this many multiplications a loop beats the fixed cost of a BLAS call.
SMALL_PRODUCT = 512
# From so many rows on, b^T is written out if it is small: for a product with b^T BLAS copies both
# factors into buffers that all threads share, so that two fits at once take these from each other's
# cache. For 31 rows and a b of 64 x 64 that takes 3.5 us alone, transposition and plain product
# 2.6; with fewer rows than 20 and that b BLAS does without the copies.
MANY_ROWS = 20


def product(net, a, b, out):
    """out = a b; overwrites out."""
    call_multiply(net.multiply, (net.gemm, 0, 0, a, b, 0, out))


def add_product(net, a, b, out):
    """out += a b."""
    call_multiply(net.multiply, (net.gemm, 0, 0, a, b, 1, out))


def product_bt(net, a, b, out):
    """out = a b^T; overwrites out."""
    call_multiply(net.multiply, (net.gemm, 0, 1, a, b, 0, out))


def add_product_at(net, a, b, out):
    """out += a^T b."""
    call_multiply(net.multiply, (net.gemm, 1, 0, a, b, 1, out))


def product_at(net, a, b, accumulate, out):
    """out = a^T b, added to out if ``accumulate``."""
    call_multiply(net.multiply, (net.gemm, 1, 0, a, b, accumulate, out))


def multiply(gemm_at, transpose_a, transpose_b, a, b, accumulate, out):
    """out = op(a) op(b), added to out if ``accumulate``; op transposes where its flag is 1.

    Entered by address: the loops are compiled once, not for each layer.
    """
    n_inner = a.shape[0] if transpose_a else a.shape[1]
    if out.size * n_inner > SMALL_PRODUCT:
        if transpose_b and b.size <= SCRATCH and out.shape[0] >= MANY_ROWS:
            flipped = matrix(scratch(b), 0, n_inner, out.shape[1])
            transpose(b, flipped)
            gemm(gemm_at, transpose_a, 0, a, flipped, accumulate, out)
        else:
            gemm(gemm_at, transpose_a, transpose_b, a, b, accumulate, out)
        return
    if accumulate == 0:
        fill_zero(out)
    for i in range(out.shape[0]):
        if transpose_b:
            for j in range(out.shape[1]):
                total = out[i, j]
                for k in range(n_inner):
                    total += a[i, k] * b[j, k]
                out[i, j] = total
        else:
            for k in range(n_inner):
                aik = a[k, i] if transpose_a else a[i, k]
                for j in range(out.shape[1]):
                    out[i, j] += aik * b[k, j]


def transpose(x, out):
    """out = x^T."""
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            out[j, i] = x[i, j]


def add_columns(x, out):
    """out_j += sum_i x_ij."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[j] += x[i, j]


def fill_zero(x):
    """x_ij = 0."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] = 0


def take_rows(x, rows, out):
    """out_i = x[rows_i].

    The row's number is read before the loop: within, it might change with out for all that the
    compiler knows, and the copy would go number by number, five times as slow.
    """
    for i in range(rows.size):
        row = rows[i]
        for j in range(x.shape[1]):
            out[i, j] = x[row, j]


def add_bias(z, bias):
    """z_i += bias for every row i."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] += bias[j]


def csr_product(values, indices, indptr, rows, weight, out):
    """out_i = x_i W over the rows of a CSR matrix; overwrites out."""
    for i in range(rows.size):
        for j in range(out.shape[1]):
            out[i, j] = 0
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            v = values[k]
            column = indices[k]
            for j in range(out.shape[1]):
                out[i, j] += v * weight[column, j]


def csr_product_bt(values, indices, indptr, rows, weight, out):
    """out_i = x_i W^T over the rows of a CSR matrix; overwrites out."""
    for i in range(rows.size):
        for j in range(out.shape[1]):
            s = out.dtype.type(0)
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                s += values[k] * weight[j, indices[k]]
            out[i, j] = s


def add_csr_product_at(values, indices, indptr, rows, d, out):
    """out += X^T D, touching only the rows of out whose columns occur in X."""
    for i in range(rows.size):
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            v = values[k]
            column = indices[k]
            for j in range(d.shape[1]):
                out[column, j] += v * d[i, j]


def add_csr_product_bt(values, indices, indptr, rows, d, out):
    """out += D^T X, the gradient of ``csr_product_bt``."""
    for i in range(rows.size):
        for j in range(d.shape[1]):
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                out[j, indices[k]] += values[k] * d[i, j]


def drop_out(h, slope, rate, rng):
    """Zero each unit with probability rate and scale the others by 1 / (1 - rate), with slopes.

    rng draws two keys, from which ``hash_32`` makes the bits of all units: 0.7 ns each, where a
    draw for each takes 11.
    """
    scale, zero = h.dtype.type(1.0 / (1.0 - rate)), h.dtype.type(0)
    dropped = int(rate * 2.0**32)
    key, other_key = int(rng.random() * 2.0**32), int(rng.random() * 2.0**32)
    for i in range(h.shape[0]):
        for j in range(h.shape[1]):
            bits = hash_32(i * h.shape[1] + j, key, other_key)
            factor = zero if bits < dropped else scale
            h[i, j] *= factor
            slope[i, j] *= factor


def hash_32(k, key, other_key):
    """32 random bits from a number and two keys, of which one enters before each of two rounds.

    The rounds are those of Wellons' lowbias32, https://nullprogram.com/blog/2018/07/31/.
    """
    x = (k * 0x9E3779B9 + key) & LOW_32
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & LOW_32
    x = x ^ other_key
    x = ((x ^ (x >> 15)) * 0x846CA68B) & LOW_32
    return x ^ (x >> 16)
