"""Reading and writing through subscripts: numbers, slices, new axes, ellipses, index arrays and masks.

Basic indices give views, as in NumPy; index arrays and masks give copies and write element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.frontends.arrays import array_of, copy_of
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import (
    COPIED,
    ITEM,
    apply,
    broadcast,
    cast,
    convert,
    describe,
    element,
    load,
    materialise,
    reads,
)
from chainrule.frontends.values import ArrayRef, Copied, Either, Grown, Item, Lazy, ListArray, Number, Slicing, Static
from chainrule.ir.build import integer
from chainrule.ir.nodes import Atom, Const, Slice, Var
from chainrule.ir.walk import is_number

__all__ = ["assign", "augment", "positions", "subscript"]


def subscript(ctx: Context, array: Any, index: Any) -> Any:
    """``array[index]``."""
    if isinstance(array, ListArray):
        is_bool = isinstance(index, Number) and index.dtype == "bool" and index.weak  # an integer for Python's lists
        place = cast(ctx, index, "int64") if is_bool else index
        result = subscript(ctx, array.array, place)
        if isinstance(result, Number):
            result.weak = array.weak
            return result
        return ListArray(materialise(ctx, copy_of(ctx, result)), array.weak)
    items = _expanded(ctx, array, index)
    if isinstance(array, Lazy) and not all(isinstance(i, Number) for i in items):
        array = materialise(ctx, array)
    if any(isinstance(i, (ArrayRef, Lazy)) for i in items):
        return _gather(ctx, array, items)
    if all(isinstance(i, Number) for i in items):
        atoms = tuple(_integer(ctx, i) for i in items)
        if isinstance(array, Lazy):
            atoms = tuple(_from_start(ctx, a, d) for a, d in zip(atoms, array.dims, strict=True))
            return Number(array.element(atoms))
        return Number(load(ctx, array, atoms))
    return _view(ctx, array, items)


def _expanded(ctx: Context, array: ArrayRef | Lazy, index: Any) -> list[Any]:
    """One item per axis: Number, Slicing, None (a new axis), or an array of indices."""
    given = list(index) if isinstance(index, tuple) else [index]
    items: list[Any] = []
    for item in given:
        if isinstance(item, Static) and item.value in (None, Ellipsis):
            items.append(item.value)
        elif isinstance(item, ListArray):
            items.append(item.array)
        elif isinstance(item, Grown):
            items.append(array_of(ctx, item))
        elif isinstance(item, list):
            items.append(_index_list(ctx, item))
        elif isinstance(item, Number) and item.dtype == "bool":
            raise ctx.fail("an array is indexed by a truth value, which is a mask for NumPy: write int(...) for 0 or 1")
        elif isinstance(item, (Number, Slicing, ArrayRef, Lazy)):
            items.append(item)
        else:
            raise ctx.fail(f"an array is indexed by {describe(item)}: use integers, slices or arrays of integers")
    used = sum(_axes(i) for i in items if i is not None and i is not Ellipsis)
    missing = array.ndim - used
    if missing < 0:
        raise ctx.fail(f"too many indices: {describe(array)} is indexed by {used}")
    full = [Slicing(None, None, None)] * missing
    if Ellipsis in [i for i in items if i is None or i is Ellipsis]:
        k = next(k for k, i in enumerate(items) if i is Ellipsis)
        return items[:k] + full + items[k + 1 :]
    return items + full


def _axes(item: Any) -> int:
    return item.ndim if isinstance(item, (ArrayRef, Lazy)) and item.dtype == "bool" else 1


def _index_list(ctx: Context, items: list[Any]) -> ArrayRef:
    if items and all(isinstance(i, Number) and i.dtype == "bool" for i in items):
        mask: ArrayRef = array_of(ctx, items)
        return mask
    array = ctx.new("int64", (integer(len(items)),), hint="index")
    for k, item in enumerate(items):
        ctx.builder.store(array.var, (integer(k),), _integer(ctx, item))
    return array


def _integer(ctx: Context, value: Any) -> Atom:
    if not isinstance(value, Number) or value.dtype not in ("int64", "bool"):
        raise ctx.fail(f"{describe(value)} is used as an index: indices are integers, slices or arrays of integers")
    return ctx.builder.cast(value.atom, "int64")


def _from_start(ctx: Context, index: Atom, dim: Atom) -> Atom:
    """A possibly negative index, counted from the start."""
    if isinstance(index, Const):
        return index if index.value >= 0 else ctx.let("add", dim, index)
    negative = ctx.let("less", index, integer(0))
    return ctx.let("where", negative, ctx.let("add", dim, index), index)


def _view(ctx: Context, array: ArrayRef, items: list[Any]) -> ArrayRef:
    made: list[Any] = []
    dims: list[Atom | None] = []
    contiguous, sliced, axis = array.contiguous, False, 0
    for item in items:
        if item is None:
            made.append(None)
            dims.append(integer(1))
            continue
        if isinstance(item, Number):
            made.append(_integer(ctx, item))
            contiguous = contiguous and not sliced
        else:
            s = Slice(*(None if b is None else _integer(ctx, b) for b in (item.lower, item.upper, item.step)))
            made.append(s)
            dims.append(ctx.slice_dim(array.dims[axis], s))
            whole = s.lower is None and s.upper is None and s.step is None
            if not whole:
                contiguous = contiguous and not sliced and (s.step is None or is_number(s.step, 1))
            sliced = True
        axis += 1
    return ctx.view(array, "index", made, dims, contiguous)


# -- index arrays and masks ---------------------------------------------------------------------------


def positions(ctx: Context, mask: ArrayRef | Lazy) -> list[ArrayRef]:
    """Where a mask is true, in order: one array of indices per axis, as ``np.nonzero`` gives."""
    held: ArrayRef = materialise(ctx, mask, "mask")
    one, zero = integer(1), integer(0)
    count = ctx.reduce(
        held.dims,
        zero,
        lambda i, acc: ctx.let("add", acc, ctx.builder.cast(load(ctx, held, i), "int64")),
        "count",
    )
    arrays = [ctx.new("int64", (count,), hint="index") for _ in range(held.ndim)]

    def put(index: tuple[Atom, ...], k: Atom) -> Atom:
        here = load(ctx, held, index)
        with ctx.inside(ctx.when(here)):
            for array, i in zip(arrays, index, strict=True):
                ctx.builder.store(array.var, (k,), i)
        return ctx.let("add", k, ctx.let("where", here, one, zero))

    ctx.reduce(held.dims, zero, put, "k")
    return arrays


class _Selection:
    """The elements that an advanced index selects: their extents, and the index of each in the array."""

    def __init__(self, ctx: Context, array: ArrayRef | Lazy, items: list[Any]) -> None:
        flat: list[Any] = []
        axis = 0
        for item in items:
            if isinstance(item, (ArrayRef, Lazy)) and item.dtype == "bool":
                for d, e in zip(item.dims, array.dims[axis : axis + item.ndim], strict=True):
                    ctx.equal(d, e, "boolean index does not match the array")
                flat += positions(ctx, item)
                axis += item.ndim
                continue
            if isinstance(item, (ArrayRef, Lazy)) and item.dtype != "int64":
                raise ctx.fail(f"{describe(item)} is used as an index: index arrays hold integers or booleans")
            flat.append(item if item is None else materialise(ctx, item, "index"))
            axis += item is not None
        advanced = [k for k, i in enumerate(flat) if isinstance(i, (ArrayRef, Number))]
        together = advanced[-1] - advanced[0] == len(advanced) - 1
        arrays = [flat[k] for k in advanced if isinstance(flat[k], ArrayRef)]
        self._ctx, self._array, self._items = ctx, array, flat
        self._common = broadcast(ctx, [a.dims for a in arrays])
        self._first = sum(not isinstance(i, (ArrayRef, Number)) for i in flat[: advanced[0]]) if together else 0
        self._views: dict[int, tuple[Atom, Atom]] = {}
        rest: list[Atom] = []
        axis = 0
        for k, item in enumerate(flat):
            if isinstance(item, Slicing):
                start, step, count = self._span(item, array.dims[axis])
                self._views[k] = (start, step)
                rest.append(count)
            elif item is None:
                rest.append(integer(1))
            axis += item is not None
        self.dims = (*rest[: self._first], *self._common, *rest[self._first :])

    def _span(self, s: Slicing, dim: Atom) -> tuple[Atom, Atom, Atom]:
        if s.lower is None and s.upper is None and s.step is None:
            return integer(0), integer(1), dim
        if s.step is None or is_number(s.step.atom, 1):
            ctx = self._ctx
            bounds = []
            for bound, default in ((s.lower, integer(0)), (s.upper, dim)):
                at = default if bound is None else _from_start(ctx, _integer(ctx, bound), dim)
                bounds.append(ctx.let("minimum", ctx.let("maximum", at, integer(0)), dim))
            length = ctx.let("maximum", ctx.let("subtract", bounds[1], bounds[0]), integer(0))
            return bounds[0], integer(1), length
        raise self._ctx.fail("a slice with a step beside an array of indices: take the slice first")

    def at(self, index: tuple[Atom, ...]) -> tuple[Atom, ...]:
        """The index in the array of the selected element at `index`."""
        ctx, n = self._ctx, len(self._common)
        common = index[self._first : self._first + n]
        rest = list(index[: self._first] + index[self._first + n :])
        full: list[Atom] = []
        for k, item in enumerate(self._items):
            if isinstance(item, Number):
                full.append(_integer(ctx, item))
            elif isinstance(item, ArrayRef):
                full.append(element(ctx, item, common, self._common))
            elif item is None:
                rest.pop(0)
            else:
                start, step = self._views[k]
                full.append(ctx.let("add", start, ctx.let("multiply", rest.pop(0), step)))
        return tuple(full)


def _gather(ctx: Context, array: ArrayRef | Lazy, items: list[Any]) -> Lazy:
    selection = _Selection(ctx, array, items)
    arrays = (*reads(array), *(i for i in selection._items if isinstance(i, ArrayRef)))

    def at(index: tuple[Atom, ...]) -> Atom:
        where = selection.at(index)
        if isinstance(array, Lazy):
            return array.element(tuple(_from_start(ctx, w, d) for w, d in zip(where, array.dims, strict=True)))
        return load(ctx, array, where)

    return Lazy(array.dtype, selection.dims, at, arrays)


# -- writing ------------------------------------------------------------------------------------------


def assign(ctx: Context, array: Any, index: Any, value: Any) -> None:
    """``array[index] = value``."""
    _write(ctx, array, index, value, None)


def augment(ctx: Context, array: Any, index: Any, op: str, value: Any) -> None:
    """``array[index] op= value``; `index` None: the whole array."""
    _write(ctx, array, index, value, op)


def _write(ctx: Context, array: Any, index: Any, value: Any, op: str | None) -> None:
    array = array.array if isinstance(array, ListArray) else array
    if isinstance(array, Either):
        why = (
            "this array is another one in the first iteration of a loop than later: write to the array it is a view of"
        )
        raise ctx.fail(ITEM if isinstance(array, Item) else COPIED if isinstance(array, Copied) else why)
    if not isinstance(array, ArrayRef):
        raise ctx.fail(f"{describe(array)} cannot be written to")
    ctx.writable(array)
    value = _as_elements(ctx, value)
    items = _expanded(ctx, array, index if index is not None else ())
    if any(isinstance(i, (ArrayRef, Lazy)) for i in items):
        _check_division(ctx, array, op)
        _scatter(ctx, array, items, value, op)
        return
    if all(isinstance(i, Number) for i in items):
        if not isinstance(value, Number):
            raise ctx.fail("an array is assigned to one element")
        atoms = tuple(_integer(ctx, i) for i in items)
        base, prefix = _place(array)
        put(ctx, base, (*prefix, *atoms), value.atom, op)
        return
    _check_division(ctx, array, op)
    target = _view(ctx, array, items) if index is not None else array
    store_all(ctx, target, value, op)


def _check_division(ctx: Context, array: ArrayRef, op: str | None) -> None:
    if op == "divide" and array.dtype in ("int64", "bool"):
        raise ctx.fail(f"an array of {array.dtype} is divided in place by /=, which NumPy refuses: write a = a / b")


def _as_elements(ctx: Context, value: Any) -> Any:
    if isinstance(value, ListArray):
        return value.array
    if isinstance(value, (list, tuple, Grown)):
        return array_of(ctx, value)
    if not isinstance(value, (Number, ArrayRef, Lazy)):
        raise ctx.fail(f"{describe(value)} is stored in an array: only numbers and arrays can be")
    return value


def _place(array: ArrayRef) -> tuple[Var, tuple[Any, ...]]:
    """The array and leading integers by which an element of `array` is addressed."""
    steps = array.path
    if steps and all(s.kind == "index" and not any(i is None or isinstance(i, Slice) for i in s.items) for s in steps):
        return array.base, tuple(i for s in steps for i in s.items)
    return array.var, ()


def store_all(ctx: Context, target: ArrayRef, value: Any, op: str | None = None) -> None:
    """``target[...] = value``, or ``op=``, as if `value` were computed before anything is written."""
    if not isinstance(value, Number):
        if value.ndim > target.ndim:
            raise ctx.fail(f"{describe(value)} does not fit into {describe(target)}")
        for d, t in zip(reversed(value.dims), reversed(target.dims), strict=False):
            ctx.fits(d, t, "could not broadcast the value into the array")
        if any(a.base is target.base and not _aligned(a, target, value) for a in reads(value)):
            value = materialise(ctx, value if isinstance(value, Lazy) else copy_of(ctx, value))
    base, prefix = _place(target)
    with ctx.nest(target.dims) as index:
        put(ctx, base, (*prefix, *index), element(ctx, value, index, target.dims), op)


def _aligned(array: ArrayRef, target: ArrayRef, value: Any) -> bool:
    """Whether element i of the value reads of `array` only element i of `target`."""
    return (
        array.var is target.var
        and isinstance(value, Lazy)
        and array.ndim == target.ndim
        and not any(is_number(d, 1) for d in array.dims)
        and value.aligned
    )


def put(ctx: Context, var: Var, index: tuple[Atom, ...], value: Atom, op: str | None) -> None:
    """Write or update one element, whose dtype the value takes."""
    dtype = var.type.dtype
    if op is None:
        ctx.builder.store(var, index, convert(ctx, value, dtype))
        return
    kinds = ["bool", "int64", "float32", "float64", "complex64", "complex128"]
    if dtype in ("int64", "bool") and kinds.index(value.type.dtype) > kinds.index(dtype):
        raise ctx.fail(f"a number of type {value.type.dtype} cannot be added in place to an array of {dtype}")
    if op in ("add", "subtract") and dtype != "bool":
        value = convert(ctx, value, dtype)
        ctx.builder.increment(var, index, value if op == "add" else ctx.let("negative", value))
        return
    old = Number(ctx.builder.load(var, *index))
    new = apply(ctx, op, old, Number(value))
    ctx.builder.store(var, index, convert(ctx, new.atom, dtype))


def _apart(ctx: Context, array: ArrayRef, value: Any) -> Any:
    """`value`, or a copy of it if writes to `array` would change it."""
    shared = isinstance(value, ArrayRef) and value.base is array.base
    return materialise(ctx, copy_of(ctx, value)) if shared else value


def _scatter(ctx: Context, array: ArrayRef, items: list[Any], value: Any, op: str | None) -> None:
    selection = _Selection(ctx, array, [_apart(ctx, array, i) for i in items])
    _check_fit(ctx, value, selection.dims)
    values = materialise(ctx, copy_of(ctx, value) if isinstance(value, ArrayRef) else value)
    if op is not None:
        # NumPy reads all elements before it writes any: an index that comes twice counts once.
        old = Lazy(array.dtype, selection.dims, lambda i: load(ctx, array, selection.at(i)), (array,))
        values = materialise(ctx, apply(ctx, op, old, values))
    base, prefix = _place(array)
    with ctx.nest(selection.dims) as index:
        put(ctx, base, (*prefix, *selection.at(index)), element(ctx, values, index, selection.dims), None)


def _check_fit(ctx: Context, value: Any, dims: Sequence[Atom]) -> None:
    """The program checks that the elements `value` go into a selection with the extents `dims`."""
    if isinstance(value, Number):
        return
    if value.ndim > len(dims):
        raise ctx.fail(f"{describe(value)} does not fit into the selected elements")
    for d, t in zip(reversed(value.dims), reversed(dims), strict=False):
        ctx.fits(d, t, "could not broadcast the value into the selected elements")


def add_at(ctx: Context, array: ArrayRef, index: Any, value: Any) -> None:
    """``np.add.at``: an index that comes twice counts twice."""
    items = _expanded(ctx, array, index)
    if not any(isinstance(i, (ArrayRef, Lazy)) for i in items):
        augment(ctx, array, index, "add", value)
        return
    ctx.writable(array)
    selection = _Selection(ctx, array, [_apart(ctx, array, i) for i in items])
    value = materialise(ctx, _apart(ctx, array, value))
    _check_fit(ctx, value, selection.dims)
    base, prefix = _place(array)
    with ctx.nest(selection.dims) as i:
        put(ctx, base, (*prefix, *selection.at(i)), element(ctx, value, i, selection.dims), "add")
