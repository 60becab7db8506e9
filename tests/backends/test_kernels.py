"""The special functions that are our own: against mpmath, as Python and as machine code, and at special values."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest

from chainrule.backends import expressions, kernels
from chainrule.backends.numba import special
from chainrule.core.primitive import registry

importlib.import_module("chainrule.rules.special")  # which fills the registry
compiled = special.kernels(kernels, {"error_model": "numpy"})
NAN, INF = np.nan, np.inf
RNG = np.random.default_rng(5)


def product(*sides: Any) -> Iterator[tuple[float, ...]]:
    """Points: all of the listed numbers with each other."""
    grids = np.meshgrid(*[np.asarray(s, float) for s in sides], indexing="ij")
    yield from zip(*[g.ravel().tolist() for g in grids], strict=True)


def _ierfcx(n: float, x: float) -> Any:
    """exp(x²) iⁿerfc(x), by its integral."""
    integrand = lambda t: t**n / mpmath.factorial(n) * mpmath.exp(-t * t - 2 * x * t)
    return 2 / mpmath.sqrt(mpmath.pi) * mpmath.quad(integrand, [0, 1, 3, 10, 30])


def _zeta(s: float, q: float) -> Any:
    """mpmath's own is wrong for a large q, where the sum is short or smooth."""
    if q < 100:
        return mpmath.zeta(s, q)
    if s >= 40:
        return mpmath.fsum((k + mpmath.mpf(q)) ** -s for k in range(5000))
    return mpmath.nsum(lambda k: (k + q) ** -mpmath.mpf(s), [0, mpmath.inf], method="euler-maclaurin")


def _ratio(x: float, y: float) -> Any:
    return mpmath.log(mpmath.mpf(x) / y)


SIZES = [1e-3, 0.4, 1.0, 2.5, 9.9, 10.0, 40.0, 1e3, 1e5]
NEAR = 1 + np.array([-1e-9, 1e-12, -0.3, 0.45, 3.0, 1e-3])
UNIT = [1e-9, 0.02, 0.3, 0.5, 0.77, 0.999]
REAL = RNG.uniform(-6, 6, 12)
POSITIVE = RNG.uniform(0.05, 9, 12)

CASES: dict[str, tuple[Callable[..., Any], Any]] = {
    "airy_ai": (mpmath.airyai, product(RNG.uniform(-5, 5, 9))),
    "airy_aip": (lambda x: mpmath.airyai(x, derivative=1), product(RNG.uniform(-5, 5, 9))),
    "airy_bi": (mpmath.airybi, product(RNG.uniform(-5, 5, 9))),
    "airy_bip": (lambda x: mpmath.airybi(x, derivative=1), product(RNG.uniform(-5, 5, 9))),
    "beta_pdf": (
        lambda x, a, b: mpmath.mpf(x) ** (a - 1) * (1 - mpmath.mpf(x)) ** (b - 1) / mpmath.beta(a, b),
        product(UNIT, [0.05, 0.7, 3.0, 9.5, 12.0, 80.0], [0.02, 1.0, 6.5, 10.5, 60.0]),
    ),
    "chi": (mpmath.chi, product(POSITIVE)),
    "ci": (mpmath.ci, product(POSITIVE)),
    "ellipk_slope": (
        lambda p: mpmath.diff(mpmath.ellipk, 1 - mpmath.mpf(p)),
        product([1e-4, 0.1, 0.9, 1.0, 1.3, 40.0]),
    ),
    "fresnel_c": (mpmath.fresnelc, product(REAL)),
    "fresnel_s": (mpmath.fresnels, product(REAL)),
    "ierfcx": (_ierfcx, product([1, 2], [-3.0, -0.5, 0.0, 0.4, 0.9, 2.0, 2.5, 8.0, 30.0])),
    "igam_fac": (
        lambda a, x: mpmath.exp(a * mpmath.log(x) - x - mpmath.loggamma(a)),
        [(a, a * r) for a, r in product(SIZES, NEAR) if a < 2e3 or abs(r - 1) < 0.01],
    ),
    "log_ratio": (_ratio, [(y * r, y) for y, r in product([1e-200, 0.3, 5.0, 1e200], [*NEAR, 1e-3, 1e50])]),
    "polygamma": (
        lambda n, x: mpmath.psi(int(n), x),
        product([0, 1, 2, 3, 5, 9, 20], [-7.3, -0.4, 1e-3, 0.3, 1.2, 6.0, 25.0, 1e4, 1e9]),
    ),
    "psi_difference": (
        lambda a, b: mpmath.psi(0, a) - mpmath.psi(0, mpmath.mpf(a) + b),
        product([0.1, 2.0, 30.0, 60.0, 1e4], [0.2, 3.0, 100.0]),
    ),
    "relative_gap": (lambda x, y: (mpmath.mpf(y) - x) / y, [(y * r, y) for y, r in product([0.3, -5.0], NEAR)]),
    "riemann_zeta": (mpmath.zeta, product([1.01, 1.5, 3.0, 20.0, -1.5, 0.5])),
    "shi": (mpmath.shi, product(REAL)),
    "si": (mpmath.si, product(REAL)),
    "xdivy": (lambda x, y: mpmath.mpf(x) / y, product([0.0, 1.5, -2.0], [0.3, -7.0])),
    "zeta": (
        _zeta,
        [
            *product([1.001, 1.5, 2.0, 7.3, 40.0], [1e-3, 0.4, 1.0, 3.3, 19.0]),
            *product([2.0, 7.3, 40.0], [1e3]),
            (2.0, 1e7),
        ],
    ),
}
# SciPy's functions, whose rounding is not ours.
LOOSE = {"airy_ai": 1e-12, "airy_aip": 1e-12, "airy_bi": 1e-12, "airy_bip": 1e-12, "psi_difference": 2e-13}

