"""What every pass asks of a node: what it reads and defines, the blocks in it, and the node over other atoms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Any

from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Atom,
    Block,
    Call,
    Carry,
    Check,
    Const,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Line,
    Load,
    Merge,
    Node,
    Op,
    Print,
    Raise,
    Reserve,
    Slice,
    Store,
    Undef,
    Var,
    View,
    While,
)

__all__ = [
    "Renaming",
    "acts",
    "blocks",
    "defines",
    "effects",
    "find_writes",
    "free_variables",
    "growing",
    "grown",
    "is_number",
    "is_undef",
    "nodes_of",
    "reads",
    "roots_of",
    "settle_writes",
    "storage",
]


_OUT = (Let, Load, View, Alloc, Copy, Dim)
_LOOPS = (For, While)
_WRITING = frozenset({Store, Incr, AddInto, Reserve})
_ACTING = _WRITING | {Call}
_BEARING = frozenset({Alloc, Copy, Op, If, Call})


def _atoms(items: Iterable[Any]) -> tuple[Atom, ...]:
    """The atoms of a view's items."""
    found: list[Atom] = []
    for item in items:
        if isinstance(item, Slice):
            found += [bound for bound in item if bound is not None]
        elif item is not None:
            found.append(item)
    return tuple(found)


def _carried(carries: list[Carry]) -> tuple[Atom, ...]:
    return tuple([a for c in carries for a in (c.init, c.next)])


def _shown(parts: tuple[str | Atom, ...]) -> tuple[Atom, ...]:
    return tuple([p for p in parts if not isinstance(p, str)])


# The three questions that are asked most, by the kind of a node.
_READS: dict[type[Node], Callable[[Any], tuple[Atom, ...]]] = {
    **dict.fromkeys((Let, Op, Call), attrgetter("args")),
    Load: lambda n: (n.array, *n.index),
    **dict.fromkeys((Store, Incr), lambda n: (n.array, *n.index, n.value)),
    View: lambda n: (n.array, *_atoms(n.items)),
    Alloc: attrgetter("shape"),
    **dict.fromkeys((Copy, Dim), lambda n: (n.array,)),
    AddInto: attrgetter("array", "source"),
    Reserve: attrgetter("array", "size"),
    If: lambda n: (n.test, *[a for m in n.merges for a in (m.then, m.orelse)]),
    For: lambda n: (n.lower, n.upper, n.step, *_carried(n.carries)),
    While: lambda n: (n.test, *_carried(n.carries)),
    **dict.fromkeys((Raise, Print), lambda n: _shown(n.parts)),
    Check: lambda n: (n.test, *_shown(n.parts)),
}
_DEFINES: dict[type[Node], Callable[[Any], tuple[Var, ...]]] = {
    **dict.fromkeys(_OUT, lambda n: (n.out,)),
    **dict.fromkeys((Op, Call), attrgetter("outs")),
    If: lambda n: tuple([m.out for m in n.merges]),
    **dict.fromkeys(_LOOPS, lambda n: tuple([c.out for c in n.carries])),
}
_BLOCKS: dict[type[Node], Callable[[Any], tuple[Block, ...]]] = {
    If: attrgetter("then", "orelse"),
    For: lambda n: (n.body,),
    While: attrgetter("head", "body"),
}


def reads(node: Node) -> tuple[Atom, ...]:
    """The atoms `node` itself reads: not those in its blocks, but what its results and carries take from them."""
    return _READS[type(node)](node)


def defines(node: Node) -> tuple[Var, ...]:
    """The variables that `node` makes visible in its own block."""
    return _DEFINES[type(node)](node) if type(node) in _DEFINES else ()


def blocks(node: Node) -> tuple[Block, ...]:
    return _BLOCKS[type(node)](node) if type(node) in _BLOCKS else ()


def nodes_of(*blocks: Block) -> list[Node]:
    """All nodes of `blocks` and of the blocks nested in them, in order."""
    found: list[Node] = []
    for block in blocks:
        for node in block.nodes:
            found.append(node)
            if type(node) in _BLOCKS:
                found += nodes_of(*_BLOCKS[type(node)](node))
    return found


def storage(node: Node) -> tuple[Var, ...]:
    """The arrays that are born at `node`."""
    return tuple([v for v in defines(node) if isinstance(v.type, Array)]) if type(node) in _BEARING else ()


def roots_of(function: Function) -> dict[Var, Var]:
    """For every array of `function`, the array whose memory it is."""
    roots = {p: p for p in function.params if isinstance(p.type, Array)}
    for node in nodes_of(function.body):
        if isinstance(node, View):
            roots[node.out] = roots[node.array]
        elif type(node) in _BEARING:
            roots.update([(v, v) for v in storage(node)])
    return roots


def effects(node: Node) -> list[Var]:
    """The arrays `node` writes to, those in its blocks included. Calls write to no argument but what they say."""
    if type(node) in _WRITING:
        return [node.array]  # type: ignore[attr-defined]
    if type(node) in _BLOCKS:
        return [array for n in nodes_of(*blocks(node)) if type(n) in _ACTING for array in effects(n)]
    if isinstance(node, Call):
        pairs = zip(node.args, node.function.params, strict=True)
        return [a for a, p in pairs if p in node.function.writes]  # type: ignore[misc]
    return []


def growing(function: Function) -> set[Var]:
    """The arrays of `function` whose extent changes, and whose memory may move."""
    found = set(function.grows)
    for node in nodes_of(function.body):
        if isinstance(node, Reserve):
            found.add(node.array)
        elif isinstance(node, Call):
            found.update(grown(node))
    return found


