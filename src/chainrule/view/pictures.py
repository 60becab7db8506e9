"""Pictures of a computational graph: Mermaid and DOT text, SVG, Matplotlib."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any

from chainrule.extras import load
from chainrule.view.graph import Edge, Graph, Node
from chainrule.view.layout import Layout, layered
from chainrule.view.notation import width

__all__ = ["SHAPES", "dot", "drawing", "laid_out", "mermaid", "plot", "svg"]

_LINE = 17.0  # height of a line of text
_CHARACTER = 7.4
_LONGEST = 30  # characters of a label
_NARROWEST = 62.0  # of a node: its round ends stay round


def _short(text: str, longest: int = _LONGEST) -> str:
    return text if width(text) <= longest else text[: longest - 1] + "…"


def _lines(node: Node) -> list[str]:
    """The text of a node."""
    title = f"{node.title}  ({node.name})" if node.kind == "operation" and node.name else node.title
    return [_short(title, 44), _short(node.detail, 44)]


def _edge_text(edge: Edge) -> str:
    label = _short(edge.label)
    value = _short(edge.value)
    return f"{label} = {value}" if label and value and width(label) + width(value) <= _LONGEST else label or value


# -- text ---------------------------------------------------------------------------------------------


def mermaid(graph: Graph) -> str:
    """A Mermaid flowchart; GitHub and many editors draw it."""
    shapes = {"input": ("([", "])"), "operation": ("[", "]"), "output": ("([", "])"), "fold": ("[[", "]]")}
    keys = {node: f"n{k}" for k, node in enumerate(graph.nodes)}
    parts = ["flowchart TD"]
    for node in graph.nodes:
        left, right = shapes[node.kind]
        parts.append(f'    {keys[node]}{left}"{"<br/>".join(map(_entity, _lines(node)))}"{right}')
    for edge in graph.edges:
        text = _edge_text(edge)
        label = f'|"{_entity(text)}"|' if text else ""
        parts.append(f"    {keys[edge.source]} -->{label} {keys[edge.target]}")
    for kind in ("input", "output", "fold"):
        members = [keys[node] for node in graph.nodes if node.kind == kind]
        if members:
            parts.append(f"    classDef {kind} {_CLASSES[kind]}")
            parts.append(f"    class {','.join(members)} {kind}")
    return "\n".join(parts) + "\n"


_CLASSES = {
    "input": "fill:#e8f1fb,stroke:#2f6db3,color:#12304f",
    "output": "fill:#e9f6ec,stroke:#2e8540,color:#123d1c",
    "fold": "fill:#f3eefa,stroke:#6f4fa6,color:#31204f",
}


def _entity(text: str) -> str:
    """Text between quotes in Mermaid, which knows numbered entities."""
    return "".join(f"#{ord(c)};" if c in '"<>&#|{}[]()`*_\\' else c for c in text)


def dot(graph: Graph) -> str:
    """Graphviz DOT."""
    keys = {node: f"n{k}" for k, node in enumerate(graph.nodes)}
    colours = {"input": "#e8f1fb", "operation": "white", "output": "#e9f6ec", "fold": "#f3eefa"}
    parts = [
        f"digraph {_quoted(graph.title)} {{",
        '    node [shape=box, style="rounded,filled", fontname="Helvetica"];',
        '    edge [fontname="Helvetica", fontsize=10];',
    ]
    for node in graph.nodes:
        label = _quoted("\n".join(_lines(node)))
        shape = ", peripheries=2" if node.kind == "fold" else ""
        parts.append(f'    {keys[node]} [label={label}, fillcolor="{colours[node.kind]}"{shape}];')
    for edge in graph.edges:
        text = _edge_text(edge)
        parts.append(
            f"    {keys[edge.source]} -> {keys[edge.target]}" + (f" [label={_quoted(text)}];" if text else ";")
        )
    return "\n".join([*parts, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


# -- drawings -----------------------------------------------------------------------------------------


def laid_out(graph: Graph) -> Layout:
    """Where everything is drawn."""
    index = {node: k for k, node in enumerate(graph.nodes)}
    sizes = [_size(node) for node in graph.nodes]
    edges = [(index[e.source], index[e.target]) for e in graph.edges]
    labels = [(_text_width(_edge_text(e)) * 0.9 + 8 if _edge_text(e) else 8.0, _LINE) for e in graph.edges]
    return layered(sizes, edges, labels)


def _size(node: Node) -> tuple[float, float]:
    return max(max(map(_text_width, _lines(node))) + 24, _NARROWEST), 2 * _LINE + 14


def _text_width(text: str) -> float:
    return _CHARACTER * width(text)


def box(node: Node, centre: tuple[float, float]) -> tuple[float, float, float, float]:
    """Left, top, width and height of a node."""
    w, h = _size(node)
    return centre[0] - w / 2, centre[1] - h / 2, w, h


def curve(route: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Control points of a smooth curve through the points of a route, upright at both ends."""
    slopes = [0.0]
    for (x0, y0), (x1, y1) in zip(route, route[2:], strict=False):
        slopes.append((x1 - x0) / (y1 - y0))
    slopes.append(0.0)
    points = [route[0]]
    for k, ((x0, y0), (x1, y1)) in enumerate(pairwise(route)):
        third = (y1 - y0) / (2 if len(route) == 2 else 3)
        points += [(x0 + slopes[k] * third, y0 + third), (x1 - slopes[k + 1] * third, y1 - third), (x1, y1)]
    return points


def path(route: list[tuple[float, float]]) -> str:
    """The curve as SVG."""
    start, *rest = [f"{x:.1f},{y:.1f}" for x, y in curve(route)]
    return f"M{start} C{' '.join(rest)}"


