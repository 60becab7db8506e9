"""Strings that are known when the program is read: what is made of them by methods, operators and indices is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import describe
from chainrule.frontends.values import Bound, Number, Slicing, Static, number, object_of

__all__ = ["characters", "computed", "is_text", "item", "method"]


def is_text(value: Any) -> bool:
    return isinstance(value, Static) and isinstance(value.value, str)


def characters(value: Any) -> Any:
    """The characters of a text to loop over; other values as they are."""
    return tuple(map(Static, value.value)) if is_text(value) else value


def method(ctx: Context, text: str, name: str) -> Bound:
    """``text.name``, which may be called with what is known now."""
    found = None if name.startswith("_") else getattr(text, name, None)
    if found is None:
        raise ctx.fail(f"{text!r} has no attribute {name!r}")

    def run(frame: Any, *args: Any, **kwargs: Any) -> Any:
        return computed(frame.ctx, f"{text!r}.{name}", found, *args, **kwargs)

    return Bound(run, ())


def item(ctx: Context, text: str, key: Any) -> Any:
    """``text[key]``"""
    return computed(ctx, f"{text!r}[…]", text.__getitem__, key)


def computed(ctx: Context, what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `function` of Python makes of values that are known now; `what` is what messages call it."""
    known = [_object(ctx, a, what) for a in args]
    named = {k: _object(ctx, v, what) for k, v in kwargs.items()}
    try:
        return _value(function(*known, **named))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ctx.fail(f"{what} raises {type(error).__name__}: {error}") from None


def _object(ctx: Context, value: Any, what: str) -> Any:
    match value:
        case Static() | Number(known=True):
            return object_of(value)
        case tuple() | list():
            return type(value)(_object(ctx, v, what) for v in value)
        case dict():
            return {k: _object(ctx, v, what) for k, v in value.items()}
        case Slicing(lower=lower, upper=upper, step=step):
            return slice(*(None if b is None else _object(ctx, b, what) for b in (lower, upper, step)))
    raise ctx.fail(f"{what} of {describe(value)}: text is made of what is known before the program runs")


def _value(known: Any) -> Any:
    if isinstance(known, (tuple, list)):
        return type(known)(map(_value, known))
    return number(known) if isinstance(known, (bool, int, float)) else Static(known)
