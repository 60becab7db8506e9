"""Where the variables of a program are defined, and which memory is written between two of its statements.

A `Region` is a block together with what it belongs to. Arrays that share memory have one *memory*: the root of a
view, and for arrays that an `If` merges the result of the merge. The head of a `While` has no effects and what it
defines is seen nowhere else: it has no region.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from chainrule.ir.nodes import (
    Array,
    Block,
    For,
    Function,
    If,
    Node,
    Raise,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import blocks, defines, effects, growing

__all__ = ["Place", "Places", "Region"]


@dataclass(eq=False, slots=True)
class Region:
    """A block of the program: the body, a branch of `owner`, or the body of the loop `owner`."""

    block: Block
    owner: If | For | While | None = None
    parent: Region | None = None
    position: int = 0  # of the owner among the nodes of the parent
    loop: Region | None = field(init=False)  # the body of the innermost loop around, perhaps the region itself
    depth: int = field(init=False)  # the number of loops around

    def __post_init__(self) -> None:
        self.loop, self.depth = (None, 0) if self.parent is None else (self.parent.loop, self.parent.depth)
        if self.is_loop:
            self.loop, self.depth = self, self.depth + 1

    @property
    def is_loop(self) -> bool:
        return isinstance(self.owner, (For, While))

    @property
    def raises(self) -> bool:
        return bool(self.block.nodes) and isinstance(self.block.nodes[-1], Raise)


class Place(NamedTuple):
    """Where a variable is defined: by `node`, at `position` of `region`; -1 if it is there from the beginning."""

    region: Region
    position: int
    node: Node | None


class Places:
    """The places of all variables of a function, its regions, and who writes what."""

    def __init__(self, function: Function) -> None:
        self.body = Region(function.body)
        self.places: dict[Var, Place] = {p: Place(self.body, -1, None) for p in function.params}
        self.regions: dict[Block, Region] = {function.body: self.body}
        self.positions: dict[Node, Place] = {}
        self.merged: dict[Var, Var] = {}  # an array that is born in a branch -> the result that owns it
        self.stores: dict[Var, list[Store]] = {}  # a scalar -> where it is stored
        self.reserved = growing(function)
        self._writes: dict[Node, frozenset[Var]] = {}
        self._enter(self.body)

    def _enter(self, region: Region) -> None:
        for position, node in enumerate(region.block):
            self._node(region, position, node)

    def _node(self, region: Region, position: int, node: Node) -> None:
        place = Place(region, position, node)
        self.positions[node] = place
        for block in blocks(node):
            if isinstance(node, While) and block is node.head:
                continue
            assert isinstance(node, (If, For, While))
            inner = Region(block, node, region, position)
            self.regions[block] = inner
            start = Place(inner, -1, None)
            if isinstance(node, For):
                self.places[node.index] = start
            if isinstance(node, (For, While)):
                self.places.update((c.param, start) for c in node.carries)
            self._enter(inner)
        if isinstance(node, If):
            for m in node.merges:
                if isinstance(m.out.type, Array):
                    self.merged.update((v, m.out) for v in (m.then, m.orelse) if isinstance(v, Var))
        self.places.update((v, place) for v in defines(node))
        if isinstance(node, Store) and isinstance(node.value, Var):
            self.stores.setdefault(node.value, []).append(node)

    def root(self, array: Var) -> Var:
        """The array whose memory `array` is."""
        node = self.places[array].node
        while isinstance(node, View):
            array = node.array
            node = self.places[array].node
        return array

    def memory(self, array: Var) -> Var:
        """What stands for the memory of `array`, and for nothing else."""
        array = self.root(array)
        while array in self.merged:
            array = self.merged[array]
        return array

    def writes(self, node: Node) -> frozenset[Var]:
        """The memory that `node` writes to, what is in its blocks included."""
        found = self._writes.get(node)
        if found is None:
            found = self._writes[node] = frozenset(self.memory(a) for a in effects(node))
        return found

    def written(self, region: Region, start: int, stop: int, memory: Var) -> bool:
        """Whether a statement at a position from `start` to `stop`, inclusive, may write to `memory`."""
        return any(memory in self.writes(n) for n in region.block.nodes[max(start, 0) : stop + 1])

    def stable(self, place: Place, memory: Var) -> bool:
        """Whether nothing that may run after `place` writes to `memory`, in the life of the array."""
        region, position, birth = place.region, place.position, self.places[memory].region
        while True:
            if self.written(region, position + 1, len(region.block.nodes), memory):
                return False
            if region is birth or region.parent is None or region.owner is None:
                return True
            if region.is_loop and memory in self.writes(region.owner):
                return False
            region, position = region.parent, region.position

    def before(self, first: Node, second: Node) -> bool:
        """Whether `first` may run before `second`: it stands above, or in a loop that holds both."""
        path = self.path(second)
        place = self.positions[first]
        region, position = place.region, place.position
        while region not in path:
            assert region.parent is not None
            region, position = region.parent, region.position
        if region.loop is not None:
            return True
        return position < path[region]

    def path(self, node: Node) -> dict[Region, int]:
        """The regions around `node`, and its position in each."""
        place = self.positions[node]
        region, position = place.region, place.position
        path = {region: position}
        while region.parent is not None:
            region, position = region.parent, region.position
            path[region] = position
        return path

    @staticmethod
    def within(inner: Region | None, region: Region) -> bool:
        """Whether `inner` is `region` or in it."""
        while inner is not None and inner is not region:
            inner = inner.parent
        return inner is region

    def inside(self, region: Region, node: Node) -> bool:
        """Whether `region` is a block of `node`, or in one."""
        inner: Region | None = region
        while inner is not None and inner.owner is not node:
            inner = inner.parent
        return inner is not None
