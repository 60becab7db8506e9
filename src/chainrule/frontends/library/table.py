"""The table from library functions to their handlers, and how handlers read their arguments.

A handler takes the frame and the arguments. What can be written in the language itself is in `recipes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.frontends.arrays import array_of
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import describe
from chainrule.frontends.outside import KNOWN
from chainrule.frontends.values import Grown, ListArray, Number, Static
from chainrule.ir.nodes import Atom, Const

__all__ = [
    "axes_argument",
    "axis_argument",
    "dtype_argument",
    "find",
    "flag",
    "handles",
    "is_none",
    "known_int",
    "run",
    "shape_argument",
]

Handler = Callable[..., Any]
_TABLE: dict[Any, Handler] = {}


def find(target: Any) -> Handler | None:
    """The handler of a function, if it has one."""
    try:
        found = _TABLE.get(target)
    except TypeError:
        return None
    if found is None and getattr(target, "__module__", None) == "numba.misc.special" and target.__name__ == "prange":
        return _TABLE[range]
    return found


def handles(*functions: Any) -> Callable[[Handler], Handler]:
    def enter(handler: Handler) -> Handler:
        _TABLE.update(dict.fromkeys(functions, handler))
        return handler

    return enter


# -- arguments ----------------------------------------------------------------------------------------


def dtype_argument(ctx: Context, value: Any) -> str | None:
    """The dtype that an argument names."""
    if is_none(value):
        return None
    try:
        name: str = np.dtype(value.value).name
    except (TypeError, AttributeError):
        raise ctx.fail(f"dtype={describe(value)} is no dtype") from None
    if name not in ("float64", "float32", "int64", "bool", "complex128", "complex64"):
        raise ctx.fail(f"dtype {name}: {KNOWN} are computed with here")
    return name


def shape_argument(ctx: Context, value: Any) -> tuple[Atom, ...]:
    parts = value if isinstance(value, (tuple, list)) else [value]
    for p in parts:
        if not isinstance(p, Number) or p.dtype != "int64":
            raise ctx.fail(f"an extent is {describe(p)}: extents are integers")
    return tuple(p.atom for p in parts)


def known_int(ctx: Context, value: Any, what: str) -> int:
    if isinstance(value, Number) and isinstance(value.atom, Const):
        return int(value.atom.value)
    raise ctx.fail(f"{what} must be an integer known before the program runs")


def axes_argument(ctx: Context, axis: Any, ndim: int) -> tuple[int, ...]:
    if is_none(axis):
        return tuple(range(ndim))
    parts = axis if isinstance(axis, tuple) else (axis,)
    axes = {axis_argument(ctx, a, ndim) for a in parts}
    if len(axes) < len(parts):
        raise ctx.fail("axis= names an axis twice")
    return tuple(sorted(axes))


def axis_argument(ctx: Context, axis: Any, ndim: int, default: int = 0) -> int:
    """The one axis that an argument names, counted from the first."""
    k = default if axis is None else known_int(ctx, axis, "axis")
    if not -ndim <= k < ndim:
        raise ctx.fail(f"axis {k} of an array with {ndim} dimension{'s' * (ndim != 1)}")
    return k % ndim


def flag(ctx: Context, value: Any) -> bool:
    return bool(known_int(ctx, value, "a flag"))


def is_none(value: Any) -> bool:
    return value is None or (isinstance(value, Static) and value.value is None)


def run(frame: Any, recipe: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Continue in a function of `recipes`, which takes arrays for lists."""
    values = [array_of(frame.ctx, a) if isinstance(a, (list, ListArray, Grown)) else a for a in args]
    return frame.ctx.language.call(frame, Static(recipe), values, kwargs)
