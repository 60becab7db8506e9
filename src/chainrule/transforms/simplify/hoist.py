"""Out of loops: what an iteration computes and the one before it computed the same.

Moved in front of the loop are arithmetic, extents, views, and loads of what the loop does not write to; also out of
branches. None of it can fail or be out of bounds where the loop or the branch is not entered, unless it stands under
a test that it is. Integers and truth values stay, unless what moves reads them: the compiler moves them itself, and
they read best where they are used.
"""

from __future__ import annotations

from chainrule.ir.nodes import Atom, Block, Dim, For, Function, If, Let, Load, Node, Slice, Var, View, While
from chainrule.ir.walk import blocks, defines, effects, nodes_of, reads, roots_of
from chainrule.transforms.simplify.facts import Facts
from chainrule.transforms.simplify.walk import block_of, bounds_of, changed, has_loops, once

__all__ = ["hoisted"]

# The integer operations that have a result for all operands.
_TOTAL = frozenset({"add", "subtract", "multiply", "negative", "absolute", "floor_divide", "remainder", "where"})
_STAYING = frozenset({"int64", "bool"})


def hoisted(function: Function) -> Function:
    """`function` with what does not change in a loop computed before it."""
    return changed(function, body=_Hoister(function).block(function.body)) if has_loops(function) else function


class _Hoister:
    def __init__(self, function: Function) -> None:
        self.facts = Facts(function)
        self.roots = roots_of(function)
        self.tests = {n.out: n.args for n in nodes_of(function.body) if isinstance(n, Let) and n.op == "less"}
        self.ordered: list[tuple[Atom, ...]] = []  # pairs of which the first is less where we are

    def block(self, block: Block) -> Block:
        nodes: list[Node] = []
        for node in block:
            match node:
                case If(test=test, then=then, orelse=orelse):
                    self.ordered.append(self.tests.get(test, ()))  # type: ignore[arg-type]
                    then = self.block(then)
                    self.ordered.pop()
                    nodes.append(changed(node, then=then, orelse=self.block(orelse)))
                case For(body=body):
                    nodes += self.loop(changed(node, body=self.block(body)))
                case While(head=head, body=body):
                    nodes += self.loop(changed(node, head=self.block(head), body=self.block(body)))
                case _:
                    nodes.append(node)
        return block_of(nodes, block)

    def loop(self, loop: For | While) -> list[Node]:
        """What moves in front of `loop`, and the loop without it."""
        inside: set[Atom] = {c.param for c in loop.carries}
        if isinstance(loop, For):
            inside.add(loop.index)
        written = {self.roots[array] for array in effects(loop)}
        bounds = bounds_of(loop)
        entered = bounds is not None and (bounds in self.ordered or self.facts.compared("less", *bounds))
        sure = set(blocks(loop)[0]) if entered else set()
        movable: list[Node] = []
        for node in once(loop):
            if inside.isdisjoint(reads(node)) and self.free(node, written, node in sure):
                movable.append(node)
            else:
                inside.update(defines(node))
        wanted: set[Node] = set()
        needed: set[Atom] = set()
        for node in reversed(movable):
            (out,) = defines(node)
            if out in needed or not (isinstance(node, Let) and node.out.type.dtype in _STAYING):
                wanted.add(node)
                needed.update(reads(node))
        return [*(n for n in movable if n in wanted), _without(loop, wanted)]

    def free(self, node: Node, written: set[Var], sure: bool) -> bool:
        """Whether `node` gives the same in all iterations, and may run where it does not; it does if that is `sure`."""
        match node:
            case Let(op=op, out=out):
                return out.type.dtype != "int64" or op in _TOTAL or (op == "cast" and node.args[0].type.dtype == "bool")
            case Dim():
                return True
            case Load(array=array, index=index):
                return self.roots[array] not in written and (sure or self.facts.inside(array, index))
            case View(kind="index", array=array, items=items):
                return sure or all(
                    item is None or isinstance(item, Slice) or self.facts.within(array, axis, item)
                    for axis, item in enumerate(i for i in items if i is not None)
                )
            case View(kind=kind):
                return kind == "transpose"
        return False


def _without(node: Node, moved: set[Node]) -> Node:
    """`node` without the statements `moved` in it."""

    def rest(block: Block) -> Block:
        return block_of([_without(n, moved) if isinstance(n, If) else n for n in block if n not in moved], block)

    match node:
        case If():
            return changed(node, then=rest(node.then), orelse=rest(node.orelse))
        case For():
            return changed(node, body=rest(node.body))
        case While():
            return changed(node, head=rest(node.head), body=rest(node.body))
    return node
