"""Arrays that a step reads start where a cache line starts."""

import numpy as np
import pytest

from skmtl.engine import memory


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [1, 7, (3, 5)])
def test_arrays_start_at_cache_lines(shape, dtype):
    zeros = [memory.zeros(shape, dtype) for _ in range(20)]
    copies = [memory.copy(np.ones(shape), dtype) for _ in range(20)]
    for expected, arrays in ((0, zeros), (1, copies)):
        for array in arrays:
            assert array.ctypes.data % memory.LINE == 0
            assert array.flags.c_contiguous
            assert array.flags.writeable
            np.testing.assert_array_equal(array, np.full(shape, expected, dtype), strict=True)
