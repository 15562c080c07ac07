"""Arrays, records and functions by address.

These are the plain Python meanings. In compiled code ``engine.compile`` puts intrinsics in their
place: views without reference counts, and calls of the compiled function at the address. Whoever
passes an address keeps what lives there alive.
"""

import ctypes

import numpy as np

from skmtl.engine import tables

#: Functions by address in plain Python mode, where an address is an index into this list.
plain_functions = [None]


def _view(address, offset, shape, dtype):
    size = int(np.prod(shape))
    if size == 0:
        return np.zeros(shape, dtype)
    start = int(address) + int(offset) * dtype.itemsize
    memory = (ctypes.c_char * (size * dtype.itemsize)).from_address(start)
    return np.frombuffer(memory, dtype).reshape(shape)


def _record(address, k, dtype):
    return _view(address, k, (1,), dtype).view(np.recarray)[0]


# --- views --------------------------------------------------------------------------------------


def vector(array, offset, n):
    """array[offset : offset + n]."""
    return array[offset : offset + n]


def matrix(array, offset, n_rows, n_cols):
    """The C-ordered (n_rows, n_cols) view of a flat array that starts at offset."""
    return array[offset : offset + n_rows * n_cols].reshape(n_rows, n_cols)


def ints(address, offset, n):
    """View of n int64 numbers."""
    return _view(address, offset, (n,), np.dtype(np.int64))


def int32s(address, offset, n):
    """View of n int32 numbers."""
    return _view(address, offset, (n,), np.dtype(np.int32))


def int8s(address, offset, n):
    """View of n int8 numbers."""
    return _view(address, offset, (n,), np.dtype(np.int8))


def int_matrix(address, offset, n_rows, n_cols):
    """View of int64 numbers."""
    return _view(address, offset, (n_rows, n_cols), np.dtype(np.int64))


def doubles(address, offset, n):
    """View of n float64 numbers."""
    return _view(address, offset, (n,), np.dtype(np.float64))


def double_matrix(address, offset, n_rows, n_cols):
    """View of float64 numbers."""
    return _view(address, offset, (n_rows, n_cols), np.dtype(np.float64))


def floats(like, address, offset, n):
    """View of n numbers of the dtype of ``like``."""
    return _view(address, offset, (n,), like.dtype)


def float_matrix(like, address, offset, n_rows, n_cols):
    """View of numbers of the dtype of ``like``."""
    return _view(address, offset, (n_rows, n_cols), like.dtype)


#: Numbers on the stack that a function may ask for.
SCRATCH = 4096


def scratch(like):
    """SCRATCH numbers of the dtype of an array, which are there until the caller returns."""
    return np.empty(SCRATCH, like.dtype)


def prefetch(array, k):
    """Ask for the cache line of array[k], of one dimension, which is written to soon."""


def prefetch_to_read(array, k):
    """Ask for it likewise where it is read alone: other threads may read it at the same time."""


# --- records ------------------------------------------------------------------------------------


def net_record(address, k):
    """The k-th NET."""
    return _record(address, k, tables.NET)


def data_record(address, k):
    """The k-th DATA."""
    return _record(address, k, tables.DATA)


def work_record(address, k):
    """The k-th WORK."""
    return _record(address, k, tables.WORK)


def layer_at(address, k):
    """The k-th LAYER."""
    return _record(address, k, tables.LAYER)


def domain_at(address, k):
    """The k-th DOMAIN."""
    return _record(address, k, tables.DOMAIN)


def task_at(address, k):
    """The k-th TASK."""
    return _record(address, k, tables.TASK)


def penalty_at(address, k):
    """The k-th PENALTY."""
    return _record(address, k, tables.PENALTY)


def alignment_at(address, k):
    """The k-th ALIGNMENT."""
    return _record(address, k, tables.ALIGNMENT)


# --- functions: their arguments in a tuple, see ``plugins.base`` and ``train.gradient`` ----------


def gemm(address, transpose_a, transpose_b, a, b, accumulate, out):
    """out = op(a) op(b), added to out if ``accumulate``; op transposes where its flag is 1."""
    a = a.T if transpose_a else a
    b = b.T if transpose_b else b
    if accumulate:
        out += a @ b
    else:
        out[...] = a @ b


def call_loss(address, arguments):
    """Call a loss's ``value_grad``."""
    return plain_functions[address](*arguments)


def call_gradient(address, arguments):
    """Call ``train.gradient``."""
    return plain_functions[address](*arguments)


def call_forward_domain(address, arguments):
    """Call ``passes.forward_domain``."""
    return plain_functions[address](*arguments)


def call_forward_tasks(address, arguments):
    """Call ``passes.forward_tasks``."""
    return plain_functions[address](*arguments)


def call_backward_tasks(address, arguments):
    """Call ``passes.backward_tasks``."""
    return plain_functions[address](*arguments)


