"""The buffers that a step reads and writes, for batches or for all rows at once."""

from typing import NamedTuple

import numpy as np

from skmtl.engine import activations, tables
from skmtl.engine.records import table_of
from skmtl.engine.shuffle import n_moves


class Sizes(NamedTuple):
    """How much the largest batches of all domains hold together."""

    rows: int
    entries: int
    x: int
    z: int
    map_work: int
    moves: int


def place_domains(builder, full):
    """The table with the rows of each domain's largest batch, and its places in the buffers.

    Gives the Sizes of the buffers too.
    """
    n_inputs = builder.layout.architecture.n_inputs
    placed, n_rows, n_entries, n_x, n_z, map_work, moves = [], 0, 0, 0, 0, 0, 0
    for row, rows, domain in zip(builder.table, builder.rows, builder.domains, strict=True):
        max_rows = row["n_rows"] if full else -(-row["n_rows"] // row["n_batches"])
        sizes, is_mapped = (max_rows, row["n_columns"], n_inputs), domain.map is not None
        place = {
            "max_rows": max_rows,
            "row_at": n_rows,
            "x_at": n_x,
            "z_at": n_z,
            "map_work_at": map_work,
            "map_work_size": domain.map.n_work(*sizes) if is_mapped else 0,
            "moves_at": moves,
        }
        placed.append(row | place)
        n_rows += max_rows
        if row["labels_a_row"]:
            n_entries += max_rows * row["labels_a_row"]
        else:
            n_labels = np.diff(rows.label_ptr)
            n_labels.sort()
            n_entries += int(n_labels[row["n_rows"] - max_rows :].sum())
        n_x += 0 if row["is_csr"] else max_rows * row["n_columns"]
        n_z += max_rows * n_inputs if is_mapped else 0
        map_work += place["map_work_size"]
        moves += n_moves(row["side"])
    return table_of(tables.DOMAIN, placed), Sizes(n_rows, n_entries, n_x, n_z, map_work, moves)


def allocate(records, builder, net, full, **lasting):
    """Records DATA and WORK, and the losses in WORK.

    Parameters
    ----------
    records : Records
        Makes them, and keeps the buffers.
    builder : NetBuilder
        After ``build``.
    net : record NET
    full : bool
        Whether for all rows at once.
    **lasting
        The fields of WORK that outlive a step.
    """
    a, dtype = builder.layout.architecture, builder.dtype
    table, sizes = place_domains(builder, full)
    n_domains, n_tasks, n_experts = len(builder.domains), len(builder.tasks), a.n_experts
    n_expert_rows = sizes.rows * n_experts
    every_row = [np.arange(n) for n in np.repeat(table["max_rows"], n_experts)]
    several = n_experts > 1
    delta_size = max(sizes.rows, sizes.entries) * max(a.n_inputs, *a.hidden, *a.head_hidden, 1)
    n_lazy_rows = a.n_inputs * n_experts if builder.n_lazy else 0
    catch_up_work = (
        builder.training.optimizer.n_catch_up_work(builder.steps_per_epoch) if builder.n_lazy else 0
    )
    losses = np.zeros(n_tasks)
    n_common, align = int(net.n_common), int(net.n_alignments > 0)
    n_features = max(a.n_inputs, a.n_shared)
    alignment_work = max(
        (
            term.alignment.n_work(
                int(table["max_rows"][term.source]),
                int(table["max_rows"][term.target]),
                a.n_shared if term.alignment.where == "shared" else a.n_inputs,
            )
            for term in builder.alignments
        ),
        default=0,
    )
    n_activations = n_expert_rows * sum(a.hidden)
    n_head_activations = sizes.entries * sum(a.head_hidden)
    *_, has_slopes = activations.of_net(a.activation, builder.training.dropout)

    def ints(n):
        return 8 * n

    doubles = ints

    def floats(n):
        return dtype.itemsize * n

    buffers = records.zeros(
        {
            "n_rows": ints(n_domains),
            "rotation": ints(n_domains),
            "moves": 4 * sizes.moves,
            "batch": ints(sizes.rows),
            "batch_row": ints(sizes.rows),
            "csr_row": ints(sizes.rows),
            "task_start": ints(n_tasks),
            "task_count": ints(n_tasks),
            "out_start": ints(n_tasks),
            "n_present": ints(1),
            "present": ints(n_tasks),
            "entry_position": ints(sizes.entries),
            "entry_row": ints(sizes.entries),
            "entry_y": floats(sizes.entries),
            "entry_weight": floats(sizes.entries),
            "x": floats(sizes.x),
            "z": floats(sizes.z),
            "dz": floats(sizes.z),
            "expert_n_rows": ints(n_domains * n_experts),
            "expert_x": floats(n_expert_rows * a.n_inputs if several else 0),
            "activation": floats(n_activations),
            "slope": floats(n_activations if has_slopes else 0),
            "dshared": floats(n_expert_rows * a.n_shared if a.hidden else 0),
            "mixture": floats(sizes.entries * a.n_shared),
            "gate": floats(sizes.entries * n_experts),
            "dgate": floats(sizes.entries * n_experts),
            "head_activation": floats(n_head_activations),
            "head_slope": floats(n_head_activations if has_slopes else 0),
            "out": floats(sizes.entries * int(net.max_outputs)),
            "dout": floats(sizes.entries * int(net.max_outputs)),
            "delta": floats(2 * delta_size),
            "since": ints(n_lazy_rows),
            "lazy_row": ints(n_lazy_rows),
            "lazy_since": ints(n_lazy_rows),
            "catch_up_work": doubles(catch_up_work),
            "map_work": floats(sizes.map_work),
            "unused_grad": floats(builder.layout.size if builder.has_prox else 0),
            "source_code": ints(sizes.rows * align),
            "target_code": ints(sizes.rows * align),
            "unused_dsource": floats(sizes.rows * n_features * align),
            "unused_dtarget": floats(sizes.rows * n_features * align),
            "alignment_work": doubles(alignment_work),
            "terms": doubles(n_tasks),
            "scale": doubles(n_tasks),
            "gram": doubles(n_tasks * n_tasks),
            "float_gram": floats(n_tasks * n_tasks),
            "task_grad": floats(n_tasks * n_common),
            "combined": floats(n_common),
        }
    )
    if not has_slopes:
        buffers["slope"], buffers["head_slope"] = buffers["activation"], buffers["head_activation"]
    work = records.make(
        tables.WORK,
        delta_size=delta_size,
        catch_up_work_size=catch_up_work,
        alignment_work_size=alignment_work,
        expert_position=np.concatenate(every_row),
        expert_slot=np.concatenate(every_row),
        losses=losses,
        weights=np.ones(n_tasks),
        **buffers,
        **lasting,
    )
    data = records.make(tables.DATA, domains=table)
    return data, work, losses
