"""A minute of everything, first in CI: one small program through each transformation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr

X = np.array([0.5, -1.0, 2.0])
V = np.array([1.0, 2.0, -1.0])


def f(x: Any) -> Any:
    return np.sum(np.sin(x) * x)


G = np.cos(X) * X + np.sin(X)
H = np.diag(2 * np.cos(X) - np.sin(X) * X)


def test_the_textbook() -> None:
    value, gradient = cr.value_and_grad(lambda x, y: x * y + np.exp(x * y) - np.sin(y), argnums=(0, 1))(1.5, 0.5)
    assert value == pytest.approx(0.75 + np.exp(0.75) - np.sin(0.5))
    assert gradient == pytest.approx((0.5 * (1 + np.exp(0.75)), 1.5 * (1 + np.exp(0.75)) - np.cos(0.5)))


def test_first_order() -> None:
    np.testing.assert_allclose(cr.grad(f)(X), G)
    assert cr.jvp(f, (X,), (V,))[1] == pytest.approx(G @ V)
    np.testing.assert_allclose(cr.vjp(f, X)[1](2.0)[0], 2 * G)
    assert cr.linearize(f, X)[1](V) == pytest.approx(G @ V)
    for transform in (cr.jacobian, cr.jacfwd, cr.jacrev):
        np.testing.assert_allclose(transform(lambda x: np.outer(x, [1, 2]))(X)[:, 1], 2 * np.eye(3))
    assert cr.derivative(np.sin)(0.0) == 1.0


def test_second_order() -> None:
    np.testing.assert_allclose(cr.hessian(f)(X), H, atol=1e-15)
    np.testing.assert_allclose(cr.hvp(f, (X,), (V,)), H @ V)
    assert cr.grad(cr.grad(lambda x: x**4))(2.0) == 48.0


def test_programs() -> None:
    def program(x: Any) -> Any:
        y = cr.numpy.zeros(3)
        for k in range(3):
            y[k] = x[k] * 2 if x[k] > 0 else x[k] ** 2
        y[1:] *= x[0]
        return np.linalg.norm(np.linalg.solve(np.eye(3) * 2, y))

    h = 1e-6
    want = [(program(X + h * e) - program(X - h * e)) / (2 * h) for e in np.eye(3)]
    np.testing.assert_allclose(cr.grad(program)(X), want, rtol=1e-7)
    np.testing.assert_allclose(cr.jacfwd(program)(X), want, rtol=1e-7)


def test_containers_and_rows() -> None:
    gradient = cr.grad(lambda p: p["w"] @ p["x"][0])({"w": X, "x": (V, 1)})
    np.testing.assert_array_equal(gradient["w"], V)
    np.testing.assert_allclose(cr.vmap(cr.grad(f))(np.stack([X, X])), np.stack([G, G]))


def test_own_rules_and_variables() -> None:
    @cr.custom_jvp
    def cube(x: Any) -> Any:
        return x**3

    cube.defjvp(lambda p, t: (p[0] ** 3, 3 * p[0] ** 2 * t[0]))
    assert cr.grad(cube)(2.0) == 12.0
    assert cr.grad(lambda x: x * cr.stop_gradient(x))(3.0) == 3.0
    np.testing.assert_allclose(cr.grad(lambda x: cr.checkpoint(f)(x))(X), G)
    x = cr.variable(X)
    f(x).backward()
    np.testing.assert_allclose(x.grad, G)


def test_right_or_loud() -> None:
    assert cr.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)))(np.array([0.0, 4.0])).tolist() == [0.0, 0.25]
    assert cr.grad(abs)(0.0) == 0.0
    assert cr.grad(np.sqrt)(0.0) == np.inf
    assert cr.grad(lambda x: x * cr.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    for lose in (float, np.asarray, lambda x: np.zeros(1).__setitem__(0, x), np.busday_count):
        with pytest.raises((cr.errors.ChainruleError, TypeError)):
            cr.grad(lambda x: lose(x) or x)(1.0)


def test_numerical_and_testing() -> None:
    assert cr.numerical.derivative(np.sin, 0.3) == pytest.approx(np.cos(0.3), rel=1e-8)
    cr.testing.check_grads(f, (X,))
