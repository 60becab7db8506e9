"""Recursive functions: one function of the program per function of the user and types of its arguments.

What it returns is found by reading it twice: first without knowing what its own calls return, which tells the
type on the paths that end the recursion. What it calls meanwhile and calls it in turn is read anew then. Variables of
the enclosing program that it reads become parameters.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import materialise
from chainrule.frontends.frames import Frame
from chainrule.frontends.grown import written_out
from chainrule.frontends.joins import born_in, leaves, rebuild
from chainrule.frontends.room import settle_rooms
from chainrule.frontends.values import (
    BOTTOM,
    ArrayRef,
    Bottom,
    Closure,
    Grown,
    Number,
    Static,
    Transformed,
)
from chainrule.ir.nodes import Array, Atom, Block, Call, Const, Function, Scalar, Type, Var
from chainrule.ir.walk import Renaming, find_writes, free_variables, nodes_of, settle_writes

__all__ = ["call_function", "is_active", "lift", "signature"]

ROUNDS = 6


@dataclass
class _Entry:
    function: Function
    template: Any = None  # what it returns: a nest with a type for every leaf
    busy: bool = True
    level: int = 0  # the number of functions that were being read when this was begun
    waits: bool = False  # for the type of another function that is being read
    extras: tuple[Var, ...] = ()
    scope: Any = None  # what the names in it mean outside


@dataclass(frozen=True)
class _Leaf:
    type: Type | None  # None: the result is None
    weak: bool = False


def signature(env: dict[str, Any]) -> tuple[Any, ...]:
    """What tells calls apart: the types of numbers and arrays, and everything else itself."""
    return tuple((name, *(_key(leaf) for leaf in leaves(value))) for name, value in env.items())


def _key(leaf: Any) -> Any:
    match leaf:
        case Number():
            return leaf.dtype
        case ArrayRef():
            return leaf.var.type
        case Static(value=value):
            return value if isinstance(value, str) else id(value)
        case Closure(node=node):
            return node
        case Grown(kind=kind):
            return tuple(leaves(kind))
        case Transformed(kind=kind, function=function):
            return (kind, _key(function))
    return type(leaf)


def is_active(ctx: Context, node: ast.AST, env: dict[str, Any]) -> bool:
    """Whether the same function is being read for the same types, or is a function of the program already."""
    key = (node, signature(env))
    return key in ctx.functions or any(f.node is node and f.key == key[1] for f in ctx.frames)


def call_function(frame: Any, node: ast.FunctionDef | ast.Lambda) -> Any:
    """A call of a recursive function, `frame` holding its arguments."""
    ctx: Context = frame.ctx
    if any(isinstance(leaf, Grown) for value in frame.env.values() for leaf in leaves(value)):
        raise ctx.fail(
            "a list that grows is an argument of a recursive function: pass np.array of it, or return values"
        )
    key = (node, signature(frame.env))
    entry = ctx.functions.get(key)
    scope = _scope(frame.outer, node)
    if entry is not None and not entry.busy and entry.scope != scope:  # what it reads from around it is other now
        ctx.functions[*key, entry.function] = entry
        entry = None
    if entry is None:
        entry = _build(frame, node, key)
        entry.scope = scope
    if entry.template is None:
        for other in ctx.functions.values():
            other.waits = other.waits or (other.busy and other.level > entry.level)
        return BOTTOM
    args = [
        _atom(leaf) for value in frame.env.values() for leaf in leaves(value) if isinstance(leaf, (Number, ArrayRef))
    ]
    outs = [None if x.type is None else Var(getattr(node, "name", "f"), x.type) for x in leaves(entry.template)]
    atoms = (*args, *(() if entry.busy else entry.extras))
    ctx.builder.emit(Call(tuple(v for v in outs if v is not None), entry.function, atoms))
    arrays = [x for value in frame.env.values() for x in leaves(value) if isinstance(x, ArrayRef)]
    written = {a for a, p in zip(atoms, entry.function.params, strict=False) if p in entry.function.writes}
    for array in arrays:
        if entry.busy or array.var in written:
            ctx.writable(array)
    return rebuild(
        entry.template, iter([_returned(ctx, v, x) for v, x in zip(outs, leaves(entry.template), strict=True)])
    )


def _scope(frame: Any, node: Any) -> list[tuple[str, Any]]:
    """What the names in `node` mean in the functions around it, and those in local functions that it names."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [node] if frame is not None else []
    while waiting:
        for name in {n.id for n in ast.walk(waiting.pop()) if isinstance(n, ast.Name)} - found.keys():
            around = frame
            while around is not None and name not in around.env:
                around = around.outer
            if around is not None:
                parts = leaves(around.env[name])
                found[name] = tuple(_meaning(leaf) for leaf in parts)
                waiting += [leaf.node for leaf in parts if isinstance(leaf, Closure)]
    return sorted(found.items())


