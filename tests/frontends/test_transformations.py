"""Transformations inside programs: Jacobians by several columns at a time."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import AliasError, UnsupportedError


def three(x, s):
    y = np.zeros((len(x), 2))
    for i in range(len(x)):
        y[i, 0] = np.sin(x[i]) * s
        y[i, 1] = x[i - 1] * x[i] ** 2
    return y


@pytest.mark.parametrize("n", [1, 15, 16, 18, 21])
def test_columns_are_computed_several_at_a_time(n: int) -> None:
    """Any number of columns, of arrays and numbers together."""
    x = np.linspace(0.2, 1.4, n)
    by_x, by_s = cr.jit(cr.jacfwd(three, argnums=(0, 1)), backend="python")(x, 0.7)
    np.testing.assert_allclose(by_x, cr.numerical.jacobian(lambda x: three(x, 0.7), x), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(by_s, np.stack([np.sin(x), np.zeros(n)], axis=1), rtol=1e-13)
    np.testing.assert_array_equal(cr.jit(cr.jacfwd(three), backend="python")(x, 0.7), by_x)


def test_a_hessian_by_several_columns() -> None:
    x = np.linspace(-0.5, 0.8, 17)

    def f(x):
        return np.sum(x[1:] * np.exp(x[:-1])) ** 2

    np.testing.assert_allclose(cr.jit(cr.hessian(f), backend="python")(x), cr.hessian(f)(x), rtol=1e-12, atol=1e-12)


def test_columns_of_numbers() -> None:
    def f(a, b, c, d, e):
        return (a * b * c * d * e, np.sin(a) + e)

    args = (0.3, 0.5, 0.7, 0.9, 1.1)
    found = cr.jit(cr.jacfwd(f, argnums=tuple(range(5))), backend="python")(*args)
    expected = cr.jacfwd(f, argnums=tuple(range(5)))(*args)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_what_a_result_does_not_depend_on_is_a_structural_zero() -> None:
    """A pole of one result does not touch another, nor does an argument that is not differentiated."""

    def f(x, y):
        return x * x, x / y

    for transformation in (cr.jacrev, cr.jacfwd):
        compiled = cr.jit(transformation(f, argnums=(0, 1)), backend="python")
        first, second = compiled(3.0, 0.0)
        assert first == (6.0, 0.0)
        assert second == (np.inf, -np.inf)


def test_the_auxiliary_result_is_not_differentiated() -> None:
    def f(x, y):
        return x * x, {"ratio": x / y, "row": np.ones(2) * x / y}

    gradient, aux = cr.jit(cr.grad(f, argnums=(0, 1), has_aux=True), backend="python")(3.0, 0.0)
    assert gradient == (6.0, 0.0)
    assert aux["ratio"] == np.inf


def writes_first(a, b):
    a[0] = b[1] * 2
    return np.sum(a * b)


def of_the_same(y):
    return cr.grad(writes_first)(y, y)[0]


def test_what_is_written_to_shares_no_memory() -> None:
    """A transformed function writes to copies, which another name of the array would not see."""
    y = np.ones(3)
    compiled = cr.jit(cr.grad(writes_first), backend="python")
    np.testing.assert_array_equal(compiled(np.arange(3.0), y), [0.0, 1.0, 1.0])
    for args in ((y, y), (y[:2], y[1:])):
        with pytest.raises(AliasError, match=r"'a'.*'b'"):
            compiled(*args)
    with pytest.raises(UnsupportedError, match="may share memory"):
        cr.jit(of_the_same)(y)
