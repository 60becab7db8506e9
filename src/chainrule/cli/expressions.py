"""Formulae typed on the command line, as functions.

A formula is read with `ast` and every node of it is compared with a white list: numbers, names, ``+ - * / **``,
signs, and calls of the functions in one table. Only then a Python function is made of it, whose source the
debugger, the trace and native mode can show. Nothing else that Python can do passes. As in the graphs of the texts,
what stands in a formula twice is computed once.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import linecache
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.view.naming import FORMULA

__all__ = ["CONSTANTS", "constant", "function", "names", "normal"]

_FUNCTIONS = {  # by the number of arguments
    1: "sin cos tan asin acos atan arcsin arccos arctan sinh cosh tanh asinh acosh atanh arcsinh arccosh arctanh "
    "exp exp2 expm1 log log2 log10 log1p sqrt cbrt square abs sign floor ceil degrees radians "
    "erf erfc gamma gammaln digamma expit sum mean prod max min norm",
    2: "atan2 arctan2 hypot maximum minimum logaddexp pow power copysign dot",
}
_ARITY = {name: count for count, text in _FUNCTIONS.items() for name in text.split()}
_SPECIAL = ("erf", "erfc", "gamma", "gammaln", "digamma", "expit")
_SYNONYMS = {"ln": "log", "sigmoid": "expit", "lgamma": "gammaln", "psi": "digamma"}
_OF_TWO = {"max": "maximum", "min": "minimum"}
_MODULES = ("np", "numpy", "math")
CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub)
_ALLOWED = "write names, numbers, + - * / ** and calls of functions such as sin(x)"
_LONGEST, _DEEPEST = 20_000, 200  # characters; nodes within nodes, where Python's recursion is still far off

_serial = itertools.count(1)


def names(text: str) -> list[str]:
    """The variables of a formula, in the order in which they appear."""
    return _variables(_parsed(text))


def normal(text: str) -> str:
    """A formula as it is understood."""
    return ast.unparse(_parsed(text))


def function(text: str, parameters: Sequence[str]) -> Callable[..., Any]:
    """The function of the given parameters that a formula describes; its source can be read back."""
    tree = _parsed(text)
    for name in parameters:
        if name in _ARITY:
            raise ArgumentError(f"{name!r} is the name of a function: choose another one for the variable")
    missing = [name for name in _variables(tree) if name not in parameters and name not in CONSTANTS]
    if missing:
        raise ArgumentError(f"{missing[0]} has no value: add {missing[0]}=1.0{_similar(missing[0], parameters)}")
    return _compiled(tree, parameters)


def constant(text: str) -> float:
    """The number that a formula without variables is worth."""
    tree = _parsed(text)
    unknown = [name for name in _variables(tree) if name not in CONSTANTS]
    if unknown:
        raise ArgumentError(f"{unknown[0]!r} is no number")
    with np.errstate(all="ignore"):
        try:
            return float(_compiled(tree, ())())
        except ArithmeticError as error:
            raise ArgumentError(f"{text.strip()!r}: {error}") from None


def _compiled(tree: ast.expr, parameters: Sequence[str]) -> Callable[..., Any]:
    used = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id not in parameters]
    space: dict[str, Any] = {"__builtins__": {}, "__name__": "expression", **{name: _meaning(name) for name in used}}
    body = [*_shared(tree, {*parameters, *used}), f"return {ast.unparse(tree)}"]
    source = "".join([f"def f({', '.join(parameters)}):\n", *(f"    {line}\n" for line in body)])
    file = f"{FORMULA} {next(_serial)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec"), space)
    return space["f"]  # type: ignore[no-any-return]


def _shared(tree: ast.expr, taken: set[str]) -> list[str]:
    """Assignments of what stands in a formula more than once; there, its name takes its place."""
    uses = Counter[str]()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        uses[ast.dump(node)] += 1
        if uses[ast.dump(node)] == 1:
            waiting.extend(ast.iter_child_nodes(node))
    sharing = _Sharing({text for text, count in uses.items() if count > 1}, taken)
    sharing.visit(tree)
    return sharing.lines


class _Sharing(ast.NodeTransformer):
    """Gives a name to each part that is used again, parts of parts first."""

    def __init__(self, again: set[str], taken: set[str]) -> None:
        self.lines: list[str] = []
        self._again = again
        self._named: dict[str, str] = {}
        self._names = (name for k in itertools.count(1) if (name := f"t{k}") not in taken)

    def visit(self, node: ast.AST) -> ast.AST:
        text = ast.dump(node)
        if text not in self._named:
            node = self.generic_visit(node)
            if text not in self._again or not isinstance(node, (ast.BinOp, ast.Call, ast.UnaryOp)) or _is_fixed(node):
                return node
            self._named[text] = next(self._names)
            self.lines.append(f"{self._named[text]} = {ast.unparse(node)}")
        return ast.Name(self._named[text], ast.Load())


def _is_fixed(tree: ast.expr) -> bool:
    return all(name in CONSTANTS for name in _variables(tree))


def _meaning(name: str) -> Any:
    if name in CONSTANTS:
        return CONSTANTS[name]
    if name in _SPECIAL:
        from scipy import special

        return getattr(special, name)
    return np.linalg.norm if name == "norm" else getattr(np, name)


# -- reading ------------------------------------------------------------------------------------------


def _parsed(text: str) -> ast.expr:
    """The tree of a formula, every node of it allowed and every function in its NumPy name."""
    if len(text) > _LONGEST:
        raise ArgumentError(f"an expression of {len(text):,} characters is too long: write a function in a file")
    try:
        tree: ast.expr = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ArgumentError(f"{text.strip()!r} is not an expression: {_syntax(text, error)}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ArgumentError("the expression cannot be read: too many brackets, or no text") from None
    _check_depth(tree)
    named: ast.expr = _Named().visit(tree)
    for node in ast.walk(named):
        _check(node)
    return named


def _syntax(text: str, error: SyntaxError) -> str:
    place = f" at {text.strip()[error.offset - 1 :][:12]!r}" if error.offset and error.lineno == 1 else ""
    return f"{error.msg}{place}"


class _Named(ast.NodeTransformer):
    """Writes ``np.sin`` and synonyms as the names of the table, and ``max(x, y)`` as ``maximum(x, y)``."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in _MODULES:
            return ast.copy_location(ast.Name(node.attr, ast.Load()), node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name):
            name = _SYNONYMS.get(node.func.id, node.func.id)
            node.func.id = _OF_TWO.get(name, name) if len(node.args) == 2 else name
        return node


