"""The table of weight matrices that penalties get; ``plugins.base.Penalty`` specifies it."""

import numpy as np

# Columns: where the matrix lies, its shape, its bias, what it is, and the layers before it.
OFFSET, ROWS, COLUMNS, BIAS, ROLE, DEPTH = range(6)
N_COLUMNS = 6
# Values in the column ROLE: a layer of the trunk, a hidden layer or the output layer of a head, a
# feature map, a part of a feature map that is best near zero, a matrix of the penalty's own.
TRUNK, HEAD, OUTPUT, MAP, MAP_RESIDUAL, OWN = range(6)


def block_table(rows):
    """An int64 table from its rows, of shape (n_blocks, 6) even if there is none."""
    return np.array(list(rows), np.int64).reshape(-1, N_COLUMNS)


def map_block_table(feature_map, n_in, n_out, start):
    """The weight matrices of a feature map whose parameters begin at an offset of theta."""
    return block_table(
        (start + offset, rows, columns, start + bias if bias >= 0 else -1, *(role or [MAP]), 0)
        for offset, rows, columns, bias, *role in feature_map.blocks(n_in, n_out)
    )
