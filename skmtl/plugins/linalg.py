"""Linear algebra of small matrices for plugins: functions that compile and allocate nothing."""

import numpy as np


def eigh(a, values, vectors):
    """Eigenvalues and eigenvectors of a small symmetric matrix, by cyclic Jacobi rotations.

    Parameters
    ----------
    a : ndarray of shape (n, n), float64
        Symmetric; used up.
    values : ndarray of shape (n,), float64
        Overwritten with the eigenvalues, in no order.
    vectors : ndarray of shape (n, n), float64
        Overwritten: column k belongs to values[k]; the columns are orthonormal.

    References
    ----------
    .. [1] Golub and Van Loan (2013). Matrix Computations, 4th edition, algorithm 8.5.3.
    """
    n = a.shape[0]
    total = 0.0
    for i in range(n):
        for j in range(n):
            vectors[i, j] = 1.0 if i == j else 0.0
            total += a[i, j] * a[i, j]
    for _ in range(60):  # it converges quadratically, in well under ten sweeps
        off = 0.0
        for p in range(n - 1):
            for q in range(p + 1, n):
                off += a[p, q] * a[p, q]
        if off <= 1e-32 * total:
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                if a[p, q] != 0.0:
                    _rotate(a, vectors, p, q)
    for i in range(n):
        values[i] = a[i, i]


def _rotate(a, vectors, p, q):
    """The rotation in the plane of p and q that makes a[p, q] zero."""
    gap = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
    tangent = 1.0 / (abs(gap) + np.sqrt(1.0 + gap * gap))
    if gap < 0:
        tangent = -tangent
    c = 1.0 / np.sqrt(1.0 + tangent * tangent)
    s = tangent * c
    for k in range(a.shape[0]):
        akp, akq = a[k, p], a[k, q]
        a[k, p], a[k, q] = c * akp - s * akq, s * akp + c * akq
    for k in range(a.shape[0]):
        apk, aqk = a[p, k], a[q, k]
        a[p, k], a[q, k] = c * apk - s * aqk, s * apk + c * aqk
        vkp, vkq = vectors[k, p], vectors[k, q]
        vectors[k, p], vectors[k, q] = c * vkp - s * vkq, s * vkp + c * vkq


def spectrum(a, gram, values, vectors):
    """Squared singular values of a matrix, and the singular vectors of its smaller side.

    They come from the Gram matrix: a singular value below about 1e-8 of the largest is noise.

    Parameters
    ----------
    a : ndarray of shape (n_rows, n_columns), float64
    gram : ndarray of shape (n, n), float64, with n the smaller of the two
        Scratch.
    values : ndarray of shape (n,), float64
        Overwritten with numbers >= 0, in no order.
    vectors : ndarray of shape (n, n), float64
        Overwritten: column k belongs to values[k].
    """
    if a.shape[0] <= a.shape[1]:
        np.dot(a, a.T, gram)
    else:
        np.dot(a.T, a, gram)
    eigh(gram, values, vectors)
    for k in range(values.size):
        if values[k] < 0:  # rounding; NaN stays
            values[k] = 0.0


def scale_spectrum(a, factors, vectors, scaled, gram, out):
    """out = a with its k-th singular value times factors[k].

    Parameters
    ----------
    a : ndarray of shape (n_rows, n_columns), float64
    factors : ndarray of shape (n,), float64
    vectors : ndarray of shape (n, n), float64
        As ``spectrum`` gives them.
    scaled, gram : ndarray of shape (n, n), float64
        Scratch.
    out : ndarray of shape (n_rows, n_columns), float64
        Overwritten.
    """
    for i in range(factors.size):
        for k in range(factors.size):
            scaled[i, k] = vectors[i, k] * factors[k]
    np.dot(scaled, vectors.T, gram)
    if a.shape[0] <= a.shape[1]:
        np.dot(gram, a, out)
    else:
        np.dot(a, gram, out)


def spectral_size(n_rows, n_columns):
    """Length of the buffer that ``spectral_views`` cuts up."""
    n = min(n_rows, n_columns)
    return 2 * n_rows * n_columns + 3 * n * n + n


def spectral_views(work, n_rows, n_columns):
    """Cut a flat buffer into a, out, gram, scaled, vectors and values, for the functions above."""
    n, size = min(n_rows, n_columns), n_rows * n_columns
    a = work[:size].reshape(n_rows, n_columns)
    out = work[size : 2 * size].reshape(n_rows, n_columns)
    at = 2 * size
    gram = work[at : at + n * n].reshape(n, n)
    scaled = work[at + n * n : at + 2 * n * n].reshape(n, n)
    vectors = work[at + 2 * n * n : at + 3 * n * n].reshape(n, n)
    return a, out, gram, scaled, vectors, work[at + 3 * n * n : at + 3 * n * n + n]
