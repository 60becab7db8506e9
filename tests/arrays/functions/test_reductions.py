"""Reductions, cumulative operations and ufunc methods: values as NumPy's, derivatives against differences."""

import warnings

import mpmath
import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import LostDerivativeError, UnsupportedError
from tests.helpers import check

RNG = np.random.default_rng(1)
V = RNG.normal(size=5)
A = RNG.normal(size=(3, 4))
T = RNG.normal(size=(2, 3, 4))
P = RNG.uniform(0.5, 2, size=(3, 4))
M = RNG.random((3, 4)) < 0.7
M[0] = [True, False, True, True]
C = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
GAPS = A.copy()
GAPS[0, 1] = GAPS[2, 3] = np.nan


def filled(x):
    """`x` with the elements of GAPS that are NaN."""
    return np.where(np.isnan(GAPS), np.nan, x)


# -- every function with its options ------------------------------------------------------------------

AXES = [{}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)}, {"axis": (2, 0)}, {"axis": ()}]
CASES = []
for name in ("sum", "mean", "prod", "max", "min", "var", "std", "ptp"):
    for options in AXES:
        if name in ("var", "std") and options.get("axis") == ():
            continue
        CASES.append((name, T, options))
CASES += [
    ("sum", 2.5, {}),
    ("sum", np.float64(2.5), {"axis": 0}),
    ("sum", np.zeros((0, 3)), {}),
    ("sum", np.zeros((0, 3)), {"axis": 0}),
    ("sum", A, {"where": M, "axis": 1}),
    ("sum", A, {"where": M[0], "initial": 2.0}),
    ("sum", A, {"dtype": np.float32}),
    ("sum", C, {"axis": 1}),
    ("sum", V.astype(np.float32), {"dtype": np.float64}),
    ("prod", 2.5, {}),
    ("prod", np.zeros((0, 3)), {"axis": 0}),
    ("prod", A, {"where": M, "axis": 1, "initial": 3.0}),
    ("prod", C, {"axis": 0}),
    ("prod", np.array([0.0, 2.0, 3.0]), {}),
    ("prod", np.array([0.0, 2.0, 0.0]), {}),
    ("prod", np.array([[0.0, 2.0], [1.0, 0.0], [3.0, 4.0]]), {"axis": 1, "keepdims": True}),
    ("mean", 2.5, {}),
    ("mean", A, {"where": M, "axis": 1}),
    ("mean", A, {"where": M, "keepdims": True}),
    ("mean", C, {"axis": 1}),
    ("max", 2.5, {}),
    ("max", A, {"axis": 1, "initial": 0.1}),
    ("max", A, {"axis": 1, "initial": 0.1, "where": M}),
    ("max", A, {"initial": 9.0, "keepdims": True}),
    ("max", np.zeros((2, 0)), {"axis": 1, "initial": 3.0}),
    ("min", A, {"axis": 0, "initial": -0.1, "where": M}),
    ("var", A, {"ddof": 1}),
    ("var", A, {"axis": 1, "correction": 1}),
    ("var", A, {"axis": 1, "where": M, "keepdims": True}),
    ("var", A, {"axis": 1, "where": M}),
    ("var", A, {"axis": 1, "mean": np.full((3, 1), 0.3)}),
    ("var", C, {"axis": 1}),
    ("var", C, {"ddof": 1.5}),
    ("std", A, {"ddof": 1, "axis": 0}),
    ("std", A, {"axis": 1, "where": M}),
    ("std", C, {"axis": 1, "keepdims": True}),
    ("cumsum", A, {}),
    ("cumsum", A, {"axis": 0}),
    ("cumsum", A, {"axis": -1}),
    ("cumsum", 2.0, {}),
    ("cumsum", C, {"axis": 1}),
    ("cumprod", A, {}),
    ("cumprod", A, {"axis": 0}),
    ("cumprod", C, {"axis": 1}),
    ("cumprod", np.array([2.0, 0.0, 3.0, 0.0, 4.0]), {}),
    ("cumprod", np.zeros(0), {}),
    ("cumulative_sum", V, {}),
    ("cumulative_sum", A, {"axis": 1, "include_initial": True}),
    ("cumulative_prod", A, {"axis": -2, "include_initial": True}),
]
CASES = [case for case in CASES if hasattr(np, case[0])]


