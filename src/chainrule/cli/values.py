"""Values typed on the command line: numbers, lists, containers of them, and files of numbers.

``x=1.5``, ``x=pi/4``, ``x=[[1, 2], [3, 4]]``, ``p={'a': 1.0}``, ``x=data.npy``, ``x=data.npz:name``,
``x=table.csv``, ``x=table.csv:column``. Text is read by `ast.literal_eval` or, if it is a formula, by the white
list of `expressions`; a list of numbers is an array.
"""

from __future__ import annotations

import ast
import csv
import keyword
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.cli.expressions import constant
from chainrule.errors import ArgumentError

__all__ = ["assignments", "value"]

_FILE = re.compile(r"(?P<path>.+\.(?P<kind>npy|npz|csv))(?::(?P<part>.+))?", re.IGNORECASE | re.DOTALL)


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Names and values, from ``NAME=VALUE``."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, given = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier() or keyword.iskeyword(name):
            raise ArgumentError(f"{text!r} names no value: write NAME=VALUE, as in x=1.5")
        if name in found:
            raise ArgumentError(f"{name} is given twice")
        try:
            found[name] = value(given)
        except ArgumentError as error:
            raise ArgumentError(f"{name}={given}: {error}") from None
    return found


def value(text: str) -> Any:
    """What a text stands for."""
    try:
        return _arrays(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    file = _FILE.fullmatch(text)
    if file is not None:
        return _read(Path(file["path"]), file["kind"].lower(), file["part"])
    try:
        return constant(text)
    except ArgumentError as error:
        raise ArgumentError(f"{error}; a value is a number, a list, or a file .npy, .npz or .csv") from None


def _arrays(given: Any) -> Any:
    """Lists of numbers as arrays, also inside of tuples and dictionaries."""
    if isinstance(given, dict):
        return {key: _arrays(item) for key, item in given.items()}
    if isinstance(given, tuple):
        return tuple(map(_arrays, given))
    if not isinstance(given, list):
        return given
    try:
        array = np.array(given)
    except ValueError:
        raise ArgumentError("the rows of a list must be of one length") from None
    if array.dtype.kind not in "iufcb":
        raise ArgumentError("a list holds numbers only; write a tuple (…) for a container")
    return array if array.size else array.astype(float)


# -- files --------------------------------------------------------------------------------------------


def _read(path: Path, kind: str, part: str | None) -> Any:
    try:
        if kind == "csv":
            return _table(path, part)
        found = np.load(path, allow_pickle=False)
        return found if kind == "npy" else _member(found, part)
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise ArgumentError(f"{path} cannot be read as .{kind}: {error}") from None


def _member(archive: Any, part: str | None) -> Any:
    with archive:
        if part is None and len(archive.files) == 1:
            (part,) = archive.files
        if part not in archive.files:
            raise ArgumentError(f"choose one of the arrays {', '.join(archive.files)}: FILE.npz:{archive.files[0]}")
        return archive[part]


def _table(path: Path, part: str | None) -> Any:
    """The numbers of a table, of one column if it is named; a first line of words is its heading."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = [cell.strip() for cell in next(csv.reader(file), [])]
    if not first:
        raise ArgumentError(f"{path} is empty")
    heading = not all(map(_is_number, first))
    if part is not None and (not heading or part not in first):
        names = ", ".join(first) if heading else "none, for it has no heading"
        raise ArgumentError(f"{path} has no column {part!r}; there are {names}")
    column = None if part is None else first.index(part)
    found = np.loadtxt(path, delimiter=",", skiprows=int(heading), usecols=column, ndmin=1, encoding="utf-8-sig")
    return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
