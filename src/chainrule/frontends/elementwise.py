"""Elementwise operations on numbers and array expressions, with NumPy's dtypes (NEP 50) and broadcasting.

On arrays the result is a `Lazy`: the code of one element, which a loop will hold. So ``np.exp(x - m).sum()``
is one loop without temporaries.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.frontends.context import Context, same
from chainrule.frontends.values import (
    BOTTOM,
    ArrayRef,
    Bottom,
    Closure,
    Conflict,
    Copied,
    Either,
    Grown,
    Item,
    Lazy,
    ListArray,
    Number,
)
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Const
from chainrule.ir.ops import BOOLEAN, PREDICATES
from chainrule.ir.walk import is_number

__all__ = ["apply", "broadcast", "cast", "common_dtype", "element", "materialise", "truth"]

_WEAK: dict[str, Any] = {"bool": True, "int64": 0, "float64": 0.0, "complex128": 0j}
_KEEPS_INTEGERS = frozenset(
    [
        "add",
        "subtract",
        "multiply",
        "negative",
        "positive",
        "square",
        "absolute",
        "sign",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "floor_divide",
        "remainder",
        "fmod",
        "power",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "conjugate",
        "real",
        "imag",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "invert",
        "left_shift",
        "right_shift",
        "gcd",
        "lcm",
    ]
)
_IDENTITY_ON_INTEGERS = frozenset(["floor", "ceil", "trunc", "rint", "conjugate", "real", "positive"])
_LOGICAL = {"bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_xor": "logical_xor"}
_LOGICAL |= {"invert": "logical_not", "add": "logical_or", "multiply": "logical_and"}
_SAME_AS = {"pow": "power", "float_power": "power", "true_divide": "divide", "fabs": "absolute"}

COPIED = "a view for NumPy, and a copy in compiled programs, is written to: write to the array itself, or to a .copy()"
Operand = Number | ArrayRef | Lazy
ITEM = (
    "an item of a list is written to, which would change what else is that array: write row = row.copy(), and store "
    "it in the list again if it is meant to be there"
)


def common_dtype(operands: Sequence[Operand]) -> tuple[str, bool]:
    """The dtype that NumPy computes in, and whether all operands are Python's numbers."""
    return _common(tuple([(v.dtype, isinstance(v, Number) and v.weak) for v in operands]))


@functools.cache
def _common(operands: tuple[tuple[str, bool], ...]) -> tuple[str, bool]:
    kinds = [_WEAK[dtype] if weak else np.dtype(dtype) for dtype, weak in operands]
    if all(weak for _, weak in operands):
        return np.result_type(*[type(k) for k in kinds]).name, True
    return np.result_type(*kinds).name, False


def apply(ctx: Context, op: str, *operands: Any, weak: bool | None = None) -> Any:
    """`op`, the name of an elementwise primitive, on numbers and arrays.

    `weak` says whether the result on Python numbers is one: for operators and ``math``, not for ufuncs.
    """
    if any(isinstance(v, Bottom) for v in operands):
        return BOTTOM
    values = [v.array if isinstance(v, ListArray) else v for v in operands]
    for v in values:
        if not isinstance(v, (Number, ArrayRef, Lazy)):
            raise ctx.fail(f"{op} of {describe(v)}: only numbers and arrays can be computed with")
    dtype, all_weak = common_dtype(values[1:] if op == "where" else values)
    if op == "float_power" and dtype in ("bool", "int64"):
        dtype = "float64"
    op = _SAME_AS.get(op, op)
    name, dtype = _resolve(ctx, op, dtype, values)
    is_weak = all_weak if weak is None else weak and all_weak

    def compute(atoms: Sequence[Atom]) -> Atom:
        if name == "identity":
            return ctx.builder.cast(atoms[0], dtype)
        if name == "where":
            return ctx.let("where", to_bool(ctx, atoms[0]), *[ctx.builder.cast(a, dtype) for a in atoms[1:]])
        if name == "power" and is_number(atoms[1], 2):
            base = ctx.builder.cast(atoms[0], dtype)
            return ctx.let("multiply", base, base)
        if name in BOOLEAN:
            return ctx.let(name, *[to_bool(ctx, a) for a in atoms])
        return ctx.let(name, *[ctx.builder.cast(a, dtype) for a in atoms])

    return _mapped(ctx, values, compute, _out_dtype(name, dtype), is_weak)


