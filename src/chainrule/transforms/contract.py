"""Arrays with a row for every iteration of a loop, where one row for all of them is enough.

- An iteration needs its own row only: the array is made beside the loop and not filled, and all accesses stand in
  the loop and have its index in the same place. So it reads what it has written itself. What is kept for the way
  back is read in the iteration that has written it wherever the array is made.
- All rows are the same: what is kept of an iteration is found from numbers that do not change in the loop, as the
  place where a row of a packed triangle begins.

Loops are divided among processors before: parts that run at once need rows of their own.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.nodes import Alloc, Array, Atom, Block, Dim, For, Function, If, Incr, Let, Load, Node, Store, Var
from chainrule.ir.walk import blocks, defines, nodes_of
from chainrule.transforms.simplify.walk import Substitution, touching

__all__ = ["contracted"]

_Access = Load | Store | Incr


def contracted(function: Function) -> Function:
    """`function` with shorter arrays."""
    while axes := _axes(function):
        function = dataclasses.replace(function, body=_Rows(axes).block(function.body))
    return function


def _axes(function: Function) -> dict[Alloc, int]:
    """For each array that has one the first axis that may go."""
    nodes = nodes_of(function.body)
    users = touching(function.body, [n.out for n in nodes if isinstance(n, Alloc) and n.fill is None])
    every = [n for n in nodes if isinstance(n, For)]
    found = {}
    values: _Values | None = None
    for block in [function.body, *(b for n in nodes for b in blocks(n))]:
        loops = [n for n in block if isinstance(n, For)]  # which run once in the life of an array of the block
        for node in block:
            if not isinstance(node, Alloc) or node.fill is not None or len(node.shape) == 1 or not loops:
                continue
            accesses = [n for n in users[node.out] if isinstance(n, _Access) and n.array is node.out]
            if node.out in function.results or not accesses or len(accesses) < len(users[node.out]):
                continue
            axis = _own(node, accesses, every if node.kept else loops)
            if axis is None and node.kept:
                values = values or _Values(function)
                axis = values.same(accesses)
            if axis is not None:
                found[node] = axis
    return found


def _own(alloc: Alloc, users: list[Load | Store | Incr], loops: list[For]) -> int | None:
    """The axis at which all that touches an array does so at the index of one of the loops."""
    for axis in range(len(alloc.shape)):
        indices = {n.index[axis] for n in users}
        if any(indices == {loop.index} for loop in loops):
            return axis
    return None


class _Values:
    """On which loops the values of a function depend."""

    def __init__(self, function: Function) -> None:
        self.params = set(function.params)
        self.definitions = {v: n for n in nodes_of(function.body) for v in defines(n)}
        self.owners: dict[Var, For] = {}  # an index, or what is carried -> its loop
        self.around: dict[Node, list[For]] = {}
        self._enter(function.body, [])

    def _enter(self, block: Block, loops: list[For]) -> None:
        for node in block:
            self.around[node] = loops
            if isinstance(node, For):
                self.owners.update((v, node) for v in (node.index, *(c.param for c in node.carries)))
            for inner in blocks(node):
                self._enter(inner, [*loops, node] if isinstance(node, For) else loops)

    def same(self, users: list[Load | Store | Incr]) -> int | None:
        """An axis of what is kept by a single store along which that stores the same again and again."""
        stores = [n for n in users if not isinstance(n, Load)]
        match stores:
            case [Store(index=index, value=value) as store]:
                loops = self._loops(value)
            case _:
                return None
        around = {loop.index: loop for loop in self.around[store]}
        if loops is None or not all(loop.index in index for loop in around.values() if loop in loops):
            return None
        for axis, atom in enumerate(index):
            if atom in around and around[atom] not in loops and index.count(atom) == 1:
                return axis
        return None

    def _loops(self, atom: Atom) -> set[For] | None:
        """The loops whose iteration `atom` depends on; None if it depends on memory or more."""
        found, seen, waiting = set[For](), set[Atom](), [atom]
        while waiting:
            current = waiting.pop()
            if not isinstance(current, Var) or current in seen:
                continue
            seen.add(current)
            node = self.owners.get(current) or self.definitions.get(current)
            match node:
                case For():
                    if current in self.owners:
                        found.add(node)
                    waiting += [node.lower, node.upper, node.step]
                    waiting += [a for c in node.carries if current in (c.param, c.out) for a in (c.init, c.next)]
                case If():
                    waiting += [node.test, *(a for m in node.merges if m.out is current for a in (m.then, m.orelse))]
                case Let():
                    waiting += node.args
                case Dim():
                    waiting.append(node.array)
                case _ if current not in self.params:
                    return None
        return found


class _Rows(Substitution):
    """Drops an axis of arrays and of what touches them."""

    def __init__(self, axes: dict[Alloc, int]) -> None:
        super().__init__()
        self.axes = axes
        self.rows = {a.out: (Var(a.out.hint, Array(a.out.type.dtype, len(a.shape) - 1)), k) for a, k in axes.items()}

    def node(self, node: Node) -> Node:
        if isinstance(node, Alloc) and node in self.axes:
            row, axis = self.rows[node.out]
            numbered = node.numbered - (axis < node.numbered)
            return dataclasses.replace(node, out=row, shape=_without(node.shape, axis), numbered=numbered)
        if isinstance(node, _Access) and node.array in self.rows:
            row, axis = self.rows[node.array]
            return dataclasses.replace(node, array=row, index=_without(node.index, axis))
        return super().node(node)


def _without(atoms: tuple[Atom, ...], axis: int) -> tuple[Atom, ...]:
    return (*atoms[:axis], *atoms[axis + 1 :])
