"""The first and the last iterations of a loop apart, where its statements ask whether they are in one of them.

``left = u[i - 1] if i > 0 else u[0]``, ``u[(i + 1) % n]``, and ``u[i - 1]``, which is the last cell where i is 0: at
the edges of a grid something else holds than inside of it. Inside, nothing is asked any more, and the loop may run in
vectors. Short loops stay as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from chainrule.ir.build import FALSE, INT, TRUE, Builder, integer
from chainrule.ir.nodes import (
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
    Store,
    Var,
    While,
)
from chainrule.ir.walk import Renaming, is_number, nodes_of
from chainrule.transforms.fission import versions
from chainrule.transforms.indices import Form, Indices
from chainrule.transforms.places import Places
from chainrule.transforms.residuals import distance
from chainrule.transforms.simplify.walk import block_of, has_loops, inside

__all__ = ["parted_at_edges"]

_WIDEST = 4  # iterations at an edge
_LONG = 16  # iterations between the edges
_LARGEST = 100  # statements
_ONE = Form({}, 1)
# Of the difference of two integers: whether it is less than 0, equal to 0, or not so.
_TESTS = {
    "less": ("<", True, False),
    "greater_equal": ("<", True, True),
    "greater": ("<", False, False),
    "less_equal": ("<", False, True),
    "equal": ("=", True, False),
    "not_equal": ("=", True, True),
}


def parted_at_edges(function: Function) -> Function:
    """`function` with loops of their own for edges.

    Examples
    --------
    >>> from chainrule.ir.build import INT
    >>> from chainrule.ir.nodes import Array
    >>> from chainrule.ir.show import show
    >>> x, y, i, build, body = *(Var(h, Array("float64", 1)) for h in "xy"), Var("i", INT), Builder(), Builder()
    >>> body.store(y, [i], body.load(x, body.let("subtract", i, integer(1))))
    >>> build.emit(For(i, integer(0), integer(40), integer(1), body.block))
    >>> print(show(parted_at_edges(Function("f", (x, y), build.block, (integer(3),), writes=frozenset([y])))))
    f(x: float64[:], y: float64[:])
        for i in range(0, 1, 1):
            t = subtract(i, 1)
            t_2 = x[t]
            y[i] = t_2
        for i_2 in range(1, 40, 1):
            t_3 = subtract(i_2, 1)
            t_4 = x[t_3]
            y[i_2] = t_4
        return 3
    """
    if not has_loops(function):
        return function
    body = _Parter(Indices(Places(function))).block(function.body)
    return function if body is function.body else dataclasses.replace(function, body=body)


class _Edges(NamedTuple):
    """How many iterations are at the edge of the least and of the greatest indices, and what holds between them."""

    low: int
    high: int
    known: dict[Var, Atom]


class _Parter:
    def __init__(self, indices: Indices) -> None:
        self.indices = indices

    def block(self, block: Block) -> Block:
        return block_of([made for n in block for made in self.nodes(n)], block)

    def nodes(self, node: Node) -> list[Node]:
        if not isinstance(node, For) or any(isinstance(n, (For, While)) for n in nodes_of(node.body)):
            return [inside(node, self.block)]
        found = self.edges(node)
        return [node] if found is None else _parted(node, found)

    def edges(self, loop: For) -> _Edges | None:
        """The edges of an innermost loop, if there is something to gain."""
        nodes = nodes_of(loop.body)
        simple = all(isinstance(n, (Let, Load, Store, Incr, Dim, If, Check)) for n in nodes)
        counts = is_number(loop.step, 1) or is_number(loop.step, -1)
        if not simple or not counts or loop.parallel or len(nodes) > _LARGEST:
            return None
        at = _Loop(loop, self.indices)
        tests = {n.out: t for n in nodes if isinstance(n, Let) if (t := at.test(n)) is not None}
        rests = {n.out: t for n in nodes if isinstance(n, Let) if (t := at.remainder(n)) is not None}
        cells = [t for n in nodes if isinstance(n, (Load, Store, Incr)) for a in n.index if (t := at.wrapped(a))]
        branches = (n for n in nodes if isinstance(n, If) and n.test in tests)
        if not rests and not cells and not any(map(_touches, branches)):
            return None
        wide = [t for t in (*tests.values(), *rests.values()) if max(t.low, t.high) > 0]
        low, high = (max(sizes, default=0) for sizes in ([t.low for t in (*wide, *cells)], [t.high for t in wide]))
        known = {v: a for t in (*tests.values(), *rests.values()) for v, a in t.known.items()}
        return _Edges(low, high, known) if low or high else None


def _touches(branch: If) -> bool:
    return any(isinstance(n, (Load, Store, Incr)) for n in nodes_of(branch.then, branch.orelse))


class _Loop:
    """What statements of `loop` ask of its index."""

    def __init__(self, loop: For, indices: Indices) -> None:
        self.index, self.indices = loop.index, indices
        self.region = indices.places.regions.get(loop.body)
        first, end = indices.form(loop.lower), indices.form(loop.upper)
        self.low, self.high = (first, end) if is_number(loop.step, 1) else (end.plus(_ONE), first.plus(_ONE))

    def _form(self, atom: Atom) -> Form | None:
        """An integer as the index, or minus it, or none of it, and what is known outside of the loop."""
        known = isinstance(atom, Const) or (isinstance(atom, Var) and atom in self.indices.places.places)
        if self.region is None or not known or atom.type != INT:
            return None
        form = self.indices.form(atom)
        outside = not any(v is not self.index and self.indices.varies(v, self.region) for v in form.terms)
        return form if outside and abs(form.terms.get(self.index, 0)) <= 1 else None

    def test(self, node: Let) -> _Edges | None:
        """The edges that a comparison tells apart from what is between them."""
        if node.op not in _TESTS:
            return None
        a, b = map(self._form, node.args)
        if a is None or b is None:
            return None
        kind, order, negated = _TESTS[node.op]
        apart = a.plus(b, -1) if order else b.plus(a, -1)  # is it below 0, or is it 0?
        sign = apart.terms.get(self.index, 0)
        if abs(sign) != 1:
            return None
        # apart = sign · (index - bound)
        bound = Form({}, 0).plus(apart.plus(Form({self.index: sign}, 0), -1), -sign)
        below = bound.plus(self.low, -1)  # so many indices are less than the bound
        above = self.high.plus(bound, -1)  # so many are not
        if kind == "=":
            low, high, inner = _count(below, 1), _count(above, 0), False
        elif sign > 0:  # index < bound
            low, high = _count(below, 0), _count(above, 0)
            inner = high is not None and low is None
        else:  # index > bound
            low, high = _count(below, 1), _count(above, -1)
            inner = low is not None and high is None
        if (low is None) == (high is None):
            return None
        return _Edges(low or 0, high or 0, {node.out: TRUE if inner != negated else FALSE})

    def remainder(self, node: Let) -> _Edges | None:
        """Where the first operand of a remainder is between 0 and the second, it is the remainder."""
        if node.op != "remainder":
            return None
        a, b = map(self._form, node.args)
        if a is None or b is None or a.terms.get(self.index, 0) != 1 or b.terms.get(self.index, 0):
            return None
        rest = a.plus(Form({self.index: 1}, 0), -1)
        low = _missing(self.low.plus(rest))  # the least is not negative
        high = _missing(b.plus(self.high, -1).plus(rest, -1))  # the greatest is less than the divisor
        if low is None or high is None:
            return None
        return _Edges(low, high, {node.out: node.args[0]})

    def wrapped(self, atom: Atom) -> _Edges | None:
        """The first iterations, in which an index is negative."""
        form = self._form(atom)
        if form is None or form.terms.get(self.index, 0) != 1:
            return None
        low = _missing(self.low.plus(form).plus(Form({self.index: 1}, 0), -1))
        return _Edges(low, 0, {}) if low else None


def _count(form: Form, more: int) -> int | None:
    """A small number of iterations, if it is known."""
    number = form.number + more
    return number if not form.terms and 0 < number <= _WIDEST else None


def _missing(form: Form) -> int | None:
    """What is missing for a known number not to be negative, if it is not much."""
    missing = max(-form.number, 0)
    return None if form.terms or missing > _WIDEST else missing


# -- the loops ----------------------------------------------------------------------------------------


def _parted(loop: For, edges: _Edges) -> list[Node]:
    build = Builder()
    build.line = loop.line
    trips = distance(build, loop, loop.lower, loop.upper, "trips")
    many = build.let("greater_equal", trips, integer(edges.low + edges.high + _LONG))
    if many == FALSE:
        return [loop]
    parts = Builder()
    parts.line = loop.line
    up = is_number(loop.step, 1)
    first, last = (edges.low, edges.high) if up else (edges.high, edges.low)
    begin = parts.let("add" if up else "subtract", loop.lower, integer(first), hint="begin")
    end = parts.let("subtract" if up else "add", loop.upper, integer(last), hint="end")
    inits: list[Atom] = [c.init for c in loop.carries]
    pieces = list(_pieces(loop, begin, end, first, last, edges))
    for k, (lower, upper, renaming) in enumerate(pieces, 1):
        piece = renaming.node(loop)
        assert isinstance(piece, For)
        outs = [c.out for c in (loop if k == len(pieces) else piece).carries]
        carries = [Carry(c.param, i, c.next, out) for c, i, out in zip(piece.carries, inits, outs, strict=True)]
        parts.emit(dataclasses.replace(piece, lower=lower, upper=upper, carries=carries))
        inits = [*outs]
    return [*build.block, *versions(many, parts.block.nodes, loop)]


def _pieces(
    loop: For, begin: Atom, end: Atom, first: int, last: int, edges: _Edges
) -> Iterator[tuple[Atom, Atom, Renaming]]:
    if first:
        yield loop.lower, begin, Renaming()
    yield begin, end, _Between(edges.known)
    if last:
        yield end, loop.upper, Renaming()


class _Between(Renaming):
    """Copies a loop whose tests are answered."""

    def __init__(self, known: dict[Var, Atom]) -> None:
        super().__init__()
        self.known = known

    def block(self, block: Block) -> Block:
        return Block([made for n in block for made in self.nodes(n)])

    def nodes(self, node: Node) -> list[Node]:
        match node:
            case Let(out=out) if out in self.known:
                self.atoms[out] = self.atom(self.known[out])
                return []
            case If(test=test, then=then, orelse=orelse, merges=merges) if isinstance(self.atom(test), Const):
                taken = self.atom(test).value
                made = self.block(then if taken else orelse).nodes
                self.atoms.update((m.out, self.atom(m.then if taken else m.orelse)) for m in merges)
                return made
        return [self.node(node)]
