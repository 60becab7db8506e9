"""The command `rules`: the table of derivative rules, from the registry.

A rule is shown by running it on names: what it says about each argument of the operation. Operations that are
linear are their own derivative; □ stands for the change of the argument in rules that are a linear map of it.
"""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.text import Text

import chainrule.arrays  # noqa: F401  (its functions define rules, and so do the modules below)
from chainrule.cli.output import Output, sheet, track
from chainrule.core.linear import ElementwiseSlot, Selection
from chainrule.core.primitive import Primitive, registry
from chainrule.errors import ArgumentError
from chainrule.report.words import plural
from chainrule.rules import matrices, special  # noqa: F401
from chainrule.view.expression import Name
from chainrule.view.formulae import Formulae
from chainrule.view.notation import STYLES, render
from chainrule.view.record import Operation, record

__all__ = ["Rule", "described", "rules"]

_LONGEST = 60
_ARGUMENTS = "xyzuvw"
_HOLES = {"unicode": "□", "ascii": "_"}


class Rule(NamedTuple):
    """One line of the table: the operation, its derivative by each argument, and what holds at kinks."""

    name: str
    kind: str
    operation: str
    derivatives: tuple[str, ...]
    tie: str


def rules(pattern: str, kind: str | None, json: bool, output: Output) -> int:
    """Print the rules whose names match."""
    found = [p for p in registry.values() if _matches(p, pattern) and kind in (None, p.kind)]
    if not found:
        kinds = ", ".join(sorted({p.kind for p in registry.values()}))
        raise ArgumentError(f"no rule is called {pattern!r}{f' of kind {kind}' if kind else ''}; kinds are {kinds}")
    table = [described(p, output.notation) for p in track(found, "running the rules on names")]
    if json:
        output.json([rule._asdict() for rule in table])
        return 0
    longest = _LONGEST if len(table) > 3 else 10_000
    rows = [_row(rule, longest) for rule in sorted(table)]
    styles = {"name": "cyan", "kind": "dim", "derivative": "green"}
    output.show(sheet(("name", "kind", "operation", "derivative"), rows, styles, whole=("name", "kind")))
    output.show(Text(f"\n{plural(len(table), 'rule')}", style="dim"))
    return 0


def _matches(primitive: Primitive, pattern: str) -> bool:
    return fnmatch.fnmatchcase(primitive.name, pattern)


def _row(rule: Rule, longest: int) -> tuple[str | Text, ...]:
    derivatives = Text("\n".join(_fitted(text, longest) for text in rule.derivatives))
    if rule.tie:
        derivatives.append(f"\nat kinks: {rule.tie}", "yellow")
    return rule.name, rule.kind, _fitted(rule.operation, longest), derivatives


def _fitted(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


# -- one rule -----------------------------------------------------------------------------------------


def described(primitive: Primitive, notation: str = "unicode") -> Rule:
    """A rule in words and formulae."""
    tie = primitive.tie or ""
    if not primitive.slots:
        nothing = "0" if primitive.slots is not None else "none: raises"
        return Rule(primitive.name, primitive.kind, primitive.name, (nothing,), tie)
    sample = _sample(primitive)
    if sample is None:
        return Rule(primitive.name, primitive.kind, primitive.name, ("a map of its own",), tie)
    args, params = sample
    names = [*_ARGUMENTS, *(f"x{k}" for k in range(len(_ARGUMENTS), len(args)))][: len(args)]
    operation, found = _on_names(primitive, args, params, names, notation)
    derivatives = [_derivative(primitive, k, found) for k in range(len(args))]
    if len(args) > 1:
        derivatives = [f"{name}: {text}" for name, text in zip(names, derivatives, strict=True)]
    if primitive.kind in ("linear", "index", "join"):
        derivatives = ["linear"]
    return Rule(primitive.name, primitive.kind, operation, tuple(derivatives), tie)


def _sample(primitive: Primitive) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Where the rule is run: a point at which it is tested."""
    if primitive.samples is not None:
        args, params = next(iter(primitive.samples(np.random.default_rng(0))))
        return tuple(args), params
    return ((np.float64(0.5),) * len(primitive.slots or ()), {}) if primitive.kind == "elementwise" else None


def _derivative(primitive: Primitive, k: int, found: dict[int, str]) -> str:
    slot = primitive.slot(k)
    if isinstance(slot, special.Refused):
        return "none: raises"
    if isinstance(slot, ElementwiseSlot) and isinstance(slot.statement, Selection):
        return "1 where it is selected, 0 elsewhere"
    return found.get(k, "0")


def _on_names(
    primitive: Primitive, args: Sequence[Any], params: dict[str, Any], names: Sequence[str], notation: str
) -> tuple[str, dict[int, str]]:
    """The operation as it is written, and for each argument with a rule what that rule says."""
    known = [k for k in range(len(args)) if _is_written(primitive, k)]
    held = [np.full(1, a) if k not in known and isinstance(a, float) else a for k, a in enumerate(args)]

    def run(values: list[Any]) -> Any:
        full = list(held)
        for k, value in zip(known, values, strict=True):
            full[k] = value
        return primitive(*full, **params)

    recorded = record(run, [args[k] for k in known], [names[k] for k in known], run)
    steps = [s for s in recorded.steps if isinstance(s, Operation)]
    if not steps:
        return f"{primitive.name}({', '.join(names)})", {}
    style, step = copy.copy(STYLES[notation]), steps[-1]
    recorded.constants.update({id(a): (a, name) for a, name in zip(step.values, names, strict=True) if np.ndim(a)})
    formulae = Formulae(recorded)
    written = [names[k] for k in known]

    def label(name: Name) -> str:
        if name.kind == "hole":
            return _HOLES[notation]
        place = formulae.slot(name) - len(written)
        return written[place] if place < 0 else operation if len(step.outs) == 1 else f"f[{place}]"

    style.name = label  # type: ignore[method-assign]
    operation = render(formulae.primal(step), style) if len(step.outs) == 1 else f"{primitive.name}({', '.join(names)})"
    return operation, {p.operand: render(p.shown, style) for p in formulae.partials(step)}


def _is_written(primitive: Primitive, k: int) -> bool:
    slot = primitive.slot(k)
    return slot is not None and not isinstance(slot, special.Refused)
