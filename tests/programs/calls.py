"""Functions of functions: helpers, defaults, closures, globals, recursion, decorators."""

import functools
import math

import numba
import numpy as np

from tests.programs.table import program

V3 = [0.3, -0.7, 1.1]
V4 = [0.5, 1.5, -0.8, 2.2]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]

SCALE = 1.75
WEIGHTS = np.array([0.5, -1.0, 2.0, 0.25])
COUNT = 3
OPTIONS = {"power": 2, "shift": 0.5}


def square(x):
    return x * x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def poly(x, a=2.0, *, b=0.5):
    return a * square(x) + b * x


def sincos(x):
    return np.sin(x), np.cos(x)


@program(0.7, tags="call")
def helpers(x):
    return square(sigmoid(x)) + sigmoid(square(x))


@program(0.7, tags="call defaults keywords")
def defaults_and_keywords(x):
    return poly(x) + poly(x, 3.0) + poly(a=x, x=2.0) + poly(x, b=x)


@program(0.7, tags="call tuple")
def helpers_that_return_pairs(x):
    s, c = sincos(x)
    pair = sincos(s)
    return s * c + pair[0] * pair[1]


@program(V4, tags="call array")
def helpers_of_arrays(x):
    return np.sum(sigmoid(x)) + square(x)[1] + poly(x)[0]


def first_large(x, limit):
    for v in x:
        if v > limit:
            return v
    return -1.0


@program(V4, tags="call return loop")
def helpers_with_early_returns(x):
    return first_large(x, 1.0) * first_large(x, 100.0) + first_large(x[2:], 0.0) ** 2


@program(V4, tags="call loop")
def helpers_in_a_loop(x):
    s = 0.0
    for i in range(4):
        s = sigmoid(s + square(x[i]))
    return s


@program(V3, tags="closure")
def inner_functions(x):
    scale = np.sum(x)

    def inner(y, k=2):
        return y * scale + k

    return np.sum(inner(inner(x), 3))


@program(0.6, tags="closure late")
def a_closure_sees_the_new_value(x):
    a = x

    def f(y):
        return a * y

    first = f(2.0)
    a = x * x
    return first + f(3.0)


@program(0.6, tags="lambda")
def lambdas(x):
    f = lambda y: y * x
    g = lambda y, k=3: f(y) ** k
    return g(x) + (lambda z: z + x)(2.0)


@program(0.6, tags="function argument")
def functions_as_arguments(x):
    def twice(f, y):
        return f(f(y))

    return twice(np.sin, x) + twice(square, x) + twice(lambda t: t * x, 1.0)


def midpoint(f, a, b, n):
    h = (b - a) / n
    s = 0.0
    for i in range(n):
        s += f(a + (i + 0.5) * h)
    return s * h


@program(0.6, 1.4, tags="function argument loop")
def integral_of_a_closure(a, b):
    return midpoint(lambda t: np.exp(-a * t) * t, 0.0, b, 8)


def make_power(n):
    def power(x):
        r = 1.0
        for _ in range(n):
            r = r * x
        return r

    return power


cube = make_power(3)


@program(1.2, tags="closure cell")
def a_closure_made_elsewhere(x):
    return cube(x) + make_power(2)(x)


@program(V4, tags="global")
def globals_are_read(x):
    s = 0.0
    for i in range(COUNT):
        s += WEIGHTS[i] * x[i] ** 2
    return SCALE * s + np.sum(WEIGHTS * x)


@program(0.8, tags="global dict")
def options_in_a_dict(x):
    return x ** OPTIONS["power"] + OPTIONS["shift"] * x


@program(0.8, tags="partial")
def partial_applications(x):
    f = functools.partial(poly, b=3.0)
    return f(x) + functools.partial(poly, x)(2.0)


def star(first, *rest, **named):
    total = first
    for r in rest:
        total = total * r
    return total + named["shift"]


@program(0.8, tags="star")
def star_arguments(x):
    args = (x, 2.0, x + 1)
    return star(*args, shift=x) + star(x, **{"shift": 1.0})


