"""Linear algebra, by NumPy and by hand."""

import numpy as np

from tests.programs.table import program

V3 = [0.3, -0.7, 1.1]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]


@program(M33, V3, tags="solve")
def solve_vector(a, b):
    x = np.linalg.solve(a, b)
    return x @ x + x[1]


@program(M33, M33, tags="solve matrix")
def solve_matrix(a, b):
    return np.sum(np.linalg.solve(a + np.eye(3), b[:, :2]) ** 2)


@program(M33, tags="inv")
def inverse(a):
    return np.sum(np.linalg.inv(a) * a.T)


@program(M33, tags="det")
def determinant(a):
    return np.linalg.det(a) ** 2 + np.log(np.linalg.det(a @ a.T))


@program(M33, tags="slogdet")
def log_determinant(a):
    sign, value = np.linalg.slogdet(a)
    return sign * value**2


@program(M33, V3, tags="cholesky solve")
def gaussian_density(a, x):
    s = a @ a.T + np.eye(3)
    low = np.linalg.cholesky(s)
    z = np.linalg.solve(low, x)
    return -0.5 * z @ z - np.sum(np.log(np.diag(low)))


@program(M33, V3, tags="back substitution")
def back_substitution(u, b):
    n = len(b)
    x = b.copy()
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            x[i] -= u[i, j] * x[j]
        x[i] /= u[i, i]
    return np.sum(x * x)


@program(M33, V3, tags="elimination pivot")
def gaussian_elimination(a, b):
    n = len(b)
    for k in range(n):
        p = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[p, k]):
                p = i
        if p != k:
            for j in range(n):
                t = a[k, j]
                a[k, j] = a[p, j]
                a[p, j] = t
            b[k], b[p] = b[p], b[k]
        for i in range(k + 1, n):
            f = a[i, k] / a[k, k]
            for j in range(k, n):
                a[i, j] -= f * a[k, j]
            b[i] -= f * b[k]
    s = 1.0
    for k in range(n):
        s *= a[k, k]
    return s + b[n - 1]


@program([[0.1, 0.3, 2.0], [1.7, 0.4, 0.2], [0.5, 2.4, -0.3]], V3, tags="elimination pivot")
def elimination_that_swaps(a, b):
    return gaussian_elimination(a, b)


@program(M33, tags="cholesky hand")
def cholesky_by_hand(a):
    s = a @ a.T
    low = np.zeros_like(s)
    for i in range(3):
        for j in range(i + 1):
            v = s[i, j]
            for k in range(j):
                v -= low[i, k] * low[j, k]
            if i == j:
                low[i, j] = np.sqrt(v)
            else:
                low[i, j] = v / low[j, j]
    return np.sum(low * np.arange(9.0).reshape(3, 3))


@program(M33, tags="power iteration")
def power_iteration(a):
    v = np.ones(3)
    r = 0.0
    for _ in range(5):
        w = a @ v
        r = np.sqrt(w @ w)
        v = w / r
    return r * v[0]


@program(M33, V3, tags="conjugate gradients while")
def conjugate_gradients(m, b):
    a = m @ m.T
    x = np.zeros(3) * b
    r = b - a @ x
    p = r.copy()
    for _ in range(2):
        q = a @ p
        t = (r @ r) / (p @ q)
        x = x + t * p
        s = r - t * q
        p = s + (s @ s) / (r @ r) * p
        r = s
    return np.sum(x * b)


@program(M33, tags="qr")
def gram_schmidt(a):
    q = a.copy()
    for i in range(3):
        for j in range(i):
            q[:, i] -= np.sum(q[:, i] * q[:, j]) * q[:, j]
        q[:, i] /= np.sqrt(np.sum(q[:, i] ** 2))
    return np.sum(q * np.arange(9.0).reshape(3, 3))


@program(M33, tags="matrix power")
def matrix_exponential_by_series(a):
    term = np.eye(3)
    total = np.eye(3)
    for k in range(1, 8):
        term = term @ a / k
        total = total + term
    return np.sum(total) * 0.01
