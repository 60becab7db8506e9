"""Loops under the tests of the cotangents that they carry back: which go there; random choices against forward mode."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Block, For, Function, If, Merge, Reserve, Scalar, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.activity import is_float
from chainrule.transforms.forward import jvp
from chainrule.transforms.guards import Guard, guarded
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import check_vjp
from tests.transforms.reading import program_of

_X = np.array([[0.7, -0.4, 1.1], [0.9, -1.3, 0.2], [0.3, 0.5, -0.6]])


def nearest(x: Any) -> Any:
    best = 1e9
    for k in range(len(x)):
        d = 0.0
        for j in range(x.shape[1]):
            d += (x[k, j] - 0.3) ** 2
        if d < best:
            best = d
    return best


def smallest(x: Any) -> Any:
    best = 1e9
    for k in range(len(x)):
        d = 0.0
        for j in range(x.shape[1]):
            d += x[k, j] * x[k, j]
        best = min(best, d)
    return best


def chosen(x: Any) -> Any:
    total = 0.0
    for k in range(len(x)):
        a = 1.0
        b = 0.0
        for j in range(x.shape[1]):
            a = a * x[k, j]
        for j in range(x.shape[1]):
            b += x[k, j] ** 2
        if x[k, 0] > 0.5:
            total += a
        else:
            total += b * x[k, 0]
    return total


def used_on_both_sides(x: Any) -> Any:
    total = 0.0
    for k in range(len(x)):
        d = 0.0
        for j in range(x.shape[1]):
            d += x[k, j] ** 2
        total += 0.5 * d
        if d < 1.0:
            total += d
    return total


def gradient(function: Callable[..., Any]) -> Function:
    primal = program_of(function, (_X,))
    return simplify(vjp(primal, [is_float(p) for p in primal.params]))


def guarded_loops(made: Function) -> int:
    branches = [n for n in nodes_of(made.body) if isinstance(n, If)]
    return sum(isinstance(n, For) for b in branches for side in (b.then, b.orelse) for n in nodes_of(side))


@pytest.mark.parametrize(("function", "loops"), [(nearest, 1), (smallest, 1), (chosen, 2), (used_on_both_sides, 0)])
def test_loops_under_tests(function: Callable[..., Any], loops: int) -> None:
    assert guarded_loops(gradient(function)) == loops
    made, args = check_vjp(program_of(function, (_X,)), (_X,))
    check_vjp(made, args)


def square_roots(x: Any) -> Any:
    total = 0.0
    for k in range(len(x)):
        d = 0.0
        for j in range(x.shape[1]):
            d += np.sqrt(x[k, j])
        if x[k, 0] > 0:
            total += d
    return total


def test_a_zero_stays_one_where_a_partial_is_infinite() -> None:
    x = np.array([[0.0, 4.0], [1.0, 4.0]])
    made = vjp(program_of(square_roots, (x,)), [True])
    np.testing.assert_array_equal(evaluate(made, [x, 1.0])[-1], [[0.0, 0.0], [0.5, 0.25]])


def choices(seed: int) -> str:
    """A program that sums in loops and uses some of the sums on one side of a test, or of several."""
    rng = np.random.default_rng(seed)
    lines = ["def f(x):", "    total = 0.0", "    best = 5.0", "    for k in range(len(x)):"]
    names: list[str] = []
    for n in range(rng.integers(1, 4)):
        names.append(f"s{n}")
        start = rng.choice(["0.0", "x[k, 0]", *names[:-1]])
        term = rng.choice(["x[k, j]", "x[k, j] ** 2", "np.sin(x[k, j])", *(f"{v} * x[k, j]" for v in names[:-1])])
        lines += [f"        s{n} = {start}", "        for j in range(x.shape[1]):"]
        lines.append(f"            s{n} = s{n} {rng.choice(['+', '-', '*'])} {term}")
    for _ in range(rng.integers(1, 4)):
        v, w = rng.choice(names, 2)
        test = rng.choice([f"{v} < best", "x[k, 1] > 0", "k % 2 == 0", f"{w} > 0.1"])
        one, two = (
            rng.choice([f"best = {u}", f"total += {u}", f"total -= {u} * {w}", f"{u} = x[k, 2]"]) for u in (v, w)
        )
        lines += [f"        if {test}:", f"            {one}"]
        if rng.random() < 0.5:
            lines += ["        else:", f"            {two}"]
        if rng.random() < 0.3:
            lines.append(f"        best = min(best, {v})")
    return "\n".join([*lines, "    return total + best", ""])


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_choices(first: int) -> None:
    for seed in range(first, first + 10):
        text, name, space = choices(seed), f"<choices {seed}>", {"np": np}
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), space)
        primal, v = program_of(space["f"], (_X,)), np.cos(np.arange(9.0)).reshape(3, 3)
        change = evaluate(jvp(primal, [True]), [_X, v])[-1]
        np.testing.assert_allclose(
            np.sum(evaluate(vjp(primal, [True]), [_X, 1.0])[-1] * v), change, rtol=1e-12, atol=1e-12
        )


def test_what_moves_sees_the_arrays_as_they_were() -> None:
    """A loop that reads an array whole stays before a store to it, so that nothing is gathered behind the store."""
    a, s = Var("a", Array("float64", 1)), Var("s", Array("float64", 1))
    t, x, z = Var("t", Scalar("bool")), Var("x", FLOAT), Var("z", FLOAT)
    build = Builder()
    build.emit(If(t, Block(), Block(), [Merge(z, x, constant(0.0))]))

    def loop(copied: bool) -> None:
        i = Var("i", INT)
        with build.inside(Block()) as body:
            source = build.copy(a) if copied else s
            value = build.load(source, i) if copied else constant(2.0)
            build.increment(s, [i], build.let("multiply", z, value))
        build.emit(For(i, integer(0), integer(2), integer(1), body))

    loop(copied=True)
    build.store(a, [integer(0)], constant(9.0))
    loop(copied=False)
    function = Function("f", (t, x, a, s), build.block, ())
    made = check(guarded(function, {z: Guard(t, True)}))
    assert made is not function
    for test in (True, False):
        results = []
        for f in (function, made):
            arrays = np.array([1.0, 2.0]), np.zeros(2)
            evaluate(f, [test, 3.0, *arrays])
            results.append(np.concatenate(arrays))
        np.testing.assert_array_equal(*results)


def test_branches_are_not_joined_over_the_extent_of_what_the_first_makes_longer() -> None:
    t, build = Var("t", Scalar("bool")), Builder()
    array, found = build.alloc("float64", [integer(1)], 0.0), Var("found", INT)
    build.emit(If(t, Block([Reserve(array, integer(5))]), Block()))
    length = build.dim(array, 0)
    build.emit(If(t, Block(), Block(), [Merge(found, length, integer(0))]))
    function = Function("f", (t,), build.block, (found,))
    assert evaluate(check(simplify(function)), [True]) == evaluate(function, [True]) == (5,)
