"""The rules of NumPy's elementwise functions against mpmath with 40 digits, and at their ends.

`TABLE` has an entry for every elementwise primitive of `rules.elementwise` with a derivative: mpmath's
function, the differentiated arguments, and points. Derivatives up to the fourth are compared.
"""

import math

import mpmath as mp
import numpy as np
import pytest

import chainrule as cr
from chainrule.core.primitive import registry
from chainrule.errors import UnsupportedError
from chainrule.rules import elementwise as ew
from tests.helpers import check

mp.mp.dps = 40
INF, NAN = math.inf, math.nan


def mp_sinc(x):
    return mp.sincpi(x)


def mp_logaddexp2(x, y):
    return mp.log(mp.mpf(2) ** x + mp.mpf(2) ** y, 2)


def mp_logistic(x):
    return 1 / (1 + mp.exp(-x))


LINE = [(0.3,), (-1.7,), (5.0,)]
RIGHT = [(0.3,), (5.0,), (1e-9,), (1e9,)]
UNIT = [(0.3,), (-0.9,), (1 - 1e-9,)]
PAIRS = [(0.3, 0.7), (-1.2, 2.5), (1.5, -0.4)]
TABLE = {
    "add": (lambda x, y: x + y, (0, 1), PAIRS),
    "subtract": (lambda x, y: x - y, (0, 1), PAIRS),
    "multiply": (lambda x, y: x * y, (0, 1), PAIRS),
    "divide": (lambda x, y: x / y, (0, 1), [*PAIRS, (1e-70, 1e-70)]),
    "negative": (lambda x: -x, (0,), LINE),
    "positive": (lambda x: +x, (0,), LINE),
    "reciprocal": (lambda x: 1 / x, (0,), [*LINE, (1e-40,)]),
    "square": (lambda x: x * x, (0,), LINE),
    "sqrt": (mp.sqrt, (0,), RIGHT),
    "cbrt": (lambda x: mp.sign(x) * mp.cbrt(abs(x)), (0,), [*RIGHT, (-2.0,)]),
    "power": (
        mp.power,
        (0, 1),
        [(0.3, 0.7), (2.5, 3.0), (2.5, 2.0), (2.5, 1.0), (2.5, 0.0), (2.5, -1.5), (1.0001, 5000.0)],
    ),
    "float_power": (mp.power, (0, 1), [(0.3, 0.7), (2.5, 3.0), (2.5, -1.5)]),
    "pow": (mp.power, (0, 1), [(0.3, 0.7), (2.5, 3.0), (2.5, 0.5), (2.5, -1.0)]),
    "power_log": (lambda x, n: mp.power(x, n) * mp.log(x), (0, 1), [(0.3, 0.7), (2.5, 1.0)]),
    "remainder": (lambda x, y: x - y * mp.floor(x / y), (0, 1), [(5.3, 0.7), (-5.3, 0.7), (5.3, -0.7)]),
    "fmod": (
        lambda x, y: x - y * (mp.floor(x / y) if x / y > 0 else mp.ceil(x / y)),
        (0, 1),
        [(5.3, 0.7), (-5.3, 0.7), (5.3, -0.7), (1 - 2**-53, 1 / 3)],
    ),
    "exp": (mp.exp, (0,), [*LINE, (-700.0,)]),
    "exp2": (lambda x: mp.mpf(2) ** x, (0,), LINE),
    "expm1": (mp.expm1, (0,), [*LINE, (1e-9,), (-40.0,)]),
    "log": (mp.log, (0,), RIGHT),
    "log2": (lambda x: mp.log(x, 2), (0,), RIGHT),
    "log10": (mp.log10, (0,), RIGHT),
    "log1p": (mp.log1p, (0,), [*RIGHT, (-1 + 1e-9,)]),
    "logaddexp": (
        lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
        (0, 1),
        [*PAIRS, (40.0, 0.0), (0.0, 40.0), (1e9, 1e9), (-1e9, -1e9 + 1)],
    ),
    "logaddexp2": (mp_logaddexp2, (0, 1), [*PAIRS, (60.0, 0.0), (1e6, 1e6)]),
    "difference": (lambda x, y: x - y, (0, 1), PAIRS),
    "logistic": (mp_logistic, (0,), [*LINE, (40.0,), (-600.0,)]),
    "sin": (mp.sin, (0,), [*LINE, (0.0,)]),
    "cos": (mp.cos, (0,), [*LINE, (0.0,)]),
    "tan": (mp.tan, (0,), LINE),
    "arcsin": (mp.asin, (0,), UNIT),
    "arccos": (mp.acos, (0,), UNIT),
    "unit_gap": (lambda x: 1 - x * x, (0,), LINE),
    "arctan": (mp.atan, (0,), [*LINE, (1e6,)]),
    "arctan2": (mp.atan2, (0, 1), [*PAIRS, (1e-70, 2e-70), (3.0, -1e-9)]),
    "sinh": (mp.sinh, (0,), LINE),
    "cosh": (mp.cosh, (0,), LINE),
    "tanh": (mp.tanh, (0,), [(0.3,), (-1.1,), (0.0,)]),
    "arcsinh": (mp.asinh, (0,), [*LINE, (1e9,)]),
    "arccosh": (mp.acosh, (0,), [(1.3,), (5.0,), (1 + 1e-9,), (1e9,)]),
    "arctanh": (mp.atanh, (0,), UNIT),
    "degrees": (mp.degrees, (0,), LINE),
    "radians": (mp.radians, (0,), LINE),
    "sinc": (
        mp_sinc,
        (0,),
        [
            (0.0,),
            (1e-9,),
            (1e-3,),
            (0.0101,),
            (0.1,),
            (0.499,),
            (0.501,),
            (1.0,),
            (2.5,),
            (-7.3,),
            (1000.25,),
        ],
    ),
    "hypot": (
        lambda x, y: mp.sqrt(x * x + y * y),
        (0, 1),
        [*PAIRS, (3.0, 0.0), (0.0, 3.0), (1e-70, 1e-70)],
    ),
    "absolute": (abs, (0,), LINE),
    "fabs": (abs, (0,), LINE),
    "maximum": (max, (0, 1), PAIRS),
    "minimum": (min, (0, 1), PAIRS),
    "fmax": (max, (0, 1), PAIRS),
    "fmin": (min, (0, 1), PAIRS),
    "copysign": (lambda x, y: abs(x) * mp.sign(y), (0,), PAIRS),
    "heaviside": (lambda x, h: (mp.sign(x) + 1) / 2 if x else h, (1,), [(0.0, 0.5), (1.0, 0.5)]),
    "modf_fraction": (lambda x: x - mp.sign(x) * mp.floor(abs(x)), (0,), [(0.3,), (-1.7,)]),
    "frexp_mantissa": (lambda x: mp.ldexp(x, -math.frexp(float(x))[1]), (0,), LINE),
}
RTOL = {1: 1e-13, 2: 2e-12, 3: 3e-11, 4: 1e-9}
# Arguments beyond mpmath's.
EXTRA = {"power_log": (1,)}
# No mpmath function: tested below.
ELSEWHERE = {"nextafter", "ldexp", "sign", "conjugate", "real", "imag", "angle", "astype"}


