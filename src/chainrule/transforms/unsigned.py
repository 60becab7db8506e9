"""Indices that are certain not to be negative, for LLVM.

A negative index counts from the end, so Numba adds the extent where an index is below 0. LLVM sees for itself that the
index of a loop that ascends from 0 is not; of others, a carried one, a descending one, one that was kept, it has to be
told, or the loop runs scalar. A cast of an integer to its own type says so.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.build import INT
from chainrule.ir.nodes import Alloc, Atom, Block, Const, For, Function, If, Incr, Let, Load, Node, Store, Var, While
from chainrule.ir.walk import is_number, nodes_of
from chainrule.transforms.indices import Indices
from chainrule.transforms.places import Places

__all__ = ["unsigned"]


def unsigned(function: Function) -> Function:
    """`function` with casts of the indices in its loops that are proved not to be negative.

    Examples
    --------
    >>> from chainrule.ir.build import Builder, integer
    >>> from chainrule.ir.nodes import Array
    >>> from chainrule.ir.show import show
    >>> x, i, build, body = Var("x", Array("float64", 1)), Var("i", INT), Builder(), Builder()
    >>> body.store(x, [i], body.load(x, body.let("add", i, integer(1))))
    >>> last = build.let("subtract", build.dim(x, 0), integer(2))
    >>> build.emit(For(i, last, integer(-1), integer(-1), body.block))
    >>> print(show(unsigned(Function("f", (x,), build.block, (last,)))))
    f(x: float64[:])
        n_x = x.shape[0]
        t = subtract(n_x, 2)
        for i in range(t, -1, -1):
            t_2 = add(i, 1)
            i_2 = int64(t_2)
            t_3 = x[i_2]
            i_3 = int64(i)
            x[i_3] = t_3
        return t
    """
    if not any(isinstance(n, (For, While)) for n in nodes_of(function.body)):
        return function
    return dataclasses.replace(function, body=_Casts(function).block(function.body, False))


class _Casts:
    def __init__(self, function: Function) -> None:
        self.indices = Indices(Places(function))

    def block(self, block: Block, loops: bool) -> Block:
        made, casts = Block(), dict[Var, Var]()
        for node in block:
            if loops and isinstance(node, (Load, Store, Incr)):
                known = self.numbered(node.array)
                index = tuple(self.cast(a, k < known, made, casts) for k, a in enumerate(node.index))
                node = node if index == node.index else dataclasses.replace(node, index=index)
            made.nodes.append(self.node(node, loops))
        return made

    def node(self, node: Node, loops: bool) -> Node:
        match node:
            case If(then=then, orelse=orelse):
                return dataclasses.replace(node, then=self.block(then, loops), orelse=self.block(orelse, loops))
            case For(body=body):
                return dataclasses.replace(node, body=self.block(body, loops or not node.parallel))
            case While(body=body):
                return dataclasses.replace(node, body=self.block(body, True))
        return node

    def numbered(self, array: Var) -> int:
        """How many indices of `array`, from the first, are numbers of iterations."""
        node = self.indices.places.places[array].node
        return node.numbered if isinstance(node, Alloc) else 0

    def cast(self, atom: Atom, known: bool, made: Block, casts: dict[Var, Var]) -> Atom:
        """`atom`, or its cast, written to the block that is being made; `known` not to be negative, or to be proved."""
        if not isinstance(atom, Var) or self._is_plain(atom) or not (known or self.indices.not_negative(atom)):
            return atom
        if atom not in casts:
            casts[atom] = Var("i", INT)
            made.nodes.append(Let(casts[atom], "cast", (atom,)))
        return casts[atom]

    def _is_plain(self, var: Var) -> bool:
        """Whether LLVM sees it: the index of a loop that ascends from a number."""
        owner = self.indices.places.places[var].region.owner
        counts = isinstance(owner, For) and owner.index is var and is_number(owner.step, 1)
        return counts and isinstance(owner.lower, Const)  # type: ignore[union-attr]
