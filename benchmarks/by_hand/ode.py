"""Only y is kept at every step; the stages are linear in it and are computed again on the way back.

A slope is x[i] times a stage at i − 1, and is never stored. All loops run in vectors: rows are cut out once a step.
"""

import numpy as np

from .compiled import compiled


@compiled
def gradient(x, steps):
    n = len(x)
    h = 2.0 / steps
    y = np.zeros((steps + 1, n))
    z2, z3, z4 = np.empty(n), np.empty(n), np.empty(n)
    for step in range(steps):
        stages(x, y[step], z2, z3, z4, h)
        advance(x, y[step], z2, z3, z4, y[step + 1], h)
    x_bar = np.zeros(n)
    y_bar = np.zeros(n)
    y_bar[n - 1] = 1.0
    k4, k3, k2, k1 = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for step in range(steps - 1, -1, -1):
        stages(x, y[step], z2, z3, z4, h)
        slopes(x, y_bar, k4, k3, k2, k1, h)
        retreat(x, y[step], z2, z3, z4, k4, k3, k2, k1, x_bar, y_bar)
    return x_bar


@compiled
def stages(x, y, z2, z3, z4, h):
    z2[0] = z3[0] = y[0] + h / 2 * x[0]
    z4[0] = y[0] + h * x[0]
    for i in range(1, len(x)):
        z2[i] = y[i] + h / 2 * x[i] * y[i - 1]
    for i in range(1, len(x)):
        z3[i] = y[i] + h / 2 * x[i] * z2[i - 1]
    for i in range(1, len(x)):
        z4[i] = y[i] + h * x[i] * z3[i - 1]


@compiled
def advance(x, y, z2, z3, z4, new, h):
    new[0] = y[0] + h * x[0]
    for i in range(1, len(x)):
        new[i] = y[i] + h / 6 * x[i] * (y[i - 1] + 2 * (z2[i - 1] + z3[i - 1]) + z4[i - 1])


@compiled
def slopes(x, y_bar, k4, k3, k2, k1, h):
    """The adjoints of the slopes: that of a stage at i is the next slope's at i + 1, times x[i + 1]."""
    last = len(x) - 1
    for k, weight in ((k4, h / 6), (k3, h / 3), (k2, h / 3), (k1, h / 6)):
        k[last] = weight * y_bar[last]
    for i in range(last):
        k4[i] = h / 6 * y_bar[i]
    for i in range(last):
        k3[i] = h / 3 * y_bar[i] + h * x[i + 1] * k4[i + 1]
    for i in range(last):
        k2[i] = h / 3 * y_bar[i] + h / 2 * x[i + 1] * k3[i + 1]
    for i in range(last):
        k1[i] = h / 6 * y_bar[i] + h / 2 * x[i + 1] * k2[i + 1]


@compiled
def retreat(x, y, z2, z3, z4, k4, k3, k2, k1, x_bar, y_bar):
    last = len(x) - 1
    x_bar[0] += k1[0] + k2[0] + k3[0] + k4[0]
    for i in range(1, len(x)):
        x_bar[i] += k4[i] * z4[i - 1] + k3[i] * z3[i - 1] + k2[i] * z2[i - 1] + k1[i] * y[i - 1]
    for i in range(last):
        y_bar[i] += x[i + 1] * (k4[i + 1] + k3[i + 1] + k2[i + 1] + k1[i + 1])