def call_backward_domain(address, arguments):
    """Call ``passes.backward_domain``."""
    return plain_functions[address](*arguments)


def call_sort_labels(address, arguments):
    """Call ``batches.sort_labels``."""
    return plain_functions[address](*arguments)


def call_deal_labels(address, arguments):
    """Call ``batches.deal_labels``."""
    return plain_functions[address](*arguments)


def call_transpose_labels(address, arguments):
    """Call ``batches.transpose_labels``."""
    return plain_functions[address](*arguments)


def call_multiply(address, arguments):
    """Call ``layers.multiply``."""
    return plain_functions[address](*arguments)


def call_activate(address, arguments):
    """Call an activation."""
    return plain_functions[address](*arguments)


def call_backward_activation(address, arguments):
    """Call ``activations.backward_by_slope`` or ``backward_by_sign``."""
    return plain_functions[address](*arguments)


def call_drop_out(address, arguments):
    """Call ``layers.drop_out``."""
    return plain_functions[address](*arguments)


def call_map_rows(address, arguments):
    """Call ``maps.map_rows``."""
    return plain_functions[address](*arguments)


def call_backward_map(address, arguments):
    """Call ``maps.backward_map``."""
    return plain_functions[address](*arguments)


def call_assign_rows(address, arguments):
    """Call ``network.assign_rows``."""
    return plain_functions[address](*arguments)


def call_read_csr(address, arguments):
    """Call ``sparse.read_csr``."""
    return plain_functions[address](*arguments)


def call_backward_csr_layer(address, arguments):
    """Call ``sparse.backward_csr_layer``."""
    return plain_functions[address](*arguments)


def call_head_on_csr(address, arguments):
    """Call ``sparse.head_on_csr``."""
    return plain_functions[address](*arguments)


def call_backward_head_on_csr(address, arguments):
    """Call ``sparse.backward_head_on_csr``."""
    return plain_functions[address](*arguments)


def call_forward_head(address, arguments):
    """Call ``heads.forward_head``."""
    return plain_functions[address](*arguments)


def call_backward_head(address, arguments):
    """Call ``heads.backward_head``."""
    return plain_functions[address](*arguments)


def call_forward_hidden(address, arguments):
    """Call ``heads.forward_hidden``."""
    return plain_functions[address](*arguments)


def call_backward_hidden(address, arguments):
    """Call ``heads.backward_hidden``."""
    return plain_functions[address](*arguments)


def call_forward_abreast(address, arguments):
    """Call ``flat_heads.forward_abreast``."""
    return plain_functions[address](*arguments)


def call_backward_abreast(address, arguments):
    """Call ``flat_heads.backward_abreast``."""
    return plain_functions[address](*arguments)


def call_forward_few(address, arguments):
    """Call ``flat_heads.forward_few``."""
    return plain_functions[address](*arguments)


def call_backward_few(address, arguments):
    """Call ``flat_heads.backward_few``."""
    return plain_functions[address](*arguments)


def call_mix_experts(address, arguments):
    """Call ``gates.mix_experts``."""
    return plain_functions[address](*arguments)


def call_backward_mixture(address, arguments):
    """Call ``gates.backward_mixture``."""
    return plain_functions[address](*arguments)


def call_align(address, arguments):
    """Call ``align.align``."""
    return plain_functions[address](*arguments)


def call_penalty(address, arguments):
    """Call a penalty's ``value_grad``."""
    return plain_functions[address](*arguments)


def call_prox(address, arguments):
    """Call a penalty's ``prox``."""
    return plain_functions[address](*arguments)


def call_alignment(address, arguments):
    """Call an alignment's ``value_grad``."""
    return plain_functions[address](*arguments)


def call_weighting(address, arguments):
    """Call a weighting's ``update``."""
    return plain_functions[address](*arguments)


def call_optimizer(address, arguments):
    """Call an optimizer's ``step``."""
    return plain_functions[address](*arguments)


def call_catch_up(address, arguments):
    """Call an optimizer's ``catch_up``."""
    return plain_functions[address](*arguments)


def call_catch_up_rows(address, arguments):
    """Call ``lazy.catch_up_rows``."""
    return plain_functions[address](*arguments)


def call_pace_layers(address, arguments):
    """Call ``pace.pace_layers``."""
    return plain_functions[address](*arguments)


def call_forward(address, arguments):
    """Call a feature map's ``forward``."""
    return plain_functions[address](*arguments)


def call_backward(address, arguments):
    """Call a feature map's ``backward``."""
    return plain_functions[address](*arguments)


def call_forward_csr(address, arguments):
    """Call a feature map's ``forward_csr``."""
    return plain_functions[address](*arguments)


def call_backward_csr(address, arguments):
    """Call a feature map's ``backward_csr``."""
    return plain_functions[address](*arguments)
