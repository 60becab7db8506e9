"""The new value of one element goes on to the next; the old ones are known before. No tool without loops does this."""

from .tools import by_casadi, by_jax, load


def jax(*args):
    jax = load("jax")

    def f(start):
        def step(last, old):
            new = jax.numpy.sin(last) + old
            return new, new**2

        _, squares = jax.lax.scan(step, start[0], start[2:] * start[1:-1] / 2)
        return squares.sum() + start[0] ** 2 + start[-1] ** 2

    return by_jax(f, args, (0,))


def casadi(*args):
    ca = load("casadi")

    def f(start):
        u = ca.vertsplit(start)
        last = u[0]
        total = last**2 + u[-1] ** 2
        for i in range(1, len(u) - 1):
            last = ca.sin(last) + u[i + 1] * u[i] / 2
            total += last**2
        return total

    return by_casadi(f, args, (0,))
