"""What several passes ask of a program: cells by their names, a loop's own statements, copies under the same names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from chainrule.ir.nodes import If, Incr, Load, Node, Store, Var
from chainrule.ir.walk import Renaming, blocks
from chainrule.transforms.simplify.facts import key

__all__ = ["Access", "Cell", "Substitution", "cell_of", "once"]

Access = Load | Store | Incr


class Cell(NamedTuple):
    """A place in memory by its name."""

    array: Var
    keys: tuple[object, ...]


def cell_of(node: Access) -> Cell:
    return Cell(node.array, tuple(map(key, node.index)))


def once(node: Node) -> Iterator[Node]:
    """The statements of a loop or branch, without those in loops nested in it; an `If` after what is in it."""
    for block in blocks(node):
        for inner in block:
            if isinstance(inner, If):
                yield from once(inner)
            yield inner


class Substitution(Renaming):
    """Copies nodes under their own names; variables that are used become what `atoms` says, and that in turn."""

    def atom(self, atom: Any) -> Any:
        while isinstance(atom, Var) and atom in self.atoms:
            atom = self.atoms[atom]
        return atom

    def new(self, var: Var) -> Var:
        return var
