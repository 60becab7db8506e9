"""Rules run on names: the partials of the registry write the formulae.

A `Symbol` is a value together with the expression that gives it. A primitive applied to symbols evaluates
and writes itself down, so that a rule which looks at values (a kink, a pole, an exponent of two) takes the
branch that it takes on numbers, and the formula shown is the one that was used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule.arrays  # noqa: F401  (gives Tracer its operators and functions)
from chainrule.core.dispatch import Tracer, bind, shape_of
from chainrule.core.primitive import Primitive
from chainrule.view.expression import Call, Expr, Given, number

__all__ = ["Symbol", "call", "expression_of", "symbol"]


class Symbol(Tracer):
    """A value and the expression that gives it, at the level of one formula."""

    __slots__ = ("expr", "level", "value")

    def __init__(self, value: Any, expr: Expr, level: int) -> None:
        self.value = value
        self.expr = expr
        self.level = level

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        level = self.level
        values = [a.value if isinstance(a, Symbol) and a.level == level else a for a in args]
        exprs = [expression_of(a) for a in args]  # before a write into what is donated
        y = bind(primitive, *values, **params)
        written = call(primitive, exprs, params, values, y)
        if primitive.outputs > 1:
            return tuple(
                symbol(part, Call("getitem", (written,), (("index", str(k)),), np.ndim(part)), level)
                for k, part in enumerate(y)
            )
        return symbol(y, written, level)

    def twin(self) -> Symbol:
        return self


def symbol(value: Any, expr: Expr, level: int) -> Symbol:
    """A symbol; Python's numbers become NumPy's, which have infinities."""
    if value.__class__ in (float, int, bool, complex):
        value = np.asarray(value)[()]
    return Symbol(value, expr, level)


def call(primitive: Primitive, args: list[Expr], params: dict[str, Any], values: list[Any], y: Any) -> Call:
    """The node of a primitive applied to expressions."""
    ndim = 0 if isinstance(y, tuple) else len(shape_of(y))
    chosen = None
    if primitive.name == "where" and not shape_of(values[0]):
        chosen = args[1] if values[0] else args[2]
    return Call(primitive.name, tuple(args), _shown(primitive.name, params), ndim, chosen)


def expression_of(value: Any) -> Expr:
    """The expression of a symbol, a number or a constant array."""
    if isinstance(value, Symbol):
        return value.expr
    if np.ndim(value) == 0:
        plain = np.asarray(value)[()].item() if not isinstance(value, Tracer) else 0.0
        return number(plain)
    return Given(described(value), np.ndim(value))


def described(array: Any) -> str:
    """A constant array that has no name."""
    flat = np.asarray(array).ravel()
    if flat.size and flat.dtype.kind in "fiub" and (flat == flat[0]).all() and flat[0] in (0, 1):
        return "ones" if flat[0] else "zeros"
    return f"array{np.shape(array)}"


# Parameters that say how a primitive is computed, not what.
_HIDDEN = {"dtype", "donate", "keepdims", "shape", "copy"}
_SHAPES = ("reshape", "broadcast_to", "scatter")


def _shown(name: str, params: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    shown = []
    for key, value in params.items():
        if value is None or (key in _HIDDEN and not (key == "shape" and name in _SHAPES)):
            continue
        if key == "index":
            shown.append((key, index_text(value)))
        elif key == "indices":
            shown.append((key, "; ".join(map(index_text, value))))
        elif key == "axis" and isinstance(value, tuple) and len(value) == 1:
            shown.append((key, str(value[0])))
        else:
            shown.append((key, _plain(value)))
    return tuple(shown)


def _plain(value: Any) -> str:
    return described(value) if np.ndim(value) and isinstance(value, np.ndarray) else str(value)


def index_text(index: Any) -> str:
    """An index as it is written between brackets."""
    if isinstance(index, tuple):
        return ", ".join(map(index_text, index)) or "()"
    if isinstance(index, slice):
        parts = [index.start, index.stop] + ([index.step] if index.step is not None else [])
        return ":".join("" if part is None else str(part) for part in parts)
    if index is ...:
        return "..."
    if isinstance(index, np.ndarray):
        if index.size <= 4:
            return str(index.tolist())
        return ("mask" if index.dtype.kind == "b" else "indices") + str(index.shape)
    return str(index)
