"""Loops whose iterations do not depend on each other, for several processors.

An outermost counted loop qualifies if every carry is a plain sum, and every memory that it writes to is only added to
or every iteration keeps to cells of its own. Its iterations are divided into as many parts as there are processors,
which are calls of one function, the loop itself over a part of its range. A part has its own sums, and arrays of its
own for what several parts would add to; they are added up in the order of the parts. So nothing is raced for, and a
result depends on the number of parts, by rounding, and not on how they are scheduled.

A loop that may raise, print or grow an array stays as it is: an exception would not leave its thread. So calls stay
that go as deep as the stack of the first thread allows, and whatever refuses a matrix. One too short is not worth it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.nodes import (
    Array,
    Atom,
    Block,
    Call,
    Carry,
    Check,
    Const,
    For,
    Function,
    If,
    Let,
    Node,
    Op,
    Print,
    Raise,
    Reserve,
    Slice,
    Var,
    View,
)
from chainrule.ir.walk import nodes_of
from chainrule.transforms.fission import fissioned
from chainrule.transforms.interchange import interchanged
from chainrule.transforms.order import Order
from chainrule.transforms.roll import rolled
from chainrule.transforms.strips import loop_of, strip_of
from chainrule.transforms.unsigned import unsigned

__all__ = ["parallelised"]

_WORK = 20_000  # operations that are worth the start of the threads, some microseconds
_CALM = ("matmul", "argsort")  # operations on whole arrays that never raise
_INNER = 8  # iterations of an inner loop whose number is not known


def parallelised(function: Function, parts: int) -> Function:
    """`function` with loops that are divided into `parts`.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT
    >>> from chainrule.ir.nodes import Carry
    >>> from chainrule.ir.show import show
    >>> x, i, s, total = Var("x", Array("float64", 1)), Var("i", INT), Var("s", FLOAT), Var("s", FLOAT)
    >>> build, body = Builder(), Builder()
    >>> after = body.let("add", s, body.let("exp", body.load(x, i)))
    >>> build.emit(For(i, integer(0), build.dim(x, 0), integer(1), body.block, [Carry(s, constant(0.0), after, total)]))
    >>> "parallel" in show(parallelised(Function("f", (x,), build.block, (total,)), 2))
    True
    """
    made = _Divider(function, parts)
    body = made.block(function.body)
    return dataclasses.replace(function, body=body) if made.divided else function


class _Divider:
    def __init__(self, function: Function, parts: int) -> None:
        self.order = Order(function)
        self.places = self.order.indices.places
        self.views = {n.out: n for n in nodes_of(function.body) if isinstance(n, View)}
        self.parts = parts
        self.divided = False

    def block(self, block: Block) -> Block:
        return Block([made for node in block for made in self.node(node)])

    def node(self, node: Node) -> Iterator[Node]:
        if isinstance(node, For) and self._qualifies(node):
            self.divided = True
            yield from self._divide(node)
        elif isinstance(node, If):
            yield dataclasses.replace(node, then=self.block(node.then), orelse=self.block(node.orelse))
        else:
            yield node

    def _qualifies(self, loop: For) -> bool:
        if _may_stop(loop.body):
            return False
        known = isinstance(loop.lower, Const) and isinstance(loop.upper, Const) and isinstance(loop.step, Const)
        if known and self._work(loop.body) * _trips(loop) < _WORK:
            return False
        plain = all(c.param not in self.order.same and c.param.type.dtype != "bool" for c in loop.carries)
        return (
            plain
            and isinstance(loop.step, Const)
            and abs(loop.step.value) == 1
            and self.order.is_free(loop, apart=True)
        )

    def _work(self, block: Block) -> int:
        """About how many operations an iteration makes."""
        work = 0
        for node in block:
            if isinstance(node, For):
                work += self._work(node.body) * (_trips(node) or _INNER)
            elif isinstance(node, If):
                work += max(self._work(node.then), self._work(node.orelse))
            else:
                work += 1
        return work

    def _divide(self, loop: For) -> list[Node]:
        build = Builder()
        build.line = loop.line
        part, args = strip_of(loop, self.views)
        up = loop.step.value > 0  # type: ignore[union-attr]
        low, high = (loop.lower, loop.upper) if up else (loop.upper, loop.lower)
        count = build.let("subtract", high, low, hint="count")
        work = build.let("multiply", count, integer(self._work(loop.body)))
        worth = build.let("greater_equal", work, integer(_WORK))
        parts = build.let("where", worth, integer(self.parts), integer(1), hint="parts")
        sums = [build.alloc(c.out.type.dtype, [parts], hint=c.out.hint) for c in loop.carries]
        added = self._added(loop, part, args)
        rooms = {v: self._rooms(build, v, parts) for v in added}

        body = Builder()
        body.line = loop.line
        number = Var("part", INT)
        ends = [
            body.let("add", low, body.let("floor_divide", body.let("multiply", count, n), parts))
            for n in (number, body.let("add", number, integer(1)))
        ]
        bounds = ends if up else ends[::-1]
        zeros = [constant(0, c.param.type.dtype) for c in loop.carries]
        own = [_row(body, rooms[a], number) if a in rooms else a for a in args]
        outs = tuple(Var(c.out.hint, c.out.type) for c in loop.carries)
        if up and self.order.indices.not_negative(loop.lower):
            part = _from_zero(part)
        body.emit(Call(outs, unsigned(fissioned(rolled(interchanged(part)), sums=True)), (*bounds, *zeros, *own)))
        for array, out in zip(sums, outs, strict=True):
            body.store(array, [number], out)
        build.emit(For(number, integer(0), parts, integer(1), body.block, parallel=True))
        for c, array in zip(loop.carries, sums, strict=True):
            self._total(build, array, parts, c.init, c.out)
        for array, room in rooms.items():
            again = Var("part", INT)
            inner = Builder()
            inner.add_into(array, _row(inner, room, again))
            build.emit(For(again, integer(0), parts, integer(1), inner.block))
        return build.block.nodes

    def _added(self, loop: For, part: Function, args: list[Var]) -> list[Var]:
        """The arrays that several iterations add to."""
        written = [a for a, p in zip(args, part.params[2 + len(loop.carries) :], strict=True) if p in part.writes]
        return [a for a in written if not self.order.keeps_apart(loop, self.places.memory(a))]

    @staticmethod
    def _rooms(build: Builder, array: Var, parts: Atom) -> Var:
        """An array for every part, zero."""
        assert isinstance(array.type, Array)
        extents = [build.dim(array, k) for k in range(array.type.ndim)]
        return build.alloc(array.type.dtype, [parts, *extents], 0, hint=array.hint)

    @staticmethod
    def _total(build: Builder, array: Var, parts: Atom, init: Atom, out: Var) -> None:
        """Add up the sums of the parts."""
        part = Var("part", INT)
        total, inner = Var(out.hint, out.type), Builder()
        after = inner.let("add", total, inner.load(array, part))
        loop = For(part, integer(0), parts, integer(1), inner.block)
        loop.carries.append(Carry(total, init, after, out))
        build.emit(loop)


def _from_zero(part: Function) -> Function:
    """`part`, which shows that its indices are not negative."""
    loop, lower = loop_of(part), Var("lower", INT)
    first = Let(lower, "maximum", (loop.lower, integer(0)), line=loop.line)
    nodes = [first, *(dataclasses.replace(loop, lower=lower) if n is loop else n for n in part.body)]
    return dataclasses.replace(part, body=Block(nodes))


def _may_stop(block: Block, callers: tuple[Function, ...] = ()) -> bool:
    """Whether `block` does what may not be done by another thread, or in another order."""
    for node in nodes_of(block):
        match node:
            case Check() | Print() | Raise() | Reserve():
                return True
            case Op(op=op) if op not in _CALM:
                return True
            case Call(function=function) if function in callers or _may_stop(function.body, (*callers, function)):
                return True
    return False


def _trips(loop: For) -> int:
    """The number of iterations, 0 if it is not known."""
    bounds = (loop.lower, loop.upper, loop.step)
    if not all(isinstance(b, Const) for b in bounds):
        return 0
    return len(range(*(b.value for b in bounds)))  # type: ignore[union-attr]


def _row(build: Builder, room: Var, number: Atom) -> Var:
    assert isinstance(room.type, Array)
    return build.view(room, "index", [number, *[Slice(None, None, None)] * (room.type.ndim - 1)])
