"""chainrule.scipy.stats: values near SciPy's, inside and outside the support; derivatives by differences."""

import numpy as np
import pytest
import scipy.stats as st

import chainrule as cr
from chainrule.errors import UnsupportedError
from chainrule.scipy import stats
from tests.helpers import check

X = np.array([0.3, 0.7, 0.45])
SHAPES = {
    "norm": (),
    "expon": (),
    "uniform": (),
    "laplace": (),
    "logistic": (),
    "cauchy": (),
    "halfnorm": (),
    "t": (3.5,),
    "gamma": (2.5,),
    "chi2": (3.5,),
    "beta": (2.5, 1.5),
    "lognorm": (0.7,),
}
METHODS = ("logpdf", "pdf", "cdf", "sf", "logcdf", "logsf", "ppf", "isf")


def close(f, *args, **options):
    check(f, *args, exact=False, **options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SHAPES)
def test_location_and_scale(name, method):
    f, shapes = getattr(getattr(stats, name), method), SHAPES[name]
    close(lambda x, loc, scale: f(x, *shapes, loc=loc, scale=scale), X, -0.1, 1.3)


@pytest.mark.parametrize("method", ["logpdf", "cdf", "ppf"])
@pytest.mark.parametrize("name", SHAPES)
def test_frozen(name, method):
    family, shapes = getattr(stats, name), SHAPES[name]
    close(lambda loc, scale: getattr(family(*shapes, loc, scale), method)(X), -0.1, 1.3, order=1)
    close(lambda x: getattr(family(*shapes, -0.1, 1.3), method)(x), X, order=1)


@pytest.mark.parametrize("name", [n for n in SHAPES if SHAPES[n]])
def test_shapes(name):
    family, shapes = getattr(stats, name), SHAPES[name]
    close(lambda *s: family.logpdf(X, *s), *shapes)
    close(lambda *s: family.pdf(X, *s), *shapes)
    if name == "lognorm":
        close(lambda s: family.cdf(X, s), *shapes)
        return
    for method in ("cdf", "sf", "ppf"):
        with pytest.raises(UnsupportedError, match="no derivative"):
            cr.grad(lambda s, m=method: np.sum(getattr(family, m)(X, s, *shapes[1:])))(shapes[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_outside_the_support(name, method):
    for x in (-5.0, 0.0, 1.0, 5.0):
        want = getattr(getattr(st, name), method)(x, *SHAPES[name])
        have, change = cr.jvp(lambda v: getattr(getattr(stats, name), method)(v, *SHAPES[name]), (x,), (1.0,))
        np.testing.assert_allclose(have, want, rtol=1e-12)
        if method in ("pdf", "cdf", "sf") and want in (0.0, 1.0) and abs(x) == 5:
            assert change == 0


def test_scale_must_be_positive():
    _, change = cr.jvp(lambda s: stats.norm.logpdf(X, 0.0, s), (np.array([1.0, -1.0, 0.0]),), (np.ones(3),))
    assert np.isfinite(change[0])
    with np.errstate(all="ignore"):
        value = cr.vjp(lambda s: stats.norm.logpdf(X, 0.0, s), np.array([1.0, -1.0, 0.0]))[0]
    np.testing.assert_array_equal(np.isnan(value), [False, True, True])


K = np.array([0, 1, 5])
DISCRETE = {
    "poisson": (lambda mu: stats.poisson.logpmf(K, mu), 2.5),
    "poisson, shifted": (lambda mu: stats.poisson.logpmf(K, mu, loc=-1), 2.5),
    "poisson, mass": (lambda mu: stats.poisson.pmf(np.array([0, 1, -1, 2.5]), mu), 2.5),
    "poisson, cdf": (lambda mu: stats.poisson.cdf(np.array([0, 1, -1, 2.5]), mu), 2.5),
    "poisson, sf": (lambda mu: stats.poisson.sf(np.array([0, 1, -1, 2.5]), mu), 2.5),
    "bernoulli": (lambda p: stats.bernoulli.logpmf(np.array([0, 1]), p), 0.3),
    "binom": (lambda p: stats.binom.logpmf(K, 5, p), 0.3),
    "frozen": (lambda mu: stats.poisson(mu).logpmf(K), 2.5),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name):
    close(*DISCRETE[name])


MEAN = np.array([0.3, -0.2, 0.5])
ROOT = np.random.default_rng(2).normal(size=(3, 3))
COV = ROOT @ ROOT.T + np.eye(3)
POINTS = np.random.default_rng(3).normal(size=(4, 3))
MULTIVARIATE = {
    "points": (lambda x, m, c: stats.multivariate_normal.logpdf(x, m, c), POINTS, MEAN, COV),
    "point": (lambda x, m, c: stats.multivariate_normal.logpdf(x, m, c), POINTS[0], MEAN, COV),
    "no mean": (lambda x, c: stats.multivariate_normal.logpdf(x, cov=c), POINTS, COV),
    "one dimension": (lambda x: stats.multivariate_normal.logpdf(x), MEAN),
    "variance": (lambda x, c: stats.multivariate_normal.logpdf(x, None, c), MEAN, 2.0),
    "variances": (lambda x, c: stats.multivariate_normal.logpdf(x, MEAN, c), POINTS, np.array([1.0, 2.0, 0.5])),
    "density": (lambda m: stats.multivariate_normal.pdf(POINTS, m, COV), MEAN),
    "frozen": (lambda m, c: stats.multivariate_normal(m, c).logpdf(POINTS), MEAN, COV),
}


@pytest.mark.parametrize("name", MULTIVARIATE)
def test_multivariate_normal(name):
    close(*MULTIVARIATE[name])


REFUSED = {
    "norm.fit": lambda x: stats.norm.fit(x)[0],
    "norm.entropy": lambda x: stats.norm.entropy(0.0, x[0]),
    "weibull_min.logpdf": lambda x: np.sum(stats.weibull_min.logpdf(x, 2.0)),
    "zscore": lambda x: stats.zscore(x)[0],
    "poisson with a traced k": lambda x: np.sum(stats.poisson.logpmf(x, 2.0)),
    "allow_singular": lambda x: stats.multivariate_normal.logpdf(x, MEAN, COV, allow_singular=True),
    "multivariate_normal.cdf": lambda x: stats.multivariate_normal.cdf(x, MEAN, COV),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    with pytest.raises(UnsupportedError, match=name):
        cr.grad(REFUSED[name])(X)


def test_plain_values_go_to_scipy():
    assert stats.norm.logpdf(1.0, 2.0, 3.0) == st.norm.logpdf(1.0, 2.0, 3.0)
    assert stats.norm(2.0, 3.0).mean() == 2.0
    np.testing.assert_array_equal(stats.norm.rvs(size=2, random_state=0), st.norm.rvs(size=2, random_state=0))
    assert stats.describe(X).mean == st.describe(X).mean
    with pytest.raises(TypeError, match="takes the arguments"):
        cr.grad(lambda x: stats.norm.logpdf(x, 0.0, 1.0, 2.0))(1.0)
