"""Traced views: arrays that share elements with another traced array, as NumPy's views do.

A view remembers its root and how to make it again. When the root is written to, its living views are
made anew from the new state; a write to a view goes to the root (`arrays.buffers`).
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from chainrule.core.dispatch import Tracer, innermost
from chainrule.core.memory import copied

__all__ = ["link", "private", "refresh", "root_of"]


def link(view: Any, base: Any, primitive: Any, args: tuple[Any, ...], params: dict[str, Any]) -> None:
    """Make `view` a view of `base` if the operation that gave it shared memory."""
    if not (hasattr(view, "views") and hasattr(base, "views")):  # numbers can be neither written to nor viewed
        return
    if not np.may_share_memory(innermost(view), innermost(base)):
        return
    root = root_of(base)
    step = (primitive, args[1:], params)
    view.owner = root
    view.made = (*base.made, step) if base.owner is not None else (step,)
    views = root.views
    if views is None:
        root.views = views = []
    elif len(views) > 8 and len(views) & (len(views) - 1) == 0:
        views[:] = [r for r in views if r() is not None]
    views.append(weakref.ref(view))


def root_of(array: Any) -> Any:
    """The array that owns the elements of `array`."""
    return array if array.owner is None else array.owner


def remake(root: Any, made: tuple[Any, ...]) -> Any:
    """What the steps `made` give on `root`."""
    value = root
    for primitive, args, params in made:
        value = primitive(value, *args, **params)
    return value


def refresh(root: Any) -> None:
    """Bring the living views of `root` up to its present state."""
    views, root.views = root.views, None
    for reference in views or ():
        view = reference()
        if view is not None:
            again = remake(root, view.made)
            view.adopt(again)
            root.views = [*(root.views or ()), reference] if again.owner is root else root.views


def freeze(value: Tracer) -> Any:
    """A traced value in the present state of `value`, which later writes do not reach."""
    twin = getattr(value, "twin", None)
    return value if twin is None else twin()


def private(array: Any) -> Any:
    """A copy whose layout is that of `array`: what is a view of the one is a view of the other."""
    flags = array.flags
    if flags.c_contiguous:
        return copied(array)
    if flags.f_contiguous or not array.size or 0 in array.strides:
        return array.copy("K")
    order = sorted(range(array.ndim), key=lambda k: (array.shape[k] > 1, -abs(array.strides[k])))
    # A margin along an axis keeps it from being merged with the next outer one.
    lengths, inner = [2 if abs(array.strides[order[-1]]) != array.itemsize else 1], None
    for k in reversed(order):
        if inner is not None and array.shape[k] > 1:
            lengths[0] += abs(array.strides[k]) != abs(array.strides[inner]) * array.shape[inner]
        lengths.insert(0, array.shape[k])
        inner = k
    block: Any = np.empty(lengths, array.dtype)
    block = block[(*[slice(array.shape[k]) for k in order], 0)]
    block = block[tuple(slice(None, None, -1 if array.strides[k] < 0 else 1) for k in order)]
    copy = block.transpose(np.argsort(order))
    copy[...] = array
    return copy
