"""Arrays that every iteration fills anew get a row for each, where their elements are kept for the way back.

``z[i] = …`` fills an array, ``… z[i - 1] …`` reads it, and what is read is kept, a copy of it in memory that has a row
for every iteration. The array might as well be filled there. An array has *versions*: a version begins where a
statement writes to cells of which nobody reads what they held before. One that is kept becomes a row: its stores and
loads go there, what was kept is found where it was read, and the copy is not made.

That a version begins is proved on a program in which each is an array of its own, made there and not filled: none of
its cells may be read that it has not written (`zeros.written_first`). That a cell still holds what was read from it is
what `Indices.final` says of that program.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Const,
    Dim,
    For,
    Function,
    Incr,
    Let,
    Load,
    Node,
    Store,
    Undef,
    Var,
    While,
)
from chainrule.ir.walk import Renaming, blocks, nodes_of, reads
from chainrule.transforms.indices import Indices
from chainrule.transforms.places import Places, Region
from chainrule.transforms.simplify.dead import without_dead
from chainrule.transforms.simplify.walk import Substitution
from chainrule.transforms.zeros import written_first

__all__ = ["expanded"]

_Access = Load | Store | Incr


class _Copy(NamedTuple):
    """What is kept of an array: ``room[rows, *cell] = array[index]`` in a block that runs once for each of the rows."""

    room: Alloc
    rows: tuple[Var, ...]
    cell: tuple[Var, ...]
    load: Load
    block: Block


def expanded(function: Function) -> Function:
    """`function` with rows for arrays of which a copy was kept.

    Examples
    --------
    >>> from chainrule.ir.build import Builder, integer
    >>> from chainrule.ir.nodes import Scalar
    >>> from chainrule.ir.show import show
    >>> rows, cells = Array("float64", 2), Array("float64", 1)
    >>> x, z, kept = Var("x", cells), Var("z", cells), Var("kept", rows)
    >>> t, i, j, s, k = (Var(h, Scalar("int64")) for h in "tijsk")
    >>> build, fill, use, back = Builder(), Builder(), Builder(), Builder()
    >>> n = build.dim(x, 0)
    >>> build.emit(Alloc(z, (n,)))
    >>> build.emit(Alloc(kept, (integer(9), n), kept=True))
    >>> fill.store(z, [i], fill.let("sin", fill.load(x, i)))
    >>> use.store(kept, [t, j], use.load(z, j))
    >>> use.increment(x, [j], use.load(z, j))
    >>> loops = [For(v, integer(0), n, integer(1), b.block) for v, b in ((i, fill), (j, use))]
    >>> build.emit(For(t, integer(0), integer(9), integer(1), Block(loops)))
    >>> last = build.load(kept, integer(8), integer(1))
    >>> print(show(expanded(Function("f", (x,), build.block, (last,), writes=frozenset([x])))))
    f(x: float64[:])
        n_x = x.shape[0]
        z = new float64(9, n_x)
        for t_2 in range(0, 9, 1):
            for i in range(0, n_x, 1):
                t_3 = x[i]
                t_4 = sin(t_3)
                z[t_2, i] = t_4
            for j in range(0, n_x, 1):
                t_5 = z[t_2, j]
                x[j] += t_5
        t = z[8, 1]
        return t
    """
    done: set[Var] = set()
    while True:
        finder = _Finder(function)
        copies = [c for c in finder.copies() if c.room.out not in done]
        if not copies:
            return function
        array, block = copies[0].load.array, copies[0].block
        mine = [c for c in copies if c.load.array is array and c.block is block]
        done |= {c.room.out for c in mine}
        function = _with_rows(finder, array, mine) or function


class _Finder:
    """What a function keeps, and the arrays that are touched cell by cell only."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.places = Places(function)
        self.indices = Indices(self.places)
        self.accesses: dict[Var, list[_Access]] = {}
        closed = {r for r in function.results if isinstance(r, Var)} | set(self.places.merged) | self.places.reserved
        for node in nodes_of(function.body):
            if isinstance(node, _Access) and node in self.places.positions:
                self.accesses.setdefault(node.array, []).append(node)
            elif not isinstance(node, Dim):
                closed |= {a for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array)}
        self.accesses = {
            a: found
            for a, found in self.accesses.items()
            if a not in closed and isinstance(self.places.places[a].node, Alloc)
        }

    def copies(self) -> list[_Copy]:
        if not any(isinstance(n, Alloc) and n.kept for n in nodes_of(self.function.body)):
            return []
        return [c for array in self.accesses if (c := self._copy(array)) is not None]

    def _copy(self, array: Var) -> _Copy | None:
        room = self.places.places[array].node
        assert isinstance(room, Alloc)
        stores = [n for n in self.accesses[array] if not isinstance(n, Load)]
        match stores:
            case [Store(value=Var() as value, index=index) as store] if room.kept and room.fill is None:
                load = self.places.places[value].node
            case _:
                return None
        loops = self._loops(store, self.places.places[array].region)
        if not isinstance(load, Load) or load.array not in self.accesses or loops is None or load.array is array:
            return None
        count = len(index) - len(load.index)
        outer = loops[:count]
        same = {n.index for n in loops} == set(index) and len(loops) == len(index)
        if count < 1 or not same or {n.index for n in outer} != set(index[:count]):
            return None
        copy = _Copy(room, index[:count], index[count:], load, outer[-1].body)  # type: ignore[arg-type]
        return copy if self._fits(copy) else None

    def _loops(self, node: Node, birth: Region) -> list[For] | None:
        """The loops around `node` in a block, outer ones first."""
        found: list[For] = []
        for region in self.places.path(node):
            if region is birth:
                return found[::-1]
            if isinstance(region.owner, While):
                return None
            if isinstance(region.owner, For):
                found.append(region.owner)
        return None

    def _fits(self, copy: _Copy) -> bool:
        """Whether the rows are about as long as the array, can be made where they are now, and be read again."""
        whole = self.places.places[copy.load.array]
        assert isinstance(whole.node, Alloc)
        made = self.places.path(copy.room)
        for mine, theirs in zip(copy.room.shape[len(copy.rows) :], whole.node.shape, strict=True):
            apart = self.indices.form(mine).plus(self.indices.form(theirs), -1)
            if apart.terms or not self._visible(theirs, made):
                return False
        body = self.places.regions[copy.block]
        return (whole.region is body or self.places.within(body, whole.region)) and all(
            self._again(atom, copy, self.places.path(n)) for n in self.reading(copy) for atom in copy.load.index
        )

    def reading(self, copy: _Copy) -> list[Load]:
        return [n for n in self.accesses[copy.room.out] if isinstance(n, Load)]

    def _again(self, atom: Atom, copy: _Copy, path: dict[Region, int]) -> bool:
        """Whether an index of the copied cell can be computed at `path` from that of the kept one."""
        if isinstance(atom, Undef) or atom in copy.cell or self._visible(atom, path):
            return not isinstance(atom, Undef)
        node = self.places.places[atom].node if isinstance(atom, Var) else None
        return isinstance(node, Let) and all(self._again(a, copy, path) for a in node.args)

    def _visible(self, atom: Atom, path: dict[Region, int]) -> bool:
        if not isinstance(atom, Var):
            return isinstance(atom, Const)
        place = self.places.places[atom]
        return place.region in path and place.position < path[place.region]


