"""The mirror of a block: the code that reverses it, and what is known while it is being written.

Between mirrors flow the cotangents of scalars and the counters of residuals and tapes, each under the variable, the
frame or the tape it belongs to. What flows into the mirror of a loop from outside is carried by it; of a branch it is
merged.
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.ir.build import INT
from chainrule.ir.nodes import Atom, Block, Carry, Const, Scalar, Type, Var
from chainrule.transforms.places import Places, Region
from chainrule.transforms.residuals import Frame
from chainrule.transforms.tape import Tape

__all__ = ["Key", "Mirror", "bar", "zero"]

Key = Var | Frame | Tape


def bar(var: Var) -> Var:
    """A new variable for the cotangent of `var`."""
    return Var(f"{var.hint}_bar", var.type)


def zero(type: Type) -> Const:
    return Const({"complex128": 0j, "complex64": 0j}.get(type.dtype, 0.0), Scalar(type.dtype))


class Mirror:
    """The reverse of `region`, within that of the region around it."""

    def __init__(self, places: Places, region: Region, parent: Mirror | None) -> None:
        self.places = places
        self.region = region
        self.parent = parent
        self.code = Block()
        self.at = len(region.block.nodes)  # the statement that is being reversed
        self.values: dict[Var, Atom] = {}  # of the primal variables that are defined in the region
        self.arrays: dict[Var, Var] = {}
        self.shadows: dict[Var, Var] = {}
        self.flows: dict[Key, Atom] = {}
        self.lives: dict[Var, Atom] = {}  # where the cotangent of a variable of this region is no structural zero
        self.carried: dict[Key, Var] = {}
        self.cotangents: dict[Carry, Var] = {}  # of a loop that is reversed, as they enter an iteration
        self.number: tuple[Atom, ...] | None = None  # of the iteration, in its residuals

    def owns(self, key: Key) -> bool:
        """Whether what `key` stands for is defined in the region."""
        home = self.places.places[key].region if isinstance(key, Var) else key.home
        return home is self.region

    def flow(self, key: Key) -> Atom | None:
        """What has flown in so far under `key`; None is a structural zero."""
        known = self.flows.get(key)
        if known is not None or self.owns(key):
            return known
        if isinstance(key, Tape):
            return self._rewound(key)
        return None if self.parent is None else self._entered(key, self.parent)

    def _rewound(self, tape: Tape) -> Atom:
        """The counter of a tape before what this block keeps."""
        if self.parent is None:
            return tape.total
        if self.region is tape.region:
            after = self.parent.flow(tape)
        else:
            after = self._entered(tape, self.parent)
        assert after is not None
        known = self.flows[tape] = tape.begin(self.region, self.code, after)
        return known

    def _entered(self, key: Key, parent: Mirror) -> Atom | None:
        if not self.region.is_loop:
            return parent.flow(key)
        made = bar(key) if isinstance(key, Var) else Var("q", INT)
        self.carried[key] = self.flows[key] = made
        return made

    def replace(self, key: Key, value: Atom) -> None:
        """Let `value`, all of it live, stand for what has flown in under `key`."""
        self.flows[key] = value
        if isinstance(key, Var):
            self.lives.pop(key, None)

    def carries(self, total: Callable[[Frame], Atom]) -> list[Carry]:
        """The carries of the loop that this is the body of, for what flows through; they flow on in the parent.

        ``total(frame)`` is what a counter is after the outermost loop.
        """
        made = []
        for key, param in self.carried.items():
            assert self.parent is not None
            assert isinstance(param.type, Scalar)
            init = self.parent.flow(key)
            if init is None:
                init = total(key) if isinstance(key, Frame) else zero(param.type)
            out = Var(param.hint, param.type)
            made.append(Carry(param, init, self.flows[key], out))
            self.parent.replace(key, out)
        return made
