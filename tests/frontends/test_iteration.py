"""A loop runs over the arrays it began with, whatever its variables become: what is written to them it sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError

X = np.array([0.5, 1.5, -0.8])
REFUSED: list[Callable[..., float]] = []
RIGHT: list[Callable[..., float]] = []


def refused(f):
    REFUSED.append(f)
    return f


def right(f):
    RIGHT.append(f)
    return f


def _same_twice(x):
    y = x * 1.0
    return y, y


def _first(y):
    y[2] += 1.0
    return y[0]


def _doubled(y):
    s = 0.0
    for _ in range(2):
        y[2] += 1.0
        s += y[2]
        y = y * 2.0
    return s


@refused
def written_then_rebound(x):
    w, s = x * 1.0, 0.0
    for e in w:
        s += e
        w[2] += 1.0
        w = w * 2.0
    return s


@right
def rebound_then_written(x):
    w, s = x * 1.0, 0.0
    for e in w:
        w = w * 2.0
        w[2] += 1.0
        s += e
        w = w + s
        w[1] = 0.0
    return s + w[2]


@refused
def written_in_an_iteration_before_it_is_rebound(x):
    w, s = x * 1.0, 0.0
    for k, e in enumerate(w):
        s += e
        if k < 1:
            w[2] += 1.0
        else:
            w = w * 2.0
    return s


@refused
def written_and_rebound_in_a_branch(x):
    w, s = x * 1.0, 0.0
    for e in w:
        if e > 0.0:
            w[2] += e
            w = w * 2.0
        s += e
    return s


@refused
def one_of_two_that_are_zipped(x):
    v, w, s = x * 2.0, x * 1.0, 0.0
    for a, b in zip(v, w, strict=True):
        s += a * b
        w[2] += 1.0
        w = w * 2.0
    return s


@refused
def both_that_are_zipped(x):
    v, w, s = x * 2.0, x * 1.0, 0.0
    for a, b in zip(v, w, strict=True):
        s += a * b
        w[2] += 1.0
        v[1] -= 1.0
        v, w = w * 2.0, v + 1.0
    return s


@refused
def looped_over_from_its_end(x):
    w, s = x * 1.0, 0.0
    for k, e in enumerate(reversed(w)):
        s += e * k
        w[0] += 1.0
        w = w * 2.0
    return s


@refused
def traded(x):
    v, w, s = x * 2.0, x * 1.0, 0.0
    for e in w:
        s += e
        w[2] += 1.0
        v, w = w, v
    return s


@refused
def traded_by_a_branch(x):
    v, w, s = x * 2.0, x * 1.0, 0.0
    for e in w:
        s += e
        w[2] += 1.0
        if e > 0.0:
            v, w = w, v
    return s


@refused
def rows(x):
    w, s = np.outer(x, x), 0.0
    for r in w:
        s += r[1]
        w[2] += 1.0
        w = w * 2.0
    return s


@refused
def a_view_of_what_is_rebound(x):
    w, s = x * 1.0, 0.0
    for e in w[1:]:
        s += e
        w[2] += 1.0
        w = w * 2.0
    return s


@refused
def rebound_in_a_loop_inside(x):
    w, s = x * 1.0, 0.0
    for e in w:
        for _ in range(2):
            w[2] += e
            w = w * 0.5
        s += e
    return s


@refused
def both_loops_run_over_it(x):
    w, s = x * 1.0, 0.0
    for a in w:
        for b in w:
            s += a * b
            w[2] += 1.0
        w = w * 0.5
    return s


@refused
def rebound_in_a_while_loop_inside(x):
    w, s = x * 1.0, 0.0
    for e in w:
        k = 0
        while k < 2:
            w[2] += e
            w = w * 0.5
            k += 1
        s += e
    return s


@refused
def ended_by_a_break(x):
    w, s = x * 1.0, 0.0
    for e in w:
        s += e
        if s > 3.0:
            break
        w[2] += 1.0
        w = w * 2.0
    return s


@refused
def an_array_in_a_tuple(x):
    a, b, s = x * 1.0, x * 2.0, 0.0
    for v in (a, b):
        s += v[0]
        for _ in range(2):
            b[0] += 1.0
            b = b * 2.0
    return s


@refused
def an_array_that_only_the_tuple_holds(x):
    s = 0.0
    for v in _same_twice(x):
        for _ in range(2):
            v[0] += 1.0
            v = v * 2.0
        s += v[0]
    return s


@refused
def one_of_two_by_a_branch(x):
    a, b, s = x * 1.0, x * 2.0, 0.0
    w = a if x[0] > 0.0 else b
    for e in w:
        s += e
        a[2] += 1.0
    return s


@right
def a_buffer_of_the_loop_around(x):
    w, v, s = x * 1.0, x * 2.0, 0.0
    for _ in range(2):
        for e in w:
            s += e
            v[2] += 1.0
        w, v = v, w + v
    return s


@refused
def a_row_or_another_array(x):
    m, r, s = np.outer(x, x), x * 1.0, 0.0
    for k in range(3):
        for e in r:
            m[0, 2] += 1.0
            s += e
        r = m[k]
    return s


@refused
def a_row_that_a_loop_inside_rebinds(x):
    m, s = np.outer(x, x), 0.0
    for r in m:
        for _ in range(2):
            r[1] += 1.0
            r = r * 2.0
        s += r[1]
    return s + m[0, 1]


@refused
def a_list_of_numbers(x):
    w, s = [v * v for v in x], 0.0
    for e in w:
        s += e
        w[2] += 1.0
        w = [v * 2 for v in w]
    return s


@refused
def a_tuple_of_tuples(x):
    a, b, s = x * 1.0, x * 2.0, 0.0
    for (v, k), e in zip(((a, 1.0), (b, 2.0), (a, 3.0)), (1.0, 2.0, 3.0), strict=True):
        s += v[0] * k * e
        for _ in range(2):
            a[0] += 1.0
            a = a * 2.0
    return s


@refused
def a_comprehension_calls_what_rebinds_it(x):
    w = x * 1.0
    return sum([e * _doubled(w) for e in w])


@refused
def a_comprehension_over_one_of_two(x):
    a, b = x * 1.0, x * 2.0
    w = a if x[0] > 0.0 else b
    return sum([e * _first(a) for e in w])


@refused
def a_comprehension_reads_one_of_two(x):
    a, b = x * 1.0, x * 2.0
    w = a if x[0] > 0.0 else b
    return sum([w[2] * _first(a) for _ in range(3)])


@right
def a_comprehension_over_what_it_writes(x):
    w = x * 1.0
    return sum([e * _first(w) for e in w])


@right
def arrays_in_a_list_that_grows(x):
    w, s = x * 1.0, 0.0
    ys = [w]
    for k in range(2):
        ys.append(x * k)
    for v in ys:
        s += v[2] + w[2]
        w = w * 2.0
        s += np.sum(w)
    return s


@right
def the_name_is_what_it_hands_out(x):
    w, s = x * 1.0, 0.0
    for w in w:  # noqa: B020
        s += w
    return s


@right
def rows_of_an_expression(x):
    s = 0.0
    for r in np.outer(x, x) * 2.0:
        for _ in range(2):
            r[1] += 1.0
            r = r * 2.0
        s += r[1]
    return s


@right
def a_window_of_itself(x):
    w, s = x * 1.0, 0.0
    for e in w:
        s += e
        w[len(w) - 1] += 1.0
        w = w[1:]
    return s


@right
def a_view_of_another(x):
    w, m, s = x * 1.0, np.outer(x, x), 0.0
    for k, e in enumerate(w):
        w = m[k]
        s += e * w[0]
    return s


@right
def only_written(x):
    w, s = x * 1.0, 0.0
    for k, e in enumerate(w):
        w[2] += 1.0
        w[k] = 0.0
        s += e
    return s


@right
def only_rebound(x):
    w, s = x * 1.0, 0.0
    for a, b in zip(w, w[1:], strict=False):
        w = w * a + b
        s += w[0] * b
    return s + np.sum(w)


@right
def rebound_to_a_copy_that_is_written(x):
    w, s = x * 1.0, 0.0
    for e in w:
        w = w.copy()
        w[2] += e
        s += e
    return s + w[2]


@right
def a_copy_is_looped_over(x):
    w, s = x * 1.0, 0.0
    for e in w.copy():
        s += e
        w[2] += e
        w = w * 0.5
    return s + w[2]


@right
def an_expression_is_looped_over(x):
    w, s = x * 1.0, 0.0
    for a, r in zip(w * 2.0, np.outer(w, w) + 1.0, strict=True):
        s += a * r[1]
        w[2] += a
        w = w * 0.5
    return s + w[2]


@right
def written_after_a_loop_that_rebinds_it(x):
    w, s = x * 1.0, 0.0
    for e in w:
        w = w * 0.5 + e
    w = w.copy()
    w[0] = 3.0
    return s + np.sum(w)


@right
def rebound_in_the_loop_around(x):
    w, s = x * 1.0, 0.0
    for _ in range(3):
        for e in w:
            s += e
            w[2] += 0.1
        w = w * 0.5
        w[0] += s
    return s


@right
def another_is_rebound(x):
    v, w, s = x * 1.0, x * 2.0, 0.0
    for e in w:
        w[2] += 1.0
        v[0] += e
        v = v * 0.5
        s += e * v[0]
    return s


@right
def an_unrolled_loop_reads_what_was_written(x):
    w, s, parts = np.ones(3), 0.0, (x[0], 2.0, x[1] * x[2])
    for k, e in enumerate(w):
        s += e * parts[k]
        w[2] += s
    w = w * 2.0
    return s + w[2]


@refused
def an_unrolled_loop_over_what_a_branch_rebinds(x):
    w, s, parts = np.ones(3), 0.0, (x[0], 2.0, x[1] * x[2])
    for k, e in enumerate(w):
        s += e * parts[k]
        w[2] += s
        if s > 0.0:
            w = w * 2.0
    return s


@right
def an_unrolled_loop_over_what_is_rebound(x):
    w, s, parts = np.ones(3), 0.0, (x[0], 2.0, x[1] * x[2])
    for k, e in enumerate(w):
        s += e * parts[k]
        w[2] += s
        w = w * 2.0
    return s + w[2]


@right
def the_items_of_a_comprehension_are_read_in_turn(x):
    w = np.ones(3)
    return sum([e * c * (_first(w) + x[0]) for e in w for c in (x[1], x[2])])


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_what_a_loop_would_not_see_is_refused(f: Callable[..., float]) -> None:
    with pytest.raises(UnsupportedError, match=r"copy"):
        cr.jit(f, backend="python")(X.copy())


@pytest.mark.parametrize("f", RIGHT, ids=lambda f: f.__name__)
@pytest.mark.parametrize("backend", ["interpreter", "python"])
def test_a_loop_runs_over_what_it_began_with(f: Callable[..., float], backend: str) -> None:
    assert cr.jit(f, backend=backend)(X.copy()) == pytest.approx(f(X.copy()), rel=1e-13)
