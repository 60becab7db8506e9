"""Symbols: traced values that stand for a variable of a program, so that a rule run on them writes code.

A rule is a function in terms of primitives. On symbols each primitive appends its operation to a program:
NumPy's promotion of dtypes is written as casts, plain numbers become constants. What a rule asks of a value
itself (``if x > 0``) cannot be answered here and raises.

Arrays are written when they are used: an elementwise operation, a transposition or a triangle says what an
element is, and only what a product of matrices reads, or the rule returns, becomes memory, in one loop. The
lengths of axes are small numbers that stand for extents known when the program runs; 1 is itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import chainrule.arrays  # noqa: F401  gives traced values their operators
from chainrule.core.dispatch import Meta, Tracer, dtype_of, shape_of
from chainrule.core.primitive import Primitive
from chainrule.ir import ops
from chainrule.ir.build import INT, Builder, constant, integer
from chainrule.ir.nodes import Array, Atom, Block, Carry, For, Scalar, Var
from chainrule.ir.walk import nodes_of, storage

__all__ = ["Sym", "SymArray", "SymbolBuilder", "atom_of", "symbol", "written"]

# The same operation under the name that programs use; of truth values for the last four.
_NAMES = {"pow": "power", "fabs": "absolute"}
_LOGICAL = {
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "invert": "logical_not",
}
_LAST_INTEGER = ("ldexp", "power_log")  # whose last argument is an integer
_NUMBERS = (int, float, complex, bool)

Index = tuple[Atom, ...]


class SymbolBuilder(Builder):
    """Where symbols write; `dtype` is that of numbers that meet with nothing but numbers and truth values."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.dtype = dtype
        self.axes: dict[int, tuple[Var, int]] = {}  # of what an extent is the length
        self.extents: dict[int, Var] = {}

    def extent(self, length: int) -> Atom:
        """The extent that `length` stands for."""
        if length == 1:
            return integer(1)
        if length not in self.extents:
            self.extents[length] = self.dim(*self.axes[length])
        return self.extents[length]

    def signature(self, name: str, args: Sequence[Any]) -> tuple[str, list[str]]:
        """The scalar operation that a primitive is, and the dtypes of its operands."""
        op = _NAMES.get(name, name)
        if op == "where":
            return op, ["bool", *[self.promoted(args[1:])] * 2]
        if op in _LAST_INTEGER:
            return op, [*[self.promoted(args[:-1])] * (len(args) - 1), "int64"]
        dtype = self.promoted(args)
        return _LOGICAL.get(op, op) if dtype == "bool" else op, [dtype] * len(args)

    def promoted(self, values: Sequence[Any]) -> str:
        """The dtype in which NumPy operates on `values`; Python's numbers are weak."""
        strong = [dtype_of(v) for v in values if type(v) not in _NUMBERS]
        weak = [v for v in values if type(v) in _NUMBERS]
        dtype = np.result_type(*strong, *weak)
        if dtype.kind in "fc" and all(d.kind == "b" for d in strong):
            return np.result_type(self.dtype, *weak).name
        return dtype.name

    def over(self, shape: tuple[int, ...], body: Callable[[Index], None], index: Index = ()) -> None:
        """Write ``body(index)`` in a nest of loops over `shape`."""
        if len(index) == len(shape):
            body(index)
            return
        counter = Var("ijkl"[len(index)], INT)
        upper = self.extent(shape[len(index)])
        with self.inside(Block()) as block:
            self.over(shape, body, (*index, counter))
        self.emit(For(counter, integer(0), upper, integer(1), block))

    def total(self, shape: tuple[int, ...], element: Callable[[Index], Atom], start: Atom, index: Index = ()) -> Atom:
        """Write the sum of ``element(index)`` over `shape`, added to `start`."""
        if len(index) == len(shape):
            return self.let("add", start, element(index))
        counter, upper = Var("ijkl"[len(index)], INT), self.extent(shape[len(index)])
        param, out = Var("total", start.type), Var("total", start.type)
        with self.inside(Block()) as block:
            after = self.total(shape, element, param, (*index, counter))
        self.emit(For(counter, integer(0), upper, integer(1), block, [Carry(param, start, after, out)]))
        return out


