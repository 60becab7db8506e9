"""Reverse mode: traced values that record linear maps on a tape, see `tape` and `sweep`.

Residuals that are the caller's arrays are copied, those that are arrays made here are flagged as captured,
so that later writes do not reach them (see `arrays.buffers`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule.arrays  # noqa: F401  (gives Tracer its operators and functions)
from chainrule.arrays.buffers import replace_traced, set_traced
from chainrule.core.dispatch import Meta, Tracer, bind, meta_of
from chainrule.core.linear import Linear, LinearMap, derive
from chainrule.core.live import dense
from chainrule.core.primitive import Primitive
from chainrule.core.views import freeze, link, private
from chainrule.eager.sweep import MultiRecord, collected, sweep
from chainrule.eager.tape import Tape, consume
from chainrule.errors import UnsupportedError, user_line

__all__ = ["SCALARS", "Reverse", "ReverseArray", "lift", "record", "secure", "transpose_function"]

_SCALAR = Meta((), np.dtype(np.float64))
SCALARS = frozenset({float, np.float64})
_FLOAT64 = np.dtype(np.float64)


class Reverse(Tracer):
    """A traced number of reverse mode."""

    __slots__ = ("slot", "tape", "value")

    def __init__(self, value: Any, tape: Any, slot: int) -> None:
        self.value = value
        self.tape = tape
        self.slot = slot

    @property
    def level(self) -> int:  # type: ignore[override]
        return self.tape.level  # type: ignore[no-any-return]

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        tape = self.tape
        if primitive.views and self.captured is None:
            self.value, self.captured = own(self.value), False
        if len(args) == 1 and not isinstance(self.value, Tracer):
            values = [self.value]
            y = primitive.impl(self.value, **params)
            if primitive.kind == "linear" and y.dtype is _FLOAT64 and primitive.slots:
                x = _meta(self.value)
                linear = Linear(primitive.slots[0], primitive, 0, (x,), params, x, _meta(y))  # type: ignore[arg-type]
                slot = next(tape.slots)
                tape.append([slot, self.slot, linear])
                if y.__class__ is np.float64:
                    return Reverse(y, tape, slot)
                traced = lift(y, tape, slot)
                if primitive.views:
                    link(traced, self, primitive, args, params)
                return traced
        else:
            values = [a.value if isinstance(a, Reverse) and a.tape is tape else a for a in args]
            y = bind(primitive, *values, **params)
        edges, reads_y = record(primitive, args, values, params, y, tape)
        if not edges:
            return y
        traced = _traced(y, tape, edges, reads_y)
        if primitive.views:
            link(traced, args[0], primitive, args, params)
        return traced

    def twin(self) -> Reverse:
        """Another traced value in the same state, which later writes to this one do not reach."""
        return Reverse(self.value, self.tape, self.slot)


class ReverseArray(Reverse):
    """A traced array of reverse mode."""

    __slots__ = ("captured", "key", "made", "owner", "views", "written")

    def __init__(self, value: Any, tape: Any, slot: int, captured: bool | None = False) -> None:
        self.value = value
        self.tape = tape
        self.slot = slot
        self.captured = captured
        self.owner = None

    def __getattr__(self, name: str) -> Any:
        # Few arrays are viewed or written to: these slots are filled when they are.
        if name == "views":
            return None
        if name == "written":
            return False
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def twin(self) -> ReverseArray:
        self.captured = True
        return ReverseArray(self.value, self.tape, self.slot, True)

    def adopt(self, other: ReverseArray) -> None:
        """Take over the state that a write has computed."""
        self.value = other.value
        self.tape = other.tape
        self.slot = other.slot

    set = set_traced
    replace = replace_traced


# -- recording ----------------------------------------------------------------------------------------


def record(
    primitive: Primitive, args: tuple[Any, ...], values: list[Any], params: dict[str, Any], y: Any, tape: Any
) -> tuple[list[tuple[Any, LinearMap]], bool]:
    """The linear maps from the arguments traced on `tape`, and whether one of them keeps the output."""
    if primitive.slots is None:
        raise UnsupportedError(
            f"{primitive.name} has no derivative rule (at {user_line()}). Define one with "
            "chainrule.custom_jvp or chainrule.custom_vjp, or cut the derivative with chainrule.stop_gradient."
        )
    edges: list[tuple[Any, LinearMap]] = []
    reads_y = False
    out: Any = None
    known: Any = None
    for index, arg in enumerate(args):
        if arg is values[index]:
            continue
        slot = primitive.slot(index)
        if slot is None:
            continue
        if out is None:
            out = _meta(y) if primitive.outputs == 1 else _SCALAR
            if out.dtype.kind not in "fc":
                return [], False
        reads = slot.reads
        if reads is None:
            reads = (True,) * (len(args) + 1)
        if slot is not known:  # one slot serves all arguments of a variadic primitive
            kept, known = _kept(reads, values, args, tape, slot.wants_meta), slot
        y_kept = None
        if reads and reads[0]:
            reads_y, y_kept = True, y
        linear = slot.map(primitive, index, y_kept, kept, params, _meta(values[index]), out)
        if linear is not None:
            edges.append((arg.slot, linear))
    return edges, reads_y


def _kept(reads: tuple[bool, ...], values: list[Any], args: tuple[Any, ...], tape: Any, metas: bool) -> tuple[Any, ...]:
    """The arguments a map reads, secured; of the others shape and dtype or nothing."""
    kept = []
    for k, value in enumerate(values):
        if k + 1 < len(reads) and reads[k + 1]:
            kept.append(keep_value(value, args[k], tape))
        else:
            kept.append(_meta(value) if metas else None)
    return tuple(kept)


def _meta(value: Any) -> Meta:
    return _SCALAR if value.__class__ in SCALARS else meta_of(value)


def secure(traced: Any, tape: Any) -> Any:
    """The value of a traced argument, secured against later writes."""
    return keep_value(traced.value, traced, tape)


def keep_value(value: Any, arg: Any, tape: Any) -> Any:
    """`value` of the argument `arg`, secured against later writes."""
    if value.__class__ is not np.ndarray and not isinstance(value, Tracer):
        return value
    if arg is value:
        return freeze(value) if isinstance(value, Tracer) else tape.snapshot(value)
    root = arg if arg.owner is None else arg.owner
    if root.captured is True and root is arg:
        return value
    if root.captured is None:
        root.value = value = own(value)
    elif root is not arg and root.written:
        return value.copy()
    root.captured = True
    return value


def own(value: Any) -> Any:
    """A copy of the caller's array that the caller cannot write to."""
    return private(value) if value.__class__ is np.ndarray else value


