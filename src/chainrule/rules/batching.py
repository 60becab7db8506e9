"""Batched forms of the structural primitives, reductions and products, see `core.batch`."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.core.batch import align, batching, by_rows, every
from chainrule.core.dispatch import bind, shape_of
from chainrule.rules import elementwise as ew
from chainrule.rules import indexing, reduce, shape
from chainrule.rules.indexing import is_basic

Values = tuple[Any, ...]
Flags = tuple[bool, ...]
Params = dict[str, Any]

batching(ew.where)(align)


@batching(shape.reshape)
def _reshape(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(values[0], shape=(size, *params["shape"]))


@batching(shape.transpose)
def _transpose(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(values[0], axes=(0, *(k + 1 for k in params["axes"])))


@batching(shape.broadcast_to)
def _broadcast_to(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    x, wanted = values[0], params["shape"]
    have = shape_of(x)[1:]
    x = shape.reshape(x, shape=(size,) + (1,) * (len(wanted) - len(have)) + have)
    return primitive(x, shape=(size, *wanted))


@batching(shape.flip)
def _flip(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(values[0], axis=tuple(k + 1 for k in params["axis"]))


@batching(shape.roll)
def _roll(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(values[0], shift=params["shift"], axis=tuple(k + 1 for k in params["axis"]))


@batching(shape.pad)
def _pad(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(values[0], widths=((0, 0), *params["widths"]))


@batching(shape.diagonal)
def _diagonal(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(values[0], offset=params["offset"], axis1=params["axis1"] + 1, axis2=params["axis2"] + 1)


@batching(shape.undiagonal)
def _undiagonal(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(
        values[0],
        shape=(size, *params["shape"]),
        offset=params["offset"],
        axis1=params["axis1"] + 1,
        axis2=params["axis2"] + 1,
    )


@batching(shape.tri, reduce.prod_last)
def _trailing(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(values[0], **params)


@batching(shape.concatenate)
def _concatenate(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    rows = [every(v, b, size) for v, b in zip(values, batched, strict=True)]
    return primitive(*rows, axis=params["axis"] + 1)


@batching(shape.vector)
def _vector(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    rows = [every(v, b, size) for v, b in zip(values, batched, strict=True)]
    return np.stack(rows, axis=-1)


def _kept_axes(params: Params, rank: int) -> tuple[int, ...]:
    axis = params["axis"]
    return tuple(range(1, rank)) if axis is None else tuple(k + 1 for k in axis)


@batching(reduce.sum_, reduce.amax, reduce.amin)
def _reduction(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    x = values[0]
    return primitive(x, **{**params, "axis": _kept_axes(params, len(shape_of(x)))})


@batching(reduce.cumsum, reduce.cumprod)
def _cumulative(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    return primitive(values[0], axis=params["axis"] + 1)


# -- indexing -----------------------------------------------------------------------------------------


def _shifted(index: Any) -> Any:
    """`index` behind a full slice for the batch axis, or None where advanced parts would move it."""
    parts = index if index.__class__ is tuple else (index,)
    if is_basic(index):
        return (slice(None), *parts)
    advanced = [k for k, i in enumerate(parts) if not isinstance(i, (slice, type(None), type(...)))]
    together = advanced == list(range(advanced[0], advanced[-1] + 1))
    plain = all(isinstance(parts[k], (np.ndarray, int, np.integer)) for k in advanced)
    return (slice(None), *parts) if together and plain else None


@batching(indexing.getitem)
def _getitem(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    index = _shifted(params["index"])
    if index is None:
        return by_rows(primitive, values, batched, size, params)
    return primitive(values[0], index=index)


@batching(indexing.scatter)
def _scatter(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    indices = tuple(_shifted(i) for i in params["indices"])
    if any(i is None for i in indices):
        return by_rows(primitive, values, batched, size, params)
    rows = [every(v, b, size) for v, b in zip(values, batched, strict=True)]
    return primitive(*rows, indices=indices, shape=(size, *params["shape"]), dtype=params["dtype"])


def _copies(x: Any, size: int) -> Any:
    """Equal rows whose layout in memory is that of `x`: what is a view of it is a view of each row."""
    if x.__class__ is not np.ndarray:
        return every(x, False, size)
    order = sorted(range(x.ndim), key=lambda k: -abs(x.strides[k]))
    rows = np.empty((size, *[x.shape[k] for k in order]), x.dtype)
    rows = rows.transpose(0, *(int(k) + 1 for k in np.argsort(order)))
    rows[...] = x
    return rows


@batching(indexing.set_item)
def _set_item(primitive: Any, values: Values, batched: Flags, size: int, params: Params) -> Any:
    index = _shifted(params["index"])
    v, x = values
    if index is None:
        return by_rows(primitive, values, batched, size, {"index": params["index"], "donate": False})
    x = x if batched[1] else _copies(x, size)
    if batched[0]:
        wanted = bind(indexing.getitem, x, index=index)
        missing = len(shape_of(wanted)) - len(shape_of(v))
        v = np.reshape(v, (size,) + (1,) * missing + shape_of(v)[1:])
    return primitive(v, x, index=index, donate=False)
