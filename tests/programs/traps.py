"""Programs that a careless transformation gets wrong without a word."""

import numpy as np

from tests.programs.table import program

V4 = [0.5, 1.5, -0.8, 2.2]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]


@program(V4, 0.7, tags="restore reload")
def a_reload_of_what_was_overwritten(x, q):
    p = 1.0
    for i in range(4):
        p = p * x[i]
        x[i] = p + q
        q = x[i] * 0.5
    return p * q + x[0] * x[3]


@program(V4, tags="reload valid")
def one_load_is_valid_and_one_is_not(y):
    w = 0.0
    for i in range(4):
        t = y[i]
        y[i] = 5 * t * t
        w += t * t * y[i]
    return w


@program(V4, np.array([1, 2, 3, 0]), tags="index overwritten")
def an_index_read_from_the_array_it_writes(x, c):
    s = 0.0
    for m in range(4):
        s += x[c[m]] * (m + 1) * s + x[c[m]]
        c[c[m]] = (c[m] + 2) % 4
    return s


@program(V4, np.array([3, 1, 2, 0]), tags="store index overwritten")
def a_store_index_that_changes(x, c):
    y = x * 1.0
    for m in range(3):
        y[c[m]] = y[c[m + 1]] * x[m]
        c[m + 1] = c[m]
    return np.sum(y * x)


@program(V4, tags="increment overwritten")
def an_increment_of_what_is_needed(x):
    s = 1.0
    for i in range(3):
        s = s * x[i]
        x[i + 1] += s * s
        s = s + x[i + 1] ** 2
    return s


@program(V4, tags="same cell")
def the_same_cell_again_and_again(x):
    y = np.zeros_like(x)
    for i in range(4):
        y[0] = y[0] * x[i] + x[i] ** 2
        y[i] = y[0] * y[i] + x[0]
    return np.sum(y)


@program(V4, tags="index negative")
def a_negative_index_through_a_slice(x):
    s = 0.0
    for j in range(-2, 2):
        s += x[1:][j] * (j + 3)
    return s * s


@program(M33, tags="rows reused")
def rows_of_one_array_overwritten(s):
    for k in range(3):
        h, c = s[k], s[(k + 1) % 3]
        for i in range(3):
            h[i] = np.tanh(h[i] * c[i])
            c[i] = c[i] + h[i] ** 2
    return np.sum(s)


@program(V4, tags="branch reassigned")
def the_condition_is_overwritten(x):
    y = x[0]
    for i in range(4):
        if y < x[i]:
            y = y + x[i]
            x[i] = y * 2
        else:
            x[i] = y - x[i]
    return np.sum(x * x)


@program(V4, tags="bound overwritten")
def the_bound_is_overwritten(x):
    n = np.array([1, 2, 3])
    s = 0.0
    for i in range(3):
        for j in range(n[i]):
            s = s * 0.5 + x[j] * x[i]
        n[i] = 0
    return s


@program(0.8, tags="zero power")
def powers_at_integers(x):
    y = 0.0 * x
    return (x - 0.8) ** 2 + (y - 2.0) ** 3 + (x * 0) ** 0 + (-2.0) ** (2) * x


@program([0.7, 0.0, -1.2, 0.0], tags="product zeros")
def a_product_with_zeros(x):
    return np.prod(x) + np.prod(x[:2]) + np.prod(x[::2])


@program([1.0, 3.0, 2.0], tags="cancellation")
def a_compensated_sum(x):
    s, c = 0.0, 0.0
    for v in x:
        y = v * 1e-3 - c
        t = s + y
        c = (t - s) - y
        s = t
    return s * s


@program(V4, tags="loop invariant")
def invariants_in_a_loop(x):
    h = x[0]
    s = 0.0
    for i in range(4):
        w = np.exp(h / 2) * x[1]
        s += w * x[i]
    for _ in range(0):
        s += 1 / (h - h)
    return s


