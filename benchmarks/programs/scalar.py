"""A loop of scalar operations."""

import numpy as np

SIZES = [10_000]
SMALL = [5]
ARGNUMS = (0,)


def objective(x, n):
    y = x
    for _ in range(n):
        y = np.sin(y) * x + y / 2
    return y


def data(size):
    return 0.7, size
