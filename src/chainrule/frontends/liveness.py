"""Which variables may still be read after each statement, so that only those are carried out of branches and loops."""

from __future__ import annotations

import ast
import weakref
from collections.abc import Iterator, Sequence

__all__ = ["Liveness", "assigned_names"]


class Liveness:
    """Of the statements of one function without jumps: names live after each, and at the head of each loop's body."""

    def __init__(self, body: Sequence[ast.stmt]) -> None:
        self.after: dict[ast.stmt, frozenset[str]] = {}
        self.head: dict[ast.stmt, frozenset[str]] = {}
        nested = [
            n for s in body for n in ast.walk(s) if isinstance(n, (ast.FunctionDef, ast.Lambda, *_COMPREHENSIONS))
        ]
        # A nested function reads its variables when it is called, which may be anywhere.
        self._always = frozenset(name for n in nested for name in _loads(n))
        self._block(body, self._always)

    def _block(self, body: Sequence[ast.stmt], live: frozenset[str]) -> frozenset[str]:
        for stmt in reversed(body):
            self.after[stmt] = live
            live = self._before(stmt, live)
        return live

    def _before(self, stmt: ast.stmt, live: frozenset[str]) -> frozenset[str]:
        match stmt:
            case ast.If():
                return _reads(stmt.test) | self._block(stmt.body, live) | self._block(stmt.orelse, live)
            case ast.While():
                return self._loop(stmt, live | _reads(stmt.test), frozenset())
            case ast.For():
                guard = getattr(stmt, "guard", None)
                more = frozenset() if guard is None else _reads(guard)
                return self._loop(stmt, live | more, _stores(stmt.target)) | _reads(stmt.iter)
            case ast.FunctionDef():
                return live - {stmt.name} | _reads(stmt) | self._always
            case ast.Assign(targets=targets, value=value):
                names = frozenset[str]().union(*[_stores(t) for t in targets])
                return live - names | _reads(value).union(*[_reads(t) for t in targets]) | self._always
        # What `:=` assigns, it may also leave as it was.
        names = _stores(stmt.target) if isinstance(stmt, ast.AnnAssign) and stmt.value else frozenset()
        return live - names | _reads(stmt) | self._always

    def _loop(self, stmt: ast.For | ast.While, live: frozenset[str], targets: frozenset[str]) -> frozenset[str]:
        while True:
            head = self._block(stmt.body, live)
            wider = live | (head - targets)
            if wider == live:
                self.head[stmt] = live
                return live
            live = wider


_COMPREHENSIONS = (ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)


def assigned_names(body: Sequence[ast.stmt]) -> list[str]:
    """The variables that `body` assigns, in the order of appearance; not those of nested functions."""
    return list(dict.fromkeys([name for stmt in body for name in _assigned(stmt)]))


_ASSIGNED: weakref.WeakKeyDictionary[ast.stmt, list[str]] = weakref.WeakKeyDictionary()


def _assigned(stmt: ast.stmt) -> list[str]:
    known = _ASSIGNED.get(stmt)
    if known is None:
        known = _ASSIGNED[stmt] = [
            node.name if isinstance(node, ast.FunctionDef) else node.id
            for node in _walk(stmt)
            if isinstance(node, ast.FunctionDef) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        ]
    return known


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        return
    if isinstance(node, _COMPREHENSIONS):
        yield from (n.target for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
        return
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)
    guard = getattr(node, "guard", None)
    if isinstance(guard, ast.AST):
        yield from _walk(guard)


def _loads(node: ast.AST) -> Iterator[str]:
    return (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))


def _reads(node: ast.AST) -> frozenset[str]:
    loads = frozenset(_loads(node))
    # ``x += 1`` stores a name that it also reads.
    return loads | frozenset(
        n.target.id for n in ast.walk(node) if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
    )


def _stores(node: ast.AST) -> frozenset[str]:
    return frozenset(n.id for n in _walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
