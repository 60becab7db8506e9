"""Array expressions, broadcasting, reductions, making and joining arrays."""

import numpy as np

from tests.programs.table import program

V3 = [0.3, -0.7, 1.1]
V4 = [0.5, 1.5, -0.8, 2.2]
P4 = [0.5, 1.5, 0.8, 2.2]
M23 = [[0.2, -0.4, 0.9], [1.3, 0.6, -0.5]]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]


@program([0.1 * k for k in range(1, 11)], tags="expression small")
def small_call(x):
    return np.sum(np.sin(x) ** 2 * np.exp(-x))


@program(V3, tags="expression")
def elementwise(x):
    return np.sum(np.tanh(x) / (1 + x * x) - np.exp(-x) ** 2 + np.abs(x) * 3)


@program(V3, V3[::-1], 0.7, tags="expression reuse")
def expressions_used_twice(x, y, t):
    d = x - t * y
    e = d * d
    return np.sum(e) * np.sum(np.exp(-e)) + e[1]


@program(M23, V3, tags="broadcast")
def broadcasting(a, b):
    c = a * b + b[:2, None] - a / (2 + b**2)
    return np.sum(c * c)


@program([[0.5], [1.5]], [[0.2, 0.3, 0.4]], tags="broadcast ones")
def axes_of_length_one(a, b):
    return np.sum(np.sin(a * b) + a + b * 2)


@program(M23, 0.5, tags="broadcast scalar")
def a_number_and_a_matrix(a, t):
    return np.sum((a + t) ** 2 * t - t / (a + 3))


@program(M23, tags="reduce")
def reductions(a):
    return np.sum(a) * np.mean(a) + np.prod(a) + np.max(a) * np.min(a)


@program(M23, tags="reduce axis")
def reductions_along_axes(a):
    return np.sum(np.sum(a, axis=0) ** 2) + np.sum(np.mean(a, axis=1) ** 3) + np.sum(np.sum(a, axis=-1) * a[:, 0])


@program(M23, tags="reduce methods")
def methods_of_arrays(a):
    b = a.copy()
    return (b.sum() + b.mean() * b.size) * b.max() - b.min() + a.T.sum(axis=0)[0] * a.shape[1] + b.ndim * a.prod()


@program(V4, tags="reduce statistics")
def variance_by_hand(x):
    m = x.mean()
    return ((x - m) ** 2).mean() / (1 + m * m)


@program(V4, tags="argmax")
def positions_of_extremes(x):
    i, j = np.argmax(x), np.argmin(x)
    return x[i] * x[j] ** 2 + i + x.argmax()


@program(V4, tags="softmax")
def softmax(x):
    e = np.exp(x - np.max(x))
    return e / np.sum(e)


@program(V4, tags="logsumexp")
def log_sum_exp(x):
    m = np.max(x)
    return m + np.log(np.sum(np.exp(x - m)))


@program(V4, tags="where")
def where_chooses(x):
    return np.sum(np.where(x > 0, np.sin(x), x**2) * np.where(x < 1, 2.0, x))


@program([4.0, -1.0, 0.3, -0.5], tags="where poles")
def where_guards_the_pole(x):
    safe = np.where(x > 0, x, 1.0)
    return np.sum(np.where(x > 0, np.sqrt(safe), 0.5 * x))


@program(V4, tags="mask")
def masks_select(x):
    return np.sum(x[x > 0] ** 2) * np.sum(np.sin(x[x <= 0]))


@program(V4, tags="mask arithmetic")
def masks_as_numbers(x):
    m = x > 0
    return np.sum(m * x**2) + np.sum(~m * x) + np.sum(m) * x[0] + np.sum((x > 1) & m) * x[1]


@program(V4, np.array([2, 0, 0, 3]), tags="fancy")
def arrays_as_indices(x, index):
    y = x[index]
    return np.sum(y * np.arange(4.0)) * y[1]


@program(V4, tags="clip")
def clipped(x):
    return np.sum(np.clip(x, -0.5, 1.7) * np.maximum(x, 0.0) + np.minimum(x, 1.0) ** 2)


@program(M33, V3, tags="matmul")
def products(a, v):
    return (a @ v) @ v + np.sum(a @ a) + v @ a @ v + np.dot(v, v) * np.sum(np.dot(a, v)) + a.dot(v)[1]


@program(M23, tags="matmul transpose")
def products_with_transposes(a):
    return np.sum((a @ a.T) ** 2) + np.sum(a.T @ a) + np.sum(a[:, 1:] @ a[:, :2].T)


@program(V3, V4, tags="outer")
def outer_products(x, y):
    return np.sum(np.outer(x, y) * np.arange(12.0).reshape(3, 4))


