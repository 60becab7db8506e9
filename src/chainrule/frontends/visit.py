"""Reading the statements and expressions of a function: its syntax tree is run on values of the front end.

What is known now is computed now; the rest becomes code. A branch on something known is taken now, a call of a
Python function continues in its body, a loop over a tuple is unrolled.
"""

from __future__ import annotations

import ast
import operator
import weakref
from collections.abc import Callable
from typing import Any

from chainrule.frontends import calls, indexing, library, outside
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, describe, materialise, truth
from chainrule.frontends.iteration import iterable
from chainrule.frontends.joins import MISSING, leaves, merge_branches
from chainrule.frontends.jumps import remove_jumps
from chainrule.frontends.liveness import Liveness, assigned_names
from chainrule.frontends.loops import Loop, Plan, run_loop
from chainrule.frontends.recursion import signature
from chainrule.frontends.source import Parsed
from chainrule.frontends.values import (
    BOTTOM,
    ArrayRef,
    Bottom,
    Closure,
    Conflict,
    Iterable,
    Lazy,
    ListArray,
    Number,
    Record,
    Slicing,
    Static,
    number,
)
from chainrule.ir.build import boolean, integer
from chainrule.ir.nodes import Block, Carry, Check, Const, For, If, Print, Raise, Var, While

__all__ = ["Frame", "read_body"]

_BINARY = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.Pow: "pow",
    ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or",
    ast.BitXor: "bitwise_xor",
    ast.LShift: "left_shift",
    ast.RShift: "right_shift",
}
_COMPARE = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
_PYTHON = {"add": operator.add, "multiply": operator.mul, "equal": operator.eq, "not_equal": operator.ne}
UNROLL = 64
_STRAIGHT: weakref.WeakKeyDictionary[ast.AST, list[ast.stmt]] = weakref.WeakKeyDictionary()


class Frame:
    """One call of a function: its variables, and where its other names come from."""

    def __init__(
        self, ctx: Context, parsed: Parsed, function: Any, outer: Frame | None = None, quiet: bool = False
    ) -> None:
        self.ctx, self.parsed, self.function, self.outer, self.quiet = ctx, parsed, function, outer, quiet
        self.env: dict[str, Any] = {}
        self.live: Liveness | None = None
        self.node: ast.AST | None = None
        self.key: Any = None  # the types of its arguments, which tell a recursive call from another

    # -- names

    def lookup(self, name: str) -> Any:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.env:
                value = frame.env[name]
                if isinstance(value, Conflict):
                    raise self.ctx.fail(value.reason)
                return value
            if frame.outer is None:
                return outside.global_name(self.ctx, frame.function, name)
            frame = frame.outer
        raise AssertionError

    def bind(self, name: str, value: Any) -> None:
        if isinstance(value, Lazy):
            value = materialise(self.ctx, value, name)
        if isinstance(value, ArrayRef) and value.var.hint in ("a", "t"):
            value.var.hint = name
        if isinstance(value, Number) and isinstance(value.atom, Var) and value.atom.hint in ("t", "s"):
            value.atom.hint = name
        self.env[name] = value

    def alone(self, base: Var, name: str) -> bool:
        """Whether no variable but `name` of this call is, or views, the array `base`."""
        return not any(
            isinstance(leaf, ArrayRef) and leaf.base is base
            for frame in self.ctx.frames
            for other, value in frame.env.items()
            if not (frame is self and other == name)
            for leaf in leaves(value)
        )


