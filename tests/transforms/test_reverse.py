"""Reverse mode on programs of the intermediate representation: derivatives, structural zeros, calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.errors import AliasError
from chainrule.ir.build import FLOAT, Builder, constant, integer
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Call, Const, Function, Slice, Var
from chainrule.ir.show import show
from chainrule.transforms.activity import is_float
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.ir.programs import PROGRAMS, VECTOR, loop
from tests.transforms.differences import check_jvp, check_vjp
from tests.transforms.reading import program_of
from tests.transforms.zoo import ZOO

SMOOTH = [name for name, program in PROGRAMS.items() if program.smooth]


def gradient(function: Function) -> Function:
    return vjp(function, [is_float(p) for p in function.params])


# -- derivatives --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
def test_first_and_second_order(name: str) -> None:
    program = PROGRAMS[name]
    made, args = check_vjp(program.function, program.arguments())
    check_vjp(made, args)
    check_jvp(made, args)


@pytest.mark.parametrize("name", SMOOTH)
def test_some_of_the_parameters(name: str) -> None:
    program = PROGRAMS[name]
    floats = [k for k, p in enumerate(program.function.params) if is_float(p)]
    for k in floats:
        check_vjp(program.function, program.arguments(), [j == k for j in range(len(program.function.params))])


@pytest.mark.parametrize("name", ["minors", "powers", "relaxation", "triangular_in_branch"])
def test_the_same_text_every_time(name: str) -> None:
    texts = {show(gradient(program_of(*ZOO[name]))) for _ in range(3)}
    assert len(texts) == 1


def test_third_order() -> None:
    program = PROGRAMS["overwritten"]
    function, args = program.function, program.arguments()
    for _ in range(2):
        function, args = check_vjp(simplify(function), args)
    check_vjp(simplify(function), args)


# -- structural zeros ---------------------------------------------------------------------------------


def root_where_positive(b: Builder, x: Var) -> Any:
    return b.let("where", b.let("greater", x, constant(0.0)), b.let("sqrt", x), constant(0.0))


def root_or_one(b: Builder, x: Var) -> Any:
    return b.let("maximum", b.let("multiply", b.let("sqrt", x), constant(2.0)), constant(1.0))


def root_beside_itself(b: Builder, x: Var) -> Any:
    root = b.let("sqrt", x)
    chosen = b.let("where", b.let("greater", x, constant(0.0)), root, constant(0.0))
    return b.let("add", chosen, b.let("where", b.let("less", x, constant(-1.0)), root, x))


@pytest.mark.parametrize(
    ("write", "expected"), [(root_where_positive, 0.0), (root_or_one, 0.0), (root_beside_itself, 1.0)]
)
def test_what_is_not_selected_contributes_nothing(write: Callable[[Builder, Var], Any], expected: float) -> None:
    x, b = Var("x", FLOAT), Builder()
    function = Function("f", (x,), b.block, (write(b, x),))
    assert evaluate(gradient(function), [0.0, 1.0])[1] == expected


def test_zero_times_infinity_is_no_structural_zero() -> None:
    x, b = Var("x", FLOAT), Builder()
    function = Function("f", (x,), b.block, (b.let("square", b.let("sqrt", x)),))
    assert math.isnan(evaluate(gradient(function), [0.0, 1.0])[1])


_x = np.array([0.3, -0.8, 1.2, 0.5])


# -- calls --------------------------------------------------------------------------------------------


def test_aliases_that_a_call_writes_to() -> None:
    x, y, b = Var("x", VECTOR), Var("y", VECTOR), Builder()
    b.store(x, [integer(0)], b.let("multiply", b.load(x, integer(0)), b.load(y, integer(1))))
    callee = Function("scale", (x, y), b.block, (b.load(x, integer(0)),), writes=frozenset([x]))
    z, top = Var("z", VECTOR), Builder()
    own = top.copy(z)
    tail = top.view(own, "index", [Slice(integer(0), None, None)])
    out = Var("s", FLOAT)
    top.emit(Call((out,), callee, (own, tail)))
    with pytest.raises(AliasError, match="scale is called with arrays that may share memory"):
        vjp(Function("f", (z,), top.block, (out,)), [True])


def test_a_cotangent_that_is_nowhere_used_is_zero() -> None:
    x, y, b = Var("x", FLOAT), Var("y", VECTOR), Builder()
    function = Function("f", (x, y), b.block, (Const(3.0, FLOAT), y))
    _, _, x_bar, y_bar = evaluate(vjp(function, [True, True]), [1.0, _x, 2.0, _x + 1])
    assert x_bar == 0.0
    np.testing.assert_array_equal(y_bar, _x + 1)


def test_long_expressions_take_linear_time() -> None:
    """Neither is a chain of squares looked through as a tree, nor recursively."""
    x, b = Var("x", VECTOR), Builder()

    def body(i: Var, s: Var) -> list[Any]:
        t = b.load(x, i)
        for _ in range(600):
            t = b.let("add", b.let("multiply", t, constant(0.999)), b.let("multiply", t, b.let("multiply", t, s)))
        return [t]

    (s,) = loop(b, integer(0), b.dim(x, 0), body, [constant(1e-3)])
    function = Function("long", (x,), b.block, (s,))
    check_vjp(function, (np.array([1e-3, 2e-3]),))
