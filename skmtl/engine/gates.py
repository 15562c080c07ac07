"""Gates: how a task that reads several experts mixes them.

Entered by address: a fit without gates does not compile them.
"""

import numpy as np

from skmtl.engine.batches import entries
from skmtl.engine.heads import head_input
from skmtl.engine.layers import add_columns, add_csr_product_at, fill_zero
from skmtl.engine.layout import CONSTANT, FIXED, LINEAR
from skmtl.engine.network import (
    batch_dz,
    batch_z,
    expert_gradient,
    expert_output,
    expert_slots,
    reads_csr,
)
from skmtl.engine.pointers import (
    domain_at,
    float_matrix,
    floats,
    ints,
    matrix,
    task_at,
    vector,
)
from skmtl.engine.sparse import csr_arrays


def mix_experts(net, data, work, theta, t):
    """H_t = sum_e a_te H_e on the rows of task t."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    start, m = entries(work, t)
    positions = ints(work.entry_position, start, m)
    gate = float_matrix(theta, work.gate, start * net.n_experts, m, net.n_experts)
    open_gate(net, data, work, theta, t, gate)
    mixture = head_input(net, data, work, theta, t)
    fill_zero(mixture)
    mask = floats(theta, net.gate_mask, t * net.n_experts, net.n_experts)
    for e in range(net.n_experts):
        if mask[e] > 0:
            h = expert_output(net, work, domain, theta, task.domain, e)
            slot = expert_slots(net, work, domain, task.domain, e)
            for i in range(m):
                for j in range(net.n_shared):
                    mixture[i, j] += gate[i, e] * h[slot[positions[i]], j]


def open_gate(net, data, work, theta, t, gate):
    """Fill a_te for every row of the task: a softmax over the experts that its mask allows."""
    task = task_at(net.tasks, t)
    mask = floats(theta, net.gate_mask, t * net.n_experts, net.n_experts)
    m = gate.shape[0]
    if task.gate == FIXED:
        for i in range(m):
            for e in range(net.n_experts):
                gate[i, e] = mask[e]
        return
    offset = vector(theta, task.gate_at, net.n_experts)
    for i in range(m):
        for e in range(net.n_experts):
            gate[i, e] = offset[e]
    if task.gate == LINEAR:
        add_gate_inputs(net, data, work, theta, t, gate)
    for i in range(m):
        top = -np.inf
        for e in range(net.n_experts):
            if mask[e] > 0:
                top = max(top, gate[i, e])
        total = 0.0
        for e in range(net.n_experts):
            gate[i, e] = np.exp(gate[i, e] - top) if mask[e] > 0 else 0.0
            total += gate[i, e]
        for e in range(net.n_experts):
            gate[i, e] /= total


def add_gate_inputs(net, data, work, theta, t, gate):
    """Add z W to the logits of a gate that is linear in the input."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    start, m = entries(work, t)
    weight = matrix(theta, task.gate_at + net.n_experts, net.n_inputs, net.n_experts)
    if reads_csr(domain):
        values, indices, indptr = csr_arrays(domain, theta)
        rows = ints(work.entry_row, start, m)
        for i in range(m):
            for k in range(indptr[rows[i]], indptr[rows[i] + 1]):
                for e in range(net.n_experts):
                    gate[i, e] += values[k] * weight[indices[k], e]
        return
    z = batch_z(net, work, domain, theta, task.domain)
    positions = ints(work.entry_position, start, m)
    for i in range(m):
        for j in range(net.n_inputs):
            for e in range(net.n_experts):
                gate[i, e] += z[positions[i], j] * weight[j, e]


def backward_mixture(net, data, work, theta, grad, t, dmixture):
    """Add the gradient at H_t to the experts that it reads, and to the gate's parameters."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    start, m = entries(work, t)
    positions = ints(work.entry_position, start, m)
    gate = float_matrix(theta, work.gate, start * net.n_experts, m, net.n_experts)
    dgate = float_matrix(theta, work.dgate, start * net.n_experts, m, net.n_experts)
    fill_zero(dgate)
    mask = floats(theta, net.gate_mask, t * net.n_experts, net.n_experts)
    for e in range(net.n_experts):
        if mask[e] > 0:
            h = expert_output(net, work, domain, theta, task.domain, e)
            dh = expert_gradient(net, work, domain, theta, task.domain, e)
            slot = expert_slots(net, work, domain, task.domain, e)
            for i in range(m):
                r = slot[positions[i]]
                for j in range(net.n_shared):
                    dgate[i, e] += dmixture[i, j] * h[r, j]
                    dh[r, j] += gate[i, e] * dmixture[i, j]
    if task.gate != FIXED:
        backward_gate(net, data, work, theta, grad, t, gate, dgate)


def backward_gate(net, data, work, theta, grad, t, gate, dgate):
    """Through the softmax of the gate to its parameters, and to dz; uses up dgate."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    start, m = entries(work, t)
    for i in range(m):
        mean = 0.0
        for e in range(net.n_experts):
            mean += gate[i, e] * dgate[i, e]
        for e in range(net.n_experts):
            dgate[i, e] = gate[i, e] * (dgate[i, e] - mean)
    add_columns(dgate, vector(grad, task.gate_at, net.n_experts))
    if task.gate == CONSTANT:
        return
    weight = matrix(theta, task.gate_at + net.n_experts, net.n_inputs, net.n_experts)
    dweight = matrix(grad, task.gate_at + net.n_experts, net.n_inputs, net.n_experts)
    if reads_csr(domain):
        values, indices, indptr = csr_arrays(domain, theta)
        rows = ints(work.entry_row, start, m)
        add_csr_product_at(values, indices, indptr, rows, dgate, dweight)
        return
    z = batch_z(net, work, domain, theta, task.domain)
    dz = batch_dz(net, work, domain, theta, task.domain)
    positions = ints(work.entry_position, start, m)
    for i in range(m):
        for j in range(net.n_inputs):
            for e in range(net.n_experts):
                dweight[j, e] += z[positions[i], j] * dgate[i, e]
                if dz.shape[0] > 0:
                    dz[positions[i], j] += weight[j, e] * dgate[i, e]
