"""The same two searches, with the two gradients on paper: the depth does not depend on where the search found it."""

from .compiled import compiled


@compiled
def height(x, y):
    return (x[0] ** 2 + x[1] ** 2) - (y[0] ** 2 + y[1] ** 2)


@compiled
def square(z):
    return z[0] ** 2 + z[1] ** 2


@compiled
def deepest(x, start):
    y, low, slope = start, -height(x, start), (2 * start[0], 2 * start[1])
    rate, good = 1e-5, 0
    while square(slope) > 1e-10:
        if good == 10:
            rate, good = 2 * rate, 0
        step = rate * slope[0], rate * slope[1]
        if square(step) <= 1e-10:
            break
        new = y[0] - step[0], y[1] - step[1]
        here = -height(x, new)
        if here < low:
            y, low, slope, good = new, here, (2 * new[0], 2 * new[1]), good + 1
        else:
            rate, good = rate / 2, 0
    return y


@compiled
def search(start_x, start_y):
    x, low, slope = start_x, height(start_x, deepest(start_x, start_y)), (2 * start_x[0], 2 * start_x[1])
    rate, good = 1e-5, 0
    while square(slope) > 1e-10:
        if good == 10:
            rate, good = 2 * rate, 0
        step = rate * slope[0], rate * slope[1]
        if square(step) <= 1e-10:
            break
        new = x[0] - step[0], x[1] - step[1]
        here = height(new, deepest(new, start_y))
        if here < low:
            x, low, slope, good = new, here, (2 * new[0], 2 * new[1]), good + 1
        else:
            rate, good = rate / 2, 0
    return x, deepest(x, start_y)


def derivative(start_x, start_y, outer, inner):
    return lambda: search(start_x, start_y)
