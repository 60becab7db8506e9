"""Derivative rules of the ufuncs of scipy.special.

Nothing imports this module before a ufunc that is not NumPy's own is met on a traced value (see
`arrays.protocols`), so that SciPy is imported by those who use it and by nobody else.

A derivative in a parameter for which no closed form is known (the order of a Bessel function, the shape
of an incomplete gamma function) raises if that argument is differentiated, and only then. Partials that
would cancel have a form of their own: divided differences, Carlson's integrals, repeated integrals of
erfc. Functions that are not in this table raise by name. References: NIST Digital Library of Mathematical
Functions (DLMF); Abramowitz and Stegun, Handbook of Mathematical Functions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as sc
from scipy.special import _ufuncs

from chainrule.core.batch import batching, every
from chainrule.core.define import elementwise, general, nondifferentiable
from chainrule.core.dispatch import Meta, dtype_of, innermost
from chainrule.core.linear import LinearMap, Slot
from chainrule.core.primitive import Primitive
from chainrule.errors import UnsupportedError, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules.elementwise import Samples, divide, exp, interval, log, log1p, nan_where, power, sqrt, where
from chainrule.rules.reduce import frozen, sum_

__all__ = ["Refused"]

_PI, _SQRT_PI, _SQRT_2 = math.pi, math.sqrt(math.pi), math.sqrt(2)
_SQRT_2PI = math.sqrt(2 * math.pi)
# Partials divide by `divide` where the denominator may be a zero of Python's, whose quotient would raise.
_LOG2, _LOG10, _DEGREE = math.log(2), math.log(10), math.pi / 180


class Refused(Slot):
    """An argument without a derivative rule: it raises when it carries a derivative."""

    __slots__ = ()

    def map(
        self,
        primitive: Any,
        index: int,
        y: Any,
        args: tuple[Any, ...],
        params: dict[str, Any],
        x: Meta,
        out: Meta,
    ) -> LinearMap:
        raise UnsupportedError(
            f"{primitive.name} has no derivative in its argument {self.statement} (at {user_line()}). Give "
            "it as a plain number, cut it with chainrule.stop_gradient, or use chainrule.custom_jvp."
        )


def rule(name: str, *partials: Any, ufunc: Any = None, functions: tuple[Any, ...] = (), **options: Any) -> Primitive:
    """An elementwise primitive for ``scipy.special.<name>``; a text in the place of a partial refuses."""
    refused = [isinstance(p, str) for p in partials]
    impl = getattr(sc, name.removeprefix("special.")) if ufunc is None else ufunc
    made = elementwise(
        name,
        impl,
        *[None if r else p for p, r in zip(partials, refused, strict=True)],
        functions=functions,
        **options,
    )
    made.slots = tuple(Refused(p, ()) if r else s for p, r, s in zip(partials, refused, made.slots or (), strict=True))
    return made


def box(*sides: Any) -> Any:
    """Sample points: a number per fixed argument, an interval per varying one."""

    def samples(rng: np.random.Generator) -> Samples:
        def draw(side: Any, shape: tuple[int, ...]) -> Any:
            return rng.uniform(side[0], side[1], shape) if isinstance(side, tuple) else side

        for shape in ((), (3,), (0,)):
            yield tuple(draw(s, shape) for s in sides), {}
        shapes = ((2, 1), (3,), ())
        yield tuple(draw(s, shapes[k % 3]) for k, s in enumerate(sides)), {}

    return samples


def real_only(name: str, x: Any) -> None:
    """Refuse complex arguments of a function that is not holomorphic."""
    if dtype_of(x).kind == "c":
        raise UnsupportedError(f"{name} is not holomorphic: its derivative needs a real argument")


def _as(x: Any, number: float) -> Any:
    """`number` in the precision of x: some of SciPy's ufuncs make Python numbers doubles."""
    return np.finfo(dtype_of(x)).dtype.type(number)


def _series(t: Any, coefficients: list[float]) -> Any:
    """A polynomial by Horner's rule, constant term first."""
    result = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        result = result * t + c
    return result


def _near(t: Any, radius: float, series: Any, formula: Any) -> Any:
    """``series(t)`` for abs(t) < radius, otherwise ``formula(t)``: for removable singularities at 0."""
    near = abs(t) < radius
    return where(near, series(where(near, t, 0.0)), formula(where(near, 1.0, t)))


real, small, positive, unit = box((-2, 2)), box((-1, 1)), box((0.2, 4)), box((0.1, 0.9))
pair, positive_pair = interval(-2, 2, 2), interval(0.2, 3, 2)


# -- gamma functions -----------------------------------------------------------------------------------


