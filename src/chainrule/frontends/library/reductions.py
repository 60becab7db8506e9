"""Reductions, alone and along axes, and what is written in the language for vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.frontends import indexing, recipes
from chainrule.frontends.arrays import array_of, reshape
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, cast, load, materialise, reads
from chainrule.frontends.library.table import (
    axes_argument,
    dtype_argument,
    flag,
    handles,
    known_int,
    run,
)
from chainrule.frontends.values import ArrayRef, Lazy, Number, Slicing, Static, number
from chainrule.ir.build import constant, integer
from chainrule.ir.nodes import Atom, Block

# -- reductions ---------------------------------------------------------------------------------------

Step = Callable[[Context, Atom, Atom], Atom]


def reduce(ctx: Context, value: Any, axis: Any, keepdims: Any, dtype: str, start: Any, step: Step, hint: str) -> Any:
    """Fold the elements along axes, in the dtype `dtype`."""
    if isinstance(value, Number):
        return Number(step(ctx, constant(start, dtype), ctx.builder.cast(value.atom, dtype)))
    axes = axes_argument(ctx, axis, value.ndim)
    keep = keepdims is not None and flag(ctx, keepdims)
    inner = tuple(value.dims[a] for a in axes)
    outer = [k for k in range(value.ndim) if k not in axes]

    def fold(index: tuple[Atom, ...]) -> Atom:
        def at(i: tuple[Atom, ...], acc: Atom) -> Atom:
            own = dict(zip(axes, i, strict=True)) | dict(zip(outer, index, strict=True))
            full = tuple(own[k] for k in range(value.ndim))
            item = value.element(full) if isinstance(value, Lazy) else load(ctx, value, full)
            return step(ctx, acc, ctx.builder.cast(item, dtype) if dtype != "bool" else item)

        return ctx.reduce(inner, constant(start, dtype), at, hint)

    if not outer and not keep:
        return Number(fold(()))
    dims = tuple(value.dims[k] for k in outer)
    if keep:
        full = tuple(integer(1) if k in axes else d for k, d in enumerate(value.dims))
        return materialise(ctx, Lazy(dtype, full, lambda i: fold(tuple(i[k] for k in outer)), reads(value)), hint)
    return materialise(ctx, Lazy(dtype, dims, fold, reads(value)), hint)


def _sum_dtype(value: Any) -> str:
    return "int64" if value.dtype == "bool" else str(value.dtype)


@handles(np.sum, np.add.reduce)
def sum_of(frame: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a, dtype_argument(ctx, dtype))
    return reduce(ctx, value, axis, keepdims, _sum_dtype(value), 0, lambda c, s, x: c.let("add", s, x, hint="s"), "s")


@handles(np.prod, np.multiply.reduce)
def product(frame: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a, dtype_argument(ctx, dtype))
    return reduce(
        ctx, value, axis, keepdims, _sum_dtype(value), 1, lambda c, p, x: c.let("multiply", p, x, hint="p"), "p"
    )


@handles(np.any)
def any_of(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
    value = cast(frame.ctx, array_of(frame.ctx, a), "bool")
    return reduce(frame.ctx, value, axis, keepdims, "bool", False, lambda c, s, x: c.let("logical_or", s, x), "found")


@handles(np.all)
def all_of(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
    value = cast(frame.ctx, array_of(frame.ctx, a), "bool")
    return reduce(frame.ctx, value, axis, keepdims, "bool", True, lambda c, s, x: c.let("logical_and", s, x), "every")


@handles(np.count_nonzero)
def _count_nonzero(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
    return sum_of(frame, cast(frame.ctx, array_of(frame.ctx, a), "bool"), axis, keepdims=keepdims)


@handles(np.mean)
def _mean(frame: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a, dtype_argument(ctx, dtype))
    if value.dtype in ("bool", "int64"):
        value = cast(ctx, value, "float64")
    if isinstance(value, Number):
        return value
    count: Any = number(1)
    for k in axes_argument(ctx, axis, value.ndim):
        count = apply(ctx, "multiply", count, Number(value.dims[k], weak=True), weak=True)
    total = sum_of(frame, value, axis, keepdims=keepdims)
    return apply(ctx, "divide", total, cast(ctx, count, "float64", weak=True))


def along(frame: Any, recipe: Callable[..., Any], a: Any, axis: Any, keepdims: Any = None) -> Any:
    """A function of vectors, written in the language, along one axis of an array."""
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    if isinstance(value, Number):
        return value
    none = axis is None or (isinstance(axis, Static) and axis.value is None)
    keep = keepdims is not None and flag(ctx, keepdims)
    if none:
        result = run(frame, recipe, value if value.ndim == 1 else reshape(ctx, value, (integer(-1),)))
        if keep and isinstance(result, Number):
            dims = tuple(integer(1) for _ in range(value.ndim))
            return materialise(ctx, Lazy(result.dtype, dims, lambda i: result.atom, ()))
        return result
    (k,) = axes_argument(ctx, axis, value.ndim) if not isinstance(axis, tuple) else (known_int(ctx, axis[0], "axis"),)
    if value.ndim == 1 and not keep:
        return run(frame, recipe, value)
    outer = [n for n in range(value.ndim) if n != k]
    state = ctx.snapshot()

    def row(index: dict[int, Atom]) -> Any:
        items = tuple(Slicing(None, None, None) if n == k else Number(index[n]) for n in range(value.ndim))
        return run(frame, recipe, indexing.subscript(ctx, value, items))

    with ctx.inside(Block()):
        probe = row({n: integer(0) for n in outer})
    ctx.restore(state)
    if isinstance(probe, Number):
        dims = tuple(integer(1) if n == k else value.dims[n] for n in (range(value.ndim) if keep else outer))
        places = list(range(value.ndim)) if keep else outer

        def one(index: tuple[Atom, ...]) -> Atom:
            return row({n: i for n, i in zip(places, index, strict=True) if n != k}).atom  # type: ignore[no-any-return]

        return materialise(ctx, Lazy(probe.dtype, dims, one, (value,)))
    result = ctx.new(probe.dtype, value.dims)
    with ctx.nest([value.dims[n] for n in outer]) as index:
        here = dict(zip(outer, index, strict=True))
        items = tuple(Slicing(None, None, None) if n == k else Number(here[n]) for n in range(value.ndim))
        indexing.assign(ctx, result, items, row(here))
    return result


def _along(*functions: Any, recipe: Callable[..., Any]) -> None:
    def handler(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
        return along(frame, recipe, a, axis, keepdims)

    handles(*functions)(handler)


_along(np.max, np.amax, np.maximum.reduce, recipe=recipes.largest)
_along(np.min, np.amin, np.minimum.reduce, recipe=recipes.smallest)
_along(np.argmax, recipe=recipes.argmax)
_along(np.argmin, recipe=recipes.argmin)
_along(np.median, recipe=recipes.median)
_along(np.cumsum, recipe=recipes.cumsum)
_along(np.cumprod, recipe=recipes.cumprod)


@handles(np.sort)
def _sort(frame: Any, a: Any, axis: Any = None) -> Any:
    return along(frame, recipes.sort, a, number(-1) if axis is None else axis)


@handles(np.argsort)
def _argsort(frame: Any, a: Any, axis: Any = None, kind: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    if value.ndim != 1:
        raise ctx.fail("argsort of an array with several dimensions: sort its rows in a loop")
    (order,) = ctx.builder.op("argsort", value.var, hint="order")
    return ArrayRef(order, value.dims, order)


for _function, _recipe in (
    (np.var, recipes.var),
    (np.std, recipes.std),
    (np.linalg.norm, recipes.norm),
    (np.trace, recipes.trace),
    (np.diff, recipes.diff),
    (np.average, recipes.average),
    (np.ptp, recipes.ptp),
    (np.cross, recipes.cross),
    (np.kron, recipes.kron),
    (np.interp, recipes.interp),
    (np.searchsorted, recipes.searchsorted),
    (np.convolve, recipes.convolve),
    (np.polyval, recipes.polyval),
    (np.trapezoid, recipes.trapezoid),
    (np.meshgrid, recipes.meshgrid),
    (np.diag, recipes.diag),
    (np.diagonal, recipes.diagonal),
    (np.tril, recipes.tril),
    (np.triu, recipes.triu),
    (np.roll, recipes.roll),
    (np.flip, recipes.flip),
    (np.repeat, recipes.repeat),
    (np.tile, recipes.tile),
    (np.append, recipes.append),
    (np.nan_to_num, recipes.nan_to_num),
):
    handles(_function)(lambda frame, *args, _recipe=_recipe, **kwargs: run(frame, _recipe, *args, **kwargs))
