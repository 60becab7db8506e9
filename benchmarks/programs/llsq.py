"""Least squares fit of a polynomial to a sign function (GradBench)."""

import numpy as np

SIZES = [64, 512, 4096]
SMALL = [8]
ARGNUMS = (0,)


def objective(x, n):
    total = 0.0
    for i in range(n):
        t = -1 + 2 * i / (n - 1)
        power = 1.0
        fit = 0.0
        for j in range(len(x)):
            fit += x[j] * power
            power *= t
        total += (np.sign(t) - fit) ** 2
    return 0.5 * total


def data(size):
    return np.random.default_rng(4).normal(size=128), size
