"""Functions that make arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.frontends import iteration, recipes
from chainrule.frontends.arrays import array_of, copy_of, reshape
from chainrule.frontends.elementwise import cast, element, materialise, reads
from chainrule.frontends.library.table import (
    dtype_argument,
    flag,
    handles,
    is_none,
    run,
    shape_argument,
)
from chainrule.frontends.values import ArrayRef, Lazy, Number, number
from chainrule.ir.build import constant

# -- making arrays ------------------------------------------------------------------------------------


@handles(np.array)
def _array(frame: Any, a: Any, dtype: Any = None, *, copy: Any = None) -> Any:
    ctx = frame.ctx
    if copy is not None and (is_none(copy) or not flag(ctx, copy)):
        raise ctx.fail("np.array with copy= other than True: write np.asarray")
    value = array_of(ctx, a, dtype_argument(ctx, dtype))
    if isinstance(value, Number):
        return Number(value.atom)
    return copy_of(ctx, value) if isinstance(value, ArrayRef) and value is a else value


handles(np.asarray)(lambda frame, a, dtype=None: array_of(frame.ctx, a, dtype_argument(frame.ctx, dtype)))
handles(np.copy)(lambda frame, a: _array(frame, a))


@handles(np.ascontiguousarray, np.asfortranarray)
def _laid_out(frame: Any, a: Any, dtype: Any = None) -> Any:
    """The array itself if its elements follow each other, else a copy that may not be written to."""
    value = array_of(frame.ctx, a, dtype_argument(frame.ctx, dtype))
    return reshape(frame.ctx, value, value.dims) if isinstance(value, ArrayRef) else value


def _filled(frame: Any, shape: Any, value: Any, dtype: str | None) -> Any:
    ctx = frame.ctx
    dims = shape_argument(ctx, shape)
    if not dims:
        raise ctx.fail("an array without dimensions: use a number")
    if isinstance(value, Number):
        dtype = dtype or value.dtype
        if value.known:
            return ctx.new(dtype, dims, ctx.builder.cast(value.atom, dtype).value)
        atom = ctx.builder.cast(value.atom, dtype)
        return materialise(ctx, Lazy(dtype, dims, lambda i: atom, ()))
    value = array_of(ctx, value, dtype)
    return materialise(ctx, Lazy(value.dtype, dims, lambda i: element(ctx, value, i, dims), reads(value)))


@handles(np.zeros)
def _zeros(frame: Any, shape: Any, dtype: Any = None) -> Any:
    return _filled(frame, shape, number(0.0), dtype_argument(frame.ctx, dtype) or "float64")


@handles(np.ones)
def _ones(frame: Any, shape: Any, dtype: Any = None) -> Any:
    return _filled(frame, shape, number(1.0), dtype_argument(frame.ctx, dtype) or "float64")


@handles(np.empty, np.ndarray)
def _empty(frame: Any, shape: Any, dtype: Any = None) -> Any:
    dims = shape_argument(frame.ctx, shape)
    return frame.ctx.new(dtype_argument(frame.ctx, dtype) or "float64", dims)


@handles(np.full)
def _full(frame: Any, shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    return _filled(frame, shape, fill_value, dtype_argument(frame.ctx, dtype))


def _like(frame: Any, a: Any, dtype: Any, shape: Any) -> tuple[Any, str]:
    ctx = frame.ctx
    value = array_of(ctx, a)
    extents = tuple(Number(d, weak=True) for d in value.dims) if not isinstance(value, Number) else ()
    return (extents if shape is None else shape), dtype_argument(ctx, dtype) or value.dtype


@handles(np.zeros_like)
def _zeros_like(frame: Any, a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    extents, kind = _like(frame, a, dtype, shape)
    return _filled(frame, extents, number(0.0), kind) if extents else Number(constant(0, kind))


@handles(np.ones_like)
def _ones_like(frame: Any, a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    extents, kind = _like(frame, a, dtype, shape)
    return _filled(frame, extents, number(1.0), kind) if extents else Number(constant(1, kind))


@handles(np.empty_like)
def _empty_like(frame: Any, a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    extents, kind = _like(frame, a, dtype, shape)
    return frame.ctx.new(kind, shape_argument(frame.ctx, extents))


@handles(np.full_like)
def _full_like(frame: Any, a: Any, fill_value: Any, dtype: Any = None) -> Any:
    extents, kind = _like(frame, a, dtype, None)
    return _filled(frame, extents, fill_value, kind)


@handles(np.eye, np.identity)
def _eye(frame: Any, n: Any, m: Any = None, k: Any = None, dtype: Any = None) -> Any:
    result = _zeros(frame, (n, n if m is None else m), dtype)
    return run(frame, recipes.fill_diagonal, result, number(0) if k is None else k)


@handles(np.tri)
def _tri(frame: Any, N: Any, M: Any = None, k: Any = None, dtype: Any = None) -> Any:
    return run(frame, recipes.tril, _ones(frame, (N, N if M is None else M), dtype), number(0) if k is None else k)


@handles(np.arange)
def _arange(frame: Any, *args: Any, dtype: Any = None) -> Any:
    ctx, kind = frame.ctx, dtype_argument(frame.ctx, dtype)
    if all(isinstance(a, Number) and a.dtype == "int64" for a in args):
        r = iteration.range_of(ctx, list(args))
        value = Lazy("int64", (r.count,), lambda i: r.item(i[0]).atom, ())
        return materialise(ctx, value if kind is None else cast(ctx, value, kind))
    if kind not in (None, "float64"):
        raise ctx.fail(f"np.arange of numbers that are not integers, with dtype {kind}: convert it with .astype")
    start, stop, step = (number(0), args[0], number(1)) if len(args) == 1 else (*args, number(1))[:3]
    return run(frame, recipes.arange, *(cast(ctx, a, "float64") for a in (start, stop, step)))


@handles(np.linspace)
def _linspace(frame: Any, start: Any, stop: Any, num: Any = None, endpoint: Any = None) -> Any:
    return run(
        frame,
        recipes.linspace,
        start,
        stop,
        number(50) if num is None else num,
        number(True) if endpoint is None else endpoint,
    )