def _polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma in the precision of x (SciPy's own is always double)."""
    dtype = np.result_type(dtype_of(x), np.float16)
    n = np.asarray(n, np.finfo(dtype).dtype)
    hurwitz = _complex_hurwitz if dtype.kind == "c" else sc.zeta
    higher = (-1.0) ** (n + 1) * sc.gamma(n + 1) * hurwitz(n + 1, x)
    return np.where(n == 0, sc.digamma(x), higher)[()]


def _complex_hurwitz(s: Any, z: Any) -> Any:
    """The sum of (z + k)^-s over k >= 0 for s > 1: twenty terms and more, then Euler and Maclaurin."""
    z = np.asarray(z)
    total = np.zeros(np.broadcast_shapes(s.shape, z.shape), z.dtype)
    with np.errstate(all="ignore"):
        for _ in range(int(max(20 - np.min(np.real(z), initial=20), 0))):
            total, z = total + z**-s, z + 1
        total = total + z ** (1 - s) / (s - 1) + 0.5 * z**-s
        term = s * z ** (-s - 1)
        for k, bernoulli in enumerate((1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6), 1):
            total = total + bernoulli / math.factorial(2 * k) * term
            term = term * (s + 2 * k - 1) * (s + 2 * k) / (z * z)
    return total


polygamma = rule("polygamma", "n", lambda y, n, x: polygamma(n + 1, x), ufunc=_polygamma, samples=box(1.0, (0.2, 4)))
digamma = rule("digamma", lambda y, x: polygamma(1, x), functions=(sc.psi,), samples=positive)
gamma = rule("gamma", lambda y, x: y * digamma(x), samples=positive)
gammaln = rule("gammaln", lambda y, x: digamma(x), samples=positive)
loggamma = rule("loggamma", lambda y, x: digamma(x), samples=positive)


def _rgamma_slope(y: Any, x: Any) -> Any:
    """-digamma(x) / gamma(x), by reflection where digamma has its poles."""
    if dtype_of(x).kind == "c":
        return -y * digamma(x)
    left = x < 0.5
    u = where(left, x, 0.0)
    n = ew.rint(u)
    t, sign = _PI * (u - n), 1 - 2 * ew.remainder(n, 2)
    reflected = sign * gamma(1 - u) * (ew.cos(t) - digamma(1 - u) * ew.sin(t) / _PI)
    v = where(left, 1.0, x)
    return where(left, reflected, -rgamma(v) * digamma(v))


rgamma = rule("rgamma", _rgamma_slope, samples=box((-2.5, 4)))
nondifferentiable("gammasgn", sc.gammasgn, tie="0, piecewise constant")
zeta = rule("zeta", "x", lambda y, s, q: -s * zeta(s + 1, q), ufunc=_ufuncs._zeta, samples=box((1.5, 4), (0.5, 3)))
rule("riemann_zeta", "x", ufunc=_ufuncs._riemann_zeta)


def _psi_difference(a: Any, b: Any) -> Any:
    """digamma(a) - digamma(a + b), by the asymptotic series of the difference where it would cancel."""
    direct = sc.digamma(a) - sc.digamma(a + b)
    if dtype_of(direct).kind == "c":
        return direct
    far = (a > 50) & (a + b > 50)
    a, b = np.where(far, a, 100), np.where(far, b, 0)
    u, v = 1 / a, 1 / (a + b)
    uu, vv = u * u, v * v
    d = (u + v) * b * u * v
    tail = -1 / 12 + (uu + vv) / 120 - (uu * uu + uu * vv + vv * vv) / 252 + (uu + vv) * (uu * uu + vv * vv) / 240
    return np.where(far, -np.log1p(b * u) - 0.5 * b * u * v + d * tail, direct)[()].astype(direct.dtype)


psi_difference = elementwise(
    "psi_difference",
    _psi_difference,
    lambda y, a, b: polygamma(1, a) - polygamma(1, a + b),
    lambda y, a, b: -polygamma(1, a + b),
    samples=positive_pair,
)
beta = rule(
    "beta",
    lambda y, a, b: y * psi_difference(a, b),
    lambda y, a, b: y * psi_difference(b, a),
    samples=positive_pair,
)
betaln = rule(
    "betaln",
    lambda y, a, b: psi_difference(a, b),
    lambda y, a, b: psi_difference(b, a),
    samples=positive_pair,
)


# -- incomplete gamma and beta functions ---------------------------------------------------------------


def _igam_fac(a: Any, x: Any) -> Any:
    return np.exp(sc.xlogy(a, x) - x - sc.gammaln(a))


def _beta_pdf(x: Any, a: Any, b: Any) -> Any:
    return np.exp(sc.xlogy(a - 1, x) + sc.xlog1py(b - 1, -x) - sc.betaln(a, b))


# SciPy's own forms do not cancel at large parameters; their names are private.
igam_fac = rule(
    "igam_fac",
    "a",
    lambda y, a, x: y * (a - x) / x,
    ufunc=getattr(_ufuncs, "_igam_fac", _igam_fac),
    samples=box(1.5, (0.2, 4)),
)
beta_pdf = rule(
    "beta_pdf",
    lambda y, x, a, b: y * ((a - 1) / x - (b - 1) / (1 - x)),
    "a",
    "b",
    ufunc=getattr(_ufuncs, "_beta_pdf", _beta_pdf),
    samples=box((0.1, 0.9), 1.5, 2.5),
)


def gamma_density(a: Any, x: Any) -> Any:
    """x^(a-1) e^-x / gamma(a), exact in value and derivatives at both ends."""
    zero, end = x == 0, np.isinf(x)
    u = where(zero, x, 0.0)
    v = where(zero | end, 1.0, x)
    edge = power(u, a - 1) * exp(-u) * rgamma(a)
    return where(zero, edge, where(end, 0.0, igam_fac(a, v) / v))


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a-1) (1-x)^(b-1) / beta(a, b), exact in value and derivatives at both ends."""
    edge = (x == 0) | (x == 1)
    u = where(edge, x, 0.5)
    v = where(edge, 0.5, x)
    return where(edge, power(u, a - 1) * power(1 - u, b - 1) / beta(a, b), beta_pdf(v, a, b))


_shape, _unit_shape = box(1.5, (0.2, 4)), box(1.5, (0.1, 0.9))
rule("gammainc", "a", lambda y, a, x: gamma_density(a, x), samples=_shape)
rule("gammaincc", "a", lambda y, a, x: -gamma_density(a, x), samples=_shape)
rule("gammaincinv", "a", lambda x, a, y: 1 / gamma_density(a, x), samples=_unit_shape)
rule("gammainccinv", "a", lambda x, a, y: -1 / gamma_density(a, x), samples=_unit_shape)
_betas = box(1.5, 2.5, (0.1, 0.9))
rule("betainc", "a", "b", lambda y, a, b, x: beta_density(a, b, x), samples=_betas)
rule("betaincc", "a", "b", lambda y, a, b, x: -beta_density(a, b, x), samples=_betas)
rule("betaincinv", "a", "b", lambda x, a, b, y: 1 / beta_density(a, b, x), samples=_betas)
rule("betainccinv", "a", "b", lambda x, a, b, y: -1 / beta_density(a, b, x), samples=_betas)


# -- distribution functions ----------------------------------------------------------------------------


def normal_density(x: Any) -> Any:
    """The density of the standard normal distribution."""
    return exp(-0.5 * x * x) / _SQRT_2PI


def normal_hazard(x: Any) -> Any:
    """The derivative of log_ndtr: the density over the distribution function, without overflow."""
    right = x > 0
    u, v = where(right, x, 0.0), where(right, 0.0, x)
    return where(right, normal_density(u) / ndtr(u), math.sqrt(2 / _PI) / erfcx(-v / _SQRT_2))


ndtr = rule("ndtr", lambda y, x: normal_density(x), samples=real)
log_ndtr = rule("log_ndtr", lambda y, x: normal_hazard(x), samples=real)
ndtri = rule("ndtri", lambda x, y: _SQRT_2PI * exp(0.5 * x * x), samples=unit)
ndtri_exp = rule("ndtri_exp", lambda x, y: 1 / normal_hazard(x), samples=box((-4, -0.1)))


def student_density(df: Any, t: Any) -> Any:
    """The density of Student's t distribution."""
    return exp(-0.5 * (df + 1) * log1p(t * t / df) - betaln(_as(t, 0.5), 0.5 * df)) / sqrt(df)