@program(V4, tags="copy parameter")
def a_parameter_written_before_it_is_read(x):
    x[0] = 2.0
    y = x[0] * x[1]
    x[1] = y
    return y * x[1] + x[0]


@program(V4, tags="dead stores")
def stores_that_are_overwritten(x):
    y = x * 1.0
    for i in range(4):
        y[i] = np.exp(x[i])
        y[i] = x[i] ** 2
    z = y
    y = np.sin(x)
    return np.sum(y) + z[3]


@program(V4, tags="array kept loop")
def whole_arrays_needed_later(x):
    y = x * 1.0
    s = 0.0
    for k in range(3):
        s += np.sum(y**3)
        y *= 0.5 + s * 0.1
        y[k] += 1.0
    return s


@program(M33, tags="matrix overwritten loop")
def matrices_needed_later(a):
    b = a.copy()
    s = 0.0
    for k in range(3):
        c = b @ a
        s += np.sum(c * b)
        b[:] = c * 0.3
        b[k, k] = a[k, 0]
    return s


@program(V4, tags="int promoted branch")
def an_integer_in_one_branch(x):
    s = 0
    for v in x:
        if v > 0:
            t = v * v
        else:
            t = 0
        s = s + t
    return s


@program(V4, tags="order")
def reads_before_writes_in_one_statement(x):
    y = x * 1.0
    i = 0
    while i < 3:
        y[i], y[i + 1] = y[i + 1] * y[i], y[i] + x[i]
        i += 1
    return np.sum(y * y)


@program(0.7, 1.3, tags="swap carry")
def a_carry_that_is_another_one_before(x, y):
    previous = x
    for _ in range(4):
        current = y * previous + 0.1
        previous, y = y, current
    return previous * y


@program(V4, tags="zero trip carry")
def the_last_value_of_an_empty_loop(x):
    last = x[0] * 3
    for v in x[4:]:
        last = v
    k = 7
    for k in range(0):
        last = last + k
    return last * k


# -- what is assigned where Python may not come along -------------------------------------------------


@program(V4, tags="named branch")
def named_in_the_second_operand(x):
    k, best = 0, 1.0
    if x[0] > 1 and (k := len(x[1:])) == 3:
        best = x[1]
    if np.max(x) > 1 and (best := x[3] * x[1]) > 2:
        best = best * x[2]
    return x[k] ** 2 * best


@program(V4, tags="named branch")
def named_in_one_of_two_values(x):
    y = x * 2.0
    a = (y := x * 3.0)[1] if x[0] > 1 else y[0]
    b = (y := x * y)[2] * y[0] if x[0] < 1 else y[3]
    return np.sum(y) * a * b


@program(V4, tags="named branch loop")
def named_in_the_test_of_a_loop(x):
    s, k = 0.0, x[1]
    for v in x:
        if (v > 0 and (k := v * k) > 1) or (s := s * 2 + v) > 3:
            s = s + k
    while s < 30 and (k := k * 1.1) < 40:
        s = s * x[1] + k
    return s * k


@program(V4, tags="named assert")
def named_in_an_assertion_that_holds(x):
    k = 1.0
    if x[1] > 0:
        k = x[1] * 3
    assert x[0] < 1 or (k := x[1]) > 1  # noqa: RUF018
    return k * x[0]


def _counted(n):
    n[0] += 1
    return n[0]


@program(V4, tags="comparison chain")
def comparisons_that_stop(x):
    n, i = np.zeros(1), 5
    first = x[0] > 1 < _counted(n)
    second = x[0] < 1 < _counted(n) + 1 <= _counted(n)
    third = 0 <= i < len(x) <= x[i - 9]
    return x[0] * n[0] + x[1] * first + x[2] * second + x[3] * third


@program(V4, tags="named comprehension")
def named_in_a_comprehension(x):
    found = [y * w for v in x if v > 0 if (y := v * v) > 0.5 for w in x if (q := w * y) > 0 or q < -2]
    return sum(found) * len(found)
