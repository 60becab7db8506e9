"""Branches on the same test, one after the other, become one.

What the first hands to the second is then known on either side.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.nodes import Block, Dim, Function, If, Let, Merge, Node, Raise, Scalar
from chainrule.ir.walk import defines, effects, nodes_of, reads
from chainrule.transforms.simplify.walk import Substitution, block_of, changed, inside

__all__ = ["with_joined_branches"]


def with_joined_branches(function: Function) -> Function:
    """`function` with fewer branches."""
    if sum(isinstance(n, If) for n in nodes_of(function.body)) < 2:
        return function
    return changed(function, body=_block(function.body))


def _block(block: Block) -> Block:
    made: list[Node] = []
    for node in block:
        at = _partner(made, node) if isinstance(node, If) else None
        if at is None:
            made.append(inside(node, _block))
        else:
            between = made[at + 1 :]
            made[at:] = [*between, _joined(made[at], inside(node, _block))]  # type: ignore[arg-type]
    return block_of(made, block)


def _partner(before: list[Node], branch: If) -> int | None:
    """Where the last branch on the same test is, if what stands between may come before it."""
    between: set[object] = set()
    for at in range(len(before) - 1, -1, -1):
        node = before[at]
        if isinstance(node, If):
            fits = node.test is branch.test and _is_plain(node) and _is_plain(branch)
            return at if fits and between.isdisjoint([*defines(node), *effects(node)]) else None
        if not isinstance(node, (Let, Dim)):
            return None
        between.update(reads(node))
    return None


def _is_plain(branch: If) -> bool:
    ends = [n for b in (branch.then, branch.orelse) for n in b.nodes[-1:]]
    return all(isinstance(m.out.type, Scalar) for m in branch.merges) and not any(isinstance(n, Raise) for n in ends)


def _joined(first: If, second: If) -> If:
    then = Substitution({m.out: m.then for m in first.merges})
    orelse = Substitution({m.out: m.orelse for m in first.merges})
    merges = [Merge(m.out, then.atom(m.then), orelse.atom(m.orelse)) for m in second.merges]
    return dataclasses.replace(
        first,
        then=Block([*first.then, *then.block(second.then)]),
        orelse=Block([*first.orelse, *orelse.block(second.orelse)]),
        merges=[*first.merges, *merges],
    )
