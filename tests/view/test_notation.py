"""Notations: one expression, three ways of writing it; numbers and arrays in a few characters."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from chainrule.view.expression import Call, Expr, Given, Name, Number, number, tidy
from chainrule.view.notation import ASCII, LATEX, UNICODE, brief, format_number, render, summary, width

V, W, M, N = Name("v", -1), Name("v", 12), Name("v", 1, 2), Name("v", 2, 2)
DOT, BAR = Name("dot", 1), Name("bar", 3)
HALF = Number(Fraction(1, 2))


@pytest.mark.parametrize(
    ("expr", "text", "plain", "latex"),
    [
        (V, "v₋₁", "v_1", "v_{-1}"),
        (DOT, "v̇₁", "dv1", r"\dot v_{1}"),
        (BAR, "v̄₃", "bv3", r"\bar v_{3}"),
        (Call("multiply", (V, W)), "v₋₁·v₁₂", "v_1*v12", r"v_{-1} \, v_{12}"),
        (Call("multiply", (V, number(2))), "v₋₁·2", "v_1*2", r"v_{-1} \cdot 2"),
        (Call("multiply", (M, N)), "v₁ ⊙ v₂", "v1 * v2", r"v_{1} \odot v_{2}"),
        (Call("matmul", (M, N)), "v₁ @ v₂", "v1 @ v2", r"v_{1} \, v_{2}"),
        (Call("divide", (V, W)), "v₋₁/v₁₂", "v_1/v12", r"\frac{v_{-1}}{v_{12}}"),
        (Call("subtract", (V, Call("add", (V, W)))), "v₋₁ − (v₋₁ + v₁₂)", "v_1 - (v_1 + v12)", None),
        (Call("divide", (V, Call("multiply", (V, W)))), "v₋₁/(v₋₁·v₁₂)", "v_1/(v_1*v12)", None),
        (Call("power", (V, number(3))), "v₋₁³", "v_1**3", "v_{-1}^{3}"),
        (Call("power", (V, W)), "v₋₁^v₁₂", "v_1**v12", "v_{-1}^{v_{12}}"),
        (Call("power", (Call("negative", (V,)), number(2))), "(−v₋₁)²", "(-v_1)**2", r"\left(-v_{-1}\right)^{2}"),
        (Call("sqrt", (V,)), "√v₋₁", "sqrt(v_1)", r"\sqrt{v_{-1}}"),
        (Call("absolute", (V,)), "|v₋₁|", "abs(v_1)", r"\left|v_{-1}\right|"),
        (Call("floor", (V,)), "⌊v₋₁⌋", "floor(v_1)", r"\left\lfloor v_{-1}\right\rfloor"),
        (Call("maximum", (V, W)), "max(v₋₁, v₁₂)", "max(v_1, v12)", r"\max\left(v_{-1}, v_{12}\right)"),
        (Call("less", (V, W)), "[v₋₁ < v₁₂]", "[v_1 < v12]", r"\left[v_{-1} < v_{12}\right]"),
        (Call("sum", (M,), (("axis", "0"),)), "sum(v₁, axis=0)", "sum(v1, axis=0)", None),
        (Call("transpose", (M,), (("axes", "(1, 0)"),), 2), "v₁ᵀ", "v1.T", r"v_{1}^{\mathsf T}"),
        (Call("getitem", (M,), (("index", "0, :"),)), "v₁[0, :]", "v1[0, :]", None),
        (
            Call("set_item", (V, M), (("index", "2"),)),
            "v₁[2 ← v₋₁]",
            "v1[2 <- v_1]",
            r"v_{1}[\mathtt{2} \leftarrow v_{-1}]",
        ),
        (tidy(Call("divide", (HALF, Call("sqrt", (V,))))), "½·v₋₁^(−½)", "0.5*v_1**(-0.5)", None),
        (tidy(Call("multiply", (number(-2.5), V))), "−5/2·v₋₁", "-2.5*v_1", r"-\tfrac{5}{2} \, v_{-1}"),
        (tidy(Call("multiply", (number(0.9), V))), "0.9·v₋₁", "0.9*v_1", r"0.9 \, v_{-1}"),
        (tidy(Call("divide", (number(-0.3), V))), "−0.3/v₋₁", "-0.3/v_1", r"-\frac{0.3}{v_{-1}}"),
        (tidy(Call("divide", (number(0.75), V))), "3/(4·v₋₁)", "3/(4*v_1)", r"\frac{3}{4 \, v_{-1}}"),
        (tidy(Call("subtract", (number(1), Call("square", (Call("tanh", (V,)),))))), "1 − tanh(v₋₁)²", None, None),
        (Given("x_train"), "x_train", "x_train", r"\mathtt{x\_train}"),
        (Number(1e-7), "1e−7", "1e-7", r"1 \cdot 10^{-7}"),
    ],
)
def test_expressions(expr: Expr, text: str, plain: str | None, latex: str | None) -> None:
    assert render(expr, UNICODE) == text
    assert plain is None or render(expr, ASCII) == plain
    assert latex is None or render(expr, LATEX) == latex
    assert render(expr, ASCII).isascii()
    assert render(expr, LATEX).isascii()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (-0.0, "0"),
        (1 / 3, "0.333333"),
        (1234567.0, "1.23457e6"),
        (1e-10, "1e-10"),
        (np.float32(0.1), "0.1"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (1 - 2j, "1-2i"),
        (True, "true"),
    ],
)
def test_numbers(value: object, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([1.0, 2.5]), "[1, 2.5]"),
        (np.zeros((2, 3)), "(2, 3) all 0"),
        (np.arange(6.0).reshape(2, 3), "(2, 3) 0 … 5, mean 2.5"),
        (np.ones((4,), complex), "(4,) complex128"),
        (np.zeros((0, 2)), "(0, 2) float64"),
        (np.array([1.0, np.nan, 2.0, 3.0]), "(4,) nan … nan, mean nan"),
    ],
)
def test_arrays(value: object, text: str) -> None:
    assert summary(value) == text
    assert summary(value).startswith(brief(value))


def test_accents_take_no_room() -> None:
    assert width("v̇₁·v̄₂") == 5


def test_names_from_programs() -> None:
    assert LATEX.identifier("x12") == "x_{12}"
    assert LATEX.identifier("x1", "bar") == r"\bar{x}_{1}"
    assert LATEX.identifier("rate_2", "dot") == r"\dot{\mathtt{rate\_2}}"
    assert UNICODE.identifier("y", "dot") == "ẏ"
