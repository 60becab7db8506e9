"""Which variables hold one number: those that are computed alike from alike, whatever block they are in.

What branches merge is alike where they are on one test and both sides are. Where the test is known, it is what that
side has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chainrule.ir.nodes import Atom, Const, Merge, Type, Var
from chainrule.transforms.simplify.facts import key

__all__ = ["Numbers"]

_COMMUTING = frozenset({"add", "multiply", "equal", "not_equal", "logical_and", "logical_or"})
_NOTHING: Mapping[Var, Const] = {}


class Numbers:
    """The variables of a function by what they are computed of, in the order of its statements."""

    def __init__(self) -> None:
        self._first: dict[object, Var] = {}  # what has been computed, and the first variable that holds it
        self._same: dict[Var, Var] = {}
        self._merged: dict[Var, tuple[Var, Merge]] = {}  # by the first variable: a test, and what it chooses from

    def of(self, atom: Atom, known: Mapping[Var, Const] = _NOTHING) -> object:
        """Equal for atoms that hold one number, where the tests `known` are what they are."""
        while isinstance(atom, Var):
            atom = self._same.get(atom, atom)
            merged = self._merged.get(atom) if known else None
            if merged is None or merged[0] not in known:
                break
            atom = merged[1].then if known[merged[0]].value else merged[1].orelse
        return key(atom)

    def name(self, op: str, args: Iterable[Atom], type: Type, known: Mapping[Var, Const] = _NOTHING) -> object:
        """What an operation computes."""
        names = [self.of(a, known) for a in args]
        if op in _COMMUTING:
            names.sort(key=hash)
        return (op, *names, type)

    def choice(self, test: Atom, merge: Merge) -> object:
        """What a branch merges."""
        return ("if", self.of(test), self.of(merge.then), self.of(merge.orelse), merge.out.type)

    def define(self, out: Var, name: object) -> None:
        """`out` is what has this name."""
        self._same[out] = self._first.setdefault(name, out)

    def merge(self, test: Atom, merge: Merge) -> None:
        """`merge` chooses by `test`."""
        self.define(merge.out, self.choice(test, merge))
        if isinstance(test, Var):
            self._merged.setdefault(self._same[merge.out], (test, merge))
