"""Layers that read CSR rows: the first of an expert, and where there is none, of a head.

Entered by address: a fit on dense rows does not compile them.
"""

from skmtl.engine.batches import entries
from skmtl.engine.layers import (
    add_csr_product_at,
    add_csr_product_bt,
    csr_product,
    csr_product_bt,
)
from skmtl.engine.network import batch_rows, expert_layer, expert_positions
from skmtl.engine.pointers import (
    domain_at,
    floats,
    int32s,
    ints,
    layer_at,
    matrix,
    task_at,
)


def csr_arrays(domain, theta):
    """Values, indices and indptr of a CSR domain; empty arrays for a dense one."""
    n = domain.n_x_rows * domain.is_csr
    indptr = ints(domain.indptr, 0, n + domain.is_csr)
    nnz = indptr[n] if n > 0 else 0
    return floats(theta, domain.values, 0, nnz), int32s(domain.indices, 0, nnz), indptr


def csr_rows(net, work, domain, d, e):
    """Row numbers in X of what expert e reads."""
    rows, positions = batch_rows(work, domain, d), expert_positions(net, work, domain, d, e)
    out = ints(work.csr_row, 0, positions.size)
    for i in range(positions.size):
        out[i] = rows[positions[i]]
    return out


def read_csr(net, data, work, theta, d, e):
    """H = X W in the first layer of expert e on domain d, without bias."""
    domain, layer = domain_at(data.domains, d), layer_at(net.layers, e * net.n_trunk)
    values, indices, indptr = csr_arrays(domain, theta)
    rows = csr_rows(net, work, domain, d, e)
    weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
    h = expert_layer(net, work, work.activation, domain, theta, d, e, 0)
    csr_product(values, indices, indptr, rows, weight, h)


def backward_csr_layer(net, data, work, theta, grad, d, e, delta):
    """dW += X^T dH in the first layer of expert e on domain d."""
    domain, layer = domain_at(data.domains, d), layer_at(net.layers, e * net.n_trunk)
    values, indices, indptr = csr_arrays(domain, theta)
    rows = csr_rows(net, work, domain, d, e)
    dweight = matrix(grad, layer.weight, layer.n_in, layer.n_out)
    add_csr_product_at(values, indices, indptr, rows, delta, dweight)


def head_on_csr(net, data, work, theta, t, layer, out):
    """out = X W in the first layer of task t's head, without bias."""
    task = task_at(net.tasks, t)
    values, indices, indptr = csr_arrays(domain_at(data.domains, task.domain), theta)
    start, m = entries(work, t)
    rows = ints(work.entry_row, start, m)
    if net.n_head_hidden > 0:
        weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
        csr_product(values, indices, indptr, rows, weight, out)
    else:
        weight = matrix(theta, layer.weight, layer.n_out, layer.n_in)
        csr_product_bt(values, indices, indptr, rows, weight, out)


def backward_head_on_csr(net, data, work, theta, grad, t, layer, delta):
    """Add the gradient of those weights."""
    task = task_at(net.tasks, t)
    values, indices, indptr = csr_arrays(domain_at(data.domains, task.domain), theta)
    start, m = entries(work, t)
    rows = ints(work.entry_row, start, m)
    if net.n_head_hidden > 0:
        dweight = matrix(grad, layer.weight, layer.n_in, layer.n_out)
        add_csr_product_at(values, indices, indptr, rows, delta, dweight)
    else:
        dweight = matrix(grad, layer.weight, layer.n_out, layer.n_in)
        add_csr_product_bt(values, indices, indptr, rows, delta, dweight)
