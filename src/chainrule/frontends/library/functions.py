"""Elementwise functions that are no ufunc, or not under their name: NumPy and math."""

from __future__ import annotations

import cmath
import functools
import math
from typing import Any

import numpy as np

from chainrule.frontends import indexing, measures
from chainrule.frontends.arrays import array_of, copied, copy_of
from chainrule.frontends.elementwise import apply, cast, materialise
from chainrule.frontends.library.reductions import product
from chainrule.frontends.library.shapes import ravel
from chainrule.frontends.library.table import (
    handles,
    is_none,
    known_int,
    run,
)
from chainrule.frontends.values import ArrayRef, Number, Static, number

# -- elementwise --------------------------------------------------------------------------------------


def one(frame: Any, op: str, *args: Any, weak: bool | None = None) -> Any:
    return apply(frame.ctx, op, *[a if isinstance(a, Number) else array_of(frame.ctx, a) for a in args], weak=weak)


@handles(np.where)
def _where(frame: Any, condition: Any, x: Any = None, y: Any = None) -> Any:
    ctx = frame.ctx
    if x is None:
        return tuple(indexing.positions(ctx, cast(ctx, array_of(ctx, condition), "bool")))
    return one(frame, "where", array_of(ctx, condition), x, y)


@handles(np.select)
def _select(frame: Any, condlist: Any, choicelist: Any, default: Any = None) -> Any:
    result = number(0) if default is None else default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = _where(frame, condition, choice, result)
    return result


@handles(np.piecewise)
def _piecewise(frame: Any, x: Any, condlist: Any, funclist: Any) -> Any:
    """Each function is called with the elements for which its condition is true."""
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, x))
    given = condlist if isinstance(condlist, (tuple, list)) else (condlist,)
    conditions = [cast(ctx, array_of(ctx, c), "bool") for c in given]
    if len(funclist) == len(conditions) + 1:
        conditions.append(
            apply(ctx, "logical_not", functools.reduce(lambda a, b: one(frame, "logical_or", a, b), conditions))
        )
    if len(funclist) != len(conditions):
        raise ctx.fail(f"np.piecewise of {len(given)} conditions takes as many functions, or one more")
    result = ctx.new(value.dtype, value.dims, 0)
    for condition, function in zip(conditions, funclist, strict=True):
        mask = materialise(ctx, condition)
        made = function
        if not isinstance(function, Number):
            made = ctx.language.call(frame, function, [indexing.subscript(ctx, value, mask)], {})
        indexing.assign(ctx, result, mask, made)
    return result


@handles(np.nonzero)
def _nonzero(frame: Any, a: Any) -> Any:
    return _where(frame, a)


@handles(np.flatnonzero)
def _flatnonzero(frame: Any, a: Any) -> Any:
    return _where(frame, ravel(frame, a))[0]


