"""Products of rows, dense or CSR, with a matrix that lies somewhere in a parameter vector."""

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
    for i in range(n_in):
        for j in range(n_out):
            grad[start + i * n_out + j] += product[i, j]


def multiply_csr(theta, start, values, indices, indptr, rows, out):
    """out_i = x_i A over the rows of a CSR matrix."""
    n_out = out.shape[1]
    for i in range(rows.size):
        out[i, :] = 0
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            at = start + indices[k] * n_out
            for j in range(n_out):
                out[i, j] += values[k] * theta[at + j]


def add_gradient_csr(grad, start, values, indices, indptr, rows, dout):
    """Add X^T dout over the rows of a CSR matrix to the matrix from grad[start]."""
    n_out = dout.shape[1]
    for i in range(rows.size):
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            at = start + indices[k] * n_out
            for j in range(n_out):
                grad[at + j] += values[k] * dout[i, j]


def add_offset(theta, start, out):
    """Add the vector from theta[start] to every row of out."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] += theta[start + j]


def add_offset_gradient(grad, start, dout):
    """Add the column sums of dout to the vector from grad[start]."""
    for i in range(dout.shape[0]):
        for j in range(dout.shape[1]):
            grad[start + j] += dout[i, j]


def scatter_csr(values, indices, indptr, rows, out):
    """out_i = x_i, dense; columns that out has not are left away."""
    for i in range(rows.size):
        out[i, :] = 0
        for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
            if indices[k] < out.shape[1]:
                out[i, indices[k]] += values[k]
