"""The curves show what theory says of them, and their plots are drawn."""

from __future__ import annotations

import matplotlib
import matplotlib.figure
import numpy as np
import pytest

from chainrule.errors import ArgumentError
from chainrule.report import curves

matplotlib.use("Agg")


def test_formulae_of_products_grow_with_the_square_of_the_factors() -> None:
    found = curves.swell("product", [3, 6, 12])
    np.testing.assert_array_equal(found.series["symbolic"], [n * (n - 2) for n in (3, 6, 12)])
    np.testing.assert_array_equal(found.series["reverse mode"], [3 * (n - 1) + n for n in (3, 6, 12)])


def test_formulae_of_compositions_grow_exponentially_and_the_trace_does_not() -> None:
    found = curves.swell("composition", [2, 3, 4, 5])
    growth = found.series["symbolic"][1:] / found.series["symbolic"][:-1]
    assert (growth > 2).all()
    assert len(set(found.series["trace per step"])) == 1
    np.testing.assert_array_equal(np.diff(found.series["reverse mode"]), 8)


def test_the_modes_cross_where_outputs_are_as_many_as_inputs() -> None:
    found = curves.modes(16, [1, 4, 64, 256])
    assert 12 < found.crossing("forward mode", "reverse mode") < 20
    assert np.isnan(curves.modes(64, [1, 2]).crossing("forward mode", "reverse mode"))
    assert (curves.modes(4, [1, 2], "seconds").series["forward mode"] > 0).all()


def test_memory_grows_with_the_length_of_the_loop() -> None:
    found = curves.memory(lambda x: x * np.sin(x), np.ones(500), [4, 8, 16])
    per_step = np.diff(found.series["reverse mode"]) / np.diff(found.at)
    assert ((per_step > 2 * 4000) & (per_step < 3 * 4000)).all()  # x and sin x of each step


def test_curves_are_text_a_frame_and_a_plot() -> None:
    found = curves.Curves("title", "n", "operations", [1, 2], {"forward mode": [1, 4], "symbolic, after CSE": [2, 3]})
    assert str(found).splitlines()[0] == "title: operations"
    assert found.to_dataframe().loc[2, "forward mode"] == 4
    figure = matplotlib.figure.Figure()
    ax = figure.subplots()
    assert found.plot(ax) is ax
    assert [line.get_label() for line in ax.get_lines()] == list(found.series)
    assert ax.get_xlabel() == "n"
    assert 1 < found.crossing("forward mode", "symbolic, after CSE") < 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: curves.swell("tower"),
        lambda: curves.modes(measure="bytes"),
        lambda: curves.Curves("", "", "", [1], {"a": [1]}).crossing("a", "b"),
    ],
)
def test_wrong_names_raise(call) -> None:
    with pytest.raises(ArgumentError):
        call()
