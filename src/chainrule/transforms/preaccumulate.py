"""Loops that wait for one product: the partial derivative of a step is computed before the adjoint of the step arrives.

``y = sin(y) * x + y / 2`` pulls back ``y_bar = y_bar * x * cos(y) + y_bar * 0.5``, in which an iteration waits for
three operations of the one that hands it `y_bar`. ``y_bar * (x * cos(y) + 0.5)`` are as many operations, of which it
waits for one: the partial derivative of the whole step (Griewank and Walther, Evaluating Derivatives (2008), ch. 10).

What other statements need is computed besides, so that there may be more operations than before: no more than fewer of
them wait. Derivatives only: what the user has written stays in the order in which it is written.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from chainrule.ir.build import Builder
from chainrule.ir.nodes import Atom, Block, Carry, Let, Node, Var
from chainrule.ir.walk import blocks, defines, nodes_of, reads

__all__ = ["preaccumulate"]

_MOST = 16  # terms of a sum


class _Form(NamedTuple):
    """A sum of variables, and of variables that wait for a cycle times factors that do not.

    What stands alone is not written as a factor of one: ``1 + a`` rounds a small `a`, each time to the same side.
    """

    alone: tuple[tuple[Var, bool], ...]  # and whether it is subtracted
    scaled: dict[Var, Atom]


def preaccumulate(body: Block, carries: Sequence[Carry], derivatives: Sequence[Carry], build: Builder) -> None:
    """Change what those of the `carries` of a loop with this body that are `derivatives` are next.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, constant
    >>> from chainrule.ir.nodes import Function
    >>> from chainrule.ir.show import show
    >>> y_bar, x, build = Var("y_bar", FLOAT), Var("x", FLOAT), Builder()
    >>> shares = build.let("multiply", y_bar, x), build.let("multiply", y_bar, constant(0.5))
    >>> carry = Carry(y_bar, constant(1.0), build.let("add", *shares), Var("y_bar", FLOAT))
    >>> preaccumulate(build.block, [carry], [carry], build)
    >>> print(show(Function("f", (x, y_bar), build.block, (carry.next,))))
    f(x: float64, y_bar: float64)
        t_2 = add(x, 0.5)
        t = multiply(y_bar, t_2)
        return t
    """
    doubles = [c for c in derivatives if c.param.type.dtype == "float64"]  # products of others leave their range sooner
    for cycle in _cycles(body, doubles):
        with build.inside(Block()) as written:
            chain = _Chain(body, cycle, build)
            nexts = [chain.shortened(c.next) for c in cycle]
        saved = max(chain.depths[c.next] for c in cycle) - max(depth for _, depth in nexts)
        results = [after for after, _ in nexts] + [c.next for c in carries if c not in cycle]
        nodes = _needed(body.nodes + written.nodes, results, {*chain.forms, *[v for n in written for v in defines(n)]})
        if saved > 0 and len(nodes) - len(body.nodes) <= saved:
            body.nodes = nodes
            for c, (after, _) in zip(cycle, nexts, strict=True):
                c.next = after


def _cycles(body: Block, carries: Sequence[Carry]) -> list[list[Carry]]:
    """The carries that come into each other and into themselves, in one iteration or in several."""
    sources: dict[Atom, frozenset[Var]] = {c.param: frozenset([c.param]) for c in carries}
    for read, defined in _flow(body):
        found = frozenset[Var]().union(*[sources[a] for a in read if a in sources])
        sources.update(dict.fromkeys(defined, found))
    behind = {c.param: sources.get(c.next, frozenset()) for c in carries}
    before: dict[Var, frozenset[Var]] = {}
    while before != behind:
        before = behind
        behind = {p: found.union(*[before[s] for s in found]) for p, found in before.items()}
    cycles: dict[frozenset[Var], list[Carry]] = {}
    for c in carries:
        if c.param in behind[c.param]:
            cycles.setdefault(frozenset(p for p in behind[c.param] if c.param in behind[p]), []).append(c)
    return [*cycles.values()]


def _flow(body: Block) -> Iterator[tuple[list[Atom], list[Var]]]:
    """What each statement reads and defines, what is nested in it included."""
    for node in body:
        within = (node, *nodes_of(*blocks(node)))
        yield [a for n in within for a in reads(n)], [v for n in within for v in defines(n)]


def _needed(nodes: list[Node], nexts: list[Atom], optional: set[Atom]) -> list[Node]:
    """`nodes` without what computes something `optional` that neither another node nor the next iteration needs."""
    uses = Counter([a for n in nodes_of(Block(nodes)) for a in reads(n)] + nexts)
    found = []
    for node in reversed(nodes):
        if isinstance(node, Let) and node.out in optional and not uses[node.out]:
            uses.subtract(node.args)
        else:
            found.append(node)
    return found[::-1]


class _Chain:
    """How what the carries of a cycle are next depends on what they are."""

    def __init__(self, body: Block, cycle: Sequence[Carry], build: Builder) -> None:
        self.build = build
        self.depths: dict[Atom, int] = {c.param: 0 for c in cycle}  # of the operations that wait for the cycle
        self.forms: dict[Atom, _Form] = {}
        for node, (read, defined) in zip(body, _flow(body), strict=True):
            waits = [self.depths[a] for a in read if a in self.depths]
            if waits:
                self.depths.update(dict.fromkeys(defined, 1 + max(waits)))
                if isinstance(node, Let) and self._is_linear(node):
                    self.forms[node.out] = self._form(node)

    def _is_linear(self, node: Let) -> bool:
        if any(a.type.dtype != "float64" for a in node.args):
            return False
        if node.op == "multiply":
            return (node.args[0] in self.depths) != (node.args[1] in self.depths)
        return node.op in ("add", "subtract", "negative")

    def _form(self, node: Let) -> _Form:
        if node.op == "multiply":
            base, factor = node.args if node.args[0] in self.depths else node.args[::-1]
            return self._scaled(base, factor)
        if node.op == "negative":
            return self._negated(self._of(node.args[0]))
        x, y = map(self._of, node.args)
        return self._sum(x, y if node.op == "add" else self._negated(y))

    def _of(self, atom: Any) -> _Form:
        form = self.forms.get(atom)
        return _Form(((atom, False),), {}) if form is None or len(form.alone) + len(form.scaled) > _MOST else form

    def _scaled(self, atom: Any, factor: Atom) -> _Form:
        alone, scaled = self._of(atom)
        if len(alone) + len(scaled) > 1:
            return _Form((), {atom: factor})
        made = {v: self.build.let("negative", factor) if negative else factor for v, negative in alone}
        made.update({v: self.build.let("multiply", known, factor) for v, known in scaled.items()})
        return _Form((), made)

    def _negated(self, form: _Form) -> _Form:
        scaled = {v: self.build.let("negative", factor) for v, factor in form.scaled.items()}
        return _Form(tuple((v, not negative) for v, negative in form.alone), scaled)

    def _sum(self, x: _Form, y: _Form) -> _Form:
        scaled = {**x.scaled, **y.scaled}
        for v in [v for v in x.scaled if v in y.scaled]:
            scaled[v] = self.build.let("add", x.scaled[v], y.scaled[v])
        return _Form(x.alone + y.alone, scaled)

    def shortened(self, total: Atom) -> tuple[Atom, int]:
        """`total`, written as its form if there is less to wait for, and how many operations wait."""
        alone, scaled = self._of(total)
        terms: list[tuple[Var, bool, Atom | None]] = [(v, negative, None) for v, negative in alone]
        terms += [(v, False, factor) for v, factor in scaled.items()]
        terms.sort(key=lambda t: t[0] in self.depths)
        depth = -1
        for k, (v, _, factor) in enumerate(terms):
            if v in self.depths:
                depth = max(depth, self.depths[v] + (factor is not None)) + (k > 0)
        if depth >= self.depths[total]:
            return total, self.depths[total]
        if len(terms) == 2 and terms[0][1]:
            terms.reverse()
        let = functools.partial(self.build.let, hint=total.hint)  # type: ignore[union-attr]
        made: Atom | None = None
        for v, negative, factor in terms:
            term = v if factor is None else let("multiply", v, factor)
            if made is None:
                made = let("negative", term) if negative else term
            else:
                made = let("subtract" if negative else "add", made, term)
        assert made is not None
        return made, depth