def _with_rows(finder: _Finder, array: Var, copies: list[_Copy]) -> Function | None:
    """The function in which the versions of `array` that are kept are rows."""
    block = copies[0].block
    made = finder.places.places[array].node
    assert isinstance(made, Alloc)
    bad, starts = [-1], _starts(block, array)
    while bad:
        versions = {k: Var(array.hint, array.type) for k in starts}
        parted = _Parted(array, block, versions, made.shape).of(finder.function)
        fresh = written_first(parted, versions.values())
        bad = [k for k in starts if versions[k] not in fresh][:1]
        starts = [k for k in starts if k not in bad]  # it goes on with what stands above
    after = _Finder(parted)
    if any(not isinstance(n, Store) for n in after.accesses.get(array, ())):  # what is read is of no version
        return None
    found: dict[Var, list[_Copy]] = {}
    for copy in copies:
        load = after.places.places[copy.load.out].node
        assert isinstance(load, Load)
        if after.indices.final(load):
            mine = found.setdefault(load.array, [])
            if not mine or mine[0].rows == copy.rows:
                mine.append(copy)
    if not found:
        return None
    return without_dead(_Rows(after, array, set(versions.values()), found, made.shape).of(parted))


def _starts(block: Block, array: Var) -> list[int]:
    """Where versions may begin: at statements that write, after one that reads."""
    starts, writing = [], False
    for position, node in enumerate(block):
        kinds = {type(n) for n in (node, *nodes_of(*blocks(node))) if isinstance(n, _Access) and n.array is array}
        if Store in kinds and not writing:
            starts.append(position)
        if kinds:
            writing = kinds == {Store}
    return starts


