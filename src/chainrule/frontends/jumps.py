"""Statements without jumps.

After `remove_jumps` there is no `break` and no `continue`, and `return` at most once, as the last statement of the
function (none: it returns None). `raise` stays, code after it goes. Names made here have a dot, which no name of the
user's has: ``stop.1``, ``return.1``, ``skip.1``, ``result.1``.

What follows an `if` that may jump moves into the branches that do not; where that would copy much, a flag guards it.
Loops have no `orelse`. A `while` gets ``not stop.1 and`` in its test. Every `for` is a `For`: it keeps its form, and
`guard`, unless None, ends it before the next iteration once it is true, the targets being left as they are. A
``return e`` in a loop sets a flag and stops the loop; `e` is evaluated after it, where all variables are as they were.
The body of a `with` follows it: ``with c: pass`` stands where it began.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["For", "remove_jumps"]

_Jump = ast.Break | ast.Continue | ast.Return
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COPIED = 12  # statements that may be copied to do without a flag


class For(ast.For):
    """A loop that ends once `guard` is true after an iteration."""

    guard: ast.Name | None


def remove_jumps(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements of a function without jumps; the given nodes are not changed.

    >>> tree = ast.parse("if x < 0:\\n    return -x\\ny = x * x\\nreturn y")
    >>> print(ast.unparse(ast.Module(remove_jumps(tree.body), [])))
    if x < 0:
        result.1 = -x
    else:
        y = x * x
        result.1 = y
    return result.1
    """
    jumps = _Jumps()
    done = jumps.return_once(jumps.block(body, None))
    if not jumps.flags:
        return done
    flags = {n.id: None for n in _inside(done) if isinstance(n, ast.Name) and n.id.startswith("return.")}
    return [*[_set(flag, False, body[0]) for flag in flags], *done]


@dataclass
class _Loop:
    """A loop whose body is being rewritten."""

    guard: str | None  # the flag that stops it
    breaks: bool = False
    leaves: dict[str, ast.Return] = field(default_factory=dict)  # the returns in it, by their flags


