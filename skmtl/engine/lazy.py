"""Steps of the rows of a sparse first layer, put off until a batch reads them.

A row of the first layer's weights, whose column does not occur in a batch of CSR rows, gets no
gradient of the losses, and yet it moves: by the optimizer's running means, and by weight decay.
The optimizer's ``catch_up`` gives it those steps, with the same result, when a batch next has its
column, and at the end of the epoch: between, nobody reads the row. A step then costs the columns of
its batch, not all of them. These rows are ``theta[: net.n_lazy]``, see ``engine.layout``.

Entered by address: a fit without such rows does not compile this.
"""

import numpy as np

from skmtl.engine.network import batch_rows
from skmtl.engine.pointers import call_catch_up, domain_at, doubles, floats, ints, vector
from skmtl.engine.sparse import csr_arrays

# A column costs 2.4 times as much where a batch picks it as where every step takes all, because the
# picked ones lie scattered in memory; an epoch's end costs as much as two of the latter steps.
# Measured on 20,000 columns of 64 weights in float32: with .4 of them in a batch it is even.
SCATTERED, LAST = 2.4, 2.0


def pays_off(domains, batch_size, n_steps):
    """Whether to put steps off, judged by the columns that occur in the first batch.

    Parameters
    ----------
    domains : list of CSR
        The rows of each domain, all with the same columns.
    batch_size : int
        Rows of a batch of each.
    n_steps : int
        Steps in an epoch.
    """
    read = [X.indices[: X.indptr[min(batch_size, X.shape[0])]] for X in domains]
    share = np.unique(np.concatenate(read)).size / max(domains[0].shape[1], 1)
    return SCATTERED * share * n_steps + LAST < n_steps


def begin_lazy(net, work, step):
    """Start an epoch: no row is behind."""
    since = ints(work.since, 0, net.n_inputs)
    for c in range(net.n_inputs):
        since[c] = step
    scratch = doubles(work.catch_up_work, 0, work.catch_up_work_size)
    for j in range(scratch.size):
        scratch[j] = 0.0


def catch_up_rows(net, data, work, theta, grad, state, lr, first, step, every):
    """Bring rows up to date: those whose columns the batch has, or every one.

    Gives what their weight decay adds to J, summed over the steps that they now take. Their
    gradients become zero. ``first`` and ``step`` are the numbers of the epoch's first step and of
    the one to come.
    """
    if step == first:
        begin_lazy(net, work, step)
        return 0.0
    n = find_every_row(net, work, step) if every else find_rows(net, data, work, theta, step)
    squares = call_catch_up(
        net.catch_up,
        (
            vector(theta, 0, net.n_lazy),
            vector(grad, 0, net.n_lazy),
            state,
            ints(work.lazy_row, 0, n),
            ints(work.lazy_since, 0, n),
            net.n_lazy // (net.n_inputs * net.n_experts),
            first,
            step,
            theta.dtype.type(net.lazy_decay),
            lr,
            floats(theta, net.hp, net.optimizer_hp, net.optimizer_n_hp),
            doubles(work.catch_up_work, 0, work.catch_up_work_size),
        ),
    )
    return 0.5 * net.lazy_decay * squares


def find_rows(net, data, work, theta, step):
    """List the rows of the columns in the batch that are behind; gives how many."""
    since = ints(work.since, 0, net.n_inputs)
    n = 0
    for d in range(net.n_domains):
        domain = domain_at(data.domains, d)
        _, indices, indptr = csr_arrays(domain, theta)
        rows = batch_rows(work, domain, d)
        for i in range(rows.size):
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                if since[indices[k]] < step:
                    n = note_column(net, work, indices[k], step, n)
    return n


def find_every_row(net, work, step):
    """List all rows that are behind; gives how many."""
    since = ints(work.since, 0, net.n_inputs)
    n = 0
    for c in range(net.n_inputs):
        if since[c] < step:
            n = note_column(net, work, c, step, n)
    return n


def note_column(net, work, c, step, n):
    """Add the rows of a column, one in each expert, to a list of n; gives its new length."""
    since = ints(work.since, c, 1)
    row = ints(work.lazy_row, n, net.n_experts)
    behind = ints(work.lazy_since, n, net.n_experts)
    for e in range(net.n_experts):
        row[e] = e * net.n_inputs + c
        behind[e] = since[0]
    since[0] = step
    return n + net.n_experts