def along(function, index, point):
    return lambda t: function(*point[:index], t, *point[index + 1 :])


def reference(f, index, point, order):
    """The derivative in one argument at the very double that is given, by central differences."""
    with mp.workdps(240):
        values = [mp.mpf(p) for p in point]
        x = values[index]
        unit = abs(x) or mp.mpf(1)
        h = unit * mp.mpf("1e-40")
        g = along(f, index, values)
        terms = [(-1) ** k * mp.binomial(order, k) * g(x + (mp.mpf(order) / 2 - k) * h) for k in range(order + 1)]
        result = mp.re(mp.fsum(terms)) / h**order
        scale = (abs(g(x)) or 1) / unit**order
        return float(result) if abs(result) > mp.mpf("1e-60") * scale else 0.0


def own():
    """The elementwise primitives of this table that have a derivative."""
    names = {p for p in vars(ew).values() if hasattr(p, "slots") and hasattr(p, "impl")}
    return sorted(p.name for p in names if p.kind == "elementwise" and p.slots)


def test_the_table_is_complete():
    assert set(own()) == set(TABLE) | ELSEWHERE


CASES = [
    pytest.param(name, index, point, id=f"{name}-{index}-{point}".replace(" ", ""))
    for name, (_, indices, points) in TABLE.items()
    for index in indices
    for point in points
]


