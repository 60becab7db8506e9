"""Functions that take arrays apart, lengthen them, and put parts of them together."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from chainrule.frontends import indexing, recipes
from chainrule.frontends.arrays import array_of, reshape, transpose
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, cast, load, materialise
from chainrule.frontends.library.shapes import at_least, concatenate
from chainrule.frontends.library.table import axis_argument, find, handles, is_none, known_int
from chainrule.frontends.values import Lazy, ListArray, Number, Slicing, Static, number
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom

__all__: list[str] = []


# -- parts --------------------------------------------------------------------------------------------


def _parts(frame: Any, ary: Any, indices_or_sections: Any, axis: Any = None) -> list[Any]:
    """``np.split``: views."""
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, ary))
    k = axis_argument(ctx, axis, value.ndim)
    extent = Number(value.dims[k], weak=True)
    if isinstance(indices_or_sections, Number):
        count = known_int(ctx, indices_or_sections, "the number of parts")
        left = ctx.let("remainder", extent.atom, integer(count))
        ctx.check(ctx.let("equal", left, integer(0)), "ValueError", "array split does not result in an equal division")
        size = apply(ctx, "floor_divide", extent, number(count), weak=True)
        ends: list[Any] = [apply(ctx, "multiply", size, number(n), weak=True) for n in range(1, count)]
    elif isinstance(indices_or_sections, (list, tuple)):
        ends = list(indices_or_sections)
    else:
        raise ctx.fail("where an array is split must be written as a number or a list")
    bounds = zip([None, *ends], [*ends, None], strict=True)
    before = [Slicing(None, None, None)] * k
    return [indexing.subscript(ctx, value, (*before, Slicing(a, b, None))) for a, b in bounds]


handles(np.split)(_parts)
handles(np.vsplit)(lambda frame, ary, indices_or_sections: _parts(frame, ary, indices_or_sections))


@handles(np.hsplit)
def _hsplit(frame: Any, ary: Any, indices_or_sections: Any) -> Any:
    value = materialise(frame.ctx, array_of(frame.ctx, ary))
    return _parts(frame, value, indices_or_sections, number(0 if value.ndim == 1 else 1))


@handles(np.ix_)
def _ix(frame: Any, *args: Any) -> Any:
    ctx = frame.ctx
    made = []
    for k, arg in enumerate(args):
        value = materialise(ctx, array_of(ctx, arg))
        if value.dtype == "bool":
            (value,) = indexing.positions(ctx, value)
        ones = [integer(1)] * len(args)
        made.append(reshape(ctx, value, (*ones[:k], value.dims[0], *ones[k + 1 :])))
    return tuple(made)


@handles(np.take_along_axis)
def _take_along_axis(frame: Any, arr: Any, indices: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    value, places = materialise(ctx, array_of(ctx, arr)), materialise(ctx, array_of(ctx, indices))
    k = axis_argument(ctx, axis, value.ndim, -1)
    if value.ndim != places.ndim:
        raise ctx.fail("np.take_along_axis: array and indices have as many dimensions")
    for n in range(value.ndim):
        if n != k:
            ctx.equal(value.dims[n], places.dims[n], "extents of an array and of its indices")

    def at(i: tuple[Atom, ...]) -> Atom:
        return load(ctx, value, (*i[:k], load(ctx, places, i), *i[k + 1 :]))

    return materialise(ctx, Lazy(value.dtype, places.dims, at, (value, places)))


# -- longer arrays ------------------------------------------------------------------------------------


def _widths(ctx: Context, width: Any, ndim: int) -> list[tuple[Number, Number]]:
    """What `np.pad` adds before and after each axis."""
    if isinstance(width, Number):
        return [(width, width)] * ndim
    items = list(width) if isinstance(width, (tuple, list)) else []
    if len(items) == 1 and isinstance(items[0], Number):
        return [(items[0], items[0])] * ndim
    if len(items) == 2 and all(isinstance(i, Number) for i in items):
        return [(items[0], items[1])] * ndim
    pairs = [tuple(i) for i in items if isinstance(i, (tuple, list)) and len(i) == 2]
    if len(pairs) != len(items) or len(pairs) not in (1, ndim):
        raise ctx.fail("np.pad: widths are a number, a pair, or a pair for each axis")
    return pairs * (ndim if len(pairs) == 1 else 1)


def _folded(ctx: Context, mode: str, place: Atom, n: Atom) -> Atom:
    """The element that stands at `place` of an array of extent `n`, which may be outside."""
    last = ctx.let("subtract", n, integer(1))
    if mode == "edge":
        return ctx.let("minimum", ctx.let("maximum", place, integer(0)), last)
    if mode == "wrap":
        return ctx.let("remainder", place, n)
    back = ctx.let("absolute", ctx.let("subtract", last, ctx.let("absolute", place)))
    return ctx.let("subtract", last, back)


@handles(np.pad)
def _pad(frame: Any, array: Any, pad_width: Any, mode: Any = None, *, constant_values: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, array))
    kind = "constant" if mode is None else getattr(mode, "value", None)
    if kind not in ("constant", "edge", "reflect", "wrap"):
        raise ctx.fail("np.pad: the modes constant, edge, reflect and wrap are known here")
    widths = _widths(ctx, pad_width, value.ndim)
    dims = []
    for d, (a, b) in zip(value.dims, widths, strict=True):
        for w in (a, b):
            negative = ctx.let("less", w.atom, integer(0))
            ctx.check(ctx.let("logical_not", negative), "ValueError", "np.pad by a negative width: ", w.atom)
            if kind == "reflect":
                ctx.check(ctx.let("less", w.atom, d), "ValueError", "np.pad reflects more than there is: ", w.atom)
        dims.append(ctx.let("add", ctx.let("add", d, a.atom), b.atom, hint="n"))
    if kind == "constant":
        fill = number(0) if constant_values is None else constant_values
        if not isinstance(fill, Number):
            raise ctx.fail("np.pad: one constant value is known here")
        result = materialise(
            ctx, Lazy(value.dtype, tuple(dims), lambda i: ctx.builder.cast(fill.atom, value.dtype), ())
        )
        with ctx.nest(value.dims) as i:
            places = tuple(ctx.let("add", p, a.atom) for p, (a, _) in zip(i, widths, strict=True))
            ctx.builder.store(result.var, places, load(ctx, value, i))
        return result

    def at(index: tuple[Atom, ...]) -> Atom:
        inner = zip(index, widths, value.dims, strict=True)
        return load(ctx, value, tuple(_folded(ctx, kind, ctx.let("subtract", p, a.atom), n) for p, (a, _), n in inner))

    return materialise(ctx, Lazy(value.dtype, tuple(dims), at, (value,)))


@handles(np.gradient)
def _gradient(frame: Any, f: Any, *varargs: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, f))
    if value.dtype in ("bool", "int64"):
        value = materialise(ctx, cast(ctx, value, "float64"))
    given = tuple(range(value.ndim)) if axis is None or is_none(axis) else axis
    axes = [
        a if isinstance(a, int) else known_int(ctx, a, "axis")
        for a in (given if isinstance(given, tuple) else (given,))
    ]
    steps = list(varargs) or [number(1.0)]
    if len(steps) not in (1, len(axes)) or not all(isinstance(s, Number) for s in steps):
        raise ctx.fail("np.gradient: one distance, or one for each axis, is known here")
    steps = steps * len(axes) if len(steps) == 1 else steps
    made = [
        ctx.language.call(frame, Static(recipes.slopes), [value, number(a), s], {})
        for a, s in zip(axes, steps, strict=True)
    ]
    return made[0] if len(made) == 1 else tuple(made)


# -- together -----------------------------------------------------------------------------------------


@handles(np.block)
def _block(frame: Any, arrays: Any) -> Any:
    if not isinstance(arrays, list):
        return array_of(frame.ctx, arrays)
    if not any(isinstance(a, list) for a in arrays):
        return concatenate(frame, [at_least(frame.ctx, array_of(frame.ctx, a), 1) for a in arrays], number(-1))
    rows = [at_least(frame.ctx, materialise(frame.ctx, _block(frame, a)), 2) for a in arrays]
    return concatenate(frame, rows, number(-2))


@handles(np.dstack)
def _dstack(frame: Any, tup: Any) -> Any:
    ctx = frame.ctx
    deep = []
    for part in tup:
        value = at_least(ctx, materialise(ctx, array_of(ctx, part)), 2)
        deep.append(value if value.ndim > 2 else reshape(ctx, value, (*value.dims, integer(1))))
    return concatenate(frame, deep, number(2))


for _n, _function in enumerate((np.atleast_1d, np.atleast_2d), 1):
    handles(_function)(lambda frame, a, _n=_n: at_least(frame.ctx, materialise(frame.ctx, array_of(frame.ctx, a)), _n))


@handles(np.fliplr)
def _fliplr(frame: Any, m: Any) -> Any:
    return find(np.flip)(frame, m, number(1))  # type: ignore[misc]


@handles(np.flipud)
def _flipud(frame: Any, m: Any) -> Any:
    return find(np.flip)(frame, m, number(0))  # type: ignore[misc]


@handles(np.rot90)
def _rot90(frame: Any, m: Any, k: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, m))
    turns = 1 if k is None else known_int(ctx, k, "k") % 4
    if value.ndim != 2:
        raise ctx.fail("np.rot90 of an array that is no matrix")
    if turns % 2:
        value = transpose(ctx, value)
    axes = {0: (), 1: (0,), 2: (0, 1), 3: (1,)}[turns]
    items = tuple(Slicing(None, None, number(-1) if n in axes else None) for n in range(2))
    return indexing.subscript(ctx, value, items)


@handles(builtins.sorted)
def _sorted(frame: Any, x: Any, *, reverse: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, x)
    if isinstance(value, Number) or value.ndim != 1:
        raise ctx.fail("sorted: a list of numbers is expected")
    made = find(np.sort)(frame, value)  # type: ignore[misc]
    if reverse is not None and known_int(ctx, reverse, "reverse"):
        made = materialise(ctx, indexing.subscript(ctx, made, Slicing(None, None, number(-1))))
    return ListArray(made, False)
