"""Ends of recursions written where the functions are called: what is computed, what is saved, what stays."""

from __future__ import annotations

from typing import Any

import pytest

from chainrule.frontends.program import read_program
from chainrule.frontends.source import read
from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Block, Call, Function, If, Merge, Node, Print, Var
from chainrule.ir.show import show
from chainrule.transforms.ends import with_ends_inlined
from chainrule.transforms.forward import jvp
from tests.programs import PROGRAMS
from tests.transforms.differences import check_jvp, check_vjp, fresh
from tests.transforms.reading import kind_of, reverse

RECURSIVE = [p for p in PROGRAMS if "recursion" in p.tags]


def calls(function: Function, args: Any) -> tuple[int, tuple[Any, ...]]:
    """How often ``function(*args)`` calls, and what it returns."""
    seen: list[Node] = []
    results = evaluate(function, args, lambda node, values: seen.append(node))
    return sum(isinstance(n, Call) for n in seen), results


@pytest.mark.parametrize("p", RECURSIVE, ids=[p.name for p in RECURSIVE])
def test_derivatives(p: Any) -> None:
    kinds = tuple(map(kind_of, p.inputs()))
    names = p.function.__code__.co_varnames[: len(kinds)]
    function = read_program(p.function, kinds, {}, read(p.function), names, jvp, reverse).function
    made = check(with_ends_inlined(function))
    (before, value), (after, same) = calls(function, fresh(p.inputs())), calls(made, fresh(p.inputs()))
    assert after <= before
    assert same == value
    assert show(with_ends_inlined(made)) == show(made)
    gradient, args = check_vjp(made, p.inputs())
    check_jvp(check(with_ends_inlined(gradient)), args)


def fibonacci(first: bool = True, effect: bool = False, call: bool = False, long: int = 0) -> Function:
    """Fibonacci's numbers times x, whose end is the `first` or the second way of a test."""
    n, x, result = Var("n", INT), Var("x", FLOAT), Var("result", FLOAT)
    function = Function("fibonacci", (n, x), Block(), (result,))
    top, deep, end = Builder(function.body), Builder(), Builder()
    parts = Var("a", FLOAT), Var("b", FLOAT)
    for k, part in enumerate(parts):
        deep.emit(Call((part,), function, (deep.let("subtract", n, integer(k + 1)), x)))
    total, least = deep.let("add", *parts), x
    for _ in range(long):
        least = end.let("sin", least)
    if call:
        least = Var("c", FLOAT)
        end.emit(Call((least,), function, (integer(2), constant(1.0))))
    if effect:
        top.emit(Print(("here",)))
    test = top.let("less" if first else "greater_equal", n, integer(2))
    ways = [(end.block, least), (deep.block, total)][:: 1 if first else -1]
    top.emit(If(test, ways[0][0], ways[1][0], [Merge(result, ways[0][1], ways[1][1])]))
    return function


@pytest.mark.parametrize("first", [True, False])
def test_the_last_level_is_not_called(first: bool) -> None:
    function = fibonacci(first)
    made = check(with_ends_inlined(check(function)))
    assert calls(function, [10, 0.5]) == (176, (44.5,))
    assert calls(made, [10, 0.5]) == (87, (44.5,))


@pytest.mark.parametrize("options", [{"effect": True}, {"call": True}, {"long": 30}])
def test_what_stays(options: Any) -> None:
    function = fibonacci(**options)
    assert with_ends_inlined(function) is function
