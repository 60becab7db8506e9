"""Reading statements: a function's syntax tree is run on values of the front end.

A branch on something known is taken now, a loop over a tuple is unrolled; other branches and loops become code.
"""

from __future__ import annotations

import ast
import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.frontends import grown, indexing
from chainrule.frontends.branches import either_way
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import ITEM, apply, describe, materialise, truth
from chainrule.frontends.expressions import binary, closure, condition, expression, in_place, in_turn
from chainrule.frontends.firsts import flag_of
from chainrule.frontends.frames import Frame
from chainrule.frontends.iteration import arrays_in, iterable
from chainrule.frontends.iterators import used_up
from chainrule.frontends.jumps import remove_jumps
from chainrule.frontends.liveness import Liveness, assigned_names
from chainrule.frontends.loops import Loop, Plan, run_loop
from chainrule.frontends.messages import message_of
from chainrule.frontends.recursion import signature
from chainrule.frontends.room import reserve_before
from chainrule.frontends.texts import characters
from chainrule.frontends.values import (
    BOTTOM,
    ArrayRef,
    Bottom,
    Grown,
    Iterable,
    Lazy,
    ListArray,
    Number,
    Record,
    Static,
    number,
)
from chainrule.ir.build import boolean, integer
from chainrule.ir.nodes import Block, Carry, Check, Const, For, If, Print, Raise, Var, While
from chainrule.ir.walk import acts

UNROLL = 64
# The statements of a function without jumps, and what is live after them.
_STRAIGHT: weakref.WeakKeyDictionary[ast.AST, tuple[list[ast.stmt], Liveness]] = weakref.WeakKeyDictionary()


def read_body(frame: Frame, node: ast.FunctionDef) -> Any:
    """Run the statements of a function; what it returns."""
    if node not in _STRAIGHT:
        statements = remove_jumps(node.body)
        _STRAIGHT[node] = statements, Liveness(statements)
    statements, live = _STRAIGHT[node]
    frame.node = node
    frame.key = frame.key or signature(frame.env)
    frame.live = live
    frame.ctx.frames.append(frame)
    try:
        return _block(frame, statements)
    finally:
        frame.ctx.frames.pop()


def _block(frame: Frame, body: list[ast.stmt]) -> Any:
    for stmt in body:
        with frame.ctx.at(stmt, frame.parsed, frame.quiet):
            if isinstance(stmt, ast.Return):
                return Static(None) if stmt.value is None else expression(frame, stmt.value)
            handler = _STATEMENTS.get(ast.For if isinstance(stmt, ast.For) else type(stmt))
            if handler is None:
                raise frame.ctx.refuse(stmt)
            handler(frame, stmt)
    return Static(None)


# -- statements ---------------------------------------------------------------------------------------


def _assign(frame: Frame, stmt: ast.Assign) -> None:
    if len(stmt.targets) == 1 and isinstance(stmt.targets[0], (ast.Tuple, ast.List)):
        used_up(frame.ctx, stmt.value)
    value = expression(frame, stmt.value)
    if isinstance(value, Lazy) and (len(stmt.targets) > 1 or not isinstance(stmt.targets[0], ast.Subscript)):
        hint = stmt.targets[0].id if isinstance(stmt.targets[0], ast.Name) else "a"
        value = materialise(frame.ctx, value, hint)
    for target in stmt.targets:
        assign_to(frame, target, value)


def _ann_assign(frame: Frame, stmt: ast.AnnAssign) -> None:
    if stmt.value is not None:
        assign_to(frame, stmt.target, expression(frame, stmt.value))


def assign_to(frame: Frame, target: ast.expr, value: Any) -> None:
    ctx = frame.ctx
    match target:
        case ast.Name(id=name):
            frame.bind(name, value)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            if any(isinstance(t, ast.Starred) for t in targets):
                raise ctx.refuse(next(t for t in targets if isinstance(t, ast.Starred)))
            parts = unpack(ctx, value, len(targets))
            for t, part in zip(targets, parts, strict=True):
                assign_to(frame, t, part)
        case ast.Subscript(value=owner, slice=index):
            held = [value]
            held.append(in_turn(frame, held, owner))
            key = in_turn(frame, held, index)
            value, container = held
            if isinstance(value, Bottom) or isinstance(container, Bottom):
                return
            if isinstance(container, (list, dict)):
                raise ctx.refuse("container-store")
            if isinstance(container, Grown):
                grown.store(ctx, container, key, value)
            else:
                indexing.assign(ctx, container, key, value)
        case ast.Attribute():
            raise ctx.refuse(target)
        case _:
            raise ctx.refuse(target)


