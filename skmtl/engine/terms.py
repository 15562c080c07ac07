"""The terms of the objective on the batch in WORK: losses and penalties."""

from skmtl.engine.batches import entries
from skmtl.engine.heads import head_out
from skmtl.engine.pointers import (
    call_loss,
    call_penalty,
    call_prox,
    doubles,
    float_matrix,
    floats,
    int_matrix,
    penalty_at,
    task_at,
)


def task_loss(net, work, theta, t, n_batches):
    """The batch's unbiased estimate of c_t L_t; leaves the plugin's gradient in ``work.dout``.

    A plugin gives the weighted mean over the rows it sees. Times their weight over the task's
    total weight, times the number of batches in a pass, its expectation is L_t, whatever the
    batch holds.
    """
    task = task_at(net.tasks, t)
    start, m = entries(work, t)
    losses, scale = doubles(work.losses, 0, net.n_tasks), doubles(work.scale, 0, net.n_tasks)
    terms = doubles(work.terms, 0, net.n_tasks)
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
    return terms[t]


def penalize(net, work, theta, grad, full):
    """sum_r rho_r R_r; adds its gradient, but in batches that of penalties with a proximal step.

    In batches the weight decay of lazy rows is left out: ``engine.lazy`` sees to it.
    """
    value = 0.0
    for r in range(net.n_penalties):
        penalty = penalty_at(net.penalties, r)
        n_skipped = 0 if full else penalty.n_lazy
        if n_skipped == penalty.n_blocks:
            continue
        into = grad
        if penalty.prox != 0 and full == 0:
            into = floats(theta, work.unused_grad, 0, theta.size)
        value += call_penalty(
            penalty.function,
            (
                theta,
                int_matrix(
                    net.blocks,
                    6 * (penalty.first_block + n_skipped),
                    penalty.n_blocks - n_skipped,
                    6,
                ),
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
