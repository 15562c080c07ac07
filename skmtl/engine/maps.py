"""Feature maps of the batch in WORK, forward and backward.

Entered by address: a fit without maps does not compile them.
"""

from skmtl.engine.network import batch_dz, batch_rows, batch_x, batch_z
from skmtl.engine.pointers import (
    call_backward,
    call_backward_csr,
    call_forward,
    call_forward_csr,
    domain_at,
    floats,
    vector,
)
from skmtl.engine.sparse import csr_arrays


def map_rows(net, data, work, theta, d):
    """z = g_d(x) on the batch of domain d."""
    domain = domain_at(data.domains, d)
    parameters = vector(theta, domain.map_start, domain.map_size)
    hp = floats(theta, net.hp, domain.map_hp, domain.map_n_hp)
    scratch = floats(theta, work.map_work, domain.map_work_at, domain.map_work_size)
    z = batch_z(net, work, domain, theta, d)
    if domain.is_csr == 1:
        values, indices, indptr = csr_arrays(domain, theta)
        rows = batch_rows(work, domain, d)
        call_forward_csr(
            domain.map_forward, (parameters, values, indices, indptr, rows, hp, scratch, z)
        )
    else:
        x = batch_x(work, domain, theta, d)
        call_forward(domain.map_forward, (parameters, x, hp, scratch, z))


def backward_map(net, data, work, theta, grad, d):
    """Add the gradient of the feature map's parameters, from dz."""
    domain = domain_at(data.domains, d)
    dz = batch_dz(net, work, domain, theta, d)
    if dz.shape[0] == 0:
        return
    parameters = vector(theta, domain.map_start, domain.map_size)
    dparameters = vector(grad, domain.map_start, domain.map_size)
    hp = floats(theta, net.hp, domain.map_hp, domain.map_n_hp)
    scratch = floats(theta, work.map_work, domain.map_work_at, domain.map_work_size)
    if domain.is_csr == 1:
        values, indices, indptr = csr_arrays(domain, theta)
        rows = batch_rows(work, domain, d)
        call_backward_csr(
            domain.map_backward,
            (parameters, values, indices, indptr, rows, hp, scratch, dz, dparameters),
        )
    else:
        x = batch_x(work, domain, theta, d)
        call_backward(domain.map_backward, (parameters, x, hp, scratch, dz, dparameters))
