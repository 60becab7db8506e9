"""Loops around loops whose iterations may run side by side: what is the same for all of them, and what each has.

Of a loop over j with loops in it, a value is *shared* if every iteration finds the same, a *sum* if it adds up what the
iterations contribute, and else a *lane*, of which each iteration has its own. So are arrays that every iteration writes
before it reads them: what is stored there is shared, or each iteration needs cells of its own.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence

from chainrule.ir.build import INT, Builder, integer
from chainrule.ir.nodes import (
    Alloc,
    Atom,
    Block,
    Carry,
    Check,
    Const,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Print,
    Raise,
    Scalar,
    Slice,
    Store,
    Var,
    View,
)
from chainrule.ir.walk import blocks, defines, is_number, nodes_of, reads
from chainrule.transforms.indices import Form
from chainrule.transforms.order import Order
from chainrule.transforms.simplify.walk import Access
from chainrule.transforms.zeros import Scratch

__all__ = ["KNOWN", "Nest", "Program"]

_LARGEST = 300  # statements
_TRIPS = 8  # of a loop in the nest, for the estimate
_WHOLE = Slice(None, None, None)
KNOWN = ("add", "subtract", "multiply", "minimum", "maximum", "negative")  # integers that may be computed anew


class Program:
    """What the nests of a function share."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.order = Order(function)
        self.indices = self.order.indices
        self.places = self.indices.places
        self.nests: dict[For, Nest | None] = {}

    @functools.cached_property
    def scratch(self) -> Scratch:
        return Scratch(self.function, self.indices)

    @functools.cached_property
    def is_seen(self) -> bool:
        """Whether it can be seen how far the function came before it raised."""
        return bool(self.function.writes) or any(isinstance(n, Print) for n in nodes_of(self.function.body))

    def nest(self, loop: For) -> Nest | None:
        """The nest of `loop`; None if its iterations cannot run side by side."""
        if loop not in self.nests:
            known = loop.body in self.places.regions  # a condition of a `while` is no region
            made = Nest(self, loop) if known and _is_written_so(loop, self.is_seen) else None
            self.nests[loop] = made if made is not None and made.is_allowed() else None
        return self.nests[loop]


def _is_written_so(loop: For, is_seen: bool) -> bool:
    """Whether `loop` consists of what may run side by side, with loops in it."""
    unit = is_number(loop.step, 1) or is_number(loop.step, -1)
    if not unit or loop.parallel or not any(isinstance(n, (For, If)) for n in loop.body):
        return False
    nodes = nodes_of(loop.body)
    plain = all(_is_plain(n) or (isinstance(n, (Check, Raise)) and not is_seen) for n in nodes)
    return len(nodes) <= _LARGEST and any(isinstance(n, For) for n in nodes) and plain


def _is_plain(node: Node) -> bool:
    match node:
        case If(merges=merges):
            return all(isinstance(m.out.type, Scalar) for m in merges)
        case For(parallel=parallel):
            return not parallel
        case View(kind=kind, items=items):
            return kind == "index" and all(isinstance(i, (Var, Const)) or i == _WHOLE for i in items)
    return isinstance(node, (Let, Load, Store, Incr, Dim, Alloc))


