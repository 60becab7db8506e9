"""The functions that textbooks explain with, as their users would write them; the golden tables name these lines."""

from __future__ import annotations

import mpmath
import numpy as np


def survey(x1, x2):
    v3 = x1 * x2
    v4 = np.sin(x2)
    v5 = np.exp(v3)
    v6 = v3 - v4
    return v5 + v6


def nested(x1, x2):
    return x1 * np.sqrt(np.log(x1 / np.sin(x2**2)))


def terms(x1, x2):
    t1 = x1 + x2
    t2 = x1 * x2
    t3 = t1 * t2
    t4 = np.log(t3)
    t5 = x1 - x2
    t6 = t5**2
    return t4 / t6


def polynomial(a, b, c):
    return 2 * a * b * c * (a**2 + b**2 + c**2)


def wave(x):
    return np.log(x) * np.sin(x) ** 2


def branches(x, n):
    y = x
    for _ in range(3):
        if y > n:
            y = y / n
        else:
            y = y * x + np.cos(y)
    return y


def network(w1, b1, w2, b2, x, t):
    hidden = np.tanh(x @ w1 + b1)
    output = hidden @ w2 + b2
    return np.mean((output - t) ** 2)


# -- the same in mpmath, the referee ------------------------------------------------------------------

m = mpmath


def _branches(x, n):
    y = x
    for _ in range(3):
        y = y / n if y > n else y * x + m.cos(y)
    return y


REFEREES = {
    survey: lambda x1, x2: x1 * x2 + m.exp(x1 * x2) - m.sin(x2),
    nested: lambda x1, x2: x1 * m.sqrt(m.log(x1 / m.sin(x2**2))),
    terms: lambda x1, x2: m.log(x1 * x2 * (x1 + x2)) / (x1 - x2) ** 2,
    polynomial: lambda a, b, c: 2 * a * b * c * (a**2 + b**2 + c**2),
    wave: lambda x: m.log(x) * m.sin(x) ** 2,
    branches: _branches,
}
POINTS = {
    survey: (1.5, 0.5),
    nested: (2.0, 1.0),
    terms: (2.0, 10.0),
    polynomial: (1.0, 2.0, 3.0),
    wave: (2.0,),
    branches: (1.5, 2.0),
}
# The direction of the tangents, where it is not the first input.
SEEDS = {nested: (0.0, 1.0)}


def batch():
    """Arguments of `network`: three inputs, two hidden units, one output, four rows."""
    w1 = np.array([[0.5, -0.3], [0.1, 0.8], [-0.7, 0.2]])
    x = np.array([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0], [-1.5, 1.0, 0.5], [0.0, -0.5, 1.0]])
    t = np.array([[1.0], [0.0], [-1.0], [0.5]])
    return w1, np.array([0.1, -0.1]), np.array([[0.6], [-0.9]]), np.array([0.05]), x, t
