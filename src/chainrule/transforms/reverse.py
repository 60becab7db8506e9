"""Reverse mode: a program that runs forwards and then backwards, from cotangents of its results to its parameters'.

The reverse sweep is in `sweep`, what it needs of the primal one in `demand`, `residuals` and `tape`. Sweeps are
cheap: a few are tried under different plans, and the one is taken that keeps least. The result is an ordinary
program, which can be transformed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chainrule.ir.build import Builder
from chainrule.ir.nodes import Array, Atom, Block, For, Function, Var
from chainrule.ir.walk import Renaming, settle_writes
from chainrule.transforms.activity import find_active, is_float
from chainrule.transforms.again import with_elements_again
from chainrule.transforms.checkpoint import connected, divided, outlined
from chainrule.transforms.demand import Plan
from chainrule.transforms.guards import guarded
from chainrule.transforms.mirror import bar, zero
from chainrule.transforms.order import Order
from chainrule.transforms.prepare import Prepared, prepare
from chainrule.transforms.primal import Counters, write_primal, write_recording
from chainrule.transforms.sweep import Sweep
from chainrule.transforms.tape import MissingTapeError, Tapes, taped
from chainrule.transforms.zeros import without_zeros

__all__ = ["vjp"]


def vjp(
    function: Function, active: Sequence[bool], memory: int | None = None, wanted: Sequence[bool] | None = None
) -> Function:
    """The program of `function` and of the cotangents of its parameters.

    Parameters
    ----------
    function : Function
    active : sequence of bool
        For each parameter, float or complex if chosen, whether its cotangent is wanted.
    memory : int, optional
        The number of bytes that a counted loop may keep, see `checkpoint`; 0: as few as one repetition allows.
    wanted : sequence of bool, optional
        For each result whether it has a cotangent; that of others is a structural zero.

    Returns
    -------
    Function
        Its parameters are those of `function` and a cotangent for each wanted result that is float or complex; its
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
    function = with_elements_again(function)
    dtypes: tuple[str, ...] = ()
    while True:
        try:
            return Reversal(function, active, memory, wanted, dtypes).vjp(active)
        except MissingTapeError as missing:
            dtypes = (*dtypes, missing.dtype)


