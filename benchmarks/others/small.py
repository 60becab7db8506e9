"""The function as it is."""

from .tools import by_autograd, by_casadi, by_jax, by_torch, load


def written_for(xp):
    return lambda x: xp.sum(xp.sin(x) ** 2 * xp.exp(-x))


def jax(*args):
    return by_jax(written_for(load("jax").numpy), args, (0,))


def torch(*args):
    return by_torch(written_for(load("torch")), args, (0,))


def autograd(*args):
    return by_autograd(written_for(load("autograd.numpy")), args, (0,))


def casadi(*args):
    ca = load("casadi")
    return by_casadi(lambda x: ca.sum1(ca.sin(x) ** 2 * ca.exp(-x)), args, (0,))
