"""Short roads to the tape for what programs do most: arithmetic on plain numbers and arrays.

Operators and elementwise functions of numbers, and of float arrays of one shape at the innermost level,
are recorded without the general dispatch; everything else takes the road of `reverse.Reverse.process`. The
partials are those of the rule tables.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays.protocols import FUNCTIONS, array_function, array_ufunc
from chainrule.core.define import shorten
from chainrule.core.dispatch import Meta, Tracer
from chainrule.core.linear import LARGE, Constant, Linear, Select, Selection
from chainrule.core.primitive import Primitive, by_function
from chainrule.core.quiet import quiet
from chainrule.eager.reverse import SCALARS, Reverse, ReverseArray, keep_value
from chainrule.rules import elementwise as ew
from chainrule.rules import linalg
from chainrule.rules.reduce import total_of

_CONSTANTS = frozenset({float, np.float64, int})
_FLOAT64, _FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)


# -- arrays -------------------------------------------------------------------------------------------


# What `unary` has found to lead: ufunc -> (partial, whether it reads the output, and the input).
_KNOWN: dict[Any, tuple[Any, ...]] = {}
_new = object.__new__


def unary(primitive: Primitive, arg: ReverseArray) -> Any:
    """The short road of `record` for an array of floats; None where it does not lead."""
    rule = primitive.short
    if rule is None:
        rule = shorten(primitive)
    x = arg.value
    if not rule or x.__class__ is not np.ndarray or (x.dtype is not _FLOAT64 and x.dtype is not _FLOAT32):
        return None
    y = primitive.impl(x)
    if y.__class__ is not np.ndarray or y.dtype is not x.dtype:
        return None
    if isinstance(primitive.impl, np.ufunc):
        _KNOWN[primitive.impl] = rule
    return _record(arg, x, y, *rule)


def _record(arg: ReverseArray, x: Any, y: Any, partial: Any, reads_y: bool, reads_x: bool) -> ReverseArray:
    kept = y if reads_y else None
    if not reads_x:
        x = None
    elif arg.captured is False and arg.owner is None:
        arg.captured = True
    elif arg.captured is None and x.size > LARGE:
        # Rather than a copy of the caller's array, the partial that it would be needed for.
        with quiet():
            factor = partial(kept, x)
        if factor.__class__ is np.ndarray and factor.base is None and factor is not x:
            partial, kept, x, reads_y = _given, None, factor, False
        else:
            x = keep_value(x, arg, arg.tape)
    elif arg.captured is not True:
        x = keep_value(x, arg, arg.tape)
    tape = arg.tape
    out = next(tape.slots)
    tape.append((out, arg.slot, partial, kept, x, None))
    traced = _new(ReverseArray)  # half the time of a call of the class
    traced.value, traced.tape, traced.slot, traced.captured, traced.owner = y, tape, out, reads_y, None
    return traced


def _given(y: Any, factor: Any) -> Any:
    return factor


def _pair(primitive: Primitive, otherwise: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The short road for two operands: float arrays of one shape, of which one may be plain, or numbers.

    Where it does not lead the answer is that of `otherwise`.
    """
    rule = shorten(primitive)
    if not rule:
        return otherwise
    evaluate = primitive.impl
    first, second, reads_first, reads_second, reads_both = rule
    additive = first.__class__ is second.__class__ is int

    def road(a: Any, b: Any) -> Any:
        i = j = -1
        x, y = a, b
        if a.__class__ is ReverseArray:
            x, tape, i = a.value, a.tape, a.slot
            if x.__class__ is not np.ndarray:
                return otherwise(a, b)
            dtype = x.dtype
            if b.__class__ is ReverseArray:
                y, j = b.value, b.slot
                if tape is not b.tape or y.__class__ is not np.ndarray or y.dtype is not dtype:
                    return otherwise(a, b)
                if x.shape != y.shape:
                    return _broadcast_sum(a, b, evaluate, first, second) if additive else otherwise(a, b)
                reads = reads_both
            elif b.__class__ in _CONSTANTS or (b.__class__ is np.ndarray and b.dtype is dtype and b.shape == x.shape):
                reads = reads_first
            else:
                return otherwise(a, b)
        elif b.__class__ is ReverseArray:
            y, tape, j, reads = b.value, b.tape, b.slot, reads_second
            if y.__class__ is not np.ndarray:
                return otherwise(a, b)
            dtype = y.dtype
            if a.__class__ not in _CONSTANTS and not (
                a.__class__ is np.ndarray and a.dtype is dtype and a.shape == y.shape
            ):
                return otherwise(a, b)
        else:
            return otherwise(a, b)
        if dtype is not _FLOAT64 and dtype is not _FLOAT32:
            return otherwise(a, b)
        z = evaluate(x, y)
        if z.__class__ is not np.ndarray or z.dtype is not dtype:
            return otherwise(a, b)
        reads_z, reads_x, reads_y = reads
        if not reads_x:
            x = None
        elif i < 0:
            x = tape.snapshot(x) if x.__class__ is np.ndarray else dtype.type(x)
        elif a.captured is not True or a.owner is not None:
            x = _capture(a, x)
        if not reads_y:
            y = None
        elif j < 0:
            y = tape.snapshot(y) if y.__class__ is np.ndarray else dtype.type(y)
        elif b.captured is not True or b.owner is not None:
            y = _capture(b, y)
        out = next(tape.slots)
        tape.append((out, i, first, j, second, z if reads_z else None, x, y))
        traced = _new(ReverseArray)
        traced.value, traced.tape, traced.slot, traced.captured, traced.owner = z, tape, out, reads_z, None
        return traced

    return road


