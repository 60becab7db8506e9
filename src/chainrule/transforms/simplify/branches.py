"""Branches on the same test, with nothing but values computed between them, become one.

What the first hands to the second is then known on either side.
"""

from __future__ import annotations

import dataclasses

from chainrule.ir.nodes import Block, Dim, Function, If, Let, Load, Merge, Node, Raise, Scalar, Var
from chainrule.ir.walk import blocks, defines, effects, nodes_of, reads, roots_of
from chainrule.transforms.simplify.walk import Substitution, block_of, changed, fails, inside

__all__ = ["with_joined_branches"]


def with_joined_branches(function: Function) -> Function:
    """`function` with fewer branches."""
    if sum(isinstance(n, If) for n in nodes_of(function.body)) < 2:
        return function
    return changed(function, body=_Joiner(roots_of(function)).block(function.body))


class _Joiner:
    def __init__(self, roots: dict[Var, Var]) -> None:
        self.roots = roots

    def block(self, block: Block) -> Block:
        made: list[Node] = []
        for node in block:
            place = self.partner(made, node) if isinstance(node, If) else None
            if place is None:
                made.append(inside(node, self.block))
            else:
                at, after = place
                ahead = [n for n in made[at + 1 :] if n not in after]
                joined = _joined(made[at], inside(node, self.block))  # type: ignore[arg-type]
                made[at:] = [*ahead, joined, *after]
        return block_of(made, block)

    def partner(self, before: list[Node], branch: If) -> tuple[int, list[Node]] | None:
        """Where the last branch on the same test is, and what comes after both of what stands between.

        That is what reads the results of the first one; what does not comes before both.
        """
        at = next((k for k in range(len(before) - 1, -1, -1) if not isinstance(before[k], (Let, Dim, Load))), None)
        first = None if at is None else before[at]
        if at is None or not isinstance(first, If) or first.test is not branch.test or not _is_plain(first, branch):
            return None
        between = before[at + 1 :]
        written = {self.roots[array] for array in (*effects(first), *effects(branch))}
        if any(self.roots.get(a) in written for n in between for a in reads(n) if isinstance(a, Var)):
            return None
        late, after = set(defines(first)), []
        for node in between:
            if not late.isdisjoint(reads(node)):
                late.update(defines(node))
                after.append(node)
        late.difference_update(defines(first))
        if any(not late.isdisjoint(reads(n)) for n in (branch, *nodes_of(*blocks(branch)))):
            return None
        fetched = any(isinstance(n, Load) and n not in after for n in between)
        return None if fetched and any(map(fails, blocks(first))) else (at, after)


def _is_plain(*branches: If) -> bool:
    ends = [n for branch in branches for b in blocks(branch) for n in b.nodes[-1:]]
    merges = [m for branch in branches for m in branch.merges]
    return all(isinstance(m.out.type, Scalar) for m in merges) and not any(isinstance(n, Raise) for n in ends)


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
