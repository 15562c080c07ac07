"""What stands in compiled code for each function of ``engine.pointers``.

Arrays are views without owner, so that nothing counts references to them. Calls go through the
calling convention of numba, so that exceptions propagate. Imported by ``engine.compile`` alone.
"""

import functools
import platform
from contextlib import contextmanager, nullcontext

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.boxing import unbox_array
from numba.extending import NativeValue, intrinsic, models, register_model, unbox
from numba.np.arrayobj import populate_array

from skmtl.engine import memory, pointers, tables

I8 = types.int64
# Calls within which small numbers become zero, see ``_without_denormals``: all that a step does.
WITHOUT_DENORMALS = ("gradient", "optimizer", "prox", "catch_up_rows")


class View(types.Array):
    """An array without owner: whoever made it, or called with it, keeps its memory alive.

    Numba counts references to an array by atomic instructions, at every slice and every call (1,000
    tasks, one label a row: 40 % of an epoch), and the code that counts takes time to compile.
    """

    def __init__(self, dtype, ndim, layout, readonly=False, aligned=True):
        name = f"{'readonly ' * readonly}view({dtype}, {ndim}d, {layout})"
        super().__init__(dtype, ndim, layout, readonly=readonly, name=name, aligned=aligned)

    def copy(self, dtype=None, ndim=None, layout=None, readonly=None):
        """The type of a slice, among others."""
        array = super().copy(dtype, ndim, layout, readonly)
        return View(array.dtype, array.ndim, array.layout, not array.mutable, array.aligned)


@register_model(View)
class _ViewModel(models.StructModel):
    """That of an array, whose place for an owner is a pointer like others."""

    def __init__(self, manager, kind):
        shape = types.UniTuple(types.intp, kind.ndim)
        members = [
            ("meminfo", types.voidptr),
            ("parent", types.pyobject),
            ("nitems", types.intp),
            ("itemsize", types.intp),
            ("data", types.CPointer(kind.dtype)),
            ("shape", shape),
            ("strides", shape),
        ]
        super().__init__(manager, kind, members)


@unbox(View)
def _unbox_view(kind, array, c):
    """What compiled code gets for an array of Python, which holds it during the call."""
    owned = types.Array(kind.dtype, kind.ndim, kind.layout, not kind.mutable, None, kind.aligned)
    native = unbox_array(owned, array, c)
    with c.builder.if_then(c.builder.not_(native.is_error)):
        c.context.nrt.decref(c.builder, owned, native.value)
    view = c.context.make_array(kind)(c.context, c.builder, value=native.value)
    view.meminfo = cgutils.get_null_value(view.meminfo.type)
    return NativeValue(view._getvalue(), is_error=native.is_error)


class Table(types.Record):
    """A record that numba's messages name by its size, not by all of its fields.

    Numba writes some 30 messages for each function, wanted or not.
    """

    def __repr__(self):
        return f"Table({self.size})"


register_model(Table)(models.RecordModel)


@functools.cache
def table(dtype):
    """The type of a record of ``engine.tables`` in compiled code."""
    record = numba.from_dtype(dtype)
    fields = [(name, field._asdict()) for name, field in record.fields.items()]
    return Table(fields, record.size, record.aligned)


def _pointer(context, builder, address, offset, element):
    """The address ``offset`` elements after another, as a typed pointer."""
    llvm = context.get_data_type(element)
    size = context.get_constant(I8, context.get_abi_sizeof(llvm))
    return builder.inttoptr(builder.add(address, builder.mul(offset, size)), llvm.as_pointer())


def _view(context, builder, array, pointer, shape):
    """A C-contiguous array at a pointer."""
    size = context.get_abi_sizeof(context.get_data_type(array.dtype))
    size = context.get_constant(types.intp, size)
    strides = [size]
    for n in reversed(shape[1:]):
        strides.insert(0, builder.mul(n, strides[0]))
    result = context.make_array(array)(context, builder)
    populate_array(
        result,
        data=pointer,
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=size,
        meminfo=None,
    )
    return result._getvalue()


def _at_address(array, first):
    """Code of a view whose address and offset are arguments ``first`` and ``first + 1``."""

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, args[first], args[first + 1], array.dtype)
        return _view(context, builder, array, pointer, list(args[first + 2 :]))

    return codegen


def _vector_of(element):
    array = View(element, 1, "C")

    @intrinsic
    def view(typing_context, address, offset, n):
        return array(I8, I8, I8), _at_address(array, 0)

    return view


def _matrix_of(element):
    array = View(element, 2, "C")

    @intrinsic
    def view(typing_context, address, offset, n_rows, n_cols):
        return array(I8, I8, I8, I8), _at_address(array, 0)

    return view


