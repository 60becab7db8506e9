"""Derivations: every step is a true equation, names its rule, and the last one is the derivative."""

from __future__ import annotations

import pytest
import sympy

from chainrule.errors import UnsupportedError
from chainrule.symbolic.derivation import derive

x, a = sympy.symbols("x a", real=True)
u, v = sympy.Function("u")(x), sympy.Function("v")(x)

RULES = [  # expression, the first rule
    (x, "identity"),
    (a**2, "constant"),
    (x + sympy.sin(x), "sum rule"),
    (x + a, "sum rule, constant"),
    (a * sympy.sin(x), "constant factor"),
    (x * sympy.sin(x) * sympy.exp(x), "product rule"),
    (sympy.sin(x) / (1 + x), "quotient rule"),
    (a / sympy.cosh(x), "constant factor"),
    (1 / sympy.cosh(x), "reciprocal rule"),
    (x**5, "power rule"),
    (sympy.sqrt(1 + x**2), "power rule, chain rule"),
    (a**x, "exponential rule, chain rule"),
    (x**x, "power with a variable exponent"),
    (sympy.exp(x), "derivative of exp"),
    (sympy.exp(-(x**2)), "derivative of exp, chain rule"),
    (sympy.atan2(x, x**2 + a), "derivative of atan2, chain rule"),
    (sympy.Max(x, a * x**2), "derivative of Max, chain rule"),
    (sympy.loggamma(x), "derivative of loggamma"),
    (sympy.besselj(2, x), "derivative of besselj"),
]
LONG = [
    sympy.log(x * a * (x + a)) / (x - a) ** 2,
    a * sympy.sqrt(sympy.log(a / sympy.sin(x**2))),
    sympy.log(x) * sympy.sin(x) ** 2,
    sympy.tanh(sympy.exp(x) * x / (1 + x**2)) ** 3 - x**a,
]


@pytest.mark.parametrize(("expression", "rule"), RULES)
def test_the_first_step_names_its_rule(expression, rule) -> None:
    assert derive(expression, x).steps[0].rule == rule


@pytest.mark.parametrize("expression", [*(e for e, _ in RULES), *LONG])
def test_every_step_is_true_and_none_is_missing(expression) -> None:
    derivation = derive(expression, x)
    done = {step.expression for step in derivation.steps}
    at = {x: sympy.Rational(7, 10), a: sympy.Rational(13, 10)}
    for step in derivation.steps:
        assert {d.expr for d in step.result.atoms(sympy.Derivative)} <= done
        gap = (step.result.doit() - step.expression.diff(x)).subs(at)
        assert abs(float(gap)) < 1e-12, step
    assert derivation.result == expression.diff(x)
    assert len(done) == len(derivation.steps), "nothing is derived twice"


def test_the_text_is_a_table_of_equations() -> None:
    assert str(derive(sympy.log(x) * sympy.sin(x) ** 2, x)) == (
        "d/dx[log(x)*sin(x)**2] = log(x)*d/dx[sin(x)**2] + sin(x)**2*d/dx[log(x)]   product rule\n"
        "d/dx[sin(x)**2] = 2*sin(x)*d/dx[sin(x)]                                    power rule, chain rule\n"
        "d/dx[sin(x)] = cos(x)                                                      derivative of sin\n"
        "d/dx[log(x)] = 1/x                                                         derivative of log\n"
        "d/dx[log(x)*sin(x)**2] = 2*log(x)*sin(x)*cos(x) + sin(x)**2/x"
    )


def test_latex_has_a_line_per_step() -> None:
    text = derive(x * sympy.sin(x), x).latex()
    assert text.startswith(r"\begin{align*}")
    assert text.endswith(r"\end{align*}")
    assert text.count("&&") == 3
    assert r"\frac{\partial}{\partial x}\left[x \sin{\left(x \right)}\right] &= " in text
    assert r"\text{product rule}" in text
    assert derive(x, x)._repr_latex_() == derive(x, x).latex()


def test_what_has_no_rule_raises() -> None:
    with pytest.raises(UnsupportedError, match="no rule of differentiation for Integral"):
        derive(sympy.Integral(sympy.sin(x) / x, x), x)
