"""scipy.special and the special functions of math in native programs, against differences and mpmath."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.special as sc

import chainrule as cr

A = np.array([[0.3, 1.2, -0.4], [2.0, 0.1, 0.5]])


@pytest.mark.parametrize("backend", ["interpreter", "python", "numba"])
@pytest.mark.parametrize(
    ("f", "reference"),
    [
        (lambda x: math.erf(x) * math.erfc(x), lambda x: mpmath.erf(x) * mpmath.erfc(x)),
        (lambda x: math.gamma(x) + math.lgamma(x), lambda x: mpmath.gamma(x) + mpmath.loggamma(x)),
        (lambda x: sc.erfc(x) * sc.ndtr(x), lambda x: mpmath.erfc(x) * mpmath.ncdf(x)),
        (lambda x: sc.expit(x) * sc.j0(x), lambda x: mpmath.besselj(0, x) / (1 + mpmath.exp(-x))),
    ],
    ids=["erf", "gamma", "ndtr", "bessel"],
)
def test_numbers(f, reference, backend):
    assert math.isclose(cr.jit(f, backend=backend)(0.7), float(reference(0.7)), rel_tol=1e-13)
    slope = cr.jit(cr.grad(f), backend=backend)(0.7)
    assert math.isclose(slope, float(mpmath.diff(reference, 0.7)), rel_tol=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: sc.logsumexp(a),
        lambda a: sc.logsumexp(a, axis=1)[0] + sc.logsumexp(a, axis=0, keepdims=True)[0, 1],
        lambda a: np.sum(sc.logsumexp(a, axis=1, b=a**2)),
        lambda a: sc.softmax(a, axis=1)[0, 1] * sc.log_softmax(a)[1, 2],
    ],
    ids=["logsumexp", "axes", "weights", "softmax"],
)
def test_functions_that_scipy_has_in_python(f):
    np.testing.assert_allclose(cr.jit(f, backend="python")(A), f(A), rtol=1e-14)
    gradient = cr.jit(cr.grad(f), backend="python")(A)
    for k in np.ndindex(A.shape):
        e = np.zeros_like(A)
        e[k] = 1e-6
        np.testing.assert_allclose(gradient[k], (f(A + e) - f(A - e)) / 2e-6, atol=1e-8)


def test_the_logarithm_of_a_sum_without_overflow():
    x = np.array([1000.0, 1000.5, -np.inf])
    np.testing.assert_allclose(cr.jit(sc.logsumexp, backend="python")(x), sc.logsumexp(x))
