"""Findings about one evaluation: kinks it touches, lines where NaN and infinity are born, digits it can be trusted to.

The function is recorded once. Every recorded step is tested for the places where it has no derivative (`kinks`);
the reverse sweep is run over the record with maps that report the first adjoint that is not finite; and the
gradient is compared with estimates that use no rule of this library. Nothing is printed and nothing warns.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from chainrule import numerical
from chainrule.core.dispatch import Meta, dtype_of, meta_of, shape_of
from chainrule.core.linear import LinearMap
from chainrule.core.live import dense
from chainrule.eager.drivers import trace_reverse
from chainrule.eager.sweep import MultiRecord, collected, sweep
from chainrule.errors import ArgumentError
from chainrule.leaves import differentiable_leaves, result_leaves
from chainrule.report.kinks import touched
from chainrule.report.problem import Problem
from chainrule.report.words import plural
from chainrule.view.record import Decision, Operation, Record, record

__all__ = ["Evidence", "Explanation", "Finding", "explain"]

_LEFT = ' style="text-align:left"'
_NOTHING = "no kinks, and nothing that is not finite"


class Finding(NamedTuple):
    """One thing to know: its kind, what it is, where in the program, and what the derivative is there.

    Kinds are "kink", "jump", "branch" and "cut" (see `report.kinks`), "not finite" (a value) and "not finite
    derivative". `times` counts repetitions of the same finding at the same line.
    """

    kind: str
    what: str
    line: str
    convention: str
    times: int

    def __str__(self) -> str:
        often = f" ({self.times} times)" if self.times > 1 else ""
        convention = f"; derivative: {self.convention}" if self.convention else ""
        return f"{self.kind}: {self.what}{often}{convention}\n    {self.line}"


class Evidence(NamedTuple):
    """How far the derivative by one argument agrees with an independent estimate.

    `difference` and `error_bar` are relative to the largest derivative; `digits` is how many decimal digits are
    confirmed: the two added up.
    """

    argument: str
    method: str
    difference: float
    error_bar: float
    digits: float

    def __str__(self) -> str:
        if math.isnan(self.digits):
            return f"{self.argument}: no digits confirmed by {self.method}"
        return (
            f"{self.argument}: {self.digits:.1f} digits confirmed by {self.method} "
            f"(difference {self.difference:.0e}, error bar {self.error_bar:.0e})"
        )


class Explanation:
    """What `explain` found.

    Attributes
    ----------
    value : the result of the function
    labels : list of str
        The names of the arguments.
    gradient : list of arrays and numbers
        One per argument: of the sum of the result's elements.
    findings : list of Finding
        In the order of evaluation.
    evidence : list of Evidence
        One per argument.
    """

    def __init__(
        self, problem: Problem, value: Any, gradient: list[Any], findings: list[Finding], evidence: list[Evidence]
    ) -> None:
        self.name = problem.name
        self.labels = problem.labels
        self.value = value
        self.gradient = gradient
        self.findings = findings
        self.evidence = evidence

    def __str__(self) -> str:
        found = [str(f) for f in self.findings] or [_NOTHING]
        lines = [f"{self.name}: {plural(len(self.findings), 'finding')}", *found, *map(str, self.evidence)]
        if self.evidence and any(f.kind in ("kink", "jump", "branch") for f in self.findings):
            lines.append("differences see both sides of a kink: there they confirm nothing")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = [(f.kind, f.what, f.line, f.convention, str(f.times)) for f in self.findings]
        rows = "".join("<tr>" + "".join(f"<td{_LEFT}>{html.escape(c)}</td>" for c in row) + "</tr>" for row in cells)
        head = "".join(f"<th{_LEFT}>{h}</th>" for h in ("finding", "what", "line", "derivative", "times"))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else f"<p>{_NOTHING}</p>"
        return table + "".join(f"<p>{html.escape(str(e))}</p>" for e in self.evidence)


def explain(f: Callable[..., Any], *args: Any) -> Explanation:
    """Say what is special about the derivative of a function at a point.

    Parameters
    ----------
    f : callable
        If it returns more than one number, their sum is differentiated.
    *args : numbers, arrays or containers
        The point; all numbers in it are differentiated.

    Returns
    -------
    Explanation
        Kinks touched (ties, ``abs`` at 0, clip bounds, comparisons of equal numbers, integer casts), each with the
        line and the convention used; where a NaN or an infinity was born, in the function or in its derivative;
        and how many digits of the gradient are confirmed by the complex step or, where the function does not take
        complex numbers, by extrapolated differences, with the error bar of the estimate.

    Notes
    -----
    Arguments of more than 16 numbers are checked along four random directions.

    References
    ----------
    Griewank and Walther, *Evaluating Derivatives*, 2nd ed., chapter 14 (kinks); Squire and Trapp, *Using complex
    variables to estimate derivatives of real functions*, 1998.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> report = cr.explain(lambda x: np.sum(np.maximum(x, 0.0)), np.array([-1.0, 0.0, 2.0]))
    >>> report.findings[0].what, report.findings[0].convention
    ('tie in maximum, element 1 of 3', 'shared equally between ties')
    >>> report.gradient
    [array([0. , 0.5, 1. ])]
    """
    problem = Problem(f, args, "explain")
    # NumPy's numbers divide by zero, Python's raise.
    problem.values = [np.float64(v) if v.__class__ is float else v for v in problem.values]
    with np.errstate(all="ignore"):
        recorded = record(problem.run, problem.values, problem.labels, f)
        gathered = Gathered()
        _entering(recorded, problem, gathered)
        for step in recorded.steps:
            _look_at(step, gathered)
        _sweep(recorded, gathered, problem)
        value, gradient = _differentiate(problem)
        evidence = (
            [_evidence(problem, k, ct) for k, ct in enumerate(gradient)]
            if _finite([*result_leaves(value)[0], *gradient])
            else []
        )
    return Explanation(problem, value, gradient, gathered.findings(), evidence)


class Gathered:
    """Findings, those at the same line counted together."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str, str, str], int] = {}

    def add(self, kind: str, what: str, line: str, convention: str) -> None:
        key = (kind, what, line, convention)
        self._times[key] = self._times.get(key, 0) + 1

    def findings(self) -> list[Finding]:
        """All of them; comparisons that a sort makes of the equal elements it found are no branches of the program."""
        sorts = {line for _, what, line, _ in self._times if what.startswith(("equal elements", "tie in a running"))}
        return [Finding(*key, n) for key, n in self._times.items() if not (key[0] == "branch" and key[2] in sorts)]


