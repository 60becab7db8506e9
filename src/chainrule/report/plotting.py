"""What all plots share: the axes they are drawn on, the colours, and which line is which."""

from __future__ import annotations

from typing import Any

from chainrule.extras import load

__all__ = ["COLOURS", "axes", "finish"]

# Okabe and Ito's colours, told apart by those who see few of them.
COLOURS = {
    "forward": "#0072b2",
    "central": "#009e73",
    "complex": "#cc79a7",
    "reverse": "#d55e00",
    "symbolic": "#e69f00",
    "manual": "#56b4e9",
    "trace": "#000000",
}


def axes(ax: Any = None) -> Any:
    """The given axes, or those of a new figure."""
    return load("matplotlib.pyplot").subplots(figsize=(7, 4.5), layout="constrained")[1] if ax is None else ax


def finish(ax: Any, title: str, x: str, y: str, log: str = "xy") -> Any:
    """Title, labels, scales and a legend; the axes again."""
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")
    ax.grid(True, which="major", alpha=0.3)
    ax.legend(frameon=False)
    return ax
