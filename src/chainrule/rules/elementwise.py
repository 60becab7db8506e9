"""Derivative rules of elementwise operations: NumPy's ufuncs and `where`.

Each line names the operation, what evaluates it, and its partial derivatives as functions of the output
and the inputs. A partial must be right itself when it is differentiated: no limit is filled in as a constant
where the function around it varies, and quotients are taken so that neither they nor their transposes meet
0 * inf (a difference of squares is a primitive, not a product). Arithmetic with Python's numbers only, so
that every precision is kept. References: Abramowitz and Stegun, Handbook of Mathematical Functions, ch. 4;
Griewank and Walther, Evaluating Derivatives (2008), section 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.core.define import elementwise, linear, nondifferentiable
from chainrule.core.dispatch import Tracer, dtype_of, innermost, is_symbol
from chainrule.core.linear import Selection, Wirtinger, fit
from chainrule.errors import UnsupportedError, user_line

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


def _by_divisor(z: Any, x: Any, y: Any) -> Any:
    """The partial of z = x / y in y; where x is the number 1, without another quotient."""
    if isinstance(x, (int, float, np.floating)) and x == 1:
        return -z * z
    return divide(-z, y) if isinstance(y, Tracer) else -z / y


divide = elementwise(
    "divide",
    np.divide,
    # A traced zero of Python's would raise in an operator.
    lambda z, x, y: divide(1, y) if isinstance(y, Tracer) else 1 / y,
    _by_divisor,
    samples=positive_pairs,
)
negative = elementwise("negative", np.negative, -1, samples=real)
positive_ = elementwise("positive", np.positive, 1, samples=real)
reciprocal = elementwise("reciprocal", np.reciprocal, lambda y, x: -y * y, samples=positive)
square = elementwise("square", np.square, lambda y, x: x + x, samples=real)  # a sum is a fifth faster


def _pole(c: Any, x: Any) -> Any:
    """c / x with the same infinity at -0.0 as at 0.0 (of a symbol the plain quotient)."""
    x = x if is_symbol(x) else x + 0.0
    return np.divide(c, x, out=x) if x.__class__ is np.ndarray else divide(c, x)


def nan_where(outside: Any, slope: Any) -> Any:
    """`slope`, and NaN outside of the real domain, where the function is NaN and the formula may be finite.

    Programs are written without the test: the NaN that they compute shows.
    """
    if is_symbol(outside) or not np.any(innermost(outside)):
        return slope
    return slope * where(outside, np.nan, 1.0).astype(dtype_of(slope))


def _log_slope(c: Any, x: Any) -> Any:
    slope = _pole(c, x)
    return slope if dtype_of(x).kind == "c" else nan_where(x < 0, slope)


sqrt = elementwise("sqrt", np.sqrt, lambda y, x: _pole(0.5, y), samples=positive, tie="inf at 0")
cbrt = elementwise("cbrt", np.cbrt, lambda y, x: divide(1, 3 * y * y), samples=positive, tie="inf at 0")


# -- powers -------------------------------------------------------------------------------------------


def _is_number(n: Any) -> bool:
    return not isinstance(n, Tracer) and np.ndim(n) == 0


def _base_slope(x: Any, n: Any, raised: Any) -> Any:
    """n x^(n-1), which is 0 for n = 0 even where x^(-1) is not finite."""
    if n.__class__ is np.float64 and n == 2:
        return 2 * x
    if _is_number(n):
        if n == 2:
            return 2 * x
        if n in (0, 1):
            return n
        return n * (square(x) if n == 3 else raised(x, n - 1))
    if dtype_of(n).kind in "iu":  # n - 1 may wrap around
        n = n.astype(np.finfo(dtype_of(x)).dtype)
    nothing = (n == 0) & (x == 0)
    return n * raised(x, where(nothing, 1.0, n - 1))


def _exponent_slope(z: Any, x: Any, n: Any) -> Any:
    """z log x, and at x = 0 its limit."""
    if isinstance(x, Tracer) or not np.all(x):
        return power_log(x, n, 1)
    return z * log(x)


def _power_log(x: Any, n: Any, k: Any) -> Any:
    with np.errstate(all="ignore"):
        zero = np.equal(x, 0)
        limit = np.where(np.greater(n, 0), 0.0, -np.inf if k % 2 else np.inf)
        result = np.power(x, n) * np.log(np.where(zero, 1.0, x)) ** int(k)
        return np.where(zero, limit.astype(result.dtype), result)[()]


def _power_log_slope(z: Any, x: Any, n: Any, k: Any) -> Any:
    """x^(n-1) log(x)^(k-1) (n log x + k); at x = 0 the logarithm decides."""
    logarithm = n * power_log(x, n - 1, k)
    rest = power(x, n - 1) if k == 1 else power_log(x, n - 1, k - 1)
    return where(x == 0, logarithm, logarithm + k * rest)


# x^n log(x)^k, k = 1, 2, …: the derivatives of a power in its exponent, which vanish at x = 0 for n > 0.
power_log = elementwise(
    "power_log",
    _power_log,
    _power_log_slope,
    lambda z, x, n, k: power_log(x, n, k + 1),
    None,
    samples=lambda rng: iter([((rng.uniform(0.5, 2, 3), rng.uniform(0.5, 2, 3), 1), {})]),
)


def _operator(x: Any, n: Any) -> Any:
    z = x**n
    if z.__class__ is complex and not isinstance(x, complex) and not isinstance(n, complex):
        raise UnsupportedError(f"{x} ** {n} is complex (at {user_line()}): write complex(1, 0) * x for the base")
    return z


_POWER = "x**0 has derivative 0; 0**y has derivative 0 in y for y > 0"
power = elementwise(
    "power",
    np.power,
    lambda z, x, n: _base_slope(x, n, power),
    _exponent_slope,
    samples=positive_pairs,
    tie=_POWER,
)
float_power = elementwise(
    "float_power",
    np.float_power,
    lambda z, x, n: _base_slope(x, n, float_power),
    _exponent_slope,
    samples=positive_pairs,
    tie=_POWER,
)
# The operator ** is Python's on Python's numbers, and NumPy's has short cuts that np.power lacks.
pow_ = elementwise(
    "pow",
    _operator,
    lambda z, x, n: _base_slope(x, n, power),
    _exponent_slope,
    samples=positive_pairs,
    tie=_POWER,
)
remainder = elementwise("remainder", np.remainder, 1, lambda z, x, y: -floor_divide(x, y), samples=positive_pairs)
# The rounded quotient x / y may be the next integer; (x - z) / y is exact but for rounding.
fmod = elementwise("fmod", np.fmod, 1, lambda z, x, y: -rint((x - z) / y), samples=positive_pairs)


_LOG2, _LOG10 = math.log(2), math.log(10)

# -- exponentials and logarithms ----------------------------------------------------------------------

exp = elementwise("exp", np.exp, lambda y, x: y, samples=real)
exp2 = elementwise("exp2", np.exp2, lambda y, x: _LOG2 * y, samples=real)
expm1 = elementwise("expm1", np.expm1, lambda y, x: exp(x), samples=real)
log = elementwise("log", np.log, lambda y, x: _log_slope(1, x), samples=positive)
log2 = elementwise("log2", np.log2, lambda y, x: _log_slope(1 / _LOG2, x), samples=positive)
log10 = elementwise("log10", np.log10, lambda y, x: _log_slope(1 / _LOG10, x), samples=positive)
log1p = elementwise("log1p", np.log1p, lambda y, x: _log_slope(1, 1 + x), samples=positive)


def _difference(a: Any, b: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return np.where(np.equal(a, b), 0, np.subtract(a, b))[()]


def _logistic(x: Any) -> Any:
    with np.errstate(under="ignore"):
        t = np.exp(-np.abs(x))
        return np.where(np.greater_equal(x, 0), 1, t)[()] / (1 + t)


# a - b, where equal infinities differ by 0.
difference = elementwise("difference", _difference, 1, -1, samples=pairs)
logistic = elementwise("logistic", _logistic, lambda y, x: logistic(x) * logistic(-x), samples=real)
_HALVES = "equal infinities share equally"
logaddexp = elementwise(
    "logaddexp",
    np.logaddexp,
    lambda z, x, y: logistic(difference(x, y)),
    lambda z, x, y: logistic(difference(y, x)),
    samples=pairs,
    tie=_HALVES,
)
logaddexp2 = elementwise(
    "logaddexp2",
    np.logaddexp2,
    lambda z, x, y: logistic(_LOG2 * difference(x, y)),
    lambda z, x, y: logistic(_LOG2 * difference(y, x)),
    samples=pairs,
    tie=_HALVES,
)


# -- trigonometric and hyperbolic functions -----------------------------------------------------------

sin = elementwise("sin", np.sin, lambda y, x: cos(x), samples=real)
cos = elementwise("cos", np.cos, lambda y, x: -sin(x), samples=real)
tan = elementwise("tan", np.tan, lambda y, x: 1 + y * y, samples=unit)

# (1 - x) (1 + x), whose transpose does not meet 0 * inf at the ends.
unit_gap = elementwise("unit_gap", lambda x: (1 - x) * (1 + x), lambda y, x: -2 * x, samples=unit)
arcsin = elementwise("arcsin", np.arcsin, lambda y, x: divide(1, sqrt(unit_gap(x))), samples=unit)
arccos = elementwise("arccos", np.arccos, lambda y, x: divide(-1, sqrt(unit_gap(x))), samples=unit)
arctan = elementwise("arctan", np.arctan, lambda y, x: 1 / (1 + x * x), samples=real)


def _over_square(x: Any, h: Any) -> Any:
    """x / h^2, where the square might overflow."""
    return x / h / h


arctan2 = elementwise(
    "arctan2",
    np.arctan2,
    lambda z, y, x: _over_square(x, hypot(x, y)),
    lambda z, y, x: _over_square(-y, hypot(x, y)),
    samples=pairs,
)
sinh = elementwise("sinh", np.sinh, lambda y, x: cosh(x), samples=real)
cosh = elementwise("cosh", np.cosh, lambda y, x: sinh(x), samples=real)
tanh = elementwise("tanh", np.tanh, lambda y, x: 1 - y * y, samples=real)


def _arcsinh_slope(x: Any) -> Any:
    return 1 / (sqrt(x * x + 1) if dtype_of(x).kind == "c" else hypot(x, 1))


def _arccosh_slope(x: Any) -> Any:
    root = sqrt(x - 1) * sqrt(x + 1) if dtype_of(x).kind == "c" else sqrt(-unit_gap(x)) + 0.0
    slope = divide(1, root)
    return slope if dtype_of(x).kind == "c" else nan_where(x < 1, slope)


arcsinh = elementwise("arcsinh", np.arcsinh, lambda y, x: _arcsinh_slope(x), samples=real)
arccosh = elementwise("arccosh", np.arccosh, lambda y, x: _arccosh_slope(x), samples=above_one)


def _arctanh_slope(x: Any) -> Any:
    slope = divide(1, unit_gap(x))
    return slope if dtype_of(x).kind == "c" else nan_where(abs(x) > 1, slope)


arctanh = elementwise("arctanh", np.arctanh, lambda y, x: _arctanh_slope(x), samples=unit)
degrees = elementwise("degrees", np.degrees, 180 / np.pi, functions=(np.rad2deg,), samples=real)
radians = elementwise("radians", np.radians, np.pi / 180, functions=(np.deg2rad,), samples=real)


# d/dt sin(t)/t = t * polynomial(t^2)
_SINC = [(-1.0) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 14)]


def _sinc_slope(y: Any, x: Any) -> Any:
    """(cos(pi x) - sinc x) / x, by its series where the difference cancels."""
    near = abs(x) < 0.5
    t = np.pi * where(near, x, 0.0)
    s = t * t
    series = _SINC[-1]
    for c in reversed(_SINC[:-1]):
        series = series * s + c
    far = where(near, 1.0, x)
    # The sine of a multiple of pi, reduced exactly.
    whole = 0.0 if dtype_of(x).kind == "c" else rint(far)
    sign = 1 - 2 * remainder(whole, 2)
    t_far = np.pi * (far - whole)
    return where(near, np.pi * t * series, sign * (cos(t_far) - sin(t_far) / (np.pi * far)) / far)


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
    samples=real,
    tie="0 at 0",
)
fabs = elementwise("fabs", np.fabs, lambda y, x: np.sign(x), samples=real, tie="0 at 0")


def _share(mine: Any, other: Any) -> Any:
    """1 where mine is selected, 1/2 where both are, 0 where the other is, NaN where neither is (a NaN)."""
    if isinstance(mine, Tracer):
        return where(mine, where(other, 0.5, 1.0), where(other, 0.0, np.nan))
    if np.logical_and.reduce(np.not_equal(mine, other), axis=None):
        return mine
    return mine / (1.0 * mine + other)


def _larger(x: Any, y: Any) -> Any:
    return _share(np.greater_equal(x, y), np.greater_equal(y, x))


def _larger_or_alone(x: Any, y: Any) -> Any:
    return _share(np.greater_equal(x, y) | np.isnan(y), np.greater_equal(y, x) | np.isnan(x))


def _smaller_or_alone(x: Any, y: Any) -> Any:
    return _share(np.less_equal(x, y) | np.isnan(y), np.less_equal(y, x) | np.isnan(x))


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
    Selection(lambda z, x, y: _smaller_or_alone(x, y)),
    Selection(lambda z, x, y: _smaller_or_alone(y, x)),
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
heaviside = elementwise(
    "heaviside", np.heaviside, None, Selection(lambda z, x, y: np.equal(x, 0)), samples=pairs, tie="0 in x"
)
nextafter = elementwise("nextafter", np.nextafter, 1, None, samples=pairs)


def _two_to(n: Any, like: Any) -> Any:
    """2^n in the precision of `like`."""
    if not isinstance(n, Tracer):
        n = np.asarray(n).astype(np.int64)  # a number has been lifted to a float
    return np.ldexp(np.ones((), dtype_of(like)), n)


ldexp = elementwise(
    "ldexp",
    np.ldexp,
    lambda z, x, n: _two_to(n, x),
    None,
    samples=lambda rng: iter([((rng.normal(size=3), np.array([2, -1, 0])), {}), ((0.7, 3), {})]),
)
# The fractional parts of modf and frexp; `arrays.functions.parts` joins them with the whole ones.
modf_fraction = elementwise("modf_fraction", lambda x: np.modf(x)[0], 1, samples=real)
frexp_exponent = nondifferentiable("frexp_exponent", lambda x: np.frexp(x)[1])
frexp_mantissa = elementwise(
    "frexp_mantissa", lambda x: np.frexp(x)[0], lambda y, x: _two_to(-frexp_exponent(x), x), samples=positive
)


# -- piecewise constant functions ----------------------------------------------------------------------

_CONSTANT = "0, piecewise constant"
floor = nondifferentiable("floor", np.floor, tie=_CONSTANT)
ceil = nondifferentiable("ceil", np.ceil, tie=_CONSTANT)
trunc = nondifferentiable("trunc", np.trunc, tie=_CONSTANT)
rint = nondifferentiable("rint", np.rint, tie=_CONSTANT)
spacing = nondifferentiable("spacing", np.spacing, tie=_CONSTANT)
floor_divide = nondifferentiable("floor_divide", np.floor_divide, tie=_CONSTANT)

_TRUTHS = (
    "equal not_equal less less_equal greater greater_equal isnan isinf isfinite signbit isnat logical_and "
    "logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_xor invert left_shift right_shift gcd "
    "lcm bitwise_count"
)
for _name in _TRUTHS.split():
    nondifferentiable(_name, getattr(np, _name))


# -- complex numbers ----------------------------------------------------------------------------------

sign = elementwise(
    "sign",
    np.sign,
    Wirtinger(None, lambda y, z: 0.5 / abs(z), lambda y, z: -0.5 * y * y / abs(z)),
    samples=real,
    tie=_CONSTANT,
)
stopped = nondifferentiable("stop_gradient", lambda x: x.copy() if x.__class__ is np.ndarray else x)
conjugate = elementwise("conjugate", np.conjugate, Wirtinger(1, 0.0, 1.0), samples=real)
real_part = elementwise("real", np.real, Wirtinger(1, 0.5, 0.5), samples=real)
imag_part = elementwise("imag", np.imag, Wirtinger(0, -0.5j, 0.5j), samples=real)
real_part.views = imag_part.views = True  # of complex arrays; writes through them reach the array
angle = elementwise(
    "angle",
    np.angle,
    Wirtinger(
        None,
        lambda y, z: -0.5j / z,
        lambda y, z: 0.5j / conjugate(z),
    ),
    samples=real,
)


# -- selection ----------------------------------------------------------------------------------------


def _astype(x: Any, *, dtype: np.dtype[Any]) -> Any:
    return x.astype(dtype) if hasattr(x, "astype") else dtype.type(x)


astype = elementwise(
    "astype",
    _astype,
    1,
    samples=lambda rng: iter([((rng.normal(size=3),), {"dtype": np.dtype(t)}) for t in ("D", "g")]),
)


def _where(condition: Any, x: Any, y: Any) -> Any:
    result = np.where(condition, x, y)
    return result if result.ndim else result[()]


def _where_samples(rng: np.random.Generator) -> Samples:
    for condition, x, y in (((3,), (3,), (3,)), ((2, 1), (3,), ()), ((), (2, 3), (3,)), ((0,), (0,), ())):
        yield (rng.random(condition) < 0.5, rng.normal(size=x), rng.normal(size=y)), {}


where = linear(
    "where",
    _where,
    None,
    lambda ct, c, x, y: fit(where(c, ct, 0.0), x),
    lambda ct, c, x, y: fit(where(c, 0.0, ct), y),
    zeros="both",
    functions=(np.where,),
    samples=_where_samples,
)
