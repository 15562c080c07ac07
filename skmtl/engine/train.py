"""The objective and its gradient on a batch, the epoch, and the full-batch objective.

``J = sum_k c_k w_k L_k(f_k(trunk(g_d(k)(x))), y_k) + sum_r rho_r R_r``. A step reads as that
formula: read and map the batch of each domain, run the experts, the heads and their losses, weigh
the tasks, then walk back. ``net``, ``data`` and ``work`` are the records of ``engine.tables``.
Plain Python, compiled by ``engine.compile``.
"""

import numpy as np

from skmtl.engine.balance import (
    combine,
    record_gram,
    scale_outputs,
    task_gradient,
    weigh_tasks,
)
from skmtl.engine.batches import (
    draw_batch,
    draw_everything,
    draw_row,
    shuffle_rows,
    tasks_present,
)
from skmtl.engine.network import clear_domain
from skmtl.engine.pointers import (
    call_align,
    call_backward_domain,
    call_backward_tasks,
    call_catch_up_rows,
    call_forward_domain,
    call_forward_tasks,
    call_gradient,
    call_optimizer,
    call_pace_layers,
    call_sort_labels,
    data_record,
    domain_at,
    doubles,
    floats,
    ints,
    layer_at,
    net_record,
    task_at,
    vector,
    work_record,
)
from skmtl.engine.terms import penalize, proximal_step


def forward(net, data, work, theta, full, rng):
    """Maps, experts, heads and losses on the batch in ``work``; gives sum_k c_k L_k.

    ``full`` says that the batch holds every row: each loss is the whole L_t, without dropout.
    """
    call_sort_labels(net.sort_labels, (net, data, work, theta))
    for d in range(net.n_domains):
        call_forward_domain(net.forward_domain, (net, data, work, theta, d, full, rng))
    return call_forward_tasks(net.forward_tasks, (net, data, work, theta, full, rng))


def gradient(net, data, work, theta, grad, full, step, rng):
    """J on the batch in ``work``, with its gradient; overwrites grad.

    In batches the gradient is weighted by w_k, and J is not: the weights change from step to step,
    so that a weighted J would tell nothing of progress. On all rows every task weighs 1.
    """
    value = forward(net, data, work, theta, full, rng)
    if full == 0:
        weigh_tasks(net, work, theta, step, rng)
    scale_outputs(net, work, theta, full == 0)
    clear_gradient(net, grad, full)
    for d in range(net.n_domains):
        clear_domain(net, data, work, theta, d)
    present = tasks_present(work)
    call_backward_tasks(net.backward_tasks, (net, data, work, theta, grad, grad, present))
    if net.n_alignments > 0:
        value += call_align(net.align, (net, data, work, theta, grad, rng))
    for d in range(net.n_domains):
        call_backward_domain(net.backward_domain, (net, data, work, theta, grad, grad, d))
    return value + penalize(net, work, theta, grad, full)


def gradient_by_task(net, data, work, theta, grad, full, step, rng):
    """The same of a batch, one walk back for each task: where their gradients are looked at.

    The walk for the alignments, which belong to no task, comes last.
    """
    value = forward(net, data, work, theta, full, rng)
    clear(grad)
    if net.needs_gram == 0:
        weigh_tasks(net, work, theta, step, rng)
    scale_outputs(net, work, theta, net.needs_gram == 0)
    for t in range(net.n_tasks):
        clear(task_gradient(net, work, theta, t))
    present = tasks_present(work)
    for k in range(present.size):
        t = present[k]
        d, row = task_at(net.tasks, t).domain, task_gradient(net, work, theta, t)
        of_head, alone = row if net.heads_in_common == 1 else grad, present[k : k + 1]
        clear_domain(net, data, work, theta, d)
        call_backward_tasks(net.backward_tasks, (net, data, work, theta, of_head, grad, alone))
        call_backward_domain(net.backward_domain, (net, data, work, theta, row, grad, d))
    record_gram(net, work, theta)
    if net.needs_gram == 1:
        weigh_tasks(net, work, theta, step, rng)
    combine(net, work, theta, grad)
    if net.n_alignments > 0:
        for d in range(net.n_domains):
            clear_domain(net, data, work, theta, d)
        value += call_align(net.align, (net, data, work, theta, grad, rng))
        for d in range(net.n_domains):
            call_backward_domain(net.backward_domain, (net, data, work, theta, grad, grad, d))
    return value + penalize(net, work, theta, grad, full)


def clear_gradient(net, grad, full):
    """Zero what the way back adds to: no lazy rows, nor trunk weights that it overwrites.

    To zero the weights, and read them again, takes 4 % of a step of a small net.
    """
    start = 0 if full else net.n_lazy
    if net.trunk_once == 1:
        for k in range(net.n_experts * net.n_trunk):
            layer = layer_at(net.layers, k)
            if layer.bias >= 0:
                clear(vector(grad, layer.bias, layer.n_out))
        start = net.trunk_size
    clear(vector(grad, start, grad.size - start))


def clear(vector):
    """vector_j = 0."""
    for j in range(vector.size):
        vector[j] = 0


