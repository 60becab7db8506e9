"""Any nesting and mixing of transformations, at orders one to four, against mpmath and differences.

The classics of perturbation confusion are here: Siskind and Pearlmutter, "Perturbation confusion and
referential transparency" (2005); Manzyuk and others, "Perturbation confusion in forward automatic
differentiation of higher-order functions" (2019).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import LostDerivativeError

X = 0.7


def forward(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: cr.jvp(f, (x,), (1.0,))[1]


def linearized(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: cr.linearize(f, x)[1](1.0)


def pulled(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: cr.vjp(f, x)[1](1.0)[0]


def by_container(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: cr.grad(lambda p: f(p["x"]))({"x": x})["x"]


def by_hvp_direction(f: Callable[..., Any]) -> Callable[..., Any]:
    """The derivative along a direction that is itself computed."""
    return lambda x: cr.jvp(lambda t: f(x + t), (0.0 * x,), (1.0,))[1]


def by_rows(f: Callable[..., Any]) -> Callable[..., Any]:
    """The mean over a batch of equal rows."""
    return lambda x: np.mean(cr.vmap(cr.grad(f))(x * np.ones(3)))


MODES: dict[str, Callable[..., Any]] = {
    "grad": cr.grad,
    "jvp": forward,
    "vjp": pulled,
    "linearize": linearized,
    "jacfwd": cr.jacfwd,
    "jacrev": cr.jacrev,
    "container": by_container,
    "shifted": by_hvp_direction,
    "vmap": by_rows,
}


def loop(x: Any) -> Any:
    y = x
    for k in range(4):
        y = y * x + (1 if y > 0.3 else -1) / (k + 1)
    return y


def mp_loop(x: Any) -> Any:
    y = x
    for k in range(4):
        y = y * x + mp.mpf(1 if y > 0.3 else -1) / (k + 1)
    return y


def filled(x: Any) -> Any:
    """In-place writes, views and indexing."""
    y = cr.numpy.zeros(4)
    y[0] = x
    y[1:3] = [x * x, np.sin(x)]
    y[2:] *= x
    y[3] += y[1] * y[2]
    return np.sum(y)


def mp_filled(x: Any) -> Any:
    return x + x * x + x * mp.sin(x) + x * x * x * mp.sin(x)


def arrays(x: Any) -> Any:
    a = np.array([[2.0, 1.0], [0.5, 3.0]])
    v = a @ (x * np.array([1.0, 2.0])) + x**2
    return np.sum(np.exp(-v) * v.reshape(2, 1)) / 10


def mp_arrays(x: Any) -> Any:
    v = [4 * x + x**2, mp.mpf("6.5") * x + x**2]
    return (mp.exp(-v[0]) + mp.exp(-v[1])) * (v[0] + v[1]) / 10


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sin exp": (lambda x: np.sin(x) * np.exp(x / 2), lambda x: mp.sin(x) * mp.exp(x / 2)),
    "power": (lambda x: x**x, lambda x: x**x),
    "rational": (lambda x: 1 / (1 + x * x) - x / 3, lambda x: 1 / (1 + x * x) - x / 3),
    "tanh log": (lambda x: np.tanh(x) ** 3 * np.log(x), lambda x: mp.tanh(x) ** 3 * mp.log(x)),
    "sqrt arctan2": (
        lambda x: np.sqrt(1 + x**3) * np.arctan2(x, 2 - x),
        lambda x: mp.sqrt(1 + x**3) * mp.atan2(x, 2 - x),
    ),
    "loop": (loop, mp_loop),
    "in place": (filled, mp_filled),
    "arrays": (arrays, mp_arrays),
}


def referee(name: str, order: int) -> float:
    with mp.workdps(60):
        return float(mp.diff(FUNCTIONS[name][1], mp.mpf(X), order))


def nested(name: str, modes: tuple[str, ...]) -> Any:
    """The derivative of order ``len(modes)``, the first mode innermost."""
    f = FUNCTIONS[name][0]
    for mode in modes:
        f = MODES[mode](f)
    return f(X)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("order", [1, 2])
def test_every_combination_of_two(name: str, order: int) -> None:
    want = referee(name, order)
    for modes in itertools.product(MODES, repeat=order):
        assert nested(name, modes) == pytest.approx(want, rel=1e-11), modes


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("order", [3, 4])
def test_every_combination_of_forward_and_reverse(name: str, order: int) -> None:
    want = referee(name, order)
    for modes in itertools.product(("grad", "jvp"), repeat=order):
        assert nested(name, modes) == pytest.approx(want, rel=1e-10), modes


@pytest.mark.parametrize("name", FUNCTIONS)
def test_mixtures_of_order_three(name: str) -> None:
    rng = np.random.default_rng(5)
    want = referee(name, 3)
    for _ in range(12):
        modes = tuple(rng.choice(list(MODES), 3))
        assert nested(name, modes) == pytest.approx(want, rel=1e-10), modes


@pytest.mark.parametrize("n", range(6))
def test_derivative_of_order_n(n: int) -> None:
    assert cr.derivative(FUNCTIONS["sin exp"][0], n)(X) == pytest.approx(referee("sin exp", n), rel=1e-10)


# -- perturbation confusion -------------------------------------------------------------------------------

BASIC = {"grad": cr.grad, "jvp": forward, "vjp": pulled, "jacfwd": cr.jacfwd, "jacrev": cr.jacrev}
pairs = pytest.mark.parametrize(("outer", "inner"), list(itertools.product(BASIC.values(), repeat=2)))


@pairs
def test_siskind_and_pearlmutter(outer: Any, inner: Any) -> None:
    assert outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0
    assert outer(lambda x: x * inner(lambda y: x * y)(2.0))(3.0) == 6.0
    assert outer(lambda x: inner(lambda y: x * y * y)(x))(3.0) == 12.0
    assert outer(lambda x: inner(lambda y: x)(1.0) + x)(3.0) == 1.0


@pairs
def test_the_shift_operator_of_manzyuk(outer: Any, inner: Any) -> None:
    def shift(f: Any, mode: Any) -> Any:
        return lambda x: mode(lambda u: f(x + u))(0.0)

    assert shift(shift(np.exp, inner), outer)(1.0) == pytest.approx(np.e)
    assert shift(shift(lambda x: x**3, inner), outer)(2.0) == pytest.approx(12.0)


@pairs
def test_the_inner_derivative_of_an_outer_value_is_zero(outer: Any, inner: Any) -> None:
    def f(x: Any) -> Any:
        outer_value = x * x
        return inner(lambda y: outer_value * 3.0)(5.0) + outer_value

    assert outer(f)(2.0) == 4.0


@pairs
def test_outer_values_captured_by_closures_and_arrays(outer: Any, inner: Any) -> None:
    def f(x: Any) -> Any:
        table = cr.numpy.array([x, 2 * x, x * x])
        return inner(lambda y: np.sum(table * y) * y)(x)  # 2 y sum(table) at y = x

    assert outer(f)(1.5) == pytest.approx(12 * 1.5 + 6 * 1.5**2)


@pairs
def test_the_inner_function_may_write_to_arrays_of_the_outer_one(outer: Any, inner: Any) -> None:
    def f(x: Any) -> Any:
        table = cr.numpy.zeros(2)
        table[0] = x

        def g(y: Any) -> Any:
            table[1] = x * x  # of the outer level, written while the inner function runs
            mine = cr.numpy.zeros(2)
            mine[0] = table[0] * table[1]
            mine[1] = x * y
            table[0] = 2 * x
            return np.sum(mine * mine)

        return inner(g)(2.0) + table[0] * table[1]  # 2 x² y + 2 x · x²

    assert outer(f)(3.0) == pytest.approx(4 * 3.0 * 2.0 + 6 * 3.0**2)


@pairs
def test_a_value_of_an_inner_level_cannot_enter_an_outer_array(outer: Any, inner: Any) -> None:
    def f(x: Any) -> Any:
        table = x * np.ones(2)

        def g(y: Any) -> Any:
            table[0] = y
            return np.sum(table)

        return inner(g)(2.0)

    with pytest.raises(LostDerivativeError, match="inner transformation"):
        outer(f)(3.0)


@pairs
def test_the_point_and_the_direction_may_be_traced(outer: Any, inner: Any) -> None:
    assert outer(lambda t: cr.jvp(np.sin, (0.5,), (t,))[1])(2.0) == pytest.approx(np.cos(0.5))
    assert outer(lambda t: cr.jvp(np.sin, (t,), (t,))[1])(2.0) == pytest.approx(np.cos(2.0) - 2 * np.sin(2.0))
    assert outer(lambda t: cr.vjp(np.sin, t)[1](t)[0])(2.0) == pytest.approx(np.cos(2.0) - 2 * np.sin(2.0))
    assert outer(lambda t: cr.linearize(np.sin, t)[1](t))(2.0) == pytest.approx(np.cos(2.0) - 2 * np.sin(2.0))
    assert outer(lambda t: inner(lambda s: cr.vjp(np.exp, s)[1](t)[0])(t))(1.0) == pytest.approx(2 * np.e)


@pairs
def test_a_pullback_made_outside_and_called_inside(outer: Any, inner: Any) -> None:
    _, pullback = cr.vjp(lambda x: x**3, 2.0)
    assert outer(lambda t: pullback(t)[0] * t)(3.0) == pytest.approx(2 * 12.0 * 3.0)

    def f(x: Any) -> Any:
        _, pullback = cr.vjp(lambda y: x * y**2, x)  # 2 x y at y = x, times t
        return inner(lambda t: pullback(t)[0] * t)(x)  # 2 t · 2 x² at t = x

    assert outer(f)(1.5) == pytest.approx(12 * 1.5**2)


def test_five_levels_of_one_function() -> None:
    f = lambda x: x**7
    for k in range(5):
        f = (cr.grad, forward)[k % 2](f)
    assert f(1.0) == pytest.approx(7 * 6 * 5 * 4 * 3)


def test_gradients_inside_functions_that_are_differentiated() -> None:
    """Newton's method with derivatives of its own, differentiated in a parameter."""

    def root(a: Any) -> Any:
        f = lambda x: x**3 - a
        x = a / 2 + 0.5
        for _ in range(8):
            x = x - f(x) / cr.grad(f)(x)
        return x

    want = 2.0 ** (-2 / 3) / 3
    for mode in BASIC.values():
        assert mode(root)(2.0) == pytest.approx(want, rel=1e-10)
    assert cr.grad(forward(root))(2.0) == pytest.approx(-2 / 9 * 2.0 ** (-5 / 3), rel=1e-9)


