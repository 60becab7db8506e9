"""Which loops of a reverse sweep may run forwards: those in which the order of the iterations does not matter.

Cotangents are sums, and sums may be taken in any order. A loop is free to ascend if every carry is handed on or is a
sum that nothing looks at, and if every memory it writes to is only added to, or every iteration keeps to cells of
its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from chainrule.ir.nodes import (
    AddInto,
    Array,
    Atom,
    Block,
    Call,
    Carry,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Op,
    Reserve,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import blocks, nodes_of, reads
from chainrule.transforms.indices import Form, Indices
from chainrule.transforms.places import Places

__all__ = ["Accesses", "Order"]


class Order:
    """What can be said of the loops of a function."""

    def __init__(self, function: Function) -> None:
        self.indices = Indices(Places(function))
        self.same: dict[Var, Atom] = {}  # what is only handed on -> where it comes from
        self._hand_on(function.body)

    def is_free(self, loop: For, own: Collection[Var] = (), apart: bool = False) -> bool:
        """Whether the iterations of `loop` may be run in any order, if each has memory of its `own`.

        If they are to be `apart`, they only add to a memory, or each of them keeps to cells of its own there.
        """
        sums = all(self._is_sum(loop.body, c.param, c.next, self._nexts(loop)) for c in self._live(loop))
        return sums and Accesses(loop, self.indices).commute(own, apart)

    def keeps_apart(self, loop: For, memory: Var) -> bool:
        """Whether no iteration of `loop` writes to a cell of `memory` that another one touches."""
        accesses = Accesses(loop, self.indices)
        return accesses.private(memory) or accesses.is_parted(memory, True)

    def _live(self, loop: For | While) -> list[Carry]:
        return [c for c in loop.carries if c.param not in self.same]

    def _nexts(self, loop: For | While) -> list[Atom]:
        return [self.origin(c.next) for c in self._live(loop)]

    # -- carries

    def _hand_on(self, block: Block) -> None:
        for node in block:
            for inner in blocks(node):
                self._hand_on(inner)
            match node:
                case For(carries=carries) | While(carries=carries):
                    for c in carries:
                        if self.origin(c.next) is c.param:
                            self.same[c.param] = self.same[c.out] = c.init
                case If(merges=merges):
                    for m in merges:
                        if self.origin(m.then) is self.origin(m.orelse):
                            self.same[m.out] = self.origin(m.then)

    def origin(self, atom: Atom) -> Atom:
        while isinstance(atom, Var) and atom in self.same:
            atom = self.same[atom]
        return atom

    def _is_sum(self, block: Block, var: Var, end: Atom, ends: list[Atom]) -> bool:
        """Whether `end` is `var` and what `block` adds to it, which nothing else looks at, nor any other of `ends`."""
        end = self.origin(end)
        while True:
            users = [n for n in block if self._uses(n, var)]
            taken = sum(e is var for e in ends)
            if var is end:
                return not users and taken == 1
            after = self._after(users[0], var) if len(users) == 1 and not taken else None
            if after is None:
                return False
            var = after

    def _uses(self, node: Node, var: Var) -> bool:
        return any(self.origin(a) is var for a in self._reads(node)) or any(
            self._uses(n, var) for b in blocks(node) for n in b
        )

    def _reads(self, node: Node) -> Iterator[Atom]:
        """What `node` reads, without what it only hands on."""
        match node:
            case For(carries=carries) | While(carries=carries):
                yield from (node.lower, node.upper, node.step) if isinstance(node, For) else (node.test,)
                for c in carries:
                    if c.param not in self.same:
                        yield from (c.init, c.next)
            case If(merges=merges, test=test):
                yield test
                for m in merges:
                    if m.out not in self.same:
                        yield from (m.then, m.orelse)
            case _:
                yield from reads(node)

    def _after(self, node: Node, var: Var) -> Var | None:
        """The sum after `node`, the only statement that looks at the sum `var`."""
        match node:
            case Let(op="add", args=(x, y), out=out):
                return out if (self.origin(x) is var) != (self.origin(y) is var) else None
            case For(body=body):
                taking = [c for c in self._live(node) if self.origin(c.init) is var]
                if len(taking) != 1 or self._looks(node, var):
                    return None
                (c,) = taking
                return c.out if self._is_sum(body, c.param, c.next, self._nexts(node)) else None
            case If(test=test, merges=merges, then=then, orelse=orelse) if self.origin(test) is not var:
                live = [m for m in merges if m.out not in self.same]
                yes, no = [self.origin(m.then) for m in live], [self.origin(m.orelse) for m in live]
                for m in live:
                    if self._is_sum(then, var, m.then, yes) and self._is_sum(orelse, var, m.orelse, no):
                        return m.out
        return None

    def _looks(self, loop: For, var: Var) -> bool:
        """Whether `loop` looks at `var` otherwise than to carry it from the start."""
        atoms = [loop.lower, loop.upper, loop.step, *self._nexts(loop)]
        return any(self.origin(a) is var for a in atoms) or any(self._uses(n, var) for n in loop.body)


# -- memory -------------------------------------------------------------------------------------------


class Accesses:
    """How the body of a loop treats memory that is older than the iteration."""

    def __init__(self, loop: For, indices: Indices) -> None:
        self.loop = loop
        self.indices = indices
        self.places = indices.places
        self.region = self.places.regions[loop.body]
        self.known = True
        self.written: set[Var] = set()
        self.read: set[Var] = set()
        self.cells: dict[Var, list[Load | Store | Incr]] = {}
        self.whole: set[Var] = set()  # memory that is treated otherwise than cell by cell
        for node in nodes_of(loop.body):
            self._enter(node)

    def _enter(self, node: Node) -> None:
        if any(isinstance(a.type, Array) and a not in self.places.places for a in reads(node)):  # of a loop's head
            self.known = False
            return
        match node:
            case Load(array=array):
                self._cell(node, array)
                self.read.add(self.places.memory(array))
            case Store(array=array):
                self._cell(node, array)
                self.written.add(self.places.memory(array))
                self.read.add(self.places.memory(array))  # the order of stores shows
            case Incr(array=array):
                self._cell(node, array)
                self.written.add(self.places.memory(array))
            case AddInto(array=array, source=source):
                self.written.add(self.places.memory(array))
                self.read.add(self.places.memory(source))
                self.whole |= {self.places.memory(array), self.places.memory(source)}
            case Op() | Copy() | Call():
                touched = {
                    self.places.memory(a) for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array)
                }
                self.read |= touched
                self.whole |= touched
                self.written |= self.places.writes(node)
            case Let() | View() | Dim() | For() | If() | While():
                pass
            case Reserve():
                self.known = False
            case _:
                self.known = self.known and not list(blocks(node)) and not self.places.writes(node)

    def _cell(self, node: Load | Store | Incr, array: Var) -> None:
        self.cells.setdefault(self.places.memory(array), []).append(node)

    def commute(self, own: Collection[Var] = (), apart: bool = False) -> bool:
        old = [m for m in self.written if not self.places.within(self.places.places[m].region, self.region)]
        old = [m for m in old if m not in own]
        return self.known and all(m not in self.read or self.private(m) or self.is_parted(m, apart) for m in old)

    def private(self, memory: Var) -> bool:
        """Whether every iteration keeps to cells of its own."""
        return bool(self.coordinates(memory))

    def is_parted(self, memory: Var, apart: bool) -> bool:
        """Whether no iteration writes to a cell that another one touches, unless both add to it; not even so if they
        are to be `apart`."""
        if memory in self.whole:
            return False
        cells = self.cells[memory]
        pairs = [(a, b) for a in cells for b in cells if not isinstance(a, Load)]
        pairs = [(a, b) for a, b in pairs if apart or not (isinstance(a, Incr) and isinstance(b, Incr))]
        return all(self.indices.keeps_apart(a, b, self.region) for a, b in pairs)

    def coordinates(self, memory: Var) -> frozenset[tuple[object, ...]]:
        """The coordinates of all its cells that no two iterations share, as functions of the iteration."""
        if memory in self.whole:
            return frozenset()
        bases, found = set(), None
        for node in self.cells[memory]:
            base, index = self.indices.cell(node.array, node.index)
            if index is None:
                return frozenset()
            bases.add(base)
            mine = {(base, *own) for own in self._own(index)}
            found = mine if found is None else found & mine
        return frozenset(found or ()) if len(bases) == 1 else frozenset()

    def _own(self, index: Sequence[Atom]) -> Iterator[tuple[object, ...]]:
        for k, atom in enumerate(index):
            if isinstance(atom, Var) and atom not in self.places.places:  # of a loop's head
                continue
            form = self.indices.form(atom)
            factor = form.terms.get(self.loop.index)
            if factor and self._fixed(form) and self.indices.not_negative(atom):
                others = frozenset((v, n) for v, n in form.terms.items() if v is not self.loop.index)
                yield (k, form.number, factor, others)

    def _fixed(self, form: Form) -> bool:
        return not any(v is not self.loop.index and self.indices.varies(v, self.region) for v in form.terms)
