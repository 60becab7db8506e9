"""What a loop carries from one iteration to the next, found by reading its body until nothing changes.

A number is a carry. An array variable that is another array after an iteration is

* the same way of viewing one base, whose integers are carried (``row = x[i]``);
* one of several arrays that trade places (``a, b = b, a``): they move into the planes of one array, and which
  plane a variable is, an integer, is carried;
* a view that was another array before the first iteration (``x = s[k]``): each reading asks which it is;
* a buffer, into which what the iteration made is copied at its end (``y = y + h * f(y)``).

Each is right only if writes cannot tell the difference; where they could, the loop is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    either,
    follow,
    leaves,
    path_atoms,
    rebuild,
    same_object,
    same_shape,
    unified,
    with_atoms,
)
from chainrule.frontends.values import ArrayRef, Bottom, Conflict, Grown, ListArray, Number, undefined
from chainrule.ir.build import boolean, integer
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
    meant: dict[Key, frozenset[Var]] = field(default_factory=dict)  # what a buffer stands for, from outside the loop
    later: dict[Key, ArrayRef] = field(default_factory=dict)  # what another array becomes a view like


@dataclass
class Leaf:
    """One number or array of a variable: what it was before the loop and what it is in the body."""

    kind: str  # same, number, path, either, buffer
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
    alone: Callable[..., bool],
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
        self, ctx: Context, env: dict[str, Any], names: Iterable[str], plan: Plan, alone: Callable[..., bool]
    ) -> None:
        self.ctx, self.env, self.plan, self.alone = ctx, env, plan, alone
        self.before = {n: env.get(n, plan.missing.get(n, MISSING)) for n in names}
        self.leaves: dict[Key, Leaf] = {}
        self.shared: list[tuple[ArrayRef, ArrayRef, str]] = []  # plane, the array it stands for, the reason to freeze
        self.written: set[Var] = set()
        self.stood = dict(ctx.stands)
        self.mark, self.mark_of_uses = len(ctx.writes), len(ctx.uses)

    @property
    def carries(self) -> list[Carry]:
        return [c for leaf in self.leaves.values() for c in leaf.carries]

    # -- before

    def enter(self) -> None:
        for group in self.plan.planes:
            self._to_planes(group)
        for name, value in self.before.items():
            if value is not MISSING:
                value = _rebuilt(self.ctx, value, [materialise(self.ctx, part, name) for part in leaves(value)])
                self.before[name] = value
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
        elif kind == "either":
            inits = [boolean(True), *(integer(0) for _ in path_atoms(self.plan.later[name, k].path))]
            leaf.carries = [self._carry("at" if n else "first", init) for n, init in enumerate(inits)]
        elif kind == "buffer":
            self._hold(name, k, leaf, dtype)
        return leaf

    def _hold(self, name: str, k: int, leaf: Leaf, dtype: str) -> None:
        """The array of `leaf` in a buffer, which may stand for it and for what it is after an iteration."""
        ctx, array = self.ctx, leaf.before
        ctx.use(array.base, name)
        source = copy_of(ctx, array) if array.dtype == dtype else cast(ctx, array, dtype)
        leaf.value = materialise(ctx, source, name)
        meant = self.plan.meant.get((name, k), frozenset())
        for base in meant | ({array.base} if self._shared(array.base, name) else set()):
            ctx.stand(leaf.value.base, base)
            ctx.frozen[leaf.value.base] = (
                f"{name!r} is another array after an iteration, and is written to while it may be the same array as "
                f"another variable: write {name} = {name}.copy() before writing to it"
            )

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
            if self._shared(root.base, *(name for name, _ in group)):
                self.shared.append((view, root, f"{names} trade places in a loop above"))
                for a, b in ((planes.base, root.base), (root.base, planes.base)):
                    ctx.stand(a, b)
                    self.stood[a] = ctx.stands[a]
            for copy in [c for c, meant in ctx.stands.items() if root.base in meant]:
                ctx.stand(copy, planes.base)
                self.stood[copy] = ctx.stands[copy]
        for (name, k), array in arrays.items():
            parts = leaves(self.before[name])
            parts[k] = views[array.var]
            self.before[name] = rebuild(self.before[name], iter(parts))

    def _shared(self, base: Var, *names: str) -> bool:
        """Whether the array `base` may be seen by others than the variables `names`."""
        return self.ctx.seen(base) or not self.alone(base, *names)

    # -- inside

    def start(self) -> None:
        """At the start of the body: what the variables are there."""
        for key, leaf in self.leaves.items():
            if leaf.kind in ("path", "either"):
                leaf.value = self._viewed(key, leaf, [c.param for c in leaf.carries])
        for name, value in self.before.items():
            if name in self.plan.conflicts:
                self.env[name] = Conflict(self.plan.conflicts[name])
            elif value is not MISSING:
                count = len(leaves(value))
                self.env[name] = _rebuilt(self.ctx, value, [self.leaves[name, k].value for k in range(count)])

    def _viewed(self, key: Key, leaf: Leaf, atoms: Sequence[Atom]) -> Any:
        """The view that the integers `atoms` say, or the array that was there before the first iteration."""
        if leaf.kind == "path":
            return follow(self.ctx, leaf.before.base, with_atoms(leaf.before.path, iter(atoms)))
        later = self.plan.later[key]
        view = follow(self.ctx, later.base, with_atoms(later.path, iter(atoms[1:])))
        return either(self.ctx, atoms[0], leaf.before, view, key[0])

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
        self._check_lists(born_in(body))

    def _begin(self, name: str, end: Any) -> bool:
        """A variable that has no value before the loop."""
        if all(isinstance(v, Number) for v in leaves(end)):
            self.plan.missing[name] = rebuild(end, (undefined(v.atom.type) for v in leaves(end)))
            return True
        self.plan.conflicts[name] = f"{name!r} is first assigned inside a loop above: assign it before the loop"
        return True

    def _conflict(self, name: str, before: Any, end: Any) -> bool:
        if any(isinstance(v, (list, Grown)) for v in (before, end)):
            self.plan.conflicts[name] = (
                f"{name!r} is one list before a loop and another after one of its iterations: make it longer with "
                f"{name}.append(...), empty it with {name}.clear(), or let a list of one iteration have its own name"
            )
            return True
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
        starting = {self.leaves[key].value.var: self.leaves[key].value.base for key in group}
        if len(set(starting.values())) < len(starting):
            return set()  # views of one array may overlap, which planes do not
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
        if leaf.kind == "either" and isinstance(end, ArrayRef):
            return self._settle_either(key, leaf, end, body)
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
        if leaf.kind == "same" and _is_later(end, leaf.value, self.ctx.writes[self.mark :], body):
            self.plan.kinds[key], self.plan.later[key] = ("either", "", True), end
            return True
        meant = self.ctx.meant(end.base) - born_in(body)
        if leaf.kind != "buffer" or dtype != leaf.value.dtype or not meant <= self.ctx.meant(leaf.value.base):
            self.plan.planes = [g for g in self.plan.planes if key not in g]
            self.plan.kinds[key] = ("buffer", dtype, True)
            self.plan.meant[key] = meant
            return True
        return False

    def _settle_either(self, key: Key, leaf: Leaf, end: ArrayRef, body: Block) -> bool:
        later = self.plan.later[key]
        if not _is_later(end, leaf.before, [end.base], body) or not same_shape(end.path, later.path):
            self.plan.kinds[key] = ("buffer", np.result_type(leaf.before.dtype, end.dtype).name, True)
            return True
        if end.base is not later.base:
            self.plan.later[key] = end
            return True
        for d, e in zip(leaf.value.dims, end.dims, strict=True):
            self.ctx.equal(d, e, f"{key[0]} changes its shape in a loop")
        for carry, atom in zip(leaf.carries, [boolean(False), *path_atoms(end.path)], strict=True):
            carry.next = atom
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
        for key, (leaf, end) in moved.items():
            name = key[0]
            ctx.use(end.base, name)
            others = [e for k, (_, e) in moved.items() if k != key]
            if end.base in born and (
                end.base in ctx.frozen or any(ctx.meant(end.base) & ctx.meant(e.base) for e in others)
            ):
                why = f"{name!r} may be the same array as another one since a loop above: copy it before writing to it"
                ctx.frozen.setdefault(leaf.value.base, why)
        held = {
            key: materialise(ctx, copy_of(ctx, end)) if end.base in buffers else end for key, (_, end) in moved.items()
        }
        for key, (leaf, _) in moved.items():
            for d, e in zip(leaf.value.dims, held[key].dims, strict=True):
                ctx.equal(d, e, f"{key[0]} changes its shape in a loop")
            store_all(ctx, leaf.value, held[key] if held[key].dtype == leaf.value.dtype else copy_of(ctx, held[key]))
            ctx.stale.discard(leaf.value.base)
        for leaf, end in [pair for _ in moved for pair in moved.values()]:  # one may be the next one's array
            for items in [i for i in ctx.held if end.base in ctx.stands.get(i, ())]:
                ctx.stand(items, leaf.value.base)
        for (name, _), leaf in self.leaves.items():
            if leaf.kind == "buffer":
                ctx.use(leaf.value.base, name)

    def _check_lists(self, born: set[Var]) -> None:
        """An array that was appended to a list is written to in the next iteration."""
        ctx = self.ctx
        for items in [i for i in ctx.held if i not in born]:
            if (ctx.stands.get(items, frozenset()) & self.written) - born:
                ctx.stale.add(items)
                if items in ctx.uses[self.mark_of_uses :]:
                    ctx.use(items, items.hint)

    # -- after

    def leave(self) -> None:
        ctx = self.ctx
        for key, leaf in self.leaves.items():
            if leaf.kind == "number":
                leaf.after = Number(leaf.carries[0].out, leaf.value.weak)
            elif leaf.kind in ("path", "either"):
                leaf.after = materialise(ctx, self._viewed(key, leaf, [c.out for c in leaf.carries]), key[0])
            else:
                leaf.after = leaf.value
        for name, value in self.before.items():
            if name in self.plan.conflicts:
                self.env[name] = Conflict(self.plan.conflicts[name])
            elif value is not MISSING:
                count = len(leaves(value))
                self.env[name] = _rebuilt(ctx, value, [self.leaves[name, k].after for k in range(count)])
        self._check_uses()
        for plane, root, why in self.shared:
            if plane.base in self.written and root.base in self.written:
                raise ctx.fail(f"{why}, and another name of one of them is written to")
            if plane.base in self.written:
                store_all(ctx, root, copy_of(ctx, plane))
                ctx.stale.discard(root.base)
            ctx.frozen[plane.base] = ctx.frozen[root.base] = f"{why}: copy it before writing to it"
        for base in self.written:
            if base in ctx.frozen and not any(base is p.base for p, _, _ in self.shared):
                raise ctx.fail(ctx.frozen[base])

    def _check_uses(self) -> None:
        """Refuse that an iteration reads what stands for an array that the one before has written to."""
        ctx, used = self.ctx, set(self.ctx.uses[self.mark_of_uses :])
        for copy, meant in self.stood.items():
            if copy in used and meant & self.written:
                ctx.stale.add(copy)
                ctx.use(copy, copy.hint)


def _rebuilt(ctx: Context, value: Any, parts: list[Any]) -> Any:
    """`value` with other leaves; a list that is made longer becomes one that grows."""
    made = rebuild(value, iter(parts))
    return ctx.note_list(made, ctx.list_of(value)[1], 0) if isinstance(value, (list, ListArray)) else made


def _is_later(end: ArrayRef, before: ArrayRef, written: Sequence[Var], body: Block) -> bool:
    """Whether `end` is a view of an array that the loop writes to, where the variable was another array before."""
    return bool(end.path) and end.base in written and end.base not in born_in(body) and end.dtype == before.dtype


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
