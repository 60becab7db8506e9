"""Derivative rules of elementwise operations: NumPy's ufuncs and `where`.

Each line names the operation, what evaluates it, and its partial derivatives as functions of the output
and the inputs. References: Abramowitz and Stegun, Handbook of Mathematical Functions, chapter 4;
Griewank and Walther, Evaluating Derivatives (2008), section 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.core.define import elementwise, linear, nondifferentiable
from chainrule.core.dispatch import Tracer
from chainrule.core.linear import Selection, Wirtinger, fit

Samples = Iterator[tuple[tuple[Any, ...], dict[str, Any]]]


# -- sample points ------------------------------------------------------------------------------------


def interval(low: float, high: float, count: int = 1) -> Any:
    """Points in an open interval: a number, a vector, and for two arguments broadcasting pairs."""

    def samples(rng: np.random.Generator) -> Samples:
        shapes = [((),), ((3,),), ((0,),)] if count == 1 else [((), ()), ((3,), (3,)), ((2, 1), (3,)), ((), (3,))]
        for shape in shapes:
            yield tuple(rng.uniform(low, high, s) for s in shape), {}

    return samples


real, positive, unit, above_one = interval(-2, 2), interval(0.1, 3), interval(-0.9, 0.9), interval(1.1, 4)
pairs, positive_pairs = interval(-2, 2, 2), interval(0.1, 3, 2)


# -- arithmetic ---------------------------------------------------------------------------------------

add = elementwise("add", np.add, 1, 1, samples=pairs)
subtract = elementwise("subtract", np.subtract, 1, -1, samples=pairs)
multiply = elementwise("multiply", np.multiply, lambda z, x, y: y, lambda z, x, y: x, samples=pairs)
divide = elementwise(
    "divide", np.divide, lambda z, x, y: 1 / y, lambda z, x, y: -z / y, samples=positive_pairs
)
negative = elementwise("negative", np.negative, -1, samples=real)
positive_ = elementwise("positive", np.positive, 1, samples=real)
reciprocal = elementwise("reciprocal", np.reciprocal, lambda y, x: -y * y, samples=positive)
square = elementwise("square", np.square, lambda y, x: 2 * x, samples=real)
sqrt = elementwise("sqrt", np.sqrt, lambda y, x: 0.5 / y, samples=positive, tie="inf at 0")
cbrt = elementwise("cbrt", np.cbrt, lambda y, x: 1 / (3 * y * y), samples=positive, tie="inf at 0")


def _power(x: Any, n: Any) -> Any:
    # Python's own power of two Python numbers may be complex, or raise.
    return x**n if x.__class__ is float and n.__class__ in (float, int) else np.power(x, n)


def _power_base(z: Any, x: Any, n: Any) -> Any:
    """n x^(n-1), which is 0 for n = 0 even where x^(-1) is not finite."""
    if isinstance(n, Tracer) or np.ndim(n):
        zero = n == 0
        return where(zero, 0.0, n * power(x, where(zero, 1.0, n - 1)))
    if n == 2:
        return 2 * x
    return n * power(x, n - 1) if n != 0 else n


def _power_exponent(z: Any, x: Any, n: Any) -> Any:
    """z log x, whose limit at x = 0 is 0 for n > 0 and -inf for n <= 0."""
    zero = x == 0
    return where(zero, where(n > 0, 0.0, -np.inf), z * log(where(zero, 1.0, x)))


power = elementwise(
    "power",
    _power,
    _power_base,
    _power_exponent,
    functions=(np.power, np.float_power),
    samples=positive_pairs,
    tie="x**0 has derivative 0; 0**y has derivative 0 in y for y > 0",
)
remainder = elementwise(
    "remainder", np.remainder, 1, lambda z, x, y: -floor_divide(x, y), samples=positive_pairs
)
fmod = elementwise("fmod", np.fmod, 1, lambda z, x, y: -trunc(x / y), samples=positive_pairs)


_LOG2, _LOG10 = math.log(2), math.log(10)

# -- exponentials and logarithms ----------------------------------------------------------------------

exp = elementwise("exp", np.exp, lambda y, x: y, samples=real)
exp2 = elementwise("exp2", np.exp2, lambda y, x: _LOG2 * y, samples=real)
expm1 = elementwise("expm1", np.expm1, lambda y, x: exp(x), samples=real)
log = elementwise("log", np.log, lambda y, x: 1 / x, samples=positive)
log2 = elementwise("log2", np.log2, lambda y, x: 1 / (_LOG2 * x), samples=positive)
log10 = elementwise("log10", np.log10, lambda y, x: 1 / (_LOG10 * x), samples=positive)
log1p = elementwise("log1p", np.log1p, lambda y, x: 1 / (1 + x), samples=positive)


def _share(a: Any, b: Any, scale: Any = 1.0) -> Any:
    """1 / (1 + exp(b - a)), of the smaller exponential; equal infinities share, as a limit along a = b does."""
    gap = where((a == b) & np.isinf(a), 0.0, b - a)
    small = exp(scale * where(gap > 0, -gap, gap))
    return where(gap > 0, small, 1.0) / (1 + small)


logaddexp = elementwise(
    "logaddexp", np.logaddexp, lambda z, x, y: _share(x, y), lambda z, x, y: _share(y, x), samples=pairs
)
logaddexp2 = elementwise(
    "logaddexp2",
    np.logaddexp2,
    lambda z, x, y: _share(x, y, _LOG2),
    lambda z, x, y: _share(y, x, _LOG2),
    samples=pairs,
)


# -- trigonometric and hyperbolic functions -----------------------------------------------------------

sin = elementwise("sin", np.sin, lambda y, x: cos(x), samples=real)
cos = elementwise("cos", np.cos, lambda y, x: -sin(x), samples=real)
tan = elementwise("tan", np.tan, lambda y, x: 1 + y * y, samples=unit)
arcsin = elementwise("arcsin", np.arcsin, lambda y, x: 1 / sqrt((1 - x) * (1 + x)), samples=unit)
arccos = elementwise("arccos", np.arccos, lambda y, x: -1 / sqrt((1 - x) * (1 + x)), samples=unit)
arctan = elementwise("arctan", np.arctan, lambda y, x: 1 / (1 + x * x), samples=real)
arctan2 = elementwise(
    "arctan2",
    np.arctan2,
    lambda z, y, x: x / (x * x + y * y),
    lambda z, y, x: -y / (x * x + y * y),
    samples=pairs,
)
sinh = elementwise("sinh", np.sinh, lambda y, x: cosh(x), samples=real)
cosh = elementwise("cosh", np.cosh, lambda y, x: sinh(x), samples=real)
tanh = elementwise("tanh", np.tanh, lambda y, x: 1 - y * y, samples=real)
arcsinh = elementwise("arcsinh", np.arcsinh, lambda y, x: 1 / sqrt(x * x + 1), samples=real)
arccosh = elementwise("arccosh", np.arccosh, lambda y, x: 1 / (sqrt(x - 1) * sqrt(x + 1)), samples=above_one)
arctanh = elementwise("arctanh", np.arctanh, lambda y, x: 1 / ((1 - x) * (1 + x)), samples=unit)
degrees = elementwise("degrees", np.degrees, 180 / np.pi, functions=(np.rad2deg,), samples=real)
radians = elementwise("radians", np.radians, np.pi / 180, functions=(np.deg2rad,), samples=real)


def _sinc_slope(y: Any, x: Any) -> Any:
    """(cos(pi x) - sinc x) / x, by its series where the difference cancels."""
    t = np.pi * x
    near = abs(x) < 1e-2
    s = t * t
    series = -np.pi * t / 3 * (1 - s / 10 * (1 - s / 28 * (1 - s / 54)))
    safe = where(near, 1.0, x)
    return where(near, series, (cos(np.pi * safe) - sin(np.pi * safe) / (np.pi * safe)) / safe)


sinc = elementwise("sinc", np.sinc, _sinc_slope, samples=real)


# -- kinks: every tie answers the symmetric element of the generalised gradient ------------------------


def _hypot_slope(z: Any, x: Any) -> Any:
    """x / z, and 0 where both arguments vanish."""
    zero = z == 0
    return where(zero, 0.0, x / where(zero, 1.0, z))


hypot = elementwise(
    "hypot",
    np.hypot,
    lambda z, x, y: _hypot_slope(z, x),
    lambda z, x, y: _hypot_slope(z, y),
    samples=pairs,
    tie="0 at (0, 0)",
)


def _phase(y: Any, z: Any) -> Any:
    zero = y == 0
    return where(zero, 0.0, z / where(zero, 1.0, y))


absolute = elementwise(
    "absolute",
    np.absolute,
    Wirtinger(
        lambda y, x: np.sign(x),
        lambda y, z: 0.5 * conjugate(_phase(y, z)),
        lambda y, z: 0.5 * _phase(y, z),
    ),
    functions=(np.fabs,),
    samples=real,
    tie="0 at 0",
)


def _larger(x: Any, y: Any) -> Any:
    """1 where x > y, 1/2 where x == y, else 0."""
    return 0.5 * (1.0 * np.greater(x, y) + np.greater_equal(x, y))


def _larger_or_alone(x: Any, y: Any) -> Any:
    return np.where(np.isnan(y), 1.0, _larger(x, y))


# The share of what is not selected is a structural zero.
_SHARED = "shared equally between ties"
maximum = elementwise(
    "maximum",
    np.maximum,
    Selection(lambda z, x, y: _larger(x, y)),
    Selection(lambda z, x, y: _larger(y, x)),
    samples=pairs,
    tie=_SHARED,
)
minimum = elementwise(
    "minimum",
    np.minimum,
    Selection(lambda z, x, y: _larger(y, x)),
    Selection(lambda z, x, y: _larger(x, y)),
    samples=pairs,
    tie=_SHARED,
)
fmax = elementwise(
    "fmax",
    np.fmax,
    Selection(lambda z, x, y: _larger_or_alone(x, y)),
    Selection(lambda z, x, y: _larger_or_alone(y, x)),
    samples=pairs,
    tie=_SHARED,
)
fmin = elementwise(
    "fmin",
    np.fmin,
    Selection(lambda z, x, y: _larger_or_alone(-x, -y)),
    Selection(lambda z, x, y: _larger_or_alone(-y, -x)),
    samples=pairs,
    tie=_SHARED,
)
copysign = elementwise(
    "copysign",
    np.copysign,
    lambda z, x, y: np.sign(x) * np.copysign(1.0, y),
    None,
    samples=pairs,
    tie="0 at x = 0",
)
heaviside = elementwise("heaviside", np.heaviside, None, lambda z, x, y: where(x == 0, 1.0, 0.0), samples=pairs)
nextafter = elementwise("nextafter", np.nextafter, 1, None)
ldexp = elementwise("ldexp", np.ldexp, lambda z, x, n: ldexp(1.0, n), None)


# -- piecewise constant functions ----------------------------------------------------------------------

_CONSTANT = "0, piecewise constant"
floor = nondifferentiable("floor", np.floor, tie=_CONSTANT)
ceil = nondifferentiable("ceil", np.ceil, tie=_CONSTANT)
trunc = nondifferentiable("trunc", np.trunc, tie=_CONSTANT)
rint = nondifferentiable("rint", np.rint, tie=_CONSTANT)
spacing = nondifferentiable("spacing", np.spacing, tie=_CONSTANT)
floor_divide = nondifferentiable("floor_divide", np.floor_divide, tie=_CONSTANT)

for _name in (
    "equal not_equal less less_equal greater greater_equal isnan isinf isfinite signbit isnat "
    "logical_and logical_or logical_not logical_xor "
    "bitwise_and bitwise_or bitwise_xor invert left_shift right_shift gcd lcm bitwise_count"
).split():
    nondifferentiable(_name, getattr(np, _name))


# -- complex numbers ----------------------------------------------------------------------------------

sign = elementwise(
    "sign",
    np.sign,
    Wirtinger(None, lambda y, z: 0.5 / abs(z), lambda y, z: -0.5 * y * y / abs(z)),
    tie=_CONSTANT,
)
conjugate = elementwise("conjugate", np.conjugate, Wirtinger(1, 0.0, 1.0), samples=real)
real_part = elementwise("real", np.real, Wirtinger(1, 0.5, 0.5), samples=real)
imag_part = elementwise("imag", np.imag, Wirtinger(0, -0.5j, 0.5j))
angle = elementwise(
    "angle",
    np.angle,
    Wirtinger(
        0,
        lambda y, z: -0.5j / z,
        lambda y, z: 0.5j / conjugate(z),
    ),
)


# -- selection ----------------------------------------------------------------------------------------


def _astype(x: Any, *, dtype: np.dtype[Any]) -> Any:
    return x.astype(dtype) if hasattr(x, "astype") else dtype.type(x)


astype = elementwise("astype", _astype, 1)


def _where(condition: Any, x: Any, y: Any) -> Any:
    result = np.where(condition, x, y)
    return result if result.ndim else result[()]


where = linear(
    "where",
    _where,
    None,
    lambda ct, c, x, y: fit(where(c, ct, 0.0), x),
    lambda ct, c, x, y: fit(where(c, 0.0, ct), y),
    zeros="both",
    functions=(np.where,),
)
