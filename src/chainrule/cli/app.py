"""The commands and their options. What a command does is imported when it runs, so that help comes at once."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli.guard import Guard
from chainrule.cli.request import Request
from chainrule.errors import ArgumentError

__all__ = ["app", "run"]

app = typer.Typer(
    name="chainrule",
    help="Exact derivatives of Python functions and of expressions, seen and checked.",
    epilog='Example:  chainrule trace "x1*x2 + exp(x1*x2) - sin(x2)" x1=1.5 x2=0.5',
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_USAGE: Any = typer.BadParameter.__mro__[1]  # `UsageError`, which Typer takes from Click or has of its own


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code; bad input raises `ArgumentError`."""
    words = [f"({word})" if re.match("-[^-]", word) and word != "-h" else word for word in argv]  # -x**2 is no option
    try:
        return int(app(words or ["--help"], prog_name="chainrule", standalone_mode=False) or 0)
    except _USAGE as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "chainrule"
        message = error.format_message().rstrip(".").replace("Value error, ", "")
        raise ArgumentError(f"{message} ({command} --help says more)") from None
    except SystemExit as error:  # what Typer makes of a reader that has gone
        raise error.__context__ if isinstance(error.__context__, BrokenPipeError) else error from None


def _work(module: str, command: str, *args: Any) -> int:
    """Do what a command says, in a module that is imported for it."""
    with Guard() as file:
        output = importlib.import_module("chainrule.cli.output").Output(file)
        found = getattr(importlib.import_module(f"chainrule.cli.{module}"), command)
        code: int = found(*args, output)
    return code


class _Mode(StrEnum):
    reverse = "reverse"
    forward = "forward"


class _Table(StrEnum):
    table = "table"
    markdown = "markdown"
    latex = "latex"


class _Picture(StrEnum):
    mermaid = "mermaid"
    dot = "dot"
    svg = "svg"
    html = "html"


class _Stage(StrEnum):
    derivative = "derivative"
    compiled = "compiled"


_Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help='An expression such as "x1*x2 + sin(x2)", or FILE.py:function.', show_default=False
    ),
]
_Values = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME=VALUE",
        help="Values of the arguments: numbers, lists, or files .npy, .npz, .csv.",
        show_default=False,
    ),
]
_At = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="The same as an option.", show_default=False)]
_Wrt = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME,...", help="Differentiate by these only; all numbers.", show_default=False),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Html = Annotated[Path | None, typer.Option(metavar="PATH", help="Write a page for the browser.", show_default=False)]
_Open = Annotated[bool, typer.Option("--open", help="Open the page in a browser.")]
_Nodes = Annotated[int, typer.Option(min=1, help="Larger graphs are folded by line, loop and function.")]


def _request(
    target: str,
    values: list[str] | None,
    at: list[str] | None,
    wrt: list[str] | None,
    json: bool,
    html: Path | None = None,
    open: bool = False,
) -> Request:
    return Request(target, (*(values or ()), *(at or ())), tuple(wrt or ()), json, html, open)


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"chainrule {importlib.import_module('chainrule').__version__}")
        raise typer.Exit


@app.command(epilog='Example:  chainrule trace "x1*x2 + exp(x1*x2) - sin(x2)" x1=1.5 x2=0.5 --mode forward')
def trace(
    target: _Target,
    values: _Values = None,
    at: _At = None,
    wrt: _Wrt = None,
    mode: Annotated[_Mode, typer.Option(help="Show adjoints (reverse) or tangents (forward).")] = _Mode.reverse,
    seed: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Direction of forward mode; the first input.", show_default=False),
    ] = None,
    format: Annotated[_Table, typer.Option(help="How the tables are written.")] = _Table.table,
    max_rows: Annotated[int, typer.Option(min=2, help="Of longer tables the middle is left out.")] = 200,
    json: _Json = False,
    html: _Html = None,
    open: _Open = False,
) -> int:
    """The evaluation trace: every operation, its derivative."""
    request = _request(target, values, at, wrt, json, html, open)
    return _work("seeing", "trace", request, mode.value, tuple(seed or ()), format.value, max_rows)


