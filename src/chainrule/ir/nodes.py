"""The nodes of the intermediate representation, a small closed language.

Scalars are values: every `Var` is defined once and visible in its block and the blocks nested in it.
Arrays are references to memory: a `Var` of array type names either storage of its own (a parameter, `Alloc`,
`Copy`, an array result of `Op`, `If` or `Call`), its *root*, or a `View` of another array, whose root it has.
Control flow is structured: there are no jumps, and values leave a branch or a loop only through the results
of `If` and the carries of loops. `check` is the specification of what is well formed, `evaluate` of what it
means; `show` prints it.

A program that `Undef` reaches has no meaning only if it uses it: a variable that was not assigned on the path
taken. Bounds, tests and extents are evaluated once. Integers are 64-bit. An index may be negative and counts
from the end as in Python; out of bounds is the program's error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "AddInto",
    "Alloc",
    "Array",
    "Atom",
    "Block",
    "Call",
    "Carry",
    "Check",
    "Const",
    "Copy",
    "Dim",
    "For",
    "Function",
    "If",
    "Incr",
    "Let",
    "Line",
    "Load",
    "Merge",
    "Node",
    "Op",
    "Print",
    "Raise",
    "Reserve",
    "Rule",
    "Scalar",
    "Slice",
    "Store",
    "Type",
    "Undef",
    "Var",
    "View",
    "While",
]


# -- types and atoms ----------------------------------------------------------------------------------


class Scalar(NamedTuple):
    """A number. `dtype` is one of float64, float32, int64, bool, complex128, complex64."""

    dtype: str

    def __str__(self) -> str:
        return self.dtype


class Array(NamedTuple):
    """An array of numbers; its extents are known when the program runs. `ndim` is at least 1."""

    dtype: str
    ndim: int

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(':' * self.ndim)}]"


Type = Scalar | Array


class Var:
    """A variable, equal to itself only. `hint` is what the user calls it; `show` makes names distinct."""

    __slots__ = ("hint", "type")

    def __init__(self, hint: str, type: Type) -> None:
        self.hint = hint
        self.type = type

    def __repr__(self) -> str:
        return f"{self.hint}:{self.type}"


class Const(NamedTuple):
    """A number known now."""

    value: Any
    type: Scalar


class Undef(NamedTuple):
    """The value of a variable on a path that does not assign it."""

    type: Scalar


Atom = Var | Const | Undef


class Slice(NamedTuple):
    """``lower:upper:step`` along an axis with Python's meaning; None where the bound is left out."""

    lower: Atom | None
    upper: Atom | None
    step: Atom | None


NEW_AXIS = None
Item = Atom | Slice | None


class Line(NamedTuple):
    """A line of the user's source."""

    file: str
    number: int


# -- nodes --------------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Node:
    """One statement. Nodes are compared by identity and, once built, not changed."""

    line: Line | None = field(default=None, kw_only=True)


@dataclass(eq=False, slots=True)
class Let(Node):
    """``out = op(*args)`` on scalars; `op` is a name of `ops`, most of which are primitives of the registry."""

    out: Var
    op: str
    args: tuple[Atom, ...]


@dataclass(eq=False, slots=True)
class Load(Node):
    """``out = array[index]``, one number."""

    out: Var
    array: Var
    index: tuple[Atom, ...]


@dataclass(eq=False, slots=True)
class Store(Node):
    """``array[index] = value``, one number."""

    array: Var
    index: tuple[Atom, ...]
    value: Atom


@dataclass(eq=False, slots=True)
class Incr(Node):
    """``array[index] += value``, one number."""

    array: Var
    index: tuple[Atom, ...]
    value: Atom


@dataclass(eq=False, slots=True)
class View(Node):
    """Another way of looking at an array's memory.

    kind "index": `items` has an atom (drops the axis), a `Slice` or None (a new axis) for every axis in order;
    kind "transpose": `items` is the permutation, constants;
    kind "reshape": `items` are the extents; the array is C-contiguous.
    """

    out: Var
    array: Var
    kind: str
    items: tuple[Any, ...]


@dataclass(eq=False, slots=True)
class Alloc(Node):
    """``out`` = a new C-contiguous array of extents `shape`, filled with the constant `fill`, or not at all.

    `kept` says that a reverse sweep finds there what the primal one has computed. So many of the first axes as are
    `numbered` have the numbers of iterations for indices, which are never negative.
    """

    out: Var
    shape: tuple[Atom, ...]
    fill: Const | None = None
    kept: bool = False
    numbered: int = 0


