"""Reductions, alone and along axes, and what is written in the language for vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.frontends import indexing, measures, recipes
from chainrule.frontends.arrays import array_of, copied, reshape, stacked, transpose
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, cast, load, materialise, reads
from chainrule.frontends.library.shapes import is_one, ravel
from chainrule.frontends.library.table import (
    axes_argument,
    dtype_argument,
    flag,
    handles,
    is_none,
    run,
)
from chainrule.frontends.values import ArrayRef, Lazy, Number, Slicing, number
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


@handles(np.sum)
def sum_of(frame: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a, dtype_argument(ctx, dtype))
    return reduce(ctx, value, axis, keepdims, _sum_dtype(value), 0, lambda c, s, x: c.let("add", s, x, hint="s"), "s")


@handles(np.prod)
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


def along(
    frame: Any, recipe: Callable[..., Any], a: Any, axis: Any, keepdims: Any = None, more: tuple[Any, ...] = ()
) -> Any:
    """A function of vectors, written in the language, along one axis of an array; `more` are its other arguments."""
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    if isinstance(value, Number):
        return value
    keep = keepdims is not None and flag(ctx, keepdims)
    if is_none(axis):
        result = run(frame, recipe, value if value.ndim == 1 else reshape(ctx, value, (integer(-1),)), *more)
        if keep and isinstance(result, Number):
            dims = tuple(integer(1) for _ in range(value.ndim))
            return materialise(ctx, Lazy(result.dtype, dims, lambda i: result.atom, ()))
        return result
    axes = axes_argument(ctx, axis, value.ndim)
    if len(axes) != 1:
        return _along_several(frame, recipe, value, axes, keep, more)
    (k,) = axes
    if value.ndim == 1 and not keep:
        return run(frame, recipe, value, *more)
    outer = [n for n in range(value.ndim) if n != k]
    state = ctx.snapshot()

    def row(index: dict[int, Atom]) -> Any:
        items = tuple(Slicing(None, None, None) if n == k else Number(index[n]) for n in range(value.ndim))
        return run(frame, recipe, indexing.subscript(ctx, value, items), *more)

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


def _along_several(
    frame: Any, recipe: Callable[..., Any], value: Any, axes: tuple[int, ...], keep: bool, more: tuple[Any, ...]
) -> Any:
    """Several axes are made one, the last."""
    ctx = frame.ctx
    if recipe not in (recipes.largest, recipes.smallest, recipes.median, measures.quantile) or not axes:
        raise ctx.fail("axis must be one integer here")
    outer = [n for n in range(value.ndim) if n not in axes]
    size = functools.reduce(lambda n, k: ctx.let("multiply", n, value.dims[k], hint="n"), axes, integer(1))
    joined = reshape(ctx, transpose(ctx, value, (*outer, *axes)), (*[value.dims[n] for n in outer], size))
    result = along(frame, recipe, joined, number(-1), more=more)
    if not keep:
        return result
    dims = tuple(integer(1) if n in axes else value.dims[n] for n in range(value.ndim))
    if isinstance(result, Number):
        return materialise(ctx, Lazy(result.dtype, dims, lambda i: result.atom, ()))
    return reshape(ctx, result, dims)


def _along(*functions: Any, recipe: Callable[..., Any]) -> None:
    def handler(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
        return along(frame, recipe, a, axis, keepdims)

    handles(*functions)(handler)


_along(np.max, np.amax, recipe=recipes.largest)
_along(np.min, np.amin, recipe=recipes.smallest)
_along(np.argmax, recipe=recipes.argmax)
_along(np.argmin, recipe=recipes.argmin)
_along(np.median, recipe=recipes.median)


for _reduce, _whole in (
    (np.add.reduce, np.sum),
    (np.multiply.reduce, np.prod),
    (np.maximum.reduce, np.max),
    (np.minimum.reduce, np.min),
    (np.logical_or.reduce, np.any),
    (np.logical_and.reduce, np.all),
):  # these go along the first axis if none is named
    handles(_reduce)(
        lambda frame, a, axis=None, *, keepdims=None, _whole=_whole: run(
            frame,
            _whole,
            a,
            number(0) if axis is None else axis,
            keepdims=number(False) if keepdims is None else keepdims,
        )
    )


def _running(frame: Any, recipe: Callable[..., Any], a: Any, axis: Any) -> Any:
    """Sums and products up to each element; of truth values they are integers."""
    value = array_of(frame.ctx, a)
    if value.dtype == "bool" and recipe in (recipes.cumsum, recipes.cumprod):
        value = cast(frame.ctx, value, "int64")
    return along(frame, recipe, value, axis)


_RUNNING: tuple[tuple[Any, Callable[..., Any]], ...] = (
    (np.add.accumulate, recipes.cumsum),
    (np.multiply.accumulate, recipes.cumprod),
    (np.maximum.accumulate, recipes.cummax),
    (np.minimum.accumulate, recipes.cummin),
)
for _accumulate, _recipe in _RUNNING:
    handles(_accumulate)(
        lambda frame, a, axis=None, _recipe=_recipe: _running(frame, _recipe, a, number(0) if axis is None else axis)
    )
handles(np.cumsum)(lambda frame, a, axis=None: _running(frame, recipes.cumsum, a, axis))
handles(np.cumprod)(lambda frame, a, axis=None: _running(frame, recipes.cumprod, a, axis))


def _of_variables(function: Any, recipe: Callable[..., Any]) -> None:
    def handler(frame: Any, *args: Any, **kwargs: Any) -> Any:
        made = run(frame, recipe, *args, **kwargs)
        one = is_one(frame.ctx, made.dims[0], "np.cov or np.corrcoef")
        return indexing.subscript(frame.ctx, made, (number(0), number(0))) if one else made

    handles(function)(handler)


_of_variables(np.cov, measures.cov)
_of_variables(np.corrcoef, measures.corrcoef)


@handles(recipes.refuse)
def _refuse(frame: Any, why: Any) -> Any:
    raise frame.ctx.fail(why.value)


@handles(np.sort)
def _sort(frame: Any, a: Any, axis: Any = None) -> Any:
    return along(frame, recipes.sort, a, number(-1) if axis is None else axis)


@handles(np.argsort)
def _argsort(frame: Any, a: Any, axis: Any = None, kind: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    if isinstance(value, Number) or value.ndim != 1:
        return along(frame, recipes.argsort, value, number(-1) if axis is None else axis)
    (order,) = ctx.builder.op("argsort", value.var, hint="order")
    return ArrayRef(order, value.dims, order)


for _quantile, _percent in ((np.quantile, 1.0), (np.percentile, 100.0)):

    def _of_quantiles(
        frame: Any, a: Any, q: Any, axis: Any = None, *, keepdims: Any = None, _percent: float = _percent
    ) -> Any:
        ctx = frame.ctx
        if isinstance(q, (list, tuple)):
            parts = [_of_quantiles(frame, a, part, axis, keepdims=keepdims, _percent=_percent) for part in q]
            return stacked(ctx, [materialise(ctx, p) for p in parts], 0)
        if not isinstance(q, Number):
            raise ctx.fail("the quantiles of an array: ask for one at a time, or for a tuple")
        return along(
            frame, measures.quantile, a, axis, keepdims, (apply(ctx, "divide", q, number(_percent), weak=True),)
        )

    handles(_quantile)(_of_quantiles)

_WRITTEN: tuple[tuple[Any, Callable[..., Any]], ...] = (
    (np.var, measures.var),
    (np.std, measures.std),
    (np.linalg.norm, measures.norm),
    (np.trace, recipes.trace),
    (np.diff, recipes.diff),
    (np.average, measures.average),
    (np.ptp, recipes.ptp),
    (np.cross, recipes.cross),
    (np.kron, recipes.kron),
    (np.interp, recipes.interp),
    (np.searchsorted, recipes.searchsorted),
    (np.convolve, recipes.convolve),
    (np.trapezoid, recipes.trapezoid),
    (np.meshgrid, recipes.meshgrid),
    (np.tril, recipes.tril),
    (np.triu, recipes.triu),
    (np.roll, recipes.roll),
    (np.correlate, recipes.correlate),
    (np.bincount, recipes.bincount),
    (np.fill_diagonal, recipes.set_diagonal),
    (np.vander, recipes.vander),
    (np.nansum, measures.nansum),
    (np.nanmean, measures.nanmean),
    (np.nanmax, measures.nanmax),
    (np.nanmin, measures.nanmin),
    (np.triu_indices, recipes.triu_indices),
    (np.tril_indices, recipes.tril_indices),
    (np.isclose, recipes.isclose),
    (np.allclose, recipes.allclose),
    (np.array_equal, recipes.array_equal),
    (np.logspace, recipes.logspace),
    (np.geomspace, recipes.geomspace),
    (np.digitize, recipes.digitize),
    (np.repeat, recipes.repeat),
    (np.append, recipes.append),
    (np.nan_to_num, recipes.nan_to_num),
)
for _function, _recipe in _WRITTEN:
    handles(_function)(lambda frame, *args, _recipe=_recipe, **kwargs: run(frame, _recipe, *args, **kwargs))


@handles(np.polyval)
def _polyval(frame: Any, p: Any, x: Any) -> Any:
    """Coefficients that are written out stay what they are."""
    return run(frame, recipes.polyval, tuple(p) if isinstance(p, list) else p, x)


def _diagonal(frame: Any, a: Any, offset: Any = None) -> Any:
    """A diagonal: a view for NumPy, which may not be written to, and a copy here; or the matrix that has it."""
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    k = number(0) if offset is None else offset
    if isinstance(value, Number) or value.ndim != 2:
        return run(frame, recipes.diag, value, k)
    down = ctx.let("maximum", ctx.let("negative", k.atom), integer(0))
    right = ctx.let("maximum", k.atom, integer(0))
    rows, columns = ctx.let("subtract", value.dims[0], down), ctx.let("subtract", value.dims[1], right)
    n = ctx.let("maximum", ctx.let("minimum", rows, columns), integer(0), hint="n")

    def at(i: tuple[Atom, ...]) -> Atom:
        return load(ctx, value, (ctx.let("add", i[0], down), ctx.let("add", i[0], right)))

    return copied(Lazy(value.dtype, (n,), at, (value,)), value)


handles(np.diagonal)(_diagonal)
handles(np.diag)(lambda frame, v, k=None: _diagonal(frame, v, k))
handles(np.ediff1d)(lambda frame, ary: run(frame, recipes.diff, ravel(frame, ary)))
