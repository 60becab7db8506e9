"""The command `rules`: the table of derivative rules, from the registry.

A rule is shown by running it on names: what it says about each argument of the operation. Operations that are
linear are their own derivative; □ stands for the change of the argument in rules that are a linear map of it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.text import Text

import chainrule.arrays  # noqa: F401  (its functions define rules, and so do the modules below)
from chainrule.cli.output import Output, sheet, track
from chainrule.core.linear import ElementwiseSlot, Selection
from chainrule.core.primitive import Primitive, registry
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.rules import matrices, special  # noqa: F401
from chainrule.view.expression import Name
from chainrule.view.formulae import Formulae
from chainrule.view.notation import STYLES, render
from chainrule.view.record import Operation, record

__all__ = ["Rule", "described", "rules"]

_LONGEST = 60
_ARGUMENTS = "xyzuvw"


class Rule(NamedTuple):
    """One line of the table: the operation, its derivative by each argument, and what holds at kinks."""

    name: str
    kind: str
    operation: str
    derivatives: tuple[str, ...]
    tie: str


def rules(pattern: str, kind: str | None, json: bool, output: Output) -> int:
    found = [p for p in registry.values() if _matches(p, pattern) and kind in (None, p.kind)]
    if not found:
        kinds = ", ".join(sorted({p.kind for p in registry.values()}))
        raise ArgumentError(f"no rule is called {pattern!r}{f' of kind {kind}' if kind else ''}; kinds are {kinds}")
    table = [described(p, output.notation) for p in track(found, "running the rules on names")]
    if json:
        output.json([rule._asdict() for rule in table])
        return 0
    longest = _LONGEST if len(table) > 3 else 10_000
    rows = [
        (rule.name, rule.kind, _fitted(rule.operation, longest), "\n".join(_fitted(d, longest) for d in rule.derivatives), rule.tie)
        for rule in sorted(table)
    ]
    styles = {"name": "bold cyan", "kind": "dim", "derivative": "green", "at kinks": "yellow"}
    output.show(sheet(("name", "kind", "operation", "derivative", "at kinks"), rows, styles))
    output.show(Text(f"\n{len(table)} rules", style="dim"))
    return 0


def _matches(primitive: Primitive, pattern: str) -> bool:
    return fnmatch.fnmatchcase(primitive.name, pattern)


def _fitted(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
