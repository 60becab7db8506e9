"""Linear recursion as loops: which functions, what they compute, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import FLOAT, INT, Builder, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Block, Call, Function, If, Merge, Print, Var
from chainrule.ir.show import show
from chainrule.ir.walk import nodes_of
from chainrule.transforms import recursion
from chainrule.transforms.activity import is_float
from chainrule.transforms.recursion import looped
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.programs import PROGRAMS, recursions
from tests.transforms.differences import check_jvp, check_vjp, fresh
from tests.transforms.reading import program_of

LINEAR = [p for p in PROGRAMS if "linear" in p.tags]
OTHERS = [p for p in PROGRAMS if "recursion" in p.tags and "linear" not in p.tags]


def calls(function: Function) -> int:
    return sum(isinstance(n, Call) for n in nodes_of(function.body))


@pytest.mark.parametrize("p", LINEAR, ids=[p.name for p in LINEAR])
def test_linear_recursion_calls_nothing(p: Any) -> None:
    function = program_of(p.function, p.inputs())
    assert calls(check(function)) == 0
    (value,) = evaluate(function, fresh(p.inputs()))
    assert value == pytest.approx(p.function(*p.inputs()), rel=1e-14)
    made, args = check_vjp(function, p.inputs())
    assert calls(made) == 0
    check_jvp(simplify(made), args)


def test_what_stays() -> None:
    left = {p.name for p in OTHERS if calls(program_of(p.function, p.inputs()))}
    assert {"double_recursion", "determinant_by_minors", "recursion_of_arrays", "quicksort"} <= left


def power(effect: bool = False, both: bool = False) -> Function:
    """``x ** n``, or 1 for n = 0; with an effect before it knows, or a call on both ways."""
    n, x, y = Var("n", INT), Var("x", FLOAT), Var("y", FLOAT)
    function = Function("power", (n, x), Block(), ())
    down = Builder()
    down.emit(Call((y,), function, (down.let("subtract", n, integer(1)), x)))
    product = down.let("multiply", x, y)
    other = Builder()
    end: Any = x
    if both:
        end = Var("y", FLOAT)
        other.emit(Call((end,), function, (other.let("subtract", n, integer(2)), x)))
    top, result = Builder(function.body), Var("result", FLOAT)
    if effect:
        top.emit(Print(("here",)))
    test = top.let("equal", n, integer(1))
    top.emit(If(test, other.block, down.block, [Merge(result, end, product)]))
    function.results = (result,)
    return function


def test_it_prints() -> None:
    text = """power(n: int64, x: float64)
    levels, n_2 = while with level = 0, n_3 = n:
        t = equal(n_3, 1)
        more = logical_not(t)
        test more
    do:
        t_4 = less(level, 100000000)
        unless t_4 raise RecursionError('power calls itself more than 100000000 times: it does not end')
        t_2 = add(level, 1)
        t_3 = subtract(n_3, 1)
        give t_2, t_3
    t_5 = subtract(levels, 1)
    result = for level_2 in range(t_5, -1, -1) with result_2 = x:
        t_6 = multiply(x, result_2)
        give t_6
    return result"""
    assert show(simplify(power())) == text


@pytest.mark.parametrize("options", [{"effect": True}, {"both": True}])
def test_what_cannot_be_a_loop(options: Any) -> None:
    function = power(**options)
    assert looped(function) is function


def test_what_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recursion, "DEEPEST", 1000)
    with pytest.raises(RecursionError, match="power calls itself more than 1000 times"):
        evaluate(looped(power()), [0, 2.0])


GROWING: dict[str, Any] = {
    "linear_recursion": (recursions.linear_recursion, lambda n: (np.full(n, 0.5),)),
    "tail_recursion": (recursions.tail_recursion, lambda n: (0.9, n)),
}


@pytest.mark.parametrize("name", GROWING)
def test_the_gradient_grows_as_the_levels(name: str) -> None:
    function, args = GROWING[name]
    program = program_of(function, args(2))
    made = simplify(vjp(program, [is_float(p) for p in program.params]))
    counts = []
    for n in (100, 200):
        seen: list[Any] = []
        evaluate(made, [*args(n), 1.0], lambda node, values, seen=seen: seen.append(node))  # type: ignore[misc]
        counts.append(len(seen))
    assert counts[1] < 2.1 * counts[0]
