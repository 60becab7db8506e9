"""One evaluation of a function of leaves in either mode, for `api` to build its transformations on.

`trace_reverse` runs a function once and keeps the tape; `run_forward` runs it on dual numbers. The
functions take the list of traced leaves and return the result of the user's function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.core.dispatch import Tracer, dtype_of, shape_of
from chainrule.core.linear import cast
from chainrule.core.live import add, dense
from chainrule.core.quiet import quiet
from chainrule.eager import forward, reverse, shortcuts  # noqa: F401  (the short roads take effect)
from chainrule.eager.forward import Dual, Pass
from chainrule.eager.reverse import Reverse
from chainrule.eager.sweep import collected, is_short, maps_of, sweep
from chainrule.eager.tape import Tape, consume, keep
from chainrule.errors import LeakedTracerError, name_of, unmask
from chainrule.leaves import build, differentiable_leaves, result_leaves

__all__ = ["Trace", "filled", "gradient_of_plain", "lower", "run_forward", "trace_reverse"]


class Trace:
    """What one evaluation of reverse mode left: the result, and the tape that pulls cotangents back."""

    __slots__ = ("_count", "_inputs", "leaves", "structure", "tape")

    def __init__(self, tape: Tape, inputs: range, result: Any) -> None:
        self.tape = tape
        self._inputs = inputs
        self._count = next(tape.slots)
        self.leaves, self.structure = differentiable_leaves(result)
        _check_leaks(self.leaves, tape)

    def _on_tape(self, leaf: Any) -> bool:
        return isinstance(leaf, Reverse) and leaf.tape is self.tape

    def primals(self, private: bool) -> list[Any]:
        """The result's leaves; with `private`, copies of those that the tape keeps."""
        values = []
        for leaf in self.leaves:
            if not self._on_tape(leaf):
                values.append(leaf)
                continue
            values.append(_private(leaf) if private else leaf.value)
        return values

    def result(self, private: bool = False) -> Any:
        """What the function returned, without this transformation's tracing."""
        return build(self.structure, self.primals(private))

    def pull(self, cts: Sequence[Any], free: bool = False) -> list[Any]:
        """The cotangents of the inputs for cotangents of the result's leaves (None: zero)."""
        seeds = [
            (leaf.slot, ct) for leaf, ct in zip(self.leaves, cts, strict=True) if ct is not None and self._on_tape(leaf)
        ]
        entries = self.tape.entries
        table = sweep(consume(entries) if free else keep(entries), self._count, seeds)
        return [collected(table[slot]) for slot in self._inputs]

    def push(self, tangents: Sequence[Any]) -> list[Any]:
        """The tangents of the result's leaves for tangents of the inputs: the tape run forwards."""
        table: list[Any] = [None] * self._count
        for slot, tangent in zip(self._inputs, tangents, strict=True):
            table[slot] = tangent
        with quiet():
            push_entries(self.tape.entries, table)
        return [table[leaf.slot] if self._on_tape(leaf) else None for leaf in self.leaves]


def _private(leaf: Any) -> Any:
    """The value of a traced result; a copy if the tape or the caller may hold its memory."""
    value = leaf.value
    held = leaf.captured is not False or leaf.owner is not None
    return value.copy() if held and value.__class__ is np.ndarray else value


def _check_leaks(leaves: list[Any], recorder: Any) -> None:
    """Raise for results that were traced by a transformation that has ended."""
    for leaf in leaves:
        if isinstance(leaf, Tracer):
            theirs = getattr(leaf, "tape", None) or getattr(leaf, "run", None) or getattr(leaf, "batch", None)
            if theirs is not None and theirs is not recorder and not theirs.open:
                raise LeakedTracerError(
                    f"{name_of(recorder.where)} returns a value traced by a transformation that has ended. Return "
                    "it from that transformation's function instead of storing it, or store "
                    "chainrule.stop_gradient(value)."
                )


def push_entries(entries: list[Any], table: list[Any]) -> None:
    """Run recorded entries forwards, from and to the tangents in `table`."""
    for entry in entries[1:]:
        if is_short(entry):
            entry = maps_of(entry)
        if entry.__class__ is tuple:
            _push_numbers(entry, table)
        elif entry.__class__ is list:
            table[entry[0]] = _push_maps(entry, table)
        else:
            entry.push(table)


def _push_numbers(entry: Any, table: list[Any]) -> None:
    total = None
    for k in range(1, len(entry), 2):
        tangent = table[entry[k]]
        if tangent is not None:
            total = tangent * entry[k + 1] if total is None else total + tangent * entry[k + 1]
    table[entry[0]] = total


def _push_maps(entry: list[Any], table: list[Any]) -> Any:
    total = None
    for k in range(1, len(entry), 2):
        tangent = table[entry[k]]
        if tangent is not None:
            change = entry[k + 1].apply(tangent)
            total = change if total is None else add(total, change)
    return total


