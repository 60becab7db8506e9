"""Forward mode: a program that computes tangents next to its primals.

Scalars have a tangent if they are active (see `activity`), none where it is a structural zero; active arrays
have a shadow array, made where they are made, viewed and copied as they are, written to where they are. Several
directions at once share the primals. The result is an ordinary program, which can be transformed again.

Of what a test selects the tangent is a structural zero where the test fails, and stays one behind partials that are
infinite there: known are the tests of the numbers of a block, not those of what is carried or in memory.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from chainrule.ir.build import FALSE, TRUE, Builder, constant
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
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Merge,
    Node,
    Op,
    Reserve,
    Rule,
    Scalar,
    Store,
    Undef,
    Var,
    View,
    While,
)
from chainrule.ir.walk import defines, find_writes, is_number, nodes_of, settle_writes
from chainrule.transforms.activity import called_by, find_active, is_float
from chainrule.transforms.partials import Partial, array_tangent, convert, operands_of, partial, push
from chainrule.transforms.preaccumulate import preaccumulate

__all__ = ["jvp"]

# Their partial derivatives are finite where their operands are; so are those of powers with these exponents.
_TAME = frozenset(
    {"absolute", "arcsinh", "arctan", "copysign", "cos", "fabs", "hypot", "logaddexp", "logaddexp2", "logistic"}
    | {"multiply", "norm.root", "sin", "square", "tan", "tanh"}
)
_POWERS = frozenset({"float_power", "pow", "power"})


def jvp(function: Function, active: Sequence[bool], *others: Sequence[bool]) -> Function:
    """The program of `function` and its tangents.

    Parameters
    ----------
    function : Function
    active : sequence of bool
        For each parameter, float or complex if chosen, whether it has a tangent.
    *others : sequences of bool
        The same for further directions, whose tangents are computed at the same time.

    Returns
    -------
    Function
        Its parameters are those of `function` and for each direction the tangents it has; its results are
        those of `function` and for each direction a tangent of each that is float or complex. It writes to no
        argument: what `function` writes to is copied first, and the tangents are with respect to the values on entry.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT
    >>> from chainrule.ir.evaluate import evaluate
    >>> x, build = Var("x", FLOAT), Builder()
    >>> square = Function("square", (x,), build.block, (build.let("multiply", x, x),))
    >>> evaluate(jvp(square, [True]), [3.0, 1.0])
    (9.0, 6.0)
    """
    if any(isinstance(n, Call) and n.function is function for f in called_by(function) for n in nodes_of(f.body)):
        function = _calling(function)
    directions = (active, *others)
    writer = _Writer(find_active(function, [any(on) for on in zip(*directions, strict=True)]), {}, len(directions))
    params, tangents = writer.enter(function, directions)
    writer.body(function.body)
    results = writer.tangents([r for r in function.results if is_float(r)])
    settle_writes(writer.versions.values())
    return Function(
        f"{function.name}_jvp",
        (*params, *tangents),
        writer.build.block,
        (*function.results, *results),
        function.line,
    )


def _calling(function: Function) -> Function:
    """A program that calls `function` and does nothing else."""
    params = tuple(Var(p.hint, p.type) for p in function.params)
    outs = tuple(Var("y", r.type) for r in function.results)
    return Function(
        function.name, params, Block([Call(outs, function, params, line=function.line)]), outs, function.line
    )


class _Writer:
    """Writes one function, statement by statement; the primal statements are kept as they are."""

    def __init__(self, active: frozenset[Var], versions: dict[Function, Function], directions: int) -> None:
        self.active = active
        self.versions = versions  # of the functions that are called
        self.build = Builder()
        self.directions: list[dict[Atom, Atom]] = [{} for _ in range(directions)]
        self.dots = self.directions[0]  # the tangents in the direction that is being written
        self.lives: dict[Atom, Atom] = {}  # where a tangent is no structural zero
        self.bare: dict[Atom, Atom] = {}  # what it is there

    # -- tangents

    def dot(self, var: Var) -> Var:
        """A new variable for the tangent of `var`."""
        made = Var(f"{var.hint}_dot", var.type)
        self.dots[var] = made
        return made

    def set(self, var: Var, tangent: Atom | None) -> None:
        """Let `tangent`, if it was written just now, be called after `var`."""
        if tangent is None:
            return
        if isinstance(tangent, Var) and self.build.block.nodes and tangent in defines(self.build.block.nodes[-1]):
            tangent.hint = f"{var.hint}_dot"
        self.dots[var] = tangent

    def number(self, atom: Atom) -> Atom:
        """The tangent of a scalar, zero if it has none."""
        if isinstance(atom, Undef):
            return atom
        return self.dots.get(atom, constant(0, atom.type.dtype))

    def zeros(self, array: Var) -> Var:
        dtype, ndim = array.type  # type: ignore[misc]
        shape = [self.build.dim(array, k) for k in range(ndim)]
        return self.build.alloc(dtype, shape, 0, hint=f"{array.hint}_dot")

    def tangent(self, atom: Atom) -> Atom:
        """The tangent of a result."""
        if isinstance(atom, Var) and isinstance(atom.type, Array):
            return self.dots[atom] if atom in self.dots else self.zeros(atom)
        return self.number(atom)

    def each(self) -> Iterator[None]:
        """Go through the directions."""
        for dots in self.directions:
            self.dots = dots
            yield

    def tangents(self, atoms: Sequence[Atom]) -> tuple[Atom, ...]:
        """The tangents of results, direction by direction."""
        return tuple(self.tangent(a) for _ in self.each() for a in atoms)

    # -- functions

    def enter(self, function: Function, directions: Sequence[Sequence[bool]]) -> tuple[list[Var], list[Var]]:
        """The parameters and their tangents, with private copies of the arrays that the function writes to."""
        writes = find_writes(function)
        self.build.line = function.line
        params = [Var(p.hint, p.type) if p in writes else p for p in function.params]
        for p, given in zip(function.params, params, strict=True):
            if p is not given:
                self.build.emit(Copy(p, given))
        tangents = []
        for active, _ in zip(directions, self.each(), strict=True):
            for p, chosen in zip(function.params, active, strict=True):
                dot = Var(f"{p.hint}_dot", p.type)
                if chosen:
                    tangents.append(dot)
                if p in writes and p in self.active:
                    self.dots[p] = self.build.copy(dot) if chosen else self.zeros(p)
                elif chosen and p not in writes:
                    self.set(p, dot)
        return params, tangents

    def version(self, function: Function) -> Function:
        """The program that computes a called function together with its tangents, which it writes in place."""
        if function not in self.versions:
            writer = _Writer(self.active, self.versions, len(self.directions))
            dots = [(p, writer.dot(p)) for _ in writer.each() for p in function.params if p in self.active]
            params = (*function.params, *(dot for _, dot in dots))
            writes = function.writes.union(dot for p, dot in dots if p in function.writes)
            grows = function.grows.union(dot for p, dot in dots if p in function.grows)
            made = Function(f"{function.name}_dot", params, writer.build.block, (), function.line, writes, grows=grows)
            self.versions[function] = made
            writer.body(function.body)
            made.results = (*function.results, *writer.tangents([r for r in function.results if r in self.active]))
        return self.versions[function]

    # -- blocks

    def body(self, block: Block) -> None:
        for node in block:
            self.build.line = node.line
            if type(node) in _CONTROL:
                _CONTROL[type(node)](self, node)
                continue
            self.keep(node)
            for _ in self.each() if type(node) in _STATEMENTS else ():
                _STATEMENTS[type(node)](self, node)

    def inner(self, block: Block) -> Block:
        line = self.build.line
        with self.build.inside(Block()) as made:
            self.body(block)
        self.build.line = line
        return made

    def keep(self, node: Node) -> None:
        self.build.block.nodes.append(node)

    # -- scalars and memory

    def let(self, node: Let) -> None:
        if node.out in self.active:
            self.set(node.out, self.change(node))

    def change(self, node: Let) -> Atom | None:
        """The tangent of a scalar operation."""
        build, out, args = self.build, Scalar(node.out.type.dtype), node.args
        given = [(k, self.dots[a]) for k, a in enumerate(args) if a in self.dots]
        if not given:
            return None
        if node.op == "cast":
            tangent = given[0][1]
            made = convert(build, tangent, out.dtype)
            if made is not tangent:
                self.restrict(made, self.live(tangent))
            return made
        if node.op == "where":
            return self.where(*args)
        total: Atom | None = None
        lives: list[Atom] = []
        shares = 0  # of what is all of it selected from; they sum to one
        for k, tangent in given:
            rule = partial(node.op, k, operands_of(args))
            if rule is not None:
                term = self.term(node, k, rule, tangent)
                lives.append(self.live(term))
                shares += rule.structural and tangent not in self.lives
                total = self.sum(total, term)
        if lives and not 1 < shares == len(args):
            self.restrict(total, functools.reduce(lambda x, y: build.let("logical_or", x, y), lives))
        return total

    def term(self, node: Let, index: int, rule: Partial, tangent: Atom) -> Atom:
        """What the `tangent` of an argument contributes to that of the result."""
        build, values, live = self.build, (node.out, *node.args), self.live(tangent)
        if rule.structural:
            share = build.inline(rule.function, values)[0]
            live = build.let("logical_and", live, build.let("not_equal", share, constant(0, share.type.dtype)))
        masked = live != TRUE and any(rule.reads) and not (rule.structural or _is_tame(node, index))
        moved = self.bare.get(tangent, tangent) if masked else tangent
        made = push(build, rule, values, moved, Scalar(node.out.type.dtype))
        if masked:
            made = build.let("where", live, made, constant(0, made.type.dtype))
        if made is not tangent:
            self.restrict(made, live)
        return made

    def where(self, test: Atom, then: Atom, orelse: Atom) -> Atom:
        sides = self.number(then), self.number(orelse)
        live = self.either(test, *map(self.live, sides))
        made = self.build.let("where", test, *sides)
        self.restrict(made, live)
        return made

    # -- structural zeros

    def live(self, tangent: Atom) -> Atom:
        """Where `tangent` is no structural zero."""
        return FALSE if is_number(tangent, 0) else self.lives.get(tangent, TRUE)

    def restrict(self, tangent: Atom | None, live: Atom) -> None:
        """Where `live` is false `tangent`, if it was made just now, is a structural zero."""
        if isinstance(tangent, Var) and tangent not in self.lives and live != TRUE:
            self.lives[tangent] = live
            made = self.build.definition(tangent)
            if made is not None and made.op == "where" and is_number(made.args[2], 0):
                self.bare[tangent] = made.args[1]
            elif made is not None and made.op == "where" and is_number(made.args[1], 0):
                self.bare[tangent] = made.args[2]

    def either(self, test: Atom, then: Atom, orelse: Atom) -> Atom:
        """`then` where `test` is true, `orelse` elsewhere."""
        build = self.build
        if then == TRUE and orelse == TRUE:
            return TRUE
        yes = build.let("logical_and", test, then)
        no = build.let("logical_and", build.let("logical_not", test), orelse)
        return build.let("logical_or", yes, no)

    def sum(self, total: Atom | None, term: Atom) -> Atom:
        """`total` + `term`; the sum of arrays is the first of them, which nothing else knows of."""
        if total is None or is_number(term, 0):
            return term if total is None else total
        if isinstance(term.type, Array):
            self.build.add_into(total, term)  # type: ignore[arg-type]
            return total
        negated = self.build.definition(term) if isinstance(term, Var) else None
        if negated is not None and negated.op == "negative":
            return self.build.let("subtract", total, negated.args[0])
        return self.build.let("add", total, term)

    def load(self, node: Load) -> None:
        if node.array in self.dots:
            self.build.emit(Load(self.dot(node.out), self.dots[node.array], node.index))  # type: ignore[arg-type]

    def store(self, node: Store) -> None:
        if node.array in self.dots:
            self.build.store(self.dots[node.array], node.index, self.number(node.value))  # type: ignore[arg-type]

    def increment(self, node: Incr) -> None:
        if node.array in self.dots and node.value in self.dots:
            self.build.increment(self.dots[node.array], node.index, self.dots[node.value])  # type: ignore[arg-type]

    def view(self, node: View) -> None:
        if node.array in self.dots:
            self.build.emit(View(self.dot(node.out), self.dots[node.array], node.kind, node.items))  # type: ignore[arg-type]

    def alloc(self, node: Alloc) -> None:
        if node.out in self.active:
            fill = None if node.fill is None else constant(0, node.out.type.dtype)
            self.build.emit(Alloc(self.dot(node.out), node.shape, fill))

    def copy(self, node: Copy) -> None:
        if node.array in self.dots:
            self.build.emit(Copy(self.dot(node.out), self.dots[node.array]))  # type: ignore[arg-type]
        elif node.out in self.active:
            self.dots[node.out] = self.zeros(node.out)

    def add_into(self, node: AddInto) -> None:
        if node.array in self.dots and node.source in self.dots:
            self.build.add_into(self.dots[node.array], self.dots[node.source])  # type: ignore[arg-type]

    def reserve(self, node: Reserve) -> None:
        if node.array in self.dots:
            self.build.emit(Reserve(self.dots[node.array], node.size))  # type: ignore[arg-type]

    # -- operations on whole arrays, calls

    def op(self, node: Op) -> None:
        totals: list[Atom | None] = [None] * len(node.outs)
        for k, a in enumerate(node.args):
            rule = array_tangent(node.op, k, tuple(x.type for x in node.args)) if a in self.dots else None
            if rule is not None:
                terms = self.build.inline(rule, (*node.outs, *node.args, self.dots[a]))
                totals = [self.sum(total, term) for total, term in zip(totals, terms, strict=True)]
        for out, total in zip(node.outs, totals, strict=True):
            if out in self.active:
                self.set(out, self.zeros(out) if total is None and isinstance(out.type, Array) else total)

    def ruled(self, node: Call, rule: Rule) -> None:
        """A function with a rule of its own."""
        self.keep(node)
        for _ in self.each():
            if any(a in self.dots for a in node.args):
                given = [self.tangent(a) for a in node.args if is_float(a)]
                found = self.build.inline(rule.jvp, (*node.args, *given))[len(node.outs) :]
                for out, tangent in zip([o for o in node.outs if is_float(o)], found, strict=True):
                    if out in self.active:
                        self.set(out, tangent)

    def call(self, node: Call) -> None:
        if node.function.rule is not None:
            self.ruled(node, node.function.rule)
            return
        callee, function = node.function, self.version(node.function)
        given = self.tangents([a for a, p in zip(node.args, callee.params, strict=True) if p in self.active])
        active = [out for out, r in zip(node.outs, callee.results, strict=True) if r in self.active]
        made = [self.dot(out) for _ in self.each() for out in active]
        self.build.emit(Call((*node.outs, *made), function, (*node.args, *given)))
        for _ in self.each():
            for out in node.outs:  # merged with an array that carries a derivative
                if isinstance(out.type, Array) and out in self.active and out not in self.dots:
                    self.dots[out] = self.zeros(out)

    # -- control

    def branch(self, node: If) -> None:
        then, orelse = self.inner(node.then), self.inner(node.orelse)
        merges = list(node.merges)
        for _ in self.each():
            for m in node.merges:
                if m.out in self.active and (m.then in self.dots or m.orelse in self.dots):
                    sides = [self.dots[a] if isinstance(a.type, Array) else self.number(a) for a in (m.then, m.orelse)]
                    merges.append(Merge(self.dot(m.out), *sides))
                    lives = [self.live(s) for s in sides]
                    if not isinstance(m.out.type, Array) and lives != [TRUE, TRUE]:
                        merges.append(Merge(Var("live", TRUE.type), *lives))
                        self.restrict(merges[-2].out, merges[-1].out)
        self.build.emit(If(node.test, then, orelse, merges))

    def loop(self, node: For | While) -> None:
        active = [c for c in node.carries if c.param in self.active]
        starts = [(self.number(c.init), self.dot(c.param)) for _ in self.each() for c in active]
        body = self.inner(node.body)
        ends = [(self.number(c.next), self.dot(c.out)) for _ in self.each() for c in active]
        added = [Carry(p, init, after, out) for (init, p), (after, out) in zip(starts, ends, strict=True)]
        carries = [*node.carries, *added]
        preaccumulate(body, carries, added, self.build)
        if isinstance(node, For):
            self.build.emit(For(node.index, node.lower, node.upper, node.step, body, carries))
        else:
            self.build.emit(While(node.head, node.test, body, carries))


def _is_tame(node: Let, index: int) -> bool:
    """Whether the partial derivative in that argument is finite where the operands are."""
    if node.op in _POWERS:
        exponent = node.args[1]
        return index == 0 and isinstance(exponent, Const) and exponent.value >= 1
    return node.op in _TAME


_STATEMENTS: dict[type[Node], Any] = {
    Let: _Writer.let,
    Load: _Writer.load,
    Store: _Writer.store,
    Incr: _Writer.increment,
    View: _Writer.view,
    Alloc: _Writer.alloc,
    Copy: _Writer.copy,
    AddInto: _Writer.add_into,
    Reserve: _Writer.reserve,
    Op: _Writer.op,
}
_CONTROL: dict[type[Node], Any] = {
    Call: _Writer.call,
    If: _Writer.branch,
    For: _Writer.loop,
    While: _Writer.loop,
}
