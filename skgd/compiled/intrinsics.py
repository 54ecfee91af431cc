"""What numba has no word for: bits of a float, calls by address, atomic counters, prefetching."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic


@intrinsic
def float_of_bits(typingctx, bits):
    """Return the float64 whose bits are those of an int64."""
    signature = types.float64(types.int64)

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return signature, codegen


@intrinsic
def bits_of_float(typingctx, x):
    """Return the bits of a float64 as an int64."""
    signature = types.int64(types.float64)

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return signature, codegen


@intrinsic
def like(typingctx, array, number):
    """Return the number in the dtype of the array: float32 work must not turn into float64."""
    signature = array.dtype(array, number)

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[1], signature.args[1], signature.return_type)

    return signature, codegen


@intrinsic
def call(typingctx, address, arguments):
    """Call the C function at `address` with a tuple of arguments; arrays become pointers."""
    signature = types.void(address, arguments)

    def codegen(context, builder, signature, args):
        values = []
        for index, kind in enumerate(signature.args[1].types):
            value = builder.extract_value(args[1], index)
            if isinstance(kind, types.Array):
                value = _pointer(context, builder, kind, value)
            values.append(value)
        function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return signature, codegen


def _pointer(context, builder, kind, value):
    return context.make_array(kind)(context, builder, value).data


def _by_reference(builder, value):
    """Address of a number, as Fortran wants it."""
    return cgutils.alloca_once_value(builder, value)


def _letter(builder, wanted, yes, no):
    byte = ir.IntType(8)
    truth = builder.icmp_signed("!=", wanted, ir.Constant(wanted.type, 0))
    return builder.select(truth, ir.Constant(byte, ord(yes)), ir.Constant(byte, ord(no)))


@intrinsic
def gemm(typingctx, address, A, A_transposed, B, B_transposed, m, n, k, add, out):
    """``out = op(A) op(B)`` or ``out += op(A) op(B)``, by the BLAS routine at `address`.

    All arrays are C-contiguous; op(A) is (m, k), op(B) is (k, n), out is (m, n). BLAS thinks in
    columns: it is given the transposed product, whose columns are our rows.
    """
    long = types.int64
    signature = types.void(long, A, long, B, long, long, long, long, long, out)

    def codegen(context, builder, signature, args):
        kinds = signature.args
        address, a, a_t, b, b_t, m, n, k, add, c = args
        number = context.get_data_type(kinds[1].dtype)
        fortran = ir.IntType(32)
        m, n, k = (builder.trunc(value, fortran) for value in (m, n, k))
        zero = ir.Constant(ir.IntType(64), 0)
        columns_of_a = builder.select(builder.icmp_signed("!=", a_t, zero), m, k)
        columns_of_b = builder.select(builder.icmp_signed("!=", b_t, zero), k, n)
        beta = builder.sitofp(add, number)
        values = [
            _letter(builder, b_t, "T", "N"), _letter(builder, a_t, "T", "N"), n, m, k,
            ir.Constant(number, 1.0), _pointer(context, builder, kinds[3], b), columns_of_b,
            _pointer(context, builder, kinds[1], a), columns_of_a, beta,
            _pointer(context, builder, kinds[9], c), n,
        ]  # fmt: skip
        _call_fortran(builder, address, values, arrays=(6, 8, 11))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def gemv(typingctx, address, A, A_transposed, x, m, n, add, out):
    """``out = op(A) x`` or ``out += op(A) x`` for A of shape (m, n), C-contiguous."""
    long = types.int64
    signature = types.void(long, A, long, x, long, long, long, out)

    def codegen(context, builder, signature, args):
        kinds = signature.args
        address, a, a_t, x, m, n, add, y = args
        number = context.get_data_type(kinds[1].dtype)
        m, n = (builder.trunc(value, ir.IntType(32)) for value in (m, n))
        one = ir.Constant(ir.IntType(32), 1)
        values = [
            _letter(builder, a_t, "N", "T"), n, m, ir.Constant(number, 1.0),
            _pointer(context, builder, kinds[1], a), n,
            _pointer(context, builder, kinds[3], x), one, builder.sitofp(add, number),
            _pointer(context, builder, kinds[7], y), one,
        ]  # fmt: skip
        _call_fortran(builder, address, values, arrays=(4, 6, 9))
        return context.get_dummy_value()

    return signature, codegen


def _call_fortran(builder, address, values, arrays):
    """Call a Fortran routine: numbers go by reference, as arrays do."""
    arguments = [
        value if index in arrays else _by_reference(builder, value)
        for index, value in enumerate(values)
    ]
    function = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(builder.inttoptr(address, function.as_pointer()), arguments)


@intrinsic
def arrive(typingctx, counter):
    """Add 1 to the first entry of an int64 array, atomically."""
    signature = types.int64(counter)

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0])
        return builder.atomic_rmw("add", pointer, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return signature, codegen


@intrinsic
def count(typingctx, counter):
    """Read the first entry of an int64 array that other threads add to."""
    signature = types.int64(counter)

    def codegen(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0])
        return builder.load_atomic(pointer, "seq_cst", 8)

    return signature, codegen


@intrinsic
def prefetch(typingctx, array, index):
    """Ask for the cache line of an entry, so that it is there when it is read."""
    signature = types.void(array, types.intp)

    def codegen(context, builder, signature, args):
        byte, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        data = _pointer(context, builder, signature.args[0], args[0])
        place = builder.bitcast(builder.gep(data, [args[1]]), byte)
        kinds = [byte, integer, integer, integer]
        fetch = builder.module.declare_intrinsic(
            "llvm.prefetch.p0", fnty=ir.FunctionType(ir.VoidType(), kinds)
        )
        settings = [ir.Constant(integer, n) for n in (0, 3, 1)]  # to read; to keep; data
        builder.call(fetch, [place, *settings])
        return context.get_dummy_value()

    return signature, codegen