@intrinsic
def _floats(typing_context, like, address, offset, n):
    array = View(like.dtype, 1, "C")
    return array(like, I8, I8, I8), _at_address(array, 1)


@intrinsic
def _float_matrix(typing_context, like, address, offset, n_rows, n_cols):
    array = View(like.dtype, 2, "C")
    return array(like, I8, I8, I8, I8), _at_address(array, 1)


def _of_array(buffer, array):
    """Code of a view into an array argument."""

    def codegen(context, builder, signature, args):
        data = context.make_array(buffer)(context, builder, value=args[0]).data
        return _view(context, builder, array, builder.gep(data, [args[1]]), list(args[2:]))

    return codegen


@intrinsic
def _vector(typing_context, buffer, offset, n):
    array = View(buffer.dtype, 1, "C", readonly=not buffer.mutable)
    return array(buffer, I8, I8), _of_array(buffer, array)


@intrinsic
def _matrix(typing_context, buffer, offset, n_rows, n_cols):
    array = View(buffer.dtype, 2, "C", readonly=not buffer.mutable)
    return array(buffer, I8, I8, I8), _of_array(buffer, array)


@intrinsic
def _scratch(typing_context, like):
    array = View(like.dtype, 1, "C")

    def codegen(context, builder, signature, args):
        element = context.get_data_type(array.dtype)
        with builder.goto_entry_block():
            place = builder.alloca(ir.ArrayType(element, pointers.SCRATCH))
        place.align = memory.LINE
        pointer = builder.bitcast(place, element.as_pointer())
        n = context.get_constant(types.intp, pointers.SCRATCH)
        return _view(context, builder, array, pointer, [n])

    return array(like), codegen


def _prefetch_of(to_write):
    @intrinsic
    def ask(typing_context, array, k):
        def codegen(context, builder, signature, args):
            data = context.make_array(array)(context, builder, value=args[0]).data
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            place = builder.bitcast(builder.gep(data, [args[1]]), byte)
            how = [word(to_write), word(3), word(1)]  # near the core, and data
            function = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            name = "llvm.prefetch.p0i8"
            function = cgutils.get_or_insert_function(builder.module, function, name)
            builder.call(function, [place, *how])
            return context.get_dummy_value()

        return types.void(array, I8), codegen

    return ask


def _record_of(dtype):
    record = table(dtype)

    @intrinsic
    def record_at(typing_context, address, k):
        def codegen(context, builder, signature, args):
            size = context.get_constant(I8, dtype.itemsize)
            start = builder.add(args[0], builder.mul(args[1], size))
            return builder.inttoptr(start, context.get_value_type(record))

        return record(I8, I8), codegen

    return record_at


@intrinsic
def _gemm(typing_context, address, transpose_a, transpose_b, a, b, accumulate, out):
    """BLAS is column-major: it computes out^T = op(b)^T op(a)^T on the same memory."""

    def codegen(context, builder, signature, args):
        address, transpose_a, transpose_b, *arrays, accumulate = args[:5] + args[6:] + args[5:6]
        a, b, out = (
            context.make_array(t)(context, builder, value=v)
            for t, v in zip(array_types, arrays, strict=True)
        )
        real, c_int = context.get_value_type(array_types[2].dtype), ir.IntType(32)

        def reference(value):
            return cgutils.alloca_once_value(builder, value)

        def integer(value):
            return reference(builder.trunc(value, c_int))

        def choose(flag, if_set, if_not):
            return reference(builder.select(cgutils.is_not_null(builder, flag), if_set, if_not))

        (rows_a, cols_a), (_, cols_b), (m, n) = (
            cgutils.unpack_tuple(builder, x.shape, 2) for x in (a, b, out)
        )
        k = builder.select(cgutils.is_not_null(builder, transpose_a), rows_a, cols_a)
        transpose, plain = (ir.Constant(ir.IntType(8), ord(letter)) for letter in "TN")
        one, zero = ir.Constant(real, 1.0), ir.Constant(real, 0.0)
        arguments = [
            choose(transpose_b, transpose, plain),
            choose(transpose_a, transpose, plain),
            integer(n),
            integer(m),
            integer(k),
            reference(one),
            b.data,
            integer(cols_b),
            a.data,
            integer(cols_a),
            choose(accumulate, one, zero),
            out.data,
            integer(n),
        ]
        function = ir.FunctionType(ir.VoidType(), [x.type for x in arguments])
        builder.call(builder.inttoptr(address, function.as_pointer()), arguments)
        return context.get_dummy_value()

    array_types = (a, b, out)
    return types.void(I8, I8, I8, a, b, I8, out), codegen


