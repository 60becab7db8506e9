"""What the language of native mode leaves out: for each construct the reason, and what to write instead.

A row is named after a class of syntax nodes, or after what a node is used for. `refuse` makes the
message, with the user's line and a caret.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from chainrule.errors import UnsupportedError
from chainrule.frontends.source import Parsed

__all__ = ["REFUSALS", "Refusal", "refuse"]


class Refusal(NamedTuple):
    """Why a construct is refused (``{}`` stands for the detail), and the way out."""

    reason: str
    remedy: str


_EAGER = "Eager mode, which is what runs without cr.jit, may take it as it is."
_OTHER = Refusal("Native mode does not know this construct.", f"Write it with simpler ones. {_EAGER}")
_GENERATOR = Refusal(
    "A generator stops and goes on at its caller's will; there is no such thing in compiled code.",
    "Fill an array made with np.zeros, or return a list made by a comprehension.",
)
_OUTSIDE = Refusal(
    "Rebinding a variable of an enclosing function or of the module would be an effect that outlives the call.",
    "Take the value as an argument and return the new one, or write to an element of an array.",
)
_IMPORT = Refusal(
    "An import inside a function runs code of another module.",
    "Move it to the top of the file.",
)
_EXCEPTIONS = Refusal(
    "Exceptions are not caught: what had been done before one was raised could not be undone in the derivative.",
    "Test with `if` for what may go wrong. `raise` and `assert` are allowed.",
)
_SET = Refusal(
    "Sets have no place for numbers that are known only when the program runs.",
    "Use a tuple, a list or an array.",
)
_TEXT = Refusal(
    "Text is known before the program runs, so it cannot be made from computed numbers.",
    "f-strings may stand in print, raise and assert.",
)

REFUSALS: dict[str, Refusal] = {
    # Statements.
    "AsyncFunctionDef": Refusal(
        "Asynchronous code waits for something outside the function, whose derivative is not defined.",
        "Fetch the data first, and pass numbers and arrays to a function defined with def.",
    ),
    "ClassDef": Refusal(
        "A class defined in a function is a new one at every call.",
        "Define it outside. Dataclasses and named tuples of numbers and arrays can be made and read.",
    ),
    "Delete": Refusal(
        "`del` takes a name or an item away, and compiled code has neither to take.",
        "Leave the line out: memory that is no longer used is freed.",
    ),
    "Global": _OUTSIDE,
    "Import": _IMPORT,
    "ImportFrom": _IMPORT,
    "Match": Refusal(
        "`match` takes apart objects by their classes, and compiled code has numbers and arrays only.",
        "Write it with if and elif.",
    ),
    "Nonlocal": _OUTSIDE,
    "Try": _EXCEPTIONS,
    "TryStar": _EXCEPTIONS,
    "TypeAlias": Refusal("A type alias has no meaning when the program runs.", "Define it outside the function."),
    "With": Refusal(
        "`with` runs code of an object on the way in and out.",
        "Enter it outside the function. np.errstate is not needed: compiled code does not warn.",
    ),
    # Expressions.
    "DictComp": Refusal(
        "The keys of a dict must be known before the program runs.",
        "Write the dict out as {key: value, ...}, or use an array.",
    ),
    "JoinedStr": _TEXT,
    "Set": _SET,
    "SetComp": _SET,
    "Starred": Refusal(
        "`*` stands for as many items as there are, which must be known before the program runs.",
        "Name the items one by one, or take slices of an array: first, rest = a[0], a[1:].",
    ),
    "TemplateStr": _TEXT,
    "Yield": _GENERATOR,
    "YieldFrom": _GENERATOR,
    # Uses.
    "Attribute": Refusal(
        "Assigning to an attribute changes an object, and compiled code has none.",
        "Make a new object with the new value, or write to an element of an array.",
    ),
    "container-store": Refusal(
        "The items of a list or dict are numbers and arrays with names of their own, which cannot be replaced.",
        "Use an array, or make a new list or dict.",
    ),
    "decorator": Refusal(
        "A decorator inside a function runs code on a function that does not exist yet.",
        "Define the decorated function outside.",
    ),
    "function": Refusal(
        "Native mode does not know the function {}.",
        f"Write it with the functions of NumPy and math that native mode knows. {_EAGER}",
    ),
    "in": Refusal(
        "`in` looks through something whose items are known only when the program runs.",
        "For an array write np.any(a == x), or a loop.",
    ),
    "is": Refusal(
        "`is` asks whether two objects are one, and numbers and arrays of compiled code are no objects.",
        "Write ==. `is None` and `is not None` are allowed.",
    ),
    "list-method": Refusal(
        "{}: a list whose length is known only when the program runs is an array with a counter in compiled code.",
        "Known are append, extend, +=, pop(), clear, copy, len, ys[i] and slices; make an array for all else: "
        "np.array(ys).",
    ),
    "value": Refusal("{}.", f"It must be known, or have one type, before the program runs. {_EAGER}"),
}


def refuse(node: ast.AST, parsed: Parsed, key: str | None = None, detail: str = "") -> UnsupportedError:
    """The exception for `node`, by the row `key`, or else the row of its class.

    >>> from chainrule.frontends.source import read
    >>> def loss(x):
    ...     del x
    >>> print(refuse(read(loss).node.body[0], read(loss)))
    `del` takes a name or an item away, and compiled code has neither to take.
      File "...", line 2, in loss
        del x
        ^^^^^
    Leave the line out: memory that is no longer used is freed.
    """
    row = REFUSALS[key] if key else REFUSALS.get(type(node).__name__, _OTHER)
    reason = row.reason.replace("{}", detail)
    if detail and "{}" not in row.reason:
        reason = f"{reason[:-1]}: {detail}."
    place = node if isinstance(node, ast.stmt | ast.expr) else parsed.node
    header = f'  File "{parsed.file}", line {place.lineno}, in {parsed.name}'
    return UnsupportedError("\n".join([reason, header, *_underlined(place, parsed.line(place.lineno)), row.remedy]))


def _underlined(node: ast.stmt | ast.expr, line: str) -> list[str]:
    """The source line and a line that marks the part of `node` in it. Columns of nodes count bytes."""
    if not line.strip():
        return []
    start = len(line.encode()[: node.col_offset].decode())
    end = len(line.rstrip())
    if node.end_lineno == node.lineno:
        end = len(line.encode()[: node.end_col_offset].decode())
    indent = len(line) - len(line.lstrip())
    before = "".join(c if c == "\t" else " " for c in line[indent:start])
    return [f"    {line.strip()}", f"    {before}{'^' * max(1, end - start)}"]
