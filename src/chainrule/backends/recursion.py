"""Functions that call themselves: which they are, how they keep from overflowing the stack, and where types end.

In compiled code every such function has a last parameter, the address that the stack is not to grow below, which
the entry asks for. Python's own functions have a limit already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from chainrule.ir.nodes import Atom, Block, Call, For, Function, If, Print, Var, While
from chainrule.ir.walk import defines, nodes_of, reads

__all__ = ["FLOOR", "Recursion", "entered", "is_grounded", "is_repeatable", "name_of"]

FLOOR = "floor"


class Recursion:
    """Which of some functions call themselves, directly or not (`cyclic`), and which call those (`guarded`)."""

    def __init__(self, functions: Iterable[Function]) -> None:
        calls = {f: {n.function for n in nodes_of(f.body) if isinstance(n, Call)} for f in functions}
        changed = True
        while changed:  # until all that is called indirectly is there
            changed = False
            for called in calls.values():
                more = set().union(*(calls[f] for f in called)) - called
                called |= more
                changed = changed or bool(more)
        self.cyclic = frozenset(f for f, called in calls.items() if f in called)
        self.guarded = frozenset(f for f, called in calls.items() if not self.cyclic.isdisjoint({f, *called}))


def name_of(function: Function) -> str:
    """What the user calls `function`, or the function that it is a derivative of."""
    return re.sub(r"(_(recording|pullback|divided|dot|jvp|vjp))+$", "", function.name)


def is_repeatable(function: Function, functions: Iterable[Function]) -> bool:
    """Whether a call that failed may be made again: it changed nothing that anyone sees."""
    return not function.writes and not any(isinstance(n, Print) for f in functions for n in nodes_of(f.body))


def entered(function: Function) -> Function:
    """A function that calls `function`, which calls itself, and does nothing else."""
    params = tuple(Var(p.hint, p.type) for p in function.params)
    outs = tuple(Var("y", r.type) for r in function.results)
    writes = frozenset(new for old, new in zip(function.params, params, strict=True) if old in function.writes)
    body = Block([Call(outs, function, params, line=function.line)])
    return Function(function.name, params, body, outs, function.line, writes)


def is_grounded(function: Function) -> bool:
    """Whether the types of the results follow from statements other than calls, on one path at least."""
    known = set(function.params)
    _block(function.body, known)
    return _all(function.results, known)


def _all(atoms: Sequence[Atom], known: set[Var]) -> bool:
    return all(a in known for a in atoms if isinstance(a, Var))


def _block(block: Block, known: set[Var]) -> None:
    """Add the variables whose types follow from those that are `known`."""
    for node in block.nodes:
        match node:
            case Call():
                pass
            case If(then=then, orelse=orelse, merges=merges):
                _block(then, known)
                _block(orelse, known)
                known.update(m.out for m in merges if _all([m.then], known) or _all([m.orelse], known))
            case For(body=body, carries=carries) | While(body=body, carries=carries):
                if isinstance(node, For):
                    known.add(node.index)
                known.update(c.param for c in carries if _all([c.init], known))
                for inner in (node.head, body) if isinstance(node, While) else (body,):
                    _block(inner, known)
                known.update(c.out for c in carries if _all([c.param], known) or _all([c.next], known))
            case _:
                if _all(list(reads(node)), known):
                    known.update(defines(node))
