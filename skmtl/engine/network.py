"""Reading the batch in WORK, and forward and backward through experts."""

from skmtl.engine.batches import entries
from skmtl.engine.layers import (
    fill_zero,
    product,
    product_at,
    product_bt,
    take_rows,
)
from skmtl.engine.pointers import (
    call_activate,
    call_assign_rows,
    call_backward_activation,
    call_backward_csr_layer,
    call_drop_out,
    call_map_rows,
    call_read_csr,
    domain_at,
    float_matrix,
    ints,
    layer_at,
    matrix,
    task_at,
    vector,
)

# --- input ---------------------------------------------


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
    if domain.is_csr == 0:
        source = float_matrix(theta, domain.values, 0, domain.n_x_rows, domain.n_columns)
        take_rows(source, batch_rows(work, domain, d), batch_x(work, domain, theta, d))
    if domain.map_forward != 0:
        call_map_rows(net.map_rows, (net, data, work, theta, d))


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


def assign_rows(net, data, work, theta, d):
    """Give each expert the rows that carry a label of one of its tasks, and copy dense ones.

    Entered by address. Experts without layers hand on the whole batch, and an only expert reads it:
    there the positions and slots of ``Problem`` hold for every batch.
    """
    domain = domain_at(data.domains, d)
    n = ints(work.n_rows, d, 1)[0]
    n_rows = ints(work.expert_n_rows, d * net.n_experts, net.n_experts)
    mask = float_matrix(theta, net.gate_mask, 0, net.n_tasks, net.n_experts)
    z = batch_z(net, work, domain, theta, d)
    for e in range(net.n_experts):
        slot = expert_slots(net, work, domain, d, e)
        for i in range(n):
            slot[i] = -1
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
        if not reads_csr(domain):
            positions = expert_positions(net, work, domain, d, e)
            take_rows(z, positions, expert_input(net, work, domain, theta, d, e))


def forward_experts(net, data, work, theta, d, dropout, rng):
    """Run every expert on its rows: H_e = trunk_e(z). Layers without bias are linear."""
    domain = domain_at(data.domains, d)
    if net.assign_rows == 0:
        for e in range(net.n_experts):
            ints(work.expert_n_rows, d * net.n_experts + e, 1)[0] = ints(work.n_rows, d, 1)[0]
    else:
        call_assign_rows(net.assign_rows, (net, data, work, theta, d))
    for e in range(net.n_experts):
        a = expert_input(net, work, domain, theta, d, e)
        for k in range(net.n_trunk):
            layer = layer_at(net.layers, e * net.n_trunk + k)
            weight = matrix(theta, layer.weight, layer.n_in, layer.n_out)
            h = expert_layer(net, work, work.activation, domain, theta, d, e, k)
            slope = expert_layer(net, work, work.slope, domain, theta, d, e, k)
            if k == 0 and reads_csr(domain):
                call_read_csr(net.read_csr, (net, data, work, theta, d, e))
            else:
                product(net, a, weight, h)
            if layer.bias >= 0:
                call_activate(net.activate, (h, vector(theta, layer.bias, layer.n_out), slope))
                if dropout > 0:
                    call_drop_out(net.drop_out, (h, slope, dropout, rng))
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
    dz = batch_dz(net, work, domain, theta, d)
    lowest = 0 if dz.shape[0] > 0 else net.first_layer
    for e in range(net.n_experts):
        positions = expert_positions(net, work, domain, d, e)
        delta = expert_gradient(net, work, domain, theta, d, e)
        for k in range(net.n_trunk - 1, lowest - 1, -1):
            layer = layer_at(net.layers, e * net.n_trunk + k)
            if layer.bias >= 0:
                slope = expert_layer(net, work, work.slope, domain, theta, d, e, k)
                dbias = vector(grad, layer.bias, layer.n_out)
                call_backward_activation(net.backward_activation, (delta, slope, dbias))
            if k >= net.first_layer:
                if k == 0 and reads_csr(domain):
                    call_backward_csr_layer(
                        net.backward_csr_layer, (net, data, work, theta, grad, d, e, delta)
                    )
                else:
                    below = expert_input(net, work, domain, theta, d, e)
                    if k > 0:
                        below = expert_layer(net, work, work.activation, domain, theta, d, e, k - 1)
                    dweight = matrix(grad, layer.weight, layer.n_in, layer.n_out)
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