def _capture(arg: ReverseArray, x: Any) -> Any:
    """The value of `arg` as a residual."""
    if arg.captured is False and arg.owner is None:
        arg.captured = True
        return x
    return keep_value(x, arg, arg.tape)


def _nothing(a: Any, b: Any) -> None:
    return None


def _selection(primitive: Primitive, a: Any, b: Any) -> Any:
    """The short road of maximum and its like for an array and a number."""
    index = 0 if a.__class__ is ReverseArray else 1
    traced, number = (b, a) if index else (a, b)
    x, tape = traced.value, traced.tape
    if number.__class__ not in _CONSTANTS or x.__class__ is not np.ndarray:
        return None
    dtype = x.dtype
    if dtype is not _FLOAT64 and dtype is not _FLOAT32:
        return None
    z = primitive.impl(x, number)
    if z.dtype is not dtype:
        return None
    slot: Any = primitive.slot(index)
    x = keep_value(x, traced, tape)
    out = next(tape.slots)
    args = (number, x) if index else (x, number)
    tape.append([out, traced.slot, Select(slot.statement.share, None, args, dtype, None, None)])
    return ReverseArray(z, tape, out)


def _product(a: Any, b: Any) -> Any:
    """The short road for the product of two matrices, of which one may be plain."""
    left, right = a.__class__ is ReverseArray, b.__class__ is ReverseArray
    x, y = a.value if left else a, b.value if right else b
    tape = a.tape if left else b.tape
    if x.__class__ is not np.ndarray or y.__class__ is not np.ndarray or (right and b.tape is not tape):
        return None
    dtype = x.dtype
    if dtype is not y.dtype or x.ndim != 2 or y.ndim != 2 or (dtype is not _FLOAT64 and dtype is not _FLOAT32):
        return None
    z = np.matmul(x, y)
    like_x, like_y, like_z = Meta(x.shape, dtype), Meta(y.shape, dtype), Meta(z.shape, dtype)
    out = next(tape.slots)
    entry: list[Any] = [out]
    if left:
        kept = (like_x, keep_value(y, b, tape))
        entry += a.slot, Linear(_LEFT, linalg.matmul, 0, kept, {}, like_x, like_z)
    if right:
        kept = (keep_value(x, a, tape), like_y)
        entry += b.slot, Linear(_RIGHT, linalg.matmul, 1, kept, {}, like_y, like_z)
    tape.append(entry)
    return ReverseArray(z, tape, out)


_LEFT: Any = linalg.matmul.slot(0)
_RIGHT: Any = linalg.matmul.slot(1)

# The short roads of functions of two arguments, each made when it is first taken.
_ROADS: dict[Any, Callable[[Any, Any], Any]] = {np.matmul: _product}


def _road(ufunc: Any) -> Callable[[Any, Any], Any] | None:
    primitive = by_function.get(ufunc)
    if primitive is None or primitive.kind != "elementwise" or ufunc.nin != 2 or not primitive.slots:
        return None
    selects = all(slot.statement.__class__ is Selection for slot in primitive.slots)
    road = functools.partial(_selection, primitive) if selects else _pair(primitive, _nothing)
    _ROADS[ufunc] = road
    return road


