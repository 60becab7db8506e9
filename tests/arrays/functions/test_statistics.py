"""Averages, order statistics, covariances: values as NumPy's, derivatives against differences."""

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import LostDerivativeError, UnsupportedError
from tests.helpers import check

METHODS = [
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "linear",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "midpoint",
    "nearest",
]
MIDDLES = [np.median, lambda x: np.quantile(x, 0.3), lambda x: np.quantile(x, np.array([0.1, 0.2]), axis=0)]
RNG = np.random.default_rng(3)
V = RNG.normal(size=7)
A = RNG.normal(size=(4, 5))
T = RNG.normal(size=(2, 3, 4))
W = RNG.uniform(0.5, 2, size=(4, 5))
C = RNG.normal(size=(2, 4)) + 1j * RNG.normal(size=(2, 4))
HOLES = RNG.random((4, 5)) < 0.3
HOLES[:, 0] = False


def holed(x):
    return np.where(HOLES, np.nan, x)


CASES = {
    "median odd": (np.median, V),
    "median even": (np.median, V[:6]),
    "median number": (np.median, 2.0),
    "median axis": (lambda x: np.median(x, axis=0), A),
    "median keepdims": (lambda x: np.median(x, axis=(0, 2), keepdims=True), T),
    "median all keepdims": (lambda x: np.median(x, keepdims=True), A),
    "median of far ends": (lambda x: np.median(np.concatenate([x, [np.inf, -np.inf]])), V),
    "nanmedian": (lambda x: np.nanmedian(holed(x)), A),
    "nanmedian axis": (lambda x: np.nanmedian(holed(x), axis=1, keepdims=True), A),
    "quantile": (lambda x: np.quantile(x, 0.3), V),
    "quantile many": (lambda x: np.quantile(x, [0.0, 0.25, 0.9, 1.0]), V),
    "quantile grid": (lambda x: np.quantile(x, [[0.1, 0.2], [0.3, 0.4]], axis=1), A),
    "quantile keepdims": (lambda x: np.quantile(x, [0.1, 0.7], axis=(0, 2), keepdims=True), T),
    "quantile number keepdims": (lambda x: np.quantile(x, 0.2, axis=0, keepdims=True), A),
    "quantile of far ends": (lambda x: np.quantile(np.concatenate([x, [np.inf, -np.inf]]), 0.25), V),
    "percentile": (lambda x: np.percentile(x, [5, 95], axis=0), A),
    "percentile number": (lambda x: np.percentile(x, 50), V),
    "nanquantile": (lambda x: np.nanquantile(holed(x), [0.2, 0.8], axis=1), A),
    "nanquantile hazen": (lambda x: np.nanquantile(holed(x), 0.4, axis=0, method="hazen", keepdims=True), A),
    "nanpercentile": (lambda x: np.nanpercentile(holed(x), 30), A),
    "average": (np.average, A),
    "average axis": (lambda x: np.average(x, axis=(0, 2), keepdims=True), T),
    "average returned": (lambda x: np.average(x, axis=0, returned=True)[0], A),
    "average weighted": (lambda x: np.average(x, weights=W), A),
    "average by vector": (lambda x: np.average(x, axis=0, weights=[1, 2, 3, 4]), A),
    "average by matrix": (lambda x: np.average(x, axis=(2, 0), weights=RNG_WEIGHTS), T),
    "cov": (np.cov, A),
    "cov vector": (np.cov, V),
    "cov columns": (lambda x: np.cov(x, rowvar=False, bias=True), A),
    "cov pair": (lambda x: np.cov(x[0], x[1], ddof=0), A),
    "cov pair of matrices": (lambda x: np.cov(x, np.sin(x[:2])), A),
    "cov weighted": (lambda x: np.cov(x, fweights=[1, 2, 1, 3, 1], aweights=[1, 0.5, 2, 1, 1]), A),
    "cov complex": (np.cov, C),
    "corrcoef": (np.corrcoef, A),
    "corrcoef columns": (lambda x: np.corrcoef(x, rowvar=False), A),
    "corrcoef pair": (lambda x: np.corrcoef(x[0], x[1]), A),
    "corrcoef of one": (np.corrcoef, V),
}
RNG_WEIGHTS = RNG.uniform(0.5, 2, size=(4, 2))


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    f, x = CASES[name]
    check(f, x, exact=False, order=1 if np.iscomplexobj(x) else 2)


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_quantiles(method):
    q = np.linspace(0, 1, 14)
    check(lambda x: np.quantile(x, q, axis=0, method=method), A, exact=False)
    check(lambda x: np.nanpercentile(holed(x), 100 * q, axis=1, method=method), A, exact=False)


WEIGHTED = [
    lambda x, w: np.average(x, weights=w),
    lambda x, w: np.average(x, axis=1, weights=w, returned=True),
    lambda x, w: np.average(x, axis=0, weights=w[:, 0], returned=True),
    lambda x, w: np.average(A, axis=0, weights=w, keepdims=True) + x[0, 0],
    lambda x, w: np.cov(x, aweights=w[0]),
    lambda x, w: np.cov(x, ddof=0, fweights=[1, 1, 2, 1, 1], aweights=w[0]),
    lambda x, w: np.cov(x, w, rowvar=False),
    lambda x, w: np.quantile(x * w, 0.4, axis=1),
]


