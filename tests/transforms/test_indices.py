"""Which cells nothing writes to any more: against the cells that random nests of loops touch, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Const, For, Function, Let, Load, Node, Store, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.indices import Indices
from chainrule.transforms.places import Places
from chainrule.transforms.simplify import simplify
from tests.transforms.differences import check_vjp
from tests.transforms.reading import program_of

_EXTENT = 40  # of each axis: larger than any index


class _Nest:
    """A program of loops in one another that load and store cells of `x`, at sums of their indices and `n`."""

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
            else:
                inner.store(self.x, [self.atom(inner), self.atom(inner)], constant(1.0))
        self.indices.pop()
        step = integer((1, 2)[self.chance(0.2)] * (1 if up else -1))
        build.emit(For(index, first, last, step, inner.block))


def _touched(block: Block, values: dict[Var, int]) -> Iterator[tuple[Node, tuple[int, ...]]]:
    """The loads and stores of `block` in the order they run, and their cells."""

    def value(atom: Any) -> int:
        return atom.value if isinstance(atom, Const) else values[atom]

    for node in block:
        match node:
            case Let(op=op, args=(a, b), out=out):
                values[out] = value(a) + value(b) * (1 if op == "add" else -1)
            case Load(index=index) | Store(index=index):
                yield node, tuple(value(i) % _EXTENT for i in index)
            case For(index=index, lower=lower, upper=upper, step=step, body=body):
                for k in range(value(lower), value(upper), value(step)):
                    values[index] = k
                    yield from _touched(body, values)


def _overwritten(function: Function) -> set[Node]:
    """The statements one of whose cells is written to after they have run."""
    found: set[Node] = set()
    _, n = function.params
    for size in (0, 1, 2, 3, 5):
        visitors: dict[tuple[int, ...], set[Node]] = {}
        for node, cell in _touched(function.body, {n: size}):
            if isinstance(node, Store):
                found |= visitors.pop(cell, set())
            visitors.setdefault(cell, set()).add(node)
    return found


@pytest.mark.parametrize("seed", range(60))
def test_what_is_final_is_not_overwritten(seed: int) -> None:
    for k in range(10):
        function = _Nest(10 * seed + k).function
        indices, lost = Indices(Places(function)), _overwritten(function)
        claimed = [n for n in nodes_of(function.body) if isinstance(n, (Load, Store)) and indices.final(n)]
        assert lost.isdisjoint(claimed), f"seed {10 * seed + k}"


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
