"""Writing programs node by node: constants are folded and identities removed where the result is exactly the same.

A `Builder` appends to one block at a time; `inside` switches to another. `inline` copies a function's body in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.ir import ops
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Atom,
    Block,
    Const,
    Copy,
    Dim,
    Function,
    Incr,
    Let,
    Line,
    Load,
    Node,
    Op,
    Scalar,
    Store,
    Type,
    Undef,
    Var,
    View,
)
from chainrule.ir.walk import Renaming, is_number

__all__ = ["FALSE", "INT", "TRUE", "Builder", "boolean", "constant", "integer"]

_KINDS: dict[str, Any] = {d: np.dtype(d).type for d in (*ops.FLOATS, "int64", "bool")}
INT, BOOL, FLOAT = Scalar("int64"), Scalar("bool"), Scalar("float64")
TRUE, FALSE = Const(True, BOOL), Const(False, BOOL)


def integer(value: int) -> Const:
    return Const(int(value), INT)


def boolean(value: bool) -> Const:
    return TRUE if value else FALSE


def constant(value: Any, dtype: str = "float64") -> Const:
    """`value`, rounded to `dtype`, as Python's number of that kind."""
    return Const(np.dtype(dtype).type(value).item(), Scalar(dtype))


class _Inside:
    """A context in which a builder appends to another block; a class, since it is entered for every statement."""

    __slots__ = ("block", "builder", "outer")

    def __init__(self, builder: Builder, block: Block) -> None:
        self.builder, self.block, self.outer = builder, block, builder.block

    def __enter__(self) -> Block:
        self.builder.block = self.block
        return self.block

    def __exit__(self, *error: object) -> None:
        self.builder.block = self.outer