def unpack(ctx: Context, value: Any, count: int) -> list[Any]:
    """The `count` items of what is assigned to several targets."""
    if isinstance(value, Bottom):
        return [BOTTOM] * count
    if isinstance(value, Record) and issubclass(value.cls, tuple):
        value = tuple(value.fields.values())
    if isinstance(value, (tuple, list)):
        if len(value) != count:
            raise ctx.fail(f"{len(value)} values are assigned to {count} variables")
        return list(value)
    if isinstance(value, Grown):
        ctx.equal(grown.length(ctx, value), integer(count), "unpacking")
        return [grown.item(ctx, value, number(k)) for k in range(count)]
    if isinstance(value, (ArrayRef, Lazy, ListArray)):
        value = materialise(ctx, value)
        dims = value.array.dims if isinstance(value, ListArray) else value.dims
        ctx.equal(dims[0], integer(count), "unpacking")
        return [indexing.subscript(ctx, value, number(k)) for k in range(count)]
    raise ctx.fail(f"{describe(value)} cannot be unpacked into {count} variables")


def _aug_assign(frame: Frame, stmt: ast.AugAssign) -> None:
    ctx = frame.ctx
    match stmt.target:
        case ast.Name(id=name):
            old = frame.lookup(name)
            value = expression(frame, stmt.value)
            if isinstance(old, (list, ListArray, Grown)):
                _longer(frame, stmt.op, old, value)
            elif isinstance(old, (ArrayRef, Lazy)):
                indexing.augment(ctx, old, None, in_place(frame, stmt.op), _no_bottom(value, old))
            else:
                frame.bind(name, binary(frame, stmt.op, old, value))
        case ast.Subscript(value=owner, slice=index):
            container, key = expression(frame, owner), expression(frame, index)
            state, mark = ctx.snapshot(), len(ctx.writes)
            value = expression(frame, stmt.value)
            if isinstance(value, Bottom):
                return
            if isinstance(container, (list, dict)):
                raise ctx.refuse("container-store")
            if isinstance(container, Grown):
                _augment_item(frame, container, key, stmt.op, value, ctx.writes[mark:])
            elif isinstance(container, ArrayRef) and len(ctx.writes) > mark:
                ctx.restore(state)
                _augment_old(frame, container, key, stmt)
            else:
                indexing.augment(ctx, container, key, in_place(frame, stmt.op), value)
        case _:
            raise ctx.refuse(stmt.target)


def _longer(frame: Frame, op: ast.operator, old: Any, value: Any) -> None:
    """``ys += values``, which makes the list itself longer."""
    if not isinstance(op, ast.Add):
        raise frame.ctx.refuse("list-method", "the repetition of a list in place")
    if not isinstance(value, Bottom):
        grown.extend(frame.ctx, old, value)


def _augment_item(frame: Frame, held: Grown, key: Any, op: ast.operator, value: Any, written: list[Var]) -> None:
    """``ys[k] op= value`` for a number; `written` are the arrays that computing `value` has written to."""
    ctx = frame.ctx
    if not isinstance(grown.item(ctx, held, key), Number):
        raise ctx.fail(f"{ITEM}; for a new array write ys[k] = ys[k] + ...")
    if {held.count, *(room.items for room in held.rooms)} & set(written):
        raise ctx.fail("a list is changed by what is added to one of its items: compute that before")
    grown.store(ctx, held, key, binary(frame, op, grown.item(ctx, held, key), value))


def _augment_old(frame: Frame, container: ArrayRef, key: Any, stmt: ast.AugAssign) -> None:
    """``a[k] op= value`` where `value` writes to arrays: the old elements are read before, but for a view of them."""
    ctx, op = frame.ctx, in_place(frame, stmt.op)
    key = tuple(materialise(ctx, k) for k in key) if isinstance(key, tuple) else materialise(ctx, key)
    old = materialise(ctx, indexing.subscript(ctx, container, key))
    value = expression(frame, stmt.value)
    if isinstance(old, ArrayRef) and old.base is container.base:
        indexing.augment(ctx, old, None, op, value)
    else:
        indexing.assign(ctx, container, key, apply(ctx, op, old, value))


