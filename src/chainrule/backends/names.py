"""The names of a written function's variables: the user's, made distinct."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection, Iterable, Iterator

from chainrule.backends.lives import ANONYMOUS, Lives
from chainrule.ir.nodes import Dim, For, Function, Load, Node, Var
from chainrule.ir.walk import defines, nodes_of

__all__ = ["Names", "distinct", "nameless"]

_TAKEN = frozenset({*dir(builtins), *keyword.kwlist, "np", "math", "kernels", "special", "support"})


def identifier(hint: str) -> str:
    """`hint`, or what is left of it, as a Python name."""
    name = re.sub(r"\W+", "_", hint).strip("_") or "t"
    return f"_{name}" if name[0].isdigit() else name


def distinct(hint: str, used: set[str], mark: str = "") -> str:
    """A name like `hint` that is not `used`, and now is; one that would end in a number ends in `mark`."""
    stem = identifier(hint)
    name = stem + mark if re.search(r"_\d+$", stem) else stem
    count = 0
    while name in used or name in _TAKEN:
        count += 1
        name = f"{stem}_{count}{mark}"
    used.add(name)
    return name


class Names:
    """A name for every variable of a function, by ``names[variable]``.

    Variables of one hint share a name where their values do not meet, but for those that nobody has a name for, and
    those that are to be `alone`. The user's are named first, the others when they are first written.
    """

    def __init__(
        self, function: Function, lives: Lives, taken: Iterable[str], alone: Collection[Var] = frozenset()
    ) -> None:
        self.lives = lives
        self.alone = alone
        self.used = set(taken)
        # Of what a parallel loop sees Numba calls the second version of z: z_1.
        self.mark = "_" if any(isinstance(n, For) and n.parallel for n in nodes_of(function.body)) else ""
        self.named: dict[Var, str] = {}
        self.sharing: dict[str, list[Var]] = {}
        for node_of, var in _in_order(function):
            if lives.hint(var) not in nameless(node_of):
                self[var]

    def __getitem__(self, var: Var) -> str:
        var = self.lives.find(var)
        if var in self.named:
            return self.named[var]
        hint = self.lives.hint(var)
        same = [] if hint in ANONYMOUS or var in self.alone else self.sharing.setdefault(hint, [])
        for other in same:
            if self.lives.join(other, var):
                return self.named[other]
        same.append(var)
        self.named[var] = self.fresh(hint)
        return self.named[var]

    def own(self, var: Var) -> str:
        """A name for `var`, which has none yet, that it shares with no other."""
        self.named[var] = self.fresh(var.hint)
        return self.named[var]

    def fresh(self, hint: str) -> str:
        """A name like `hint` that nothing else has."""
        return distinct(hint, self.used, self.mark)


def nameless(node: Node | None) -> frozenset[str]:
    """The hints that say nothing, of what `node` defines: made from the name of an array."""
    if isinstance(node, Load):
        return ANONYMOUS | {f"{node.array.hint}_i"}
    if isinstance(node, Dim):
        return ANONYMOUS | {f"n_{node.array.hint}", f"n{node.axis}_{node.array.hint}"}
    return ANONYMOUS


def _in_order(function: Function) -> Iterator[tuple[Node | None, Var]]:
    """The variables, each with the statement that defines it."""
    yield from ((None, p) for p in function.params)
    for node in nodes_of(function.body):
        if isinstance(node, For):
            yield node, node.index
        yield from ((node, c.param) for c in getattr(node, "carries", ()))
        yield from ((node, v) for v in defines(node))
