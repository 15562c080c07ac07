"""Forward and backward through maps, experts, gates and heads, for the batch in WORK."""

from skmtl.engine.batches import entries
from skmtl.engine.layers import (
    activate,
    add_bias,
    add_columns,
    add_csr_product_at,
    add_csr_product_bt,
    add_product_at,
    csr_product,
    csr_product_bt,
    drop_out,
    fill_zero,
    product,
    product_bt,
    scale_and_add_columns,
    scale_by,
    take_rows,
)
from skmtl.engine.pointers import (
    call_backward,
    call_backward_csr,
    call_backward_mixture,
    call_forward,
    call_forward_csr,
    call_mix_experts,
    domain_at,
    float_matrix,
    floats,
    int32s,
    ints,
    layer_at,
    matrix,
    task_at,
    vector,
)

# --- input: gathered rows, CSR rows, feature maps ---------------------------------------------


def csr_arrays(domain, theta):
    """Values, indices and indptr of a CSR domain; empty arrays for a dense one."""
    n = domain.n_x_rows * domain.is_csr
    indptr = ints(domain.indptr, 0, n + domain.is_csr)
    nnz = indptr[n] if n > 0 else 0
    return floats(theta, domain.values, 0, nnz), int32s(domain.indices, 0, nnz), indptr


def reads_csr(domain):
    """Whether the experts of a domain read CSR rows directly."""
    return domain.is_csr == 1 and domain.map_forward == 0


def batch_rows(work, domain, d):
    """Row numbers in X of the domain's batch."""
    return ints(work.batch_row, domain.row_at, ints(work.n_rows, d, 1)[0])


def batch_x(work, domain, theta, d):
    """The gathered rows (n, n_columns); no row for CSR."""
    n = 0 if domain.is_csr == 1 else ints(work.n_rows, d, 1)[0]
    return float_matrix(theta, work.x, domain.x_at, n, domain.n_columns)


def batch_z(net, work, domain, theta, d):
    """What the experts read (n, n_inputs): mapped, or else gathered rows; no row for CSR."""
    if domain.map_forward == 0:
        return batch_x(work, domain, theta, d)
    return float_matrix(theta, work.z, domain.z_at, ints(work.n_rows, d, 1)[0], net.n_inputs)


def batch_dz(net, work, domain, theta, d):
    """Gradient at the mapped rows; no row where there is no map to train."""
    trains = net.maps_train == 1 and domain.map_forward != 0
    n = ints(work.n_rows, d, 1)[0] if trains else 0
    return float_matrix(theta, work.dz, domain.z_at, n, net.n_inputs)


def read_input(net, data, work, theta, d):
    """Gather the batch's rows and map them: z = g_d(x)."""
    domain = domain_at(data.domains, d)
    rows = batch_rows(work, domain, d)
    x = batch_x(work, domain, theta, d)
    if domain.is_csr == 0:
        source = float_matrix(theta, domain.values, 0, domain.n_x_rows, domain.n_columns)
        take_rows(source, rows, x)
    if domain.map_forward == 0:
        return
    parameters = vector(theta, domain.map_start, domain.map_size)
    hp = floats(theta, net.hp, domain.map_hp, domain.map_n_hp)
    scratch = floats(theta, work.map_work, domain.map_work_at, domain.map_work_size)
    z = batch_z(net, work, domain, theta, d)
    if domain.is_csr == 1:
        values, indices, indptr = csr_arrays(domain, theta)
        call_forward_csr(
            domain.map_forward, (parameters, values, indices, indptr, rows, hp, scratch, z)
        )
    else:
        call_forward(domain.map_forward, (parameters, x, hp, scratch, z))