def _no_bottom(value: Any, instead: Any) -> Any:
    return instead if isinstance(value, Bottom) else value


def _if(frame: Frame, stmt: ast.If) -> None:
    ctx = frame.ctx
    test = condition(frame, stmt.test)
    if isinstance(test, Const):
        taken = stmt.body if test.value else stmt.orelse
        _block(frame, taken)
        return
    for body, other, negated in ((stmt.body, stmt.orelse, False), (stmt.orelse, stmt.body, True)):
        if body and isinstance(body[-1], ast.Raise):
            _raise_if(frame, ctx.let("logical_not", test) if negated else test, body)
            _block(frame, other)
            return
    live = frame.live.after.get(stmt) if frame.live else None
    either_way(frame, test, lambda: _block(frame, stmt.body), lambda: _block(frame, stmt.orelse), live)


def _raise_if(frame: Frame, test: Any, body: list[ast.stmt]) -> None:
    """A branch that ends by raising: the program goes on in the other one."""
    ctx, variables = frame.ctx, frame.env
    frame.env = dict(variables)
    node = If(test, Block(), Block())
    try:
        with ctx.inside(node.then):
            _block(frame, body)
    finally:
        frame.env = variables
    match node.then.nodes:
        case [Raise(exception=name, parts=parts)]:
            ctx.builder.emit(Check(ctx.let("logical_not", test), name, parts))
        case _:
            ctx.builder.emit(node)


def _while(frame: Frame, stmt: ast.While) -> None:
    ctx = frame.ctx

    def read(loop: Loop) -> None:
        head, body = Block(), Block()
        with ctx.inside(head):
            loop.start()
            test = condition(frame, stmt.test)
        if acts(head):
            raise _ActsError
        if isinstance(test, Const) and not test.value:
            test = boolean(False)
        with ctx.inside(body):
            loop.start()
            _block(frame, stmt.body)
            loop.finish(body)
        ctx.builder.emit(While(head, test, body, loop.carries))

    if any(isinstance(n, ast.NamedExpr) for n in ast.walk(stmt.test)):
        _tested_ahead(frame, stmt)  # what it assigns is carried
        return
    state, before = ctx.snapshot(), dict(frame.env)
    try:
        _loop(frame, stmt, assigned_names(stmt.body), read)
    except _ActsError:
        ctx.restore(state)
        frame.env.clear()
        frame.env.update(before)
        _tested_ahead(frame, stmt)


class _ActsError(Exception):
    """The test of a loop writes to memory, which the head of a `While` may not."""


def _tested_ahead(frame: Frame, stmt: ast.While) -> None:
    """``more = test; while more: ...; more = test``."""
    ctx, more = frame.ctx, f".more{stmt.lineno}"
    frame.env[more] = Number(condition(frame, stmt.test))

    def read(loop: Loop) -> None:
        head, body = Block(), Block()
        with ctx.inside(head):
            loop.start()
            test = truth(ctx, frame.env[more])
        with ctx.inside(body):
            loop.start()
            _block(frame, stmt.body)
            frame.env[more] = Number(condition(frame, stmt.test))
            loop.finish(body)
        ctx.builder.emit(While(head, test, body, loop.carries))

    _loop(frame, stmt, assigned_names([*stmt.body, ast.Expr(stmt.test)]), read, more)
    del frame.env[more]


