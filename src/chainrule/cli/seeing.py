"""The commands that show: `trace`, `graph`, `compare`, `explain`."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from chainrule.cli.output import Output, document, publish, sheet, working, write
from chainrule.cli.points import Point, function_in_file, point
from chainrule.cli.request import Request
from chainrule.cli.values import assignments
from chainrule.errors import ArgumentError
from chainrule.extras import load
from chainrule.report import compare as comparisons
from chainrule.report import explain as explanations
from chainrule.view import table
from chainrule.view import trace as traces
from chainrule.view.notation import STYLES, UNICODE, render
from chainrule.view.trace import Trace

__all__ = ["compare", "explain", "graph", "trace"]

_SUFFIXES = {
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".txt": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
    ".html": "html",
}


# -- trace --------------------------------------------------------------------------------------------

_TRACE_STYLES = {
    "": "cyan",
    " ": "cyan",
    "value": "green",
    "tangent": "yellow",
    "adds": "yellow",
    "adjoint": "magenta",
    "name": "italic",
    "line": "dim",
}


def trace(request: Request, mode: str, seed: tuple[str, ...], format: str, rows: int, output: Output) -> int:
    """Print the tables of a trace."""
    at = point(request)
    found = _traced(at, mode, seed)
    publish(request, found.to_html)
    if request.json:
        output.json(_trace_data(at, found))
    elif format == "table":
        output.show(Text(at.heading, style="bold"), *_trace_tables(at, found, output, rows))
    else:
        output.write(found.latex(rows) if format == "latex" else found.markdown(max_rows=rows))
    return 0


def _traced(at: Point, mode: str, seed: tuple[str, ...] = ()) -> Trace:
    tangents = None
    if seed:
        if mode != "forward":
            raise ArgumentError("--seed is the direction of forward mode: add --mode forward")
        given = assignments(seed)
        unknown = [name for name in given if name not in at.chosen]
        if unknown:
            raise ArgumentError(f"--seed {unknown[0]}: the arguments to differentiate by are {', '.join(at.chosen)}")
        tangents = tuple(given.get(n, _zeros(at.args[k])) for n, k in zip(at.chosen, at.wrt, strict=True))
    return traces.trace(at.function, *at.args, mode=mode, seed=tangents, argnums=at.wrt)


def _zeros(value: Any) -> Any:
    return np.zeros(np.shape(value))[()]


def _trace_tables(at: Point, found: Trace, output: Output, rows: int) -> Iterator[Table | Text]:
    for part in table.tables(found, STYLES[output.notation], rows):
        keep = [k for k, head in enumerate(part.columns) if _is_worth_showing(at, part, k, head)]
        lines = [_omitted(part) if line is None else tuple(line[k] for k in keep) for line in part.lines]
        last = len(lines) - (len(found.names) if part.name == "adjoint trace" else 1)
        heads = [part.columns[k] or " " * min(k, 1) for k in keep]
        yield Text()
        yield sheet(heads, lines, _TRACE_STYLES, title=part.name, strong=last)


def _is_worth_showing(at: Point, part: table.Table, k: int, head: str) -> bool:
    if not at.file and head in ("name", "line"):
        return False
    return any(line is not None and line[k] for line in part.lines)


def _omitted(part: table.Table) -> tuple[str, ...]:
    return ("", f"… {part.omitted:,} more")


def _trace_data(at: Point, found: Trace) -> dict[str, Any]:
    derivative: Any = found.derivative
    if found.mode == "reverse":
        derivative = dict(zip(at.chosen, found.derivative, strict=True))
    return {
        **at.data,
        "mode": found.mode,
        "value": found.value,
        "derivative": derivative,
        "rows": [_row_data(found, row) for row in found.rows],
        "accumulations": [_accumulation_data(a) for a in found.accumulations],
    }


def _row_data(found: Trace, row: traces.Row) -> dict[str, Any]:
    label = row.label if isinstance(row.label, str) else UNICODE.name(row.label)
    data = {"row": label, "kind": row.kind, "formula": table.shown(row.formula, UNICODE), "value": row.value}
    if found.mode == "forward" and row.kind != "decision":
        data |= {"tangent_formula": table.shown(row.tangent_formula, UNICODE), "tangent": row.tangent}
    elif row.kind in ("input", "operation"):
        adjoint = found.adjoints[found.formulae.slot(row.label)]
        data["adjoint"] = 0.0 if adjoint is None else adjoint
    return {**data, "name": row.name, "line": str(row.place or "")}


def _accumulation_data(a: traces.Accumulation) -> dict[str, Any]:
    names = {"adjoint": UNICODE.name(a.target), "from": UNICODE.name(a.source)}
    formulae = {"formula": render(a.formula, UNICODE), "partial": render(a.partial, UNICODE)}
    return {**names, **formulae, "partial_value": a.partial_value, "adds": a.value, "total": a.total}


# -- graph --------------------------------------------------------------------------------------------


def graph(request: Request, format: str | None, path: Path | None, nodes: int, output: Output) -> int:
    """Print the computational graph, or write it to a file."""
    at = point(request)
    found = _traced(at, "reverse")
    publish(request, found.to_html)
    if request.json:
        output.json({**at.data, **_graph_data(found, nodes)})
        return 0
    if format is None:
        format = "mermaid" if path is None else _format(path)
    writers = {"mermaid": found.mermaid, "dot": found.dot, "svg": found.svg}
    text = writers[format](nodes) if format in writers else found.to_html()
    if path is not None:
        write(path, text)
    elif request.html is None and not request.open:
        output.write(text)
    return 0


def _format(path: Path) -> str:
    if path.suffix.lower() not in _SUFFIXES:
        raise ArgumentError(f"{path}: the ending says no picture: {', '.join(_SUFFIXES)}; or add --format")
    return _SUFFIXES[path.suffix.lower()]


def _graph_data(found: Trace, nodes: int) -> dict[str, Any]:
    picture = found.graph(nodes)
    return {
        "nodes": [
            {"key": n.key, "kind": n.kind, "title": n.title, "value": n.detail, "line": str(n.place or "")}
            for n in picture.nodes
        ],
        "edges": [
            {"from": e.source.key, "to": e.target.key, "partial": e.label, "value": e.value} for e in picture.edges
        ],
    }


# -- compare ------------------------------------------------------------------------------------------


def compare(request: Request, manual: str | None, output: Output) -> int:
    """Print the comparison of the four ways; 1 if a derivative by hand is wrong."""
    at = point(request)
    function, args = at.narrowed()
    with working("differentiating four ways"):
        found = comparisons.compare(function, *args, manual=None if manual is None else function_in_file(manual))
    publish(request, lambda: document(f"Comparison: {at.heading}", found._repr_html_(), *_plots(found)))
    if request.json:
        output.json({**at.data, **_comparison_data(found)})
    else:
        output.show(*_comparison(at, found, output.console.width >= 100))
    return 1 if found.wrong else 0


def _comparison(at: Point, found: comparisons.Comparison, wide: bool) -> Iterator[Table | Text]:
    heads, *lines = found.table()
    yield Text(at.heading, style="bold")
    yield Text(f"value {found.value:.12g}; errors against {found.digits}\n", style="dim")
    rows: list[list[str | Text]] = [
        [*line[:-4], Text(line[-4], style=_trust(row.error)), *line[-3:]]
        for line, row in zip(lines, found.rows, strict=True)
    ]
    numbers = heads[2:-4]
    if not wide:  # the methods say which approach they belong to
        heads, rows = heads[1:], [row[1:] for row in rows]
    styles = {"": "dim", "method": "cyan", **dict.fromkeys(numbers, "green")}
    yield sheet(heads, rows, styles, right=heads[-4 - len(numbers) :], whole=("", "method"))
    yield Text()
    for method, words in found.notes():
        yield Text.assemble((f"{method}: ", "cyan"), words)
    for wrong in found.wrong:
        yield Text(f"the derivative by hand is wrong in {wrong}", style="bold red")


def _trust(error: float) -> str:
    """The colour of an error: of rounding, of a good approximation, of one that is not."""
    return "dim" if math.isnan(error) else "green" if error < 1e-12 else "yellow" if error < 1e-6 else "red"


def _comparison_data(found: comparisons.Comparison) -> dict[str, Any]:
    return {
        "value": found.value,
        "names": found.labels,
        "reference": found.reference,
        "reference_from": found.digits,
        "rows": [row._asdict() for row in found.rows],
        "wrong": found.wrong,
    }


def _plots(found: comparisons.Comparison) -> Iterator[str]:
    """The curves as pictures, where Matplotlib is installed."""
    try:
        pyplot = load("matplotlib.pyplot")
    except ArgumentError as error:
        yield f"<p>No pictures: {error}</p>"
        return
    pyplot.switch_backend("agg")
    for draw in (found.plot_errors, *([found.plot_steps] if found.digits.startswith("50 digits") else [])):
        picture = io.StringIO()
        figure = draw().figure
        figure.savefig(picture, format="svg")
        pyplot.close(figure)
        yield picture.getvalue().partition("<svg")[1] + picture.getvalue().partition("<svg")[2]


# -- explain ------------------------------------------------------------------------------------------


def explain(request: Request, output: Output) -> int:
    """Print what is special about the point; 1 if there is anything."""
    at = point(request)
    function, args = at.narrowed()
    with working("looking at every operation"):
        found = explanations.explain(function, *args)
    publish(request, lambda: document(f"Explanation: {at.heading}", found._repr_html_()))
    if request.json:
        output.json({**at.data, **_explanation_data(found)})
    else:
        output.show(Text(at.heading + "\n", style="bold"), *_explanation(at, found))
    return 1 if found.findings else 0


_BADGES = {"not finite": "bold red", "not finite derivative": "bold red"}


def _explanation(at: Point, found: explanations.Explanation) -> Iterator[Table | Text]:
    if not found.findings:
        yield Text("no kinks, and nothing that is not finite", style="green")
    for finding in found.findings:
        often = f" ({finding.times} times)" if finding.times > 1 else ""
        yield Text.assemble((finding.kind, _BADGES.get(finding.kind, "bold yellow")), f": {finding.what}{often}")
        if finding.convention and finding.kind not in _BADGES:
            yield Text.assemble(("  derivative  ", "dim"), finding.convention)
        if at.file:
            yield Text.assemble(("  line        ", "dim"), finding.line)
    if found.evidence:
        yield Text()
        bar = ["█" * round(e.digits) if e.digits > 0 else "" for e in found.evidence]
        rows = [
            (e.argument, "none" if math.isnan(e.digits) else f"{e.digits:.1f}", b, e.method)
            for e, b in zip(found.evidence, bar, strict=True)
        ]
        styles = {"": "cyan", " ": "green"}
        yield sheet(("", "digits", " ", "confirmed by"), rows, styles, right=("digits",))
    if found.evidence and any(f.kind in ("kink", "jump", "branch") for f in found.findings):
        yield Text("differences see both sides of a kink: there they confirm nothing", style="dim")


def _explanation_data(found: explanations.Explanation) -> dict[str, Any]:
    return {
        "value": found.value,
        "gradient": dict(zip(found.labels, found.gradient, strict=True)),
        "findings": [f._asdict() for f in found.findings],
        "evidence": [e._asdict() for e in found.evidence],
    }