def _traced(y: Any, tape: Any, edges: Any, captured: bool) -> Any:
    if y.__class__ is tuple:
        outs = [next(tape.slots) for _ in y]
        tape.append(MultiRecord(outs, edges))
        return tuple([lift(v, tape, out, captured) for v, out in zip(y, outs, strict=True)])
    out = next(tape.slots)
    tape.append([out, *itertools.chain.from_iterable(edges)])
    return lift(y, tape, out, captured)


def lift(value: Any, tape: Any, slot: int, captured: bool | None = False) -> Any:
    """A traced value in `slot`; `captured` None marks the caller's own array."""
    if value.__class__ is np.ndarray:
        if value.ndim == 0:
            return Reverse(value[()], tape, slot)
    elif not isinstance(value, Tracer) or value.ndim == 0:
        return Reverse(value, tape, slot)
    return ReverseArray(value, tape, slot, captured)


def transpose_function(function: Callable[..., Any], metas: list[Meta], ct: Any) -> list[Any]:
    """Apply the transpose of a linear `function` of arguments like `metas` to `ct` (a tuple for several outputs)."""
    tape = Tape(function)
    zeros = [np.zeros(m.shape, m.dtype) for m in metas]
    inputs = [lift(zero if zero.ndim else zero[()], tape, next(tape.slots)) for zero in zeros]
    y = function(*inputs)
    tape.close()
    outputs, cotangents = (y, ct) if isinstance(y, tuple) else ((y,), (ct,))
    seeds = [
        (out.slot, c)
        for out, c in zip(outputs, cotangents, strict=True)
        if c is not None and isinstance(out, Reverse) and out.tape is tape
    ]
    table = sweep(consume(tape.entries), next(tape.slots), seeds)
    return [zero if table[slot] is None else dense(collected(table[slot])) for slot, zero in enumerate(zeros)]


derive.transpose = lambda function, x, ct: transpose_function(function, [x], ct)[0]
