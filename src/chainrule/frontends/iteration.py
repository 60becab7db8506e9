"""What loops and comprehensions run over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chainrule.frontends import indexing
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import describe, materialise
from chainrule.frontends.grown import looped
from chainrule.frontends.joins import leaves
from chainrule.frontends.values import ArrayRef, Either, Grown, Iterable, Lazy, ListArray, Number
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Const
from chainrule.ir.walk import is_number

__all__ = ["arrays_in", "enumerated", "iterable", "range_of", "reversed_of", "zipped"]


def iterable(ctx: Context, value: Any, name: str = "items") -> Iterable:
    """`value`, which messages call `name`, as something to loop over."""
    if isinstance(value, Iterable):
        return value
    if isinstance(value, Grown):
        return looped(ctx, value)
    if isinstance(value, (tuple, list)):
        return Iterable(integer(len(value)), lambda k: _static_item(ctx, value, k), arrays=arrays_in(value))
    if isinstance(value, (ArrayRef, Lazy, ListArray)):
        return _rows(ctx, value, name)
    if isinstance(value, dict):
        return iterable(ctx, list(value))
    raise ctx.fail(f"{describe(value)} cannot be looped over")


def arrays_in(value: Any) -> tuple[ArrayRef, ...]:
    """The arrays in a nest of tuples and lists."""
    return tuple(leaf for leaf in leaves(value) if isinstance(leaf, ArrayRef))


def _rows(ctx: Context, value: ArrayRef | Lazy | ListArray, name: str) -> Iterable:
    """The items of an array: each is read when it is asked for, after what was written in between."""
    array = materialise(ctx, value, name)
    memory = array.array if isinstance(array, ListArray) else array

    def item(k: Atom) -> Any:
        ctx.use(memory.base, memory.base.hint)
        return indexing.subscript(ctx, array, Number(k, weak=True))

    new = isinstance(value, Lazy) and not isinstance(value, Either)  # nobody else knows it
    return Iterable(memory.dims[0], item, arrays=() if new else (memory,))


def _static_item(ctx: Context, items: Any, k: Atom) -> Any:
    if isinstance(k, Const):
        return items[k.value]
    raise ctx.fail("a tuple or list goes along with a loop over numbers not known before it runs: use an array")


def range_of(ctx: Context, args: list[Any]) -> Iterable:
    """``range(...)``."""
    if not 1 <= len(args) <= 3:
        raise ctx.fail("range takes one to three integers")
    atoms = []
    for a in args:
        if not isinstance(a, Number) or a.dtype != "int64":
            raise ctx.fail(f"range of {describe(a)}: its bounds are integers")
        atoms.append(a.atom)
    lower: Atom
    step: Atom
    lower, upper, step = integer(0), atoms[0], integer(1)
    if len(atoms) > 1:
        lower, upper = atoms[0], atoms[1]
    if len(atoms) == 3:
        step = atoms[2]
    if isinstance(step, Const) and step.value == 0:
        raise ctx.fail("the step of a range is zero")
    if not isinstance(step, Const):
        ctx.check(ctx.let("not_equal", step, integer(0)), "ValueError", "range() arg 3 must not be zero")
    return Iterable(
        _count(ctx, lower, upper, step),
        lambda k: Number(ctx.let("add", lower, ctx.let("multiply", k, step)), weak=True),
        (lower, upper, step),
    )


def _count(ctx: Context, lower: Atom, upper: Atom, step: Atom) -> Atom:
    """``max(0, ceil((upper - lower) / step))``."""
    if is_number(step, 1) and is_number(lower, 0) and isinstance(upper, Const):
        return integer(max(0, upper.value))
    span = ctx.let("subtract", upper, lower)
    if not is_number(step, 1):
        span = ctx.let("negative", ctx.let("floor_divide", ctx.let("negative", span), step))
    return ctx.let("maximum", span, integer(0))


def enumerated(ctx: Context, value: Any, start: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [(_plus(ctx, start, integer(k)), item) for k, item in enumerate(value)]
    inner = iterable(ctx, value)
    return replace(inner, item=lambda k: (_plus(ctx, start, k), _held(ctx, inner, k)), range=None)


def _held(ctx: Context, inner: Iterable, k: Atom) -> Any:
    """An item that waits in a tuple."""
    return materialise(ctx, inner.item(k))


def _plus(ctx: Context, start: Number, k: Atom) -> Number:
    return Number(ctx.let("add", start.atom, k), weak=True)


def zipped(ctx: Context, values: list[Any], strict: bool = False) -> Any:
    if all(isinstance(v, (tuple, list)) for v in values):
        if strict and len({len(v) for v in values}) > 1:
            raise ctx.fail("zip(strict=True) of tuples or lists of different lengths")
        return list(zip(*values, strict=False))
    inner = [iterable(ctx, v) for v in values]
    count = inner[0].count
    for other in inner[1:]:
        if strict:
            ctx.equal(count, other.count, "zip(strict=True)")
        elif other.count is not count:
            count = ctx.let("minimum", count, other.count)
    grows = tuple(v for i in inner for v in i.grows)
    arrays = tuple(a for i in inner for a in i.arrays)
    return Iterable(count, lambda k: tuple(_held(ctx, i, k) for i in inner), grows=grows, arrays=arrays)


def reversed_of(ctx: Context, value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return list(value)[::-1]
    inner = iterable(ctx, value)
    if inner.range is not None:
        lower, upper, step = inner.range
        if is_number(step, 1):
            one = integer(1)
            bounds = (ctx.let("subtract", upper, one), ctx.let("subtract", lower, one), integer(-1))
            return Iterable(inner.count, lambda k: Number(ctx.let("subtract", bounds[0], k), weak=True), bounds)
    last = ctx.let("subtract", inner.count, integer(1))
    return replace(inner, item=lambda k: inner.item(ctx.let("subtract", last, k)), range=None)
