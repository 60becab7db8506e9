"""The imperative style: `variable`, ``backward``, ``grad``."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, LostDerivativeError

X = np.array([0.5, -1.0, 2.0])


def test_the_tutorials_example() -> None:
    a, b = cr.variable(2.0), cr.variable(-3.0)
    left, right = a * b, np.sin(a) / b
    c = left + right
    assert c.parents == (left, right)
    assert left.parents == (a, b)
    c.backward()
    assert a.grad == pytest.approx(-3.0 + np.cos(2.0) / -3.0)
    assert b.grad == pytest.approx(2.0 - np.sin(2.0) / 9.0)
    assert type(a.grad) is float
    assert c.grad == 1.0
    assert c.value == pytest.approx(-6.0 - np.sin(2.0) / 3.0)
    assert left.grad == 1.0
    assert b.parents == c.parents == ()  # the graph has been freed
    assert "variable(2.0" in repr(a)


def test_gradients_accumulate_until_they_are_forgotten() -> None:
    x = cr.variable(3.0)
    (x * x).backward()
    (x * x).backward()
    assert x.grad == 12.0
    x.zero_grad()
    assert x.grad is None
    (x**3).backward()
    assert x.grad == 27.0


def test_a_shared_subexpression_is_swept_once() -> None:
    x = cr.variable(1.0)
    y = x
    for _ in range(60):
        y = y + y  # 2^60 paths
    y.backward()
    assert x.grad == 2.0**60


def test_arrays() -> None:
    w, x = cr.variable(np.eye(3) * 2), cr.variable(X)
    loss = np.sum((w @ x) ** 2)
    loss.backward()
    np.testing.assert_allclose(x.grad, 8 * X)
    np.testing.assert_allclose(w.grad, 4 * np.outer(X, X))
    assert (w.grad.shape, w.grad.dtype) == ((3, 3), np.float64)
    y = x * 2
    y.backward(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(x.grad, 8 * X + [2, 4, 6])
    np.testing.assert_allclose(y.grad, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("dtype", ["e", "f", "d", "g", "F", "D"])
def test_dtypes_are_kept(dtype: str) -> None:
    x = cr.variable(X.astype(dtype))
    np.sum(np.abs(x * x)).backward()
    assert x.grad.dtype == np.dtype(dtype)
    s = cr.variable(X.astype(dtype)[0])
    abs(s * s).backward()
    assert type(s.grad) is np.dtype(dtype).type


def test_integers_are_promoted_and_booleans_refused() -> None:
    x = cr.variable(3)
    (x * x).backward()
    assert x.grad == 6.0
    assert cr.variable(np.array([1, 2])).value.dtype == np.float64
    for value in (True, "text", None, np.array([True]), np.array([1.0, None])):
        with pytest.raises(ArgumentError):
            cr.variable(value)
    with pytest.raises(ArgumentError, match="traced"):
        cr.grad(lambda x: cr.variable(x))(1.0)


def test_the_content_is_the_variables_own() -> None:
    given = X.copy()
    x = cr.variable(given)
    loss = np.sum(x * x)
    given[:] = 0.0
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2 * X)
    with pytest.raises(ValueError, match="read-only"):
        x.value[0] = 1.0
    with pytest.raises(LostDerivativeError, match="leaf variable"):
        x[0] = 1.0


def test_gradient_descent() -> None:
    x = cr.variable(X)
    for _ in range(200):
        x.zero_grad()
        np.sum((x - 1.0) ** 2).backward()
        x.value = x.value - 0.1 * x.grad
    np.testing.assert_allclose(x.value, 1.0, atol=1e-6)


def test_updates_do_not_reach_graphs_that_exist() -> None:
    x = cr.variable(X)
    loss = np.sum(x * x)
    x.value = 0 * X
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2 * X)


def test_backward_frees_the_graph_unless_told_otherwise() -> None:
    x = cr.variable(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 8.0
    with pytest.raises(ArgumentError, match="retain_graph"):
        y.backward()


def test_backward_of_an_array_needs_a_gradient_of_its_shape() -> None:
    y = cr.variable(X) * 2
    with pytest.raises(ArgumentError, match="shape"):
        y.backward()
    for gradient in (np.ones(2), 1.0, 1j * X, "abc"):
        with pytest.raises(ArgumentError):
            y.backward(gradient)


def test_writes_into_computed_arrays() -> None:
    x = cr.variable(X)
    y = x * 1.0
    y[0] = y[1] * y[2]
    y[1:] *= 2.0
    np.sum(y).backward()
    np.testing.assert_allclose(x.grad, [0.0, 2.0 + 2.0, -1.0 + 2.0])


def test_later_writes_do_not_reach_inner_transformations() -> None:
    x = cr.variable(X)
    y = x * 1.0

    def f(t: Any) -> Any:
        z = t * y
        y[0] = 100.0
        return np.sum(z)

    gradient = cr.grad(f)(np.ones(3))
    np.testing.assert_array_equal(gradient.value, X)
    np.sum(gradient * np.array([1.0, 2.0, 3.0])).backward()
    np.testing.assert_array_equal(x.grad, [1.0, 2.0, 3.0])


def test_structural_zeros() -> None:
    x = cr.variable(np.array([0.0, 4.0]))
    np.where(x > 0, np.sqrt(x), 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.25])


def test_several_outputs_raise_or_differentiate() -> None:
    x = cr.variable(np.diag([1.0, 2.0]))
    try:
        np.linalg.eigh(x)[0][1].backward()
    except LostDerivativeError as error:
        assert "chainrule.grad" in str(error)
    else:
        np.testing.assert_allclose(x.grad, np.diag([0.0, 1.0]))


def test_long_chains_need_no_recursion() -> None:
    x = cr.variable(1.0)
    y = x
    for _ in range(20_000):
        y = y * 1.0001
    y.backward()
    assert x.grad == pytest.approx(1.0001**20_000)
    del y  # nor does freeing them


def test_long_chains_that_are_dropped_unswept_need_no_recursion() -> None:
    y = cr.variable(1.0)
    for _ in range(50_000):
        y = y + 1.0
    assert y.value == 50_001.0
    del y


def test_what_is_not_used_is_freed() -> None:
    x = cr.variable(X)
    gc.disable()
    try:
        y = x * 2
        reference = weakref.ref(y)
        del y
        assert reference() is None
        loss = np.sum(np.sin(x) ** 2)
        reference = weakref.ref(loss)
        loss.backward()
        del loss
        assert reference() is None
    finally:
        gc.enable()


def test_inside_transformations_variables_are_constants_and_outside_they_go_on() -> None:
    v = cr.variable(3.0)
    gradient = cr.grad(lambda x: x * x * v)(2.0)  # 4 v
    gradient.backward()
    assert gradient.value == 12.0
    assert v.grad == 4.0
    v.zero_grad()
    _, slope = cr.jvp(lambda x: x * v * v, (2.0,), (1.0,))
    slope.backward()
    assert v.grad == 6.0


def test_losses_raise() -> None:
    x = cr.variable(2.0)
    for lose in (float, int, complex, np.asarray, hash, lambda v: v.item()):
        with pytest.raises(LostDerivativeError):
            lose(x)


def test_comparisons_and_branches() -> None:
    x = cr.variable(2.0)
    y = x * x if x > 1 else x
    y.backward()
    assert x.grad == 4.0


@pytest.mark.parametrize("f", [np.exp, np.tanh, lambda x: x**3, lambda x: np.cumsum(x)[::-1], lambda x: np.outer(x, x)])
def test_the_gradient_is_that_of_grad(f: Any) -> None:
    x = cr.variable(X)
    np.sum(f(x) * 1.5).backward()
    np.testing.assert_allclose(x.grad, cr.grad(lambda x: np.sum(f(x) * 1.5))(X), rtol=1e-14)
