"""Arrays that a loop rebinds: a program is right, in value and in what it writes, or it is refused; never dropped."""

# ruff: noqa: F821, F841 - variables are read above the statement that assigns them
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnsupportedError

A = np.array([[0.3, -1.1, 0.6], [1.4, 0.2, -0.7], [-0.5, 0.8, 0.4], [0.9, -0.2, 1.1]])
V = np.array([0.5, -0.3, 0.8])
STEP = 0.5
REFUSED: list[Callable[..., float]] = []
RIGHT: list[Callable[..., float]] = []


def refused(f):
    REFUSED.append(f)
    return f


def right(f):
    RIGHT.append(f)
    return f


@refused
def a_view_is_read_after_its_array_was_written(a, v):
    x = v
    for k in range(4):
        x = a[k]
    a[3, 0] = 7.0
    return x[0]


@refused
def a_view_is_read_in_the_iteration_after_the_write(a, v):
    x = v
    for k in range(4):
        x = a[k]
    total = 0.0
    for k in range(4):
        total += x[0]
        a[k, 0] += 1.0
    return total


@refused
def a_closure_reads_the_view(a, v):
    x = v

    def first():
        return x[0]

    for k in range(2):
        x = a[k]
    a[1, 0] = 4.0
    return first()


@refused
def a_tuple_holds_the_view(a, v):
    x = v
    for k in range(2):
        x = a[k]
    held = (x, 2.0)
    a[1, 0] = 4.0
    return held[0][0]


@refused
def an_operand_is_written_by_the_next(a, v):
    def second(b):
        b[1, 0] = 99.0
        return b[1]

    x = v
    for k in range(2):
        x = a[k]
    return (x + second(a)).sum()


@refused
def an_argument_is_written_by_the_next(a, v):
    def second(b):
        b[1, 0] = 99.0
        return b[1]

    x = v
    for k in range(2):
        x = a[k]
    return np.dot(x, second(a))


def _recursive(x, a, n):
    if n == 0:
        return x[0]
    a[1, 0] += 1.0
    return _recursive(x, a, n - 1) + x[0]


@refused
def a_recursion_writes_what_it_reads(a, v):
    x = v
    for k in range(2):
        x = a[k]
    return _recursive(x, a, 3)


@refused
def two_names_of_what_the_loop_rebinds(a, v):
    x = v.copy()
    y = x
    total = 0.0
    for _ in range(4):
        y[0] = y[0] + 1
        total += x[0]
        x = x * 2
        y = y + 1
    return total + x[0]


@refused
def two_names_of_what_the_iteration_made(a, v):
    x, y = a[0] * 1.0, a[0] * 2.0
    total = 0.0
    for _ in range(3):
        x[0] += 1.0
        total += x[0] + y[0]
        z = x * y
        x = z
        y = z
    return total


@refused
def another_name_of_a_buffer_is_read(a, v):
    s, t = a[0].copy(), v.copy()
    w = s
    total = 0.0
    for k in range(3):
        total += w[0]
        s[0] = s[0] + k + 1
        s, t = t, s
    return total


@refused
def another_name_of_a_buffer_is_written(a, v):
    s, t = a[0].copy(), v.copy()
    w = s
    total = 0.0
    for _ in range(3):
        w[0] += 1.0
        total += s[0]
        s, t = t, s
    return total


@refused
def overlapping_views_trade_places(a, v):
    s = v * 1.0
    p, q = s[:2], s[1:]
    for _ in range(3):
        p[0] += 2.0 * q[0]
        p, q = q, p
    return p[0] * q[1] + s[2]


@refused
def one_of_two_arrays_is_written_before_it_is_read(a, v):
    x = a[0] if a[0, 0] > 100 else v
    v[0] = 5.0
    return x[0]


@refused
def one_of_two_buffers_is_written_in_a_loop(a, v):
    s, t = a[0].copy(), v.copy()
    x = s if a[0, 0] > 100 else t
    total = 0.0
    for _ in range(3):
        total += x[0]
        s[0] += 5.0
        s, t = t, s
    return total


@refused
def a_reshape_that_may_be_a_view(a, v):
    r = a[:, :3].reshape(-1)
    a[0, 0] = 9.0
    return r[0]


