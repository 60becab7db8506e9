"""Which cells nothing writes to any more, and which loops keep iterations apart: against what random nests touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Const, For, Function, Incr, Let, Load, Node, Store, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.dependence import Access
from chainrule.transforms.indices import Indices
from chainrule.transforms.order import Order
from chainrule.transforms.places import Places
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import check_vjp
from tests.transforms.reading import program_of

_EXTENT = 40  # of each axis: larger than any index


class _Nest:
    """A program of loops in one another that load, store and add to cells of `x`, at sums of their indices and `n`."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.x, self.n = Var("x", Array("float64", 2)), Var("n", INT)
        self.indices: list[Var] = []
        body = Builder()
        for _ in range(int(self.rng.integers(1, 3))):
            self.loop(body, int(self.rng.integers(1, 4)))
        self.function = Function("f", (self.x, self.n), body.block, ())

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def atom(self, build: Builder) -> Atom:
        """A number, `n`, an index, or one of them and a small number."""
        choices: list[Atom] = [integer(0), self.n, *2 * self.indices]
        at = choices[int(self.rng.integers(len(choices)))]
        shift = int(self.rng.integers(-1, 3))
        at = build.let("add", at, integer(shift)) if shift else at
        if self.indices and self.chance(0.1):
            at = build.let("add", at, self.indices[int(self.rng.integers(len(self.indices)))])
        if self.chance(0.1):
            at = build.let("subtract", self.n, at)
        return at

    def loop(self, build: Builder, depth: int) -> None:
        first, last = self.atom(build), self.atom(build)
        up = self.chance(0.6)
        index, inner = Var("ijk"[len(self.indices)], INT), Builder()
        self.indices.append(index)
        for _ in range(int(self.rng.integers(1, 4))):
            if depth > 1 and self.chance(0.5):
                self.loop(inner, depth - 1)
            elif self.chance(0.5):
                inner.load(self.x, self.atom(inner), self.atom(inner))
            elif self.chance(0.3):
                inner.increment(self.x, [self.atom(inner), self.atom(inner)], constant(1.0))
            else:
                inner.store(self.x, [self.atom(inner), self.atom(inner)], constant(1.0))
        self.indices.pop()
        step = integer((1, 2)[self.chance(0.2)] * (1 if up else -1))
        build.emit(For(index, first, last, step, inner.block))


class _Touch(NamedTuple):
    node: Access
    cell: tuple[int, ...]
    rounds: dict[For, tuple[int, int]]  # the loops around: which of their runs it is, and the index


def _touched(block: Block, values: dict[Var, int], rounds: dict[For, tuple[int, int]]) -> Iterator[_Touch]:
    """What `block` does, in the order in which it runs."""

    def value(atom: Any) -> int:
        return atom.value if isinstance(atom, Const) else values[atom]

    runs: Counter[For] = values.setdefault(RUNS, Counter())  # type: ignore[arg-type]
    for node in block:
        match node:
            case Let(op=op, args=(a, b), out=out):
                values[out] = value(a) + value(b) * (1 if op == "add" else -1)
            case Load(index=index) | Store(index=index) | Incr(index=index):
                yield _Touch(node, tuple(value(i) % _EXTENT for i in index), rounds)
            case For(index=index, lower=lower, upper=upper, step=step, body=body):
                runs[node] += 1
                for k in range(value(lower), value(upper), value(step)):
                    values[index] = k
                    yield from _touched(body, values, {**rounds, node: (runs[node], k)})


RUNS = Var("runs", INT)


def _traces(function: Function) -> Iterator[list[_Touch]]:
    for size in (0, 1, 2, 3, 5):
        yield list(_touched(function.body, {function.params[1]: size}, {}))


def _overwritten(function: Function) -> set[Node]:
    """The statements one of whose cells is written to after they have run."""
    found: set[Node] = set()
    for trace in _traces(function):
        visitors: dict[tuple[int, ...], set[Node]] = {}
        for node, cell, _ in trace:
            if not isinstance(node, Load):
                found |= visitors.pop(cell, set())
            visitors.setdefault(cell, set()).add(node)
    return found


def _is_met(loop: For, trace: list[_Touch]) -> bool:
    """Whether an iteration of `loop` stores to a cell that another one of the same run touches, or adds to it
    where the other one loads."""
    cells: dict[tuple[Any, ...], dict[int, set[type]]] = {}
    for node, cell, rounds in trace:
        if loop in rounds:
            run, k = rounds[loop]
            cells.setdefault((run, cell), {}).setdefault(k, set()).add(type(node))
    shared = [set().union(*touching.values()) for touching in cells.values() if len(touching) > 1]
    return any(Store in kinds or kinds == {Load, Incr} for kinds in shared)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_final_is_not_overwritten(seed: int) -> None:
    for k in range(10):
        function = _Nest(10 * seed + k).function
        indices, lost = Indices(Places(function)), _overwritten(function)
        claimed = [n for n in nodes_of(function.body) if isinstance(n, (Load, Store)) and indices.final(n)]
        assert lost.isdisjoint(claimed), f"seed {10 * seed + k}"


@pytest.mark.parametrize("seed", range(60))
def test_iterations_that_commute_do_not_meet(seed: int) -> None:
    for k in range(10):
        function = _Nest(10 * seed + k).function
        order, traces = Order(function), list(_traces(function))
        for loop in (n for n in nodes_of(function.body) if isinstance(n, For)):
            if order.is_free(loop):
                assert not any(_is_met(loop, trace) for trace in traces), f"seed {10 * seed + k}"


def eliminated(a: Any) -> Any:
    u = a.copy()
    n = len(a)
    for k in range(n):
        for i in range(k + 1, n):
            u[i, k] /= u[k, k]
            for j in range(k + 1, n):
                u[i, j] -= u[i, k] * u[k, j]
    return u


def eliminated_upwards(a: Any) -> Any:
    u = a.copy()
    n = len(a)
    for k in range(n - 1, -1, -1):
        for i in range(k - 1, -1, -1):
            for j in range(k):
                u[i, j] -= u[i, k] * u[k, j]
    return u


def filtered(a: Any) -> Any:
    """The columns right of `k` change, `k` and those left of it do not."""
    u = a.copy()
    n = len(a)
    for k in range(n):
        for j in range(k + 1, n):
            s = 0.0
            for i in range(n):
                s += u[i, k] * a[i, j]
            for i in range(n):
                u[i, j] -= s * u[i, k]
    return u


def both_sides(a: Any) -> Any:
    """Row `k` is overwritten in later rounds."""
    u = a.copy()
    n = len(a)
    for k in range(n):
        for i in range(n):
            for j in range(k + 1, n):
                u[i, j] -= u[i, k] * u[k, j]
    return u


@pytest.mark.parametrize(
    ("program", "kept"), [(eliminated, 0), (eliminated_upwards, 0), (filtered, 1), (both_sides, 1)]
)
def test_matrices_that_shrink_are_not_kept(program: Any, kept: int) -> None:
    """What lies before the rows and columns still to come is there to the end."""
    a = np.random.default_rng(1).normal(size=(4, 4)) + 3 * np.eye(4)
    made, _ = check_vjp(simplify(program_of(program, (a,))), (a,))
    assert sum(isinstance(n, Alloc) and n.kept for n in nodes_of(made.body)) == kept
