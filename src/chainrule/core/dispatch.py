"""Traced values, levels, and the one road from an operation to its interpreter.

`bind` looks at the arguments of a primitive. If none of them is traced the primitive is evaluated.
Otherwise the argument of the highest level decides: its class interprets the primitive in terms of
operations on the values of lower levels. Levels come from one counter that never repeats, so the
perturbations of nested transformations cannot be confused (Siskind and Pearlmutter, 2005).
"""

from __future__ import annotations

import itertools
import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import UnsupportedError, user_line

if TYPE_CHECKING:
    from chainrule.core.primitive import Primitive

__all__ = [
    "Meta",
    "Tracer",
    "bind",
    "dtype_of",
    "fresh_level",
    "innermost",
    "is_symbol",
    "meta_of",
    "plain_operand",
    "shape_of",
]

fresh_level = itertools.count(1).__next__

_OBJECT = np.dtype(object)
_FLOAT64, _COMPLEX128 = np.dtype(np.float64), np.dtype(np.complex128)
_PYTHON_DTYPES = {float: _FLOAT64, complex: _COMPLEX128, int: np.dtype(np.int64), bool: np.dtype(np.bool_)}


class Tracer:
    """Base class of traced values. `arrays.methods` gives it what makes it pass for an array.

    A subclass has the attributes ``level`` and ``value`` (the value one level below) and the method
    ``process(primitive, arguments, parameters)``.
    """

    __slots__ = ("__weakref__",)
    level: int
    value: Any
    # An array's class keeps these as slots; a traced scalar can be neither written to nor viewed.
    captured: Any = True
    owner: Any = None
    if TYPE_CHECKING:  # given by `arrays.methods`, with the other attributes and methods of arrays

        def __getattr__(self, name: str) -> Any: ...
        def __neg__(self) -> Any: ...

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        raise NotImplementedError


class Meta:
    """Shape and dtype of an array that need not be kept alive for them."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def bind(primitive: Primitive, *args: Any, **params: Any) -> Any:
    """Evaluate `primitive`, or have the innermost transformation among `args` interpret it."""
    top = None
    strange = False
    for arg in args:
        if arg.__class__ is np.ndarray:
            strange = strange or arg.dtype is _OBJECT
        elif isinstance(arg, Tracer):
            if top is None or arg.level > top.level:
                top = arg
        elif arg.__class__ not in _PYTHON_DTYPES and not isinstance(arg, np.generic):
            strange = True
    if top is None:
        return primitive.impl(*args, **params)
    if strange:
        args = tuple([plain_operand(a, primitive.name) for a in args])
    return top.process(primitive, args, params)


def plain_operand(value: Any, name: str) -> Any:
    """What meets a traced value in an operation; arrays of another kind raise, since theirs is another arithmetic."""
    if isinstance(value, np.ndarray):
        if value.__class__ is np.memmap:
            value = value.view(np.ndarray)
        if value.__class__ is np.ndarray and value.dtype is not _OBJECT:
            return value
        what = "an array of objects" if value.__class__ is np.ndarray else f"a {value.__class__.__name__}"
        raise UnsupportedError(
            f"{name} of a traced value and {what} (at {user_line()}): make it an ordinary array of numbers, "
            "np.asarray(a, dtype=float); objects that are traced values are joined by chainrule.numpy.array"
        )
    if isinstance(value, (list, tuple)):
        return np.asarray(value)
    if _is_fraction(value):
        return float(value)
    if hasattr(value, "__array_priority__") and not hasattr(value, "__array_function__"):
        raise UnsupportedError(
            f"{name} of a traced value and a {type(value).__name__} (at {user_line()}): make it a NumPy array"
        )
    return value


def innermost(value: Any) -> Any:
    """Strip every level of tracing from `value`."""
    while isinstance(value, Tracer):
        value = value.value
    return value


def is_symbol(value: Any) -> bool:
    """Whether `value` is traced to write a program, so that it has a dtype but no value."""
    return isinstance(innermost(value), Meta)


def shape_of(value: Any) -> tuple[int, ...]:
    """Shape of an array, a traced value or a number."""
    shape = getattr(value, "shape", None)
    return np.shape(value) if shape is None else shape


def dtype_of(value: Any) -> np.dtype[Any]:
    """Dtype of an array, a traced value or a number (Python numbers are 64 bits wide)."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        return dtype  # type: ignore[no-any-return]
    return _PYTHON_DTYPES.get(type(value)) or np.asarray(value).dtype


def _is_fraction(value: object) -> bool:
    return isinstance(value, numbers.Rational) and not isinstance(value, int | np.generic)


def meta_of(value: Any) -> Meta:
    """Shape and dtype of `value`."""
    return Meta(shape_of(value), dtype_of(value))
