"""Loops in branches become branches in loops, in which iterations of a loop around may run side by side.

``for i: if t: (a; for j: b)`` computes what ``for i: (if t: a); for j: (if t: b)`` does, if the bounds of the loop over
j do not hang on the branch; where iterations over i run side by side (`interchange`) a branch must not hold a loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from chainrule.ir.build import constant
from chainrule.ir.nodes import Array, Atom, Block, Dim, For, Function, If, Incr, Let, Load, Merge, Node, Store, Var
from chainrule.ir.walk import blocks, defines, nodes_of, reads
from chainrule.transforms.simplify.walk import Substitution, block_of, inside

__all__ = ["sunk"]

_PLAIN = (Let, Load, Store, Incr, Dim, If)


def sunk(function: Function, wanted: Callable[[For], bool]) -> tuple[Function, dict[For, For]]:
    """`function` with branches in loops in place of loops in branches, within loops that are `wanted`; and by the
    loops around these what they were.

    Examples
    --------
    >>> from chainrule.ir.build import INT, Builder, integer
    >>> from chainrule.ir.show import show
    >>> t, c, n = Var("t", Array("bool", 1)), Var("c", Array("float64", 1)), Var("n", INT)
    >>> i, j, outer, inner, branch = Var("i", INT), Var("j", INT), Builder(), Builder(), Builder()
    >>> inner.increment(c, [j], constant(1.0))
    >>> branch.emit(For(j, integer(0), n, integer(1), inner.block))
    >>> outer.emit(If(outer.load(t, i), branch.block, Block()))
    >>> loop = For(i, integer(0), n, integer(1), outer.block)
    >>> made, _ = sunk(Function("f", (t, c, n), Block([loop]), ()), lambda loop: True)
    >>> print(show(made))
    f(t: bool[:], c: float64[:], n: int64)
        for i in range(0, n, 1):
            t_2 = t[i]
            for j in range(0, n, 1):
                if t_2:
                    c[j] += 1.0
                else:
                    pass
        return
    """
    if not any(isinstance(n, If) and _loops(n) for n in nodes_of(function.body)):
        return function, {}
    worker = _Sinker(wanted)
    body = worker.block(function.body)
    return (function, {}) if body is function.body else (dataclasses.replace(function, body=body), worker.former)


def _loops(branch: If) -> list[For]:
    return [n for n in nodes_of(branch.then, branch.orelse) if isinstance(n, For)]


class _Sinker:
    def __init__(self, wanted: Callable[[For], bool]) -> None:
        self.wanted = wanted
        self.within = False
        self.former: dict[For, For] = {}

    def block(self, block: Block) -> Block:
        return block_of([made for n in block for made in self.nodes(n)], block)

    def nodes(self, node: Node) -> list[Node]:
        if isinstance(node, For):
            outer, self.within = self.within, self.within or self.wanted(node)
            made = inside(node, self.block)
            self.within = outer
            if isinstance(made, For) and made is not node:
                self.former[made] = node
            return [made]
        made = inside(node, self.block)
        if isinstance(made, If) and self.within and _loops(made) and _is_divisible(made):
            return _divided(made)
        return [made]


def _is_divisible(branch: If) -> bool:
    """Whether the loops in a branch run alike whether it is taken or not, and all else is plain statements."""
    own = {v for b in blocks(branch) for n in b for v in defines(n)}
    for node in (n for b in blocks(branch) for n in b):
        if isinstance(node, For):
            if node.carries or node.parallel or not own.isdisjoint(reads(node)):
                return False
            if not all(isinstance(n, (*_PLAIN, For)) for n in nodes_of(node.body)):
                return False
        elif not all(isinstance(n, _PLAIN) for n in [node, *nodes_of(*blocks(node))]):
            return False
    inside = [branch, *(n for n in nodes_of(branch.then, branch.orelse) if isinstance(n, If))]
    return not any(isinstance(m.out.type, Array) for n in inside for m in n.merges)


def _divided(branch: If) -> list[Node]:
    """What a branch does, one loop or stretch of statements after the other."""
    renaming, made = Substitution(), list[Node]()
    for block, taken in ((branch.then, True), (branch.orelse, False)):
        stretch: list[Node] = []
        for node in block:
            if isinstance(node, For):
                made += _stretch(branch, taken, stretch, renaming)
                stretch = []
                inner = _branch(branch, taken, renaming.block(node.body).nodes, [])
                divided: list[Node] = _divided(inner) if _loops(inner) and _is_divisible(inner) else [inner]
                made.append(dataclasses.replace(node, body=Block(divided)))
            else:
                stretch.append(node)
        made += _stretch(branch, taken, stretch, renaming)
    if branch.merges:
        merges = [Merge(m.out, renaming.atom(m.then), renaming.atom(m.orelse)) for m in branch.merges]
        made.append(dataclasses.replace(branch, then=Block(), orelse=Block(), merges=merges))
    return made


def _branch(branch: If, taken: bool, nodes: list[Node], merges: list[Merge]) -> If:
    sides = (Block(nodes), Block()) if taken else (Block(), Block(nodes))
    return If(branch.test, *sides, merges, line=branch.line)


def _stretch(branch: If, taken: bool, nodes: list[Node], renaming: Substitution) -> list[Node]:
    """Statements in a branch of their own, which hands on what they define."""
    if not nodes:
        return []
    inner, merges = renaming.block(Block(nodes)).nodes, list[Merge]()
    others = [branch, *(n for n in nodes_of(branch.then, branch.orelse) if n not in nodes)]
    used = {a for n in others for a in reads(n)}
    for v in (v for n in nodes for v in defines(n) if v in used):
        none: Atom = constant(0, v.type.dtype)
        out = Var(v.hint, v.type)
        merges.append(Merge(out, v, none) if taken else Merge(out, none, v))
        renaming.atoms[v] = out
    return [_branch(branch, taken, inner, merges)]
