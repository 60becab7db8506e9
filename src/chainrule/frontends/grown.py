"""Lists that grow where the program runs: in a loop whose length is not known before, or on a path not always taken.

A list that is appended to in the block that made it is a Python list of the front end. If it turns out to be appended
to in a loop or a branch, the program is read again, and it is a `Grown` one from where it is made: its items lie one
after another in an array for each number or array of an item, and how many there are in an array of one element. So it
is memory, as arrays are: aliases, closures and branches need nothing, and `simplify` makes the length a number that
the loop carries. Before a counted loop there is made room for all that it may append; where that is the only growth,
the array gets its size when it is made.

Items are references in Python and copies here. The list stands for the arrays that were appended (`Context.stand`):
once one of them is written to, reading the list is refused. An item that is an array is a copy too, and frozen.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import cast, common_dtype, describe, element, materialise
from chainrule.frontends.joins import alike, leaves, rebuild
from chainrule.frontends.room import reserve, reserve_before
from chainrule.frontends.values import (
    BOTTOM,
    ArrayRef,
    Bottom,
    Either,
    Grown,
    Item,
    Iterable,
    Lazy,
    ListArray,
    Number,
    Record,
    Room,
    Slicing,
    Static,
)
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Block, Const, For, Scalar, Undef, Var

__all__ = [
    "Again",
    "append",
    "array_of_list",
    "collected",
    "extend",
    "filled",
    "grows_from",
    "item",
    "length",
    "looped",
    "method",
    "not_yet",
    "noted",
    "operands",
    "store",
    "written_out",
]

_STALE = (
    "an array of this list was written to after it was appended, and the list holds a copy of what it was: append a "
    "copy, `.append(y.copy())`, or make a new array instead of writing to the old one"
)
_ONE_SHAPE = "the arrays in a list whose length is known when the program runs only have one shape"


class Again(Exception):
    """A list grows, or its items have another type than they were taken to have: read the program again."""


@dataclass(frozen=True)
class Leaf:
    """A number of an item, or an array, whose extents are given as far as they are known."""

    dtype: str
    weak: bool
    dims: tuple[int | None, ...] | None


# -- what the items are -------------------------------------------------------------------------------


def _kind(ctx: Context, value: Any) -> Any:
    """The nest of an item with a `Leaf` for every number and array."""
    if isinstance(value, (tuple, list, dict, Record, ListArray)):
        return rebuild(value, iter([_leaf(ctx, part) for part in leaves(value)]))
    return _leaf(ctx, value)


def _leaf(ctx: Context, value: Any) -> Leaf:
    if isinstance(value, Number):
        return Leaf(value.dtype, value.weak, None)
    if isinstance(value, (ArrayRef, Lazy)):
        return Leaf(value.dtype, False, tuple(d.value if isinstance(d, Const) else None for d in value.dims))
    if isinstance(value, Grown):
        raise ctx.fail("a list that grows in another one: append np.array(...) of it")
    raise ctx.fail(f"{describe(value)} in a list that grows: it holds numbers and arrays, and tuples of them")


def _joined(ctx: Context, a: Any, b: Any) -> Any:
    """What items of the kinds `a` and `b` have in common."""
    pairs = list(zip(leaves(a), leaves(b), strict=False))
    if not alike(a, b) or any(_rank(x) != _rank(y) for x, y in pairs):
        raise ctx.fail(f"a list that grows holds {_named(a)} and {_named(b)}: keep a list for each")
    made = []
    for x, y in pairs:
        dtype = x.dtype
        if x.dtype != y.dtype:
            kinds = {x.dtype, y.dtype}
            if x.dims is not None or "float32" in kinds or "complex64" in kinds:
                raise ctx.fail(f"a list that grows holds {x.dtype} and {y.dtype}: give all its items one dtype")
            dtype = common_dtype([Number(Const(0, Scalar(t))) for t in sorted(kinds)])[0]
        extents = list(zip(x.dims or (), y.dims or (), strict=True))
        if any(d != e and d is not None and e is not None for d, e in extents):
            raise ctx.fail(f"a list that grows holds arrays of the shapes {x.dims} and {y.dims}: keep a list for each")
        dims = None if x.dims is None else tuple(d if d == e else None for d, e in extents)
        made.append(Leaf(dtype, x.weak and y.weak, dims))
    return rebuild(a, iter(made))


def _rank(leaf: Leaf) -> int:
    return -1 if leaf.dims is None else len(leaf.dims)


def _named(kind: Any) -> str:
    if not isinstance(kind, Leaf):
        return describe(kind)
    return "numbers" if kind.dims is None else f"arrays with {len(kind.dims)} dimension{'s' * (len(kind.dims) != 1)}"


def _settle(ctx: Context, site: Any, before: Any, items: Sequence[Any]) -> None:
    """Items of the list made at `site`: read the program again if they are not of the kind `before`."""
    kind = before
    for one in items:
        found = _kind(ctx, one)
        kind = found if kind is None else _joined(ctx, kind, found)
    if before is None or leaves(kind) != leaves(before):
        ctx.lists[site] = kind
        raise Again


# -- making lists, and making them longer -------------------------------------------------------------


def noted(ctx: Context, made: Any, node: ast.AST) -> Any:
    """The list `made` by `node`: one that grows if that is known, else remembered in case that it will."""
    site = _site(ctx, node)
    kind = ctx.lists.get(site)
    if kind is None:
        return ctx.note_list(made, site, len(ctx.stack) if isinstance(made, list) else 0)
    grown = _new(ctx, kind, site)
    extend(ctx, grown, made)
    return grown


def _site(ctx: Context, node: ast.AST) -> Any:
    frames = tuple((f.parsed.file, getattr(f.node, "lineno", 0), f.key) for f in ctx.frames)
    return (getattr(node, "lineno", 0), getattr(node, "col_offset", 0), type(node), frames)


def collected(ctx: Context, node: ast.AST, items: Iterable, probe: Any) -> Grown:
    """A list of arrays or tuples by a comprehension; `probe` is an item."""
    site = _site(ctx, node)
    kind = _kind(ctx, probe)
    grown, mark = _new(ctx, ctx.lists.setdefault(site, kind), site), len(ctx.writes)
    extend(ctx, grown, items)
    for room in grown.rooms:
        if ctx.stands.get(room.items, frozenset()) & set(ctx.writes[mark:]):
            ctx.stale.add(room.items)
    return grown


def _new(ctx: Context, kind: Any, site: Any) -> Grown:
    """An empty list."""
    count = ctx.new("int64", (integer(1),), hint="count").var
    ctx.builder.store(count, (integer(0),), integer(0))
    rooms = []
    for leaf in leaves(kind):
        shape = None
        if leaf.dims is not None and None in leaf.dims:
            shape = ctx.new("int64", (integer(len(leaf.dims)),), 0, hint="shape").var
        rooms.append(Room(ctx.new(leaf.dtype, (integer(0),), hint="items").var, shape))
        ctx.held[rooms[-1].items] = _STALE
    return Grown(kind, site, count, tuple(rooms), ctx.stack[-1])


def append(ctx: Context, owner: Any, value: Any) -> None:
    """``owner.append(value)``."""
    given = value
    value = rebuild(value, iter([materialise(ctx, v) if v is not value else v for v in leaves(value)]))
    if any(isinstance(v, Bottom) for v in leaves(value)):
        return
    if isinstance(owner, Grown):
        _put_last(ctx, owner, value)
        for part in _lists(given):
            ctx.note_list(part, None, 0)  # an item that would be another if this were appended to
    elif _is_known(ctx, owner):
        owner.append(materialise(ctx, given))
    else:
        _turn(ctx, owner, [value])


def grows_from(ctx: Context, owner: list[Any], why: str) -> Any:
    """`owner` is indexed by a number that is not known: let it be one that grows, if it was made in the program."""
    if owner and ctx.list_of(owner)[1] is not None:
        _turn(ctx, owner)
    return not_yet(ctx, owner, why)


def not_yet(ctx: Context, owner: Any, why: str) -> Any:
    """What is read of a list that is empty so far: it is not known what it will hold, if it grows further on."""
    depth, site = ctx.list_of(owner)
    if owner or site is None or len(ctx.stack) <= depth:
        raise ctx.fail(why)
    ctx.pending.append(ctx.fail(why))
    return BOTTOM


def _is_known(ctx: Context, owner: Any) -> bool:
    """Whether what is done to a list now is done to it whenever the program runs."""
    return isinstance(owner, list) and len(ctx.stack) <= ctx.list_of(owner)[0]


def _turn(ctx: Context, owner: Any, more: Sequence[Any] = ()) -> None:
    """Read the program again with `owner` a list that grows."""
    site = ctx.list_of(owner)[1]
    if site is None:
        raise ctx.refuse(
            "list-method", "a list grows or shrinks that was not made in the program, or is an item of another"
        )
    items = [Number(Undef(Scalar(owner.array.dtype)), owner.weak)] if isinstance(owner, ListArray) else owner
    _settle(ctx, site, None, [*items, *more])


def extend(ctx: Context, owner: Any, values: Any) -> None:
    """``owner.extend(values)``."""
    if isinstance(values, (tuple, list)):
        for value in list(values):
            append(ctx, owner, value)
        return
    over = values if isinstance(values, Iterable) else looped(ctx, values) if isinstance(values, Grown) else None
    if over is None:
        if not isinstance(values, (ArrayRef, Lazy, ListArray)):
            raise ctx.fail(f"a list is extended by {describe(values)}")
        array = values.array if isinstance(values, ListArray) else materialise(ctx, values)
        if array.ndim > 1:
            raise ctx.fail("a list is extended by the rows of an array: append them in a loop, as copies")
        weak = isinstance(values, ListArray) and values.weak
        over = Iterable(array.dims[0], lambda k: Number(ctx.builder.load(array.var, k), weak))
    loop = For(Var("k", integer(0).type), integer(0), over.count, integer(1), Block())
    with ctx.inside(loop.body):
        append(ctx, owner, over.item(loop.index))
    reserve_before(ctx, loop, over.count)
    ctx.builder.emit(loop)


def _put_last(ctx: Context, grown: Grown, value: Any) -> None:
    _own(ctx, grown)
    _settle(ctx, grown.site, grown.kind, [value])
    last = length(ctx, grown)
    _put(ctx, grown, last, value, grows=True)
    _resize(ctx, grown, ctx.let("add", last, integer(1)))


def _lists(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list):
        yield value
    for part in value if isinstance(value, (tuple, list)) else value.values() if isinstance(value, dict) else ():
        yield from _lists(part)


def _own(ctx: Context, grown: Grown) -> None:
    if grown.home not in ctx.stack[ctx.floor :]:
        raise ctx.fail(
            "a list from outside of a function that is differentiated there is changed by it: return the values"
        )


def _resize(ctx: Context, grown: Grown, count: Atom) -> None:
    ctx.writes.append(grown.count)
    ctx.builder.store(grown.count, (integer(0),), count)


def _put(ctx: Context, grown: Grown, at: Atom, value: Any, grows: bool) -> None:
    """Store an item at a place that is there, or is the next."""
    one = integer(1)
    for leaf, room, part in zip(leaves(grown.kind), grown.rooms, leaves(value), strict=True):
        ctx.writes.append(room.items)
        if leaf.dims is None:
            if grows:
                reserve(ctx, grown, room, ctx.let("add", at, one), one, one)
            ctx.builder.store(room.items, (at,), ctx.builder.cast(part.atom, leaf.dtype))
            continue
        _same_shape(ctx, leaf, room, part.dims, at, grows)
        size = _size(ctx, part.dims)
        start = ctx.let("multiply", at, size)
        if grows:
            reserve(ctx, grown, room, ctx.let("add", start, size), one, size)
        with ctx.nest(part.dims) as index:
            place = ctx.let("add", start, _flat(ctx, part.dims, index))
            ctx.builder.store(room.items, (place,), element(ctx, part, index, part.dims))
        for base in _sources(ctx, part):
            ctx.stand(room.items, base)


def _sources(ctx: Context, value: Any) -> set[Var]:
    """The arrays that `value` is, or views: what an expression computes is new."""
    if isinstance(value, ArrayRef):
        return {value.base}
    if isinstance(value, Item):
        return set(ctx.stands.get(value.arrays[0].base, ()))
    return {a.base for a in value.arrays} if isinstance(value, Either) else set()


def _same_shape(ctx: Context, leaf: Leaf, room: Room, dims: Sequence[Atom], at: Atom, grows: bool) -> None:
    """The program checks that an array has the shape of the first one."""
    assert leaf.dims is not None
    first = ctx.let("equal", at, integer(0)) if grows and room.shape is not None else None
    for k, (known, dim) in enumerate(zip(leaf.dims, dims, strict=True)):
        if known is not None:
            ctx.equal(dim, integer(known), _ONE_SHAPE)
            continue
        assert room.shape is not None
        old = ctx.builder.load(room.shape, integer(k))
        fits = ctx.let("equal", old, dim)
        if first is not None:
            fits = ctx.let("logical_or", first, fits)
        ctx.check(fits, "ValueError", f"{_ONE_SHAPE}: extents ", old, " and ", dim, " do not agree")
        if grows:
            ctx.builder.store(room.shape, (integer(k),), dim)


def _size(ctx: Context, dims: Sequence[Atom]) -> Atom:
    size: Atom = integer(1)
    for d in dims:
        size = ctx.let("multiply", size, d, hint="size")
    return size


def _flat(ctx: Context, dims: Sequence[Atom], index: Sequence[Atom]) -> Atom:
    """Which element of a contiguous array of extents `dims` is at `index`."""
    place: Atom = integer(0)
    for k, (d, i) in enumerate(zip(dims, index, strict=True)):
        place = ctx.let("add", ctx.let("multiply", place, d), i) if k else i
    return place


# -- reading ------------------------------------------------------------------------------------------


def length(ctx: Context, grown: Grown) -> Atom:
    return ctx.builder.load(grown.count, integer(0), hint="n")


def _dims(ctx: Context, leaf: Leaf, room: Room) -> tuple[Atom, ...]:
    return tuple(
        ctx.builder.load(room.shape, integer(k)) if d is None else integer(d)  # type: ignore[arg-type]
        for k, d in enumerate(leaf.dims or ())
    )


def _found(ctx: Context, grown: Grown, at: Atom) -> Any:
    """The item at a place that is there."""
    parts: list[Any] = []
    for leaf, room in zip(leaves(grown.kind), grown.rooms, strict=True):
        ctx.use(room.items, room.items.hint)
        if leaf.dims is None:
            parts.append(Number(ctx.builder.load(room.items, at, hint="item"), leaf.weak))
            continue
        array, dims = _whole(room), _dims(ctx, leaf, room)
        start = ctx.let("multiply", at, _size(ctx, dims))

        def one(index: tuple[Atom, ...], room: Room = room, dims: Any = dims, start: Atom = start) -> Atom:
            return ctx.builder.load(room.items, ctx.let("add", start, _flat(ctx, dims, index)))

        parts.append(Item(leaf.dtype, dims, one, (array,)))
    if not isinstance(grown.kind, Leaf):
        parts = [materialise(ctx, p, "item") for p in parts]
    return rebuild(grown.kind, iter(parts))


def _whole(room: Room) -> ArrayRef:
    return ArrayRef(room.items, (integer(0),), room.items)


def item(ctx: Context, grown: Grown, key: Any) -> Any:
    """``grown[key]``."""
    if isinstance(key, Slicing):
        return _sliced(ctx, grown, key)
    return _found(ctx, grown, _place(ctx, grown, key, "list index out of range"))


def _place(ctx: Context, grown: Grown, key: Any, message: str) -> Atom:
    if not isinstance(key, Number) or key.dtype not in ("int64", "bool"):
        raise ctx.fail(f"a list is indexed by {describe(key)}: use integers and slices")
    at, count, zero = ctx.builder.cast(key.atom, "int64"), length(ctx, grown), integer(0)
    if not isinstance(at, Const):
        at = ctx.let("where", ctx.let("less", at, zero), ctx.let("add", count, at), at)
        inside = ctx.let("logical_and", ctx.let("greater_equal", at, zero), ctx.let("less", at, count))
    elif at.value < 0:
        at = ctx.let("add", count, at)
        inside = ctx.let("greater_equal", at, zero)
    else:
        inside = ctx.let("less", at, count)
    ctx.check(inside, "IndexError", message)
    return at


def _sliced(ctx: Context, grown: Grown, key: Slicing) -> Grown:
    """``grown[lower:upper:step]``, a new list."""
    if key.step is not None and (not key.step.known or key.step.atom.value == 0):  # type: ignore[union-attr]
        raise ctx.fail("a list is sliced with a step that is not known before the program runs, or is zero")
    by = 1 if key.step is None else key.step.atom.value  # type: ignore[union-attr]
    count, zero = length(ctx, grown), integer(0)
    low = zero if by > 0 else integer(-1)
    high = count if by > 0 else ctx.let("subtract", count, integer(1))

    def bound(value: Number | None, default: Atom) -> Atom:
        if value is None:
            return default
        at = ctx.builder.cast(value.atom, "int64")
        at = ctx.let("where", ctx.let("less", at, zero), ctx.let("add", count, at), at)
        return ctx.let("minimum", ctx.let("maximum", at, low), high)

    start, stop = bound(key.lower, low if by > 0 else high), bound(key.upper, high if by > 0 else low)
    span = ctx.let("subtract", stop, start) if by > 0 else ctx.let("subtract", start, stop)
    trips = ctx.let("floor_divide", ctx.let("add", span, integer(abs(by) - 1)), integer(abs(by)))
    trips = ctx.let("maximum", trips, zero)
    made = _new(ctx, grown.kind, grown.site)
    extend(ctx, made, _walk(ctx, grown, trips, lambda k: _plus(ctx, start, k, by)))
    for old, new in zip(grown.rooms, made.rooms, strict=True):
        for base in ctx.stands.get(old.items, ()):
            ctx.stand(new.items, base)
    return made


def _plus(ctx: Context, start: Atom, k: Atom, step: int) -> Atom:
    return ctx.let("add", start, ctx.let("multiply", k, integer(step)))


def _walk(ctx: Context, grown: Grown, count: Atom, place: Callable[[Atom], Atom]) -> Iterable:
    return Iterable(count, lambda k: _found(ctx, grown, place(k)), grows=(grown.count,))


def looped(ctx: Context, grown: Grown) -> Iterable:
    """The items as they are met by a loop that does not make the list longer."""
    return _walk(ctx, grown, length(ctx, grown), lambda k: k)


def array_of_list(ctx: Context, grown: Grown) -> Lazy:
    """``np.array(grown)``: an array with an axis for the items, and one for the parts of tuples."""
    kind = grown.kind.array if isinstance(grown.kind, ListArray) else grown.kind
    kinds = [kind] if isinstance(kind, Leaf) else kind
    if not isinstance(kinds, (list, tuple)) or not all(isinstance(k, Leaf) for k in kinds):
        raise ctx.fail("an array of a list of nested items: keep a list for each of their parts")
    if not kinds or len({_rank(k) for k in kinds}) > 1:
        raise ctx.fail("an array of a list of items whose parts have different shapes: keep a list for each part")
    count = length(ctx, grown)
    if kind is not kinds[0]:
        _not_empty(ctx, count, "np.array of an empty list has one axis, of a list with tuples two or more")
    shapes = []
    for leaf, room in zip(kinds, grown.rooms, strict=True):
        ctx.use(room.items, room.items.hint)
        shapes.append(_dims(ctx, leaf, room))
    if shapes[0]:
        _not_empty(ctx, count, "np.array of an empty list has one axis, of a list with arrays two or more")
    for other in shapes[1:]:
        for d, e in zip(shapes[0], other, strict=True):
            ctx.equal(d, e, "all arrays must have the same shape")
    dims, size = shapes[0], _size(ctx, shapes[0])

    def load(room: Room, at: Atom, index: Sequence[Atom]) -> Atom:
        place = ctx.let("add", ctx.let("multiply", at, size), _flat(ctx, dims, index)) if dims else at
        return ctx.builder.load(room.items, place, hint="item")

    arrays = tuple(_whole(room) for room in grown.rooms)
    if isinstance(kind, Leaf):
        return Lazy(kind.dtype, (count, *dims), lambda i: load(grown.rooms[0], i[0], i[1:]), arrays)
    dtype = np.result_type(*[k.dtype for k in kinds]).name
    made = ctx.new(dtype, (count, integer(len(kinds)), *dims), hint="rows")
    for k, room in enumerate(grown.rooms):
        with ctx.nest((count, *dims)) as i:
            ctx.builder.store(made.var, (i[0], integer(k), *i[1:]), ctx.builder.cast(load(room, i[0], i[1:]), dtype))
    return Lazy(dtype, made.dims, lambda i: ctx.builder.load(made.var, *i), (made,))


def operands(ctx: Context, a: Any, b: Any) -> tuple[Any, Any]:
    """The operands of an operator, which means something else for lists than for arrays."""
    if not any(isinstance(v, (Grown, ListArray)) for v in (a, b)):
        return a, b
    if not any(isinstance(v, (ArrayRef, Lazy)) or (isinstance(v, Number) and not v.weak) for v in (a, b)):
        raise ctx.refuse("list-method", "an operator on a list")
    return tuple(array_of_list(ctx, v) if isinstance(v, Grown) else v for v in (a, b))  # type: ignore[return-value]


def filled(ctx: Context, grown: Any, what: str) -> None:
    """The program checks that a list is not empty."""
    if isinstance(grown, Grown):
        _not_empty(ctx, length(ctx, grown), what)


def _not_empty(ctx: Context, count: Atom, text: str) -> None:
    ctx.check(ctx.let("greater", count, integer(0)), "ValueError", text)


def written_out(ctx: Context, value: Any) -> Any:
    """`value`, or if it is a list that grows, the list of its items as it leaves the program."""
    if not isinstance(value, Grown):
        return value
    if not isinstance(value.kind, Leaf):
        raise ctx.fail("a list of tuples whose length is known when the program runs only: return np.array(ys)")
    return ListArray(materialise(ctx, array_of_list(ctx, value), "result"), value.kind.weak)


# -- other methods ------------------------------------------------------------------------------------


def store(ctx: Context, grown: Grown, key: Any, value: Any) -> None:
    """``grown[key] = value``."""
    if isinstance(key, Slicing):
        raise ctx.refuse("list-method", "the assignment to a slice of a list that grows")
    _own(ctx, grown)
    value = materialise(ctx, value)
    _settle(ctx, grown.site, grown.kind, [value])
    for part in _lists(value):
        ctx.note_list(part, None, 0)
    _put(ctx, grown, _place(ctx, grown, key, "list assignment index out of range"), value, grows=False)


def _pop(ctx: Context, grown: Grown) -> Any:
    _own(ctx, grown)
    last = ctx.let("subtract", length(ctx, grown), integer(1))
    ctx.check(ctx.let("greater_equal", last, integer(0)), "IndexError", "pop from empty list")
    found = _found(ctx, grown, last)
    _resize(ctx, grown, last)
    return materialise(ctx, found, "item")


def method(ctx: Context, owner: Any, name: str, args: Sequence[Any]) -> Any:
    """``owner.name(*args)``, but for append and extend."""
    if name not in ("pop", "clear", "copy") or args:
        raise ctx.refuse("list-method", f"list.{name}{' of an item that may not be the last' if name == 'pop' else ''}")
    if name == "copy":
        if isinstance(owner, Grown):
            return _sliced(ctx, owner, Slicing(None, None, None))
        known = isinstance(owner, list)
        made = list(owner) if known else ListArray(materialise(ctx, cast(ctx, owner, owner.array.dtype)), owner.weak)
        return noted(ctx, made, ctx.node or ast.Constant(0))
    if _is_known(ctx, owner):
        if name == "pop" and not owner:
            raise ctx.fail("pop from an empty list")
        return owner.pop() if name == "pop" else Static(owner.clear())
    if isinstance(owner, list) and not owner:
        return not_yet(ctx, owner, "a list shrinks that is empty")
    if not isinstance(owner, Grown):
        _turn(ctx, owner)
    if name == "pop":
        return _pop(ctx, owner)
    _own(ctx, owner)
    _resize(ctx, owner, integer(0))
    return Static(None)
