"""Writing a loop whose iterations run side by side: strips of them, in which the loops inside run outside.

What stands in the body of a loop is cut into *runs*, at the loops in it. A run becomes a loop over the iterations of
a strip. What is the same for all of them stands before it. What one run computes for another goes into rows with a
cell for each iteration; arrays of which each iteration needs its own go into tables with one axis more, and so do
arrays that are read at another stride, a strip at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.ir.build import INT, TRUE, Builder, constant, integer
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Carry,
    Const,
    Dim,
    For,
    If,
    Incr,
    Let,
    Load,
    Merge,
    Node,
    Scalar,
    Slice,
    Store,
    Undef,
    Var,
    View,
)
from chainrule.ir.walk import Renaming, blocks, defines, is_number, nodes_of, reads
from chainrule.transforms.nests import Nest
from chainrule.transforms.simplify.walk import Access

__all__ = ["Rooms", "Strips"]

PAD = 8  # cells between rows: those that are a power of two apart evict each other


class Rooms:
    """The memory of all strips of a function: an array of rows for each dtype, and one that tables are cut from."""

    def __init__(self, strip: int, budget: int) -> None:
        self.strip, self.budget = strip, budget
        self.rows: dict[str, int] = {}
        self.buffers: dict[tuple[str, bool], Var] = {}

    def buffer(self, dtype: str, tables: bool) -> Var:
        return self.buffers.setdefault((dtype, tables), Var("tables" if tables else "rows", Array(dtype, 1)))

    def nodes(self) -> Iterator[Node]:
        for (dtype, tables), buffer in self.buffers.items():
            size = self.budget if tables else self.rows[dtype] * (self.strip + PAD)
            yield Alloc(buffer, (integer(size),))


# -- which statements run together --------------------------------------------------------------------


@dataclass(eq=False)
class _Run:
    """Statements that all iterations of a strip do together, and what they leave in rows at the end."""

    nodes: list[Node] = field(default_factory=list)
    puts: list[tuple[Var, Atom]] = field(default_factory=list)


@dataclass(eq=False)
class _Shared:
    """A statement that is done once for all."""

    node: Node


@dataclass(eq=False)
class _Fill:
    """An array of which each iteration has its own, and which begins with a constant."""

    node: Alloc


@dataclass(eq=False)
class _Inner:
    """A loop, or a branch with loops in it, and what its blocks become."""

    node: For | If
    blocks: list[list[_Item]]


_Item = _Run | _Shared | _Fill | _Inner


class _Plan:
    """The body of a nest, cut into runs; `rows` are the variables that stand in a row, and what it is called by."""

    def __init__(self, nest: Nest) -> None:
        self.nest = nest
        self.rows: dict[Var, Var] = {}
        self.runs: list[_Run] = []
        self.makers: dict[Var, _Run] = {}
        self.items = self._block(nest.loop.body, nest.loop)
        for run in self.runs:
            self.makers.update((v, run) for n in run.nodes for v in defines(n))
        for run in self.runs:
            for v in self._fetched(run):
                if v in self.makers:
                    self.rows.setdefault(v, v)
        for v in [v for v in self.rows if v in self.makers]:
            self.makers[v].puts.append((v, v))

    def _block(self, block: Block, owner: Node) -> list[_Item]:
        items: list[_Item] = []
        run: _Run | None = None
        for node in block:
            kind = self._kind(node)
            if kind == "shared":
                if _writes(node):
                    run = None
                items.insert(len(items) - (run is not None), _Shared(node))
            elif kind == "run":
                if run is None or self._is_scattered(node):
                    run = self._open(items)
                run.nodes.append(node)
                run = None if self._is_scattered(node) else run
            elif kind == "fill":
                items.append(_Fill(node))  # type: ignore[arg-type]
                run = None
            elif kind == "inner":
                items.append(self._inner(node, items, run, owner))
                run = None
        return items

    def _open(self, items: list[_Item]) -> _Run:
        run = _Run()
        self.runs.append(run)
        items.append(run)
        return run

    def _kind(self, node: Node) -> str:
        nest = self.nest
        match node:
            case For():
                return "inner"
            case Alloc(out=out, fill=fill) if out in nest.lanes:
                return "" if fill is None else "fill"
            case Let(out=out) | Load(out=out) | View(out=out) if nest.is_again(out):
                return ""
        if nest.is_shared(node):
            return "shared"
        if not isinstance(node, If) or nest.is_lane(node.test):
            return "run"
        inside = nodes_of(node.then, node.orelse)
        deep = any(isinstance(n, (For, Alloc, View)) or nest.is_total(n) or _is_done_once(nest, n) for n in inside)
        return "inner" if deep or any(nest.is_same(m.out) for m in node.merges) else "run"

    def _is_scattered(self, node: Node) -> bool:
        """Whether `node` writes where only each iteration knows, which no vector does."""
        if not isinstance(node, (Store, Incr)):
            return False
        index = self.nest.cells[node][1]
        return any(self.nest.is_lane(a) and a is not self.nest.loop.index and a not in self.nest.free for a in index)

    def _inner(self, node: Node, items: list[_Item], run: _Run | None, owner: Node) -> _Inner:
        if isinstance(node, For):
            carried = [c for c in node.carries if c.param in self.nest.lanes]
            for c in carried:
                self.rows[c.param] = self.rows[c.out] = self._row_of(c, node, owner)
            before = [(c.param, c.init) for c in carried]
            self._put(items, before, run)
            body = self._block(node.body, node)
            self._put(body, [(c.param, c.next) for c in carried], None)
            return _Inner(node, [body])
        assert isinstance(node, If)
        merged = [m for m in node.merges if m.out in self.nest.lanes]
        self.rows.update((m.out, m.out) for m in merged)
        sides = []
        for block, atoms in ((node.then, [m.then for m in merged]), (node.orelse, [m.orelse for m in merged])):
            side = self._block(block, owner)
            self._put(side, [(m.out, a) for m, a in zip(merged, atoms, strict=True)], None)
            sides.append(side)
        return _Inner(node, sides)

    def _row_of(self, carry: Carry, node: For, owner: Node) -> Var:
        """The row of what `node` carries: that of what it begins with, if nobody else looks at it."""
        init = carry.init
        alone = isinstance(init, Var) and init in self.rows and self.nest.readers[init] == 1
        return self.rows[init] if alone and self.nest.owners[init] is owner else carry.param  # type: ignore[index]

    def _put(self, items: list[_Item], puts: Sequence[tuple[Var, Atom]], run: _Run | None) -> None:
        puts = [
            (v, a)
            for v, a in puts
            if not isinstance(a, Undef) and not (isinstance(a, Var) and self.rows.get(a) is self.rows[v])
        ]
        if puts:
            last = items[-1] if items else None
            run = run or (last if isinstance(last, _Run) else self._open(items))
            run.puts += puts

    def _fetched(self, run: _Run) -> Iterator[Var]:
        """What a run reads and another has computed for each iteration."""
        nest = self.nest
        for v in [*(v for n in run.nodes for v in needs(nest, n)), *(a for _, a in run.puts if isinstance(a, Var))]:
            if v in nest.lanes and self.makers.get(v) is not run and not nest.is_again(v):
                yield v


def _is_done_once(nest: Nest, node: Node) -> bool:
    return isinstance(node, (Store, Incr)) and nest.is_shared(node)


def _writes(node: Node) -> bool:
    return any(isinstance(n, (Store, Incr)) for n in [node, *nodes_of(*blocks(node))])


def needs(nest: Nest, node: Node) -> Iterator[Var]:
    """The variables that `node` reads, in its blocks too, and that are not defined there."""
    inner = nodes_of(*blocks(node))
    own = {v for n in inner for v in defines(n)}
    for n in (node, *inner):
        atoms: Iterable[Atom] = reads(n)
        if isinstance(n, (Load, Store, Incr)):
            atoms = (*nest.cells[n][1], *(() if isinstance(n, Load) else (n.value,)))
        yield from (a for a in atoms if isinstance(a, Var) and a not in own)


# -- writing them -------------------------------------------------------------------------------------


class Strips:
    """The loop over the strips of a nest; arrays with an axis for strips and one for what is in them are `wide`."""

    def __init__(self, nest: Nest, rooms: Rooms, wide: Mapping[Var, tuple[Var, int]]) -> None:
        self.nest, self.rooms, self.wide = nest, rooms, wide
        self.plan = _Plan(nest)
        self.tables = {a: Var(a.hint, Array(a.type.dtype, _ndim(a) + 1)) for a in nest.tables()}
        self.tiles = {a: Var(a.hint, a.type) for a in nest.tiled}
        self.rows: dict[Var, tuple[Var, int]] = {}  # what is in a row -> the array, and where in it
        self._reserve()
        self.renaming = _Plain(nest, {})
        self.number = Var("strip", INT)
        self.start: Atom = integer(0)
        self.trips: Atom = integer(0)
        self.width: Atom = integer(0)

    def _reserve(self) -> None:
        used: dict[str, int] = {}
        for row in dict.fromkeys(self.plan.rows.values()):
            dtype = row.type.dtype
            self.rows[row] = self.rooms.buffer(dtype, False), used.get(dtype, 0) * (self.rooms.strip + PAD)
            used[dtype] = used.get(dtype, 0) + 1
        for dtype, count in used.items():
            self.rooms.rows[dtype] = max(count, self.rooms.rows.get(dtype, 0))

    def shapes(self, build: Builder) -> list[tuple[Var, list[Atom]]]:
        """The tables and the extents of their rows."""
        found = []
        for array, table in self.tables.items():
            found.append((table, self.nest.extents(build, array)))
        for array, tile in self.tiles.items():
            axis = self.nest.tiled[array]
            found.append((tile, [build.dim(array, k) for k in range(_ndim(array)) if k != axis]))
        return found

    def write(self, build: Builder, shapes: Sequence[tuple[Var, list[Atom]]], strip: Atom) -> None:
        """Write the loop over strips of `strip` iterations, for tables of these `shapes`, with `build`."""
        loop = self.nest.loop
        self.width = build.let("add", strip, integer(PAD), hint="width")
        self._cut(build, shapes)
        lower, upper = loop.lower, loop.upper
        if is_number(loop.step, -1):
            lower, upper = (build.let("add", a, integer(1)) for a in (upper, lower))
        trips = build.let("subtract", upper, lower, hint="trips")
        rounded = build.let("add", trips, build.let("subtract", strip, integer(1)))
        count = build.let("floor_divide", rounded, strip, hint="count")
        body = Builder()
        body.line = loop.line
        offset = body.let("multiply", self.number, strip)
        self.start = body.let("add", lower, offset, hint="start")
        self.trips = body.let("minimum", body.let("subtract", upper, self.start), strip, hint="trips")
        for array in self.tiles:
            self._copy(array, body)
        params = self._enter(loop.carries)
        self._items(self.plan.items, body)
        carries = [
            dataclasses.replace(made, out=c.out)
            for c, made in zip(loop.carries, self._leave(loop.carries, params), strict=True)
        ]
        build.emit(For(self.number, integer(0), count, integer(1), body.block, carries, line=loop.line))

    def _cut(self, build: Builder, shapes: Sequence[tuple[Var, list[Atom]]]) -> None:
        used: dict[str, Atom] = {}
        for table, shape in shapes:
            dtype = table.type.dtype
            size: Atom = self.width
            for extent in shape:
                size = build.let("multiply", size, extent, hint="size")
            start = used.get(dtype, integer(0))
            used[dtype] = build.let("add", start, size, hint="used")
            part = build.view(self.rooms.buffer(dtype, True), "index", [Slice(start, used[dtype], None)])
            build.emit(View(table, part, "reshape", (*shape, self.width)))

    def _copy(self, array: Var, build: Builder) -> None:
        """Fetch the strip's part of an array."""
        axis = self.nest.tiled[array]
        extents: list[Atom] = [build.dim(array, k) for k in range(_ndim(array)) if k != axis]
        left = build.let("subtract", build.dim(array, axis), self.start)  # the loop may read less than its bounds say
        extents.append(build.let("minimum", left, self.trips))
        index, inner = [Var("i", INT) for _ in extents], Builder()
        place = [*index[:axis], inner.let("add", self.start, index[-1]), *index[axis:-1]]
        inner.store(self.tiles[array], index, inner.load(array, *place))
        build.emit(_over(index, extents, inner.block))

    # -- items

    def _items(self, items: Sequence[_Item], build: Builder) -> None:
        for item in items:
            match item:
                case _Shared(node):
                    build.emit(self.renaming.node(node))
                case _Fill(node):
                    self._fill(node, build)
                case _Run():
                    _Lane(self, item).write(build)
                case _Inner(For() as node, [body]):
                    self._loop(node, body, build)
                case _Inner(If() as node, [then, orelse]):
                    self._branch(node, then, orelse, build)

    def _fill(self, node: Alloc, build: Builder) -> None:
        assert node.fill is not None
        index, inner = [Var("i", INT) for _ in (*node.shape, None)], Builder()
        inner.line = node.line
        inner.store(self.tables[node.out], index, node.fill)
        build.emit(_over(index, [*self.renaming.all(node.shape), self.trips], inner.block))

    def _enter(self, carries: Sequence[Carry]) -> list[tuple[Carry, Var, Atom]]:
        """What is carried, but for lanes, which are in rows."""
        plain = [c for c in carries if c.param not in self.nest.lanes]
        inits = self.renaming.all(c.init for c in plain)
        return [(c, self.renaming.new(c.param), init) for c, init in zip(plain, inits, strict=True)]

    def _leave(self, carries: Sequence[Carry], entered: Sequence[tuple[Carry, Var, Atom]]) -> list[Carry]:
        nexts = self.renaming.all(c.next for c, _, _ in entered)
        pairs = zip(entered, nexts, strict=True)
        return [Carry(param, init, after, self.renaming.new(c.out)) for (c, param, init), after in pairs]

    def _loop(self, node: For, items: Sequence[_Item], build: Builder) -> None:
        lower, upper, step = self.renaming.all((node.lower, node.upper, node.step))
        entered = self._enter(node.carries)
        index, body = self.renaming.new(node.index), Builder()
        body.line = node.line
        self._items(items, body)
        carries = self._leave(node.carries, entered)
        build.emit(For(index, lower, upper, step, body.block, carries, line=node.line))

    def _branch(self, node: If, then: Sequence[_Item], orelse: Sequence[_Item], build: Builder) -> None:
        test = self.renaming.atom(node.test)
        plain = [m for m in node.merges if m.out not in self.nest.lanes]
        yes, thens = self._side(node, then, [m.then for m in plain])
        no, elses = self._side(node, orelse, [m.orelse for m in plain])
        merges = [Merge(self.renaming.new(m.out), t, e) for m, t, e in zip(plain, thens, elses, strict=True)]
        build.emit(If(test, yes, no, merges, line=node.line))

    def _side(self, node: If, items: Sequence[_Item], ends: list[Atom]) -> tuple[Block, tuple[Atom, ...]]:
        """A branch, and what it hands to the merges."""
        side = Builder()
        side.line = node.line
        self._items(items, side)
        return side.block, self.renaming.all(ends)


