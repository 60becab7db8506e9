"""The powers of one point are kept for its way back, which then is a plain product."""

import numpy as np

from .compiled import compiled


@compiled
def gradient(x, n):
    m = len(x)
    bar = np.zeros(m)
    powers = np.empty(m)
    for i in range(n):
        t = -1 + 2 * i / (n - 1)
        power = 1.0
        for j in range(m):
            powers[j] = power
            power *= t
        fit = 0.0
        for j in range(m):
            fit += x[j] * powers[j]
        error = fit - np.sign(t)
        for j in range(m):
            bar[j] += error * powers[j]
    return bar