@contextmanager
def _without_denormals(builder):
    """Code within which results too small for a normal number become zero.

    A weight that only decays ends there, and so does the optimizer's state of it; arithmetic on
    such numbers takes a hundred times as long (digits, Adam, after 60 epochs: four times the whole
    step).
    """
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        get, put, bits = _mxcsr(builder)
    elif machine in ("aarch64", "arm64"):
        get, put, bits = _fpcr(builder)
    else:
        yield
        return
    before = get()
    put(builder.or_(before, ir.Constant(before.type, bits)))
    yield
    put(before)


def _mxcsr(builder):
    """Code that reads and writes the float mode of x86, and its bits FTZ and DAZ."""
    word = cgutils.alloca_once(builder, ir.IntType(32))
    place = builder.bitcast(word, ir.IntType(8).as_pointer())
    of_pointer = ir.FunctionType(ir.VoidType(), [place.type])
    store, load = (
        cgutils.get_or_insert_function(builder.module, of_pointer, f"llvm.x86.sse.{name}")
        for name in ("stmxcsr", "ldmxcsr")
    )

    def get():
        builder.call(store, [place])
        return builder.load(word)

    def put(mode):
        builder.store(mode, word)
        builder.call(load, [place])

    return get, put, 0x8040


def _fpcr(builder):
    """Code that reads and writes the float mode of ARM, and its bit FZ."""
    mode_type = ir.IntType(64)
    read = ir.FunctionType(mode_type, [])
    write = ir.FunctionType(ir.VoidType(), [mode_type])
    get = cgutils.get_or_insert_function(builder.module, read, "llvm.aarch64.get.fpcr")
    put = cgutils.get_or_insert_function(builder.module, write, "llvm.aarch64.set.fpcr")
    return (lambda: builder.call(get, [])), (lambda mode: builder.call(put, [mode])), 1 << 24


def _borrowed(context, builder, kind, value):
    """A generator without its owner, so that the callee counts no references to it: see View."""
    if not isinstance(kind, types.NumPyRandomGeneratorType):
        return value
    argument = cgutils.create_struct_proxy(kind)(context, builder, value=value)
    argument.meminfo = cgutils.get_null_value(argument.meminfo.type)
    return argument._getvalue()


def _call_of(kind, signatures):
    @intrinsic
    def call(typing_context, address, arguments):
        single = any(getattr(a, "dtype", None) == types.float32 for a in arguments)
        wanted = signatures(types.float32 if single else types.float64)[kind]

        def codegen(context, builder, signature, args):
            convention = context.call_conv
            function = convention.get_function_type(wanted.return_type, wanted.args)
            pointer = builder.inttoptr(args[0], function.as_pointer())
            values = [
                context.cast(builder, builder.extract_value(args[1], k), given, needed)
                for k, (given, needed) in enumerate(zip(arguments, wanted.args, strict=True))
            ]
            values = [
                _borrowed(context, builder, needed, value)
                for needed, value in zip(wanted.args, values, strict=True)
            ]
            mode = _without_denormals(builder) if kind in WITHOUT_DENORMALS else nullcontext()
            with mode:
                status, result = convention.call_function(
                    builder, pointer, wanted.return_type, wanted.args, values
                )
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return context.get_dummy_value() if wanted.return_type == types.void else result

        return wanted.return_type(I8, arguments), codegen

    return call


@functools.cache
def intrinsics(signatures):
    """Give the intrinsic of each function of ``engine.pointers``.

    Parameters
    ----------
    signatures : callable
        From a numba float type to the signature of each kind of function.
    """
    kinds = [name.removeprefix("call_") for name in vars(pointers) if name.startswith("call_")]
    return {
        pointers.vector: _vector,
        pointers.matrix: _matrix,
        pointers.scratch: _scratch,
        pointers.prefetch: _prefetch_of(to_write=1),
        pointers.prefetch_to_read: _prefetch_of(to_write=0),
        pointers.floats: _floats,
        pointers.float_matrix: _float_matrix,
        pointers.ints: _vector_of(I8),
        pointers.int32s: _vector_of(types.int32),
        pointers.int8s: _vector_of(types.int8),
        pointers.int_matrix: _matrix_of(I8),
        pointers.doubles: _vector_of(types.float64),
        pointers.double_matrix: _matrix_of(types.float64),
        pointers.net_record: _record_of(tables.NET),
        pointers.data_record: _record_of(tables.DATA),
        pointers.work_record: _record_of(tables.WORK),
        pointers.layer_at: _record_of(tables.LAYER),
        pointers.domain_at: _record_of(tables.DOMAIN),
        pointers.task_at: _record_of(tables.TASK),
        pointers.penalty_at: _record_of(tables.PENALTY),
        pointers.alignment_at: _record_of(tables.ALIGNMENT),
        pointers.gemm: _gemm,
        **{getattr(pointers, f"call_{kind}"): _call_of(kind, signatures) for kind in kinds},
    }
