"""How values from outside the program are read again, for each call.

A getter is a function without arguments. These three say what they read from, so that machine code can do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import CellType, CodeType, FunctionType
from typing import Any

__all__ = ["ABSENT", "Cell", "Code", "Global"]

ABSENT = object()


@dataclass(frozen=True)
class Global:
    """The global variable `name`; `absent` if there is none."""

    owner: dict[str, Any]
    name: str
    absent: Any = ABSENT

    def __call__(self) -> Any:
        return self.owner.get(self.name, self.absent)


@dataclass(frozen=True)
class Cell:
    """A variable of an enclosing function."""

    owner: CellType

    def __call__(self) -> Any:
        return self.owner.cell_contents


@dataclass(frozen=True)
class Code:
    """The code of a function, which a debugger or a reloader may replace."""

    owner: FunctionType

    def __call__(self) -> CodeType:
        return self.owner.__code__
