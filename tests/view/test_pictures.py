"""Pictures: golden Mermaid, DOT and SVG, well-formed and complete; Matplotlib draws the same boxes."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

import chainrule as cr
from tests.view import golden
from tests.view.functions import POINTS, batch, nested, network, survey

matplotlib.use("Agg")


@pytest.mark.parametrize("f", [nested, survey], ids=lambda f: f.__name__)
def test_golden(f: Any) -> None:
    trace = cr.trace(f, *POINTS[f])
    golden.check(f"{f.__name__}.mmd", trace.mermaid())
    golden.check(f"{f.__name__}.dot", trace.dot())
    golden.check(f"{f.__name__}.svg", trace.svg() + "\n")


def awkward(x: Any) -> Any:
    text = {'a<b>&"c"': x}
    value = text['a<b>&"c"']
    return np.where(value > 0, value[::2].sum(), 0.0)


@pytest.mark.parametrize(
    ("f", "args"),
    [(network, batch()), (lambda p: p['a<b>&"|c'][::2].sum(), ({'a<b>&"|c': np.ones(5)},)), (abs, (0.0,))],
)
def test_svg_is_well_formed(f: Any, args: Any) -> None:
    trace = cr.trace(f, *args)
    tree = ElementTree.fromstring(trace.svg())
    classes = [g.get("class", "") for g in tree.iter("{http://www.w3.org/2000/svg}g")]
    assert sum("node" in c for c in classes) == len(trace.graph().nodes)
    assert classes.count("edge") == len(trace.graph().edges)
    assert classes.count("tag") == sum(bool(e.label or e.value) for e in trace.graph().edges)


def test_mermaid_has_no_character_that_it_reads_itself() -> None:
    text = cr.trace(lambda p: p['a<b>&"|c'][::2].sum(), {'a<b>&"|c': np.ones(5)}).mermaid()
    for label in re.findall(r'"(.*)"', text):
        assert not set(label.replace("<br/>", "")) & set('<>"|[]{}()')


def test_dot_quotes() -> None:
    text = cr.trace(lambda p: p['a"b\\'] * 2, {'a"b\\': 1.0}).dot()
    assert r"p[\'a\"b\\\\\']" in text or r"a\"b\\\\" in text


def test_matplotlib() -> None:
    trace = cr.trace(nested, *POINTS[nested])
    ax = trace.plot()
    found = trace.graph()
    texts = [t.get_text() for t in ax.texts if t.get_text()]
    assert len(texts) == len(found.nodes) + sum(bool(e.label) for e in found.edges)
    assert trace.plot(ax) is ax
    matplotlib.pyplot.close("all")


def test_notebooks_get_the_graph_and_the_tables() -> None:
    text = cr.trace(survey, *POINTS[survey])._repr_html_()
    assert text.count("<svg") == 1
    assert text.count("<table") == 2
    ElementTree.fromstring(text)


def test_data_frames() -> None:
    frame = cr.trace(nested, *POINTS[nested], mode="forward", seed=(0.0, 1.0)).to_dataframe()
    assert list(frame.columns) == ["row", "formula", "value", "tangent_formula", "tangent", "name", "line"]
    assert frame.tangent.iloc[-1] == pytest.approx(-1.3801655683)
    adjoint = cr.trace(nested, *POINTS[nested]).to_dataframe("adjoint")
    assert list(adjoint.formula[:2]) == ["v̄₆·v₅", "v̄₆·v₋₁"]
    assert adjoint.total.iloc[-1] == pytest.approx(-1.3801655683)
    assert cr.trace(nested, *POINTS[nested]).to_dataframe().adjoint.iloc[0] == pytest.approx(1.4678275)
