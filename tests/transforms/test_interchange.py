"""Interchanged loops: which ones, and that they compute what the loops as written do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Carry, For, Function, If, Merge, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.activity import is_float
from chainrule.transforms.contract import contracted
from chainrule.transforms.interchange import interchanged
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify
from tests.programs import PROGRAMS
from tests.test_native_programs import REFUSED
from tests.transforms.differences import fresh
from tests.transforms.reading import program_of

_RNG = np.random.default_rng(3)


def product(a: Any, b: Any) -> Any:
    c = np.zeros((len(a), b.shape[1]))
    for i in range(len(a)):
        for j in range(b.shape[1]):
            for k in range(len(b)):
                c[i, j] += a[i, k] * b[k, j]
    return np.sum(c * c)


def product_of_sums(a: Any, b: Any) -> Any:
    total = 0.0
    for i in range(len(a)):
        for j in range(b.shape[1] - 1, -1, -1):
            s = 0.5
            for k in range(len(b)):
                s += a[i, k] * b[k, j]
            total += np.sin(s) * (j + 1)
    return total


def convolution(x: Any, w: Any) -> Any:
    n, m = w.shape
    total = 0.0
    for i in range(x.shape[0] - n + 1):
        for j in range(x.shape[1] - m + 1):
            t = 0.1
            for p in range(n):
                for q in range(m):
                    t += x[i + p, j + q] * w[p, q]
            if t > 0.0:
                total += t * t
    return total


def columns(a: Any) -> Any:
    """Two loops, a value that passes both, and a recurrence in the second."""
    n, m = a.shape
    y = np.zeros(m)
    for j in range(m):
        largest = a[0, j]
        for i in range(1, n):
            if a[i, j] > largest:
                largest = a[i, j]
        scale = np.exp(-largest)
        s, t = 0.0, 1.0
        for i in range(n):
            s = s * 0.5 + a[i, j] * scale
            t = t + s * a[i, j]
        y[j] = s * t + largest
    return np.sum(y * y)


def single(a: Any) -> Any:
    y = np.zeros(a.shape[1], dtype=np.float32)
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            y[j] += a[i, j] * a[i, j]
    return y.sum()


def handed_on(a: Any) -> Any:
    """A carry that takes a value from before the loop."""
    total = 0.0
    for j in range(a.shape[1]):
        s, t, y = 0.0, 0.0, a[0, j] * 2.0
        for i in range(a.shape[0]):
            t += s * a[i, 0] * a[i, j]
            s = y
        total += t * t
    return total


def alike(a: Any, c: Any) -> Any:
    """A branch that is the same for all columns, what reads it, and a place that it chooses."""
    total, out = 0.0, np.zeros(a.shape[0])
    for j in range(a.shape[1]):
        s = 0.0
        for i in range(a.shape[0]):
            t = c[i - 1] * c[i] if i > 2 else 0.5
            at = i if c[i] > 0.0 else 0
            s += t * 3.0 * a[i, j]
            out[at] += a[i, j] * s
        total += s * s
    return total + np.sum(out * c[: a.shape[0]])


def powers(x: Any, t: Any) -> Any:
    """A recurrence for each point, whose values are needed again on the way back."""
    total = 0.0
    for i in range(len(t)):
        fit, power = 0.0, 1.0
        for j in range(len(x)):
            fit += x[j] * power
            power *= t[i]
        total += (fit - 1.0) ** 2
    return total


def shortest_ways(a: Any, b: Any) -> Any:
    """What every step has been needs a table of a strip only."""
    c = np.full((a.shape[0], b.shape[1]), 1e9)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(b.shape[0]):
                c[i, j] = min(c[i, j], a[i, k] + b[k, j])
    return np.sum(c * c)


def kahan(a: Any) -> Any:
    total = 0.0
    for j in range(a.shape[1]):
        s, c = 0.0, 0.0
        for i in range(a.shape[0]):
            y = a[i, j] - c
            t = s + y
            c = (t - s) - y
            s = t
        total += s * s
    return total


def off_the_diagonal(a: Any) -> Any:
    """Additions to one cell, but not for all columns."""
    y = np.zeros(a.shape[0])
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            if i != j:
                y[i] -= a[i, j]
    return np.sum(y * y)


def running(a: Any) -> Any:
    """Iterations that depend on each other."""
    y = np.zeros(a.shape[1] + 1)
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            y[j + 1] += a[i, j] * y[j] + 1.0
    return np.sum(y)


def in_a_condition(a: Any) -> Any:
    """Loops that a condition needs are left alone."""
    count = 0
    while np.sum(a * a) * count < 50.0:
        count += 1
    return a[0, 0] * count


def triangle(a: Any) -> Any:
    s = 0.0
    for j in range(a.shape[1]):
        for i in range(j):
            s += a[i, j] * j
    return s


def rows(a: Any) -> Any:
    y = np.zeros(a.shape[0])
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            y[i] += a[i, j] ** 2
    return np.sum(y)


def gathered(a: Any, at: Any) -> Any:
    s = 0.0
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            s += a[i, at[j]] * a[i, j]
    return s


def peaks(a: Any) -> Any:
    """What raises asks the same in every iteration."""
    s, v = 0.0, np.zeros(a.shape[0])
    for j in range(a.shape[1]):
        for i in range(a.shape[0]):
            v[i] = a[i, j] * a[i, j]
        top = np.max(v)
        s += top + np.log(np.sum(np.exp(v - top)))
    return s


def refusing(a: Any) -> Any:
    """What raises asks each iteration something else."""
    s = 0.0
    for j in range(a.shape[1]):
        t = 1.0
        for i in range(a.shape[0]):
            t *= a[i, j]
        if t > 1e9:
            raise ValueError("too much")
        s += t
    return s


def after_others(a: Any) -> Any:
    """The columns right of the first are changed by it, and add to one cell of it."""
    u = a.copy()
    for j in range(1, a.shape[1]):
        for i in range(a.shape[0]):
            u[i, j] -= u[i, 0] * u[i, j]
    return np.sum(u * u)


def before_others(a: Any) -> Any:
    """Every column is read by the next."""
    u = a.copy()
    for j in range(1, a.shape[1]):
        for i in range(a.shape[0]):
            u[i, j] -= u[i, j - 1] * u[i, j]
    return np.sum(u * u)


A, B = _RNG.normal(size=(3, 4)), _RNG.normal(size=(4, 7))
CASES: list[tuple[Any, tuple[Any, ...], int]] = [
    (product, (A, B), 1),
    (product_of_sums, (A, B), 1),
    (convolution, (_RNG.normal(size=(6, 8)), _RNG.normal(size=(2, 3))), 1),
    (columns, (B,), 1),
    (powers, (_RNG.normal(size=3), _RNG.uniform(-1, 1, 7)), 1),
    (shortest_ways, (A, B), 1),
    (kahan, (B,), 1),
    (handed_on, (B,), 1),
    (alike, (B, _RNG.normal(size=7)), 1),
    (single, (B.astype(np.float32),), 1),
    (off_the_diagonal, (B,), 1),
    (running, (B,), 0),
    (in_a_condition, (B,), 0),
    (triangle, (B.T @ B,), 0),
    (rows, (B,), 0),
    (peaks, (B,), 1),
    (refusing, (B,), 0),
    (after_others, (B,), 1),
    (before_others, (B,), 0),
    (gathered, (B, np.array([0, 2, 1, 1, 6, 3, 3])), 1),
]


def loops(function: Function) -> int:
    return sum(isinstance(n, For) for n in nodes_of(function.body))


def compare(function: Function, args: Any, tolerance: float) -> None:
    for strip in (1, 3, 256):
        made = check(interchanged(contracted(function), strip, many=1))
        expected, found = (evaluate(f, fresh(args)) for f in (function, made))
        for x, y in zip(expected, found, strict=True):
            np.testing.assert_allclose(y, x, rtol=tolerance, atol=tolerance)
            assert np.asarray(x).dtype == np.asarray(y).dtype


@pytest.mark.parametrize(("function", "args", "count"), CASES, ids=[f.__name__ for f, *_ in CASES])
def test_cases(function: Any, args: Any, count: int) -> None:
    program = program_of(function, args)
    tolerance = 1e-5 if any(a.dtype == np.float32 for a in args) else 1e-13
    assert (interchanged(program, many=1) is not program) == bool(count)
    compare(program, args, tolerance)
    made = simplify(vjp(program, [is_float(p) for p in program.params]))
    compare(made, (*args, 1.0 if tolerance < 1e-6 else np.float32(1.0)), tolerance)


def gradient(program: Function, args: Any) -> tuple[Function, Any]:
    """The reverse of a program, and arguments for it."""
    results = evaluate(program, fresh(args))
    cotangents = [np.ones_like(r)[()] for r in results if np.asarray(r).dtype.kind in "fc"]
    return simplify(vjp(program, [is_float(p) for p in program.params])), (*args, *cotangents)


class Body:
    """Writes a loop over j with loops in it, and statements that pick their cells and values at random."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.params = [Var(h, Array("float64", 2)) for h in "ab"] + [Var(h, Array("float64", 1)) for h in "cde"]
        self.j, self.count, self.build = Var("j", INT), Var("n", INT), Builder()
        self.kept = Var("kept", Array("float64", 1)) if self.rng.random() < 0.5 else None
        self.stored = False
        self.values: list[Atom] = [constant(0.5)]

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def near(self, index: Atom) -> Atom:
        return self.build.let("add", index, integer(1)) if self.rng.random() < 0.2 else index

    def statement(self, k: Atom | None) -> None:
        """Compute, load, store or add; `k` is the index of the loop inside."""
        array = self.pick(self.params)
        rows = [k] if k is not None else [integer(0), integer(1)]
        one = self.near(self.j) if k is None or self.rng.random() < 0.7 else k
        index = (self.pick(rows), self.near(self.j)) if array.type.ndim == 2 else (one,)
        kind = self.rng.random()
        if kind < 0.35:
            self.values.append(self.build.load(array, *index))
        elif kind < 0.6:
            op = self.pick(["add", "multiply"])
            self.values.append(self.build.let(op, self.pick(self.values), self.pick(self.values)))
        elif kind < 0.9:
            self.build.increment(array, index, self.pick(self.values))
        else:
            self.build.store(array, index, self.pick(self.values))

    def next(self, carried: Var) -> Atom:
        value: Atom = self.pick(self.values)
        return value if self.rng.random() < 0.2 else self.build.let("add", carried, value)

    def branch(self, k: Atom | None) -> None:
        out, values, found = Var("t", FLOAT), list(self.values), []
        test = self.build.let("less", self.pick([self.j, self.j if k is None else k]), integer(2))
        blocks = Block(), Block()
        for block in blocks:
            with self.build.inside(block):
                self.statement(k)
                found.append(self.pick(self.values))
            self.values = list(values)
        self.build.emit(If(test, *blocks, [Merge(out, *found)]))
        self.values.append(out)

    def inner(self) -> None:
        k, sums, values = Var("k", INT), [], list(self.values)
        with self.build.inside(Block()) as body:
            for _ in range(int(self.rng.integers(3))):
                sums.append((Var("s", FLOAT), self.pick(values)))
                self.values.append(sums[-1][0])
            if self.kept is not None and not self.stored:
                self.statement(k)
                self.build.store(self.kept, [k], self.pick(self.values))
                self.stored = True
            elif self.kept is not None:
                self.values.append(self.build.load(self.kept, k))
            for _ in range(int(self.rng.integers(2, 6))):
                self.branch(k) if self.rng.random() < 0.2 else self.statement(k)
            nexts = [self.next(s) for s, _ in sums]
        carries = [Carry(s, init, n, Var("s", FLOAT)) for (s, init), n in zip(sums, nexts, strict=True)]
        self.build.emit(For(k, integer(0), self.count, integer(1), body, carries))
        self.values = [*values, *(c.out for c in carries)]

    def function(self) -> Function:
        total, out = Var("total", FLOAT), Var("total", FLOAT)
        with self.build.inside(Block()) as body:
            for _ in range(int(self.rng.integers(1, 3))):
                for _ in range(int(self.rng.integers(3))):
                    self.branch(None) if self.rng.random() < 0.2 else self.statement(None)
                self.inner()
            self.statement(None)
            after = self.build.let("add", total, self.pick(self.values))
        step = self.pick([1, -1])
        bounds = (integer(0), integer(7)) if step > 0 else (integer(6), integer(-1))
        loop = For(self.j, *bounds, integer(step), body, [Carry(total, constant(0.0), after, out)])
        rooms = [] if self.kept is None else [Alloc(self.kept, (integer(3),), kept=True)]
        params = (*self.params, self.count)
        return Function("f", params, Block([*rooms, loop]), (out,), writes=frozenset(self.params))


