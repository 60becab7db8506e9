"""Which variables of a program may share a name: out of SSA form.

`Lives` walks a function backwards and records for every variable which others are alive where it is assigned: two
variables may be one name if neither is assigned while the other is alive. `share` joins what a loop or a branch
hands over (the parameter, the next value and the result of a carry; the sides and the result of a merge), so
that most of these copies vanish; those that remain are assignments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from chainrule.ir.nodes import Atom, Block, Carry, For, Function, If, Node, Var, While
from chainrule.ir.walk import blocks, defines, nodes_of, reads

__all__ = ["ANONYMOUS", "Lives", "share"]

ANONYMOUS = frozenset({"t", ""})  # hints of variables that the user has no name for


def _joinable(function: Function) -> Iterator[Var]:
    """The variables that another might share its name with: the user's, and those that are handed over."""
    yield from function.params
    for node in nodes_of(function.body):
        yield from (v for v in defines(node) if v.hint not in ANONYMOUS or isinstance(node, (For, While)))
        yield from (a for pair in _handed(node) for a in pair if isinstance(a, Var))
        if isinstance(node, For):
            yield node.index


class Lives:
    """The classes of variables that share a name, each represented by one, and what a class must not meet."""

    def __init__(self, function: Function) -> None:
        self.conflicts: dict[Var, set[Var]] = defaultdict(set)
        self.members: dict[Var, list[Var]] = {}
        self._joined: dict[Var, Var] = {}
        self._joinable = set(_joinable(function))
        alive = self._block(function.body, self._variables(function.results))
        for p in function.params:
            self._define(p, alive | set(function.params))

    def find(self, var: Var) -> Var:
        """The representative of the class of `var`."""
        while var in self._joined:
            var = self._joined[var]
        return var

    def hint(self, var: Var) -> str:
        """What the user calls a variable of the class of `var`."""
        members = self.members[self.find(var)]
        return next((v.hint for v in members if v.hint not in ANONYMOUS), members[0].hint)

    def join(self, first: Var, second: Var) -> bool:
        """Make the classes of two variables one, if they never hold different values at the same time."""
        first, second = self.find(first), self.find(second)
        if first is second:
            return True
        if first.type != second.type or second in self.conflicts[first]:
            return False
        self._joined[second] = first
        self.members[first] += self.members.pop(second)
        for other in self.conflicts.pop(second):
            self.conflicts[other].discard(second)
            self.conflicts[other].add(first)
            self.conflicts[first].add(other)
        return True

    # -- the walk

    def _variables(self, atoms: Iterable[Atom | None]) -> set[Var]:
        return self._joinable.intersection(a for a in atoms if isinstance(a, Var))

    def _define(self, var: Var, alive: set[Var], copied: Atom | None = None) -> None:
        """`var` is assigned while `alive` are alive; the value of `copied` is its own."""
        self.members.setdefault(var, [var])
        if var in self._joinable:
            others = alive - {var, copied}
            self.conflicts[var] |= others
            for other in others:
                self.conflicts[other].add(var)

    def _assign(self, pairs: list[tuple[Var, Atom]], alive: set[Var]) -> set[Var]:
        """Parallel assignments; return what is alive before them."""
        targets = {target for target, _ in pairs}
        for target, source in pairs:
            self._define(target, alive | targets, None if source in targets else source)
        return (alive - targets) | self._variables(source for _, source in pairs)

    def _block(self, block: Block, alive: set[Var]) -> set[Var]:
        """What is alive before `block`, of which `alive` is after it."""
        for node in reversed(block.nodes):
            alive = self._node(node, alive)
        return alive

    def _node(self, node: Node, alive: set[Var]) -> set[Var]:
        """What is alive before `node`; `alive` may become it."""
        match node:
            case If():
                before = self._variables([node.test])
                for block, side in ((node.then, "then"), (node.orelse, "orelse")):
                    pairs = [(m.out, getattr(m, side)) for m in node.merges]
                    before |= self._block(block, self._assign(pairs, alive))
                return before
            case For():
                return self._for(node, alive)
            case While():
                return self._while(node, alive)
        outs = defines(node)
        for v in outs:
            self._define(v, alive.union(outs) if len(outs) > 1 else alive)
        alive.difference_update(outs)
        alive |= self._variables(reads(node))
        return alive

    def _for(self, node: For, alive: set[Var]) -> set[Var]:
        around = self._around(node, alive)
        after = self._leave(node.carries, alive)
        inside = self._block(node.body, self._next(node.carries, around | after))
        self._define(node.index, inside | around | after | {c.param for c in node.carries})
        around |= self._variables([node.lower, node.upper, node.step])
        return self._enter(node.carries, around | (after - {c.param for c in node.carries}))

    def _while(self, node: While, alive: set[Var]) -> set[Var]:
        around = self._around(node, alive)
        after = self._leave(node.carries, alive)
        inside = self._block(node.body, self._next(node.carries, around | after))
        head = self._block(node.head, inside | around | after | self._variables([node.test]))
        params = {c.param for c in node.carries}
        return self._enter(node.carries, (head | around | after) - params)

    def _around(self, node: For | While, alive: set[Var]) -> set[Var]:
        """What lives through the loop: needed after it, or in every iteration."""
        inner = [n for block in blocks(node) for n in nodes_of(block)]
        own = {v for n in inner for v in defines(n)}
        own |= {c.param for n in (node, *inner) if isinstance(n, (For, While)) for c in n.carries}
        own |= {n.index for n in (node, *inner) if isinstance(n, For)}
        used = {v for n in inner for v in self._variables(reads(n))} | self._variables(c.next for c in node.carries)
        if isinstance(node, While):
            used |= self._variables([node.test])
        return (alive - {c.out for c in node.carries}) | (used - own)

    def _leave(self, carries: list[Carry], alive: set[Var]) -> set[Var]:
        """The results are the parameters where the loop ends, under another name; return what is alive there."""
        outs = {c.out for c in carries}
        for c in carries:
            self._define(c.out, alive | outs, c.param)
        return (alive - outs) | {c.param for c in carries if c.out in alive}

    def _next(self, carries: list[Carry], alive: set[Var]) -> set[Var]:
        """The end of the body."""
        return self._assign([(c.param, c.next) for c in carries], alive | {c.param for c in carries})

    def _enter(self, carries: list[Carry], alive: set[Var]) -> set[Var]:
        return self._assign([(c.param, c.init) for c in carries], alive)


def share(function: Function, alone: Collection[Var] = frozenset()) -> Lives:
    """The classes of `function`, where what loops and branches hand over is joined if it can be and is not `alone`."""
    lives = Lives(function)
    compound = [n for n in nodes_of(function.body) if isinstance(n, (If, For, While))]
    for node in compound:
        if not isinstance(node, If):
            for c in node.carries:
                lives.join(c.param, c.out)
    for node in compound:
        for target, source in _handed(node):
            if isinstance(source, Var) and source not in alone and _alike(lives.hint(target), lives.hint(source)):
                lives.join(target, source)
    return lives


def _handed(node: Node) -> Iterable[tuple[Var, Atom]]:
    if isinstance(node, If):
        for m in node.merges:
            yield m.out, m.then
            yield m.out, m.orelse
    elif isinstance(node, (For, While)):
        for c in node.carries:
            yield c.param, c.next
            yield c.param, c.init


def _alike(first: str, second: str) -> bool:
    """Whether variables of these hints may have one name as far as the reader is concerned."""
    return first == second or first in ANONYMOUS or second in ANONYMOUS
