"""Generators and `:=` in comprehensions, which Python evaluates when it is asked to: as they are, or refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError

X = np.array([0.5, 1.5, -0.8, 2.2])


def _counted(n):
    n[0] += 1
    return n[0]


def rebound_before_it_runs(x):
    c = 1.0
    g = (v * c for v in x)
    c = 2.0
    return sum(g)


def runs_once(x):
    g = (v * v for v in x)
    return sum(g) + sum(g)


def runs_while_the_loop_writes(x):
    y, s = x * 1.0, 0.0
    for t in (v * y[0] for v in x):
        y[0] += 1
        s += t
    return s


def runs_beside_another(x):
    y, s = x * 1.0, 0.0
    for a, t in zip(y, (v * y[0] for v in x), strict=True):
        y[0] += 1
        s += t * a
    return s


def pairs_that_are_there_once(x):
    pairs = zip(x, x[1:], strict=False)
    return sum(a * b for a, b in pairs) + sum(a for a, b in pairs)


def goes_on_where_a_loop_stopped(x):
    items, s = enumerate(x), 0.0
    for i, v in items:
        if v > 1:
            break
        s += i + v
    for _, v in items:
        s += v
    return s


def _twice(items):
    return sum(items) + sum(items)


def handed_on_backwards(x):
    return _twice(reversed(x))


def _after_a_write(y, items):
    y[0] = 5.0
    return sum(items)


def handed_to_a_function(x):
    y = x * 1.0
    return _after_a_write(y, (v * y[0] for v in x))


def stops_before_it_writes(x):
    n = np.zeros(1)
    return x[0] if any(v * _counted(n) > 0.7 for v in x) else n[0]


def named_and_read_after_it(x):
    k = 1.0
    found = any((k := v) > 1 for v in x)
    return k * x[0] if found else k


def named_and_read_in_the_next(x):
    k = 0.0
    return sum([(k := k + v) for v in x])


REFUSED = {
    rebound_before_it_runs: "a generator computes its items while they are asked for",
    runs_once: "a generator computes its items while they are asked for",
    runs_while_the_loop_writes: "a generator computes its items while they are asked for",
    runs_beside_another: "a generator computes its items while they are asked for",
    pairs_that_are_there_once: "zip gives each item once",
    goes_on_where_a_loop_stopped: "enumerate gives each item once",
    handed_on_backwards: "reversed gives each item once",
    handed_to_a_function: "a generator computes its items while they are asked for",
    stops_before_it_writes: "any asks for items until one tells",
    named_and_read_after_it: "'k' is assigned in a comprehension",
    named_and_read_in_the_next: "'k' is assigned in a comprehension",
}


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_what_python_evaluates_at_another_time_is_refused(f: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedError, match=REFUSED[f]):
        cr.jit(f, backend="python")(X.copy())


def taken_at_once(x):
    a, b = [v * v for v in x[:2]], 2.0
    p, q, r, s = (v * v for v in x)
    n = np.zeros(1)
    return sum(v * _counted(n) for v in x) + max(v for v in x) * n[0] + a[1] * b + p * q * math.sqrt(r) + s


def looped_over(x):
    s = 0.0
    for i, (a, b) in enumerate(zip(x, reversed(x), strict=True)):
        s += a * b * i
    for k in range(3) if x.ndim > 1 else reversed(range(1, 4)):
        s = s * 0.5 + x[k]
    return s + sum(a * b for a, b in zip(x, x[1:], strict=False))


def searched(x):
    up = all(x[i] < x[i + 1] for i in range(len(x) - 1))
    return x[0] if up else x[1] * any(v > 2 for v in x)


def searched_whole(x):
    n = np.zeros(1)
    return x[0] * n[0] if all([v * _counted(n) > 0.7 for v in x]) else x[1] * n[0]  # noqa: C419


@pytest.mark.parametrize("f", [taken_at_once, looped_over, searched, searched_whole], ids=lambda f: f.__name__)
def test_what_is_taken_at_once_is_a_list(f: Callable[..., Any]) -> None:
    assert cr.jit(f, backend="python")(X.copy()) == pytest.approx(f(X), rel=1e-14)
