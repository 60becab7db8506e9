"""Reverse mode: a tape of linear maps, swept once backwards.

`Reverse` values append one entry per operation to the tape of their transformation. An operation on
numbers is a tuple ``(out, operand, partial, …)`` with the values of its partials, as in the textbook's
graph; an operation on arrays a list ``[out, operand, map, …]`` of linear maps, or where shapes agree a longer
tuple of which `maps_of` makes one; what has several outputs or rules of its own is an object with ``pull``, ``push`` and the ``slots`` it uses. Entries name values by slot numbers and never refer to traced values, so that there are no reference
cycles and what no partial reads is freed at once. The sweep is a loop, never a recursion.

Cotangents are accumulated in place where the engine owns the buffer. Residuals that are the caller's
arrays are copied, those that are arrays made here are flagged as captured (see `arrays.buffers`).
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import chainrule.arrays  # noqa: F401  (gives Tracer its operators and functions)
from chainrule.arrays.buffers import replace_traced, set_traced
from chainrule.arrays.protocols import FUNCTIONS, array_function, array_ufunc
from chainrule.core.define import shorten
from chainrule.core.dispatch import Meta, Tracer, bind, fresh_level, meta_of
from chainrule.core.linear import Constant, Factor, Linear, LinearMap, derive
from chainrule.core.live import Masked, add, dense
from chainrule.core.primitive import Primitive, by_function
from chainrule.core.views import freeze, link, private
from chainrule.errors import LeakedTracerError, UnsupportedError, name_of, user_line
from chainrule.rules import elementwise as ew
from chainrule.rules import reduce
from chainrule.rules.indexing import GetItem, Marks, scatter

__all__ = ["SCALARS", "Reverse", "ReverseArray", "Tape", "lift", "record", "sweep", "transpose_function"]

_SCALAR = Meta((), np.dtype(np.float64))
SCALARS = frozenset({float, np.float64})
_CONSTANTS = frozenset({float, np.float64, int})
_FLOAT64, _FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)
_FUNCTION = type(lambda: None)


class Tape:
    """What one transformation recorded: entries in the order of evaluation, and the number of slots."""

    __slots__ = ("__weakref__", "append", "copies", "entries", "inputs", "level", "slots", "where")

    def __init__(self, where: object) -> None:
        self.level = fresh_level()
        self.entries: list[Any] = [None]  # the mark at which `consume` stops
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
                f"a value traced while differentiating {name_of(where)} is used after that transformation ended "
                f"(at {user_line()}). Return it from the function instead of storing it, or store "
                "chainrule.stop_gradient(value)."
            )

        self.append = leaked

    @contextmanager
    def diverted(self) -> Iterator[list[Any]]:
        """Record on a list of its own for a while, also after the end of the recording."""
        entries: list[Any] = [None]
        usual, self.append = self.append, entries.append
        try:
            yield entries
        finally:
            self.append = usual

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


_total = FUNCTIONS[np.sum]
_SUM_SLOT: Any = reduce.sum_.slot(0)
_EVERYTHING = {"axis": None, "keepdims": False}


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
        if len(args) == 1 and not isinstance(self.value, Tracer):
            values = [self.value]
            y = primitive.impl(self.value, **params)
            if primitive.kind == "linear" and y.dtype is _FLOAT64 and primitive.slots:
                x = _meta(self.value)
                linear = Linear(primitive.slots[0], primitive, 0, (x,), params, x, _meta(y))  # type: ignore[arg-type]
                slot = next(tape.slots)
                tape.append([slot, self.slot, linear])
                if y.__class__ is np.float64:
                    return Reverse(y, tape, slot)
                traced = lift(y, tape, slot)
                if primitive.views:
                    link(traced, self, primitive, args, params)
                return traced
        else:
            values = [a.value if isinstance(a, Reverse) and a.tape is tape else a for a in args]
            y = bind(primitive, *values, **params)
        edges, reads_y = record(primitive, args, values, params, y, tape)
        if not edges:
            return y
        traced = _traced(y, tape, edges, reads_y)
        if primitive.views:
            link(traced, args[0], primitive, args, params)
        return traced

    def twin(self) -> Reverse:
        """Another traced value in the same state, which later writes to this one do not reach."""
        return Reverse(self.value, self.tape, self.slot)


class ReverseArray(Reverse):
    """A traced array of reverse mode."""

    __slots__ = ("captured", "key", "made", "owner", "views", "written")

    def __init__(self, value: Any, tape: Any, slot: int, captured: bool | None = False) -> None:
        self.value = value
        self.tape = tape
        self.slot = slot
        self.captured = captured
        self.owner = None

    def __getattr__(self, name: str) -> Any:
        # Few arrays are viewed or written to: these slots are filled when they are.
        if name == "views":
            return None
        if name == "written":
            return False
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def twin(self) -> ReverseArray:
        self.captured = True
        return ReverseArray(self.value, self.tape, self.slot, True)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__" and not options:
            primitive = by_function.get(ufunc)
            if primitive is not None and primitive.kind == "elementwise":
                traced = _unary(primitive, self) if len(inputs) == 1 else _pair(primitive, *inputs)
                if traced is not None:
                    return traced
        return array_ufunc(self, ufunc, method, *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.sum and not kwargs and len(args) == 1:
            return self.sum()
        return array_function(self, function, types, args, kwargs)

    def sum(self, *args: Any, **options: Any) -> Any:
        """As ``ndarray.sum``; the sum of all elements takes the short road."""
        value = self.value
        if args or options or value.__class__ is not np.ndarray or value.dtype is not _FLOAT64:
            return _total(self, *args, **options)
        x = Meta(value.shape, _FLOAT64)
        linear = Linear(_SUM_SLOT, reduce.sum_, 0, (x,), _EVERYTHING, x, _SCALAR)
        tape = self.tape
        out = next(tape.slots)
        tape.append([out, self.slot, linear])
        return Reverse(np.add.reduce(value, axis=None), tape, out)

    def adopt(self, other: ReverseArray) -> None:
        """Take over the state that a write has computed."""
        self.value = other.value
        self.tape = other.tape
        self.slot = other.slot

    set = set_traced
    replace = replace_traced


def pull(entry: list[Any], ct: Any, cts: list[Any], owned: bytearray) -> None:
    """Add to the cotangents of the operands what the cotangent of the output contributes.

    The cotangent's memory is handed on to the last operand if nobody else has it.
    """
    own = bool(owned[entry[0]])
    if ct.__class__ is Scattered:
        ct, own = ct.collect(), True
    last = len(entry) - 2
    for k in range(1, len(entry), 2):
        slot, linear = entry[k], entry[k + 1]
        if linear.__class__ is GetItem:
            cts[slot] = have = _gatherable(cts[slot], linear.x, bool(owned[slot]))
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
        own = own and (fresh or not isinstance(plain, (np.ndarray, Tracer)))
        accumulate(cts, owned, slot, c, fresh)


def pull_small(entry: list[Any], ct: Any, cts: list[Any], owned: bytearray) -> None:
    """The same for small arrays and numbers, whose memory is not worth the bookkeeping."""
    for k in range(1, len(entry), 2):
        slot, linear = entry[k], entry[k + 1]
        if linear.__class__ is GetItem:
            cts[slot] = have = _gatherable(cts[slot], linear.x)
            have.add_at(linear.index, ct, linear.unique)
            continue
        c = linear.transpose(ct)
        have = cts[slot]
        if have is None:
            cts[slot] = c
            owned[slot] = False
        elif have.__class__ is np.ndarray and c.__class__ is np.ndarray:
            cts[slot] = have + c
            owned[slot] = False
        else:
            accumulate(cts, owned, slot, c, False)


class MultiRecord:
    """An operation with several outputs."""

    __slots__ = ("edges", "outs")

    def __init__(self, outs: list[int], edges: Any) -> None:
        self.outs = outs
        self.edges: list[tuple[int, LinearMap]] = edges

    def pull(self, cts: list[Any], owned: bytearray) -> None:
        """Add to the cotangents of the operands what those of the outputs contribute."""
        given = [collected(cts[out]) for out in self.outs]
        if all(c is None for c in given):
            return
        for out in self.outs:
            cts[out] = None
        # None, an output that nothing depends on, is a structural zero for the map.
        ct = tuple(None if c is None else dense(c) for c in given)
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

    def adopt(self, ct: Any) -> None:
        """Start from `ct`, whose memory nobody else holds."""
        self._buffer = dense(ct)
        self._marks = Marks.of(ct, self.meta.shape) if ct.__class__ is Masked else None

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


def _gatherable(have: Any, meta: Meta, own: bool = False) -> Scattered:
    """The `Scattered` sum of a slot, made from what is there, in its memory if that is owned."""
    if have.__class__ is Scattered:
        return have  # type: ignore[no-any-return]
    gathered = Scattered(meta)
    if have is not None:
        if own and dense(have).__class__ is np.ndarray and dense(have).dtype == meta.dtype:
            gathered.adopt(have)
        else:
            gathered.add_all(have)
    return gathered


# -- recording ----------------------------------------------------------------------------------------


def record(
    primitive: Primitive, args: tuple[Any, ...], values: list[Any], params: dict[str, Any], y: Any, tape: Any
) -> tuple[list[tuple[Any, LinearMap]], bool]:
    """The linear maps from the arguments traced on `tape`, and whether one of them keeps the output."""
    if primitive.slots is None:
        raise UnsupportedError(
            f"{primitive.name} has no derivative rule (at {user_line()}). Define one with "
            "chainrule.custom_jvp or chainrule.custom_vjp, or cut the derivative with chainrule.stop_gradient."
        )
    edges: list[tuple[Any, LinearMap]] = []
    reads_y = False
    out: Any = None
    known: Any = None
    for index, arg in enumerate(args):
        if arg is values[index]:
            continue
        slot = primitive.slot(index)
        if slot is None:
            continue
        if out is None:
            out = _meta(y) if primitive.outputs == 1 else _SCALAR
            if out.dtype.kind not in "fc":
                return [], False
        reads = slot.reads
        if reads is None:
            reads = (True,) * (len(args) + 1)
        if slot is not known:  # one slot serves all arguments of a variadic primitive
            kept, known = _kept(reads, values, args, tape, slot.wants_meta), slot
        y_kept = None
        if reads and reads[0]:
            reads_y, y_kept = True, y
        linear = slot.map(primitive, index, y_kept, kept, params, _meta(values[index]), out)
        if linear is not None:
            edges.append((arg.slot, linear))
    return edges, reads_y


def _kept(
    reads: tuple[bool, ...], values: list[Any], args: tuple[Any, ...], tape: Any, metas: bool
) -> tuple[Any, ...]:
    """The arguments a map reads, secured; of the others shape and dtype or nothing."""
    kept = []
    for k, value in enumerate(values):
        if k + 1 < len(reads) and reads[k + 1]:
            kept.append(_keep(value, args[k], tape))
        else:
            kept.append(_meta(value) if metas else None)
    return tuple(kept)


def _unary(primitive: Primitive, arg: ReverseArray) -> Any:
    """The short road of `record` for an array of floats; None where it does not lead."""
    rule = primitive.short
    if rule is None:
        rule = shorten(primitive)
    x = arg.value
    if not rule or x.__class__ is not np.ndarray:
        return None
    dtype = x.dtype
    if dtype is not _FLOAT64 and dtype is not _FLOAT32:
        return None
    y = primitive.impl(x)
    if y.__class__ is not np.ndarray or y.dtype is not dtype:
        return None
    partial, reads_y, reads_x = rule
    tape = arg.tape
    if not reads_x:
        x = None
    elif arg.captured is not True:
        x = _keep(x, arg, tape)
    out = next(tape.slots)
    tape.append((out, arg.slot, partial, y if reads_y else None, x, None))
    return ReverseArray(y, tape, out, reads_y)


def _pair(primitive: Primitive, a: Any, b: Any) -> Any:
    """The short road for two operands, traced arrays of one shape or numbers that carry no derivative."""
    rule = primitive.short
    if rule is None:
        rule = shorten(primitive)
    if not rule:
        return None
    i = j = -1
    x, y = a, b
    if a.__class__ is ReverseArray:
        x, tape, i = a.value, a.tape, a.slot
        if x.__class__ is not np.ndarray:
            return None
        dtype = x.dtype
        if b.__class__ is ReverseArray:
            y, j = b.value, b.slot
            if tape is not b.tape or y.__class__ is not np.ndarray or y.dtype is not dtype or x.shape != y.shape:
                return None
            reads = rule[4]
        elif b.__class__ in _CONSTANTS:
            reads = rule[2]
        else:
            return None
    elif b.__class__ is ReverseArray and a.__class__ in _CONSTANTS:
        y, tape, j, reads = b.value, b.tape, b.slot, rule[3]
        if y.__class__ is not np.ndarray:
            return None
        dtype = y.dtype
    else:
        return None
    if dtype is not _FLOAT64 and dtype is not _FLOAT32:
        return None
    z = primitive.impl(x, y)
    if z.__class__ is not np.ndarray or z.dtype is not dtype:
        return None
    reads_z, reads_x, reads_y = reads
    if reads_x:
        x = dtype.type(x) if i < 0 else x if a.captured is True else _keep(x, a, tape)
    else:
        x = None
    if reads_y:
        y = dtype.type(y) if j < 0 else y if b.captured is True else _keep(y, b, tape)
    else:
        y = None
    out = next(tape.slots)
    tape.append((out, i, rule[0], j, rule[1], z if reads_z else None, x, y))
    return ReverseArray(z, tape, out, reads_z)


def maps_of(entry: tuple[Any, ...]) -> list[Any]:
    """The general form ``[out, operand, map, …]`` of what the short roads recorded."""
    out, i, first = entry[:3]
    if len(entry) == 6:
        return [out, i, _map_of(first, entry[3], (entry[4],))]
    j, second, z, x, y = entry[3:]
    maps: list[Any] = [out]
    if i >= 0:
        maps += (i, _map_of(first, z, (x, y)))
    if j >= 0:
        maps += (j, _map_of(second, z, (x, y)))
    return maps


def _map_of(partial: Any, y: Any, args: tuple[Any, ...]) -> LinearMap:
    return Constant(partial, None, None) if partial.__class__ is int else Factor(partial, y, args)


def _meta(value: Any) -> Meta:
    return _SCALAR if value.__class__ in SCALARS else meta_of(value)


def secure(traced: Any, tape: Any) -> Any:
    """The value of a traced argument, secured against later writes."""
    return _keep(traced.value, traced, tape)


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
    return private(value) if value.__class__ is np.ndarray else value


def _traced(y: Any, tape: Any, edges: Any, captured: bool) -> Any:
    if y.__class__ is tuple:
        outs = [next(tape.slots) for _ in y]
        tape.append(MultiRecord(outs, edges))
        return tuple([lift(v, tape, out, captured) for v, out in zip(y, outs, strict=True)])
    out = next(tape.slots)
    tape.append([out, *itertools.chain.from_iterable(edges)])
    return lift(y, tape, out, captured)


def lift(value: Any, tape: Any, slot: int, captured: bool | None = False) -> Any:
    """A traced value in `slot`; `captured` None marks the caller's own array."""
    if value.__class__ is np.ndarray:
        if value.ndim == 0:
            return Reverse(value[()], tape, slot)
    elif not isinstance(value, Tracer) or value.ndim == 0:
        return Reverse(value, tape, slot)
    return ReverseArray(value, tape, slot, captured)


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
    with np.errstate(all="ignore"):
        sweep_into(entries, cts, bytearray(count), seeds)
    return cts


