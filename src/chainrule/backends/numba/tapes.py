"""Tapes in compiled code: memory that grows under the hands of functions that call themselves.

Numba would count references to an array that is handed in and out of every call, and take longer for that than for
everything else. A tape is an array of two integers instead, the address of its memory and how many bytes there are;
`float64s` and the others look at the memory as an array that nobody counts. Who makes a tape releases it, and who
raises drops it before; a few that are not too large wait for the next call, because fresh memory costs more than what
is written to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.extending import intrinsic
from numba.np import arrayobj

__all__ = ["functions"]

cgutils: Any = untyped
_arrays: Any = arrayobj
_WORD, _POINTER = ir.IntType(64), ir.IntType(8).as_pointer()
_TAPE = types.Array(types.int64, 1, "C")
_DTYPES = ("float64", "float32", "int64", "complex128", "complex64")
_HEADER = 64  # bytes before those of a tape; the first eight say how many there are
_WAITING = 8  # places for tapes that wait, each for those of one number
_LARGE = 1 << 26  # bytes of a tape that does not wait


def functions(options: dict[str, Any]) -> dict[str, Any]:
    """What compiled code sees of `support`."""
    compiled: Any = numba.njit(**options)
    resized: Any = _resized
    size_of: Any = _size
    exchanged: Any = _exchanged

    def drop(tape: Any) -> None:
        resized(tape[0], 0)
        tape[0] = 0
        tape[1] = 0

    dropped = compiled(drop)

    def reserve(tape: Any, size: Any) -> None:
        if tape[1] < size:
            larger = max(size, 2 * tape[1])
            address = resized(tape[0], larger)
            if address == 0:
                dropped(tape)
                raise MemoryError("what the reverse of a recursion needs does not fit into memory")
            tape[0] = address
            tape[1] = larger

    reserved = compiled(reserve)

    def new_tape(number: Any, size: Any) -> Any:
        tape = np.zeros(2, np.int64)
        tape[0] = exchanged(number, 0)
        if tape[0]:
            tape[1] = size_of(tape[0])
        reserved(tape, size)
        return tape

    def release(number: Any, tape: Any) -> None:
        if tape[1] > _LARGE:
            resized(tape[0], 0)
        else:
            resized(exchanged(number, tape[0]), 0)

    return {
        "drop": dropped,
        "new_tape": compiled(new_tape),
        "release": compiled(release),
        "reserve": reserved,
        **{f"{dtype}s": _view(dtype) for dtype in _DTYPES},
    }


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    kind = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


@intrinsic
def _resized(context: Any, address: Any, size: Any) -> Any:
    """The address of as many bytes, which begin as those at `address`; 0 if there is no room, or none are wanted."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, size = args
        header, nothing = _WORD(_HEADER), _WORD(0)
        old = builder.select(builder.icmp_signed("==", address, nothing), nothing, builder.sub(address, header))
        block = builder.inttoptr(old, _POINTER)
        made = cgutils.alloca_once_value(builder, nothing)
        with builder.if_else(builder.icmp_signed("==", size, nothing)) as (none, some):
            with none:
                _call(builder, "free", ir.VoidType(), block)
            with some:
                new = _call(builder, "realloc", _POINTER, block, builder.add(size, header))
                with builder.if_then(cgutils.is_not_null(builder, new)):
                    builder.store(size, builder.bitcast(new, _WORD.as_pointer()))
                    builder.store(builder.add(builder.ptrtoint(new, _WORD), header), made)
        return builder.load(made)

    return types.int64(types.int64, types.int64), code


@intrinsic
def _size(context: Any, address: Any) -> Any:
    """How many bytes there are."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(builder.sub(args[0], _WORD(_HEADER)), _WORD.as_pointer()))

    return types.int64(types.int64), code


@intrinsic
def _exchanged(context: Any, number: Any, address: Any) -> Any:
    """Let the tape at `address` wait, or none; the one that has been waiting in its place."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name, module = "chainrule.tapes", builder.module
        places = module.globals.get(name)
        if places is None:
            kind = ir.ArrayType(_WORD, _WAITING)
            places = cgutils.add_global_variable(module, kind, name)
            places.linkage, places.initializer = "linkonce_odr", ir.Constant(kind, None)
        place = builder.gep(places, [_WORD(0), builder.and_(args[0], _WORD(_WAITING - 1))])
        return builder.atomic_rmw("xchg", place, args[1], "acq_rel")

    return types.int64(types.int64, types.int64), code


def _view(dtype: str) -> Callable[..., Any]:
    """What looks at the memory of a tape as numbers of this dtype."""
    array = types.Array(getattr(types, dtype), 1, "C")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        memory = _arrays.make_array(_TAPE)(context, builder, args[0]).data
        number = context.get_data_type(array.dtype)
        size = _WORD(context.get_abi_sizeof(number))
        length = builder.udiv(builder.load(builder.gep(memory, [_WORD(1)])), size)
        made = _arrays.make_array(array)(context, builder)
        data = builder.inttoptr(builder.load(memory), number.as_pointer())
        _arrays.populate_array(made, data=data, shape=[length], strides=[size], itemsize=size, meminfo=None)
        return made._getvalue()

    def view(context: Any, tape: Any) -> Any:
        return array(_TAPE), code

    view.__name__ = view.__qualname__ = f"{dtype}s"
    return intrinsic(view)