def read_body(frame: Frame, node: ast.FunctionDef) -> Any:
    """Run the statements of a function; what it returns."""
    statements = _STRAIGHT.get(node)
    if statements is None:
        statements = _STRAIGHT[node] = remove_jumps(node.body)
    frame.node = node
    frame.key = frame.key or signature(frame.env)
    frame.live = Liveness(statements)
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
            container = expression(frame, owner)
            key = expression(frame, index)
            if isinstance(value, Bottom) or isinstance(container, Bottom):
                return
            if isinstance(container, (list, dict)):
                raise ctx.refuse("container-store")
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
            if isinstance(old, ArrayRef):
                indexing.augment(ctx, old, None, _operator(frame, stmt.op), _no_bottom(value, old))
            else:
                frame.bind(name, binary(frame, stmt.op, old, value))
        case ast.Subscript(value=owner, slice=index):
            container, key = expression(frame, owner), expression(frame, index)
            value = expression(frame, stmt.value)
            if isinstance(value, Bottom):
                return
            if isinstance(container, (list, dict)):
                raise ctx.refuse("container-store")
            indexing.augment(ctx, container, key, _operator(frame, stmt.op), value)
        case _:
            raise ctx.refuse(stmt.target)


def _no_bottom(value: Any, instead: Any) -> Any:
    return instead if isinstance(value, Bottom) else value


def _operator(frame: Frame, op: ast.operator) -> str:
    name = _BINARY.get(type(op))
    if name is None:
        raise frame.ctx.fail("in-place matrix product: write a[...] = a @ b")
    return "power" if name == "pow" else name


def _if(frame: Frame, stmt: ast.If) -> None:
    ctx = frame.ctx
    test = _condition(frame, stmt.test)
    if isinstance(test, Const):
        taken = stmt.body if test.value else stmt.orelse
        _block(frame, taken)
        return
    for body, other, negated in ((stmt.body, stmt.orelse, False), (stmt.orelse, stmt.body, True)):
        if body and isinstance(body[-1], ast.Raise):
            _raise_if(frame, ctx.let("logical_not", test) if negated else test, body)
            _block(frame, other)
            return
    node = If(test, Block(), Block())
    variables, before = frame.env, dict(frame.env)
    ends = []
    for block, body in ((node.then, stmt.body), (node.orelse, stmt.orelse)):
        frame.env = dict(before)
        with ctx.inside(block):
            _block(frame, body)
        ends.append(frame.env)
    then, orelse = ends
    ctx.builder.emit(node)
    frame.env = variables
    variables.clear()
    live = frame.live.after.get(stmt) if frame.live else None
    for name in dict.fromkeys([*then, *orelse]):
        a, b = then.get(name, MISSING), orelse.get(name, MISSING)
        if a is b:
            frame.env[name] = a
        elif live is not None and name not in live:
            continue
        else:
            frame.env[name] = merge_branches(ctx, node, name, a, b, lambda base, n=name: frame.alone(base, n))
    _name_results(frame, node)


def _name_results(frame: Frame, node: If) -> None:
    for merge in node.merges:
        merge.out.hint = merge.out.hint.lstrip(".") or "result"


def _raise_if(frame: Frame, test: Any, body: list[ast.stmt]) -> None:
    """A branch that ends by raising: the program goes on in the other one."""
    ctx, variables = frame.ctx, frame.env
    frame.env = dict(variables)
    node = If(test, Block(), Block())
    with ctx.inside(node.then):
        _block(frame, body)
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
            test = _condition(frame, stmt.test)
        if isinstance(test, Const) and not test.value:
            test = boolean(False)
        with ctx.inside(body):
            loop.start()
            _block(frame, stmt.body)
            loop.finish(body)
        ctx.builder.emit(While(head, test, body, loop.carries))

    _loop(frame, stmt, assigned_names(stmt.body), read)