def sweep_into(
    entries: Iterable[Any], cts: list[Any], owned: bytearray, seeds: Iterable[tuple[int, Any]]
) -> None:
    """The loop of `sweep`: add to `cts` what the seeds contribute through `entries`."""
    for slot, seed in seeds:
        cts[slot] = seed if cts[slot] is None else add(cts[slot], seed)
    for entry in entries:
        if entry.__class__ is tuple:
            ct = cts[entry[0]]
            if ct is None:
                continue
            length = len(entry)
            if length == 5:
                _, i, p, j, q = entry
                have = cts[i]
                cts[i] = ct * p if have is None else have + ct * p
                have = cts[j]
                cts[j] = ct * q if have is None else have + ct * q
            elif length == 3:
                _, i, p = entry
                have = cts[i]
                cts[i] = ct * p if have is None else have + ct * p
            else:
                cts[entry[0]] = None
                if ct.__class__ is not np.ndarray or ct.size > _SMALL:
                    pull(maps_of(entry), ct, cts, owned)
                elif length == 6:
                    _, i, p, y, x, _ = entry
                    c = p(y, x) * ct if p.__class__ is _FUNCTION else ct if p == 1 else -ct
                    have = cts[i]
                    if have is None:
                        cts[i] = c
                    elif have.__class__ is np.ndarray:
                        cts[i] = have + c
                    else:
                        accumulate(cts, owned, i, c, False)
                else:
                    _, i, p, j, q, z, x, y = entry
                    if i >= 0:
                        c = p(z, x, y) * ct if p.__class__ is _FUNCTION else ct if p == 1 else -ct
                        have = cts[i]
                        if have is None:
                            cts[i] = c
                        elif have.__class__ is np.ndarray:
                            cts[i] = have + c
                        else:
                            accumulate(cts, owned, i, c, False)
                    if j >= 0:
                        c = q(z, x, y) * ct if q.__class__ is _FUNCTION else ct if q == 1 else -ct
                        have = cts[j]
                        if have is None:
                            cts[j] = c
                        elif have.__class__ is np.ndarray:
                            cts[j] = have + c
                        else:
                            accumulate(cts, owned, j, c, False)
        elif entry.__class__ is list:
            out = entry[0]
            ct = cts[out]
            if ct is None:
                continue
            cts[out] = None
            if ct.__class__ in _BULKY or (ct.__class__ is np.ndarray and ct.size > _SMALL):
                pull(entry, ct, cts, owned)
            else:
                pull_small(entry, ct, cts, owned)
        else:
            entry.pull(cts, owned)


