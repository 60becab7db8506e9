"""The algebra of formulae: tidying changes how an expression looks, never what it is; SymPy is the referee."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy

from chainrule.core.dispatch import fresh_level, meta_of
from chainrule.core.live import dense
from chainrule.core.primitive import registry
from chainrule.rules import elementwise, special  # noqa: F401  (enters the rules)
from chainrule.view.expression import HOLE, Call, Expr, Name, Number, Product, Sum, number, tidy, without_hole
from chainrule.view.formulae import Formulae
from chainrule.view.notation import render
from chainrule.view.record import Operation, record
from chainrule.view.symbols import symbol

V1, V2, D1 = Name("v", 1), Name("v", 2), Name("dot", 1)
SYMBOLS = {name: sympy.Symbol(text, positive=True) for name, text in ((V1, "v1"), (V2, "v2"), (D1, "d1"))}
OPERATIONS = {
    "add": sympy.Add,
    "subtract": lambda a, b: a - b,
    "multiply": sympy.Mul,
    "divide": lambda a, b: a / b,
    "negative": lambda a: -a,
    "square": lambda a: a**2,
    "sqrt": sympy.sqrt,
    "reciprocal": lambda a: 1 / a,
    "sin": sympy.sin,
}


def random_expression(rng: random.Random, depth: int) -> Expr:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice([V1, V2, D1, number(rng.choice([1, 2, -3, 0.5]))])
    name = rng.choice(list(OPERATIONS))
    count = 2 if name in ("add", "subtract", "multiply", "divide") else 1
    return Call(name, tuple(random_expression(rng, depth - 1) for _ in range(count)))


def exact(value: Any) -> Any:
    return sympy.Rational(value.numerator, value.denominator) if isinstance(value, Fraction) else sympy.Float(value, 30)


def meaning(expr: Expr) -> Any:
    """The expression in SymPy."""
    if isinstance(expr, Name):
        return SYMBOLS[expr]
    if isinstance(expr, Number):
        return exact(expr.value)
    if isinstance(expr, Sum):
        return sympy.Add(*map(meaning, expr.terms))
    if isinstance(expr, Product):
        factors = [meaning(b) ** sympy.Rational(e.numerator, e.denominator) for b, e in expr.factors]
        return exact(expr.coefficient) * sympy.Mul(*factors)
    return OPERATIONS[expr.name](*map(meaning, expr.args))


POINT = {SYMBOLS[V1]: sympy.Rational(7, 3), SYMBOLS[V2]: sympy.Rational(11, 5), SYMBOLS[D1]: sympy.Rational(13, 7)}


@pytest.mark.parametrize("seed", range(150))
def test_tidying_keeps_the_value(seed: int) -> None:
    expr = random_expression(random.Random(seed), 4)
    before = meaning(expr).subs(POINT)
    if not (before.is_finite and before.is_real):
        pytest.skip("a division by zero, or the root of a negative number")
    after = meaning(tidy(expr)).subs(POINT)
    assert abs(sympy.N(before - after, 30)) < 1e-13 * (1 + abs(sympy.N(before)))


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (Call("add", (Call("multiply", (V1, D1)), Call("multiply", (D1, V1)))), "2·v₁·v̇₁"),
        (Call("divide", (Number(Fraction(1, 2)), Call("sqrt", (V1,)))), "½·v₁^(−½)"),
        (Call("subtract", (Call("divide", (D1, V2)), Call("divide", (V1, Call("square", (V2,)))))), "(v̇₁·v₂ − v₁)/v₂²"),
        (Call("add", (V1, Number(Fraction(0)))), "v₁"),
        (Call("multiply", (Number(Fraction(0)), V1)), "0"),
        (Call("multiply", (Call("negative", (V1,)), Call("negative", (V2,)))), "v₁·v₂"),
        (Call("sqrt", (Call("square", (V1,)),)), "(v₁²)^(½)"),
        (Call("square", (Call("sqrt", (V1,)),)), "v₁"),
        (Call("power_log", (V1, V2, Number(Fraction(1)))), "v₁^v₂·log(v₁)"),
        (Call("where", (V1, V2, D1), chosen=V2), "v₂"),
    ],
)
def test_how_it_looks(expr: Expr, text: str) -> None:
    assert render(tidy(expr)) == text


def test_without_hole() -> None:
    assert without_hole(Product(Fraction(2), ((V1, Fraction(1)), (HOLE, Fraction(1))))) == tidy(
        Call("multiply", (number(2), V1))
    )
    assert without_hole(HOLE) == Number(Fraction(1))
    assert without_hole(V1) == V1


# -- every rule of the registry -----------------------------------------------------------------------


def value(expr: Expr, names: dict[Expr, Any]) -> Any:
    """Evaluate an expression with NumPy and the primitives' own functions."""
    if isinstance(expr, Name):
        return names[expr]
    if isinstance(expr, Number):
        return float(expr.value) if not isinstance(expr.value, complex) else expr.value
    if isinstance(expr, Sum):
        return sum(value(term, names) for term in expr.terms)
    if isinstance(expr, Product):
        result = np.float64(float(expr.coefficient))
        for base, exponent in expr.factors:
            result = result * value(base, names) ** float(exponent)
        return result
    assert isinstance(expr, Call)
    params = {"dtype": np.dtype("f8")} if expr.name == "astype" else {}
    return registry[expr.name].impl(*[value(a, names) for a in expr.args], **params)


