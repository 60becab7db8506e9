"""Methods of ufuncs on traced values: calls with options, ``reduce``, ``accumulate``, ``outer``, ``reduceat``, ``at``.

The reductions are those of the functions of the same meaning; ``logaddexp`` is reduced in halves, so that
it neither overflows nor loses the shares of infinities. ``outer`` serves every elementwise ufunc, ``at``
only additions. What is not here raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays import arguments, buffers
from chainrule.arrays.arguments import asarray
from chainrule.arrays.functions import reductions
from chainrule.arrays.functions.reductions import over, restored, rows
from chainrule.arrays.protocols import implements_method
from chainrule.core.dispatch import Tracer, bind, shape_of
from chainrule.core.primitive import by_function
from chainrule.errors import UnsupportedError, lost, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules import indexing, order, reduce

_NO = np._NoValue


def _target(out: Any) -> Any:
    """The array that results are written to: NumPy hands it on in a tuple."""
    return out[0] if isinstance(out, tuple) else out


@implements_method(None, "__call__")
def call(
    ufunc: Any,
    *inputs: Any,
    out: Any = None,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    **options: Any,
) -> Any:
    if options or casting != "same_kind":
        raise UnsupportedError(f"{ufunc.__name__}: the options {sorted(options)} are not supported for traced values")
    if dtype is not None:
        inputs = tuple(x.astype(dtype) if hasattr(x, "astype") else np.dtype(dtype).type(x) for x in inputs)
    primitive, out = by_function[ufunc], _target(out)
    if where is True:
        result = bind(primitive, *inputs)
        return result if out is None else buffers.write_out(out, result)
    if out is None:
        raise UnsupportedError(f"{ufunc.__name__}: where= without out= leaves elements undefined; give out=")
    safe = [np.where(where, x, np.ones((), getattr(x, "dtype", None))) for x in inputs]
    return buffers.write_out(out, np.where(where, bind(primitive, *safe), out))


# -- reduce -------------------------------------------------------------------------------------------


def _typed(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(
        a: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = _NO,
        where: Any = True,
    ) -> Any:
        return function(a, axis, dtype, _target(out), keepdims, initial, where)

    return method


def _untyped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same where the function has no ``dtype``."""

    def method(
        a: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = _NO,
        where: Any = True,
    ) -> Any:
        a = asarray(a) if dtype is None else asarray(a).astype(dtype)
        return function(a, axis, _target(out), keepdims, initial, where)

    return method


def _logical(ufunc: Any, primitive: Any, neutral: bool) -> Callable[..., Any]:
    function = reductions.truth(primitive, neutral)

    def method(
        a: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = _NO,
        where: Any = True,
    ) -> Any:
        result = function(a, axis, None, keepdims, where=where)
        if initial is not _NO and initial is not None:
            result = ufunc(result, initial)
        return result if out is None else buffers.write_out(_target(out), result)

    return method