def test_hessians_of_arrays_in_every_combination() -> None:
    rng = np.random.default_rng(1)
    x, a = rng.normal(size=4), rng.normal(size=(4, 4))

    def f(x: Any) -> Any:
        return np.sum(np.tanh(a @ x) ** 2) + np.prod(x) * x[0] + np.max(x) * np.sort(x)[1]

    gradient = cr.grad(f)
    h = 1e-5
    want = np.array([(gradient(x + h * e) - gradient(x - h * e)) / (2 * h) for e in np.eye(4)])
    for outer, inner in itertools.product((cr.jacfwd, cr.jacrev, cr.jacobian), repeat=2):
        np.testing.assert_allclose(outer(inner(f))(x), want, rtol=1e-6, atol=1e-8)
    for outer in (cr.jacfwd, cr.jacrev):
        np.testing.assert_allclose(outer(gradient)(x), want, rtol=1e-6, atol=1e-8)
    columns = np.array([cr.hvp(f, (x,), (e,)) for e in np.eye(4)])
    np.testing.assert_allclose(columns, want, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(cr.vmap(lambda e: cr.hvp(f, (x,), (e,)))(np.eye(4)), columns, rtol=1e-12)
    rows = cr.vmap(lambda e: cr.vjp(gradient, x)[1](e)[0])(np.eye(4))
    np.testing.assert_allclose(rows, columns, rtol=1e-10, atol=1e-12)


def test_third_derivatives_of_arrays() -> None:
    x = np.array([0.3, -0.7, 1.1])
    f = lambda x: np.sum(np.sin(x) * x[::-1] ** 2)
    third = cr.jacfwd(cr.jacrev(cr.jacfwd(f)))(x)
    h = 1e-4
    hessian = cr.hessian(f)
    for k, e in enumerate(np.eye(3)):
        np.testing.assert_allclose(third[..., k], (hessian(x + h * e) - hessian(x - h * e)) / (2 * h), atol=1e-6)


def test_levels_are_not_reused_by_concurrent_generators() -> None:
    """Two evaluations of one function interleaved: identity of the function must not matter."""

    def program(x: Any) -> Any:
        return cr.grad(lambda y: y * x)(1.0) * x

    assert cr.grad(lambda x: program(x) * cr.grad(program)(x))(2.0) == pytest.approx(6 * 2.0**2)