def _for(frame: Frame, stmt: ast.For) -> None:
    ctx = frame.ctx
    over = characters(expression(frame, used_up(ctx, stmt.iter, loop=True)))
    guard = getattr(stmt, "guard", None)
    if isinstance(over, Bottom):
        return
    if isinstance(over, (tuple, list, dict)) or (isinstance(over, Record) and issubclass(over.cls, tuple)):
        known = list(over.fields.values()) if isinstance(over, Record) else list(over)
        with _holding(frame, stmt, arrays_in(known)):
            _unrolled(frame, stmt, guard, (number(i) if isinstance(i, (int, float)) else _static(i) for i in known))
        return
    items = iterable(ctx, over, stmt.iter.id if isinstance(stmt.iter, ast.Name) else "items")
    if isinstance(items.count, Const) and items.count.value <= UNROLL and _must_unroll(frame, stmt):
        with _holding(frame, stmt, items.arrays):
            _unrolled(frame, stmt, guard, (items.item(integer(k)) for k in range(items.count.value)))
        return
    names = list(dict.fromkeys([*assigned_names(stmt.body), *assigned_names([_target(stmt)])]))
    mark = len(ctx.writes)
    if guard is None:
        read = _counted(frame, stmt, items)
    else:
        read = _guarded(frame, stmt, items, guard)
    with _holding(frame, stmt, items.arrays):
        _loop(frame, stmt, names, read)
    if set(items.grows) & set(ctx.writes[mark:]):
        raise ctx.fail("a list that is looped over grows or shrinks in the loop: loop over a copy of it, ys[:]")


@contextlib.contextmanager
def _holding(frame: Frame, stmt: ast.For, arrays: tuple[ArrayRef, ...]) -> Iterator[None]:
    """The iterator of a loop is one more variable for the arrays it began with: what is written to them it sees."""
    name = f".over{stmt.lineno}"
    frame.env[name] = arrays
    yield
    del frame.env[name]


def _static(item: Any) -> Any:
    return Static(item) if isinstance(item, str) else item


def _target(stmt: ast.For) -> ast.stmt:
    return ast.copy_location(ast.Assign([stmt.target], ast.Constant(0)), stmt)


def _must_unroll(frame: Frame, stmt: ast.For) -> bool:
    """Whether the loop's variable is the index of a tuple, a list or a dict, or a list grows in its body."""
    targets = {n.id for n in ast.walk(stmt.target) if isinstance(n, ast.Name)}
    for node in (n for s in stmt.body for n in ast.walk(s)):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr="append" | "extend") if isinstance(
                frame.env.get(name), list
            ):
                return True
    for node in (n for s in stmt.body for n in ast.walk(s)):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            used = {n.id for n in ast.walk(node.slice) if isinstance(n, ast.Name)}
            if used & targets and isinstance(frame.env.get(node.value.id), (tuple, list, dict)):
                return True
    return False


def _counted(frame: Frame, stmt: ast.For, items: Iterable) -> Callable[[Loop], None]:
    ctx = frame.ctx

    def read(loop: Loop) -> None:
        lower, upper, step = items.range or (integer(0), items.count, integer(1))
        hint = stmt.target.id if items.range and isinstance(stmt.target, ast.Name) else "k"
        node = For(Var(hint, lower.type), lower, upper, step, Block())
        with ctx.inside(node.body):
            loop.start()
            assign_to(frame, stmt.target, Number(node.index, weak=True) if items.range else items.item(node.index))
            _block(frame, stmt.body)
            loop.finish(node.body, node.index)
        node.carries = loop.carries
        loop.entered = isinstance(items.count, Const) and items.count.value > 0
        reserve_before(ctx, node, items.count)
        ctx.builder.emit(node)

    return read


def _guarded(frame: Frame, stmt: ast.For, items: Iterable, guard: ast.expr) -> Callable[[Loop], None]:
    """A loop that a flag may end: ``while k < count and not flag``."""
    ctx = frame.ctx

    def read(loop: Loop) -> None:
        k = Carry(Var("k", items.count.type), integer(0), integer(0), Var("k", items.count.type))
        head, body = Block(), Block()
        with ctx.inside(head):
            loop.start()
            stopped = truth(ctx, expression(frame, guard))
            more = ctx.let("less", k.param, items.count)
            test = ctx.let("logical_and", ctx.let("logical_not", stopped), more)
        with ctx.inside(body):
            loop.start()
            assign_to(frame, stmt.target, items.item(k.param))
            _block(frame, stmt.body)
            loop.finish(body, k.param)
            k.next = ctx.let("add", k.param, integer(1), hint="k")
        ctx.builder.emit(While(head, test, body, [*loop.carries, k]))

    return read


