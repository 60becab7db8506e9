"""Random programs: loops of every kind, branches, memory that is viewed, overwritten, copied and merged.

The extents of arrays are known while a program is made, so that every index is in bounds; values stay moderate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.nodes import Array, Atom, Block, Carry, Const, For, Function, If, Merge, Slice, Var, While
from chainrule.ir.walk import find_writes

__all__ = ["random_program"]

Shape = tuple[int, ...]


class Scope:
    """What is visible: numbers, integers, arrays with their extents, and the roots of arrays."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.floats: list[Atom] = list(outer.floats) if outer else []
        self.ints: list[Atom] = list(outer.ints) if outer else []
        self.arrays: list[tuple[Var, Shape, Var]] = list(outer.arrays) if outer else []
        self.tables: list[tuple[Var, int]] = list(outer.tables) if outer else []


class Generator:
    def __init__(self, seed: int, size: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.b = Builder()
        self.left = size
        self.bounded: list[tuple[Var, int]] = []  # integers and what they are below, never negative

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    # -- numbers

    def float(self, s: Scope) -> Atom:
        if s.floats and self.chance(0.85):
            return self.pick(s.floats[-6:] if self.chance(0.6) else s.floats)
        return constant(round(float(self.rng.normal()), 2))

    def expression(self, s: Scope) -> Atom:
        b, x = self.b, self.float(s)
        match int(self.rng.integers(12)):
            case 0:
                return b.let("add", x, self.float(s))
            case 1:
                return b.let("subtract", x, self.float(s))
            case 2 | 3:
                return b.let("multiply", x, self.float(s))
            case 4:
                return b.let("sin", x)
            case 5:
                return b.let("tanh", x)
            case 6:
                return b.let("divide", x, b.let("add", constant(1.5), b.let("square", self.float(s))))
            case 7:
                return b.let("exp", b.let("sin", x))
            case 8:
                return b.let("sqrt", b.let("add", constant(1.0), b.let("square", x)))
            case 9:
                return b.let("where", self.test(s), x, self.float(s))
            case 10:
                return b.let("maximum", x, self.float(s)) if self.chance(0.5) else b.let("negative", x)
            case _:
                return self.load(s)

    def load(self, s: Scope) -> Atom:
        if not s.arrays:
            return self.float(s)
        array, shape, _ = self.pick(s.arrays)
        return self.b.load(array, *self.index(s, shape))

    def test(self, s: Scope) -> Atom:
        if s.ints and self.chance(0.4):
            return self.b.let("equal", self.b.let("remainder", self.pick(s.ints), integer(2)), integer(0))
        return self.b.let("less", self.float(s), self.float(s))

    def int(self, s: Scope) -> Atom:
        b = self.b
        match int(self.rng.integers(5)):
            case 0 if s.tables:
                table, n = self.pick(s.tables)
                return b.load(table, self.within(s, n))
            case 1 if s.ints:
                return b.let("add", self.pick(s.ints), integer(int(self.rng.integers(3))))
            case 2 | 3 if s.ints:
                return self.pick(s.ints)
        return integer(int(self.rng.integers(4)))

    def within(self, s: Scope, n: int) -> Atom:
        """An index in bounds, mostly a simple one."""
        simple = [i for i, m in self.bounded if m <= n and i in s.ints]
        if simple and self.chance(0.6):
            return self.pick(simple)
        i = self.int(s)
        if isinstance(i, Const):
            i = integer(i.value % n)
        else:
            i = self.b.let("remainder", i, integer(n))
        return self.b.let("subtract", i, integer(n)) if self.chance(0.15) else i

    def index(self, s: Scope, shape: Shape) -> list[Atom]:
        return [self.within(s, n) for n in shape]

    # -- statements

    def statements(self, s: Scope, depth: int) -> None:
        for _ in range(int(self.rng.integers(2, 6))):
            if self.left <= 0:
                return
            self.left -= 1
            self.statement(s, depth)

    def statement(self, s: Scope, depth: int) -> None:
        kinds: list[tuple[float, Callable[[Scope, int], None]]] = [
            (4, self.let),
            (2, self.read),
            (4, self.store),
            (2, self.increment),
            (1, self.alloc),
            (0.6, self.copy),
            (1, self.view),
            (0.5, self.add_into),
            (1, self.count_up),
            (0.7, self.product),
        ]
        if depth:
            kinds += [(4, self.loop), (1.5, self.repeat), (2.5, self.branch)]
        weights = np.array([w for w, _ in kinds])
        kind = kinds[int(self.rng.choice(len(kinds), p=weights / weights.sum()))][1]
        kind(s, depth)

    def let(self, s: Scope, depth: int) -> None:
        x = self.expression(s)
        if isinstance(x, Var):
            s.floats.append(x)

    def read(self, s: Scope, depth: int) -> None:
        x = self.load(s)
        if isinstance(x, Var):
            s.floats.append(x)

    def moderate(self, s: Scope) -> Atom:
        x = self.expression(s)
        return self.b.let(self.pick(["sin", "tanh"]), x) if self.chance(0.5) else x

    def store(self, s: Scope, depth: int) -> None:
        if not s.arrays:
            return
        array, shape, _ = self.pick(s.arrays)
        index = self.index(s, shape)
        if self.chance(0.4):
            x: Atom = self.b.load(array, *index)
            self.b.store(array, index, self.b.let("multiply", x, self.b.let("sin", self.float(s))))
        else:
            x = self.moderate(s)
            self.b.store(array, index, x)
        if isinstance(x, Var):
            s.floats.append(x)

    def increment(self, s: Scope, depth: int) -> None:
        if s.arrays:
            array, shape, _ = self.pick(s.arrays)
            self.b.increment(array, self.index(s, shape), self.moderate(s))

    def shape(self) -> Shape:
        return self.pick([(3,), (4,), (2, 3), (3, 3)])

    def make(self, s: Scope, shape: Shape, hint: str = "w") -> Var:
        array = self.b.alloc("float64", [integer(n) for n in shape], round(float(self.rng.normal()), 1), hint=hint)
        inner = Scope(s)
        inner.arrays.append((array, shape, array))
        for _ in range(int(self.rng.integers(3))):
            self.b.store(array, self.index(inner, shape), self.moderate(inner))
        return array

    def alloc(self, s: Scope, depth: int) -> None:
        shape = self.shape()
        array = self.make(s, shape)
        s.arrays.append((array, shape, array))

    def copy(self, s: Scope, depth: int) -> None:
        if s.arrays:
            array, shape, _ = self.pick(s.arrays)
            made = self.b.copy(array, hint="c")
            s.arrays.append((made, shape, made))

    def view(self, s: Scope, depth: int) -> None:
        if not s.arrays:
            return
        array, shape, root = self.pick(s.arrays)
        match int(self.rng.integers(4)):
            case 0:
                items: list[Any] = []
                extents: list[int] = []
                for n in shape:
                    if self.chance(0.4) and len(shape) > 1 and len(items) < 1:
                        items.append(self.within(s, n))
                    else:
                        item, m = self.slice(n)
                        items.append(item)
                        extents.append(m)
                view, shape = self.b.view(array, "index", items, hint="v"), tuple(extents)
            case 1 if len(shape) == 2:
                view = self.b.view(array, "transpose", [integer(1), integer(0)], hint="v")
                shape = shape[::-1]
            case 2 if array is root:
                size = int(np.prod(shape))
                view, shape = self.b.view(array, "reshape", [integer(size)], hint="v"), (size,)
            case _:
                view = self.b.view(array, "index", [None, *[Slice(None, None, None)] * len(shape)], hint="v")
                shape = (1, *shape)
                if len(shape) > 2:
                    return
        s.arrays.append((view, shape, root))

    def slice(self, n: int) -> tuple[Slice, int]:
        lower = int(self.rng.integers(0, n))
        match int(self.rng.integers(3)):
            case 0:
                return Slice(None, None, integer(-1)), n
            case 1:
                return Slice(integer(lower), None, None), n - lower
        return Slice(None, None, None), n

    def add_into(self, s: Scope, depth: int) -> None:
        pairs = [(a, c) for a, m, ra in s.arrays for c, n, rc in s.arrays if m == n and ra is not rc]
        if pairs:
            self.b.add_into(*self.pick(pairs))

    def count_up(self, s: Scope, depth: int) -> None:
        if s.tables and self.chance(0.6):
            table, n = self.pick(s.tables)
            i = self.within(s, n)
            if self.chance(0.5):
                self.b.store(table, [i], self.int(s))
            else:
                self.b.increment(table, [i], integer(1))
        else:
            i = self.int(s)
            if isinstance(i, Var):
                s.ints.append(i)

    def product(self, s: Scope, depth: int) -> None:
        squares = [a for a in s.arrays if a[1] == (3, 3)]
        vectors = [a for a in s.arrays if a[1] == (3,)]
        if not squares:
            return
        a = self.pick(squares)[0]
        match int(self.rng.integers(3)):
            case 0 if vectors:
                (y,), shape = self.b.op("matmul", a, self.pick(vectors)[0], hint="p"), (3,)
            case 1:
                (y,), shape = self.b.op("matmul", a, self.pick(squares)[0], hint="p"), (3, 3)
            case _:
                a = squares[0][0]  # the others may be singular
                (d,) = self.b.op("det", a, hint="d")
                s.floats.append(self.b.let("tanh", d))
                return
        s.arrays.append((y, shape, y))

    # -- control

    def bounds(self, s: Scope) -> tuple[Atom, Atom, int, int | None]:
        """Lower, upper, step, and a bound of the index if it is known to be in ``range(bound)``."""
        n = int(self.rng.integers(1, 5))
        bounded = [(i, m) for i, m in self.bounded if i in s.ints]
        match int(self.rng.integers(8)):
            case 0:
                return integer(n - 1), integer(-1), -1, n
            case 1:
                return integer(n), integer(-1), -2, n + 1
            case 2:
                return integer(0), integer(n), 2, n
            case 3 if bounded:
                i, m = self.pick(bounded)
                return integer(0), self.b.let("add", i, integer(1)), 1, m
            case 4 if bounded:
                i, m = self.pick(bounded)
                return i, integer(m), 1, m
            case 5:
                return integer(0), self.b.let("remainder", self.int(s), integer(3)) if s.ints else integer(2), 1, 3
            case 6:
                return integer(1), integer(n + 1), 1, n + 1
        return integer(0), integer(n), 1, n

    def carried(self, s: Scope) -> list[Atom]:
        inits: list[Atom] = [self.float(s) for _ in range(int(self.rng.integers(0, 3)))]
        if self.chance(0.3):
            inits.append(self.int(s))
        return inits

    def body(self, s: Scope, depth: int, params: list[Var]) -> list[Atom]:
        inner = Scope(s)
        for p in params:
            (inner.ints if p.type == INT else inner.floats).append(p)
        self.statements(inner, depth - 1)
        nexts: list[Atom] = []
        for p in params:
            if p.type == INT:
                nexts.append(self.b.let("remainder", self.b.let("add", p, self.int(inner)), integer(7)))
            else:
                nexts.append(self.moderate(inner) if self.chance(0.8) else self.float(inner))
        return nexts

    def close(self, s: Scope, params: list[Var], inits: list[Atom], nexts: list[Atom]) -> list[Carry]:
        carries = [Carry(p, i, n, Var(p.hint, p.type)) for p, i, n in zip(params, inits, nexts, strict=True)]
        for c in carries:
            (s.ints if c.out.type == INT else s.floats).append(c.out)
        return carries

    def loop(self, s: Scope, depth: int) -> None:
        lower, upper, step, bound = self.bounds(s)
        inits = self.carried(s)
        index, params = Var("i", INT), [Var("s", a.type) for a in inits]
        block, inner = Block(), Scope(s)
        inner.ints.append(index)
        if bound is not None:
            self.bounded.append((index, bound))
        with self.b.inside(block):
            nexts = self.body(inner, depth, params)
        self.b.emit(For(index, lower, upper, integer(step), block, self.close(s, params, inits, nexts)))

    def repeat(self, s: Scope, depth: int) -> None:
        inits = [integer(0), *self.carried(s)]
        params = [Var("k" if k == 0 else "s", a.type) for k, a in enumerate(inits)]
        head, block, n = Block(), Block(), int(self.rng.integers(0, 4))
        inner = Scope(s)
        for p in params:
            (inner.ints if p.type == INT else inner.floats).append(p)
        with self.b.inside(head):
            test = self.b.let("less", params[0], integer(n))
            if self.chance(0.4):
                test = self.b.let("logical_and", test, self.b.let("less", self.float(inner), constant(0.7)))
        with self.b.inside(block):
            if n:
                self.bounded.append((params[0], n))
            nexts = [self.b.let("add", params[0], integer(1)), *self.body(inner, depth, params)[1:]]
        self.b.emit(While(head, test, block, self.close(s, params, inits, nexts)))

    def branch(self, s: Scope, depth: int) -> None:
        test = self.test(s)
        shape = self.shape() if self.chance(0.3) else None
        count = int(self.rng.integers(0, 3))
        blocks, yields = [], []
        for _ in range(2):
            block, inner = Block(), Scope(s)
            with self.b.inside(block):
                found: list[Atom] = []
                if self.chance(0.9):
                    self.statements(inner, depth - 1)
                if shape is not None:
                    found.append(self.make(inner, shape, "m"))
                found += [self.moderate(inner) if self.chance(0.7) else self.float(inner) for _ in range(count)]
            blocks.append(block)
            yields.append(found)
        merges = [Merge(Var("y", a.type), a, c) for a, c in zip(*yields, strict=True)]
        self.b.emit(If(test, *blocks, merges))
        for m in merges:
            if isinstance(m.out.type, Array):
                assert shape is not None
                s.arrays.append((m.out, shape, m.out))
            else:
                s.floats.append(m.out)

    # -- whole programs

    def function(self) -> tuple[Function, list[Any]]:
        x, a, t = Var("x", Array("float64", 1)), Var("a", Array("float64", 2)), Var("t", Array("int64", 1))
        u, v, n = Var("u", FLOAT), Var("v", FLOAT), Var("n", INT)
        s = Scope()
        s.floats += [u, v]
        s.ints.append(n)
        s.arrays += [(x, (4,), x), (a, (3, 3), a)]
        s.tables.append((t, 4))
        while self.left > 0:
            self.statement(s, 3)
        results: list[Atom] = [self.float(s) for _ in range(2)]
        results += [self.pick(s.arrays)[0] for _ in range(2)]
        function = Function("random", (x, a, t, u, v, n), self.b.block, tuple(results))
        function.writes = find_writes(function)
        rng = self.rng
        args = [rng.normal(size=4), rng.normal(size=(3, 3)), rng.integers(0, 4, 4), rng.normal(), rng.normal(), 3]
        return function, args


def random_program(seed: int, size: int) -> tuple[Function, list[Any]]:
    """A program of about `size` statements, and arguments for it."""
    return Generator(seed, size).function()
