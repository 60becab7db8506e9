"""The functions of Python, math and NumPy that are more than elementwise: a table from function to handler.

A handler takes the frame and the arguments. What can be written in the language itself is in `recipes`.
"""

from __future__ import annotations

import builtins
import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.core.primitive import by_function
from chainrule.frontends import indexing, iteration, recipes
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, broadcast, cast, describe, element, load, materialise, reads, truth
from chainrule.frontends.indexing import copy_of
from chainrule.frontends.values import (
    ArrayRef,
    Iterable,
    Lazy,
    ListArray,
    Number,
    Record,
    Static,
    number,
)
from chainrule.ir.build import constant, integer
from chainrule.ir.nodes import Atom, Const
from chainrule.ir.walk import is_number

__all__ = ["array_of", "collect", "find", "reshape", "transpose"]

Handler = Callable[..., Any]
_TABLE: dict[Any, Handler] = {}


def find(target: Any) -> Handler | None:
    """The handler of a function, if it has one."""
    try:
        return _TABLE.get(target)
    except TypeError:
        return None


def handles(*functions: Any) -> Callable[[Handler], Handler]:
    def enter(handler: Handler) -> Handler:
        _TABLE.update(dict.fromkeys(functions, handler))
        return handler

    return enter


# -- arguments ----------------------------------------------------------------------------------------


def array_of(ctx: Context, value: Any, dtype: str | None = None) -> Any:
    """``np.asarray``: nested tuples and lists of numbers and arrays become an array; numbers stay numbers."""
    if isinstance(value, ListArray):
        value = value.array
    if isinstance(value, Iterable):
        value = collect(ctx, value.count, value.item, None)
    if isinstance(value, Record) and issubclass(value.cls, tuple):
        value = tuple(value.fields.values())
    if isinstance(value, (tuple, list)):
        value = _stacked(ctx, [array_of(ctx, v) for v in value], 0)
    if not isinstance(value, (Number, ArrayRef, Lazy)):
        raise ctx.fail(f"{describe(value)} where an array is expected")
    return value if dtype is None or value.dtype == dtype else cast(ctx, value, dtype)


def _dtype(ctx: Context, value: Any) -> str | None:
    """The dtype that an argument names."""
    if value is None or (isinstance(value, Static) and value.value is None):
        return None
    try:
        name = np.dtype(value.value).name
    except (TypeError, AttributeError):
        raise ctx.fail(f"dtype={describe(value)} is no dtype") from None
    if name in ("int32", "int16", "int8", "uint8", "uint16", "uint32"):
        name = "int64"
    if name not in ("float64", "float32", "int64", "bool", "complex128", "complex64"):
        raise ctx.fail(f"dtype {name}: float64, float32, int64, bool and complex128 are computed with here")
    return name


def _shape(ctx: Context, value: Any) -> tuple[Atom, ...]:
    parts = value if isinstance(value, (tuple, list)) else [value]
    for p in parts:
        if not isinstance(p, Number) or p.dtype != "int64":
            raise ctx.fail(f"an extent is {describe(p)}: extents are integers")
    return tuple(p.atom for p in parts)


def known_int(ctx: Context, value: Any, what: str) -> int:
    if isinstance(value, Number) and isinstance(value.atom, Const):
        return int(value.atom.value)
    raise ctx.fail(f"{what} must be an integer known before the program runs")