class _Plain(Renaming):
    """Copies statements that are done once for all; views made in the loop are looked through."""

    def __init__(self, nest: Nest, atoms: dict[Var, Atom]) -> None:
        super().__init__(atoms)
        self.nest = nest

    def node(self, node: Node) -> Node:
        if isinstance(node, (Load, Store, Incr)):
            array, index = self.cell(node)
            if isinstance(node, Load):
                return Load(self.new(node.out), array, index, line=node.line)
            return type(node)(array, index, self.atom(node.value), line=node.line)
        if isinstance(node, Dim):
            array, axis = self.nest.axis_of(node.array, node.axis)
            made = self.nest.definers.get(array)
            if isinstance(made, Alloc):
                extent = self.atom(made.shape[axis])
                return Let(self.new(node.out), "cast", (extent,), line=node.line)
            return Dim(self.new(node.out), array, axis, line=node.line)
        return super().node(node)

    def cell(self, node: Access) -> tuple[Var, tuple[Atom, ...]]:
        array, index = self.nest.cells[node]
        return self.atom(array), self.all(index)


class _Lane(_Plain):
    """Writes a run: a loop over the iterations of a strip."""

    def __init__(self, strips: Strips, run: _Run) -> None:
        super().__init__(strips.nest, dict(strips.renaming.atoms))
        self.strips, self.run = strips, run
        self.counter, self.builder = Var("k", INT), Builder()
        self.builder.line = strips.nest.loop.line
        self.sums: dict[Carry, tuple[Var, Atom]] = {}  # of the loop -> what it is in the run, and before
        self.totals: list[tuple[Incr, Carry]] = []
        self.places: dict[int, Atom] = {}
        self.outside = Builder()
        self.again: set[Var] = set()  # what is the same for all, and cast again
        self.perhaps: set[Incr] = set()  # those of which it may be that no iteration comes to them

    def write(self, build: Builder) -> None:
        nest, ends = self.nest, dict[Carry, Var]()
        self.outside = build
        for node in self.run.nodes:
            for v in needs(nest, node):
                if v is not nest.loop.index:
                    self._fetch(v)
            self._statement(node)
            ends.update((nest.chains[v], v) for v in defines(node) if v in nest.chains)
        values = [self._fetch(a) if isinstance(a, Var) else a for _, a in self.run.puts]
        for (v, _), value in zip(self.run.puts, values, strict=True):
            row, place = self.strips.rows[self.strips.plan.rows[v]]
            self.builder.store(row, [self._place(place)], value)
        outer, carries = self.strips.renaming, [c for _, c in self.totals]
        for chain, (param, init) in self.sums.items():
            end = ends[chain]
            carries.append(Carry(param, init, self.atom(end), Var(end.hint, end.type)))
            outer.atoms[end] = carries[-1].out
        zero, one = integer(0), integer(1)
        build.emit(For(self.counter, zero, self.strips.trips, one, self.builder.block, carries, line=self.builder.line))
        for node, total in self.totals:
            array, index = nest.cells[node]
            added = Incr(outer.atom(array), outer.all(index), total.out, line=node.line)
            if node in self.perhaps:  # the cell need not exist
                test = build.let("not_equal", total.out, _nothing(total.out.type.dtype))
                build.emit(If(test, Block([added]), Block(), line=node.line))
            else:
                build.emit(added)

    def _early(self, branch: If) -> If:
        """`branch` without what it fetches for all iterations alike, which is fetched before the run if it is there."""
        inner = {v for b in (branch.then, branch.orelse) for n in b for v in defines(n)}
        nodes = [n for b in (branch.then, branch.orelse) for n in b if isinstance(n, Load)]
        fetched = [n for n in nodes if self._is_fetched_early(n, inner)]
        for node in fetched:
            array, index = _Plain.cell(self, node)
            ends = [self.outside.dim(array, k) for k in range(len(index))]
            test: Atom = TRUE
            for i, end in zip(index, ends, strict=True):
                test = self.outside.let("logical_and", test, self.outside.let("less", i, end))
            there, here = Var(node.out.hint, node.out.type), Var(node.out.hint, node.out.type)
            merges = [Merge(here, there, constant(0, node.out.type.dtype))]
            load = Load(there, array, index, line=node.line)
            self.outside.emit(If(test, Block([load]), Block(), merges, line=node.line))
            self.atoms[node.out] = here
        then, orelse = (Block([n for n in b if n not in fetched]) for b in (branch.then, branch.orelse))
        return dataclasses.replace(branch, then=then, orelse=orelse) if fetched else branch

    def _is_fetched_early(self, node: Load, inner: set[Var]) -> bool:
        nest = self.nest
        array, index = nest.cells[node]
        fixed = nest.places.memory(array) not in nest.written and inner.isdisjoint(index) and array not in nest.definers
        return fixed and nest.is_same(node.out) and all(map(nest.indices.not_negative, index))

    def _statement(self, node: Node) -> None:
        if isinstance(node, If) and self.nest.is_lane(node.test):
            node = self._early(node)
        if self.nest.is_total(node):
            self._total(node, self.atom(node.value))  # type: ignore[attr-defined, arg-type]
            return
        inner = [n for n in nodes_of(*blocks(node)) if self.nest.is_total(n)]
        if not inner:
            self.builder.emit(self.node(node))
            return
        assert isinstance(node, If)
        outs = [Var("t", Scalar(n.value.type.dtype)) for n in inner]  # type: ignore[attr-defined]
        merges = list(node.merges)
        for n, out in zip(inner, outs, strict=True):
            value, none = n.value, _nothing(n.value.type.dtype)  # type: ignore[attr-defined]
            merges.append(Merge(out, value, none) if n in node.then.nodes else Merge(out, none, value))
        then, orelse = (Block([n for n in b if n not in inner]) for b in (node.then, node.orelse))
        self.builder.emit(self.node(dataclasses.replace(node, then=then, orelse=orelse, merges=merges)))
        for n, out in zip(inner, outs, strict=True):
            self.perhaps.add(n)  # type: ignore[arg-type]
            self._total(n, self.atom(out))  # type: ignore[arg-type]

    def _total(self, node: Incr, value: Atom) -> None:
        """The sum of `value` over the strip; it starts with the zero that changes nothing."""
        before, out = (Var("total", value.type) for _ in range(2))
        after = Var("total", value.type)
        self.builder.emit(Let(after, "add", (before, value), line=node.line))
        self.totals.append((node, Carry(before, _nothing(value.type.dtype), after, out)))

    def atom(self, atom: Any) -> Any:
        if atom is self.nest.loop.index and atom not in self.atoms:
            self.atoms[atom] = self.builder.let("add", self.strips.start, self.counter, hint=atom.hint)
        return super().atom(atom)

    def _fetch(self, var: Var) -> Any:
        """What stands for `var` here; found again or read from its row if it must be."""
        nest, plan = self.nest, self.strips.plan
        if var in nest.chains:
            carry = nest.chains[var]
            if plan.makers.get(var) is not self.run and carry not in self.sums:
                param = self.new(var)
                self.sums[carry] = param, self.strips.renaming.atom(var)
        elif isinstance(node := nest.definers.get(var), Let) and node.op == "cast" and nest.is_same(var):
            if var not in self.again:  # in the run, a whole exponent shows
                self.again.add(var)
                self.builder.emit(self.node(node))
        elif var in self.atoms or isinstance(node, View):
            pass
        elif var is nest.loop.index:
            self.atom(var)
        elif nest.is_again(var):
            node = nest.definers[var]
            for v in needs(nest, node):
                if v is not nest.loop.index:
                    self._fetch(v)
            self.builder.emit(self.node(node))
        elif var in plan.rows:
            row, place = self.strips.rows[plan.rows[var]]
            self.atoms[var] = self.builder.load(row, self._place(place), hint=var.hint)
        return self.atoms.get(var, var)

    def _place(self, start: int) -> Atom:
        """The iteration's cell of the row that begins at `start`."""
        if start not in self.places:
            self.places[start] = self.builder.let("add", self.counter, integer(start))
        return self.places[start]

    def cell(self, node: Access) -> tuple[Var, tuple[Atom, ...]]:
        array, index = self.nest.cells[node]
        if array in self.strips.tables:
            return self.strips.tables[array], (*self.all(index), self.counter)
        if array in self.strips.tiles and node in self.nest.strided:
            axis = self.nest.tiled[array]
            return self.strips.tiles[array], (*self.all(index[:axis]), *self.all(index[axis + 1 :]), self.counter)
        if array in self.strips.wide:
            wide, axis = self.strips.wide[array]
            before, after = self.all(index[:axis]), self.all(index[axis + 1 :])
            return wide, (*before, self.strips.number, *after, self.counter)
        return super().cell(node)


def _over(index: Sequence[Var], extents: Sequence[Atom], body: Block) -> For:
    """Loops over all of an array, around `body`."""
    (first, *others), (extent, *more) = index, extents
    inner = Block([_over(others, more, body)]) if others else body
    return For(first, integer(0), extent, integer(1), inner)


def _ndim(array: Var) -> int:
    assert isinstance(array.type, Array)
    return array.type.ndim


def _nothing(dtype: str) -> Const:
    """The zero that changes nothing it is added to."""
    return constant(
        -0.0 if dtype.startswith("float") else complex(-0.0, -0.0) if dtype.startswith("complex") else 0, dtype
    )
