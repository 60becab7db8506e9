"""Indices told to be no negative ones: what is proved, and that nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Function, Incr, Let, Load, Store
from chainrule.ir.walk import nodes_of
from chainrule.transforms.simplify import simplify
from chainrule.transforms.unsigned import unsigned


def packed(x, low):
    s = np.zeros(len(x))
    at = 0
    for i in range(len(x)):
        for r in range(i + 1, len(x)):
            s[r] += low[at] * x[i]
            at += 1
    return s


def descending(x):
    y = np.zeros(len(x))
    for i in range(len(x) - 1, 0, -1):
        y[i] = x[i - 1] * x[i]
    return y


def gathered(x):
    places = np.zeros(len(x), np.int64)
    for i in range(len(x)):
        places[i] = i // 2 * 0 + min(i, 3)
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = x[places[i]]
    return y


def from_the_end(x):
    s = np.zeros(len(x))
    for i in range(len(x)):
        s[i] = x[-1 - i] + x[i - 1]
    return s


def falling(x, n):
    s, at = 0.0, len(x) - 1
    for _ in range(n):
        s += x[at]
        at -= 1
    return s


def given(x, where):
    s = 0.0
    for i in range(len(where)):
        s += x[where[i]]
    return s


def stepping(x, n, step):
    s, at = 0.0, 0
    for _ in range(n):
        s += x[at]
        at += step
    return s


X = np.linspace(0.2, 1.1, 6)
PROVED: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (packed, (X, np.linspace(-1, 1, 15))), (descending, (X,)),
]  # fmt: skip
NOT: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (falling, (X, 9)), (given, (X, np.array([2, -1, 0, -6]))), (stepping, (X, 4, -1)),
]  # fmt: skip
ALSO: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [(gathered, (X,)), (from_the_end, (X,))]


def program(f: Callable[..., Any], args: tuple[Any, ...]) -> Function:
    return simplify(cr.jit(f).read(*args).function)


def casts(function: Function) -> set[Any]:
    nodes = nodes_of(function.body)
    return {n.out for n in nodes if isinstance(n, Let) and n.op == "cast" and n.args[0].type == n.out.type}


def indices(function: Function) -> list[Any]:
    return [i for n in nodes_of(function.body) if isinstance(n, (Load, Store, Incr)) for i in n.index]


@pytest.mark.parametrize(("f", "args"), [*PROVED, *NOT, *ALSO])
def test_nothing_is_changed(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    function = check(unsigned(program(f, args)))
    assert set(indices(function)) >= casts(function)
    np.testing.assert_array_equal(evaluate(function, list(args))[0], f(*args))
    np.testing.assert_allclose(cr.jit(f)(*args), f(*args), rtol=1e-13)


@pytest.mark.parametrize(("f", "args"), PROVED)
def test_what_is_proved(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    assert casts(unsigned(program(f, args)))


@pytest.mark.parametrize(("f", "args"), NOT)
def test_what_may_be_negative(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    assert not casts(unsigned(program(f, args)))


def test_gradients_of_packed_triangles() -> None:
    low = np.linspace(-1.0, 1.0, 15)
    g = cr.grad(lambda x, low: np.sum(packed(x, low) ** 2), argnums=(0, 1))
    compiled = cr.jit(g)
    assert "np.uintp" in cr.source(compiled, X, low, stage="compiled")
    for mine, other in zip(compiled(X, low), cr.jit(g, backend="python")(X, low), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-13)
