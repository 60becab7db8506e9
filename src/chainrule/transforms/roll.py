"""Cells that one iteration leaves to the next become scalars that the loop carries: ``x[i] = f(x[i - 1])``.

The iteration after reads from a variable what this one has written, and need not wait for the way through memory. The
cells from the first to the last that an iteration touches form a window that moves on by one: what enters it is
loaded, unless it is stored first, what is not written to any more is stored, what is left in the end is stored after
the loop. Both ends of the window must be touched in every iteration, so that all of it is in bounds, and whatever else
the loop touches in that memory must lie in other rows. A loop that may not be entered gets a test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chainrule.ir.build import Builder, integer
from chainrule.ir.nodes import (
    Array,
    Atom,
    Block,
    Carry,
    Dim,
    For,
    Function,
    If,
    Incr,
    Load,
    Node,
    Scalar,
    Store,
    Undef,
    Var,
    While,
)
from chainrule.ir.walk import defines, is_number, nodes_of, reads, roots_of
from chainrule.transforms.simplify.facts import Facts, Index, Sum
from chainrule.transforms.simplify.held import Held, entered
from chainrule.transforms.simplify.walk import Access, Substitution, bounds_of, changed, has_loops, once

__all__ = ["rolled"]

_WIDEST = 4  # cells that are carried


def rolled(function: Function) -> Function:
    """`function` with such cells carried.

    Examples
    --------
    >>> from chainrule.ir.build import INT
    >>> from chainrule.ir.show import show
    >>> x, i, build, body = Var("x", Array("float64", 1)), Var("i", INT), Builder(), Builder()
    >>> body.increment(x, [i], body.load(x, body.let("subtract", i, integer(1))))
    >>> build.emit(For(i, integer(1), integer(9), integer(1), body.block))
    >>> print(show(rolled(Function("f", (x,), build.block, (integer(0),)))))
    f(x: float64[:])
        x_held = x[0]
        x_held_3 = for i in range(1, 9, 1) with x_held_2 = x_held:
            x_held_4 = x[i]
            t = subtract(i, 1)
            x_i = add(x_held_4, x_held_2)
            x[i] = x_i
            give x_i
        return 0
    """
    if not has_loops(function):
        return function
    roller = _Roller(function)
    made = changed(function, body=roller.block(function.body))
    if made is function:
        return function
    return dataclasses.replace(made, body=roller.values.block(made.body), results=roller.values.all(function.results))


Row = tuple[Sum, ...]


class _Spot(NamedTuple):
    """A cell as seen from an iteration: in a row of an array, so far from where the index of the loop is."""

    array: Var
    row: Row
    offset: int


class _Window:
    """The cells of one row that an iteration of `loop` touches; along the way of the loop, the first ones `enter`."""

    def __init__(self, loop: For, axis: int, found: Sequence[tuple[_Spot, Access]]) -> None:
        self.step = 1 if is_number(loop.step, 1) else -1
        self.axis, self.found = axis, found
        self.like = found[0][1]
        self.type = Scalar(self.like.array.type.dtype)
        always = {spot.offset for spot, node in found if node in loop.body.nodes}
        ways = [spot.offset * self.step for spot, _ in found]
        self.enters, self.leaves = max(ways) * self.step, min(ways) * self.step
        self.is_certain = {self.enters, self.leaves} <= always
        self.written = [w for w, (_, n) in zip(ways, found, strict=True) if not isinstance(n, Load)]
        plain = any(not isinstance(n, Incr) for _, n in found)  # else `fission` makes vectors of the additions
        self.read = [w for w, (_, n) in zip(ways, found, strict=True) if isinstance(n, (Load, Incr) if plain else Load)]
        first = next(n for spot, n in found if spot.offset == self.enters)
        self.is_stored_first = isinstance(first, Store) and first in loop.body.nodes
        self.width = max(ways) - min(ways)

    @property
    def pays(self) -> bool:
        """Whether what an iteration writes is read by a later one."""
        hands_on = bool(self.written and self.read) and max(self.written) > min(self.read)
        return hands_on and self.is_certain and self.width <= _WIDEST

    def spot(self, offset: int) -> _Spot:
        return self.found[0][0]._replace(offset=offset)

    def moved(self, spot: _Spot, iterations: int) -> _Spot:
        """What is, so many iterations later, at `spot`."""
        return self.spot(spot.offset + iterations * self.step)

    @property
    def carried(self) -> list[_Spot]:
        """The cells that were in the window before, from the one that leaves."""
        return [self.spot(k) for k in range(self.leaves, self.enters, self.step)]

    @property
    def done(self) -> _Spot:
        """The last cell that is written to."""
        return self.spot(min(self.written) * self.step)

    @property
    def pending(self) -> list[_Spot]:
        """The cells that have been written to, and will be again in the next iteration."""
        return [self.spot(k * self.step) for k in range(min(self.written) + 1, max(self.written) + 1)]

    def variable(self) -> Var:
        return Var(f"{self.like.array.hint}_held", self.type)

    def load(self, build: Builder, start: Atom, spot: _Spot) -> Var:
        """The cell `spot` as the iteration `start` sees it."""
        return build.load(self.like.array, *self._index(build, start, spot), hint=self.variable().hint)

    def store(self, build: Builder, start: Atom, spot: _Spot, value: Atom) -> None:
        build.store(self.like.array, self._index(build, start, spot), value)

    def _index(self, build: Builder, start: Atom, spot: _Spot) -> list[Atom]:
        index = [integer(k) if var is None else _plus(build, var, k) for var, k in spot.row]
        return [*index[: self.axis], _plus(build, start, spot.offset), *index[self.axis :]]


def _plus(build: Builder, atom: Atom, k: int) -> Atom:
    return build.let("add" if k >= 0 else "subtract", atom, integer(abs(k)))


class _Roller:
    def __init__(self, function: Function) -> None:
        self.facts = Facts(function)
        self.roots = roots_of(function)
        self.values = Substitution()

    def block(self, block: Block) -> Block:
        nodes = [made for n in block for made in self.nodes(n)]
        return Block(nodes) if nodes != block.nodes else block

    def nodes(self, node: Node) -> list[Node]:
        match node:
            case If(then=then, orelse=orelse):
                return [changed(node, then=self.block(then), orelse=self.block(orelse))]
            case While(body=body):
                return [changed(node, body=self.block(body))]
            case For(body=body):
                return self.loop(changed(node, body=self.block(body)))
        return [node]

    def loop(self, loop: For) -> list[Node]:
        bounds = bounds_of(loop)
        if bounds is None or loop.parallel or not (is_number(loop.step, 1) or is_number(loop.step, -1)):
            return [loop]
        windows = [w for w in self.windows(loop) if w.pays]
        if not windows:
            return [loop]
        nodes = self.rolling(loop, windows)
        return nodes if self.facts.compared("less", *bounds) else entered(loop, bounds, nodes)

    # -- what an iteration touches

    def windows(self, loop: For) -> Iterator[_Window]:
        accesses: dict[Var, list[Access]] = {}
        spoiled: set[Var] = set()  # memory that more than single cells are used of
        inside: set[object] = {c.param for c in loop.carries}
        for node in nodes_of(loop.body):
            inside.update(defines(node))
            if isinstance(node, Access):
                accesses.setdefault(self.roots[node.array], []).append(node)
            elif not isinstance(node, Dim):
                spoiled.update(self.roots[a] for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array))
        direct = set(once(loop))
        for root, nodes in accesses.items():
            if root not in spoiled and root not in inside and direct.issuperset(nodes):
                yield from self.of(loop, nodes, inside)

    def of(self, loop: For, nodes: list[Access], inside: set[object]) -> Iterator[_Window]:
        """The windows of accesses to one memory."""
        axes = [k for k, atom in enumerate(nodes[0].index) if self.facts.sum(atom)[0] is loop.index]
        if len(axes) != 1 or nodes[0].array in inside:
            return
        rows: dict[Row, list[tuple[_Spot, Access]]] = {}
        indices: dict[Row, Index] = {}
        if any(node.array is not nodes[0].array for node in nodes):
            return
        for node in nodes:
            index = list(node.index)
            atom = index.pop(axes[0])
            var, offset = self.facts.sum(atom)
            row = tuple(map(self.facts.sum, index))
            if var is not loop.index or not self.facts.natural(atom):
                return
            if any(v is loop.index or v in inside for v, _ in row):
                return
            indices[row] = tuple(index)
            rows.setdefault(row, []).append((_Spot(node.array, row, offset), node))
        apart = (self.facts.distinct(a, b) for a in indices.values() for b in indices.values() if a is not b)
        if all(apart):
            yield from (_Window(loop, axes[0], found) for found in rows.values())

    # -- the loop that carries them

    def rolling(self, loop: For, windows: list[_Window]) -> list[Node]:
        """`loop` between the loads and the stores of the cells that it carries."""
        spots = {id(node): spot for w in windows for spot, node in w.found}
        before, first, last, after = (Builder() for _ in range(4))
        for build in (before, first, last, after):
            build.line = loop.line
        state: dict[_Spot, Atom] = {}
        inits: dict[_Spot, Var] = {}
        params: dict[_Spot, Var] = {}
        for w in windows:
            for spot in w.carried:
                inits[spot] = w.load(before, loop.lower, spot)
                state[spot] = params[spot] = w.variable()
            enters = w.spot(w.enters)
            state[enters] = Undef(w.type) if w.is_stored_first else w.load(first, loop.index, enters)
        body = Held(lambda node: spots.get(id(node)), self.values).through(loop.body, state)
        carries: dict[_Spot, Carry] = {}
        for w in windows:
            w.store(last, loop.index, w.done, state[w.done])
            for spot in w.carried:
                carries[spot] = Carry(params[spot], inits[spot], state[w.moved(spot, 1)], w.variable())
            for spot in w.pending:
                end = after.let("subtract", loop.upper, loop.step)
                w.store(after, end, spot, carries[w.moved(spot, -1)].out)
        body = Block([*first.block, *body, *last.block])
        made = dataclasses.replace(loop, body=body, carries=[*loop.carries, *carries.values()])
        return [*before.block, made, *after.block]
