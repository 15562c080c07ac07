"""Heads of one layer that read one expert's rows as they are: many at once, or a few rows each.

With many tasks most of the time would go to calls and copies. Where tasks in a row have a label on
every row and one output each, their weights are the rows of one matrix, and so are their outputs:
one product does for all of them. Where a task has few rows, a loop over them beats copying them and
a call of BLAS.
"""

from skmtl.engine.batches import entries
from skmtl.engine.heads import (
    head_out,
    head_reads_csr,
    output_layer,
    reads_expert_directly,
    trains_below,
)
from skmtl.engine.layers import add_product, add_product_at, product_bt
from skmtl.engine.network import expert_gradient, expert_output, expert_slots
from skmtl.engine.pointers import (
    domain_at,
    float_matrix,
    ints,
    matrix,
    task_at,
    vector,
)

# Up to this many multiplications a loop over a task's rows beats copying them for BLAS: batches of
# 200, shared out among 10 to 100 tasks of 4 classes, 15 to 55 % of a step; of 16 classes, from
# 10,000 on, nothing.
FEW = 8192


def is_flat(net, data, t):
    """Whether the head of task t has one layer and reads dense rows of one expert."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    return net.n_head_hidden == 0 and task.only_expert >= 0 and not head_reads_csr(net, domain)


# --- tasks in a row, of one output each, that all read every row of one expert --------------------


def n_abreast(net, data, work, present, start):
    """How many of the tasks, from ``present[start]`` on, can go through their heads together."""
    first = task_at(net.tasks, present[start])
    n = 0
    for k in range(start, present.size):
        task = task_at(net.tasks, present[k])
        if (
            task.n_out != 1
            or task.head != first.head + n
            or task.domain != first.domain
            or task.only_expert != first.only_expert
            or not reads_expert_directly(net, work, present[k])
            or not is_flat(net, data, present[k])
        ):
            break
        n += 1
    return n


def outputs_abreast(net, work, buffer, theta, t, n):
    """View (n, m) of the outputs of n tasks in ``work.out`` or ``work.dout``, from t on."""
    m, start = ints(work.task_count, t, 1)[0], ints(work.out_start, t, 1)[0]
    return float_matrix(theta, buffer, start, n, m)


def forward_abreast(net, data, work, theta, t, n):
    """OUT^T = W H^T + b for n tasks, from t on."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    layer = output_layer(net, task.head)
    weight = matrix(theta, layer.weight, n, layer.n_in)
    bias = vector(theta, layer.bias, n)
    h = expert_output(net, work, domain, theta, task.domain, task.only_expert)
    out = outputs_abreast(net, work, work.out, theta, t, n)
    product_bt(net, weight, h, out)
    for j in range(n):
        for i in range(out.shape[1]):
            out[j, i] += bias[j]


def backward_abreast(net, data, work, theta, grad, t, n):
    """dW += dOUT^T H, db += sum_i dOUT_i, dH += dOUT W for n tasks, from t on."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    layer = output_layer(net, task.head)
    dbias = vector(grad, layer.bias, n)
    dout = outputs_abreast(net, work, work.dout, theta, t, n)
    for j in range(n):
        total = dout.dtype.type(0)
        for i in range(dout.shape[1]):
            total += dout[j, i]
        dbias[j] += total
    h = expert_output(net, work, domain, theta, task.domain, task.only_expert)
    add_product(net, dout, h, matrix(grad, layer.weight, n, layer.n_in))
    if trains_below(net, data, work, theta, task.domain):
        dh = expert_gradient(net, work, domain, theta, task.domain, task.only_expert)
        add_product_at(net, dout, matrix(theta, layer.weight, n, layer.n_in), dh)


# --- one task with few rows -----------------------------------------------------------------------


def has_few_rows(net, data, work, t):
    """Whether task t is better off without copy and BLAS."""
    task = task_at(net.tasks, t)
    few = task.n_out == 1 or entries(work, t)[1] * task.n_out * net.n_shared <= FEW
    return net.forward_few != 0 and few and is_flat(net, data, t)


def forward_few(net, data, work, theta, t):
    """out_i = W h_i + b for the rows of task t."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    layer = output_layer(net, task.head)
    weight = matrix(theta, layer.weight, layer.n_out, layer.n_in)
    bias = vector(theta, layer.bias, layer.n_out)
    h = expert_output(net, work, domain, theta, task.domain, task.only_expert)
    slot = expert_slots(net, work, domain, task.domain, task.only_expert)
    start, m = entries(work, t)
    position = ints(work.entry_position, start, m)
    out = head_out(net, work, work.out, theta, t)
    for i in range(m):
        row = slot[position[i]]
        for j in range(layer.n_out):
            total = bias[j]
            for k in range(layer.n_in):
                total += weight[j, k] * h[row, k]
            out[i, j] = total


def backward_few(net, data, work, theta, grad, t):
    """dW += dout_i h_i^T, db += dout_i, dh_i += W^T dout_i for the rows of task t."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    layer = output_layer(net, task.head)
    weight = matrix(theta, layer.weight, layer.n_out, layer.n_in)
    dweight = matrix(grad, layer.weight, layer.n_out, layer.n_in)
    dbias = vector(grad, layer.bias, layer.n_out)
    h = expert_output(net, work, domain, theta, task.domain, task.only_expert)
    dh = expert_gradient(net, work, domain, theta, task.domain, task.only_expert)
    slot = expert_slots(net, work, domain, task.domain, task.only_expert)
    start, m = entries(work, t)
    position = ints(work.entry_position, start, m)
    dout = head_out(net, work, work.dout, theta, t)
    trains = trains_below(net, data, work, theta, task.domain)
    for i in range(m):
        row = slot[position[i]]
        for j in range(layer.n_out):
            delta = dout[i, j]
            dbias[j] += delta
            for k in range(layer.n_in):
                dweight[j, k] += delta * h[row, k]
            if trains:
                for k in range(layer.n_in):
                    dh[row, k] += delta * weight[j, k]
