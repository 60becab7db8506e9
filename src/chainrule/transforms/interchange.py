"""Loop interchange: of two loops the one that moves along rows of memory runs inside, where LLVM vectorises it.

``for j in range(m): for k in range(n): c[j] += a[k] * b[k, j]`` takes a stride through memory with every step; a sum
over three or five cells is too short for vectors; a recurrence of any length waits for itself. If no iteration over j
depends on another, a strip of them runs side by side: what stands before the inner loop for all of them, then the
inner loop with each of its iterations for all of them, then what stands behind it. What an iteration over j computes,
it finds again in rows of the length of a strip, a vector that it keeps for its way back becomes a table, and what all
add to one cell is summed up first. Each does what it did in the order it did it, but for additions to memory, whose
order has to be free.

At run time the loop stays as it was if there are few iterations over j, or many of an inner loop that is no worse.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
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
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Scalar,
    Store,
    Var,
)
from chainrule.ir.walk import Renaming, defines, is_number, nodes_of, reads
from chainrule.transforms.dependence import inner_reads
from chainrule.transforms.fission import versions
from chainrule.transforms.order import Order
from chainrule.transforms.residuals import distance
from chainrule.transforms.simplify.walk import block_of, inside, touching

__all__ = ["interchanged"]

_STRIP = 256
_MANY = 8  # iterations over j from which on it is worth it
_FEW = 16  # iterations of an inner loop that is better as it is from here on
_LARGEST = 100  # statements
_NARROW, _LONGEST = 32, 4096  # a strip, and cells of a vector of which it needs one for each iteration
_REAL = ("float64", "float32")
_ROWS = 8


def interchanged(function: Function, strip: int = _STRIP, many: int = _MANY) -> Function:
    """`function` with loops interchanged where that is allowed and pays; the order of additions to memory is free.

    Examples
    --------
    >>> from chainrule.ir.show import show
    >>> b, c = Var("b", Array("float64", 2)), Var("c", Array("float64", 1))
    >>> outer, inner, j, k = Builder(), Builder(), Var("j", INT), Var("k", INT)
    >>> inner.increment(c, [j], inner.load(b, k, j))
    >>> outer.emit(For(k, integer(0), integer(9), integer(1), inner.block))
    >>> loop = For(j, integer(0), integer(64), integer(1), outer.block)
    >>> print(show(interchanged(Function("f", (b, c), Block([loop]), ()))))
    f(b: float64[:,:], c: float64[:])
        for start in range(0, 64, 256):
            trips = subtract(64, start)
            t = minimum(trips, 256)
            for k in range(0, 9, 1):
                for k_2 in range(0, t, 1):
                    j = add(start, k_2)
                    t_2 = b[k, j]
                    c[j] += t_2
        return
    """
    worker = _Interchanger(function, strip, many)
    body = worker.block(function.body)
    if body is function.body:
        return function
    return dataclasses.replace(function, body=Block([*worker.rooms, *body.nodes]))


class _Interchanger:
    """Goes through a function; `rooms` are the rows that its strips need."""

    def __init__(self, function: Function, strip: int, many: int) -> None:
        self.function, self.strip, self.many = function, strip, many
        self.rooms: list[Node] = []

    @functools.cached_property
    def order(self) -> Order:
        return Order(self.function)

    @functools.cached_property
    def kept(self) -> dict[Var, list[Node]]:
        """Vectors that keep values for the way back, and the statements that touch them."""
        nodes = nodes_of(self.function.body)
        vectors = [n.out for n in nodes if isinstance(n, Alloc) and n.kept and len(n.shape) == 1]
        return touching(self.function.body, [v for v in vectors if v not in self.function.results])

    def block(self, block: Block) -> Block:
        return block_of([made for n in block for made in self.nodes(n)], block)

    def nodes(self, node: Node) -> list[Node]:
        made = inside(node, self.block)
        if made is not node or not isinstance(node, For) or not _is_candidate(node):
            return [made]
        nest = _Nest(node, self.order, self.kept)
        return self._versions(nest) if nest.is_allowed() and nest.pays() else [node]

    def _versions(self, nest: _Nest) -> list[Node]:
        """The strips where they pay, and else the loop as it was."""
        loop, build = nest.loop, Builder()
        build.line = loop.line
        tests = [build.let("greater_equal", distance(build, loop, loop.lower, loop.upper, "trips"), integer(self.many))]
        for inner in () if nest.is_slow else [levels[-1] for levels in nest.inner.values()]:
            tests.append(build.let("less", distance(build, inner, inner.lower, inner.upper, "trips"), integer(_FEW)))
        tests += [build.let("less", build.dim(a, 0), integer(_LONGEST)) for a in nest.own]
        if any(isinstance(t, Const) and not t.value for t in tests):
            return [loop]
        test: Atom = TRUE
        for t in (t for t in tests if not isinstance(t, Const)):
            test = t if test is TRUE else build.let("logical_and", test, t)
        writer = _Strips(nest, min(self.strip, _NARROW) if nest.own else self.strip)
        strips = writer.loop(build)
        self.rooms += [Alloc(row, (integer(self.strip),)) for row in writer.rows.values()]
        own = [Alloc(table, (build.dim(a, 0), integer(writer.strip))) for a, table in writer.tables.items()]
        return [*build.block, *versions(test, [*own, strips], loop)]


def _is_candidate(loop: For) -> bool:
    """Whether `loop` is written like one that may be interchanged with loops in it."""
    unit = is_number(loop.step, 1) or is_number(loop.step, -1)
    inner = [n for n in loop.body if isinstance(n, For)]
    small = len(nodes_of(loop.body)) <= _LARGEST
    simple = all(isinstance(n, For) or _is_simple(n) for n in loop.body)
    return unit and bool(inner) and small and simple and not loop.parallel and all(map(_levels, inner))


def _is_simple(node: Node) -> bool:
    if isinstance(node, If):
        scalars = all(isinstance(m.out.type, Scalar) for m in node.merges)
        return scalars and all(map(_is_simple, [*node.then, *node.orelse]))
    return isinstance(node, (Let, Load, Store, Incr, Dim))


def _computes(node: Node) -> bool:
    if isinstance(node, If):
        return all(map(_computes, [*node.then, *node.orelse]))
    return isinstance(node, (Let, Load, Dim))


def _levels(loop: For) -> list[For]:
    """`loop` and the loops in it, each the only one in the one before; none if they are not like this."""
    inner = [n for n in loop.body if isinstance(n, For)]
    if not inner:
        return [loop] if all(map(_is_simple, loop.body)) else []
    others = [n for n in loop.body if not isinstance(n, For)]
    if len(inner) > 1 or not all(isinstance(n, (Let, Dim, Load)) for n in others):
        return []
    through = [(c.init, c.out) for c in inner[0].carries]
    if through != [(c.param, c.next) for c in loop.carries]:
        return []
    levels = _levels(inner[0])
    return [loop, *levels] if levels else []


def _recurs(loop: For) -> bool:
    """Whether `loop` carries more than sums."""
    return any(
        not isinstance(user, Let) or user.op not in ("add", "subtract") or user.out is not c.next
        for c in loop.carries
        for user in loop.body
        if c.param in inner_reads(user)
    )


class _Nest:
    """A loop over j, the loops in it, and what stands between them."""

    def __init__(self, loop: For, order: Order, kept: Mapping[Var, list[Node]]) -> None:
        self.loop, self.order, self.indices = loop, order, order.indices
        self.phase: dict[Var, int] = {}  # what is computed for every j -> in which part of the body
        self.parts: list[list[Node]] = [[]]  # even ones are statements, odd ones a loop
        for node in loop.body:
            if isinstance(node, For):
                self.parts += [[node], []]
            else:
                self.parts[-1].append(node)
        for k, part in enumerate(self.parts):
            self.phase.update((v, k) for node in part for v in defines(node))
        self.inner = {n: _levels(n) for n in loop.body if isinstance(n, For)}
        self.free: dict[Var, Node] = {}  # integers that j alone decides
        for node in loop.body:
            if isinstance(node, Let) and node.out.type == INT and all(self._is_free(a) for a in node.args):
                self.free[node.out] = node
        self.own = [a for a, users in kept.items() if self._is_own(users)]
        self.varying = {loop.index, *self.phase}
        for levels in self.inner.values():
            self._enter(levels)

    def _is_own(self, users: Sequence[Node]) -> bool:
        """Whether a vector hands something over from one of the loops in the loop to another, for each j anew."""
        innermost = {n for levels in self.inner.values() for n in levels[-1].body if isinstance(n, (Load, Store))}
        return bool(users) and isinstance(users[0], Store) and innermost.issuperset(users)

    def _is_free(self, atom: Atom) -> bool:
        return atom is self.loop.index or atom in self.free or (atom not in self.phase and atom.type == INT)

    def _enter(self, levels: Sequence[For]) -> None:
        """Find out what is another value for every j."""
        self.varying.update(c.param for level in levels for c in level.carries)
        for node in (n for level in levels for n in level.body):
            if isinstance(node, For):
                continue
            if not self.varying.isdisjoint(inner_reads(node)) or (isinstance(node, Load) and node.array in self.own):
                self.varying.update(v for n in nodes_of(Block([node])) for v in defines(n))

    # -- whether it may be done

    def is_allowed(self) -> bool:
        """Whether all iterations over j may run side by side."""
        fixed = all(map(self._same_for_all, self.inner.values())) and self._sums_stay()
        return fixed and self.order.is_free(self.loop, self.own)

    def _same_for_all(self, levels: Sequence[For]) -> bool:
        """Whether the loops in the loop run alike for every j."""
        bounds = {a for level in levels for a in (level.lower, level.upper, level.step)}
        outer = [n for level in levels[:-1] for n in level.body if not isinstance(n, For)]
        return self.varying.isdisjoint([*bounds, *(v for n in outer for v in reads(n))])

    def _sums_stay(self) -> bool:
        """Whether each sum over j is one of a single part of the body."""
        for carry in self.loop.carries:
            users = {k for k, part in enumerate(self.parts) for n in part if carry.param in inner_reads(n)}
            place = self.phase.get(carry.next) if isinstance(carry.next, Var) else None
            if place is None or place % 2 or users != {place}:
                return False
        return True

    # -- whether it pays

    def pays(self) -> bool:
        """Whether the loops in the loop take steps along rows with j, or none; and are slow, or may be short."""
        for levels in self.inner.values():
            steps = [self._steps(n, self.loop.index) for n in self._accesses(levels)]
            mine = any(n.array in self.own for n in self._accesses(levels))
            if not all(s in (0, 1) for s in steps) or not (any(steps) or mine or _recurs(levels[-1])):
                return False
            if any(self._meets(n) for n in levels[-1].body if isinstance(n, If)):
                return False
        known = self.is_slow or all(self._has_trips(levels[-1]) for levels in self.inner.values())
        return known and len(list(self.crossing())) <= _ROWS

    def _meets(self, branch: If) -> bool:
        """Whether a branch writes to a cell that is the same for all j, which is no sum over a strip."""
        written = [n for n in nodes_of(branch.then, branch.orelse) if isinstance(n, (Store, Incr))]
        return any(not self._steps(n, self.loop.index) for n in written)

    @functools.cached_property
    def is_slow(self) -> bool:
        """Whether one of the innermost loops takes longer steps than to the next cell, or waits for what it carries."""
        return any(_recurs(levels[-1]) for levels in self.inner.values()) or any(
            self._steps(n, levels[-1].index) not in (0, 1)
            for levels in self.inner.values()
            for n in self._accesses(levels)
        )

    def _has_trips(self, loop: For) -> bool:
        """Whether the number of iterations of an innermost loop is known before the loop over j."""
        region = self.indices.places.regions[self.loop.body]
        bounds = [a for a in (loop.lower, loop.upper) if isinstance(a, Var)]
        outside = not any(self.indices.places.within(self.indices.places.places[v].region, region) for v in bounds)
        return outside and (is_number(loop.step, 1) or is_number(loop.step, -1))

    def _accesses(self, levels: Sequence[For]) -> Iterator[Load | Store | Incr]:
        return (n for n in nodes_of(levels[-1].body) if isinstance(n, (Load, Store, Incr)))

    def _steps(self, node: Load | Store | Incr, index: Var) -> int | None:
        """How many cells further in its row `node` is with the next `index`; None if that is not so."""
        found = 0
        if node.array in self.own:  # it gets an axis for j
            same = self.varying.isdisjoint(node.index)
            return int(index is self.loop.index) if same else None
        for k, atom in enumerate(node.index):
            terms = self.indices.form(atom).terms
            if any(v in self.varying and v is not self.loop.index for v in terms):
                return None
            found = terms.get(index, 0)
            if found and k < len(node.index) - 1:
                return None
        return found

    # -- what passes between the parts

    def crossing(self) -> Iterator[Var]:
        """What is computed in one part for each j and read in another."""
        found: dict[Var, None] = {}
        for k, part in enumerate(self.parts):
            for node in part:
                found.update((v, None) for v in self._read(node) if self.phase.get(v, k) != k)
                if isinstance(node, For):  # what it begins with is read by the part before
                    inits = [c.init for c in node.carries if isinstance(c.init, Var)]
                    found.update((v, None) for v in inits if self.phase.get(v, k - 1) != k - 1)
                    found.update((c.out, None) for c in node.carries)
        return (v for v in found if v not in self.free)

    def _read(self, node: Node) -> Iterator[Var]:
        """What the part of `node` reads for every j."""
        for inner in node.body if isinstance(node, For) else [node]:
            yield from inner_reads(inner)
        if isinstance(node, For):
            yield from (c.next for c in node.carries if isinstance(c.next, Var))


class _Strips:
    """Writes the loop over strips of j."""

    def __init__(self, nest: _Nest, strip: int) -> None:
        self.nest, self.strip = nest, strip
        self.rows = {v: Var("row", Array(v.type.dtype, 1)) for v in nest.crossing()}
        self.tables = {a: Var(a.hint, Array(a.type.dtype, 2)) for a in nest.own}
        self.start = Var("start", INT)
        self.builder = Builder()
        self.builder.line = nest.loop.line

    def loop(self, build: Builder) -> For:
        """The loop over the strips, which go up; its bounds are written with `build`."""
        loop = self.nest.loop
        lower, upper = loop.lower, loop.upper
        if is_number(loop.step, -1):
            lower, upper = (build.let("add", a, integer(1)) for a in (upper, lower))
        left = self.builder.let("subtract", upper, self.start, hint="trips")
        self.trips = self.builder.let("minimum", left, integer(self.strip))
        params = {c: Var(c.param.hint, c.param.type) for c in loop.carries}
        outs: dict[Carry, Var] = {}
        for k, part in enumerate(self.nest.parts):
            if k % 2:
                levels = self.nest.inner[part[0]]  # type: ignore[index]
                self._nest(levels, [c.out for c in levels[0].carries], Renaming(), self.builder)
            else:
                outs.update(self._statements(k, part, params))
        carried = [Carry(params[c], c.init, outs[c], c.out) for c in loop.carries]
        return For(self.start, lower, upper, integer(self.strip), self.builder.block, carried, line=loop.line)

    def _statements(self, k: int, part: Sequence[Node], params: Mapping[Carry, Var]) -> dict[Carry, Var]:
        """Write a part of statements, and what the loop behind it begins with; the sums over j that are in it."""
        row = _Row(self, {})
        mine = [c for c in self.nest.loop.carries if self.nest.phase[c.next] == k]  # type: ignore[index]
        inner = {c: row.renaming.new(c.param) for c in mine}
        for node in part:
            if not any(v in self.nest.free for v in defines(node)):
                row.emit(node)
        for v in (v for v in self.rows if self.nest.phase[v] == k):
            row.put(v, row.atom(v))
        for behind in self.nest.parts[k + 1] if k + 1 < len(self.nest.parts) else ():
            for c in behind.carries:  # type: ignore[attr-defined]
                row.put(c.out, row.atom(c.init))
        carries = {c: Carry(inner[c], params[c], row.atom(c.next), Var(c.out.hint, c.out.type)) for c in mine}
        if row.builder.block.nodes:
            self.builder.emit(row.loop([*carries.values()]))
        return {c: made.out for c, made in carries.items()}

    def _nest(self, levels: Sequence[For], rows: Sequence[Var], renaming: Renaming, build: Builder) -> None:
        """Write loops whose iterations run for all of a strip; `rows` are those of what they carry."""
        level, *deeper = levels
        lower, upper, step = renaming.all((level.lower, level.upper, level.step))
        index, body = renaming.new(level.index), Builder()
        body.line = level.line
        if deeper:
            for node in (n for n in level.body if not isinstance(n, For)):
                body.emit(renaming.node(node))
            self._nest(deeper, rows, renaming, body)
        else:
            self._innermost(level, rows, renaming, body)
        build.emit(For(index, lower, upper, step, body.block, line=level.line))

    def _innermost(self, level: For, rows: Sequence[Var], renaming: Renaming, build: Builder) -> None:
        """Write an iteration of an innermost loop for all of a strip; what is the same for all once."""
        varying, alike = set(self.nest.varying), list[Node]()
        for node in level.body:
            if _computes(node) and varying.isdisjoint(defines(node)) and varying.isdisjoint(inner_reads(node)):
                alike.append(node)
                build.emit(renaming.node(node))
            else:
                varying.update(defines(node))
        row, totals = _Row(self, renaming.atoms), dict[Incr, Carry]()
        for c, v in zip(level.carries, rows, strict=True):
            row.renaming.atoms[c.param] = row.found(v)
        for other in (n for n in level.body if n not in alike):
            if isinstance(other, Incr) and varying.isdisjoint(other.index) and other.value.type.dtype in _REAL:
                totals[other] = row.total(other.value)
            else:
                row.emit(other)
        for c, v in zip(level.carries, rows, strict=True):
            row.put(v, row.atom(c.next))
        build.emit(row.loop([*totals.values()]))
        for sums, total in totals.items():
            build.increment(renaming.atom(sums.array), renaming.all(sums.index), total.out)


class _Row:
    """A loop over the iterations of a strip."""

    def __init__(self, strips: _Strips, known: Mapping[Var, Atom]) -> None:
        self.strips = strips
        self.counter = Var("k", INT)
        self.renaming = Renaming(dict(known))
        self.builder = Builder()
        self.builder.line = strips.builder.line

    def atom(self, atom: Any) -> Any:
        """What stands for an atom of the original loop here; found again or fetched if it must be."""
        strips = self.strips
        if not isinstance(atom, Var) or atom in self.renaming.atoms:
            return self.renaming.atom(atom)
        if atom is strips.nest.loop.index:
            self.renaming.atoms[atom] = self.builder.let("add", strips.start, self.counter, hint=atom.hint)
        elif atom in strips.nest.free:
            self.emit(strips.nest.free[atom])
        elif atom in strips.rows:
            self.renaming.atoms[atom] = self.found(atom)
        return self.renaming.atom(atom)

    def emit(self, node: Node) -> None:
        for v in inner_reads(node):
            self.atom(v)
        made = self.renaming.node(node)
        if isinstance(node, (Load, Store)) and node.array in self.strips.tables:
            array, index = self.strips.tables[node.array], (*self.renaming.all(node.index), self.counter)
            made = dataclasses.replace(made, array=array, index=index)  # type: ignore[call-arg]
        self.builder.emit(made)

    def found(self, var: Var) -> Var:
        return self.builder.load(self.strips.rows[var], self.counter, hint=var.hint)

    def put(self, var: Var, value: Atom) -> None:
        self.builder.store(self.strips.rows[var], [self.counter], value)

    def total(self, value: Atom) -> Carry:
        """The sum of `value` over the strip; it starts with the zero that changes nothing."""
        dtype = value.type.dtype
        before, out = (Var("total", Scalar(dtype)) for _ in range(2))
        return Carry(before, constant(-0.0, dtype), self.builder.let("add", before, self.atom(value)), out)

    def loop(self, carries: list[Carry]) -> For:
        return For(self.counter, integer(0), self.strips.trips, integer(1), self.builder.block, carries)
