"""Nests that run side by side compute what they did, arrays included: at random, and where that was once not so."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Carry, Const, For, Function, If, Merge, Slice, Var, View
from chainrule.ir.walk import nodes_of
from chainrule.transforms.interchange import interchanged
from tests.transforms.differences import fresh
from tests.transforms.reading import program_of

_RNG = np.random.default_rng(5)
_SIZE = 10
_WHOLE = Slice(None, None, None)


def run(function: Function, args: Sequence[Any]) -> list[Any]:
    """The results, and the arrays afterwards."""
    given = fresh(args)
    return [*evaluate(function, given), *(a for a in given if isinstance(a, np.ndarray))]


def compare(function: Function, args: Sequence[Any], strips: Sequence[int] = (1, 3, 256)) -> None:
    expected = run(function, args)
    for strip in strips:
        for x, y in zip(expected, run(check(interchanged(function, strip, many=1)), args), strict=True):
            np.testing.assert_allclose(y, x, rtol=1e-8, atol=1e-8)


# -- what once went wrong -----------------------------------------------------------------------------


def seen_later(a: Any) -> Any:
    """What the last iteration has left in the scratch is a result, by another name."""
    total, w = 0.0, np.zeros((a.shape[0], 2))
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            w[i, 0] = a[i, j]
            w[i, 1] = a[i, j] * 2.0
        for i in range(a.shape[0]):
            total += w[i, 0] * w[a.shape[0] - 1 - i, 1]
    return total, w.T


def growing(a: Any) -> Any:
    """Each array is longer than the one before."""
    total = 0.0
    for j in range(a.shape[1]):
        for k in range(a.shape[0]):
            t = np.zeros(k + 1)
            for i in range(k + 1):
                t[i] += a[i, j] * a[k, j]
            for i in range(k + 1):
                total += t[i] * t[k - i]
    return total


def first_found(a: Any) -> Any:
    """A number that has no value before the loop that assigns it."""
    total = 0.0
    for j in range(a.shape[1]):
        for k in range(a.shape[0]):
            t = a[k, j] * a[0, j]
            total += t
        total += t * 3.0
    return total


def at_the_end(a: Any) -> Any:
    """A cell that does not exist where no iteration adds to it."""
    y = np.zeros(a.shape[0])
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            at = i + 1
            if at + 1e-9 * a[i, j] < a.shape[0] - 0.5:
                y[at] += a[i, j]
    return np.sum(y * y)


@pytest.mark.parametrize("program", [seen_later, growing, first_found, at_the_end], ids=lambda f: f.__name__)
def test_programs(program: Any) -> None:
    args = (_RNG.normal(size=(4, 7)),)
    compare(program_of(program, args), args)


def nest(params: Sequence[Var], fill: Any, carries: Any = lambda *_: []) -> Function:
    """The program of a loop over j below 7, whose body `fill` writes."""
    build, j = Builder(), Var("j", INT)
    found = fill(build, j)
    made = carries(build, found)
    loop = For(j, integer(0), integer(7), integer(1), build.block, made)
    return Function("f", tuple(params), Block([loop]), tuple(c.out for c in made), writes=frozenset(params[:1]))


def test_rows_that_are_not_there_are_not_fetched() -> None:
    """The branch is never taken: the array that it reads has no rows."""
    a, b, n = Var("a", Array("float64", 1)), Var("b", Array("float64", 2)), Var("n", INT)

    def fill(build: Builder, j: Var) -> None:
        test, t = build.let("greater", n, integer(5)), build.load(a, j)
        outer, inner, k, m = Builder(), Builder(), Var("k", INT), Var("m", INT)
        s, c, after, out = (Var(h, FLOAT) for h in "scso")
        recurring = Carry(c, s, inner.let("multiply", inner.let("add", inner.load(b, j, k), t), c), after)
        outer.emit(For(k, integer(0), n, integer(1), inner.block, [recurring]))
        with build.inside(Block()) as then:
            build.emit(For(m, integer(0), n, integer(1), outer.block, [Carry(s, t, after, out)]))
            build.store(a, [j], out)
        build.emit(If(test, then, Block()))

    function = check(nest([a, b, n], fill))
    assert interchanged(function, many=1) is not function
    compare(function, [_RNG.normal(size=7), np.zeros((0, 9)), 3])


def test_a_carry_that_both_ways_hand_on() -> None:
    """It is the same for all iterations, though each goes its way."""
    a, b, n = Var("a", Array("float64", 1)), Var("b", Array("float64", 2)), Var("n", INT)
    param, out, end = (Var("s", FLOAT) for _ in range(3))

    def fill(build: Builder, j: Var) -> None:
        k, inner = Var("k", INT), Builder()
        inner.increment(a, [j], inner.load(b, k, j))
        build.emit(For(k, integer(0), n, integer(1), inner.block))
        build.emit(If(build.let("less", j, integer(3)), Block(), Block(), [Merge(out, param, param)]))

    function = check(nest([a, b, n], fill, lambda *_: [Carry(param, constant(0.5), out, end)]))
    compare(function, [_RNG.normal(size=7), _RNG.normal(size=(3, 7)), 3])


# -- at random ----------------------------------------------------------------------------------------


class Nests:
    """Writes loops over j; every integer is below `_SIZE`, the extent of the arguments, so that any is an index."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.build, self.n, self.j = Builder(), Var("n", INT), Var("j", INT)
        arrays = [Var(h, Array("float64", d)) for h, d in zip("abwpqruv", (2, 2, 1, 1, 2, 2, 1, 2), strict=True)]
        self.read, self.mine, self.sums = arrays[:3], [*zip(arrays[3:6], (0, 0, 1), strict=True)], arrays[6:]
        self.at, self.flags = Var("at", Array("int64", 1)), Var("flags", Array("bool", 1))
        self.params = (*arrays, self.at, self.flags, self.n)
        self.works: list[Var] = []  # made before the loops
        self.scratch: list[Var] = []  # vectors that have been written
        self.ranges: list[Var] = []  # the indices of loops below n
        self.values: list[Atom] = [constant(0.5)]
        self.numbers: list[Atom] = [integer(0), integer(1)]

    def often(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, items: Sequence[Any]) -> Any:
        """One of `items`, mostly one of the last."""
        k = -int(self.rng.geometric(0.35)) if self.often(0.7) else int(self.rng.integers(len(items)))
        return items[max(k, -len(items))]

    @contextlib.contextmanager
    def scope(self) -> Iterator[Block]:
        saved = self.values, self.numbers, self.scratch, self.ranges
        self.values, self.numbers, self.scratch, self.ranges = (list(x) for x in saved)  # type: ignore[assignment]
        with self.build.inside(Block()) as block:
            yield block
        self.values, self.numbers, self.scratch, self.ranges = saved

    def index(self) -> Atom:
        return self.j if self.often(0.4) else self.pick(self.numbers)

    def touch(self, array: Var, index: Sequence[Atom], load: float = 0.4) -> None:
        kind = self.rng.random()
        if kind < load:
            self.values.append(self.build.load(array, *index))
        elif kind < load + 0.3:
            self.build.store(array, index, self.pick(self.values))
        else:
            self.build.increment(array, index, self.pick(self.values))

    def statement(self) -> None:
        kind, build = self.rng.random(), self.build
        if kind < 0.3:
            array = self.pick(self.read)
            self.values.append(build.load(array, *(self.index() for _ in range(array.type.ndim))))
        elif kind < 0.36:
            self.numbers.append(build.load(self.at, self.index()))
        elif kind < 0.4:
            self.numbers.append(build.let(self.pick(["minimum", "maximum"]), self.index(), self.index()))
        elif kind < 0.6:
            op = self.pick(["add", "multiply", "subtract"])
            self.values.append(build.let(op, self.pick(self.values), self.pick(self.values)))
        elif kind < 0.7:
            array, axis = self.mine[int(self.rng.integers(3))]
            self.touch(array, [self.j if k == axis else self.index() for k in range(array.type.ndim)])
        elif kind < 0.76 or not self.scratch:
            array = self.pick(self.sums)
            build.increment(array, [self.index() for _ in range(array.type.ndim)], self.pick(self.values))
        elif kind < 0.8:
            row = build.view(self.read[0], "index", [self.index(), _WHOLE])
            self.values.append(build.load(row, self.index()))
        else:
            self.touch(self.pick(self.scratch), [self.pick([integer(-1), integer(0), *self.ranges])], 0.5)

    def branch(self, depth: int) -> None:
        tests = [self.build.load(self.flags, self.index()), self.build.let("less", self.index(), integer(2))]
        sides, ends = [], []
        for _ in range(2):
            with self.scope() as side:
                for _ in range(int(self.rng.integers(3))):
                    self.item(depth)
                ends.append(self.pick(self.values))
            sides.append(side)
        self.values.append(Var("t", FLOAT))
        self.build.emit(If(self.pick(tests), *sides, [Merge(self.values[-1], *ends)]))  # type: ignore[arg-type]

    def loop(self, depth: int, filled: Var | None = None) -> None:
        """A loop in the loop, which may be empty, carries numbers and integers, and may fill a vector."""
        k, (lower, upper, step) = Var("k", INT), (integer(0), self.n, 1)
        if filled is None and self.often(0.4):
            inner = self.build.let("subtract", self.n, integer(1))
            bounds = [(integer(1), self.n, 1), (inner, integer(-1), -1), (integer(0), self.pick(self.numbers), 1)]
            lower, upper, step = self.pick(bounds)
        types = [FLOAT] * int(self.rng.integers(3)) + [INT] * self.often(0.2)
        params, outs = ([Var("c", t) for t in types] for _ in range(2))
        inits = [self.pick(self.values if t is FLOAT else self.numbers) for t in types]
        with self.scope() as body:
            for p in params:
                (self.values if p.type is FLOAT else self.numbers).append(p)
            self.numbers += [k, k]
            self.ranges += [k] * (upper is self.n)
            if filled is not None:
                self.statement()
                self.build.store(filled, [k], self.pick(self.values))
            for _ in range(int(self.rng.integers(1, 5))):
                self.item(depth + 1)
            nexts = [self.pick(self.values if t is FLOAT else self.numbers) for t in types]
            sums = [self.build.let("add", p, x) if x.type is FLOAT else x for p, x in zip(params, nexts, strict=True)]
            nexts = sums if self.often(0.4) else nexts
        carries = [Carry(*c) for c in zip(params, inits, nexts, outs, strict=True)]
        self.build.emit(For(k, lower, upper, integer(step), body, carries))
        for o in outs:
            (self.values if o.type is FLOAT else self.numbers).append(o)

    def room(self, depth: int) -> None:
        """A vector that each iteration has of its own: made in it and filled, or written there before it is read."""
        work: Var = self.pick([*self.works, Var("t", Array("float64", 1))])
        fill = constant(0.25) if self.often(0.5) else None
        if work not in self.works:
            self.build.emit(Alloc(work, (self.n,), fill))
        if work in self.works or fill is None:
            self.loop(depth, work)
        self.scratch.append(work)

    def item(self, depth: int) -> None:
        kind = self.rng.random()
        if kind < 0.65 or depth > 2:
            self.statement()
        else:
            (self.branch if kind < 0.8 else self.loop if kind < 0.9 else self.room)(depth + (kind < 0.8))

    def nest(self) -> None:
        self.j, after = Var("j", INT), Var("total", FLOAT)
        total, step = Var("total", FLOAT), -1 if self.often(0.3) else 1
        with self.scope() as body:
            self.numbers += [self.j, self.j]
            for _ in range(int(self.rng.integers(1, 4))):
                self.item(0)
            self.loop(0)
            self.item(0)
            end = self.build.let("add", total, self.pick(self.values))
        bounds = (integer(1), integer(7)) if step > 0 else (integer(6), integer(-1))
        self.build.emit(For(self.j, *bounds, integer(step), body, [Carry(total, self.pick(self.values), end, after)]))
        self.values.append(after)

    def function(self) -> Function:
        for _ in range(int(self.rng.integers(3))):
            self.works.append(self.build.alloc("float64", [self.n], 0.75, "work"))
        again, body = Var("again", INT), Block()
        with self.build.inside(body) if self.often(0.3) else self.scope() as around:
            for _ in range(int(self.rng.integers(1, 3))):
                self.nest()
                if self.works and self.often(0.2):
                    self.build.increment(self.sums[0], [integer(0)], self.build.load(self.works[0], integer(0)))
        self.build.emit(For(again, integer(0), integer(2), integer(1), around))
        results: tuple[Atom, ...] = ()
        if self.works and self.often(0.2):
            results = (self.build.view(self.works[0], "transpose", [integer(0)]),)
        return Function("f", self.params, self.build.block, results, writes=frozenset(self.params[3:8]))


