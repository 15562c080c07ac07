"""What the kernels read and write: records of numbers and of addresses of arrays.

Arrays enter the compiled code by address, so that the number and shapes of layers, tasks and
domains are data, not types, and nothing of the caller's is copied. ``Problem`` owns the arrays.
A field that is an address says in its comment what lives there: ``int``, ``float`` (of the dtype
of the fit) or ``double``, with its shape.
"""

import numpy as np


def _record(fields):
    """A record of int64 fields, or of the type after a colon."""
    names = [line.split("#")[0].strip() for line in fields.strip().splitlines()]
    pairs = [name.partition(":")[::2] for name in names if name]
    return np.dtype([(name, kind or "i8") for name, kind in pairs], align=True)


#: One dense layer: offsets in theta and sizes.
LAYER = _record("""
    weight
    bias             # -1 for none; then the layer has no activation either
    n_in
    n_out
""")

#: One domain: its matrix, its feature map, its rows in use with their observed labels, and its
#: places in the buffers.
DOMAIN = _record("""
    is_csr
    values           # the dense matrix, or the values of the CSR matrix: float
    indices          # int32
    indptr           # int (n_x_rows + 1,)
    n_x_rows
    n_columns
    map_forward      # function, 0 for the identity
    map_backward     # function
    map_start        # slice of theta
    map_size
    map_hp           # slice of hp
    map_n_hp
    map_work_at      # slice of WORK.map_work: what forward leaves for backward
    map_work_size
    rows             # int32 (n_rows,) those of X that are in use; 0 for all of them in order
    n_rows
    order            # int32 (n_rows,) their numbers, shuffled within groups at each pass, or 0
    side             # where there is no order, of the square of ``engine.shuffle``; else 0
    group_ptr        # int (n_groups + 1,) bounds of runs in order that carry the same tasks
    n_groups
    labels_a_row     # if every row carries the same tasks; else 0
    n_labels
    label_ptr        # int (n_rows + 1,) bounds of each row's labels; 0 where labels_a_row is not
    label_task       # int32 (n_labels,) or (labels_a_row,)
    label_y          # (n_labels,), float, or codes of so many bytes each: 1, 8
    label_bytes      # 0 for float
    label_weight     # float (n_weights,)
    n_weights        # n_labels, or 1 where all weigh the same
    n_batches        # batches in one pass over the rows
    max_rows         # rows in the largest batch
    row_at           # offsets into the buffers of WORK
    x_at
    z_at
    moves_at
""")

#: One task.
TASK = _record("""
    domain
    head
    loss             # function
    hp               # slice of NET.hp
    n_hp
    n_out
    only_expert      # the one expert that it reads as is, or -1
    gate             # FIXED, CONSTANT or LINEAR
    gate_at          # offset in theta of the gate's parameters
    coefficient:f8   # c_k
    total_weight:f8  # of the observed labels
""")

#: One penalty term.
PENALTY = _record("""
    function
    prox             # function, 0 for none
    first_block      # slice of NET.blocks
    n_blocks
    n_lazy           # the first of them, which in batches are left to engine.lazy
    hp               # slice of NET.hp
    n_hp
    constants        # float (n_constants,)
    n_constants
    work             # double (n_work,)
    n_work
    strength:f8
""")

#: One alignment of a source with the target.
ALIGNMENT = _record("""
    function
    source           # domain
    target           # domain
    on_shared        # 1: after the trunk, 0: after the feature map
    needs_labels
    theta_start      # slice of theta
    theta_size
    hp               # slice of NET.hp
    n_hp
    strength:f8
""")

