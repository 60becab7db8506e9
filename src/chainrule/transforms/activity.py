"""Which variables carry a derivative: those that depend on an input, and on which a result depends.

The differentiable dependences of a program are the edges of a graph, whose nodes are scalars and memory; what is
varied is reachable from the inputs, what is useful reaches a result. Memory is one node however it is viewed, and
the memory that an `If` merges is that of both branches. The order of statements does not count, so that loops
need no iteration; a function that is called is one set of nodes for all its calls, so that recursion needs none.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from chainrule.core.primitive import registry
from chainrule.ir.nodes import (
    AddInto,
    Array,
    Atom,
    Call,
    Copy,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Op,
    Store,
    Var,
    While,
)
from chainrule.ir.ops import FLOATS
from chainrule.ir.walk import nodes_of, roots_of

__all__ = ["called_by", "find_active", "is_float"]


def is_float(atom: Atom) -> bool:
    """Whether `atom` can carry a derivative."""
    return atom.type.dtype in FLOATS


def find_active(function: Function, active: Sequence[bool], wanted: Sequence[bool] | None = None) -> frozenset[Var]:
    """The variables of `function`, and of the functions it calls, that carry a derivative.

    Parameters
    ----------
    function : Function
    active : sequence of bool
        For each parameter whether it is an input of the derivative.
    wanted : sequence of bool, optional
        For each result whether its derivative is wanted; all by default.

    Returns
    -------
    frozenset of Var
        Scalars, and arrays with all their views, that depend on an active parameter and on which a wanted result
        depends.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> x, y, build = Var("x", FLOAT), Var("y", FLOAT), Builder()
    >>> z = build.let("multiply", x, build.let("sin", y), hint="z")
    >>> find_active(Function("f", (x, y), build.block, (z,)), (True, False)) == {x, z}
    True
    """
    functions = called_by(function)
    memory = {v: root for f in functions for v, root in _memory_of(f).items()}
    forwards: dict[Var, set[Var]] = defaultdict(set)
    backwards: dict[Var, set[Var]] = defaultdict(set)
    for f in functions:
        for source, target in _dependences(f):
            if isinstance(source, Var) and isinstance(target, Var) and is_float(source) and is_float(target):
                a, b = memory.get(source, source), memory.get(target, target)
                forwards[a].add(b)
                backwards[b].add(a)
    inputs = itertools.compress(function.params, active)
    results = function.results if wanted is None else itertools.compress(function.results, wanted)
    outputs = [r for r in results if isinstance(r, Var) and is_float(r)]
    varied = _reached((memory.get(p, p) for p in inputs), forwards)
    useful = _reached((memory.get(r, r) for r in outputs), backwards)
    both = varied & useful
    return frozenset(both.union(v for v, root in memory.items() if root in both))


def called_by(function: Function) -> list[Function]:
    """`function` and all functions that it calls, directly or not."""
    found = {function: None}
    waiting = [function]
    while waiting:
        for node in nodes_of(waiting.pop().body):
            if isinstance(node, Call) and node.function not in found:
                found[node.function] = None
                waiting.append(node.function)
    return list(found)


def _reached(start: Iterable[Var], edges: dict[Var, set[Var]]) -> set[Var]:
    found = set(start)
    waiting = list(found)
    while waiting:
        new = edges.get(waiting.pop(), set()) - found
        found |= new
        waiting.extend(new)
    return found


def _memory_of(function: Function) -> dict[Var, Var]:
    """For every array of `function` the one that stands for its memory."""
    roots = roots_of(function)
    merged: dict[Var, Var] = {}

    def find(v: Var) -> Var:
        while v in merged:
            v = merged[v]
        return v

    for node in nodes_of(function.body):
        for m in node.merges if isinstance(node, If) else ():
            for source in (m.then, m.orelse) if isinstance(m.out.type, Array) else ():
                a, b = find(roots[source]), find(m.out)  # type: ignore[index]
                if a is not b:
                    merged[a] = b
    return {v: find(root) for v, root in roots.items()}


def _dependences(function: Function) -> Iterator[tuple[Atom, Atom]]:
    """The pairs of a variable and another that depends on it differentiably, if they carry derivatives at all."""
    for node in nodes_of(function.body):
        yield from _of_node(node)


def _of_node(node: Node) -> Iterator[tuple[Atom, Atom]]:
    match node:
        case Let(out=out, op=op, args=args):
            for k, a in enumerate(args):
                if op in ("cast", "where") or registry[op].slot(k) is not None:
                    yield a, out
        case Op(outs=outs, op=op, args=args):
            for k, a in enumerate(args):
                if op in registry and registry[op].slot(k) is not None:
                    yield from ((a, out) for out in outs)
        case Load(out=out, array=array) | Copy(out=out, array=array):
            yield array, out
        case Store(array=array, value=value) | Incr(array=array, value=value):
            yield value, array
        case AddInto(array=array, source=source):
            yield source, array
        case If(merges=merges):
            for m in merges:
                yield from ((m.then, m.out), (m.orelse, m.out))
        case For(carries=carries) | While(carries=carries):
            for c in carries:
                yield from ((c.init, c.param), (c.next, c.param), (c.param, c.out))
        case Call(outs=outs, function=function, args=args) if function.rule is not None:
            yield from ((a, out) for a in args for out in outs if is_float(a) and is_float(out))
        case Call(outs=outs, function=function, args=args):
            for a, p in zip(args, function.params, strict=True):
                yield a, p
                if p in function.writes:
                    yield p, a
            yield from zip(function.results, outs, strict=True)
