"""Straight code on numbers."""

import math

import numpy as np

from tests.programs.table import program


@program(1.5, 0.5, tags="arithmetic elementary")
def textbook(x1, x2):
    return np.log(x1) + x1 * x2 - np.sin(x2)


@program(1.3, 0.7, tags="arithmetic")
def every_operator(x, y):
    a = x + y
    b = a - y * x
    c = -b / (+y)
    return c**2 - (3 - c) * 2.0 + 1 / a


@program(1.3, 0.7, tags="power")
def powers(x, y):
    return x**2 + x**3 + x**-1 + x**0.5 + x**0 + 2**x + x**y + pow(x, 3) + (-x) ** 2


@program(5.3, 1.4, tags="modulo")
def remainders(x, y):
    return x % y + x // y * y + (-x) % y + math.floor(2.0) * x


@program(0.6, 1.7, tags="math", eager=False)
def functions_of_math(x, y):
    a = math.sin(x) * math.cos(y) + math.tan(x)
    b = math.exp(-x) + math.log(y) + math.sqrt(x * y) + math.log2(y) + math.log10(y)
    return a * b + math.atan2(x, y) + math.hypot(x, y) + math.pi * math.fabs(-x) + math.pow(x, y)


@program(0.4, tags="math", eager=False)
def inverse_functions_of_math(x):
    a = math.asin(x) + math.acos(x) * x + math.atan(x)
    b = math.sinh(x) + math.cosh(x) * math.tanh(x)
    return a * b + math.asinh(x) + math.acosh(1 + x) + math.atanh(x) + math.expm1(x) + math.log1p(x)


@program(0.4, tags="math special", eager=False)
def special_functions_of_math(x):
    return math.erf(x) * math.erfc(x) + math.lgamma(x + 1) + math.gamma(x + 2)


@program(0.6, 1.7, tags="ufuncs")
def functions_of_numpy(x, y):
    a = np.sin(x) * np.cos(y) + np.tan(x) + np.arctan2(x, y) + np.hypot(x, y)
    b = np.exp(-x) + np.log(y) + np.sqrt(x * y) + np.log1p(x) + np.expm1(y) + np.cbrt(x)
    return a * b + np.power(x, y) + np.square(x) + np.reciprocal(y) + np.negative(x) + np.exp2(x)


@program(0.4, tags="ufuncs")
def hyperbolic_and_inverse(x):
    a = np.arcsin(x) + np.arccos(x) * x + np.arctan(x) + np.sinh(x)
    b = np.cosh(x) * np.tanh(x) + np.arcsinh(x) + np.arccosh(1 + x) + np.arctanh(x)
    return a * b + np.logaddexp(x, 0.0)


@program(0.4, -1.2, 2.0, tags="builtins")
def python_builtins(x, y, z):
    return abs(y) * max(x, y) + min(x, y, z) ** 2 + max(x, z) * sum((x, y, z)) + abs(x - z)


@program(0.7, 1.9, tags="ufuncs kinks")
def kinks_away_from_the_kink(x, y):
    return np.maximum(x, y) * np.minimum(x, y) + np.abs(x - y) + np.sign(x) * y + np.fmax(x, 0.1) + np.copysign(x, -y)


@program(2.6, tags="rounding")
def piecewise_constant_functions(x):
    return x * np.floor(x) + np.ceil(x) * x**2 + np.round(x) / x + np.trunc(x) + round(2.4) * x


@program(0.7, tags="constants")
def constants_of_the_module(x):
    return np.pi * x + math.e * x**2 + np.e / 2 + math.tau * x


@program(np.float32(0.75), tags="float32")
def single_precision(x):
    y = x * 2.0 + 1
    return np.sin(y) * x / 3


@program(np.float32(0.75), 0.5, tags="float32 mixed", eager=False)
def mixed_precision(x, y):
    return np.exp(x * np.float32(0.5)) + np.float64(x) * y


@program(0.7, -0.4, tags="complex")
def complex_numbers_inside(x, y):
    z = x + 1j * y
    w = z * z + np.exp(z) / (2 + z)
    return np.abs(w) ** 2 + w.real * z.imag


@program(1.1 + 0.4j, tags="complex input")
def a_complex_argument(z):
    return np.abs(z * z + 1.0) ** 2 + z.real


@program(0.7, 2, tags="integers")
def integer_argument(x, n):
    return x**n * n + n / x - (n // 2) * x + n % 2 + (n << 1) * x


@program(0.7, True, tags="booleans")
def boolean_argument(x, flag):
    return x**2 if flag else x + (1 if not flag else 0)


@program(0.8, 1.7, tags="booleans")
def truth_values_as_numbers(x, y):
    return (x > 0.5) * x + (x > y) * y + 2.0 * (y >= x) * x * y


@program(0.3, tags="assignment")
def many_targets(x):
    """Targets, annotations, a docstring."""
    a = b = x * 2
    c: float = a + b
    (d, e), f = (c, a), b
    d, e = e, d * f
    d *= x
    e -= d / 2
    f **= 2
    return d * e + f


@program(0.3, tags="walrus")
def named_expression(x):
    return (y := x * x + 1) * y + np.sin(y)


@program(2.74, tags="integers cast", eager=False)
def casts(x):
    n = int(x)
    y = float(n) * x + round(x) * 0.5
    return y * bool(n) + int(y > 3) * x


@program(0.8, tags="unused")
def unused_values(x):
    y = np.exp(x) / 0.3
    z = y * 2
    z = np.sin(x)
    return z * x


@program(0.5, 0.0, tags="constants")
def an_argument_without_effect(x, y):
    return x * x + 3.0 + 0 * y


@program(0.9, tags="constants")
def a_constant_result(x):
    return 3.5
