"""Where paths meet: the values of variables after a branch, and what a loop carries.

Only numbers merge in the program. An array that is another one on each path is, in this order: the same views of
one base, with their indices merged; arrays born in the branches, or copies of arrays made there, which is right
as long as nothing is written to either (such arrays are *frozen*: a later write is refused). What a variable is
after a loop follows the same lines, see `Plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from chainrule.frontends.context import Context, same
from chainrule.frontends.elementwise import common_dtype, describe, load, materialise
from chainrule.frontends.values import (
    ArrayRef,
    Bottom,
    Conflict,
    Either,
    Grown,
    ListArray,
    Number,
    Record,
    Static,
    Step,
    Transformed,
    undefined,
)
from chainrule.ir.nodes import Array, Atom, Block, If, Merge, Scalar, Slice, Var
from chainrule.ir.walk import defines, nodes_of

__all__ = [
    "MISSING",
    "alike",
    "born_in",
    "either",
    "follow",
    "leaves",
    "merge_branches",
    "path_atoms",
    "rebuild",
    "same_object",
    "same_shape",
    "unified",
    "with_atoms",
]

MISSING = object()


# -- trees of values ----------------------------------------------------------------------------------


def leaves(value: Any) -> list[Any]:
    """The values in a nest of tuples, lists, dicts and records."""
    return [leaf for part in parts for leaf in leaves(part)] if (parts := _parts(value)) is not None else [value]


def _parts(value: Any) -> list[Any] | None:
    match value:
        case tuple() | list():
            return list(value)
        case dict():
            return list(value.values())
        case Record():
            return list(value.fields.values())
        case ListArray():
            return [value.array]
    return None


def rebuild(value: Any, replacements: Iterator[Any]) -> Any:
    """`value` with its leaves replaced in order."""
    match value:
        case tuple():
            return tuple(rebuild(v, replacements) for v in value)
        case list():
            return [rebuild(v, replacements) for v in value]
        case dict():
            return {k: rebuild(v, replacements) for k, v in value.items()}
        case Record():
            return Record(value.cls, {k: rebuild(v, replacements) for k, v in value.fields.items()})
        case ListArray():
            return ListArray(rebuild(value.array, replacements), value.weak)
    return next(replacements)


def alike(a: Any, b: Any) -> bool:
    """Whether two values are the same nest of containers."""
    match a, b:
        case (tuple(), tuple()) | (list(), list()):
            return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))
        case dict(), dict():
            return list(a) == list(b) and all(alike(a[k], b[k]) for k in a)
        case Record(), Record():
            return a.cls is b.cls and alike(a.fields, b.fields)
        case ListArray(), ListArray():
            return True
    return _parts(a) is None and _parts(b) is None


def unified(a: Number, b: Number) -> tuple[str, bool]:
    """The dtype of a variable that is `a` on one path and `b` on another, and whether it is a Python number."""
    if a.dtype == b.dtype:
        return a.dtype, a.weak and b.weak
    return common_dtype([a, b])[0], a.weak and b.weak


# -- branches -----------------------------------------------------------------------------------------


def merge_branches(ctx: Context, node: If, name: str, then: Any, orelse: Any, alone: Callable[[Var], bool]) -> Any:
    """What `name` is after the branches. `alone(base)`: no other variable is, or views, that array."""
    if then is orelse:
        return then
    if then is MISSING or orelse is MISSING:
        present = orelse if then is MISSING else then
        if all(isinstance(v, Number) for v in leaves(present)):
            missing = rebuild(present, (undefined(v.atom.type) for v in leaves(present)))
            then, orelse = (missing, orelse) if then is MISSING else (then, missing)
        else:
            why = f"{name!r} is not assigned on every path to here: assign it before the branches"
            return Conflict(why, present.present if isinstance(present, Conflict) else present)
    if isinstance(then, Bottom) or isinstance(orelse, Bottom):
        return orelse if isinstance(then, Bottom) else then
    if not alike(then, orelse):
        return Conflict(f"{name!r} is {describe(then)} on one path to here and {describe(orelse)} on another")
    pairs = list(zip(leaves(then), leaves(orelse), strict=True))
    return rebuild(then, iter([_merge(ctx, node, name, a, b, alone) for a, b in pairs]))


def _merge(ctx: Context, node: If, name: str, a: Any, b: Any, alone: Callable[[Var], bool]) -> Any:
    if a is b:
        return a
    with ctx.inside(node.then):
        a = materialise(ctx, a, name)
    with ctx.inside(node.orelse):
        b = materialise(ctx, b, name)
    if isinstance(a, Number) and isinstance(b, Number):
        if same(a.atom, b.atom) and a.dtype == b.dtype and a.weak == b.weak:
            return a
        dtype, weak = unified(a, b)
        return Number(_merged(ctx, node, name, a.atom, b.atom, dtype), weak)
    if isinstance(a, ArrayRef) and isinstance(b, ArrayRef):
        return _merge_arrays(ctx, node, name, a, b, alone)
    if isinstance(a, Bottom) or isinstance(b, Bottom):
        return b if isinstance(a, Bottom) else a
    if same_object(a, b):
        return a
    if isinstance(a, Grown) or isinstance(b, Grown):
        return Conflict(
            f"{name!r} is one list on one path to here and another on the other: make it longer with append, and empty "
            f"it with {name}.clear()"
        )
    return Conflict(f"{name!r} is {describe(a)} on one path to here and {describe(b)} on another")


def same_object(a: Any, b: Any) -> bool:
    if isinstance(a, Static) and isinstance(b, Static):
        return a.value is b.value or (isinstance(a.value, str) and a.value == b.value)
    if isinstance(a, Transformed) and isinstance(b, Transformed):
        return a.kind == b.kind and a.options == b.options and same_object(a.function, b.function)
    return isinstance(a, Conflict) and isinstance(b, Conflict)


def _merged(ctx: Context, node: If, name: str, a: Atom, b: Atom, dtype: str) -> Atom:
    with ctx.inside(node.then):
        a = ctx.builder.cast(a, dtype, hint=name)
    with ctx.inside(node.orelse):
        b = ctx.builder.cast(b, dtype, hint=name)
    out = Var(name, Scalar(dtype))
    node.merges.append(Merge(out, a, b))
    return out


def _merge_arrays(ctx: Context, node: If, name: str, a: ArrayRef, b: ArrayRef, alone: Callable[[Var], bool]) -> Any:
    if a.var is b.var:
        return a
    if (a.dtype, a.ndim) != (b.dtype, b.ndim):
        return Conflict(f"{name!r} is {describe(a)} on one path to here and {describe(b)} on another")
    born = born_in(node.then) | born_in(node.orelse)
    if a.base is b.base and a.base not in born and same_shape(a.path, b.path):
        steps = [
            _merge_step(s, t, lambda x, y: _merged(ctx, node, "i", x, y, "int64"))
            for s, t in zip(a.path, b.path, strict=True)
        ]
        return follow(ctx, a.base, steps)
    out = Var(name, Array(a.dtype, a.ndim))
    atoms = []
    for block, value in ((node.then, a), (node.orelse, b)):
        if value.base in ctx.stale:
            return Conflict(f"{name!r} is one array or another depending on a branch, and was written to since")
        ctx.uses.append(value.base)
        with ctx.inside(block):
            own = value.base in born_in(block) and value.var is value.base and alone(value.base)
            own = own and not any(value.base in ctx.stands.get(items, ()) for items in ctx.held)
            atoms.append(value.var if own else ctx.builder.copy(value.var, name))
        if value.base in ctx.frozen:
            ctx.frozen[out] = ctx.frozen[value.base]
        if value.base in ctx.stands or not (own or (alone(value.base) and not ctx.seen(value.base))):
            why = f"{name!r} is one array or another depending on a branch: copy it (`.copy()`) before writing to it"
            ctx.frozen.setdefault(out, why)
            ctx.stand(out, value.base)
    node.merges.append(Merge(out, *atoms))
    ctx.merged[out] = tuple(dict.fromkeys(v for x in (a, b) for v in ctx.merged.get(x.var, (x.var,))))
    return ArrayRef(out, ctx.dims(out), out)


def either(ctx: Context, test: Atom, a: ArrayRef, b: ArrayRef, name: str) -> Either:
    """`a` where `test` holds, else `b`; of one dtype and one shape."""

    def element(index: tuple[Atom, ...]) -> Atom:
        node = If(test, Block(), Block())
        with ctx.inside(node.then):
            first = load(ctx, a, index)
        with ctx.inside(node.orelse):
            second = load(ctx, b, index)
        ctx.builder.emit(node)
        return _merged(ctx, node, f"{name}_i", first, second, a.dtype)

    return Either(a.dtype, a.dims, element, (a, b))


def born_in(block: Block) -> set[Var]:
    """The arrays that come into being in `block`, views included."""
    return {v for n in nodes_of(block) for v in defines(n) if isinstance(v.type, Array)}


def same_shape(a: tuple[Step, ...], b: tuple[Step, ...]) -> bool:
    """Whether two ways of viewing differ in their integers only."""
    return len(a) == len(b) and all(
        s.kind == t.kind
        and len(s.items) == len(t.items)
        and (s.kind == "index" or all(same(i, j) for i, j in zip(s.items, t.items, strict=True)))
        and all(_same_kind(i, j) for i, j in zip(s.items, t.items, strict=True))
        for s, t in zip(a, b, strict=True)
    )


def _same_kind(a: Any, b: Any) -> bool:
    if isinstance(a, Slice) and isinstance(b, Slice):
        return all((x is None) == (y is None) for x, y in zip(a, b, strict=True))
    return (a is None) == (b is None) and isinstance(a, Slice) == isinstance(b, Slice)


def _merge_step(a: Step, b: Step, merge: Callable[[Atom, Atom], Atom]) -> Step:
    def item(x: Any, y: Any) -> Any:
        if x is None:
            return None
        if isinstance(x, Slice):
            return Slice(*(item(p, q) for p, q in zip(x, y, strict=True)))
        return x if same(x, y) else merge(x, y)

    return Step(a.kind, tuple(item(x, y) for x, y in zip(a.items, b.items, strict=True)))


def follow(ctx: Context, base: Var, steps: list[Step]) -> ArrayRef:
    """The view of `base` that `steps` lead to; its extents are asked of it."""
    array = ArrayRef(base, ctx.dims(base), base)
    for step in steps:
        if step.kind == "index":
            ndim = sum(i is None or isinstance(i, Slice) for i in step.items)
        else:
            ndim = len(step.items)
        array = ctx.view(array, step.kind, step.items, [None] * ndim, contiguous=False)
    return array


def path_atoms(path: tuple[Step, ...]) -> list[Atom]:
    """The integers of a way of viewing."""
    found: list[Atom] = []
    for step in path:
        for item in step.items:
            found += [b for b in item if b is not None] if isinstance(item, Slice) else [] if item is None else [item]
    return found


def with_atoms(path: tuple[Step, ...], atoms: Iterator[Atom]) -> list[Step]:
    """The same way of viewing over other integers."""

    def item(x: Any) -> Any:
        if isinstance(x, Slice):
            return Slice(*(None if b is None else next(atoms) for b in x))
        return None if x is None else next(atoms)

    return [Step(s.kind, tuple(item(i) for i in s.items)) for s in path]
