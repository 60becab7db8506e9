"""The four ways to a derivative on one function, side by side: manual, numerical, symbolic, automatic.

Each row has the gradient, its error against a reference of fifty digits, the evaluations of the function that
were really made, the operations, and the time. A way that does not lead to a derivative here says why, in place
of its figures.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule import numerical
from chainrule.api import grad
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.extras import load
from chainrule.jacobians import jacfwd
from chainrule.leaves import result_leaves
from chainrule.report.costs import costs, count
from chainrule.report.plotting import COLOURS, axes
from chainrule.report.problem import Problem, join
from chainrule.report.reference import Reference
from chainrule.report.steps import StepCurve, step_curve
from chainrule.report.words import duration, plural
from chainrule.symbolic.gradients import Gradient, gradient

__all__ = ["Comparison", "Row", "compare"]

# Operations times inputs beyond which the reference and the formulae would take minutes: the table says so.
# Formulae of more operations than the third figure are not simplified.
_MOST_IN_REFERENCE, _MOST_IN_FORMULAE, _MOST_SIMPLIFIED = 200_000, 10_000, 300

_LONGEST_FORMULA = 100  # characters

_NOTHING = 1e-40  # what is left of a number that floating point holds exactly


class Row(NamedTuple):
    """One method: the gradient as a flat array (None if there is none) and what it took."""

    approach: str
    method: str
    gradient: Any
    error: float
    evaluations: int | None
    operations: int | None
    seconds: float
    note: str


class Comparison:
    """The rows of a comparison, and the curves behind them.

    Attributes
    ----------
    rows : list of Row
    value : float
        The value of the function.
    reference : array
        The gradient, flat, rounded from `digits` digits.
    digits : str
        Where the reference is from.
    wrong : list of str
        What the manual derivative has wrong: which argument, what it says and what is right.
    symbolic : Gradient or None
        The formulae, with operation counts and derivations.
    """

    def __init__(self, problem: Problem, manual: Callable[..., Any] | None) -> None:
        self._problem = problem
        self.value = problem.scalar("compare")
        self.name, self.labels = problem.name, problem.elements
        self._costs = costs(problem.function, *problem.args)
        self._operations = self._costs.function
        self._exact, self.digits, self._truth = self._reference()
        self.reference = np.array([float(g) for g in self._truth])
        self.symbolic: Gradient | None = None
        self.wrong: list[str] = []
        self.rows: list[Row] = []
        if manual is not None:
            self.rows.append(self._manual(manual))
        self.rows += [self._numerical(method) for method in ("forward", "central", "complex")]
        self.rows += [self._symbolic(), self._automatic("forward"), self._automatic("reverse")]

    # -- the reference --

    def _reference(self) -> tuple[Reference | None, str, Any]:
        problem = self._problem
        if self._operations * problem.size <= _MOST_IN_REFERENCE:
            try:
                exact = Reference(problem)
                return exact, "50 digits, mpmath", exact.gradient()
            except (ChainruleError, ArithmeticError, ValueError) as error:
                reason = _short(error)
        else:
            reason = "too many operations for mpmath"
        gradients = grad(problem.spread, tuple(range(len(problem.values))))(*problem.values)
        return None, f"reverse mode, since there is no reference: {reason}", join(gradients)

    def _error(self, gradient: Any) -> float:
        """The largest error of an element, relative to the largest element of the reference."""
        if not np.isfinite(np.asarray(gradient, float)).all():
            return float("nan")
        scale = max((abs(t) for t in self._truth), default=0) or 1
        gaps = [abs(g - t) for g, t in zip(map(float, gradient), self._truth, strict=True)]
        error = float(max(gaps, default=0) / scale)
        return error if error > _NOTHING else 0.0

    def _row(
        self,
        approach: str,
        method: str,
        run: Callable[[], Any],
        operations: Callable[[int], int | None],
        note: str = "",
    ) -> Row:
        """Run a method, watching how often it calls the function, and time it."""
        self._calls = 0
        with np.errstate(all="ignore"):
            found = np.asarray(run(), float)
        calls = self._calls
        return Row(approach, method, found, self._error(found), calls, operations(calls), _seconds(run), note)

    def _counted(self, *values: Any) -> Any:
        self._calls += 1
        return self._problem.run(list(values))

    # -- the approaches --

    def _manual(self, manual: Callable[..., Any]) -> Row:
        problem = self._problem
        shapes = [np.shape(v) for v in problem.values]
        derivative = Problem(manual, problem.args, "compare")

        def run() -> Any:
            leaves, _ = result_leaves(derivative.run(problem.values))
            if [np.shape(x) for x in leaves] != shapes:
                raise ArgumentError(
                    f"manual must return one derivative per argument, like {', '.join(problem.labels)} in shape"
                )
            return join(leaves)

        row = self._row("manual", "by hand", run, lambda calls: _operations(derivative))
        self.wrong = self._check(row.gradient)
        note = "right" if not self.wrong else "wrong in " + ", ".join(w.partition(":")[0] for w in self.wrong)
        return row._replace(evaluations=0, note=note)

    def _check(self, found: Any) -> list[str]:
        """Where derivatives by hand are wrong, argument by argument."""
        wrong, start = [], 0
        for label, value in zip(self._problem.labels, self._problem.values, strict=True):
            part = slice(start, start := start + int(np.size(value)))
            truth, given = self.reference[part], found[part]
            off = ~(np.abs(given - truth) <= 1e-7 * max(np.max(np.abs(truth), initial=0.0), 1e-300))
            if off.any():
                k = int(np.argmax(off))
                where = f" in {off.sum()} of {off.size} elements, first {self.labels[part][k]}" if off.size > 1 else ""
                wrong.append(f"{label}: {given[k]:.8g}{where}, but {truth[k]:.8g} is right")
        return wrong

    def _numerical(self, method: Any) -> Row:
        problem, point = self._problem, self._problem.point

        def flat(x: Any) -> Any:
            return self._counted(*problem.leaves(x))

        def run() -> Any:
            return numerical.gradient(flat, point, method=method)

        per_element = {"forward": 2, "central": 2, "complex": 1}[method] * problem.size
        name = {"complex": "complex step"}.get(method, f"{method} differences")
        try:
            row = self._row("numerical", name, run, lambda calls: calls * self._operations + per_element)
        except (ArgumentError, TypeError) as error:
            return _failed("numerical", name, _short(error))
        lost = method == "complex" and not row.error < 1e-6
        return row._replace(note="wrong: the function is not analytic") if lost else row

    def _symbolic(self) -> Row:
        problem = self._problem
        if self._operations * problem.size > _MOST_IN_FORMULAE:
            swollen = f"left out: the formulae of {problem.size} derivatives of {self._operations:,} operations swell"
            return _failed("symbolic", "SymPy", swollen)
        started = time.perf_counter()
        try:
            self.symbolic = formula = gradient(problem.function, *problem.args)
        except ChainruleError as error:
            return _failed("symbolic", "SymPy", _short(error))
        taken = time.perf_counter() - started
        counted = formula.counts() if formula.derivative_size <= _MOST_SIMPLIFIED else None
        common = counted.derivative_cse if counted else formula.cse_size
        note = f"{plural(formula.derivative_size, 'operation')}, {common} after CSE"
        if counted:
            note += f"; simplified {counted.simplified}, {counted.simplified_cse} after CSE"
        point = [float(x) for x in problem.point]
        row = self._row("symbolic", "SymPy", lambda: formula(*point), lambda calls: common)
        return row._replace(evaluations=0, note=f"{note}; derived in {duration(taken)}")

    def _automatic(self, mode: str) -> Row:
        problem = self._problem
        numbers = tuple(range(len(problem.values)))
        transform = jacfwd if mode == "forward" else grad
        derivative = transform(self._counted, numbers)

        def run() -> Any:
            return join(derivative(*problem.values))

        sweeps = f"{plural(problem.size, 'tangent')} in one pass" if mode == "forward" else "one sweep"
        operations = self._costs.jacobian(mode)
        note = f"{operations / max(self._operations, 1):.1f} × the function; {sweeps}"
        return self._row("automatic", f"{mode} mode", run, lambda calls: operations, note)

    # -- curves --

    def steps(self, element: int = 0) -> StepCurve:
        """The error of difference quotients against their step, in one of the numbers (by its place in `labels`)."""
        if self._exact is None:
            raise ArgumentError(f"there is no reference of fifty digits to measure errors with ({self.digits})")
        return step_curve(self._problem, self._exact, range(len(self.labels))[element])

    def plot_steps(self, ax: Any = None, element: int = 0) -> Any:
        """Draw `steps` on Matplotlib axes, which are returned."""
        return self.steps(element).plot(ax)

    def plot_errors(self, ax: Any = None) -> Any:
        """Draw the error of each method as a bar on Matplotlib axes, which are returned."""
        ax = axes(ax)
        floor = np.finfo(float).eps / 4
        rows = [row for row in self.rows if row.gradient is not None][::-1]
        for place, row in enumerate(rows):
            key = row.method.split()[0] if row.approach in ("numerical", "automatic") else row.approach
            ax.barh(
                place,
                max(row.error, floor),
                color=COLOURS[key],
                hatch="//" if row.approach == "numerical" else None,
                alpha=0.8,
            )
            ax.text(max(row.error, floor), place, f" {row.error:.0e}" if row.error else " exact", va="center", size=8)
        ax.set_yticks(range(len(rows)), [f"{row.approach}: {row.method}" for row in rows])
        ax.set_xscale("log")
        ax.set_xlim(floor / 2, 100 * max([1e-6, *[row.error for row in rows]]))
        ax.set_xlabel(f"relative error ({self.digits})")
        ax.set_title(f"{self.name}: error of the gradient")
        return ax

    # -- showing --

    def table(self) -> list[list[str]]:
        """The rows as text, the header first; an approach is named at the first of its methods."""
        shown = len(self.labels) <= 4
        lines = [["", "method", *(self.labels if shown else []), "error", "calls", "ops", "time"]]
        before = ""
        for row in self.rows:
            found = row.gradient if row.gradient is not None else [None] * len(self.labels)
            numbers = ["–" if g is None else f"{g:.10g}" for g in found] if shown else []
            error = "–" if row.gradient is None else f"{row.error:.1e}" if row.error else "0"
            counts = ["–" if n is None else f"{n:,}" for n in (row.evaluations, row.operations)]
            taken = "–" if row.gradient is None else duration(row.seconds)
            approach = "" if row.approach == before else row.approach
            lines.append([approach, row.method, *numbers, error, *counts, taken])
            before = row.approach
        return lines

    def notes(self) -> list[tuple[str, str]]:
        """What there is to say besides the figures, each with the method it is about; formulae if they are short."""
        found = []
        for row in self.rows:
            if row.note and not (row.approach == "manual" and self.wrong):
                found.append((row.method, row.note))
            if row.approach == "symbolic":
                found += [(row.method, formula) for formula in self._formulae()]
        return found

    def _formulae(self) -> list[str]:
        formulae = [] if self.symbolic is None else str(self.symbolic).splitlines()[1:]
        short = len(formulae) <= 4 and max(map(len, formulae), default=0) <= _LONGEST_FORMULA
        return formulae if short else []

    def _heading(self) -> list[str]:
        point = ", ".join(
            f"{label}={value:.6g}" if np.ndim(value) == 0 else f"{label}: array{list(np.shape(value))}"
            for label, value in zip(self._problem.labels, self._problem.values, strict=True)
        )
        value = f"{self.name}({point}) = {float(self.value):.12g}"
        return [value, f"{plural(self._operations, 'operation')}; errors against {self.digits}"]

    def _footing(self) -> list[str]:
        return [
            *(f"{method}: {note}" for method, note in self.notes()),
            *(f"by hand: wrong in {w}" for w in self.wrong),
        ]

    def __str__(self) -> str:
        lines = self.table()
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        rows = [
            "  ".join(c.ljust(w) if k < 2 else c.rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True)))
            for line in lines
        ]
        return "\n".join([*self._heading(), "", rows[0], "-" * len(rows[0]), *rows[1:], "", *self._footing()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *lines = self.table()
        names = "".join(f"<th{_side(k)}>{html.escape(c)}</th>" for k, c in enumerate(head))
        cells = ["".join(f"<td{_side(k)}>{html.escape(c)}</td>" for k, c in enumerate(line)) for line in lines]
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        table = f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
        heading, footing = ("<br>".join(map(html.escape, part)) for part in (self._heading(), self._footing()))
        return f"<p>{heading}</p>{table}<p>{footing}</p>"

    def to_dataframe(self) -> Any:
        """The rows as a pandas data frame, numbers as numbers; one column per element of the gradient."""
        records = []
        for row in self.rows:
            found = row.gradient if row.gradient is not None else [np.nan] * len(self.labels)
            gradient_columns = {f"d/d{name}": g for name, g in zip(self.labels, found, strict=True)}
            rest = {key: getattr(row, key) for key in ("error", "evaluations", "operations", "seconds", "note")}
            records.append({"approach": row.approach, "method": row.method, **gradient_columns, **rest})
        return load("pandas").DataFrame(records)


def _operations(problem: Problem) -> int | None:
    """The operations of a function; None if it uses what cannot be watched."""
    try:
        return count(problem.run, problem.values).total
    except ChainruleError:
        return None


def _failed(approach: str, method: str, reason: str) -> Row:
    return Row(approach, method, None, float("nan"), None, None, float("nan"), reason)


def _short(error: Exception) -> str:
    """What a message says first."""
    return re.split(r";|\. | \(|, and ", str(error))[0].rstrip(".")


def _seconds(run: Callable[[], Any]) -> float:
    """The shortest time of one run, of as many as 20 ms hold, three at least."""
    best, started, runs = float("inf"), time.perf_counter(), 0
    with np.errstate(all="ignore"):
        while runs < 3 or time.perf_counter() - started < 0.02:
            before = time.perf_counter()
            run()
            best, runs = min(best, time.perf_counter() - before), runs + 1
    return best


def _side(column: int) -> str:
    """Words stand left, numbers right."""
    return ' style="text-align:left"' if column < 2 else ' style="text-align:right"'


def compare(f: Callable[..., Any], *args: Any, manual: Callable[..., Any] | None = None) -> Comparison:
    """Differentiate one function in all four ways and say what each is worth.

    Parameters
    ----------
    f : callable
        Returns one real number.
    *args : numbers, arrays or containers
        The point; all numbers in it are differentiated.
    manual : callable, optional
        The derivative by hand: takes the arguments of `f` and returns one derivative per argument. It is checked;
        where it is wrong, the comparison says in which argument.

    Returns
    -------
    Comparison
        Its text is the table; it has a data frame, an HTML form, and plots of the errors and of the error of
        difference quotients against their step.

    Raises
    ------
    ArgumentError
        If `f` does not return one real number, or `manual` not one derivative per argument.

    Notes
    -----
    Errors are the largest of an element, relative to the largest element of the gradient. The reference is `f` in
    arithmetic of 300 digits, differenced; where an operation of `f` has no counterpart there, the table says so
    and compares with reverse mode. Operations of the automatic rows are counted on the primitives evaluated, see
    `costs`; those of the symbolic row after elimination of common subexpressions.

    References
    ----------
    Baydin, Pearlmutter, Radul and Siskind, *Automatic differentiation in machine learning: a survey*, 2018.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> def f(x1, x2):
    ...     return x1 * x2 + np.exp(x1 * x2) - np.sin(x2)
    >>> def by_hand(x1, x2):
    ...     return x2 + x2 * np.exp(x1 * x2), x1 + x1 * np.exp(x1 * x2) + np.cos(x2)
    >>> result = cr.compare(f, 1.5, 0.5, manual=by_hand)
    >>> result.wrong
    ['x2: 5.5530826, but 3.7979175 is right']
    >>> [row.method for row in result.rows if row.error < 1e-14]
    ['complex step', 'SymPy', 'forward mode', 'reverse mode']
    """
    return Comparison(Problem(f, args, "compare"), manual)