class Sym(Tracer):
    """A number that is known when the program runs; `value` has its dtype only."""

    __slots__ = ("atom", "build", "value")
    level = 0

    def __init__(self, atom: Atom, build: SymbolBuilder) -> None:
        self.atom = atom
        self.build = build
        self.value = Meta((), np.dtype(atom.type.dtype))

    def __bool__(self) -> bool:
        raise AssertionError("a derivative rule branches on a value: write it with where")

    def ready(self) -> None:
        """Write, before a loop over elements, what must stand outside of it."""

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        build = self.build
        if primitive.name in _ARRAY_RULES:
            return _ARRAY_RULES[primitive.name](build, *args, **params)
        if primitive.name == "astype":
            dtype = params["dtype"].name
            return _elementwise(build, dtype, lambda x: build.cast(x, dtype), args, [self.value.dtype.name])
        assert primitive.kind == "elementwise" or primitive.name == "where", primitive
        op, dtypes = build.signature(primitive.name, args)
        out = ops.result_type(op, tuple(map(Scalar, dtypes))).dtype
        return _elementwise(build, out, lambda *atoms: build.let(op, *atoms), args, dtypes)


class SymLater(Sym):
    """A number that is written when it is first read: a sum over an array, and what follows from it."""

    __slots__ = ("_atom", "_write")

    def __init__(self, build: SymbolBuilder, dtype: str, write: Callable[[], Atom]) -> None:
        self.build = build
        self.value = Meta((), np.dtype(dtype))
        self._write = write
        self._atom: Atom | None = None

    @property
    def atom(self) -> Atom:  # type: ignore[override]
        if self._atom is None:
            self._atom = self._write()
        return self._atom

    def ready(self) -> None:
        assert self.atom is not None


class SymArray(Sym):
    """An array that is known when the program runs.

    Either it is memory, or will be when `make` is called, or ``element(index)`` writes one of its elements.
    """

    __slots__ = ("_element", "_make", "_parts", "_variable")

    def __init__(
        self,
        build: SymbolBuilder,
        shape: tuple[int, ...],
        dtype: str,
        *,
        parts: Sequence[Any] = (),
        element: Callable[[Index], Atom] | None = None,
        make: Callable[[], Var] | None = None,
    ) -> None:
        self.build = build
        self.value = Meta(shape, np.dtype(dtype))
        self._parts = [p for p in parts if isinstance(p, Sym)]
        self._element = element
        self._make = make
        self._variable: Var | None = None

    @property
    def stored(self) -> bool:
        return self._make is not None or self._variable is not None

    def variable(self) -> Var:
        """The array as memory."""
        if self._variable is None:
            self._variable = self._filled() if self._make is None else self._make()
        return self._variable

    def _filled(self) -> Var:
        build, shape = self.build, self.value.shape
        self.ready()
        out = build.alloc(self.value.dtype.name, [build.extent(n) for n in shape])
        build.over(shape, lambda index: build.store(out, index, self.at(index)))
        return out

    def ready(self) -> None:
        if self.stored:
            self.variable()
        for part in self._parts:
            part.ready()

    def at(self, index: Index) -> Atom:
        """One element, inside of a loop."""
        if self._variable is not None:
            return self.build.load(self._variable, *index)
        assert self._element is not None
        return self._element(index)


def symbol(build: SymbolBuilder, var: Var, shape: tuple[int, ...]) -> Sym:
    """The symbol of a variable; `shape` has a number for every extent."""
    if isinstance(var.type, Scalar):
        return Sym(var, build)
    for axis, length in enumerate(shape):
        build.axes.setdefault(length, (var, axis))
    return SymArray(build, shape, var.type.dtype, make=lambda: var)


def atom_of(value: Any, dtype: str, build: Builder) -> Atom:
    """`value`, a scalar symbol or a number, as an atom of `dtype`."""
    return build.cast(value.atom, dtype) if isinstance(value, Sym) else constant(value, dtype)


def written(value: Any, type: Scalar | Array, build: SymbolBuilder) -> Atom:
    """The result of a rule as an atom of `type`, an array as memory of its own."""
    if isinstance(type, Scalar):
        return atom_of(value, type.dtype, build)
    variable: Var = value.variable()
    own = {v for node in nodes_of(build.block) for v in storage(node)}
    return variable if variable in own else build.copy(variable)


# -- elementwise operations ----------------------------------------------------------------------------