@pytest.mark.parametrize(("name", "index", "point"), CASES)
def test_derivatives(name, index, point):
    f = along(lambda *args: registry[name](*args, *EXTRA.get(name, ())), index, point)
    for order in (1, 2, 3, 4):
        expected = reference(TABLE[name][0], index, point, order)
        got = cr.derivative(f, order)(point[index])
        np.testing.assert_allclose(got, expected, rtol=RTOL[order], atol=0, err_msg=f"order {order}")


# function, point, index, order, expected: kinks, poles, ends, infinities
EDGES = [
    ("sqrt", (0.0,), 0, 1, INF),
    ("sqrt", (-0.0,), 0, 1, INF),
    ("sqrt", (0.0,), 0, 2, -INF),
    ("sqrt", (INF,), 0, 1, 0.0),
    ("cbrt", (0.0,), 0, 1, INF),
    ("log", (0.0,), 0, 1, INF),
    ("log", (-0.0,), 0, 1, INF),
    ("log", (0.0,), 0, 2, -INF),
    ("log2", (0.0,), 0, 1, INF),
    ("log10", (0.0,), 0, 1, INF),
    ("log1p", (-1.0,), 0, 1, INF),
    ("log", (5e-324,), 0, 1, INF),
    ("exp", (-INF,), 0, 1, 0.0),
    ("exp", (800.0,), 0, 1, INF),
    ("expm1", (-800.0,), 0, 1, 0.0),
    ("tanh", (800.0,), 0, 1, 0.0),
    ("arctan", (1e200,), 0, 1, 0.0),
    ("arcsinh", (1e200,), 0, 1, 1e-200),
    ("arccosh", (1.0,), 0, 1, INF),
    ("arccosh", (1.0,), 0, 2, -INF),
    ("arcsin", (1.0,), 0, 1, INF),
    ("arcsin", (1.0,), 0, 2, INF),
    ("arcsin", (-1.0,), 0, 2, -INF),
    ("arccos", (1.0,), 0, 1, -INF),
    ("arctanh", (1.0,), 0, 1, INF),
    ("arctanh", (-1.0,), 0, 1, INF),
    ("arctanh", (1.0,), 0, 2, INF),
    ("arctanh", (-1.0,), 0, 2, -INF),
    ("logaddexp", (INF, 0.0), 0, 1, 1.0),
    ("logaddexp", (INF, 0.0), 1, 1, 0.0),
    ("logaddexp", (-INF, 0.0), 0, 1, 0.0),
    ("logaddexp", (-INF, -INF), 0, 1, 0.5),
    ("logaddexp", (INF, INF), 1, 1, 0.5),
    ("logaddexp", (INF, -INF), 0, 1, 1.0),
    ("logaddexp", (1e300, 1e300), 0, 2, 0.25),
    ("logaddexp", (800.0, 0.0), 1, 2, 0.0),
    ("logaddexp", (NAN, 0.0), 0, 1, NAN),
    ("logaddexp2", (-INF, -INF), 0, 1, 0.5),
    ("logaddexp2", (2000.0, 0.0), 0, 1, 1.0),
    ("arctan2", (0.0, 1.0), 0, 1, 1.0),
    ("arctan2", (0.0, -1.0), 0, 1, -1.0),
    ("arctan2", (1.0, 0.0), 1, 1, -1.0),
    ("arctan2", (1e300, 1e300), 0, 1, 5e-301),
    ("hypot", (0.0, 0.0), 0, 1, 0.0),
    ("hypot", (0.0, 2.0), 0, 1, 0.0),
    ("hypot", (0.0, 2.0), 0, 2, 0.5),
    ("hypot", (3e300, 4e300), 0, 1, 0.6),
    ("hypot", (3e-300, 4e-300), 1, 1, 0.8),
    ("absolute", (0.0,), 0, 1, 0.0),
    ("absolute", (-0.0,), 0, 1, 0.0),
    ("absolute", (-INF,), 0, 1, -1.0),
    ("absolute", (NAN,), 0, 1, NAN),
    ("fabs", (0.0,), 0, 1, 0.0),
    ("maximum", (1.0, 1.0), 0, 1, 0.5),
    ("maximum", (NAN, 1.0), 0, 1, NAN),
    ("maximum", (1.0, NAN), 0, 1, NAN),
    ("maximum", (INF, INF), 0, 1, 0.5),
    ("minimum", (1.0, 1.0), 1, 1, 0.5),
    ("minimum", (NAN, 1.0), 1, 1, NAN),
    ("fmax", (1.0, 1.0), 0, 1, 0.5),
    ("fmax", (NAN, 1.0), 0, 1, 0.0),
    ("fmax", (NAN, 1.0), 1, 1, 1.0),
    ("fmin", (1.0, NAN), 0, 1, 1.0),
    ("fmin", (1.0, 2.0), 0, 1, 1.0),
    ("fmin", (1.0, 2.0), 1, 1, 0.0),
    ("copysign", (0.0, -1.0), 0, 1, 0.0),
    ("copysign", (-2.0, -0.0), 0, 1, 1.0),
    ("copysign", (2.0, -0.0), 0, 1, -1.0),
    ("copysign", (2.0, -3.0), 1, 1, 0.0),
    ("heaviside", (0.0, 0.5), 0, 1, 0.0),
    ("heaviside", (1.0, 0.5), 1, 1, 0.0),
    ("nextafter", (1.0, 2.0), 0, 1, 1.0),
    ("ldexp", (1.5, 3), 0, 1, 8.0),
    ("sign", (0.0,), 0, 1, 0.0),
    ("floor", (2.0,), 0, 1, 0.0),
    ("rint", (0.5,), 0, 1, 0.0),
    ("trunc", (-1.5,), 0, 1, 0.0),
    ("spacing", (1.5,), 0, 1, 0.0),
    ("floor_divide", (5.3, 0.7), 0, 1, 0.0),
    ("remainder", (-5.3, 0.7), 1, 1, 8.0),
    ("remainder", (3.0, INF), 0, 1, 1.0),
    ("divide", (1.0, 0.0), 0, 1, INF),
    ("divide", (1.0, 0.0), 1, 1, -INF),
    ("reciprocal", (0.0,), 0, 1, -INF),
    ("sinc", (0.0,), 0, 1, 0.0),
    ("sinc", (0.0,), 0, 2, -(math.pi**2) / 3),
    ("sinc", (0.0,), 0, 4, math.pi**4 / 5),
    ("sinc", (1e6,), 0, 1, 1e-6),
]