def _meaning(leaf: Any) -> Any:
    """What is equal where a name means the same."""
    match leaf:
        case Number(atom=atom, weak=weak):
            return (atom, weak)
        case ArrayRef(var=var):
            return var
        case Static(value=value):
            return _Same(value)
        case Closure(node=node):
            return node
    return _Same(leaf)


class _Same:
    """Equal for one object only."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    __hash__ = None  # type: ignore[assignment]


def _returned(ctx: Context, out: Var | None, leaf: _Leaf) -> Any:
    if out is None:
        return Static(None)
    return Number(out, leaf.weak) if isinstance(out.type, Scalar) else ArrayRef(out, ctx.dims(out), out)


def _atom(leaf: Number | ArrayRef) -> Atom:
    return leaf.atom if isinstance(leaf, Number) else leaf.var


def _build(frame: Any, node: Any, key: Any) -> _Entry:
    ctx: Context = frame.ctx
    level = sum(e.busy for e in ctx.functions.values())
    entry = ctx.functions[key] = _Entry(Function(getattr(node, "name", "f"), (), Block(), ()), level=level)
    for _ in range(ROUNDS):
        template = _read(frame, node, entry)
        if template == entry.template:
            break
        entry.template = template
    else:
        raise ctx.fail("the type of what this recursive function returns does not settle")
    entry.busy = False
    if entry.waits:
        del ctx.functions[key]
    if not any(e.busy for e in ctx.functions.values()):
        _finish(ctx)
    return entry


def _read(frame: Any, node: Any, entry: _Entry) -> Any:
    """Read the body into the entry's function; the template of what it returns."""
    ctx: Context = frame.ctx
    sub = ctx.fork()
    inner = Frame(sub, frame.parsed, frame.function, frame.outer, frame.quiet)
    inner.key = signature(frame.env)
    params: list[Var] = []
    with_params = []
    for name, value in frame.env.items():
        made = [_parameter(sub, name, leaf, params) for leaf in leaves(value)]
        with_params.append((name, rebuild(value, iter(made))))
    inner.env = dict(with_params)
    if isinstance(node, ast.Lambda):
        inner.node = node
        sub.frames.append(inner)
        result = ctx.language.expression(inner, node.body)
    else:
        result = ctx.language.body(inner, node)
    if isinstance(result, Bottom) and entry.waits:
        return None
    if isinstance(result, Bottom):
        raise ctx.fail("a recursive function that never ends: no path returns without calling itself")
    result = rebuild(result, iter([_result(sub, leaf) for leaf in leaves(result)]))
    function = entry.function
    function.params, function.body = tuple(params), sub.stack[0]
    function.results = tuple(_atom(leaf) for leaf in leaves(result) if not isinstance(leaf, Static))
    function.line = sub.builder.line
    settle_rooms(sub, function.body)
    return rebuild(result, iter([_leaf(v) for v in leaves(result)]))


def _leaf(value: Any) -> _Leaf:
    if isinstance(value, Static):
        return _Leaf(None)
    return _Leaf(_atom(value).type, isinstance(value, Number) and value.weak)


def _parameter(ctx: Context, name: str, leaf: Any, params: list[Var], known: bool = False) -> Any:
    """A parameter like `leaf`; `known`: extents that are known of it are known of the parameter."""
    if isinstance(leaf, Number):
        params.append(Var(name, Scalar(leaf.dtype)))
        return Number(params[-1], leaf.weak)
    if isinstance(leaf, ArrayRef):
        var = Var(name, Array(leaf.dtype, leaf.ndim))
        params.append(var)
        ctx.parameters.add(var)
        dims = tuple(d if known and isinstance(d, Const) else ctx.dim(var, k) for k, d in enumerate(leaf.dims))
        return ArrayRef(var, dims, var, contiguous=known and leaf.contiguous)
    return leaf


