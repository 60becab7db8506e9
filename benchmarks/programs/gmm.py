"""Log posterior of a Gaussian mixture model (ADBench)."""

import numpy as np

SIZES = [(1000, 2, 5), (1000, 10, 5), (1000, 10, 25), (1000, 32, 25)]  # points, dimensions, components
SMALL = [(5, 3, 2), (4, 2, 3)]
ARGNUMS = (0, 1, 2, 3)


def log_sum_exp(x):
    largest = x[0]
    for k in range(1, len(x)):
        if x[k] > largest:
            largest = x[k]
    total = 0.0
    for k in range(len(x)):
        total += np.exp(x[k] - largest)
    return np.log(total) + largest


def objective(alpha, means, logdiag, lower, points, gamma, m):
    count, d = points.shape
    k = len(alpha)
    diagonal = np.exp(logdiag)
    sums = np.zeros(k)
    for j in range(k):
        for i in range(d):
            sums[j] += logdiag[j, i]
    shifted = np.zeros(d)
    product = np.zeros(d)
    terms = np.zeros(k)
    total = 0.0
    for n in range(count):
        for j in range(k):
            for i in range(d):
                shifted[i] = points[n, i] - means[j, i]
                product[i] = diagonal[j, i] * shifted[i]
            at = 0
            for i in range(d):
                for r in range(i + 1, d):
                    product[r] += lower[j, at] * shifted[i]
                    at += 1
            square = 0.0
            for i in range(d):
                square += product[i] ** 2
            terms[j] = alpha[j] + sums[j] - 0.5 * square
        total += log_sum_exp(terms)
    prior = 0.0
    for j in range(k):
        norm = 0.0
        for i in range(d):
            norm += diagonal[j, i] ** 2
        for i in range(lower.shape[1]):
            norm += lower[j, i] ** 2
        prior += 0.5 * gamma**2 * norm - m * sums[j]
    return total - count * log_sum_exp(alpha) - prior


def data(size):
    n, d, k = size
    rng = np.random.default_rng(1)
    return (
        rng.normal(size=k),
        rng.normal(size=(k, d)),
        0.3 * rng.normal(size=(k, d)),
        0.3 * rng.normal(size=(k, d * (d - 1) // 2)),
        rng.normal(size=(n, d)),
        1.0,
        0,
    )
