"""What the commands are asked for, in words; nothing is read or evaluated here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """The arguments and options that commands on a function share.

    Attributes
    ----------
    target : str
        An expression, or ``FILE.py:function``.
    values : tuple of str
        ``NAME=VALUE``.
    wrt : tuple of str
        Names to differentiate by; empty for all.
    json : bool
        Whether the result is printed as JSON.
    html : Path or None
        Where a page is written.
    open : bool
        Whether the page is opened in a browser.
    """

    target: str
    values: tuple[str, ...] = ()
    wrt: tuple[str, ...] = ()
    json: bool = False
    html: Path | None = None
    open: bool = False
