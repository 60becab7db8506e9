"""Functions compiled by the user's `numba.njit`, given to transformations: their source is differentiated."""

from __future__ import annotations

import numba
import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import LostDerivativeError

X = np.array([0.5, 1.5, 2.5])


@numba.njit
def squares(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i] ** 2
    return s


@numba.njit
def outer(x):
    return np.sin(squares(x))


@numba.njit(parallel=True)
def by_parts(x):
    s = 0.0
    for i in numba.prange(len(x)):
        s += np.sin(x[i]) * squares(x[: i + 1])
    return s


@numba.njit
def with_more(x):
    return squares(x), x * 2


@numba.njit
def cubic(t):
    return t**3


@pytest.mark.parametrize("f", [squares, outer, by_parts], ids=lambda f: f.__name__)
def test_every_transformation(f):
    plain = cr.jit(f, backend="python")
    expected = [(f.py_func(X + h) - f.py_func(X - h)) / 2e-6 for h in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(cr.grad(f)(X), expected, rtol=1e-7)
    value, gradient = cr.value_and_grad(f)(X)
    np.testing.assert_allclose([value, *gradient], [f(X), *cr.grad(plain)(X)])
    np.testing.assert_allclose(cr.hessian(f)(X), cr.hessian(plain)(X))
    np.testing.assert_allclose(cr.hvp(f, (X,), (X,)), cr.hessian(plain)(X) @ X)
    for made in (cr.jvp(f, (X,), (X,))[1], cr.linearize(f, X)[1](X), cr.vjp(f, X)[1](1.0)[0] @ X):
        np.testing.assert_allclose(made, gradient @ X)
    np.testing.assert_allclose(cr.vmap(f)(np.array([X, 2 * X])), [f(X), f(2 * X)])


def test_containers_auxiliary_results_and_orders():
    gradient, more = cr.grad(with_more, has_aux=True)(X)
    np.testing.assert_array_equal(gradient, 2 * X)
    np.testing.assert_array_equal(more, 2 * X)
    _, pullback, _ = cr.vjp(with_more, X, has_aux=True)
    np.testing.assert_array_equal(pullback(1.0)[0], 2 * X)
    _, change, _ = cr.jvp(with_more, (X,), (X,), has_aux=True)
    assert change == 2 * X @ X
    assert cr.derivative(cubic, 2)(2.0) == cr.grad(cr.grad(cubic))(2.0) == 12.0
    assert "def cubic" in cr.source(cr.grad(cubic), 2.0)


def test_a_transformation_of_a_compiled_function_inside_others():
    def inside(x):
        return cr.grad(squares)(x) @ x

    np.testing.assert_allclose(cr.grad(inside)(X), 4 * X)
    np.testing.assert_allclose(cr.jit(cr.grad(inside), backend="python")(X), 4 * X)


def test_it_is_read_and_compiled_once():
    assert cr.grad(squares).function.__transformation__.function is squares
    cr.jvp(squares, (X,), (X,))
    made = squares.__jitted__
    known = dict(made._derived)
    cr.jvp(squares, (X,), (X,))
    assert made is squares.__jitted__
    assert known == made._derived


def test_a_call_inside_eager_mode_names_the_way_out():
    with pytest.raises(LostDerivativeError, match=r"chainrule\.jit\(chainrule\.grad\(f\)\)"):
        cr.grad(lambda x: 2 * outer(x))(X)
    np.testing.assert_allclose(cr.jit(cr.grad(lambda x: 2 * outer(x)))(X), 4 * np.cos(squares(X)) * X)