def _check_depth(tree: ast.AST) -> None:
    layer: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        layer = [child for node in layer for child in ast.iter_child_nodes(node)]
    if layer:
        raise ArgumentError(f"the expression is nested deeper than {_DEEPEST}: write a function in a file")


def _check(node: ast.AST) -> None:
    match node:
        case ast.Constant(value=value):
            if type(value) not in (int, float):
                raise ArgumentError(f"{ast.unparse(node)} is no real number: {_ALLOWED}")
        case ast.BinOp(op=ast.BitXor()):
            raise ArgumentError("^ is no power in Python: write **")
        case ast.BinOp(op=ast.Pow()):
            _check_size(node)
        case ast.Call():
            _check_call(node)
        case ast.Name() | ast.BinOp() | ast.UnaryOp() | ast.Load():
            pass
        case ast.operator() | ast.unaryop():
            if not isinstance(node, _OPERATORS):
                raise ArgumentError(f"the operator {type(node).__name__} is not for expressions: {_ALLOWED}")
        case _:
            raise ArgumentError(f"`{ast.unparse(node)}` is not for expressions: {_ALLOWED}")


def _check_call(node: ast.Call) -> None:
    called = ast.unparse(node.func)
    if called not in _ARITY:
        raise ArgumentError(f"there is no function {called!r} for expressions{_similar(called, _ARITY)}")
    if node.keywords or any(isinstance(a, ast.Starred) for a in node.args) or len(node.args) != _ARITY[called]:
        wanted = {1: "one argument", 2: "two arguments"}[_ARITY[called]]
        raise ArgumentError(f"{called} takes {wanted}: `{ast.unparse(node)}`")


def _check_size(node: ast.BinOp) -> None:
    """Refuse a power of integers that would take for ever: 9**9**9."""
    if any(isinstance(part, (ast.Name, ast.Call)) for part in ast.walk(node)):
        return
    try:
        _number(node)
    except OverflowError:
        raise ArgumentError(f"{ast.unparse(node)} is too large a number") from None
    except ZeroDivisionError:
        raise ArgumentError(f"{ast.unparse(node)} divides by zero") from None


def _number(node: Any) -> Any:
    """The value of numbers and operators, in floating point."""
    match node:
        case ast.BinOp():
            left, right = _number(node.left), _number(node.right)
            match node.op:
                case ast.Add():
                    return left + right
                case ast.Sub():
                    return left - right
                case ast.Mult():
                    return left * right
                case ast.Div():
                    return left / right
            return left**right
        case ast.UnaryOp():
            return -_number(node.operand) if isinstance(node.op, ast.USub) else _number(node.operand)
    return float(node.value)


def _variables(tree: ast.expr) -> list[str]:
    """Names that are not called; depth first, from the left."""
    found: dict[str, None] = {}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            found[node.id] = None
        children = node.args if isinstance(node, ast.Call) else list(ast.iter_child_nodes(node))
        waiting.extend(reversed(children))
    return list(found)


def _similar(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""
