"""Small user programs, as data: what people write in plain NumPy, for every mode to be checked on.

A `Program` is a function of float arrays or numbers and a point at which it is smooth. The functions
are called exactly as written; what they use of chainrule is what a user would: `cr.numpy.zeros` for buffers.
Programs may write to their arguments; whoever runs them plainly hands them copies.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import chainrule as cr

__all__ = ["PROGRAMS", "Program"]


@dataclass(frozen=True)
class Program:
    """One program and where to run it."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    order: int = 2  # up to which the program is differentiable at the point

    @property
    def name(self) -> str:
        return self.function.__name__


PROGRAMS: list[Program] = []


def program(*args: Any, order: int = 2) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the decorated function, to be run at `args`."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS.append(Program(function, tuple(np.array(a, float) if isinstance(a, list) else a for a in args), order))
        return function

    return enter


V3 = [0.3, -0.7, 1.1]
V4 = [0.5, 1.5, -0.8, 2.2]
P4 = [0.5, 1.5, 0.8, 2.2]
M23 = [[0.2, -0.4, 0.9], [1.3, 0.6, -0.5]]
M33 = [[2.0, 0.3, -0.1], [0.4, 1.7, 0.2], [-0.3, 0.5, 2.4]]


# -- straight code ------------------------------------------------------------------------------------


@program(1.5, 0.5)
def textbook(x, y):
    return x * y + np.exp(x * y) - np.sin(y)


@program(0.7)
def same_value_used_often(x):
    y = x * x
    return y * y + y / (1 + y) - y * x


@program(V3)
def sum_of_squares(x):
    return np.sum(x**2)


@program(V3)
def elementwise_mixture(x):
    return np.sin(x) ** 2 * np.exp(-x) + np.tanh(x) / (1 + x * x)


@program(V3, M23)
def affine_layer(x, w):
    return np.tanh(w @ x + np.array([0.1, -0.2]))


@program(M23, V3)
def broadcasting(a, b):
    return a * b + b[:, None][:2] - a / (2 + b**2)