EDGES: dict[str, list[tuple[float, ...]]] = {
    "beta_pdf": [(0.5, NAN, 2.0), (0.5, 2.0, NAN)],
    "ierfcx": [(1, -INF), (1, INF), (1, NAN), (2, -30.0)],
    "igam_fac": [(1.5, 0.0), (20.0, 0.0), (1.5, NAN), (20.0, 1e5), (2.0, 800.0)],
    "log_ratio": [(0.0, 1.0), (1.0, 0.0), (INF, 1.0), (1.0, INF), (NAN, 1.0), (-1.0, 1.0)],
    "polygamma": [(1, 0.0), (2, -3.0), (1, INF), (2, NAN), (0, 0.0), (1, -INF)],
    "relative_gap": [(0.0, 0.0), (0.0, 2.0), (1.0, 0.0), (0.0, NAN)],
    "riemann_zeta": [(1.0,), (NAN,), (INF,)],
    "xdivy": [(0.0, 0.0), (0.0, INF), (0.0, NAN), (1.0, 0.0), (-1.0, 0.0), (NAN, 1.0)],
    "zeta": [(1.0, 2.0), (0.5, 2.0), (2.0, 0.0), (2.0, -3.0), (2.5, -0.5), (2.0, -0.5), (2.0, INF), (NAN, 1.0)],
}


def test_all_kernels_are_listed_and_are_primitives() -> None:
    assert set(kernels.__all__) == expressions._KERNELS == set(CASES)
    assert set(kernels.__all__) <= set(registry)


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    reference, points = CASES[name]
    mpmath.mp.dps = 40
    for args in points:
        expected = float(mpmath.re(reference(*args)))
        for module in (kernels, compiled):
            with np.errstate(all="ignore"):
                got = getattr(module, name)(*map(np.float64, args))
            assert got == pytest.approx(expected, rel=LOOSE.get(name, 1e-13), abs=1e-300), (module.__name__, args)


@pytest.mark.parametrize("name", EDGES)
def test_special_values_are_those_of_the_rules(name: str) -> None:
    for args in EDGES[name]:
        with np.errstate(all="ignore"):
            expected = registry[name].impl(*map(np.float64, args))
            got = [getattr(m, name)(*map(np.float64, args)) for m in (kernels, compiled)]
        np.testing.assert_allclose(got, [expected, expected], rtol=1e-13, err_msg=str(args))