SHAPES = """
.cr{--paper:#fff;--ink:#1b2733;--soft:#4a5866;--line:#8a97a4;--note:#31506f}
.cr{font:13px system-ui,"DejaVu Sans",sans-serif;background:var(--paper)}
.cr rect{fill:var(--paper);stroke:var(--line);stroke-width:1.2}
.cr .input rect{fill:var(--in,#e8f1fb);stroke:var(--in-line,#2f6db3)}
.cr .output rect{fill:var(--out,#e9f6ec);stroke:var(--out-line,#2e8540)}
.cr .fold rect{fill:var(--fold,#f3eefa);stroke:var(--fold-line,#6f4fa6);stroke-width:2}
.cr text{fill:var(--ink);text-anchor:middle}.cr .value{fill:var(--soft)}
.cr .edge path{fill:none;stroke:var(--line);stroke-width:1.3}.cr marker path{fill:var(--line)}
.cr .tag text{font-size:11.5px;fill:var(--note)}.cr .tag rect{stroke:none}
""".replace("\n", "")


def svg(graph: Graph) -> str:
    """A picture that needs no other program, no script and no font of its own."""
    return drawing(graph).replace("<defs>", f"<style>{SHAPES}</style><defs>", 1)


def drawing(graph: Graph) -> str:
    """The SVG element without its style; nodes and edges carry their keys."""
    layout = laid_out(graph)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cr" role="img" viewBox="0 0 {layout.width:.0f} '
        f'{layout.height:.0f}" width="{layout.width:.0f}" height="{layout.height:.0f}">',
        f"<title>Computational graph of {escape(graph.title)}</title>",
        '<defs><marker id="cr-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0.8L7,4L0,7.2z"/></marker></defs>',
    ]
    parts += [_svg_edge(edge, route) for edge, route in zip(graph.edges, layout.routes, strict=True)]
    parts += [_svg_tag(edge, label) for edge, label in zip(graph.edges, layout.labels, strict=True) if _edge_text(edge)]
    for node, centre in zip(graph.nodes, layout.centres, strict=True):
        parts.append(_svg_node(node, centre))
    return "".join(parts) + "</svg>"


def _svg_edge(edge: Edge, route: list[tuple[float, float]]) -> str:
    full = f"{edge.source.key} to {edge.target.key}: {edge.label}{f' = {edge.value}' if edge.value else ''}"
    drawn = f'<path d="{path(route)}" marker-end="url(#cr-arrow)"/>'
    return f'<g class="edge" {_ends(edge)}><title>{escape(full)}</title>{drawn}</g>'


def _ends(edge: Edge) -> str:
    return f'data-from="{edge.source.key}" data-to="{edge.target.key}"'


def _svg_tag(edge: Edge, centre: tuple[float, float]) -> str:
    """The label of an edge, on paper of its own: no other edge runs through it."""
    text = _edge_text(edge)
    x, y = centre
    w = 0.85 * _text_width(text) + 4
    paper = f'<rect x="{x - w / 2:.1f}" y="{y - 8:.1f}" width="{w:.1f}" height="16"/>'
    return f'<g class="tag" {_ends(edge)}>{paper}<text x="{x:.1f}" y="{y + 4:.1f}">{escape(text)}</text></g>'


def _svg_node(node: Node, centre: tuple[float, float]) -> str:
    x, y, w, h = box(node, centre)
    radius = h / 2 if node.kind in ("input", "output") else 6
    title, value = _lines(node)
    place = node.place
    source = f"\n{place}: {place.source}" if place is not None and str(place) else ""
    full = escape(f"{node.title} = {node.detail}{source}")
    return (
        f'<g class="node {node.kind}" data-key="{node.key}"><title>{full}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{radius:.0f}"/>'
        f'<text x="{centre[0]:.1f}" y="{centre[1] - 4:.1f}">{escape(title)}</text>'
        f'<text class="value" x="{centre[0]:.1f}" y="{centre[1] + 14:.1f}">{escape(value)}</text></g>'
    )


def plot(graph: Graph, ax: Any) -> Any:
    """Draw into Matplotlib axes."""
    patches, Path = load("matplotlib.patches"), load("matplotlib.path").Path
    layout = laid_out(graph)
    if ax is None:
        _, ax = load("matplotlib.pyplot").subplots(
            figsize=(layout.width / 90, layout.height / 90), layout="constrained"
        )
    for edge, route, (x, y) in zip(graph.edges, layout.routes, layout.labels, strict=True):
        points = curve(route)
        codes = [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)]
        ax.add_patch(patches.PathPatch(Path(points, codes), fill=False, edgecolor="#8a97a4", linewidth=1))
        ax.annotate(
            "", route[-1], (route[-1][0], route[-1][1] - 6), arrowprops={"arrowstyle": "-|>", "color": "#8a97a4"}
        )
        if _edge_text(edge):
            background = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85}
            ax.text(x, y, _edge_text(edge), ha="center", va="center", fontsize=7, color="#31506f", bbox=background)
    fills = {"input": "#e8f1fb", "operation": "white", "output": "#e9f6ec", "fold": "#f3eefa"}
    for node, centre in zip(graph.nodes, layout.centres, strict=True):
        left, top, w, h = box(node, centre)
        shape = f"round,pad=0,rounding_size={h / 2 if node.kind in ('input', 'output') else 6}"
        ax.add_patch(
            patches.FancyBboxPatch((left, top), w, h, boxstyle=shape, facecolor=fills[node.kind], edgecolor="#7a8794")
        )
        ax.text(*centre, "\n".join(_lines(node)), ha="center", va="center", fontsize=8)
    ax.set(xlim=(0, layout.width), ylim=(layout.height, 0), aspect="equal")
    ax.axis("off")
    return ax
