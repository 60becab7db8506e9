"""The graph: nodes, edges with partials, and folds that keep it small, acyclic and quick."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.view.graph import Graph
from tests.view.functions import POINTS, nested, survey, terms


def graph(f: Any, *args: Any, most: int = 60) -> Graph:
    return cr.trace(f, *args).graph(most)


def test_nodes_and_edges() -> None:
    found = graph(nested, *POINTS[nested])
    assert [n.title for n in found.nodes] == [
        "v₋₁ = x1",
        "v₀ = x2",
        "v₁ = v₀²",
        "v₂ = sin(v₁)",
        "v₃ = v₋₁/v₂",
        "v₄ = log(v₃)",
        "v₅ = √v₄",
        "v₆ = v₋₁·v₅",
        "y",
    ]
    assert found.nodes[0].children == [found.nodes[4], found.nodes[7]]
    assert found.nodes[4].parents == [found.nodes[0], found.nodes[3]]
    labels = {(e.source.key, e.target.key): (e.label, e.value) for e in found.edges}
    assert labels["v2", "v3"] == ("−v₋₁/v₂²", "-2.82457")
    assert labels["v6", "y0"] == ("", "")
    assert labels["v4", "v5"] == ("½·v₄^(−½)", "0.53737")


def test_an_operand_used_twice_is_one_edge_with_two_partials() -> None:
    (edge, _) = graph(lambda x: x * x, 3.0).edges
    assert [value for _, value in edge.partials] == [3.0, 3.0]
    assert edge.label == "v₀"


def test_a_step_function_is_connected_without_a_partial() -> None:
    edge = graph(lambda x: np.floor(x) * 2.0, 3.5).edges[0]
    assert (edge.source.key, edge.target.key, edge.partials) == ("v0", "v1", [])


# -- folds --------------------------------------------------------------------------------------------


def step(y: Any, x: Any) -> Any:
    a = np.sin(y)
    return a * x + y / 2


def loop(x: Any, n: int) -> Any:
    y = x
    scale = np.exp(x)
    for _ in range(n):
        y = step(y, x)
    return y * scale


def two_lines(x: Any, n: int) -> Any:
    a, b = x, x + 1.0
    for _ in range(n):
        a = np.sin(b)
        b = a * x
    return a + b


def separate(x: Any, n: int) -> Any:
    first = [x * k for k in range(n)]
    second = [np.cos(y) for y in first]
    return sum(second)


def straight(n: int) -> Any:
    lines = "\n".join(f"    y = y * {1 + 1 / (k + 1)}" for k in range(n))
    scope: dict[str, Any] = {}
    exec(f"def f(x):\n    y = x\n{lines}\n    return y", scope)
    return scope["f"]


FOLDED = {
    "loop with a call": (loop, (0.5, 500)),
    "two lines that feed each other": (two_lines, (0.5, 500)),
    "lines one after the other": (separate, (0.5, 500)),
    "straight code": (straight(500), (0.5,)),
}


@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("most", [5, 20, 60])
def test_folds(name: str, most: int) -> None:
    f, args = FOLDED[name]
    trace = cr.trace(f, *args, argnums=0)
    found = trace.graph(most)
    inner = [n for n in found.nodes if n.kind in ("operation", "fold")]
    assert len(inner) <= most
    rows = [row for node in inner for row in node.rows]
    assert sorted(row.label.index for row in rows) == list(range(1, len(rows) + 1))  # every operation, once
    place = {node: k for k, node in enumerate(found.nodes)}
    assert all(place[e.source] < place[e.target] for e in found.edges)  # a topological order: no cycles
    assert found.folded == sum(len(n.rows) for n in inner if n.kind == "fold")


def test_a_fold_says_where_it_is() -> None:
    (fold,) = [n for n in graph(lambda x: loop(x, 500), 0.5, most=5).nodes if n.kind == "fold"]
    assert "<lambda>, line" in fold.detail
    assert "2,000 operations" in fold.detail
    assert fold.place is not None


def late(x: Any, n: int) -> Any:
    total = 0.0
    for k in range(n):
        total = total + np.sin(x) * k  # nothing is added to in the first round
    return total * x


def uneven(x: Any, n: int) -> Any:
    for k in range(n):
        x = np.sin(x) if bin(k).count("1") % 2 else x * 1.5
    return x


def squarings(x: Any, n: int) -> Any:
    for _ in range(n):
        y = x * x * x * x * x
        x = np.cos(y)
    return x


@pytest.mark.parametrize(
    ("f", "shown"),
    [
        (two_lines, ["v₁ = v₀ + 1", "v₂ = sin(v₁)", "v₃ = v₂·v₀", "fold", "v₁₀₀₀ = sin(v₉₉₉)", "v₁₀₀₁ = v₁₀₀₀·v₀"]),
        (squarings, [*["v₁ = v₀·v₀", "v₂ = v₁·v₀", "v₃ = v₂·v₀", "v₄ = v₃·v₀", "v₅ = cos(v₄)"], "fold"]),
        (uneven, ["fold", "y"]),
    ],
)
def test_a_loop_shows_its_first_and_its_last_round(f: Any, shown: list[str]) -> None:
    found = [n.title if n.kind != "fold" else "fold" for n in graph(lambda x: f(x, 500), 0.5).nodes]
    assert found[1 : 1 + len(shown)] == shown
    assert found.count("fold") == 1


def test_the_first_round_of_a_loop_may_be_shorter() -> None:
    found = [n.title if n.kind != "fold" else "fold" for n in graph(lambda x: late(x, 500), 0.5, most=10).nodes]
    assert found[1:4] == ["v₁ = sin(v₀)", "v₂ = v₁·0", "v₃ = 0 + v₂"]
    assert found.count("fold") == 1


def test_a_small_graph_is_not_folded() -> None:
    assert graph(terms, *POINTS[terms], most=7).folded == 0
    assert graph(survey, *POINTS[survey], most=4).folded > 0


def test_ten_thousand_operations_are_legible_and_quick() -> None:
    trace = cr.trace(loop, 0.5, 2500, argnums=0)
    start = time.perf_counter()
    found = trace.graph()
    text, picture = trace.text(), trace.svg()
    page = trace.to_html()
    assert time.perf_counter() - start < 15
    assert len(found.nodes) < 70
    assert found.folded >= 9_900
    assert "more" in text
    assert len(text.splitlines()) < 450
    assert len(picture) < 60_000
    assert len(page) < 300_000
    assert trace.derivative == pytest.approx((cr.grad(loop)(0.5, 2500),))
