"""Reverse mode: a tape of linear maps, swept once backwards.

`Reverse` values append one entry per operation to the tape of their transformation: for a scalar
operation the values of its partials, as in the textbook's graph, otherwise a `Record` of linear maps.
Entries name values by slot numbers and never refer to traced values, so that there are no reference
cycles and what no partial reads is freed at once. The sweep is a loop, never a recursion.

Cotangents are accumulated in place where the engine owns the buffer. Residuals that are the caller's
arrays are copied, those that are arrays made here are flagged as captured (see `arrays.buffers`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from chainrule.arrays.buffers import replace_traced, set_traced
from chainrule.core.dispatch import Meta, Tracer, bind, fresh_level, meta_of
from chainrule.core.linear import LinearMap, derive
from chainrule.core.live import Masked, add, dense
from chainrule.core.primitive import Primitive
from chainrule.core.views import freeze, link
from chainrule.errors import LeakedTracerError, UnsupportedError, user_line
from chainrule.rules.indexing import GetItem, Marks, scatter

__all__ = ["Record", "Reverse", "ReverseArray", "Tape", "lift", "record", "sweep", "transpose_function"]

_SCALAR = Meta((), np.dtype(np.float64))
_SCALARS = frozenset({float, np.float64})


class Tape:
    """What one transformation recorded: entries in the order of evaluation, and the number of slots."""

    __slots__ = ("append", "copies", "entries", "inputs", "level", "slots", "where")

    def __init__(self, where: str) -> None:
        self.level = fresh_level()
        self.entries: list[Any] = []
        self.append: Callable[[Any], None] = self.entries.append
        self.slots = itertools.count()
        self.copies: dict[int, tuple[Any, Any]] = {}
        self.inputs: list[tuple[int, Any]] = []
        self.where = where

    def close(self) -> None:
        """End the recording: a traced value that is used from now on has leaked."""
        where = self.where
        self.copies = {}
        self.inputs = []

        def leaked(entry: Any) -> None:
            raise LeakedTracerError(
                f"a value traced while differentiating {where} is used after that transformation ended "
                f"(at {user_line()}). Return it from the function instead of storing it, or store "
                "chainrule.stop_gradient(value)."
            )

        self.append = leaked

    def snapshot(self, array: Any) -> Any:
        """A copy of a plain array that the caller may overwrite before the sweep; one per content."""
        if not array.flags.writeable and array.base is None:
            return array
        known = self.copies.get(id(array))
        if known is not None and np.array_equal(known[1], array, equal_nan=array.dtype.kind in "fc"):
            return known[1]
        copy = array.copy()
        self.copies[id(array)] = (array, copy)
        return copy


class Reverse(Tracer):
    """A traced number of reverse mode."""

    __slots__ = ("slot", "tape", "value")

    def __init__(self, value: Any, tape: Any, slot: int) -> None:
        self.value = value
        self.tape = tape
        self.slot = slot

    @property
    def level(self) -> int:  # type: ignore[override]
        return self.tape.level  # type: ignore[no-any-return]

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        tape = self.tape
        if primitive.views and self.captured is None:
            self.value, self.captured = own(self.value), False
        values = [a.value if isinstance(a, Reverse) and a.tape is tape else a for a in args]
        y = bind(primitive, *values, **params)
        edges, reads_y = record(primitive, args, values, params, y, tape)
        if not edges:
            return y
        traced = _traced(y, tape, tuple(edges), reads_y)
        if primitive.views:
            link(traced, args[0], primitive, args, params)
        return traced

    def twin(self) -> Reverse:
        """Another traced value in the same state, which later writes to this one do not reach."""
        return Reverse(self.value, self.tape, self.slot)


class ReverseArray(Reverse):
    """A traced array of reverse mode."""

    __slots__ = ("captured", "key", "made", "owner", "views", "written")

    def __init__(self, value: Any, tape: Any, slot: int) -> None:
        self.value = value
        self.tape = tape
        self.slot = slot
        self.captured = False
        self.owner = None
        self.views = None
        self.written = False

    def twin(self) -> ReverseArray:
        self.captured = True
        other = ReverseArray(self.value, self.tape, self.slot)
        other.captured = True
        return other

    def adopt(self, other: ReverseArray) -> None:
        """Take over the state that a write has computed."""
        self.value = other.value
        self.tape = other.tape
        self.slot = other.slot

    set = set_traced
    replace = replace_traced


class Record:
    """One operation of the tape: the slots it made, and a linear map from each slot it used."""

    __slots__ = ("edges", "out")

    def __init__(self, out: int, edges: tuple[tuple[int, LinearMap], ...]) -> None:
        self.out = out
        self.edges = edges

    def pull(self, cts: list[Any], owned: bytearray) -> None:
        """Add to the cotangents of the operands what the cotangent of the output contributes."""
        ct = cts[self.out]
        if ct is None:
            return
        cts[self.out] = None
        own = bool(owned[self.out])
        if ct.__class__ is Scattered:
            ct, own = ct.collect(), True
        last = len(self.edges) - 1
        for k, (slot, linear) in enumerate(self.edges):
            if linear.__class__ is GetItem:
                cts[slot] = have = _gatherable(cts[slot], linear.x)
                have.add_at(linear.index, ct, linear.unique)
                own = False
                continue
            may = own and k == last
            c = linear.transpose(ct, may)
            plain = dense(c)
            if plain is dense(ct):
                fresh = may
            else:
                fresh = linear.fresh and plain.__class__ is np.ndarray and plain.base is None
            own = own and fresh
            accumulate(cts, owned, slot, c, fresh)


class MultiRecord:
    """An operation with several outputs."""

    __slots__ = ("edges", "metas", "outs")

    def __init__(self, outs: list[int], metas: list[Meta], edges: tuple[tuple[int, LinearMap], ...]) -> None:
        self.outs = outs
        self.metas = metas
        self.edges = edges

    def pull(self, cts: list[Any], owned: bytearray) -> None:
        given = [collected(cts[out]) for out in self.outs]
        if all(c is None for c in given):
            return
        for out in self.outs:
            cts[out] = None
        ct = tuple(
            np.zeros(m.shape, m.dtype) if c is None else dense(c) for c, m in zip(given, self.metas, strict=True)
        )
        for slot, linear in self.edges:
            accumulate(cts, owned, slot, linear.transpose(ct), False)

    def push(self, table: list[Any]) -> None:
        """The same record run forwards, from the tangents of its operands."""
        total: Any = None
        for slot, linear in self.edges:
            if table[slot] is not None:
                change = linear.apply(table[slot])
                total = change if total is None else tuple(map(add, total, change))
        for out, tangent in zip(self.outs, total or (None,) * len(self.outs), strict=True):
            table[out] = tangent


def accumulate(cts: list[Any], owned: bytearray, slot: int, ct: Any, fresh: bool) -> None:
    """Add one contribution to the cotangent in `slot`."""
    have = cts[slot]
    if have is None:
        cts[slot] = ct
        owned[slot] = fresh
    elif have.__class__ is Scattered:
        have.add_all(ct)
    elif owned[slot] and have.__class__ is ct.__class__ is np.ndarray and have.dtype == ct.dtype:
        np.add(have, ct, out=have)
    elif fresh and have.__class__ is ct.__class__ is np.ndarray and have.dtype == ct.dtype:
        cts[slot] = np.add(have, ct, out=ct)
        owned[slot] = True
    else:
        cts[slot] = add(have, ct)
        owned[slot] = cts[slot].__class__ is np.ndarray


class Scattered:
    """The cotangent of an array that is read by index: contributions at places, summed when needed.

    Plain contributions are added into one buffer at once, so that reading every element of an array in
    a loop is linear; traced ones wait and are scattered together.
    """

    __slots__ = ("_buffer", "_marks", "_waiting", "meta")

    def __init__(self, meta: Meta) -> None:
        self.meta = meta
        self._buffer: Any = None
        self._marks: Marks | None = Marks(meta.shape, False)  # None: every element is live
        self._waiting: list[tuple[Any, Any]] = []

    def add_at(self, index: Any, ct: Any, unique: bool) -> None:
        """Add `ct` at `index`; `unique` says that the index names no element twice."""
        live: Any = True
        if ct.__class__ is Masked:
            ct, live = ct.value, ct.live
        if self._marks is not None:
            self._marks = self._marks.extended(index, live, union=True)
        if isinstance(ct, Tracer):
            self._waiting.append((index, ct))
        elif unique:
            self._owned_buffer()[index] += ct
        else:
            np.add.at(self._owned_buffer(), index, ct)

    def add_all(self, ct: Any) -> None:
        """Add a contribution to every element."""
        self.add_at(..., ct, True)
        if ct.__class__ is not Masked:
            self._marks = None

    def _owned_buffer(self) -> Any:
        if self._buffer is None:
            self._buffer = np.zeros(self.meta.shape, self.meta.dtype)
        return self._buffer

    def collect(self) -> Any:
        """The sum, with the elements that nothing reached as structural zeros."""
        value = self._buffer
        if self._waiting:
            indices, cts = zip(*self._waiting, strict=True)
            scattered = scatter(*cts, indices=indices, shape=self.meta.shape, dtype=self.meta.dtype)
            value = scattered if value is None else value + scattered
        return value if self._marks is None else Masked(value, self._marks)


def collected(ct: Any) -> Any:
    """The cotangent of a slot once all its contributions are there."""
    return ct.collect() if ct.__class__ is Scattered else ct


def _gatherable(have: Any, meta: Meta) -> Scattered:
    """The `Scattered` sum of a slot, made from what is there."""
    if have.__class__ is Scattered:
        return have  # type: ignore[no-any-return]
    gathered = Scattered(meta)
    if have is not None:
        gathered.add_all(have)
    return gathered


# -- recording ----------------------------------------------------------------------------------------


def record(
    primitive: Primitive, args: tuple[Any, ...], values: list[Any], params: dict[str, Any], y: Any, tape: Any
) -> tuple[list[tuple[Any, LinearMap]], bool]:
    """The linear maps from the arguments traced on `tape`, and whether one of them keeps the output."""
    slots = primitive.slots
    if slots is None:
        raise UnsupportedError(
            f"{primitive.name} has no derivative rule (at {user_line()}). Define one with "
            "chainrule.custom_jvp or chainrule.custom_vjp, or cut the derivative with chainrule.stop_gradient."
        )
    edges: list[tuple[Any, LinearMap]] = []
    reads_y = False
    out = None
    for index, arg in enumerate(args):
        if not (isinstance(arg, Reverse) and arg.tape is tape):
            continue
        slot = primitive.slot(index)
        if slot is None:
            continue
        if out is None:
            if primitive.outputs == 1:
                out = _meta(y)
                if out.dtype.kind not in "fc":
                    return [], False
            else:
                out = _SCALAR
        reads = slot.reads
        if reads is None:
            reads_y = True
            kept = tuple(_keep(v, a, tape) for v, a in zip(values, args, strict=True))
        else:
            reads_y = reads_y or reads[:1] == (True,)
            kept = tuple(
                [
                    _keep(v, a, tape) if r else _meta(v) if slot.wants_meta else None
                    for v, a, r in itertools.zip_longest(values, args, reads[1:])
                ]
            )
        y_kept = y if reads is None or reads[:1] == (True,) else None
        linear = slot.map(primitive, index, y_kept, kept, params, _meta(values[index]), out)
        if linear is not None:
            edges.append((arg.slot, linear))
    return edges, reads_y


def _meta(value: Any) -> Meta:
    return _SCALAR if value.__class__ in _SCALARS else meta_of(value)


def _keep(value: Any, arg: Any, tape: Any) -> Any:
    """`value` of the argument `arg`, secured against later writes."""
    if value.__class__ is not np.ndarray and not isinstance(value, Tracer):
        return value
    if arg is value:
        return freeze(value) if isinstance(value, Tracer) else tape.snapshot(value)
    root = arg if arg.owner is None else arg.owner
    if root.captured is True and root is arg:
        return value
    if root.captured is None:
        root.value = value = own(value)
    elif root is not arg and root.written:
        return value.copy()
    root.captured = True
    return value


def own(value: Any) -> Any:
    """A copy of the caller's array that the caller cannot write to."""
    return value.copy() if value.__class__ is np.ndarray else value


