"""The start is not written, so that only the new values are kept; cosines come in vectors."""

import numpy as np

from .compiled import compiled, cos


@compiled
def gradient(start):
    n = len(start)
    u = start.copy()
    for i in range(1, n - 1):
        u[i] = np.sin(u[i - 1]) + start[i + 1] * start[i] / 2
    slopes = np.empty(n)
    for i in range(n):
        slopes[i] = cos(u[i])
    bar = 0.0
    for i in range(n - 2, 0, -1):
        bar = 2 * u[i] + slopes[i] * bar
        u[i] = bar
    slopes[0] = 2 * u[0] + slopes[0] * bar
    slopes[n - 1] = 2 * u[n - 1] + start[n - 2] / 2 * u[n - 2]
    slopes[1] = start[2] / 2 * u[1]
    for i in range(2, n - 1):
        slopes[i] = (start[i + 1] * u[i] + start[i - 1] * u[i - 1]) / 2
    return slopes
