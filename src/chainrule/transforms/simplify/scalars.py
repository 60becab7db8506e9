"""Small arrays become scalars: ``a = np.zeros(3)``, the product of two by two matrices, a state of four numbers.

An array of few elements, all of whose extents and indices are known, is no memory: every cell is the value it was
given last; branches merge it, loops carry it. Loops of a few rounds that count through such an array are written out,
and so are the products of such matrices; all others stay. What is kept for the way back is then a number for each
iteration, and LLVM sees what it does not see through memory that was allocated. An array is left alone if it is a
result, meets one that is not small in a product, is indexed by what is not known now, or would make the text too long.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.ir import ops
from chainrule.ir.build import Builder, constant, integer
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Atom,
    Block,
    Call,
    Carry,
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
    Op,
    Slice,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import Renaming, blocks, effects, nodes_of, reads, storage
from chainrule.transforms.simplify.facts import key
from chainrule.transforms.simplify.walk import Access

__all__ = ["scalarised"]

_MOST_CELLS = 16  # of an array
_MOST_ROUNDS = 6  # of a loop that is written out
_MOST_STATEMENTS = 256  # that a loop becomes
_NOTHING: frozenset[For] = frozenset()


def scalarised(function: Function) -> Function:
    """`function` with scalars for small arrays: those that are used again and again, all if that is shorter."""
    everywhere = _without(function, set(), everywhere=True)
    if len(nodes_of(everywhere.body)) <= len(nodes_of(function.body)):
        return everywhere
    return _without(function, set(), everywhere=False)


def _without(function: Function, large: set[Var], everywhere: bool) -> Function:
    """`function` without its small arrays, those that turn out to be `large` excepted."""
    while (survey := _Survey(function, large, everywhere)).needs:
        if survey.large == large:
            try:
                return _Writer(function, survey).function()
            except _TooLargeError as error:
                survey.large |= error.arrays
        large = survey.large
    return function


class _TooLargeError(Exception):
    """What only the writer finds out: these are no small arrays."""

    def __init__(self, arrays: Iterable[Var]) -> None:
        super().__init__()
        self.arrays = set(arrays)


class _Survey:
    """The arrays that may be scalars if those that are `large` may not, and the loops to be written out for them."""

    def __init__(self, function: Function, large: set[Var], everywhere: bool) -> None:
        self.large = set(large)
        self.fixed: dict[Var, frozenset[For]] = {}  # integers known when these loops are written out, and arrays
        self.roots: dict[Var, Var] = {}  # of every small array, the memory it would have
        self.needs: dict[Var, frozenset[For]] = {}  # by memory
        self.hot: set[Var] = set()  # memory that is used again and again
        self.again = everywhere or any(isinstance(n, Call) for n in nodes_of(function.body))  # what is here runs often
        if not any(isinstance(n, For) and n.parallel for n in nodes_of(function.body)):
            self.visit(function.body)
            self.refuse(*function.results)
            self.refuse(*(root for root, loops in self.needs.items() if loops and root not in self.hot))

    def refuse(self, *atoms: Atom) -> None:
        self.large.update(self.roots[a] for a in atoms if isinstance(a, Var) and a in self.roots)

    def loops(self, atoms: Iterable[Atom | None]) -> frozenset[For] | None:
        """Those to be written out for `atoms` to be known."""
        found = _NOTHING
        for atom in atoms:
            if isinstance(atom, Var):
                if atom not in self.fixed:
                    return None
                found |= self.fixed[atom]
        return found

    def need(self, array: Var, loops: frozenset[For]) -> None:
        root = self.roots[array]
        self.needs[root] |= self.fixed[array] | loops
        if self.again:
            self.hot.add(root)

    def born(self, array: Var, loops: frozenset[For]) -> None:
        if array not in self.large:
            self.roots[array], self.fixed[array], self.needs[array] = array, loops, loops

    def visit(self, block: Block) -> None:
        for node in block:
            again = self.again
            self.node(node)
            self.again |= isinstance(node, (For, While)) and getattr(node, "index", None) not in self.fixed
            for inner in blocks(node):
                self.visit(inner)
            self.again = again
            if isinstance(node, If):
                for merge in node.merges:
                    self.merge(merge)

    def node(self, node: Node) -> None:
        match node:
            case Let(out=out, args=args):
                if out.type.dtype in ("int64", "bool") and (loops := self.loops(args)) is not None:
                    self.fixed[out] = loops
            case For(index=index, lower=lower, upper=upper, step=Const() as step):
                loops, bounds = self.loops((lower, upper)), _known(lower, upper, step)
                if loops is not None and (bounds is None or len(range(*bounds)) <= _MOST_ROUNDS):
                    self.fixed[index] = loops | {node}
            case Alloc(out=out, shape=shape):
                loops, extents = self.loops(shape), _known(*shape)
                if loops is not None and (extents is None or math.prod(extents) <= _MOST_CELLS):
                    self.born(out, loops)
            case Load() | Store() | Incr() if node.array in self.roots:
                loops = self.loops(node.index)
                if loops is None:
                    self.refuse(node.array)
                else:
                    self.need(node.array, loops)
            case View(out=out, array=array) if array in self.roots:
                loops = self.loops(a for a in reads(node) if a is not array)
                if loops is None:
                    self.refuse(array)
                else:
                    self.roots[out], self.fixed[out] = self.roots[array], self.fixed[array] | loops
            case Dim(out=out, array=array) if array in self.roots:
                self.fixed[out] = self.fixed[array]
            case AddInto():
                for array in {node.array, node.source} & self.roots.keys():
                    self.need(array, _NOTHING)
            case Copy(out=out, array=array) if array in self.roots:
                self.need(array, _NOTHING)
                self.born(out, self.fixed[array])
            case Op(op="matmul", args=args) if self.again and all(a in self.roots for a in args):
                for a in args:
                    self.need(a, _NOTHING)  # type: ignore[arg-type]
                self.born(node.outs[0], self.fixed[args[0]] | self.fixed[args[1]])  # type: ignore[index]
            case If() | For() | While():
                pass
            case _:
                self.refuse(*reads(node))

    def merge(self, merge: Merge) -> None:
        if isinstance(merge.out.type, Array):
            ways = (merge.then, merge.orelse)
            if merge.out in self.large or not all(a in self.roots for a in ways):
                self.refuse(*ways)
            else:
                self.born(merge.out, self.fixed[ways[0]] | self.fixed[ways[1]])  # type: ignore[index]


class _Writer(Renaming):
    """Writes a function with scalars for the arrays of a survey."""

    def __init__(self, original: Function, survey: _Survey) -> None:
        super().__init__()
        self.original = original
        self.roots, self.needs = survey.roots, survey.needs
        self.short = _NOTHING.union(*survey.needs.values())
        self.builder = Builder()
        self.values: list[Atom] = []  # of all cells there have been
        self.names: list[str] = []
        self.places: dict[Var, Any] = {}  # the cells of an array, an array of their numbers
        self.budget: list[int] = []  # the statements left to each loop that is written out

    def function(self) -> Function:
        body = self.block(self.original.body)
        return dataclasses.replace(self.original, body=body, results=self.all(self.original.results))

    def block(self, block: Block) -> Block:
        with self.builder.inside(Block()) as made:
            self.visit(block)
        return made

    def visit(self, block: Block) -> None:
        for node in block:
            self.builder.line = node.line
            self.write(node)

    def write(self, node: Node) -> None:
        if self.budget:
            self.budget[-1] -= 1
        match node:
            case Let(out=out, op=op):
                self.let(out, op, self.all(node.args))
            case Load() | Store() | Incr() if node.array in self.roots:
                self.access(node)
            case View(out=out, array=array) if array in self.roots:
                self.places[out] = self.seen(node)
            case Dim(out=out, array=array, axis=axis) if array in self.roots:
                self.atoms[out] = integer(self.places[array].shape[axis])
            case Alloc(out=out) if out in self.roots:
                shape = self.numbers(node.shape, out)
                if min(shape) < 0 or math.prod(shape) > _MOST_CELLS:
                    raise _TooLargeError([out])
                self.make(
                    out, shape, [node.fill or constant(ops.unfilled(out.type.dtype), out.type.dtype)] * math.prod(shape)
                )
            case Copy(out=out, array=array) if array in self.roots:
                self.make(out, self.places[array].shape, self.read(array))
            case AddInto(array=array, source=source) if array in self.roots or source in self.roots:
                self.add(array, source)
            case Op(outs=(out,), args=(a, b)) if a in self.roots and b in self.roots:
                self.product(out, a, b)
            case If():
                self.branch(node)
            case For():
                self.rounds(node) if node in self.short else self.count(node)
            case While():
                self.repeat(node)
            case _:
                self.builder.emit(self.node(node))

    def let(self, out: Var, op: str, args: tuple[Atom, ...]) -> None:
        known = None
        if op != "cast":
            known = self.builder.fold(op, args)
        elif isinstance(args[0], Const):
            known = self.builder.cast(args[0], out.type.dtype)
        if known is None:
            self.builder.emit(Let(self.new(out), op, args))
        else:
            self.atoms[out] = known

    # -- cells

    def numbers(self, atoms: Iterable[Atom], *arrays: Var) -> tuple[int, ...]:
        """`atoms`, which are needed for `arrays` to be small."""
        found = _known(*self.all(atoms))
        if found is None:  # a division by zero
            raise _TooLargeError(arrays)
        return found

    def make(self, out: Var, shape: tuple[int, ...], values: list[Atom]) -> None:
        """An array of `values`: cells, or memory if others want it to be that."""
        if out in self.roots:
            self.places[out] = np.arange(len(self.values), len(self.values) + len(values)).reshape(shape)
            self.values += values
            self.names += [out.hint + "".join(map(str, index)) for index in np.ndindex(shape)]
        else:
            array = self.new(out)
            self.builder.emit(Alloc(array, tuple(map(integer, shape))))
            for index, value in zip(np.ndindex(shape), values, strict=True):
                self.builder.store(array, list(map(integer, index)), value)

    def read(self, array: Var) -> list[Atom]:
        return [self.values[cell] for cell in self.places[array].flat]

    def access(self, node: Access) -> None:
        root = self.roots[node.array]
        try:
            cell = self.places[node.array][self.numbers(node.index, root)]
        except IndexError:
            raise _TooLargeError([root]) from None
        match node:
            case Load(out=out):
                self.atoms[out] = self.values[cell]
            case Store(value=value):
                self.values[cell] = self.atom(value)
            case Incr(value=value):
                self.increment(cell, self.atom(value))

    def increment(self, cell: int, value: Atom) -> None:
        self.values[cell] = self.builder.let("add", self.values[cell], value, hint=self.names[cell])

    def seen(self, view: View) -> Any:
        """The cells that a view shows."""
        root, cells = self.roots[view.array], self.places[view.array]
        self.numbers([a for a in reads(view) if a is not view.array], root)
        items = tuple([_python(self.item(i)) for i in view.items])
        try:
            match view.kind:
                case "index":
                    return cells[items]
                case "transpose":
                    return cells.transpose(items)
            return cells.reshape(items)
        except (IndexError, ValueError):
            raise _TooLargeError([root]) from None

    def add(self, array: Var, source: Var) -> None:
        cells = self.places[array if array in self.roots else source]
        for index in np.ndindex(cells.shape):
            atoms = list(map(integer, index))
            if source in self.roots:
                value = self.values[self.places[source][index]]
            else:
                value = self.builder.load(self.atom(source), *atoms)
            if array in self.roots:
                self.increment(cells[index], value)
            else:
                self.builder.increment(self.atom(array), atoms, value)

    def product(self, out: Var, a: Var, b: Var) -> None:
        left, right = self.places[a], self.places[b]
        if left.shape[-1] != right.shape[0]:
            raise _TooLargeError([self.roots[a], self.roots[b]])
        rows, columns = [left] if left.ndim == 1 else left, [right] if right.ndim == 1 else right.T
        values = [self.sum(out, zip(row, column, strict=True)) for row in rows for column in columns]
        self.make(out, left.shape[:-1] + right.shape[1:], values)

    def sum(self, out: Var, pairs: Iterable[tuple[int, int]]) -> Atom:
        let, total = self.builder.let, None
        for x, y in pairs:
            term = let("multiply", self.values[x], self.values[y])
            total = term if total is None else let("add", total, term)
        return constant(0, out.type.dtype) if total is None else total

    # -- control

    def branch(self, node: If) -> None:
        test = self.atom(node.test)
        if isinstance(test, Const):
            self.visit(node.then if test.value else node.orelse)
            for m in node.merges:
                way = m.then if test.value else m.orelse
                if m.out in self.roots:
                    self.places[m.out] = self.places[way]  # type: ignore[index]
                else:
                    self.atoms[m.out] = self.atom(way)
            return
        then, first, left = self.way(node.then, [m.then for m in node.merges])
        orelse, second, right = self.way(node.orelse, [m.orelse for m in node.merges])
        merges: list[Merge] = []
        for cell, (x, y) in enumerate(zip(first, second, strict=False)):  # the branches' own cells come after these
            if key(x) == key(y):
                self.values[cell] = x
            else:
                self.values[cell] = self.merged(merges, cell, x, y)
        for m, xs, ys in zip(node.merges, left, right, strict=True):
            if m.out not in self.roots:
                merges.append(Merge(self.new(m.out), *xs, *ys))
                continue
            cells = self.places[m.then]  # type: ignore[index]
            if cells.shape != self.places[m.orelse].shape:  # type: ignore[index]
                raise _TooLargeError([m.out])
            self.make(m.out, cells.shape, xs)
            for cell, x, y in zip(self.places[m.out].flat, xs, ys, strict=True):
                self.values[cell] = self.merged(merges, cell, x, y)
        self.builder.line = node.line
        self.builder.emit(If(test, then, orelse, merges))

    def way(self, block: Block, atoms: Iterable[Atom]) -> tuple[Block, list[Atom], list[list[Atom]]]:
        """A branch: its statements, the cells at its end, and what it merges; after it they are what they were."""
        before = list(self.values)
        made = self.block(block)
        merging = [self.read(a) if isinstance(a, Var) and a in self.roots else [self.atom(a)] for a in atoms]
        after = self.values[: len(before)]
        self.values[: len(before)] = before
        return made, after, merging

    def merged(self, merges: list[Merge], cell: int, then: Atom, orelse: Atom) -> Var:
        out = Var(self.names[cell], then.type)
        merges.append(Merge(out, then, orelse))
        return out

    def rounds(self, node: For) -> None:
        """A loop written out."""
        arrays = [root for root, loops in self.needs.items() if node in loops]
        numbers = range(*self.numbers((node.lower, node.upper, node.step), *arrays))
        values = self.all(c.init for c in node.carries)
        self.budget.append(min([_MOST_STATEMENTS, *self.budget[-1:]]))
        for number in numbers:
            self.atoms[node.index] = integer(number)
            self.atoms.update(zip((c.param for c in node.carries), values, strict=True))
            self.visit(node.body)
            values = self.all(c.next for c in node.carries)
            if self.budget[-1] < 0 or len(numbers) > _MOST_ROUNDS:
                raise _TooLargeError(arrays)
        left = self.budget.pop()
        if self.budget:
            self.budget[-1] = left
        self.atoms.update(zip((c.out for c in node.carries), values, strict=True))

    def count(self, node: For) -> None:
        lower, upper, step = self.all((node.lower, node.upper, node.step))
        enter, cells = self.enter(node.carries), self.carried(node)
        index = self.new(node.index)
        body = self.block(node.body)
        carries = [*self.leave(node.carries, enter), *self.left(cells)]
        self.builder.line = node.line
        self.builder.emit(For(index, lower, upper, step, body, carries))

    def repeat(self, node: While) -> None:
        enter, cells = self.enter(node.carries), self.carried(node)
        head = self.block(node.head)
        test = self.atom(node.test)
        body = self.block(node.body)
        carries = [*self.leave(node.carries, enter), *self.left(cells)]
        self.builder.line = node.line
        self.builder.emit(While(head, test, body, carries))

    def carried(self, loop: For | While) -> list[tuple[int, Var, Atom]]:
        """What a loop carries because it writes there: the cell, its value in an iteration, and the one before."""
        arrays = dict.fromkeys(self.roots[a] for a in effects(loop) if a in self.roots)
        own = {v for n in nodes_of(*blocks(loop)) for v in storage(n)}
        found = []
        for cell in itertools.chain.from_iterable(self.places[a].flat for a in arrays if a not in own):
            before = self.values[cell]
            param = Var(self.names[cell], before.type)
            found.append((cell, param, before))
            self.values[cell] = param
        return found

    def left(self, cells: list[tuple[int, Var, Atom]]) -> list[Carry]:
        carries = []
        for cell, param, before in cells:
            out = Var(param.hint, param.type)
            carries.append(Carry(param, before, self.values[cell], out))
            self.values[cell] = out
        return carries


def _known(*atoms: Atom) -> tuple[int, ...] | None:
    """The numbers that `atoms` are, if they are constants."""
    return tuple([a.value for a in atoms]) if all(isinstance(a, Const) for a in atoms) else None  # type: ignore[union-attr]


def _python(item: Any) -> Any:
    if isinstance(item, Slice):
        return slice(*[None if bound is None else bound.value for bound in item])  # type: ignore[union-attr]
    return item if item is None else item.value
