"""Loop interchange: of two loops the one whose iterations run side by side is made the inner one, for vectors.

``for j in range(m): for k in range(n): c[j] += a[k] * b[k, j]`` takes a stride through memory with every step; a sum
over three or five cells is too short for vectors; a recurrence of any length waits for itself. If no iteration over j
depends on another, a strip of them runs side by side (`abreast`): each does what it did in the order it did it, but
for additions to memory and sums over j, whose order has to be free.

At run time the loop stays as it was if there are few iterations over j, or many of an inner loop that is no worse, or
if what a strip needs does not fit the cache.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.build import TRUE, Builder, integer
from chainrule.ir.nodes import Atom, Block, Const, For, Function, Incr, Let, Load, Node, Store, Var
from chainrule.ir.walk import nodes_of
from chainrule.transforms.abreast import PAD, Rooms, Strips
from chainrule.transforms.dependence import inner_reads
from chainrule.transforms.fission import versions
from chainrule.transforms.nests import Nest, Program
from chainrule.transforms.residuals import distance
from chainrule.transforms.simplify.walk import block_of, inside

__all__ = ["interchanged"]

_STRIP = 256
_BUDGET = 16384  # cells of all tables: half of a second-level cache of 256 kB
_FEWEST = 16  # iterations of a strip
_MANY = 8  # iterations over j from which on it is worth it
_FEW = 64  # iterations of an inner loop that is better as it is from here on


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
    return dataclasses.replace(function, body=Block([*worker.rooms.nodes(), *body.nodes]))


class _Interchanger:
    """Goes through a function; `rooms` are the rows and tables that its strips need."""

    def __init__(self, function: Function, strip: int, many: int) -> None:
        self.program, self.many = Program(function), many
        self.rooms = Rooms(strip, _BUDGET)

    def block(self, block: Block) -> Block:
        return block_of([made for n in block for made in self.nodes(n)], block)

    def nodes(self, node: Node) -> list[Node]:
        if isinstance(node, For):
            cost = self._cost(node)
            if cost is not None and all(c is None or c >= cost for c in map(self._cost, _loops(node.body))):
                made = self._versions(self.program.nests[node])  # type: ignore[arg-type]
                if made is not None:
                    return made
        return [inside(node, self.block)]

    def _cost(self, loop: For) -> int | None:
        """How much of a nest does not move along rows; None if it may not be interchanged, or it does not pay."""
        nest = self.program.nest(loop)
        return None if nest is None else _cost(nest)

    def _versions(self, nest: Nest) -> list[Node] | None:
        """The strips where they pay, and else the loop as it was; None if that is known."""
        loop, build = nest.loop, Builder()
        build.line = loop.line
        tests = [build.let("greater_equal", distance(build, loop, loop.lower, loop.upper, "trips"), integer(self.many))]
        for inner in () if _is_slow(nest) else nest.innermost():
            lower, upper = (nest.outside(build, a) for a in (inner.lower, inner.upper))
            if lower is not None and upper is not None:
                tests.append(build.let("less", distance(build, inner, lower, upper, "trips"), integer(_FEW)))
        writer = Strips(nest, self.rooms)
        strip, shapes = self._strip(build, writer)
        if shapes:
            tests.append(build.let("greater_equal", strip, integer(min(_FEWEST, self.rooms.strip))))
            strip = build.let("maximum", strip, integer(min(_FEWEST, self.rooms.strip)))
        if any(isinstance(t, Const) and not t.value for t in tests):
            return None
        test: Atom = TRUE
        for t in (t for t in tests if not isinstance(t, Const)):
            test = t if test is TRUE else build.let("logical_and", test, t)
        strips = Builder()
        strips.line = loop.line
        writer.write(strips, shapes, strip)
        return [*build.block, *versions(test, strips.block.nodes, loop)]

    def _strip(self, build: Builder, writer: Strips) -> tuple[Atom, list[tuple[Var, list[Atom]]]]:
        """How many iterations a strip has, so that its tables fit, and the shapes of these."""
        shapes = writer.shapes(build)
        if not shapes:
            return integer(self.rooms.strip), shapes
        cells: Atom = integer(0)
        for _, shape in shapes:
            size: Atom = integer(1)
            for extent in shape:
                size = build.let("multiply", size, extent, hint="size")
            cells = build.let("add", cells, size, hint="cells")
        room = build.let("floor_divide", integer(_BUDGET), build.let("maximum", cells, integer(1)), hint="room")
        fits = build.let("bitwise_and", build.let("subtract", room, integer(PAD)), integer(-8))
        return build.let("minimum", fits, integer(self.rooms.strip), hint="strip"), shapes


def _loops(block: Block) -> list[For]:
    return [n for n in nodes_of(block) if isinstance(n, For)]


def _accesses(loop: For) -> list[Load | Store | Incr]:
    return [n for n in nodes_of(loop.body) if isinstance(n, (Load, Store, Incr))]


def _cost(nest: Nest) -> int | None:
    """How much of a nest does not move along rows with the index of the loop; None if that is too much."""
    work = sum(nest.weight(n) for n in nest.nodes if isinstance(n, (Let, Load, Store, Incr)))
    cells = [n for n in nest.nodes if isinstance(n, (Load, Store, Incr))]
    far = sum(nest.weight(n) for n in cells if nest.steps(n, nest.loop.index) not in (0, 1))
    tiles = sum(nest.weight(n) for n in cells if n in nest.strided)
    if 4 * far > work or not _gains(nest):
        return None
    return far + tiles


def _gains(nest: Nest) -> bool:
    """Whether the loops in the loop do something for each iteration that they are slow at, or may be short."""
    inner = nest.innermost()
    lanes = any(not nest.is_shared(n) for loop in inner for n in nodes_of(loop.body))
    known = all(isinstance(a, Const) for loop in inner for a in (loop.lower, loop.upper))
    return lanes and not known


def _is_slow(nest: Nest) -> bool:
    """Whether most of the work is in innermost loops that take strides, or wait for what they carry."""
    work = {n: nest.weight(n) * len(n.body.nodes) for n in nest.innermost()}
    slow = sum(
        w for n, w in work.items() if _recurs(n) or any(nest.steps(a, n.index) not in (0, 1) for a in _accesses(n))
    )
    return 2 * slow >= sum(work.values())


def _recurs(loop: For) -> bool:
    """Whether `loop` carries more than sums."""
    return any(
        not isinstance(user, Let) or user.op not in ("add", "subtract") or user.out is not c.next
        for c in loop.carries
        for user in loop.body
        if c.param in inner_reads(user)
    )
