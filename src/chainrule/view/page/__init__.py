"""The page that steps through a trace: one HTML file with everything in it, that works without a network.

This module turns a trace into the data of the page: nodes, rows, the steps of the three sweeps as text, and
for functions of numbers the recorded operations and partials as expressions, which `explorer.js` evaluates
when an input is changed. The page itself is the template, style and script beside this file.
"""

from __future__ import annotations

import inspect
import json
import linecache
from collections.abc import Iterator
from fractions import Fraction
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.view import table
from chainrule.view.expression import HOLE, Call, Expr, Name, Number
from chainrule.view.formulae import Partial
from chainrule.view.graph import Edge, Graph, Node
from chainrule.view.naming import Place
from chainrule.view.notation import UNICODE, brief, render
from chainrule.view.pictures import SHAPES, drawing
from chainrule.view.record import Decision, Operation, Recorded

if TYPE_CHECKING:
    from chainrule.view.trace import Accumulation, Row, Trace

__all__ = ["page"]

_MOST_NODES = 150


def page(trace: Trace) -> str:
    """The text of the page."""
    graph = trace.graph(_MOST_NODES)
    parts = {
        "TITLE": escape(f"Trace of {trace.function}"),
        "HEADING": escape(table.title(trace)),
        "STYLE": _file("explorer.css") + SHAPES,
        "DRAWING": drawing(graph),
        "DATA": _json(_data(trace, graph)),
        "SCRIPT": _file("explorer.js"),
    }
    text = _file("explorer.html")
    for name, part in parts.items():
        text = text.replace(f"@@{name}@@", part)
    return text