def ids(cases):
    return [f"{c[0]}-{np.shape(c[1])}-{','.join(c[-1])}-{k}" for k, c in enumerate(cases)]


@pytest.mark.parametrize(("name", "x", "options"), CASES, ids=ids(CASES))
def test_function(name, x, options):
    function = getattr(np, name)
    order = 2 if np.asarray(x).dtype == np.float64 and options.get("dtype") is None else 1
    tolerance = 1e-6 if order == 2 or np.asarray(x).dtype.kind == "c" else 2e-2
    if options.get("dtype") is np.float32 or np.asarray(x).dtype == np.float32:
        want = cr.grad(lambda x: np.sum(function(x) ** 2))(x)
        np.testing.assert_allclose(cr.grad(lambda x: np.sum(function(x, **options) ** 2))(x), want, rtol=1e-5)
        assert cr.value_and_grad(lambda x: function(x, **options))(x)[0].dtype == options["dtype"]
        return
    check(lambda x: function(x, **options), x, order=order, tolerance=tolerance, exact=False)


NAN_CASES = [
    (name, options)
    for name in ("nansum", "nanmean", "nanprod", "nanmax", "nanmin", "nanvar", "nanstd")
    for options in ({}, {"axis": 0}, {"axis": 1, "keepdims": True}, {"axis": (0, 1)})
] + [
    ("nansum", {"where": M, "axis": 1, "initial": 1.0}),
    ("nanmean", {"where": M, "axis": 1}),
    ("nanvar", {"ddof": 1, "axis": 1}),
    ("nanstd", {"where": M, "axis": 1}),
    ("nanmax", {"initial": 0.2, "axis": 1}),
    ("nanmax", {"initial": -5.0, "axis": 1, "where": M}),
    ("nancumsum", {"axis": 1}),
    ("nancumprod", {}),
]


@pytest.mark.parametrize(("name", "options"), NAN_CASES)
def test_nan_functions_leave_nans_out(name, options):
    function = getattr(np, name)
    check(lambda x: function(filled(x), **options), A, exact=False)
    with np.errstate(invalid="ignore"):
        root = cr.grad(lambda x: np.sum(function(np.sqrt(x), **options)))(np.where(np.isnan(GAPS), -1.0, P))
    assert np.all(np.isfinite(root))
    assert np.all(root[np.isnan(GAPS)] == 0)