# Cotangents whose memory is worth handing on.
_SMALL = 4096
_BULKY = frozenset({Scattered, Masked})


def operands(entries: list[Any]) -> Iterator[int]:
    """The slots that recorded operations use."""
    for entry in entries[1:]:
        if entry.__class__ is tuple and len(entry) > 5:
            yield from maps_of(entry)[1::2]
        elif entry.__class__ is tuple or entry.__class__ is list:
            yield from entry[1::2]
        elif entry.__class__ is MultiRecord:
            yield from (slot for slot, _ in entry.edges)
        else:
            yield from (slot for slot in entry.slots if slot is not None)


def consume(entries: list[Any]) -> Iterable[Any]:
    """The entries from the last to the first, each freed as it is passed."""
    return iter(entries.pop, None)


def keep(entries: list[Any]) -> Iterable[Any]:
    """The entries from the last to the first, to be passed again."""
    return itertools.islice(reversed(entries), len(entries) - 1)


def transpose_function(function: Callable[..., Any], metas: list[Meta], ct: Any) -> list[Any]:
    """Apply the transpose of a linear `function` of arguments like `metas` to `ct` (a tuple for several outputs)."""
    tape = Tape(function)
    zeros = [np.zeros(m.shape, m.dtype) for m in metas]
    inputs = [lift(zero if zero.ndim else zero[()], tape, next(tape.slots)) for zero in zeros]
    y = function(*inputs)
    tape.close()
    outputs, cotangents = (y, ct) if isinstance(y, tuple) else ((y,), (ct,))
    seeds = [
        (out.slot, c)
        for out, c in zip(outputs, cotangents, strict=True)
        if c is not None and isinstance(out, Reverse) and out.tape is tape
    ]
    table = sweep(consume(tape.entries), next(tape.slots), seeds)
    return [
        zero if table[slot] is None else dense(collected(table[slot])) for slot, zero in enumerate(zeros)
    ]


