"""From a function object to its syntax tree.

The tree is found by compiling the file again and looking for the very code object that the function runs: a file
that has changed since it was imported is refused, and lambdas on one line are told apart by where their instructions
stand. Sources come from `linecache`: files, notebook cells, `exec` with an entry there, and, from Python 3.13 on,
the interactive prompt. What runs is what is read: a decorated function is its wrapper.
"""

from __future__ import annotations
import __future__

import ast
import copy
import functools
import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

from chainrule.errors import ArgumentError, UnsupportedError, name_of

__all__ = ["Bound", "Parsed", "read", "unwrap"]

_FUTURE = functools.reduce(int.__or__, [getattr(__future__, n).compiler_flag for n in __future__.all_feature_names])
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Found = tuple[_Definition, str | None]  # and the name of the class around it


class Bound(NamedTuple):
    """A plain Python function and the arguments that its wrapping has bound (`self`, those of a partial)."""

    function: FunctionType
    args: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Parsed:
    """The source of a function.

    `node` is a FunctionDef for a lambda too (named ``<lambda>``, one Return); its lines and columns are those of the
    file, and private names of a class are mangled as Python does. Nobody changes it. `lines` are all lines of the file
    without their ends.
    """

    name: str
    node: ast.FunctionDef
    file: str
    lines: tuple[str, ...]

    def line(self, number: int) -> str:
        """A line of the file, counted from one."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def unwrap(function: Callable[..., Any]) -> Bound:
    """The plain function that a callable runs, and what it passes before the caller's arguments.

    >>> import functools
    >>> def power(x, n, scale): return scale * x**n
    >>> bound = unwrap(functools.partial(power, 2.0, scale=3.0))
    >>> bound.function is power, bound.args, bound.keywords
    (True, (2.0,), {'scale': 3.0})
    """
    found: Any = function
    args: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    while not isinstance(found, FunctionType):
        if isinstance(found, functools.partial):
            found, args, keywords = found.func, (*found.args, *args), {**found.keywords, **keywords}
        elif isinstance(found, MethodType):
            found, args = found.__func__, (found.__self__, *args)
        elif isinstance(found, staticmethod):
            found = found.__func__
        elif isinstance(found, functools._lru_cache_wrapper):
            found = found.__wrapped__
        elif isinstance(compiled := getattr(found, "py_func", None), FunctionType):  # a dispatcher of Numba
            found = compiled
        elif callable(found) and isinstance(type(found).__call__, FunctionType):
            found, args = type(found).__call__, (found, *args)
        else:
            raise ArgumentError(
                f"{name_of(found)} is not written in Python, so native mode cannot read it. "
                "Pass a function defined with def or lambda that calls it."
            )
    return Bound(found, args, keywords)


def read(function: Callable[..., Any]) -> Parsed:
    """The syntax tree of the plain function that a callable runs.

    >>> def square(x):
    ...     return x * x
    >>> parsed = read(square)
    >>> parsed.name, parsed.node.lineno, parsed.line(2)
    ('square', 1, '    return x * x')
    """
    plain, _, _ = unwrap(function)
    linecache.lazycache(plain.__code__.co_filename, plain.__globals__)
    return _parse(plain.__code__, plain.__code__.co_filename)


@functools.lru_cache(maxsize=4096)
def _parse(code: CodeType, file: str) -> Parsed:
    """`file` tells apart equal code of different files."""
    lines = linecache.getlines(file)
    found = _find(code, file, "".join(lines))
    if found is None:
        linecache.checkcache(file)  # what linecache holds may be older than the import
        lines = linecache.getlines(file)
        found = _find(code, file, "".join(lines))
    if found is None:
        raise UnsupportedError(_missing(code, bool(lines)))
    node, owner = found
    if isinstance(node, ast.AsyncFunctionDef):
        raise UnsupportedError(
            f'{code.co_name}: file "{file}", line {node.lineno}, is defined with `async def`, and what it returns is '
            "no value yet. Define it with def."
        )
    return Parsed(code.co_name, _as_function(node, owner), file, tuple(line.rstrip("\r\n") for line in lines))


def _missing(code: CodeType, has_lines: bool) -> str:
    place = f'{code.co_name}: file "{code.co_filename}", line {code.co_firstlineno}'
    if has_lines:
        return (
            f"The source of {place}, is not what the function was made from: the file has changed since it was "
            "imported. Reload the module, or restart Python."
        )
    return (
        f"There is no source of {place}, and native mode reads source. Python keeps none for functions typed at its "
        "prompt before version 3.13 or made by exec. Define the function in a file or in a notebook cell, or give "
        "linecache.cache an entry for the text passed to exec. Eager mode needs no source."
    )


# -- finding the code object --------------------------------------------------------------------------


def _find(code: CodeType, file: str, source: str) -> _Found | None:
    """The definition that compiles to `code` and the class around it, or None if there is none."""
    parsed = _compile(source, file, code.co_flags & _FUTURE)
    if parsed is None:
        return None
    definitions, codes = parsed
    here = [d for d in definitions if _key(d[0]) == (code.co_name, code.co_firstlineno)]
    if not any(_same(code, other) for other in codes if other.co_firstlineno == code.co_firstlineno):
        return None
    if len(here) > 1:
        here = _at_positions(here, code)
    return here[-1] if here else None


@functools.lru_cache(maxsize=16)
def _compile(source: str, file: str, flags: int) -> tuple[list[_Found], list[CodeType]] | None:
    """The functions of a file, outer ones first: nodes with the class around each, and code objects."""
    try:
        tree = ast.parse(source, file)
        code = compile(source, file, "exec", flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return list(_definitions(tree, None)), list(_codes(code))


def _definitions(node: ast.AST, owner: str | None) -> Iterator[_Found]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield child, owner
        yield from _definitions(child, child.name if isinstance(child, ast.ClassDef) else owner)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)


def _key(node: _Definition) -> tuple[str, int]:
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, min([node.lineno, *[d.lineno for d in node.decorator_list]])


def _same(code: CodeType, other: CodeType) -> bool:
    """Whether `code` comes from what `other` does; pytest rewrites assertions and leaves names like @py_assert1."""
    if code == other:
        return True
    rewritten = any(name.startswith("@py") for c in (code, *_codes(code)) for name in (*c.co_varnames, *c.co_names))
    ours = {name for name in code.co_varnames if not name.startswith("@")}
    return rewritten and code.co_name == other.co_name and ours == set(other.co_varnames)


def _at_positions(lambdas: list[_Found], code: CodeType) -> list[_Found]:
    """Those of the lambdas, outer ones first, whose body holds all instructions of `code`."""
    positions = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if None not in (line, end_line, column, end_column) and (line, column) != (end_line, end_column)
    ]
    if not positions:
        raise UnsupportedError(
            f'File "{code.co_filename}", line {code.co_firstlineno}, has several lambdas, and Python was told to keep '
            "no columns to tell them apart. Put each on a line of its own."
        )
    return [
        (node, owner)
        for node, owner in lambdas
        if isinstance(node, ast.Lambda) and all(_within(start, end, node.body) for start, end in positions)
    ]


def _within(start: tuple[Any, Any], end: tuple[Any, Any], node: ast.expr) -> bool:
    return (node.lineno, node.col_offset) <= start and end <= (node.end_lineno, node.end_col_offset)


# -- the node -----------------------------------------------------------------------------------------


def _as_function(node: _Definition, owner: str | None) -> ast.FunctionDef:
    if isinstance(node, ast.Lambda):
        (found,) = ast.parse("def f(): pass").body  # every field of this version's Python is there
        assert isinstance(found, ast.FunctionDef)
        found.name, found.args = "<lambda>", node.args
        found.body = [ast.copy_location(ast.Return(node.body), node.body)]
        ast.copy_location(found, node)
    else:
        assert isinstance(node, ast.FunctionDef)
        found = node
    return _mangle(found, owner.lstrip("_")) if owner and owner.strip("_") else found


def _mangle(function: ast.FunctionDef, owner: str) -> ast.FunctionDef:
    """The function with the private names of its class as Python spells them."""
    function = copy.deepcopy(function)
    for node in ast.walk(function):
        for field in ("id", "attr", "arg", "name"):
            name = getattr(node, field, None)
            if name and name.startswith("__") and not name.endswith("__"):
                setattr(node, field, f"_{owner}{name}")
    return function