@refused
def a_row_is_augmented_that_was_another_array(a, v):
    x = v
    for k in range(3):
        x += 1.0
        a[k, 0] = 2.0
        x = a[k]
    return x.sum()


@right
def a_row_stays_a_view(a, v):
    x = v
    total = 0.0
    for k in range(4):
        a[(k + 1) % 4, 0] = x[0] * 2
        y = x.copy()
        a[k] *= 2.0
        total += x[0] * y[0]
        x = a[k]
    return total + x[0]


@right
def a_row_moves_in_a_nested_loop(a, v):
    x = v
    total = 0.0
    for _ in range(2):
        for k in range(3):
            for j in range(3):
                total += x[j]
                a[k, j] += 1.0
        x = a[1]
    return total


@right
def one_of_two_arrays_is_written_after_it_was_read(a, v):
    x = a[0] if a[0, 0] > 100 else v
    y = x[0] * 2
    v[0] = 5.0
    return y + v[0]


@right
def two_names_that_are_only_read(a, v):
    x, y = a[0] * 1.0, a[0] * 2.0
    total = 0.0
    for _ in range(3):
        total += x[0] + y[1]
        z = x * y
        x = z
        y = z
        z[0] = 5.0
    return total + x[0] + y[0]


@refused
def what_a_name_handed_on_was_is_written(a, v):
    old, now = v, a[0]
    for _ in range(4):
        new = now * old
        old += 1.0
        old, now = now, new
    return old @ now


@refused
def two_names_took_one_array(a, v):
    x, y, c = v * 1, a[0] * 1, v * 2
    total = 0.0
    for _ in range(3):
        x[0] += 1.0
        total += x[0] * y[0]
        x = c
        y = c
        c = c * 1.1
    return total


@refused
def a_tuple_holds_one_array_twice(a, v):
    x = v * 1.0
    s = (x, x)
    total = 0.0
    for _ in range(3):
        s[0][0] += 1
        total += s[1][0]
        s = (s[0] * 1.5, s[1] * 2)
    return total


@refused
def the_argument_may_still_be_meant(a, v):
    h = v
    for _ in range(a.shape[0]):
        h = np.tanh(h)
    v[0] = 3.0
    return h @ v


@refused
def one_name_of_two_that_a_loop_made_is_written(a, v):
    for k in range(3):
        r = v * k
        s = r
    s[0] = 5.0
    return r[0]


@refused
def the_argument_is_what_the_loop_made(a, v):
    for _ in range(3):
        r = v
    v[0] = 5.0
    return r @ a[0]


@refused
def an_array_that_a_loop_made_longer(a, v):
    for k in range(1, 3):
        r = v[:k] * 2
    return r.sum()


@refused
def another_name_is_changed_in_place(a, v):
    now = v * 1
    for _ in range(4):
        old = now
        now += a[0]
    now[0] = 9.0
    return old @ now


@right
def names_trade_by_one_branch_and_are_written_in_another(a, v):
    x, y, total = a[0] * 1.0, v * 2.0, 0.0
    for k in range(3):
        if v[2] * 2.0 > k:
            x, y = y, x
        if v[0] < k:
            x[0] += 1.0
        total += x[0] + 2.0 * y[0]
    return total


@right
def names_are_handed_on_and_written(a, v):
    old, now = v * 1, a[0] * 1
    for _ in range(4):
        new = now * old
        old += 1.0
        old, now = now, new
        now[0] -= 1
    return old @ now


@right
def a_row_of_what_is_handed_on(a, v):
    s, x = a * 1.0, v
    total = 0.0
    for _ in range(3):
        s[0, 0] += x[0]
        x = s[0]
        s = s * 1.5
        total += x[0]
    return total + x[0]


@right
def the_other_array_stays(a, v):
    x, y = v * 1, a[0] * 1
    for _ in range(3):
        x = y
        x[0] += 1
    return y[0] * x[1]


@right
def two_names_take_one_array(a, v):
    x, y, c = v * 1, a[0] * 1, v * 2
    total = 0.0
    for _ in range(3):
        total += x[0] * y[0]
        x = c
        y = c
        c = c * 1.1
        x[0] += 1.0
        total += y[0]
    return total


