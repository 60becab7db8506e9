"""Arrays with a row for every iteration of a loop that needs its own row only: one row is enough.

The array is made beside the loop and not filled, and all accesses stand in the loop and have its index in the same
place. So an iteration reads what it has written itself, which it also finds in a row that all iterations use. Loops
are divided among processors before: parts that run at once need rows of their own.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.nodes import Alloc, Array, Atom, For, Function, Incr, Load, Node, Store, Var
from chainrule.ir.walk import blocks, nodes_of, reads
from chainrule.transforms.simplify.walk import Substitution

__all__ = ["contracted"]

_Access = Load | Store | Incr


def contracted(function: Function) -> Function:
    """`function` with shorter arrays."""
    axes: dict[Alloc, int] = {}
    blocks_of = [function.body, *(b for n in nodes_of(function.body) for b in blocks(n))]
    for block in blocks_of:
        loops = [n for n in block if isinstance(n, For)]  # which run once in the life of an array of the block
        for node in block:
            if isinstance(node, Alloc) and node.fill is None and len(node.shape) > 1 and loops:
                axis = _axis(function, node.out, loops)
                if axis is not None:
                    axes[node] = axis
    return dataclasses.replace(function, body=_Rows(axes).block(function.body)) if axes else function


def _axis(function: Function, array: Var, loops: list[For]) -> int | None:
    """The axis that may go: all that touches the array does so at the index of one of the loops, and stands in it."""
    users = [n for n in nodes_of(function.body) if array in reads(n)]
    if array in function.results or not users or not all(isinstance(n, _Access) and n.array is array for n in users):
        return None
    for axis in range(array.type.ndim):  # type: ignore[union-attr]
        indices = {n.index[axis] for n in users}  # type: ignore[attr-defined]
        if any(indices == {loop.index} for loop in loops):
            return axis
    return None


class _Rows(Substitution):
    """Drops an axis of arrays and of what touches them."""

    def __init__(self, axes: dict[Alloc, int]) -> None:
        super().__init__()
        self.axes = axes
        self.rows = {a.out: (Var(a.out.hint, Array(a.out.type.dtype, len(a.shape) - 1)), k) for a, k in axes.items()}

    def node(self, node: Node) -> Node:
        if isinstance(node, Alloc) and node in self.axes:
            row, axis = self.rows[node.out]
            return dataclasses.replace(node, out=row, shape=_without(node.shape, axis))
        if isinstance(node, _Access) and node.array in self.rows:
            row, axis = self.rows[node.array]
            return dataclasses.replace(node, array=row, index=_without(node.index, axis))
        return super().node(node)


def _without(atoms: tuple[Atom, ...], axis: int) -> tuple[Atom, ...]:
    return (*atoms[:axis], *atoms[axis + 1 :])
