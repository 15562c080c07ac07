"""What several weightings share. A task is present in a batch that holds labels of it."""

import math

import numpy as np

from skmtl.plugins.optimizers import Adam

FLOOR = 1e-8  # added to losses that are divided by or whose logarithm is taken
ADAM = np.array([0.9, 0.999, 1e-8])

adam_step = Adam.step


def positive(loss):
    """A loss that has a logarithm."""
    return max(loss, 0.0) + FLOOR


def count_present(n_labels):
    """Number of tasks with labels in the batch."""
    n = 0
    for t in range(n_labels.size):
        if n_labels[t] > 0:
            n += 1
    return n


def softmax_present(logits, n_labels, out):
    """out = softmax(logits) over the present tasks, 0 for the others."""
    largest, total = -np.inf, 0.0
    for t in range(logits.size):
        if n_labels[t] > 0:
            largest = max(largest, logits[t])
    for t in range(logits.size):
        out[t] = math.exp(logits[t] - largest) if n_labels[t] > 0 else 0.0
        total += out[t]
    for t in range(logits.size):
        if n_labels[t] > 0:
            out[t] /= total


def descend(x, grad, moments, lr, n_steps):
    """One step of Adam on x, after n_steps before it; moments of shape (2 * n,)."""
    adam_step(x, grad, moments.reshape((2, x.size)), lr, n_steps, ADAM)


def add_to_epoch(losses, steps_per_epoch, counters, sums):
    """Add a batch's losses to the sums of the epoch; True at its end, with means in ``sums``.

    ``counters`` holds the batches of this epoch and the epochs before it. A loss of 0 where a task
    is not present counts: where it is, the loss is scaled up in turn.
    """
    for t in range(losses.size):
        sums[t] += losses[t]
    counters[0] += 1
    if counters[0] < steps_per_epoch:
        return False
    for t in range(losses.size):
        sums[t] /= counters[0]
    counters[0] = 0.0
    counters[1] += 1
    return True


def gather(gram, n_labels, norms, sub):
    """Gram matrix of the n present tasks in sub[:n * n], norms of their gradients; gives n."""
    n = count_present(n_labels)
    i = 0
    for s in range(n_labels.size):
        if n_labels[s] > 0:
            norms[i] = math.sqrt(max(gram[s, s], 0.0))
            j = 0
            for t in range(n_labels.size):
                if n_labels[t] > 0:
                    sub[i * n + j] = gram[s, t]
                    j += 1
            i += 1
    return n


def normalize(gram, norms, out):
    """out_ij = cosine of gradients i and j; 0 where one of them is 0."""
    n = norms.size
    for i in range(n):
        for j in range(n):
            length = norms[i] * norms[j]
            out[i, j] = gram[i, j] / length if length > 0 else 0.0


def scatter(values, n_labels, weights):
    """Weights from the values of the present tasks; 0 for the others."""
    i = 0
    for t in range(weights.size):
        weights[t] = 0.0
        if n_labels[t] > 0:
            weights[t] = values[i]
            i += 1


def usable(gram, n_labels, weights):
    """Whether there is a finite gradient other than 0; if not, the present tasks weigh 1 / n."""
    n, total = count_present(n_labels), 0.0
    for t in range(weights.size):
        weights[t] = 1.0 / n if n_labels[t] > 0 else 0.0
        total += gram[t, t]
    return 0 < total < np.inf
