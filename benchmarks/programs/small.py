"""A small function, where the call is what costs."""

import numpy as np

SIZES = [10]
SMALL = [3]
ARGNUMS = (0,)


def objective(x):
    return np.sum(np.sin(x) ** 2 * np.exp(-x))


def data(size):
    return (np.random.default_rng(6).normal(size=size),)
