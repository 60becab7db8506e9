"""Values of the primal sweep in the reverse sweep, on demand: available, recomputed, loaded again, or kept.

`need` gives a value in the mirror of the block that defines it, at the statement being reversed. Results of
elementary functions and of divisions are kept, arithmetic and indices are recomputed if at most one value has to
be kept for them, and a load is repeated where the cell still holds what it held:

- nothing that may run later writes to it, or
- it is a cell of a copy, and the array that was copied still holds it (`origins`), or
- its memory is restored as the sweep goes back, and nothing from the load to the statement being reversed writes
  to that memory. What is restored is decided before the sweep, so that no load can rely on what is not.

A value that was stored is found in its cell under the same conditions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import Array, Atom, Carry, Dim, For, Incr, Let, Load, Node, Slice, Store, Var, View, While
from chainrule.ir.ops import CHEAP
from chainrule.transforms.indices import same
from chainrule.transforms.mirror import Mirror
from chainrule.transforms.origins import Origins
from chainrule.transforms.places import Place, Region
from chainrule.transforms.residuals import Frame, Recording, Residuals, distance, offset, trips

__all__ = ["Demand", "Plan"]

_MANY = 32  # iterations of a loop
_NOTHING: frozenset[Var] = frozenset()


class Plan(NamedTuple):
    """What is decided before a sweep."""

    restored: frozenset[Var] = frozenset()  # the memory that is brought back to its former state
    expanded: frozenset[Var] = frozenset()  # the arrays born in loops that are rows of longer ones
    kept: frozenset[Var] = frozenset()  # what an earlier sweep could not do without: it costs nothing more
    relied: frozenset[Node] | None = None  # the statements whose cells an earlier sweep asked for again; None: any


class Way(NamedTuple):
    """A way to have a value: what would have to be kept for it, what gives it, and from which values."""

    lack: frozenset[Var]
    take: Callable[[], Atom]
    values: tuple[Atom, ...] = ()


class Demand:
    """Primal values for the reverse sweep that appends to `build`."""

    def __init__(self, residuals: Residuals, plan: Plan, build: Builder) -> None:
        self.residuals = residuals
        self.indices = residuals.indices
        self.places = residuals.places
        self.origins = Origins(residuals.indices)
        self.plan = plan
        self.build = build
        self.mirrors: dict[Region, Mirror] = {}  # of the regions around the statement being reversed
        self._lacks: dict[Var, frozenset[Var]] = {}
        self._sought: set[Var] = set()  # what is to be found in a cell whose index may not depend on it
        self.relied: set[Node] = set()  # the statements whose cells are asked for again once they are restored
        self.wanted: dict[Var, None] = {}  # the memory whose restoring might save something
        self.missed: dict[Var, None] = {}  # the arrays whose expansion might

    @contextlib.contextmanager
    def at(self, region: Region) -> Iterator[Mirror]:
        """Append to the mirror of `region`, before what is being built in it."""
        mirror = self.mirrors[region]
        with self.build.inside(mirror.code):
            yield mirror

    # -- scalars

    def need(self, atom: Atom) -> Atom:
        """The value that `atom` had in the primal sweep."""
        if not isinstance(atom, Var):
            return atom
        waiting = [atom]
        while waiting:  # expressions may be long: no recursion
            var = waiting[-1]
            way = None if self._is_at_hand(var) else self._way(var)
            below = [] if way is None else [a for a in way.values if isinstance(a, Var) and not self._is_at_hand(a)]
            waiting.extend(below)
            if below:
                continue
            waiting.pop()
            if way is not None:
                with self.at(self.places.places[var].region) as mirror:
                    mirror.values[var] = way.take()
        region = self.places.places[atom].region
        return atom if region.parent is None else self.mirrors[region].values[atom]

    def _is_at_hand(self, atom: Atom) -> bool:
        if not isinstance(atom, Var):
            return True
        region = self.places.places[atom].region
        return region.parent is None or atom in self.mirrors[region].values

    def all(self, atoms: Iterable[Atom]) -> tuple[Atom, ...]:
        return tuple(self.need(a) for a in atoms)

    # -- where a value comes from

    def lack(self, *atoms: Atom | None) -> frozenset[Var]:
        """What would have to be kept, and is not yet, to have these."""
        found = _NOTHING
        for atom in atoms:
            if isinstance(atom, Var) and not self._is_at_hand(atom):
                self._survey(atom)
                found |= self._lacks[atom]
        return found

    def _survey(self, var: Var) -> None:
        """Find out what is lacking for `var`, and before for what it is computed from."""
        waiting = [var]
        while waiting:
            var = waiting[-1]
            node = self.places.places[var].node
            operands = node.args if isinstance(node, Let) else node.index if isinstance(node, Load) else ()
            below = [a for a in operands if isinstance(a, Var) and a not in self._lacks and not self._is_at_hand(a)]
            waiting.extend(below)
            if not below:
                waiting.pop()
                if var not in self._lacks:
                    self._lacks[var] = self._way(var).lack

    def forget(self) -> None:
        """Another statement is reversed, and what was lacking may be different."""
        self._lacks.clear()

    def weight(self, kept: Iterable[Var]) -> int:
        """What it costs to keep these: more in inner loops, and an array as much as a loop over it."""
        return sum([_MANY ** (self.places.places[v].region.depth + getattr(v.type, "ndim", 0)) for v in kept])

    def _way(self, var: Var) -> Way:
        """The cheapest way to have `var`."""
        place = self.places.places[var]
        known = var in self.residuals.kept or var in self.plan.kept
        keep = Way(_NOTHING if known else frozenset([var]), lambda: self._kept(var, place))
        limit = self.weight(keep.lack)
        for way in self._others(var, place):
            cost = self.weight(way.lack)
            if cost < limit or (cost == limit and (not cost or isinstance(place.node, Let))):
                return way
        return keep

    def _others(self, var: Var, place: Place) -> Iterator[Way]:
        """The ways to have `var` without keeping it."""
        node = place.node
        match node:
            case Let(args=args) if self._cheap(node):
                yield Way(self.lack(*args), lambda: self._recomputed(node), args)
            case Load(array=array, index=index) if self.reachable(array):
                if self.indices.final(node) or self._restored(node, array, place):
                    yield Way(self.lack(*index) | self.detour(array), lambda: self._loaded(array, index, var), index)
            case Dim(array=array, axis=axis) if self.reachable(array) and not self._grows(array):
                yield Way(self.detour(array), lambda: self.build.dim(self.array(array), axis))
        if isinstance(node, Load) and self.mirrors[place.region].at >= place.position:
            yield from self._copied(node)
        carry = _carry(var, place)
        stride = None if carry is None else self.indices.stride(carry)
        if carry is not None and stride is not None:
            yield Way(self.lack(carry.init), lambda: self._counted(carry, place, stride), (carry.init,))
        yield from self._cells(var, place)

    def _kept(self, var: Var, place: Place) -> Atom:
        residual = self.residuals.keep(var)
        self.forget()
        loop = place.region.loop
        if self.residuals.tapes.region is not None:
            self.mirrors[place.region].flow(self.residuals.tapes.of(var))
            return self.residuals.tapes.found(self.build, var, place.region)
        if loop is None:
            return residual
        number = self.number(self.mirrors[loop])
        return self.build.load(self.residuals.export(residual), *number, hint=var.hint)

    def _cheap(self, node: Let) -> bool:
        return node.op in CHEAP or node.out.type.dtype == "int64"

    def _recomputed(self, node: Let) -> Atom:
        values = self.all(node.args)
        if node.op == "cast":
            return self.build.cast(values[0], node.out.type.dtype, hint=node.out.hint)
        return self.build.let(node.op, *values, hint=node.out.hint)

    def _loaded(self, array: Var, index: tuple[Atom, ...], var: Var) -> Atom:
        return self.build.load(self.array(array), *self.all(index), hint=var.hint)

    def _copied(self, node: Load) -> Iterator[Way]:
        """From the array that the one of `node` is a copy of."""
        found = self.origins.of(node)
        if found is not None and self.reachable(found[0]):
            array, index = found
            yield Way(self.lack(*index) | self.detour(array), lambda: self._loaded(array, index, node.out), index)

    def _grows(self, array: Var) -> bool:
        return self.places.root(array) in self.places.reserved

    def _restored(self, node: Node, array: Var, place: Place) -> bool:
        """Whether the memory of `array` is, at the statement being reversed, what it was at the `place` of `node`."""
        memory = self.places.memory(array)
        mirror = self.mirrors[place.region]
        if mirror.at < place.position:
            return False
        if self.places.written(place.region, place.position + 1, mirror.at, memory):
            return False
        if memory in self.plan.restored:
            self.relied.add(node)
            return True
        if self.indices.restorable(memory):
            self.wanted[memory] = None
        return False

    def _cells(self, var: Var, place: Place) -> Iterator[Way]:
        """The stores of `var` whose cells still hold it."""
        for store in self.places.stores.get(var, ()):
            where = self.places.positions[store]
            if var in self._sought or where.region is not place.region or not self.reachable(store.array):
                continue
            undone = self.places.memory(store.array) in self.plan.restored
            before = self.mirrors[where.region].at < where.position
            final = self.indices.final(store) and not (undone and before)
            if final or (not before and self._restored(store, store.array, where)):
                with self._looking_for(var):
                    lack = self.lack(*store.index) | self.detour(store.array)
                yield Way(lack, lambda store=store: self._found(store, var))  # type: ignore[misc]

    def _found(self, store: Store, var: Var) -> Atom:
        with self._looking_for(var):
            return self._loaded(store.array, store.index, var)

    @contextlib.contextmanager
    def _looking_for(self, var: Var) -> Iterator[None]:
        """Meanwhile `var` is not looked for in a cell whose index depends on it."""
        self._sought.add(var)
        lacks, self._lacks = self._lacks, {}
        yield
        self._sought.discard(var)
        self._lacks = lacks

    # -- carries

    def _counted(self, carry: Carry, place: Place, stride: int) -> Atom:
        node = place.region.owner
        if isinstance(node, For):
            trip = distance(self.build, node, self.need(node.lower), self.need(node.index))
        else:
            trip = self.mirrors[place.region].values[self.residuals.counter(place.region)]
        grown = self.build.let("multiply", trip, integer(stride))
        return self.build.let("add", self.need(carry.init), grown, hint=carry.param.hint)

    # -- arrays

    def reachable(self, array: Var) -> bool:
        """Whether the reverse sweep can name `array`: it was not born in a loop, or expanded."""
        root = self.places.root(array)
        if self.places.places[root].region.loop is None or root in self.plan.expanded:
            return True
        self.missed[root] = None
        return False

    def detour(self, array: Var) -> frozenset[Var]:
        """What is lacking to take the views that lead to `array`."""
        place = self.places.places[array]
        if (
            place.region.parent is None
            or array in self.mirrors[place.region].arrays
            or not isinstance(place.node, View)
        ):
            return _NOTHING
        return self.lack(*items(place.node)) | self.detour(place.node.array)

    def array(self, array: Var) -> Var:
        """The primal array, whatever it holds now."""
        place = self.places.places[array]
        if place.region.parent is None:
            return array
        with self.at(place.region) as mirror:
            known = mirror.arrays.get(array)
            if known is None:
                if isinstance(place.node, View):
                    known = self.view(place.node, self.array(place.node.array), array.hint)
                elif array in self.plan.expanded:
                    known = self._row(array, mirror)
                else:
                    known = self.residuals.export(array)
                mirror.arrays[array] = known
        return known

    def _row(self, array: Var, mirror: Mirror) -> Var:
        assert isinstance(array.type, Array)
        rows = self.residuals.export(self.residuals.expanded(array))
        items = [*self.number(mirror), *[Slice(None, None, None)] * array.type.ndim]
        return self.build.view(rows, "index", items, array.hint)

    def view(self, node: View, array: Var, hint: str) -> Var:
        """The same view of another array."""
        return self.build.view(array, node.kind, [self._item(i) for i in node.items], hint)

    def _item(self, item: Any) -> Any:
        if isinstance(item, Slice):
            return Slice(*(None if bound is None else self.need(bound) for bound in item))
        return None if item is None else self.need(item)

    def value_at(self, atom: Atom, node: Node) -> Atom:
        """The value of `atom`, if it is an array what it held when `node` had run, which is being reversed."""
        if not isinstance(atom, Var) or not isinstance(atom.type, Array):
            return self.need(atom)
        place = self.places.positions[node]
        held = self.places.stable(place, self.places.memory(atom))
        if self.reachable(atom) and (held or self._restored(node, atom, place)):
            return self.array(atom)
        if place.region.loop is None:
            return self.residuals.export(self.residuals.snapshot(atom, node))
        return self._replay(self.residuals.recording(atom, node))

    def value_before(self, atom: Atom, node: Node, written: bool) -> Atom:
        """The value of `atom` when `node` was about to run, which writes to it or not."""
        if not written:
            return self.value_at(atom, node)
        assert isinstance(atom, Var)
        if self.places.positions[node].region.loop is None:
            return self.residuals.export(self.residuals.snapshot(atom, node, before=True))
        return self._replay(self.residuals.recording(atom, node, before=True))

    def _replay(self, recording: Recording) -> Var:
        """A new array with the elements that were recorded."""
        region, build = recording.region, self.build
        assert region.parent is not None
        with self.at(region.parent) as parent:
            known = parent.arrays.get(recording.element)
            if known is not None:
                return known
            hint, shape = recording.element.hint, self.all(recording.shape)
            array = build.alloc(recording.element.type.dtype, shape, hint=hint)
            size = self.need(recording.loop.upper)
            flat = array if len(shape) == 1 else build.view(array, "reshape", [size], hint)
            mirror = self.mirrors[region] = Mirror(self.places, region, parent)
            index = mirror.values[recording.loop.index] = Var("k", INT)
            if self.residuals.tapes.region is not None:
                self._rewind(recording, mirror, parent, size, index)
            with build.inside(mirror.code):
                build.store(flat, [index], self.need(recording.element))
            build.emit(For(index, integer(0), size, integer(1), mirror.code))
            parent.arrays[recording.element] = array
        return array

    def _rewind(self, recording: Recording, mirror: Mirror, parent: Mirror, size: Atom, index: Var) -> None:
        """Take a recorded array off its tape, whose elements lie in their order."""
        self.residuals.keep(recording.element)
        tape = self.residuals.tapes.of(recording.element)
        after = parent.flow(tape)
        assert after is not None
        first = parent.flows[tape] = self.build.let("subtract", after, size, hint=tape.total.hint)
        with self.build.inside(mirror.code):
            tape.starts[mirror.region] = mirror.flows[tape] = self.build.let("add", first, index)

    # -- residuals

    def number(self, mirror: Mirror) -> tuple[Atom, ...]:
        """The indices of the iteration being reversed into the residuals of its loop."""
        if mirror.number is None:
            with self.at(mirror.region):
                mirror.number = self._number(mirror, self.residuals.frame(mirror.region))
        return mirror.number

    def _number(self, mirror: Mirror, frame: Frame) -> tuple[Atom, ...]:
        node = mirror.region.owner
        index = mirror.values[node.index if isinstance(node, For) else self.residuals.counter(mirror.region)]
        if frame.owner is not frame:
            assert isinstance(node, For)
            assert frame.outer is not None
            first = self.number(self.mirrors[frame.outer.region])
            return (*first, offset(self.build, node, index, self.need(node.lower)))
        if not frame.runs_on:
            return (offset(self.build, node, index, self.need(node.lower)) if isinstance(node, For) else index,)
        base = self._base(mirror, frame)
        if isinstance(node, For):
            index = distance(self.build, node, self.need(node.lower), index)
        return (self.build.let("add", base, index),)

    def total(self, frame: Frame) -> Atom:
        """What the counter of a frame is after the outermost loop."""
        assert frame.total is not None
        return self.need(frame.total)

    def _base(self, mirror: Mirror, frame: Frame) -> Atom:
        """The number of the first iteration of the loop, this time; the counter runs back to it."""
        node, parent = mirror.region.owner, mirror.parent
        assert parent is not None
        with self.at(parent.region):
            if isinstance(node, For):
                made = trips(self.build, node, self.need(node.lower), self.need(node.upper))
            else:
                made = self.need(self.residuals.count(mirror.region))
            after = parent.flow(frame)
            assert after is not None
            base = self.build.let("subtract", after, made, hint="q")
            parent.flows[frame] = base
        return base

    # -- what was in a cell before

    def undone(self, node: Store | Incr) -> bool:
        """Whether the cell that `node` writes to is to be restored."""
        memory, relied = self.places.memory(node.array), self.plan.relied
        if memory not in self.plan.restored:
            return False
        return relied is None or any(self.places.before(n, node) for n in relied)

    def before(self, node: Store | Incr) -> Atom:
        """What the cell that `node` writes to held before."""
        known = self._known(node)
        if known is not None:
            return self.need(known)
        return self.need(self.residuals.former(node))

    def _known(self, node: Store | Incr) -> Atom | None:
        """The value known to be in the cell before `node`: it was loaded or stored above."""
        place = self.places.positions[node]
        memory = self.places.memory(node.array)
        for other in reversed(place.region.block.nodes[: place.position]):
            if isinstance(other, (Load, Store)) and _same_cell(other, node):
                return other.out if isinstance(other, Load) else other.value
            if memory in self.places.writes(other):
                return None
        return None


def _carry(var: Var, place: Place) -> Carry | None:
    """The carry of a loop of which `var` is the value in an iteration."""
    carries = place.region.owner.carries if isinstance(place.region.owner, (For, While)) else []
    return next((c for c in carries if c.param is var), None)


def items(node: View) -> Iterator[Atom | None]:
    """The atoms that a view is described by."""
    for item in node.items:
        yield from item if isinstance(item, Slice) else (item,)


def _same_cell(a: Load | Store, b: Store | Incr) -> bool:
    return a.array is b.array and all(same(i, j) for i, j in zip(a.index, b.index, strict=True))