_sum = np.sum
_mean = np.mean
_total = FUNCTIONS[np.sum]
_average = FUNCTIONS[np.mean]


def _array_ufunc(self: ReverseArray, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    if method == "__call__" and not options:
        known = _KNOWN.get(ufunc)
        if known is not None:
            x = self.value
            if x.__class__ is np.ndarray and (x.dtype is _FLOAT64 or x.dtype is _FLOAT32):
                return _record(self, x, ufunc(x), *known)
        traced = None
        if len(inputs) == 2:
            road = _ROADS.get(ufunc) or _road(ufunc)
            if road is not None:
                traced = road(*inputs)
        else:
            primitive = by_function.get(ufunc)
            if primitive is not None and primitive.kind == "elementwise" and len(inputs) == 1:
                traced = unary(primitive, self)
        if traced is not None:
            return traced
    return array_ufunc(self, ufunc, method, *inputs, **options)


def _array_function(self: ReverseArray, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    if not kwargs and len(args) == 1:
        if function is _sum:
            return _sum_method(self)
        if function is _mean:
            return _mean_method(self)
    return array_function(self, function, types, args, kwargs)


def _sum_method(self: ReverseArray, *args: Any, **options: Any) -> Any:
    """As ``ndarray.sum``; the sum of all elements takes the short road."""
    value = self.value
    if args or options or value.__class__ is not np.ndarray:
        return _total(self, *args, **options)
    dtype = value.dtype
    if dtype is not _FLOAT64 and dtype is not _FLOAT32:
        return _total(self)
    tape = self.tape
    out = next(tape.slots)
    if value.size > LARGE:
        tape.append([out, self.slot, total_of(value.shape, dtype)])
    else:
        tape.append((out, self.slot, value.shape, dtype))
    return Reverse(np.add.reduce(value, axis=None), tape, out)


def _mean_method(self: ReverseArray, *args: Any, **options: Any) -> Any:
    """As ``ndarray.mean``; the mean of all elements takes the short road."""
    value = self.value
    if args or options or value.__class__ is not np.ndarray or not value.size:
        return _average(self, *args, **options)
    if value.dtype is not _FLOAT64 and value.dtype is not _FLOAT32:
        return _average(self)
    total = _sum_method(self)
    tape, size = self.tape, value.size
    out = next(tape.slots)
    tape.append((out, total.slot, 1 / size))
    return Reverse(total.value / size, tape, out)


setattr(ReverseArray, "__array_ufunc__", _array_ufunc)  # noqa: B010
setattr(ReverseArray, "__array_function__", _array_function)  # noqa: B010
setattr(ReverseArray, "sum", _sum_method)  # noqa: B010
setattr(ReverseArray, "mean", _mean_method)  # noqa: B010


# -- numbers ------------------------------------------------------------------------------------------


def _binary(name: str, primitive: Primitive, operation: Callable[[Any, Any], Any], kinds: frozenset[type]) -> Any:
    """An operator method that records an operation on plain numbers without detours.

    Everything else (arrays, other levels) takes the general road of `arrays.methods`.
    """
    first, second = (_partial(slot.statement) for slot in primitive.slots or ())
    general = getattr(Tracer, name)
    constants = kinds | {int}

    def method(self: Reverse, other: Any) -> Any:
        a = self.value
        if a.__class__ in kinds:
            tape = self.tape
            if other.__class__ is Reverse:
                b = other.value
                if other.tape is tape and b.__class__ in kinds:
                    y = operation(a, b)
                    out = next(tape.slots)
                    tape.append((out, self.slot, first(y, a, b), other.slot, second(y, a, b)))
                    return Reverse(y, tape, out)
            elif other.__class__ in constants:
                y = operation(a, other)
                out = next(tape.slots)
                tape.append((out, self.slot, first(y, a, other)))
                return Reverse(y, tape, out)
        return general(self, other)

    return method


def _additive(name: str, primitive: Primitive, operation: Callable[[Any, Any], Any]) -> Any:
    """The same for operations whose partials are numbers."""
    first, second = (slot.statement for slot in primitive.slots or ())
    general = getattr(Tracer, name)
    constants = SCALARS | {int}

    def method(self: Reverse, other: Any) -> Any:
        a = self.value
        if a.__class__ in SCALARS:
            tape = self.tape
            if other.__class__ is Reverse:
                b = other.value
                if other.tape is tape and b.__class__ in SCALARS:
                    out = next(tape.slots)
                    tape.append((out, self.slot, first, other.slot, second))
                    return Reverse(operation(a, b), tape, out)
            elif other.__class__ in constants:
                out = next(tape.slots)
                tape.append((out, self.slot, first))
                return Reverse(operation(a, other), tape, out)
        return general(self, other)

    return method


def _reflected(name: str, primitive: Primitive, operation: Callable[[Any, Any], Any], kinds: frozenset[type]) -> Any:
    """The same for ``constant op traced``."""
    second = _partial((primitive.slots or ())[1].statement)
    general = getattr(Tracer, name)
    constants = kinds | {int}

    def method(self: Reverse, other: Any) -> Any:
        b = self.value
        if b.__class__ in kinds and other.__class__ in constants:
            y = operation(other, b)
            tape = self.tape
            out = next(tape.slots)
            tape.append((out, self.slot, second(y, other, b)))
            return Reverse(y, tape, out)
        return general(self, other)

    return method


def _partial(statement: Any) -> Callable[..., Any]:
    return statement if callable(statement) else lambda y, a, b: statement


# A quotient of NumPy numbers may warn, and so may its partials: only Python's take the short road.
_PLAIN = frozenset({float})
for _name, _primitive, _operation in (
    ("add", ew.add, operator.add),
    ("sub", ew.subtract, operator.sub),
    ("mul", ew.multiply, operator.mul),
    ("truediv", ew.divide, operator.truediv),
):
    _kinds = _PLAIN if _name == "truediv" else SCALARS
    _make = _additive(f"__{_name}__", _primitive, _operation) if _name in ("add", "sub") else None
    setattr(Reverse, f"__{_name}__", _make or _binary(f"__{_name}__", _primitive, _operation, _kinds))
    setattr(Reverse, f"__r{_name}__", _reflected(f"__r{_name}__", _primitive, _operation, _kinds))


def _array_negative(self: ReverseArray) -> Any:
    x = self.value
    if x.__class__ is np.ndarray and (x.dtype is _FLOAT64 or x.dtype is _FLOAT32):
        return _record(self, x, -x, -1, False, False)
    return ew.negative(self)


def _array_power(self: ReverseArray, n: Any) -> Any:
    x = self.value
    if (n.__class__ is int or n.__class__ is float) and n == 2 and x.__class__ is np.ndarray:
        dtype = x.dtype
        if dtype is _FLOAT64 or dtype is _FLOAT32:
            return _record(self, x, np.square(x), *_SQUARE)
    return _power(self, n)


def _array_product(self: ReverseArray, other: Any) -> Any:
    traced = _product(self, other)
    return np.matmul(self, other) if traced is None else traced


_SQUARE = shorten(ew.square)
_power = _pair(ew.pow_, vars(Tracer)["__pow__"])
setattr(ReverseArray, "__neg__", _array_negative)  # noqa: B010
setattr(ReverseArray, "__matmul__", _array_product)  # noqa: B010


def _broadcast_sum(a: ReverseArray, b: ReverseArray, evaluate: Any, first: int, second: int) -> Any:
    """The short road for sums and differences of traced arrays of two shapes."""
    x, y, tape = a.value, b.value, a.tape
    z = evaluate(x, y)
    like = Meta(z.shape, z.dtype)
    out = next(tape.slots)
    tape.append([out, a.slot, _term(first, x, like), b.slot, _term(second, y, like)])
    return ReverseArray(z, tape, out)


def _term(sign: int, x: Any, like: Meta) -> Constant:
    return Constant(sign, None, None) if x.shape == like.shape else Constant(sign, Meta(x.shape, x.dtype), like)


def _reflect(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: method(b, a)


for _name, _primitive in (
    ("add", ew.add),
    ("sub", ew.subtract),
    ("mul", ew.multiply),
    ("truediv", ew.divide),
    ("pow", ew.pow_),
):
    _road_to = _pair(_primitive, getattr(Tracer, f"__{_name}__"))
    _road_from = _pair(_primitive, _reflect(getattr(Tracer, f"__r{_name}__")))
    setattr(ReverseArray, f"__{_name}__", _road_to)
    setattr(ReverseArray, f"__r{_name}__", _reflect(_road_from))
setattr(ReverseArray, "__pow__", _array_power)  # noqa: B010