@pytest.mark.parametrize("f", WEIGHTED)
def test_both_arguments(f):
    check(f, A, W, exact=False)


TIES = [
    (np.median, [2.0, 1.0, 2.0], [0.5, 0.0, 0.5]),
    (np.median, [1.0, 2.0, 2.0, 3.0], [0.0, 0.5, 0.5, 0.0]),
    (np.median, [1.0, 2.0, 2.0, 2.0], [0.0, 1 / 3, 1 / 3, 1 / 3]),
    (lambda x: np.median(np.sqrt(x)), [0.0, 4.0, 4.0], [0.0, 0.125, 0.125]),
    (lambda x: np.quantile(x, 0.5), [3.0, 3.0, 3.0], [1 / 3] * 3),
    (lambda x: np.quantile(np.sqrt(x), 1.0), [0.0, 4.0], [0.0, 0.25]),
    (np.nanmedian, [1.0, np.nan, 1.0, 0.0], [0.5, 0.0, 0.5, 0.0]),
]


@pytest.mark.parametrize(("f", "x", "want"), TIES)
def test_ties_share(f, x, want):
    x = np.array(x)
    np.testing.assert_allclose(cr.grad(f)(x), want)
    np.testing.assert_allclose([cr.jvp(f, (x,), (e,))[1] for e in np.eye(x.size)], want)


@pytest.mark.parametrize("f", MIDDLES)
def test_nan_in_gives_nan(f):
    x = np.array([1.0, np.nan, 2.0])
    np.testing.assert_array_equal(cr.vjp(f, x)[0], f(x))


@pytest.mark.parametrize("f", [np.median, np.nanmedian, lambda x: np.median(x.reshape(0, 2), axis=0)])
def test_empty(f):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(cr.vjp(f, np.zeros(0))[0], f(np.zeros(0)))


@pytest.mark.parametrize("f", MIDDLES)
def test_single_precision(f):
    x = V.astype(np.float32)
    y, _ = cr.vjp(f, x)
    assert y.dtype == f(x).dtype
    np.testing.assert_allclose(y, f(x), rtol=1e-6)
    assert cr.grad(lambda x: np.sum(f(x)))(x).dtype == np.float32


def test_perfect_correlation_is_smooth():
    """The bound that rounding needs is no kink: at a correlation of 1 the Hessian is that of the quotient."""
    x = np.array([1.0, 2.0, 4.0])
    f = lambda e: np.corrcoef(x, 2 * x + e)[0, 1]
    h = 1e-3
    steps = np.eye(3) * h
    zero = np.zeros(3)
    np.testing.assert_allclose(cr.grad(f)(zero), 0, atol=1e-15)
    want = [[(f(a + b) - f(a - b) - f(b - a) + f(-a - b)) / (4 * h * h) for a in steps] for b in steps]
    np.testing.assert_allclose(cr.hessian(f)(zero), want, atol=1e-3)


ERRORS = [
    (lambda x: np.quantile(x, 1.5), ValueError, "range"),
    (lambda x: np.percentile(x, -1), ValueError, "range"),
    (lambda x: np.quantile(x, 0.5, method="magic"), ValueError, "magic"),
    (lambda x: np.quantile(x, x[0]), LostDerivativeError, "traced q"),
    (lambda x: np.quantile(x, 0.5, method="inverted_cdf", weights=np.ones(7)), UnsupportedError, "weights="),
    (lambda x: np.quantile(x * 1j, 0.5), TypeError, "real"),
    (lambda x: np.average(x, weights=np.zeros(7)), ZeroDivisionError, "sum to zero"),
    (lambda x: np.average(x, weights=np.ones(3)), TypeError, "Axis"),
    (lambda x: np.average(x, axis=0, weights=np.ones(3)), ValueError, "consistent"),
    (lambda x: np.cov(x, ddof=0.5), ValueError, "integer"),
    (lambda x: np.cov(x.reshape(1, 1, 7)), ValueError, "2 dimensions"),
    (lambda x: np.cov(x, aweights=-np.ones(7)), ValueError, "negative"),
]


@pytest.mark.parametrize(("f", "kind", "message"), ERRORS)
def test_refusals(f, kind, message):
    with pytest.raises(kind, match=message):
        cr.vjp(f, V)


@pytest.mark.parametrize(
    "f",
    [
        np.median,
        np.nanmedian,
        lambda x: np.quantile(x, [0.2, 0.7]),
        lambda x: np.nanquantile(x, [0.2, 0.7]),
        lambda x: np.average(x, weights=x**2),
        lambda x: np.cov(x.reshape(2, 2)),
        lambda x: np.corrcoef(x.reshape(2, 2), np.sin(x.reshape(2, 2))),
    ],
)
def test_batched(f):
    x = RNG.normal(size=(3, 4))
    hessian = cr.hessian(lambda x: np.sum(np.sin(f(x))))
    np.testing.assert_allclose(cr.vmap(f)(x), [f(row) for row in x], rtol=1e-12)
    np.testing.assert_allclose(cr.vmap(hessian)(x), [hessian(row) for row in x], rtol=1e-8, atol=1e-9)
