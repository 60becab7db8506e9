"""Two ways that a program may take: both are read, each with the variables as they were, and then they are one.

Statements and expressions take ways alike: what a `:=` in the second operand of ``and`` assigns, or in one value of
``a if test else b``, is assigned on that way only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from chainrule.frontends.elementwise import reads
from chainrule.frontends.firsts import flag_of, is_flag_of
from chainrule.frontends.frames import Frame
from chainrule.frontends.joins import MISSING, leaves, merge_branches
from chainrule.frontends.values import Number
from chainrule.ir.build import boolean
from chainrule.ir.nodes import Atom, Block, If, Var

__all__ = ["either_way", "value_of_either"]


def either_way(
    frame: Frame,
    test: Atom,
    then: Callable[[], object],
    orelse: Callable[[], object],
    live: frozenset[str] | None = None,
) -> None:
    """Read `then` where `test` holds and `orelse` elsewhere; `live`: the variables that are read afterwards."""
    ctx, node = frame.ctx, If(test, Block(), Block())
    variables, before = frame.env, dict(frame.env)
    ends = []
    for block, way in ((node.then, then), (node.orelse, orelse)):
        frame.env = dict(before)
        try:
            with ctx.inside(block):
                way()
            ends.append(frame.env)
        finally:  # a loop around may read its body again
            frame.env = variables
    first, second = ends
    ctx.builder.emit(node)
    variables.clear()
    for name in [n for n in dict.fromkeys([*first, *second]) if not n.startswith(".")]:
        whole = all(name in env and flag_of(name) not in env for env in ends)
        if not whole and (live is None or name in live):  # no value on some path: reading it asks which was taken
            for env in ends:
                env.setdefault(flag_of(name), Number(boolean(name in env)))
    values = {n: (first.get(n, MISSING), second.get(n, MISSING)) for n in dict.fromkeys([*first, *second])}
    kept = {n: pair for n, pair in values.items() if live is None or is_flag_of(n) in live or pair[0] is pair[1]}
    for name, (a, b) in kept.items():
        variables[name] = (
            a
            if a is b
            else merge_branches(ctx, node, name.lstrip(".") or name, a, b, functools.partial(_alone, frame, kept, name))
        )
    for merge in node.merges:
        merge.out.hint = merge.out.hint.lstrip(".") or "result"


def value_of_either(frame: Frame, test: Atom, then: Callable[[], Any], orelse: Callable[[], Any], hint: str) -> Any:
    """The value of `then` where `test` holds and of `orelse` elsewhere: a variable until the two are one."""
    name = f".{hint}"

    def of(way: Callable[[], Any]) -> None:
        frame.env[name] = way()

    either_way(frame, test, lambda: of(then), lambda: of(orelse))
    return frame.env.pop(name)


def _alone(frame: Frame, ends: dict[str, tuple[Any, Any]], name: str, base: Var) -> bool:
    """Whether no variable but `name` is, or views, the array `base`; `ends`: the variables after each branch."""
    others = [leaf for n, pair in ends.items() if n != name for value in pair for leaf in leaves(value)]
    return frame.alone(base, name) and not any(a.base is base for v in others for a in reads(v))
