"""Special functions that SciPy does not export for compiled code: plain functions of real numbers.

Each answers what the primitive of its name evaluates to, and is compiled as it stands: `special` is SciPy's module in
Python, and the C functions behind it in compiled code. Only a text that calls one of these imports this module, and
with it SciPy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

__all__ = [
    "airy_ai",
    "airy_aip",
    "airy_bi",
    "airy_bip",
    "beta_pdf",
    "chi",
    "ci",
    "ellipk_slope",
    "fresnel_c",
    "fresnel_s",
    "ierfcx",
    "igam_fac",
    "log_ratio",
    "polygamma",
    "psi_difference",
    "relative_gap",
    "riemann_zeta",
    "shi",
    "si",
    "xdivy",
    "zeta",
]

_SQRT_PI = math.sqrt(math.pi)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# B_2k / (2k)! of the formula of Euler and Maclaurin, and B_2k / (2k (2k - 1)) of Stirling's series.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_MACLAURIN = tuple(b / math.factorial(2 * k) for k, b in enumerate(_BERNOULLI, 1))
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))


# -- gamma functions -----------------------------------------------------------------------------------


def zeta(s: Any, q: Any) -> Any:
    """The sum of (q + k)^-s over k >= 0: terms up to a large q + k, then Euler and Maclaurin."""
    if s <= 1:
        return np.inf if s == 1 else np.nan
    if q <= 0:
        if q == np.floor(q):
            return np.inf
        if s != np.floor(s):
            return np.nan
    total = 0.0
    while q < 10 + s:
        total += q**-s
        q += 1.0
    power = q**-s
    total += q ** (1 - s) / (s - 1) + 0.5 * power
    term = s * power / q
    for k in range(len(_MACLAURIN)):
        total += _MACLAURIN[k] * term
        term *= (s + 2 * k + 1) * (s + 2 * k + 2) / (q * q)
    return total


def riemann_zeta(s: Any) -> Any:
    return 1.0 + special.zetac(s)


def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma."""
    if n == 0:
        return special.psi(x)
    size = special.gamma(n + 1.0) * zeta(n + 1.0, x)
    return size if n % 2 == 1 else -size


def psi_difference(a: Any, b: Any) -> Any:
    """digamma(a) - digamma(a + b), by the asymptotic series of the difference where it would cancel."""
    if not (a > 50 and a + b > 50):
        return special.psi(a) - special.psi(a + b)
    u, v = 1 / a, 1 / (a + b)
    uu, vv = u * u, v * v
    d = (u + v) * b * u * v
    tail = -1 / 12 + (uu + vv) / 120 - (uu * uu + uu * vv + vv * vv) / 252 + (uu + vv) * (uu * uu + vv * vv) / 240
    return -np.log1p(b * u) - 0.5 * b * u * v + d * tail


# -- densities -----------------------------------------------------------------------------------------


def _deviance(a: Any, x: Any, gap: Any) -> Any:
    """a log(x / a) - gap for gap = x - a."""
    t = gap / a
    if abs(t) > 0.5:
        return a * np.log(x / a) - gap
    r = t / (2 + t)
    rr, series = r * r, 0.0
    for k in range(41, 1, -2):
        series = series * rr + 1 / k
    return a * r * (2 * rr * series - t)


def _stirling_rest(a: Any) -> Any:
    """The logarithm of gamma(a) sqrt(a / 2 pi) (e / a)^a."""
    if a < 10:
        return special.gammaln(a) - ((a - 0.5) * np.log(a) - a + _HALF_LOG_2PI)
    u, series = 1 / (a * a), 0.0
    for k in range(len(_STIRLING) - 1, -1, -1):
        series = series * u + _STIRLING[k]
    return series / a


def igam_fac(a: Any, x: Any) -> Any:
    """x^a e^-x / gamma(a)."""
    if a < 10:
        half = np.exp(-0.5 * x)
        return x**a * half / special.gamma(a) * half
    return np.sqrt(a / (2 * np.pi)) * np.exp(_deviance(a, x, x - a) - _stirling_rest(a))


def beta_pdf(x: Any, a: Any, b: Any) -> Any:
    """x^(a-1) (1-x)^(b-1) / beta(a, b)."""
    if a < 10 and b < 10:
        return x ** (a - 1) * np.exp((b - 1) * np.log1p(-x)) / special.beta(a, b)
    n, gap = a + b, x * b - (1 - x) * a
    size = _deviance(a, x * n, gap) + _deviance(b, (1 - x) * n, -gap)
    size += _stirling_rest(n) - _stirling_rest(a) - _stirling_rest(b)
    return np.sqrt(a / n * b / (2 * np.pi)) * np.exp(size) / (x * (1 - x))


# -- error functions, integrals ------------------------------------------------------------------------


def ierfcx(n: Any, x: Any) -> Any:
    """exp(x^2) i^n erfc(x), the scaled repeated integrals of erfc (DLMF 7.18), n >= 1."""
    order = int(n)
    now = special.erfcx(x)
    if x < 2:
        before = 2 / _SQRT_PI
        for k in range(1, order + 1):
            before, now = now, (0.5 * before - x * now) / k
        return now
    ratio = 0.0
    for k in range(order + 50, 0, -1):  # the remainder decays like exp(-2 x sqrt(2 k))
        ratio = 1 / (2 * x + 2 * (k + 1) * ratio)
        if k <= order:
            now *= ratio
    return now


def ellipk_slope(p: Any) -> Any:
    """The derivative of the elliptic integral K in m at m = 1 - p."""
    return special.elliprd(0.0, 1.0, p) / 6


def si(x: Any) -> Any:
    return special.sici(x)[0]


def ci(x: Any) -> Any:
    return special.sici(x)[1]


def shi(x: Any) -> Any:
    return special.shichi(x)[0]


def chi(x: Any) -> Any:
    return special.shichi(x)[1]


def fresnel_s(x: Any) -> Any:
    return special.fresnel(x)[0]


def fresnel_c(x: Any) -> Any:
    return special.fresnel(x)[1]


def airy_ai(x: Any) -> Any:
    return special.airy(x)[0]


def airy_aip(x: Any) -> Any:
    return special.airy(x)[1]


def airy_bi(x: Any) -> Any:
    return special.airy(x)[2]


def airy_bip(x: Any) -> Any:
    return special.airy(x)[3]


# -- quotients -----------------------------------------------------------------------------------------


def xdivy(x: Any, y: Any) -> Any:
    """x / y, and 0 for x = 0."""
    return 0.0 if x == 0 and y == y else x / y


def log_ratio(x: Any, y: Any) -> Any:
    """log(x / y), without cancellation for x near y and without overflow."""
    d = (x - y) / y
    return np.log1p(d) if abs(d) < 0.5 else np.log(x) - np.log(y)


def relative_gap(x: Any, y: Any) -> Any:
    """1 - x / y, without cancellation for x near y."""
    return 1.0 + 0.0 * y if x == 0 else (y - x) / y
