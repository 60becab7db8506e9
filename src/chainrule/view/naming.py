"""Where in the user's program an operation happens, and what the program calls its result.

The name is read from the byte code: if the instruction under way is followed by a store, its result is what
is stored; if by a return, the caller's instruction decides. No source is needed and nothing is patched.
"""

from __future__ import annotations

import dis
import functools
import inspect
import linecache
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from chainrule import trees
from chainrule.eager import tape
from chainrule.errors import is_users

__all__ = ["FORMULA", "Place", "argument_names", "leaf_names", "stack", "stored_as"]

FORMULA = "<expression"  # how the file of a formula is called, whose lines nobody has seen

_RETURN = object()
_ENGINES = os.path.dirname(os.path.abspath(tape.__file__)) + os.sep


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's program, and the function it is in."""

    file: str
    line: int
    function: str
    first: int  # line of the function

    @property
    def source(self) -> str:
        """The text of the line."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        if self.file.startswith(FORMULA):
            return ""
        folder, name = os.path.split(self.file)
        notebook = os.path.basename(folder).startswith("ipykernel_")  # a file for each cell, called by a number
        return f"{'cell' if notebook else name}:{self.line}"


def stack(frame: FrameType | None, base: FrameType | None) -> tuple[list[FrameType], bool]:
    """The user's frames between `frame` and `base`, innermost first, and whether a transformation is among them."""
    frames, nested = [], False
    while frame is not None and frame is not base:
        users, engine = _whose(frame.f_code)
        nested = nested or engine
        if users:
            frames.append(frame)
        frame = frame.f_back
    return frames, nested


@functools.lru_cache(maxsize=4096)
def _whose(code: CodeType) -> tuple[bool, bool]:
    """Whether code is the user's, and whether it interprets operations for a transformation."""
    return is_users(code.co_filename), code.co_filename.startswith(_ENGINES)


def place_of(frame: FrameType) -> Place:
    """The line that a frame is at."""
    return _place(frame.f_code, frame.f_lineno)


@functools.lru_cache(maxsize=65536)
def _place(code: CodeType, line: int) -> Place:
    return Place(code.co_filename, line, code.co_qualname.rpartition("<locals>.")[2], code.co_firstlineno)


def stored_as(frames: list[FrameType]) -> tuple[str, FrameType] | None:
    """The name that gets the result of the instruction under way, and the frame in which it does."""
    for frame in frames:
        target = _targets(frame.f_code).get(frame.f_lasti)
        if target is not _RETURN:
            return None if target is None else (target, frame)
    return None


@functools.lru_cache(maxsize=1024)
def _targets(code: CodeType) -> dict[int, Any]:
    """For each instruction that is followed by a store its name, or that it is followed by a return."""
    instructions = list(dis.get_instructions(code))
    targets: dict[int, Any] = {}
    for k, instruction in enumerate(instructions[:-1]):
        # A frame that has called another one is at the end of the caches behind its instruction.
        offsets = range(instruction.offset, instructions[k + 1].offset, 2)
        after = instructions[k + 1]
        if after.opname in ("COPY", "DUP_TOP") and k + 2 < len(instructions):  # (y := …), a = b = …
            after = instructions[k + 2]
        if after.opname.startswith(("STORE_FAST", "STORE_NAME", "STORE_DEREF", "STORE_GLOBAL")):
            name = after.argval
            targets.update(dict.fromkeys(offsets, name[0] if isinstance(name, tuple) else name))
        elif after.opname == "RETURN_VALUE":
            targets.update(dict.fromkeys(offsets, _RETURN))
    return targets


# -- names of what goes in ----------------------------------------------------------------------------


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """How `f` calls its positional arguments."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # ufuncs and built-in functions may have none
        return [f"x{k + 1}" for k in range(count)] if count > 1 else ["x"]
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{k}]" for k in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return (names + [f"x{k + 1}" for k in range(len(names), count)])[:count]


def leaf_names(name: str, value: Any) -> list[str]:
    """How the user writes the leaves of an argument or result called `name`."""
    if trees.is_leaf_type(value):
        return [name]
    _, treedef = trees.flatten(value)
    return [accessor.codify(name) for accessor in treedef.accessors()]
