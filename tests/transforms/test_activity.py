"""Which variables carry a derivative, and that those which do not have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.nodes import Atom, Call, Function, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.activity import find_active
from tests.ir.programs import ALL, MATRIX, PROGRAMS, VECTOR, branch, finish, loop

Made = tuple[Function, Sequence[bool], str]


def names(active: frozenset[Var]) -> str:
    return " ".join(sorted({v.hint for v in active if v.hint != "t"}))


def chain() -> Made:
    x, y, b = Var("x", FLOAT), Var("y", FLOAT), Builder()
    u = b.let("sin", x, hint="u")
    b.let("cos", x, hint="dead")
    v = b.let("exp", y, hint="v")
    return finish("chain", (x, y), b, b.let("multiply", u, v, hint="w")), (True, False), "u w x"


def through_integers() -> Made:
    x, b = Var("x", FLOAT), Builder()
    k = b.cast(x, "int64", hint="k")
    f = b.let("floor", x, hint="f")
    c = b.let("greater", x, f, hint="c")
    y = b.let("where", c, b.cast(k, "float64", hint="kf"), f, hint="y")
    return finish("through_integers", (x,), b, y), (True,), ""


def through_carries() -> Made:
    """`x` reaches `s` through `v` in the second iteration, and `u` never."""
    x, b = Var("x", FLOAT), Builder()
    one = constant(1.0)

    def body(i: Var, s: Var, v: Var, u: Var) -> Sequence[Atom]:
        return [b.let("add", s, v), x, b.let("add", u, one)]

    s, v, u = loop(b, integer(0), integer(5), body, [one, one, one], hints=["s", "v", "u"])
    y = b.let("multiply", b.let("multiply", s, u, hint="su"), v, hint="y")
    return finish("through_carries", (x,), b, y), (True,), "s su v x y"


def through_memory() -> Made:
    """A store after the load, in a loop; through a view; beside memory that is only written to."""
    x, b = Var("x", FLOAT), Builder()
    a = b.alloc("float64", [integer(2), integer(2)], 1.0, hint="a")
    row = b.view(a, "index", [integer(0), ALL], hint="row")
    unread = b.alloc("float64", [integer(2)], 1.0, hint="unread")

    def body(i: Var, s: Var) -> Sequence[Atom]:
        v = b.load(a, integer(0), integer(1), hint="v")
        b.store(row, [integer(1)], x)
        b.store(unread, [integer(1)], x)
        return [b.let("add", s, v)]

    (s,) = loop(b, integer(0), integer(3), body, [constant(0.0)])
    return finish("through_memory", (x,), b, s), (True,), "a row s v x"


def through_merged_arrays() -> Made:
    x, b = Var("x", FLOAT), Builder()

    def made(hint: str, value: Atom) -> Sequence[Atom]:
        a = b.alloc("float64", [integer(1)], 0.0, hint=hint)
        b.store(a, [integer(0)], value)
        return [a]

    (m,) = branch(b, b.let("greater", x, constant(0.0)), lambda: made("yes", x), lambda: made("no", constant(1.0)), "m")
    return finish("through_merged_arrays", (x,), b, b.load(m, integer(0), hint="y")), (True,), "m no x y yes"


def through_array_operations() -> Made:
    a, b = Var("a", MATRIX), Builder()
    c = b.copy(a, hint="c")
    (order,) = b.op("argsort", b.view(c, "index", [integer(0), ALL], hint="row"), hint="order")
    (y,) = b.op("inv", c, hint="y")
    k = b.load(order, integer(0), hint="k")
    return finish("through_array_operations", (a,), b, b.load(y, k, k, hint="z")), (True,), "a c row y z"


def through_recursion() -> Made:
    """Only the second argument reaches the result, and only what the call writes comes back."""
    n, x, v = Var("n", INT), Var("x", FLOAT), Var("v", VECTOR)
    b, top = Builder(), Builder()
    function = Function("f", (n, x, v), b.block, (), writes=frozenset([v]))

    def again() -> Sequence[Atom]:
        out = Var("out", FLOAT)
        b.emit(Call((out,), function, (b.let("subtract", n, integer(1)), constant(2.0), v)))
        b.store(v, [integer(0)], b.let("multiply", x, out, hint="product"))
        return [b.load(v, integer(1), hint="one")]

    function.results = tuple(branch(b, b.let("less", n, integer(1)), lambda: [x], again, "r"))
    m, y, out = Var("m", INT), Var("y", FLOAT), Var("top", FLOAT)
    w = top.alloc("float64", [integer(2)], 1.0, hint="w")
    top.emit(Call((out,), function, (m, y, w)))
    result = top.load(w, integer(0), hint="z")
    return finish("caller", (m, y), top, result), (False, True), "one out product r v w x y z"


@pytest.mark.parametrize(
    "made",
    [
        chain,
        through_integers,
        through_carries,
        through_memory,
        through_merged_arrays,
        through_array_operations,
        through_recursion,
    ],
)
def test_what_is_active(made: Callable[[], Any]) -> None:
    function, active, expected = made()
    assert names(find_active(function, active)) == expected


def test_only_wanted_results_count() -> None:
    x, b = Var("x", FLOAT), Builder()
    u, v = b.let("sin", x, hint="u"), b.let("cos", x, hint="v")
    function = finish("f", (x,), b, u, v)
    assert find_active(function, [True]) == {x, u, v}
    assert find_active(function, [True], [False, True]) == {x, v}


def test_nothing_is_active_without_inputs() -> None:
    for program in PROGRAMS.values():
        assert find_active(program.function, [False] * len(program.function.params)) == frozenset()


def test_all_views_of_active_memory_are_active() -> None:
    function = PROGRAMS["views"].function
    views = {v.hint for v in find_active(function, [True])}
    assert {"a", "at", "row", "back", "lifted", "flat"} <= views
    assert sum(1 for _ in nodes_of(function.body)) > len(views)
