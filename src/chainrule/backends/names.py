"""The names of a written function's variables: the user's, made distinct."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

from chainrule.backends.lives import ANONYMOUS, Lives
from chainrule.ir.nodes import For, Function, Var
from chainrule.ir.walk import defines, nodes_of

__all__ = ["distinct", "names_of"]

_TAKEN = frozenset({*dir(builtins), *keyword.kwlist, "np", "math", "special", "support"})


def identifier(hint: str) -> str:
    """`hint`, or what is left of it, as a Python name."""
    name = re.sub(r"\W+", "_", hint).strip("_") or "t"
    return f"_{name}" if name[0].isdigit() else name


def distinct(hint: str, used: set[str]) -> str:
    """A name like `hint` that is not `used`, and now is."""
    stem = identifier(hint)
    name, count = stem, 0
    while name in used or name in _TAKEN:
        count += 1
        name = f"{stem}_{count}"
    used.add(name)
    return name


def names_of(function: Function, lives: Lives, taken: Iterable[str]) -> dict[Var, str]:
    """A name for every variable; the user's variables of one name share it where their values do not meet."""
    used = set(taken)
    sharing: dict[str, list[Var]] = {}
    named: dict[Var, str] = {}
    variables = list(_in_order(function))
    for var in variables:
        var = lives.find(var)
        if var in named:
            continue
        hint = lives.hint(var)
        if hint not in ANONYMOUS:
            same = sharing.setdefault(hint, [])
            joined = next((v for v in same if lives.join(v, var)), None)
            if joined is not None:
                continue
            same.append(var)
        named[var] = distinct(hint, used)
    return {var: named[lives.find(var)] for var in variables}


def _in_order(function: Function) -> Iterable[Var]:
    yield from function.params
    for node in nodes_of(function.body):
        if isinstance(node, For):
            yield node.index
        yield from (c.param for c in getattr(node, "carries", ()))
        yield from defines(node)
