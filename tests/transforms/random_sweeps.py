"""Random sweeps: loops and statements that write cells of short arrays and read them, and copies read on the way back.

What they do to an array may begin a version of it or go on with one, fill all of it or a part, be read again in the
next iteration or after the loop; the ranges of the loops overlap at random.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Carry, For, Function, If, Store, Var

__all__ = ["random_sweep", "results_of"]

_STEPS = 3


class _Sweep:
    def __init__(self, seed: int, adding: float) -> None:
        self.adding = adding
        self.rng = np.random.default_rng(seed)
        self.build = Builder()
        self.x, self.y = (Var(h, Array("float64", 1)) for h in "xy")
        self.short = [Var(h, Array("float64", 1)) for h in "zkw"[: int(self.rng.integers(1, 4))]]
        self.kept: list[tuple[Var, int, int]] = []  # and where its columns begin and end, before the last
        self.t = Var("t", INT)
        self.ends: list[Atom] = []  # the extent of the arrays, less 0, 1 and 2

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def number(self) -> Atom:
        return constant(round(float(self.rng.normal()), 1))

    def value(self, i: Atom | None, lower: int, before: int) -> Atom:
        """A number, of cells about the index `i` in a loop from `lower` to `before` the end."""
        found = self.load(i, lower, before)
        for _ in range(int(self.rng.integers(2))):
            other = self.load(i, lower, before) if self.chance(0.6) else self.number()
            found = self.build.let(self.pick(["add", "multiply"]), found, other)
        return found

    def load(self, i: Atom | None, lower: int, before: int) -> Atom:
        array = self.x if self.chance(self.adding) else self.pick([self.x, self.y, *self.short, *self.short])
        return self.build.load(array, self.cell(i, lower, before))

    def cell(self, i: Atom | None, lower: int, before: int) -> Atom:
        if i is None or self.chance(0.1):
            ends: list[Atom] = [integer(0), integer(1), self.ends[1]]
            return ends[int(self.rng.integers(3))]
        return self.build.let("add", i, integer(int(self.rng.integers(-lower, before + 1))))

    def write(self, i: Atom | None, lower: int, before: int) -> None:
        array, value = self.pick([self.y, *self.short, *self.short]), self.value(i, lower, before)
        if self.chance(self.adding):
            self.build.increment(array, [self.cell(i, lower, before)], value)
        else:
            self.build.store(array, [self.cell(i, lower, before)], value)

    def loop(self, certain: bool = True) -> None:
        i, lower, before = Var("i", INT), int(self.pick([0, 0, 1, 2])), int(self.pick([0, 0, 1, 2]))
        with self.build.inside(Block()) as body:
            for _ in range(1 + int(self.chance(0.2))):
                self.write(i, lower, before)
            if certain and self.chance(0.3):
                room = Var("kept", Array("float64", 2))
                found = self.build.load(self.pick(self.short), self.cell(i, lower, before))
                self.build.emit(Store(room, (self.t, i), found))
                self.kept.append((room, lower, before))
        if self.chance(0.8):
            self.build.emit(For(i, integer(lower), self.ends[before], integer(1), body))
        else:
            first, last = self.build.let("subtract", self.ends[before], integer(1)), integer(lower - 1)
            self.build.emit(For(i, first, last, integer(-1), body))

    def statement(self) -> None:
        if self.chance(0.2):
            self.write(None, 0, 0)
        elif self.chance(0.1):
            with self.build.inside(Block()) as then:
                self.loop(False) if self.chance(0.7) else self.write(None, 0, 0)
            self.build.emit(If(self.build.let("less", self.t, integer(2)), then, Block()))
        else:
            self.loop()

    def back(self, room: Var, lower: int, before: int) -> None:
        """Read what was kept."""
        t, j, total, out = Var("t", INT), Var("j", INT), Var("s", FLOAT), Var("s", FLOAT)
        with self.build.inside(Block()) as rows:
            with self.build.inside(Block()) as cells:
                found = self.build.let("multiply", self.build.load(room, t, j), self.number())
                after = self.build.let("add", total, found)
            carry = Carry(total, constant(0.0), after, out)
            self.build.emit(For(j, integer(lower), self.ends[before], integer(1), cells, [carry]))
            self.build.increment(self.y, [integer(0)], out)
        self.build.emit(For(t, integer(_STEPS - 1), integer(-1), integer(-1), rows))

    def function(self) -> Function:
        n = self.build.dim(self.x, 0)
        self.ends = [n, *(self.build.let("subtract", n, integer(k)) for k in (1, 2))]
        for array in self.short:
            self.build.emit(Alloc(array, (n,), constant(self.pick([0.0, 2.0]))))
        with self.build.inside(Block()) as body:
            for _ in range(int(self.rng.integers(2, 6))):
                self.statement()
        kept = [Alloc(room, (integer(_STEPS), n), kept=True) for room, _, _ in self.kept]
        for node in (*kept, For(self.t, integer(0), integer(_STEPS), integer(1), body)):
            self.build.emit(node)
        for room in self.kept:
            self.back(*room)
        if self.chance(0.2):
            self.write(None, 0, 0)
        return Function("f", (self.x, self.y), self.build.block, (), writes=frozenset([self.y]))


def random_sweep(seed: int, adding: float = 0.15) -> Function:
    return _Sweep(seed, adding).function()


def results_of(function: Function, n: int) -> Any:
    """What a sweep makes of arrays of `n` elements, which is two at least."""
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=n), rng.normal(size=n)
    evaluate(function, [x, y])
    return y
