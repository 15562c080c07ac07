"""A step's four passes: each domain forward, each task forth and back, each domain back.

Entered by address: the two gradients of ``engine.train`` share their machine code.
"""

from skmtl.engine.batches import entries, sort_labels
from skmtl.engine.network import (
    backward_experts,
    backward_head,
    backward_map,
    backward_to_experts,
    forward_experts,
    forward_head,
    read_experts,
    read_input,
)
from skmtl.engine.pointers import domain_at, doubles, task_at
from skmtl.engine.terms import task_loss


def forward_domain(net, data, work, theta, d, full, rng):
    """Read and map the batch of domain d, and run its experts."""
    sort_labels(net, data, work, theta, d)
    read_input(net, data, work, theta, d)
    forward_experts(net, data, work, theta, d, 0.0 if full else net.dropout, rng)


def forward_task(net, data, work, theta, t, full, rng):
    """Run the head of task t and its loss; gives c_t L_t."""
    n_batches = domain_at(data.domains, task_at(net.tasks, t).domain).n_batches
    read_experts(net, data, work, theta, t)
    forward_head(net, data, work, theta, t, 0.0 if full else net.dropout, rng)
    task_loss(net, work, theta, t, 1 if full else n_batches)
    return doubles(work.terms, t, 1)[0]


def backward_task(net, data, work, theta, head_grad, gate_grad, t):
    """From task t's outputs to its experts; adds to the gradients of its head and of its gate."""
    if entries(work, t)[1] > 0:
        delta = backward_head(net, data, work, theta, head_grad, t)
        backward_to_experts(net, data, work, theta, gate_grad, t, delta)


def backward_domain(net, data, work, theta, trunk_grad, map_grad, d):
    """From domain d's experts to its map; adds to the gradients of the trunk and of the map."""
    backward_experts(net, data, work, theta, trunk_grad, d)
    backward_map(net, data, work, theta, map_grad, d)
