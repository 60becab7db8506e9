"""The intermediate representation as Python source.

`write` turns a function, and those it calls, into text that runs as plain Python and that Numba compiles. The text
keeps the user's names and shows the user's line behind the first statement that comes from it. The stage
"derivative" is for reading; in "compiled", array statements are loops, which Numba compiles in a tenth of the time.

A function with one result returns it, one with several a tuple.
"""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chainrule.backends.names import distinct
from chainrule.backends.recursion import Recursion, entered, is_grounded, is_repeatable
from chainrule.backends.statements import Statement, Writer
from chainrule.ir.build import INT
from chainrule.ir.nodes import Array, Call, Check, For, Function, Line, Raise, Type, Var
from chainrule.ir.walk import nodes_of

__all__ = ["Signature", "Source", "write"]

_WIDTH = 110


@dataclass(frozen=True)
class Signature:
    """The types of a function, and whether it is called and has results that do not come from calls.

    A compiler that infers types must begin a recursion with one that is grounded.
    """

    params: tuple[Type, ...]
    results: tuple[Type, ...]
    grounded: bool


@dataclass(frozen=True)
class Source:
    """A written program.

    Attributes
    ----------
    text : str
    signatures : dict
        From the name of each function, the entry first, to its `Signature`.
    stage : str
    exceptions : tuple of str
        The names of the exceptions whose arguments are the parts of a message.
    recursive : bool
        Whether it may end with a `RecursionError` on a thread whose stack is too small.
    repeatable : bool
        Whether it may then be run again: it writes to no argument and prints nothing.
    parallel : bool
        Whether a loop of the entry uses several processors.
    """

    text: str
    signatures: dict[str, Signature]
    stage: str
    exceptions: tuple[str, ...] = ()
    recursive: bool = False
    repeatable: bool = True
    parallel: bool = False

    @property
    def entry(self) -> str:
        return next(iter(self.signatures))


def write(function: Function, stage: str = "derivative") -> Source:
    """Write `function` and the functions it calls.

    Parameters
    ----------
    function : Function
    stage : {"derivative", "compiled"}

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> from chainrule.ir.nodes import Var
    >>> x, b = Var("x", FLOAT), Builder()
    >>> y = b.let("multiply", b.let("add", x, b.let("sin", x)), x)
    >>> print(write(Function("f", (x,), b.block, (y,))).text)
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def f(x):
        return (x + np.sin(x)) * x
    <BLANKLINE>
    """
    compiled = stage == "compiled"
    recursion = Recursion(_called(function))
    if compiled and function in recursion.cyclic:
        function = entered(function)
        recursion = Recursion(_called(function))
    functions: dict[Function, str] = {}
    used: set[str] = set()
    for f in _called(function):
        functions[f] = distinct(f.name, used)
    definitions = [_definition(f, functions, recursion if compiled else None) for f in functions]
    text = "\n\n\n".join(definitions) + "\n"
    imports = _imports(text)
    nodes = [n for f in functions for n in nodes_of(f.body)]
    called = {n.function for n in nodes if isinstance(n, Call)}
    signatures = {
        name: Signature(
            (
                *(Array("int64", 1) if compiled and p in f.grows else p.type for p in f.params),
                *((INT,) if compiled and f in recursion.guarded and f in called else ()),
            ),
            (*(r.type for r in f.results), *(p.type for p in f.params if p in f.grows and not compiled)),
            f in called and is_grounded(f),
        )
        for f, name in functions.items()
    }
    raised = {n.exception for n in nodes if isinstance(n, (Raise, Check)) and any(isinstance(p, Var) for p in n.parts)}
    return Source(
        f"{imports}\n\n{text}" if imports else text,
        signatures,
        stage,
        tuple(sorted(raised)),
        bool(recursion.cyclic),
        is_repeatable(function, functions),
        any(isinstance(n, For) and n.parallel for n in nodes),
    )


def _called(function: Function) -> list[Function]:
    """`function` and what it calls, directly or not."""
    found = [function]
    for f in found:
        found += {n.function: None for n in nodes_of(f.body) if isinstance(n, Call) and n.function not in found}
    return found


_IMPORTS = {
    "math": ("", "import math"),
    "np": ("\n", "import numpy as np"),
    "numba": ("\n", "import numba"),
    "special": ("", "from scipy import special"),
    "kernels": ("\n", "from chainrule.backends import kernels"),
    "support": ("\n", "from chainrule.backends import support"),
}


def _imports(text: str) -> str:
    lines = ""
    for module, (gap, line) in _IMPORTS.items():
        if f"{module}." in text and re.search(rf"\b{module}\.", text):
            lines += f"{gap if lines else ''}{line}\n"
    return lines


# -- lines of text ------------------------------------------------------------------------------------


def _definition(function: Function, functions: dict[Function, str], recursion: Recursion | None) -> str:
    writer = Writer(function, functions, recursion)
    body = writer.body()
    lines = [f"def {functions[function]}({', '.join(writer.params)}):"]
    origin = _origin(function.line)
    if origin:
        lines.append(f'    """{origin}"""')
    lines += _lines(body or [Statement("pass")], "    ", _Comments())
    return "\n".join(lines)


def _origin(line: Line | None) -> str:
    """Which function of the user's this is."""
    if line is None:
        return ""
    source = linecache.getline(line.file, line.number).strip().replace("\\", "\\\\").replace('"""', "'''")
    place = f"Of {os.path.basename(line.file)}, line {line.number}"
    return f"{place}: {source.removesuffix(':')}." if source else f"{place}."


class _Comments:
    """The user's line, behind the first of the statements in a row that come from it."""

    def __init__(self) -> None:
        self.last: Line | None = None

    def after(self, statement: str, line: Line | None) -> str:
        if line is None or line == self.last:
            return ""
        self.last = line
        source = linecache.getline(line.file, line.number).strip()
        if not source or source == statement:
            return ""
        room = _WIDTH - len(statement)
        return f"  # {source if len(source) <= max(room, 30) else source[: max(room, 30)] + ' …'}"


def _lines(statements: Sequence[Statement], indent: str, comments: _Comments) -> Iterator[str]:
    for statement in statements:
        text, body = statement.text, statement.body
        if text == "else:" and body is not None and _is_choice(body):
            body[0].text = "el" + body[0].text
            yield from _lines(body, indent, comments)
            continue
        yield indent + text + comments.after(text, statement.line)
        if body is not None:
            yield from _lines(body, indent + "    ", comments)


def _is_choice(statements: Sequence[Statement]) -> bool:
    """Whether these are one ``if`` with what belongs to it."""
    return statements[0].text.startswith("if ") and all(s.text.startswith(("elif ", "else:")) for s in statements[1:])
