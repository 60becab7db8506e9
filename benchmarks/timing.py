"""Measure rivals side by side: what every benchmark here shares.

Comes in: for one task, a callable without arguments for each tool. Goes out: seconds per call, the median of
many samples after a warm-up. Tools take turns in one process, so that a busy moment of the machine hits all
of them; results are compared before anything is timed; everything runs on one processor.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from typing import Any

import numpy as np

Contestants = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds for each tool; fewest and most samples; least seconds of a sample; by what clock.

    What takes longer than `patience` in one call is measured once.
    """

    budget: float = 4.0
    fewest: int = 3
    most: int = 101
    sample: float = 2e-3
    patience: float = math.inf
    clock: Callable[[], float] = time.perf_counter


@dataclass(frozen=True)
class Seconds:
    """The median of some samples, and the median of their distances from it, relative."""

    median: float
    spread: float = 0.0


def use_one_processor() -> None:
    """Pin the process to one processor, whatever thread pools the rivals keep (Linux only)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def check_equal(contestants: Contestants, tolerance: float) -> None:
    """Run every contestant once; raise `AssertionError` unless all give the same arrays."""
    results = {name: run() for name, run in contestants.items()}
    first, *others = results
    for name in others:
        for expected, actual in zip(_arrays(results[first]), _arrays(results[name]), strict=True):
            np.testing.assert_allclose(actual, expected, tolerance, tolerance, err_msg=f"{name} against {first}")


def _arrays(result: Any) -> list[np.ndarray]:
    if hasattr(result, "tocsr"):
        return [result.data, result.indices, result.indptr]
    parts = result if isinstance(result, tuple | list) else [result]
    return [part.detach().numpy() if hasattr(part, "detach") else np.asarray(part) for part in parts]


def medians(contestants: Contestants, effort: Effort) -> dict[str, float]:
    """Return seconds per call for each contestant, which take turns."""
    return {name: statistics.median(values) for name, values in samples(contestants, effort).items()}


def spreads(contestants: Contestants, effort: Effort) -> dict[str, Seconds]:
    """Return medians, and how far the samples lie around them."""
    found = {}
    for name, values in samples(contestants, effort).items():
        middle = statistics.median(values)
        found[name] = Seconds(middle, statistics.median(abs(value - middle) for value in values) / middle)
    return found


def samples(contestants: Contestants, effort: Effort) -> dict[str, list[float]]:
    """Return many measurements for each contestant, in seconds per call; they take turns."""
    seconds: dict[str, list[float]] = {}
    loops = {}
    for name, run in contestants.items():
        once = _seconds(run, 1, effort)
        seconds[name] = [once] if once > effort.patience else []
        loops[name] = 1 if seconds[name] else _loops(run, effort)
    spent = {name: math.inf if values else 0.0 for name, values in seconds.items()}
    gc.collect()
    gc.freeze()  # so that collecting the garbage of one turn costs little before the next
    for turn in range(effort.most):
        for name in contestants:
            if spent[name] < (effort.budget if turn >= effort.fewest else math.inf):
                gc.collect()
                passed = _seconds(contestants[name], loops[name], effort)
                seconds[name].append(passed / loops[name])
                spent[name] += passed
    gc.unfreeze()
    return seconds


def _loops(run: Callable[[], Any], effort: Effort) -> int:
    """Return how many calls make a sample long enough; warms up on the way."""
    loops = 1
    while _seconds(run, loops, effort) < effort.sample:
        loops *= 2
    return loops


def _seconds(run: Callable[[], Any], loops: int, effort: Effort) -> float:
    start = effort.clock()
    for _ in range(loops):
        run()
    return effort.clock() - start


def machine(packages: Iterable[str]) -> dict[str, str]:
    """Describe what the figures were measured on."""
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}, one thread",
        "software": f"Python {platform.python_version()}, {versions}",
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            facts = dict(line.split(":", 1) for line in lines if ":" in line)
        name, flags = (next(v for k, v in facts.items() if k.startswith(key)) for key in ("model name", "flags"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
    vectors = "AVX-512" if "avx512f" in flags.split() else "AVX2" if "avx2" in flags.split() else "no AVX2"
    return f"{name.strip()} ({vectors})"


def show_time(seconds: float) -> str:
    """Write a duration with three digits."""
    unit, scale = ("s", 1.0) if seconds >= 1 else ("ms", 1e-3) if seconds >= 1e-3 else ("µs", 1e-6)
    digits = max(0, 2 - math.floor(math.log10(seconds / scale)))
    return f"{seconds / scale:.{digits}f} {unit}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Align rows of cells, the first row above a line, the first column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
