"""The primal sweep: the program itself, which keeps what `residuals` were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import (
    Alloc,
    Atom,
    Block,
    Call,
    Carry,
    For,
    Function,
    If,
    Let,
    Merge,
    Node,
    Reserve,
    Slice,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import nodes_of
from chainrule.transforms.places import Region
from chainrule.transforms.residuals import Frame, Residuals, distance, offset, trips
from chainrule.transforms.tape import Tape

__all__ = ["Calls", "write_primal", "write_recording"]

Counters = dict[Frame | Tape, Atom]


class Calls(Protocol):
    """What a primal sweep wants to know of functions that are called."""

    def on_tape(self, function: Function) -> bool: ...

    def recording(self, function: Function) -> Function: ...


def write_primal(residuals: Residuals, calls: Calls) -> Block:
    """The body of the program, which keeps what was asked for."""
    residuals.allocate()
    tapes = list(residuals.tapes)
    counters: Counters = {tape: integer(0) for tape in tapes}
    body = _Writer(residuals, calls).block(residuals.places.body, counters)
    ends = [Let(tape.total, "add", (counters[tape], integer(0))) for tape in tapes]
    return Block([*(tape.made() for tape in tapes), *body, *ends])


def write_recording(residuals: Residuals, calls: Calls, counters: Counters) -> Block:
    """The body of a function that keeps what was asked for on tapes; `counters` are brought up to date."""
    region = residuals.tapes.region
    assert isinstance(region, Region)
    return _Writer(residuals, calls).block(region, counters)


class _Writer:
    """Writes the primal sweep of `residuals`."""

    def __init__(self, residuals: Residuals, calls: Calls) -> None:
        self.residuals = residuals
        self.calls = calls
        self.places = residuals.places
        self.build = Builder()
        self.numbers: dict[Frame, tuple[Atom, ...]] = {}
        self.owned: dict[Frame, list[Var]] = {}  # the residuals that a frame is to make room for
        self.numbered: set[Frame] = set()
        for frame in residuals.frames.values():
            if frame.arrays or frame.lives:
                self.owned.setdefault(frame.owner, []).extend(frame.arrays.values())
                inner: Frame | None = frame
                while inner is not None and inner not in self.numbered:
                    self.numbered.add(inner)
                    inner = None if inner.owner is inner else inner.outer

    def block(self, region: Region, counters: Counters) -> Block:
        """The block of `region`; `counters` are those that run on, and are brought up to date."""
        made = Block(list(self.residuals.starts.get(region.block, ())))
        with self.build.inside(made):
            frame = self.residuals.frames.get(region)
            if frame in self.numbered and frame is not None:
                self.numbers[frame] = self._number(frame, counters)
            for node in region.block:
                self.build.line = node.line
                before, after = (table.get(node, ()) for table in (self.residuals.before, self.residuals.after))
                for n in (*before, node, *after):
                    self._node(n, counters)
            if not region.raises:
                for var, frame in self.residuals.stored.get(region, ()):
                    self.build.emit(Store(frame.arrays[var], self.numbers[frame], var))
                self.residuals.tapes.record(self.build, region, counters)
        return made

    def _number(self, frame: Frame, counters: Counters) -> tuple[Atom, ...]:
        """The indices of the current iteration."""
        node, build = frame.region.owner, self.build
        if frame.owner is not frame:
            assert isinstance(node, For)
            assert frame.outer is not None
            return (*self.numbers[frame.outer], offset(build, node, node.index, node.lower))
        if isinstance(node, For):
            if not frame.runs_on:
                return (offset(build, node, node.index, node.lower),)
            return (build.let("add", counters[frame], distance(build, node, node.lower, node.index)),)
        number: Atom = self.residuals.counter(frame.region)
        if frame.runs_on:
            number = build.let("add", counters[frame], number)
        self._reserve(frame, build.let("add", number, integer(1)))
        return (number,)

    def _reserve(self, frame: Frame, size: Atom) -> None:
        for array in self.owned[frame]:
            self.build.emit(Reserve(array, size))

    def _node(self, node: Node, counters: Counters) -> None:
        if isinstance(node, If):
            self._branch(node, counters)
        elif isinstance(node, (For, While)):
            self._loop(node, counters)
        elif isinstance(node, Alloc) and node.out in self.residuals.rows:
            frame = self.residuals.frames[self.places.places[node.out].region]
            items = (*self.numbers[frame], *[Slice(None, None, None)] * len(node.shape))
            self.build.emit(View(node.out, self.residuals.rows[node.out], "index", items, line=node.line))
        elif isinstance(node, Call) and self.calls.on_tape(node.function):
            self._call(node, counters)
        else:
            self.build.emit(node)

    def _call(self, node: Call, counters: Counters) -> None:
        tapes = list(self.residuals.tapes)
        after = [tape.counter() for tape in tapes]
        args = (*node.args, *(counters[tape] for tape in tapes), *(tape.array for tape in tapes))
        self.build.emit(Call((*node.outs, *after), self.calls.recording(node.function), args, line=node.line))
        counters.update(zip(tapes, after, strict=True))

    def _branch(self, node: If, counters: Counters) -> None:
        then, orelse = dict(counters), dict(counters)
        first = self.block(self.places.regions[node.then], then)
        second = self.block(self.places.regions[node.orelse], orelse)
        merges = [*node.merges, *self.residuals.merges.get(node, ())]
        for frame in counters:
            if then[frame] is not orelse[frame]:
                out = Var("q", INT)
                merges.append(Merge(out, then[frame], orelse[frame]))
                counters[frame] = out
        self.build.emit(If(node.test, first, second, merges, line=node.line))

    def _loop(self, node: For | While, counters: Counters) -> None:
        region = self.places.regions[node.body]
        frame = self.residuals.frames.get(region)
        base = counters.get(frame) if frame is not None else None
        after: Atom | None = None
        if base is not None and isinstance(node, For):
            assert frame is not None
            after = self.build.let("add", base, trips(self.build, node, node.lower, node.upper), hint="q")
            self._reserve(frame, after)
        inner = [f for f in self._running(node) if f is not frame]
        params = {f: Var("q", INT) for f in inner}
        inside: Counters = dict(params)
        if frame is not None and base is not None:
            inside[frame] = base
        body = self.block(region, inside)
        carries = list(node.carries)
        for f in inner:
            outermost = f.top is node
            out = f.total if outermost else Var("q", INT)
            assert out is not None
            carries.append(Carry(params[f], integer(0) if outermost else counters[f], inside[f], out))
            if not outermost:
                counters[f] = out
        count = self.residuals.counts.get(region)
        if count is not None:
            counter = self.residuals.counter(region)
            with self.build.inside(body):
                carries.append(Carry(counter, integer(0), self.build.let("add", counter, integer(1)), count))
        if isinstance(node, For):
            self.build.emit(For(node.index, node.lower, node.upper, node.step, body, carries, line=node.line))
        else:
            self.build.emit(While(node.head, node.test, body, carries, line=node.line))
            if base is not None:
                after = self.build.let("add", base, self.residuals.count(region), hint="q")
        if frame is not None and after is not None:
            counters[frame] = after

    def _running(self, node: Node) -> Sequence[Frame | Tape]:
        """The frames with a counter of the loops in `node`, and the tapes that it records on."""
        frames = self.residuals.frames.values()
        running = [f for f in frames if f in self.numbered and f.runs_on and self.places.inside(f.region, node)]
        inside = list(nodes_of(Block([node])))
        calls = any(isinstance(n, Call) and self.calls.on_tape(n.function) for n in inside)
        tapes = [t for t in self.residuals.tapes if calls or any(self.places.inside(r, node) for r in t.slots)]
        return [*running, *tapes]
