"""Lists that are appended to in loops and branches, so that their length is known when the program runs only."""

import numpy as np

from tests.programs.table import program

V4 = [0.5, 1.5, -0.8, 2.2]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]


@program(0.5, 7, tags="list for", eager=False)
def a_trajectory(y, steps):
    ys = []
    for _ in range(steps):
        y = y + 0.1 * np.sin(y)
        ys.append(y)
    return np.array(ys)


@program(V4, 5, tags="list for rows")
def a_trajectory_of_rows(y, steps):
    ys = [y]
    for _ in range(steps):
        y = y + 0.1 * np.sin(y)
        ys.append(y)
    return np.stack(ys, axis=1)


@program(V4, 5, tags="list for rows copy", eager=False)
def a_state_that_is_written_to(x, steps):
    y = x.copy()
    ys = []
    for t in range(steps):
        y[t % 4] = y[0] * y[1] + 0.5
        ys.append(y.copy())
    return np.array(ys).T @ np.arange(1.0, steps + 1)


@program(0.7, tags="list while")
def until_it_is_large(x):
    ys = [x]
    while ys[-1] < 9.0:
        ys.append(ys[-1] * (1.4 + 0.1 * len(ys)))
    return sum(ys)


@program(0.7, 8, tags="list recurrence")
def fibonacci(x, n):
    f = [x, 1.0]
    for k in range(2, n):
        f.append(f[-1] + x * f[k - 2])
    return f[-1] * f[n // 2]


@program(V4, tags="list for branch", eager=False)
def what_is_positive(x):
    ys = []
    for a in x:
        if a > 0:
            ys.append(a * a)
        elif a < -10:
            break
    return np.array(ys)


@program(0.7, 6, tags="list branches")
def on_every_path(x, n):
    ys = []
    for i in range(n):
        if i % 2 == 0:
            ys.append(x * i)
        else:
            ys += [x, x * x]
    return sum(y * (i + 1) for i, y in enumerate(ys))


@program(0.7, 5, tags="list nested triangular", eager=False)
def a_triangle(x, n):
    ys = []
    for i in range(n):
        for j in range(i):
            ys.append(x**j + i)
    return np.mean(ys) * np.cumsum(ys)


@program(0.7, 4, tags="list nested reset")
def a_new_list_each_time(x, n):
    s = 0.0
    for i in range(n):
        ys = [x]
        while ys[-1] < 4.0:
            ys.append(ys[-1] * (1.3 + 0.1 * i))
        for j in range(i):
            ys.append(x * j)
        s += sum(ys) * len(ys)
    return s


@program(0.4, tags="list while steps", eager=False)
def adaptive_step_sizes(x):
    t, h, y = 0.0, 0.1, x
    ts, ys = [t], [y]
    while t < 2.0:
        h = min(h, 2.0 - t)
        first = np.sin(y) + t
        second = np.sin(y + h * first) + t + h
        error = abs(second - first) * h / 2
        if error < 1e-2:
            t = t + h
            y = y + h * (first + second) / 2
            ts.append(t)
            ys.append(y)
        h = h * min(2.0, max(0.3, 0.9 * (1e-2 / (error + 1e-12)) ** 0.5))
    return np.trapezoid(np.array(ys), np.array(ts))


@program(V4, 4, tags="list pairs zip")
def pairs(x, n):
    held, ts = [], []
    for k in range(n):
        held.append((0.1 * k, x * k))
        ts.append(x[0] * k)
    s = 0.0
    for (t, row), u in zip(held, ts, strict=True):
        s += (t + u) * np.sum(row * row)
    return s + held[-1][1][0]


@program(V4, 4, tags="list of lists", eager=False)
def rows_of_numbers(x, n):
    table = []
    for k in range(n):
        table.append([x[k] * k, x[0] ** k, 1.0])
    return np.array(table)[:, :2]


@program(0.8, 6, tags="list stack pop")
def a_stack(x, n):
    waiting = [x]
    s = 0.0
    k = 0
    while waiting:
        v = waiting.pop()
        s += v * v
        if k < n:
            waiting.append(v * 0.5)
            waiting.extend([v * 0.25 + x])
        k += 1
    return s


@program(0.6, 5, tags="list store slices", eager=False)
def items_that_change(x, n):
    ys = []
    for k in range(n):
        ys.append(x * k)
    for k in range(1, n):
        ys[k] = ys[k] * ys[k - 1] + x
    ys[-1] *= 2.0
    ys[0] += x
    return np.array(ys[1:]) * np.array(ys[:-1]) + np.array(ys[::-1])[:-1]


@program(V4, 4, tags="list alias closure")
def who_else_appends(x, n):
    log = []
    same = log

    def note(v):
        log.append(v * x[1])

    def step(y, made):
        made.append(np.sum(y))
        return y * 0.9 + 0.1

    y = x
    for _ in range(n):
        y = step(y, same)
        note(y[0])
    return sum(log) + same[-1] * len(same)


@program(V4, 4, tags="list rows concatenate")
def rows_joined(x, n):
    ys = []
    for k in range(n):
        ys.append(x[:2] * k + x[2:])
    return np.concatenate(ys) * np.hstack(ys) + np.vstack(ys)[1, 1]


@program(M33, 4, tags="list rows matmul", eager=False)
def powers_of_a_matrix(a, n):
    ys = []
    y = a[0]
    for _ in range(n):
        y = a @ y / 3
        ys.append(y)
    return np.sum(ys, axis=0) + ys[0] * ys[-1]


@program(V4, 3, tags="list rows history")
def what_went_before(x, n):
    history = [x * 1.0]
    for k in range(n):
        last = history[-1]
        history.append(last - 0.1 * np.cos(history[k // 2]) * last)
    return history[-1] + history[1]


@program(0.5, 5, tags="list comprehension", eager=False)
def rows_by_a_comprehension(x, n):
    rows = [[x * k, x**k] for k in range(n)]
    ys = [a * b for a, b in rows]
    for k in range(n):
        ys.append(x * k)
    return np.array(rows)[:, 1] + np.array(ys[n:])


@program(0.5, 0, tags="list empty")
def an_empty_list(x, n):
    ys = []
    for k in range(n):
        ys.append(x * k)
    return np.array(ys).sum() + sum(ys) + x * x + len(ys)


@program(0.5, 4, tags="list returned")
def a_list_is_returned(x, n):
    ys = []
    for k in range(n):
        ys.append(x**k * np.sin(x))
    return ys


@program(0.5, 6, tags="list read before")
def read_before_it_is_appended_to(x, n):
    ys, waiting = [], []
    s = 0.0
    for k in range(n):
        if ys:
            s += ys[-1] * k + max(ys)
        if len(waiting) > 1:
            s += waiting.pop() * x
        ys.append(x * k if k < 2 else ys[k - 2] + x)
        waiting.append(s)
    return s
