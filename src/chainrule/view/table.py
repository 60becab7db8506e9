"""A trace as tables: plain text, Markdown, LaTeX, HTML, pandas.

One function makes the cells of each table in a notation; the rest is typesetting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.extras import load
from chainrule.view.expression import Call, Expr, Name, Number
from chainrule.view.notation import ASCII, LATEX, STYLES, Style, render, summary, width
from chainrule.view.record import Operation, Recorded

if TYPE_CHECKING:
    from chainrule.view.trace import Accumulation, Row, Trace

__all__ = [
    "Table",
    "added",
    "bare",
    "call",
    "html",
    "latex",
    "markdown",
    "shown",
    "tables",
    "text",
    "title",
    "to_dataframe",
]

_LONGEST = 60  # characters of a formula in a table of text
_OPTIONAL = ("name", "line")  # columns that are left out where they would be empty


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of text; ``None`` instead of a line stands for what was left out."""

    name: str
    columns: tuple[str, ...]
    lines: list[tuple[str, ...] | None]
    omitted: int


def title(trace: Trace) -> str:
    """The function and the point."""
    point = ", ".join(f"{n} = {_point(v)}" for n, v in zip(trace.names, trace.record.inputs, strict=True))
    return f"{call(trace)} at {point}"


def call(trace: Trace) -> str:
    """The function of its inputs."""
    return f"{trace.function}({', '.join(trace.names)})"


def _point(value: Any) -> str:
    """A number or short vector, of other arrays the shape."""
    short = np.ndim(value) == 0 or (np.ndim(value) == 1 and np.size(value) <= 3)
    return summary(value) if short else f"array {np.shape(value)}"


def tables(trace: Trace, style: Style, max_rows: int) -> list[Table]:
    """The tables of a trace: the primal (and tangent) trace, and in reverse mode the adjoint trace."""
    forward = trace.mode == "forward"
    columns = ("", "formula", "value", *(("", "tangent", "value") if forward else ()), "name", "line")
    name = "primal and tangent trace" if forward else "primal trace"
    found = [_shortened(name, columns, trace.rows, max_rows, lambda row: _primal(row, style, forward))]
    if not forward:
        sweep = [*_seeded(trace), *trace.accumulations, *enumerate(trace.names)]
        columns = ("", "formula", "partial", "", "adds", "adjoint")
        found.append(_shortened("adjoint trace", columns, sweep, max_rows, lambda item: _adjoint(trace, item, style)))
    return found


def _shortened(name: str, columns: tuple[str, ...], items: Any, most: int, line: Any) -> Table:
    omitted = max(0, len(items) - max(most, 2))
    half = (len(items) - omitted + 1) // 2
    lines = [line(item) for item in items[:half]]
    if omitted:
        lines.append(None)
    lines += [line(item) for item in items[half + omitted :]]
    keep = [k for k, head in enumerate(columns) if head not in _OPTIONAL or any(cells and cells[k] for cells in lines)]
    shown = [cells and tuple(cells[k] for k in keep) for cells in lines]
    return Table(name, tuple(columns[k] for k in keep), shown, omitted)


def fitted(formula: str, style: Style) -> str:
    """A formula of text, cut where it would make the table unreadable."""
    if style is LATEX or width(formula) <= _LONGEST:
        return formula
    return formula[:_LONGEST] + ("..." if style is ASCII else "…")


def shown(formula: Expr | str | None, style: Style) -> str:
    """A formula, or the user's name for an input."""
    if formula is None:
        return ""
    return style.identifier(formula) if isinstance(formula, str) else render(formula, style)


def _primal(row: Row, style: Style, forward: bool) -> tuple[str, ...]:
    value = _value(row.value, style)
    place = str(row.place or "")
    if row.kind == "decision":
        formula = bare(shown(row.formula, style), style)
        question = f"{formula} ?" if style is not LATEX else rf"{formula} \;?"
        return ("", question, value, *(("", "", "") if forward else ()), "", place)
    label = style.identifier(row.label) if isinstance(row.label, str) else style.name(row.label)
    cells: tuple[str, ...] = (label, fitted(shown(row.formula, style), style), value)
    if forward:
        dotted = (
            style.identifier(row.label, "dot")
            if isinstance(row.label, str)
            else style.name(Name("dot", row.label.index))
        )
        cells += (dotted, fitted(shown(row.tangent_formula, style), style), _value(row.tangent, style))
    return (*cells, row.name if row.kind == "operation" else "", place)


