"""Which rows a step reads, and which labels they carry."""

from skmtl.engine.pointers import domain_at, floats, ints, task_at


def shuffle_rows(data, work, d, rng):
    """Start a pass over domain d: shuffle its rows within the groups that carry the same tasks.

    The rotation makes every batch equally likely to hold any given row.
    """
    domain = domain_at(data.domains, d)
    if domain.n_batches == 1:
        return
    ints(work.rotation, d, 1)[0] = draw(rng, domain.n_batches)
    order = ints(data.order, domain.first_row, domain.n_rows)
    bounds = ints(data.group_ptr, domain.first_group, domain.n_groups + 1)
    for g in range(domain.n_groups):
        for i in range(bounds[g + 1] - 1, bounds[g], -1):  # Fisher and Yates
            j = bounds[g] + draw(rng, i + 1 - bounds[g])
            order[i], order[j] = order[j], order[i]


def draw(rng, n):
    """A whole number from 0 to n - 1.

    Numba's ``rng.integers`` makes an array for each of its numbers, and takes a second to compile.
    """
    return int(rng.random() * n)


def draw_batch(data, work, d, b):
    """Batch b of a pass over domain d: every n_batches-th row of the order.

    Rows with the same tasks lie together in the order, so that each task's rows are spread evenly
    over the batches.
    """
    domain = domain_at(data.domains, d)
    order = ints(data.order, domain.first_row, domain.n_rows)
    rows = ints(data.rows, domain.first_row, domain.n_rows)
    batch = ints(work.batch, domain.row_at, domain.max_rows)
    batch_row = ints(work.batch_row, domain.row_at, domain.max_rows)
    start = (b + ints(work.rotation, d, 1)[0]) % domain.n_batches
    n = 0
    for p in range(start, domain.n_rows, domain.n_batches):
        batch[n] = domain.first_row + order[p]
        batch_row[n] = rows[order[p]]
        n += 1
    ints(work.n_rows, d, 1)[0] = n


def draw_everything(data, work, d):
    """The full batch: every row of domain d."""
    domain = domain_at(data.domains, d)
    rows = ints(data.rows, domain.first_row, domain.n_rows)
    batch = ints(work.batch, domain.row_at, domain.n_rows)
    batch_row = ints(work.batch_row, domain.row_at, domain.n_rows)
    for i in range(domain.n_rows):
        batch[i] = domain.first_row + i
        batch_row[i] = rows[i]
    ints(work.n_rows, d, 1)[0] = domain.n_rows


def draw_row(data, work, d, i):
    """A batch of one row, the i-th of domain d."""
    domain = domain_at(data.domains, d)
    ints(work.batch, domain.row_at, 1)[0] = domain.first_row + i
    ints(work.batch_row, domain.row_at, 1)[0] = ints(data.rows, domain.first_row + i, 1)[0]
    ints(work.n_rows, d, 1)[0] = 1


def sort_labels(net, data, work, theta, d):
    """Line up the observed labels of domain d's batch task by task: a counting sort."""
    domain = domain_at(data.domains, d)
    n = ints(work.n_rows, d, 1)[0]
    batch = ints(work.batch, domain.row_at, n)
    batch_row = ints(work.batch_row, domain.row_at, n)
    n_rows = domain.first_row + domain.n_rows
    ptr = ints(data.label_ptr, 0, n_rows + 1)
    task = ints(data.label_task, 0, ptr[n_rows])
    y = floats(theta, data.label_y, 0, ptr[n_rows])
    weight = floats(theta, data.label_weight, 0, ptr[n_rows])
    start = ints(work.task_start, 0, net.n_tasks)
    count = ints(work.task_count, 0, net.n_tasks)

    for t in range(net.n_tasks):
        if task_at(net.tasks, t).domain == d:
            count[t] = 0
    for i in range(n):
        for k in range(ptr[batch[i]], ptr[batch[i] + 1]):
            count[task[k]] += 1
    next_start = domain.entry_at
    for t in range(net.n_tasks):
        if task_at(net.tasks, t).domain == d:
            start[t] = next_start
            next_start += count[t]
            count[t] = 0

    entry_position = ints(work.entry_position, 0, next_start)
    entry_row = ints(work.entry_row, 0, next_start)
    entry_y = floats(theta, work.entry_y, 0, next_start)
    entry_weight = floats(theta, work.entry_weight, 0, next_start)
    for i in range(n):
        for k in range(ptr[batch[i]], ptr[batch[i] + 1]):
            t = task[k]
            e = start[t] + count[t]
            count[t] += 1
            entry_position[e] = i
            entry_row[e] = batch_row[i]
            entry_y[e] = y[k]
            entry_weight[e] = weight[k]


def entries(work, t):
    """Where the entries of task t start, and how many there are."""
    return ints(work.task_start, t, 1)[0], ints(work.task_count, t, 1)[0]
