"""Alignments of the batches of source and target in WORK.

Entered by address: a fit without alignments does not compile them.
"""

from skmtl.engine.batches import entries
from skmtl.engine.network import batch_dz, batch_z, expert_gradient, expert_output
from skmtl.engine.pointers import (
    alignment_at,
    call_alignment,
    domain_at,
    doubles,
    float_matrix,
    floats,
    ints,
    task_at,
    vector,
)


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
                vector(theta, alignment.theta_start, alignment.theta_size),
                hs,
                ht,
                row_codes(net, work, theta, work.source_code, s, hs.shape[0], alignment),
                row_codes(net, work, theta, work.target_code, t, ht.shape[0], alignment),
                theta.dtype.type(alignment.strength),
                floats(theta, net.hp, alignment.hp, alignment.n_hp),
                doubles(work.alignment_work, 0, work.alignment_work_size),
                rng,
                dhs,
                dht,
                vector(grad, alignment.theta_start, alignment.theta_size),
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
