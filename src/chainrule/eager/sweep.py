"""The reverse sweep: cotangents run through the tape once backwards.

The sweep is a loop, never a recursion. A cotangent is accumulated in place where the engine owns its
buffer, and its buffer is handed on to the last operand of an operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from chainrule.core.dispatch import Meta, Tracer
from chainrule.core.linear import LARGE, Constant, Factor, LinearMap
from chainrule.core.live import Masked, add, dense
from chainrule.core.quiet import begin, end
from chainrule.rules.indexing import GetItem, Marks, scatter
from chainrule.rules.reduce import total_of

__all__ = [
    "MultiRecord",
    "Scattered",
    "accumulate",
    "collected",
    "is_short",
    "maps_of",
    "operands",
    "pull_small",
    "sweep",
    "sweep_into",
]

_FUNCTION: Any = FunctionType
_NUMBERS = frozenset({float, np.float64, np.float32})


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
    token = begin()
    try:
        sweep_into(entries, cts, bytearray(count), seeds)
    finally:
        end(token)
    return cts


def sweep_into(entries: Iterable[Any], cts: list[Any], owned: bytearray, seeds: Iterable[tuple[int, Any]]) -> None:
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
                if length == 4:
                    pull_total(entry, ct, cts, owned)
                elif ct.__class__ is not np.ndarray or ct.size > LARGE:
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
            if ct.__class__ in _BULKY or (ct.__class__ is np.ndarray and ct.size > LARGE):
                pull(entry, ct, cts, owned)
            else:
                pull_small(entry, ct, cts, owned)
        else:
            entry.pull(cts, owned)


def operands(entries: list[Any]) -> Iterator[int]:
    """The slots that recorded operations use."""
    for entry in entries[1:]:
        if is_short(entry):
            yield from maps_of(entry)[1::2]
        elif entry.__class__ is tuple or entry.__class__ is list:
            yield from entry[1::2]
        elif entry.__class__ is MultiRecord:
            yield from (slot for slot, _ in entry.edges)
        else:
            yield from (slot for slot in entry.slots if slot is not None)


def is_short(entry: Any) -> bool:
    """Whether a short road has recorded arrays in `entry`, as a tuple of even length (numbers: odd)."""
    return entry.__class__ is tuple and not len(entry) & 1


def maps_of(entry: tuple[Any, ...]) -> list[Any]:
    """The general form ``[out, operand, map, …]`` of what the short roads recorded."""
    out, i, first = entry[:3]
    if len(entry) == 4:
        return [out, i, total_of(first, entry[3])]
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


def pull_total(entry: tuple[Any, ...], ct: Any, cts: list[Any], owned: bytearray) -> None:
    """The same for the sum of all elements of a small array."""
    if ct.__class__ not in _NUMBERS:
        pull(maps_of(entry), ct, cts, owned)
        return
    _, i, shape, dtype = entry
    c = np.empty(shape, dtype)
    c.fill(ct)
    if cts[i] is None:
        cts[i] = c
    else:
        accumulate(cts, owned, i, c, True)


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
        return have
    gathered = Scattered(meta)
    if have is not None:
        if own and dense(have).__class__ is np.ndarray and dense(have).dtype == meta.dtype:
            gathered.adopt(have)
        else:
            gathered.add_all(have)
    return gathered


# Cotangents whose memory is worth handing on, whatever their size.
_BULKY = frozenset({Scattered, Masked})
