"""Room for many iterations of a `while` at a time, so that its inner loop makes no array larger.

A loop that keeps something of every iteration, whose number is not known before, asks in each whether there is room.
Its iterations are run in stretches: before each there is room for all of it, and within it nothing grows, so that
arrays stay in registers. What is computed stays the same, to the last bit.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import Atom, Block, Carry, For, Function, If, Node, Reserve, Var, While
from chainrule.ir.walk import Renaming, nodes_of
from chainrule.transforms.indices import Form, Indices
from chainrule.transforms.places import Places

__all__ = ["stretched"]

LENGTH = 64  # iterations


def stretched(function: Function) -> Function:
    """`function` with loops that run in stretches where they made arrays larger by one in every iteration.

    Examples
    --------
    >>> from chainrule.ir.evaluate import evaluate
    >>> from chainrule.ir.show import show
    >>> n, k, build, head, body = Var("n", INT), Var("k", INT), Builder(), Builder(), Builder()
    >>> kept = build.alloc("int64", [integer(0)], hint="kept")
    >>> after = body.let("add", k, integer(1))
    >>> body.emit(Reserve(kept, after))
    >>> body.store(kept, [k], after)
    >>> test, count = head.let("less", k, n), Var("count", INT)
    >>> build.emit(While(head.block, test, body.block, [Carry(k, integer(0), after, count)]))
    >>> made = stretched(Function("f", (n,), build.block, (count, build.load(kept, integer(70)))))
    >>> show(made).count("while"), evaluate(made, [100])
    (2, (100, 71))
    """
    if not any(isinstance(n, Reserve) for n in nodes_of(function.body)):
        return function
    indices = Indices(Places(function))
    return dataclasses.replace(function, body=_block(function.body, indices))


def _block(block: Block, indices: Indices) -> Block:
    return Block([_node(n, indices) for n in block])


def _node(node: Node, indices: Indices) -> Node:
    match node:
        case If(then=then, orelse=orelse):
            return dataclasses.replace(node, then=_block(then, indices), orelse=_block(orelse, indices))
        case For(body=body):
            return dataclasses.replace(node, body=_block(body, indices))
        case While(body=body):
            inner = dataclasses.replace(node, body=_block(body, indices))
            counter = _counter(node, indices)
            return inner if counter is None else _stretches(inner, counter, indices)
    return node


def _reserves(loop: While) -> list[Reserve]:
    return [n for n in loop.body if isinstance(n, Reserve)]


def _counter(loop: While, indices: Indices) -> Carry | None:
    """The carry that counts the iterations, if it says how long the arrays have to be that the body makes larger."""
    region = indices.places.regions[loop.body]
    for carry in loop.carries:
        sizes = [indices.form(n.size) for n in _reserves(loop)]
        if sizes and carry.param.type == INT and indices.stride(carry) == 1:
            fixed = all(v is carry.param or not indices.varies(v, region) for f in sizes for v in f.terms)
            if fixed and all(f.terms.get(carry.param) == 1 for f in sizes):
                return carry
    return None


def _stretches(loop: While, counter: Carry, indices: Indices) -> While:
    params = {c.param: Var(c.param.hint, c.param.type) for c in loop.carries}
    outs = [Var(c.out.hint, c.out.type) for c in loop.carries]
    renaming = Renaming(dict(params))
    head = renaming.block(loop.head)
    test = renaming.atom(loop.test)

    build = Builder()
    build.line = loop.line
    first = params[counter.param]
    for node in _reserves(loop):
        size = _size(build, indices.form(node.size), {counter.param: first})
        build.emit(Reserve(node.array, build.let("add", size, integer(LENGTH - 1))))
    stop = build.let("add", first, integer(LENGTH), hint="stop")
    inner = Builder(Block(list(loop.head.nodes)))
    both = inner.let("logical_and", loop.test, inner.let("less", counter.param, stop))
    body = Block([n for n in loop.body if not isinstance(n, Reserve)])
    carries = [Carry(c.param, params[c.param], c.next, o) for c, o in zip(loop.carries, outs, strict=True)]
    build.emit(While(inner.block, both, body, carries))
    around = [Carry(params[c.param], c.init, o, c.out) for c, o in zip(loop.carries, outs, strict=True)]
    return While(head, test, build.block, around, line=loop.line)


def _size(build: Builder, form: Form, names: dict[Var, Var]) -> Atom:
    """The number that `form` is, over other variables."""
    total: Atom = integer(form.number)
    for var, factor in form.terms.items():
        term = build.let("multiply", names.get(var, var), integer(factor))
        total = build.let("add", total, term)
    return total