rule("stdtr", "df", lambda y, df, t: student_density(df, t), samples=box(3.0, (-2, 2)))
rule("stdtrit", "df", lambda t, df, p: 1 / student_density(df, t), samples=box(3.0, (0.1, 0.9)))
rule("chdtr", "v", lambda y, v, x: 0.5 * gamma_density(0.5 * v, 0.5 * x), samples=box(3.0, (0.2, 4)))
rule("chdtrc", "v", lambda y, v, x: -0.5 * gamma_density(0.5 * v, 0.5 * x), samples=box(3.0, (0.2, 4)))
rule(
    "gdtr",
    lambda y, a, b, x: x * gamma_density(b, a * x),
    "b",
    lambda y, a, b, x: a * gamma_density(b, a * x),
    samples=box((0.5, 2), 1.5, (0.2, 4)),
)
rule(
    "gdtrc",
    lambda y, a, b, x: -x * gamma_density(b, a * x),
    "b",
    lambda y, a, b, x: -a * gamma_density(b, a * x),
    samples=box((0.5, 2), 1.5, (0.2, 4)),
)
rule("pdtr", "k", lambda y, k, m: -gamma_density(ew.floor(k) + 1, m), samples=box(2.0, (0.2, 4)))
rule("pdtrc", "k", lambda y, k, m: gamma_density(ew.floor(k) + 1, m), samples=box(2.0, (0.2, 4)))
owens_t = rule(
    "owens_t",
    lambda y, h, a: -0.5 * normal_density(h) * erf(a * h / _SQRT_2),
    lambda y, h, a: exp(-0.5 * h * h * (1 + a * a)) / (2 * _PI * (1 + a * a)),
    samples=pair,
)


