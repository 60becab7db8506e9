"""Kernels of the numerical trades as they are written there: linear algebra, stencils, learning, finance, chemistry."""

import collections
import math

import numpy as np

from tests.programs.table import program

_RNG = np.random.default_rng(31)


def _normal(*shape):
    return _RNG.normal(size=shape).round(3)


def _positive(*shape):
    return _RNG.uniform(0.2, 1.2, size=shape).round(3)


M34 = _normal(3, 4)
T232 = _normal(2, 3, 2)
V6 = _normal(6)


# -- library functions, where their axes and options matter -------------------------------------------


@program(T232, tags="axes max")
def extremes_along_several_axes(t):
    high = np.max(t, axis=(0, 2)) * np.min(t, axis=(-1, 0))
    return np.sum(high) + np.sum(t.max(axis=(1, 2), keepdims=True) * t) + np.max(t, axis=(0, 1, 2)) ** 2


@program(_normal(4, 6), tags="axes max reshape")
def pooling_by_reshape(x):
    h, w = x.shape
    return np.sum(x.reshape(h // 2, 2, w // 2, 2).max(axis=(1, 3)) ** 2)


@program(_normal(3, 5), tags="diff")
def total_variation(u):
    dx, dy = np.diff(u, axis=0)[:, :-1], np.diff(u)[:-1]
    return np.sum(np.sqrt(dx**2 + dy**2 + 0.01)) + np.sum(np.diff(u, n=2, axis=1) ** 2)


@program(_normal(6, 3), tags="cross norm gather")
def areas_and_volumes_of_triangles(v):
    faces = np.array([[0, 1, 2], [2, 3, 4], [4, 5, 0]])
    a, b, c = v[faces[:, 0]], v[faces[:, 1]], v[faces[:, 2]]
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.sum(area) + np.sum(a * np.cross(b, c)) / 6


@program(_normal(3, 3), _positive(3), tags="average")
def averages_with_weights(a, w):
    return np.sum(np.average(a, axis=0, weights=w) ** 2) + np.sum(np.average(a, axis=1, weights=w) ** 3)


@program(M34, 0.3, tags="trapezoid gradient")
def integrals_along_axes(u, h):
    return np.trapezoid(np.trapezoid(u**2, dx=h), dx=0.2) + np.sum(np.trapezoid(u, axis=0) ** 2)


@program(M34, tags="norm")
def norms_of_rows_and_columns(a):
    rows = np.linalg.norm(a, np.inf, axis=1) + np.linalg.norm(a, 3, axis=1)
    return np.sum(rows**2) + np.sum(np.linalg.norm(a, -np.inf, axis=0)) + np.linalg.norm(a, 1) ** 2


@program(M34, tags="reshape order")
def memory_in_the_order_of_columns(a):
    b = np.reshape(a, (4, 3), order="F") * a.reshape(4, 3)
    return np.sum(b**2) + np.dot(a.flatten("F"), a.ravel() ** 2) + np.sum(np.ravel(a, order="F")[:3] ** 3)


@program(M34, V6, tags="ufunc")
def methods_of_ufuncs(a, x):
    table = np.add.outer(x, a[0]) * np.multiply.outer(np.sin(x), a[1])
    sums = np.add.reduce(a) + np.multiply.reduce(a) + np.maximum.reduce(a)
    return np.sum(table) + np.sum(sums**2) + np.sum(np.add.accumulate(x) ** 2) + np.sum(np.minimum.accumulate(x) ** 2)


@program(V6, _normal(3), tags="convolve")
def convolutions_of_every_mode(x, w):
    full, same, inner = np.convolve(x, w), np.convolve(x, w, "same"), np.convolve(w, x, mode="valid")
    return np.sum(full**2) + np.sum(same**3) + np.sum(inner**2) + np.sum(np.correlate(x, w) ** 2)


@program(_normal(3, 3), _normal(3), tags="tril kron trace roll flip")
def matrices_rearranged(a, x):
    b = np.roll(a, -1, axis=1) + np.flip(a, (0, 1)) * np.rot90(a) + np.roll(a, 2)
    return np.sum(np.kron(b, a)) + np.trace(b, offset=1) ** 2 + np.sum(np.tile(x, (3, 1)) * np.repeat(b, 1, axis=1))


@program(V6, tags="quantile sort")
def quantiles(x):
    return np.quantile(x, 0.3) ** 2 + np.percentile(x, 80) + np.sum(np.median(x.reshape(2, 3), axis=(0, 1)) * x)


@program(V6, _normal(3, 5), tags="pad gradient")
def arrays_padded(x, a):
    around = np.pad(a, 1)[1:, :-1].sum() + np.sum(np.pad(x, (2, 1), mode="reflect") ** 2 * np.arange(9))
    rows, columns = np.gradient(a)
    return around + np.sum(np.pad(x, 2, mode="edge") ** 3) + np.sum(rows**2 * columns)


@program(V6, 0.5, tags="select piecewise")
def cases(x, a):
    y = np.piecewise(x, [x < -a, x >= a], [lambda v: -v * v, lambda v: v**3, 0.5])
    return np.sum(y) * np.sum(np.select([x < 0, x < 1], [x * a, x**2], default=3 * x))


@program(_normal(2, 3, 4), _normal(4, 4), _normal(2, 4, 3), tags="matmul batch")
def products_of_stacks_of_matrices(a, w, b):
    q = a @ w
    return np.sum((q @ b) ** 2) + np.sum(np.tensordot(a, b, axes=([0, 2], [0, 1])) ** 2) + np.sum(w[0] @ b)


@program(V6, tags="bincount duplicates")
def softmax_of_segments(x):
    seg = np.array([0, 1, 1, 2, 0, 1])
    e = np.exp(x)
    return np.sum((e / np.bincount(seg, weights=e, minlength=4)[seg]) ** 2)


# -- kernels ------------------------------------------------------------------------------------------


@program(1.5, 1.2, _normal(3, 4), _normal(3, 2), _normal(2, 4), tags="gemm write")
def gemm(alpha, beta, c, a, b):
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            c[i, j] *= beta
        for k in range(a.shape[1]):
            for j in range(c.shape[1]):
                c[i, j] += alpha * a[i, k] * b[k, j]
    return np.sum(c * c)


@program(np.array([0.6, 0.3, 0.2, 0.1]), tags="levinson write")
def durbin(r):
    y = np.empty_like(r)
    alpha, beta = -r[0], 1.0
    y[0] = -r[0]
    for k in range(1, r.shape[0]):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return np.sum(y * y)


@program(_normal(4, 5), tags="seidel write")
def seidel(a):
    for _ in range(2):
        for i in range(1, a.shape[0] - 1):
            a[i, 1:-1] += a[i - 1, :-2] + a[i - 1, 2:] + a[i + 1, :-2] + a[i + 1, 2:]
            for j in range(1, a.shape[1] - 1):
                a[i, j] = (a[i, j] + a[i, j - 1]) / 5.0
    return np.sum(a * a)


@program(_normal(4, 5), _normal(4, 5), _normal(4, 5), _normal(2), tags="fdtd write")
def waves_in_two_dimensions(ex, ey, hz, source):
    for t in range(2):
        ey[0, :] = source[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return np.sum(hz**2) + np.sum(ex * ey)


def _prolonged(e):
    out = np.zeros(2 * len(e) + 1)
    out[1::2] = e
    out[2:-1:2] = 0.5 * (e[:-1] + e[1:])
    out[0], out[-1] = 0.5 * e[0], 0.5 * e[-1]
    return out


def _residual(u, f, h):
    p = np.concatenate((np.zeros(1), u, np.zeros(1)))
    return f - (2 * p[1:-1] - p[:-2] - p[2:]) / h**2


def _v_cycle(u, f, h):
    if len(u) == 1:
        return f * h * h / 2
    u = u + 0.4 * h * h * _residual(u, f, h)
    r = _residual(u, f, h)
    coarse = _v_cycle(np.zeros(len(u) // 2), 0.25 * r[:-2:2] + 0.5 * r[1:-1:2] + 0.25 * r[2::2], 2 * h)
    u = u + _prolonged(coarse)
    return u + 0.4 * h * h * _residual(u, f, h)


@program(_normal(7), tags="multigrid recursion", eager=False)
def multigrid(f):
    v = _v_cycle(np.zeros_like(f), f, 1.0 / (len(f) + 1))
    return np.sum(v**2) * 100


@program(1.0, 1.1, 0.05, 0.3, 1.0, tags="option tree", eager=False, order=1)
def american_put(s, strike, r, sigma, years):
    n = 5
    dt = years / n
    up = math.exp(sigma * math.sqrt(dt))
    p = (math.exp(r * dt) - 1 / up) / (up - 1 / up)
    v = np.zeros(n + 1)
    for j in range(n + 1):
        v[j] = max(strike - s * up ** (2 * j - n), 0.0)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1):
            held = math.exp(-r * dt) * (p * v[j + 1] + (1 - p) * v[j])
            v[j] = max(held, strike - s * up ** (2 * j - i))
    return v[0]


@program(np.array([0.04, 1.0, 3.0]), np.array([1.0, 0.1, 0.0]), tags="stiff solve", eager=False)
def robertson_by_rosenbrock_steps(k, y0):
    g = 1 / (2 + math.sqrt(2))
    y, h = y0.copy(), 0.1

    def rate(y):
        a, b, c = k[0] * y[0], k[1] * y[1] * y[2], k[2] * y[1] ** 2
        return np.array([b - a, a - b - c, c])

    for _ in range(3):
        jac = np.array(
            [
                [-k[0], k[1] * y[2], k[1] * y[1]],
                [k[0], -k[1] * y[2] - 2 * k[2] * y[1], -k[1] * y[1]],
                [0.0, 2 * k[2] * y[1], 0.0],
            ]
        )
        w = np.eye(3) - h * g * jac
        k1 = np.linalg.solve(w, rate(y))
        k2 = np.linalg.solve(w, rate(y + h * k1) - 2 * k1)
        y = y + 1.5 * h * k1 + 0.5 * h * k2
    return np.sum(y * np.array([1.0, 2.0, 3.0]))


@program(_normal(4, 3), _normal(5, 3), tags="transport")
def sinkhorn(x, y):
    cost = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=2)
    kernel = np.exp(-cost)
    u, v = np.ones(len(x)), np.ones(len(y))
    for _ in range(4):
        u = 0.25 / (kernel @ v)
        v = 0.2 / (kernel.T @ u)
    return np.sum(u[:, None] * kernel * v[None, :] * cost)


@program(_normal(2, 3, 4), _normal(4, 4), _normal(4, 4), _normal(4, 4), tags="attention")
def attention_of_several_heads(x, wq, wk, wv):
    batch, t, d = x.shape
    q = (x @ wq).reshape(batch, t, 2, d // 2).transpose(0, 2, 1, 3)
    k = (x @ wk).reshape(batch, t, 2, d // 2).transpose(0, 2, 1, 3)
    v = (x @ wv).reshape(batch, t, 2, d // 2).transpose(0, 2, 1, 3)
    s = np.einsum("bhqd,bhkd->bhqk", q, k) / np.sqrt(d // 2)
    e = np.exp(s - np.max(s, axis=-1, keepdims=True))
    out = (e / np.sum(e, axis=-1, keepdims=True)) @ v
    return np.sum(out.transpose(0, 2, 1, 3).reshape(batch, t, d) ** 2)


@program(_normal(4, 2), tags="embedding")
def neighbours_in_the_plane(y):
    d = np.sum(y**2, 1)[:, None] + np.sum(y**2, 1)[None, :] - 2 * y @ y.T
    near = 1 / (1 + d)
    np.fill_diagonal(near, 0.0)
    q = near / np.sum(near)
    return -np.sum(np.log(q[np.triu_indices(len(y), 1)]))


State = collections.namedtuple("State", "place speed")


@program(_normal(3), _normal(3), 0.7, tags="namedtuple loop")
def pendulums(place, speed, g):
    s = State(place, speed)
    for _ in range(5):
        s = s._replace(speed=s.speed - 0.1 * g * np.sin(s.place))
        s = s._replace(place=s.place + 0.1 * s.speed)
    return np.sum(s.place**2) + np.sum(s.speed)


@program(np.array([0.5, -1.25, 2.0], dtype=np.float32), tags="float32")
def functions_of_plain_numbers_are_double(x):
    return np.sum(np.sqrt(2.0) * x * x + math.sqrt(3.0) * x)


# -- where the derivative is written otherwise than the program -----------------------------------------


@program(_normal(40), tags="scatter strips")
def neighbours_in_a_chain(x):
    s = 0.0
    for i in range(len(x) - 2):
        s += (x[i + 1] - x[i] ** 2) ** 2 + 0.5 * x[i] * x[i + 2]
    return s


@program(_normal(36, 3), tags="scatter strips stencil")
def a_stencil_in_double_buffers(a):
    u, v = a[:, 0].copy(), a[:, 1].copy()
    for _ in range(2):
        for i in range(1, len(u) - 1):
            v[i] = 0.3 * (u[i - 1] + u[i] + u[i + 1]) * a[i, 2]
        for i in range(len(u) - 2, 0, -1):
            u[i] = v[i + 1] - 0.2 * v[i - 1]
    return np.sum(u * v)


@program(_normal(4, 3), _normal(5, 3), tags="guard min")
def nearest_centres(centres, points):
    total = 0.0
    for p in points:
        best = np.inf
        for c in centres:
            d = 0.0
            for j in range(len(p)):
                d += (p[j] - c[j]) ** 2
            if d < best:
                best = d
        total += best
    return total


@program(_normal(3, 4), _normal(3, 2), _normal(2, 4), 1.3, tags="promote extents")
def extents_of_another_array(c, a, b, alpha):
    c = c.copy()
    for i in range(c.shape[0]):
        for k in range(a.shape[1]):
            for j in range(c.shape[1]):
                c[i, j] += alpha * a[i, k] * b[k, j]
    return np.sum(c * c)


@program(_normal(7), 0.7, tags="powers")
def powers_of_running_exponents(x, t):
    r = 0.3
    for j in range(len(x)):
        r -= x[j] * t**j
    return r * r


@program(1.3, tags="guard min", order=1)
def halved_by_a_minimum(a):
    for _ in range(0, 3, 2):
        a -= 0.25 * a
    a += a
    return min(0.7 * a, a)


@program(_positive(3), tags="guard min max")
def guards_in_guards(x):
    b, s = 0.0, 0.0
    for k in range(4):
        b = np.cos(np.maximum(x[0] + 0.1 * k, np.mean(x)))
        b = min(0.7, b)
        if b > 0.65:
            b = 0.4
        s += b
    return s * x[1]


def _squares(k, p, u):
    if k < 1:
        return 0.7
    return _squares(k - 1, np.dot(u, u), u) + p


@program(_positive(3), tags="recursion branch")
def a_recursion_in_a_branch(y):
    for _ in zip(y, y, strict=True):
        return _squares(1, 0.7, y) + _squares(2, y[0], y)
    return 1.1