@pytest.mark.parametrize(("name", "point", "index", "order", "expected"), EDGES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's own, of the primal
def test_edges(name, point, index, order, expected):
    f = along(getattr(np, name), index, point)
    np.testing.assert_allclose(cr.derivative(f, order)(point[index]), expected, rtol=1e-14)
    inner = cr.derivative(f, order - 1)
    np.testing.assert_allclose(cr.grad(inner)(point[index]), expected, rtol=1e-14)
    array = cr.vjp(inner, np.array([point[index], 0.5]))[1](np.ones(2))[0]
    np.testing.assert_allclose(array[0], expected, rtol=1e-14)


# x, n: derivative in x, derivative in n, second in x, mixed
POWERS = [
    (0.0, 0.0, 0.0, -INF, 0.0),
    (2.0, 0.0, 0.0, math.log(2), 0.0),
    (-2.0, 0.0, 0.0, NAN, 0.0),
    (0.0, 1.0, 1.0, 0.0, 0.0),
    (0.0, 2.0, 0.0, 0.0, 2.0),
    (0.0, 3.0, 0.0, 0.0, 0.0),
    (0.0, 0.5, INF, 0.0, -INF),
    (0.0, 1.5, 0.0, 0.0, INF),
    (0.0, -1.0, -INF, -INF, INF),
    (-2.0, 2.0, -4.0, NAN, 2.0),
    (-2.0, 3.0, 12.0, NAN, -12.0),
    (-2.0, -1.0, -0.25, NAN, -0.25),
    (-2.0, 0.5, NAN, NAN, NAN),
    (1.0, 1e300, 1e300, 0.0, INF),
    (0.5, 1e6, 0.0, 0.0, 0.0),
    (INF, 2.0, INF, INF, 2.0),
    (1e200, -2.0, 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize("function", [np.power, np.float_power, lambda x, n: x**n], ids=["np", "float", "**"])
@pytest.mark.parametrize(("x", "n", "dx", "dn", "dxx"), POWERS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers(function, x, n, dx, dn, dxx):
    for kind in (np.float64, np.atleast_1d):  # Python's own 0.0 ** -1 raises
        a, b, one = kind(x), kind(n), kind(1.0)
        gx, gn = cr.vjp(function, a, b)[1](one)
        for have, want in (
            (cr.jvp(lambda t: function(t, n), (a,), (one,))[1], dx),
            (cr.jvp(function, (a, b), (one, 0 * one))[1] if np.isfinite(dn) else dx, dx),
            (cr.jvp(lambda t: function(x, t), (b,), (one,))[1], dn),
            (gx, dx),
            (gn, dn),
            (cr.derivative(lambda t: function(t, n), 2)(a), dxx),
        ):
            np.testing.assert_allclose(have, want, rtol=1e-13)


@pytest.mark.parametrize(("x", "n"), [(2.0, 0.0), (2.0, 1.0), (0.5, 2.0), (3.0, -1.0)])
def test_mixed_power(x, n):
    expected = x ** (n - 1) * (1 + n * math.log(x))
    hessian = cr.hessian(lambda v: v[0] ** v[1])(np.array([x, n]))
    np.testing.assert_allclose([hessian[0, 1], hessian[1, 0]], expected, rtol=1e-13)


def test_mixed_power_at_zero():
    hessian = cr.hessian(lambda v: v[0] ** v[1])(np.array([0.0, 1.0]))
    np.testing.assert_array_equal(hessian, [[0.0, -INF], [-INF, 0.0]])
    hessian = cr.hessian(lambda v: v[0] ** v[1])(np.array([0.0, 2.0]))
    np.testing.assert_array_equal(hessian, [[2.0, 0.0], [0.0, 0.0]])


def test_python_powers():
    assert cr.grad(lambda x: x**3)(-2.0) == 12.0
    assert cr.grad(lambda x: 2.0**x)(3.0) == 8 * math.log(2)
    with pytest.raises(ZeroDivisionError):
        cr.grad(lambda x: x**-1)(0.0)
    with pytest.raises(UnsupportedError, match="complex"):
        cr.grad(lambda x: abs(x ** (1 / 3)))(-8.0)


@pytest.mark.parametrize("quotient", [lambda x: 1 / x, lambda x: 2.5 // x, lambda x: 1 % x, lambda x: x / x])
@pytest.mark.parametrize(
    "transform",
    [cr.grad, cr.derivative, lambda f: cr.derivative(f, 2), lambda f: cr.grad(cr.grad(f))],
    ids=["reverse", "forward", "forward twice", "reverse twice"],
)
def test_quotients_of_python_numbers_raise_as_pythons_do(transform, quotient):
    with pytest.raises(ZeroDivisionError):
        transform(quotient)(0.0)
    with np.errstate(all="ignore"):
        transform(quotient)(np.float64(0.0))  # NumPy's do not


def test_integer_exponents_of_any_dtype():
    x = np.array([-1.5, 0.0, 2.0], np.float32)
    for dtype in (np.int64, np.uint8, np.int32):
        n = np.array([0, 0, 3], dtype)
        y, gradient = cr.vjp(lambda x, n=n: x**n, x)
        (gradient,) = gradient(np.ones_like(y))
        np.testing.assert_array_equal(gradient, [0.0, 0.0, 12.0])
        assert gradient.dtype == np.float32


def test_ties_of_a_value_with_itself():
    x = np.array([0.0, 1.5, -2.0])
    for function in (np.maximum, np.minimum, np.fmax, np.fmin):
        np.testing.assert_array_equal(cr.grad(lambda x, f=function: np.sum(f(x, x)))(x), 1.0)


def test_unselected_poles_are_structural():
    x = np.array([0.0, 4.0])
    gradient = cr.grad(lambda x: np.sum(np.maximum(np.sqrt(x), 1.0)))(x)
    np.testing.assert_array_equal(gradient, [0.0, 0.25])


# -- complex numbers ----------------------------------------------------------------------------------

NAMES = (
    "sqrt log log2 log10 log1p exp exp2 expm1 sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh "
    "arccosh arctanh square reciprocal negative positive sinc"
)
BRANCHES = (0.4 + 0.3j, -1.3 - 0.5j, 2.5 + 1e-9j, -2.5 - 1e-9j, 0.1 + 2.0j)


def richardson(f, z, h=1e-3):
    """A central difference of sixth order along the real axis."""
    d = [(f(z + k * h) - f(z - k * h)) / (2 * k * h) for k in (1, 2, 3)]
    return 1.5 * d[0] - 0.6 * d[1] + 0.1 * d[2]


@pytest.mark.parametrize("name", NAMES.split())
def test_holomorphic(name):
    f = getattr(np, name)
    slope = cr.grad(f, holomorphic=True)
    for z in BRANCHES:
        np.testing.assert_allclose(slope(z), richardson(f, z), rtol=1e-9)
        np.testing.assert_allclose(cr.jvp(f, (z,), (1.0 + 0j,))[1], slope(z), rtol=1e-12)
        np.testing.assert_allclose(cr.grad(slope, holomorphic=True)(z), richardson(slope, z), rtol=1e-8)


@pytest.mark.parametrize("z", BRANCHES)
def test_complex_powers(z):
    for f in (
        lambda z: z**3,
        lambda z: z**0.5,
        lambda z: z ** (1 - 0.5j),
        lambda z: 2.0**z,
        lambda z: z**z,
        lambda z: np.power(z, -2),
    ):
        np.testing.assert_allclose(cr.grad(f, holomorphic=True)(z), richardson(f, z), rtol=1e-9)


NOT_HOLOMORPHIC = {
    "abs": np.abs,
    "sign": np.sign,
    "conj": np.conj,
    "real": np.real,
    "imag": np.imag,
    "angle": np.angle,
    "angle in degrees": lambda z: np.angle(z, deg=True),
    "abs2": lambda z: z * np.conj(z),
}


@pytest.mark.parametrize("name", NOT_HOLOMORPHIC)
def test_not_holomorphic(name):
    check(NOT_HOLOMORPHIC[name], np.array([0.4 + 0.3j, -1.3 - 0.5j, 0.2 - 2j]))


def test_complex_kinks():
    assert cr.grad(np.abs)(0j) == 0
    assert cr.grad(lambda z: np.real(np.conj(z) * z))(3 + 4j) == 6 + 8j
    assert abs(cr.grad(np.abs)(3 + 4j) - (0.6 + 0.8j)) < 1e-15


# -- from the registry --------------------------------------------------------------------------------

SAMPLED = [p for p in registry.values() if p.name in set(own()) and p.samples is not None]


@pytest.mark.parametrize("primitive", SAMPLED, ids=lambda p: p.name)
def test_samples(primitive):
    rng = np.random.default_rng(3)
    for args, params in primitive.samples(rng):
        places = [k for k in range(len(args)) if primitive.slot(k) is not None]

        def f(*xs, args=args, params=params, places=places):
            full = list(args)
            for k, x in zip(places, xs, strict=True):
                full[k] = x
            return primitive(*full, **params)

        check(f, *[args[k] for k in places], tolerance=3e-6)


# Points for the functions that have no samples.
OTHERS = {"sign": (0.3,), "ldexp": (0.3, 2), "nextafter": (0.3, 1.0)}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, np.complex64])
@pytest.mark.parametrize("name", [n for n in TABLE if n not in ("float_power", "power_log")] + list(OTHERS))
def test_precision_is_kept(name, dtype):
    primitive = registry[name]
    point = OTHERS[name] if name in OTHERS else TABLE[name][2][0]
    args = [np.full((2,), p, dtype) if isinstance(p, float) else p for p in point]
    try:
        plain = primitive.impl(*args)
    except TypeError:
        pytest.skip("NumPy has no such loop")
    places = [k for k in range(len(args)) if primitive.slot(k) is not None]

    for k in places:
        f = along(primitive, k, args)
        y, y_dot = cr.jvp(f, (args[k],), (np.ones_like(args[k]),))
        assert y.dtype == y_dot.dtype == plain.dtype
        assert cr.vjp(f, args[k])[1](np.ones_like(y))[0].dtype == dtype
        # The partial itself, which no cast follows where the dtypes agree.
        total = cr.grad(lambda x, f=f: np.sum(np.real(f(x) * f(x))))(args[k])
        assert total.dtype == dtype


# -- two outputs --------------------------------------------------------------------------------------


def test_parts():
    x = np.array([-1.7, 0.3, 5.25])
    check(lambda x: np.modf(x)[0], x)
    check(lambda x: np.frexp(x)[0] * 1.0, x)
    check(lambda x, y: np.divmod(x, y)[1], x, np.array([0.7, 0.4, -1.1]))


SPLITS = {
    "modf": np.modf,
    "frexp": np.frexp,
    "divmod": lambda x: np.divmod(x, 0.7),
    "python": lambda x: divmod(x, 0.7),
}


@pytest.mark.parametrize("name", SPLITS)
def test_parts_are_those_of_numpy(name):
    x, kept = np.array([-1.7, 0.3, 5.25]), []

    def f(x):
        parts = SPLITS[name](x)
        kept.extend(parts)
        return np.sum(parts[0] * 1.0 + parts[1])

    cr.grad(f)(x)
    for have, want in zip(kept, SPLITS[name](x), strict=True):
        assert have.shape == want.shape
        assert have.dtype == want.dtype


def test_parts_out():
    def f(x):
        fraction, whole = np.zeros_like(x), np.zeros_like(x)
        np.modf(x, out=(fraction, whole))
        return np.sum(fraction * x)

    x = np.array([1.25, -0.5])
    np.testing.assert_array_equal(cr.grad(f)(x), x + np.modf(x)[0])
    with pytest.raises(UnsupportedError, match="modf"):
        cr.grad(lambda x: np.sum(np.modf(x, where=x > 0)[0]))(x)
