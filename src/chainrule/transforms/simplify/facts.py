"""What is known of the integers and cells of a function without running it.

Proofs follow sums with constants, the bounds of loops and the extents of arrays; "no" means "not proved". An integer
is taken to fit its 64 bits.
"""

from __future__ import annotations

from chainrule.ir.nodes import Alloc, Atom, Const, Dim, For, Function, Let, Var
from chainrule.ir.walk import growing, nodes_of

__all__ = ["Facts", "Index", "Sum", "key", "offset"]

Index = tuple[Atom, ...]
Sum = tuple[Var | None, int]  # a variable, or nothing, and a constant
_STEPS = 8  # how many loops a proof may go through


def key(atom: Atom) -> object:
    """Equal for atoms that are the same value: unlike `==` it tells 0.0 from -0.0, and NaN is NaN."""
    return atom if isinstance(atom, Var) else (type(atom), repr(atom[0]), atom.type)


def offset(node: Let) -> tuple[Atom, int] | None:
    """``(x, c)`` if `node` is ``x + c`` on integers with a constant c."""
    if node.out.type.dtype != "int64" or node.op not in ("add", "subtract"):
        return None
    x, y = node.args
    if isinstance(y, Const):
        return x, y.value if node.op == "add" else -y.value
    if isinstance(x, Const) and node.op == "add":
        return y, x.value
    return None


class Facts:
    """The definitions of a function that proofs look at."""

    def __init__(self, function: Function) -> None:
        self.offsets: dict[Var, tuple[Atom, int]] = {}
        self.loops: dict[Var, For] = {}
        self.extents: dict[tuple[Var, int], Atom] = {}
        self.lengths: set[Var] = set()
        self.growing = growing(function)
        for node in nodes_of(function.body):
            match node:
                case Let():
                    found = offset(node)
                    if found is not None:
                        self.offsets[node.out] = found
                case For():
                    self.loops[node.index] = node
                case Dim():
                    self.lengths.add(node.out)
                    self.extents[node.array, node.axis] = node.out
                case Alloc():
                    self.extents.update(((node.out, axis), extent) for axis, extent in enumerate(node.shape))
        self.extents = {cell: extent for cell, extent in self.extents.items() if cell[0] not in self.growing}

    def sum(self, atom: Atom, plus: int = 0) -> Sum:
        while isinstance(atom, Var) and atom in self.offsets:
            atom, constant = self.offsets[atom]
            plus += constant
        if isinstance(atom, Const):
            return None, atom.value + plus
        return (atom, plus) if isinstance(atom, Var) else (None, plus)

    def exceeds(self, a: Sum, b: Sum, steps: int = _STEPS) -> bool:
        """Whether a > b is proved."""
        if a[0] is b[0]:
            return a[1] > b[1]
        if b[0] is None and a[0] in self.lengths:
            return a[1] > b[1]
        if not steps:
            return False
        lower, upper = self._range(a)[0], self._range(b)[1]
        return (lower is not None and self.exceeds(lower, b, steps - 1)) or (
            upper is not None and self.exceeds(a, upper, steps - 1)
        )

    def _range(self, a: Sum) -> tuple[Sum | None, Sum | None]:
        """The smallest and the largest that `a` may be, if its variable counts a loop."""
        loop = None if a[0] is None else self.loops.get(a[0])
        if loop is None or not isinstance(loop.step, Const):
            return None, None
        if loop.step.value > 0:
            return self.sum(loop.lower, a[1]), self.sum(loop.upper, a[1] - 1)
        return self.sum(loop.upper, a[1] + 1), self.sum(loop.lower, a[1])

    def compared(self, op: str, x: Atom, y: Atom) -> bool | None:
        """Whether ``op(x, y)`` holds, None if it is not proved."""
        if op in ("greater", "greater_equal"):
            return self.compared(op.replace("greater", "less"), y, x)
        plus = 1 if op == "less_equal" else 0
        if self.exceeds(self.sum(y, plus), self.sum(x)):
            return True
        return False if self.exceeds(self.sum(x, 1 - plus), self.sum(y)) else None

    def natural(self, atom: Atom) -> bool:
        """Whether `atom` is proved not to be negative."""
        return self.exceeds(self.sum(atom), (None, -1))

    def distinct(self, a: Index, b: Index) -> bool:
        """Whether two indices of an array are proved to be different cells."""
        return any(self._apart(i, j) for i, j in zip(a, b, strict=True))

    def _apart(self, a: Atom, b: Atom) -> bool:
        if isinstance(a, Const) and isinstance(b, Const):  # -1 may be the cell of 0, not that of -2
            return bool(a.value != b.value and (a.value < 0) == (b.value < 0))
        i, j = self.sum(a), self.sum(b)
        return (self.exceeds(i, j) or self.exceeds(j, i)) and self.natural(a) and self.natural(b)

    def inside(self, array: Var, index: Index) -> bool:
        """Whether ``array[index]`` is proved to be in bounds."""
        return all(self.within(array, axis, i) for axis, i in enumerate(index))

    def within(self, array: Var, axis: int, i: Atom) -> bool:
        """Whether `i` is proved to be in bounds along an axis."""
        extent = self.extents.get((array, axis))
        return extent is not None and self.natural(i) and self.exceeds(self.sum(extent), self.sum(i))
