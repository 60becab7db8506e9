"""Compiled derivatives against ones written by hand and against other tools: one table for each program.

    python benchmarks/native.py [PROGRAM ...] [--quick] [--tools jax ...] [--write docs/performance.md]

Every derivative is compared with the others, and at small sizes with finite differences, before it is timed. Times
are medians of interleaved samples in processor time, one thread; a ratio is to the objective under plain
`numba.njit`, or to the derivative written by hand where there is none. Exit code 1: a target was missed.
"""

from __future__ import annotations

import os

os.environ.update({f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA")})
os.environ.update({"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu"})

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contestants
import fresh
import timing
from timing import Seconds

TITLES = {"jax": "JAX", "torch": "PyTorch", "autograd": "autograd", "casadi": "CasADi"}
PACKAGES = ("numpy", "numba", "jax", "torch", "autograd", "casadi")
# What ours may take: as a multiple of the objective or of the derivative written by hand, or in seconds.
TARGETS = {
    "gmm": ("objective", 1.5),
    "ba": ("objective", 5.0),
    "lstm": ("objective", 0.9),
    "ode": ("by hand", 1.15),
    "llsq": ("objective", 1.5),
    "saddle": ("by hand", 2.0),
    "sweep": ("objective", 1.7),
    "scalar": ("objective", 1.6),
    "small": ("seconds", 2e-6),
}
SIZES = {
    "gmm": "N = {}, D = {}, K = {}",
    "ba": "{} cameras, {} points, {} observations",
    "lstm": "{} layers, {} characters",
    "ode": "n = {}, {} steps",
    "llsq": "n = {}",
    "saddle": "{} over {}",
    "sweep": "n = {}",
    "scalar": "{} steps",
    "small": "{} elements",
}


@dataclass(frozen=True)
class Line:
    """A program at one size: who took how long, and the bytes that our derivative needed at its peak."""

    program: str
    size: str
    seconds: Mapping[str, Seconds]
    peak: int | None

    def __getitem__(self, who: str) -> float:
        return self.seconds[who].median

    def ratio(self, who: str) -> float:
        return self[who] / self["objective" if "objective" in self.seconds else "by hand"]

    def target(self) -> tuple[str, bool]:
        """The most that ours may take, in words, and whether it takes no more."""
        of, limit = TARGETS[self.program]
        if of == "seconds":
            return timing.show_time(limit), self["chainrule"] <= limit
        return f"{limit:g} × {of}", self["chainrule"] <= limit * self[of]


@dataclass(frozen=True)
class Program:
    """The lines of a program; seconds of a new process to its first result, without and with the cache."""

    name: str
    lines: Sequence[Line]
    cold: float
    warm: float


def measure(name: str, tools: Sequence[str], effort: timing.Effort) -> Program:
    contestants.check(name, tools)
    sizes = importlib.import_module(f"programs.{name}").SIZES
    cold, warm, peaks = fresh.measured(name, len(sizes))
    return Program(name, [line(name, s, tools, effort, p) for s, p in zip(sizes, peaks, strict=True)], cold, warm)


def line(name: str, size: Any, tools: Sequence[str], effort: timing.Effort, peak: int | None) -> Line:
    runs = contestants.contestants(name, size, tools)
    timing.check_equal(runs, 1e-8)
    first = contestants.objective(name, size)
    if first is not None:
        first()  # compiles
        runs = {"objective": first, **runs}
    numbers = size if isinstance(size, tuple) else (size,)
    shown = SIZES[name].format(*(f"{n:,}" if isinstance(n, int) else n for n in numbers))
    return Line(name, shown, timing.spreads(runs, effort), peak)


# -- tables --------------------------------------------------------------------------------------------


def heads(tools: Sequence[str]) -> list[str]:
    named = [TITLES[tool] for tool in tools]
    return ["objective", "derivative", "ratio", "÷ by hand", "at most", "", "by hand", *named, "memory"]


def cells(line: Line, tools: Sequence[str]) -> list[str]:
    limit, met = line.target()
    ours = line.seconds["chainrule"]
    return [
        timing.show_time(line["objective"]) if "objective" in line.seconds else "–",
        f"{timing.show_time(ours.median)} ± {100 * ours.spread:.0f} %",
        f"{line.ratio('chainrule'):.2f}",
        f"{line['chainrule'] / line['by hand']:.2f}",
        limit,
        "met" if met else "missed",
        *(show_ratio(line, who) for who in ("by hand", *tools)),
        "–" if line.peak is None else show_bytes(line.peak),
    ]


def show_ratio(line: Line, who: str) -> str:
    if who not in line.seconds:
        return "–"
    ratio = line.ratio(who)
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def show_bytes(count: int) -> str:
    """What is below a megabyte is not the arrays of the program."""
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else "< 1 MB"


def latency(program: Program) -> str:
    return f"new process to first result: {program.cold:.2f} s, with machine code on disk {program.warm:.2f} s"


def report(program: Program, tools: Sequence[str]) -> str:
    rows = [[program.name, *heads(tools)], *([line.size, *cells(line, tools)] for line in program.lines)]
    return f"{timing.table(rows)}\n{latency(program)}\n"


# -- the page ------------------------------------------------------------------------------------------

BEGIN, END = "<!-- benchmarks/native.py writes from here -->", "<!-- to here -->"


def write(path: Path, header: Mapping[str, str], programs: Sequence[Program]) -> None:
    """Put the lines of these programs into the tables of a page; those of others stay as they are."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    made = page(header, programs, old)
    path.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")


def page(header: Mapping[str, str], programs: Sequence[Program], old: str) -> str:
    tools = list(TITLES)
    speed = {p.name: [f"| {p.name} | {' | '.join([x.size, *cells(x, tools)])} |" for x in p.lines] for p in programs}
    start = {p.name: [f"| {p.name} | {p.cold:.2f} s | {p.warm:.2f} s |"] for p in programs}
    return "\n".join([
        f"{header['date']}, {header['processor']}, {header['system']}; {header['software']}.",
        "",
        *table(["program", "size", *heads(tools)], speed, old),
        "",
        *table(["program", "first result of a new process", "with machine code on disk"], start, old),
    ])  # fmt: skip


def table(head: Sequence[str], new: Mapping[str, Sequence[str]], old: str) -> Iterator[str]:
    """The lines of a Markdown table: for each program the new ones, or those of as many columns that were there."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for name in contestants.PROGRAMS:
        kept = [row for row in old.splitlines() if row.startswith(f"| {name} |") and row.count("|") == len(head) + 1]
        yield from new.get(name, kept)


# -- the command ---------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    timing.use_one_processor()
    tools = [tool for tool in options.tools if importlib.util.find_spec(tool)]
    header = timing.machine(PACKAGES)
    print(*(f"{key:9} {value}" for key, value in header.items()), "", sep="\n")
    budget = 0.3 if options.quick else 2.0
    effort = timing.Effort(budget=budget, patience=1.0, clock=time.process_time)
    programs = []
    for name in options.programs or contestants.PROGRAMS:
        programs.append(measure(name, tools, effort))
        print(report(programs[-1], tools), flush=True)
        if options.write:
            write(options.write, header, programs)
    return int(not all(line.target()[1] for program in programs for line in program.lines))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=", ".join(contestants.PROGRAMS))
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument("--tools", nargs="*", default=list(TITLES), choices=list(TITLES))
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures into the tables of a page as well")
    options = parser.parse_args(arguments)
    unknown = set(options.programs) - set(contestants.PROGRAMS)
    if unknown:
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
