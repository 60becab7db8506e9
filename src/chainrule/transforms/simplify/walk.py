"""What several passes ask of a program: cells by their names, a loop's own statements, copies under the same names.

A pass returns the very program, block or statement that it was given where it finds nothing to do: `changed` and
`block_of` see to that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from operator import is_
from typing import Any, NamedTuple, TypeVar

from chainrule.ir.nodes import (
    Atom,
    Block,
    Call,
    Check,
    Const,
    For,
    Function,
    If,
    Incr,
    Load,
    Node,
    Op,
    Raise,
    Store,
    Var,
    While,
)
from chainrule.ir.walk import Renaming, blocks, nodes_of, reads
from chainrule.transforms.simplify.facts import key

__all__ = [
    "Access",
    "Cell",
    "Substitution",
    "block_of",
    "bounds_of",
    "cell_of",
    "changed",
    "fails",
    "has_loops",
    "inside",
    "once",
    "touching",
]

Access = Load | Store | Incr
_T = TypeVar("_T", bound=Node | Function)


class Cell(NamedTuple):
    """A place in memory by its name."""

    array: Var
    keys: tuple[object, ...]


def cell_of(node: Access) -> Cell:
    return Cell(node.array, tuple(map(key, node.index)))


def changed(thing: _T, **parts: Any) -> _T:
    """`thing` with other `parts`; itself if they are the ones it has."""
    for name, part in parts.items():
        if not _same(getattr(thing, name), part):
            return dataclasses.replace(thing, **parts)
    return thing


def _same(old: Any, new: Any) -> bool:
    if old is new or type(old) not in (tuple, list):
        return old is new
    return len(old) == len(new) and all(map(is_, old, new))


def block_of(nodes: list[Node], block: Block) -> Block:
    """A block of `nodes`; `block` if they are its own."""
    return block if nodes == block.nodes else Block(nodes)


def inside(node: Node, block: Callable[[Block], Block]) -> Node:
    """`node` with what `block` makes of its branches or its body; itself if that is what it has."""
    match node:
        case If(then=then, orelse=orelse):
            return changed(node, then=block(then), orelse=block(orelse))
        case For(body=body) | While(body=body):
            return changed(node, body=block(body))
    return node


def touching(block: Block, arrays: Iterable[Var]) -> dict[Var, list[Node]]:
    """The statements in `block`, and in the blocks in it, that have to do with each of `arrays`, in their order."""
    found: dict[Var, list[Node]] = {a: [] for a in arrays}
    for node in nodes_of(block):
        for array in found.keys() & set(reads(node)):
            found[array].append(node)
    return found


def has_loops(function: Function) -> bool:
    return any(isinstance(n, (For, While)) for n in nodes_of(function.body))


def once(node: Node) -> Iterator[Node]:
    """The statements of a loop or branch, without those in loops nested in it; an `If` after what is in it."""
    for block in blocks(node):
        for inner in block:
            if isinstance(inner, If):
                yield from once(inner)
            yield inner


def fails(block: Block) -> bool:
    """Whether what is in `block` may raise on its own account."""
    return any(isinstance(n, (Raise, Check, Call, Op)) for n in nodes_of(block))


def bounds_of(loop: Node) -> tuple[Atom, Atom] | None:
    """The two that are in order if `loop` is entered, for a loop that then goes through its body to the end."""
    if not isinstance(loop, For) or not isinstance(loop.step, Const) or fails(loop.body):
        return None
    return (loop.lower, loop.upper) if loop.step.value > 0 else (loop.upper, loop.lower)


class Substitution(Renaming):
    """Copies nodes under their own names; variables that are used become what `atoms` says, and that in turn."""

    def atom(self, atom: Any) -> Any:
        while isinstance(atom, Var):
            other = self.atoms.get(atom)
            if other is None:
                break
            atom = other
        return atom

    def new(self, var: Var) -> Var:
        return var