def _resolve(ctx: Context, op: str, dtype: str, values: Sequence[Operand]) -> tuple[str, str]:
    """The operation of the program, and the dtype its operands are cast to."""
    if dtype == "bool":
        if op in _LOGICAL and not all(isinstance(v, Number) and v.weak and op in ("add", "multiply") for v in values):
            return _LOGICAL[op], dtype
        if op in PREDICATES or op in ("where", "maximum", "minimum"):
            return op, "bool" if op in BOOLEAN or op == "where" else "int64"
        if op in ("negative", "subtract") and not all(isinstance(v, Number) and v.weak for v in values):
            raise ctx.fail(f"{op} of truth values, which NumPy refuses: use ~, ^ or .astype(int)")
        dtype = "int64"
    if op in PREDICATES or op == "where":
        return op, dtype
    if dtype == "int64":
        if op in _IDENTITY_ON_INTEGERS:
            return "identity", dtype
        if op == "power":
            return _integer_power(ctx, values)
        if op in ("floor_divide", "remainder") and isinstance(values[1], Number):
            _check_divisor(ctx, values[1])
        if op == "reciprocal":
            raise ctx.fail("np.reciprocal of integers divides integers: write 1 // x, or 1.0 / x")
        if op not in _KEEPS_INTEGERS:
            return op, "float64"
    return op, dtype


def _integer_power(ctx: Context, values: Sequence[Operand]) -> tuple[str, str]:
    exponent = values[1]
    if isinstance(exponent, Number) and exponent.known:
        if exponent.atom.value >= 0:  # type: ignore[union-attr]
            return "power", "int64"
        if exponent.weak and isinstance(values[0], Number) and values[0].weak:
            return "power", "float64"
        raise ctx.fail(
            "integers to a negative integer power are not allowed (NumPy raises ValueError): use a float base"
        )
    if not isinstance(exponent, Number):
        raise ctx.fail("an array of integer exponents of an integer base: make the base a float")
    ctx.check(ctx.let("greater_equal", exponent.atom, integer(0)), "ValueError", "integer to a negative power")
    return "power", "int64"


def _check_divisor(ctx: Context, divisor: Number) -> None:
    if divisor.known:
        if divisor.atom.value == 0:  # type: ignore[union-attr]
            raise ctx.fail("integer division by zero")
        return
    if divisor.dtype == "int64":
        nonzero = ctx.let("not_equal", divisor.atom, integer(0))
        ctx.check(nonzero, "ZeroDivisionError", "integer division or modulo by zero")


def _out_dtype(name: str, dtype: str) -> str:
    if name in PREDICATES:
        return "bool"
    if name in ("absolute", "real", "imag", "angle"):
        return {"complex128": "float64", "complex64": "float32"}.get(dtype, dtype)
    return "int64" if name == "frexp_exponent" else dtype


def _mapped(
    ctx: Context, values: Sequence[Operand], compute: Callable[[Sequence[Atom]], Atom], dtype: str, weak: bool
) -> Any:
    if all(isinstance(v, Number) for v in values):
        return Number(compute([v.atom for v in values]), weak)  # type: ignore[union-attr]
    dims = broadcast(ctx, [v.dims for v in values if not isinstance(v, Number)])
    arrays = tuple(a for v in values for a in reads(v))
    aligned = all(v.aligned for v in values if isinstance(v, Lazy))
    return Lazy(dtype, dims, lambda index: compute([element(ctx, v, index, dims) for v in values]), arrays, aligned)


def reads(value: Any) -> tuple[ArrayRef, ...]:
    """The arrays that the elements of `value` are computed from."""
    return (value,) if isinstance(value, ArrayRef) else value.arrays if isinstance(value, Lazy) else ()


def broadcast(ctx: Context, shapes: Sequence[tuple[Atom, ...]]) -> tuple[Atom, ...]:
    """The common extents. An extent known to be 1 is stretched; the program checks the others."""
    ndim = max(len(s) for s in shapes)
    dims: list[Atom] = []
    for k in range(-ndim, 0):
        extents = [s[k] for s in shapes if len(s) >= -k and not is_number(s[k], 1)]
        if not extents:
            dims.append(integer(1))
            continue
        wide = extents[0]
        for other in extents[1:]:
            wide = ctx.widened(wide, other, "operands could not be broadcast together")
        dims.append(wide)
    return tuple(dims)


