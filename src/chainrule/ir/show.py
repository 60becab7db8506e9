"""Programs as text for people: one statement a line, the user's names made distinct, blocks indented.

Functions that are called follow the one that is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from chainrule.ir.messages import is_mark
from chainrule.ir.nodes import (
    AddInto,
    Alloc,
    Atom,
    Block,
    Call,
    Carry,
    Check,
    Const,
    Copy,
    Dim,
    For,
    Function,
    If,
    Incr,
    Let,
    Load,
    Node,
    Op,
    Print,
    Raise,
    Reserve,
    Slice,
    Store,
    Undef,
    Var,
    View,
    While,
)
from chainrule.ir.walk import defines, nodes_of

__all__ = ["show"]


def show(function: Function) -> str:
    """The text of `function` and of what it calls.

    Examples
    --------
    >>> from chainrule.ir.build import FLOAT, Builder, integer
    >>> from chainrule.ir.nodes import Array
    >>> a, x = Var("a", Array("float64", 1)), Var("x", FLOAT)
    >>> b = Builder()
    >>> b.store(a, [integer(0)], b.let("sin", b.let("multiply", x, x)))
    >>> print(show(Function("f", (a, x), b.block, (a,))))
    f(a: float64[:], x: float64)
        t = multiply(x, x)
        t_2 = sin(t)
        a[0] = t_2
        return a
    """
    shown: dict[Function, str] = {}
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if current not in shown:
            shown[current] = "\n".join(_Writer().function(current))
            waiting.extend(n.function for n in nodes_of(current.body) if isinstance(n, Call))
    return "\n\n".join(shown.values())


class _Writer:
    """The names of one function."""

    def __init__(self) -> None:
        self.names: dict[Var, str] = {}
        self.taken: set[str] = set()
        self.last: dict[str, int] = {}

    def name(self, var: Var) -> str:
        if var not in self.names:
            name = var.hint
            while name in self.taken:
                self.last[var.hint] = self.last.get(var.hint, 1) + 1
                name = f"{var.hint}_{self.last[var.hint]}"
            self.taken.add(name)
            self.names[var] = name
        return self.names[var]

    def atom(self, atom: Any) -> str:
        match atom:
            case Var():
                return self.name(atom)
            case Const(value=value):
                return repr(value)
            case Undef():
                return "undefined"
            case Slice(lower=lower, upper=upper, step=step):
                bounds = [self.atom(b) if b is not None else "" for b in (lower, upper)]
                return ":".join(bounds if step is None else [*bounds, self.atom(step)])
        return repr(atom)

    def all(self, atoms: Iterable[Any]) -> str:
        return ", ".join(map(self.atom, atoms))

    def function(self, function: Function) -> Iterator[str]:
        params = ", ".join(f"{self.name(p)}: {p.type}" for p in function.params)
        yield f"{function.name}({params})"
        yield from self.block(function.body, f"return {self.all(function.results)}")

    def block(self, block: Block, end: str = "") -> Iterator[str]:
        for node in block:
            for line in self.node(node):
                yield "    " + line
        if end:
            yield "    " + end
        elif not block.nodes:
            yield "    pass"

    def node(self, node: Node) -> Iterator[str]:
        match node:
            case If():
                yield f"{self.outs(node)}if {self.atom(node.test)}:"
                yield from self.block(node.then, self.give(m.then for m in node.merges))
                yield "else:"
                yield from self.block(node.orelse, self.give(m.orelse for m in node.merges))
            case For():
                bounds = self.all((node.lower, node.upper, node.step))
                entered = self.entered(node.carries)
                function = "parallel" if node.parallel else "range"
                yield f"{self.outs(node)}for {self.name(node.index)} in {function}({bounds}){entered}:"
                yield from self.block(node.body, self.give(c.next for c in node.carries))
            case While():
                yield f"{self.outs(node)}while{self.entered(node.carries)}:"
                yield from self.block(node.head, f"test {self.atom(node.test)}")
                yield "do:"
                yield from self.block(node.body, self.give(c.next for c in node.carries))
            case _:
                yield self.outs(node) + self.simple(node)

    def outs(self, node: Node) -> str:
        names = self.all(defines(node))
        return f"{names} = " if names else ""

    def give(self, atoms: Iterable[Atom]) -> str:
        text = self.all(atoms)
        return f"give {text}" if text else ""

    def entered(self, carries: Sequence[Carry]) -> str:
        text = ", ".join(f"{self.name(c.param)} = {self.atom(c.init)}" for c in carries)
        return f" with {text}" if text else ""

    def simple(self, node: Node) -> str:
        a = self.atom
        match node:
            case Let(out=out, op=op, args=args):
                return f"{out.type if op == 'cast' else op}({self.all(args)})"
            case Op(op=op, args=args):
                return f"{op}({self.all(args)})"
            case Call(function=function, args=args):
                return f"{function.name}({self.all(args)})"
            case Load(array=array, index=index):
                return f"{a(array)}[{self.all(index)}]"
            case Store(array=array, index=index, value=value):
                return f"{a(array)}[{self.all(index)}] = {a(value)}"
            case Incr(array=array, index=index, value=value):
                return f"{a(array)}[{self.all(index)}] += {a(value)}"
            case View(array=array, kind=kind, items=items):
                return f"{a(array)}[{self.all(items)}]" if kind == "index" else f"{a(array)}.{kind}({self.all(items)})"
            case Alloc(out=out, shape=shape, fill=fill):
                filled = "" if fill is None else f", filled with {a(fill)}"
                return f"new {out.type.dtype}({self.all(shape)}){filled}"
            case Copy(array=array):
                return f"copy of {a(array)}"
            case AddInto(array=array, source=source):
                return f"{a(array)}[...] += {a(source)}"
            case Dim(array=array, axis=axis):
                return f"{a(array)}.shape[{axis}]"
            case Reserve(array=array, size=size):
                return f"reserve {a(array)}, {a(size)}"
            case Raise(exception=exception, parts=parts):
                return f"raise {exception}({self.all(_said(parts))})"
            case Check(test=test, exception=exception, parts=parts):
                return f"unless {a(test)} raise {exception}({self.all(_said(parts))})"
            case Print(parts=parts):
                return f"print({self.all(_said(parts))})"
        raise AssertionError(node)


def _said(parts: Iterable[Any]) -> list[Any]:
    """A message without its marks."""
    return [p for p in parts if not is_mark(p)]
