"""The pictures of the pages and of the README, each for light and for dark paper: ``python docs/pictures.py``.

Everything that is shown is measured or counted by the library itself: `cr.trace`, `cr.compare`, `report.curves`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import chainrule as cr
from chainrule.report import curves

FOLDER = Path(__file__).parent / "pictures"
INK = {"light": "#1b2733", "dark": "#e7edf3"}
GRAPH = {  # of the graph's style sheet, for dark paper
    "paper": "#1a2129", "ink": "#e7edf3", "soft": "#a9b7c4", "line": "#74828f", "note": "#a6c8ee",
    "in": "#16324f", "in-line": "#5b9bd9", "out": "#173a22", "out-line": "#54b06a",
}  # fmt: skip
BRIGHTER = {"#000000": "#e7edf3", "#0072b2": "#56b4e9", "#d55e00": "#ff9248", "#009e73": "#3fd0a4"}


def f(x1: Any, x2: Any) -> Any:
    shared = x1 * x2
    return shared + np.exp(shared) - np.sin(x2)


PLOTS: dict[str, Callable[[Any], Any]] = {
    "steps": lambda ax: cr.compare(f, 1.5, 0.5).plot_steps(ax=ax),
    "swell": lambda ax: curves.swell("composition", [1, 2, 3, 4, 5, 6, 7, 8]).plot(ax),
    "modes": lambda ax: curves.modes(32, (1, 4, 16, 64, 256)).plot(ax),
    "memory": lambda ax: curves.memory(np.sin, np.ones(1000), (10, 20, 40, 80, 160)).plot(ax),
}


@contextmanager
def paper(tone: str) -> Iterator[None]:
    """Matplotlib's settings for pictures without a background of their own, the same bytes each time."""
    ink = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK[tone])
    fixed = {"svg.hashsalt": "chainrule", "savefig.transparent": True, "axes.spines.top": False}
    with mpl.rc_context({**ink, **fixed, "axes.spines.right": False, "font.size": 11, "axes.titlesize": 12}):
        yield


def plot(name: str, tone: str) -> None:
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    ax = PLOTS[name](figure.subplots())
    if tone == "dark":
        for line in (*ax.lines, *ax.get_legend().get_lines()):
            colour = to_hex(line.get_color())
            line.set_color(BRIGHTER.get(colour, colour))
            if line.get_markeredgecolor() != "none":
                line.set_markeredgecolor(line.get_color())
    figure.savefig(FOLDER / f"{name}-{tone}.svg", metadata={"Date": None})


def graph(tone: str) -> None:
    picture = cr.trace(f, 1.5, 0.5).svg()
    if tone == "dark":
        colours = "".join(f"--{key}:{value};" for key, value in GRAPH.items())
        picture = re.sub(r"\.cr\{--paper[^}]*\}", f".cr{{{colours}}}", picture, count=1)
    (FOLDER / f"graph-{tone}.svg").write_text(picture + "\n", encoding="utf-8")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for tone in INK:
        graph(tone)
        with paper(tone):
            for name in PLOTS:
                plot(name, tone)


if __name__ == "__main__":
    main()
