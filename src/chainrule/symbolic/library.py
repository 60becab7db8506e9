"""What SymPy and mpmath compute for each primitive: one table of formulae for both.

A formula takes the library first and numbers or expressions of that library after it, so that the road to
symbols and the road to fifty digits cannot drift apart. Operations that only move elements, and sums and
products, run as they are on NumPy arrays of objects and need no line here. A primitive without a line raises
where it is met, by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.core.primitive import Primitive
from chainrule.errors import UnsupportedError, user_line
from chainrule.extras import load

__all__ = ["Library", "mpmath_library", "sympy_library"]

# Primitives that both libraries have as a function, by their names there.
_NAMES = {
    **dict.fromkeys(("sqrt", "norm.root"), "sqrt"),
    **{
        name: name
        for name in [
            "exp",
            "log",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "gamma",
            "digamma",
            "erf",
            "erfc",
            "erfi",
            "erfinv",
            "beta",
            "zeta",
        ]
    },
    **{f"arc{name}": f"a{name}" for name in ["sin", "cos", "tan", "sinh", "cosh", "tanh"]},
    **dict.fromkeys(("gammaln", "loggamma"), "loggamma"),
    "arctan2": "atan2",
}

_FORMULAE: dict[str, Callable[..., Any]] = {
    "add": lambda m, x, y: x + y,
    **dict.fromkeys(("subtract", "difference"), lambda m, x, y: x - y),
    "multiply": lambda m, x, y: x * y,
    "divide": lambda m, x, y: x / y,
    "negative": lambda m, x: -x,
    **dict.fromkeys(("positive", "astype", "conjugate", "real", "copy", "level"), lambda m, x: x),
    "reciprocal": lambda m, x: 1 / x,
    "square": lambda m, x: x**2,
    **dict.fromkeys(("power", "float_power", "pow"), lambda m, x, n: x**n),
    "exp2": lambda m, x: 2**x,
    **dict.fromkeys(("expm1", "special.expm1"), lambda m, x: m.exp(x) - 1),
    "log2": lambda m, x: m.log(x) / m.log(2),
    "log10": lambda m, x: m.log(x) / m.log(10),
    **dict.fromkeys(("log1p", "special.log1p"), lambda m, x: m.log(1 + x)),
    "logaddexp": lambda m, x, y: m.log(m.exp(x) + m.exp(y)),
    "unit_gap": lambda m, x: 1 - x**2,
    "hypot": lambda m, x, y: m.sqrt(x**2 + y**2),
    "degrees": lambda m, x: 180 * x / m.pi,
    "radians": lambda m, x: m.pi * x / 180,
    **dict.fromkeys(("logistic", "expit"), lambda m, x: 1 / (1 + m.exp(-x))),
    "log_expit": lambda m, x: -m.log(1 + m.exp(-x)),
    "logit": lambda m, x: m.log(x / (1 - x)),
    "xlogy": lambda m, x, y: x * m.log(y),
    "ndtr": lambda m, x: (1 + m.erf(x / m.sqrt(2))) / 2,
    "rgamma": lambda m, x: 1 / m.gamma(x),
    "betaln": lambda m, a, b: m.loggamma(a) + m.loggamma(b) - m.loggamma(a + b),
    "j0": lambda m, x: m.besselj(0, x),
    "j1": lambda m, x: m.besselj(1, x),
    "jv": lambda m, n, x: m.besselj(n, x),
    "iv": lambda m, n, x: m.besseli(n, x),
    "kv": lambda m, n, x: m.besselk(n, x),
}

# General primitives that NumPy runs on arrays of objects.
_ON_OBJECTS = frozenset({"prod", "cumprod"})
_MOVES = frozenset({"linear", "multilinear", "index", "join"})


class Library:
    """Numbers or expressions of one library, and what they make of a primitive."""

    def __init__(
        self, name: str, module: Any, number: Callable[[Any], Any], own: dict[str, Callable[..., Any]]
    ) -> None:
        self.name = name
        self._module = module
        self._number = number
        self._own = own

    def lift(self, value: Any) -> Any:
        """A plain number as one of the library's, a plain array as an array of them."""
        if np.ndim(value) == 0:
            return value if np.asarray(value).dtype == object else self._number(np.asarray(value).item())
        value = np.asarray(value)
        return value if value.dtype == object else np.frompyfunc(self._number, 1, 1)(value)

    def evaluate(self, primitive: Primitive, args: list[Any], params: dict[str, Any]) -> Any:
        """The primitive on numbers, expressions, or arrays of them."""
        if primitive.kind == "elementwise":
            args = [self.lift(a) for a in args]
            return np.frompyfunc(self._formula(primitive), len(args), 1)(*args)
        args = [a if primitive.slot(k) is None else self.lift(a) for k, a in enumerate(args)]
        whole = self._own.get(primitive.name)
        if whole is not None:
            return whole(*args, **params)
        if primitive.name == "level":
            return args[0]
        if primitive.kind in _MOVES or primitive.name in _ON_OBJECTS:
            params = {key: object if key == "dtype" else value for key, value in params.items()}
            return primitive.impl(*args, **params)
        raise self.unknown(primitive)

    def _formula(self, primitive: Primitive) -> Callable[..., Any]:
        name = primitive.name
        if name in self._own:
            return self._own[name]
        if name in _NAMES:
            function: Callable[..., Any] = getattr(self._module, _NAMES[name])
            return function
        if name not in _FORMULAE:
            raise self.unknown(primitive)
        formula, module = _FORMULAE[name], self._module
        return lambda *args: formula(module, *args)

    def unknown(self, primitive: Primitive) -> UnsupportedError:
        """The exception for a primitive that is not in the tables."""
        return UnsupportedError(
            f"{primitive.name} has no counterpart in {self.name} here (at {user_line()}). Write it with functions "
            "that have one, or use the automatic derivative, chainrule.grad."
        )


