"""Small programs as people write them, each hard for a reverse sweep in its own way, and arguments for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def reload_and_restore(x: Any) -> Any:
    p, q = 1.0, 0.25
    for i in range(len(x)):
        p = p * x[i]
        x[i] = p + q
        q = x[i] * 0.5
    return p + q


def stored_between(x: Any, y: Any) -> Any:
    s = 0.0
    for i in range(len(y)):
        t = y[i]
        y[i] = 5 * t * t
        w = t * t * y[i]
        s += w * x[i]
    return s


def own_index(x: Any, c: Any) -> Any:
    s = 0.0
    for m in range(len(c)):
        s += x[c[m]] * x[m]
        c[c[m]] = (c[m] + m) % len(c)
    return s


def born_in_the_loop(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        t = np.zeros(3)
        t[0] = math.sin(x[i])
        for k in range(1, 3):
            t[k] = t[k - 1] * x[i] + t[0]
        s += t[2] * t[1]
    return s


def swapped(x: Any, n: int) -> Any:
    a, b = x, x * x
    for _ in range(n):
        a, b = b * math.sin(a), a + b
    return a * b


def double_buffer(x: Any, n: int) -> Any:
    a = x.copy()
    b = np.zeros(len(x))
    for _ in range(n):
        for i in range(1, len(x) - 1):
            b[i] = a[i - 1] * 0.3 + math.sin(a[i]) + a[i + 1] * a[i]
        a, b = b, a
    s = 0.0
    for i in range(len(x)):
        s += a[i] * a[i] + b[i]
    return s


def early_return(x: Any, limit: float) -> Any:
    s = 0.0
    for i in range(len(x)):
        if s > limit:
            return s * x[i]
        s += x[i] * x[i]
    return s + 1.0


def breaks(x: Any) -> Any:
    s = 0.0
    for i in range(len(x)):
        p = 1.0
        for j in range(len(x)):
            if p < 0.1:
                break
            if j == i:
                continue
            p *= math.sin(x[i] + x[j])
        s += p * p
    return s


def while_in_for(a: Any) -> Any:
    s = 0.0
    for i in range(len(a)):
        y = a[i]
        while abs(y * y - a[i]) > 1e-12:
            y = 0.5 * (y + a[i] / y)
        s += y * a[i]
    return s


def for_in_while(x: Any) -> Any:
    s, k = 0.1, 0
    while s < 5.0 and k < 20:
        for j in range(k % 3 + 1):
            s += math.exp(-s * x[j]) * x[j]
        k += 1
    return s


def triangular_in_branch(x: Any) -> Any:
    n = len(x)
    s = 0.0
    for i in range(n):
        if i % 2 == 0:
            for j in range(i + 1):
                t = math.exp(x[i] * x[j])
                for k in range(j, n):
                    s += math.sin(t * x[k])
        else:
            s *= x[i]
    return s


def steps(x: Any) -> Any:
    n = len(x)
    s = 1.0
    for i in range(n - 1, -1, -2):
        s = s * math.cos(x[i]) + x[i]
    for i in range(1, n, 3):
        s = math.sin(s) * x[i]
    return s


def csr(values: Any, x: Any, pointer: Any, column: Any) -> Any:
    y = np.zeros(len(pointer) - 1)
    for i in range(len(y)):
        t = 0.0
        for k in range(pointer[i], pointer[i + 1]):
            t += values[k] * x[column[k]]
        y[i] = math.tanh(t)
    s = 0.0
    for i in range(len(y)):
        s += y[i] * y[i] * i
    return s


def relaxation(u: Any, n: int) -> Any:
    for _ in range(n):
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                u[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]) + math.sin(u[i, j])
    s = 0.0
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            s += u[i, j] ** 2
    return s


def history(x: Any, n: int) -> Any:
    h = np.zeros((n + 1, len(x)))
    h[0] = x
    for t in range(n):
        for i in range(len(x)):
            h[t + 1, i] = math.sin(h[t, i]) + 0.5 * h[t, i - 1] * x[i]
    return np.sum(h * h)


def network(w: Any, v: Any, x: Any) -> Any:
    h = np.zeros(len(w))
    s = 0.0
    for t in range(len(x)):
        h = np.tanh(w @ h + v @ x[t])
        s += np.sum(h * h)
    return s


def powers(a: Any, n: int) -> Any:
    p = np.eye(len(a))
    s = 0.0
    for _ in range(n):
        p = p @ a + 0.1 * p
        s += np.trace(p)
    return s * np.linalg.det(p)


def minors(a: Any) -> Any:
    m = len(a)
    rows = np.arange(m + 1)
    return _minor(a, m, rows, 0)


def _minor(a: Any, m: int, columns: Any, row: int) -> Any:
    if row == m:
        return 1.0
    s, sign = 0.0, 1.0
    previous = m
    for _ in range(m - row):
        here = columns[previous] if previous != m else columns[m]
        j = here
        following = columns[j]
        columns[previous] = following
        s += sign * a[row, j if j < m else 0] * _minor(a, m, columns, row + 1)
        columns[previous] = here
        previous = j
        sign = -sign
    return s


def mutual(x: float, n: int) -> Any:
    return _even(x, n)


def _even(x: float, n: int) -> Any:
    if n == 0:
        return x
    return math.sin(_odd(x * 1.1, n - 1)) * x


def _odd(x: float, n: int) -> Any:
    if n == 0:
        return x * x
    return _even(x + 0.5, n - 1) + x


def selected(x: Any) -> Any:
    return np.sum(np.where(x > 0, np.sqrt(np.abs(x) + (x > 0) * 0.0), 0.0) * np.maximum(x, 0.1))


def guarded(x: Any, y: float) -> Any:
    if y > 0:
        if len(x) > 2:
            t = np.zeros(len(x))
            for i in range(len(x)):
                t[i] = math.exp(x[i] * y)
            s = 0.0
            for i in range(len(x)):
                s += t[i] * t[i - 1]
            return s
        return y * y
    return y * x[0]


def nested_flags(x: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        found = -1.0
        k = 0
        while True:
            if k >= len(x):
                break
            if x[k] > x[i]:
                found = x[k] * x[i]
                break
            k += 1
        if found > 0:
            total += found * x[i]
    return total


def accumulate(x: Any, w: Any) -> Any:
    y = np.zeros((2, len(x)))
    for i in range(len(x)):
        row = y[i % 2]
        row[i] += x[i] * w[i]
        row[0] += math.sin(row[i])
        y[1 - i % 2][-1] += row[0] * x[i]
    return np.sum(y * y)


_rng = np.random.default_rng(7)
_positive, _normal = _rng.uniform(0.3, 1.2, 5), _rng.normal(size=5)
_square = _rng.normal(size=(3, 3)) * 0.5

ZOO: dict[str, tuple[Any, tuple[Any, ...]]] = {
    f.__name__: (f, args)
    for f, *args in [  # type: ignore[misc]
        (reload_and_restore, _positive),
        (stored_between, _normal, _positive),
        (own_index, _normal, np.array([2, 4, 1, 0, 3])),
        (born_in_the_loop, _normal),
        (swapped, 0.7, 4),
        (double_buffer, _normal, 3),
        (early_return, _positive, 0.8),
        (early_return, _positive, 100.0),
        (breaks, _positive),
        (while_in_for, _positive),
        (for_in_while, _positive),
        (triangular_in_branch, _normal * 0.5),
        (steps, _normal),
        (csr, _rng.normal(size=6), _normal, np.array([0, 2, 2, 5, 6]), np.array([0, 3, 1, 4, 2, 2])),
        (relaxation, _rng.normal(size=(4, 4)), 2),
        (history, _normal, 3),
        (network, _square, _rng.normal(size=(3, 2)), _rng.normal(size=(4, 2))),
        (powers, _square, 3),
        (minors, _rng.normal(size=(4, 4))),
        (mutual, 0.4, 5),
        (selected, _normal),
        (guarded, _normal, 0.5),
        (nested_flags, _positive),
        (accumulate, _normal, _positive),
    ]
}
