"""Calls of jitted functions from the user's own `numba.njit` code."""

from __future__ import annotations

from typing import Any

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

    def specialise(args: tuple[tuple[str, int], ...]) -> Any:
        single = ("float32", "complex64")
        kinds = tuple(ArrayKind(d, (False,) * n) if n else NumberKind(d, d not in single) for d, n in args)
        program = jitted.program((kinds, ()))
        if program.captures:
            names = ", ".join(c.name for c in program.captures)
            raise UnsupportedError(
                f"{jitted!r} reads {names} from outside, which compiled code cannot pass: make it an argument"
            )
        result = program.result
        parts = result if isinstance(result, tuple) else (result,)
        if not all(isinstance(p, (Number, ArrayRef)) for p in parts):
            raise UnsupportedError(f"{jitted!r} may return numbers, arrays and a tuple of them to compiled code only")
        source = write(simplify(program.function), "compiled")
        return compiled(source, fastmath=jitted.options["fastmath"], vectorise=False).dispatcher

    return FunctionType(jitted.__name__, specialise)