@right
def another_array_each_time_and_the_same_list(a, v):
    held = []
    old, now = v * 1, a[0] * 1
    for _ in range(4):
        held.append(now)
        old, now = now, old * now
        now[1] = 7.0
    return held[0][0] + held[3][1]


@right
def two_new_names_that_are_only_read(a, v):
    for k in range(3):
        r = v * k
        s = r
    return r[0] + s @ a[0]


@right
def an_array_kept_over_an_inner_loop_that_is_not_entered(a, v):
    total = 0.0
    for i in range(a.shape[0]):
        for k in range(1 - i):
            r = v * k + i + a[0]
        total += r @ a[1] * i
        r[0] += 1
    return total + r[0]


@right
def assigned_again_after_a_loop_that_is_not_entered(a, v):
    for k in range(a.shape[0] - 4):
        r = a[0] * k
    r = v * 2
    return r @ a[1]


def never(a, v):
    for k in range(a.shape[0] - 4):
        r = v * k
    return r @ a[0]


def never_by_a_branch(a, v):
    for k in range(3):
        if v[k] > 4:
            r = v * k + 1
    return r @ a[0]


def never_by_a_while_loop(a, v):
    k = 10
    while k < a.shape[0]:
        r = a[k] * v
        k += 1
    return r[0]


def never_by_a_break(a, v):
    for k in range(a.shape[0]):
        if v[0] > 0.3:
            break
        r = a[k] * v
    return r[0]


def never_in_the_first_iteration(a, v):
    total = 0.0
    for i in range(3):
        for k in range(i - 1):
            r = v * k + i
        total += r @ v
    return total


def never_a_number(a, v):
    for k in range(len(v) - 3):
        last = v[k] * 2.0
    return last * last


def never_an_index(a, v):
    for k in range(len(v) - 3):
        v[k] = 1.0
    return v[0] * k


def never_a_number_by_a_branch(a, v):
    for k in range(len(v)):
        if v[k] > 4:
            last = v[k] * k
    return last


@right
def a_window_that_is_used_up(a, v):
    y, total = a[:, 0] * v[0], 0.0
    for k in range(6):
        total += np.sum(y) * (k + 1) + len(y)
        y = y[:-3]
    return total + len(y)


@right
def a_window_that_shrinks_from_both_ends(a, v):
    y, total = a[:, 0] * v[0], 0.0
    for k in range(6):
        total += np.sum(y) * (k + 1) + len(y)
        y = y[1:-2]
    return total + len(y)


@right
def the_one_before(a, v):
    total = 0.0
    for k in range(len(v)):
        if k > 0:
            total += (v[k] - last) ** 2 * last
        last = v[k] + total
    return total + last


@right
def the_row_before(a, v):
    total = 1.0
    for row in a:
        if total > 1.5:
            total += before @ row
        before = row * total
        total += 1.0
    return total


@right
def the_place_and_the_value_before(a, v):
    total, k = 0.0, 0
    while k < len(v):
        d = 0.0 if k == 0 else v[at] * value
        total += d * d
        at, value, k = (2 * k) % len(v), v[k] + 1.0, k + 1
    return total


@right
def the_one_before_in_an_inner_loop(a, v):
    total = 0.0
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            if i + k > 0:
                total += last * a[i, k]
            last = a[i, k] * (i + 1) + total
    return total


def never_before(a, v):
    total = 0.0
    for k in range(len(v)):
        total += last * v[k]
        last = v[k]
    return total


def never_by_this_path(a, v):
    if v[0] > 4:
        first, second = v[0], 2.0
    return first * second


def never_by_an_inner_path(a, v):
    if v[0] > 0:
        if v[0] > 4:
            best = 1.0
    else:
        best = 2.0
    return best * v[1]


def never_in_a_function(a, v):
    def inner(scale):
        if scale > 4:
            STEP = 1.0
        return STEP * scale

    return inner(v[0])


NEVER = [never, never_by_a_branch, never_by_a_while_loop, never_by_a_break, never_in_the_first_iteration]
NEVER += [never_by_this_path, never_by_an_inner_path, never_in_a_function]
NEVER += [never_a_number, never_an_index, never_a_number_by_a_branch, never_before]


