"""Linear recursion as loops: a function that calls itself once, whichever path it takes, calls nothing any more.

What stands before its call runs level by level in a loop down, what stands behind it in a loop up, and between the
two the level that ends the recursion. The loop up finds the arguments of its level again where they are the same at
all levels or integers that grow by a constant; other numbers that it needs are kept, one array for each. If nothing
stands behind the call (`return f(n - 1, acc * x)`), there is no loop up.

Functions stay as they are whose calls stand in loops, that hand on other arrays than they got, return arrays, or use
one behind the call that they made before it; and those that do more than compute before they know that they go on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from chainrule.ir.build import FALSE, INT, TRUE, Builder, integer
from chainrule.ir.nodes import (
    Alloc,
    Array,
    Atom,
    Block,
    Call,
    Carry,
    Check,
    Const,
    Dim,
    For,
    Function,
    If,
    Let,
    Load,
    Merge,
    Node,
    Reserve,
    Scalar,
    Var,
    View,
    While,
)
from chainrule.ir.walk import Renaming, acts, blocks, defines, effects, nodes_of, reads, roots_of

__all__ = ["Calling", "called", "looped"]

DEEPEST = 10**8  # levels; what goes deeper does not end


def looped(function: Function) -> Function:
    """`function`, in which loops stand for calls of functions that are linearly recursive.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT
    >>> from chainrule.ir.evaluate import evaluate
    >>> n, x, y = Var("n", INT), Var("x", FLOAT), Var("y", FLOAT)
    >>> down = Builder()
    >>> power = Function("power", (n, x), Block(), ())
    >>> down.emit(Call((y,), power, (down.let("subtract", n, integer(1)), x)))
    >>> product, result = down.let("multiply", x, y), Var("result", FLOAT)
    >>> top = Builder(power.body)
    >>> end = top.let("equal", n, integer(0))
    >>> top.emit(If(end, Block(), down.block, [Merge(result, Const(1.0, FLOAT), product)]))
    >>> power.results = (result,)
    >>> flat = looped(power)
    >>> any(isinstance(node, Call) for node in nodes_of(flat.body))
    False
    >>> evaluate(flat, [3, 2.0])
    (8.0,)
    """
    functions = list(called(function))
    flat = {f: version for f in functions if (version := _loops(f)) is not None}
    if not flat:
        return function
    bodies = [flat.get(f, f).body for f in functions]
    heads = nodes_of(*(n.head for n in nodes_of(*bodies) if isinstance(n, While)))  # which have no effects
    stay = {n for n in heads if isinstance(n, Call)}
    asked = {function, *(n.function for n in stay)}
    others = {f: dataclasses.replace(f) for f in functions if f in asked or f not in flat}
    for f, made in others.items():
        writer = _Inlining(flat, others, stay)
        made.body = writer.block(flat.get(f, f).body)
        made.results = writer.all(flat.get(f, f).results)
    return others[function]


def called(function: Function) -> Iterator[Function]:
    """`function` and all that it calls, directly or not."""
    found = {function: None}
    waiting = [function]
    while waiting:
        current = waiting.pop()
        yield current
        new = {n.function: None for n in nodes_of(current.body) if isinstance(n, Call) and n.function not in found}
        found.update(new)
        waiting.extend(new)


class Calling(Renaming):
    """Copies nodes, and calls what stands for the `functions` that they call."""

    def __init__(self, functions: dict[Function, Function]) -> None:
        super().__init__()
        self.functions = functions

    def block(self, block: Block) -> Block:
        made = Block()
        for node in block:
            made.nodes += self.call(node) if isinstance(node, Call) else [self.node(node)]
        return made

    def call(self, call: Call) -> list[Node]:
        return [dataclasses.replace(self.node(call), function=self.functions[call.function])]  # type: ignore[call-arg]


class _Inlining(Calling):
    """The bodies of functions that are `flat` stand for their calls, but for those that `stay`."""

    def __init__(self, flat: dict[Function, Function], functions: dict[Function, Function], stay: set[Call]) -> None:
        super().__init__(functions)
        self.flat, self.stay = flat, stay

    def call(self, call: Call) -> list[Node]:
        version = self.flat.get(call.function)
        if version is None or call in self.stay:
            return super().call(call)
        inner = _Inlining(self.flat, self.functions, self.stay)
        inner.atoms.update(zip(version.params, self.all(call.args), strict=True))
        nodes = inner.block(version.body).nodes
        self.atoms.update(zip(call.outs, inner.all(version.results), strict=True))
        return nodes


# -- the shape of a recursion -------------------------------------------------------------------------


class _Path(NamedTuple):
    """A block on the way to the calls: the statements before the one that is or holds a call, this, and the rest."""

    before: list[Node]
    holder: Call | If
    behind: list[Node]


class _Shape:
    """A linearly recursive function: where its calls stand, and what the loop up has to know."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.paths: dict[Block, _Path] = {}
        self.calls: list[Call] = []
        self.is_linear = self._enter(function.body) and bool(self.calls)

    def _enter(self, block: Block) -> bool:
        """Find the path to the calls in `block`; whether it is one."""
        holders = [k for k, node in enumerate(block.nodes) if self._holds(node)]
        if not holders:
            return True
        (first, *others) = holders
        node = block.nodes[first]
        if others or not isinstance(node, (Call, If)):
            return False
        self.paths[block] = _Path(block.nodes[:first], node, block.nodes[first + 1 :])
        if isinstance(node, Call):
            self.calls.append(node)
            return node.function is self.function
        return self._enter(node.then) and self._enter(node.orelse)

    def _holds(self, node: Node) -> bool:
        """Whether the function is called by `node`, or by what that calls."""
        calls = [n for n in nodes_of(Block([node])) if isinstance(n, Call)]
        return any(self.function in called(n.function) for n in calls)

    def passes_its_arrays(self) -> bool:
        """Whether all arrays are handed on as they are, and none is returned."""
        pairs = [pair for call in self.calls for pair in zip(call.args, self.function.params, strict=True)]
        same = all(a is p for a, p in pairs if isinstance(p.type, Array))
        return same and not any(isinstance(r.type, Array) for r in self.function.results)

    # -- arguments

    def steps(self) -> dict[Var, int]:
        """The integers among the parameters that grow by a constant at every call, or stay; numbers that stay."""
        found = {}
        definitions = {n.out: n for n in nodes_of(self.function.body) if isinstance(n, Let)}
        for k, p in enumerate(self.function.params):
            steps = {_step(p, call.args[k], definitions) for call in self.calls}
            step = steps.pop()
            if not steps and step is not None:
                found[p] = step
        return found

    # -- what is used behind the calls

    def is_tail(self) -> bool:
        """Whether the results of the calls are those of the function as they are."""
        return self._is_tail(self.function.body, self.function.results)

    def _is_tail(self, block: Block, results: Sequence[Atom]) -> bool:
        path = self.paths.get(block)
        if path is None:
            return True
        if path.behind:
            return False
        if isinstance(path.holder, Call):
            return path.holder.outs == tuple(results)
        merges = {m.out: m for m in path.holder.merges}
        if not all(r in merges for r in results):
            return False
        then = self._is_tail(path.holder.then, [merges[r].then for r in results])  # type: ignore[index]
        return then and self._is_tail(path.holder.orelse, [merges[r].orelse for r in results])  # type: ignore[index]

    def is_sure(self, block: Block) -> bool:
        """Whether the function is called whatever way is taken through `block`."""
        path = self.paths.get(block)
        return path is not None and (isinstance(path.holder, Call) or all(map(self.is_sure, blocks(path.holder))))

    def only_computes(self) -> bool:
        """Whether nothing happens before it is certain that the function is called."""
        return not any(acts(Block(path.before)) for block, path in self.paths.items() if not self.is_sure(block))

    def used_behind(self) -> list[Atom]:
        """What is read behind the calls."""
        used = list(self.function.results)
        for path in self.paths.values():
            for node in nodes_of(Block(path.behind)):
                used += reads(node)
            if isinstance(path.holder, If):
                used += reads(path.holder)
        return used


