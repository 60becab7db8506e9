"""The truth to many digits: a function run in mpmath's arithmetic, its derivatives by differences there.

No rule of this library and no formula of SymPy takes part: differences of a step of 10^-52 in arithmetic of 300
digits are right to more than fifty. The program takes the path that it takes at the floating-point values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.report.problem import Problem
from chainrule.symbolic.exact import evaluate
from chainrule.symbolic.library import mpmath_library

__all__ = ["Reference"]

_DIGITS, _STEP = 300, 52


class Reference:
    """A function of numbers at its point, in mpmath's arithmetic."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._library = mpmath_library(_DIGITS)
        self._point = self._library.lift(problem.point)
        self._step = self._library.lift(10.0) ** -_STEP
        self.value = self._at({})

    def _at(self, moves: dict[int, int]) -> Any:
        """The function with some numbers moved by so many steps."""
        point = self._point.copy()
        for k, steps in moves.items():
            point[k] += steps * self._step
        problem = self._problem
        result = evaluate(problem.run, problem.values, problem.leaves(point), self._library)
        if result.imag:
            raise ArgumentError("the function leaves the real numbers around this point")
        return result.real

    def derivative(self, k: int, order: int = 1) -> Any:
        """The derivative of first, second or third order by the k-th number."""
        values = {j: self._at({k: j}) if j else self.value for j in _STENCILS[order]}
        return sum(w * values[j] for j, w in _STENCILS[order].items()) / self._step**order

    def gradient(self) -> Any:
        """The gradient as a flat array of mpmath's numbers."""
        return np.array([self.derivative(k) for k in range(len(self._point))], object)


_STENCILS: dict[int, dict[int, float]] = {
    1: {1: 0.5, -1: -0.5},
    2: {1: 1.0, 0: -2.0, -1: 1.0},
    3: {2: 0.5, 1: -1.0, -1: 1.0, -2: -0.5},
}
