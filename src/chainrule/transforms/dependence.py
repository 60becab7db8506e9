"""Which statements of a loop's body must stay in which order, if the body is taken apart.

`Dependences` is a graph of the items of an innermost counted loop: its carries and its statements. There is an edge
from one item to another if some iteration of the first must run before some later or equal one of the second, because
a value or memory passes between them; items in a cycle cannot be parted. What is not proved to be independent depends.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.ir.nodes import Carry, Dim, For, If, Incr, Let, Load, Node, Scalar, Store, Var
from chainrule.ir.walk import blocks, defines, is_number, nodes_of, reads
from chainrule.transforms.indices import Indices

__all__ = ["Access", "Dependences", "Item", "inner_reads", "is_simple"]

Item = Carry | Node
Access = Load | Store | Incr
_UNKNOWN = object()


def is_simple(loop: For) -> bool:
    """Whether `loop` counts by one and its body is scalars, single cells and branches of these."""
    counts = is_number(loop.step, 1) or is_number(loop.step, -1)
    return counts and all(
        isinstance(n, (Let, Load, Store, Incr, Dim))
        or (isinstance(n, If) and all(isinstance(m.out.type, Scalar) for m in n.merges))
        for n in nodes_of(loop.body)
    )


def inner_reads(item: Item) -> Iterator[Var]:
    """The variables that `item` reads in an iteration, in its blocks too."""
    for atom in (item.next,) if isinstance(item, Carry) else reads(item):
        if isinstance(atom, Var):
            yield atom
    for block in () if isinstance(item, Carry) else blocks(item):
        for node in block:
            yield from inner_reads(node)


class Dependences:
    """The graph of a loop that `is_simple`; with `sums`, additions to neighbouring cells may be in any order."""

    def __init__(self, loop: For, indices: Indices, sums: bool = False) -> None:
        self.loop, self.indices = loop, indices
        self.region = indices.places.regions[loop.body]
        self.items: list[Item] = [*loop.carries, *loop.body.nodes]
        self.definers: dict[Var, int] = {c.param: k for k, c in enumerate(loop.carries)}
        for k, item in enumerate(self.items):
            if not isinstance(item, Carry):
                self.definers.update((v, k) for v in defines(item))
        self.after = [0] * len(self.items)  # the items that must not come before each, as bits
        self.written: set[Var] = set()
        self.conflicts: set[Var] = set()  # memory that is written, and used at more than one index
        self.sums: dict[Var, list[list[int]]] = {}  # memory that is only added to, and its items, parted
        self._values()
        self._memory(sums)

    def _edge(self, first: int, second: int) -> None:
        self.after[first] |= 1 << second

    def _values(self) -> None:
        for k, item in enumerate(self.items):
            for var in inner_reads(item):
                if var in self.definers:
                    self._edge(self.definers[var], k)

    def _memory(self, sums: bool) -> None:
        found: dict[Var, list[tuple[int, Access]]] = {}
        for k, item in enumerate(self.items):
            for node in () if isinstance(item, Carry) else _accesses(item):
                memory = self.indices.places.memory(node.array)
                found.setdefault(memory, []).append((k, node))
                if not isinstance(node, Load):
                    self.written.add(memory)
        for memory in self.written:
            cells = self._cells(found[memory]) if sums else []
            if len(cells) > 1:
                self.sums[memory] = cells
                continue
            for n, (k, first) in enumerate(found[memory]):
                for other, second in found[memory][n:]:
                    self._pair(memory, (k, first), (other, second))

    def _cells(self, accesses: list[tuple[int, Access]]) -> list[list[int]]:
        """Additions, those together that no two iterations meet at; none if there is more, or a cell is not known."""
        if not all(isinstance(self.items[k], Incr) and self._distance(node, node) == 0 for k, node in accesses):
            return []
        cells: list[list[tuple[int, Access]]] = []
        for k, node in accesses:
            ways = [[self._distance(other, node) for _, other in cell] for cell in cells]
            if any(_UNKNOWN in way for way in ways):
                return []
            apart = [n for n, way in enumerate(ways) if all(d == 0 or d is None for d in way)]
            if apart:
                cells[apart[0]].append((k, node))
            else:
                cells.append([(k, node)])
        return [[k for k, _ in cell] for cell in cells]

    def _pair(self, memory: Var, one: tuple[int, Access], two: tuple[int, Access]) -> None:
        (k, first), (other, second) = one, two
        distance = self._distance(first, second)
        if distance != 0:
            self.conflicts.add(memory)
        if k == other or distance is None or (isinstance(first, Load) and isinstance(second, Load)):
            return
        if distance is _UNKNOWN or distance >= 0:  # type: ignore[operator]
            self._edge(k, other)
        if distance is _UNKNOWN or distance < 0:  # type: ignore[operator]
            self._edge(other, k)

    def _distance(self, first: Access, second: Access) -> object:
        """How many iterations after `first` the cell is that of `second`; None if it never is."""
        (base, mine), (other, theirs) = (self.indices.cell(n.array, n.index) for n in (first, second))
        if base is not other or mine is None or theirs is None:
            return _UNKNOWN
        found: object = _UNKNOWN
        for a, b in zip(mine, theirs, strict=True):
            if not (self.indices.not_negative(a) and self.indices.not_negative(b)):
                continue
            form, ahead = self.indices.form(a), self.indices.form(a).plus(self.indices.form(b), -1)
            if ahead.terms or any(v is not self.loop.index and self.indices.varies(v, self.region) for v in form.terms):
                continue
            factor = form.terms.get(self.loop.index, 0)
            if not factor:
                if ahead.number:
                    return None
                continue
            steps, rest = divmod(ahead.number, factor)
            steps *= self.loop.step.value  # type: ignore[union-attr]
            if rest or (found is not _UNKNOWN and found != steps):
                return None
            found = steps
        return found

    def components(self) -> list[int]:
        """For each item the smallest number of an item that it is in a cycle with; its own if there is none."""
        reach = list(self.after)
        for k in range(len(reach)):
            through = reach[k]
            for j in range(len(reach)):
                if reach[j] >> k & 1:
                    reach[j] |= through
        return [
            next(j for j in range(k + 1) if j == k or (reach[k] >> j & 1 and reach[j] >> k & 1))
            for k in range(len(reach))
        ]


def _accesses(node: Node) -> Iterator[Access]:
    if isinstance(node, Access):
        yield node
    for block in blocks(node):
        for inner in block:
            yield from _accesses(inner)
