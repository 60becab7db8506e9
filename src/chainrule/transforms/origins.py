"""Where else the numbers are that a program has copied: the array they come from keeps what the copy loses.

``u = x.copy()`` is a loop that fills `u`, or a `Copy`. A program that then works on `u` in place overwrites what its
reverse sweep may need; but as long as nobody has written to the cell since it was filled, it held what that of `x`
holds, and if nobody writes to `x` any more, that is there to the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chainrule.ir.nodes import Alloc, Atom, Copy, For, Load, Node, Store, Undef, Var
from chainrule.ir.walk import is_number
from chainrule.transforms.indices import Indices
from chainrule.transforms.places import Place

__all__ = ["Origins"]

Index = tuple[Atom, ...]


class _Fill(NamedTuple):
    """A statement that copies cells: its place, the statement that writes, and where those of a load come from."""

    place: Place
    writer: Copy | Store
    array: Var
    at: Index


class Origins:
    """Proofs about the copies of a program."""

    def __init__(self, indices: Indices) -> None:
        self.indices = indices
        self.places = indices.places
        self._known: dict[Load, tuple[Var, Index] | None] = {}

    def of(self, load: Load) -> tuple[Var, Index] | None:
        """Another array that holds what `load` finds from then on to the end, and the index there."""
        if load not in self._known:
            array, index = self.indices.cell(load.array, load.index)
            fills = () if index is None else self._fills(load, array, index)
            self._known[load] = next(((f.array, f.at) for f in fills if self._lasts(f, load)), None)
        return self._known[load]

    def _fills(self, load: Load, array: Var, index: Index) -> Iterator[_Fill]:
        """The copies that fill the cell ``array[index]`` of `load` before it is read."""
        made = self.places.places[array]
        if isinstance(made.node, Copy):
            yield _Fill(made, made.node, made.node.array, index)
        for store in self.indices.writers(self.places.memory(array)):
            fill = self._filling(store, load, array, index) if isinstance(store, Store) else None
            if fill is not None:
                yield fill

    def _filling(self, store: Store, load: Load, array: Var, index: Index) -> _Fill | None:
        value = store.value
        source = self.places.places[value].node if isinstance(value, Var) else None
        base, cell = self.indices.cell(store.array, store.index)
        around = self._around(store, load)
        if not isinstance(source, Load) or base is not array or cell is None or around is None:
            return None
        loops, place = around
        values: dict[Var, Atom] = {}
        for axis, (mine, theirs) in enumerate(zip(index, cell, strict=True)):
            loop = next((n for n in loops if n.index is theirs), None)
            if loop is None:
                if not self.indices.equal(mine, theirs):
                    return None
            elif loop.index in values or not (
                self.indices.goes_through(loop, mine) or self._through_all(loop, array, axis, mine)
            ):
                return None
            else:
                values[loop.index] = mine
        if len(values) < len(loops):
            return None
        origin, found = self.indices.cell(source.array, source.index)
        there = None if found is None else self._outside((origin, *found), values, place)
        return None if there is None else _Fill(place, store, there[0], there[1:])  # type: ignore[arg-type]

    def _around(self, store: Store, load: Load) -> tuple[list[For], Place] | None:
        """The loops around `store` in the innermost block that also has `load`, further down, and their place there."""
        mine, theirs = self.places.path(load), self.places.path(store)
        region = next(r for r in mine if r in theirs)
        loops: list[For] = []
        for inner in theirs:
            if inner is region:
                break
            if not isinstance(inner.owner, For) or not (
                is_number(inner.owner.step, 1) or is_number(inner.owner.step, -1)
            ):
                return None
            loops.append(inner.owner)
        place = Place(region, theirs[region], region.block.nodes[theirs[region]])
        return (loops, place) if place.position < mine[region] else None

    def _through_all(self, loop: For, array: Var, axis: int, index: Atom) -> bool:
        """Whether `loop` goes through all of an axis, and `index` is none from the end."""
        made = self.places.places[array].node
        return (
            isinstance(made, Alloc) and self.indices.spans(loop, made.shape[axis]) and self.indices.not_negative(index)
        )

    def _outside(self, atoms: Sequence[Atom], values: dict[Var, Atom], place: Place) -> tuple[Atom, ...] | None:
        """`atoms` for these `values` of the loops at `place`, if they are known there else."""
        found = tuple(values.get(a, a) if isinstance(a, Var) else a for a in atoms)
        for atom, was in zip(found, atoms, strict=True):
            if isinstance(atom, Undef) or (atom is was and isinstance(atom, Var) and self._within(atom, place)):
                return None
        return found

    def _within(self, var: Var, place: Place) -> bool:
        """Whether `var` is defined in a block of the statement at `place`."""
        assert place.node is not None
        return self.places.inside(self.places.places[var].region, place.node)

    def _lasts(self, fill: _Fill, load: Load) -> bool:
        """Whether nobody writes to the cell from `fill` to `load`, and nobody to its origin from there on."""
        place, origin = fill.place, self.places.memory(fill.array)
        assert place.node is not None
        if self.places.root(fill.array) in self.places.reserved or origin in self.places.writes(place.node):
            return False
        return self.places.stable(place, origin) and not any(
            self.indices.reaches(load, w, place.region)
            for w in self.indices.writers(self.places.memory(load.array))
            if w is not fill.writer and self._follows(w, place)
        )

    def _follows(self, writer: Node, place: Place) -> bool:
        """Whether `writer` stands at `place`, or further down in the same block."""
        return self.places.path(writer).get(place.region, -1) >= place.position
