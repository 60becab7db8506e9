"""What `raise`, `assert` and `print` say: texts and numbers, written as Python writes them (see `ir.messages`)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import describe
from chainrule.frontends.values import Number, Static, kind_of, object_of
from chainrule.ir.messages import NEXT, VALUE, formatted, is_mark

__all__ = ["known_text", "message_of"]

_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}


def message_of(frame: Any, args: Sequence[ast.expr]) -> tuple[Any, ...]:
    """The parts of the arguments of an exception or of `print`."""
    parts: list[Any] = []
    for k, arg in enumerate(args):
        parts += [NEXT] * bool(k) + _argument(frame, arg)
    return tuple(parts)


def known_text(frame: Any, node: ast.expr) -> str | None:
    """The text of an f-string, None if it holds numbers that are not known now."""
    parts = _joined(frame, node)
    return "".join(parts) if all(isinstance(p, str) and not is_mark(p) for p in parts) else None


def _argument(frame: Any, node: ast.expr) -> list[Any]:
    if isinstance(node, ast.JoinedStr):
        return _joined(frame, node)
    value = frame.ctx.language.expression(frame, node)
    return [VALUE, value.atom] if isinstance(value, Number) else _plain(value)


def _joined(frame: Any, node: ast.expr) -> list[Any]:
    match node:
        case ast.JoinedStr(values=values):
            return [part for v in values for part in _joined(frame, v)]
        case ast.Constant(value=text):
            return [text]
        case ast.FormattedValue(value=inner, conversion=code, format_spec=spec):
            text = "" if spec is None else known_text(frame, spec)
            if text is None:
                raise frame.ctx.fail("a format that depends on computed numbers")
            value = frame.ctx.language.expression(frame, inner)
            return _formatted(frame.ctx, value, chr(code) if code > 0 else "", text)
    raise AssertionError(node)


def _formatted(ctx: Context, value: Any, conversion: str, spec: str) -> list[Any]:
    """``{value!conversion:spec}``"""
    if isinstance(value, Static) or (isinstance(value, Number) and value.known):
        return [_write(ctx, value, object_of(value), conversion, spec)]
    if isinstance(value, Number):
        _write(ctx, value, kind_of(value)(1), conversion, spec)
        if conversion and not spec and not value.weak and conversion != "s":
            return _representation(value)
        return [formatted(spec, "s" * bool(conversion)), value.atom] if spec or conversion else [value.atom]
    if spec:
        raise ctx.fail(f"the format {spec!r} of {describe(value)}")
    return _plain(value)


def _write(ctx: Context, value: Any, example: Any, conversion: str, spec: str) -> str:
    converted = _CONVERSIONS[conversion](example) if conversion else example
    try:
        if isinstance(value, Number) and value.dtype == "bool" and spec and not value.known and not conversion:
            raise TypeError
        return format(converted, spec)
    except (ValueError, TypeError):
        raise ctx.fail(f"the format {spec!r} of {describe(value)}") from None


def _plain(value: Any) -> list[Any]:
    """A value as ``str`` writes it; arrays are described."""
    match value:
        case Static(value=known):
            return [str(known)]
        case tuple() | list():
            parts = ["(" if isinstance(value, tuple) else "["]
            for k, item in enumerate(value):
                parts += [", "] * bool(k) + _representation(item)
            return [*parts, "," * (len(value) == 1) + ")" if isinstance(value, tuple) else "]"]
    return [describe(value)]


def _representation(value: Any) -> list[Any]:
    match value:
        case Number(atom=atom, weak=weak):
            shown = weak or value.dtype.startswith(("bool", "complex"))
            return [atom] if shown else [f"np.{value.dtype}(", atom, ")"]
        case Static(value=known):
            return [repr(known)]
    return _plain(value)
