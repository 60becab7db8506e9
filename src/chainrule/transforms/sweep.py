"""The reverse sweep: the rule of every statement.

The sweep visits the statements backwards. A scalar has a cotangent once something contributed to it, and none
before: a structural zero. An active array has a *shadow* in the reverse sweep only, made (zeros) in the mirror of
the block in which the array is made, when it is first needed; the shadow of a view is the same view of the shadow.
Primal values are asked for where a partial derivative reads them, see `demand`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from chainrule.errors import AliasError
from chainrule.ir.build import INT, TRUE, Builder, integer
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
    Rule,
    Scalar,
    Store,
    Var,
    View,
    While,
)
from chainrule.ir.walk import is_number
from chainrule.transforms.activity import is_float
from chainrule.transforms.demand import Demand, Plan
from chainrule.transforms.guards import Guard
from chainrule.transforms.indices import Indices
from chainrule.transforms.mirror import Mirror, bar, zero
from chainrule.transforms.partials import array_cotangent, convert, operands_of, params_read, partial, pull
from chainrule.transforms.places import Place, Places
from chainrule.transforms.preaccumulate import preaccumulate
from chainrule.transforms.residuals import Residuals
from chainrule.transforms.tape import Tapes

__all__ = ["Calls", "Sweep", "Turn"]


class Calls(Protocol):
    """What a sweep wants to know of functions that are called."""

    carrying: frozenset[Var]
    dtypes: tuple[str, ...]  # of tapes

    def on_tape(self, function: Function) -> bool: ...

    def pullback(self, function: Function) -> Function: ...


def _repeated(function: Function) -> Function:
    """A program that runs the body of `function` over and over, as far as a sweep is concerned."""
    return dataclasses.replace(function, body=Block([While(Block(), TRUE, function.body)]), results=())


def _itself(array: Var) -> Var:
    return array


def _last(array: Atom) -> int:
    """The last axis of `array`."""
    assert isinstance(array.type, Array)
    return array.type.ndim - 1


class Turn(NamedTuple):
    """The reverse of a loop, and its bounds in the primal order."""

    loop: For
    lower: Atom
    upper: Atom

    def forwards(self) -> None:
        """Let a loop that descends run in the primal order."""
        if is_number(self.loop.step, -1):
            self.loop.lower, self.loop.upper, self.loop.step = self.lower, self.upper, integer(1)


class Sweep:
    """One reverse sweep over a program that is `prepared`, under a plan; `calls` reverses functions it calls."""

    def __init__(
        self,
        primal: Function,
        carrying: frozenset[Var],
        plan: Plan,
        names: dict[object, Var],
        calls: Calls,
        on_tape: bool = False,
    ) -> None:
        self.carrying = carrying
        self.calls = calls
        self.places = Places(_repeated(primal) if on_tape else primal)
        region = self.places.regions[primal.body] if on_tape else None
        self.tapes = Tapes(calls.dtypes, region, names)
        self.residuals = Residuals(Indices(self.places), names, self.tapes)
        self.build = Builder()
        self.demand = Demand(self.residuals, plan, self.build)
        self.mirrors = self.demand.mirrors
        self.loops: list[Turn] = []
        self.made: list[Var] = []  # shadows with memory of their own
        self.zeros: dict[Var, Guard] = {}  # when cotangents are no structural zeros
        self.body = self.start = self.here = Mirror(self.places, self.places.body, None)
        if region is not None:
            self.start = Mirror(self.places, region, self.body)
            scalars = [p for p in primal.params if isinstance(p.type, Scalar)]
            self.places.places.update((p, Place(region, -1, None)) for p in scalars)
            self.start.values.update(zip(scalars, scalars, strict=True))

    def run(self, cts: Sequence[tuple[Atom, Var]], own: Callable[[Builder, Var], Var]) -> None:
        """Let the cotangents of results in, and go backwards; ``own(build, ct)`` is an array that may be written to."""
        with self._within(self.body), self._within(self.start):
            for result, ct in cts:
                if not isinstance(result.type, Array):
                    self.contribute(result, ct)
                elif result in self.carrying:
                    assert isinstance(result, Var)
                    self._add(result, ct, lambda ct: own(self.build, ct))
            self._reverse(self.start)
        for tape in self.tapes:
            tape.end()

    @property
    def cost(self) -> int:
        """Of what is kept the number, those in inner loops counting more."""
        return self.demand.weight((*self.residuals.kept, *self.residuals.rows))

    @property
    def is_on_tape(self) -> bool:
        """Whether the program is a function that calls itself."""
        return self.start is not self.body

    @property
    def plan(self) -> Plan:
        return self.demand.plan

    @property
    def is_sound(self) -> bool:
        """Whether the sweep relies on no cell that its plan did not restore for it."""
        return self.plan.relied is None or self.demand.relied <= self.plan.relied

    def cotangent(self, param: Var) -> Atom:
        """What has been found for a parameter."""
        with self.build.inside(self.body.code):
            if isinstance(param.type, Array):
                return self.shadow(param)
        return self.start.flow(param) or zero(param.type)

    # -- cotangents

    def contribute(self, atom: Atom, ct: Atom, live: Atom | None = None) -> None:
        """Add `ct` to the cotangent of `atom`; where `live` is false it is a structural zero.

        What flows to another block is plain there.
        """
        if not isinstance(atom, Var) or atom not in self.carrying:
            return
        mirror = self.here
        have, lives = mirror.flow(atom), mirror.lives
        mirror.flows[atom] = ct if have is None else self.build.let("add", have, ct, hint=f"{atom.hint}_bar")
        if live is None or not mirror.owns(atom):
            lives.pop(atom, None)
        elif have is None:
            lives[atom] = live
        elif atom in lives:
            lives[atom] = self.build.let("logical_or", lives[atom], live)
        made = mirror.flows[atom]
        if isinstance(made, Var) and isinstance(lives.get(atom), Var):
            self.zeros[made] = Guard(lives[atom], True)

    def take(self, var: Var) -> Atom | None:
        """The cotangent of a variable that is defined here, which nothing contributes to any more."""
        return self.here.flows.pop(var, None)

    def shadow(self, array: Any) -> Var:
        """The array of the cotangents of `array`."""
        place = self.places.places[array]
        with self.demand.at(place.region) as mirror:
            known = mirror.shadows.get(array)
            if known is None:
                hint = f"{array.hint}_bar"
                if isinstance(place.node, View):
                    known = self.demand.view(place.node, self.shadow(place.node.array), hint)
                else:
                    shape = [self.extent(array, k) for k in range(array.type.ndim)]
                    known = self.build.alloc(array.type.dtype, shape, 0, hint=hint)
                    self.made.append(known)
                mirror.shadows[array] = known
        return known

    def has_cotangent(self, array: Atom) -> bool:
        """Whether the elements of an active array may have cotangents that are not structural zeros."""
        if not isinstance(array, Var) or array not in self.carrying:
            return False
        root = self.places.root(array)
        born = self.places.places[root].region
        return root in self.mirrors[born].shadows or born.loop is not self.here.region.loop

    def _add(self, array: Var, ct: Var, own: Callable[[Var], Var]) -> None:
        """Add the array `ct` to the cotangent of `array`; if it is the first, ``own(ct)`` becomes its shadow."""
        place = self.places.places[array]
        if isinstance(place.node, View) or place.region is not self.here.region or array in self.here.shadows:
            self.build.add_into(self.shadow(array), ct)
        else:
            self.here.shadows[array] = own(ct)

    def extent(self, array: Any, axis: int) -> Atom:
        """An extent of `array`, in the mirror of the block in which it is made."""
        place = self.places.places[array]
        with self.demand.at(place.region):
            match place.node:
                case Alloc(shape=shape) if place.region.parent is not None and array not in self.places.reserved:
                    return self.demand.need(shape[axis])
                case Copy(array=source):
                    return self.extent(source, axis)
                case View(kind="transpose", array=base, items=items):
                    return self.extent(base, items[axis].value)
                case View(kind="reshape", items=items):
                    return self.demand.need(items[axis])
                case Op(op="matmul", args=(a, b)):
                    return self.extent(a, axis) if axis < _last(a) else self.extent(b, _last(b))
                case Op(args=args):
                    return self.extent(args[-1], axis)
            if self.demand.reachable(array):
                return self.build.dim(self.demand.array(array), axis)
            return self.demand.need(self.residuals.measure(array, axis))

    def unharmed(self, results: Sequence[Atom]) -> tuple[list[Atom], list[Copy]]:
        """The results as the primal sweep left them: copies of arrays that the reverse sweep restores."""
        found: list[Atom] = []
        copies: list[Copy] = []
        for r in results:
            if isinstance(r, Var) and isinstance(r.type, Array) and self.places.memory(r) in self.demand.plan.restored:
                copies.append(Copy(Var(r.hint, r.type), r))
                r = copies[-1].out
            found.append(r)
        return found, copies

    # -- blocks

    @contextlib.contextmanager
    def _within(self, mirror: Mirror) -> Iterator[None]:
        """Append to `mirror`."""
        outer, self.here = self.here, mirror
        self.mirrors[mirror.region] = mirror
        with self.build.inside(mirror.code):
            yield
        self.here = outer

    def _reverse(self, mirror: Mirror) -> None:
        """Append the reverse of its block to the mirror."""
        nodes = mirror.region.block.nodes
        for position in range(len(nodes) - 1, -1, -1):
            node = nodes[position]
            mirror.at, self.build.line = position, node.line
            self.demand.forget()
            if node.__class__ in _REVERSE:
                _REVERSE[node.__class__](self, node)

    # -- scalars

    def _let(self, node: Let) -> None:
        ct, live = self.take(node.out), self.here.lives.pop(node.out, None)
        if ct is None:
            return
        if node.op == "cast":
            self.contribute(node.args[0], convert(self.build, ct, node.args[0].type.dtype), live)
        elif node.op == "where":
            self._where(node, ct, live)
        else:
            for k, arg in enumerate(node.args):
                if arg in self.carrying:
                    self._partial(node, k, ct, live)

    def _partial(self, node: Let, index: int, ct: Atom, live: Atom | None) -> None:
        rule = partial(node.op, index, operands_of(node.args))
        if rule is None:
            return
        arg, atoms = node.args[index], (node.out, *node.args)
        values = [self.demand.need(a) if read else a for a, read in zip(atoms, rule.reads, strict=True)]
        share = pull(self.build, rule, values, ct, Scalar(arg.type.dtype))
        if rule.structural:
            live = self._both(live, self.build.inline(rule.function, values)[0])
        elif live is not None and any(rule.reads):
            share = self.build.let("where", live, share, zero(share.type))
        self.contribute(arg, share, live)

    def _both(self, live: Atom | None, share: Atom) -> Atom:
        """Where a cotangent is live and its share is not zero."""
        chosen = self.build.let("not_equal", share, zero(share.type))
        return chosen if live is None else self.build.let("logical_and", live, chosen)

    def _where(self, node: Let, ct: Atom, live: Atom | None) -> None:
        test, then, orelse = node.args
        nothing = zero(ct.type)
        for arg, positive, sides in ((then, True, (ct, nothing)), (orelse, False, (nothing, ct))):
            if arg in self.carrying:
                chosen = self.demand.need(test)
                share = self.build.let("where", chosen, *sides)
                chosen = chosen if positive else self.build.let("logical_not", chosen)
                self.contribute(arg, share, chosen if live is None else self.build.let("logical_and", live, chosen))

    # -- memory

    def _load(self, node: Load) -> None:
        ct = self.take(node.out)
        if ct is not None and node.array in self.carrying:
            self.build.increment(self.shadow(node.array), self.demand.all(node.index), ct)

    def _store(self, node: Store) -> None:
        index = self._restore(node)
        if self.has_cotangent(node.array):
            shadow, index = self.shadow(node.array), index or self.demand.all(node.index)
            if node.value in self.carrying:
                self.contribute(node.value, self.build.load(shadow, *index, hint=f"{node.array.hint}_bar"))
            self.build.store(shadow, index, zero(Scalar(node.array.type.dtype)))

    def _increment(self, node: Incr) -> None:
        index = self._restore(node)
        if node.value in self.carrying and self.has_cotangent(node.array):
            shadow, index = self.shadow(node.array), index or self.demand.all(node.index)
            self.contribute(node.value, self.build.load(shadow, *index, hint=f"{node.array.hint}_bar"))

    def _restore(self, node: Store | Incr) -> tuple[Atom, ...]:
        """Undo the write if anybody relies on it; the index, if it was needed."""
        if not self.demand.undone(node):
            return ()
        index = self.demand.all(node.index)
        old = self.demand.before(node)
        self.build.store(self.demand.array(node.array), index, old)
        return index

    def _copy(self, node: Copy) -> None:
        if node.array in self.carrying and self.has_cotangent(node.out):
            self._add(node.array, self.shadow(node.out), _itself)

    def _add_into(self, node: AddInto) -> None:
        if node.source in self.carrying and self.has_cotangent(node.array):
            ct = self.shadow(node.array)
            if self.places.root(node.array) is self.places.root(node.source):
                ct = self.build.copy(ct)
            self.build.add_into(self.shadow(node.source), ct)

    def _op(self, node: Op) -> None:
        cts = [self._ct_of_result(out) for out in node.outs if is_float(out)]
        if all(ct is None for ct in cts):
            return
        for k, arg in enumerate(node.args):
            if arg in self.carrying:
                rule = array_cotangent(node.op, k, tuple(a.type for a in node.args))
                if rule is not None:
                    self._pull_array(node, rule, arg, cts)

    def _ct_of_result(self, out: Var) -> Atom | None:
        if isinstance(out.type, Array):
            return self.shadow(out) if self.has_cotangent(out) else None
        return self.take(out)

    def _pull_array(self, node: Op, rule: Function, arg: Var, cts: list[Atom | None]) -> None:
        outs = [out for out in node.outs if is_float(out)]
        given = [self._zeros(o) if ct is None else ct for o, ct in zip(outs, cts, strict=True)]
        atoms = (*node.outs, *node.args)
        read = params_read(rule)
        values = [self.demand.value_at(a, node) if r else a for a, r in zip(atoms, read, strict=False)]
        (share,) = self.build.inline(rule, (*values, *given))
        assert isinstance(share, Var)
        self._add(arg, share, _itself)

    def _ruled(self, node: Call, rule: Rule) -> None:
        """A function with a rule of its own."""
        outs = [o for o in node.outs if is_float(o)]
        found = [self._ct_of_result(o) for o in outs]
        if all(ct is None for ct in found):
            return
        values = [self.demand.value_at(a, node) for a in node.args]
        cts = [self._zeros(o) if ct is None else ct for o, ct in zip(outs, found, strict=True)]
        shares = self.build.inline(rule.vjp, (*values, *cts))[len(node.outs) :]
        for a, share in zip([a for a in node.args if is_float(a)], shares, strict=True):
            if a not in self.carrying:
                continue
            if isinstance(share.type, Array):
                assert isinstance(a, Var)
                assert isinstance(share, Var)
                self._add(a, share, _itself)
            else:
                self.contribute(a, share)

    def _call(self, node: Call) -> None:
        function = node.function
        if function.rule is not None:
            self._ruled(node, function.rule)
            return
        outs = [o for o, r in zip(node.outs, function.results, strict=True) if r in self.calls.carrying]
        found = [self._ct_of_result(o) for o in outs]
        pairs = list(zip(node.args, function.params, strict=True))
        arrays = [a for a, p in pairs if p in self.calls.carrying and isinstance(a.type, Array)]
        written = [a for a, p in pairs if p in function.writes]
        self._unaliased(node, written)
        tapes = list(self.tapes) if self.calls.on_tape(function) else []
        if not tapes and all(ct is None for ct in found) and not any(map(self.has_cotangent, written)):
            return
        if self.calls.on_tape(function):
            values = [self._extents(a) if a in written else self.demand.value_at(a, node) for a in node.args]
        else:
            values = [self.demand.value_before(a, node, a in written) for a in node.args]
        known = dict(zip(node.args, values, strict=True))
        shadows = [self.shadow(a) if a in self.carrying else self._like(known[a]) for a in arrays]
        cts = [self._zeros(o) if ct is None else ct for o, ct in zip(outs, found, strict=True)]
        scalars = [a for a, p in pairs if p in self.calls.carrying and not isinstance(a.type, Array)]
        shares = tuple(bar(a) if isinstance(a, Var) else Var("unused", a.type) for a in scalars)
        counters = [self.here.flow(tape) or tape.total for tape in tapes]
        before = tuple(tape.counter() for tape in tapes)
        given = (*values, *shadows, *cts, *counters, *(tape.array for tape in tapes))
        self.build.emit(Call((*shares, *before), self.calls.pullback(function), given))
        self.here.flows.update(zip(tapes, before, strict=True))
        for a, share in zip(scalars, shares, strict=True):
            self.contribute(a, share)

    def _extents(self, array: Atom) -> Var:
        """An array as long as `array`, or itself."""
        assert isinstance(array, Var)
        if self.demand.reachable(array):
            return self.demand.array(array)
        assert isinstance(array.type, Array)
        shape = [self.extent(array, k) for k in range(array.type.ndim)]
        return self.build.alloc(array.type.dtype, shape, hint=array.hint)

    def _unaliased(self, node: Call, written: list[Atom]) -> None:
        arrays = [self.places.memory(a) for a in node.args if isinstance(a, Var) and isinstance(a.type, Array)]
        for a in written:
            assert isinstance(a, Var)
            if arrays.count(self.places.memory(a)) > 1:
                where = "" if node.line is None else f" at {node.line.file}:{node.line.number}"
                raise AliasError(
                    f"{node.function.name} is called{where} with arrays that may share memory, and writes to "
                    f"{a.hint}: its derivative is not defined here; pass a copy"
                )

    def _like(self, array: Atom) -> Var:
        """Zeros that are as long as `array`."""
        assert isinstance(array, Var)
        assert isinstance(array.type, Array)
        shape = [self.build.dim(array, k) for k in range(array.type.ndim)]
        return self.build.alloc(array.type.dtype, shape, 0, hint="unused")

    def _zeros(self, out: Var) -> Atom:
        return self.shadow(out) if isinstance(out.type, Array) else zero(out.type)

    # -- control

    def _branch(self, node: If) -> None:
        mirror = self.here
        children = [Mirror(self.places, self.places.regions[block], mirror) for block in (node.then, node.orelse)]
        lives = {m: mirror.lives.pop(m.out, None) for m in node.merges}
        pending = [(m, self._ct_of_result(m.out)) for m in node.merges if is_float(m.out)]
        for child, side in zip(children, ("then", "orelse"), strict=True):
            if child.region.raises:
                continue
            with self._within(child):
                for m, ct in pending:
                    source = getattr(m, side)
                    if isinstance(ct, Var) and isinstance(m.out.type, Array):
                        child.shadows[source] = ct
                    elif ct is not None:
                        self.contribute(source, ct, lives[m])
                self._reverse(child)
        merges, sides = self._merged(children)
        then, orelse = children
        if merges or then.code.nodes or orelse.code.nodes:
            test = self.demand.need(node.test)
            self.build.emit(If(test, then.code, orelse.code, merges))
            self.zeros.update((out, Guard(test, side)) for out, side in sides.items())

    def _merged(self, children: list[Mirror]) -> tuple[list[Merge], dict[Var, bool]]:
        """What flows out of two branches, as results of the `If`; on which side alone, where there is only one."""
        mirror = self.here
        merges, only = [], {}
        for key in dict.fromkeys([k for child in children for k in child.flows]):
            if any(child.owns(key) for child in children):
                continue
            sides = [child.flow(key) for child in children]
            first = next(s for s in sides if s is not None)
            if sides[0] is sides[1]:
                mirror.replace(key, first)
                continue
            type = first.type
            assert isinstance(type, Scalar)
            then, orelse = (zero(type) if s is None else s for s in sides)
            out = bar(key) if isinstance(key, Var) else Var("q", type)
            merges.append(Merge(out, then, orelse))
            if None in sides and not any(child.region.raises for child in children):
                only[out] = sides[1] is None
            mirror.replace(key, out)
        return merges, only

    def _for(self, node: For) -> None:
        child = Mirror(self.places, self.places.regions[node.body], self.here)
        index = child.values[node.index] = Var(node.index.hint, node.index.type)
        if self._body(node, child):
            lower, upper = self.demand.all((node.lower, node.upper))
            self._close(node, child, index, lower, upper, 1 if is_number(node.step, 1) else -1)

    def _while(self, node: While) -> None:
        region = self.places.regions[node.body]
        child = Mirror(self.places, region, self.here)
        index = child.values[self.residuals.counter(region)] = Var("k", INT)
        if self._body(node, child):
            self._close(node, child, index, integer(0), self.demand.need(self.residuals.count(region)), 1)

    def _body(self, node: For | While, child: Mirror) -> bool:
        """Reverse the body of a loop; whether there was anything to do."""
        own = [c for c in node.carries if c.param in self.carrying]
        with self._within(child):
            for c in own:
                child.cotangents[c] = bar(c.param)
                self.contribute(c.next, child.cotangents[c])
            self._reverse(child)
        return bool(child.code.nodes) or any(c.out in self.here.flows for c in own)

    def _close(self, node: For | While, child: Mirror, index: Var, lower: Atom, upper: Atom, step: int) -> None:
        """Append the reverse of a loop, which had these bounds, with carries for what flows through it."""
        first, last = (self.build.let("subtract", b, integer(step)) for b in (upper, lower))
        loop = For(index, first, last, integer(-step), child.code)
        outs = {}
        for c, param in child.cotangents.items():
            nothing, outs[c] = zero(c.param.type), bar(c.param)
            init, after = self.take(c.out) or nothing, child.flows.pop(c.param, nothing)
            loop.carries.append(Carry(param, init, after, outs[c]))
        loop.carries.extend(child.carries(self.demand.total))
        preaccumulate(loop.body, loop.carries, [c for c in loop.carries if is_float(c.param)], self.build)
        self.build.emit(loop)
        self.loops.append(Turn(loop, lower, upper))
        for c, out in outs.items():
            self.contribute(c.init, out)


_REVERSE: dict[type[Node], Callable[[Sweep, Any], None]] = {
    Let: Sweep._let,
    Load: Sweep._load,
    Store: Sweep._store,
    Incr: Sweep._increment,
    Copy: Sweep._copy,
    AddInto: Sweep._add_into,
    Op: Sweep._op,
    Call: Sweep._call,
    If: Sweep._branch,
    For: Sweep._for,
    While: Sweep._while,
}
