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

from chainrule.errors import UnsupportedError
from chainrule.frontends.arrays import copy_of
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import cast, describe, materialise
from chainrule.frontends.firsts import Unborn, before_the_loop, flag_of, present, promised, unborn
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
from chainrule.frontends.trades import chosen, trading
from chainrule.frontends.values import ArrayRef, Bottom, Conflict, Grown, ListArray, Number, undefined
from chainrule.frontends.windows import bounds_of, is_later, is_whole_of, window
from chainrule.ir.build import boolean, integer
from chainrule.ir.nodes import Atom, Block, Carry, Scalar, Slice, Var
from chainrule.ir.walk import is_number

__all__ = ["Loop", "Plan", "run_loop"]

ROUNDS = 12
_UNREAD = Bottom()  # what a variable is before the body that assigns it has been read
Key = tuple[str, int]


@dataclass
class Plan:
    """How the variables of one loop are carried; kept, so that a loop read again is read once."""

    kinds: dict[Key, tuple[str, str, bool]] = field(default_factory=dict)  # kind, dtype, weak
    missing: dict[str, Any] = field(default_factory=dict)
    planes: list[list[Key]] = field(default_factory=list)
    conflicts: dict[str, str] = field(default_factory=dict)
    meant: dict[Key, frozenset[Var | Key]] = field(default_factory=dict)  # what a buffer stands for; planes by a key
    tried: list[list[Key]] = field(default_factory=list)  # planes for what branches choose from
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
    first: bool = False  # a buffer for what has no value before the loop
    given: bool = False  # such a buffer of a loop around this one


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
            pass
        except UnsupportedError:
            if not loop.trade():
                raise
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
        known = {n: v for n, v in env.items() if v is not _UNREAD}
        self.before = {n: known.get(n, plan.missing.get(n, MISSING)) for n in names}
        for flag in [flag_of(n) for n in names if flag_of(n) in env or n in plan.missing]:
            self.before[flag] = env.get(flag, Number(boolean(False)))
        self.outer = ctx.builder.block
        self.leaves: dict[Key, Leaf] = {}
        self.shared: list[tuple[ArrayRef, ArrayRef, str]] = []  # plane, the array it stands for, the reason to freeze
        self.written: set[Var] = set()
        self.entered = False  # whether it is known that there is an iteration
        self.fresh: set[Var] = set()  # the buffers that hold after an iteration what no other variable is
        self.stood = dict(ctx.stands)
        self.mark, self.mark_of_uses, self.mark_of_merges = len(ctx.writes), len(ctx.uses), len(ctx.merged)

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
        self._stand()

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
                leaf.before = value = window(self.ctx, value)
                leaf.kind, leaf.window = "path", True
            leaf.carries = [self._carry("at", init) for init in path_atoms(value.path)]
        elif kind == "either":
            inits = [boolean(True), *(integer(0) for _ in path_atoms(self.plan.later[name, k].path))]
            leaf.carries = [self._carry("at" if n else "first", init) for n, init in enumerate(inits)]
        elif isinstance(value, Unborn):
            leaf.kind, leaf.first = "buffer", True
            leaf.before = leaf.value = promised(name, dtype or value.dtype, value)
            self.ctx.promised[leaf.value.var] = []
        elif kind == "buffer" and isinstance(value, ArrayRef) and self._is_given(name, value, dtype):
            leaf.given = True
        elif kind == "buffer":
            if isinstance(value, Conflict):
                raise self.ctx.fail(value.reason)
            self._hold(name, leaf, dtype)
        return leaf

    def _is_given(self, name: str, array: ArrayRef, dtype: str) -> bool:
        """Whether the buffer of a loop around this one, which is as large as this loop's arrays, can be filled here."""
        return array.var in self.ctx.promised and array.dtype == dtype and self.alone(array.base, name)

    def _hold(self, name: str, leaf: Leaf, dtype: str) -> None:
        """The array of `leaf` in a buffer."""
        ctx, array = self.ctx, leaf.before
        ctx.use(array.base, name)
        source = copy_of(ctx, array) if array.dtype == dtype else cast(ctx, array, dtype)
        leaf.value = materialise(ctx, source, name)

    def _stand(self) -> None:
        """Note what the buffers stand for."""
        ctx = self.ctx
        buffers = {key: leaf for key, leaf in self.leaves.items() if leaf.kind == "buffer"}
        shared = {leaf.before.base for (name, _), leaf in buffers.items() if self._shared(leaf.before.base, name)}
        names = [n for n, v in self.before.items() if all((n, k) in buffers for k in range(len(leaves(v))))]
        for key, leaf in buffers.items():
            found = self.plan.meant.get(key, frozenset())
            # What only a buffer still holds, or a reading before this one has made, nobody writes to.
            known = {
                v for v in found if isinstance(v, tuple) or v in shared or ctx.seen(v) or not self.alone(v, *names)
            }
            self.plan.meant[key] = frozenset(known)
            for v in known | ({leaf.before.base} & shared):
                ctx.stand(leaf.value.base, self.leaves[v].before.base if isinstance(v, tuple) else v)
                ctx.frozen[leaf.value.base] = _may_be_another(key[0])

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
        several = sum(isinstance(v, ArrayRef) and v.base is base for n in names for v in leaves(self.before[n])) > 1
        return (several and len(names) == 1) or self.ctx.seen(base) or not self.alone(base, *names)

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
            else:  # it may be read before the end of this reading tells what it is
                self.env[name] = _UNREAD

    def _viewed(self, key: Key, leaf: Leaf, atoms: Sequence[Atom]) -> Any:
        """The view that the integers `atoms` say, or the array that was there before the first iteration."""
        if leaf.kind == "path":
            return follow(self.ctx, leaf.before.base, with_atoms(leaf.before.path, iter(atoms)))
        later = self.plan.later[key]
        view = follow(self.ctx, later.base, with_atoms(later.path, iter(atoms[1:])))
        return either(self.ctx, atoms[0], leaf.before, view, key[0])

    def finish(self, body: Block, *own: Var) -> None:
        """At the end of the body: what the variables are for the next iteration. `own`: what counts the iterations."""
        new = {n: self.env.get(n, _UNREAD) for n, before in self.before.items() if before is MISSING}
        new = {n: end for n, end in new.items() if n not in self.plan.conflicts and not isinstance(end, Bottom)}
        for name, end in new.items():
            self._begin(name, end)
        if new:
            raise _Again
        changed = False
        ends: dict[Key, Any] = {}
        for name, before in self.before.items():
            end = self.env.get(name, MISSING)
            if name in self.plan.conflicts or before is MISSING or end is MISSING:
                continue
            if not alike(before, end):
                changed |= self._conflict(name, before, end)
            else:
                ends.update({(name, k): part for k, part in enumerate(leaves(end))})
        group = trading(self.ctx, self.leaves, ends)
        if group:
            self._in_planes(group)
        for key, end in ends.items():
            changed |= key in group or self._settle(key, self.leaves[key], end, body)
        if changed or not self._make_first(ends, body, own):
            raise _Again
        self.written = set(self.ctx.writes[self.mark :])
        self._fill_buffers(ends, body)
        self._check_lists(born_in(body))

    def _begin(self, name: str, end: Any) -> None:
        """A variable that has no value before the loop."""
        end = present(end)
        parts: list[Any] = leaves(end)
        if parts and all(isinstance(v, (Number, ArrayRef)) for v in parts):
            self.plan.missing[name] = rebuild(
                end, iter([unborn(v) if isinstance(v, ArrayRef) else undefined(v.atom.type) for v in parts])
            )
            return
        why = f"{name!r} is first assigned inside a loop above: assign it before the loop"
        self.plan.conflicts[name] = end.reason if isinstance(end, Conflict) else why

    def _make_first(self, ends: dict[Key, Any], body: Block, own: Sequence[Atom]) -> bool:
        """Make the buffers of arrays that have no value before the loop; False if it is not known how large."""
        promised = self.ctx.promised
        for key, leaf in self.leaves.items():
            if (leaf.first or leaf.given) and key in ends and ends[key].var is not leaf.value.var:
                promised[leaf.value.var].append(ends[key].dims)
        left = {key: leaf.value for key, leaf in self.leaves.items() if leaf.first}
        own = [*own, *[c.param for c in self.carries]]
        while left:
            known = own + [v for array in left.values() for v in (array.var, *array.dims)]
            made = [
                key
                for key, array in left.items()
                if before_the_loop(self.ctx, self.outer, array, promised[array.var], body, known)
            ]
            if not made:
                name = next(iter(left))[0]
                self.plan.conflicts[name] = (
                    f"{name!r} is first assigned inside a loop above, and how large it is is known only there: make it "
                    f"before the loop, {name} = np.zeros(...)"
                )
                del self.plan.missing[name]
                return False
            for key in made:
                del promised[left.pop(key).var]
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

    def trade(self) -> bool:
        """Whether what branches choose from can be planes, where a reading has failed in which it was not."""
        group = chosen(self.ctx, self.leaves, self.mark_of_merges)
        if not group or group in self.plan.tried:
            return False
        self.plan.tried.append(group)
        self._in_planes(group)
        return True

    def _in_planes(self, group: list[Key]) -> None:
        self.plan.planes.append(group)
        for key in group:
            self.plan.kinds[key] = ("path", "", True)

    def _settle(self, key: Key, leaf: Leaf, end: Any, body: Block) -> bool:
        """Compare the leaf with what it was taken to be; True if the plan had to change."""
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
            bounds = bounds_of(self.ctx, end)
            if bounds is not None and len(bounds) == len(leaf.carries):
                for carry, atom in zip(leaf.carries, bounds, strict=True):
                    carry.next = atom
                return False
        walks = end.base is leaf.value.base and end.path and same_shape(end.path, leaf.value.path)
        if leaf.kind == "same" and not walks and is_whole_of(leaf.value, end):
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
        if (
            leaf.kind == "same"
            and end.base not in self._own()
            and is_later(end, leaf.value, self.ctx.writes[self.mark :], body)
        ):
            self.plan.kinds[key], self.plan.later[key] = ("either", "", True), end
            return True
        meant, known = self._meant(end.base, body), self.plan.meant.get(key, frozenset())
        if leaf.kind != "buffer" or dtype != leaf.value.dtype or not meant <= known | self.ctx.meant(leaf.value.base):
            self.plan.planes = [g for g in self.plan.planes if key not in g]
            self.plan.kinds[key] = ("buffer", dtype, True)
            self.plan.meant[key] = meant | known
            return True
        return False

    def _meant(self, base: Var, body: Block) -> frozenset[Var | Key]:
        """What a copy of `base` stands for from outside the loop; not the loop's own buffers, see `_freeze`."""
        own = self._own()
        found = [own.get(v, v) for v in self.ctx.meant(base) - born_in(body)]
        return frozenset(v for v in found if v is not None)

    def _own(self) -> dict[Var, Key | None]:
        """The arrays that this loop has made: its buffers, and its planes with one of the variables in them."""
        own: dict[Var, Key | None] = {v.value.base: None for v in self.leaves.values() if v.kind == "buffer"}
        return own | {self.leaves[group[0]].before.base: group[0] for group in self.plan.planes}

    def _settle_either(self, key: Key, leaf: Leaf, end: ArrayRef, body: Block) -> bool:
        later = self.plan.later[key]
        still = is_later(end, leaf.before, [end.base], body) and end.base not in self._own()
        if not still or not same_shape(end.path, later.path):
            self.plan.kinds[key] = ("buffer", np.result_type(leaf.before.dtype, end.dtype).name, True)
            return True
        if end.base is not later.base:
            self.plan.later[key] = end
            return True
        for d, e in zip(leaf.value.dims, end.dims, strict=True):
            self.ctx.equal(d, e, _changes_its_shape(key[0]))
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
        for key, (_, end) in moved.items():
            ctx.use(end.base, key[0])
        self._freeze(ends, moved, born)
        left = {key: end for key, (_, end) in moved.items()}
        while left:  # those first whose buffers hold what no other one still takes
            taken = {end.base for end in left.values()}
            key = next((k for k in left if self.leaves[k].value.base not in taken), next(iter(left)))
            target = self.leaves[key].value
            for other, end in left.items():
                if end.base is target.base:
                    left[other] = materialise(ctx, copy_of(ctx, end))
            end = left.pop(key)
            for d, e in zip(target.dims, end.dims, strict=True):
                ctx.equal(d, e, _changes_its_shape(key[0]))
            store_all(ctx, target, end if end.dtype == target.dtype else copy_of(ctx, end))
            ctx.stale.discard(target.base)
        for leaf, end in [pair for _ in moved for pair in moved.values()]:  # one may be the next one's array
            for items in [i for i in ctx.held if end.base in ctx.stands.get(i, ())]:
                ctx.stand(items, leaf.value.base)
        for (name, _), leaf in self.leaves.items():
            if leaf.kind == "buffer":
                ctx.use(leaf.value.base, name)

    def _freeze(self, ends: dict[Key, Any], moved: dict[Key, tuple[Leaf, ArrayRef]], born: set[Var]) -> None:
        """Forbid writes to buffers that may hold one and the same array in the next iteration."""
        ctx = self.ctx
        last = {
            key: ctx.meant(ends[key].base)
            for key, leaf in self.leaves.items()
            if leaf.kind == "buffer" and isinstance(ends.get(key), ArrayRef)
        }
        buffers = {key: self.leaves[key].value.base for key in last}
        frozen = {base for base in buffers.values() if base in ctx.frozen}
        caught: set[Key] = set()
        while True:
            more = {
                key
                for key, meant in last.items()
                if ends[key].base in ctx.frozen
                or ends[key].base in frozen
                or any(meant & other for k, other in last.items() if k != key and (k in moved or key in moved))
            }
            if more == caught:
                break
            caught = more
            frozen |= {buffers[key] for key in caught}
        inside = born | self._own().keys()
        self.fresh = {buffers[key] for key in moved if key not in caught and not last[key] - inside}
        for key in caught:
            why = f"{key[0]!r} may be the same array as another one since a loop above: copy it before writing to it"
            ctx.frozen.setdefault(buffers[key], why)

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
            if self.entered and name.startswith(flag_of("")) and is_number(self.leaves[name, 0].carries[0].next, True):
                del self.env[name]
        ctx.use_again(self.stood, self.mark_of_uses, self.written)
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
        for base in (
            self.fresh - {leaf.value.base for leaf in self.leaves.values() if leaf.given} if self.entered else ()
        ):
            ctx.frozen.pop(base, None)
            ctx.stands.pop(base, None)


def _rebuilt(ctx: Context, value: Any, parts: list[Any]) -> Any:
    """`value` with other leaves; a list that is made longer becomes one that grows."""
    made = rebuild(value, iter(parts))
    return ctx.note_list(made, ctx.list_of(value)[1], 0) if isinstance(value, (list, ListArray)) else made


def _may_be_another(name: str) -> str:
    return (
        f"{name!r} is another array after an iteration, and is written to while it may be the same array as "
        f"another variable, or the one that a loop runs over: write {name} = {name}.copy() before writing to it"
    )


def _changes_its_shape(name: str) -> str:
    return (
        f"{name} changes its shape in a loop: keep it in one array of the largest size and write to {name}[:n], with a "
        "number n for how much of it is meant"
    )
