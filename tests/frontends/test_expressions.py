"""`and`, `or` and `not` as values: operands are evaluated once, in Python's order, and as far as Python does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError

X = np.array([0.5, -1.2, 0.8, 1.7, -0.3])


def bump(y):
    y[0] += 1.0
    return y[0]


def the_first_once(x, t):
    y = x.copy()
    ok = bump(y) > 0 and x[1] > 0
    return y[0] * 2 if ok else y[0]


def negated(x, t):
    y = x.copy()
    ok = not (bump(y) > 0 and bump(y) > t)
    return y[0] * 2 if ok else y[0]


def negated_numbers(x, t):
    return x[0] if not (t > 1 and 3) else x[1]


def handed_on(x, t):
    y = x.copy()
    return y[0] * bool(bump(y) > 0 or bump(y) > 0) * y[0]


def assigned(x, t):
    k = 0
    ok = (k := k + 1) < 3 and x[0] > 0
    return x[0] * k if ok else x[1] * k


def popped(x, t):
    items = [1.0, 2.0, x[0]]
    ok = (items.pop() > 0 and t > 1.0) or x[1] < 0
    return x[0] * len(items) if ok else x[1]


def three(x, t):
    ok = x[0] > 0 and t > 0.3 and x[3] > x[0]
    return x[0] * ok + x[1]


def within_bounds(x, t):
    i = 0
    while i < len(x) and x[i] < t:
        i += 1
    found = i < len(x) and x[i] > 0.1
    return x[i] ** 2 if found else x[0] ** 2


def known(x, t):
    first, second = 3 and x[1], None or x[2]
    return first * second


@pytest.mark.parametrize("t", [2.5, 0.2])
@pytest.mark.parametrize(
    "f",
    [the_first_once, negated, negated_numbers, handed_on, assigned, popped, three, within_bounds, known],
    ids=lambda f: f.__name__,
)
def test_operands(f: Callable[..., Any], t: float) -> None:
    assert cr.jit(f, backend="python")(X, t) == f(X, t)
    np.testing.assert_allclose(cr.jit(cr.grad(f), backend="python")(X, t), cr.grad(f)(X, t))


def a_number_behind(x, t):
    return (t > 1.0 and x[3]) * 2.0


def a_number_after_that(x, t):
    return x[0] * ((t > 1.0 and x[3]) or x[4])


def a_number_or_true(x, t):
    return (t > 1.0 or x[3]) * 2.0


@pytest.mark.parametrize("f", [a_number_behind, a_number_after_that, a_number_or_true], ids=lambda f: f.__name__)
def test_one_of_two_values(f: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedError, match="`and` and `or` give one of two values"):
        cr.jit(f, backend="python")(X, 2.5)
