"""Views that a loop's variable becomes: windows of its own array (``x = x[k:]``), and views of what the loop writes."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.frontends.context import Context
from chainrule.frontends.joins import born_in
from chainrule.frontends.values import ArrayRef
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Block, Const, Slice, Var

__all__ = ["bounds_of", "is_later", "is_whole_of", "window"]


def is_later(end: ArrayRef, before: ArrayRef, written: Sequence[Var], body: Block) -> bool:
    """Whether `end` is a view of an array that the loop writes to, where the variable was another array before."""
    return bool(end.path) and end.base in written and end.base not in born_in(body) and end.dtype == before.dtype


def is_whole_of(array: ArrayRef, end: ArrayRef) -> bool:
    """Whether `end` is a window of `array`, an array of its own: ``x = x[k:]``."""
    return (
        not array.path
        and end.base is array.base
        and bool(end.path)
        and all(s.kind == "index" and all(isinstance(i, Slice) and i.step is None for i in s.items) for s in end.path)
    )


def bounds_of(ctx: Context, end: ArrayRef) -> list[Atom] | None:
    """Lower and upper bound along each axis of a window of a window …, None if that cannot be said."""
    found: list[tuple[Atom, Atom]] = [(integer(0), d) for d in ctx.dims(end.base)]
    for depth, step in enumerate(end.path):
        if len(step.items) != len(found) or not all(isinstance(i, Slice) and i.step is None for i in step.items):
            return None
        for k, (item, (low, high)) in enumerate(zip(step.items, found, strict=True)):
            lower, upper = item.lower, item.upper
            if (depth and not _is_plain(lower, 1)) or (depth and not _is_plain(upper, -1)):
                return None
            first = low if lower is None else lower if not depth else ctx.let("add", low, lower)
            last = high if upper is None else upper if not depth else ctx.let("add", high, upper)
            if depth and upper is not None:  # of an array that is used up; a negative bound would mean another place
                last = ctx.let("maximum", last, integer(0))
            found[k] = (first, last)
    return [bound for pair in found for bound in pair]


def _is_plain(bound: Atom | None, sign: int) -> bool:
    """Whether a bound is left out, or a constant that is counted from the end it belongs to."""
    return bound is None or (isinstance(bound, Const) and bound.value * sign > 0)


def window(ctx: Context, array: ArrayRef) -> ArrayRef:
    """The whole of an array, as a view with bounds."""
    items = [Slice(integer(0), d, None) for d in array.dims]
    return ctx.view(array, "index", items, array.dims, array.contiguous)
