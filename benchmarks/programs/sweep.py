"""A sweep through an array, in place."""

import numpy as np

SIZES = [64_000]
SMALL = [6]
ARGNUMS = (0,)


def objective(start):
    u = start.copy()
    for i in range(1, len(u) - 1):
        u[i] = np.sin(u[i - 1]) + u[i + 1] * u[i] / 2
    total = 0.0
    for i in range(len(u)):
        total += u[i] ** 2
    return total


def data(size):
    return (np.random.default_rng(5).normal(size=size),)
