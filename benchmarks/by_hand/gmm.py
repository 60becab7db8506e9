"""Of a point, the products and the terms of all components are kept; the adjoints follow from the softmax at once.

The index into the packed triangle is unsigned, so that its loops run in vectors.
"""

import numpy as np

from .compiled import compiled, exp, inlined


@compiled
def gradient(alpha, means, logdiag, lower, points, gamma, m):
    count, d = points.shape
    k = len(alpha)
    diagonal = np.exp(logdiag)
    constants = alpha.copy()
    for j in range(k):
        for i in range(d):
            constants[j] += logdiag[j, i]
    shifted, products = np.empty((k, d)), np.empty((k, d))
    terms, weights = np.empty(k), np.zeros(k)
    diagonal_bar, lower_bar, means_bar = np.zeros_like(diagonal), np.zeros_like(lower), np.zeros_like(means)
    for n in range(count):
        for j in range(k):
            terms[j] = constants[j] - 0.5 * distance(points, n, means, diagonal, lower, j, shifted, products)
        softmax(terms)
        for j in range(k):
            weights[j] += terms[j]
            back(terms[j], j, shifted, products, diagonal, lower, diagonal_bar, lower_bar, means_bar)
    finish_prior(alpha, logdiag, lower, diagonal, weights, diagonal_bar, lower_bar, count, gamma, m)
    return weights, means_bar, diagonal_bar, lower_bar


@inlined
def distance(points, n, means, diagonal, lower, j, shifted, products):
    """The squared length of Q (x − mean)."""
    d = points.shape[1]
    for i in range(d):
        shifted[j, i] = points[n, i] - means[j, i]
        products[j, i] = diagonal[j, i] * shifted[j, i]
    at = np.uintp(0)
    for i in range(d):
        s = shifted[j, i]
        for r in range(i + 1, d):
            products[j, r] += lower[j, at] * s
            at += np.uintp(1)
    square = 0.0
    for i in range(d):
        square += products[j, i] ** 2
    return square


@inlined
def back(weight, j, shifted, products, diagonal, lower, diagonal_bar, lower_bar, means_bar):
    d = shifted.shape[1]
    for i in range(d):
        products[j, i] *= weight
    at = np.uintp(0)
    for i in range(d):
        s = shifted[j, i]
        total = products[j, i] * diagonal[j, i]
        diagonal_bar[j, i] -= products[j, i] * s
        for r in range(i + 1, d):
            lower_bar[j, at] -= products[j, r] * s
            total += products[j, r] * lower[j, at]
            at += np.uintp(1)
        means_bar[j, i] += total


@inlined
def softmax(x):
    largest = x[0]
    for i in range(1, len(x)):
        largest = max(largest, x[i])
    for i in range(len(x)):
        x[i] = exp(x[i] - largest)
    total = 0.0
    for i in range(len(x)):
        total += x[i]
    for i in range(len(x)):
        x[i] /= total


@compiled
def finish_prior(alpha, logdiag, lower, diagonal, weights, diagonal_bar, lower_bar, count, gamma, m):
    """Turn the accumulated weights and the adjoint of the diagonal into those of alpha and its logarithm."""
    shares = alpha.copy()
    softmax(shares)
    for j in range(len(alpha)):
        for i in range(diagonal.shape[1]):
            own = diagonal_bar[j, i] - gamma**2 * diagonal[j, i]
            diagonal_bar[j, i] = own * diagonal[j, i] + weights[j] + m
        for i in range(lower.shape[1]):
            lower_bar[j, i] -= gamma**2 * lower[j, i]
        weights[j] -= count * shares[j]