#: The network and how it is trained: constant during a fit.
NET = _record("""
    n_domains
    n_tasks
    n_inputs
    n_shared         # width of what the heads read
    n_experts
    n_trunk          # layers of an expert
    n_heads
    n_head_hidden
    n_penalties
    n_alignments
    max_outputs
    first_layer      # trunk layers below are frozen
    n_frozen         # theta[:n_frozen] is frozen
    trunk_size       # theta[:trunk_size] is the trunk
    trunk_once       # 1: a step computes the gradient of each of its weight matrices just once
    n_lazy           # theta[:n_lazy] takes its steps late, see engine.lazy
    lazy_decay:f8    # strength of weight decay there
    maps_train
    dropout:f8
    step_length:f8   # of the optimizer, see its contract; 0 for none
    clip_norm:f8     # longest gradient that a step may have, or infinity
    n_common
    heads_in_common  # 1: all tasks share a head, which lies in theta[:n_common]
    needs_gram       # 1: the weights depend on these gradients
    steps_per_epoch
    layers           # LAYER of each expert, head, output
    tasks            # TASK
    penalties        # PENALTY
    alignments       # ALIGNMENT
    blocks           # int (n, 6), see engine.blocks
    gate_mask        # float (n_tasks, n_experts)
    trunk_width      # int (n_trunk + 1,) cumulated widths of an expert's layers
    head_width       # int (n_head_hidden + 1,) the same for a head's hidden layers
    hp               # float, the hyperparameters of all plugins end to end
    weighting        # function
    weighting_hp
    weighting_n_hp
    optimizer        # function
    optimizer_hp
    optimizer_n_hp
    is_paced         # 1: trunk layers go parts of each step, see engine.pace
    layer_rates      # float (n_trunk,), empty where not paced
    before_step      # float (trunk_size,), scratch, likewise
    pace_layers      # function of engine.pace, 0 where not paced
    catch_up         # function of the optimizer, 0 where n_lazy is
    catch_up_rows    # function of engine.lazy, likewise
    gemm             # function: BLAS's matrix product
    multiply         # function of engine.layers
    sort_labels      # function of engine.batches
    forward_domain   # functions of engine.passes
    forward_tasks
    backward_tasks
    backward_domain
    activate         # functions of engine.activations
    backward_activation
    drop_out         # the others are 0 where a fit does not call them: of engine.layers
    deal_labels      # of engine.batches
    transpose_labels
    map_rows         # of engine.maps
    backward_map
    assign_rows      # of engine.network
    read_csr         # of engine.sparse
    backward_csr_layer
    head_on_csr
    backward_head_on_csr
    forward_head     # of engine.heads
    backward_head
    forward_hidden
    backward_hidden
    forward_abreast  # of engine.flat_heads
    backward_abreast
    forward_few
    backward_few
    mix_experts      # of engine.gates
    backward_mixture
    align            # of engine.align
""")

#: The data of a fit.
DATA = _record("""
    domains          # DOMAIN
""")

#: Buffers of one step. An entry is an observed label of the batch.
WORK = _record("""
    n_rows           # int (n_domains,) rows of each domain in this batch
    rotation         # int (n_domains,) batch that a pass starts with
    moves            # int32, what a pass draws where the order is worked out, by domain
    batch            # int, rows in this batch, numbered as in DOMAIN.rows
    batch_row        # int, the same rows, numbered as in the domain's X
    csr_row          # int, scratch
    task_start       # int (n_tasks,) first entry of each task
    task_count       # int (n_tasks,)
    out_start        # int (n_tasks,) where the outputs of each task start
    n_present        # int (1,) tasks with entries
    present          # int (n_tasks,) which ones, in order
    entry_position   # int, position in the batch
    entry_row        # int, row of X; for CSR
    entry_y          # float
    entry_weight     # float
    x                # float, gathered rows
    z                # float, rows mapped by g
    dz               # float
    expert_n_rows    # int, how many rows each expert reads, by domain
    expert_position  # int, which ones
    expert_slot      # int, where a row of the batch is among them
    expert_x         # float
    activation       # float
    slope            # float
    dshared          # float, gradient at each expert's output
    mixture          # float, what each task's head reads
    gate             # float
    dgate            # float
    head_activation  # float
    head_slope       # float
    out              # float
    dout             # float
    delta            # float (2, delta_size) ping and pong on the way back
    delta_size
    since            # int (n_inputs,) steps taken by the lazy rows of each column
    lazy_row         # int (n_inputs * n_experts,) rows to bring up to date
    lazy_since       # int, the same: the steps that these have taken
    catch_up_work    # double, scratch of the optimizer
    catch_up_work_size
    map_work         # float, scratch of each domain's map
    unused_grad      # float, as long as theta: gradients that nobody reads
    source_code      # int, class of each row of a batch, for alignments
    target_code      # int
    unused_dsource   # float, gradients at rows with nothing below to train
    unused_dtarget   # float
    alignment_work   # double, scratch of the alignments
    alignment_work_size
    losses           # double (n_tasks,) estimates of L_t from this batch
    terms            # double (n_tasks,) c_t L_t
    scale            # double (n_tasks,) from the plugin's mean to the estimate
    weights          # double (n_tasks,)
    gram             # double (n_tasks, n_tasks)
    float_gram       # float (n_tasks, n_tasks)
    task_grad        # float (n_tasks, n_common)
    combined         # float (n_common,)
    weighting_state  # double
    weighting_state_size
    cosine           # double (n_tasks, n_tasks) summed over steps
    n_cosines        # double (n_tasks, n_tasks) steps that had both
""")
