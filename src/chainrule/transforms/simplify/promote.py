"""Cells that a loop only adds up in or updates become scalars that it carries: ``c[i] += …`` in a loop over j.

The cell is read before the loop and stored after it. It must be named by the same array and index everywhere in the
loop, outside of loops nested there, and proved to be another than all other cells of that memory that the loop
touches. Because the loop may not be entered, the cell must be in bounds: by proof, or because it is used just before
or after; else all of it goes under a test whether the loop is entered. A loop that may fail keeps its stores to the
caller's arrays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from chainrule.ir.nodes import (
    Array,
    Atom,
    Block,
    Carry,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import blocks, defines, nodes_of, reads, roots_of
from chainrule.transforms.simplify.facts import Facts
from chainrule.transforms.simplify.held import Held, entered, named
from chainrule.transforms.simplify.walk import (
    Access,
    Cell,
    Substitution,
    block_of,
    bounds_of,
    cell_of,
    changed,
    fails,
    has_loops,
    once,
)

__all__ = ["promoted"]

_BLOCKS: dict[type[Node], tuple[str, ...]] = {For: ("body",), While: ("head", "body")}
_MOST_CELLS = 16  # of one array in one loop are told apart


def promoted(function: Function) -> Function:
    """`function` with cells that keep their place in a loop carried by it."""
    if not has_loops(function):
        return function
    promoter = _Promoter(function)
    made = changed(function, body=promoter.block(function.body, frozenset()))
    if made is function:
        return function
    return dataclasses.replace(
        made, body=promoter.values.block(made.body), results=promoter.values.all(function.results)
    )


class _Accesses:
    """How a loop uses memory."""

    def __init__(self, loop: For | While, roots: dict[Var, Var]) -> None:
        self.by_root: dict[Var, dict[Cell, list[Access]]] = {}
        self.spoiled: set[Var] = set()  # roots that more than single cells are used of
        self.inside: set[object] = {c.param for c in loop.carries}
        self.fails = any(map(fails, blocks(loop)))
        if isinstance(loop, For):
            self.inside.add(loop.index)
        for node in nodes_of(*blocks(loop)):
            self.inside.update(defines(node))
            if isinstance(node, Access):
                cells = self.by_root.setdefault(roots[node.array], {})
                cells.setdefault(cell_of(node), []).append(node)
            elif not isinstance(node, Dim):
                self.spoiled.update(roots[a] for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array))
        self.direct = {n for n in once(loop) if isinstance(n, Access)}


class _Promoter:
    def __init__(self, function: Function) -> None:
        self.facts = Facts(function)
        self.roots = roots_of(function)
        self.params = set(function.params)
        self.values = Substitution()

    def block(self, block: Block, used: Iterable[Cell]) -> Block:
        """The block with its loops promoted from the innermost out; cells `used` before are in bounds."""
        nodes: list[Node] = []
        before = set(used)
        for k, node in enumerate(block.nodes):
            match node:
                case If(then=then, orelse=orelse):
                    then, orelse = self.block(then, before), self.block(orelse, before)
                    nodes.append(changed(node, then=then, orelse=orelse))
                case For(body=body) | While(body=body):
                    valid = before | _used_next(block.nodes, k + 1)
                    inner = self.block(body, before if fails(body) else valid)
                    nodes += self.loop(changed(node, body=inner), valid)
                case _:
                    nodes.append(node)
            if isinstance(nodes[-1], Access):
                before.add(cell_of(nodes[-1]))
        return block_of(nodes, block)

    def loop(self, loop: For | While, valid: set[Cell]) -> list[Node]:
        """`loop` between the loads and the stores of the cells that it carries now."""
        if not any(isinstance(n, (Store, Incr)) for n in once(loop)):
            return [loop]
        accesses = _Accesses(loop, self.roots)
        firsts = {
            cell: found[0]
            for root, cells in accesses.by_root.items()
            if root not in accesses.spoiled and len(cells) <= _MOST_CELLS
            if not (accesses.fails and root in self.params)
            for cell, found in cells.items()
            if self.carried(found, cells, accesses)
        }
        doubtful = [c for c, n in firsts.items() if c not in valid and not self.facts.inside(c.array, n.index)]
        bounds = bounds_of(loop)
        sure = set() if bounds is None else {cell_of(n) for n in loop.body if isinstance(n, Access)}
        for cell in doubtful:
            if cell not in sure:
                del firsts[cell]
        if not firsts:
            return [loop]
        nodes = self.carrying(loop, firsts)
        if bounds is None or sure.isdisjoint(doubtful) or self.facts.compared("less", *bounds):
            return nodes
        return entered(loop, bounds, nodes)

    def carrying(self, loop: For | While, firsts: dict[Cell, Access]) -> list[Node]:
        """`loop` with the cells as carries, between their loads and stores."""
        loads = [Load(named(n), n.array, n.index, line=n.line) for n in firsts.values()]
        params = [named(n) for n in firsts.values()]
        state: dict[Cell, Atom] = dict(zip(firsts, params, strict=True))
        held = Held(cell_of, self.values)
        bodies = {name: held.through(getattr(loop, name), state) for name in _BLOCKS[type(loop)]}
        carries = [
            Carry(param, load.out, after, named(load))
            for param, load, after in zip(params, loads, state.values(), strict=True)
        ]
        made = dataclasses.replace(loop, carries=[*loop.carries, *carries], **bodies)  # type: ignore[arg-type]
        stores = [Store(n.array, n.index, c.out, line=n.line) for c, n in zip(carries, loads, strict=True)]
        return [*loads, made, *stores]

    def carried(self, found: Sequence[Access], cells: dict[Cell, list[Access]], accesses: _Accesses) -> bool:
        """Whether the accesses `found` are of a cell that can be carried."""
        first = found[0]
        return (
            accesses.inside.isdisjoint((first.array, *first.index))
            and any(not isinstance(n, Load) for n in found)
            and any(not isinstance(n, Store) for n in found)
            and accesses.direct.issuperset(found)
            and all(
                other is found or (other[0].array is first.array and self.facts.distinct(first.index, other[0].index))
                for other in cells.values()
            )
        )


def _used_next(nodes: Sequence[Node], start: int) -> set[Cell]:
    """The cells that are used right after: whatever happens they are in bounds, or the program is in error."""
    used = set()
    for node in nodes[start:]:
        if isinstance(node, Access):
            used.add(cell_of(node))
        elif not isinstance(node, (Let, View, Dim)):
            break
    return used