def test_random_nests() -> None:
    found = 0
    for seed in range(1000):
        function = check(Body(seed).function())
        if interchanged(function, many=1) is function:
            continue
        found += 1
        for strip in (2, 256):
            made = check(interchanged(function, strip, many=1))
            results = []
            for f in (function, made):
                rng = np.random.default_rng(seed)
                arrays = [rng.normal(size=(4, 9)) for _ in range(2)] + [rng.normal(size=9) for _ in range(3)]
                results.append([*evaluate(f, [*arrays, 3]), *arrays])
            for x, y in zip(*results, strict=True):
                np.testing.assert_allclose(y, x, rtol=1e-9, atol=1e-12)
    assert found > 30


def test_the_programs_of_the_zoo() -> None:
    """Wherever loops of theirs or of their gradients are interchanged, results stay."""
    found = 0
    for p in PROGRAMS:
        args = p.inputs()
        if p.name in REFUSED or not all(type(x) in (float, int, np.ndarray) for x in args):
            continue
        program = program_of(p.function, args)
        if len(program.params) != len(args):  # it reads arrays of the enclosing program
            continue
        for function, given in ((program, args), gradient(program, args)):
            shorter = contracted(function)
            if interchanged(shorter, many=1) is not shorter or shorter is not function:
                found += 1
                compare(function, given, 1e-11)
    assert found > 10
