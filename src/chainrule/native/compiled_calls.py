"""Calls of jitted functions from the user's own `numba.njit` code: from Numba's types to a compiled program."""

from __future__ import annotations

from typing import Any

from numba import types

from chainrule.backends.numba.callable import FunctionType
from chainrule.backends.numba.compile import compiled
from chainrule.backends.python import write
from chainrule.errors import UnsupportedError
from chainrule.frontends.program import ArrayKind, NumberKind
from chainrule.frontends.values import ArrayRef, Number
from chainrule.transforms.simplify import simplify

__all__ = ["type_of"]


def type_of(jitted: Any) -> FunctionType:
    """The type that stands for a jitted function in compiled code."""

    def specialise(args: tuple[Any, ...]) -> Any:
        program = jitted.program((tuple(_kind(a) for a in args), ()))
        if program.captures:
            names = ", ".join(c.name for c in program.captures)
            raise UnsupportedError(f"{jitted!r} reads {names} from outside, which compiled code cannot pass: make it an argument")
        result = program.result
        parts = result if isinstance(result, tuple) else (result,)
        if not all(isinstance(p, (Number, ArrayRef)) for p in parts):
            raise UnsupportedError(f"{jitted!r} returns a container other than a tuple of numbers and arrays to compiled code")
        options = jitted.options
        return compiled(write(simplify(program.function), "compiled"), fastmath=options["fastmath"], cache=False).dispatcher

    return FunctionType(jitted.__name__, specialise)


def _kind(type: Any) -> Any:
    if isinstance(type, types.Array) and type.layout == "C":
        return ArrayKind(str(type.dtype), (False,) * type.ndim)
    if isinstance(type, types.Boolean):
        return NumberKind("bool", False)
    if isinstance(type, (types.Integer, types.Float, types.Complex)):
        name = str(type)
        return NumberKind("int64" if isinstance(type, types.Integer) else name, True)
    raise UnsupportedError(f"a jitted function takes numbers and C-contiguous arrays in compiled code, not {type}")
