"""Elements of arrays computed again where they are read, so that they need not be stored.

``k[0] = a`` and ``k[i] = x[i] * y[i - 1]`` fill an array, ``z[i] = y[i] + h * k[i]`` reads it. An element costs a
multiplication, less than to store and to load it. The loop that reads is divided where the statement that has written
the element is another one, ``i < 1`` and the rest, and in each part what was stored is computed again. That is done for
arrays of which every load is replaced, so that the stores go; where the statement is proved to be the last one that
wrote the cell, in the block that holds both; where nothing was written since to what it computes with; and where it
computes little. A cell that no statement writes to holds what the array was filled with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Const,
    Dim,
    For,
    Function,
    Let,
    Load,
    Node,
    Store,
    Undef,
    Var,
)
from chainrule.ir.walk import Renaming, is_number, nodes_of, reads
from chainrule.transforms.dependence import is_simple
from chainrule.transforms.indices import Form, Indices
from chainrule.transforms.order import Accesses
from chainrule.transforms.places import Place, Places
from chainrule.transforms.simplify.dead import without_dead
from chainrule.transforms.simplify.fold import folded
from chainrule.transforms.simplify.walk import Substitution

__all__ = ["replayed"]

_CHEAP = frozenset({"add", "subtract", "multiply", "negative"})
_MOST = 2  # operations, loads of an element, and loads of what one statement stores
_LARGE = 40  # statements of a loop that is not divided
_POINTS = 2  # where one is divided
_ONE = Form({}, 1)


class _Write(NamedTuple):
    """What fills the cells from `lower` to before `upper`, those `shift` after the index if there is a loop."""

    store: Store
    loop: For | None
    shift: Form
    lower: Form
    upper: Form
    place: Place  # of the loop, or of the store


class _Reading(NamedTuple):
    """A load, and where its values come from: one source for each part of the loop around."""

    load: Load
    sources: list[_Write | Const]


class _Readings(NamedTuple):
    """What is read in a loop that is divided at `points`, or by one statement."""

    node: For | Load
    points: list[Form]
    found: list[_Reading]


class _UnknownError(Exception):
    """An array of which not every load can be replaced."""


def replayed(function: Function) -> Function:
    """`function` with fewer arrays.

    Examples
    --------
    >>> from chainrule.ir.show import show
    >>> cells = Array("float64", 1)
    >>> x, y, k, i, j = Var("x", cells), Var("y", cells), Var("k", cells), Var("i", INT), Var("j", INT)
    >>> build, fill, use = Builder(), Builder(), Builder()
    >>> n, first = build.dim(x, 0), build.load(x, integer(0))
    >>> build.emit(Alloc(k, (n,)))
    >>> build.store(k, [integer(0)], first)
    >>> fill.store(k, [i], fill.let("multiply", fill.load(x, i), first))
    >>> build.emit(For(i, integer(1), n, integer(1), fill.block))
    >>> use.increment(y, [j], use.load(k, j))
    >>> build.emit(For(j, integer(0), n, integer(1), use.block))
    >>> print(show(replayed(Function("f", (x, y), build.block, (), writes=frozenset([y])))))
    f(x: float64[:], y: float64[:])
        n_x = x.shape[0]
        t = x[0]
        t_2 = minimum(1, n_x)
        for j in range(0, t_2, 1):
            y[j] += t
        for j_2 in range(1, n_x, 1):
            t_3 = x[j_2]
            t_4 = multiply(t_3, t)
            y[j_2] += t_4
        return
    """
    changed = False
    for array in list(_Finder(function).accesses):
        finder = _Finder(function)
        if array in finder.accesses and (found := finder.readings(array)):
            function = dataclasses.replace(function, body=_Replayed(finder, found).block(function.body))
            changed = True
    return without_dead(folded(function)) if changed else function


class _Finder:
    """What is read of the arrays that a function makes and touches cell by cell."""

    def __init__(self, function: Function) -> None:
        self.places = Places(function)
        self.indices = Indices(self.places)
        self.accesses: dict[Var, list[Load | Store]] = {}
        closed = {r for r in function.results if isinstance(r, Var)}
        for node in nodes_of(function.body):
            match node:
                case Load(array=array) | Store(array=array) if node in self.places.positions:
                    self.accesses.setdefault(array, []).append(node)
                case Dim():
                    pass
                case _:
                    closed |= {a for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array)}
        self.accesses = {a: found for a, found in self.accesses.items() if a not in closed and self._is_short(a)}

    def _is_short(self, array: Var) -> bool:
        node = self.places.places[array].node
        return isinstance(node, Alloc) and not node.kept and len(node.shape) == 1

    def readings(self, array: Var) -> list[_Readings] | None:
        """What is to become of the loads of `array`; None if one stays."""
        loads = [n for n in self.accesses[array] if isinstance(n, Load)]
        stores = [n for n in self.accesses[array] if isinstance(n, Store)]
        if not stores or len(loads) > _MOST * len(stores):
            return None
        groups: dict[For | Load, list[Load]] = {}
        try:
            writes = list(map(self._write, stores))
            for load in loads:
                groups.setdefault(self._around(load) or load, []).append(load)
            found = [self._read(node, mine, writes) for node, mine in groups.items()]
        except _UnknownError:
            return None
        used = [{s.store for r in g.found for s in r.sources if isinstance(s, _Write) and s.loop} for g in found]
        return found if all(sum(s in u for u in used) <= _MOST for s in stores) and any(used) else None

    # -- cells

    def _write(self, store: Store) -> _Write:
        place = self.places.positions[store]
        cell, loop = self._cell(store), place.region.owner
        if not isinstance(loop, For) or not cell.terms.get(loop.index):
            return _Write(store, None, cell, cell, cell.plus(_ONE), place)
        shift = cell.plus(Form({loop.index: 1}, 0), -1)
        if shift.terms.get(loop.index) or not (is_number(loop.step, 1) or is_number(loop.step, -1)):
            raise _UnknownError
        lower, upper = self.indices.form(loop.lower), self.indices.form(loop.upper)
        if is_number(loop.step, -1):
            lower, upper = upper.plus(_ONE), lower.plus(_ONE)
        return _Write(store, loop, shift, lower.plus(shift), upper.plus(shift), self.places.positions[loop])

    def _cell(self, node: Load | Store) -> Form:
        (atom,) = node.index
        if not self.indices.not_negative(atom):
            raise _UnknownError
        return self.indices.form(atom)

    def _around(self, load: Load) -> For | None:
        """The loop that is divided for a load whose cell depends on it."""
        loop, cell = self.places.positions[load].region.owner, self._cell(load)
        if not isinstance(loop, For) or not cell.terms.get(loop.index):
            return None
        good = cell.terms[loop.index] == 1 and is_simple(loop) and is_number(loop.step, 1) and not loop.carries
        if not good or loop.parallel or len(nodes_of(loop.body)) > _LARGE:
            raise _UnknownError
        return loop

    def _read(self, node: For | Load, loads: list[Load], writes: list[_Write]) -> _Readings:
        """Where the values come from that `loads`, of the loop `node` or `node` itself, find."""
        place = self.places.positions[node]
        above = self._above(place, writes)
        if isinstance(node, Load):
            cell = self._cell(node)
            return _Readings(node, [], [_Reading(node, [self._source(node, place, cell, cell.plus(_ONE), writes)])])
        index, lower, upper = Form({node.index: 1}, 0), self.indices.form(node.lower), self.indices.form(node.upper)
        shifts = {load: self._cell(load).plus(index, -1) for load in loads}
        points: list[Form] = []
        for shift in shifts.values():
            for bound in (b.plus(shift, -1) for w in above for b in (w.lower, w.upper)):
                inside = not self._at_most(bound, lower) and not self._at_most(upper, bound)
                if inside and not any(self._equal(bound, p) for p in points):
                    points.append(bound)
        if len(points) > _POINTS or not all(self._fixed(f, place) for f in (*points, *shifts.values())):
            raise _UnknownError
        if len(points) == _POINTS and self._at_most(points[1], points[0]):
            points.reverse()
        parts = list(pairwise([lower, *points, upper]))
        return _Readings(
            node,
            points,
            [
                _Reading(load, [self._source(load, place, a.plus(shift), b.plus(shift), writes) for a, b in parts])
                for load, shift in shifts.items()
            ],
        )

    def _above(self, place: Place, writes: list[_Write]) -> list[_Write]:
        """The writes further up in the block of `place`, the nearest first; that there is no other one in there."""
        found = []
        for write in writes:
            position = self.places.path(write.store).get(place.region)
            if position is None or position > place.position:
                continue
            if write.place.region is not place.region or position == place.position:
                raise _UnknownError
            found.append(write)
        return sorted(found, key=lambda w: -w.place.position)

    def _source(self, load: Load, place: Place, lower: Form, upper: Form, writes: list[_Write]) -> _Write | Const:
        """What is in the cells from `lower` to before `upper` at `place`."""
        for write in self._above(place, writes):
            if self._apart(write, lower, upper):
                continue
            if not (self._at_most(write.lower, lower) and self._at_most(upper, write.upper)):
                raise _UnknownError
            others = [w for w in writes if w is not write and w.loop is not None and w.loop is write.loop]
            if not all(self._apart(w, lower, upper) for w in others):
                raise _UnknownError
            if not self._fixed(write.lower, place) or not self._fixed(write.upper, place):
                raise _UnknownError
            self.value(write, load, place, Renaming(), Builder(Block()))
            return write
        birth = self.places.places[load.array]
        assert isinstance(birth.node, Alloc)
        bounds = [lower, upper, *(b for w in writes for b in (w.lower, w.upper))]
        if birth.node.fill is None or not all(self._fixed(b, birth) for b in bounds):
            raise _UnknownError
        if not all(self._apart(w, lower, upper) for w in writes):
            raise _UnknownError
        return birth.node.fill

    # -- arithmetic

    def _equal(self, a: Form, b: Form) -> bool:
        apart = a.plus(b, -1)
        return not apart.terms and not apart.number

    def _at_most(self, a: Form, b: Form) -> bool:
        """Whether `a` is certain to be no larger than `b`."""
        if self.indices.proves_not_negative(b.plus(a, -1)):
            return True
        for form, other, op in ((a, b, "minimum"), (b, a, "maximum")):
            for var, factor in form.terms.items():
                node = self.places.places[var].node
                if factor == 1 and isinstance(node, Let) and node.op == op:
                    rest = form.plus(Form({var: 1}, 0), -1)
                    ways = [rest.plus(self.indices.form(arg)) for arg in node.args]
                    if any(self._at_most(w, other) if op == "minimum" else self._at_most(other, w) for w in ways):
                        return True
        return False

    def _apart(self, write: _Write, lower: Form, upper: Form) -> bool:
        return self._at_most(write.upper, lower) or self._at_most(upper, write.lower)

    def _fixed(self, form: Form, place: Place) -> bool:
        """Whether `form` is the same number wherever `place` is seen."""
        return all(self._visible(v, place) for v in form.terms)

    def _visible(self, var: Var, place: Place) -> bool:
        mine, region, position = self.places.places[var], place.region, place.position
        while region is not mine.region:
            if region.parent is None:
                return False
            region, position = region.parent, region.position
        return mine.position < position

    # -- values

    def value(self, write: _Write | Const, load: Load, place: Place, names: Renaming, build: Builder) -> Atom:
        """Write with `build` what computes the value again that `write` has stored in the cell of `load`."""
        if isinstance(write, Const):
            return write
        values: dict[Var, Atom] = {}
        if write.loop is not None:
            form = self.indices.form(load.index[0]).plus(write.shift, -1)
            values[write.loop.index] = written(form, names, build)
        return _Again(self, write, place, values, build).atom(write.store.value)


class _Again:
    """Computes what a statement has stored from what is there at a later place."""

    def __init__(self, finder: _Finder, write: _Write, place: Place, values: dict[Var, Atom], build: Builder) -> None:
        self.finder, self.write, self.place, self.values, self.build = finder, write, place, values, build
        self.places = finder.places
        self.left = {Let: _MOST, Load: _MOST}  # what may still be done

    def atom(self, atom: Atom) -> Atom:
        if isinstance(atom, Undef):
            raise _UnknownError
        if isinstance(atom, Const) or self.finder._visible(atom, self.place):
            return atom
        if atom not in self.values:
            self.values[atom] = self._made(atom, self.places.places[atom].node)
        return self.values[atom]

    def _made(self, atom: Var, node: Node | None) -> Atom:
        match node:
            case Let(op=op, args=args) if op in _CHEAP:
                if node.out.type != INT:
                    self._spend(Let)
                return self.build.let(op, *map(self.atom, args), hint=atom.hint)
            case Load(array=array, index=index) if self.write.loop is not None:
                self._spend(Load)
                if self._stays(array, self.write.place.position):
                    return self._load(array, index, atom)
                for store in self.places.stores.get(atom, ()):
                    if self._is_copy(store):
                        return self._load(store.array, store.index, atom)
        raise _UnknownError

    def _spend(self, kind: type[Node]) -> None:
        self.left[kind] -= 1
        if self.left[kind] < 0:
            raise _UnknownError

    def _stays(self, array: Var, position: int) -> bool:
        """Whether nothing writes to an array from a statement of the block to where it is read again."""
        memory = self.places.memory(array)
        visible = self.finder._visible(array, self.place)
        return visible and not self.places.written(self.place.region, position, self.place.position, memory)

    def _is_copy(self, store: Store) -> bool:
        """Whether `store` has put a number of the iteration where it stays."""
        loop = self.write.loop
        assert loop is not None
        memory = self.places.memory(store.array)
        return (
            self.places.positions[store].region.owner is loop
            and self._stays(store.array, self.write.place.position + 1)
            and Accesses(loop, self.finder.indices).private(memory)
            and [n for n in loop.body if memory in self.places.writes(n)] == [store]
        )

    def _load(self, array: Var, index: tuple[Atom, ...], atom: Var) -> Atom:
        """An element along a row."""
        loop = self.write.loop
        assert loop is not None
        forms = [self.finder.indices.form(a) for a in index if not isinstance(a, Undef)]
        fixed = all(v is loop.index or self.finder._visible(v, self.place) for f in forms for v in f.terms)
        if any(f.terms.get(loop.index) for f in forms[:-1]) or abs(forms[-1].terms.get(loop.index, 0)) > 1 or not fixed:
            raise _UnknownError
        return self.build.load(array, *map(self.atom, index), hint=atom.hint)


def written(form: Form, names: Renaming, build: Builder) -> Atom:
    """`form` as a number, in other `names`."""
    total: Atom | None = None
    for var, factor in form.terms.items():
        term = build.let("multiply", names.atom(var), integer(factor))
        total = term if total is None else build.let("add", total, term)
    return integer(form.number) if total is None else build.let("add", total, integer(form.number))


class _Replayed(Substitution):
    """Divides the loops that read, and computes what they have read."""

    def __init__(self, finder: _Finder, found: list[_Readings]) -> None:
        super().__init__()
        self.finder = finder
        self.found = {readings.node: readings for readings in found}

    def block(self, block: Block) -> Block:
        nodes: list[Node] = []
        for node in block:
            readings = self.found.get(node)  # type: ignore[call-overload]
            if readings is None:
                nodes.append(self.node(node))
            elif isinstance(node, For):
                nodes += self._parts(node, readings)
            else:
                nodes += self._one(readings)
        return Block(nodes)

    def _one(self, readings: _Readings) -> list[Node]:
        ((load, (source,)),) = readings.found
        place, build = self.finder.places.positions[load], Builder(Block())
        self.atoms[load.out] = self.finder.value(source, load, place, Renaming(), build)
        return build.block.nodes

    def _parts(self, loop: For, readings: _Readings) -> Iterator[Node]:
        at_most, build = self.finder._at_most, Builder(Block())
        first, last = self.finder.indices.form(loop.lower), self.finder.indices.form(loop.upper)
        starts: list[tuple[Form, Atom]] = [(first, loop.lower)]
        for k, point in enumerate([*readings.points, None]):
            (form, lower), *others = starts[::-1]
            for other, atom in others:
                lower = lower if at_most(other, form) else build.let("maximum", lower, atom)
            upper = loop.upper
            if point is not None:
                upper = written(point, Renaming(), build)
                starts.append((point, upper))
                upper = upper if at_most(point, last) else build.let("minimum", upper, loop.upper)
            part = _Part(self.finder, loop, {r.load: r.sources[k] for r in readings.found}, self.atoms)
            index = part.new(loop.index)
            build.emit(For(index, lower, upper, loop.step, part.block(loop.body), line=loop.line))
        return iter(build.block)


class _Part(Renaming):
    """A part of a loop, with other names for all that is in it."""

    def __init__(self, finder: _Finder, loop: For, sources: dict[Load, _Write | Const], atoms: dict[Var, Atom]) -> None:
        super().__init__(atoms)
        self.finder, self.place, self.sources = finder, finder.places.positions[loop], sources

    def block(self, block: Block) -> Block:
        build = Builder(Block())
        for node in block:
            if isinstance(node, Load) and node in self.sources:
                self.atoms[node.out] = self.finder.value(self.sources[node], node, self.place, self, build)
            else:
                build.emit(self.node(node))
        return build.block
