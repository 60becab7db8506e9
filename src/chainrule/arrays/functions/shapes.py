"""Shapes, joins, selection and copies of traced values, as compositions of primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays.arguments import asarray, flat_shape, refuse
from chainrule.arrays.buffers import write_out
from chainrule.arrays.protocols import implements
from chainrule.core.dispatch import Tracer, bind
from chainrule.rules import elementwise as ew
from chainrule.rules import shape

_NO = np._NoValue


@implements(np.reshape)
def reshape(a: Any, /, shape_: Any = None, order: str = "C", *, shape: Any = None, newshape: Any = None, copy: Any = None) -> Any:
    wanted = shape_ if shape_ is not None else shape if shape is not None else newshape
    refuse("numpy.reshape", order=None if order in ("C", "A") else order)
    return reshape_to(a, wanted)


def reshape_to(a: Any, wanted: Any) -> Any:
    a = asarray(a)
    return shape.reshape(a, shape=flat_shape(wanted, a.size))


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    a = asarray(a)
    order = tuple(reversed(range(a.ndim))) if axes is None else tuple(k % a.ndim for k in axes)
    return shape.transpose(a, axes=order)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape_: Any = None, subok: bool = False, *, shape: Any = None) -> Any:
    from chainrule.rules.shape import broadcast_to as primitive

    wanted = shape_ if shape_ is not None else shape
    return primitive(asarray(array), shape=(wanted,) if isinstance(wanted, int) else tuple(wanted))


@implements(np.where)
def where(condition: Any, x: Any = _NO, y: Any = _NO) -> Any:
    if isinstance(condition, Tracer):
        condition = condition != 0
    if x is _NO:
        return np.nonzero(condition)
    return ew.where(condition, x, y)


@implements(np.concatenate, np.concat)
def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    arrays = [asarray(a) for a in arrays]
    if axis is None:
        arrays, axis = [np.ravel(a) for a in arrays], 0
    result = shape.concatenate(*arrays, axis=axis % arrays[0].ndim)
    if dtype is not None:
        result = result.astype(dtype)
    return result if out is None else write_out(out, result)


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return bind(ew.positive_, a)