def _traced(y: Any, tape: Any, edges: tuple[tuple[Any, LinearMap], ...], captured: bool) -> Any:
    if y.__class__ is tuple:
        outs = [next(tape.slots) for _ in y]
        tape.append(MultiRecord(outs, [_meta(v) for v in y], edges))
        return tuple(lift(v, tape, out, captured) for v, out in zip(y, outs, strict=True))
    out = next(tape.slots)
    tape.append(Record(out, edges))
    return lift(y, tape, out, captured)


def lift(value: Any, tape: Any, slot: int, captured: bool | None = False) -> Any:
    """A traced value in `slot`; `captured` None marks the caller's own array."""
    if value.__class__ is np.ndarray:
        if value.ndim == 0:
            return Reverse(value[()], tape, slot)
    elif not isinstance(value, Tracer) or value.ndim == 0:
        return Reverse(value, tape, slot)
    traced = ReverseArray(value, tape, slot)
    traced.captured = captured
    return traced


# -- the sweep ----------------------------------------------------------------------------------------


def sweep(entries: Iterable[Any], count: int, seeds: Iterable[tuple[int, Any]]) -> list[Any]:
    """Run the tape backwards from the seeded slots; return the cotangents of all slots.

    Parameters
    ----------
    entries : iterable
        The entries, last one first.
    count : int
        Number of slots.
    seeds : iterable of (slot, cotangent)
    """
    cts: list[Any] = [None] * count
    owned = bytearray(count)
    for slot, seed in seeds:
        accumulate(cts, owned, slot, seed, False)
    with np.errstate(all="ignore"):
        for entry in entries:
            if entry.__class__ is not tuple:
                entry.pull(cts, owned)
                continue
            ct = cts[entry[0]]
            if ct is None:
                continue
            if len(entry) == 3:
                _, i, p = entry
                have = cts[i]
                cts[i] = ct * p if have is None else have + ct * p
            else:
                _, i, p, j, q = entry
                have = cts[i]
                cts[i] = ct * p if have is None else have + ct * p
                have = cts[j]
                cts[j] = ct * q if have is None else have + ct * q
    return cts


