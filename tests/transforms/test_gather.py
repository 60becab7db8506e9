"""Loops that add to the same cells: which become one, and that they add the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Atom, Block, For, Function, If, Incr, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.expand import expanded
from chainrule.transforms.gather import gathered
from chainrule.transforms.replay import replayed
from tests.programs import PROGRAMS
from tests.test_native_programs import REFUSED
from tests.transforms.differences import fresh
from tests.transforms.random_sweeps import random_sweep, results_of
from tests.transforms.reading import program_of
from tests.transforms.sweeps import SWEEPS
from tests.transforms.test_expand import gradient


def additions(function: Function) -> int:
    return sum(isinstance(n, Incr) for n in nodes_of(function.body))


class Program:
    """Writes loops over the elements of `x` and `y`, of which `x` is returned."""

    def __init__(self) -> None:
        self.build = Builder()
        self.x, self.y, self.z = (Var(h, Array("float64", 1)) for h in "xyz")
        self.n = self.build.dim(self.x, 0)
        self.build.emit(Alloc(self.z, (self.n,), constant(1.5)))

    def loop(self, body: Callable[[Var], None], lower: int = 0, step: int = 1) -> None:
        i = Var("i", INT)
        with self.build.inside(Block()) as block:
            body(i)
        if step > 0:
            self.build.emit(For(i, integer(lower), self.n, integer(1), block))
        else:
            self.build.emit(For(i, self.build.let("subtract", self.n, integer(1)), integer(-1), integer(-1), block))

    def add(self, target: Var, source: Var, i: Atom, shift: int = 0) -> None:
        found = self.build.load(source, i)
        self.build.increment(target, [self.build.let("subtract", i, integer(shift))], self.build.let("sin", found))

    def function(self) -> Function:
        writes = frozenset([self.x, self.y])
        return Function("f", (self.x, self.y), self.build.block, (), writes=writes)


def plain(p: Program) -> None:
    p.loop(lambda i: p.add(p.x, p.y, i))
    p.loop(lambda i: p.add(p.x, p.z, i))


def three(p: Program) -> None:
    """Others in between, and what they have nothing to do with."""
    p.loop(lambda i: p.add(p.x, p.y, i))
    p.loop(lambda i: p.add(p.z, p.y, i), 1)
    p.loop(lambda i: p.add(p.x, p.z, i))
    p.build.store(p.z, [integer(0)], constant(2.0))
    p.loop(lambda i: p.add(p.x, p.z, i))


def shifted(p: Program) -> None:
    p.loop(lambda i: p.add(p.x, p.y, i, 1), 1)
    p.loop(lambda i: p.add(p.x, p.z, i, 1), 1)


def neighbours(p: Program) -> None:
    p.loop(lambda i: p.add(p.x, p.y, i, 1), 1)
    p.loop(lambda i: p.add(p.x, p.z, i), 1)


def other_ranges(p: Program) -> None:
    p.loop(lambda i: p.add(p.x, p.y, i), 1)
    p.loop(lambda i: p.add(p.x, p.z, i))


def downwards(p: Program) -> None:
    p.loop(lambda i: p.add(p.x, p.y, i), step=-1)
    p.loop(lambda i: p.add(p.x, p.z, i), step=-1)


def overwritten(p: Program) -> None:
    """What the first loop reads is written in between."""
    p.loop(lambda i: p.add(p.x, p.y, i))
    p.build.store(p.y, [integer(0)], constant(2.0))
    p.loop(lambda i: p.add(p.x, p.z, i))


def seen(p: Program) -> None:
    """What the first loop writes is read in between."""
    p.loop(lambda i: p.add(p.x, p.y, i))
    p.build.store(p.z, [integer(0)], p.build.load(p.x, integer(1)))
    p.loop(lambda i: p.add(p.x, p.z, i))


def branched(p: Program) -> None:
    p.loop(lambda i: p.add(p.x, p.y, i))
    with p.build.inside(Block()) as then:
        p.build.store(p.x, [integer(0)], constant(2.0))
    p.build.emit(If(p.build.let("less", p.build.load(p.z, integer(0)), constant(9.0)), then, Block()))
    p.loop(lambda i: p.add(p.x, p.z, i))


def crossing(p: Program) -> None:
    """The second loop reads at other indices what the first one writes."""

    def both(i: Atom) -> None:
        p.add(p.x, p.y, i)
        p.add(p.z, p.y, i)

    def behind(i: Atom) -> None:
        p.build.increment(p.x, [i], p.build.load(p.z, p.build.let("subtract", p.n, p.build.let("add", i, integer(1)))))

    p.loop(both)
    p.loop(behind)


def looked_at(p: Program) -> None:
    """The first loop looks at what it has added."""

    def both(i: Atom) -> None:
        p.add(p.x, p.y, i)
        p.build.store(p.z, [i], p.build.load(p.x, i))

    p.loop(both)
    p.loop(lambda i: p.add(p.x, p.y, i))


CASES: list[tuple[Any, int]] = [(plain, 1), (three, 1), (shifted, 1)]
CASES += [(c, 0) for c in (neighbours, other_ranges, downwards, overwritten, seen, branched, crossing, looked_at)]


@pytest.mark.parametrize(("case", "fewer"), CASES, ids=[c.__name__ for c, _ in CASES])
def test_cases(case: Callable[[Program], None], fewer: int) -> None:
    program = Program()
    case(program)
    function = check(program.function())
    made = check(gathered(function))
    assert additions(function) - additions(made) == fewer
    for extent in (2, 3, 7):
        results = []
        for f in (function, made):
            rng = np.random.default_rng(extent)
            arrays = [rng.normal(size=extent) for _ in "xy"]
            evaluate(f, arrays)
            results.append(np.concatenate(arrays))
        np.testing.assert_allclose(results[0], results[1], rtol=1e-13)


def test_runge_kutta() -> None:
    """The way back adds to the argument's cotangent four times."""
    args = (np.random.default_rng(0).uniform(0.5, 1.5, 6), 3)
    before = replayed(expanded(gradient(SWEEPS[0][0], args)))
    made = check(gathered(before))
    assert additions(before) - additions(made) == 3
    for x, y in zip(*(evaluate(f, [*fresh(args), 1.0]) for f in (before, made)), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-13)


def test_random_sweeps() -> None:
    found = 0
    for seed in range(1500):
        function = check(random_sweep(seed, 0.8))
        made = check(gathered(function))
        if made is not function:
            found += 1
            for extent in (2, 3, 7):
                np.testing.assert_allclose(results_of(made, extent), results_of(function, extent), rtol=1e-9)
    assert found > 10


def test_the_programs_of_the_zoo() -> None:
    """After `expanded` and `replayed`, which are for the same programs."""
    for p in PROGRAMS:
        args = p.inputs()
        if p.name in REFUSED or not all(type(x) in (float, int, np.ndarray) for x in args):
            continue
        program = program_of(p.function, args)
        if len(program.params) != len(args):  # it reads arrays of the enclosing program
            continue
        cotangents = [np.ones_like(r)[()] for r in evaluate(program, fresh(args)) if np.asarray(r).dtype.kind in "fc"]
        for before, given in ((program, args), (gradient(p.function, args), [*args, *cotangents])):
            made = check(gathered(check(replayed(check(expanded(before))))))
            if made is not before:
                for x, y in zip(*(evaluate(f, fresh(given)) for f in (before, made)), strict=True):
                    np.testing.assert_allclose(y, x, rtol=1e-11, atol=1e-13)
