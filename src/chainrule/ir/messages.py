"""Messages in a program: texts and numbers one after another, with marks that say what becomes of them.

A mark is a text that begins with NUL. `NEXT` begins the exception's next argument, `VALUE` says that an argument is
the number that follows, and what `formatted` gives says how the number that follows is written. Machine code formats
nothing: it raises the parts as they are, and `arguments` makes of them what Python would have made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["NEXT", "VALUE", "arguments", "formatted", "grouped", "is_mark"]

NEXT, VALUE = "\0,", "\0="


def formatted(spec: str, conversion: str = "") -> str:
    """The mark of a number that is written as ``{number!conversion:spec}``."""
    return f"\0{conversion}:{spec}"


def is_mark(part: Any) -> bool:
    return isinstance(part, str) and part.startswith("\0")


def grouped(parts: Iterable[Any]) -> Iterator[list[tuple[str | None, Any]]]:
    """For each argument its parts with the marks before them."""
    found: list[tuple[str | None, Any]] = []
    mark = None
    empty = True
    for part in parts:
        empty = False
        if part == NEXT:
            yield found
            found = []
        elif is_mark(part):
            mark = part
        else:
            found.append((mark, part))
            mark = None
    if not empty:
        yield found


def arguments(parts: Iterable[Any]) -> tuple[Any, ...]:
    """The arguments of the exception, `parts` having values in the place of atoms.

    >>> arguments(["step ", formatted(".2g"), 0.123, " is too small", NEXT, VALUE, 3])
    ('step 0.12 is too small', 3)
    """
    return tuple([_argument(group) for group in grouped(parts)])


def _argument(group: list[tuple[str | None, Any]]) -> Any:
    if len(group) == 1 and group[0][0] == VALUE:
        return group[0][1]
    return "".join([str(part) if mark is None else _written(mark, part) for mark, part in group])


def _written(mark: str, value: Any) -> str:
    conversion, _, spec = mark[1:].partition(":")
    return format(str(value) if conversion == "s" else value, spec)
