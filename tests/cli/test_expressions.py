"""Expressions: what passes means what Python's `math` says; what does not is refused in words."""

from __future__ import annotations

import inspect
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.cli import expressions
from chainrule.errors import ArgumentError

MATH = {name: getattr(math, name) for name in dir(math) if name[0] != "_"}


@pytest.mark.parametrize(
    "text",
    [
        "x*y + exp(x*y) - sin(y)",
        "x*sqrt(log(x/sin(y**2)))",
        "log(x*y*(x + y))/(x - y)**2",
        "-x**2 + +y",
        "2*x**-3 - 1e-3/y",
        "atan2(x, y) + hypot(x, y) + pow(x, y)",
        "cosh(x) + tanh(y) + erf(x) + gamma(y) + lgamma(x)",
        "max(x, y) - min(x, y) + floor(x)",
        "pi*x + e*y + 2**10",
        " x\n",
        "9**9*x + y",
    ],
)
def test_a_formula_means_what_it_means_in_mathematics(text: str) -> None:
    x, y = 1.7, 0.6
    expected = eval(text.strip(), {**MATH, "max": max, "min": min}, {"x": x, "y": y})
    assert expressions.function(text, ["x", "y"])(x, y) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("np.sin(x) + math.cos(x) + numpy.pi", math.sin(0.3) + math.cos(0.3) + math.pi),
        ("ln(x) + sigmoid(x)", math.log(0.3) + 1 / (1 + math.exp(-0.3))),
        ("asin(x) + arcsin(x)", 2 * math.asin(0.3)),
    ],
)
def test_names_of_modules_and_synonyms(text: str, expected: float) -> None:
    assert expressions.function(text, ["x"])(0.3) == pytest.approx(expected, rel=1e-14)


def test_functions_of_arrays() -> None:
    x = np.array([1.0, 2.0, 4.0])
    f = expressions.function("sum(x**2) + mean(x) + prod(x) + max(x) + min(x) + norm(x) + dot(x, x)", ["x"])
    assert f(x) == pytest.approx(21 + 7 / 3 + 8 + 4 + 1 + math.sqrt(21) + 21)


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("x*y + exp(x*y) - sin(y)", ["t1 = x * y", "return t1 + exp(t1) - sin(y)"]),
        ("sin(x*y)/(1 + sin(x*y))*(x*y)", ["t1 = x * y", "t2 = sin(t1)", "return t2 / (1 + t2) * t1"]),
        ("x*t1 + x*t1", ["t2 = x * t1", "return t2 + t2"]),
        ("2*pi*x + 2*pi*y - -1 + -1", ["return 2 * pi * x + 2 * pi * y - -1 + -1"]),
        ("x + x", ["return x + x"]),
    ],
)
def test_what_stands_there_twice_is_computed_once(text: str, body: list[str]) -> None:
    f = expressions.function(text, expressions.names(text.replace("pi", "1")))
    assert [line.strip() for line in inspect.getsource(f).splitlines()[1:]] == body


def test_names_come_in_the_order_of_the_formula() -> None:
    assert expressions.names("b*sin(a) + c/b") == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not an expression"),
        ("x +", "not an expression"),
        ("2x", "not an expression"),
        ("x = 1", "not an expression"),
        ("x; y", "not an expression"),
        ("import os", "not an expression"),
        ("x\x00", "not an expression|cannot be read"),
        ("(" * 300 + "x" + ")" * 300, "not an expression|cannot be read"),
        ("+".join("x" * 1000), "nested deeper"),
        ("x" * 30_000, "too long"),
        ("x^2", r"write \*\*"),
        ("x // 2", "FloorDiv"),
        ("x % 2", "Mod"),
        ("x @ x", "MatMult"),
        ("~x", "Invert"),
        ("x > 1", "not for expressions"),
        ("x if x else 1", "not for expressions"),
        ("x and x", "not for expressions"),
        ("[x]", "not for expressions"),
        ("x[0]", "not for expressions"),
        ("(x, x)", "not for expressions"),
        ("{x: 1}", "not for expressions"),
        ("x.real", "not for expressions"),
        ("lambda: x", "not for expressions"),
        ("[y for y in x]", "not for expressions"),
        ("(y := x)", "not for expressions"),
        ("f'{x}'", "not for expressions"),
        ("(yield x)", "not for expressions"),
        ("'a'", "no real number"),
        ("2j*x", "no real number"),
        ("True", "no real number"),
        ("None", "no real number"),
        ("sinn(x)", "no function 'sinn' for expressions; did you mean sin"),
        ("__import__('os')", "no function '__import__'"),
        ("np.load(x)", "no function 'load'"),
        ("os.system('ls')", "no function 'os.system'"),
        ("().__class__.__bases__", "not for expressions"),
        ("sin(x).dtype", "not for expressions"),
        ("sin(x)(x)", "no function"),
        ("(lambda: x)()", "no function"),
        ("sin(x, x)", "sin takes one argument"),
        ("sin()", "sin takes one argument"),
        ("hypot(x)", "hypot takes two arguments"),
        ("sin(x, out=x)", "sin takes one argument"),
        ("sin(*x)", "sin takes one argument"),
        ("9**9**9", "too large"),
        ("x**(10**10**10)", "too large"),
        ("0**-1 * x", "divides by zero"),
        ("y + x", "y has no value"),
        ("xx", "did you mean x"),
        ("np", "np has no value"),
        ("__builtins__", "__builtins__ has no value"),
    ],
)
def test_what_is_no_formula_is_refused(text: str, words: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ArgumentError, match=words):
        expressions.function(text, ["x"])
    assert time.perf_counter() - started < 1


def test_a_function_is_no_variable() -> None:
    with pytest.raises(ArgumentError, match="'exp' is the name of a function"):
        expressions.function("exp", ["exp"])


@pytest.mark.parametrize(("text", "expected"), [("pi/4", math.pi / 4), ("-sqrt(2)", -math.sqrt(2)), ("1/3", 1 / 3)])
def test_constants(text: str, expected: float) -> None:
    assert expressions.constant(text) == pytest.approx(expected)


@pytest.mark.parametrize(("text", "words"), [("abc", "'abc' is no number"), ("1/0", "division by zero")])
def test_what_is_no_constant(text: str, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        expressions.constant(text)


@given(st.text("xy0123456789.+-*/()[]{}'\"_ ,=:<>%@&|^~!;\n\\sincoexpmathnpf#", max_size=40))
def test_no_text_does_anything_but_raise_or_be_a_formula(text: str) -> None:
    try:
        made = expressions.function(text, ["x", "y"])
    except ArgumentError:
        return
    assert set(made.__globals__) - {"__builtins__", "__name__", "f"} <= set(expressions.CONSTANTS) | set(dir(np)) | {
        "norm",
        *expressions._SPECIAL,
    }
    assert made.__globals__["__builtins__"] == {}
