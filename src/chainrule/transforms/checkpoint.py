"""Loops of whose iterations the reverse sweep keeps only some: memory for recomputation.

A counted loop becomes a function of its bounds, ``strip(lower, upper)``, that is called: what a call needs in reverse
is not kept but computed again. And a strip may be cut in two, ``strip(lower, upper) = strip(middle, upper) after
strip(lower, middle)``, so that its pullback is

    advance a copy of the state to the middle, pull back from there, then pull back what is before the middle

down to strips short enough to be recorded. Copies of the state (carries, and the arrays that the loop writes to) are
held for the strips that wait: `slots` of them. Where to cut follows the binomial schedule: with s slots and no step
advanced more than r times, C(s + r, r) strips can be reversed, and no schedule reverses more.

Sources: A. Griewank and A. Walther, "Algorithm 799: revolve", ACM TOMS 26 (2000), and "Evaluating Derivatives",
2nd ed., chapter 12.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Call,
    Carry,
    Const,
    Dim,
    For,
    Function,
    If,
    Let,
    Merge,
    Print,
    Reserve,
    Undef,
    Var,
    View,
    While,
)
from chainrule.ir.walk import nodes_of
from chainrule.transforms.mirror import zero
from chainrule.transforms.strips import loop_of, strip_of

__all__ = ["connected", "divided", "outlined"]

_LEAST, _MOST = 8, 512  # copies of the state: fewer repeat too much, and for more too many calls would wait
_MANY = 32  # values kept per iteration where their number is not known before


def outlined(function: Function, loops: Collection[For]) -> tuple[Function, list[Function]]:
    """`function` with calls in place of `loops`, where that is possible, and what it calls.

    The parameters of a strip are its bounds, its carries on entry, and what else it reads; its results are its carries.
    """
    outline = _Outline(function, loops)
    return dataclasses.replace(function, body=outline.block(function.body)), outline.strips


class _Outline:
    def __init__(self, function: Function, loops: Collection[For]) -> None:
        self.loops = loops
        self.views = {n.out: n for n in nodes_of(function.body) if isinstance(n, View)}
        self.strips: list[Function] = []

    def block(self, block: Block) -> Block:
        made = Block()
        for node in block:
            if isinstance(node, For) and node in self.loops and _divisible(node):
                made.nodes.append(self._call(node))
            elif isinstance(node, If):
                then, orelse = self.block(node.then), self.block(node.orelse)
                made.nodes.append(dataclasses.replace(node, then=then, orelse=orelse))
            else:
                made.nodes.append(node)
        return made

    def _call(self, node: For) -> Call:
        """`node` as a function of its own, called."""
        strip, args = strip_of(node, self.views)
        self.strips.append(strip)
        given = [zero(c.init.type) if isinstance(c.init, Undef) else c.init for c in node.carries]
        return Call(tuple(c.out for c in node.carries), strip, (node.lower, node.upper, *given, *args), line=node.line)


def _divisible(node: For) -> bool:
    """Whether a part of the loop may be run again, and more than one part be made of it."""
    born = {n.out for n in nodes_of(node.body) if isinstance(n, Alloc)}
    for inner in nodes_of(node.body):
        if isinstance(inner, Print) or (isinstance(inner, Reserve) and inner.array not in born):
            return False
    return not (isinstance(node.lower, Const) and isinstance(node.upper, Const) and _few(node.lower, node.upper))


def _few(lower: Const, upper: Const) -> bool:
    return bool(abs(upper.value - lower.value) <= _MANY)


def connected(strip: Function, carrying: Collection[Var]) -> set[Var]:
    """The parameters and results that carry derivatives since what one part returns is what the next starts from."""
    found: set[Var] = set()
    for start, carry in zip(strip.params[2:], loop_of(strip).carries, strict=False):
        if carry.param in carrying:
            found |= {start, carry.out}
    return found


def divided(
    strip: Function, whole: Function, kept: Collection[Var], carrying: Collection[Var], memory: int
) -> Function:
    """The pullback of a strip that divides it; `whole` is the one that does not, and `kept` are its residuals.

    Parameters
    ----------
    memory : int
        The number of bytes for copies of the state and for what is recorded (eight copies and an iteration are held in
        any case); 0 chooses the length of what is recorded so that both are about equal and nothing is advanced twice.
    """
    loop = loop_of(strip)
    made = Function(whole.name, tuple(Var(p.hint, p.type) for p in whole.params), Block(), ())
    made.writes = frozenset(m for m, p in zip(made.params, whole.params, strict=True) if p in whole.writes)
    build = Builder(made.body)
    build.line = strip.line
    count = _count(build, loop, *made.params[:2])
    state = _state_size(build, strip, made.params)
    record = _record_size(build, whole, made.params, kept)
    base, slots = _schedule(build, count, state, record, memory)
    outs = tuple(Var(_hint(r), r.type) for r in whole.results)
    driver = _driver(strip, whole, loop, [p in carrying for p in strip.params])
    build.emit(Call(outs, driver, (base, slots, *made.params)))
    made.results = outs
    return made


def _hint(atom: Atom) -> str:
    return atom.hint if isinstance(atom, Var) else "ct"


def _count(build: Builder, loop: For, lower: Atom, upper: Atom) -> Atom:
    up = isinstance(loop.step, Const) and loop.step.value > 0
    return build.let("subtract", *((upper, lower) if up else (lower, upper)), hint="count")


# -- sizes ------------------------------------------------------------------------------------------------------------


def _state_size(build: Builder, strip: Function, params: Sequence[Var]) -> Atom:
    """The bytes of the carries and of the arrays that the strip writes to."""
    sizes: list[Atom] = [integer(sum(_itemsize(r.type.dtype) for r in strip.results))]
    for own, param in zip(strip.params, params, strict=False):
        if own in strip.writes:
            assert isinstance(param.type, Array)
            extents = [build.dim(param, axis) for axis in range(param.type.ndim)]
            sizes.append(_product(build, [integer(_itemsize(param.type.dtype)), *extents]))
    return _sum(build, sizes)


def _record_size(build: Builder, whole: Function, params: Sequence[Var], kept: Collection[Var]) -> Atom:
    """The bytes that are kept per iteration."""
    names: dict[Var, Atom] = dict(zip(whole.params, params, strict=True))
    definitions = {n.out: n for n in whole.body if isinstance(n, (Let, Dim))}

    def copied(atom: Atom) -> Atom:
        """What an extent in `whole` is here."""
        if not isinstance(atom, Var) or atom in names:
            return names[atom] if isinstance(atom, Var) else atom
        match definitions.get(atom):
            case Let(op=op, args=args):
                names[atom] = build.let(op, *[copied(a) for a in args])
            case Dim(array=array, axis=axis) if array in names:
                of = names[array]
                assert isinstance(of, Var)
                names[atom] = build.dim(of, axis)
            case _:
                names[atom] = integer(_MANY)
        return names[atom]

    sizes: list[Atom] = [integer(1)]
    for node in whole.body:
        if isinstance(node, Alloc) and node.out in kept:
            first = integer(_MANY if isinstance(node.shape[0], Const) else 1)
            extents = [integer(_itemsize(node.out.type.dtype)), first, *[copied(e) for e in node.shape[1:]]]
            sizes.append(_product(build, extents))
    return _sum(build, sizes)


def _itemsize(dtype: str) -> int:
    return np.dtype(dtype).itemsize


def _product(build: Builder, atoms: Iterable[Atom]) -> Atom:
    made: Atom = integer(1)
    for atom in atoms:
        made = build.let("multiply", made, atom)
    return made


def _sum(build: Builder, atoms: Iterable[Atom]) -> Atom:
    made: Atom = integer(0)
    for atom in atoms:
        made = build.let("add", made, atom)
    return made


# -- the schedule -----------------------------------------------------------------------------------------------------


def _schedule(build: Builder, count: Atom, state: Atom, record: Atom, memory: int) -> tuple[Atom, Atom]:
    """The length of the strips that are recorded, and the number of copies of the state."""
    let = build.let
    if memory == 0:
        ratio = let("divide", build.cast(state, "float64"), build.cast(record, "float64"))
        area = let("multiply", ratio, build.cast(let("maximum", count, integer(1)), "float64"))
        length = build.cast(let("add", let("sqrt", area), constant(1.0)), "int64")
        least = let("floor_divide", count, integer(_MOST))
        return let("maximum", length, let("add", least, integer(1)), hint="length"), integer(_MOST)
    half = let("floor_divide", integer(memory // 2), state)
    slots = let("minimum", let("maximum", half, integer(_LEAST)), integer(_MOST), hint="slots")
    left = let("subtract", integer(memory), let("multiply", slots, state))
    length = let("maximum", let("floor_divide", left, record), integer(1))
    fits = let("less_equal", let("multiply", count, record), integer(memory))
    return let("where", fits, let("maximum", count, integer(1)), length, hint="length"), slots


def _first(build: Builder, strips: Atom, slots: Atom) -> Atom:
    """The number of strips to advance by at once, of so many that are to be reversed with so many slots.

    If at most r repetitions are needed, the strips after it are those that r repetitions and a slot less can do, and
    not fewer come before it than r - 2 can do.
    """
    let, one = build.let, integer(1)
    repeats, reach = Var("repeats", INT), Var("reach", INT)
    head, body = Builder(), Builder()
    test = head.let("less", reach, strips)
    more = body.let("add", repeats, one)
    further = body.let("floor_divide", body.let("multiply", reach, body.let("add", slots, more)), more)
    r, most = Var("repeats", INT), Var("reach", INT)
    carries = [Carry(repeats, integer(0), more, r), Carry(reach, one, further, most)]
    build.emit(While(head.block, test, body.block, carries))
    both = let("add", slots, r)
    after = let("floor_divide", let("multiply", most, slots), both)
    before = let("floor_divide", let("multiply", most, r), both)
    fewer = let("subtract", r, one)
    before = let("floor_divide", let("multiply", before, fewer), let("subtract", both, one))
    return let("maximum", let("maximum", let("subtract", strips, after), before), one)


def _driver(strip: Function, whole: Function, loop: For, active: Sequence[bool]) -> Function:
    """The pullback that calls itself for the two parts of a strip that is longer than `length`."""
    length, slots = Var("length", INT), Var("slots", INT)
    given = tuple(Var(p.hint, p.type) for p in whole.params)
    lower, upper, *rest = given[: len(strip.params)]
    others = given[len(strip.params) :]
    cts_of = [k for k, p in enumerate(whole.params) if k >= len(strip.params) and not isinstance(p.type, Array)]
    cts = [given[k] for k in cts_of]
    shadows = [v for v in others if isinstance(v.type, Array)]
    assert (*shadows, *cts) == others
    driver = Function(f"{whole.name}_divided", (length, slots, *given), Block(), (), strip.line, divides=True)
    driver.writes = frozenset(g for g, p in zip(given, whole.params, strict=True) if p in whole.writes)

    build = Builder(driver.body)
    build.line = strip.line
    count = _count(build, loop, lower, upper)
    then, orelse = Builder(), Builder()
    then.line = orelse.line = strip.line
    short = tuple(Var(_hint(r), r.type) for r in whole.results)
    then.emit(Call(short, whole, given))

    strips = orelse.let("floor_divide", orelse.let("subtract", orelse.let("add", count, length), integer(1)), length)
    ahead = orelse.let("multiply", _first(orelse, strips, slots), length)
    middle = orelse.let("add" if _ascends(loop) else "subtract", lower, ahead, hint="middle")
    written = {g for g, p in zip(given, strip.params, strict=False) if p in strip.writes}
    state = [orelse.copy(v) if v in written else v for v in rest]
    after = tuple(Var(_hint(r), r.type) for r in strip.results)
    orelse.emit(Call(after, strip, (lower, middle, *state)))
    state[: len(after)] = after
    fewer = orelse.let("maximum", orelse.let("subtract", slots, integer(1)), integer(1))
    late, early = (tuple(Var(_hint(r), r.type) for r in whole.results) for _ in range(2))
    orelse.emit(Call(late, driver, (length, fewer, middle, upper, *state, *others)))
    scalars = [k for k, p in enumerate(strip.params) if active[k] and not isinstance(p.type, Array)]
    carried = [late[scalars.index(k)] for k in range(2, 2 + len(after)) if active[k]]
    assert len(carried) == len(cts)
    orelse.emit(Call(early, driver, (length, slots, lower, middle, *rest, *shadows, *carried)))
    shares = [
        e if k < 2 + len(after) else orelse.let("add", e, last) for k, e, last in zip(scalars, early, late, strict=True)
    ]

    results = tuple(Var(_hint(r), r.type) for r in whole.results)
    merges = [Merge(out, a, b) for out, a, b in zip(results, short, shares, strict=True)]
    build.emit(If(build.let("less_equal", count, length), then.block, orelse.block, merges))
    driver.results = results
    return driver


def _ascends(loop: For) -> bool:
    return isinstance(loop.step, Const) and loop.step.value > 0
