"""What every pass asks of a node: what it reads and defines, the blocks in it, and the node over other atoms."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
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


def reads(node: Node) -> Iterator[Atom]:
    """The atoms `node` itself reads: not those in its blocks, but what its results and carries take from them."""
    match node:
        case Let(args=args) | Op(args=args) | Call(args=args):
            yield from args
        case Load(array=array, index=index):
            yield array
            yield from index
        case Store(array=array, index=index, value=value) | Incr(array=array, index=index, value=value):
            yield array
            yield from index
            yield value
        case View(array=array, items=items):
            yield array
            for item in items:
                if isinstance(item, Slice):
                    yield from (bound for bound in item if bound is not None)
                elif item is not None:
                    yield item
        case Alloc(shape=shape):
            yield from shape
        case Copy(array=array) | Dim(array=array):
            yield array
        case AddInto(array=array, source=source):
            yield array
            yield source
        case Reserve(array=array, size=size):
            yield array
            yield size
        case If(test=test, merges=merges):
            yield test
            for m in merges:
                yield m.then
                yield m.orelse
        case For(lower=lower, upper=upper, step=step, carries=carries):
            yield from (lower, upper, step)
            for c in carries:
                yield c.init
                yield c.next
        case While(test=test, carries=carries):
            yield test
            for c in carries:
                yield c.init
                yield c.next
        case Raise(parts=parts) | Print(parts=parts):
            yield from (p for p in parts if not isinstance(p, str))
        case Check(test=test, parts=parts):
            yield test
            yield from (p for p in parts if not isinstance(p, str))
        case _:
            raise AssertionError(node)


def defines(node: Node) -> tuple[Var, ...]:
    """The variables that `node` makes visible in its own block."""
    match node:
        case Let(out=out) | Load(out=out) | View(out=out) | Alloc(out=out) | Copy(out=out) | Dim(out=out):
            return (out,)
        case Op(outs=outs) | Call(outs=outs):
            return outs
        case If(merges=merges):
            return tuple(m.out for m in merges)
        case For(carries=carries) | While(carries=carries):
            return tuple(c.out for c in carries)
    return ()


def blocks(node: Node) -> tuple[Block, ...]:
    match node:
        case If(then=then, orelse=orelse):
            return (then, orelse)
        case For(body=body):
            return (body,)
        case While(head=head, body=body):
            return (head, body)
    return ()


def nodes_of(block: Block) -> Iterator[Node]:
    """All nodes of `block` and of the blocks nested in it, in order."""
    for node in block:
        yield node
        for inner in blocks(node):
            yield from nodes_of(inner)


def storage(node: Node) -> tuple[Var, ...]:
    """The arrays that are born at `node`."""
    return tuple(v for v in defines(node) if isinstance(v.type, Array)) if not isinstance(node, View) else ()


def roots_of(function: Function) -> dict[Var, Var]:
    """For every array of `function`, the array whose memory it is."""
    roots = {p: p for p in function.params if isinstance(p.type, Array)}
    for node in nodes_of(function.body):
        if isinstance(node, View):
            roots[node.out] = roots[node.array]
        else:
            roots.update((v, v) for v in storage(node))
    return roots


def effects(node: Node) -> Iterator[Var]:
    """The arrays `node` writes to, those in its blocks included. Calls write to no argument but what they say."""
    match node:
        case Store(array=array) | Incr(array=array) | AddInto(array=array) | Reserve(array=array):
            yield array
        case Call(function=function, args=args):
            yield from (a for a, p in zip(args, function.params, strict=True) if p in function.writes)  # type: ignore[misc]
    for inner in blocks(node):
        for n in inner:
            yield from effects(n)


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
    return any(isinstance(node, (Print, Raise)) or any(True for _ in effects(node)) for node in nodes_of(block))


class Renaming:
    """Copies nodes: variables defined in them become new ones, others what `atoms` says, or stay."""

    def __init__(self, atoms: dict[Var, Atom] | None = None) -> None:
        self.atoms: dict[Var, Atom] = dict(atoms or {})

    def atom(self, atom: Any) -> Any:
        """The atom that stands for `atom`."""
        return self.atoms.get(atom, atom) if isinstance(atom, Var) else atom

    def all(self, atoms: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(self.atom(a) for a in atoms)

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
        a, many, line = self.atom, self.all, node.line
        match node:
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
                return Alloc(self.new(node.out), shape, node.fill, node.kept, line=line)
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
