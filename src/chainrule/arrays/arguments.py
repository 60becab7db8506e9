"""The spelling of arguments: axes, shapes and options as the primitives want them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from chainrule.core.dispatch import Tracer, plain_operand
from chainrule.errors import UnsupportedError, lost

__all__ = ["asarray", "axes", "axis", "flat_shape", "plain", "refuse"]


def asarray(x: Any) -> Any:
    """A traced value as it is, anything else as a plain array."""
    if isinstance(x, Tracer):
        return x
    if isinstance(x, np.ndarray) and x.__class__ is not np.ndarray:
        x = plain_operand(x, "a function")
    return np.asarray(x)


def axis(value: Any, ndim: int) -> int:
    """One non-negative axis."""
    return normalize_axis_index(operator.index(value), ndim)


def axes(value: Any, ndim: int) -> tuple[int, ...] | None:
    """None, or a tuple of non-negative axes."""
    if value is None:
        return None
    return normalize_axis_tuple(value, ndim)


def flat_shape(shape: Any, size: int) -> tuple[int, ...]:
    """A shape with its one unknown length worked out."""
    given = (shape,) if isinstance(shape, (int, np.integer)) else shape
    shape = tuple(operator.index(n) for n in given)
    if -1 not in shape:
        return (*shape,)
    known = int(np.prod([n for n in shape if n != -1]))
    return tuple((size // known if known else 0) if n == -1 else n for n in shape)


def refuse(function: str, **options: Any) -> None:
    """Raise for options of a NumPy function that are given but not supported here."""
    for name, value in options.items():
        if value is not None and value is not np._NoValue:
            raise UnsupportedError(f"{function}: the option {name}= is not supported for traced values")


def plain(value: Any, function: str, name: str) -> Any:
    """An argument that carries no derivative; a traced one raises."""
    if isinstance(value, Tracer):
        raise lost(f"{function} with a traced {name}", f"Give {name} as a plain value.")
    return value