def backward_map(net, data, work, theta, grad, d):
    """Add the gradient of the feature map's parameters, from dz."""
    domain = domain_at(data.domains, d)
    dz = batch_dz(net, work, domain, theta, d)
    if dz.shape[0] == 0:
        return
    parameters = vector(theta, domain.map_start, domain.map_size)
    dparameters = vector(grad, domain.map_start, domain.map_size)
    hp = floats(theta, net.hp, domain.map_hp, domain.map_n_hp)
    scratch = floats(theta, work.map_work, domain.map_work_at, domain.map_work_size)
    if domain.is_csr == 1:
        values, indices, indptr = csr_arrays(domain, theta)
        rows = batch_rows(work, domain, d)
        call_backward_csr(
            domain.map_backward,
            (parameters, values, indices, indptr, rows, hp, scratch, dz, dparameters),
        )
    else:
        x = batch_x(work, domain, theta, d)
        call_backward(domain.map_backward, (parameters, x, hp, scratch, dz, dparameters))


# --- trunk: chains of layers, one per expert ---------------------------------------------------


def expert_at(net, domain, e):
    """Where the rows of expert e on a domain start in the buffers."""
    return domain.row_at * net.n_experts + e * domain.max_rows


def expert_positions(net, work, domain, d, e):
    """Positions in the batch of the rows that expert e reads."""
    n = ints(work.expert_n_rows, d * net.n_experts + e, 1)[0]
    return ints(work.expert_position, expert_at(net, domain, e), n)


def expert_slots(net, work, domain, d, e):
    """For each position in the batch, where it is among the rows that expert e reads."""
    return ints(work.expert_slot, expert_at(net, domain, e), ints(work.n_rows, d, 1)[0])


def expert_layer(net, work, buffer, domain, theta, d, e, k):
    """View (rows, width) of layer k of an expert in ``work.activation`` or ``work.slope``."""
    width = ints(net.trunk_width, 0, net.n_trunk + 1)
    offset = expert_at(net, domain, e) * width[net.n_trunk] + domain.max_rows * width[k]
    n = ints(work.expert_n_rows, d * net.n_experts + e, 1)[0]
    return float_matrix(theta, buffer, offset, n, width[k + 1] - width[k])


def expert_input(net, work, domain, theta, d, e):
    """The dense rows that expert e reads; no row for CSR."""
    if net.n_experts == 1:
        return batch_z(net, work, domain, theta, d)
    n = 0 if reads_csr(domain) else ints(work.expert_n_rows, d * net.n_experts + e, 1)[0]
    return float_matrix(
        theta, work.expert_x, expert_at(net, domain, e) * net.n_inputs, n, net.n_inputs
    )


def expert_output(net, work, domain, theta, d, e):
    """H_e, or the input itself where the trunk is empty."""
    if net.n_trunk == 0:
        return batch_z(net, work, domain, theta, d)
    return expert_layer(net, work, work.activation, domain, theta, d, e, net.n_trunk - 1)


def expert_gradient(net, work, domain, theta, d, e):
    """Gradient at H_e; where the trunk is empty, at the input."""
    if net.n_trunk == 0:
        return batch_dz(net, work, domain, theta, d)
    n = ints(work.expert_n_rows, d * net.n_experts + e, 1)[0]
    return float_matrix(
        theta, work.dshared, expert_at(net, domain, e) * net.n_shared, n, net.n_shared
    )


def assign_rows(net, work, domain, theta, d):
    """Give each expert the rows that carry a label of one of its tasks.

    Experts without layers hand on the whole batch, and so does an only expert.
    """
    n = ints(work.n_rows, d, 1)[0]
    reads_all = net.n_experts == 1 or net.n_trunk == 0
    n_rows = ints(work.expert_n_rows, d * net.n_experts, net.n_experts)
    mask = float_matrix(theta, net.gate_mask, 0, net.n_tasks, net.n_experts)
    for e in range(net.n_experts):
        slot = expert_slots(net, work, domain, d, e)
        for i in range(n):
            slot[i] = 0 if reads_all else -1
        if not reads_all:
            for t in range(net.n_tasks):
                if task_at(net.tasks, t).domain == d and mask[t, e] > 0:
                    start, m = entries(work, t)
                    position = ints(work.entry_position, start, m)
                    for i in range(m):
                        slot[position[i]] = 0
        position = ints(work.expert_position, expert_at(net, domain, e), n)
        m = 0
        for i in range(n):
            if slot[i] == 0:
                position[m] = i
                slot[i] = m
                m += 1
        n_rows[e] = m


