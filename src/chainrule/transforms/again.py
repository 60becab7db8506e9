"""Elements of short-lived arrays computed again where they are read, so that reverse mode need not keep them.

``d[i] = x[n, i] - m[i]`` fills an array that the next round overwrites; whoever reads an element on the way back finds
it again at the price of a subtraction. That is done for arrays with one store, which goes through all that is read
before it is read, and computes little from what nobody writes to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from chainrule.ir.nodes import Alloc, Array, Atom, Block, Const, Dim, For, Function, Let, Load, Node, Store, Undef, Var
from chainrule.ir.walk import nodes_of, reads
from chainrule.transforms.indices import Indices
from chainrule.transforms.places import Places, Region
from chainrule.transforms.simplify.walk import Substitution

__all__ = ["with_elements_again"]

_CHEAP = frozenset({"add", "subtract", "multiply", "negative"})
_MOST = 2  # operations


def with_elements_again(function: Function) -> Function:
    """`function` with such loads replaced."""
    if not any(isinstance(n, Alloc) for n in nodes_of(function.body)):
        return function
    finder = _Finder(function)
    found = {load: again for load in finder.loads() if (again := finder.again(load)) is not None}
    if not found:
        return function
    replaced = _Replaced(found)
    return dataclasses.replace(function, body=replaced.block(function.body), results=replaced.all(function.results))


class _Finder:
    def __init__(self, function: Function) -> None:
        self.places = Places(function)
        self.indices = Indices(self.places)
        self.stores: dict[Var, Store] = {}  # the only one of an array
        self.all_loads: dict[Var, list[Load]] = {}
        closed = {r for r in function.results if isinstance(r, Var)} | set(self.places.merged) | self.places.reserved
        self.written = set(function.writes)
        for node in nodes_of(function.body):
            self.written |= self.places.writes(node) if node in self.places.positions else frozenset()
            match node:
                case Store(array=array) if array not in self.stores and node in self.places.positions:
                    self.stores[array] = node
                case Load(array=array) if node in self.places.positions:
                    self.all_loads.setdefault(array, []).append(node)
                case Dim():
                    pass
                case _:
                    closed |= {a for a in reads(node) if isinstance(a, Var) and isinstance(a.type, Array)}
        self.stores = {
            a: s for a, s in self.stores.items() if a not in closed and isinstance(self.places.places[a].node, Alloc)
        }

    def loads(self) -> Iterator[Load]:
        """Those of elements that may be overwritten."""
        for array in self.stores:
            yield from (n for n in self.all_loads.get(array, ()) if not self.indices.final(n))

    def again(self, load: Load) -> tuple[list[Node], Atom] | None:
        """The statements that compute what `load` finds, and what that is."""
        store = self.stores[load.array]
        loops, region = self._around(store, load)
        if loops is None:
            return None
        values: dict[Var, Atom] = {}
        for mine, theirs in zip(load.index, store.index, strict=True):
            loop = next((n for n in loops if n.index is theirs), None)
            if loop is None or loop.index in values:
                if not self._same(mine, theirs, region):
                    return None
            elif not self.indices.goes_through(loop, mine):
                return None
            else:
                values[loop.index] = mine
        if len(values) < len(loops):
            return None
        made: list[Node] = []
        value = self._computed(store.value, region, Substitution(values), made)
        if value is None or sum(isinstance(n, Let) and n.out.type.dtype != "int64" for n in made) > _MOST:
            return None
        return made, value

    def _around(self, store: Store, load: Load) -> tuple[list[For] | None, Region]:
        """The loops around `store` in the innermost block that also has `load`, further down."""
        mine, theirs = self.places.path(load), self.places.path(store)
        region = next(r for r in mine if r in theirs)
        loops: list[For] = []
        for inner in theirs:
            if inner is region:
                break
            if not isinstance(inner.owner, For) or not isinstance(inner.owner.step, Const):
                return None, region
            loops.append(inner.owner)
        good = theirs[region] < mine[region] and all(abs(n.step.value) == 1 for n in loops)  # type: ignore[union-attr]
        return (loops if good else None), region

    def _same(self, a: Atom, b: Atom, region: Region) -> bool:
        """Whether two indices are the same number, which does not change in `region`."""
        if isinstance(a, Undef) or isinstance(b, Undef):
            return False
        return self.indices.equal(a, b) and not any(self._inside(v, region) for v in self.indices.form(a).terms)

    def _inside(self, var: Var, region: Region) -> bool:
        """Whether `var` is defined in a block within `region`, but not in its own."""
        home = self.places.places[var].region
        return home is not region and self.places.within(home, region)

    def _computed(self, atom: Atom, region: Region, values: Substitution, made: list[Node]) -> Atom | None:
        """`atom` of the store's iteration, computed with the load's indices."""
        if not isinstance(atom, Var) or atom in values.atoms or not self._inside(atom, region):
            return values.atom(atom) if not isinstance(atom, Undef) else None
        node = self.places.places[atom].node
        match node:
            case Let(op=op, args=args) if op in _CHEAP or (atom.type.dtype == "int64" and op in ("add", "subtract")):
                parts = args
            case Load(array=array, index=index) if not self._is_written(array) and not self._inside(array, region):
                parts = index
            case _:
                return None
        for part in parts:
            if self._computed(part, region, values, made) is None:
                return None
        out = Var(atom.hint, atom.type)
        made.append(_Copy(values.atoms, atom, out).node(node))
        values.atoms[atom] = out
        return out

    def _is_written(self, array: Var) -> bool:
        return self.places.memory(array) in self.written


class _Copy(Substitution):
    """A statement over other atoms, with another variable for its own."""

    def __init__(self, atoms: dict[Var, Atom], own: Var, out: Var) -> None:
        super().__init__(atoms)
        self.own, self.out = own, out

    def new(self, var: Var) -> Var:
        return self.out if var is self.own else var


class _Replaced(Substitution):
    """Puts statements in the place of loads."""

    def __init__(self, found: dict[Load, tuple[list[Node], Atom]]) -> None:
        super().__init__({load.out: value for load, (_, value) in found.items()})
        self.found = found

    def block(self, block: Block) -> Block:
        nodes: list[Node] = []
        for n in block:
            nodes += map(self.node, self.found[n][0] if isinstance(n, Load) and n in self.found else [n])
        return Block(nodes)
