"""Where a recursion ends, as far as types tell."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.ir.nodes import Atom, Block, Call, For, Function, If, Var, While
from chainrule.ir.walk import defines, reads

__all__ = ["is_grounded"]


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