def csr_rows(work, domain, d, positions):
    """Row numbers in X of some positions of the batch."""
    rows = batch_rows(work, domain, d)
    out = ints(work.csr_row, 0, positions.size)
    for i in range(positions.size):
        out[i] = rows[positions[i]]
    return out


def forward_experts(net, data, work, theta, d, dropout, rng):
    """Run every expert on its rows: H_e = trunk_e(z)."""
    domain = domain_at(data.domains, d)
    assign_rows(net, work, domain, theta, d)
    values, indices, indptr = csr_arrays(domain, theta)
    z = batch_z(net, work, domain, theta, d)
    for e in range(net.n_experts):
        positions = expert_positions(net, work, domain, d, e)
        a = expert_input(net, work, domain, theta, d, e)
        if net.n_experts > 1 and a.shape[0] > 0:
            take_rows(z, positions, a)
        for k in range(net.n_trunk):
            layer = layer_at(net.layers, e * net.n_trunk + k)
            weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
            h = expert_layer(net, work, work.activation, domain, theta, d, e, k)
            slope = expert_layer(net, work, work.slope, domain, theta, d, e, k)
            if k == 0 and reads_csr(domain):
                rows = csr_rows(work, domain, d, positions)
                csr_product(values, indices, indptr, rows, weight, h)
            else:
                product(net, a, weight, h)
            activate(h, vector(theta, layer.bias, layer.n_out), layer.activation, slope)
            if dropout > 0:
                drop_out(h, slope, dropout, rng)
            a = h


def clear_domain(net, data, work, theta, d):
    """Zero the gradients at domain d's mapped rows and experts, which the way back adds to."""
    domain = domain_at(data.domains, d)
    fill_zero(batch_dz(net, work, domain, theta, d))
    for e in range(net.n_experts):
        fill_zero(expert_gradient(net, work, domain, theta, d, e))


def backward_experts(net, data, work, theta, grad, d):
    """Walk each expert back from its output: add to grad, and to dz where a map is trained."""
    if net.n_trunk == 0:
        return
    domain = domain_at(data.domains, d)
    values, indices, indptr = csr_arrays(domain, theta)
    dz = batch_dz(net, work, domain, theta, d)
    lowest = 0 if dz.shape[0] > 0 else net.first_layer
    for e in range(net.n_experts):
        positions = expert_positions(net, work, domain, d, e)
        delta = expert_gradient(net, work, domain, theta, d, e)
        for k in range(net.n_trunk - 1, lowest - 1, -1):
            layer = layer_at(net.layers, e * net.n_trunk + k)
            slope = expert_layer(net, work, work.slope, domain, theta, d, e, k)
            if k < net.first_layer:
                scale_by(delta, slope)
            else:
                scale_and_add_columns(delta, slope, vector(grad, layer.bias, layer.n_out))
                dweight = matrix(grad, layer.weight, layer.n_in, layer.n_out)
                if k == 0 and reads_csr(domain):
                    rows = csr_rows(work, domain, d, positions)
                    add_csr_product_at(values, indices, indptr, rows, delta, dweight)
                else:
                    below = expert_input(net, work, domain, theta, d, e)
                    if k > 0:
                        below = expert_layer(net, work, work.activation, domain, theta, d, e, k - 1)
                    add_product_at(net, below, delta, dweight)
            if k > lowest or dz.shape[0] > 0:
                below_delta = float_matrix(
                    theta, work.delta, (k % 2) * work.delta_size, delta.shape[0], layer.n_in
                )
                weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
                product_bt(net, delta, weight, below_delta)
                delta = below_delta
        if dz.shape[0] > 0:
            for i in range(positions.size):
                for j in range(net.n_inputs):
                    dz[positions[i], j] += delta[i, j]


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


