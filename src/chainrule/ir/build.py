"""Writing programs node by node: constants are folded and identities removed where the result is exactly the same.

A `Builder` appends to one block at a time; `inside` switches to another. `inline` copies a function's body in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
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
from chainrule.ir.walk import Renaming, is_number, nodes_of

__all__ = ["FALSE", "INT", "TRUE", "Builder", "boolean", "constant", "integer"]

INT, BOOL, FLOAT = Scalar("int64"), Scalar("bool"), Scalar("float64")
TRUE, FALSE = Const(True, BOOL), Const(False, BOOL)


def integer(value: int) -> Const:
    return Const(int(value), INT)


def boolean(value: bool) -> Const:
    return TRUE if value else FALSE


def constant(value: Any, dtype: str = "float64") -> Const:
    """`value`, rounded to `dtype`, as Python's number of that kind."""
    return Const(np.dtype(dtype).type(value).item(), Scalar(dtype))


class Builder:
    """Appends nodes to `block`; `line` is the user's line they come from."""

    def __init__(self, block: Block | None = None) -> None:
        self.block = Block() if block is None else block
        self.line: Line | None = None

    def emit(self, node: Node) -> None:
        if node.line is None:
            node.line = self.line
        self.block.nodes.append(node)

    @contextlib.contextmanager
    def inside(self, block: Block) -> Iterator[Block]:
        outer, self.block = self.block, block
        try:
            yield block
        finally:
            self.block = outer

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
        match op, args:
            case "add", (x, y) if x.type.dtype == "int64":
                return x if is_number(y, 0) else y if is_number(x, 0) else None
            case "subtract", (x, y) if is_number(y, 0) and str(y.value)[0] != "-":  # type: ignore[union-attr]
                return x  # -0.0 - -0.0 is 0.0
            case "multiply", (x, y):
                if is_number(y, 1):
                    return x
                if is_number(x, 1):
                    return y
                if is_number(x, -1):
                    return self.let("negative", y)
                if is_number(y, -1):
                    return self.let("negative", x)
            case (("divide" | "power"), (x, y)) if is_number(y, 1):
                return x
            case (("equal" | "less_equal" | "greater_equal"), (x, y)) if x is y and x.type.dtype == "int64":
                return TRUE
            case (("not_equal" | "less" | "greater"), (x, y)) if x is y and x.type.dtype == "int64":
                return FALSE
            case "negative", (Var() as x,):
                inner = self.definition(x)
                return inner.args[0] if inner is not None and inner.op == "negative" else None
            case "logical_not", (Var() as x,):
                inner = self.definition(x)
                return inner.args[0] if inner is not None and inner.op == "logical_not" else None
            case "logical_and", (x, y):
                for a, b in ((x, y), (y, x)):
                    if isinstance(a, Const):
                        return b if a.value else FALSE
            case "logical_or", (x, y):
                for a, b in ((x, y), (y, x)):
                    if isinstance(a, Const):
                        return TRUE if a.value else b
            case "where", (c, x, y):
                if isinstance(c, Const):
                    return x if c.value else y
                if x is y or (isinstance(x, Const) and repr(x) == repr(y)):  # 0.0 == -0.0
                    return x
        return None

    def definition(self, var: Var) -> Let | None:
        """The `Let` that defines `var`, if it is among the last nodes of the block."""
        for node in reversed(self.block.nodes[-8:]):
            if isinstance(node, Let) and node.out is var:
                return node
        return None

    @staticmethod
    def _evaluated(op: str, args: tuple[Atom, ...]) -> Const | None:
        values = tuple(np.dtype(a.type.dtype).type(a.value) for a in args)  # type: ignore[union-attr]
        type = ops.result_type(op, tuple(a.type for a in args))
        try:
            value = ops.evaluate(op, values, type).item()
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
        for node in function.body:
            copied = renaming.node(node)
            self.emit(copied)
            for inner in nodes_of(Block([copied])):
                inner.line = inner.line or self.line
        return renaming.all(function.results)
