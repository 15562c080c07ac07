"""Arrays that start where a cache line starts.

A vector of 512 bits that lies across two lines is read twice, and NumPy's small arrays start
anywhere: a step of the digits net takes 3 % less, and as long in every run.
"""

import numpy as np

LINE = 64  # bytes


def zeros(shape, dtype):
    """``np.zeros``, aligned."""
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    buffer = np.zeros(n_bytes + LINE, np.uint8)
    start = -buffer.ctypes.data % LINE
    return buffer[start : start + n_bytes].view(dtype).reshape(shape)


def copy(array, dtype):
    """``array.astype(dtype)``, aligned."""
    aligned = zeros(array.shape, dtype)
    aligned[...] = array
    return aligned