def _for(frame: Frame, stmt: ast.For) -> None:
    ctx = frame.ctx
    over = expression(frame, stmt.iter)
    guard = getattr(stmt, "guard", None)
    if isinstance(over, Bottom):
        return
    if isinstance(over, (tuple, list, dict)) or (isinstance(over, Record) and issubclass(over.cls, tuple)):
        items = list(over.fields.values()) if isinstance(over, Record) else list(over)
        _unrolled(frame, stmt, guard, [number(i) if isinstance(i, (int, float)) else _static(i) for i in items])
        return
    items = iterable(ctx, over)
    if isinstance(items.count, Const) and items.count.value <= UNROLL and _must_unroll(frame, stmt):
        _unrolled(frame, stmt, guard, [items.item(integer(k)) for k in range(items.count.value)])
        return
    names = list(dict.fromkeys([*assigned_names(stmt.body), *assigned_names([_target(stmt)])]))
    if guard is None:
        read = _counted(frame, stmt, items)
    else:
        read = _guarded(frame, stmt, items, guard)
    _loop(frame, stmt, names, read)


def _static(item: Any) -> Any:
    return Static(item) if isinstance(item, str) else item


def _target(stmt: ast.For) -> ast.stmt:
    return ast.copy_location(ast.Assign([stmt.target], ast.Constant(0)), stmt)


def _must_unroll(frame: Frame, stmt: ast.For) -> bool:
    """Whether the loop's variable is the index of a tuple, a list or a dict."""
    targets = {n.id for n in ast.walk(stmt.target) if isinstance(n, ast.Name)}
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
            loop.finish(node.body)
        node.carries = loop.carries
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
            loop.finish(body)
            k.next = ctx.let("add", k.param, integer(1), hint="k")
        ctx.builder.emit(While(head, test, body, [*loop.carries, k]))

    return read


def _loop(frame: Frame, stmt: ast.For | ast.While, names: list[str], read: Callable[[Loop], None]) -> None:
    live = frame.live
    wanted = names
    if live is not None:
        keep = live.after.get(stmt, frozenset(names)) | live.head.get(stmt, frozenset(names))
        wanted = [n for n in names if n in keep]
    key = (stmt, *(f.node for f in frame.ctx.frames))
    plan = frame.ctx.plans.setdefault(key, Plan())
    run_loop(frame.ctx, frame.env, wanted, plan, frame.alone, read)
    for name in names:
        if name not in wanted:  # read by nobody any more
            frame.env.pop(name, None)


def _unrolled(frame: Frame, stmt: ast.For, guard: ast.expr | None, items: list[Any]) -> None:
    for item in items:
        if guard is not None:
            stopped = truth(frame.ctx, expression(frame, guard))
            if not isinstance(stopped, Const):
                raise frame.ctx.fail(
                    "a loop over a tuple or list ends early depending on numbers: loop over an array or a range"
                )
            if stopped.value:
                return
        assign_to(frame, stmt.target, item)
        _block(frame, stmt.body)


def _function_def(frame: Frame, stmt: ast.FunctionDef) -> None:
    if stmt.decorator_list:
        raise frame.ctx.refuse("decorator")
    frame.env[stmt.name] = closure(frame, stmt, stmt.name)


def closure(frame: Frame, node: ast.FunctionDef | ast.Lambda, name: str) -> Closure:
    defaults = [expression(frame, d) for d in node.args.defaults]
    keywords = {
        a.arg: expression(frame, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d
    }
    return Closure(node, frame, defaults, keywords, name)


def _expr(frame: Frame, stmt: ast.Expr) -> None:
    if isinstance(stmt.value, ast.Constant):
        return
    if isinstance(stmt.value, ast.Call) and isinstance(stmt.value.func, ast.Name) and stmt.value.func.id == "print":
        if frame.lookup("print") is not None:
            _print(frame, stmt.value)
            return
    expression(frame, stmt.value)


def _print(frame: Frame, call: ast.Call) -> None:
    if call.keywords:
        raise frame.ctx.fail("print takes values only here")
    parts: list[Any] = []
    for k, arg in enumerate(call.args):
        if k:
            parts.append(" ")
        parts += message_parts(frame, arg)
    frame.ctx.builder.emit(Print(tuple(parts)))


def message_parts(frame: Frame, node: ast.expr) -> list[Any]:
    """The text and numbers of a message."""
    match node:
        case ast.JoinedStr(values=values):
            parts: list[Any] = []
            for v in values:
                parts += message_parts(frame, v.value if isinstance(v, ast.FormattedValue) else v)
            return parts
        case ast.Constant(value=str() as text):
            return [text]
    value = expression(frame, node)
    if isinstance(value, Number):
        return [value.atom]
    if isinstance(value, Static):
        return [str(value.value)]
    if isinstance(value, (tuple, list)):
        parts = ["("]
        for k, item in enumerate(value):
            parts += [", "] * bool(k) + ([item.atom] if isinstance(item, Number) else [describe(item)])
        return [*parts, ")"]
    if isinstance(value, (ArrayRef, Lazy)):
        return [describe(value)]
    return [str(value)]


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
    parts = [p for a in args for p in message_parts(frame, a)]
    return cls.__name__, tuple(parts)


def _assert(frame: Frame, stmt: ast.Assert) -> None:
    test = _condition(frame, stmt.test)
    parts = tuple(message_parts(frame, stmt.msg)) if stmt.msg is not None else ()
    if isinstance(test, Const):
        if not test.value:
            frame.ctx.builder.emit(Raise("AssertionError", parts))
        return
    frame.ctx.builder.emit(Check(test, "AssertionError", parts))


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
    ast.Pass: _pass,
}


