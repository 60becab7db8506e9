"""Which additions of a program may be taken in another order: those of plain sums.

A plain sum is a carry of a counted loop to which the body adds (or from which it subtracts) and at which nothing
else looks before the loop ends. A compensated sum is none: it reads the sum to find what rounding took away.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.ir.nodes import Carry, For, Function, Let, Node, Var
from chainrule.ir.walk import nodes_of, reads

__all__ = ["plain_sums"]

_DTYPES = ("float64", "float32")


def plain_sums(function: Function) -> frozenset[Let]:
    """The statements ``s = s + x`` and ``s = s - x`` of `function` that belong to plain sums.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
    >>> from chainrule.ir.nodes import Block
    >>> n, i, s, out = Var("n", INT), Var("i", INT), Var("s", FLOAT), Var("s", FLOAT)
    >>> b = Builder()
    >>> after = b.let("add", s, b.cast(i, "float64"))
    >>> loop = For(i, integer(0), n, integer(1), b.block, [Carry(s, constant(0.0), after, out)])
    >>> [node.op for node in plain_sums(Function("f", (n,), Block([loop]), (out,)))]
    ['add']
    """
    users: dict[Var, list[Node]] = {}
    for node in nodes_of(function.body):
        for atom in reads(node):
            if isinstance(atom, Var):
                users.setdefault(atom, []).append(node)
    returned = set(function.results)
    loops = [n for n in nodes_of(function.body) if isinstance(n, For)]
    return frozenset(
        let
        for loop in loops
        for carry in loop.carries
        if carry.param.type.dtype in _DTYPES and carry.next not in returned
        for let in _sum(loop, carry, users)
    )


def _sum(loop: For, carry: Carry, users: dict[Var, list[Node]]) -> Iterator[Let]:
    """The additions from the start of the body to its end, none if something else looks at what they make."""
    var, found = carry.param, []
    while var is not carry.next:
        seen = users.get(var, [])
        if len(seen) != 1 or not _adds(seen[0], var) or seen[0] not in loop.body.nodes:
            return
        found.append(seen[0])
        var = seen[0].out  # type: ignore[attr-defined]
    if users.get(var, []) == [loop]:
        yield from found  # type: ignore[misc]


def _adds(node: Node, var: Var) -> bool:
    """Whether `node` is an addition to `var`."""
    if not isinstance(node, Let):
        return False
    return (node.op == "add" and var in node.args) or (node.op == "subtract" and node.args[0] is var)