def _loop(frame: Frame, stmt: ast.For | ast.While, names: list[str], read: Callable[[Loop], None], *also: str) -> None:
    live = frame.live
    wanted = names
    if live is not None:
        keep = live.after.get(stmt, frozenset(names)) | live.head.get(stmt, frozenset(names))
        wanted = [n for n in names if n in keep]
    key = (stmt, *((f.node, f.key) for f in frame.ctx.frames))
    plan = frame.ctx.plans.setdefault(key, Plan())
    run_loop(frame.ctx, frame.env, [*wanted, *also], plan, frame.alone, read)
    for name in names:
        if name not in wanted:  # read by nobody any more
            frame.env.pop(name, None)
            frame.env.pop(flag_of(name), None)


def _unrolled(frame: Frame, stmt: ast.For, guard: ast.expr | None, items: Iterator[Any]) -> None:
    for item in items:
        stopped = boolean(False) if guard is None else truth(frame.ctx, expression(frame, guard))
        if not isinstance(stopped, Const):
            _unless(frame, stmt, guard, item)
            continue
        if stopped.value:
            return
        assign_to(frame, stmt.target, item)
        _block(frame, stmt.body)


def _unless(frame: Frame, stmt: ast.For, guard: Any, item: Any) -> None:
    """``if not guard:`` one iteration of an unrolled loop."""
    first = ast.Assign([stmt.target], ast.Name(".item", ast.Load()))
    choice = ast.If(ast.UnaryOp(ast.Not(), guard), [ast.copy_location(first, stmt), *stmt.body], [])
    frame.env[".item"] = item
    _if(frame, ast.fix_missing_locations(ast.copy_location(choice, stmt)))
    del frame.env[".item"]


def _function_def(frame: Frame, stmt: ast.FunctionDef) -> None:
    if stmt.decorator_list:
        raise frame.ctx.refuse("decorator")
    frame.env[stmt.name] = closure(frame, stmt, stmt.name)


def _expr(frame: Frame, stmt: ast.Expr) -> None:
    if isinstance(stmt.value, ast.Constant):
        return
    call = stmt.value
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print":
        _print(frame, call)
        return
    expression(frame, stmt.value)


def _print(frame: Frame, call: ast.Call) -> None:
    if call.keywords:
        raise frame.ctx.fail("print takes values only here")
    frame.ctx.builder.emit(Print(message_of(frame, call.args)))


def _raise(frame: Frame, stmt: ast.Raise) -> None:
    name, parts = _exception(frame, stmt.exc, stmt)
    frame.ctx.builder.emit(Raise(name, parts))


def _exception(frame: Frame, node: ast.expr | None, stmt: ast.stmt) -> tuple[str, tuple[Any, ...]]:
    args: list[ast.expr] = []
    if isinstance(node, ast.Call):
        args, node = node.args, node.func
    value = expression(frame, node) if node is not None else None
    cls = value.value if isinstance(value, Static) else None
    if not (isinstance(cls, type) and issubclass(cls, Exception) and cls.__module__ == "builtins"):
        raise frame.ctx.fail("only Python's own exceptions can be raised: raise ValueError(...)")
    return cls.__name__, message_of(frame, args)


def _assert(frame: Frame, stmt: ast.Assert) -> None:
    test = condition(frame, stmt.test)
    parts = message_of(frame, [stmt.msg] if stmt.msg is not None else [])
    if isinstance(test, Const):
        if not test.value:
            frame.ctx.builder.emit(Raise("AssertionError", parts))
        return
    frame.ctx.builder.emit(Check(test, "AssertionError", parts))


def _with(frame: Frame, stmt: ast.With) -> None:
    """``with np.errstate(...)`` says nothing here: derivative and primal never warn."""
    for item in stmt.items:
        call = item.context_expr
        found = expression(frame, call.func) if isinstance(call, ast.Call) else None
        if not (isinstance(found, Static) and found.value is np.errstate) or item.optional_vars is not None:
            raise frame.ctx.refuse(stmt)


def _pass(frame: Frame, stmt: ast.stmt) -> None:
    return


_STATEMENTS: dict[type[ast.stmt], Callable[[Frame, Any], None]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _ann_assign,
    ast.AugAssign: _aug_assign,
    ast.If: _if,
    ast.While: _while,
    ast.For: _for,
    ast.FunctionDef: _function_def,
    ast.Expr: _expr,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.With: _with,
    ast.Pass: _pass,
}