class Nest:
    """A loop over j and what is in it.

    Attributes
    ----------
    lanes : set of Var
        What each iteration has of its own: numbers, and arrays of which each needs one.
    chains : dict
        The variables that a sum over the iterations passes through, and the carry of the loop that it is.
    """

    def __init__(self, program: Program, loop: For) -> None:
        self.program, self.loop = program, loop
        self.indices, self.places = program.indices, program.places
        self.nodes = nodes_of(loop.body)
        self.region = self.places.regions[loop.body]
        self.definers = {v: n for n in self.nodes for v in defines(n)}
        self.cells: dict[Access, tuple[Var, tuple[Atom, ...]]] = {}
        self.written: set[Var] = set()  # memory
        self.loaded: set[Var] = set()
        for node in self.nodes:
            if isinstance(node, (Load, Store, Incr)):
                self._enter(node)
        self.own = {a for a in self.written if self._is_own(a)}
        self.chains: dict[Var, Carry] = {}
        for carry in loop.carries:
            if carry.param not in program.order.same:
                self._follow(carry)
        self.lanes: set[Var] = {loop.index}
        self.parted: set[Node] = set()  # what only some iterations store
        self._settle()

    # -- cells

    def _enter(self, node: Access) -> None:
        """Note the cell of `node`, in terms of an array that is no view made in the loop."""
        array, index = node.array, node.index
        while isinstance(view := self.definers.get(array), View):
            rest = iter(index)
            index = tuple([next(rest) if isinstance(item, Slice) else item for item in view.items])
            array = view.array
        self.cells[node] = array, index
        (self.loaded if isinstance(node, Load) else self.written).add(self.places.memory(array))

    def axis_of(self, array: Var, axis: int) -> tuple[Var, int]:
        """An axis of an array as that of one that is no view made in the loop."""
        while isinstance(view := self.definers.get(array), View):
            axis = [k for k, item in enumerate(view.items) if isinstance(item, Slice)][axis]
            array = view.array
        return array, axis

    def _is_own(self, array: Var) -> bool:
        """Whether every iteration writes the cells of an array before it reads them, and nobody sees them later."""
        if any(a is not array and self.places.memory(a) is array for a, _ in self.cells.values()):
            return False
        return isinstance(self.definers.get(array), Alloc) or self.program.scratch.is_own(array, self.loop)

    # -- sums

    def _follow(self, carry: Carry) -> None:
        """Find what the sum `carry` passes through; that it is one is for `Order.is_free` to say."""
        self.chains[carry.param] = carry
        found = True
        while found:
            found = False
            for node in self.nodes:
                for v, sources in _hands(node):
                    if v not in self.chains and any(self.chains.get(s) is carry for s in sources):  # type: ignore[arg-type]
                        self.chains[v] = carry
                        found = True

    # -- lanes

    def _settle(self) -> None:
        size = -1
        while len(self.lanes) != size:
            size = len(self.lanes)
            self._mark(self.loop.body, False)

    def changes(self, array: Var) -> bool:
        """Whether the loop writes to memory that its iterations have in common, and `array` is a part of it."""
        return self.places.memory(array) in self.written and array not in self.own

    def is_lane(self, atom: Atom) -> bool:
        return isinstance(atom, Var) and atom in self.lanes

    def _mark(self, block: Block, parted: bool) -> None:
        """Mark what is a lane; in a block that is `parted`, only some iterations come here."""
        for node in block:
            match node:
                case Load():
                    array, index = self.cells[node]
                    if self.changes(array) or array in self.lanes or any(map(self.is_lane, index)):
                        self.lanes.add(node.out)
                case Store() | Incr():
                    array, index = self.cells[node]
                    if parted:
                        self.parted.add(node)
                    if array in self.own and (parted or any(map(self.is_lane, (*index, node.value)))):
                        self.lanes.add(array)
                case For(body=body, carries=carries):
                    for c in carries:
                        self._either((c.param, c.out), (c.init, c.next))
                    self._mark(body, parted)
                case If(test=test, then=then, orelse=orelse, merges=merges):
                    self._mark(then, parted or self.is_lane(test))
                    self._mark(orelse, parted or self.is_lane(test))
                    for m in merges:
                        self._either((m.out,), (test, m.then, m.orelse))
                case Let():
                    self._either((node.out,), node.args)

    def _either(self, outs: Sequence[Var], atoms: Sequence[Atom]) -> None:
        if any(map(self.is_lane, atoms)):
            self.lanes.update(v for v in outs if v not in self.chains)

    @functools.cached_property
    def free(self) -> dict[Var, Let]:
        """Integers that each iteration finds from its index alone, in no time."""
        found: dict[Var, Let] = {}
        for node in self.nodes:
            if not isinstance(node, Let) or node.out.type != INT or node.out not in self.lanes:
                continue
            if all(not self.is_lane(a) or a is self.loop.index or a in found for a in node.args):
                found[node.out] = node
        return found

    # -- whether it may be done

    def is_allowed(self) -> bool:
        """Whether all iterations may run side by side."""
        if not self._is_shaped(self.loop.body):
            return False
        if any(self.is_lane(c.next) for c in self.loop.carries):  # handed on, but by ways that not all go
            return False
        alike = {a for a in self.written - self.loaded if self._is_stored_alike(a)}
        return self.program.order.is_free(self.loop, self.own | alike)

    def _is_stored_alike(self, array: Var) -> bool:
        """Whether all iterations store the same in the memory `array`."""
        writers = [n for n, (a, _) in self.cells.items() if self.places.memory(a) is array]
        return all(isinstance(n, Store) and self.is_shared(n) and n not in self.parted for n in writers)

    def _is_shaped(self, block: Block) -> bool:
        """Whether loops have the same bounds for all, and branches with loops the same tests."""
        for node in block:
            match node:
                case For(body=body):
                    if any(map(self.is_lane, (node.lower, node.upper, node.step))) or not self._is_shaped(body):
                        return False
                case If(test=test, then=then, orelse=orelse):
                    deep = nodes_of(then, orelse)
                    if self.is_lane(test):
                        if any(isinstance(n, (For, Alloc, View, Check, Raise)) for n in deep):
                            return False
                        if not self._adds_plainly(node):
                            return False
                    elif not self._is_shaped(then) or not self._is_shaped(orelse):
                        return False
                case Check() | Raise():  # one asks for all
                    if any(map(self.is_lane, reads(node))):
                        return False
                case Alloc(shape=shape):
                    if any(self.outside(Builder(), a, True) is None for a in shape) and node.out in self.lanes:
                        return False
                    if any(map(self.is_lane, shape)):
                        return False
        return True

    def _adds_plainly(self, branch: If) -> bool:
        """Whether what `branch` adds to cells of all iterations it adds in no branch deeper in it, and to cells that
        are known before it."""
        inside = nodes_of(branch.then, branch.orelse)
        found = {v for n in inside for v in defines(n)}
        direct = {n for b in (branch.then, branch.orelse) for n in b}
        return all(n in direct and found.isdisjoint(self.cells[n][1]) for n in inside if self.is_total(n))  # type: ignore[index]

    # -- what statements are

    def is_total(self, node: Node) -> bool:
        """Whether all iterations add to one cell."""
        if not isinstance(node, Incr):
            return False
        array, index = self.cells[node]
        return array not in self.own and not any(map(self.is_lane, index))

    def is_shared(self, node: Node) -> bool:
        """Whether it is enough that one does for all iterations what `node` does."""
        match node:
            case Store() | Incr():
                array, index = self.cells[node]
                if isinstance(node, Incr) and array not in self.own:
                    return False
                return array not in self.lanes and not any(map(self.is_lane, (*index, node.value)))
            case If():
                inside = nodes_of(node.then, node.orelse)
                return not self.is_lane(node.test) and all(map(self.is_shared, inside)) and self._shares(node)
        return self._shares(node)

    def _shares(self, node: Node) -> bool:
        return all(map(self.is_same, defines(node)))

    def is_same(self, var: Var) -> bool:
        """Whether all iterations find the same in `var`."""
        return var not in self.lanes and var not in self.chains

    # -- what the loops need

    def is_again(self, var: Var) -> bool:
        """Whether each iteration finds `var` again wherever it needs it, from its index or in a row of an array."""
        node = self.definers.get(var)
        if isinstance(node, Load):
            array, index = self.cells[node]
            near = node in self.strided or self.steps(node, self.loop.index) == 1
            fixed = all(not self.is_lane(a) or a is self.loop.index or a in self.free for a in index)
            return near and fixed and self.places.memory(array) not in self.written
        return var in self.free or isinstance(node, View)

    def tables(self) -> list[Var]:
        """The arrays of which each iteration has its own."""
        arrays = dict.fromkeys(self.places.memory(a) for a, _ in self.cells.values())  # in the same order every time
        return [a for a in arrays if a in self.own and a in self.lanes]

    @functools.cached_property
    def tiled(self) -> dict[Var, int]:
        """Arrays that are read with the loop's index at another axis than the last, again and again; and that axis."""
        found: dict[Var, int] = {}
        for node, (array, index) in self.cells.items():
            axis = self._row_axis(node)
            if axis is not None and array not in found and self._is_reread(node, index):
                found[array] = axis
        return found

    @functools.cached_property
    def strided(self) -> set[Node]:
        """The statements that read what is `tiled`."""
        return {n for n, (a, _) in self.cells.items() if a in self.tiled and self._row_axis(n) == self.tiled[a]}

    def _row_axis(self, node: Access) -> int | None:
        array, index = self.cells[node]
        axis = self.axis(node)
        fixed = isinstance(node, Load) and self.places.memory(array) not in self.written and array not in self.definers
        fixed = fixed and self.indices.not_negative(self.loop.index)
        return axis if fixed and axis is not None and axis < len(index) - 1 else None

    def _is_reread(self, node: Access, index: Sequence[Atom]) -> bool:
        """Whether `node` goes through a row in a loop, which another loop does again."""
        moving = {v for a in index for v in self.indices.form(a).terms}
        around = self.around[node]
        rows = all(a is self.loop.index or any(n.index in self.indices.form(a).terms for n in around) for a in index)
        return rows and any(moving.isdisjoint([n.index, *(c.param for c in n.carries)]) for n in around)

    @functools.cached_property
    def around(self) -> dict[Node, list[For]]:
        """The loops in the loop around each statement."""
        found: dict[Node, list[For]] = {}

        def enter(block: Block, loops: list[For]) -> None:
            for node in block:
                found[node] = loops
                for inner in blocks(node):
                    enter(inner, [*loops, node] if isinstance(node, For) else loops)

        enter(self.loop.body, [])
        return found

    @functools.cached_property
    def owners(self) -> dict[Var, For]:
        """The innermost loop in whose body a number is defined."""
        found: dict[Var, For] = {}
        for node, loops in self.around.items():
            found.update((v, loops[-1] if loops else self.loop) for v in defines(node))
            if isinstance(node, For):
                found.update((c.param, node) for c in node.carries)
        return found

    @functools.cached_property
    def readers(self) -> Counter[Var]:
        """How often each variable is read."""
        atoms = [a for n in self.nodes for a in (*reads(n), *self.cells.get(n, (None, ()))[1])]  # type: ignore[call-overload]
        return Counter(a for a in (*atoms, *(c.next for c in self.loop.carries)) if isinstance(a, Var))

    def axis(self, node: Access) -> int | None:
        """The only axis of a cell at which each iteration has another index, its own; None if there is none."""
        index = self.cells[node][1]
        lanes = [k for k, a in enumerate(index) if self.is_lane(a)]
        return lanes[0] if len(lanes) == 1 and index[lanes[0]] is self.loop.index else None

    # -- what is known before the loop

    def lowest(self) -> Form:
        """The lowest index."""
        up = is_number(self.loop.step, 1)
        return self.indices.form(self.loop.lower) if up else self.indices.form(self.loop.upper).plus(Form({}, 1))

    def outside(self, build: Builder, atom: Atom, always: bool = False) -> Atom | None:
        """An integer of the loop in the first iterations of the loops in it, or `always`, written before the loop."""
        if not isinstance(atom, Var) or not self.places.within(self.places.places[atom].region, self.region):
            return atom
        if atom in self.lanes:
            return None
        node = self.definers.get(atom, self.places.places[atom].region.owner)
        if isinstance(node, For):
            return self.outside(build, node.lower) if node.index is atom and not always else None
        if isinstance(node, Let) and node.op in KNOWN:
            args = [self.outside(build, a, always) for a in node.args]
            return None if None in args else build.let(node.op, *args, hint=atom.hint)  # type: ignore[arg-type]
        if isinstance(node, Dim):
            array, axis = self.axis_of(node.array, node.axis)
            made = self.definers.get(array)
            if isinstance(made, Alloc):
                return self.outside(build, made.shape[axis], always)
            return build.dim(array, axis)
        return None

    def extents(self, build: Builder, array: Var) -> list[Atom]:
        """The extents of an array that the program makes, written before the loop."""
        made = self.places.places[array].node
        assert isinstance(made, Alloc)
        return [e for a in made.shape if (e := self._extent(build, a)) is not None]

    def _extent(self, build: Builder, atom: Atom) -> Atom | None:
        """An extent before the loop; where no array is made it may be negative there."""
        found = self.outside(build, atom, True)
        if found is None or self.indices.not_negative(atom):
            return found
        return build.let("maximum", found, integer(0))

    # -- estimates

    def innermost(self) -> list[For]:
        """The loops in the loop that have none in them."""
        return [n for n in self.nodes if isinstance(n, For) and not any(isinstance(m, For) for m in nodes_of(n.body))]

    def weight(self, node: Node) -> int:
        """About how often `node` runs in an iteration."""
        return int(_TRIPS ** len(self.around[node]))

    def steps(self, node: Access, index: Var) -> int | None:
        """How many cells further in its row `node` is with the next `index`; None if that is not so."""
        array, cell = self.cells[node]
        if index is self.loop.index and (array in self.lanes or node in self.strided):
            return 1 if node in self.strided or not any(map(self.is_lane, cell)) else None
        found = 0
        for k, atom in enumerate(cell):
            terms = self.indices.form(atom).terms
            if index is self.loop.index and any(v in self.lanes and v is not index for v in terms):
                return None
            found = terms.get(index, 0)
            if found and k < len(cell) - 1:
                return None
        return found


def _hands(node: Node) -> Iterator[tuple[Var, Sequence[Atom]]]:
    """What `node` may hand a sum on to, and from where."""
    match node:
        case Let(op="add", args=args, out=out):
            yield out, args
        case For(carries=carries):
            for c in carries:
                yield c.param, (c.init,)
                yield c.out, (c.init,)
        case If(merges=merges):
            for m in merges:
                yield m.out, (m.then, m.orelse)
