"""One loop."""

import numpy as np

from .compiled import compiled, cos, exp, sin


@compiled
def gradient(x):
    bar = np.empty_like(x)
    for i in range(len(x)):
        s = sin(x[i])
        bar[i] = (2 * cos(x[i]) - s) * s * exp(-x[i])
    return bar
