"""Sorting, searching and comparing traced values.

Sorted values carry derivatives, equal ones sharing theirs. Places, counts and truth values are
constant almost everywhere and come back as plain integers and booleans. What has as many elements as its
argument's values decide (``nonzero``), or is one decision (``allclose``), makes a ``vmap`` run row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays import arguments
from chainrule.arrays.arguments import asarray
from chainrule.arrays.buffers import unwrap, write_out
from chainrule.arrays.protocols import implements
from chainrule.core.batch import Rows, RowsControlFlowError
from chainrule.core.define import nondifferentiable
from chainrule.errors import UnsupportedError, user_line
from chainrule.rules import order, shape

__all__ = ["decided", "last"]

_NO = np._NoValue


def last(a: Any, axis: Any) -> tuple[Any, Callable[[Any], Any]]:
    """`a` with `axis` (None: all of them in one) as its last, and how to move it back."""
    a = asarray(a)
    if axis is None:
        return np.ravel(a), lambda y: y
    n = a.ndim
    axis = arguments.axis(axis, n)
    if axis == n - 1:
        return a, lambda y: y
    there = (*range(axis), *range(axis + 1, n), axis)
    back = (*range(axis), n - 1, *range(axis, n - 1))
    return shape.transpose(a, axes=there), lambda y: np.transpose(y, back)


def decided(values: Any) -> Any:
    """`values` that must be plain; a `vmap` whose rows differ in them runs row by row."""
    if isinstance(values, Rows):
        raise RowsControlFlowError(values.batch)
    return values


# -- sorting ------------------------------------------------------------------------------------------


def _kind(name: str, kind: Any, order: Any, stable: Any) -> Any:
    if order is not None:
        raise UnsupportedError(f"{name}: order= is for structured arrays (at {user_line()})")
    if kind is not None and stable is not None:
        raise ValueError("`kind` and `stable` parameters can't be provided at the same time. Use only one of them.")
    return "stable" if stable else kind


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    x, back = last(a, axis)
    return back(_sorted(x, _kind("numpy.sort", kind, order, stable)))


def _sorted(x: Any, kind: Any = None) -> Any:
    return order.sort(x, kind)


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    kind = _kind("numpy.argsort", kind, order, stable)
    x, back = last(unwrap(a), axis)
    return back(_places(x, kind))


def _places(x: Any, kind: Any = None) -> Any:
    return order.argsort(x, kind=kind)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    _kind("numpy.argpartition", kind, order, None)
    x, back = last(unwrap(a), axis)
    return back(_partly(x, kth))


def _partly(x: Any, kth: Any) -> Any:
    return order.argpartition(x, kth=kth)


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    _kind("numpy.partition", kind, order, None)
    x, back = last(a, axis)
    ranks = _places(_places(x))
    return back(_gather(_sorted(x), _gather(ranks, _partly(x, kth))))


def _gather(x: Any, index: Any) -> Any:
    return order.gather(x, index)


# -- places -------------------------------------------------------------------------------------------


def _place(function: Any) -> Callable[..., Any]:
    def search(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = _NO) -> Any:
        a = asarray(unwrap(a))
        if a.ndim == 0 and axis in (0, -1):
            axis = None
        x, _ = last(a, axis)
        place = order.first_place(x, function=function)
        if keepdims is not _NO and keepdims:
            place = np.reshape(place, (1,) * a.ndim) if axis is None else np.expand_dims(place, axis)
        return place if out is None else write_out(out, place)

    return search


for _function in (np.argmax, np.argmin, np.nanargmax, np.nanargmin):
    implements(_function)(_place(_function))


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    a = asarray(unwrap(a))
    if sorter is not None:
        a = order.gather(a, np.asarray(arguments.plain(sorter, "numpy.searchsorted", "sorter")))
    return order.searchsorted(a, asarray(unwrap(v)), side=side)


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    bins = asarray(unwrap(bins))
    if decided(np.all(bins[1:] >= bins[:-1])):
        return searchsorted(bins, x, "left" if right else "right")
    if decided(np.all(bins[1:] <= bins[:-1])):
        return bins.shape[0] - searchsorted(bins[::-1], x, "left" if right else "right")
    raise ValueError("bins must be monotonically increasing or decreasing")


def _truth(a: Any) -> Any:
    """Plain truth values of the elements."""
    return decided(asarray(unwrap(a)) != 0)


@implements(np.nonzero)
def nonzero(a: Any) -> Any:
    return np.nonzero(_truth(a))


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    return np.flatnonzero(_truth(a))


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    return np.argwhere(_truth(a))


# -- comparisons --------------------------------------------------------------------------------------


def _close(a: Any, b: Any, *, rtol: float, atol: float, equal_nan: bool) -> Any:
    return np.isclose(a, b, rtol, atol, equal_nan)


_isclose = nondifferentiable("isclose", _close)


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    tolerances = [arguments.plain(t, "numpy.isclose", "tolerance") for t in (rtol, atol)]
    a, b = asarray(unwrap(a)), asarray(unwrap(b))
    return _isclose(a, b, rtol=tolerances[0], atol=tolerances[1], equal_nan=equal_nan)


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> bool:
    return bool(np.all(decided(isclose(a, b, rtol, atol, equal_nan))))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    a, b = asarray(unwrap(a1)), asarray(unwrap(a2))
    if a.shape != b.shape:
        return False
    equal = a == b
    if equal_nan:
        equal = equal | ((a != a) & (b != b))
    return bool(np.all(decided(equal)))


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> bool:
    a, b = asarray(unwrap(a1)), asarray(unwrap(a2))
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return bool(np.all(decided(a == b)))
