"""The operations that `Let` and `Op` name, their types and what evaluates them.

The elementwise primitives of the one registry are the scalar operations; there is no second table of them.
Operands of an operation have one dtype, but for the few that `MIXED` lists; `cast` is how dtypes change.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule.rules  # noqa: F401 fills the registry
from chainrule.core.primitive import registry
from chainrule.ir.nodes import Array, Scalar, Type

__all__ = [
    "ARRAY_OPS",
    "BOOLEAN",
    "CHEAP",
    "FLOATS",
    "PREDICATES",
    "evaluate",
    "implementation",
    "is_scalar_op",
    "number",
    "result_type",
    "unfilled",
]

FLOATS = ("float64", "float32", "complex128", "complex64")
PREDICATES = frozenset(
    [
        "equal",
        "not_equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "isnan",
        "isinf",
        "isfinite",
        "signbit",
        "logical_and",
        "logical_or",
        "logical_not",
        "logical_xor",
    ]
)
# What costs no more than to keep a number and fetch it.
CHEAP = PREDICATES.union(
    ["add", "subtract", "multiply", "negative", "square", "absolute", "sign", "maximum", "minimum"],
    ["cast", "where", "conjugate", "real", "imag"],
)
BOOLEAN = frozenset(["logical_and", "logical_or", "logical_not", "logical_xor"])
MIXED = frozenset({"where", "ldexp", "power_log"})  # a test, an exponent, a number of times
_REAL_OF = {"complex128": "float64", "complex64": "float32"}
_TO_REAL = frozenset({"absolute", "real", "imag", "angle"})
_TO_INT = frozenset({"frexp_exponent"})

# Operations on whole arrays: name -> function from the arguments' types to the results' types.
ARRAY_OPS: dict[str, Any] = {
    # Products through BLAS: matrix @ matrix, matrix @ vector, vector @ matrix.
    "matmul": lambda a, b: (Array(a.dtype, a.ndim + b.ndim - 2),),
    "solve": lambda a, b: (b,),
    "inv": lambda a: (a,),
    "det": lambda a: (Scalar(a.dtype),),
    "slogdet": lambda a: (Scalar(a.dtype), Scalar(_REAL_OF.get(a.dtype, a.dtype))),
    "cholesky": lambda a: (a,),
    # Along the only axis of a vector; argsort is stable.
    "argsort": lambda a: (Array("int64", 1),),
}


def _wrapped(operation: Callable[..., Any]) -> Callable[..., int]:
    """Integer arithmetic modulo 2^64, as the machine does it."""

    def wrapped(*args: int) -> int:
        value: int = operation(*args)
        return value if -(2**63) <= value < 2**63 else (value + 2**63) % 2**64 - 2**63

    return wrapped


def is_scalar_op(op: str) -> bool:
    if op in ("cast", "where"):
        return True
    found = registry.get(op)
    return found is not None and found.kind == "elementwise"


def result_type(op: str, args: tuple[Type, ...]) -> Scalar:
    """The type of a scalar operation; `cast` has the type of its variable."""
    if op in PREDICATES:
        return Scalar("bool")
    if op == "where":
        return Scalar(args[1].dtype)
    dtype = args[0].dtype
    if op in _TO_REAL:
        return Scalar(_REAL_OF.get(dtype, dtype))
    return Scalar("int64" if op in _TO_INT else dtype)


_KINDS: dict[str, Any] = {d: np.dtype(d).type for d in (*FLOATS, "int64", "bool")}
# Where Python's own arithmetic is exactly NumPy's, and much faster on single numbers.
_COMPARE: dict[str, Callable[..., Any]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "negative": operator.neg,
}
_PYTHON: dict[str, dict[str, Callable[..., Any]]] = {
    "float64": {**_COMPARE, **_ARITHMETIC, "divide": lambda x, y: x / y if y else np.divide(x, y).item()},
    "int64": {**_COMPARE, **{name: _wrapped(f) for name, f in _ARITHMETIC.items()}},
    "bool": {
        "logical_and": operator.and_,
        "logical_or": operator.or_,
        "logical_xor": operator.xor,
        "logical_not": operator.not_,
    },
}


@functools.cache
def implementation(op: str, dtypes: tuple[str, ...], dtype: str) -> Callable[..., Any]:
    """What evaluates `op` on numbers of `dtypes` with a result of `dtype`; numbers are as `number` makes them."""
    if op == "where":
        return lambda test, x, y: x if test else y
    if op == "cast":
        if dtype == "int64":
            return lambda x: number(int(x), dtype)
        return lambda x: number(x, dtype)
    quick = _PYTHON.get(dtypes[0], {}).get(op)
    if quick is not None:
        return quick
    impl, kinds = registry[op].impl, [_KINDS[d] for d in dtypes]
    if len(kinds) == 1:
        (kind,) = kinds
        return lambda x: number(impl(kind(x)), dtype)
    return lambda *args: number(impl(*[kind(a) for kind, a in zip(kinds, args, strict=True)]), dtype)


def number(value: Any, dtype: str) -> Any:
    """`value` in the precision of `dtype`: Python's float, int or bool where they are it, else NumPy's scalar."""
    scalar = _KINDS[dtype](value)
    return scalar.item() if dtype in _PYTHON else scalar


def unfilled(dtype: str) -> Any:
    """What is in memory that was not filled and that nobody is to read: NaN, the most negative integer, True."""
    kind = np.dtype(dtype)
    return np.iinfo(kind).min if kind.kind == "i" else kind.kind == "b" or np.nan


def evaluate(op: str, args: tuple[Any, ...], type: Scalar) -> Any:
    """One scalar operation on Python or NumPy numbers, in the precision of `type`."""
    with np.errstate(all="ignore"):
        value = implementation(op, tuple(np.asarray(a).dtype.name for a in args), type.dtype)(*args)
        return np.dtype(type.dtype).type(value)
