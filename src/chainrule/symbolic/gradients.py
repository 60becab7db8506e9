"""Derivatives as formulae: an ordinary function is run on SymPy's symbols and its expression differentiated.

What comes in is a program, what goes out is the expression of the path it takes: loops are unrolled, branches
decided at the given values. Where names are given instead of values, a decision that needs one raises.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.calls import Call, check_callable
from chainrule.core.dispatch import shape_of
from chainrule.errors import ArgumentError
from chainrule.extras import load
from chainrule.symbolic.derivation import Derivation, derive, latex, text
from chainrule.symbolic.exact import evaluate
from chainrule.symbolic.library import sympy_library
from chainrule.view.naming import argument_names, leaf_names

__all__ = ["Gradient", "Hessian", "OperationCounts", "expression", "gradient", "hessian"]


class OperationCounts(NamedTuple):
    """Arithmetic operations and function calls: of the function, and of its derivatives in four forms."""

    function: int
    derivative: int
    derivative_cse: int
    simplified: int
    simplified_cse: int


class Gradient:
    """The partial derivatives of an expression.

    Attributes
    ----------
    expression : sympy.Expr
    symbols : tuple of sympy.Symbol
        One per number in the arguments, in order.
    partials : tuple of sympy.Expr
    derivations : tuple of Derivation
        One per partial, empty unless ``steps=True`` was asked for.
    """

    def __init__(self, expression: Any, symbols: Sequence[Any], steps: bool) -> None:
        self.expression = expression
        self.symbols = tuple(symbols)
        self.derivations: tuple[Derivation, ...] = ()
        self.partials = self._differentiate(steps)

    def _differentiate(self, steps: bool) -> tuple[Any, ...]:
        if steps:
            self.derivations = tuple(derive(self.expression, s) for s in self.symbols)
        return tuple(self.expression.diff(s) for s in self.symbols)

    @functools.cached_property
    def simplified(self) -> tuple[Any, ...]:
        """The derivatives after ``sympy.simplify``, which may take long."""
        return tuple(load("sympy").simplify(p) for p in self.partials)

    def cse(self, simplified: bool = False) -> tuple[list[tuple[Any, Any]], list[Any]]:
        """Common subexpressions ``(symbol, expression)`` of the derivatives, and the derivatives in terms of them."""
        entries = self.simplified if simplified else self.partials
        return load("sympy").cse(list(entries))  # type: ignore[no-any-return]

    def counts(self) -> OperationCounts:
        """Operations before and after simplification and elimination of common subexpressions."""
        return OperationCounts(
            self._count([self.expression]),
            self.derivative_size,
            self.cse_size,
            self._count(self.simplified),
            self._count_cse(True),
        )

    @property
    def derivative_size(self) -> int:
        """Operations of the derivatives as they come out of the rules."""
        return self._count(self.partials)

    @property
    def cse_size(self) -> int:
        """The same after elimination of common subexpressions."""
        return self._count_cse(False)

    def _count(self, entries: Sequence[Any]) -> int:
        return int(sum(load("sympy").count_ops(e) for e in entries))

    def _count_cse(self, simplified: bool) -> int:
        common, reduced = self.cse(simplified)
        return self._count([e for _, e in common]) + self._count(reduced)

    @functools.cached_property
    def function(self) -> Callable[..., list[Any]]:
        """A NumPy function of one number per symbol that returns the derivatives as a flat list."""
        return load("sympy").lambdify(self.symbols, list(self.partials), ["scipy", "numpy"], cse=True)  # type: ignore[no-any-return]

    def __call__(self, *values: Any) -> Any:
        """The derivatives at numbers, one per symbol, as an array."""
        if len(values) != len(self.symbols):
            raise ArgumentError(f"{len(self.symbols)} numbers are needed, {', '.join(map(str, self.symbols))}")
        return np.array(self.function(*values), float)

    def __getitem__(self, name: Any) -> Any:
        """The partial derivative by the symbol of that name."""
        for symbol, partial in zip(self.symbols, self.partials, strict=True):
            if str(symbol) == str(name):
                return partial
        raise ArgumentError(f"no symbol {name}; there are {', '.join(map(str, self.symbols))}")

    def _labels(self) -> list[tuple[str, str]]:
        """How each derivative is called, in text and in LaTeX."""
        return [(f"df/d{s}", rf"\frac{{\partial f}}{{\partial {latex(s)}}}") for s in self.symbols]

    def __str__(self) -> str:
        lines = [f"f = {text(self.expression)}"]
        lines += [f"{label} = {text(p)}" for (label, _), p in zip(self._labels(), self.partials, strict=True)]
        return "\n\n".join(["\n".join(lines), *map(str, self.derivations)])

    __repr__ = __str__

    def latex(self) -> str:
        """The expression and its derivatives as an ``align*`` environment, followed by the derivations."""
        lines = [f"f &= {latex(self.expression)}"]
        lines += [f"{label} &= {latex(p)}" for (_, label), p in zip(self._labels(), self.partials, strict=True)]
        first = "\n".join([r"\begin{align*}", " \\\\\n".join(lines), r"\end{align*}"])
        return "\n".join([first, *[d.latex() for d in self.derivations]])

    def _repr_latex_(self) -> str:
        return self.latex()


class Hessian(Gradient):
    """The second derivatives; ``partials`` holds them row by row, `matrix` is the square of them."""

    def _differentiate(self, steps: bool) -> tuple[Any, ...]:
        rows = [self.expression.diff(s) for s in self.symbols]
        upper: dict[tuple[int, int], Any] = {}
        for i, row in enumerate(rows):
            for j in range(i, len(rows)):
                upper[i, j] = upper[j, i] = row.diff(self.symbols[j])
                if steps:
                    self.derivations += (derive(row, self.symbols[j]),)
        return tuple(upper[i, j] for i in range(len(rows)) for j in range(len(rows)))

    @property
    def matrix(self) -> Any:
        """The second derivatives as a SymPy matrix."""
        n = len(self.symbols)
        return load("sympy").Matrix(n, n, list(self.partials))

    def __call__(self, *values: Any) -> Any:
        """The second derivatives at numbers, one per symbol, as a square array."""
        return super().__call__(*values).reshape(len(self.symbols), len(self.symbols))

    def __getitem__(self, names: Any) -> Any:
        """The second derivative by the two symbols of these names."""
        known = list(map(str, self.symbols))
        if not (isinstance(names, tuple) and len(names) == 2 and all(str(n) in known for n in names)):
            raise ArgumentError(f"a second derivative is named by two of the symbols {', '.join(known)}")
        return self.matrix[known.index(str(names[0])), known.index(str(names[1]))]

    def _labels(self) -> list[tuple[str, str]]:
        return [
            (f"d2f/d{a}d{b}", rf"\frac{{\partial^2 f}}{{\partial {latex(a)} \partial {latex(b)}}}")
            for a in self.symbols
            for b in self.symbols
        ]


def gradient(f: Callable[..., Any], *args: Any, steps: bool = False) -> Gradient:
    """The gradient of a function as formulae, through SymPy.

    Parameters
    ----------
    f : callable
        An ordinary Python or NumPy function that returns one real number.
    *args : names, numbers, arrays or containers
        A string (or ``sympy.Symbol``) names a real number. A number or an array is the point whose path through
        the program is followed; its symbols are called as the parameters of `f` are, elements ``x_0``, ``x_1``, …
    steps : bool
        Write the derivation out, rule by rule: see ``Gradient.derivations``.

    Returns
    -------
    Gradient
        The expression, its partial derivatives, operation counts, common subexpressions, text and LaTeX.

    Raises
    ------
    UnsupportedError
        Where the program uses an operation without a counterpart in SymPy, and where it depends on a value
        (``if x > 0``) that is not given. Each names operation and line.

    Notes
    -----
    What is constant around the point (``floor``, ``sign``, comparisons) enters as its value there; ties of
    ``maximum`` share equally here too, as ``Heaviside(0)`` is ½.

    References
    ----------
    Baydin, Pearlmutter, Radul and Siskind, *Automatic differentiation in machine learning: a survey*, 2018,
    section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import symbolic
    >>> def f(x1, x2):
    ...     return x1 * x2 + np.exp(x1 * x2) - np.sin(x2)
    >>> print(symbolic.gradient(f, "x1", "x2"))
    f = x1*x2 + exp(x1*x2) - sin(x2)
    df/dx1 = x2*exp(x1*x2) + x2
    df/dx2 = x1*exp(x1*x2) + x1 - cos(x2)
    >>> print(symbolic.gradient(lambda x: x * np.sin(x), "x", steps=True).derivations[0])
    d/dx[x*sin(x)] = x*d/dx[sin(x)] + sin(x)*d/dx[x]   product rule
    d/dx[sin(x)] = cos(x)                              derivative of sin
    d/dx[x] = 1                                        identity
    d/dx[x*sin(x)] = x*cos(x) + sin(x)
    """
    return Gradient(*expression(f, *args), steps)


def hessian(f: Callable[..., Any], *args: Any, steps: bool = False) -> Hessian:
    """The second derivatives of a function as formulae; arguments as in `gradient`.

    Examples
    --------
    >>> from chainrule import symbolic
    >>> symbolic.hessian(lambda x, y: x**2 * y, "x", "y").matrix
    Matrix([
    [2*y, 2*x],
    [2*x,   0]])
    """
    return Hessian(*expression(f, *args), steps)


def expression(f: Callable[..., Any], *args: Any) -> tuple[Any, tuple[Any, ...]]:
    """The SymPy expression of a function and its symbols; arguments as in `gradient`."""
    check_callable(f, "symbolic.gradient")
    sympy = load("sympy")
    named: dict[int, str] = {k: str(a) for k, a in enumerate(args) if isinstance(a, (str, sympy.Symbol))}
    points = [float("nan") if k in named else a for k, a in enumerate(args)]
    call = Call(f, tuple(range(len(args))), tuple(points), {})
    names = [
        name
        for k, stem in enumerate(argument_names(f, len(args)))
        for name in leaf_names(named.get(k, stem), points[k])
    ]
    leaves = zip(names, call.point.leaves, strict=True)
    symbols = [_symbols(sympy, name, shape_of(leaf.value)) for name, leaf in leaves if leaf.active]
    flat = tuple(s for part in symbols for s in np.ravel(part))
    if len(set(flat)) != len(flat):
        raise ArgumentError(f"two of the symbols {', '.join(map(str, flat))} have the same name")
    return evaluate(call.run, call.point.values, symbols, sympy_library()), flat


def _symbols(sympy: Any, name: str, shape: tuple[int, ...]) -> Any:
    """A symbol, or an array of symbols numbered by their indices."""
    stem = re.sub(r"\W+", "_", name).strip("_")
    made = np.empty(shape, object)
    for index in np.ndindex(shape):
        made[index] = sympy.Symbol("_".join([stem, *map(str, index)]), real=True)
    return made if shape else made.item()