def _elementwise(
    build: SymbolBuilder, out: str, op: Callable[..., Atom], args: Sequence[Any], dtypes: Sequence[str]
) -> Sym:
    shape = np.broadcast_shapes(*map(shape_of, args))

    def number() -> Atom:
        return op(*(atom_of(a, d, build) for a, d in zip(args, dtypes, strict=True)))

    if not shape:
        later = any(isinstance(a, SymLater) for a in args)
        return SymLater(build, out, number) if later else Sym(number(), build)

    def element(index: Index) -> Atom:
        return op(*(_element_of(build, a, d, index) for a, d in zip(args, dtypes, strict=True)))

    return SymArray(build, shape, out, parts=args, element=element)


def _element_of(build: SymbolBuilder, value: Any, dtype: str, index: Index) -> Atom:
    """The element of `value`, broadcast, that stands at `index`."""
    if not isinstance(value, SymArray):
        return atom_of(value, dtype, build)
    own = index[len(index) - value.ndim :]
    place = tuple(integer(0) if n == 1 else i for i, n in zip(own, value.shape, strict=True))
    return build.cast(value.at(place), dtype)


# -- operations on arrays ------------------------------------------------------------------------------


def _product(build: SymbolBuilder, a: SymArray, b: SymArray) -> SymArray:
    return SymArray(
        build,
        a.shape[:-1] + b.shape[1:],
        a.dtype.name,
        make=lambda: build.op("matmul", a.variable(), b.variable())[0],
    )


def _solved(build: SymbolBuilder, a: SymArray, b: SymArray) -> SymArray:
    return SymArray(build, b.shape, b.dtype.name, make=lambda: build.op("solve", a.variable(), b.variable())[0])


def _inverse(build: SymbolBuilder, x: SymArray) -> SymArray:
    return SymArray(build, x.shape, x.dtype.name, make=lambda: build.op("inv", x.variable())[0])


def _transposed(build: SymbolBuilder, x: SymArray, *, axes: tuple[int, ...]) -> SymArray:
    shape = tuple(x.shape[a] for a in axes)

    def view() -> Var:
        return build.view(x.variable(), "transpose", [integer(a) for a in axes])

    def element(index: Index) -> Atom:
        return x.at(tuple(index[axes.index(k)] for k in range(len(axes))))

    return SymArray(build, shape, x.dtype.name, parts=[x], element=element, make=view if x.stored else None)


def _reshaped(build: SymbolBuilder, x: Any, *, shape: tuple[int, ...]) -> SymArray:
    """With axes of length one inserted or removed."""
    assert [n for n in shape if n != 1] == [n for n in shape_of(x) if n != 1], "a rule reshapes to another shape"

    def element(index: Index) -> Atom:
        long = iter([i for i, n in zip(index, shape, strict=True) if n != 1])
        place = tuple(integer(0) if n == 1 else next(long) for n in shape_of(x))
        return x.at(place) if place else atom_of(x, x.dtype.name, build)

    return SymArray(build, shape, x.dtype.name, parts=[x], element=element)


def _broadcast(build: SymbolBuilder, x: Any, *, shape: tuple[int, ...]) -> SymArray:
    dtype = dtype_of(x).name
    return SymArray(build, shape, dtype, parts=[x], element=lambda index: _element_of(build, x, dtype, index))


def _triangle(build: SymbolBuilder, x: SymArray, *, k: int, upper: bool) -> SymArray:
    dtype = x.dtype.name

    def element(index: Index) -> Atom:
        offset = build.let("subtract", index[1], index[0])
        kept = build.let("greater_equal" if upper else "less_equal", offset, integer(k))
        return build.let("where", kept, x.at(index), constant(0, dtype))

    return SymArray(build, x.shape, dtype, parts=[x], element=element)


def _summed(build: SymbolBuilder, x: SymArray, *, axis: tuple[int, ...], keepdims: bool, dtype: Any = None) -> Sym:
    """The sum of all elements: no rule asks for less."""
    assert len(axis) == x.ndim
    assert not keepdims

    def write() -> Atom:
        x.ready()
        return build.total(x.shape, x.at, constant(0, x.dtype.name))

    return SymLater(build, x.dtype.name, write)


_ARRAY_RULES: dict[str, Callable[..., Any]] = {
    "matmul": _product,
    "solve": _solved,
    "inv": _inverse,
    "transpose": _transposed,
    "reshape": _reshaped,
    "broadcast_to": _broadcast,
    "tri": _triangle,
    "sum": _summed,
}