def bare(text: str, style: Style) -> str:
    """A comparison without the brackets that hold it together inside a formula."""
    left, right = style.left("["), style.right("]")
    inside = text.startswith(left) and text.endswith(right) and text.count(left) == 1
    return text[len(left) : -len(right)] if inside else text


def _seeded(trace: Trace) -> list[tuple[str, Any, Any]]:
    """The outputs from which the sweep starts."""
    return [
        (name, leaf, seed)
        for name, leaf, seed in zip(trace.result_names, trace.record.leaves, trace.seeds, strict=True)
        if isinstance(leaf, Recorded)
    ]


def _adjoint(trace: Trace, item: Any, style: Style) -> tuple[str, ...]:
    """A line of the adjoint trace: a seed, an addition, or at the end the derivative of an input."""
    if isinstance(item, tuple) and len(item) == 3:
        name, leaf, seed = item
        bar = style.name(trace.formulae.name(leaf.slot, "bar"))
        return (f"{bar} =", style.identifier(name, "bar"), "", "", "", _value(seed, style))
    if isinstance(item, tuple):
        slot, name = item
        adjoint = trace.adjoints[slot]
        bar = style.name(trace.formulae.name(slot, "bar"))
        return (
            f"{style.identifier(name, 'bar')} =",
            bar,
            "",
            "",
            "",
            _value(0.0 if adjoint is None else adjoint, style),
        )
    return added(item, style)


def added(item: Accumulation, style: Style, value: Callable[[Any, Style], str] | None = None) -> tuple[str, ...]:
    """The line of one addition to an adjoint; `value` writes numbers and arrays."""
    value = value or _value
    partial = item.partial_value
    above, below = (Name("v", n.index) for n in (item.source, item.target))
    local = f"{style.derivative(above, below)} = {fitted(render(item.partial, style), style)}"
    number = "" if partial is None else value(partial, style)
    plus = "+=" if style is not LATEX else r"\mathrel{+}="
    same = not number or isinstance(item.partial, Number)
    label, formula = style.name(item.target), item.formula
    if isinstance(formula, Call) and formula.name == "scatter" and len(formula.args) == 1:
        label += f"[{style.text(dict(formula.params)['indices'])}]"
        formula = formula.args[0]
    return (
        f"{label} {plus}",
        fitted(render(formula, style), style),
        local,
        "" if same else f"= {number}",
        value(item.value, style),
        value(item.total, style),
    )


def _value(value: Any, style: Style) -> str:
    text = summary(value)
    if style is LATEX:
        number = np.ndim(value) == 0 and not isinstance(value, (bool, np.bool_))
        return style.number(value) if number else rf"\text{{{text}}}".replace("…", r"\dots")
    return text.replace("…", "...") if style is ASCII else text


# -- typesetting --------------------------------------------------------------------------------------


def _style(name: str) -> Style:
    if name not in STYLES or name == "latex":
        raise ArgumentError(f"style={name!r}: text is written in style 'unicode' or 'ascii'")
    return STYLES[name]


def text(trace: Trace, style: str, max_rows: int) -> str:
    """The tables with aligned columns."""
    parts = [title(trace)]
    for table in tables(trace, _style(style), max_rows):
        rows = [line for line in table.lines if line is not None]
        widths = [max((width(c[k]) for c in [*rows, table.columns]), default=0) for k in range(len(table.columns))]
        parts.append("")
        parts.append(table.name)
        parts.append(_aligned(table.columns, widths))
        for line in table.lines:
            parts.append(f"   ... {table.omitted:,} more" if line is None else _aligned(line, widths))
    return "\n".join(parts)


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [cell + " " * (w - width(cell)) for cell, w in zip(cells, widths, strict=True) if w]
    return ("  " + "  ".join(padded)).rstrip()


