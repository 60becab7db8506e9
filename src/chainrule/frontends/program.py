"""Reading a whole program: from a function and the kinds of its arguments to the intermediate representation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.frontends import calls, expressions, statements
from chainrule.frontends.context import Capture, Context, Decision, Guard, Language
from chainrule.frontends.frames import Frame
from chainrule.frontends.grown import Again, written_out
from chainrule.frontends.joins import born_in, leaves, rebuild
from chainrule.frontends.outside import converted
from chainrule.frontends.recursion import _result
from chainrule.frontends.room import settle_rooms
from chainrule.frontends.source import Parsed
from chainrule.frontends.transformations import from_object
from chainrule.frontends.values import ArrayRef, Bottom, ListArray, Number, Record, Static
from chainrule.ir.estimate import Size
from chainrule.ir.nodes import Array, Atom, Function, Scalar, Var
from chainrule.ir.walk import find_writes, free_variables

__all__ = ["ArrayKind", "NumberKind", "Program", "RecordKind", "StaticKind", "read_program"]


@dataclass(frozen=True)
class NumberKind:
    """A scalar argument."""

    dtype: str
    weak: bool


@dataclass(frozen=True)
class ArrayKind:
    """An array argument; `ones` says which of its extents are 1 (they broadcast), `source` what was made int64."""

    dtype: str
    ones: tuple[bool, ...]
    source: str | None = None


@dataclass(frozen=True)
class StaticKind:
    """An argument built into the program: a string, None, a function."""

    value: Any


@dataclass(frozen=True)
class RecordKind:
    """A dataclass or named tuple."""

    cls: type
    fields: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Program:
    """What was read: `function` takes the numbers and arrays of the arguments in order, then `captures`."""

    function: Function
    result: Any  # the nest of values that the function's results belong to
    captures: tuple[Capture, ...]
    guards: tuple[Guard, ...]
    decisions: tuple[Decision, ...]  # how the transformations in it are computed
    copied: frozenset[Var]  # parameters that a transformed function writes to, copies of them: no other may share them


def read_program(
    target: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    parsed: Parsed,
    names: tuple[str, ...],
    jvp: Callable[..., Function],
    vjp: Callable[..., Function],
    sizes: Sequence[Size] = (),
    stretches: bool = False,
) -> Program:
    """Read ``target(*args, **kwargs)``, where the arguments are nests of kinds; `parsed` is for messages.

    `sizes` are those of the numbers and arrays in a call: what is fastest for them is chosen. A program that
    `stretches` asks of extents that are computed whether they are 1, as NumPy does; others take them not to be.
    """
    lists: dict[Any, Any] = {}
    while True:
        ctx = Context()
        ctx.stretches, ctx.lists = stretches, lists
        ctx.jvp, ctx.vjp = jvp, vjp
        ctx.parsed, ctx.node = parsed, parsed.node
        try:
            return _read(ctx, parsed, target, args, kwargs, names, sizes)
        except Again:
            continue


def _read(
    ctx: Context,
    parsed: Parsed,
    target: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    names: tuple[str, ...],
    sizes: Sequence[Size],
) -> Program:
    ctx.language = Language(
        calls.call, expressions.expression, statements.read_body, statements.assign_to, expressions.condition
    )
    frame = Frame(ctx, parsed, None)
    params: list[Var] = []
    values = [_argument(ctx, a, names[k] if k < len(names) else "x", params) for k, a in enumerate(args)]
    named = {k: _argument(ctx, a, k, params) for k, a in kwargs.items()}
    ctx.sizes.update(zip(params, sizes, strict=False))
    result = calls.call(frame, from_object(target), values, named)
    if ctx.pending:
        raise ctx.pending[0]
    if isinstance(result, Bottom):
        raise ctx.fail("a recursive function that never ends: no path returns without calling itself")
    result = rebuild(result, iter([_output(ctx, leaf) for leaf in leaves(result)]))
    atoms: list[Atom] = []
    for leaf in leaves(result):
        if isinstance(leaf, Number):
            atoms.append(leaf.atom)
        elif isinstance(leaf, ArrayRef):
            atoms.append(leaf.var)
    settle_rooms(ctx, ctx.stack[0])
    captures = tuple(ctx.captures.values())
    name = parsed.name if parsed.name.isidentifier() else "f"
    function = Function(name, (*params, *(c.var for c in captures)), ctx.stack[0], tuple(atoms))
    function.line = None
    function.writes = find_writes(function)
    loose = free_variables(function)
    assert not loose, f"variables without a definition: {loose}"
    return Program(function, result, captures, tuple(ctx.guards.values()), tuple(ctx.decisions), frozenset(ctx.copied))


def _argument(ctx: Context, kind: Any, name: str, params: list[Var]) -> Any:
    match kind:
        case NumberKind(dtype=dtype, weak=weak):
            params.append(Var(name, Scalar(dtype)))
            return Number(params[-1], weak)
        case ArrayKind(dtype=dtype, ones=ones, source=source):
            var = Var(name, Array(dtype, len(ones)))
            if source is not None:
                ctx.frozen[var] = converted(name, source)
            params.append(var)
            ctx.parameters.add(var)
            return ArrayRef(var, ctx.dims(var, ones), var)
        case RecordKind(cls=cls, fields=fields):
            return Record(cls, {k: _argument(ctx, v, k, params) for k, v in fields})
        case StaticKind(value=value):
            return from_object(value) if callable(value) else Static(value)
        case tuple():
            return tuple(_argument(ctx, k, name, params) for k in kind)
        case list():
            return [_argument(ctx, k, name, params) for k in kind]
        case dict():
            return {k: _argument(ctx, v, str(k), params) for k, v in kind.items()}
    raise AssertionError(kind)


def _output(ctx: Context, leaf: Any) -> Any:
    """A result: numbers, arrays (an input, a view of one, or storage of the program), and what is known now."""
    if isinstance(leaf, ArrayRef) and (leaf.base in ctx.parameters or leaf.base in born_in(ctx.stack[0])):
        return leaf
    leaf = written_out(ctx, leaf)
    if isinstance(leaf, ListArray):
        return leaf
    return leaf if isinstance(leaf, Static) else _result(ctx, leaf)