def arguments(function: Function, seed: int, n: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    made: list[Any] = []
    for p in function.params[:-1]:
        values = rng.normal(size=(_SIZE,) * p.type.ndim) * 0.6  # type: ignore[union-attr]
        made.append({"float64": values, "int64": (abs(values) * 2).astype(int), "bool": values > 0}[p.type.dtype])
    return [*made, n]


def features(function: Function) -> Iterator[str]:
    """What a transformed program has."""
    nodes = nodes_of(function.body)
    strips = [n for n in nodes if isinstance(n, For) and n.index.hint == "strip"]
    yield from ["strips"] * bool(strips)
    yield from {n.out.hint for n in nodes if isinstance(n, View) and n.kind == "reshape"}
    for inner in (m for n in strips for m in n.body):
        yield from {"branches with loops"} if isinstance(inner, If) and any(map(_is_loop, nodes_of(inner.then))) else ()


def _is_loop(node: Any) -> bool:
    return isinstance(node, For) and not isinstance(node.upper, Const)


def test_random_nests() -> None:
    found: Counter[str] = Counter()
    for seed in range(250):
        function = check(Nests(seed).function())
        found.update(set(features(interchanged(function, many=1))))
        for n in (1, 4):
            with np.errstate(all="ignore"):
                compare(function, arguments(function, seed, n), (2, 256))
    assert found["strips"] > 150
    assert found["branches with loops"] > 3
    assert min(found["t"], found["work"]) > 3  # tables of arrays made in the loop, and before it
    assert found["a"] + found["b"] > 3  # tiles