def _json(data: Any) -> str:
    """JSON that can stand inside an element of the page."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _data(trace: Trace, graph: Graph) -> dict[str, Any]:
    forward, reverse = trace.in_mode("forward"), trace.in_mode("reverse")
    tangents = {row.label: row for row in forward.rows if row.kind != "decision"}
    owner = {id(row.step): node for node in graph.nodes for row in node.rows if row.step is not None}
    by_slot = {
        trace.formulae.slot(row.label): node for node in graph.nodes for row in node.rows if isinstance(row.label, Name)
    }
    return {
        "call": table.call(trace),
        "inputs": [
            {"key": n.key, "name": n.name, "value": _real(n.rows[0].value)} for n in graph.nodes if n.kind == "input"
        ],
        "rows": [_row(forward, reverse, node, tangents[node.rows[-1].label]) for node in graph.nodes],
        "sweep": list(_sweep(reverse, graph, owner, by_slot)),
        "edges": [_edge(edge) for edge in graph.edges],
        "decisions": list(_decisions(trace, graph)),
        "sources": _sources(trace, graph),
        "editable": _editable(trace, graph),
        "mode": trace.mode,
    }


def _real(value: Any) -> float | None:
    """A finite real number; None for anything else."""
    plain = np.ndim(value) == 0 and not np.iscomplexobj(value) and bool(np.isfinite(value))
    return float(value) if plain else None


def _editable(trace: Trace, graph: Graph) -> str:
    """Why the inputs cannot be changed in the page; empty if they can."""
    if graph.folded:
        return "parts of this trace are folded"
    if trace.record.nested:
        return "the function differentiates inside"
    if any(np.ndim(v) or np.iscomplexobj(v) for v in trace.record.values):
        return "only functions of real numbers are recomputed in the page"
    if any(_real(v) is None for v in trace.record.inputs):
        return "an input is not finite"
    return ""


def _row(forward: Trace, reverse: Trace, node: Node, row: Row) -> dict[str, Any]:
    """One node of the graph with everything that is shown about it; `row` is its last one, with tangents."""
    slot = forward.formulae.slot(row.label) if isinstance(row.label, Name) else None
    adjoint = None if slot is None else reverse.adjoints[slot]
    step = row.step
    found: dict[str, Any] = {
        "key": node.key,
        "kind": node.kind,
        "label": _label(node),
        "formula": table.fitted(table.shown(row.formula, UNICODE), UNICODE) if node.kind != "fold" else node.detail,
        "value": brief(row.value),
        "name": row.name if node.kind == "operation" else "",
        "tangentFormula": table.fitted(table.shown(row.tangent_formula, UNICODE), UNICODE)
        if node.kind != "fold"
        else "",
        "tangent": brief(row.tangent),
        "adjoint": brief(0.0 if adjoint is None else adjoint) if slot is not None else "",
        "places": [_place(p) for p in row.places],
        "parents": [parent.key for parent in node.parents],
    }
    if node.kind == "output":
        leaf = forward.record.leaves[int(node.key[1:])]
        found["expr"] = _code(forward.formulae.operand(leaf.slot if isinstance(leaf, Recorded) else None, leaf))
    elif isinstance(step, Operation) and node.kind == "operation":
        found["expr"] = _code(forward.formulae.primal(step))
        found["primitive"] = step.primitive.name
        found["tie"] = step.primitive.tie or ""
        found["partials"] = [_partial(forward, row.label, step, p) for p in forward.formulae.partials(step)]
    return found


def _label(node: Node) -> str:
    labels = [row.label if isinstance(row.label, str) else UNICODE.name(row.label) for row in node.rows]
    return labels[0] if len(labels) == 1 else f"{labels[0]}…{labels[-1]}"


def _partial(trace: Trace, above: Name, step: Operation, partial: Partial) -> dict[str, Any]:
    slot = step.operands[partial.operand]
    assert slot is not None
    below = trace.formulae.name(slot)
    return {
        "position": partial.operand,
        "of": f"v{below.index}",
        "text": render(partial.shown, UNICODE),
        "symbol": UNICODE.derivative(above, below),
        "code": _code(partial.raw),
    }


def _sweep(reverse: Trace, graph: Graph, owner: dict[int, Node], by_slot: dict[int, Node]) -> Iterator[dict[str, Any]]:
    """The steps of the reverse sweep: each addition, those of a fold summed for each operand outside."""
    for name, leaf, seed, node in zip(
        reverse.result_names, reverse.record.leaves, reverse.seeds, _outputs(graph), strict=True
    ):
        if isinstance(leaf, Recorded):
            label = UNICODE.name(reverse.formulae.name(leaf.slot, "bar"))
            yield {
                "target": by_slot[leaf.slot].key,
                "source": node.key,
                "label": f"{label} +=",
                "formula": UNICODE.identifier(name, "bar"),
                "adds": brief(seed),
                "total": brief(seed),
                "partial": -1,
            }
    items: dict[Node, list[Accumulation]] = {node: [] for node in graph.nodes}
    for accumulation in reverse.accumulations:
        items[owner[id(accumulation.operation)]].append(accumulation)
    for node in reversed(graph.nodes):
        yield from _folded(reverse, items[node], node, by_slot) if node.kind == "fold" else map(_added, items[node])


def _outputs(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.kind == "output"]


def _added(item: Accumulation) -> dict[str, Any]:
    label, formula, partial, value, adds, total = table.added(item, UNICODE, lambda value, _: brief(value))
    return {
        "target": f"v{item.target.index}",
        "source": f"v{item.source.index}",
        "label": label,
        "formula": formula,
        "local": f"{partial} {value}".strip(),
        "adds": adds,
        "total": total,
        "partial": item.position,
    }


def _folded(
    reverse: Trace, items: list[Accumulation], node: Node, by_slot: dict[int, Node]
) -> Iterator[dict[str, Any]]:
    sums: dict[Node, list[Any]] = {}
    for item in items:
        target = by_slot[reverse.formulae.slot(Name("v", item.target.index))]
        if target is not node:
            found = sums.setdefault(target, [item.target, 0, 0.0, item.total])
            found[1] += 1
            found[2] = found[2] + item.value
            found[3] = item.total if found[0] == item.target else None
    for target, (name, count, value, total) in sums.items():
        yield {
            "target": target.key,
            "source": node.key,
            "label": f"{UNICODE.name(name)} +=",
            "formula": f"{count:,} additions of the folded operations"
            if count > 1
            else "what the folded operations add",
            "adds": brief(value),
            "total": "" if total is None else brief(total),
            "partial": -1,
        }


def _edge(edge: Edge) -> dict[str, Any]:
    value = f" = {edge.value}" if edge.value else ""
    return {"source": edge.source.key, "target": edge.target.key, "text": f"{edge.label}{value}"}


def _decisions(trace: Trace, graph: Graph) -> Iterator[dict[str, Any]]:
    """What the program looked at, each before the row that follows, and what rules looked at in their partials."""
    keys = {node.key for node in graph.nodes if node.kind in ("operation", "fold")}
    for step in trace.record.steps:
        if isinstance(step, Decision):
            before = f"v{step.before - len(trace.record.inputs) + 1}"
            formula = trace.formulae.primal(step)
            text = table.bare(render(formula, UNICODE), UNICODE)
            found = {"text": text, "shown": brief(step.y), "places": [_place(p) for p in step.places]}
            was = step.y if isinstance(step.y, (bool, np.bool_)) else _real(step.y)
            yield {
                **found,
                "before": before if before in keys else "",
                "code": _code(formula),
                "was": was if was is None else np.asarray(was).item(),
            }
    for node in graph.nodes:
        if node.kind == "operation" and not _editable(trace, graph):
            operation = node.rows[0].step
            assert isinstance(operation, Operation)
            for condition, was in _conditions([p.raw for p in trace.formulae.partials(operation)]):
                found = {"text": table.bare(render(condition, UNICODE), UNICODE), "shown": "", "places": []}
                yield {**found, "before": "", "rule": node.title, "code": _code(condition), "was": was}


def _conditions(exprs: list[Expr]) -> Iterator[tuple[Expr, bool]]:
    """The conditions on which formulae are what they are, and whether they held."""
    for expr in exprs:
        if isinstance(expr, Call):
            if expr.chosen is not None:
                yield expr.args[0], expr.chosen is expr.args[1]
                yield from _conditions([expr.chosen])
            else:
                yield from _conditions(list(expr.args))


# -- expressions as data ------------------------------------------------------------------------------


def _code(expr: Expr) -> Any:
    """An expression for `explorer.js`: numbers, ["v", "v3"], or a name with its arguments; None for an array."""
    if expr == HOLE or (isinstance(expr, Name) and expr.kind == "hole"):
        return ["□"]
    if isinstance(expr, Name):
        return ["v", f"v{expr.index}"]
    if isinstance(expr, Number):
        value = expr.value
        if isinstance(value, Fraction):
            value = float(value)
        return value if isinstance(value, float) and np.isfinite(value) else str(value)
    if isinstance(expr, Call):
        params = [text for _, text in expr.params]
        return [expr.name, *[_code(a) for a in expr.args], *params]
    return None


# -- the program --------------------------------------------------------------------------------------


def _place(place: Place) -> dict[str, Any]:
    return {"id": f"{place.file}:{place.first}", "line": place.line, "where": str(place)}


def _sources(trace: Trace, graph: Graph) -> list[dict[str, Any]]:
    """The functions that operations stand in, line by line."""
    found: dict[str, dict[str, Any]] = {}
    for node in graph.nodes:
        for place in reversed(node.rows[-1].places):
            key = f"{place.file}:{place.first}"
            if key not in found:
                found[key] = {"id": key, "function": place.function, "first": place.first, "lines": _block(place)}
    return [source for source in found.values() if source["lines"]]


def _block(place: Place) -> list[str]:
    lines = linecache.getlines(place.file)[place.first - 1 :]
    if not lines:
        return []
    if place.function == "<module>":
        return [line.rstrip() for line in lines[: place.line]]
    try:
        block = inspect.getblock(lines)
    except (SyntaxError, IndentationError):
        block = lines[: place.line - place.first + 1]
    return [line.rstrip() for line in block]
