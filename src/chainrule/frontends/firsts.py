"""Variables that are first assigned in a loop and read in a later iteration, or after the loop; numbers, in a branch.

Arrays get a buffer before the loop as others do; its extents are what the body computes, computed before the loop,
which is possible where they follow from what is known there. Numbers are just carried. A flag says whether an
iteration or a branch has assigned the variable; reading asks for it, unless that is known, and raises what Python
raises. The flag is a variable of its own, which branches and loops carry as any other number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.frontends.context import Context
from chainrule.frontends.values import ArrayRef, Conflict, Number, Value
from chainrule.ir.build import boolean, integer
from chainrule.ir.nodes import Alloc, Array, Atom, Block, Const, Copy, Dim, If, Let, Node, Slice, Var, View
from chainrule.ir.walk import defines, nodes_of

__all__ = [
    "Unborn",
    "assigned",
    "before_the_loop",
    "check_assigned",
    "flag_of",
    "is_flag_of",
    "present",
    "promised",
    "unborn",
]

_PURE = frozenset({"add", "subtract", "multiply", "maximum", "minimum", "negative"})
_FLAG = ".has "


@dataclass(eq=False, slots=True)
class Unborn(Value):
    """What a variable is before the loop that first assigns an array to it; extents that are not known now are None."""

    dtype: str
    dims: tuple[int | None, ...]


def unborn(array: ArrayRef) -> Unborn:
    return Unborn(array.dtype, tuple(d.value if isinstance(d, Const) else None for d in array.dims))


def promised(name: str, dtype: str, first: Unborn) -> ArrayRef:
    """The buffer, whose storage and extents `before_the_loop` defines."""
    dims = tuple(Var(f"n_{name}", integer(0).type) if d is None else integer(d) for d in first.dims)
    var = Var(name, Array(dtype, len(dims)))
    return ArrayRef(var, dims, var)


def before_the_loop(
    ctx: Context, outer: Block, buffer: ArrayRef, shapes: Sequence[tuple[Atom, ...]], body: Block, own: Iterable[Atom]
) -> bool:
    """Make the buffer in the block around the loop, of one of the `shapes` its body has; False if none is known there.

    `own` are the variables of the loop itself.
    """
    born: dict[Any, Node | None] = {v: node for node in nodes_of(body) for v in defines(node)}
    for node in nodes_of(body):
        if isinstance(node, If):
            born.update({m.out: node for m in node.merges})
        born.update(dict.fromkeys([c.param for c in getattr(node, "carries", ())]))
        if isinstance(index := getattr(node, "index", None), Var):
            born[index] = None
    born.update(dict.fromkeys(own))
    with ctx.builder.inside(outer):
        for shape in shapes:
            dims = [_earlier(ctx, d, born) for d in shape]
            if None in dims:
                continue
            for dim, atom in zip(buffer.dims, dims, strict=True):
                if isinstance(dim, Var):
                    ctx.builder.emit(Let(dim, "maximum", (atom, integer(0))))  # type: ignore[arg-type]
            ctx.builder.emit(Alloc(buffer.var, buffer.dims, None))
            return True
    return False


def _earlier(ctx: Context, atom: Atom, born: dict[Any, Node | None]) -> Atom | None:
    """An integer of a loop's body, computed before the loop."""
    if not isinstance(atom, Var) or atom not in born:
        return atom
    match born[atom]:
        case Let(op=op, args=args) if op in _PURE or (op == "floor_divide" and _is_positive(args[1])):
            found = [_earlier(ctx, a, born) for a in args]
            return None if None in found else ctx.builder.let(op, *found)  # type: ignore[arg-type]
        case Dim(array=array, axis=axis):
            return _extent(ctx, array, axis, born)
    return None


def _extent(ctx: Context, array: Var, axis: int, born: dict[Any, Node | None]) -> Atom | None:
    if array not in born:
        return ctx.builder.dim(array, axis)
    match born[array]:
        case Alloc(shape=shape):
            return _earlier(ctx, shape[axis], born)
        case Copy(array=source):
            return _extent(ctx, source, axis, born)
        case View(array=source, kind="transpose", items=items):
            return _extent(ctx, source, items[axis].value, born)
        case View(kind="reshape", items=items):
            return _earlier(ctx, items[axis], born)
        case View(array=source, kind="index", items=items):
            return _extent_of_index(ctx, source, axis, items, born)
        case If(merges=merges):
            merge = next(m for m in merges if m.out is array)
            for one in (merge.then, merge.orelse):
                found = _extent(ctx, one, axis, born) if isinstance(one, Var) else None
                if found is not None:
                    return found
    return None


def _extent_of_index(
    ctx: Context, source: Var, axis: int, items: Sequence[Any], born: dict[Any, Node | None]
) -> Atom | None:
    """The extent of an axis that an index takes whole, or makes."""
    axes = [k for k, item in enumerate(items) if item is None or isinstance(item, Slice)]
    item = items[axes[axis]]
    if item is None:
        return integer(1)
    place = sum(i is not None for i in items[: axes[axis]])
    if all(b is None for b in item):
        return _extent(ctx, source, place, born)
    bounds = [b if b is None else _earlier(ctx, b, born) for b in item]
    if source in born or any(b is not None and early is None for b, early in zip(item, bounds, strict=True)):
        return None
    whole = [Slice(None, None, None)] * source.type.ndim  # type: ignore[union-attr]
    whole[place] = Slice(*bounds)
    return ctx.builder.dim(ctx.builder.view(source, "index", whole), place)


def _is_positive(atom: Atom) -> bool:
    return isinstance(atom, Const) and atom.value > 0


# -- whether there was an iteration


def flag_of(name: str) -> str:
    """The variable that says whether `name` has been assigned."""
    return _FLAG + name


def is_flag_of(flag: str) -> str:
    """The variable that a flag, or another variable, is about."""
    return flag.removeprefix(_FLAG)


def assigned(env: dict[str, Any], name: str) -> None:
    """Note that a variable is assigned."""
    if flag_of(name) in env:
        env[flag_of(name)] = Number(boolean(True))


def check_assigned(ctx: Context, here: bool, flag: Number, name: str) -> None:
    """The program raises what Python does, unless `name` has been assigned; `here`: in the same function."""
    if isinstance(flag.atom, Const) and flag.atom.value:
        return
    if not here:
        raise ctx.fail(f"{name!r} is first assigned in a loop or a branch and read in a recursion: assign it before")
    said = f"cannot access local variable {name!r} where it is not associated with a value"
    ctx.check(flag.atom, "UnboundLocalError", said)


def present(value: Any) -> Any:
    """What a variable is on the path that assigns it."""
    return value.present if isinstance(value, Conflict) and value.present is not None else value
