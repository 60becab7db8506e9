"""From text to functions that run.

`plain` runs a written program as ordinary Python: its lines can be stepped through, and its numbers are NumPy's, so
that it answers what `ir.evaluate` does. `module_of` makes the module that Numba compiles the functions of.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.backends.cache import digest
from chainrule.backends.python import Source
from chainrule.ir import ops
from chainrule.ir.nodes import Array

__all__ = ["module_of", "plain", "register"]


class _Text(importlib.abc.ExecutionLoader):
    """Gives a module its text; tracebacks, debuggers and `inspect` ask it for the lines."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    def get_filename(self, fullname: str) -> str:
        return f"<{self.name}>"

    def get_source(self, fullname: str) -> str:
        return self.text


def register(source: Source) -> None:
    """Show the lines of `source` to tracebacks and debuggers."""
    _register(_Text(name_of(source), source.text))


def module_of(source: Source) -> types.ModuleType:
    """The text of `source` as a new module that `sys.modules` lists: Numba and pickle look functions up there."""
    name = name_of(source)
    loader = _Text(name, source.text)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=loader.get_filename(name))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    _register(loader)
    return module


def name_of(source: Source) -> str:
    return f"chainrule_{source.entry}_{digest(source.text)[:12]}"


def _register(loader: _Text) -> None:
    file = loader.get_filename(loader.name)
    linecache.cache[file] = (len(loader.text), None, loader.text.splitlines(keepends=True), file)


# -- plain Python -------------------------------------------------------------------------------------


def plain(source: Source) -> Callable[..., Any]:
    """The entry of `source` as a function of plain Python.

    Examples
    --------
    >>> from chainrule.backends.python import write
    >>> from chainrule.ir.build import FLOAT, Builder
    >>> from chainrule.ir.nodes import Function, Var
    >>> x, b = Var("x", FLOAT), Builder()
    >>> y = b.let("divide", x, b.let("subtract", x, x))
    >>> plain(write(Function("f", (x,), b.block, (y,))))(1.0)
    inf
    """
    tree = _NumPysNumbers().visit(ast.parse(source.text))
    loader = _Text(name_of(source), source.text)
    _register(loader)
    namespace: dict[str, Any] = {"__name__": loader.name, **_NUMBERS}
    exec(compile(ast.fix_missing_locations(tree), loader.get_filename(loader.name), "exec"), namespace)
    function, signature = namespace[source.entry], source.signatures[source.entry]
    params, results = signature.params, signature.results

    def run(*args: Any) -> Any:
        values = [a if isinstance(p, Array) else np.dtype(p.dtype).type(a) for p, a in zip(params, args, strict=True)]
        with np.errstate(all="ignore"):
            made = function(*values)
        if len(results) == 1:
            return _result(made, results[0])
        return tuple(map(_result, made, results)) if results else made

    run.__name__ = run.__qualname__ = source.entry
    run.__doc__ = function.__doc__
    return run


def _result(value: Any, type: Any) -> Any:
    return value if isinstance(type, Array) else ops.number(value, type.dtype)


def _range(*bounds: Any) -> Iterator[np.int64]:
    return map(np.int64, range(*bounds))


_NUMBERS: dict[str, Any] = {
    "_float": np.float64,
    "_int": np.int64,
    "float": np.float64,
    "int": lambda x: np.int64(int(x)),
    "complex": lambda x, y=0.0: np.complex128(complex(x, y)),
    "range": _range,
}


class _NumPysNumbers(ast.NodeTransformer):
    """Literals and extents become NumPy's: Python's numbers raise where NumPy's are infinite, and never wrap."""

    def _over(self, function: str, node: ast.expr) -> ast.expr:
        return ast.copy_location(ast.Call(ast.Name(function, ast.Load()), [node], []), node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        function = {float: "_float", int: "_int"}.get(type(node.value))
        return self._over(function, node) if function else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        node.left = self.visit(node.left)
        if not (isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant)):
            node.right = self.visit(node.right)  # a literal exponent has no precision of its own
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        extent = isinstance(node.value, ast.Attribute) and node.value.attr == "shape"
        return self._over("_int", node) if extent else node