def backward_to_experts(net, data, work, theta, grad, t, delta):
    """Add the gradient at what the head of task t reads to the experts, and to its gate."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    if net.n_trunk == 0 and batch_dz(net, work, domain, theta, task.domain).shape[0] == 0:
        return  # nothing below has parameters
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
    start, m = entries(work, t)
    return float_matrix(theta, buffer, start * net.max_outputs, m, task_at(net.tasks, t).n_out)


def forward_head(net, data, work, theta, t, dropout, rng):
    """out = f_t(H_t) on the rows that carry a label of task t."""
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    on_csr = head_reads_csr(net, domain)
    values, indices, indptr = csr_arrays(domain, theta)
    start, m = entries(work, t)
    rows = ints(work.entry_row, start, m)
    a = head_input(net, data, work, theta, t)
    for k in range(net.n_head_hidden):
        layer = hidden_layer(net, task.head, k)
        weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
        h = head_layer(net, work, work.head_activation, theta, t, k)
        slope = head_layer(net, work, work.head_slope, theta, t, k)
        if k == 0 and on_csr:
            csr_product(values, indices, indptr, rows, weight, h)
        else:
            product(net, a, weight, h)
        activate(h, vector(theta, layer.bias, layer.n_out), layer.activation, slope)
        if dropout > 0:
            drop_out(h, slope, dropout, rng)
        a = h
    layer = output_layer(net, task.head)
    weight = matrix(theta, layer.weight, layer.n_out, layer.n_in)
    out = head_out(net, work, work.out, theta, t)
    if on_csr and net.n_head_hidden == 0:
        csr_product_bt(values, indices, indptr, rows, weight, out)
    else:
        product_bt(net, a, weight, out)
    add_bias(out, vector(theta, layer.bias, layer.n_out))


def backward_head(net, data, work, theta, grad, t):
    """Walk task t's head back from ``work.dout``: adds to grad; gives the gradient at H_t.

    Where the head reads CSR rows there is no gradient at H_t to give.
    """
    task = task_at(net.tasks, t)
    domain = domain_at(data.domains, task.domain)
    on_csr = head_reads_csr(net, domain)
    values, indices, indptr = csr_arrays(domain, theta)
    start, m = entries(work, t)
    rows = ints(work.entry_row, start, m)
    n_hidden = net.n_head_hidden

    layer = output_layer(net, task.head)
    delta = head_out(net, work, work.dout, theta, t)
    add_columns(delta, vector(grad, layer.bias, layer.n_out))
    dweight = matrix(grad, layer.weight, layer.n_out, layer.n_in)
    if on_csr and n_hidden == 0:
        add_csr_product_bt(values, indices, indptr, rows, delta, dweight)
        return delta
    below = head_input(net, data, work, theta, t)
    if n_hidden > 0:
        below = head_layer(net, work, work.head_activation, theta, t, n_hidden - 1)
    add_product_at(net, delta, below, dweight)
    weight = matrix(theta, layer.weight, layer.n_out, layer.n_in)
    below_delta = float_matrix(theta, work.delta, (n_hidden % 2) * work.delta_size, m, layer.n_in)
    product(net, delta, weight, below_delta)
    delta = below_delta

    for k in range(n_hidden - 1, -1, -1):
        layer = hidden_layer(net, task.head, k)
        slope = head_layer(net, work, work.head_slope, theta, t, k)
        scale_and_add_columns(delta, slope, vector(grad, layer.bias, layer.n_out))
        dhidden = matrix(grad, layer.weight, layer.n_in, layer.n_out)
        if k == 0 and on_csr:
            add_csr_product_at(values, indices, indptr, rows, delta, dhidden)
            return delta
        below = head_input(net, data, work, theta, t)
        if k > 0:
            below = head_layer(net, work, work.head_activation, theta, t, k - 1)
        add_product_at(net, below, delta, dhidden)
        weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
        below_delta = float_matrix(theta, work.delta, (k % 2) * work.delta_size, m, layer.n_in)
        product_bt(net, delta, weight, below_delta)
        delta = below_delta
    return delta
