"""Python's own functions."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from chainrule.frontends import iteration, recipes
from chainrule.frontends.arrays import array_of, collect
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, cast, truth
from chainrule.frontends.grown import filled, length, method, not_yet, noted
from chainrule.frontends.library.functions import one, rounded
from chainrule.frontends.library.reductions import all_of, along, any_of, sum_of
from chainrule.frontends.library.table import flag, handles, is_none, known_int
from chainrule.frontends.values import (
    ArrayRef,
    Grown,
    Iterable,
    Lazy,
    ListArray,
    Number,
    Record,
    Static,
    kind_of,
    number,
    static_value,
)
from chainrule.ir.build import integer
from chainrule.ir.nodes import Const

# -- Python's own -------------------------------------------------------------------------------------


@handles(builtins.abs)
def _abs(frame: Any, x: Any) -> Any:
    return one(frame, "absolute", x, weak=True)


@handles(builtins.pow)
def _pow(frame: Any, x: Any, y: Any) -> Any:
    return one(frame, "power", x, y, weak=True)


@handles(builtins.divmod)
def _divmod(frame: Any, x: Any, y: Any) -> Any:
    return (one(frame, "floor_divide", x, y, weak=True), one(frame, "remainder", x, y, weak=True))


@handles(builtins.round)
def _python_round(frame: Any, x: Any, digits: Any = None) -> Any:
    if digits is not None and not is_none(digits):
        if not isinstance(x, Number) or not x.weak:
            return rounded(frame, x, digits)
        if not x.known:
            raise frame.ctx.fail(
                "round(x, n) of a Python number rounds the decimal digits that it has, which compiled code does not "
                "see: write np.round(x, n), which rounds x * 10**n"
            )
        return number(round(static_value(x), known_int(frame.ctx, digits, "the number of digits")))
    return cast(frame.ctx, one(frame, "rint", x, weak=True), "int64", weak=True)


@handles(builtins.float)
def _float(frame: Any, x: Any = None) -> Any:
    if x is None:
        return number(0.0)
    if isinstance(x, Static) and isinstance(x.value, str):
        return number(float(x.value))
    return cast(frame.ctx, x if isinstance(x, Number) else array_of(frame.ctx, x), "float64", weak=True)


handles(np.float64)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "float64"))
handles(np.float32)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "float32"))
handles(np.complex64)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "complex64"))
handles(np.complex128)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "complex128"))
handles(np.int64)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "int64"))
handles(np.bool_)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "bool"))


@handles(builtins.int)
def _int(frame: Any, x: Any = None) -> Any:
    if isinstance(x, Static) and isinstance(x.value, str):
        return number(int(x.value))
    return number(0) if x is None else cast(frame.ctx, x, "int64", weak=True)


@handles(builtins.bool)
def _bool(frame: Any, x: Any = None) -> Any:
    return number(False) if x is None else Number(truth(frame.ctx, x), weak=True)


@handles(builtins.complex)
def _complex(frame: Any, x: Any, y: Any = None) -> Any:
    real = cast(frame.ctx, x, "complex128", weak=True)
    if y is None:
        return real
    imaginary = apply(frame.ctx, "multiply", cast(frame.ctx, y, "complex128", weak=True), number(1j), weak=True)
    return apply(frame.ctx, "add", real, imaginary, weak=True)


@handles(builtins.len)
def _len(frame: Any, x: Any) -> Any:
    if isinstance(x, (tuple, list, dict)):
        return number(len(x))
    if isinstance(x, Record) and issubclass(x.cls, tuple):
        return number(len(x.fields))
    if isinstance(x, Static) and isinstance(x.value, (str, tuple)):
        return number(len(x.value))
    if isinstance(x, Iterable):
        return Number(x.count, weak=True)
    if isinstance(x, Grown):
        return Number(length(frame.ctx, x), weak=True)
    return Number(array_of(frame.ctx, x).dims[0], weak=True)


@handles(builtins.range)
def _range(frame: Any, *args: Any) -> Any:
    return iteration.range_of(frame.ctx, list(args))


@handles(builtins.enumerate)
def _enumerate(frame: Any, x: Any, start: Any = None) -> Any:
    return iteration.enumerated(frame.ctx, x, number(0) if start is None else start)


@handles(builtins.zip)
def _zip(frame: Any, *args: Any, strict: Any = None) -> Any:
    return iteration.zipped(frame.ctx, list(args), strict is not None and flag(frame.ctx, strict))


@handles(builtins.reversed)
def _reversed(frame: Any, x: Any) -> Any:
    return iteration.reversed_of(frame.ctx, x)


@handles(builtins.sum)
def _python_sum(frame: Any, x: Any, start: Any = None) -> Any:
    ctx = frame.ctx
    if isinstance(x, (tuple, list)):
        total: Any = number(0) if start is None else start
        for item in x:
            total = apply(ctx, "add", total, item, weak=True)
        return total
    value = x if isinstance(x, Lazy) else array_of(ctx, x)
    weak = (isinstance(x, ListArray) and x.weak) or (isinstance(x, Grown) and getattr(x.kind, "weak", False))
    total = sum_of(frame, value, number(0))
    if start is not None:
        total = apply(ctx, "add", start, total, weak=True)
    return Number(total.atom, weak) if isinstance(total, Number) else total


def _extreme(frame: Any, op: str, recipe: Any, args: tuple[Any, ...]) -> Any:
    """Python's max and min of several numbers: the first of equals, so their derivative is shared as maximum's."""
    if len(args) == 1 and not isinstance(args[0], (tuple, list)):
        filled(frame.ctx, args[0], "max() or min() of an empty list")
        return along(frame, recipe, _numbers(frame, args[0]), None)
    items = list(args[0]) if len(args) == 1 else list(args)
    if not items:
        return not_yet(frame.ctx, args[0], "max() or min() of nothing")
    result = items[0]
    for item in items[1:]:
        result = apply(frame.ctx, op, result, item, weak=True)
    return result


@handles(builtins.max)
def _max(frame: Any, *args: Any) -> Any:
    return _extreme(frame, "maximum", recipes.largest, args)


@handles(builtins.min)
def _min(frame: Any, *args: Any) -> Any:
    return _extreme(frame, "minimum", recipes.smallest, args)


@handles(builtins.any)
def _python_any(frame: Any, x: Any) -> Any:
    return any_of(frame, _numbers(frame, x))


@handles(builtins.all)
def _python_all(frame: Any, x: Any) -> Any:
    return all_of(frame, _numbers(frame, x))


def _numbers(frame: Any, x: Any) -> Any:
    """`x`, whose items Python's functions look at one by one, as an array of numbers."""
    value = array_of(frame.ctx, x)
    if not isinstance(value, Number) and value.ndim > 1:
        raise frame.ctx.fail("the items are rows, which are neither true nor false: use NumPy's function of the name")
    return value


