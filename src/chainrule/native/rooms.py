"""Arrays that grow, kept between the calls of a compiled program.

What a loop keeps of iterations whose number is not known goes to arrays that are made larger in time. Fresh pages, and
an array variable that may change in every iteration, cost more than many a loop. So such arrays become parameters,
rooms; a program that runs out of room stops, and is run again with more. It has to be one that nobody has seen run: it
writes to no argument and prints nothing. `roomy` hands each call rooms that no other call is using.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.ir.build import Builder
from chainrule.ir.nodes import (
    Alloc,
    Block,
    Check,
    Const,
    For,
    Function,
    If,
    Incr,
    Load,
    Print,
    Reserve,
    Store,
    Var,
    While,
)
from chainrule.ir.walk import blocks, growing, nodes_of, reads
from chainrule.transforms.activity import called_by

__all__ = ["has_effects", "roomy", "with_rooms"]

FIRST, LIMIT = 1 << 10, 1 << 23  # numbers in a room at first, and in one that is kept between calls
_MESSAGE = "more room"


def with_rooms(function: Function) -> tuple[Function, tuple[str, ...]]:
    """`function` with rooms as last parameters, and their dtypes: none if it has no use for them or may not stop."""
    if has_effects(function):
        return function, ()
    rooms = _rooms(function)
    if not rooms:
        return function, ()
    params = (*function.params, *rooms)
    made = Function(function.name, params, _block(function.body, rooms), function.results, function.line)
    made.writes = frozenset(rooms)
    return made, tuple(r.type.dtype for r in rooms)


def has_effects(function: Function) -> bool:
    """Whether it can be seen that a program ran that failed: it may not be run again."""
    return bool(function.writes) or any(isinstance(n, Print) for f in called_by(function) for n in nodes_of(f.body))


def _rooms(function: Function) -> dict[Var, None]:
    """The arrays that grow, and of which nothing is asked but elements."""
    grown = growing(function)
    found = {
        n.out: None
        for n in function.body
        if isinstance(n, Alloc) and n.out in grown and n.fill is None and len(n.shape) == 1
        if isinstance(n.shape[0], Const) and n.out not in function.results
    }
    for node in nodes_of(function.body):
        for atom in () if isinstance(node, (Load, Store, Incr, Reserve)) else reads(node):
            if isinstance(atom, Var):
                found.pop(atom, None)
    return found


def _block(block: Block, rooms: dict[Var, None]) -> Block:
    build = Builder()
    for node in block:
        build.line = node.line
        if isinstance(node, Reserve) and node.array in rooms:
            enough = build.let("less_equal", node.size, build.dim(node.array, 0))
            build.emit(Check(enough, "BufferError", (_MESSAGE,)))
        elif not (isinstance(node, Alloc) and node.out in rooms):
            inner = [_block(b, rooms) for b in blocks(node)]
            match node, inner:
                case If(), [then, orelse]:
                    node = dataclasses.replace(node, then=then, orelse=orelse)
                case For(), [body]:
                    node = dataclasses.replace(node, body=body)
                case While(), [_, body]:
                    node = dataclasses.replace(node, body=body)
            build.emit(node)
    return build.block


def roomy(call: Callable[..., Any], dtypes: tuple[str, ...]) -> Callable[..., Any]:
    """`call`, a program with rooms of these dtypes, as a function without them."""
    pool: list[tuple[np.ndarray[Any, Any], ...]] = []
    size = FIRST

    def run(*args: Any) -> Any:
        nonlocal size
        try:
            rooms = pool.pop()
        except IndexError:
            rooms = tuple(np.empty(size, dtype) for dtype in dtypes)
        while True:
            try:
                made = call(*args, *rooms)
                break
            except BufferError as error:
                if error.args != (_MESSAGE,):
                    raise
            size = max(size, 4 * rooms[0].size)
            rooms = tuple(np.empty(4 * rooms[0].size, dtype) for dtype in dtypes)
        if rooms[0].size <= LIMIT:
            pool.append(rooms)
        return made

    return run
