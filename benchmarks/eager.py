"""Eager mode against PyTorch, HIPS autograd and JAX: one table of times, ratios and targets.

    python benchmarks/eager.py [--quick] [--json FILE] [--tools chainrule torch ...]

Each program is written once and runs on every tool's own namespace, on one thread, in float64 unless said
otherwise; tools that are not installed are left out. A target "torch 8" says that PyTorch takes at least 8 ×
our time. Memory is counted in arrays of the size of the argument. Exit code 1: a target was missed.
"""

from __future__ import annotations

import os

os.environ.update({f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "OPENBLAS", "MKL", "NUMBA")})
os.environ.update({"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu"})

import argparse
import gc
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rivals
import timing

Function = Callable[[Any], Any]
SEED = 20
MACHINE = ("numpy", "chainrule", "torch", "autograd", "jax")


@dataclass(frozen=True)
class Case:
    """One line of the table: what each tool does, and by what factor each rival must be slower."""

    name: str
    runs: timing.Contestants
    targets: Mapping[str, float]
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Sizes:
    """Sizes of the issue; the tests run every case with small ones."""

    steps: int = 1000  # two operations each
    elements: tuple[int, ...] = (10, 10**6)
    layers: tuple[int, int, int] = (1000, 100, 10)
    batch: int = 64
    training: int = 500
    jacobian: int = 100
    memory: int = 10**6
    memory_steps: int = 50


@dataclass(frozen=True)
class Line:
    """A measured line: seconds or counts by tool, and whether each target was met."""

    name: str
    figures: Mapping[str, float]
    verdicts: Mapping[str, bool]
    show: Callable[[float], str]


def cases(tools: Mapping[str, Any], sizes: Sizes) -> Iterator[Case]:
    """Yield the timed cases one after the other, so that the arrays of the last one can go."""
    yield chain_case(tools, sizes.steps)
    for n in sizes.elements:
        yield wave_case(tools, n)
    for dtype in (np.float64, np.float32):
        yield training_case(tools, sizes, dtype)
    for mode in ("forward", "reverse"):
        yield jacobian_case(tools, sizes.jacobian, mode)


def chain_case(tools: Mapping[str, Any], steps: int) -> Case:
    runs = {name: bind(tool.scalar_chain(steps), tool.array(0.9)) for name, tool in tools.items()}
    return Case(f"scalar chain, {2 * steps:,} operations", runs, {"torch": 8, "autograd": 20})


def wave_case(tools: Mapping[str, Any], n: int) -> Case:
    """Sum of sin(x)² e^(−x)."""
    x = np.random.default_rng(SEED).uniform(-1, 1, n)

    def program(xp: Any) -> Function:
        return lambda x: xp.sum(xp.sin(x) ** 2 * xp.exp(-x))

    runs = {name: bind(tool.gradient(program(tool.xp)), tool.array(x)) for name, tool in tools.items()}
    targets = {"torch": 4, "autograd": 4} if n <= 1000 else {"torch": 1}
    return Case(f"Σ sin(x)² e^(−x), {n:,} elements", runs, targets)


def training_case(tools: Mapping[str, Any], sizes: Sizes, dtype: Any) -> Case:
    """Train two layers by gradient descent; the weights after the last step must agree."""
    rng = np.random.default_rng(SEED)
    n, hidden, out = sizes.layers
    shapes = [(n, hidden), (hidden,), (hidden, out), (out,)]
    weights = [(rng.standard_normal(s) / np.sqrt(s[0])).astype(dtype) for s in shapes]
    data = [rng.standard_normal((sizes.batch, k)).astype(dtype) for k in (n, out)]

    def run(tool: Any) -> Callable[[], Any]:
        parameters = [tool.array(w) for w in weights]
        return tool.training(parameters, *map(tool.array, data), sizes.training, 0.05)

    name = f"MLP {sizes.batch} × {sizes.layers}, {sizes.training} steps, {np.dtype(dtype)}"
    tolerance = 1e-9 if dtype is np.float64 else 2e-3
    return Case(name, {name: run(tool) for name, tool in tools.items()}, {"torch": 1}, tolerance)


def jacobian_case(tools: Mapping[str, Any], n: int, mode: str) -> Case:
    """The dense Jacobian of two layers tanh(W x), n → n."""
    rng = np.random.default_rng(SEED)
    weights = [rng.standard_normal((n, n)) / np.sqrt(n) for _ in range(2)]
    x = rng.standard_normal(n)

    def run(tool: Any) -> Callable[[], Any]:
        first, second = (constant(tool, w) for w in weights)
        return bind(tool.jacobian(lambda x: tool.xp.tanh(second @ tool.xp.tanh(first @ x)), mode), tool.array(x))

    runs = {name: run(tool) for name, tool in tools.items()}
    return Case(f"Jacobian {n} × {n} of a network, {mode}", runs, {"torch": 1, "autograd": 4})


def constant(tool: Any, x: Any) -> Any:
    array = tool.array(x)
    return array.detach() if hasattr(array, "detach") else array


