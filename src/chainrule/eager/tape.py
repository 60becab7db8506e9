"""The tape of reverse mode: what one transformation records.

There is one entry per operation. An operation on numbers is a tuple ``(out, operand, partial, …)`` with the
values of its partials, as in the textbook's graph; an operation on arrays a list ``[out, operand, map, …]``
of linear maps, or where shapes agree a longer tuple of which `sweep.maps_of` makes one; what has several
outputs or rules of its own is an object with ``pull``, ``push`` and the ``slots`` it uses. Entries name values
by slot numbers and never refer to traced values, so that there are no reference cycles and what no partial
reads is freed at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.core.dispatch import fresh_level
from chainrule.core.memory import copied
from chainrule.errors import LeakedTracerError, name_of, user_line

__all__ = ["Tape", "consume", "keep"]


class Tape:
    """What one transformation recorded: entries in the order of evaluation, and the number of slots."""

    __slots__ = ("__weakref__", "append", "copies", "entries", "inputs", "level", "open", "slots", "where")

    def __init__(self, where: object) -> None:
        self.level = fresh_level()
        self.entries: list[Any] = [None]  # the mark at which `consume` stops
        self.append: Callable[[Any], None] = self.entries.append
        self.slots = itertools.count()
        self.copies: dict[int, tuple[Any, Any]] = {}
        self.inputs: list[tuple[int, Any]] = []
        self.where = where
        self.open = True

    def close(self) -> None:
        """End the recording: a traced value that is used from now on has leaked."""
        where = self.where
        self.open = False
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
        if known is not None and _same(known[1], array):
            return known[1]
        copy = copied(array)
        self.copies[id(array)] = (array, copy)
        return copy


def _same(a: Any, b: Any) -> bool:
    """Whether two arrays hold the same numbers; bits are compared where that is possible, and faster."""
    if a.shape == b.shape and a.dtype == b.dtype and a.dtype.itemsize in (1, 2, 4, 8) and a.dtype.kind in "biuf":
        bits = f"u{a.dtype.itemsize}"
        return np.array_equal(a.view(bits), b.view(bits))
    return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def consume(entries: list[Any]) -> Iterable[Any]:
    """The entries from the last to the first, each freed as it is passed."""
    return iter(entries.pop, None)


def keep(entries: list[Any]) -> Iterable[Any]:
    """The entries from the last to the first, to be passed again."""
    return itertools.islice(reversed(entries), len(entries) - 1)
