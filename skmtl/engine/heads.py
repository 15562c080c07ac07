"""What a task's head reads, and heads forward and backward, for the batch in WORK."""

from skmtl.engine.batches import entries
from skmtl.engine.layers import (
    add_bias,
    add_columns,
    add_product_at,
    product,
    product_bt,
)
from skmtl.engine.network import (
    batch_dz,
    expert_gradient,
    expert_output,
    expert_slots,
    reads_csr,
)
from skmtl.engine.pointers import (
    call_activate,
    call_backward_activation,
    call_backward_head_on_csr,
    call_backward_hidden,
    call_backward_mixture,
    call_drop_out,
    call_forward_hidden,
    call_head_on_csr,
    call_mix_experts,
    domain_at,
    float_matrix,
    ints,
    layer_at,
    matrix,
    task_at,
    vector,
)

# --- what a task's head reads ------------------------------------------------------------


def head_reads_csr(net, domain):
    """Whether the heads read CSR rows directly, because there is no layer before them."""
    return net.n_trunk == 0 and reads_csr(domain)


def reads_expert_directly(net, work, t):
    """Whether the head's input is the output of one expert, row for row."""
    task = task_at(net.tasks, t)
    if task.only_expert < 0:
        return False
    n = ints(work.expert_n_rows, task.domain * net.n_experts + task.only_expert, 1)[0]
    return n == entries(work, t)[1]


def head_input(net, data, work, theta, t):
    """The rows (m, n_shared) that the head of task t reads."""
    task = task_at(net.tasks, t)
    if reads_expert_directly(net, work, t):
        domain = domain_at(data.domains, task.domain)
        return expert_output(net, work, domain, theta, task.domain, task.only_expert)
    start, m = entries(work, t)
    return float_matrix(theta, work.mixture, start * net.n_shared, m, net.n_shared)


def read_experts(net, data, work, theta, t):
    """Fill in what the head of task t reads, unless that is an expert's rows, or X, as they are."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    if reads_expert_directly(net, work, t) or head_reads_csr(net, domain):
        return
    if task.only_expert < 0:
        call_mix_experts(net.mix_experts, (net, data, work, theta, t))
        return
    start, m = entries(work, t)
    positions = ints(work.entry_position, start, m)
    h = expert_output(net, work, domain, theta, task.domain, task.only_expert)
    slot = expert_slots(net, work, domain, task.domain, task.only_expert)
    rows = head_input(net, data, work, theta, t)
    for i in range(m):
        for j in range(net.n_shared):
            rows[i, j] = h[slot[positions[i]], j]


def trains_below(net, data, work, theta, d):
    """Whether anything before the heads has parameters to train."""
    domain = domain_at(data.domains, d)
    return net.n_trunk > 0 or batch_dz(net, work, domain, theta, d).shape[0] > 0


def backward_to_experts(net, data, work, theta, grad, t):
    """Add the gradient at what the head of task t reads to the experts, and to its gate."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    if not trains_below(net, data, work, theta, task.domain):
        return
    delta = delta_below(net, work, theta, t, 0, net.n_shared)
    if task.only_expert < 0:
        call_backward_mixture(net.backward_mixture, (net, data, work, theta, grad, t, delta))
        return
    dh = expert_gradient(net, work, domain, theta, task.domain, task.only_expert)
    if reads_expert_directly(net, work, t):
        for i in range(dh.shape[0]):
            for j in range(dh.shape[1]):
                dh[i, j] += delta[i, j]
        return
    start, m = entries(work, t)
    positions = ints(work.entry_position, start, m)
    slot = expert_slots(net, work, domain, task.domain, task.only_expert)
    for i in range(m):
        for j in range(net.n_shared):
            dh[slot[positions[i]], j] += delta[i, j]


# --- heads ---------------------------------------------------------------------------------------


def hidden_layer(net, head, k):
    """The k-th hidden LAYER of a head."""
    return layer_at(net.layers, net.n_experts * net.n_trunk + head * net.n_head_hidden + k)


def output_layer(net, head):
    """The output LAYER of a head, whose weights are stored (n_out, n_in)."""
    first = net.n_experts * net.n_trunk + net.n_heads * net.n_head_hidden
    return layer_at(net.layers, first + head)


def head_layer(net, work, buffer, theta, t, k):
    """View (m, width) of hidden layer k of task t's head."""
    width = ints(net.head_width, 0, net.n_head_hidden + 1)
    start, m = entries(work, t)
    offset = start * width[net.n_head_hidden] + m * width[k]
    return float_matrix(theta, buffer, offset, m, width[k + 1] - width[k])


def head_out(net, work, buffer, theta, t):
    """View (m, n_out) of task t's outputs in ``work.out`` or ``work.dout``."""
    m, start = ints(work.task_count, t, 1)[0], ints(work.out_start, t, 1)[0]
    return float_matrix(theta, buffer, start, m, task_at(net.tasks, t).n_out)


