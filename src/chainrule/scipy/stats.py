"""`scipy.stats` for traced values: log-densities, distribution functions and quantiles.

A distribution here has SciPy's methods. Calls with plain arguments go to SciPy; ``pdf``, ``logpdf``,
``cdf``, ``logcdf``, ``sf``, ``logsf``, ``ppf``, ``isf`` (for the discrete ones ``pmf``, ``logpmf``, ``cdf``,
``sf``) take traced values, parameters, ``loc`` and ``scale``, and so do frozen distributions
(``norm(loc, scale).logpdf(x)``). Other methods raise by name, and so does a derivative that has no closed
form (``gamma.cdf`` in its shape). Other names are SciPy's own.

>>> import numpy as np, chainrule as cr
>>> from chainrule.scipy import stats
>>> cr.grad(lambda mu: np.sum(stats.norm.logpdf(np.array([1.0, 2.0]), mu, 0.5)))(1.0)
4.0
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sc
import scipy.stats as _st

import chainrule.arrays.functions.special  # noqa: F401  (enters the rules of the ufuncs)
from chainrule.rules.elementwise import floor, where
from chainrule.scipy import linalg
from chainrule.scipy.names import any_traced, array_of, reexport, refuse

__all__ = [
    "bernoulli",
    "beta",
    "binom",
    "cauchy",
    "chi2",
    "expon",
    "gamma",
    "halfnorm",
    "laplace",
    "logistic",
    "lognorm",
    "multivariate_normal",
    "norm",
    "poisson",
    "t",
    "uniform",
]

_LOG_2PI, _LOG_2 = math.log(2 * math.pi), math.log(2)
_INF = math.inf


class Distribution:
    """A distribution of SciPy, some of whose methods take traced values."""

    def __init__(self, plain: Any, methods: dict[str, Callable[..., Any]]) -> None:
        self._plain = plain
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        plain, ours = getattr(self._plain, name), self._methods.get(name)
        if not callable(plain):
            return plain

        def method(*args: Any, **kwargs: Any) -> Any:
            if not any_traced(args, kwargs):
                return plain(*args, **kwargs)
            if ours is None:
                raise refuse(f"scipy.stats.{getattr(self._plain, 'name', 'multivariate_normal')}.{name}")
            return ours(*args, **kwargs)

        return method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_traced(args, kwargs):
            return Frozen(self, args, kwargs)
        return Frozen(self, args, kwargs, self._plain(*args, **kwargs))

    def __dir__(self) -> list[str]:
        return dir(self._plain)


class Frozen:
    """A distribution with its parameters given."""

    def __init__(self, family: Distribution, args: Any, kwargs: Any, plain: Any = None) -> None:
        self._family, self._args, self._kwargs, self._plain = family, args, kwargs, plain

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._plain is not None and not callable(getattr(self._plain, name)):
            return getattr(self._plain, name)

        def method(*args: Any, **kwargs: Any) -> Any:
            if self._plain is not None and not any_traced(args, kwargs):
                return getattr(self._plain, name)(*args, **kwargs)
            family = getattr(self._family, name)
            return family(*args, *self._args, **{**self._kwargs, **kwargs})

        return method


# -- continuous distributions --------------------------------------------------------------------------


def continuous(
    plain: Any, support: tuple[float, float] = (-_INF, _INF), closed: bool = True, **standard: Any
) -> Distribution:
    """A family of location and scale from functions ``f(z, *shapes)`` of the standard variable.

    ``logpdf`` is needed inside the support only (`closed`: at its ends too); ``cdf`` and ``sf`` take any z,
    ``ppf`` any probability.
    """
    shapes = [] if plain.shapes is None else plain.shapes.replace(",", " ").split()
    low, high = support
    derived: dict[str, Callable[..., Any]] = {
        "logcdf": lambda z, *s: np.log(standard["cdf"](z, *s)),
        "logsf": lambda z, *s: np.log(standard["sf"](z, *s)),
        "sf": lambda z, *s: 1 - standard["cdf"](z, *s),
        "isf": lambda q, *s: standard["ppf"](1 - q, *s),
        **standard,
    }
    middle = 0.5 if high == 1 else 1.0

    def logpdf(z: Any, *s: Any) -> Any:
        if support == (-_INF, _INF):
            return standard["logpdf"](z, *s)
        inside = ((z >= low) & (z <= high)) if closed else ((z > low) & (z < high))
        return where(inside, standard["logpdf"](where(inside, z, middle), *s), -_INF)

    def given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any], Any, Any]:
        names = ["x", *shapes, "loc", "scale"]
        if "q" in kwargs:
            kwargs = {"x": kwargs["q"], **{k: v for k, v in kwargs.items() if k != "q"}}
        values = {"loc": 0.0, "scale": 1.0, **dict(zip(names, args, strict=False)), **kwargs}
        if len(args) > len(names) or set(values) != set(names):
            raise TypeError(f"{plain.name} takes the arguments {', '.join(names)}")
        x, *rest = (array_of(values[n]) for n in names)
        return x, rest[:-2], rest[-2], rest[-1]

    def of_variable(function: Callable[..., Any], finish: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            x, s, loc, scale = given(args, kwargs)
            with np.errstate(all="ignore"):
                y = finish(function((x - loc) / scale, *s), scale)
            return y if np.all(scale > 0) else where(scale > 0, y, np.nan)

        return method

    def of_probability(function: Callable[..., Any]) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            q, s, loc, scale = given(args, kwargs)
            with np.errstate(all="ignore"):
                y = function(q, *s) * scale + loc
            known = (q >= 0) & (q <= 1) & (scale > 0)
            return y if np.all(known) else where(known, y, np.nan)

        return method

    methods = {
        "logpdf": of_variable(logpdf, lambda y, scale: y - np.log(scale)),
        "pdf": of_variable(lambda z, *s: np.exp(logpdf(z, *s)), lambda y, scale: y / scale),
        **{n: of_variable(derived[n], lambda y, scale: y) for n in ("cdf", "sf", "logcdf", "logsf")},
        **{n: of_probability(derived[n]) for n in ("ppf", "isf")},
    }
    return Distribution(plain, methods)


def _right(z: Any) -> Any:
    """z where it is not negative, else a structural 0."""
    return where(z > 0, z, 0.0)


def _within(z: Any) -> Any:
    return where(z >= 1, 1.0, _right(z))


def _cauchy_quantile(q: Any) -> Any:
    """-cot(pi q), from the nearer end."""
    left = q < 0.5
    return where(left, -1, 1) / np.tan(math.pi * where(left, q, 1 - q))


def _student_quantile(q: Any, df: Any) -> Any:
    """stdtrit, which is inf at 0; log has the same pole there as the quantile."""
    zero = q == 0
    return where(zero, np.log(where(zero, q, 1.0)), sc.stdtrit(df, where(zero, 0.5, q)))


norm = continuous(
    _st.norm,
    logpdf=lambda z: -0.5 * z * z - 0.5 * _LOG_2PI,
    cdf=lambda z: sc.ndtr(z),
    sf=lambda z: sc.ndtr(-z),
    logcdf=lambda z: sc.log_ndtr(z),
    logsf=lambda z: sc.log_ndtr(-z),
    ppf=lambda q: sc.ndtri(q),
    isf=lambda q: -sc.ndtri(q),
)
halfnorm = continuous(
    _st.halfnorm,
    (0.0, _INF),
    logpdf=lambda z: -0.5 * z * z + 0.5 * (_LOG_2 * 2 - _LOG_2PI),
    cdf=lambda z: sc.erf(_right(z) / math.sqrt(2)),
    logcdf=lambda z: where(
        z > 1, np.log1p(-sc.erfc(_right(z) / math.sqrt(2))), np.log(sc.erf(_right(z) / math.sqrt(2)))
    ),
    sf=lambda z: sc.erfc(_right(z) / math.sqrt(2)),
    ppf=lambda q: math.sqrt(2) * sc.erfinv(q),
    isf=lambda q: math.sqrt(2) * sc.erfcinv(q),
)
lognorm = continuous(
    _st.lognorm,
    (0.0, _INF),
    False,
    logpdf=lambda z, s: -0.5 * (np.log(z) / s) ** 2 - np.log(s * z) - 0.5 * _LOG_2PI,
    cdf=lambda z, s: sc.ndtr(np.log(_right(z)) / s),
    sf=lambda z, s: sc.ndtr(-np.log(_right(z)) / s),
    ppf=lambda q, s: np.exp(s * sc.ndtri(q)),
    isf=lambda q, s: np.exp(-s * sc.ndtri(q)),
)
expon = continuous(
    _st.expon,
    (0.0, _INF),
    logpdf=lambda z: -z,
    cdf=lambda z: -np.expm1(-_right(z)),
    sf=lambda z: np.exp(-_right(z)),
    logsf=lambda z: -_right(z),
    ppf=lambda q: -np.log1p(-q),
    isf=lambda q: -np.log(q),
)
uniform = continuous(
    _st.uniform,
    (0.0, 1.0),
    logpdf=lambda z: 0.0 * z,
    cdf=_within,
    sf=lambda z: 1 - _within(z),
    ppf=lambda q: q,
)
laplace = continuous(
    _st.laplace,
    logpdf=lambda z: -abs(z) - _LOG_2,
    cdf=lambda z: where(z > 0, 1 - 0.5 * np.exp(-abs(z)), 0.5 * np.exp(-abs(z))),
    sf=lambda z: where(z < 0, 1 - 0.5 * np.exp(-abs(z)), 0.5 * np.exp(-abs(z))),
    ppf=lambda q: where(q > 0.5, -np.log(2 * (1 - q)), np.log(2 * q)),
)
logistic = continuous(
    _st.logistic,
    logpdf=lambda z: sc.log_expit(z) + sc.log_expit(-z),
    cdf=lambda z: sc.expit(z),
    sf=lambda z: sc.expit(-z),
    logcdf=lambda z: sc.log_expit(z),
    logsf=lambda z: sc.log_expit(-z),
    ppf=lambda q: sc.logit(q),
    isf=lambda q: -sc.logit(q),
)
cauchy = continuous(
    _st.cauchy,
    logpdf=lambda z: -math.log(math.pi) - np.log1p(z * z),
    cdf=lambda z: np.arctan2(1.0, -z) / math.pi,
    sf=lambda z: np.arctan2(1.0, z) / math.pi,
    ppf=lambda q: _cauchy_quantile(q),
    isf=lambda q: -_cauchy_quantile(q),
)
t = continuous(
    _st.t,
    logpdf=lambda z, df: -0.5 * (df + 1) * np.log1p(z * z / df) - 0.5 * np.log(df) - sc.betaln(0.5, 0.5 * df),
    cdf=lambda z, df: sc.stdtr(df, z),
    sf=lambda z, df: sc.stdtr(df, -z),
    ppf=lambda q, df: _student_quantile(q, df),
    isf=lambda q, df: -_student_quantile(q, df),
)
gamma = continuous(
    _st.gamma,
    (0.0, _INF),
    logpdf=lambda z, a: sc.xlogy(a - 1, z) - z - sc.gammaln(a),
    cdf=lambda z, a: sc.gammainc(a, _right(z)),
    sf=lambda z, a: sc.gammaincc(a, _right(z)),
    ppf=lambda q, a: sc.gammaincinv(a, q),
    isf=lambda q, a: sc.gammainccinv(a, q),
)
chi2 = continuous(
    _st.chi2,
    (0.0, _INF),
    logpdf=lambda z, df: sc.xlogy(0.5 * df - 1, z) - 0.5 * z - sc.gammaln(0.5 * df) - 0.5 * _LOG_2 * df,
    cdf=lambda z, df: sc.gammainc(0.5 * df, 0.5 * _right(z)),
    sf=lambda z, df: sc.gammaincc(0.5 * df, 0.5 * _right(z)),
    ppf=lambda q, df: 2 * sc.gammaincinv(0.5 * df, q),
    isf=lambda q, df: 2 * sc.gammainccinv(0.5 * df, q),
)
beta = continuous(
    _st.beta,
    (0.0, 1.0),
    logpdf=lambda z, a, b: sc.xlog1py(b - 1, -z) + sc.xlogy(a - 1, z) - sc.betaln(a, b),
    cdf=lambda z, a, b: sc.betainc(a, b, _within(z)),
    sf=lambda z, a, b: sc.betaincc(a, b, _within(z)),
    ppf=lambda q, a, b: sc.betaincinv(a, b, q),
    isf=lambda q, a, b: sc.betainccinv(a, b, q),
)


# -- discrete distributions ----------------------------------------------------------------------------


def discrete(plain: Any, inside: Callable[..., Any], logpmf: Callable[..., Any], **more: Any) -> Distribution:
    """A family on the integers from ``logpmf(k, *shapes)``, k in the set that `inside` tells."""
    shapes = plain.shapes.replace(",", " ").split()

    def given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any]]:
        names = ["k", *shapes, "loc"]
        values = {"loc": 0, **dict(zip(names, args, strict=False)), **kwargs}
        if len(args) > len(names) or set(values) != set(names):
            raise TypeError(f"{plain.name} takes the arguments {', '.join(names)}")
        if any_traced((values["k"], values["loc"]), {}):
            raise refuse(f"scipy.stats.{plain.name} with a traced k or loc, which are integers,")
        return array_of(values["k"]) - values["loc"], [array_of(values[n]) for n in shapes]

    def log_mass(*args: Any, **kwargs: Any) -> Any:
        k, s = given(args, kwargs)
        known = inside(k, *s) & (k == np.floor(k))
        return where(known, logpmf(where(known, k, 0), *s), -_INF)

    def cumulative(function: Callable[..., Any], below: float) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            k, s = given(args, kwargs)
            return where(k < 0, below, function(floor(where(k < 0, 0.0, k)), *s))

        return method

    methods: dict[str, Callable[..., Any]] = {
        "logpmf": log_mass,
        "pmf": lambda *args, **kwargs: np.exp(log_mass(*args, **kwargs)),
    }
    methods |= {name: cumulative(f, 0.0 if name == "cdf" else 1.0) for name, f in more.items()}
    return Distribution(plain, methods)


def _binomial(k: Any, n: Any, p: Any) -> Any:
    choose = -np.log(n + 1) - sc.betaln(n - k + 1, k + 1)
    return choose + sc.xlogy(k, p) + sc.xlog1py(n - k, -p)


poisson = discrete(
    _st.poisson,
    lambda k, mu: k >= 0,
    lambda k, mu: sc.xlogy(k, mu) - sc.gammaln(k + 1) - mu,
    cdf=lambda k, mu: sc.pdtr(k, mu),
    sf=lambda k, mu: sc.pdtrc(k, mu),
)
bernoulli = discrete(
    _st.bernoulli,
    lambda k, p: (k == 0) | (k == 1),
    lambda k, p: sc.xlogy(k, p) + sc.xlog1py(1 - k, -p),
)
binom = discrete(_st.binom, lambda k, n, p: (k >= 0) & (k <= n), _binomial)


# -- the multivariate normal distribution --------------------------------------------------------------


def _log_density(x: Any, mean: Any = None, cov: Any = 1, allow_singular: bool = False) -> Any:
    if allow_singular:
        raise refuse("scipy.stats.multivariate_normal.logpdf with allow_singular=True")
    x, cov = array_of(x), array_of(cov)
    mean = None if mean is None else np.atleast_1d(array_of(mean))
    given = [v.shape[-1] for v in (mean, cov) if v is not None and v.ndim]
    dim = given[0] if given else 1
    if cov.ndim < 2:
        cov = cov * np.eye(dim)
    if cov.shape != (dim, dim) or (mean is not None and mean.shape != (dim,)):
        raise ValueError(f"the mean must be a vector of size {dim} and the covariance a matrix of that size")
    if x.ndim == 0:
        x = np.reshape(x, (1,))
    elif x.ndim == 1 and dim == 1:
        x = np.reshape(x, (x.size, 1))
    factor = np.linalg.cholesky(cov)
    gap = x if mean is None else x - mean
    flat = np.reshape(gap, (-1, dim))
    z = linalg.solve_triangular(factor, flat.T, lower=True)
    size = 2 * np.sum(np.log(np.diagonal(factor)))
    y = -0.5 * (np.sum(z * z, axis=0) + size + dim * _LOG_2PI)
    return np.squeeze(np.reshape(y, gap.shape[:-1]))[()]


class _Multivariate(Distribution):
    def __init__(self) -> None:
        super().__init__(
            _st.multivariate_normal,
            {"logpdf": _log_density, "pdf": lambda *args, **kwargs: np.exp(_log_density(*args, **kwargs))},
        )


multivariate_normal = _Multivariate()


def __getattr__(name: str) -> Any:
    value = reexport(_st, name)
    return Distribution(value, {}) if isinstance(value, (_st.rv_continuous, _st.rv_discrete)) else value


def __dir__() -> list[str]:
    return sorted({*__all__, *dir(_st)})
