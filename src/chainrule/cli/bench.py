"""The command `bench`: one function, its gradient in every way, and how long each takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from rich.text import Text

from chainrule import numerical
from chainrule.api import grad
from chainrule.cli.output import Output, sheet, track
from chainrule.cli.points import Point, point
from chainrule.cli.request import Request
from chainrule.errors import ChainruleError
from chainrule.jacobians import jacfwd
from chainrule.native.jit import jit
from chainrule.report.problem import Problem
from chainrule.report.words import duration

__all__ = ["bench"]

_SAMPLE, _FEWEST = 1e-3, 5  # seconds of a sample, so that the clock is fine enough; samples of what is slow


class Timing(NamedTuple):
    """How long one call takes; no time if it cannot be made, and the note says why."""

    what: str
    seconds: float | None
    note: str


def bench(request: Request, seconds: float, output: Output) -> int:
    """Print the median times of the function and of its gradient in every mode."""
    at = point(request, assume=True)
    with np.errstate(all="ignore"):
        timings = [_timing(what, run, seconds) for what, run in track(list(_contestants(at)), "timing")]
    if request.json:
        output.json({**at.data, "timings": [t._asdict() for t in timings]})
        return 0
    base = timings[0].seconds
    rows = [(t.what, *_figures(t.seconds, base), t.note) for t in timings]
    styles = {"": "cyan", "median": "green"}
    output.show(
        Text(at.heading + "\n", style="bold"),
        sheet(("", "median", "× function", " "), rows, styles, right=("median", "× function")),
    )
    return 0


def _figures(seconds: float | None, base: float | None) -> tuple[str, str]:
    if seconds is None or base is None:
        return "–", "–"
    return duration(seconds), f"{seconds / base:.3g}"


def _contestants(at: Point) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is timed: functions without arguments."""
    f, args, wrt = at.function, at.args, at.wrt
    problem = Problem(*at.narrowed(), "bench")
    problem.scalar("bench")
    fast, faster, eager, forward = jit(f), jit(grad(f, wrt)), grad(f, wrt), jacfwd(f, wrt)
    yield "function", lambda: f(*args)
    yield "function, native mode", lambda: fast(*args)
    yield "gradient, reverse mode", lambda: eager(*args)
    yield "gradient, forward mode", lambda: forward(*args)
    yield "gradient, native mode", lambda: faster(*args)
    yield "gradient, central differences", lambda: numerical.gradient(problem.flat, problem.point, method="central")


def _timing(what: str, run: Callable[[], Any], budget: float) -> Timing:
    try:
        before = time.perf_counter()
        run()
        first = time.perf_counter() - before
    except ChainruleError as error:
        return Timing(what, None, " ".join(str(error).split()))
    median = _median(run, budget)
    compiled = f"first call {duration(first)}" if first > 0.05 and first > 20 * median else ""
    return Timing(what, median, compiled)


def _median(run: Callable[[], Any], budget: float) -> float:
    """The median over as many samples as the budget holds."""
    loops, taken = 1, _sample(run, 1)
    while taken < _SAMPLE:
        loops *= 2
        taken = _sample(run, loops)
    samples, end = [taken / loops], time.perf_counter() + budget
    while len(samples) < _FEWEST or time.perf_counter() < end:
        samples.append(_sample(run, loops) / loops)
    return statistics.median(samples)


def _sample(run: Callable[[], Any], loops: int) -> float:
    before = time.perf_counter()
    for _ in range(loops):
        run()
    return time.perf_counter() - before
