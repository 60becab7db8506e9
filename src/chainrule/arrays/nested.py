"""Nested lists of traced values, arrays and numbers as arrays, which NumPy's own constructors cannot make."""

from __future__ import annotations

from typing import Any

from chainrule.arrays.arguments import asarray
from chainrule.core.dispatch import Tracer, shape_of
from chainrule.rules import shape as rules

__all__ = ["array_of", "has_traced"]


def has_traced(obj: Any) -> bool:
    """Whether a nesting of lists and tuples holds a traced value."""
    if isinstance(obj, (list, tuple)):
        return any(has_traced(x) for x in obj)
    return isinstance(obj, Tracer)


def array_of(obj: Any) -> Any:
    """An array of a nesting of lists of traced values, arrays and numbers; traced if one of them is."""
    if not isinstance(obj, (list, tuple)) or not has_traced(obj):
        return asarray(obj)
    outer, leaves = _leaves(obj)
    if leaves is None or len({shape_of(x) for x in leaves}) != 1:
        outer, leaves = (len(obj),), [array_of(x) for x in obj]
    return _joined(leaves, outer)


def _leaves(obj: Any) -> tuple[tuple[int, ...], Any]:
    """The lengths of nested lists and what is in them; None for the latter if they are ragged."""
    if not isinstance(obj, (list, tuple)):
        return (), [obj]
    parts = [_leaves(x) for x in obj]
    if len({shape for shape, _ in parts}) != 1 or any(leaves is None for _, leaves in parts):
        return (len(obj),), None
    return (len(obj), *parts[0][0]), [leaf for _, leaves in parts for leaf in leaves]


def _joined(leaves: list[Any], outer: tuple[int, ...]) -> Any:
    shapes = {shape_of(x) for x in leaves}
    if len(shapes) != 1:
        raise ValueError(f"setting an array element with a sequence: the parts have the shapes {sorted(shapes)}")
    (inner,) = shapes
    if inner == ():
        flat = rules.vector(*leaves)
    else:
        flat = rules.concatenate(*[rules.reshape(asarray(x), shape=(1, *inner)) for x in leaves], axis=0)
    return flat if len(outer) == 1 else rules.reshape(flat, shape=outer + inner)
