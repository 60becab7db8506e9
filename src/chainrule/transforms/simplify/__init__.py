"""Making a program smaller and faster without changing what it computes, to the last bit.

`simplify` makes loops of linear recursion (`recursion`), writes the ends of other recursions where they are called
(`ends`) and runs the passes of this package, twice: what is known or computed twice goes (`fold`), and what nobody
needs (`dead`); branches on one test are joined (`branches`) or hand on what they have computed (`handed`), cells that
a loop works on become scalars (`promote`), loops that hand an array over are joined (`fuse`), stores that are
overwritten go (`stores`), what does not change in a loop moves out (`hoist`). In between small arrays, those that are
still there, become scalars (`scalars`). Results, exceptions, prints and what is
written to the arguments stay what they are, in their order; not so where a program is in error: an index out of
bounds in a load that nobody needs, or extents that do not fit. Arguments that are written to are taken not to share
memory with others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from chainrule.ir.nodes import Call, Function, Node
from chainrule.ir.walk import nodes_of
from chainrule.transforms.ends import with_ends_inlined
from chainrule.transforms.recursion import looped
from chainrule.transforms.simplify.branches import with_joined_branches
from chainrule.transforms.simplify.dead import without_dead
from chainrule.transforms.simplify.fold import folded
from chainrule.transforms.simplify.fuse import fused
from chainrule.transforms.simplify.handed import handed_on
from chainrule.transforms.simplify.hoist import hoisted
from chainrule.transforms.simplify.promote import promoted
from chainrule.transforms.simplify.scalars import scalarised
from chainrule.transforms.simplify.stores import without_overwritten
from chainrule.transforms.simplify.walk import Substitution

__all__ = ["PASSES", "simplify"]

_ROUND = (
    folded,
    with_joined_branches,
    without_dead,
    promoted,
    hoisted,
    fused,
    folded,
    handed_on,
    without_overwritten,
    without_dead,
)
PASSES = (*_ROUND, scalarised, *_ROUND)


def simplify(function: Function) -> Function:
    """`function`, and what it calls, in fewer and cheaper statements.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> from chainrule.ir.nodes import Let, Var
    >>> from chainrule.ir.show import show
    >>> x, y, z = Var("x", FLOAT), Var("y", FLOAT), Var("z", FLOAT)
    >>> b = Builder()
    >>> b.emit(Let(y, "exp", (x,)))
    >>> b.emit(Let(z, "exp", (x,)))
    >>> print(show(simplify(Function("f", (x,), b.block, (b.let("multiply", y, z),)))))
    f(x: float64)
        y = exp(x)
        t = multiply(y, y)
        return t
    """
    function = with_ends_inlined(looped(function))
    calls: dict[Function, Function] = {}
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if current not in calls:
            calls[current] = _alone(current)
            waiting += [n.function for n in nodes_of(calls[current].body) if isinstance(n, Call)]
    calling = any(isinstance(n, Call) for n in nodes_of(calls[function].body))
    if calling and any(made is not f for f, made in calls.items()):
        calls = {f: dataclasses.replace(made) for f, made in calls.items()}
        for made in calls.values():
            made.body = _Calls(calls).block(made.body)  # functions that call each other exist before their bodies
    return calls[function]


def _alone(function: Function) -> Function:
    """`function` by itself; what it calls stays."""
    done: dict[Callable[[Function], Function], Function] = {}  # what a pass has left as it was
    for step in PASSES:
        if done.get(step) is not function:
            made = step(function)
            if made is function:
                done[step] = function
            function = made
    return function


class _Calls(Substitution):
    """Lets calls call what stands for their functions now."""

    def __init__(self, functions: dict[Function, Function]) -> None:
        super().__init__()
        self.functions = functions

    def node(self, node: Node) -> Node:
        if isinstance(node, Call):
            return dataclasses.replace(node, function=self.functions[node.function])
        return super().node(node)
