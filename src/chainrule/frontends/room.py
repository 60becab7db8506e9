"""Memory for lists that grow: reserved before the loops that make them longer, and given at once where that is all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from chainrule.frontends.context import Context, same
from chainrule.frontends.values import Grown, Room
from chainrule.ir.build import integer
from chainrule.ir.nodes import Alloc, Atom, Block, Const, Dim, For, If, Let, Node, Reserve, Var
from chainrule.ir.walk import blocks, defines, nodes_of

__all__ = ["Growth", "reserve", "reserve_before", "settle_rooms"]


class Growth(NamedTuple):
    """What a `Reserve` is for: `more` items of `size` numbers."""

    grown: Grown
    room: Room
    more: Atom
    size: Atom


def reserve(ctx: Context, grown: Grown, room: Room, total: Atom, more: Atom, size: Atom) -> None:
    node = Reserve(room.items, total)
    ctx.builder.emit(node)
    ctx.growths[node] = Growth(grown, room, more, size)


def reserve_before(ctx: Context, loop: For, trips: Atom) -> None:
    """Make room before a counted loop, which is yet to be written, for all that it may append."""
    born = {v for n in nodes_of(loop.body) for v in defines(n)} | {loop.index}
    found: dict[Var, list[tuple[Block, Reserve]]] = {}
    for block, node in _reserves(loop.body, ctx):
        found.setdefault(node.array, []).append((block, node))
    for array, nodes in found.items():
        growths = [ctx.growths[node] for _, node in nodes]
        size = growths[0].size
        visible = all(same(g.size, size) and g.more not in born for g in growths)
        if array in born or size in born or not visible:
            continue
        more: Atom = integer(0)
        for g in growths:
            more = ctx.let("add", more, g.more)
        for block, node in nodes:
            block.nodes.remove(node)
        grown, more = growths[0].grown, ctx.let("multiply", trips, more)
        total = ctx.let("multiply", ctx.let("add", ctx.builder.load(grown.count, integer(0), hint="n"), more), size)
        reserve(ctx, grown, growths[0].room, total, more, size)


def _reserves(block: Block, ctx: Context) -> Iterator[tuple[Block, Reserve]]:
    """What makes lists longer in a block and its branches, once or not at all."""
    for node in block:
        if isinstance(node, Reserve) and node in ctx.growths:
            yield block, node
        elif isinstance(node, If):
            yield from _reserves(node.then, ctx)
            yield from _reserves(node.orelse, ctx)


def settle_rooms(ctx: Context, body: Block) -> None:
    """Give the arrays of lists that grow in the block that made them only the size that they will need."""
    grows: dict[Var, list[Reserve]] = {}
    for node in nodes_of(body):
        if isinstance(node, Reserve) and node in ctx.growths:
            grows.setdefault(node.array, []).append(node)
    for block in [body, *(b for n in nodes_of(body) for b in blocks(n))]:
        for alloc in [n for n in block if isinstance(n, Alloc) and n.out in grows]:
            _settle_room(ctx, block, alloc, grows[alloc.out])


def _settle_room(ctx: Context, block: Block, alloc: Alloc, reserves: list[Reserve]) -> None:
    growths = [ctx.growths[n] for n in reserves]
    if any(n not in block.nodes for n in reserves) or not all(same(g.size, growths[0].size) for g in growths):
        return
    early: dict[Node, None] = {}
    if not all(_early(block, alloc, a, early) for g in growths for a in (g.more, g.size)):
        return
    nodes = [n for n in block.nodes if n not in early and n not in reserves]
    at = nodes.index(alloc)
    sized = Block()
    with ctx.builder.inside(sized):
        more: Atom = integer(0)
        for g in growths:
            more = ctx.let("add", more, g.more)
        alloc.shape = (ctx.let("multiply", more, growths[0].size),)
    block.nodes[:] = [*nodes[:at], *(n for n in block.nodes if n in early), *sized.nodes, *nodes[at:]]


def _early(block: Block, alloc: Alloc, atom: Atom, early: dict[Node, None]) -> bool:
    """Whether `atom` can be computed before `alloc`; `early` gets the nodes that are to be moved there."""
    if not isinstance(atom, Var):
        return True
    at = block.nodes.index(alloc)
    node = next((n for n in block.nodes[at:] if atom in defines(n)), None)
    if node is None or node in early:
        return True
    match node:
        case Let(op="add" | "subtract" | "multiply" | "minimum" | "maximum" | "negative", args=args):
            found = all(_early(block, alloc, a, early) for a in args)
        case Let(op="floor_divide", args=(x, Const(value=value))) if value:
            found = _early(block, alloc, x, early)
        case Dim(array=array):
            found = not any(array in defines(n) for n in block.nodes[at:])
        case _:
            found = False
    if found:
        early[node] = None
    return found