def _line(step: Operation | Decision) -> str:
    if not step.places:
        return "(the function itself)"
    place = step.places[0]
    if not str(place):
        return "(the expression)"
    return f"{place}: `{place.source}`" if place.source else str(place)


def _which(at: Any) -> str:
    """Which elements of an array, in words; nothing for a number."""
    at = np.asarray(at)
    if not at.ndim:
        return ""
    count, first = int(at.sum()), np.argwhere(at)[0]
    index = ", ".join(map(str, first))
    return f", element {index} of {at.size}" if count == 1 else f", {count} of {at.size} elements, first {index}"


# -- the function -------------------------------------------------------------------------------------


def _entering(recorded: Record, problem: Problem, gathered: Gathered) -> None:
    for label, value in zip(problem.labels, recorded.inputs, strict=True):
        bad = ~np.isfinite(value)
        if bad.any():
            gathered.add(
                "not finite",
                f"{label} is given as {_name(np.asarray(value)[bad][0])}{_which(bad)}",
                "(the argument)",
                "",
            )


def _look_at(step: Operation | Decision, gathered: Gathered) -> None:
    found = touched(step)
    if found is not None:
        gathered.add(found.kind, found.what + _which(found.at), _line(step), found.convention)
    if isinstance(step, Operation):
        _look_for_birth(step, gathered)


def _look_for_birth(step: Operation, gathered: Gathered) -> None:
    outputs = _outputs(step)
    numeric = [(v, slot) for v, slot in zip(step.values, step.operands, strict=True) if _is_numeric(v)]
    if _finite(outputs):
        return
    if step.primitive.kind == "elementwise":
        _look_at_elements(step, numeric, gathered)
    elif _finite(v for v, _ in numeric):
        gathered.add("not finite", f"{step.primitive.name} gives what is not finite", _line(step), "")
    elif _finite(v for v, slot in numeric if slot is not None) and any(np.isnan(v).any() for v, _ in numeric):
        gathered.add("not finite", f"a constant that is nan enters {step.primitive.name}", _line(step), "")


