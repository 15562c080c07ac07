"""Small quadratic programs in Gram space, exact up to rounding, without allocation.

``eps`` is the precision of the Gram matrix: pivots of a matrix of unit diagonal below
``10 n eps`` count as 0, for there a gradient is a combination of others.
"""

import math

# Length of the scratch arrays for n tasks: coefficients of n^2 and n.
NNLS_WORK = (1, 3)
MIN_NORM_WORK = (2, 4)


def append_row(q, chol, order, k, j, eps):
    """Add column j to the factored columns order[:k]; False if it depends on them.

    ``chol`` becomes the lower factor of ``q[order, order]``.
    """
    left = q[j, j]
    for p in range(k):
        total = q[j, int(order[p])]
        for r in range(p):
            total -= chol[k, r] * chol[p, r]
        chol[k, p] = total / chol[p, p]
        left -= chol[k, p] * chol[k, p]
    if not left > 10.0 * q.shape[0] * eps * q[j, j]:
        return False
    chol[k, k] = math.sqrt(left)
    order[k] = j
    return True


def solve_factored(chol, b, order, k, z):
    """z = (chol chol')^-1 b[order[:k]]."""
    for p in range(k):
        total = b[int(order[p])]
        for r in range(p):
            total -= chol[p, r] * z[r]
        z[p] = total / chol[p, p]
    for p in range(k - 1, -1, -1):
        total = z[p]
        for r in range(p + 1, k):
            total -= chol[r, p] * z[r]
        z[p] = total / chol[p, p]


def keep_positive(q, x, chol, order, k, eps):
    """Drop the factored columns with x <= 0, set those x to 0, factor again; gives their number."""
    kept, changed = 0, False
    for p in range(k):
        j = int(order[p])
        if x[j] <= 0.0:
            x[j] = 0.0
            changed = True
        elif not changed or append_row(q, chol, order, kept, j, eps):
            kept += 1
        else:
            x[j] = 0.0
    return kept


def nnls(q, b, eps, x, work):
    """x = argmin_{x >= 0} x'Qx / 2 - b'x, by the active set method of Lawson and Hanson.

    Q is positive semidefinite with unit diagonal but for rows of zeros, b in its range. Starts from
    the columns that pull at 0, so that it takes few changes (as Bro and de Jong 1997).
    """
    n = b.size
    chol, z = work[: n * n].reshape((n, n)), work[n * n : n * n + n]
    order, rejected = work[n * n + n : n * n + 2 * n], work[n * n + 2 * n : n * n + 3 * n]
    size, k = 0.0, 0
    for j in range(n):
        x[j], rejected[j] = 0.0, 0.0
        size = max(size, abs(b[j]))
    tolerance = 1e-14 * n * size
    for j in range(n):
        if b[j] > tolerance and append_row(q, chol, order, k, j, eps):
            k += 1
    while k > 0:
        solve_factored(chol, b, order, k, z)
        for p in range(k):
            x[int(order[p])] = z[p]
        kept = keep_positive(q, x, chol, order, k, eps)
        if kept == k:
            break
        k = kept
    for _ in range(10 * n + 10):
        entering = steepest(q, b, x, order, k, rejected, tolerance)
        if entering < 0:
            break
        rejected[entering] = 1.0
        if not append_row(q, chol, order, k, entering, eps):
            continue
        solve_factored(chol, b, order, k + 1, z)
        if not z[k] > 0.0:
            continue
        for j in range(n):
            rejected[j] = 0.0
        k += 1
        k = walk(q, b, eps, x, chol, z, order, k)
    share(q, eps, x, rejected)


def share(q, eps, x, done):
    """Equal x for equal columns: of several solutions the one that treats equal tasks alike."""
    n = x.size
    for i in range(n):
        done[i] = 0.0
    for i in range(n):
        total, count = 0.0, 0
        for j in range(i, n):
            if done[j] == 0.0 and q[i, j] >= 1.0 - 10.0 * eps:
                total += x[j]
                count += 1
        for j in range(i, n):
            if total > 0.0 and done[j] == 0.0 and q[i, j] >= 1.0 - 10.0 * eps:
                x[j] = total / count
                done[j] = 1.0


def steepest(q, b, x, order, k, rejected, tolerance):
    """The column outside the active ones whose gradient pulls most, or -1."""
    best, largest = -1, tolerance
    for j in range(b.size):
        if rejected[j] == 0.0 and x[j] == 0.0:
            pull = b[j]
            for p in range(k):
                pull -= q[j, int(order[p])] * x[int(order[p])]
            if pull > largest:
                best, largest = j, pull
    return best


def walk(q, b, eps, x, chol, z, order, k):
    """Go from x towards the solution z on the active columns, dropping those that reach 0."""
    while k > 0:
        fraction, first = 1.0, -1
        for p in range(k):
            j = int(order[p])
            if z[p] <= 0.0 and x[j] <= fraction * (x[j] - z[p]):
                fraction, first = x[j] / (x[j] - z[p]) if x[j] > z[p] else 0.0, j
        for p in range(k):
            j = int(order[p])
            x[j] = z[p] if first < 0 else x[j] + fraction * (z[p] - x[j])
        if first < 0:
            break
        x[first] = 0.0
        k = keep_positive(q, x, chol, order, k, eps)
        solve_factored(chol, b, order, k, z)
    return k


def min_norm(gram, eps, w, work):
    """w = argmin w'Gw over the simplex: the point nearest 0 in the hull of the gradients.

    With s = sum(w) free, min w'Gw + (s - 1)^2 over w >= 0 has the same solution times s.
    """
    n = w.size
    q, d = work[: n * n].reshape((n, n)), work[n * n : n * n + n]
    smallest = 0.0
    for i in range(n):
        if gram[i, i] > 0 and (smallest == 0 or gram[i, i] < smallest):
            smallest = gram[i, i]
    if smallest == 0:
        smallest = 1.0
    for i in range(n):
        d[i] = 1.0 / math.sqrt(max(gram[i, i] / smallest, 0.0) + 1.0)
    for i in range(n):
        for j in range(n):
            q[i, j] = (gram[i, j] / smallest + 1.0) * d[i] * d[j]
    nnls(q, d, eps, w, work[n * n + n :])
    total = 0.0
    for i in range(n):
        w[i] *= d[i]
        total += w[i]
    for i in range(n):
        w[i] /= total


def quadratic(gram, w):
    """w'Gw, not below 0."""
    total = 0.0
    for i in range(w.size):
        for j in range(w.size):
            total += w[i] * gram[i, j] * w[j]
    return max(total, 0.0)
