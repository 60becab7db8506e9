"""Values from outside the program: globals, closure cells, attributes of objects.

Integers, booleans, strings and functions are built in and guarded: when one has changed the program is made anew.
Floats and arrays are read at each call and passed as hidden arguments. Modules of libraries do not change.
"""

from __future__ import annotations

import builtins
import dataclasses
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from chainrule.frontends.context import Capture, Context, Guard
from chainrule.frontends.getters import ABSENT, Cell, Global
from chainrule.frontends.values import ArrayRef, Number, Record, Static, number
from chainrule.ir.nodes import Array, Scalar, Var

__all__ = ["KNOWN", "NO_ARRAYS", "attribute_of", "converted", "global_name", "held", "outside_value"]

DTYPES = {"float64", "float32", "int64", "bool", "complex128", "complex64"}
KNOWN = "float64, float32, int64, bool, complex128 and complex64"
NO_ARRAYS = (np.ma.MaskedArray, np.matrix)  # by class they are, and their operations are others
_FIXED = ("numpy", "math", "cmath", "scipy", "chainrule", "builtins", "numba", "operator", "functools")


def global_name(ctx: Context, function: FunctionType, name: str) -> Any:
    """What a name that is no local variable means in `function`."""
    code = function.__code__
    if name in code.co_freevars and function.__closure__ is not None:
        cell = function.__closure__[code.co_freevars.index(name)]
        try:
            value = cell.cell_contents
        except ValueError:
            raise ctx.fail(f"{name!r} has no value yet in the enclosing function") from None
        return outside_value(ctx, value, Cell(cell), name, (id(cell), name))
    space = function.__globals__
    if name in space:
        return outside_value(ctx, space[name], Global(space, name), name, (id(space), name))
    found = getattr(builtins, name, ABSENT)
    if found is ABSENT:
        raise ctx.fail(f"name {name!r} is not defined here")
    ctx.guards.setdefault((id(space), name), Guard(Global(space, name), "is", ABSENT, name))
    return number(found) if isinstance(found, (bool, int)) else Static(found)


def attribute_of(ctx: Context, owner: Any, name: str, get: Callable[[], Any] | None = None) -> Any:
    """An attribute of a module, class or other object known now."""
    try:
        value = getattr(owner, name)
    except AttributeError:
        raise ctx.fail(f"{getattr(owner, '__name__', owner)!r} has no attribute {name!r}") from None
    if is_fixed(owner):
        if isinstance(value, (bool, int, float, complex, np.generic)):
            return number(value)
        return Static(value)
    return outside_value(ctx, value, lambda: getattr(owner, name, ABSENT), name, (id(owner), "." + name))


def is_fixed(owner: Any) -> bool:
    """Whether `owner` belongs to a library, whose contents do not change."""
    module = owner.__name__ if isinstance(owner, ModuleType) else getattr(owner, "__module__", None) or ""
    return module.partition(".")[0] in _FIXED


def outside_value(ctx: Context, value: Any, get: Callable[[], Any], name: str, key: Any) -> Any:
    """`value`, found outside the program; `get` reads it again."""
    if key in ctx.captures:
        return _value_of(ctx, ctx.captures[key])
    if isinstance(value, NO_ARRAYS):
        raise ctx.fail(f"{name!r} is a {type(value).__name__}, whose operations mean other things than those of arrays")
    if isinstance(value, (float, complex)) or (
        isinstance(value, (np.ndarray, np.floating, np.complexfloating)) and value.dtype.name in DTYPES
    ):
        return _captured(ctx, value, get, name, key)
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        _guard(ctx, get, "len", len(value), name, key)
        items = [outside_value(ctx, v, _item(get, k), f"{name}[{k}]", (*_tuple(key), k)) for k, v in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        _guard(ctx, get, "keys", tuple(value), name, key)
        return {k: outside_value(ctx, v, _item(get, k), f"{name}[{k!r}]", (*_tuple(key), k)) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        _guard(ctx, get, "type", type(value), name, key)
        fields = {
            f.name: outside_value(
                ctx, getattr(value, f.name), _attribute(get, f.name), f"{name}.{f.name}", (*_tuple(key), f.name)
            )
            for f in dataclasses.fields(value)
        }
        return Record(type(value), fields)
    if isinstance(value, (np.ndarray, np.inexact, np.timedelta64)):
        if not _is_narrow(value):
            raise ctx.fail(f"{name!r} is of dtype {value.dtype}; {KNOWN} are computed with here: convert it")
        return _captured(ctx, _wide(value), lambda: _wide(get()), name, key, value.dtype.name)
    if isinstance(value, (bool, int, str, np.bool_, np.integer)) or value is None:
        _guard(ctx, get, "==", value, name, key)
        return Static(value) if value is None or isinstance(value, str) else number(value)
    _guard(ctx, get, "is", value, name, key)
    return Static(value)


def held(value: Any) -> Callable[[], Any]:
    """A getter of a value that cannot be replaced."""
    return lambda: value


def _tuple(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _item(get: Callable[[], Any], k: Any) -> Callable[[], Any]:
    return lambda: get()[k]


def _attribute(get: Callable[[], Any], name: str) -> Callable[[], Any]:
    return lambda: getattr(get(), name)


def _guard(ctx: Context, get: Callable[[], Any], kind: str, expected: Any, name: str, key: Any) -> None:
    if isinstance(expected, ModuleType) and expected is sys.modules.get(expected.__name__) and is_fixed(expected):
        kind = "is"
    ctx.guards.setdefault(key, Guard(get, kind, expected, name))


def converted(name: str, dtype: str) -> str:
    """Why an array of narrow integers may not be written to."""
    return (
        f"{name!r} is an array of {dtype}, of which the program has a copy of int64: make it one before writing to it"
    )


def _wide(value: Any) -> Any:
    """An array of narrow integers as one of int64."""
    return value.astype(np.int64) if _is_narrow(value) else value


def _is_narrow(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.dtype != np.uint64


def _captured(ctx: Context, value: Any, get: Callable[[], Any], name: str, key: Any, source: str | None = None) -> Any:
    hint = name.partition("[")[0].rpartition(".")[2]
    array = isinstance(value, np.ndarray) and value.ndim
    dtype = np.asarray(value).dtype.name
    var = Var(hint, Array(dtype, value.ndim) if array else Scalar(dtype))
    if array:
        ctx.parameters.add(var)
    if source is not None:
        ctx.frozen[var] = converted(hint, source)
    weak = type(value) in (float, complex)
    ones = tuple([d == 1 for d in np.shape(value)])
    capture = ctx.captures[key] = Capture(get, var, name, weak, ones)
    return _value_of(ctx, capture)


def _value_of(ctx: Context, capture: Capture) -> Any:
    var = capture.var
    return ArrayRef(var, ctx.dims(var, capture.ones), var) if isinstance(var.type, Array) else Number(var, capture.weak)
