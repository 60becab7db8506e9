"""Names that are other arrays in the next iteration: rows, buffers that trade places, names handed on, first values."""

from __future__ import annotations

import numpy as np

from tests.programs.table import program

ROWS = [[0.3, -1.1, 0.6], [1.4, 0.2, -0.7], [-0.5, 0.8, 0.4], [0.9, -0.2, 1.1]]
V3 = [0.5, -0.3, 0.8]
V4 = [0.45, -0.3, 0.8, 1.2]
GATES = [[0.3, -1.1, 0.6, 1.4, 0.2, -0.7, 0.5, 0.1], [0.2, 0.4, -0.3, 0.1, -0.6, 0.9, 0.7, -0.2]] * 2


@program(ROWS, 2, tags="view rebound row")
def pairs_of_rows(s, n):
    for k in range(n):
        x = s[2 * k]
        c = s[2 * k + 1]
        for j in range(s.shape[1]):
            x[j] = np.tanh(x[j]) + c[j]
            c[j] = x[j] * c[j]
    return s.sum()


@program(GATES, ROWS, [[0.1, 0.2], [-0.3, 0.4], [0.6, -0.5]], tags="view rebound row lstm")
def lstm_by_rows(main, states, text):
    b = text.shape[1]
    s = states[:, :b] * 1.0
    total = 0.0
    for t in range(text.shape[0]):
        x = text[t]
        for k in range(s.shape[0] // 2):
            w, bias, h, c = main[2 * k], main[2 * k + 1], s[2 * k], s[2 * k + 1]
            for j in range(b):
                forget = 1 / (1 + np.exp(-x[j] * w[j] - bias[j]))
                take = 1 / (1 + np.exp(-h[j] * w[b + j] - bias[b + j]))
                give = 1 / (1 + np.exp(-x[j] * w[2 * b + j] - bias[2 * b + j]))
                c[j] = c[j] * forget + take * np.tanh(h[j] * w[3 * b + j])
                h[j] = give * np.tanh(c[j])
            x = h
        total += np.sum(x**2)
    return total


@program(ROWS, V3, tags="view rebound row")
def a_row_is_read_after_it_was_written(s, first):
    x = first
    y = 0.0
    for k in range(4):
        s[(k + 1) % 4, 0] = x[0] * 2
        s[k] *= 2.0
        y = y * x[1] + x[0]
        x = s[k]
    return y + x[0]


@program(ROWS, V3, tags="view rebound row")
def sums_down_the_rows(s, first):
    before = first
    for k in range(4):
        row = s[k]
        for j in range(3):
            row[j] += before[j] * row[j]
        before = row
    return before[0] * before[1] + s.sum()


@program(ROWS, tags="view rebound row nested")
def a_row_kept_over_two_loops(s):
    x = s[0] * 1.0
    total = 0.0
    for _ in range(2):
        for k in range(2):
            h = s[2 * k]
            for j in range(3):
                h[j] = h[j] * x[j] + 0.5
            x = h
        total += x.sum() * x[1]
    return total


@program(ROWS, tags="view rebound row while")
def rows_until_large(s):
    x = s[0] * 1.0
    k = 0
    while x[0] < 5 and k < 3:
        s[k] = x * 2 + s[k + 1]
        x = s[k]
        k += 1
    return x.sum() + (s * s).sum()


@program(ROWS, V3, tags="branch rebound write")
def a_row_of_either_branch_is_read_before_the_write(s, v):
    total = 0.0
    for k in range(3):
        row = s[k] if s[k, 0] > 0 else v
        total += row.sum() * row[0]
        v[1] += s[k, 2]
    return total


@program(V4, tags="rebound buffers", eager=False)
def buffers_that_trade_places_after_two_stores(x):
    a, b = x.copy(), np.zeros(4)
    for _ in range(5):
        b[1:3] = 0.5 * (a[:2] + a[2:])
        b[0], b[3] = a[0] * a[3], a[1]
        a, b = b, a
    return np.sum(a * b) + a[0]


@program(V4, tags="rebound buffers")
def three_buffers_trade_places(x):
    a, b, c = x.copy(), 2 * x, x * x
    for _ in range(4):
        for i in range(4):
            c[i] = 2 * b[i] - a[i] + 0.1 * np.sin(b[i])
        a, b, c = b, c, a
    return np.sum(b * a)


@program(V4, tags="rebound buffers write")
def buffers_written_after_they_traded_places(x):
    a, b = x.copy(), x * x
    for _ in range(3):
        b[0] = a[1] * b[1]
        b[1] = a[0] * a[2]
        a, b = b, a
    a[0] = x[3]
    b[1] *= 2
    return np.sum(a * b)


@program(ROWS, tags="rebound buffers view")
def a_new_matrix_and_its_row(a):
    x = a[0] * 1.0
    s = a * 1.0
    total = 0.0
    for _ in range(3):
        total += x[0] * x[1]
        s = s * 1.5
        s[0, 0] += x[2]
        x = s[0]
    return total + x[0] * s[1, 1]


@program(V4, [0.2, 0.9, -0.4, 0.3], tags="rebound handed")
def a_recurrence_of_arrays(x, y):
    a, b = x, y
    for _ in range(5):
        c = a + 0.5 * b
        a = b
        b = c
    return np.sum(a * b) + b[0]


@program(V4, [0.2, 0.9, -0.4, 0.3], tags="rebound handed")
def stoermer_verlet(x, speed):
    old, now = x, x + 0.1 * speed
    for _ in range(5):
        new = 2 * now - old - 0.01 * np.sin(now)
        old, now = now, new
    return now @ old


@program(V4, tags="rebound handed")
def adams_bashforth(y):
    f3 = -np.sin(y)
    y = y + 0.1 * f3
    f2 = -np.sin(y)
    y = y + 0.1 * f2
    f1 = -np.sin(y)
    for _ in range(6):
        y = y + 0.1 * (23 * f1 - 16 * f2 + 5 * f3) / 12
        f3, f2, f1 = f2, f1, -np.sin(y)
    return y @ y + f3[0]


@program(V4, tags="rebound handed while")
def a_fixed_point_and_the_point_before(x):
    k = 0
    old = x
    while k == 0 or (np.sum((x - old) ** 2) > 1e-3 and k < 20):
        old = x
        x = 0.5 * np.cos(x) + 0.1 * old**2
        k += 1
    return x @ old


@program(V4, [0.2, 0.9, -0.4, 0.3], tags="rebound handed branch")
def a_step_is_taken_or_halved(x, y):
    before, now = x, y
    for _ in range(5):
        new = 1.2 * now * before + 0.4
        if new[0] > 0.5:
            before, now = now, new
        else:
            now = now * 1.5
    return before @ now


@program(V4, [0.2, 0.9, -0.4, 0.3], tags="rebound handed nested")
def names_handed_on_in_two_loops(x, y):
    a, b = x, y
    total = 0.0
    for _ in range(3):
        start = a
        for _ in range(2):
            a, b = b, 0.5 * a * b + start
        total += start @ b
    return a @ b + total


@program(V4, tags="rebound handed list")
def the_last_three_in_a_list(x):
    last = [x, np.sin(x), x * x]
    for _ in range(4):
        last = [last[1], last[2], last[0] * last[2] + 0.5]
    return last[0] @ last[2]


@program(V4, tags="rebound buffers branch write")
def buffers_that_trade_places_in_a_branch(x):
    a, b, c = x.copy(), x * x, np.cos(x)
    for k in range(6):
        if k % 3 == 0:
            a, b = b, a
        elif k % 3 == 1:
            b, c = c, b
        c[0] += 0.1
        a[1] *= b[0]
    return a @ b + c[0]


@program(V4, tags="rebound write")
def the_argument_is_written_after_the_loop(x):
    h = x
    for _ in range(3):
        h = np.tanh(h * 1.5)
        h += 0.1
    x[0] = 3.0
    h[1] *= 2
    return h @ x


@program(ROWS, tags="rebound first")
def scaling_vectors_after_the_loop(cost):
    kernel = np.exp(-(cost**2))
    v = np.ones(3)
    for _ in range(5):
        u = 1 / (kernel @ v)
        v = 1 / (kernel.T @ u)
    return u @ (kernel * cost) @ v


@program(ROWS, 3, tags="rebound first while")
def a_step_of_newton_is_read_after_the_loop(a, n):
    x = a[0]
    k = 0
    while k < n:
        jacobian = np.outer(a[1], x) + 3 * np.eye(3)
        step = np.linalg.solve(jacobian, -(x**3) - a[2])
        x = x + step
        k += 1
    return x @ x + step @ step + jacobian[0, 1]


@program(ROWS, tags="rebound first nested")
def arrays_first_made_in_the_inner_loop(a):
    total = 0.0
    for i in range(3):
        for k in range(2):
            row = a[k] * (i + 1) + a[k, 0]
        other = row
        for k in range(a.shape[0] - 1):
            row = a[k] * i - other
        total += row @ other
    return total + other[0]


@program(ROWS, tags="rebound first branch break")
def the_row_that_was_found(a):
    for row in a:
        if row[0] > 1:
            found = row * 2
            break
    return found @ a[0]


@program(V4, V4, tags="rebound branch closure mask write")
def a_name_for_a_closure_that_nobody_calls(x, y):
    y = y.copy()
    for e in x:
        if e > 0:
            v = y

            def shifted(p):
                return p + v

            k = y > 0.2
            v[k] = 0.7 * e
    return np.sum(y) * x[0]
