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
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence

from chainrule.ir.build import FALSE, TRUE, Builder, integer
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Dim, For, Function, Incr, Let, Load, Node, Store, Var
from chainrule.ir.walk import Renaming, defines, nodes_of, reads
from chainrule.transforms.abreast import PAD, Rooms, Strips
from chainrule.transforms.dependence import inner_reads
from chainrule.transforms.fission import versions
from chainrule.transforms.lift import lifted
from chainrule.transforms.nests import KNOWN, Nest, Program
from chainrule.transforms.places import Place, Places
from chainrule.transforms.recur import recurring
from chainrule.transforms.residuals import distance
from chainrule.transforms.simplify.walk import Substitution, block_of, inside, touching
from chainrule.transforms.sink import sunk

__all__ = ["interchanged"]

_STRIP = 256
_BUDGET = 16384  # cells of all tables: half of a second-level cache of 256 kB
_FEWEST = 16  # iterations of a strip
_MANY = 8  # iterations over j from which on it is worth it
_FAR, _FARTHER = 4, 16  # what it costs to reach a cell in another row, if the loops inside are slow or not
_FEW = 256  # iterations of an inner loop that is better as it is from here on


def interchanged(function: Function, strip: int = _STRIP, many: int = _MANY) -> Function:
    """`function` with loops interchanged where that is allowed and pays; the order of additions to memory is free.

    Examples
    --------
    >>> from chainrule.ir.build import INT
    >>> from chainrule.ir.show import show
    >>> b, c = Var("b", Array("float64", 2)), Var("c", Array("float64", 1))
    >>> outer, inner, j, k = Builder(), Builder(), Var("j", INT), Var("k", INT)
    >>> inner.increment(c, [j], inner.load(b, k, j))
    >>> outer.emit(For(k, integer(0), integer(9), integer(1), inner.block))
    >>> loop = For(j, integer(0), integer(64), integer(1), outer.block)
    >>> print(show(interchanged(Function("f", (b, c), Block([loop]), ()))))
    f(b: float64[:,:], c: float64[:])
        for strip in range(0, 1, 1):
            t = multiply(strip, 256)
            t_2 = subtract(64, t)
            trips = minimum(t_2, 256)
            for k in range(0, 9, 1):
                for k_2 in range(0, trips, 1):
                    j = add(t, k_2)
                    t_3 = b[k, j]
                    c[j] += t_3
        return
    """
    flat, former = sunk(function, lambda loop: True)
    if former:
        wanted = {former[n] for n in _Interchanger(flat, strip, many).chosen() if n in former}
        flat, former = sunk(function, wanted.__contains__)
    worker = _Interchanger(flat, strip, many, former)
    for change in (recurring, lifted):
        flat, before = change(flat, worker.chosen())
        if before:
            former = {made: former.get(n, n) for made, n in before.items()}
            worker = _Interchanger(flat, strip, many, former)
    body = worker.block(flat.body)
    if body is flat.body:
        return function
    return dataclasses.replace(function, body=Block([*worker.rooms.nodes(), *body.nodes]))