def doubled(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        return 2 * f(*args, **kwargs)

    return wrapper


@doubled
def decorated(x, k=1.0):
    return np.sin(x) * k


@program(0.8, tags="decorator")
def decorated_helpers(x):
    return decorated(x) + decorated(x, k=x)


@numba.njit
def compiled(x):
    return x * x + math.sin(x)


@program(0.8, tags="njit", eager=False)
def compiled_helpers(x):
    return compiled(x) * x


def power(x, n):
    if n == 0:
        return 1.0
    half = power(x, n // 2)
    if n % 2 == 1:
        return half * half * x
    return half * half


@program(1.1, 13, tags="recursion")
def recursive_power(x, n):
    return power(x, n) + power(x + 1, 3)


def fibonacci_like(x, n):
    if n < 2:
        return x + n
    return np.sin(fibonacci_like(x, n - 1)) + 0.5 * fibonacci_like(x, n - 2) * x


@program(0.4, 6, tags="recursion double")
def double_recursion(x, n):
    return fibonacci_like(x, n)


def even(x, n):
    if n == 0:
        return x
    return odd(x * 1.1, n - 1) + 1


def odd(x, n):
    if n == 0:
        return -x
    return even(np.sin(x) + x, n - 1) * 0.9


@program(0.4, 5, tags="recursion mutual")
def mutual_recursion(x, n):
    return even(x, n)


def tree_sum(x, lo, hi):
    if hi - lo == 1:
        return np.exp(x[lo])
    mid = (lo + hi) // 2
    return tree_sum(x, lo, mid) * 0.5 + tree_sum(x, mid, hi)


@program(V4, tags="recursion array")
def divide_and_conquer(x):
    return tree_sum(x, 0, len(x))


def minors(a, used, row):
    n = a.shape[0]
    if row == n:
        return 1.0
    total = 0.0
    sign = 1.0
    for j in range(n):
        if used[j] == 0:
            used[j] = 1
            total += sign * a[row, j] * minors(a, used, row + 1)
            used[j] = 0
            sign = -sign
    return total


@program(M33, tags="recursion store integers")
def determinant_by_minors(a):
    return minors(a, np.zeros(3, dtype=np.int64), 0)


def smooth_in_place(u, n):
    if n > 0:
        for i in range(1, len(u) - 1):
            u[i] = 0.5 * u[i] + 0.25 * (u[i - 1] * u[i + 1])
        smooth_in_place(u, n - 1)


@program([1.0, 2.0, 0.5, 1.5, 3.0], tags="recursion store")
def recursion_that_writes(u):
    smooth_in_place(u, 3)
    return np.sum(u * u)


def adaptive(f, a, b, fa, fm, fb, depth):
    m = 0.5 * (a + b)
    fl, fr = f(0.5 * (a + m)), f(0.5 * (m + b))
    coarse = (b - a) / 6 * (fa + 4 * fm + fb)
    fine = (b - a) / 12 * (fa + 4 * fl + 2 * fm + 4 * fr + fb)
    if depth == 0 or abs(fine - coarse) < 1e-6:
        return fine
    return adaptive(f, a, m, fa, fl, fm, depth - 1) + adaptive(f, m, b, fm, fr, fb, depth - 1)


@program(0.7, 1.9, tags="recursion closure")
def adaptive_simpson(p, b):
    def f(t):
        return np.exp(-p * t) * np.sin(3 * t)

    return adaptive(f, 0.0, b, f(0.0), f(0.5 * b), f(b), 6)


def ackermann_like(x, m, n):
    if m == 0:
        return x + 0.1 * n
    if n == 0:
        return ackermann_like(x * 1.01, m - 1, 1)
    return ackermann_like(ackermann_like(x, m, n - 1), m - 1, n)


@program(0.3, tags="recursion nested")
def recursion_in_an_argument(x):
    return ackermann_like(x, 2, 2) ** 2
