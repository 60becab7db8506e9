"""The formulae of a recorded evaluation: each rule of the registry run on symbols, once per row that is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.core.dispatch import Meta, fresh_level, meta_of, shape_of
from chainrule.core.linear import Conjugate, Constant, Factor, LinearMap
from chainrule.core.live import dense
from chainrule.core.quiet import quiet
from chainrule.eager import reverse  # noqa: F401  (derives the transposes of linear functions)
from chainrule.eager.forward import push
from chainrule.view.expression import HOLE, Call, Expr, Given, Name, Number, Product, tidy, without_hole
from chainrule.view.record import Decision, Operation, Record
from chainrule.view.symbols import Symbol, call, described, expression_of, symbol

__all__ = ["Formulae", "Partial", "maps", "partial_value"]


@dataclass(frozen=True, slots=True)
class Partial:
    """What an operation does to a change of one operand."""

    operand: int  # position among the operands
    raw: Expr  # as the rule says it; the output by its name
    shown: Expr
    pulled: Expr  # what it adds to the operand's adjoint


def maps(operation: Operation) -> list[tuple[int, LinearMap]]:
    """The linear maps from the recorded operands, by position, at the recorded values."""
    return _maps(operation, operation.values, operation.y)


def _maps(operation: Operation, values: tuple[Any, ...], y: Any) -> list[tuple[int, LinearMap]]:
    primitive = operation.primitive
    out = meta_of(operation.y) if primitive.outputs == 1 else Meta((), np.dtype(np.float64))
    found = []
    for k, slot in enumerate(operation.operands):
        rule = None if slot is None else primitive.slot(k)
        if rule is not None:
            linear = rule.map(primitive, k, y, values, operation.params, meta_of(values[k]), out)
            if linear is not None:
                found.append((k, linear))
    return found


def partial_value(linear: LinearMap, x: Any, y: Any) -> Any:
    """The local partial derivative, where it is a number or an array of them; None for moves, sums, products."""
    with quiet():
        if isinstance(linear, Constant):
            return linear.factor
        if isinstance(linear, Factor) and not isinstance(linear, Conjugate):
            return linear.factor()
        if not shape_of(x) and not isinstance(y, tuple) and not shape_of(y):
            return dense(linear.apply(np.float64(1)))
    return None


class Formulae:
    """Writes the formulae of one record."""

    def __init__(self, record: Record) -> None:
        self._shift = len(record.inputs) - 1
        self._values = record.values
        self._constants = record.constants

    def name(self, slot: int, kind: str = "v") -> Name:
        """The name of a row: the last input is v_0, the first operation v_1."""
        return Name(kind, slot - self._shift, np.ndim(self._values[slot]))

    def slot(self, name: Name) -> int:
        """The slot of a row's name."""
        return name.index + self._shift

    def operand(self, slot: int | None, value: Any) -> Expr:
        """An operand as it is written: a row's name, a number, an array's name."""
        if slot is not None:
            return self.name(slot)
        known = self._constants.get(id(value))
        if known is not None:
            name = known[1]
            return self.primal(name) if isinstance(name, Decision) else Given(name or described(value), np.ndim(value))
        return expression_of(value)

    def primal(self, step: Operation | Decision, out: int = 0) -> Call:
        """The operation itself; of several outputs, one."""
        args = [self.operand(slot, v) for slot, v in zip(step.operands, step.values, strict=True)]
        written = call(step.primitive, args, step.params, list(step.values), step.y)
        return _output(written, step.y, out)

    def tangent(self, operation: Operation, tangents: list[Any], out: int = 0) -> Expr:
        """The tangent of an output by those of the operands, also by one that is zero (None)."""
        level = fresh_level()
        dots = []
        for slot, t in zip(operation.operands, tangents, strict=True):
            value = None if slot is None else np.zeros_like(self._values[slot]) if t is None else t
            dots.append(None if slot is None else symbol(value, self.name(slot, "dot"), level))
        with quiet():
            y = self._output(operation, level)
            change = push(operation.primitive, self._symbols(operation, level), dots, operation.params, y)
        if isinstance(change, tuple):
            change = change[out]
        if change is None:
            return Number(0)
        return tidy(self._expanded(operation, _expression(change)))

    def partials(self, operation: Operation) -> list[Partial]:
        """For each operand that carries a derivative what the rule says about it."""
        level = fresh_level()
        with quiet():
            values, y = self._symbols(operation, level), self._output(operation, level)
            return [self._partial(operation, k, linear, level) for k, linear in _maps(operation, values, y)]

    def edges(self, operation: Operation) -> list[tuple[Name, Expr, Any]]:
        """For each operand that carries a derivative its name, the partial and its value."""
        found = []
        for partial, (k, linear) in zip(self.partials(operation), maps(operation), strict=True):
            slot = operation.operands[k]
            assert slot is not None
            value = partial_value(linear, operation.values[k], operation.y)
            found.append((self.name(slot), partial.shown, value))
        return found

    def _partial(self, operation: Operation, k: int, linear: LinearMap, level: int) -> Partial:
        bars = tuple(symbol(_ones(self._values[out]), self.name(out, "bar"), level) for out in operation.outs)
        pulled = _expression(linear.transpose(bars if len(bars) > 1 else bars[0]))
        if isinstance(linear, Constant):
            raw = _expression(linear.factor)
        elif isinstance(linear, Factor) and not isinstance(linear, Conjugate):
            raw = _expression(linear.factor())
        else:
            here = _ones(operation.values[k])
            raw = _expression(linear.apply(symbol(here, replace(HOLE, ndim=np.ndim(here)), level)))
        out, short = self.name(operation.outs[0]), tidy(raw)
        if short == out or (isinstance(short, Product) and short.factors == ((out, Fraction(1)),)):
            return Partial(k, raw, short, tidy(pulled))  # exp and its kin: the output is the partial
        shown = without_hole(tidy(self._expanded(operation, raw)))
        return Partial(k, raw, shown, tidy(self._expanded(operation, pulled)))

    def _symbols(self, operation: Operation, level: int) -> tuple[Any, ...]:
        found = []
        for slot, value in zip(operation.operands, operation.values, strict=True):
            if slot is None and not np.ndim(value):
                found.append(value)
            else:
                found.append(symbol(value, self.operand(slot, value), level))
        return tuple(found)

    def _output(self, operation: Operation, level: int) -> Any:
        names = [symbol(self._values[out], self.name(out), level) for out in operation.outs]
        return tuple(names) if len(names) > 1 else names[0]

    def _expanded(self, operation: Operation, expr: Expr) -> Expr:
        """Elementwise, the output is written by the operands: 1 - tanh(v)², not 1 - y²."""
        if operation.primitive.kind != "elementwise":
            return expr
        return _replaced(expr, self.name(operation.outs[0]), self.primal(operation))


def _output(written: Call, y: Any, k: int) -> Call:
    return Call("getitem", (written,), (("index", str(k)),), np.ndim(y[k])) if isinstance(y, tuple) else written


def _ones(value: Any) -> Any:
    return np.ones_like(value) if np.ndim(value) else np.float64(1)


def _expression(value: Any) -> Expr:
    """The expression of a (co)tangent or a partial."""
    value = dense(value)
    if isinstance(value, Symbol):
        return value.expr
    if isinstance(value, tuple):
        return Call("tuple", tuple(map(_expression, value)))
    return expression_of(value)


def _replaced(expr: Expr, name: Name, by: Expr) -> Expr:
    if expr == name:
        return by
    if isinstance(expr, Call):
        chosen = None if expr.chosen is None else _replaced(expr.chosen, name, by)
        return replace(expr, args=tuple(_replaced(a, name, by) for a in expr.args), chosen=chosen)
    return expr