class _Interchanger:
    """Goes through a function; `rooms` are the rows and tables that its strips need, `former` what loops once were."""

    def __init__(self, function: Function, strip: int, many: int, former: Mapping[For, For] | None = None) -> None:
        self.program, self.many = Program(function), many
        self.rooms, self.former = Rooms(strip, _BUDGET), former or {}

    def chosen(self) -> list[For]:
        """The loops that are to run side by side."""
        return [n for n in _loops(self.program.function.body) if self._is_chosen(n)]

    @functools.cached_property
    def kept(self) -> dict[Var, list[Node]]:
        """The arrays that keep values for the way back, and the statements that touch them."""
        body = self.program.function.body
        arrays = {n.out for n in nodes_of(body) if isinstance(n, Alloc) and n.kept}
        return touching(body, arrays.difference(self.program.function.results))

    def block(self, block: Block) -> Block:
        found: dict[Node, _Group] = {}
        for group in self._groups(block):
            if group.test is not FALSE:
                found.update((n, group) for n in (*group.nests, *group.kept))
        made: list[Node] = []
        for node in block:
            made += found[node].nodes(node) if node in found else [inside(node, self.block)]
        return block_of(made, block)

    def _groups(self, block: Block) -> list[_Group]:
        """The loops of `block` to be interchanged, those together of which one finds what another keeps."""
        chosen = [n for n in block if isinstance(n, For) and self._is_chosen(n)]
        groups = [_Group(self, {n: self.program.nests[n]}, {}) for n in chosen]  # type: ignore[dict-item]
        for alloc in (n for n in block if isinstance(n, Alloc) and n.out in self.kept and len(n.shape) > 1):
            sharing = [g for g in groups if any(self._is_in(n, loop) for n in self.kept[alloc.out] for loop in g.nests)]
            if not sharing:
                continue
            nests = {n: nest for g in sharing for n, nest in g.nests.items()}
            axis = self._axis(alloc, list(nests.values()))
            if axis is not None:
                kept = {**{a: k for g in sharing for a, k in g.kept.items()}, alloc: axis}
                group = _Group(self, nests, kept)
                if group.is_known_early():
                    groups = [*(g for g in groups if g not in sharing), group]
        return groups

    def _is_in(self, node: Node, loop: For) -> bool:
        return self.program.places.inside(self.program.places.positions[node].region, loop)

    def _axis(self, alloc: Alloc, nests: list[Nest]) -> int | None:
        """The axis of what is kept that is the iteration of all `nests`, which do all that is done with it."""
        forms = [nest.lowest() for nest in nests]
        if any(f.terms != forms[0].terms or f.number != forms[0].number for f in forms):
            return None
        cells = [(nest, n) for n in self.kept[alloc.out] for nest in nests if n in nest.cells]
        if len(cells) < len(self.kept[alloc.out]) or any(alloc.out in nest.tiled for nest in nests):
            return None
        axes = [nest.axis(n) for nest, n in cells]
        return axes[0] if None not in axes and len(set(axes)) == 1 else None

    def _is_chosen(self, loop: For) -> bool:
        """Whether of `loop` and the loops in it this is the one to run side by side: the inner one if none costs."""
        cost = self._cost(loop)
        inner = [c for c in map(self._cost, _loops(loop.body)) if c is not None]
        return cost is not None and all(c > cost or c == cost > 0 for c in inner)

    def _cost(self, loop: For) -> int | None:
        """How much of a nest does not move along rows; None if it may not be interchanged, or it does not pay."""
        nest = self.program.nest(loop)
        if nest is None:
            return None
        places = self.program.places
        beside = places.positions[loop].region
        return _cost(nest, [a for a in self.kept if places.places[a].region is beside])


class _Group:
    """Loops of a block that run in strips if all of them do, and `kept` arrays, with the axis of the iteration.

    What is kept for the iterations of a strip stands side by side, in an axis of its own.
    """

    def __init__(self, owner: _Interchanger, nests: Mapping[For, Nest], kept: Mapping[Alloc, int]) -> None:
        self.owner, self.nests, self.kept = owner, nests, kept
        self.build = Builder()  # of what decides
        self.build.line = next(iter(nests)).line
        self.wide = {a.out: (Var(a.out.hint, Array(a.out.type.dtype, len(a.shape) + 1)), k) for a, k in kept.items()}
        self.writers = {loop: Strips(nest, owner.rooms, self.wide) for loop, nest in nests.items()}
        self.shapes = {loop: writer.shapes(self.build) for loop, writer in self.writers.items()}
        self.strip: Atom = integer(owner.rooms.strip)
        self.test: Atom = TRUE
        for loop, nest in nests.items():
            self._decide(loop, nest)
        self.written = False

    def _decide(self, loop: For, nest: Nest) -> None:
        build, strip = self.build, self.owner.rooms.strip
        trips = distance(build, loop, loop.lower, loop.upper, "trips")
        self._demand(build.let("greater_equal", trips, integer(self.owner.many)))
        for inner in () if _is_slow(nest) else nest.innermost():
            lower, upper = (nest.outside(build, a) for a in (inner.lower, inner.upper))
            if lower is not None and upper is not None:
                self._demand(build.let("less", distance(build, inner, lower, upper, "trips"), integer(_FEW)))
        if self.shapes[loop]:
            few, fits = integer(min(_FEWEST, strip)), _fitting(build, [shape for _, shape in self.shapes[loop]])
            self._demand(build.let("greater_equal", fits, few))
            self.strip = build.let("minimum", build.let("maximum", fits, few), self.strip, hint="strip")

    def _demand(self, test: Atom) -> None:
        if TRUE in (self.test, test):
            self.test = test if self.test == TRUE else self.test
        else:
            self.test = FALSE if FALSE in (self.test, test) else self.build.let("logical_and", self.test, test)

    def is_known_early(self) -> bool:
        """Whether what decides can be found where the first of the loops and arrays stands; then it is found there."""
        places = self.owner.program.places
        first = min((places.positions[n] for n in (*self.nests, *self.kept)), key=lambda place: place.position)
        early = _Early(places, first)
        own = {v for n in self.build.block for v in defines(n)}
        needed = [a for n in self.build.block for a in reads(n) if isinstance(a, Var) and a not in own]
        if not all(map(early.find, needed)):
            return False
        known = Substitution(early.renaming.atoms)
        self.build.block.nodes[:] = [*early.nodes, *(known.node(n) for n in self.build.block)]
        return True

    def nodes(self, node: Node) -> list[Node]:
        """What a loop or an array of the group becomes; what decides stands before the first."""
        before = [] if self.written else self.build.block.nodes
        self.written = True
        if isinstance(node, Alloc):
            return [*before, *self._widened(node)]
        assert isinstance(node, For)
        strips = Builder()
        strips.line = node.line
        self.writers[node].write(strips, self.shapes[node], self.strip)
        former = self.owner.former.get(node, node)
        (plain,) = _Widened(self.wide).block(Block([former])).nodes if self.wide else [former]
        return [*before, *versions(self.test, strips.block.nodes, plain)]  # type: ignore[arg-type]

    def _widened(self, node: Alloc) -> list[Node]:
        """An array with an axis for the strips, one for what is in a strip, and the others between them."""
        build, axis = Builder(), self.kept[node]
        build.line = node.line
        strip, width = self.strip, build.let("add", self.strip, integer(PAD), hint="width")
        if self.test != TRUE:
            strip, width = (build.let("where", self.test, a, integer(1), hint="strip") for a in (strip, width))
        count = build.let(
            "floor_divide", build.let("add", node.shape[axis], build.let("subtract", strip, integer(1))), strip
        )
        shape = (*node.shape[:axis], count, *node.shape[axis + 1 :], width)
        build.emit(dataclasses.replace(node, out=self.wide[node.out][0], shape=shape))
        return build.block.nodes