def _outputs(step: Operation) -> tuple[Any, ...]:
    """The values of a step, most often one."""
    return step.y if isinstance(step.y, tuple) else (step.y,)


def _look_at_elements(step: Operation, numeric: list[tuple[Any, int | None]], gathered: Gathered) -> None:
    bad = ~np.isfinite(np.asarray(step.y))
    for value, slot in numeric:
        if slot is not None:
            bad = bad & np.isfinite(value)
    if not bad.any():
        return
    at = tuple(np.argwhere(bad)[0])
    elements = [np.broadcast_to(v, bad.shape)[at] for v, _ in numeric]
    call = f"{step.primitive.name}({', '.join(map(_name, elements))})"
    what = f"{call} is {_name(np.asarray(step.y)[at])}{_which(bad)}"
    gathered.add("not finite", what, _line(step), "")


def _is_numeric(value: Any) -> bool:
    return dtype_of(value).kind in "fciub"


def _finite(values: Iterable[Any]) -> bool:
    return all(bool(np.isfinite(v).all()) for v in values if _is_numeric(v))


def _name(number: Any) -> str:
    return "nan" if number != number else f"{number:.6g}"


# -- the derivative -----------------------------------------------------------------------------------


class Watched(LinearMap):
    """A linear map that tells when its transpose makes what is not finite of what is."""

    __slots__ = ("_linear", "_operand", "_report", "_step")

    def __init__(
        self, linear: LinearMap, step: Operation, operand: int, report: Callable[[Operation, int, Any], None]
    ) -> None:
        self._linear, self._step, self._operand, self._report = linear, step, operand, report

    def transpose(self, ct: Any, own: bool = False) -> Any:
        result = self._linear.transpose(ct)
        given = ct if isinstance(ct, tuple) else (ct,)
        if not _finite([dense(result)]) and _finite(dense(c) for c in given if c is not None):
            self._report(self._step, self._operand, dense(result))
        return result


def _sweep(recorded: Record, gathered: Gathered, problem: Problem) -> None:
    """Run the adjoints of the record, and note where one stops being finite."""
    born = []

    def report(step: Operation, operand: int, ct: Any) -> None:
        bad = ~np.isfinite(np.asarray(ct))
        at = tuple(np.argwhere(bad)[0])
        value = np.asarray(step.values[operand])
        number = f" at {value[at]:.6g}" if value.shape == bad.shape else ""
        makes = _name(np.asarray(ct)[at])
        if makes == "nan" and not any(np.isnan(y).any() for y in _outputs(step)):
            makes += ", zero times infinity,"
        what = f"the derivative of {step.primitive.name} makes the adjoint {makes}{number}{_which(bad)}"
        born.append(step)
        gathered.add("not finite derivative", what, _line(step), step.primitive.tie or "")

    entries: list[Any] = [_entry(s, report) for s in recorded.steps if isinstance(s, Operation)]
    seeds = [
        (leaf.slot, np.ones(shape_of(leaf), leaf.dtype)[()])
        for leaf in recorded.leaves
        if hasattr(leaf, "slot") and dtype_of(leaf).kind in "fc"
    ]
    table = sweep(reversed(entries), len(recorded.values), seeds)
    adjoints = [dense(collected(table[k])) for k in range(len(recorded.inputs))]
    if not born:
        for label, ct in zip(problem.labels, adjoints, strict=True):
            if ct is not None and not _finite([ct]):
                what = f"contributions to the derivative by {label} overflow or cancel as infinities"
                gathered.add("not finite derivative", what, "(the sum of several lines)", "")


_SCALAR = Meta((), np.dtype(np.float64))


