"""Which rows a step reads, and which labels they carry."""

from skmtl.engine.pointers import (
    call_deal_labels,
    call_transpose_labels,
    domain_at,
    floats,
    int8s,
    int32s,
    ints,
    prefetch_to_read,
    task_at,
)
from skmtl.engine.shuffle import draw_moves, n_moves, place

# A cache line of float32, in which the labels of a row lie.
LABELS_AT_ONCE = 16


def shuffle_rows(data, work, d, rng):
    """Start a pass over domain d: shuffle its rows within the groups that carry the same tasks.

    The rotation makes every batch equally likely to hold any given row.
    """
    domain = domain_at(data.domains, d)
    if domain.n_batches == 1:
        return
    ints(work.rotation, d, 1)[0] = draw(rng, domain.n_batches)
    if domain.side > 0:
        draw_moves(moves_of(work, domain), domain.side, rng)
        return
    order = int32s(domain.order, 0, domain.n_rows)
    bounds = ints(domain.group_ptr, 0, domain.n_groups + 1)
    for g in range(domain.n_groups):
        for i in range(bounds[g + 1] - 1, bounds[g], -1):  # Fisher and Yates
            j = bounds[g] + draw(rng, i + 1 - bounds[g])
            order[i], order[j] = order[j], order[i]


def moves_of(work, domain):
    """What a pass has drawn for ``engine.shuffle``."""
    return int32s(work.moves, domain.moves_at, n_moves(domain.side))


def draw(rng, n):
    """A whole number from 0 to n - 1.

    Numba's ``rng.integers`` makes an array for each of its numbers, and takes a second to compile.
    """
    return int(rng.random() * n)


def draw_batch(data, work, d, b):
    """Batch b of a pass over domain d: every n_batches-th row of the order.

    Rows with the same tasks lie together in the order, so that each task's rows are spread evenly
    over the batches. Labels in words lie far apart, and are asked for while rows are read: else an
    epoch of a million rows would take 1.08 times as long.
    """
    domain = domain_at(data.domains, d)
    is_stored = domain.side == 0
    order, moves = int32s(domain.order, 0, domain.n_rows * is_stored), moves_of(work, domain)
    batch = ints(work.batch, domain.row_at, domain.max_rows)
    batch_row = ints(work.batch_row, domain.row_at, domain.max_rows)
    start = (b + ints(work.rotation, d, 1)[0]) % domain.n_batches
    words = ints(domain.label_y, 0, domain.n_labels if domain.label_bytes == 8 else 0)
    n = 0
    for p in range(start, domain.n_rows, domain.n_batches):
        i = order[p] if is_stored else place(moves, domain.side, domain.n_rows, p)
        batch[n] = i
        batch_row[n] = row_of_x(domain, i)
        if words.size > 0:
            prefetch_to_read(words, i)
        n += 1
    ints(work.n_rows, d, 1)[0] = n


def draw_everything(data, work, d):
    """The full batch: every row of domain d."""
    domain = domain_at(data.domains, d)
    batch = ints(work.batch, domain.row_at, domain.n_rows)
    batch_row = ints(work.batch_row, domain.row_at, domain.n_rows)
    for i in range(domain.n_rows):
        batch[i] = i
        batch_row[i] = row_of_x(domain, i)
    ints(work.n_rows, d, 1)[0] = domain.n_rows


def draw_row(data, work, d, i):
    """A batch of one row, the i-th of domain d."""
    domain = domain_at(data.domains, d)
    ints(work.batch, domain.row_at, 1)[0] = i
    ints(work.batch_row, domain.row_at, 1)[0] = row_of_x(domain, i)
    ints(work.n_rows, d, 1)[0] = 1


def row_of_x(domain, i):
    """Row of X that is the i-th in use."""
    return int32s(domain.rows, i, 1)[0] if domain.rows != 0 else i


def sort_labels(net, data, work, theta):
    """Line up the observed labels of all domains' batches task by task: a counting sort.

    Entered by address, and so are the two ways to deal the labels of a domain: a fit compiles those
    that it needs.
    """
    count = ints(work.task_count, 0, net.n_tasks)
    for t in range(net.n_tasks):
        count[t] = 0
    for d in range(net.n_domains):
        count_labels(net, data, work, d)
    n_entries = place_tasks(net, work)
    for d in range(net.n_domains):
        if domain_at(data.domains, d).labels_a_row > 0:
            call_transpose_labels(net.transpose_labels, (net, data, work, theta, d, n_entries))
        else:
            call_deal_labels(net.deal_labels, (net, data, work, theta, d, n_entries))


def place_tasks(net, work):
    """Give each task with entries a place for them, and for its outputs; gives their number."""
    start, count = ints(work.task_start, 0, net.n_tasks), ints(work.task_count, 0, net.n_tasks)
    present, out_start = ints(work.present, 0, net.n_tasks), ints(work.out_start, 0, net.n_tasks)
    n_present = n_entries = n_out = 0
    for t in range(net.n_tasks):
        start[t] = n_entries
        if count[t] > 0:
            present[n_present] = t
            out_start[t] = n_out
            n_present += 1
            n_entries += count[t]
            n_out += count[t] * task_at(net.tasks, t).n_out
    ints(work.n_present, 0, 1)[0] = n_present
    return n_entries


