"""The operations that `Let` and `Op` name, their types and what evaluates them.

The elementwise primitives of the one registry are the scalar operations; there is no second table of them.
Operands of an operation have one dtype, but for the few that `SIGNATURES` lists; `cast` is how dtypes change.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule.rules  # noqa: F401 fills the registry
from chainrule.core.primitive import registry
from chainrule.ir.nodes import Array, Scalar, Type

__all__ = ["ARRAY_OPS", "BOOLEAN", "FLOATS", "PREDICATES", "evaluate", "is_scalar_op", "result_type"]

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
BOOLEAN = frozenset(["logical_and", "logical_or", "logical_not", "logical_xor"])
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


def evaluate(op: str, args: tuple[Any, ...], type: Scalar) -> Any:
    """One scalar operation on Python or NumPy numbers, in the precision of `type`."""
    with np.errstate(all="ignore"):
        if op == "cast":
            value = args[0]
            if type.dtype == "int64" and isinstance(value, (float, np.floating)):
                value = int(value)
            return np.dtype(type.dtype).type(value)
        if op == "where":
            return args[1] if args[0] else args[2]
        return np.dtype(type.dtype).type(registry[op].impl(*args))
