"""Random programs that strain names: few hints, many assignments, loops and branches that hand over whatever there is.

Values stay finite and small, and no path uses what it has not assigned.
"""

from __future__ import annotations

import random

from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.nodes import (
    Array,
    Atom,
    Block,
    Carry,
    Const,
    For,
    Function,
    If,
    Line,
    Merge,
    Scalar,
    Var,
    While,
)

HINTS = ("t", "t", "t", "x", "y", "s", "a")
BOOL = Scalar("bool")
SIZE = 4


class Generator:
    """Draws a function ``(x, y, n, a) -> results`` of two floats, an integer and a vector of four."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.b = Builder()
        self.floats: list[Atom] = []
        self.ints: list[Atom] = []
        self.arrays: list[Var] = []
        self.budget = self.draw.randint(10, 40)

    def function(self) -> Function:
        x, y, n, a = Var("x", FLOAT), Var("y", FLOAT), Var("n", INT), Var("a", Array("float64", 1))
        self.floats, self.ints, self.arrays = [x, y, constant(0.5)], [n, integer(2)], [a]
        self.statements(self.budget)
        results = (*self.draw.sample(self.floats, 2), self.draw.choice(self.ints), self.draw.choice(self.arrays))
        return Function("drawn", (x, y, n, a), self.b.block, results, writes=frozenset([a]))

    def hint(self) -> str:
        return self.draw.choice(HINTS)

    def float(self) -> Atom:
        return self.draw.choice(self.floats[-8:]) if self.draw.random() < 0.8 else self.draw.choice(self.floats)

    def index(self) -> Atom:
        return self.b.let("remainder", self.draw.choice(self.ints), integer(SIZE), hint=self.hint())

    def statements(self, count: int) -> None:
        kinds = [self.arithmetic] * 6 + [self.integer, self.load, self.load, self.store, self.store, self.memory]
        kinds += [self.branch, self.branch, self.count, self.repeat]
        for _ in range(count):
            if self.budget <= 0:
                return
            self.budget -= 1
            self.b.line = Line("drawn.py", self.draw.randint(1, 9))
            self.draw.choice(kinds)()

    # -- single statements

    def arithmetic(self) -> None:
        op = self.draw.choice(["add", "subtract", "multiply", "sin", "negative", "maximum", "where"])
        if op == "where":
            test = self.test()
            self.floats.append(self.b.let("where", test, self.float(), self.float(), hint=self.hint()))
        elif op in ("sin", "negative"):
            self.floats.append(self.b.let(op, self.float(), hint=self.hint()))
        elif op == "multiply":  # bounded
            self.floats.append(self.b.let(op, self.b.let("sin", self.float()), self.float(), hint=self.hint()))
        else:
            self.floats.append(self.b.let(op, self.float(), self.float(), hint=self.hint()))

    def integer(self) -> None:
        i, k = self.draw.choice(self.ints), self.draw.choice(self.ints)
        total = self.b.let(self.draw.choice(["add", "subtract", "multiply"]), i, k)
        self.ints.append(self.b.let("remainder", total, integer(7), hint=self.hint()))

    def load(self) -> None:
        self.floats.append(self.b.load(self.draw.choice(self.arrays), self.index(), hint=self.hint()))

    def store(self) -> None:
        array, index, value = self.draw.choice(self.arrays), self.index(), self.b.let("sin", self.float())
        (self.b.store if self.draw.random() < 0.5 else self.b.increment)(array, [index], value)

    def memory(self) -> None:
        array = self.draw.choice(self.arrays)
        match self.draw.randint(0, 2):
            case 0:
                self.arrays.append(self.b.copy(array, hint=self.hint()))
            case 1:
                self.arrays.append(self.b.alloc("float64", [integer(SIZE)], 0.25, hint=self.hint()))
            case 2:
                self.b.add_into(self.b.copy(array), array)

    def test(self) -> Atom:
        if self.draw.random() < 0.3:
            return self.b.let("less", self.draw.choice(self.ints), self.draw.choice(self.ints), hint=self.hint())
        return self.b.let("greater", self.float(), self.float(), hint=self.hint())

    # -- control

    def inner(self, block: Block, count: int) -> tuple[list[Atom], list[Atom]]:
        """Statements in `block`; return what is known at its end, and forget what was defined there."""
        floats, ints, arrays = list(self.floats), list(self.ints), list(self.arrays)
        with self.b.inside(block):
            self.statements(count)
        known = self.floats, self.ints
        self.floats, self.ints, self.arrays = floats, ints, arrays
        return known

    def some(self, known: list[Atom]) -> Atom:
        return self.draw.choice(known[-5:]) if self.draw.random() < 0.7 else self.draw.choice(known)

    def branch(self) -> None:
        test = self.test()
        if isinstance(test, Const):
            return
        then, orelse = Block(), Block()
        left, right = self.inner(then, self.draw.randint(0, 4)), self.inner(orelse, self.draw.randint(0, 4))
        merges = []
        for _ in range(self.draw.randint(0, 3)):
            k = self.draw.random() < 0.25
            out = Var(self.hint(), INT if k else FLOAT)
            merges.append(Merge(out, self.some(left[k]), self.some(right[k])))
        self.b.emit(If(test, then, orelse, merges))
        self.floats += [m.out for m in merges if m.out.type == FLOAT]
        self.ints += [m.out for m in merges if m.out.type == INT]

    def carries(self) -> tuple[list[Var], list[Atom]]:
        params = [Var(self.hint(), FLOAT) for _ in range(self.draw.randint(0, 3))]
        return params, [self.float() for _ in params]

    def close(self, params: list[Var], inits: list[Atom], known: list[Atom]) -> list[Carry]:
        return [
            Carry(p, i, self.b_sin_free(self.some(known)), Var(self.hint(), FLOAT))
            for p, i in zip(params, inits, strict=True)
        ]

    @staticmethod
    def b_sin_free(atom: Atom) -> Atom:
        return atom

    def count(self) -> None:
        params, inits = self.carries()
        counter, body = Var(self.draw.choice(["i", "j", "t"]), INT), Block()
        upper = self.b.let("remainder", self.draw.choice(self.ints), integer(5), hint=self.hint())
        floats, ints = list(self.floats), list(self.ints)
        self.floats += params
        self.ints.append(counter)
        known = self.inner(body, self.draw.randint(1, 5))
        self.floats, self.ints = floats, ints
        carries = self.close(params, inits, known[0])
        self.b.emit(For(counter, integer(0), upper, integer(1), body, carries))
        self.floats += [c.out for c in carries]

    def repeat(self) -> None:
        params, inits = self.carries()
        rounds, head, body = Var(self.draw.choice(["k", "t"]), INT), Block(), Block()
        floats, ints = list(self.floats), list(self.ints)
        self.floats += params
        with self.b.inside(head):
            early = self.b.let("less", self.float(), self.float(), hint=self.hint())
            few = self.b.let("less", rounds, integer(self.draw.randint(0, 4)))
            test = self.b.let("logical_and", early, few) if self.draw.random() < 0.5 else few
        self.ints.append(rounds)
        known = self.inner(body, self.draw.randint(1, 5))
        with self.b.inside(body):
            after = self.b.let("add", rounds, integer(1))
        self.floats, self.ints = floats, ints
        carries = [*self.close(params, inits, known[0]), Carry(rounds, integer(0), after, Var(rounds.hint, INT))]
        self.b.emit(While(head, test, body, carries))
        self.floats += [c.out for c in carries[:-1]]
        self.ints.append(carries[-1].out)


def drawn(seed: int) -> Function:
    return Generator(seed).function()