# -- error functions -----------------------------------------------------------------------------------


def _continued_fraction(n: int, x: Any) -> Any:
    """The product of the ratios I_k / I_(k-1), k = 1 … n, for x >= 2 (see `_ierfcx`)."""
    ratio = np.zeros_like(x)
    product = np.ones_like(x)
    # The remainder decays like exp(-2 x sqrt(2 k)): 50 more terms give 1e-17 at x = 2.
    for k in range(n + 50, 0, -1):
        ratio = 1 / (2 * x + 2 * (k + 1) * ratio)
        if k <= n:
            product = product * ratio
    return product


def _ierfcx(n: Any, x: Any) -> Any:
    """I_n(x) = exp(x^2) i^n erfc(x), the scaled repeated integrals of erfc (DLMF 7.18), n >= 1."""
    n = int(n)
    x = np.asarray(x)
    x = x.astype(np.result_type(x, np.float16))
    far = x >= 2
    u = np.where(far, x.dtype.type(0), x)
    before, now = np.full_like(u, 2 / _SQRT_PI), sc.erfcx(u)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(1, n + 1):
            before, now = now, (0.5 * before - u * now) / k
        v = np.where(far, x, x.dtype.type(2))
        return np.where(far, sc.erfcx(v) * _continued_fraction(n, v), now)[()]


ierfcx = elementwise(
    "ierfcx",
    _ierfcx,
    None,
    lambda y, n, x: -2 * (n + 1) * ierfcx(n + 1, x),
    samples=box(1, (-2, 6)),
)


def _erfcx_slope(y: Any, x: Any) -> Any:
    return 2 * x * y - 2 / _SQRT_PI if dtype_of(x).kind == "c" else -2 * ierfcx(1, x)


# Of the asymptotic series of 1 - 2 x dawsn(x) in 1 / (2 x^2): (2k - 1)!!, k = 1 …
_DAWSN = [-float(math.prod(range(1, 2 * k, 2))) for k in range(1, 25)]


def _dawsn_slope(y: Any, x: Any) -> Any:
    """1 - 2 x y, by its asymptotic series where it cancels."""
    if dtype_of(x).kind == "c":
        return 1 - 2 * x * y
    x = ew.astype(x, dtype=dtype_of(y))  # of half precision the series would overflow
    far = abs(x) > 7
    u = where(far, x, 10.0)
    s = 0.5 / (u * u)
    v = where(far, 0.0, x)
    return where(far, s * _series(s, _DAWSN), 1 - 2 * v * dawsn(v))


def _erf_slope(x: Any) -> Any:
    return 2 / _SQRT_PI * exp(-x * x)


erf = rule("erf", lambda y, x: _erf_slope(x), samples=real)
erfc = rule("erfc", lambda y, x: -_erf_slope(x), samples=real)
erfcx = rule("erfcx", _erfcx_slope, samples=box((-2, 6)))
erfi = rule("erfi", lambda y, x: 2 / _SQRT_PI * exp(x * x), samples=real)
erfinv = rule("erfinv", lambda y, x: 0.5 * _SQRT_PI * exp(y * y), samples=box((-0.9, 0.9)))
erfcinv = rule("erfcinv", lambda y, x: -0.5 * _SQRT_PI * exp(y * y), samples=box((0.1, 1.9)))
dawsn = rule("dawsn", _dawsn_slope, samples=box((-9, 9)))


# -- logistic functions, entropies ---------------------------------------------------------------------

expit = rule("expit", lambda y, x: expit(x) * expit(-x), samples=real)
logit = rule("logit", lambda y, x: nan_where((x < 0) | (x > 1), divide(1, x) + divide(1, 1 - x)), samples=unit)
log_expit = rule("log_expit", lambda y, x: expit(-x), samples=real)


def _quotient(x: Any, y: Any) -> Any:
    with np.errstate(all="ignore"):
        zero = (x == 0) & ~np.isnan(y)
        return np.where(zero, 0.0, np.divide(x, y))[()]


# x / y, which is 0 for x = 0 whatever y is: the derivative in y of what vanishes with x.
xdivy = elementwise(
    "xdivy",
    _quotient,
    lambda z, x, y: divide(1, y),
    lambda z, x, y: -xdivy(xdivy(x, y), y),
    samples=positive_pair,
)


def _log_ratio(x: Any, y: Any) -> Any:
    """log(x / y), without cancellation for x near y and without overflow."""
    with np.errstate(all="ignore"):
        d = np.divide(np.subtract(x, y), y)
        return np.where(np.abs(d) < 0.5, np.log1p(d), np.log(x) - np.log(y))[()]


log_ratio = elementwise(
    "log_ratio",
    _log_ratio,
    lambda z, x, y: divide(1, x),
    lambda z, x, y: divide(-1, y),
    samples=positive_pair,
)


