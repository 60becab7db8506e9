"""Programs that fill arrays in place at every step: what `expanded` and `replayed` are for, and near misses."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SWEEPS"]


def slope(x: Any, y: Any, out: Any) -> None:
    out[0] = x[0]
    for i in range(1, len(x)):
        out[i] = x[i] * y[i - 1]


def runge_kutta(x: Any, steps: Any) -> Any:
    n, h = len(x), 2.0 / steps
    y, k1, k2, k3, k4, z = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(steps):
        slope(x, y, k1)
        for i in range(n):
            z[i] = y[i] + h / 2 * k1[i]
        slope(x, z, k2)
        for i in range(n):
            z[i] = y[i] + h / 2 * k2[i]
        slope(x, z, k3)
        for i in range(n):
            z[i] = y[i] + h * k3[i]
        slope(x, z, k4)
        for i in range(n):
            y[i] += h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i])
    return y[n - 1]


def heun(x: Any, steps: Any) -> Any:
    n, h = len(x), 2.0 / steps
    y, k1, k2, z = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(steps):
        slope(x, y, k1)
        for i in range(n):
            z[i] = y[i] + h * k1[i]
        slope(x, z, k2)
        for i in range(n):
            y[i] += h / 2 * (k1[i] + k2[i])
    return np.sum(y * y)


def midpoint(x: Any, steps: Any) -> Any:
    n, h = len(x), 2.0 / steps
    y, k, z = np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(steps):
        slope(x, y, k)
        for i in range(n):
            z[i] = y[i] + h / 2 * k[i]
        slope(x, z, k)
        for i in range(n):
            y[i] += h * k[i]
    return np.sum(y * y)


def adams_bashforth(x: Any, steps: Any) -> Any:
    n, h = len(x), 2.0 / steps
    y, new, old = np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(steps):
        slope(x, y, new)
        for i in range(n):
            y[i] += h * (1.5 * new[i] - 0.5 * old[i])
        for i in range(n):
            old[i] = new[i]
    return np.sum(y * y)


def ring_slope(y: Any, out: Any) -> None:
    n = len(y)
    for i in range(n):
        out[i] = (y[(i + 1) % n] - y[i - 2]) * y[i - 1] - y[i] + 8.0


def ring(x: Any, steps: Any) -> Any:
    """Lorenz's system of 1996 by Heun's method."""
    n, h = len(x), 0.02
    y, z, k1, k2 = x.copy(), np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(steps):
        ring_slope(y, k1)
        for i in range(n):
            z[i] = y[i] + h * k1[i]
        ring_slope(z, k2)
        for i in range(n):
            y[i] += h / 2 * (k1[i] + k2[i])
    return np.sum(y * y)


def heat(x: Any, steps: Any) -> Any:
    u, v = x.copy(), np.zeros(len(x))
    for _ in range(steps):
        for i in range(1, len(x) - 1):
            v[i] = u[i] + 0.1 * u[i] * (u[i - 1] - 2 * u[i] + u[i + 1])
        v[0] = u[0]
        v[len(x) - 1] = u[len(x) - 1]
        for i in range(len(x)):
            u[i] = v[i]
    return np.sum(u * u)


def wave(x: Any, steps: Any) -> Any:
    n = len(x)
    old, now, new = x.copy(), x.copy(), np.zeros(n)
    for _ in range(steps):
        for i in range(1, n - 1):
            new[i] = 2 * now[i] - old[i] + 0.2 * now[i] ** 2 * (now[i - 1] - 2 * now[i] + now[i + 1])
        old, now, new = now, new, old
    return np.sum(now * now)


def squares(x: Any, steps: Any) -> Any:
    """A temporary that a loop fills, and another reads at its neighbours."""
    n = len(x)
    y, z = x.copy(), np.zeros(n)
    for _ in range(steps):
        for i in range(n):
            z[i] = np.sin(y[i])
        for i in range(1, n):
            y[i] += 0.1 * z[i] * z[i - 1]
    return np.sum(y)


def left_over(x: Any, steps: Any) -> Any:
    """A cell that is not filled anew holds what an earlier iteration has left."""
    n = len(x)
    y, z = x.copy(), np.zeros(n)
    for _ in range(steps):
        for i in range(1, n):
            z[i] = z[i - 1] * 0.5 + y[i] * y[i]
        z[0] = y[n - 1] * z[n - 1]
        for i in range(1, n):
            y[i] = 0.3 * z[i - 1] * z[i]
    return np.sum(y)


def read_at_the_end(x: Any, steps: Any) -> Any:
    n = len(x)
    y, z = x.copy(), np.zeros(n)
    for _ in range(steps):
        for i in range(n):
            z[i] = np.sin(y[i])
        for i in range(1, n):
            y[i] += 0.1 * z[i] * z[i - 1]
    return np.sum(y) + z[0] * z[n - 1]


def nested(x: Any, steps: Any) -> Any:
    n = len(x)
    y, z = x.copy(), np.zeros(n)
    for s in range(1, steps):
        for _ in range(s):
            for i in range(n):
                z[i] = np.sin(y[i]) * s
            for i in range(1, n):
                y[i] += 0.1 * z[i] * z[i - 1]
    return np.sum(y)


def planes(x: Any, steps: Any) -> Any:
    n = len(x)
    y, z = np.outer(x, x), np.zeros((n, n))
    for _ in range(steps):
        for i in range(n):
            for j in range(n):
                z[i, j] = np.sin(y[i, j])
        for i in range(1, n):
            for j in range(n):
                y[i, j] += 0.1 * z[i, j] * z[i - 1, j]
    return np.sum(y)


# each with the number of copies, and of arrays, that its gradient does without
SWEEPS: list[tuple[Any, int, int]] = [
    (runge_kutta, 3, 5),
    (heun, 1, 3),
    (midpoint, 1, 1),
    (adams_bashforth, 0, 1),
    (ring, 0, 0),
    (heat, 0, 0),
    (wave, 0, 3),
    (squares, 0, 0),
    (left_over, 0, 0),
    (read_at_the_end, 0, 0),
    (nested, 0, 0),
    (planes, 0, 0),
]
