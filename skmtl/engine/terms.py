"""The terms of the objective on the batch in WORK: losses, alignments, penalties."""

from skmtl.engine.batches import entries
from skmtl.engine.network import (
    batch_dz,
    batch_z,
    expert_gradient,
    expert_output,
    head_out,
)
from skmtl.engine.pointers import (
    alignment_at,
    call_alignment,
    call_loss,
    call_penalty,
    call_prox,
    domain_at,
    doubles,
    float_matrix,
    floats,
    int_matrix,
    ints,
    penalty_at,
    task_at,
    vector,
)


def task_loss(net, work, theta, t, n_batches):
    """The batch's unbiased estimate of L_t; leaves the plugin's gradient in ``work.dout``.

    A plugin gives the weighted mean over the rows it sees. Times their weight over the task's
    total weight, times the number of batches in a pass, its expectation is L_t, whatever the
    batch holds.
    """
    task = task_at(net.tasks, t)
    start, m = entries(work, t)
    losses, scale = doubles(work.losses, 0, net.n_tasks), doubles(work.scale, 0, net.n_tasks)
    terms = doubles(work.terms, 0, net.n_tasks)
    losses[t] = terms[t] = scale[t] = 0.0
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
    terms[t] = task.coefficient * losses[t]


def align(net, data, work, theta, grad, rng):
    """Sum of the alignments; adds their gradients at the mapped or shared features, and to grad."""
    value = 0.0
    for a in range(net.n_alignments):
        alignment = alignment_at(net.alignments, a)
        s, t = alignment.source, alignment.target
        source, target = domain_at(data.domains, s), domain_at(data.domains, t)
        if alignment.on_shared == 1:
            hs = expert_output(net, work, source, theta, s, 0)
            ht = expert_output(net, work, target, theta, t, 0)
            dhs = expert_gradient(net, work, source, theta, s, 0)
            dht = expert_gradient(net, work, target, theta, t, 0)
        else:
            hs, ht = batch_z(net, work, source, theta, s), batch_z(net, work, target, theta, t)
            dhs, dht = batch_dz(net, work, source, theta, s), batch_dz(net, work, target, theta, t)
        if hs.shape[0] == 0 or ht.shape[0] == 0:
            continue
        if dhs.shape[0] == 0:
            dhs = float_matrix(theta, work.unused_dsource, 0, hs.shape[0], hs.shape[1])
        if dht.shape[0] == 0:
            dht = float_matrix(theta, work.unused_dtarget, 0, ht.shape[0], ht.shape[1])
        value += call_alignment(
            alignment.function,
            (
                vector(theta, alignment.start, alignment.size),
                hs,
                ht,
                row_codes(net, work, theta, work.source_code, s, hs.shape[0], alignment),
                row_codes(net, work, theta, work.target_code, t, ht.shape[0], alignment),
                theta.dtype.type(alignment.strength),
                floats(theta, net.hp, alignment.hp, alignment.n_hp),
                doubles(alignment.work, 0, alignment.n_work),
                rng,
                dhs,
                dht,
                vector(grad, alignment.start, alignment.size),
            ),
        )
    return value


def row_codes(net, work, theta, buffer, d, n_rows, alignment):
    """Class of each row of domain d's batch, -1 where there is no label, or none is wanted."""
    codes = ints(buffer, 0, n_rows)
    for i in range(n_rows):
        codes[i] = -1
    if alignment.needs_labels == 1:
        for t in range(net.n_tasks):
            if task_at(net.tasks, t).domain == d:
                start, m = entries(work, t)
                position = ints(work.entry_position, start, m)
                y = floats(theta, work.entry_y, start, m)
                for i in range(m):
                    codes[position[i]] = int(y[i])
    return codes


def penalize(net, work, theta, grad, full):
    """sum_r rho_r R_r; adds its gradient, but in batches that of penalties with a proximal step."""
    value = 0.0
    for r in range(net.n_penalties):
        penalty = penalty_at(net.penalties, r)
        into = grad
        if penalty.prox != 0 and full == 0:
            into = floats(theta, work.unused_grad, 0, theta.size)
        value += call_penalty(
            penalty.function,
            (
                theta,
                int_matrix(net.blocks, 6 * penalty.first_block, penalty.n_blocks, 6),
                theta.dtype.type(penalty.strength),
                floats(theta, net.hp, penalty.hp, penalty.n_hp),
                floats(theta, penalty.constants, 0, penalty.n_constants),
                doubles(penalty.work, 0, penalty.n_work),
                into,
            ),
        )
    return value


def proximal_step(net, theta, lr):
    """theta = argmin_z ||z - theta||^2 / 2 + lr rho_r R_r(z), one penalty after the other."""
    for r in range(net.n_penalties):
        penalty = penalty_at(net.penalties, r)
        if penalty.prox != 0:
            call_prox(
                penalty.prox,
                (
                    theta,
                    int_matrix(net.blocks, 6 * penalty.first_block, penalty.n_blocks, 6),
                    theta.dtype.type(lr * penalty.strength),
                    floats(theta, net.hp, penalty.hp, penalty.n_hp),
                    floats(theta, penalty.constants, 0, penalty.n_constants),
                    doubles(penalty.work, 0, penalty.n_work),
                ),
            )
