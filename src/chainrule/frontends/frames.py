"""One call of a function while it is read: its variables, and where its other names come from."""

from __future__ import annotations

import ast
from typing import Any

from chainrule.frontends import outside
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import materialise, reads
from chainrule.frontends.firsts import assigned, check_assigned, flag_of
from chainrule.frontends.joins import leaves
from chainrule.frontends.liveness import Liveness, assigned_names
from chainrule.frontends.source import Parsed
from chainrule.frontends.values import (
    ArrayRef,
    Conflict,
    Grown,
    Lazy,
    Number,
)
from chainrule.ir.nodes import Var


class Frame:
    """One call of a function: its variables, and where its other names come from."""

    def __init__(
        self, ctx: Context, parsed: Parsed, function: Any, outer: Frame | None = None, quiet: bool = False
    ) -> None:
        self.ctx, self.parsed, self.function, self.outer, self.quiet = ctx, parsed, function, outer, quiet
        self.env: dict[str, Any] = {}
        self.live: Liveness | None = None
        self.node: ast.AST | None = None
        self.key: Any = None  # the types of its arguments, which tell a recursive call from another

    # -- names

    def lookup(self, name: str) -> Any:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.env:
                value = frame.env[name]
                if isinstance(value, Conflict):
                    raise self.ctx.fail(value.reason)
                if isinstance(value, Lazy) and frame.ctx is not self.ctx:
                    raise self.ctx.fail(f"{name!r} is another array after an iteration: copy it for use in a recursion")
                if isinstance(value, Grown) and frame.ctx is not self.ctx:
                    raise self.ctx.fail(f"{name!r} is a list that grows: a recursion takes np.array({name})")
                if flag_of(name) in frame.env:
                    check_assigned(self.ctx, frame.ctx is self.ctx, frame.env[flag_of(name)], name)
                if self.ctx.stands:
                    self.use(name, value)
                return value
            if isinstance(frame.node, ast.FunctionDef) and name in assigned_names(frame.node.body):
                raise self.ctx.fail(f"{name!r} is read before this function assigns it: give it a value above")
            if frame.outer is None:
                return outside.global_name(self.ctx, frame.function, name)
            frame = frame.outer
        raise AssertionError

    def use(self, name: str, value: Any) -> None:
        """Note that the arrays in `value`, which messages call `name`, are read."""
        for leaf in leaves(value):
            if isinstance(leaf, ArrayRef):
                self.ctx.use(leaf.base, name)

    def bind(self, name: str, value: Any) -> None:
        if isinstance(value, Lazy):
            value = materialise(self.ctx, value, name)
        if isinstance(value, ArrayRef) and value.var.hint in ("a", "t"):
            value.var.hint = name
        if isinstance(value, Number) and isinstance(value.atom, Var) and value.atom.hint in ("t", "s"):
            value.atom.hint = name
        if isinstance(value, Grown) and value.count.hint == "count":
            value.count.hint = f"n_{name}"
            for room in value.rooms:
                room.items.hint = name
        self.env[name] = value
        assigned(self.env, name)

    def alone(self, base: Var, *names: str) -> bool:
        """Whether no variable but `names` of this call is, or views, the array `base`."""
        return not any(
            any(a.base is base for a in reads(leaf))
            for frame in self.ctx.frames
            for other, value in frame.env.items()
            if not (frame is self and other in names)
            for leaf in leaves(value)
        )
