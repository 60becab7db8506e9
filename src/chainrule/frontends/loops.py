"""What a loop carries from one iteration to the next, found by reading its body until nothing changes.

A number is a carry. An array variable that is another array after an iteration is

* the same way of viewing one base, whose integers are carried (``row = x[i]``);
* one of several arrays that trade places (``a, b = b, a``): they move into the planes of one array, and which
  plane a variable is, an integer, is carried;
* a buffer, into which what the iteration made is copied at its end (``y = y + h * f(y)``).

Each is right only if writes cannot tell the difference; where they could, the loop is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.frontends.arrays import copy_of
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import cast, describe, materialise
from chainrule.frontends.indexing import store_all
from chainrule.frontends.joins import (
    MISSING,
    alike,
    born_in,
    follow,
    leaves,
    path_atoms,
    rebuild,
    same_object,
    same_shape,
    unified,
    with_atoms,
)
from chainrule.frontends.values import ArrayRef, Bottom, Conflict, Number, undefined
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Block, Carry, Const, Scalar, Slice, Var

__all__ = ["Loop", "Plan", "run_loop"]

ROUNDS = 12
Key = tuple[str, int]


@dataclass
class Plan:
    """How the variables of one loop are carried; kept, so that a loop read again is read once."""

    kinds: dict[Key, tuple[str, str, bool]] = field(default_factory=dict)  # kind, dtype, weak
    missing: dict[str, Any] = field(default_factory=dict)
    planes: list[list[Key]] = field(default_factory=list)
    conflicts: dict[str, str] = field(default_factory=dict)


@dataclass
class Leaf:
    """One number or array of a variable: what it was before the loop and what it is in the body."""

    kind: str  # same, number, path, buffer
    before: Any
    value: Any = None
    carries: list[Carry] = field(default_factory=list)
    after: Any = None
    window: bool = False


class _Again(Exception):
    """The plan has changed: the body must be read again."""


def run_loop(
    ctx: Context,
    env: dict[str, Any],
    names: Iterable[str],
    plan: Plan,
    alone: Callable[[Var, str], bool],
    read: Callable[[Loop], None],
) -> None:
    """Read a loop whose body assigns `names`. `alone(base, name)`: no other variable is, or views, that array."""
    outside = dict(env)
    state = ctx.snapshot()
    for _ in range(ROUNDS):
        loop = Loop(ctx, env, names, plan, alone)
        try:
            loop.enter()
            read(loop)
            loop.leave()
            return
        except _Again:
            ctx.restore(state)
            env.clear()
            env.update(outside)
    raise ctx.fail("the types of this loop's variables do not settle: give them their final type before the loop")


class Loop:
    """One reading of a loop. The visitor calls `start` and `finish` inside the body, and takes `carries`."""

    def __init__(
        self, ctx: Context, env: dict[str, Any], names: Iterable[str], plan: Plan, alone: Callable[[Var, str], bool]
    ) -> None:
        self.ctx, self.env, self.plan, self.alone = ctx, env, plan, alone
        self.before = {n: env.get(n, plan.missing.get(n, MISSING)) for n in names}
        self.leaves: dict[Key, Leaf] = {}
        self.shared: list[tuple[ArrayRef, ArrayRef, str]] = []  # plane, the array it stands for, the reason to freeze
        self.written: set[Var] = set()
        self.mark = len(ctx.writes)

    @property
    def carries(self) -> list[Carry]:
        return [c for leaf in self.leaves.values() for c in leaf.carries]

    # -- before

    def enter(self) -> None:
        for group in self.plan.planes:
            self._to_planes(group)
        for name, value in self.before.items():
            if value is not MISSING:
                for k, part in enumerate(leaves(value)):
                    self.leaves[name, k] = self._leaf(name, k, part)

    def _leaf(self, name: str, k: int, value: Any) -> Leaf:
        default = ("number", value.dtype, value.weak) if isinstance(value, Number) else ("same", "", True)
        kind, dtype, weak = self.plan.kinds.get((name, k), default)
        leaf = Leaf(kind, value, value)
        if kind == "number":
            init = self.ctx.builder.cast(value.atom, dtype, hint=name)
            leaf.carries = [self._carry(name, init)]
            leaf.value = Number(leaf.carries[0].param, weak)
        elif kind in ("path", "window"):
            if kind == "window":
                leaf.before = value = _window(self.ctx, value)
                leaf.kind, leaf.window = "path", True
            leaf.carries = [self._carry("at", init) for init in path_atoms(value.path)]
        elif kind == "buffer":
            source = copy_of(self.ctx, value) if value.dtype == dtype else cast(self.ctx, value, dtype)
            leaf.value = materialise(self.ctx, source, name)
        return leaf

    @staticmethod
    def _carry(name: str, init: Atom) -> Carry:
        type = Scalar(init.type.dtype)
        param = Var(name, type)
        return Carry(param, init, param, Var(name, type))

    def _to_planes(self, group: list[Key]) -> None:
        """Copy the arrays of `group` into the planes of a new one."""
        ctx = self.ctx
        arrays = {key: leaves(self.before[key[0]])[key[1]] for key in group}
        roots: list[ArrayRef] = []
        for a in arrays.values():
            if not any(r.var is a.var for r in roots):
                roots.append(a)
        for other in roots[1:]:
            for d, e in zip(roots[0].dims, other.dims, strict=True):
                ctx.equal(d, e, "arrays that trade places")
        names = "_".join(dict.fromkeys(name for name, _ in group))
        planes = ctx.new(roots[0].dtype, (integer(len(roots)), *roots[0].dims), hint=names)
        whole = [Slice(None, None, None)] * roots[0].ndim
        views: dict[Var, ArrayRef] = {}
        for k, root in enumerate(roots):
            view = views[root.var] = ctx.view(planes, "index", [integer(k), *whole], roots[0].dims, True)
            store_all(ctx, view, copy_of(ctx, root))
            if any(self._shared(root.base, name) for name, _ in group):
                self.shared.append((view, root, f"{names} trade places in a loop above"))
        for (name, k), array in arrays.items():
            parts = leaves(self.before[name])
            parts[k] = views[array.var]
            self.before[name] = rebuild(self.before[name], iter(parts))

    def _shared(self, base: Var, name: str) -> bool:
        """Whether the array `base` may be seen by others than the variable `name`."""
        return base in self.ctx.parameters or base in self.ctx.frozen or not self.alone(base, name)

    # -- inside

    def start(self) -> None:
        """At the start of the body: what the variables are there."""
        for leaf in self.leaves.values():
            if leaf.kind == "path":
                params = iter([c.param for c in leaf.carries])
                leaf.value = follow(self.ctx, leaf.before.base, with_atoms(leaf.before.path, params))
        for name, value in self.before.items():
            if name in self.plan.conflicts:
                self.env[name] = Conflict(self.plan.conflicts[name])
            elif value is not MISSING:
                count = len(leaves(value))
                self.env[name] = rebuild(value, iter([self.leaves[name, k].value for k in range(count)]))

    def finish(self, body: Block) -> None:
        """At the end of the body: what the variables are for the next iteration."""
        changed = False
        ends: dict[Key, Any] = {}
        for name, before in self.before.items():
            end = self.env.get(name, MISSING)
            if name in self.plan.conflicts or end is MISSING:
                continue
            if before is MISSING:
                changed |= self._begin(name, end)
            elif not alike(before, end):
                changed |= self._conflict(name, before, end)
            else:
                ends.update({(name, k): part for k, part in enumerate(leaves(end))})
        trading = self._trading(ends, body)
        for key, end in ends.items():
            changed |= self._settle(key, self.leaves[key], end, body, trading)
        if changed:
            raise _Again
        self.written = set(self.ctx.writes[self.mark :])
        self._fill_buffers(ends, body)

    def _begin(self, name: str, end: Any) -> bool:
        """A variable that has no value before the loop."""
        if all(isinstance(v, Number) for v in leaves(end)):
            self.plan.missing[name] = rebuild(end, (undefined(v.atom.type) for v in leaves(end)))
            return True
        self.plan.conflicts[name] = f"{name!r} is first assigned inside a loop above: assign it before the loop"
        return True

    def _conflict(self, name: str, before: Any, end: Any) -> bool:
        self.plan.conflicts[name] = (
            f"{name!r} is {describe(before)} before a loop and {describe(end)} after one of its iterations: "
            "give it one type, before the loop"
        )
        return True

    def _trading(self, ends: dict[Key, Any], body: Block) -> set[Key]:
        """The variables that are each other's arrays at the end of the body."""
        starts = {leaf.value.var: key for key, leaf in self.leaves.items() if isinstance(leaf.value, ArrayRef)}
        moved = {
            key
            for key, end in ends.items()
            if isinstance(end, ArrayRef)
            and self.leaves[key].kind == "same"
            and end.var is not self.leaves[key].value.var
            and end.var in starts
            and self.leaves[starts[end.var]].kind == "same"
            and (end.dtype, end.ndim) == (self.leaves[key].value.dtype, self.leaves[key].value.ndim)
        }
        # Only if what they take is given by others of them, or stays what it is.
        while True:
            kept = {
                k
                for k in moved
                if (source := starts[ends[k].var]) in moved or ends.get(source) is self.leaves[source].value
            }
            if kept == moved:
                break
            moved = kept
        group = sorted(moved | {starts[ends[k].var] for k in moved})
        if group:
            self.plan.planes.append(group)
            for key in group:
                self.plan.kinds[key] = ("path", "", True)
        return set(group)

    def _settle(self, key: Key, leaf: Leaf, end: Any, body: Block, trading: set[Key]) -> bool:
        """Compare the leaf with what it was taken to be; True if the plan had to change."""
        if key in trading:
            return True
        name = key[0]
        if isinstance(end, Bottom):
            return False
        if leaf.kind == "number":
            if not isinstance(end, Number):
                return self._conflict(name, leaf.before, end)
            dtype, weak = unified(leaf.value, end)
            if (dtype, weak) != (leaf.value.dtype, leaf.value.weak):
                self.plan.kinds[key] = ("number", dtype, weak)
                return True
            leaf.carries[0].next = self.ctx.builder.cast(end.atom, dtype, hint=name)
            return False
        if end is leaf.value or same_object(end, leaf.value):
            return False
        if not isinstance(end, ArrayRef) or not isinstance(leaf.value, ArrayRef) or end.ndim != leaf.value.ndim:
            return self._conflict(name, leaf.before, end)
        if end.var is leaf.value.var:
            return False
        return self._settle_array(key, leaf, end, body)

    def _settle_array(self, key: Key, leaf: Leaf, end: ArrayRef, body: Block) -> bool:
        if leaf.window and end.base is leaf.value.base:
            bounds = _bounds(self.ctx, end)
            if bounds is not None:
                for carry, atom in zip(leaf.carries, bounds, strict=True):
                    carry.next = atom
                return False
        walks = end.base is leaf.value.base and end.path and same_shape(end.path, leaf.value.path)
        if leaf.kind == "same" and not walks and _is_whole_of(leaf.value, end):
            self.plan.kinds[key] = ("window", "", True)
            return True
        if leaf.kind == "path" and walks:
            for carry, atom in zip(leaf.carries, path_atoms(end.path), strict=True):
                carry.next = atom
            return False
        if leaf.kind == "same" and walks and end.base not in born_in(body):
            self.plan.kinds[key] = ("path", "", True)
            return True
        dtype = np.result_type(leaf.value.dtype, end.dtype).name
        if leaf.kind != "buffer" or dtype != leaf.value.dtype:
            self.plan.planes = [g for g in self.plan.planes if key not in g]
            self.plan.kinds[key] = ("buffer", dtype, True)
            return True
        return False

    def _fill_buffers(self, ends: dict[Key, Any], body: Block) -> None:
        """Copy what the iteration made into the buffers, after checking that no write can tell."""
        ctx, born = self.ctx, born_in(body)
        moved = {
            key: (leaf, ends[key])
            for key, leaf in self.leaves.items()
            if leaf.kind == "buffer" and isinstance(ends.get(key), ArrayRef) and ends[key].var is not leaf.value.var
        }
        buffers = {leaf.value.base for leaf in self.leaves.values() if leaf.kind == "buffer"}
        bases = [end.base for _, end in moved.values()]
        for (name, _), (leaf, end) in moved.items():
            outer = self._shared(leaf.before.base, name)
            twice = bases.count(end.base) > 1 or end.base not in born or end.base in ctx.frozen
            stale = leaf.before.base in self.written or (outer and leaf.value.base in self.written)
            if stale or (twice and self.written & ({end.base} | buffers)):
                raise ctx.fail(
                    f"{name!r} is another array after an iteration, and is written to while it may be the same "
                    f"array as another variable: write {name} = {name}.copy() before writing to it"
                )
            if outer or twice:
                why = f"{name!r} may be the same array as another one since a loop above: copy it before writing to it"
                ctx.frozen[leaf.value.base] = ctx.frozen[leaf.before.base] = why
                if end.base not in born | buffers:
                    ctx.frozen[end.base] = why
        held = {
            key: materialise(ctx, copy_of(ctx, end)) if end.base in buffers else end for key, (_, end) in moved.items()
        }
        for key, (leaf, _) in moved.items():
            for d, e in zip(leaf.value.dims, held[key].dims, strict=True):
                ctx.equal(d, e, f"{key[0]} changes its shape in a loop")
            store_all(ctx, leaf.value, held[key] if held[key].dtype == leaf.value.dtype else copy_of(ctx, held[key]))

    # -- after

    def leave(self) -> None:
        ctx = self.ctx
        for leaf in self.leaves.values():
            if leaf.kind == "number":
                leaf.after = Number(leaf.carries[0].out, leaf.value.weak)
            elif leaf.kind == "path":
                outs = iter([c.out for c in leaf.carries])
                leaf.after = follow(ctx, leaf.before.base, with_atoms(leaf.before.path, outs))
            else:
                leaf.after = leaf.value
        for name, value in self.before.items():
            if name in self.plan.conflicts:
                self.env[name] = Conflict(self.plan.conflicts[name])
            elif value is not MISSING:
                count = len(leaves(value))
                self.env[name] = rebuild(value, iter([self.leaves[name, k].after for k in range(count)]))
        for plane, root, why in self.shared:
            if plane.base in self.written:
                store_all(ctx, root, copy_of(ctx, plane))
            ctx.frozen[plane.base] = ctx.frozen[root.base] = f"{why}: copy it before writing to it"
        for base in self.written:
            if base in ctx.frozen and not any(base is p.base for p, _, _ in self.shared):
                raise ctx.fail(ctx.frozen[base])


