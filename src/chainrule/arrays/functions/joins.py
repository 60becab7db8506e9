"""Joins of arrays, traced and plain ones mixed: concatenations, stacks, blocks, grids.

Every member of a list of arrays may itself be a nested list of traced values.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from chainrule.arrays.arguments import asarray
from chainrule.arrays.buffers import write_out
from chainrule.arrays.functions import shapes
from chainrule.arrays.functions.creation import astype
from chainrule.arrays.nested import array_of
from chainrule.arrays.protocols import implements
from chainrule.errors import UnsupportedError, user_line
from chainrule.rules import shape

__all__ = ["concatenate", "stack"]


@implements(np.concatenate, np.concat)
def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> Any:
    members = _members(arrays, dtype, casting)
    if axis is None:
        members, axis = [np.ravel(a) for a in members], 0
    if any(a.ndim == 0 for a in members):
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    axis = normalize_axis_index(axis, members[0].ndim)
    result = shape.concatenate(*members, axis=axis)
    return result if out is None else write_out(out, result)


def _members(arrays: Any, dtype: Any, casting: Any) -> list[Any]:
    members = [array_of(a) for a in arrays]
    if not members:
        raise ValueError("need at least one array to concatenate")
    if dtype is None:
        return members
    if any(not np.can_cast(a.dtype, dtype, casting) for a in members):
        raise TypeError(f"Cannot cast array data to {np.dtype(dtype)!r} according to the rule {casting!r}")
    return [astype(a, dtype, copy=False) for a in members]


@implements(np.stack)
def stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    members = _members(arrays, dtype, casting)
    if len({a.shape for a in members}) != 1:
        raise ValueError("all input arrays must have the same shape")
    axis = normalize_axis_index(axis, members[0].ndim + 1)
    if members[0].ndim == 0:
        result = shape.vector(*members)
    else:
        result = shape.concatenate(*[shapes.expand_dims(a, axis) for a in members], axis=axis)
    return result if out is None else write_out(out, result)


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    return concatenate([np.atleast_2d(array_of(a)) for a in tup], 0, dtype=dtype, casting=casting)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    members = [np.atleast_1d(array_of(a)) for a in tup]
    return concatenate(members, 0 if members and members[0].ndim == 1 else 1, dtype=dtype, casting=casting)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    return concatenate([np.atleast_3d(array_of(a)) for a in tup], 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    members = [array_of(a) for a in tup]
    return concatenate([a if a.ndim > 1 else np.reshape(a, (-1, 1)) for a in members], 1)


@implements(np.block)
def block(arrays: Any) -> Any:
    depth = _depth(arrays)
    rank = max(depth, *_ranks(arrays))
    return _block(arrays, depth, rank)


def _depth(arrays: Any) -> int:
    if isinstance(arrays, tuple):
        raise TypeError("np.block: only lists can be used to arrange blocks, not tuples")
    if not isinstance(arrays, list):
        return 0
    if not arrays:
        raise ValueError("np.block: a list is empty")
    depths = {_depth(a) for a in arrays}
    if len(depths) != 1:
        raise ValueError("np.block: list depths are mismatched")
    return 1 + depths.pop()


def _ranks(arrays: Any) -> list[int]:
    if isinstance(arrays, list):
        return [r for a in arrays for r in _ranks(a)]
    return [asarray(arrays).ndim, 0]


def _block(arrays: Any, depth: int, rank: int) -> Any:
    if depth == 0:
        a = asarray(arrays)
        return np.reshape(a, (1,) * (rank - a.ndim) + a.shape)
    return concatenate([_block(a, depth - 1, rank) for a in arrays], -depth)


# -- with one array more or less ----------------------------------------------------------------------


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate((array_of(arr), array_of(values)), axis)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    a, values = array_of(arr), array_of(values)
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    # NumPy itself says where each element goes: on positions, the new ones numbered from -1 downwards.
    positions = np.arange(a.shape[axis])
    single = np.ndim(obj) == 0 and not isinstance(obj, slice)
    old = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    if single:
        new = (
            values
            if values.ndim == 0
            else np.moveaxis(np.reshape(values, (1,) * (a.ndim - values.ndim) + values.shape), 0, axis)
        )
        count = new.shape[axis] if new.ndim else 1
    else:
        count = np.insert(positions, obj, 0).size - positions.size
        new = values
    new = np.broadcast_to(new, (*old[:axis], count, *old[axis + 1 :]))
    places = obj
    if single:
        places = [_position(obj, a.shape[axis])] * count
    order = np.insert(positions, places, a.shape[axis] + np.arange(count))
    return shapes.gather(concatenate([a, astype(new, a.dtype, copy=False)], axis), order, axis)


def _position(obj: Any, length: int) -> int:
    place = operator.index(np.asarray(obj)[()])
    if not -length <= place <= length:
        raise IndexError(f"index {place} is out of bounds for axis with size {length}")
    return place


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    a = asarray(arr)
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    return shapes.gather(a, np.delete(np.arange(a.shape[axis]), obj), axis)


# -- grids --------------------------------------------------------------------------------------------


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    rank = len(xi)
    vectors = [asarray(x) for x in xi]
    axes = [*range(rank)]
    if indexing == "xy" and rank > 1:
        axes[:2] = 1, 0
    grids = [np.reshape(x, (1,) * k + (-1,) + (1,) * (rank - k - 1)) for k, x in zip(axes, vectors, strict=True)]
    if not sparse:
        grids = list(np.broadcast_arrays(*grids))
    return tuple(np.copy(g) if copy else g for g in grids)


@implements(np.ix_)
def ix_(*args: Any) -> Any:
    raise UnsupportedError(f"numpy.ix_ makes an index, which cannot be traced (at {user_line()})")


@implements(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    x = asarray(x)
    if x.ndim != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    count = x.size if N is None else operator.index(N)
    columns = [np.ones(x.shape, x.dtype), *[x**k for k in range(1, count)]][:count]
    if not columns:
        return np.zeros((x.size, 0), x.dtype)
    return stack(columns if increasing else columns[::-1], axis=1)
