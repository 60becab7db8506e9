"""The commands that compute: `grad`, `source`, `check`."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.syntax import Syntax
from rich.text import Text

from chainrule.api import grad as gradient
from chainrule.cli.guard import line_of
from chainrule.cli.output import Output, note, working
from chainrule.cli.points import Point, point
from chainrule.cli.request import Request
from chainrule.jacobians import jacobian
from chainrule.native import jit as native
from chainrule.report.explain import explain
from chainrule.testing import check_grads
from chainrule.view.naming import FORMULA

__all__ = ["check", "grad", "source"]


# -- grad ---------------------------------------------------------------------------------------------


def grad(request: Request, output: Output) -> int:
    """Print the value and the gradient."""
    at = point(request)
    value, derivative = _differentiated(at)
    found = dict(zip(at.chosen, derivative, strict=True))
    if request.json:
        output.json({**at.data, "value": value, "derivative": found})
        return 0
    name = at.function.__name__
    lines = {name: value, **{f"∂{name}/∂{key}": part for key, part in found.items()}}
    width = max(map(len, lines))
    output.show(Text(at.heading + "\n", style="bold"), *(_equation(k.ljust(width), v) for k, v in lines.items()))
    return 0


def _differentiated(at: Point) -> tuple[Any, tuple[Any, ...]]:
    """The value, and by each argument the gradient; the Jacobian if the value is an array."""
    value = at.function(*copy.deepcopy(at.args))
    if np.ndim(value) == 0:
        return value, gradient(at.function, at.wrt)(*at.args)
    return value, jacobian(at.function, at.wrt)(*at.args)


def _equation(label: str, value: Any) -> Text:
    """A number with all its digits; arrays as NumPy writes them."""
    if isinstance(value, np.ndarray):
        text = np.array2string(value, precision=8, threshold=200, max_line_width=88)
    else:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    indent = "\n" + " " * (len(label) + 3)
    return Text.assemble((label, "cyan"), (" = ", "dim"), (text.replace("\n", indent), "green"))


# -- source -------------------------------------------------------------------------------------------


def source(request: Request, stage: str, primal: bool, output: Output) -> int:
    """Print the program of the gradient, or of the function."""
    at = point(request, assume=True)
    if at.assumed and at.file:
        note(f"{', '.join(at.assumed)}: taken for numbers; for arrays give --at {at.assumed[0]}=[1.0, 2.0]")
    derivative = at.function if primal else gradient(at.function, at.wrt if len(at.wrt) > 1 else at.wrt[0])
    text = native.source(derivative, *at.args, stage=stage)
    if request.json:
        output.json({"function": at.text, "stage": stage, "source": text})
    elif output.console.is_terminal:
        output.show(Syntax(text.strip(), "python", theme="ansi_dark", background_color="default"))
    else:
        output.write(text)
    return 0


# -- check --------------------------------------------------------------------------------------------


def check(request: Request, order: int, compiled: bool, output: Output) -> int:
    """Print whether derivatives agree with differences; 1 if they do not, be it for a kink."""
    at = point(request, assume=True)
    function, args = at.narrowed()
    if compiled:
        function = native.jit(function)
    with working("comparing with differences"):
        wrong = _disagreement(function, args, order)
        kinks = _kinks(*at.narrowed()) if wrong else []
    if request.json:
        right = None if kinks else not wrong
        output.json({**at.data, "order": order, "right": right, "disagreement": wrong, "kinks": kinks})
        return 1 if wrong else 0
    if wrong:
        word, style = ("undecided: ", "bold yellow") if kinks else ("wrong: ", "bold red")
        lines = [Text.assemble((word, style), wrong)]
        if kinks:
            lines.append(Text(f"the point is at a kink, where differences prove nothing: {'; '.join(kinks)}"))
        output.show(Text(at.heading, style="bold"), *lines)
        return 1
    orders = "first derivatives" if order == 1 else f"derivatives up to order {order}"
    ways = "native mode agrees" if compiled else "forward and reverse mode agree"
    verdict = Text.assemble(("right: ", "bold green"), f"{orders} by {', '.join(at.chosen)}, {ways} with differences")
    output.show(Text(at.heading, style="bold"), verdict)
    return 0


def _disagreement(function: Callable[..., Any], args: tuple[Any, ...], order: int) -> str:
    """What the check says; empty if it passes."""
    try:
        check_grads(function, args, order=order)
    except AssertionError as error:
        if line_of(error) is not None:  # the user's own
            raise
        return re.sub(rf" \({FORMULA} \d+>:\d+\)", "", " ".join(str(error).split()))
    return ""


def _kinks(function: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """What keeps the derivative at a point from being the limit of differences, each once."""
    found = explain(function, *args).findings
    return list(dict.fromkeys(f.what for f in found if f.kind in ("kink", "jump", "branch")))
