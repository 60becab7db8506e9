"""The triangles are unpacked by an index array, so that a component is one product of matrices with all points."""

import numpy as np

from .tools import by_autograd, by_casadi, by_jax, by_torch, load


def density(xp, logsumexp, swapped, constant=lambda x: x):
    def f(alpha, means, logdiag, lower, points, gamma, m):
        count, d = points.shape
        index, mask = unpacking(d)
        triangles = lower[:, index] * constant(mask)
        diagonal = xp.exp(logdiag)
        shifted = points[None] - means[:, None]
        products = diagonal[:, None] * shifted + xp.matmul(shifted, swapped(triangles))
        sums = logdiag.sum(1)
        terms = alpha + sums - 0.5 * swapped((products**2).sum(2)[None])[0]
        prior = 0.5 * gamma**2 * ((diagonal**2).sum() + (lower**2).sum()) - m * sums.sum()
        return logsumexp(terms, 1).sum() - count * logsumexp(alpha, 0) - prior

    return f


def unpacking(d):
    """Where each element of a strict lower triangle, packed by columns, comes from."""
    index, mask = np.zeros((d, d), int), np.tri(d, k=-1)
    columns, rows = np.triu_indices(d, 1)
    index[rows, columns] = np.arange(len(rows))
    return index, mask


ACTIVE = (0, 1, 2, 3)


def jax(*args):
    jax = load("jax")
    f = density(jax.numpy, jax.scipy.special.logsumexp, lambda x: jax.numpy.swapaxes(x, 1, 2))
    return by_jax(f, args, ACTIVE)


def torch(*args):
    torch = load("torch")
    f = density(torch, torch.logsumexp, lambda x: torch.swapaxes(x, 1, 2), torch.from_numpy)
    return by_torch(f, args, ACTIVE)


def autograd(*args):
    anp, special = load("autograd.numpy"), load("autograd.scipy.special")
    return by_autograd(density(anp, special.logsumexp, lambda x: anp.swapaxes(x, 1, 2)), args, ACTIVE)


def casadi(alpha, means, logdiag, lower, points, gamma, m):
    """One point is a function, which is mapped over the points."""
    ca = load("casadi")
    k, d = means.shape
    parameters = [ca.SX.sym("p", *p.reshape(k, -1).shape) for p in (alpha, means, logdiag, lower)]
    point = ca.SX.sym("x", d)
    one = ca.Function("one", [*parameters, point], [of_one(ca, *parameters, point)])

    def f(alpha, means, logdiag, lower, points, gamma, m):
        each = one.map("each", "serial", len(points), [0, 1, 2, 3], [])(alpha, means, logdiag, lower, points.T)
        squares = ca.sumsqr(ca.exp(logdiag)) + ca.sumsqr(lower)
        prior = 0.5 * gamma**2 * squares - m * ca.sum1(ca.sum2(logdiag))
        return ca.sum2(each) - len(points) * ca.logsumexp(alpha) - prior

    return by_casadi(f, (alpha, means, logdiag, lower, points, gamma, m), ACTIVE, "MX")


def of_one(ca, alpha, means, logdiag, lower, point):
    terms = []
    for j in range(means.shape[0]):
        shifted = point.T - means[j, :]
        products = ca.exp(logdiag[j, :]) * shifted
        at = 0
        for i in range(means.shape[1] - 1):
            height = means.shape[1] - 1 - i
            products[i + 1 :] += lower[j, at : at + height] * shifted[i]
            at += height
        terms.append(alpha[j] + ca.sum2(logdiag[j, :]) - 0.5 * ca.sumsqr(products))
    return ca.logsumexp(ca.vertcat(*terms))
