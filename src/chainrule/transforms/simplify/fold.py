"""One walk through a function: constants folded, common values shared, branches and loops that are known taken.

What has been computed is looked for among the statements already written in this block and the blocks around it; what
a branch merges, if another one on the same test does, is that.
What a cell holds is known from the last load or store, until something that may write to it; a loop forgets at its
start what it writes. A cell of a row, of a transpose or of a slice from a known start is named by the array itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import is_
from typing import Any

from chainrule.ir.build import FALSE, TRUE, Builder, boolean, integer
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Carry,
    Check,
    Const,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Merge,
    Node,
    Slice,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import defines, effects, is_undef, reads, roots_of
from chainrule.transforms.simplify.facts import Facts, Index, key, offset
from chainrule.transforms.simplify.numbers import Numbers
from chainrule.transforms.simplify.walk import Substitution, block_of, changed

__all__ = ["folded"]

_MOST_CELLS = 32  # of one array are remembered
_ORDERS = frozenset({"less", "less_equal", "greater", "greater_equal"})


def folded(function: Function) -> Function:
    """`function` with everything computed once, and nothing that is known."""
    folder = _Folder(function)
    with folder.builder.inside(Block()) as body:
        folder.visit(function.body)
    return changed(function, body=block_of(body.nodes, function.body), results=folder.all(function.results))


class _Folder(Substitution):
    """Writes the function anew under its own names; `atoms` says what else a variable is known to be."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.builder = Builder()
        self.facts = Facts(function)
        self.known: dict[Var, Const] = {}  # by the tests around
        self.written: dict[Var, Node] = {}  # what defines a variable
        self.shared: dict[object, Var] = {}  # what has been computed
        self.names: list[object] = []  # the keys of `shared` in their order
        self.numbers = Numbers()
        self.cells: dict[Var, dict[object, tuple[Var, Index, Atom]]] = {}  # what is in memory, by root
        self.former = roots_of(function)
        self.changing = {self.former[array] for node in function.body for array in effects(node)}
        self.roots = {p: p for p in function.params if isinstance(p.type, Array)}

    def atom(self, atom: Any) -> Any:
        atom = super().atom(atom)
        return self.known.get(atom, atom) if isinstance(atom, Var) else atom

    # -- scopes

    @contextlib.contextmanager
    def scope(self) -> Iterator[Block]:
        """A block, whose knowledge ends with it."""
        before, known, cells = len(self.names), dict(self.known), dict(self.cells)
        with self.builder.inside(Block()) as block:
            yield block
        for name in self.names[before:]:
            del self.shared[name]
        del self.names[before:]
        self.cells, self.known = cells, known

    def assume(self, test: Atom, value: bool) -> None:
        """From here on `test` is known."""
        if not isinstance(test, Var):
            return
        self.known[test] = boolean(value)
        match self.written.get(test):
            case Let(op="logical_not", args=(x,)):
                self.assume(x, not value)
            case Let(op="logical_and" | "logical_or" as op, args=(x, y)) if value == (op == "logical_and"):
                self.assume(x, value)
                self.assume(y, value)

    def forget(self, node: Node) -> None:
        """What `node` may write to holds something else, or may do so."""
        for array in effects(node):
            self.cells.pop(self.atom(self.former[array]), None)

    # -- statements

    def visit(self, block: Block) -> None:
        for node in block:
            self.builder.line = node.line
            _VISIT.get(type(node), _Folder.other)(self, node)

    def other(self, node: Node) -> None:
        self.emit(self.node(node))
        self.forget(node)

    def node(self, node: Node) -> Node:
        old = reads(node)
        return node if all(map(is_, self.all(old), old)) else super().node(node)

    def emit(self, node: Node) -> None:
        self.builder.emit(node)
        for v in defines(node):
            self.written[v] = node
            if isinstance(v.type, Array):
                self.roots[v] = self.roots[node.array] if isinstance(node, View) else v

    def share(self, name: object, node: Node, out: Var) -> bool:
        """Write `node`, unless what it computes is there already."""
        found = self.shared.get(name)
        if found is None:
            self.register(name, out)
            self.emit(node)
        else:
            self.atoms[out] = found
        return found is None

    def register(self, name: object, out: Var) -> None:
        self.shared[name] = out
        self.names.append(name)

    def let(self, node: Let) -> None:
        op, args = node.op, self.all(node.args)
        op, args = self.rewritten(op, args, node.out)
        if op == "cast":
            known = self.cast(node.out, args[0])
        else:
            known = self.builder.fold(op, args) or self.proved(op, args)
        if known is not None:
            self.atoms[node.out] = known
            return
        name = self.numbers.name(op, args, node.out.type)
        if self.share(name, changed(node, op=op, args=args), node.out):
            self.numbers.define(node.out, self.numbers.name(op, args, node.out.type, self.known))

    def cast(self, out: Var, value: Atom) -> Atom | None:
        known = not isinstance(value, Var) or value.type == out.type
        return self.builder.cast(value, out.type.dtype) if known else None

    def proved(self, op: str, args: tuple[Atom, ...]) -> Atom | None:
        """What the operation gives by what is known of its operands."""
        if op == "positive":
            return args[0]
        if args[0].type.dtype != "int64":
            return None
        if op in _ORDERS:
            found = self.facts.compared(op, *args)
            return None if found is None else boolean(found)
        if op in ("maximum", "minimum"):
            found = self.facts.compared("less_equal", *args)
            return None if found is None else args[found == (op == "maximum")]
        return None

    def rewritten(self, op: str, args: tuple[Atom, ...], out: Var) -> tuple[str, tuple[Atom, ...]]:
        """The same operation without signs and constants that another one can take over."""
        if op in ("add", "subtract"):
            x, y = args
            minus = self.written.get(y) if isinstance(y, Var) else None
            if isinstance(minus, Let) and minus.op == "negative":
                return "subtract" if op == "add" else "add", (x, minus.args[0])
            minus = self.written.get(x) if isinstance(x, Var) else None
            if op == "add" and isinstance(minus, Let) and minus.op == "negative":
                return "subtract", (y, minus.args[0])
        outer = offset(Let(out, op, args))
        inner = self.written.get(outer[0]) if outer is not None and isinstance(outer[0], Var) else None
        summed = offset(inner) if isinstance(inner, Let) else None
        if outer is not None and summed is not None:
            constant = summed[1] + outer[1]
            return (
                ("subtract", (summed[0], integer(-constant)))
                if constant < 0
                else ("add", (summed[0], integer(constant)))
            )
        return op, args

    # -- memory

    def load(self, node: Load) -> None:
        array, index = self.address(self.atom(node.array), self.all(node.index))
        found = self.cells.get(self.roots[array], {}).get((array, *map(key, index)))
        if found is None:
            self.remember(array, index, node.out)
            self.emit(changed(node, array=array, index=index))
            if self.former[node.array] not in self.changing:
                self.numbers.define(node.out, self.numbers.name("load", (array, *index), node.out.type, self.known))
        else:
            self.atoms[node.out] = found[2]

    def remember(self, array: Var, index: Index, value: Atom) -> None:
        root = self.roots[array]
        cells = self.cells.get(root, {}) if len(self.cells.get(root, {})) < _MOST_CELLS else {}
        self.cells[root] = {**cells, (array, *map(key, index)): (array, index, value)}  # outer blocks keep theirs

    def store(self, node: Store | Incr) -> None:
        array, index = self.address(self.atom(node.array), self.all(node.index))
        value = self.atom(node.value)
        self.emit(changed(node, array=array, index=index, value=value))
        cells = self.cells.pop(self.roots[array], {})
        apart = {n: c for n, c in cells.items() if c[0] is array and self.facts.distinct(index, c[1])}
        if apart:
            self.cells[self.roots[array]] = apart
        if isinstance(node, Store):
            self.remember(array, index, value)

    def address(self, array: Var, index: Index) -> tuple[Var, Index]:
        """The cell ``array[index]``, of what `array` is a view of where that is easily said."""
        while isinstance(view := self.written.get(array), View):
            through = self.through(view, index)
            if through is None:
                break
            array, index = view.array, through
        return array, index

    def through(self, view: View, index: Index) -> Index | None:
        """The index of the viewed array for an index of the view."""
        if view.kind == "transpose":
            axes = [item.value for item in view.items]
            return tuple(index[axes.index(axis)] for axis in range(len(axes)))
        if view.kind != "index":
            return None
        mine, atoms = iter(index), []
        for item in view.items:
            atom = self.shifted(item, next(mine)) if item is None or isinstance(item, Slice) else item
            if atom is None:
                return None
            if item is not None:
                atoms.append(atom)
        return tuple(atoms)

    def shifted(self, item: Slice | None, index: Atom) -> Atom | None:
        """What `index` along an axis of a view is along that of the array."""
        if item is None or (item.lower is None and item.step is None and item.upper is None):
            return index
        lower = integer(0) if item.lower is None else item.lower
        if item.step is None and self.facts.natural(lower) and self.facts.natural(index):
            return self.sum(index, lower)
        return None

    def sum(self, x: Atom, y: Atom) -> Atom:
        out = Var("k", x.type)
        self.let(Let(out, "add", (x, y), line=self.builder.line))
        return self.atom(out)  # type: ignore[no-any-return]

    def view(self, node: View) -> None:
        array, items = self.atom(node.array), tuple(self.item(i) for i in node.items)
        whole = all(isinstance(i, Slice) and i == (None, None, None) for i in items)
        if node.kind == "index" and whole:
            self.atoms[node.out] = array
            return
        self.share(("view", array, node.kind, items), self.node(node), node.out)

    def dim(self, node: Dim) -> None:
        array, axis = self.atom(node.array), node.axis
        while True:
            match self.written.get(array):
                case View(kind="transpose", items=items, array=base):
                    array, axis = base, items[axis].value
                case View(kind="index", items=items, array=base):
                    axes = [k for k, item in enumerate(items) if item is None or isinstance(item, Slice)]
                    item = items[axes[axis]]
                    if item is None:
                        self.atoms[node.out] = integer(1)
                        return
                    if item != (None, None, None):
                        break
                    array, axis = base, axes[axis] - sum(i is None for i in items[: axes[axis]])
                case Copy(array=base) if base not in self.facts.growing:
                    array = base
                case Alloc(shape=extents) if array not in self.facts.growing:
                    self.atoms[node.out] = extents[axis]
                    return
                case _:
                    break
        if array in self.facts.growing:
            self.emit(changed(node, array=array, axis=axis))
        else:
            self.share(("dim", array, axis), changed(node, array=array, axis=axis), node.out)

    # -- control

    def rebuilt(self, node: If | For | While, **parts: Any) -> None:
        """Write `node` of other `parts`."""
        own = {k: block_of(p.nodes, getattr(node, k)) for k, p in parts.items() if isinstance(p, Block)}
        self.emit(changed(node, line=node.line or self.builder.line, **{**parts, **own}))

    def test(self, node: Check) -> None:
        test = self.atom(node.test)
        if test != TRUE:
            self.emit(self.node(node))
            self.assume(test, True)

    def branch(self, node: If) -> None:
        test = self.atom(node.test)
        if isinstance(test, Const):
            self.visit(node.then if test.value else node.orelse)
            self.atoms.update((m.out, self.atom(m.then if test.value else m.orelse)) for m in node.merges)
            return
        with self.scope() as then:
            self.assume(test, True)
            self.visit(node.then)
            first = self.all(m.then for m in node.merges)  # where the test is known
        with self.scope() as orelse:
            self.assume(test, False)
            self.visit(node.orelse)
            second = self.all(m.orelse for m in node.merges)
        self.forget(node)
        inner = {v for n in (*then, *orelse) for v in defines(n)}
        merges = self.merged(node.merges, test, zip(first, second, strict=True), inner)
        if then.nodes or orelse.nodes or merges:
            self.rebuilt(node, test=test, then=then, orelse=orelse, merges=merges)

    def merged(
        self, merges: Sequence[Merge], test: Atom, pairs: Iterable[tuple[Atom, Atom]], inner: set[Var]
    ) -> list[Merge]:
        """The merges that are needed: of what differs, and once; the branches define `inner`."""
        left: list[Merge] = []
        for m, (then, orelse) in zip(merges, pairs, strict=True):
            made = m if m.then is then and m.orelse is orelse else Merge(m.out, then, orelse)
            name = self.numbers.choice(test, made)
            if key(self.atom(m.then)) == key(self.atom(m.orelse)):
                self.atoms[m.out] = self.atom(m.then)
            elif is_undef(then) and orelse not in inner:
                self.atoms[m.out] = orelse
            elif is_undef(orelse) and then not in inner:
                self.atoms[m.out] = then
            elif (then, orelse) == (TRUE, FALSE):
                self.atoms[m.out] = test
            elif name in self.shared:
                self.atoms[m.out] = self.shared[name]
            else:
                left.append(made)
                self.register(name, m.out)
                self.numbers.merge(test, made)
        return left

    def steady(self, carries: Sequence[Carry]) -> list[Carry]:
        """The carries that change; the others are what they were before the loop."""
        left = []
        for c in carries:
            init, after = self.atom(c.init), self.atom(c.next)
            if after is c.param or key(after) == key(init):
                self.atoms[c.param] = self.atoms[c.out] = init
            else:
                left.append(c if init is c.init else Carry(c.param, init, c.next, c.out))
        return left

    def advanced(self, carries: Sequence[Carry]) -> list[Carry]:
        after = [self.atom(c.next) for c in carries]
        return [c if a is c.next else Carry(c.param, c.init, a, c.out) for c, a in zip(carries, after, strict=True)]

    def skip(self, carries: Sequence[Carry]) -> None:
        """The loop is not entered."""
        self.atoms.update((c.out, self.atom(c.init)) for c in carries)

    def count(self, node: For) -> None:
        lower, upper, step = self.all((node.lower, node.upper, node.step))
        if lower is upper or (
            all(isinstance(b, Const) for b in (lower, upper, step)) and not range(lower.value, upper.value, step.value)
        ):
            self.skip(node.carries)
            return
        carries = self.steady(node.carries)
        self.forget(node)
        with self.scope() as body:
            self.visit(node.body)
            carries = self.advanced(carries)
        if body.nodes or carries:
            self.rebuilt(node, lower=lower, upper=upper, step=step, body=body, carries=carries)

    def repeat(self, node: While) -> None:
        if self.atom(node.test) == FALSE:
            self.atoms.update((c.param, self.atom(c.init)) for c in node.carries)
            self.visit(node.head)
            self.skip(node.carries)
            return
        carries = self.steady(node.carries)
        self.forget(node)
        with self.scope() as head:
            self.visit(node.head)
            test = self.atom(node.test)
        with self.scope() as body:
            self.visit(node.body)
            carries = self.advanced(carries)
        self.rebuilt(node, head=head, test=test, body=body, carries=carries)


_VISIT: dict[type[Node], Callable[[_Folder, Any], None]] = {
    Let: _Folder.let,
    Load: _Folder.load,
    **dict.fromkeys((Store, Incr), _Folder.store),
    View: _Folder.view,
    Dim: _Folder.dim,
    If: _Folder.branch,
    For: _Folder.count,
    While: _Folder.repeat,
    Check: _Folder.test,
}
