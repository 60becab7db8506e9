"""The rules of scipy.special against mpmath: values come from SciPy, derivatives from 40 digits.

`TABLE` gives for each function mpmath's form and the arguments at which each differentiable argument is
varied. Derivatives of order one to three are compared, first at ordinary points, then at the ends.
"""

import math
import subprocess
import sys

import mpmath as mp
import numpy as np
import pytest
import scipy.special as sc

import chainrule as cr
from chainrule.core.primitive import registry
from chainrule.errors import UnsupportedError

mp.mp.dps = 40


def mp_ndtr(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def mp_entr(x):
    return -x * mp.log(x)


def mp_xlogy(x, y):
    return x * mp.log(y)


def mp_huber(d, r):
    return r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2)


def mp_boxcox(x, lam):
    return mp.log(x) if lam == 0 else mp.expm1(lam * mp.log(x)) / lam


def mp_inv_boxcox(x, lam):
    return mp.exp(x) if lam == 0 else mp.exp(mp.log1p(lam * x) / lam)


def mp_owens_t(h, a):
    return mp.quad(lambda t: mp.exp(-h * h * (1 + t * t) / 2) / (1 + t * t), [0, a]) / (2 * mp.pi)


def mp_stdtr(v, t):
    return mp.mpf(1) / 2 + t * mp.gamma((v + 1) / 2) / (
        mp.sqrt(mp.pi * v) * mp.gamma(v / 2)
    ) * mp.hyp2f1(0.5, (v + 1) / 2, 1.5, -t * t / v)


def mp_inverse(f, start=0.0):
    """The inverse of an increasing or decreasing function of one variable."""
    return lambda y: mp.findroot(lambda x: f(x) - y, start)


def mp_dawsn(x):
    return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)


def mp_exprel(x):
    return mp.mpf(1) if x == 0 else mp.expm1(x) / x


def mp_log_ndtr(x):
    return mp.log(mp_ndtr(x))


E_ = mp.mpf  # noqa: N816