def trace_reverse(
    function: Callable[[list[Any]], Any], values: Sequence[Any], where: object, others: Any = None
) -> Trace:
    """Run `function` on traced `values` and keep the tape; `others` are its arguments that are not traced."""
    tape = Tape(where)
    inputs = [reverse.lift(_entry(value), tape, next(tape.slots), captured=None) for value in values]
    tape.inputs = [(id(x), x.value) for x in inputs if x.__class__ is reverse.ReverseArray]
    tape.inputs.append((0, others))
    try:
        result = function(inputs)
        return Trace(tape, range(len(values)), result)
    except ValueError as error:
        unmask(error)
        raise
    finally:
        tape.close()


def gradient_of_plain(function: Callable[..., Any], args: tuple[Any, ...], n: int) -> Any:
    """Value and gradient with respect to ``args[n]``, a float or a float64 array: the short road.

    Returns a `Trace` instead if the function does not return a traced number, for the general road.
    """
    x = args[n]
    tape = Tape(function)
    slot = next(tape.slots)
    traced: Any
    if x.__class__ is float:
        traced = Reverse(x, tape, slot)
    else:
        traced = reverse.ReverseArray(x, tape, slot, None)
        if len(args) > 1:
            tape.inputs = [(id(traced), x), (0, (args[:n], args[n + 1 :]))]
    try:
        y = function(traced) if len(args) == 1 else function(*args[:n], traced, *args[n + 1 :])
    except ValueError as error:
        unmask(error)
        raise
    finally:
        tape.close()
    if y.__class__ is not Reverse or y.tape is not tape or y.value.__class__ not in reverse.SCALARS:
        return Trace(tape, range(1), y)
    table = sweep(consume(tape.entries), next(tape.slots), ((y.slot, 1.0),))
    return y.value, collected(table[slot])


def _entry(value: Any) -> Any:
    """An input; one that is traced already enters in its present state."""
    return value.twin() if isinstance(value, Tracer) else value


def run_forward(
    function: Callable[[list[Any]], Any],
    values: Sequence[Any],
    tangents: Sequence[Any],
    where: object,
    others: Any = None,
    aux: list[Any] | None = None,
) -> tuple[Any, list[Any], list[Any]]:
    """Run `function` on dual numbers: the result's structure, its primal leaves and its tangents (None: zero).

    What `function` has put into the list `aux` is freed of the tracing.
    """
    run = Pass(where)
    inputs = [forward.lift(_entry(v), t, run) for v, t in zip(values, tangents, strict=True)]
    run.inputs = [(id(x), x.value) for x in inputs if x.__class__ is forward.DualArray]
    run.inputs.append((0, others))
    try:
        leaves, structure = differentiable_leaves(function(inputs))
        _check_leaks(leaves, run)
    except ValueError as error:
        unmask(error)
        raise
    finally:
        run.open = False
    if aux:
        extra, shape = result_leaves(aux[-1])
        aux[-1] = build(shape, [x.value if _of(x, run) else x for x in extra])
    primals = [_apart(leaf.value, values) if _of(leaf, run) else leaf for leaf in leaves]
    return structure, primals, [leaf.tangent if _of(leaf, run) else None for leaf in leaves]


def _apart(value: Any, arguments: Sequence[Any]) -> Any:
    """A result; a copy of one that may share memory with the caller's arguments."""
    if value.__class__ is np.ndarray and any(
        x.__class__ is np.ndarray and np.may_share_memory(value, x) for x in arguments
    ):
        return value.copy()
    return value


def _of(leaf: Any, run: Pass) -> bool:
    return isinstance(leaf, Dual) and leaf.run is run


def lower(tree: Any, trace: Trace) -> Any:
    """`tree` without the tracing of one transformation: auxiliary results, whose memory nobody else holds."""
    leaves, structure = result_leaves(tree)
    return build(structure, [_private(x) if isinstance(x, Reverse) and x.tape is trace.tape else x for x in leaves])


def filled(tangent: Any, primal: Any) -> Any:
    """A tangent as the user gets it: zeros for none, no structural zeros, like its primal."""
    if tangent is None:
        zero = np.zeros(shape_of(primal), _inexact(dtype_of(primal)))
        return zero if zero.ndim else zero[()]
    tangent = dense(tangent)
    if isinstance(tangent, Tracer):
        return tangent
    if primal.__class__ is float:
        return float(tangent)
    tangent = cast(tangent, _inexact(dtype_of(primal)))
    if isinstance(tangent, np.ndarray) and not (tangent.flags.writeable and tangent.base is None):
        tangent = tangent.copy()
    return tangent if not isinstance(tangent, np.ndarray) or tangent.ndim else tangent[()]


def _inexact(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind in "fc" else np.dtype(np.float64)
