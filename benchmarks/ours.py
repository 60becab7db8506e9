"""The derivative of a program by chainrule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chainrule as cr


def ours(program: Any, args: tuple[Any, ...]) -> Callable[[], Any]:
    """A function without arguments: the program's own, or the compiled gradient."""
    if hasattr(program, "derivative"):
        return program.derivative(*args)
    one, *more = program.ARGNUMS
    gradient = cr.jit(cr.grad(program.objective, program.ARGNUMS if more else one))
    return lambda: gradient(*args)
