"""The value of every step is kept; cosines come in vectors, and the recurrence of the derivative runs forwards."""

import numpy as np

from .compiled import compiled, cos


@compiled
def gradient(x, n):
    values = np.empty(n)
    sines = np.empty(n)
    y = x
    for i in range(n):
        values[i] = y
        sines[i] = np.sin(y)
        y = sines[i] * x + y / 2
    for i in range(n):
        values[i] = cos(values[i]) * x + 0.5
    slope = 1.0
    for i in range(n):
        slope = values[i] * slope + sines[i]
    return slope
