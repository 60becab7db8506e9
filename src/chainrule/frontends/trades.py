"""Which of a loop's arrays trade places: each is another one of them after an iteration, for certain or by a branch."""

from __future__ import annotations

from typing import Any

from chainrule.frontends.context import Context
from chainrule.frontends.values import ArrayRef
from chainrule.ir.nodes import Var

__all__ = ["chosen", "trading"]

Key = tuple[str, int]


def trading(ctx: Context, leaves: dict[Key, Any], ends: dict[Key, Any]) -> list[Key]:
    """The variables that are each other's arrays at the end of a loop's body, where they are `ends`."""
    starts = _starts(leaves)
    sources: dict[Key, list[Key]] = {}
    for key, end in ends.items():
        value = leaves[key].value
        if key not in starts.values() or not isinstance(end, ArrayRef) or end.var is value.var:
            continue
        found = [starts.get(v) for v in ctx.merged.get(end.var, (end.var,))]
        if None not in found and (end.dtype, end.ndim) == (value.dtype, value.ndim):
            sources[key] = found  # type: ignore[assignment]
    # Only if what they take is given by others of them, or stays what it is.
    while True:
        kept = {
            k: found
            for k, found in sources.items()
            if all(s in sources or ends.get(s) is leaves[s].value for s in found)
            and (len(found) == 1 or len(sources) > 1)
        }
        if kept == sources:
            break
        sources = kept
    group = sorted(set(sources).union(*sources.values()))
    return group if _apart(leaves, group) else []


def chosen(ctx: Context, leaves: dict[Key, Any], mark: int) -> list[Key]:
    """The variables that branches choose from, of what has been merged since `mark`."""
    starts = _starts(leaves)
    group: set[Key] = set()
    for sources in list(ctx.merged.values())[mark:]:
        keys = {starts[v] for v in sources if v in starts}
        if len(keys) == len(sources) > 1 and (not group or group & keys):
            group |= keys
    types = {(leaves[key].value.dtype, leaves[key].value.ndim) for key in group}
    return sorted(group) if len(types) == 1 and _apart(leaves, group) else []


def _starts(leaves: dict[Key, Any]) -> dict[Var, Key]:
    """The variables that are arrays of their own so far."""
    return {v.value.var: key for key, v in leaves.items() if v.kind == "same" and isinstance(v.value, ArrayRef)}


def _apart(leaves: dict[Key, Any], group: Any) -> bool:
    """Whether these are not views of one array, which may overlap: planes do not."""
    return len({leaves[key].value.base for key in group}) == len(group)
