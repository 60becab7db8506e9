"""Figures in words, for tables and notes."""

from __future__ import annotations

__all__ = ["duration", "plural"]


def plural(count: int, noun: str) -> str:
    """A count and what is counted: 1 operation, 2,000 operations."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """A time in three digits and the unit that fits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            return f"{seconds * factor:.3g} {unit}"
    raise AssertionError