derive.transpose = lambda function, x, ct: transpose_function(function, [x], ct)[0]


# -- numbers ------------------------------------------------------------------------------------------


def _binary(name: str, primitive: Primitive, operation: Callable[[Any, Any], Any], kinds: frozenset[type]) -> Any:
    """An operator method that records an operation on plain numbers without detours.

    Everything else (arrays, other levels) takes the general road of `arrays.methods`.
    """
    first, second = (_partial(slot.statement) for slot in primitive.slots or ())
    general = getattr(Tracer, name)
    constants = kinds | {int}

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
            elif other.__class__ in constants:
                y = operation(a, other)
                out = next(tape.slots)
                tape.append((out, self.slot, first(y, a, other)))
                return Reverse(y, tape, out)
        return general(self, other)

    return method


def _sum(name: str, primitive: Primitive, operation: Callable[[Any, Any], Any]) -> Any:
    """The same for operations whose partials are numbers."""
    first, second = (slot.statement for slot in primitive.slots or ())
    general = getattr(Tracer, name)
    constants = SCALARS | {int}

    def method(self: Reverse, other: Any) -> Any:
        a = self.value
        if a.__class__ in SCALARS:
            tape = self.tape
            if other.__class__ is Reverse:
                b = other.value
                if other.tape is tape and b.__class__ in SCALARS:
                    out = next(tape.slots)
                    tape.append((out, self.slot, first, other.slot, second))
                    return Reverse(operation(a, b), tape, out)
            elif other.__class__ in constants:
                out = next(tape.slots)
                tape.append((out, self.slot, first))
                return Reverse(operation(a, other), tape, out)
        return general(self, other)

    return method