def markdown(trace: Trace, style: str, max_rows: int) -> str:
    """The tables in the Markdown that GitHub and Jupyter show."""
    parts = [f"**{_cell(title(trace))}**"]
    for table in tables(trace, _style(style), max_rows):
        parts += ["", f"{table.name[:1].upper()}{table.name[1:]}:", ""]
        parts.append("| " + " | ".join(c or " " for c in table.columns) + " |")
        parts.append("|" + " --- |" * len(table.columns))
        for line in table.lines:
            cells = [f"… {table.omitted:,} more"] + [""] * (len(table.columns) - 1) if line is None else line
            parts.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return "".join(f"\\{c}" if c in "|*_`<[]\\" else c for c in text)


def latex(trace: Trace, max_rows: int) -> str:
    """The tables as arrays."""
    parts = []
    for table in tables(trace, LATEX, max_rows):
        count = {"adjoint trace": 6, "primal trace": 3}.get(table.name, 6)
        lines = []
        for line in table.lines:
            if line is None:
                lines.append(rf"\vdots & \text{{{table.omitted} more}}")
            elif table.name == "adjoint trace":
                lines.append(f"{line[0]} & {line[1]} & {line[2]} {line[3]} & {line[4]} & {line[5]}")
            else:
                lines.append(" & ".join(_equation(line[:count])))
        columns = "rlll" + "l" if table.name == "adjoint trace" else "rll" * (count // 3)
        body = " \\\\\n".join(lines)
        parts.append(f"\\begin{{array}}{{{columns}}}\n{body}\n\\end{{array}}\n")
    return "\n".join(parts)


def _equation(cells: tuple[str, ...]) -> list[str]:
    """Labels with their sign of equality."""
    return [f"{c} =" if k % 3 == 0 and c else c for k, c in enumerate(cells)]


_CSS = (
    "border-collapse:collapse;font-family:ui-monospace,monospace;font-size:13px;margin:0.5em 0 1em",
    "text-align:left;padding:2px 12px 2px 0;white-space:nowrap",
)


def html(trace: Trace, max_rows: int) -> str:
    """The tables as HTML, for notebooks."""
    parts = [f"<p><b>{escape(title(trace))}</b></p>"]
    for table in tables(trace, STYLES["unicode"], max_rows):
        head = "".join(f'<th scope="col" style="{_CSS[1]}">{escape(c)}</th>' for c in table.columns)
        body = []
        for line in table.lines:
            cells = (f"… {table.omitted:,} more",) if line is None else line
            body.append("<tr>" + "".join(f'<td style="{_CSS[1]}">{escape(c)}</td>' for c in cells) + "</tr>")
        parts.append(
            f'<table style="{_CSS[0]}"><caption style="text-align:left;font-weight:600">{escape(table.name)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        )
    return "".join(parts)


def to_dataframe(trace: Trace, part: str) -> Any:
    """One row per line of a table, numbers as numbers."""
    pandas = load("pandas")
    style = STYLES["unicode"]
    if part == "primal":
        records = [_primal_record(trace, row, style) for row in trace.rows]
    elif part == "adjoint" and trace.mode == "reverse":
        records = [
            {
                "adjoint": style.name(a.target),
                "formula": render(a.formula, style),
                "partial": render(a.partial, style),
                "partial_value": a.partial_value,
                "adds": a.value,
                "total": a.total,
            }
            for a in trace.accumulations
        ]
    else:
        raise ArgumentError(f"part={part!r}: a data frame shows 'primal', or in reverse mode 'adjoint'")
    return pandas.DataFrame.from_records(records)


def _primal_record(trace: Trace, row: Row, style: Style) -> dict[str, Any]:
    label = row.label if isinstance(row.label, str) else style.name(row.label)
    found = {"row": label, "formula": shown(row.formula, style), "value": row.value}
    if trace.mode == "forward":
        found |= {"tangent_formula": shown(row.tangent_formula, style), "tangent": row.tangent}
    elif isinstance(row.label, Name) and (row.kind == "input" or isinstance(row.step, Operation)):
        found["adjoint"] = trace.adjoints[trace.formulae.slot(row.label)]
    return {**found, "name": row.name, "line": str(row.place or "")}
