"""What a transformed function is made of, for those who read programs instead of running them.

``grad(f)`` is a Python function to eager mode. Native mode has to know that it is the gradient of `f`: `mark`
says so, and hands a transformation of a jitted function, or of one that Numba compiled, to native mode as a whole.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

__all__ = ["Mark", "jitted", "mark", "mark_of"]


class Mark(NamedTuple):
    """A transformation: its name, the function it was applied to, and its options."""

    kind: str
    function: Callable[..., Any]
    options: dict[str, Any]
    owner: Any  # a weak reference to the function it belongs to: wrappers copy attributes


def mark(
    transformed: Callable[..., Any], kind: str, function: Callable[..., Any], **options: Any
) -> Callable[..., Any]:
    """`transformed`, marked as ``kind(function, **options)``; jitted, if `function` is."""
    transformed.__transformation__ = Mark(kind, function, options, weakref.ref(transformed))  # type: ignore[attr-defined]
    native = jitted(function)
    if native is None:
        return transformed
    made: Callable[..., Any] = native.like(transformed)
    return made


def mark_of(target: Any) -> Mark | None:
    """The mark of a transformed function, None for other objects."""
    found = getattr(target, "__transformation__", None)
    return found if isinstance(found, Mark) and found.owner() is target else None


def jitted(function: Any) -> Any:
    """What native mode runs for `function`: itself, if `jit` made it; the jitted source of what Numba compiled."""
    found = mark_of(function)
    if found is not None:
        return function if found.kind == "jit" else None
    return _of_dispatcher(function) if hasattr(function, "py_func") else None


def _of_dispatcher(function: Any) -> Any:
    """``jit(function)`` of a function that Numba compiled, which eager mode cannot look into; made once."""
    if not type(function).__module__.startswith("numba.") or not isinstance(function.py_func, FunctionType):
        return None
    found = getattr(function, "__jitted__", None)
    if found is None:
        found = function.__jitted__ = importlib.import_module("chainrule.native.jit").jit(function)
    return found