@dataclass(eq=False, slots=True)
class Copy(Node):
    """``out`` = a new C-contiguous array with the elements of `array`."""

    out: Var
    array: Var


@dataclass(eq=False, slots=True)
class AddInto(Node):
    """``array += source``, elementwise, of equal extents."""

    array: Var
    source: Var


@dataclass(eq=False, slots=True)
class Dim(Node):
    """``out = array.shape[axis]``."""

    out: Var
    array: Var
    axis: int


@dataclass(eq=False, slots=True)
class Reserve(Node):
    """Make the first extent of `array` at least `size`, keeping its elements.

    The array is an `Alloc` of this function, or a parameter that it `grows`, and not viewed; its memory may move.
    """

    array: Var
    size: Atom


@dataclass(eq=False, slots=True)
class Op(Node):
    """``outs = op(*args)`` on whole arrays and scalars, a name of `ops`; array results are new and C-contiguous."""

    outs: tuple[Var, ...]
    op: str
    args: tuple[Atom, ...]


@dataclass(eq=False, slots=True)
class Call(Node):
    """``outs = function(*args)``; functions that call themselves, directly or not, or have a rule of their own.

    What the function `grows` is an argument that may be reserved here, and is the longer array afterwards.
    """

    outs: tuple[Var, ...]
    function: Function
    args: tuple[Atom, ...]


@dataclass(eq=False, slots=True)
class Merge:
    """A result of an `If`: `then` on one path, `orelse` on the other.

    Arrays that merge are storage born in their branch (or `Undef`-free copies made there), which the result owns.
    """

    out: Var
    then: Atom
    orelse: Atom


@dataclass(eq=False, slots=True)
class If(Node):
    test: Atom
    then: Block
    orelse: Block
    merges: list[Merge] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Carry:
    """A scalar that a loop hands from one iteration to the next.

    `param` is its value during an iteration, `init` before the first, `next` at the end of the body, and
    `out` after the loop.
    """

    param: Var
    init: Atom
    next: Atom
    out: Var


@dataclass(eq=False, slots=True)
class For(Node):
    """``for index in range(lower, upper, step)``; `step` is a constant or was tested not to be zero.

    The iterations of a `parallel` loop may run at once; it has no carries.
    """

    index: Var
    lower: Atom
    upper: Atom
    step: Atom
    body: Block
    carries: list[Carry] = field(default_factory=list)
    parallel: bool = False


@dataclass(eq=False, slots=True)
class While(Node):
    """Evaluate `head`, which has no effects, and run `body` as long as `test` is true."""

    head: Block
    test: Atom
    body: Block
    carries: list[Carry] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Raise(Node):
    """Raise the exception class named `exception`; `parts` are text, atoms and marks, see `messages`."""

    exception: str
    parts: tuple[str | Atom, ...]


@dataclass(eq=False, slots=True)
class Check(Node):
    """Raise as `Raise` does unless `test` is true."""

    test: Atom
    exception: str
    parts: tuple[str | Atom, ...]


@dataclass(eq=False, slots=True)
class Print(Node):
    """Print what an exception of these `parts` would have as arguments; kept in the primal sweep only."""

    parts: tuple[str | Atom, ...]


@dataclass(eq=False, slots=True)
class Block:
    nodes: list[Node] = field(default_factory=list)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)


class Rule(NamedTuple):
    """The user's own derivative of a function, for its float and complex parameters and results.

    `jvp` takes the parameters and a tangent for each float one, and returns the results and a tangent for each float
    one; `vjp` takes the parameters and a cotangent for each float result, and returns the results and a cotangent for
    each float parameter.
    """

    jvp: Function
    vjp: Function


@dataclass(eq=False, slots=True)
class Function:
    """A program. `results` are scalars, or arrays: parameters, views or storage of the body's top level.

    `grows` are array parameters that it may make longer, for its caller too; it is not the entry of a program then.
    `divides` says that it calls itself for two parts of a loop, as `transforms.checkpoint` makes them.
    """

    name: str
    params: tuple[Var, ...]
    body: Block
    results: tuple[Atom, ...]
    line: Line | None = None
    writes: frozenset[Var] = frozenset()  # the array parameters whose memory it writes to, see `walk.find_writes`
    rule: Rule | None = None
    grows: frozenset[Var] = frozenset()
    divides: bool = False
