"""Loops with edges of their own: which ones, and that the programs compute what they did, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Array, Atom, Carry, For, Function, If, Let, Merge, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.activity import is_float
from chainrule.transforms.edges import parted_at_edges
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import fresh
from tests.transforms.reading import program_of

SIZES = (0, 1, 2, 3, 15, 16, 17, 18, 19, 24)


def bounded(u: Any) -> Any:
    n, v = len(u), np.zeros(len(u))
    for i in range(n):
        left = u[i - 1] if i > 0 else u[i]
        right = u[i + 1] if i < n - 1 else u[i]
        v[i] = left * right + u[i]
    return np.sum(v * v)


def periodic(u: Any) -> Any:
    n, v = len(u), np.zeros(len(u))
    for i in range(n):
        v[i] = u[(i - 1) % n] * u[(i + 2) % n]
    return np.sum(v * v)


def wrapped(u: Any) -> Any:
    v = np.zeros(len(u))
    for i in range(len(u)):
        v[i] = u[i - 2] * u[i]
    return np.sum(v * v)


def ends(u: Any) -> Any:
    n, s = len(u), 0.0
    for i in range(n - 1, -1, -1):
        if i == 0 or i == n - 1:
            s += 0.5 * u[i]
        elif i != 1:
            s += u[i] * s
        if 2 <= i <= n - 3:
            s -= u[i - 2] + u[i + 2]
    return s


def in_the_middle(u: Any) -> Any:
    n, s = len(u), 0.0
    for i in range(n):
        s += u[i] * s if i < n // 2 else u[0]
    return s


def chosen(u: Any) -> Any:
    """Numbers are chosen, which is no reason."""
    s = 0.0
    for i in range(len(u)):
        s += u[i] * (1.0 if i > 0 else 0.5)
    return s


def parted(function: Function) -> bool:
    return parted_at_edges(function) is not function


@pytest.mark.parametrize(
    ("function", "changes"),
    [(bounded, True), (periodic, True), (wrapped, True), (ends, True), (in_the_middle, False), (chosen, False)],
)
@pytest.mark.parametrize("n", SIZES)
def test_cases(function: Any, changes: bool, n: int) -> None:
    x = np.random.default_rng(n).normal(size=24)
    primal = program_of(function, (x,))
    made = simplify(vjp(primal, [is_float(p) for p in primal.params]))
    assert parted(primal) == parted(made) == changes
    for f, args in ((primal, (x[:n],)), (made, (x[:n], 1.0))):
        try:
            expected = evaluate(f, fresh(args))
        except (IndexError, ZeroDivisionError):
            continue
        np.testing.assert_equal(evaluate(check(parted_at_edges(f)), fresh(args)), expected)


def test_nothing_is_asked_inside() -> None:
    primal = program_of(bounded, (np.ones(24),))
    loops = [n for n in nodes_of(parted_at_edges(primal).body) if isinstance(n, For)]
    assert any(not any(isinstance(n, If) for n in nodes_of(loop.body)) and len(loop.body.nodes) > 3 for loop in loops)
    primal = program_of(periodic, (np.ones(24),))
    loops = [n for n in nodes_of(parted_at_edges(primal).body) if isinstance(n, For)]
    asking = [any(isinstance(n, Let) and n.op == "remainder" for n in loop.body) for loop in loops]
    assert asking.count(False) >= 2


COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def random_loop(seed: int) -> Function:
    """A loop over cells of `x` that asks where its index is, and carries a number that shows the order."""
    rng = np.random.default_rng(seed)
    x, y, n = Var("x", Array("float64", 1)), Var("y", Array("float64", 1)), Var("n", INT)
    build, body, i = Builder(), Builder(), Var("i", INT)

    def near(b: Builder) -> Atom:
        end: Atom = (n, integer(0))[int(rng.integers(2))]
        return b.let("add", end, integer(int(rng.integers(-4, 5))))

    up = rng.random() < 0.5
    lower, upper = integer(int(rng.integers(0, 4))), build.let("subtract", n, integer(int(rng.integers(0, 4))))
    if not up:
        lower, upper = (build.let("subtract", a, integer(1)) for a in (upper, lower))
    total = Var("s", build.let("add", constant(0.0), constant(0.0)).type)
    value: Atom = body.let("multiply", total, constant(0.9))
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.random()
        if kind < 0.6:
            asked: Atom = body.let("add", i, integer(int(rng.integers(-2, 3)))) if rng.random() < 0.5 else i
            sides = [asked, near(body if rng.random() < 0.5 else build)]
            sides = sides[::-1] if rng.random() < 0.3 else sides
            test = body.let(COMPARISONS[int(rng.integers(6))], *sides)
            then, orelse = Builder(), Builder()
            a, b = then.load(x, i), orelse.let("add", value, constant(1.0))
            then.increment(y, [i], value)
            out = Var("m", total.type)
            body.emit(If(test, then.block, orelse.block, [Merge(out, a, b)]))
            value = body.let("add", value, out)
        else:
            at: Atom = body.let("add", i, integer(int(rng.integers(-3, 4))))
            if kind < 0.8:
                at = body.let("remainder", at, (n, build.let("add", n, integer(1)))[int(rng.integers(2))])
            value = body.let("add", value, body.load(x, at))
    body.store(y, [i], value)
    out = Var("s", total.type)
    build.emit(For(i, lower, upper, integer(1 if up else -1), body.block, [Carry(total, constant(1.0), value, out)]))
    return Function("f", (x, y, n), build.block, (out,), writes=frozenset([y]))


@pytest.mark.parametrize("first", range(0, 300, 10))
def test_random_loops(first: int) -> None:
    changes = 0
    for seed in range(first, first + 10):
        f = random_loop(seed)
        made = check(parted_at_edges(f))
        changes += made is not f
        for n in SIZES:
            x = np.random.default_rng(n).normal(size=n + 4)
            ys, results = [], []
            for g in (f, made):
                y = np.zeros(n + 4)
                results.append(evaluate(g, [x.copy(), y, n]))
                ys.append(y)
            np.testing.assert_equal(results[1], results[0], err_msg=f"seed {seed}, n = {n}")
            np.testing.assert_array_equal(ys[1], ys[0], err_msg=f"seed {seed}, n = {n}")
    assert changes >= 1