@pytest.mark.parametrize("name", ["nanmean", "nanmax", "nanmin", "nanvar", "nanstd", "nanmedian"])
def test_rows_of_nans(name):
    function = getattr(np, name)
    x = np.array([[np.nan, np.nan], [1.0, 2.5]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = function(x, axis=1)
    with pytest.warns(RuntimeWarning):
        y, _ = cr.vjp(lambda x: function(x, axis=1), x)
    np.testing.assert_array_equal(y, want)
    with pytest.warns(RuntimeWarning):
        gradient = cr.grad(lambda x: function(x, axis=1)[1])(x)
    assert np.all(gradient[0] == 0)
    np.testing.assert_allclose(gradient[1], cr.grad(function)(x[1]))


# -- kinks and poles ----------------------------------------------------------------------------------

KINKS = [
    (np.max, [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
    (np.min, [1.0, 0.0, 0.0, 0.0], [0.0, 1 / 3, 1 / 3, 1 / 3]),
    (lambda x: np.max(x, initial=1.0), [1.0, 1.0, 0.0], [1 / 3, 1 / 3, 0.0]),
    (lambda x: np.max(x, initial=2.0), [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]),
    (
        lambda x: np.max(x, where=np.array([1, 0, 1], bool), initial=-9.0),
        [1.0, 5.0, 1.0],
        [0.5, 0.0, 0.5],
    ),
    (np.ptp, [2.0, 2.0, 2.0], [0.0, 0.0, 0.0]),
    (np.ptp, [2.0, 5.0, 2.0], [-0.5, 1.0, -0.5]),
    (np.std, [2.0, 2.0, 2.0], [0.0, 0.0, 0.0]),
    (np.std, [0.1, 0.1, 0.1], [0.0, 0.0, 0.0]),
    (lambda x: np.std(x, ddof=1), [0.1, 0.1, 0.1], [0.0, 0.0, 0.0]),
    (lambda x: np.std(x, where=np.array([True, True, False])), [0.1, 0.1, 3.0], [0.0, 0.0, 0.0]),
    (np.nanstd, [0.1, 0.1, np.nan, 0.1], [0.0, 0.0, 0.0, 0.0]),
    (np.var, [2.0, 2.0], [0.0, 0.0]),
    (lambda x: np.prod(x), [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    (lambda x: np.prod(x), [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]),
    (lambda x: np.max(np.sqrt(x)), [0.0, 4.0], [0.0, 0.25]),
    (lambda x: np.sum(np.sqrt(x), where=x > 0), [0.0, 4.0], [0.0, 0.25]),
    (lambda x: np.sum(np.std(np.stack([x, x[::-1]]), axis=0)), [1.0, 3.0], [-1.0, 1.0]),
    (lambda x: np.maximum.accumulate(x)[-1], [1.0, 1.0, 0.0, 1.0], [1 / 3, 1 / 3, 0.0, 1 / 3]),
    (lambda x: np.maximum.accumulate(np.sqrt(x))[-1], [0.0, 4.0], [0.0, 0.25]),
]


@pytest.mark.parametrize(("f", "x", "want"), KINKS)
def test_kink(f, x, want):
    x = np.array(x)
    np.testing.assert_allclose(cr.grad(f)(x), want, atol=1e-15)
    np.testing.assert_allclose([cr.jvp(f, (x,), (e,))[1] for e in np.eye(len(x))], want, atol=1e-15)


def test_deviation_of_the_mean_is_not_taken_for_a_kink():
    x = np.array([1.0, 1.0 + 1e-15])
    np.testing.assert_allclose(cr.grad(np.std)(x), [-0.5, 0.5], rtol=0.2)


def test_second_derivative_of_a_product_with_zeros():
    x = np.array([0.0, 0.0, 5.0])
    want = np.zeros((3, 3))
    want[0, 1] = want[1, 0] = 5.0
    np.testing.assert_array_equal(cr.hessian(np.prod)(x), want)


def test_running_product_that_underflows():
    x = np.array([1e-200, 1e-200, 1e300])
    with mpmath.workdps(50):
        exact = [float(mpmath.fprod(mpmath.mpf(v) for j, v in enumerate(x) if j != k)) for k in range(3)]
    np.testing.assert_allclose(cr.grad(lambda x: np.cumprod(x)[-1])(x), exact)
    np.testing.assert_allclose(cr.grad(np.prod)(x), exact)
    np.testing.assert_allclose([cr.jvp(lambda x: np.cumprod(x)[-1], (x,), (e,))[1] for e in np.eye(3)], exact)


def test_log_sum_exp_is_stable():
    def logsumexp(x):
        top = np.max(x)
        return top + np.log(np.sum(np.exp(x - top)))

    x = np.array([1000.0, 999.0, -1000.0])
    shares = np.exp([0.0, -1.0, -np.inf]) / (1 + np.exp(-1.0))
    np.testing.assert_allclose(cr.grad(logsumexp)(x), shares)
    np.testing.assert_allclose(cr.hessian(logsumexp)(x), np.diag(shares) - np.outer(shares, shares), atol=1e-15)
    np.testing.assert_allclose(cr.grad(np.logaddexp.reduce)(x), shares, rtol=1e-15)


@pytest.mark.parametrize("name", ["max", "min", "ptp", "sum", "mean", "std", "prod"])
def test_nan_in_gives_numpys_value(name):
    function = getattr(np, name)
    x = np.array([[1.0, np.nan, 2.0], [3.0, 3.0, 0.0]])
    y, pullback = cr.vjp(lambda x: function(x, axis=1), x)
    np.testing.assert_array_equal(y, function(x, axis=1))
    (ct,) = pullback(np.array([0.0, 1.0]))
    np.testing.assert_allclose(ct[1], cr.grad(function)(x[1]))


@pytest.mark.parametrize("name", ["max", "min"])
def test_nan_takes_the_derivative_of_an_extremum(name):
    function = getattr(np, name)
    np.testing.assert_array_equal(cr.grad(function)(np.array([1.0, np.nan, 2.0])), [0.0, 1.0, 0.0])


PRECISIONS = [
    np.sum,
    np.mean,
    np.prod,
    np.max,
    np.var,
    np.std,
    np.ptp,
    np.cumsum,
    np.cumprod,
    np.nanmean,
    np.nanstd,
]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, np.complex64])
@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("f", PRECISIONS)
def test_precisions_are_kept(f, axis, dtype):
    x = np.array([[0.5, 2.0, 1.5], [0.25, 3.0, 0.75]]).astype(dtype)
    want = f(x, axis=axis)
    y, pullback = cr.vjp(lambda x: f(x, axis=axis), x)
    assert y.dtype == want.dtype
    np.testing.assert_allclose(y, want, rtol=2e-3 if dtype is np.float16 else 1e-6)
    assert pullback(np.ones_like(want))[0].dtype == dtype


def test_variance_about_a_traced_mean():
    check(lambda x, m: np.var(x, axis=1, mean=m, ddof=1), A, A[:, :1])
    check(lambda x, m: np.std(x, axis=1, mean=m), A, A[:, :1])
    check(lambda m: np.var(A, axis=1, mean=m), A[:, :1])


# -- warnings and errors are NumPy's ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (np.mean, "Mean of empty slice|invalid value"),
        (lambda x: np.var(x[:0] if x.size else x), "Degrees of freedom|Mean of empty|invalid value"),
        (lambda x: np.std(x, ddof=x.size), "Degrees of freedom|invalid value"),
    ],
)
def test_empty_slices_warn(f, message):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y, _ = cr.vjp(f, np.zeros(0))
    assert caught
    assert all(w.category is RuntimeWarning for w in caught)
    assert np.isnan(y)


ERRORS = [
    (lambda x: np.max(x[:0]), ValueError, "zero-size"),
    (lambda x: np.sum(x, axis=2), np.exceptions.AxisError, "axis 2"),
    (lambda x: np.sum(x, axis=(0, 0)), ValueError, "repeated axis"),
    (lambda x: np.max(x, where=x > 0), ValueError, "initial"),
    (lambda x: np.var(x, ddof=1, correction=1), ValueError, "simultaneously"),
    (lambda x: np.cumulative_sum(x[None]), ValueError, "axis"),
    (lambda x: np.sum(x, where=np.ones((2, 3), bool)), ValueError, "broadcast|remapping"),
    (lambda x: np.sum(x, axis=0, out=np.zeros(())), LostDerivativeError, "plain array"),
    (lambda x: np.subtract.reduce(x), UnsupportedError, "subtract.reduce"),
    (lambda x: np.multiply.reduceat(x, [0]), UnsupportedError, "multiply.reduceat"),
    (lambda x: np.multiply.at(x, [0], 2.0), UnsupportedError, "multiply.at"),
    (lambda x: np.add.at(np.zeros(3), [0], x[0]), LostDerivativeError, "plain array"),
    (lambda x: np.add.reduceat(x, [5]), IndexError, "out of bounds"),
]


@pytest.mark.parametrize(("f", "kind", "message"), ERRORS)
def test_refusals(f, kind, message):
    with pytest.raises(kind, match=message):
        cr.vjp(f, np.array([1.0, 2.0, 3.0]))


# -- out=, truth values, methods ----------------------------------------------------------------------


def test_results_are_written_to_out():
    def f(x):
        y = np.zeros_like(x)
        np.sum(x, axis=0, out=y[0])
        np.cumsum(x[1], out=y[1])
        np.add.reduce(x, axis=0, out=y[2])
        return y

    check(f, A)


TRUTHS = [
    lambda x: np.any(x > 1),
    lambda x: np.all(x > 1, axis=0),
    lambda x: np.all(x, axis=(0, 1), keepdims=True),
    lambda x: np.any(x > 0, axis=1, where=M),
    lambda x: np.count_nonzero(x > 0, axis=1),
    lambda x: np.count_nonzero(x),
    lambda x: np.logical_and.reduce(x > 0),
    lambda x: np.logical_or.reduce(x, axis=1, keepdims=True),
    lambda x: np.logical_xor.reduce(x > 0, axis=None),
    lambda x: (x > 0).any(),
    lambda x: x.all(axis=1),
]


@pytest.mark.parametrize("f", TRUTHS)
def test_truth_values_are_plain(f):
    seen = []
    cr.grad(lambda x: seen.append(f(x)) or np.sum(x))(A)
    np.testing.assert_array_equal(seen[0], f(A))
    assert type(seen[0]) is type(f(A))


METHODS = [
    lambda x: x.sum(),
    lambda x: x.sum(0),
    lambda x: x.sum(axis=1, keepdims=True),
    lambda x: x.mean(axis=(0, 1)),
    lambda x: x.prod(axis=0),
    lambda x: x.max(1),
    lambda x: x.min(axis=0),
    lambda x: x.var(ddof=1),
    lambda x: x.std(axis=1),
    lambda x: np.ptp(x, axis=1),
    lambda x: x.cumsum(1),
    lambda x: x.cumprod(),
    lambda x: x[0, 0].sum() + x[1, 1].mean(),
]


@pytest.mark.parametrize("f", METHODS)
def test_methods(f):
    check(f, A, exact=False)


# -- ufunc methods ------------------------------------------------------------------------------------

UFUNCS = [
    lambda x: np.add.reduce(x),
    lambda x: np.add.reduce(x, axis=(0, 1), keepdims=True),
    lambda x: np.add.reduce(x, 1, initial=2.0, where=M),
    lambda x: np.multiply.reduce(x, axis=1),
    lambda x: np.maximum.reduce(x),
    lambda x: np.minimum.reduce(x, axis=None),
    lambda x: np.fmax.reduce(filled(x), axis=1),
    lambda x: np.fmin.reduce(x),
    lambda x: np.logaddexp.reduce(x),
    lambda x: np.logaddexp.reduce(x, axis=1, keepdims=True, initial=0.5),
    lambda x: np.logaddexp.reduce(x, axis=1, where=M),
    lambda x: np.logaddexp2.reduce(x, axis=None),
    lambda x: np.hypot.reduce(x, axis=1),
    lambda x: np.add.accumulate(x),
    lambda x: np.multiply.accumulate(x, axis=1),
    lambda x: np.maximum.accumulate(x, axis=1),
    lambda x: np.minimum.accumulate(x),
    lambda x: np.add.outer(x, x[0]),
    lambda x: np.multiply.outer(x[0], x),
    lambda x: np.subtract.outer(x, 2.0),
    lambda x: np.power.outer(np.abs(x), np.array([1.0, 2.0])),
    lambda x: np.hypot.outer([1.0, 2.0], x),
    lambda x: np.add.reduceat(x, [0, 2], axis=1),
    lambda x: np.add.reduceat(x.ravel(), [0, 4, 1, 1, 11, 3]),
]


@pytest.mark.parametrize("f", UFUNCS)
def test_ufunc_methods(f):
    check(f, A, exact=False)


def test_infinities_share_in_a_reduced_logaddexp():
    x = np.array([np.inf, 1.0])
    np.testing.assert_array_equal(cr.grad(np.logaddexp.reduce)(x), [1.0, 0.0])
    assert cr.vjp(np.logaddexp.reduce, np.zeros(0))[0] == -np.inf


def scattered(x):
    y = x * 1.0
    np.add.at(y, ([0, 0, 1], [1, 1, 2]), x[0, :3] ** 2)
    np.add.at(y, 2, 3.0)
    np.add.at(y[:2], (slice(None), 0), x[:2, 3])
    np.subtract.at(y, ([0, 0], [1, 1]), x[2, :2])
    return y


def test_additions_at_repeated_places():
    check(scattered, A, exact=False)


# -- rows of a batch ----------------------------------------------------------------------------------

BATCHED = [
    np.sum,
    np.prod,
    np.max,
    np.min,
    np.var,
    np.std,
    np.cumsum,
    np.cumprod,
    np.nanmax,
    np.nanstd,
    np.nanmean,
    np.maximum.accumulate,
    np.logaddexp.reduce,
    lambda x: np.any(x > 1) * x,
    lambda x: np.count_nonzero(x > 0, axis=0) * x,
    lambda x: np.max(x, initial=0.3),
]


@pytest.mark.parametrize("f", BATCHED)
def test_hessians_of_many_points(f):
    """Rows of points, of tangents and of cotangents at once."""
    if not hasattr(cr, "vmap"):
        pytest.skip("vmap is not there yet")

    def objective(x):
        return np.sum(np.sin(f(x)))

    x = RNG.normal(size=(3, 4))
    x[1, 2] = x[1, 3]
    many = cr.vmap(cr.grad(objective))(x)
    np.testing.assert_allclose(many, [cr.grad(objective)(row) for row in x], rtol=1e-12, atol=1e-14)
    twice = cr.vmap(cr.hessian(objective))(x)
    np.testing.assert_allclose(twice, [cr.hessian(objective)(row) for row in x], rtol=1e-10, atol=1e-12)
