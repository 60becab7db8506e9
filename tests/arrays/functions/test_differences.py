"""Differences, slopes, integrals, interpolation, convolution: NumPy's values, derivatives by differences."""

import numpy as np
import pytest

import chainrule as cr
from tests.helpers import check

RNG = np.random.default_rng(4)
V = RNG.normal(size=6)
A = RNG.normal(size=(3, 4))
T = RNG.normal(size=(3, 4, 5))
C = RNG.normal(size=4) + 1j * RNG.normal(size=4)
H = np.array([0.5, 1.0, 0.3, 2.0])
X = np.array([-1.0, -0.2, 0.5, 1.5])

CASES = {
    "diff": (np.diff, V),
    "diff twice": (lambda x: np.diff(x, n=2, axis=0), A),
    "diff of none": (lambda x: np.diff(x, n=0), V),
    "diff ends": (lambda x: np.diff(x, prepend=1.0, append=x[:, :2]), A),
    "diff too often": (lambda x: np.diff(x, n=9), V),
    "ediff1d": (np.ediff1d, A),
    "ediff1d ends": (lambda x: np.ediff1d(x, to_end=[1.0, 2.0], to_begin=x[0, 0] ** 2), A),
    "trapezoid": (np.trapezoid, A),
    "trapezoid dx": (lambda x: np.trapezoid(x, dx=0.3, axis=0), A),
    "trapezoid x": (lambda x: np.trapezoid(x, X, axis=1), A),
    "trapezoid x on an inner axis": (lambda x: np.trapezoid(x, X, axis=1), T),
    "trapezoid matrix": (lambda x: np.trapezoid(x, np.cumsum(A**2, axis=1)), A),
    "trapezoid traced x": (lambda x: np.trapezoid(np.sin(x), x), V),
    "gradient": (np.gradient, V),
    "gradient of a matrix": (lambda x: np.gradient(x), A),
    "gradient edges": (lambda x: np.gradient(x, 0.5, edge_order=2, axis=1), A),
    "gradient coordinates": (lambda x: np.gradient(x, X, axis=1), A),
    "gradient coordinate edges": (lambda x: np.gradient(x, X, axis=-1, edge_order=2), A),
    "gradient regular coordinates": (lambda x: np.gradient(x, [0.0, 0.5, 1.0], axis=0, edge_order=2), A),
    "gradient both": (lambda x: np.gradient(x, 2.0, X), A),
    "gradient axes": (lambda x: np.gradient(x, 0.5, 2.0, axis=(2, 0)), T),
    "gradient traced spacing": (lambda x: np.gradient(np.sin(x), x[0] ** 2), V),
    "gradient traced coordinates": (lambda x: np.gradient(np.sin(x), np.cumsum(1 + x**2), edge_order=2), V),
    "gradient complex": (np.gradient, C),
    "convolve same": (lambda x: np.convolve(x, [1.0, 2.0, 3.0], "same"), V),
    "convolve valid": (lambda x: np.convolve([1.0, 2.0], x, mode="valid"), V),
    "convolve with itself": (lambda x: np.convolve(x, x), V),
    "convolve number": (lambda x: np.convolve(x, 2.0), V),
    "convolve complex": (lambda x: np.convolve(x, C), C),
    "correlate complex": (lambda x: np.correlate(x, C[:2], "full"), C),
    "correlate complex second": (lambda x: np.correlate(C, x, "same"), C[:3]),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    f, x = CASES[name]
    check(f, x, exact=False, order=1 if np.iscomplexobj(x) else 2)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("function", [np.convolve, np.correlate])
@pytest.mark.parametrize("sizes", [(6, 4), (4, 6), (5, 3), (3, 3), (1, 4), (7, 1)])
def test_convolution(function, mode, sizes):
    a, v = (RNG.normal(size=n) for n in sizes)
    check(lambda a, v: function(a, v, mode), a, v, exact=False)


# -- interpolation ------------------------------------------------------------------------------------

KNOTS = np.array([-1.0, 0.2, 0.5, 2.0])
VALUES = np.array([0.3, -1.0, 2.0, 0.7])
POINTS = np.array([[-2.0, -0.5, 0.3], [0.45, 1.9, 2.5]])


@pytest.mark.parametrize(
    "options", [{}, {"left": -5.0}, {"left": 0.0, "right": 4.0}, {"period": 2.7}, {"period": -5.0}]
)
def test_interpolation(options):
    check(lambda x, xp, fp: np.interp(x, xp, fp, **options), POINTS, KNOTS, VALUES, exact=False)


def test_interpolation_of_numbers_and_complex_values():
    check(lambda x: np.interp(x, KNOTS, VALUES), 0.3)
    check(lambda x: np.interp(x, KNOTS, VALUES + 1j * VALUES[::-1]), POINTS, order=1)
    check(lambda f: np.interp(POINTS, KNOTS, f), VALUES + 1j * VALUES[::-1], order=1)
    check(lambda f: np.interp([0.0, 5.0], [1.0], f), np.array([2.0]))
    check(
        lambda left: np.interp(POINTS * left[0], KNOTS, VALUES, left=left[0], right=left[1]),
        np.array([1.1, 2.0]),
    )


def test_slopes_are_averaged_at_knots():
    slopes = np.array([0.0, *np.diff(VALUES) / np.diff(KNOTS), 0.0])
    want = (slopes[1:] + slopes[:-1]) / 2
    y, pullback = cr.vjp(lambda x, fp: np.interp(x, KNOTS, fp), KNOTS, VALUES)
    np.testing.assert_array_equal(y, VALUES)
    ct = np.array([1.0, 2.0, 3.0, 4.0])
    x_bar, f_bar = pullback(ct)
    np.testing.assert_allclose(x_bar, want * ct)
    np.testing.assert_array_equal(f_bar, ct)


def test_repeated_knots_are_steps():
    xp, fp = np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, 1.0, 5.0, 6.0])
    x = np.array([0.5, 1.5])
    with np.errstate(divide="ignore"):
        check(lambda x, fp: np.interp(x, xp, fp), x, fp)


