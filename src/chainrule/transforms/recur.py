"""What a loop carries, and keeps for a loop over the same range behind it, is carried there once more.

``for j: fit += x[j] * power; kept[j] = power; power *= t`` and then ``for j: x_bar[j] += kept[j]``: the powers of t
cost the second loop one multiplication. Alone it would wait for the one before, where memory does not; where iterations
of a loop around run side by side (`interchange`) nothing waits, and a table of what all of them keep goes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import NamedTuple

from chainrule.ir.nodes import Block, Carry, For, Function, Let, Load, Node, Store, Var
from chainrule.ir.walk import Renaming, blocks, defines, nodes_of
from chainrule.transforms.simplify.facts import key
from chainrule.transforms.simplify.walk import Substitution, touching

__all__ = ["recurring"]

_CHEAP = frozenset({"add", "subtract", "multiply", "negative", "cast"})
_MOST = 4  # operations of a round


class _Chain(NamedTuple):
    """How a loop computes what it stores: from these carries by these operations."""

    loop: For
    store: Store
    carries: list[Carry]
    lets: list[Let]


def recurring(function: Function, wanted: Collection[For]) -> tuple[Function, dict[For, For]]:
    """`function` with such loops in the loops that are `wanted`; and by these what they were.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, INT, Builder, constant, integer
    >>> from chainrule.ir.nodes import Alloc, Array
    >>> from chainrule.ir.show import show
    >>> cells, i, j, k = Array("float64", 1), Var("i", INT), Var("j", INT), Var("k", INT)
    >>> y, kept, p, after = Var("y", cells), Var("kept", cells), Var("p", FLOAT), Var("p", FLOAT)
    >>> build, around, first, second = Builder(), Builder(), Builder(), Builder()
    >>> n = build.dim(y, 0)
    >>> build.emit(Alloc(kept, (n,)))
    >>> first.store(kept, [j], p)
    >>> carry = Carry(p, constant(1.0), first.let("multiply", p, constant(0.5)), after)
    >>> around.emit(For(j, integer(0), n, integer(1), first.block, [carry]))
    >>> second.increment(y, [k], second.load(kept, k))
    >>> around.emit(For(k, integer(0), n, integer(1), second.block))
    >>> loop = For(i, integer(0), n, integer(1), around.block)
    >>> build.emit(loop)
    >>> made, _ = recurring(Function("f", (y,), build.block, (), writes=frozenset([y])), [loop])
    >>> print(show(made))
    f(y: float64[:])
        n_y = y.shape[0]
        kept = new float64(n_y)
        for i in range(0, n_y, 1):
            p_2 = for j in range(0, n_y, 1) with p = 1.0:
                t = multiply(p, 0.5)
                give t
            p_4 = for k in range(0, n_y, 1) with p_3 = 1.0:
                t_2 = multiply(p_3, 0.5)
                y[k] += p_3
                give t_2
        return
    """
    finder = _Finder(function)
    for loop in wanted:
        finder.search(loop.body)
    if not finder.loads:
        return function, {}
    writer = _Writer(finder)
    return dataclasses.replace(function, body=writer.block(function.body)), writer.former


class _Finder:
    """What is to be carried once more: the stores that go, and by the loops behind them the loads."""

    def __init__(self, function: Function) -> None:
        arrays = {n.array for n in nodes_of(function.body) if isinstance(n, Store)}
        self.touched = touching(function.body, arrays.difference(function.results))
        self.stores: set[Store] = set()
        self.loads: dict[For, list[tuple[_Chain, Load]]] = {}

    def search(self, block: Block) -> None:
        loops = [n for n in block if isinstance(n, For)]
        for k, loop in enumerate(loops):
            later = [n for n in loops[k + 1 :] if _bounds(n) == _bounds(loop)]
            for store in loop.body if later else ():
                if isinstance(store, Store) and store not in self.stores:
                    self._follow(loop, store, later)
        for node in block:
            for inner in blocks(node):
                self.search(inner)

    def _follow(self, loop: For, store: Store, later: list[For]) -> None:
        """Note the loads of what `loop` stores if all of them are in `later` loops, in the round of the store."""
        found: list[tuple[For, Load]] = []
        for node in self.touched.get(store.array, ()):
            if node is store:
                continue
            around = [n for n in later if node in nodes_of(n.body)]
            if not isinstance(node, Load) or not around or not _same_cell(store, loop, node, around[0]):
                return
            found.append((around[0], node))
        chain = _chain(loop, store) if found else None
        if chain is not None:
            self.stores.add(store)
            for other, load in found:
                self.loads.setdefault(other, []).append((chain, load))


def _bounds(loop: For) -> tuple[object, ...]:
    return tuple(map(key, (loop.lower, loop.upper, loop.step)))


def _same_cell(store: Store, loop: For, load: Load, other: For) -> bool:
    """Whether a round of the `other` loop reads what that of `loop` has stored."""
    if loop.index not in store.index:
        return False
    return [key(a) for a in load.index] == [key(other.index if a is loop.index else a) for a in store.index]


def _chain(loop: For, store: Store) -> _Chain | None:
    """How `loop` computes what it stores, if that is little, and from what it carries."""
    lets = {n.out: n for n in loop.body if isinstance(n, Let) and n.op in _CHEAP}
    inside = {v for n in nodes_of(loop.body) for v in defines(n)}
    carries, used, waiting = dict[Var, Carry](), set[Var](), [store.value]
    while waiting:
        atom = waiting.pop()
        carry = next((c for c in loop.carries if c.param is atom), None)
        if carry is not None and carry.param not in carries:
            carries[carry.param] = carry
            waiting.append(carry.next)
        elif isinstance(atom, Var) and atom in inside and atom not in used:
            if atom not in lets:
                return None
            used.add(atom)
            waiting.extend(lets[atom].args)
    if not carries or len(used) > _MOST:
        return None
    return _Chain(loop, store, list(carries.values()), [n for v, n in lets.items() if v in used])


class _Writer(Substitution):
    """Writes the function; `former` is what its loops were."""

    def __init__(self, finder: _Finder) -> None:
        super().__init__()
        self.finder = finder
        self.former: dict[For, For] = {}
        self.gone: set[Node] = {*finder.stores, *(load for found in finder.loads.values() for _, load in found)}

    def block(self, block: Block) -> Block:
        return Block([self.node(n) for n in block if n not in self.gone])

    def node(self, node: Node) -> Node:
        if not isinstance(node, For):
            return super().node(node)
        chains: dict[Store, tuple[_Chain, list[Load]]] = {}
        for chain, load in self.finder.loads.get(node, ()):
            chains.setdefault(chain.store, (chain, []))[1].append(load)
        lets, carries = list[Node](), list[Carry]()
        for chain, loads in chains.values():
            new = Renaming({chain.loop.index: node.index})
            params = [new.new(c.param) for c in chain.carries]
            lets += [new.node(Substitution.node(self, n)) for n in chain.lets]
            for c, param in zip(chain.carries, params, strict=True):
                after = new.atom(self.atom(c.next))
                carries.append(Carry(param, self.atom(c.init), after, Var(param.hint, param.type)))
            value = new.atom(self.atom(chain.store.value))
            self.atoms.update((load.out, value) for load in loads)
        made = super().node(node)
        assert isinstance(made, For)
        if chains:
            made = dataclasses.replace(made, body=Block([*lets, *made.body]), carries=[*made.carries, *carries])
        self.former[made] = node
        return made