def _is_whole_of(array: ArrayRef, end: ArrayRef) -> bool:
    """Whether `end` is a window of `array`, an array of its own: ``x = x[k:]``."""
    return (
        not array.path
        and end.base is array.base
        and bool(end.path)
        and all(s.kind == "index" and all(isinstance(i, Slice) and i.step is None for i in s.items) for s in end.path)
    )


def _bounds(ctx: Context, end: ArrayRef) -> list[Atom] | None:
    """Lower and upper bound along each axis of a window of a window …, None if that cannot be said."""
    found: list[tuple[Atom, Atom]] = [(integer(0), d) for d in ctx.dims(end.base)]
    for depth, step in enumerate(end.path):
        if len(step.items) != len(found) or not all(isinstance(i, Slice) and i.step is None for i in step.items):
            return None
        for k, (item, (low, high)) in enumerate(zip(step.items, found, strict=True)):
            lower, upper = item.lower, item.upper
            if (depth and not _is_plain(lower, 1)) or (depth and not _is_plain(upper, -1)):
                return None
            first = low if lower is None else lower if not depth else ctx.let("add", low, lower)
            last = high if upper is None else upper if not depth else ctx.let("add", high, upper)
            found[k] = (first, last)
    return [bound for pair in found for bound in pair]


def _is_plain(bound: Atom | None, sign: int) -> bool:
    """Whether a bound is left out, or a constant that is counted from the end it belongs to."""
    return bound is None or (isinstance(bound, Const) and bound.value * sign > 0)


def _window(ctx: Context, array: ArrayRef) -> ArrayRef:
    """The whole of an array, as a view with bounds."""
    items = [Slice(integer(0), d, None) for d in array.dims]
    return ctx.view(array, "index", items, array.dims, array.contiguous)