def _axes(ctx: Context, axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None or (isinstance(axis, Static) and axis.value is None):
        return tuple(range(ndim))
    parts = axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(known_int(ctx, a, "axis") for a in parts)
    if any(not -ndim <= a < ndim for a in axes):
        raise ctx.fail(f"axis {axes} of an array with {ndim} dimensions")
    return tuple(sorted(a % ndim for a in axes))


def _flag(ctx: Context, value: Any) -> bool:
    return bool(known_int(ctx, value, "a flag"))


# -- reductions ---------------------------------------------------------------------------------------

Step = Callable[[Context, Atom, Atom], Atom]


def reduce(ctx: Context, value: Any, axis: Any, keepdims: Any, dtype: str, start: Any, step: Step, hint: str) -> Any:
    """Fold the elements along axes, in the dtype `dtype`."""
    if isinstance(value, Number):
        return Number(step(ctx, constant(start, dtype), ctx.builder.cast(value.atom, dtype)))
    axes = _axes(ctx, axis, value.ndim)
    keep = keepdims is not None and _flag(ctx, keepdims)
    inner = tuple(value.dims[a] for a in axes)
    outer = [k for k in range(value.ndim) if k not in axes]

    def fold(index: tuple[Atom, ...]) -> Atom:
        def at(i: tuple[Atom, ...], acc: Atom) -> Atom:
            own = dict(zip(axes, i, strict=True)) | dict(zip(outer, index, strict=True))
            full = tuple(own[k] for k in range(value.ndim))
            item = value.element(full) if isinstance(value, Lazy) else load(ctx, value, full)
            return step(ctx, acc, ctx.builder.cast(item, dtype) if dtype != "bool" else item)

        return ctx.reduce(inner, constant(start, dtype), at, hint)

    if not outer and not keep:
        return Number(fold(()))
    dims = tuple(value.dims[k] for k in outer)
    if keep:
        full = tuple(integer(1) if k in axes else d for k, d in enumerate(value.dims))
        return materialise(ctx, Lazy(dtype, full, lambda i: fold(tuple(i[k] for k in outer)), reads(value)), hint)
    return materialise(ctx, Lazy(dtype, dims, fold, reads(value)), hint)


def _sum_dtype(value: Any) -> str:
    return "int64" if value.dtype == "bool" else str(value.dtype)


@handles(np.sum, np.add.reduce)
def _sum(frame: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a, _dtype(ctx, dtype))
    return reduce(ctx, value, axis, keepdims, _sum_dtype(value), 0, lambda c, s, x: c.let("add", s, x, hint="s"), "s")


@handles(np.prod, np.multiply.reduce)
def _prod(frame: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a, _dtype(ctx, dtype))
    return reduce(
        ctx, value, axis, keepdims, _sum_dtype(value), 1, lambda c, p, x: c.let("multiply", p, x, hint="p"), "p"
    )


@handles(np.any)
def _any(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
    value = cast(frame.ctx, array_of(frame.ctx, a), "bool")
    return reduce(frame.ctx, value, axis, keepdims, "bool", False, lambda c, s, x: c.let("logical_or", s, x), "found")


@handles(np.all)
def _all(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
    value = cast(frame.ctx, array_of(frame.ctx, a), "bool")
    return reduce(frame.ctx, value, axis, keepdims, "bool", True, lambda c, s, x: c.let("logical_and", s, x), "every")


@handles(np.count_nonzero)
def _count_nonzero(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
    return _sum(frame, cast(frame.ctx, array_of(frame.ctx, a), "bool"), axis, keepdims=keepdims)


@handles(np.mean)
def _mean(frame: Any, a: Any, axis: Any = None, dtype: Any = None, *, keepdims: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a, _dtype(ctx, dtype))
    if value.dtype in ("bool", "int64"):
        value = cast(ctx, value, "float64")
    if isinstance(value, Number):
        return value
    count: Any = number(1)
    for k in _axes(ctx, axis, value.ndim):
        count = apply(ctx, "multiply", count, Number(value.dims[k], weak=True), weak=True)
    total = _sum(frame, value, axis, keepdims=keepdims)
    return apply(ctx, "divide", total, cast(ctx, count, "float64", weak=True))


def along(frame: Any, recipe: Callable[..., Any], a: Any, axis: Any, keepdims: Any = None) -> Any:
    """A function of vectors, written in the language, along one axis of an array."""
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    if isinstance(value, Number):
        return value
    none = axis is None or (isinstance(axis, Static) and axis.value is None)
    keep = keepdims is not None and _flag(ctx, keepdims)
    if none:
        result = run(frame, recipe, value if value.ndim == 1 else reshape(ctx, value, (integer(-1),)))
        if keep and isinstance(result, Number):
            dims = tuple(integer(1) for _ in range(value.ndim))
            return materialise(ctx, Lazy(result.dtype, dims, lambda i: result.atom, ()))
        return result
    (k,) = _axes(ctx, axis, value.ndim) if not isinstance(axis, tuple) else (known_int(ctx, axis[0], "axis"),)
    if value.ndim == 1 and not keep:
        return run(frame, recipe, value)
    outer = [n for n in range(value.ndim) if n != k]
    state = ctx.snapshot()
    from chainrule.frontends.values import Slicing
    from chainrule.ir.nodes import Block

    def row(index: dict[int, Atom]) -> Any:
        items = tuple(Slicing(None, None, None) if n == k else Number(index[n]) for n in range(value.ndim))
        return run(frame, recipe, indexing.subscript(ctx, value, items))

    with ctx.inside(Block()):
        probe = row({n: integer(0) for n in outer})
    ctx.restore(state)
    if isinstance(probe, Number):
        dims = tuple(integer(1) if n == k else value.dims[n] for n in (range(value.ndim) if keep else outer))
        places = list(range(value.ndim)) if keep else outer

        def one(index: tuple[Atom, ...]) -> Atom:
            return row({n: i for n, i in zip(places, index, strict=True) if n != k}).atom  # type: ignore[no-any-return]

        return materialise(ctx, Lazy(probe.dtype, dims, one, (value,)))
    result = ctx.new(probe.dtype, value.dims)
    with ctx.nest([value.dims[n] for n in outer]) as index:
        here = dict(zip(outer, index, strict=True))
        items = tuple(Slicing(None, None, None) if n == k else Number(here[n]) for n in range(value.ndim))
        indexing.assign(ctx, result, items, row(here))
    return result


def run(frame: Any, recipe: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Continue in a function of `recipes`."""
    from chainrule.frontends import calls

    return calls.call_object(frame, recipe, list(args), kwargs)


def _along(*functions: Any, recipe: Callable[..., Any]) -> None:
    def handler(frame: Any, a: Any, axis: Any = None, *, keepdims: Any = None) -> Any:
        return along(frame, recipe, a, axis, keepdims)

    handles(*functions)(handler)


_along(np.max, np.amax, np.maximum.reduce, recipe=recipes.largest)
_along(np.min, np.amin, np.minimum.reduce, recipe=recipes.smallest)
_along(np.argmax, recipe=recipes.argmax)
_along(np.argmin, recipe=recipes.argmin)
_along(np.median, recipe=recipes.median)
_along(np.cumsum, recipe=recipes.cumsum)
_along(np.cumprod, recipe=recipes.cumprod)


@handles(np.sort)
def _sort(frame: Any, a: Any, axis: Any = None) -> Any:
    return along(frame, recipes.sort, a, number(-1) if axis is None else axis)


@handles(np.argsort)
def _argsort(frame: Any, a: Any, axis: Any = None, kind: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    if value.ndim != 1:
        raise ctx.fail("argsort of an array with several dimensions: sort its rows in a loop")
    (order,) = ctx.builder.op("argsort", value.var, hint="order")
    return ArrayRef(order, value.dims, order)


for _function, _recipe in (
    (np.var, recipes.var),
    (np.std, recipes.std),
    (np.linalg.norm, recipes.norm),
    (np.trace, recipes.trace),
    (np.diff, recipes.diff),
    (np.average, recipes.average),
    (np.ptp, recipes.ptp),
    (np.cross, recipes.cross),
    (np.kron, recipes.kron),
    (np.interp, recipes.interp),
    (np.searchsorted, recipes.searchsorted),
    (np.convolve, recipes.convolve),
    (np.polyval, recipes.polyval),
    (np.trapezoid, recipes.trapezoid),
    (np.meshgrid, recipes.meshgrid),
    (np.diag, recipes.diag),
    (np.diagonal, recipes.diagonal),
    (np.tril, recipes.tril),
    (np.triu, recipes.triu),
    (np.roll, recipes.roll),
    (np.flip, recipes.flip),
    (np.repeat, recipes.repeat),
    (np.tile, recipes.tile),
    (np.append, recipes.append),
    (np.nan_to_num, recipes.nan_to_num),
):
    handles(_function)(lambda frame, *args, _recipe=_recipe, **kwargs: run(frame, _recipe, *args, **kwargs))


# -- elementwise --------------------------------------------------------------------------------------


def _one(frame: Any, op: str, *args: Any, weak: bool | None = None) -> Any:
    return apply(frame.ctx, op, *[a if isinstance(a, Number) else array_of(frame.ctx, a) for a in args], weak=weak)


@handles(np.where)
def _where(frame: Any, condition: Any, x: Any = None, y: Any = None) -> Any:
    ctx = frame.ctx
    if x is None:
        return tuple(indexing.positions(ctx, cast(ctx, array_of(ctx, condition), "bool")))
    return _one(frame, "where", array_of(ctx, condition), x, y)


@handles(np.nonzero)
def _nonzero(frame: Any, a: Any) -> Any:
    return _where(frame, a)


@handles(np.flatnonzero)
def _flatnonzero(frame: Any, a: Any) -> Any:
    return _where(frame, _ravel(frame, a))[0]


@handles(np.clip)
def _clip(frame: Any, a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    value = array_of(frame.ctx, a)
    if low is not None and not _is_none(low):
        value = _one(frame, "maximum", value, low)
    return value if high is None or _is_none(high) else _one(frame, "minimum", value, high)


def _is_none(value: Any) -> bool:
    return value is None or (isinstance(value, Static) and value.value is None)


@handles(np.round, np.around)
def _round(frame: Any, a: Any, decimals: Any = None) -> Any:
    if decimals is None or (isinstance(decimals, Number) and is_number(decimals.atom, 0)):
        return _one(frame, "rint", a)
    scale = number(10.0 ** known_int(frame.ctx, decimals, "decimals"))
    return apply(
        frame.ctx, "divide", _one(frame, "rint", apply(frame.ctx, "multiply", array_of(frame.ctx, a), scale)), scale
    )


_MATH = {
    "sqrt exp expm1 log2 log10 log1p sin cos tan sinh cosh tanh copysign hypot degrees radians fabs": None,
    "asin acos atan asinh acosh atanh": "arc",
}
for _names, _prefix in _MATH.items():
    for _n in _names.split():
        _op = f"arc{_n[1:]}" if _prefix else {"fabs": "absolute"}.get(_n, _n)
        handles(getattr(math, _n))(lambda frame, *args, _op=_op: _one(frame, _op, *args, weak=True))
for _n in ["exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh"]:
    handles(getattr(cmath, _n))(
        lambda frame, z, _op=_n: apply(frame.ctx, _op, cast(frame.ctx, z, "complex128", weak=True), weak=True)
    )
handles(math.atan2)(lambda frame, y, x: _one(frame, "arctan2", y, x, weak=True))
handles(math.pow)(lambda frame, x, y: _one(frame, "power", cast(frame.ctx, x, "float64", weak=True), y, weak=True))
handles(math.isnan, math.isinf, math.isfinite)
for _f in (math.isnan, math.isinf, math.isfinite):
    handles(_f)(lambda frame, x, _op=_f.__name__: _one(frame, _op, x, weak=True))
handles(math.exp2)(lambda frame, x: _one(frame, "exp2", x, weak=True))
handles(math.fmod)(lambda frame, x, y: _one(frame, "fmod", x, y, weak=True))
handles(math.erf)(lambda frame, x: run(frame, recipes.erf, x))
for _f in (math.floor, math.ceil, math.trunc):
    handles(_f)(lambda frame, x, _op=_f.__name__: cast(frame.ctx, _one(frame, _op, x, weak=True), "int64", weak=True))


@handles(math.log)
def _log(frame: Any, x: Any, base: Any = None) -> Any:
    value = _one(frame, "log", x, weak=True)
    return value if base is None else apply(frame.ctx, "divide", value, _one(frame, "log", base, weak=True), weak=True)


@handles(math.fsum)
def _fsum(frame: Any, a: Any) -> Any:
    raise frame.ctx.fail("math.fsum rounds once for all terms; use sum or np.sum")


handles(math.prod)(lambda frame, a: _prod(frame, a))
handles(math.dist)(lambda frame, p, q: run(frame, recipes.distance, p, q))

for _function, _op in (
    (np.true_divide, "divide"),
    (np.pow, "power"),
    (np.abs, "absolute"),
    (np.fabs, "absolute"),
    (np.angle, "angle"),
    (np.real, "real"),
    (np.imag, "imag"),
    (np.conj, "conjugate"),
    (np.sinc, "sinc"),
):
    handles(_function)(lambda frame, *args, _op=_op: _one(frame, _op, *args))
assert by_function is not None


# -- Python's own -------------------------------------------------------------------------------------


@handles(builtins.abs)
def _abs(frame: Any, x: Any) -> Any:
    return _one(frame, "absolute", x, weak=True)


@handles(builtins.pow)
def _pow(frame: Any, x: Any, y: Any) -> Any:
    return _one(frame, "power", x, y, weak=True)


@handles(builtins.divmod)
def _divmod(frame: Any, x: Any, y: Any) -> Any:
    return (_one(frame, "floor_divide", x, y, weak=True), _one(frame, "remainder", x, y, weak=True))


@handles(builtins.round)
def _python_round(frame: Any, x: Any, digits: Any = None) -> Any:
    if digits is not None:
        return _round(frame, x, digits)
    return cast(frame.ctx, _one(frame, "rint", x, weak=True), "int64", weak=True)


@handles(builtins.float, np.float64)
def _float(frame: Any, x: Any = None) -> Any:
    if x is None:
        return number(0.0)
    if isinstance(x, Static) and isinstance(x.value, str):
        return number(float(x.value))
    return cast(frame.ctx, x if isinstance(x, Number) else array_of(frame.ctx, x), "float64", weak=True)


handles(np.float32)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "float32"))
handles(np.complex128)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "complex128"))
handles(np.int64)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "int64"))
handles(np.bool_)(lambda frame, x: cast(frame.ctx, array_of(frame.ctx, x), "bool"))


@handles(builtins.int)
def _int(frame: Any, x: Any = None) -> Any:
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
    return Number(array_of(frame.ctx, x).dims[0], weak=True)


@handles(builtins.range)
def _range(frame: Any, *args: Any) -> Any:
    return iteration.range_of(frame.ctx, list(args))


@handles(builtins.enumerate)
def _enumerate(frame: Any, x: Any, start: Any = None) -> Any:
    return iteration.enumerated(frame.ctx, x, number(0) if start is None else start)


@handles(builtins.zip)
def _zip(frame: Any, *args: Any, strict: Any = None) -> Any:
    return iteration.zipped(frame.ctx, list(args))


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
    weak = isinstance(x, ListArray) and x.weak
    if value.ndim > 1:
        return _sum(frame, value, number(0))
    total = _sum(frame, value)
    if start is not None:
        total = apply(ctx, "add", start, total, weak=True)
    return Number(total.atom, weak)


def _extreme(frame: Any, op: str, recipe: Any, args: tuple[Any, ...]) -> Any:
    """Python's max and min of several numbers: the first of equals, so their derivative is shared as maximum's."""
    if len(args) == 1 and not isinstance(args[0], (tuple, list)):
        return along(frame, recipe, args[0], None)
    items = list(args[0]) if len(args) == 1 else list(args)
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
    return _any(frame, x)


@handles(builtins.all)
def _python_all(frame: Any, x: Any) -> Any:
    return _all(frame, x)


@handles(builtins.tuple)
def _tuple(frame: Any, x: Any = ()) -> Any:
    return tuple(_known_items(frame.ctx, x))


@handles(builtins.list)
def _list(frame: Any, x: Any = ()) -> Any:
    if isinstance(x, (ListArray, Iterable)) and not isinstance(getattr(x, "count", None), Const):
        return x if isinstance(x, ListArray) else ListArray(materialise(frame.ctx, array_of(frame.ctx, x)))
    return list(_known_items(frame.ctx, x))


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
        case Number(weak=True):
            kinds = ({"float64": float, "int64": int, "bool": bool, "complex128": complex}[x.dtype],)
        case Number():
            kinds = (np.dtype(x.dtype).type,)
        case Record(cls=c):
            kinds = (c,)
        case Static(value=v):
            kinds = (type(v),)
        case _:
            kinds = (type(x),)
    return number(any(issubclass(k, classes) for k in kinds))


# -- making arrays ------------------------------------------------------------------------------------


@handles(np.array, np.asarray, np.ascontiguousarray, np.asfortranarray, np.copy)
def _array(frame: Any, a: Any, dtype: Any = None, *, copy: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a, _dtype(ctx, dtype))
    if isinstance(value, Number):
        return Number(value.atom)
    return copy_of(ctx, value) if isinstance(value, ArrayRef) and value is a else value


handles(np.asarray, np.ascontiguousarray)(lambda frame, a, dtype=None: array_of(frame.ctx, a, _dtype(frame.ctx, dtype)))


def _filled(frame: Any, shape: Any, value: Any, dtype: str | None) -> Any:
    ctx = frame.ctx
    dims = _shape(ctx, shape)
    if not dims:
        raise ctx.fail("an array without dimensions: use a number")
    if isinstance(value, Number):
        dtype = dtype or value.dtype
        if value.known:
            return ctx.new(dtype, dims, ctx.builder.cast(value.atom, dtype).value)  # type: ignore[union-attr]
        atom = ctx.builder.cast(value.atom, dtype)
        return materialise(ctx, Lazy(dtype, dims, lambda i: atom, ()))
    value = array_of(ctx, value, dtype)
    return materialise(ctx, Lazy(value.dtype, dims, lambda i: element(ctx, value, i, dims), reads(value)))


@handles(np.zeros)
def _zeros(frame: Any, shape: Any, dtype: Any = None) -> Any:
    return _filled(frame, shape, number(0.0), _dtype(frame.ctx, dtype) or "float64")


@handles(np.ones)
def _ones(frame: Any, shape: Any, dtype: Any = None) -> Any:
    return _filled(frame, shape, number(1.0), _dtype(frame.ctx, dtype) or "float64")


@handles(np.empty)
def _empty(frame: Any, shape: Any, dtype: Any = None) -> Any:
    dims = _shape(frame.ctx, shape)
    return frame.ctx.new(_dtype(frame.ctx, dtype) or "float64", dims)


@handles(np.full)
def _full(frame: Any, shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    return _filled(frame, shape, fill_value, _dtype(frame.ctx, dtype))


def _like(frame: Any, a: Any, dtype: Any, shape: Any) -> tuple[Any, str]:
    ctx = frame.ctx
    value = array_of(ctx, a)
    extents = tuple(Number(d, weak=True) for d in value.dims) if not isinstance(value, Number) else ()
    return (extents if shape is None else shape), _dtype(ctx, dtype) or value.dtype


@handles(np.zeros_like)
def _zeros_like(frame: Any, a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    extents, kind = _like(frame, a, dtype, shape)
    return _filled(frame, extents, number(0.0), kind) if extents else Number(constant(0, kind))


@handles(np.ones_like)
def _ones_like(frame: Any, a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    extents, kind = _like(frame, a, dtype, shape)
    return _filled(frame, extents, number(1.0), kind) if extents else Number(constant(1, kind))


@handles(np.empty_like)
def _empty_like(frame: Any, a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    extents, kind = _like(frame, a, dtype, shape)
    return frame.ctx.new(kind, _shape(frame.ctx, extents))


@handles(np.full_like)
def _full_like(frame: Any, a: Any, fill_value: Any, dtype: Any = None) -> Any:
    extents, kind = _like(frame, a, dtype, None)
    return _filled(frame, extents, fill_value, kind)


@handles(np.eye, np.identity)
def _eye(frame: Any, n: Any, m: Any = None, k: Any = None, dtype: Any = None) -> Any:
    result = _zeros(frame, (n, n if m is None else m), dtype)
    return run(frame, recipes.fill_diagonal, result, number(0) if k is None else k)


@handles(np.arange)
def _arange(frame: Any, *args: Any, dtype: Any = None) -> Any:
    ctx, kind = frame.ctx, _dtype(frame.ctx, dtype)
    if all(isinstance(a, Number) and a.dtype == "int64" for a in args):
        r = iteration.range_of(ctx, list(args))
        value = Lazy("int64", (r.count,), lambda i: r.item(i[0]).atom, ())
        return materialise(ctx, value if kind is None else cast(ctx, value, kind))
    start, stop, step = (number(0), args[0], number(1)) if len(args) == 1 else (*args, number(1))[:3]
    return run(frame, recipes.arange, *(cast(ctx, a, "float64") for a in (start, stop, step)))


@handles(np.linspace)
def _linspace(frame: Any, start: Any, stop: Any, num: Any = None, endpoint: Any = None) -> Any:
    return run(
        frame,
        recipes.linspace,
        start,
        stop,
        number(50) if num is None else num,
        number(True) if endpoint is None else endpoint,
    )


def collect(ctx: Context, count: Atom, item: Callable[[Atom], Any], probe: Any) -> Any:
    """An array of `count` items: numbers, or arrays of one shape, whose kind `probe` shows."""
    if probe is None:
        state = ctx.snapshot()
        from chainrule.ir.nodes import Block

        with ctx.inside(Block()):
            probe = item(integer(0))
        ctx.restore(state)
    if isinstance(probe, Number):
        array = ctx.new(probe.dtype, (count,), hint="items")
        with ctx.loop(count, "k") as node:
            value = item(node.index)
            ctx.builder.store(array.var, (node.index,), ctx.builder.cast(value.atom, probe.dtype))
        return ListArray(array, probe.weak)
    raise ctx.fail(f"a list of {describe(probe)} by a comprehension: make an array with np.zeros and fill its rows")


# -- joining and rearranging --------------------------------------------------------------------------


def _stacked(ctx: Context, values: list[Any], axis: int) -> Any:
    """``np.stack`` of numbers and arrays of one shape along a new axis."""
    if not values:
        return ctx.new("float64", (integer(0),))
    dtype = np.result_type(*[v.dtype for v in values]).name
    shapes = [v.dims for v in values if not isinstance(v, Number)]
    dims = broadcast(ctx, shapes) if shapes else ()
    for s in shapes:
        for d, e in zip(s, dims, strict=True):
            ctx.equal(d, e, "all arrays must have the same shape")
    result = ctx.new(dtype, (*dims[:axis], integer(len(values)), *dims[axis:]))
    for k, v in enumerate(values):
        with ctx.nest(dims) as i:
            item = ctx.builder.cast(element(ctx, v, i, dims), dtype)
            ctx.builder.store(result.var, (*i[:axis], integer(k), *i[axis:]), item)
    return result


def _arrays(ctx: Context, values: Any) -> list[Any]:
    if isinstance(values, (tuple, list)):
        return [materialise(ctx, array_of(ctx, v)) for v in values]
    value = materialise(ctx, array_of(ctx, values))
    if isinstance(value.dims[0], Const):
        return [indexing.subscript(ctx, value, number(k)) for k in range(value.dims[0].value)]
    raise ctx.fail("a tuple or list of arrays is expected")


@handles(np.stack)
def _stack(frame: Any, arrays: Any, axis: Any = None) -> Any:
    values = _arrays(frame.ctx, arrays)
    ndim = (0 if isinstance(values[0], Number) else values[0].ndim) + 1
    return _stacked(frame.ctx, values, 0 if axis is None else known_int(frame.ctx, axis, "axis") % ndim)


@handles(np.concatenate)
def _concatenate(frame: Any, arrays: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    values = _arrays(ctx, arrays)
    if axis is not None and _is_none(axis):
        values, axis = [reshape(ctx, v, (integer(-1),)) for v in values], None
    k = 0 if axis is None else known_int(ctx, axis, "axis") % values[0].ndim
    dtype = np.result_type(*[v.dtype for v in values]).name
    total: Atom = integer(0)
    starts = []
    for v in values:
        if isinstance(v, Number):
            raise ctx.fail("zero-dimensional arrays cannot be concatenated: write np.array([x])")
        starts.append(total)
        total = ctx.let("add", total, v.dims[k], hint="n")
        for n, (d, e) in enumerate(zip(v.dims, values[0].dims, strict=True)):
            if n != k:
                ctx.equal(d, e, "extents of concatenated arrays")
    result = ctx.new(dtype, (*values[0].dims[:k], total, *values[0].dims[k + 1 :]))
    for start, v in zip(starts, values, strict=True):
        with ctx.nest(v.dims) as i:
            place = (*i[:k], ctx.let("add", start, i[k]), *i[k + 1 :])
            ctx.builder.store(result.var, place, ctx.builder.cast(load(ctx, v, i), dtype))
    return result


@handles(np.hstack)
def _hstack(frame: Any, arrays: Any) -> Any:
    values = [_at_least(frame.ctx, v, 1) for v in _arrays(frame.ctx, arrays)]
    return _concatenate(frame, values, number(0 if values[0].ndim == 1 else 1))


@handles(np.vstack)
def _vstack(frame: Any, arrays: Any) -> Any:
    return _concatenate(frame, [_at_least(frame.ctx, v, 2) for v in _arrays(frame.ctx, arrays)], number(0))


@handles(np.column_stack)
def _column_stack(frame: Any, arrays: Any) -> Any:
    columns = [v if v.ndim > 1 else reshape(frame.ctx, v, (v.dims[0], integer(1))) for v in _arrays(frame.ctx, arrays)]
    return _concatenate(frame, columns, number(1))


def _at_least(ctx: Context, value: Any, ndim: int) -> Any:
    if isinstance(value, Number):
        value = _stacked(ctx, [value], 0)
    return value if value.ndim >= ndim else reshape(ctx, value, (*[integer(1)] * (ndim - value.ndim), *value.dims))


def reshape(ctx: Context, value: Any, shape: tuple[Atom, ...]) -> Any:
    """``value.reshape(shape)``: a view of a contiguous array, else of a copy that may not be written to."""
    array = materialise(ctx, value)
    if isinstance(array, Number):
        raise ctx.fail("a number is reshaped: write np.array([x])")
    size: Atom = integer(1)
    for d in array.dims:
        size = ctx.let("multiply", size, d, hint="n")
    rest: Atom = integer(1)
    for s in shape:
        if not is_number(s, -1):
            rest = ctx.let("multiply", rest, s, hint="n")
    dims = tuple(ctx.let("floor_divide", size, rest, hint="n") if is_number(s, -1) else s for s in shape)
    if not any(is_number(s, -1) for s in shape):
        ctx.equal(size, rest, "an array is reshaped to another size")
    elif not is_number(rest, 1):
        left = ctx.let("remainder", size, rest)
        ctx.check(ctx.let("equal", left, integer(0)), "ValueError", "cannot reshape array of size ", size)
    if not array.contiguous:
        array = materialise(ctx, copy_of(ctx, array))
        ctx.frozen[array.base] = "a reshaped array that is not contiguous may be a copy or a view: copy it first"
    return ctx.view(array, "reshape", dims, dims, True)


@handles(np.reshape)
def _reshape(frame: Any, a: Any, shape: Any = None, **kwargs: Any) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    if isinstance(value, Number):
        value = _stacked(ctx, [value], 0)
    return reshape(ctx, value, _shape(ctx, shape))


@handles(np.ravel)
def _ravel(frame: Any, a: Any) -> Any:
    return _reshape(frame, a, number(-1))


def transpose(ctx: Context, value: Any, order: tuple[int, ...] | None = None) -> Any:
    """``np.transpose``, a view."""
    array = materialise(ctx, value)
    order = tuple(reversed(range(array.ndim))) if order is None else tuple(k % array.ndim for k in order)
    if array.ndim < 2 or order == tuple(range(array.ndim)):
        return array
    return ctx.view(array, "transpose", [integer(k) for k in order], [array.dims[k] for k in order], False)


@handles(np.transpose, np.permute_dims)
def _transpose(frame: Any, a: Any, axes: Any = None) -> Any:
    ctx = frame.ctx
    order = None if axes is None or _is_none(axes) else tuple(known_int(ctx, k, "axes") for k in axes)
    return transpose(ctx, array_of(ctx, a), order)


@handles(np.swapaxes)
def _swapaxes(frame: Any, a: Any, axis1: Any, axis2: Any) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    order = list(range(value.ndim))
    i, j = (known_int(ctx, k, "axis") for k in (axis1, axis2))
    order[i], order[j] = order[j], order[i]
    return transpose(ctx, value, tuple(order))


@handles(np.moveaxis)
def _moveaxis(frame: Any, a: Any, source: Any, destination: Any) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    i, j = (known_int(ctx, k, "axis") % value.ndim for k in (source, destination))
    order = [k for k in range(value.ndim) if k != i]
    order.insert(j, i)
    return transpose(ctx, value, tuple(order))


@handles(np.expand_dims)
def _expand_dims(frame: Any, a: Any, axis: Any) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    k = known_int(ctx, axis, "axis") % (value.ndim + 1)
    from chainrule.frontends.values import Slicing

    items: list[Any] = [Slicing(None, None, None) for _ in range(value.ndim)]
    items.insert(k, Static(None))
    return indexing.subscript(ctx, value, tuple(items))


@handles(np.squeeze)
def _squeeze(frame: Any, a: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    value = materialise(ctx, array_of(ctx, a))
    if axis is None or _is_none(axis):
        drop = {k for k, d in enumerate(value.dims) if is_number(d, 1)}
    else:
        drop = set(_axes(ctx, axis, value.ndim))
        for k in drop:
            ctx.equal(value.dims[k], integer(1), "an axis that is squeezed")
    from chainrule.frontends.values import Slicing

    items = tuple(number(0) if k in drop else Slicing(None, None, None) for k in range(value.ndim))
    return indexing.subscript(ctx, value, items)


@handles(np.broadcast_to)
def _broadcast_to(frame: Any, a: Any, shape: Any) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    dims = _shape(ctx, shape)
    if not isinstance(value, Number):
        for d, e in zip(reversed(value.dims), reversed(dims), strict=False):
            if not is_number(d, 1):
                ctx.equal(d, e, "broadcast_to")
    return Lazy(value.dtype, dims, lambda i: element(ctx, value, i, dims), reads(value))


@handles(np.add.at)
def _add_at(frame: Any, a: Any, index: Any, value: Any) -> Any:
    indexing.add_at(frame.ctx, a, index, array_of(frame.ctx, value))
    return Static(None)


@handles(np.take)
def _take(frame: Any, a: Any, indices: Any, axis: Any = None) -> Any:
    ctx = frame.ctx
    value = array_of(ctx, a)
    if axis is None or _is_none(axis):
        return indexing.subscript(ctx, _ravel(frame, value), array_of(ctx, indices))
    from chainrule.frontends.values import Slicing

    k = known_int(ctx, axis, "axis") % value.ndim
    items = tuple(array_of(ctx, indices) if n == k else Slicing(None, None, None) for n in range(value.ndim))
    return indexing.subscript(ctx, value, items)


@handles(np.shape)
def _np_shape(frame: Any, a: Any) -> Any:
    value = array_of(frame.ctx, a)
    return () if isinstance(value, Number) else tuple(Number(d, weak=True) for d in value.dims)


@handles(np.ndim)
def _np_ndim(frame: Any, a: Any) -> Any:
    value = array_of(frame.ctx, a)
    return number(0 if isinstance(value, Number) else value.ndim)


@handles(np.size)
def _np_size(frame: Any, a: Any) -> Any:
    value = array_of(frame.ctx, a)
    result: Any = number(1)
    for d in () if isinstance(value, Number) else value.dims:
        result = apply(frame.ctx, "multiply", result, Number(d, weak=True), weak=True)
    return result


# -- products and linear algebra ----------------------------------------------------------------------


def matmul(ctx: Context, a: Any, b: Any) -> Any:
    """``a @ b``: a dot product is a loop, matrices go to BLAS."""
    a, b = array_of(ctx, a), array_of(ctx, b)
    if isinstance(a, Number) or isinstance(b, Number):
        raise ctx.fail("@ of a number: use *")
    ctx.equal(a.dims[-1], b.dims[-2 if b.ndim > 1 else -1], "the inner extents of a matrix product")
    if a.ndim == b.ndim == 1:
        return dot(ctx, a, b)
    if a.ndim > 2 or b.ndim > 2:
        raise ctx.fail("@ of arrays with more than two dimensions: loop over the matrices")
    dtype = np.result_type(a.dtype, b.dtype).name
    if dtype in ("int64", "bool"):
        raise ctx.fail("@ of arrays of integers: convert them to float64")
    operands = [materialise(ctx, v if v.dtype == dtype else cast(ctx, v, dtype)) for v in (a, b)]
    (out,) = ctx.builder.op("matmul", *(v.var for v in operands))
    return ArrayRef(out, (*a.dims[:-1], *(b.dims[1:] if b.ndim > 1 else ())), out)


def dot(ctx: Context, a: Any, b: Any) -> Number:
    product = apply(ctx, "multiply", a, b)
    zero = constant(0, product.dtype)
    return Number(ctx.reduce(product.dims, zero, lambda i, s: ctx.let("add", s, product.element(i), hint="s"), "s"))


@handles(np.matmul)
def _matmul(frame: Any, a: Any, b: Any) -> Any:
    return matmul(frame.ctx, a, b)


@handles(np.dot)
def _dot(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = array_of(ctx, a), array_of(ctx, b)
    if isinstance(a, Number) or isinstance(b, Number):
        return apply(ctx, "multiply", a, b)
    return matmul(ctx, a, b)


@handles(np.vdot)
def _vdot(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = _ravel(frame, a), _ravel(frame, b)
    ctx.equal(a.dims[0], b.dims[0], "vdot")
    return dot(ctx, apply(ctx, "conjugate", a) if a.dtype.startswith("complex") else a, b)


@handles(np.inner)
def _inner(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = array_of(ctx, a), array_of(ctx, b)
    if isinstance(a, Number) or isinstance(b, Number):
        return apply(ctx, "multiply", a, b)
    return matmul(ctx, a, transpose(ctx, b) if b.ndim == 2 else b)


@handles(np.outer)
def _outer(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = materialise(ctx, _ravel(frame, a)), materialise(ctx, _ravel(frame, b))
    return apply(ctx, "multiply", reshape(ctx, a, (a.dims[0], integer(1))), b)


def _matrix(ctx: Context, a: Any) -> Any:
    value = array_of(ctx, a)
    if isinstance(value, Number) or value.ndim != 2:
        raise ctx.fail(f"{describe(value)} where a square matrix is expected")
    ctx.equal(value.dims[0], value.dims[1], "a square matrix")
    if value.dtype in ("int64", "bool"):
        value = cast(ctx, value, "float64")
    return materialise(ctx, value)


@handles(np.linalg.solve)
def _solve(frame: Any, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    a, b = _matrix(ctx, a), materialise(ctx, cast(ctx, array_of(ctx, b), _matrix(ctx, a).dtype))
    (out,) = ctx.builder.op("solve", a.var, b.var, hint="x")
    return ArrayRef(out, b.dims, out)


@handles(np.linalg.inv)
def _inv(frame: Any, a: Any) -> Any:
    a = _matrix(frame.ctx, a)
    (out,) = frame.ctx.builder.op("inv", a.var)
    return ArrayRef(out, a.dims, out)


@handles(np.linalg.cholesky)
def _cholesky(frame: Any, a: Any) -> Any:
    a = _matrix(frame.ctx, a)
    (out,) = frame.ctx.builder.op("cholesky", a.var)
    return ArrayRef(out, a.dims, out)


@handles(np.linalg.det)
def _det(frame: Any, a: Any) -> Any:
    (out,) = frame.ctx.builder.op("det", _matrix(frame.ctx, a).var, hint="det")
    return Number(out)


@handles(np.linalg.slogdet)
def _slogdet(frame: Any, a: Any) -> Any:
    sign, log = frame.ctx.builder.op("slogdet", _matrix(frame.ctx, a).var, hint="logdet")
    result = type(np.linalg.slogdet(np.eye(1)))
    return Record(result, {"sign": Number(sign), "logabsdet": Number(log)})


def method(handler: Handler) -> Callable[..., Any]:
    """A handler as the method of a value."""
    return lambda frame, self, *args, **kwargs: handler(frame, self, *args, **kwargs)