def _entry(step: Operation, report: Callable[[Operation, int, Any], None]) -> Any:
    """A step as the reverse sweep reads it."""
    out = meta_of(step.y) if step.primitive.outputs == 1 else _SCALAR
    edges = []
    for k, slot in enumerate(step.operands):
        rule = step.primitive.slot(k)
        if slot is None or rule is None:
            continue
        linear = rule.map(step.primitive, k, step.y, step.values, step.params, meta_of(step.values[k]), out)
        if linear is not None:
            edges.append((slot, Watched(linear, step, k, report)))
    if step.primitive.outputs > 1:
        return MultiRecord(list(step.outs), edges)
    return [step.outs[0], *[part for edge in edges for part in edge]]


# -- digits -------------------------------------------------------------------------------------------


def _differentiate(problem: Problem) -> tuple[Any, list[Any]]:
    """The result, and the gradient of its sum as the engine computes it, one array or number per leaf."""
    trace = trace_reverse(problem.run, problem.values, problem.function)
    seeds = [np.ones(shape_of(y), dtype_of(y))[()] if dtype_of(y).kind == "f" else None for y in trace.leaves]
    value = trace.result(private=True)
    cts = trace.pull(seeds, free=True)
    zeros = [np.zeros(shape_of(v), dtype_of(v))[()] for v in problem.values]
    return value, [z if ct is None else dense(ct) for ct, z in zip(cts, zeros, strict=True)]


_FEW, _DIRECTIONS = 16, 4
_EPS = float(np.finfo(float).eps)


def _evidence(problem: Problem, k: int, ct: Any) -> Evidence:
    """Compare the derivative by one leaf with estimates along unit vectors or random directions."""
    x = np.asarray(problem.values[k], float)
    if x.size <= _FEW:
        directions = np.eye(x.size)
    else:
        directions = np.random.default_rng(0).normal(size=(_DIRECTIONS, x.size)) / math.sqrt(x.size)
    ours = directions @ np.ravel(ct).astype(float)
    method, theirs, bars = _estimates(problem, k, directions)
    scale = max(float(np.max(np.abs(theirs), initial=0.0)), float(np.max(np.abs(ours), initial=0.0))) or 1.0
    difference, bar = (float(np.max(e, initial=0.0)) / scale for e in (np.abs(ours - theirs), bars))
    digits = -math.log10(max(difference + bar, _EPS)) if math.isfinite(difference + bar) else math.nan
    return Evidence(problem.labels[k], method, difference, bar, max(digits, 0.0) if digits == digits else digits)


def _estimates(problem: Problem, k: int, directions: Any) -> tuple[str, Any, Any]:
    """Directional derivatives without any rule, with their error bars: the complex step, or extrapolation."""
    curves = [_along(problem, k, v) for v in directions]
    try:
        exact = np.array([numerical.derivative(c, 0.0, method="complex") for c in curves], float)
        again = np.array([numerical.derivative(c, 0.0, method="complex", step=1e-30) for c in curves], float)
        rough = np.array([numerical.derivative(c, 0.0) for c in curves], float)
    except (ArgumentError, TypeError):
        pass
    else:
        # A function that is not analytic (abs, conj) gives nonsense, which differences tell.
        noise = 1e-9 * max(abs(float(np.real(c(0.0)))) for c in curves)
        if np.all(np.abs(exact - rough) <= 1e-4 * np.max(np.abs(rough)) + noise):
            return "the complex step", exact, np.maximum(np.abs(exact - again), _EPS / 2 * np.abs(exact))
    try:
        pairs = [numerical.derivative(c, 0.0, method="adaptive", return_error=True) for c in curves]
    except (ArgumentError, TypeError):
        return "differences", np.full(len(curves), np.nan), np.full(len(curves), np.nan)
    values, bars = np.array(pairs, float).reshape(-1, 2).T
    return "Richardson extrapolation", values, bars


def _along(problem: Problem, k: int, direction: Any) -> Callable[[Any], Any]:
    """The sum of the results as a function of a step along `direction` in the k-th leaf."""
    x = np.asarray(problem.values[k])
    v = direction.reshape(x.shape)

    def curve(t: Any) -> Any:
        values = list(problem.values)
        values[k] = (x + t * v)[()]
        leaves, _ = differentiable_leaves(problem.run(values))
        return sum(np.sum(y) for y in leaves if dtype_of(y).kind in "fc")

    return curve
