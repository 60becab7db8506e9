"""chainrule.scipy.special: values are SciPy's, derivatives those of differences, infinities as documented."""

import math

import numpy as np
import pytest
import scipy.special as sc

import chainrule as cr
from chainrule.errors import UnsupportedError
from chainrule.scipy import special
from tests.helpers import check

RNG = np.random.default_rng(5)
A, B = 3 * RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
INF = math.inf


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_logsumexp(axis, keepdims):
    options = {"axis": axis, "keepdims": keepdims}
    check(lambda a: special.logsumexp(a, **options), A)
    check(lambda a, b: special.logsumexp(a, b=b, **options), A, abs(B))
    check(lambda a, b: special.logsumexp(a, b=b, return_sign=True, **options)[0], A, B)


SINGLE = {
    "number": (lambda a: special.logsumexp(a), 1.5),
    "number kept": (lambda a: special.logsumexp(a, keepdims=True), 1.5),
    "one weight per column": (lambda a: special.logsumexp(a, b=np.abs(B[0]), axis=1), A),
    "list": (lambda x: special.logsumexp([x, 0.0, 2 * x]), 0.3),
    "softmax": (lambda a: special.softmax(a), A),
    "softmax by row": (lambda a: special.softmax(a, axis=1), A),
    "log_softmax": (lambda a: special.log_softmax(a), A),
    "log_softmax by column": (lambda a: special.log_softmax(a, axis=0), A),
    "multigammaln": (lambda a: special.multigammaln(a, 3), np.array([2.5, 4.0])),
    "multigammaln of a number": (lambda a: special.multigammaln(a, 2), 2.5),
    "polygamma": (lambda x: special.polygamma(2, x), np.array([2.5, 4.0])),
    "polygammas": (lambda x: special.polygamma(np.array([[0], [1], [2]]), x), np.array([2.5, 4.0])),
    "zeta": (lambda q: special.zeta(2.5, q), np.array([1.5, 2.0])),
    "softplus": (lambda x: special.softplus(x), np.array([1.5, -2.0, 700.0])),
    "sinc": (lambda x: special.sinc(x), np.array([1.5, -2.0])),
}


@pytest.mark.parametrize("name", SINGLE)
def test_function(name):
    check(*SINGLE[name])


def test_complex():
    check(lambda z: special.logsumexp(z), np.array([1 + 1j, 0.5 + 2j]))


def test_sign():
    def f(a, b):
        y, sign = special.logsumexp(a, b=b, axis=1, return_sign=True)
        kept.append(sign)
        return np.sum(y * sign)

    kept = []
    cr.grad(f)(A, B)
    np.testing.assert_array_equal(kept[0], sc.logsumexp(A, b=B, axis=1, return_sign=True)[1])


@pytest.mark.parametrize(
    ("x", "gradient"),
    [
        ([-INF, -INF], [0.5, 0.5]),
        ([-INF, 0.0], [0.0, 1.0]),
        ([INF, 0.0], [1.0, 0.0]),
        ([INF, INF], [0.5, 0.5]),
        ([1e308, 1e308], [0.5, 0.5]),
        ([-1e308, -1e308], [0.5, 0.5]),
        ([1000.0, 0.0], [1.0, 0.0]),
        ([math.nan, 0.0], [math.nan, math.nan]),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # SciPy's own
def test_logsumexp_of_extremes(x, gradient):
    x, gradient = np.array(x), np.array(gradient)
    assert cr.value_and_grad(special.logsumexp)(x)[0] == sc.logsumexp(x) or np.isnan(x).any()
    np.testing.assert_array_equal(cr.grad(special.logsumexp)(x), gradient)
    expected = np.diag(gradient) - np.outer(gradient, gradient)
    np.testing.assert_array_equal(cr.hessian(special.logsumexp)(x), expected)


def test_log_softmax_keeps_small_probabilities():
    jacobian = cr.jacobian(special.log_softmax)(np.array([1000.0, 0.0, -INF]))
    np.testing.assert_array_equal(jacobian, [[0, 0, 0], [-1, 1, 0], [-1, 0, 1]])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weight_zero():
    a = np.array([INF, 1.0])
    np.testing.assert_array_equal(cr.grad(lambda a: special.logsumexp(a, b=np.array([0.0, 1.0])))(a), [0.0, 1.0])
    gradient = cr.grad(lambda b: special.logsumexp(np.array([1.0, 1.0]), b=b))(np.array([0.0, 1.0]))
    np.testing.assert_array_equal(gradient, [1.0, 1.0])


def test_empty():
    assert cr.grad(lambda a: np.sum(special.logsumexp(a, axis=0)))(np.zeros((0, 2))).shape == (0, 2)


def test_precision_is_kept():
    x = np.array([1.0, 2.0], np.float32)
    for f in (special.logsumexp, special.softmax, special.log_softmax):
        y, pullback = cr.vjp(f, x)
        assert y.dtype == np.float32
        assert pullback(np.ones_like(y))[0].dtype == np.float32


def test_plain_values_go_to_scipy():
    assert special.gammaln is sc.gammaln
    assert special.comb(5, 2) == 10
    assert special.logsumexp.__doc__ == sc.logsumexp.__doc__
    assert special.logsumexp([0.0, 0.0]) == sc.logsumexp([0.0, 0.0])


@pytest.mark.parametrize("name", ["comb", "factorial", "spherical_jn", "jvp", "perm", "diric"])
def test_refused_by_name(name):
    with pytest.raises(UnsupportedError, match=f"scipy.special.{name}"):
        cr.grad(lambda x: getattr(special, name)(x, 2))(3.0)


def test_refused_options():
    with pytest.raises(UnsupportedError, match="return_sign"):
        cr.grad(lambda x: np.real(special.logsumexp(np.array([1j, 2]) * x, return_sign=True)[0]))(1.0)
    with pytest.raises(ValueError, match="d should be"):
        cr.grad(lambda x: special.multigammaln(x, 2.5))(3.0)