@pytest.mark.parametrize("f", NEVER)
@pytest.mark.parametrize("backend", ["interpreter", "python"])
def test_a_variable_that_no_iteration_has_assigned(f: Callable[..., float], backend: str) -> None:
    with pytest.raises(UnboundLocalError) as expected:
        f(A.copy(), V.copy())
    for program in (f, cr.grad(f)):
        with pytest.raises(UnboundLocalError) as error:
            cr.jit(program, backend=backend)(A.copy(), V.copy())
        assert str(error.value) == str(expected.value)


def test_an_assigned_variable_is_no_global_one() -> None:
    def f(v):
        total = STEP * v[0]  # noqa: F823
        STEP = 2.0
        return total + STEP

    def branches(v):
        if v[0] > 0:
            scale = v[1]
        if v[0] > 0:
            return scale * v[0]
        return v[0]

    with pytest.raises(UnsupportedError, match="'STEP' is read before this function assigns it"):
        cr.jit(f, backend="python")(V)
    assert "UnboundLocalError" not in cr.source(cr.grad(branches), V)


def test_the_way_out_of_a_shape_that_is_not_known_before_the_loop() -> None:
    with pytest.raises(UnsupportedError, match=r"r = np.zeros\(...\)"):
        cr.jit(an_array_that_a_loop_made_longer, backend="interpreter")(A.copy(), V.copy())


def test_an_array_that_shrinks_says_what_to_do() -> None:
    def shrinking(v):
        for _ in range(2):
            v = 0.5 * (v[1:] + v[:-1])
        return v[0]

    def written(v):
        w = v.copy()
        for k in range(2):
            n = len(v) - 1 - k
            w[:n] = 0.5 * (w[1 : n + 1] + w[:n])
        return w[0]

    with pytest.raises(ValueError, match=r"v changes its shape in a loop: keep it in one array .* write to v\[:n\]"):
        cr.jit(shrinking, backend="python")(V)
    np.testing.assert_allclose(cr.jit(written, backend="python")(V), shrinking(V))
    np.testing.assert_allclose(cr.jit(cr.grad(written), backend="python")(V), [0.25, 0.5, 0.25])


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_what_could_be_seen_is_refused(f: Callable[..., float]) -> None:
    with pytest.raises(UnsupportedError) as error:
        cr.jit(f, backend="interpreter")(A.copy(), V.copy())
    assert "test_loops.py" in str(error.value)


@pytest.mark.parametrize("f", RIGHT, ids=lambda f: f.__name__)
def test_what_is_accepted_is_right(f: Callable[..., float]) -> None:
    a, v, b, w = A.copy(), V.copy(), A.copy(), V.copy()
    for backend in ("interpreter", "python"):
        np.testing.assert_allclose(cr.jit(f, backend=backend)(a, v), f(b, w))
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(v, w)
    gradient = cr.jit(cr.grad(f), backend="python")(A, V)
    for k in np.ndindex(A.shape):
        e = np.zeros_like(A)
        e[k] = 1e-6
        slope = (f(A + e, V.copy()) - f(A - e, V.copy())) / 2e-6
        np.testing.assert_allclose(gradient[k], slope, rtol=1e-6, atol=1e-6)


def test_an_array_of_unknown_extent_that_an_inner_loop_assigns_again() -> None:
    def f(x, a, n):
        for i in range(n):
            for _ in range(0, 1, 2):
                if a:
                    x[i] += 0.5
                else:
                    w = x

                    def held(p):
                        return w

        return 0.4

    with pytest.raises(UnsupportedError, match="'w' is first assigned inside a loop above"):
        cr.jit(f, backend="interpreter")(np.ones(3), True, 2)


def rebound_in_a_nest(x):
    v, a = x[:], x
    for _ in range(2):
        for _ in range(2):
            a = v
    return np.sum(a * a)


def rebound_in_two_ways(x):
    v, a = x[1:], x
    for i in range(2):
        for _ in range(2):
            a = v
        a = x[i:]
    return np.sum(a * a)


@pytest.mark.parametrize("f", [rebound_in_a_nest, rebound_in_two_ways], ids=lambda f: f.__name__)
def test_views_in_nests(f):
    x = np.array([0.5, -1.0, 0.3])
    assert cr.jit(f, backend="python")(x) == f(x)
    np.testing.assert_allclose(cr.jit(cr.grad(f), backend="python")(x), cr.grad(f)(x))
