"""`trace`, `graph`, `compare`, `explain`: their data, their files, their exit codes."""

from __future__ import annotations

import json
import math
import re
import webbrowser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from chainrule.cli.main import main

POLYNOMIAL = ("x1*x2 + exp(x1*x2) - sin(x2)", "x1=1.5", "x2=0.5")
# By hand: v = x1 x2; df/dx1 = x2 (1 + e^v), df/dx2 = x1 (1 + e^v) - cos x2.
GRADIENT = {"x1": 0.5 * (1 + math.exp(0.75)), "x2": 1.5 * (1 + math.exp(0.75)) - math.cos(0.5)}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(
        "import numpy as np\n\ndef f(x, n, y):\n    return y * np.sum(np.maximum(x, 0.0) ** n)\n"
    )


def run(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main(argv) == code
    return capsys.readouterr().out


def data(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    return json.loads(run(capsys, *argv, "--json", code=code))


def test_trace_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "trace", *POLYNOMIAL)
    assert found["derivative"] == pytest.approx(GRADIENT, rel=1e-14)
    assert [row["kind"] for row in found["rows"]] == ["input"] * 2 + ["operation"] * 5 + ["output"]
    assert found["rows"][3] == {
        "row": "v₂",
        "kind": "operation",
        "formula": "exp(v₁)",
        "value": pytest.approx(math.exp(0.75)),
        "adjoint": 1.0,
        "name": "",
        "line": "",
    }
    (to_sine,) = [a for a in found["accumulations"] if a["partial"] == "cos(v₀)"]
    assert to_sine["adds"] == pytest.approx(-math.cos(0.5))


def test_trace_of_forward_mode_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "trace", *POLYNOMIAL, "--mode", "forward", "--seed", "x1=2", "--seed", "x2=1")
    assert found["derivative"] == pytest.approx(2 * GRADIENT["x1"] + GRADIENT["x2"])
    assert found["rows"][0]["tangent"] == 2


@pytest.mark.parametrize(
    ("format", "words"), [("markdown", "| v₁ | v₋₁·v₀ | 0.75 |"), ("latex", r"v_{1} = & v_{-1} \, v_{0} & 0.75")]
)
def test_trace_for_documents(format: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in run(capsys, "trace", *POLYNOMIAL, "--format", format)


def test_some_arguments_are_fixed(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("model.py:f", "x=[1.0,2.0,-1.0]", "n=2", "y=3.0", "--wrt", "x,y")
    assert data(capsys, "trace", *argv)["derivative"] == {"x": [6.0, 12.0, 0.0], "y": 5.0}
    compared = data(capsys, "compare", *argv)
    assert compared["names"] == ["x[0]", "x[1]", "x[2]", "y"]
    assert compared["reference"] == pytest.approx([6, 12, 0, 5])
    assert data(capsys, "explain", *argv)["gradient"] == {"x": [6.0, 12.0, 0.0], "y": 5.0}


# -- graph --------------------------------------------------------------------------------------------


def test_graph_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "graph", *POLYNOMIAL)
    keys = {node["key"] for node in found["nodes"]}
    assert len(keys) == 8
    assert all({edge["from"], edge["to"]} <= keys for edge in found["edges"])
    assert {"cos(v₀)", "v₂"} <= {edge["partial"] for edge in found["edges"]}


def test_graph_as_dot(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "graph", *POLYNOMIAL, "--format", "dot").startswith('digraph "f" {')


def test_graph_as_svg(capsys: pytest.CaptureFixture[str]) -> None:
    assert ElementTree.fromstring(run(capsys, "graph", *POLYNOMIAL, "--format", "svg")).tag.endswith("svg")


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("g.mmd", "flowchart TD"),
        ("g.dot", "digraph"),
        ("g.SVG", "<svg"),
        ("g.html", "<!doctype html>"),
        ("g.txt", "flowchart"),
    ],
)
def test_the_ending_says_which_picture(name: str, start: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "graph", *POLYNOMIAL, "--output", name) == ""
    assert Path(name).read_text().lower().startswith(start.lower())


def test_a_large_graph_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    Path("loop.py").write_text("def f(x):\n    for _ in range(300):\n        x = x * 1.01 + 0.1\n    return x\n")
    assert len(data(capsys, "graph", "loop.py:f", "x=1.0", "--max-nodes", "10")["nodes"]) <= 12


# -- compare and explain ------------------------------------------------------------------------------


def test_the_gradient_is_named_at_a_pole_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "explain", "sqrt(x) + y", "x=0", "y=1", code=1)
    assert found["gradient"] == {"x": "Infinity", "y": 1.0}
    assert found["findings"][0]["line"] == "(the expression)"


def test_a_right_derivative_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    Path("hand.py").write_text("def f(x, y):\n    return x * y * y\ndef df(x, y):\n    return y * y, 2 * x * y\n")
    out = run(capsys, "compare", "hand.py:f", "x=2.0", "y=3.0", "--manual", "hand.py:df")
    assert re.search(r"(?m)^by hand: right$", out)
    Path("wrong.py").write_text("def df(x, y):\n    return y * y, x * y\n")
    found = data(capsys, "compare", "hand.py:f", "x=2.0", "y=3.0", "--manual", "wrong.py:df", code=1)
    assert found["wrong"] == ["y: 6, but 12 is right"]


def test_compare_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "compare", *POLYNOMIAL)
    assert found["reference"] == pytest.approx(list(GRADIENT.values()), rel=1e-15)
    assert [row["method"] for row in found["rows"]][-2:] == ["forward mode", "reverse mode"]


def test_what_has_no_value_is_a_word_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, "explain", "sqrt(x)", "x=0", code=1)
    assert found["gradient"] == {"x": "Infinity"}
    assert [f["kind"] for f in found["findings"]] == ["not finite derivative"]


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no kinks, and nothing that is not finite" in run(capsys, "explain", "x**2", "x=3")


# -- pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("trace", 0, "exp(v₁)"),
        ("graph", 0, "exp(v₁)"),
        ("compare", 0, "complex step"),
        ("explain", 0, "digits confirmed"),
    ],
)
def test_pages_stand_alone(command: str, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, command, *POLYNOMIAL, "--html", "page.html", code=code)
    text = Path("page.html").read_text()
    assert words in text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)


def test_the_page_of_a_comparison_has_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "compare", *POLYNOMIAL, "--html", "page.html")
    assert Path("page.html").read_text().count("<svg") == 2


@pytest.mark.parametrize("can", [True, False])
def test_the_page_is_opened(can: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or can)
    assert main(["trace", *POLYNOMIAL, "--html", "page.html", "--open"]) == 0
    assert opened == [Path("page.html").resolve().as_uri()]
    assert ("no browser" in capsys.readouterr().err) is not can
