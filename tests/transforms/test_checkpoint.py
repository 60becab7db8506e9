"""Loops of which the reverse keeps some iterations only: equal derivatives, the repetitions of the schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Copy, Function, Let, Node
from chainrule.transforms.forward import jvp
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify


def chain(x, n):
    y = x
    for _ in range(n):
        y = np.sin(y) * x + y / 2
    return y


def state(x, n):
    y = np.zeros(3)
    for i in range(n):
        y[i % 3] = y[(i + 1) % 3] * x[0] + np.cos(y[i % 3] * x[1])
    return y[0] + y[1] * y[2]


def descending(x, n):
    s = 1.0
    for i in range(2 * n, 0, -2):
        s = s * x[i % 3] + np.exp(-s)
    return s


def nested(x, n):
    s = 0.0
    for i in range(n):
        for j in range(i % 4):
            s = np.sin(s + x[j % 3])
        k = 0
        while k < i % 3:
            s = s * x[k] + 0.1 * s * s
            k += 1
    return s


def rows(x, n):
    table = np.zeros((2, 3))
    a, b = table[0], table[1]
    for i in range(n):
        for k in range(3):
            b[k] = np.tanh(a[k] * x[k] + 0.1 * i)
        for k in range(3):
            a[k] = b[k] - 0.3 * a[k]
    return np.sum(table)


def branches(x, n):
    s, flips = 0.2, 0
    if x[0] > 0:
        for _ in range(n):
            if s > 0.5:
                s = s * x[1] - 0.4
                flips += 1
            else:
                s = np.exp(s) * x[0]
    return s * flips


def two(x, n):
    s = x[0]
    for _ in range(n):
        s = np.sin(s) + x[1]
    t = s
    for _ in range(n):
        t = np.cos(t * s) * x[2]
    return s * t


X = np.array([0.4, 0.7, -0.3])
PROGRAMS: list[tuple[Callable[..., Any], Any]] = [
    (chain, 1.1), (state, X), (descending, X), (nested, X), (rows, X), (branches, X), (two, X),
]  # fmt: skip


def primal(f: Callable[..., Any], x: Any, n: int) -> Function:
    return simplify(cr.jit(f).specialise(x, n).program.function)


def gradient(f: Callable[..., Any], x: Any, n: int, memory: int | None) -> Function:
    return check(vjp(primal(f, x, n), (True, False), memory))


def differences(f: Callable[..., Any], x: Any, n: int) -> Any:
    """Central differences with one step of extrapolation."""

    def rough(h: float) -> np.ndarray:
        shifts = np.eye(np.size(x)).reshape(-1, *np.shape(x)) * h
        return np.array([f(x + e, n) - f(x - e, n) for e in shifts]).reshape(np.shape(x)) / (2 * h)

    return (4 * rough(5e-4) - rough(1e-3)) / 3


@pytest.mark.parametrize("memory", [0, 64, 400, 10**6])
@pytest.mark.parametrize(("f", "x"), PROGRAMS, ids=lambda p: getattr(p, "__name__", ""))
def test_derivatives_do_not_depend_on_what_is_kept(f: Callable[..., Any], x: Any, memory: int) -> None:
    for n in (0, 37):
        value, slope = evaluate(gradient(f, x, n, memory), [x, n, 1.0])
        assert value == f(x, n)
        np.testing.assert_allclose(slope, differences(f, x, n), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("f", "x"), PROGRAMS, ids=lambda p: getattr(p, "__name__", ""))
def test_second_derivatives(f: Callable[..., Any], x: Any) -> None:
    n, direction = 12, np.ones_like(x) if np.ndim(x) else 1.0
    plain, checked = (gradient(f, x, n, memory) for memory in (None, 200))
    expected = evaluate(check(jvp(plain, (True, False, False))), [x, n, 1.0, direction])[-1]
    pushed = evaluate(check(jvp(checked, (True, False, False))), [x, n, 1.0, direction])[-1]
    np.testing.assert_allclose(pushed, expected, rtol=1e-12, atol=1e-12)
    pulled = evaluate(check(vjp(simplify(checked), (True, False, False), 200)), [x, n, 1.0, 0.0, direction])[-1]
    np.testing.assert_allclose(pulled, expected, rtol=1e-12, atol=1e-12)


def counted(f: Callable[..., Any], x: Any, n: int, memory: int | None, what: Callable[[Node], bool]) -> int:
    found = 0

    def probe(node: Node, values: tuple[Any, ...]) -> None:
        nonlocal found
        found += what(node)

    evaluate(gradient(f, x, n, memory), [x, n, 1.0], probe)
    return found


def is_sine(node: Node) -> bool:
    return isinstance(node, Let) and node.op == "sin"


def test_nothing_is_advanced_twice_if_the_copies_reach() -> None:
    n = 400  # once in the primal sweep, once to the copies, once recorded
    assert counted(chain, 1.1, n, None, is_sine) == n
    assert 2 * n < counted(chain, 1.1, n, 0, is_sine) <= 3 * n


def test_the_schedule_is_binomial() -> None:
    """With eight copies and strips of one iteration, as many repetitions as Griewank and Walther's optimum."""
    slots, n = 8, 200
    repeats = next(r for r in range(n) if math.comb(slots + r, r) >= n)
    least = repeats * n - math.comb(slots + repeats, repeats - 1)  # of all schedules
    assert counted(chain, 1.1, n, 1, is_sine) == 2 * n + least


def test_copies_of_the_state_are_those_of_the_schedule() -> None:
    copies = counted(state, X, 300, 0, lambda node: isinstance(node, Copy))
    assert copies < 3 * math.isqrt(300 * 3) + 10


def test_what_prints_or_grows_runs_once(capsys: pytest.CaptureFixture[str]) -> None:
    def printing(x, n):
        for i in range(n):
            print(i)
            x = np.sin(x)
        return x

    cr.jit(cr.grad(printing), backend="interpreter", checkpoint=True)(0.3, 40)
    assert capsys.readouterr().out.count("\n") == 40
