"""What one branch has computed is handed to later branches on the same test, which would compute it again.

So are the results of divisions and elementary functions; what costs no more than keeping a number is computed again.
Later branches are those that the first one is run before: in its block, or in the blocks that stand there.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.build import boolean, constant
from chainrule.ir.nodes import Block, Const, Function, If, Let, Merge, Node, Var
from chainrule.ir.ops import CHEAP, FLOATS
from chainrule.ir.walk import blocks, nodes_of
from chainrule.transforms.simplify.numbers import Numbers
from chainrule.transforms.simplify.walk import Substitution, changed

__all__ = ["handed_on"]

_Name = tuple[Var, bool, object]  # a test, what it is, and a number


def handed_on(function: Function) -> Function:
    """`function` with branches that get from earlier ones what those have computed."""
    if sum(isinstance(n, If) for n in nodes_of(function.body)) < 2:
        return function
    search = _Search()
    search.block(function.body)
    return changed(function, body=_Handing(search).block(function.body)) if search.handed else function


def _is_costly(node: Node) -> bool:
    return isinstance(node, Let) and node.op not in CHEAP and node.out.type.dtype in FLOATS


class _Search:
    """Goes through a function in its order and finds what is computed again."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.known: dict[Var, Const] = {}  # the tests around
        self.found: dict[_Name, tuple[If, Var]] = {}  # what the branches before have computed
        self.handed: dict[Var, Var] = {}  # by what is computed again: what it is, outside of the branch
        self.merges: dict[If, dict[Var, Merge]] = {}  # by what they hand on

    def block(self, block: Block) -> None:
        names: list[_Name] = []
        for node in block:
            match node:
                case Let():
                    self.let(node)
                case If(test=Var()):
                    names += self.branch(node)
                case _:
                    for inner in blocks(node):
                        self.block(inner)
        for name in names:
            del self.found[name]

    def let(self, node: Let) -> None:
        self.numbers.define(node.out, self.numbers.name(node.op, node.args, node.out.type, self.known))
        if _is_costly(node):
            number = self.numbers.of(node.out)
            found = (self.found.get((test, value.value, number)) for test, value in self.known.items())
            source = next(filter(None, found), None)
            if source is not None:
                self.handed[node.out] = self.outside(*source)

    def branch(self, node: If) -> list[_Name]:
        """Go through both sides; what they have computed is to be had for what follows."""
        known, names = self.known, []
        assert isinstance(node.test, Var)
        for block, value in ((node.then, True), (node.orelse, False)):
            self.known = {**known, node.test: boolean(value)}
            self.block(block)
            for inner in block:
                if isinstance(inner, Let) and _is_costly(inner):
                    name = node.test, value, self.numbers.of(inner.out)
                    if name not in self.found:
                        self.found[name] = node, inner.out
                        names.append(name)
        self.known = known
        for merge in node.merges:
            self.numbers.merge(node.test, merge)
        return names

    def outside(self, branch: If, var: Var) -> Var:
        """`var`, which `branch` computes, after it."""
        for merge in branch.merges:
            if var in (merge.then, merge.orelse):
                return merge.out
        made = self.merges.setdefault(branch, {})
        if var not in made:
            nothing = constant(0, var.type.dtype)  # the way back may keep it: it must be a number
            sides = (var, nothing) if any(var is n.out for n in branch.then if isinstance(n, Let)) else (nothing, var)
            made[var] = Merge(Var(var.hint, var.type), *sides)
        return made[var].out


class _Handing(Substitution):
    def __init__(self, search: _Search) -> None:
        super().__init__(dict(search.handed))
        self.merges = search.merges

    def block(self, block: Block) -> Block:
        return Block([self.node(n) for n in block if not (isinstance(n, Let) and n.out in self.atoms)])

    def node(self, node: Node) -> Node:
        made = super().node(node)
        if isinstance(node, If) and isinstance(made, If) and node in self.merges:
            return dataclasses.replace(made, merges=[*made.merges, *self.merges[node].values()])
        return made