class Builder:
    """Appends nodes to `block`; `line` is the user's line they come from."""

    def __init__(self, block: Block | None = None) -> None:
        self.block = Block() if block is None else block
        self.line: Line | None = None

    def emit(self, node: Node) -> None:
        if node.line is None:
            node.line = self.line
        self.block.nodes.append(node)

    def inside(self, block: Block) -> _Inside:
        """Meanwhile append to `block`."""
        return _Inside(self, block)

    # -- scalars

    def let(self, op: str, *args: Atom, hint: str = "t") -> Atom:
        """``op(*args)``, or the atom that it is known to equal."""
        known = self.fold(op, args)
        if known is not None:
            return known
        out = Var(hint, ops.result_type(op, tuple(a.type for a in args)))
        self.emit(Let(out, op, args))
        return out

    def cast(self, value: Atom, dtype: str, hint: str = "t") -> Atom:
        if value.type.dtype == dtype:
            return value
        if isinstance(value, Const):
            return Const(ops.evaluate("cast", (value.value,), Scalar(dtype)).item(), Scalar(dtype))
        if isinstance(value, Undef):
            return Undef(Scalar(dtype))
        out = Var(hint, Scalar(dtype))
        self.emit(Let(out, "cast", (value,)))
        return out

    def fold(self, op: str, args: tuple[Atom, ...]) -> Atom | None:
        """What ``op(*args)`` is known to be, exactly."""
        if all(isinstance(a, Const) for a in args):
            return self._evaluated(op, args)
        identity = _IDENTITIES.get(op)
        return None if identity is None else identity(self, *args)

    def _add(self, x: Atom, y: Atom) -> Atom | None:
        if x.type.dtype != "int64":
            return None
        return x if is_number(y, 0) else y if is_number(x, 0) else None

    def _subtract(self, x: Atom, y: Atom) -> Atom | None:
        return x if is_number(y, 0) and str(y.value)[0] != "-" else None  # type: ignore[union-attr] # -0.0 - -0.0 is 0.0

    def _multiply(self, x: Atom, y: Atom) -> Atom | None:
        for a, b in ((x, y), (y, x)):
            if is_number(b, 1):
                return a
        for a, b in ((x, y), (y, x)):
            if is_number(a, -1):
                return self.let("negative", b)
        return None

    def _divide(self, x: Atom, y: Atom) -> Atom | None:
        return x if is_number(y, 1) else None

    def _reflexive(self, x: Atom, y: Atom) -> Atom | None:
        return TRUE if x is y and x.type.dtype == "int64" else None

    def _irreflexive(self, x: Atom, y: Atom) -> Atom | None:
        return FALSE if x is y and x.type.dtype == "int64" else None

    def _negative(self, x: Atom) -> Atom | None:
        return self._undone("negative", x)

    def _logical_not(self, x: Atom) -> Atom | None:
        return self._undone("logical_not", x)

    def _undone(self, op: str, x: Atom) -> Atom | None:
        """What `x` is the `op` of."""
        inner = self.definition(x) if isinstance(x, Var) else None
        return inner.args[0] if inner is not None and inner.op == op else None

    def _logical_and(self, x: Atom, y: Atom) -> Atom | None:
        for a, b in ((x, y), (y, x)):
            if isinstance(a, Const):
                return b if a.value else FALSE
        return None

    def _logical_or(self, x: Atom, y: Atom) -> Atom | None:
        for a, b in ((x, y), (y, x)):
            if isinstance(a, Const):
                return TRUE if a.value else b
        return None

    def _where(self, c: Atom, x: Atom, y: Atom) -> Atom | None:
        if isinstance(c, Const):
            return x if c.value else y
        return x if x is y or (isinstance(x, Const) and repr(x) == repr(y)) else None  # 0.0 == -0.0

    def definition(self, var: Var) -> Let | None:
        """The `Let` that defines `var`, if it is among the last nodes of the block."""
        for node in reversed(self.block.nodes[-8:]):
            if isinstance(node, Let) and node.out is var:
                return node
        return None

    @staticmethod
    def _evaluated(op: str, args: tuple[Atom, ...]) -> Const | None:
        dtypes, type = tuple([a.type.dtype for a in args]), ops.result_type(op, tuple([a.type for a in args]))
        values = [ops.number(a.value, dtype) for a, dtype in zip(args, dtypes, strict=True)]  # type: ignore[union-attr]
        try:
            with np.errstate(all="ignore"):
                value = _KINDS[type.dtype](ops.implementation(op, dtypes, type.dtype)(*values)).item()
        except (ArithmeticError, TypeError, ValueError):
            return None
        return Const(value, type) if value == value else None

    # -- arrays

    def load(self, array: Var, *index: Atom, hint: str = "t") -> Var:
        out = Var(hint, Scalar(array.type.dtype))
        self.emit(Load(out, array, index))
        return out

    def store(self, array: Var, index: Sequence[Atom], value: Atom) -> None:
        self.emit(Store(array, tuple(index), value))

    def increment(self, array: Var, index: Sequence[Atom], value: Atom) -> None:
        self.emit(Incr(array, tuple(index), value))

    def view(self, array: Var, kind: str, items: Sequence[Any], hint: str | None = None) -> Var:
        ndim = len(items)
        if kind == "index":
            ndim = sum(not isinstance(i, (Var, Const)) for i in items)
        out = Var(hint or array.hint, Array(array.type.dtype, ndim))
        self.emit(View(out, array, kind, tuple(items)))
        return out

    def alloc(self, dtype: str, shape: Sequence[Atom], fill: Any = None, hint: str = "a") -> Var:
        out = Var(hint, Array(dtype, len(shape)))
        self.emit(Alloc(out, tuple(shape), None if fill is None else constant(fill, dtype)))
        return out

    def copy(self, array: Var, hint: str | None = None) -> Var:
        out = Var(hint or array.hint, array.type)
        self.emit(Copy(out, array))
        return out

    def add_into(self, array: Var, source: Var) -> None:
        self.emit(AddInto(array, source))

    def dim(self, array: Var, axis: int) -> Var:
        out = Var(f"n_{array.hint}" if axis == 0 else f"n{axis}_{array.hint}", INT)
        self.emit(Dim(out, array, axis))
        return out

    def op(self, op: str, *args: Atom, hint: str = "a") -> tuple[Var, ...]:
        types: tuple[Type, ...] = ops.ARRAY_OPS[op](*(a.type for a in args))
        outs = tuple(Var(hint, t) for t in types)
        self.emit(Op(outs, op, args))
        return outs

    # -- whole functions

    def inline(self, function: Function, args: Sequence[Atom]) -> tuple[Atom, ...]:
        """Append a copy of the body of `function` over `args`, and return the atoms of its results."""
        renaming = Renaming(dict(zip(function.params, args, strict=True)))
        renaming.line = self.line
        self.block.nodes += renaming.block(function.body).nodes
        return renaming.all(function.results)


# What an operation is known to be where an operand is a neutral element, another the same, or it undoes another one.
_IDENTITIES: dict[str, Callable[..., Atom | None]] = {
    "add": Builder._add,
    "subtract": Builder._subtract,
    "multiply": Builder._multiply,
    **dict.fromkeys(("divide", "power"), Builder._divide),
    **dict.fromkeys(("equal", "less_equal", "greater_equal"), Builder._reflexive),
    **dict.fromkeys(("not_equal", "less", "greater"), Builder._irreflexive),
    "negative": Builder._negative,
    "logical_not": Builder._logical_not,
    "logical_and": Builder._logical_and,
    "logical_or": Builder._logical_or,
    "where": Builder._where,
}
