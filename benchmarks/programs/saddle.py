"""The saddle point of a function, by descent in the outer and ascent in the inner variables.

The gradient of the maximum goes through the whole inner search, whose steps need gradients themselves. Sizes are the
modes of the two, the outer first.
"""

import chainrule as cr

SIZES = [(outer, inner) for outer in ("forward", "reverse") for inner in ("forward", "reverse")]
SMALL = SIZES


def height(x, y):
    return (x[0] ** 2 + x[1] ** 2) - (y[0] ** 2 + y[1] ** 2)


def square(z):
    return z[0] ** 2 + z[1] ** 2


def descend(value, slopes, start):
    """Go down until the slope or the step is small; ten good steps double the rate, a bad one halves it."""
    z, low, slope = start, value(start), slopes(start)
    rate, good = 1e-5, 0
    while square(slope) > 1e-10:
        if good == 10:
            rate, good = 2 * rate, 0
        step = rate * slope[0], rate * slope[1]
        if square(step) <= 1e-10:
            break
        new = z[0] - step[0], z[1] - step[1]
        here = value(new)
        if here < low:
            z, low, slope, good = new, here, slopes(new), good + 1
        else:
            rate, good = rate / 2, 0
    return z


def saddle(outer, inner, start_x, start_y):
    def deepest(x):
        def below(y):
            return -height(x, y)

        return descend(below, inner(below), start_y)

    def highest(x):
        return height(x, deepest(x))

    x = descend(highest, outer(highest), start_x)
    return x, deepest(x)


def objective(start_x, start_y, outer, inner):
    return saddle(MODES[outer], MODES[inner], start_x, start_y)


MODES = {"forward": cr.jacfwd, "reverse": cr.grad}


def derivative(*args):
    search = cr.jit(objective)
    return lambda: search(*args)


def data(size):
    return (1.0, 1.0), (1.0, 1.0), *size
