"""Memory that a compiled program keeps between its calls.

Fresh pages cost more than the arithmetic of many a gradient. So arrays that a program makes at its top level and does
not return are carved out of one buffer, a last argument, as far as it reaches; the program returns how much it would
have used. `pooled` hands each call a buffer that no other call is using, and makes the next one larger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Const,
    For,
    Function,
    If,
    Merge,
    Node,
    Slice,
    Var,
    View,
)
from chainrule.ir.walk import growing, nodes_of, roots_of

__all__ = ["pooled", "with_workspace"]

LIMIT = 1 << 23  # numbers kept between calls, at most: 64 MiB
_LINE = 8  # numbers of a cache line; vectors across two of them take half as long again
SMALL = 16  # arrays known to be shorter are made anew


def with_workspace(function: Function) -> Function | None:
    """`function` with a buffer as last parameter and its use of it as last result; None if it has no use for one."""
    places = {node for node in function.body if isinstance(node, Alloc) and _is_large(node)} - _lasting(function)
    if not places:
        return None
    work = Var("work", Array("float64", 1))
    build = Builder()
    room = build.dim(work, 0)
    used: Atom = integer(0)
    for node in function.body:
        if node in places:
            assert isinstance(node, Alloc)
            build.line = node.line
            used = _carve(build, node, work, room, used)
        else:
            build.emit(node)
    return Function(
        function.name,
        (*function.params, work),
        build.block,
        (*function.results, used),
        function.line,
        function.writes | {work},
    )


def _is_large(node: Alloc) -> bool:
    size = 1
    for extent in node.shape:
        if not isinstance(extent, Const):
            return node.out.type.dtype == "float64"
        size *= extent.value
    return node.out.type.dtype == "float64" and size > SMALL


def _lasting(function: Function) -> set[Node]:
    """The allocations that outlive the call, or whose memory moves."""
    roots = roots_of(function)
    kept = {roots[r] for r in function.results if isinstance(r, Var) and r in roots} | growing(function)
    for node in nodes_of(function.body):
        if isinstance(node, If):  # what merges is owned by the result
            kept.update(roots[a] for m in node.merges for a in (m.then, m.orelse) if a in roots)
    return {node for node in function.body if isinstance(node, Alloc) and node.out in kept}


def _carve(build: Builder, node: Alloc, work: Var, room: Atom, used: Atom) -> Atom:
    """Take the array from the buffer if it fits; how much of the buffer is used then, in whole cache lines."""
    size: Atom = integer(1)
    for extent in node.shape:
        size = build.let("multiply", size, extent, hint="size")
    end = build.let("add", used, build.let("maximum", size, integer(0)), hint="end")
    inside, outside = Builder(), Builder()
    part = inside.view(work, "index", [Slice(used, end, None)], hint=node.out.hint)
    here = Var(node.out.hint, node.out.type)
    inside.emit(View(here, part, "reshape", node.shape) if len(node.shape) > 1 else _alias(here, part))
    if node.fill is not None:
        _fill(inside, part, size, node.fill)
    there = Var(node.out.hint, node.out.type)
    outside.emit(Alloc(there, node.shape, node.fill))
    build.emit(If(build.let("less_equal", end, room), inside.block, outside.block, [Merge(node.out, here, there)]))
    return build.let("bitwise_and", build.let("add", end, integer(_LINE - 1)), integer(-_LINE), hint="used")


def _alias(out: Var, part: Var) -> Node:
    return View(out, part, "index", (Slice(None, None, None),))


def _fill(build: Builder, part: Var, size: Atom, value: Const) -> None:
    index, body = Var("i", INT), Builder()
    body.store(part, (index,), value)
    build.emit(For(index, integer(0), size, integer(1), Block(body.block.nodes)))


def _aligned(size: int) -> np.ndarray[Any, Any]:
    """A buffer that begins where a cache line does."""
    memory = np.empty(size + _LINE)
    first = -memory.ctypes.data // memory.itemsize % _LINE
    return memory[first : first + size]


def pooled(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, a program with a workspace, as a function without one."""
    pool: list[np.ndarray[Any, Any]] = []

    def run(*args: Any) -> Any:
        try:
            work = pool.pop()
        except IndexError:
            work = np.empty(0)
        made = call(*args, work)
        used = made[-1]
        if work.size < used <= LIMIT:
            work = _aligned(used)
        pool.append(work)
        return made[0] if len(made) == 2 else made[:-1]

    return run
