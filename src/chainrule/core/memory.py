"""Copies of arrays in memory that earlier copies have left.

Fresh pages cost more than the arithmetic on them: where an allocator gives the memory of a dropped array back
to the system, the copies of half a megabyte that each step of a training needs took thirty times as long as
copying. So a thread remembers its last copies, up to `LIMIT` bytes. One that nobody else refers to, neither
directly nor through a view, holds the next copy of its shape and dtype; nobody can see the difference.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np

__all__ = ["LIMIT", "copied"]

LIMIT = 2**22
_SMALL = 2**15  # an allocator keeps such blocks by itself


class _Store(threading.local):
    """The copies of one thread, the oldest first."""

    def __init__(self) -> None:
        self.copies: list[Any] = []
        self.size = 0


_store = _Store()


def copied(array: Any) -> Any:
    """A C-contiguous copy of `array`."""
    size = array.nbytes
    if not _SMALL < size <= LIMIT or not array.flags.c_contiguous or array.dtype.hasobject:
        return array.copy()
    copies = _store.copies
    k = _idle(copies, array)
    if k is None:
        copy = np.empty(array.shape, array.dtype)
        copies.append(copy)
        _store.size += size
        while _store.size > LIMIT:
            _store.size -= copies.pop(0).nbytes
    else:
        copy = copies[k]
    # Not by copyto, which leaves it to the processor's `rep movsb`: on some that takes ten times as long if the
    # copy begins a few bytes further into its page than the original, as one allocated right after it may do.
    np.positive(array.reshape(-1).view(np.uint8), out=copy.reshape(-1).view(np.uint8))
    return copy


def _idle(copies: list[Any], array: Any) -> int | None:
    """Where in `copies` an array like `array` is that only this list refers to."""
    for k in range(len(copies)):
        if sys.getrefcount(copies[k]) == _ALONE:
            copy = copies[k]
            flags = copy.flags
            if copy.shape == array.shape and copy.dtype is array.dtype and flags.c_contiguous and flags.writeable:
                return k
    return None


_EXAMPLE = [np.empty(1)]
_ALONE = sys.getrefcount(_EXAMPLE[0])