class _Early:
    """Integers that are computed anew at a place before the one where the program does it."""

    def __init__(self, places: Places, first: Place) -> None:
        self.places, self.first = places, first
        self.renaming = Renaming()
        self.nodes: list[Node] = []

    def find(self, var: Var) -> bool:
        """Whether `var` is known there, or what it is computed from."""
        region, position, node = self.places.places[var]
        if (
            position < self.first.position
            if region is self.first.region
            else self.places.within(self.first.region, region)
        ):
            return True
        if var in self.renaming.atoms:
            return True
        if not isinstance(node, Dim) and not (isinstance(node, Let) and node.op in KNOWN):
            return False
        if not all(self.find(a) for a in reads(node) if isinstance(a, Var)):
            return False
        self.nodes.append(self.renaming.node(node))
        return True


class _Widened(Substitution):
    """A loop as it was, over arrays with one axis more, of extent 1."""

    def __init__(self, wide: Mapping[Var, tuple[Var, int]]) -> None:
        super().__init__()
        self.wide = wide

    def node(self, node: Node) -> Node:
        if isinstance(node, (Load, Store, Incr)) and node.array in self.wide:
            return dataclasses.replace(node, array=self.wide[node.array][0], index=(*node.index, integer(0)))
        return super().node(node)


def _fitting(build: Builder, shapes: Iterable[Sequence[Atom]]) -> Atom:
    """For how many iterations tables of these shapes have room."""
    cells: Atom = integer(0)
    for shape in shapes:
        size: Atom = integer(1)
        for extent in shape:
            size = build.let("multiply", size, extent, hint="size")
        cells = build.let("add", cells, size, hint="cells")
    room = build.let("floor_divide", integer(_BUDGET), build.let("maximum", cells, integer(1)), hint="room")
    return build.let("bitwise_and", build.let("subtract", room, integer(PAD)), integer(-8))


def _loops(block: Block) -> list[For]:
    return [n for n in nodes_of(block) if isinstance(n, For)]


def _accesses(loop: For) -> list[Load | Store | Incr]:
    return [n for n in nodes_of(loop.body) if isinstance(n, (Load, Store, Incr))]


def _cost(nest: Nest, kept: Collection[Var]) -> int | None:
    """How much of a nest does not move along rows with the index of the loop; None if that is too much."""
    work = sum(nest.weight(n) for n in nest.nodes if isinstance(n, (Let, Load, Store, Incr)) and not nest.is_shared(n))
    cells = [n for n in nest.nodes if isinstance(n, (Load, Store, Incr))]
    near = {
        n for n in cells if nest.steps(n, nest.loop.index) in (0, 1) or (n.array in kept and nest.axis(n) is not None)
    }
    far = sum(nest.weight(n) for n in cells if n not in near)
    tiles = sum(nest.weight(n) for n in cells if n in nest.strided)
    if (_FAR if _is_slow(nest) else _FARTHER) * far > work or not _gains(nest):
        return None
    return far + tiles


def _gains(nest: Nest) -> bool:
    """Whether the innermost loops do something for each iteration."""
    return any(not nest.is_shared(n) for loop in nest.innermost() for n in nodes_of(loop.body))


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
