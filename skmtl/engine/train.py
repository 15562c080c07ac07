"""The objective and its gradient on a batch, the epoch, and the full-batch objective.

``J = sum_k c_k w_k L_k(f_k(trunk(g_d(k)(x))), y_k) + sum_r rho_r R_r``. A step reads as that
formula: read and map the batch of each domain, run the experts, the heads and their losses, weigh
the tasks, then walk back. ``net``, ``data`` and ``work`` are the records of ``engine.tables``.
Plain Python, compiled by ``engine.compile``.
"""

import numpy as np

from skmtl.engine.batches import draw_batch, draw_everything, entries, shuffle_rows, sort_labels
from skmtl.engine.network import (
    backward_experts,
    backward_head,
    backward_map,
    backward_mixture,
    clear_gradients,
    forward_experts,
    forward_head,
    head_out,
    mix_experts,
    read_input,
)
from skmtl.engine.pointers import (
    call_gradient,
    call_loss,
    call_optimizer,
    call_penalty,
    call_weighting,
    domain_at,
    double_matrix,
    doubles,
    float_matrix,
    floats,
    int_matrix,
    penalty_at,
    task_at,
    vector,
)

FINISHED, DIVERGED = 0, 1


def task_loss(net, work, theta, t, n_batches):
    """The batch's unbiased estimate of L_t; leaves the plugin's gradient in ``work.dout``.

    A plugin gives the weighted mean over the rows it sees. Times their weight over the task's
    total weight, times the number of batches in a pass, its expectation is L_t, whatever the
    batch holds.
    """
    task = task_at(net.tasks, t)
    start, m = entries(work, t)
    losses, scale = doubles(work.losses, 0, net.n_tasks), doubles(work.scale, 0, net.n_tasks)
    losses[t] = scale[t] = 0.0
    if m == 0:
        return
    weight = floats(theta, work.entry_weight, start, m)
    total = 0.0
    for i in range(m):
        total += weight[i]
    scale[t] = total * n_batches / task.total_weight
    losses[t] = scale[t] * call_loss(
        task.loss,
        (
            head_out(net, work, work.out, theta, t),
            float_matrix(theta, work.entry_y, start, m, 1),
            weight,
            floats(theta, net.hp, task.hp, task.n_hp),
            head_out(net, work, work.dout, theta, t),
        ),
    )


def weigh_tasks(net, work, theta, step):
    """Ask the weighting for w_t, scale each task's gradient by c_t w_t; gives their sum."""
    losses, scale = doubles(work.losses, 0, net.n_tasks), doubles(work.scale, 0, net.n_tasks)
    weights = doubles(work.weights, 0, net.n_tasks)
    call_weighting(
        net.weighting,
        (
            losses,
            double_matrix(work.gram, 0, net.n_tasks, net.n_tasks),
            step,
            floats(theta, net.hp, net.weighting_hp, net.weighting_n_hp),
            doubles(work.weighting_state, 0, work.weighting_state_size),
            weights,
        ),
    )
    value = 0.0
    for t in range(net.n_tasks):
        weight = task_at(net.tasks, t).coefficient * weights[t]
        value += weight * losses[t]
        dout = head_out(net, work, work.dout, theta, t)
        factor = theta.dtype.type(weight * scale[t])
        for i in range(dout.shape[0]):
            for j in range(dout.shape[1]):
                dout[i, j] *= factor
    return value


def penalize(net, theta, grad):
    """sum_r rho_r R_r; adds its gradient."""
    value = 0.0
    for r in range(net.n_penalties):
        penalty = penalty_at(net.penalties, r)
        value += call_penalty(
            penalty.function,
            (
                theta,
                int_matrix(net.blocks, 5 * penalty.first_block, penalty.n_blocks, 5),
                theta.dtype.type(penalty.strength),
                floats(theta, net.hp, penalty.hp, penalty.n_hp),
                grad,
            ),
        )
    return value


def gradient(net, data, work, theta, grad, full, step, rng):
    """J on the batch in ``work``, with its gradient; overwrites grad.

    ``full`` says that the batch holds every row: each loss is the whole L_t, without dropout.
    """
    dropout = 0.0 if full else net.dropout
    for d in range(net.n_domains):
        sort_labels(net, data, work, theta, d)
        read_input(net, data, work, theta, d)
        forward_experts(net, data, work, theta, d, dropout, rng)
    for t in range(net.n_tasks):
        n_batches = domain_at(data.domains, task_at(net.tasks, t).domain).n_batches
        mix_experts(net, data, work, theta, t)
        forward_head(net, data, work, theta, t, dropout, rng)
        task_loss(net, work, theta, t, 1 if full else n_batches)
    value = weigh_tasks(net, work, theta, step)
    clear_gradients(net, data, work, theta, grad)
    for t in range(net.n_tasks):
        if entries(work, t)[1] > 0:
            delta = backward_head(net, data, work, theta, grad, t)
            backward_mixture(net, data, work, theta, grad, t, delta)
    for d in range(net.n_domains):
        backward_experts(net, data, work, theta, grad, d)
        backward_map(net, data, work, theta, grad, d)
    return value + penalize(net, theta, grad)


def epoch(gradient_at, net, data, work, theta, grad, state, lr, step, means, rng):
    """One pass over the domain with the most batches; the others go round as often as needed.

    Writes the mean over the batches of each task's loss, and then of J. Returns FINISHED, or
    DIVERGED at the first batch whose J is not finite, before its step.
    """
    n_steps = 0
    for d in range(net.n_domains):
        n_steps = max(n_steps, domain_at(data.domains, d).n_batches)
    for k in range(net.n_tasks + 1):
        means[k] = 0.0
    losses = doubles(work.losses, 0, net.n_tasks)
    hp = floats(theta, net.hp, net.optimizer_hp, net.optimizer_n_hp)
    trained = vector(theta, net.n_frozen, theta.size - net.n_frozen)
    dtrained = vector(grad, net.n_frozen, theta.size - net.n_frozen)
    for s in range(n_steps):
        for d in range(net.n_domains):
            b = s % domain_at(data.domains, d).n_batches
            if b == 0:
                shuffle_rows(data, work, d, rng)
            draw_batch(data, work, d, b)
        value = call_gradient(gradient_at, (net, data, work, theta, grad, 0, step + s, rng))
        if not np.isfinite(value):
            return DIVERGED
        for t in range(net.n_tasks):
            means[t] += losses[t] / n_steps
        means[net.n_tasks] += value / n_steps
        call_optimizer(net.optimizer, (trained, dtrained, state, lr, step + s, hp))
    return FINISHED


def objective(gradient_at, net, data, work, theta, grad, rng):
    """J over all rows, without dropout; overwrites grad."""
    for d in range(net.n_domains):
        draw_everything(data, work, d)
    return call_gradient(gradient_at, (net, data, work, theta, grad, 1, 0, rng))
