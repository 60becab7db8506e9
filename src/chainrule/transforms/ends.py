"""The end of a recursion written where the function is called, so that its last level is no call.

``if n == 1: return a`` at the start of a function is tested by whoever calls it, and only what goes on is called. As
most calls of a function that calls itself more than once are those of its last level (of a determinant by minors
more than every second one), this saves most of them, in the function and in all its derivatives.

A function is called as before if more than a computation on numbers stands before its test, if both ways of it call,
if its end is long or if it returns arrays; so it is where the same test stands around its call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from chainrule.ir.nodes import Array, Atom, Block, Call, Dim, Function, If, Let, Merge, Node, Var
from chainrule.ir.walk import Renaming, defines, nodes_of
from chainrule.transforms.recursion import Calling, called

__all__ = ["with_ends_inlined"]

_LONGEST = 24  # statements of an end and before its test
_NONE: Mapping[Var, Any] = MappingProxyType({})


def with_ends_inlined(function: Function) -> Function:
    """`function`, where what it calls tests for the end of a recursion before it calls.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, INT, Builder, integer
    >>> from chainrule.ir.nodes import Const
    >>> from chainrule.ir.show import show
    >>> n, result = Var("n", INT), Var("result", FLOAT)
    >>> fibonacci = Function("fibonacci", (n,), Block(), (result,))
    >>> deep, top = Builder(), Builder(fibonacci.body)
    >>> parts = Var("a", FLOAT), Var("b", FLOAT)
    >>> for k, part in enumerate(parts):
    ...     deep.emit(Call((part,), fibonacci, (deep.let("subtract", n, integer(k + 1)),)))
    >>> total = deep.let("add", *parts)
    >>> top.emit(If(top.let("less", n, integer(2)), Block(), deep.block, [Merge(result, Const(1.0, FLOAT), total)]))
    >>> print(show(with_ends_inlined(fibonacci)))
    fibonacci(n: int64)
        t = less(n, 2)
        result = if t:
            give 1.0
        else:
            t_3 = subtract(n, 1)
            t_4 = less(t_3, 2)
            a = if t_4:
                give 1.0
            else:
                a_2 = fibonacci(t_3)
                give a_2
            t_5 = subtract(n, 2)
            t_6 = less(t_5, 2)
            b = if t_6:
                give 1.0
            else:
                b_2 = fibonacci(t_5)
                give b_2
            t_2 = add(a, b)
            give t_2
        return result
    """
    functions = list(called(function))
    ends = {f: end for f in functions if (end := _end(f)) is not None}
    if not ends:
        return function
    others = {f: dataclasses.replace(f) for f in functions}
    for f, made in others.items():
        writer = _Writer(f, ends, others)
        made.body = writer.block(f.body)
        made.results = writer.all(f.results)
    return others[function]


class _End(NamedTuple):
    """How a function begins that may end at once."""

    function: Function
    before: list[Node]
    branch: If
    ends: bool  # what the test is then

    @property
    def block(self) -> Block:
        return self.branch.then if self.ends else self.branch.orelse

    def results(self) -> list[Atom]:
        """What the function returns then."""
        merged = {m.out: m.then if self.ends else m.orelse for m in self.branch.merges}
        return [merged.get(r, r) if isinstance(r, Var) else r for r in self.function.results]


def _end(function: Function) -> _End | None:
    """The end of a function that calls itself on one way of its first test, and nothing on the other."""
    before, last = function.body.nodes[:-1], function.body.nodes[-1:]
    if function.rule or function.grows or function.divides or not all(isinstance(n, (Let, Dim)) for n in before):
        return None
    if any(isinstance(r.type, Array) for r in function.results):
        return None
    match last:
        case [If(then=then, orelse=orelse) as branch]:
            ways = [{n.function for n in nodes_of(way) if isinstance(n, Call)} for way in (then, orelse)]
        case _:
            return None
    end = _End(function, before, branch, ends=not ways[0])
    recursive = any(function in called(f) for way in ways for f in way)
    short = len(before) + len(nodes_of(end.block)) <= _LONGEST
    return end if recursive and short and not all(ways) else None


class _Writer(Calling):
    """Copies a function; before what it calls stand the ends of that."""

    def __init__(self, function: Function, ends: dict[Function, _End], functions: dict[Function, Function]) -> None:
        super().__init__(functions)
        self.ends = ends
        self.definitions = _definitions(nodes_of(function.body))
        self.tests: list[Any] = []  # of the branches around

    def node(self, node: Node) -> Node:
        if not isinstance(node, If):
            return super().node(node)
        self.tests.append(_expression(node.test, self.definitions))
        made = super().node(node)
        self.tests.pop()
        return made

    def call(self, call: Call) -> list[Node]:
        """`call`, after the test and on the way that does not end."""
        end = self.ends.get(call.function)
        if end is None or self._is_tested(end, call):
            return super().call(call)
        args = self.all(call.args)
        inner = Renaming(dict(zip(end.function.params, args, strict=True)))
        before, ended = [inner.node(n) for n in end.before], inner.block(end.block)
        outs = tuple(Var(v.hint, v.type) for v in call.outs)
        further = Block([Call(outs, self.functions[call.function], args, line=call.line)])
        results = inner.all(end.results())
        merges = [Merge(self.new(v), *pair) for v, *pair in zip(call.outs, results, outs, strict=True)]
        branch = If(inner.atom(end.branch.test), ended, further, merges, line=end.branch.line)
        return [*before, branch if end.ends else _turned(branch)]

    def _is_tested(self, end: _End, call: Call) -> bool:
        """Whether a branch around the call asks what the function asks first."""
        given = [_expression(a, self.definitions) for a in call.args]
        inside = dict(zip(end.function.params, given, strict=True))
        return _expression(end.branch.test, _definitions(end.before), inside) in self.tests


def _turned(branch: If) -> If:
    """`branch` for the opposite of its test."""
    merges = [Merge(m.out, m.orelse, m.then) for m in branch.merges]
    return If(branch.test, branch.orelse, branch.then, merges, line=branch.line)


def _definitions(nodes: Iterable[Node]) -> dict[Var, Node]:
    return {v: n for n in nodes if isinstance(n, (Let, Dim)) for v in defines(n)}


def _expression(atom: Atom, definitions: Mapping[Var, Node], given: Mapping[Var, Any] = _NONE, depth: int = 8) -> Any:
    """What `atom` is, written out in what is `given`."""
    node = definitions.get(atom) if isinstance(atom, Var) and depth else None
    match node:
        case Let(op=op, args=args):
            return op, *[_expression(a, definitions, given, depth - 1) for a in args]
        case Dim(array=array, axis=axis):
            return axis, given.get(array, array)
    return given.get(atom, atom) if isinstance(atom, Var) else atom
