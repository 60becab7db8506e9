"""Stores that another store to the same cell overwrites before anyone could have seen them are left out."""

from __future__ import annotations

from chainrule.ir.nodes import Alloc, Block, Dim, Function, Incr, Let, Load, Node, Store, View
from chainrule.ir.walk import nodes_of, roots_of
from chainrule.transforms.simplify.facts import Facts
from chainrule.transforms.simplify.walk import Cell, block_of, cell_of, changed, inside

__all__ = ["without_overwritten"]


def without_overwritten(function: Function) -> Function:
    """`function` without stores that have no effect."""
    stores = sum(isinstance(n, Store) for n in nodes_of(function.body))
    return changed(function, body=_Stores(function).block(function.body)) if stores > 1 else function


class _Stores:
    def __init__(self, function: Function) -> None:
        self.facts = Facts(function)
        self.roots = roots_of(function)

    def block(self, block: Block) -> Block:
        unseen: dict[Cell, Store] = {}
        dead: set[Node] = set()
        for node in block:
            match node:
                case Store():
                    cell = cell_of(node)
                    if cell in unseen:
                        dead.add(unseen[cell])
                    unseen[cell] = node
                case Load() | Incr():
                    unseen = {cell: store for cell, store in unseen.items() if self.apart(node, store)}
                case Let() | Dim() | View() | Alloc():
                    pass
                case _:
                    unseen = {}
        return block_of([inside(n, self.block) for n in block if n not in dead], block)

    def apart(self, node: Load | Incr, store: Store) -> bool:
        """Whether `node` is known not to see what `store` wrote."""
        if self.roots[node.array] is not self.roots[store.array]:
            return True
        return node.array is store.array and self.facts.distinct(node.index, store.index)
