"""Formulae: what a rule says when it is run on names instead of numbers.

An expression is a tree of frozen nodes: names of traced values, numbers, constant arrays, a hole for the
argument of a linear map, and calls of primitives by name. `tidy` brings the arithmetic in a tree to the form
a textbook prints: products with one coefficient and collected powers, sums with like terms joined and a
common denominator. It knows arithmetic and nothing of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from typing import Any, TypeAlias

__all__ = [
    "HOLE",
    "Call",
    "Expr",
    "Given",
    "Name",
    "Number",
    "Product",
    "Sum",
    "number",
    "product",
    "tidy",
    "without_hole",
]


@dataclass(frozen=True, slots=True)
class Name:
    """A traced value v_i ("v"), its tangent ("dot") or its adjoint ("bar")."""

    kind: str
    index: int
    ndim: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """A number; a fraction where it is a simple one."""

    value: Any
    ndim: int = 0


@dataclass(frozen=True, slots=True)
class Given:
    """A constant array, by the user's name for it or by its shape."""

    text: str
    ndim: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """A primitive applied to expressions; of a selection by one truth also what it selects."""

    name: str
    args: tuple[Expr, ...]
    params: tuple[tuple[str, str], ...] = ()
    ndim: int = 0
    chosen: Expr | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """``coefficient * base1**exponent1 * …``"""

    coefficient: Any
    factors: tuple[tuple[Expr, Fraction], ...]

    @property
    def ndim(self) -> int:
        return max(base.ndim for base, _ in self.factors)


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of at least two terms."""

    terms: tuple[Expr, ...]

    @property
    def ndim(self) -> int:
        return max(term.ndim for term in self.terms)


Expr: TypeAlias = Name | Number | Given | Call | Product | Sum
HOLE = Name("hole", 0)
_ONE = Fraction(1)


def number(value: Any) -> Number:
    """The node of a number: a fraction where the denominator is small."""
    if isinstance(value, complex) or not isfinite(value):
        return Number(complex(value) if isinstance(value, complex) else float(value))
    simple = Fraction(value).limit_denominator(12)
    return Number(simple if float(simple) == float(value) else float(value))


def without_hole(expr: Expr) -> Expr:
    """A multiple of the hole as the number it is multiplied by."""
    if expr == HOLE:
        return Number(_ONE)
    if isinstance(expr, Product) and (HOLE, _ONE) in expr.factors:
        return product(expr, Product(_ONE, ((HOLE, -_ONE),)))
    return expr


# -- products -----------------------------------------------------------------------------------------


def _parts(expr: Expr) -> tuple[Any, tuple[tuple[Expr, Fraction], ...]]:
    if isinstance(expr, Number):
        return expr.value, ()
    if isinstance(expr, Product):
        return expr.coefficient, expr.factors
    return _ONE, ((expr, _ONE),)


def product(*operands: Expr) -> Expr:
    """The product, powers of one base collected and factors in the order in which they are read."""
    coefficient: Any = _ONE
    powers: dict[Expr, Fraction] = {}
    for operand in operands:
        c, factors = _parts(operand)
        coefficient = coefficient * c
        for base, exponent in factors:
            powers[base] = powers.get(base, Fraction(0)) + exponent
    factors = _ordered([(b, e) for b, e in powers.items() if e])
    if not factors or coefficient == 0:
        return Number(coefficient)
    if coefficient == 1 and len(factors) == 1 and factors[0][1] == 1:
        return factors[0][0]
    return Product(coefficient, factors)


def _ordered(factors: list[tuple[Expr, Fraction]]) -> tuple[tuple[Expr, Fraction], ...]:
    """As they are read: an adjoint, values, functions, a tangent; names alone by their number."""
    names_only = all(isinstance(base, Name) for base, _ in factors)

    def place(factor: tuple[Expr, Fraction]) -> tuple[int, int, bool]:
        base = factor[0]
        if not isinstance(base, Name):
            return 2, 0, False
        rank = {"bar": 0, "v": 1, "dot": 1 if names_only else 3, "hole": 4}[base.kind]
        return rank, base.index, base.kind != "v"

    return tuple(sorted(factors, key=place))


def power(base: Expr, exponent: Fraction) -> Expr:
    """``base**exponent``; the exponent is distributed where that is right for every base."""
    coefficient, factors = _parts(base)
    whole = exponent.denominator == 1
    if isinstance(base, Number):
        return number(base.value**exponent) if whole and base.value else Number(float(base.value) ** float(exponent))
    if whole or (coefficient == 1 and len(factors) == 1 and factors[0][1] == 1):
        scale = Number(coefficient ** int(exponent) if whole else 1)
        return product(scale, *(Product(_ONE, ((b, e * exponent),)) for b, e in factors))
    return Product(_ONE, ((base, exponent),))


def _raised(base: Expr, exponent: Expr) -> Expr | None:
    if isinstance(exponent, Number) and isinstance(exponent.value, Fraction):
        return power(base, exponent.value)
    return None


# -- sums ---------------------------------------------------------------------------------------------


def total(*operands: Expr) -> Expr:
    """The sum, like terms joined and zeros dropped."""
    coefficients: dict[Any, Any] = {}
    known: dict[Any, Any] = {}
    for operand in operands:
        for term in operand.terms if isinstance(operand, Sum) else (operand,):
            c, factors = _parts(term)
            key = frozenset(factors)
            known[key] = factors
            coefficients[key] = coefficients.get(key, Fraction(0)) + c
    terms = [product(Number(c), *(Product(_ONE, (f,)) for f in known[k])) for k, c in coefficients.items() if c != 0]
    if not terms:
        return Number(Fraction(0))
    return terms[0] if len(terms) == 1 else _over_common_denominator(terms)


def _over_common_denominator(terms: list[Expr]) -> Expr:
    """A sum of fractions whose denominators are powers of one base as one fraction: the quotient rule."""
    lowest = [[(b, e) for b, e in _parts(t)[1] if e < 0 and e.denominator == 1] for t in terms]
    if any(len(below) != 1 for below in lowest) or len({below[0][0] for below in lowest}) > 1:
        return Sum(tuple(terms))
    base, exponent = min((below[0] for below in lowest), key=lambda factor: factor[1])
    up = Product(_ONE, ((base, -exponent),))
    return product(Sum(tuple(product(t, up) for t in terms)), Product(_ONE, ((base, exponent),)))


# -- from calls to arithmetic -------------------------------------------------------------------------


def _minus(a: Expr) -> Expr:
    return product(Number(Fraction(-1)), a)


def _power_log(x: Expr, n: Expr, k: Expr) -> Expr:
    raised = _raised(x, n) or Call("power", (x, n), (), max(x.ndim, n.ndim))
    return product(raised, _raised(Call("log", (x,), (), x.ndim), k) or Number(_ONE))


# What the arithmetic among the primitives means.
_ARITHMETIC: dict[str, Callable[..., Expr | None]] = {
    "add": total,
    "subtract": lambda a, b: total(a, _minus(b)),
    "difference": lambda a, b: total(a, _minus(b)),
    "multiply": product,
    "divide": lambda a, b: product(a, power(b, Fraction(-1))),
    "negative": _minus,
    "positive": lambda a: a,
    "astype": lambda a: a,
    "reciprocal": lambda a: power(a, Fraction(-1)),
    "square": lambda a: power(a, Fraction(2)),
    "sqrt": lambda a: power(a, Fraction(1, 2)),
    "power": _raised,
    "float_power": _raised,
    "pow": _raised,
    "power_log": _power_log,
    "unit_gap": lambda a: total(Number(_ONE), _minus(power(a, Fraction(2)))),
}
_MOVES = ("reshape", "broadcast_to")


def _unspread(operand: Expr) -> Expr:
    """Arithmetic broadcasts by itself."""
    return operand.args[0] if isinstance(operand, Call) and operand.name == "broadcast_to" else operand


def tidy(expr: Expr) -> Expr:
    """`expr` as a textbook prints it."""
    if not isinstance(expr, Call):
        return expr
    if expr.chosen is not None:
        return tidy(expr.chosen)
    args = tuple(tidy(a) for a in expr.args)
    meaning = _ARITHMETIC.get(expr.name)
    result = meaning(*map(_unspread, args)) if meaning else None
    if result is not None:
        return result
    inner = args[0] if args else None
    if expr.name == "reshape" and inner is not None and (not inner.ndim or not expr.ndim):
        return inner  # of a number
    if expr.name == "reshape" and isinstance(inner, Call) and inner.name == "sum":
        return inner  # which has kept the axes it summed over
    if expr.name == "transpose" and isinstance(inner, Call) and inner.name == "transpose" and inner.ndim == 2:
        return inner.args[0]
    if expr.name == "broadcast_to" and isinstance(inner, Call) and inner.name in _MOVES:
        return replace(expr, args=inner.args)  # broadcasting says all that the reshape before it did
    return replace(expr, args=args)