def epochs(
    gradient_at,
    net_at,
    data_at,
    work_at,
    theta,
    grad,
    state,
    lazy_state,
    before,
    rates,
    step,
    curves,
    rng,
):
    """Epochs at the learning rates ``rates``, until J or theta stops being finite.

    ``state`` is the optimizer's, ``lazy_state`` that of the first parameters, see ``engine.lazy``;
    ``before`` is as large as theta.

    Writes into ``curves``, epoch by epoch, the means over the batches of each task's loss, of each
    task's weight, and of J. Returns how many epochs were finished; theta ends as it was after them.
    """
    net = net_record(net_at, 0)  # numba takes 4 us to unbox a record
    data = data_record(data_at, 0)
    work = work_record(work_at, 0)
    n_means = 2 * net.n_tasks + 1
    for k in range(rates.size):
        for j in range(theta.size):
            before[j] = theta[j]
        means = vector(curves, k * n_means, n_means)
        is_finite = epoch(
            gradient_at,
            net,
            data,
            work,
            theta,
            grad,
            state,
            lazy_state,
            rates[k],
            step + k * net.steps_per_epoch,
            means,
            rng,
        )
        for j in range(theta.size):
            is_finite = is_finite and np.isfinite(theta[j])
        if not is_finite:
            for j in range(theta.size):
                theta[j] = before[j]
            return k
    return rates.size


def epoch(gradient_at, net, data, work, theta, grad, state, lazy_state, lr, step, means, rng):
    """One pass over the domain with the most batches; the others go round as often as needed.

    Returns whether all went well: False at the first batch whose J is not finite, before its step.
    """
    n_steps = net.steps_per_epoch
    losses, weights = doubles(work.losses, 0, net.n_tasks), doubles(work.weights, 0, net.n_tasks)
    clear(means)
    hp = floats(theta, net.hp, net.optimizer_hp, net.optimizer_n_hp)
    start = max(net.n_frozen, net.n_lazy)
    trained = vector(theta, start, theta.size - start)
    dtrained = vector(grad, start, theta.size - start)
    lazy_value = 0.0
    for s in range(n_steps):
        for d in range(net.n_domains):
            b = s % domain_at(data.domains, d).n_batches
            if b == 0:
                shuffle_rows(data, work, d, rng)
            draw_batch(data, work, d, b)
        if net.n_lazy > 0:
            lazy_value += call_catch_up_rows(
                net.catch_up_rows,
                (net, data, work, theta, grad, lazy_state, lr, step, step + s, 0),
            )
        value = call_gradient(gradient_at, (net, data, work, theta, grad, 0, step + s, rng))
        if not np.isfinite(value):
            return False
        for t in range(net.n_tasks):
            means[t] += losses[t] / n_steps
            means[net.n_tasks + t] += weights[t] / n_steps
        means[2 * net.n_tasks] += value / n_steps
        if np.isfinite(net.clip_norm):
            clip(dtrained, net.clip_norm)
        if net.is_paced == 1:
            call_pace_layers(net.pace_layers, (net, theta, 0))
        call_optimizer(net.optimizer, (trained, dtrained, state, lr, step + s, hp))
        proximal_step(net, theta, lr * net.step_length)
        if net.is_paced == 1:
            call_pace_layers(net.pace_layers, (net, theta, 1))
    if net.n_lazy > 0:
        lazy_value += call_catch_up_rows(
            net.catch_up_rows,
            (net, data, work, theta, grad, lazy_state, lr, step, step + n_steps, 1),
        )
    means[2 * net.n_tasks] += lazy_value / n_steps
    return True


def clip(grad, longest):
    """Scale grad down to a length, if it is longer."""
    total = 0.0
    for j in range(grad.size):
        total += grad[j] * grad[j]
    length = np.sqrt(total)
    if length > longest:
        factor = grad.dtype.type(longest / length)
        for j in range(grad.size):
            grad[j] *= factor


def objective(gradient_at, net_at, data_at, work_at, theta, grad, rng):
    """J over all rows, without dropout; overwrites grad."""
    net = net_record(net_at, 0)
    data = data_record(data_at, 0)
    work = work_record(work_at, 0)
    for d in range(net.n_domains):
        draw_everything(data, work, d)
    return call_gradient(gradient_at, (net, data, work, theta, grad, 1, 0, rng))


def squared_gradients(gradient_at, net_at, data_at, work_at, theta, grad, total, rng):
    """Adds c sum_i p_i (grad l_i)^2 to total, over all rows; p_i is the row's share of its task.

    For domains of one task each, of coefficient c, and no penalty.
    """
    net = net_record(net_at, 0)
    data = data_record(data_at, 0)
    work = work_record(work_at, 0)
    scale = doubles(work.scale, 0, net.n_tasks)
    for d in range(net.n_domains):
        ints(work.n_rows, d, 1)[0] = 0
    for d in range(net.n_domains):
        for i in range(domain_at(data.domains, d).n_rows):
            draw_row(data, work, d, i)
            call_gradient(gradient_at, (net, data, work, theta, grad, 1, 0, rng))
            for t in range(net.n_tasks):
                share = task_at(net.tasks, t).coefficient * scale[t]
                if share > 0:  # the row's task
                    for j in range(grad.size):
                        total[j] += grad[j] * grad[j] / share
        ints(work.n_rows, d, 1)[0] = 0
