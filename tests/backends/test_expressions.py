"""Every scalar operation of the registry, in every precision, at special values: interpreter, Python, Numba."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainrule.backends.compile import plain
from chainrule.backends.numba.compile import compiled
from chainrule.backends.python import write
from chainrule.core.primitive import registry
from chainrule.errors import UnsupportedError
from chainrule.ir import ops
from chainrule.ir.check import MalformedError, check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Block, Function, Let, Line, Scalar, Var
from tests.backends.agreement import several

FLOATS = (0.0, -0.0, 1.0, -1.0, 2.0, -2.5, 0.3, 1e-30, 700.0, 1e30, -1e-310, np.inf, -np.inf, np.nan)
VALUES: dict[str, tuple[Any, ...]] = {
    "float64": (*FLOATS, 5e-324, -1e300),
    "float32": FLOATS,
    "int64": (0, 1, -1, 2, -2, 7, 40, -(2**62), 2**63 - 1),
    "bool": (False, True),
    "complex128": (0j, 1 + 2j, -1.5 + 0.5j, 2 - 0j, -3j, -1 + 0j, 1e-5 + 1e-5j),
    "complex64": (0j, 1 + 2j, -1.5 + 0.5j, 2 - 0j, -3j, -1 + 0j, 1e-5 + 1e-5j),
}
# What is asked only of arguments for which C and NumPy say the same.
DOMAIN = {
    "left_shift": lambda x, n: 0 <= n < 63,
    "right_shift": lambda x, n: 0 <= n < 63,
    "power": lambda x, n: not (isinstance(n, int) and not 0 <= n <= 40),
    "pow": lambda x, n: not (isinstance(n, int) and not 0 <= n <= 40),
    "spacing": lambda x: not (np.signbit(x) and abs(x) < 1e-40),
    "power_log": lambda x, n, k: 0 < k < 8,
    "ldexp": lambda x, n: abs(n) < 2**31,
    "gcd": lambda x, y: abs(x) < 2**60 and abs(y) < 2**60,
    "lcm": lambda x, y: abs(x) < 2**60 and abs(y) < 2**60,
}

# Where the sign of a zero may differ.
UNSIGNED = frozenset({"maximum", "minimum", "fmax", "fmin", "sign", "sinc"})
# Of the complex ones those that are compiled here: each takes Numba long.
COMPLEX = frozenset(
    [
        "add",
        "multiply",
        "divide",
        "negative",
        "power",
        "square",
        "sqrt",
        "exp",
        "expm1",
        "log",
        "sin",
        "tanh",
        "absolute",
        "angle",
        "conjugate",
        "real",
        "imag",
        "equal",
        "isnan",
        "sign",
        "power_log",
        "sinc",
        "logical_not",
        "cast",
    ]
)


def forms(dtype: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The operations that have a meaning for `dtype`, with the dtypes of their operands."""
    for op in registry:
        if not ops.is_scalar_op(op) or op in ("astype", "where") or op.startswith("special") or not native(op):
            continue
        for count in (1, 2, 3):
            dtypes = (dtype,) * count
            if op == "ldexp":
                dtypes = (dtype, "int64")
            elif op == "power_log":
                dtypes = (dtype, dtype, "int64")
            if len(dtypes) != count:
                continue
            try:
                check(one(op, dtypes))
            except (MalformedError, AttributeError):
                continue
            yield op, dtypes
            break


def native(op: str) -> bool:
    """Whether it is an operation of NumPy: others are imported by other tests."""
    return getattr(registry[op].impl, "__module__", "").startswith(("numpy", "chainrule.rules.elementwise"))


def one(op: str, dtypes: tuple[str, ...]) -> Function:
    return together([(op, dtypes)])


def together(chosen: list[tuple[str, tuple[str, ...]]]) -> Function:
    """One function with a result per operation; the n-th operands of a dtype are one parameter."""
    params: dict[tuple[int, str], Var] = {}
    block, results = Block(), []
    for op, dtypes in chosen:
        args = tuple(params.setdefault((k, d), Var(f"{'xyz'[k]}_{d}", Scalar(d))) for k, d in enumerate(dtypes))
        out = Var(op, ops.result_type(op, tuple(Scalar(d) for d in dtypes)))
        block.nodes.append(Let(out, op, args))
        results.append(out)
    return Function("operations", tuple(params.values()), block, tuple(results))


@functools.cache
def supported(dtype: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for op, dtypes in forms(dtype):
        try:
            write(one(op, dtypes))
        except UnsupportedError:
            continue
        found.append((op, dtypes))
    return tuple(found)


def points(params: tuple[Var, ...], dtype: str) -> Iterator[tuple[Any, ...]]:
    for values in itertools.product(VALUES[dtype], repeat=2):
        given = {0: values[0], 1: values[1], 2: values[0]}
        yield tuple(
            given[" yz".find(p.hint[0]) if p.hint[0] != "x" else 0] if p.type.dtype == dtype else 3 for p in params
        )


def agree(found: Any, expected: Any, dtype: str, signed: bool, absolute: float) -> bool:
    found, expected = np.dtype(dtype).type(found), np.dtype(dtype).type(expected)
    if dtype in ("int64", "bool"):
        return bool(found == expected)
    if np.isnan(expected) or np.isnan(found):
        return bool(np.isnan(found) and np.isnan(expected))
    if signed and np.signbit(found) != np.signbit(expected):
        return False
    return bool(found == expected) or bool(np.isclose(found, expected, rtol=32 * np.finfo(dtype).eps, atol=absolute))


def disagreements(call: Any, function: Function, dtype: str) -> list[str]:
    found = []
    names = [n.op for n in function.body]  # type: ignore[union-attr]
    for args in points(function.params, dtype):
        try:
            expected = evaluate(function, args)
        except ValueError:  # integers to negative powers
            continue
        for op, result, f, e in zip(names, function.results, several(call(*args)), expected, strict=True):
            wanted = DOMAIN.get(op)
            chosen = args[: len(next(n for n in function.body if n.op == op).args)]
            if wanted is not None and not wanted(*chosen):
                continue
            signed = result.type.dtype.startswith("float") and op not in UNSIGNED
            if not agree(f, e, result.type.dtype, signed, 1e-7 if op == "sinc" else 0):
                found.append(f"{op}{args} is {f} and should be {e}")
    return found


@pytest.mark.parametrize("dtype", VALUES)
def test_operations_as_python(dtype: str) -> None:
    for form in supported(dtype):
        assert not disagreements(plain(write(one(*form))), one(*form), dtype)


@pytest.mark.parametrize("dtype", VALUES)
def test_operations_compiled(dtype: str) -> None:
    function = together([f for f in supported(dtype) if f[0] in COMPLEX or not dtype.startswith("complex")])
    call = compiled(write(function, "compiled")).call
    assert not disagreements(call, function, dtype)


def test_what_is_not_compiled_is_refused_with_its_line() -> None:
    x = Var("x", Scalar("complex128"))
    node = Let(Var("y", Scalar("bool")), "less", (x, x), line=Line("/somewhere/model.py", 7))
    with pytest.raises(UnsupportedError, match=r"^less of complex numbers is not compiled: .* \(model\.py:7\)$"):
        write(Function("f", (x,), Block([node]), (node.out,)))
