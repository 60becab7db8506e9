"""Every refusal says why, where and what to write instead; and the front end refuses with the row meant."""

from __future__ import annotations

import ast
import itertools
import linecache
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from chainrule.errors import UnsupportedError
from chainrule.frontends.expressions import _EXPRESSIONS
from chainrule.frontends.program import ArrayKind, NumberKind, read_program
from chainrule.frontends.source import Parsed, read
from chainrule.frontends.statements import _STATEMENTS
from chainrule.frontends.subset import REFUSALS, refuse

# row -> the body of a function of a number x and a vector a; what is refused stands between « and ».
ROWS: dict[str, str] = {
    "AsyncFunctionDef": "«async def g(y):»\n    return y\nreturn x",
    "ClassDef": "«class C:»\n    pass\nreturn x",
    "Delete": "y = x\n«del y»\nreturn x",
    "Global": "«global y»\nreturn x",
    "Import": "«import math»\nreturn math.sin(x)",
    "ImportFrom": "«from math import sin»\nreturn sin(x)",
    "Match": "«match x:»\n    case 0:\n        return x\nreturn 2 * x",
    "Nonlocal": "y = x\ndef g():\n    «nonlocal y»\n    y = y * 2\ng()\nreturn y",
    "Try": "«try:»\n    y = 1 / x\nexcept ValueError:\n    y = x\nreturn y",
    "TryStar": "«try:»\n    y = 1 / x\nexcept* ValueError:\n    y = x\nreturn y",
    "With": "«with open('f') as f:»\n    y = x\nreturn y",
    "DictComp": "d = «{k: x for k in range(3)}»\nreturn d[0]",
    "JoinedStr": "y = «f'{x}'»\nreturn x",
    "Set": "y = «{x, 1.0}»\nreturn x",
    "SetComp": "y = «{x for k in range(3)}»\nreturn x",
    "Starred": "«*y», z = a\nreturn z",
    "Yield": "«yield x»",
    "YieldFrom": "«yield from a»",
    "Attribute": "«np.pi» = x\nreturn x",
    "container-store": "y = [x, x]\n«y[0] = 1.0»\nreturn y[0]",
    "decorator": "@np.vectorize\n«def g(y):»\n    return y\nreturn g(x)",
    "function": "return «np.busday_count(x)»",
    "in": "return 1.0 if «x in a» else x",
    "is": "return 1.0 if «x is a» else x",
    "list-method": "y = [x]\nfor k in range(int(a[0])):\n    y.append(x)\n«y.insert(0, x)»\nreturn y[0]",
    "value": "return «a['b']»",
}
_NUMBERS = itertools.count()


def split(marked: str) -> tuple[str, int, str]:
    """A function with this body, the line of the mark in it and what is marked."""
    marked = "def f(x, a):\n" + "".join(f"    {line}\n" for line in marked.splitlines())
    lines = marked.splitlines()
    (number,) = [k for k, line in enumerate(lines, 1) if "«" in line]
    (inner,) = re.findall("«(.*)»", lines[number - 1])
    return marked.replace("«", "").replace("»", ""), number, inner


def define(source: str) -> Callable[..., Any]:
    name = f"<refused {next(_NUMBERS)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"np": np}
    exec(compile(source, name, "exec", dont_inherit=True), namespace)
    return namespace["f"]


def unused(*args: Any) -> Any:
    raise AssertionError("nothing is differentiated here")


def refused_by_reading(function: Callable[..., Any]) -> str:
    kinds = (NumberKind("float64", False), ArrayKind("float64", (False,)))
    with pytest.raises(UnsupportedError) as refused:
        read_program(function, kinds, {}, read(function), ("x", "a"), unused, unused)
    return str(refused.value)


def test_every_row_is_tried() -> None:
    assert set(REFUSALS) - set(ROWS) == {"TemplateStr", "TypeAlias"}, "syntax of newer versions of Python"


@pytest.mark.parametrize("row", ROWS)
def test_row(row: str) -> None:
    source, number, marked = split(ROWS[row])
    message = refused_by_reading(define(source))
    reason, *_ = REFUSALS[row].reason.split("{}")
    assert message.startswith(reason.removesuffix("."))
    assert message.endswith(REFUSALS[row].remedy)
    assert 'File "<refused ' in message
    assert f", line {number}, in " in message
    *_, line, carets, _ = message.splitlines()
    assert line.strip() == source.splitlines()[number - 1].strip()
    assert [line[m.start() : m.end()] for m in re.finditer(r"\^+", carets)] == [marked]


def concrete(kind: type[ast.AST]) -> Iterator[type[ast.AST]]:
    below = kind.__subclasses__()
    yield from [kind] if not below else [c for b in below for c in concrete(b)]


def test_every_construct_of_python_is_read_or_refused() -> None:
    deprecated = {"Num", "Str", "Bytes", "NameConstant", "Ellipsis"}
    handled = {
        "AsyncFor": "in AsyncFunctionDef",
        "AsyncWith": "in AsyncFunctionDef",
        "Await": "in AsyncFunctionDef",
        "Break": "jumps",
        "Continue": "jumps",
        "Return": "the last statement",
        "FormattedValue": "in JoinedStr",
        "Interpolation": "in TemplateStr",
    }
    all_of = {c.__name__ for kind in (ast.stmt, ast.expr) for c in concrete(kind) if c.__module__ == "ast"}
    read_here = {c.__name__ for c in (*_STATEMENTS, *_EXPRESSIONS)}
    assert all_of - deprecated - set(handled) - read_here <= set(REFUSALS)


def test_a_construct_of_a_later_python_is_refused_too() -> None:
    class Newer(ast.stmt):
        pass

    assert "does not know this construct" in str(refuse(Newer(lineno=1, col_offset=0), read(define("def f(): pass"))))


@pytest.mark.parametrize("row", REFUSALS)
def test_sentences(row: str) -> None:
    for sentence in REFUSALS[row]:
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence[0] in "`{*" or sentence.startswith("f-strings")


def underlined(source: str, pick: Callable[[ast.FunctionDef], ast.AST]) -> tuple[str, str]:
    parsed: Parsed = read(define(source))
    *_, line, carets, _ = str(refuse(pick(parsed.node), parsed, "value", "reason")).splitlines()
    return line, carets


def test_columns_count_characters_and_tabs_stay() -> None:
    line, carets = underlined("def f(x):\n\ty = 'é∂', x\n\treturn x\n", lambda f: f.body[0].value.elts[1])  # type: ignore[attr-defined]
    assert carets.index("^") == line.index(", x") + 2
    line, carets = underlined("def f(x):\n    y =\t(x)\n    return x\n", lambda f: f.body[0].value)  # type: ignore[attr-defined]
    assert carets == "       \t ^"


def test_what_spans_lines_is_marked_to_the_end_of_its_first() -> None:
    line, carets = underlined("def f(x):\n    return g(x,\n        2)\n", lambda f: f.body[0].value)  # type: ignore[attr-defined]
    assert (line, carets) == ("    return g(x,", "           ^^^^")