def consume(entries: list[Any]) -> Iterable[Any]:
    """The entries from the last to the first, each freed as it is passed."""
    pop = entries.pop
    while entries:
        yield pop()


def transpose_function(function: Callable[[Any], Any], x: Meta, ct: Any) -> Any:
    """Apply the transpose of a linear `function` of an argument like `x` to `ct`."""
    tape = Tape("the tangent of a rule")
    slot = next(tape.slots)
    zero = np.zeros(x.shape, x.dtype)
    y = function(lift(zero if x.shape else zero[()], tape, slot))
    tape.close()
    outputs, cotangents = (y, ct) if isinstance(y, tuple) else ((y,), (ct,))
    seeds = [
        (out.slot, c)
        for out, c in zip(outputs, cotangents, strict=True)
        if isinstance(out, Reverse) and out.tape is tape
    ]
    result = collected(sweep(consume(tape.entries), next(tape.slots), seeds)[slot])
    return zero if result is None else dense(result)


derive.transpose = transpose_function


# -- numbers ------------------------------------------------------------------------------------------


def binary_operator(primitive: Primitive, operation: Callable[[Any, Any], Any], kinds: frozenset[type]) -> Any:
    """An operator method that records operations on two plain numbers without detours."""
    first, second = (slot.statement for slot in primitive.slots or ())
    slow = primitive
    if callable(first):

        def method(self: Reverse, other: Any) -> Any:
            a = self.value
            if a.__class__ in kinds:
                tape = self.tape
                if other.__class__ is Reverse:
                    b = other.value
                    if other.tape is tape and b.__class__ in kinds:
                        y = operation(a, b)
                        out = next(tape.slots)
                        tape.append((out, self.slot, first(y, a, b), other.slot, second(y, a, b)))
                        return Reverse(y, tape, out)
                elif other.__class__ in kinds:
                    y = operation(a, other)
                    out = next(tape.slots)
                    tape.append((out, self.slot, first(y, a, other)))
                    return Reverse(y, tape, out)
            return slow(self, other)

    else:

        def method(self: Reverse, other: Any) -> Any:
            a = self.value
            if a.__class__ in kinds:
                tape = self.tape
                if other.__class__ is Reverse:
                    b = other.value
                    if other.tape is tape and b.__class__ in kinds:
                        out = next(tape.slots)
                        tape.append((out, self.slot, first, other.slot, second))
                        return Reverse(operation(a, b), tape, out)
                elif other.__class__ in kinds:
                    out = next(tape.slots)
                    tape.append((out, self.slot, first))
                    return Reverse(operation(a, other), tape, out)
            return slow(self, other)

    return method