def bind(f: Function, x: Any) -> Callable[[], Any]:
    return lambda: f(x)


def timed(case: Case, effort: timing.Effort) -> Line:
    timing.check_equal(case.runs, case.tolerance)
    seconds = timing.medians(case.runs, effort)
    verdicts = {
        f"{rival} {factor:g}": seconds[rival] >= factor * seconds["chainrule"]
        for rival, factor in case.targets.items()
        if {"chainrule", rival} <= seconds.keys()
    }
    return Line(case.name, seconds, verdicts, timing.show_time)


def memory_lines(tools: Mapping[str, Any], sizes: Sizes) -> Iterator[Line]:
    """Count what is kept for the way back, and what remains after it."""
    x, a = np.random.default_rng(SEED).uniform(0.5, 1, (2, sizes.memory))
    n, steps = sizes.memory, sizes.memory_steps
    operations = 4 * steps
    chains = {name: tool.kept(waves(tool.xp, steps), tool.array(x)) for name, tool in tools.items()}
    kept = {name: size / x.nbytes / operations for name, size in chains.items()}
    yield limited(f"arrays kept per operation, {operations} of {n:,} elements", kept, 2)
    captured = {
        name: tool.kept(products(constant(tool, a), steps), tool.array(x)) / x.nbytes for name, tool in tools.items()
    }
    yield limited(f"arrays kept of one constant used {steps} times", captured, 1.01)
    if "chainrule" in tools:
        gradient = tools["chainrule"].gradient(lambda x: np.sum(waves(np, steps)(x)))
        left, cycles = left_over(bind(gradient, x))
        yield limited("arrays left after the call", {"chainrule": left / x.nbytes}, 0.01)
        yield limited("objects left in reference cycles", {"chainrule": cycles}, 0)


def waves(xp: Any, steps: int) -> Function:
    def f(x: Any) -> Any:
        y = x
        for _ in range(steps):
            y = xp.sin(y) * x + y / 2
        return y

    return f


def products(a: Any, steps: int) -> Function:
    def f(x: Any) -> Any:
        for _ in range(steps):
            x = x * a
        return x

    return f


def limited(name: str, figures: Mapping[str, float], limit: float) -> Line:
    verdicts = {f"≤ {limit:g}": figures["chainrule"] <= limit} if "chainrule" in figures else {}
    return Line(name, figures, verdicts, "{:.2f}".format)


def left_over(run: Callable[[], Any]) -> tuple[int, int]:
    """Return the bytes of arrays alive after a call, its result dropped, and the objects only gc can free."""
    run()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        run()
        return rivals.array_bytes(), gc.collect()
    finally:
        tracemalloc.stop()
        gc.enable()


def report(lines: Sequence[Line], tools: Sequence[str]) -> str:
    """Lay the lines out as one table; beside each rival's figure, how many times ours it is."""
    heads = [tool if tool == "chainrule" else f"{tool} (×)" for tool in tools]
    rows = [["case", *heads, "target", ""]]
    for line in lines:
        met = "" if not line.verdicts else "met" if all(line.verdicts.values()) else "NOT MET"
        rows.append([line.name, *(cell(line, tool) for tool in tools), ", ".join(line.verdicts), met])
    return timing.table(rows)


def cell(line: Line, tool: str) -> str:
    if tool not in line.figures:
        return "–"
    figure, ours = line.figures[tool], line.figures.get("chainrule")
    if not ours or tool == "chainrule":
        return line.show(figure)
    ratio = figure / ours
    return f"{line.show(figure)} ({ratio:.{0 if ratio >= 10 else 1 if ratio >= 1 else 2}f})"


def measure(tools: Mapping[str, Any], sizes: Sizes, effort: timing.Effort) -> Iterator[Line]:
    for case in cases(tools, sizes):
        yield timed(case, effort)
    yield from memory_lines(tools, sizes)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    timing.use_one_processor()
    tools = rivals.installed(options.tools)
    missing = [name for name in options.tools if name not in tools]
    sizes, effort = (Sizes(training=50), timing.Effort(0.5)) if options.quick else (Sizes(), timing.Effort())
    header = timing.machine(MACHINE) | ({"left out": ", ".join(missing)} if missing else {})
    print(*(f"{key:9} {value}" for key, value in header.items()), sep="\n")
    lines = []
    for line in measure(tools, sizes, effort):
        lines.append(line)
        print(f"  {line.name}", file=sys.stderr)
    print(report(lines, list(tools)))
    if options.json:
        write(options.json, header, lines)
    return int(not all(met for line in lines for met in line.verdicts.values()))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer samples and training steps")
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file as well")
    parser.add_argument("--tools", nargs="+", default=list(rivals.TOOLS), choices=list(rivals.TOOLS))
    return parser.parse_args(arguments)


def write(path: str, header: Mapping[str, str], lines: Sequence[Line]) -> None:
    content = [{"case": line.name, "figures": line.figures, "met": line.verdicts} for line in lines]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"machine": header, "lines": content}, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