def _hint(leaf: Any) -> str:
    """What the user calls an argument."""
    atom = leaf.atom if isinstance(leaf, Number) else leaf.var if isinstance(leaf, ArrayRef) else None
    return atom.hint if isinstance(atom, Var) else "x"


def _result(ctx: Context, leaf: Any) -> Any:
    leaf = materialise(ctx, leaf, "result")
    if isinstance(leaf, ArrayRef):
        own = leaf.var is leaf.base and leaf.base in born_in(ctx.stack[0]) and leaf.base not in ctx.parameters
        if not own or leaf.base in ctx.frozen:
            copy = ctx.builder.copy(leaf.var, "result")
            return ArrayRef(copy, leaf.dims, copy)
        return leaf
    if isinstance(leaf, Static) and leaf.value is None:
        return leaf
    if not isinstance(leaf, Number):
        raise ctx.fail("a recursive function returns numbers, arrays and tuples of them")
    return leaf


def _finish(ctx: Context) -> None:
    """Give the functions the variables of the enclosing program that they, or those they call, read."""
    entries = [e for e in ctx.functions.values() if isinstance(e, _Entry) and not e.extras]
    by_function = {e.function: e for e in ctx.functions.values()}
    needs = {e.function: dict.fromkeys(free_variables(e.function)) for e in entries}
    changed = True
    while changed:
        changed = False
        for e in entries:
            for call in (n for n in nodes_of(e.function.body) if isinstance(n, Call)):
                inner = needs.get(call.function, dict.fromkeys(by_function[call.function].extras))
                if not inner.keys() <= needs[e.function].keys():
                    needs[e.function] |= inner
                    changed = True
    for e in entries:
        e.extras = tuple(needs[e.function])
    for e in entries:
        function = e.function
        for call in (n for n in nodes_of(function.body) if isinstance(n, Call)):
            if len(call.args) < len(call.function.params) + len(by_function[call.function].extras):
                call.args = (*call.args, *by_function[call.function].extras)
    for e in entries:
        function = e.function
        fresh = {v: Var(v.hint, v.type) for v in e.extras}
        renaming = Renaming(dict(fresh))
        function.body = renaming.block(function.body)
        function.results = renaming.all(function.results)
        function.params = (*function.params, *fresh.values())
    settle_writes([e.function for e in entries])


def lift(ctx: Context, values: Any, run: Any) -> tuple[Function, Any, tuple[Var, ...]]:
    """A function of the program from `values` to ``run(values)``; its result's nest, and what else it reads.

    The variables of the enclosing program that it reads are further parameters, returned as well.
    """
    params: list[Var] = []
    block = Block()
    frozen, written, floor = dict(ctx.frozen), len(ctx.writes), ctx.floor
    ctx.floor = len(ctx.stack)
    with ctx.inside(block):
        inner = [
            rebuild(v, iter([_parameter(ctx, _hint(leaf), leaf, params, known=True) for leaf in leaves(v)]))
            for v in values
        ]
        result = run(inner)
        result = rebuild(result, iter([materialise(ctx, written_out(ctx, leaf), "y") for leaf in leaves(result)]))
    settle_rooms(ctx, block)
    ctx.frozen, ctx.floor = frozen, floor
    del ctx.writes[written:]
    atoms = tuple(_atom(leaf) for leaf in leaves(result) if isinstance(leaf, (Number, ArrayRef)))
    function = Function("lifted", tuple(params), block, atoms)
    extras = tuple(free_variables(function))
    renaming = Renaming({v: Var(v.hint, v.type) for v in extras})
    fresh = tuple(renaming.atoms[v] for v in extras)
    copied = renaming.block(block)
    function = Function("lifted", (*params, *fresh), copied, renaming.all(atoms))  # type: ignore[arg-type]
    function.writes = find_writes(function)
    return function, result, extras