def _reflected(name: str, primitive: Primitive, operation: Callable[[Any, Any], Any], kinds: frozenset[type]) -> Any:
    """The same for ``constant op traced``."""
    second = _partial((primitive.slots or ())[1].statement)
    general = getattr(Tracer, name)
    constants = kinds | {int}

    def method(self: Reverse, other: Any) -> Any:
        b = self.value
        if b.__class__ in kinds and other.__class__ in constants:
            y = operation(other, b)
            tape = self.tape
            out = next(tape.slots)
            tape.append((out, self.slot, second(y, other, b)))
            return Reverse(y, tape, out)
        return general(self, other)

    return method


def _partial(statement: Any) -> Callable[..., Any]:
    return statement if callable(statement) else lambda y, a, b: statement


# A quotient of NumPy numbers may warn, and so may its partials: only Python's take the short road.
_PLAIN = frozenset({float})
for _name, _primitive, _operation in (
    ("add", ew.add, operator.add),
    ("sub", ew.subtract, operator.sub),
    ("mul", ew.multiply, operator.mul),
    ("truediv", ew.divide, operator.truediv),
):
    _kinds = _PLAIN if _name == "truediv" else SCALARS
    _make = _sum(f"__{_name}__", _primitive, _operation) if _name in ("add", "sub") else None
    setattr(Reverse, f"__{_name}__", _make or _binary(f"__{_name}__", _primitive, _operation, _kinds))
    setattr(Reverse, f"__r{_name}__", _reflected(f"__r{_name}__", _primitive, _operation, _kinds))


def _array_negative(self: ReverseArray) -> Any:
    traced = _unary(ew.negative, self)
    return ew.negative(self) if traced is None else traced


ReverseArray.__neg__ = _array_negative  # type: ignore[method-assign]


def _array_operator(name: str, primitive: Primitive) -> Any:
    general = getattr(Tracer, name)
    if name.startswith("__r"):

        def method(self: ReverseArray, other: Any) -> Any:
            traced = _pair(primitive, other, self)
            return general(self, other) if traced is None else traced

    else:

        def method(self: ReverseArray, other: Any) -> Any:
            traced = _pair(primitive, self, other)
            return general(self, other) if traced is None else traced

    return method


for _name, _primitive in (
    ("add", ew.add),
    ("sub", ew.subtract),
    ("mul", ew.multiply),
    ("truediv", ew.divide),
    ("pow", ew.pow_),
):
    for _method in (f"__{_name}__", f"__r{_name}__"):
        setattr(ReverseArray, _method, _array_operator(_method, _primitive))
