"""Elementary functions in loops of their own, where LLVM vectorises them.

A loop that mixes elementary functions with what does not vectorise (a recurrence, memory used at several indices,
branches that store) runs scalar as a whole. It is cut into strips, and in each strip into loops one after another: one
that fetches, one that only computes, with the elementary functions, one that does the rest, and again. Values pass
between them in rows of a small array. Every operation is the same as before on the same numbers. The loops that
only compute run to a multiple of the number of lanes, so that no iteration is left to scalar code.

What only the additions to neighbouring cells (``a[i] += u; a[i + 1] += v``) keep scalar is cut likewise, with a loop
for each of the cells, if the order of sums is free.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

from chainrule.ir.build import Builder, constant, integer
from chainrule.ir.nodes import (
    Alloc,
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
    Load,
    Merge,
    Node,
    Var,
    While,
)
from chainrule.ir.walk import Renaming, is_number, nodes_of
from chainrule.transforms.dependence import Dependences, Item, inner_reads, is_simple
from chainrule.transforms.indices import Indices
from chainrule.transforms.places import Places
from chainrule.transforms.residuals import distance

__all__ = ["ELEMENTARY", "fissioned", "versions"]

ELEMENTARY = frozenset(
    [
        "arccos",
        "arccosh",
        "arcsin",
        "arcsinh",
        "arctan",
        "arctan2",
        "arctanh",
        "cbrt",
        "cos",
        "cosh",
        "erf",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "float_power",
        "hypot",
        "log",
        "log10",
        "log1p",
        "log2",
        "logistic",
        "pow",
        "power",
        "sin",
        "sinh",
        "special.cbrt",
        "special.exp2",
        "special.expm1",
        "special.log1p",
        "tan",
        "tanh",
    ]
)
_REAL = ("float64", "float32")
_POWERS = ("float_power", "pow", "power")
STRIP = 256
_LARGEST = 400  # items of a body: the graph is of quadratic size
_FEWEST = 8  # iterations, where their number is known
_USUAL = 0.5
_ROWS = 8  # per elementary function
_SUMS = 6  # values that additions to neighbouring cells may pass on
_LONG = 32  # iterations from which on it is worth it


def fissioned(function: Function, lanes: int = 8, strip: int = STRIP, sums: bool = False) -> Function:
    """`function` with loops taken apart where that is allowed and pays.

    Parameters
    ----------
    function : Function
    lanes : int
        How many numbers a vector has.
    strip : int
        How many iterations run between the loops that a loop becomes; a multiple of `lanes`.
    sums : bool
        Whether the order of additions to memory is free.
    """
    splitter = _Splitter(function, lanes, strip, sums)
    body = splitter.block(function.body)
    rooms = [splitter.room(dtype, count) for dtype, count in splitter.rows.items()]
    return dataclasses.replace(function, body=Block([*rooms, *body.nodes])) if splitter.found else function


class _Splitter:
    """Goes through a function; `rows` are those that its strips need, by dtype."""

    def __init__(self, function: Function, lanes: int, strip: int, sums: bool) -> None:
        self.function = function
        self.lanes, self.strip, self.sums = lanes, strip, sums
        self.stride = strip + 8  # rows that are a power of two apart evict each other
        self.found = False
        self.rows: dict[str, int] = {}
        self.buffers: dict[str, Var] = {}

    @functools.cached_property
    def indices(self) -> Indices:
        return Indices(Places(self.function))

    def room(self, dtype: str, count: int) -> Node:
        """The array whose rows the strips use; beyond the end of a strip is what no function is slow at."""
        return Alloc(self.buffers[dtype], (integer(count * self.stride),), constant(_USUAL, dtype))

    def block(self, block: Block) -> Block:
        return Block([made for n in block for made in self.nodes(n)])

    def nodes(self, node: Node) -> list[Node]:
        if isinstance(node, For) and is_simple(node) and _is_worth_a_look(node, self.sums):
            parts = _Parts(Dependences(node, self.indices, self.sums))
            if parts.pays():
                return [_Strips(self, parts).loop()]
            return self._scattered(node, parts) if parts.scatters() else [node]
        match node:
            case If(then=then, orelse=orelse):
                return [dataclasses.replace(node, then=self.block(then), orelse=self.block(orelse))]
            case For(body=body) | While(body=body):
                return [dataclasses.replace(node, body=self.block(body))]
        return [node]

    def _scattered(self, loop: For, parts: _Parts) -> list[Node]:
        """Strips where there are many iterations, and else the loop as it was."""
        build = Builder()
        many = build.let("greater_equal", distance(build, loop, loop.lower, loop.upper, "trips"), integer(_LONG))
        if isinstance(many, Const) and not many.value:
            return [loop]
        return [*build.block, *versions(many, [_Strips(self, parts).loop()], loop)]


def versions(test: Atom, strips: list[Node], loop: For) -> list[Node]:
    """`strips`, the last of which does what `loop` does, where `test` holds, and else `loop`."""
    if isinstance(test, Const):
        return strips if test.value else [loop]
    then, orelse = Renaming().block(Block(strips)), Renaming().block(Block([loop]))
    outs = [[c.out for c in side.nodes[-1].carries] for side in (then, orelse)]  # type: ignore[attr-defined]
    merges = [Merge(c.out, yes, no) for c, yes, no in zip(loop.carries, *outs, strict=True)]
    return [If(test, then, orelse, merges, line=loop.line)]


def _is_elementary(item: object) -> bool:
    return isinstance(item, Let) and item.op in ELEMENTARY and item.out.type.dtype in _REAL and not _is_product(item)


def _is_cheap(item: object) -> bool:
    return isinstance(item, Dim) or (isinstance(item, Let) and all(a.type.dtype == "int64" for a in item.args))


def _is_product(let: Let) -> bool:
    """Whether `let` is a power that is written as a multiplication."""
    return let.op in _POWERS and any(is_number(let.args[1], n) for n in (2, 3, 4))


def _is_worth_a_look(loop: For, sums: bool) -> bool:
    few = isinstance(loop.lower, Const) and isinstance(loop.upper, Const)
    few = few and abs(loop.upper.value - loop.lower.value) < _FEWEST  # type: ignore[union-attr]
    added = [n.array for n in loop.body if isinstance(n, Incr)] if sums else []
    of_use = len(added) > len(set(added)) or any(map(_is_elementary, loop.body))
    return not few and len(loop.body.nodes) <= _LARGEST and of_use


# -- which loop an item goes to -----------------------------------------------------------------------


class _Parts:
    """The items of a loop, and the phase of each: even phases touch memory and hand on, odd ones only compute."""

    def __init__(self, graph: Dependences) -> None:
        self.graph = graph
        self.items = graph.items
        self.component = graph.components()
        self.cyclic = {c for k, c in enumerate(self.component) if c != k}
        self.free: list[bool] = []  # any loop can find it from the index alone, for nothing
        self.again: list[bool] = []  # or by loads that find the same at any time
        for item in self.items:
            self.free.append(_is_cheap(item) and self._follows(item, self.free))
            lasting = _is_cheap(item) or (isinstance(item, Load) and self._memory(item) not in graph.written)
            self.again.append(self.free[-1] or (lasting and self._follows(item, self.again)))
        self.computed = [self._only_computes(k) for k in range(len(self.items))]
        self.vector = [self.computed[k] and _is_elementary(item) for k, item in enumerate(self.items)]
        self.phase = [0] * len(self.items)
        self._settle()
        for cells in graph.sums.values():
            first = max(self.phase[k] for cell in cells for k in cell)
            for n, cell in enumerate(cells):
                for k in cell:
                    self.phase[k] = first + 2 * n
        self._wait()

    def _memory(self, load: Load) -> Var:
        return self.graph.indices.places.memory(load.array)

    def _follows(self, item: Item, known: list[bool]) -> bool:
        """Whether all that `item` reads of the iteration is `known`."""
        definers = self.graph.definers
        return all(known[definers[v]] for v in inner_reads(item) if v in definers)

    def _only_computes(self, k: int) -> bool:
        item = self.items[k]
        if isinstance(item, Carry) or self.component[k] in self.cyclic:
            return False
        inner = list(nodes_of(Block([item])))
        alone = isinstance(item, Let) or not any(map(_is_elementary, inner))
        return alone and all(isinstance(n, (Let, If)) for n in inner)

    def _settle(self) -> None:
        """Every item as early as what it depends on and its kind allow."""
        changed = True
        while changed:
            changed = False
            for k, after in enumerate(self.graph.after):
                for j in range(len(self.items)):
                    if after >> j & 1 and not self.free[j]:
                        changed |= self._at_least(j, self.phase[k])
                changed |= self._at_least(k, self.phase[self.component[k]])

    def _wait(self) -> None:
        """Let loads wait for the first loop that needs them, and hand nothing on."""
        for k in range(len(self.items) - 1, -1, -1):
            if isinstance(self.items[k], Load) and self.component[k] not in self.cyclic:
                later = [self.phase[j] for j in range(len(self.items)) if self.graph.after[k] >> j & 1]
                self.phase[k] = max(self.phase[k], min(later, default=0) // 2 * 2)

    def _at_least(self, k: int, phase: int) -> bool:
        odd = phase % 2 == 1
        if (self.vector[k] and not odd) or (odd and not self.computed[k]):
            phase += 1
        if phase <= self.phase[k]:
            return False
        self.phase[k] = phase
        self.phase[self.component[k]] = max(phase, self.phase[self.component[k]])
        return True

    def pays(self) -> bool:
        """Whether there are elementary functions to gain from, and something that keeps them scalar now."""
        gained = sum(self.vector)
        return (
            gained > 0 and (bool(self.graph.sums) or self._is_rough()) and len(list(self.crossing())) <= _ROWS * gained
        )

    def scatters(self) -> bool:
        """Whether additions to neighbouring cells are all that keeps the loop scalar."""
        if not self.graph.sums or any(self.vector) or self._is_rough():
            return False
        return len(list(self.crossing())) <= _SUMS

    def _is_rough(self) -> bool:
        if self.graph.conflicts:
            return True
        recurring = {c for c in self.cyclic if not self._is_sum(c)}
        branching = any(isinstance(i, If) and not self.computed[k] for k, i in enumerate(self.items))
        return bool(recurring) or branching

    def _is_sum(self, component: int) -> bool:
        """Whether a cycle is a carry, to which a statement adds and at which nothing else looks."""
        carry, *rest = (i for k, i in enumerate(self.items) if self.component[k] == component)
        if not isinstance(carry, Carry) or len(rest) != 1 or not isinstance(rest[0], Let):
            return False
        looking = [v for i in self.items for v in inner_reads(i)]
        return rest[0].op in ("add", "subtract") and looking.count(carry.param) == looking.count(rest[0].out) == 1

    def phases(self) -> list[int]:
        own = {p for p, again in zip(self.phase, self.again, strict=True) if not again}
        return sorted(own | {self.phase[self.graph.definers[v]] for v in self.crossing()})

    def crossing(self) -> Iterable[Var]:
        """The values that a later loop than their own needs, and cannot find again."""
        found: dict[Var, None] = {}
        for k, item in enumerate(self.items):
            for v in inner_reads(item):
                j = self.graph.definers.get(v)
                if j is None or self.free[j] or self.phase[j] == self.phase[k]:
                    continue
                if not (self.again[j] and self.phase[k] % 2 == 0):
                    found[v] = None
        return found


# -- the loops ----------------------------------------------------------------------------------------


class _Strips:
    """What a loop becomes."""

    def __init__(self, splitter: _Splitter, parts: _Parts) -> None:
        self.splitter, self.parts, self.original = splitter, parts, parts.graph.loop
        splitter.found = True
        self.sign: int = self.original.step.value  # type: ignore[union-attr]
        self.cells: dict[Var, tuple[Var, int]] = {}  # a value that crosses -> its buffer and where its row begins
        self._reserve()
        self.start = Var("start", self.original.index.type)
        self.builder = Builder()
        self.builder.line = self.original.line

    def _reserve(self) -> None:
        used: dict[str, int] = {}
        for var in self.parts.crossing():
            dtype = var.type.dtype
            buffer = self.splitter.buffers.setdefault(dtype, Var("rows", Array(dtype, 1)))
            self.cells[var] = buffer, used.get(dtype, 0) * self.splitter.stride
            used[dtype] = used.get(dtype, 0) + 1
        for dtype, count in used.items():
            self.splitter.rows[dtype] = max(count, self.splitter.rows.get(dtype, 0))

    def loop(self) -> For:
        """The loop over the strips."""
        loop, build, lanes = self.original, self.builder, self.splitter.lanes
        ends = (loop.upper, self.start) if self.sign > 0 else (self.start, loop.upper)
        trips = build.let("minimum", build.let("subtract", *ends, hint="trips"), integer(self.splitter.strip))
        whole = build.let("bitwise_and", build.let("add", trips, integer(lanes - 1)), integer(-lanes))
        params = {c: Var(c.param.hint, c.param.type) for c in loop.carries}
        outs: dict[Carry, Var] = {}
        for phase in self.parts.phases():
            inner = _Part(self, phase)
            carries = inner.carries(params)
            outs.update((c, made.out) for c, made in carries.items())
            build.emit(
                For(
                    inner.counter,
                    integer(0),
                    whole if phase % 2 else trips,
                    integer(1),
                    inner.block(),
                    [*carries.values()],
                )
            )
        carried = [Carry(params[c], c.init, outs[c], c.out) for c in loop.carries]
        step = integer(self.sign * self.splitter.strip)
        return For(self.start, loop.lower, loop.upper, step, build.block, carried, line=loop.line)


class _Part:
    """One of the loops that a strip is."""

    def __init__(self, strips: _Strips, phase: int) -> None:
        self.strips, self.parts, self.phase = strips, strips.parts, phase
        self.counter = Var("k", strips.start.type)
        self.renaming = Renaming()
        self.builder = Builder()
        self.mine = [k for k, p in enumerate(self.parts.phase) if p == phase]

    def carries(self, params: dict[Carry, Var]) -> dict[Carry, Carry]:
        """The carries of the original loop that this one hands on, as its own."""
        own = [c for k in self.mine if isinstance(c := self.parts.items[k], Carry)]
        inner = {c: self.renaming.new(c.param) for c in own}
        self._fill()
        return {c: Carry(inner[c], params[c], self._atom(c.next), Var(c.out.hint, c.out.type)) for c in own}

    def block(self) -> Block:
        """The body, what later loops need put away."""
        for var, (buffer, start) in self.strips.cells.items():
            if self.parts.phase[self.parts.graph.definers[var]] == self.phase:
                value = self._atom(var)
                self.builder.store(buffer, [self._cell(start)], value)
        return self.builder.block

    def _fill(self) -> None:
        for k in self.mine:
            item = self.parts.items[k]
            if not isinstance(item, Carry) and not self.parts.again[k]:
                self._emit(item)

    def _emit(self, node: Node) -> None:
        for var in inner_reads(node):
            self._atom(var)
        self.builder.emit(self.renaming.node(node))

    def _cell(self, start: int) -> Atom:
        return self.builder.let("add", self.counter, integer(start))

    def _atom(self, atom: Any) -> Any:
        """What stands for an atom of the original loop here; found again or fetched if it must be."""
        if not isinstance(atom, Var) or atom in self.renaming.atoms:
            return self.renaming.atom(atom)
        if atom is self.strips.original.index:
            op = "add" if self.strips.sign > 0 else "subtract"
            made = self.builder.let(op, self.strips.start, self.counter, hint=atom.hint)
            self.renaming.atoms[atom] = made
            return made
        k = self.parts.graph.definers.get(atom)
        if k is None:
            return atom
        here = self.parts.free[k] or self.parts.phase[k] == self.phase
        if here or (self.parts.again[k] and self.phase % 2 == 0):
            self._emit(self.parts.items[k])  # type: ignore[arg-type]
        elif atom in self.strips.cells:
            buffer, start = self.strips.cells[atom]
            self.renaming.atoms[atom] = self.builder.load(buffer, self._cell(start), hint=atom.hint)
        return self.renaming.atom(atom)
