"""How functions of SciPy stand here: ours for traced values, SciPy's for plain ones."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

from chainrule.arrays.nested import array_of, has_traced
from chainrule.core.dispatch import Tracer
from chainrule.errors import UnsupportedError, user_line

__all__ = ["array_of", "plain_elsewhere", "reexport", "refuse"]


def any_traced(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a traced value is among the arguments, or in a list or tuple of them."""
    return any(isinstance(a, Tracer) or has_traced(a) for a in (*args, *kwargs.values()))


def plain_elsewhere(original: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let calls without traced arguments go to SciPy's `original`, whose name and text are kept."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            return (function if any_traced(args, kwargs) else original)(*args, **kwargs)

        return call

    return decorate


def reexport(module: types.ModuleType, name: str) -> Any:
    """``module.name``; a function that is no ufunc raises by name if an argument is traced."""
    value = getattr(module, name)
    if not isinstance(value, types.FunctionType):
        return value
    full = f"{module.__name__}.{name}"

    @functools.wraps(value)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any_traced(args, kwargs):
            raise refuse(full)
        return value(*args, **kwargs)

    return call


def refuse(what: str) -> UnsupportedError:
    """The exception for a function, or a function with an option, that has no derivative here."""
    return UnsupportedError(
        f"{what} is not supported for traced values (at {user_line()}). Write it with functions that are, or "
        "give it a rule with chainrule.custom_jvp or chainrule.custom_vjp."
    )
