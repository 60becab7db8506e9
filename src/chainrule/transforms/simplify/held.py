"""Cells of memory as values: what a block becomes if a loop carries cells that it reads and writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

from chainrule.ir.nodes import Atom, Block, Const, For, If, Let, Load, Merge, Node, Scalar, Store, Var, While
from chainrule.transforms.simplify.walk import Access, Substitution

__all__ = ["Held", "entered", "named"]

_Cell = TypeVar("_Cell")


def named(node: Access) -> Var:
    """A variable for what a cell holds: ``b_i`` for ``b[i]``."""
    index = (i.hint if isinstance(i, Var) else str(i.value) if isinstance(i, Const) else "" for i in node.index)
    return Var("_".join((node.array.hint, *index)).replace("-", "m"), Scalar(node.array.type.dtype))


def entered(loop: For | While, bounds: tuple[Atom, Atom], nodes: list[Node]) -> list[Node]:
    """`nodes`, what has become of `loop`, under a test that it is entered."""
    test = Let(Var("t", Scalar("bool")), "less", bounds, line=loop.line)
    renaming = {c.out: Var(c.out.hint, c.out.type) for c in loop.carries}
    merges = [Merge(c.out, renaming[c.out], c.init) for c in loop.carries]
    for k, node in enumerate(nodes):
        if isinstance(node, For):
            carries = [dataclasses.replace(c, out=renaming.get(c.out, c.out)) for c in node.carries]
            nodes[k] = dataclasses.replace(node, carries=carries)
    return [test, If(test.out, Block(nodes), Block(), merges, line=loop.line)]


class Held(Generic[_Cell]):
    """Rewrites blocks; `cell_of` names the cell of an access, `values` gets what loads have become."""

    def __init__(self, cell_of: Callable[[Access], _Cell | None], values: Substitution) -> None:
        self.cell_of, self.values = cell_of, values

    def through(self, block: Block, state: dict[_Cell, Atom]) -> Block:
        """The block on values instead of cells; `state` has their values before it, and then after it."""
        nodes: list[Node] = []
        for node in block:
            cell = self.cell_of(node) if isinstance(node, Access) else None
            if isinstance(node, If):
                nodes.append(self._branch(node, state))
            elif not isinstance(node, Access) or cell is None or cell not in state:
                nodes.append(node)
            elif isinstance(node, Load):
                self.values.atoms[node.out] = state[cell]
            elif isinstance(node, Store):
                state[cell] = node.value
            else:
                out = named(node)
                nodes.append(Let(out, "add", (state[cell], node.value), line=node.line))
                state[cell] = out
        return Block(nodes)

    def _branch(self, node: If, state: dict[_Cell, Atom]) -> If:
        then, orelse = dict(state), dict(state)
        first, second = self.through(node.then, then), self.through(node.orelse, orelse)
        merges = []
        for cell, before in state.items():
            if then[cell] is not orelse[cell]:
                assert isinstance(before.type, Scalar)
                out = Var(before.hint if isinstance(before, Var) else "cell", before.type)
                merges.append(Merge(out, then[cell], orelse[cell]))
                state[cell] = out
            else:
                state[cell] = then[cell]
        return dataclasses.replace(node, then=first, orelse=second, merges=[*node.merges, *merges])
