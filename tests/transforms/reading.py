"""From Python functions to programs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.frontends.program import ArrayKind, NumberKind, read_program
from chainrule.frontends.source import read
from chainrule.ir.nodes import Function
from chainrule.transforms.forward import jvp
from chainrule.transforms.reverse import vjp
from chainrule.transforms.simplify import simplify

__all__ = ["as_read", "kind_of", "program_of", "reverse"]


def program_of(function: Callable[..., Any], args: Sequence[Any]) -> Function:
    """The program of ``function(*args)``, cleaned up."""
    return simplify(as_read(function, args))


def as_read(function: Callable[..., Any], args: Sequence[Any]) -> Function:
    """The program of ``function(*args)``."""
    names = tuple(inspect.signature(function).parameters)
    kinds = tuple(map(kind_of, args))
    return read_program(function, kinds, {}, read(function), names, jvp, reverse).function


def reverse(function: Function, active: Sequence[bool], wanted: Any = None) -> Function:
    return vjp(function, active, None, wanted)


def kind_of(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ArrayKind(value.dtype.name, tuple(n == 1 for n in value.shape))
    return NumberKind("int64" if isinstance(value, int) else "float64", True)
