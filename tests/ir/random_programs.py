"""Random programs of the intermediate representation, which run without an index out of bounds.

`random_program(seed)` gives a program and a function that makes its arguments. Arithmetic meets infinities, NaN and
both zeros; there are loops, branches, views, stores, prints, and checks that may fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.ir.build import BOOL, FLOAT, INT, Builder, boolean, constant, integer
from chainrule.ir.messages import NEXT
from chainrule.ir.nodes import (
    Atom,
    Block,
    Carry,
    Check,
    Copy,
    Dim,
    For,
    Function,
    If,
    Let,
    Merge,
    Node,
    Print,
    Slice,
    Type,
    Var,
    While,
)
from chainrule.ir.walk import find_writes
from tests.ir.programs import ALL, MATRIX, VECTOR

SIZE = 4
SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, float("inf"), float("nan"), 1e300]
UNARY = ["negative", "absolute", "exp", "sqrt", "sin", "positive", "sign"]
BINARY = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "add", "multiply"]
COMPARISONS = ["less", "less_equal", "equal", "greater", "not_equal"]


class Range(NamedTuple):
    """What an integer is between, ends included."""

    low: int
    high: int


class Scope(NamedTuple):
    floats: list[Atom]
    bools: list[Atom]
    integers: list[tuple[Atom, Range]]
    arrays: list[tuple[Var, tuple[int, ...]]]  # with their extents

    def nested(self) -> Scope:
        return Scope(*(list(items) for items in self))


class Writer:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.b = Builder()

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.rng.integers(len(items))]

    def maybe(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    # -- atoms; nothing is folded on the way

    def emit(self, node: Node) -> None:
        self.b.emit(node)

    def let(self, type: Type, op: str, *args: Atom) -> Var:
        out = Var("t", type)
        self.emit(Let(out, op, args))
        return out

    def number(self, s: Scope) -> Atom:
        return constant(self.pick(SPECIAL)) if self.maybe(0.2) else self.pick(s.floats)

    def test(self, s: Scope) -> Atom:
        return boolean(self.maybe(0.5)) if self.maybe(0.15) else self.pick(s.bools)

    def index(self, s: Scope, extents: tuple[int, ...]) -> tuple[Atom, ...]:
        return tuple(self.place(s, n) for n in extents)

    def place(self, s: Scope, n: int) -> Atom:
        fitting = [a for a, r in s.integers if r.low >= -n and r.high < n]
        return self.pick(fitting) if fitting and self.maybe(0.7) else integer(int(self.rng.integers(-n, n)))

    def vector(self, s: Scope) -> tuple[Var, tuple[int, ...]]:
        found: tuple[Var, tuple[int, ...]] = self.pick(s.arrays)
        return found

    # -- statements

    def block(self, s: Scope, depth: int, length: int) -> None:
        for _ in range(length):
            kinds = [self.arithmetic, self.arithmetic, self.comparison, self.integer, self.load, self.load]
            kinds += [self.store, self.store, self.increment, self.view, self.new, self.extent, self.effect]
            if depth:
                kinds += [self.branch, self.branch, self.count, self.count, self.repeat]
            kind = self.pick(kinds)
            if kind in (self.branch, self.count, self.repeat):
                kind(s, depth - 1)
            else:
                kind(s)

    def arithmetic(self, s: Scope) -> None:
        if self.maybe(0.15):
            value = self.let(FLOAT, "where", self.test(s), self.number(s), self.number(s))
        elif self.maybe(0.3):
            value = self.let(FLOAT, self.pick(UNARY), self.number(s))
        else:
            value = self.let(FLOAT, self.pick(BINARY), self.number(s), self.number(s))
        s.floats.append(value)

    def comparison(self, s: Scope) -> None:
        if self.maybe(0.4):
            op = self.pick(["logical_and", "logical_or", "logical_xor"])
            s.bools.append(self.let(BOOL, op, self.test(s), self.test(s)))
        elif self.maybe(0.3):
            s.bools.append(self.let(BOOL, "logical_not", self.test(s)))
        else:
            s.bools.append(self.let(BOOL, self.pick(COMPARISONS), self.number(s), self.number(s)))

    def integer(self, s: Scope) -> None:
        (a, r), c = self.pick(s.integers), int(self.rng.integers(-2, 3))
        if self.maybe(0.5):
            s.integers.append((self.let(INT, "add", a, integer(c)), Range(r.low + c, r.high + c)))
        elif self.maybe(0.5):
            s.integers.append((self.let(INT, "subtract", a, integer(c)), Range(r.low - c, r.high - c)))
        else:
            s.floats.append(self.let(FLOAT, "cast", a))

    def load(self, s: Scope) -> None:
        array, extents = self.vector(s)
        s.floats.append(self.b.load(array, *self.index(s, extents)))

    def store(self, s: Scope) -> None:
        array, extents = self.vector(s)
        self.b.store(array, self.index(s, extents), self.number(s))

    def increment(self, s: Scope) -> None:
        array, extents = self.vector(s)
        self.b.increment(array, self.index(s, extents), self.number(s))

    def view(self, s: Scope) -> None:
        array, extents = self.vector(s)
        if len(extents) == 2 and self.maybe(0.3):
            s.arrays.append((self.b.view(array, "transpose", [integer(1), integer(0)]), extents[::-1]))
            return
        items: list[Any] = [ALL for _ in extents]
        left = list(extents)
        k = int(self.rng.integers(len(extents)))
        if len(extents) == 2 and self.maybe(0.6):
            items[k] = self.place(s, extents[k])
            del left[k]
        elif self.maybe(0.3):
            items[k] = Slice(None, None, integer(-1))
        elif extents[k] > 1:
            lower = self.pick([integer(1), integer(1 - extents[k]), *(a for a, r in s.integers if r == (1, 1))])
            items[k] = Slice(lower, None, None)
            left[k] -= 1
        if self.maybe(0.1):
            items.insert(0, None)
            left.insert(0, 1)
        s.arrays.append((self.b.view(array, "index", items), tuple(left)))

    def new(self, s: Scope) -> None:
        if self.maybe(0.5):
            array, extents = self.vector(s)
            out = Var("c", array.type)
            self.emit(Copy(out, array))
            s.arrays.append((out, extents))
        else:
            s.arrays.append((self.b.alloc("float64", [integer(SIZE)], self.pick([None, 0.0, -0.0, 1.5])), (SIZE,)))

    def extent(self, s: Scope) -> None:
        array, extents = self.vector(s)
        axis = int(self.rng.integers(len(extents)))
        out = Var("n", INT)
        self.emit(Dim(out, array, axis))
        s.integers.append((out, Range(extents[axis], extents[axis])))

    def effect(self, s: Scope) -> None:
        if self.maybe(0.3):
            one, extents = self.vector(s)
            fitting = [a for a, e in s.arrays if e == extents and a is not one]
            if fitting:
                self.b.add_into(one, self.b.copy(self.pick(fitting)))
        elif self.maybe(0.5):
            self.emit(Print(("value", NEXT, self.number(s), NEXT, self.test(s))))
        elif self.maybe(0.3):
            self.emit(Check(self.test(s), "ValueError", ("found ", self.number(s))))

    # -- control

    def branch(self, s: Scope, depth: int) -> None:
        test, yields = self.test(s), []
        then, orelse = Block(), Block()
        for block in (then, orelse):
            inner = s.nested()
            with self.b.inside(block):
                self.block(inner, depth, int(self.rng.integers(5)))
            yields.append([self.pick(inner.floats), self.pick(inner.floats), self.test(inner)])
        merges = [Merge(Var("m", a.type), a, o) for a, o in zip(*yields, strict=True) if self.maybe(0.7)]
        self.emit(If(test, then, orelse, merges))
        s.floats.extend(m.out for m in merges if m.out.type == FLOAT)
        s.bools.extend(m.out for m in merges if m.out.type == BOOL)

    def carried(self, s: Scope) -> list[tuple[Var, Atom]]:
        return [(Var("v", FLOAT), self.number(s)) for _ in range(self.rng.integers(3))]

    def leave(self, s: Scope, inner: Scope, carried: list[tuple[Var, Atom]]) -> list[Carry]:
        carries = [Carry(p, init, p if self.maybe(0.1) else self.number(inner), Var("v", FLOAT)) for p, init in carried]
        s.floats.extend(c.out for c in carries)
        return carries

    def bounds(self, s: Scope) -> tuple[Atom, Atom, int, Range]:
        """Lower, upper, step, and what the index is between."""
        uppers: list[tuple[Atom, int]] = [(a, r.low) for a, r in s.integers if r.low == r.high and -1 <= r.low <= SIZE]
        upper, n = self.pick([*uppers, (integer(SIZE), SIZE), (integer(SIZE - 1), SIZE - 1)])
        if self.maybe(0.3):
            last = self.let(INT, "subtract", upper, integer(1))
            return last, integer(-1), -1, Range(0, max(n - 1, 0))
        starts = [(a, r) for a, r in s.integers if r.low >= 0 and r.high <= n]
        lower, r = self.pick([*starts, (integer(0), Range(0, 0)), (integer(1), Range(1, 1))])
        return lower, upper, int(self.pick([1, 1, 1, 2])), Range(r.low, max(n - 1, r.low))

    def count(self, s: Scope, depth: int) -> None:
        lower, upper, step, r = self.bounds(s)
        inner, carried, body = s.nested(), self.carried(s), Block()
        index = Var("i", INT)
        inner.integers.extend([(index, r)] * 2)
        inner.floats.extend(p for p, _ in carried)
        with self.b.inside(body):
            self.block(inner, depth, int(self.rng.integers(1, 6)))
        self.emit(For(index, lower, upper, integer(step), body, self.leave(s, inner, carried)))

    def repeat(self, s: Scope, depth: int) -> None:
        inner, carried = s.nested(), self.carried(s)
        head, body, trips, k = Block(), Block(), int(self.rng.integers(4)), Var("k", INT)
        inner.floats.extend(p for p, _ in carried)
        top = inner.nested()
        with self.b.inside(head):
            self.load(top)
            test = self.let(BOOL, "logical_and", self.let(BOOL, "less", k, integer(trips)), self.test(top))
        inner.integers.append((k, Range(0, max(trips - 1, 0))))
        with self.b.inside(body):
            self.block(inner, depth, int(self.rng.integers(1, 5)))
            after = self.let(INT, "add", k, integer(1))
        counter = Carry(k, integer(0), after, Var("k", INT))
        self.emit(While(head, test, body, [counter, *self.leave(s, inner, carried)]))


def random_program(seed: int) -> tuple[Function, Callable[[], tuple[Any, ...]]]:
    """A program that is well formed, and what makes arguments for it."""
    w = Writer(seed)
    params = [
        Var(h, t) for h, t in {"x": FLOAT, "y": FLOAT, "flag": BOOL, "a": VECTOR, "b": VECTOR, "w": MATRIX}.items()
    ]
    x, y, flag, a, b, m = params
    s = Scope([x, y], [flag], [(integer(0), Range(0, 0))], [(a, (SIZE,)), (b, (SIZE,)), (m, (SIZE, SIZE))])
    w.block(s, 3, 14)
    born = [v for v, _ in s.arrays]
    results = (
        *(w.pick(s.floats) for _ in range(3)),
        w.pick(s.bools),
        w.pick(s.integers)[0],
        w.pick(born),
        w.pick(born),
    )
    function = Function(f"random_{seed}", tuple(params), w.b.block, results)
    function.writes = find_writes(function)

    def arguments() -> tuple[Any, ...]:
        rng = np.random.default_rng(seed + 1)
        arrays = [rng.choice([*SPECIAL[:6], *rng.normal(size=6)], size=n) for n in (SIZE, SIZE, (SIZE, SIZE))]
        return (float(rng.normal()), float(rng.choice(SPECIAL)), bool(rng.random() < 0.5), *arrays)

    return function, arguments