def test_unusual_points():
    x = np.array([np.nan, np.inf, -np.inf, 0.3])
    y, pullback = cr.vjp(lambda x: np.interp(x, KNOTS, VALUES), x)
    np.testing.assert_array_equal(y, np.interp(x, KNOTS, VALUES))
    np.testing.assert_array_equal(pullback(np.ones(4))[0][1:3], 0)


ERRORS = [
    (lambda x: np.diff(x, n=-1), ValueError, "non-negative"),
    (lambda x: np.diff(x[0]), ValueError, "one dimensional"),
    (lambda x: np.ediff1d(x, to_end=1j), TypeError, "same_kind"),
    (lambda x: np.gradient(x, 1.0, 2.0), TypeError, "arguments"),
    (lambda x: np.gradient(x, edge_order=3), ValueError, "edge_order"),
    (lambda x: np.gradient(x[:1]), ValueError, "too small"),
    (lambda x: np.gradient(x, [1.0, 2.0]), ValueError, "match the length"),
    (lambda x: np.interp(x, [], []), ValueError, "empty"),
    (lambda x: np.interp(x, [1.0, 2.0], [1.0]), ValueError, "same length"),
    (lambda x: np.interp(x, x, x, period=0), ValueError, "non-zero"),
    (lambda x: np.interp(x, x[None], x[None]), ValueError, "1-D"),
    (lambda x: np.convolve(x, []), ValueError, "empty"),
    (lambda x: np.convolve(x, x, "half"), ValueError, "mode"),
    (lambda x: np.convolve(x, A), ValueError, "too deep"),
]


@pytest.mark.parametrize(("f", "kind", "message"), ERRORS)
def test_refusals(f, kind, message):
    with pytest.raises(kind, match=message):
        cr.vjp(f, V)


@pytest.mark.parametrize(
    "f",
    [
        np.diff,
        np.gradient,
        lambda x: np.interp(x, KNOTS, VALUES),
        lambda x: np.interp([0.1, 0.4], np.cumsum(x**2), x),
        lambda x: np.convolve(x, x),
        lambda x: np.trapezoid(x**2, x),
    ],
)
def test_batched(f):
    x = RNG.normal(size=(3, 4))
    hessian = cr.hessian(lambda x: np.sum(np.sin(f(x))))
    np.testing.assert_allclose(cr.vmap(f)(x), [f(row) for row in x])
    np.testing.assert_allclose(cr.vmap(hessian)(x), [hessian(row) for row in x], atol=1e-13)
