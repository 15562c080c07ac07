"""Products of rows, dense or CSR, with a matrix that lies somewhere in a parameter vector.

Loops go over views with indices from 0 on: with an offset in the index they are not vectorised.
"""

import numpy as np


def multiply(theta, start, x, out):
    """out = x A, with A (n_in, n_out) from theta[start]."""
    n_in, n_out = x.shape[1], out.shape[1]
    np.dot(x, theta[start : start + n_in * n_out].reshape(n_in, n_out), out)


def add_gradient(grad, start, x, dout, scratch):
    """Add x^T dout to the matrix from grad[start]; scratch has room for that matrix."""
    n_in, n_out = x.shape[1], dout.shape[1]
    product = scratch[: n_in * n_out].reshape(n_in, n_out)
    np.dot(x.T, dout, product)
    of_matrix, total = grad[start : start + n_in * n_out], scratch[: n_in * n_out]
    for j in range(total.size):
        of_matrix[j] += total[j]


def multiply_csr(theta, start, values, indices, indptr, rows, out):
    """out_i = x_i A over the rows of a CSR matrix."""
    n_out = out.shape[1]
    for i in range(rows.size):
        row = out[i]
        for j in range(n_out):
            row[j] = 0
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            at, value = start + indices[k] * n_out, values[k]
            of_column = theta[at : at + n_out]
            for j in range(n_out):
                row[j] += value * of_column[j]


def add_gradient_csr(grad, start, values, indices, indptr, rows, dout):
    """Add X^T dout over the rows of a CSR matrix to the matrix from grad[start]."""
    n_out = dout.shape[1]
    for i in range(rows.size):
        row = dout[i]
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            at, value = start + indices[k] * n_out, values[k]
            of_column = grad[at : at + n_out]
            for j in range(n_out):
                of_column[j] += value * row[j]


def add_offset(theta, start, out):
    """Add the vector from theta[start] to every row of out."""
    offset = theta[start : start + out.shape[1]]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] += offset[j]


def add_offset_gradient(grad, start, dout):
    """Add the column sums of dout to the vector from grad[start]."""
    of_offset = grad[start : start + dout.shape[1]]
    for i in range(dout.shape[0]):
        for j in range(dout.shape[1]):
            of_offset[j] += dout[i, j]


def scatter_csr(values, indices, indptr, rows, out):
    """out_i = x_i, dense; columns that out has not are left away."""
    for i in range(rows.size):
        out[i, :] = 0
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            if indices[k] < out.shape[1]:
                out[i, indices[k]] += values[k]
