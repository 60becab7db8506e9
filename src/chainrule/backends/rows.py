"""Loops whose index LLVM must know nothing of, so that the loops inside run in vectors.

A loop over a row runs in vectors if the memory it writes to is apart from what it reads, which LLVM tests while the
program runs. Where it can tell how the rows follow each other it tests once, before the loop around, for all rows
together. That fails, and the loop runs scalar, if the loop around counts down, as all loops of a reverse sweep do
(only rows that go up are compared), if rows of one array are read and written, as in ``h[t + 1, i] = h[t, i]``, and if
rows of several lengths follow each other, at a place that is carried along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chainrule.ir.nodes import Atom, Block, Const, For, Function, Incr, Let, Load, Store, Var
from chainrule.ir.walk import is_number, nodes_of, roots_of

__all__ = ["opaque_loops"]

_SHORT = 8  # iterations: a loop that is known to have fewer is written out by LLVM


def opaque_loops(function: Function) -> frozenset[For]:
    """The loops of `function` whose index is to be hidden.

    Examples
    --------
    >>> from chainrule.ir.build import INT, Builder, integer
    >>> from chainrule.ir.nodes import Array
    >>> n, h = Var("n", INT), Var("h", Array("float64", 2))
    >>> rows, cells = Builder(), Builder()
    >>> t, i = Var("t", INT), Var("i", INT)
    >>> below = rows.let("add", t, integer(1))
    >>> cells.store(h, [below, i], cells.load(h, t, i))
    >>> rows.emit(For(i, integer(0), n, integer(1), cells.block))
    >>> loop = For(t, integer(0), n, integer(1), rows.block)
    >>> opaque_loops(Function("f", (n, h), Block([loop]), ())) == {loop}
    True
    """
    loops = [n for n in nodes_of(function.body) if isinstance(n, For) and not n.parallel]
    outer = [n for n in loops if any(_rows(n.body))]
    if not outer:
        return frozenset()
    roots = roots_of(function)
    down = {n for n in outer if is_number(n.step, -1)}
    up = {n for n in outer if is_number(n.step, 1)}
    return frozenset(down | {n for n in up if _meets_itself(n, roots) or _runs_on(n)})


def _rows(block: Block) -> Iterator[For]:
    """The loops in `block` that may be long enough for vectors."""
    for node in nodes_of(block):
        match node:
            case For(lower=Const(value=lower), upper=Const(value=upper)) if abs(upper - lower) < _SHORT:
                pass
            case For():
                yield node


def _meets_itself(loop: For, roots: Mapping[Var, Var]) -> bool:
    """Whether the loops in `loop` write to a row of an array and read another, depending on the index of `loop`."""
    moving, same = _depending(loop)
    accesses: dict[Var, dict[tuple[Atom, ...], bool]] = {}  # array -> index -> whether it is written there
    for node in (n for row in _rows(loop.body) for n in nodes_of(row.body)):
        if isinstance(node, (Load, Store, Incr)):
            cells = accesses.setdefault(roots[node.array], {})
            index = tuple(same.get(i, i) for i in node.index)  # type: ignore[arg-type]
            cells[index] = cells.get(index, False) or not isinstance(node, Load)
    return any(
        written and _part(here, there, moving)
        for cells in accesses.values()
        for here, written in cells.items()
        for there in cells
    )


def _runs_on(loop: For) -> bool:
    """Whether the loops in `loop` find cells from an integer that it carries."""
    moving = {c.param for c in loop.carries if c.param.type.dtype == "int64"}
    for node in nodes_of(loop.body) if moving else ():
        if isinstance(node, Let) and not moving.isdisjoint(v for v in node.args if isinstance(v, Var)):
            moving.add(node.out)
    cells = (n for row in _rows(loop.body) for n in nodes_of(row.body) if isinstance(n, (Load, Store, Incr)))
    return any(not moving.isdisjoint(i for i in n.index if isinstance(i, Var)) for n in cells)


def _depending(loop: For) -> tuple[set[Var], dict[Var, Atom]]:
    """What depends on the index of `loop`; and what casts in it stand for."""
    moving, same = {loop.index}, dict[Var, Atom]()
    for node in nodes_of(loop.body):
        if isinstance(node, Let) and not moving.isdisjoint(v for v in node.args if isinstance(v, Var)):
            moving.add(node.out)
        if isinstance(node, Let) and node.op == "cast":
            same[node.out] = same.get(node.args[0], node.args[0])  # type: ignore[arg-type]
    return moving, same


def _part(a: Sequence[Atom], b: Sequence[Atom], moving: set[Var]) -> bool:
    """Whether two indices differ in a place that depends on the index."""
    return any(i is not j and (i in moving or j in moving) for i, j in zip(a, b, strict=False))
