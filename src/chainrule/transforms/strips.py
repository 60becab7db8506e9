"""A counted loop as a function of its bounds, so that parts of its range can be run by themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from chainrule.ir.build import INT
from chainrule.ir.nodes import Block, For, Function, Node, Var, View
from chainrule.ir.walk import Renaming, find_writes, free_variables

__all__ = ["loop_of", "strip_of"]


def strip_of(loop: For, views: Mapping[Var, View]) -> tuple[Function, list[Var]]:
    """The function ``(lower, upper, *carries, *others) -> carries`` of `loop`, and what else it is to be called with.

    `views` are those of the program: the function takes arrays that are none, and views in it what the loop looks at.
    """
    bounds = (Var("lower", INT), Var("upper", INT))
    inits = tuple(Var(c.param.hint, c.param.type) for c in loop.carries)
    carries = [dataclasses.replace(c, init=i) for c, i in zip(loop.carries, inits, strict=True)]
    own = dataclasses.replace(loop, lower=bounds[0], upper=bounds[1], carries=carries)
    body, args = _closed([own], (*bounds, *inits), views)
    renaming = Renaming()
    params = tuple(renaming.new(p) for p in (*bounds, *inits, *args))
    name = f"loop{loop.line.number if loop.line else ''}"
    strip = Function(name, params, renaming.block(body), renaming.all(c.out for c in carries), loop.line)
    strip.writes = find_writes(strip)
    return strip, args


def _closed(nodes: list[Node], params: Sequence[Var], views: Mapping[Var, View]) -> tuple[Block, list[Var]]:
    """`nodes` with the views they look through, and the variables that are left free."""
    body = Block(nodes)
    while True:
        free = free_variables(Function("", tuple(params), body, ()))
        missing = [v for v in free if v in views]
        if not missing:
            return body, free
        body.nodes[:0] = [views[v] for v in missing]


def loop_of(strip: Function) -> For:
    """The loop that a strip is made of."""
    return next(n for n in strip.body if isinstance(n, For))