@program(V3, V4, tags="concatenate")
def joined(x, y):
    z = np.concatenate((x, y[:2] * 2, x * x))
    return np.sum(z * np.arange(8.0)) + z[4]


@program(V3, tags="stack")
def stacked(x):
    a = np.stack((x, x**2))
    b = np.vstack((x, np.sin(x)))
    c = np.hstack((x, x[1:]))
    return np.sum(a * b) + np.sum(c**2) + np.sum(np.stack((x, x + 1), axis=1)[0])


@program(V3, tags="concatenate axis")
def joined_along_an_axis(x):
    a = x[:, None] * x
    b = np.concatenate((a, a * 2), axis=1)
    return np.sum(b * np.arange(6.0)) + np.sum(np.concatenate((a, a.T), axis=0)[4])


@program(0.7, 5, tags="creation")
def made_arrays(x, n):
    a = np.ones(n) * x + np.arange(n) + np.linspace(0.0, 1.0, n)
    b = np.full(n, 2.0) + np.zeros(n)
    c = np.eye(3) * x + np.ones((3, 3))
    return np.sum(a * b) ** 2 + np.sum(c @ c) + np.sum(np.arange(1.0, 3.0, 0.5)) * x


@program(V3, tags="creation like")
def made_like_another(x):
    a = np.ones_like(x) + np.zeros_like(x) + np.full_like(x, 0.5)
    return np.sum(a * x) + np.sum(np.ones(x.shape) * x[0])


@program(0.4, 1.2, tags="creation literal", eager=False)
def arrays_written_out(x, y):
    a = np.array([x, y, x * y])
    m = np.array([[np.cos(x), -np.sin(x)], [np.sin(x), np.cos(x)]])
    return np.sum(a**2) + np.sum(m @ np.array([y, 1.0]))


@program(V3, tags="creation literal constant")
def constant_arrays(x):
    w = np.array([0.5, -1.0, 2.0])
    return np.sum(w * x) + w[1] * x[2]


@program(np.array([0.3, -0.7, 1.1], dtype=np.float32), tags="float32")
def single_precision_expressions(x):
    return np.sum(np.sin(x) * 2.0 + x / 3) * x[0]


@program(np.array([0.3 + 0.1j, -0.7 - 1j]), tags="complex")
def complex_arrays(z):
    w = z * np.conj(z) + z * (1 + 2j)
    return np.sum(np.abs(w) ** 2) + np.sum(z.real * z.imag)


@program(V3, np.array([1, 2, 3]), tags="integers mixed")
def integers_meet_floats(x, n):
    return np.sum(x * n) + np.sum(n) / n[1] + np.sum(x**n) + np.sum(n // 2 * x)


@program(V4, tags="ufuncs arrays")
def ufuncs_of_two_arrays(x):
    y = x[::-1]
    return np.sum(np.arctan2(x, 2 + y) + np.hypot(x, y) * np.logaddexp(x, y) + np.maximum(x, y - 0.01))


@program(P4, tags="statistics")
def geometric_and_harmonic_mean(x):
    return np.exp(np.mean(np.log(x))) + 1 / np.mean(1 / x)


@program(V3, V3[::-1], tags="norms")
def cosine_similarity(a, b):
    return a @ b / (np.sqrt(np.sum(a * a)) * np.sqrt(b @ b))


@program(M33, tags="rank3")
def pairwise_distances(p):
    d = p[:, None, :] - p[None, :, :]
    r = np.sqrt(np.sum(d * d, axis=2) + 1e-3)
    return np.sum(1 / (1 + r))


@program(V4, tags="shape integers")
def shapes_as_numbers(x):
    n = x.shape[0]
    a = x.reshape(2, n // 2)
    rows, columns = a.shape
    return np.sum(x) / n * rows + a[rows - 1, columns - 1] * len(a) + x.size * x[n // 2]


@program([0.1, 0.4, 0.2], tags="empty")
def arrays_without_elements(x):
    e = x[3:]
    return np.sum(e) + np.sum(x * x) + np.sum(np.zeros(0)) + len(e)


@program(V4, tags="cumulative")
def running_sums(x):
    return np.sum(np.cumsum(x) ** 2 * np.arange(4.0))


@program(V4, tags="any all")
def any_and_all(x):
    if np.any(x > 2) and not np.all(x > 0):
        return np.sum(x**2)
    return np.sum(x)


@program(M23, tags="abs sign norm")
def one_norm(a):
    return np.max(np.sum(np.abs(a), axis=0)) * np.sum(np.abs(a)) ** 0.5
