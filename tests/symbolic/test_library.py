"""Every formula of the tables: what SymPy and mpmath make of a primitive is what NumPy computes for it."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.special as sc
import sympy

import chainrule as cr
from chainrule.arrays.protocols import enter_special
from chainrule.core.primitive import registry
from chainrule.errors import UnsupportedError
from chainrule.symbolic import library

cr.grad(np.sin)(0.0)
enter_special()

BY_HAND = {  # a point for primitives whose samples are not one per argument
    "level": (np.array([1.0, 1.0, 2.0]), np.array([0, 0, 1])),
    "max": (np.array([[1.0, 3.0], [5.0, 2.0]]),),
    "min": (np.array([[1.0, 3.0], [5.0, 2.0]]),),
    "clip": (1.3, 0.0, 1.0),
    "fmax": (0.3, -0.2),
    "polygamma": (2, 1.5),
    "jv": (1.5, 0.7),
    "iv": (0.5, 0.7),
    "kv": (1.5, 0.7),
    "zeta": (2.5, 1.25),
}
PARAMS = {"max": {"axis": (0,), "keepdims": True}, "min": {"axis": None, "keepdims": False}}
OWN = library.sympy_library()._own
NAMES = sorted({*library._NAMES, *library._FORMULAE, *OWN, *library._ON_OBJECTS} - {"astype"})


def point(name):
    if name in BY_HAND:
        return BY_HAND[name], PARAMS.get(name, {})
    args, params = next(iter(registry[name].samples(np.random.default_rng(3))))
    return args, params


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["sympy", "mpmath"])
def test_a_formula_gives_what_numpy_gives(name: str, which: str) -> None:
    args, params = point(name)
    primitive = registry[name]
    made = library.sympy_library() if which == "sympy" else library.mpmath_library(30)
    numbers = [made.lift(a) if primitive.kind == "elementwise" or primitive.slot(k) else a for k, a in enumerate(args)]
    exact = np.vectorize(lambda e: float(e), otypes=[float])(made.evaluate(primitive, numbers, params))
    np.testing.assert_allclose(exact, primitive.impl(*args, **params), rtol=1e-12, atol=1e-14)


def test_every_name_in_the_tables_is_a_primitive() -> None:
    assert set(NAMES) <= set(registry)


@pytest.mark.parametrize(
    ("number", "wanted"),
    [(2.0, "2"), (-0.5, "-1/2"), (0.1, "0.1"), (3, "3"), (float("inf"), "oo"), (-np.inf, "-oo"), (np.nan, "nan")],
)
def test_numbers_with_short_fractions_are_exact(number: float, wanted: str) -> None:
    assert sympy.sstr(library.sympy_library().lift(number), full_prec=False) == wanted


def test_numbers_of_mpmath_are_the_floats_themselves_in_a_context_of_their_own() -> None:
    before = mpmath.mp.dps
    tenth = library.mpmath_library(60).lift(np.array([0.1]))[0]
    assert tenth == mpmath.mpf(0.1)
    assert mpmath.mp.dps == before


def test_an_unknown_primitive_raises_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"nextafter has no counterpart in SymPy.*test_library"):
        cr.symbolic.gradient(lambda x: np.nextafter(x, 1.0), 2.0)
    with pytest.raises(UnsupportedError, match="owens_t has no counterpart in SymPy"):
        cr.symbolic.gradient(lambda x: sc.owens_t(x, 0.3), 2.0)
