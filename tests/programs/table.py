"""What a program of the zoo is, and how a function becomes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["Program", "flatten", "program", "programs_of", "rebuild"]


@dataclass(frozen=True)
class Program:
    """A function and a point at which it is smooth.

    `eager` is whether eager mode can run it as it is: it cannot where a plain array is filled with traced values, by
    `math`, by compiled helpers, or where a traced value becomes an integer. A program may write to its arguments:
    who runs it hands it copies, see `inputs`.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    tags: frozenset[str]
    eager: bool = True
    order: int = 2  # up to which it is differentiable at the point; 0: its derivative is not what differences see

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def active(self) -> tuple[int, ...]:
        """The arguments that are made of floating-point or complex numbers."""
        return tuple(k for k, arg in enumerate(self.args) if any(is_float(x) for x in flatten(arg)))

    def inputs(self) -> tuple[Any, ...]:
        """Fresh copies of the arguments."""
        return tuple(
            rebuild(arg, iter([np.copy(x) if isinstance(x, np.ndarray) else x for x in flatten(arg)]))
            for arg in self.args
        )


def program(
    *args: Any, tags: str, eager: bool = True, order: int = 2
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the decorated function a program, to be run at `args`; lists of floats become arrays."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        values = tuple(
            np.array(a) if isinstance(a, list) and not isinstance(flatten(a)[0], np.ndarray) else a for a in args
        )
        function.program = Program(function, values, frozenset(tags.split()), eager, order)  # type: ignore[attr-defined]
        return function

    return enter


def programs_of(module: ModuleType) -> list[Program]:
    """The programs that a module defines, in order."""
    return [thing.program for thing in vars(module).values() if isinstance(getattr(thing, "program", None), Program)]


def is_float(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "fc" and x is not None


def flatten(value: Any) -> list[Any]:
    """The numbers and arrays in nested tuples, lists, dicts and dataclasses."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in flatten(value[key])]
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in flatten(part)]
    if dataclasses.is_dataclass(value):
        return [leaf for f in dataclasses.fields(value) for leaf in flatten(getattr(value, f.name))]
    return [value]


def rebuild(value: Any, leaves: Iterator[Any]) -> Any:
    """A nest like `value` of other leaves."""
    if isinstance(value, dict):
        made = {key: rebuild(value[key], leaves) for key in sorted(value)}
        return {key: made[key] for key in value}
    if isinstance(value, (tuple, list)):
        parts = [rebuild(part, leaves) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{f.name: rebuild(getattr(value, f.name), leaves) for f in dataclasses.fields(value)}
        )
    return next(leaves)
