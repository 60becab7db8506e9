"""Where the values are kept that the reverse sweep needs and cannot have otherwise.

Of straight code nothing is kept in memory: what is defined in a branch leaves it as one more result of the `If`.
What is defined in a loop is kept in an array per variable, a *residual*, at the number of the iteration:

- the iterations of an outermost counted loop are numbered by its index, and the array has their number exactly;
- a loop standing directly in another, whose trips are known before both, adds an axis to the other's arrays;
- any other loop numbers its iterations on, over all the times it is run, in a counter carried through the loops
  around it, and `Reserve` makes the arrays larger in time. So triangular nests keep no bounding box.

`Residuals` notes what is to be kept and writes the primal sweep that keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Const,
    Copy,
    Dim,
    For,
    If,
    Incr,
    Let,
    Load,
    Merge,
    Node,
    Scalar,
    Store,
    Undef,
    Var,
)
from chainrule.ir.walk import is_number
from chainrule.transforms.indices import Indices
from chainrule.transforms.places import Place, Region
from chainrule.transforms.tape import Tapes

__all__ = ["Frame", "Residuals", "offset", "trips"]

# A loop from here on numbers its iterations by its index, and leaves the first elements of its residuals unused.
_NEAR = 8


@dataclass(eq=False, slots=True)
class Frame:
    """How the iterations of a loop are numbered.

    The first index into its residuals is numbered by `owner`, the loop itself or one around it; every loop between
    adds an index of its own.
    """

    region: Region
    outer: Frame | None
    owner: Frame
    home: Region  # where the outermost loop stands
    top: Node  # the outermost loop
    sizes: tuple[Atom, ...]  # of the axes after the first
    total: Var | None = None  # the counter after the outermost loop, if one runs on
    arrays: dict[Var, Var] = field(default_factory=dict)  # what is kept -> its residual
    lives: dict[Var, Alloc] = field(default_factory=dict)  # memory for an array in every iteration -> the array

    def __init__(self, region: Region, outer: Frame | None, owner: Frame | None, sizes: tuple[Atom, ...] = ()) -> None:
        assert region.parent is not None
        assert region.owner is not None
        self.region, self.outer, self.owner, self.sizes = region, outer, owner or self, sizes
        self.home, self.top = (region.parent, region.owner) if outer is None else (outer.home, outer.top)
        self.total = Var("q", INT) if owner is None and outer is not None else None
        self.arrays, self.lives = {}, {}

    @property
    def runs_on(self) -> bool:
        return self.total is not None


def _anchored(node: For) -> bool:
    """Whether the index of the loop can number its iterations as it is."""
    near, least = (node.lower, 0) if is_number(node.step, 1) else (node.upper, -1)
    return isinstance(near, Const) and least <= near.value <= _NEAR


def offset(build: Builder, node: For, index: Atom, lower: Atom) -> Atom:
    """The number of the iteration of `node` that has this index; `lower` is where the loop starts."""
    if _anchored(node):
        return index
    return distance(build, node, lower, index)


def trips(build: Builder, node: For, lower: Atom, upper: Atom) -> Atom:
    """The number of iterations of `node` between these bounds."""
    return build.let("maximum", distance(build, node, lower, upper), integer(0))


def distance(build: Builder, node: For, start: Atom, end: Atom, hint: str = "t") -> Atom:
    return build.let("subtract", *((end, start) if is_number(node.step, 1) else (start, end)), hint=hint)


class Recording(NamedTuple):
    """A `loop` over the elements of an array of the extents `shape`."""

    loop: For
    region: Region
    shape: tuple[Var, ...]
    element: Var


class Residuals:
    """What is kept of a program, and the program that keeps it."""

    def __init__(self, indices: Indices, names: dict[object, Var], tapes: Tapes) -> None:
        self.indices = indices
        self.tapes = tapes
        self.places = indices.places
        self._names = names  # of what is added to the program, the same in every sweep
        self.frames: dict[Region, Frame] = {}
        self.kept: dict[Var, Var] = {}  # a variable -> its residual, or what it is called outside of its branch
        self.before: dict[Node, list[Node]] = {}
        self.after: dict[Node, list[Node]] = {}
        self.rows: dict[Var, Var] = {}  # an array born in a loop -> the array of which it is a row
        self.counts: dict[Region, Var] = {}  # the body of a `while` -> the number of its iterations
        self._recordings: dict[tuple[Var, Node], Recording] = {}
        self._exported: dict[Var, Var] = {}
        self.merges: dict[If, list[Merge]] = {}
        self.starts: dict[Block, list[Node]] = {}
        self.stored: dict[Region, list[tuple[Var, Frame]]] = {}

    # -- noting what is to be kept

    def keep(self, var: Var) -> Var:
        """Keep the scalar `var`, and return its residual, or itself under the name it has in the body."""
        known = self.kept.get(var)
        if known is None:
            region = self.places.places[var].region
            loop = region.loop
            if self.tapes.region is not None:
                known = self.tapes.keep(var, region).array
            elif loop is None:
                known = self.export(var)
            else:
                frame = self.frame(loop)
                known = Var(f"{var.hint}_kept", Array(var.type.dtype, 1 + len(frame.sizes)))
                frame.arrays[var] = known
                self.stored.setdefault(region, []).append((var, frame))
                at = self.places.positions[frame.top].position
                self.places.places[known] = Place(frame.home, at, None)
            self.kept[var] = known
        return known

    def export(self, var: Var) -> Var:
        """What stands in the body for `var`, which is defined there or in a branch outside of loops."""
        known = self._exported.get(var)
        if known is None:
            known = self._exported[var] = self._export(var)
        return known

    def _export(self, var: Var) -> Var:
        region = self.places.places[var].region
        if region.parent is None:
            return var
        out = self.places.merged.get(var)
        if out is None:
            node = region.owner
            assert isinstance(node, If)
            out = Var(var.hint, var.type)
            other: Atom
            if isinstance(var.type, Array):
                other = Var(var.hint, var.type)
                start = self.starts.setdefault(node.orelse if region.block is node.then else node.then, [])
                start.append(Alloc(other, (integer(0),) * var.type.ndim, line=node.line))
            else:
                other = Undef(var.type)
            then, orelse = (var, other) if region.block is node.then else (other, var)
            self.merges.setdefault(node, []).append(Merge(out, then, orelse))
            self.places.places[out] = Place(region.parent, region.position, node)
        return self.export(out)

    def expandable(self, array: Var) -> bool:
        """Whether all the arrays that are born as `array` can be rows of one, which is as long as they are together."""
        place = self.places.places[array]
        if self.tapes.region is not None or not place.region.is_loop:
            return False
        if array in self.places.merged or array in self.places.reserved:
            return False
        frame = self.frame(place.region)
        exact = isinstance(frame.owner.region.owner, For) and not frame.owner.runs_on
        return exact and isinstance(place.node, Alloc) and None not in self._extents(place.node, frame)

    def expanded(self, array: Var) -> Var:
        """The array of which every `array` that is born in a loop is a row."""
        known = self.rows.get(array)
        if known is None:
            place = self.places.places[array]
            frame, node = self.frame(place.region), place.node
            assert isinstance(node, Alloc)
            known = self.rows[array] = Var(
                f"{array.hint}_kept", Array(array.type.dtype, 1 + len(frame.sizes) + len(node.shape))
            )
            frame.lives[known] = node
            self.places.places[known] = Place(frame.home, self.places.positions[frame.top].position, None)
        return known

    def _extents(self, node: Alloc, frame: Frame) -> list[Atom | None]:
        return [self._hoist(e, frame.home, frame.top) for e in node.shape]

    def former(self, node: Store | Incr) -> Var:
        """What the cell that `node` writes to holds before, loaded for the purpose."""
        known = self._name(node, f"{node.array.hint}_before", node.array.type.dtype)
        if known not in self.places.places:
            self.before.setdefault(node, []).append(Load(known, node.array, node.index, line=node.line))
            place = self.places.positions[node]
            self.places.places[known] = Place(place.region, place.position, None)
        return known

    def measure(self, array: Var, axis: int) -> Var:
        """The extent of an array that is born in a loop, at the end of its life if it grows."""
        place = self.places.places[array]
        assert place.node is not None
        node = place.region.block.nodes[-1] if array in self.places.reserved else place.node
        known = self._name((array, axis), f"n_{array.hint}", "int64")
        if known not in self.places.places:
            self.after.setdefault(node, []).append(Dim(known, array, axis, line=place.node.line))
            self.places.places[known] = Place(place.region, place.position, None)
        return known

    def snapshot(self, array: Var, node: Node, before: bool = False) -> Var:
        """What `array` holds when `node` has run (or is about to), copied for it; `node` is in no loop."""
        copy = self._array_name((array, node), array)
        if copy not in self.places.places:
            (self.before if before else self.after).setdefault(node, []).append(Copy(copy, array, line=node.line))
            place = self.places.positions[node]
            self.places.places[copy] = Place(place.region, place.position, None)
        return copy

    def recording(self, array: Var, node: Node, before: bool = False) -> Recording:
        """A loop after `node` (or before), itself in a loop, that reads all of `array`, so that it can be kept."""
        known = self._recordings.get((array, node))
        if known is None:
            known = self._recordings[array, node] = self._record(array, node, self.before if before else self.after)
        return known

    def _record(self, array: Var, node: Node, table: dict[Node, list[Node]]) -> Recording:
        assert isinstance(array.type, Array)
        build, place = Builder(), self.places.positions[node]
        build.line = node.line
        shape = tuple(self._name((array, node, k), f"n_{array.hint}") for k in range(array.type.ndim))
        for k, extent in enumerate(shape):
            build.emit(Dim(extent, array, k))
        size: Atom = integer(1)
        for extent in shape:
            size = build.let("multiply", size, extent)
        self.places.places.update((n.out, place._replace(node=n)) for n in build.block if isinstance(n, (Dim, Let)))
        flat = array if array.type.ndim == 1 else build.view(build.copy(array), "reshape", [size])
        index, element = self._name((array, node, "k"), "k"), self._name((array, node), array.hint, array.type.dtype)
        loop = For(index, integer(0), size, integer(1), Block([Load(element, flat, (index,), line=node.line)]))
        build.emit(loop)
        table.setdefault(node, [])[:0] = build.block.nodes  # what is kept last is found first
        region = Region(loop.body, loop, place.region, place.position)
        self.places.regions[loop.body] = region
        self.places.positions[loop] = place
        self.places.places.update({index: Place(region, -1, None), element: Place(region, 0, None)})
        return Recording(loop, region, shape, element)

    def _array_name(self, key: object, like: Var) -> Var:
        return self._names.setdefault(key, Var(like.hint, like.type))

    def _name(self, key: object, hint: str, dtype: str = "int64") -> Var:
        return self._names.setdefault(key, Var(hint, Scalar(dtype)))

    def counter(self, region: Region) -> Var:
        """The number of the iteration of a `while`."""
        return self._name((region.block, "counter"), "k")

    def count(self, region: Region) -> Var:
        """The number of iterations that a `while` made, which it is made to count."""
        known = self.counts.get(region)
        if known is None:
            assert region.parent is not None
            known = self.counts[region] = self._name((region.block, "count"), "trips")
            self.places.places[known] = Place(region.parent, region.position, None)
        return known

    def frame(self, region: Region) -> Frame:
        """How the iterations of the loop with the body `region` are numbered."""
        known = self.frames.get(region)
        if known is None:
            assert region.parent is not None
            around = region.parent.loop
            outer = None if around is None else self.frame(around)
            owner: Frame | None = None
            sizes: tuple[Atom, ...] = ()
            if outer is not None and region.parent is outer.region and isinstance(region.owner, For):
                size = self._size(region.owner, outer.home)
                if size is not None:
                    owner, sizes = outer.owner, (*outer.sizes, size)
            known = self.frames[region] = Frame(region, outer, owner, sizes)
            if known.total is not None:
                self.places.places[known.total] = Place(known.home, self.places.positions[known.top].position, None)
        return known

    # -- extents, written before the outermost loop

    def _size(self, node: For, home: Region) -> Atom | None:
        """The extent of an axis numbered by `node`, if it is known before the loops around it."""
        top = self._top(node)
        lower, upper = self._hoist(node.lower, home, top), self._hoist(node.upper, home, top)
        if lower is None or upper is None:
            return None
        build = self._prologue(top)
        if not _anchored(node):
            return trips(build, node, lower, upper)
        if is_number(node.step, 1):
            size, positive = upper, self.indices.not_negative(node.upper)
        else:
            size, positive = build.let("add", lower, integer(1)), self.indices.not_negative(node.lower)
        return size if positive else build.let("maximum", size, integer(0))

    def _top(self, node: Node) -> Node:
        region = self.places.positions[node].region
        while region.loop is not None:
            assert region.owner is not None
            assert region.parent is not None
            node, region = region.owner, region.parent
        return node

    def _prologue(self, top: Node) -> Builder:
        build = Builder(Block(self.before.setdefault(top, [])))
        build.line = top.line
        return build

    def _hoist(self, atom: Atom, home: Region, top: Node) -> Atom | None:
        """`atom` as it can be written before the outermost loop."""
        if not isinstance(atom, Var):
            return atom
        place = self.places.places[atom]
        if place.region.loop is None:
            return atom
        build = self._prologue(top)
        match place.node:
            case Dim(array=array, axis=axis) if (
                self.places.places[array].region.loop is None and array not in self.places.reserved
            ):
                return build.dim(array, axis)
            case Let(op="add" | "subtract" | "multiply" | "minimum" | "maximum" as op, args=args):
                hoisted = [self._hoist(a, home, top) for a in args]
                if None not in hoisted:
                    return build.let(op, *hoisted, hint=atom.hint)  # type: ignore[arg-type]
        return None

    def allocate(self) -> None:
        """Make the residuals before the outermost loops."""
        for frame in list(self.frames.values()):
            self._allocate(frame)

    def _allocate(self, frame: Frame) -> None:
        node = frame.owner.region.owner
        build = self._prologue(frame.top)
        if not frame.arrays and not frame.lives:
            return
        exact = isinstance(node, For) and not frame.owner.runs_on
        first = self._size(node, frame.home) if exact else integer(0)  # type: ignore[arg-type]
        assert first is not None
        numbered = 1 + len(frame.sizes)
        for array in frame.arrays.values():
            build.emit(Alloc(array, (first, *frame.sizes), kept=True, numbered=numbered))
        for rows, born in frame.lives.items():
            extents = self._extents(born, frame)
            build.emit(Alloc(rows, (first, *frame.sizes, *extents), born.fill, True, numbered))  # type: ignore[arg-type]
