"""Scalar operations as Python expressions, with as few parentheses as the grammar allows.

`operation` writes an operation over expressions, `constant` a number, exactly. An `Expression` remembers which names
and which arrays its text reads, so that whoever holds it back knows when it would no longer mean the same.
The text means what `ir.evaluate` answers where numbers are NumPy's: 1 / 0 is inf, and nothing raises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends import support
from chainrule.core.primitive import registry
from chainrule.errors import UnsupportedError
from chainrule.ir.nodes import Line, Scalar, Var

__all__ = ["ATOM", "Expression", "constant", "name", "operation", "subscript"]

# The levels of Python's grammar, from what binds last to what binds first.
CHOICE, OR, AND, NOT, COMPARE, BITS, SHIFT, SUM, TERM, UNARY, POWER, ATOM = range(12)


class Expression(NamedTuple):
    """Text, how tightly its outermost operation binds, and what it reads."""

    text: str
    level: int = ATOM
    names: frozenset[str] = frozenset()
    roots: frozenset[Var] = frozenset()  # of the arrays whose elements it reads
    line: Line | None = None
    parts: tuple[str, str, str] | None = None  # of ``left op right``: op, left, right; left is "" for ``-right``

    def at(self, level: int) -> str:
        """The text where an operation of `level` takes it as an operand."""
        return self.text if self.level >= level else f"({self.text})"


_INFIX: dict[str, tuple[str, int]] = {
    "add": ("+", SUM),
    "subtract": ("-", SUM),
    "multiply": ("*", TERM),
    "divide": ("/", TERM),
    "floor_divide": ("//", TERM),
    "remainder": ("%", TERM),
    "power": ("**", POWER),
    "float_power": ("**", POWER),
    "pow": ("**", POWER),
    "equal": ("==", COMPARE),
    "not_equal": ("!=", COMPARE),
    "less": ("<", COMPARE),
    "less_equal": ("<=", COMPARE),
    "greater": (">", COMPARE),
    "greater_equal": (">=", COMPARE),
    "logical_and": ("and", AND),
    "logical_or": ("or", OR),
    "logical_xor": ("!=", COMPARE),
    "bitwise_or": ("|", BITS),
    "bitwise_xor": ("^", BITS),
    "bitwise_and": ("&", BITS),
    "left_shift": ("<<", SHIFT),
    "right_shift": (">>", SHIFT),
}
# On booleans: arithmetic means logic, and stays boolean.
_ON_BOOLEANS = {"add": "logical_or", "multiply": "logical_and", "maximum": "logical_or", "minimum": "logical_and"}
_ON_BOOLEANS |= {"bitwise_or": "logical_or", "bitwise_and": "logical_and", "bitwise_xor": "logical_xor"}
_PREFIX = {"negative": ("-", UNARY), "invert": ("~", UNARY), "logical_not": ("not ", NOT)}
_NUMPY = frozenset(
    [
        "sqrt",
        "cbrt",
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "logaddexp",
        "logaddexp2",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "arctan2",
        "sinh",
        "cosh",
        "tanh",
        "arcsinh",
        "arccosh",
        "arctanh",
        "degrees",
        "radians",
        "hypot",
        "fabs",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "copysign",
        "nextafter",
        "ldexp",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "spacing",
        "isnan",
        "isinf",
        "isfinite",
        "signbit",
        "sign",
        "fmod",
        "reciprocal",
        "gcd",
        "lcm",
    ]
)
# Numba has these for real numbers only.
_NOT_COMPLEX = frozenset(["less", "less_equal", "greater", "greater_equal", "maximum", "minimum", "fmax", "fmin"]) | {
    "logistic"
}
_OTHER_NAMES = {"norm.root": "np.sqrt", "absolute": "abs", "special.log1p": "np.log1p", "special.expm1": "np.expm1"}
_OTHER_NAMES |= {"special.cbrt": "np.cbrt", "special.exp2": "np.exp2", "erf": "math.erf", "erfc": "math.erfc"}
# Those of the module `kernels`, which imports SciPy.
_KERNELS = frozenset(
    [
        "airy_ai",
        "airy_aip",
        "airy_bi",
        "airy_bip",
        "beta_pdf",
        "chi",
        "ci",
        "ellipk_slope",
        "fresnel_c",
        "fresnel_s",
        "ierfcx",
        "igam_fac",
        "log_ratio",
        "polygamma",
        "psi_difference",
        "relative_gap",
        "riemann_zeta",
        "shi",
        "si",
        "xdivy",
        "zeta",
    ]
)
_CAST = {"float64": "float", "int64": "int", "complex128": "complex", "float32": "np.float32"}
_CAST |= {"complex64": "np.complex64"}
_BUILTINS = {"maximum": "max", "minimum": "min", "fmax": "max", "fmin": "min"}  # of integers
_OPPOSITE = {"==": "!=", "!=": "=="}
_SINGLE = ("float32", "complex64")
# Powers that are multiplications.
_SMALL = {text: str(n) for n in (2, 3, 4) for text in (f"{n}.0", f"np.float32({n}.0)")}
_INFINITE = {math.inf: "np.inf", -math.inf: "-np.inf"}


# -- numbers ------------------------------------------------------------------------------------------


def _real(value: float) -> str:
    if value != value:
        return "np.nan"
    return _INFINITE.get(value) or repr(value)


def constant(value: Any, type: Scalar) -> Expression:
    """The number `value` of `type`.

    Examples
    --------
    >>> constant(0.1, Scalar("float64")).text, constant(0.5, Scalar("float32")).text
    ('0.1', 'np.float32(0.5)')
    """
    match type.dtype:
        case "bool":
            return Expression(repr(bool(value)))
        case "int64":
            return _signed(repr(int(value)))
        case "float64":
            return _signed(_real(float(value)))
        case "float32":
            return Expression(f"np.float32({_real(float(value))})")
    number = complex(value)
    text = f"complex({_real(number.real)}, {_real(number.imag)})"
    return Expression(text if type.dtype == "complex128" else f"np.complex64({text})")


def _signed(text: str) -> Expression:
    if text.startswith("-"):
        return Expression(text, UNARY, parts=("-", "", text[1:]))
    return Expression(text)


# -- expressions --------------------------------------------------------------------------------------


def name(text: str) -> Expression:
    return Expression(text, names=frozenset([text]))


def _over(args: Sequence[Expression]) -> dict[str, Any]:
    """What an expression over `args` reads."""
    return {
        "names": frozenset().union(*(a.names for a in args)),
        "roots": frozenset().union(*(a.roots for a in args)),
        "line": next((a.line for a in args if a.line is not None), None),
    }


def call(function: str, *args: Expression) -> Expression:
    return Expression(f"{function}({', '.join(a.text for a in args)})", **_over(args))


def subscript(array: str, items: Sequence[Expression], root: Var) -> Expression:
    over = _over(items)
    over["names"] |= {array}
    over["roots"] |= {root}
    return Expression(f"{array}[{', '.join(i.text for i in items)}]", **over)


def infix(symbol: str, level: int, left: Expression, right: Expression) -> Expression:
    """``left symbol right``; what is equally tight is grouped from the left, powers and comparisons not at all."""
    alone = level in (COMPARE, POWER, BITS, SHIFT)
    first, second = left.at(level + 1 if alone else level), right.at(level + 1)
    if level == POWER:
        second = right.at(UNARY)
    parts = (symbol, left.text, right.text)
    return Expression(f"{first} {symbol} {second}", level, parts=parts, **_over([left, right]))


def prefix(symbol: str, level: int, value: Expression) -> Expression:
    parts = (symbol, "", value.text)
    return Expression(symbol + value.at(level), level, parts=parts, **_over([value]))


def negated(test: Expression) -> Expression:
    """``not test``"""
    if test.level == NOT:
        return test._replace(text=test.text.removeprefix("not "), level=NOT)
    if test.parts is not None and test.parts[0] in _OPPOSITE:
        symbol = _OPPOSITE[test.parts[0]]
        return test._replace(text=test.text.replace(f" {test.parts[0]} ", f" {symbol} ", 1))
    return prefix("not ", NOT, test)


def choice(test: Expression, then: Expression, orelse: Expression) -> Expression:
    text = f"{then.at(OR)} if {test.at(OR)} else {orelse.at(CHOICE)}"
    return Expression(text, CHOICE, **_over([then, test, orelse]))


def operation(op: str, args: Sequence[Expression], dtypes: Sequence[str], out: str) -> Expression:
    """``op(*args)`` for operands of `dtypes` with a result of dtype `out`.

    Examples
    --------
    >>> x, y = name("x"), name("y")
    >>> total = operation("add", [x, y], ["float64", "float64"], "float64")
    >>> operation("multiply", [x, total], ["float64", "float64"], "float64").text
    'x * (x + y)'
    """
    kind = dtypes[0]
    if op == "where":
        return choice(*args)
    if op == "cast":
        return _cast(args[0], kind, out)
    if kind == "bool":
        if op == "invert":
            op = "logical_not"
        op = _ON_BOOLEANS.get(op, op)
    elif op.startswith("logical_"):
        args = [infix("!=", COMPARE, a, constant(0, Scalar(d))) for a, d in zip(args, dtypes, strict=True)]
    if kind.startswith("complex"):
        return _complex_operation(op, args, kind, out)
    return _real_operation(op, args, kind, out)


def _cast(value: Expression, kind: str, out: str) -> Expression:
    if out == "bool":
        return infix("!=", COMPARE, value, constant(0, Scalar(kind)))
    if kind == out == "int64":  # it is not negative
        return call("np.uintp", value)
    if kind == "bool" and out != "int64":
        value = call("int", value)  # Numba makes no float of a bool
    return call(_CAST[out], value)


def _real_operation(op: str, args: Sequence[Expression], kind: str, out: str) -> Expression:
    if op in ("positive", "conjugate", "real", "stop_gradient"):
        return args[0]
    if op == "imag":
        return constant(0, Scalar(out))
    if op == "square":
        return infix("**", POWER, args[0], Expression("2"))
    if kind == "int64":
        if op == "fmod":
            return call("support.truncated_remainder", *args)
        if op in _BUILTINS:
            return call(_BUILTINS[op], *args)
        op = "subtract" if op == "difference" else op
    if op in ("power", "float_power", "pow") and args[1].text in _SMALL:
        args = [args[0], Expression(_SMALL[args[1].text])]
    return _plain(op, args, out)


def _complex_operation(op: str, args: Sequence[Expression], kind: str, out: str) -> Expression:
    if op in _NOT_COMPLEX:
        raise UnsupportedError(f"{op} of complex numbers is not compiled: take their real parts or absolute values")
    if op in ("positive", "stop_gradient"):
        return args[0]
    if op == "conjugate":
        return Expression(f"{args[0].at(ATOM)}.conjugate()", **_over(args))
    if op in ("real", "imag"):
        return Expression(f"{args[0].at(ATOM)}.{op}", **_over(args))
    if op == "expm1":
        return call("support.complex_expm1", *args)
    if op in ("divide", "square"):  # Python's division raises in Numba
        return call(f"np.{op}", *args)
    if op in ("power", "float_power", "pow"):
        power = call("support.complex_power", *args)
        return call(_CAST[kind], power) if kind in _SINGLE else power
    return _plain(op, args, out)


def _plain(op: str, args: Sequence[Expression], out: str) -> Expression:
    """What is written in one way for all dtypes."""
    if op in _INFIX:
        return infix(*_INFIX[op], *args)
    if op in _PREFIX:
        return prefix(*_PREFIX[op], args[0])
    function = f"np.{op}" if op in _NUMPY else _OTHER_NAMES.get(op) or _elsewhere(op, out)
    made = call(function, *args)
    # Those of other modules answer in double precision.
    return call(_CAST[out], made) if out in _SINGLE and not function.startswith(("np.", "abs")) else made


def _elsewhere(op: str, out: str) -> str:
    """The function of this package, or else of SciPy, that evaluates `op`."""
    impl = registry[op].impl
    if op in support.__all__:
        return f"support.{op}"
    if op in _KERNELS and not out.startswith("complex"):
        return f"kernels.{op}"
    numpys = getattr(np, getattr(impl, "__name__", ""), None) is impl
    if isinstance(impl, np.ufunc) and not numpys and not out.startswith("complex"):
        return f"special.{impl.__name__}"
    raise UnsupportedError(f"{op} is not compiled yet: take the derivative without jit")
