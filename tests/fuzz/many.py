"""``python -m tests.fuzz.many 2000``: make programs, compare every road, print what disagrees, made small.

``--first`` is the seed to begin with, ``--numba`` runs every n-th program on Numba too, ``--jobs`` processes at a time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections import Counter
from typing import NamedTuple

from tests.fuzz.checks import ROADS, Disagreement, check
from tests.fuzz.programs import make
from tests.fuzz.shrink import smallest

__all__ = ["Task", "main", "run"]


class Task(NamedTuple):
    seed: int
    size: int
    numba: tuple[str, ...]


def run(task: Task) -> tuple[Task, str]:
    """What became of one program; a disagreement comes with the smallest program that shows it."""
    program = make(task.seed, task.size)
    try:
        return task, check(program, numba=task.numba)
    except Disagreement as found:
        try:
            text, message = smallest(program, found, task.numba)
        except Disagreement as other:  # it disagrees in other ways as well
            text, message = program.text, str(other)
        return task, f"DISAGREES: {message}\n{text}"


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz.many", description=__doc__)
    options.add_argument("programs", type=int)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--size", type=int, default=8)
    options.add_argument("--numba", type=int, default=50)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    chosen = options.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.programs)
    tasks = [Task(seed, chosen.size, () if seed % chosen.numba else ROADS) for seed in seeds]
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    with multiprocessing.get_context("spawn").Pool(chosen.jobs, maxtasksperchild=100) as pool:
        for done, (task, outcome) in enumerate(pool.imap_unordered(run, tasks), 1):
            kind, _, rest = outcome.partition(":")
            outcomes[kind] += 1
            if kind == "refused":
                reasons[" ".join(w for w in rest.split("\n")[0].split() if "'" not in w)] += 1
            if kind == "DISAGREES":
                print(f"\nseed {task.seed}, size {task.size}: {outcome}\n", flush=True)
            if done % 100 == 0:
                print(f"{done} programs: {dict(outcomes)}", flush=True)
    for reason, count in reasons.most_common():
        print(f"{count:5} refused: {reason}")
    print(dict(outcomes))
    return 1 if outcomes["DISAGREES"] else 0


if __name__ == "__main__":
    sys.exit(main())
