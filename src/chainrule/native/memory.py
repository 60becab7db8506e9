"""Numbers of bytes, as a user writes them and reads them."""

from __future__ import annotations

import re

from chainrule.errors import ArgumentError

__all__ = ["read_bytes", "show_bytes"]

_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def read_bytes(memory: int | str) -> int:
    """The number that `memory` means: 200_000_000 or "200MB".

    Examples
    --------
    >>> read_bytes("1.5 MiB")
    1572864
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*(?=\s*[A-Za-z]))?)\s*([A-Za-z]*)\s*", str(memory))
    if found and found[2] in _UNITS:
        size = int(float(found[1]) * _UNITS[found[2]])
        if size > 0:
            return size
    raise ArgumentError(f'memory={memory!r}: give a number of bytes, or "200MB" (units: {", ".join(_UNITS)[2:]})')


def show_bytes(size: int) -> str:
    """`size` with a unit.

    Examples
    --------
    >>> show_bytes(80_000)
    '80.0 kB'
    """
    for unit in ("GB", "MB", "kB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.1f} {unit}"
    return f"{size} bytes"