class Reversal:
    """The reverse of a function, and of those that it calls; `dtypes` are those of the tapes."""

    def __init__(
        self,
        function: Function,
        active: Sequence[bool],
        memory: int | None = None,
        wanted: Sequence[bool] | None = None,
        dtypes: tuple[str, ...] = (),
    ) -> None:
        self.function = function
        self.wanted = [True] * len(function.results) if wanted is None else wanted
        self.carrying = find_active(function, active, self.wanted)
        self.memory = memory
        self.dtypes = dtypes
        self._strips: list[Function] = []
        self._pullbacks: dict[Function, Function] = {}
        self._recordings: dict[Function, Function] = {}
        self._taped = taped(function)

    def vjp(self, active: Sequence[bool]) -> Function:
        primal = prepare(self.function, self.carrying)
        chosen = zip(primal.function.results, self.wanted, strict=True)
        cts = [(r, _bar(r)) for r, on in chosen if on and is_float(r)]
        if self.memory is not None:
            primal = self._checkpointed(primal, active, cts)
        function = primal.function
        wanted = [p for p, a in zip(function.params, active, strict=True) if a]
        sweep = self._best(primal, cts, {}, _copied)
        results, copies = sweep.unharmed(function.results)
        cotangents = [sweep.cotangent(p) for p in wanted]
        body = Block([*write_primal(sweep.residuals, self), *copies, *sweep.body.code])
        params = (*function.params, *(ct for _, ct in cts))
        made = Function(f"{function.name}_vjp", params, body, (*results, *cotangents), function.line)
        settle_writes([*self._recordings.values(), *(self._pullbacks[f] for f in self._recordings)])
        return without_zeros(guarded(_forwards(made, sweep), sweep.zeros), sweep.made)

    def pullback(self, function: Function) -> Function:
        """The reverse of a function that is called.

        Its parameters are those of `function`, the shadows of its active arrays, which it brings from their state
        after the call to that before, and the cotangents of its active results, which it may overwrite. Its
        results are the cotangents of its active scalars. It computes again what it needs, unless that is on tapes:
        then the counters and the tapes are parameters, the counters before the call results, and what the arrays
        that the function writes to hold does not matter.
        """
        made = self._pullbacks.get(function)
        if made is None and self.on_tape(function):
            self._record(function)
            made = self._pullbacks[function]
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
        sweep = self._best(primal, cts, shadows, lambda build, ct: ct)
        found = tuple(sweep.cotangent(p) for p in scalars)
        made.body, made.results = Block([*write_primal(sweep.residuals, self), *sweep.body.code]), found
        _forwards(made, sweep)
        if function in self._strips:
            assert self.memory is not None
            kept = {v for f in sweep.residuals.frames.values() for v in (*f.arrays.values(), *f.lives)}
            made = self._pullbacks[function] = divided(function, made, kept, self.carrying, self.memory)
        return made

    # -- functions that call themselves

    def on_tape(self, function: Function) -> bool:
        """Whether a function keeps on tapes what its pullback needs."""
        results = any(r in self.carrying for r in function.results)
        return function in self._taped and (results or not self.carrying.isdisjoint(function.writes))

    def recording(self, function: Function) -> Function:
        """The function that keeps on tapes what its pullback needs."""
        if function not in self._recordings:
            self._record(function)
        return self._recordings[function]

    def _record(self, function: Function) -> None:
        """Write the two programs of a function on tapes."""
        names: dict[object, Var] = {}
        primal, tapes = prepare(function, self.carrying, owning=False), list(Tapes(self.dtypes, None, names))
        params, carrying = primal.function.params, primal.carrying
        arrays = tuple(t.array for t in tapes)
        shadows = {p: bar(p) for p in params if p in carrying and isinstance(p.type, Array)}
        cts = [(r, _bar(r)) for r in primal.function.results if r in carrying]
        scalars = [p for p in params if p in carrying and p not in shadows]

        given = (*params, *shadows.values(), *(ct for _, ct in cts), *(t.total for t in tapes), *arrays)
        back = Function(f"{function.name}_pullback", given, Block(), (), function.line)
        back.writes = frozenset([*shadows.values(), *(ct for _, ct in cts if isinstance(ct.type, Array))])
        renaming, starts = Renaming(), [t.counter() for t in tapes]
        given = tuple(renaming.new(p) for p in (*params, *starts, *arrays))
        forth = Function(f"{function.name}_recording", given, Block(), (), function.line)
        old = dict(zip(function.params, given, strict=False))
        forth.writes = frozenset(old[p] for p in function.writes).union(given[len(given) - len(tapes) :])
        forth.grows = frozenset(old[p] for p in function.grows).union(given[len(given) - len(tapes) :])
        # They may call themselves, so that they are there before they are written.
        self._pullbacks[function], self._recordings[function] = back, forth

        sweep = self._best(primal, cts, shadows, lambda build, ct: ct, names)
        rewound = [sweep.start.flow(t) or t.total for t in sweep.tapes]
        back.results = (*(sweep.cotangent(p) for p in scalars), *rewound)
        back.body = Block([*sweep.body.code, *sweep.start.code])
        _forwards(back, sweep)
        counters: Counters = dict(zip(sweep.tapes, starts, strict=True))
        forth.body = renaming.block(write_recording(sweep.residuals, self, counters))
        forth.results = renaming.all((*primal.function.results, *(counters[t] for t in sweep.tapes)))

    def _best(
        self,
        primal: Prepared,
        cts: Sequence[tuple[Atom, Var]],
        shadows: dict[Var, Var],
        own: Callable[[Builder, Var], Var],
        names: dict[object, Var] | None = None,
    ) -> Sweep:
        """The sweep under the plan that keeps least; with `names`, of a function on tapes."""
        known: dict[object, Var] = {} if names is None else names

        def run(plan: Plan) -> Sweep:
            sweep = Sweep(primal.function, primal.carrying, plan, known, self, on_tape=names is not None)
            sweep.body.shadows.update((primal.private.get(p, p), s) for p, s in shadows.items())
            sweep.run(cts, own)
            return sweep

        return _least(run)

    def _checkpointed(self, primal: Prepared, active: Sequence[bool], cts: Sequence[tuple[Atom, Var]]) -> Prepared:
        """`primal` with calls in place of the loops that keep something."""
        frames = self._best(primal, cts, {}, _copied).residuals.frames.values()
        loops = [f.top for f in frames if (f.arrays or f.lives) and isinstance(f.top, For)]
        function, self._strips = outlined(primal.function, loops)
        self.carrying = find_active(function, active, self.wanted)
        for strip in self._strips:
            self.carrying |= connected(strip, self.carrying)
        return Prepared(function, self.carrying, primal.private)


def _forwards(function: Function, sweep: Sweep) -> Function:
    """`function` with the loops of its reverse turned forwards where that is free."""
    if not sweep.loops:
        return function
    order = Order(function)
    for turn in sweep.loops:
        if order.is_free(turn.loop):
            turn.forwards()
    return function


def _copied(build: Builder, ct: Var) -> Var:
    return build.copy(ct)


def _least(run: Callable[[Plan], Sweep]) -> Sweep:
    """The sweep that keeps least."""

    def settled(plan: Plan) -> Sweep:
        first = run(plan)
        kept, relied = frozenset(first.residuals.kept), frozenset(first.demand.relied)
        if kept == plan.kept and not plan.restored:
            return first  # nothing would be different
        second = run(plan._replace(kept=kept, relied=relied))
        return second if second.is_sound and second.cost <= first.cost else first

    best = settled(Plan())
    if best.is_on_tape:
        return best
    if not best.cost:
        return best
    for array in [a for a in best.demand.missed if best.residuals.expandable(a)]:
        plan = Plan(best.plan.restored, best.plan.expanded | {array}, frozenset(best.residuals.kept))
        best = min(best, settled(plan), key=lambda s: s.cost)
    for memory in list(best.demand.wanted):
        plan = Plan(best.plan.restored | {memory}, best.plan.expanded, frozenset(best.residuals.kept))
        best = min(best, settled(plan), key=lambda s: s.cost)
    return best


def _bar(result: Atom) -> Var:
    return bar(result) if isinstance(result, Var) else Var("y_bar", result.type)