def rows_below(net, data, work, theta, t, k):
    """The dense rows that layer k of task t's head reads; the output is layer n_head_hidden."""
    if k == 0:
        return head_input(net, data, work, theta, t)
    return head_layer(net, work, work.head_activation, theta, t, k - 1)


def delta_below(net, work, theta, t, k, n_in):
    """Gradient (m, n_in) at what layer k of task t's head reads."""
    m = ints(work.task_count, t, 1)[0]
    return float_matrix(theta, work.delta, (k % 2) * work.delta_size, m, n_in)


def forward_head(net, data, work, theta, t, dropout, rng):
    """out = f_t(H_t) on the rows that carry a label of task t."""
    read_experts(net, data, work, theta, t)
    n_hidden = net.n_head_hidden
    if n_hidden > 0:
        call_forward_hidden(net.forward_hidden, (net, data, work, theta, t, dropout, rng))
    task = task_at(net.tasks, t)
    layer = output_layer(net, task.head)
    out = head_out(net, work, work.out, theta, t)
    if n_hidden == 0 and head_reads_csr(net, domain_at(data.domains, task.domain)):
        call_head_on_csr(net.head_on_csr, (net, data, work, theta, t, layer, out))
    else:
        weight = matrix(theta, layer.weight, layer.n_out, layer.n_in)
        product_bt(net, rows_below(net, data, work, theta, t, n_hidden), weight, out)
    add_bias(out, vector(theta, layer.bias, layer.n_out))


def forward_hidden(net, data, work, theta, t, dropout, rng):
    """The hidden layers of task t's head.

    Entered by address, and so is the way back: a fit without such layers does not compile them.
    """
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    for k in range(net.n_head_hidden):
        layer = hidden_layer(net, task.head, k)
        h = head_layer(net, work, work.head_activation, theta, t, k)
        slope = head_layer(net, work, work.head_slope, theta, t, k)
        if k == 0 and head_reads_csr(net, domain):
            call_head_on_csr(net.head_on_csr, (net, data, work, theta, t, layer, h))
        else:
            weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
            product(net, rows_below(net, data, work, theta, t, k), weight, h)
        call_activate(net.activate, (h, vector(theta, layer.bias, layer.n_out), slope))
        if dropout > 0:
            call_drop_out(net.drop_out, (h, slope, dropout, rng))


def backward_head(net, data, work, theta, head_grad, gate_grad, t):
    """Walk task t's head back from ``work.dout``, and on to its experts and its gate."""
    task = task_at(net.tasks, t)
    layer = output_layer(net, task.head)
    delta = head_out(net, work, work.dout, theta, t)
    add_columns(delta, vector(head_grad, layer.bias, layer.n_out))
    n_hidden = net.n_head_hidden
    if n_hidden == 0 and head_reads_csr(net, domain_at(data.domains, task.domain)):
        call_backward_head_on_csr(
            net.backward_head_on_csr, (net, data, work, theta, head_grad, t, layer, delta)
        )
        return
    weight = matrix(theta, layer.weight, layer.n_out, layer.n_in)
    dweight = matrix(head_grad, layer.weight, layer.n_out, layer.n_in)
    below_delta = delta_below(net, work, theta, t, n_hidden, layer.n_in)
    add_product_at(net, delta, rows_below(net, data, work, theta, t, n_hidden), dweight)
    product(net, delta, weight, below_delta)
    if n_hidden > 0:
        call_backward_hidden(net.backward_hidden, (net, data, work, theta, head_grad, t))
    backward_to_experts(net, data, work, theta, gate_grad, t)


def backward_hidden(net, data, work, theta, grad, t):
    """Walk the hidden layers of task t's head back; adds to grad.

    Where the first of them reads CSR rows there is no gradient below it.
    """
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    for k in range(net.n_head_hidden - 1, -1, -1):
        layer = hidden_layer(net, task.head, k)
        delta = delta_below(net, work, theta, t, k + 1, layer.n_out)
        slope = head_layer(net, work, work.head_slope, theta, t, k)
        dbias = vector(grad, layer.bias, layer.n_out)
        call_backward_activation(net.backward_activation, (delta, slope, dbias))
        if k == 0 and head_reads_csr(net, domain):
            call_backward_head_on_csr(
                net.backward_head_on_csr, (net, data, work, theta, grad, t, layer, delta)
            )
            return
        weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
        dweight = matrix(grad, layer.weight, layer.n_in, layer.n_out)
        below_delta = delta_below(net, work, theta, t, k, layer.n_in)
        add_product_at(net, rows_below(net, data, work, theta, t, k), delta, dweight)
        product_bt(net, delta, weight, below_delta)