def _step(param: Var, arg: Atom, definitions: dict[Var, Let]) -> int | None:
    if arg is param:
        return 0
    node = definitions.get(arg) if isinstance(arg, Var) else None
    if node is None or param.type != INT or node.op not in ("add", "subtract") or node.args[0] is not param:
        return None
    by = node.args[1]
    if not isinstance(by, Const):
        return None
    return int(by.value) if node.op == "add" else -int(by.value)


# -- the loops ----------------------------------------------------------------------------------------


def _loops(function: Function) -> Function | None:
    """`function` without its calls of itself, None if it is not linearly recursive."""
    shape = _Shape(function)
    if not shape.is_linear or shape.is_sure(function.body):
        return None
    if not shape.passes_its_arrays() or not shape.only_computes():
        return None
    writer = _Loops(shape)
    return writer.function() if writer.can_be_written else None


class _Loops:
    """Writes the loops of a linearly recursive function."""

    def __init__(self, shape: _Shape) -> None:
        self.shape = shape
        self.steps = shape.steps()
        self.roots = roots_of(shape.function)
        self.written = {self.roots[a] for node in shape.function.body for a in effects(node)}
        self.build = Builder()
        self.kept: dict[Var, Var] = {}  # what the loop up needs -> the array with its values at all levels
        self.again: set[Node] = set()  # the statements before the calls that the loop up repeats
        self.can_be_written = shape.is_tail() or self._survey()

    def _survey(self) -> bool:
        """Find out how the loop up has what it needs; whether it can."""
        definitions = {v: n for path in self.shape.paths.values() for n in path.before for v in defines(n)}
        params = self.shape.function.params
        waiting, seen = self.shape.used_behind(), set[Atom]()
        while waiting:
            var = waiting.pop()
            if not isinstance(var, Var) or var in seen:
                continue
            seen.add(var)
            node = definitions.get(var)
            if node is not None and self._repeats(node):
                self.again.add(node)
                waiting.extend(reads(node))
            elif isinstance(var.type, Array) and node is not None:
                return False
            elif node is not None or (var in params and isinstance(var.type, Scalar) and var not in self.steps):
                self.kept[var] = Var(f"{var.hint}_kept", Array(var.type.dtype, 1))
        return True

    def _repeats(self, node: Node) -> bool:
        """Whether a statement before the call is better repeated than its result kept."""
        match node:
            case View(array=array) | Dim(array=array):
                return self.roots[array] in self.shape.function.params
            case Load(array=array):
                return self.roots[array] in self.shape.function.params and self.roots[array] not in self.written
            case Let(out=out):
                return out.type.dtype in ("int64", "bool")
        return False

    def function(self) -> Function:
        function, build = self.shape.function, self.build
        build.line = function.line
        for array in self.kept.values():
            build.emit(Alloc(array, (integer(0),)))
        changing = [p for p in function.params if isinstance(p.type, Scalar) and self.steps.get(p) != 0]
        levels, last = Var("levels", INT), {p: Var(p.hint, p.type) for p in changing}
        self._down(last, levels)
        ended = Renaming(dict(last))
        self._end(function.body, ended)
        results = ended.all(function.results)
        if not self.shape.is_tail():
            results = self._up(levels, results)
        return dataclasses.replace(function, body=build.block, results=results)

    # -- down

    def _down(self, last: dict[Var, Var], levels: Var) -> None:
        """The loop down; `last` is what becomes of the parameters, `levels` how many there are before the last."""
        function, build = self.shape.function, self.build
        level, here = Var("level", INT), {p: Var(p.hint, p.type) for p in last}
        with build.inside(Block()) as head:
            more = self._is_called(function.body, Renaming(dict(here)))
        with build.inside(Block()) as body:
            message = f"{function.name} calls itself more than {DEEPEST} times: it does not end"
            build.emit(Check(build.let("less", level, integer(DEEPEST)), "RecursionError", (message,)))
            below = build.let("add", level, integer(1))
            for var, array in self.kept.items():
                build.emit(Reserve(array, below))
                if var in here:
                    build.store(array, (level,), here[var])
            args = self._before(function.body, Renaming(dict(here)), list(last), level)
        carries = [Carry(level, integer(0), below, levels)]
        carries += [Carry(here[p], p, arg, last[p]) for p, arg in zip(last, args, strict=True)]
        build.emit(While(head, more, body, carries))

    def _is_called(self, block: Block, renaming: Renaming) -> Atom:
        """Whether the function is called in `block`."""
        if block not in self.shape.paths or self.shape.is_sure(block):
            return TRUE if block in self.shape.paths else FALSE
        path, build = self.shape.paths[block], self.build
        for node in path.before:
            build.emit(renaming.node(node))
        assert isinstance(path.holder, If)
        test, found = renaming.atom(path.holder.test), []
        then, orelse = Block(), Block()
        for inner, made in ((path.holder.then, then), (path.holder.orelse, orelse)):
            with build.inside(made):
                found.append(self._is_called(inner, renaming))
        match found:
            case [Const(value=True), Const(value=False)]:
                return test  # type: ignore[no-any-return]
            case [Const(value=False), Const(value=True)]:
                return build.let("logical_not", test, hint="more")
        more = Var("more", Scalar("bool"))
        build.emit(If(test, then, orelse, [Merge(more, *found)], line=path.holder.line))
        return more

    def _before(self, block: Block, renaming: Renaming, changing: list[Var], level: Atom) -> list[Atom]:
        """Write what stands before the call, which is made; its arguments."""
        path, build = self.shape.paths[block], self.build
        for node in path.before:
            build.emit(renaming.node(node))
            for v in defines(node):
                if v in self.kept:
                    build.store(self.kept[v], (level,), renaming.atom(v))
        if isinstance(path.holder, Call):
            args = dict(zip(self.shape.function.params, path.holder.args, strict=True))
            return [renaming.atom(args[p]) for p in changing]
        inside = [b for b in blocks(path.holder) if b in self.shape.paths]
        if len(inside) == 1:
            return self._before(inside[0], renaming, changing, level)
        then, orelse, found = Block(), Block(), []
        for inner, made in zip(inside, (then, orelse), strict=True):
            with build.inside(made):
                found.append(self._before(inner, renaming, changing, level))
        merges = [Merge(Var(p.hint, p.type), a, b) for p, a, b in zip(changing, *found, strict=True)]
        build.emit(If(renaming.atom(path.holder.test), then, orelse, merges, line=path.holder.line))
        return [m.out for m in merges]

    # -- at the end, and up

    def _end(self, block: Block, renaming: Renaming) -> None:
        """Write what `block` does at the level that calls no more."""
        path = self.shape.paths.get(block)
        if path is None:
            self._copy(block.nodes, renaming)
            return
        self._copy(path.before, renaming)
        assert isinstance(path.holder, If)
        self._branch(path.holder, renaming, [not self.shape.is_sure(b) for b in blocks(path.holder)], self._end)
        self._copy(path.behind, renaming)

    def _up(self, levels: Var, ended: Sequence[Atom]) -> tuple[Atom, ...]:
        """The loop up, from the results of the level that `ended` the recursion; its results."""
        function, build, level = self.shape.function, self.build, Var("level", INT)
        found, outs = ([Var(_hint(r, function), r.type) for r in function.results] for _ in range(2))
        renaming = Renaming()
        with build.inside(Block()) as body:
            for p in function.params:
                if p in self.kept:
                    renaming.atoms[p] = build.load(self.kept[p], level, hint=p.hint)
                elif self.steps.get(p):
                    grown = build.let("multiply", level, integer(self.steps[p]))
                    renaming.atoms[p] = build.let("add", p, grown, hint=p.hint)
            self._behind(function.body, renaming, found, level)
            after = renaming.all(function.results)
        carries = [Carry(*four) for four in zip(found, ended, after, outs, strict=True)]
        top = build.let("subtract", levels, integer(1))
        build.emit(For(level, top, integer(-1), integer(-1), body, carries))
        return tuple(outs)

    def _behind(self, block: Block, renaming: Renaming, found: Sequence[Atom], level: Atom) -> None:
        """Write what stands behind the call, which has `found` its results."""
        path, build = self.shape.paths[block], self.build
        for node in path.before:
            if node in self.again:
                build.emit(renaming.node(node))
            for v in defines(node):
                if v in self.kept:
                    renaming.atoms[v] = build.load(self.kept[v], level, hint=v.hint)
        if isinstance(path.holder, Call):
            renaming.atoms.update(zip(path.holder.outs, found, strict=True))
        else:
            calls = [b in self.shape.paths for b in blocks(path.holder)]
            self._branch(path.holder, renaming, calls, lambda b, r: self._behind(b, r, found, level))
        self._copy(path.behind, renaming)

    def _branch(
        self, node: If, renaming: Renaming, taken: Sequence[bool], write: Callable[[Block, Renaming], None]
    ) -> None:
        """Write a branch, or the only side of it that may be taken."""
        if not all(taken):
            write(node.then if taken[0] else node.orelse, renaming)
            for m in node.merges:
                renaming.atoms[m.out] = renaming.atom(m.then if taken[0] else m.orelse)
            return
        then, orelse = Block(), Block()
        for inner, made in ((node.then, then), (node.orelse, orelse)):
            with self.build.inside(made):
                write(inner, renaming)
        merges = [Merge(Var(m.out.hint, m.out.type), *renaming.all((m.then, m.orelse))) for m in node.merges]
        self.build.emit(If(renaming.atom(node.test), then, orelse, merges, line=node.line))
        renaming.atoms.update((old.out, new.out) for old, new in zip(node.merges, merges, strict=True))

    def _copy(self, nodes: Sequence[Node], renaming: Renaming) -> None:
        for node in nodes:
            self.build.emit(renaming.node(node))


def _hint(result: Atom, function: Function) -> str:
    return result.hint if isinstance(result, Var) else function.name