# With an integer among their arguments; complex-valued.
LEFT_OUT = ("ldexp", "frexp_mantissa", "lambertw", "hankel1", "hankel1e", "hankel2", "hankel2e")


def scalar_samples() -> Any:
    for name, primitive in sorted(registry.items()):
        if (
            name not in LEFT_OUT
            and primitive.kind == "elementwise"
            and primitive.samples is not None
            and primitive.slots
        ):
            for args, params in primitive.samples(np.random.default_rng(1)):
                if all(np.ndim(a) == 0 for a in args) and not params:
                    yield pytest.param(primitive, [float(a) for a in args], id=name)
                    break


@pytest.mark.parametrize(("primitive", "args"), list(scalar_samples()))
def test_every_elementwise_rule_on_names(primitive: Any, args: list[float]) -> None:
    """The formulae of partials, tangent and adjoint evaluate to what the rule gives on numbers."""
    active = [k for k in range(len(args)) if not isinstance(primitive.slot(k), special.Refused)]

    def run(xs: list[Any]) -> Any:
        supply = iter(xs)
        return primitive(*[next(supply) if k in active else a for k, a in enumerate(args)])

    made = record(run, [args[k] for k in active], [f"x{k}" for k in active], primitive)
    (step,) = [s for s in made.steps if isinstance(s, Operation)]
    formulae = Formulae(made)
    names: dict[Expr, Any] = {}
    for slot, v in enumerate(made.values):
        names |= {formulae.name(slot): v, formulae.name(slot, "dot"): 0.7, formulae.name(slot, "bar"): 1.3}
    total = 0.0
    with np.errstate(all="ignore"):
        for partial in formulae.partials(step):
            k = partial.operand
            linear = primitive.slot(k).map(primitive, k, step.y, step.values, {}, *_metas(step, k))
            want = dense(linear.apply(np.float64(1.0)))
            total += 0.7 * want
            np.testing.assert_allclose(value(partial.shown, names), want, rtol=1e-10)
            np.testing.assert_allclose(value(partial.pulled, names), 1.3 * want, rtol=1e-10)
            assert render(partial.shown)
        tangent = formulae.tangent(step, [0.7 if k in active else None for k in range(len(args))])
        np.testing.assert_allclose(value(tangent, names), total, rtol=1e-10, atol=1e-15)


def _metas(step: Operation, k: int) -> tuple[Any, Any]:
    return meta_of(step.values[k]), meta_of(step.y)


def test_symbols_take_the_branch_of_their_values() -> None:
    level = fresh_level()
    x, y = symbol(1.5, V1, level), symbol(0.5, V2, level)
    assert render(tidy(np.where(x > y, x, y).expr)) == "v₁"
    assert bool(x > y)
    assert render(tidy(np.maximum(x, y).expr)) == "max(v₁, v₂)"
