"""What the tasks weigh against each other in a step, and their gradients one by one."""

import numpy as np

from skmtl.engine.batches import tasks_present
from skmtl.engine.heads import head_out
from skmtl.engine.layers import product, product_bt
from skmtl.engine.pointers import (
    call_weighting,
    double_matrix,
    doubles,
    float_matrix,
    floats,
    ints,
    task_at,
)


def weigh_tasks(net, work, theta, step, rng):
    """Ask the weighting for w_t."""
    call_weighting(
        net.weighting,
        (
            doubles(work.terms, 0, net.n_tasks),
            ints(work.task_count, 0, net.n_tasks),
            double_matrix(work.gram, 0, net.n_tasks, net.n_tasks),
            step,
            net.steps_per_epoch,
            floats(theta, net.hp, net.weighting_hp, net.weighting_n_hp),
            doubles(work.weighting_state, 0, work.weighting_state_size),
            rng,
            doubles(work.weights, 0, net.n_tasks),
        ),
    )


def scale_outputs(net, work, theta, with_weights):
    """Turn the plugins' gradients in ``work.dout`` into those of c_t L_t, or of w_t c_t L_t."""
    scale, weights = doubles(work.scale, 0, net.n_tasks), doubles(work.weights, 0, net.n_tasks)
    for t in tasks_present(work):
        factor = task_at(net.tasks, t).coefficient * scale[t]
        if with_weights:
            factor *= weights[t]
        dout, factor = head_out(net, work, work.dout, theta, t), theta.dtype.type(factor)
        for i in range(dout.shape[0]):
            for j in range(dout.shape[1]):
                dout[i, j] *= factor


def task_gradient(net, work, theta, t):
    """Gradient of task t's term at theta[:n_common]."""
    return floats(theta, work.task_grad, t * net.n_common, net.n_common)


def record_gram(net, work, theta):
    """Gram matrix of the tasks' gradients, for the weighting; adds their cosines to the record."""
    n = net.n_tasks
    rows = float_matrix(theta, work.task_grad, 0, n, net.n_common)
    product_bt(net, rows, rows, float_matrix(theta, work.float_gram, 0, n, n))
    float_gram = float_matrix(theta, work.float_gram, 0, n, n)
    gram = double_matrix(work.gram, 0, n, n)
    cosine, n_cosines = double_matrix(work.cosine, 0, n, n), double_matrix(work.n_cosines, 0, n, n)
    for s in range(n):
        for t in range(n):
            gram[s, t] = float_gram[s, t]
    for s in range(n):
        for t in range(n):
            length = np.sqrt(gram[s, s] * gram[t, t])
            if length > 0:
                cosine[s, t] += gram[s, t] / length
                n_cosines[s, t] += 1


def combine(net, work, theta, grad):
    """Add the weighted sum of the tasks' gradients to grad[:n_common].

    Weights that depend on the losses alone are in these gradients already.
    """
    n, p = net.n_tasks, net.n_common
    rows = float_matrix(theta, work.task_grad, 0, n, p)
    weights = doubles(work.weights, 0, n)
    w = float_matrix(theta, work.float_gram, 0, 1, n)
    for t in range(n):
        w[0, t] = weights[t] if net.needs_gram == 1 else 1.0
    total = float_matrix(theta, work.combined, 0, 1, p)
    product(net, w, rows, total)
    for j in range(p):
        grad[j] += total[0, j]
