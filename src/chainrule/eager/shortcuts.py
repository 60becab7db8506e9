"""Short roads to the tape for what programs do most: arithmetic on plain numbers and arrays.

Operators and elementwise functions of numbers, and of float arrays of one shape at the innermost level,
are recorded without the general dispatch; everything else takes the road of `reverse.Reverse.process`. The
partials are those of the rule tables.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays.protocols import FUNCTIONS, array_function, array_ufunc
from chainrule.core.define import shorten
from chainrule.core.dispatch import Meta, Tracer
from chainrule.core.linear import LARGE, Constant, Linear
from chainrule.core.primitive import Primitive, by_function
from chainrule.core.quiet import quiet
from chainrule.eager.reverse import SCALARS, Reverse, ReverseArray, keep_value
from chainrule.rules import elementwise as ew
from chainrule.rules import reduce

__all__ = ["pair", "unary"]

_SCALAR = Meta((), np.dtype(np.float64))
_CONSTANTS = frozenset({float, np.float64, int})
_FLOAT64, _FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)


# -- arrays -------------------------------------------------------------------------------------------


# What `unary` has found to lead: ufunc -> (evaluation, partial, whether it reads the output, and the input).
_KNOWN: dict[Any, tuple[Any, ...]] = {}


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
        _KNOWN[primitive.impl] = (primitive.impl, *rule)
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
    return ReverseArray(y, tape, out, reads_y)


def _given(y: Any, factor: Any) -> Any:
    return factor


def pair(primitive: Primitive, a: Any, b: Any) -> Any:
    """The short road for two operands: float arrays of one shape, of which one may be plain, or numbers."""
    rule = primitive.short
    if rule is None:
        rule = shorten(primitive)
    if not rule:
        return None
    i = j = -1
    x, y = a, b
    if a.__class__ is ReverseArray:
        x, tape, i = a.value, a.tape, a.slot
        if x.__class__ is not np.ndarray:
            return None
        dtype = x.dtype
        if b.__class__ is ReverseArray:
            y, j = b.value, b.slot
            if tape is not b.tape or y.__class__ is not np.ndarray or y.dtype is not dtype:
                return None
            if x.shape != y.shape:
                return _broadcast_sum(primitive, rule, a, b)
            reads = rule[4]
        elif b.__class__ in _CONSTANTS or (b.__class__ is np.ndarray and b.dtype is dtype and b.shape == x.shape):
            reads = rule[2]
        else:
            return None
    elif b.__class__ is ReverseArray:
        y, tape, j, reads = b.value, b.tape, b.slot, rule[3]
        if y.__class__ is not np.ndarray:
            return None
        dtype = y.dtype
        if a.__class__ not in _CONSTANTS and not (
            a.__class__ is np.ndarray and a.dtype is dtype and a.shape == y.shape
        ):
            return None
    else:
        return None
    if dtype is not _FLOAT64 and dtype is not _FLOAT32:
        return None
    z = primitive.impl(x, y)
    if z.__class__ is not np.ndarray or z.dtype is not dtype:
        return None
    reads_z, reads_x, reads_y = reads
    if reads_x:
        if i < 0:
            x = tape.snapshot(x) if x.__class__ is np.ndarray else dtype.type(x)
        elif a.captured is False and a.owner is None:
            a.captured = True
        elif a.captured is not True:
            x = keep_value(x, a, tape)
    else:
        x = None
    if reads_y:
        if j < 0:
            y = tape.snapshot(y) if y.__class__ is np.ndarray else dtype.type(y)
        elif b.captured is False and b.owner is None:
            b.captured = True
        elif b.captured is not True:
            y = keep_value(y, b, tape)
    else:
        y = None
    out = next(tape.slots)
    tape.append((out, i, rule[0], j, rule[1], z if reads_z else None, x, y))
    return ReverseArray(z, tape, out, reads_z)


_total = FUNCTIONS[np.sum]
_average = FUNCTIONS[np.mean]
_SUM_SLOT: Any = reduce.sum_.slot(0)
_EVERYTHING = {"axis": None, "keepdims": False}


def _array_ufunc(self: ReverseArray, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    if method == "__call__" and not options:
        known = _KNOWN.get(ufunc)
        if known is not None:
            x = self.value
            if x.__class__ is np.ndarray and (x.dtype is _FLOAT64 or x.dtype is _FLOAT32):
                evaluate, partial, reads_y, reads_x = known
                return _record(self, x, evaluate(x), partial, reads_y, reads_x)
        primitive = by_function.get(ufunc)
        if primitive is not None and primitive.kind == "elementwise" and len(inputs) < 3:
            traced = unary(primitive, self) if len(inputs) == 1 else pair(primitive, *inputs)
            if traced is not None:
                return traced
    return array_ufunc(self, ufunc, method, *inputs, **options)


def _array_function(self: ReverseArray, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    if not kwargs and len(args) == 1:
        if function is np.sum:
            return _sum_method(self)
        if function is np.mean:
            return _mean_method(self)
    return array_function(self, function, types, args, kwargs)


def _sum_method(self: ReverseArray, *args: Any, **options: Any) -> Any:
    """As ``ndarray.sum``; the sum of all elements takes the short road."""
    value = self.value
    if args or options or value.__class__ is not np.ndarray or value.dtype not in (_FLOAT64, _FLOAT32):
        return _total(self, *args, **options)
    dtype = value.dtype
    x = Meta(value.shape, dtype)
    linear = Linear(_SUM_SLOT, reduce.sum_, 0, (x,), _EVERYTHING, x, _SCALAR if dtype is _FLOAT64 else Meta((), dtype))
    tape = self.tape
    out = next(tape.slots)
    tape.append([out, self.slot, linear])
    return Reverse(np.add.reduce(value, axis=None), tape, out)


def _mean_method(self: ReverseArray, *args: Any, **options: Any) -> Any:
    """As ``ndarray.mean``; the mean of all elements takes the short road."""
    value = self.value
    plain = value.__class__ is np.ndarray and value.dtype in (_FLOAT64, _FLOAT32) and value.size
    if args or options or not plain:
        return _average(self, *args, **options)
    total = _sum_method(self)
    tape = self.tape
    out = next(tape.slots)
    tape.append((out, total.slot, 1 / value.size))
    return Reverse(total.value / value.size, tape, out)


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


def _sum(name: str, primitive: Primitive, operation: Callable[[Any, Any], Any]) -> Any:
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
    _make = _sum(f"__{_name}__", _primitive, _operation) if _name in ("add", "sub") else None
    setattr(Reverse, f"__{_name}__", _make or _binary(f"__{_name}__", _primitive, _operation, _kinds))
    setattr(Reverse, f"__r{_name}__", _reflected(f"__r{_name}__", _primitive, _operation, _kinds))


def _array_negative(self: ReverseArray) -> Any:
    x = self.value
    if x.__class__ is np.ndarray and (x.dtype is _FLOAT64 or x.dtype is _FLOAT32):
        return _record(self, x, -x, -1, False, False)
    return ew.negative(self)


setattr(ReverseArray, "__neg__", _array_negative)  # noqa: B010


def _broadcast_sum(primitive: Primitive, rule: Any, a: ReverseArray, b: ReverseArray) -> Any:
    """The short road for sums and differences of traced arrays of two shapes."""
    if rule[0].__class__ is not int or rule[1].__class__ is not int:
        return None
    z = primitive.impl(a.value, b.value)
    like = Meta(z.shape, z.dtype)
    tape = a.tape
    out = next(tape.slots)
    tape.append([out, a.slot, _term(rule[0], a.value, like), b.slot, _term(rule[1], b.value, like)])
    return ReverseArray(z, tape, out)


def _term(sign: int, x: Any, like: Meta) -> Constant:
    return Constant(sign, None, None) if x.shape == like.shape else Constant(sign, Meta(x.shape, x.dtype), like)


def _array_operator(name: str, primitive: Primitive) -> Any:
    general = getattr(Tracer, name)
    if name.startswith("__r"):

        def method(self: ReverseArray, other: Any) -> Any:
            traced = pair(primitive, other, self)
            return general(self, other) if traced is None else traced

    else:

        def method(self: ReverseArray, other: Any) -> Any:
            traced = pair(primitive, self, other)
            return general(self, other) if traced is None else traced

    return method


for _name, _primitive in (
    ("add", ew.add),
    ("sub", ew.subtract),
    ("mul", ew.multiply),
    ("truediv", ew.divide),
    ("pow", ew.pow_),
):
    for _method in (f"__{_name}__", f"__r{_name}__"):
        setattr(ReverseArray, _method, _array_operator(_method, _primitive))
