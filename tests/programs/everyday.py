"""Programs of a page as people write them, where several parts of the language meet."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from tests.programs.table import program

V4 = [0.45, -0.3, 0.8, 1.2]
M23 = [[0.3, -1.1, 0.6], [1.4, 0.2, -0.7]]
S3 = [[1.2, 0.3, -0.5], [0.4, 1.7, 0.2], [-0.3, 0.6, 2.1]]


@program(0.7, tags="math special", eager=False)
def special_functions(x):
    gammas = math.gamma(x) * math.lgamma(x + 1)
    lengths = math.hypot(x, 2 * x * x, 3.0) + math.hypot(x) + math.dist([x, x * x], (1.0, 2.0))
    return gammas + lengths + math.prod([x, x + 1], start=x) + math.erf(x) * math.erfc(x * x) + math.cbrt(x)


@program(V4, tags="while walrus")
def a_value_named_in_the_test(x):
    k = 0
    s = 0.0
    while (v := x[k % 4] * 1.5) < 1.7 and k < 8:
        s += v * v * (k + 1)
        k += 1
    return s * v


@program(V4, tags="mask bool")
def masks_combined(x):
    m = (x > 0) & ~(x > 1) | (x < -0.2)
    y = np.where(m, np.sin(x), x**2)
    y[m] *= 2.0
    y[~m] += x[~m]
    return np.sum(y) + np.sum(x[m]) * m.sum()


@program(M23, tags="mask write")
def a_masked_matrix(a):
    b = a.copy()
    b[b < 0] = 0.0
    b[a > 0.5] -= 0.1 * a[0, 0]
    return np.sum(b**2)


@program(V4, tags="loop steps")
def every_step(x):
    s = 0.0
    for step in (1, 2, -1):
        for i in range(0 if step > 0 else 3, 4 if step > 0 else -1, step):
            s = s * 0.9 + x[i] * step
    return s * s


@program(V4, tags="tuple loop")
def tuples_that_trade_places(x):
    p, q = (x[0], x[1]), (x[2], x[3])
    for _ in range(3):
        p, q = (q[0] * p[1], q[1] + p[0]), p
    return p[0] * q[1] + p[1]


@program(V4, tags="call star keywords")
def calls_with_stars(x):
    def f(a, b, *rest, scale=2.0, **more):
        t = a * b
        for r in rest:
            t += r * scale
        return t * more["k"]

    args, options = (x[0], x[1]), {"scale": x[2], "k": 3.0}
    return f(*args, x[3], x[0], **options)


def _doubled(f):
    @functools.wraps(f)
    def inner(*args, **kwargs):
        return 2 * f(*args, **kwargs) + args[0][0]

    return inner


@program(V4, tags="decorator")
@_doubled
def a_decorated_program(x):
    return np.sum(x**3)


TWO = (lambda x: x * x, lambda x: x * x * x)


@program(V4, tags="lambda")
def lambdas_of_one_line(x):
    return TWO[0](x[0]) + TWO[1](x[1]) * (lambda a: a + 1)(x[2])


@dataclasses.dataclass
class Body:
    mass: float
    place: np.ndarray
    speed: np.ndarray

    @property
    def potential(self):
        return -self.mass / np.sqrt(np.sum(self.place**2))

    def energy(self):
        return 0.5 * self.mass * np.sum(self.speed**2) + self.potential

    def moved(self, dt):
        return Body(self.mass, self.place + dt * self.speed, self.speed - dt * self.place)


@program(Body(1.5, np.array([1.0, 0.2]), np.array([-0.1, 0.9])), tags="dataclass method loop")
def a_body_moves(body):
    for _ in range(3):
        body = body.moved(0.1)
    return body.energy()


@program(V4, tags="write augmented")
def every_augmented_assignment(x):
    y = x.copy()
    y[0] += y[1]
    y[1] -= y[2] * y[0]
    y[2] *= y[3]
    y[3] /= 1 + y[0] ** 2
    y[1:3] **= 2
    y += 0.5 * y[::-1]
    return np.sum(y * x)


@program(S3, tags="write loops", eager=False)
def givens_rotations(a):
    r = a.copy()
    for j in range(3):
        for i in range(2, j, -1):
            h = math.hypot(r[i - 1, j], r[i, j])
            c, s = r[i - 1, j] / h, r[i, j] / h
            for k in range(3):
                r[i - 1, k], r[i, k] = c * r[i - 1, k] + s * r[i, k], c * r[i, k] - s * r[i - 1, k]
    return r[0, 0] * r[1, 2] + r[2, 2]


@program(V4, tags="write loop")
def a_tridiagonal_system(x):
    n = 4
    a, b, c, d = np.full(n, -1.0), 2.5 + x**2, np.full(n, -1.0), x.copy()
    for i in range(1, n):
        m = a[i] / b[i - 1]
        b[i] -= m * c[i - 1]
        d[i] -= m * d[i - 1]
    d[-1] /= b[-1]
    for i in range(n - 2, -1, -1):
        d[i] = (d[i] - c[i] * d[i + 1]) / b[i]
    return d


@program(V4, tags="closure loop array", eager=False)
def steps_with_an_inner_function(p):
    def slope(u):
        return np.array([p[0] * u[0] - p[1] * u[0] * u[1], p[2] * u[0] * u[1] - p[3] * u[1]])

    u, h = np.array([1.0, 0.5]), 0.1
    for _ in range(3):
        k1 = slope(u)
        k2 = slope(u + h / 2 * k1)
        u = u + h * k2
    return u


@program([0.3, 0.4], tags="while raise", eager=False)
def a_fixed_point(p):
    x, old, count = 1.0, 0.0, 0
    while abs(x - old) > 1e-12:
        old = x
        x = math.cos(p[0] * x) + p[1]
        count += 1
        if count > 200:
            raise RuntimeError(f"no convergence after {count} steps: {x:.3f}")
    return x
