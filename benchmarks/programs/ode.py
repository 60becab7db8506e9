"""The last component of a chain of differential equations by Runge-Kutta steps (cmpad)."""

import numpy as np

SIZES = [(1000, 10), (1000, 100), (10000, 10)]  # components, steps
SMALL = [(3, 2), (4, 2), (5, 3), (6, 4)]
ARGNUMS = (0,)


def slope(x, y, out):
    out[0] = x[0]
    for i in range(1, len(x)):
        out[i] = x[i] * y[i - 1]


def objective(x, steps):
    n = len(x)
    h = 2.0 / steps
    y = np.zeros(n)
    k1 = np.zeros(n)
    k2 = np.zeros(n)
    k3 = np.zeros(n)
    k4 = np.zeros(n)
    z = np.zeros(n)
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


def data(size):
    n, steps = size
    return np.random.default_rng(3).uniform(0.5, 1.5, n), steps
