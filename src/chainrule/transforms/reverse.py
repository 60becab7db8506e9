"""Reverse mode: a program that runs forwards and then backwards, from cotangents of its results to its parameters'.

The reverse sweep is in `sweep`, what it needs of the primal one in `demand` and `residuals`. Sweeps are cheap: a
few are tried under different plans, and the one is taken that keeps least. The result is an ordinary program,
which can be transformed again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from chainrule.ir.build import Builder
from chainrule.ir.nodes import Array, Atom, Block, Function, Var
from chainrule.transforms.activity import find_active, is_float
from chainrule.transforms.demand import Plan
from chainrule.transforms.mirror import bar, zero
from chainrule.transforms.order import Order
from chainrule.transforms.prepare import Prepared, prepare
from chainrule.transforms.primal import write_primal
from chainrule.transforms.sweep import Sweep

__all__ = ["vjp"]


def vjp(function: Function, active: Sequence[bool]) -> Function:
    """The program of `function` and of the cotangents of its parameters.

    Parameters
    ----------
    function : Function
    active : sequence of bool
        For each parameter, float or complex if chosen, whether its cotangent is wanted.

    Returns
    -------
    Function
        Its parameters are those of `function` and a cotangent for each result that is float or complex; its
        results are those of `function` and a cotangent for each active parameter. It writes to no argument: what
        `function` writes to is copied first, and the cotangents are with respect to the values on entry.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT
    >>> from chainrule.ir.evaluate import evaluate
    >>> x, build = Var("x", FLOAT), Builder()
    >>> square = Function("square", (x,), build.block, (build.let("multiply", x, x),))
    >>> evaluate(vjp(square, [True]), [3.0, 1.0])
    (9.0, 6.0)
    """
    return Reversal(function, active).vjp(active)


class Reversal:
    """The reverse of a function, and of those that it calls."""

    def __init__(self, function: Function, active: Sequence[bool]) -> None:
        self.function = function
        self.carrying = find_active(function, active)
        self._pullbacks: dict[Function, Function] = {}

    def vjp(self, active: Sequence[bool]) -> Function:
        primal = prepare(self.function, self.carrying)
        function = primal.function
        cts = [(r, _bar(r)) for r in function.results if is_float(r)]
        wanted = [p for p, a in zip(function.params, active, strict=True) if a]

        def assemble(sweep: Sweep) -> Function:
            results, copies = sweep.unharmed(function.results)
            cotangents = [sweep.cotangent(p) for p in wanted]
            body = Block([*write_primal(sweep.residuals), *copies, *sweep.body.code])
            params = (*function.params, *(ct for _, ct in cts))
            return Function(f"{function.name}_vjp", params, body, (*results, *cotangents), function.line)

        return self._best(primal, cts, {}, lambda build, ct: build.copy(ct), assemble)

    def pullback(self, function: Function) -> Function:
        """The reverse of a function that is called.

        Its parameters are those of `function`, the shadows of its active arrays, which it brings from their state
        after the call to that before, and the cotangents of its active results, which it may overwrite. Its
        results are the cotangents of its active scalars.
        """
        made = self._pullbacks.get(function)
        if made is not None:
            return made
        primal = prepare(function, self.carrying)
        params, carrying = primal.function.params, primal.carrying
        shadows = {p: bar(p) for p in params if p in carrying and isinstance(p.type, Array)}
        cts = [(r, _bar(r)) for r in primal.function.results if r in carrying]
        arrays = [*shadows.values(), *(ct for _, ct in cts if isinstance(ct.type, Array))]
        scalars = [p for p in params if p in carrying and p not in shadows]
        results: tuple[Atom, ...] = tuple(zero(p.type) for p in scalars)
        given = (*params, *shadows.values(), *(ct for _, ct in cts))
        # It may call itself, so that it is there before it is written.
        made = Function(f"{function.name}_pullback", given, Block(), results, function.line, frozenset(arrays))
        self._pullbacks[function] = made

        def assemble(sweep: Sweep) -> Function:
            found = tuple(sweep.cotangent(p) for p in scalars)
            body = Block([*write_primal(sweep.residuals), *sweep.body.code])
            return dataclasses.replace(made, body=body, results=found)

        best = self._best(primal, cts, shadows, lambda build, ct: ct, assemble)
        made.body, made.results = best.body, best.results
        return made

    def _best(
        self,
        primal: Prepared,
        cts: Sequence[tuple[Atom, Var]],
        shadows: dict[Var, Var],
        own: Callable[[Builder, Var], Var],
        assemble: Callable[[Sweep], Function],
    ) -> Function:
        """The program under the plan that keeps least, its loops turned forwards where that is free."""
        names: dict[object, Var] = {}

        def run(plan: Plan) -> Sweep:
            sweep = Sweep(primal.function, primal.carrying, plan, names, self)
            sweep.body.shadows.update((primal.private.get(p, p), s) for p, s in shadows.items())
            sweep.run(cts, own)
            return sweep

        best = _least(run)
        function = assemble(best)
        order = Order(function)
        for turn in best.loops:
            if order.is_free(turn.loop):
                turn.forwards()
        return function


def _least(run: Callable[[Plan], Sweep]) -> Sweep:
    """The sweep that keeps least."""

    def settled(plan: Plan) -> Sweep:
        first = run(plan)
        kept, relied = frozenset(first.residuals.kept), frozenset(first.demand.relied)
        second = run(plan._replace(kept=kept, relied=relied))
        return second if second.is_sound and second.cost <= first.cost else first

    best = settled(Plan())
    for array in [a for a in best.demand.missed if best.residuals.expandable(a)]:
        plan = Plan(best.plan.restored, best.plan.expanded | {array}, frozenset(best.residuals.kept))
        best = min(best, settled(plan), key=lambda s: s.cost)
    for memory in list(best.demand.wanted):
        plan = Plan(best.plan.restored | {memory}, best.plan.expanded, frozenset(best.residuals.kept))
        best = min(best, settled(plan), key=lambda s: s.cost)
    return best


def _bar(result: Atom) -> Var:
    return bar(result) if isinstance(result, Var) else Var("y_bar", result.type)
