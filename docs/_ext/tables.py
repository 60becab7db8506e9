"""Tables made while building: the rules from the registry, the known gaps from `tests/limits.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from chainrule.cli.rules import described
from chainrule.core.primitive import registry
from tests.limits import LIMITS

__all__ = ["setup"]

_LONGEST = 120


def _code(text: str) -> nodes.literal:
    return nodes.literal("", text)


def _cell(*lines: str, code: bool = False) -> nodes.entry:
    entry = nodes.entry()
    for line in lines:
        parts = ["", line] if code and line else line.split("`")  # every second one is code
        entry += nodes.paragraph("", "", *[(nodes.Text, _code)[k % 2](part) for k, part in enumerate(parts)])
    return entry


def _fitted(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _table(head: Sequence[str], rows: Iterable[Sequence[nodes.entry]], widths: Sequence[int]) -> nodes.table:
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", nodes.row("", *map(_cell, head)))
    group += nodes.tbody("", *[nodes.row("", *cells) for cells in rows])
    return nodes.table("", group, classes=["generated", "colwidths-given"])


class RuleTable(SphinxDirective):
    """The rules of one kind (or all others): name, operation, derivative by each argument, convention at kinks."""

    has_content = False
    required_arguments = 1
    optional_arguments = 100

    def run(self) -> list[nodes.Node]:
        rules = sorted(described(p) for p in registry.values() if p.kind in self.arguments)
        rows = [
            (
                _cell(rule.name, code=True),
                _cell(rule.operation, code=True),
                _cell(*map(_fitted, rule.derivatives), code=True),
                _cell(rule.tie),
            )
            for rule in rules
        ]
        return [_table(("name", "operation", "derivative", "at kinks"), rows, (17, 22, 43, 18))]


class LimitsTable(SphinxDirective):
    """The gaps that the tests know: what, in which check, and why."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        rows = [(_cell(what, code=True), _cell(mode), _cell(why)) for (what, mode), why in sorted(LIMITS.items())]
        return [_table(("what", "check", "why"), rows, (20, 15, 65))]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("rule-table", RuleTable)
    app.add_directive("limits-table", LimitsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