# name: (mpmath's function, indices of the differentiated arguments, points)
TABLE = {
    "gamma": (mp.gamma, (0,), [(0.3,), (2.5,), (-1.5,), (20.0,), (1e-3,)]),
    "gammaln": (mp.loggamma, (0,), [(0.3,), (2.5,), (100.0,), (1e6,), (1e-8,)]),
    "loggamma": (mp.loggamma, (0,), [(0.3,), (2.5,), (100.0,)]),
    "rgamma": (mp.rgamma, (0,), [(0.3,), (2.5,), (0.0,), (-1.0,), (-2.0,), (-2.0001,), (-3.5,), (0.5,)]),
    "digamma": (mp.digamma, (0,), [(0.3,), (2.5,), (100.0,), (-1.5,)]),
    "psi": (mp.digamma, (0,), [(2.5,)]),
    "polygamma": (mp.polygamma, (1,), [(1, 0.3), (2, 2.5), (3, 20.0)]),
    "erf": (mp.erf, (0,), [(0.0,), (0.3,), (-2.5,), (5.0,)]),
    "erfc": (mp.erfc, (0,), [(0.3,), (-2.5,), (5.0,), (20.0,)]),
    "erfcx": (
        lambda x: mp.exp(x * x) * mp.erfc(x),
        (0,),
        [(-3.0,), (0.0,), (0.3,), (1.9,), (2.1,), (7.0,), (30.0,), (1e4,)],
    ),
    "erfi": (mp.erfi, (0,), [(0.3,), (-2.5,)]),
    "erfinv": (mp.erfinv, (0,), [(0.0,), (0.3,), (-0.9,), (0.999,)]),
    "erfcinv": (lambda y: mp.erfinv(1 - y), (0,), [(0.3,), (1.9,), (1e-5,)]),
    "dawsn": (mp_dawsn, (0,), [(0.0,), (0.3,), (3.0,), (6.9,), (7.1,), (-30.0,), (1e3,)]),
    "ndtr": (mp_ndtr, (0,), [(0.0,), (0.3,), (-4.0,), (6.0,), (-20.0,)]),
    "log_ndtr": (mp_log_ndtr, (0,), [(0.0,), (0.3,), (4.0,), (-4.0,), (-40.0,)]),
    "ndtri": (lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1), (0,), [(0.5,), (0.3,), (0.999,)]),
    "ndtri_exp": (lambda y: mp.sqrt(2) * mp.erfinv(2 * mp.exp(y) - 1), (0,), [(-0.5,), (-3.0,), (-20.0,)]),
    "expit": (lambda x: 1 / (1 + mp.exp(-x)), (0,), [(0.0,), (0.3,), (-4.0,), (40.0,), (-600.0,)]),
    "logit": (lambda x: mp.log(x / (1 - x)), (0,), [(0.5,), (0.3,), (1e-10,), (0.999,)]),
    "log_expit": (lambda x: -mp.log1p(mp.exp(-x)), (0,), [(0.0,), (0.3,), (-40.0,), (40.0,)]),
    "xlogy": (mp_xlogy, (0, 1), [(0.3, 0.7), (2.0, 5.0), (0.0, 2.0)]),
    "xlog1py": (lambda x, y: x * mp.log1p(y), (0, 1), [(0.3, 0.7), (2.0, 5.0), (0.0, 2.0)]),
    "entr": (mp_entr, (0,), [(0.3,), (2.0,), (1e-9,)]),
    "rel_entr": (lambda x, y: x * mp.log(x / y), (0, 1), [(0.3, 0.7), (2.0, 5.0)]),
    "kl_div": (lambda x, y: x * mp.log(x / y) - x + y, (0, 1), [(0.3, 0.7), (2.0, 5.0), (1.0, 1.0 + 1e-6)]),
    "beta": (mp.beta, (0, 1), [(0.3, 0.7), (2.0, 5.0)]),
    "betaln": (lambda a, b: mp.log(mp.beta(a, b)), (0, 1), [(0.3, 0.7), (2.0, 5.0), (1e6, 1.0)]),
    "betainc": (
        lambda a, b, x: mp.betainc(a, b, 0, x, regularized=True),
        (2,),
        [(1.5, 2.5, 0.3), (20.0, 30.0, 0.4)],
    ),
    "betaincc": (lambda a, b, x: mp.betainc(a, b, x, 1, regularized=True), (2,), [(1.5, 2.5, 0.3)]),
    "gammainc": (lambda a, x: mp.gammainc(a, 0, x, regularized=True), (1,), [(1.5, 0.3), (200.0, 190.0)]),
    "gammaincc": (lambda a, x: mp.gammainc(a, x, regularized=True), (1,), [(1.5, 0.3), (200.0, 210.0)]),
    "gammaincinv": (
        lambda a, y: mp_inverse(lambda x: mp.gammainc(a, 0, x, regularized=True), 1.3)(y),
        (1,),
        [(1.5, 0.5)],
    ),
    "chdtr": (lambda v, x: mp.gammainc(v / 2, 0, x / 2, regularized=True), (1,), [(3.0, 1.3)]),
    "chdtrc": (lambda v, x: mp.gammainc(v / 2, x / 2, regularized=True), (1,), [(3.0, 1.3)]),
    "gdtr": (lambda a, b, x: mp.gammainc(b, 0, a * x, regularized=True), (0, 2), [(1.2, 1.5, 0.7)]),
    "gdtrc": (lambda a, b, x: mp.gammainc(b, a * x, regularized=True), (0, 2), [(1.2, 1.5, 0.7)]),
    "pdtr": (lambda k, m: mp.gammainc(k + 1, m, regularized=True), (1,), [(2.0, 1.3), (0.0, 0.5)]),
    "pdtrc": (lambda k, m: mp.gammainc(k + 1, 0, m, regularized=True), (1,), [(2.0, 1.3)]),
    "stdtr": (mp_stdtr, (1,), [(3.0, 0.7), (5.5, -2.0)]),
    "owens_t": (mp_owens_t, (0, 1), [(0.3, 0.7), (1.5, -2.0)]),
    "i0": (lambda x: mp.besseli(0, x), (0,), [(0.0,), (0.3,), (-4.0,), (30.0,)]),
    "i1": (lambda x: mp.besseli(1, x), (0,), [(0.0,), (0.3,), (-4.0,), (30.0,)]),
    "i0e": (lambda x: mp.exp(-abs(x)) * mp.besseli(0, x), (0,), [(0.3,), (-4.0,), (30.0,)]),
    "i1e": (lambda x: mp.exp(-abs(x)) * mp.besseli(1, x), (0,), [(0.3,), (-4.0,), (30.0,)]),
    "iv": (mp.besseli, (1,), [(1.5, 0.3), (2.0, 4.0), (0.0, 1.0)]),
    "ive": (lambda v, x: mp.exp(-abs(x)) * mp.besseli(v, x), (1,), [(1.5, 0.3), (2.0, 4.0)]),
    "j0": (mp.j0, (0,), [(0.0,), (0.3,), (-4.0,), (30.0,)]),
    "j1": (mp.j1, (0,), [(0.0,), (0.3,), (-4.0,), (30.0,)]),
    "jv": (mp.besselj, (1,), [(1.5, 0.3), (2.0, 4.0), (0.0, 1.0)]),
    "jve": (mp.besselj, (1,), [(1.5, 0.3)]),
    "y0": (lambda x: mp.bessely(0, x), (0,), [(0.3,), (4.0,), (30.0,)]),
    "y1": (lambda x: mp.bessely(1, x), (0,), [(0.3,), (4.0,), (30.0,)]),
    "yv": (mp.bessely, (1,), [(1.5, 0.3), (2.0, 4.0), (0.0, 1.0)]),
    "yve": (mp.bessely, (1,), [(1.5, 0.3)]),
    "yn": (mp.bessely, (1,), [(2, 0.3)]),
    "kv": (mp.besselk, (1,), [(1.5, 0.3), (2.0, 4.0), (0.0, 1.0)]),
    "kn": (mp.besselk, (1,), [(2, 0.3)]),
    "kve": (lambda v, x: mp.exp(x) * mp.besselk(v, x), (1,), [(1.5, 0.3), (2.0, 4.0)]),
    "k0": (lambda x: mp.besselk(0, x), (0,), [(0.3,), (4.0,)]),
    "k1": (lambda x: mp.besselk(1, x), (0,), [(0.3,), (4.0,)]),
    "k0e": (lambda x: mp.exp(x) * mp.besselk(0, x), (0,), [(0.3,), (4.0,)]),
    "k1e": (lambda x: mp.exp(x) * mp.besselk(1, x), (0,), [(0.3,), (4.0,)]),
    "ellipk": (mp.ellipk, (0,), [(0.0,), (1e-9,), (0.3,), (0.7,), (0.99,), (-0.4,), (-0.6,), (-10.0,)]),
    "ellipe": (mp.ellipe, (0,), [(0.0,), (1e-9,), (0.3,), (0.7,), (0.99,), (-0.4,), (-0.6,), (-10.0,)]),
    "ellipkm1": (lambda p: mp.ellipk(1 - p), (0,), [(1.0,), (0.3,), (0.7,), (1e-9,), (5.0,)]),
    "ellipkinc": (mp.ellipf, (0,), [(0.3, 0.5), (-1.0, 0.9)]),
    "ellipeinc": (mp.ellipe, (0,), [(0.3, 0.5), (-1.0, 0.9)]),
    "expn": (mp.expint, (1,), [(4, 0.7), (1, 2.0), (0, 0.7)]),
    "exp1": (mp.e1, (0,), [(0.3,), (5.0,)]),
    "expi": (mp.ei, (0,), [(0.3,), (5.0,), (-1.0,)]),
    "cosm1": (lambda x: mp.cos(x) - 1, (0,), [(0.3,), (1e-9,)]),
    "exprel": (mp_exprel, (0,), [(0.0,), (1e-9,), (0.3,), (-0.99,), (1.01,), (-30.0,), (30.0,)]),
    "exp10": (lambda x: mp.mpf(10) ** x, (0,), [(0.3,), (-2.0,)]),
    "exp2": (lambda x: mp.mpf(2) ** x, (0,), [(0.3,), (-2.0,)]),
    "cbrt": (mp.cbrt, (0,), [(0.3,), (8.0,)]),
    "log1p": (mp.log1p, (0,), [(0.3,), (1e-9,)]),
    "expm1": (mp.expm1, (0,), [(0.3,), (-40.0,)]),
    "radian": (lambda d, m, s: (d + m / 60 + s / 3600) * mp.pi / 180, (0, 1, 2), [(3.0, 20.0, 15.0)]),
    "sindg": (lambda x: mp.sin(x * mp.pi / 180), (0,), [(30.0,)]),
    "cosdg": (lambda x: mp.cos(x * mp.pi / 180), (0,), [(30.0,)]),
    "tandg": (lambda x: mp.tan(x * mp.pi / 180), (0,), [(30.0,)]),
    "cotdg": (lambda x: mp.cot(x * mp.pi / 180), (0,), [(30.0,)]),
    "powm1": (lambda x, y: x**y - 1, (0, 1), [(0.7, 2.3), (1.0001, 3.0)]),
    "spence": (lambda z: mp.polylog(2, 1 - z), (0,), [(0.3,), (1.0,), (1.05,), (1.7,)]),
    "wrightomega": (lambda z: mp.lambertw(mp.exp(z)).real, (0,), [(0.3,), (-2.0,)]),
    "huber": (mp_huber, (0, 1), [(1.0, 0.3), (1.0, 2.0), (1.0, -2.0)]),
    "pseudo_huber": (
        lambda d, r: d * d * (mp.sqrt(1 + (r / d) ** 2) - 1),
        (0, 1),
        [(1.0, 0.3), (1.0, 2.0), (0.5, -2.0), (2.0, 1e-5)],
    ),
    "boxcox": (mp_boxcox, (0, 1), [(0.3, 0.7), (2.0, 0.0), (2.0, 1e-9), (3.0, -1.5), (40.0, 2.0)]),
    "boxcox1p": (
        lambda x, lam: mp_boxcox(1 + x, lam),
        (0, 1),
        [(0.3, 0.7), (2.0, 0.0), (2.0, 1e-9), (3.0, -1.5), (1e-9, 2.0)],
    ),
    "inv_boxcox": (mp_inv_boxcox, (0, 1), [(0.3, 0.7), (2.0, 0.0), (2.0, 1e-9), (0.3, -1.5), (40.0, 2.0)]),
    "inv_boxcox1p": (
        lambda x, lam: mp_inv_boxcox(x, lam) - 1,
        (0, 1),
        [(0.3, 0.7), (2.0, 0.0), (2.0, 1e-9), (0.3, -1.5)],
    ),
    "zeta": (mp.zeta, (1,), [(2.5, 0.7), (4.0, 3.0)]),
    "hyp0f1": (mp.hyp0f1, (1,), [(1.5, 0.7), (2.0, -2.0)]),
    "hyp1f1": (mp.hyp1f1, (2,), [(0.5, 1.5, 0.7), (2.0, 3.0, -2.0)]),
    "hyp2f1": (mp.hyp2f1, (3,), [(0.5, 1.5, 2.5, 0.7), (0.5, 1.5, 2.5, -0.7)]),
    "hyperu": (mp.hyperu, (2,), [(0.5, 1.5, 0.7), (2.0, 3.0, 2.0)]),
}
RTOL = {1: 2e-13, 2: 2e-11, 3: 3e-9}


def reference(f, index, point, order):
    """The derivative in one argument with 40 digits, at the very double that is given."""
    values = [mp.mpf(p) for p in point]

    def along(t):
        return f(*values[:index], t, *values[index + 1 :])

    return float(mp.re(mp.diff(along, values[index], order)))


def along(function, index, point):
    return lambda t: function(*point[:index], t, *point[index + 1 :])


CASES = [
    pytest.param(name, index, point, id=f"{name}-{index}-{point}".replace(" ", ""))
    for name, (_, indices, points) in TABLE.items()
    for index in indices
    for point in points
]


@pytest.mark.parametrize(("name", "index", "point"), CASES)
def test_derivatives(name, index, point):
    function = getattr(sc, name)
    if name == "polygamma":
        from chainrule.scipy.special import polygamma as function
    for order in (1, 2, 3):
        expected = reference(TABLE[name][0], index, point, order)
        got = cr.derivative(along(function, index, point), order)(point[index])
        np.testing.assert_allclose(got, expected, rtol=RTOL[order], atol=1e-300, err_msg=f"order {order}")
