"""Tables that grow, as one row after the other: what an iteration of unknown number keeps of a loop in it.

An array of one axis that grows may be handed in with room from the call before (`native/rooms.py`), and its memory is
one stretch that is copied at once where it has to be moved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from chainrule.ir.build import Builder, integer
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Function, Incr, Load, Node, Reserve, Store, Var
from chainrule.ir.walk import growing, is_number, nodes_of, reads
from chainrule.transforms.simplify.walk import Substitution, block_of

__all__ = ["flattened"]


def flattened(function: Function) -> Function:
    """`function` with tables that grow flat, if it touches them element by element and at numbers of iterations only.

    Examples
    --------
    >>> from chainrule.ir.build import INT
    >>> from chainrule.ir.show import show
    >>> n, kept, build = Var("n", INT), Var("kept", Array("float64", 2)), Builder()
    >>> build.emit(Alloc(kept, (integer(0), n), kept=True, numbered=2))
    >>> build.emit(Reserve(kept, integer(5)))
    >>> print(show(flattened(Function("f", (n,), build.block, (build.load(kept, n, integer(2)),)))))
    f(n: int64)
        kept = new float64(0)
        t_2 = multiply(5, n)
        reserve kept, t_2
        t_3 = multiply(n, n)
        i = add(t_3, 2)
        t = kept[i]
        return t
    """
    grown = growing(function)
    nodes = nodes_of(function.body)
    tables = {n.out: n for n in nodes if isinstance(n, Alloc) and n.out in grown and 1 < len(n.shape) == n.numbered}
    others = (n for n in nodes if not isinstance(n, (Load, Store, Incr, Reserve, Alloc)))
    for atom in (*function.results, *(a for n in others for a in reads(n))):
        tables.pop(atom, None)  # type: ignore[arg-type]
    if not tables:
        return function
    return dataclasses.replace(function, body=_Flat(tables).block(function.body))


class _Flat(Substitution):
    def __init__(self, tables: dict[Var, Alloc]) -> None:
        super().__init__()
        self.rows = {table: (Var(table.hint, Array(table.type.dtype, 1)), n.shape[1:]) for table, n in tables.items()}

    def block(self, block: Block) -> Block:
        return block_of([made for n in block for made in self.nodes(n)], block)

    def nodes(self, node: Node) -> Sequence[Node]:
        build = Builder()
        build.line = node.line
        match node:
            case Alloc(out=out, shape=shape) if out in self.rows:
                none = is_number(shape[0], 0)
                size = shape[0] if none else build.let("multiply", shape[0], self.width(build, out), hint="size")
                build.emit(dataclasses.replace(node, out=self.rows[out][0], shape=(size,), numbered=1))
            case Reserve(array=array, size=count) if array in self.rows:
                build.emit(Reserve(self.rows[array][0], build.let("multiply", count, self.width(build, array))))
            case Load(array=array) | Store(array=array) | Incr(array=array) if array in self.rows:
                row, extents = self.rows[array]
                at, *rest = node.index
                for index, extent in zip(rest, extents, strict=True):
                    at = build.let("add", build.let("multiply", at, extent), index, hint="i")
                build.emit(super().node(dataclasses.replace(node, array=row, index=(at,))))
            case _:
                return [super().node(node)]
        return build.block.nodes

    def width(self, build: Builder, table: Var) -> Atom:
        """How many elements a row has."""
        size: Atom = integer(1)
        for extent in self.rows[table][1]:
            size = build.let("multiply", size, extent, hint="size")
        return size
