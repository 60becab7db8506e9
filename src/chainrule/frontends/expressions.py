"""Reading expressions: what is known now is computed now, the rest becomes code.

A call of a Python function continues in its body, see `calls`.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.frontends import calls, grown, indexing, texts
from chainrule.frontends.arrays import array_of
from chainrule.frontends.branches import value_of_either
from chainrule.frontends.comprehensions import comprehension, repeated
from chainrule.frontends.context import Context
from chainrule.frontends.elementwise import apply, describe, materialise, reads, truth
from chainrule.frontends.frames import Frame
from chainrule.frontends.iterators import argument, check_iterator, used_up
from chainrule.frontends.library.algebra import matmul
from chainrule.frontends.messages import known_text
from chainrule.frontends.values import (
    BOTTOM,
    ArrayRef,
    Bottom,
    Bound,
    Closure,
    Conflict,
    Grown,
    Lazy,
    ListArray,
    Number,
    Record,
    Slicing,
    Static,
    number,
)
from chainrule.ir.build import boolean
from chainrule.ir.nodes import Atom, Const

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
_EQUALITY = ("equal", "not_equal")
_ON_TEXTS = {"add": operator.add, "multiply": operator.mul, "remainder": operator.mod}
_ON_TEXTS |= {"less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge}


def in_place(frame: Frame, op: ast.operator) -> str:
    name = _BINARY.get(type(op))
    if name is None:
        raise frame.ctx.fail("in-place matrix product: write a[...] = a @ b")
    return "power" if name == "pow" else name


# -- expressions --------------------------------------------------------------------------------------


def expression(frame: Frame, node: ast.expr) -> Any:
    """The value of an expression."""
    handler = _EXPRESSIONS.get(type(node))
    if handler is None:
        raise frame.ctx.refuse(node)
    with frame.ctx.at(node, frame.parsed, frame.quiet):
        return handler(frame, node)


def in_turn(frame: Frame, held: list[Any], node: ast.expr) -> Any:
    """The value of `node`, which is evaluated after `held`: those do not see what it writes."""
    ctx = frame.ctx
    late = [k for k, value in enumerate(held) if isinstance(value, Lazy)]
    state, mark = ctx.snapshot() if late else None, len(ctx.writes)
    value = expression(frame, node)
    frame.use("an operand", held if ctx.stale else [])
    if {a.base for k in late for a in reads(held[k])}.isdisjoint(ctx.writes[mark:]):
        return value
    ctx.restore(state)
    for k in late:
        held[k] = materialise(ctx, held[k])
    return expression(frame, node)


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
        return matmul(ctx, a, b)
    name = _BINARY[type(op)]
    if name in _ON_TEXTS and (texts.is_text(a) or (texts.is_text(b) and name == "multiply")):
        return texts.computed(ctx, f"{name} of {describe(a)}", _ON_TEXTS[name], a, b)
    a, b = grown.operands(ctx, a, b)
    if isinstance(a, (tuple, list)) or isinstance(b, (tuple, list)):
        made = _sequences(ctx, name, a, b)
        return grown.noted(ctx, made, ctx.node or op) if isinstance(made, (list, ListArray)) else made
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
            return repeated(ctx, sequence[0], count)
    if isinstance(a, (ArrayRef, Lazy)) or isinstance(b, (ArrayRef, Lazy)):
        a, b = (array_of(ctx, v) if isinstance(v, (tuple, list)) else v for v in (a, b))
        return apply(ctx, name, a, b)
    raise ctx.fail(f"{name} of {describe(a)} and {describe(b)}: make them arrays with np.array")


def _bin_op(frame: Frame, node: ast.BinOp) -> Any:
    held = [expression(frame, node.left)]
    right = in_turn(frame, held, node.right)
    return binary(frame, node.op, held[0], right)


def _unary_op(frame: Frame, node: ast.UnaryOp) -> Any:
    ctx = frame.ctx
    if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.BoolOp):
        return Number(ctx.let("logical_not", condition(frame, node.operand)), weak=True)
    value = expression(frame, node.operand)
    if isinstance(value, Bottom):
        return value
    if isinstance(node.op, ast.Not):
        if isinstance(value, (Static, tuple, list, dict)):
            return number(not (value.value if isinstance(value, Static) else value))
        return Number(ctx.let("logical_not", truth(ctx, value)), weak=True)
    op = {ast.USub: "negative", ast.UAdd: "positive", ast.Invert: "invert"}[type(node.op)]
    return apply(ctx, op, value, weak=True)


def condition(frame: Frame, node: ast.expr) -> Any:
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
    result = condition(frame, node.values[0])
    for other in node.values[1:]:
        if isinstance(result, Const):
            if bool(result.value) is not conjunction:
                return result
            result = condition(frame, other)
            continue
        if _may_always(other):
            result = ctx.let("logical_and" if conjunction else "logical_or", result, condition(frame, other))
            continue
        result = _only_if(frame, result, conjunction, functools.partial(condition, frame, other))
    return result


def _may_always(node: ast.expr) -> bool:
    """Whether an operand may be evaluated where Python would not: it neither fails nor has an effect."""
    return not any(
        isinstance(n, (ast.Subscript, ast.Call, ast.Div, ast.Mod, ast.FloorDiv, ast.NamedExpr)) for n in ast.walk(node)
    )


def _only_if(frame: Frame, first: Atom, conjunction: bool, other: Callable[[], Atom]) -> Atom:
    """``first and other()``, or ``first or other()``."""
    ways: list[Callable[[], Any]] = [lambda: Number(other()), lambda: Number(boolean(not conjunction))]
    then, orelse = ways if conjunction else reversed(ways)
    atom: Atom = value_of_either(frame, first, then, orelse, "both" if conjunction else "either").atom
    return atom


def _bool_op(frame: Frame, node: ast.BoolOp) -> Any:
    """``a and b`` as a value: the operand that Python evaluates last."""
    ctx, conjunction = frame.ctx, isinstance(node.op, ast.And)
    value = expression(frame, node.values[0])
    for operand in node.values[1:]:
        if isinstance(value, Bottom):
            value = Number(ctx.unknown(), weak=True)
        held = value.value if isinstance(value, Static) else value
        known = isinstance(value, (Static, tuple, list, dict))
        test = boolean(bool(held)) if known else truth(ctx, value)
        if isinstance(test, Const):
            if bool(test.value) is not conjunction:
                return value
            value = expression(frame, operand)
            continue
        _one_truth(frame, value)
        other = functools.partial(_truth_value, frame, operand)
        if _may_always(operand):
            atom = ctx.let("logical_and" if conjunction else "logical_or", test, other())
        else:
            atom = _only_if(frame, test, conjunction, other)
        value = Number(atom, weak=True)
    return value


def _truth_value(frame: Frame, node: ast.expr) -> Atom:
    """An operand that is true or false itself, as an atom."""
    value = expression(frame, node)
    return frame.ctx.unknown() if isinstance(value, Bottom) else _one_truth(frame, value)


def _one_truth(frame: Frame, value: Any) -> Atom:
    if isinstance(value, Number) and value.dtype == "bool":
        return value.atom
    raise frame.ctx.fail("`and` and `or` give one of two values: write `a if condition else b`")


def _compare(frame: Frame, node: ast.Compare) -> Any:
    return _chain(frame, expression(frame, node.left), node.ops, node.comparators)


def _chain(frame: Frame, left: Any, ops: Sequence[ast.cmpop], others: Sequence[ast.expr]) -> Any:
    """``left < a < b``: b is evaluated only if the first holds, unless it is plain arithmetic."""
    held = [left]
    right = in_turn(frame, held, others[0])
    first = _compare_pair(frame, ops[0], held[0], right)
    if len(ops) == 1:
        return first
    rest = functools.partial(_chain, frame, right, ops[1:], others[1:])
    if not isinstance(first, Number) or all(map(_may_always, others[1:])):
        return apply(frame.ctx, "logical_and", first, rest(), weak=True)
    if isinstance(first.atom, Const):
        return rest() if first.atom.value else first
    return Number(_only_if(frame, first.atom, True, lambda: truth(frame.ctx, rest())), weak=True)


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
    if name in _ON_TEXTS and texts.is_text(a) and texts.is_text(b):
        return texts.computed(ctx, name, _ON_TEXTS[name], a, b)
    if name in _EQUALITY and (isinstance(a, Static) or isinstance(b, Static)):
        equal = isinstance(a, Static) and isinstance(b, Static) and a.value == b.value
        return number(equal is (name == "equal"))
    if isinstance(a, tuple) and isinstance(b, tuple) and name in _EQUALITY:
        pairs = [_compare_pair(frame, ast.Eq(), x, y) for x, y in zip(a, b, strict=False)]
        result: Any = number(len(a) == len(b))
        for pair in pairs:
            result = apply(ctx, "logical_and", result, pair, weak=True)
        return result if name == "equal" else apply(ctx, "logical_not", result, weak=True)
    return apply(ctx, name, *grown.operands(ctx, a, b), weak=True)


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
    test = condition(frame, node.test)
    if isinstance(test, Const):
        return expression(frame, node.body if test.value else node.orelse)
    values: list[Any] = []

    def way(part: ast.expr) -> Any:
        values.append(materialise(ctx, expression(frame, part)))
        return values[-1]

    merged = value_of_either(frame, test, lambda: way(node.body), lambda: way(node.orelse), "t")
    if isinstance(merged, Conflict):
        raise ctx.fail(f"the two values of `... if ... else ...` are {describe(values[0])} and {describe(values[1])}")
    return merged


def _subscript(frame: Frame, node: ast.Subscript) -> Any:
    ctx = frame.ctx
    held = [expression(frame, node.value)]
    key = in_turn(frame, held, node.slice)
    owner = held[0]
    if any(isinstance(v, Bottom) for v in (owner, *(key if isinstance(key, tuple) else (key,)))):
        return BOTTOM
    if isinstance(owner, Record) and issubclass(owner.cls, tuple):
        owner = tuple(owner.fields.values())
    if isinstance(owner, (tuple, list)):
        return _item(ctx, owner, key)
    if isinstance(owner, dict):
        name = key.value if isinstance(key, Static) else known_number(key)
        if name not in owner:
            raise ctx.fail(f"the dict has no key {name!r}; its keys are {list(owner)}")
        return owner[name]
    if isinstance(owner, (ArrayRef, Lazy, ListArray)):
        return indexing.subscript(ctx, owner, key)
    if isinstance(owner, Grown):
        return grown.item(ctx, owner, key)
    if texts.is_text(owner):
        return texts.item(ctx, owner.value, key)
    raise ctx.fail(f"{describe(owner)} cannot be indexed")


def known_number(value: Any) -> Any:
    """The number known now, or None."""
    return value.atom.value if isinstance(value, Number) and isinstance(value.atom, Const) else None


def _item(ctx: Context, owner: Any, key: Any) -> Any:
    if isinstance(key, Slicing):
        bounds = []
        for b in (key.lower, key.upper, key.step):
            if b is not None and not b.known:
                raise ctx.fail("a tuple or list is sliced by numbers not known before it runs: use an array")
            bounds.append(None if b is None else b.atom.value)  # type: ignore[union-attr]
        part = owner[slice(*bounds)]
        return grown.noted(ctx, part, ctx.node or ast.Constant(0)) if isinstance(part, list) else part
    if isinstance(key, Number) and key.known:
        try:
            return owner[key.atom.value]  # type: ignore[union-attr]
        except IndexError:
            return grown.not_yet(ctx, owner, f"index {key.atom.value} of {len(owner)} items")  # type: ignore[union-attr]
    if isinstance(key, Number) and all(isinstance(v, Number) for v in owner):
        return indexing.subscript(ctx, ListArray(array_of(ctx, owner), all(v.weak for v in owner)), key)
    return grown.grows_from(ctx, owner, "a tuple or list is indexed by a number not known before it runs: use an array")


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
            value = expression(frame, used_up(frame.ctx, element.value))
            if not isinstance(value, (tuple, list)):
                raise frame.ctx.refuse(element)
            items += value
        else:
            items.append(materialise(frame.ctx, expression(frame, element)))
    return tuple(items) if isinstance(node, ast.Tuple) else grown.noted(frame.ctx, items, node)


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
    ctx, function = frame.ctx, expression(frame, node.func)
    check_iterator(ctx, node, function)
    held = list(function.args) if isinstance(function, Bound) else []  # what is evaluated before what follows
    first = len(held)
    for a in node.args:
        if isinstance(a, ast.Starred):
            inner = in_turn(frame, held, used_up(ctx, a.value))
            if not isinstance(inner, (tuple, list)):
                raise ctx.fail(f"*{describe(inner)}: only tuples and lists can be unpacked into arguments")
            held += inner
        else:
            with argument(ctx, a, function):
                held.append(in_turn(frame, held, a))
    names: list[str] = []
    count = len(held)
    for k in node.keywords:
        value = in_turn(frame, held, k.value)
        if k.arg is None and not isinstance(value, dict):
            raise ctx.fail("**arguments: only a dict can be unpacked")
        given = value if k.arg is None else {k.arg: value}
        names += given
        held += given.values()
    if isinstance(function, Bound):
        function = Bound(function.function, tuple(held[:first]), function.kwargs)
    return calls.call(frame, function, held[first:count], dict(zip(names, held[count:], strict=True)))


def _lambda(frame: Frame, node: ast.Lambda) -> Any:
    return closure(frame, node, "<lambda>")


def _named_expr(frame: Frame, node: ast.NamedExpr) -> Any:
    frame.bind(node.target.id, expression(frame, node.value))
    return frame.lookup(node.target.id)


def _comprehension(frame: Frame, node: ast.ListComp | ast.GeneratorExp) -> Any:
    if isinstance(node, ast.GeneratorExp):
        check_iterator(frame.ctx, node)
    return comprehension(frame, node)


def _joined(frame: Frame, node: ast.JoinedStr) -> Any:
    text = known_text(frame, node)
    if text is None:
        raise frame.ctx.refuse(node)
    return Static(text)


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


def closure(frame: Frame, node: ast.FunctionDef | ast.Lambda, name: str) -> Closure:
    defaults = [expression(frame, d) for d in node.args.defaults]
    keywords = {
        a.arg: expression(frame, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d
    }
    return Closure(node, frame, defaults, keywords, name)
