"""How far compiled code may recurse: to where the stack of the thread ends that it runs on.

Compiled code has no guard of its own, and a stack that overflows takes the process with it. So a program asks once
where its thread's stack ends, `stack_floor`, hands that down, and compares with it where it stands, `is_deep`: frames
of any size are counted as they are.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.extending import intrinsic

__all__ = ["is_deep", "stack_floor"]

_MOST = 1 << 26  # bytes of the main thread's stack that are counted on where it is unlimited
_UNKNOWN = 3 << 17  # bytes that are counted on where the system does not say
_RESERVED = 8  # one part in this many is left for what is called at the end of a recursion
_RLIMIT_STACK = 3
cgutils: Any = untyped
_WORD, _POINTER = ir.IntType(64), ir.IntType(8).as_pointer()


@functools.cache
def _system() -> str:
    """Who is to be asked where a stack ends."""
    if sys.platform == "darwin":
        return "darwin"
    process = ctypes.CDLL(None) if sys.platform == "linux" else None
    return "glibc" if hasattr(process, "__libc_stack_end") else ""


# -- in compiled code ---------------------------------------------------------------------------------


@intrinsic
def stack_floor(context: Any) -> Any:
    """The address that the stack of this thread is not to grow below."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _system() == "glibc":
            return _glibc(builder)
        if _system() == "darwin":
            return _darwin(builder)
        return builder.sub(_here(builder), _WORD(_UNKNOWN))

    return types.int64(), code


@intrinsic
def is_deep(context: Any, floor: Any) -> Any:
    """Whether the stack has grown below `floor`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.icmp_unsigned("<", _here(builder), args[0])

    return types.boolean(types.int64), code


def _here(builder: Any) -> Any:
    """An address in the frame of the function that is being written."""
    return builder.ptrtoint(cgutils.alloca_once(builder, ir.IntType(8)), _WORD)


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    kind = ir.FunctionType(result, [a.type for a in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _above(builder: Any, low: Any, size: Any) -> Any:
    return builder.add(low, builder.udiv(size, _WORD(_RESERVED)))


def _glibc(builder: Any) -> Any:
    """The main thread's stack is known without asking what is mapped, which takes longer than many a program."""
    limits = cgutils.alloca_once(builder, ir.ArrayType(_WORD, 2))
    _call(builder, "getrlimit", ir.IntType(32), ir.IntType(32)(_RLIMIT_STACK), builder.bitcast(limits, _POINTER))
    soft = builder.load(builder.bitcast(limits, _WORD.as_pointer()))
    size = builder.select(builder.icmp_unsigned("<", soft, _WORD(_MOST)), soft, _WORD(_MOST))
    name = "__libc_stack_end"
    end = builder.load(
        builder.module.globals.get(name) or cgutils.add_global_variable(builder.module, _WORD, name), align=8
    )
    here, low = _here(builder), builder.sub(end, size)
    is_main = builder.and_(builder.icmp_unsigned("<", low, here), builder.icmp_unsigned("<=", here, end))
    floor = cgutils.alloca_once_value(builder, _above(builder, low, size))
    with builder.if_then(builder.not_(is_main)):
        builder.store(_of_thread(builder), floor)
    return builder.load(floor)


def _of_thread(builder: Any) -> Any:
    attributes = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(_WORD, 16)), _POINTER)
    low, size = (cgutils.alloca_once(builder, _WORD) for _ in range(2))
    status = ir.IntType(32)
    _call(builder, "pthread_getattr_np", status, _call(builder, "pthread_self", _WORD), attributes)
    pointers = [builder.bitcast(p, _POINTER) for p in (low, size)]
    _call(builder, "pthread_attr_getstack", status, attributes, *pointers)
    _call(builder, "pthread_attr_destroy", status, attributes)
    return _above(builder, builder.load(low), builder.load(size))


def _darwin(builder: Any) -> Any:
    self = _call(builder, "pthread_self", _WORD)
    top = _call(builder, "pthread_get_stackaddr_np", _WORD, self)
    size = _call(builder, "pthread_get_stacksize_np", _WORD, self)
    return _above(builder, builder.sub(top, size), size)
