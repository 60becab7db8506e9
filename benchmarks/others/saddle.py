"""Loops of unknown length: JAX goes through them in forward mode only, and CasADi has none.

PyTorch and autograd can call the program as it is and record each step of each inner search, which takes minutes.
"""

from programs import saddle as program

from .tools import load


def jax(start_x, start_y, outer, inner):
    """The search as a compiled loop; the outer gradient must be by forward mode."""
    if outer == "reverse":
        return None
    jax = load("jax")
    numpy = jax.numpy

    def descend(value, slopes, start):
        def step(state):
            z, low, slope, rate, good, _ = state
            rate, good = numpy.where(good == 10, 2 * rate, rate), numpy.where(good == 10, 0, good)
            move = rate * slope
            small = move @ move <= 1e-10
            here = value(z - move)
            better = here < low
            return jax.lax.cond(
                small | ~better,
                lambda: (z, low, slope, numpy.where(small, rate, rate / 2), numpy.where(small, good, 0), small),
                lambda: (z - move, here, slopes(z - move), rate, good + 1, small),
            )

        def going(state):
            return (state[2] @ state[2] > 1e-10) & ~state[5]

        return jax.lax.while_loop(going, step, (start, value(start), slopes(start), 1e-5, 0, False))[0]

    derive = {"forward": jax.jacfwd, "reverse": jax.grad}

    @jax.jit
    def search(start_x, start_y):
        def below(x):
            return lambda y: -program.height(x, y)

        def deepest(x):
            return descend(below(x), derive[inner](below(x)), start_y)

        def highest(x):
            return program.height(x, deepest(x))

        x = descend(highest, derive[outer](highest), start_x)
        return x, deepest(x)

    start = numpy.array(start_x), numpy.array(start_y)
    return lambda: jax.block_until_ready(search(*start))
