"""Traps that other tools fall into: published cases, and what an adversary thinks of.

`RIGHT` holds programs whose derivative must be that of a plain run, in every mode, at first and second order;
the referee is differences of the plain program. What must raise instead is in `test_losses` and `test_bad_input`.
"""

from __future__ import annotations

import bisect
import copy
import functools
import heapq
import itertools
import math
import operator
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, LostDerivativeError
from tests.test_modes_agree import close, differences

V = np.array([0.3, 1.2, 2.5])
PLAIN = np.array([1.0, 2.0, 3.0])

Function = Callable[..., Any]
RIGHT: list[tuple[Function, np.ndarray]] = []


def right(function: Function) -> Function:
    """Enter a program, to be run at three numbers."""
    RIGHT.append((function, V))
    return function


def right_at(*x: float) -> Callable[[Function], Function]:
    def enter(function: Function) -> Function:
        RIGHT.append((function, np.array(x)))
        return function

    return enter


# -- published cases --------------------------------------------------------------------------------------


@right_at(4.0, 0.5, 2.0)
def jax_347_where_of_a_square_root(x):
    return np.where(x > 1, np.sqrt(np.where(x > 1, x - 1, 1.0)), 0.0)


@right_at(0.5, 2.0, 1.0)
def jax_5798_guarded_quotient(x):
    return np.where(np.abs(x) < 1e-3, 1 - x * x / 6, np.sin(x) / x)


