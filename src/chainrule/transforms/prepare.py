"""A program made ready for its reverse: it writes to no argument, and its counted loops step by 1 or -1.

The result shares no variable with what it is made from.
"""

from __future__ import annotations

from typing import NamedTuple

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import Atom, Block, Const, Copy, For, Function, Node, Var
from chainrule.ir.walk import Renaming, find_writes

__all__ = ["Prepared", "prepare"]


class Prepared(NamedTuple):
    """`function`, its variables that carry derivatives, and its private copies of parameters."""

    function: Function
    carrying: frozenset[Var]
    private: dict[Var, Var]


def prepare(function: Function, carrying: frozenset[Var], owning: bool = True) -> Prepared:
    """`function` with loops with steps of 1 or -1, and private copies of the arrays it writes to if it is `owning`."""
    renaming = _UnitSteps()
    params = tuple(renaming.new(p) for p in function.params)
    written = find_writes(function) if owning else frozenset()
    private = {new: renaming.new(old) for old, new in zip(function.params, params, strict=True) if old in written}
    copies = [Copy(own, param, line=function.line) for param, own in private.items()]
    body = Block([*copies, *renaming.block(function.body)])
    grows = frozenset(new for old, new in zip(function.params, params, strict=True) if old in function.grows)
    made = Function(function.name, params, body, renaming.all(function.results), function.line, grows=grows)
    renamed = {new for old, new in renaming.atoms.items() if old in carrying and isinstance(new, Var)}
    return Prepared(made, frozenset(renamed.union(p for p, own in private.items() if own in renamed)), private)


class _UnitSteps(Renaming):
    """Copies nodes, and numbers the iterations of loops that make longer steps."""

    def block(self, block: Block) -> Block:
        made = Block()
        for node in block:
            if isinstance(node, For) and not _unit(node.step):
                made.nodes.extend(self._counted(node))
            else:
                made.nodes.append(self.node(node))
        return made

    def _counted(self, node: For) -> list[Node]:
        build = Builder()
        build.line = node.line
        lower, step = self.atom(node.lower), self.atom(node.step)
        last = build.let("add", build.let("subtract", self.atom(node.upper), lower), step)
        if isinstance(step, Const):
            toward: Atom = integer(1 if step.value > 0 else -1)
        else:
            toward = build.let("where", build.let("greater", step, integer(0)), integer(1), integer(-1))
        trips = build.let("floor_divide", build.let("subtract", last, toward), step)
        trips = build.let("maximum", trips, integer(0), hint="trips")
        enter, number = self.enter(node.carries), Var("k", INT)
        body = Builder()
        body.line = node.line
        self.atoms[node.index] = body.let("add", lower, body.let("multiply", number, step), hint=node.index.hint)
        body.block.nodes.extend(self.block(node.body).nodes)
        carries = self.leave(node.carries, enter)
        build.emit(For(number, integer(0), trips, integer(1), body.block, carries))
        return build.block.nodes


def _unit(step: Atom) -> bool:
    return isinstance(step, Const) and step.value in (1, -1)
