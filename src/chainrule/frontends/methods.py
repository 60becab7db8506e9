"""Attributes and methods of arrays, numbers, lists and dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.frontends import grown, indexing
from chainrule.frontends.arrays import copied, copy_of, transpose
from chainrule.frontends.elementwise import apply, cast, describe, materialise
from chainrule.frontends.library import find
from chainrule.frontends.library.table import dtype_argument, flag
from chainrule.frontends.values import Bound, Either, Grown, Lazy, ListArray, Number, Static, number, object_of

__all__ = ["attribute"]

_NONE = Static(None)

_FUNCTIONS: dict[str, Any] = {
    name: getattr(np, name)
    for name in [
        "sum",
        "prod",
        "mean",
        "var",
        "std",
        "max",
        "min",
        "argmax",
        "argmin",
        "any",
        "all",
        "cumsum",
        "cumprod",
        "sort",
        "argsort",
        "ravel",
        "transpose",
        "swapaxes",
        "squeeze",
        "dot",
        "take",
        "repeat",
        "trace",
        "diagonal",
        "round",
        "clip",
        "nonzero",
        "searchsorted",
    ]
}


def attribute(frame: Any, owner: Any, name: str) -> Any:
    """``owner.name`` of a value that is no record and no object."""
    ctx = frame.ctx
    if isinstance(owner, (list, tuple, dict, ListArray, Grown)):
        return _of_container(frame, owner, name)
    property_ = _PROPERTIES.get(name)
    if property_ is not None:
        return property_(frame, owner)
    handler = _METHODS.get(name)
    if handler is not None:
        return Bound(handler, (owner,))
    if name in _FUNCTIONS:
        function = _FUNCTIONS[name]
        return Bound(lambda frame, *args, **kwargs: _call(frame, function, args, kwargs), (owner,))
    raise ctx.fail(f"{describe(owner)} has no attribute {name!r} here")


def _call(frame: Any, function: Any, args: Any, kwargs: Any) -> Any:
    return frame.ctx.language.call(frame, Static(function), list(args), kwargs)


def _of_container(frame: Any, owner: Any, name: str) -> Any:
    ctx = frame.ctx
    if isinstance(owner, dict):
        views: dict[str, Callable[[], Any]] = {
            "keys": lambda: [Static(k) if isinstance(k, str) else number(k) for k in owner],
            "values": lambda: list(owner.values()),
            "items": lambda: [(Static(k) if isinstance(k, str) else number(k), v) for k, v in owner.items()],
        }
        if name in views:
            return Bound(lambda frame: views[name](), ())
        if name == "get":
            return Bound(lambda frame, k, default=_NONE: owner.get(object_of(k), default), ())
    if isinstance(owner, (list, ListArray, Grown)) and name in ("append", "extend"):
        return Bound(lambda frame, item: _longer(frame, owner, item, name), ())
    if isinstance(owner, (list, ListArray, Grown)):
        return Bound(lambda frame, *args: grown.method(ctx, owner, name, args), ())
    if isinstance(owner, tuple) and name == "index":
        raise ctx.fail("the index of an item in a tuple: use numbers")
    raise ctx.refuse("list-method" if isinstance(owner, (list, ListArray)) else "value", f"{describe(owner)}.{name}")


def _longer(frame: Any, owner: Any, item: Any, name: str) -> Any:
    (grown.append if name == "append" else grown.extend)(frame.ctx, owner, item)
    return Static(None)


# -- properties ---------------------------------------------------------------------------------------


def _shape(frame: Any, owner: Any) -> Any:
    return find(np.shape)(frame, owner)  # type: ignore[misc]


def _part(frame: Any, op: str, a: Any) -> Any:
    return copied(apply(frame.ctx, op, a, weak=True), a)


_PROPERTIES: dict[str, Callable[[Any, Any], Any]] = {
    "shape": _shape,
    "ndim": lambda frame, a: find(np.ndim)(frame, a),  # type: ignore[misc]
    "size": lambda frame, a: find(np.size)(frame, a),  # type: ignore[misc]
    "T": lambda frame, a: a if isinstance(a, Number) else transpose(frame.ctx, a),
    "dtype": lambda frame, a: Static(np.dtype(a.dtype)),
    "real": lambda frame, a: _part(frame, "real", a) if a.dtype.startswith("complex") else a,
    "imag": lambda frame, a: _part(frame, "imag", a),
    "flat": lambda frame, a: find(np.ravel)(frame, a),  # type: ignore[misc]
}


# -- methods ------------------------------------------------------------------------------------------


def _copy(frame: Any, a: Any, order: Any = None) -> Any:
    if isinstance(a, Either):
        return Lazy(a.dtype, a.dims, a.element, a.arrays)
    return a if isinstance(a, (Number, Lazy)) else copy_of(frame.ctx, a)


def _flatten(frame: Any, a: Any, order: Any = None) -> Any:
    array = materialise(frame.ctx, a)
    flat = materialise(frame.ctx, copy_of(frame.ctx, array))
    return find(np.ravel)(frame, flat, order)  # type: ignore[misc]


def _reshape(frame: Any, a: Any, *shape: Any, order: Any = None) -> Any:
    extents = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else tuple(shape)
    return find(np.reshape)(frame, a, extents, order)  # type: ignore[misc]


def _transpose(frame: Any, a: Any, *axes: Any) -> Any:
    order = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple) else tuple(axes) or None
    return find(np.transpose)(frame, a, order)  # type: ignore[misc]


def _astype(frame: Any, a: Any, dtype: Any, copy: Any = None) -> Any:
    kind = dtype_argument(frame.ctx, dtype)
    if kind == a.dtype and copy is not None and not flag(frame.ctx, copy):
        return a
    if isinstance(a, Number):
        return cast(frame.ctx, a, kind or a.dtype)
    return cast(frame.ctx, a, kind or a.dtype) if kind != a.dtype else copy_of(frame.ctx, materialise(frame.ctx, a))


def _item(frame: Any, a: Any, *index: Any) -> Any:
    ctx = frame.ctx
    if isinstance(a, Number):
        return Number(a.atom, weak=True)
    if len(index) == 1 and a.ndim > 1 and isinstance(index[0], Number):
        return indexing.subscript(ctx, find(np.ravel)(frame, a), index[0])  # type: ignore[misc]
    if index:
        return indexing.subscript(ctx, a, tuple(index))
    flat = find(np.ravel)(frame, a)  # type: ignore[misc]
    ctx.equal(flat.dims[0], number(1).atom, "item() of an array that has not one element")
    return indexing.subscript(ctx, flat, number(0))


def _fill(frame: Any, a: Any, value: Any) -> Any:
    indexing.assign(frame.ctx, a, Static(Ellipsis), value)
    return Static(None)


def _conj(frame: Any, a: Any) -> Any:
    return apply(frame.ctx, "conjugate", a, weak=True) if a.dtype.startswith("complex") else a


def _sort(frame: Any, a: Any, axis: Any = None) -> Any:
    indexing.assign(frame.ctx, a, Static(Ellipsis), find(np.sort)(frame, a, axis))  # type: ignore[misc]
    return Static(None)


def _is_integer(frame: Any, a: Any) -> Any:
    return apply(frame.ctx, "equal", a, apply(frame.ctx, "floor", a), weak=True)


def _tolist(frame: Any, a: Any) -> Any:
    if isinstance(a, Number):
        return Number(a.atom, weak=True)
    if a.ndim != 1:
        raise frame.ctx.fail("tolist() of an array with several dimensions: lists of lists are no values here")
    return ListArray(materialise(frame.ctx, copy_of(frame.ctx, materialise(frame.ctx, a))), True)


_METHODS: dict[str, Callable[..., Any]] = {
    "copy": _copy,
    "flatten": _flatten,
    "reshape": _reshape,
    "transpose": _transpose,
    "astype": _astype,
    "item": _item,
    "fill": _fill,
    "conj": _conj,
    "conjugate": _conj,
    "sort": _sort,
    "is_integer": _is_integer,
    "tolist": _tolist,
}
