"""Loads out of branches: what a branch reads is read before it, where the cell is sure to exist.

Of ``if t: s += a[i] * b[j]`` a processor makes vectors if the test chooses between numbers, but not if it decides
whether memory is touched. That pays where iterations of a loop around run side by side (`interchange`) and some of
them take the branch, and only if the branch is left with numbers and with sums of all iterations. A cell exists if its
indices are proved to be in bounds, or if the same loop reads all such cells outside of any branch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from chainrule.ir.nodes import Atom, Block, Const, Dim, For, Function, If, Incr, Let, Load, Node, Var
from chainrule.ir.walk import blocks, defines, effects, nodes_of, roots_of
from chainrule.transforms.simplify.facts import Facts, key
from chainrule.transforms.simplify.walk import Substitution

__all__ = ["lifted"]


def lifted(function: Function, wanted: Collection[For]) -> tuple[Function, dict[For, For]]:
    """`function` with loads before branches in the loops that are `wanted`; and by these what they were.

    Examples
    --------
    >>> from chainrule.ir.build import INT, Builder, integer
    >>> from chainrule.ir.nodes import Array
    >>> from chainrule.ir.show import show
    >>> t, x, y = Var("t", Array("bool", 1)), Var("x", Array("float64", 1)), Var("y", Array("float64", 1))
    >>> i = Var("i", INT)
    >>> build, body, branch = Builder(), Builder(), Builder()
    >>> n = build.dim(x, 0)
    >>> branch.increment(y, [integer(0)], branch.load(x, i))
    >>> body.emit(If(body.load(t, i), branch.block, Block()))
    >>> loop = For(i, integer(0), n, integer(1), body.block)
    >>> build.emit(loop)
    >>> made, _ = lifted(Function("f", (t, x, y), build.block, ()), [loop])
    >>> print(show(made))
    f(t: bool[:], x: float64[:], y: float64[:])
        n_x = x.shape[0]
        for i in range(0, n_x, 1):
            t_2 = t[i]
            t_3 = x[i]
            if t_2:
                y[0] += t_3
            else:
                pass
        return
    """
    finder = _Finder(function)
    for loop in wanted:
        finder.search(loop)
    if not finder.loads:
        return function, {}
    writer = _Writer(finder)
    return dataclasses.replace(function, body=writer.block(function.body)), writer.former


class _Finder:
    """The loads that are to stand before the branches that they are in."""

    def __init__(self, function: Function) -> None:
        self.facts = Facts(function)
        self.roots = roots_of(function)
        self.loads: dict[If, list[Load]] = {}
        self.gone: set[Node] = set()
        self.plain: list[tuple[Load, list[For]]] = []  # in no branch, with the loops around

    def search(self, loop: For) -> None:
        self.plain = [(n, loops) for n, loops in _plain(loop.body, []) if isinstance(n, Load)]
        self.enter(loop.body, loop, [])

    def enter(self, block: Block, outer: For, loops: list[For]) -> None:
        for node in block:
            around = [*loops, node] if isinstance(node, For) else loops
            if isinstance(node, If):
                self.branch(node, outer, loops)
            for inner in blocks(node):
                self.enter(inner, outer, around)

    def branch(self, node: If, outer: For, around: list[For]) -> None:
        inside = nodes_of(*blocks(node))
        own = {v for n in inside for v in defines(n)}
        written = {self.roots[a] for a in effects(node)}
        loads = [n for n in inside if isinstance(n, Load)]
        others = [n for n in inside if not isinstance(n, (Load, Let, Dim, If))]
        if (
            all(isinstance(n, Incr) and outer.index not in n.index for n in others)
            and not any(self.roots[n.array] in written for n in loads)
            and all(own.isdisjoint((n.array, *n.index)) and self.exists(n, around) for n in loads)
            and self.gone.isdisjoint(loads)
            and loads
        ):
            self.loads[node] = loads
            self.gone.update(loads)

    def exists(self, load: Load, around: list[For]) -> bool:
        """Whether the cell is there even if the branch is not taken."""
        if self.facts.inside(load.array, load.index):
            return True
        return any(other.array is load.array and self.covers(other, loops, load, around) for other, loops in self.plain)

    def covers(self, other: Load, loops: list[For], load: Load, around: list[For]) -> bool:
        """Whether `other`, run in all rounds of `loops`, reads every cell that `load` may read in those `around`."""
        used = set(around)
        for a, b in zip(load.index, other.index, strict=True):
            if key(a) == key(b):
                continue
            mine, its = self.loop_of(a), self.loop_of(b)
            if mine is None or its is None or its not in loops or self.span(mine) != self.span(its):
                return False
            used.add(its)
        return used.issuperset(loops)

    def loop_of(self, atom: Atom) -> For | None:
        return self.facts.loops.get(atom) if isinstance(atom, Var) else None

    def span(self, loop: For) -> object:
        """The numbers that the index of a loop is."""
        lower, upper, step = self.facts.sum(loop.lower), self.facts.sum(loop.upper), loop.step
        if isinstance(step, Const) and step.value == 1:
            return lower, upper
        if isinstance(step, Const) and step.value == -1:
            return self.facts.sum(loop.upper, 1), self.facts.sum(loop.lower, 1)
        return loop


def _plain(block: Block, loops: list[For]) -> Iterator[tuple[Node, list[For]]]:
    """What is in no branch in `block`, with the loops around."""
    for node in block:
        yield node, loops
        if isinstance(node, For):
            yield from _plain(node.body, [*loops, node])


class _Writer(Substitution):
    """Writes the function; `former` is what its loops were."""

    def __init__(self, finder: _Finder) -> None:
        super().__init__()
        self.loads, self.gone = finder.loads, finder.gone
        self.former: dict[For, For] = {}

    def block(self, block: Block) -> Block:
        made: list[Node] = []
        for node in block:
            if isinstance(node, If):
                made += [super(_Writer, self).node(load) for load in self.loads.get(node, ())]
            if node not in self.gone:
                made.append(self.node(node))
        return Block(made)

    def node(self, node: Node) -> Node:
        made = super().node(node)
        if isinstance(node, For):
            assert isinstance(made, For)
            self.former[made] = node
        return made
