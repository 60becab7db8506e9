"""Measured curves about the four ways: swelling formulae, the two modes, the memory of the reverse one.

Each function measures one family of programs and returns a `Curves`: what was varied, one series per method,
and a plot. Operations are counted as in `costs`, formulae by SymPy, bytes by the allocator.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.extras import load
from chainrule.jacobians import jacfwd, jacrev
from chainrule.report.costs import costs
from chainrule.report.plotting import COLOURS, axes, finish
from chainrule.symbolic.gradients import gradient

__all__ = ["Curves", "memory", "modes", "swell"]


class Curves:
    """Series over one quantity.

    Attributes
    ----------
    title, x, y : str
        What is shown, what was varied and what was measured.
    at : array
        The values of what was varied.
    series : dict of arrays
        By the name of the method; NaN where it was not measured.
    """

    def __init__(
        self, title: str, x: str, y: str, at: Sequence[int], series: dict[str, Sequence[float]], log: str = "xy"
    ):
        self.title, self.x, self.y = title, x, y
        self.at = np.asarray(at)
        self.series = {name: np.asarray(values, float) for name, values in series.items()}
        self._log = log

    def crossing(self, first: str, second: str) -> float:
        """Where two series meet, interpolated between logarithms; NaN if they do not."""
        for name in (first, second):
            if name not in self.series:
                raise ArgumentError(f"no series {name!r}; there are {', '.join(self.series)}")
        gap = np.log(self.series[first]) - np.log(self.series[second])
        place = np.log(self.at)
        for k in range(len(gap) - 1):
            if gap[k] == 0 or gap[k] * gap[k + 1] < 0:
                return float(np.exp(place[k] - gap[k] * (place[k + 1] - place[k]) / (gap[k + 1] - gap[k])))
        return float(self.at[-1]) if len(gap) and gap[-1] == 0 else math.nan

    def plot(self, ax: Any = None) -> Any:
        """Draw the series on Matplotlib axes, which are returned."""
        ax = axes(ax)
        for name, values in self.series.items():
            style = "--" if "CSE" in name else "-"
            ax.plot(self.at, values, f"o{style}", ms=4, color=COLOURS[name.split()[0].rstrip(",")], label=name)
        return finish(ax, self.title, self.x, self.y, self._log)

    def __str__(self) -> str:
        widths = [max(len(name), 10) for name in self.series]
        head = f"{self.x:>12}  " + "  ".join(n.rjust(w) for n, w in zip(self.series, widths, strict=True))
        rows = [
            f"{x:>12}  " + "  ".join(f"{s[k]:{w}.6g}" for s, w in zip(self.series.values(), widths, strict=True))
            for k, x in enumerate(self.at)
        ]
        return "\n".join([f"{self.title}: {self.y}", head, *rows])

    __repr__ = __str__

    def to_dataframe(self) -> Any:
        """The series as the columns of a pandas data frame, indexed by what was varied."""
        frame = load("pandas").DataFrame(self.series, index=self.at)
        frame.index.name = self.x
        return frame


# -- expression swell ---------------------------------------------------------------------------------


def _product(x: Any) -> Any:
    total = x[0]
    for k in range(1, len(x)):
        total = total * x[k]
    return total


def _composition(n: int) -> Callable[[Any], Any]:
    def iterated(x: Any) -> Any:
        for _ in range(n):
            x = 4 * x * (1 - x)
        return x

    return iterated


def swell(family: str = "composition", lengths: Sequence[int] | None = None) -> Curves:
    """How formulae of derivatives grow, against the operations of reverse mode and the length of the trace.

    Parameters
    ----------
    family : {"product", "composition"}
        The gradient of a product of n factors, or the derivative of the logistic map 4x(1 - x) composed n times.
    lengths : sequence of int, optional
        The values of n.

    Notes
    -----
    The series "trace per step" is the number of primitives recorded over n, which stays what it is.

    References
    ----------
    Baydin, Pearlmutter, Radul and Siskind, *Automatic differentiation in machine learning: a survey*, 2018, table 1.

    Examples
    --------
    >>> from chainrule.report import curves
    >>> curves.swell("product", [2, 4, 8]).series["symbolic"]
    array([ 0.,  8., 48.])
    """
    if family not in ("product", "composition"):
        raise ArgumentError(f'the family is "product" or "composition", not {family!r}')
    lengths = list(lengths or ([3, 6, 12, 24, 48] if family == "product" else [1, 2, 3, 4, 5, 6, 7]))
    series: dict[str, list[float]] = {
        name: [] for name in ("symbolic", "symbolic, after CSE", "reverse mode", "trace per step")
    }
    for n in lengths:
        f, x = (_product, np.linspace(0.5, 1.5, n)) if family == "product" else (_composition(n), 0.3)
        formulae = gradient(f, x)
        counted = costs(f, x)
        row = (formulae.derivative_size, formulae.cse_size, counted.reverse, counted.length / n)
        for values, value in zip(series.values(), row, strict=True):
            values.append(value)
    of = "the gradient of a product of n factors" if family == "product" else "the derivative of n logistic maps"
    return Curves(f"Expression swell: {of}", "n", "operations", lengths, dict(series), log="y")


# -- forward against reverse --------------------------------------------------------------------------


def modes(inputs: int = 128, outputs: Sequence[int] = (1, 4, 16, 64, 256, 1024), measure: str = "operations") -> Curves:
    """Whole Jacobians by forward and by reverse mode as the number of outputs grows.

    Parameters
    ----------
    inputs : int
        The number n of inputs, which stays.
    outputs : sequence of int
        The numbers m of outputs, of the function tanh(A x) with an m by n matrix A.
    measure : {"operations", "seconds"}

    Returns
    -------
    Curves
        ``crossing("forward mode", "reverse mode")`` is where they cost the same.

    Examples
    --------
    >>> from chainrule.report import curves
    >>> measured = curves.modes(8, [1, 4, 16, 64])
    >>> 4 < measured.crossing("forward mode", "reverse mode") < 16
    True
    """
    if measure not in ("operations", "seconds"):
        raise ArgumentError(f'the measure is "operations" or "seconds", not {measure!r}')
    rng = np.random.default_rng(0)
    x = rng.normal(size=inputs)
    series: dict[str, list[float]] = {"forward mode": [], "reverse mode": []}
    for m in outputs:
        a = rng.normal(size=(m, inputs)) / inputs

        def f(x: Any, a: Any = a) -> Any:
            return np.tanh(a @ x)

        for name, transform in (("forward mode", jacfwd), ("reverse mode", jacrev)):
            if measure == "operations":
                series[name].append(costs(f, x).jacobian(name.split()[0]))
            else:
                series[name].append(_fastest(transform(f), x))
    title = f"Jacobian of tanh(A x), {inputs} inputs"
    return Curves(title, "outputs m", measure, list(outputs), dict(series))


def _fastest(function: Callable[[Any], Any], x: Any) -> float:
    best = math.inf
    for _ in range(7):
        before = time.perf_counter()
        function(x)
        best = min(best, time.perf_counter() - before)
    return best


# -- memory -------------------------------------------------------------------------------------------


def memory(
    step: Callable[[Any], Any] = np.sin, x: Any = 0.5, lengths: Sequence[int] = (100, 200, 400, 800, 1600)
) -> Curves:
    """The bytes that reverse mode holds for a loop of so many steps; forward mode holds none.

    Parameters
    ----------
    step : callable
        The body of the loop, from a value to one like it.
    x : number or array
        The value before the loop.
    lengths : sequence of int

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.report import curves
    >>> held = curves.memory(np.sin, np.ones(1000), [10, 20]).series["reverse mode"]
    >>> bool(8000 * 10 < held[1] - held[0] < 8000 * 10 * 1.1)  # one array of 8000 bytes a step
    True
    """

    def loop(length: int) -> Callable[[Any], Any]:
        def f(y: Any) -> Any:
            for _ in range(length):
                y = step(y)
            return y

        return f

    held = [costs(loop(length), x).memory for length in lengths]
    return Curves("Memory of reverse mode", "steps of the loop", "bytes", list(lengths), {"reverse mode": held}, log="")
