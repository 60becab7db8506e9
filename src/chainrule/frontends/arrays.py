"""Arrays out of values: what NumPy's constructors and reshaping share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import broadcast, cast, describe, element, load, materialise
from chainrule.frontends.grown import array_of_list
from chainrule.frontends.values import ArrayRef, Copied, Grown, Iterable, Lazy, ListArray, Number, Record
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Block
from chainrule.ir.walk import is_number

__all__ = ["array_of", "collect", "copied", "copy_of", "reshape", "stacked", "transpose"]


def copy_of(ctx: Context, value: ArrayRef) -> Lazy:
    return Lazy(value.dtype, value.dims, lambda index: load(ctx, value, index), (value,))


def copied(value: Any, source: Any) -> Any:
    """`value`, made of `source`, if it is an array that NumPy makes a view of it."""
    if not isinstance(value, Lazy) or not isinstance(source, ArrayRef):
        return value
    return Copied(value.dtype, value.dims, value.element, (source,), value.aligned)


def array_of(ctx: Context, value: Any, dtype: str | None = None) -> Any:
    """``np.asarray``: nested tuples and lists of numbers and arrays become an array; numbers stay numbers."""
    if isinstance(value, Iterable):
        value = collect(ctx, value.count, value.item, None)
    if isinstance(value, ListArray):
        value = copy_of(ctx, value.array)
    if isinstance(value, Grown):
        value = array_of_list(ctx, value)
    if isinstance(value, Record) and issubclass(value.cls, tuple):
        value = tuple(value.fields.values())
    if isinstance(value, (tuple, list)):
        value = stacked(ctx, [array_of(ctx, v) for v in value], 0)
    if not isinstance(value, (Number, ArrayRef, Lazy)):
        raise ctx.fail(f"{describe(value)} where an array is expected")
    return value if dtype is None or value.dtype == dtype else cast(ctx, value, dtype)


def stacked(ctx: Context, values: list[Any], axis: int) -> Any:
    """``np.stack`` of numbers and arrays of one shape along a new axis."""
    if not values:
        return ctx.new("float64", (integer(0),))
    dtype = np.result_type(*[v.dtype for v in values]).name
    shapes = [v.dims for v in values if not isinstance(v, Number)]
    dims = broadcast(ctx, shapes) if shapes else ()
    for s in shapes:
        for d, e in zip(s, dims, strict=True):
            ctx.equal(d, e, "all arrays must have the same shape")
    result = ctx.new(dtype, (*dims[:axis], integer(len(values)), *dims[axis:]))
    for k, v in enumerate(values):
        with ctx.nest(dims) as i:
            item = ctx.builder.cast(element(ctx, v, i, dims), dtype)
            ctx.builder.store(result.var, (*i[:axis], integer(k), *i[axis:]), item)
    return result


def collect(ctx: Context, count: Atom, item: Callable[[Atom], Any], probe: Any) -> Any:
    """An array of `count` items: numbers, or arrays of one shape, whose kind `probe` shows."""
    if probe is None:
        state = ctx.snapshot()
        with ctx.inside(Block()):
            probe = item(integer(0))
        ctx.restore(state)
    if isinstance(probe, Number):
        array = ctx.new(probe.dtype, (count,), hint="items")
        with ctx.loop(count, "k") as node:
            value = item(node.index)
            ctx.builder.store(array.var, (node.index,), ctx.builder.cast(value.atom, probe.dtype))
        return ListArray(array, probe.weak)
    raise ctx.fail(f"a list of {describe(probe)} by a comprehension: make an array with np.zeros and fill its rows")


def reshape(ctx: Context, value: Any, shape: tuple[Atom, ...]) -> Any:
    """``value.reshape(shape)``: a view of a contiguous array, else of a copy that may not be written to."""
    array = materialise(ctx, value)
    if isinstance(array, Number):
        raise ctx.fail("a number is reshaped: write np.array([x])")
    size: Atom = integer(1)
    for d in array.dims:
        size = ctx.let("multiply", size, d, hint="n")
    rest: Atom = integer(1)
    for s in shape:
        if not is_number(s, -1):
            rest = ctx.let("multiply", rest, s, hint="n")
    dims = tuple(ctx.let("floor_divide", size, rest, hint="n") if is_number(s, -1) else s for s in shape)
    if not any(is_number(s, -1) for s in shape):
        ctx.equal(size, rest, "an array is reshaped to another size")
    elif not is_number(rest, 1):
        left = ctx.let("remainder", size, rest)
        ctx.check(ctx.let("equal", left, integer(0)), "ValueError", "cannot reshape array of size ", size)
    if not array.contiguous:
        base, array = array.base, materialise(ctx, copy_of(ctx, array))
        ctx.frozen[array.base] = (
            "an array that is not contiguous is a copy or a view once it is reshaped or laid out anew, and written "
            "to: write to the array itself by its own indices, or to a copy of the result, `.copy()`"
        )
        ctx.stand(array.base, base)
    return ctx.view(array, "reshape", dims, dims, True)


def transpose(ctx: Context, value: Any, order: tuple[int, ...] | None = None) -> Any:
    """``np.transpose``, a view."""
    array = materialise(ctx, value)
    order = tuple(reversed(range(array.ndim))) if order is None else tuple(k + array.ndim * (k < 0) for k in order)
    if sorted(order) != list(range(array.ndim)):
        raise ctx.fail(f"the axes of an array with {array.ndim} dimensions are not these, each once")
    if array.ndim < 2 or order == tuple(range(array.ndim)):
        return array
    return ctx.view(array, "transpose", [integer(k) for k in order], [array.dims[k] for k in order], False)
