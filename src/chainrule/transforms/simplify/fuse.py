"""Loops over the same range become one where that saves an array between them.

A loop that stores to an array what only the next one loads, each iteration a cell of its own, is joined with it: the
values are then forwarded, and the array dies with its stores. Every iteration does what it did, and what it did it
with is there: memory that one of the loops writes to and both touch is touched by both at cells that no two iterations
share. Loops that may raise, print, or make an array larger stay apart.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.nodes import (
    Alloc,
    Array,
    Block,
    Carry,
    Check,
    Const,
    Dim,
    For,
    Function,
    If,
    Let,
    Node,
    Print,
    Raise,
    Reserve,
    Var,
    View,
    While,
)
from chainrule.ir.walk import defines, nodes_of, reads
from chainrule.transforms.indices import Indices, same
from chainrule.transforms.order import Accesses
from chainrule.transforms.places import Places
from chainrule.transforms.simplify.walk import Substitution, inside

__all__ = ["fused", "joined", "shared"]


def fused(function: Function) -> Function:
    """`function` with loops joined that hand an array over."""
    if not any(isinstance(n, Alloc) for n in nodes_of(function.body)):
        return function
    fuser = _Fuser(function)
    body = fuser.block(function.body)
    return dataclasses.replace(function, body=body) if fuser.joined else function


class _Fuser:
    def __init__(self, function: Function) -> None:
        self.places = Places(function)
        self.indices = Indices(self.places)
        self.joined = False
        self.users: dict[Var, set[Node]] = {}  # memory -> the statements that touch its elements
        returned = {self.places.memory(r) for r in function.results if isinstance(r, Var) and _is_array(r)}
        self.lasting = returned | set(self.places.reserved)
        self.lasting |= set(self.places.merged.values())
        for node in nodes_of(function.body):
            if node in self.places.positions and not isinstance(node, (Dim, View, If, For, While)):
                for atom in reads(node):
                    if isinstance(atom, Var) and _is_array(atom):
                        self.users.setdefault(self.places.memory(atom), set()).add(node)

    def block(self, block: Block) -> Block:
        made, rest = Block(), list(block.nodes)
        while rest:
            node = rest.pop(0)
            at = self._partner(node, rest) if isinstance(node, For) else None
            if at is None:
                made.nodes.append(inside(node, self.block))
                continue
            made.nodes += rest[:at]
            made.nodes.append(joined(node, rest[at]))  # type: ignore[arg-type]
            del rest[: at + 1]
            self.joined = True
        return made

    def _partner(self, loop: For, rest: list[Node]) -> int | None:
        """Where the next loop is, if it is to be joined with this one; what stands between moves before both."""
        outs = set(defines(loop))
        for at, node in enumerate(rest):
            if isinstance(node, For):
                return at if self._fit(loop, node) else None
            if not isinstance(node, (Let, Dim, Alloc, View)) or not outs.isdisjoint(reads(node)):
                return None
        return None

    def _fit(self, first: For, second: For) -> bool:
        found = shared(first, second, self.indices)
        return found is not None and self._saves(*found, {*nodes_of(first.body), *nodes_of(second.body)})

    def _saves(self, one: Accesses, two: Accesses, inside: set[Node]) -> bool:
        """Whether an array is only there to hand something over."""
        return any(
            isinstance(self.places.places[m].node, Alloc) and m not in self.lasting and self.users[m] <= inside
            for m in one.written & two.read
        )


def _is_array(atom: object) -> bool:
    return isinstance(atom, Var) and isinstance(atom.type, Array)


def shared(first: For, second: For, indices: Indices) -> tuple[Accesses, Accesses] | None:
    """What two loops access that may become one if nothing stands between them."""
    bounds = zip((first.lower, first.upper, first.step), (second.lower, second.upper, second.step), strict=True)
    if not all(same(a, b) for a, b in bounds) or not isinstance(first.step, Const):
        return None
    inside = [*nodes_of(first.body), *nodes_of(second.body)]
    if any(isinstance(n, (Check, Print, Raise, Reserve)) for n in inside):
        return None
    outs = set(defines(first))
    if any(not outs.isdisjoint(reads(n)) for n in (second, *nodes_of(second.body))):
        return None
    one, two = Accesses(first, indices), Accesses(second, indices)
    if not (one.known and two.known):
        return None
    both = (one.written & (two.read | two.written)) | (two.written & one.read)
    return (one, two) if all(one.coordinates(m) & two.coordinates(m) for m in both) else None


def joined(first: For, second: For) -> For:
    """One loop that does what two do that may become one."""
    renaming = Substitution({second.index: first.index})
    body = Block([*first.body, *renaming.block(second.body)])
    carries = [Carry(c.param, c.init, renaming.atom(c.next), c.out) for c in second.carries]
    return dataclasses.replace(first, body=body, carries=[*first.carries, *carries])
