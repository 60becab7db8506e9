"""Loops that add to the same cells become one that adds once.

The way back through a program that reads ``x[i]`` in many places adds to ``x_bar[i]`` in as many loops, each of which
goes through memory. The earlier of two such loops moves down to the later one if nothing between them looks at what it
writes or writes to what it reads, and if they may become one (`simplify.fuse`); of two additions to one cell there is
one then, of the sum. So sums are taken in another order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from chainrule.ir.build import Builder
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Atom,
    Block,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Store,
    Undef,
    Var,
    View,
)
from chainrule.ir.walk import blocks, is_number, nodes_of, reads
from chainrule.transforms.dependence import is_simple
from chainrule.transforms.indices import Indices
from chainrule.transforms.places import Places
from chainrule.transforms.simplify.fuse import joined, shared
from chainrule.transforms.simplify.walk import block_of, changed, inside

__all__ = ["gathered"]

_PASSED = (AddInto, Alloc, Copy, Dim, For, If, Incr, Let, Load, Store, View)
_ARRAYS = 12  # that one loop touches: LLVM compares the memory of all of them before it takes vectors


def gathered(function: Function) -> Function:
    """`function` with fewer loops that add.

    Examples
    --------
    >>> from chainrule.ir.build import INT, integer
    >>> from chainrule.ir.show import show
    >>> x, y, z = (Var(h, Array("float64", 1)) for h in "xyz")
    >>> build = Builder()
    >>> n = build.dim(x, 0)
    >>> for array in (y, z):
    ...     i, body = Var("i", INT), Builder()
    ...     body.increment(x, [i], body.load(array, i))
    ...     build.emit(For(i, integer(1), n, integer(1), body.block))
    >>> print(show(gathered(Function("f", (x, y, z), build.block, (x,), writes=frozenset([x])))))
    f(x: float64[:], y: float64[:], z: float64[:])
        n_x = x.shape[0]
        for i in range(1, n_x, 1):
            t = y[i]
            t_2 = z[i]
            t_3 = add(t, t_2)
            x[i] += t_3
        return x
    """
    if sum(isinstance(n, Incr) for n in nodes_of(function.body)) < 2:
        return function
    while (made := changed(function, body=_Loops(function).block(function.body))) is not function:
        function = made
    return function


class _Loops:
    def __init__(self, function: Function) -> None:
        self.places = Places(function)
        self.indices = Indices(self.places)

    def block(self, block: Block) -> Block:
        """`block` with one pair of loops joined, and with some in the blocks in it."""
        nodes = block.nodes
        for at, first in enumerate(nodes):
            if not isinstance(first, For) or first.carries or first.parallel or not self._additions(first):
                continue
            for other in range(at + 1, len(nodes)):
                second = nodes[other]
                if isinstance(second, For) and (one := self._one(first, second)) is not None:
                    return Block([*nodes[:at], *nodes[at + 1 : other], one, *nodes[other + 1 :]])
                if not self._passes(first, second):
                    break
        return block_of([inside(n, self.block) for n in nodes], block)

    def _additions(self, loop: For) -> list[Incr]:
        """The statements by which alone a simple loop touches an array, each at a cell of its own."""
        if not (is_simple(loop) and is_number(loop.step, 1)):
            return []
        touched = [a for n in nodes_of(loop.body) for a in self._arrays(n)]
        return [n for n in loop.body if isinstance(n, Incr) and touched.count(self.places.memory(n.array)) == 1]

    def _arrays(self, node: Node) -> set[Var]:
        return {self.places.memory(a) for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array)}

    def _one(self, first: For, second: For) -> For | None:
        """The loop that two become that add to the same cells."""
        pairs = {
            a: b for a in self._additions(first) for b in self._additions(second) if self._same(first, a, second, b)
        }
        arrays = {a for n in (*nodes_of(first.body), *nodes_of(second.body)) for a in self._arrays(n)}
        if not pairs or second.parallel or len(arrays) > _ARRAYS or shared(first, second, self.indices) is None:
            return None
        one = joined(first, second)
        firsts, seconds = one.body.nodes[: len(first.body.nodes)], one.body.nodes[len(first.body.nodes) :]
        values = {second.body.nodes.index(b): a.value for a, b in pairs.items()}
        build = Builder(Block([n for n in firsts if n not in pairs]))
        for k, node in enumerate(seconds):
            if k in values:
                assert isinstance(node, Incr)
                node = dataclasses.replace(node, value=build.let("add", values[k], node.value))
            build.emit(node)
        return dataclasses.replace(one, body=build.block)

    def _same(self, first: For, a: Incr, second: For, b: Incr) -> bool:
        """Whether two additions are to the same cell in iterations of the same number."""
        return a.array is b.array and all(
            self._relative(i, first) == self._relative(j, second) for i, j in zip(a.index, b.index, strict=True)
        )

    def _relative(self, atom: Atom, loop: For) -> object:
        """An index as a function of that of `loop`."""
        if isinstance(atom, Undef):
            return object()
        form = self.indices.form(atom)
        rest = frozenset((v, k) for v, k in form.terms.items() if v is not loop.index)
        return form.number, form.terms.get(loop.index), rest

    def _passes(self, loop: For, node: Node) -> bool:
        """Whether `loop` may as well come after `node`."""
        inner: Sequence[Node] = [node, *nodes_of(*blocks(node))]
        if not all(isinstance(n, _PASSED) for n in inner):
            return False
        mine = {a for n in nodes_of(loop.body) for a in self._arrays(n)}
        theirs = {a for n in inner for a in self._arrays(n)}
        return mine.isdisjoint(self.places.writes(node)) and theirs.isdisjoint(self.places.writes(loop))
