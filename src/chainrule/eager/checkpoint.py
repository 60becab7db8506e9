"""`checkpoint`: memory for recomputation.

The first run of a checkpointed function is recorded on a list that is thrown away; its entry on the tape
runs the function again, in the state its arguments had, and sweeps what that records. Traced values that the
function closes over take part, because the second run uses the same tape.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays.buffers import unwrap
from chainrule.core.dispatch import Tracer, innermost
from chainrule.core.transformation import mark
from chainrule.eager.drivers import push_entries
from chainrule.eager.reverse import Reverse, lift, secure
from chainrule.eager.sweep import collected, operands, sweep_into
from chainrule.eager.tape import Tape, consume
from chainrule.errors import LostDerivativeError, name_of
from chainrule.leaves import build, result_leaves

__all__ = ["checkpoint"]

Function = Callable[..., Any]


def checkpoint(f: Function) -> Function:
    """Trade time for memory: `f` keeps nothing for the reverse sweep and is run again in it.

    Parameters
    ----------
    f : callable
        A deterministic function; traced values that it closes over are differentiated too.

    Returns
    -------
    callable
        Behaves as `f`.

    References
    ----------
    Griewank and Walther, *Evaluating Derivatives*, 2nd ed., chapter 12.

    Examples
    --------
    >>> import numpy as np, chainrule as cr
    >>> cr.grad(lambda x: cr.checkpoint(np.sin)(x) ** 2)(0.0)
    0.0
    """

    @functools.wraps(f)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = result_leaves((args, kwargs))
        leaves = [unwrap(leaf) for leaf in leaves]
        top = max((x for x in leaves if isinstance(x, Tracer)), key=lambda x: x.level, default=None)
        if not isinstance(top, Reverse):
            return f(*args, **kwargs)
        return _checkpointed(f, leaves, structure, top.tape)

    return mark(checkpointed, "checkpoint", f)


def _checkpointed(f: Function, leaves: list[Any], structure: Any, tape: Tape) -> Any:
    frozen = [_State(leaf, tape) for leaf in leaves]
    recorder = weakref.ref(tape)  # an entry that refers to its tape would be a cycle

    def run() -> tuple[list[Any], Any, list[Any], set[int]]:
        """Run f on the arguments: its results, their structure, what it recorded, the outer slots it used."""
        tape = recorder()
        assert tape is not None
        start = next(tape.slots)
        with tape.diverted() as entries:
            given = [state.value(tape) for state in frozen]
            args, kwargs = build(structure, given)
            outs, shape = result_leaves(f(*args, **kwargs))
        if any(isinstance(x, Tracer) and getattr(x, "written", False) for x in given):
            raise LostDerivativeError(
                f"checkpoint: {name_of(f)} writes to an argument, whose new content would be lost. Write to a copy "
                "and return it."
            )
        return outs, shape, entries, {slot for slot in operands(entries) if slot < start}

    outs, shape, _, used = run()
    traced = [k for k, y in enumerate(outs) if isinstance(y, Reverse) and y.tape is tape]
    kept = [secure(outs[k], tape) for k in traced]

    def rerun() -> tuple[list[Any], list[int], int]:
        again, _, entries, now = run()
        if now != used or not all(_same(again[k].value, y) for k, y in zip(traced, kept, strict=True)):
            raise LostDerivativeError(
                f"checkpoint: {name_of(f)} did not do the same when it was run again; it reads something that was "
                "changed in between (an array written in place, a random state). Pass it as an argument."
            )
        tape = recorder()
        assert tape is not None
        return entries, [again[k].slot for k in traced], next(tape.slots)

    slots = [next(tape.slots) for _ in traced]
    tape.append(CheckpointRecord(slots, sorted(used), rerun))
    for k, slot in zip(traced, slots, strict=True):
        outs[k] = lift(outs[k].value, tape, slot, True)
    return build(shape, outs)


def _same(a: Any, b: Any) -> bool:
    a, b = np.asarray(innermost(a)), np.asarray(innermost(b))
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


class _State:
    """An argument of a checkpointed function in its state at the call, without a reference to the tape."""

    def __init__(self, leaf: Any, tape: Any) -> None:
        self._ours = isinstance(leaf, Reverse) and leaf.tape is tape
        self._slot = leaf.slot if self._ours else None
        if self._ours:
            self.kept = secure(leaf, tape)
        else:
            self.kept = tape.snapshot(leaf) if leaf.__class__ is np.ndarray else leaf

    def value(self, tape: Any) -> Any:
        if self._ours:
            return lift(self.kept, tape, self._slot, True)  # type: ignore[arg-type]
        if self.kept.__class__ is np.ndarray:  # what is written to it would be lost
            view = self.kept.view()
            view.flags.writeable = False
            return view
        return self.kept


class CheckpointRecord:
    """The tape's entry for a checkpointed call."""

    __slots__ = ("outs", "rerun", "slots")

    def __init__(
        self, outs: list[int], slots: list[int], rerun: Callable[[], tuple[list[Any], list[int], int]]
    ) -> None:
        self.outs = outs
        self.slots = slots
        self.rerun = rerun

    def pull(self, cts: list[Any], owned: bytearray) -> None:
        """Run the function again and sweep what it records."""
        given = [collected(cts[out]) for out in self.outs]
        if all(c is None for c in given):
            return
        for out in self.outs:
            cts[out] = None
        entries, slots, count = self.rerun()
        missing = count - len(cts)
        cts.extend([None] * missing)
        owned.extend(bytes(missing))
        seeds = [(slot, ct) for slot, ct in zip(slots, given, strict=True) if ct is not None]
        sweep_into(consume(entries), cts, owned, seeds)

    def push(self, table: list[Any]) -> None:
        """Run the function again and run what it records forwards."""
        entries, slots, count = self.rerun()
        table.extend([None] * (count - len(table)))
        push_entries(entries, table)
        for out, slot in zip(self.outs, slots, strict=True):
            table[out] = table[slot]
