"""Iterators hand out each item once, when somebody asks for it: generators, and what `zip` and its like give.

Native mode has a generator where all items are asked for at once, and nothing happens in between: there it is what a
list is. The others, which look at what they are given, may also be what a loop runs over. Elsewhere they are refused.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
from collections.abc import Iterator
from typing import Any

from chainrule.frontends.context import Context
from chainrule.frontends.joins import born_in
from chainrule.frontends.values import Bottom, Bound, Static
from chainrule.ir.nodes import Block

__all__ = ["argument", "check_iterator", "used_up"]

_SEARCHES = (builtins.any, builtins.all)  # they stop asking at the first item that tells
_VIEWS = (builtins.zip, builtins.enumerate, builtins.reversed)
_LIBRARIES = ("builtins", "math", "functools", "itertools", "operator", "statistics", "numpy", "scipy")


def used_up(ctx: Context, node: ast.expr, loop: bool = False) -> ast.expr:
    """`node`, all of whose items are taken where it stands, one by one in a `loop`."""
    if isinstance(node, ast.IfExp):
        used_up(ctx, node.body, loop)
        used_up(ctx, node.orelse, loop)
    elif isinstance(node, ast.Call) or (isinstance(node, ast.GeneratorExp) and not loop):
        ctx.used_up.add(node)
    return node


@contextlib.contextmanager
def argument(ctx: Context, node: ast.expr, function: Any) -> Iterator[None]:
    """Read `node`, an argument of `function`."""
    ctx.used_up.discard(node)
    if _takes_all(function):
        used_up(ctx, node, loop=_is_one_of(function, _VIEWS))
    searches = isinstance(node, ast.GeneratorExp) and _is_one_of(function, _SEARCHES)
    start, mark = len(ctx.builder.block.nodes), len(ctx.writes)
    yield
    if searches and not born_in(Block(ctx.builder.block.nodes[start:])).issuperset(ctx.writes[mark:]):
        name = function.value.__name__
        raise ctx.fail(f"{name} asks for items until one tells, and these write to arrays: write a loop")


def _takes_all(function: Any) -> bool:
    """Whether a function that is handed an iterator takes all its items, and nothing happens in between."""
    match function:
        case Static(value=target):
            module = getattr(target, "__module__", None) or "builtins"
            return module.partition(".")[0] in _LIBRARIES
        case Bound(function=inner):
            return callable(inner)
    return isinstance(function, Bottom)


def _is_one_of(function: Any, candidates: tuple[Any, ...]) -> bool:
    return isinstance(function, Static) and any(function.value is c for c in candidates)


def check_iterator(ctx: Context, node: ast.expr, function: Any = None) -> None:
    """Refuse an iterator that lives on; `function` is what makes it, None for a generator."""
    if node in ctx.used_up:
        return
    if function is None:
        raise ctx.fail("a generator computes its items while they are asked for: write a list, [... for ... in ...]")
    if _is_one_of(function, _VIEWS):
        raise ctx.fail(
            f"{function.value.__name__} gives each item once: call it in the head of the loop over its items"
        )
