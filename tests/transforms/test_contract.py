"""What is kept of every iteration needs a row for those of the loops only that its value depends on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.check import check
from chainrule.ir.evaluate import evaluate
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Carry, For, Function, If, Merge, Scalar, Store, Var, While
from chainrule.ir.walk import nodes_of
from chainrule.transforms.contract import contracted

Value = Callable[[Builder, list[Var], Var], Atom]


def from_the_index(build: Builder, index: list[Var], x: Var) -> Atom:
    return build.let("multiply", index[2], integer(3))


def from_two_indices(build: Builder, index: list[Var], x: Var) -> Atom:
    return build.let("add", index[2], build.let("multiply", index[0], integer(10)))


def from_memory(build: Builder, index: list[Var], x: Var) -> Atom:
    return build.load(x, index[2])


def from_a_sum(build: Builder, index: list[Var], x: Var) -> Atom:
    """The number of the iterations of a loop inside."""
    r, before, out = Var("r", INT), Var("s", INT), Var("s", INT)
    with build.inside(Block()) as body:
        after = build.let("add", before, r)
    build.emit(For(r, integer(0), index[2], integer(1), body, [Carry(before, integer(1), after, out)]))
    return out


def from_a_sum_of_all(build: Builder, index: list[Var], x: Var) -> Atom:
    r, before, out = Var("r", INT), Var("s", INT), Var("s", INT)
    with build.inside(Block()) as body:
        after = build.let("add", before, index[1])
    build.emit(For(r, integer(0), index[2], integer(1), body, [Carry(before, integer(1), after, out)]))
    return out


def from_a_branch(build: Builder, index: list[Var], x: Var) -> Atom:
    out = Var("t", INT)
    test = build.let("less", index[1], integer(2))
    build.emit(If(test, Block(), Block(), [Merge(out, index[2], integer(7))]))
    return out


def from_a_while(build: Builder, index: list[Var], x: Var) -> Atom:
    """What a `while` carries."""
    before, out = Var("s", INT), Var("s", INT)
    with build.inside(Block()) as head:
        test = build.let("less", before, index[0])
    with build.inside(Block()) as body:
        after = build.let("add", before, integer(2))
    build.emit(While(head, test, body, [Carry(before, integer(0), after, out)]))
    return out


CASES: list[tuple[Value, int]] = [
    (from_the_index, 1),
    (from_two_indices, 2),
    (from_memory, 3),
    (from_a_sum, 1),
    (from_a_sum_of_all, 2),
    (from_a_branch, 2),
    (from_a_while, 3),
]


def kept(value: Value, carried: bool = False) -> Function:
    """Keep `value` in three loops, or what the outermost has `carried` of it, and sum it up on the way back."""
    build, x, y = Builder(), Var("x", Array("int64", 1)), Var("y", Array("int64", 1))
    table, sizes = Var("kept", Array("int64", 3)), [integer(4), integer(3), integer(5)]
    build.emit(Alloc(table, tuple(sizes), kept=True))
    index, back = ([Var(h, INT) for h in "nji"] for _ in range(2))
    before, out = Var("c", Scalar("int64")), Var("c", Scalar("int64"))
    with build.inside(Block()) as outer:
        with build.inside(Block()) as middle:
            with build.inside(Block()) as inner:
                found = value(build, index, x)
                build.emit(Store(table, tuple(index), build.let("add", found, before) if carried else found))
                build.store(x, [index[2]], build.let("add", build.load(x, index[2]), integer(1)))
            build.emit(For(index[2], integer(0), sizes[2], integer(1), inner))
        build.emit(For(index[1], integer(0), sizes[1], integer(1), middle))
        after = build.let("add", before, integer(100))
    build.emit(For(index[0], integer(0), sizes[0], integer(1), outer, [Carry(before, integer(0), after, out)]))
    with build.inside(Block()) as outer:
        with build.inside(Block()) as middle:
            with build.inside(Block()) as inner:
                weight = build.let("add", back[2], build.let("multiply", integer(5), back[0]))
                build.increment(y, [back[1]], build.let("multiply", weight, build.load(table, *back)))
            build.emit(For(back[2], integer(4), integer(-1), integer(-1), inner))
        build.emit(For(back[1], integer(2), integer(-1), integer(-1), middle))
    build.emit(For(back[0], integer(3), integer(-1), integer(-1), outer))
    return Function("f", (x, y), build.block, (), writes=frozenset((x, y)))


@pytest.mark.parametrize("carried", [False, True])
@pytest.mark.parametrize(("value", "axes"), CASES, ids=[v.__name__ for v, _ in CASES])
def test_axes(value: Value, axes: int, carried: bool) -> None:
    function = check(kept(value, carried))
    made = check(contracted(function))
    (alloc,) = (n for n in nodes_of(made.body) if isinstance(n, Alloc))
    expected = axes if not carried or axes == 3 or value is from_two_indices else axes + 1
    assert len(alloc.shape) == expected
    results = []
    for f in (function, made):
        x, y = np.arange(5), np.zeros(3, np.int64)
        evaluate(f, [x, y])
        results.append(y)
    np.testing.assert_array_equal(*results)
    assert np.any(results[0])