def grown(call: Call) -> tuple[Var, ...]:
    """The arguments of a call that are longer arrays after it."""
    pairs = zip(call.args, call.function.params, strict=True)
    return tuple(a for a, p in pairs if p in call.function.grows)  # type: ignore[misc]


def acts(block: Block) -> bool:
    """Whether running `block` does more than computing values: it writes to memory, prints or raises."""
    return any(effects(n) for n in block) or any(isinstance(n, (Print, Raise)) for n in nodes_of(block))


class Renaming:
    """Copies nodes: variables defined in them become new ones, others what `atoms` says, or stay."""

    def __init__(self, atoms: dict[Var, Atom] | None = None) -> None:
        self.atoms: dict[Var, Atom] = dict(atoms or {})
        self.line: Line | None = None  # of nodes that have none

    def atom(self, atom: Any) -> Any:
        """The atom that stands for `atom`."""
        return self.atoms.get(atom, atom) if isinstance(atom, Var) else atom

    def all(self, atoms: Iterable[Any]) -> tuple[Any, ...]:
        return tuple([self.atom(a) for a in atoms])

    def new(self, var: Var) -> Var:
        made = Var(var.hint, var.type)
        self.atoms[var] = made
        return made

    def item(self, item: Any) -> Any:
        if isinstance(item, Slice):
            return Slice(*self.all(item))
        return self.atom(item)

    def block(self, block: Block) -> Block:
        return Block([self.node(n) for n in block])

    def node(self, node: Node) -> Node:
        a, many, line = self.atom, self.all, node.line or self.line
        match node:  # the most frequent ones first
            case Let():
                args = many(node.args)
                return Let(self.new(node.out), node.op, args, line=line)
            case Load():
                array, index = a(node.array), many(node.index)
                return Load(self.new(node.out), array, index, line=line)
            case Store() | Incr():
                return type(node)(a(node.array), many(node.index), a(node.value), line=line)
            case View():
                array, items = a(node.array), tuple(self.item(i) for i in node.items)
                return View(self.new(node.out), array, node.kind, items, line=line)
            case Alloc():
                shape = many(node.shape)
                return Alloc(self.new(node.out), shape, node.fill, node.kept, node.numbered, line=line)
            case Copy():
                array = a(node.array)
                return Copy(self.new(node.out), array, line=line)
            case AddInto():
                return AddInto(a(node.array), a(node.source), line=line)
            case Dim():
                array = a(node.array)
                return Dim(self.new(node.out), array, node.axis, line=line)
            case Reserve():
                return Reserve(a(node.array), a(node.size), line=line)
            case Op():
                args = many(node.args)
                return Op(tuple(self.new(v) for v in node.outs), node.op, args, line=line)
            case Call():
                args = many(node.args)
                return Call(tuple(self.new(v) for v in node.outs), node.function, args, line=line)
            case If():
                test = a(node.test)
                then, orelse = self.block(node.then), self.block(node.orelse)
                merges = [(m, a(m.then), a(m.orelse)) for m in node.merges]
                return If(test, then, orelse, [Merge(self.new(m.out), t, e) for m, t, e in merges], line=line)
            case For():
                lower, upper, step = a(node.lower), a(node.upper), a(node.step)
                enter = self.enter(node.carries)
                counter = self.new(node.index)
                body = self.block(node.body)
                return For(counter, lower, upper, step, body, self.leave(node.carries, enter), line=line)
            case While():
                enter = self.enter(node.carries)
                head = self.block(node.head)
                test = a(node.test)
                body = self.block(node.body)
                return While(head, test, body, self.leave(node.carries, enter), line=line)
            case Raise():
                return Raise(node.exception, many(node.parts), line=line)
            case Print():
                return Print(many(node.parts), line=line)
            case Check():
                return Check(a(node.test), node.exception, many(node.parts), line=line)
        raise AssertionError(node)

    def enter(self, carries: list[Carry]) -> list[tuple[Var, Atom]]:
        inits = self.all(c.init for c in carries)
        return [(self.new(c.param), init) for c, init in zip(carries, inits, strict=True)]

    def leave(self, carries: list[Carry], entered: list[tuple[Var, Atom]]) -> list[Carry]:
        nexts = self.all(c.next for c in carries)
        return [
            Carry(param, init, after, self.new(c.out))
            for c, (param, init), after in zip(carries, entered, nexts, strict=True)
        ]


def is_number(atom: Atom, value: float) -> bool:
    """Whether `atom` is the constant `value`."""
    return isinstance(atom, Const) and not isinstance(atom.value, bool) and atom.value == value


def is_undef(atom: Atom) -> bool:
    return isinstance(atom, Undef)


def find_writes(function: Function) -> frozenset[Var]:
    """The array parameters of `function` whose memory it writes to."""
    roots = roots_of(function)
    written = {roots[a] for node in function.body for a in effects(node)}
    return frozenset(p for p in function.params if p in written)


def settle_writes(functions: Collection[Function]) -> None:
    """Let functions that may call each other list the parameters they write to, and no others."""
    for function in functions:
        function.writes = function.grows
    changed = True
    while changed:
        changed = False
        for function in functions:
            writes = find_writes(function) | function.grows
            if writes != function.writes:
                function.writes, changed = writes, True


def free_variables(function: Function) -> list[Var]:
    """The variables that `function` reads and does not define, in the order of first use."""
    bound: set[Var] = set(function.params)
    for node in nodes_of(function.body):
        bound.update(defines(node))
        if isinstance(node, (For, While)):
            bound.update(c.param for c in node.carries)
        if isinstance(node, For):
            bound.add(node.index)
    used = [a for node in nodes_of(function.body) for a in reads(node)] + list(function.results)
    return list(dict.fromkeys(a for a in used if isinstance(a, Var) and a not in bound))
