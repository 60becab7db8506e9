"""Kinks, poles and limits: one row per convention of P1 to P3, checked in every mode.

The expected numbers are worked out by hand from the conventions: at a kink the symmetric element of the
generalised gradient, at a pole a signed infinity, NaN where the function itself is NaN or 0 * inf truly arises.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy import inf, nan

import chainrule as cr
from tests.limits import limited

Row = Any

# (what, function of one element, point, derivative[, second derivative])
ELEMENTWISE: list[Row] = [
    # kinks
    ("abs at 0", abs, 0.0, 0.0, 0.0),
    ("abs at -0", abs, -0.0, 0.0, 0.0),
    ("np.abs at 0", np.abs, 0.0, 0.0, 0.0),
    ("fabs at 0", np.fabs, 0.0, 0.0, 0.0),
    ("maximum(x, 1) at 1", lambda x: np.maximum(x, 1.0), 1.0, 0.5, 0.0),
    ("maximum(1, x) at 1", lambda x: np.maximum(1.0, x), 1.0, 0.5, 0.0),
    ("maximum(x, x)", lambda x: np.maximum(x, x), 1.0, 1.0, 0.0),
    ("maximum(x, x^2) at 1", lambda x: np.maximum(x, x**2), 1.0, 1.5),
    ("minimum(x, 1) at 1", lambda x: np.minimum(x, 1.0), 1.0, 0.5, 0.0),
    ("minimum(x, x)", lambda x: np.minimum(x, x), 1.0, 1.0, 0.0),
    ("fmax(x, 1) at 1", lambda x: np.fmax(x, 1.0), 1.0, 0.5),
    ("fmin(x, 1) at 1", lambda x: np.fmin(x, 1.0), 1.0, 0.5),
    ("fmax(x, nan)", lambda x: np.fmax(x, nan), 1.0, 1.0),
    ("fmin(nan, x)", lambda x: np.fmin(nan, x), 1.0, 1.0),
    ("clip at its lower bound", lambda x: np.clip(x, 1.0, 2.0), 1.0, 0.5, 0.0),
    ("clip at its upper bound", lambda x: np.clip(x, 1.0, 2.0), 2.0, 0.5, 0.0),
    ("clip inside", lambda x: np.clip(x, 1.0, 2.0), 1.5, 1.0, 0.0),
    ("clip outside", lambda x: np.clip(x, 1.0, 2.0), 0.5, 0.0, 0.0),
    ("clip between equal bounds", lambda x: np.clip(x, 1.0, 1.0), 1.0, 0.0),
    ("relu at 0", lambda x: np.maximum(x, 0), 0.0, 0.5),
    ("hypot(x, 0) at 0", lambda x: np.hypot(x, 0.0), 0.0, 0.0),
    ("hypot(x, x) at 0", lambda x: np.hypot(x, x), 0.0, 0.0),
    ("copysign(x, 1) at 0", lambda x: np.copysign(x, 1.0), 0.0, 0.0),
    ("copysign(x, 1) at -2", lambda x: np.copysign(x, 1.0), -2.0, -1.0),
    ("interp at a knot of equal slopes", lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 2]), 1.0, 1.0),
    ("interp at a knot", lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 4]), 1.0, 2.0),
    ("interp at its end", lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 4]), 0.0, 0.5),
    ("interp outside", lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 4]), -1.0, 0.0),
    ("a branch at its boundary is as written", lambda x: np.where(x > 0, x, 2 * x), 0.0, 2.0, 0.0),
    # steps
    ("sign at 0", np.sign, 0.0, 0.0),
    ("floor at an integer", lambda x: np.floor(x) * x, 1.0, 1.0, 0.0),
    ("ceil at an integer", lambda x: np.ceil(x) * x, 1.0, 1.0, 0.0),
    ("trunc at an integer", lambda x: np.trunc(x) * x, 1.0, 1.0, 0.0),
    ("rint at a half", lambda x: np.rint(x) * x, 1.5, 2.0, 0.0),
    ("round at a half", lambda x: np.round(x) * x, 2.5, 2.0, 0.0),
    ("x // 1 at an integer", lambda x: (x // 1) * x, 3.0, 3.0, 0.0),
    ("heaviside in x", lambda x: np.heaviside(x, 0.5) * x, 2.0, 1.0),
    ("remainder at a multiple", lambda x: x % 2.0, 4.0, 1.0, 0.0),
    ("fmod at a multiple", lambda x: np.fmod(x, 2.0), 4.0, 1.0),
    ("modf, fraction", lambda x: np.modf(x)[0], 2.0, 1.0),
    ("frexp, mantissa", lambda x: np.frexp(x)[0], 3.0, 0.25),
    # powers
    ("x**0 at 0", lambda x: x**0, 0.0, 0.0, 0.0),
    ("x**0.0 at 0", lambda x: x**0.0, 0.0, 0.0, 0.0),
    ("x**0 at 2", lambda x: x**0, 2.0, 0.0, 0.0),
    ("x**1 at 0", lambda x: x**1, 0.0, 1.0, 0.0),
    ("x**2 at 0", lambda x: x**2, 0.0, 0.0, 2.0),
    ("x**2.0 at -3", lambda x: x**2.0, -3.0, -6.0, 2.0),
    ("x**3 at -2", lambda x: x**3, -2.0, 12.0, -12.0),
    ("x**3.0 at 0", lambda x: x**3.0, 0.0, 0.0, 0.0),
    ("x**-2 at -2", lambda x: x**-2, -2.0, 0.25, 6 / 16),
    ("x**0.5 at 0", lambda x: x**0.5, 0.0, inf),
    ("x**1.5 at 0", lambda x: x**1.5, 0.0, 0.0, inf),
    ("power(x, [0, 1, 2]) at 0", lambda x: np.sum(np.power(x[..., None], [0.0, 1.0, 2.0]), -1), 0.0, 1.0, 2.0),
    ("0**y at 2", lambda y: 0.0**y, 2.0, 0.0, 0.0),
    ("power(0, y) at 0.5", lambda y: np.power(0.0, y), 0.5, 0.0),
    ("power(0, y) at 0", lambda y: np.power(0.0, y), 0.0, -inf),
    ("1**y", lambda y: 1.0**y, 5.0, 0.0, 0.0),
    ("2**y", lambda y: 2**y, 1.0, 2 * np.log(2), 2 * np.log(2) ** 2),
    # poles
    ("sqrt at 0", np.sqrt, 0.0, inf),
    ("sqrt at -0", np.sqrt, -0.0, inf),
    ("cbrt at 0", np.cbrt, 0.0, inf),
    ("log at 0", np.log, 0.0, inf),
    ("log at -0", np.log, -0.0, inf),
    ("log2 at 0", np.log2, 0.0, inf),
    ("log10 at 0", np.log10, 0.0, inf),
    ("log1p at -1", np.log1p, -1.0, inf),
    ("reciprocal at 0", np.reciprocal, 0.0, -inf),
    ("reciprocal at -0", np.reciprocal, -0.0, -inf),
    ("power(x, -1) at 0", lambda x: np.power(x, -1.0), 0.0, -inf),
    ("arcsin at 1", np.arcsin, 1.0, inf),
    ("arcsin at -1", np.arcsin, -1.0, inf),
    ("arccos at 1", np.arccos, 1.0, -inf),
    ("arccos at -1", np.arccos, -1.0, -inf),
    ("arccosh at 1", np.arccosh, 1.0, inf),
    ("arctanh at 1", np.arctanh, 1.0, inf),
    ("arctanh at -1", np.arctanh, -1.0, inf),
    # where the function is NaN, and where 0 * inf truly arises
    ("sqrt of a negative number", np.sqrt, -1.0, nan, nan),
    ("log of a negative number", np.log, -1.0, nan, nan),
    ("log2 of a negative number", np.log2, -1.0, nan, nan),
    ("log10 of a negative number", np.log10, -1.0, nan, nan),
    ("log1p below -1", np.log1p, -2.0, nan, nan),
    ("arcsin outside", np.arcsin, 2.0, nan, nan),
    ("arccosh below 1", np.arccosh, 0.5, nan, nan),
    ("arccosh below -1", np.arccosh, -2.0, nan, nan),
    ("arctanh outside", np.arctanh, 2.0, nan, nan),
    ("a fractional power of a negative number", lambda x: np.power(x, 0.5), -1.0, nan, nan),
    ("arctan2 at the origin", lambda x: np.arctan2(x, 0.0), 0.0, nan),
    ("sqrt(x)**2 at 0", lambda x: np.sqrt(x) ** 2, 0.0, nan),
    ("sqrt(x**2) at 0", lambda x: np.sqrt(x**2), 0.0, nan),
    ("0 * sqrt(x) at 0", lambda x: np.sqrt(x) * 0.0, 0.0, nan),
    # limits at infinity and beyond the range
    ("exp overflows", np.exp, 1000.0, inf, inf),
    ("exp at -inf", np.exp, -inf, 0.0),
    ("expm1 at -inf", np.expm1, -inf, 0.0),
    ("tanh at inf", np.tanh, inf, 0.0),
    ("log at inf", np.log, inf, 0.0),
    ("sqrt at inf", np.sqrt, inf, 0.0),
    ("logaddexp(0, x) far left", lambda x: np.logaddexp(0.0, x), -1000.0, 0.0, 0.0),
    ("logaddexp(0, x) far right", lambda x: np.logaddexp(0.0, x), 1000.0, 1.0, 0.0),
    ("logaddexp with -inf", lambda x: np.logaddexp(x, -inf), 1.0, 1.0),
    ("logaddexp of two -inf", lambda x: np.logaddexp(x, -inf), -inf, 0.5),
    ("nan_to_num of NaN", np.nan_to_num, nan, 0.0),
    ("nan_to_num of inf", np.nan_to_num, inf, 0.0),
    ("sinc at 0", np.sinc, 0.0, 0.0, -(np.pi**2) / 3),
    ("angle of a real number", np.angle, 2.0, 0.0),
    # complex numbers in between
    ("|z| at 0", lambda x: np.abs(x + 0j), 0.0, 0.0),
    ("|x + ix| at 0", lambda x: np.abs(x + 1j * x), 0.0, 0.0),
]

# (what, function of an array, point, gradient)
REDUCTIONS: list[Row] = [
    ("norm at 0", np.linalg.norm, [0.0, 0, 0], [0.0, 0, 0]),
    ("norm of a matrix at 0", np.linalg.norm, np.zeros((2, 2)), np.zeros((2, 2))),
    ("1-norm with a zero", lambda x: np.linalg.norm(x, 1), [0.0, 1, -2], [0.0, 1, -1]),
    ("3-norm at 0", lambda x: np.linalg.norm(x, 3), [0.0, 0], [0.0, 0]),
    ("3-norm with a zero", lambda x: np.linalg.norm(x, 3), [0.0, 2], [0.0, 1]),
    ("inf-norm, tie", lambda x: np.linalg.norm(x, inf), [2.0, 1, -2], [0.5, 0, -0.5]),
    ("inf-norm at 0", lambda x: np.linalg.norm(x, inf), [0.0, 0], [0.0, 0]),
    ("-inf-norm, tie", lambda x: np.linalg.norm(x, -inf), [2.0, 2, -3], [0.5, 0.5, 0]),
    ("matrix 1-norm, tie", lambda x: np.linalg.norm(x, 1), [[1.0, 0], [0, 1]], [[0.5, 0], [0, 0.5]]),
    ("sqrt of a sum of squares at 0 is no norm", lambda x: np.sqrt(np.sum(x**2)), [0.0, 0], [nan, nan]),
    ("max, tie", np.max, [1.0, 1, 0], [0.5, 0.5, 0]),
    ("max of equals", np.max, [1.0, 1, 1], [1 / 3] * 3),
    ("min, tie", np.min, [1.0, 1, 2], [0.5, 0.5, 0]),
    ("ptp, tie", np.ptp, [1.0, 1, 2], [-0.5, -0.5, 1]),
    ("maximum.reduce, tie", np.maximum.reduce, [1.0, 1, 0], [0.5, 0.5, 0]),
    ("running maximum, tie", lambda x: np.sum(np.maximum.accumulate(x)), [1.0, 1, 0], [2.0, 1, 0]),
    ("Python's max takes the first", lambda x: max(x[0], x[1]), [1.0, 1], [1.0, 0]),
    ("median of equals", np.median, [1.0, 1, 1], [1 / 3] * 3),
    ("median of four equals", np.median, [1.0, 1, 1, 1], [0.25] * 4),
    ("median of an even number", np.median, [1.0, 2, 2, 3], [0.0, 0.5, 0.5, 0]),
    ("median, tie in the middle", np.median, [0.0, 1, 1, 1, 3], [0.0, 1 / 3, 1 / 3, 1 / 3, 0]),
    ("percentile of equals", lambda x: np.percentile(x, 50), [1.0, 1, 1], [1 / 3] * 3),
    ("sort, tie", lambda x: np.sort(x)[0], [1.0, 1, 2], [0.5, 0.5, 0]),
    ("partition of equals", lambda x: np.partition(x, 1)[1], [1.0, 1, 1], [1 / 3] * 3),
    ("prod with a zero", np.prod, [0.0, 2, 3], [6.0, 0, 0]),
    ("prod with two zeros", np.prod, [0.0, 0, 3], [0.0, 0, 0]),
    ("cumprod with a zero", lambda x: np.sum(np.cumprod(x)), [0.0, 2, 3], [9.0, 0, 0]),
    ("std of equals", np.std, [1.0, 1, 1], [0.0, 0, 0]),
    ("std of one", np.std, [5.0], [0.0]),
    ("var of equals", np.var, [1.0, 1, 1], [0.0, 0, 0]),
    ("nansum", np.nansum, [nan, 1.0], [0.0, 1]),
    ("nanmax, tie", np.nanmax, [nan, 1.0, 1.0], [0.0, 0.5, 0.5]),
    ("nanmean", np.nanmean, [nan, 1.0, 1.0], [0.0, 0.5, 0.5]),
    ("logaddexp.reduce of -inf", np.logaddexp.reduce, [-inf, -inf], [0.5, 0.5]),
    ("det of a zero matrix", np.linalg.det, [[0.0, 0], [0, 0]], [[0.0, 0], [0, 0]]),
    ("det of a singular matrix", np.linalg.det, [[1.0, 2], [2, 4]], [[4.0, -2], [-2, 1]]),
    ("trace of repeated eigenvalues", lambda x: np.sum(np.linalg.eigvalsh(x)), [[1.0, 0], [0, 1]], np.eye(2)),
    (
        "sum of repeated singular values",
        lambda x: np.sum(np.linalg.svd(x, compute_uv=False)),
        [[1.0, 0], [0, 1]],
        np.eye(2),
    ),
]


def elementwise_modes(f: Callable[..., Any], x: float) -> Iterator[tuple[str, Any]]:
    """The derivative of an elementwise function at a point, in every mode; name and number."""
    yield "jvp", cr.jvp(f, (x,), (1.0,))[1]
    yield "jvp, NumPy number", cr.jvp(f, (np.float64(x),), (1.0,))[1]
    yield "grad", cr.grad(f)(x)
    yield "grad, NumPy number", cr.grad(f)(np.float64(x))
    yield "value_and_grad", cr.value_and_grad(f)(x)[1]
    yield "derivative", cr.derivative(f)(x)
    yield "linearize", cr.linearize(f, x)[1](1.0)
    yield "vmap of grad", cr.vmap(cr.grad(f))(np.array([x, x]))[1]
    yield "vmap of jvp", cr.vmap(lambda t: cr.jvp(f, (t,), (1.0,))[1])(np.array([x, x]))[1]
    pair = np.array([x, x])
    yield "jvp, array", cr.jvp(f, (pair,), (np.ones(2),))[1][1]
    yield "grad, array", cr.grad(lambda a: np.sum(f(a)))(pair)[1]
    yield "linearize, array", cr.linearize(f, pair)[1](np.ones(2))[1]
    for name, jacobian in {"jacfwd": cr.jacfwd, "jacrev": cr.jacrev, "jacobian": cr.jacobian}.items():
        matrix = jacobian(f)(pair)
        assert matrix[0, 1] == matrix[1, 0] == 0.0, f"{name}: an element off the diagonal is {matrix[0, 1]}"
        yield name, matrix[1, 1]


def second_order_modes(f: Callable[..., Any], x: float) -> Iterator[tuple[str, Any]]:
    yield "forward over reverse", cr.jacfwd(cr.grad(f))(x)
    yield "reverse over reverse", cr.grad(cr.grad(f))(x)
    yield "forward over forward", cr.derivative(f, 2)(x)
    yield "reverse over forward", cr.grad(cr.derivative(f))(x)
    yield "hessian", cr.hessian(lambda a: np.sum(f(a)))(np.array([x, x]))[1, 1]
    yield "hvp", cr.hvp(lambda a: np.sum(f(a)), (np.array([x]),), (np.ones(1),))[0]


def array_modes(f: Callable[..., Any], x: np.ndarray) -> Iterator[tuple[str, Any]]:
    yield "grad", cr.grad(f)(x)
    yield "jacfwd", cr.jacfwd(f)(x)
    yield "jacrev", cr.jacrev(f)(x)
    yield "jacobian", cr.jacobian(f)(x)
    units = np.eye(x.size).reshape(x.size, *x.shape)
    yield "jvp", np.reshape([cr.jvp(f, (x,), (e,))[1] for e in units], x.shape)
    pushforward = cr.linearize(f, x)[1]
    yield "linearize", np.reshape([pushforward(e) for e in units], x.shape)
    yield "vmap of grad", cr.vmap(cr.grad(f))(np.stack([x, x]))[1]


def expect(found: Iterator[tuple[str, Any]], want: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the functions themselves warn at poles
        for mode, value in found:
            np.testing.assert_allclose(np.asarray(value, float), want, rtol=1e-12, atol=0, err_msg=mode)


def names(rows: list[Row]) -> list[str]:
    return [row[0] for row in rows]


_ARRAYS_ONLY = {"power(x, [0, 1, 2]) at 0"}


@pytest.mark.parametrize("row", ELEMENTWISE, ids=names(ELEMENTWISE))
def test_elementwise_convention(row: Row) -> None:
    what, f, x, want = row[:4]
    modes = elementwise_modes(f, x)
    if what in _ARRAYS_ONLY:
        pair = np.array([x, x])
        modes = iter([("jvp", cr.jvp(f, (pair,), (np.ones(2),))[1][0]), ("jacrev", cr.jacrev(f)(pair)[1, 1])])
    expect(modes, want)


SECOND = [row for row in ELEMENTWISE if len(row) > 4 and row[0] not in _ARRAYS_ONLY]


@pytest.mark.parametrize("row", SECOND, ids=names(SECOND))
def test_second_derivative_at_it(row: Row) -> None:
    _, f, x, _, second = row
    expect(second_order_modes(f, x), second)


@pytest.mark.parametrize("row", REDUCTIONS, ids=names(REDUCTIONS))
def test_convention_of_a_reduction(row: Row) -> None:
    _, f, x, want = row
    expect(array_modes(f, np.asarray(x, float)), want)


@pytest.mark.parametrize("row", ELEMENTWISE, ids=names(ELEMENTWISE))
def test_float32_has_the_same_conventions(row: Row) -> None:
    _, f, x, want = row[:4]
    pair = np.array([x, x], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradient = cr.grad(lambda a: np.sum(f(a)))(pair)
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, np.full(2, want), rtol=1e-5)


def test_derivative_arithmetic_never_warns() -> None:
    """Warnings are errors here: the primal is finite, the derivative is not."""
    assert cr.grad(np.sqrt)(0.0) == inf
    assert cr.jvp(np.sqrt, (0.0,), (1.0,))[1] == inf
    assert cr.grad(lambda x: np.sum(np.sqrt(x)))(np.zeros(3)).tolist() == [inf] * 3
    assert cr.grad(lambda x: np.arcsin(x) * 2)(1.0) == inf
    assert np.isnan(cr.grad(lambda x: np.sqrt(x) ** 2)(0.0))
    assert cr.jacfwd(np.cbrt)(0.0) == inf


def test_the_primal_warns_as_numpy_does() -> None:
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        cr.grad(np.log)(0.0)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        cr.jvp(np.sqrt, (-1.0,), (1.0,))


# -- measures in native mode ---------------------------------------------------------------------------

MEASURES: dict[str, Callable[..., Any]] = {
    "var": lambda x: np.var(x),
    "var, complex": lambda x: np.var((1 + 2j) * x),
    "var along an axis": lambda x: np.sum(np.var(np.outer(x, np.array([1.0, 2.0])), axis=0)),
    "std": lambda x: np.std(x),
    "std, ddof": lambda x: np.std(x, ddof=1),
    "std, complex": lambda x: np.std((1 + 2j) * x),
    "std along an axis": lambda x: np.sum(np.std(np.outer(x, np.array([1.0, 2.0])), axis=0)),
    "std of one element": lambda x: np.std(x[:1]),
    "norm": lambda x: np.linalg.norm(x),
    "norm, complex": lambda x: np.linalg.norm((1 + 2j) * x),
    "norm along an axis": lambda x: np.sum(np.linalg.norm(np.outer(x, np.array([1.0, 0.0])), axis=0)),
    "norm of a matrix": lambda x: np.linalg.norm(np.outer(x, x + 1.0)),
    "norm of order 3": lambda x: np.linalg.norm(x, 3),
    "norm of order 1/2": lambda x: np.linalg.norm(x, 0.5),
    "largest": lambda x: np.linalg.norm(x, np.inf),
}
PLACES = [[2.0], [0.0], [3.0, 3.0, 3.0], [0.0, 0.0], [1.0, 1.0, 4.0], [-2.0, 0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("name", MEASURES)
def test_native_mode_agrees_where_elements_are_equal_or_zero(name: str) -> None:
    f = MEASURES[name]
    orders = (
        lambda x, t: cr.grad(f)(x),
        lambda x, t: cr.jvp(f, (x,), (t,))[1],
        lambda x, t: cr.jvp(cr.grad(f), (x,), (t,))[1],
        lambda x, t: cr.grad(lambda y: cr.jvp(f, (y,), (t,))[1])(x),
    )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for derivative in orders:
            compiled = cr.jit(derivative, backend="interpreter")
            for place in PLACES:
                x, t = np.array(place), np.arange(1.0, len(place) + 1.0)
                np.testing.assert_allclose(compiled(x, t), derivative(x, t), rtol=1e-10, atol=1e-12, err_msg=str(place))


@pytest.mark.parametrize("backend", ["interpreter", "python", "numba"])
def test_second_derivatives_of_measures(backend: str) -> None:
    """At elements that are equal to the mean, or zero: by their formulas."""
    x, y = np.array([3.0, 3.0, 3.0]), np.array([0.0, 0.0, 2.0])
    both = cr.jit(lambda x, y: (cr.hessian(np.var)(x), cr.hessian(np.linalg.norm)(y)), backend=backend)(x, y)
    np.testing.assert_allclose(both[0], 2 / 3 * (np.eye(3) - 1 / 3), atol=1e-15)
    np.testing.assert_allclose(both[1], np.diag([0.5, 0.5, 0.0]), atol=1e-15)


@pytest.mark.parametrize("backend", ["interpreter", "python"])
@pytest.mark.parametrize(
    ("largest", "values"),
    [(np.max, [1.0, 3.0, 3.0]), (np.max, [np.inf, 0.0, np.inf]), (np.min, [-np.inf, -np.inf]), (np.max, [-0.0, -1.0])],
)
def test_elements_that_are_all_the_largest_share(largest: Any, values: list[float], backend: str) -> None:
    x, f = np.array(values), lambda x: largest(x)
    top = largest(x)
    value, slopes = cr.jit(cr.value_and_grad(f), backend=backend)(x)
    assert value == top
    assert np.signbit(value) == np.signbit(top)
    np.testing.assert_array_equal(slopes, (x == top) / np.sum(x == top))
    np.testing.assert_array_equal(cr.grad(largest)(x), slopes)
    with pytest.raises(ValueError, match="no identity"):
        cr.jit(f, backend=backend)(np.zeros(0))


def test_ties_of_sorted_values() -> None:
    slopes = lambda x: cr.grad(lambda x: np.sum(np.sort(x) * np.array([1.0, 2.0])))(x)
    np.testing.assert_allclose(slopes(np.ones(2)), [1.5, 1.5])
    with limited("ties of sorted values", "native"):
        np.testing.assert_allclose(cr.jit(slopes, backend="interpreter")(np.ones(2)), [1.5, 1.5])
