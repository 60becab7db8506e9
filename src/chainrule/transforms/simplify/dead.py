"""Dead code: what no result, effect or exception depends on is left out.

Mark and sweep, linear. A merge or carry lives if its variable is read by what lives, so a carry that only feeds
itself dies. The contents of an array live if something living reads them, or the caller sees them; writes to other
arrays die. Arithmetic, accesses and allocations do not count as what may raise, checks and factorizations do.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.ir.nodes import (
    AddInto,
    Array,
    Atom,
    Block,
    Call,
    Carry,
    Check,
    Copy,
    Dim,
    For,
    Function,
    If,
    Let,
    Load,
    Merge,
    Node,
    Op,
    Print,
    Raise,
    Reserve,
    Var,
    View,
    While,
)
from chainrule.ir.walk import blocks, defines, effects, nodes_of, reads, roots_of
from chainrule.transforms.simplify.walk import block_of, changed

__all__ = ["without_dead"]

_RAISING = frozenset({"solve", "inv", "cholesky"})


def without_dead(function: Function) -> Function:
    """`function` without its dead code."""
    marks = _Marks(function)
    return changed(function, body=marks.sweep(function.body))


def _loud(function: Function, seen: set[Function]) -> bool:
    """Whether a call of `function` may print or raise."""
    seen.add(function)
    return any(
        isinstance(n, (Print, Raise, Check))
        or (isinstance(n, Op) and n.op in _RAISING)
        or (isinstance(n, Call) and n.function not in seen and _loud(n.function, seen))
        for n in nodes_of(function.body)
    )


class _Marks:
    def __init__(self, function: Function) -> None:
        self.live: set[Node | Merge | Carry] = set()
        self.contents: set[Var] = set()  # the roots whose elements matter
        self.measured: set[Var] = set()  # those whose extents do
        self.roots = roots_of(function)
        self.parents: dict[Node, Node] = {}
        self.definitions: dict[Var, Node | Merge | Carry] = {}
        self.owners: dict[Merge | Carry, Node] = {}
        self.writers: dict[Var, list[Node]] = {}
        self.waiting: list[Node | Merge | Carry] = []
        self.index(function)
        for p in function.params:
            if isinstance(p.type, Array):
                self.read(p)
        self.need(function.results)
        while self.waiting:
            self.visit(self.waiting.pop())

    def index(self, function: Function) -> None:
        for node in nodes_of(function.body):
            for block in blocks(node):
                self.parents.update((n, node) for n in block)
            match node:
                case If(merges=merges):
                    self.definitions.update((m.out, m) for m in merges)
                    self.owners.update((m, node) for m in merges)
                case For(carries=carries) | While(carries=carries):
                    self.definitions.update((v, c) for c in carries for v in (c.param, c.out))
                    self.owners.update((c, node) for c in carries)
                case _:
                    self.definitions.update((v, node) for v in defines(node))
                    for array in effects(node):
                        self.writers.setdefault(self.roots[array], []).append(node)
                    if self.acts(node):
                        self.mark(node)

    def acts(self, node: Node) -> bool:
        """Whether `node` is felt outside of the function whatever becomes of its results."""
        match node:
            case Raise() | Check() | Print():
                return True
            case Op(op=op):
                return op in _RAISING
            case Call(function=function):
                return _loud(function, set())
        return False

    def mark(self, thing: Node | Merge | Carry) -> None:
        if thing not in self.live:
            self.live.add(thing)
            self.waiting.append(thing)

    def need(self, atoms: Iterable[Atom], elements: bool = True) -> None:
        """Keep what defines `atoms`, and what gives arrays among them their elements."""
        for atom in atoms:
            if isinstance(atom, Var):
                if atom in self.definitions:
                    self.mark(self.definitions[atom])
                if elements and isinstance(atom.type, Array):
                    self.read(self.roots[atom])

    def read(self, root: Var) -> None:
        if root not in self.contents:
            self.contents.add(root)
            for writer in self.writers.get(root, ()):
                self.mark(writer)
            born = self.definitions.get(root)
            if isinstance(born, Merge):
                self.need((born.then, born.orelse))

    def measure(self, root: Var) -> None:
        """Keep what makes an array larger."""
        if root in self.measured:
            return
        self.measured.add(root)
        for writer in self.writers.get(root, ()):
            if isinstance(writer, (Reserve, Call)):
                self.mark(writer)
        born = self.definitions.get(root)
        if isinstance(born, Merge):
            for side in (born.then, born.orelse):
                self.measure(self.roots[side])  # type: ignore[index]

    def visit(self, thing: Node | Merge | Carry) -> None:
        match thing:
            case Merge():
                self.mark(self.owners[thing])
                self.need((thing.then, thing.orelse), elements=thing.out in self.contents)
                return
            case Carry():
                self.mark(self.owners[thing])
                self.need((thing.init, thing.next))
                return
        if thing in self.parents:
            self.mark(self.parents[thing])
        match thing:
            case If(test=test) | While(test=test):
                self.need((test,))
            case For(lower=lower, upper=upper, step=step):
                self.need((lower, upper, step))
            case View():
                self.need(reads(thing), elements=False)
            case Dim(array=array):
                self.need(reads(thing), elements=False)
                self.measure(self.roots[array])
            case Let() | Load() | Copy() | AddInto() | Op() | Call() | Print():
                self.need(reads(thing))
            case _:
                written = set(effects(thing))
                for atom in reads(thing):
                    self.need((atom,), elements=atom not in written)

    # -- what is left

    def sweep(self, block: Block) -> Block:
        return block_of([self.kept(n) for n in block if n in self.live], block)

    def kept(self, node: Node) -> Node:
        match node:
            case If(then=then, orelse=orelse, merges=merges):
                merged = [m for m in merges if m in self.live]
                return changed(node, then=self.sweep(then), orelse=self.sweep(orelse), merges=merged)
            case For(body=body, carries=carries):
                return changed(node, body=self.sweep(body), carries=[c for c in carries if c in self.live])
            case While(head=head, body=body, carries=carries):
                carried = [c for c in carries if c in self.live]
                return changed(node, head=self.sweep(head), body=self.sweep(body), carries=carried)
        return node
