"""Comprehensions: a list of known items, or numbers in an array.

What a `:=` in one assigns has its value within the iteration only.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from chainrule.frontends.arrays import collect
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import describe, materialise
from chainrule.frontends.frames import Frame
from chainrule.frontends.grown import collected, noted
from chainrule.frontends.iteration import iterable
from chainrule.frontends.iterators import used_up
from chainrule.frontends.joins import born_in
from chainrule.frontends.texts import characters
from chainrule.frontends.values import BOTTOM, Bottom, Conflict, Iterable, Lazy, ListArray, Number, Static, number
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Block, Carry, Const, If, Merge, Var

__all__ = ["comprehension", "repeated"]


def comprehension(frame: Any, node: ast.ListComp | ast.GeneratorExp) -> Any:
    """A list by a comprehension: known items, or numbers (or arrays of one shape) in an array."""
    ctx = frame.ctx
    first = node.generators[0]

    over = characters(ctx.language.expression(frame, used_up(ctx, first.iter, loop=True)))
    inner = Frame(ctx, frame.parsed, frame.function, frame, frame.quiet)
    _forget(frame, node)
    ctx.frames.append(inner)
    try:
        if isinstance(over, dict):
            over = [Static(k) if isinstance(k, str) else number(k) for k in over]
        if isinstance(over, (tuple, list)):
            return noted(ctx, [v for item in over for v in _known_items(inner, node, 0, item)], node)
        source = iterable(ctx, over)
        tested = any(g.ifs for g in node.generators)
        if isinstance(source.count, Const) and source.count.value <= 16 and len(node.generators) > 1 and not tested:
            items = (source.item(integer(k)) for k in range(source.count.value))
            return noted(ctx, [v for item in items for v in _known_items(inner, node, 0, item)], node)
        mark, mark_of_uses, stood = len(ctx.writes), len(ctx.uses), dict(ctx.stands)
        made = (_filtered if len(node.generators) > 1 or first.ifs else _collected)(inner, node, source)
        if set(source.grows) & set(ctx.writes[mark:]):
            raise ctx.fail("a list grows or shrinks in a comprehension over it: loop over a copy of it, ys[:]")
        ctx.use_again(stood, mark_of_uses, set(ctx.writes[mark:]))
        return noted(ctx, made, node) if isinstance(made, ListArray) else made
    finally:
        ctx.frames.pop()


def _forget(frame: Any, node: ast.ListComp | ast.GeneratorExp) -> None:
    """Read nothing that `:=` assigns in another iteration: how many are run, nobody knows."""
    for name in [n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)]:
        frame.env[name] = Conflict(
            f"{name!r} is assigned in a comprehension, and read in another iteration or after it: write a loop"
        )


def _known_items(frame: Any, node: Any, depth: int, item: Any) -> list[Any]:
    ctx, generator = frame.ctx, node.generators[depth]
    if depth == 0:
        _forget(frame, node)
    frame.ctx.language.assign(frame, generator.target, item)
    for test in generator.ifs:
        truth = frame.ctx.language.condition(frame, test)
        if not isinstance(truth, Const):
            raise ctx.fail("which items a list has depends on numbers: write a loop that sums or stores")
        if not truth.value:
            return []
    if depth + 1 == len(node.generators):
        return [materialise(ctx, frame.ctx.language.expression(frame, node.elt))]
    over = ctx.language.expression(frame, used_up(ctx, node.generators[depth + 1].iter, loop=True))
    if not isinstance(over, (tuple, list)):
        source = iterable(ctx, over)
        if not isinstance(source.count, Const):
            raise ctx.fail("a comprehension over several ranges, some not known before it runs: write loops")
        over = (source.item(integer(k)) for k in range(source.count.value))
    return [v for inner in over for v in _known_items(frame, node, depth + 1, inner)]


def _collected(frame: Any, node: Any, source: Iterable) -> Any:
    """One item per iteration: its first evaluation tells type and shape, and is thrown away."""

    ctx = frame.ctx

    def item(k: Any) -> Any:
        _forget(frame, node)
        frame.ctx.language.assign(frame, node.generators[0].target, source.item(k))
        return frame.ctx.language.expression(frame, node.elt)

    state = ctx.snapshot()
    with ctx.inside(Block()):
        probe = item(integer(0))
    ctx.restore(state)
    if isinstance(probe, Bottom):
        return BOTTOM
    if isinstance(probe, Number) or isinstance(node, ast.GeneratorExp):
        return collect(ctx, source.count, item, probe)
    return collected(ctx, node, Iterable(source.count, item), probe)


def _filtered(frame: Any, node: Any, source: Iterable) -> Any:
    """Several ranges, or conditions: one pass counts the items, another stores them."""
    ctx = frame.ctx
    kinds: list[Any] = []

    def probe(at: Atom) -> Atom:
        kinds.append(frame.ctx.language.expression(frame, node.elt))
        return at

    def put(at: Atom) -> Atom:
        value = frame.ctx.language.expression(frame, node.elt)
        ctx.builder.store(array.var, (at,), ctx.builder.cast(value.atom, array.dtype))
        return _next(frame, at)

    state = ctx.snapshot()
    with ctx.inside(Block()):
        _walk(frame, node, 0, source, integer(0), probe)
    ctx.restore(state)
    if isinstance(kinds[0], Bottom):
        return BOTTOM
    if not isinstance(kinds[0], Number):
        raise ctx.fail(f"a list of {describe(kinds[0])} by a comprehension: make an array and fill its rows")
    start, mark = len(ctx.builder.block.nodes), len(ctx.writes)
    count = _walk(frame, node, 0, source, integer(0), lambda at: ctx.let("add", at, integer(1)))
    array = ctx.new(kinds[0].dtype, (count,), hint="items")
    _walk(frame, node, 0, source, integer(0), put)
    if not born_in(Block(ctx.builder.block.nodes[start:])).issuperset(ctx.writes[mark:]):
        raise ctx.fail("a comprehension with a condition or several ranges that writes to arrays: write a loop")
    return ListArray(array, kinds[0].weak)


def _next(frame: Frame, at: Atom) -> Atom:
    return frame.ctx.let("add", at, integer(1))


def _walk(frame: Frame, node: Any, depth: int, source: Any, at: Atom, visit: Callable[[Atom], Atom]) -> Atom:
    """The loops of a comprehension; `at` counts the items."""
    ctx, generator = frame.ctx, node.generators[depth]
    if depth:
        source = iterable(ctx, ctx.language.expression(frame, used_up(ctx, generator.iter, loop=True)))

    def inner(at: Atom) -> Atom:
        if depth + 1 < len(node.generators):
            return _walk(frame, node, depth + 1, None, at, visit)
        return visit(at)

    param, out = Var("at", at.type), Var("at", at.type)
    with ctx.loop(source.count, "k") as loop:
        if depth == 0:
            _forget(frame, node)
        ctx.language.assign(frame, generator.target, source.item(loop.index))
        after = _where_all(frame, list(generator.ifs), param, inner)
        loop.carries.append(Carry(param, at, after, out))
    return out


def _where_all(frame: Frame, tests: list[ast.expr], at: Atom, visit: Callable[[Atom], Atom]) -> Atom:
    if not tests:
        return visit(at)
    ctx = frame.ctx
    choice = If(frame.ctx.language.condition(frame, tests[0]), Block(), Block())
    with ctx.inside(choice.then):
        after = _where_all(frame, tests[1:], at, visit)
    out = Var("at", at.type)
    choice.merges.append(Merge(out, after, at))
    ctx.builder.emit(choice)
    return out


def repeated(ctx: Context, item: Number, count: Number) -> ListArray:
    """``[item] * count``."""
    return ListArray(materialise(ctx, Lazy(item.dtype, (count.atom,), lambda i: item.atom, ()), "items"), item.weak)