def label_tasks(domain):
    """The task of each label; where all rows carry the same, those of one row."""
    n = domain.labels_a_row if domain.labels_a_row > 0 else domain.n_labels
    return int32s(domain.label_task, 0, n)


def label_values(theta, domain):
    """Y of each label of a domain, in bytes, in words, or as floats: two of the views are empty."""
    n, size = domain.n_labels, domain.label_bytes
    return (
        int8s(domain.label_y, 0, n if size == 1 else 0),
        ints(domain.label_y, 0, n if size == 8 else 0),
        floats(theta, domain.label_y, 0, n if size == 0 else 0),
    )


def value_of(codes, words, y, k):
    """Y of the k-th label."""
    if y.size > 0:
        return y[k]
    return y.dtype.type(codes[k] if codes.size > 0 else words[k])


def label_weights(theta, domain):
    """Weights of the labels of a domain: of each, or one for all."""
    return floats(theta, domain.label_weight, 0, domain.n_weights)


def weight_of(weight, k):
    """Weight of the k-th label."""
    return weight[k if weight.size > 1 else 0]


def count_labels(net, data, work, d):
    """Count the labels of each task in domain d's batch."""
    domain = domain_at(data.domains, d)
    n = ints(work.n_rows, d, 1)[0]
    task, count = label_tasks(domain), ints(work.task_count, 0, net.n_tasks)
    if domain.labels_a_row > 0:
        for j in range(domain.labels_a_row):
            count[task[j]] = n
        return
    batch = ints(work.batch, domain.row_at, n)
    ptr = ints(domain.label_ptr, 0, domain.n_rows + 1)
    for i in range(n):
        for k in range(ptr[batch[i]], ptr[batch[i] + 1]):
            count[task[k]] += 1


def deal_labels(net, data, work, theta, d, n_entries):
    """Give the labels of domain d's batch to their tasks, row by row."""
    domain = domain_at(data.domains, d)
    n = ints(work.n_rows, d, 1)[0]
    batch = ints(work.batch, domain.row_at, n)
    batch_row = ints(work.batch_row, domain.row_at, n)
    ptr, task = ints(domain.label_ptr, 0, domain.n_rows + 1), label_tasks(domain)
    codes, words, y = label_values(theta, domain)
    weight = label_weights(theta, domain)
    start = ints(work.task_start, 0, net.n_tasks)
    position, row = ints(work.entry_position, 0, n_entries), ints(work.entry_row, 0, n_entries)
    entry_y = floats(theta, work.entry_y, 0, n_entries)
    entry_weight = floats(theta, work.entry_weight, 0, n_entries)
    for i in range(n):
        for k in range(ptr[batch[i]], ptr[batch[i] + 1]):
            e = start[task[k]]
            start[task[k]] += 1
            position[e] = i
            row[e] = batch_row[i]
            entry_y[e] = value_of(codes, words, y, k)
            entry_weight[e] = weight_of(weight, k)
    for t in tasks_present(work):
        if task_at(net.tasks, t).domain == d:
            start[t] -= ints(work.task_count, t, 1)[0]


def transpose_labels(net, data, work, theta, d, n_entries):
    """The same where all rows carry the same tasks: a transposition.

    It goes by blocks of tasks, so that what a row has for them is read from memory once.
    """
    domain = domain_at(data.domains, d)
    n = ints(work.n_rows, d, 1)[0]
    batch = ints(work.batch, domain.row_at, n)
    batch_row = ints(work.batch_row, domain.row_at, n)
    task = label_tasks(domain)
    codes, words, y = label_values(theta, domain)
    weight = label_weights(theta, domain)
    start = ints(work.task_start, 0, net.n_tasks)
    position, row = ints(work.entry_position, 0, n_entries), ints(work.entry_row, 0, n_entries)
    entry_y = floats(theta, work.entry_y, 0, n_entries)
    entry_weight = floats(theta, work.entry_weight, 0, n_entries)
    for block in range(0, domain.labels_a_row, LABELS_AT_ONCE):
        end = min(block + LABELS_AT_ONCE, domain.labels_a_row)
        for i in range(n):
            label = batch[i] * domain.labels_a_row
            for j in range(block, end):
                e = start[task[j]] + i
                entry_y[e] = value_of(codes, words, y, label + j)
                entry_weight[e] = weight_of(weight, label + j)
    for j in range(domain.labels_a_row):
        e = start[task[j]]
        for i in range(n):
            position[e + i] = i
        if domain.is_csr == 1:
            for i in range(n):
                row[e + i] = batch_row[i]


def tasks_present(work):
    """The tasks that have entries, in order."""
    return ints(work.present, 0, ints(work.n_present, 0, 1)[0])


def entries(work, t):
    """Where the entries of task t start, and how many there are."""
    return ints(work.task_start, t, 1)[0], ints(work.task_count, t, 1)[0]