@handles(np.clip)
def _clip(frame: Any, a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    value = array_of(frame.ctx, a)
    if low is not None and not is_none(low):
        value = one(frame, "maximum", value, low)
    if high is not None and not is_none(high):
        return one(frame, "minimum", value, high)
    return copy_of(frame.ctx, value) if isinstance(value, ArrayRef) and value is a else value


@handles(np.round, np.around)
def rounded(frame: Any, a: Any, decimals: Any = None) -> Any:
    ctx, value = frame.ctx, array_of(frame.ctx, a)
    digits = 0 if decimals is None else known_int(ctx, decimals, "decimals")
    whole = value.dtype in ("int64", "bool")
    if digits == 0 or (whole and digits > 0):
        return one(frame, "rint", value)
    scale = number(10.0 ** abs(digits))
    there, back = ("multiply", "divide") if digits > 0 else ("divide", "multiply")
    made = apply(ctx, back, one(frame, "rint", apply(ctx, there, value, scale)), scale)
    return cast(ctx, made, "int64") if whole else made


def _real(frame: Any, val: Any) -> Any:
    value = array_of(frame.ctx, val)
    return copied(one(frame, "real", value), value) if value.dtype.startswith("complex") else value


_MATH = {
    "sqrt exp expm1 log2 log10 log1p sin cos tan sinh cosh tanh copysign degrees radians fabs": None,
    "asin acos atan asinh acosh atanh": "arc",
}
for _names, _prefix in _MATH.items():
    for _n in _names.split():
        _op = f"arc{_n[1:]}" if _prefix else {"fabs": "absolute"}.get(_n, _n)
        handles(getattr(math, _n))(lambda frame, *args, _op=_op: one(frame, _op, *args, weak=True))
for _n in ["exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh"]:
    handles(getattr(cmath, _n))(
        lambda frame, z, _op=_n: apply(frame.ctx, _op, cast(frame.ctx, z, "complex128", weak=True), weak=True)
    )
handles(math.atan2)(lambda frame, y, x: one(frame, "arctan2", y, x, weak=True))
handles(math.pow)(lambda frame, x, y: one(frame, "power", cast(frame.ctx, x, "float64", weak=True), y, weak=True))
for _n in ("isnan", "isinf", "isfinite"):
    handles(getattr(math, _n))(lambda frame, x, _op=_n: one(frame, _op, x, weak=True))
handles(math.exp2)(lambda frame, x: one(frame, "exp2", x, weak=True))
handles(math.fmod)(lambda frame, x, y: one(frame, "fmod", x, y, weak=True))
handles(math.cbrt)(lambda frame, x: one(frame, "cbrt", x, weak=True))
for _n in ("floor", "ceil", "trunc"):
    handles(getattr(math, _n))(
        lambda frame, x, _op=_n: cast(frame.ctx, one(frame, _op, x, weak=True), "int64", weak=True)
    )


@handles(math.log)
def _log(frame: Any, x: Any, base: Any = None) -> Any:
    value = one(frame, "log", x, weak=True)
    return value if base is None else apply(frame.ctx, "divide", value, one(frame, "log", base, weak=True), weak=True)


@handles(math.hypot)
def _hypot(frame: Any, *coordinates: Any) -> Any:
    first, *more = coordinates or (number(0.0),)
    if not more:
        return one(frame, "absolute", cast(frame.ctx, first, "float64", weak=True), weak=True)
    return functools.reduce(lambda total, c: one(frame, "hypot", total, c, weak=True), more, first)


@handles(math.prod)
def _prod(frame: Any, items: Any, *, start: Any = None) -> Any:
    total = product(frame, items)
    return total if start is None else one(frame, "multiply", start, total, weak=True)


@handles(math.fsum)
def _fsum(frame: Any, a: Any) -> Any:
    raise frame.ctx.fail("math.fsum rounds once for all terms; use sum or np.sum")


handles(math.dist)(lambda frame, p, q: run(frame, measures.distance, p, q))

for _function, _op in (
    (np.abs, "absolute"),
    (np.fabs, "absolute"),
    (np.angle, "angle"),
    (np.conj, "conjugate"),
    (np.sinc, "sinc"),
):
    handles(_function)(lambda frame, x, *, _op=_op: one(frame, _op, x))
handles(np.imag)(lambda frame, val: copied(one(frame, "imag", val), val))
handles(np.real)(_real)
handles(np.true_divide)(lambda frame, x1, x2: one(frame, "divide", x1, x2))
handles(np.pow)(lambda frame, x1, x2: one(frame, "power", x1, x2))


@handles(np.ldexp)
def _ldexp(frame: Any, x1: Any, x2: Any) -> Any:
    value = array_of(frame.ctx, x1)
    kind = value.dtype if value.dtype.startswith("float") else "float64"
    power = one(frame, "exp2", cast(frame.ctx, array_of(frame.ctx, x2), kind))
    return one(frame, "multiply", cast(frame.ctx, value, kind), power)


def _outer(op: str) -> Any:
    def handler(frame: Any, a: Any, b: Any) -> Any:
        first, second = array_of(frame.ctx, a), array_of(frame.ctx, b)
        if isinstance(first, Number) or isinstance(second, Number):
            return apply(frame.ctx, op, first, second)
        items = (Static(Ellipsis), *[Static(None)] * second.ndim)
        return apply(frame.ctx, op, indexing.subscript(frame.ctx, materialise(frame.ctx, first), items), second)

    return handler


for _ufunc in (
    *(np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum, np.hypot, np.arctan2),
    *(np.logaddexp, np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
):
    handles(_ufunc.outer)(_outer(_ufunc.__name__))


for _count in (math.comb, math.factorial, math.perm):
    handles(_count)(
        lambda frame, *args, _f=_count: number(_f(*[known_int(frame.ctx, a, "what is counted") for a in args]))
    )
