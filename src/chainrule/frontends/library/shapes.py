"""Functions that join, rearrange and select."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.frontends import indexing
from chainrule.frontends.arrays import array_of, copied, reshape, stacked, transpose
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, describe, element, load, materialise, reads
from chainrule.frontends.grown import filled
from chainrule.frontends.library.table import (
    axes_argument,
    axis_argument,
    handles,
    is_none,
    known_int,
    shape_argument,
)
from chainrule.frontends.values import Grown, Lazy, Number, Slicing, Static, number
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Const
from chainrule.ir.walk import is_number

# -- joining and rearranging --------------------------------------------------------------------------


def _arrays(ctx: Context, values: Any) -> list[Any]:
    if isinstance(values, (tuple, list)):
        return [materialise(ctx, array_of(ctx, v)) for v in values]
    value = materialise(ctx, array_of(ctx, values))
    if isinstance(value.dims[0], Const):
        return [indexing.subscript(ctx, value, number(k)) for k in range(value.dims[0].value)]
    raise ctx.fail("a tuple or list of arrays is expected")


def _rows(ctx: Context, items: Grown) -> Any:
    """The arrays in a list that grows, as one with an axis more."""
    filled(ctx, items, "need at least one array to join")
    return materialise(ctx, array_of(ctx, items))


def _row_axis(ctx: Context, rows: Any, k: int, merged: bool) -> Any:
    """`rows` with the first axis at `k`; `merged`: as one with the axis that is there."""
    order = list(range(1, rows.ndim))
    order.insert(k, 0)
    moved = transpose(ctx, rows, tuple(order))
    if not merged:
        return moved
    long = ctx.let("multiply", moved.dims[k], moved.dims[k + 1], hint="n")
    return reshape(ctx, moved, (*moved.dims[:k], long, *moved.dims[k + 2 :]))


@handles(np.stack)
def _stack(frame: Any, arrays: Any, axis: Any = None) -> Any:
    if isinstance(arrays, Grown):
        rows = _rows(frame.ctx, arrays)
        return _row_axis(frame.ctx, rows, axis_argument(frame.ctx, axis, rows.ndim), False)
    values = _arrays(frame.ctx, arrays)
    ndim = (0 if isinstance(values[0], Number) else values[0].ndim) + 1
    return stacked(frame.ctx, values, axis_argument(frame.ctx, axis, ndim))


@handles(np.concatenate)
def concatenate(frame: Any, arrays: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    if isinstance(arrays, Grown):
        rows = _rows(ctx, arrays)
        if rows.ndim == 1:
            raise ctx.fail("zero-dimensional arrays cannot be concatenated: write np.array(ys)")
        if axis is not None and is_none(axis):
            return reshape(ctx, rows, (integer(-1),))
        return _row_axis(ctx, rows, axis_argument(ctx, axis, rows.ndim - 1), True)
    values = _arrays(ctx, arrays)
    if axis is not None and is_none(axis):
        values, axis = [reshape(ctx, v, (integer(-1),)) for v in values], None
    if any(isinstance(v, Number) for v in values):
        raise ctx.fail("zero-dimensional arrays cannot be concatenated: write np.array([x])")
    k = axis_argument(ctx, axis, values[0].ndim)
    dtype = np.result_type(*[v.dtype for v in values]).name
    total: Atom = integer(0)
    starts = []
    for v in values:
        starts.append(total)
        total = ctx.let("add", total, v.dims[k], hint="n")
        for n, (d, e) in enumerate(zip(v.dims, values[0].dims, strict=True)):
            if n != k:
                ctx.equal(d, e, "extents of concatenated arrays")
    result = ctx.new(dtype, (*values[0].dims[:k], total, *values[0].dims[k + 1 :]))
    for start, v in zip(starts, values, strict=True):
        with ctx.nest(v.dims) as i:
            place = (*i[:k], ctx.let("add", start, i[k]), *i[k + 1 :])
            ctx.builder.store(result.var, place, ctx.builder.cast(load(ctx, v, i), dtype))
    return result


@handles(np.hstack)
def _hstack(frame: Any, arrays: Any) -> Any:
    if isinstance(arrays, Grown):
        rows = _rows(frame.ctx, arrays)
        return rows if rows.ndim == 1 else _row_axis(frame.ctx, rows, min(rows.ndim - 2, 1), True)
    values = [at_least(frame.ctx, v, 1) for v in _arrays(frame.ctx, arrays)]
    return concatenate(frame, values, number(0 if values[0].ndim == 1 else 1))


@handles(np.vstack)
def _vstack(frame: Any, arrays: Any) -> Any:
    if isinstance(arrays, Grown):
        rows = _rows(frame.ctx, arrays)
        if rows.ndim == 1:
            return reshape(frame.ctx, rows, (rows.dims[0], integer(1)))
        return rows if rows.ndim == 2 else _row_axis(frame.ctx, rows, 0, True)
    return concatenate(frame, [at_least(frame.ctx, v, 2) for v in _arrays(frame.ctx, arrays)], number(0))


@handles(np.column_stack)
def _column_stack(frame: Any, arrays: Any) -> Any:
    if isinstance(arrays, Grown):
        rows = _rows(frame.ctx, arrays)
        if rows.ndim == 1:
            raise frame.ctx.fail("column_stack of a list of numbers: write np.array([ys])")
        return _row_axis(frame.ctx, rows, 1, rows.ndim > 2)
    columns = [v if v.ndim > 1 else reshape(frame.ctx, v, (v.dims[0], integer(1))) for v in _arrays(frame.ctx, arrays)]
    return concatenate(frame, columns, number(1))


def at_least(ctx: Context, value: Any, ndim: int) -> Any:
    if isinstance(value, Number):
        value = stacked(ctx, [value], 0)
    return value if value.ndim >= ndim else reshape(ctx, value, (*[integer(1)] * (ndim - value.ndim), *value.dims))


@handles(np.reshape)
def _reshape(frame: Any, a: Any, shape: Any, order: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    if isinstance(value, Number):
        value = stacked(ctx, [value], 0)
    extents = shape_argument(ctx, shape)
    letter = "C" if order is None else getattr(order, "value", None)
    if letter == "F":  # the transposes, in the order of C
        return transpose(ctx, reshape(ctx, transpose(ctx, value), tuple(reversed(extents))))
    if letter != "C":
        raise ctx.fail("the order in memory is known when the program runs only: order= is 'C' or 'F' here")
    return reshape(ctx, value, extents)


@handles(np.ravel)
def ravel(frame: Any, a: Any, order: Any = None) -> Any:
    return _reshape(frame, a, number(-1), order)


@handles(np.flip)
def _flip(frame: Any, a: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    axes = axes_argument(ctx, axis, value.ndim)
    items = [Slicing(None, None, number(-1) if k in axes else None) for k in range(value.ndim)]
    return indexing.subscript(ctx, value, tuple(items))


@handles(np.transpose, np.permute_dims)
def _transpose(frame: Any, a: Any, axes: Any = None) -> Any:
    ctx = frame.ctx
    order = None if axes is None or is_none(axes) else tuple(known_int(ctx, k, "axes") for k in axes)
    return transpose(ctx, array_of(ctx, a), order)


@handles(np.swapaxes)
def _swapaxes(frame: Any, a: Any, axis1: Any, axis2: Any) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    order = list(range(value.ndim))
    i, j = (axis_argument(ctx, k, value.ndim) for k in (axis1, axis2))
    order[i], order[j] = order[j], order[i]
    return transpose(ctx, value, tuple(order))


@handles(np.moveaxis)
def _moveaxis(frame: Any, a: Any, source: Any, destination: Any) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    i, j = (axis_argument(ctx, k, value.ndim) for k in (source, destination))
    order = [k for k in range(value.ndim) if k != i]
    order.insert(j, i)
    return transpose(ctx, value, tuple(order))


@handles(np.expand_dims)
def _expand_dims(frame: Any, a: Any, axis: Any) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    parts = axis if isinstance(axis, tuple) else (axis,)
    items: list[Any] = [Slicing(None, None, None) for _ in range(value.ndim)]
    for k in axes_argument(ctx, parts, value.ndim + len(parts)):
        items.insert(k, Static(None))
    return indexing.subscript(ctx, value, tuple(items))


def is_one(ctx: Context, extent: Atom, what: str) -> bool:
    """Whether an extent is 1, and the result has another shape for it; the program stops if a computed one is."""
    if not isinstance(extent, Const):
        why = f"{what} where an extent is 1 that is computed: write an index, a[:, 0], or name the axis"
        ctx.check(ctx.let("not_equal", extent, integer(1)), "ValueError", why)
    return is_number(extent, 1)


@handles(np.squeeze)
def _squeeze(frame: Any, a: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    if axis is None or is_none(axis):
        drop = {k for k, d in enumerate(value.dims) if is_one(ctx, d, "np.squeeze without axis=")}
    else:
        drop = set(axes_argument(ctx, axis, value.ndim))
        for k in drop:
            ctx.equal(value.dims[k], integer(1), "an axis that is squeezed")
    items = tuple(number(0) if k in drop else Slicing(None, None, None) for k in range(value.ndim))
    return indexing.subscript(ctx, value, items)


@handles(np.tile)
def _tile(frame: Any, A: Any, reps: Any) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, A))
    times = list(shape_argument(ctx, reps))
    value = at_least(ctx, value, max(len(times), 1))
    times = [integer(1)] * (value.ndim - len(times)) + times
    dims = tuple(ctx.let("multiply", d, n, hint="n") for d, n in zip(value.dims, times, strict=True))

    def at(index: tuple[Atom, ...]) -> Atom:
        places = zip(index, value.dims, times, strict=True)
        return load(ctx, value, tuple(i if is_number(n, 1) else ctx.let("remainder", i, d) for i, d, n in places))

    return materialise(ctx, Lazy(value.dtype, dims, at, (value,)))


@handles(np.broadcast_to)
def _broadcast_to(frame: Any, a: Any, shape: Any) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    dims = shape_argument(ctx, shape)
    if not isinstance(value, Number):
        if value.ndim > len(dims):
            raise ctx.fail(f"{describe(value)} is broadcast to a shape with {len(dims)}")
        for d, e in zip(reversed(value.dims), reversed(dims), strict=False):
            ctx.fits(d, e, "operands could not be broadcast together")
    return copied(Lazy(value.dtype, dims, lambda i: element(ctx, value, i, dims), reads(value)), value)


@handles(np.add.at)
def _add_at(frame: Any, a: Any, index: Any, value: Any) -> Any:
    indexing.add_at(frame.ctx, a, index, array_of(frame.ctx, value))
    return Static(None)


@handles(np.take)
def _take(frame: Any, a: Any, indices: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    if axis is None or is_none(axis):
        return indexing.subscript(ctx, ravel(frame, value), array_of(ctx, indices))
    k = axis_argument(ctx, axis, value.ndim)
    items = tuple(array_of(ctx, indices) if n == k else Slicing(None, None, None) for n in range(value.ndim))
    return indexing.subscript(ctx, value, items)


@handles(np.shape)
def _np_shape(frame: Any, a: Any) -> Any:
    value = array_of(frame.ctx, a)
    return () if isinstance(value, Number) else tuple(Number(d, weak=True) for d in value.dims)


@handles(np.ndim)
def _np_ndim(frame: Any, a: Any) -> Any:
    value = array_of(frame.ctx, a)
    return number(0 if isinstance(value, Number) else value.ndim)


@handles(np.size)
def _np_size(frame: Any, a: Any) -> Any:
    value = array_of(frame.ctx, a)
    result: Any = number(1)
    for d in () if isinstance(value, Number) else value.dims:
        result = apply(frame.ctx, "multiply", result, Number(d, weak=True), weak=True)
    return result