# -- expressions --------------------------------------------------------------------------------------


def expression(frame: Frame, node: ast.expr) -> Any:
    """The value of an expression."""
    handler = _EXPRESSIONS.get(type(node))
    if handler is None:
        raise frame.ctx.refuse(node)
    with frame.ctx.at(node, frame.parsed, frame.quiet):
        return handler(frame, node)


def _constant(frame: Frame, node: ast.Constant) -> Any:
    value = node.value
    if isinstance(value, (bool, int, float, complex)):
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise frame.ctx.fail("an integer beyond 64 bits")
        return number(value)
    return Static(value)


def _name(frame: Frame, node: ast.Name) -> Any:
    return frame.lookup(node.id)


def binary(frame: Frame, op: ast.operator, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    if isinstance(a, Bottom) or isinstance(b, Bottom):
        return BOTTOM
    if isinstance(op, ast.MatMult):
        return library.matmul(ctx, a, b)
    name = _BINARY[type(op)]
    if isinstance(a, (tuple, list)) or isinstance(b, (tuple, list)):
        return _sequences(ctx, name, a, b)
    if isinstance(a, Static) and isinstance(b, Static) and isinstance(a.value, str) and name in _PYTHON:
        return Static(_PYTHON[name](a.value, b.value))
    return apply(ctx, name, a, b, weak=True)


def _sequences(ctx: Context, name: str, a: Any, b: Any) -> Any:
    """Tuples and lists joined, or repeated a known number of times."""
    if name == "add" and type(a) is type(b):
        return a + b
    count = b if isinstance(a, (tuple, list)) else a
    sequence = a if isinstance(a, (tuple, list)) else b
    if name == "multiply" and isinstance(count, Number):
        if count.known:
            return sequence * count.atom.value  # type: ignore[union-attr]
        if isinstance(sequence, list) and len(sequence) == 1 and isinstance(sequence[0], Number):
            return calls.repeated(ctx, sequence[0], count)
    if isinstance(a, (ArrayRef, Lazy)) or isinstance(b, (ArrayRef, Lazy)):
        a, b = (library.array_of(ctx, v) if isinstance(v, (tuple, list)) else v for v in (a, b))
        return apply(ctx, name, a, b)
    raise ctx.fail(f"{name} of {describe(a)} and {describe(b)}: make them arrays with np.array")


def _bin_op(frame: Frame, node: ast.BinOp) -> Any:
    left = expression(frame, node.left)
    return binary(frame, node.op, left, expression(frame, node.right))


def _unary_op(frame: Frame, node: ast.UnaryOp) -> Any:
    ctx, value = frame.ctx, expression(frame, node.operand)
    if isinstance(value, Bottom):
        return value
    if isinstance(node.op, ast.Not):
        if isinstance(value, Static) or isinstance(value, (tuple, list, dict)):
            return number(not (value.value if isinstance(value, Static) else value))
        return Number(ctx.let("logical_not", truth(ctx, value)), weak=True)
    op = {ast.USub: "negative", ast.UAdd: "positive", ast.Invert: "invert"}[type(node.op)]
    return apply(ctx, op, value, weak=True)


def _condition(frame: Frame, node: ast.expr) -> Any:
    """The truth of an expression, as an atom."""
    if isinstance(node, ast.BoolOp):
        return _short_circuit(frame, node)
    value = expression(frame, node)
    if isinstance(value, Static):
        return boolean(bool(value.value))
    if isinstance(value, (tuple, list, dict)):
        return boolean(bool(value))
    if isinstance(value, Bottom):
        return frame.ctx.unknown()
    return truth(frame.ctx, value)


def _short_circuit(frame: Frame, node: ast.BoolOp) -> Any:
    """``a and b``: b is evaluated only if a is true, unless it is plain arithmetic."""
    ctx, conjunction = frame.ctx, isinstance(node.op, ast.And)
    result = _condition(frame, node.values[0])
    for other in node.values[1:]:
        if isinstance(result, Const):
            if bool(result.value) is not conjunction:
                return result
            result = _condition(frame, other)
            continue
        if not any(isinstance(n, (ast.Subscript, ast.Call, ast.Div, ast.Mod, ast.FloorDiv)) for n in ast.walk(other)):
            result = ctx.let("logical_and" if conjunction else "logical_or", result, _condition(frame, other))
            continue
        choice = If(result, Block(), Block())
        with ctx.inside(choice.then if conjunction else choice.orelse):
            value = Number(_condition(frame, other))
        default = Number(boolean(not conjunction))
        then, orelse = (value, default) if conjunction else (default, value)
        ctx.builder.emit(choice)
        result = merge_branches(ctx, choice, "both" if conjunction else "either", then, orelse, lambda _: False).atom
    return result


def _bool_op(frame: Frame, node: ast.BoolOp) -> Any:
    first = expression(frame, node.values[0])
    if isinstance(first, Static) or (isinstance(first, Number) and first.dtype != "bool"):
        return _values_of_bool_op(frame, node, first)
    return Number(_short_circuit(frame, node), weak=True)


def _values_of_bool_op(frame: Frame, node: ast.BoolOp, first: Any) -> Any:
    ctx, value = frame.ctx, first
    for other in node.values[1:]:
        test = boolean(bool(value.value)) if isinstance(value, Static) else truth(ctx, value)
        if not isinstance(test, Const):
            raise ctx.fail("`and` and `or` give one of two numbers: write `a if condition else b`")
        if bool(test.value) is not isinstance(node.op, ast.And):
            return value
        value = expression(frame, other)
    return value


def _compare(frame: Frame, node: ast.Compare) -> Any:
    ctx = frame.ctx
    left = expression(frame, node.left)
    result: Any = None
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = expression(frame, right_node)
        one = _compare_pair(frame, op, left, right)
        result = one if result is None else apply(ctx, "logical_and", result, one, weak=True)
        left = right
    return result


def _compare_pair(frame: Frame, op: ast.cmpop, a: Any, b: Any) -> Any:
    ctx = frame.ctx
    if isinstance(a, Bottom) or isinstance(b, Bottom):
        return BOTTOM
    if isinstance(op, (ast.Is, ast.IsNot)):
        if not (isinstance(a, Static) or isinstance(b, Static)):
            raise ctx.refuse("is")
        equal = isinstance(a, Static) and isinstance(b, Static) and a.value is b.value
        return number(equal is isinstance(op, ast.Is))
    if isinstance(op, (ast.In, ast.NotIn)):
        return _contains(ctx, a, b, isinstance(op, ast.In))
    name = _COMPARE[type(op)]
    if name in _PYTHON and (isinstance(a, Static) or isinstance(b, Static)):
        equal = isinstance(a, Static) and isinstance(b, Static) and a.value == b.value
        return number(equal is (name == "equal"))
    if isinstance(a, tuple) and isinstance(b, tuple) and name in _PYTHON:
        pairs = [_compare_pair(frame, ast.Eq(), x, y) for x, y in zip(a, b, strict=False)]
        result: Any = number(len(a) == len(b))
        for pair in pairs:
            result = apply(ctx, "logical_and", result, pair, weak=True)
        return result if name == "equal" else apply(ctx, "logical_not", result, weak=True)
    return apply(ctx, name, a, b, weak=True)


def _contains(ctx: Context, item: Any, container: Any, positive: bool) -> Any:
    if isinstance(container, Static) and isinstance(item, Static):
        return number((item.value in container.value) is positive)
    if isinstance(container, dict) and isinstance(item, Static):
        return number((item.value in container) is positive)
    if isinstance(container, (tuple, list)):
        if isinstance(item, Static):
            return number(any(isinstance(c, Static) and c.value == item.value for c in container) is positive)
        result: Any = number(False)
        for c in container:
            result = apply(ctx, "logical_or", result, apply(ctx, "equal", item, c), weak=True)
        return result if positive else apply(ctx, "logical_not", result, weak=True)
    raise ctx.refuse("in")


def _if_exp(frame: Frame, node: ast.IfExp) -> Any:
    ctx = frame.ctx
    test = _condition(frame, node.test)
    if isinstance(test, Const):
        return expression(frame, node.body if test.value else node.orelse)
    choice = If(test, Block(), Block())
    values = []
    for block, part in ((choice.then, node.body), (choice.orelse, node.orelse)):
        with ctx.inside(block):
            values.append(materialise(ctx, expression(frame, part)))
    ctx.builder.emit(choice)
    merged = merge_branches(ctx, choice, "t", *values, lambda base: frame.alone(base, ""))
    if isinstance(merged, Conflict):
        raise ctx.fail(f"the two values of `... if ... else ...` are {describe(values[0])} and {describe(values[1])}")
    return merged


def _subscript(frame: Frame, node: ast.Subscript) -> Any:
    ctx = frame.ctx
    owner = expression(frame, node.value)
    key = expression(frame, node.slice)
    if isinstance(owner, Bottom):
        return BOTTOM
    if isinstance(owner, Record) and issubclass(owner.cls, tuple):
        owner = tuple(owner.fields.values())
    if isinstance(owner, (tuple, list)):
        return _item(ctx, owner, key)
    if isinstance(owner, dict):
        name = (
            key.value if isinstance(key, Static) else key.atom.value if isinstance(key, Number) and key.known else None
        )
        if name not in owner:
            raise ctx.fail(f"the dict has no key {name!r}; its keys are {list(owner)}")
        return owner[name]
    if isinstance(owner, (ArrayRef, Lazy, ListArray)):
        return indexing.subscript(ctx, owner, key)
    raise ctx.fail(f"{describe(owner)} cannot be indexed")


def _item(ctx: Context, owner: Any, key: Any) -> Any:
    if isinstance(key, Slicing):
        bounds = []
        for b in (key.lower, key.upper, key.step):
            if b is not None and not b.known:
                raise ctx.fail("a tuple or list is sliced by numbers not known before it runs: use an array")
            bounds.append(None if b is None else b.atom.value)  # type: ignore[union-attr]
        return owner[slice(*bounds)]
    if isinstance(key, Number) and key.known:
        try:
            return owner[key.atom.value]  # type: ignore[union-attr]
        except IndexError:
            raise ctx.fail(f"index {key.atom.value} of {len(owner)} items") from None  # type: ignore[union-attr]
    if isinstance(key, Number) and all(isinstance(v, Number) for v in owner):
        return indexing.subscript(ctx, ListArray(library.array_of(ctx, owner), all(v.weak for v in owner)), key)
    raise ctx.fail("a tuple or list is indexed by a number not known before it runs: use an array")


def _slice(frame: Frame, node: ast.Slice) -> Any:
    bounds = [None if b is None else expression(frame, b) for b in (node.lower, node.upper, node.step)]
    for b in bounds:
        if b is not None and not isinstance(b, Number) and not (isinstance(b, Static) and b.value is None):
            raise frame.ctx.fail(f"a slice bound is {describe(b)}: use integers")
    return Slicing(*(b if isinstance(b, Number) else None for b in bounds))


def _tuple(frame: Frame, node: ast.Tuple | ast.List) -> Any:
    items: list[Any] = []
    for element in node.elts:
        if isinstance(element, ast.Starred):
            value = expression(frame, element.value)
            if not isinstance(value, (tuple, list)):
                raise frame.ctx.refuse(element)
            items += value
        else:
            items.append(materialise(frame.ctx, expression(frame, element)))
    return tuple(items) if isinstance(node, ast.Tuple) else frame.ctx.note_list(items)


def _dict(frame: Frame, node: ast.Dict) -> Any:
    made: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        name = None if key is None else expression(frame, key)
        if isinstance(name, Number) and name.known:
            made[name.atom.value] = materialise(frame.ctx, expression(frame, value))  # type: ignore[union-attr]
        elif isinstance(name, Static):
            made[name.value] = materialise(frame.ctx, expression(frame, value))
        elif key is None and isinstance(inner := expression(frame, value), dict):
            made |= inner
        else:
            raise frame.ctx.fail("the keys of a dict are strings or integers known before it runs")
    return made


def _attribute(frame: Frame, node: ast.Attribute) -> Any:
    return calls.attribute(frame, expression(frame, node.value), node.attr)


def _call(frame: Frame, node: ast.Call) -> Any:
    function = expression(frame, node.func)
    args: list[Any] = []
    for a in node.args:
        if isinstance(a, ast.Starred):
            inner = expression(frame, a.value)
            if not isinstance(inner, (tuple, list)):
                raise frame.ctx.fail(f"*{describe(inner)}: only tuples and lists can be unpacked into arguments")
            args += inner
        else:
            args.append(expression(frame, a))
    kwargs: dict[str, Any] = {}
    for k in node.keywords:
        value = expression(frame, k.value)
        if k.arg is not None:
            kwargs[k.arg] = value
        elif isinstance(value, dict):
            kwargs |= value
        else:
            raise frame.ctx.fail("**arguments: only a dict can be unpacked")
    return calls.call(frame, function, args, kwargs)


def _lambda(frame: Frame, node: ast.Lambda) -> Any:
    return closure(frame, node, "<lambda>")


def _named_expr(frame: Frame, node: ast.NamedExpr) -> Any:
    frame.bind(node.target.id, expression(frame, node.value))
    return frame.lookup(node.target.id)


def _comprehension(frame: Frame, node: ast.ListComp | ast.GeneratorExp) -> Any:
    return calls.comprehension(frame, node)


def _joined(frame: Frame, node: ast.JoinedStr) -> Any:
    parts = message_parts(frame, node)
    if any(not isinstance(p, (str, Const)) for p in parts):
        raise frame.ctx.refuse(node)
    return Static("".join(p if isinstance(p, str) else str(p.value) for p in parts))


_EXPRESSIONS: dict[type[ast.expr], Callable[[Frame, Any], Any]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.BinOp: _bin_op,
    ast.UnaryOp: _unary_op,
    ast.BoolOp: _bool_op,
    ast.Compare: _compare,
    ast.IfExp: _if_exp,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.Tuple: _tuple,
    ast.List: _tuple,
    ast.Dict: _dict,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.Lambda: _lambda,
    ast.NamedExpr: _named_expr,
    ast.ListComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.JoinedStr: _joined,
}