@program(V4)
def softmax_by_hand(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


@program(V4)
def log_sum_exp(x):
    m = x.max()
    return m + np.log(np.sum(np.exp(x - m)))


@program(P4)
def geometric_mean(x):
    return np.exp(np.mean(np.log(x)))


@program(V3, V3[::-1])
def cosine_similarity(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


@program(0.4)
def scalar_to_array(x):
    return x * np.arange(1.0, 4.0) ** x


@program(M23)
def reductions_along_axes(a):
    return a.mean(axis=0) + a.std(axis=0) * a.max(axis=1)[:, None].sum()


@program(0.8)
def python_numbers_only(x):
    return (3 - x) / 2 + 2**x - x**2.5 + (-x) ** 2 - abs(x - 4)


@program(0.8)
def numpy_scalar_on_the_left(x):
    return np.float64(2) * x + np.float64(3) / x - np.float64(1) ** x + np.float64(2) ** x


@program(V3)
def python_scalars_of_an_array(x):
    a, b, c = x
    return a * b - c / (1 + a * a)


@program(V3)
def returns_its_input(x):
    return x


@program(V3)
def returns_one_value_twice(x):
    y = np.sin(x)
    return y, y


@program(V3, 0.5)
def returns_a_dictionary(x, t):
    return {"value": x * t, "total": np.sum(x) * t, "input": t}


@program(V3)
def constant_results(x):
    return x[0] * 2.0, np.ones(2), 3.0


@program(V3, V3)
def unused_argument(x, y):
    return np.cumsum(x)


# -- branches -----------------------------------------------------------------------------------------


@program(1.2)
def branch(x):
    if x > 1:
        return x**2
    return np.sin(x)


@program(V4)
def branch_per_element(x):
    total = 0.0
    for value in x:
        if value > 1:
            total = total + value**3
        elif value > 0:
            total = total + np.sqrt(value)
        else:
            total -= value
    return total


@program(-0.3)
def conditional_expression(x):
    return np.exp(x) if x < 0 else np.log(x)


@program(1.4)
def early_return(x):
    y = x
    for k in range(10):
        y = y * x
        if y > 3:
            return y / (k + 1)
    return x


@program(0.6)
def boolean_logic(x):
    if 0 < x < 1 and not (x == 0.5 or x >= 0.9):
        return x * x
    return -x


@program(V4)
def where_select(x):
    return np.where(x > 0, np.sin(x), x**2)


@program([4.0, -1.0, 0.3])
def where_guards_the_pole(x):
    with np.errstate(invalid="ignore"):
        return np.where(x > 0, np.sqrt(x), 0.5 * x)


@program(V4)
def mask_select(x):
    return np.sum(x[x > 0] ** 2) + np.prod(x[~(x > 0)])


@program(V4)
def clip_and_relu(x):
    return np.clip(x, -0.5, 1.7) * np.maximum(x, 0.0) + np.minimum(x, 1.0)


@program(V4)
def piecewise_by_select(x):
    return np.select([x < 0, x < 1], [x**2, np.sin(x)], np.log(np.abs(x)))


@program(0.7, 1.3)
def builtin_max_min_sorted(x, y):
    low, high = sorted([y, x])
    return max(x, y) * min(x, y) ** 2 + high / low + sum([x, y])


@program(0.7)
def match_statement(x):
    match x > 0, x > 1:
        case True, True:
            return x
        case True, False:
            return x**3
    return -x


@program(0.8)
def try_finally(x):
    y = x
    try:
        if x > 0.5:
            raise ArithmeticError
        y = x * 2
    except ArithmeticError:
        y = x**3
    finally:
        y = y + x
    return y


# -- loops --------------------------------------------------------------------------------------------


@program(0.4)
def for_loop(x):
    y = x
    for _ in range(6):
        y = np.sin(y) * x + y / 2
    return y


@program(2.0)
def newton_while(a):
    x = a
    while abs(x * x - a) > 1e-14:
        x = 0.5 * (x + a / x)
    return x


@program(0.9)
def while_with_break(x):
    y, k = x, 0
    while True:
        y = y * x + 0.1
        k += 1
        if y < 0.5 or k == 7:
            break
    return y * k


@program(V4)
def loop_with_continue(x):
    s = 0.0
    for k in range(len(x)):
        if k == 2:
            continue
        s += x[k] * x[(k + 1) % len(x)]
    return s


@program(V4)
def nested_loops(x):
    total = 0.0
    for i in range(4):
        for j in range(i):
            total += np.sin(x[i] * x[j]) / (i + j)
    return total


@program(V4)
def horner(c):
    y = 0.0
    for a in reversed(c):
        y = y * 0.7 + a
    return y


@program(0.3, V4)
def loop_over_pairs(x, w):
    return sum(a * x**k for k, a in enumerate(w))


@program(V4)
def zip_and_products(x):
    return sum(a * b for a, b in zip(x[:-1], x[1:], strict=True)) * functools.reduce(operator.mul, x)


@program([1.0, 0.0], 0.2)
def runge_kutta(y, h):
    def f(y):
        return np.stack([y[1], -np.sin(y[0])])

    for _ in range(3):
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        y = y + h * k2
    return y


@program(0.5)
def loop_count_from_the_shape(x):
    y = np.full(5, 0.1) * x
    for k in range(y.shape[0]):
        y = y * (k + x)
    return y.sum()


@program(1.1)
def for_else(x):
    for k in range(3):
        x = x * 1.5
        if k > 5:
            break
    else:
        x = x**2
    return x


# -- writing in place ---------------------------------------------------------------------------------


@program(V4)
def in_place_sweep(u):
    u = u.copy()
    for i in range(1, len(u) - 1):
        u[i] = np.sin(u[i - 1]) + u[i + 1] * u[i] / 2
    return np.sum(u**2)


@program(V4)
def writes_its_argument(u):
    u[1:] *= u[:-1]
    u[0] = u[-1] ** 2
    return u * 2


@program(V3)
def augmented_assignment(x):
    y = x * 1.0
    y += x**2
    y *= np.cos(x)
    y -= 1.0
    y /= 2 + x**2
    y **= 2
    return y


@program(V4)
def buffer_filled_in_a_loop(x):
    y = cr.numpy.zeros(4)
    for k in range(4):
        y[k] = x[k] ** 2 + (y[k - 1] if k else 0.0)
    return y


@program(V4)
def buffer_like_its_argument(x):
    y = np.zeros_like(x)
    y[::2] = np.sin(x[1::2])
    y[1] = y[0] * x[3]
    return y


@program(V4)
def buffer_reused_in_a_loop(x):
    work = np.empty_like(x)
    total = 0.0
    for k in range(3):
        work[:] = x * k
        work[k] += x[0] ** 2
        total = total + np.sum(np.sin(work) * work)
    return total


@program(V4)
def write_after_use(x):
    y = np.sin(x)
    z = y * y
    y[0] = 5.0
    y[1] = x[2] * y[2]
    return z + y


@program(V4)
def masked_store(x):
    y = x * 2
    y[y < 0] = y[y < 0] ** 2
    y[x > 1.4] = 0.0
    return y * x


@program(V4, 0.5)
def broadcast_store(x, t):
    y = np.stack([x, x**2])
    y[:, 1] = t
    y[0] = x * t
    y[:, 2:] += np.sin(t)
    return y


@program(V4)
def fancy_store(x):
    y = x.copy()
    y[[0, 2]] = x[[3, 1]] * y[[2, 2]]
    y[[1, 1]] += x[0]
    return y**2


@program(V4)
def duplicate_store_last_wins(x):
    y = np.zeros_like(x)
    y[[0, 0, 1]] = x[:3]
    return y * x


@program(V4)
def write_through_a_view(x):
    y = x.reshape(2, 2) * 1.0
    row, transposed = y[1], y.T
    row *= 3.0
    transposed[0] = x[2] ** 2
    y[0, 1] = row[0] * row[1]
    return y * transposed


@program(V4)
def view_written_after_use(x):
    y = np.cos(x)
    head = y[:2]
    a = head * head
    y[0] = x[3]
    return a.sum() * y[0] + np.sum(head**3)


@program(V4)
def view_of_a_view(x):
    y = x * 1.0
    v = y[1:][::-1][:2]
    v[0] = x[0] * 2
    v += x[1]
    return y


@program(V4)
def reversed_onto_itself(x):
    y = x * 1.0
    y[:] = y[::-1]
    y[1:] = y[:-1] * 2
    return y


@program(V4)
def out_argument(x):
    y = np.zeros_like(x)
    np.sin(x, out=y)
    np.multiply(y, x, out=y)
    np.add(y[:2], x[2:], out=y[2:])
    return y


@program(V4)
def sort_in_place(x):
    y = x**2
    y.sort()
    return y * np.arange(4.0)


@program(V4)
def swap(x):
    y = x * 1.0
    y[0], y[3] = y[3], y[0]
    y[[1, 2]] = y[[2, 1]]
    return y**2


@program(M33)
def gaussian_elimination(a):
    a = a.copy()
    for k in range(3):
        a[k] = a[k] / a[k, k]
        for i in range(3):
            if i != k:
                a[i] -= a[i, k] * a[k]
        a[k, k] += 1e-3
    return a


@program(M33)
def cholesky_by_hand(a):
    s = a @ a.T
    low = np.zeros_like(s)
    for i in range(3):
        for j in range(i + 1):
            value = s[i, j] - np.sum(low[i, :j] * low[j, :j])
            low[i, j] = np.sqrt(value) if i == j else value / low[j, j]
    return low


@program([1.0, 2.0, 0.5, 1.5, 3.0])
def heat_equation(u):
    for _ in range(4):
        new = u.copy()
        new[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
        u = new
    return u


@program([1.0, 2.0, 0.5, 1.5, 3.0])
def double_buffering(u):
    a, b = u.copy(), np.zeros_like(u)
    for _ in range(4):
        b[1:-1] = a[1:-1] + 0.1 * a[2:] * a[:-2]
        b[0], b[-1] = a[0], a[-1]
        a, b = b, a
    return a


@program(V4)
def list_of_arrays_changed(x):
    rows = [x[k] * np.ones(2) for k in range(4)]
    for k in range(1, 4):
        rows[k] += rows[k - 1]
    rows[0][1] = rows[3][0]
    return np.concatenate(rows)


@program(V4)
def same_array_under_two_names(x):
    y = x * 1.0
    z = y
    z[0] = x[1] ** 2
    y[1] *= 3.0
    return y + z


# -- Python's constructs ------------------------------------------------------------------------------


@program(V3)
def closure(x):
    scale = np.sum(x)

    def inner(y):
        return y * scale

    return inner(inner(x))


@program(0.6)
def nonlocal_counter(x):
    total = 0.0

    def add(value):
        nonlocal total
        total = total + value * x

    add(x)
    add(x**2)
    return total


@program(0.7)
def recursion(x):
    def power(x, n):
        if n == 0:
            return 1.0
        half = power(x, n // 2)
        return half * half * (x if n % 2 else 1.0)

    return power(x, 5)


@program(0.3)
def mutual_recursion(x):
    def even(n, y):
        return y if n == 0 else odd(n - 1, np.sin(y) + x)

    def odd(n, y):
        return y if n == 0 else even(n - 1, y * x)

    return even(5, x)


@program(V4)
def comprehensions(x):
    squares = [value**2 for value in x]
    table = {k: squares[k] * x[0] for k in range(4) if k != 2}
    return sum(table.values()) * sum(s for s in squares if s > 1)


@program(V3)
def generator(x):
    def partial_sums():
        s = 0.0
        for value in x:
            s = s + value
            yield s

    return sum(s * s for s in partial_sums())


@dataclass(frozen=True)
class State:
    position: Any
    speed: Any
    name: str = field(default="ball")

    def step(self, h: Any) -> State:
        return replace(self, position=self.position + h * self.speed, speed=self.speed - h * np.sin(self.position))


@program(0.4, 1.2)
def dataclass_state(x, v):
    state = State(x, v)
    for _ in range(3):
        state = state.step(0.1)
    return state.position * state.speed


Pair = namedtuple("Pair", "left right")


@program(V3, 0.2)
def named_tuple_result(x, t):
    return Pair(x * t, [np.sum(x), {"t": t * t}])


class Accumulator:
    def __init__(self) -> None:
        self.total: Any = 0.0

    def __iadd__(self, value: Any) -> Accumulator:
        self.total = self.total + value
        return self


@program(V3)
def object_with_state(x):
    acc = Accumulator()
    for value in x:
        acc += np.exp(value)
    return acc.total


@program(V4)
def deque_window(x):
    window: deque[Any] = deque(maxlen=2)
    s = 0.0
    for value in x:
        window.append(value)
        s = s + sum(window) * value
    return s


@program(V4)
def starred(x):
    first, *rest = x
    return functools.reduce(lambda a, b: a * b + first, rest)


@program(V3)
def lambda_composition(x):
    compose = lambda *fs: functools.reduce(lambda f, g: lambda y: f(g(y)), fs)
    return compose(np.sin, np.exp, lambda y: y * y)(x)


@program(0.7)
def walrus(x):
    return y * x if (y := x**2) < 1 else y


@program(V4)
def itertools_pairs(x):
    return sum(abs(a - b) for a, b in itertools.combinations(x, 2))


@program(0.8)
def memo_in_a_dict(x):
    memo: dict[int, Any] = {0: 1.0, 1: x}

    def chebyshev(n):
        if n not in memo:
            memo[n] = 2 * x * chebyshev(n - 1) - chebyshev(n - 2)
        return memo[n]

    return chebyshev(5)


# -- arrays -------------------------------------------------------------------------------------------


@program(V4)
def reshape_transpose(x):
    return (x.reshape(2, 2).T @ x.reshape(2, 2)).ravel()[::-1]


@program(V4)
def order_statistics(x):
    return np.sort(x) * np.arange(4) + np.median(x) + np.max(x) - x[np.argsort(-x)]


@program(V4)
def slices_and_rolls(x):
    return np.diff(x) * x[1:] + np.roll(x, 1)[:3] + x[::-2].sum() + np.cumprod(x)[-1]


@program(V4, M23)
def concatenations(x, a):
    return np.concatenate([x, a[0], np.zeros(1)]), np.stack([x[:3], a[1]]), np.hstack([x, a.ravel()])


@program(M23)
def gathers(a):
    index = np.array([[0, 1], [1, 0]])
    return a[index, [[0, 1], [2, 2]]], np.take(a, [0, 0, 1], axis=0), a[..., None, 1]


@program(M33, V3)
def solve_linear_system(a, b):
    return np.linalg.solve(a, b)


@program(M33)
def determinant_and_inverse(a):
    return np.linalg.det(a), np.linalg.inv(a), np.trace(a)


@program(M33)
def symmetric_eigenvalues(a):
    return np.linalg.eigvalsh(a + a.T)


@program(M33)
def log_determinant(a):
    return np.linalg.slogdet(a @ a.T)[1]


@program(M33, V3)
def quadratic_form(a, x):
    return np.einsum("i,ij,j", x, a, x) + x @ a @ x


@program(M33)
def least_squares_by_hand(a):
    t = np.array([1.0, 2.0, 3.0])
    r = a @ t - 1
    return r @ r / 2 + np.linalg.norm(a[:, 0])


@program(P4)
def gaussian_log_likelihood(x):
    m, s = x[0], x[1]
    data = np.array([0.1, 0.5, -0.4])
    return np.sum(-0.5 * ((data - m) / s) ** 2 - np.log(s))


@program(M23, M23)
def pairwise_distances(a, b):
    d = a[:, None, :] - (b + 3)[None, :, :]
    return np.sqrt(np.sum(d**2, axis=-1))


@program(V4)
def complex_inside(x):
    z = x[:2] + 1j * x[2:]
    w = np.exp(z) * np.conj(z) / (2 + z)
    return np.abs(w) ** 2 + w.real * w.imag


@program(V4)
def fourier_power(x):
    n = np.arange(4)
    w = np.exp(-2j * np.pi * np.outer(n, n) / 4)
    return np.abs(w @ (x + 0j)) ** 2


@program(V4)
def integer_arithmetic_beside(x):
    counts = np.array([1, 2, 3, 4])
    return np.sum(counts * x) / counts.sum() + x[counts[0]] // 1 * x[0] + x[1] % 1.0


@program([0.6, 1.7, -0.8])
def stop_gradient_inside(x):
    # The frozen factor is a function of nothing: the program's own derivative treats it as 1.
    return x * cr.stop_gradient(np.ones_like(x)) + np.round(x)


@program(0.7)
def nested_derivative(x):
    return cr.grad(lambda y: y**3 * x)(x) + cr.jvp(lambda y: np.sin(x * y), (x,), (1.0,))[1]


@program(V3)
def nested_hessian(x):
    return cr.hessian(lambda y: np.sum(y**3) * np.sum(x))(x) @ x


@program(V3)
def vmap_inside(x):
    return cr.vmap(lambda t: np.sin(t) * np.sum(x))(x)


@program(V3)
def checkpointed(x):
    scale = x[0]
    return np.sum(cr.checkpoint(lambda y: np.sin(y) * scale + y**2)(x))


@program(V3)
def softplus_stable(x):
    return np.logaddexp(0.0, 50 * x) / 50


@program(0.5)
def gravity_nbody(h):
    p = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    v = cr.numpy.zeros((3, 2))
    for _ in range(2):
        acc = cr.numpy.zeros((3, 2))
        for i in range(3):
            for j in range(3):
                if i != j:
                    d = p[j] - p[i]
                    acc[i] += d / np.sum(d**2) ** 1.5
        v += h * acc
        p = p + h * v
    return p
