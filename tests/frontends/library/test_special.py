"""scipy.special and the special functions of math in native programs, against differences and mpmath."""

from __future__ import annotations

import importlib
import linecache
import math
import re

import mpmath
import numpy as np
import pytest
import scipy.special as sc

import chainrule as cr
from chainrule.backends import kernels
from chainrule.backends.numba.special import _exported
from chainrule.core.primitive import by_function
from chainrule.errors import UnsupportedError

A = np.array([[0.3, 1.2, -0.4], [2.0, 0.1, 0.5]])


@pytest.mark.parametrize("backend", ["interpreter", "python", "numba"])
@pytest.mark.parametrize(
    ("f", "reference"),
    [
        (lambda x: math.erf(x) * math.erfc(x), lambda x: mpmath.erf(x) * mpmath.erfc(x)),
        (lambda x: math.gamma(x) + math.lgamma(x), lambda x: mpmath.gamma(x) + mpmath.loggamma(x)),
        (lambda x: sc.erfc(x) * sc.ndtr(x), lambda x: mpmath.erfc(x) * mpmath.ncdf(x)),
        (lambda x: sc.expit(x) * sc.j0(x), lambda x: mpmath.besselj(0, x) / (1 + mpmath.exp(-x))),
    ],
    ids=["erf", "gamma", "ndtr", "bessel"],
)
def test_numbers(f, reference, backend):
    assert math.isclose(cr.jit(f, backend=backend)(0.7), float(reference(0.7)), rel_tol=1e-13)
    slope = cr.jit(cr.grad(f), backend=backend)(0.7)
    assert math.isclose(slope, float(mpmath.diff(reference, 0.7)), rel_tol=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: sc.logsumexp(a),
        lambda a: sc.logsumexp(a, axis=1)[0] + sc.logsumexp(a, axis=0, keepdims=True)[0, 1],
        lambda a: np.sum(sc.logsumexp(a, axis=1, b=a**2)),
        lambda a: sc.softmax(a, axis=1)[0, 1] * sc.log_softmax(a)[1, 2],
    ],
    ids=["logsumexp", "axes", "weights", "softmax"],
)
def test_functions_that_scipy_has_in_python(f):
    np.testing.assert_allclose(cr.jit(f, backend="python")(A), f(A), rtol=1e-14)
    gradient = cr.jit(cr.grad(f), backend="python")(A)
    for k in np.ndindex(A.shape):
        e = np.zeros_like(A)
        e[k] = 1e-6
        np.testing.assert_allclose(gradient[k], (f(A + e) - f(A - e)) / 2e-6, atol=1e-8)


def test_the_logarithm_of_a_sum_without_overflow():
    x = np.array([1000.0, 1000.5, -np.inf])
    np.testing.assert_allclose(cr.jit(sc.logsumexp, backend="python")(x), sc.logsumexp(x))


# -- every function with a rule ------------------------------------------------------------------------

COMPLEX = "complex results are not compiled"
# The known gaps: functions that have a rule and are refused in native mode.
GAPS = {
    "hankel1": COMPLEX,
    "hankel1e": COMPLEX,
    "hankel2": COMPLEX,
    "hankel2e": COMPLEX,
    "lambertw": COMPLEX,
}
# What is no ufunc of one result, in one variable.
OTHERS = {
    "airy": ("sum(sc.airy(x))", 1.3),
    "fresnel": ("sum(sc.fresnel(x))", 1.3),
    "lambertw": ("sc.lambertw(x).real", 1.3),
    "polygamma": ("sc.polygamma(2, x)", 1.3),
    "shichi": ("sum(sc.shichi(x))", 1.3),
    "sici": ("sum(sc.sici(x))", 1.3),
    "zeta": ("sc.zeta(2.5, x)", 1.3),
    "riemann zeta": ("x**3 * sc.zeta(2.5)", 1.3),
}


def _programs():
    """Every function of scipy.special with a rule, as a function of each argument that has one."""
    importlib.import_module("chainrule.rules.special")
    own = {f for f in vars(sc).values() if isinstance(f, np.ufunc) and getattr(np, f.__name__, None) is not f}
    for function in sorted(own & set(by_function), key=lambda f: f.__name__):
        rule = by_function[function]
        if rule.kind != "elementwise" or rule.samples is None:
            continue
        point = [float(a) for a in next(iter(rule.samples(np.random.default_rng(3))))[0]]
        for k, slot in enumerate(rule.slots):
            if slot is None or type(slot).__name__ == "Refused":
                continue
            args = ", ".join("x" if n == k else repr(a) for n, a in enumerate(point))
            real = ".real" if function.__name__.startswith("hankel") else ""
            yield function.__name__, f"{function.__name__} {k}", f"sc.{function.__name__}({args}){real}", point[k]
    for name, (text, x) in OTHERS.items():
        yield name, name, text, x


PROGRAMS = list(_programs())


def _function(text):
    name = f"<{text}>"
    code = f"def f(x):\n    return {text}\n"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    space = {"sc": sc}
    exec(compile(code, name, "exec"), space)
    return space["f"]


def test_the_list_is_long():
    assert len({name for name, *_ in PROGRAMS}) > 105
    assert set(GAPS) <= {name for name, *_ in PROGRAMS}


@pytest.mark.parametrize(
    ("name", "text", "x"), [(n, t, x) for n, _, t, x in PROGRAMS], ids=[i for _, i, _, _ in PROGRAMS]
)
def test_second_derivatives(name, text, x):
    """Against eager mode; and what the text calls is to be had in compiled code."""
    f = _function(text)
    twice = cr.grad(cr.grad(f))
    if name in GAPS:
        with pytest.raises(UnsupportedError):
            cr.jit(twice)(x)
        return
    for order, g in enumerate((f, cr.grad(f), twice)):
        expected = sc.polygamma(2 + order, x) if name == "polygamma" else g(x)  # which is no ufunc
        jitted = cr.jit(g, backend="python")
        np.testing.assert_allclose(jitted(x), expected, rtol=1e-10, atol=1e-13)
        text = cr.source(jitted)
        assert all(map(_exported, re.findall(r"\bspecial\.(\w+)\(", text)))
        assert set(re.findall(r"\bkernels\.(\w+)\(", text)) <= set(kernels.__all__)


@pytest.mark.parametrize("text", ["sc.gammaln(x) * sc.erfcx(x)", "sc.betainc(1.5, 2.5, x) + sc.airy(x)[2]"])
def test_second_derivatives_in_machine_code(text):
    f = _function(text)
    np.testing.assert_allclose(cr.jit(cr.grad(cr.grad(f)))(0.3), cr.grad(cr.grad(f))(0.3), rtol=1e-11)
