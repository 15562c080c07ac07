"""Forward and backward through maps and experts, for the batch in WORK."""

from skmtl.engine.batches import entries
from skmtl.engine.layers import (
    activate,
    add_csr_product_at,
    csr_product,
    drop_out,
    fill_zero,
    product,
    product_at,
    product_bt,
    scale_and_add_columns,
    scale_by,
    take_rows,
)
from skmtl.engine.pointers import (
    call_backward,
    call_backward_csr,
    call_forward,
    call_forward_csr,
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
                    product_at(net, below, delta, 1 - net.trunk_once, dweight)
            if k > lowest or dz.shape[0] > 0:
                below_delta = float_matrix(
                    theta, work.delta, (k % 2) * work.delta_size, delta.shape[0], layer.n_in
                )
                weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
                product_bt(net, delta, weight, below_delta)
                delta = below_delta
        if dz.shape[0] > 0:
            for i in range(positions.size):
                position = positions[i]
                for j in range(net.n_inputs):
                    dz[position, j] += delta[i, j]