def _relative_gap(x: Any, y: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.where(x == 0, 1.0 + 0.0 * y, np.divide(np.subtract(y, x), y))[()]


# 1 - x / y, without cancellation for x near y.
relative_gap = elementwise(
    "relative_gap",
    _relative_gap,
    lambda z, x, y: divide(-1, y),
    lambda z, x, y: xdivy(xdivy(x, y), y),
    samples=positive_pair,
)
_ZERO = "0 in the second argument where the first is 0"
rule(
    "xlogy",
    lambda z, x, y: log(y),
    lambda z, x, y: nan_where((y < 0) & (x != 0), xdivy(x, y)),
    samples=positive_pair,
    tie=_ZERO,
)
rule(
    "xlog1py",
    lambda z, x, y: log1p(y),
    lambda z, x, y: nan_where((y < -1) & (x != 0), xdivy(x, 1 + y)),
    samples=positive_pair,
    tie=_ZERO,
)
rule("entr", lambda y, x: -log(x) - 1, samples=positive, tie="inf at 0")
rule(
    "rel_entr",
    lambda z, x, y: log_ratio(x, y) + 1,
    lambda z, x, y: -xdivy(x, y),
    samples=positive_pair,
    tie=_ZERO,
)
rule(
    "kl_div",
    lambda z, x, y: log_ratio(x, y),
    lambda z, x, y: relative_gap(x, y),
    samples=positive_pair,
    tie=_ZERO,
)


# -- elementary functions ------------------------------------------------------------------------------


def _over_factorial(n: int, *, weight: Any = lambda k: 1.0, step: int = 1, shift: int = 0) -> list[float]:
    return [weight(k) / math.factorial(step * k + shift) for k in range(n)]


def exprel_slope(x: Any) -> Any:
    """The derivative of (e^x - 1) / x."""
    series = _over_factorial(20, weight=lambda k: k + 1.0, shift=2)
    return _near(x, 1.0, lambda t: _series(t, series), lambda t: exp(t) / t * (1 - 1 / t) + 1 / (t * t))


def sinhc(x: Any) -> Any:
    """sinh(x) / x."""
    series = _over_factorial(12, step=2, shift=1)
    return _near(x, 1.0, lambda t: _series(t * t, series), lambda t: ew.sinh(t) / t)


def _log1p_ratio(x: Any) -> Any:
    """log(1 + x) / x."""
    series = [(-1.0) ** k / (k + 1) for k in range(18)]
    return _near(x, 0.1, lambda t: _series(t, series), lambda t: log1p(t) / t)


special_log1p = rule("special.log1p", lambda y, x: divide(1, 1 + x), samples=positive)
special_expm1 = rule("special.expm1", lambda y, x: exp(x), samples=real)
rule("special.cbrt", lambda y, x: 1 / (3 * y * y), samples=positive, tie="inf at 0")
rule("special.exp2", lambda y, x: _LOG2 * y, samples=real)
rule("exp10", lambda y, x: _LOG10 * y, samples=real)
rule("cosm1", lambda y, x: -ew.sin(x), samples=real)
exprel = rule("exprel", lambda y, x: exprel_slope(x), samples=real)
nondifferentiable("special.round", sc.round, tie="0, piecewise constant")
rule("radian", _DEGREE, _DEGREE / 60, _DEGREE / 3600, samples=box((0, 9), (0, 9), (0, 9)))
sindg = rule("sindg", lambda y, x: _DEGREE * cosdg(x), samples=real)
cosdg = rule("cosdg", lambda y, x: -_DEGREE * sindg(x), samples=real)
rule("tandg", lambda y, x: _DEGREE * (1 + y * y), samples=real)
rule("cotdg", lambda y, x: -_DEGREE * (1 + y * y), samples=positive)
rule(
    "powm1",
    lambda z, x, y: ew._base_slope(x, y, power),
    lambda z, x, y: ew.power_log(x, y, 1),
    samples=positive_pair,
)
rule("spence", lambda y, x: -_log1p_ratio(x - 1), samples=positive)
rule(
    "lambertw",
    lambda w, z, k, tol: exp(-w) / (1 + w),
    "k",
    None,
    ufunc=_ufuncs._lambertw,
    samples=box((0.1, 3), 0, 1e-8),
)
rule("wrightomega", lambda w, z: w / (1 + w), samples=real)


# -- losses and power transformations ------------------------------------------------------------------


def _pseudo_huber_delta(y: Any, delta: Any, r: Any) -> Any:
    """(h - delta)^2 / h with h = hypot(delta, r); 0 where all vanishes."""
    h = ew.hypot(delta, r)
    zero = h == 0
    t = r * (r / where(zero, 1.0, h + delta))
    return where(zero, 0.0, t * (t / where(zero, 1.0, h)))


def _pseudo_huber_slope(y: Any, delta: Any, r: Any) -> Any:
    h = ew.hypot(delta, r)
    zero = h == 0
    return where(zero, 0.0, r * (delta / where(zero, 1.0, h)))


rule(
    "huber",
    lambda y, delta, r: ew.maximum(abs(r) - delta, 0.0),
    lambda y, delta, r: ew.maximum(-delta, ew.minimum(r, delta)),
    samples=box((0.5, 1.5), (-3, 3)),
)
rule(
    "pseudo_huber",
    _pseudo_huber_delta,
    _pseudo_huber_slope,
    samples=box((0.5, 1.5), (-3, 3)),
    tie="0 at (0, 0)",
)


def _boxcox_lambda(log_x: Any, lam: Any) -> Any:
    """log(x)^2 exprel'(lam log x), whose limit at x = 0 is 1 / lam^2."""
    end = log_x == -np.inf
    u = where(end, 1.0, log_x)
    limit = where(lam > 0, divide(1, lam * lam), np.inf)
    return where(end, limit, u * u * exprel_slope(lam * u))


def _inv_boxcox_lambda(x: Any, lam: Any) -> Any:
    """The derivative in lam of log(1 + lam x) / lam: x^2 (t / (1 + t) - log1p(t)) / t^2 with t = lam x."""
    series = [(-1.0) ** (k + 1) * (k + 1) / (k + 2) for k in range(20)]
    t = lam * x
    return x * x * _near(t, 0.1, lambda t: _series(t, series), lambda t: (t / (1 + t) - log1p(t)) / (t * t))


_powers = box((0.3, 3), (-1, 2))
rule(
    "boxcox",
    lambda y, x, lam: power(x, lam - 1),
    lambda y, x, lam: _boxcox_lambda(log(x), lam),
    samples=_powers,
)
rule(
    "boxcox1p",
    lambda y, x, lam: power(1 + x, lam - 1),
    lambda y, x, lam: _boxcox_lambda(log1p(x), lam),
    samples=_powers,
)
rule(
    "inv_boxcox",
    lambda y, x, lam: power(y, 1 - lam),
    lambda y, x, lam: y * _inv_boxcox_lambda(x, lam),
    samples=box((-0.3, 0.3), (-1, 2)),
)
rule(
    "inv_boxcox1p",
    lambda y, x, lam: power(1 + y, 1 - lam),
    lambda y, x, lam: (1 + y) * _inv_boxcox_lambda(x, lam),
    samples=box((-0.3, 0.3), (-1, 2)),
)


# -- exponential and trigonometric integrals -----------------------------------------------------------


def _expn_slope(y: Any, n: Any, x: Any) -> Any:
    """-E_(n-1)(x), where E_0(x) = e^-x / x."""
    zero = n == 0
    lower = expn(where(zero, 1.0, n) - 1, x)
    return where(zero, -exp(-x) * (1 + divide(1, x)) / x, -lower)


expn = rule("expn", "n", _expn_slope, samples=box(2.0, (0.2, 4)))
rule("exp1", lambda y, x: -exp(-x) / x, samples=positive)
rule("expi", lambda y, x: exp(x) / x, samples=positive)
# The outputs of sici, shichi and fresnel, one by one; `arrays.functions.special` joins them.
si = rule("si", lambda y, x: ew.sinc(x / _PI), ufunc=lambda x: sc.sici(x)[0], samples=real)
ci = rule("ci", lambda y, x: ew.cos(x) / x, ufunc=lambda x: sc.sici(x)[1], samples=positive)
shi = rule("shi", lambda y, x: sinhc(x), ufunc=lambda x: sc.shichi(x)[0], samples=real)
chi = rule("chi", lambda y, x: ew.cosh(x) / x, ufunc=lambda x: sc.shichi(x)[1], samples=positive)
fresnel_s = rule("fresnel_s", lambda y, x: ew.sin(0.5 * _PI * x * x), ufunc=lambda x: sc.fresnel(x)[0], samples=real)
fresnel_c = rule("fresnel_c", lambda y, x: ew.cos(0.5 * _PI * x * x), ufunc=lambda x: sc.fresnel(x)[1], samples=real)


# -- Bessel functions (DLMF 10.6, 10.29) ---------------------------------------------------------------


def _half_difference(function: Any) -> Any:
    return lambda y, v, x: 0.5 * (function(v - 1, x) - function(v + 1, x))


def _half_sum(function: Any) -> Any:
    return lambda y, v, x: 0.5 * (function(v - 1, x) + function(v + 1, x))


def _second_kind(function: Any, v: Any, x: Any) -> Any:
    """The same difference for Y, at whose pole two infinities would cancel."""
    pole = (x == 0) & (v >= 0)
    u = where(pole, 1.0, x)
    return where(pole, np.inf, 0.5 * (function(v - 1, u) - function(v + 1, u)))


_order = box(1.5, (0.5, 4))
jv = rule("jv", "v", lambda y, v, x: _half_difference(jv)(y, v, x), functions=(sc.jn,), samples=_order)
yv = rule("yv", "v", lambda y, v, x: _second_kind(yv, v, x), samples=_order)
yn = rule("yn", "n", lambda y, n, x: _second_kind(yv, n, x), samples=box(2, (0.5, 4)))
iv = rule("iv", "v", lambda y, v, x: _half_sum(iv)(y, v, x), samples=_order)
kv = rule("kv", "v", lambda y, v, x: -_half_sum(kv)(y, v, x), samples=_order)
rule("kn", "n", lambda y, n, x: -_half_sum(kv)(y, n, x), samples=box(2, (0.5, 4)))
j0 = rule("j0", lambda y, x: -j1(x), samples=real)
j1 = rule("j1", lambda y, x: 0.5 * (j0(x) - jv(2, x)), samples=real)
y0 = rule("y0", lambda y, x: -y1(x), samples=positive)
y1 = rule("y1", lambda y, x: _second_kind(yv, 1, x), samples=positive)
i0 = rule("i0", lambda y, x: i1(x), samples=real)
i1 = rule("i1", lambda y, x: 0.5 * (i0(x) + iv(2, x)), samples=real)
k0 = rule("k0", lambda y, x: -k1(x), samples=positive)
k1 = rule("k1", lambda y, x: -0.5 * (k0(x) + kv(2, x)), samples=positive)


def _real_order(name: str, slope: Any) -> Any:
    def partial(y: Any, v: Any, x: Any) -> Any:
        real_only(name, x)
        return slope(y, v, x)

    return partial


_EVEN = "symmetric at 0"
jve = rule("jve", "v", _real_order("jve", lambda y, v, x: _half_difference(jve)(y, v, x)), samples=_order)
yve = rule("yve", "v", _real_order("yve", lambda y, v, x: _second_kind(yve, v, x)), samples=_order)
ive = rule(
    "ive",
    "v",
    _real_order("ive", lambda y, v, x: _half_sum(ive)(y, v, x) - np.sign(x) * ive(v, x)),
    samples=_order,
    tie=_EVEN,
)
kve = rule("kve", "v", lambda y, v, x: y - _half_sum(kve)(y, v, x), samples=_order)
i0e = rule("i0e", lambda y, x: i1e(x) - np.sign(x) * i0e(x), samples=positive, tie=_EVEN)
i1e = rule("i1e", lambda y, x: 0.5 * (i0e(x) + ive(2, x)) - np.sign(x) * i1e(x), samples=positive, tie=_EVEN)
k0e = rule("k0e", lambda y, x: k0e(x) - k1e(x), samples=positive)
k1e = rule("k1e", lambda y, x: k1e(x) - 0.5 * (k0e(x) + kve(2, x)), samples=positive)
hankel1 = rule("hankel1", "v", lambda y, v, x: _half_difference(hankel1)(y, v, x), samples=box(1.5, (0.5, 3)))
hankel2 = rule("hankel2", "v", lambda y, v, x: _half_difference(hankel2)(y, v, x), samples=box(1.5, (0.5, 3)))
hankel1e = rule(
    "hankel1e", "v", lambda y, v, x: _half_difference(hankel1e)(y, v, x) - 1j * y, samples=box(1.5, (0.5, 3))
)
hankel2e = rule(
    "hankel2e", "v", lambda y, v, x: _half_difference(hankel2e)(y, v, x) + 1j * y, samples=box(1.5, (0.5, 3))
)
airy_ai = rule("airy_ai", lambda y, x: airy_aip(x), ufunc=lambda x: sc.airy(x)[0], samples=real)
airy_aip = rule("airy_aip", lambda y, x: x * airy_ai(x), ufunc=lambda x: sc.airy(x)[1], samples=real)
airy_bi = rule("airy_bi", lambda y, x: airy_bip(x), ufunc=lambda x: sc.airy(x)[2], samples=real)
airy_bip = rule("airy_bip", lambda y, x: x * airy_bi(x), ufunc=lambda x: sc.airy(x)[3], samples=real)


# -- hypergeometric functions, elliptic integrals ------------------------------------------------------

hyp0f1 = rule("hyp0f1", "v", lambda y, v, z: hyp0f1(v + 1, z) / v, samples=box(1.5, (-2, 2)))
hyp1f1 = rule("hyp1f1", "a", "b", lambda y, a, b, x: a / b * hyp1f1(a + 1, b + 1, x), samples=box(0.5, 1.5, (-2, 2)))
hyp2f1 = rule(
    "hyp2f1",
    "a",
    "b",
    "c",
    lambda y, a, b, c, z: a * b / c * hyp2f1(a + 1, b + 1, c + 1, z),
    samples=box(0.5, 1.5, 2.5, (-0.8, 0.8)),
)
hyperu = rule("hyperu", "a", "b", lambda y, a, b, x: -a * hyperu(a + 1, b + 1, x), samples=box(0.5, 1.5, (0.5, 3)))


def _ellipk_curve(p: Any) -> Any:
    """The second derivative of K in m = 1 - p: from its differential equation, near m = 0 from its series."""
    near = abs(p - 1) < 0.5
    u, v = where(near, 0.5, p), where(near, 1 - p, 0.0)
    far = (0.25 * ellipkm1(u) + (1 - 2 * u) * ellipk_slope(u)) / (u * (1 - u))
    return where(near, _PI / 8 * 1.125 * hyp2f1(_as(v, 2.5), _as(v, 2.5), _as(v, 3), v), far)


def _ellipe_slope(y: Any, m: Any) -> Any:
    """(E - K) / (2 m), near m = 0 from its series."""
    near = abs(m) < 0.5
    u, v = where(near, 0.5, m), where(near, m, 0.0)
    return where(near, -_PI / 8 * hyp2f1(_as(v, 0.5), _as(v, 1.5), _as(v, 2), v), (ellipe(u) - ellipk(u)) / (2 * u))


# The derivative of K in m at m = 1 - p is one of Carlson's integrals (DLMF 19.25).
ellipk_slope = rule(
    "ellipk_slope",
    lambda y, p: -_ellipk_curve(p),
    ufunc=lambda p: sc.elliprd(0.0, 1.0, p) / 6,
    samples=box((0.2, 3)),
)
ellipk = rule("ellipk", lambda y, m: ellipk_slope(1 - m), samples=box((-2, 0.9)))
ellipkm1 = rule("ellipkm1", lambda y, p: -ellipk_slope(p), samples=box((0.2, 3)))
ellipe = rule("ellipe", _ellipe_slope, samples=box((-2, 0.9)))
rule(
    "ellipkinc",
    lambda y, phi, m: 1 / sqrt(1 - m * ew.square(ew.sin(phi))),
    "m",
    samples=box((-1, 1), 0.5),
)
rule(
    "ellipeinc",
    lambda y, phi, m: sqrt(1 - m * ew.square(ew.sin(phi))),
    "m",
    samples=box((-1, 1), 0.5),
)


# -- log-sum-exp ---------------------------------------------------------------------------------------


def _exponentials(a: Any, b: Any, axis: tuple[int, ...]) -> Any:
    """exp(a - max a), where all of equal infinities are 1 and what has the weight 0 may be infinite."""
    level = np.real(a)
    if b is not None:
        level = where(b == 0, -np.inf, level)
    top = frozen(np.max(level, axis=axis, keepdims=True))
    e = exp(ew.difference(a, top))
    return e if b is None else where((b == 0) & ~np.isfinite(e), 0.0, e)


def _logsumexp_map(y: Any, a: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    if np.size(innermost(a)) == 0:
        return lambda da: sum_(da, axis=axis, keepdims=keepdims)
    e = _exponentials(a, None, axis)
    shares = e / sum_(e, axis=axis, keepdims=True)
    return lambda da: sum_(shares * da, axis=axis, keepdims=keepdims)


def _weighted_terms(a: Any, b: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """The derivatives of log |sum b exp a| in the elements of a and of b."""
    if np.size(innermost(a)) == 0:
        return a, a
    e = _exponentials(a, b, axis)
    total = sum_(b * e, axis=axis, keepdims=True)
    return b * e / total, e / total


def _weighted_map(which: int) -> Any:
    def rule(y: Any, a: Any, b: Any, *, axis: tuple[int, ...], keepdims: bool, signed: bool) -> Any:
        terms = _weighted_terms(a, b, axis)[which]
        return lambda change: sum_(terms * change, axis=axis, keepdims=keepdims)

    return rule


def _weighted(a: Any, b: Any, *, axis: tuple[int, ...], keepdims: bool, signed: bool) -> Any:
    plain: Any = sc.logsumexp
    result = plain(a, b=b, axis=axis, keepdims=keepdims, return_sign=signed)
    return result[0] if signed else result


def _logsumexp_samples(*arguments: int) -> Any:
    def samples(rng: np.random.Generator) -> Samples:
        more = {"signed": False} if len(arguments) > 1 else {}
        yield tuple(rng.uniform(0.5, 2, (2, 3)) for _ in arguments), {"axis": (1,), "keepdims": False, **more}
        yield tuple(rng.uniform(0.5, 2, (2, 3)) for _ in arguments), {"axis": (0, 1), "keepdims": True, **more}

    return samples


# The operands have one shape and at least one dimension; `chainrule.scipy.special` brings them to it.
logsumexp = general(
    "logsumexp",
    lambda a, *, axis, keepdims: sc.logsumexp(a, axis=axis, keepdims=keepdims),
    _logsumexp_map,
    samples=_logsumexp_samples(0),
    tie="equal infinities share equally",
)
weighted_logsumexp = general(
    "weighted_logsumexp", _weighted, _weighted_map(0), _weighted_map(1), samples=_logsumexp_samples(0, 1)
)


@batching(logsumexp, weighted_logsumexp)
def _logsumexp_rows(
    primitive: Any, values: tuple[Any, ...], batched: tuple[bool, ...], size: int, params: dict[str, Any]
) -> Any:
    rows = [every(v, b, size) for v, b in zip(values, batched, strict=True)]
    return primitive(*rows, **{**params, "axis": tuple(k + 1 for k in params["axis"])})
