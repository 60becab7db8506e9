"""Make a failing program small: take statements and parts of expressions away as long as it fails in the same way."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Collection, Iterator

from tests.fuzz.checks import STAGES, Disagreement, check
from tests.fuzz.programs import Program

__all__ = ["shrink", "smallest"]

Edit = Callable[[ast.AST], None]


def shrink(text: str, fails: Callable[[str], bool], most: int = 1500) -> str:
    """The smallest text found for which `fails` is true, as it is for `text`.

    >>> print(shrink("x = 1\\nif x:\\n    y = f(2 + x)\\n", lambda text: "f(" in text))
    y = f(2)
    """
    text, progress = ast.unparse(ast.parse(text)), True
    while progress and most > 0:
        progress, start = False, 0
        while True:
            for k, candidate in enumerate(_candidates(text)):
                if k < start:
                    continue
                most -= 1
                if most <= 0:
                    return text
                if candidate != text and fails(candidate):
                    # What came before has failed already; it is tried again in the next round.
                    text, progress, start = candidate, True, k
                    break
            else:
                break
    return text


def _candidates(text: str) -> Iterator[str]:
    tree = ast.parse(text)
    for number, node in enumerate(ast.walk(tree)):
        for edit in _edits(node):
            made = copy.deepcopy(tree)
            edit(next(n for k, n in enumerate(ast.walk(made)) if k == number))
            yield ast.unparse(ast.fix_missing_locations(made))


def _edits(node: ast.AST) -> Iterator[Edit]:
    """What may be done to one node: less of its statements, or simpler expressions in it."""
    for name, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            for k in range(len(value)):
                for new in _simpler_statements(value[k]):
                    yield _replace_statement(name, k, new)
        elif isinstance(value, list):
            for k, item in enumerate(value):
                if isinstance(item, ast.expr):
                    for new in _simpler(item):
                        yield _replace_item(name, k, new)
        elif isinstance(value, ast.expr) and name != "func" and not isinstance(getattr(value, "ctx", None), ast.Store):
            for new in _simpler(value):
                yield _replace(name, new)


def _simpler_statements(stmt: ast.stmt) -> Iterator[list[ast.stmt]]:
    yield []
    if isinstance(stmt, (ast.If, ast.For, ast.While)):
        yield stmt.body
        if stmt.orelse:
            yield stmt.orelse
            without = copy.copy(stmt)
            without.orelse = []
            yield [without]


def _simpler(value: ast.expr) -> Iterator[ast.expr]:
    match value:
        case ast.BinOp():
            yield from (value.left, value.right)
        case ast.UnaryOp():
            yield value.operand
        case ast.Call():
            yield from value.args
            if isinstance(value.func, ast.Attribute):
                yield value.func.value
        case ast.IfExp():
            yield from (value.body, value.orelse)
        case ast.BoolOp():
            yield from value.values
        case ast.Compare():
            yield value.left
        case ast.Subscript():
            yield value.value
        case ast.ListComp() | ast.GeneratorExp():
            yield value.elt
    if isinstance(value, ast.BinOp | ast.Call | ast.Subscript | ast.IfExp | ast.UnaryOp):
        yield ast.Constant(0.7)
        yield ast.Constant(1)


def _replace_statement(name: str, k: int, new: list[ast.stmt]) -> Edit:
    def edit(node: ast.AST) -> None:
        body = getattr(node, name)
        body[k : k + 1] = new
        if not body and name == "body":
            body.append(ast.Pass())

    return edit


def _replace_item(name: str, k: int, new: ast.expr) -> Edit:
    return lambda node: getattr(node, name).__setitem__(k, new)


def _replace(name: str, new: ast.expr) -> Edit:
    return lambda node: setattr(node, name, new)


def smallest(program: Program, found: Disagreement, numba: Collection[str] = ()) -> tuple[str, str]:
    """The text that `program` shrinks to while it disagrees at the same place, and the message of that."""
    last = next((s for s in STAGES if str(found).startswith(s)), STAGES[-1])
    messages = [str(found)]

    def fails(text: str) -> bool:
        try:
            check(program._replace(text=text + "\n"), numba, last)
        except Disagreement as other:
            if _kind(str(other)) == _kind(messages[0]):
                messages.append(str(other))
                return True
        except Exception:  # what is left is no program
            return False
        return False

    return shrink(program.text, fails), messages[-1]


def _kind(message: str) -> str:
    return re.sub(r"\d+", "", message.split("\n")[0])[:60]