@right_at(1000.0, 1001.0, 999.0)
def softmax_of_large_numbers(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


@right
def autograd_802_masked_log(x):
    return np.sum(np.where(x > 1, np.log(np.maximum(x, 1e-300)), 0.0))


@right
def pytorch_duplicate_index_write_last_wins(x):
    y = x * 1.0
    y[[0, 0]] = x[[1, 2]]
    return y * x


@right
def duplicate_index_augmented_adds_once(x):
    y = x * 1.0
    y[[0, 0]] += x[[1, 2]]
    return y * x


@right
def add_at_adds_every_time(x):
    y = x * 1.0
    np.add.at(y, [0, 0], x[[1, 2]])
    np.subtract.at(y, [1, 1], x[[0, 2]])
    return y * x


@right
def duplicate_index_read(x):
    return x[[0, 0, 1]].sum() ** 2 + x[np.array([2, 2])].prod()


@right
def warp_947_value_used_before_it_is_overwritten(x):
    y = np.exp(x)
    z = y * y
    y[:] = x
    return z + y


@right
def warp_1350_augmented_own_operand(x):
    y = x * 1.0
    y += y * y
    y *= y
    return y


@right
def warp_1694_loop_reuses_a_buffer(x):
    work, total = np.empty_like(x), 0.0
    for k in range(1, 4):
        np.multiply(x, k, out=work)
        np.sin(work, out=work)
        total = total + work @ work * k
    return total


@right
def pytorch_146299_write_through_an_overlapping_view(x):
    y = x * 1.0
    y[1:] = y[:-1]
    y[:-1] += y[1:]
    return y * x


@right
def overlapping_out(x):
    y = x * 1.0
    np.add(y[:-1], y[1:], out=y[1:])
    z = y[::-1]
    z += y
    return y


@right
def transposed_onto_itself(x):
    y = np.outer(x, x**2)
    y += y.T
    y[:] = y.T * x
    return y


@right
def tangent_integer_input_beside(x):
    n = np.array([1, 2, 3])
    return x ** n[2] / n + x // 1 * x + n**2 @ x


@right_at(1.0)
def forward_diff_83_perturbation_confusion(x):
    return x[0] * cr.derivative(lambda y: x[0] + y)(1.0)


@right_at(1.5)
def perturbation_confusion_mixed(x):
    (t,) = x
    forward = cr.jvp(lambda y: t * y * cr.grad(lambda z: z * y * t)(y), (t,), (1.0,))[1]
    reverse = cr.grad(lambda y: t * y * cr.jvp(lambda z: z * y * t, (y,), (1.0,))[1])(t)
    return forward * reverse


@right_at(0.7)
def forward_diff_443_derivative_of_a_closure_of_a_closure(x):
    def outer(y):
        return cr.derivative(lambda z: np.sin(x[0] * y * z))(y)

    return cr.derivative(outer)(x[0])


# -- Python -------------------------------------------------------------------------------------------------


@right
def iteration_sees_what_the_loop_writes(x):
    y = x * 1.0
    for k, value in enumerate(y):
        if k + 1 < len(y):
            y[k + 1] = value * 2
    return y


@right
def iteration_over_a_buffer_sees_it_too(x):
    y = np.zeros_like(x)
    y[...] = x
    for k, value in enumerate(y):
        if k + 1 < len(y):
            y[k + 1] = value * 2
    return y


@right
def lazy_iterators(x):
    y = x * 1.0
    doubled, pairs, backwards = map(operator.neg, y), zip(y, y[1:], strict=False), reversed(y)
    y[1] = y[0] ** 2
    return sum(doubled) + sum(a * b for a, b in pairs) + next(backwards)


@right
def numbers_read_are_copies(x):
    y = x * 1.0
    a, b, c = y
    items = list(y)
    y[:] = 5.0
    return a * b * c + items[0] * y


@right
def rows_read_are_views(x):
    y = np.outer(x, x)
    rows = list(y)
    y[0] = 0.5 * x
    rows[1][0] = x[2]
    return rows[0] + rows[1] + y[1]


@right
def aliases_in_containers(x):
    y = x * 1.0
    table, items = {"a": y}, [y]
    table["a"][0] = x[1] ** 2
    items[0] += 1.0
    return y * x


@right
def rebinding_against_augmenting(x):
    y = x * 1.0
    z = y
    z = z + 1.0
    z[0] = 0.0
    w = y
    w += 1.0
    s = x[0]
    t = s
    t += 1.0
    return y * z * w + s * t


@right
def copies_are_copies(x):
    y = x * 1.0
    copies = [y.copy(), copy.copy(y), copy.deepcopy(y), +y, y.astype(float), y.flatten(), y[[0, 1, 2]], y + 0]
    y[:] = 5.0
    return sum(c * (k + 1) for k, c in enumerate(copies)) * x


@right
def aliases_are_aliases(x):
    y = x * 1.0
    views = [y[:], y.T, y.ravel(), y.reshape(3, 1)[:, 0], y.astype(float, copy=False), y[None][0], y.real]
    y[0] = x[2] ** 2
    return sum(v * (k + 1) for k, v in enumerate(views)) * x


@right
def a_buffer_appended_is_one_array(x):
    y, kept, frozen = np.zeros_like(x), [], []
    for k in range(3):
        y[k] = x[k] ** 2
        kept.append(y)
        frozen.append(y.copy())
    return kept[0] + frozen[0] + frozen[1]


@right
def a_function_that_writes_its_argument(x):
    def halve(z):
        z *= 0.5
        z[0] = 7.0
        return z

    y = x * 1.0
    return halve(y) + y * x


@right
def flat_reads_and_writes(x):
    y = np.outer(x, x)
    y.flat[3] = sum(y.flat[1:3])
    y.flat[[0, 8]] = x[1]
    y.T.flat[1] = 2.0 * x[2]
    z = x * 1.0
    z.flat = x[::-1]
    return y * z


@right
def real_and_imaginary_parts_are_views(x):
    y = x + 1j * x**2
    y.real[0] = x[1] ** 3
    y.imag = x[::-1]
    part = y.imag
    y[2] = x[0] * (2 + 1j)
    return np.abs(y) ** 2 + part


@right
def sorting_and_comparing_numbers(x):
    ordered = sorted(x, key=lambda t: -t)
    heap = list(x)
    heapq.heapify(heap)
    place = bisect.bisect([0.0, 1.0, 2.0], x[1])
    return max(x) * min(x) + ordered[1] ** 2 + heapq.heappop(heap) * heap[0] + x[0] * place


@right
def max_of_tuples_and_min_by_key(x):
    return max((t, k) for k, t in enumerate(x))[0] * x[min(range(3), key=lambda k: x[k])]


@right
def functools_and_itertools(x):
    running = list(itertools.accumulate(x))
    return functools.reduce(operator.mul, running) + sum(itertools.starmap(operator.mul, zip(x, running, strict=True)))


@right_at(0.3, 1.2, 2.62)
def python_operators(x):
    a, b, c = x
    quotient, rest = divmod(c, b)
    return abs(-a) + round(c) * b + round(c, 1) * a + pow(b, 2) + quotient * a + rest + c % b + 3.3 % b + (a, b)[True]


@right
def numbers_of_every_kind(x):
    t = x[0]
    numbers = np.float64(2) * t + t / np.float32(4) + 3 * t - True * t + np.True_ * t + np.int8(3) * t
    numbers = numbers + Fraction(1, 3) * t + t * Fraction(2, 3) + 10**20 * t * 1e-20 + np.array(2.0) * t
    lists = [1.0, 2.0] @ x[:2] + operator.add([1, 2, 3], x)[0] * (x * (4, 5, 6))[1]
    return numbers + lists + np.multiply([1, 2, 3], x)


@right
def membership_and_identity(x):
    t = x[1]
    if t in [1.0, 7.0] or t == "auto" or t is None or t in (None, "b") or 9.0 in x:
        return t
    return t * t if (t > 1) and (t > 1) is (x[2] > 2) else -t


@right
def type_questions_of_numpy(x):
    t = x[0]
    return t * (1 + np.ndim(t)) + x * np.ndim(x) + np.size(x) * t + np.shape(x)[0] * t * np.iscomplexobj(x)


@right
def exceptions_of_plain_values(x):
    total = 0.0
    try:
        total = total + x[7]
    except IndexError:
        total = total + x[0] ** 2
    try:
        total = total + x.nothing
    except AttributeError:
        total = total + x[1] ** 2
    try:
        total = total + np.sum(x + np.ones(4))
    except ValueError:
        total = total + x[2] ** 2
    try:
        total = total + np.sum(np.linalg.inv(np.zeros((3, 3)) * x))
    except np.linalg.LinAlgError:
        total = total + x[0] ** 3
    try:
        total = total + len(x[0])
    except TypeError:
        total = total + x[1] ** 3
    try:
        total = total + sum(t for t in x[0])
    except TypeError:
        total = total + x[2] ** 3
    return total


@right
def a_memo_keyed_by_integers(x):
    @functools.lru_cache
    def factor(n: int) -> float:
        return math.sqrt(n)

    return sum(factor(k) * x[k] ** 2 for k in range(3))


@right
def math_prod_and_sum_of_products(x):
    return math.prod(x) + sum(map(operator.mul, x, PLAIN)) + sum([x, x * x])[0]


@right
def random_numbers_are_constants(x):
    rng = np.random.default_rng(0)
    return x * rng.normal(size=3) + x[rng.permutation(3)] * rng.integers(5)


@right
def apply_along_axis_and_piecewise(x):
    a = np.apply_along_axis(lambda row: row * row.sum(), 1, np.outer(x, x))
    return a + np.piecewise(x, [x < 1, x >= 1], [lambda t: t * t, lambda t: 3 * t])


@right
def plain_arrays_indexed_by_decisions(x):
    weights = PLAIN.copy()
    weights[x > 1] = 5.0
    return weights * x + PLAIN[np.argsort(-x)] * x + PLAIN[int(np.argmax(x)) - 1] * x


@right
def a_long_chain(x):
    y = x[0]
    for _ in range(3000):
        y = y * 1.0001 + x[1] * 1e-4
    return y


@right
def deep_recursion(x):
    def down(t, n):
        return t if n == 0 else down(t * 1.01, n - 1)

    return down(x[0], 300)


@right
def constants_of_a_closure_change_between_uses(x):
    c = PLAIN.copy()
    a = x * c
    c[0] = 7.0
    b = x * c
    c *= 0.0
    return a * b + x * c


@right
def a_row_view_of_a_changed_constant(x):
    m = np.stack([PLAIN, PLAIN + 1])
    a = x * m[0]
    m[0] = 5.0
    i, k = np.array([0, 2]), [1, 1]
    b = x[i] + x[k]
    i[:], k[0] = 1, 0
    mask = x > 1
    d = np.where(mask, x, x**2)
    mask[:] = False
    return a + x * m[0] + d + b.sum()


def names() -> list[str]:
    return [f.__name__ for f, _ in RIGHT]


def _fresh(x: np.ndarray) -> np.ndarray:
    return x.copy()


def _flat(y: Any) -> np.ndarray:
    return np.ravel(np.asarray(y, float))


@pytest.mark.parametrize(("f", "x"), RIGHT, ids=names())
def test_it_is_right(f: Function, x: np.ndarray) -> None:
    run = lambda v: _flat(f(v.copy()))
    value, reference = run(x), differences(run, x)
    rng = np.random.default_rng(1)
    v, w = rng.normal(size=x.size), rng.normal(size=value.size)

    y, y_dot = cr.jvp(f, (_fresh(x),), (v,))
    np.testing.assert_allclose(_flat(y), value, rtol=1e-13, atol=1e-13)
    close(_flat(y_dot), reference @ v, 1e-6)
    y, pullback = cr.vjp(f, _fresh(x))
    np.testing.assert_allclose(_flat(y), value, rtol=1e-13, atol=1e-13)
    ct = w.reshape(np.shape(y)) if np.ndim(y) else float(w[0])
    close(pullback(ct)[0], w @ reference, 1e-6)
    close(pullback(ct)[0], w @ reference, 1e-6)
    close(np.reshape(cr.jacfwd(f)(_fresh(x)), (-1, x.size)), reference, 1e-6)
    close(np.reshape(cr.jacrev(f)(_fresh(x)), (-1, x.size)), reference, 1e-6)
    close(_flat(cr.linearize(f, _fresh(x))[1](v)), reference @ v, 1e-6)

    batch = np.stack([x, x + 1e-3])
    close(np.reshape(cr.vmap(f)(batch), (2, -1)), [run(row) for row in batch], 1e-12)

    total = lambda x: np.sum(np.sin(np.ravel(f(x)) if np.ndim(f(x)) else f(x)))
    hessian = cr.jacfwd(cr.grad(total))(_fresh(x))
    close(cr.jacrev(cr.grad(total))(_fresh(x)), hessian, 1e-9)
    close(cr.jacfwd(cr.jacfwd(total))(_fresh(x)), hessian, 1e-9)
    close(hessian, differences(cr.grad(total), x), 1e-5)


# -- results, cotangents and the caller's arrays share no memory ------------------------------------------------

SHARING: dict[str, Function] = {
    "identity": lambda x: x,
    "pair": lambda x: (x, x),
    "x * 1": lambda x: x * 1.0,
    "x + 0": lambda x: x + 0,
    "0 - (0 - x)": lambda x: 0 - (0 - x),
    "+x": lambda x: +x,
    "copy": lambda x: x.copy(),
    "x[...]": lambda x: x[...],
    "x[::-1]": lambda x: x[::-1],
    "reshape": lambda x: x.reshape(1, -1),
    "transpose": lambda x: x.T,
    "broadcast_to": lambda x: np.broadcast_to(x, (2, x.size)),
    "concatenate": lambda x: np.concatenate([x, x]),
    "exp": lambda x: np.exp(x),
    "exp, and more of it": lambda x: (lambda e: (e, e * 2, e[1:]))(np.exp(x)),
    "in place": lambda x: operator.iadd(x * 1.0, 1.0),
    "sum": lambda x: np.sum(x),
}


@pytest.mark.parametrize("size", [3, 6000])
@pytest.mark.parametrize("f", SHARING.values(), ids=SHARING)
def test_results_share_no_memory(f: Function, size: int) -> None:
    x0 = np.linspace(0.1, 1.0, size)
    x, t = x0.copy(), np.full(size, 3.0)
    y, pullback = cr.vjp(f, x)
    ct = cr.trees.map(lambda q: np.full(np.shape(q), 2.0) if np.ndim(q) else 2.0, y)
    gradient = pullback(ct)[0]
    first = gradient.copy()
    leaves = [q for q in cr.trees.flatten((y, ct))[0] if isinstance(q, np.ndarray)]
    for other in (x, *leaves):
        assert not np.shares_memory(gradient, other)
    for q in cr.trees.flatten(y)[0]:
        assert not np.shares_memory(q, x)
    gradient[:] = 99.0
    for q in cr.trees.flatten(y)[0]:
        if isinstance(q, np.ndarray):
            q[...] = 55.0
    np.testing.assert_array_equal(pullback(ct)[0], first)
    np.testing.assert_array_equal(x, x0)
    for q in cr.trees.flatten(ct)[0]:
        np.testing.assert_array_equal(q, 2.0)

    value, change = cr.jvp(f, (x,), (t,))
    for q in cr.trees.flatten((value, change))[0]:
        if isinstance(q, np.ndarray):
            assert not np.shares_memory(q, x)
            assert not np.shares_memory(q, t)
    value, pushforward = cr.linearize(f, x)
    change = cr.trees.map(np.copy, pushforward(t))
    for q in cr.trees.flatten((value, pushforward(t)))[0]:
        if isinstance(q, np.ndarray):
            assert not np.shares_memory(q, x)
            assert not np.shares_memory(q, t)
            q[...] = 77.0
    x[:] = 1e3
    for a, b in zip(*(cr.trees.flatten(d)[0] for d in (pushforward(t), change)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_of_several_arguments_share_no_memory() -> None:
    for size in (3, 6000):
        x = np.ones(size)
        a, b = cr.grad(lambda a, b: np.sum(a + b), (0, 1))(x, x.copy())
        assert not np.shares_memory(a, b)
        a, b = cr.vjp(operator.add, x, x.copy())[1](np.ones(size))
        assert not np.shares_memory(a, b)
        tree = cr.grad(lambda d: np.sum(d["a"] + d["b"]))({"a": x, "b": x.copy()})
        assert not np.shares_memory(tree["a"], tree["b"])


def test_aux_is_private_and_keeps_outer_tracing() -> None:
    x = V.copy()
    _, pullback, aux = cr.vjp(lambda x: (np.sum(np.exp(x)), np.exp(x)), x, has_aux=True)
    aux[:] = 0.0
    np.testing.assert_allclose(pullback(1.0)[0], np.exp(V))
    _, aux = cr.grad(lambda x: (np.sum(x**2), {"x": x, "y": [x * 2, 3]}), has_aux=True)(x)
    assert not np.shares_memory(aux["x"], x)
    assert type(aux["y"][0]) is np.ndarray
    pair = lambda x: lambda y: (y * 1.0, x * 2)
    assert cr.grad(lambda x: cr.jvp(pair(x), (1.0,), (1.0,), has_aux=True)[2])(3.0) == 2
    assert cr.grad(lambda x: cr.grad(pair(x), has_aux=True)(1.0)[1])(3.0) == 2
    assert cr.grad(lambda x: cr.jacfwd(pair(x), has_aux=True)(1.0)[1])(3.0) == 2
    assert cr.grad(lambda x: cr.jacrev(pair(x), has_aux=True)(1.0)[1])(3.0) == 2
    assert cr.derivative(lambda x: cr.vjp(pair(x), 1.0, has_aux=True)[2])(3.0) == 2


# -- stop_gradient and checkpoint ---------------------------------------------------------------------------------


def test_stop_gradient_is_a_copy() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        s = cr.stop_gradient(y)
        view = cr.stop_gradient(y[:2])
        s[0] = 100.0
        y[1] = x[2] ** 2
        return np.sum(y * y) + np.sum(view * x[:2])

    want = [2 * V[0] + V[0], V[1], 2 * V[2] + 4 * V[2] ** 3]
    np.testing.assert_allclose(cr.grad(f)(V), want)
    np.testing.assert_allclose(cr.jacfwd(f)(V), want)
    assert cr.grad(lambda x: cr.grad(lambda y: cr.stop_gradient(x) * y * x)(1.0))(3.0) == 3.0


def _changed_constant(x: Any) -> Any:
    c = PLAIN.copy()
    y = np.sum(cr.checkpoint(lambda t: t * c)(x))
    c[:] = 0.0
    return y


def _changed_traced(x: Any) -> Any:
    c = x * 1.0
    y = np.sum(cr.checkpoint(lambda t: t * c)(x))
    c[:] = 0.0
    return y


def _counter(x: Any) -> Any:
    calls: list[int] = []

    def f(t: Any) -> Any:
        calls.append(1)
        return t * len(calls)

    return np.sum(cr.checkpoint(f)(x))


def _random(x: Any) -> Any:
    rng = np.random.default_rng(0)
    return np.sum(cr.checkpoint(lambda t: t * rng.normal(size=3))(x))


def _other_derivative(x: Any) -> Any:
    calls: list[int] = []

    def f(t: Any) -> Any:
        calls.append(1)
        return t * 1.0 if len(calls) == 1 else cr.stop_gradient(t) * 1.0

    return np.sum(cr.checkpoint(f)(x))


def _writes_argument(x: Any) -> Any:
    def f(t: Any) -> Any:
        t *= 2.0
        return np.sum(t**2)

    y = x * 1.0
    return cr.checkpoint(f)(y) + np.sum(y)


def _writes_closure(x: Any) -> Any:
    y = x * 1.0

    def f(t: Any) -> Any:
        y[0] = t[1] ** 2
        return np.sum(t)

    return cr.checkpoint(f)(x) + np.sum(y)


@pytest.mark.parametrize(
    "f",
    [_changed_constant, _changed_traced, _counter, _random, _other_derivative, _writes_argument, _writes_closure],
)
def test_a_checkpoint_that_cannot_be_repeated_raises(f: Function) -> None:
    with pytest.raises(LostDerivativeError, match="checkpoint"):
        cr.grad(f)(V)


def test_a_checkpoint_sees_its_arguments_as_they_were() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        a = np.sum(cr.checkpoint(np.sin)(y))
        y[:] = 0.0
        return a + np.sum(y)

    np.testing.assert_allclose(cr.grad(f)(V), np.cos(V))
    c = PLAIN.copy()
    _, pullback = cr.vjp(lambda x: np.sum(cr.checkpoint(operator.mul)(x, c)), V)
    c[:] = 0.0
    np.testing.assert_allclose(pullback(1.0)[0], PLAIN)
    f = lambda x: np.sum(cr.checkpoint(np.sin)(x) * x)
    np.testing.assert_allclose(
        cr.jacobian(lambda x: cr.checkpoint(np.sin)(x) * x)(V), np.diag(np.cos(V) * V + np.sin(V))
    )
    np.testing.assert_allclose(cr.hessian(f)(V), cr.jacrev(cr.grad(f))(V), rtol=1e-12)


# -- custom rules ------------------------------------------------------------------------------------------------


def _vjp_rule(fwd: Function, bwd: Function, f: Function = lambda x: x**2) -> Function:
    custom = cr.custom_vjp(f)
    custom.defvjp(fwd, bwd)
    return custom


def _jvp_rule(rule: Function, f: Function = lambda x: x**2) -> Function:
    custom = cr.custom_jvp(f)
    custom.defjvp(rule)
    return custom


_SQUARES = {
    "vjp rule": _vjp_rule(lambda x: (x**2, x), lambda x, ct: (2 * x * ct,)),
    "jvp rule": _jvp_rule(lambda p, t: (p[0] ** 2, 2 * p[0] * t[0])),
}


@pytest.mark.parametrize("square", _SQUARES.values(), ids=_SQUARES)
def test_either_rule_serves_every_mode(square: Function) -> None:
    total = lambda x: np.sum(np.sin(square(x)))
    plain = lambda x: np.sum(np.sin(x**2))
    np.testing.assert_allclose(cr.grad(total)(V), cr.grad(plain)(V))
    for jacobian in (cr.jacfwd, cr.jacrev, cr.jacobian):
        np.testing.assert_allclose(jacobian(square)(V), np.diag(2 * V))
        np.testing.assert_allclose(jacobian(lambda x: np.concatenate([square(x), x]))(V)[:3], np.diag(2 * V))
    np.testing.assert_allclose(cr.jvp(square, (V,), (np.ones(3),))[1], 2 * V)
    np.testing.assert_allclose(cr.linearize(square, V)[1](np.ones(3)), 2 * V)
    np.testing.assert_allclose(cr.vmap(square)(V), V**2)
    np.testing.assert_allclose(cr.vmap(cr.grad(square))(V), 2 * V)
    np.testing.assert_allclose(cr.grad(lambda x: np.sum(cr.checkpoint(square)(x)))(V), 2 * V)
    for second in (cr.hessian(total), cr.jacrev(cr.grad(total)), cr.jacfwd(cr.jacfwd(total))):
        np.testing.assert_allclose(second(V), cr.hessian(plain)(V), rtol=1e-12, atol=1e-14)

    def overwritten(x: Any) -> Any:
        y = x * 1.0
        z = np.sum(square(y))
        y[:] = 0.0
        return z

    np.testing.assert_allclose(cr.grad(overwritten)(V), 2 * V)


_GOOD_FWD = lambda x: (x**2, x)
MISUSES: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "bwd, wrong shape": (
        lambda: cr.grad(lambda x: np.sum(_vjp_rule(_GOOD_FWD, lambda r, ct: (np.sum(ct),))(x)))(V),
        ArgumentError,
    ),
    "bwd, wrong number": (
        lambda: cr.grad(lambda x: np.sum(_vjp_rule(_GOOD_FWD, lambda r, ct: (ct, ct))(x)))(V),
        ArgumentError,
    ),
    "bwd, no tuple": (
        lambda: cr.grad(lambda x: np.sum(_vjp_rule(_GOOD_FWD, lambda r, ct: r * ct)(x)))(V),
        ArgumentError,
    ),
    "bwd, complex": (
        lambda: cr.grad(lambda x: np.sum(_vjp_rule(_GOOD_FWD, lambda r, ct: (1j * ct,))(x)))(V),
        ArgumentError,
    ),
    "fwd, no pair": (
        lambda: cr.grad(lambda x: np.sum(_vjp_rule(lambda x: x**2, lambda r, ct: (ct,))(x)))(V),
        ArgumentError,
    ),
    "bwd, quadratic, forward": (
        lambda: cr.jvp(_vjp_rule(_GOOD_FWD, lambda r, ct: (ct**2,)), (V,), (V,)),
        LostDerivativeError,
    ),
    "bwd, affine, forward": (
        lambda: cr.jvp(_vjp_rule(_GOOD_FWD, lambda r, ct: (ct + 1,)), (V,), (V,)),
        LostDerivativeError,
    ),
    "bwd, abs, forward": (
        lambda: cr.jvp(_vjp_rule(_GOOD_FWD, lambda r, ct: (np.abs(ct),)), (V,), (V,)),
        LostDerivativeError,
    ),
    "bwd, clipped, forward": (
        lambda: cr.jvp(_vjp_rule(_GOOD_FWD, lambda r, ct: (np.clip(ct, -1, 1),)), (V,), (V,)),
        LostDerivativeError,
    ),
    "bwd, branch, linearize": (
        lambda: cr.linearize(_vjp_rule(_GOOD_FWD, lambda r, ct: (ct if ct[0] > 0 else 2 * ct,)), V)[1](V),
        LostDerivativeError,
    ),
    "bwd, not traceable, forward": (
        lambda: cr.jvp(_vjp_rule(_GOOD_FWD, lambda r, ct: (np.asarray(ct) * r,)), (V,), (V,)),
        LostDerivativeError,
    ),
    "jvp rule, quadratic, reverse": (
        lambda: cr.grad(lambda x: np.sum(_jvp_rule(lambda p, t: (p[0] ** 2, t[0] ** 2))(x)))(V),
        LostDerivativeError,
    ),
    "jvp rule, abs, reverse": (
        lambda: cr.grad(lambda x: np.sum(_jvp_rule(lambda p, t: (p[0] ** 2, np.abs(t[0])))(x)))(V),
        LostDerivativeError,
    ),
    "jvp rule, affine, reverse": (
        lambda: cr.grad(lambda x: np.sum(_jvp_rule(lambda p, t: (p[0] ** 2, t[0] + 1))(x)))(V),
        LostDerivativeError,
    ),
    "jvp rule, sine, reverse": (
        lambda: cr.grad(lambda x: np.sum(_jvp_rule(lambda p, t: (p[0] ** 2, np.sin(t[0])))(x)))(V),
        LostDerivativeError,
    ),
    "jvp rule, branch, reverse": (
        lambda: cr.grad(
            lambda x: np.sum(_jvp_rule(lambda p, t: (p[0] ** 2, t[0] if np.sum(t[0]) > 0 else 3 * t[0]))(x))
        )(V),
        LostDerivativeError,
    ),
    "jvp rule, wrong shape": (
        lambda: cr.jvp(_jvp_rule(lambda p, t: (p[0] ** 2, np.sum(t[0]))), (V,), (V,)),
        ArgumentError,
    ),
    "jvp rule, no pair": (lambda: cr.jvp(_jvp_rule(lambda p, t: p[0] ** 2), (V,), (V,)), ArgumentError),
    "no rule": (lambda: cr.grad(lambda x: np.sum(cr.custom_jvp(np.sin)(x)))(V), ArgumentError),
    "bwd writes the cotangent": (
        lambda: cr.grad(lambda x: np.sum(_vjp_rule(_GOOD_FWD, lambda r, ct: (operator.imul(ct, r),))(x)))(V),
        ValueError,
    ),
    "fwd writes its argument": (
        lambda: cr.grad(
            lambda x: np.sum(_vjp_rule(lambda x: (operator.imul(x, 2.0), None), lambda r, ct: (ct,))(x * 1.0))
        )(V),
        ValueError,
    ),
}


@pytest.mark.parametrize(("call", "kind"), MISUSES.values(), ids=MISUSES)
def test_misused_custom_rules_raise(call: Function, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        call()


def test_custom_rules_that_close_over_traced_values() -> None:
    def by_jvp(x: Any) -> Any:
        return np.sum(_jvp_rule(lambda p, t: (p[0] * x, t[0] * x), lambda y: y * x)(x))

    np.testing.assert_allclose(cr.grad(by_jvp)(V), 2 * V)
    np.testing.assert_allclose(cr.jvp(by_jvp, (V,), (np.ones(3),))[1], np.sum(2 * V))

    def by_fwd(x: Any) -> Any:
        return np.sum(_vjp_rule(lambda y: (y * x, None), lambda r, ct: (ct,))(x))

    def by_bwd(x: Any) -> Any:
        return np.sum(_vjp_rule(lambda y: (y * 1.0, None), lambda r, ct: (ct * x,))(x))

    for f in (by_fwd, by_bwd):
        with pytest.raises(ChainruleError):
            cr.grad(f)(V)


def test_residuals_that_share_a_buffer() -> None:
    """A rule that reuses its scratch array: the residual of the first call is not that of the second."""
    scratch = np.zeros(3)

    def fwd(x: Any) -> Any:
        scratch[:] = x
        return x**2, scratch

    for keep in (fwd, lambda x: (fwd(x)[0], scratch[:]), lambda x: (fwd(x)[0], {"x": [scratch]}["x"][0])):
        square = _vjp_rule(keep, lambda r, ct: (2 * r * ct,))
        np.testing.assert_allclose(cr.grad(lambda x, square=square: np.sum(square(x) + square(2 * x)))(V), 10 * V)


# -- threads -------------------------------------------------------------------------------------------------------


def test_threads_do_not_disturb_each_other() -> None:
    x = np.linspace(0, 1, 50)
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(10):
            gradient = cr.grad(lambda x: np.sum(np.sin(x * k)))(x)
            hessian = cr.hvp(lambda x: np.sum(np.sin(x * k)), (x,), (np.ones(50),))
            if not (np.allclose(gradient, k * np.cos(k * x)) and np.allclose(hessian, -k * k * np.sin(k * x))):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- nesting -----------------------------------------------------------------


def test_pullbacks_nest_and_repeat() -> None:
    _, pullback = cr.vjp(lambda x: x**3, 2.0)
    assert cr.grad(lambda ct: pullback(ct)[0])(1.0) == 12
    assert cr.vmap(lambda ct: pullback(ct)[0])(PLAIN).tolist() == [12, 24, 36]

    def f(x: Any) -> Any:  # 3 x^2 * x * x
        return cr.vjp(lambda z: z**3 * x, x)[1](x)[0]

    assert cr.grad(f)(2.0) == 12 * 8
    assert cr.derivative(f)(2.0) == 12 * 8


def test_a_derivative_that_looks_constant_is_not_cached_by_identity() -> None:
    """The same function object differentiated at several levels and points."""
    f = lambda x: x**4
    g = cr.grad(f)
    assert [g(1.0), g(2.0), g(1.0)] == [4.0, 32.0, 4.0]
    assert cr.grad(g)(2.0) == cr.grad(cr.grad(f))(2.0) == 48
    assert cr.grad(lambda x: g(x) * f(x))(1.0) == 4 * 4 + 12


def test_complex_jacobians_of_real_arguments_are_whole() -> None:
    """A cotangent pairs with real parts only: reverse mode must not drop the imaginary part of the Jacobian."""
    f = lambda x: np.exp(1j * x) * x
    want = np.diag(np.exp(1j * V) * (1 + 1j * V))
    for jacobian in (cr.jacfwd, cr.jacrev, cr.jacobian):
        np.testing.assert_allclose(jacobian(f)(V), want, rtol=1e-13)
    np.testing.assert_allclose(cr.jacobian(lambda x: x[0] * (1 + 2j))(V), [1 + 2j, 0, 0])


def test_vmap_gives_each_row_its_own_index_and_writes() -> None:
    rows = np.array([[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]])

    def swap(x: Any) -> Any:
        y = x * 1.0
        y[0], y[2] = y[2], y[0]
        return y

    def own_order(x: Any) -> Any:
        return x[np.argsort(x)] * x[np.argmax(x)]

    def own_mask(x: Any) -> Any:
        y = x * 1.0
        y[x > 2] = 0.0
        return y

    def writes_argument_and_branches(x: Any) -> Any:
        x *= 2.0
        return x if x[0] > 3 else -x

    for f in (swap, own_order, own_mask, writes_argument_and_branches):
        np.testing.assert_array_equal(cr.vmap(f)(rows), np.stack([f(row.copy()) for row in rows]))
        assert rows[0, 0] == 1.0
    index = np.array([2, 0])
    np.testing.assert_array_equal(cr.vmap(lambda x, i: x[i])(rows, index), [2.0, 6.0])
