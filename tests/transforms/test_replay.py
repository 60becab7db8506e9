"""Elements that are computed again where they are read: which ones, and that programs compute what they did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Atom, Block, For, Function, If, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.expand import expanded
from chainrule.transforms.replay import replayed
from tests.transforms.differences import fresh
from tests.transforms.random_sweeps import random_sweep, results_of
from tests.transforms.sweeps import SWEEPS
from tests.transforms.test_expand import gradient


def arrays(function: Function) -> int:
    return sum(isinstance(n, Alloc) for n in nodes_of(function.body))


@pytest.mark.parametrize(("function", "fewer"), [case[::2] for case in SWEEPS], ids=[f.__name__ for f, *_ in SWEEPS])
@pytest.mark.parametrize("extent", [2, 3, 6])
def test_sweeps(function: Any, fewer: int, extent: int) -> None:
    args = (np.random.default_rng(0).uniform(0.5, 1.5, extent), 3)
    before = expanded(gradient(function, args))
    made = check(replayed(before))
    assert arrays(before) - arrays(made) == fewer
    for x, y in zip(*(evaluate(f, [*fresh(args), 1.0]) for f in (before, made)), strict=True):
        np.testing.assert_array_equal(y, x)


class Program:
    """``k`` is filled by a loop, which a case writes, from `lower` to `before` the end; ``y`` adds it up."""

    def __init__(self, fill: float | None = 0.0) -> None:
        self.build = Builder()
        self.x, self.y, self.k = (Var(h, Array("float64", 1)) for h in "xyk")
        self.n = self.build.dim(self.x, 0)
        self.build.emit(Alloc(self.k, (self.n,), None if fill is None else constant(fill)))

    def loop(self, body: Callable[[Var], None], lower: int = 0, before: int = 0) -> None:
        i = Var("i", INT)
        with self.build.inside(Block()) as block:
            body(i)
        upper = self.build.let("subtract", self.n, integer(before))
        self.build.emit(For(i, integer(lower), upper, integer(1), block))

    def double(self, i: Atom, array: Var | None = None) -> None:
        found = self.build.load(array or self.x, i)
        self.build.store(self.k, [i], self.build.let("add", found, found))

    def use(self, i: Atom) -> None:
        self.build.increment(self.y, [i], self.build.load(self.k, i))

    def function(self) -> Function:
        return Function("f", (self.x, self.y), self.build.block, (), writes=frozenset([self.y]))


def whole(p: Program) -> None:
    p.loop(p.double)
    p.loop(p.use)


def inside(p: Program) -> None:
    p.loop(p.double, 1, 1)
    p.loop(p.use)


def first(p: Program) -> None:
    p.loop(p.double, 1)
    p.build.store(p.k, [integer(0)], constant(3.0))
    p.build.store(p.k, [integer(1)], constant(4.0))
    p.loop(p.use)


def shifted(p: Program) -> None:
    def neighbour(i: Atom) -> None:
        p.build.increment(p.y, [i], p.build.load(p.k, p.build.let("add", i, integer(1))))

    p.loop(p.double)
    p.loop(neighbour, 0, 1)


def overwritten(p: Program) -> None:
    """What the element was computed with is another one now."""
    p.loop(lambda i: p.double(i, p.y))
    p.loop(p.use)


def between(p: Program) -> None:
    p.loop(lambda i: p.double(i, p.y))
    p.build.store(p.y, [integer(0)], constant(7.0))
    p.loop(lambda i: p.build.store(p.y, [i], p.build.load(p.k, i)))


def below(p: Program) -> None:
    """The loop that reads also writes."""

    def both(i: Atom) -> None:
        p.use(i)
        p.build.store(p.k, [integer(0)], constant(2.0))

    p.loop(p.double)
    p.loop(both)


def twice(p: Program) -> None:
    """Two statements of one loop write to the same cells."""

    def both(i: Atom) -> None:
        p.double(i)
        p.build.store(p.k, [p.build.let("subtract", i, integer(1))], constant(2.0))

    p.loop(both, 1)
    p.loop(p.use)


def branched(p: Program) -> None:
    """A branch may have written."""
    p.loop(p.double)
    with p.build.inside(Block()) as then:
        p.build.store(p.k, [integer(0)], constant(2.0))
    p.build.emit(If(p.build.let("less", p.build.load(p.x, integer(0)), constant(9.0)), then, Block()))
    p.loop(p.use)


def later(p: Program) -> None:
    """The next iteration reads what this one has written."""
    outer = Var("t", INT)
    with p.build.inside(Block()) as body:
        p.loop(p.use)
        p.loop(p.double)
    p.build.emit(For(outer, integer(0), integer(2), integer(1), body))


def dear(p: Program) -> None:
    def sine(i: Atom) -> None:
        p.build.store(p.k, [i], p.build.let("sin", p.build.load(p.x, i)))

    p.loop(sine)
    p.loop(p.use)


CASES = [(whole, 1), (inside, 1), (first, 1), (shifted, 1)]
CASES += [(c, 0) for c in (overwritten, between, below, twice, branched, later, dear)]


@pytest.mark.parametrize(("case", "fewer"), CASES, ids=[c.__name__ for c, _ in CASES])
def test_cases(case: Callable[[Program], None], fewer: int) -> None:
    program = Program(0.5)
    case(program)
    function = check(program.function())
    made = check(replayed(function))
    assert arrays(function) - arrays(made) == fewer
    for extent in (2, 3, 7):
        np.testing.assert_array_equal(results_of(made, extent), results_of(function, extent))


def test_cells_that_nobody_has_filled_stay() -> None:
    program = Program(None)
    inside(program)
    function = program.function()
    assert replayed(function) is function


def test_random_sweeps() -> None:
    found = 0
    for seed in range(500):
        function = check(random_sweep(seed))
        made = check(replayed(function))
        if made is not function:
            found += 1
            for extent in (2, 3, 7):
                np.testing.assert_array_equal(results_of(made, extent), results_of(function, extent))
    assert found > 5
