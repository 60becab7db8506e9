"""Arguments of a native program: what kinds they are, and the numbers and arrays in them.

`signature` takes the arguments apart: a key that is equal for calls one program can serve, and the flat list of
what the program takes. Integers of other widths become int64, in copies that no one may write to; other dtypes are
refused.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from chainrule.core.dispatch import Tracer
from chainrule.errors import ArgumentError
from chainrule.frontends.outside import KNOWN, NO_ARRAYS
from chainrule.frontends.program import ArrayKind, NumberKind, RecordKind, StaticKind
from chainrule.ir.estimate import Size

__all__ = ["SCALARS", "Structure", "is_traced", "nest", "signature", "size_of"]

_DTYPES = {np.dtype(t): t for t in ("float64", "float32", "int64", "bool", "complex128", "complex64")}
SCALARS: dict[type, NumberKind] = {
    float: NumberKind("float64", True),
    int: NumberKind("int64", True),
    bool: NumberKind("bool", True),
    complex: NumberKind("complex128", True),
    **{d.type: NumberKind(name, False) for d, name in _DTYPES.items()},
}
_LARGEST = np.iinfo(np.int64).max
Structure = Any


def signature(value: Any, flat: list[Any], name: Any) -> Any:
    """The kind of `value`, hashable; the numbers and arrays in it are appended to `flat`.

    `name` is what the argument is called, for a part of it a pair of the whole's and its key or ``.field``.
    """
    kind = SCALARS.get(value.__class__)
    if kind is not None:
        flat.append(value)
        return kind
    match value:
        case np.ndarray():
            return _array(value, flat, name)
        case tuple() if hasattr(value, "_fields"):
            fields = zip(type(value)._fields, value, strict=True)
            return RecordKind(type(value), tuple((k, signature(v, flat, (name, f".{k}"))) for k, v in fields))
        case tuple():
            return ("tuple", *(signature(v, flat, (name, k)) for k, v in enumerate(value)))
        case list():
            return ("list", *(signature(v, flat, (name, k)) for k, v in enumerate(value)))
        case dict():
            return ("dict", *((k, signature(v, flat, (name, k))) for k, v in value.items()))
        case None | str():
            return StaticKind(value)
        case np.integer() if value.dtype.kind != "m":
            if value > _LARGEST:
                raise ArgumentError(f"argument {_called(name)} is {value}, and integers have 64 bits in native mode")
            flat.append(int(value))
            return NumberKind("int64", False)
        case np.generic():
            raise ArgumentError(f"argument {_called(name)} is a number of {value.dtype}; {_advice(value.dtype)}")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
        return RecordKind(type(value), tuple((n, signature(getattr(value, n), flat, (name, f".{n}"))) for n in names))
    if callable(value):
        return StaticKind(value)
    raise ArgumentError(
        f"argument {_called(name)} has the type {type(value).__module__}.{type(value).__qualname__}, which native mode "
        f"does not know: pass numbers, NumPy arrays of {KNOWN}, and tuples, lists, dicts, named tuples or dataclasses "
        "of them"
    )


def _array(value: np.ndarray[Any, Any], flat: list[Any], name: Any) -> Any:
    if isinstance(value, NO_ARRAYS):
        raise ArgumentError(
            f"argument {_called(name)} is a {type(value).__name__}, whose operations mean other things than those of "
            "arrays, which native mode computes: pass np.asarray of it, or what np.ma.filled makes"
        )
    dtype, source = _DTYPES.get(value.dtype), None
    if dtype is None:
        if value.dtype.kind not in "iu":
            raise ArgumentError(f"argument {_called(name)} is an array of {value.dtype}; {_advice(value.dtype)}")
        if value.dtype == np.uint64 and value.size and value.max() > _LARGEST:
            raise ArgumentError(f"argument {_called(name)} holds {value.max()}: integers have 64 bits in native mode")
        value, dtype, source = value.astype(np.int64), "int64", value.dtype.name
    if not value.ndim:
        flat.append(value[()])
        return NumberKind(dtype, False)
    flat.append(value)
    return ArrayKind(dtype, tuple([d == 1 for d in value.shape]), source)


def _called(name: Any) -> str:
    """What a message calls an argument or a part of one."""
    if not isinstance(name, tuple):
        return str(name)
    whole, key = name
    return f"{_called(whole)}{key}" if str(key).startswith(".") else f"{_called(whole)}[{key!r}]"


def _advice(dtype: np.dtype[Any]) -> str:
    """What native mode computes with, and how to come there from another dtype."""
    remedies = {
        "f": "convert it with .astype(np.float64)",
        "c": "convert it with .astype(np.complex128)",
        "O": "convert it with .astype(np.float64), if numbers are in it",
        "M": "subtract an origin and divide by a unit: (t - t0) / np.timedelta64(1, 's')",
        "m": "divide by a unit: t / np.timedelta64(1, 's')",
        "V": "pass its fields one by one",
    }
    text = "pass codes for the texts: np.unique(names, return_inverse=True)[1]"
    return f"native mode computes with {KNOWN}: {remedies.get(dtype.kind, text)}"


def nest(kind: Any) -> Structure:
    """The nest of kinds that `read_program` takes, from a key."""
    match kind:
        case ("tuple", *items):
            return tuple(nest(k) for k in items)
        case ("list", *items):
            return [nest(k) for k in items]
        case ("dict", *items):
            return {k: nest(v) for k, v in items}
        case RecordKind(cls=cls, fields=fields):
            return RecordKind(cls, tuple((k, nest(v)) for k, v in fields))
    return kind


def size_of(value: Any) -> Size:
    """A number, or the shape of an array."""
    if isinstance(value, np.ndarray):
        return tuple(value.shape)
    number = value.item() if isinstance(value, np.generic) else value
    size: Size = number if isinstance(number, (int, float)) else None
    return size


def is_traced(flat: Any) -> bool:
    """Whether a traced value is among the arguments, at any depth."""
    if isinstance(flat, Tracer):
        return True
    if isinstance(flat, (tuple, list)):
        return any(is_traced(v) for v in flat)
    if isinstance(flat, dict):
        return any(is_traced(v) for v in flat.values())
    if dataclasses.is_dataclass(flat) and not isinstance(flat, type):
        return any(is_traced(getattr(flat, f.name)) for f in dataclasses.fields(flat))
    return False
