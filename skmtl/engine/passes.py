"""A step's four passes: each domain forward, the tasks forth and back, each domain back.

Entered by address: the two gradients of ``engine.train`` share their machine code.
"""

from skmtl.engine.batches import tasks_present
from skmtl.engine.flat_heads import has_few_rows, n_abreast
from skmtl.engine.network import backward_experts, forward_experts, read_input
from skmtl.engine.pointers import (
    call_backward_abreast,
    call_backward_few,
    call_backward_head,
    call_backward_map,
    call_forward_abreast,
    call_forward_few,
    call_forward_head,
    domain_at,
    doubles,
    task_at,
)
from skmtl.engine.terms import task_loss


def forward_domain(net, data, work, theta, d, full, rng):
    """Read and map the batch of domain d, and run its experts."""
    read_input(net, data, work, theta, d)
    forward_experts(net, data, work, theta, d, 0.0 if full else net.dropout, rng)


def forward_tasks(net, data, work, theta, full, rng):
    """Run the heads of the tasks that have entries, and their losses; gives sum_t c_t L_t."""
    losses, terms = doubles(work.losses, 0, net.n_tasks), doubles(work.terms, 0, net.n_tasks)
    scale = doubles(work.scale, 0, net.n_tasks)
    for t in range(net.n_tasks):
        losses[t] = terms[t] = scale[t] = 0.0
    present = tasks_present(work)
    k = 0
    while k < present.size:
        t, n = present[k], n_abreast(net, data, work, present, k)
        if n > 0:
            call_forward_abreast(net.forward_abreast, (net, data, work, theta, t, n))
        elif has_few_rows(net, data, work, t):
            call_forward_few(net.forward_few, (net, data, work, theta, t))
        else:
            dropout = 0.0 if full else net.dropout
            call_forward_head(net.forward_head, (net, data, work, theta, t, dropout, rng))
        k += n if n > 0 else 1
    value = 0.0
    for k in range(present.size):
        t = present[k]
        n_batches = domain_at(data.domains, task_at(net.tasks, t).domain).n_batches
        value += task_loss(net, work, theta, t, 1 if full else n_batches)
    return value


def backward_tasks(net, data, work, theta, head_grad, gate_grad, present):
    """From the outputs of tasks to their experts; adds to the gradients of heads and of gates."""
    k = 0
    while k < present.size:
        t, n = present[k], n_abreast(net, data, work, present, k)
        if n > 0:
            call_backward_abreast(net.backward_abreast, (net, data, work, theta, head_grad, t, n))
        elif has_few_rows(net, data, work, t):
            call_backward_few(net.backward_few, (net, data, work, theta, head_grad, t))
        else:
            call_backward_head(net.backward_head, (net, data, work, theta, head_grad, gate_grad, t))
        k += n if n > 0 else 1


def backward_domain(net, data, work, theta, trunk_grad, map_grad, d):
    """From domain d's experts to its map; adds to the gradients of the trunk and of the map."""
    backward_experts(net, data, work, theta, trunk_grad, d)
    if net.backward_map != 0:
        call_backward_map(net.backward_map, (net, data, work, theta, map_grad, d))
