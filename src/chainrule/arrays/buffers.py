"""Writes: what ``y[i] = v``, ``y += v``, ``out=`` and writes through views do to traced arrays.

A write is a functional ``set_item`` whose result the written array adopts: the Python object stays, its
state is new. The memory is reused where nothing else holds it: no residual captured it, at any level.
A write to a view goes to its root, at the places the view sees; the root's living views are then made
anew. `Buffer` is a plain array that may be filled with traced values, for ``chainrule.numpy.zeros``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.core.dispatch import Tracer, bind, shape_of
from chainrule.core.primitive import Primitive
from chainrule.core.views import link, refresh, remake, root_of
from chainrule.errors import LostDerivativeError, UnsupportedError, lost, user_line
from chainrule.rules.indexing import set_item, static_index

__all__ = ["Buffer", "unwrap", "write", "write_out"]


def write(target: Any, index: Any, value: Any) -> None:
    """``target[index] = value``."""
    if getattr(target, "views", target) is target:
        raise lost("item assignment on a traced number", "Only arrays can be written to.")
    key = getattr(value, "key", None)
    if key is not None and value.owner is root_of(target) and key[0] is index and key[1] is target:
        return  # `y[i] += v` has already written through the view y[i]
    index, value = static_index(index), unwrap(value)
    root = root_of(target)
    value = _castable(value, target)
    if root is not target:
        index = _places(target, index)
        value = value if shape_of(value) == () else np.broadcast_to(value, shape_of(index[0]))
    if isinstance(value, Tracer) and value.level > root.level:
        raise LostDerivativeError(
            f"a value of an inner transformation is written into an array of an outer one (at {user_line()}); "
            "the derivative would be lost. Return it from the inner function, or make the array inside it."
        )
    root.set(index, value)


def _castable(value: Any, target: Any) -> Any:
    if isinstance(value, Tracer):
        if value.dtype.kind == "c" and target.dtype.kind != "c":
            raise lost("writing a complex value into a real array", "Take its real part, or make the array complex.")
        return value
    return np.asarray(value) if isinstance(value, (list, tuple)) else value


def _places(view: Any, index: Any) -> tuple[Any, ...]:
    """The places in the root that ``view[index]`` sees, as an index of the root."""
    root = view.owner
    grid = np.arange(innermost_size(root.shape)).reshape(root.shape)
    seen = remake(grid, view.made)
    return np.unravel_index(seen[index], root.shape)


def innermost_size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def set_traced(root: Any, index: Any, value: Any) -> None:
    """The ``set`` of traced arrays: adopt the functional write."""
    donate = _exclusive(root)
    root.adopt(bind(set_item, value, root, index=index, donate=donate))
    root.captured = False
    root.written = True
    if root.views:
        refresh(root)


def replace_traced(target: Any, value: Any) -> None:
    """The ``replace`` of traced arrays: adopt a whole new content of the same level and dtype."""
    same = value.__class__ is target.__class__ and value.level == target.level and value.dtype == target.dtype
    if same and value.owner is None:
        target.adopt(value)
        target.captured = value.captured
        target.written = True
    else:
        write(target, ..., value)


def _exclusive(value: Any) -> bool:
    """Whether no residual holds the memory of `value`, at any level."""
    while isinstance(value, Tracer):
        if value.captured is not False:
            return False
        value = value.value
    return True


def replace(target: Any, value: Any) -> Any:
    """Write all of `value` into `target` in place: ``target[...] = value``."""
    if target.owner is None and not target.views and shape_of(value) == target.shape:
        target.replace(value)
    else:
        write(target, ..., value)
    return target


def write_out(out: Any, result: Any) -> Any:
    """Write the result of an operation into its ``out=`` argument."""
    if not isinstance(out, Tracer):
        if not isinstance(result, Tracer):
            out[...] = result
            return out
        raise lost(
            "writing a traced value into a plain array",
            "Make the array with chainrule.numpy.zeros/empty, np.zeros_like(traced) or a copy of a traced array.",
        )
    write(out, ..., result)
    return out


class Buffer(Tracer):
    """A plain array that may come to hold traced values."""

    __slots__ = ("captured", "key", "made", "owner", "value", "views", "written")
    level = 1 << 62

    def __init__(self, value: Any) -> None:
        self.value = value
        self.captured = False
        self.owner = None
        self.views = None
        self.written = False

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        y = bind(primitive, *[unwrap(a) for a in args], **params)
        if isinstance(y, np.ndarray) and y.ndim:
            y = Buffer(y)
            if primitive.views:
                link(y, args[0], primitive, args, params)
        elif isinstance(y, Tracer) and primitive.views and y.shape:
            y = Buffer(y)
            link(y, args[0], primitive, args, params)
        return y

    def set(self, index: Any, value: Any) -> None:
        value, inner = unwrap(value), self.value
        if isinstance(inner, Tracer) or isinstance(value, Tracer):
            result = bind(set_item, value, inner, index=index, donate=_exclusive(inner))
            if isinstance(result, Tracer):
                result.captured = False
            self.value = result
        else:
            inner[index] = value
        if self.views:
            refresh(self)

    def adopt(self, other: Any) -> None:
        self.value = other.value if isinstance(other, Buffer) else other

    def replace(self, value: Any) -> None:
        self.set(..., value)


def unwrap(value: Any) -> Any:
    """The content of a `Buffer`, anything else as it is."""
    return value.value if value.__class__ is Buffer else value