class _Jumps:
    """The rewriting of one function.

    A list of statements is in *tail form* if the jumps in it are last, or last in a branch of an `if` that is last.
    """

    def __init__(self) -> None:
        self.numbers = {kind: itertools.count(1) for kind in ("stop", "return", "skip", "result")}
        self.flags: dict[ast.Return, str] = {}
        self.pending: set[ast.Return] = set()  # those that stand after a loop and whose flag is true already

    def name(self, kind: str) -> str:
        return f"{kind}.{next(self.numbers[kind])}"

    def flag(self, node: ast.stmt) -> str:
        assert isinstance(node, ast.Return)
        if node not in self.flags:
            self.flags[node] = self.name("return")
        return self.flags[node]

    def block(self, body: Sequence[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        """`body` in tail form."""
        out: list[ast.stmt] = []
        for k, node in enumerate(body):
            rest = body[k + 1 :]
            if isinstance(node, ast.If):
                branches = _if(node.test, self.block(node.body, loop), self.block(node.orelse, loop), node)
                if any(map(_jumps, branches)):
                    return out + self.join(branches, self.block(rest, loop), loop)
                out += branches
            elif isinstance(node, ast.For | ast.While):
                lowered, after = self.loop(node)
                out += lowered
                if after:
                    return out + self.block([*after, *rest], loop)
            elif isinstance(node, ast.With):
                out.append(ast.copy_location(ast.With(node.items, [_pass(node)]), node))
                return out + self.block([*node.body, *rest], loop)
            elif not isinstance(node, ast.Pass):
                out.append(node)
            if out and not _falls(out[-1]):
                break
        return out

    def join(self, branches: list[ast.stmt], rest: list[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        """`branches`, which may jump, and `rest` if they have not."""
        ends = _count_falls(branches)
        if ends < 2 or (ends - 1) * _size(rest) <= _COPIED:
            return _ends(branches, lambda jump: [jump], rest)
        jumps, at = list(_tail_jumps(branches)), branches[0]
        if loop is None:
            leaves = {self.flag(j): j for j in jumps if isinstance(j, ast.Return)}
            ended = _ends(branches, self.mark, [])
            for flag, leaf in leaves.items():
                rest = _if(_name(flag, leaf), [self.after(leaf)], rest, leaf)
            return ended + rest
        continues = any(isinstance(j, ast.Continue) for j in jumps)
        skip = self.name("skip") if continues or loop.guard is None else loop.guard
        ended = _ends(branches, lambda jump: self.leave(jump, loop, skip), [])
        guarded = _if(_name(skip, at), [ast.copy_location(ast.Continue(), at)], rest, at)
        return [*([_set(skip, False, at)] if skip != loop.guard else []), *ended, *guarded]

    def loop(self, node: ast.For | ast.While) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """The loop without jumps, and what is left to do after it."""
        loop = _Loop(self.guard(node))
        body = _ends(self.block(node.body, loop), lambda jump: self.leave(jump, loop), [])
        guard = loop.guard if loop.breaks or loop.leaves else None
        endless = isinstance(node, ast.While) and _is_true(node.test)
        after = [] if endless else node.orelse
        if guard is not None and loop.breaks:
            after = _if(_name(guard, node), [], node.orelse, node)
        for flag, leaf in reversed(loop.leaves.items()):
            surely = endless and not loop.breaks and not after
            after = [self.after(leaf)] if surely else _if(_name(flag, leaf), [self.after(leaf)], after, leaf)
        inits = [_set(guard, False, node)] if guard is not None and guard not in loop.leaves else []
        return [*inits, _rebuilt(node, body, guard)], after

    def guard(self, node: ast.For | ast.While) -> str | None:
        returns = [n for n in _inside(node.body) if isinstance(n, ast.Return)]
        breaks = any(isinstance(n, ast.Break) for n in _inside(node.body, loops=False))
        if len(returns) == 1 and not breaks:
            return self.flag(returns[0])
        return self.name("stop") if returns or breaks else None

    def leave(self, jump: ast.stmt, loop: _Loop, skip: str | None = None) -> list[ast.stmt]:
        """Set the flags of a jump: of the return, of the loop, and `skip`."""
        flags: list[str | None] = [] if isinstance(jump, ast.Continue) else [loop.guard]
        if isinstance(jump, ast.Return):
            loop.leaves[self.flag(jump)] = jump
            flags.insert(0, self.flag(jump))
        elif isinstance(jump, ast.Break):
            loop.breaks = True
        done = self.flag(jump) if jump in self.pending else None
        return [_set(flag, True, jump) for flag in dict.fromkeys([*flags, skip]) if flag is not None and flag != done]

    def mark(self, jump: ast.stmt) -> list[ast.stmt]:
        """Set the flag of a return."""
        return [] if jump in self.pending else [_set(self.flag(jump), True, jump)]

    def after(self, leaf: ast.Return) -> ast.Return:
        """What `leaf` does, after its loop."""
        node = ast.copy_location(ast.Return(leaf.value), leaf)
        self.flags[node] = self.flag(leaf)
        self.pending.add(node)
        return node

    def return_once(self, body: list[ast.stmt]) -> list[ast.stmt]:
        returns = [jump for jump in _tail_jumps(body) if isinstance(jump, ast.Return)]
        if all(jump.value is None for jump in returns):
            return _ends(body, lambda jump: [], [])
        if isinstance(body[-1], ast.Return):
            return body
        name = self.name("result")
        last = body[-1]

        def assign(jump: ast.stmt) -> list[ast.stmt]:
            value = jump.value if isinstance(jump, ast.Return) else None
            return [_assign(name, value or ast.copy_location(ast.Constant(None), jump), jump)]

        final = ast.copy_location(ast.Return(_name(name, last)), last)
        return [*_ends(body, assign, assign(last)), final]


# -- tails --------------------------------------------------------------------------------------------


def _ends(body: list[ast.stmt], jump: Callable[[ast.stmt], list[ast.stmt]], fall: list[ast.stmt]) -> list[ast.stmt]:
    """A list in tail form with its jumps replaced, and `fall` where it does not jump."""
    if not body:
        return fall
    *start, last = body
    if isinstance(last, _Jump):
        return [*start, *jump(last)]
    if isinstance(last, ast.If) and _jumps(last):
        return start + _if(last.test, _ends(_full(last.body), jump, fall), _ends(last.orelse, jump, fall), last)
    return [*body, *fall] if _falls(last) else body


def _tail_jumps(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    last = body[-1] if body else None
    if isinstance(last, _Jump):
        yield last
    elif isinstance(last, ast.If):
        yield from _tail_jumps(last.body)
        yield from _tail_jumps(last.orelse)


def _count_falls(body: list[ast.stmt]) -> int:
    if body and isinstance(body[-1], ast.If) and _jumps(body[-1]):
        return _count_falls(body[-1].body) + _count_falls(body[-1].orelse)
    return int(not body or _falls(body[-1]))


def _jumps(node: ast.stmt) -> bool:
    return any(True for _ in _tail_jumps([node]))


def _falls(node: ast.stmt) -> bool:
    """Whether the statement after this one may be reached; code in tail form."""
    if isinstance(node, ast.If):
        return not (node.body and node.orelse) or _falls(node.body[-1]) or _falls(node.orelse[-1])
    if isinstance(node, ast.While):
        return not _is_true(node.test)
    return not isinstance(node, ast.Raise | _Jump)


def _is_true(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and bool(test.value)


def _size(body: list[ast.stmt]) -> int:
    return sum(isinstance(node, ast.stmt) for top in body for node in ast.walk(top))


def _inside(body: Iterable[ast.AST], loops: bool = True) -> Iterator[ast.AST]:
    """The nodes in `body`, but not in functions of their own; with `loops` false not in the bodies of loops either."""
    for node in body:
        yield node
        if isinstance(node, ast.For | ast.While) and not loops:
            yield from _inside(node.orelse, loops)
        elif not isinstance(node, _SCOPES):
            yield from _inside(ast.iter_child_nodes(node), loops)


# -- nodes --------------------------------------------------------------------------------------------


def _if(test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt], at: ast.AST) -> list[ast.stmt]:
    if not body and orelse:
        test, body, orelse = _not(test), orelse, []
    if not body and isinstance(test, ast.Name):
        return []
    return [ast.copy_location(ast.If(test, body or [_pass(at)], orelse), at)]


def _full(body: list[ast.stmt]) -> list[ast.stmt]:
    return [node for node in body if not isinstance(node, ast.Pass)]


def _rebuilt(node: ast.For | ast.While, body: list[ast.stmt], guard: str | None) -> ast.stmt:
    body = body or [_pass(node)]
    name = None if guard is None else _name(guard, node)
    if isinstance(node, ast.For):
        found = For(node.target, node.iter, body, [])
        found.guard = name
        return ast.copy_location(found, node)
    test = node.test
    if name is not None:
        stopped = _not(name)
        both = ast.copy_location(ast.BoolOp(ast.And(), [stopped, test]), test)
        test = stopped if _is_true(test) else both
    return ast.copy_location(ast.While(test, body, []), node)


def _not(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    return ast.copy_location(ast.UnaryOp(ast.Not(), test), test)


def _name(name: str, at: ast.AST) -> ast.Name:
    return ast.copy_location(ast.Name(name, ast.Load()), at)


def _pass(at: ast.AST) -> ast.Pass:
    return ast.copy_location(ast.Pass(), at)


def _set(flag: str, value: bool, at: ast.AST) -> ast.Assign:
    return _assign(flag, ast.copy_location(ast.Constant(value), at), at)


def _assign(name: str, value: ast.expr, at: ast.AST) -> ast.Assign:
    target = ast.copy_location(ast.Name(name, ast.Store()), at)
    return ast.copy_location(ast.Assign([target], value), at)