class _Parted(Substitution):
    """Makes each version of an array, of statements of `block` from a start to before the next, an array of its own."""

    def __init__(self, array: Var, block: Block, versions: dict[int, Var], shape: tuple[Atom, ...]) -> None:
        super().__init__()
        self.array, self.within, self.versions, self.shape = array, block, versions, shape

    def of(self, function: Function) -> Function:
        return dataclasses.replace(function, body=self.block(function.body))

    def block(self, block: Block) -> Block:
        if block is not self.within:
            return super().block(block)
        nodes: list[Node] = []
        for position, node in enumerate(block):
            version = self.versions.get(position)
            if version is not None:
                nodes.append(Alloc(version, self.shape))
                self.atoms[self.array] = version
            nodes.append(self.node(node))
        self.atoms.pop(self.array, None)
        return Block(nodes)

    def node(self, node: Node) -> Node:
        return node if isinstance(node, (Alloc, Dim)) else super().node(node)


class _Rows(Substitution):
    """Puts versions into rows of what was kept of them, and the others back."""

    def __init__(
        self,
        finder: _Finder,
        array: Var,
        versions: set[Var],
        found: dict[Var, list[_Copy]],
        shape: tuple[Atom, ...],
    ) -> None:
        super().__init__({v: array for v in versions if v not in found})
        self.finder, self.versions, self.shape = finder, versions, shape
        self.rows: dict[Var, tuple[Var, tuple[Var, ...]]] = {}
        self.kept: dict[Var, tuple[Var, _Copy]] = {}
        self.rooms: dict[Var, Var] = {}
        for version, copies in found.items():
            first = copies[0]
            rows = Var(array.hint, Array(array.type.dtype, len(first.rows) + len(shape)))
            self.rows[version] = rows, first.rows
            self.rooms[first.room.out] = rows
            self.kept.update((c.room.out, (rows, c)) for c in copies)

    def of(self, function: Function) -> Function:
        return dataclasses.replace(function, body=self.block(function.body))

    def block(self, block: Block) -> Block:
        nodes: list[Node] = []
        for node in block:
            if isinstance(node, Alloc) and node.out in self.rooms:
                shape = self._shape(node)
                numbered = min(node.numbered, len(shape) - len(self.shape))
                nodes.append(dataclasses.replace(node, out=self.rooms[node.out], shape=shape, numbered=numbered))
            elif isinstance(node, Load) and node.array in self.kept:
                nodes += self._read(node)
            elif not (isinstance(node, Store) and node.array in self.kept) and not self._is_version(node):
                nodes.append(self.node(node))
        return Block(nodes)

    def node(self, node: Node) -> Node:
        if isinstance(node, _Access) and node.array in self.rows:
            array, rows = self.rows[node.array]
            return dataclasses.replace(node, array=array, index=(*rows, *node.index))
        return super().node(node)

    def _shape(self, room: Alloc) -> tuple[Atom, ...]:
        return (*room.shape[: len(room.shape) - len(self.shape)], *self.shape)

    def _is_version(self, node: Node) -> bool:
        return isinstance(node, Alloc) and node.out in self.versions

    def _read(self, node: Load) -> list[Node]:
        """What was kept, found where it was read."""
        rows, copy = self.kept[node.array]
        count = len(copy.rows)
        again = Renaming(dict(zip(copy.cell, node.index[count:], strict=True)))
        made: list[Node] = []
        path = self.finder.places.path(node)
        cell = tuple(self._computed(atom, again, path, made) for atom in copy.load.index)
        return [*made, dataclasses.replace(node, array=rows, index=(*node.index[:count], *cell))]

    def _computed(self, atom: Atom, again: Renaming, path: dict[Region, int], made: list[Node]) -> Atom:
        if not isinstance(atom, Var) or atom in again.atoms or self.finder._visible(atom, path):
            return again.atom(atom)  # type: ignore[no-any-return]
        node = self.finder.places.places[atom].node
        assert isinstance(node, Let)
        for part in node.args:
            self._computed(part, again, path, made)
        made.append(again.node(node))
        return again.atom(atom)  # type: ignore[no-any-return]
