"""From the flat results of a native program to what the user's function returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from chainrule.errors import UnsupportedError
from chainrule.frontends.values import ArrayRef, ListArray, Number, Record, Static, kind_of

__all__ = ["builder"]

Make = Callable[[Iterator[Any]], Any]


def builder(result: Any) -> Make:
    """A function from the program's results, in order, to the value they belong to."""
    match result:
        case ArrayRef():
            return next
        case Number():
            convert = kind_of(result)
            return lambda values: convert(next(values))
        case ListArray(array=array):
            return lambda values: next(values).tolist() if array.ndim == 1 else list(next(values))
        case Static(value=value):
            return lambda values: value
        case tuple() | list():
            parts, kind = [builder(r) for r in result], type(result)
            return lambda values: kind([p(values) for p in parts])
        case dict():
            named = {k: builder(v) for k, v in result.items()}
            return lambda values: {k: p(values) for k, p in named.items()}
        case Record(cls=cls, fields=fields):
            made = {k: builder(v) for k, v in fields.items()}
            return lambda values: _record(cls, {k: p(values) for k, p in made.items()})
    raise UnsupportedError(f"native mode cannot return {result!r}: return numbers, arrays and containers of them")


def _record(cls: type, fields: dict[str, Any]) -> Any:
    if issubclass(cls, tuple):
        return cls(**fields)
    made = object.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made
