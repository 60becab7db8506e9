"""What is known of the indices of a program: linear forms, signs, and which cells a later write may reach.

All of it is proof, never guess: an index may be negative and count from the end, so cells are compared only where
neither can be.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from chainrule.ir.build import INT
from chainrule.ir.nodes import (
    Alloc,
    Atom,
    Carry,
    Const,
    Dim,
    For,
    If,
    Incr,
    Let,
    Load,
    Node,
    Reserve,
    Slice,
    Store,
    Undef,
    Var,
    View,
    While,
)
from chainrule.ir.walk import is_number, nodes_of
from chainrule.transforms.places import Place, Places, Region

__all__ = ["Form", "Indices"]

_ROUNDS = 16


class Form:
    """A sum of integer multiples of variables, and a number."""

    __slots__ = ("number", "terms")

    def __init__(self, terms: dict[Var, int], number: int) -> None:
        self.terms = {v: k for v, k in terms.items() if k}
        self.number = number

    def plus(self, other: Form, factor: int = 1) -> Form:
        terms = dict(self.terms)
        for v, k in other.terms.items():
            terms[v] = terms.get(v, 0) + factor * k
        return Form(terms, self.number + factor * other.number)


_Access = Load | Store | Incr
_ONE = Form({}, 1)


class Indices:
    """Proofs about the indices of the program of `places`."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._dims: dict[tuple[Var, int], Var] = {}
        self._final: dict[Node, bool] = {}
        self._sizes: dict[Var, bool] = {}

    @functools.cached_property
    def _writers(self) -> dict[Var, list[Node]]:
        """The statements that write to each memory."""
        found: dict[Var, list[Node]] = {}
        for node in nodes_of(self.places.body.block):
            if node in self.places.positions and not isinstance(node, (If, For, While)):
                for memory in self.places.writes(node):
                    found.setdefault(memory, []).append(node)
        return found

    def form(self, atom: Atom) -> Form:
        """`atom` as a linear form."""
        if isinstance(atom, Const):
            return Form({}, atom.value)
        assert isinstance(atom, Var)
        match self.places.places[atom].node:
            case Let(op="add", args=(x, y)):
                return self.form(x).plus(self.form(y))
            case Let(op="subtract", args=(x, y)):
                return self.form(x).plus(self.form(y), -1)
            case Let(op="negative", args=(x,)):
                return Form({}, 0).plus(self.form(x), -1)
            case Let(op="multiply", args=((x, Const(value=k)) | (Const(value=k), x))):
                return Form({}, 0).plus(self.form(x), k)
            case Dim(array=array, axis=axis) if array not in self.places.reserved:
                return Form({self._dims.setdefault((array, axis), atom): 1}, 0)
            case For() as loop:
                return self._after(loop, atom)
        return Form({atom: 1}, 0)

    def stride(self, carry: Carry) -> int | None:
        """By what an integer that is carried grows in every iteration, if that is always the same."""
        if carry.param.type != INT or not isinstance(carry.next, Var):
            return None
        step = self.form(carry.next).plus(self.form(carry.param), -1)
        return None if step.terms else step.number

    def _after(self, loop: For, out: Var) -> Form:
        """A carried integer after the loop."""
        (carry,) = [c for c in loop.carries if c.out is out]
        stride = self.stride(carry)
        if stride is not None and isinstance(loop.step, Const) and abs(loop.step.value) == 1:
            trips = (
                Form({}, 0).plus(self.form(loop.upper), loop.step.value).plus(self.form(loop.lower), -loop.step.value)
            )
            if self.proves_not_negative(trips):
                return self.form(carry.init).plus(trips, stride)
        return Form({out: 1}, 0)

    def not_negative(self, atom: Atom) -> bool:
        """Whether `atom` is certain to be at least 0."""
        if isinstance(atom, Undef):
            return False
        return self.proves_not_negative(self.form(atom))

    def proves_not_negative(self, form: Form) -> bool:
        form = self._least(form, self.places.body)
        return form.number >= 0 and all(k > 0 and self._size(v) for v, k in form.terms.items())

    def _least(self, form: Form, region: Region, but: Var | None = None) -> Form:
        """The least that `form` can be, whatever the indices of loops within `region` are, except for that `but`."""
        for _ in range(_ROUNDS):
            found = [v for v in form.terms if v is not but and self._loop(v) is not None and self.varies(v, region)]
            if not found:
                break
            inner = max(found, key=lambda v: self.places.places[v].region.depth)  # whose bounds the others may be in
            loop = self._loop(inner)
            assert loop is not None
            k = form.terms[inner]
            up = loop.step.value > 0  # type: ignore[union-attr]
            if (k > 0) == up:  # the index is never below (above) where it starts
                bound = self.form(loop.lower)
            else:
                bound = self.form(loop.upper).plus(Form({}, -1 if up else 1))
            form = form.plus(Form({inner: 1}, 0), -k).plus(bound, k)
        return form

    def _size(self, var: Var) -> bool:
        """Whether `var` is by its nature no negative number."""
        known = self._sizes.get(var)
        if known is None:
            self._sizes[var] = False  # as long as it is not proved
            known = self._sizes[var] = self._is_size(var, self.places.places[var])
        return known

    def _is_size(self, var: Var, place: Place) -> bool:
        node, owner = place.node, place.region.owner
        if node is None and isinstance(owner, (For, While)):
            return any(c.param is var and self._rises(c) for c in owner.carries)
        match node:
            case Let(op="maximum", args=args):
                return any(self.not_negative(a) for a in args)
            case Let(op="minimum" | "multiply", args=args):
                return all(self.not_negative(a) for a in args)
            case Load(array=array):
                return self._holds_sizes(self.places.memory(array))
            case If(merges=merges):
                return any(m.out is var and self.not_negative(m.then) and self.not_negative(m.orelse) for m in merges)
            case For(carries=carries) | While(carries=carries):
                return any(c.out is var and self._rises(c) for c in carries)
        return isinstance(node, Dim)

    def _rises(self, carry: Carry) -> bool:
        """Whether an integer that is carried starts at 0 or above and never falls."""
        if carry.param.type != INT or isinstance(carry.next, Undef) or not self.not_negative(carry.init):
            return False
        return self.proves_not_negative(self.form(carry.next).plus(self.form(carry.param), -1))

    def _holds_sizes(self, memory: Var) -> bool:
        """Whether the program makes an array of integers and stores no negative ones."""
        writers = [w for w in self.writers(memory) if not isinstance(w, Reserve)]
        node = self.places.places[memory].node
        made = isinstance(node, Alloc) and (node.fill is None or node.fill.value >= 0)
        return made and all(isinstance(w, Store) and self.not_negative(w.value) for w in writers)

    def _loop(self, var: Var) -> For | None:
        owner = self.places.places[var].region.owner
        counted = isinstance(owner, For) and owner.index is var and isinstance(owner.step, Const)
        return owner if counted else None  # type: ignore[return-value]

    def equal(self, a: Atom, b: Atom) -> bool:
        """Whether two integers are proved to be the same."""
        if isinstance(a, Undef) or isinstance(b, Undef):
            return False
        apart = self.form(a).plus(self.form(b), -1)
        return not apart.terms and not apart.number

    def goes_through(self, loop: For, index: Atom) -> bool:
        """Whether `index` is certain to be among those of a loop with a step of 1 or -1."""
        if isinstance(index, Undef):
            return False
        form, (low, high) = self.form(index), self._ends(loop)
        proves = self.proves_not_negative
        return proves(form.plus(low, -1)) and proves(high.plus(form, -1))

    def spans(self, loop: For, extent: Atom) -> bool:
        """Whether a loop with a step of 1 or -1 goes through all indices of an axis of this extent."""
        low, high = self._ends(loop)
        rest = self.form(extent).plus(high, -1)
        return not (low.terms or low.number or rest.terms) and rest.number == 1

    def _ends(self, loop: For) -> tuple[Form, Form]:
        """The least and the greatest index of a loop that is entered."""
        first, end = self.form(loop.lower), self.form(loop.upper)
        return (first, end.plus(_ONE, -1)) if is_number(loop.step, 1) else (end.plus(_ONE), first)

    # -- cells

    def writers(self, memory: Var) -> Sequence[Node]:
        """The statements that write to `memory`."""
        return self._writers.get(memory, ())

    def final(self, node: Load | Store) -> bool:
        """Whether nothing that may run after `node` writes to its cell."""
        known = self._final.get(node)
        if known is None:
            known = self._final[node] = self._is_final(node)
        return known

    def restorable(self, memory: Var) -> bool:
        """Whether all writes to `memory` are to single cells, which can be undone."""
        return all(isinstance(w, (Store, Incr, Reserve)) for w in self.writers(memory))

    def _is_final(self, node: Load | Store) -> bool:
        memory = self.places.memory(node.array)
        birth = self.places.places[memory].region
        return all(isinstance(w, Reserve) or not self.reaches(w, node, birth) for w in self.writers(memory))

    def reaches(self, later: Node, node: Node, region: Region) -> bool:
        """Whether `later` may touch the cell of `node` after `node` has run, both in one iteration of `region`."""
        loops, after = self._common(node, later)
        loops = [r for r in loops if r is not region and self.places.within(r, region)]
        if not loops and not after:
            return False
        if not isinstance(later, _Access) or not isinstance(node, _Access):
            return True
        pairs = self._pairs(node, later)
        for loop in loops:
            verdict = self._apart(loop, pairs)
            if verdict is None:
                return True
            if verdict:
                return False
        apart = [b.plus(a, -1) for a, b in pairs]
        return after and not any(self._is_positive(f) or self._is_positive(Form({}, 0).plus(f, -1)) for f in apart)

    def keeps_apart(self, one: _Access, two: _Access, region: Region) -> bool:
        """Whether `one` never touches a cell that `two` touches in another iteration of the loop `region`."""
        pairs = self._pairs(one, two)
        return all(self._apart(region, p) is not None for p in (pairs, [(b, a) for a, b in pairs]))

    def _pairs(self, one: _Access, two: _Access) -> list[tuple[Form, Form]]:
        """The indices of two cells of an array at the axes where none counts from the end, if they are known."""
        (base, mine), (other, theirs) = self.cell(one.array, one.index), self.cell(two.array, two.index)
        if base is not other or mine is None or theirs is None:
            return []
        known = [(a, b) for a, b in zip(mine, theirs, strict=True) if self.not_negative(a) and self.not_negative(b)]
        return [(self.form(a), self.form(b)) for a, b in known]

    def _apart(self, region: Region, pairs: list[tuple[Form, Form]]) -> bool | None:
        """Whether iterations of a loop keep the first of each pair from the second of later ones: None if they may
        not, False if only within one iteration they may meet, True if they never do."""
        loop = region.owner
        if not isinstance(loop, For) or not isinstance(loop.step, Const):
            return None
        found: bool | None = None
        for a, b in pairs:
            for sign, but in itertools.product((1, -1), (loop.index, None)):  # the second is above the first, or below
                low, high = (self._least(Form({}, 0).plus(f, k), region, but) for f, k in ((b, sign), (a, -sign)))
                if any(v is not but and self.varies(v, region) for v in (*low.terms, *high.terms)):
                    continue
                gap, growth = low.plus(high), low.terms.get(loop.index, 0) * loop.step.value
                if growth >= 0 and self._is_positive(gap):
                    return True
                if growth > 0 and self._is_positive(gap.plus(Form({}, growth))):
                    found = False
        return found

    def _is_positive(self, form: Form) -> bool:
        return self.proves_not_negative(form.plus(_ONE, -1))

    def varies(self, var: Var, region: Region) -> bool:
        """Whether `var` is defined within `region`."""
        return self.places.within(self.places.places[var].region, region)

    def _common(self, first: Node, second: Node) -> tuple[list[Region], bool]:
        """The loops around both, outer ones first; whether `second` comes after `first` in one iteration of them."""
        mine, theirs = self.places.path(first), self.places.path(second)
        shared = [r for r in mine if r in theirs]  # inner ones first
        loops = [r for r in shared if r.is_loop]
        return loops[::-1], theirs[shared[0]] > mine[shared[0]]

    def cell(self, array: Var, index: Sequence[Atom]) -> tuple[Var, tuple[Atom, ...] | None]:
        """The array outside of all loops of which ``array[index]`` is a cell, and the index there if it is simple."""
        found: tuple[Atom, ...] | None = tuple(index)
        place = self.places.places[array]
        while isinstance(place.node, View) and place.region.loop is not None:
            found = None if found is None else _through(place.node, found)
            array = place.node.array
            place = self.places.places[array]
        return array, found


def _through(view: View, index: tuple[Atom, ...]) -> tuple[Atom, ...] | None:
    """The index into the viewed array, if the view only drops axes."""
    if view.kind != "index":
        return None
    rest, found = list(index), []
    for item in view.items:
        if item is None:
            rest.pop(0)
        elif isinstance(item, Slice):
            if any(bound is not None for bound in item):
                return None
            found.append(rest.pop(0))
        else:
            found.append(item)
    return tuple(found)


def same(a: Any, b: Any) -> bool:
    """Whether two atoms are the same one."""
    return a is b or (isinstance(a, Const) and isinstance(b, Const) and a == b)
