"""What only handles cotangents that are structural zeros on one side of a test is run on the other side only.

A branch that was not taken hands a zero to what was computed before it: ``if d < best: best = d`` leaves `d` without
a cotangent wherever the test failed. The loops that would carry such a zero back, multiply it by partial derivatives
and add it to shadows go under the same test. It saves their time, and a structural zero stays one even where a
partial derivative is infinite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from chainrule.ir.nodes import (
    Array,
    Atom,
    Block,
    Carry,
    Const,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Merge,
    Node,
    Scalar,
    Var,
    View,
    While,
)
from chainrule.ir.walk import acts, blocks, defines, effects, nodes_of, reads, roots_of
from chainrule.transforms.simplify.walk import Substitution, inside

__all__ = ["Guard", "guarded"]

_LINEAR = ("negative", "cast", "conjugate", "real", "imag")  # in their only operand


class Guard(NamedTuple):
    """When a cotangent is no structural zero: where `test` is `value`."""

    test: Atom
    value: bool


def guarded(function: Function, zeros: Mapping[Var, Guard]) -> Function:
    """`function` with loops under the tests of the cotangents that they carry back; `zeros` has a guard for some."""
    if not zeros:
        return function
    guards = _Guards(function, zeros)
    body = guards.block(function.body)
    return dataclasses.replace(function, body=body) if guards.found else function


class _Guards:
    def __init__(self, function: Function, zeros: Mapping[Var, Guard]) -> None:
        self.zeros = zeros
        self.roots = roots_of(function)
        self.found = False
        self.made: set[Node] = set()  # branches, in which no more is looked for
        self.readers: dict[Var, list[Node | None]] = {r: [None] for r in function.results if isinstance(r, Var)}
        for node in nodes_of(function.body):
            for atom in reads(node):
                if isinstance(atom, Var):
                    self.readers.setdefault(atom, []).append(node)

    def block(self, block: Block) -> Block:
        nodes = list(block)
        at = 0
        while at < len(nodes):
            for guard, group in self._groups(nodes[at]):
                self._gather(nodes, at, guard, group)
            if nodes[at] not in self.made:
                nodes[at] = inside(nodes[at], self.block)
            at += 1
        return Block(nodes)

    def _groups(self, node: Node) -> Iterator[tuple[Guard, set[Var]]]:
        """What a statement defines that is zero by its guard, for each guard."""
        groups: dict[Guard, set[Var]] = {}
        for var in defines(node):
            if var in self.zeros:
                groups.setdefault(self.zeros[var], set()).add(var)
        yield from groups.items()

    def _gather(self, nodes: list[Node], at: int, guard: Guard, zeros: set[Var]) -> None:
        """Let what follows the statement `at` and handles `zeros` only stand under their guard."""
        flow = _Flow(zeros)
        taken: list[int] = []
        touched = _Memory(self.roots)
        for k in range(at + 1, len(nodes)):
            node = nodes[k]
            if flow.reaches(node) and flow.passes(node):
                taken.append(k)
                touched.add(node)
            elif flow.follows(node) or touched.meets(node):
                break
        taken = self._needed(nodes, taken)
        if not taken or any(guard.test in defines(n) for n in nodes[taken[-1] :]):
            return
        self.found = True
        moved = [nodes[k] for k in taken]
        branch, merges = self._outward(Block(moved), flow)
        then, orelse = (branch, Block()) if guard.value else (Block(), branch)
        made = If(guard.test, then, orelse, merges if guard.value else [_turned(m) for m in merges])
        nodes[taken[-1]] = made
        self.made.add(made)
        for k in reversed(taken[:-1]):
            del nodes[k]

    def _needed(self, nodes: list[Node], taken: list[int]) -> list[int]:
        """The loops, and what is between the zeros and them or follows from them."""
        kept: list[int] = []
        wanted: set[Atom] = set()
        for k in reversed(taken):
            if isinstance(nodes[k], For) or not wanted.isdisjoint(defines(nodes[k])):
                kept.append(k)
                wanted.update(a for n in _all(nodes[k]) for a in reads(n))
        made = {v for k in kept for v in defines(nodes[k])}
        for k in taken:
            if k not in kept and not made.isdisjoint(reads(nodes[k])):
                kept.append(k)
                made.update(defines(nodes[k]))
        return sorted(kept)

    def _outward(self, block: Block, flow: _Flow) -> tuple[Block, list[Merge]]:
        """The statements of a branch, and what others read of them: zero or handed through on the other side."""
        inside = set(nodes_of(block))
        outer = [v for n in block for v in defines(n) if any(r not in inside for r in self.readers.get(v, ()))]
        renaming = _Inner({v: Var(v.hint, v.type) for v in outer})
        merges = [Merge(v, renaming.atoms[v], flow.otherwise(v)) for v in outer]
        return renaming.block(block), merges


def _turned(merge: Merge) -> Merge:
    return Merge(merge.out, merge.orelse, merge.then)


class _Inner(Substitution):
    """Gives the variables in `atoms` other names where they are defined, too."""

    def new(self, var: Var) -> Var:
        made = self.atoms.get(var, var)
        assert isinstance(made, Var)
        return made


class _Memory:
    """The arrays whose elements some statements read, and those that they add to."""

    def __init__(self, roots: Mapping[Var, Var]) -> None:
        self.roots = roots
        self.read: set[Var] = set()
        self.added: set[Var] = set()

    def add(self, node: Node) -> None:
        for inner in _all(node):
            seen, written = self._touched(inner)
            self.read |= seen
            self.added |= written

    def meets(self, node: Node) -> bool:
        """Whether the order of these statements and `node` matters; that of additions does not."""
        for inner in _all(node):
            seen, written = self._touched(inner)
            if not self.read.isdisjoint(written) or not self.added.isdisjoint(seen):
                return True
        return False

    def _touched(self, node: Node) -> tuple[set[Var], set[Var]]:
        """What a statement sees elements of, and what it writes to; an addition sees nothing."""
        if isinstance(node, (Let, Dim, View, If, For, While)):
            return set(), set()
        written = {self.roots[a] for a in effects(node)}
        seen = {self.roots[a] for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array)}
        return (set() if isinstance(node, Incr) else seen), written


class _Flow:
    """What is zero, or handed through unchanged, if `zeros` are zero."""

    def __init__(self, zeros: Iterable[Var]) -> None:
        self.zero = set(zeros)
        self.through: dict[Var, Atom] = {}  # what a variable is then
        self.given = set(zeros)

    def reaches(self, node: Node) -> bool:
        """Whether `node` reads any of it, in its blocks too."""
        return any(isinstance(a, Var) and (a in self.zero or a in self.through) for n in _all(node) for a in reads(n))

    def follows(self, node: Node) -> bool:
        """Whether `node` reads what is not among the zeros given, but follows from them."""
        made = (self.zero - self.given) | self.through.keys()
        return any(a in made for n in _all(node) for a in reads(n))

    def otherwise(self, var: Var) -> Atom:
        """What `var` is if the zeros are zero."""
        assert isinstance(var.type, Scalar)
        return self._origin(var) if var in self.through else Const({"c": 0j}.get(var.type.dtype[0], 0.0), var.type)

    def passes(self, node: Node) -> bool:
        """Whether `node` does nothing but hand the zeros on."""
        match node:
            case Let():
                return self._let(node)
            case Incr(value=value):
                return self._is_zero(value)
            case For():
                return self._for(node)
        return False

    def _is_zero(self, atom: Atom) -> bool:
        return atom in self.zero or (isinstance(atom, Const) and atom.type.dtype[0] in "fc" and atom.value == 0)

    def _origin(self, atom: Atom) -> Atom:
        while isinstance(atom, Var) and atom in self.through:
            atom = self.through[atom]
        return atom

    def _let(self, node: Let) -> bool:
        args, zero = node.args, [self._is_zero(a) for a in node.args]
        if node.op == "multiply":
            nothing = any(zero)
        elif node.op == "divide":
            nothing = zero[0]
        elif node.op == "where":
            nothing = all(zero[1:])
        else:
            nothing = (node.op in _LINEAR or node.op in ("add", "subtract")) and all(zero)
        if nothing:
            self.zero.add(node.out)
        elif node.op == "add" and any(zero):
            self.through[node.out] = args[zero.index(False)]
        elif node.op == "subtract" and zero[1]:
            self.through[node.out] = args[0]
        else:
            return False
        return True

    def _for(self, loop: For) -> bool:
        known = set(self.zero), dict(self.through)
        for c in loop.carries:
            if self._is_zero(c.init):
                self.zero.add(c.param)
        if self._body(loop.body) and all(map(self._stays, loop.carries)):
            for c in loop.carries:
                if c.param in self.zero:
                    self.zero.add(c.out)
                else:
                    self.through[c.out] = c.init
            return True
        self.zero, self.through = known
        return False

    def _stays(self, carry: Carry) -> bool:
        if carry.param in self.zero:
            return self._is_zero(carry.next)
        return self._origin(carry.next) is carry.param

    def _body(self, block: Block) -> bool:
        return all(self.passes(n) if self.reaches(n) else not acts(Block([n])) for n in block)


def _all(node: Node) -> Iterator[Node]:
    yield node
    for block in blocks(node):
        yield from nodes_of(block)
