"""What an expression of the user's program is while it is read: known now, or an atom or array of the program.

Tuples, lists, dicts, records, strings, functions and modules exist only here; what is left of them in the
program is the numbers and arrays in them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from chainrule.ir.build import boolean, constant, integer
from chainrule.ir.nodes import Array, Atom, Block, Const, Scalar, Undef, Var

__all__ = [
    "ArrayRef",
    "Bottom",
    "Closure",
    "Conflict",
    "Copied",
    "Either",
    "Grown",
    "Item",
    "Iterable",
    "Lazy",
    "ListArray",
    "Number",
    "Record",
    "Room",
    "Slicing",
    "Static",
    "Transformed",
    "Value",
    "kind_of",
    "number",
    "object_of",
    "static_value",
]


class Value:
    """Base of what the front end computes with. Plain tuples, lists and dicts of values are values too."""

    __slots__ = ()


@dataclass(eq=False, slots=True)
class Number(Value):
    """A scalar. `weak`: a Python number, which does not decide the dtype of a result (NEP 50)."""

    atom: Atom
    weak: bool = False

    @property
    def dtype(self) -> str:
        return self.atom.type.dtype

    @property
    def known(self) -> bool:
        return isinstance(self.atom, Const)


@dataclass(eq=False, slots=True)
class Step:
    """One `View` on the way from an array's base to it."""

    kind: str
    items: tuple[Any, ...]


@dataclass(eq=False, slots=True)
class ArrayRef(Value):
    """An array of the program: its extents, and how it is reached from `base` through views."""

    var: Var
    dims: tuple[Atom, ...]
    base: Var
    path: tuple[Step, ...] = ()
    contiguous: bool = True

    @property
    def dtype(self) -> str:
        return self.var.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.dims)


@dataclass(eq=False, slots=True)
class Lazy(Value):
    """An array expression not yet computed: `element` writes the code of one element at given indices.

    `arrays` are the arrays it reads. It must be used, or made an array, before any of them is written.
    """

    dtype: str
    dims: tuple[Atom, ...]
    element: Callable[[tuple[Atom, ...]], Atom]
    arrays: tuple[ArrayRef, ...]
    aligned: bool = False  # element i reads element i of every array of the same extents

    @property
    def ndim(self) -> int:
        return len(self.dims)


@dataclass(eq=False, slots=True)
class Either(Lazy):
    """One of two arrays, which of them is known when the program runs; read where it is used, as a view is.

    An array made of it is a copy that stands for both.
    """


@dataclass(eq=False, slots=True)
class Copied(Either):
    """What NumPy makes a view of and programs here a copy: ``z.real``, a diagonal. The copy stands for the array."""


@dataclass(eq=False, slots=True)
class ListArray(Value):
    """A list of numbers whose length is known when the program runs, kept in an array."""

    array: ArrayRef
    weak: bool = True


@dataclass(eq=False, slots=True)
class Item(Either):
    """An array in a list that grows. An array made of it is a copy that stands for what was appended."""


class Room(NamedTuple):
    """Where a list that grows keeps a number or array of its items; `shape` holds extents not known now."""

    items: Var
    shape: Var | None


@dataclass(eq=False, slots=True)
class Grown(Value):
    """A list that grows while the program runs, see `grown`: how many items there are is the element of `count`."""

    kind: Any
    site: Any
    count: Var
    rooms: tuple[Room, ...]
    home: Block


@dataclass(eq=False, slots=True)
class Static(Value):
    """A Python object known now that is no number: a string, a function, a module, a dtype, None."""

    value: Any


@dataclass(eq=False, slots=True)
class Record(Value):
    """An instance of a dataclass or named tuple."""

    cls: type
    fields: dict[str, Any]


@dataclass(eq=False, slots=True)
class Closure(Value):
    """A function or lambda defined inside the program."""

    node: ast.FunctionDef | ast.Lambda
    frame: Any
    defaults: list[Any] = field(default_factory=list)
    kw_defaults: dict[str, Any] = field(default_factory=dict)
    name: str = "<lambda>"


@dataclass(eq=False, slots=True)
class Bound(Value):
    """A method of a value, or a function with some arguments given."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Transformed(Value):
    """A transformation of chainrule applied to a function: ``cr.grad(g)`` and the like."""

    kind: str
    function: Any
    options: dict[str, Any]


@dataclass(eq=False, slots=True)
class Slicing(Value):
    """A slice object."""

    lower: Number | None
    upper: Number | None
    step: Number | None


@dataclass(eq=False, slots=True)
class Iterable(Value):
    """What a loop runs over: item `k` of `count`, given the atom `k`; for ``range`` its bounds as well.

    `grows` are the lengths of the lists among it, which the loop must not change. `arrays` are those it takes its items
    from: it holds them, whatever the variables become that they came from.
    """

    count: Atom
    item: Callable[[Atom], Any]
    range: tuple[Atom, Atom, Atom] | None = None
    grows: tuple[Var, ...] = ()
    arrays: tuple[ArrayRef, ...] = ()


@dataclass(eq=False, slots=True)
class Conflict(Value):
    """A variable that has no one meaning here; using it is refused for this reason.

    `present` is what it is on the one path that assigns it.
    """

    reason: str
    present: Any = None


class Bottom(Value):
    """The result of a recursive call whose type is not known yet."""

    __slots__ = ()


BOTTOM = Bottom()
_PYTHONS: dict[str, type] = {"float64": float, "int64": int, "bool": bool, "complex128": complex}


def number(value: Any) -> Number:
    """A number known now."""
    match value:
        case bool():
            return Number(boolean(value), weak=True)
        case np.bool_():
            return Number(boolean(bool(value)))
        case int():
            return Number(integer(value), weak=True)
        case float():
            return Number(Const(float(value), Scalar("float64")), weak=type(value) is float)
        case complex():
            return Number(Const(complex(value), Scalar("complex128")), weak=type(value) is complex)
        case np.integer():
            return Number(integer(int(value)))
    return Number(constant(value, value.dtype.name))


def static_value(value: Number) -> Any:
    """The Python number of a `Number` known now."""
    assert isinstance(value.atom, Const)
    return value.atom.value


def kind_of(value: Number) -> Any:
    """The class that a number has: Python's, or NumPy's."""
    found = _PYTHONS.get(value.dtype) if value.weak else None
    return found or np.dtype(value.dtype).type


def object_of(value: Any) -> Any:
    """The object that a number known now, or a `Static`, stands for."""
    return kind_of(value)(static_value(value)) if isinstance(value, Number) else value.value


def undefined(type: Scalar) -> Number:
    return Number(Undef(type), weak=True)


def array_type(value: ArrayRef | Lazy) -> Array:
    return Array(value.dtype, value.ndim)
