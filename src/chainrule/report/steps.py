"""The error of a difference quotient against its step: two branches, and the best step between them.

With the step h, the error of the formula grows like a power of h (truncation) and the error of the arithmetic
like eps/h (round-off); the complex step has no subtraction and no second branch. The branches are drawn from
derivatives known to fifty digits, the points are measured.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule import numerical
from chainrule.errors import ArgumentError
from chainrule.report.plotting import COLOURS, axes, finish
from chainrule.report.problem import Problem
from chainrule.report.reference import Reference

__all__ = ["Branch", "StepCurve", "step_curve"]


# The truncation of the central and the complex quotient is the same: the squares go around the dots.
_MARKERS = {"forward": ".", "central": "s", "complex": "."}


class Branch(NamedTuple):
    """One method: measured relative errors, what theory says of both branches, and the best measured step."""

    errors: Any
    truncation: Any
    roundoff: Any
    best_step: float
    best_error: float


class StepCurve:
    """Errors of the difference quotients in one direction, for each step.

    Attributes
    ----------
    name : str
        The number that is moved.
    steps : array
    branches : dict
        By method, ``"forward"``, ``"central"`` and, where the function takes complex numbers, ``"complex"``.
    """

    def __init__(self, name: str, steps: Any, branches: dict[str, Branch]) -> None:
        self.name = name
        self.steps = steps
        self.branches = branches

    def plot(self, ax: Any = None) -> Any:
        """Draw the measured errors, the two branches as dashed and dotted lines, and the best steps; the axes."""
        ax = axes(ax)
        floor = np.finfo(float).eps / 4  # an error of zero has no place on a logarithmic axis
        for method, branch in self.branches.items():
            colour = COLOURS[method]
            shown = np.maximum(branch.errors, floor)
            ax.plot(self.steps, shown, _MARKERS[method], color=colour, ms=6 if method == "central" else 4, mfc="none")
            ax.plot(self.steps, branch.truncation, "--", color=colour, lw=1)
            ax.plot(self.steps, branch.roundoff, ":", color=colour, lw=1.2)
            label = f"{method}: best step {branch.best_step:.0e}, error {branch.best_error:.0e}"
            best = max(branch.best_error, floor)
            ax.plot(branch.best_step, best, "o", ms=11, mfc="none", mew=2, color=colour, label=label)
        finish(ax, f"Error of difference quotients in {self.name}", "step h", "relative error")
        ax.legend(title="dashed: truncation, dotted: round-off", frameon=False, loc="upper right")
        ax.set_ylim(floor / 2, 1e6)
        ax.set_xlim(self.steps[0] / 2, self.steps[-1] * 2)
        return ax

    def __str__(self) -> str:
        lines = [f"difference quotients in {self.name}", f"{'method':10}{'best step':>12}{'error':>12}"]
        lines += [f"{m:10}{b.best_step:12.1e}{b.best_error:12.1e}" for m, b in self.branches.items()]
        return "\n".join(lines)

    __repr__ = __str__


def step_curve(problem: Problem, reference: Reference, k: int) -> StepCurve:
    """Measure the error in the k-th number over twenty decades of steps."""
    point = problem.point.astype(float)
    truth = float(reference.derivative(k))
    scale = abs(truth) or 1.0
    second, third = (abs(float(reference.derivative(k, order))) / scale for order in (2, 3))
    steps = np.logspace(-20, 0, 81)
    noise = np.finfo(float).eps * max(abs(float(reference.value)), np.finfo(float).tiny) / scale / steps
    theory = {
        "forward": (second * steps / 2, noise),
        "central": (third * steps**2 / 6, noise / 2),
        "complex": (third * steps**2 / 6, np.full(steps.shape, np.finfo(float).eps / 2)),
    }

    def moved(t: Any) -> Any:
        x = point.astype(np.result_type(point, t))
        x[k] = t
        return problem.flat(x)

    branches = {}
    for method, (truncation, roundoff) in theory.items():
        errors = np.array([_error(moved, point[k], method, h, truth, scale) for h in steps])
        if np.isfinite(errors).any():
            best = int(np.nanargmin(errors))
            branches[method] = Branch(errors, truncation, roundoff, float(steps[best]), float(errors[best]))
    return StepCurve(problem.elements[k], steps, branches)


def _error(f: Any, x: float, method: Any, h: float, truth: float, scale: float) -> float:
    """The relative error of one quotient; NaN where the step does not move x or leaves the domain."""
    try:
        with np.errstate(all="ignore"):
            return float(abs(numerical.derivative(f, x, method=method, step=h) - truth) / scale)
    except (ArgumentError, TypeError):
        return np.nan
