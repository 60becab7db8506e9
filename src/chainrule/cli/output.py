"""How results reach the user: tables, text and JSON on standard output, pages in files, progress on standard error.

On a terminal there are colours, unless NO_COLOR is set; elsewhere plain text of any width. Characters that the
encoding has not are written in ASCII.
"""

from __future__ import annotations

import html
import json
import math
import os
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from rich.box import Box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from chainrule.cli.request import Request
from chainrule.errors import ArgumentError

__all__ = ["Output", "note", "plain", "publish", "sheet", "track", "working", "write"]

_WIDE = 10_000
_BLANK = "    \n"
# A line under the headings, and nothing else.
_LINED = Box(f"{_BLANK * 2} ── \n{_BLANK * 5}".rstrip("\n"))
_LINED_IN_ASCII = Box(f"{_BLANK * 2} -- \n{_BLANK * 5}".rstrip("\n"), ascii=True)
_IN_ASCII = str.maketrans({"…": "...", "×": "x", "–": "-", "█": "#", "□": "_", "∂": "d"})


class Output:
    """What a command prints to."""

    def __init__(self, file: TextIO) -> None:
        self.console = _console(file)

    @property
    def notation(self) -> str:
        """How formulae are written."""
        return "unicode" if self.console.encoding.lower().startswith("utf") else "ascii"

    def show(self, *parts: RenderableType) -> None:
        """Print tables and lines, without blanks at the end of a line where nobody sees them."""
        for table in parts:
            if isinstance(table, Table) and self.notation == "ascii":
                table.box = _LINED_IN_ASCII
        if self.console.is_terminal and self.notation == "unicode":
            self.console.print(*parts, sep="\n")
            return
        with self.console.capture() as got:
            self.console.print(*parts, sep="\n")
        self.write("\n".join(line.rstrip() for line in got.get().rstrip("\n").split("\n")))

    def write(self, text: str) -> None:
        """Print text as it is, as far as the encoding goes."""
        if self.notation == "ascii":
            text = text.translate(_IN_ASCII)
        self.console.file.write(text if text.endswith("\n") else text + "\n")

    def json(self, data: Any) -> None:
        """Print data as JSON; numbers that it has not are the words NaN, Infinity and -Infinity."""
        self.write(json.dumps(plain(data), indent=2, ensure_ascii=self.notation == "ascii", allow_nan=False))


def _console(file: TextIO) -> Console:
    colours = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(file=file, color_system=colours, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]
    if not console.is_terminal:
        console.width = _WIDE
    return console


def sheet(
    heads: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    styles: dict[str, str] | None = None,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    title: str = "",
    strong: int | None = None,
) -> Table:
    """A table; columns are named by their headings, the rows from `strong` on are the results."""
    table = Table(box=_LINED, show_edge=False, padding=(0, 1, 0, 0), header_style="dim", border_style="dim")
    if title:
        table.title, table.title_justify, table.title_style = title, "left", "bold"
    for head in heads:
        justify: Literal["left", "right"] = "right" if head in right else "left"
        style = (styles or {}).get(head)
        table.add_column(head, style=style, justify=justify, no_wrap=head in (*right, *whole))
    for k, row in enumerate(rows):
        table.add_row(*row, style=Style(bold=strong is not None and k >= strong))
    return table


def plain(value: Any) -> Any:
    """Numbers, arrays and containers as what JSON knows."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, complex):
        return {"real": plain(value.real), "imag": plain(value.imag)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


# -- standard error -----------------------------------------------------------------------------------


def note(text: str) -> None:
    """Say something that is not part of the result."""
    _console(sys.stderr).print(Text(f"chainrule: {text}", style="dim"), soft_wrap=True)


def working(text: str) -> AbstractContextManager[Any]:
    """Say what is going on, while it goes on; nothing where there is no terminal."""
    return _console(sys.stderr).status(Text(text, style="dim"))


def track(items: Sequence[Any], text: str) -> Iterable[Any]:
    """Go through items with a progress bar, which leaves nothing behind."""
    console = _console(sys.stderr)
    columns = (
        TextColumn("{task.description}", style="dim"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, description=text)


# -- files and pages ----------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    """Write a file, and say so."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"cannot write {path}: {error.strerror or error}") from None
    note(f"wrote {path}")


def publish(request: Request, page: Callable[[], str]) -> None:
    """Write the page, if one is wanted, and open it."""
    if request.html is None and not request.open:
        return
    path = request.html or Path(tempfile.mkdtemp(prefix="chainrule-")) / "page.html"
    write(path, page())
    if request.open and not webbrowser.open(path.resolve().as_uri()):
        note(f"there is no browser to open {path}")


def document(title: str, *parts: str) -> str:
    """A page of its own of pieces of HTML."""
    return _PAGE.format(title=html.escape(title), body="\n".join(parts))


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root{{color-scheme:light dark}}
body{{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}}
th,td{{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884;white-space:nowrap}}
svg{{max-width:100%;height:auto;background:#fff;margin:1rem 0}}
</style></head><body><h1>{title}</h1>
{body}
</body></html>
"""