def _in_halves(primitive: Any, identity: float | None) -> Callable[..., Any]:
    """Reduce with an associative operation that has no reduction of its own."""

    def function(a: Any, axis: Any, out: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        axes = over(axis, a.ndim)
        if where is not True and identity is None:
            raise UnsupportedError(f"{primitive.name}.reduce: where= is not supported (at {user_line()})")
        x = rows(reductions.masked(a, where, identity), axes)
        if x.shape[-1] == 0:
            x = np.broadcast_to(np.asarray(identity, x.dtype), (*x.shape[:-1], 1))
        while x.shape[-1] > 1:
            half = x.shape[-1] // 2
            y = primitive(x[..., :half], x[..., half : 2 * half])
            x = np.concatenate([y, x[..., 2 * half :]], axis=-1)
        y = restored(x[..., 0], a, axes, keepdims)
        if initial is not _NO and initial is not None:
            y = primitive(y, asarray(initial).astype(y.dtype))
        return y if out is None else buffers.write_out(out, y)

    return function


_REDUCTIONS = {
    np.add: _typed(reductions.sum_),
    np.multiply: _typed(reductions.prod),
    np.maximum: _untyped(reductions.max_),
    np.minimum: _untyped(reductions.min_),
    np.fmax: _untyped(reductions.nan_extremum(reductions.max_, -math.inf, warn=False)),
    np.fmin: _untyped(reductions.nan_extremum(reductions.min_, math.inf, warn=False)),
    np.logaddexp: _untyped(_in_halves(ew.logaddexp, -math.inf)),
    np.logaddexp2: _untyped(_in_halves(ew.logaddexp2, -math.inf)),
    np.hypot: _untyped(_in_halves(ew.hypot, 0.0)),
    np.logical_or: _logical(np.logical_or, reduce.any_, False),
    np.logical_and: _logical(np.logical_and, reduce.all_, True),
    np.logical_xor: _logical(np.logical_xor, reduce.parity, False),
}
for _ufunc, _method in _REDUCTIONS.items():
    implements_method(_ufunc, "reduce")(_method)


# -- accumulate ---------------------------------------------------------------------------------------


def _running_extremum(largest: bool) -> Callable[..., Any]:
    def primitive(a: Any, *, axis: int) -> Any:
        last = np.moveaxis(a, axis, -1)
        return np.moveaxis(reduce.running(last, largest), -1, axis)

    return reductions.cumulative(primitive)


_ACCUMULATIONS = {
    np.add: reductions.cumsum,
    np.multiply: reductions.cumprod,
    np.maximum: _running_extremum(True),
    np.minimum: _running_extremum(False),
}


def _accumulate(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        array = asarray(array)
        if array.ndim == 0:
            raise TypeError("cannot accumulate on a scalar")
        if axis is None and array.ndim > 1:
            raise ValueError("accumulate does not allow multiple axes")
        return function(array, 0 if axis is None else axis, dtype, _target(out))

    return method


for _ufunc, _method in _ACCUMULATIONS.items():
    implements_method(_ufunc, "accumulate")(_accumulate(_method))


# -- outer, reduceat, at ------------------------------------------------------------------------------


@implements_method(None, "outer")
def outer(ufunc: Any, a: Any, b: Any, /, **options: Any) -> Any:
    a, b = asarray(a), asarray(b)
    column = np.reshape(a, (*a.shape, *(1,) * b.ndim)) if b.ndim else a
    return ufunc(column, b, **options)


@implements_method(np.add, "reduceat")
def add_reduceat(array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    a = asarray(array) if dtype is None else asarray(array).astype(dtype)
    axis = arguments.axis(axis, a.ndim)
    starts = np.asarray(arguments.plain(indices, "numpy.add.reduceat", "indices"))
    n = a.shape[axis]
    if np.any((starts < 0) | (starts >= n)):
        raise IndexError(f"index out of bounds for add.reduceat with size {n}")
    ends = np.append(starts[1:], n)
    places = [np.arange(i, max(j, i + 1)) for i, j in zip(starts, ends, strict=True)]
    labels = np.repeat(np.arange(len(places)), [len(p) for p in places])
    members = np.moveaxis(a, axis, -1)[..., np.concatenate(places or [labels])]
    sums = order.scatter(members, np.broadcast_to(labels, members.shape), size=len(places))
    result = np.moveaxis(sums, -1, axis)
    return result if out is None else buffers.write_out(_target(out), result)


def _at(sign: int) -> Callable[..., None]:
    def method(a: Any, indices: Any, b: Any, /) -> None:
        if not isinstance(a, Tracer):
            raise lost(
                "adding a traced value to a plain array",
                "Make the array with chainrule.numpy.zeros, np.zeros_like(traced) or a copy of a traced one.",
            )
        index = indexing.static_index(indices)
        wanted = np.empty(a.shape, np.bool_)[index].shape
        value = np.broadcast_to(asarray(buffers.unwrap(b)), wanted)
        value = value if sign > 0 else -value
        change = indexing.scatter(value, indices=(index,), shape=shape_of(a), dtype=a.dtype)
        buffers.write(a, ..., buffers.unwrap(a) + change)

    return method


implements_method(np.add, "at")(_at(1))
implements_method(np.subtract, "at")(_at(-1))