def _over_axes(pair: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Reduce an array of objects along axes with a function of two elements."""
    ufunc: Any = np.frompyfunc(pair, 2, 1)

    def reduce(x: Any, *, axis: tuple[int, ...] | None, keepdims: bool) -> Any:
        for k in sorted(range(np.ndim(x)) if axis is None else axis, reverse=True):
            x = ufunc.reduce(x, axis=k, keepdims=keepdims)
        return x

    return reduce


def _extrema(larger: Callable[[Any, Any], Any], smaller: Callable[[Any, Any], Any]) -> dict[str, Callable[..., Any]]:
    return {
        **dict.fromkeys(("maximum", "fmax"), larger),
        **dict.fromkeys(("minimum", "fmin"), smaller),
        "clip": lambda x, low, high: smaller(larger(x, low), high),
        "max": _over_axes(larger),
        "min": _over_axes(smaller),
    }


def _matrix(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`make` of one square matrix as a list of rows."""

    def checked(a: Any) -> Any:
        if np.ndim(a) != 2:
            raise UnsupportedError(f"a stack of matrices (at {user_line()}): only one at a time has formulae here")
        return make(a.tolist())

    return checked


def sympy_library() -> Library:
    """SymPy's expressions; numbers with a short binary fraction become exact ones."""
    sympy = load("sympy")

    def number(x: Any) -> Any:
        if isinstance(x, float) and not math.isfinite(x):
            return sympy.nan if x != x else sympy.oo if x > 0 else -sympy.oo
        fraction = Fraction(x)
        return sympy.Rational(x) if fraction.denominator <= 64 else sympy.Float(x)

    matrix = _matrix(sympy.Matrix)

    def solve(a: Any, b: Any) -> Any:
        right = sympy.Matrix(np.reshape(b, (len(b), -1)).tolist())
        return np.reshape(np.array(matrix(a).LUsolve(right).tolist(), object), np.shape(b))

    own = {
        **_extrema(sympy.Max, sympy.Min),
        **dict.fromkeys(("absolute", "fabs"), sympy.Abs),
        "sinc": lambda x: sympy.sinc(sympy.pi * x),
        "polygamma": sympy.polygamma,
        "det": lambda a: matrix(a).det(method="berkowitz"),
        "inv": lambda a: np.array(matrix(a).inv().tolist(), object),
        "solve": solve,
    }
    return Library("SymPy", sympy, number, own)


def mpmath_library(digits: int) -> Library:
    """mpmath's numbers of so many digits, in a context of their own."""
    mp = load("mpmath").mp.clone()
    mp.dps = digits
    matrix = _matrix(mp.matrix)

    def array(made: Any, shape: Any) -> Any:
        return np.reshape(np.array(made.tolist(), object), shape)

    def solve(a: Any, b: Any) -> Any:
        right = mp.matrix(np.reshape(b, (len(b), -1)).tolist())
        return array(mp.inverse(matrix(a)) * right, np.shape(b))

    own = {
        **_extrema(max, min),
        **dict.fromkeys(("absolute", "fabs"), mp.fabs),
        "sinc": mp.sincpi,
        "expm1": mp.expm1,
        "log1p": mp.log1p,
        "polygamma": mp.psi,
        "det": lambda a: mp.det(matrix(a)),
        "inv": lambda a: array(mp.inverse(matrix(a)), np.shape(a)),
        "solve": solve,
    }
    return Library("mpmath", mp, mp.mpf, own)
