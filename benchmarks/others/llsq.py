"""All points at once; Horner's scheme goes through the coefficients."""

import numpy as np

from .tools import by_autograd, by_casadi, by_jax, by_torch, load


def horner(sign, linspace, total):
    def f(x, n):
        t = linspace(-1.0, 1.0, n)
        fit = 0.0 * t
        for j in range(x.shape[0] - 1, -1, -1):
            fit = fit * t + x[j]
        return total((sign(t) - fit) ** 2) / 2

    return f


def jax(*args):
    jnp = load("jax").numpy
    return by_jax(horner(jnp.sign, jnp.linspace, jnp.sum), args, (0,))


def torch(*args):
    torch = load("torch")
    return by_torch(horner(torch.sign, torch.linspace, torch.sum), args, (0,))


def autograd(*args):
    anp = load("autograd.numpy")
    return by_autograd(horner(np.sign, np.linspace, anp.sum), args, (0,))


def casadi(*args):
    """One point is a function, which is mapped over the points."""
    ca = load("casadi")
    x, t = ca.SX.sym("x", len(args[0])), ca.SX.sym("t")
    fit = 0
    for j in range(len(args[0]) - 1, -1, -1):
        fit = fit * t + x[j]
    square = ca.Function("square", [x, t], [(ca.sign(t) - fit) ** 2 / 2])

    def f(x, n):
        t = np.linspace(-1, 1, n)[None]
        return ca.sum2(square.map("squares", "serial", n, [0], [])(x, t))

    return by_casadi(f, args, (0,), "MX")