@handles(builtins.tuple)
def _tuple(frame: Any, x: Any = ()) -> Any:
    return tuple(_known_items(frame.ctx, x))


@handles(builtins.list)
def _list(frame: Any, x: Any = ()) -> Any:
    if isinstance(x, (ListArray, Grown)):
        return method(frame.ctx, x, "copy", ())
    many = isinstance(x, Iterable) and not isinstance(x.count, Const)
    made = collect(frame.ctx, x.count, x.item, None) if many else list(_known_items(frame.ctx, x))
    return noted(frame.ctx, made, frame.ctx.node)


def _known_items(ctx: Context, x: Any) -> list[Any]:
    if isinstance(x, (tuple, list)):
        return list(x)
    if isinstance(x, dict):
        return [Static(k) if isinstance(k, str) else number(k) for k in x]
    items = iteration.iterable(ctx, x)
    if not isinstance(items.count, Const):
        raise ctx.fail("a tuple whose length is not known before the program runs: use an array")
    return [items.item(integer(k)) for k in range(items.count.value)]


@handles(builtins.dict)
def _dict(frame: Any, *args: Any, **kwargs: Any) -> Any:
    made = dict(args[0]) if args and isinstance(args[0], dict) else {}
    return made | kwargs


@handles(builtins.isinstance)
def _isinstance(frame: Any, x: Any, cls: Any) -> Any:
    classes = tuple(c.value for c in cls) if isinstance(cls, tuple) else (cls.value,)
    kinds: tuple[type, ...]
    match x:
        case ArrayRef() | Lazy():
            kinds = (np.ndarray,)
        case Number():
            kinds = (kind_of(x),)
        case Record(cls=c):
            kinds = (c,)
        case Static(value=v):
            kinds = (type(v),)
        case ListArray() | Grown():
            kinds = (list,)
        case _:
            kinds = (type(x),)
    return number(any(issubclass(k, classes) for k in kinds))
