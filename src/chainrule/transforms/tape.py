"""Tapes: where functions that call themselves keep what their reverse needs.

How often such a function runs is known to nobody before, so there is no index for what it computes. It has two
programs: one that runs forwards and puts what is to be kept on tapes, at the end of the block in which it is defined,
and one that runs backwards and takes it off at the start of the mirror of that block. A tape is an array for each
dtype, a parameter of both that the first may make longer, and a counter that is handed in and out.

So what a block keeps lies together, in front of where the counter stands when its mirror begins; how much that is, is
known when the sweep is done, and written into the code then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Call, Function, Let, Reserve, Var
from chainrule.ir.walk import nodes_of

__all__ = ["MissingTapeError", "Tape", "Tapes", "taped"]

_FIRST = 64  # numbers that a tape has room for when it is made
_STORED = {"bool": "int64"}


class MissingTapeError(Exception):
    """There is no tape for numbers of this dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


class Tape:
    """A tape in one function, for numbers of one dtype; `total` is the counter when all has been put on it.

    `region` is the body of a function that keeps its values on it, None if only what it calls does.
    """

    home = top = None  # it is defined in no region, and belongs to no loop

    def __init__(self, dtype: str, region: Any, names: dict[object, Var]) -> None:
        self.region = region
        self.array = names.setdefault((dtype, "tape"), Var(f"tape_{dtype[0]}", Array(dtype, 1)))
        self.total = names.setdefault((dtype, "total"), Var(f"q_{dtype[0]}", INT))
        self.slots: dict[Any, dict[Var, int]] = {}  # from a block to what it keeps
        self.starts: dict[Any, Atom] = {}  # from a block to the counter before that
        self._open: list[tuple[Any, Let]] = []

    def counter(self) -> Var:
        return Var(self.total.hint, INT)

    def made(self) -> Alloc:
        return Alloc(self.array, (integer(_FIRST),))

    def begin(self, region: Any, code: Block, after: Atom) -> Atom:
        """The counter before what the block of `region` keeps, if it is `after` behind it; `code` is the mirror's."""
        if self.region is None:
            return after
        before = Let(self.counter(), "subtract", (after, integer(0)))
        self._open.append((region, before))
        self.starts[region] = before.out
        code.nodes.insert(0, before)
        return before.out

    def end(self) -> None:
        """The sweep is done: say how much every block keeps."""
        for region, before in self._open:
            before.args = (before.args[0], integer(len(self.slots.get(region, ()))))


class Tapes:
    """The tapes of a function, for numbers of these dtypes."""

    def __init__(self, dtypes: tuple[str, ...], region: Any, names: dict[object, Var]) -> None:
        self.region = region
        self._tapes = {dtype: Tape(dtype, region, names) for dtype in dtypes}

    def __iter__(self) -> Iterator[Tape]:
        return iter(self._tapes.values())

    def of(self, var: Var) -> Tape:
        """The tape for numbers like `var`."""
        dtype = _STORED.get(var.type.dtype, var.type.dtype)
        if dtype not in self._tapes:
            raise MissingTapeError(dtype)
        return self._tapes[dtype]

    def keep(self, var: Var, region: Any) -> Tape:
        """Let `var`, which is defined in `region`, be kept."""
        slots = self.of(var).slots.setdefault(region, {})
        slots.setdefault(var, len(slots))
        return self.of(var)

    def record(self, build: Builder, region: Any, counters: dict[Any, Atom]) -> None:
        """Put what the block of `region` keeps on the tapes."""
        for tape in self:
            slots = tape.slots.get(region, {})
            if slots:
                after = build.let("add", counters[tape], integer(len(slots)), hint=tape.total.hint)
                build.emit(Reserve(tape.array, after))
                for var, slot in slots.items():
                    value = build.cast(var, tape.array.type.dtype)
                    build.store(tape.array, [build.let("add", counters[tape], integer(slot))], value)
                counters[tape] = after

    def found(self, build: Builder, var: Var, region: Any) -> Atom:
        """`var` in the mirror of `region`."""
        tape = self.of(var)
        index = build.let("add", tape.starts[region], integer(tape.slots[region][var]))
        value: Atom = build.load(tape.array, index, hint=var.hint)
        return value if value.type == var.type else build.let("not_equal", value, integer(0), hint=var.hint)


def taped(function: Function) -> frozenset[Function]:
    """What `function` calls that calls itself, with all that this calls in turn.

    Not functions that repeat what they could keep, and those with a rule.
    """
    reached: dict[Function, set[Function]] = {}
    for f in _called(function):
        reached[f] = set(_called(f))
    cyclic = [f for f, inner in reached.items() if f in inner and not any(g.divides for g in inner)]
    return frozenset(g for f in cyclic for g in reached[f])


def _called(function: Function) -> Iterator[Function]:
    """What `function` calls, directly or not."""
    reached: set[Function] = set()
    waiting = [function]
    while waiting:
        for node in nodes_of(waiting.pop().body):
            if isinstance(node, Call) and node.function.rule is None and node.function not in reached:
                reached.add(node.function)
                waiting.append(node.function)
                yield node.function
