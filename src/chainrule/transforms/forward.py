"""Forward mode: a program that computes tangents next to its primals.

Scalars have a tangent if they are active (see `activity`), none where it is a structural zero; active arrays
have a shadow array, made where they are made, viewed and copied as they are, written to where they are. The
result is an ordinary program, which can be transformed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.ir.build import Builder, constant
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Array,
    Atom,
    Block,
    Call,
    Carry,
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
from chainrule.ir.walk import defines, find_writes, is_number, nodes_of
from chainrule.transforms.activity import called_by, find_active, is_float
from chainrule.transforms.partials import array_tangent, convert, operands_of, partial, push

__all__ = ["jvp"]


def jvp(function: Function, active: Sequence[bool]) -> Function:
    """The program of `function` and its tangents.

    Parameters
    ----------
    function : Function
    active : sequence of bool
        For each parameter, float or complex if chosen, whether it has a tangent.

    Returns
    -------
    Function
        Its parameters are those of `function` and a tangent for each active one; its results are those of
        `function` and a tangent for each that is float or complex. It writes to no argument: what `function`
        writes to is copied first, and the tangents are with respect to the values on entry.

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
    writer = _Writer(find_active(function, active), {})
    params, tangents = writer.enter(function, active)
    writer.body(function.body)
    results = tuple(writer.tangent(r) for r in function.results if is_float(r))
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

    def __init__(self, active: frozenset[Var], versions: dict[Function, Function]) -> None:
        self.active = active
        self.versions = versions  # of the functions that are called
        self.build = Builder()
        self.dots: dict[Atom, Atom] = {}

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

    # -- functions

    def enter(self, function: Function, active: Sequence[bool]) -> tuple[list[Var], list[Var]]:
        """The parameters and their tangents, with private copies of the arrays that the function writes to."""
        params, tangents = [], []
        writes = find_writes(function)
        self.build.line = function.line
        for p, chosen in zip(function.params, active, strict=True):
            given = Var(f"{p.hint}_dot", p.type) if chosen else None
            if given is not None:
                tangents.append(given)
            if p not in writes:
                params.append(p)
                self.set(p, given)
                continue
            params.append(Var(p.hint, p.type))
            self.build.emit(Copy(p, params[-1]))
            if p in self.active:
                self.dots[p] = self.zeros(p) if given is None else self.build.copy(given)
        return params, tangents

    def version(self, function: Function) -> Function:
        """The program that computes a called function together with its tangents, which it writes in place."""
        if function not in self.versions:
            writer = _Writer(self.active, self.versions)
            dots = {p: writer.dot(p) for p in function.params if p in self.active}
            params = (*function.params, *dots.values())
            writes = function.writes.union(dots[p] for p in function.writes if p in dots)
            made = Function(f"{function.name}_dot", params, writer.build.block, (), function.line, writes)
            self.versions[function] = made
            writer.body(function.body)
            made.results = (*function.results, *(writer.tangent(r) for r in function.results if r in self.active))
        return self.versions[function]

    # -- blocks

    def body(self, block: Block) -> None:
        for node in block:
            self.build.line = node.line
            handler = _HANDLERS.get(type(node))
            if handler is None:
                self.keep(node)
            else:
                handler(self, node)

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
        self.keep(node)
        if node.out in self.active:
            self.set(node.out, self.change(node))

    def change(self, node: Let) -> Atom | None:
        """The tangent of a scalar operation."""
        build, out, args = self.build, Scalar(node.out.type.dtype), node.args
        given = [(k, self.dots[a]) for k, a in enumerate(args) if a in self.dots]
        if not given:
            return None
        if node.op == "cast":
            return convert(build, given[0][1], out.dtype)
        if node.op == "where":
            return build.let("where", args[0], self.number(args[1]), self.number(args[2]))
        total: Atom | None = None
        for k, tangent in given:
            rule = partial(node.op, k, operands_of(args))
            if rule is not None:
                total = self.sum(total, push(build, rule, (node.out, *args), tangent, out))
        return total

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
        self.keep(node)
        if node.array in self.dots:
            self.build.emit(Load(self.dot(node.out), self.dots[node.array], node.index))  # type: ignore[arg-type]

    def store(self, node: Store) -> None:
        self.keep(node)
        if node.array in self.dots:
            self.build.store(self.dots[node.array], node.index, self.number(node.value))  # type: ignore[arg-type]

    def increment(self, node: Incr) -> None:
        self.keep(node)
        if node.array in self.dots and node.value in self.dots:
            self.build.increment(self.dots[node.array], node.index, self.dots[node.value])  # type: ignore[arg-type]

    def view(self, node: View) -> None:
        self.keep(node)
        if node.array in self.dots:
            self.build.emit(View(self.dot(node.out), self.dots[node.array], node.kind, node.items))  # type: ignore[arg-type]

    def alloc(self, node: Alloc) -> None:
        self.keep(node)
        if node.out in self.active:
            fill = None if node.fill is None else constant(0, node.out.type.dtype)
            self.build.emit(Alloc(self.dot(node.out), node.shape, fill))

    def copy(self, node: Copy) -> None:
        self.keep(node)
        if node.array in self.dots:
            self.build.emit(Copy(self.dot(node.out), self.dots[node.array]))  # type: ignore[arg-type]
        elif node.out in self.active:
            self.dots[node.out] = self.zeros(node.out)

    def add_into(self, node: AddInto) -> None:
        self.keep(node)
        if node.array in self.dots and node.source in self.dots:
            self.build.add_into(self.dots[node.array], self.dots[node.source])  # type: ignore[arg-type]

    def reserve(self, node: Reserve) -> None:
        self.keep(node)
        if node.array in self.dots:
            self.build.emit(Reserve(self.dots[node.array], node.size))  # type: ignore[arg-type]

    # -- operations on whole arrays, calls

    def op(self, node: Op) -> None:
        self.keep(node)
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
        if not any(a in self.dots for a in node.args):
            return
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
        given = [self.tangent(a) for a, p in zip(node.args, callee.params, strict=True) if p in self.active]
        made = [self.dot(out) for out, r in zip(node.outs, callee.results, strict=True) if r in self.active]
        self.build.emit(Call((*node.outs, *made), function, (*node.args, *given)))
        for out in node.outs:  # merged with an array that carries a derivative
            if isinstance(out.type, Array) and out in self.active and out not in self.dots:
                self.dots[out] = self.zeros(out)

    # -- control

    def branch(self, node: If) -> None:
        then, orelse = self.inner(node.then), self.inner(node.orelse)
        merges = list(node.merges)
        for m in node.merges:
            if m.out in self.active and (m.then in self.dots or m.orelse in self.dots):
                sides = [self.dots[a] if isinstance(a.type, Array) else self.number(a) for a in (m.then, m.orelse)]
                merges.append(Merge(self.dot(m.out), *sides))
        self.build.emit(If(node.test, then, orelse, merges))

    def loop(self, node: For | While) -> None:
        active = [c for c in node.carries if c.param in self.active]
        inits = [self.number(c.init) for c in active]
        params = [self.dot(c.param) for c in active]
        body = self.inner(node.body)
        added = [
            Carry(p, init, self.number(c.next), self.dot(c.out))
            for c, p, init in zip(active, params, inits, strict=True)
        ]
        carries = [*node.carries, *added]
        if isinstance(node, For):
            self.build.emit(For(node.index, node.lower, node.upper, node.step, body, carries))
        else:
            self.build.emit(While(node.head, node.test, body, carries))


_HANDLERS: dict[type[Node], Any] = {
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
    Call: _Writer.call,
    If: _Writer.branch,
    For: _Writer.loop,
    While: _Writer.loop,
}
