"""Shadows known to hold zeros: what is added to a zero is stored, and what is stored anew need not be cleared.

A shadow is made as zeros, statements add to it, and the reverse of a store takes a cell and clears it. This pass
follows, for each shadow, which of its cells may be *live* (not zero) and which are *stale* (zeros that nobody has
written, because a clearing or the filling was left out), as boxes of linear forms. Where no live cell is met, an
addition is a store; clearings and the filling are left out if no stale cell is ever read or added to.

A zero of the other sign may come out, as for cotangents of scalars; so the pass is for shadows only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import NamedTuple

from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Atom,
    Block,
    Call,
    Const,
    Dim,
    For,
    Function,
    If,
    Incr,
    Load,
    Node,
    Store,
    Undef,
    Var,
    View,
    While,
)
from chainrule.ir.walk import is_number, nodes_of, reads, roots_of
from chainrule.transforms.indices import Form, Indices
from chainrule.transforms.order import Accesses
from chainrule.transforms.places import Places, Region
from chainrule.transforms.simplify.walk import Substitution

__all__ = ["Scratch", "without_zeros", "written_first"]

_ROUNDS = 8  # of a loop until its boxes stay
_MANY = 12  # boxes
_NEXT = Form({}, 1)
_FEW = 6  # clearings that are tried one by one


class Interval(NamedTuple):
    """The indices of an axis from `lower` to before `upper`."""

    lower: Form
    upper: Form


Box = tuple[Interval, ...]
Boxes = tuple[Box, ...]


class State(NamedTuple):
    """The cells that may not be zero, and those that should be and may not hold it."""

    live: Boxes = ()
    stale: Boxes = ()


class _StaleError(Exception):
    """A cell may be read that nobody has cleared."""


def without_zeros(function: Function, shadows: Collection[Var]) -> Function:
    """`function` with fewer accesses to those of its arrays that are `shadows`."""
    made = {n.out for n in nodes_of(function.body) if isinstance(n, Alloc)}
    shadows = [s for s in shadows if s in made]  # the same order, and the same text, every time
    if not shadows:
        return function
    program = _Program(function, shadows)
    found = [best for s in shadows if (best := _best(program, s)) is not None]
    return dataclasses.replace(function, body=_Rewritten(found).block(function.body)) if found else function


def written_first(function: Function, arrays: Collection[Var]) -> set[Var]:
    """Those of `arrays`, which `function` makes, of which no cell is read or added to that nobody has written."""
    program = _Program(function, arrays)
    tried = {a: _tried(program, a, (), (False,)) for a in arrays if a not in program.closed}
    return {a for a, found in tried.items() if found is not None and not found.stored()}


def _best(program: _Program, shadow: Var) -> _Shadow | None:
    """What is known of a shadow with as much left out as is right."""
    if shadow in program.closed:
        return None
    clearings = [n for n in program.uses[shadow] if _clears(n)]
    best = _tried(program, shadow, clearings)
    if best is None:
        idle: list[Node] = []
        for node in clearings if len(clearings) <= _FEW else ():
            if _tried(program, shadow, [*idle, node]) is not None:
                idle.append(node)
        best = _tried(program, shadow, idle)
    return best


def _tried(
    program: _Program, shadow: Var, idle: Collection[Node], ways: Iterable[bool] = (False, True)
) -> _Shadow | None:
    """A shadow without the clearings `idle`, filled or not as the first of `ways` that is right; None if none is."""
    for filled in ways:
        tried = _Shadow(program, shadow, idle, filled)
        try:
            tried.live_through()
        except _StaleError:
            continue
        return tried
    return None


class _Program:
    """The uses of the shadows, and the arithmetic of boxes."""

    def __init__(self, function: Function, shadows: Collection[Var], indices: Indices | None = None) -> None:
        self.function = function
        self.indices = indices or Indices(Places(function))
        self.places = self.indices.places
        self.uses: dict[Var, dict[Node, None]] = {s: {} for s in shadows}  # the statements that touch it, or hold such
        self.closed = {s for s in shadows if s in self.places.merged or s in self.places.reserved}
        self._accesses: dict[For, Accesses] = {}
        roots = roots_of(function)
        for node in nodes_of(function.body):
            touched = {roots[a] for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array)}
            for shadow in touched & self.uses.keys():
                if node not in self.places.positions or isinstance(node, Call):
                    self.closed.add(shadow)
                elif not isinstance(node, (View, Dim)):
                    self._use(shadow, node)

    def _use(self, shadow: Var, node: Node | None) -> None:
        while node is not None and node not in self.uses[shadow]:
            self.uses[shadow][node] = None
            node = self.places.positions[node].region.owner

    def private(self, loop: For, shadow: Var) -> bool:
        """Whether every iteration keeps to cells of its own."""
        if loop not in self._accesses:
            self._accesses[loop] = Accesses(loop, self.indices)
        return self._accesses[loop].private(shadow)

    def form(self, atom: Atom) -> Form:
        """`atom` as a linear form, in which an extent of an array is what the array was made with."""
        form = self.indices.form(atom)
        for var, factor in form.terms.items():
            node = self.places.places[var].node
            if isinstance(node, Dim) and node.array not in self.places.reserved:
                made = self.places.places[node.array].node
                if isinstance(made, Alloc):
                    rest = form.plus(Form({var: 1}, 0), -factor)
                    return rest.plus(self.form(made.shape[node.axis]), factor)
        return form

    # -- boxes

    def at_most(self, a: Form, b: Form) -> bool:
        return self.indices.proves_not_negative(b.plus(a, -1))

    def covers(self, outer: Box, inner: Box) -> bool:
        pairs = zip(outer, inner, strict=True)
        return all(self.at_most(o.lower, i.lower) and self.at_most(i.upper, o.upper) for o, i in pairs)

    def meets(self, boxes: Boxes, box: Box) -> bool:
        """Whether a cell of `box` may be in one of `boxes`."""
        return any(not self._apart(b, box) for b in boxes)

    def _apart(self, one: Box, two: Box) -> bool:
        pairs = zip(one, two, strict=True)
        return any(self.at_most(a.upper, b.lower) or self.at_most(b.upper, a.lower) for a, b in pairs)

    def plus(self, boxes: Boxes, more: Iterable[Box]) -> Boxes:
        for box in more:
            if not any(self.covers(b, box) for b in boxes):
                boxes = (*(b for b in boxes if not self.covers(box, b)), box)
        if len(boxes) > _MANY:
            raise _StaleError
        return boxes

    def minus(self, boxes: Boxes, box: Box) -> Boxes:
        """At least what is left of `boxes` without `box`."""
        return tuple(rest for b in boxes if (rest := self._rest(b, box)) is not None)

    def _rest(self, box: Box, gone: Box) -> Box | None:
        left = [k for k, (b, g) in enumerate(zip(box, gone, strict=True)) if not self.covers((g,), (b,))]
        if not left:
            return None
        if len(left) == 1:
            (k,) = left
            (lower, upper), taken = box[k], gone[k]
            if self.at_most(taken.lower, lower):
                return (*box[:k], Interval(taken.upper, upper), *box[k + 1 :])
            if self.at_most(upper, taken.upper):
                return (*box[:k], Interval(lower, taken.lower), *box[k + 1 :])
        return box

    def common(self, boxes: Boxes, box: Box) -> list[Box]:
        """At least what `boxes` have in common with `box`."""
        return [b if self.covers(box, b) else box for b in boxes if not self._apart(b, box)]


class _Shadow:
    """One array: its clearings `idle` are left out, `filled` says that it is made as zeros."""

    def __init__(self, program: _Program, array: Var, idle: Collection[Node], filled: bool) -> None:
        self.program, self.places, self.indices = program, program.places, program.indices
        self.array, self.idle, self.filled = array, idle, filled
        self.uses = program.uses[array]
        self.ranges: dict[Var, Interval] = {}  # of the loops whose iterations keep to cells of their own
        self.regions: list[Region] = []  # their bodies
        self.sums: set[Node] = set()  # that stay
        self.birth = self.places.places[array]
        node = self.birth.node
        assert isinstance(node, Alloc)
        self.whole: Box = tuple(Interval(Form({}, 0), program.form(n)) for n in node.shape)

    def live_through(self) -> None:
        """Follow the array from its making to its end."""
        state = self._run(
            self.birth.region.block.nodes[self.birth.position + 1 :],
            State((), () if self.filled else (self.whole,)),
        )
        results = self.program.function.results
        if any(isinstance(r, Var) and isinstance(r.type, Array) and self.places.root(r) is self.array for r in results):
            self._read(state, self.whole)

    def last_through(self, body: Block) -> None:
        """Follow the array through a block that begins with cells which nobody must read."""
        self._run(body, State((self.whole,), (self.whole,)))

    def stored(self) -> set[Node]:
        """The additions that are stores."""
        return {n for n in self.uses if isinstance(n, Incr) and n not in self.sums}

    # -- what statements do

    def _run(self, nodes: Iterable[Node], state: State) -> State:
        for node in nodes:
            if node in self.uses:
                state = self._step(node, state)
        return state

    def _step(self, node: Node, state: State) -> State:
        match node:
            case Load() | Store() | Incr():
                return self._access(node, state)
            case AddInto(array=array) if self.places.root(array) is self.array:
                self._read(state, self.whole)
                return State(self.program.plus(state.live, [self.whole]), state.stale)
            case If(then=then, orelse=orelse):
                return self._either(self._run(then, state), self._run(orelse, state))
            case For(step=Const(value=1 | -1)) if self.program.private(node, self.array):
                if node.index not in self.ranges:
                    self.ranges[node.index] = self._range(node)
                    self.regions.append(self.places.regions[node.body])
                return self._run(node.body, state)
            case For(body=body) | While(body=body):
                return self._repeat(body, state)
        self._read(state, self.whole)
        return state

    def _range(self, loop: For) -> Interval:
        lower, upper = self.program.form(loop.lower), self.program.form(loop.upper)
        return Interval(lower, upper) if is_number(loop.step, 1) else Interval(upper.plus(_NEXT), lower.plus(_NEXT))

    def _either(self, one: State, two: State) -> State:
        return State(self.program.plus(one.live, two.live), self.program.plus(one.stale, two.stale))

    def _repeat(self, body: Block, state: State) -> State:
        region = self.places.regions[body]
        for _ in range(_ROUNDS):
            live, stale = self._run(body, state)
            after = self._either(state, State(self._outside(live, region), self._outside(stale, region)))
            if after == state:
                return state
            state = after
        raise _StaleError

    def _outside(self, boxes: Boxes, region: Region) -> Boxes:
        """`boxes` in terms of what is known outside of `region`."""
        return tuple(
            tuple(w if self._varies(own, region) else own for own, w in zip(box, self.whole, strict=True))
            for box in boxes
        )

    def _varies(self, interval: Interval, region: Region) -> bool:
        return any(self.indices.varies(v, region) for form in interval for v in form.terms)

    def _access(self, node: Load | Store | Incr, state: State) -> State:
        program = self.program
        box, exact = self._box(node.array, node.index)
        live, stale = state
        match node:
            case Load():
                self._read(state, box)
                return state
            case Incr() if program.meets(live, box):
                self.sums.add(node)
                self._read(state, box)
                return State(program.plus(live, [box]), stale)
            case Store() if _clears(node):
                if node in self.idle:
                    stale = program.plus(stale, program.common(live, box))
                elif exact:
                    stale = self._without(stale, box)
                return State(self._without(live, box) if exact else live, stale)
        return State(program.plus(live, [box]), self._without(stale, box) if exact else stale)

    def _without(self, boxes: Boxes, box: Box) -> Boxes:
        """What is left of `boxes` within the array."""
        rest = self.program.minus(boxes, box)
        return tuple(b for b in rest if not self._is_outside(b))

    def _is_outside(self, box: Box) -> bool:
        return any(self.program.at_most(w.upper, own.lower) for own, w in zip(box, self.whole, strict=True))

    def _read(self, state: State, box: Box) -> None:
        if self.program.meets(state.stale, box):
            raise _StaleError

    # -- which cells

    def _box(self, array: Var, index: tuple[Atom, ...]) -> tuple[Box, bool]:
        """A box around the cells of an access in all iterations of `ranges`, and whether they are all of it."""
        base, cell = self.indices.cell(array, index)
        if base is not self.array or cell is None:
            return self.whole, False
        used: set[Var] = set()
        found = [None if isinstance(atom, Undef) else self._interval(atom, used) for atom in cell]
        return tuple(own or w for own, w in zip(found, self.whole, strict=True)), None not in found

    def _interval(self, atom: Atom, used: set[Var]) -> Interval | None:
        """What an index runs through, if it is all of an interval; each loop for one axis only."""
        form = self.program.form(atom)
        loops = [v for v in form.terms if v in self.ranges]
        if not self.indices.not_negative(atom) or len(loops) > 1 or not used.isdisjoint(loops):
            return None
        if not loops:
            return Interval(form, form.plus(_NEXT)) if self._is_fixed(form) else None
        (loop,) = loops
        factor, (lower, upper) = form.terms[loop], self.ranges[loop]
        rest = form.plus(Form({loop: 1}, 0), -factor)
        if abs(factor) != 1 or not all(map(self._is_fixed, (rest, lower, upper))):
            return None
        used.add(loop)
        if factor == 1:
            return Interval(rest.plus(lower), rest.plus(upper))
        return Interval(rest.plus(upper, -1).plus(_NEXT), rest.plus(lower, -1).plus(_NEXT))

    def _is_fixed(self, form: Form) -> bool:
        """Whether `form` is the same in all iterations of `ranges`."""
        return not any(self.indices.varies(v, region) for v in form.terms for region in self.regions)


class Scratch:
    """Which arrays a loop uses for what each iteration has of its own."""

    def __init__(self, function: Function, indices: Indices) -> None:
        made = {n.out for n in nodes_of(function.body) if isinstance(n, Alloc)}
        seen = {indices.places.root(r) for r in function.results if isinstance(r, Var) and isinstance(r.type, Array)}
        self.program = _Program(function, made - seen, indices)
        self.known: dict[tuple[Var, For], bool] = {}

    def is_own(self, array: Var, loop: For) -> bool:
        """Whether each iteration of `loop` writes to a cell of `array` before it reads it, and whatever else reads the
        array is in another loop of which this is true."""
        if array not in self.program.uses or array in self.program.closed or not self._writes_first(array, loop):
            return False
        accesses = (n for n in self.program.uses[array] if not isinstance(n, (If, For, While)))
        return all(isinstance(n, Store) or self._is_hidden(n, array, loop) for n in accesses)

    def _is_hidden(self, node: Node, array: Var, loop: For) -> bool:
        """Whether `node` is in `loop` or in one beside it whose iterations write first, too."""
        places = self.program.places
        body, region = places.regions[loop.body], places.positions[node].region
        while region.parent is not None and (region is body or not places.within(body, region)):
            if isinstance(region.owner, For) and self._writes_first(array, region.owner):
                return True
            region = region.parent
        return False

    def _writes_first(self, array: Var, loop: For) -> bool:
        known = self.known.get((array, loop))
        if known is None:
            known = self.known[array, loop] = self._tried(array, loop)
        return known

    def _tried(self, array: Var, loop: For) -> bool:
        if loop not in self.program.uses[array] or self.program.places.inside(
            self.program.places.places[array].region, loop
        ):
            return False
        try:
            _Shadow(self.program, array, (), False).last_through(loop.body)
        except _StaleError:
            return False
        return True


def _clears(node: Node) -> bool:
    return isinstance(node, Store) and isinstance(node.value, Const) and node.value.value == 0


class _Rewritten(Substitution):
    """Leaves out what is not needed."""

    def __init__(self, found: list[_Shadow]) -> None:
        super().__init__()
        self.stored = {n for s in found for n in s.stored()}
        self.left_out = {n for s in found for n in s.idle}
        self.unfilled = {s.array for s in found if not s.filled}

    def block(self, block: Block) -> Block:
        return super().block(Block([n for n in block if n not in self.left_out]))

    def node(self, node: Node) -> Node:
        made = super().node(node)
        if node in self.stored:
            assert isinstance(made, Incr)
            return Store(made.array, made.index, made.value, line=made.line)
        if isinstance(made, Alloc) and made.out in self.unfilled:
            return dataclasses.replace(made, fill=None)
        return made