@app.command(epilog='Example:  chainrule graph "log(x)*sin(x)**2" x=2 --output graph.svg')
def graph(
    target: _Target,
    values: _Values = None,
    at: _At = None,
    wrt: _Wrt = None,
    format: Annotated[
        _Picture | None, typer.Option(help="By default what the ending of PATH says, or mermaid.", show_default=False)
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="PATH", help="Write it to a file.", show_default=False)] = None,
    max_nodes: _Nodes = 60,
    json: _Json = False,
    html: _Html = None,
    open: _Open = False,
) -> int:
    """The computational graph, partial derivatives on its edges."""
    request = _request(target, values, at, wrt, json, html, open)
    return _work("seeing", "graph", request, format.value if format else None, output, max_nodes)


@app.command(epilog='Example:  chainrule compare "x1*x2 + exp(x1*x2) - sin(x2)" x1=1.5 x2=0.5')
def compare(
    target: _Target,
    values: _Values = None,
    at: _At = None,
    wrt: _Wrt = None,
    manual: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:df",
            help="Your derivative, checked: takes the same arguments, returns one derivative for each.",
            show_default=False,
        ),
    ] = None,
    json: _Json = False,
    html: _Html = None,
    open: _Open = False,
) -> int:
    """Manual, numerical, symbolic, automatic: side by side."""
    return _work("seeing", "compare", _request(target, values, at, wrt, json, html, open), manual)


@app.command(epilog="Example:  chainrule explain model.py:loss --at w=[0.0,1.0] --at x=2.0")
def explain(
    target: _Target,
    values: _Values = None,
    at: _At = None,
    wrt: _Wrt = None,
    json: _Json = False,
    html: _Html = None,
    open: _Open = False,
) -> int:
    """Kinks touched, births of NaN and infinity, digits confirmed.

    The exit code is 1 if something is found.
    """
    return _work("seeing", "explain", _request(target, values, at, wrt, json, html, open))


@app.command(epilog="Example:  chainrule grad model.py:loss --at a=1.0 --at b=[1,2]")
def grad(target: _Target, values: _Values = None, at: _At = None, wrt: _Wrt = None, json: _Json = False) -> int:
    """The value and the gradient.

    Of a function that returns an array, the Jacobian.
    """
    return _work("derivatives", "grad", _request(target, values, at, wrt, json))


@app.command(epilog="Example:  chainrule source model.py:loss --at w=[1.0,2.0]")
def source(
    target: _Target,
    values: _Values = None,
    at: _At = None,
    wrt: _Wrt = None,
    stage: Annotated[_Stage, typer.Option(help="The readable program, or what the compiler gets.")] = _Stage.derivative,
    primal: Annotated[bool, typer.Option("--primal", help="The function itself instead of its gradient.")] = False,
    json: _Json = False,
) -> int:
    """The Python source of the gradient, written by native mode.

    Only the types of the values matter; arguments without a value are taken for numbers.
    """
    return _work("derivatives", "source", _request(target, values, at, wrt, json), stage.value, primal)


@app.command(epilog="Example:  chainrule check model.py:loss --at w=[1.0,2.0] --order 1")
def check(
    target: _Target,
    values: _Values = None,
    at: _At = None,
    wrt: _Wrt = None,
    order: Annotated[int, typer.Option(min=1, max=4, help="The highest derivative that is checked.")] = 2,
    native: Annotated[bool, typer.Option("--native", help="Check compiled derivatives.")] = False,
    json: _Json = False,
) -> int:
    """Check derivatives against differences and each other.

    Arguments without a value are taken for numbers. The exit code is 1 if a derivative is wrong.
    """
    return _work("derivatives", "check", _request(target, values, at, wrt, json), order, native)


@app.command(epilog='Example:  chainrule bench "log(x)*sin(x)**2" x=2')
def bench(
    target: _Target,
    values: _Values = None,
    at: _At = None,
    wrt: _Wrt = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="How long each row is timed.")] = 0.5,
    json: _Json = False,
) -> int:
    """Time the function and its gradient in every mode."""
    return _work("bench", "bench", _request(target, values, at, wrt, json), seconds)


@app.command(epilog='Example:  chainrule rules "arc*"')
def rules(
    pattern: Annotated[str, typer.Argument(help="Names to show; * and ? stand for any characters.")] = "*",
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="elementwise, linear, multilinear, general, index, join.")
    ] = None,
    json: _Json = False,
) -> int:
    """The table of derivative rules."""
    return _work("rules", "rules", pattern, kind, json)
