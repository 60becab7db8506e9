"""The tangents and adjoints of a recorded evaluation, row by row.

Forward mode goes through the operations as they were done, reverse mode from the last to the first; each
adds to the adjoint of an operand what the adjoint of its output contributes, and every addition is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.core.linear import LinearMap
from chainrule.core.live import add, dense
from chainrule.core.quiet import quiet
from chainrule.eager.forward import push
from chainrule.view.formulae import maps
from chainrule.view.record import Operation, Record, Recorded

__all__ = ["Contribution", "run_forward", "run_reverse"]


@dataclass(slots=True)
class Contribution:
    """What one operation adds to the adjoint of one operand."""

    operation: Operation
    operand: int  # position among the operands
    linear: LinearMap
    value: Any
    total: Any  # the adjoint after this addition

    @property
    def target(self) -> int:
        """The slot of the operand."""
        slot = self.operation.operands[self.operand]
        assert slot is not None
        return slot


def run_forward(record: Record, seeds: Sequence[Any]) -> list[Any]:
    """The tangent in every slot (None: zero) for tangents of the inputs."""
    table: list[Any] = [*seeds, *[None] * (len(record.values) - len(seeds))]
    with quiet():
        for step in record.steps:
            if isinstance(step, Operation):
                tangents = [None if s is None else table[s] for s in step.operands]
                change = push(step.primitive, step.values, tangents, step.params, step.y)
                changes = change if isinstance(change, tuple) else (change,) * len(step.outs)
                for out, part in zip(step.outs, changes, strict=True):
                    table[out] = part
    return [dense(t) for t in table]


def run_reverse(record: Record, seeds: Sequence[Any]) -> tuple[list[Any], list[Contribution]]:
    """The adjoint in every slot (None: nothing reached it), and all contributions in the order of the sweep."""
    table: list[Any] = [None] * len(record.values)
    for leaf, seed in zip(record.leaves, seeds, strict=True):
        if isinstance(leaf, Recorded) and seed is not None:
            table[leaf.slot] = seed if table[leaf.slot] is None else add(table[leaf.slot], seed)
    found: list[Contribution] = []
    with quiet():
        for step in reversed(record.steps):
            if isinstance(step, Operation):
                _pull(step, table, found)
    return [dense(t) for t in table], found


def _pull(operation: Operation, table: list[Any], found: list[Contribution]) -> None:
    cts = [table[out] for out in operation.outs]
    if all(ct is None for ct in cts):
        return
    ct = cts[0] if len(cts) == 1 else tuple(None if c is None else dense(c) for c in cts)
    for k, linear in maps(operation):
        value = linear.transpose(ct)
        slot = operation.operands[k]
        assert slot is not None
        have = table[slot]
        table[slot] = value if have is None else add(have, value)
        found.append(Contribution(operation, k, linear, dense(value), dense(table[slot])))
