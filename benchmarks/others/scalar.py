"""Only JAX and CasADi have loops; CasADi's is written out, which its virtual machine runs faster."""

from .tools import by_autograd, by_casadi, by_jax, by_torch, load


def steps(xp):
    def f(x, n):
        y = x
        for _ in range(n):
            y = xp.sin(y) * x + y / 2
        return y

    return f


def jax(*args):
    jax = load("jax")

    def f(x, n):
        return jax.lax.scan(lambda y, _: (jax.numpy.sin(y) * x + y / 2, None), x, length=n)[0]

    return by_jax(f, args, (0,))


def torch(*args):
    return by_torch(steps(load("torch")), args, (0,))


def autograd(*args):
    return by_autograd(steps(load("autograd.numpy")), args, (0,))


def casadi(*args):
    return by_casadi(steps(load("casadi")), args, (0,))