def element(ctx: Context, value: Operand, index: tuple[Atom, ...], dims: tuple[Atom, ...]) -> Atom:
    """The element of `value`, stretched to extents `dims`, at `index`."""
    if isinstance(value, Number):
        return value.atom
    own = index[len(index) - value.ndim :]
    wide = dims[len(dims) - value.ndim :]
    own = tuple(_place(ctx, i, d, w) for i, d, w in zip(own, value.dims, wide, strict=True))
    if isinstance(value, Lazy):
        return value.element(own)
    return load(ctx, value, own)


def _place(ctx: Context, index: Atom, extent: Atom, wide: Atom) -> Atom:
    """`index` along an axis that is stretched from `extent` to `wide`."""
    if same(extent, wide):
        return index
    if is_number(extent, 1):
        return integer(0)
    if not ctx.stretches or isinstance(extent, Const):
        return index
    single = ctx.remember(("single", extent), lambda: ctx.let("equal", extent, integer(1)))
    return ctx.let("where", single, integer(0), index)


def load(ctx: Context, array: ArrayRef, index: tuple[Atom, ...]) -> Atom:
    """One number; integers that lead to the row are put before those in the row."""
    var, prefix = array.base, ()
    steps = array.path
    if steps and all(s.kind == "index" and not any(is_slice(i) for i in s.items) for s in steps):
        for s in steps:
            prefix += s.items
        return ctx.builder.load(var, *prefix, *index, hint=_singular(var.hint))
    return ctx.builder.load(array.var, *index, hint=_singular(array.var.hint))


def is_slice(item: Any) -> bool:
    return item is None or (isinstance(item, tuple) and type(item).__name__ == "Slice")


def _singular(hint: str) -> str:
    return f"{hint}_i" if len(hint) < 12 else "t"


def materialise(ctx: Context, value: Any, hint: str = "a") -> Any:
    """`value` with a `Lazy` made an array."""
    if not isinstance(value, Lazy):
        return value
    array = ctx.new(value.dtype, value.dims, hint=hint)
    with ctx.nest(value.dims) as index:
        ctx.builder.store(array.var, index, value.element(index))
    if isinstance(value, Item):
        ctx.frozen[array.var] = ITEM
        for base in ctx.stands.get(value.arrays[0].base, ()):
            ctx.stand(array.var, base)
    elif isinstance(value, Either):
        either = f"{hint!r} may be one array or another since a loop above: copy it before writing to it"
        ctx.frozen[array.var] = COPIED if isinstance(value, Copied) else either
        for source in value.arrays:
            ctx.stand(array.var, source.base)
    return array


def cast(ctx: Context, value: Any, dtype: str, weak: bool = False) -> Any:
    """`value` converted as ``astype`` does."""
    if isinstance(value, ListArray):
        value = value.array
    return _mapped(ctx, [value], lambda atoms: convert(ctx, atoms[0], dtype), dtype, weak)


def convert(ctx: Context, atom: Atom, dtype: str) -> Atom:
    if dtype == "bool":
        return to_bool(ctx, atom)
    if atom.type.dtype.startswith("complex") and not dtype.startswith("complex"):
        raise ctx.fail("a complex number is made real, which drops its imaginary part: write .real")
    return ctx.builder.cast(atom, dtype)


def to_bool(ctx: Context, atom: Atom) -> Atom:
    if atom.type.dtype == "bool":
        return atom
    return ctx.let("not_equal", atom, ctx.builder.cast(integer(0), atom.type.dtype))


def truth(ctx: Context, value: Any) -> Atom:
    """The truth of a condition."""
    if isinstance(value, Number):
        return to_bool(ctx, value.atom)
    if isinstance(value, Grown):
        return ctx.let("greater", ctx.builder.load(value.count, integer(0)), integer(0))
    raise ctx.fail(f"the truth of {describe(value)}: use .any() or .all(), or compare numbers")


def describe(value: Any) -> str:
    """What messages call a value."""
    if isinstance(value, (ArrayRef, Lazy)):
        return f"an array of {value.dtype} with {value.ndim} dimension{'s' * (value.ndim != 1)}"
    if isinstance(value, (ListArray, Grown)):
        return "a list"
    if isinstance(value, Number):
        return f"a number of type {value.dtype}"
    if isinstance(value, (tuple, list, dict)):
        return f"a {type(value).__name__}"
    if isinstance(value, Closure):
        return f"the function {value.name}"
    if isinstance(value, Conflict):
        return "one thing or another"
    if isinstance(value, Bottom):
        return "what is not known yet"
    inner = getattr(value, "value", value)
    return getattr(inner, "__name__", None) or repr(inner)[:60]
